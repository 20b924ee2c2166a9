"""A folder of submissions, in each export's layout: all are graded, once, after kills, too."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

from tiny_course import HALF, SECRET, TWICE, make_coursework, submission

import sorl_edu
from sorl_edu import cli
from sorl_edu.course import notebooks
from sorl_edu.course.grading import classroom, fence
from sorl_edu.course.grading.classroom import find_submissions, grade_folder
from sorl_edu.course.grading.fence import BUBBLEWRAP, TRUSTED, Limits
from sorl_edu.errors import ConfigError, DataError

FENCE = TRUSTED if fence.usable(BUBBLEWRAP) else BUBBLEWRAP
NUMBERS = ["1.1", "1.2"]
LOOPS = "def answer(x):\n    while True:\n        pass"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_coursework(tmp_path_factory.mktemp("repository"))


def put(source, path, *answers):
    """A student's notebook at a path; without answers, the blanks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    submission(path.parent, source.with_suffix(".ipynb"), *(answers or (None, None))).rename(path)


def of_students(folder):
    found = find_submissions(folder, NUMBERS)
    return {one.student: one.notebook and one.notebook.name for one in found}


def test_each_layout_is_known(tmp_path, source):
    canvas = tmp_path / "canvas"
    put(source, canvas / "lovelaceada_LATE_123_456_A1-1.ipynb", HALF, TWICE)
    put(source, canvas / "hopper_124_457_A1.ipynb", HALF, TWICE)
    put(source, canvas / "loose.ipynb", HALF, TWICE)
    assert of_students(canvas) == {
        "lovelaceada 123": "lovelaceada_LATE_123_456_A1-1.ipynb",
        "hopper 124": "hopper_124_457_A1.ipynb",
        "loose": "loose.ipynb",
    }
    moodle = tmp_path / "moodle"
    put(source, moodle / "Ada Lovelace_99_assignsubmission_file_" / "A1.ipynb", HALF, TWICE)
    assert of_students(moodle) == {"Ada Lovelace": "A1.ipynb"}
    gradescope = tmp_path / "gradescope"
    put(source, gradescope / "submission_7" / "A1.ipynb", HALF, TWICE)
    put(source, gradescope / "submission_8" / "A1.ipynb", HALF, TWICE)
    metadata = "submission_7:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '1'\n"
    (gradescope / "submission_metadata.yml").write_text(metadata)
    assert of_students(gradescope) == {"Ada Lovelace": "A1.ipynb", "submission_8": "A1.ipynb"}
    nbgrader = tmp_path / "nbgrader"
    put(source, nbgrader / "submitted" / "ada" / "assignment1" / "A1.ipynb", HALF, TWICE)
    put(source, nbgrader / "submitted" / "ada" / "assignment1" / ".ipynb_checkpoints" / "A1.ipynb")
    assert of_students(nbgrader) == {"ada": "A1.ipynb"}


def test_a_student_without_one_notebook_of_the_assignment_is_told_of(tmp_path, source):
    put(source, tmp_path / "ada" / "A1.ipynb", HALF, TWICE)
    put(source, tmp_path / "ada" / "old" / "A1.ipynb", HALF, TWICE)
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "answers.py").write_text("print(1)")
    (tmp_path / "cy").mkdir()
    put(source, tmp_path / "dot" / "A1.ipynb", HALF, TWICE)
    (tmp_path / "dot" / "notes.ipynb").write_text("no notebook")
    put(source, tmp_path / "eve" / "A1.ipynb")
    put(source, tmp_path / "eve" / "hand_in" / "A1.ipynb", HALF, TWICE)
    found = {one.student: one for one in find_submissions(tmp_path, NUMBERS)}
    assert "more than one notebook" in found["ada"].problem
    assert "but answers.py" in found["ben"].problem and "but nothing" in found["cy"].problem
    assert found["dot"].notebook.name == "A1.ipynb"
    assert found["eve"].notebook.parent.name == "hand_in"  # what was packed is what is handed in
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no submissions"):
        find_submissions(tmp_path / "none", NUMBERS)


def common(source):
    limits = Limits(3.0, 2**31)
    return {"source": source.read_text(), "secret": SECRET, "fence": FENCE, "limits": limits}


def table(path):
    with open(path, newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.mark.thorough
def test_a_folder_becomes_a_table_and_feedback(tmp_path, source, monkeypatch, capsys):
    folder, grades = tmp_path / "all", tmp_path / "grades.csv"
    put(source, folder / "ada" / "A1.ipynb", HALF, TWICE)
    put(source, folder / "ben" / "A1.ipynb", HALF, None)
    put(source, folder / "=cmd()" / "A1.ipynb", "def answer(x):\n    return x", TWICE)
    put(source, folder / "Ben" / "A1.ipynb", LOOPS, TWICE)
    (folder / "cy").mkdir()
    (folder / "cy" / "A1.ipynb").write_text("{")
    other = (source.with_suffix(".ipynb")).read_text().replace("Exercise 1.", "Exercise 9.")
    (folder / "dot").mkdir()
    (folder / "dot" / "A2.ipynb").write_text(other)

    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    words = ["course", "grade", str(folder), "--notebook", "1", "--root", str(source.parents[1])]
    words += ["--csv", str(grades), "--jobs", "2", "--seconds", "3", "--memory", "2"]
    words += ["--trusted"] if FENCE is TRUSTED else []
    assert cli.main(words) == 0
    assert "6 students" in (told := capsys.readouterr().out) and "by hand: cy, dot" in told
    rows = table(grades)
    points = {name: (row["points"], row["1.1"], row["1.2"]) for name, row in rows.items()}
    assert points == {
        "ada": ("3", "1", "2"),
        "ben": ("1", "1", "0"),
        "'=cmd()": ("2", "0", "2"),
        "Ben": ("2", "0", "2"),
        "cy": ("0", "0", "0"),
        "dot": ("0", "0", "0"),
    }
    assert "is no notebook" in rows["cy"]["note"] and "another assignment" in rows["dot"]["note"]
    results = [json.loads(file.read_bytes()) for file in (tmp_path / "grades").glob("*.json")]
    assert len(results) == 6 and {one["score"] for one in results} == {3, 2, 1, 0}
    (file,) = (tmp_path / "grades").glob("ben-*.txt")  # no two names may differ in case alone
    feedback = file.read_text()
    assert "1.1 Halves: 1 of 1" in feedback and "waits for you" in feedback

    def graded_again(*given, **named):
        pytest.fail("it was graded again")

    before = grades.read_text()
    monkeypatch.setattr(
        classroom, "_graded", lambda run, todo, jobs: [graded_again() for _ in todo]
    )
    for name in ("cy", "dot"):
        shutil.rmtree(folder / name)
    grade_folder(folder, csv=grades, show=False, **common(source))
    assert [line for line in before.splitlines() if line[:2] not in ("cy", "do")] == (
        grades.read_text().splitlines()
    )


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "--csv FILE.csv"),
        (["--csv", "x.csv", "--json"], "--json is for one"),
        (["--csv", "x.csv", "--jobs", "0"], "--jobs"),
    ],
)
def test_a_folder_needs_a_table(tmp_path, source, monkeypatch, capsys, words, said):
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    start = ["course", "grade", str(tmp_path), "--notebook", "1", "--root", str(source.parents[1])]
    assert cli.main([*start, *words]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"end in \.csv"):
        grade_folder(tmp_path, csv=tmp_path / "grades", **common(source))


KILLED = """
from pathlib import Path
from sorl_edu.course.grading.classroom import grade_folder
from sorl_edu.course.grading.fence import {fence}, Limits
if __name__ == "__main__":
    source = Path({source!r}).read_text()
    grade_folder(Path("all"), source, secret={secret!r}, fence={fence}, csv=Path("grades.csv"),
                 limits=Limits(3.0, 2**31))
"""


@pytest.mark.thorough
def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path, source, monkeypatch):
    for name in ("ada", "ben", "cy"):
        put(source, tmp_path / "all" / name / "A1.ipynb", HALF, TWICE if name == "ada" else None)
    which = "TRUSTED" if FENCE is TRUSTED else "BUBBLEWRAP"
    script = tmp_path / "run.py"
    script.write_text(KILLED.format(source=str(source), secret=SECRET, fence=which))
    run = subprocess.Popen(
        [sys.executable, script.name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(sorl_edu.__file__).parents[1])},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    first = tmp_path / "grades" / "ada.json"
    deadline = time.monotonic() + 120
    while not first.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    made = first.stat().st_mtime_ns
    rows = grade_folder(tmp_path / "all", csv=tmp_path / "grades.csv", show=False, **common(source))
    assert [(row.student, row.points) for row in rows] == [("ada", 3), ("ben", 1), ("cy", 1)]
    assert first.stat().st_mtime_ns == made


A1 = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "A1_shortcut_models.py"
HOSTILE = [
    "import os\nos._exit(0)",
    "while True:\n    pass",
    "def cosine_path(*given):\n    raise ValueError('\\x1b[2J' + 'x' * 10_000)",
    "def cosine_path(*given):\n    return object()",
    "import sys\nsys.setrecursionlimit(10**9)\ndef cosine_path(*g):\n    return cosine_path(*g)",
]


def sixty(folder):
    """Sixty submissions of assignment 1 in four layouts; the points of each student."""
    exercises = notebooks.exercises(A1.read_text())
    solved = [exercise.solution for exercise in exercises]
    half = [*solved[:2], None, None]
    points = [exercise.points for exercise in exercises]
    kinds = {
        "solved": (solved, sum(points)),
        "half": (half, sum(points[:2])),
        "empty": ([None] * 4, 0),
        "other": (None, 0),
        "unreadable": (None, 0),
        "hostile": (half, sum(points[1:2])),
    }
    layouts = (
        lambda name: folder / f"{name}_1_2_A1.ipynb",
        lambda name: folder / f"submission_{name}" / "A1.ipynb",
        lambda name: folder / f"{name}_1_assignsubmission_file_" / "A1.ipynb",
        lambda name: folder / name / "assignment1" / "A1.ipynb",
    )
    known = {}
    for number in range(60):
        kind = list(kinds)[number % 6]
        answers, due = kinds[kind]
        path = layouts[number % 4](f"{kind}{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "other":
            shutil.copy(A1.with_name("A2_offline_rl.ipynb"), path)
        elif kind == "unreadable":
            path.write_bytes(b"\x00" * number)
        else:
            evil = HOSTILE[number % len(HOSTILE)] if kind == "hostile" else None
            mine = [evil, *answers[1:]] if evil else answers
            submission(path.parent, A1.with_suffix(".ipynb"), *mine).rename(path)
        known[f"{kind}{number}"] = due
    return known


@pytest.mark.goals
def test_a_class_of_sixty_gets_exact_points_twice_and_sooner_with_two_workers(tmp_path):
    known = sixty(tmp_path / "all")
    settings = {"source": A1.read_text(), "secret": SECRET, "fence": FENCE}
    found, seconds = {}, {}
    for jobs in (1, 2):
        start = time.perf_counter()
        rows = grade_folder(tmp_path / "all", csv=tmp_path / f"{jobs}.csv", jobs=jobs, **settings)
        seconds[jobs] = time.perf_counter() - start
        found[jobs] = {row.student.split()[0].removeprefix("submission_"): row for row in rows}
        points = {name: row.points for name, row in found[jobs].items()}
        assert points == known
    print(f"one worker {seconds[1]:.0f} s, two {seconds[2]:.0f} s: {seconds[2] / seconds[1]:.2f}")
    assert seconds[2] < 0.75 * seconds[1]
    measured = {name: row.by_exercise for name, row in found[1].items()}
    assert measured == {name: row.by_exercise for name, row in found[2].items()}
