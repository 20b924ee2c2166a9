"""The errors that this library raises on purpose: each says what was wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np


class DataError(ValueError):
    """A dataset that can't be learned from as it is."""


class CheckpointError(ValueError):
    """A checkpoint file that is damaged, foreign, or made for something else."""


class ConfigError(ValueError):
    """A hyper-parameter outside the range in which the algorithm is defined."""


class Divergence(RuntimeError):
    """A training whose losses or parameters became NaN or infinite."""


class UnknownName(ConfigError, KeyError):
    """A name that isn't known; the message gives the nearest ones that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        super().__init__(f"unknown {kind} '{name}'. {hint}")

    def __str__(self) -> str:  # KeyError would show the message's repr
        return self.args[0]


def brief(error: object, most: int = 300) -> str:
    """The first line of a message that may contain what a stranger wrote, cut if it is long."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if len(line) <= most else f"{line[:most]} ..."


def check(condition: bool | np.bool_, message: str, error: type[Exception] = ConfigError) -> None:
    """Raise `error(message)` unless `condition` holds."""
    if not condition:
        raise error(message)


def is_power_of_two(value: int | np.integer) -> bool:
    """Whether an integer, Python's or NumPy's, is 1, 2, 4, 8, ..."""
    return isinstance(value, int | np.integer) and value >= 1 and int(value).bit_count() == 1
