"""nbgrader accepts the built notebooks, hides the hidden tests, and gives the points due."""

import os
import sys
from copy import deepcopy
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader grades: make test installs it")

from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_coursework, submission

import sorl_edu
from sorl_edu import cli
from sorl_edu.course.build import HIDDEN, nbgrader_config

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
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    words = ["--for", "nbgrader", "--to", str(course / "source" / "lesson1"), "--root", str(root)]
    assert cli.main(["course", "build", *words]) == 0
    monkeypatch.chdir(course)
    return NbGraderAPI(config=FormgradeExtension().load_config())


@pytest.mark.thorough
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


def test_a_check_that_takes_longer_than_it_may_is_an_error_and_not_0_points(nbgrader):
    """As nbgrader's buttons execute cells. Its default stops them after 30 s, with 0 points."""
    from nbclient.exceptions import CellTimeoutError
    from nbformat.v4 import new_code_cell, new_notebook
    from nbgrader.preprocessors import Execute

    assert Execute().timeout == 30 and Execute(config=nbgrader.config).timeout == 1800
    config = deepcopy(nbgrader.config)
    config.ExecutePreprocessor.timeout = 1
    slow = new_notebook(cells=[new_code_cell("import time; time.sleep(20)")])
    with pytest.raises(CellTimeoutError):
        Execute(config=config).preprocess(slow, {})


def test_a_courses_own_configuration_is_left_as_it_is(tmp_path):
    file = tmp_path / "nbgrader_config.py"
    assert "Add to your course's" in nbgrader_config(tmp_path / "elsewhere")
    file.write_text("c = get_config()\n# c.ExecutePreprocessor.timeout = 30\n")
    told = nbgrader_config(tmp_path / "source" / "lesson1")
    assert f"add to {file}\nc.ExecutePreprocessor.timeout = 1800\n" in told
    own = "c = get_config()\nc.Execute.timeout = 900\n"
    file.write_text(own)
    assert "sets how long" in nbgrader_config(tmp_path / "source" / "lesson1")
    assert file.read_text() == own
