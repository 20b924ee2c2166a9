"""The critic over the maze: what it expects from each place, while it learns.

updates, states = course_data.snapshots("sorl")
CriticExplorer(agent, states, updates, "pointmaze-medium-navigate-singletask-v0")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import EngFormatter

from sorl_edu.agents.agent import Agent, State
from sorl_edu.environments.mazes import MazeGeometry, maze_geometry
from sorl_edu.errors import check
from sorl_edu.inference import check_budget
from sorl_edu.plotting import (
    BLUE,
    START,
    WIDTH,
    check_positions,
    check_values,
    draw_arrows,
    draw_maze,
    styled,
)
from sorl_edu.widgets.explorer import Explorer, Parameter, as_tuple

SAMPLES, PER_CELL = 32, 5
VALUE = "V(o), expected discounted return"


class CriticExplorer(Explorer):
    """The Q landscape over the maze through training, with the policy's arrows on top.

    The value of a place is V(o), the mean of Q(o, a, m) over 32 actions a ~ pi(. | o, m), and an
    arrow is the mean of these actions. All frames share one colour scale. Values are computed once,
    before the first frame.

    Args:
        agent: any agent whose `propose` values its candidates.
        states: what it had learned after each of `updates`.
        updates: how many updates made each state, rising.
        environment: the official OGBench name of a maze whose observation is the position (x, y).
        steps: the numbers of policy steps m to choose from, powers of two.
        key: draws the actions, the same ones for every frame; without one, always the same.

    Attributes:
        places: (n, 2) positions in metres: the free places, then the start, then the goal.

    Raises:
        ConfigError: no states, as many updates as states are not given or do not rise, m is out of
            range, or a position is not a state of the environment; and, when values are first
            computed, an agent without a critic.
        UnknownName: no such environment.
    """

    def __init__(
        self,
        agent: Agent,
        states: Sequence[State],
        updates: Sequence[int],
        environment: str,
        *,
        steps: Sequence[int] = (1, 8),
        key: PRNGKeyArray | None = None,
    ) -> None:
        steps, updates = as_tuple("steps", steps), tuple(int(update) for update in updates)
        check(len(states) > 0, "states must hold at least one state")
        check(
            len(states) == len(updates),
            f"there are {len(states)} states and {len(updates)} updates; each state needs the "
            "number of updates that made it",
        )
        check(
            all(one < later for one, later in pairwise(updates)),
            f"updates must rise, got {updates}",
        )
        for m in steps:
            check_budget(m, SAMPLES)
        self.agent, self.states = agent, list(states)
        self.maze = maze_geometry(environment)
        check_positions(self.maze, self.maze.name)
        self.key = jax.random.key(0) if key is None else key
        self.title = "What the critic expects, and where the policy goes"
        self.parameters = (
            Parameter(
                "update",
                "updates",
                updates,
                tuple(f"{update:,}" for update in updates),
                start=updates[-1],
            ),
            Parameter("steps", "steps m", steps),
        )
        points, self._free = self.maze.points(PER_CELL)
        ends = np.array([self.maze.start, self.maze.goal], np.float32)
        self.places = np.concatenate([points[self._free], ends])
        self._values: dict[tuple[int, int], np.ndarray] = {}
        self._actions: dict[tuple[int, int], np.ndarray] = {}

    def prepare(self, **_) -> None:
        if self._values:
            return
        updates, steps = (parameter.values for parameter in self.parameters)
        values, actions = {}, {}
        for m in steps:
            expect = jax.jit(partial(_expect, self.agent, steps=m))
            for update, state in zip(updates, self.states, strict=True):
                v, a = expect(state, jnp.asarray(self.places), self.key)
                check_values(self.agent, v)
                values[update, m], actions[update, m] = np.asarray(v), np.asarray(a)
        everything = np.stack(list(values.values()))[:, :-2]
        self._limits = float(everything.min()), float(everything.max())
        self._actions, self._values = actions, values

    @styled
    def draw(self, *, update: int, steps: int) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.4))
        axes = figure.add_axes((0.06, 0.09, 0.5, 0.82))
        values, actions = self._values[update, steps], self._actions[update, steps]
        image = _draw_landscape(
            axes, self.maze, self._free, values[:-2], actions[:-2], self._limits
        )
        axes.set_title(f"after {update:,} updates, {_steps(steps)}")
        figure.colorbar(image, cax=figure.add_axes((0.575, 0.09, 0.018, 0.82)), label=VALUE)

        beside = figure.add_axes((0.75, 0.3, 0.23, 0.4))
        updates = self.parameters[0].values
        curve = [self._values[u, steps][-2] for u in updates]
        beside.plot(updates, curve, color=BLUE, marker="o", markersize=3)
        beside.plot(update, values[-2], marker="o", markersize=10, color=BLUE)
        beside.set(xlabel="updates", ylabel="V at the start", title="the promise at the start")
        beside.set_ylim(self._limits[0] - 2, self._limits[1] + 2)
        beside.xaxis.set_major_formatter(EngFormatter(sep=""))
        beside.grid(True)
        return figure

    def caption(self, **setting) -> str:
        facts = self.facts(**setting)
        x, y = facts["action_at_start"]
        return (
            f"After {facts['update']:,} updates the critic promises the {facts['steps']}-step "
            f"policy a discounted return of {facts['value_at_start']:.1f} from the start (white "
            f"dot) and {facts['value_at_goal']:.1f} from the goal (star); over the maze, "
            f"{facts['lowest']:.1f} to {facts['highest']:.1f}. At the start the policy's mean "
            f"action is ({x:.2f}, {y:.2f})."
        )

    def facts(self, *, update: int, steps: int) -> dict[str, Any]:
        self.prepare()
        values, actions = self._values[update, steps], self._actions[update, steps]
        return {
            "update": update,
            "steps": steps,
            "value_at_start": float(values[-2]),
            "value_at_goal": float(values[-1]),
            "lowest": float(values[:-2].min()),
            "highest": float(values[:-2].max()),
            "action_at_start": [float(a) for a in actions[-2]],
        }


@styled
def compare_landscapes(
    arms: Mapping[str, tuple[Agent, State]],
    environment: str,
    *,
    steps: int = 1,
    key: PRNGKeyArray | None = None,
) -> Figure:
    """The Q landscapes of several agents side by side, on one colour scale.

    Args:
        arms: agent and state by name, a panel each.
        environment: the official OGBench name of a maze whose observation is the position (x, y).
        steps: m.
        key: draws the actions; without one, always the same.

    Raises:
        ConfigError: no arms, m is out of range, an agent has no critic, or a position is not a
            state of the environment.
    """
    check(len(arms) > 0, "arms must name at least one agent")
    check_budget(steps, SAMPLES)
    maze = maze_geometry(environment)
    check_positions(maze, maze.name)
    points, free = maze.points(PER_CELL)
    key = jax.random.key(0) if key is None else key
    found = {}
    for name, (agent, state) in arms.items():
        expect = jax.jit(partial(_expect, agent, steps=steps))
        found[name] = expect(state, jnp.asarray(points[free]), key)
        check_values(agent, found[name][0])
    lowest = min(float(values.min()) for values, _ in found.values())
    highest = max(float(values.max()) for values, _ in found.values())
    figure = Figure(figsize=(WIDTH, 0.8 + 8.8 / max(len(arms), 2)), layout="compressed")
    panels = figure.subplots(1, len(arms), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, (values, actions)) in zip(panels, found.items(), strict=True):
        values, actions = np.asarray(values), np.asarray(actions)
        image = _draw_landscape(axes, maze, free, values, actions, (lowest, highest))
        axes.set_title(f"{name}, {_steps(steps)}")
    for axes in panels[1:]:
        axes.set_ylabel("")
    figure.colorbar(image, ax=list(panels), label=VALUE)
    return figure


def _expect(
    agent: Agent, state: State, places: Float[Array, "n 2"], key: PRNGKeyArray, *, steps: int
) -> tuple[Float[Array, " n"], Float[Array, "n action"]]:
    """V(o) and the mean action, over actions a ~ pi(. | o, m)."""
    proposal = agent.propose(state, places, key, steps=steps, candidates=SAMPLES)
    return proposal.q.mean(0), proposal.actions.mean(0)


def _draw_landscape(
    axes: Axes,
    maze: MazeGeometry,
    free: np.ndarray,
    values: np.ndarray,
    actions: np.ndarray,
    limits: tuple[float, float],
) -> AxesImage:
    points, _ = maze.points(PER_CELL)
    grid, arrows = np.full(free.shape, np.nan), np.zeros(points.shape)
    grid[free], arrows[free] = values, actions
    image = axes.imshow(
        grid,
        extent=maze.extent,
        origin="lower",
        interpolation="nearest",
        vmin=limits[0],
        vmax=limits[1],
    )
    draw_maze(axes, maze)
    every = np.s_[1::2, 1::2]  # two or three arrows along a cell
    draw_arrows(axes, maze, points[every][free[every]], arrows[every][free[every]])
    axes.plot(*maze.start, **START | {"markersize": 9}, zorder=5)
    return image


def _steps(steps: int) -> str:
    return "1-step policy" if steps == 1 else f"{steps}-step policy"
