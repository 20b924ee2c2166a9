"""How this package's programs end: an exit code, and one line on stderr when something stops them.

    if __name__ == "__main__":
        programs.run(main)

| exit code | stopped by |
|---|---|
| 0 | nothing |
| 1 | data, files, the disk, or a training that diverged |
| 2 | the command line |
| 130 | Ctrl-C |
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from sorl_edu.errors import CheckpointError, ConfigError, DataError, Divergence

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def run(program: Callable[[], int | None]) -> NoReturn:
    """Runs a program and ends the process with its exit code.

    An interrupted process ends without Python's own clean-up: threads of XLA still compute the
    chunk that was interrupted, and when the interpreter is taken down under them, the process ends
    in a segmentation fault. Files are safe, since blocks are left before.
    """
    code = exit_code(program)
    if code == INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def exit_code(program: Callable[[], int | None]) -> int:
    """Runs a program and returns its exit code; the message of an error is printed to stderr.

    Errors that no user can cause are raised.
    """
    try:
        return program() or 0
    except SystemExit as stop:  # --help (0) and what a parser refuses (2): it has printed why
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return _stopped(
            "interrupted; the same command resumes from what was kept, if anything", INTERRUPTED
        )
    except ConfigError as error:
        return _stopped(f"{error}", 2)
    except (DataError, CheckpointError, Divergence, OSError) as error:
        return _stopped(f"{error}", 1)
    except ModuleNotFoundError as error:
        return _stopped(f"{error}. `sorl-edu doctor` says how to install it", 1)


def _stopped(message: str, code: int) -> int:
    print(f"sorl-edu: {message}", file=sys.stderr)
    return code
