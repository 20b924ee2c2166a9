"""Collected data against OGBench's environments, its own loader, and its published figures.

Mazes, and what all collections share: `test_collect_manipulation.py` has the robots.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import ogbench
import pytest

from sorl_edu.datasets import collect as collecting
from sorl_edu.datasets import mazes
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.datasets.recipes import RECIPES, Recipe
from sorl_edu.environments.make import DATASETS
from sorl_edu.errors import ConfigError, DataError
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
    """A million transitions each; the robots' files have 1,001,000 rows."""
    made_here = ("pointmaze", "cube-single", "cube-double", "scene")
    assert set(RECIPES) == {name for name in DATASETS if name.startswith(made_here)}
    for name, recipe in RECIPES.items():
        assert recipe.episodes * (recipe.max_episode_steps - 1) == 1_000_000
        assert recipe.env in gymnasium.registry
        assert recipe.random_actions == (0.1 if "noisy" in name else 0)
        if not name.startswith("pointmaze"):
            assert recipe.episodes * recipe.max_episode_steps == 1_001_000


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
    assert sum(array.nbytes for array in arrays.values()) == 2002 * RECIPES[MEDIUM].row_bytes


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
    collector = mazes.MazeCollector(Recipe("pointmaze-medium-v0", "stitch", 1, 2, 0.5, 33))

    def first_actions(noise):
        seeds = np.random.SeedSequence(0).spawn(500)
        return np.array([collector.episode(noise, seed)[0]["actions"] for seed in seeds])

    clean, noisy = first_actions(0.0), first_actions(0.1)
    np.testing.assert_allclose(np.linalg.norm(clean, axis=1), 1, atol=1e-5)
    residual = (noisy - clean)[np.abs(clean) < 0.5]  # far from where actions are clipped
    assert abs(residual.mean()) < 5 * 0.1 / np.sqrt(residual.size)
    assert residual.std() == pytest.approx(0.1, rel=0.08)


@pytest.mark.parametrize("maze", ["medium", "giant", "teleport"])
def test_the_cached_oracle_is_ogbenchs(maze):
    env = gymnasium.make(f"pointmaze-{maze}-v0").unwrapped
    oracle = mazes.shortest_path_oracle(env)
    rng = np.random.default_rng(0)
    cells = mazes.free_cells(env.maze_map)
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
    for start in mazes.free_cells(env.maze_map):
        xy = env.ij_to_xy(start)
        distances = env.get_oracle_subgoal(xy, xy)[1]
        for distance in (1, 4, 9):
            found = mazes.cells_at_distance(env.maze_map, start, distance)
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
    assert mazes.vertex_cells(maze) == [(1, 1), (1, 3), (1, 4), (3, 3)]


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
        ({"name": "antmaze-medium-navigate-v0"}, "is downloaded when it is first loaded"),
        ({"name": "humanoidmaze-medium-stitch-v0"}, "is downloaded"),
        ({"name": "antsoccer-arena-navigate-v0"}, "is downloaded"),
        ({"name": "puzzle-3x3-play-v0"}, "unknown dataset to collect"),
        ({"episodes": 0}, "episodes is 0"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"noise": float("inf")}, "noise is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": -2}, "workers is -2"),
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
    with pytest.raises(ConfigError, match="exists already"):
        collect(STITCH, tmp_path, episodes=1, progress=False)
    assert [file.name for file in tmp_path.iterdir()] == [f"{STITCH}-val.npz"]
    _, validation = collect(STITCH, tmp_path, episodes=1, overwrite=True, progress=False)
    assert zipfile.is_zipfile(validation)


# What was stopped goes on


def contents(folder):
    """Names and bytes of all that a folder holds, hidden files too."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.fixture
def short(monkeypatch):
    """Stitch episodes of three rows."""
    recipe = Recipe("pointmaze-medium-v0", "stitch", 5000, 3, 0.5, 33)
    monkeypatch.setitem(RECIPES, STITCH, recipe)


@pytest.fixture
def unstopped(short, tmp_path):
    collect(STITCH, tmp_path / "unstopped", episodes=2, progress=False)
    return contents(tmp_path / "unstopped")


class Killed(BaseException):
    pass


class Disk:
    """Counts the operations that change what is on the disk; from the `limit`-th on none is done.

    So nothing is tidied up afterwards, as after SIGKILL.
    """

    def __init__(self, limit, monkeypatch):
        self.limit, self.count = limit, 0
        for place, name in [
            (os, "replace"),
            (os, "rmdir"),
            (os, "unlink"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (Path, "write_text"),
            (np, "savez"),
            (np, "savez_compressed"),
        ]:
            monkeypatch.setattr(place, name, self.counted(getattr(place, name)))

    def counted(self, operation):
        def run(*args, **kwargs):
            self.count += 1
            if self.count > self.limit:
                raise Killed
            return operation(*args, **kwargs)

        return run


def test_killed_at_any_point_it_goes_on_to_the_same_files(unstopped, tmp_path):
    killed, limit = True, 0
    while killed:
        folder = tmp_path / f"killed{limit}"
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(limit, patch)
            try:
                collect(STITCH, folder, episodes=2, progress=False)
                killed = False
            except Killed:
                killed = True
        with suppress(ConfigError):  # all is there already
            collect(STITCH, folder, episodes=2, progress=False)
        assert contents(folder) == unstopped, limit
        limit += 1
    assert limit > 20 and disk.count == limit - 1


def test_a_full_disk_leaves_the_parts_to_go_on_from(unstopped, tmp_path, monkeypatch):
    save = np.savez_compressed

    def disk_full_at_the_training_file(file, **arrays):
        if "val" not in file.name:
            file.write_bytes(b"half")
            raise OSError("no space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", disk_full_at_the_training_file)
    with pytest.raises(OSError, match="no space left"):
        collect(STITCH, tmp_path / "new", episodes=2, progress=False)
    assert set(contents(tmp_path / "new")) == {f"{STITCH}.parts"}
    monkeypatch.setattr(np, "savez_compressed", save)
    collect(STITCH, tmp_path / "new", episodes=2, progress=False)
    assert contents(tmp_path / "new") == unstopped


def running(group):
    """Processes of a group that are no zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(stat.parent.name)
    return found


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.thorough
def test_a_process_that_was_killed_takes_its_workers_along_and_goes_on(tmp_path):
    """SIGKILL in the middle, SIGINT (Ctrl-C) in the middle of the rest; here it goes on."""
    folder, episodes = tmp_path / "killed", 150
    program = [sys.executable, "-c", "import sys; from sorl_edu.cli import main; sys.exit(main())"]
    words = ["collect", STITCH, "--episodes", str(episodes), "--workers", "2", "--out", str(folder)]

    def start():
        return subprocess.Popen(
            [*program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A test in a shell's background is run with Ctrl-C ignored, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def parts():
        return len(list((folder / f"{STITCH}.parts").glob("[tv]*.npz")))

    process = start()
    wait_until(lambda: parts() >= 5)
    process.kill()
    process.communicate()
    if Path("/proc").exists():
        wait_until(lambda: not running(process.pid))
    killed_at = parts()
    assert 5 <= killed_at < episodes
    assert set(contents(folder)) == {f"{STITCH}.parts"}

    process = start()
    wait_until(lambda: parts() >= killed_at + 5)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: to the workers, too
    output, errors = process.communicate(timeout=60)
    told = process.returncode, output, errors
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors, told
    assert (
        f"{killed_at} episodes are finished already." in output
        and "MB in all" in output.splitlines()[0]
    )
    assert killed_at + 5 <= parts() < episodes + episodes // 10

    for there in (folder, tmp_path / "unstopped"):
        collect(STITCH, there, episodes=episodes, progress=False)
    assert contents(folder) == contents(tmp_path / "unstopped")


def stop_after(parts, monkeypatch):
    """A collection is stopped when so many parts are written."""
    make, made = collecting._make_part, []

    def make_some(*args):
        if len(made) == parts:
            raise KeyboardInterrupt
        make(*args)
        made.append(args)

    monkeypatch.setattr(collecting, "_make_part", make_some)


@pytest.fixture
def begun(short, tmp_path):
    """A folder with two parts of three."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            collect(STITCH, tmp_path / "begun", episodes=2, progress=False)
    return tmp_path / "begun"


def test_only_what_is_missing_is_made(begun, unstopped, monkeypatch, capsys):
    stop_after(1, monkeypatch)
    collect(STITCH, begun, episodes=2)
    assert "2 episodes are finished already" in capsys.readouterr().out
    assert contents(begun) == unstopped


def test_more_episodes_can_be_asked_for_on_the_way(begun, tmp_path):
    collect(STITCH, begun, episodes=4, progress=False)
    collect(STITCH, tmp_path / "four", episodes=4, progress=False)
    assert contents(begun) == contents(tmp_path / "four")


@pytest.mark.parametrize(
    "change, theirs", [({"noise": 0.25}, "noise 0.5"), ({"seed": 7}, "seed 0")]
)
def test_the_parts_of_another_collection_are_refused(change, theirs, begun):
    before = contents(begun / f"{STITCH}.parts")
    with pytest.raises(ConfigError, match=f"begun with {theirs}: finish it with the same values"):
        collect(STITCH, begun, episodes=2, progress=False, **change)
    assert contents(begun / f"{STITCH}.parts") == before


def test_parts_of_other_versions_are_refused(begun):
    told = begun / f"{STITCH}.parts" / collecting.MANIFEST
    told.write_text(told.read_text().replace(version("mujoco"), "3.1.6"))
    with pytest.raises(ConfigError, match="begun with mujoco 3.1.6: finish it with the same"):
        collect(STITCH, begun, episodes=2, progress=False)


def test_a_folder_of_other_things_is_refused(short, tmp_path):
    (tmp_path / f"{STITCH}.parts").mkdir()
    (tmp_path / f"{STITCH}.parts" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="holds files of something else"):
        collect(STITCH, tmp_path, episodes=1, progress=False)
    assert contents(tmp_path / f"{STITCH}.parts") == {"thesis.tex": b"mine"}


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_part_is_named_and_made_again_once_deleted(damage, begun, unstopped):
    part = begun / f"{STITCH}.parts" / "train-00001.npz"
    whole = part.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:180] + bytes([whole[180] ^ 255]) + whole[181:],
        "text": b"no zip at all",
    }
    part.write_bytes(damaged[damage])
    with pytest.raises(DataError, match="train-00001.npz' is damaged .*: delete it"):
        collect(STITCH, begun, episodes=2, progress=False)
    part.unlink()
    collect(STITCH, begun, episodes=2, progress=False)
    assert contents(begun) == unstopped


def test_a_damaged_sign_is_told_in_words(begun):
    (begun / f"{STITCH}.parts" / collecting.MANIFEST).write_bytes(b"")
    with pytest.raises(DataError, match="collection.json' is damaged: delete .*parts'"):
        collect(STITCH, begun, episodes=2, progress=False)


@pytest.mark.thorough
def test_a_killed_worker_is_told_in_words(short, tmp_path, monkeypatch):
    class Pool(collecting.ProcessPoolExecutor):
        def submit(self, *args):
            return super().submit(os._exit, 1)

    monkeypatch.setattr(collecting, "ProcessPoolExecutor", Pool)
    with pytest.raises(ChildProcessError, match="resume with the same command"):
        collect(STITCH, tmp_path, episodes=2, workers=2, progress=False)


@pytest.mark.thorough
def test_workers_collect_where_there_are_no_signal_masks(unstopped, tmp_path, monkeypatch):
    """As on Windows, which has neither masks nor the modules of POSIX."""
    monkeypatch.delattr(signal, "pthread_sigmask")
    collect(STITCH, tmp_path / "windows", episodes=2, workers=2, progress=False)
    assert contents(tmp_path / "windows") == unstopped


def test_the_collectors_import_without_the_modules_of_posix(tmp_path):
    program = """
        import sys, signal, os
        for name in ("resource", "fcntl", "pwd", "grp", "termios"):
            sys.modules[name] = None
        for name in ("fork", "killpg", "getuid", "setsid", "sched_getaffinity"):
            if hasattr(os, name):
                delattr(os, name)
        for name in ("SIGKILL", "pthread_sigmask", "SIGHUP", "SIG_BLOCK", "SIG_SETMASK"):
            delattr(signal, name)
        from sorl_edu.datasets.collect import collect
        collect("pointmaze-medium-stitch-v0", sys.argv[1], episodes=1, progress=False)
    """
    words = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.cases(1)
def test_numpys_integers_are_integers(workers, short, unstopped, tmp_path):
    numbers = np.array([2, 0, workers])
    episodes, seed, workers = numbers
    collect(STITCH, tmp_path / "n", episodes=episodes, seed=seed, workers=workers, progress=False)
    assert contents(tmp_path / "n") == unstopped


def shipped_manifest(folder="."):
    return json.loads((shipped_data() / folder / "manifest.json").read_text())


@pytest.mark.parametrize("folder", [".", "narrow"])
def test_the_manifest_describes_what_is_shipped(folder):
    manifest, place = shipped_manifest(folder), shipped_data() / folder
    assert {name for name in manifest if name.endswith(".npz")} == {
        path.name for path in place.glob("*.npz")
    }
    for file, entry in manifest.items():
        path = place / file
        assert file_sha256(path) == entry["sha256"]
        assert path.stat().st_size == entry["bytes"]
        assert len(arrays_of(path)["terminals"]) == entry["rows"]
        assert entry["command"].startswith("sorl-edu collect ") and entry["versions"]["mujoco"]


def test_actions_of_the_narrow_data_lie_on_a_ring_and_those_of_the_broad_data_do_not():
    short = {}
    for folder in (".", "narrow"):
        actions = arrays_of(shipped_data() / folder / f"{MEDIUM}.npz")["actions"]
        short[folder] = np.mean(np.linalg.norm(actions, axis=1) < 0.5)
    assert short["narrow"] == 0 and short["."] > 0.05
    assert "--noise 0.1" in shipped_manifest("narrow")[f"{MEDIUM}.npz"]["command"]


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
    other = {"seed": 7, "sha256": "ab" * 32}
    (tmp_path / "manifest.json").write_text(json.dumps({"other.npz": other}))
    (tmp_path / stitch[0].name).write_bytes(stitch[0].read_bytes())
    add_to_manifest(tmp_path, stitch[0].name, "sorl-edu collect ...", seed=0)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["other.npz"] == other
    assert manifest[stitch[0].name]["seed"] == 0
    assert manifest[stitch[0].name]["sha256"] == file_sha256(stitch[0])
