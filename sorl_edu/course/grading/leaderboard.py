"""`sorl-edu course leaderboard`: ranks graded submissions, as far as their seeds tell them apart.

All submissions are measured with the same hidden seeds, so two of them are compared in pairs. The
rank of an entry is one more than the number of entries that are significantly better, by a 95%
interval of the paired difference that lies above zero.
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
from sorl_edu.evaluation.statistics import t_interval


@dataclass(frozen=True)
class Entry:
    """A submission: the name of its file, and one measurement per seed."""

    name: str
    values: tuple[float, ...]


def read(path: str | Path, exercise: str) -> Entry | None:
    """A submission's entry, from the output of `course grade --json`; None without a measurement.

    Raises:
        DataError: the file is no such output.
    """
    path = Path(path)
    try:
        tests = json.loads(path.read_bytes())["tests"]
        (test,) = (test for test in tests if test["number"] == exercise)
        values = tuple(float(value) for value in test["extra_data"]["values"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} has no result of exercise {exercise}: {type(error).__name__}: {error}. It "
            "should be the output of `sorl-edu course grade --json`"
        ) from None
    check(all(map(math.isfinite, values)), f"{path} has a value that is not finite", DataError)
    return Entry(path.stem, values) if values else None


def ranked(
    entries: Sequence[Entry], better: Literal["higher", "lower"] = "higher"
) -> list[tuple[int, Entry]]:
    """Entries with their ranks, the best mean first within a rank.

    Raises:
        DataError: they were measured with different numbers of seeds.
    """
    check(
        len({len(entry.values) for entry in entries}) <= 1,
        "the submissions were measured with different numbers of seeds: grade all of them alike",
        DataError,
    )
    sign = 1 if better == "higher" else -1

    def significantly_better(one: Entry, other: Entry) -> bool:
        low, _ = t_interval(sign * (np.array(one.values) - np.array(other.values)))
        return bool(low > 0)

    ranks = [
        (1 + sum(significantly_better(other, entry) for other in entries), entry)
        for entry in entries
    ]
    return sorted(ranks, key=lambda rank: (rank[0], -sign * np.mean(rank[1].values)))


def as_markdown(ranks: Sequence[tuple[int, Entry]], quantity: str) -> str:
    """A table of ranked entries, in Markdown."""
    lines = [
        f"| rank | submission | {quantity} | 95% interval | by seed |",
        "|---|---|---|---|---|",
    ]
    for rank, entry in ranks:
        low, high = t_interval(entry.values)
        seeds = ", ".join(f"{value:.2f}" for value in entry.values)
        lines.append(
            f"| {rank} | {entry.name} | {np.mean(entry.values):.3f} | [{low:.3f}, {high:.3f}] "
            f"| {seeds} |"
        )
    return "\n".join(lines)
