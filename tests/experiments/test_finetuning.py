"""`make finetuning`: episodes before and after, the steps between, tables, and a second run."""

from dataclasses import replace

import pandas as pd
import pytest
from counting import Counting, quick_episodes

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS
from sorl_edu.experiments import finetuning
from sorl_edu.experiments.experiment import check_setting
from sorl_edu.training.checkpoints import load_agent
from sorl_edu.training.interactive import Interaction

MAZE = "pointmaze-medium-navigate"
ROUND = 2 * 50  # environment steps, in two worlds


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(AGENTS, "counting", Counting)
    monkeypatch.setattr(finetuning, "preset", lambda name: Counting())
    monkeypatch.setattr(evaluation, "evaluate", quick_episodes)
    settings = ((1, 1), (2, 2))
    monkeypatch.setattr(
        finetuning, "METHODS", {"SORL": ("sorl", settings), "FQL": ("fql", settings)}
    )
    for name, value in {"SEEDS": range(2), "EPISODES": 3, "WORLDS": 2}.items():
        monkeypatch.setattr(finetuning, name, value)
    plan = replace(finetuning.PLANS[MAZE], updates=4, env_steps=2 * ROUND, warm_up=ROUND)
    monkeypatch.setitem(finetuning.PLANS, MAZE, plan)


def test_every_method_can_act_with_its_settings():
    for plan in finetuning.PLANS.values():
        for method, (_, settings) in finetuning.METHODS.items():
            agent = plan.offline(method).agent
            for setting in settings:
                check_setting(agent, agent, setting)
            assert (1, 1) in settings  # in which it acts while it learns


def test_agents_learn_from_where_they_are_and_a_second_run_does_nothing(
    quick, tmp_path, monkeypatch
):
    runs, out = tmp_path / "runs", tmp_path / "out"
    finetuning.main([MAZE, "--runs", str(runs), "--out", str(out)])
    rows = pd.read_csv(out / f"{MAZE}.csv")
    assert len(rows) == 2 * 2 * 2 * 2 * 3  # methods, seeds, before and after, settings, episodes
    updates = rows.groupby("env_steps")["length"].unique()  # `quick_episodes` tells them
    assert updates[0].tolist() == [4] and updates[2 * ROUND].tolist() == [4 + ROUND]
    _, state, info = load_agent(
        runs / "finetuning" / MAZE / "online" / "SORL" / f"seed1_{2 * ROUND}" / "agent.safetensors"
    )
    assert state.count == 4 + ROUND and info.notes == {"env_steps": 2 * ROUND}
    assert "| SORL | m = 1, N = 1 |" in (out / f"{MAZE}.md").read_text()

    files = {file: file.read_bytes() for file in out.iterdir()}
    monkeypatch.setattr(Interaction, "_act", None)  # nothing is left to do
    finetuning.main([MAZE, "--runs", str(runs), "--out", str(out)])
    assert {file: file.read_bytes() for file in out.iterdir()} == files


def test_the_tables_pair_starts_and_count_episodes():
    setting = {"agent": "SORL", "steps": 1, "candidates": 1, "return": 0.0, "length": 1.0}
    episodes = pd.DataFrame(
        [
            setting | {"seed": seed, "episode": i, "env_steps": steps, "success": success}
            for seed in (0, 1)
            for i in (0, 1)
            for steps, success in ((0, 0.0), (1000, float(i)))
        ]
    )
    rounds = [(200, 1, 1.0), (400, 3, 0.0), (1000, 2, 0.5)]
    online = pd.DataFrame(
        [
            {"agent": "SORL", "seed": 0, "env_steps": steps, "metric": metric, "value": value}
            for steps, count, success in rounds
            for metric, value in (("episodes", count), ("success", success))
        ]
    )
    text = finetuning.as_markdown(episodes, online)
    assert "| SORL | m = 1, N = 1 | 0.00 [" in text and "| 0.50 [" in text and "| +0.50 [" in text
    assert "| while learning, up to step | 200 | 400 | 600 | 800 | 1,000 |" in text
    assert "| SORL | 1.00 | 0.00 | - | - | 0.50 |" in text
