"""Answers to lesson 8's exercises."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from answers import right, wrong

# ------------------------------------------------------------------------ 8.1 a bootstrapped return


@right("8.1")
def filled_in(z_next, rewards, masks, horizons, discount):
    y = (1 - discount) * rewards + discount**horizons * masks * z_next
    return jax.lax.stop_gradient(y)


@right("8.1")
def in_two_steps(z_next, rewards, masks, horizons, discount):
    follows = jnp.where(masks > 0, jnp.power(discount, horizons), 0) * z_next
    return jax.lax.stop_gradient(rewards - discount * rewards + follows)


@right("8.1")
def on_the_scale_of_returns(z_next, rewards, masks, horizons, discount):
    returns = rewards + discount**horizons * masks * z_next / (1 - discount)
    return (1 - discount) * jax.lax.stop_gradient(returns)


@right("8.1")
def only_what_follows_is_stopped(z_next, rewards, masks, horizons, discount):
    z_next = jax.lax.stop_gradient(z_next)
    return (1 - discount) * rewards + masks * jnp.exp(horizons * np.log(discount)) * z_next


@wrong("8.1", "missing stop-gradient")
def not_a_constant(z_next, rewards, masks, horizons, discount):
    return (1 - discount) * rewards + discount**horizons * masks * z_next


@wrong("8.1", "the reward on its own scale")
def as_in_lesson_3(z_next, rewards, masks, horizons, discount):
    return jax.lax.stop_gradient(rewards + discount**horizons * masks * z_next)


@wrong("8.1", "z' scaled again")
def all_scaled(z_next, rewards, masks, horizons, discount):
    return jax.lax.stop_gradient((1 - discount) * (rewards + discount**horizons * masks * z_next))


@wrong("8.1", "mask forgotten")
def goes_on_for_ever(z_next, rewards, masks, horizons, discount):
    return jax.lax.stop_gradient((1 - discount) * rewards + discount**horizons * z_next)


@wrong("8.1", "the reward masked")
def nothing_at_the_end(z_next, rewards, masks, horizons, discount):
    y = (1 - discount) * rewards + discount**horizons * z_next
    return jax.lax.stop_gradient(masks * y)


@wrong("8.1", "one step's discount")
def a_single_step(z_next, rewards, masks, horizons, discount):
    return jax.lax.stop_gradient((1 - discount) * rewards + discount * masks * z_next)


@wrong("8.1", "discount forgotten")
def no_discount(z_next, rewards, masks, horizons, discount):
    return jax.lax.stop_gradient((1 - discount) * rewards + masks * z_next)


@wrong("8.1", says="The target is off by up to")
def a_cost(z_next, rewards, masks, horizons, discount):
    y = -(1 - discount) * rewards + discount**horizons * masks * z_next
    return jax.lax.stop_gradient(y)


# -------------------------------------------------------------------------------- 8.2 the read-out


@right("8.2")
def exponentials_filled_in(returns, temperature):
    largest = returns.max(axis=0)
    exponentials = jnp.exp((returns - largest) / temperature)
    return largest + temperature * jnp.log(exponentials.mean(axis=0))


@right("8.2")
def with_logsumexp(returns, temperature):
    return temperature * (logsumexp(returns / temperature, axis=0) - jnp.log(len(returns)))


@right("8.2")
def with_weights(returns, temperature):
    weights = 1 / len(returns)
    return temperature * logsumexp(returns / temperature, axis=0, b=weights)


@right("8.2")
def in_64_bits(returns, temperature):
    returns = np.asarray(returns, np.float64)
    return temperature * np.log(np.exp(returns / temperature).mean(0))


@wrong("8.2", "a sum in place of the mean")
def log_sum_exp(returns, temperature):
    return temperature * logsumexp(returns / temperature, axis=0)


@wrong("8.2", "exponentials that vanish")
def naive(returns, temperature):
    return temperature * jnp.log(jnp.exp(returns / temperature).mean(0))


@wrong("8.2", "the largest forgotten at the end")
def below_the_largest(returns, temperature):
    exponentials = jnp.exp((returns - returns.max(0)) / temperature)
    return temperature * jnp.log(exponentials.mean(0))


@wrong("8.2", "the temperature forgotten outside")
def in_units_of_the_temperature(returns, temperature):
    largest = returns.max(0)
    return largest + jnp.log(jnp.exp((returns - largest) / temperature).mean(0))


@wrong("8.2", "multiplied by the temperature")
def an_inverse_temperature(returns, temperature):
    return (logsumexp(returns * temperature, axis=0) - jnp.log(len(returns))) / temperature


@wrong("8.2", "no temperature at all")
def without_temperature(returns, temperature):
    return logsumexp(returns, axis=0) - jnp.log(len(returns))


@wrong("8.2", "the mean")
def a_mean(returns, temperature):
    return jnp.mean(returns, axis=0)


@wrong("8.2", "averaged over the batch")
def the_other_axis(returns, temperature):
    count = returns.shape[1]
    return temperature * (logsumexp(returns / temperature, axis=1) - jnp.log(count))


@wrong("8.2", says="The read-out is off by up to")
def the_largest(returns, temperature):
    return returns.max(axis=0)


# ---------------------------------------------------------------------------------- 8.3 the choice


@right("8.3")
def with_softmax(q, temperature):
    return jax.nn.softmax(q / temperature, axis=0)


@right("8.3")
def written_out(q, temperature):
    weights = jnp.exp(q / temperature)
    return weights / weights.sum(axis=0)


@right("8.3")
def column_by_column(q, temperature):
    return jax.vmap(lambda one: jax.nn.softmax(one / temperature), in_axes=1, out_axes=1)(q)


@wrong("8.3", "multiplied by the temperature")
def times_the_temperature(q, temperature):
    return jax.nn.softmax(q * temperature, axis=0)


@wrong("8.3", "the temperature forgotten")
def of_q_alone(q, temperature):
    return jax.nn.softmax(q, axis=0)


@wrong("8.3", "observations compete")
def the_last_axis(q, temperature):
    return jax.nn.softmax(q / temperature)


@wrong("8.3", "one choice for the whole batch")
def over_everything(q, temperature):
    weights = jnp.exp(q / temperature)
    return weights / weights.sum()


@wrong("8.3", "no exponential")
def shares_of_q(q, temperature):
    return q / q.sum(axis=0)


@wrong("8.3", "the worst most")
def an_energy(q, temperature):
    return jax.nn.softmax(-q / temperature, axis=0)


@wrong("8.3", "the best of N")
def the_best_alone(q, temperature):
    return (q == q.max(axis=0)).astype(jnp.float32)


@wrong("8.3", says="The distribution over candidates is off by up to")
def all_alike(q, temperature):
    return jnp.full_like(q, 1 / len(q))


@wrong("8.3", says="The distribution over candidates is off by up to")
def logarithms(q, temperature):
    return jax.nn.log_softmax(q / temperature, axis=0)
