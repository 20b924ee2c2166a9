"""nbgrader accepts the built notebooks, hides the hidden tests, and gives the points due."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader grades: make test installs it")

from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_coursework, submission

import sorl_edu
from sorl_edu.course.build import HIDDEN, build

STUDENTS = {  # answers, and points of the 7 that are not given by hand
    "solved": ((HALF, TWICE, NEAR.format(1.0)), 7),
    "mixed": (("def answer(x):\n    return x", None, NEAR.format(0.8)), 0 + 0 + 2),
}


@pytest.fixture
def nbgrader(tmp_path, monkeypatch):
    """What the formgrader's buttons call, for a course's folder in which Jupyter was started."""
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension

    bin_folder = Path(sys.executable).parent  # nbgrader calls alembic by its name
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(sorl_edu.__file__).parents[1]))
    root, course = tmp_path / "repository", tmp_path / "course"
    root.mkdir()
    make_coursework(root, LEVEL)
    build(root, "nbgrader", course / "source" / "lesson1", secret=SECRET)
    monkeypatch.chdir(course)
    return NbGraderAPI(config=FormgradeExtension().load_config())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Object of type")  # nbgrader's use of SQLAlchemy
def test_a_course_is_generated_and_graded(nbgrader):
    done = nbgrader.generate_assignment("lesson1")
    assert done["success"], done
    course = Path.cwd()
    released = course / "release" / "lesson1" / "01_halves.ipynb"
    text = released.read_text()
    assert "double(twice)" in text and "seed=" not in text and HIDDEN[0] not in text

    for name, (answers, _) in STUDENTS.items():
        folder = course / "submitted" / name / "lesson1"
        folder.mkdir(parents=True)
        submission(folder, released, *answers).rename(folder / released.name)
        done = nbgrader.autograde("lesson1", name)
        assert done["success"], done

    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for name, (_, points) in STUDENTS.items():
            found = book.find_submission("lesson1", name)
            assert (found.score, found.max_score) == (points, 7 + 2), name
