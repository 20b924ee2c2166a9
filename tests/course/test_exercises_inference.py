"""Lesson 5's checks: right answers in another form, and mistakes that must be among the known."""

import jax.numpy as jnp

from sorl_edu.course.exercises import inference as exercises


def test_a_lowest_q_and_a_wrong_axis_are_known_mistakes():
    names = {m.name for m in exercises.best_of_n.misconceptions}
    assert {"argmin for argmax", "wrong axis in best-of-N"} <= names


def test_an_answer_by_hand_is_right():
    """Written without the library: two observations, three candidates."""

    def by_hand(actions, q):
        return jnp.stack([actions[int(q[:, b].argmax()), b] for b in range(q.shape[1])])

    assert exercises.best_of_n(by_hand)
    assert exercises.cost(lambda m, n: m if n == 1 else n * m + 2 * n)


def test_a_search_through_all_settings_is_right():
    def search(success, cost, budget):
        rows, columns = success.shape
        affordable = [
            (float(success[n, m]), n, m)
            for n in range(rows)
            for m in range(columns)
            if cost[n, m] <= budget
        ]
        return jnp.array(max(affordable)[1:])

    assert exercises.spend(search)


def test_a_wrong_shape_is_named():
    feedback = exercises.best_of_n(lambda actions, q: actions)
    assert "should have the shape (4, 2)" in feedback.text
