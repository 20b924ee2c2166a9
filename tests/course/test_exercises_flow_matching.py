"""Lesson 1's checks: right answers in another form, and blanks as the notebook has them."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course.exercises import flow_matching as exercises

EXERCISES = [exercises.path, exercises.euler, exercises.marginal_field]


def path(noise, actions, t):
    return noise + t * (actions - noise), actions - noise


def euler(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, (i / steps) * jnp.ones((len(noise), 1))) / steps
    return a


def marginal_field(data, a_t, t):
    squared = jax.vmap(lambda a, t: ((a - t * data) ** 2).sum(-1))(a_t, t)
    weights = jnp.exp(-squared / (2 * (1 - t) ** 2))
    return (weights / weights.sum(1, keepdims=True) @ data - a_t) / (1 - t)


def blank_path(noise, actions, t):
    a_t = ...
    v = ...
    return a_t, v


def blank_euler(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        t = i * ...
        column = t * jnp.ones((len(noise), 1))  # noqa: F841
        a = ...
    return a


def blank_marginal_field(data, a_t, t):
    weights = ...
    return (weights @ data - a_t) / (1 - t)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "exercise, answer", list(zip(EXERCISES, [path, euler, marginal_field], strict=True))
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    assert exercise(answer, seed=seed).status == "right"


@pytest.mark.parametrize(
    "exercise, answer",
    list(zip(EXERCISES, [blank_path, blank_euler, blank_marginal_field], strict=True)),
)
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    feedback = exercise(answer)
    assert feedback.status == "empty"
    assert f"`{answer.__name__}`" in feedback.text


def test_the_marginal_field_of_one_point_leads_straight_to_it():
    point, a_t, t = jnp.array([[0.3, -0.2]]), jnp.array([[1.0, 2.0]]), jnp.array([[0.75]])
    velocity = exercises.marginal_field.solution(point, a_t, t)
    assert jnp.allclose(a_t + 0.25 * velocity, point, atol=1e-6)
