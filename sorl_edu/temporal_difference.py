"""Lesson 3, temporal differences: learn what an action is worth from a fixed dataset.

The critic Q(o, a, m) estimates the discounted return of taking action a and then following the
m-step policy. It learns from its own estimate one transition (or k transitions) later:

    a' ~ pi(. | o', m)
    y  = r + gamma^k * mask * agg_i Q'_i(o', a', m)      # no gradient through y
    descend sum over the ensemble of | Q_i(o, a, m) - y |^2
    Q' <- (1 - tau) Q' + tau Q

mask is 0 where the task ends, so that nothing is expected after it; at a mere time limit it is 1.

Sources: Sutton and Barto, Reinforcement Learning, 2nd ed., eq. 6.5 (TD) and 7.1 (n-step returns);
Lillicrap et al., 2015, arXiv 1509.02971 (target networks); Fujimoto et al., 2018,
arXiv 1802.09477 (the minimum of two critics against overestimation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from sorl_edu.datasets.transitions import Batch, Transitions
from sorl_edu.errors import check

# Q(o, a, m) as critic(obs, action, steps): (batch, obs), (batch, action), (batch, 1), where steps
# is the number of inference steps m of the policy, to values (ensemble, batch).
Critic = Callable[[Array, Array, Array], Array]

Aggregation = Literal["mean", "min"]


def aggregate(values: Float[Array, "ensemble *batch"], how: Aggregation) -> Float[Array, "*batch"]:
    """One value from an ensemble's: "mean", or "min" to lean against overestimation."""
    check(how in ("mean", "min"), f"aggregation must be 'mean' or 'min', got {how!r}")
    return values.mean(0) if how == "mean" else values.min(0)


def steps_column(steps: int | Array, batch: int) -> Float[Array, "batch 1"]:
    """m for every row, as a critic takes it."""
    return jnp.full((batch, 1), steps, jnp.float32)


def td_target(
    target_critic: Critic,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    steps: Float[Array, "batch 1"],
    *,
    discount: float,
    aggregation: Aggregation = "mean",
) -> Float[Array, " batch"]:
    """y = r + gamma^k * mask * agg_i Q'_i(o', a', m), a constant for every gradient.

    Args:
        target_critic: Q'.
        batch: transitions; `rewards` sums `horizons` = k discounted rewards.
        next_actions: a' ~ pi(. | o', m).
        steps: m.
        discount: gamma per transition, in [0, 1].
        aggregation: agg, over the ensemble.

    Source: Sutton and Barto, eq. 6.5; the n-step form, eq. 7.1.
    """
    next_q = aggregate(target_critic(batch.next_observations, next_actions, steps), aggregation)
    bootstrap = discount**batch.horizons * batch.masks
    return jax.lax.stop_gradient(batch.rewards + bootstrap * next_q)


def td_loss(
    critic: Critic,
    batch: Batch,
    target: Float[Array, " batch"],
    steps: Float[Array, "batch 1"],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of |Q_i(o, a, m) - y|^2 over ensemble and batch, and metrics."""
    q = critic(batch.observations, batch.actions, steps)
    loss = jnp.mean((q - target) ** 2)
    return loss, {"critic_loss": loss, "q_data": q.mean(), "target_mean": target.mean()}


def n_step_returns(data: Transitions, n: int, discount: float) -> Transitions:
    """The dataset with n-step returns in place of single rewards.

    Row i then sums k rewards, r_i + gamma r_{i+1} + ... + gamma^{k-1} r_{i+k-1}, where k <= n is
    cut short by the first mask 0 (the task ends there, though OGBench's trajectories run on) and by
    the trajectory's end; its mask is that of transition i+k-1, and its next state is that of row
    i+k. A trajectory that ends without success (a time limit) bootstraps.

    Raises:
        ConfigError: n is below 1.

    Source: Sutton and Barto, eq. 7.1.
    """
    check(n >= 1, f"n_step must be at least 1, got {n}")
    rows = jnp.arange(len(data.last))
    alive = ~data.last
    returns = jnp.zeros_like(data.rewards)
    masks = data.masks
    horizons = jnp.zeros_like(data.horizons)
    for k in range(n):
        row = jnp.minimum(rows + k, len(rows) - 1)
        alive = alive & ~data.last[row]
        returns = returns + jnp.where(alive, discount**k * data.rewards[row], 0)
        masks = jnp.where(alive, data.masks[row], masks)
        horizons = horizons + alive
        alive = alive & (data.masks[row] > 0)
    return data.replace(rewards=returns, masks=masks, horizons=horizons)


def polyak_average(target: PyTree, online: PyTree, tau: float) -> PyTree:
    """Moves target parameters a fraction tau of the way to the online ones (arXiv 1509.02971)."""
    return jax.tree.map(lambda old, new: old + tau * (new - old), target, online)
