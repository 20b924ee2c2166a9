"""Finite decision processes, in which everything is exact: laws of states, values, best policies.

An episode takes H steps. In step h the policy draws an action, pi_h(a | s), and the process a next
state, P(s' | s, a):

    d_1 = start,   d_{h+1}(s') = sum_{s,a} d_h(s) pi_h(a | s) P(s' | s, a)        # forward
    Q_h = r + P V_{h+1},   V_h = sum_a pi_h(a | .) Q_h,   V_{H+1} = 0              # backward

A learner need not be able to play every policy. A `PolicyClass` says what it sees, and which moves
it can choose among; a move is a law of actions, so that a body that slips is one, too.

Lesson 9 uses this; it is apart from `imitation` because none of it is about imitation. Arrays are
NumPy's, in double precision.

Source: Puterman, Markov Decision Processes, 1994, chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from sorl_edu.errors import ConfigError, check

TIE = 1e-9  # scores that differ by less than this fraction are equal


@dataclass(frozen=True)
class FiniteMDP:
    """The process without a reward: rewards are (states, actions), given to each function.

    Raises:
        ConfigError: a negative probability, probabilities that don't sum to 1, or no step.
    """

    start: Float[np.ndarray, " states"]
    transitions: Float[np.ndarray, "states actions states"]
    horizon: int

    def __post_init__(self) -> None:
        check(self.horizon >= 1, f"horizon must be at least 1, got {self.horizon}")
        _check_laws("start", self.start)
        _check_laws("transitions", self.transitions)


@dataclass(frozen=True)
class PolicyClass:
    """All policies that a learner can play: for each step and observation, a mixture of moves.

    Raises:
        ConfigError: moves that are no laws, or observations that are not numbered from 0.
    """

    observations: Int[np.ndarray, " states"]
    """What the learner sees of each state; states with the same number look alike."""
    moves: Float[np.ndarray, "moves actions"]
    """The law of the action that is done, for each move that the learner can choose."""

    def __post_init__(self) -> None:
        _check_laws("moves", self.moves)
        seen = np.unique(self.observations)
        check(
            bool(np.array_equal(seen, np.arange(len(seen)))),
            f"observations must be numbered from 0 without a gap, got {seen}",
        )

    @cached_property
    def looks(self) -> Float[np.ndarray, "observations states"]:
        """1 where a state looks like that, else 0."""
        return np.eye(int(self.observations.max()) + 1)[:, self.observations]

    @property
    def sees_states(self) -> bool:
        """Whether no two states look alike."""
        return len(self.looks) == len(self.observations)

    def undecided(self, horizon: int) -> Float[np.ndarray, "steps observations moves"]:
        """Decisions that choose every move equally often."""
        return np.full((horizon, len(self.looks), len(self.moves)), 1 / len(self.moves))

    def policy(
        self, decisions: Float[np.ndarray, "*steps observations moves"]
    ) -> Float[np.ndarray, "*steps states actions"]:
        """pi_h(a | s) of decisions, which are laws of moves."""
        return (decisions @ self.moves)[..., self.observations, :]

    def scores(
        self, weights: Float[np.ndarray, "states actions"]
    ) -> Float[np.ndarray, "observations moves"]:
        """sum over s in o of sum_a w(s, a) move(a): what each move brings for each observation."""
        return self.looks @ (weights @ self.moves.T)

    def best(
        self,
        weights: Float[np.ndarray, "states actions"],
        met: Bool[np.ndarray, " states"],
        otherwise: Float[np.ndarray, "observations moves"],
    ) -> Float[np.ndarray, "observations moves"]:
        """Decisions with the largest sum of w(s, a) pi(a | s); equally good moves share.

        Args:
            weights: w, such as the law of states times Q.
            met: the states that anything is known of.
            otherwise: the decisions for observations of which no state was met.
        """
        scores = self.scores(weights)
        ties = scores >= scores.max(1, keepdims=True) - TIE * np.abs(scores).max(1, keepdims=True)
        known = self.looks @ met > 0
        return np.where(known[:, None], ties / ties.sum(1, keepdims=True), otherwise)


def everything(mdp: FiniteMDP) -> PolicyClass:
    """The class of all policies: every state is seen, and every action can be done."""
    states, actions, _ = mdp.transitions.shape
    return PolicyClass(np.arange(states), np.eye(actions))


def occupancies(
    mdp: FiniteMDP, policy: Float[np.ndarray, "steps states actions"]
) -> Float[np.ndarray, "steps states actions"]:
    """d_h(s, a): how likely an episode is in s and does a in step h. Each step's sum is 1."""
    law, steps = mdp.start, []
    onwards = mdp.transitions.reshape(-1, len(law))  # a row for each (s, a)
    for pi in policy:
        steps.append(law[:, None] * pi)
        law = steps[-1].ravel() @ onwards
    return np.stack(steps)


def values(
    mdp: FiniteMDP,
    policy: Float[np.ndarray, "steps states actions"],
    reward: Float[np.ndarray, "states actions"],
) -> tuple[Float[np.ndarray, "steps states"], Float[np.ndarray, "steps states actions"]]:
    """V_h(s) and Q_h(s, a): the sums of rewards from step h on."""
    v, q = np.zeros(policy.shape[:2]), np.zeros(policy.shape)
    later = np.zeros(len(mdp.start))
    for h in reversed(range(len(policy))):
        q[h] = reward + mdp.transitions @ later
        v[h] = later = (policy[h] * q[h]).sum(1)
    return v, q


def advantages(
    mdp: FiniteMDP,
    policy: Float[np.ndarray, "steps states actions"],
    reward: Float[np.ndarray, "states actions"],
) -> Float[np.ndarray, "steps states actions"]:
    """A_h(s, a) = Q_h(s, a) - V_h(s)."""
    v, q = values(mdp, policy, reward)
    return q - v[..., None]


def expected_return(
    mdp: FiniteMDP,
    policy: Float[np.ndarray, "steps states actions"],
    reward: Float[np.ndarray, "states actions"],
) -> float:
    """J: the expected sum of rewards of an episode."""
    return float(mdp.start @ values(mdp, policy, reward)[0][0])


def best_in_class(
    mdp: FiniteMDP, reward: Float[np.ndarray, "states actions"], learner: PolicyClass
) -> Float[np.ndarray, "steps observations moves"]:
    """The decisions with the largest J that a learner can make, by dynamic programming.

    Raises:
        ConfigError: the learner takes some states for the same. Its best policy then depends on
            where it comes from, and dynamic programming can't find it.
    """
    check(learner.sees_states, "states look alike to this learner", ConfigError)
    decisions, later = learner.undecided(mdp.horizon), np.zeros(len(mdp.start))
    all_met = np.ones(len(mdp.start), bool)
    for h in reversed(range(mdp.horizon)):
        q = reward + mdp.transitions @ later
        decisions[h] = learner.best(q, all_met, decisions[h])
        later = (learner.policy(decisions[h]) * q).sum(1)
    return decisions


def _check_laws(name: str, laws: Float[np.ndarray, "*laws outcomes"]) -> None:
    check(
        bool((laws >= 0).all() and np.allclose(laws.sum(-1), 1)),
        f"{name} must be probabilities that sum to 1",
    )
