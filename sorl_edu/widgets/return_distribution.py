"""ReturnDistributionExplorer: the returns of N candidates, their read-out, and where it leads.

    agent, state, info = shipped.evor()
    explorer = ReturnDistributionExplorer(agent, state, info.environment)
    explorer.render(return_temperature=0.1, candidates=8)

Nothing is trained, or even computed again, when a temperature is turned: lesson 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sorl_edu import inference
from sorl_edu.agents.agent import Agent, HasReturns, State, check_dials
from sorl_edu.agents.dials import dials_of
from sorl_edu.environments.make import PhysicsState
from sorl_edu.environments.mazes import distances, maze_geometry
from sorl_edu.environments.rollout import rollout
from sorl_edu.errors import check
from sorl_edu.expressive_value import log_mean_exp
from sorl_edu.plotting.actions import AXIS
from sorl_edu.plotting.mazes import Trajectories, check_positions, draw_maze
from sorl_edu.plotting.style import BLUE, LIGHT_GREYS, ORANGE, SMALL, WIDTH, plural, styled
from sorl_edu.widgets.action_distribution import places_on_the_path
from sorl_edu.widgets.explorer import Explorer, as_tuple
from sorl_edu.widgets.frame import Parameter

WALKS, LENGTH = 4, 40  # short roll-outs from the state: how many, and their environment steps
CURVE = 64  # quantiles behind a drawn distribution
READ_AT = {math.inf: "inf (mean)", 0.0: "0 (largest)"}
CHOSEN_AT = {0.0: "0 (best)", math.inf: "inf (any)"}


@dataclass(frozen=True)
class _AtPlace:
    """What the agent draws and knows at one state, whatever the temperatures are."""

    actions: Float[np.ndarray, "candidates draws 2"]
    """The first draw is the one on display."""
    returns: Float[Array, "samples candidates draws"]
    """The N_R returns of each candidate, which are read out."""
    curves: Float[np.ndarray, "quantiles candidates"]
    """More returns of the first draw's candidates, in rising order."""
    square: Float[Array, "samples actions"]
    """The N_R returns of each action of a grid over the square."""


@dataclass(frozen=True)
class _Choice:
    """Values of the first N candidates, how probable each is, and the chosen one."""

    values: Float[np.ndarray, " candidates"]
    probabilities: Float[np.ndarray, " candidates"]
    chosen: int


class ReturnDistributionExplorer(Explorer):
    """The candidates of an agent that knows the return's distribution, and which one it chooses.

    Three panels show the N candidates in the square of actions, over the read-out at tau_R, each
    dot as large as its probability, and a circle around the chosen one; the distribution of each
    candidate's return under the base policy, as a cumulative curve, and below it the read-outs; and
    short roll-outs of the agent in the maze, which begin at the state.

    Args:
        agent, state: an agent with 2-D actions that knows returns, as EVOR does.
        environment: the OGBench name of a maze whose observation is the position.
        places: states by name, (x, y) in metres; some along the path to the goal unless given.
        place: the name of the state that is shown first; the first one unless given.
        key: draws candidates and choices; `jax.random.key(0)` unless given.
        steps: m of the base policy.
        return_temperatures: the values of tau_R, from the mean (inf) to the largest (0).
        choice_temperatures: the values of tau_Q; at 0 the best candidate is chosen.
        candidates: the values of N.

    Raises:
        UnknownName: no such environment.
        ConfigError: an environment that is no such maze, a state in a wall, an agent that has no
            samples of returns, actions that aren't 2-D, or a setting out of range.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        environment: str,
        *,
        places: Mapping[str, Sequence[float]] | None = None,
        place: str | None = None,
        key: PRNGKeyArray | None = None,
        steps: int = 8,
        return_temperatures: Sequence[float] = (math.inf, 0.1, 0.0),
        choice_temperatures: Sequence[float] = (0.0, 0.01, 0.1),
        candidates: Sequence[int] = (1, 8, 32),
        title: str = "Returns of candidates at one state",
    ) -> None:
        self.environment, self.title = environment, title
        self.maze = maze_geometry(environment)
        check_positions(self.maze, environment)
        check(
            isinstance(agent, HasReturns) and "return_samples" in dials_of(agent),
            f"{type(agent).__name__} has no samples of returns to show; EVOR has",
        )
        check(
            state.action_dim == 2,
            f"the action square needs 2-D actions; these are {state.action_dim}-D",
        )
        self.agent, self.state, self.steps = agent, state, steps
        self.samples = dials_of(agent)["return_samples"]
        self.key = jax.random.key(0) if key is None else key
        self.places = dict(places or places_on_the_path(self.maze))
        for name, position in self.places.items():
            free = self.maze.is_free(self.maze.cell_of(position))
            check(free, f"'{name}' is in a wall or outside the maze")
        candidates = as_tuple("candidates", candidates)
        self.most = max(candidates)
        start = self._observations(next(iter(self.places)))
        check_dials(agent, state, start, steps=steps, candidates=self.most)
        self.parameters = (
            Parameter("place", "state", tuple(self.places), start=place, slow=True),
            _temperature("return_temperature", "read-out tau_R", return_temperatures, READ_AT),
            _temperature("choice_temperature", "choice tau_Q", choice_temperatures, CHOSEN_AT),
            Parameter("candidates", "candidates N", candidates, start=self.most),
        )
        self._at: dict[str, _AtPlace] = {}
        self._walks: dict[tuple, Trajectories] = {}
        self._cells_to_goal = distances(self.maze.walls, self.maze.cell_of(self.maze.goal))

    # ----------------------------------------------------------------------------- what is computed

    def prepare(self, *, place: str, candidates: int, **temperatures: float) -> None:
        if place not in self._at:
            self._at[place] = self._look(place)
        walk = _walk_of(place, candidates, **temperatures)
        if walk not in self._walks:
            self._walks[walk] = self._walk(*walk)

    def _observations(self, place: str) -> Float[Array, "draws 2"]:
        return jnp.tile(jnp.asarray(self.places[place], jnp.float32), (WALKS, 1))

    def _look(self, place: str) -> _AtPlace:
        obs = self._observations(place)
        actions, returns = self._draw(obs, self.key, self.most)
        square = jnp.asarray(np.stack(np.meshgrid(AXIS, AXIS), -1), jnp.float32).reshape(-1, 2)
        curves = self._returns_at(obs[0], actions[:, 0], CURVE)
        return _AtPlace(
            actions=np.asarray(actions),
            returns=returns,
            curves=np.sort(curves, axis=0),
            square=self._returns_at(obs[0], square, self.samples),
        )

    def _draw(self, obs: Array, key: PRNGKeyArray, candidates: int) -> tuple[Array, Array]:
        options = {"steps": self.steps, "candidates": candidates, "samples": self.samples}
        return _candidates(self.agent, self.state, obs, key, **options)

    def _returns_at(self, obs: Array, actions: Array, samples: int) -> Array:
        repeated = jnp.broadcast_to(obs, (len(actions), len(obs)))
        return _returns(self.agent, self.state, repeated, actions, samples=samples)

    def _walk(self, place: str, candidates: int, tau_r: float, tau_q: float) -> Trajectories:
        """Short roll-outs from the state, of the agent with these dials."""
        drawn = candidates if candidates > 1 else self.most  # compiled already

        def policy(obs: np.ndarray, key: PRNGKeyArray) -> Array:
            actions, returns = self._draw(jnp.asarray(obs), key, drawn)
            values = log_mean_exp(returns[:, :candidates], tau_r)
            return inference.take(actions[:candidates], _chosen(values, tau_q, key))

        start = PhysicsState(np.asarray(self.places[place], float), np.zeros(2))
        options = {"starts": [start] * WALKS, "limit": LENGTH, "record": True}
        table, recording = rollout(policy, self.environment, episodes=WALKS, **options)
        return Trajectories(recording.observations[..., :2], table.success.to_numpy() > 0)

    def _choice(
        self, place: str, candidates: int, return_temperature: float, choice_temperature: float
    ) -> _Choice:
        """The choice among the first N candidates of the draw on display."""
        values = log_mean_exp(self._at[place].returns[:, :candidates], return_temperature)
        chosen = int(_chosen(values, choice_temperature, self.key)[0])
        if choice_temperature == 0:
            probabilities = np.eye(candidates)[chosen]
        else:
            probabilities = jax.nn.softmax(values[:, 0] / choice_temperature)
        return _Choice(np.asarray(values[:, 0]), np.asarray(probabilities), chosen)

    def _cells_nearer(self, walks: Trajectories) -> float:
        """How many cells of the way to the goal a walk leaves behind, on average."""
        left = [
            [self._cells_to_goal[self.maze.cell_of(path[at].tolist())] for at in (0, -1)]
            for path in map(_of_time, walks.positions)
        ]
        return float(np.mean([first - last for first, last in left]))

    # -------------------------------------------------------------------------------- what is drawn

    @styled
    def draw(self, *, place: str, candidates: int, **temperatures: float) -> Figure:
        shown = self._at[place]
        choice = self._choice(place, candidates, **temperatures)
        figure = Figure(figsize=(WIDTH, 4.2))
        one, many, maze = (figure.add_axes((x, 0.13, 0.26, 0.62)) for x in (0.065, 0.4, 0.725))
        self._draw_candidates(one, shown, choice, temperatures["return_temperature"])
        self._draw_returns(many, shown, choice)
        self._draw_walks(maze, place, self._walks[_walk_of(place, candidates, **temperatures)])
        setting = self._setting_text(candidates, **temperatures)
        figure.text(0.07, 0.93, setting, size=13, weight="bold")
        return figure

    def _draw_candidates(
        self, axes: Axes, shown: _AtPlace, choice: _Choice, temperature: float
    ) -> None:
        """The candidates over the read-out, each as large as its probability."""
        axes.imshow(
            np.asarray(log_mean_exp(shown.square, temperature)).reshape(len(AXIS), len(AXIS)),
            extent=(-1, 1, -1, 1),
            origin="lower",
            cmap=LIGHT_GREYS,
            interpolation="bilinear",
        )
        actions = shown.actions[: len(choice.values), 0]
        sizes = 14 + 110 * choice.probabilities
        axes.scatter(*actions.T, s=sizes, color=BLUE, edgecolor="white", linewidth=0.6, zorder=3)
        ring = dict(facecolor="none", edgecolor=ORANGE, linewidth=2.2, zorder=3)
        axes.scatter(*actions[choice.chosen], s=190, **ring)
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
        axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1), xlabel="action along x")
        axes.set_ylabel("action along y")
        axes.set_title("Candidates over the read-out,\nthe chosen one circled", size=SMALL)

    def _draw_returns(self, axes: Axes, shown: _AtPlace, choice: _Choice) -> None:
        """Each candidate's distribution, and a dot below it at its read-out."""
        share = (np.arange(CURVE) + 0.5) / CURVE
        candidates, best = len(choice.values), choice.chosen
        others = [n for n in range(candidates) if n != best]
        curves = [np.column_stack((shown.curves[:, n], share)) for n in (*others, best)]
        colors = [(BLUE, 0.5)] * len(others) + [(ORANGE, 1.0)]
        widths = [0.9] * len(others) + [2.2]
        axes.add_collection(LineCollection(curves, colors=colors, linewidths=widths))
        below = -0.09  # the axis of shares begins at 0
        dots = choice.values[others], np.full(len(others), below)
        axes.scatter(*dots, s=16, color=BLUE, alpha=0.5, linewidths=0)
        axes.scatter(choice.values[best], below, s=60, color=ORANGE, edgecolor="black", zorder=3)
        axes.axhline(0, color="0.6", linewidth=0.8)
        low, high = shown.curves.min(), shown.curves.max()  # of all candidates: it stays as N grows
        margin = 0.04 * (high - low)
        axes.set(xlim=(low - margin, high + margin), ylim=(-0.18, 1.04), yticks=(0, 0.5, 1))
        axes.set(xlabel="return z, on the unit scale", ylabel="share of returns below z")
        chosen = f"read-outs (dots), chosen {choice.values[best]:.3f}"
        axes.set_title(f"Returns of the candidates, and\n{chosen}", size=SMALL)

    def _draw_walks(self, axes: Axes, place: str, walks: Trajectories) -> None:
        draw_maze(axes, self.maze, labels=False)
        for path in map(_of_time, walks.positions):
            axes.plot(*path.T, color=BLUE, linewidth=1.2, alpha=0.8)
            axes.plot(*path[-1], marker="s", markersize=5, color=BLUE, markeredgecolor="w")
        axes.plot(*self.places[place], marker="o", markersize=9, color=BLUE, markeredgecolor="w")
        axes.set_title(
            f"{WALKS} walks of {LENGTH} steps from here:\n{_arrivals(walks)}, {self._way(walks)}",
            size=SMALL,
        )

    # ----------------------------------------------------------------------------------- its words

    def _setting_text(
        self, candidates: int, return_temperature: float, choice_temperature: float
    ) -> str:
        read, choice = (
            parameter.names[parameter.values.index(value)]
            for parameter, value in zip(
                self.parameters[1:3], (return_temperature, choice_temperature), strict=True
            )
        )
        return f"tau_R = {read}, tau_Q = {choice}, N = {plural(candidates, 'candidate')}"

    def _way(self, walks: Trajectories) -> str:
        cells = self._cells_nearer(walks)
        return f"{abs(cells):.1f} cells {'nearer' if cells >= 0 else 'farther'}"

    def caption(self, *, place: str, candidates: int, **temperatures: float) -> str:
        choice = self._choice(place, candidates, **temperatures)
        walks = self._walks[_walk_of(place, candidates, **temperatures)]
        x, y = self.places[place]
        return (
            f"At ({x:.1f}, {y:.1f}) m, {self._setting_text(candidates, **temperatures)}: "
            f"number {choice.chosen + 1} is chosen, with read-out "
            f"{choice.values[choice.chosen]:.3f} and probability "
            f"{choice.probabilities[choice.chosen]:.2f}. Read-outs lie between "
            f"{choice.values.min():.3f} and {choice.values.max():.3f}. {WALKS} walks of {LENGTH} "
            f"steps from there: {_arrivals(walks)}, and on average they end {self._way(walks)}."
        )

    def facts(self, *, place: str, candidates: int, **temperatures: float) -> dict[str, Any]:
        shown, choice = self._at[place], self._choice(place, candidates, **temperatures)
        walks = self._walks[_walk_of(place, candidates, **temperatures)]
        return {
            "state": list(map(float, self.places[place])),
            "setting": self._setting_text(candidates, **temperatures),
            "actions": shown.actions[:candidates, 0].tolist(),
            "returns": shown.returns[:, :candidates, 0].T.tolist(),
            "values": choice.values.tolist(),
            "probabilities": choice.probabilities.tolist(),
            "chosen": choice.chosen,
            "arrived": int(walks.success.sum()),
            "cells_nearer": self._cells_nearer(walks),
        }


def _arrivals(walks: Trajectories) -> str:
    arrived = int(walks.success.sum())
    return f"{arrived or 'none'} arrive{'s' * (arrived < 2)}"


def _of_time(path: Float[np.ndarray, "time 2"]) -> Float[np.ndarray, "time 2"]:
    """A walk until its end."""
    return path[np.isfinite(path[:, 0])]


def _walk_of(
    place: str, candidates: int, return_temperature: float, choice_temperature: float
) -> tuple[str, int, float, float]:
    """The setting whose walks these are: a single candidate leaves nothing to choose."""
    if candidates == 1:
        return place, 1, math.inf, 0.0
    return place, candidates, return_temperature, choice_temperature


@partial(jax.jit, static_argnames=("agent", "steps", "candidates", "samples"))
def _candidates(
    agent: Agent,
    state: State,
    obs: Float[Array, "batch obs"],
    key: PRNGKeyArray,
    *,
    steps: int,
    candidates: int,
    samples: int,
) -> tuple[Float[Array, "candidates batch 2"], Float[Array, "samples candidates batch"]]:
    """The candidates of `propose` with the same key, and the returns of each.

    They depend on no temperature: compiled once, they serve all.
    """
    actions = agent.propose(state, obs, key, steps=steps, candidates=candidates).actions
    returns = jax.vmap(partial(agent.returns, state, obs, samples=samples), out_axes=1)
    return actions, returns(actions)


@partial(jax.jit, static_argnames=("agent", "samples"))
def _returns(agent: HasReturns, state: State, obs: Array, actions: Array, *, samples: int) -> Array:
    """`agent.returns`, compiled once per agent and number of samples."""
    return agent.returns(state, obs, actions, samples=samples)


def _chosen(
    values: Float[Array, "candidates batch"], temperature: float, key: PRNGKeyArray
) -> Int[Array, " batch"]:
    """The choice that `EVOR.propose` makes with the same key."""
    return inference.choose_softly(values, temperature, inference.choice_key(key))


def _temperature(
    name: str, label: str, values: Sequence[float], named: Mapping[float, str]
) -> Parameter:
    values = as_tuple(f"{name}s", [float(value) for value in values])
    for value in values:
        check(value >= 0, f"{name} must be in [0, inf], got {value}")
    return Parameter(name, label, values, tuple(named.get(value, f"{value:g}") for value in values))
