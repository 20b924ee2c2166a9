"""Lesson 1's exercises: the path and its velocity, the Euler sampler, the marginal field."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Exercise, Misconception

SIZES = ((5, 2), (3, 1))  # (batch, action) of the cases: a missing axis shows in the second


def path_cases(key: PRNGKeyArray) -> list[tuple]:
    """(noise, actions, t) in several sizes."""
    cases = []
    for size in SIZES:
        key, *keys = jax.random.split(key, 4)
        noise, actions = (jax.random.normal(k, size) for k in keys[:2])
        cases.append((noise, actions, jax.random.uniform(keys[2], (size[0], 1))))
    return cases


# ------------------------------------------------------------------------ 1.1 path and velocity


def _path(
    noise: Float[Array, "batch action"],
    actions: Float[Array, "batch action"],
    t: Float[Array, "batch 1"],
) -> tuple[Array, Array]:
    return (1 - t) * noise + t * actions, actions - noise


path = Exercise(
    "1.1",
    _path,
    path_cases,
    right="Right: at t = 0 you are at the noise, at t = 1 at the data, and the velocity is what "
    "you get when you differentiate the path by t.",
    misconceptions=(
        Misconception(
            "time reversed",
            "at t = 0 your path is at the data, at t = 1 at the noise. Diffusion papers count time "
            "like this; here it runs from noise (t = 0) to data (t = 1).",
            lambda noise, actions, t: (t * noise + (1 - t) * actions, noise - actions),
        ),
        Misconception(
            "path reversed",
            "your velocity points to the data, and your path leads to the noise: put t = 0 into "
            "it and see where you are.",
            lambda noise, actions, t: (t * noise + (1 - t) * actions, actions - noise),
        ),
        Misconception(
            "velocity reversed",
            "the path is right, and its velocity points from the data back to the noise. "
            "Differentiate your path by t.",
            lambda noise, actions, t: ((1 - t) * noise + t * actions, noise - actions),
        ),
        Misconception(
            "velocity to the end from here",
            "you aim from a_t at the data, a_1 - a_t: what is left of the way shrinks as t grows. "
            "The velocity is the way per unit of time, and is constant along a straight path.",
            lambda noise, actions, t: (
                (1 - t) * noise + t * actions,
                actions - ((1 - t) * noise + t * actions),
            ),
        ),
        Misconception(
            "velocity times t",
            "you multiplied the velocity by t, which gives how far a path has come from the noise. "
            "The velocity is the derivative by t.",
            lambda noise, actions, t: ((1 - t) * noise + t * actions, t * (actions - noise)),
        ),
        Misconception(
            "noise not faded out",
            "the noise keeps its full weight, so that at t = 1 your path is at data plus noise.",
            lambda noise, actions, t: (noise + t * actions, actions),
        ),
        Misconception(
            "velocity before path",
            "both are right, in the wrong order: return the path first, then the velocity.",
            lambda noise, actions, t: (actions - noise, (1 - t) * noise + t * actions),
        ),
    ),
)


# ------------------------------------------------------------------------- 1.2 the Euler sampler


def _swirl(a_t: Array, t: Array) -> Array:
    """A field that depends on both of its arguments and has no symmetry in t."""
    return jnp.sin(2 * a_t + 3 * t) + t**2 * a_t[:, ::-1] - 0.4


def _samplings(key: PRNGKeyArray) -> list[tuple]:
    """(field, noise, steps) in several sizes; 1 step comes last, where few mistakes show."""
    return [
        (_swirl, jax.random.normal(k, size), steps)
        for k, size, steps in zip(
            jax.random.split(key, 3), (*SIZES, SIZES[0]), (4, 7, 1), strict=True
        )
    ]


def _euler(
    times: Callable[[int, int], float] = lambda i, m: i / m,
    length: Callable[[int], float] = lambda m: 1 / m,
) -> Callable:
    """A sampler that asks the field at `times(i, m)` and goes `length(m)` at each step."""

    def sampler(field: Callable, noise: Float[Array, "batch action"], steps: int) -> Array:
        a = noise
        for i in range(steps):
            t = jnp.full((len(a), 1), times(i, steps))
            a = a + length(steps) * field(a, t)
        return a

    return sampler


def _restarted(field: Callable, noise: Array, steps: int) -> Array:
    a = noise
    for i in range(steps):
        a = noise + field(a, jnp.full((len(a), 1), i / steps)) / steps
    return a


euler = Exercise(
    "1.2",
    _euler(),
    _samplings,
    right="Right: m steps of size 1/m, each with the velocity where and when it starts.",
    misconceptions=(
        Misconception(
            "integrates backwards",
            "you subtract the velocity, which leads away from the data. It already points from "
            "noise to data, so that going with it takes t from 0 to 1.",
            _euler(length=lambda m: -1 / m),
        ),
        Misconception(
            "time reversed",
            "you ask the field for its velocity at t = 1 first. The noise is at t = 0: step i "
            "starts at t = i/m.",
            _euler(times=lambda i, m: 1 - i / m),
        ),
        Misconception(
            "time reversed, from the end of the step",
            "you count time down, as a diffusion model does. The noise is at t = 0 here: step i "
            "starts at t = i/m.",
            _euler(times=lambda i, m: 1 - (i + 1) / m),
        ),
        Misconception(
            "forgets the step size",
            "each step adds the whole velocity, so that m steps go m times too far. A velocity is "
            "per unit of time, and a step lasts 1/m.",
            _euler(length=lambda m: 1),
        ),
        Misconception(
            "evaluates at the end of the step",
            "you ask for the velocity at t = (i + 1)/m, when the step is over. Euler's step goes "
            "with the velocity where it starts, t = i/m.",
            _euler(times=lambda i, m: (i + 1) / m),
        ),
        Misconception(
            "time counted in steps",
            "you hand the field the number of the step, i = 0, 1, 2, ... It knows only times from "
            "0 to 1.",
            _euler(times=lambda i, m: i),
        ),
        Misconception(
            "time stands still",
            "every step asks for the velocity at t = 0. The field changes as time goes on.",
            _euler(times=lambda i, m: 0),
        ),
        Misconception(
            "starts again from the noise",
            "every step starts from the noise, so that only the last one counts. Go on from where "
            "the step before has led.",
            _restarted,
        ),
    ),
)


# --------------------------------------------------------------------------- 1.3 the marginal field


def _marginals(key: PRNGKeyArray) -> list[tuple]:
    """(data, a_t, t) with points on and around the paths, t away from 1."""
    cases = []
    for rows, size in ((4, (5, 2)), (3, (3, 2))):  # the second is square: a wrong axis runs
        key, *keys = jax.random.split(key, 4)
        data = jax.random.normal(keys[0], (rows, size[1]))
        t = jax.random.uniform(keys[2], (size[0], 1), minval=0.15, maxval=0.6)
        cases.append((data, jax.random.normal(keys[1], size), t))
    return cases


def _marginal_with(weights: Callable[[Array, Array], Array]) -> Callable:
    """The marginal field with `weights(squared distance (batch, n), t)` of the data points."""

    def marginal(
        data: Float[Array, "n action"],
        a_t: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
    ) -> Array:
        squared = jnp.sum((a_t[:, None] - t[:, None] * data) ** 2, axis=-1)
        return (weights(squared, t) @ data - a_t) / (1 - t)

    return marginal


def _log_likelihood(squared: Array, t: Array) -> Array:
    return -squared / (2 * (1 - t) ** 2)


def _unscaled(data: Array, a_t: Array, t: Array) -> Array:
    squared = jnp.sum((a_t[:, None] - data) ** 2, axis=-1)
    return (jax.nn.softmax(_log_likelihood(squared, t), axis=1) @ data - a_t) / (1 - t)


def _nearest(squared: Array, t: Array) -> Array:
    return jax.nn.one_hot(squared.argmin(1), squared.shape[1])


marginal_field = Exercise(
    "1.3",
    _marginal_with(lambda squared, t: jax.nn.softmax(_log_likelihood(squared, t), axis=1)),
    _marginals,
    right="Right: each data point's velocity, weighted by how likely its path is to be here. This "
    "is the field that flow matching learns from these points, in closed form.",
    tolerance=1e-3,
    misconceptions=(
        Misconception(
            "unweighted average",
            "every data point has the same weight, wherever you are, so that you head for the "
            "mean of the data from everywhere. Paths that are unlikely to come through a_t should "
            "hardly count.",
            _marginal_with(lambda squared, t: jnp.ones_like(squared) / squared.shape[1]),
        ),
        Misconception(
            "wrong axis of softmax",
            "your weights sum to 1 over the batch. For each a_t, they must sum to 1 over the data "
            "points.",
            _marginal_with(lambda squared, t: jax.nn.softmax(_log_likelihood(squared, t), axis=0)),
        ),
        Misconception(
            "variance not squared",
            "you divide by 2 (1 - t). That is the standard deviation, 1 - t; a Gaussian's exponent "
            "has the variance, its square.",
            _marginal_with(lambda squared, t: jax.nn.softmax(-squared / (2 * (1 - t)), axis=1)),
        ),
        Misconception(
            "sign of the exponent",
            "the points farthest away get the most weight: the exponent of a Gaussian is negative.",
            _marginal_with(lambda squared, t: jax.nn.softmax(-_log_likelihood(squared, t), axis=1)),
        ),
        Misconception(
            "not normalised",
            "your weights don't sum to 1: divide by their sum, or use jax.nn.softmax.",
            _marginal_with(lambda squared, t: jnp.exp(_log_likelihood(squared, t))),
        ),
        Misconception(
            "nearest path only",
            "you follow the one likeliest data point. The others' paths come through here too, and "
            "count as often as they do.",
            _marginal_with(_nearest),
        ),
        Misconception(
            "distance to the data, not to its path",
            "you compare a_t with a_1. At time t the path to a_1 is spread around t a_1.",
            _unscaled,
        ),
        Misconception(
            "the half is missing",
            "a Gaussian's exponent is -|a_t - t a_1|^2 / (2 (1 - t)^2), with a 2.",
            _marginal_with(lambda squared, t: jax.nn.softmax(-squared / (1 - t) ** 2, axis=1)),
        ),
    ),
)
