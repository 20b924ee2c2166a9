"""Answers run behind the system's fence: what they try is refused, and nothing of them is left."""

import contextlib
import hashlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

from attacks import ENDS, REFUSED
from tiny_course import CHECKS, DOUBLE, HALF, SECRET, TWICE, make_coursework, submission

import sorl_edu
from sorl_edu.course import notebooks
from sorl_edu.course.grading import fence
from sorl_edu.course.grading import grade as grading
from sorl_edu.course.grading.fence import BUBBLEWRAP, TRUSTED, Container, Limits, Program
from sorl_edu.course.grading.grade import grade
from sorl_edu.errors import ConfigError

LIBRARY = Path(sorl_edu.__file__).parent
fenced = pytest.mark.skipif(bool(fence.usable(BUBBLEWRAP)), reason=fence.usable(BUBBLEWRAP))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_coursework(tmp_path_factory.mktemp("repository"))


def graded(folder, source, *answers, before="", **limits):
    file = submission(folder, source.with_suffix(".ipynb"), *answers, before=before)
    limits = Limits(**{"seconds": 60.0, "memory": 2**31} | limits)
    return grade(file, source.read_text(), secret=SECRET, fence=BUBBLEWRAP, limits=limits)


def indented(code, by=4):
    return "".join(f"{' ' * by}{line}\n" for line in code.splitlines())


def hash_of(folder):
    """Of the names and the content of all files of a folder, but for compiled Python."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


@fenced
@pytest.mark.thorough
def test_every_attack_is_refused(tmp_path, source, monkeypatch):
    """One answer tries them all, and is right only if each is refused."""
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    before = hash_of(LIBRARY)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        abstract = f"\0sorl-edu-{os.getpid()}"
        named.bind(abstract)
        named.listen()
        knows = {
            "LIBRARY": str(LIBRARY),
            "NOTEBOOK": str(source),
            "HOME": os.path.expanduser("~"),
            "OUT": str(tmp_path),
            "SECRET": SECRET,
            "PORT": server.getsockname()[1],
            "PID": os.getpid(),
            "ABSTRACT": abstract,
        }
        spy = "ATTACKS = {}\nKNOWS = {}\n\n\ndef answer(x):\n    worked = {{}}\n"
        spy = spy.format(repr(REFUSED), repr(knows))
        spy += indented(
            "for name, code in ATTACKS.items():\n"
            "    space = dict(KNOWS, got=None)\n"
            "    try:\n        exec(code, space)\n"
            "    except Exception:\n        continue\n"
            "    if space['got']:\n        worked[name] = str(space['got'])[:80]\n"
            "assert not worked, worked\n"
            "return x / 2"
        )
        report = graded(tmp_path, source, spy, TWICE)
    assert report.points == 3, report.as_text()
    assert hash_of(LIBRARY) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["submission.ipynb"]


@fenced
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("cases", "seconds"),
    [({"loops"}, 3.0), (ENDS.keys() - {"loops"}, 120.0)],
    ids=["loops", "others"],
)
def test_an_answer_that_ends_its_process_costs_its_own_points_alone(tmp_path, cases, seconds):
    """An exercise for each way to end; only the endless loop has to meet the time limit."""
    ends = {case: end for case, end in ENDS.items() if case in cases}
    names, more, checks = [f"answer_{i}" for i in range(len(ends))], "", ""
    for i, name in enumerate(names):
        text = DOUBLE.replace("1.2", f"2.{i}").replace("double(", f"double_{i}(")
        more += text.replace("twice", name)
        checks += CHECKS.partition("high")[0].replace("1.2", f"2.{i}")
        checks = checks.replace("double =", f"double_{i} =")
    source = make_coursework(tmp_path, more)
    text = source.read_text().replace("high = Measured(", f"{checks}high = Measured(")
    source.write_text(text)
    notebooks.sync(tmp_path)
    codes = [
        f"def {name}(x):\n{indented(code)}"
        for name, (code, _) in zip(names, ends.values(), strict=True)
    ]
    report = graded(tmp_path, source, HALF, TWICE, *codes, seconds=seconds, memory=2**30)
    first, second, *others = report.scores
    assert (first.points, second.points, report.points) == (1, 2, 3), report.as_text()
    for score, (case, (_, said)) in zip(others, ends.items(), strict=True):
        assert said in score.text, (case, report.as_text())


@fenced
@pytest.mark.thorough
def test_nothing_outlives_its_grading(tmp_path, source):
    """A daemon, detached from everything, ends with the fence; the next submission is graded."""
    mark = f"sorl-edu-daemon-{os.getpid()}"
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        code = 'import time; time.sleep(600)'\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', code, {mark!r}])\n"
        "    os._exit(0)\n"
        "time.sleep(0.5)\n"
        "return x / 2"
    )
    with killed_afterwards(mark):
        report = graded(tmp_path, source, f"def answer(x):\n{indented(code)}", TWICE)
        assert report.points == 3, report.as_text()
        wait_for(lambda: not alive(mark), seconds=20)  # the system takes a moment, a daemon 600 s
        assert graded(tmp_path, source, HALF, TWICE).points == 3


def alive(mark):
    """The other processes that have a mark in their command line."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if mark.encode() in command.read_bytes() and int(command.parent.name) != os.getpid():
                found.append(int(command.parent.name))
    return found


@contextlib.contextmanager
def killed_afterwards(mark):
    """What a broken fence leaves behind does not disturb what comes after."""
    try:
        yield
    finally:
        for process in alive(mark):
            os.kill(process, signal.SIGKILL)


GRADES = """
import sys
from pathlib import Path
from sorl_edu.course.grading.fence import BUBBLEWRAP, Limits
from sorl_edu.course.grading.grade import grade
if __name__ == "__main__":
    grade("submission.ipynb", Path({source!r}).read_text(), secret="", fence=BUBBLEWRAP)
"""


@fenced
@pytest.mark.thorough
def test_a_grader_that_is_killed_takes_its_submission_with_it(tmp_path, source):
    mark = f"sorl-edu-loop-{os.getpid()}"
    code = "import subprocess, sys\n"
    code += f"subprocess.run([sys.executable, '-c', 'while True: pass', {mark!r}])"
    submission(tmp_path, source.with_suffix(".ipynb"), f"def answer(x):\n{indented(code)}", None)
    script = GRADES.format(source=str(source))
    grader = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
        stderr=subprocess.DEVNULL,
    )
    with killed_afterwards(mark):
        try:
            wait_for(lambda: alive(mark))
        finally:
            grader.kill()
            grader.wait()
        wait_for(lambda: not alive(mark), seconds=20)


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@fenced
@pytest.mark.thorough
def test_what_comes_out_is_made_harmless(tmp_path, source):
    evil = "2 of 2\\n\\x1b[2J\\x1b[1;1Hassignment: 3 of 3 points\\u202e\\ud800"
    raises = f'def answer(x):\n    raise ValueError("{evil}" + "x" * 100_000)'
    prints = f'def twice(x):\n    print("{evil}".encode("utf-8", "replace").decode())\n'
    prints += "    for i in range(300_000):\n        print(i)\n    return 2 * x"
    report = graded(tmp_path, source, raises, prints)
    assert [score.points for score in report.scores] == [0, 2], report.as_text()
    text = report.as_text()
    assert text.count("assignment: ") == 1 and len(text) < 3000, text[:500]
    for told in (text, report.output):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", told)
    assert len(report.output) < 2 * fence.KEPT_OUTPUT and "left out" in report.output


@dataclass(frozen=True)
class Sleeps(fence.Fence):
    """A program that waits for ever, in the place of the worker."""

    def command(self, limits, name):
        return [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


@pytest.mark.thorough
def test_what_waits_for_ever_is_tried_twice_and_then_left_to_a_person(
    tmp_path, source, monkeypatch
):
    monkeypatch.setattr(fence, "PATIENCE", 0)
    monkeypatch.setattr(fence, "GRACE", 0.2)
    started = []
    monkeypatch.setattr(grading, "Program", lambda *given: started.append(1) or Program(*given))
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, None)
    report = grade(file, source.read_text(), secret=SECRET, fence=Sleeps())
    assert report.undecided == ("1.1", "1.2") and report.points == 0, report.as_text()
    assert len(started) == 4 and "by hand" in report.scores[0].text


@dataclass(frozen=True)
class Killed(fence.Fence):
    """A program that the system kills, in the place of the worker."""

    def command(self, limits, name):
        return [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]


@pytest.mark.thorough
def test_a_machine_that_runs_out_of_memory_takes_no_points(tmp_path, source, monkeypatch):
    """With Gradescope's 768 MB a right answer was killed, "Python stopped", with 0 points."""
    assert fence.out_of_memory() >= 0
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, None)
    for kills, undecided in ((itertools.count(), ("1.1", "1.2")), (itertools.repeat(7), ())):
        monkeypatch.setattr(fence, "out_of_memory", lambda kills=kills: next(kills))
        report = grade(file, source.read_text(), secret=SECRET, fence=Killed())
        assert report.undecided == undecided, report.as_text()
        told = report.scores[0].text
        assert (
            ("ran out of memory, twice" in told) == ("Python ended" not in told) == bool(undecided)
        )


def test_without_a_fence_nothing_is_graded_and_one_hears_why(monkeypatch):
    monkeypatch.setattr(fence, "usable", lambda one: "" if one == TRUSTED else "it is missing")
    with pytest.raises(ConfigError, match="it is missing.*--container.*--trusted"):
        fence.chosen(None, trusted=False)
    with pytest.raises(ConfigError, match="install it"):
        fence.chosen("podman", trusted=False)
    with pytest.raises(ConfigError, match="exclude"):
        fence.chosen("docker", trusted=True)
    assert fence.chosen(None, trusted=True) == TRUSTED


def test_a_container_has_the_same_fence(tmp_path, source, monkeypatch):
    """A stub in the place of Docker notes its command, and runs the worker without a container."""
    stub = tmp_path / "bin" / "docker"
    stub.parent.mkdir()
    noted = tmp_path / "noted.txt"
    stub.write_text(
        f'#!/bin/sh\necho "$@" >> {noted}\n'
        f'[ "$1" = run ] && PYTHONPATH={LIBRARY.parent} exec {sys.executable} '
        "-m sorl_edu.course.grading.worker\nexit 0\n"
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    fence.usable.cache_clear()
    chosen = fence.chosen("docker", trusted=False)
    assert isinstance(chosen, Container)
    file = submission(tmp_path, source.with_suffix(".ipynb"), HALF, TWICE)
    limits = Limits(100.0, 2**30)
    report = grade(file, source.read_text(), secret=SECRET, fence=chosen, limits=limits)
    assert report.points == 3, report.as_text()
    run, removed = noted.read_text().splitlines()[:2]
    for word in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "no-new-privileges",
        "--user 65534:65534",
        f"--memory {2**30}",
        "--pids-limit",
        "--ulimit cpu=700",
    ):
        assert word in run, run
    name = re.search(r"--name (\S+)", run)[1]
    assert removed == f"rm --force {name}"
    assert SECRET not in run


def test_a_trusted_answer_is_graded(tmp_path, source):
    file = submission(tmp_path, source.with_suffix(".ipynb"), "def answer(x):\n    1 / 0", TWICE)
    report = grade(file, source.read_text(), secret=SECRET, fence=TRUSTED)
    assert [score.points for score in report.scores] == [0, 2], report.as_text()
    assert "ZeroDivisionError" in report.scores[0].text
