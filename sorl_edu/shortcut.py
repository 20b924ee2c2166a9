"""Lesson 2, shortcut models: a field that knows how far it will jump.

A flow's field knows only the velocity here and now, so it needs many small steps. A shortcut field
s(a_t, t, h | o) also sees the step size h, and learns the jump that two half-steps would make:

    at the smallest step, h = 1/M:  flow matching (lesson 1)
    at every larger step 2h:        descend | s(a_t, t, 2h) - (v1 + v2)/2 |^2   where
        v1 = s'(a_t, t, h),   a_{t+h} = a_t + h v1,   v2 = s'(a_{t+h}, t + h, h)

with s' an exponential moving average of s, through which no gradient flows. After training, 1, 2,
4, ... M steps all carry noise to (nearly) the same data. Steps are powers of two; level l = log2 m
stands for h = 1/m.

Sources: Frans et al., One Step Diffusion via Shortcut Models, 2024, arXiv 2410.12557 (eq. 3-5);
Espinosa-Dice et al., SORL, 2025, arXiv 2505.22866.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.errors import check, is_power_of_two
from sorl_edu.flow_matching import Field, euler_step, integrate, interpolate

# s(a_t, t, h | o) as shortcut(obs, a_t, t, h): a field that also takes h, (batch, 1).
Shortcut = Callable[[Array, Array, Array, Array], Array]


def check_denoise_steps(denoise_steps: int | np.integer) -> None:
    """Raises ConfigError unless M is a power of two, at least 2 (1 leaves nothing to shorten)."""
    check(
        is_power_of_two(denoise_steps) and denoise_steps >= 2,
        f"denoise_steps (M) must be a power of two and at least 2, got {denoise_steps}: "
        "self-consistency halves a step until it is 1/M",
    )


def check_backprop_steps(
    max_backprop_steps: int | np.integer, denoise_steps: int | np.integer
) -> None:
    """Raises ConfigError unless M_BTT is a power of two, at most M."""
    check(
        is_power_of_two(max_backprop_steps) and max_backprop_steps <= denoise_steps,
        f"max_backprop_steps (M_BTT) must be a power of two and at most denoise_steps (M = "
        f"{denoise_steps}), got {max_backprop_steps}: finer steps than 1/M are never trained",
    )


def check_steps(steps: int | np.integer) -> None:
    """Raises ConfigError unless the number of inference steps m is a power of two."""
    check(
        is_power_of_two(steps),
        f"steps must be a power of two (1, 2, 4, 8, ...), got {steps}: "
        "a shortcut field is trained at step sizes 1/2^l only",
    )


def at_step_size(shortcut: Shortcut, h: float) -> Field:
    """The velocity field v(a_t, t | o) = s(a_t, t, h | o) of one step size."""
    return lambda obs, a_t, t: shortcut(obs, a_t, t, jnp.full_like(t, h))


def levels_in_batch(batch: int, denoise_steps: int) -> np.ndarray:
    """The level j of the large step 2h = 1/2^j for each row: even over 0 .. L-1, the rest on 0."""
    count = int(denoise_steps).bit_length() - 1
    share, rest = divmod(batch, count)
    return np.concatenate([np.zeros(rest, int), np.repeat(np.arange(count), share)])


def self_consistency_target(
    target_shortcut: Shortcut,
    obs: Float[Array, "batch obs"],
    a_t: Float[Array, "batch action"],
    t: Float[Array, "batch 1"],
    h: Float[Array, "batch 1"],
) -> Float[Array, "batch action"]:
    """The mean velocity of two steps of size h from (a_t, t), (v1 + v2)/2, without gradient."""
    v1 = target_shortcut(obs, a_t, t, h)
    v2 = target_shortcut(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


def self_consistency_loss(
    shortcut: Shortcut,
    target_shortcut: Shortcut,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    denoise_steps: int,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """How far one jump of size 2h lands from two of size h: the mean of |s(a_t, t, 2h) - target|^2.

    Args:
        shortcut: s, which learns.
        target_shortcut: s', the moving average of s that makes the target.
        obs: o.
        actions: a_1, the data from which a_t is made with fresh noise.
        key: draws noise and times.
        denoise_steps: M, a power of two, at least 2.

    Returns:
        the loss, and the metric consistency_loss.

    Raises:
        ConfigError: M is not such a number.

    Source: arXiv 2410.12557, eq. 5; in SORL, L_SC of arXiv 2505.22866.
    """
    check_denoise_steps(denoise_steps)
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, actions.shape)
    jumps = 2.0 ** levels_in_batch(len(actions), denoise_steps)[:, None]  # 1 / (2h)
    t = jnp.floor(jax.random.uniform(time_key, jumps.shape) * jumps) / jumps
    h = jnp.asarray(0.5 / jumps, jnp.float32)
    a_t = interpolate(noise, actions, t)
    target = self_consistency_target(target_shortcut, obs, a_t, t, h)
    loss = jnp.mean((shortcut(obs, a_t, t, 2 * h) - target) ** 2)
    return loss, {"consistency_loss": loss}


def sample_from(
    shortcut: Shortcut,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "batch action"],
    steps: int,
    denoise_steps: int,
) -> Float[Array, "batch action"]:
    """Actions a ~ pi(. | o, m) from given noise: m Euler steps, then a clip to [-1, 1].

    Up to M steps the field sees h = 1/m. Beyond M (sequential extrapolation) the Euler step is 1/m,
    but the field sees 1/M, the smallest step that it was trained at.
    """
    field = at_step_size(shortcut, 1 / min(steps, denoise_steps))
    return jnp.clip(integrate(field, obs, noise, steps), -1, 1)


def jump_gap(
    shortcut: Shortcut,
    obs: Float[Array, "batch obs"],
    a_t: Float[Array, "batch action"],
    t: float,
    h: float,
) -> Float[Array, " batch"]:
    """Distance between where one jump of size 2h lands and where two of size h land."""
    small, large = at_step_size(shortcut, h), at_step_size(shortcut, 2 * h)
    half = euler_step(small, obs, a_t, t, h)
    two_small = euler_step(small, obs, half, t + h, h)
    one_large = euler_step(large, obs, a_t, t, 2 * h)
    return jnp.linalg.norm(one_large - two_small, axis=-1)
