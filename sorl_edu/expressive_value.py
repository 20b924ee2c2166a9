"""Lesson 8, expressive values: learn the law of the reward-to-go, and decide later how to read it.

A mean forgets: a road that pays 1/2 for certain, and one that pays 1 every other time, are worth
the same to a critic. Here a flow (lesson 1) learns the whole law of the discounted reward-to-go Z
of an action under the policy pi_0 that clones the data, by temporal differences (lesson 3):

    a' ~ pi_0(. | o'),  z_0' ~ N(0, 1)
    z'  = ODE_u'(z_0' | o', a')                      # midpoint steps of the target network
    y   = (1 - gamma) r + gamma^k mask z'            # no gradient through y
    z_t = (1 - t) z_0 + t y,  z_0 ~ N(0, 1),  t ~ U[0, 1)
    descend | u(z_t, t | o, a) - (y - z_0) |^2
    u' <- moving average of u

Z depends on pi_0 alone, and not on how greedy one wants to be. So one flow serves every temperature
at test time: N_R returns of each of N candidates are read out, and a candidate is chosen,

    Q(o, a) = tau_R ln mean_i exp(z^(i) / tau_R)     # tau_R = inf: the mean; 0: the largest
    a = a^(n),  n ~ softmax_n Q(o, a^(n)) / tau_Q    # tau_Q = 0: the best of N; inf: pi_0

**Unit scale.** The flow learns (1 - gamma) times the return, which lies in the range of a single
reward. So both temperatures have a size that means the same for every gamma. The noise has
deviation 1: where the law is far narrower, divide rewards by about its width first (and multiply
returns by it), as EVOR does by `return_noise`. A small network loses what is far narrower than the
noise; the velocity form, with noise ten times too wide, learned a law without any width.

**Where the formula holds.** Q is the soft optimal value with KL price tau_R where transitions are
deterministic. Luck is not a choice: where rewards or transitions are random, the log-mean-exp
prefers the more random of two actions with equal means. And with discounting, it is the value of
the problem that restarts at the present observation, in which rewards are discounted and the KL
divergence is not.

**Certain, and reconstructed.** EVOR's abstract and public reviews are certain of this: the base
policy by flow matching, the law of the reward-to-go by flow matching and TD, a read-out by
log-sum-exp, rejection sampling, and N, tau_R and tau_Q as knobs of test time. Its paper's body and
code could not be read. The form of the loss, the unit scale, the return noise and the bounds are a
reconstruction by this course. So is the velocity form, which keeps the noise at t = 0 as it is.

Sources: Espinosa-Dice, Brantley and Sun, EVOR: Expressive Value Learning for Scalable Offline RL,
2025, arXiv 2510.08218; Zhou et al., Q#, 2025, arXiv 2502.20548 (the read-out); Farebrother et al.,
Temporal Difference Flows, 2025, arXiv 2503.09817 (the three losses, for future states); Dong et
al., Value Flows, 2025, arXiv 2510.07650 (the same for returns).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.errors import check
from sorl_edu.flow_matching import (
    MAX_UNROLL,
    Field,
    euler_step,
    interpolate,
    uniform_times,
    velocity_target,
)
from sorl_edu.inference import Value
from sorl_edu.temporal_difference import Batch

# u(z_t, t | o, a) as field(obs, action, z_t, t): (batch, obs), (batch, action), (batch, 1) and
# (batch, 1) to a velocity (batch, 1).
ReturnField = Callable[[Array, Array, Array, Array], Array]

# The least and the largest return on the unit scale: shape (2,).
Bounds = Float[Array, "2"]

Bootstrap = Literal["samples", "coupled", "velocities"]


def of_actions(field: ReturnField, actions: Float[Array, "batch action"]) -> Field:
    """The field of lesson 1 that carries noise to returns of these actions."""
    return lambda obs, z_t, t: field(obs, actions, z_t, t)


def carry(
    field: Field,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "batch 1"],
    steps: int,
    until: float | Float[Array, "batch 1"] = 1.0,
) -> Float[Array, "batch 1"]:
    """Carries noise z_0 to z_t at the time `until`, in equal steps of the midpoint method.

        z_{t + h} = z_t + h u(z_t + h/2 u(z_t, t), t + h/2)

    Euler's method (lesson 1) ends too narrow: 8 of its steps make N(0, 0.85^2) of N(0, 1) with the
    field of independent noise and data. TD repeats that error at each of 1 / (1 - gamma) steps. For
    the same two evaluations, a midpoint step has an error of a higher order.
    """

    def step(z: Array, i: Array) -> tuple[Array, None]:
        t, h = until * i / steps, until / steps
        half = euler_step(field, obs, z, t, h / 2)
        velocity = field(obs, half, (t + h / 2) * jnp.ones_like(z))
        return z + h * velocity, None

    return jax.lax.scan(step, noise, jnp.arange(steps), unroll=min(steps, MAX_UNROLL))[0]


# --------------------------------------------------------------------------- learning the law of Z


def return_bounds(
    rewards: Float[Array, " rows"], discount: float, n_step: int = 1
) -> Float[Array, "2"]:
    """The least and the largest return on the unit scale that rewards of a dataset allow.

    Every n steps bring a reward of at least min r, or 0 after the end of the task:

        (1 - gamma) Z >= min(r, 0) (1 - gamma) (1 + gamma^n + gamma^2n + ...)

    Args:
        rewards: sums of up to n discounted rewards.
        discount: gamma, in [0, 1).
        n_step: n.
    """
    extremes = jnp.stack([jnp.minimum(rewards.min(), 0), jnp.maximum(rewards.max(), 0)])
    return extremes * (1 - discount) / (1 - discount**n_step)


def bootstrapped_return(
    target_field: ReturnField,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    noise: Float[Array, "batch 1"],
    *,
    discount: float,
    steps: int,
    bounds: Bounds | None = None,
) -> Float[Array, "batch 1"]:
    """y = (1 - gamma) r + gamma^k mask z', one draw of the return of (o, a), without gradient.

    Args:
        target_field: u'.
        batch: transitions; `rewards` sums `horizons` = k discounted rewards.
        next_actions: a' ~ pi_0(. | o').
        noise: z_0', which is carried to z'.
        discount: gamma per transition, in [0, 1).
        steps: midpoint steps.
        bounds: limits for z'; none unless given.

    Source: the distributional Bellman equation (Bellemare et al., 2017, arXiv 1707.06887), on the
    unit scale.
    """
    field = of_actions(target_field, next_actions)
    z_next = carry(field, batch.next_observations, noise, steps)
    reward, shrink = bellman(batch, discount)
    return jax.lax.stop_gradient(reward + shrink * _limited(z_next, bounds))


def bootstrapped_velocity(
    target_field: ReturnField,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    noise: Float[Array, "batch 1"],
    t: Float[Array, "batch 1"],
    *,
    discount: float,
    steps: int,
) -> tuple[Float[Array, "batch 1"], Float[Array, "batch 1"]]:
    """A point on the way to a return, and the target network's velocity there, without gradient.

    With g = gamma^k mask, the way of z' from the noise z_0' is pushed through the Bellman equation
    by as much as the time has gone:

        z_t  = t (1 - gamma) r + (1 - t + t g) z_t'         # z_0 = z_0',  z_1 = y
        dz_t = (1 - gamma) r - (1 - g) z_t' + (1 - t + t g) u'(z_t', t | o', a')

    Value Flows has z_t = r + g z_t' with the velocity u', a way that does not begin at N(0, 1). At
    mask = 0 this is the straight way of lesson 1.

    Args:
        target_field, batch, next_actions, noise, discount, steps: as for `bootstrapped_return`.
        t: times, at which the target network's flow from the noise is stopped.

    Returns:
        z_t, and dz_t / dt.

    Source: a reconstruction after arXiv 2503.09817 (TD^2) and 2510.07650 (DCFM). Xu et al.,
    Path-Coupled Bellman Flows, 2026 (PMLR 306), also keep both ends of the way.
    """
    field, obs = of_actions(target_field, next_actions), batch.next_observations
    z_next = carry(field, obs, noise, steps, t)
    reward, shrink = bellman(batch, discount)
    pushed = 1 - t + t * shrink
    velocity = reward - (1 - shrink) * z_next + pushed * field(obs, z_next, t)
    return jax.lax.stop_gradient((t * reward + pushed * z_next, velocity))


def td_flow_loss(
    field: ReturnField,
    target_field: ReturnField,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    *,
    discount: float,
    steps: int,
    bootstrap: Bootstrap = "samples",
    bounds: Bounds | None = None,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """TD flow matching: the mean of |u(z_t, t | o, a) - target|^2 over the batch, t ~ U[0, 1).

    Three forms have the same solution, and less and less noise in their gradient:

        samples      z_0 and z_0' are independent: flow matching (lesson 1) of bootstrapped returns
        coupled      z_0 = z_0': the flows of (o, a) and of (o', a') start from the same noise
        velocities   the target is a velocity of u' (see `bootstrapped_velocity`)

    Args:
        field: u, which learns; or an ensemble of them, with velocities (ensemble, batch, 1).
        target_field: u', the moving average of u, or of an ensemble's mean, that makes the target.
        batch: transitions; `rewards` sums `horizons` = k discounted rewards.
        next_actions: a' ~ pi_0(. | o').
        key: draws noise and times.
        discount: gamma per transition, in [0, 1).
        steps: midpoint steps of u'.
        bootstrap: the form.
        bounds: limits for bootstrapped returns; velocities have none.

    Returns:
        the loss, and the metric return_loss.

    Raises:
        ConfigError: there is no such form.

    Source: arXiv 2503.09817 (TD-CFM, coupled TD-CFM, TD^2-CFM); which of them EVOR has is unknown.
    """
    check(
        bootstrap in ("samples", "coupled", "velocities"),
        f"bootstrap must be 'samples', 'coupled' or 'velocities', got {bootstrap!r}",
    )
    noise_key, next_key, time_key = jax.random.split(key, 3)
    noise = jax.random.normal(noise_key, (len(batch.rewards), 1))
    t = uniform_times(time_key, len(noise))
    options = {"discount": discount, "steps": steps}
    if bootstrap == "velocities":
        z_t, target = bootstrapped_velocity(target_field, batch, next_actions, noise, t, **options)
    else:
        coupled = bootstrap == "coupled"
        next_noise = noise if coupled else jax.random.normal(next_key, noise.shape)
        y = bootstrapped_return(
            target_field, batch, next_actions, next_noise, bounds=bounds, **options
        )
        z_t, target = interpolate(noise, y, t), velocity_target(noise, y)
    loss = jnp.mean((field(batch.observations, batch.actions, z_t, t) - target) ** 2)
    return loss, {"return_loss": loss}


def bellman(
    batch: Batch, discount: float
) -> tuple[Float[Array, "batch 1"], Float[Array, "batch 1"]]:
    """(1 - gamma) r and g = gamma^k mask: y = (1 - gamma) r + g z'."""
    bootstrap = discount**batch.horizons * batch.masks
    return (1 - discount) * batch.rewards[:, None], bootstrap[:, None]


def _limited(returns: Array, bounds: Bounds | None) -> Array:
    return returns if bounds is None else jnp.clip(returns, bounds[0], bounds[1])


# ------------------------------------------------------------------------- reading what is learned


def normal_quantiles(count: int) -> Float[Array, " count"]:
    """The middles of `count` equally probable parts of N(0, 1), in rising order.

    As return noise they stand for `count` independent draws, without their chance: the flow of a
    single number keeps the order, so that the returns are middles of equally probable parts, too.
    """
    return ndtri((jnp.arange(count) + 0.5) / count)


def sample_returns(
    field: ReturnField,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    noise: Float[Array, " samples"],
    steps: int,
    bounds: Bounds | None = None,
) -> Float[Array, "samples batch"]:
    """z^(1) ... z^(N_R) ~ Z(o, a), on the unit scale, of the same noise for every (o, a).

    Shared noise leaves less chance in the order of candidates: what differs is their law alone.

    Args:
        field: u.
        obs: o.
        actions: a.
        noise: z_0 of each sample: draws of N(0, 1), or `normal_quantiles`.
        steps: midpoint steps.
        bounds: limits for the returns; none unless given.
    """
    own = of_actions(field, actions)
    starts = jnp.broadcast_to(noise[:, None, None], (len(noise), len(obs), 1))
    returns = jax.vmap(lambda z_0: carry(own, obs, z_0, steps))(starts)
    return _limited(returns[..., 0], bounds)


def log_mean_exp(
    returns: Float[Array, "samples *batch"], temperature: float
) -> Float[Array, "*batch"]:
    """The read-out Q = tau_R ln mean_i exp(z^(i) / tau_R): the mean at inf, the largest at 0.

    It rises as tau_R falls. For Z ~ N(m, v) it estimates m + v / (2 tau_R). From N_R independent
    samples its bias is about - tau_R c^2 / (2 N_R), where c is the deviation of exp(Z / tau_R) over
    its mean: when tau_R is far below the deviation of Z, no number of samples that one can pay is
    enough, and the read-out is the largest of them, with its noise.

    Args:
        returns: z^(i), one along each first index.
        temperature: tau_R, in [0, inf].

    Raises:
        ConfigError: the temperature is negative, or NaN.

    Source: arXiv 2502.20548 (Q#), theorem 2.2, as EVOR's reviews quote it.
    """
    check(temperature >= 0, f"a temperature must be in [0, inf], got {temperature}")
    largest = returns.max(0)
    if temperature == 0:
        return largest
    if math.isinf(temperature):
        return returns.mean(0)
    # Exact at both ends: no exponent is positive, and expm1 keeps what is far below 1.
    below = jnp.expm1((returns - largest) / temperature)
    return largest + temperature * jnp.log1p(below.mean(0))


def expressive_value(
    field: ReturnField,
    noise: Float[Array, " samples"],
    *,
    steps: int,
    temperature: float,
    bounds: Bounds | None = None,
) -> Value:
    """V(o, a) for `inference.propose` (lesson 5): the read-out of Z(o, a), on the unit scale.

    All candidates have the same return noise. `inference.choose_softly` chooses among them at
    tau_Q: with N candidates of pi_0 that is sampling-importance-resampling, whose law tends to
    pi_0(a | o) exp(V(o, a) / tau_Q) / normaliser as N grows.

    Args:
        field, noise, steps, bounds: as for `sample_returns`.
        temperature: tau_R, as for `log_mean_exp`.
    """

    def value(obs: Array, actions: Array) -> Array:
        returns = sample_returns(field, obs, actions, noise, steps, bounds)
        return log_mean_exp(returns, temperature)

    return value
