"""The versions of a notebook agree with its source, and differ where they should."""

import json
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

import nbformat
from tiny_course import LEVEL, SECRET, make_coursework

from sorl_edu import cli
from sorl_edu.course import notebooks
from sorl_edu.course.build import HIDDEN, VERSIONS, build
from sorl_edu.course.grading.grade import check_of, hidden_seed
from sorl_edu.errors import ConfigError, UnknownName

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = [notebook for notebook in notebooks.find(ROOT) if notebooks.exercises(notebook.text())]

ASSIGNMENTS = [notebook for notebook in NOTEBOOKS if notebook.folder == "assignments"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    make_coursework(root, LEVEL)
    return root


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_versions_differ_in_the_blanks_and_in_nothing_else(source, tmp_path):
    files = {}
    for version in VERSIONS:
        made = build(ROOT, version, tmp_path / version, [source.name], secret=SECRET)
        assert made == [tmp_path / version / source.ipynb.name]
        assert list((tmp_path / version).iterdir()) == made
        files[version] = nbformat.read(made[0], as_version=4)
        nbformat.validate(files[version])
        assert set(files[version].metadata) == {"kernelspec", "language_info"}
    student, solved = files["student"].cells, files["solution"].cells
    assert len(student) == len(solved)
    exercises = {e.number: e for e in notebooks.exercises(source.text())}
    for blank, filled in zip(student, solved, strict=True):
        assert blank.metadata == filled.metadata
        if blank.source != filled.source:
            (tag,) = blank.metadata.tags
            exercise = exercises.pop(tag.removeprefix("exercise-"))
            assert notebooks.drift(blank.source, filled.source) is None
            assert filled.source.strip() == exercise.solution.strip()
    assert not exercises
    packs = {v for v, notebook in files.items() if "hand_in.pack(" in json.dumps(notebook.cells)}
    assert packs == ({"student", "solution", "instructor"} if source in ASSIGNMENTS else set())
    for version in ("student", "nbgrader"):
        text = json.dumps(files[version].cells)
        assert "Solution</summary>" not in text and "Hint 1</summary>" in text
    notes = [c for c in files["instructor"].cells if "instructor" in c.metadata.get("tags", ())]
    assert len(notes) == len(notebooks.exercises(source.text()))
    for exercise, note in zip(notebooks.exercises(source.text()), notes, strict=True):
        assert exercise.solution.strip() in note.source
        assert f"{exercise.points:g} point(s)" in note.source
        assert check_of(exercise).describe() in note.source


def test_nbgraders_version_hides_its_cases_and_marks_what_is_graded_by_hand(root, tmp_path):
    (file,) = build(root, "nbgrader", tmp_path, secret=SECRET)
    cells = [c for c in nbformat.read(file, as_version=4).cells if "nbgrader" in c.metadata]
    *checks, written = cells
    assert [cell.metadata.nbgrader.points for cell in checks] == [1, 2, 4]
    seed = hidden_seed(SECRET, "1.2")
    assert checks[1].source.split("\n") == [
        "double(twice)",
        HIDDEN[0],
        f"2 * double(twice, seed={seed}).share",
        HIDDEN[1],
    ]
    assert hidden_seed("another", "1.2") != seed != hidden_seed(SECRET, "1.1")
    mark = written.metadata.nbgrader
    assert mark["points"] == 2 and mark["cell_type"] == "markdown"
    assert mark["grade"] and mark["solution"] and not mark["locked"]
    assert mark["grade_id"] == "written-1-4"


def test_building_refuses_before_it_writes(root, tmp_path):
    for error, arguments in (
        (UnknownName, ("teacher", tmp_path)),
        (ConfigError, ("nbgrader", tmp_path)),
        (ConfigError, ("student", root / "notebooks")),
        (ConfigError, ("student", tmp_path, ["7"])),
    ):
        with pytest.raises(error):
            build(root, *arguments)
    assert not list(tmp_path.iterdir())


def test_the_command_line_builds(root, tmp_path):
    flags = ["--for", "student", "--to", str(tmp_path), "--root", str(root)]
    assert cli.main(["course", "build", *flags]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["01_halves.ipynb"]
