"""Lesson 5's checks: answers by hand, and what the issue wants to be named."""

import jax.numpy as jnp

from sorl_edu.course.exercises import inference as exercises


def test_the_issue_s_mistakes_are_among_them():
    names = {m.name for m in exercises.best_of_n.misconceptions}
    assert {"argmin for argmax", "wrong axis in best-of-N"} <= names


def test_an_answer_by_hand_is_right():
    """Written without the library: two observations, three candidates."""

    def by_hand(actions, q):
        return jnp.stack([actions[int(q[:, b].argmax()), b] for b in range(q.shape[1])])

    assert exercises.best_of_n(by_hand)
    assert exercises.cost(lambda m, n: m if n == 1 else n * m + 2 * n)


def test_a_wrong_shape_is_said():
    feedback = exercises.best_of_n(lambda actions, q: actions)
    assert "shape should be (4, 2)" in feedback.text
