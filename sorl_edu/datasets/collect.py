"""Making offline data: OGBench's datasets, by its own oracles and published recipes.

Scripts of OGBench made the official files; this module follows the same recipes, so that the course
has real data without a download. What happens in an episode is told in `maze_episodes.py` and
`manipulation_episodes.py`; here is what they share:

    for each episode, on any of the cores:
        seeds = SeedSequence(seed, split, number of the episode)
        write what the collector makes of them to OUT/NAME.parts/
    join the parts there, move both files to OUT, remove the parts

Every episode has its own seeds and depends on nothing else. So the result is the same however many
cores take part, the first k episodes of a large collection are the collection of k episodes, and a
collection that was stopped, at whatever moment, goes on from the parts that are there.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sorl_edu import __version__
from sorl_edu.datasets.manipulation import ManipulationCollector
from sorl_edu.datasets.mazes import MazeCollector
from sorl_edu.errors import DataError, UnknownName, check
from sorl_edu.files import appearing, make_folder
from sorl_edu.progress import progress_bar

Part = tuple[int, int]  # split (0: training, 1: validation) and number of an episode


@dataclass(frozen=True)
class Recipe:
    """How one official dataset is made."""

    env: str
    """Gymnasium id of the environment."""
    kind: str
    """In mazes how goals are drawn, 'navigate' or 'stitch'; else the oracle, 'play' or 'noisy'."""
    episodes: int
    """Number of training episodes; a tenth as many more are for validation."""
    max_episode_steps: int
    """States per episode (one more than its transitions)."""
    noise: float
    """How noisy actions are, which live in [-1, 1]; what it means, the collectors say."""
    row_bytes: int
    """Bytes of a row in memory, and in a part."""
    random_actions: float = 0.0
    """The share of actions that are drawn at random."""


RECIPES: dict[str, Recipe] = {
    f"pointmaze-{maze}-{kind}-v0": Recipe(f"pointmaze-{maze}-v0", kind, episodes, steps, 0.5, 33)
    for maze, kind, episodes, steps in [
        ("medium", "navigate", 1000, 1001),
        ("large", "navigate", 1000, 1001),
        ("giant", "navigate", 500, 2001),
        ("teleport", "navigate", 1000, 1001),
        ("medium", "stitch", 5000, 201),
        ("large", "stitch", 5000, 201),
        ("giant", "stitch", 5000, 201),
        ("teleport", "stitch", 5000, 201),
    ]
} | {
    f"{env}-{kind}-v0": Recipe(f"{env}-v0", kind, 1000, 1001, 0.1, row_bytes, random_actions)
    for env, row_bytes in [("cube-single", 297), ("cube-double", 385), ("scene", 393)]
    for kind, random_actions in [("play", 0.0), ("noisy", 0.1)]
}
"""Official dataset name -> recipe, from OGBench's `data_gen_scripts/commands.sh`."""

TOLD = "collection.json"  # in the folder of the parts: of which collection they are


def collect(
    name: str,
    out: str | os.PathLike,
    *,
    episodes: int | None = None,
    noise: float | None = None,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[Path, Path]:
    """Collect a dataset and write it in OGBench's file format.

    Finished episodes are kept in `out/NAME.parts/` until all are there; a call that finds those of
    its own collection goes on with the others.

    Args:
        name: an official dataset name, one of `RECIPES`.
        out: folder for the files, made if it isn't there.
        episodes: training episodes (at least 1); a tenth as many more (at least 1) are for
            validation. None is the official count.
        noise: how noisy actions are (at least 0). None is the official value.
        seed: the same seed (at least 0) and versions give the same arrays, bit for bit.
        workers: processes that collect at once (at least 1), of 0.7 GB each for robots; what they
            make does not depend on their number. A script that asks for several needs
            `if __name__ == "__main__":`, since they import it.
        overwrite: replace files of the same name; otherwise a collection that begins refuses them.
        progress: say what is collected, and show a progress bar with the time left.

    Returns:
        The paths `out/NAME.npz` and `out/NAME-val.npz`, each a whole file as soon as it is there.
        Rows are states in time order: observations (T, S), actions (T, A), qpos (T, P), qvel
        (T, V), all float32, and terminals (T,) bool, True in the row of an episode's last state; in
        scenes also button_states (T, 2), int64.

    Raises:
        UnknownName: no recipe of this name.
        ConfigError: a dataset that comes by download, a number out of range, a folder that can't be
            written to, or one that holds the parts of another collection.
        DataError: a part is damaged, or there is too much noise for a healthy episode.
        ChildProcessError: a worker was killed.
    """
    check(
        not name.startswith(("antmaze", "humanoidmaze", "antsoccer")),
        f"'{name}' was made by experts that were learned: it is downloaded when it is first loaded",
    )
    if name not in RECIPES:
        raise UnknownName("dataset to collect", name, RECIPES)
    recipe = RECIPES[name]
    episodes = recipe.episodes if episodes is None else episodes
    noise = recipe.noise if noise is None else noise
    check(episodes >= 1, f"episodes is {episodes}; it must be at least 1")
    check(0 <= noise < np.inf, f"noise is {noise}; it must be a finite number, at least 0")
    check(seed >= 0, f"seed is {seed}; it must be at least 0")
    check(workers >= 1, f"workers is {workers}; it must be at least 1")
    folder = Path(out).expanduser()
    paths = folder / f"{name}.npz", folder / f"{name}-val.npz"
    parts = folder / f"{name}.parts"
    _begin(parts, name, float(noise), int(seed), () if overwrite else paths)

    counts = (episodes, max(1, episodes // 10))
    wanted = [(split, i) for split, count in enumerate(counts) for i in range(count)]
    missing = [part for part in wanted if not _part_file(parts, part).exists()]
    there = len(wanted) - len(missing)
    if progress:
        size = len(wanted) * recipe.max_episode_steps * recipe.row_bytes / 1e6
        print(
            f"{name}: {counts[0]} episodes of {recipe.max_episode_steps} rows and {counts[1]} for "
            f"validation. Finished ones are kept in {parts} ({size:.0f} MB in all): stop at any "
            "time, and the same command goes on." + f" {there} are there." * (there > 0),
            flush=True,
        )
    with progress_bar(
        total=len(wanted), initial=there, desc=name, unit="episode", show=progress
    ) as bar:
        _make_parts(recipe, noise, seed, parts, missing, workers, bar.update)
        bar.set_description(f"{name}: joining")
        _finish(parts, counts, paths)
    return paths


def make_collector(recipe: Recipe) -> MazeCollector | ManipulationCollector:
    """What makes the episodes of a recipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW's, where there is no display; nothing is drawn here
        return (MazeCollector if "maze" in recipe.env else ManipulationCollector)(recipe)


def as_arrays(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows of one episode as columns of the official types, with its terminals."""
    types = dict.fromkeys(rows[0], np.float32) | {"button_states": np.int64}
    episode = {key: np.array([row[key] for row in rows], types[key]) for key in rows[0]}
    return episode | {"terminals": np.arange(len(rows)) == len(rows) - 1}


def _make_parts(
    recipe: Recipe,
    noise: float,
    seed: int,
    folder: Path,
    parts: list[Part],
    workers: int,
    done: Callable[[], object],
) -> None:
    """Makes and writes episodes, in no particular order; calls `done` after each."""
    workers = min(workers, len(parts))
    if workers == 1:
        _take(recipe)
        for part in parts:
            _make_part(noise, seed, folder, part)
            done()
    elif workers > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _start_worker, (recipe,)) as pool:
            try:
                with _no_interrupt():  # submitting starts the workers
                    futures = [pool.submit(_make_part, noise, seed, folder, part) for part in parts]
                for future in as_completed(futures):
                    future.result()
                    done()
            except BrokenProcessPool:
                raise ChildProcessError(
                    "a worker was killed, perhaps for want of memory; the same command goes on, "
                    "and fewer workers need less memory"
                ) from None
            finally:  # after an interrupt the episodes in progress are finished, and no more begun
                pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C waits for the end of this; processes that are started in it never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_collector: MazeCollector | ManipulationCollector  # of this process


def _take(recipe: Recipe) -> None:
    global _collector
    _collector = make_collector(recipe)


def _start_worker(recipe: Recipe) -> None:
    """A worker leaves interrupts to the process that started it, and ends when that one does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _take(recipe)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_part(noise: float, seed: int, folder: Path, part: Part) -> None:
    episode = as_arrays(_collector.episode(noise, np.random.SeedSequence(seed, spawn_key=part)))
    with appearing(_part_file(folder, part)) as beside:
        np.savez(beside, **episode)


def _part_file(folder: Path, part: Part) -> Path:
    split, episode = part
    return folder / f"{('train', 'val')[split]}-{episode:05d}.npz"


def _finish(parts: Path, counts: tuple[int, int], paths: tuple[Path, Path]) -> None:
    """Joins the parts into both files, moves these to their places, removes the parts.

    When it is stopped on the way and called again, it ends the same: the files are moved when both
    are whole (the training file last: who sees that sees both), and the parts stay until then.
    """
    for split, path in enumerate(paths):
        with appearing(parts / path.name) as beside:
            np.savez_compressed(beside, **_joined(parts, split, counts[split]))
    for path in reversed(paths):
        os.replace(parts / path.name, path)
    os.replace(parts, _trash(parts))
    shutil.rmtree(_trash(parts))


def _joined(folder: Path, split: int, count: int) -> dict[str, np.ndarray]:
    """The episodes of a split, one after the other."""
    episodes = [_read(_part_file(folder, (split, i))) for i in range(count)]
    return {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"'{file}' is damaged ({error}): delete it, and the same command makes it again"
        ) from None


def _begin(parts: Path, name: str, noise: float, seed: int, keep: Iterable[Path]) -> None:
    """Makes the folder of the parts, or finds that of the same collection.

    Raises ConfigError for another collection's folder, or, if this one begins, for a file to keep.
    """
    ours = {"dataset": name, "noise": noise, "seed": seed, "sorl-edu": __version__} | {
        package: version(package) for package in ("numpy", "scipy", "mujoco", "ogbench")
    }
    shutil.rmtree(_trash(parts), ignore_errors=True)
    told = parts / TOLD
    if told.exists():
        try:
            theirs = json.loads(told.read_text())
        except ValueError:
            raise DataError(f"'{told}' is damaged: delete '{parts}', and begin again") from None
        differing = [f"{key} {theirs.get(key)}" for key in ours if theirs.get(key) != ours[key]]
        check(
            not differing,
            f"'{parts}' holds a collection that was begun with {', '.join(differing)}: finish it "
            "so, or delete that folder",
        )
        return
    for path in keep:
        check(
            not path.exists(),
            f"'{path}' is there already; choose another folder, or allow it to be overwritten",
        )
    make_folder(parts)
    check(
        all(file.name.startswith(".") for file in parts.iterdir()),
        f"'{parts}' holds other things than a collection; move them away, or choose another folder",
    )
    with appearing(told) as beside:
        beside.write_text(json.dumps(ours))


def _trash(parts: Path) -> Path:
    """What a folder of parts is renamed to when it is done with: one moment it is there, or not."""
    return parts.with_name(f".{parts.name}")
