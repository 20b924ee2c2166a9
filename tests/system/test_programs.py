"""How programs end: exit codes, one message for an error, Ctrl-C at any moment, a full disk."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sorl_edu import programs
from sorl_edu.errors import CheckpointError, ConfigError, DataError, UnknownName
from sorl_edu.training import NonFiniteLoss

EXPERIMENTS = Path(programs.__file__).parent / "experiments"
TRAIN = ["train", "pointmaze-medium-navigate-singletask-v0", "--preset", "pointmaze-bc"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("too small"), 2, "too small"),
        (UnknownName("suite", "mase", ["maze"]), 2, "Did you mean maze"),
        (DataError("no rows"), 1, "no rows"),
        (CheckpointError("damaged"), 1, "damaged"),
        (OSError(28, "can't write 'x': No space left on device"), 1, "No space left"),
        (NonFiniteLoss("q_loss", 3, 0, None, 2), 1, "q_loss became NaN"),
        (ModuleNotFoundError("No module named 'av'"), 1, "sorl-edu doctor"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(2), 2, ""),
        (SystemExit(0), 0, ""),
    ],
)
def test_an_error_ends_a_program_with_a_code_and_one_line(error, code, message, capsys):
    def program():
        raise error

    assert programs.exit_code(program) == code
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == bool(message)
    assert captured.out == ""


def test_a_fault_of_the_code_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        programs.exit_code(lambda: 1 // 0)


def test_a_program_returns_its_code_or_nothing():
    assert programs.exit_code(lambda: None) == 0
    assert programs.exit_code(lambda: 3) == 3


@pytest.mark.parametrize(
    ("end", "code", "cleaned"), [("raise KeyboardInterrupt", 130, 0), ("1", 0, 1)]
)
def test_an_interrupted_process_ends_at_once_with_its_output_and_its_blocks_left(
    end, code, cleaned
):
    """Python's own clean-up under threads of XLA is a segmentation fault."""
    script = f"""
import atexit
from sorl_edu import programs

def program():
    atexit.register(print, "cleaned up")
    print("begun", end="")
    try:
        {end}
    finally:
        print(", left,", end="")

programs.run(program)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout.startswith("begun, left,")
    assert done.stdout.count("cleaned up") == cleaned
    assert done.stderr.count("interrupted") == 1 - cleaned and "Traceback" not in done.stderr


def test_every_program_of_the_experiments_ends_so():
    programs_found = 0
    for path in EXPERIMENTS.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
                assert ast.unparse(node.body[-1]).startswith("programs.run("), path
                programs_found += 1
    assert programs_found >= 6


def sorl_edu(*words, first="", **options):
    """A process of the program; Ctrl-C reaches it even where the tests run in the background."""
    interruptible = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{interruptible}\n{first}\nfrom sorl_edu.cli import program; program()"
    command = [sys.executable, "-c", script, *map(str, words)]
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, **options)


@pytest.mark.thorough
@pytest.mark.parametrize("updates", [100, 600])
def test_ctrl_c_while_two_seeds_train_is_one_message(updates, tmp_path):
    words = [*TRAIN, "--seeds", 2, "--updates", 1_000_000, "--log-every", 100]
    words += ["--checkpoint-every", 100, "--out", tmp_path]
    process = sorl_edu(*words, start_new_session=True)
    output = b""
    while f"{updates}/".encode() not in output:
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, output
        output += chunk
    os.killpg(process.pid, signal.SIGINT)
    output += process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert output.count(b"sorl-edu: interrupted") == 1
    assert b"Traceback" not in output and b"Fatal" not in output


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="a limit of POSIX")
def test_a_full_disk_while_training_is_one_message(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    words = [*TRAIN, "--updates", 20, "--log-every", 10, "--checkpoint-every", 10]
    process = sorl_edu(*words, "--out", tmp_path / "run", first=limit)
    output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert "sorl-edu: can't write" in output and "training_state.safetensors" in output
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"plan.json"}
