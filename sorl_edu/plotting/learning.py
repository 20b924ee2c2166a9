"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sorl_edu.errors import check
from sorl_edu.evaluation.statistics import t_interval
from sorl_edu.plotting.lines import course_of
from sorl_edu.plotting.style import (
    BLUE,
    COLORS,
    DASHES,
    MARKERS,
    ORANGE,
    WIDTH,
    check_table,
    new_figure,
    plural,
    remove_unused,
    styled,
)

METRIC_LABELS = {
    "critic_loss": "TD loss (return²)",
    "flow_loss": "flow-matching loss (action²)",
    "consistency_loss": "self-consistency loss (action²)",
    "q_loss": "Q loss (normalised)",
    "q_data": "Q of data actions (return)",
    "q_policy": "Q of policy actions (return)",
    "target_mean": "TD target (return)",
    "policy_loss": "weighted policy loss",
}
SPLIT_COLORS = {"train": BLUE, "validation": ORANGE}
SPLIT_DASHES = {"train": "", "validation": (3, 1.5)}


@styled
def learning_curves(history: pd.DataFrame, metrics: Sequence[str] | None = None) -> Figure:
    """A panel per metric: the mean over seeds during training, with Student's 95% interval.

    Args:
        history: of `training.Run`, a row per (split, seed, update, metric, value).
        metrics: the panels, in order; all metrics unless given.

    Raises:
        ConfigError: a table without these columns, or an unknown metric.
    """
    import seaborn as sns

    check_table(history, ("split", "seed", "update", "metric", "value"), "the history of a Run")
    known = sorted(history.metric.unique(), key=[*METRIC_LABELS, *history.metric.unique()].index)
    metrics = known if metrics is None else list(metrics)
    check(len(metrics) > 0, "metrics must name at least one metric")
    unknown = [name for name in metrics if name not in known]
    check(not unknown, f"no metric {', '.join(unknown)}; there are {', '.join(known)}")

    columns = min(len(metrics), 4 if len(metrics) % 4 == 0 else 3)
    rows = math.ceil(len(metrics) / columns)
    figure = new_figure(WIDTH * min(1, max(columns, 2) / 3), 0.7 + 2.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    told = []
    for axes, metric in zip(panels.flat, metrics, strict=False):
        of_metric = history[history.metric == metric]
        sns.lineplot(
            of_metric,
            x="update",
            y="value",
            hue="split",
            style="split",
            palette=SPLIT_COLORS,
            dashes=SPLIT_DASHES,
            errorbar=lambda values: t_interval(values.tolist()),
            legend=False,
            ax=axes,
        )
        axes.set(xlabel="", ylabel="")
        axes.set_title(METRIC_LABELS.get(metric, metric.replace("_", " ")), size=10)
        _clip_intervals(axes, of_metric.value)
        for split, rows in of_metric.groupby("split"):
            mean = rows.groupby("update").value.mean()
            told.append(
                f"{axes.get_title()} ({split}) {course_of(mean.index.to_numpy(), mean.to_numpy())}"
            )
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axes.grid(True)
    remove_unused(panels, len(metrics))
    figure.supxlabel("updates", size=10)
    splits = [split for split in SPLIT_COLORS if split in set(history.split)]
    handles = [
        Line2D(
            [],
            [],
            color=SPLIT_COLORS[split],
            linestyle=(0, SPLIT_DASHES[split]) if SPLIT_DASHES[split] else "-",
        )
        for split in splits
    ]
    figure.legend(handles, splits, loc="outside upper right", ncols=2)
    seeds = history.seed.nunique()
    figure.suptitle(
        f"Learning curves, {plural(seeds, 'seed')}" + (" with 95% intervals" if seeds > 1 else ""),
        x=0.02,
        ha="left",
    )
    figure.alt = f"{figure.get_suptitle()}. Against updates: {'; '.join(told)}."
    return figure


@styled
def gradient_of_steps(
    norms: Mapping[int, Float[np.ndarray, "batch steps"]], milliseconds: Mapping[int, float]
) -> Figure:
    """Back-propagation through m steps: the share of each step, and the cost.

    Args:
        norms: for each m, the norm of the gradient at each of its steps, a row per batch.
        milliseconds: the time of one gradient, for each m.
    """
    figure = new_figure(WIDTH, 3.4)
    left, right = figure.subplots(1, 2)
    told = []
    for color, dashes, marker, (m, rows) in zip(
        COLORS, DASHES, MARKERS, norms.items(), strict=False
    ):
        t, mean = np.arange(m) / m, rows.mean(0)
        low, high = np.array([t_interval(column) for column in rows.T]).T
        look = dict(color=color, linestyle=dashes, marker=marker, capsize=3)
        left.errorbar(t, mean, [mean - low, high - mean], label=f"m = {m}", **look)
        told.append(f"m = {m} {course_of(t, mean)}")
    left.set(xlabel="time t at which the step starts", ylabel="norm of dQ / d(its field)")
    left.set_ylim(bottom=0)
    left.legend()
    right.plot(list(milliseconds), list(milliseconds.values()), marker="o", color=BLUE)
    right.set(xlabel="steps m", ylabel="fastest gradient (ms)")
    right.set_ylim(bottom=0)
    right.set_xticks(list(milliseconds))
    for axes in (left, right):
        axes.grid(True)
    batches = len(next(iter(norms.values())))
    title = f"Back-propagation through m steps; 95% intervals over {batches} batches"
    figure.suptitle(title)
    cost = ", ".join(f"{ms:.1f} ms for m = {m}" for m, ms in milliseconds.items())
    figure.alt = (
        f"{title}. Left, the gradient's norm at the step that starts at t: {'; '.join(told)}. "
        f"Right, the time of one gradient: {cost}."
    )
    return figure


def _clip_intervals(axes: Axes, values: pd.Series) -> None:
    """Clips the interval of two or three seeds, which may be huge, instead of fitting the axis."""
    bottom, top = axes.get_ylim()
    margin = 0.5 * (values.max() - values.min())
    if margin > 0:
        axes.set_ylim(max(bottom, values.min() - margin), min(top, values.max() + margin))
