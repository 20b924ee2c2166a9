"""Loading OGBench's datasets by name: found on disk or downloaded, checked, given their rewards.

OGBench (Park et al., ICLR 2025, arXiv 2410.20092) names a dataset `ENVIRONMENT-TYPE-v0`, such as
'pointmaze-medium-navigate-v0'. It holds states and actions but no rewards. Each environment has
five tasks, and a task decides the rewards, so what is learned from has a name such as

    pointmaze-medium-navigate-singletask-v0          the environment's default task
    pointmaze-medium-navigate-singletask-task3-v0    its third task

The rewards are OGBench's own: in a maze -1 at every state until the goal is reached, and 0 there,
where the episode ends (mask 0).
"""

from __future__ import annotations

import os
import struct
import time
import tokenize
import urllib.error
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from sorl_edu.datasets.collect import RECIPES
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.make import make_env, numpy_seeded, parse_name
from sorl_edu.errors import DataError, check
from sorl_edu.files import file_sha256, make_folder
from sorl_edu.progress import progress_bar

CACHE = "~/.ogbench/data"
"""Where OGBench itself keeps what it downloads."""

MIRRORS = (
    "https://rail.eecs.berkeley.edu/datasets/ogbench",
    "https://huggingface.co/datasets/zhouzypaul/ogbench_datasets/resolve/main",
)
"""Hosts of the official files, in the order in which they are tried."""

MAX_BYTES = 8 * 2**30  # of a file's arrays, unpacked; the largest official one has 3 GiB
# What reading an npz of any bytes can raise; the last is what a wild shape asks for.
DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error),
    *(OverflowError, MemoryError),
)
RETRY_PAUSE = 1.0
"""Seconds before a download that was cut is taken up again; doubled each time."""


@dataclass(frozen=True)
class OfflineDataset:
    """What an agent learns from, and where it came from.

    Attributes:
        name: the name it was loaded by, with the task.
        env_id: Gymnasium id of the environment and task (`import ogbench` registers it).
        train: transitions to learn from.
        validation: transitions of other episodes, to measure on.
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

    Looks for `DATASET.npz` and `DATASET-val.npz` in `folder`, in the data that is shipped with this
    package and in OGBench's cache; else downloads both into `folder`, or the cache without one.
    The shipped files are smaller than the official ones: `path` and `sha256` say what was loaded.

    Args:
        name: OGBench's name of dataset and task, such as 'pointmaze-medium-navigate-singletask-v0'.
        folder: where to look first; it must be there.
        download: whether what isn't on this machine may be downloaded.
        progress: show a progress bar while downloading.
        cache: OGBench's cache.
        mirrors: URLs of folders with the official files.

    Raises:
        UnknownName: no dataset of this name.
        ConfigError: a name without a task, or a folder that isn't there.
        DataError: the files are nowhere, or are damaged, or do not fit the environment.
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
        f"tasks of one dataset are loaded together; these are of {datasets or 'none'}",
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
            check(download, "downloading was not allowed", DataError)
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
    """The data that comes with this package: in a wheel `sorl_edu/_data`, in a checkout `data`."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


def download_file(
    file: str,
    folder: str | os.PathLike,
    *,
    mirrors: Sequence[str] = MIRRORS,
    progress: bool = True,
    timeout: float = 20.0,
    tries: int = 4,
) -> Path:
    """Download one npz file, from the first mirror that gives it whole.

    The bytes go to `FILE.part`, which a later try or a later run takes up where it ends; once the
    length and the checksums inside are right, it is renamed to `FILE`. A host that can't be reached
    or lacks the file is left for the next one; a transfer that is cut is tried again.

    Args:
        file: name of the file on every mirror.
        folder: where it goes; made if it isn't there.
        mirrors: URLs of folders.
        progress: show a progress bar.
        timeout: seconds of silence after which a host counts as down.
        tries: how often a transfer is taken up on one mirror.

    Raises:
        DataError: no mirror gave the file; the message says why for each.
    """
    path = Path(folder).expanduser() / file
    part = path.with_name(f"{file}.part")
    make_folder(path.parent)
    failures = []
    for mirror in mirrors:
        url = f"{mirror}/{file}"
        for attempt in range(tries):
            if attempt:
                time.sleep(RETRY_PAUSE * 2 ** (attempt - 1))
            resumed = part.exists()
            try:
                _transfer(url, part, timeout, progress)
            except _Unavailable as failure:
                problem, hopeless = str(failure), True
            except (OSError, HTTPException) as failure:
                problem, hopeless = str(failure), False
            else:
                if _is_whole(part):
                    os.replace(part, path)
                    return path
                part.unlink()
                problem, hopeless = "what came is not a whole npz file", not resumed
            if hopeless:
                break
        failures.append(f"{url}: {problem}")
    raise DataError("\n".join(failures))


class _Unavailable(Exception):
    """A host that can't be reached, or doesn't have the file: trying again is no use."""


def _transfer(url: str, part: Path, timeout: float, progress: bool) -> None:
    """Append to `part` what is missing of `url`; raises OSError when the transfer is cut."""
    offset = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "sorl-edu"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), None, timeout
        )
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies beyond our bytes: they are all, or not of this file
            return
        retry = error.code >= 500 or error.code == 429
        raise (OSError if retry else _Unavailable)(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Unavailable(str(error.reason)) from None
    with response:
        if response.status != 206:  # the whole file, whatever was asked for
            offset = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else offset + int(length)
        with (
            open(part, "ab" if offset else "wb") as file,
            progress_bar(
                desc=Path(url).name,
                total=total,
                initial=offset,
                unit="B",
                unit_scale=True,
                show=progress,
            ) as bar,
        ):
            while chunk := response.read(1 << 18):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    check(total in (None, size), f"cut after {size} of {total} bytes", OSError)


def _is_whole(path: Path) -> bool:
    """Whether an npz (a zip archive) is complete and every member's checksum is right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist()) and archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError):
        return False


def _not_found(dataset, files, folders, folder, error) -> str:
    looked = "\n".join(f"  {place}" for place in folders)
    causes = "\n".join(f"  {cause}" for cause in str(error).splitlines())
    folder = folder or "collected"
    if dataset in RECIPES:
        remedy = f"To make it on this machine: sorl-edu collect {dataset} --out {folder}"
    else:
        remedy = f"Put both files, from {MIRRORS[0]}, in a folder of this machine"
    return (
        f"no dataset '{dataset}': {files[0]} and {files[1]} are not together in\n{looked}\n"
        f"and could not be downloaded:\n{causes}\n{remedy}; then load it from that folder"
    )


def _read(path: Path, env_ids: Sequence[str]) -> list[Transitions]:
    """Read one file and give it the rewards and masks of every environment's task."""
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
            f"'{path}' can't be used: {error}. Delete or replace it; then it is looked for "
            "elsewhere, or downloaded, or made with `sorl-edu collect`"
        ) from None
    return tasks


def _read_rows(path: Path, env_id: str, env) -> dict[str, np.ndarray]:
    """The arrays of a file, of the widths of the environment."""
    keys = ["observations", "actions", "terminals", "qpos"]
    keys += ["button_states"] if env_id.startswith(("scene", "puzzle")) else []
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
    return arrays


def _read_arrays(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    check(zipfile.is_zipfile(path), "it is cut short, or not an npz file", DataError)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        limit = MAX_BYTES / 2**30
        check(size <= MAX_BYTES, f"unpacked it has {size:,} bytes, over {limit:g} GiB", DataError)
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file]
            check(not missing, f"it lacks {', '.join(missing)}; it has {file.files}", DataError)
            arrays = {key: file[key] for key in keys}
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(f"it is damaged, or holds other things than numbers ({error})") from None
    for key, array in arrays.items():
        check(array.dtype.kind in "fiub", f"{key} holds {array.dtype}, not numbers", DataError)
    return arrays
