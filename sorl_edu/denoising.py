"""Two older ways from noise to an action, which lesson 7's baselines use: diffusion, consistency.

*Diffusion.* Noise is added to an action a in levels, and a model learns to see the noise in it:

    a_t = alpha_t a + sigma_t z,  z ~ N(0, I)
    descend | eps(a_t, t | o) - z |^2

To sample, begin with noise and take one level after the other away (DDPM). The model also knows the
score, the direction in which a_t becomes more probable: grad log p_t(a_t | o) = -eps / sigma_t.

*Consistency.* A function f jumps from any level of noise to the action at once, and is taught by
its own moving average f' on the level below, with the same noise:

    descend | f(a + s_2 z, s_2 | o) - f'(a + s_1 z, s_1 | o) |^2,   s_1 < s_2,   f(a, s_min | o) = a

Time runs against lesson 1's: here level 0, or t = 0, is an action, and the last level is noise.
Lesson 1 joins a to z on a straight line, with alpha_t = t and sigma_t = 1 - t in its own time.

Sources: Ho et al., Denoising Diffusion Probabilistic Models, 2020, arXiv 2006.11239; Song et al.,
Score-Based Generative Modeling through SDEs, 2021, arXiv 2011.13456; Song et al., Consistency
Models, 2023, arXiv 2303.01469; Karras et al., EDM, 2022, arXiv 2206.00364.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

# eps(a_t, t | o) as model(obs, a_t, t): (batch, obs), (batch, action), (batch, 1) to noise
# (batch, action).
NoiseModel = Callable[[Array, Array, Array], Array]

# f(a_s, s | o) as function(obs, a_s, s), of the same shapes, to an action.
Consistency = Callable[[Array, Array, Array], Array]

# p(t) as noising(key, batch) to t, alpha_t and sigma_t, each (batch, 1).
Noising = Callable[[PRNGKeyArray, int], tuple[Array, Array, Array]]

MAX_UNROLL = 8  # levels compiled without a loop, whose overhead small networks feel


def split_noise(
    noise: Float[Array, "batch width"], parts: int
) -> Float[Array, "parts batch action"]:
    """One noise for each of the sampler's `parts`, from one as wide as all of them together.

    A sampler that draws noise on its way is then a function of observation and noise, as lesson 5
    has it: what is drawn later belongs to the candidate, too.
    """
    return jnp.stack(jnp.split(noise, parts, axis=-1))


# --------------------------------------------------------------------------------------- diffusion


def vp_scales(
    t: Float[Array, "*batch"], beta_min: float = 0.1, beta_max: float = 20.0
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """alpha_t and sigma_t of the variance-preserving SDE, t in [0, 1]; alpha^2 + sigma^2 = 1.

    log alpha_t = -(beta_max - beta_min) t^2 / 4 - beta_min t / 2.

    Source: arXiv 2011.13456, eq. 33.
    """
    log_alpha = -(beta_max - beta_min) * t**2 / 4 - beta_min * t / 2
    return jnp.exp(log_alpha), jnp.sqrt(-jnp.expm1(2 * log_alpha))


class Levels(NamedTuple):
    """T levels of noise, from little of it (index 0) to hardly anything else (index T - 1)."""

    beta: Float[Array, " levels"]
    """Variance of the noise that a level adds."""
    alpha: Float[Array, " levels"]
    """Factor of the action in a_t."""
    sigma: Float[Array, " levels"]
    """Deviation of all of the noise in a_t."""


def vp_levels(count: int, beta_min: float = 0.1, beta_max: float = 10.0) -> Levels:
    """The variance-preserving SDE in T steps: level t is its time (t + 1) / T.

    beta_t = 1 - exp(-beta_min / T - (beta_max - beta_min) (2 t + 1) / (2 T^2)),  t = 0 ... T - 1.

    Source: the code of IDQL (arXiv 2304.10573), whose t counts from 1.
    """
    t = jnp.arange(1, count + 1)
    rate = beta_min / count + (beta_max - beta_min) * (2 * t - 1) / (2 * count**2)
    return Levels(-jnp.expm1(-rate), *vp_scales(t / count, beta_min, beta_max))


def drawn_level(levels: Levels) -> Noising:
    """t ~ U{0 ... T - 1}: the only levels that DDPM's sampler visits."""

    def noising(key: PRNGKeyArray, batch: int) -> tuple[Array, Array, Array]:
        t = jax.random.randint(key, (batch, 1), 0, len(levels.beta))
        return t.astype(jnp.float32), levels.alpha[t], levels.sigma[t]

    return noising


def drawn_time(first: float, last: float) -> Noising:
    """t ~ U[first, last) of the SDE, within [0, 1]."""

    def noising(key: PRNGKeyArray, batch: int) -> tuple[Array, Array, Array]:
        t = jax.random.uniform(key, (batch, 1), minval=first, maxval=last)
        return t, *vp_scales(t)

    return noising


def epsilon_loss(
    model: NoiseModel,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    noising: Noising,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of |eps(alpha_t a + sigma_t z, t | o) - z|^2 over batch and action.

    Args:
        model: eps, which learns.
        obs: o.
        actions: a, the data.
        key: draws z and t.
        noising: p(t), with alpha_t and sigma_t.

    Returns:
        the loss, and the metric diffusion_loss.

    Source: arXiv 2006.11239, eq. 14.
    """
    gap, _ = noise_gap(model, obs, actions, key, noising)
    loss = jnp.mean(gap**2)
    return loss, {"diffusion_loss": loss}


def noise_gap(
    model: NoiseModel,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    noising: Noising,
) -> tuple[Float[Array, "batch action"], Float[Array, "batch 1"]]:
    """eps(alpha_t a + sigma_t z, t | o) - z for drawn z and t, and sigma_t."""
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, actions.shape)
    t, alpha, sigma = noising(time_key, len(actions))
    return model(obs, alpha * actions + sigma * noise, t) - noise, sigma


def posterior(
    model: NoiseModel,
    obs: Float[Array, "batch obs"],
    a_t: Float[Array, "batch action"],
    t: int | Int[Array, ""],
    levels: Levels,
) -> tuple[Float[Array, "batch action"], Float[Array, ""]]:
    """Mean and deviation of the action with a level less noise, given a_t.

        mean = (a_t - beta_t / sigma_t eps(a_t, t | o)) / sqrt(1 - beta_t),  deviation sqrt(beta_t)

    The mean is exact for an exact eps. The deviation is exact for data ~ N(0, I), and an upper
    bound for narrower ones. At level 0 it is 0: the sampler ends at a mean.

    Source: arXiv 2006.11239, eq. 11 and section 3.2.
    """
    beta, sigma = levels.beta[t], levels.sigma[t]
    noise = model(obs, a_t, jnp.full((len(a_t), 1), t, jnp.float32))
    mean = (a_t - beta / sigma * noise) / jnp.sqrt(1 - beta)
    return mean, jnp.where(t > 0, jnp.sqrt(beta), 0)


def ancestral_sample(
    model: NoiseModel,
    obs: Float[Array, "batch obs"],
    noises: Float[Array, "levels batch action"],
    levels: Levels,
    limit: float = 1.0,
) -> Float[Array, "batch action"]:
    """DDPM's sampler: from noise, T steps of a mean and fresh noise, each limited to +-limit.

    Args:
        model: eps.
        obs: o.
        noises: N(0, I): the first is where it begins, the others are added on its way.
        levels: those for which eps was trained.
        limit: largest size of an action, also on the way, as in the code of IDQL; the paper of
            DDPM limits nothing, which is `jnp.inf`.

    Source: arXiv 2006.11239, algorithm 2.
    """
    count = len(levels.beta)

    def step(a_t: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
        t, fresh = now
        mean, deviation = posterior(model, obs, a_t, t, levels)
        return jnp.clip(mean + deviation * fresh, -limit, limit), None

    fresh = jnp.concatenate([noises[1:], jnp.zeros_like(noises[:1])])  # level 0 adds none
    steps = jnp.arange(count)[::-1], fresh
    return jax.lax.scan(step, noises[0], steps, unroll=min(count, MAX_UNROLL))[0]


def score_distillation(
    model: NoiseModel,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    noising: Noising,
) -> Float[Array, "batch action"]:
    """sigma_t^2 (eps(alpha_t a + sigma_t z, t | o) - z): against it, a becomes more probable.

    On average over z it is -sigma_t^3 times the score of the noisy data at the noisy action, so
    that an action moves as if seen through noise of every size: far from the data large noise shows
    the way, near them small noise. To subtract z changes no average, and makes it less random.

    Source: SRPO, arXiv 2310.07297, eq. 10 to 12, with the weight sigma_t^2.
    """
    gap, sigma = noise_gap(model, obs, actions, key, noising)
    return sigma**2 * gap


# ------------------------------------------------------------------------------------- consistency

SIGMA_MIN, SIGMA_MAX = 0.002, 80.0
"""Deviations of the least noise, which passes for none, and of the most."""
SIGMA_DATA = 0.5
"""Deviation of the data for which the factors below are made."""
RHO = 7.0
"""How much closer small levels of noise lie together than large ones."""


def consistency_function(network: NoiseModel) -> Consistency:
    """f(a_s, s | o) = c_skip(s) a_s + c_out(s) F(c_in(s) a_s, log(s) / 4 | o), with a network F.

        c_skip = d^2 / ((s - s_min)^2 + d^2)        c_in = 1 / sqrt(s^2 + d^2)
        c_out  = d (s - s_min) / sqrt(s^2 + d^2)       d = SIGMA_DATA

    The boundary condition f(a, s_min | o) = a holds whatever F is.

    Source: arXiv 2303.01469, eq. 5 and appendix C; c_in and the logarithm, arXiv 2206.00364,
    table 1.
    """

    def function(obs: Array, a_s: Array, s: Array) -> Array:
        above, scale = s - SIGMA_MIN, jnp.sqrt(s**2 + SIGMA_DATA**2)
        skip = SIGMA_DATA**2 / (above**2 + SIGMA_DATA**2)
        return skip * a_s + SIGMA_DATA * above / scale * network(obs, a_s / scale, jnp.log(s) / 4)

    return function


def karras_level(i: Int[Array, "*batch"], count: int | Int[Array, ""]) -> Float[Array, "*batch"]:
    """The deviation of level i = 0 ... N - 1: s_min at 0, s_max at N - 1, N at least 2.

    Source: arXiv 2206.00364, eq. 5, from the least noise to the most as in arXiv 2303.01469.
    """
    low, high = SIGMA_MIN ** (1 / RHO), SIGMA_MAX ** (1 / RHO)
    return (low + i / (count - 1) * (high - low)) ** RHO


def levels_after(
    updates: Int[Array, ""], growth_updates: int, first: int = 2, last: int = 150
) -> Int[Array, ""]:
    """N = ceil sqrt(k / K (last^2 - first^2) + first^2) after k updates: many more, then few more.

    Few levels learn fast and badly, many slowly and well. From k = K on there are `last`.

    Source: arXiv 2303.01469, appendix C.
    """
    share = jnp.minimum(updates / growth_updates, 1)
    return jnp.ceil(jnp.sqrt(share * (last**2 - first**2) + first**2)).astype(jnp.int32)


def consistency_loss(
    function: Consistency,
    target_function: Consistency,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    key: PRNGKeyArray,
    count: int | Int[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean of 100 / (s_2 - s_1) |f(a + s_2 z, s_2 | o) - f'(a + s_1 z, s_1 | o)|^2.

    The weight makes up for neighbours that are alike because they are near.

    Args:
        function: f, which learns.
        target_function: f', the moving average of f that makes the target.
        obs: o.
        actions: a, the data.
        key: draws the noise z, and which two neighbours s_1 < s_2.
        count: N, the number of Karras' levels, at least 2.

    Returns:
        the loss, and the metric consistency_loss.

    Source: arXiv 2303.01469, eq. 10; the weight, the code of CAC (arXiv 2309.16984).
    """
    noise_key, level_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, actions.shape)
    i = jax.random.randint(level_key, (len(actions), 1), 0, count - 1)
    less, more = karras_level(i, count), karras_level(i + 1, count)
    target = jax.lax.stop_gradient(target_function(obs, actions + less * noise, less))
    gap = function(obs, actions + more * noise, more) - target
    loss = jnp.mean(100 / (more - less) * gap**2)
    return loss, {"consistency_loss": loss}


def sampling_levels(steps: int) -> np.ndarray:
    """The deviations at which the code of CAC samples: from 80 to 2, equally far apart."""
    return np.linspace(SIGMA_MAX, 2, steps)


def consistency_sample(
    function: Consistency,
    obs: Float[Array, "batch obs"],
    noises: Float[Array, "steps batch action"],
    sigmas: Sequence[float] | np.ndarray,
) -> Float[Array, "batch action"]:
    """Multi-step sampling: jump to an action, add less noise than before, jump again.

        a = f(s_1 z_1, s_1 | o),   a <- f(a + sqrt(s_i^2 - s_min^2) z_i, s_i | o),  i = 2, 3 ...

    The action is limited to [-1, 1] at the end; gradients pass through all of the jumps.

    Args:
        function: f.
        obs: o.
        noises: z_i ~ N(0, I), one for each deviation.
        sigmas: s_1 > s_2 > ..., at most SIGMA_MAX and at least SIGMA_MIN.

    Source: arXiv 2303.01469, algorithm 1.
    """
    actions, ones = jnp.zeros_like(noises[0]), jnp.ones((len(obs), 1))
    for first, (noise, sigma) in enumerate(zip(noises, sigmas, strict=True)):
        size = sigma if first == 0 else np.sqrt(sigma**2 - SIGMA_MIN**2)
        actions = function(obs, actions + size * noise, sigma * ones)
    return jnp.clip(actions, -1, 1)
