"""Lesson 9, imitation under misspecification: learn from an expert whom you can't replicate.

Behaviour cloning copies actions; where a copy is impossible it doesn't know which mistakes are
costly. Inverse reinforcement learning finds out by interaction. It is a game between a reward that
tells learner and expert apart, and a policy that maximizes it:

    for i = 1 .. n:
        f_{i+1}  = no-regret step of  E_expert f - E_{pi_i} f         # whole episodes of pi_i
        pi_{i+1} = PSDP(f_{i+1}, rho)                                 # local search from rho
    return the mixture of pi_1 .. pi_n, or the pi_i that f could tell least from the expert

    PSDP(f, rho):
        for h = H .. 1:                                               # the last step first
            pi_h = argmax_{pi in Pi}  E_{s ~ rho_h, a ~ pi} Q_h(s, a)     # Q_h of pi_{h+1} .. pi_H

Methods differ in where they practise, the reset law rho:

    MM       the learner's own states
    FILTER   the expert's states
    HyPE     the learner's own, and some of the expert's, without a reset
    GUITAR   the states of the expert and of offline data, which the learner can reach

The class Pi needs no expert. It needs a good one-step improver on the states of rho, which the
completeness error measures; with the expert's law as rho,

    J(expert, f) - J(pi, f)  <=  H (completeness error + PSDP's error)

Sources: Espinosa-Dice et al., Efficient Imitation under Misspecification, 2025, arXiv 2503.13162
(GUITAR, completeness); Swamy et al., Inverse RL without RL, 2023, arXiv 2303.14623 (FILTER); Ren et
al., Hybrid Inverse RL, 2024, arXiv 2402.08848 (HyPE); Swamy et al., Of Moments and Matching, 2021,
arXiv 2103.03236 (MM); Bagnell et al., Policy Search by Dynamic Programming, NeurIPS 2003 (PSDP).
The first one was read in its abstract, its reviews and its code: the completeness error's formula
and the bound are derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.errors import check
from sorl_edu.finite_mdp import FiniteMDP, PolicyClass, advantages, occupancies

# f(o, a) as reward(obs, actions): (batch, obs), (batch, action) to values (batch,).
Reward = Callable[[Array, Array], Array]

# ------------------------------------------------------------------ the reward player, of networks


def moment_matching_loss(
    reward: Reward,
    expert: tuple[Float[Array, "batch obs"], Float[Array, "batch action"]],
    learner: tuple[Float[Array, "batch obs"], Float[Array, "batch action"]],
    key: PRNGKeyArray,
    *,
    penalty: float = 10.0,
    slope: float = 0.4,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """E_learner f - E_expert f + penalty * E (|grad f| - slope)^2: what the reward descends.

    The gradient is f's with respect to its inputs, at random points of the lines from an expert's
    pair to a learner's. Without it, f would grow without bound.

    Args:
        reward: f.
        expert: its observations and actions.
        learner: those of whole episodes from the start, as many; not of episodes that a reset
            began, which the expert's don't correspond to.
        key: draws the points.
        penalty: weight of the gradient penalty, at least 0.
        slope: the norm of the gradient that the penalty wants.

    Returns:
        the loss, and the metrics reward_loss, reward_gap (E_expert f - E_learner f) and
        gradient_penalty.

    Source: Gulrajani et al., 2017, arXiv 1704.00028 (the penalty, with slope 1); penalty and slope
    are those of GUITAR's code.
    """
    gap = reward(*expert).mean() - reward(*learner).mean()
    u = jax.random.uniform(key, (len(expert[0]), 1))
    between = jax.tree.map(lambda e, p: u * e + (1 - u) * p, expert, learner)
    gradients = jax.grad(lambda pairs: reward(*pairs).sum())(between)
    norms = jnp.sqrt(sum((part**2).sum(-1) for part in gradients) + 1e-12)
    deviation = jnp.mean((norms - slope) ** 2)
    loss = -gap + penalty * deviation
    return loss, {"reward_loss": loss, "reward_gap": gap, "gradient_penalty": deviation}


# ---------------------------------------------------------------- the reward player, of finite MDPs


def reward_step(
    reward: Float[np.ndarray, "states actions"],
    expert: Float[np.ndarray, "states actions"],
    learner: Float[np.ndarray, "states actions"],
    rate: float,
) -> Float[np.ndarray, "states actions"]:
    """f <- clip(f + rate * (d_expert - d_learner), -1, 1): one step of projected gradient ascent.

    The features are the indicators of pairs (s, a), and so f may be any function into [-1, 1]. For
    any sequence of n learners, the average regret against the best fixed f is at most
    |F| / (2 rate n) + rate, where |F| is the number of pairs.

    Args:
        expert, learner: how often each does a in s; each sums to 1.

    Source: Zinkevich, Online Convex Programming, 2003.
    """
    return np.clip(reward + rate * (expert - learner), -1, 1)


def largest_gap(
    expert: Float[np.ndarray, "steps states actions"],
    learner: Float[np.ndarray, "steps states actions"],
) -> float:
    """How well the best f into [-1, 1] tells two laws apart, averaged over steps.

    max over f of E_expert f - E_learner f  =  sum over s, a of |d_expert - d_learner|

    The best f(s, a) is the sign of d_expert - d_learner. No reward into [-1, 1] has a difference of
    J above H times this.
    """
    return float(np.abs(expert.mean(0) - learner.mean(0)).sum())


# ------------------------------------------------------------------------------- where to practise


@dataclass(frozen=True)
class ResetMixture:
    """How often practice begins in a state of each source; the three fractions sum to 1.

    Raises:
        ConfigError: a negative fraction, or another sum.
    """

    own: float
    """States of the learner's own episodes."""
    expert: float
    """States of the expert's episodes."""
    offline: float
    """States of offline data."""

    def __post_init__(self) -> None:
        fractions = self.own, self.expert, self.offline
        check(
            min(fractions) >= 0 and abs(sum(fractions) - 1) < 1e-6,
            f"fractions must not be negative and must sum to 1: {fractions}",
        )

    def law(
        self,
        own: Float[np.ndarray, "steps states"],
        expert: Float[np.ndarray, "steps states"],
        offline: Float[np.ndarray, "steps states"],
    ) -> Float[np.ndarray, "steps states"]:
        """rho, the mixture of three laws of states."""
        return self.own * own + self.expert * expert + self.offline * offline


def moment_matching() -> ResetMixture:
    """MM: no reset (arXiv 2103.03236)."""
    return ResetMixture(own=1.0, expert=0.0, offline=0.0)


def filter_resets(fraction: float = 1.0) -> ResetMixture:
    """FILTER: a fraction of resets to expert states (arXiv 2303.14623: 0.5, or 1 in a maze)."""
    return ResetMixture(own=1 - fraction, expert=fraction, offline=0.0)


def hype(fraction: float = 0.2) -> ResetMixture:
    """HyPE: no reset, but a fraction of each batch is the expert's (arXiv 2402.08848).

    As a law of states it is FILTER's with a small fraction. HyPE can't try other actions in the
    expert's states, which exact values hide.
    """
    return filter_resets(fraction)


def guitar(fraction: float = 1.0, offline: float = 0.5) -> ResetMixture:
    """GUITAR: a fraction of resets, of which a part is to offline states (arXiv 2503.13162)."""
    resets = fraction * (1 - offline), fraction * offline
    return ResetMixture(own=1 - fraction, expert=resets[0], offline=resets[1])


def at_any_time(law: Float[np.ndarray, "steps states"]) -> Float[np.ndarray, "steps states"]:
    """The average over steps, at each step: resets to a state whenever it was visited."""
    return np.broadcast_to(law.mean(0), law.shape)


def concentrability(
    expert: Float[np.ndarray, "steps states"], law: Float[np.ndarray, "steps states"]
) -> float:
    """C = max_h,s of expert_h(s) / rho_h(s): what the bound is multiplied by for resets to rho.

    Infinite where the expert visits a state that rho doesn't have.
    """
    visited = expert > 0
    with np.errstate(divide="ignore"):
        return float((expert[visited] / law[visited]).max())


# ---------------------------------------------------------------------------------- local search


def psdp(
    mdp: FiniteMDP,
    reward: Float[np.ndarray, "states actions"],
    learner: PolicyClass,
    law: Float[np.ndarray, "steps states"],
    before: Float[np.ndarray, "steps observations moves"],
) -> Float[np.ndarray, "steps observations moves"]:
    """Policy search by dynamic programming: each step's decisions, the last step's first.

    Args:
        reward: f.
        law: rho_h, where the decisions of step h are practised.
        before: the decisions that stay where nothing is practised.

    Source: Bagnell et al., 2003.
    """
    decisions, later = before.copy(), np.zeros(len(mdp.start))
    for h in reversed(range(mdp.horizon)):
        q = reward + mdp.transitions @ later
        decisions[h] = learner.best(law[h][:, None] * q, law[h] > 0, before[h])
        later = (learner.policy(decisions[h]) * q).sum(1)
    return decisions


def completeness_error(
    mdp: FiniteMDP,
    learner: PolicyClass,
    policy: Float[np.ndarray, "steps states actions"],
    reward: Float[np.ndarray, "states actions"],
    law: Float[np.ndarray, "steps states"],
) -> float:
    """What the best one-step improver in the class loses to the best of all, per step, under rho.

    eps(pi, f) = mean over h of  E_rho_h max_a A_h(s, a)  -  max_{pi' in Pi} E_rho_h,pi' A_h(s, a)

    A_h is the advantage of `policy` for `reward`. The class is complete for every reward if eps is
    small for all its policies and all f; a game needs it for the pairs that it meets.
    """
    weights = law[..., None] * advantages(mdp, policy, reward)
    best_of_all = weights.max(-1).sum(-1)
    return float(np.mean(best_of_all - _best_improvement(learner, weights)))


def psdp_error(
    mdp: FiniteMDP,
    learner: PolicyClass,
    policy: Float[np.ndarray, "steps states actions"],
    reward: Float[np.ndarray, "states actions"],
    law: Float[np.ndarray, "steps states"],
) -> float:
    """What a one-step improver in the class still gains on the policy, per step, under rho.

    It is the mean over h of max_{pi' in Pi} E_rho_h,pi' A_h(s, a), and 0 after an exact `psdp`
    from rho.
    """
    weights = law[..., None] * advantages(mdp, policy, reward)
    return float(np.mean(_best_improvement(learner, weights)))


def _best_improvement(
    learner: PolicyClass, weights: Float[np.ndarray, "steps states actions"]
) -> Float[np.ndarray, " steps"]:
    return np.array([learner.scores(w).max(1).sum() for w in weights])


# ------------------------------------------------------------------------------------ the learners


def behaviour_cloning(
    learner: PolicyClass, expert: Float[np.ndarray, "steps states actions"]
) -> Float[np.ndarray, "steps observations moves"]:
    """In each observation the move that most often does what the expert does.

    Where the expert has never been, all moves are equally likely: no data say what to do. The
    policy is the same in all steps.

    Args:
        expert: d_h(s, a), exact or of a few episodes.
    """
    steps, pairs = len(expert), expert.sum(0)
    undecided = learner.undecided(1)[0]
    return np.repeat(learner.best(pairs, pairs.sum(1) > 0, undecided)[None], steps, axis=0)


@dataclass(frozen=True)
class Game:
    """What the two players did in each round.

    The guarantee is for the mixture of all rounds' policies; `best` is one policy.
    """

    decisions: Float[np.ndarray, "rounds steps observations moves"]
    rewards: Float[np.ndarray, "rounds states actions"]
    """The f that each round's decisions maximize."""
    gaps: Float[np.ndarray, " rounds"]
    """`largest_gap` of each round's policy."""

    @property
    def best(self) -> Float[np.ndarray, "steps observations moves"]:
        """The decisions with the smallest gap, which no reward but the game's has chosen."""
        return self.decisions[self.gaps.argmin()]


def imitate(
    mdp: FiniteMDP,
    learner: PolicyClass,
    expert: Float[np.ndarray, "steps states actions"],
    offline: Float[np.ndarray, "steps states actions"],
    mixture: ResetMixture,
    *,
    rounds: int,
    rate: float = 1.0,
    first: Float[np.ndarray, "steps observations moves"] | None = None,
    practice: int | None = None,
    seed: int = 0,
) -> Game:
    """Inverse RL: MM, FILTER, HyPE or GUITAR, by their mixture of resets.

    Resets are `at_any_time`. With the law itself (no `practice`) only its support matters to a
    learner that sees the states: a rare state is practised as well as a frequent one, and a walk at
    random explores for nothing.

    Args:
        expert, offline: d_h(s, a), exact or of a few episodes.
        rounds: n, at least 1.
        rate: of the reward player.
        first: the decisions to begin with, such as those of `behaviour_cloning`; all moves equally
            often unless given.
        practice: number of states that are drawn from rho in each step of a search. Without one
            the law itself is used, so that a state counts however rare it is.
        seed: draws the states.

    Raises:
        ConfigError: rounds or practice is below 1.
    """
    check(rounds >= 1, f"rounds must be at least 1, got {rounds}")
    check(practice is None or practice >= 1, f"practice must be at least 1, got {practice}")
    rng = np.random.default_rng(seed)
    taught = expert.mean(0)
    laws = at_any_time(expert.sum(-1)), at_any_time(offline.sum(-1))
    decisions = learner.undecided(mdp.horizon) if first is None else first
    reward = np.zeros(taught.shape)
    own = occupancies(mdp, learner.policy(decisions))
    all_decisions, rewards, gaps = [], [], []
    for _ in range(rounds):
        reward = reward_step(reward, taught, own.mean(0), rate)
        law = mixture.law(at_any_time(own.sum(-1)), *laws)
        if practice is not None:
            law = rng.multinomial(practice, law / law.sum(1, keepdims=True)) / practice
        decisions = psdp(mdp, reward, learner, law, decisions)
        own = occupancies(mdp, learner.policy(decisions))
        all_decisions.append(decisions)
        rewards.append(reward)
        gaps.append(largest_gap(expert, own))
    return Game(np.stack(all_decisions), np.stack(rewards), np.array(gaps))
