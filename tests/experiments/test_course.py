"""The course's data: an arm is trained, measured, written and resumed."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import course, experiment
from sorl_edu.training import checkpoints


@dataclass(frozen=True)
class Critic(Counting):
    def value(self, state, obs, actions, *, steps):
        return actions[..., 0]


SMALL = {
    "updates": 20,
    "seeds": range(2),
    "settings": ((1, 1), (2, 4)),
    "episodes": 3,
    "recorded": 1,
    "snapshots": (5, 20),
}


@pytest.fixture
def folders(monkeypatch, tmp_path):
    small = replace(course.EXPERIMENTS["sorl"], name="small", agent=Critic())
    monkeypatch.setitem(AGENTS, "critic", Critic)
    monkeypatch.setattr(course, "EXPERIMENTS", {"small": small})
    monkeypatch.setattr(course, "SHOWN", {"small": 1})
    monkeypatch.setattr(course, "LOG_EVERY", 10)
    monkeypatch.setattr(evaluation, "evaluate", quick_episodes)
    return tmp_path / "runs", tmp_path / "out"


def test_an_arm_writes_all_its_files(folders):
    runs, out = folders
    course.make("small", runs, out, **SMALL)
    assert {file.name.removeprefix("small") for file in out.iterdir()} == {
        "manifest.json",
        ".safetensors",
        "_history.csv",
        "_episodes.csv",
        "_values.csv",
        "_trajectories.npz",
        "_snapshots.safetensors",
    }
    agent, state, info = checkpoints.load_agent(out / "small.safetensors")
    assert (agent, info.seed, info.updates, int(state.count)) == (Critic(), 1, 20, 20)
    assert info.notes == {"about": course.EXPERIMENTS["small"].about} and info.preset is None
    history = pd.read_csv(out / "small_history.csv")
    assert list(history) == ["split", "seed", "update", "metric", "value"]
    assert set(history["update"]) == {10, 20} and set(history.seed) == {0, 1}
    episodes = pd.read_csv(out / "small_episodes.csv")
    shipped = pd.read_csv(shipped_data() / "course" / "sorl_episodes.csv")
    assert list(episodes) == list(shipped)
    assert len(episodes) == 2 * 2 * 3
    assert set(pd.read_csv(out / "small_values.csv").steps) == {1, 2, 4, 8}
    updates = checkpoints.read_metadata(out / "small_snapshots.safetensors")["updates"]
    assert updates == [5, 20]
    with np.load(out / "small_trajectories.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == {"m1_N1", "m1_N1_success", "m2_N4", "m2_N4_success"}
        assert arrays["m1_N1"].shape == (3, 2, 2) and arrays["m1_N1"].dtype == np.float16
        success = episodes[(episodes.training_seed == 1) & (episodes.steps == 2)].success
        np.testing.assert_array_equal(arrays["m2_N4_success"], success.astype(bool))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest.keys() == {file.name for file in out.iterdir()} - {"manifest.json"}
    facts = manifest["small.safetensors"]["experiment"]
    assert facts == replace(course.EXPERIMENTS["small"], **SMALL).facts()


def test_an_arm_is_not_made_twice(folders, monkeypatch):
    course.make("small", *folders, **SMALL)
    before = (folders[1] / "small_episodes.csv").read_bytes()
    monkeypatch.setattr(evaluation, "evaluate", None)
    monkeypatch.setattr(experiment, "train_seeds", None)
    course.make("small", *folders, **SMALL)
    assert (folders[1] / "small_episodes.csv").read_bytes() == before


def test_an_arm_without_critic_recording_or_snapshots_has_three_files(folders):
    runs, out = folders
    plain = SMALL | {"agent": Counting(), "recorded": None, "snapshots": ()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AGENTS, "counting", Counting)
        course.make("small", runs, out, **plain)
    assert len(list(out.iterdir())) == 4  # and the manifest


def test_paths_are_thinned_and_end_where_they_ended():
    path = np.arange(22.0).reshape(1, 11, 2)
    path[0, 10] = np.nan
    thin = course.thin(path)
    np.testing.assert_array_equal(thin[0, :, 0], [0, 8, 16, 18])


def test_terminals_are_ignored_on_request(transitions):
    assert float(transitions.masks.min()) == 0
    assert float(course.without_terminals(transitions).masks.min()) == 1


def test_pieces_are_named_or_all(monkeypatch):
    made = []
    monkeypatch.setattr(course, "make", lambda name, runs, out: made.append(name))
    monkeypatch.setattr(course, "measure_milliseconds", lambda out: made.append("ms"))
    course.main([])
    assert made == [*course.EXPERIMENTS, "ms"]
    with pytest.raises(UnknownName, match="minimum"):
        course.main(["minimun"])
