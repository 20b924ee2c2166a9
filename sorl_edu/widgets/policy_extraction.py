"""PolicyExtractionExplorer: two methods side by side, each with its knob, at one state of a maze.

    methods = {
        "IQL": [KnobValue("alpha = 0.3", agent, state), KnobValue("alpha = 10", other, its_state)],
        "FQL": [...],
    }
    explorer = PolicyExtractionExplorer(methods, "pointmaze-medium-navigate-singletask-v0")
    explorer.render(left="IQL", left_knob=1, right="FQL", right_knob=2)

A method's knob lies between the data and the critic: lesson 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sorl_edu.agents.agent import Agent, State
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import check
from sorl_edu.evaluation import evaluate
from sorl_edu.plotting.actions import chosen_actions, value_square
from sorl_edu.plotting.mazes import Trajectories, check_positions, draw_maze, draw_paths
from sorl_edu.plotting.style import BLUE, LIGHT_GREYS, MEAN, SMALL, WIDTH, plural, spread, styled
from sorl_edu.widgets.action_distribution import places_on_the_path
from sorl_edu.widgets.explorer import Explorer
from sorl_edu.widgets.frame import Parameter

EPISODES = 8
SAMPLES = 300


@dataclass(frozen=True)
class KnobValue:
    """A method's agent at one value of its knob, and how it acts."""

    label: str
    """The knob and its value: "alpha = 0.3"."""
    agent: Agent
    state: State
    steps: int = 1
    """m with which it acts."""
    candidates: int = 1
    """N with which it acts."""
    episodes: Trajectories | None = None
    """Episodes in the maze; some are run when they are first looked at, unless given."""


@dataclass(frozen=True)
class _Shown:
    """What a method does at one value of its knob."""

    actions: Float[np.ndarray, "samples 2"]
    landscape: Float[np.ndarray, "y x"] | None
    episodes: Trajectories

    @property
    def arrived(self) -> str:
        success = self.episodes.success
        return f"{int(np.sum(success))} of {plural(len(success), 'episode')}"


class PolicyExtractionExplorer(Explorer):
    """Where two methods' actions lie over the critic's Q, and where they lead in the maze.

    Each half shows a method: many draws of its action at the state (blue) and their mean, over its
    own critic's Q (brighter is higher); and its episodes. A method with fewer values of its knob
    than the slider has stays at its last one.

    Args:
        methods: the values of each method's knob by its name, from nearest to the data to
            greediest; two methods at least.
        environment: the OGBench name of a maze whose observation is the position.
        places: states by name, (x, y) in metres; some along the path to the goal unless given.
        key: draws the actions; `jax.random.key(0)` unless given.

    Raises:
        UnknownName: no such environment.
        ConfigError: fewer than two methods, a method without a value, actions that aren't 2-D, or
            an environment that is no such maze.
    """

    def __init__(
        self,
        methods: Mapping[str, Sequence[KnobValue]],
        environment: str,
        *,
        places: Mapping[str, Sequence[float]] | None = None,
        key: PRNGKeyArray | None = None,
        title: str = "Two ways to use the same data",
    ) -> None:
        check(len(methods) >= 2, f"it compares two methods, and there is {len(methods)}")
        self.methods = {name: tuple(values) for name, values in methods.items()}
        for name, values in self.methods.items():
            check(len(values) > 0, f"{name} has no value of its knob")
            for value in values:
                check(
                    value.state.action_dim == 2,
                    f"the action square needs 2-D actions; {name}'s are {value.state.action_dim}-D",
                )
        self.environment, self.title = environment, title
        self.maze = maze_geometry(environment)
        check_positions(self.maze, environment)
        self.places = dict(places or places_on_the_path(self.maze))
        self.key = jax.random.key(0) if key is None else key
        names = tuple(self.methods)
        knob = tuple(range(1, max(map(len, self.methods.values())) + 1))
        self.parameters = (
            Parameter("place", "state", tuple(self.places), slow=True),
            Parameter("left", "left: method", names, slow=True),
            Parameter("left_knob", "left: knob, data to critic", knob),
            Parameter("right", "right: method", names, start=names[1], slow=True),
            Parameter("right_knob", "right: knob, data to critic", knob),
        )
        self._episodes: dict[tuple[str, int], Trajectories] = {}
        self._shown: dict[tuple[str, str, int], _Shown] = {}

    def value(self, method: str, knob: int) -> KnobValue:
        """A method at a position of its knob, 1 being nearest to the data."""
        values = self.methods[method]
        return values[min(knob, len(values)) - 1]

    def prepare(
        self, *, place: str, left: str, left_knob: int, right: str, right_knob: int
    ) -> None:
        for method, knob in ((left, left_knob), (right, right_knob)):
            if (place, method, knob) not in self._shown:
                self._shown[place, method, knob] = self._compute(place, method, knob)

    def _compute(self, place: str, method: str, knob: int) -> _Shown:
        value = self.value(method, knob)
        obs = np.asarray(self.places[place], np.float32)
        setting = {"steps": (value.steps,), "candidates": (value.candidates,)}
        chosen = chosen_actions(
            value.agent, value.state, obs, **setting, key=self.key, samples=SAMPLES
        )
        return _Shown(
            actions=chosen[value.steps, value.candidates][0],
            landscape=value_square(value.agent, value.state, obs, steps=value.steps),
            episodes=self._episodes_of(method, min(knob, len(self.methods[method]))),
        )

    def _episodes_of(self, method: str, knob: int) -> Trajectories:
        if (method, knob) not in self._episodes:
            value = self.value(method, knob)
            episodes = value.episodes or run_episodes(value, self.environment)
            self._episodes[method, knob] = episodes
        return self._episodes[method, knob]

    @styled
    def draw(self, *, place: str, left: str, left_knob: int, right: str, right_knob: int) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.5))
        for x, method, knob in ((0.05, left, left_knob), (0.55, right, right_knob)):
            shown, value = self._shown[place, method, knob], self.value(method, knob)
            square = figure.add_axes((x, 0.13, 0.19, 0.62))
            maze = figure.add_axes((x + 0.215, 0.13, 0.22, 0.62))
            self._draw_actions(square, shown)
            draw_maze(maze, self.maze, labels=False)
            draw_paths(maze, shown.episodes)
            maze.plot(*self.places[place], marker="o", markersize=8, color=BLUE, mec="w")
            maze.set_title(f"{shown.arrived} arrive", size=SMALL)
            figure.text(x, 0.92, f"{method}, {value.label}", size=12, weight="bold")
            figure.text(x, 0.86, self._position(method, knob), size=SMALL)
        return figure

    def _position(self, method: str, knob: int) -> str:
        """Which of the method's values is shown; a slider beyond the last is told to be there."""
        values = len(self.methods[method])
        if knob <= values > 1:
            return f"value {knob} of {values}"
        return f"slider at {knob}; {method} has {plural(values, 'value')}"

    def _draw_actions(self, axes: Axes, shown: _Shown) -> None:
        if shown.landscape is not None:
            axes.imshow(
                shown.landscape,
                extent=(-1, 1, -1, 1),
                origin="lower",
                cmap=LIGHT_GREYS,
                interpolation="bilinear",
            )
        axes.scatter(*shown.actions.T, s=9, color=BLUE, alpha=0.5, linewidths=0)
        axes.plot(*shown.actions.mean(0), **MEAN)
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
        axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1), xlabel="action along x")
        axes.set_title(f"actions, spread {spread(shown.actions):.2f}", size=SMALL)

    def caption(self, *, place: str, left: str, left_knob: int, right: str, right_knob: int) -> str:
        x, y = self.places[place]
        told = [
            f"{method} with {self.value(method, knob).label} acts by "
            f"{_mean_text(self._shown[place, method, knob].actions)}, and "
            f"{self._shown[place, method, knob].arrived} arrive"
            for method, knob in ((left, left_knob), (right, right_knob))
        ]
        return f"At ({x:.1f}, {y:.1f}) m, {'; '.join(told)}."

    def facts(self, *, place: str, **sides) -> dict[str, Any]:
        found: dict[str, Any] = {"state": list(map(float, self.places[place]))}
        for side in ("left", "right"):
            method, knob = sides[side], sides[f"{side}_knob"]
            shown = self._shown[place, method, knob]
            found[side] = {
                "method": method,
                "knob": self.value(method, knob).label,
                "mean": shown.actions.mean(0).tolist(),
                "spread": spread(shown.actions),
                "success": float(np.mean(shown.episodes.success)),
            }
        return found


def run_episodes(value: KnobValue, environment: str, *, seed: int = 0) -> Trajectories:
    """Episodes of a method at one value of its knob, from the same starts for all."""
    table, recording = evaluate(
        value.agent,
        value.state,
        environment,
        steps=value.steps,
        candidates=value.candidates,
        episodes=EPISODES,
        seed=seed,
        record=True,
    )
    return Trajectories(recording.observations[..., :2], table.success.to_numpy() > 0)


def _mean_text(actions: np.ndarray) -> str:
    mean = ", ".join(f"{a:.2f}" for a in actions.mean(0))
    return f"({mean}) on average, with spread {spread(actions):.2f}"
