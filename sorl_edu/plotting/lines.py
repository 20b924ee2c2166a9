"""Lines over a common axis, and pairs of dots: what several lessons draw of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.evaluation.statistics import t_interval
from sorl_edu.plotting.style import (
    BLACK,
    BLUE,
    COLORS,
    DASHES,
    MARKERS,
    ORANGE,
    WIDTH,
    Numbers,
    check_table,
    listed,
    new_figure,
    sentence,
    styled,
)

MOST_LETTERS = 60  # of the labels of an axis as wide as a figure
FEW = 20  # points of a line that has markers
Curves = Mapping[str, Shaped[Numbers, "..."] | Sequence[float]]
Level = tuple[str, float]
Positions = Sequence[float] | range | np.ndarray


@styled
def lines(
    curves: Curves,
    x: Positions,
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    level: Level | None = None,
    log_x: bool = False,
    bottom: float | None = None,
) -> Figure:
    """A line per name over common positions.

    Args:
        curves: by name, a number for each x; or rows of them, (sample, x), of which their mean is
            drawn with Student's 95% interval.
        x: positions along the horizontal axis.
        xlabel, ylabel: labels of the axes, with units.
        title: the title.
        level: the name and the height of a horizontal line to compare with.
        log_x: whether x is on a log2 scale.
        bottom: the lowest y shown.

    Raises:
        ConfigError: an array whose last axis is not as long as x; more than four lines.
    """
    figure = new_figure(0.75 * WIDTH, 3.8)
    axes = figure.subplots()
    told = draw_lines(axes, curves, x, level=level, log_x=log_x)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.set_ylim(bottom=bottom)
    axes.legend()
    about = f"{one_line(ylabel)} against {xlabel}" + (f", {title}" if title else "")
    figure.alt = sentence(f"{about}: {told}.")
    return figure


@styled
def line_panels(
    panels: Mapping[str, Curves],
    x: Positions,
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """As `lines`, a panel with a title for each name, each with a scale of its own."""
    check(len(panels) > 0, "panels must name at least one panel")
    figure = new_figure(WIDTH, 3.4)
    told = []
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        told.append(f"{title}: {draw_lines(axes, curves, x)}.")
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.legend()
    figure.alt = sentence(f"{one_line(ylabel)} against {xlabel}. {' '.join(told)}")
    return figure


@styled
def interval_panels(
    panels: Mapping[str, Mapping[str, pd.DataFrame]],
    *,
    xlabels: Sequence[str],
    ylabel: str,
) -> Figure:
    """Interquartile means with their intervals, over evenly spaced settings, a panel per title.

    Args:
        panels: by title and by the name of a line, a table with a row for each setting: its first
            column is the setting, the others are iqm, low and high.
        xlabels: what the settings of each panel are.
        ylabel: what the means are of; all panels share the axis.

    Raises:
        ConfigError: no panels, another number of labels, more than four lines, or a table without
            these columns.
    """
    check(len(panels) > 0, "panels must name at least one panel")
    check(len(xlabels) == len(panels), f"{len(xlabels)} xlabels for {len(panels)} panels")
    figure = new_figure(WIDTH, 3.9)
    told, grid = [], figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, xlabel, (title, curves) in zip(grid, xlabels, panels.items(), strict=True):
        check(len(curves) <= len(COLORS), f"{len(curves)} lines, and {len(COLORS)} colours")
        said = []
        for i, (name, table) in enumerate(curves.items()):
            check_table(table, ("iqm", "low", "high"), "a table of interquartile means")
            ends = np.maximum([table.iqm - table.low, table.high - table.iqm], 0)
            look = dict(color=COLORS[i], marker=MARKERS[i], linestyle=DASHES[i], capsize=3)
            x = np.arange(len(table)) + 0.08 * (i - (len(curves) - 1) / 2)
            axes.errorbar(x, table.iqm, ends, label=name, markersize=5, **look)
            settings = [f"{value:g}" for value in table.iloc[:, 0]]
            ends = (f"{table.iqm.iloc[j]:.2f} at {settings[j]}" for j in (0, -1))
            said.append(f"{name} goes from {' to '.join(ends)}")
        crowded = sum(map(len, settings)) > MOST_LETTERS / len(panels)
        axes.set_xticks(range(len(settings)), settings, rotation=45 if crowded else 0)
        axes.set(xlabel=xlabel, title=title)
        axes.grid(True, axis="y")
        told.append(f"{title}, against {xlabel}: {'; '.join(said)}.")
    grid[0].set_ylabel(ylabel)
    names = {
        label: handle
        for axes in grid
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(names.values(), names.keys(), loc="outside lower center", ncols=4)
    figure.alt = sentence(f"{one_line(ylabel)}, with 95% intervals. {' '.join(told)}")
    return figure


def draw_lines(
    axes: Axes,
    curves: Curves,
    x: Positions,
    *,
    level: Level | None = None,
    log_x: bool = False,
) -> str:
    """Draws a line per name, apart in colour, dashes and markers, and says how each runs."""
    check(len(curves) <= len(COLORS), f"there are {len(curves)} lines, and {len(COLORS)} colours")
    told = []
    for color, dashes, marker, (name, rows) in zip(
        COLORS, DASHES, MARKERS, curves.items(), strict=False
    ):
        rows = np.asarray(rows)
        check(
            rows.ndim in (1, 2) and rows.shape[-1] == len(x),
            f"'{name}' has shape {rows.shape}; expected (samples, {len(x)}) or ({len(x)},)",
        )
        mean = rows if rows.ndim == 1 else rows.mean(0)
        look = dict(marker=marker, markersize=5) if len(x) <= FEW else {}
        axes.plot(x, mean, color=color, linestyle=dashes, label=name, **look)
        if rows.ndim == 2:
            low, high = np.array([t_interval(column) for column in rows.T]).T
            axes.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        told.append(f"{name} {course_of(x, mean)}")
    if level is not None:
        axes.axhline(level[1], color="0.4", linestyle=":", label=level[0])
        told.append(f"a dotted line, {level[0]}, is at {level[1]:.3g}")
    if log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    axes.grid(True)
    return "; ".join(told)


def course_of(x: Positions, y: Sequence[float] | np.ndarray) -> str:
    """A line in words: where it starts and ends, and its extremes between."""
    y = np.asarray(y, float)
    if np.ptp(y) <= 0.01 * np.abs(y).max():
        return f"stays at {y[0]:.3g}"
    ends = f"goes from {y[0]:.3g} at {x[0]:g} to {y[-1]:.3g} at {x[-1]:g}"
    room = 0.1 * (y.max() - y.min())
    turns = [
        f"its {which} {y[at]:.3g} at {x[at]:g}"
        for which, at, beyond in (
            ("highest", int(y.argmax()), y.max() - max(y[0], y[-1])),
            ("lowest", int(y.argmin()), min(y[0], y[-1]) - y.min()),
        )
        if beyond > room
    ]
    return f"{ends}, with {listed(turns)}" if turns else ends


def one_line(label: str) -> str:
    return label.replace("\n", " ")


@styled
def promises(
    pairs: Mapping[str, tuple[Shaped[Numbers, " pair"], Shaped[Numbers, " pair"]]],
    names: tuple[str, str],
    *,
    ylabel: str,
    title: str = "",
    level: Level | None = None,
) -> Figure:
    """Two numbers for each of several runs, as two joined dots, in groups.

    Above each group stands its mean difference, the first number minus the second, with Student's
    95% interval.

    Args:
        pairs: by group, the first and the second number of each run.
        names: what the first and the second numbers are.
        ylabel: label of the vertical axis.
        title: the title.
        level: the name and the height of a horizontal line to compare with.
    """
    figure = new_figure(WIDTH, 3.8)
    axes = figure.subplots()
    told = []
    everything = np.concatenate([np.concatenate(pair) for pair in pairs.values()])
    if level is not None:
        everything = np.append(everything, level[1])
    low, high = float(everything.min()), float(everything.max())
    room = 0.05 * max(high - low, 1e-6)
    for i, (group, (first, second)) in enumerate(pairs.items()):
        x = i + np.linspace(-0.2, 0.2, len(first))
        axes.vlines(x, second, first, color="0.7")
        first_dots = dict(marker="o", color=BLUE, label=names[0] if i == 0 else None)
        second_dots = dict(marker="D", color=ORANGE, label=names[1] if i == 0 else None)
        axes.plot(x, first, linestyle="none", **first_dots)
        axes.plot(x, second, linestyle="none", **second_dots)
        gap = np.asarray(first) - np.asarray(second)
        ends = t_interval(gap)
        text = f"{gap.mean():+.0f}\n[{ends[0]:+.0f}, {ends[1]:+.0f}]"
        axes.text(i, high + room, f"gap {text}", ha="center", va="bottom")
        told.append(f"{group}: {text.replace(chr(10), ' ')}")
    axes.set_xticks(range(len(pairs)), pairs)
    axes.set(ylabel=ylabel, xlim=(-0.5, len(pairs) - 0.5), ylim=(low - room, high + 6 * room))
    axes.set_title(title)
    if level is not None:
        axes.axhline(level[1], color=BLACK, linestyle=":", linewidth=1.2, label=level[0])
    figure.legend(loc="outside lower center", ncols=3)
    figure.alt = (
        f"Joined dots for each run, in groups: {names[0]}, and {names[1]}; vertical axis: "
        f"{ylabel}. Mean gap and 95% interval of {'; '.join(told)}."
    )
    return figure
