"""Lesson 3's checks agree with the library, and know a blank, as the notebook has it."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu import temporal_difference
from sorl_edu.course.exercises import temporal_difference as exercises
from sorl_edu.datasets.transitions import Batch, Transitions


def test_the_target_is_the_library_s():
    for rewards, masks, next_q, discount in exercises.td_target.cases(jax.random.key(3)):
        batch = Batch(
            observations=jnp.zeros((6, 1)),
            actions=jnp.zeros((6, 1)),
            rewards=rewards,
            masks=masks,
            horizons=jnp.ones(6),
            next_observations=jnp.zeros((6, 1)),
        )
        theirs = temporal_difference.td_target(
            lambda obs, action, steps, q=next_q: q,
            batch,
            jnp.zeros((6, 1)),
            jnp.ones((6, 1)),
            discount=discount,
        )
        ours = exercises.td_target.solution(rewards, masks, next_q, discount)
        assert jnp.allclose(ours, theirs)


def test_the_n_step_return_is_the_library_s():
    for rewards, masks, values, i, end, n, discount in exercises.n_step_target.cases(
        jax.random.key(3)
    ):
        data = Transitions.create(
            observations=jnp.arange(16.0)[:, None],
            actions=jnp.zeros((16, 1)),
            rewards=rewards,
            masks=masks,
            terminals=(jnp.arange(16) == end) | (jnp.arange(16) == 15),
        )
        row = temporal_difference.n_step_returns(data, n, discount).at(jnp.array([i]))
        next_row = int(row.next_observations[0, 0])
        theirs = row.rewards + discount**row.horizons * row.masks * values[next_row]
        ours = exercises.n_step_target.solution(rewards, masks, values, i, end, n, discount)
        assert jnp.allclose(ours, theirs[0])


def blank_td_target(rewards, masks, next_q, discount):
    y = ...
    return y


def blank_n_step_target(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, ...):
        y = y + ...
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + ...


def half_done(rewards, masks, values, i, end, n, discount):
    y, k = 0.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k = k + 1
    return y + ...


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.td_target, blank_td_target),
        (exercises.n_step_target, blank_n_step_target),
        (exercises.n_step_target, half_done),
    ],
)
def test_a_blank_is_told_what_to_do(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
