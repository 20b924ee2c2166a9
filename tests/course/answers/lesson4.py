"""Answers to lesson 4's exercises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong
from sorl_edu import temporal_difference as td
from sorl_edu.flow_matching import (
    flow_matching_loss,
    grid_times,
    integrate,
    interpolate,
    uniform_times,
    velocity_target,
)
from sorl_edu.shortcut import at_step_size, sample_from, self_consistency_loss

# ------------------------------------------------------------------------------- 4.1 the Q loss


@right("4.1")
def as_in_the_lesson(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    return -1 * q.mean() / scale


@right("4.1")
def sums_for_means(critic, obs, actions):
    one, two = critic(obs=obs, actions=actions)
    q = (one + two) / 2
    return -q.sum() / jnp.sum(jnp.abs(jax.lax.stop_gradient(q)))


@right("4.1")
def each_q_over_the_scale(critic, obs, actions):
    q = jnp.mean(critic(obs, actions), axis=0)
    return jnp.mean(-q / jax.lax.stop_gradient(jnp.mean(jnp.abs(q))))


@right("4.1")
def actions_stopped_for_the_scale(critic, obs, actions):
    fixed = critic(obs, jax.lax.stop_gradient(actions))
    return -critic(obs, actions).mean() / jnp.abs(fixed.mean(0)).mean()


@right("4.1")
def with_a_norm(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.linalg.norm(q, ord=1))
    return -jnp.dot(q, jnp.full(len(q), 1 / scale))


@right("4.1")
def by_einsum(critic, obs, actions):
    values = critic(obs, actions)
    q = jnp.einsum("eb->b", values) / values.shape[0]
    scale = jax.lax.stop_gradient(jnp.einsum("b,b->", q, jnp.sign(q)))
    return -jnp.einsum("b->", q) / scale


@right("4.1")
def by_vmap_over_the_batch(critic, obs, actions):
    one = lambda o, a: critic(o[None], a[None]).mean()  # noqa: E731
    q = jax.vmap(one)(obs, actions)
    return -q.mean() * jax.lax.stop_gradient(1 / jnp.abs(q).mean())


@right("4.1")
def with_a_loop(critic, obs, actions):
    values = critic(obs, actions)
    q = [sum(values[i, b] for i in range(2)) / 2 for b in range(len(obs))]
    scale = sum(jnp.where(x > 0, x, -x) for x in q)
    return -sum(q) / jax.lax.stop_gradient(scale)


@right("4.1")
def from_the_library(critic, obs, actions):
    return td.q_loss(critic, obs, actions)[0]


@wrong("4.1", "sign wrong, it minimises Q")
def without_minus(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    return 1 * q.mean() / scale


@wrong("4.1", "gradient through the normaliser")
def scale_not_stopped(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jnp.abs(q).mean()
    return -q.mean() / scale


@wrong("4.1", "gradient stopped at the actions")
def everything_stopped(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return jax.lax.stop_gradient(-q.mean() / jnp.abs(q).mean())


@wrong("4.1", "gradient stopped at the actions")
def q_stopped(critic, obs, actions):
    q = jax.lax.stop_gradient(critic(obs, actions).mean(0))
    scale = jnp.abs(q).mean()
    return -q.mean() / scale


@wrong("4.1", "a Python number of a traced one")
def float_for_a_constant(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = float(jnp.mean(jnp.abs(q)))
    return -q.mean() / scale


@wrong("4.1", "the size of the critics' values in place of Q's")
def mean_over_the_ensemble_forgotten(critic, obs, actions):
    q = critic(obs, actions)
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    return -1 * q.mean() / scale


@wrong("4.1", "first critic only")
def as_td3_does(critic, obs, actions):
    q = critic(obs, actions)[0]
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    return -q.mean() / scale


@wrong("4.1", "each action normalised by its own |Q|")
def own_scale(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.abs(q))
    return -(q / scale).mean()


@wrong("4.1", "minimum of the critics")
def the_lower_critic(critic, obs, actions):
    q = jnp.minimum(*critic(obs, actions))
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    return -q.mean() / scale


@wrong("4.1", "not normalised")
def minus_mean_q(critic, obs, actions):
    return -critic(obs, actions).mean()


@wrong("4.1", "normalised by |mean Q|")
def size_of_the_mean(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.abs(jnp.mean(q)))
    return -q.mean() / scale


@wrong("4.1", "normalised by the mean of Q")
def absolute_value_forgotten(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(q.mean())
    return -q.mean() / scale


@wrong("4.1", says="The loss is off by up to")
def normalised_by_the_largest(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q.mean() / jax.lax.stop_gradient(jnp.abs(q).max())


@wrong("4.1", says="The loss is off by up to")
def normalised_by_the_deviation(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q.mean() / jax.lax.stop_gradient(q.std())


@wrong("4.1", says="The loss is right. Its gradient by the actions is off by")
def stopped_the_wrong_way_round(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -jax.lax.stop_gradient(q.mean()) / jnp.abs(q).mean()


@wrong("4.1", says="Which quantities should be constants (jax.lax.stop_gradient), and which not?")
def one_critic_stopped(critic, obs, actions):
    one, two = critic(obs, actions)
    q = (one + jax.lax.stop_gradient(two)) / 2
    return -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())


@wrong(
    "4.1", says="The loss should have the shape (), and has (5,), in case 1 of 3 (obs (5, 2), ac"
)
def mean_forgotten(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q / jax.lax.stop_gradient(jnp.abs(q).mean())


@wrong("4.1", says="The loss should have the shape (), and has (2,)")
def a_loss_for_each_critic(critic, obs, actions):
    q = critic(obs, actions)
    return -q.mean(1) / jax.lax.stop_gradient(jnp.abs(q).mean(1))


@wrong("4.1", says="It uses NumPy (np) on numbers that JAX traces")
def numpy_for_the_scale(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q.mean() / np.mean(np.abs(q))


@wrong("4.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = jax.lax.stop_gradient(jnp.abs(q).mean())
    -q.mean() / scale


@wrong(
    "4.1", says="It stopped in the line `return -q.mean() / jax.stop_gradient(jnp.abs(q).mean())`"
)
def no_such_function(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q.mean() / jax.stop_gradient(jnp.abs(q).mean())


@wrong("4.1", says="It should return the loss, and returns 2 arrays.")
def with_metrics(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    return -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean()), {"q": q.mean()}


# ----------------------------------------------------------------------- 4.2 the policy's action


@right("4.2")
def filled_in(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / m * column, 1 / m * column
        a_t = a_t + 1 / m * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@right("4.2")
def with_columns_of_numbers(s, obs, noise, m):
    h = jnp.full((len(obs), 1), 1 / m)
    for i in range(m):
        noise = noise + h * s(obs=obs, a_t=noise, t=i * h, h=h)
    return jnp.minimum(jnp.maximum(noise, -1), 1)


@right("4.2")
def scan(s, obs, noise, m):
    h = jnp.ones((len(obs), 1)) / m

    def step(a_t, i):
        return a_t + s(obs, a_t, i * h, h) / m, None

    return jax.lax.scan(step, noise, jnp.arange(m))[0].clip(-1, 1)


@right("4.2")
def fori_loop(s, obs, noise, m):
    h = jnp.ones((len(obs), 1)) / m
    step = lambda i, a_t: a_t + h * s(obs, a_t, i * h, h)  # noqa: E731
    return jnp.clip(jax.lax.fori_loop(0, m, step, noise), -1.0, 1.0)


@right("4.2")
def recursion(s, obs, noise, m):
    column = jnp.ones_like(noise[:, :1])

    def after(i):
        if i == 0:
            return noise
        a_t = after(i - 1)
        return a_t + s(obs, a_t, (i - 1) / m * column, column / m) / m

    return jnp.clip(after(m), -1, 1)


@right("4.2")
def with_reduce(s, obs, noise, m):
    column = jnp.ones((noise.shape[0], 1))
    step = lambda a_t, t: a_t + s(obs, a_t, t * column, column / m) / m  # noqa: E731
    return jnp.clip(functools.reduce(step, np.linspace(0, 1, m, endpoint=False), noise), -1, 1)


@right("4.2")
def for_each_observation(s, obs, noise, m):
    def one(o, a_t):
        o, a_t, h = o[None], a_t[None], jnp.array([[1 / m]])
        for i in range(m):
            a_t = a_t + s(o, a_t, i * h, h) * h
        return a_t[0]

    return jnp.clip(jax.vmap(one)(obs, noise), -1, 1)


@right("4.2")
def with_the_integrator(s, obs, noise, m):
    return jnp.clip(integrate(at_step_size(s, 1 / m), obs, noise, m), -1, 1)


@right("4.2")
def sampled_by_the_library(s, obs, noise, m):
    return sample_from(s, obs, noise, steps=m, denoise_steps=8)


@right("4.2")
def halves_of_time(s, obs, noise, m):
    t, h, a_t = jnp.zeros((len(obs), 1)), jnp.full((len(obs), 1), 1.0 / m), noise
    while float(t[0, 0]) < 1:
        a_t, t = a_t + s(obs, a_t, t, h) / m, t + h
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "gradient stopped between steps")
def stopped_before_each_step(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = jax.lax.stop_gradient(a_t)
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "gradient stopped at the action")
def each_step_stopped(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = jax.lax.stop_gradient(a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column))
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "gradient stopped at the action")
def stopped_at_the_end_only(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
    return jax.lax.stop_gradient(jnp.clip(a_t, -1, 1))


@wrong("4.2", "gradient stopped at the action")
def velocity_stopped(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        velocity = jax.lax.stop_gradient(s(obs, a_t, i / m * column, 1 / m * column))
        a_t = a_t + velocity / m
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "gradient stopped at the field's input")
def input_stopped(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        here = jax.lax.stop_gradient(a_t)
        a_t = a_t + 1 / m * s(obs, here, i / m * column, 1 / m * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "wrong step size fed to the field")
def always_the_smallest(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / 8 * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "the number of steps fed to the field")
def m_for_h(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / m * column, m * column
        a_t = a_t + 1 / m * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "step not scaled")
def the_whole_velocity(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / m * column, 1 / m * column
        a_t = a_t + s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "time reversed")
def counts_down(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = (m - i) / m * column, 1 / m * column
        a_t = a_t + 1 / m * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "off by one in time")
def a_step_ahead(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(1, m + 1):
        t, h = i / m * column, 1 / m * column
        a_t = a_t + 1 / m * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", "not clipped")
def beyond_the_bounds(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / m * column, 1 / m * column
        a_t = a_t + 1 / m * s(obs, a_t, t, h)
    return a_t


@wrong("4.2", says="The action is right. Its gradient by the field's parameters is off by")
def all_but_the_first_step_stopped(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        step = 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
        a_t = a_t + (step if i == 0 else jax.lax.stop_gradient(step))
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="in case 3 of 3 (m = 4); 2 of 3 cases are right. Which quantities should be")
def first_two_of_four_steps_stopped(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
        a_t = jax.lax.stop_gradient(a_t) if i == 1 and m > 2 else a_t
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="The action is off by up to")
def clipped_at_each_step(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = jnp.clip(a_t, -1, 1)
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="in case 2 of 3 (m = 2); 1 of 3 cases is right")
def always_at_zero(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for _ in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, 0 * column, 1 / m * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="in case 2 of 3 (m = 2); 1 of 3 cases is right")
def from_the_noise_again(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = noise + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="The action is off by up to")
def eighths_whatever_m(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / 8 * column, 1 / 8 * column
        a_t = a_t + 1 / 8 * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


@wrong(
    "4.2", says="The action should have the shape (5, 2), and has (1, 5, 2), in case 1 of 3 (m ="
)
def the_whole_path(s, obs, noise, m):
    h = jnp.ones((len(obs), 1)) / m

    def step(a_t, i):
        a_t = a_t + s(obs, a_t, i * h, h) / m
        return a_t, a_t

    return jax.lax.scan(step, noise, jnp.arange(m))[1]


@wrong("4.2", says="It uses NumPy (np) on numbers that JAX traces")
def numpy_clip(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * np.asarray(s(obs, a_t, i / m * column, 1 / m * column))
    return jnp.clip(a_t, -1, 1)


@wrong("4.2", says="returns nothing, or None in a place: is a `return` missing?")
def loop_without_return(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column, 1 / m * column)


@wrong(
    "4.2", says="It stopped in the line `a_t = a_t + 1 / m * s(obs, a_t, i / m * column)` with Type"
)
def h_forgotten(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        a_t = a_t + 1 / m * s(obs, a_t, i / m * column)
    return jnp.clip(a_t, -1, 1)


# ---------------------------------------------------------------------------- 4.3 the policy loss


@right("4.3")
def as_in_the_solution(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@right("4.3")
def with_a_field_of_its_own(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    def finest(obs, a_t, t):
        return s(obs=obs, a_t=a_t, t=t, h=jnp.full_like(t, 0.125))

    l_fm = flow_matching_loss(finest, obs, actions, flow_key, times=grid_times(8))[0]
    l_sc = self_consistency_loss(s, s_average, obs, actions, consistency_key, denoise_steps=8)[0]
    return l_q * weights["q"] + l_fm * weights["flow"] + l_sc * weights["consistency"]


@right("4.3")
def with_named_arguments(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    batch = {"obs": obs, "actions": actions}
    field = at_step_size(shortcut=s, h=1 / 8)
    l_fm, _ = flow_matching_loss(field=field, **batch, key=flow_key, times=grid_times(steps=8))
    l_sc, _ = self_consistency_loss(
        shortcut=s, target_shortcut=s_average, **batch, key=consistency_key, denoise_steps=8
    )
    losses = {"q": l_q, "flow": l_fm, "consistency": l_sc}
    return sum(weights[name] * loss for name, loss in losses.items())


@right("4.3")
def with_a_dot_product(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    M = 8
    field = at_step_size(s, 1 / M)
    fm, _ = flow_matching_loss(field, obs, actions, flow_key, times=grid_times(M))
    sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, M)
    share = jnp.array([weights[name] for name in ("q", "flow", "consistency")])
    return share @ jnp.stack([l_q, fm, sc])


@right("4.3")
def by_the_metrics(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    times = lambda key, batch: jax.random.randint(key, (batch, 1), 0, 8) / 8  # noqa: E731
    fm = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, flow_key, times=times)[1]
    sc = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)[1]
    metrics = {"q": l_q, "flow": fm["flow_loss"], "consistency": sc["consistency_loss"]}
    return jax.tree.reduce(jnp.add, {name: weights[name] * metrics[name] for name in metrics})


@right("4.3")
def flow_matching_by_hand(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    noise_key, time_key = jax.random.split(flow_key)
    noise, t = jax.random.normal(noise_key, actions.shape), grid_times(8)(time_key, len(obs))
    v = s(obs, interpolate(noise, actions, t), t, jnp.full((len(obs), 1), 1 / 8))
    l_fm = jnp.square(v - velocity_target(noise, actions)).mean()
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@right("4.3")
def straight_path_by_hand(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    noise_key, time_key = jax.random.split(flow_key)
    noise = jax.random.normal(noise_key, actions.shape)
    t = grid_times(8)(time_key, len(obs))
    one = lambda o, a0, a1, t: s(  # noqa: E731
        o[None], ((1 - t) * a0 + t * a1)[None], t[None], jnp.array([[0.125]])
    )[0]
    v = jax.vmap(one)(obs, noise, actions, t)
    l_fm = ((v - (actions - noise)) ** 2).sum() / v.size
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@right("4.3")
def compiled(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    @jax.jit
    def both(obs, actions):
        field = functools.partial(lambda h, o, a, t: s(o, a, t, h * jnp.ones_like(t)), 1 / 8)
        fm = flow_matching_loss(field, obs, actions, flow_key, times=grid_times(8))[0]
        return fm, self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)[0]

    total = np.float32(weights["q"]) * np.asarray(l_q)
    for name, loss in zip(("flow", "consistency"), both(obs, actions), strict=True):
        total += weights[name] * np.asarray(loss)
    return total


@wrong("4.3", "flow matching at all times instead of the grid")
def times_left_out(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, flow_key)
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "flow matching at step size 0")
def no_step(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(at_step_size(s, 0), obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "flow matching as in lesson 1")
def as_in_lesson_1(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    here_and_now = lambda o, a, t: s(o, a, t, jnp.zeros_like(t))  # noqa: E731
    l_fm, _ = flow_matching_loss(here_and_now, obs, actions, flow_key, times=uniform_times)
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "a shortcut field where a flow's is needed")
def step_size_left_out(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(s, obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "a loss with its metrics")
def pairs_weighted(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8))
    l_sc = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "a loss with its metrics")
def one_pair_weighted(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + l_sc * weights["consistency"]


@wrong("4.3", "flow matching at h = M")
def number_for_size(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(at_step_size(s, 8), obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "flow matching at the largest step")
def one_big_step(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(at_step_size(s, 1), obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "weights swapped")
def weighted_the_other_way(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["consistency"] * l_fm + weights["flow"] * l_sc


@wrong("4.3", "not weighted")
def plain_sum(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + 1 * l_fm + 1 * l_sc


@wrong("4.3", "the field is its own target")
def without_the_average(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "s and s' swapped in self-consistency")
def the_average_first(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s_average, s, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "flow matching of the moving average")
def flow_of_the_average(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    field = at_step_size(s_average, 1 / 8)
    l_fm, _ = flow_matching_loss(field, obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "Q loss subtracted")
def minus_the_q_loss(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return -weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "keys swapped")
def each_with_the_key_of_the_other(
    l_q, s, s_average, obs, actions, flow_key, consistency_key, weights
):
    field = at_step_size(s, 1 / 8)
    l_fm, _ = flow_matching_loss(field, obs, actions, consistency_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, flow_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "flow_key used twice")
def one_key_for_both(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    key = flow_key
    l_fm, _ = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", "consistency_key used twice")
def the_other_key_for_both(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    key = consistency_key
    l_fm, _ = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", says="The loss is off by up to")
def another_grid(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(7)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", says="The loss is off by up to")
def another_number_of_steps(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 4)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", says="compare your code with the formula, term by term")
def no_self_consistency(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    return weights["q"] * l_q + weights["flow"] * l_fm


@wrong("4.3", says="The loss is off by up to")
def actions_for_observations(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), actions, obs, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, actions, obs, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", says="returns a dict with 'q', 'flow' and 'consistency'.")
def three_losses(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return {"q": l_q, "flow": l_fm, "consistency": l_sc}


@wrong("4.3", says="It stopped in the line `return weights.q * l_q` with AttributeError")
def attributes(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    return weights.q * l_q


@wrong(
    "4.3", says="It stopped in the line `l_fm, _ = flow_matching_loss(field, obs, actions, flow_"
)
def times_not_called(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    field = at_step_size(s, 1 / 8)
    l_fm, _ = flow_matching_loss(field, obs, actions, flow_key, times=grid_times)
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@wrong("4.3", says="returns nothing, or None in a place: is a `return` missing?")
def without_a_return(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm, _ = flow_matching_loss(
        at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8)
    )
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc
