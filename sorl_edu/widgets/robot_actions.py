"""RobotActionsExplorer: the actions of a robot at a few moments, as steps m and candidates N grow.

moments = shipped.robot_states("cube")
RobotActionsExplorer(agent, state, {name: o for name, (o, _) in moments.items()})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sorl_edu.agents.agent import Agent, State, check_values, propose
from sorl_edu.errors import check
from sorl_edu.plotting.actions import best_of_first
from sorl_edu.plotting.style import BLUE, ORANGE, PHOTOGRAPH, WIDTH, plural, styled
from sorl_edu.widgets.candidates import AtState, CandidatesExplorer

DIMENSIONS = ("x", "y", "z", "yaw", "gripper")  # of the action of OGBench's robot arm
BINS = np.linspace(-1, 1, 31)
MOST = 8  # dimensions that fit beside each other
HEIGHT = 4.7  # inches
APART = 2.4  # between the zeros of two dimensions in a panel
RING = dict(s=110, facecolor="none", edgecolor=ORANGE, linewidth=2, zorder=3)
OTHER = dict(color="0.25", linestyle=(0, (3, 1.5)), linewidth=1.2)


@dataclass(frozen=True, kw_only=True)
class _ManyDraws(AtState):
    """What the policy of m steps does at one observation."""

    cloud: Float[np.ndarray, "action bins"]
    """The density of all candidates of all draws, along each dimension."""


class RobotActionsExplorer(CandidatesExplorer):
    """Candidates, their values and the chosen one at moments of an episode, dimension by dimension.

    There is a column for each dimension of the action. Above, a dot is one of the N candidates of
    one draw, as high as its Q, and the chosen one, the highest, is circled. Below, many draws: the
    density of all their candidates, of the fewest steps' candidates, and of the chosen actions.

    Args:
        agent, state: any agent whose actions have 1 to 8 dimensions.
        places: observations by the name of the moment.
        pictures: what each moment looks like, by its name; none unless given.
        place: the moment that is shown first; the first one unless given.
        dimensions: the names of the action's dimensions.
        key: draws the candidates; `jax.random.key(0)` unless given.
        steps: the values of m, powers of two.
        candidates: the values of N; 1 alone for an agent without a critic.
        samples: draws behind the densities; the first one is the one shown above.

    Raises:
        ConfigError: no moments, an observation of another width, a picture without a moment, other
            dimensions than the agent's, or m or N out of range; and, with the first frame, N > 1
            without a critic.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        places: Mapping[str, Float[np.ndarray | Array, " obs"]],
        *,
        pictures: Mapping[str, UInt8[np.ndarray, "height width 3"]] | None = None,
        place: str | None = None,
        dimensions: Sequence[str] = DIMENSIONS,
        key: PRNGKeyArray | None = None,
        steps: Sequence[int] = (1, 2, 4, 8),
        candidates: Sequence[int] = (1, 8, 32, 256),
        samples: int = 100,
        title: str = "What the policy does at moments of an episode",
    ) -> None:
        count = state.action_dim
        check(count <= MOST, f"{count} dimensions of an action don't fit into a picture")
        check(
            len(dimensions) == count,
            f"{len(dimensions)} names for {count} dimensions of an action",
        )
        for name, obs in places.items():
            check(
                len(obs) == state.obs_dim,
                f"the observation '{name}' has {len(obs)} numbers; the agent sees {state.obs_dim}",
            )
        self.places, self.pictures = dict(places), dict(pictures or {})
        unknown = sorted(self.pictures.keys() - self.places.keys())
        check(not unknown, f"pictures of {', '.join(unknown)}, for which there is no observation")
        self.dimensions, self.title = tuple(dimensions), title
        self._offsets = APART * np.arange(count)
        super().__init__(agent, state, place, key, steps, candidates, samples)

    def prepare(self, *, place: str, steps: int, **_) -> None:
        for m in (min(self.parameters[1].values), steps):
            super().prepare(place=place, steps=m)

    def compute(self, obs: Float[np.ndarray, " obs"], steps: int) -> _ManyDraws:
        candidates = self.parameters[-1].values
        repeated = jnp.broadcast_to(obs, (self.samples, len(obs)))
        proposal = propose(
            self.agent, self.state, repeated, self.key, steps=steps, candidates=max(candidates)
        )
        actions = np.asarray(proposal.actions)
        if max(candidates) > 1:
            check_values(self.agent, proposal)
        if proposal.q is None:
            q, chosen = None, {1: actions[0]}
        else:
            q = np.asarray(proposal.q)
            chosen = {n: best_of_first(actions, q, n)[0] for n in candidates}
        return _ManyDraws(
            actions=actions[:, 0],
            q=None if q is None else q[:, 0],
            chosen=chosen,
            cloud=_densities(actions.reshape(-1, actions.shape[-1])),
        )

    @styled
    def draw(self, *, place: str, steps: int, candidates: int) -> Figure:
        figure = Figure(figsize=(WIDTH, HEIGHT))
        if place in self.pictures:
            beside = figure.add_axes((0.01, 0.36, 0.21, 0.21 * WIDTH / HEIGHT))
            beside.imshow(self.pictures[place])
            beside.set_axis_off()
            beside.set_gid(PHOTOGRAPH)
        one, many = (figure.add_axes((0.28, y, 0.715, h)) for y, h in ((0.5, 0.28), (0.16, 0.22)))
        self._draw_values(one, self._computed[place, steps], candidates)
        self._draw_densities(many, place, steps, candidates)
        for axes in (one, many):  # all dimensions in one, which is drawn sooner than five
            axes.set_xlim(-1.1, self._offsets[-1] + 1.1)
            axes.set_xticks([offset + x for offset in self._offsets for x in (-1, 0, 1)])
            for left in self._offsets[1:] - APART / 2:
                axes.axvline(left, color="0.8", linewidth=0.8)
        one.set_xticklabels(())
        many.set_xticklabels(("\N{MINUS SIGN}1", "0", "1") * len(self.dimensions))
        figure.legend(loc="lower right", ncols=3, handles=many.get_legend_handles_labels()[0])
        setting = f"m = {plural(steps, 'step')}, N = {plural(candidates, 'candidate')}"
        figure.text(0.01, 0.94, f"{place}: {setting}", size=13, weight="bold")
        return figure

    def _draw_values(self, axes: Axes, shown: AtState, candidates: int) -> None:
        """One draw: each candidate's value over each dimension of it."""
        actions, q, best = shown.first(candidates)
        heights = np.zeros(candidates) if q is None else q
        across = actions + self._offsets
        dots = across.ravel(), np.repeat(heights, len(self.dimensions))
        axes.scatter(*dots, s=14, color=BLUE, alpha=0.6, linewidths=0)
        for offset, name in zip(self._offsets, self.dimensions, strict=True):
            above = dict(xycoords=("data", "axes fraction"), ha="center", va="bottom")
            axes.annotate(name, (offset, 1.02), **above)
        axes.scatter(across[best], np.full(len(self.dimensions), heights[best]), **RING)
        axes.set_title(
            "One draw: the Q of each candidate, the chosen one circled", loc="left", pad=22
        )
        if shown.q is None:
            axes.set_yticks(())
            return
        low, high = shown.q.min(), shown.q.max()  # of all candidates: it stays as N grows
        margin = 0.12 * (high - low)
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.grid(True, axis="y")
        axes.set_axisbelow(True)

    def _draw_densities(self, axes: Axes, place: str, steps: int, candidates: int) -> None:
        """Many draws: the densities along each dimension, the highest of each as high as any."""
        shown, fewest = self._computed[place, steps], min(self.parameters[1].values)
        chosen = _densities(shown.chosen[candidates])
        drawn = (
            (shown.cloud, "all candidates", dict(fill=True, color=BLUE, alpha=0.45)),
            (self._computed[place, fewest].cloud, f"all candidates at m = {fewest}", OTHER),
            (chosen, f"the best of {candidates}", dict(color=ORANGE, linewidth=2)),
        )
        highest = np.max([densities.max(1) for densities, *_ in drawn], axis=0)
        for densities, label, line in drawn:
            for i, offset in enumerate(self._offsets):
                name = label if i == 0 else None
                axes.stairs(densities[i] / highest[i], BINS + offset, label=name, **line)
        axes.set(ylim=(0, 1.05), yticks=())
        axes.set_title("Many draws: the density of candidates and of chosen ones", loc="left")

    def caption(self, *, place: str, steps: int, candidates: int) -> str:
        order = ", ".join(self.dimensions)
        text = self.choice_text(place, steps, candidates)
        return f"At the moment '{place}', {text} An action is ({order})."


def _densities(
    actions: Float[np.ndarray, "samples action"],
) -> Float[np.ndarray, "action bins"]:
    return np.stack([np.histogram(along, BINS, density=True)[0] for along in actions.T])
