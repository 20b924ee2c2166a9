"""TightropeExplorer: four imitators of an expert on a bridge that they can't cross as it does.

    explorer = TightropeExplorer()
    explorer.render(slip=0.1, offline=0.5, start="a clone")

Each panel is a learner: where it is (blue), where it practised (green), and some of its episodes.
The learners are those of lesson 9; J is exact for the policies that they find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sorl_edu.datasets.tightrope import Tightrope, walks
from sorl_edu.errors import check
from sorl_edu.experiments.imitators import LEARNERS
from sorl_edu.finite_mdp import best_in_class, expected_return, occupancies
from sorl_edu.imitation import (
    Game,
    ResetMixture,
    behaviour_cloning,
    guitar,
    imitate,
)
from sorl_edu.plotting.style import END, FAILED, GREEN, REACHED, SMALL, WIDTH, listed, styled
from sorl_edu.plotting.tightrope import Walkers, draw_walkers, regions
from sorl_edu.widgets.explorer import Explorer, as_tuple
from sorl_edu.widgets.frame import Parameter

CLONE, WALK = "a clone", "a walk at random"
EPISODES = 8
SLIPS, SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5), (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
PLACES = ((0.035, 0.55), (0.535, 0.55), (0.035, 0.09), (0.535, 0.09))  # of the panels
PANEL = (0.43, 0.35)  # width and height of one, in parts of the figure


@dataclass(frozen=True)
class _Found:
    """A learner's policy, and what it is worth."""

    j: float
    shown: Walkers


class TightropeExplorer(Explorer):
    """Where four imitators walk, where they practised, and their J, by slip and by resets.

    BC copies the expert. MM practises in its own states, FILTER in the expert's. GUITAR practises
    in the expert's and in those of offline data; with a share of 0 it is FILTER.

    Args:
        world: the tightrope.
        slips: values of p, each in [0, 1].
        shares: the shares of offline states in GUITAR's resets, each in [0, 1].
        practice: states that are drawn for each step of a search.
        rounds: of the game between reward and policy.
        seed: draws the states and the episodes.

    Raises:
        ConfigError: a slip or a share outside [0, 1], or none; a count below 1.
    """

    def __init__(
        self,
        world: Tightrope | None = None,
        *,
        slips: Sequence[float] = SLIPS,
        shares: Sequence[float] = SHARES,
        practice: int = 300,
        rounds: int = 10,
        seed: int = 0,
    ) -> None:
        self.world = world or Tightrope()
        slips, shares = as_tuple("slips", slips), as_tuple("shares", shares)
        for name, values in (("slips", slips), ("shares", shares)):
            check(all(0 <= v <= 1 for v in values), f"{name} must be in [0, 1], got {values}")
        check(min(practice, rounds) >= 1, "practice and rounds must be at least 1")
        self.practice, self.rounds, self.seed = practice, rounds, seed
        self.title = "Where to practise, if you can't be the expert"
        self.parameters = (
            Parameter("slip", "slip p", slips, start=_nearest(slips, 0.1)),
            Parameter(
                "offline",
                "GUITAR's resets: offline share",
                shares,
                start=_nearest(shares, 0.5),
                slow=True,
            ),
            Parameter("start", "practice begins with", (CLONE, WALK), slow=True),
        )
        self._expert = occupancies(self.world.mdp, self.world.expert)
        self._found: dict[tuple, _Found] = {}
        self._optima: dict[float, float] = {}
        self._offline: dict[float, np.ndarray] = {}

    def mixture(self, learner: str, offline: float) -> ResetMixture | None:
        """Where a learner practises; None for BC, which doesn't."""
        return guitar(offline=offline) if learner == "GUITAR" else LEARNERS[learner]

    def prepare(self, *, slip: float, offline: float, start: str) -> None:
        if slip not in self._optima:
            body, reward = self.world.learner(slip), self.world.reward
            best = body.policy(best_in_class(self.world.mdp, reward, body))
            self._optima[slip] = expected_return(self.world.mdp, best, reward)
            self._offline[slip] = self.world.offline(slip)
        for learner in LEARNERS:
            key = _key(learner, slip, offline, start)
            if key not in self._found:
                self._found[key] = self._learn(self.mixture(learner, offline), slip, start)

    def _learn(self, mixture: ResetMixture | None, slip: float, start: str) -> _Found:
        mdp, body = self.world.mdp, self.world.learner(slip)
        cloned = behaviour_cloning(body, self._expert)
        if mixture is None:
            return self._walked(body.policy(cloned), None)
        game = imitate(
            mdp,
            body,
            self._expert,
            self._offline[slip],
            mixture,
            rounds=self.rounds,
            first=cloned if start == CLONE else None,
            practice=self.practice,
            seed=self.seed,
        )
        return self._walked(body.policy(game.best), self._practised(mixture, slip, game))

    def _practised(self, mixture: ResetMixture, slip: float, game: Game) -> np.ndarray:
        """The law of the states of practice, over all steps; for own states, of all rounds."""
        body, own = self.world.learner(slip), np.zeros(len(self.world.cells))
        if mixture.own > 0:
            own = np.mean([self._visits(body.policy(d)) for d in game.decisions], axis=0)
        sources = own, self._expert.sum((0, 2)), self._offline[slip].sum((0, 2))
        return mixture.law(*(visits[None] / self.world.horizon for visits in sources))[0]

    def _visits(self, policy: Float[np.ndarray, "steps states actions"]) -> np.ndarray:
        return occupancies(self.world.mdp, policy).sum((0, 2))

    def _walked(
        self, policy: Float[np.ndarray, "steps states actions"], practice: np.ndarray | None
    ) -> _Found:
        mdp = self.world.mdp
        states, _ = walks(mdp, policy, EPISODES, self.seed)
        j = expected_return(mdp, policy, self.world.reward)
        return _Found(j, Walkers(self._visits(policy), states, practice))

    def _results(self, slip: float, offline: float, start: str) -> dict[str, _Found]:
        return {name: self._found[_key(name, slip, offline, start)] for name in LEARNERS}

    @styled
    def draw(self, *, slip: float, offline: float, start: str) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.2))
        results = self._results(slip, offline, start)
        for (x, y), (name, found) in zip(PLACES, results.items(), strict=True):
            axes = figure.add_axes((x, y, *PANEL))
            draw_walkers(axes, self.world, found.shown)
            share = found.j / self._optima[slip]
            figure.text(x, y + PANEL[1] + 0.015, name, size=12, weight="bold")
            text = f"J = {found.j:.1f}, {share:.0%} of the optimum"
            figure.text(x + PANEL[0], y + PANEL[1] + 0.015, text, size=SMALL, ha="right")
        looks = {
            "arrives": Line2D([], [], **REACHED),
            "doesn't arrive": Line2D([], [], **FAILED),
            "falls": Line2D([], [], linestyle="none", **END),
            "practised here": Line2D([], [], linestyle="none", marker="s", color=GREEN),
        }
        figure.legend(looks.values(), looks.keys(), loc="lower center", ncols=len(looks))
        return figure

    def caption(self, *, slip: float, offline: float, start: str) -> str:
        results = self._results(slip, offline, start)
        optimum = self._optima[slip]
        told = []
        for name, found in results.items():
            fell = np.isin(found.shown.walks[-1], self.world.pits).sum()
            told.append(
                f"{name} reaches J = {found.j:.1f} ({found.j / optimum:.0%}; {fell} of {EPISODES} "
                "episodes fall)"
            )
        return (
            f"A step slips with probability {slip:g}; the best that such a learner can do is "
            f"J = {optimum:.1f}. {listed(told)}. Practice begins with {start}, and {offline:.0%} "
            "of GUITAR's resets are to offline states."
        )

    def facts(self, *, slip: float, offline: float, start: str) -> dict[str, Any]:
        results = self._results(slip, offline, start)
        return {"optimum": self._optima[slip]} | {
            name: {"j": found.j} | regions(self.world, found.shown.visits)
            for name, found in results.items()
        }


def _key(learner: str, slip: float, offline: float, start: str) -> tuple:
    """What a learner's result depends on."""
    if learner == "BC":
        return learner, slip
    return learner, slip, start, offline if learner == "GUITAR" else None


def _nearest(values: Sequence[float], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))
