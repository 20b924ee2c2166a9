"""The harness: what it asks for, does, keeps and says; on the course's maze, with tiny agents."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from helpers import TINY
from safetensors.numpy import load_file

from sorl_edu import cli
from sorl_edu.agents import presets
from sorl_edu.errors import CheckpointError, ConfigError
from sorl_edu.experiments import benchmark
from sorl_edu.experiments.benchmark import Plan
from sorl_edu.training.checkpoints import read_metadata

FLAGS = ["--suite", "pointmaze", "--preset", "tiny", "--seeds", "2", "--updates", "40"]
FLAGS += ["--steps", "1", "8", "--candidates", "1", "--episodes", "1", "--checkpoint-every", "10"]
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # programs that compile long and run once
TASK = "pointmaze-medium-navigate-singletask-task{}-v0"


def plan(**changes):
    """Two tasks, two seeds, two settings, three evaluations."""
    return Plan(
        **{"suite": "pointmaze", "tasks": (TASK.format(1), TASK.format(3)), "seeds": 2}
        | {"updates": 40, "steps": (1, 8), "candidates": (1,), "episodes": 1}
        | {"preset": "tiny", "checkpoint_every": 10}
        | changes
    )


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A plan that was run without a stop, and its rows."""
    out = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", TINY)
        return out, benchmark.run(plan(), out, progress=False)


def test_the_suite_is_the_papers_forty_tasks_with_its_hyper_parameters():
    published = Plan()
    names = [env.task(i) for env, numbers in published.environments() for i in numbers]
    assert len(set(names)) == 40 and "cube-double-play-singletask-task5-v0" in names
    for env, _ in published.environments():
        assert published.agent(env) == presets.PUBLISHED[env.name]
        assert dict(env.published).keys() == {"SORL", "FQL"}
    assert published.evaluated_at == [800_000, 900_000, 1_000_000]
    assert published.episodes == 50 and published.seeds == 8


def test_tasks_are_chosen_by_environment_or_one_by_one():
    chosen = Plan(tasks=("scene-play", "cube-single-play-singletask-task2-v0")).environments()
    assert [(env.name, numbers) for env, numbers in chosen] == [
        ("cube-single-play", [2]),
        ("scene-play", [1, 2, 3, 4, 5]),
    ]


def test_there_is_a_row_for_every_task_seed_evaluation_and_setting(done):
    _, rows = done
    assert len(rows) == 2 * 2 * 3 * 2 == len(rows[benchmark.KEY].drop_duplicates())
    assert set(rows.task) == {1, 3} and set(rows.updates) == {32, 36, 40}
    assert rows.success.between(0, 1).all() and (rows.episodes == 1).all()


def test_what_was_trained_together_is_what_each_task_learns_alone(done, tmp_path):
    out, _ = done
    name = TASK.format(3)
    benchmark.run(plan(tasks=(name,), seeds=1), tmp_path, progress=False)
    folders = out / "pointmaze-medium-navigate", tmp_path / "pointmaze-medium-navigate"
    left, right = (
        benchmark.load_agent(benchmark.agent_file(folder, name, 0, 40)) for folder in folders
    )
    assert left[2].environment == right[2].environment == name
    for one, other in zip(*map(benchmark.jax.tree.leaves, (left[1], right[1])), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def content_of(folder):
    """What is in a folder's tables and agents, by file name."""
    content = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix in (".csv", ".md"):
            content[name] = path.read_text()
        if path.parent.name == "agents":  # a header's lines have no order, so not the bytes
            arrays = {key: array.tobytes() for key, array in load_file(path).items()}
            content[name] = read_metadata(path), arrays
    return content


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [1, 6, 19, 22])
def test_a_benchmark_that_is_stopped_anywhere_ends_as_one_that_was_not(
    done, tmp_path, monkeypatch, after
):
    """It is stopped at the `after`-th file that is to appear, before it does."""
    replaced, count = os.replace, 0

    def stop(*paths):
        nonlocal count
        count += 1
        if count == after:
            raise Stop
        replaced(*paths)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(Stop):
        benchmark.run(plan(), tmp_path, progress=False)
    monkeypatch.setattr(os, "replace", replaced)
    benchmark.run(plan(), tmp_path, progress=False)
    assert content_of(tmp_path) == content_of(done[0])


def test_a_benchmark_that_is_killed_goes_on(done, tmp_path):
    program = (
        "import sys, test_benchmark as t\n"
        "t.presets.PRESETS['tiny'] = t.TINY\n"
        "t.benchmark.run(t.plan(), sys.argv[1], progress=False)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    env = os.environ | QUICK | {"PYTHONPATH": os.path.dirname(__file__)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    while not (tmp_path / "results.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    assert pd.read_csv(tmp_path / "results.csv")[benchmark.KEY].equals(done[1][benchmark.KEY])


def made_up(success):
    """Rows of one environment, two settings and three seeds, by (updates, m): success."""
    rows = [
        {"environment": "cube-single-play", "task": task, "seed": seed, "updates": updates}
        | {"steps": m, "candidates": 1, "episodes": 50, "success": value + 0.1 * seed}
        for (updates, m), value in success.items()
        for seed in range(3)
        for task in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_the_table_averages_as_published_and_its_interval_is_over_seeds():
    rows = made_up({(80, 1): 0.1, (90, 1): 0.2, (100, 1): 0.3})
    (row,) = benchmark.per_environment(rows).to_dict("records")
    assert row["success"] == pytest.approx(30) and row["seeds"] == 3 and row["tasks"] == 2
    half = 4.302653 * 10 / np.sqrt(3)  # Student's with two degrees of freedom
    assert (row["low"], row["high"]) == pytest.approx((30 - half, 30 + half), abs=1e-3)


def test_the_best_setting_is_chosen_on_other_episodes_than_it_is_told_of():
    rows = made_up(
        {(80, 1): 0.5, (90, 1): 0.5, (100, 1): 0.1} | {(80, 8): 0, (90, 8): 0, (100, 8): 0.8}
    )
    (row,) = benchmark.best_setting(rows).to_dict("records")
    assert row["steps"] == 1 and row["success"] == pytest.approx(20)
    text = benchmark.as_markdown(Plan(steps=(1, 8), candidates=(1,)), rows)
    assert "| cube-single-play |" in text and "(1, 1): 20" in text and "| 97 | 96 |" in text


def test_the_command_says_how_long_it_takes_then_writes_the_table(tmp_path, capsys):
    flags = [*FLAGS, "--tasks", TASK.format(1), "--out", str(tmp_path / "out")]
    assert cli.main(["benchmark", *flags, "--estimate-only"]) == 0
    told = capsys.readouterr().out
    assert "1 task(s) x 2 seed(s)" in told and "h of training" in told
    assert not (tmp_path / "out").exists()
    assert cli.main(["benchmark", *flags]) == 0
    told = capsys.readouterr().out
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in told and "2 seed(s)" in table
    folder = tmp_path / "out" / "pointmaze-medium-navigate"
    assert (folder / "learning_curves.png").stat().st_size > 5000
    assert set(pd.read_csv(folder / "history.csv").seed) == {0, 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "ogbench"}, "Did you mean ogbench-sorl"),
        ({"tasks": ("cube-single-pla",)}, "Did you mean cube-single-play"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"updates": 1005}, "multiple of 10"),
        ({"steps": (3,)}, "power of two"),
        ({"steps": ()}, "name steps"),
        ({"preset": "pointmase"}, "Did you mean pointmaze"),
    ],
)
def test_impossible_plans_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**change)


def test_another_plan_in_the_same_folder_is_refused(done):
    out, _ = done
    (out / "pointmaze-medium-navigate" / "history.csv").rename(out / "kept.csv")
    try:
        with pytest.raises(CheckpointError, match="another run"):
            benchmark.run(plan(seeds=1), out, progress=False)
    finally:
        (out / "kept.csv").rename(out / "pointmaze-medium-navigate" / "history.csv")


DEVICES = """
import jax, jax.numpy as jnp, numpy as np, sys
from sorl_edu.agents import SORL
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.experiments.speed import TimedTraining
from sorl_edu.training import train_seeds
agent = SORL(denoise_steps=2, max_backprop_steps=2, field_hidden=(8,), critic_hidden=(8,))
data = random_transitions(3, 2, 500)
run = train_seeds(
    agent, [data, data.replace(rewards=-data.rewards)], updates=20,
    keys=jax.random.split(jax.random.key(0), 4), tasks=[0, 0, 1, 1], progress=False,
)
leaf = jax.tree.leaves(run.state.field)[0]
print(len(leaf.sharding.device_set))
np.savez(sys.argv[1], *map(np.asarray, jax.tree.leaves((run.state.field, run.state.critic))))
# What a chunk makes lies where it takes it from: else this raises, and training compiles twice.
TimedTraining(agent, 3, 2, seeds=4, chunk=2).seconds_per_chunk()
"""


def test_seeds_over_four_devices_learn_what_they_learn_on_one(tmp_path):
    arrays = []
    for devices in (1, 4):
        flags = f"--xla_force_host_platform_device_count={devices}"
        file = tmp_path / f"{devices}.npz"
        told = subprocess.run(
            [sys.executable, "-c", DEVICES, str(file)],
            env=os.environ | QUICK | {"XLA_FLAGS": flags},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert int(told) == devices
        with np.load(file, allow_pickle=False) as saved:
            arrays.append([saved[name] for name in saved.files])
    for one, other in zip(*arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
