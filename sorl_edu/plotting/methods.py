"""A comparison of methods that were tuned: what the values of each one's knob gave, and the best.

figure = compare_methods(statistics.per_environment(results), tuning)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.plotting.style import (
    BLUE,
    ORANGE,
    WIDTH,
    check_table,
    new_figure,
    sentence,
    styled,
)

SUCCESS = ("agent", "success", "low", "high")
TRIED = ("agent", "value", "success", "chosen")
DODGE = 0.13  # of a row's height: between values with the same success


@styled
def compare_methods(success: pd.DataFrame, tried: pd.DataFrame) -> Figure:
    """A row per method: success as it was tuned, and with every value of its knob.

    Args:
        success: a row per method, drawn in this order: its name `agent`, and `success` in percent
            with the interval from `low` to `high`.
        tried: a row per method, value of its knob and setting, in `agent` and `value`: `success` in
            [0, 1], and whether it was `chosen`. Each value is shown at the setting that did best.

    Raises:
        ConfigError: a table without these columns or without rows, a method with several rows of
            success, or one that was tuned and has none.
    """
    check_table(success, SUCCESS, "a table of success with intervals")
    check_table(tried, TRIED, "the table of what was tuned")
    check(success.agent.is_unique, "a method has several rows of success: choose one of each")
    others = sorted(set(tried.agent) - set(success.agent))
    check(not others, f"these were tuned, and have no success: {', '.join(others)}")
    figure = new_figure(WIDTH, 1.5 + 0.33 * len(success))
    left, right = figure.subplots(1, 2, sharey=True)
    told = []
    for at, row in enumerate(success.itertuples()):
        ends = np.maximum([[row.success - row.low], [row.high - row.success]], 0)
        left.errorbar(row.success, at, xerr=ends, fmt="o", color=BLUE, capsize=3)
        own = tried[tried.agent == row.agent]
        values = own.groupby("value", sort=False, dropna=False)
        best = values.agg({"success": "max", "chosen": "any"})
        _draw_values(right, at, 100 * best.success.to_numpy(), best.chosen.to_numpy())
        said = f"{row.agent} {row.success:.0f} [{row.low:.0f}, {row.high:.0f}]"
        if len(best) > 1:
            said += f", its knob from {100 * best.success.min():.0f} to "
            said += f"{100 * best.success.max():.0f}"
        told.append(said)
    for axes, title in (
        (left, "reported tasks and seeds, as tuned"),
        (right, "default task, every value of the knob"),
    ):
        axes.set(xlabel="success (percent)", title=title, xlim=(-4, 104))
        axes.grid(True, axis="both")
    left.set_yticks(range(len(success)), success.agent)
    left.invert_yaxis()
    figure.alt = sentence(f"success in percent with 95% intervals: {'; '.join(told)}.")
    return figure


def _draw_values(axes: Axes, row: int, success: np.ndarray, chosen: np.ndarray) -> None:
    """Rings for the values of a knob, filled for the chosen one; equal ones beside each other."""
    for i, value in enumerate(success):
        equal = np.flatnonzero(success == value)
        y = row + DODGE * (np.searchsorted(equal, i) - (len(equal) - 1) / 2)
        fill = ORANGE if chosen[i] else "none"
        axes.plot(value, y, "o", markersize=7, color=fill, markeredgecolor=ORANGE)
