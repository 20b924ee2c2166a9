"""The tightrope: its cells, who is how often where, and where a learner practises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sorl_edu.datasets.tightrope import ROWS, STEPS, Tightrope
from sorl_edu.errors import check
from sorl_edu.plotting.style import (
    BLACK,
    END,
    FAILED,
    GOAL,
    GREEN,
    LIGHT_BLUES,
    REACHED,
    SMALL,
    START,
    WIDTH,
    new_figure,
    styled,
)

PIT = "0.35"
NEARLY_0 = 0.02  # of the largest number: less is not written
RARE = 0.002  # of a law of practice: less is not drawn


@dataclass(frozen=True)
class Walkers:
    """What a panel shows of a policy."""

    visits: Float[np.ndarray, " states"]
    """The expected number of steps in each cell; whatever exceeds 1 is drawn as 1."""
    walks: Int[np.ndarray, "steps episodes"] | None = None
    """The states of some episodes."""
    practice: Float[np.ndarray, " states"] | None = None
    """The law of the states that it practises in, over all steps."""
    actions: Float[np.ndarray, "states actions"] | None = None
    """What it does in each state: arrows, or a question mark where all actions are alike."""


@styled
def tightrope_panels(
    world: Tightrope, panels: Mapping[str, Walkers], *, columns: int = 2
) -> Figure:
    """A drawing of the world for each name: shaded where a policy often is, with some walks.

    Args:
        world: the world.
        panels: what to show, by title.
        columns: panels beside each other.

    Raises:
        ConfigError: no panels.
    """
    check(len(panels) > 0, "panels must name at least one panel")
    rows = -(-len(panels) // columns)
    width = WIDTH / columns
    figure = new_figure(WIDTH, rows * (0.44 * width + 0.3))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (title, shown) in zip(grid.flat, panels.items(), strict=False):
        draw_walkers(axes, world, shown)
        axes.set_title(title, size=SMALL)
    told = "; ".join(
        f"{title.replace(chr(10), ' ')}: {in_words(world, shown)}"
        for title, shown in panels.items()
    )
    figure.alt = (
        f"The tightrope from above: {len(panels)} drawings of {ROWS} rows and {world.columns} "
        "columns, with starts on the left, pits beside the bridge, the road below, and the goal on "
        f"the right. {told}."
    )
    return figure


@styled
def tightrope_maps(
    world: Tightrope, maps: Mapping[str, Float[np.ndarray, " states"]], *, about: str
) -> Figure:
    """A number in each cell, for each name: shaded by its size, blank where it is nearly 0.

    Args:
        world: the world.
        maps: numbers by title.
        about: what the numbers are.

    Raises:
        ConfigError: no maps.
    """
    check(len(maps) > 0, "maps must name at least one map")
    width = WIDTH / len(maps)
    figure = new_figure(WIDTH, 0.44 * width + 0.3)
    largest = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    told = []
    for axes, (title, values) in zip(
        figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True
    ):
        _draw_cells(axes, world, np.abs(values) / largest)
        for state, (row, column) in enumerate(world.cells):
            if abs(values[state]) >= NEARLY_0 * largest:
                ink = "white" if state in world.pits else "black"
                text = f"{values[state]:.1f}".replace("-", "\N{MINUS SIGN}")
                axes.text(column, row, text, ha="center", va="center", color=ink, size=9, zorder=7)
        axes.set_title(title, size=SMALL)
        where = regions(world, values)
        told.append(
            f"{title}: {', '.join(f'{value:.1f} {place}' for place, value in where.items())}"
            f", {values.sum():.1f} in all"
        )
    figure.alt = f"{about}, in each cell of the tightrope. {'; '.join(told)}."
    return figure


def in_words(world: Tightrope, shown: Walkers) -> str:
    """Where a policy's steps are."""
    where = regions(world, shown.visits)
    return ", ".join(f"{steps:.1f} steps {place}" for place, steps in where.items())


def regions(world: Tightrope, visits: Float[np.ndarray, " states"]) -> dict[str, float]:
    """The sum of visits on the bridge, on the road, in pits and in the goal."""
    inner = slice(world.middle[0], world.middle[-1] + 1)
    cells = visits.reshape(ROWS, world.columns)
    return {
        "on the bridge": float(cells[1, inner].sum()),
        "on the road": float(cells[3:, inner].sum()),
        "in a pit": float(visits[world.pits].sum()),
        "in the goal": float(visits[world.goal]),
    }


def draw_walkers(axes: Axes, world: Tightrope, shown: Walkers) -> None:
    """Draws the cells, shaded by visits; walks, solid if they arrive; and a square for practice."""
    _draw_cells(axes, world, shown.visits)
    if shown.actions is None:  # its arrows would cover the starts
        starts = world.cells[np.flatnonzero(world.mdp.start)]
        axes.plot(starts[:, 1], starts[:, 0], **START, zorder=5)
    row, column = world.cells[world.goal]
    axes.plot(column, row, **GOAL, zorder=5)
    if shown.walks is not None:
        _draw_walks(axes, world, shown.walks)
    if shown.actions is not None:
        _draw_actions(axes, world, shown.actions)
    if shown.practice is not None:
        _draw_practice(axes, world, shown.practice)


def _draw_cells(axes: Axes, world: Tightrope, shades: Float[np.ndarray, " states"]) -> None:
    """The cells, white to blue for 0 to 1 and more, and the pits, which are grey."""
    height, width = ROWS, world.columns
    cells = np.minimum(shades, 1).reshape(height, width)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(cells, cmap=LIGHT_BLUES, vmin=0, vmax=1, extent=extent)
    for state in world.pits:
        row, column = world.cells[state]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=PIT, linewidth=0))
    axes.set_xticks(np.arange(width - 1) + 0.5, [])
    axes.set_yticks(np.arange(height - 1) + 0.5, [])
    axes.tick_params(length=0)
    axes.grid(True, color="0.85", linewidth=0.6)
    axes.set_axisbelow(False)
    axes.spines[:].set_visible(True)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")


def _draw_walks(axes: Axes, world: Tightrope, walks: Int[np.ndarray, "steps episodes"]) -> None:
    """Each walk is moved aside a little, so that walks of the same way stay apart."""
    aside = np.linspace(-0.28, 0.28, walks.shape[1])
    for states, offset in zip(walks.T, aside, strict=True):
        row, column = world.cells[states].T + offset
        fell = states[-1] in world.pits
        look = REACHED if states[-1] == world.goal else FAILED
        axes.plot(column, row, **look, linewidth=1.1, alpha=0.8)
        if fell:
            axes.plot(column[-1], row[-1], **END | {"markersize": 6, "markeredgewidth": 0.5})


def _draw_actions(
    axes: Axes, world: Tightrope, actions: Float[np.ndarray, "states actions"]
) -> None:
    """An arrow for each action that is likelier than an equal share; a question mark for none."""
    final = {*world.pits.tolist(), world.goal}
    for state, ((row, column), law) in enumerate(zip(world.cells, actions, strict=True)):
        if state in final:
            continue
        likely = np.flatnonzero(law > 1.2 / len(law))
        if not len(likely):
            axes.text(column, row, "?", ha="center", va="center", size=SMALL, zorder=7)
        for action in likely:
            down, right = 0.6 * STEPS[action]
            axes.annotate(
                "",
                (column + right / 2, row + down / 2),
                (column - right / 2, row - down / 2),
                arrowprops=dict(arrowstyle="-|>", color=BLACK, linewidth=1.2, mutation_scale=9),
                zorder=7,
            )


def _draw_practice(axes: Axes, world: Tightrope, law: Float[np.ndarray, " states"]) -> None:
    """A green square in the upper left corner of each cell that is practised in."""
    row, column = world.cells[law > RARE].T
    axes.scatter(
        column - 0.36,
        row - 0.34,
        s=22,
        marker="s",
        color=GREEN,
        edgecolors="white",
        linewidths=0.5,
        zorder=6,
    )
