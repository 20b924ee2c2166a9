"""Confidence intervals and paired differences of episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sorl_edu.errors import DataError, check


def t_interval(
    values: Sequence[float] | np.ndarray | pd.Series, confidence: float = 0.95
) -> tuple[float, float]:
    """Student's confidence interval for a mean; (nan, nan) for fewer than two values.

    Args:
        values: independent and roughly normal.
        confidence: coverage, in (0, 1).

    Source: Student, The probable error of a mean, Biometrika 6, 1908.
    """
    from scipy import stats

    values = np.asarray(values, float)
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return values.mean() - half, values.mean() + half


def wilson_interval(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's confidence interval for a proportion; it stays in [0, 1] and is valid at 0 and 1.

    Args:
        successes: number of successes, at most `trials`.
        trials: at least 1.
        confidence: coverage, in (0, 1).

    Source: E. B. Wilson, Probable inference, JASA 22, 1927.
    """
    from scipy import stats

    result = stats.binomtest(round(successes), trials).proportion_ci(confidence, method="wilson")
    return result.low, result.high


def summarize(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row per (steps, candidates): means with 95% intervals, and what the intervals are over.

    With several training seeds, Student's interval over the means of the seeds: it accounts for
    other seeds. With one seed, an interval over episodes (Wilson's for success, Student's for the
    others): it accounts for other start states of this one agent.

    Args:
        episodes: rows as `evaluation.sweep` returns them.

    Returns:
        steps, candidates; success, return and length, each with _low and _high; episodes, seeds,
        interval.
    """
    rows = []
    for (m, n), cell in episodes.groupby(["steps", "candidates"]):
        seeds = cell.training_seed.nunique()
        row = {"steps": m, "candidates": n}
        for metric in ("success", "return", "length"):
            if seeds > 1:
                low, high = t_interval(cell.groupby("training_seed")[metric].mean())
            elif metric == "success":
                low, high = wilson_interval(cell[metric].sum(), len(cell))
            else:
                low, high = t_interval(cell[metric])
            if metric == "success":
                low, high = max(low, 0.0), min(high, 1.0)
            row |= {metric: cell[metric].mean(), f"{metric}_low": low, f"{metric}_high": high}
        over = f"{seeds} training seeds" if seeds > 1 else f"{len(cell)} episodes of one seed"
        rows.append(row | {"episodes": len(cell), "seeds": seeds, "interval": f"95% over {over}"})
    return pd.DataFrame(rows)


def as_text(summary: pd.DataFrame) -> str:
    """A summary as a printable table, a row per setting."""
    metrics = {"success": ".2f", "return": ".1f", "length": ".1f"}
    lines = [f"{'steps':>5} {'N':>4}" + "".join(f"  {metric:^24}" for metric in metrics)]
    for _, row in summary.iterrows():
        cells = [
            f"{row[metric]:{form}} [{row[f'{metric}_low']:{form}}, {row[f'{metric}_high']:{form}}]"
            for metric, form in metrics.items()
        ]
        lines.append(
            f"{row.steps:>5} {row.candidates:>4}" + "".join(f"  {cell:^24}" for cell in cells)
        )
    lines.append(f"[{summary.interval.iloc[0]}; a failed episode counts its time limit]")
    return "\n".join(lines)


def paired_difference(
    episodes: pd.DataFrame, metric: str, *, better: dict, worse: dict
) -> dict[str, float]:
    """Mean of (`better` - `worse`) for settings that share starts, with a 95% interval over seeds.

    Args:
        episodes: rows as `evaluation.sweep` returns them; further columns may distinguish settings.
        metric: "success", "return" or "length".
        better, worse: column values that select each setting, {"steps": 8, "candidates": 1}.

    Returns:
        difference, low, high, seeds, episodes. The interval is Student's over the training seeds:
        each contributes its mean difference over the same start states.

    Raises:
        DataError: the settings do not have the same seeds and episodes.
    """

    def select(setting: dict) -> pd.Series:
        chosen = episodes
        for column, value in setting.items():
            chosen = chosen[chosen[column] == value]
        return chosen.set_index(["training_seed", "episode"])[metric].sort_index()

    one, other = select(better), select(worse)
    check(
        len(one) > 0 and one.index.is_unique and one.index.equals(other.index),
        f"{better} and {worse} don't pair: each needs one row per training seed and episode, "
        f"the same ones (there are {len(one)} and {len(other)})",
        DataError,
    )
    per_seed = (one - other).groupby("training_seed").mean()
    low, high = t_interval(per_seed)
    return {
        "difference": float(per_seed.mean()),
        "low": float(low),
        "high": float(high),
        "seeds": len(per_seed),
        "episodes": len(one),
    }
