"""Lesson 1's exercises: the path and its velocity, the Euler sampler, the marginal field."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import swirl
from sorl_edu.flow_matching import Field, integrate, interpolate, velocity_target

SIZES = ((5, 2), (3, 1))  # (batch, action) of the cases: a missing axis shows in the second


def path_cases(key: PRNGKeyArray) -> list[tuple]:
    """(noise, actions, t) in several sizes."""
    draw = Draws(key)
    return [(draw.normal(*size), draw.normal(*size), draw.uniform(size[0], 1)) for size in SIZES]


# ------------------------------------------------------------------------ 1.1 path and velocity


def _position(noise: Array, actions: Array, t: Array) -> Array:
    return interpolate(noise, actions, t, epsilon=0.0)


def _velocity(noise: Array, actions: Array, t: Array) -> Array:
    return velocity_target(noise, actions, epsilon=0.0)


def _path_with(*, position: Callable = _position, velocity: Callable = _velocity) -> Callable:
    """Path and velocity, each a function of (noise, actions, t)."""

    def path(
        noise: Float[Array, "batch action"],
        actions: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
    ) -> tuple[Array, Array]:
        return position(noise, actions, t), velocity(noise, actions, t)

    return path


def _reversed_position(noise: Array, actions: Array, t: Array) -> Array:
    return _position(actions, noise, t)


def _reversed_velocity(noise: Array, actions: Array, t: Array) -> Array:
    return _velocity(actions, noise, t)


path = Exercise(
    number="1.1",
    library=("sorl_edu.flow_matching:interpolate", "sorl_edu.flow_matching:velocity_target"),
    parts=("the path", "the velocity"),
    solution=_path_with(),
    cases=path_cases,
    right="Right: your path starts at the noise (t = 0) and ends at the data (t = 1), and your "
    "velocity is its derivative with respect to t.",
    misconceptions=(
        Misconception(
            "time reversed",
            "at t = 0 your path is at the data, at t = 1 at the noise. Diffusion papers count time "
            "like this; here it runs from noise (t = 0) to data (t = 1).",
            _path_with(position=_reversed_position, velocity=_reversed_velocity),
        ),
        Misconception(
            "path reversed",
            "your velocity points to the data, but your path leads to the noise. Insert t = 0 and "
            "see where you are.",
            _path_with(position=_reversed_position),
        ),
        Misconception(
            "velocity reversed",
            "the path is right, but your velocity points from the data back to the noise. "
            "Differentiate your path with respect to t.",
            _path_with(velocity=_reversed_velocity),
        ),
        Misconception(
            "velocity to the end from here",
            "you aim from a_t at the data, a_1 - a_t. This remaining distance shrinks as t grows. "
            "The velocity is the distance per unit of time, which is constant on a straight path.",
            _path_with(velocity=lambda noise, actions, t: actions - _position(noise, actions, t)),
        ),
        Misconception(
            "velocity times t",
            "you multiplied the velocity by t, which gives the distance from the noise at time t. "
            "The velocity is the derivative with respect to t.",
            _path_with(velocity=lambda noise, actions, t: t * (actions - noise)),
        ),
        Misconception(
            "noise not faded out",
            "the noise keeps its full weight, so that your path ends at data plus noise at t = 1.",
            _path_with(
                position=lambda noise, actions, t: noise + t * actions,
                velocity=lambda noise, actions, t: actions,
            ),
        ),
        Misconception(
            "velocity before path",
            "both are right, but in the wrong order: return the path first, then the velocity.",
            _path_with(position=_velocity, velocity=_position),
        ),
    ),
)


# ------------------------------------------------------------------------- 1.2 the Euler sampler


def _euler_cases(key: PRNGKeyArray) -> list[tuple]:
    """(field, obs, noise, steps) in several sizes; 1 step is last, where few mistakes show."""
    draw = Draws(key)
    return [
        (swirl, draw.normal(size[0], 1), draw.normal(*size), steps)
        for size, steps in zip((*SIZES, SIZES[0]), (4, 7, 1), strict=True)
    ]


def _euler_with(
    *,
    time: Callable[[int, int], float] = lambda i, m: i / m,
    length: Callable[[int], float] = lambda m: 1 / m,
    start: Callable[[Array, Array], Array] = lambda noise, a: a,
    place: Callable[[Array, Array], Array] = lambda noise, a: a,
    count: Callable[[int], int] = lambda m: m,
) -> Callable:
    """A sampler of `count(m)` steps, each `length(m)` long, from `start(noise, a)`.

    Step i has the velocity at `place(noise, a)` and `time(i, m)`.
    """

    def euler(field: Field, obs: Array, noise: Float[Array, "batch action"], steps: int) -> Array:
        a = noise
        for i in range(count(steps)):
            t = jnp.full((len(a), 1), time(i, steps))
            a = start(noise, a) + length(steps) * field(obs, place(noise, a), t)
        return a

    return euler


euler = Exercise(
    number="1.2",
    library=("sorl_edu.flow_matching:integrate", "sorl_edu.flow_matching:integrate_path"),
    parts=("the sample",),
    solution=integrate,
    cases=_euler_cases,
    right="Right: m steps of size 1/m, each with the velocity where and when it starts.",
    misconceptions=(
        Misconception(
            "integrates backwards",
            "you subtract the velocity, which leads away from the data. The velocity already "
            "points from noise to data: follow it while t grows from 0 to 1.",
            _euler_with(length=lambda m: -1 / m),
        ),
        Misconception(
            "time reversed",
            "your first step evaluates the field at t = 1. The noise is at t = 0: step i starts at "
            "t = i/m.",
            _euler_with(time=lambda i, m: 1 - i / m),
        ),
        Misconception(
            "time reversed, from the end of the step",
            "you count time down, as a diffusion model does. The noise is at t = 0 here: step i "
            "starts at t = i/m.",
            _euler_with(time=lambda i, m: 1 - (i + 1) / m),
        ),
        Misconception(
            "forgets the step size",
            "each step adds the whole velocity, so that m steps move m times too far. A velocity "
            "is per unit of time, and a step lasts 1/m.",
            _euler_with(length=lambda m: 1.0),
        ),
        Misconception(
            "evaluates at the end of the step",
            "you evaluate the field at t = (i + 1)/m, when the step is over. Euler's step uses the "
            "velocity at its start, t = i/m.",
            _euler_with(time=lambda i, m: (i + 1) / m),
        ),
        Misconception(
            "time counted in steps",
            "you give the field the number of the step, i = 0, 1, 2, ... It knows only times from "
            "0 to 1.",
            _euler_with(time=lambda i, m: i),
        ),
        Misconception(
            "time stands still",
            "every step evaluates the field at t = 0. The field changes with time.",
            _euler_with(time=lambda i, m: 0.0),
        ),
        Misconception(
            "starts again from the noise",
            "every step starts from the noise, so that only the last one counts. Start each step "
            "where the one before it ended.",
            _euler_with(start=lambda noise, a: noise),
        ),
        Misconception(
            "velocity at the noise",
            "every step evaluates the field at the noise. The field changes with the position, "
            "too: evaluate it where the step starts.",
            _euler_with(place=lambda noise, a: noise),
        ),
        Misconception(
            "step in place of the position",
            "you keep the step itself and drop the position at which it started. A step leads from "
            "there to the next position.",
            _euler_with(start=lambda noise, a: 0 * a),
        ),
        Misconception(
            "times up to 1",
            "you divide the time from 0 to 1 by m - 1, as jnp.linspace(0, 1, m) does, so that the "
            "last step starts at t = 1. It ends there: m steps start at 0, 1/m, ..., (m - 1)/m.",
            _euler_with(time=lambda i, m: i / max(m - 1, 1)),
        ),
        Misconception(
            "one step only",
            "you return where the first step ends, at t = 1/m. Is the `return` inside of the loop?",
            _euler_with(count=lambda m: 1),
        ),
    ),
)


# --------------------------------------------------------------------------- 1.3 the marginal field


def _marginal_field_cases(key: PRNGKeyArray) -> list[tuple]:
    """(data, a_t, t) with points on and around the paths, t away from 1."""
    draw = Draws(key)
    return [  # the second is square: a wrong axis runs
        (draw.normal(rows, 2), draw.normal(5, 2), draw.uniform(5, 1, low=0.15, high=0.6))
        for rows in (4, 5)
    ]


def _log_likelihood(squared: Array, t: Array) -> Array:
    return -squared / (2 * (1 - t) ** 2)


def _posterior(squared: Array, t: Array) -> Array:
    return jax.nn.softmax(_log_likelihood(squared, t), axis=1)


def _marginal_field_with(
    *,
    weights: Callable[[Array, Array], Array] = _posterior,
    center: Callable[[Array, Array], Array] = lambda data, t: t * data,
    distance: Callable[[Array], Array] = lambda apart: jnp.sum(apart**2, axis=-1),
) -> Callable:
    """The marginal field with `weights(distance to the center (batch, n), t)`."""

    def marginal_field(
        data: Float[Array, "n action"],
        a_t: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
    ) -> Array:
        squared = distance(a_t[:, None] - center(data, t[:, None]))
        return (weights(squared, t) @ data - a_t) / (1 - t)

    return marginal_field


def _nearest(squared: Array, t: Array) -> Array:
    return jax.nn.one_hot(squared.argmin(1), squared.shape[1])


marginal_field = Exercise(
    number="1.3",
    parts=("the field",),
    solution=_marginal_field_with(),
    cases=_marginal_field_cases,
    tolerance=1e-3,
    right="Right: the velocity to each data point, weighted by how likely its path is to be here. "
    "Flow matching on these points learns this field; yours is its closed form.",
    misconceptions=(
        Misconception(
            "unweighted average",
            "every data point has the same weight, wherever you are, so that you head for the "
            "mean of the data from everywhere. Paths that are unlikely to pass through a_t should "
            "hardly count.",
            _marginal_field_with(weights=lambda squared, t: 0 * squared + 1 / squared.shape[1]),
        ),
        Misconception(
            "wrong axis of softmax",
            "your weights sum to 1 over the batch. For each a_t, they must sum to 1 over the data "
            "points.",
            _marginal_field_with(
                weights=lambda squared, t: jax.nn.softmax(_log_likelihood(squared, t), axis=0)
            ),
        ),
        Misconception(
            "variance not squared",
            "you divide by 2 (1 - t). The standard deviation is 1 - t; a Gaussian's exponent has "
            "the variance, its square.",
            _marginal_field_with(
                weights=lambda squared, t: jax.nn.softmax(-squared / (2 * (1 - t)), axis=1)
            ),
        ),
        Misconception(
            "sign of the exponent",
            "the farthest points get the most weight: the exponent of a Gaussian is negative.",
            _marginal_field_with(
                weights=lambda squared, t: jax.nn.softmax(-_log_likelihood(squared, t), axis=1)
            ),
        ),
        Misconception(
            "not normalised",
            "your weights don't sum to 1: divide by their sum, or use jax.nn.softmax.",
            _marginal_field_with(weights=lambda squared, t: jnp.exp(_log_likelihood(squared, t))),
        ),
        Misconception(
            "nearest path only",
            "you follow only the most likely data point. The paths to the others pass through here "
            "too, and count in proportion to their likelihood.",
            _marginal_field_with(weights=_nearest),
        ),
        Misconception(
            "distance to the data, not to its path",
            "you compare a_t with a_1. At time t, the path to a_1 is spread around t a_1.",
            _marginal_field_with(center=lambda data, t: data),
        ),
        Misconception(
            "the half is missing",
            "a Gaussian's exponent is -|a_t - t a_1|^2 / (2 (1 - t)^2), with a 2.",
            _marginal_field_with(
                weights=lambda squared, t: jax.nn.softmax(-squared / (1 - t) ** 2, axis=1)
            ),
        ),
        Misconception(
            "distance not squared",
            "your exponent has the distance of a_t from t a_1. A Gaussian's has its square.",
            _marginal_field_with(distance=lambda apart: jnp.linalg.norm(apart, axis=-1)),
        ),
        Misconception(
            "mean over the coordinates",
            "you average the squared differences over the coordinates. The squared distance is "
            "their sum.",
            _marginal_field_with(distance=lambda apart: jnp.mean(apart**2, axis=-1)),
        ),
    ),
)
