"""Loading OGBench's datasets by name: find or download the files, check them, add the rewards.

OGBench (Park et al., ICLR 2025, arXiv 2410.20092) names a dataset `ENVIRONMENT-TYPE-v0`, such as
'pointmaze-medium-navigate-v0'. It holds states and actions but no rewards. Each environment has
five tasks, and a task decides the rewards, so the name of a dataset with rewards has a task:

    pointmaze-medium-navigate-singletask-v0          the environment's default task
    pointmaze-medium-navigate-singletask-task3-v0    its third task

The rewards are OGBench's own: in a maze -1 at every state until the goal is reached, and 0 there,
where the episode ends (mask 0).
"""

from __future__ import annotations

import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from sorl_edu.datasets.download import MIRRORS, download_file
from sorl_edu.datasets.recipes import RECIPES
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.make import kind_of, make_env, numpy_seeded, parse_name
from sorl_edu.environments.mazes import geometry_of
from sorl_edu.errors import DataError, brief, check
from sorl_edu.files import file_sha256

CACHE = "~/.ogbench/data"
"""The folder in which OGBench itself keeps its downloads."""

MAX_BYTES = 8 * 2**30
"""Largest size of a file's arrays, unpacked; the largest official one has 3 GiB."""

DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error),
    *(OverflowError, MemoryError),
)
"""Exceptions that a corrupt npz can raise (MemoryError: absurd shapes)."""

WALL_DEPTH, WALL_SHARE = 0.5, 0.01
"""A dataset is another maze's if more than this share of its rows lies this deep (m) in walls.

Data of the right maze have no such row. Those of another have between 5% and 98%, even after a few
episodes.
"""


@dataclass(frozen=True)
class OfflineDataset:
    """Training and validation data of one task, and the file that they come from.

    Attributes:
        name: the name of dataset and task.
        env_id: Gymnasium id of the environment and task (`import ogbench` registers it).
        train: transitions to learn from.
        validation: transitions of other episodes, to measure losses on.
        path: the file of the training transitions.
        sha256: checksum of that file, its identity.
    """

    name: str
    env_id: str
    train: Transitions
    validation: Transitions
    path: Path
    sha256: str


def load(
    name: str,
    *,
    folder: str | os.PathLike | None = None,
    download: bool = True,
    progress: bool = True,
    cache: str | os.PathLike = CACHE,
    mirrors: Sequence[str] = MIRRORS,
) -> OfflineDataset:
    """Load a dataset with the rewards of one task.

    Looks for `DATASET.npz` and `DATASET-val.npz` in `folder`, in the data shipped with this package
    and in OGBench's cache, in this order. If no folder has both, it downloads them, to `folder` if
    one is given, else to the cache. The shipped files are smaller than the official ones: `path`
    and `sha256` identify the loaded file.

    Args:
        name: OGBench's name of dataset and task, such as 'pointmaze-medium-navigate-singletask-v0'.
        folder: an existing folder that is searched first.
        download: whether missing files may be downloaded.
        progress: show a progress bar while downloading.
        cache: OGBench's cache.
        mirrors: URLs of folders with the official files.

    Raises:
        UnknownName: no dataset of this name.
        ConfigError: a name without a task, or a folder that does not exist.
        DataError: the files can't be found, are damaged, or do not fit the environment (another
            maze's data, say).
    """
    return load_tasks(
        [name], folder=folder, download=download, progress=progress, cache=cache, mirrors=mirrors
    )[0]


def load_tasks(
    names: Sequence[str],
    *,
    folder: str | os.PathLike | None = None,
    download: bool = True,
    progress: bool = True,
    cache: str | os.PathLike = CACHE,
    mirrors: Sequence[str] = MIRRORS,
) -> list[OfflineDataset]:
    """Load several tasks of one dataset, as `load` does; they share all but rewards and masks.

    Raises:
        ConfigError: the names are of different datasets, or none.
    """
    parsed = [parse_name(name) for name in names]
    datasets = sorted({dataset for dataset, _ in parsed})
    check(
        len(datasets) == 1,
        f"only tasks of one dataset can be loaded together; these belong to {datasets or 'none'}",
    )
    (dataset,) = datasets
    files = f"{dataset}.npz", f"{dataset}-val.npz"
    folders = [shipped_data(), Path(cache).expanduser()]
    if folder is not None:
        folders.insert(0, Path(folder).expanduser())
        check(folders[0].is_dir(), f"there is no folder '{folders[0]}'")

    found = next((f for f in folders if all((f / file).is_file() for file in files)), None)
    if found is None:
        target = folders[0] if folder is not None else folders[-1]
        try:
            check(download, "downloads are switched off", DataError)
            for file in files:
                if not (target / file).exists():
                    download_file(file, target, mirrors=mirrors, progress=progress)
        except DataError as error:
            raise DataError(_not_found(dataset, files, folders, folder, error)) from None
        found = target
    elif folder is not None and found != folders[0]:
        warnings.warn(f"'{folder}' lacks {files[0]} or {files[1]}; using '{found}'", stacklevel=2)

    env_ids = [env_id for _, env_id in parsed]
    train, validation = (_read(found / file, env_ids) for file in files)
    path = found / files[0]
    sha256 = file_sha256(path)
    return [
        OfflineDataset(name, env_id, *splits, path, sha256)
        for name, env_id, *splits in zip(names, env_ids, train, validation, strict=True)
    ]


def shipped_data() -> Path:
    """The folder of the shipped data: `sorl_edu/_data` in a wheel, `data` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


def _not_found(dataset, files, folders, folder, error) -> str:
    looked = "\n".join(f"  {place}" for place in folders)
    causes = "\n".join(f"  {cause}" for cause in str(error).splitlines())
    folder = folder or "collected"
    if dataset in RECIPES:
        remedy = f"To collect it on this machine: sorl-edu collect {dataset} --out {folder}"
    else:
        remedy = f"Copy both files from {MIRRORS[0]} to a folder on this machine"
    return (
        f"no dataset '{dataset}': none of these folders has both {files[0]} and {files[1]}:\n"
        f"{looked}\nThe download failed:\n{causes}\n{remedy}; then load it from that folder"
    )


def _read(path: Path, env_ids: Sequence[str]) -> list[Transitions]:
    """The transitions of one file, with the rewards and masks of every environment's task."""
    from ogbench.relabel_utils import relabel_dataset

    tasks: list[Transitions] = []
    try:
        for env_id in env_ids:
            env = make_env(env_id)
            try:
                if not tasks:
                    arrays = _read_rows(path, env_id, env)
                with numpy_seeded(0):
                    relabel_dataset(env_id, env, arrays)
            finally:
                env.close()
            if not tasks:
                fields = ("observations", "actions", "rewards", "masks", "terminals")
                tasks.append(Transitions.create(**{field: arrays[field] for field in fields}))
            else:
                rewards, masks = (jnp.asarray(arrays[key]) for key in ("rewards", "masks"))
                tasks.append(tasks[0].replace(rewards=rewards, masks=masks))
    except DataError as error:
        raise DataError(
            f"'{path}' can't be used: {error}. Delete or replace it. Without it, sorl-edu looks "
            "elsewhere or downloads it; `sorl-edu collect` makes it"
        ) from None
    return tasks


def _read_rows(path: Path, env_id: str, env) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises:
        DataError: the file is damaged, or does not fit the environment.
    """
    kind = kind_of(env_id)
    keys = ["observations", "actions", "terminals", "qpos"]
    keys += ["button_states"] if kind.has_buttons else []
    arrays = _read_arrays(path, keys)
    widths = {
        "observations": env.observation_space.shape[0],
        "actions": env.action_space.shape[0],
        "qpos": env.unwrapped.model.nq,
    }
    for key, width in widths.items():
        shape = arrays[key].shape
        check(
            len(shape) == 2 and shape[1] == width,
            f"{key} has shape {shape}; '{env_id}' needs (rows, {width})",
            DataError,
        )
    rows = len(arrays["observations"])
    check(rows > 0, "it has no rows", DataError)
    for key in keys:
        found = len(arrays[key])
        check(found == rows, f"{key} has {found} rows, observations {rows}", DataError)
    finite = np.isfinite(arrays["qpos"]).all(1)
    check(bool(finite.all()), f"qpos is NaN or infinite in row {finite.argmin()}", DataError)
    if kind.is_maze:
        maze = geometry_of(env)
        in_walls = maze.in_walls(arrays["qpos"][:, :2], WALL_DEPTH)
        check(
            in_walls.mean() <= WALL_SHARE,
            f"{in_walls.mean():.0%} of its positions lie in walls of '{maze.name}' or outside it, "
            f"the first in row {in_walls.argmax()}: it belongs to another maze",
            DataError,
        )
    return arrays


def _read_arrays(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    """The arrays `keys` of an npz file that may hold anything; raises DataError."""
    check(zipfile.is_zipfile(path), "it is cut short, or not an npz file", DataError)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        limit = MAX_BYTES / 2**30
        check(size <= MAX_BYTES, f"unpacked it has {size:,} bytes, over {limit:g} GiB", DataError)
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file]
            check(
                not missing, f"it lacks {', '.join(missing)}; it has {brief(file.files)}", DataError
            )
            arrays = {key: file[key] for key in keys}
    except DataError:
        raise
    except DAMAGE as error:
        text = f"it is damaged, or holds other things than numbers ({brief(error)})"
        raise DataError(text) from None
    for key, array in arrays.items():
        check(isinstance(array, np.ndarray), f"{key} is no array", DataError)
        numbers = array.dtype.kind in "fiub"
        check(numbers, f"{key} holds {brief(array.dtype)}, not numbers", DataError)
        check(array.ndim > 0, f"{key} is one number, where there should be rows", DataError)
    return arrays
