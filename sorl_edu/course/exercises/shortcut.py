"""Lesson 2's exercises: the sampler that tells its step, the target, where jumps start."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Exercise, Misconception, with_gradient


def bent_field(obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    """A field that depends on all of its arguments."""
    return jnp.sin(2 * a_t + 3 * t) + t**2 * a_t[:, ::-1] - 1.7 * h + 0.3 * obs


def column(like: Array, value: float | Array) -> Float[Array, "batch 1"]:
    return jnp.full((len(like), 1), value)


# ----------------------------------------------------------------------- 2.1 the few-step sampler


def _samplings(key: PRNGKeyArray) -> list[tuple]:
    """(field, obs, noise, m, M) with fewer, as many, and more steps than M."""
    cases = []
    for m, M in ((4, 8), (2, 16), (8, 8), (16, 4)):
        key, noise_key, obs_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (5, 2))
        cases.append((bent_field, jax.random.normal(obs_key, (5, 1)), noise, m, M))
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
            t, h = column(a, times(i, m, M)), column(a, told(m, M))
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
        cases.append((jax.random.normal(keys[2], (6, 1)), a_t, t, column(a_t, h)))
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


def target_and_gradient(answer: Callable, *case: Array) -> tuple:
    """The target, and how it changes with a parameter of the field: not at all, if it is stopped.

    Args:
        answer: `answer(field, *case)`.
    """

    def with_scale(scale: Array) -> Array:
        return answer(lambda *inputs: scale * bent_field(*inputs), *case)

    return with_gradient(with_scale, jnp.ones(()))


def _identity(x: Array) -> Array:
    return x


def _half_stopped(field: Callable, obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    v1 = jax.lax.stop_gradient(field(obs, a_t, t, h))
    return (v1 + field(obs, a_t + h * v1, t + h, h)) / 2


target = Exercise(
    "2.2",
    _target,
    _targets,
    probe=target_and_gradient,
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


# -------------------------------------------------------------------------- 2.3 where jumps start


def _draws(key: PRNGKeyArray) -> list[tuple]:
    """(u, level): uniform numbers and the level j of the jump 2h = 1/2^j, each (batch, 1)."""
    cases = []
    for levels in ((0, 0, 1, 1, 2, 2, 2, 2), (3, 1, 3, 2, 3, 3)):
        key, u_key = jax.random.split(key)
        level = jnp.array(levels, jnp.float32)[:, None]
        cases.append((jax.random.uniform(u_key, level.shape), level))
    return cases


def _times_with(start: Callable, jump: Callable = lambda level: 2.0**-level) -> Callable:
    """Times `start(u, 2h)` and half jumps h, with 2h = `jump(level)`."""

    def times(u: Array, level: Array) -> tuple[Array, Array]:
        return start(u, jump(level)), jump(level) / 2

    return times


def _on_grid(u: Array, jump: Array) -> Array:
    return jnp.floor(u / jump) * jump


times = Exercise(
    "2.3",
    _times_with(_on_grid),
    _draws,
    right="Right: jumps of 2h start at multiples of 2h, the only times at which the sampler makes "
    "them, and none of them leads past t = 1.",
    misconceptions=(
        Misconception(
            "not on the grid",
            "your times lie anywhere from 0 to 1, so that a jump of 2h can lead past the data at "
            "t = 1. A sampler with 1/(2h) steps only ever starts at multiples of 2h.",
            _times_with(lambda u, jump: u),
        ),
        Misconception(
            "grid of the half jumps",
            "your jumps of 2h start at multiples of h: the last one would start at t = 1 - h and "
            "lead past the data.",
            _times_with(lambda u, jump: _on_grid(u, jump / 2)),
        ),
        Misconception(
            "rounded to the nearest",
            "some of your jumps start at t = 1, where the way is over. Round down.",
            _times_with(lambda u, jump: jnp.round(u / jump) * jump),
        ),
        Misconception(
            "rounded up",
            "none of your jumps starts at t = 0, where every sample does, and some start at t = 1, "
            "where the way is over. Round down.",
            _times_with(lambda u, jump: jnp.ceil(u / jump) * jump),
        ),
        Misconception(
            "scaled to fit, not on the grid",
            "no jump leads past t = 1, but they start at times that the sampler never visits. "
            "Round down to a multiple of 2h.",
            _times_with(lambda u, jump: u * (1 - jump)),
        ),
        Misconception(
            "number of the step instead of its time",
            "you return which step it is, 0, 1, 2, ... Its time is that number times 2h.",
            _times_with(lambda u, jump: jnp.floor(u / jump)),
        ),
        Misconception(
            "level taken for the half jump's",
            "level j is that of the large jump, 2h = 1/2^j; you made it the half jump's, or halved "
            "once too often.",
            _times_with(_on_grid, jump=lambda level: 2.0 ** -(level + 1)),
        ),
        Misconception(
            "level upside down",
            "your jumps get longer with the level, 2^j. Level j is a jump of 1/2^j.",
            _times_with(_on_grid, jump=lambda level: 2.0**level),
        ),
    ),
)
