"""Lesson 4's checks agree with the library, and know a blank, as the notebook has it."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu import shortcut
from sorl_edu.course.exercises import sorl as exercises


def test_the_action_is_the_library_s():
    for theta, obs, noise, m in exercises.policy_action.cases(jax.random.key(3)):
        field = exercises._field(theta)
        theirs = shortcut.sample_from(field, obs, noise, m, denoise_steps=8)
        assert jnp.allclose(exercises.policy_action.solution(field, obs, noise, m), theirs)


def test_the_gradient_crosses_the_steps():
    theta, obs, noise, m = exercises.policy_action.cases(jax.random.key(3))[-1]
    through = exercises._action_and_gradient(
        exercises.policy_action.solution, theta, obs, noise, m
    )[1]
    stopped = exercises.policy_action.misconceptions[0].answer
    last_only = exercises._action_and_gradient(stopped, theta, obs, noise, m)[1]
    assert not jnp.allclose(through, last_only, rtol=0.05)


def blank_q_loss(critic, obs, actions, m):
    q = ...
    scale = ...
    return ... * q.mean() / scale


def half_q_loss(critic, obs, actions, m):
    q = critic(obs, actions, jnp.full((len(obs), 1), m)).mean(0)
    scale = ...
    return -q.mean() / scale


def blank_policy_action(field, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / ... * column, ... * column
        a_t = a_t + ... * field(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


def blank_policy_loss(l_q, field, target_field, obs, actions, flow_key, consistency_key, weights):
    l_fm = ...
    l_sc = ...
    return weights["q"] * l_q + ... * l_fm + ... * l_sc


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.q_loss, blank_q_loss),
        (exercises.q_loss, half_q_loss),
        (exercises.policy_action, blank_policy_action),
        (exercises.policy_loss, blank_policy_loss),
    ],
)
def test_a_blank_is_told_what_to_do(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
