"""Lesson 7, policy extraction: four answers to "which action?", from the same data and critic.

    weighted regression    imitate the data, good actions more                IQL, FAWAC
    gradients              climb Q, and stay near the data                    ReBRAC, FBRAC, CAC,
                                                                              FQL, SORL
    choosing               imitate the data, draw N, keep the best            IDQL, IFQL, BFN
    pulling a score        climb Q, and the density of the data               SRPO

Two more parts serve several of them. A value function of the data's better actions needs no action
of a policy (IQL):

    V(o)  <-  the k-expectile of Q(o, a) over the data's a,   y = r + gamma^k mask V(o')

and a flow can be distilled into a policy of one step, from the same noise (FQL):

    descend | mu(o, z) - ODE(o, z) |^2

Sources: Kostrikov et al., Offline RL with Implicit Q-Learning, 2021, arXiv 2110.06169 (expectiles
and weighted regression); Tarasov et al., ReBRAC, 2023, arXiv 2305.09836 (penalties); Park et al.,
Flow Q-Learning, 2025, arXiv 2502.02538 (distillation); Chen et al., SRPO, 2023, arXiv 2310.07297
(scores).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sorl_edu.temporal_difference import Batch

# ---------------------------------------------------------------- values without an action of ours


def expectile_loss(
    values: Float[Array, " batch"], q: Float[Array, " batch"], expectile: float
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of |k - 1(u < 0)| u^2 with u = Q - V: least where V is the k-expectile of Q.

    At k = 1/2 that is the mean; as k approaches 1, the largest Q among the data's actions.

    Args:
        values: V(o), which learns.
        q: Q(o, a) of the data's actions, a constant for every gradient.
        expectile: k, in (0, 1).

    Returns:
        the loss, and the metrics value_loss and v_data (mean V of the batch).

    Source: arXiv 2110.06169, eq. 5.
    """
    u = jax.lax.stop_gradient(q) - values
    loss = jnp.mean(jnp.where(u < 0, 1 - expectile, expectile) * u**2)
    return loss, {"value_loss": loss, "v_data": values.mean()}


def expectile_target(
    batch: Batch, next_values: Float[Array, " batch"], *, discount: float
) -> Float[Array, " batch"]:
    """y = r + gamma^k * mask * V(o'), a constant for every gradient (arXiv 2110.06169, eq. 6)."""
    bootstrap = discount**batch.horizons * batch.masks
    return jax.lax.stop_gradient(batch.rewards + bootstrap * next_values)


# ------------------------------------------------------------------------------ weighted regression


def advantage_weights(
    advantages: Float[Array, " batch"], inverse_temperature: float, largest: float = 100.0
) -> Float[Array, " batch"]:
    """min(exp(alpha A), largest): how much an action of the data counts when it is imitated.

    At alpha = 0 all count alike, which is behaviour cloning. The weights are constants for every
    gradient.

    Args:
        advantages: A(o, a) = Q(o, a) - V(o) of the data's actions.
        inverse_temperature: alpha, at least 0.
        largest: the largest weight, which keeps a few actions from taking the whole batch.

    Source: arXiv 2110.06169, eq. 7; Peng et al., Advantage-Weighted Regression, 2019,
    arXiv 1910.00177.
    """
    weights = jnp.exp(jnp.minimum(inverse_temperature * advantages, jnp.log(largest)))
    return jax.lax.stop_gradient(weights)


def weighted_regression_loss(
    errors: Float[Array, " batch"], weights: Float[Array, " batch"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of w(o, a) times the error with which the policy imitates a.

    Args:
        errors: of a Gaussian policy |mu(o) - a|^2 / 2, which is -log pi(a | o) but for a constant;
            of a flow its squared error.
        weights: w(o, a), as `advantage_weights` gives them.

    Returns:
        the loss, and the metrics policy_loss and mean_weight.

    Source: arXiv 2110.06169, eq. 7.
    """
    loss = jnp.mean(weights * errors)
    return loss, {"policy_loss": loss, "mean_weight": weights.mean()}


# --------------------------------------------------------------------------------------- gradients


def squared_distance(
    actions: Float[Array, "batch action"], other: Float[Array, "batch action"]
) -> Float[Array, " batch"]:
    """|a - b|^2, summed over the action: ReBRAC's penalty (arXiv 2305.09836)."""
    return jnp.sum((actions - other) ** 2, axis=-1)


def distillation_loss(
    actions: Float[Array, "batch action"], taught: Float[Array, "batch action"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of |mu(o, z) - ODE(o, z)|^2 over batch and action; only mu learns.

    Args:
        actions: mu(o, z), of the policy of one step.
        taught: the flow's actions from *the same* noise z. With other noise, the loss would be
            least at the flow's mean action.

    Returns:
        the loss, and the metric distillation_loss.

    Source: arXiv 2502.02538, eq. 8.
    """
    loss = jnp.mean((actions - jax.lax.stop_gradient(taught)) ** 2)
    return loss, {"distillation_loss": loss}


# --------------------------------------------------------------------------------- pulling a score


def pulled(
    actions: Float[Array, "batch action"], direction: Float[Array, "batch action"]
) -> Float[Array, ""]:
    """Mean of direction . a, whose gradient with respect to an action is the direction itself.

    To descend it moves every action against its direction, whatever made that: SRPO's is the score
    of the data minus the slope of Q (arXiv 2310.07297, eq. 11).
    """
    return jnp.mean(jnp.sum(jax.lax.stop_gradient(direction) * actions, axis=-1))
