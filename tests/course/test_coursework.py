"""Versions to hand out agree with the source, and no submission gets the better of the grader."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

import nbformat
import numpy as np
import tiny_course

from sorl_edu import cli
from sorl_edu.course import notebooks
from sorl_edu.course.build import HIDDEN, VERSIONS, build
from sorl_edu.course.grading import leaderboard, sandbox
from sorl_edu.course.grading.grade import check_of, grade, hidden_seed
from sorl_edu.errors import ConfigError, DataError, UnknownName

ROOT = Path(__file__).resolve().parents[2]
SECRET = "of the tests"
LESSONS = [notebook for notebook in notebooks.find(ROOT) if notebooks.exercises(notebook.text())]
DOUBLE = """
# %% [markdown]
# ### Exercise 1.2 · Twice · ★☆☆ · 2 min · 2 points
# Return twice of it, and a half of that.


# %% tags=["exercise-1.2"]
def twice(x):
    y = ...
    return y


# %% tags=["check-1.2"]
double(twice)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def twice(x):
#     y = 2 * x
#     return y
# ```
#
# </details>
"""
LEVEL = """
# %% [markdown]
# ### Exercise 1.3 · High · ★★★ · 5 min · 4 points
# Return a number near 1, or beyond.


# %% tags=["exercise-1.3"]
def level(seed):
    y = ...
    return y


# %% tags=["check-1.3"]
high(level)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def level(seed):
#     y = 1 + (seed % 7) / 100
#     return y
# ```
#
# </details>
#
# ### Exercise 1.4 · In words · ★☆☆ · 5 min · 2 points
# Say why.

# %% [markdown] tags=["written-1.4"]
# *Your words.*
"""
CHECKS = """double = Exercise(
    number="1.2",
    solution=lambda x: 2 * x,
    cases=half.cases,
    misconceptions=half.misconceptions[1:],
)
high = Measured(
    number="1.3",
    produce=lambda answer, seeds, size: [jax.numpy.asarray(answer(seed)) for seed in seeds],
    measure=lambda products, seeds, size: [float(jax.tree.leaves(one)[0]) for one in products],
    quantity="level",
    goal=1.0,
    baseline=0.5,
    size=1,
)
"""


def make_repository(root, more=""):
    """Writes a repository whose notebook has exercises of one point and of two, and more."""
    source = tiny_course.make(root)
    text = source.read_text()
    found = "import Exercise, Misconception\n"
    text = text.replace(found, f"{found}from sorl_edu.course.exercises.measured import Measured\n")
    text = text.replace(")\n\nfrom matplotlib", f")\n{CHECKS}\nfrom matplotlib")
    text = text.replace("\n# %%\nexplorer = Tiny()", f"{DOUBLE}{more}\n# %%\nexplorer = Tiny()")
    assert CHECKS in text and DOUBLE in text and more in text
    source.write_text(text)
    notebooks.sync(root)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    make_repository(root)
    return root


@pytest.fixture(scope="module")
def source(root):
    return root / "notebooks" / "01_halves.py"


def submission(folder, handed_out, *answers, before=""):
    """A student's notebook: what was handed out, a file, with answers (or none) in the blanks."""
    notebook = nbformat.read(handed_out, as_version=4)
    blanks = [
        cell
        for cell in notebook.cells
        if any(tag.startswith("exercise-") for tag in cell.metadata.get("tags", ()))
    ]
    for cell, answer in zip(blanks, answers, strict=True):
        cell.source = cell.source if answer is None else answer
    if before:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
    path = folder / "submission.ipynb"
    nbformat.write(notebook, path)
    return path


HALF = "def answer(x):\n    y = x / 2\n    return y"
TWICE = "def twice(x):\n    y = 2 * x\n    return y"


def graded(folder, source, *answers, before="", **limits):
    file = submission(folder, source.with_suffix(".ipynb"), *answers, before=before)
    return grade(file, source.read_text(), secret=SECRET, **limits)


# Versions


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda notebook: notebook.name)
def test_versions_differ_in_the_blanks_and_in_nothing_else(lesson, tmp_path):
    files = {}
    for version in VERSIONS:
        made = build(ROOT, version, tmp_path / version, [lesson.name], secret=SECRET)
        assert {f.suffix for f in made} == {".ipynb"} | (
            set() if version == "nbgrader" else {".py"}
        )
        (ipynb,) = (file for file in made if file.suffix == ".ipynb")
        files[version] = nbformat.read(ipynb, as_version=4)
        nbformat.validate(files[version])
    student, solved = files["student"].cells, files["solution"].cells
    assert len(student) == len(solved)
    exercises = {e.number: e for e in notebooks.exercises(lesson.text())}
    for blank, filled in zip(student, solved, strict=True):
        assert blank.metadata == filled.metadata
        if blank.source != filled.source:
            (tag,) = blank.metadata.tags
            exercise = exercises.pop(tag.removeprefix("exercise-"))
            assert notebooks.drift(blank.source, filled.source) is None
            assert filled.source.strip() == exercise.solution.strip()
    assert not exercises
    for version in ("student", "nbgrader"):
        text = json.dumps(files[version].cells)
        assert "Solution</summary>" not in text and "Hint 1</summary>" in text
    notes = [c for c in files["instructor"].cells if "instructor" in c.metadata.get("tags", ())]
    assert len(notes) == len(notebooks.exercises(lesson.text()))
    for exercise, note in zip(notebooks.exercises(lesson.text()), notes, strict=True):
        assert exercise.solution.strip() in note.source
        assert f"{exercise.points:g} point(s)" in note.source
        assert check_of(exercise).describe() in note.source


def test_nbgraders_version_hides_its_cases(root, tmp_path):
    (file,) = build(root, "nbgrader", tmp_path, secret=SECRET)
    marked = [c for c in nbformat.read(file, as_version=4).cells if "nbgrader" in c.metadata]
    assert [c.metadata.nbgrader.points for c in marked] == [1, 2]
    seed = hidden_seed(SECRET, "1.2")
    assert marked[1].source.split("\n") == [
        "double(twice)",
        HIDDEN[0],
        f"2 * double(twice, seed={seed}).share",
        HIDDEN[1],
    ]
    assert hidden_seed("another", "1.2") != seed != hidden_seed(SECRET, "1.1")


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


# The grader


def test_a_right_submission_has_all_points_and_an_empty_one_none(tmp_path, source):
    report = graded(tmp_path, source, HALF, TWICE)
    assert (report.points, report.most) == (3, 3), report.as_text()
    report = graded(tmp_path, source, None, None)
    assert (report.points, report.most) == (0, 3)
    assert all("waits for you" in score.text for score in report.scores)


def test_each_answer_is_graded_by_itself(tmp_path, source):
    report = graded(tmp_path, source, "def answer(x):\n    return 2 * x", TWICE)
    assert [score.points for score in report.scores] == [0, 2]
    assert "Doubled: halving makes smaller" in report.scores[0].text
    report = graded(tmp_path, source, "def answer(x)\n    return", TWICE)
    assert [score.points for score in report.scores] == [0, 2]
    assert "SyntaxError" in report.scores[0].text
    report = graded(tmp_path, source, "def answer(x):\n    return 1 / 0", TWICE)
    assert "ZeroDivisionError" in report.scores[0].text and report.points == 2


LIBRARY = Path(notebooks.__file__).parent
FAULTY = {
    "loops for ever": ("def answer(x):\n    while True:\n        pass", "not come to an end"),
    "exits": ("def answer(x):\n    import os\n    os._exit(0)", "exit()"),
    "raises SystemExit": ("def answer(x):\n    raise SystemExit", "exit()"),
    "eats memory": (
        "def answer(x):\n    import numpy\n    kept = []\n    while True:\n"
        "        kept.append(numpy.ones(10_000_000))",
        "memory",
    ),
    "reads the solution": (
        f"def answer(x):\n    open({str(LIBRARY / 'exercises/robots.py')!r})\n    return x / 2",
        "may not read",
    ),
    "writes outside": (
        f"def answer(x):\n    open({str(LIBRARY / 'mine.txt')!r}, 'w')\n    return x / 2",
        "own folder only",
    ),
    "starts a process": ("def answer(x):\n    import os\n    os.system('ls')", "may not do this"),
    "opens a connection": (
        "def answer(x):\n    import socket\n"
        "    socket.create_connection(('127.0.0.1', 9))\n    return x / 2",
        "may not do this",
    ),
    "hands over text": ("def answer(x):\n    return 'a half'", "returns"),
    "hands over too much": (
        "def answer(x):\n    import numpy\n    return numpy.ones(6_000_000)",
        "far more than is asked for",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_submission_that_does_harm_is_stopped_and_the_rest_is_graded(case, tmp_path, source):
    code, said = FAULTY[case]
    report = graded(tmp_path, source, code, TWICE, seconds=25, memory=2**30)
    assert [score.points for score in report.scores] == [0, 2], report.as_text()
    assert said in report.scores[0].text, report.as_text()
    assert not (LIBRARY / "mine.txt").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "submission.ipynb"]


GRADES = """
from pathlib import Path
from sorl_edu.course.grading.grade import grade
grade("submission.ipynb", Path({source!r}).read_text(), secret="")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_grader_that_is_killed_takes_its_submission_with_it(tmp_path, source):
    holds_python = "def answer(x):\n    return sum(range(10**15))"  # no other thread has a turn
    submission(tmp_path, source.with_suffix(".ipynb"), holds_python, None)
    script = GRADES.format(source=str(source))
    grader = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    children = Path(f"/proc/{grader.pid}/task/{grader.pid}/children")

    def loops():
        for child in children.read_text().split():
            if Path(f"/proc/{child}/cwd/1.1.tried").exists():
                return child

    try:
        worker = wait_for(loops)
    finally:
        grader.kill()
        grader.wait()
    try:
        wait_for(lambda: not alive(worker), seconds=20)
    finally:
        if alive(worker):
            os.kill(int(worker), signal.SIGKILL)


def test_an_interrupt_ends_what_runs_in_the_sandbox(tmp_path, monkeypatch):
    number = tmp_path / "number"

    def interrupt(seconds):
        wait_for(lambda: number.exists() and number.read_text())
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox, "time", SimpleNamespace(sleep=interrupt, perf_counter=float))
    command = ["sh", "-c", "echo $$ > number; exec sleep 100"]
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(command, tmp_path, seconds=100, memory=2**30)
    assert not alive(number.read_text().strip())


def wait_for(condition, seconds=60):
    """What the condition gives, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def alive(process):
    """Whether a process runs; one that has ended may still be listed, as a zombie (Z)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


PATCHES = {
    "the check": "half.judge = lambda *a: True\ntype(half).attempt = lambda *a: (None, [])",
    "the feedback": "import sorl_edu.course.exercises.exercise as e\n"
    "e.Feedback = lambda *a: ('right', 'Right.')\ne._close = lambda *a: True",
    "numpy": "import numpy\nnumpy.allclose = lambda *a, **b: True",
    "the worker": "import sys\nw = sys.modules['__main__']\nw._say = lambda *a: None",
}


@pytest.mark.parametrize("patched", PATCHES)
def test_patching_gains_nothing(patched, tmp_path, source):
    wrong = "def answer(x):\n    return -x / 2"
    report = graded(tmp_path, source, wrong, "def twice(x):\n    return x", before=PATCHES[patched])
    assert report.points == 0, report.as_text()


def test_a_million_lines_are_read_and_not_kept(tmp_path, source):
    loud = "def answer(x):\n    for i in range(1_000_000):\n        print(i)\n    return x / 2"
    report = graded(tmp_path, source, loud, TWICE)
    assert report.points == 3
    assert len(report.output) < 2 * sandbox.KEPT_OUTPUT and "left out" in report.output


def test_the_environment_is_scrubbed(tmp_path, source, monkeypatch):
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    spy = "def answer(x):\n    import os\n    print(sorted(os.environ))\n    return x / 2"
    report = graded(tmp_path, source, spy, TWICE)
    assert report.points == 3 and "'HOME'" in report.output
    assert "SORL_EDU_SECRET" not in report.output


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A repository whose notebook also has a measured exercise and a written part."""
    root = tmp_path_factory.mktemp("measured")
    make_repository(root, LEVEL)
    return root


NEAR = "def level(seed):\n    return {} + (seed % 7) / 1000"


def test_what_is_measured_earns_all_or_half_and_its_values_are_kept(measured, tmp_path):
    source = measured / "notebooks" / "01_halves.py"
    for level, points in ((1.0, 4), (0.8, 2), (0.4, 0)):
        report = graded(tmp_path, source, HALF, TWICE, NEAR.format(level))
        assert (report.points, report.most) == (3 + points, 7), report.as_text()
        assert "1.4 In words: of 2, by hand" in report.as_text()
        (score,) = (score for score in report.scores if score.number == "1.3")
        assert np.mean(score.values) == pytest.approx(level, abs=0.01) and len(score.values) == 3
        results = report.as_gradescope()
        assert results["tests"][2]["extra_data"] == {"values": list(score.values)}
        assert results["leaderboard"] == [{"name": "High", "value": np.mean(score.values)}]
    handed_over = "def level(seed):\n    import numpy\n    return numpy.ones(3)"
    report = graded(tmp_path, source, HALF, TWICE, handed_over)
    assert report.points == 3 and "can't be measured" in report.as_text()


def test_a_written_part_is_marked_to_be_graded_by_hand(measured, tmp_path):
    (file,) = build(measured, "nbgrader", tmp_path, secret=SECRET)
    marks = [cell.metadata.get("nbgrader") for cell in nbformat.read(file, as_version=4).cells]
    *checks, written = [mark for mark in marks if mark]
    assert [mark["points"] for mark in checks] == [1, 2, 4] and written["points"] == 2
    assert written["cell_type"] == "markdown" and written["grade"] and written["solution"]
    assert not written["locked"] and written["grade_id"] == "written-1-4"


def results_of(folder, measured, **levels):
    """Results of submissions, as the command line prints them, a file each."""
    source = measured / "notebooks" / "01_halves.py"
    for name, level in levels.items():
        answer = NEAR.format(level) if isinstance(level, float) else level
        report = graded(folder, source, HALF, TWICE, answer)
        (folder / f"{name}.json").write_text(json.dumps(report.as_gradescope()))
    return [str(folder / f"{name}.json") for name in levels]


def test_the_leader_board_tells_apart_what_can_be_told_apart(measured, tmp_path, capsys):
    luck = "def level(seed):\n    return 1.1 + (seed % 5)"
    files = results_of(tmp_path, measured, ada=0.9, ben=0.7, cy=luck, dot="def level(seed):\n  1/0")
    flags = ["--exercise", "1.3", "--root", str(measured)]
    assert cli.main(["course", "leaderboard", *files, *flags]) == 0
    table = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:5]]
    # cy has the highest mean, and an interval that is too wide to pass anybody.
    assert rows == [["1", "cy"], ["1", "ada"], ["2", "ben"]], table
    assert "Without a measurement: dot" in table

    assert cli.main(["course", "leaderboard", *files, "--exercise", "1.2", *flags[2:]]) == 2
    assert "unknown measured exercise '1.2'" in capsys.readouterr().err
    (tmp_path / "eve.json").write_text('{"tests": []}')
    assert cli.main(["course", "leaderboard", str(tmp_path / "eve.json"), *flags]) == 1
    assert "course grade --json" in capsys.readouterr().err


def test_lower_may_be_better_and_seeds_must_agree():
    entries = [leaderboard.Entry("a", (1.0, 1.1, 1.2)), leaderboard.Entry("b", (2.0, 2.1, 2.2))]
    for better, first in (("higher", "b"), ("lower", "a")):
        places = leaderboard.ranked(entries, better)
        assert [place for place, _ in places] == [1, 2] and places[0][1].name == first
    with pytest.raises(DataError, match="numbers of seeds"):
        leaderboard.ranked([*entries, leaderboard.Entry("c", (1.0, 2.0))])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b"\x00" * 50])
def test_what_is_no_notebook_is_refused(content, tmp_path, source):
    file = tmp_path / "submission.ipynb"
    file.write_bytes(content)
    with pytest.raises(DataError, match="is no notebook"):
        grade(file, source.read_text(), secret=SECRET)


def test_the_command_line_builds_and_grades(root, source, tmp_path, monkeypatch, capsys):
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, None)
    flags = ["--notebook", "1", "--root", str(root)]
    assert cli.main(["course", "grade", str(file), *flags]) == 2
    assert "SORL_EDU_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    assert cli.main(["course", "grade", str(file), *flags, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["score"] == 1 and [t["max_score"] for t in results["tests"]] == [1, 2]
    assert results["tests"][0].keys() >= {"number", "name", "score", "max_score", "output"}
    for which in ([], ["--assignment", "1", "--notebook", "1"]):
        assert cli.main(["course", "grade", str(file), *which, *flags[2:]]) == 2
        assert "--assignment N or --notebook N" in capsys.readouterr().err
    out = tmp_path / "out"
    assert cli.main(["course", "build", "--for", "student", "--to", str(out), *flags[2:]]) == 0
    assert {file.name for file in out.iterdir()} == {"01_halves.ipynb", "01_halves.py"}
