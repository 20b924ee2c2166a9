"""CriticExplorer: the critic's value of every place of a maze, during training.

updates, states = shipped.snapshots("sorl")
CriticExplorer(agent, states, updates, "pointmaze-medium-navigate-singletask-v0")
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from sorl_edu.agents.agent import Agent, State, check_dials
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import check
from sorl_edu.plotting.mazes import VALUE_LABEL, check_positions, draw_landscape, propose_at
from sorl_edu.plotting.style import BLUE, START, WIDTH, styled
from sorl_edu.widgets.explorer import Explorer, as_tuple
from sorl_edu.widgets.frame import Parameter

SAMPLES, PER_CELL = 32, 5


class CriticExplorer(Explorer):
    """The Q landscape over the maze during training, with the policy's arrows on top.

    The value of a place is V(o), the mean of Q(o, a, m) over 32 actions a ~ pi(. | o, m), and an
    arrow is the mean of these actions. All frames share one colour scale. Values are computed once,
    before the first frame.

    Args:
        agent: any agent with a critic.
        states: its states during training.
        updates: the number of updates that led to each state, rising.
        environment: the official OGBench name of a maze whose observation is the position (x, y).
        steps: the numbers of policy steps m to choose from, powers of two.
        key: draws the actions, the same ones for every frame; `jax.random.key(0)` unless given.

    Attributes:
        places: (n, 2) positions in metres: the free places, then the start, then the goal.

    Raises:
        ConfigError: no states; another number of updates than of states, or updates that do not
            rise; m out of range; a maze whose observation is more than the position; and, with the
            first frame, an agent without a critic.
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
            "number of updates that led to it",
        )
        check(
            all(one < later for one, later in pairwise(updates)),
            f"updates must rise, got {updates}",
        )
        obs = jnp.zeros((SAMPLES, states[0].obs_dim))
        for m in steps:
            check_dials(agent, states[0], obs, steps=m, candidates=1)
        self.agent, self.states = agent, list(states)
        self.maze = maze_geometry(environment)
        check_positions(self.maze, environment)
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
        points, free = self.maze.points(PER_CELL)
        ends = np.array([self.maze.start, self.maze.goal], np.float32)
        self.places = np.concatenate([points[free], ends])
        self._values: dict[tuple[int, int], np.ndarray] = {}
        self._actions: dict[tuple[int, int], np.ndarray] = {}

    def prepare(self, **_) -> None:
        if self._values:
            return
        updates, steps = (parameter.values for parameter in self.parameters)
        values, actions = {}, {}
        for m in steps:
            for update, state in zip(updates, self.states, strict=True):
                proposal = propose_at(
                    self.agent, state, self.places, self.key, steps=m, samples=SAMPLES
                )
                values[update, m] = np.asarray(proposal.q.mean(0))
                actions[update, m] = np.asarray(proposal.actions.mean(0))
        of_places = np.stack(list(values.values()))[:, :-2]
        self._limits = float(of_places.min()), float(of_places.max())
        self._actions, self._values = actions, values

    @styled
    def draw(self, *, update: int, steps: int) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.4))
        axes = figure.add_axes((0.06, 0.09, 0.5, 0.82))
        values, actions = self._values[update, steps], self._actions[update, steps]
        image = draw_landscape(
            axes, self.maze, values[:-2], actions[:-2], per_cell=PER_CELL, limits=self._limits
        )
        axes.plot(*self.maze.start, **START | {"markersize": 9}, zorder=5)
        axes.set_title(f"after {update:,} updates, {steps}-step policy")
        figure.colorbar(image, cax=figure.add_axes((0.575, 0.09, 0.018, 0.82)), label=VALUE_LABEL)

        beside = figure.add_axes((0.75, 0.3, 0.23, 0.4))
        updates = self.parameters[0].values
        curve = [self._values[u, steps][-2] for u in updates]
        beside.plot(updates, curve, color=BLUE, marker="o", markersize=3)
        beside.plot(update, values[-2], marker="o", markersize=10, color=BLUE)
        beside.set(xlabel="updates", ylabel="V at the start", title="value of the start")
        beside.set_ylim(self._limits[0] - 2, self._limits[1] + 2)
        beside.xaxis.set_major_formatter(EngFormatter(sep=""))
        beside.grid(True)
        return figure

    def caption(self, **setting) -> str:
        facts = self.facts(**setting)
        x, y = facts["action_at_start"]
        return (
            f"After {facts['update']:,} updates the critic expects from the {facts['steps']}-step "
            f"policy a discounted return of {facts['value_at_start']:.1f} at the start (white "
            f"dot) and {facts['value_at_goal']:.1f} at the goal (star); over the maze, "
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
