"""Lesson 5's checks: a right answer passes for every seed, a usual mistake is named."""

import jax.numpy as jnp
import pytest

from sorl_edu.exercises import test_time as exercises

CHECKS = {"5.1": exercises.best_of_n, "5.2": exercises.cost, "5.3": exercises.spend}


@pytest.mark.parametrize("number", CHECKS)
@pytest.mark.parametrize("seed", range(3))
def test_the_solution_is_right(number, seed):
    assert CHECKS[number](CHECKS[number].solution, seed=seed).status == "right"


@pytest.mark.parametrize(
    ("number", "name"),
    [(number, m.name) for number, check in CHECKS.items() for m in check.misconceptions],
)
def test_each_misconception_is_named(number, name):
    check = CHECKS[number]
    answer = next(m.answer for m in check.misconceptions if m.name == name)
    feedback = check(answer)
    assert feedback.status == "wrong"
    assert feedback.misconception == name
    assert name.capitalize() in feedback.text


def test_the_issue_s_mistakes_are_among_them():
    names = {m.name for m in exercises.best_of_n.misconceptions}
    assert {"argmin for argmax", "wrong axis in best-of-N"} <= names


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_blanks_wait(check):
    assert check(lambda *case: ...).status == "empty"


def test_an_answer_by_hand_is_right():
    """Written without the library: two observations, three candidates."""

    def by_hand(actions, q):
        return jnp.stack([actions[int(q[:, b].argmax()), b] for b in range(q.shape[1])])

    assert exercises.best_of_n(by_hand)
    assert exercises.cost(lambda m, n: m if n == 1 else n * m + 2 * n)


def test_a_wrong_shape_is_said():
    feedback = exercises.best_of_n(lambda actions, q: actions)
    assert "shape should be (4, 2)" in feedback.text


def test_an_exception_is_reported_and_not_raised():
    def broken(actions, q):
        raise KeyError("nothing here")

    feedback = exercises.best_of_n(broken)
    assert feedback.status == "wrong"
    assert "KeyError" in feedback.text
