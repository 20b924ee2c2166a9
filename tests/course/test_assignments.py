"""The grader on each assignment: solved, empty and half right; a solved agent really learns."""

from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

from test_coursework import submission

from sorl_edu.course import notebooks
from sorl_edu.course.build import build
from sorl_edu.course.exercises.measured import Measured
from sorl_edu.course.grading.grade import check_of, grade

ROOT = Path(__file__).resolve().parents[2]
SECRET = "of the tests"
ASSIGNMENTS = notebooks.find(ROOT, ["A1", "A2", "A3"])


def graded(folder, assignment, answers):
    """The grader's report on a student's notebook that answers some exercises, by number."""
    (handed_out, _) = build(ROOT, "student", folder / "handout", [assignment.name])
    exercises = notebooks.exercises(assignment.text())
    filled = [answers.get(exercise.number) for exercise in exercises]
    file = submission(folder, handed_out, *filled)
    return grade(file, assignment.text(), secret=SECRET, name=assignment.name)


def solutions(assignment):
    return {e.number: e.solution for e in notebooks.exercises(assignment.text())}


def points(report):
    return {score.number: score.points for score in report.scores}


def measured_at_length(assignment):
    """A test case: training agents or playing games at full length takes minutes."""
    mark = pytest.mark.slow if assignment.number == "A1" else pytest.mark.goals
    return pytest.param(assignment, marks=mark, id=assignment.name)


@pytest.mark.parametrize("assignment", map(measured_at_length, ASSIGNMENTS))
def test_a_solved_assignment_has_all_points(assignment, tmp_path):
    report = graded(tmp_path, assignment, solutions(assignment))
    assert report.points == report.most > 0, report.as_text()
    for exercise, score in zip(notebooks.exercises(assignment.text()), report.scores, strict=True):
        check = check_of(exercise)
        if isinstance(check, Measured):  # over seeds, and with an interval
            assert len(score.values) == check.runs >= 3
            assert f"over {check.runs} seeds" in score.text and "95% interval" in score.text
    print(report.as_text())


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda notebook: notebook.name)
def test_an_empty_one_has_none(assignment, tmp_path):
    report = graded(tmp_path, assignment, {})
    assert report.points == 0
    assert all("waits for you" in score.text for score in report.scores), report.as_text()


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda notebook: notebook.name)
def test_a_half_right_one_has_the_points_of_what_is_right(assignment, tmp_path):
    """The first exercise is solved; every other answer returns 0."""
    exercises = notebooks.exercises(assignment.text())
    answers = {e.number: constant(e) for e in exercises[1:]}
    answers[exercises[0].number] = exercises[0].solution
    report = graded(tmp_path, assignment, answers)
    earned = points(report)
    assert earned.pop(exercises[0].number) == exercises[0].points, report.as_text()
    assert not any(earned.values()), report.as_text()


def constant(exercise):
    """An answer that returns 0 for every input."""
    check = notebooks.plain_code(exercise.check).strip()
    name = check.partition("(")[2].rstrip(")")
    return f"def {name}(*inputs, **named):\n    return 0.0"
