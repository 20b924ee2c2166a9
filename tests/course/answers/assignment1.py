"""Answers to assignment 1's exercises: the cosine path, Heun's method, jumps of unequal length."""

import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# -------------------------------------------------------------------------- A1.1 the cosine path


@right("A1.1")
def as_in_the_solution(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    velocity = jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)
    return a_t, velocity


@right("A1.1")
def with_numpy(noise, actions, t):
    angle = np.pi / 2 * np.asarray(t)
    a_t = np.cos(angle) * noise + np.sin(angle) * actions
    return a_t, np.pi / 2 * (np.cos(angle) * actions - np.sin(angle) * noise)


@right("A1.1")
def with_jvp(noise, actions, t):
    def position(t):
        return jnp.cos(jnp.pi / 2 * t) * noise + jnp.sin(jnp.pi / 2 * t) * actions

    return jax.jvp(position, (t,), (jnp.ones_like(t),))


@right("A1.1")
def with_jacfwd_of_one_row(noise, actions, t):
    def position(t, a_0, a_1):
        return jnp.cos(jnp.pi * t / 2) * a_0 + jnp.sin(jnp.pi * t / 2) * a_1

    rows = t[:, 0], noise, actions
    return jax.vmap(position)(*rows), jax.vmap(jax.jacfwd(position))(*rows)


@right("A1.1")
def a_quarter_turn_later(noise, actions, t):
    position = lambda t: jnp.cos(jnp.pi / 2 * t) * noise + jnp.sin(jnp.pi / 2 * t) * actions  # noqa: E731
    return position(t), jnp.pi / 2 * position(t + 1)


@right("A1.1")
def number_by_number(noise, actions, t):
    paths, velocities = [], []
    for a_0, a_1, (time,) in zip(noise.tolist(), actions.tolist(), t.tolist(), strict=True):
        cos, sin = math.cos(math.pi * time / 2), math.sin(math.pi * time / 2)
        paths.append([cos * x + sin * y for x, y in zip(a_0, a_1, strict=True)])
        velocities.append(
            [math.pi / 2 * (cos * y - sin * x) for x, y in zip(a_0, a_1, strict=True)]
        )
    return np.array(paths), np.array(velocities)


@right("A1.1")
def with_complex_numbers(noise, actions, t):
    turned = (noise - 1j * actions) * jnp.exp(0.5j * jnp.pi * t)
    return turned.real, -jnp.pi / 2 * turned.imag


@right("A1.1")
def by_central_differences(noise, actions, t):
    noise, actions, t = (np.asarray(x, np.float64) for x in (noise, actions, t))
    position = lambda t: np.cos(np.pi / 2 * t) * noise + np.sin(np.pi / 2 * t) * actions  # noqa: E731
    return position(t), (position(t + 1e-5) - position(t - 1e-5)) / 2e-5


@right("A1.1")
def as_a_matrix_of_weights(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    weights = jnp.stack([jnp.hstack([cos, sin]), jnp.pi / 2 * jnp.hstack([-sin, cos])])
    return list(jnp.einsum("wbe,eba->wba", weights, jnp.stack([noise, actions])))


@wrong("A1.1", "chain rule forgotten")
def derivative_by_the_angle(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    return a_t, jnp.cos(angle) * actions - jnp.sin(angle) * noise


@wrong("A1.1", "factor pi instead of pi/2")
def inner_derivative_of_pi(noise, actions, t):
    angle = np.pi / 2 * t
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    return a_t, -np.pi * jnp.sin(angle) * noise + np.pi * jnp.cos(angle) * actions


@wrong("A1.1", "chain rule for one term only")
def parentheses_forgotten(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    velocity = jnp.pi / 2 * jnp.cos(angle) * actions - jnp.sin(angle) * noise
    return a_t, velocity


@wrong("A1.1", "velocity of the straight path")
def lesson_1_velocity(noise, actions, t):
    angle = jnp.pi / 2 * t
    return jnp.cos(angle) * noise + jnp.sin(angle) * actions, actions - noise


@wrong("A1.1", "straight path")
def lesson_1_path(noise, actions, t):
    return (1 - t) * noise + t * actions, actions - noise


@wrong("A1.1", "sign of the cosine's derivative")
def derivative_of_cosine_is_sine(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return cos * noise + sin * actions, jnp.pi / 2 * sin * noise + jnp.pi / 2 * cos * actions


@wrong("A1.1", "velocity reversed")
def velocity_to_the_noise(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return cos * noise + sin * actions, jnp.pi / 2 * (sin * noise - cos * actions)


@wrong("A1.1", "sine and cosine not exchanged")
def weights_of_the_position(noise, actions, t):
    a_t = jnp.cos(jnp.pi / 2 * t) * noise + jnp.sin(jnp.pi / 2 * t) * actions
    return a_t, jnp.pi / 2 * a_t


@wrong("A1.1", "time reversed")
def from_data_to_noise(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return cos * actions + sin * noise, jnp.pi / 2 * (cos * noise - sin * actions)


@wrong("A1.1", "path reversed")
def path_from_data_to_noise(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = jnp.sin(angle) * noise + jnp.cos(angle) * actions
    return a_t, jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)


@wrong("A1.1", "angle without pi/2")
def angle_is_time(noise, actions, t):
    return (
        jnp.cos(t) * noise + jnp.sin(t) * actions,
        jnp.cos(t) * actions - jnp.sin(t) * noise,
    )


@wrong("A1.1", "half a turn")
def angle_of_pi(noise, actions, t):
    position = lambda t: jnp.cos(jnp.pi * t) * noise + jnp.sin(jnp.pi * t) * actions  # noqa: E731
    return jax.jvp(position, (t,), (jnp.ones_like(t),))


@wrong("A1.1", "weights squared")
def weights_that_sum_to_one(noise, actions, t):
    def position(t):
        return jnp.cos(jnp.pi / 2 * t) ** 2 * noise + jnp.sin(jnp.pi / 2 * t) ** 2 * actions

    return jax.jvp(position, (t,), (jnp.ones_like(t),))


@wrong("A1.1", "velocity before path")
def in_the_wrong_order(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return jnp.pi / 2 * (cos * actions - sin * noise), cos * noise + sin * actions


@wrong("A1.1", says="The path is right. The velocity is off by")
def second_derivative(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return cos * noise + sin * actions, -((jnp.pi / 2) ** 2) * (cos * noise + sin * actions)


@wrong("A1.1", says="The path is right. The velocity is off by")
def differentiated_towards_the_past(noise, actions, t):
    position = lambda t: jnp.cos(jnp.pi / 2 * t) * noise + jnp.sin(jnp.pi / 2 * t) * actions  # noqa: E731
    return position(t), (position(t) - position(t - 0.01)) / 0.01


@wrong("A1.1", says="The path is off by")
def in_degrees(noise, actions, t):
    cos, sin = jnp.cos(90 * t), jnp.sin(90 * t)
    return cos * noise + sin * actions, 90 * (cos * actions - sin * noise)


@wrong("A1.1", says="The velocity should have the shape (5, 2), and has (5, 1), in case 1 of 2")
def only_how_fast_the_weights_change(noise, actions, t):
    cos, sin = jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t)
    return cos * noise + sin * actions, jnp.pi / 2 * (cos - sin)


@wrong("A1.1", says="should return the path and the velocity, and returns an array of shape (5, 2)")
def velocity_alone(noise, actions, t):
    angle = jnp.pi / 2 * t
    return jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)


@wrong("A1.1", says="should return the path and the velocity, and returns 3 arrays")
def with_the_angle(noise, actions, t):
    angle = jnp.pi / 2 * t
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return angle, cos * noise + sin * actions, jnp.pi / 2 * (cos * actions - sin * noise)


@wrong("A1.1", says="`without_return` returns nothing, or None in a place: is a `return` missing?")
def without_return(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    velocity = jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)
    print(a_t.shape, velocity.shape)


@wrong(
    "A1.1", says="It stopped in the line `cos, sin = math.cos(angle), math.sin(angle)` with Type"
)
def with_the_math_module(noise, actions, t):
    angle = math.pi / 2 * t
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * noise + sin * actions, math.pi / 2 * (cos * actions - sin * noise)


@wrong(
    "A1.1", says="It stopped in the line `a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions`"
)
def times_in_a_row(noise, actions, t):
    angle = jnp.pi / 2 * t[:, 0]
    a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
    return a_t, jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)


@wrong("A1.1", says="Use jnp")
def jvp_of_numpy(noise, actions, t):
    def position(t):
        return np.cos(np.pi / 2 * t) * noise + np.sin(np.pi / 2 * t) * actions

    return jax.jvp(position, (t,), (jnp.ones_like(t),))


# -------------------------------------------------------------------------- A1.2 Heun's method


@right("A1.2")
def loop(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        t = i * h
        v1 = field(obs, a, t * column)
        v2 = field(obs, a + h * v1, (t + h) * column)
        a = a + h * (v1 + v2) / 2
    return a


@right("A1.2")
def loop_over_pairs_of_times(field, obs, noise, steps):
    a, times = noise, jnp.linspace(0, 1, steps + 1)
    for start, end in pairwise(times):
        v1 = field(obs=obs, a_t=a, t=jnp.full((len(a), 1), start))
        v2 = field(obs=obs, a_t=a + (end - start) * v1, t=jnp.full((len(a), 1), end))
        a += (end - start) * (v1 + v2) / 2
    return a


@right("A1.2")
def euler_and_its_correction(field, obs, noise, steps):
    h, a, t = 1 / steps, noise, jnp.zeros((len(noise), 1))
    while t[0, 0] < 1 - h / 2:
        slope = field(obs, a, t)
        euler = a + h * slope
        t = t + h
        a = euler + h / 2 * (field(obs, euler, t) - slope)
    return a


@right("A1.2")
def scan(field, obs, noise, steps):
    def step(a, i):
        t = jnp.full((len(a), 1), i / steps)
        euler = a + field(obs, a, t) / steps
        return (a + euler + field(obs, euler, t + 1 / steps) / steps) / 2, None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


@right("A1.2")
def fori_loop(field, obs, noise, steps):
    column = np.ones((len(noise), 1))

    def step(i, a):
        v1 = field(obs, a, i / steps * column)
        v2 = field(obs, a + v1 / steps, (i + 1) / steps * column)
        return a + 0.5 * (v1 + v2) / steps

    return jax.lax.fori_loop(0, steps, step, noise)


@right("A1.2")
def as_a_runge_kutta_method(field, obs, noise, steps):
    """A tableau: nodes, matrix and weights."""
    nodes, matrix, weights = (0.0, 1.0), ((0.0, 0.0), (1.0, 0.0)), (0.5, 0.5)
    a, h = noise, 1 / steps
    for i in range(steps):
        slopes = []
        for node, row in zip(nodes, matrix, strict=True):
            point = a + h * sum(w * v for w, v in zip(row, slopes))  # noqa: B905 (no later slopes)
            slopes.append(field(obs, point, jnp.full((len(a), 1), (i + node) * h)))
        a = a + h * sum(w * v for w, v in zip(weights, slopes, strict=True))
    return a


@right("A1.2")
def recursion(field, obs, noise, steps):
    def after(i):
        if i == 0:
            return noise
        a, t = after(i - 1), jnp.full((len(noise), 1), (i - 1) / steps)
        v1 = field(obs, a, t)
        return a + jnp.mean(jnp.stack([v1, field(obs, a + v1 / steps, t + 1 / steps)]), 0) / steps

    return after(steps)


@right("A1.2")
def each_row_alone(field, obs, noise, steps):
    def of_row(o, a):
        for i in range(steps):
            v1 = field(o[None], a[None], jnp.full((1, 1), i / steps))[0]
            v2 = field(o[None], (a + v1 / steps)[None], jnp.full((1, 1), (i + 1) / steps))[0]
            a = a + (v1 + v2) / (2 * steps)
        return a

    return jax.vmap(of_row)(obs, noise)


@right("A1.2")
def numpy_around_the_field(field, obs, noise, steps):
    a, h = np.array(noise), 1 / steps
    for i in range(steps):
        v1 = np.asarray(field(obs, jnp.asarray(a), jnp.full((len(a), 1), i * h)))
        v2 = np.asarray(field(obs, jnp.asarray(a + h * v1), jnp.full((len(a), 1), (i + 1) * h)))
        a += h * np.mean([v1, v2], axis=0)
    return a


@right("A1.2")
def as_a_list_of_rows(field, obs, noise, steps):
    a, h, one = noise, 1 / steps, jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * one)
        a = a + h / 2 * v1 + h / 2 * field(obs, a + h * v1, (i + 1) * h * one)
    return list(a)


@wrong("A1.2", "Euler's method")
def euler(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for i in range(steps):
        a = a + h * field(obs, a, jnp.full((len(a), 1), i * h))
    return a


@wrong("A1.2", "second slope at the wrong time")
def time_not_advanced(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        t = i * h * column
        v1 = field(obs, a, t)
        v2 = field(obs, a + h * v1, t)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "second slope at the wrong point")
def point_not_advanced(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "midpoint method")
def midpoint(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        middle = a + h / 2 * field(obs, a, i * h * column)
        a = a + h * field(obs, middle, (i + 0.5) * h * column)
    return a


@wrong("A1.2", "half of Euler's step")
def mean_with_the_middle(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1 / 2, (i * h + h / 2) * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "point and time of different steps")
def half_in_space_only(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h / 2 * v1, (i * h + h) * column)
        a = a + h / 2 * (v1 + v2)
    return a


@wrong("A1.2", "not averaged")
def sum_of_slopes(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + h * (v1 + v2)
    return a


@wrong("A1.2", "second slope only")
def slope_at_the_end(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        tried = a + h * field(obs, a, i * h * column)
        a = a + h * field(obs, tried, (i + 1) * h * column)
    return a


@wrong("A1.2", "continued from Euler's step")
def try_overwrites_the_start(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        a = a + h * v1
        v2 = field(obs, a, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "a step and a half")
def half_of_the_second_alone(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + h * (v1 + v2 / 2)
    return a


@wrong("A1.2", "try without the step size")
def tries_a_whole_velocity(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + v1, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "step without the step size")
def steps_a_whole_velocity(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + (v1 + v2) / 2
    return a


@wrong("A1.2", "time counted in steps")
def i_for_t(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for t in range(steps):
        v1 = field(obs, a, t * column)
        v2 = field(obs, a + h * v1, (t + h) * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "times i and i + 1")
def i_and_the_next_for_the_times(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for i in range(steps):
        v1 = field(obs, a, jnp.full((len(a), 1), i))
        v2 = field(obs, a + h * v1, jnp.full((len(a), 1), i + 1))
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "time reversed")
def counts_down(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps, 0, -1):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i - 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", "one step only")
def return_inside_the_loop(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        t = i * h
        v1 = field(obs, a, t * column)
        v2 = field(obs, a + h * v1, (t + h) * column)
        a = a + h * (v1 + v2) / 2
        return a


@wrong("A1.2", says="The sample is off by")
def skips_the_last_step(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps - 1):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", says="in case 1 of 3 (steps = 3), and in the other")
def mean_of_the_first_slope_forgets_h(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + h * v1 + v2 / 2
    return a


@wrong("A1.2", says="The sample is off by")
def tries_backwards(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a - h * v1, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", says="2 of 3 cases are right")
def right_for_many_steps_alone(field, obs, noise, steps):
    """A special case that was meant to save time."""
    if steps == 1:
        return noise + field(obs, noise, jnp.zeros((len(noise), 1)))
    return loop(field, obs, noise, steps)


@wrong(
    "A1.2", says="The sample should have the shape (5, 2), and has (4, 5, 2), in case 1 of 3 (step"
)
def whole_path(field, obs, noise, steps):
    path, h = [noise], 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, path[-1], i * h * column)
        v2 = field(obs, path[-1] + h * v1, (i + 1) * h * column)
        path.append(path[-1] + h * (v1 + v2) / 2)
    return path


@wrong(
    "A1.2", says="`without_a_result` returns nothing, or None in a place: is a `return` missing?"
)
def without_a_result(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        v1 = field(obs, a, i * h * column)
        v2 = field(obs, a + h * v1, (i + 1) * h * column)
        a = a + h * (v1 + v2) / 2


@wrong("A1.2", says="takes t as a column, (batch, 1) = (5, 1), and got the shape ()")
def time_as_a_number(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for i in range(steps):
        v1 = field(obs, a, i * h)
        v2 = field(obs, a + h * v1, i * h + h)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", says="It stopped in the line `v1 = field(obs, a)` with TypeError")
def without_the_time(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for _ in range(steps):
        v1 = field(obs, a)
        v2 = field(obs, a + h * v1)
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", says="It stopped in the line `a = a + h * (v1 + v2) / 2` with UnboundLocalError")
def unknown_name(field, obs, noise, steps):
    h = 1 / steps
    for i in range(steps):
        v1 = field(obs, noise, jnp.full((len(noise), 1), i * h))
        v2 = field(obs, noise + h * v1, jnp.full((len(noise), 1), i * h + h))
        a = a + h * (v1 + v2) / 2
    return a


@wrong("A1.2", says="Use jnp")
def numpy_inside_a_scan(field, obs, noise, steps):
    def step(a, i):
        v1 = field(obs, a, jnp.asarray(np.full((len(a), 1), i / steps)))
        v2 = field(obs, a + v1 / steps, jnp.asarray(np.full((len(a), 1), (i + 1) / steps)))
        return a + (v1 + v2) / (2 * steps), None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


# ---------------------------------------------------------------- A1.3 jumps of unequal length


@right("A1.3")
def as_the_solution_says(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@right("A1.3")
def from_the_landing_points(target_shortcut, obs, a_t, t, h1, h2):
    middle = a_t + h1 * target_shortcut(obs, a_t, t, h1)
    end = middle + h2 * target_shortcut(obs, middle, t + h1, h2)
    return jax.lax.stop_gradient(end - a_t) / (h1 + h2)


@right("A1.3")
def named_arguments(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs=obs, a_t=a_t, t=t, h=h1)
    v2 = target_shortcut(h=h2, t=t + h1, a_t=a_t + h1 * v1, obs=obs)
    share = h1 / (h1 + h2)
    return jax.lax.stop_gradient(share * v1 + (1 - share) * v2)


@right("A1.3")
def each_jump_stopped(target_shortcut, obs, a_t, t, h1, h2):
    v1 = jax.lax.stop_gradient(target_shortcut(obs, a_t, t, h1))
    v2 = jax.lax.stop_gradient(target_shortcut(obs, a_t + h1 * v1, t + h1, h2))
    return v1 + h2 / (h1 + h2) * (v2 - v1)


@right("A1.3")
def stopped_shortcut(target_shortcut, obs, a_t, t, h1, h2):
    fixed = lambda *inputs: jax.lax.stop_gradient(target_shortcut(*inputs))  # noqa: E731
    v1 = fixed(obs, a_t, t, h1)
    return (h1 * v1 + h2 * fixed(obs, a_t + h1 * v1, t + h1, h2)) / (h1 + h2)


@right("A1.3")
def row_after_row(target_shortcut, obs, a_t, t, h1, h2):
    rows = []
    for b in range(len(a_t)):
        one = slice(b, b + 1)
        v1 = target_shortcut(obs[one], a_t[one], t[one], h1[one])
        v2 = target_shortcut(obs[one], a_t[one] + h1[one] * v1, t[one] + h1[one], h2[one])
        rows.append((h1[b] * v1[0] + h2[b] * v2[0]) / (h1[b] + h2[b]))
    return jax.lax.stop_gradient(jnp.stack(rows))


@right("A1.3")
def vmapped(target_shortcut, obs, a_t, t, h1, h2):
    def of_row(o, a, t, h1, h2):
        jump = lambda a, t, h: target_shortcut(o[None], a[None], t[None], h[None])[0]  # noqa: E731
        v1 = jump(a, t, h1)
        return (h1 * v1 + h2 * jump(a + h1 * v1, t + h1, h2)) / (h1 + h2)

    return jax.lax.stop_gradient(jax.vmap(of_row)(obs, a_t, t, h1, h2))


@right("A1.3")
def scanned(target_shortcut, obs, a_t, t, h1, h2):
    def jump(now, h):
        a, t = now
        v = jax.lax.stop_gradient(target_shortcut(obs, a, t, h))
        return (a + h * v, t + h), h * v

    _, distances = jax.lax.scan(jump, (a_t, t), jnp.stack([h1, h2]))
    return distances.sum(0) / (h1 + h2)


@right("A1.3")
def weighted_average(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    weights = jnp.broadcast_to(jnp.stack([h1, h2]), (2, *v1.shape))
    return jax.lax.stop_gradient(jnp.average(jnp.stack([v1, v2]), axis=0, weights=weights))


@right("A1.3")
def numpy_on_the_times_alone(target_shortcut, obs, a_t, t, h1, h2):
    """Times and lengths are numbers, and may be NumPy's."""
    whole = np.add(h1, h2)
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, jnp.asarray(np.add(t, h1)), h2)
    return jax.lax.stop_gradient(np.divide(h1, whole) * v1 + np.divide(h2, whole) * v2)


@wrong("A1.3", "unweighted mean")
def as_in_lesson_2(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("A1.3", "weights swapped")
def weights_of_the_other(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    share = h1 / (h1 + h2)
    return jax.lax.stop_gradient((1 - share) * v1 + share * v2)


@wrong("A1.3", "missing stop-gradient")
def gradient_flows(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", "missing stop-gradient")
def inputs_stopped_instead(target_shortcut, obs, a_t, t, h1, h2):
    obs, a_t, t, h1, h2 = jax.lax.stop_gradient((obs, a_t, t, h1, h2))
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", "stop-gradient on the first jump only")
def first_stopped(target_shortcut, obs, a_t, t, h1, h2):
    v1 = jax.lax.stop_gradient(target_shortcut(obs, a_t, t, h1))
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", "stop-gradient on the second jump only", says="the numbers are right")
def second_stopped(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = jax.lax.stop_gradient(target_shortcut(obs, a_t + h1 * v1, t + h1, h2))
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", "both jumps at the same time")
def clock_stands_still(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "second jump at t + h2")
def clock_of_the_second(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h2, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "second jump at its end")
def clock_at_the_end(target_shortcut, obs, a_t, t, h1, h2):
    h = h1 + h2
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / h)


@wrong("A1.3", "second jump starts where the first did")
def both_from_a_t(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "first jump without its length")
def lands_too_far(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + v1, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "first jump as long as the second")
def lands_after_h2(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h2 * v1, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "step size h1 for both jumps")
def second_copied_from_the_first(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h1)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "step sizes exchanged")
def other_step_sizes(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h2)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h1)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "parts in the other order")
def second_part_first(target_shortcut, obs, a_t, t, h1, h2):
    v2 = target_shortcut(obs, a_t, t, h2)
    v1 = target_shortcut(obs, a_t + h2 * v2, t + h2, h1)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", "step size of the whole jump")
def whole_step_size(target_shortcut, obs, a_t, t, h1, h2):
    h = h1 + h2
    v1 = target_shortcut(obs, a_t, t, h)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / h)


@wrong("A1.3", "distance instead of velocity")
def displacement(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient(h1 * v1 + h2 * v2)


@wrong("A1.3", "landing point instead of velocity")
def landing_point(target_shortcut, obs, a_t, t, h1, h2):
    a_middle = a_t + h1 * target_shortcut(obs, a_t, t, h1)
    a_end = a_middle + h2 * target_shortcut(obs, a_middle, t + h1, h2)
    return jax.lax.stop_gradient(a_end)


@wrong("A1.3", "divided by 2")
def distances_averaged(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient(0.5 * (h1 * v1 + h2 * v2))


@wrong("A1.3", "sum instead of average")
def velocities_added(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient(v1 + v2)


@wrong("A1.3", "second jump only")
def second_velocity(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    return jax.lax.stop_gradient(target_shortcut(obs, a_t + h1 * v1, t + h1, h2))


@wrong("A1.3", "parentheses around h1 + h2 missing")
def division_before_addition(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / h1 + h2)


@wrong("A1.3", says="The target is right. Its gradient by the shortcut's parameters is off by")
def landing_stopped(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    landed = jax.lax.stop_gradient(a_t + h1 * v1)
    v2 = target_shortcut(obs, landed, t + h1, h2)
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", "stop-gradient on the first jump only", says="the numbers are right")
def stopped_where_it_lands(target_shortcut, obs, a_t, t, h1, h2):
    middle = jax.lax.stop_gradient(a_t + h1 * target_shortcut(obs, a_t, t, h1))
    end = middle + h2 * target_shortcut(obs, middle, t + h1, h2)
    return (end - jax.lax.stop_gradient(a_t)) / (h1 + h2)


@wrong("A1.3", says="Its gradient by the shortcut's parameters is right. The target is off by")
def first_velocity(target_shortcut, obs, a_t, t, h1, h2):
    return jax.lax.stop_gradient(target_shortcut(obs, a_t, t, h1))


@wrong("A1.3", says="Its gradient by the shortcut's parameters is right. The target is off by")
def time_added_to_the_place(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1, t + h1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", says="This is none of the usual mistakes")
def two_mistakes(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t, h2)
    return (v1 + v2) / 2


@wrong(
    "A1.3", says="The target should have the shape (6, 2), and has (), in case 1 of 2 (obs (6, 1),"
)
def already_a_loss(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    v = (h1 * v1 + h2 * v2) / (h1 + h2)
    return jnp.mean((target_shortcut(obs, a_t, t, h1 + h2) - jax.lax.stop_gradient(v)) ** 2)


@wrong("A1.3", says="`computes_and_forgets` returns nothing")
def computes_and_forgets(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", says="It uses NumPy (np) on numbers that JAX traces, to differentiate them")
def numpy_for_stop_gradient(target_shortcut, obs, a_t, t, h1, h2):
    v1 = np.asarray(target_shortcut(obs, a_t, t, h1))
    v2 = np.asarray(target_shortcut(obs, jnp.asarray(a_t + h1 * v1), t + h1, h2))
    return (h1 * v1 + h2 * v2) / (h1 + h2)


@wrong("A1.3", says="Use jnp")
def numpy_for_the_mean(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
    return jax.lax.stop_gradient(np.average(np.stack([v1, v2]), axis=0))


@wrong(
    "A1.3", says="It stopped in the line `v2 = target_shortcut(obs, a_t + h1 * v1, h2)` with Type"
)
def time_of_the_second_forgotten(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = target_shortcut(obs, a_t + h1 * v1, h2)
    return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))


@wrong("A1.3", says="with AttributeError: module 'jax' has no attribute 'stop_gradient'")
def stop_gradient_of_another_module(target_shortcut, obs, a_t, t, h1, h2):
    jump = partial(target_shortcut, obs)
    v1 = jump(a_t, t, h1)
    v2 = jump(a_t + h1 * v1, t + h1, h2)
    return jax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))
