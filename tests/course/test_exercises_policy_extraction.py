"""Lesson 7's checks: right answers in another form, and blanks as the notebook has them."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course.exercises import policy_extraction as exercises
from sorl_edu.flow_matching import euler_step


def expectile_loss(values, q, expectile):
    """Two sums, one for each side."""
    u = jax.lax.stop_gradient(q) - values
    upwards, downwards = jnp.maximum(u, 0), jnp.maximum(-u, 0)
    return (expectile * upwards**2 + (1 - expectile) * downwards**2).sum() / len(u)


def weighted_loss(mu, actions, q, values, alpha, largest):
    """The smaller exponent first, which gives the same weights."""
    exponent = jnp.minimum(alpha * (q - values), jnp.log(largest))
    weights = jax.lax.stop_gradient(jnp.exp(exponent))
    return (weights[:, None] * (actions - mu) ** 2).sum() / (2 * len(mu))


def distilled_loss(policy, field, obs, noise, fresh, m):
    """The flow's steps one by one."""
    a = noise
    for i in range(m):
        a = euler_step(field, obs, a, i / m, 1 / m)
    return jnp.square(jax.lax.stop_gradient(a) - policy(obs, noise)).mean()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.expectile_loss, expectile_loss),
        (exercises.weighted_loss, weighted_loss),
        (exercises.distilled_loss, distilled_loss),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    found = exercise(answer, seed=seed)
    assert found.status == "right", found.text


def blank_expectile_loss(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    weight = ...
    return jnp.mean(weight * u**2)


def blank_weighted_loss(mu, actions, q, values, alpha, largest):
    weights = ...
    errors = ((mu - actions) ** 2).sum(-1) / 2
    return jnp.mean(jax.lax.stop_gradient(weights) * errors)


def blank_distilled_loss(policy, field, obs, noise, fresh, m):
    action = policy(obs, ...)
    taught = ...
    return jnp.mean((action - taught) ** 2)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.expectile_loss, blank_expectile_loss),
        (exercises.weighted_loss, blank_weighted_loss),
        (exercises.distilled_loss, blank_distilled_loss),
    ],
)
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
