"""Lesson 1, flow matching: learn a velocity field that carries noise to data.

Time runs from noise (t = 0) to data (t = 1). Every data point a_1 is joined to a noise sample a_0
by a nearly straight path; the field learns the average velocity of the paths through a point:

    repeat:
        a_1 ~ data,  a_0 ~ N(0, I),  t ~ p(t)
        a_t = (1 - (1 - eps) t) a_0 + t a_1         # on the path
        u   = a_1 - (1 - eps) a_0                   # its velocity
        descend | v(a_t, t | o) - u |^2

To sample, follow the learned velocity from noise in m Euler steps.

Source: Lipman et al., Flow Matching for Generative Modeling, 2023, arXiv 2210.02747 (eq. 20-23);
eps is their sigma_min.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# v(a_t, t | o) as field(obs, a_t, t): (batch, obs), (batch, action), (batch, 1) to a velocity
# (batch, action).
Field = Callable[[Array, Array, Array], Array]

# p(t) as times(key, batch) to (batch, 1) in [0, 1].
Times = Callable[[PRNGKeyArray, int], Array]

EPSILON = 1e-5
MAX_UNROLL = 8  # Euler steps compiled without a loop, whose overhead small networks feel


def interpolate(
    noise: Float[Array, "*batch action"],
    actions: Float[Array, "*batch action"],
    t: Float[Array, "*batch 1"],
    epsilon: float = EPSILON,
) -> Float[Array, "*batch action"]:
    """The probability path a_t = (1 - (1 - eps) t) a_0 + t a_1 (arXiv 2210.02747, eq. 22)."""
    return (1 - (1 - epsilon) * t) * noise + t * actions


def velocity_target(
    noise: Float[Array, "*batch action"],
    actions: Float[Array, "*batch action"],
    epsilon: float = EPSILON,
) -> Float[Array, "*batch action"]:
    """The path's velocity u = d a_t / dt = a_1 - (1 - eps) a_0 (arXiv 2210.02747, eq. 23)."""
    return actions - (1 - epsilon) * noise


def uniform_times(key: PRNGKeyArray, batch: int) -> Float[Array, "batch 1"]:
    """t ~ U[0, 1): for a field that will be integrated with any number of steps."""
    return jax.random.uniform(key, (batch, 1))


def grid_times(steps: int) -> Times:
    """t ~ U{0, 1/m, ..., (m-1)/m}: the only times that m Euler steps visit."""

    def times(key: PRNGKeyArray, batch: int) -> Float[Array, "batch 1"]:
        return jax.random.randint(key, (batch, 1), 0, steps) / steps

    return times


def flow_matching_loss(
    field: Field,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    *,
    times: Times = uniform_times,
    epsilon: float = EPSILON,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Conditional flow matching loss, the mean of |v(a_t, t | o) - u|^2 over batch and action.

    Args:
        field: v, called with t of shape (batch, 1).
        obs: o, what the field is conditioned on.
        actions: a_1, the data.
        key: draws the noise a_0 and the times t.
        times: p(t), from which t is drawn.
        epsilon: standard deviation of the path around a data point at t = 1.

    Returns:
        the loss, and the metric flow_loss.

    Source: arXiv 2210.02747, eq. 23; in SORL, L_FM of arXiv 2505.22866.
    """
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, actions.shape)
    t = times(time_key, len(actions))
    a_t = interpolate(noise, actions, t, epsilon)
    u = velocity_target(noise, actions, epsilon)
    loss = jnp.mean((field(obs, a_t, t) - u) ** 2)
    return loss, {"flow_loss": loss}


def euler_step(
    field: Field,
    obs: Float[Array, "batch obs"],
    a_t: Float[Array, "batch action"],
    t: float | Array,
    step: float | Array,
) -> Float[Array, "batch action"]:
    """One Euler step, a_{t + step} = a_t + step * v(a_t, t | o), with one t for the batch."""
    return a_t + step * field(obs, a_t, t * jnp.ones((len(a_t), 1)))


def integrate(
    field: Field,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "batch action"],
    steps: int,
) -> Float[Array, "batch action"]:
    """Carries noise a_0 (t = 0) to data a_1 (t = 1) in m equal Euler steps, m at least 1."""

    def step(a_t: Array, i: Array) -> tuple[Array, None]:
        return euler_step(field, obs, a_t, i / steps, 1 / steps), None

    return jax.lax.scan(step, noise, jnp.arange(steps), unroll=min(steps, MAX_UNROLL))[0]


def integrate_path(
    field: Field,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "batch action"],
    steps: int,
) -> Float[Array, "knots batch action"]:
    """As `integrate`, with what lies between: a_0, a_{1/m}, ..., a_1, which is (m + 1, ...)."""

    def step(a_t: Array, i: Array) -> tuple[Array, Array]:
        a_next = euler_step(field, obs, a_t, i / steps, 1 / steps)
        return a_next, a_next

    visited = jax.lax.scan(step, noise, jnp.arange(steps), unroll=min(steps, MAX_UNROLL))[1]
    return jnp.concatenate([noise[None], visited])
