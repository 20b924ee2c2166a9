"""Gradescope's archive grades what is handed in, and says what is wrong with anything else."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")

from tiny_course import HALF, SECRET, make_assignment, submission

from sorl_edu import cli
from sorl_edu.course.grading import gradescope
from sorl_edu.course.grading.fence import INSIDE
from sorl_edu.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def autograder(tmp_path, monkeypatch):
    """The unpacked archive, as /autograder is, with this interpreter's environment for its own."""

    @contextlib.contextmanager
    def wheel(root):
        (tmp_path / "sorl_edu-0-py3-none-any.whl").write_text("in place of a wheel")
        yield tmp_path / "sorl_edu-0-py3-none-any.whl"

    monkeypatch.setattr(gradescope, "_wheel", wheel)
    monkeypatch.setenv("SORL_EDU_SECRET", SECRET)
    archive, root = tmp_path / "autograder.zip", tmp_path / "repository"
    root.mkdir()
    make_assignment(root)
    words = ["--assignment", "1", "--out", str(archive), "--root", str(root)]
    assert cli.main(["course", "gradescope", *words]) == 0
    here = tmp_path / "autograder"
    with zipfile.ZipFile(archive) as file:
        file.extractall(here / "source")
        for entry in file.infolist():
            (here / "source" / entry.filename).chmod(entry.external_attr >> 16)
    (here / "submission").mkdir()
    program = here / "venv" / "bin" / "sorl-edu"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nfrom sorl_edu.cli import program\nprogram()\n")
    program.chmod(0o755)
    return here


def results(autograder):
    """What Gradescope shows after a run."""
    done = subprocess.run(
        [autograder / "source" / "run_autograder"],
        env=os.environ
        | {"AUTOGRADER": str(autograder), "FENCE": "--trusted"}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((autograder / "results" / "results.json").read_bytes())


@pytest.mark.thorough
def test_a_submission_is_graded_and_anything_else_is_explained(autograder, tmp_path):
    folder = autograder / "submission"
    assert "no .ipynb" in results(autograder)["output"]
    (folder / "answers.py").write_text("1")
    assert "no .ipynb" in results(autograder)["output"]
    (folder / "A1.ipynb").write_text("{")
    assert "is no notebook" in results(autograder)["output"]
    handout = tmp_path / "repository" / "notebooks" / "assignments" / "A1_halves.ipynb"
    answered = submission(tmp_path, handout, HALF, None)
    shutil.copy(answered, folder / "A1.ipynb")
    found = results(autograder)
    assert found["score"] == 1 and [test["score"] for test in found["tests"]] == [1, 0]
    assert "waits for you" in found["tests"][1]["output"]
    shutil.copy(answered, folder / "again.ipynb")
    assert "2 notebooks" in results(autograder)["output"]
    (folder / "again.ipynb").unlink()
    (autograder / "venv" / "bin" / "sorl-edu").write_text("#!/bin/sh\nkill -9 $$\n")
    assert "ran out of memory" in results(autograder)["output"]


def test_the_archive_keeps_its_secret_and_its_solutions_from_the_answers_account(autograder):
    source = autograder / "source"
    setup = (source / "setup.sh").read_text()
    assert subprocess.run(["bash", "-n", source / "setup.sh"]).returncode == 0
    assert SECRET not in setup + (source / "run_autograder").read_text()
    assert (source / "secret.txt").read_text().strip() == SECRET
    for file in ("secret.txt", "notebooks/assignments/A1_halves.py"):
        assert (source / file).stat().st_mode & 0o077 == 0
    opened = setup.partition("chmod go+r ")[2].splitlines()[0].rstrip(")").split()
    assert opened == list(INSIDE) and not any("assignment" in file for file in opened)
    pins = dict(line.split("==") for line in (source / "requirements.txt").read_text().split())
    assert pins["jax"] == metadata.version("jax") and "jupyterlab" not in pins


def test_an_image_has_no_exercises_and_a_missing_engine_is_named(tmp_path, monkeypatch):
    stub = tmp_path / "podman"
    stub.write_text(
        '#!/bin/sh\necho "$@" > "$(dirname "$0")/command"\ncp Containerfile "$(dirname "$0")"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    @contextlib.contextmanager
    def wheel(root):
        (tmp_path / "context").mkdir(exist_ok=True)
        yield tmp_path / "context" / "a.whl"

    monkeypatch.setattr(gradescope, "_wheel", wheel)
    assert cli.main(["course", "image", "--container", "podman"]) == 0
    assert "build --tag sorl-edu-grading" in (tmp_path / "command").read_text()
    recipe = (tmp_path / "Containerfile").read_text()
    assert "-delete" in recipe and all(f"! -path './{file}'" in recipe for file in INSIDE)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="docker can't build the image"):
        gradescope.build_image(ROOT, "docker")
