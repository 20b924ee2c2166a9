"""The grader gives the points due, and no submission tricks it, harms it or outlives it."""

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

import numpy as np
from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_coursework, submission

from sorl_edu import cli
from sorl_edu.course import notebooks
from sorl_edu.course.grading import leaderboard, sandbox
from sorl_edu.course.grading.grade import check_of, grade, hidden_seed
from sorl_edu.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(notebooks.__file__).parents[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    make_coursework(root)
    return root


@pytest.fixture(scope="module")
def source(root):
    return root / "notebooks" / "01_halves.py"


def graded(folder, source, *answers, before="", **limits):
    file = submission(folder, source.with_suffix(".ipynb"), *answers, before=before)
    return grade(file, source.read_text(), secret=SECRET, **limits)


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


HARMFUL = {
    "loops for ever": ("def answer(x):\n    while True:\n        pass", "did not finish"),
    "exits": ("def answer(x):\n    import os\n    os._exit(0)", "exit()"),
    "raises SystemExit": ("def answer(x):\n    raise SystemExit", "exit()"),
    "eats memory": (
        "def answer(x):\n    import numpy\n    kept = []\n    while True:\n"
        "        kept.append(numpy.ones(10_000_000))",
        "memory",
    ),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_an_answer_that_ends_its_process_is_stopped_and_the_rest_is_graded(case, tmp_path, source):
    code, said = HARMFUL[case]
    report = graded(tmp_path, source, code, TWICE, seconds=15, memory=2**30)
    assert [score.points for score in report.scores] == [0, 2], report.as_text()
    assert said in report.scores[0].text, report.as_text()
    assert list(tmp_path.iterdir()) == [tmp_path / "submission.ipynb"]


def test_outputs_that_are_no_numbers_or_far_too_many_earn_nothing(tmp_path, source):
    text = "def answer(x):\n    return 'a half'"
    much = "def twice(x):\n    import numpy\n    return numpy.ones(6_000_000)"
    report = graded(tmp_path, source, text, much)
    assert report.points == 0, report.as_text()
    assert "should be numbers, and is text" in report.scores[0].text
    assert "far more than the exercise needs" in report.scores[1].text


# Each action, and what the lock says of it.
FORBIDDEN = {
    f"open({str(LIBRARY / 'course/exercises/robots.py')!r})": "may not read",
    f"open({str(LIBRARY / 'mine.txt')!r}, 'w')": "own folder only",
    f"os.remove({str(LIBRARY / 'errors.py')!r})": "may not change",
    f"os.rename('kept.txt', {str(LIBRARY / 'mine.txt')!r})": "may not change",
    "os.system('ls')": "may not do this",
    "subprocess.run(['ls'])": "may not do this",
    "os.fork()": "may not do this",
    "os.kill(os.getppid(), 9)": "may not do this",
    "socket.create_connection(('127.0.0.1', 9))": "may not do this",
    "ctypes.CDLL(None)": "may not do this",
}
TRIES = """
refused = {{}}
for action in {actions!r}:
    try:
        eval(action)
    except PermissionError as error:
        refused[action] = str(error)
"""


def test_a_lock_refuses_what_would_do_harm_and_nothing_else(tmp_path):
    script = f"""
import ctypes, json, os, pathlib, socket, subprocess, sys
from sorl_edu.course.grading import sandbox
sandbox.lock(pathlib.Path.cwd(), [{str(LIBRARY / "course")!r}])
open("kept.txt", "w").write("mine")
assert open("kept.txt").read() == "mine" and open(os.__file__).read(1)
os.rename("kept.txt", "moved.txt"), os.remove("moved.txt"), open(os.devnull, "w").close()
{TRIES.format(actions=list(FORBIDDEN))}
print(json.dumps(refused))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    refused = json.loads(done.stdout)
    for action, said in FORBIDDEN.items():
        assert said in refused.get(action, "it was allowed"), action
    assert not (LIBRARY / "mine.txt").exists() and (LIBRARY / "errors.py").exists()
    assert not list(tmp_path.iterdir())


def test_a_submission_runs_under_the_lock(tmp_path, source):
    """An answer that is right only if every forbidden action is refused, course files included."""
    unread = tmp_path / "unread.txt"
    unread.write_text("a secret")
    actions = [*FORBIDDEN, f"open({str(unread)!r})"]
    tries = "".join(f"    {line}\n" for line in TRIES.format(actions=actions).splitlines())
    spy = "import ctypes, os, socket, subprocess\n\n\ndef answer(x):\n"
    spy += f"{tries}    assert not (allowed := set({actions!r}) - set(refused)), allowed\n"
    spy += "    return x / 2"
    report = graded(tmp_path, source, spy, TWICE, unread=[unread])
    assert report.points == 3, report.as_text()


GRADES = """
from pathlib import Path
from sorl_edu.course.grading.grade import grade
grade("submission.ipynb", Path({source!r}).read_text(), secret="")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_grader_that_is_killed_takes_its_submission_with_it(tmp_path, source):
    holds_python = "def answer(x):\n    return sum(range(10**15))"  # no other thread gets a turn
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
    """The value of a condition, once it is true."""
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
    "the check": "type(half).grade = lambda *a: True\ntype(half).run = lambda *a: (None, [])",
    "what the check and the worker use": "import sys\n"
    "import numpy\n"
    "import sorl_edu.course.exercises.exercise as exercise\n"
    "numpy.allclose = lambda *a, **b: True\n"
    "exercise.Feedback = lambda *a: ('right', 'Right.')\n"
    "exercise._close = lambda *a: True\n"
    "sys.modules['__main__']._say = lambda *a: None",
}


@pytest.mark.parametrize("patched", PATCHES)
def test_patching_gains_nothing(patched, tmp_path, source):
    wrong = "def answer(x):\n    return -x / 2"
    before = f"{PATCHES[patched]}\nopen('patched', 'w').close()"
    shows = "def twice(x):\n    open('patched').close()\n    return x"  # else FileNotFoundError
    report = graded(tmp_path, source, wrong, shows, before=before)
    assert report.points == 0, report.as_text()
    assert "FileNotFoundError" not in report.as_text()


def test_the_environment_is_scrubbed_and_a_million_lines_are_not_kept(
    tmp_path, source, monkeypatch
):
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    loud = "def answer(x):\n    for i in range(1_000_000):\n        print(i)\n    return x / 2"
    spy = "def twice(x):\n    import os\n    print(sorted(os.environ))\n    return 2 * x"
    report = graded(tmp_path, source, loud, spy)
    assert (report.points, report.most) == (3, 3), report.as_text()
    assert len(report.output) < 2 * sandbox.KEPT_OUTPUT and "left out" in report.output
    assert "'HOME'" in report.output and "SORL_EDU_SECRET" not in report.output


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A repository whose notebook also has a measured exercise and a written part."""
    root = tmp_path_factory.mktemp("measured")
    return make_coursework(root, LEVEL)


def test_a_measured_answer_earns_all_or_half_and_its_values_are_kept(measured, tmp_path):
    for level, points in ((1.0, 4), (0.8, 2)):
        report = graded(tmp_path, measured, HALF, TWICE, NEAR.format(level))
        assert (report.points, report.most) == (3 + points, 7), report.as_text()
        assert "1.4 In words: of 2, by hand" in report.as_text()
        (score,) = (score for score in report.scores if score.number == "1.3")
        assert np.mean(score.values) == pytest.approx(level, abs=0.01) and len(score.values) == 3
        results = report.as_gradescope()
        assert results["tests"][2]["extra_data"] == {"values": list(score.values)}
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
        grade(file, source.read_text(), secret=SECRET)


def test_the_command_line_grades(root, source, tmp_path, monkeypatch, capsys):
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, None)
    flags = ["--notebook", "1", "--root", str(root)]
    monkeypatch.delenv("SORL_EDU_SECRET", raising=False)
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
