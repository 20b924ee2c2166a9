"""Runs a stranger's program behind a fence that the operating system holds.

    program = Program(BUBBLEWRAP, Limits())
    reply = program.exchange(frame)
    program.kill()

Behind the fence there are the interpreter, its packages and this library without exercises,
grading and lessons' notebooks, all read-only; a scratch folder in memory, of limited size; and
nothing else: no network, no other process, no environment, no capability. The program is killed
when it exceeds a limit, and with its last process when this process ends.

    BUBBLEWRAP     Linux namespaces, by Debian's package bubblewrap
    Container(...) Docker or Podman, with an image that `sorl-edu course image` builds
    Account(...)   another user, for root on a machine that is thrown away, such as Gradescope's
    TRUSTED        a process of its own with limits, and no fence: for answers that one trusts
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import sorl_edu
from sorl_edu.course.grading.messages import HEADER, sizes
from sorl_edu.course.grading.worker import VISIBLE
from sorl_edu.errors import ConfigError, DataError, check

PACKAGE = Path(sorl_edu.__file__).resolve().parent
INSIDE = (  # the files of sorl_edu/course that answers may use; the others hold what is right
    "__init__.py",
    "shipped.py",
    "exercises/__init__.py",
    *(f"exercises/{module}.py" for module in VISIBLE),
    "grading/__init__.py",
    "grading/messages.py",
    "grading/worker.py",
)
WORKER = ("-m", "sorl_edu.course.grading.worker")
SCRATCH = 64 * 2**20  # bytes of the scratch folder
PROCESSES = 16
MOST_STARTING = 600  # seconds of processor time until all cells of a submission have run
KERNEL = ("sys", "irq", "bus", "fs", "sysrq-trigger")  # of /proc: root could write there
KEPT_OUTPUT = 20_000  # characters
POLL = 0.02  # seconds
MOST_READS = 64  # of 64 KiB, when a program has ended
PATIENCE, GRACE = 10, 60  # a program may take 10 times its processor time by the clock, and 60 s
SETTINGS = ("JAX_", "XLA_")  # variables that begin so are passed on


@dataclass(frozen=True)
class Limits:
    """What a program may use before it is killed."""

    seconds: float = 600.0
    """Processor time of all answers of a submission together, after its cells have run; a busy
    machine does not shorten it."""
    memory: int = 4 * 2**30
    """Bytes of all its processes in memory."""


class Ended(Exception):
    """The program has ended, by itself or at a limit."""

    def __init__(self, how: str):
        super().__init__(how)
        self.how = how
        """ "time", "memory" or "processes": killed at that limit; "clock": killed although it had
        processor time left, because it waited or the machine was busy; "machine": killed by the
        system, which ran out of memory; "exit": it ended itself; "garbled": it sent no message that
        can be read."""


class Fence:
    """How the worker is started."""

    def command(self, limits: Limits, name: str) -> list[str]:
        """The command that runs the worker; `name` is unique."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment of the command. A process inside may read it: it has no secret."""
        return {"PATH": os.environ.get("PATH", "")}

    def close(self, name: str) -> None:
        """Ends what `command` started, if killing the command's process does not."""


# -------------------------------------------------------------------------------- bubblewrap


@dataclass(frozen=True)
class Bubblewrap(Fence):
    """Namespaces of Linux: user, process, network, mount, IPC, host name and cgroup.

    Its processes die with it.
    """

    def command(self, limits: Limits, name: str) -> list[str]:
        del limits, name
        system = ["/usr", *(p for p in ("/bin", "/lib", "/lib64", "/sbin") if os.path.exists(p))]
        command = [
            *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
            *("--die-with-parent", "--new-session", "--hostname", "fence"),
            *_same("--ro-bind", *system),
            *_same("--ro-bind-try", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts"),
            *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
            *_same("--ro-bind-try", *(f"/proc/{name}" for name in KERNEL)),
            *("--size", str(SCRATCH), "--tmpfs", "/tmp"),
            *_same("--ro-bind", *_prefixes()),
            *_same("--ro-bind", PACKAGE, *_data_folders()),
        ]
        hidden = [PACKAGE / "course", PACKAGE / "cli"]
        for folder in hidden:
            command += ["--tmpfs", str(folder)]
        command += _same("--ro-bind", *(PACKAGE / "course" / file for file in INSIDE))
        for folder in (*hidden, Path("/")):
            command += ["--remount-ro", str(folder)]
        command += ["--chdir", "/tmp", "--clearenv"]
        for variable, value in _environment().items():
            command += ["--setenv", variable, value]
        return [*command, "--", sys.executable, *WORKER]


def _same(option: str, *paths: str | Path) -> list[str]:
    """Options that show paths at their own places."""
    return [word for path in paths for word in (option, str(path), str(path))]


def _prefixes() -> list[str]:
    """The folders of the interpreter and its packages that /usr does not contain."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    found |= {os.path.realpath(path) for path in found}
    return sorted(path for path in found if not path.startswith("/usr/") and path != "/usr")


def _data_folders() -> list[Path]:
    """The shipped data of a checkout, which lie beside the package."""
    beside = PACKAGE.parent / "data"
    return [beside] if beside.is_dir() and (PACKAGE.parent / "pyproject.toml").is_file() else []


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
    return kept | {
        "HOME": "/tmp",
        "JAX_PLATFORMS": "cpu",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PACKAGE.parent),
        "TMPDIR": "/tmp",
        "USER": "student",
    }


# --------------------------------------------------------------------------------- containers


@dataclass(frozen=True)
class Container(Fence):
    """Docker or Podman, with the same fence around an image that has this library's wheel."""

    engine: str
    """The command, "docker" or "podman"."""
    image: str = "sorl-edu-grading"

    def command(self, limits: Limits, name: str) -> list[str]:
        return [
            *(self.engine, "run", "--rm", "--interactive", "--name", name),
            *("--network", "none", "--read-only", "--cap-drop", "ALL", "--ipc", "private"),
            *("--security-opt", "no-new-privileges", "--user", "65534:65534"),
            *("--tmpfs", f"/tmp:rw,size={SCRATCH}", "--workdir", "/tmp"),
            *("--memory", str(limits.memory), "--memory-swap", str(limits.memory)),
            *("--pids-limit", "512", "--ulimit", f"cpu={int(limits.seconds) + MOST_STARTING}"),
            *(word for pair in self._environment() for word in ("--env", pair)),
            *(self.image, "python", *WORKER),
        ]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)  # of the engine's client, which answers do not see

    def _environment(self) -> list[str]:
        kept = {n: v for n, v in _environment().items() if n not in ("PATH", "PYTHONPATH")}
        return [f"{name}={value}" for name, value in kept.items()]

    def close(self, name: str) -> None:
        subprocess.run(
            [self.engine, "rm", "--force", name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


# ------------------------------------------------------------------------- another account


@dataclass(frozen=True)
class Account(Fence):
    """Another user of this machine, for root in a container that permits no namespaces.

    It cannot read what only root can, nor send signals to root's processes. It has the network and
    the temporary folder: use it where the machine is thrown away after a submission, as on
    Gradescope.
    """

    user: str

    def command(self, limits: Limits, name: str) -> list[str]:
        del limits, name
        return [*self._as_user(), sys.executable, *WORKER]

    def _as_user(self) -> list[str]:
        import pwd  # POSIX only

        group = pwd.getpwnam(self.user).pw_gid
        command = ["setpriv", f"--reuid={self.user}", f"--regid={group}", "--clear-groups"]
        command += ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        command += ["--pdeathsig=KILL", "env", "--chdir=/tmp", "--ignore-environment"]
        return command + [f"{variable}={value}" for variable, value in _environment().items()]

    def close(self, name: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["pkill", "-KILL", "-u", self.user], check=False, **quiet)

    def can_read(self, file: Path) -> bool:
        """Whether the account can read a file."""
        command = [*self._as_user(), "test", "-r", str(file)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Trusted(Fence):
    """No fence: the answers can do whatever this user can, read the solutions and the secret."""

    def command(self, limits: Limits, name: str) -> list[str]:
        del limits, name
        return [sys.executable, *WORKER]

    def environment(self) -> dict[str, str]:
        return _environment() | super().environment()


BUBBLEWRAP, TRUSTED = Bubblewrap(), Trusted()


@functools.cache
def usable(fence: Fence) -> str:
    """Why a fence can't be used here; "" if it can."""
    if not hasattr(os, "killpg"):
        return "submissions are graded on Linux and macOS; on Windows, install WSL (wsl --install)"
    match fence:
        case Trusted():
            return ""
        case Container(engine):
            return "" if shutil.which(engine) else f"there is no command {engine}"
        case Account():
            return _why_not_account(fence)
    if sys.platform != "linux":
        return "bubblewrap is a program of Linux"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
    command = fence.command(Limits(), "")
    tried = subprocess.run(
        [*command[: command.index("--") + 1], "/bin/true"], capture_output=True, text=True
    )
    said = tried.stderr.strip().splitlines()[-1:] or [f"exit code {tried.returncode}"]
    return "" if tried.returncode == 0 else f"bubblewrap does not work here: {said[0]}"


def _why_not_account(fence: Account) -> str:
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv")):
        return "only root can run answers as another user, by setpriv (Debian's util-linux)"
    if subprocess.run(["id", fence.user], capture_output=True).returncode:
        return f"there is no user {fence.user}"
    course = PACKAGE / "course"
    for file in sorted(course.rglob("*.py")):
        shown, given = fence.can_read(file), str(file.relative_to(course)) in INSIDE
        if shown and not given:
            return f"{fence.user} can read {file}: chmod go-r it, and what else holds solutions"
        if given and not shown:
            return f"{fence.user} can't read {file}, which answers need: chmod go+r it"
    return ""


def chosen(container: str | None, trusted: bool, account: str | None = None) -> Fence:
    """The fence to use: the one that is asked for, or else bubblewrap.

    Raises:
        ConfigError: it can't be used; the message says what to do.
    """
    asked = [flag for flag in (container, trusted, account) if flag]
    check(len(asked) <= 1, "--container, --account and --trusted exclude each other")
    fence = TRUSTED if trusted else Container(container) if container else BUBBLEWRAP
    fence = Account(account) if account else fence
    if not (reason := usable(fence)):
        return fence
    others = "install it" if asked else "grade with --container docker (or podman)"
    raise ConfigError(
        f"answers are strangers' code, and there is no fence to run them behind: {reason}. Mend "
        f"that, or {others}, or trust them: --trusted runs them with all that you may do"
    )


# ------------------------------------------------------------------------- a running program


class Program:
    """The worker behind a fence, which answers frames with frames (`messages.py`).

    Args:
        fence: how it is started.
        limits: it is killed at these.
        printed: gets what it prints, beside what others printed before it.
    """

    def __init__(self, fence: Fence, limits: Limits, printed: Printed | None = None):
        self.fence, self.limits, self.printed = fence, limits, printed or Printed()
        self.name = f"sorl-edu-{uuid.uuid4().hex[:12]}"
        self._killed_before = out_of_memory()
        self.process = subprocess.Popen(
            fence.command(limits, self.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=fence.environment(),
            start_new_session=True,
        )
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._received = b""

    def spent(self) -> float:
        """Seconds of processor time so far."""
        return usage(self.process.pid).seconds

    def exchange(self, frame: bytes = b"", *, seconds: float = 600.0) -> bytes:
        """Sends a frame, if there is one, and waits for the next one.

        Args:
            frame: from `messages.pack`.
            seconds: processor time until the reply.

        Raises:
            Ended: the program has ended.
        """
        unsent, most = memoryview(frame), self.spent() + seconds
        deadline = time.monotonic() + PATIENCE * seconds + GRACE
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            selector.register(self.process.stderr, selectors.EVENT_READ)
            if unsent:
                selector.register(self.process.stdin, selectors.EVENT_WRITE)
            while (reply := self._whole_frame()) is None:
                ready = {key.fileobj for key, _ in selector.select(POLL)}
                if self.process.stdin in ready:
                    unsent = unsent[self._write(unsent) :]
                    if not unsent:
                        selector.unregister(self.process.stdin)
                if self.process.stderr in ready and not self._read_printed():
                    selector.unregister(self.process.stderr)
                if self.process.stdout in ready and not self._read():
                    raise self._ended("exit")
                self._check_limits(most)
                if time.monotonic() > deadline:
                    raise self._ended("clock")
        return reply

    def _write(self, frame: memoryview) -> int:
        try:
            return os.write(self.process.stdin.fileno(), frame[: 1 << 16])
        except (BlockingIOError, BrokenPipeError):
            return 0

    def _read(self) -> bool:
        """Whether the program's end of the pipe is still open."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self.process.stdout.fileno(), 1 << 20)
            self._received += chunk
            return bool(chunk)
        return True

    def _read_printed(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self.process.stderr.fileno(), 1 << 16)
            self.printed.add(chunk)
            return bool(chunk)
        return True

    def _whole_frame(self) -> bytes | None:
        if len(self._received) < HEADER.size:
            return None
        try:
            length = HEADER.size + sum(sizes(self._received[: HEADER.size]))
        except DataError:
            raise self._ended("garbled") from None
        if len(self._received) < length:
            return None
        frame, self._received = self._received[:length], self._received[length:]
        return frame

    def _check_limits(self, most: float) -> None:
        used = usage(self.process.pid)
        if used.seconds > most:
            raise self._ended("time")
        if used.memory > self.limits.memory:
            raise self._ended("memory")
        if used.processes > PROCESSES:
            raise self._ended("processes")

    def _ended(self, how: str) -> Ended:
        self.kill()
        if how == "exit" and isinstance(self.fence, Container):
            how = {137: "memory", 152: "time"}.get(self.process.returncode, how)
        killed = self.process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        if how == "exit" and killed and out_of_memory() > self._killed_before:
            how = "machine"
        return Ended(how)

    def kill(self) -> None:
        """Ends the program, to its last process, and keeps what it printed last."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.fence.close(self.name)
        if not self.process.stderr.closed:
            for _ in range(MOST_READS):
                with contextlib.suppress(BlockingIOError):
                    if chunk := os.read(self.process.stderr.fileno(), 1 << 16):
                        self.printed.add(chunk)
                        continue
                break
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def out_of_memory() -> int:
    """How many processes this machine has killed since it ran out of memory, or a container did."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0  # no Linux


@dataclass(frozen=True)
class Usage:
    """What a process and its descendants use."""

    seconds: float
    memory: int
    processes: int


def usage(pid: int) -> Usage:
    """The processor time, bytes in memory and number of a process and its descendants.

    On systems without /proc, all are 0: there only the clock limits a program.
    """
    seconds, pages, processes, todo = 0.0, 0, 0, [pid]
    while todo:
        here = Path(f"/proc/{todo.pop()}")
        try:
            stat = (here / "stat").read_text().rpartition(")")[2].split()
            pages += int((here / "statm").read_text().split()[1])
            for children in here.glob("task/*/children"):
                todo += children.read_text().split()
        except (OSError, IndexError, ValueError):
            continue
        seconds += sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
        processes += 1
    return Usage(seconds, pages * os.sysconf("SC_PAGE_SIZE") if pages else 0, processes)


class Printed:
    """The beginning and the end of what a program prints."""

    def __init__(self) -> None:
        self.head, self.tail, self.left_out = b"", b"", 0

    def add(self, chunk: bytes) -> None:
        half = KEPT_OUTPUT // 2
        room = max(half - len(self.head), 0)
        self.head += chunk[:room]
        tail = self.tail + chunk[room:]
        self.left_out += max(len(tail) - half, 0)
        self.tail = tail[-half:]

    def __str__(self) -> str:
        gap = f"\n... {self.left_out:,} bytes left out ...\n" if self.left_out else ""
        head, tail = (harmless(part.decode(errors="replace")) for part in (self.head, self.tail))
        return head + gap + tail


_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str, most: int | None = None) -> str:
    """Text without control characters, marks that turn its direction, and lone surrogates.

    Args:
        text: a stranger's.
        most: the number of characters to keep; of longer text, the lines become one, too.
    """
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    if most is None:
        return text
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + " ..."
