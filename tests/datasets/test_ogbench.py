"""Loading against OGBench's own loader and environments."""

import io
import json
import re
import shutil
import subprocess
import sys

import gymnasium
import mirrors
import numpy as np
import ogbench
import ogbench.utils
import pytest
from mirrors import DOWN, FILE, LARGE, LARGE_FILES, TASK, Mirror, flip_a_byte, names

import sorl_edu.datasets.ogbench as loading
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.download import MIRRORS
from sorl_edu.datasets.ogbench import load, shipped_data
from sorl_edu.environments.make import DATASETS, parse_name
from sorl_edu.errors import ConfigError, DataError, UnknownName

SHIPPED = "pointmaze-medium-navigate"


large, content, serve = mirrors.large, mirrors.content, mirrors.serve  # fixtures


def test_the_cache_is_ogbenchs():
    assert loading.CACHE == ogbench.utils.DEFAULT_DATASET_DIR


def test_every_dataset_has_an_environment_for_every_task():
    assert len(DATASETS) == len(set(DATASETS)) == 8 + 11 + 6 + 4 + 8 + 8 + 2
    for dataset in DATASETS:
        for task in ["", "-task1", "-task5"]:
            name = dataset.replace("-v0", f"-singletask{task}-v0")
            parsed, env_id = parse_name(name)
            assert parsed == dataset and env_id in gymnasium.registry


def test_a_name_without_a_task_names_the_tasks():
    with pytest.raises(ConfigError) as error:
        load(f"{SHIPPED}-v0")
    for task in ["", "-task1", "-task2", "-task3", "-task4", "-task5"]:
        assert f"'{SHIPPED}-singletask{task}-v0'" in str(error.value)


@pytest.mark.parametrize(
    "name", ["pointmaze-medum-navigate-singletask-v0", f"{SHIPPED}-singletask-task6-v0"]
)
def test_an_unknown_name_gives_the_nearest(name):
    with pytest.raises(UnknownName, match=f"Did you mean {SHIPPED}-singletask-v0"):
        load(name)


@pytest.mark.parametrize("task", ["", "-task4"])
def test_shipped_data_are_what_ogbench_makes_of_the_file(task):
    name = f"{SHIPPED}-singletask{task}-v0"
    data = load(name, download=False)
    env, *splits = ogbench.make_env_and_datasets(name, dataset_path=str(data.path))
    env.close()
    for ours, theirs in zip((data.train, data.validation), splits, strict=True):
        batch = ours.at(ours.starts)
        for field in ("observations", "actions", "next_observations", "rewards", "masks"):
            np.testing.assert_array_equal(getattr(batch, field), theirs[field], err_msg=field)
        assert (theirs["masks"] == 0).any()
    assert data.name == name
    manifest = json.loads((shipped_data() / "manifest.json").read_text())
    assert data.path.parent == shipped_data()
    assert data.sha256 == manifest[data.path.name]["sha256"]


@pytest.mark.parametrize("task", [1, 2, 3, 4, 5])
def test_rewards_are_the_environments_own_when_states_are_replayed(task):
    data = load(f"{SHIPPED}-singletask-task{task}-v0", download=False)
    batch = data.validation.at(data.validation.starts)
    successes = np.flatnonzero(np.asarray(batch.masks) == 0)
    rows = np.concatenate([successes[:100], np.arange(0, len(data.validation), 250)])
    assert len(successes) >= 30
    env = gymnasium.make(data.env_id).unwrapped
    env.reset()
    for row in rows:
        env.set_state(np.asarray(batch.observations[row], float), np.zeros(2))
        arrived, reward, terminated, _, _ = env.step(np.asarray(batch.actions[row], float))
        np.testing.assert_allclose(arrived, batch.next_observations[row], atol=1e-4)
        assert reward == batch.rewards[row]
        assert terminated == (batch.masks[row] == 0)
    env.close()


@pytest.mark.parametrize("dataset", ["cube-single-play", "scene-play"])
def test_manipulation_rewards_are_the_environments_own(dataset, tmp_path):
    """The arm waves about, then a sub-goal is put in place by hand; in the official format."""
    name = f"{dataset}-singletask-v0"
    env = gymnasium.make(parse_name(name)[1])
    env.action_space.seed(0)
    observation, info = env.reset(seed=0)
    physics = env.unwrapped.data
    rows, rewards = [], []
    for step in range(6):
        if step == 5 and dataset.startswith("cube"):
            physics.qpos[14:17] = physics.mocap_pos[0]
        elif step == 5:
            physics.qpos[24] = env.unwrapped._target_window_pos
        button_states = info.get("button_states", np.zeros(1))
        action = env.action_space.sample()
        row = (observation, action, step == 5, physics.qpos.copy(), physics.qvel.copy())
        rows.append((*row, button_states))
        observation, reward, _, _, info = env.step(action)
        rewards.append(reward)
    env.close()
    keys = ("observations", "actions", "terminals", "qpos", "qvel", "button_states")
    arrays = {k: np.array(v) for k, v in zip(keys, zip(*rows, strict=True), strict=True)}
    for file in (f"{dataset}-v0.npz", f"{dataset}-v0-val.npz"):
        np.savez(tmp_path / file, **arrays)
    data = load(name, folder=tmp_path, download=False)
    np.testing.assert_array_equal(data.train.rewards, rewards)
    np.testing.assert_array_equal(np.diff(rewards), [0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("ogbench", "mujoco ogbench gymnasium IPython sorl_edu.datasets.collect"),
        ("toy", "mujoco ogbench gymnasium IPython sorl_edu.datasets.ogbench"),
        (
            "transitions",
            "multiprocessing urllib.request pandas sorl_edu.datasets.collect "
            "sorl_edu.datasets.ogbench sorl_edu.datasets.download sorl_edu.environments.rollout",
        ),
    ],
)
def test_importing_a_module_of_the_datasets_loads_little_else(module, unwanted):
    code = (
        f"import sys, sorl_edu.datasets.{module}\n"
        f"print([m for m in {unwanted.split()} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Data that do not fit the environment


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LARGE, "pointmaze-medium-stitch"),
        (LARGE, "pointmaze-teleport-stitch"),
        (LARGE, "pointmaze-giant-navigate"),
        (SHIPPED, "pointmaze-large-navigate"),
    ],
)
def test_another_mazes_file_under_this_mazes_name_is_refused(data, name, large, tmp_path):
    folder = shipped_data() if data == SHIPPED else large
    for split in ("", "-val"):
        shutil.copy(folder / f"{data}-v0{split}.npz", tmp_path / f"{name}-v0{split}.npz")
    maze = name.rsplit("-", 1)[0]
    message = rf"{name}-v0.npz' can't be used: \d+% .*walls of '{maze}' .*another maze"
    with pytest.raises(DataError, match=message):
        load(f"{name}-singletask-v0", folder=tmp_path, download=False)


def test_another_mazes_validation_file_is_refused_too(large, tmp_path):
    shutil.copy(shipped_data() / f"{SHIPPED}-v0.npz", tmp_path)
    shutil.copy(large / LARGE_FILES[1], tmp_path / f"{SHIPPED}-v0-val.npz")
    with pytest.raises(DataError, match=r"-val.npz' can't be used: .*another maze"):
        load(f"{SHIPPED}-singletask-v0", folder=tmp_path, download=False)


def test_a_few_rows_in_walls_are_no_other_maze(large, tmp_path):
    """A body that was thrown over a wall, say; in 1% of the rows at most."""
    with np.load(large / FILE) as file:
        qpos = file["qpos"].copy()
    qpos[:6] = -100.0
    with_change(large, tmp_path, qpos=qpos)
    assert len(load(TASK, folder=tmp_path, download=False).train) == 600
    qpos[:7] = -100.0
    with_change(large, tmp_path, qpos=qpos)
    with pytest.raises(DataError, match="1% of its positions .* first in row 0"):
        load(TASK, folder=tmp_path, download=False)


# Where files are looked for


def test_shipped_data_are_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "sorl_edu"
    monkeypatch.setattr(loading, "__file__", str(package / "datasets" / "ogbench.py"))
    assert shipped_data() == tmp_path / "data"
    (package / "_data").mkdir(parents=True)
    assert shipped_data() == package / "_data"


def test_a_given_folder_comes_before_the_shipped_data(tmp_path):
    collect(f"{SHIPPED}-v0", tmp_path, episodes=1, seed=5, progress=False)
    data = load(f"{SHIPPED}-singletask-v0", folder=tmp_path, download=False)
    assert data.path == tmp_path / f"{SHIPPED}-v0.npz" and len(data.train) == 1000


def test_the_cache_is_found_without_a_download(large):
    assert len(load(TASK, cache=large, download=False).train) == 600


def test_a_folder_without_the_files_is_passed_over_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="lacks"):
        data = load(f"{SHIPPED}-singletask-v0", folder=tmp_path, download=False)
    assert data.path.parent == shipped_data()


def test_a_folder_that_isnt_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        load(f"{SHIPPED}-singletask-v0", folder=tmp_path / "typo")


def test_loading_leaves_numpys_global_state_alone(large):
    np.random.seed(9)
    before = np.random.get_state()[1].copy()
    load(TASK, folder=large, download=False)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


# Downloads


def test_a_download_is_loaded_and_not_repeated(serve, content, tmp_path):
    mirror = Mirror(content)
    url = serve(mirror)
    for _ in range(2):
        data = load(TASK, cache=tmp_path / "new", mirrors=[url], progress=False)
        assert data.path.read_bytes() == content[FILE]
    assert mirror.requests == [(file, 0) for file in LARGE_FILES]
    assert names(tmp_path / "new") == sorted(LARGE_FILES)


def test_a_download_goes_to_the_given_folder(serve, content, tmp_path):
    (tmp_path / "mine").mkdir()
    url = serve(Mirror(content))
    load(TASK, folder=tmp_path / "mine", cache=tmp_path / "no", mirrors=[url], progress=False)
    assert names(tmp_path / "mine") == sorted(LARGE_FILES) and names(tmp_path) == ["mine"]


def walk(env_id):
    """A few random steps of an ant or a humanoid, then at its goal; as a file, and the rewards."""
    env = gymnasium.make(env_id)
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    maze, rows, rewards = env.unwrapped, [], []
    for step in range(6):
        if step == 4:
            state = maze.data.qpos.copy(), maze.data.qvel.copy()
            at = -7 if "soccer" in env_id else 0  # the ball's place, or the agent's
            state[0][at : at + 2 or None] = maze.cur_goal_xy
            maze.set_state(*state)
            observation = maze.get_ob()
        action = env.action_space.sample()
        state = maze.data.qpos.copy(), maze.data.qvel.copy()
        rows.append((observation, action, step == 5, *state))
        observation, reward, *_ = env.step(action)
        rewards.append(reward)
    env.close()
    keys = ("observations", "actions", "terminals", "qpos", "qvel")
    file = io.BytesIO()
    np.savez_compressed(
        file, **dict(zip(keys, map(np.array, zip(*rows, strict=True)), strict=True))
    )
    return file.getvalue(), rewards


@pytest.mark.parametrize(
    "dataset",
    [
        "antmaze-large-navigate",
        "antmaze-giant-stitch",
        "humanoidmaze-medium-navigate",
        "antsoccer-arena-navigate",
    ],
)
def test_learned_experts_data_come_through_corrupt_and_cut_transfers(dataset, serve, tmp_path):
    """One host's files are corrupt, the other's transfers are cut, and an earlier run's was."""
    name = f"{dataset}-singletask-v0"
    file, rewards = walk(parse_name(name)[1])
    content = {f"{dataset}-v0{split}.npz": file for split in ("", "-val")}
    corrupt = Mirror({name: flip_a_byte(file, at=300) for name in content})
    cut = Mirror(content, cut_after=500, cuts=1)
    left = tmp_path / f"{dataset}-v0-val.npz.part"  # by an earlier run that was interrupted
    left.write_bytes(file[:700])
    data = load(name, cache=tmp_path, mirrors=[serve(corrupt), serve(cut)], progress=False)
    assert names(tmp_path) == sorted(content)
    assert (f"{dataset}-v0.npz", 500) in cut.requests
    assert (f"{dataset}-v0-val.npz", 700) in corrupt.requests
    assert data.path.read_bytes() == file
    assert len(data.train) == len(data.validation) == 5
    assert rewards[3:5] == [-1, 0]
    np.testing.assert_array_equal(data.train.rewards, rewards)


def test_offline_says_what_was_looked_for_and_how_to_make_it(tmp_path):
    with pytest.raises(DataError) as error:
        load(TASK, folder=tmp_path, cache=tmp_path / "cache", mirrors=[DOWN], progress=False)
    message = str(error.value)
    for part in [*LARGE_FILES, str(tmp_path), str(tmp_path / "cache"), str(shipped_data()), DOWN]:
        assert part in message
    assert f"sorl-edu collect {LARGE}-v0 --out {tmp_path}" in message
    assert names(tmp_path) == []


def test_what_cant_be_made_here_names_its_source(tmp_path):
    with pytest.raises(DataError, match=re.escape(MIRRORS[0])) as error:
        load("antmaze-large-navigate-singletask-v0", cache=tmp_path, download=False)
    assert "sorl-edu collect" not in str(error.value)


# Bad files


def with_change(large, folder, **changes):
    """A copy of the dataset with some arrays changed (or left out, for None)."""
    with np.load(large / FILE) as file:
        arrays = {key: file[key] for key in file.files} | changes
    for file in LARGE_FILES:
        np.savez(folder / file, **{k: v for k, v in arrays.items() if v is not None})


def nan_at(array, row):
    array = array.copy()
    array[row] = np.nan
    return array


BAD_ARRAYS = {
    "missing key": (lambda a: {"actions": None}, "lacks actions"),
    "missing qpos": (lambda a: {"qpos": None}, "lacks qpos"),
    "NaN state": (lambda a: {"observations": nan_at(a["observations"], 7)}, "row 7"),
    "NaN action": (lambda a: {"actions": nan_at(a["actions"], 8)}, "row 8"),
    "NaN qpos": (lambda a: {"qpos": nan_at(a["qpos"], 9)}, "row 9"),
    "wide state": (lambda a: {"observations": np.ones((603, 29))}, r"needs \(rows, 2\)"),
    "narrow action": (lambda a: {"actions": a["actions"][:, :1]}, r"needs \(rows, 2\)"),
    "wide qpos": (lambda a: {"qpos": np.ones((603, 15))}, r"needs \(rows, 2\)"),
    "flat state": (lambda a: {"observations": a["observations"][:, 0]}, r"needs \(rows, 2\)"),
    "large action": (lambda a: {"actions": 2 * a["actions"]}, r"\[-1, 1\]"),
    "too few actions": (lambda a: {"actions": a["actions"][:-1]}, "602"),
    "too few terminals": (lambda a: {"terminals": a["terminals"][1:]}, "602"),
    "no end": (lambda a: {"terminals": np.zeros(603, bool)}, "terminals"),
    "objects": (lambda a: {"actions": np.array([{}] * 603)}, "other things than numbers"),
    "text": (lambda a: {"actions": np.full((603, 2), "left")}, "not numbers"),
    "no rows": (lambda a: {key: value[:0] for key, value in a.items()}, "no rows"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_refused(case, large, tmp_path):
    change, message = BAD_ARRAYS[case]
    with np.load(large / FILE) as file:
        with_change(large, tmp_path, **change({key: file[key] for key in file.files}))
    with pytest.raises(DataError, match=message) as error:
        load(TASK, folder=tmp_path, download=False)
    assert str(tmp_path / FILE) in str(error.value) and "Delete or replace it" in str(error.value)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "npy"])
def test_damaged_files_are_refused(damage, content, tmp_path):
    np.save(tmp_path / "array.npy", np.ones(3))
    bad = {
        "empty": b"",
        "truncated": content[FILE][: len(content[FILE]) // 2],
        "flipped": flip_a_byte(content[FILE]),
        "text": b"no zip at all",
        "npy": (tmp_path / "array.npy").read_bytes(),
    }[damage]
    (tmp_path / LARGE_FILES[0]).write_bytes(content[LARGE_FILES[0]])
    (tmp_path / LARGE_FILES[1]).write_bytes(bad)
    with pytest.raises(DataError, match=r"cut short|damaged") as error:
        load(TASK, folder=tmp_path, download=False)
    assert str(tmp_path / LARGE_FILES[1]) in str(error.value)


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


def test_loading_a_file_never_runs_what_is_pickled_in_it(large, tmp_path):
    with_change(large, tmp_path, observations=np.array([Bomb()] * 603, object))
    with pytest.raises(DataError):
        load(TASK, folder=tmp_path, download=False)
    assert not Bomb.exploded
