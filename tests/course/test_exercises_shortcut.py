"""Lesson 2's checks: answers written otherwise, and blanks as the notebook has them."""

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course.exercises import shortcut as exercises
from sorl_edu.flow_matching import integrate
from sorl_edu.shortcut import self_consistency_target


def sample(field, obs, noise, m, M):
    return integrate(field, obs, noise, m, step_size=1 / min(m, M))


def stopped_one_by_one(field, obs, a_t, t, h):
    v1 = jax.lax.stop_gradient(field(obs, a_t, t, h))
    return (v1 + jax.lax.stop_gradient(field(obs, a_t + h * v1, t + h, h))) / 2


def times(u, level):
    count = 2**level
    return jnp.floor(u * count) / count, 0.5 / count


def blank_sample(field, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, told, length = i / m, ..., ...
        a = a + length * field(obs, a, t * column, told * column)
    return a


def blank_target(field, obs, a_t, t, h):
    v1 = field(obs, a_t, t, h)  # noqa: F841
    v2 = field(obs, ..., ..., h)  # noqa: F841
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
        (exercises.target, self_consistency_target),
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
    for case in exercises.target.cases(jax.random.key(0)):

        def field(obs, a_t, t, h):
            return jnp.sin(a_t) + t - h

        assert jnp.allclose(unstopped(field, *case), exercises.target.solution(field, *case))
