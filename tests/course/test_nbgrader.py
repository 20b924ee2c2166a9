"""nbgrader accepts the built notebooks, hides the hidden tests, and gives the points due."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader grades: make test installs it")

from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_coursework, submission

import sorl_edu
from sorl_edu.course.build import HIDDEN, build

HALVED = "def twice(x):\n    return x / 2"
STUDENTS = {  # answers, and points of the 7 that are not given by hand
    "solved": ((HALF, TWICE, NEAR.format(1.0)), 7),
    "empty": ((None, None, None), 0),
    "half": ((HALF, HALVED, NEAR.format(0.8)), 1 + 2),
    "wrong": (("def answer(x):\n    return x", HALVED, NEAR.format(0.4)), 0),
}


def nbgrader(course, *words):
    """Runs one of its commands in a course's folder."""
    env = os.environ | {"PYTHONPATH": str(Path(sorl_edu.__file__).parents[1])}
    command = [sys.executable, "-m", "nbgrader", *words]
    done = subprocess.run(command, cwd=course, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_course_is_generated_and_graded(tmp_path, monkeypatch):
    bin_folder = Path(sys.executable).parent  # nbgrader calls alembic by its name
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    root, course = tmp_path / "repository", tmp_path / "course"
    root.mkdir()
    make_coursework(root, LEVEL)
    build(root, "nbgrader", course / "source" / "lesson1", secret=SECRET)
    (course / "nbgrader_config.py").write_text('get_config().CourseDirectory.course_id = "sorl"\n')
    nbgrader(course, "generate_assignment", "lesson1")
    released = course / "release" / "lesson1" / "01_halves.ipynb"
    text = released.read_text()
    assert "double(twice)" in text and "seed=" not in text and HIDDEN[0] not in text

    for name, (answers, _) in STUDENTS.items():
        folder = course / "submitted" / name / "lesson1"
        folder.mkdir(parents=True)
        submission(folder, released, *answers).rename(folder / released.name)
    nbgrader(course, "autograde", "lesson1")

    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for name, (_, points) in STUDENTS.items():
            found = book.find_submission("lesson1", name)
            assert (found.score, found.max_score) == (points, 7 + 2), name
