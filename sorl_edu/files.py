"""Files written whole or not at all, and the manifest that records how each was made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from sorl_edu.errors import ConfigError, DataError, brief, check

MANIFEST = "manifest.json"
RECORDED_PACKAGES = ("sorl-edu", "jax", "numpy", "ogbench", "gymnasium", "mujoco")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path` to write to, renamed to `path` if the block succeeds.

    Raises:
        ConfigError: the folder can't be made or written to.
        OSError: the file can't be written (the disk is full, say); an older `path` is untouched.
    """
    path = Path(path)
    make_folder(path.parent)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise OSError(f"can't write '{path}': {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder, with its parents, that can be written to; else ConfigError says why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"can't make the folder '{folder}': {error.strerror}") from None
    check(os.access(folder, os.W_OK), f"can't write to the folder '{folder}'")


def write_csv(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Writes a table without its index, numbers to six figures."""
    with atomic_write(path) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


def write_arrays(arrays: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Writes named arrays as a compressed .npz."""
    with atomic_write(path) as beside, open(beside, "wb") as opened:
        np.savez_compressed(opened, **arrays)


def atomic_copy(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Copies a file, whole or not at all; its folder is made."""
    with atomic_write(path) as beside:
        shutil.copyfile(source, beside)


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: str | os.PathLike) -> dict[str, dict]:
    """The entries of `folder/manifest.json`, by file; none if there is no manifest.

    Raises:
        DataError: the manifest can't be read, or isn't an object of objects with a "sha256" each.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is damaged: {brief(error)}") from None
    check(
        isinstance(entries, dict)
        and all(isinstance(e, dict) and isinstance(e.get("sha256"), str) for e in entries.values()),
        f"'{path}' is damaged: it should be an object with an object for each file, and its sha256",
        DataError,
    )
    odd = [name for name in entries if not _names_a_file(name)]
    check(not odd, f"'{path}' is damaged: {brief(odd[:1])} names no file of its folder", DataError)
    return entries


def _names_a_file(name: str) -> bool:
    """Whether a name can be a file's in a folder, or in a folder of it."""
    if not name.isprintable():  # a surrogate, a zero or a new line
        return False
    parts = name.split("/")
    usual = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    return usual and len(parts) < 10


def add_to_manifest(folder: str | os.PathLike, file: str, command: str, **facts) -> None:
    """Records in `folder/manifest.json` how `file` of that folder was made.

    An entry has the command, the versions of Python and of the packages that decide the content,
    the file's sha256 and bytes, and `facts` (JSON values). Entries of other files are kept.

    Raises:
        DataError: the manifest that is there is damaged.
    """
    manifest, path = Path(folder) / MANIFEST, Path(folder) / file
    entries = read_manifest(folder)
    entries[file] = facts | {
        "command": command,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in RECORDED_PACKAGES},
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
    }
    with atomic_write(manifest) as beside:
        beside.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
