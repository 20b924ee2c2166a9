"""ActionDistributionExplorer: the actions at one state as steps m and candidates N grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from sorl_edu.agents.agent import Agent, HasFlow, State, candidate_paths, propose
from sorl_edu.environments.mazes import MazeGeometry, count_endings, maze_geometry
from sorl_edu.environments.rollout import Moment, OnStep
from sorl_edu.errors import ConfigError, check
from sorl_edu.evaluation import evaluate
from sorl_edu.plotting.actions import chosen_actions, value_square
from sorl_edu.plotting.mazes import Trajectories, check_positions, draw_maze, draw_paths
from sorl_edu.plotting.style import (
    BLUE,
    LIGHT_GREYS,
    ORANGE,
    SMALL,
    WIDTH,
    plural,
    spread,
    styled,
)
from sorl_edu.widgets.candidates import AtState, CandidatesExplorer
from sorl_edu.widgets.frame import CLICKABLE

FRESH_EPISODES = 8
NOISE_SHOWN = (
    2.0  # the panel of candidates reaches as far: noise is wider than the square of actions
)
BINS = np.linspace(-1, 1, 34)


@dataclass(frozen=True, kw_only=True)
class _InMaze(AtState):
    """What the policy of m steps does at one state of a maze."""

    paths: Float[np.ndarray, "knots candidates 2"] | None
    """The candidates' ways from noise in m steps; None for an agent without a flow."""
    landscape: Float[np.ndarray, "y x"] | None
    """Q over the square of actions."""


class ActionDistributionExplorer(CandidatesExplorer):
    """Candidates, their values and the chosen one at a state of a maze, for every (m, N).

    Three panels show the N candidates of one draw over the critic's Q, each with its way from noise
    in m steps, and a circle around the chosen one; the density of best-of-N actions over many
    draws; and the agent's episodes in the maze at this setting.

    Args:
        agent, state: any agent with 2-D actions.
        environment: the OGBench name of a maze whose observation is the position.
        trajectories: episodes by (steps, candidates); a button runs missing ones.
        places: states by name, (x, y) in metres; some along the path to the goal unless given.
        place: the name of the state that is shown first; the first one unless given.
        key: draws the candidates; `jax.random.key(0)` unless given.
        steps: the values of m, powers of two.
        candidates: the values of N; 1 alone for an agent without a critic.
        samples: draws behind the density.

    Raises:
        UnknownName: no such environment.
        ConfigError: an environment that is no such maze, a state in a wall, actions that aren't
            2-D, or m or N out of range; and, with the first frame, N > 1 without a critic.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        environment: str,
        *,
        trajectories: Mapping[tuple[int, int], Trajectories] | None = None,
        places: Mapping[str, Sequence[float]] | None = None,
        place: str | None = None,
        key: PRNGKeyArray | None = None,
        steps: Sequence[int] = (1, 2, 4, 8, 16, 32),
        candidates: Sequence[int] = (1, 2, 4, 8, 16, 32),
        samples: int = 300,
        title: str = "What the policy does at one state",
    ) -> None:
        self.environment, self.title = environment, title
        self.maze = maze_geometry(environment)
        check_positions(self.maze, environment)
        check(
            state.action_dim == 2,
            f"the action square needs 2-D actions; these are {state.action_dim}-D",
        )
        self.trajectories = dict(trajectories or {})
        self.places = {}
        for name, position in (places or places_on_the_path(self.maze)).items():
            self._keep_place(name, position)
        super().__init__(agent, state, place, key, steps, candidates, samples)
        self._offer_points()

    def compute(self, obs: Float[np.ndarray, " obs"], steps: int) -> _InMaze:
        candidates = self.parameters[-1].values
        proposal = propose(
            self.agent, self.state, obs[None], self.key, steps=steps, candidates=max(candidates)
        )
        chosen = chosen_actions(
            self.agent,
            self.state,
            obs,
            steps=(steps,),
            candidates=candidates,
            key=jax.random.fold_in(self.key, 1),
            samples=self.samples,
        )
        paths = None
        if isinstance(self.agent, HasFlow):
            paths = candidate_paths(
                self.agent, self.state, obs, self.key, steps=steps, candidates=max(candidates)
            )
        return _InMaze(
            actions=np.asarray(proposal.actions[:, 0]),
            paths=None if paths is None else np.asarray(paths),
            q=None if proposal.q is None else np.asarray(proposal.q[:, 0]),
            landscape=value_square(self.agent, self.state, obs, steps=steps),
            chosen={n: chosen[steps, n][0] for n in candidates},
        )

    @styled
    def draw(self, *, place: str, steps: int, candidates: int) -> Figure:
        shown = self._computed[place, steps]
        figure = Figure(figsize=(WIDTH, 4.2))
        one, many, maze = (figure.add_axes((x, 0.13, 0.26, 0.62)) for x in (0.065, 0.425, 0.725))
        self._draw_candidates(one, shown, candidates)
        chosen = shown.chosen[candidates]
        density, _, _ = np.histogram2d(*chosen.T, bins=(BINS, BINS))
        many.imshow(
            smooth(density).T ** 0.5,
            extent=(-1, 1, -1, 1),
            origin="lower",
            cmap="Blues",
            interpolation="bilinear",
        )
        many.set_title(
            f"Many draws: density of the chosen\naction, spread {spread(chosen):.2f}", size=SMALL
        )
        many.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
        for axes in (one, many):
            axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1), aspect="equal", xlabel="action along x")
        one.set_ylabel("action along y")

        maze.set_gid(CLICKABLE)
        draw_maze(maze, self.maze, labels=False)
        episodes = self.trajectories.get((steps, candidates))
        if episodes is None:
            maze.set_title("No episodes yet at this setting\n(the button runs some)", size=SMALL)
        else:
            draw_paths(maze, episodes)
            failures = self._failures(episodes)
            maze.set_title(
                f"In the maze: {int(episodes.success.sum())} of {len(episodes.success)} arrive\n"
                + (f"{failures} (X)" if failures else "at the goal (star)"),
                size=SMALL,
            )
        maze.plot(*self.places[place], marker="o", markersize=9, color=BLUE, markeredgecolor="w")
        setting = f"m = {plural(steps, 'step')}, N = {plural(candidates, 'candidate')}"
        figure.text(0.07, 0.93, setting, size=13, weight="bold")
        return figure

    def _draw_candidates(self, axes: Axes, shown: _InMaze, candidates: int) -> None:
        """One draw of N candidates, over Q in the square of actions, and their ways there."""
        actions, q, best = shown.first(candidates)
        if shown.landscape is not None:
            image = axes.imshow(
                shown.landscape,
                extent=(-1, 1, -1, 1),
                origin="lower",
                cmap=LIGHT_GREYS,
                interpolation="bilinear",
            )
            beside = axes.inset_axes((1.03, 0, 0.035, 1))
            bar = axes.figure.colorbar(image, cax=beside)
            beside.set_title("Q", size=SMALL)
            bar.locator = MaxNLocator(3, integer=True)
            bar.update_ticks()
        axes.add_patch(Rectangle((-1, -1), 2, 2, facecolor="none", edgecolor="0.5", linewidth=0.8))
        if shown.paths is not None:
            paths = shown.paths[:, :candidates]
            order = [n for n in range(candidates) if n != best] + [best]
            colors = [(BLUE, 0.5)] * (candidates - 1) + [(ORANGE, 1.0)]
            lines = [paths[:, n] for n in order]
            axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.0))
            knots = paths[:-1].reshape(-1, 2)
            axes.scatter(*knots.T, s=7, color="0.35", linewidths=0, alpha=0.8)
        axes.scatter(*actions.T, s=26, color=BLUE, edgecolor="white", linewidth=0.6, zorder=3)
        ring = dict(facecolor="none", edgecolor=ORANGE, linewidth=2.2, zorder=3)
        axes.scatter(*actions[best], s=150, **ring)
        value = "" if q is None else f", Q = {q[best]:.1f}"
        drawn = plural(candidates, "candidate")
        axes.set_title(f"One draw: {drawn} from noise\nthe chosen one circled{value}", size=SMALL)
        axes.set(xlim=(-NOISE_SHOWN, NOISE_SHOWN), ylim=(-NOISE_SHOWN, NOISE_SHOWN))

    def caption(self, *, place: str, steps: int, candidates: int) -> str:
        x, y = self.places[place]
        text = f"At ({x:.1f}, {y:.1f}) m, {self.choice_text(place, steps, candidates)}"
        episodes = self.trajectories.get((steps, candidates))
        if episodes is None:
            return text
        text += f" {int(episodes.success.sum())} of {len(episodes.success)} episodes reach the goal"
        return text + (f"; {failures}." if (failures := self._failures(episodes)) else ".")

    def _failures(self, episodes: Trajectories) -> str:
        """How the failed episodes end: "2 stuck at the goal, 1 still moving"."""
        counts = count_endings(self.maze, episodes.positions, episodes.success)
        del counts["arrived"]
        return ", ".join(f"{number} {how}" for how, number in counts.items() if number)

    def facts(self, *, place: str, steps: int, candidates: int) -> dict:
        episodes = self.trajectories.get((steps, candidates))
        success = None if episodes is None else float(episodes.success.mean())
        return super().facts(place=place, steps=steps, candidates=candidates) | {"success": success}

    def add_place(self, x: float, y: float) -> str:
        """Adds the state at (x, y), rounded to 0.1 m, to the places, and returns its name.

        Raises:
            ConfigError: (x, y) is in a wall or outside the maze.
        """
        x, y = round(x, 1) + 0.0, round(y, 1) + 0.0  # no negative zero
        name = f"({x:.1f}, {y:.1f})"
        self._keep_place(name, (x, y))
        self._offer_points()
        return name

    def _offer_points(self) -> None:
        """Makes all places values of the parameter, each with its point in the maze."""
        place, *others = self.parameters
        names, points = tuple(self.places), tuple(self.places.values())
        self.parameters = (replace(place, values=names, names=names, points=points), *others)

    def run_episodes(
        self, steps: int, candidates: int, on_step: OnStep | None = None
    ) -> Trajectories:
        """Runs new episodes at one setting, which replace those on display."""
        table, recording = evaluate(
            self.agent,
            self.state,
            self.environment,
            steps=steps,
            candidates=candidates,
            episodes=FRESH_EPISODES,
            seed=int(np.random.default_rng().integers(2**31)),
            record=True,
            on_step=on_step,
        )
        success = table.success.to_numpy() > 0
        episodes = Trajectories(recording.observations[..., :2], success)
        self.trajectories[steps, candidates] = episodes
        for at in [at for at in self._frames if at[1:] == (steps, candidates)]:
            del self._frames[at]
        return episodes

    def extras(self, view) -> list:
        import ipywidgets

        left, right, bottom, top = self.maze.extent
        text = dict(style={"description_width": "initial"}, layout={"width": "9em"}, step=0.5)
        x = ipywidgets.BoundedFloatText(0.0, min=left, max=right, description="x (m)", **text)
        y = ipywidgets.BoundedFloatText(0.0, min=bottom, max=top, description="y (m)", **text)
        x.value, y.value = self.places[view.setting()["place"]]
        clicked = ipywidgets.Text(layout={"display": "none"}, continuous_update=False)
        look = ipywidgets.Button(
            description="Look at (x, y)",
            tooltip="show the actions at this state",
            layout={"width": "auto"},
        )
        run = ipywidgets.Button(
            description=f"Run {FRESH_EPISODES} new episodes",
            tooltip="run the agent in the maze at this setting",
            layout={"width": "auto"},
        )

        def look_at(point: Sequence[float]) -> None:
            try:
                name = self.add_place(*point)
            except ConfigError as error:
                view.say(str(error))
                return
            x.value, y.value = self.places[name]
            view.choose("place", name)

        def move_bar(moment: Moment) -> None:
            view.progress(moment.time, moment.environments[0].spec.max_episode_steps)

        def run_there(_) -> None:
            setting = view.setting()
            try:
                self.run_episodes(setting["steps"], setting["candidates"], move_bar)
            except Exception as error:
                view.say(error)
            finally:
                view.progress(1, 1)
            view.show()

        look.on_click(lambda _: look_at((x.value, y.value)))
        clicked.observe(lambda _: look_at(list(map(float, clicked.value.split()[:2]))), "value")
        run.on_click(run_there)
        look.add_class("sorl-look")
        run.add_class("sorl-run")
        clicked.add_class("sorl-clicked")
        hint = ipywidgets.HTML("Click a point in the maze, or type one:")
        return [hint, x, y, look, run, clicked]

    def _keep_place(self, name: str, place: Sequence[float]) -> None:
        x, y = map(float, place)
        check(
            self.maze.is_free(self.maze.cell_of((x, y))),
            f"({x:.1f}, {y:.1f}) is in a wall or outside the maze; choose a free place",
        )
        self.places[name] = (x, y)


def smooth(density: np.ndarray) -> np.ndarray:
    """A histogram with each bin averaged with its neighbours (1, 2, 1), along both axes."""
    for axis in (0, 1):
        density = ndimage.convolve1d(density, [0.25, 0.5, 0.25], axis, mode="nearest")
    return density


def places_on_the_path(maze: MazeGeometry) -> dict[str, tuple[float, float]]:
    """The start, a junction, and a cell before the goal, on a shortest path through the maze."""
    path = maze.shortest_path()
    junctions = [cell for cell in path[1:-1] if len(maze.free_neighbours(cell)) >= 3]
    middle = len(path) / 2
    places = {"start": path[0]}
    if junctions:
        places["junction"] = min(junctions, key=lambda cell: abs(path.index(cell) - middle))
    places["before the goal"] = path[max(len(path) - 3, 0)]
    return {name: maze.center_of(cell) for name, cell in places.items()}
