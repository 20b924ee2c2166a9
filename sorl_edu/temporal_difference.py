"""Lesson 3, temporal differences: learn what an action is worth from a fixed dataset.

The critic Q(o, a) estimates the discounted return of taking action a and then following the policy.
It learns from its own estimate one transition (or k transitions) later:

    a' ~ pi(. | o')
    y  = r + gamma^k * mask * agg_i Q'_i(o', a')         # no gradient through y
    descend sum over the ensemble of | Q_i(o, a) - y |^2
    Q' <- (1 - tau) Q' + tau Q

mask is 0 where the task ends, so that nothing is expected after it; at a mere time limit it is 1.

Sources: Sutton and Barto, Reinforcement Learning, 2nd ed., eq. 6.5 (TD) and 7.1 (n-step returns);
Lillicrap et al., 2015, arXiv 1509.02971 (target networks); Fujimoto et al., 2018,
arXiv 1802.09477 (the minimum of two critics against overestimation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from sorl_edu.errors import check

# Q(o, a) as critic(obs, action): (batch, obs), (batch, action) to values (ensemble, batch).
Critic = Callable[[Array, Array], Array]

Aggregation = Literal["mean", "min"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """Transitions (o, a, r, mask, o') that a loss sees; with n-step returns, r sums k rewards."""

    observations: Float[Array, "batch obs"]
    actions: Float[Array, "batch action"]
    rewards: Float[Array, " batch"]
    masks: Float[Array, " batch"]  # 0 where o' must not be bootstrapped from, else 1
    horizons: Float[Array, " batch"]  # k, the number of transitions from o to o'
    next_observations: Float[Array, "batch obs"]
    next_actions: Float[Array, "batch action"] | None = None
    """The data's action at o', where there is one."""
    next_acted: Float[Array, " batch"] | None = None
    """1 where the data act at o', 0 where o' is the last state of a trajectory."""


def aggregate(values: Float[Array, "ensemble *batch"], how: Aggregation) -> Float[Array, "*batch"]:
    """One value from an ensemble's: "mean", or "min" to lean against overestimation."""
    check_aggregation(how)
    return values.mean(0) if how == "mean" else values.min(0)


def check_aggregation(how: str) -> None:
    """Raises ConfigError unless an ensemble can be aggregated so."""
    check(how in ("mean", "min"), f"aggregation must be 'mean' or 'min', got {how!r}")


def check_critic_settings(discount: float, tau: float, aggregation: str) -> None:
    """Raises ConfigError for settings with which TD learning is not defined."""
    check(0 <= discount <= 1, f"discount must be in [0, 1], got {discount}")
    check(0 < tau <= 1, f"tau must be in (0, 1], got {tau}")
    check_aggregation(aggregation)


def td_target(
    target_critic: Critic,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    *,
    discount: float,
    aggregation: Aggregation = "mean",
) -> Float[Array, " batch"]:
    """y = r + gamma^k * mask * agg_i Q'_i(o', a'), a constant for every gradient.

    Args:
        target_critic: Q'.
        batch: transitions; `rewards` sums `horizons` = k discounted rewards.
        next_actions: a' ~ pi(. | o').
        discount: gamma per transition, in [0, 1].
        aggregation: agg, over the ensemble.

    Source: Sutton and Barto, eq. 6.5; the n-step form, eq. 7.1.
    """
    next_q = aggregate(target_critic(batch.next_observations, next_actions), aggregation)
    bootstrap = discount**batch.horizons * batch.masks
    return jax.lax.stop_gradient(batch.rewards + bootstrap * next_q)


def td_loss(
    critic: Critic, batch: Batch, target: Float[Array, " batch"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of |Q_i(o, a) - y|^2 over ensemble and batch.

    Returns:
        the loss, and the metrics critic_loss, q_data (mean Q of the batch) and target_mean.
    """
    q = critic(batch.observations, batch.actions)
    loss = jnp.mean((q - target) ** 2)
    return loss, {"critic_loss": loss, "q_data": q.mean(), "target_mean": target.mean()}


def q_loss(
    critic: Critic, obs: Float[Array, "batch obs"], actions: Float[Array, "batch action"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """L_Q = -mean Q(o, a) / mean |Q|, which a policy descends whose actions `actions` are.

    Q is the mean of the ensemble. Its size, mean |Q|, is a constant for every gradient; it lets the
    loss's weight mean the same whatever the rewards' scale.

    Returns:
        the loss, and the metrics q_loss and q_policy (mean Q).

    Source: L_Q of SORL, arXiv 2505.22866, normalised as in TD3+BC, arXiv 2106.06860.
    """
    q = critic(obs, actions).mean(0)
    loss = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())
    return loss, {"q_loss": loss, "q_policy": q.mean()}


def n_step_returns(
    rewards: Float[Array, " rows"],
    masks: Float[Array, " rows"],
    last: Bool[Array, " rows"],
    n: int,
    discount: float,
) -> tuple[Float[Array, " rows"], Float[Array, " rows"], Int[Array, " rows"]]:
    """The n-step return of every row of trajectories that lie one after the other.

    Row i sums k rewards, r_i + gamma r_{i+1} + ... + gamma^{k-1} r_{i+k-1}, where k <= n is cut
    short by the first mask 0 (the task ends there, though OGBench's trajectories run on) and by the
    trajectory's end. A trajectory that ends without success (a time limit) bootstraps.

    Args:
        rewards, masks: those of single transitions.
        last: the rows that hold the last state of their trajectory, where no transition starts.
        n: at least 1.
        discount: gamma.

    Returns:
        the returns; the mask of each, that of transition i+k-1; and its horizon k: the next state
        is that of row i+k. In a row that is `last`, k = 0.

    Raises:
        ConfigError: n is below 1.

    Source: Sutton and Barto, eq. 7.1.
    """
    check(n >= 1, f"n_step must be at least 1, got {n}")
    rows = jnp.arange(len(last))
    alive = ~last
    returns, final_masks = jnp.zeros_like(rewards), masks
    horizons = jnp.zeros(len(last), jnp.int32)
    for k in range(n):
        row = jnp.minimum(rows + k, len(rows) - 1)
        alive = alive & ~last[row]
        returns = returns + jnp.where(alive, discount**k * rewards[row], 0)
        final_masks = jnp.where(alive, masks[row], final_masks)
        horizons = horizons + alive
        alive = alive & (masks[row] > 0)
    return returns, final_masks, horizons


def polyak_average(target: PyTree, online: PyTree, tau: float) -> PyTree:
    """Moves target parameters a fraction tau of the way to the online ones (arXiv 1509.02971)."""
    return jax.tree.map(lambda old, new: old + tau * (new - old), target, online)
