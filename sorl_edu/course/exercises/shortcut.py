"""Lesson 2's exercises: the few-step sampler, the self-consistency target, where jumps start."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import bent_field, column, target_and_gradient
from sorl_edu.flow_matching import integrate
from sorl_edu.shortcut import Shortcut, at_step_size, self_consistency_target

# ----------------------------------------------------------------------- 2.1 the few-step sampler


def _sample_cases(key: PRNGKeyArray) -> list[tuple]:
    """(shortcut, obs, noise, m, M) with fewer, as many, and more steps than M."""
    draw = Draws(key)
    return [
        (bent_field, draw.normal(5, 1), draw.normal(5, 2), m, M)
        for m, M in ((4, 8), (2, 16), (8, 8), (16, 4))
    ]


def _sample(s: Shortcut, obs: Array, noise: Array, m: int, M: int) -> Array:
    return integrate(at_step_size(s, 1 / min(m, M)), obs, noise, m)


def _sample_with(
    *,
    fed: Callable[[int, int], float] = lambda m, M: 1 / min(m, M),
    length: Callable[[int, int], float] = lambda m, M: 1 / m,
    time: Callable[[int, int, int], float] = lambda i, m, M: i / m,
    count: Callable[[int, int], int] = lambda m, M: m,
) -> Callable:
    """`count(m, M)` steps of `length(m, M)`; the field gets `time(i, m, M)` and `fed(m, M)`."""

    def sample(s: Shortcut, obs: Array, noise: Array, m: int, M: int) -> Array:
        a = noise
        for i in range(count(m, M)):
            t, h = column(a, time(i, m, M)), column(a, fed(m, M))
            a = a + length(m, M) * s(obs, a, t, h)
        return a

    return sample


sample = Exercise(
    number="2.1",
    library=("sorl_edu.shortcut:sample_from",),
    parts=("the sample",),
    solution=_sample,
    cases=_sample_cases,
    right="Right: m steps of 1/m, and the field gets the size of the step, but never less than the "
    "1/M that it was trained at.",
    misconceptions=(
        Misconception(
            "feeds it the finest step",
            "you feed the field h = 1/M whatever m is. It then gives the velocity for a small "
            "step, and you take a large one with it: a plain flow again.",
            _sample_with(fed=lambda m, M: 1 / M),
        ),
        Misconception(
            "feeds it a step that it never saw",
            "beyond M steps you feed the field h = 1/m, smaller than the 1/M at which it was "
            "trained. Its output there was never trained.",
            _sample_with(fed=lambda m, M: 1 / m),
        ),
        Misconception(
            "smaller of 1/m and 1/M",
            "you feed the field the smaller one of 1/m and 1/M: below M steps it is not the step "
            "that you take, and beyond M the field was never trained at it.",
            _sample_with(fed=lambda m, M: min(1 / m, 1 / M)),
        ),
        Misconception(
            "step that is fed and length exchanged",
            "beyond M steps you feed the field 1/m, at which it was never trained, and move by "
            "1/M, so that m steps overshoot t = 1. It is the other way round: the field gets the "
            "smallest step that it knows, and we move by less.",
            _sample_with(fed=lambda m, M: 1 / m, length=lambda m, M: 1 / min(m, M)),
        ),
        Misconception(
            "never more than M steps",
            "beyond M you take M steps only. The sampler should take m steps of 1/m then, too; "
            "only the h that the field gets stays at 1/M.",
            _sample_with(
                length=lambda m, M: 1 / min(m, M),
                time=lambda i, m, M: i / min(m, M),
                count=lambda m, M: min(m, M),
            ),
        ),
        Misconception(
            "feeds it one whole jump",
            "you feed the field h = 1, a jump to the end, and then use its answer for a step of "
            "only 1/m.",
            _sample_with(fed=lambda m, M: 1.0),
        ),
        Misconception(
            "steps of 1/M",
            "you take m steps of size 1/M: with m below M you stop before t = 1, with m above M "
            "you overshoot it.",
            _sample_with(length=lambda m, M: 1 / M),
        ),
        Misconception(
            "steps as long as the h that is fed",
            "beyond M steps you also move by 1/M, so that m steps overshoot t = 1. A step is "
            "always 1/m long; only the h that the field gets stops at 1/M.",
            _sample_with(length=lambda m, M: 1 / min(m, M)),
        ),
        Misconception(
            "times and steps in units of the h that is fed",
            "beyond M steps both your times and your steps are multiples of 1/M, so that they run "
            "past t = 1. Step i starts at i/m and is 1/m long; only the h that the field gets "
            "stops at 1/M.",
            _sample_with(length=lambda m, M: 1 / min(m, M), time=lambda i, m, M: i / min(m, M)),
        ),
        Misconception(
            "forgets the step size",
            "each step adds the whole velocity, so that m steps move m times too far.",
            _sample_with(length=lambda m, M: 1.0),
        ),
        Misconception(
            "time on the grid of M",
            "step i starts at t = i/m. You evaluate the field at t = i/M, as if all steps were the "
            "finest.",
            _sample_with(time=lambda i, m, M: i / M),
        ),
        Misconception(
            "evaluates at the end of the step",
            "you evaluate the field at t = (i + 1)/m, when the jump is over. It needs the time at "
            "which the jump starts, and the length of the jump.",
            _sample_with(time=lambda i, m, M: (i + 1) / m),
        ),
        Misconception(
            "time reversed",
            "your first step evaluates the field at t = 1. The noise is at t = 0.",
            _sample_with(time=lambda i, m, M: 1 - i / m),
        ),
    ),
)


# ------------------------------------------------------------------ 2.2 the self-consistency target


def _target_cases(key: PRNGKeyArray) -> list[tuple]:
    """(shortcut, obs, a_t, t, h) for two step sizes."""
    cases, draw = [], Draws(key)
    for h in (1 / 4, 1 / 8):
        t = jnp.asarray(draw.rng.integers(0, 2, (6, 1)) * 2 * h, jnp.float32)
        a_t = draw.normal(6, 2)
        cases.append((bent_field, draw.normal(6, 1), a_t, t, column(a_t, h)))
    return cases


def _identity(x: Array) -> Array:
    return x


def _target_with(
    *,
    start: Callable = lambda a, t, h, v1: a + h * v1,
    time: Callable = lambda t, h: t + h,
    fed: Callable = lambda h: h,
    mean: Callable = lambda v1, v2, h, a: (v1 + v2) / 2,
    stop_first: Callable = _identity,
    stop_second: Callable = _identity,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    """A target of two half jumps, the second from `start(a_t, t, h, v1)` at `time(t, h)`."""

    def target(s: Shortcut, obs: Array, a_t: Array, t: Array, h: Array) -> Array:
        v1 = stop_first(s(obs, a_t, t, fed(h)))
        v2 = stop_second(s(obs, start(a_t, t, h, v1), time(t, h), fed(h)))
        return stop(mean(v1, v2, h, a_t))

    return target


target = Exercise(
    number="2.2",
    library=("sorl_edu.shortcut:self_consistency_target",),
    parts=("the target", "its gradient by the field's parameters"),
    solution=self_consistency_target,
    cases=_target_cases,
    probe=target_and_gradient,
    right="Right, and no gradient flows through it: the large jump learns from the small ones, and "
    "not the other way round.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the numbers are right, but a gradient flows through your target, so that the small "
            "jumps are pulled towards the untrained large one. A target is something to reach, "
            "not something to move.",
            _target_with(stop=_identity),
        ),
        Misconception(
            "stop-gradient on the first jump only",
            "the numbers are right, but the second half jump still carries a gradient. Stop the "
            "whole target.",
            _target_with(stop_first=jax.lax.stop_gradient, stop=_identity),
        ),
        Misconception(
            "stop-gradient on the second jump only",
            "the numbers are right, but the first half jump still carries a gradient. Stop the "
            "whole target.",
            _target_with(stop_second=jax.lax.stop_gradient, stop=_identity),
        ),
        Misconception(
            "stop-gradient on the point between only",
            "the numbers are right, but only the point between the half jumps is a constant: both "
            "velocities still carry a gradient. Stop the whole target.",
            _target_with(
                start=lambda a, t, h, v1: jax.lax.stop_gradient(a + h * v1), stop=_identity
            ),
        ),
        Misconception(
            "both half jumps at the same time",
            "your second half jump evaluates the field at t again. When the first is over, the "
            "time is t + h.",
            _target_with(time=lambda t, h: t),
        ),
        Misconception(
            "second jump starts where the first did",
            "your second half jump starts at a_t. It must start where the first landed, "
            "a_t + h v1.",
            _target_with(start=lambda a, t, h, v1: a),
        ),
        Misconception(
            "sum instead of average",
            "you add the two velocities. Each is per unit of time, and the large jump takes the "
            "time of both: h v1 + h v2 = 2h (v1 + v2)/2.",
            _target_with(mean=lambda v1, v2, h, a: v1 + v2),
        ),
        Misconception(
            "distance instead of velocity",
            "you return the distance that the two jumps cover, h v1 + h v2. The field gives a "
            "velocity: divide by the time that they take, 2h.",
            _target_with(mean=lambda v1, v2, h, a: h * (v1 + v2)),
        ),
        Misconception(
            "landing point instead of velocity",
            "you return the point where the two jumps land. The field gives the velocity that "
            "leads there: the distance from a_t, divided by the time that they take, 2h.",
            _target_with(mean=lambda v1, v2, h, a: a + h * (v1 + v2)),
        ),
        Misconception(
            "divided by 2h instead of 2",
            "you divide the sum of the velocities by 2h. The distance h v1 + h v2 is divided by "
            "2h, and in it the h cancels.",
            _target_with(mean=lambda v1, v2, h, a: (v1 + v2) / (2 * h)),
        ),
        Misconception(
            "first jump forgets its length",
            "your first half jump adds the whole velocity v1. It lasts h.",
            _target_with(start=lambda a, t, h, v1: a + v1),
        ),
        Misconception(
            "evaluates at the large step",
            "you feed the field 2h for the half jumps. It then learns from itself at 2h, which "
            "nothing has trained; each half jump is of size h.",
            _target_with(fed=lambda h: 2 * h),
        ),
        Misconception(
            "second jump only",
            "you return v2, the velocity of the second half. The large jump replaces both.",
            _target_with(mean=lambda v1, v2, h, a: v2),
        ),
    ),
)


# -------------------------------------------------------------------------- 2.3 where jumps start


def _times_cases(key: PRNGKeyArray) -> list[tuple]:
    """(u, level): uniform numbers and the level j of the jump 2h = 1/2^j, each (batch, 1)."""
    draw = Draws(key)
    return [
        (draw.uniform(8, 1), jnp.asarray(np.array(levels)[:, None], jnp.float32))
        for levels in ((0, 0, 1, 1, 2, 2, 2, 2), (3, 1, 3, 2, 3, 3, 0, 3))
    ]


def _on_grid(u: Array, jump: Array) -> Array:
    return jnp.floor(u / jump) * jump


def _times_with(
    *,
    start: Callable[[Array, Array], Array] = _on_grid,
    jump: Callable[[Array], Array] = lambda level: 2.0**-level,
    half: Callable[[Array], Array] = lambda jump: jump / 2,
) -> Callable:
    """Times `start(u, 2h)` and half jumps `half(2h)`, with 2h = `jump(level)`."""

    def times(u: Float[Array, "batch 1"], level: Float[Array, "batch 1"]) -> tuple[Array, Array]:
        return start(u, jump(level)), half(jump(level))

    return times


times = Exercise(
    number="2.3",
    parts=("the time t", "the half jump h"),
    solution=_times_with(),
    cases=_times_cases,
    right="Right: jumps of 2h start at multiples of 2h, the only times at which the sampler makes "
    "them, and none of them leads past t = 1.",
    misconceptions=(
        Misconception(
            "not on the grid",
            "your times lie anywhere from 0 to 1, so that a jump of 2h can lead past the data at "
            "t = 1. A sampler with 1/(2h) steps starts them at multiples of 2h only.",
            _times_with(start=lambda u, jump: u),
        ),
        Misconception(
            "grid of the half jumps",
            "your jumps of 2h start at multiples of h: the last one would start at t = 1 - h and "
            "lead past the data.",
            _times_with(start=lambda u, jump: _on_grid(u, jump / 2)),
        ),
        Misconception(
            "rounded to the nearest",
            "some of your jumps start at t = 1, where the path is over. Round down.",
            _times_with(start=lambda u, jump: jnp.round(u / jump) * jump),
        ),
        Misconception(
            "rounded up",
            "none of your jumps starts at t = 0, where every sample does, and some start at t = 1, "
            "where the path is over. Round down.",
            _times_with(start=lambda u, jump: jnp.ceil(u / jump) * jump),
        ),
        Misconception(
            "scaled to fit, not on the grid",
            "no jump leads past t = 1, but they start at times that the sampler never visits. "
            "Round down to a multiple of 2h.",
            _times_with(start=lambda u, jump: u * (1 - jump)),
        ),
        Misconception(
            "number of the step instead of its time",
            "you return the number of the step, 0, 1, 2, ... Its time is that number times 2h.",
            _times_with(start=lambda u, jump: jnp.floor(u / jump)),
        ),
        Misconception(
            "large jump returned as h",
            "your times are right, but you return the large jump, 2h. h is half of it.",
            _times_with(half=lambda jump: jump),
        ),
        Misconception(
            "h before t",
            "both are right, but in the wrong order: return the time t first, then the half jump "
            "h.",
            lambda u, level: _times_with()(u, level)[::-1],
        ),
        Misconception(
            "level taken for the half jump's",
            "level j is that of the large jump, 2h = 1/2^j. You took it for the half jump's, or "
            "halved once too often.",
            _times_with(jump=lambda level: 2.0 ** -(level + 1)),
        ),
        Misconception(
            "level upside down",
            "your jumps get longer with the level, 2^j. Level j is a jump of 1/2^j.",
            _times_with(jump=lambda level: 2.0**level),
        ),
    ),
)
