"""`make demo` at a thousandth of its length leaves everything that it promises."""

import pandas as pd
import pytest

from sorl_edu.experiments import demo
from sorl_edu.training.checkpoints import load_agent


@pytest.mark.slow
def test_the_demo_leaves_its_table_pictures_and_agent(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "STEPS", (1, 2))
    monkeypatch.setattr(demo, "CANDIDATES", (1, 2))
    demo.main(tmp_path, updates=20, episodes=2)
    summary = pd.read_csv(tmp_path / "sweep.csv")
    assert {"steps", "candidates", "success", "length", "episodes"} <= set(summary)
    assert sorted(zip(summary.steps, summary.candidates, strict=True)) == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    assert (summary.episodes == 2).all()
    assert len(pd.read_csv(tmp_path / "episodes.csv")) == 8
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert {"sweep_success", "learning_curves", "q_landscape", "action_distribution"} <= pictures
    assert any(name.startswith("trajectories") for name in pictures)
    agent, _, info = load_agent(tmp_path / "agent.safetensors", environment=demo.ENVIRONMENT)
    assert (agent, info.updates) == (demo.preset(demo.PRESET), 20)
    assert "Best cell" in capsys.readouterr().out
