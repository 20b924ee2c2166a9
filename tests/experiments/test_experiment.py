"""One experiment: what is shared, kept, resumed, added and refused; on the course's maze."""

import json
import re
import shutil
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS, FlowBC
from sorl_edu.agents.agent import Network
from sorl_edu.datasets import ogbench
from sorl_edu.errors import CheckpointError, ConfigError, UnknownName
from sorl_edu.experiments import claims, course, experiment, robots
from sorl_edu.experiments.experiment import ROWS, Collection, Experiment, grid, run, train
from sorl_edu.training import checkpoints

DATASET = "pointmaze-medium-navigate-v0"
BASE = Experiment(
    name="counting",
    agent=Counting(),
    dataset=DATASET,
    tasks=(1,),
    seeds=range(2),
    updates=20,
    settings=((1, 1), (1, 4)),
    episodes=2,
    evaluation_seed=5,
)


def punished(data):
    return data.replace(rewards=data.rewards - 1)


class Again:
    """Chooses as the agent does."""

    def __new__(cls, agent):
        return agent


@pytest.fixture(autouse=True)
def counting(monkeypatch):
    monkeypatch.setitem(AGENTS, "counting", Counting)


@pytest.fixture
def work(monkeypatch):
    """The work so far: ("train", seeds x tasks, first update) and ("evaluate", task, m, N)."""
    done = []

    def evaluated(agent, state, environment, *, steps, candidates, **options):
        task = int(re.search(r"task(\d)", environment)[1])
        done.append(("evaluate", task, steps, candidates))
        setting = {"steps": steps, "candidates": candidates}
        return quick_episodes(agent, state, environment, **setting, **options)

    def trained(agent, data, *, keys, on_log, **options):
        first = []

        def log(updates, states):
            first.append(updates)
            on_log(updates, states)

        result = learn(agent, data, keys=keys, on_log=log, **options)
        done.append(("train", len(keys), min(first, default=None)))
        return result

    learn = experiment.train_seeds
    monkeypatch.setattr(evaluation, "evaluate", evaluated)
    monkeypatch.setattr(experiment, "train_seeds", trained)
    return done


def do(planned, folder, **options):
    return run(planned, folder, download=False, progress=False, **options)


def test_rows_have_an_agent_a_setting_and_an_episode_each(tmp_path):
    rows = do(replace(BASE, evaluated_at=(0.5, 1.0)), tmp_path)
    assert list(rows) == ROWS and len(rows) == 2 * 2 * 2 * 2
    assert not rows.duplicated(ROWS[:8]).any()
    assert set(rows.agent) == {"counting"}
    assert set(rows.environment) == {"pointmaze-medium-navigate"}
    assert set(rows.updates) == {10, 20} and set(rows.seed) == {0, 1} and set(rows.task) == {1}
    assert rows.success.isin([0, 1]).all() and (rows.length <= 1000).all()
    pd.testing.assert_frame_equal(do(replace(BASE, evaluated_at=(0.5, 1.0)), tmp_path), rows)
    pd.testing.assert_frame_equal(
        experiment.read_rows(tmp_path).sort_values(ROWS[:8]).reset_index(drop=True),
        rows.sort_values(ROWS[:8]).reset_index(drop=True),
    )


def test_what_is_done_is_not_done_again(tmp_path, work):
    rows = do(BASE, tmp_path)
    assert work == [("train", 2, 20)] + 2 * [("evaluate", 1, 1, 1), ("evaluate", 1, 1, 4)]
    work.clear()
    pd.testing.assert_frame_equal(do(BASE, tmp_path), rows)
    assert work == []


def test_rows_from_another_machine_need_no_agents_and_the_same_data(tmp_path, work, monkeypatch):
    rows = do(BASE, tmp_path / "there")
    shutil.copytree(BASE.rows_folder(tmp_path / "there"), BASE.rows_folder(tmp_path / "here"))
    work.clear()
    pd.testing.assert_frame_equal(do(BASE, tmp_path / "here"), rows)
    assert work == [] and not (tmp_path / "here" / "trainings").exists()
    plan = BASE.rows_folder(tmp_path / "here") / "plan.json"
    plan.write_text(re.sub('"dataset_sha256": "..', '"dataset_sha256": "??', plan.read_text()))
    with pytest.raises(CheckpointError, match="dataset_sha256 was '[?][?]"):
        do(BASE, tmp_path / "here")


# Fault 1 of issue 14: a finished folder answered for another plan.
OTHER_PLANS = {
    "fewer seeds": ({"seeds": (0,)}, "seeds was [0, 1] and is [0]"),
    "more seeds": ({"seeds": range(3)}, "seeds was [0, 1] and is [0, 1, 2]"),
    "other seeds": ({"seeds": (1, 2)}, "seeds was [0, 1] and is [1, 2]"),
    "more updates": ({"updates": 40}, "updates was 20 and is 40"),
    "fewer updates": ({"updates": 10}, "updates was 20 and is 10"),
    "other episodes": ({"episodes": 50}, "episodes was 2 and is 50"),
    "other hyper-parameters": ({"agent": Counting(scale=2.0)}, "agent.scale was 1.0 and is 2.0"),
    "another class": ({"agent": FlowBC(), "settings": ((1, 1),)}, "agent.class was 'Counting'"),
    "other data": ({"transform": punished}, "transform was None and is 'test_experiment.punished'"),
    "collected data": ({"collection": Collection(3)}, "collection.episodes was None and is 3"),
    "other starts": ({"evaluation_seed": None}, "evaluation_seed was 5 and is None"),
    "another verifier": ({"verifier": Again}, "verifier was None and is 'test_experiment.Again'"),
}


@pytest.mark.parametrize("name", OTHER_PLANS)
def test_a_folder_with_rows_of_another_plan_is_refused(tmp_path, work, name):
    changes, difference = OTHER_PLANS[name]
    do(BASE, tmp_path)
    work.clear()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=re.escape(difference)) as caught:
        do(replace(BASE, **changes), tmp_path)
    assert "Choose another folder, or delete '" in str(caught.value)
    assert work == []
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_folder_with_rows_of_another_file_of_the_data_is_refused(tmp_path, work):
    do(BASE, tmp_path / "out")
    work.clear()
    for file in (f"{DATASET}.npz", f"{DATASET}-val.npz"):
        with np.load(ogbench.shipped_data() / file, allow_pickle=False) as arrays:
            np.savez(tmp_path / file, **arrays)  # the same numbers, not compressed
    with pytest.raises(CheckpointError, match="dataset_sha256 was '8392"):
        do(BASE, tmp_path / "out", data=tmp_path)
    assert work == []


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{"])
def test_rows_without_a_plan_are_refused(tmp_path, work, content):
    do(BASE, tmp_path)
    plan = BASE.rows_folder(tmp_path) / "plan.json"
    plan.unlink() if content is None else plan.write_bytes(content)
    with pytest.raises(CheckpointError, match="results without a plan"):
        do(BASE, tmp_path)


def test_settings_and_tasks_may_be_added(tmp_path, work):
    do(BASE, tmp_path)
    work.clear()
    rows = do(replace(BASE, settings=grid((1, 2), (1, 4))), tmp_path)
    assert work == 2 * [("evaluate", 1, 2, 1), ("evaluate", 1, 2, 4)]
    assert len(rows) == 2 * 4 * 2
    work.clear()
    rows = do(replace(BASE, tasks=(2, 1, 3)), tmp_path)
    assert work[0] == ("train", 4, 20)  # tasks 2 and 3
    assert {task for _, task, *_ in work[1:]} == {2, 3} and len(rows) == 3 * 2 * 2 * 2
    work.clear()
    assert set(do(replace(BASE, tasks=(3,)), tmp_path).task) == {3} and work == []
    history = pd.read_csv(BASE.rows_folder(tmp_path) / "history.csv")
    assert set(history.task) == {1, 2, 3} and set(history.seed) == {0, 1}


def test_experiments_with_the_same_training_train_once(tmp_path, work):
    trainings = tmp_path / "trainings"
    do(BASE, tmp_path / "one", trainings=trainings)
    other = replace(BASE, name="other", episodes=3, settings=((2, 1),), verifier=Again)
    work.clear()
    rows = do(other, tmp_path / "two", trainings=trainings)
    assert work == 2 * [("evaluate", 1, 2, 1)] and set(rows.agent) == {"other"}
    for changes in (
        {"agent": Counting(batch_size=5)},
        {"seeds": (0,)},
        {"transform": punished},
        {"validation": True},
        {"updates": 21},
    ):
        work.clear()
        planned = replace(other, name="different", settings=(), **changes)
        train(planned, tmp_path, trainings=trainings, progress=False)
        assert work and work[0][0] == "train", changes


def test_claims_and_course_share_their_agents():
    shared = 0
    for name, of_course in (("sorl", "narrow"), ("cloning", "narrow_cloning")):
        for claimed in claims.ARMS[name]:
            shown = course.EXPERIMENTS[of_course]
            assert claimed.training_identity("x") == shown.training_identity("x")
            assert (claimed.updates, claimed.tasks) == (shown.updates, shown.tasks)
            assert claimed.kept_updates == shown.kept_updates
            assert claimed.evaluation_seed == shown.evaluation_seed
        shared += len(shown.seeds)
    assert shared == 32


def test_a_training_begins_with_a_shorter_one(tmp_path, work):
    short = replace(BASE, settings=(), evaluated_at=(0.5, 1.0), log_every=5, name="short")
    train(short, tmp_path, progress=False)
    work.clear()
    longer = replace(short, updates=60)
    trained = train(longer, tmp_path, progress=False)
    assert work == [("train", 2, 25)]
    alone = train(longer, tmp_path / "alone", progress=False)
    pd.testing.assert_frame_equal(trained.history, alone.history)
    assert trained.agents.keys() == alone.agents.keys()
    for key in trained.agents:
        state, other = trained.load(*key)[1], alone.load(*key)[1]
        assert int(state.count) == int(other.count) == key[2]
        np.testing.assert_array_equal(state.key, other.key)
    # The shorter one has nothing after 25 updates that the agent after 15 could come from.
    work.clear()
    train(replace(longer, updates=30, snapshots=(15,)), tmp_path, progress=False)
    assert work == [("train", 2, 5)]


def test_agents_that_are_wanted_later_are_trained_again_to_there(tmp_path, work):
    first = train(replace(BASE, log_every=5), tmp_path, progress=False)
    work.clear()
    trained = train(replace(BASE, log_every=5, snapshots=(5, 15)), tmp_path, progress=False)
    assert work == [("train", 2, 5)]
    assert {updates for *_, updates in trained.agents} == {5, 15, 20}
    assert int(trained.load(1, 0, 15)[1].count) == 15
    pd.testing.assert_frame_equal(first.history, trained.history)
    work.clear()
    train(replace(BASE, log_every=5), tmp_path, progress=False)
    assert work == []


def test_agents_know_their_environment_seed_and_data(tmp_path):
    trained = train(replace(BASE, preset="tiny", tasks=(0, 2)), tmp_path, progress=False)
    _, state, info = trained.load(2, 1, 20)
    assert info.environment == "pointmaze-medium-navigate-singletask-task2-v0"
    assert (info.updates, info.seed, info.preset) == (20, 1, "tiny")
    assert info.dataset_sha256 == trained.dataset_sha256 and int(state.count) == 20
    assert trained.load(0, 0, 20)[2].environment == "pointmaze-medium-navigate-singletask-v0"
    assert trained.seconds > 0
    means = trained.history.groupby(["task", "metric"]).value.mean()
    assert means[0, "reward"] <= 0 and means[2, "draw"] > 0


def test_the_validation_split_and_the_transform_reach_the_training(tmp_path):
    planned = replace(BASE, validation=True, log_every=5)
    plain = train(planned, tmp_path, progress=False).history
    less = train(replace(planned, transform=punished), tmp_path, progress=False).history
    assert set(plain.split) == {"train", "validation"} and set(plain["update"]) == {5, 10, 15, 20}
    rewards = plain.metric == "reward"
    np.testing.assert_allclose(less.value[rewards], plain.value[rewards] - 1, atol=1e-5)


def test_a_recorded_seed_keeps_its_observations(tmp_path, work):
    do(BASE, tmp_path)
    work.clear()
    do(replace(BASE, recorded=1), tmp_path)
    assert work == [("evaluate", 1, 1, 1), ("evaluate", 1, 1, 4)]
    file = BASE.rows_file(tmp_path, (1, 1, 20), (1, 4))
    assert np.load(file.with_suffix(".npy"), allow_pickle=False).shape == (2, 3, 2)
    work.clear()
    do(replace(BASE, recorded=1), tmp_path)
    assert work == []


def test_starts_are_those_of_a_seed_or_of_the_evaluation(tmp_path, work):
    planned = replace(BASE, evaluated_at=(0.5, 1.0), settings=((1, 1),))
    assert set(do(planned, tmp_path / "one")["return"]) == {-5}
    rows = do(replace(planned, evaluation_seed=None), tmp_path / "two")
    assert (rows["return"] == -rows.updates).all() and (rows.length == rows.updates).all()


def test_settings_that_an_agent_cannot_run_are_refused_before_any_work(tmp_path, work):
    cloning = FlowBC(batch_size=4, field=Network((4,)))
    planned = replace(BASE, agent=cloning, settings=((1, 1), (8, 4)))
    with pytest.raises(ConfigError, match="FlowBC has no critic to choose among 4 candidates"):
        do(planned, tmp_path)
    assert work == [] and not list(tmp_path.iterdir())


def test_data_are_collected_once(tmp_path, monkeypatch, work):
    asked = []

    def collected(dataset, folder, *, episodes, noise, workers):
        asked.append((dataset, folder, episodes, noise))
        folder.mkdir(parents=True)
        for file in (f"{dataset}.npz", f"{dataset}-val.npz"):
            (folder / file).write_bytes((ogbench.shipped_data() / file).read_bytes())

    monkeypatch.setattr(experiment, "collect", collected)
    planned = replace(BASE, collection=Collection(3, noise=0.1))
    do(planned, tmp_path)
    do(planned, tmp_path)
    assert asked == [(DATASET, tmp_path / "data_3_noise0.1", 3, 0.1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"updates": 0}, "updates must be at least 1"),
        ({"episodes": 0}, "episodes must be at least 1"),
        ({"seeds": ()}, "at least one task and one seed"),
        ({"tasks": ()}, "at least one task and one seed"),
        ({"seeds": (1, 1)}, r"seeds must differ: \(1, 1\)"),
        ({"settings": ((1, 1), (1, 1))}, "settings must differ"),
        ({"settings": ((0, 1),)}, "at least 1"),
        ({"evaluated_at": (0.33,)}, "can't be evaluated at 0.33 of 20 updates"),
        ({"evaluated_at": (1.2,)}, "can't be evaluated at 1.2"),
        ({"snapshots": (21,)}, "snapshots must be from 1 to 20"),
        ({"transform": lambda data: data}, "named function"),
        ({"dataset": "pointmaze-medium-navigat-v0"}, "Did you mean pointmaze-medium-navigate"),
        ({"tasks": (6,)}, "unknown dataset"),
    ],
)
def test_impossible_experiments_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(BASE, **changes)


def test_names_of_tasks():
    for number in range(6):
        planned = replace(BASE, tasks=(number,))
        assert experiment.parse_task(planned.task(number)) == (DATASET, number)
    with pytest.raises(ConfigError, match="task"):
        experiment.parse_task(DATASET)


def test_all_studies_have_facts_for_their_manifests():
    declared = [*course.EXPERIMENTS.values(), *robots.EXPERIMENTS.values()]
    declared += [planned for arm in claims.ARMS.values() for planned in arm]
    for planned in declared:
        facts = planned.facts()
        assert facts == json.loads(json.dumps(facts))
        assert facts["agent"]["class"] == type(planned.agent).__name__
        assert facts["seeds"] == list(planned.seeds) and facts["name"]


def test_cell_means_are_over_episodes(tmp_path, work):
    rows = do(BASE, tmp_path)
    rows["success"] = 1.0 * (rows.episode > 0)
    means = experiment.cell_means(rows)
    assert list(means)[:8] == [*ROWS[:7], "episodes"]
    assert len(means) == 4 and (means.episodes == 2).all() and (means.success == 0.5).all()


def test_the_pieces_of_a_study_are_named_or_all(tmp_path):
    def parse(*words):
        return experiment.parse_pieces(words, "About.\n\nMore.", ["one", "two"], "study", "piece")

    pieces, runs, out = parse()
    assert pieces == ["one", "two"] and (str(runs), str(out)) == ("runs", "data/study")
    assert parse("two", "--out", "elsewhere")[::2] == (["two"], out.parent.parent / "elsewhere")
    with pytest.raises(UnknownName, match="unknown piece 'tow'. Did you mean two"):
        parse("tow")


def test_states_of_another_training_in_the_folder_are_refused(tmp_path):
    """The hash names the folder; the training state itself says what it is of, too."""
    trained = train(BASE, tmp_path, progress=False)
    folder = trained.agents[1, 0, 20].parents[1]
    state = folder / "tasks_1" / checkpoints.TRAINING_STATE
    other = train(replace(BASE, seeds=(5, 6)), tmp_path / "other", progress=False)
    foreign = other.agents[1, 5, 20].parents[1] / "tasks_1" / checkpoints.TRAINING_STATE
    state.write_bytes(foreign.read_bytes())
    (folder / "history.csv").unlink()
    with pytest.raises(CheckpointError, match="another run: its keys differ"):
        train(BASE, tmp_path, progress=False)
    assert jnp.isfinite(trained.load(1, 0, 20)[1].count)


def test_a_function_has_one_name_whether_its_module_is_imported_or_run(monkeypatch):
    known = replace(BASE, transform=course.without_terminals).facts()["transform"]
    assert known == "sorl_edu.experiments.course.without_terminals"
    monkeypatch.setattr(course.without_terminals, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", course.__spec__)
    assert replace(BASE, transform=course.without_terminals).facts()["transform"] == known
