"""Lesson 3's checks: right answers in another form, and blanks as the notebook has them."""

import jax
import pytest

from sorl_edu.course.exercises import temporal_difference as exercises


def td_target(critic, batch, next_actions, discount):
    one, two = critic(batch.next_observations, next_actions)
    return batch.rewards + discount * batch.masks * jax.lax.stop_gradient((one + two) / 2)


def n_step_target(rewards, masks, values, i, end, n, discount):
    """Backwards: the value after the last row, then r + gamma times what lies after it."""
    rows = list(range(i, min(i + n, end)))
    goal = next((k for k, row in enumerate(rows) if masks[row] == 0), None)
    rows = rows if goal is None else rows[: goal + 1]
    y = 0.0 if goal is not None else values[rows[-1] + 1]
    for row in reversed(rows):
        y = rewards[row] + discount * y
    return y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("exercise", "answer"),
    [(exercises.td_target, td_target), (exercises.n_step_target, n_step_target)],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    found = exercise(answer, seed=seed)
    assert found.status == "right", found.text


def blank_td_target(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)  # noqa: F841
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
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
