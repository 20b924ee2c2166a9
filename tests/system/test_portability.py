"""The command line on other systems than Linux: what Windows' Python lacks is taken away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_POSIX = """
import os, signal, sys
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module, names in (
    (os, "fork forkpty killpg getuid geteuid setsid sched_getaffinity getpgid mkfifo posix_spawn"),
    (signal, "SIGKILL SIGHUP SIGUSR1 pthread_sigmask setitimer alarm SIG_BLOCK SIG_SETMASK"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
from sorl_edu.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def on_windows(tmp_path):
    """Runs a command line without POSIX; returns its exit code and all that it printed."""
    script = tmp_path / "without_posix.py"
    script.write_text(WITHOUT_POSIX)

    def run(*words):
        command = [sys.executable, script, *map(str, words)]
        environment = os.environ | {"SORL_EDU_SECRET": "a", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_course_is_built_and_ranked_without_posix(on_windows, tmp_path):
    code, output = on_windows("course", "build", "A1", "--for", "student", "--to", tmp_path / "out")
    assert code == 0, output
    assert list((tmp_path / "out").rglob("A1*.ipynb"))
    results = {"tests": [{"number": "A1.4", "extra_data": {"values": [0.5]}}]}
    (tmp_path / "ada.json").write_text(json.dumps(results))
    code, output = on_windows("course", "leaderboard", tmp_path / "ada.json", "--exercise", "A1.4")
    assert code == 0 and "ada" in output, output


def test_grading_without_posix_is_refused_with_a_sentence(on_windows, tmp_path):
    (tmp_path / "ada.ipynb").write_text('{"cells": []}')
    for flags in ([], ["--trusted"]):
        words = tmp_path / "ada.ipynb", "--assignment", 1, *flags
        code, output = on_windows("course", "grade", *words)
        assert code == 2 and "WSL" in output and "Traceback" not in output, output


@pytest.mark.slow
def test_data_are_collected_without_posix(on_windows, tmp_path):
    words = ["pointmaze-medium-navigate-v0", "--episodes", 2, "--workers", 2, "--out", tmp_path]
    code, output = on_windows("collect", *words)
    assert code == 0, output
    assert (tmp_path / "pointmaze-medium-navigate-v0.npz").is_file()
