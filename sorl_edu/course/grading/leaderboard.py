"""`sorl-edu course leaderboard`: graded submissions, ranked as far as their seeds can tell.

All submissions are measured with the same hidden seeds, so that two of them are compared in pairs.
A place is one more than the number of those who are better beyond doubt: whose paired difference
has a 95% interval above zero. Who shares a place can't be told apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sorl_edu.errors import DataError, check
from sorl_edu.evaluation import t_interval


@dataclass(frozen=True)
class Entry:
    """A submission: its file's name, and what was measured with each seed."""

    name: str
    values: tuple[float, ...]


def read(path: str | Path, exercise: str) -> Entry | None:
    """A submission's entry, from what `course grade --json` printed; None if nothing was measured.

    Raises:
        DataError: the file is no such result.
    """
    path = Path(path)
    try:
        tests = json.loads(path.read_bytes())["tests"]
        (test,) = (test for test in tests if test["number"] == exercise)
        values = tuple(float(value) for value in test["extra_data"]["values"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} has no result of exercise {exercise}: {type(error).__name__}: {error}. It "
            "should be what `sorl-edu course grade --json` printed"
        ) from None
    check(all(map(math.isfinite, values)), f"{path} has a value that is not finite", DataError)
    return Entry(path.stem, values) if values else None


def ranked(
    entries: Sequence[Entry], better: Literal["higher", "lower"] = "higher"
) -> list[tuple[int, Entry]]:
    """Entries with their places, the best mean first.

    Raises:
        DataError: they were measured with different numbers of seeds.
    """
    check(
        len({len(entry.values) for entry in entries}) <= 1,
        "the submissions were measured with different numbers of seeds: grade them all alike",
        DataError,
    )
    sign = 1 if better == "higher" else -1

    def beyond_doubt(one: Entry, other: Entry) -> bool:
        low, _ = t_interval(sign * (np.array(one.values) - np.array(other.values)))
        return bool(low > 0)

    places = [(1 + sum(beyond_doubt(o, entry) for o in entries), entry) for entry in entries]
    return sorted(places, key=lambda place: (place[0], -sign * np.mean(place[1].values)))


def as_markdown(places: Sequence[tuple[int, Entry]], quantity: str) -> str:
    """The table."""
    lines = [
        f"| place | submission | {quantity} | 95% interval | by seed |",
        "|---|---|---|---|---|",
    ]
    for place, entry in places:
        low, high = t_interval(entry.values)
        seeds = ", ".join(f"{value:.2f}" for value in entry.values)
        lines.append(
            f"| {place} | {entry.name} | {np.mean(entry.values):.3f} | [{low:.3f}, {high:.3f}] "
            f"| {seeds} |"
        )
    return "\n".join(lines)
