"""The grader on each assignment: solved at full length and shortened, and only partly answered."""

from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

from quick import QUICK
from tiny_course import SECRET, submission

from sorl_edu.course import notebooks
from sorl_edu.course.build import build
from sorl_edu.course.exercises import assignment2
from sorl_edu.course.exercises.measured import Measured
from sorl_edu.course.grading import fence
from sorl_edu.course.grading.fence import BUBBLEWRAP, TRUSTED
from sorl_edu.course.grading.grade import check_of, grade

ROOT = Path(__file__).resolve().parents[2]
FENCE = TRUSTED if fence.usable(BUBBLEWRAP) else BUBBLEWRAP
ASSIGNMENTS = {notebook.number: notebook for notebook in notebooks.find(ROOT, ["A1", "A2", "A3"])}
# Fields of the measured check.
SHORTENED = {"A1": "size=10", "A2": "size=10, runs=2", "A3": "size=1, runs=2"}
ONE_STEP_BACK = """

Student = BestOfNSORL


def BestOfNSORL(**settings):  # with a single step to backpropagate through, it compiles sooner
    return Student(**settings | {"max_backprop_steps": 1})
"""


def graded(folder, source, answers):
    """The grader's report on a student's notebook that answers some exercises, by number."""
    root = source.parents[2]
    (handout,) = build(root, "student", folder / "handout", [source.stem])
    exercises = notebooks.exercises(source.read_text())
    file = submission(folder, handout, *(answers.get(exercise.number) for exercise in exercises))
    return grade(file, source.read_text(), secret=SECRET, name=source.stem, fence=FENCE)


def solutions(text):
    return {exercise.number: exercise.solution for exercise in notebooks.exercises(text)}


@pytest.mark.goals
@pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=lambda notebook: notebook.name)
def test_a_solved_assignment_has_all_points(assignment, tmp_path, monkeypatch):
    for name in QUICK:  # it trains for longer than it compiles
        monkeypatch.delenv(name, raising=False)
    report = graded(tmp_path, assignment.source, solutions(assignment.text()))
    assert report.points == report.most > 0, report.as_text()
    for exercise, score in zip(notebooks.exercises(assignment.text()), report.scores, strict=True):
        check = check_of(exercise)
        if isinstance(check, Measured):  # over seeds, and with an interval
            assert len(score.values) == check.runs >= 3
            assert f"over {check.runs} seeds" in score.text and "95% interval" in score.text
    print(report.as_text())


def shorten(assignment, root):
    """Writes a repository with an assignment whose measured checks are shortened; its source."""
    text = assignment.text()
    for exercise in notebooks.exercises(text):
        if isinstance(check_of(exercise), Measured):
            name, bracket, rest = exercise.check.strip().partition("(")
            fields = SHORTENED[assignment.number]
            short = f'__import__("dataclasses").replace({name}, {fields}){bracket}{rest}'
            assert text.count(exercise.check.strip()) == 1
            text = text.replace(exercise.check.strip(), short)
    source = root / "notebooks" / "assignments" / assignment.source.name
    source.parent.mkdir(parents=True)
    source.write_text(text)
    (root / "notebooks" / "00_none.py").write_text("")
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return source


@pytest.mark.cases(1)
@pytest.mark.parametrize(
    "assignment", [ASSIGNMENTS[number] for number in SHORTENED], ids=lambda notebook: notebook.name
)
def test_a_solved_assignment_is_trained_or_played_and_measured(assignment, tmp_path, monkeypatch):
    """As the goals above, but shortened: the measured values don't count."""
    monkeypatch.setattr(assignment2, "STARTS", 4)
    source = shorten(assignment, tmp_path / "root")
    answers = solutions(source.read_text())
    if assignment.number == "A2":
        answers["A2.3"] += ONE_STEP_BACK
    report = graded(tmp_path, source, answers)
    exercises = notebooks.exercises(source.read_text())
    kinds = [isinstance(check_of(exercise), Measured) for exercise in exercises]
    assert any(kinds) and len(kinds) == len(report.scores)
    for exercise, score, measured in zip(exercises, report.scores, kinds, strict=True):
        if measured:
            runs = check_of(exercise).runs
            assert len(score.values) == runs, report.as_text()
            assert f"over {runs} seeds" in score.text and "95% interval" in score.text
        else:
            assert score.points == score.most > 0, report.as_text()


@pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=lambda notebook: notebook.name)
@pytest.mark.cases(1)
def test_a_partly_answered_one_has_the_points_of_what_is_right(assignment, tmp_path):
    """The first exercise is solved, the second always returns 0, and the others are blank."""
    first, second, *others = notebooks.exercises(assignment.text())
    answers = {first.number: first.solution, second.number: zero(second)}
    report = graded(tmp_path, assignment.source, answers)
    scores = {score.number: score for score in report.scores}
    assert scores[first.number].points == first.points, report.as_text()
    assert scores[second.number].points == 0, report.as_text()
    assert "waits for you" not in scores[second.number].text
    for exercise in others:
        assert scores[exercise.number].points == 0, report.as_text()
        assert "waits for you" in scores[exercise.number].text, report.as_text()


def zero(exercise):
    """An answer that returns 0 for every input."""
    name = notebooks.plain_code(exercise.check).strip().partition("(")[2].rstrip(")")
    return f"def {name}(*inputs, **named):\n    return 0.0"
