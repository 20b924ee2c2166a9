"""`make demo` at a thousandth of its length leaves everything that it promises."""

from dataclasses import replace

import pandas as pd
from helpers import TINY

from sorl_edu.agents.presets import PRESETS
from sorl_edu.experiments import demo
from sorl_edu.training.checkpoints import load_agent


def test_the_demo_is_the_presets():
    assert demo.EXPERIMENT.agent == PRESETS[demo.EXPERIMENT.preset]
    assert demo.EXPERIMENT.settings == demo.grid(demo.STEPS, demo.CANDIDATES)
    assert set(demo.SHOWN) < set(demo.EXPERIMENT.settings)


def test_the_demo_leaves_its_table_pictures_and_agent(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "STEPS", (1, 2))
    monkeypatch.setattr(demo, "CANDIDATES", (1, 2))
    monkeypatch.setattr(demo, "SHOWN", ((1, 1), (2, 2)))
    small = replace(demo.EXPERIMENT, agent=TINY, settings=demo.grid((1, 2), (1, 2)))
    monkeypatch.setattr(demo, "EXPERIMENT", small)
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
    assert {"trajectories_1_steps_N_1", "trajectories_2_steps_N_2"} <= pictures
    agent, _, info = load_agent(tmp_path / "agent.safetensors", environment=demo.ENVIRONMENT)
    assert (agent, info.updates, info.preset) == (TINY, 20, "pointmaze")
    assert set(pd.read_csv(tmp_path / "history.csv").split) == {"train", "validation"}
    assert "Best cell" in capsys.readouterr().out
