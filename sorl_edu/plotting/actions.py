"""Actions at one state: how they sharpen as steps m and candidates N grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sorl_edu.agents.agent import Agent, HasCritic, State, check_values, propose, value
from sorl_edu.environments.mazes import MazeGeometry, maze_geometry
from sorl_edu.errors import check
from sorl_edu.plotting.lines import course_of
from sorl_edu.plotting.mazes import draw_maze
from sorl_edu.plotting.style import (
    BLUE,
    COLORS,
    DASHES,
    GREEN,
    LIGHT_GREYS,
    MARKERS,
    MEAN,
    WIDTH,
    Numbers,
    new_figure,
    plural,
    spread,
    styled,
)

AXIS = np.linspace(-1, 1, 41)  # of the action square over which Q is drawn


def chosen_actions(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    *,
    steps: Sequence[int],
    candidates: Sequence[int],
    key: PRNGKeyArray,
    samples: int,
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray | None]]:
    """Best-of-N actions at one state, drawn many times, for every (m, N) of a grid.

    One call of `propose` per m draws the largest N; a smaller N chooses among the first of the same
    candidates, so that settings differ in compute and not in luck.

    Returns:
        for each (m, N) the chosen actions (samples, action), and their values (samples,), which are
        None for an agent without a critic.

    Raises:
        ConfigError: an argument out of range, or N > 1 for an agent without a critic.
    """
    obs = np.asarray(obs, np.float32)
    check(obs.ndim == 1, f"obs must be one state, (obs,); got shape {obs.shape}")
    check(len(steps) > 0 and len(candidates) > 0, "steps and candidates must name at least one")
    check(samples >= 2, f"samples must be at least 2, got {samples}")
    for n in candidates:
        check(n >= 1, f"candidates (N) must be at least 1, got {n}")
    repeated = jnp.broadcast_to(obs, (samples, len(obs)))
    chosen = {}
    for m in steps:
        proposal = propose(agent, state, repeated, key, steps=m, candidates=max(candidates))
        actions = np.asarray(proposal.actions)
        if max(candidates) > 1:
            check_values(agent, proposal)
        if proposal.q is None:
            chosen[m, 1] = actions[0], None
            continue
        for n in candidates:
            chosen[m, n] = best_of_first(actions, np.asarray(proposal.q), n)
    return chosen


def best_of_first(
    actions: Float[np.ndarray, "candidates samples action"],
    q: Float[np.ndarray, "candidates samples"],
    n: int,
) -> tuple[Float[np.ndarray, "samples action"], Float[np.ndarray, " samples"]]:
    """The most valued of each sample's first n candidates, and its value."""
    best = q[:n].argmax(0), np.arange(q.shape[1])
    return actions[best], q[best]


def action_values(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    actions: Float[Numbers, "batch action"],
    *,
    steps: int,
) -> Float[Array, " batch"] | None:
    """V(o, a) of many actions at one state, as best-of-N sees it; None without a critic."""
    if not isinstance(agent, HasCritic):
        return None
    obs = jnp.asarray(obs, jnp.float32)
    repeated = jnp.broadcast_to(obs, (len(actions), len(obs)))
    return value(agent, state, repeated, jnp.asarray(actions, jnp.float32), steps=steps)


def value_square(
    agent: Agent, state: State, obs: Float[Numbers, " obs"] | Sequence[float], *, steps: int
) -> Float[np.ndarray, "y x"] | None:
    """V(o, a) over the square of 2-D actions, (41, 41); None without a critic."""
    square = np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2)
    values = action_values(agent, state, obs, square, steps=steps)
    return None if values is None else np.asarray(values).reshape(len(AXIS), len(AXIS))


@styled
def action_distribution(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    *,
    key: PRNGKeyArray,
    steps: Sequence[int] = (1, 2, 4, 8),
    candidates: Sequence[int] = (1, 8, 32),
    samples: int = 400,
    environment: str | None = None,
) -> Figure:
    """How the actions at one state sharpen as steps m and candidates N grow.

    A panel per (m, N) shows best-of-N actions, drawn `samples` times, over the action square, with
    their mean; behind them the critic's Q as contours (brighter is higher, one scale for each m).
    With `environment`, a maze beside the panels shows where the state is.

    Args:
        agent, state: any agent with 2-D actions; contours need a critic.
        obs: the state.
        key: draws the candidates, the same ones for every panel.
        steps, candidates: the columns m and the rows N.
        samples: independent draws of each panel.
        environment: the OGBench name of the maze, if it is one.

    Raises:
        UnknownName, ConfigError: as `chosen_actions`; actions that are not 2-D; no such maze.
    """
    chosen = chosen_actions(
        agent, state, obs, steps=steps, candidates=candidates, key=key, samples=samples
    )
    action_dim = next(iter(chosen.values()))[0].shape[1]
    check(action_dim == 2, f"the action square needs 2-D actions; these are {action_dim}-D")
    maze = None if environment is None else maze_geometry(environment)

    rows, columns = len(candidates), len(steps)
    left = 0.0 if maze is None else 2.6
    panel = min((WIDTH - left - 0.7) / columns, 3.2)
    right = 0.7 + panel * columns
    figure = new_figure(left + right, 1.05 + (panel + (maze is None) * 0.2) * rows)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    if maze is None:
        grid = beside = figure.subfigures()
    else:
        beside, grid = figure.subfigures(1, 2, width_ratios=[left, right])
        _draw_state(beside.subplots(), maze, np.asarray(obs))
    panels = grid.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for j, m in enumerate(steps):
        landscape = value_square(agent, state, obs, steps=m)
        for i, n in enumerate(candidates):
            axes = panels[i, j]
            if landscape is not None:
                axes.contourf(AXIS, AXIS, landscape, 12, cmap=LIGHT_GREYS)
            _draw_actions(axes, *chosen[m, n])
            if i == 0:
                above = dict(xytext=(0, 21), textcoords="offset points", ha="center", size=11)
                axes.annotate(
                    f"m = {plural(m, 'step')}", (0.5, 1), xycoords="axes fraction", **above
                )
            if j == 0:
                axes.set_ylabel(f"N = {n}", rotation=0, ha="right", va="center", size=11)
    grid.supxlabel("action along x", size=10)
    grid.supylabel("action along y", size=10)
    dots = dict(linestyle="none", marker="o", markersize=4, color=BLUE)
    handles = {
        f"best of N actions, {samples} draws": Line2D([], [], **dots),
        "their mean; spread: the\nRMS distance from it": Line2D([], [], linestyle="none", **MEAN),
    }
    if landscape is not None:
        handles["Q(o, a), brighter is higher"] = Patch(color="0.8")
    if maze is None:
        place = dict(loc="outside upper center", ncols=3 if columns > 2 else 1)
    else:
        place = dict(loc="outside lower left")
    beside.legend(handles.values(), handles.keys(), **place)
    title = "What the policy does at one state"
    title += ", more steps →" if columns > 1 else ""
    figure.suptitle(title + (", more candidates ↓" if rows > 1 else ""))
    figure.alt = (
        f"Best-of-N actions at one state, {samples} draws for each number of steps m and of "
        f"candidates N. Their spread: {_spreads(chosen)}."
    )
    return figure


@styled
def pull_and_hold(
    worth: Callable[[np.ndarray], np.ndarray],
    q: Callable[[np.ndarray], np.ndarray],
    log_density: Callable[[np.ndarray], np.ndarray],
    recorded: Float[Numbers, " n"],
    weights: Sequence[float],
) -> Figure:
    """In one dimension, how Q pulls an action and the data hold it: w Q(a) + log p(a).

    Args:
        worth: what an action in [-1, 1] is worth.
        q: what a critic that was fitted to the recorded actions estimates.
        log_density: log p(a) of the recorded actions.
        recorded: the recorded actions.
        weights: w of each curve on the right, at most four.
    """
    axis = np.linspace(-1, 1, 401)
    figure = new_figure(WIDTH, 3.6)
    left, right = figure.subplots(1, 2, sharex=True)
    left.plot(axis, worth(axis), color="0.4", linestyle="--", label="what an action is worth")
    left.plot(axis, q(axis), color=GREEN, label="Q, fitted to the data")
    left.plot(recorded, np.full(len(recorded), -1.5), "|", color=BLUE, label="recorded actions")
    left.set(xlabel="action a", ylim=(-1.6, 2.2), title="Q is right where there are data")
    left.legend(loc="upper left")
    told = []
    for color, dashes, mark, w in zip(COLORS, DASHES, MARKERS, weights, strict=False):
        pull = w * q(axis) + log_density(axis)
        best = float(axis[pull.argmax()])
        label = f"w = {w}: a = {best:.2f}, worth {float(worth(np.array(best))):.2f}"
        right.plot(axis, pull - pull.max(), color=color, linestyle=dashes)
        look = dict(color=color, linestyle=dashes, marker=mark, markersize=9)
        right.plot(best, 0, label=label, **look)
        told.append(label)
    right.set(xlabel="action a", ylim=(-12, 1.5), title="w Q(a) + log p(a), and its maximum")
    right.legend(loc="lower center")
    figure.alt = (
        "Left, against the action a: what it is worth, Q as fitted to the recorded actions, and "
        f"these actions, from {min(recorded):.2f} to {max(recorded):.2f}. Worth "
        f"{course_of(axis, worth(axis))}; Q {course_of(axis, q(axis))}. Right, w Q(a) + log p(a), "
        f"whose maximum is at {'; '.join(told)}."
    )
    return figure


@styled
def compare_actions(
    agents: Mapping[str, tuple[Agent, State]],
    obs: Float[Numbers, " obs"] | Sequence[float],
    *,
    key: PRNGKeyArray,
    steps: Sequence[int] = (1, 8),
    samples: int = 400,
) -> Figure:
    """The actions of several agents at one state, a column per agent and a row per m.

    Args:
        agents: agent and state by name, with 2-D actions.
        obs: the state.
        key: draws the actions, the same noise for every panel.
        steps: the rows m.
        samples: draws of each panel.

    Raises:
        UnknownName, ConfigError: as `chosen_actions`.
    """
    columns, rows = len(agents), len(steps)
    check(columns > 0, "agents must name at least one agent")
    figure = new_figure(min(2.9 * columns, WIDTH), 0.6 + 2.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    told = []
    for column, (name, (agent, state)) in zip(panels.T, agents.items(), strict=True):
        chosen = chosen_actions(
            agent, state, obs, steps=steps, candidates=(1,), key=key, samples=samples
        )
        for axes, m in zip(column, steps, strict=True):
            landscape = value_square(agent, state, obs, steps=m)
            if landscape is not None:
                axes.contourf(AXIS, AXIS, landscape, 10, cmap=LIGHT_GREYS)
            actions, _ = chosen[m, 1]
            axes.scatter(*actions.T, s=6, color=BLUE, alpha=0.5, linewidths=0)
            axes.set_title(f"{name}\nm = {m}, spread {spread(actions):.2f}", size=11)
            axes.set(aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        told.append(f"{name}: {_spreads(chosen)}")
    figure.supxlabel("action along x", size=11)
    figure.supylabel("action along y", size=11)
    figure.suptitle("Actions at the state (blue), and Q (brighter is higher)", size=12)
    figure.alt = f"{samples} actions at one state. Their spread, {'; '.join(told)}."
    return figure


def _spreads(chosen: Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray | None]]) -> str:
    """The spread of the actions of each (m, N), in words."""
    return ", ".join(f"{spread(a):.2f} at m = {m}, N = {n}" for (m, n), (a, _) in chosen.items())


def _draw_actions(
    axes: Axes, actions: Float[np.ndarray, "samples 2"], q: Float[np.ndarray, " samples"] | None
) -> None:
    axes.scatter(*actions.T, s=9, color=BLUE, alpha=0.4, linewidths=0, clip_on=False, zorder=3)
    axes.plot(*actions.mean(0), **MEAN, clip_on=False, zorder=4)
    mean_value = "" if q is None else f", Q {q.mean():.1f}"
    axes.set_title(f"spread {spread(actions):.2f}{mean_value}", size=9)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_aspect("equal")


def _draw_state(axes: Axes, maze: MazeGeometry, obs: Float[np.ndarray, " obs"]) -> None:
    draw_maze(axes, maze, labels=False)
    axes.plot(*obs[:2], marker="o", color=BLUE, markersize=9, markeredgecolor="white")
    axes.set_title("the state (blue) and the goal", size=10)
