"""Downloads of npz files that can be cut, resumed, and started by several processes at once.

hold the lock of the file, so that one process downloads and the others wait for its result
for each mirror:
    append to FILE.part what it lacks, and try again when the transfer is cut
    once the file is whole (its length, and the checksums inside), rename FILE.part to FILE
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from sorl_edu.errors import DataError, check
from sorl_edu.files import make_folder
from sorl_edu.progress import progress_bar

MIRRORS = (
    "https://rail.eecs.berkeley.edu/datasets/ogbench",
    "https://huggingface.co/datasets/zhouzypaul/ogbench_datasets/resolve/main",
)
"""Hosts of OGBench's official files, in the order in which they are tried."""

RETRY_PAUSE = 1.0
"""Seconds before a transfer that was cut is resumed; doubled each time."""

LOCK_PAUSE = 0.2
"""Seconds between two attempts to get the lock that another process holds."""

_MAGIC = b"PK"  # the first bytes of an npz, which is a zip archive


def download_file(
    file: str,
    folder: str | os.PathLike,
    *,
    mirrors: Sequence[str] = MIRRORS,
    progress: bool = True,
    timeout: float = 10.0,
    tries: int = 4,
) -> Path:
    """Download one npz file from the first mirror that has it, unless the folder has it already.

    The bytes are written to `FILE.part`, which a later attempt or a later run resumes; once the
    length and the checksums inside are right, it is renamed to `FILE`. Several processes may ask
    for one file: one downloads, the others wait. A mirror that is silent, can't be reached, lacks
    the file or answers with something else (a login page) is skipped; a transfer that is cut is
    resumed.

    Args:
        file: name of the file on every mirror.
        folder: destination; created if it does not exist.
        mirrors: URLs of folders.
        progress: show a progress bar, and say what is being waited for.
        timeout: seconds of silence after which a connection counts as dead.
        tries: attempts on one mirror.

    Returns:
        the path of the whole file.

    Raises:
        ConfigError: the folder can't be created or written to.
        DataError: no mirror gave the file; the message says why for each.
        OSError: the disk is full.
    """
    path = Path(folder).expanduser() / file
    make_folder(path.parent)
    with _lock(path.with_name(f".{file}.lock"), f"another process downloads {file}" * progress):
        if not path.exists():
            _download(path, mirrors, progress, timeout, tries)
    return path


def _download(
    path: Path, mirrors: Sequence[str], progress: bool, timeout: float, tries: int
) -> None:
    part = path.with_name(f"{path.name}.part")
    failures = []
    for mirror in mirrors:
        url = f"{mirror}/{path.name}"
        for attempt in range(tries):
            if attempt:
                time.sleep(RETRY_PAUSE * 2 ** (attempt - 1))
            resumed = part.exists()
            try:
                _transfer(url, part, timeout, progress)
            except _Unavailable as failure:
                problem, hopeless = str(failure), True
            except (OSError, HTTPException) as failure:
                if getattr(failure, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise OSError(failure.errno, f"can't write '{part}': {failure}") from None
                problem, hopeless = str(failure) or type(failure).__name__, False
            else:
                if _is_whole(part):
                    os.replace(part, path)
                    return
                part.unlink()
                problem, hopeless = "the file is not a whole npz file", not resumed
            if hopeless:
                break
        failures.append(f"{url}: {problem}")
        if progress:
            print(failures[-1], file=sys.stderr, flush=True)
    raise DataError("\n".join(failures))


class _Unavailable(Exception):
    """A mirror that can't be reached or doesn't have the file: trying again is useless."""


def _transfer(url: str, part: Path, timeout: float, progress: bool) -> None:
    """Writes to `part` what it lacks of `url`.

    A mirror may ignore the requested offset and send the whole file. Then the bytes that are there
    are written over, and stay if the transfer is cut: they are the same.

    Raises:
        _Unavailable: see there.
        OSError: the transfer was cut.
    """
    offset = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "sorl-edu"} | ({"Range": f"bytes={offset}-"} if offset else {})
    request = urllib.request.Request(url, headers=headers)
    with progress_bar(desc=part.stem, unit="B", unit_scale=True, show=progress) as bar:
        bar.set_postfix_str(f"waiting for {urlsplit(url).hostname}, at most {timeout:g} s")
        with _response(request, timeout) as response:
            if response.status == 416:  # our bytes are all there are, or of another file
                return
            chunk = response.read(len(_MAGIC))
            if response.status != 206:
                check(_MAGIC[: len(chunk)] == chunk, _not_npz(response), _Unavailable)
                offset = 0
            length = response.headers.get("Content-Length", "")
            total = offset + int(length) if length.isdecimal() else None
            bar.reset(total)
            bar.n = bar.initial = offset
            bar.set_postfix_str("")
            with open(part, "r+b" if part.exists() else "w+b") as file:
                file.seek(offset)
                while chunk:
                    file.write(chunk)
                    bar.update(len(chunk))
                    chunk = response.read1(1 << 18)
                size = file.tell()
                check(total in (None, size), f"cut after {size} of {total} bytes", OSError)
                file.truncate()


@contextlib.contextmanager
def _response(request: urllib.request.Request, timeout: float) -> Iterator:
    """The response to a request, also with status 416; raises as `_transfer` does."""
    try:
        response = urllib.request.urlopen(request, None, timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            retry = error.code >= 500 or error.code == 429
            message = f"HTTP {error.code} {error.reason}"
            raise (OSError if retry else _Unavailable)(message) from None
        response = error
    except urllib.error.URLError as error:
        raise _Unavailable(str(error.reason)) from None
    except TimeoutError:
        raise _Unavailable(f"no answer in {timeout:g} s") from None
    with response:
        yield response


def _not_npz(response) -> str:
    """What to say of a response that is not an npz file."""
    kind = response.headers.get_content_type()
    login = ", perhaps a login page of your network" if kind == "text/html" else ""
    return f"it answered with something other than an npz file ({kind}{login})"


def _is_whole(path: Path) -> bool:
    """Whether an npz (a zip archive) is complete and every member's checksum is right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist()) and archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError):
        return False


# ---------------------------------------------------------------------------------------- locks


@contextlib.contextmanager
def _lock(path: Path, message: str) -> Iterator[None]:
    """Holds the lock file `path` inside the block, and waits for a process that holds it.

    The system releases the lock of a process that ends, however it ends. The file is removed.
    Where a file system has no locks, the block runs without one.

    Args:
        message: printed before the first wait, unless it is empty.
    """
    said = not message
    while True:
        file = open(path, "ab")  # noqa: SIM115  (closed below, or after the block)
        try:
            _lock_now(file.fileno())
        except BlockingIOError:
            file.close()
            if not said:
                print(f"{message}: waiting for it", file=sys.stderr, flush=True)
                said = True
            time.sleep(LOCK_PAUSE)
            continue
        if _is_file(file.fileno(), path):
            break
        file.close()  # the process that held it has removed it since it was opened here
    try:
        yield
    finally:
        if os.name == "nt":  # where no open file can be removed, and no other process's lock either
            file.close()
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _lock_now(descriptor: int) -> None:
    """Locks a file, or raises BlockingIOError if another process has locked it."""
    try:
        import fcntl
    except ImportError:  # Windows
        try:
            import msvcrt
        except ImportError:
            return
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
