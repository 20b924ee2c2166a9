"""The tightrope: a finite world whose expert can't be replicated, and in which all is exact.

    S . # # # # # # # # . .        . floor   # pit
    S . = = = = = = = = . G        = the bridge, one cell wide
    S . # # # # # # # # . .        S start   G goal, where an episode stays
    . . - - - - - - - - . .        - the road, two cells wide
    . . - - - - - - - - . .

A walker begins at any S equally often and moves by one cell: right, left, up or down; a wall stops
it, and a pit keeps it. The reward is 1 for each step that begins in the goal. The expert takes the
bridge, the shorter way. The learner slips: with probability p its step goes to one of the two
sides. On the bridge that is a fall, on the road at most a detour. Offline data know the road.

The reward player may use every pair of a cell and an action, those of the bridge among them, which
the learner can't match without a fall. An episode must be long enough that the goal counts for more
(60 steps here). In 40 steps, the best match of the expert that the learner finds is up to 16% below
its largest J, where p is from 0.05 to 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from sorl_edu.errors import check
from sorl_edu.finite_mdp import FiniteMDP, PolicyClass, best_in_class, everything, occupancies

ACTIONS = ("right", "left", "up", "down")
STEPS = np.array([(0, 1), (0, -1), (-1, 0), (1, 0)])  # row, column
SIDES = ((2, 3), (2, 3), (0, 1), (0, 1))  # the actions into which each one slips

ROWS, BRIDGE_ROW, PIT_ROWS, PLATFORM = 5, 1, (0, 2), 2
START_ROWS = (0, 1, 2)


@dataclass(frozen=True)
class Tightrope:
    """The world, its expert and its offline data.

    Raises:
        ConfigError: no bridge, or an episode that is too short for the road.
    """

    bridge: int = 8
    """Cells of the bridge."""
    horizon: int = 60
    """Steps of an episode."""

    def __post_init__(self) -> None:
        check(self.bridge >= 1, f"bridge must be at least 1 cell, got {self.bridge}")
        road = self.columns - 1 + 2 * (ROWS - 1 - BRIDGE_ROW)
        check(self.horizon > road, f"horizon must be above {road}, the road's length")

    @property
    def columns(self) -> int:
        return self.bridge + 2 * PLATFORM

    @cached_property
    def cells(self) -> Int[np.ndarray, "states 2"]:
        """Row and column of each state: all cells, pits among them."""
        return np.argwhere(np.ones((ROWS, self.columns), bool))

    @cached_property
    def pits(self) -> Int[np.ndarray, " pits"]:
        """The states in which one stays for good, without a reward."""
        row, column = self.cells.T
        return np.flatnonzero(np.isin(row, PIT_ROWS) & np.isin(column, self.middle))

    @property
    def middle(self) -> range:
        """The columns of the bridge, of the pits beside it, and of the road below."""
        return range(PLATFORM, self.columns - PLATFORM)

    @property
    def goal(self) -> int:
        return self.state(BRIDGE_ROW, self.columns - 1)

    def state(self, row: int, column: int) -> int:
        """The number of a cell's state."""
        return row * self.columns + column

    @cached_property
    def mdp(self) -> FiniteMDP:
        """Moves without a slip, which is a choice of another action (`learner`)."""
        states = len(self.cells)
        start = np.zeros(states)
        start[[self.state(row, 0) for row in START_ROWS]] = 1 / len(START_ROWS)
        ahead = self.cells[:, None] + STEPS
        row, column = np.clip(ahead, 0, (ROWS - 1, self.columns - 1)).reshape(-1, 2).T
        after = (row * self.columns + column).reshape(states, len(ACTIONS))
        for final in (*self.pits, self.goal):
            after[final] = final
        return FiniteMDP(start, np.eye(states)[after], self.horizon)

    @cached_property
    def reward(self) -> Float[np.ndarray, "states actions"]:
        """1 in the goal, else 0: J is the number of steps that begin there."""
        reward = np.zeros((len(self.cells), len(ACTIONS)))
        reward[self.goal] = 1
        return reward

    def learner(self, slip: float) -> PolicyClass:
        """Policies whose every step goes to a side with probability p, half of it to each.

        Raises:
            ConfigError: p is not in [0, 1].
        """
        check(0 <= slip <= 1, f"slip must be in [0, 1], got {slip}")
        moves = (1 - slip) * np.eye(len(ACTIONS))
        for move, sides in enumerate(SIDES):
            moves[move, list(sides)] += slip / 2
        return PolicyClass(np.arange(len(self.cells)), moves)

    @cached_property
    def expert(self) -> Float[np.ndarray, "steps states actions"]:
        """The best policy without a slip; of equally short ways it takes each equally often."""
        free = everything(self.mdp)
        return free.policy(best_in_class(self.mdp, self.reward, free))

    def offline(self, slip: float) -> Float[np.ndarray, "steps states actions"]:
        """How often a walker who slips, and who closes the bridge, is where and does what.

        It is the best of the learner's class for a world in which the bridge is a pit, too; so its
        states are those that the learner can reach.
        """
        closed = self.reward.copy()
        closed[[self.state(BRIDGE_ROW, column) for column in self.middle]] = -self.horizon
        learner = self.learner(slip)
        policy = learner.policy(best_in_class(self.mdp, closed, learner))
        return occupancies(self.mdp, policy)

    def seen(
        self, counts: Float[np.ndarray, "steps states actions"]
    ) -> Float[np.ndarray, "steps states actions"]:
        """Counted episodes as a watcher has them: nobody sees which action stays where it is.

        In the goal and in pits all actions have the same effect. Each gets an equal part there:
        which of them a learner happens to choose must not set it apart from the expert.
        """
        final, shared = [*self.pits, self.goal], counts.copy()
        shared[:, final] = counts[:, final].mean(-1, keepdims=True)
        return shared


def empirical(
    mdp: FiniteMDP, policy: Float[np.ndarray, "steps states actions"], episodes: int, seed: int
) -> Float[np.ndarray, "steps states actions"]:
    """d_h(s, a) as it is counted in some episodes.

    Args:
        episodes: at least 1.
        seed: draws them.

    Raises:
        ConfigError: no episodes.
    """
    states, actions = walks(mdp, policy, episodes, seed)
    counts = np.zeros(policy.shape)
    for h, pairs in enumerate(zip(states, actions, strict=True)):
        np.add.at(counts[h], pairs, 1 / episodes)
    return counts


def walks(
    mdp: FiniteMDP, policy: Float[np.ndarray, "steps states actions"], episodes: int, seed: int
) -> tuple[Int[np.ndarray, "steps episodes"], Int[np.ndarray, "steps episodes"]]:
    """Some episodes: the state and the action of each step.

    Args:
        episodes: at least 1.
        seed: draws them.

    Raises:
        ConfigError: no episodes.
    """
    check(episodes >= 1, f"episodes must be at least 1, got {episodes}")
    rng = np.random.default_rng(seed)
    state = _draw(rng, np.repeat(mdp.start[None], episodes, axis=0))
    states, actions = [], []
    for pi in policy:
        action = _draw(rng, pi[state])
        states.append(state)
        actions.append(action)
        state = _draw(rng, mdp.transitions[state, action])
    return np.stack(states), np.stack(actions)


def _draw(
    rng: np.random.Generator, laws: Float[np.ndarray, "draws outcomes"]
) -> Int[np.ndarray, " draws"]:
    edges = laws.cumsum(1)
    return (edges < rng.random(len(laws))[:, None] * edges[:, -1:]).sum(1)
