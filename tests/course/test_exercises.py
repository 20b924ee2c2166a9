"""Every exercise's check: its solution passes, each usual mistake is named, nothing is raised.

`test_answers.py` judges answers on the cases of seed 0; here are other seeds, as a grader has them.
"""

import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest

from sorl_edu.course import exercises
from sorl_edu.course.exercises import assignment1, assignment2
from sorl_edu.course.exercises.exercise import Exercise

EXERCISES = sorted(
    (
        value
        for module in pkgutil.iter_modules(exercises.__path__)
        for value in vars(importlib.import_module(f"{exercises.__name__}.{module.name}")).values()
        if isinstance(value, Exercise)
    ),
    key=lambda exercise: exercise.number,
)
MEASURED = (assignment1.loss, assignment2.learned)
MISTAKES = [(exercise, known) for exercise in EXERCISES for known in exercise.misconceptions]


def number(exercise):
    return getattr(exercise, "number", getattr(exercise, "name", None))


def test_every_lesson_and_assignment_has_its_exercises():
    numbers = [exercise.number for exercise in EXERCISES]
    assert len(set(numbers)) == len(numbers) == 33
    assert {n.split(".")[0] for n in numbers} == {*"123456789", "A1", "A2", "A3"}


@pytest.mark.parametrize("exercise", [*EXERCISES, *MEASURED], ids=number)
def test_usual_mistakes_are_told_apart_and_are_in_the_instructors_version(exercise):
    names, messages = zip(*((m.name, m.message) for m in exercise.misconceptions), strict=True)
    assert len(set(names)) == len(set(messages)) == len(names)
    for name, message in zip(names, messages, strict=True):
        assert f"- *{name}*: {message}" in exercise.describe()


@pytest.mark.parametrize("exercise", EXERCISES, ids=number)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_solution_is_right(exercise, seed):
    assert exercise(exercise.solution, seed=seed).status == "right"


@pytest.mark.parametrize(("exercise", "known"), MISTAKES, ids=number)
def test_each_usual_mistake_is_named(exercise, known):
    found = exercise(known.answer, seed=1)
    assert (found.status, found.misconception) == ("wrong", known.name)
    assert f"({known.name})" in found.text


@pytest.mark.parametrize("exercise", EXERCISES, ids=number)
def test_an_error_and_a_wrong_shape_are_said_in_words(exercise):
    def stops(*case):
        raise ValueError("no such thing")

    def wrong_shape(*case):
        return jax.tree.map(lambda _: jnp.zeros((3, 1)), exercise.solution(*case))

    assert "ValueError: no such thing" in exercise(stops).text
    assert "should have the shape" in exercise(wrong_shape).text


@pytest.mark.parametrize("exercise", EXERCISES, ids=number)
def test_an_answer_of_dots_is_asked_to_be_filled(exercise):
    found = exercise(lambda *case: ...)
    assert found.status == "empty"
    assert exercise.number in found.text and "replace the dots" in found.text
