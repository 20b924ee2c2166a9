"""Answers to lesson 1's exercises."""

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ------------------------------------------------------------------- 1.1 the path and its velocity


@right("1.1")
def as_in_the_lesson(noise, actions, t):
    return (1 - t) * noise + t * actions, actions - noise


@right("1.1")
def from_the_noise_on(noise, actions, t):
    velocity = actions - noise
    return noise + t * velocity, velocity


@right("1.1")
def with_numpy(noise, actions, t):
    noise, actions, t = map(np.asarray, (noise, actions, t))
    return (1 - t) * noise + t * actions, actions - noise


@right("1.1")
def by_differentiation(noise, actions, t):
    path = lambda t: (1 - t) * noise + t * actions  # noqa: E731
    return jax.jvp(path, (t,), (jnp.ones_like(t),))


@right("1.1")
def row_by_row(noise, actions, t):
    one = lambda a0, a1, t: ((1 - t) * a0 + t * a1, a1 - a0)  # noqa: E731
    return jax.vmap(one)(noise, actions, t[:, 0])


@right("1.1")
def as_a_list(noise, actions, t):
    return [noise - t * (noise - actions), -(noise - actions)]


@right("1.1")
def with_einsum(noise, actions, t):
    weights = jnp.concatenate([1 - t, t], axis=1)
    path = jnp.einsum("be,eba->ba", weights, jnp.stack([noise, actions]))
    return path, jnp.einsum("e,eba->ba", jnp.array([-1.0, 1.0]), jnp.stack([noise, actions]))


@right("1.1")
def as_one_array(noise, actions, t):
    return jnp.stack([(1 - t) * noise + t * actions, actions - noise])


@wrong("1.1", "time reversed")
def from_data_to_noise(noise, actions, t):
    return t * noise + (1 - t) * actions, noise - actions


@wrong("1.1", "path reversed")
def path_from_data_to_noise(noise, actions, t):
    return actions + t * (noise - actions), actions - noise


@wrong("1.1", "velocity reversed")
def velocity_to_the_noise(noise, actions, t):
    return noise + t * (actions - noise), noise - actions


@wrong("1.1", "velocity to the end from here")
def remaining_distance(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    return a_t, actions - a_t


@wrong("1.1", "velocity times t")
def distance_so_far(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    return a_t, a_t - noise


@wrong("1.1", "noise not faded out")
def noise_stays(noise, actions, t):
    return noise + t * actions, actions


@wrong("1.1", "velocity before path")
def in_the_wrong_order(noise, actions, t):
    return actions - noise, (1 - t) * noise + t * actions


@wrong("1.1", says="The path is right. The velocity is off by")
def velocity_over_the_time_left(noise, actions, t):
    return (1 - t) * noise + t * actions, (actions - noise) / (1 - t)


@wrong("1.1", says="The velocity is right. The path is off by")
def path_of_squared_time(noise, actions, t):
    return (1 - t**2) * noise + t**2 * actions, actions - noise


@wrong("1.1", says="The velocity should have the shape (5, 2), and has (5, 1), in case 1 of 2")
def velocity_summed(noise, actions, t):
    return (1 - t) * noise + t * actions, (actions - noise).sum(1, keepdims=True)


@wrong("1.1", says="should return the path and the velocity, and returns an array of shape (5, 2)")
def path_alone(noise, actions, t):
    return (1 - t) * noise + t * actions


@wrong("1.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    a_t, actions - noise


@wrong("1.1", says="It stopped in the line `return (1 - t) * noise + t @ actions, actions - noise`")
def matrix_product(noise, actions, t):
    return (1 - t) * noise + t @ actions, actions - noise


# ------------------------------------------------------------------------- 1.2 the Euler sampler


@right("1.2")
def loop(field, obs, noise, steps):
    a_t = noise
    for i in range(steps):
        t = jnp.full((len(noise), 1), i / steps)
        a_t = a_t + field(obs, a_t, t) / steps
    return a_t


@right("1.2")
def loop_with_named_arguments(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for t in np.arange(steps) * h:
        a = a + h * field(obs=obs, a_t=a, t=jnp.full((len(a), 1), t))
    return a


@right("1.2")
def scan(field, obs, noise, steps):
    def step(a, i):
        return a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps, None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


@right("1.2")
def fori_loop(field, obs, noise, steps):
    def step(i, a):
        return a + field(obs, a, jnp.ones((len(a), 1)) * i / steps) / steps

    return jax.lax.fori_loop(0, steps, step, noise)


@right("1.2")
def while_loop(field, obs, noise, steps):
    a, i = noise, 0
    while i < steps:
        a += field(obs, a, jnp.repeat(jnp.array([[i / steps]]), len(a), axis=0)) * (1 / steps)
        i += 1
    return a


@right("1.2")
def recursion(field, obs, noise, steps):
    def after(i):
        if i == 0:
            return noise
        a = after(i - 1)
        return a + field(obs, a, jnp.full((len(a), 1), (i - 1) / steps)) / steps

    return after(steps)


@right("1.2")
def loop_over_linspace(field, obs, noise, steps):
    a = noise
    for t in jnp.linspace(0, 1, steps + 1)[:-1]:
        a = a + field(obs, a, t * jnp.ones((len(a), 1))) / steps
    return a


@right("1.2")
def accumulated_time(field, obs, noise, steps):
    a, t = np.asarray(noise), np.zeros((len(noise), 1))
    for _ in range(steps):
        a = a + np.asarray(field(obs, jnp.asarray(a), jnp.asarray(t))) / steps
        t = t + 1 / steps
    return a


@wrong("1.2", "integrates backwards")
def subtracts(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a - field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "time reversed")
def counts_down(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), 1 - i / steps)) / steps
    return a


@wrong("1.2", "time reversed, from the end of the step")
def as_diffusion_does(field, obs, noise, steps):
    a = noise
    for i in reversed(range(steps)):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "forgets the step size")
def adds_the_whole_velocity(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps))
    return a


@wrong("1.2", "evaluates at the end of the step")
def a_step_ahead(field, obs, noise, steps):
    a = noise
    for i in range(1, steps + 1):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "time counted in steps")
def time_in_steps(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i)) / steps
    return a


@wrong("1.2", "time stands still")
def always_at_zero(field, obs, noise, steps):
    a = noise
    for _ in range(steps):
        a = a + field(obs, a, jnp.zeros((len(a), 1))) / steps
    return a


@wrong("1.2", "starts again from the noise")
def from_the_noise_again(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = noise + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a
