"""Collected data against OGBench's environments, its own loader, and its published figures."""

import json
import zipfile
from importlib.metadata import version

import gymnasium
import numpy as np
import ogbench
import pytest

from sorl_edu.datasets import collect as collecting
from sorl_edu.datasets.collect import RECIPES, Recipe, collect, collect_episode
from sorl_edu.datasets.ogbench import DATASETS, shipped_data
from sorl_edu.errors import ConfigError
from sorl_edu.files import add_to_manifest, file_sha256

MEDIUM = "pointmaze-medium-navigate-v0"
STITCH = "pointmaze-medium-stitch-v0"


def arrays_of(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def assert_same(left, right, rows=None):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key][:rows], right[key][:rows], err_msg=key)


@pytest.fixture(scope="module")
def medium(tmp_path_factory):
    return collect(MEDIUM, tmp_path_factory.mktemp("medium"), episodes=2, progress=False)


@pytest.fixture(scope="module")
def stitch(tmp_path_factory):
    return collect(STITCH, tmp_path_factory.mktemp("stitch"), episodes=20, progress=False)


def episodes_of(path, key):
    arrays = arrays_of(path)
    ends = np.flatnonzero(arrays["terminals"]) + 1
    return np.split(arrays[key], ends[:-1])


def test_recipes_give_the_published_sizes():
    assert set(RECIPES) == {name for name in DATASETS if name.startswith("pointmaze")}
    for recipe in RECIPES.values():
        assert recipe.episodes * (recipe.max_episode_steps - 1) == 1_000_000
        assert recipe.env in gymnasium.registry


def test_the_same_seed_gives_the_same_arrays_whatever_numpys_global_state(medium, tmp_path):
    np.random.seed(123)
    before = np.random.get_state()[1].copy()
    again = collect(MEDIUM, tmp_path, episodes=2, progress=False)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    for left, right in zip(medium, again, strict=True):
        assert_same(arrays_of(left), arrays_of(right))
        assert left.read_bytes() == right.read_bytes()


def test_teleports_are_reproducible_too(tmp_path):
    """Where a teleport leads is drawn from numpy's global generator; this seed has one."""
    name = "pointmaze-teleport-navigate-v0"
    left, right = (collect(name, tmp_path / k, episodes=1, seed=5, progress=False)[0] for k in "ab")
    assert_same(arrays_of(left), arrays_of(right))
    jumps = np.linalg.norm(np.diff(arrays_of(left)["qpos"], axis=0), axis=1)
    assert jumps.max() > 4  # a step is at most 0.2 sqrt(2) without a teleport


def test_a_small_collection_is_the_beginning_of_a_large_one(medium, tmp_path):
    train, validation = collect(MEDIUM, tmp_path, episodes=1, progress=False)
    assert_same(arrays_of(train), arrays_of(medium[0]), rows=1001)
    assert_same(arrays_of(validation), arrays_of(medium[1]))


def test_seeds_episodes_and_splits_differ(medium, tmp_path):
    first, second = episodes_of(medium[0], "actions")
    (validation,) = episodes_of(medium[1], "actions")
    other, _ = collect(MEDIUM, tmp_path, episodes=1, seed=1, progress=False)
    (other,) = episodes_of(other, "actions")
    for left, right in [(first, second), (first, validation), (first, other)]:
        assert np.mean(left == right) < 0.5  # clipped actions may agree


def test_files_have_the_official_layout(medium):
    arrays = arrays_of(medium[0])
    assert {key: (array.shape, array.dtype.name) for key, array in arrays.items()} == {
        "observations": ((2002, 2), "float32"),
        "actions": ((2002, 2), "float32"),
        "qpos": ((2002, 2), "float32"),
        "qvel": ((2002, 2), "float32"),
        "terminals": ((2002,), "bool"),
    }
    np.testing.assert_array_equal(np.flatnonzero(arrays["terminals"]), [1000, 2001])
    np.testing.assert_array_equal(arrays["observations"], arrays["qpos"])
    assert np.abs(arrays["actions"]).max() <= 1


def test_ogbench_loads_the_files(medium):
    name = MEDIUM.replace("-v0", "-singletask-v0")
    env, train, validation = ogbench.make_env_and_datasets(name, dataset_path=str(medium[0]))
    env.close()
    assert len(train["observations"]) == 2000 and len(validation["observations"]) == 1000
    assert train["observations"].shape == train["next_observations"].shape
    assert set(np.unique(train["rewards"])) <= {-1.0, 0.0}


@pytest.mark.parametrize("files, maze", [("medium", "medium"), ("stitch", "medium")])
def test_stored_transitions_are_those_of_the_environment(files, maze, request):
    """Put each stored state back, take its action: the environment arrives at the next state."""
    path = request.getfixturevalue(files)[0]
    arrays = arrays_of(path)
    env = gymnasium.make(f"pointmaze-{maze}-v0").unwrapped
    env.reset()
    rows = np.flatnonzero(~arrays["terminals"])[::10]
    for row in rows:
        env.set_state(arrays["qpos"][row].astype(float), arrays["qvel"][row].astype(float))
        arrived = env.step(arrays["actions"][row].astype(float))[0]
        np.testing.assert_allclose(arrived, arrays["observations"][row + 1], atol=1e-4)
    env.close()


def test_stitch_episodes_start_and_end_four_cells_apart_without_noise(tmp_path):
    path, _ = collect(STITCH, tmp_path, episodes=8, noise=0.0, progress=False)
    env = gymnasium.make("pointmaze-medium-v0").unwrapped
    for episode in episodes_of(path, "qpos"):
        start, end = env.xy_to_ij(episode[0]), env.xy_to_ij(episode[-1])
        # OGBench's own search says how far the cells are from the last one.
        distance = env.get_oracle_subgoal(env.ij_to_xy(start), env.ij_to_xy(end))[1][start]
        assert distance == 4
    env.close()


def test_noise_is_gaussian_around_the_oracles_unit_vector():
    recipe = Recipe("pointmaze-medium-v0", "stitch", 1, 2)
    env, oracle = collecting._make_env_and_oracle(recipe)

    def first_actions(noise):
        seeds = np.random.SeedSequence(0).spawn(500)
        episodes = [collect_episode(env, oracle, recipe, noise, seed) for seed in seeds]
        return np.array([episode["actions"][0] for episode in episodes])

    clean, noisy = first_actions(0.0), first_actions(0.1)
    env.close()
    np.testing.assert_allclose(np.linalg.norm(clean, axis=1), 1, atol=1e-5)
    residual = (noisy - clean)[np.abs(clean) < 0.5]  # far from where actions are clipped
    assert abs(residual.mean()) < 5 * 0.1 / np.sqrt(residual.size)
    assert residual.std() == pytest.approx(0.1, rel=0.08)


@pytest.mark.parametrize("maze", ["medium", "giant", "teleport"])
def test_the_cached_oracle_is_ogbenchs(maze):
    env = gymnasium.make(f"pointmaze-{maze}-v0").unwrapped
    oracle = collecting.shortest_path_oracle(env)
    rng = np.random.default_rng(0)
    cells = collecting.free_cells(env.maze_map)
    for _ in range(300):
        position, goal = (
            np.add(env.ij_to_xy(cells[rng.integers(len(cells))]), rng.uniform(-1.9, 1.9, 2))
            for _ in range(2)
        )
        direction = env.get_oracle_subgoal(position, goal)[0] - position
        expected = direction / (np.linalg.norm(direction) + 1e-6)
        np.testing.assert_array_equal(oracle(position, goal), expected)
    env.close()


def test_cells_at_a_distance_are_those_of_ogbenchs_search():
    env = gymnasium.make("pointmaze-large-v0").unwrapped
    for start in collecting.free_cells(env.maze_map):
        xy = env.ij_to_xy(start)
        distances = env.get_oracle_subgoal(xy, xy)[1]
        for distance in (1, 4, 9):
            found = collecting.cells_at_distance(env.maze_map, start, distance)
            assert sorted(found) == sorted(map(tuple, np.argwhere(distances == distance)))
    env.close()


def test_vertices_leave_out_the_middle_of_hallways():
    maze = 1 - np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 1, 0],
            [0, 0, 0, 1, 0, 0],
            [0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    # Dead ends (1, 1), (1, 4) and (3, 3), the junction (1, 3); not (1, 2), (2, 3).
    assert collecting.vertex_cells(maze) == [(1, 1), (1, 3), (1, 4), (3, 3)]


def test_navigate_goals_change_when_reached_and_stitch_goals_stay(medium, stitch):
    """Paths have fewer than 20 cells of 20 steps; after 500 steps only new goals keep it going."""
    env = gymnasium.make("pointmaze-medium-v0").unwrapped
    late = [e[500:] for path in medium for e in episodes_of(path, "qpos")]
    assert all(len({env.xy_to_ij(xy) for xy in episode}) > 10 for episode in late)
    late = [e[-50:] for e in episodes_of(stitch[0], "qpos")]
    assert all(len({env.xy_to_ij(xy) for xy in episode}) <= 3 for episode in late)
    env.close()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "pointmaze-medium-navigat-v0"}, f"Did you mean {MEDIUM}"),
        ({"name": "antmaze-medium-navigate-v0"}, "pointmaze-medium-navigate-v0"),
        ({"episodes": 0}, "episodes is 0"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_input_is_refused_before_any_work(change, message, tmp_path):
    arguments = {"name": MEDIUM, "out": tmp_path / "new", "episodes": 1} | change
    with pytest.raises(ConfigError, match=message):
        collect(**arguments, progress=False)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cant_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="can't make the folder"):
            collect(MEDIUM, out, episodes=1, progress=False)


def test_files_that_are_there_are_kept_unless_told_otherwise(tmp_path):
    (tmp_path / f"{STITCH}-val.npz").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        collect(STITCH, tmp_path, episodes=1, progress=False)
    assert [file.name for file in tmp_path.iterdir()] == [f"{STITCH}-val.npz"]
    _, validation = collect(STITCH, tmp_path, episodes=1, overwrite=True, progress=False)
    assert zipfile.is_zipfile(validation)


def test_an_interrupted_collection_leaves_no_file(tmp_path, monkeypatch):
    save = np.savez_compressed

    def disk_full_at_the_second_file(file, **arrays):
        if "val" in file.name:
            file.write_bytes(b"half")
            raise OSError("no space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", disk_full_at_the_second_file)
    with pytest.raises(OSError, match="no space left"):
        collect(STITCH, tmp_path, episodes=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def shipped_manifest():
    return json.loads((shipped_data() / "manifest.json").read_text())


def test_the_manifest_describes_what_is_shipped():
    manifest = shipped_manifest()
    assert {name for name in manifest if name.endswith(".npz")} == {
        path.name for path in shipped_data().glob("*.npz")
    }
    for file, entry in manifest.items():
        path = shipped_data() / file
        assert file_sha256(path) == entry["sha256"]
        assert path.stat().st_size == entry["bytes"]
        assert len(arrays_of(path)["terminals"]) == entry["rows"]
        assert entry["command"].startswith("sorl-edu collect ") and entry["versions"]["mujoco"]


def test_the_shipped_pointmaze_data_take_at_most_6_mb():
    sizes = [path.stat().st_size for path in shipped_data().glob("pointmaze-*.npz")]
    assert sum(sizes) <= 6_000_000


def test_the_shipped_data_come_from_their_command(medium):
    entry = shipped_manifest()[f"{MEDIUM}.npz"]
    if any(version(name) != entry["versions"][name] for name in ("numpy", "mujoco", "ogbench")):
        pytest.skip("made with other versions, whose physics may differ in the last digit")
    assert entry["seed"] == 0
    for path in medium:
        collected = arrays_of(path)
        assert_same(arrays_of(shipped_data() / path.name), collected, len(collected["terminals"]))


def test_a_manifest_keeps_its_other_entries(stitch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"other.npz": {"seed": 7}}')
    (tmp_path / stitch[0].name).write_bytes(stitch[0].read_bytes())
    add_to_manifest(tmp_path, stitch[0].name, "sorl-edu collect ...", seed=0)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["other.npz"] == {"seed": 7}
    assert manifest[stitch[0].name]["seed"] == 0
    assert manifest[stitch[0].name]["sha256"] == file_sha256(stitch[0])
