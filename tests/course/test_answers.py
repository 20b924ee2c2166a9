"""Hundreds of answers to the exercises, right and wrong in many ways, are judged rightly."""

import importlib
import pkgutil
from collections import Counter

import answers
import pytest
from test_exercises import EXERCISES

CHECKS = {exercise.number: exercise for exercise in EXERCISES}
for module in pkgutil.iter_modules(answers.__path__):
    importlib.import_module(f"answers.{module.name}")


def first_ones():
    """All answers; those after the first right one and the first wrong one wait for CI."""
    seen = set()
    for answer in answers.ANSWERS:
        kind = answer.number, answer.status
        marks = pytest.mark.thorough if kind in seen else ()
        yield pytest.param(answer, marks=marks, id=str(answer))
        seen.add(kind)


@pytest.mark.parametrize("answer", list(first_ones()))
def test_an_answer_is_judged_rightly(answer):
    feedback = CHECKS[answer.number](answer.function)
    assert (feedback.status, feedback.misconception) == (answer.status, answer.misconception), (
        feedback
    )
    assert answer.says in feedback.text, feedback


def test_each_exercise_has_ten_answers_right_and_wrong():
    kinds = Counter((answer.number, answer.status) for answer in answers.ANSWERS)
    for number in CHECKS:
        assert kinds[number, "right"] >= 3 and kinds[number, "wrong"] >= 7, number


def test_each_usual_mistake_is_among_the_answers():
    made = {(answer.number, answer.misconception) for answer in answers.ANSWERS}
    for number, exercise in CHECKS.items():
        for known in exercise.misconceptions:
            assert (number, known.name) in made
