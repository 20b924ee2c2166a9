"""Confidence intervals and paired differences of episodes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

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


def bounded_interval(
    values: Sequence[float] | np.ndarray | pd.Series,
    lowest: float = 0.0,
    highest: float = 1.0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Confidence interval for the mean of independent values that lie in a known range.

    A bootstrap of n agents that reckons with one more, which nobody has seen. Each resample weights
    all n + 1 agents at random. The lower end takes the unseen one to be the worst possible, and the
    upper end the best possible. So the interval stays in the range, and has a width even where all
    agents agree: of 3 agents that always arrive, it says [0.29, 1], of 8 [0.63, 1]. For values that
    are all 0 or 1 it is the exact interval of Clopper and Pearson. It assumes no distribution.
    (That it covers often enough is proved for some kinds of values; no counterexample is known for
    the others.) The price is that it is wide for few agents.

    Args:
        values: one number per agent; at least one.
        lowest, highest: the range of a value: 0 and 1 for a rate, -1 and 1 for a difference of
            rates.
        confidence: coverage, in (0, 1).

    Raises:
        ConfigError: a value out of range, or none.

    Source: N. Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of
    a nonnegative variable, Mathematical Methods of Statistics 14, 2005; Learned-Miller and Thomas,
    arXiv 1905.06208.
    """
    values = np.sort(np.asarray(values, float))  # the order must not matter
    check(len(values) > 0, "an interval needs at least one value")
    inside = (lowest <= values) & (values <= highest)
    check(bool(inside.all()), f"values must be in [{lowest:g}, {highest:g}]: {values[~inside]}")
    weights, tail = _random_weights(len(values) + 1), (1 - confidence) / 2
    low = np.quantile(weights @ np.append(values, lowest), tail)
    high = np.quantile(weights @ np.append(values, highest), 1 - tail)
    return max(float(low), lowest), min(float(high), highest)  # weights sum to 1 but for rounding


@functools.cache
def _random_weights(count: int, draws: int = 100_000) -> np.ndarray:
    """(draws, count) weights that sum to 1, uniform among all such; the same at every call."""
    return np.random.default_rng(0).dirichlet(np.ones(count), draws)


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

    An agent is one training seed's, and one task's where tasks differ. With several agents,
    intervals are over their means, so that they account for agents that were not trained: a
    `bounded_interval` for success, Student's for return and length. With one agent, they are over
    its episodes (Wilson's for success), and account for other start states alone.

    Args:
        episodes: rows as `evaluation.sweep` returns them; a column `task` may tell tasks apart.

    Returns:
        steps, candidates; success, return and length, each with _low and _high; episodes, seeds,
        interval.
    """
    rows = []
    for (m, n), cell in episodes.groupby(["steps", "candidates"]):
        agents = cell.groupby(agent_columns(cell))
        row = {"steps": m, "candidates": n}
        for metric in ("success", "return", "length"):
            if len(agents) > 1:
                interval = bounded_interval if metric == "success" else t_interval
                low, high = interval(agents[metric].mean())
            elif metric == "success":
                low, high = wilson_interval(cell[metric].sum(), len(cell))
            else:
                low, high = t_interval(cell[metric])
            row |= {metric: cell[metric].mean(), f"{metric}_low": low, f"{metric}_high": high}
        seeds = cell.training_seed.nunique()
        row |= {"episodes": len(cell), "seeds": seeds, "interval": f"95% over {_over(cell)}"}
        rows.append(row)
    return pd.DataFrame(rows)


def success_table(
    arms: Mapping[Any, pd.DataFrame], settings: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Success of several arms as text, "0.58 [0.38, 0.76], 24 seeds": a row per arm.

    Args:
        arms: episodes as `summarize` takes them, by what the row is to be called.
        settings: (steps, candidates) of the columns; an arm without one has a blank there.
    """
    rows = {}
    for name, episodes in arms.items():
        summary = summarize(episodes).set_index(["steps", "candidates"])
        rows[name] = {
            f"m = {m}, N = {n}": "{success:.2f} [{success_low:.2f}, {success_high:.2f}], "
            "{seeds} seeds".format(**summary.loc[m, n])
            if (m, n) in summary.index
            else ""
            for m, n in settings
        }
    return pd.DataFrame(rows).T


def agent_columns(episodes: pd.DataFrame) -> list[str]:
    """The columns that tell agents apart: the training seed, and the task if there is one."""
    return [column for column in ("training_seed", "task") if column in episodes]


def _over(cell: pd.DataFrame) -> str:
    seeds, agents = cell.training_seed.nunique(), len(cell.groupby(agent_columns(cell)))
    if agents == 1:
        return f"{len(cell)} episodes of one seed"
    if agents == seeds:
        return f"{seeds} training seeds"
    return f"{agents} agents, of {seeds} training seeds"


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
    """Mean of (`better` - `worse`) for settings that share starts, with a 95% interval.

    Args:
        episodes: rows as `evaluation.sweep` returns them; further columns may distinguish settings.
        metric: "success", "return" or "length".
        better, worse: column values that select each setting, {"steps": 8, "candidates": 1}.

    Returns:
        difference, low, high, agents, seeds, episodes. Each agent (one training seed's, and one
        task's where tasks differ) contributes its mean difference over the same start states. The
        interval is a `bounded_interval` over the agents for success, Student's for return and
        length.

    Raises:
        DataError: the settings do not have the same seeds and episodes.
    """

    def select(setting: dict) -> pd.Series:
        chosen = episodes
        for column, value in setting.items():
            chosen = chosen[chosen[column] == value]
        return chosen.set_index([*agents, "episode"])[metric].sort_index()

    agents = agent_columns(episodes)

    one, other = select(better), select(worse)
    check(
        len(one) > 0 and one.index.is_unique and one.index.equals(other.index),
        f"{better} and {worse} don't pair: each needs one row per agent and episode, "
        f"the same ones (there are {len(one)} and {len(other)})",
        DataError,
    )
    differences = (one - other).groupby(agents).mean()
    if metric == "success":
        low, high = bounded_interval(differences, lowest=-1, highest=1)
    else:
        low, high = t_interval(differences)
    return {
        "difference": float(differences.mean()),
        "low": float(low),
        "high": float(high),
        "agents": len(differences),
        "seeds": differences.index.get_level_values("training_seed").nunique(),
        "episodes": len(one),
    }
