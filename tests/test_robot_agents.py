"""The study of the robots' agents goes on where it was stopped, and ships what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import TINY

from sorl_edu import benchmark, presets
from sorl_edu.benchmark import Plan
from sorl_edu.checkpoints import read_metadata
from sorl_edu.errors import UnknownName
from sorl_edu.studies import robot_agents
from sorl_edu.studies.robot_agents import Arm


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two arms of a maze; the first is the beginning of the second."""
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    short = Plan(
        suite="pointmaze",
        tasks=("pointmaze-medium-navigate-singletask-task1-v0",),
        seeds=2,
        updates=20,
        steps=(1,),
        candidates=(1, 2),
        episodes=1,
        preset="tiny",
        checkpoint_every=2,
    )
    arms = {
        "short": Arm(short, "the beginning", episodes=2),
        "long": Arm(
            replace(short, updates=40), "all of it", episodes=2, shown=(1,), begins_as="short"
        ),
    }
    monkeypatch.setattr(robot_agents, "ARMS", arms)
    monkeypatch.setattr(robot_agents, "FILMS", {})
    return tmp_path / "runs", tmp_path / "out"


def test_the_study_runs_ships_and_takes_up_the_shorter_arm(tiny, monkeypatch):
    runs, out = tiny
    flags = ["--runs", str(runs), "--out", str(out)]
    robot_agents.main(["short", *flags])
    done = []
    learn = benchmark.train_seeds

    def watched(agent, data, **options):
        options["on_log"], log = lambda *told: (done.append(told[0]), log(*told)), options["on_log"]
        return learn(agent, data, **options)

    monkeypatch.setattr(benchmark, "train_seeds", watched)
    robot_agents.main(["long", *flags])
    assert min(done) == 22 and max(done) == 40  # the first half was learned already
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest.keys() == {"short.csv", "long.csv", "long_task1.safetensors"}
    info = read_metadata(out / "long_task1.safetensors")["info"]
    assert (info["updates"], info["seed"]) == (40, 0)
    assert "collect pointmaze-medium-navigate-v0 --episodes 2" in manifest["long.csv"]["dataset"]
    trained_alone = benchmark.run(
        robot_agents.ARMS["long"].plan, runs / "alone", data=runs / "data_2"
    )
    together = benchmark.read_results(runs / "long" / "results.csv")
    np.testing.assert_allclose(trained_alone.length, together.length)
    done.clear()
    robot_agents.main(["short", "long", *flags])
    assert not done  # nothing was left to learn


def test_an_unknown_piece_is_refused_before_any_work(tiny):
    with pytest.raises(UnknownName, match="long"):
        robot_agents.main(["lon"])
