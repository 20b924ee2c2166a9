"""Benchmarks: what is planned, run, kept, resumed and reported, on the course's maze."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes, stuck_episodes
from helpers import TINY
from safetensors.numpy import load_file

from sorl_edu import cli, evaluation
from sorl_edu.agents import AGENTS, presets
from sorl_edu.agents.published import SORL_PUBLISHED
from sorl_edu.errors import CheckpointError, ConfigError, check
from sorl_edu.experiments import benchmark, experiment, tuning
from sorl_edu.experiments.benchmark import Plan
from sorl_edu.experiments.suites import SUITES
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


@dataclass(frozen=True)
class OneStep(Counting):
    """An agent that has no steps to refine its action in."""

    def propose(self, state, obs, key, *, steps, candidates):
        check(steps == 1, "OneStep has one step alone: use steps = 1")
        return super().propose(state, obs, key, steps=steps, candidates=candidates)


@dataclass(frozen=True)
class Dialled(Counting):
    """An agent with a dial of test time."""

    dials: ClassVar[tuple[str, ...]] = ("scale",)


def register(patch, episodes=quick_episodes):
    patch.setattr(evaluation, "evaluate", episodes)
    patch.setitem(presets.PRESETS, "tiny", TINY)
    patch.setitem(presets.PRESETS, "counting", Counting())
    patch.setitem(presets.PRESETS, "other", Counting(scale=0.5))
    patch.setitem(AGENTS, "counting", Counting)
    patch.setitem(presets.PRESETS, "dialled", Dialled())
    patch.setitem(AGENTS, "dialled", Dialled)


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
    experiments = Plan(steps=(8,), candidates=(8,)).experiments()
    names = [planned.task(i) for planned in experiments for i in planned.tasks]
    assert len(set(names)) == 40 and "cube-double-play-singletask-task5-v0" in names
    for planned, env in zip(experiments, SUITES["ogbench-sorl"], strict=True):
        assert planned.environment == env.name and planned.name == "SORL"
        assert planned.agent == SORL_PUBLISHED[env.name]
        assert planned.evaluated_updates == (800_000, 900_000, 1_000_000)
        assert planned.episodes == 50 and planned.seeds == tuple(range(8))


def test_tasks_are_chosen_by_environment_or_one_by_one():
    tasks = "scene-play", "cube-single-play-singletask-task2-v0"
    chosen = Plan(tasks=tasks, steps=(8,), candidates=(8,)).experiments()
    assert [(planned.environment, planned.tasks) for planned in chosen] == [
        ("cube-single-play", (2,)),
        ("scene-play", (1, 2, 3, 4, 5)),
    ]


def test_agents_are_compared_at_the_settings_that_each_can_run(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "one-step", OneStep())
    both = {"agents": ("sorl",), "presets": ("pointmaze-bc", "one-step"), "candidates": (1, 8)}
    compared = plan(**both).experiments()
    assert [planned.name for planned in compared] == ["SORL", "pointmaze-bc", "one-step"]
    assert compared[0].settings == ((1, 1), (1, 8), (8, 1), (8, 8))
    assert compared[1].settings == ((1, 1), (8, 1))
    assert compared[2].settings == ((1, 1), (1, 8))
    with pytest.raises(ConfigError, match="FlowBC has no critic"):
        plan(presets=("pointmaze-bc",), candidates=(8,)).experiments()
    with pytest.raises(ConfigError, match="has one step alone"):
        plan(presets=("one-step",), steps=(2, 8)).experiments()


def test_an_agent_has_its_own_preset_in_each_environment(monkeypatch):
    for name in ("counting/cube-single-play", "counting/scene-play"):
        monkeypatch.setitem(presets.PRESETS, name, Counting(scale=len(name)))
    chosen = {"suite": "ogbench-sorl", "steps": (8,), "tasks": ("cube-single-play", "scene-play")}
    compared = plan(agents=("sorl", "counting"), presets=(), **chosen).experiments()
    assert [(planned.environment, planned.name, planned.preset) for planned in compared] == [
        ("cube-single-play", "SORL", "cube-single-play"),
        ("cube-single-play", "Counting", "counting/cube-single-play"),
        ("scene-play", "SORL", "scene-play"),
        ("scene-play", "Counting", "counting/scene-play"),
    ]
    assert [planned.agent.scale for planned in compared[1::2]] == [25, 19]
    with pytest.raises(ConfigError, match="'counting/cube-double-play'. Did you mean counting/cu"):
        plan(agents=("counting",), presets=(), suite="ogbench-sorl", tasks=("cube-double-play",))


def test_the_courses_suite_has_its_own_updates_tasks_and_data(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "cube-double-small", presets.PRESETS["scene-small"])
    short = {"suite": "course", "steps": (8,), "candidates": (8,), "seeds": 3}
    maze, single, scene, double = Plan(**short).experiments()
    assert [p.preset for p in (maze, single, scene, double)] == [
        "pointmaze", "cube-single-small", "scene-small", "cube-double-small"
    ]  # fmt: skip
    assert single.updates == 50_000
    assert {planned.updates for planned in (maze, scene, double)} == {20_000}
    assert maze.tasks == single.tasks == (1, 2, 3, 4, 5)
    assert scene.tasks == (1, 2, 3) and double.tasks == (1,)
    assert maze.collection is None  # it is shipped
    assert single.collection == experiment.Collection(1000)  # the official size
    assert scene.collection and double.collection
    assert {planned.updates for planned in Plan(**short, updates=90).experiments()} == {90}
    with pytest.raises(ConfigError, match="unknown task 'scene-play-singletask-task4-v0'"):
        Plan(**short, tasks=("scene-play-singletask-task4-v0",))


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


@pytest.mark.thorough
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
@pytest.mark.cases(2)
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


@pytest.mark.thorough
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


def test_an_estimate_multiplies_what_it_measures():
    (planned,) = plan().experiments()
    guess = benchmark.estimate(planned, updates=10)
    assert (guess.environment, guess.agent) == ("pointmaze-medium-navigate", "counting")
    assert guess.training == pytest.approx(40 / guess.updates_per_second)
    assert 0 < guess.evaluation < 3600  # 24 cells of at most 1000 steps


SCALES = (("scale", 0.5), ("scale", 2.0))


def test_an_agent_is_evaluated_at_its_dials_and_trained_once(tmp_path, monkeypatch):
    trained, acted, once = [], [], experiment.train_seeds

    def counted(agent, *args, **options):
        trained.append(type(agent))
        return once(agent, *args, **options)

    def episodes(agent, *args, **options):
        acted.append((type(agent), agent.scale))
        return quick_episodes(agent, *args, **options)

    monkeypatch.setattr(experiment, "train_seeds", counted)
    monkeypatch.setattr(evaluation, "evaluate", episodes)
    both = plan(presets=("counting", "dialled"))
    benchmark.run(both, tmp_path, progress=False)
    rows = benchmark.run(replace(both, dials=SCALES), tmp_path, progress=False)
    assert trained == [Counting, Dialled]
    assert set(acted) == {(Counting, 1.0), (Dialled, 1.0), (Dialled, 0.5), (Dialled, 2.0)}
    sizes = rows.groupby("agent").size()
    assert set(sizes.index) == {"counting", "dialled", "dialled scale 0.5", "dialled scale 2"}
    assert (sizes == 2 * 2 * 3 * 2).all()
    table = (tmp_path / "table.md").read_text()
    assert "| dialled scale 0.5 |" in table and "| dialled scale 2 |" in table


@pytest.mark.parametrize(
    ("names", "pair", "message"),
    [
        (["dialled"], ("scael", 1.0), "unknown dial of Dialled 'scael'. Did you mean scale"),
        (["dialled", "counting"], ("batch_size", 1.0), "Counting 'batch_size'. Known: scale"),
        (["counting"], ("scale", 1.0), "Counting has no dials but steps and candidates"),
        (["counting", "pointmaze"], ("scale", 1.0), "Counting, SORL have no dials but steps"),
        (["evor/pointmaze", "counting"], ("return_samples", 1.5), "must be a whole number"),
        (["evor/pointmaze"], ("return_temperature", -1.0), "must not be negative"),
    ],
)
def test_a_dial_that_no_agent_has_or_a_wrong_value_is_refused(names, pair, message):
    with pytest.raises(ConfigError, match=message):
        plan(presets=tuple(names), dials=(("scale", 1.0), pair) if "dialled" in names else (pair,))


def test_an_estimate_counts_the_training_of_several_dials_once(monkeypatch, capsys):
    measured = benchmark.Estimate("maze", "agent", 1.0, training=7200.0, evaluation=3600.0)
    monkeypatch.setattr(benchmark, "estimate", lambda planned: measured)
    work = benchmark.workload(plan(presets=("dialled", "counting"), dials=SCALES))
    benchmark.print_estimate(work)
    assert "In total 4 h of training and at most 3 h" in capsys.readouterr().out


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
        ({"updates": 0}, "at least 10"),
        ({"agents": ("sorel",)}, "Did you mean sorl"),
        ({"tune": True, "presets": ("pointmaze",)}, "presets are taken as they are"),
        ({"steps": (0,)}, "at least 1"),
        ({"steps": ()}, "name steps"),
        ({"candidates": ()}, "name steps and candidates"),
        ({"presets": ("pointmase",)}, "Did you mean pointmaze"),
    ],
)
def test_impossible_plans_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**change)


def test_a_flow_is_evaluated_at_any_number_of_steps_and_a_shortcut_model_at_powers_of_two():
    settings = {
        planned.name: planned.settings
        for planned in Plan(
            suite="pointmaze", agents=("sorl", "fbrac", "bc"), steps=(1, 3, 10), candidates=(1,)
        ).experiments()
    }
    assert settings == {
        "SORL": ((1, 1),),
        "FBRAC": ((1, 1), (3, 1), (10, 1)),
        "BC": ((1, 1),),
    }
    with pytest.raises(ConfigError, match="power of two.*got 3"):
        Plan(suite="pointmaze", agents=("sorl",), steps=(3,)).experiments()


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


def test_a_tuned_benchmark_counts_what_choosing_cost_and_reports_the_choice(tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "counting/pointmaze", Counting())
    monkeypatch.setitem(tuning.KNOBS, "counting", tuning.Knob("scale", (0.5, 2.0)))
    tuned = plan(agents=("counting",), presets=(), tune=True, per_task=True, episodes=4)
    assert [(p.name, times) for p, times in benchmark.workload(tuned)] == [
        ("Counting scale 0.5", 2),
        ("Counting", 1),
    ]
    rows = benchmark.run(tuned, tmp_path, progress=False)
    tried = pd.read_csv(tmp_path / "tuning.csv")
    assert len(tried) == 2 * 2 and tried.episodes.tolist() == [2 * 4] * 4
    (choice,) = tried[tried.chosen].itertuples()
    assert set(zip(rows.steps, rows.candidates, strict=True)) == {(choice.steps, 1)}
    assert len(rows) == 2 * 2 * 3  # the choice alone, at every evaluation
    assert set(rows.agent) == {"Counting"} and set(rows.seed) == {0, 1}
    with open(tmp_path / "Counting" / "pointmaze-medium-navigate" / "plan.json") as file:
        assert json.load(file)["agent"]["scale"] == choice.value
    head, _, line = (tmp_path / "table.md").read_text().splitlines()[:3]
    table = dict(zip(*(row.strip("| ").split(" | ") for row in (head, line)), strict=True))
    assert table["tuning episodes"] == "32"
    assert "| pointmaze-medium-navigate 3 | Counting |" in (tmp_path / "table.md").read_text()
    before = content_of(tmp_path)
    monkeypatch.setattr(experiment, "train_seeds", None)  # nothing is trained any more
    benchmark.run(tuned, tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="episodes was 4 and is 9"):
        benchmark.run(replace(tuned, episodes=9), tmp_path, progress=False)
    monkeypatch.setitem(tuning.KNOBS, "counting", tuning.Knob("scale", (3.0, 4.0)))
    with pytest.raises(CheckpointError, match=f"agent.scale was {choice.value} and is 3.0"):
        benchmark.run(tuned, tmp_path, progress=False)
    assert content_of(tmp_path) == before


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


@pytest.mark.release
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
