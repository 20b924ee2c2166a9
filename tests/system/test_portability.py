"""The command line on other systems than Linux: what Windows' Python lacks is taken away."""

import json
import os
import re
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
    import json
    for words in json.loads(sys.argv[1]):
        code = main(words)
        print(f"exit code {code}.", flush=True)
"""


@pytest.fixture
def on_windows(tmp_path):
    """Runs command lines without POSIX; returns for each the exit code and what it printed."""
    script = tmp_path / "without_posix.py"
    script.write_text(WITHOUT_POSIX)

    def run(*commands):
        command = [sys.executable, script, json.dumps([[*map(str, words)] for words in commands])]
        environment = os.environ | {"SORL_EDU_SECRET": "a", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        parts = re.split(r"exit code (\d+)\.\n", done.stdout)
        return list(zip(map(int, parts[1::2]), parts[::2], strict=False))

    return run


@pytest.mark.thorough
def test_without_posix_the_course_is_built_and_ranked_and_grading_refuses(on_windows, tmp_path):
    results = {"tests": [{"number": "A1.4", "extra_data": {"values": [0.5]}}]}
    (tmp_path / "ada.json").write_text(json.dumps(results))
    (tmp_path / "ada.ipynb").write_text('{"cells": []}')
    grade = ["course", "grade", tmp_path / "ada.ipynb", "--assignment", 1]
    built, ranked, *graded = on_windows(
        ["course", "build", "A1", "--for", "student", "--to", tmp_path / "out"],
        ["course", "leaderboard", tmp_path / "ada.json", "--exercise", "A1.4"],
        grade,
        [*grade, "--trusted"],
    )
    assert built[0] == 0 and list((tmp_path / "out").rglob("A1*.ipynb")), built
    assert ranked[0] == 0 and "ada" in ranked[1], ranked
    assert len(graded) == 2
    for code, said in graded:
        assert code == 2 and "WSL" in said and "Traceback" not in said


@pytest.mark.thorough
def test_data_are_collected_without_posix(on_windows, tmp_path):
    words = ["pointmaze-medium-navigate-v0", "--episodes", 2, "--workers", 2, "--out", tmp_path]
    ((code, output),) = on_windows(["collect", *words])
    assert code == 0, output
    assert (tmp_path / "pointmaze-medium-navigate-v0.npz").is_file()
