"""The shape of commands, and checks of arguments that several commands have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from sorl_edu.errors import check

MAX_SEED = 2**32 - 1


class Command:
    """A command of `sorl-edu`: a frozen dataclass whose fields are its flags, read by tyro.

    `run` first checks everything that can be checked without work, and returns the exit code.
    """

    examples: ClassVar[str]
    """Command lines that --help shows."""

    @classmethod
    def with_all_flags(cls, words: Sequence[str]) -> tuple[type[Command], str]:
        """The command with the flags that only the words of a command line decide.

        Returns:
            the command, and a paragraph about those flags for --help.
        """
        return cls, ""

    def run(self) -> int:
        raise NotImplementedError


def check_seed(seed: int) -> None:
    check(0 <= seed <= MAX_SEED, f"--seed must lie in 0 .. {MAX_SEED}, got {seed}")


def check_evaluation(
    steps: Sequence[int], candidates: Sequence[int], episodes: int, seed: int
) -> None:
    """Raises ConfigError for settings, episodes or a seed that no agent can be evaluated with."""
    from sorl_edu.inference import check_budget

    check(min(len(steps), len(candidates)) > 0, "--steps and --candidates need at least one value")
    check(episodes >= 1, f"--episodes must be at least 1, got {episodes}")
    check_seed(seed)
    for m in steps:
        for n in candidates:
            check_budget(m, n, episodes)


def existing_folder(folder: Path | None) -> Path | None:
    """The folder of a flag, if one was given, with ~ expanded."""
    if folder is None:
        return None
    check(folder.expanduser().is_dir(), f"there is no folder '{folder}'")
    return folder.expanduser()


def usable_folder(folder: Path, flag: str = "--out") -> Path:
    """A folder that can be written to, or made; it isn't made yet."""
    folder = folder.expanduser()
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    check(nearest.is_dir(), f"{flag} {folder} can't be a folder: '{nearest}' is a file")
    check(os.access(nearest, os.W_OK), f"{flag} {folder}: can't write to '{nearest}'")
    return folder
