"""Lesson 2's exercises: the sampler that tells its step, the target, and what is left of a gap."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.exercises.exercise import Exercise, Misconception


def _bent(obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    """A field that depends on all of its arguments."""
    return jnp.sin(2 * a_t + 3 * t) + t**2 * a_t[:, ::-1] - 1.7 * h + 0.3 * obs


def _column(like: Array, value: float | Array) -> Float[Array, "batch 1"]:
    return jnp.full((len(like), 1), value)


# ----------------------------------------------------------------------- 2.1 the few-step sampler


def _samplings(key: PRNGKeyArray) -> list[tuple]:
    """(field, obs, noise, m, M) with fewer, as many, and more steps than M."""
    cases = []
    for m, M in ((4, 8), (2, 16), (8, 8), (16, 4)):
        key, noise_key, obs_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (5, 2))
        cases.append((_bent, jax.random.normal(obs_key, (5, 1)), noise, m, M))
    return cases


def _sampler(
    told: Callable[[int, int], float] = lambda m, M: 1 / min(m, M),
    length: Callable[[int, int], float] = lambda m, M: 1 / m,
    times: Callable[[int, int, int], float] = lambda i, m, M: i / m,
) -> Callable:
    """A sampler that tells the field `told(m, M)`, at `times(i, m, M)`, and goes `length(m, M)`."""

    def sample(field: Callable, obs: Array, noise: Array, m: int, M: int) -> Array:
        a = noise
        for i in range(m):
            t, h = _column(a, times(i, m, M)), _column(a, told(m, M))
            a = a + length(m, M) * field(obs, a, t, h)
        return a

    return sample


sample = Exercise(
    "2.1",
    _sampler(),
    _samplings,
    right="Right: m steps of 1/m, and the field is told how far it jumps, but never less than the "
    "1/M that it was trained at.",
    misconceptions=(
        Misconception(
            "tells it the finest step",
            "you tell the field h = 1/M whatever m is. It then gives the velocity for a small step "
            "and you make a big one with it: a plain flow again.",
            _sampler(told=lambda m, M: 1 / M),
        ),
        Misconception(
            "tells it a step that it never saw",
            "beyond M steps you tell the field h = 1/m, smaller than the 1/M at which it was "
            "trained. What it says there, nobody taught it.",
            _sampler(told=lambda m, M: 1 / m),
        ),
        Misconception(
            "tells it one whole jump",
            "you tell the field h = 1, a jump to the end, and then go only 1/m with what it says.",
            _sampler(told=lambda m, M: 1.0),
        ),
        Misconception(
            "steps of 1/M",
            "you make m steps of size 1/M: with m below M you stop before t = 1, with m above M "
            "you run past it.",
            _sampler(length=lambda m, M: 1 / M),
        ),
        Misconception(
            "steps as long as what is told",
            "beyond M steps you also step by 1/M, so that m of them run past t = 1. What you go is "
            "1/m, always; only what you tell stops at 1/M.",
            _sampler(length=lambda m, M: 1 / min(m, M)),
        ),
        Misconception(
            "forgets the step size",
            "each step adds the whole velocity, and m steps go m times too far.",
            _sampler(length=lambda m, M: 1.0),
        ),
        Misconception(
            "time on the grid of M",
            "step i starts at t = i/m. You ask the field at t = i/M, as if all steps were the "
            "finest.",
            _sampler(times=lambda i, m, M: i / M),
        ),
        Misconception(
            "evaluates at the end of the step",
            "you ask at t = (i + 1)/m, when the jump is over. The field is told where the jump "
            "starts and how long it is.",
            _sampler(times=lambda i, m, M: (i + 1) / m),
        ),
        Misconception(
            "time reversed",
            "you ask at t = 1 first. The noise is at t = 0.",
            _sampler(times=lambda i, m, M: 1 - i / m),
        ),
    ),
)


# ------------------------------------------------------------------ 2.2 the self-consistency target


def _targets(key: PRNGKeyArray) -> list[tuple]:
    """(obs, a_t, t, h) for two step sizes."""
    cases = []
    for h in (1 / 4, 1 / 8):
        key, *keys = jax.random.split(key, 4)
        a_t = jax.random.normal(keys[0], (6, 2))
        t = jax.random.randint(keys[1], (6, 1), 0, 2) * 2 * h
        cases.append((jax.random.normal(keys[2], (6, 1)), a_t, t, _column(a_t, h)))
    return cases


def _target(field: Callable, obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    v1 = field(obs, a_t, t, h)
    v2 = field(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


def _target_with(
    first: Callable = lambda a, t, h, v1: a + h * v1,
    second: Callable = lambda t, h: t + h,
    told: Callable = lambda h: h,
    mean: Callable = lambda v1, v2, h: (v1 + v2) / 2,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    def target(field: Callable, obs: Array, a_t: Array, t: Array, h: Array) -> Array:
        v1 = field(obs, a_t, t, told(h))
        v2 = field(obs, first(a_t, t, h, v1), second(t, h), told(h))
        return stop(mean(v1, v2, h))

    return target


def _target_and_gradient(answer: Callable, obs: Array, a_t: Array, t: Array, h: Array) -> tuple:
    """The target, and how it changes with a parameter of the field: not at all, if it is stopped.

    A blank answer is handed on as it is.
    """

    def scaled(scale: Array) -> Callable:
        return lambda *inputs: scale * _bent(*inputs)

    value = answer(scaled(jnp.ones(())), obs, a_t, t, h)
    if value is None or value is Ellipsis:
        return (value,)
    gradient = jax.grad(lambda scale: jnp.sum(answer(scaled(scale), obs, a_t, t, h) ** 2))
    return value, gradient(jnp.ones(()))


def _identity(x: Array) -> Array:
    return x


def _half_stopped(field: Callable, obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    v1 = jax.lax.stop_gradient(field(obs, a_t, t, h))
    return (v1 + field(obs, a_t + h * v1, t + h, h)) / 2


target = Exercise(
    "2.2",
    _target,
    _targets,
    probe=_target_and_gradient,
    right="Right, and no gradient flows through it: the large jump learns from the small ones, and "
    "not the other way round.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the numbers are right, and a gradient flows through your target, so that the small "
            "jumps are pulled towards the untrained large one. A target is something to reach, "
            "not something to move.",
            _target_with(stop=_identity),
        ),
        Misconception(
            "stop-gradient on the first jump only",
            "the second half jump still carries a gradient. Stop the whole target.",
            _half_stopped,
        ),
        Misconception(
            "both half jumps at the same time",
            "your second half jump asks the field at t again. When the first is over, it is t + h.",
            _target_with(second=lambda t, h: t),
        ),
        Misconception(
            "second jump starts where the first did",
            "your second half jump starts at a_t. It goes on from where the first landed, "
            "a_t + h v1.",
            _target_with(first=lambda a, t, h, v1: a),
        ),
        Misconception(
            "sum instead of average",
            "you add the two velocities. Each is per unit of time, and the large jump takes the "
            "time of both: h v1 + h v2 = 2h (v1 + v2)/2.",
            _target_with(mean=lambda v1, v2, h: v1 + v2),
        ),
        Misconception(
            "landing point instead of velocity",
            "you return how far the two jumps go, h v1 + h v2. The field gives a velocity: divide "
            "by the time that they take, 2h.",
            _target_with(mean=lambda v1, v2, h: h * (v1 + v2)),
        ),
        Misconception(
            "first jump forgets its length",
            "your first half jump adds the whole velocity v1. It lasts h.",
            _target_with(first=lambda a, t, h, v1: a + v1),
        ),
        Misconception(
            "asks at the large step",
            "you tell the field 2h for the half jumps. Then it learns from itself at 2h, which "
            "nothing has taught it; each half jump is of size h.",
            _target_with(told=lambda h: 2 * h),
        ),
        Misconception(
            "second jump only",
            "you return v2, the velocity of the second half. The large jump replaces both.",
            _target_with(mean=lambda v1, v2, h: v2),
        ),
    ),
)


# ----------------------------------------------------------------------- 2.3 the exact shortcut


def _gaussians(key: PRNGKeyArray) -> list[tuple]:
    """(a_t, t, h, mu, s) with t + h up to 1."""
    cases = []
    for mu, s in ((jnp.array([0.4, -0.2]), 0.3), (jnp.array([-0.5, 0.1]), 0.7)):
        key, a_key, t_key, h_key = jax.random.split(key, 4)
        t = jax.random.uniform(t_key, (6, 1), minval=0.1, maxval=0.6)
        h = (1 - t) * jax.random.uniform(h_key, (6, 1), minval=0.3)
        cases.append((jax.random.normal(a_key, (6, 2)), t, h, mu, s))
    return cases


def _std(t: Array, s: float) -> Array:
    return jnp.sqrt((1 - t) ** 2 + (t * s) ** 2)


def _shortcut_with(landing: Callable, divide: Callable = lambda way, h: way / h) -> Callable:
    def shortcut(a_t: Array, t: Array, h: Array, mu: Array, s: float) -> Array:
        return divide(landing(a_t, t, h, mu, s) - a_t, h)

    return shortcut


def _landing(a_t: Array, t: Array, h: Array, mu: Array, s: float) -> Array:
    return (t + h) * mu + _std(t + h, s) / _std(t, s) * (a_t - t * mu)


def _velocity_here(a_t: Array, t: Array, h: Array, mu: Array, s: float) -> Array:
    return mu + (t * s**2 - (1 - t)) / _std(t, s) ** 2 * (a_t - t * mu)


exact_shortcut = Exercise(
    "2.3",
    _shortcut_with(_landing),
    _gaussians,
    right="Right: where the flow is at t + h, minus where it is, over h. This is what a shortcut "
    "field learns, without the learning.",
    tolerance=1e-3,
    misconceptions=(
        Misconception(
            "velocity here and now",
            "that is the flow's velocity at t, which is right for h -> 0 only. The shortcut is the "
            "average velocity from t to t + h.",
            _velocity_here,
        ),
        Misconception(
            "landing point instead of velocity",
            "you return where the jump lands. The velocity is the way there over the time that it "
            "takes.",
            _landing,
        ),
        Misconception(
            "way instead of velocity",
            "you return how far the jump goes. Divide by the time that it takes.",
            _shortcut_with(_landing, divide=lambda way, h: way),
        ),
        Misconception(
            "scaled by the variance",
            "you scale a particle's distance to the mean by the ratio of the variances. Distances "
            "scale with the standard deviation, its root.",
            _shortcut_with(
                lambda a, t, h, mu, s: (
                    (t + h) * mu + (_std(t + h, s) / _std(t, s)) ** 2 * (a - t * mu)
                )
            ),
        ),
        Misconception(
            "ratio upside down",
            "you scale by the standard deviation at t over the one at t + h: the cloud grows where "
            "it should shrink.",
            _shortcut_with(
                lambda a, t, h, mu, s: (t + h) * mu + _std(t, s) / _std(t + h, s) * (a - t * mu)
            ),
        ),
        Misconception(
            "mean stands still",
            "your cloud's mean stays at t mu. At t + h it is at (t + h) mu.",
            _shortcut_with(
                lambda a, t, h, mu, s: t * mu + _std(t + h, s) / _std(t, s) * (a - t * mu)
            ),
        ),
        Misconception(
            "jump to the end",
            "you jump to t = 1 whatever h is. The jump ends at t + h.",
            _shortcut_with(lambda a, t, h, mu, s: _landing(a, t, 1 - t, mu, s)),
        ),
    ),
)
