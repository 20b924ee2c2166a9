"""Mazes from above: where an agent went, and what its critic expects from each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from sorl_edu.agents.agent import Agent, State, can_act, propose
from sorl_edu.environments.mazes import MazeGeometry, count_endings, maze_geometry
from sorl_edu.errors import check
from sorl_edu.inference import Proposal, check_budget
from sorl_edu.plotting.style import (
    BLACK,
    BLUE,
    END,
    FAILED,
    GOAL,
    ORANGE,
    REACHED,
    RED,
    START,
    WIDTH,
    DescribedFigure,
    Numbers,
    new_figure,
    plural,
    styled,
)

WALL = "0.35"
PLACE = dict(marker="s", markersize=16, color="white", markeredgecolor=ORANGE, markeredgewidth=2.5)
VALUE_LABEL = "V(o), expected discounted return"


@dataclass(frozen=True)
class Trajectories:
    """The episodes of an agent at one setting."""

    positions: Float[np.ndarray, "episode time 2"]
    """In metres; NaN after an episode's end."""
    success: Shaped[np.ndarray, " episode"]
    """Whether each episode reached the goal."""


def draw_maze(axes: Axes, maze: MazeGeometry, *, labels: bool = True) -> None:
    """Draws walls, goal (a star, and the circle that counts as reached), and axes in metres."""
    walls = np.ma.masked_equal(np.array(maze.walls, float), 0)
    axes.imshow(
        walls, extent=maze.extent, origin="lower", cmap=matplotlib.colors.ListedColormap([WALL])
    )
    axes.add_patch(Circle(maze.goal, maze.goal_radius, facecolor="none", edgecolor=BLACK, zorder=4))
    axes.plot(*maze.goal, **GOAL, zorder=5)
    axes.spines[:].set_visible(False)
    left, right, bottom, top = maze.extent
    rim = 0.75 * maze.cell  # cut off of the outer walls
    axes.set(xlim=(left + rim, right - rim), ylim=(bottom + rim, top - rim), aspect="equal")
    if labels:
        axes.set(xlabel="x (m)", ylabel="y (m)")
    else:
        axes.set(xticks=[], yticks=[])


def draw_paths(axes: Axes, episodes: Trajectories) -> None:
    """Draws the path of each episode: solid if it arrives, else dashed with an X at its end."""
    for reached, line in ((True, REACHED), (False, FAILED)):
        paths = episodes.positions[episodes.success == reached]
        paths = [path[np.isfinite(path[:, 0])] for path in paths]
        axes.add_collection(LineCollection(paths, **line, linewidths=1.1, alpha=0.6))
    for path in paths:  # the last ones failed
        axes.plot(*path[-1], **END | {"markersize": 6, "markeredgewidth": 0.5})


@styled
def maze_trajectories(
    environment: str,
    observations: Shaped[Numbers, "episode time obs"],
    success: Shaped[Numbers, " episode"],
) -> Figure:
    """The agent's path in each episode: solid if it reached the goal, else dashed.

    Args:
        environment: an official OGBench name of a maze.
        observations: `recording.observations` of `evaluate(..., record=True)`: x and y first, NaN
            after an episode's end.
        success: whether each episode reached the goal.

    Raises:
        UnknownName, ConfigError: no such maze, or arrays that do not fit each other.
    """
    maze = maze_geometry(environment)
    observations, success = np.asarray(observations), np.asarray(success) > 0
    check(
        observations.ndim == 3 and observations.shape[2] >= 2 and len(observations) > 0,
        "observations must be (episode, time, obs) with at least one episode and x, y first; got "
        f"shape {observations.shape}",
    )
    check(
        success.shape == observations.shape[:1],
        f"success has shape {success.shape}, but there are {len(observations)} episodes",
    )
    figure, axes = _maze_figure(maze)
    draw_maze(axes, maze)
    alpha = float(np.clip(6 / len(success), 0.25, 0.9))
    for episode in np.argsort(~success, kind="stable"):  # failures on top
        xy = observations[episode, :, :2]
        line = REACHED if success[episode] else FAILED
        axes.plot(*xy.T, **line, linewidth=1.4, alpha=alpha)
        if not success[episode]:
            axes.plot(*xy[np.isfinite(xy).all(1)][-1:].T, **END)
    axes.plot(*observations[:, 0, :2].T, **START)
    reached = int(success.sum())
    handles = {
        f"reached the goal ({reached})": Line2D([], [], **REACHED),
        f"did not ({len(success) - reached}), ends at X": Line2D([], [], **FAILED | END),
        "start": Line2D([], [], **START),
        "goal": Line2D([], [], **GOAL),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    endings = count_endings(maze, observations[..., :2], success)
    failures = ", ".join(f"{n} {how}" for how, n in endings.items() if n and how != "arrived")
    title = f"{maze.name}: {reached} of {len(success)} episodes reach the goal"
    axes.set_title(f"{title}\n{failures}" if failures else title)
    figure.alt = (
        f"The maze from above with a path for each of {plural(len(success), 'episode')}. {title}"
        + (f"; the others end so, each at an X: {failures}." if failures else ".")
    )
    return figure


@styled
def q_landscape(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int,
    key: PRNGKeyArray | None = None,
    reduce: Literal["mean", "max"] = "mean",
    samples: int = 32,
    per_cell: int = 8,
    arrows: bool = True,
) -> Figure:
    """The critic's value of every place of the maze, and the policy's action there.

    Args:
        agent, state: any agent with a critic.
        environment: an official OGBench name of a maze whose observation is the position (x, y).
        steps: m.
        key: draws the actions; `jax.random.key(0)` unless given.
        reduce: V(o) as the mean of Q(o, a) over a ~ pi(. | o, m), or as the max, best-of-N's value.
        samples: actions per place.
        per_cell: places along a cell's edge.
        arrows: also draw the mean (or the best) action at a few places of each cell.

    Raises:
        UnknownName, ConfigError: no such maze, a maze whose observation is more than the position,
            an agent without a critic, or an argument out of range.
    """
    maze = maze_geometry(environment)
    check(reduce in ("mean", "max"), f"reduce must be 'mean' or 'max', got {reduce!r}")
    check_positions(maze, environment)
    check(per_cell >= 1, f"per_cell must be at least 1, got {per_cell}")
    points, free = maze.points(per_cell)
    proposal = propose_at(agent, state, points[free], key, steps=steps, samples=samples)
    if reduce == "mean":
        values, actions = proposal.q.mean(0), proposal.actions.mean(0)
    else:
        values, actions = proposal.q.max(0), proposal.action

    figure, axes = _maze_figure(maze)
    image = draw_landscape(axes, maze, values, actions if arrows else None, per_cell=per_cell)
    figure.colorbar(image, ax=axes, label=VALUE_LABEL)
    which = "mean" if reduce == "mean" else f"best-of-{samples}"
    title = f"{maze.name}: Q of the {steps}-step policy, {which}"
    axes.set_title(f"{title}\narrows: its {which} action" if arrows else title)
    told = f"{title}: {_range_of(points[free], values)}"
    if arrows:
        told += f"; arrows show its {which} action at each place"
    figure.alt = f"The maze from above, coloured by {VALUE_LABEL}. {told}."
    return figure


@styled
def compare_landscapes(
    agents: Mapping[str, tuple[Agent, State]],
    environment: str,
    *,
    steps: int = 1,
    key: PRNGKeyArray | None = None,
    samples: int = 32,
    per_cell: int = 5,
) -> Figure:
    """The Q landscapes of several agents side by side, on one colour scale.

    Args:
        agents: agent and state by name, a panel each.
        environment: an official OGBench name of a maze whose observation is the position (x, y).
        steps: m.
        key: draws the actions; `jax.random.key(0)` unless given.
        samples: actions per place, over which values and actions are averaged.
        per_cell: places along a cell's edge.

    Raises:
        UnknownName, ConfigError: as `q_landscape`; no agents.
    """
    check(len(agents) > 0, "agents must name at least one agent")
    check_budget(steps, samples)
    maze = maze_geometry(environment)
    check_positions(maze, environment)
    points, free = maze.points(per_cell)
    proposals = {
        name: propose_at(agent, state, points[free], key, steps=steps, samples=samples)
        for name, (agent, state) in agents.items()
    }
    values = {name: np.asarray(proposal.q.mean(0)) for name, proposal in proposals.items()}
    everywhere = np.concatenate(list(values.values()))
    limits = float(everywhere.min()), float(everywhere.max())
    figure = new_figure(WIDTH, 0.8 + 8.8 / max(len(agents), 2), layout="compressed")
    panels = figure.subplots(1, len(agents), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, proposal) in zip(panels, proposals.items(), strict=True):
        image = draw_landscape(
            axes, maze, values[name], proposal.actions.mean(0), per_cell=per_cell, limits=limits
        )
        axes.plot(*maze.start, **START | {"markersize": 9}, zorder=5)
        axes.set_title(f"{name}, {steps}-step policy")
    for axes in panels[1:]:
        axes.set_ylabel("")
    figure.colorbar(image, ax=list(panels), label=VALUE_LABEL)
    told = [f"{name}: {_range_of(points[free], value)}" for name, value in values.items()]
    figure.alt = (
        f"The maze from above, once for each agent, coloured by {VALUE_LABEL}, with arrows for the "
        f"mean actions of the {steps}-step policy. {'; '.join(told)}."
    )
    return figure


@styled
def recorded_walks(environment: str, walks: Mapping[str, Shaped[Numbers, "time 2"]]) -> Figure:
    """Recorded trajectories, (time, x and y), a maze and a panel for each name."""
    maze = maze_geometry(environment)
    figure = new_figure(WIDTH, 3.6)
    told = []
    panels = figure.subplots(1, len(walks), squeeze=False)[0]
    for axes, (name, walk) in zip(panels, walks.items(), strict=True):
        walk = np.asarray(walk)
        draw_maze(axes, maze, labels=False)
        axes.plot(*walk.T, color=BLUE, linewidth=1)
        axes.plot(*maze.start, **START)
        axes.set_title(f"{name}, {len(walk):,} states")
        share = _visited(maze, walk)
        told.append(f"{name}: {len(walk):,} states, in {share:.0%} of the maze's free cells")
    figure.alt = f"The maze from above with recorded paths in it. {'; '.join(told)}."
    return figure


@styled
def compare_paths(environment: str, agents: Mapping[str, Trajectories]) -> Figure:
    """The paths of several agents in one maze, a panel each: solid if they arrive, else dashed."""
    check(len(agents) > 0, "name at least one agent")
    maze, told = maze_geometry(environment), []
    figure = new_figure(WIDTH, 0.9 + WIDTH / len(agents))
    for axes, (name, episodes) in zip(
        figure.subplots(1, len(agents), squeeze=False)[0], agents.items(), strict=True
    ):
        draw_maze(axes, maze, labels=False)
        draw_paths(axes, episodes)
        axes.plot(*maze.start, **START)
        arrived = f"{np.sum(episodes.success)} of {len(episodes.success)} arrive"
        axes.set_title(f"{name}\n{arrived}")
        told.append(f"{name}: {arrived}")
    handles = {
        "arrives": Line2D([], [], **REACHED),
        "does not, ends at X": Line2D([], [], **FAILED | END),
        "start": Line2D([], [], **START),
        "goal": Line2D([], [], **GOAL),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    figure.alt = f"The maze from above with the paths of {len(agents)} agents. {'; '.join(told)}."
    return figure


@styled
def recorded_actions(
    environment: str,
    places: Mapping[str, tuple[float, float]],
    observations: Float[Numbers, "n 2"],
    actions: Float[Numbers, "n 2"],
    *,
    radius: float = 0.7,
) -> Figure:
    """The recorded actions near some places of a maze, and their mean.

    Args:
        environment: an official OGBench name of a maze.
        places: (x, y) in metres by name, a panel each; the maze shows the first letter of the name.
        observations, actions: the recorded positions and actions.
        radius: how near to a place, in metres.
    """
    maze = maze_geometry(environment)
    observations, actions = np.asarray(observations), np.asarray(actions)
    figure = new_figure(WIDTH, 3.8)
    where, *panels = figure.subplots(1, 1 + len(places))
    draw_maze(where, maze, labels=False)
    told = []
    for axes, (name, place) in zip(panels, places.items(), strict=True):
        a = actions[np.linalg.norm(observations - np.asarray(place), axis=1) < radius]
        check(len(a) > 0, f"no recorded state lies within {radius} m of {name}")
        where.plot(*place, **PLACE)
        where.text(*place, name[0], ha="center", va="center", size=11, weight="bold")
        axes.scatter(*a.T, s=5, alpha=0.25, color=BLUE, linewidths=0)
        axes.plot(*a.mean(0), marker="X", markersize=12, color=RED, markeredgecolor="white")
        axes.set(xlabel="action along x", ylabel="action along y", aspect="equal")
        sizes = np.linalg.norm(a.mean(0)), np.linalg.norm(a, axis=1).mean()
        axes.set_title(f"{name}\nsize of the mean {sizes[0]:.2f}, mean size {sizes[1]:.2f}")
        told.append(
            f"{name}: {len(a):,} actions of mean size {sizes[1]:.2f}, whose mean has size "
            f"{sizes[0]:.2f}"
        )
    where.set_title("where")
    figure.alt = (
        f"The recorded actions near {plural(len(places), 'place')} of the maze as points, and an X "
        f"for their mean. {'; '.join(told)}."
    )
    return figure


@styled
def value_maps(
    environment: str, maps: Mapping[str, Float[Numbers, " places"]], *, per_cell: int
) -> Figure:
    """Numbers at the free places of `maze.points(per_cell)`, a maze with its colour bar each.

    Args:
        environment: an official OGBench name of a maze.
        maps: by name, with unit, which labels the colour bar.
        per_cell: places along a cell's edge.
    """
    maze = maze_geometry(environment)
    points, free = maze.points(per_cell)
    figure = new_figure(WIDTH, 4.2)
    told = []
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        image = draw_landscape(axes, maze, values, None, per_cell=per_cell)
        axes.plot(*maze.start, **START | {"markersize": 9}, zorder=5)
        figure.colorbar(image, ax=axes, label=name, shrink=0.8)
        told.append(f"{name}: {_range_of(points[free], values)}")
    figure.alt = f"The maze from above, a colour for every place. {'; '.join(told)}."
    return figure


def propose_at(
    agent: Agent,
    state: State,
    places: Float[Numbers, "places 2"],
    key: PRNGKeyArray | None,
    *,
    steps: int,
    samples: int,
) -> Proposal:
    """Actions at each place, with their values; ConfigError for an agent without a critic."""
    key = jax.random.key(0) if key is None else key
    places = jnp.asarray(places, jnp.float32)
    if not can_act(agent, state, places, steps=steps, candidates=samples):
        samples = 1  # the only action of a deterministic policy
    proposal = propose(agent, state, places, key, steps=steps, candidates=samples)
    check(
        proposal.q is not None,
        f"{type(agent).__name__} gives its candidates no values: it has no critic to draw",
    )
    return proposal


def draw_landscape(
    axes: Axes,
    maze: MazeGeometry,
    values: Float[Numbers, " places"],
    actions: Float[Numbers, "places 2"] | None,
    *,
    per_cell: int,
    limits: tuple[float | None, float | None] = (None, None),
) -> AxesImage:
    """Draws values at the free places of `maze.points(per_cell)`, and arrows for some actions."""
    points, free = maze.points(per_cell)
    image = axes.imshow(
        _on_grid(free, values, np.nan),
        extent=maze.extent,
        origin="lower",
        interpolation="nearest",
        vmin=limits[0],
        vmax=limits[1],
    )
    draw_maze(axes, maze)
    if actions is not None:
        every = max(per_cell // 2, 1)
        some = np.s_[every // 2 :: every, every // 2 :: every]
        arrows = _on_grid(free, actions, 0.0)
        draw_arrows(axes, maze, points[some][free[some]], arrows[some][free[some]])
    return image


def draw_arrows(
    axes: Axes,
    maze: MazeGeometry,
    points: Float[Numbers, "places 2"],
    actions: Float[Numbers, "places 2"],
) -> None:
    """Draws an arrow for the action at each place; an action of length 1 is a third of a cell."""
    axes.quiver(
        *points.T,
        *actions.T,
        angles="xy",
        scale_units="xy",
        scale=1 / (0.33 * maze.cell),
        pivot="mid",
        color="white",
        edgecolor="black",
        linewidth=0.5,
        width=0.005,
        headwidth=4,
        headlength=4,
        headaxislength=4,
    )


def check_positions(maze: MazeGeometry, name: str) -> None:
    """Raises ConfigError unless a position in the maze is a whole observation."""
    check(
        maze.observation_width == 2,
        f"observations of '{name}' are {maze.observation_width} wide: a position (x, y) alone is "
        "no state there. Use a pointmaze",
    )


def _on_grid(
    free: Bool[np.ndarray, "y x"], values: Float[Numbers, "places *rest"], elsewhere: float
) -> Float[np.ndarray, "y x *rest"]:
    """Values of the free places on the whole grid."""
    grid = np.full((*free.shape, *values.shape[1:]), elsewhere)
    grid[free] = values
    return grid


def _visited(maze: MazeGeometry, walk: Shaped[np.ndarray, "time 2"]) -> float:
    """The share of the free cells that a walk visits."""
    cells = {maze.cell_of(place) for place in walk.tolist()}
    return len(cells) / (len(maze.walls) * len(maze.walls[0]) - int(np.sum(maze.walls)))


def _range_of(places: Float[Numbers, "places 2"], values: Float[Numbers, " places"]) -> str:
    """The lowest and the highest of some values, and where they are."""
    values = np.asarray(values)
    ends = (("lowest", int(values.argmin())), ("highest", int(values.argmax())))
    return ", ".join(
        f"{which} {values[at]:.3g} at ({places[at][0]:.0f}, {places[at][1]:.0f}) m"
        for which, at in ends
    )


def _maze_figure(maze: MazeGeometry) -> tuple[DescribedFigure, Axes]:
    left, right, bottom, top = maze.extent
    figure = new_figure(7.0, 1.2 + 5.0 * (top - bottom) / (right - left), layout="compressed")
    return figure, figure.subplots()
