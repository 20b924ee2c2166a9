"""Answers to lesson 7's exercises."""

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong
from sorl_edu.flow_matching import euler_step, integrate

# ---------------------------------------------------------------------------- 7.1 the expectile


@right("7.1")
def filled_in(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    weight = jnp.where(u < 0, 1 - expectile, expectile)
    return jnp.mean(weight * u**2)


@right("7.1")
def as_the_formula_has_it(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean(jnp.abs(expectile - (u < 0)) * u**2)


@right("7.1")
def where_it_is_positive(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    weight = jnp.where(u > 0, expectile, 1 - expectile)
    return jnp.mean(weight * u**2)


@right("7.1")
def row_by_row(values, q, expectile):
    def row(v, one):
        u = jax.lax.stop_gradient(one) - v
        return jax.lax.cond(u < 0, lambda: 1 - expectile, lambda: expectile * 1.0) * u**2

    return jax.vmap(row)(values, q).mean()


@right("7.1")
def the_error_of_v(values, q, expectile):
    too_high = values - jax.lax.stop_gradient(q)
    weight = expectile + (1 - 2 * expectile) * (too_high > 0)
    return (weight * too_high**2).sum() / values.size


@wrong("7.1", "sides swapped")
def swapped_in_the_template(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    weight = jnp.where(u < 0, expectile, 1 - expectile)
    return jnp.mean(weight * u**2)


@wrong("7.1", "sides swapped")
def absolute_value_the_wrong_way(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean(jnp.abs(expectile - (u > 0)) * u**2)


@wrong("7.1", "the expectile ignored")
def a_mean(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean(u**2)


@wrong("7.1", "the quantile's loss")
def pinball(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean(jnp.maximum(expectile * u, (expectile - 1) * u))


@wrong("7.1", "missing stop-gradient")
def the_critic_learns_too(values, q, expectile):
    u = q - values
    return jnp.mean(jnp.where(u < 0, 1 - expectile, expectile) * u**2)


@wrong("7.1", "one side only")
def upwards_only(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean(expectile * jnp.maximum(u, 0) ** 2)


@wrong("7.1", "sum over the batch")
def summed(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.sum(jnp.where(u < 0, 1 - expectile, expectile) * u**2)


@wrong("7.1", says="Its gradient by V and by Q is off by up to")
def nothing_learns(values, q, expectile):
    u = jax.lax.stop_gradient(q - values)
    return jnp.mean(jnp.where(u < 0, 1 - expectile, expectile) * u**2)


@wrong("7.1", says="The loss is off by up to")
def the_weight_squared(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.mean((jnp.where(u < 0, 1 - expectile, expectile) * u) ** 2)


@wrong("7.1", says="The loss should have the shape (), and has (8,)")
def a_loss_of_each_row(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    return jnp.where(u < 0, 1 - expectile, expectile) * u**2


# ------------------------------------------------------------------- 7.2 the weight of an action


def regression(weights, mu, actions):
    """The last lines of the template."""
    errors = ((mu - actions) ** 2).sum(-1) / 2
    return jnp.mean(jax.lax.stop_gradient(weights) * errors)


@right("7.2")
def weights_filled_in(mu, actions, q, values, alpha, largest):
    return regression(jnp.minimum(jnp.exp(alpha * (q - values)), largest), mu, actions)


@right("7.2")
def with_clip(mu, actions, q, values, alpha, largest):
    return regression(jnp.clip(jnp.exp(alpha * (q - values)), 0, largest), mu, actions)


@right("7.2")
def the_logarithm_limited(mu, actions, q, values, alpha, largest):
    exponent = jnp.minimum(alpha * (q - values), np.log(largest))
    return regression(jnp.exp(exponent), mu, actions)


@right("7.2")
def two_factors(mu, actions, q, values, alpha, largest):
    weights = jnp.exp(alpha * q) / jnp.exp(alpha * values)
    return regression(jnp.where(weights > largest, largest, weights), mu, actions)


@wrong("7.2", "missing stop-gradient")
def weights_that_learn(mu, actions, q, values, alpha, largest):
    weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
    return jnp.mean(weights * ((mu - actions) ** 2).sum(-1) / 2)


@wrong("7.2", "weights without a limit")
def no_limit(mu, actions, q, values, alpha, largest):
    return regression(jnp.exp(alpha * (q - values)), mu, actions)


@wrong("7.2", "the exponent is limited, and not the weight")
def the_exponent_limited(mu, actions, q, values, alpha, largest):
    return regression(jnp.exp(jnp.minimum(alpha * (q - values), largest)), mu, actions)


@wrong("7.2", "the value in place of the advantage")
def q_alone(mu, actions, q, values, alpha, largest):
    return regression(jnp.minimum(jnp.exp(alpha * q), largest), mu, actions)


@wrong("7.2", "advantage reversed")
def the_worst_most(mu, actions, q, values, alpha, largest):
    return regression(jnp.minimum(jnp.exp(alpha * (values - q)), largest), mu, actions)


@wrong("7.2", "divided by alpha")
def a_temperature(mu, actions, q, values, alpha, largest):
    return regression(jnp.minimum(jnp.exp((q - values) / alpha), largest), mu, actions)


@wrong("7.2", "alpha forgotten")
def without_alpha(mu, actions, q, values, alpha, largest):
    return regression(jnp.minimum(jnp.exp(q - values), largest), mu, actions)


@wrong("7.2", "weights normalised over the batch")
def they_sum_to_one(mu, actions, q, values, alpha, largest):
    weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
    return regression(weights / weights.sum(), mu, actions)


@wrong("7.2", "mean over the action")
def a_mean_of_squares(mu, actions, q, values, alpha, largest):
    weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
    errors = ((mu - actions) ** 2).mean(-1) / 2
    return jnp.mean(jax.lax.stop_gradient(weights) * errors)


@wrong("7.2", "half forgotten")
def no_half(mu, actions, q, values, alpha, largest):
    weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
    return jnp.mean(jax.lax.stop_gradient(weights) * ((mu - actions) ** 2).sum(-1))


@wrong("7.2", "sum over the batch")
def added_up(mu, actions, q, values, alpha, largest):
    weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
    return jnp.sum(jax.lax.stop_gradient(weights) * ((mu - actions) ** 2).sum(-1) / 2)


@wrong("7.2", says="The loss is off by up to")
def no_weights(mu, actions, q, values, alpha, largest):
    return regression(jnp.ones_like(q), mu, actions)


# ----------------------------------------------------------------- 7.3 what a policy is taught


@right("7.3")
def three_blanks_filled(policy, field, obs, noise, fresh, m):
    action = policy(obs, noise)
    taught = integrate(field, obs, noise, m)
    return jnp.mean((action - jax.lax.stop_gradient(taught)) ** 2)


@right("7.3")
def noise_that_is_a_constant(policy, field, obs, noise, fresh, m):
    noise = jax.lax.stop_gradient(noise)
    taught = jax.lax.stop_gradient(integrate(field, obs, noise, m))
    return jnp.mean((taught - policy(obs, noise)) ** 2)


@right("7.3")
def step_by_step(policy, field, obs, noise, fresh, m):
    a = noise
    for i in range(m):
        a = jax.lax.stop_gradient(euler_step(field, obs, a, i / m, 1 / m))
    return ((policy(obs, noise) - a) ** 2).sum() / a.size


@wrong("7.3", "other noise")
def the_teacher_sees_fresh_noise(policy, field, obs, noise, fresh, m):
    taught = integrate(field, obs, fresh, m)
    return jnp.mean((policy(obs, noise) - jax.lax.stop_gradient(taught)) ** 2)


@wrong("7.3", "other noise, the other way round")
def the_pupil_sees_fresh_noise(policy, field, obs, noise, fresh, m):
    taught = integrate(field, obs, noise, m)
    return jnp.mean((policy(obs, fresh) - jax.lax.stop_gradient(taught)) ** 2)


@wrong("7.3", "missing stop-gradient")
def the_teacher_learns_too(policy, field, obs, noise, fresh, m):
    return jnp.mean((policy(obs, noise) - integrate(field, obs, noise, m)) ** 2)


@wrong("7.3", "the policy is the constant")
def the_teacher_learns_alone(policy, field, obs, noise, fresh, m):
    action = jax.lax.stop_gradient(policy(obs, noise))
    return jnp.mean((action - integrate(field, obs, noise, m)) ** 2)


@wrong("7.3", "nothing learns")
def all_stopped(policy, field, obs, noise, fresh, m):
    gap = jax.lax.stop_gradient(policy(obs, noise) - integrate(field, obs, noise, m))
    return jnp.mean(gap**2)


@wrong("7.3", "the flow starts from the policy's action")
def the_flow_goes_on(policy, field, obs, noise, fresh, m):
    action = policy(obs, noise)
    taught = jax.lax.stop_gradient(integrate(field, obs, action, m))
    return jnp.mean((action - taught) ** 2)


@wrong("7.3", "a velocity in place of an action")
def the_first_velocity(policy, field, obs, noise, fresh, m):
    velocity = field(obs, noise, jnp.zeros((len(noise), 1)))
    return jnp.mean((policy(obs, noise) - jax.lax.stop_gradient(velocity)) ** 2)


@wrong("7.3", "sum over the batch")
def all_components_added(policy, field, obs, noise, fresh, m):
    taught = jax.lax.stop_gradient(integrate(field, obs, noise, m))
    return jnp.sum((policy(obs, noise) - taught) ** 2)


@wrong("7.3", says="The loss is off by up to")
def half_of_it(policy, field, obs, noise, fresh, m):
    taught = jax.lax.stop_gradient(integrate(field, obs, noise, m))
    return jnp.mean((policy(obs, noise) - taught) ** 2) / 2


@wrong("7.3", says="The loss is off by up to")
def twice_the_steps(policy, field, obs, noise, fresh, m):
    taught = jax.lax.stop_gradient(integrate(field, obs, noise, 2 * m))
    return jnp.mean((policy(obs, noise) - taught) ** 2)
