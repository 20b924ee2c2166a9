"""Collecting offline data: OGBench's datasets, by its own oracles and published recipes.

OGBench made the official files with scripts; this module follows the same recipes, so that the
course has real data without a download. `datasets.mazes` and `datasets.manipulation` describe an
episode; this module runs any number of them:

    for each episode, on any core:
        seeds = SeedSequence(seed, split, number of the episode)
        write the collector's episode to OUT/NAME.parts/
    join the parts, move both files to OUT, remove the parts

Every episode has its own seeds and depends on nothing else. Therefore the number of cores does not
change the result, the first k episodes of a large collection are the collection of k episodes, and
a collection that was stopped, at any moment, resumes from the parts that it finds.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sorl_edu import __version__
from sorl_edu.datasets.manipulation import ManipulationCollector
from sorl_edu.datasets.mazes import MazeCollector
from sorl_edu.datasets.recipes import RECIPES, Collector, Recipe, Rows
from sorl_edu.environments.make import DATASETS, kind_of
from sorl_edu.errors import DataError, UnknownName, check
from sorl_edu.files import atomic_write, make_folder
from sorl_edu.progress import progress_bar

Part = tuple[int, int]  # split (0: training, 1: validation) and number of an episode
MANIFEST = "collection.json"  # in the folder of the parts: the collection that they belong to
MAX_WORKERS = 61 if sys.platform == "win32" else 2**16  # Windows waits for no more processes


def collect(
    name: str,
    out: str | os.PathLike,
    *,
    episodes: int | np.integer | None = None,
    noise: float | None = None,
    seed: int | np.integer = 0,
    workers: int | np.integer = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[Path, Path]:
    """Collect a dataset and write it in OGBench's file format.

    `out/NAME.parts/` keeps finished episodes until all are there; a call that finds parts of the
    same collection makes the missing episodes only.

    Args:
        name: an official dataset name, one of `RECIPES`.
        out: folder for the files; created if it does not exist.
        episodes: training episodes (at least 1); there are a tenth as many validation episodes (at
            least 1). None for the official number.
        noise: noise scale of the actions (at least 0); None for the official value.
        seed: the same seed (at least 0) and versions give the same arrays, bit for bit.
        workers: number of processes (at least 1), with 0.7 GB each for robots; it does not change
            the arrays. A script that uses several needs `if __name__ == "__main__":`, since each
            worker imports it.
        overwrite: replace existing files of the same name; otherwise a new collection refuses them.
        progress: print what is collected, and show a progress bar with the remaining time.

    Returns:
        The paths `out/NAME.npz` and `out/NAME-val.npz`; each appears when it is whole. Rows are
        states in time order: observations (T, S), actions (T, A), qpos (T, P), qvel (T, V), all
        float32, and terminals (T,) bool, True in the row of an episode's last state; in scenes also
        button_states (T, 2), int64.

    Raises:
        UnknownName: no recipe of this name.
        ConfigError: a dataset that can only be downloaded, a number out of range, a folder that
            can't be written to, or one that holds the parts of another collection.
        DataError: a part is damaged, or the noise is too large for a healthy episode.
        ChildProcessError: a worker was killed.
    """
    check(
        name in RECIPES or name not in DATASETS or not kind_of(name).is_maze,
        f"'{name}' was made by learned experts: it is downloaded when it is first loaded",
    )
    if name not in RECIPES:
        raise UnknownName("dataset to collect", name, RECIPES)
    recipe = RECIPES[name]
    episodes = recipe.episodes if episodes is None else int(episodes)
    noise = recipe.noise if noise is None else noise
    check(episodes >= 1, f"episodes is {episodes}; it must be at least 1")
    check(0 <= noise < np.inf, f"noise is {noise}; it must be a finite number, at least 0")
    check(seed >= 0, f"seed is {seed}; it must be at least 0")
    check(workers >= 1, f"workers is {workers}; it must be at least 1")
    seed, workers, noise = int(seed), int(workers), float(noise)
    folder = Path(out).expanduser()
    paths = folder / f"{name}.npz", folder / f"{name}-val.npz"
    parts = folder / f"{name}.parts"
    _open_parts(parts, name, noise, seed, () if overwrite else paths)

    counts = (episodes, max(1, episodes // 10))
    wanted = [(split, i) for split, count in enumerate(counts) for i in range(count)]
    missing = [part for part in wanted if not _part_file(parts, part).exists()]
    found = len(wanted) - len(missing)
    if progress:
        size = len(wanted) * recipe.max_episode_steps * recipe.row_bytes / 1e6
        resumed = f" {found} episodes are finished already." if found else ""
        print(
            f"{name}: {counts[0]} training and {counts[1]} validation episodes of "
            f"{recipe.max_episode_steps} rows. {parts} keeps finished episodes ({size:.0f} MB in "
            f"all): you can stop at any time and resume with the same command.{resumed}",
            flush=True,
        )
    with progress_bar(
        total=len(wanted), initial=found, desc=name, unit="episode", show=progress
    ) as bar:
        _make_parts(recipe, noise, seed, parts, missing, workers, bar.update)
        bar.set_description(f"{name}: joining")
        _join_parts(parts, counts, paths)
    return paths


def make_collector(recipe: Recipe) -> Collector:
    """The collector that makes the episodes of a recipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW warns if there is no display; nothing is drawn here
        return (MazeCollector if kind_of(recipe.env).is_maze else ManipulationCollector)(recipe)


def as_arrays(rows: Rows) -> dict[str, np.ndarray]:
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
    workers = min(workers, len(parts), MAX_WORKERS)
    if workers == 1:
        _init_worker(recipe)
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
                    "a worker was killed, perhaps because memory ran out: resume with the same "
                    "command, and with fewer workers, which need less memory"
                ) from None
            finally:  # after an interrupt, workers finish their episodes and begin no more
                pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Defers Ctrl-C to the end of the block; processes that start in it never receive it.

    Windows has no signal masks: there a worker ignores Ctrl-C once it has started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_collector: Collector  # of this process


def _init_worker(recipe: Recipe) -> None:
    global _collector
    _collector = make_collector(recipe)


def _start_worker(recipe: Recipe) -> None:
    """A worker leaves interrupts to the process that started it, and ends when that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _init_worker(recipe)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_part(noise: float, seed: int, folder: Path, part: Part) -> None:
    episode = as_arrays(_collector.episode(noise, np.random.SeedSequence(seed, spawn_key=part)))
    with atomic_write(_part_file(folder, part)) as beside:
        np.savez(beside, **episode)


def _part_file(folder: Path, part: Part) -> Path:
    split, episode = part
    return folder / f"{('train', 'val')[split]}-{episode:05d}.npz"


def _join_parts(parts: Path, counts: tuple[int, int], paths: tuple[Path, Path]) -> None:
    """Joins the parts into both files, moves the files to their places, removes the parts.

    It can be stopped at any moment and called again: it moves the files when both are whole
    (training file last, so its presence implies the other's), and removes the parts at the end.
    """
    for split, path in enumerate(paths):
        with atomic_write(parts / path.name) as beside:
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
            f"'{file}' is damaged ({error}): delete it and run the same command again"
        ) from None


def _open_parts(parts: Path, name: str, noise: float, seed: int, keep: Iterable[Path]) -> None:
    """Creates the folder of the parts, or checks that it belongs to the same collection.

    Raises:
        ConfigError: the folder belongs to another collection, or this one is new and a file of
            `keep` exists.
        DataError: the manifest of the folder is damaged.
    """
    wanted = {"dataset": name, "noise": noise, "seed": seed, "sorl-edu": __version__} | {
        package: version(package) for package in ("numpy", "scipy", "mujoco", "ogbench")
    }
    shutil.rmtree(_trash(parts), ignore_errors=True)
    manifest = parts / MANIFEST
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text())
        except ValueError:
            raise DataError(f"'{manifest}' is damaged: delete '{parts}' and start again") from None
        differing = [f"{key} {found.get(key)}" for key in wanted if found.get(key) != wanted[key]]
        check(
            not differing,
            f"'{parts}' holds a collection that was begun with {', '.join(differing)}: finish it "
            "with the same values, or delete that folder",
        )
        return
    for path in keep:
        check(
            not path.exists(),
            f"'{path}' exists already: choose another folder, or allow overwriting",
        )
    make_folder(parts)
    check(
        all(file.name.startswith(".") for file in parts.iterdir()),
        f"'{parts}' holds files of something else: move them away, or choose another folder",
    )
    with atomic_write(manifest) as beside:
        beside.write_text(json.dumps(wanted))


def _trash(parts: Path) -> Path:
    """The name that a finished folder of parts gets before its removal: it vanishes at once."""
    return parts.with_name(f".{parts.name}")
