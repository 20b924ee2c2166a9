"""Lesson 4's checks: right answers in another form, and blanks as the notebook has them."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course.exercises import sorl as exercises
from sorl_edu.flow_matching import flow_matching_loss, grid_times
from sorl_edu.shortcut import self_consistency_loss


def q_loss(critic, obs, actions):
    one, two = critic(obs, actions)
    q = (one + two) / 2
    return -q.sum() / jax.lax.stop_gradient(jnp.abs(q).sum())


def policy_action(s, obs, noise, m):
    a_t, column = noise, jnp.ones((len(obs), 1))
    for i in range(m):
        a_t = a_t + s(obs, a_t, i / m * column, column / m) / m
    return jnp.clip(a_t, -1, 1)


def policy_loss(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    def finest(obs, a_t, t):
        return s(obs, a_t, t, jnp.full_like(t, 1 / 8))

    l_fm, _ = flow_matching_loss(finest, obs, actions, flow_key, times=grid_times(8))
    l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.q_loss, q_loss),
        (exercises.policy_action, policy_action),
        (exercises.policy_loss, policy_loss),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    assert exercise(answer, seed=seed).status == "right"


def test_the_gradient_crosses_the_steps():
    theta, obs, noise, m = exercises.policy_action.cases(jax.random.key(3))[-1]
    through = exercises.action_and_gradient(exercises.policy_action.solution, theta, obs, noise, m)[
        1
    ]
    stopped = exercises.policy_action.misconceptions[0].answer
    last_only = exercises.action_and_gradient(stopped, theta, obs, noise, m)[1]
    assert not jnp.allclose(through, last_only, rtol=0.05)


def blank_q_loss(critic, obs, actions):
    q = ...
    scale = ...
    return ... * q.mean() / scale


def half_q_loss(critic, obs, actions):
    q = critic(obs, actions).mean(0)
    scale = ...
    return -q.mean() / scale


def blank_policy_action(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / ... * column, ... * column
        a_t = a_t + ... * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


def blank_policy_loss(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
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
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
