"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sorl_edu.errors import check
from sorl_edu.evaluation.statistics import t_interval
from sorl_edu.plotting.style import (
    BLUE,
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
COLORS = {"train": BLUE, "validation": ORANGE}
DASHES = {"train": "", "validation": (3, 1.5)}


@styled
def learning_curves(history: pd.DataFrame, metrics: Sequence[str] | None = None) -> Figure:
    """A panel per metric: the mean over seeds during training, with Student's 95% interval.

    Args:
        history: of `training.Run`, a row per (split, seed, update, metric, value).
        metrics: the panels, in order; all metrics unless given.

    Raises:
        ConfigError: a table without these columns, or an unknown metric.
    """
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
    for axes, metric in zip(panels.flat, metrics, strict=False):
        of_metric = history[history.metric == metric]
        sns.lineplot(
            of_metric,
            x="update",
            y="value",
            hue="split",
            style="split",
            palette=COLORS,
            dashes=DASHES,
            errorbar=lambda values: t_interval(values.tolist()),
            legend=False,
            ax=axes,
        )
        axes.set(xlabel="", ylabel="")
        axes.set_title(METRIC_LABELS.get(metric, metric.replace("_", " ")), size=10)
        _clip_intervals(axes, of_metric.value)
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axes.grid(True)
    remove_unused(panels, len(metrics))
    figure.supxlabel("updates", size=10)
    splits = [split for split in COLORS if split in set(history.split)]
    handles = [
        Line2D([], [], color=COLORS[split], linestyle=(0, DASHES[split]) if DASHES[split] else "-")
        for split in splits
    ]
    figure.legend(handles, splits, loc="outside upper right", ncols=2)
    seeds = history.seed.nunique()
    figure.suptitle(
        f"Learning curves, {plural(seeds, 'seed')}" + (" with 95% intervals" if seeds > 1 else ""),
        x=0.02,
        ha="left",
    )
    return figure


def _clip_intervals(axes: Axes, values: pd.Series) -> None:
    """Clips the interval of two or three seeds, which may be huge, instead of fitting the axis."""
    bottom, top = axes.get_ylim()
    margin = 0.5 * (values.max() - values.min())
    if margin > 0:
        axes.set_ylim(max(bottom, values.min() - margin), min(top, values.max() + margin))
