"""Answers to lesson 2's exercises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ----------------------------------------------------------------------- 2.1 the few-step sampler


@right("2.1")
def as_in_the_lesson(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / min(m, M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@right("2.1")
def larger_of_the_two_steps(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, max(1 / m, 1 / M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@right("2.1")
def two_branches_and_named_arguments(s, obs, noise, m, M):
    h = 1 / M if m > M else 1 / m
    for t in np.linspace(0, 1, m, endpoint=False):
        times = jnp.full((len(noise), 1), t)
        noise = noise + s(h=jnp.full_like(times, h), t=times, a_t=noise, obs=obs) / m
    return noise


@right("2.1")
def with_scan(s, obs, noise, m, M):
    h = jnp.full((len(noise), 1), 1 / min(m, M))

    def step(a, i):
        return a + s(obs, a, jnp.full_like(h, i / m), h) / m, None

    return jax.lax.scan(step, noise, jnp.arange(m))[0]


@right("2.1")
def with_fori_loop(s, obs, noise, m, M):
    h = jnp.maximum(1 / m, 1 / M) * jnp.ones((len(noise), 1))
    step = lambda i, a: a + s(obs, a, jnp.zeros_like(h) + i / m, h) / m  # noqa: E731
    return jax.lax.fori_loop(0, m, step, noise)


@right("2.1")
def with_clip(s, obs, noise, m, M):
    h = jnp.clip(jnp.full((len(noise), 1), 1 / m), min=1 / M)
    a, t = noise, jnp.zeros_like(h)
    while t[0, 0] < 1 - 0.5 / m:
        a, t = a + s(obs, a, t, h) / m, t + 1 / m
    return a


@right("2.1")
def positions_in_numpy(s, obs, noise, m, M):
    a = np.array(noise)
    for i in range(m):
        t, h = np.full((2, len(a), 1), [[[i / m]], [[1 / min(m, M)]]])
        a += np.asarray(s(obs, jnp.asarray(a), jnp.asarray(t), jnp.asarray(h))) / m
    return a


@right("2.1")
def row_after_row(s, obs, noise, m, M):
    one = jnp.ones((1, 1))
    rows = []
    for i in range(len(noise)):
        a = noise[i : i + 1]
        for k in range(m):
            a = a + s(obs[i : i + 1], a, one * k / m, one / min(m, M)) / m
        rows.append(a[0])
    return rows


@right("2.1")
def a_plain_flow_of_one_step_size(s, obs, noise, m, M):
    def field(a, t):
        column = jnp.ones((len(a), 1))
        return s(obs, a, t * column, column / min(m, M))

    return functools.reduce(lambda a, i: a + field(a, i / m) / m, range(m), noise)


@wrong("2.1", "feeds it the finest step")
def always_the_finest(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / M, 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "feeds it a step that it never saw")
def the_step_that_is_taken(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a, h = noise, 1 / m
    for i in range(m):
        a = a + h * s(obs, a, i * h * column, h * column)
    return a


@wrong("2.1", "smaller of 1/m and 1/M")
def smaller_of_the_two_steps(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, min(1 / m, 1 / M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "step that is fed and length exchanged")
def told_and_length_exchanged(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / m, 1 / min(m, M)
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "never more than M steps")
def at_most_M_steps(s, obs, noise, m, M):
    m = min(m, M)
    column = jnp.ones((len(noise), 1))
    for i in range(m):
        noise = noise + s(obs, noise, i / m * column, column / m) / m
    return noise


@wrong("2.1", "feeds it one whole jump")
def always_one_jump(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        a = a + s(obs, a, i / m * column, column) / m
    return a


@wrong("2.1", "steps of 1/M")
def moves_by_the_finest_step(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / min(m, M), 1 / M
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "steps as long as the h that is fed")
def one_number_for_both(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h = i / m, 1 / min(m, M)
        a = a + h * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "forgets the step size")
def whole_velocities(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        a = a + s(obs, a, i / m * column, 1 / min(m, M) * column)
    return a


@wrong("2.1", "time on the grid of M")
def time_in_finest_steps(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / M, 1 / min(m, M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", "evaluates at the end of the step")
def time_after_the_step(s, obs, noise, m, M):
    a, t = noise, jnp.zeros((len(noise), 1))
    for _ in range(m):
        t = t + 1 / m
        a = a + s(obs, a, t, jnp.full_like(t, 1 / min(m, M))) / m
    return a


@wrong("2.1", "time reversed")
def from_one_to_zero(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m, 0, -1):
        a = a + s(obs, a, i / m * column, 1 / min(m, M) * column) / m
    return a


@wrong("2.1", "times and steps in units of the h that is fed")
def everything_in_steps_of_h(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a, h = noise, 1 / min(m, M)
    for i in range(m):
        a = a + h * s(obs, a, i * h * column, h * column)
    return a


@wrong("2.1", says="in case 4 of 4 (m = 16, M = 4); 3 of 4 cases are right")
def time_in_steps_of_h(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a, h = noise, 1 / min(m, M)
    for i in range(m):
        a = a + s(obs, a, i * h * column, h * column) / m
    return a


@wrong("2.1", says="in case 1 of 4 (m = 4, M = 8), and in the other")
def number_of_steps_for_their_size(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, min(m, M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", says="The sample is off by up to")
def whole_number_division(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 // min(m, M), 1 / m
        a = a + length * s(obs, a, t * column, h * column)
    return a


@wrong("2.1", says="The sample is off by up to")
def time_and_step_exchanged(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / min(m, M), 1 / m
        a = a + length * s(obs, a, h * column, t * column)
    return a


@wrong("2.1", says="The sample is off by up to")
def M_steps_whatever_m_is(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(M):
        a = a + s(obs, a, i / M * column, 1 / min(m, M) * column) / M
    return a


@wrong("2.1", says="The sample should have the shape (5, 2), and has (2,), in case 1 of 4")
def mean_of_the_batch(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        a = a + s(obs, a, i / m * column, column / min(m, M)) / m
    return a.mean(0)


@wrong("2.1", says="the field takes h as a column, (batch, 1) = (5, 1), and got the shape ()")
def h_as_a_number(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, 1 / min(m, M), 1 / m
        a = a + length * s(obs, a, t * column, h)
    return a


@wrong("2.1", says="the field takes t as a column, (batch, 1) = (5, 1), and got the shape (5, 2)")
def times_like_the_noise(s, obs, noise, m, M):
    a = noise
    for i in range(m):
        a = a + s(obs, a, jnp.full_like(a, i / m), jnp.full_like(a, 1 / min(m, M))) / m
    return a


@wrong("2.1", says="It stopped in the line `a = a + s(obs, a, i / m * column) / m` with TypeError")
def forgets_to_feed_h(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        a = a + s(obs, a, i / m * column) / m
    return a


@wrong("2.1", says="`does_not_return` returns nothing")
def does_not_return(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    for i in range(m):
        noise = noise + s(obs, noise, i / m * column, column / min(m, M)) / m


@wrong("2.1", says="Use jnp there")
def numpy_in_a_scan(s, obs, noise, m, M):
    h = jnp.full((len(noise), 1), 1 / min(m, M))

    def step(a, t):
        return a + s(obs, a, jnp.asarray(np.full((len(a), 1), t)), h) / m, None

    return jax.lax.scan(step, noise, jnp.arange(m) / m)[0]


# ------------------------------------------------------------------ 2.2 the self-consistency target


@right("2.2")
def target_as_in_the_lesson(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@right("2.2")
def each_half_stopped(s, obs, a_t, t, h):
    v1 = jax.lax.stop_gradient(s(obs, a_t, t, h))
    v2 = jax.lax.stop_gradient(s(obs, a_t + h * v1, t + h, h))
    return (v1 + v2) / 2


@right("2.2")
def velocity_between_the_ends(s, obs, a_t, t, h):
    middle = a_t + h * s(obs=obs, a_t=a_t, t=t, h=h)
    end = middle + h * s(obs=obs, a_t=middle, t=t + h, h=h)
    return jax.lax.stop_gradient(end - a_t) / (2 * h)


@right("2.2")
def a_field_that_is_stopped(s, obs, a_t, t, h):
    def stopped(*inputs):
        return jax.lax.stop_gradient(s(*inputs))

    v1 = stopped(obs, a_t, t, h)
    return 0.5 * v1 + 0.5 * stopped(obs, a_t + v1 * h, h + t, h)


@right("2.2")
def a_loop_of_two(s, obs, a_t, t, h):
    total = jnp.zeros_like(a_t)
    for i in range(2):
        v = s(obs, a_t, t + i * h, h)
        a_t, total = a_t + h * v, total + v
    return jax.lax.stop_gradient(total / 2)


@right("2.2")
def a_scan_of_two(s, obs, a_t, t, h):
    def step(a, i):
        v = s(obs, a, t + i * h, h)
        return a + h * v, v

    _, velocities = jax.lax.scan(step, a_t, jnp.arange(2))
    return jax.lax.stop_gradient(velocities).mean(0)


@right("2.2")
def a_list_of_rows(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return [jax.lax.stop_gradient(row) for row in (v1 + v2) / 2]


@right("2.2")
def every_row_on_its_own(s, obs, a_t, t, h):
    def one(*row):
        o, a, t, h = (x[None] for x in row)
        v1 = s(o, a, t, h)
        return (v1 + s(o, a + h * v1, t + h, h))[0] / 2

    return jax.lax.stop_gradient(jax.vmap(one)(obs, a_t, t, h))


@right("2.2")
def compiled(s, obs, a_t, t, h):
    @jax.jit
    def jump(a, t):
        return s(obs, a, t, h)

    v1 = jump(a_t, t)
    velocities = jnp.stack([v1, jump(a_t + h * v1, t + h)])
    return jnp.mean(jax.lax.stop_gradient(velocities), axis=0)


@wrong("2.2", "missing stop-gradient")
def not_stopped(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return (v1 + v2) / 2


@wrong("2.2", "missing stop-gradient")
def only_the_input_is_stopped(s, obs, a_t, t, h):
    a_t = jax.lax.stop_gradient(a_t)
    v1 = s(obs, a_t, t, h)
    return 0.5 * (v1 + s(obs, a_t + h * v1, t + h, h))


@wrong("2.2", "missing stop-gradient")
def the_result_of_stopping_is_lost(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    target = (v1 + v2) / 2
    jax.lax.stop_gradient(target)
    return target


@wrong("2.2", "stop-gradient on the first jump only")
def first_is_stopped(s, obs, a_t, t, h):
    v1 = jax.lax.stop_gradient(s(obs, a_t, t, h))
    v2 = s(obs, a_t + h * v1, t + h, h)
    return (v1 + v2) / 2


@wrong("2.2", "stop-gradient on the second jump only")
def second_is_stopped(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = jax.lax.stop_gradient(s(obs, a_t + h * v1, t + h, h))
    return (v1 + v2) / 2


@wrong("2.2", "stop-gradient on the point between only")
def middle_is_stopped(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    middle = jax.lax.stop_gradient(a_t + h * v1)
    v2 = s(obs, middle, t + h, h)
    return (v1 + v2) / 2


@wrong("2.2", "both half jumps at the same time")
def time_does_not_pass(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", "second jump starts where the first did")
def position_does_not_change(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", "sum instead of average")
def velocities_added(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(v1 + v2)


@wrong("2.2", "distance instead of velocity")
def distance_of_both(s, obs, a_t, t, h):
    middle = a_t + h * s(obs, a_t, t, h)
    end = middle + h * s(obs, middle, t + h, h)
    return jax.lax.stop_gradient(end - a_t)


@wrong("2.2", "landing point instead of velocity")
def where_both_land(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(a_t + h * v1 + h * v2)


@wrong("2.2", "divided by 2h instead of 2")
def sum_over_two_h(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / (2 * h))


@wrong("2.2", "first jump forgets its length")
def a_jump_of_one(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", "evaluates at the large step")
def fed_with_the_large_step(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, 2 * h)
    v2 = s(obs, a_t + h * v1, t + h, 2 * h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", "second jump only")
def velocity_of_the_second(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(v2)


@wrong("2.2", says="The target is right. Its gradient by the field's parameters is off by up to")
def first_stopped_in_the_mean_only(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return (jax.lax.stop_gradient(v1) + v2) / 2


@wrong("2.2", says="Which quantities should be constants (jax.lax.stop_gradient), and which not?")
def half_of_it_stopped(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return v1 / 4 + v2 / 4 + jax.lax.stop_gradient(v1 + v2) / 4


@wrong("2.2", says="Its gradient by the field's parameters is right. The target is off by up to")
def in_steps_of_half_h(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h / 2)
    v2 = s(obs, a_t + h / 2 * v1, t + h / 2, h / 2)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="Its gradient by the field's parameters is right. The target is off by up to")
def second_jump_after_the_large_one(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + 2 * h * v1, t + 2 * h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="The target is off by up to")
def back_towards_the_noise(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t - h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="The target is off by up to")
def first_jump_only(s, obs, a_t, t, h):
    return jax.lax.stop_gradient(s(obs, a_t, t, h))


@wrong("2.2", says="The target is off by up to")
def divided_too_early(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(v1 + v2 / 2)


@wrong("2.2", says="This is none of the usual mistakes")
def two_mistakes_at_once(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t, h)
    return (v1 + v2) / 2


@wrong("2.2", says="The target should have the shape (6, 2), and has (2, 6, 2), in case 1 of 2")
def both_velocities(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1, v2))


@wrong("2.2", says="It should return the target, and returns 2 arrays")
def target_and_time(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2), t + 2 * h


@wrong("2.2", says="The target should have the shape (6, 2), and has (), in case 1 of 2")
def mean_over_everything(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(jnp.mean(jnp.stack([v1, v2])))


@wrong("2.2", says="It uses NumPy (np) on numbers that JAX traces")
def made_a_constant_by_numpy(s, obs, a_t, t, h):
    v1 = np.asarray(s(obs, a_t, t, h))
    v2 = np.asarray(s(obs, a_t + h * v1, t + h, h))
    return (v1 + v2) / 2


@wrong("2.2", says="Use jnp there: jnp.stack for np.stack.")
def mean_by_numpy(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient(np.mean([v1, v2], axis=0))


@wrong("2.2", says="It stopped in the line `v2 = s(obs, a_t + h @ v1, t + h, h)` with TypeError")
def a_matrix_product(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h @ v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="the field takes t as a column, (batch, 1) = (6, 1), and got the shape (6, 2)")
def position_for_the_time(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, a_t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="`target_is_not_returned` returns nothing")
def target_is_not_returned(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    jax.lax.stop_gradient((v1 + v2) / 2)


@wrong("2.2", says="It stopped in the line `s = jax.lax.stop_gradient(s)` with TypeError")
def stops_the_function(s, obs, a_t, t, h):
    s = jax.lax.stop_gradient(s)
    v1 = s(obs, a_t, t, h)
    return (v1 + s(obs, a_t + h * v1, t + h, h)) / 2


# -------------------------------------------------------------------------- 2.3 where jumps start


@right("2.3")
def times_as_in_the_lesson(u, level):
    jump = 2.0**-level
    t = jnp.floor(u / jump) * jump
    return t, jump / 2


@right("2.3")
def by_counting_jumps(u, level):
    count = jnp.exp2(level)
    return jnp.trunc(u * count) / count, 0.5 / count


@right("2.3")
def whole_number_of_jumps(u, level):
    jump = 1 / 2**level
    return (u // jump) * jump, 0.5 * jump


@right("2.3")
def what_is_beyond_the_grid_taken_off(u, level):
    jump = jnp.power(0.5, level)
    return [u - u % jump, jump * 0.5]


@right("2.3")
def as_integers_in_numpy(u, level):
    count = 1 << np.asarray(level).astype(int)
    return (np.asarray(u) * count).astype(int) / count, 1 / (2 * count)


@right("2.3")
def row_for_row(u, level):
    def one(u, level):
        starts = jnp.arange(8) * 2.0**-level  # of jumps, of which the first 2^level fit
        return jnp.max(jnp.where(starts <= u, starts, 0.0)), 2.0 ** (-level - 1)

    t, h = jax.vmap(one)(u[:, 0], level[:, 0])
    return jnp.stack([t[:, None], h[:, None]])


@right("2.3")
def rows_in_a_python_loop(u, level):
    t, h = [], []
    for number, j in zip(u[:, 0].tolist(), level[:, 0].tolist(), strict=True):
        starts = [i / 2**j for i in range(int(2**j))]
        t.append([max(start for start in starts if start <= number)])
        h.append([1 / 2 ** (j + 1)])
    return jnp.array(t), np.array(h)


@right("2.3")
def by_halving_again_and_again(u, level):
    def halve(carry, j):
        t, size = carry
        finer = j < level
        size = jnp.where(finer, size / 2, size)
        return (jnp.where(finer & (u >= t + size), t + size, t), size), None

    (t, jump), _ = jax.lax.scan(halve, (0 * u, 1 + 0 * u), jnp.arange(3))
    return t, jump / 2


@right("2.3")
def rounded_below_the_middle(u, level):
    h = 0.5 ** (level + 1)
    return jnp.ceil(u / (2 * h) - 1) * 2 * h, h


@wrong("2.3", "not on the grid")
def any_time(u, level):
    jump = 2.0**-level
    return u, jump / 2


@wrong("2.3", "grid of the half jumps")
def multiples_of_h(u, level):
    h = 2.0**-level / 2
    return jnp.floor(u / h) * h, h


@wrong("2.3", "rounded to the nearest")
def nearest_start(u, level):
    jump = 2.0**-level
    t = jnp.round(u / jump) * jump
    return t, jump / 2


@wrong("2.3", "rounded up")
def next_start(u, level):
    jump = 2.0**-level
    t = jnp.ceil(u / jump) * jump
    return t, jump / 2


@wrong("2.3", "scaled to fit, not on the grid")
def squeezed(u, level):
    h = 0.5 / 2**level
    return u * (1 - 2 * h), h


@wrong("2.3", "number of the step instead of its time")
def number_of_the_step(u, level):
    jump = 2.0**-level
    t = jnp.floor(u / jump)
    return t, jump / 2


@wrong("2.3", "large jump returned as h")
def whole_jump(u, level):
    h = 2.0**-level
    t = jnp.floor(u / h) * h
    return t, h


@wrong("2.3", "h before t")
def in_the_other_order(u, level):
    jump = 2.0**-level
    return jump / 2, jnp.floor(u / jump) * jump


@wrong("2.3", "level taken for the half jump's")
def half_of_the_half(u, level):
    jump = 1 / (2 * 2.0**level)
    t = jnp.floor(u / jump) * jump
    return t, jump / 2


@wrong("2.3", "level upside down")
def longer_with_the_level(u, level):
    jump = 2.0**level
    t = jnp.floor(u / jump) * jump
    return t, jump / 2


@wrong("2.3", says="The half jump h is right. The time t is off by up to")
def cut_off_at_the_last_start(u, level):
    jump = 2.0**-level
    return jnp.minimum(u, 1 - jump), jump / 2


@wrong("2.3", says="The half jump h is right. The time t is off by up to")
def part_of_a_jump(u, level):
    jump = 2.0**-level
    return u % jump, jump / 2


@wrong("2.3", says="The half jump h is right. The time t is off by up to")
def floor_around_too_little(u, level):
    jump = 2.0**-level
    return jnp.floor(u) / jump * jump, jump / 2


@wrong("2.3", says="The half jump h is right. The time t is off by up to")
def u_taken_for_the_number(u, level):
    jump = 2.0**-level
    return jnp.round(u * (1 / jump - 1)) * jump, jump / 2


@wrong("2.3", says="The time t is right. The half jump h is off by up to")
def quarter_jump(u, level):
    jump = 2.0**-level
    return jnp.floor(u / jump) * jump, jump / 4


@wrong("2.3", says="in case 1 of 2 (u (8, 1), level (8, 1)), and in the other")
def one_over_the_level(u, level):
    jump = 1 / (level + 1)
    return jnp.floor(u / jump) * jump, jump / 2


@wrong("2.3", says="The time t has numbers that are NaN or infinite, in case 1 of 2")
def brackets_missing(u, level):
    jump = 1 / 2 * level
    return jnp.floor(u / jump) * jump, jump / 2


@wrong("2.3", says="The time t should have the shape (8, 1), and has (8,), in case 1 of 2")
def flat_rows(u, level):
    u, jump = u[:, 0], 2.0 ** -level[:, 0]
    return jnp.floor(u / jump) * jump, jump / 2


@wrong("2.3", says="The half jump h should have the shape (8, 1), and has (), in case 1 of 2")
def one_h_for_the_batch(u, level):
    jump = 2.0**-level
    return jnp.floor(u / jump) * jump, jump.mean() / 2


@wrong("2.3", says="return the time t and the half jump h, and returns an array of shape (8, 1)")
def times_alone(u, level):
    jump = 2.0**-level
    return jnp.floor(u / jump) * jump


@wrong("2.3", says="return the time t and the half jump h, and returns an array of shape (8, 2)")
def two_columns(u, level):
    jump = 2.0**-level
    return jnp.concatenate([jnp.floor(u / jump) * jump, jump / 2], axis=1)


@wrong("2.3", says="return the time t and the half jump h, and returns 3 arrays")
def jump_returned_too(u, level):
    jump = 2.0**-level
    return jnp.floor(u / jump) * jump, jump, jump / 2


@wrong("2.3", says="It stopped in the line `jump = 1 / (1 << level)` with TypeError")
def shifted_by_a_float(u, level):
    jump = 1 / (1 << level)
    return jnp.floor(u / jump) * jump, jump / 2


@wrong("2.3", says="Use jnp there")
def numpy_in_a_jit(u, level):
    @jax.jit
    def grid(u, jump):
        return np.floor(np.asarray(u / jump)) * jump

    jump = 2.0**-level
    return grid(u, jump), jump / 2


@wrong("2.3", says="`says_nothing` returns nothing")
def says_nothing(u, level):
    jump = 2.0**-level
    t = jnp.floor(u / jump) * jump
    t, jump / 2
