"""Test-time scaling: success and episode length over steps m and candidates N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from sorl_edu.errors import check
from sorl_edu.plotting.style import (
    COLORS,
    LIGHT_BLUES,
    MARKERS,
    PALETTE,
    WIDTH,
    check_table,
    new_figure,
    sentence,
    styled,
)

SWEEP_LABELS = {
    "success": "success rate",
    "length": "episode length (environment steps)",
}
DIGITS = {"success": 2, "length": 0}


@styled
def sweep_heatmap(
    summary: pd.DataFrame, metric: Literal["success", "length"] = "success"
) -> Figure:
    """Success or episode length over steps m x candidates N, each cell with its 95% interval.

    Args:
        summary: what `evaluation.summarize` returns.
        metric: "success" (higher is better) or "length" (lower is better).

    Raises:
        ConfigError: another table, or another metric.
    """
    _check_summary(summary, (metric,))
    table, low, high = (
        summary.pivot(index="candidates", columns="steps", values=metric + suffix)
        for suffix in ("", "_low", "_high")
    )
    rows, columns = table.shape
    figure = new_figure(min(2.4 + 1.5 * columns, WIDTH), 1.6 + 0.85 * rows)
    axes = figure.subplots()
    image = draw_surface(axes, table, metric)
    digits = DIGITS[metric]
    for (i, j), value in np.ndenumerate(table.to_numpy()):
        if np.isnan(value):
            continue
        interval = (low.iloc[i, j], high.iloc[i, j])
        axes.text(j, i, f"{value:.{digits}f}", size=13, ha="center", va="bottom")
        if np.isfinite(interval).all():
            text = "{:.{d}f} to {:.{d}f}".format(*interval, d=digits)
            axes.text(j, i + 0.08, text, size=9, ha="center", va="top")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label=SWEEP_LABELS[metric])
    axes.set_title(f"{SWEEP_LABELS[metric].capitalize()}\n{_interval(summary)}")
    figure.alt = (
        f"A table of colours, candidates N by steps m. {_in_words(summary, metric)}; "
        f"{_interval(summary)}."
    )
    return figure


def draw_surface(axes: Axes, table: pd.DataFrame, metric: str) -> AxesImage:
    """Draws a table of candidates N x steps m as colours, darker for better."""
    limits = (0, 1) if metric == "success" else (None, None)
    cmap = LIGHT_BLUES if metric == "success" else LIGHT_BLUES.reversed()
    image = axes.imshow(table, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_xticks(range(table.shape[1]), table.columns)
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.set(xlabel="inference steps m", ylabel="candidates N")
    return image


@styled
def sweep_lines(summary: pd.DataFrame) -> Figure:
    """Success and episode length against steps m, one line per N, with 95% intervals.

    Args:
        summary: what `evaluation.summarize` returns.

    Raises:
        ConfigError: another table.
    """
    _check_summary(summary, tuple(SWEEP_LABELS))
    figure = new_figure(WIDTH, 4.0)
    counts = sorted(summary.candidates.unique())
    for axes, metric in zip(figure.subplots(1, 2), SWEEP_LABELS, strict=True):
        for k, n in enumerate(counts):
            row = summary[summary.candidates == n].sort_values("steps")
            value = row[metric]
            nudge = 2 ** (0.08 * (k - (len(counts) - 1) / 2))  # so that intervals don't overlap
            axes.errorbar(
                row.steps * nudge,
                value,
                np.maximum([value - row[f"{metric}_low"], row[f"{metric}_high"] - value], 0),
                color=PALETTE[k % len(PALETTE)],
                marker=MARKERS[k % len(MARKERS)],
                capsize=3,
                elinewidth=1.2,
                label=f"N = {n}",
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(summary.steps.unique()), sorted(summary.steps.unique()))
        axes.set(xlabel="inference steps m", ylabel=SWEEP_LABELS[metric])
        axes.grid(True, axis="y")
    figure.axes[0].set(ylim=(-0.03, 1.03), title="Success: higher is better")
    figure.axes[1].set(title="Length: lower is better")
    figure.axes[1].set_ylim(bottom=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(counts))
    figure.suptitle(f"Test-time scaling, {_interval(summary)}")
    told = [_in_words(summary, metric) for metric in SWEEP_LABELS]
    figure.alt = f"Lines against steps m, one for each N. {'; '.join(told)}; {_interval(summary)}."
    return figure


@styled
def success_over(
    summaries: Mapping[str, pd.DataFrame], settings: Sequence[tuple[int, int]], *, xlabel: str
) -> Figure:
    """Success of several arms, which differ in one number, at some settings (m, N).

    Args:
        summaries: what `evaluation.summarize` returns, by the arm's number as text.
        settings: (m, N), at most four, a mark each.
        xlabel: what the arms differ in.

    Raises:
        ConfigError: another table, or more than four settings.
    """
    check(len(settings) <= len(COLORS), f"there are {len(settings)} settings; 4 at most")
    figure = new_figure(WIDTH, 3.6)
    axes = figure.subplots()
    told = []
    for at, ((m, n), color, mark) in enumerate(zip(settings, COLORS, MARKERS, strict=False)):
        rows = []
        for summary in summaries.values():
            _check_summary(summary, ("success",))
            rows.append(summary[(summary.steps == m) & (summary.candidates == n)])
        row = pd.concat(rows)
        ends = [row.success - row.success_low, row.success_high - row.success]
        look = dict(color=color, marker=mark, linestyle="-", capsize=3)
        x = np.arange(len(summaries)) + 0.1 * (at - (len(settings) - 1) / 2)
        axes.errorbar(x, row.success, np.maximum(ends, 0), label=f"m = {m}, N = {n}", **look)
        values = zip(row.success, summaries, strict=True)
        told.append(f"m = {m}, N = {n}: " + ", ".join(f"{s:.2f} at {name}" for s, name in values))
    axes.set_xticks(range(len(summaries)), summaries)
    axes.set(xlabel=xlabel, ylabel="success rate", ylim=(-0.04, 1.04))
    axes.grid(True, axis="y")
    figure.legend(loc="outside lower center", ncols=4)
    title = _interval(pd.concat(summaries.values()))
    figure.suptitle(sentence(title))
    figure.alt = f"Success rate against {xlabel}. {'; '.join(told)}; {title}."
    return figure


def _check_summary(summary: pd.DataFrame, metrics: Sequence[str]) -> None:
    for metric in metrics:
        check(metric in SWEEP_LABELS, f"metric must be 'success' or 'length', got {metric!r}")
    columns = [metric + suffix for metric in metrics for suffix in ("", "_low", "_high")]
    check_table(
        summary, ["steps", "candidates", *columns, "interval"], "what evaluation.summarize returns"
    )
    check(
        not summary.duplicated(["steps", "candidates"]).any(),
        "the table has several rows for one (steps, candidates): summarize one sweep at a time",
    )


def _in_words(summary: pd.DataFrame, metric: str) -> str:
    """Every value of a table: "success rate: for N = 1, 0.58 at m = 1, 0.02 at m = 8; ..."."""
    rows = []
    for n, of_n in summary.sort_values("steps").groupby("candidates"):
        values = zip(of_n[metric], of_n.steps, strict=True)
        numbers = ", ".join(f"{value:.{DIGITS[metric]}f} at m = {m}" for value, m in values)
        rows.append(f"for N = {n}, {numbers}")
    return f"{SWEEP_LABELS[metric]}: {'; '.join(rows)}"


def _interval(summary: pd.DataFrame) -> str:
    """The kind of the intervals: "intervals: 95% over 5 training seeds"."""
    return "intervals: " + "; ".join(summary.interval.unique())
