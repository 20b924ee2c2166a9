"""The robots' agents: what is shipped is what the study says, and a stopped study goes on."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import TINY

from sorl_edu.agents import presets
from sorl_edu.course import shipped
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import benchmark, robots
from sorl_edu.experiments.benchmark import Plan
from sorl_edu.experiments.robots import ARMS, FILMS, Arm
from sorl_edu.files import file_sha256
from sorl_edu.training.checkpoints import plain, read_metadata

FOLDER = shipped_data() / "robots"


def test_every_file_is_in_the_manifest_with_its_command_and_checksum():
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert {file.name for file in FOLDER.iterdir()} - {"manifest.json"} == manifest.keys()
    for name, entry in manifest.items():
        assert entry["sha256"] == file_sha256(FOLDER / name), name
        assert "sorl_edu.experiments.robots" in entry["command"]
        assert entry["bytes"] < 2e6


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_is_shipped_as_the_study_has_it(name):
    arm = ARMS[name]
    ((env, numbers),) = arm.plan.environments()
    entry = json.loads((FOLDER / "manifest.json").read_text())[f"{name}.csv"]
    assert entry["plan"] == plain(asdict(arm.plan)) and entry["training_seconds"] > 0
    assert entry["config"] == plain(asdict(arm.plan.agent(env)))
    results = shipped.robot_results(name)
    keys = ["training_seed", "task", "updates", "steps", "candidates"]
    assert len(results) == len(results[keys].drop_duplicates())
    assert len(results) == len(numbers) * arm.plan.seeds * 3 * len(arm.plan.settings)
    assert results.success.between(0, 1).all()
    for task in arm.shown:
        agent, _, info = shipped.robot(name, task)
        assert agent == arm.plan.agent(env)
        assert (info.environment, info.updates) == (env.task(task), arm.plan.updates)
        assert (info.seed, info.dataset_sha256) == (0, entry["dataset_sha256"])


def test_files_are_asked_for_by_name():
    for name in FILMS:
        assert shipped.robot_file(f"{name}.gif").read_bytes()[:3] == b"GIF"
    with pytest.raises(UnknownName, match="Did you mean cube.csv"):
        shipped.robot_results("cub")


def test_findings_are_those_of_the_rows_and_in_the_readme():
    found = robots.findings()
    rows = (
        shipped.robot_results("cube").query("steps == 8").groupby(["candidates", "training_seed"])
    )
    per_seed = rows.success.mean()
    (of_32,) = found[found.question == "cube, 8 steps: best of 32; best of 8"].itertuples()
    assert of_32.better == pytest.approx(per_seed[32].mean())
    assert of_32.difference == pytest.approx((per_seed[32] - per_seed[8]).mean())
    assert of_32.low < of_32.difference < of_32.high and of_32.seeds == 4
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert robots.describe(found) in readme


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
    # Of the whole study's arms; here it only says that it was asked.
    monkeypatch.setattr(robot_agents, "findings", lambda out: pd.DataFrame([{"out": out}]))
    monkeypatch.setattr(robot_agents, "describe", lambda table: f"findings in {table.out[0]}")
    return tmp_path / "runs", tmp_path / "out"


def test_the_study_runs_ships_and_takes_up_the_shorter_arm(tiny, monkeypatch, capsys):
    runs, out = tiny
    flags = ["--runs", str(runs), "--out", str(out)]
    robots.main(["short", *flags])
    done = []
    learn = benchmark.train_seeds

    def watched(agent, data, **options):
        options["on_log"], log = lambda *told: (done.append(told[0]), log(*told)), options["on_log"]
        return learn(agent, data, **options)

    monkeypatch.setattr(benchmark, "train_seeds", watched)
    robots.main(["long", *flags])
    assert min(done) == 22 and max(done) == 40  # the first half was learned already
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest.keys() == {"short.csv", "long.csv", "long_task1.safetensors"}
    info = read_metadata(out / "long_task1.safetensors")["info"]
    assert (info["updates"], info["seed"]) == (40, 0)
    assert "collect pointmaze-medium-navigate-v0 --episodes 2" in manifest["long.csv"]["dataset"]
    trained_alone = benchmark.run(robots.ARMS["long"].plan, runs / "alone", data=runs / "data_2")
    together = benchmark.read_results(runs / "long" / "results.csv")
    np.testing.assert_allclose(trained_alone.length, together.length)
    done.clear()
    assert "findings" not in capsys.readouterr().out
    robots.main(["short", "long", *flags])
    assert not done  # nothing was left to learn
    assert f"findings in {out}" in capsys.readouterr().out


def test_an_unknown_piece_is_refused_before_any_work(tiny):
    with pytest.raises(UnknownName, match="long"):
        robots.main(["lon"])
