"""The grader gives the points due. tests/course/test_fence.py has what submissions try."""

import importlib
import json
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

import nbformat
import numpy as np
from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_coursework, submission

from sorl_edu import cli
from sorl_edu.course import notebooks
from sorl_edu.course.grading import fence, leaderboard
from sorl_edu.course.grading import grade as grading
from sorl_edu.course.grading.fence import BUBBLEWRAP, TRUSTED
from sorl_edu.course.grading.grade import check_of, grade, hidden_seed
from sorl_edu.errors import DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    make_coursework(root)
    return root


@pytest.fixture(scope="module")
def source(root):
    return root / "notebooks" / "01_halves.py"


FENCE = TRUSTED if fence.usable(BUBBLEWRAP) else BUBBLEWRAP
COMMON = {"secret": SECRET, "fence": FENCE}


def graded(folder, source, *answers, before=""):
    file = submission(folder, source.with_suffix(".ipynb"), *answers, before=before)
    return grade(file, source.read_text(), **COMMON)


@pytest.mark.thorough
def test_each_answer_is_graded_by_itself(tmp_path, source):
    report = graded(tmp_path, source, HALF, None)
    assert (report.points, report.most) == (1, 3), report.as_text()
    assert "waits for you" in report.scores[1].text
    report = graded(tmp_path, source, "def answer(x):\n    return 2 * x", TWICE)
    assert [score.points for score in report.scores] == [0, 2]
    assert "(doubled): halving makes smaller" in report.scores[0].text
    zero = "def twice(x):\n    return 1 / 0"
    report = graded(tmp_path, source, "def answer(x)\n    return", zero)
    assert "SyntaxError" in report.scores[0].text and "ZeroDivisionError" in report.scores[1].text
    assert report.points == 0


def test_an_answer_may_use_the_library_where_it_likes(tmp_path, source):
    late = "def answer(x):\n    from sorl_edu.inference import network_evaluations\n"
    late += "    return x / network_evaluations(2, 1)"
    lazy = "import sorl_edu\n\n\ndef twice(x):\n    assert sorl_edu.preset('pointmaze')\n"
    lazy += "    return 2 * x"
    report = graded(tmp_path, source, late, lazy)
    assert report.points == 3, report.as_text()


@pytest.mark.thorough
def test_outputs_that_are_no_numbers_or_far_too_many_earn_nothing(tmp_path, source):
    text = "def answer(x):\n    return 'a half'"
    much = "def twice(x):\n    import numpy\n    return numpy.ones(6_000_000)"
    report = graded(tmp_path, source, text, much)
    assert report.points == 0, report.as_text()
    assert "should be numbers, and is text" in report.scores[0].text
    assert "can't be handed over" in report.scores[1].text
    thing = "def answer(x):\n    return object()"
    made = "def twice(x):\n    return {1: x, 'one': 2 * x}"
    report = graded(tmp_path, source, thing, made)
    assert report.points == 0 and "object" in report.scores[0].text, report.as_text()


@pytest.mark.thorough
def test_cells_beside_an_answer_neither_spoil_nor_replace_it(tmp_path, source, monkeypatch):
    """Cells that end Python, compute for too long, fail, show something, and reuse a name."""
    monkeypatch.setattr(grading, "CELL_SECONDS", 4.0)
    handout = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    cells = handout.cells
    cells.insert(0, nbformat.v4.new_code_cell("exit()"))
    cells.insert(1, nbformat.v4.new_code_cell("import os\nos._exit(3)"))
    cells.insert(2, nbformat.v4.new_code_cell("display(get_ipython().run_line_magic('x', 1))"))
    cells.append(nbformat.v4.new_code_cell("answer = answer(1 / 0)"))
    cells.append(nbformat.v4.new_code_cell("def answer(x):\n    return 3 * x"))
    cells.append(nbformat.v4.new_code_cell("while True:\n    pass"))
    cells.append(nbformat.v4.new_code_cell("print('done')\nexit()"))
    for cell in cells:
        tags = cell.metadata.get("tags", ())
        cell.source = {"exercise-1.1": HALF, "exercise-1.2": TWICE}.get("".join(tags), cell.source)
    nbformat.write(handout, tmp_path / "submission.ipynb")
    report = grade(tmp_path / "submission.ipynb", source.read_text(), **COMMON)
    assert report.points == 3, report.as_text()


@pytest.mark.thorough
def test_what_a_notebook_imports_from_the_exercises_is_not_there(tmp_path, source):
    looks = "from sorl_edu.course.exercises import flow_matching, given, shortcut as s\n"
    looks += "from sorl_edu.course.exercises.exercise import Exercise\n\n\n"
    looks += "def answer(x):\n    assert not flow_matching.path(1) and not s.target.solution(x)\n"
    looks += "    assert callable(given.column) and flow_matching.swirl is given.swirl\n"
    looks += "    return x / 2"
    report = graded(tmp_path, source, looks, "from sorl_edu.shortcut import sample_from as twice")
    assert [score.points for score in report.scores] == [1, 0], report.as_text()


def test_another_assignments_file_is_named(tmp_path, source):
    other = source.read_text().replace("Exercise 1.", "Exercise 7.")
    other = other.replace('"exercise-1.', '"exercise-7.').replace('"check-1.', '"check-7.')
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, TWICE)
    with pytest.raises(DataError, match=r"another assignment: .* 1.1, 1.2, and none of 7.1, 7.2"):
        grade(file, other, **COMMON)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A repository whose notebook also has a measured exercise and a written part."""
    root = tmp_path_factory.mktemp("measured")
    return make_coursework(root, LEVEL)


@pytest.mark.thorough
def test_a_measured_answer_earns_all_or_half_and_its_values_are_kept(measured, tmp_path):
    for level, points in ((1.0, 4), (0.8, 2)):
        report = graded(tmp_path, measured, HALF, TWICE, NEAR.format(level))
        assert (report.points, report.most) == (3 + points, 7), report.as_text()
        assert "1.4 In words: of 2, by hand" in report.as_text()
        (score,) = (score for score in report.scores if score.number == "1.3")
        assert np.mean(score.values) == pytest.approx(level, abs=0.01) and len(score.values) == 3
        results = report.as_gradescope()
        assert results["tests"][2]["extra_data"]["values"] == list(score.values)
        assert results["leaderboard"] == [{"name": "High", "value": np.mean(score.values)}]
    three_numbers = "def level(seed):\n    import numpy\n    return numpy.ones(3)"
    report = graded(tmp_path, measured, HALF, TWICE, three_numbers)
    assert report.points == 3 and "can't be measured" in report.as_text()


def results_of(folder, measured, **levels):
    """Files with the output of `course grade --json`: one is graded, others differ in values."""
    (high,) = (e for e in notebooks.exercises(measured.read_text()) if e.number == "1.3")
    report = graded(folder, measured, HALF, TWICE, NEAR.format(0.9))
    for name, level in levels.items():
        results = report.as_gradescope()
        values = list(check_of(high)(level, seed=hidden_seed(SECRET, "1.3")).values)
        results["tests"][2]["extra_data"]["values"] = values
        (folder / f"{name}.json").write_text(json.dumps(results))
    (folder / "ada.json").write_text(json.dumps(report.as_gradescope()))
    return [str(folder / f"{name}.json") for name in ("ada", *levels)]


@pytest.mark.thorough
def test_the_leaderboard_ranks_as_far_as_seeds_can_tell(measured, tmp_path, capsys):
    files = results_of(
        tmp_path,
        measured,
        ben=lambda seed: 0.7 + (seed % 7) / 1000,
        cy=lambda seed: 1.1 + (seed % 5),
        dot=lambda seed: 1 / 0,
    )
    flags = ["--exercise", "1.3", "--root", str(measured.parents[1])]
    assert cli.main(["course", "leaderboard", *files, *flags]) == 0
    table = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:5]]
    # cy has the highest mean, and an interval that is too wide to be better than anybody.
    assert rows == [["1", "cy"], ["1", "ada"], ["2", "ben"]], table
    assert "Without a measurement: dot" in table

    assert cli.main(["course", "leaderboard", *files, "--exercise", "1.2", *flags[2:]]) == 2
    assert "unknown measured exercise '1.2'" in capsys.readouterr().err
    (tmp_path / "eve.json").write_text('{"tests": []}')
    assert cli.main(["course", "leaderboard", str(tmp_path / "eve.json"), *flags]) == 1
    assert "course grade --json" in capsys.readouterr().err


@pytest.mark.thorough
def test_lower_may_be_better_and_seeds_must_agree():
    entries = [leaderboard.Entry("a", (1.0, 1.1, 1.2)), leaderboard.Entry("b", (2.0, 2.1, 2.2))]
    for better, first in (("higher", "b"), ("lower", "a")):
        ranks = leaderboard.ranked(entries, better)
        assert [rank for rank, _ in ranks] == [1, 2] and ranks[0][1].name == first
    with pytest.raises(DataError, match="numbers of seeds"):
        leaderboard.ranked([*entries, leaderboard.Entry("c", (1.0, 2.0))])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b"\x00" * 50])
def test_a_file_that_is_no_notebook_is_refused(content, tmp_path, source):
    file = tmp_path / "submission.ipynb"
    file.write_bytes(content)
    with pytest.raises(DataError, match="is no notebook"):
        grade(file, source.read_text(), **COMMON)


@pytest.mark.thorough
def test_the_command_line_grades(root, source, tmp_path, monkeypatch, capsys):
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, None)
    flags = ["--notebook", "1", "--root", str(root)]
    monkeypatch.delenv("SORL_EDU_SECRET", raising=False)
    assert cli.main(["course", "grade", str(file), *flags]) == 2
    assert "SORL_EDU_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("SORL_EDU_SECRET", "\udcff")  # as Python reads a byte that is no text
    assert cli.main(["course", "grade", str(file), *flags]) == 2
    assert "must be text in UTF-8" in capsys.readouterr().err
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    assert cli.main(["course", "grade", str(file), *flags, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["score"] == 1 and [t["max_score"] for t in results["tests"]] == [1, 2]
    assert results["tests"][0].keys() >= {"number", "name", "score", "max_score", "output"}
    for which in ([], ["--assignment", "1", "--notebook", "1"]):
        assert cli.main(["course", "grade", str(file), *which, *flags[2:]]) == 2
        assert "--assignment N or --notebook N" in capsys.readouterr().err


def test_a_function_of_the_library_that_would_be_the_answer_refuses(tmp_path):
    """In lesson 2, handed in itself or called; an answer of one's own is right."""
    (lesson,) = notebooks.find(Path(__file__).resolve().parents[2], ["2"])
    times = notebooks.exercises(lesson.text())[2]
    handed_in = "from sorl_edu.shortcut import sample_from as sample"
    calls = "from sorl_edu import shortcut\n\n\ndef target(s, obs, a_t, t, h):\n"
    calls += "    return shortcut.self_consistency_target(s, obs, a_t, t, h)"
    file = submission(tmp_path, lesson.ipynb, handed_in, calls, times.solution)
    report = grade(file, lesson.text(), **COMMON)
    assert [score.points for score in report.scores] == [0, 0, times.points], report.as_text()
    for score in report.scores[:2]:
        assert "is what this exercise asks you to write" in score.text


def test_the_functions_that_refuse_are_there():
    for lesson in notebooks.find(Path(__file__).resolve().parents[2], list("12345")):
        for exercise in notebooks.exercises(lesson.text()):
            for name in check_of(exercise).library:
                module, _, function = name.partition(":")
                assert callable(getattr(importlib.import_module(module), function))
