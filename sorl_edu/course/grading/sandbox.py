"""Runs untrusted code in a process of its own, with limits and a scrubbed environment.

    outcome = run(["python", "-m", "...", ...], folder, seconds=60, memory=4 * 2**30)

The code runs in a new process group, in a temporary folder. It is killed when it exceeds its limit
of time or memory; its output is kept up to a limit. Inside the process, `end_with` makes it end
with the grader, and `lock` stops Python from reading the course's own files, writing outside the
folder, starting processes and opening connections.

`lock` is an audit hook of the interpreter, not a security boundary: it stops accidents, and
students who try it for fun. Machine code gets around it (ctypes is closed, but other ways exist).
If submissions may be hostile, run the grader in a container without a network, as graders of large
courses do anyway.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT_OUTPUT = 20_000  # characters
MAX_BYTES = 20 * 2**20  # of a submission, and of an answer's outputs
POLL = 0.05  # seconds
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
SETTINGS = ("JAX_", "XLA_")  # variables that begin so are passed on, too


@dataclass(frozen=True)
class Outcome:
    """How a process ended."""

    ended: str
    """"done" (exit code 0), "failed" (another one), "time" or "memory" (killed at that limit)."""
    output: str
    """Its output; of a long one, the beginning and the end."""
    seconds: float


def run(
    command: Sequence[str],
    folder: Path,
    *,
    seconds: float,
    memory: int,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Runs a command in a folder under limits, and kills its whole process group on exit.

    The command should call `end_with`, in case this process is killed itself.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        seconds: limit of wall-clock time.
        memory: limit of resident memory, in bytes.
        environment: variables beside the few that are passed on.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(SETTINGS)
    }
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=kept | {"HOME": str(folder), "TMPDIR": str(folder)} | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    printed = _Printed()
    reader = threading.Thread(target=printed.read, args=(process.stdout,), daemon=True)
    reader.start()
    ended = None
    try:
        while process.poll() is None and ended is None:
            time.sleep(POLL)
            if time.perf_counter() - start > seconds:
                ended = "time"
            elif _resident(process.pid) > memory:
                ended = "memory"
    finally:  # Ctrl-C, too
        _kill_group(process.pid)
        process.wait()
    reader.join(1)
    ended = ended or ("done" if process.returncode == 0 else "failed")
    return Outcome(ended, str(printed), time.perf_counter() - start)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _resident(pid: int) -> int:
    """Bytes of a process in memory; 0 if it has ended."""
    try:
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        ps = subprocess.run(["ps", "-o", "rss=", "-p", f"{pid}"], capture_output=True, text=True)
        return int(ps.stdout) * 1024
    except (OSError, IndexError, ValueError):
        return 0


class _Printed:
    """Reads an output to its end, and keeps its beginning and its end."""

    def __init__(self) -> None:
        self.head, self.tail, self.left_out = b"", b"", 0

    def read(self, pipe) -> None:
        half = KEPT_OUTPUT // 2
        while chunk := pipe.read1(1 << 16):
            room = half - len(self.head)
            self.head += chunk[:room] if room > 0 else b""
            tail = self.tail + (chunk[room:] if room > 0 else chunk)
            self.left_out += max(len(tail) - half, 0)
            self.tail = tail[-half:]

    def __str__(self) -> str:
        gap = f"\n... {self.left_out:,} bytes left out ...\n" if self.left_out else ""
        head, tail = (part.decode(errors="replace") for part in (self.head, self.tail))
        return head + gap + tail


# ---------------------------------------------------------------------- inside the process

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {  # audit events that change paths, and how many of their arguments are such paths
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
CLOSED = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.killpg",
    "socket.connect",
    "socket.bind",
    "ctypes.dlopen",
)


PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with(parent: int) -> None:
    """Kills this process when its parent ends, even if the parent is killed. Linux only.

    Args:
        parent: the parent's process number. If it has ended already, this process exits.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the grader has ended")


def lock(folder: Path, unread: Sequence[Path]) -> None:
    """Locks this process, irrevocably.

    From now on it raises PermissionError, with a message for the submission's author, if it writes
    outside `folder`, reads one of `unread`, starts a process or opens a connection. It can't write
    files over 100 MB, or dump its memory.
    """
    import resource  # POSIX only: the rest of this module can be imported on Windows, too

    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = os.path.realpath(folder)
    secret = tuple(os.path.realpath(path) for path in unread)

    def inside(path: object, roots: Sequence[str]) -> bool:
        if isinstance(path, int):  # an open file
            return False
        real = os.path.realpath(os.fsdecode(path))
        return any(real == root or real.startswith(root + os.sep) for root in roots)

    def audit(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or path is None:
                return
            writes = flags & WRITES if isinstance(flags, int) else 0
            writes = writes or any(letter in (mode or "") for letter in "wax+")
            if writes and not inside(path, [folder, "/dev/null"]):
                raise PermissionError(
                    f"a submission may write in its own folder only, not to {path}"
                )
            if not writes and inside(path, secret):
                raise PermissionError(f"a submission may not read the course's own file {path}")
        elif event in CHANGES:
            for path in arguments[: CHANGES[event]]:
                if not isinstance(path, int) and not inside(path, [folder]):
                    raise PermissionError(f"a submission may not change {path}")
        elif event in CLOSED:
            raise PermissionError(f"a submission may not do this: {event}")

    sys.addaudithook(audit)
