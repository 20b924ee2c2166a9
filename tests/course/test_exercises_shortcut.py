"""Lesson 2's checks: right answers in another form, and blanks as the notebook has them."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course.exercises import shortcut as exercises


def sample(s, obs, noise, m, M):
    a, column = noise, jnp.ones((len(noise), 1))
    for i in range(m):
        a = a + s(obs, a, i / m * column, max(1 / m, 1 / M) * column) / m
    return a


def target(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, a_t + h * v1, t + h, h)
    return jax.lax.stop_gradient((v1 + v2) / 2)


def stopped_one_by_one(s, obs, a_t, t, h):
    v1 = jax.lax.stop_gradient(s(obs, a_t, t, h))
    return (v1 + jax.lax.stop_gradient(s(obs, a_t + h * v1, t + h, h))) / 2


def times(u, level):
    count = 2**level
    return jnp.floor(u * count) / count, 0.5 / count


def blank_sample(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, ..., ...
        a = a + length * s(obs, a, t * column, h * column)
    return a


def blank_target(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)  # noqa: F841
    v2 = s(obs, ..., ..., h)  # noqa: F841
    return ...


def blank_times(u, level):
    jump = ...
    t = ...
    return t, jump / 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "exercise, answer",
    [
        (exercises.sample, sample),
        (exercises.target, target),
        (exercises.target, stopped_one_by_one),
        (exercises.times, times),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    assert exercise(answer, seed=seed).status == "right"


@pytest.mark.parametrize(
    "exercise, answer",
    [
        (exercises.sample, blank_sample),
        (exercises.target, blank_target),
        (exercises.times, blank_times),
    ],
)
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    feedback = exercise(answer)
    assert feedback.status == "empty"
    assert f"`{answer.__name__}`" in feedback.text


def test_a_target_that_only_lacks_the_stop_gradient_has_the_right_numbers():
    unstopped = exercises.target.misconceptions[0].answer
    for _, *case in exercises.target.cases(jax.random.key(0)):

        def s(obs, a_t, t, h):
            return jnp.sin(a_t) + t - h

        assert jnp.allclose(unstopped(s, *case), exercises.target.solution(s, *case))
