"""The heart of the course: what one state's actions look like as steps m and candidates N grow."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sorl_edu import evaluation
from sorl_edu.agents.agent import Agent, State
from sorl_edu.course.shipped import Trajectories
from sorl_edu.environments.mazes import MazeGeometry, maze_geometry
from sorl_edu.errors import ConfigError, check
from sorl_edu.inference import Proposal, check_budget
from sorl_edu.plotting import (
    BLUE,
    FAILED,
    LIGHT_GREYS,
    ORANGE,
    REACHED,
    action_values,
    chosen_actions,
    draw_maze,
    styled,
)
from sorl_edu.widgets.explorer import Explorer, Parameter, as_tuple

if TYPE_CHECKING:
    from ipywidgets import IntProgress

FRESH_EPISODES = 8
AXIS = np.linspace(-1, 1, 41)
BINS = np.linspace(-1, 1, 34)


class ActionDistributionExplorer(Explorer):
    """Choose a state in the maze, slide steps and N: candidates, their values, what is chosen.

    Three panels: the N candidates of one draw over the critic's Q, the one chosen circled; the
    density of what best-of-N chooses over many draws; and where the agent went in the maze with
    this setting.

    Args:
        agent, state: any agent with 2-D actions.
        environment: the OGBench name of a maze whose observation is the position.
        trajectories: where it went, by (steps, candidates); a button makes those that aren't there.
        places: states by name, (x, y) in metres; along the way to the goal unless given.
        key: draws the candidates.
        steps: the values of m, powers of two.
        candidates: the values of N.
        samples: draws behind the density.

    Raises:
        ConfigError: an environment that is no such maze, a state in a wall, actions that aren't
            2-D, m or N out of range, or N > 1 for an agent that values nothing.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        environment: str,
        *,
        trajectories: Mapping[tuple[int, int], Trajectories] | None = None,
        places: Mapping[str, Sequence[float]] | None = None,
        key: PRNGKeyArray | None = None,
        steps: Sequence[int] = (1, 2, 4, 8, 16, 32),
        candidates: Sequence[int] = (1, 2, 4, 8, 16, 32),
        samples: int = 300,
        title: str = "What the policy does at one state",
    ) -> None:
        self.agent, self.state, self.environment = agent, state, environment
        self.maze = maze_geometry(environment)
        check(
            self.maze.observation_width == 2,
            f"observations of '{environment}' are {self.maze.observation_width} wide: a place in "
            "the maze alone is no state there. Use a pointmaze",
        )
        check(
            getattr(state, "action_dim", 2) == 2,
            f"the action square needs 2-D actions; these are {getattr(state, 'action_dim', 2)}-D",
        )
        steps, candidates = as_tuple("steps", steps), as_tuple("candidates", candidates)
        for m in steps:
            check_budget(m, max(candidates), samples)
        self.trajectories = dict(trajectories or {})
        self.places = {}
        for name, place in (places or places_on_the_way(self.maze)).items():
            self._keep_place(name, place)
        self.key = jax.random.key(0) if key is None else key
        self.samples, self.title = samples, title
        self.parameters = (
            Parameter("place", "state", tuple(self.places), slow=True),
            Parameter("steps", "steps m", steps),
            Parameter("candidates", "candidates N", candidates),
        )
        self._computed: dict[str, dict] = {}

    def prepare(self, *, place: str, **_) -> None:
        if place in self._computed:
            return
        obs = np.asarray(self.places[place], np.float32)
        _, steps, candidates = (parameter.values for parameter in self.parameters)
        proposals, landscapes = {}, {}
        square = np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2)
        for m in steps:
            proposals[m] = propose(
                self.agent, self.state, obs[None], self.key, steps=m, candidates=max(candidates)
            )
            landscapes[m] = action_values(self.agent, self.state, obs, square, steps=m)
        chosen = chosen_actions(
            self.agent,
            self.state,
            obs,
            steps=steps,
            candidates=candidates,
            key=jax.random.fold_in(self.key, 1),
            samples=self.samples,
        )
        self._computed[place] = {
            "proposals": proposals, "landscapes": landscapes, "chosen": chosen
        }  # fmt: skip

    @styled
    def draw(self, *, place: str, steps: int, candidates: int) -> Figure:
        shown = self._computed[place]
        actions, q, best = self._candidates(place, steps, candidates)
        figure = Figure(figsize=(10, 4.2))
        one, many, maze = (figure.add_axes((x, 0.12, 0.27, 0.64)) for x in (0.07, 0.39, 0.7))
        landscape = shown["landscapes"][steps]
        if landscape is not None:
            one.imshow(
                np.reshape(landscape, (41, 41)),
                extent=(-1, 1, -1, 1),
                origin="lower",
                cmap=LIGHT_GREYS,
                interpolation="bilinear",
            )
        one.scatter(*actions.T, s=26, color=BLUE, edgecolor="white", linewidth=0.6, clip_on=False)
        one.scatter(
            *actions[best],
            s=150,
            facecolor="none",
            edgecolor=ORANGE,
            linewidth=2.2,
            clip_on=False,
        )
        drawn = "1 candidate" if candidates == 1 else f"{candidates} candidates"
        value = "" if q is None else f", Q = {q[best]:.1f}"
        one.set_title(f"One draw: {drawn}\nthe chosen one circled{value}", size=10)

        chosen, _ = shown["chosen"][steps, candidates]
        density, _, _ = np.histogram2d(*chosen.T, bins=(BINS, BINS))
        many.imshow(
            smooth(density).T ** 0.5,
            extent=(-1, 1, -1, 1),
            origin="lower",
            cmap="Blues",
            interpolation="bilinear",
        )
        many.set_title(
            f"Many draws: density of the chosen\naction, spread {spread(chosen):.2f}", size=10
        )
        for axes in (one, many):
            axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
            axes.set(aspect="equal", xlabel="action along x")
        one.set_ylabel("action along y")

        draw_maze(maze, self.maze, labels=False)
        went = self.trajectories.get((steps, candidates))
        if went is None:
            maze.set_title("No episodes yet at this setting\n(the button makes some)", size=10)
        else:
            for reached, kind in ((True, REACHED), (False, FAILED)):
                lines = [p[np.isfinite(p[:, 0])] for p in went.positions[went.success == reached]]
                maze.add_collection(LineCollection(lines, **kind, linewidths=1.1, alpha=0.6))
            maze.set_title(
                f"In the maze: {int(went.success.sum())} of {len(went.success)} episodes\n"
                "reach the goal (others dashed)",
                size=10,
            )
        maze.plot(*self.places[place], marker="o", markersize=9, color=BLUE, markeredgecolor="w")
        m = "1 step" if steps == 1 else f"{steps} steps"
        figure.text(0.07, 0.93, f"m = {m}, N = {drawn}", size=13, weight="bold")
        return figure

    def caption(self, *, place: str, steps: int, candidates: int) -> str:
        x, y = self.places[place]
        actions, q, best = self._candidates(place, steps, candidates)
        chosen, _ = self._computed[place]["chosen"][steps, candidates]
        value = "" if q is None else f" with Q = {q[best]:.2f}"
        went = self.trajectories.get((steps, candidates))
        episodes = (
            ""
            if went is None
            else f" {int(went.success.sum())} of {len(went.success)} episodes reach the goal."
        )
        return (
            f"At ({x:.1f}, {y:.1f}) m, with {steps} step(s) and {candidates} candidate(s), "
            f"number {best + 1} is chosen: ({actions[best][0]:.2f}, {actions[best][1]:.2f}){value}."
            f" Over {self.samples} draws the chosen action has spread {spread(chosen):.2f}."
            f"{episodes}"
        )

    def facts(self, *, place: str, steps: int, candidates: int) -> dict:
        actions, q, best = self._candidates(place, steps, candidates)
        went = self.trajectories.get((steps, candidates))
        return {
            "state": list(map(float, self.places[place])),
            "steps": steps,
            "candidates": candidates,
            "actions": actions.tolist(),
            "q": None if q is None else q.tolist(),
            "chosen": best,
            "spread": spread(self._computed[place]["chosen"][steps, candidates][0]),
            "success": None if went is None else float(went.success.mean()),
        }

    def add_place(self, x: float, y: float) -> str:
        """Makes a state of your own one of the places, and returns its name.

        Raises:
            ConfigError: (x, y) is in a wall or outside the maze.
        """
        name = f"({x:.1f}, {y:.1f})"
        self._keep_place(name, (x, y))
        place, *others = self.parameters
        names = tuple(self.places)
        self.parameters = (replace(place, values=names, names=names), *others)
        return name

    def run_episodes(self, steps: int, candidates: int, bar: IntProgress | None = None):
        """Fresh episodes in the environment at one setting, which replace those on display."""
        policy = functools.partial(
            evaluation.act, self.agent, self.state, steps=steps, candidates=candidates
        )

        def watched(obs, key):
            if bar is not None:
                bar.value = min(bar.value + 1, bar.max)
            return policy(obs, key)

        table, track = evaluation.rollout(
            watched,
            self.environment,
            episodes=FRESH_EPISODES,
            seed=int(np.random.default_rng().integers(2**31)),
            record=True,
        )
        success = table.success.to_numpy() > 0
        self.trajectories[steps, candidates] = Trajectories(track[..., :2], success)
        for at in [at for at in self._frames if at[1:] == (steps, candidates)]:
            del self._frames[at]

    def extras(self, view) -> list:
        import ipywidgets

        left, right, bottom, top = self.maze.extent
        text = dict(style={"description_width": "initial"}, layout={"width": "9em"}, step=0.5)
        x = ipywidgets.BoundedFloatText(0.0, min=left, max=right, description="x (m)", **text)
        y = ipywidgets.BoundedFloatText(0.0, min=bottom, max=top, description="y (m)", **text)
        x.value, y.value = self.maze.start
        look = ipywidgets.Button(
            description="Look at (x, y)",
            tooltip="actions at a state of yours",
            layout={"width": "auto"},
        )
        run = ipywidgets.Button(
            description=f"Run {FRESH_EPISODES} new episodes",
            tooltip="in the maze, at this setting",
            layout={"width": "auto"},
        )

        def look_there(_) -> None:
            view.say("")
            try:
                name = self.add_place(x.value, y.value)
            except ConfigError as error:
                view.say(error)
                return
            view.controls["place"].options = tuple(self.places)
            view.controls["place"].value = name

        def run_there(_) -> None:
            setting = view.setting()
            view.bar.value, view.bar.max, view.bar.layout.display = 0, 1000, ""
            try:
                self.run_episodes(setting["steps"], setting["candidates"], view.bar)
            except Exception as error:
                view.say(error)
            finally:
                view.bar.layout.display = "none"
            view.show()

        look.on_click(look_there)
        run.on_click(run_there)
        look.add_class("sorl-look")
        run.add_class("sorl-run")
        return [x, y, look, run]

    def _keep_place(self, name: str, place: Sequence[float]) -> None:
        x, y = map(float, place)
        column = round((x - self.maze.origin[0]) / self.maze.cell)
        row = round((y - self.maze.origin[1]) / self.maze.cell)
        rows, columns = np.shape(self.maze.walls)
        inside = 0 <= row < rows and 0 <= column < columns
        check(
            inside and not self.maze.walls[row][column],
            f"({x:.1f}, {y:.1f}) is in a wall or outside the maze; choose a free place",
        )
        self.places[name] = (x, y)

    def _candidates(self, place: str, m: int, n: int):
        """The first N candidates, their values (or None), and the index of the chosen one."""
        proposal = self._computed[place]["proposals"][m]
        actions, q = np.asarray(proposal.actions[:n, 0]), np.asarray(proposal.q[:n, 0])
        if not np.isfinite(q).all():
            return actions, None, 0
        return actions, q, int(q.argmax())


@functools.partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def propose(agent: Agent, state: State, obs, key, *, steps: int, candidates: int) -> Proposal:
    """`agent.propose`, compiled once per agent and setting."""
    return agent.propose(state, jnp.asarray(obs), key, steps=steps, candidates=candidates)


def spread(actions: np.ndarray) -> float:
    """The RMS distance of actions (n, 2) from their mean."""
    return float(np.sqrt(((actions - actions.mean(0)) ** 2).sum(1).mean()))


def smooth(density: np.ndarray) -> np.ndarray:
    """A histogram with each bin averaged with its neighbours (1, 2, 1), along both axes."""
    for axis in (0, 1):
        padded = np.pad(density, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], "edge")
        before, here, after = (
            np.take(padded, np.arange(density.shape[axis]) + k, axis) for k in (0, 1, 2)
        )
        density = (before + 2 * here + after) / 4
    return density


def places_on_the_way(maze: MazeGeometry) -> dict[str, tuple[float, float]]:
    """The start, a junction, and a cell before the goal, on a shortest path through the maze."""
    path = shortest_path(maze)
    junctions = [cell for cell in path[1:-1] if len(free_neighbours(maze, cell)) >= 3]
    middle = len(path) / 2
    places = {"start": path[0]}
    if junctions:
        places["junction"] = min(junctions, key=lambda cell: abs(path.index(cell) - middle))
    places["before the goal"] = path[max(len(path) - 3, 0)]
    return {
        name: (maze.origin[0] + maze.cell * j, maze.origin[1] + maze.cell * i)
        for name, (i, j) in places.items()
    }


def shortest_path(maze: MazeGeometry) -> list[tuple[int, int]]:
    """Cells (row, column) from the start to the goal."""
    start, goal = (
        tuple(round((p[k] - maze.origin[k]) / maze.cell) for k in (1, 0))
        for p in (maze.start, maze.goal)
    )
    came_from, queue = {start: start}, deque([start])
    while queue and goal not in came_from:
        cell = queue.popleft()
        for neighbour in free_neighbours(maze, cell):
            if neighbour not in came_from:
                came_from[neighbour] = cell
                queue.append(neighbour)
    check(goal in came_from, "there is no way from the start to the goal of this maze")
    path = [goal]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def free_neighbours(maze: MazeGeometry, cell: tuple[int, int]) -> list[tuple[int, int]]:
    i, j = cell
    beside = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
    return [(a, b) for a, b in beside if not maze.walls[a][b]]
