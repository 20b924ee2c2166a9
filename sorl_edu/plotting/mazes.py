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
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from sorl_edu.agents.agent import Agent, State, propose
from sorl_edu.environments.mazes import MazeGeometry, count_endings, maze_geometry
from sorl_edu.errors import check
from sorl_edu.inference import Proposal, check_budget
from sorl_edu.plotting.style import (
    END,
    FAILED,
    GOAL,
    REACHED,
    RED,
    START,
    WIDTH,
    Numbers,
    styled,
)

WALL = "0.35"
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
    axes.add_patch(Circle(maze.goal, maze.goal_radius, facecolor="none", edgecolor=RED, zorder=4))
    axes.plot(*maze.goal, **GOAL, zorder=5)
    axes.spines[:].set_visible(False)
    left, right, bottom, top = maze.extent
    rim = 0.75 * maze.cell  # cut off of the outer walls
    axes.set(xlim=(left + rim, right - rim), ylim=(bottom + rim, top - rim), aspect="equal")
    if labels:
        axes.set(xlabel="x (m)", ylabel="y (m)")
    else:
        axes.set(xticks=[], yticks=[])


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
    figure = Figure(figsize=(WIDTH, 0.8 + 8.8 / max(len(agents), 2)), layout="compressed")
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


def _maze_figure(maze: MazeGeometry) -> tuple[Figure, Axes]:
    left, right, bottom, top = maze.extent
    figure = Figure(figsize=(7.0, 1.2 + 5.0 * (top - bottom) / (right - left)), layout="compressed")
    return figure, figure.subplots()
