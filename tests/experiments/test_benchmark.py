"""Benchmarks: what is planned, run, kept, resumed and reported, on the course's maze."""

import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes, stuck_episodes
from helpers import TINY
from safetensors.numpy import load_file

from sorl_edu import cli, evaluation
from sorl_edu.agents import AGENTS, presets
from sorl_edu.errors import CheckpointError, ConfigError
from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import benchmark, experiment
from sorl_edu.experiments.benchmark import Plan
from sorl_edu.training.checkpoints import read_metadata

FLAGS = ["--suite", "pointmaze", "--presets", "counting", "--seeds", "2", "--updates", "40"]
FLAGS += ["--steps", "1", "8", "--candidates", "1", "--episodes", "1", "--checkpoint-every", "10"]
TASK = "pointmaze-medium-navigate-singletask-task{}-v0"


def plan(**changes):
    """Two tasks, two seeds, two settings, three evaluations."""
    return Plan(
        **{"suite": "pointmaze", "tasks": (TASK.format(1), TASK.format(3)), "seeds": 2}
        | {"updates": 40, "steps": (1, 8), "candidates": (1,), "episodes": 1}
        | {"presets": ("counting",), "checkpoint_every": 10}
        | changes
    )


def register(patch, episodes=quick_episodes):
    patch.setattr(evaluation, "evaluate", episodes)
    patch.setitem(presets.PRESETS, "tiny", TINY)
    patch.setitem(presets.PRESETS, "counting", Counting())
    patch.setitem(presets.PRESETS, "other", Counting(scale=0.5))
    patch.setitem(AGENTS, "counting", Counting)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    register(monkeypatch)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A plan that was run without a stop, and its rows."""
    out = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        return out, benchmark.run(plan(), out, progress=False)


def test_the_suite_is_the_papers_forty_tasks_with_its_hyper_parameters():
    experiments = Plan().experiments()
    names = [planned.task(i) for planned in experiments for i in planned.tasks]
    assert len(set(names)) == 40 and "cube-double-play-singletask-task5-v0" in names
    for planned, env in zip(experiments, benchmark.SUITES["ogbench-sorl"], strict=True):
        assert planned.environment == env.name and planned.name == "SORL"
        assert planned.agent == presets.PUBLISHED[env.name]
        assert dict(env.published).keys() == {"SORL", "FQL"}
        assert planned.evaluated_updates == (800_000, 900_000, 1_000_000)
        assert planned.episodes == 50 and planned.seeds == tuple(range(8))


def test_tasks_are_chosen_by_environment_or_one_by_one():
    chosen = Plan(tasks=("scene-play", "cube-single-play-singletask-task2-v0")).experiments()
    assert [(planned.environment, planned.tasks) for planned in chosen] == [
        ("cube-single-play", (2,)),
        ("scene-play", (1, 2, 3, 4, 5)),
    ]


def test_agents_are_compared_at_the_settings_that_each_can_run():
    compared = plan(presets=("default", "pointmaze-bc"), candidates=(1, 8)).experiments()
    assert [planned.name for planned in compared] == ["SORL", "pointmaze-bc"]
    assert compared[0].settings == ((1, 1), (1, 8), (8, 1), (8, 8))
    assert compared[1].settings == ((1, 1), (8, 1))
    with pytest.raises(ConfigError, match="'pointmaze-bc' has no critic"):
        plan(presets=("pointmaze-bc",), candidates=(8,))


def test_there_is_a_row_for_every_task_seed_evaluation_and_setting(done):
    out, rows = done
    assert len(rows) == 2 * 2 * 3 * 2 == len(rows[experiment.CELL].drop_duplicates())
    assert set(rows.task) == {1, 3} and set(rows.updates) == {32, 36, 40}
    assert rows.success.between(0, 1).all() and (rows.episodes == 1).all()
    assert set(rows.agent) == {"counting"}
    pd.testing.assert_frame_equal(rows, pd.read_csv(out / "results.csv"))
    folder = out / "counting" / "pointmaze-medium-navigate"
    assert (folder / "learning_curves.png").stat().st_size > 5000
    history = pd.read_csv(folder / "history.csv")
    assert set(history.seed) == {0, 1} and set(history.task) == {1, 3}


def test_what_was_trained_together_is_what_each_task_learns_alone(tmp_path):
    together = plan(presets=("tiny",)).experiments()[0]
    alone = plan(presets=("tiny",), tasks=(TASK.format(3),), seeds=1).experiments()[0]
    runs = [
        experiment.train(planned, tmp_path / name, progress=False)
        for planned, name in ((together, "together"), (alone, "alone"))
    ]
    left, right = (trained.load(3, 0, 40) for trained in runs)
    assert left[2].environment == right[2].environment == TASK.format(3)
    for one, other in zip(*map(jax.tree.leaves, (left[1], right[1])), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def content_of(folder):
    """The content of a folder's tables and agents, by file name."""
    content = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix in (".csv", ".md") or path.name == "plan.json":
            content[name] = path.read_text()
        if path.parent.name == "agents":  # a header's lines have no order, so not the bytes
            arrays = {key: array.tobytes() for key, array in load_file(path).items()}
            content[name] = read_metadata(path), arrays
    return content


class Stop(Exception):
    pass


# A training state, an agent after 80% and one after all updates, the history, the plan, an agent's
# episodes, and the results.
STOPS = (1, 6, 14, 18, 20, 30, 46)


@pytest.mark.parametrize("after", STOPS)
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


def run_until_stuck(folder):
    """In a child process: a benchmark that doesn't end."""
    register(pytest.MonkeyPatch(), stuck_episodes)
    benchmark.run(plan(), folder, progress=False)


def test_a_benchmark_that_is_killed_goes_on(done, tmp_path):
    here = os.path.dirname(__file__)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)])}
    program = "import sys, test_benchmark as t; t.run_until_stuck(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=env)
    while not any(tmp_path.rglob("task*.csv")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "results.csv").exists()
    benchmark.run(plan(), tmp_path, progress=False)
    assert content_of(tmp_path) == content_of(done[0])


def made_up(success, agent="SORL"):
    """Rows of one environment, two settings and three seeds, by (updates, m): success."""
    rows = [
        {"agent": agent, "environment": "cube-single-play", "task": task, "seed": seed}
        | {"updates": updates, "steps": m, "candidates": 1, "episode": 0}
        | {"success": min(value + 0.1 * seed, 1.0)}
        for (updates, m), value in success.items()
        for seed in range(3)
        for task in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_the_table_averages_as_published_and_its_interval_is_over_agents():
    rows = made_up({(80, 1): 0.1, (90, 1): 0.2, (100, 1): 0.3})
    (row,) = benchmark.per_environment(rows).to_dict("records")
    assert row["success"] == pytest.approx(30) and row["seeds"] == 3 and row["tasks"] == 2
    low, high = bounded_interval([20, 20, 30, 30, 40, 40], 0, 100)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


SELECTED = {(80, 1): 0.5, (90, 1): 0.5, (100, 1): 0.1} | {(80, 8): 0, (90, 8): 0, (100, 8): 0.8}


def test_the_best_setting_is_selected_on_other_episodes_than_reported():
    (row,) = benchmark.best_setting(made_up(SELECTED)).to_dict("records")
    assert row["steps"] == 1 and row["success"] == pytest.approx(20)
    text = benchmark.as_markdown(made_up(SELECTED), "ogbench-sorl")
    assert "| cube-single-play | SORL |" in text and "(1, 1): 20" in text and "| 97 | 96 |" in text


def test_agents_stand_below_each_other_and_select_for_themselves():
    worse = {key: 1 - value for key, value in SELECTED.items() if key[1] == 8}
    rows = pd.concat([made_up(SELECTED), made_up(worse, "cloning")])
    best = benchmark.best_setting(rows).set_index("agent")
    assert (best.loc["SORL"].steps, best.loc["cloning"].steps) == (1, 8)
    assert best.loc["cloning"].success == pytest.approx(30)
    sorl, cloning = benchmark.as_markdown(rows, "ogbench-sorl").splitlines()[2:4]
    assert sorl.startswith("| cube-single-play | SORL | 47 [")
    assert cloning.startswith("| cube-single-play | cloning |  | 77 [")


def test_the_footer_is_about_the_rows():
    rows = made_up(SELECTED)
    text = benchmark.as_markdown(rows, "ogbench-sorl").splitlines()[-1]
    assert (
        "over the agents of 3 seed(s) and 2 task(s), with 1 episode(s) at each of 80, 90, 100 up"
        in text
    )
    assert "OGBench before 1.2" in text and 'success_timing="post"' in text
    more = pd.concat([rows, rows[rows.task == 1].assign(episode=1), made_up({(80, 1): 0}, "new")])
    assert "| cube-single-play | new | 10 [" in benchmark.as_markdown(more, "ogbench-sorl")
    text = benchmark.as_markdown(more[(more.agent != "new") | (more.task == 1)], "ogbench-sorl")
    assert "and 1 to 2 task(s), with 1 to 2 episode(s)" in text
    rows = rows.assign(environment="pointmaze-medium-navigate")
    assert "OGBench before" not in benchmark.as_markdown(rows, "pointmaze")


def test_an_estimate_multiplies_what_it_measures():
    (planned,) = plan().experiments()
    guess = benchmark.estimate(planned, updates=10)
    assert (guess.environment, guess.agent) == ("pointmaze-medium-navigate", "counting")
    assert guess.training == pytest.approx(40 / guess.updates_per_second)
    assert 0 < guess.evaluation < 3600  # 24 cells of at most 1000 steps


def test_the_command_says_how_long_it_takes_then_writes_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.undo()  # real episodes
    monkeypatch.setitem(presets.PRESETS, "counting", Counting())
    monkeypatch.setitem(AGENTS, "counting", Counting)
    flags = [*FLAGS, "--tasks", TASK.format(1), "--out", str(tmp_path / "out")]
    assert cli.main(["benchmark", *flags, "--estimate-only"]) == 0
    printed = capsys.readouterr().out
    assert "1 task(s) x 2 seed(s)" in printed and "h of training" in printed
    assert not (tmp_path / "out").exists()
    assert cli.main(["benchmark", *flags]) == 0
    printed = capsys.readouterr().out
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in printed and "2 seed(s)" in table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "ogbench"}, "Did you mean ogbench-sorl"),
        ({"tasks": ("cube-single-pla",)}, "Did you mean cube-single-play"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"updates": 1005}, "multiple of 10"),
        ({"steps": (3,)}, "power of two"),
        ({"steps": ()}, "name steps"),
        ({"presets": ()}, "name steps, candidates and presets"),
        ({"presets": ("pointmase",)}, "Did you mean pointmaze"),
    ],
)
def test_impossible_plans_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**change)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"presets": ("other",)}, "agents that this plan lacks: counting"),
        ({"seeds": 1}, r"seeds was \[0, 1\] and is \[0\]"),
        ({"episodes": 50}, "episodes was 1 and is 50"),
        ({"updates": 80}, "updates was 40 and is 80"),
        ({"updates": 20}, "updates was 40 and is 20"),
    ],
)
def test_another_plan_in_the_same_folder_is_refused(done, changes, message):
    """Fault 1: a finished folder gave its rows, whatever the plan was."""
    out, _ = done
    before = content_of(out)
    with pytest.raises(CheckpointError, match=message):
        benchmark.run(plan(**changes), out, progress=False)
    assert content_of(out) == before


def test_another_agent_of_the_same_name_is_refused(done, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "counting", Counting(batch_size=5))
    with pytest.raises(CheckpointError, match="agent.batch_size was 4 and is 5"):
        benchmark.run(plan(), done[0], progress=False)


def test_an_agent_may_be_added_to_a_comparison(done, tmp_path):
    out, alone = done
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    rows = benchmark.run(plan(presets=("counting", "other")), tmp_path, progress=False)
    first = rows[rows.agent == "counting"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, alone)
    assert len(rows) == 2 * len(alone)
    table = (tmp_path / "table.md").read_text()
    assert "| counting |" in table and "| other |" in table


DEVICES = """
import jax, jax.numpy as jnp, numpy as np, sys
from sorl_edu.agents import SORL
from sorl_edu.agents.agent import Network
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.experiments.speed import TimedTraining
from sorl_edu.training import train_seeds
agent = SORL(denoise_steps=2, max_backprop_steps=2, field=Network((8,)), critic=Network((8,)))
data = random_transitions(3, 2, 500)
run = train_seeds(
    agent, [data, data.replace(rewards=-data.rewards)], updates=20,
    keys=jax.random.split(jax.random.key(0), 4), tasks=[0, 0, 1, 1], progress=False,
)
leaf = jax.tree.leaves(run.state.field)[0]
print(len(leaf.sharding.device_set))
np.savez(sys.argv[1], *map(np.asarray, jax.tree.leaves((run.state.field, run.state.critic))))
# A chunk's results lie where its inputs lay: else this raises, and training compiles twice.
TimedTraining(agent, 3, 2, seeds=4, chunk=2).seconds_per_chunk()
"""


def test_seeds_over_four_devices_learn_what_they_learn_on_one(tmp_path):
    children, flags_here = {}, os.environ.get("XLA_FLAGS", "")  # none where pytest measures
    for devices in (1, 4):
        flags = f"{flags_here} --xla_force_host_platform_device_count={devices}"
        children[devices] = subprocess.Popen(
            [sys.executable, "-c", DEVICES, str(tmp_path / f"{devices}.npz")],
            env=os.environ | {"XLA_FLAGS": flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    outputs = {devices: child.communicate() for devices, child in children.items()}
    arrays = []
    for devices, (printed, errors) in outputs.items():
        assert children[devices].returncode == 0, errors
        assert int(printed) == devices
        with np.load(tmp_path / f"{devices}.npz", allow_pickle=False) as saved:
            arrays.append([saved[name] for name in saved.files])
    for one, other in zip(*arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
