"""Grading: a submission's answers, run in a sandbox, on cases that only the grader can make.

    report = grade("submission.ipynb", assignment, secret="this term's")
    print(report.as_text())

The check of an exercise is the one that the student has seen; a *secret* makes its cases anew. The
answers run in a process of their own (`sandbox.py`, `worker.py`) that hands over what they gave, as
numbers; what is right is computed here, and never in there. So patching the check, or printing
"right", changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import sorl_edu
from sorl_edu.course import notebooks
from sorl_edu.course.exercises.exercise import Check, Feedback
from sorl_edu.course.grading import sandbox
from sorl_edu.course.notebooks import ExerciseCells, WrittenPart
from sorl_edu.errors import DataError, check

SECONDS, MEMORY = 600.0, 4 * 2**30


@dataclass(frozen=True)
class Score:
    """What an exercise is given."""

    number: str
    title: str
    points: float
    most: float
    text: str
    values: tuple[float, ...] = ()
    """What was measured, run by run, where that is how it is checked."""


@dataclass(frozen=True)
class Report:
    """What a submission is given, exercise by exercise."""

    assignment: str
    scores: tuple[Score, ...]
    by_hand: tuple[WrittenPart, ...]
    """What somebody must read; not among the points."""
    output: str
    """What it printed."""
    seconds: float

    @property
    def points(self) -> float:
        return sum(score.points for score in self.scores)

    @property
    def most(self) -> float:
        return sum(score.most for score in self.scores)

    def as_text(self) -> str:
        lines = [f"{self.assignment}: {self.points:g} of {self.most:g} points"]
        for score in self.scores:
            lines += [f"{score.number} {score.title}: {score.points:g} of {score.most:g}"]
            lines += [f"    {score.text}"]
        for part in self.by_hand:
            lines += [f"{part.number} {part.title}: of {part.points:g}, by hand"]
        return "\n".join(lines)

    def as_gradescope(self) -> dict:
        """Gradescope's results.json; what was measured is on its leader board, too."""
        return {
            "score": self.points,
            "execution_time": round(self.seconds, 1),
            "output": self.output,
            "tests": [
                {
                    "number": score.number,
                    "name": score.title,
                    "score": score.points,
                    "max_score": score.most,
                    "output": score.text,
                    "extra_data": {"values": list(score.values)},
                }
                for score in self.scores
            ],
            "leaderboard": [
                {"name": score.title, "value": sum(score.values) / len(score.values)}
                for score in self.scores
                if score.values
            ],
        }


def hidden_seed(secret: str, number: str) -> int:
    """The seed of an exercise's cases, which nobody can guess who lacks the secret."""
    return int.from_bytes(hashlib.sha256(f"{secret}/{number}".encode()).digest()[:4], "big")


def grade(
    submission: str | Path,
    source: str,
    *,
    secret: str,
    name: str = "assignment",
    seconds: float = SECONDS,
    memory: int = MEMORY,
    unread: Sequence[Path] = (),
) -> Report:
    """Grades a notebook.

    Args:
        submission: the student's .ipynb.
        source: the text of the assignment's own notebook, which has the exercises, their points and
            checks.
        secret: makes the hidden cases.
        seconds, memory: what all its answers together may take, and bytes.
        unread: files and folders that it may not read, beside the course's own.

    Raises:
        ConfigError: this is Windows.
        DataError: the file is no notebook.
    """
    check(
        hasattr(os, "killpg"),
        "submissions are graded on Linux and macOS, whose processes can be limited; on Windows, "
        "install Linux in WSL (wsl --install), and grade there",
    )
    exercises = notebooks.exercises(source)
    cells = read_cells(submission)
    ours = {cell.source.strip() for cell in notebooks.parsed(source).cells}
    blanks = {exercise.blank.strip() for exercise in exercises}
    theirs = [
        (index, plain)
        for index, cell in enumerate(cells)
        if (plain := notebooks.plain_code(cell)).strip() not in ours - blanks and plain.strip()
    ]
    requests = [
        {"number": e.number, "seed": hidden_seed(secret, e.number)} | parts_of_check(e.check)
        for e in exercises
    ]
    scores: dict[str, Score] = {}
    output, taken, missing = "", 0.0, list(zip(exercises, requests, strict=True))
    while missing:  # more than once only if an answer takes the whole process down
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            outcome = _run_answers(
                folder,
                exercises[0].imports,
                theirs,
                [request for _, request in missing],
                unread,
                seconds,
                memory,
            )
            output, taken = output + outcome.output, taken + outcome.seconds
            tried = [pair for pair in missing if (folder / f"{pair[0].number}.tried").exists()]
            # Where not one was tried, it is the notebook's cells that don't come to an end.
            for exercise, request in tried or missing:
                scores[exercise.number] = _score(exercise, request, folder, outcome)
            missing = [pair for pair in missing if pair[0].number not in scores]
    ordered = tuple(scores[exercise.number] for exercise in exercises)
    return Report(name, ordered, tuple(notebooks.written_parts(source)), output, taken)


def _run_answers(
    folder: Path,
    imports: str,
    cells: Sequence[tuple[int, str]],
    requests: Sequence[dict],
    unread: Sequence[Path],
    seconds: float,
    memory: int,
) -> sandbox.Outcome:
    """Lets the worker try answers, in the order of the requests, and leave what they gave."""
    request = {
        "grader": os.getpid(),
        "imports": imports,
        "cells": cells,
        "exercises": requests,
        "unread": [str(path) for path in unread],
    }
    (folder / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "sorl_edu.course.grading.worker"]
    here = {"PYTHONPATH": str(Path(sorl_edu.__file__).parents[1])}  # this very library
    return sandbox.run(command, folder, seconds=seconds, memory=memory, environment=here)


def read_cells(path: str | Path) -> list[str]:
    """The code cells of a notebook file.

    Raises:
        DataError: it is too large, or no notebook.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        check(
            size <= sandbox.MAX_BYTES,
            f"{path} has {size:,} bytes: at most {sandbox.MAX_BYTES:,}",
            DataError,
        )
        content = json.loads(path.read_bytes())
        cells = [
            "".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no notebook: {type(error).__name__}: {error}") from None
    return cells


def parts_of_check(source: str) -> dict[str, str]:
    """The check and the answer's name in `exercises.promise(promised_steps)`."""
    call = ast.parse(source).body[-1].value
    return {"check": ast.unparse(call.func), "answer": ast.unparse(call.args[0])}


def check_of(exercise: ExerciseCells) -> Check:
    """The check that an exercise's cell calls.

    Raises:
        ConfigError: the cell calls something else.
    """
    space: dict = {}
    exec(exercise.imports, space)
    found = eval(parts_of_check(exercise.check)["check"], space)
    check(isinstance(found, Check), f"the check of {exercise.number} is {found!r}")
    return found


def _score(exercise, request: dict, folder: Path, outcome: sandbox.Outcome) -> Score:
    feedback = _feedback(exercise, request, folder, outcome)
    points = exercise.points * feedback.share
    number, title, most = exercise.number, exercise.title, exercise.points
    return Score(number, title, points, most, feedback.text, feedback.values)


ENDED = {
    "time": "It did not come to an end: after {seconds:.0f} s it was stopped. Look for a loop that "
    "never ends.",
    "memory": "It used up the memory and was stopped. Look for an array that grows, or is far too "
    "large.",
    "done": "Python was ended by the notebook itself: leave out exit() and quit().",
    "failed": "Python stopped while it was tried. What it said last: {last}",
}


def _feedback(exercise, request: dict, folder: Path, outcome: sandbox.Outcome) -> Feedback:
    said, gave = folder / f"{exercise.number}.json", folder / f"{exercise.number}.npz"
    try:
        if said.is_file():
            told = json.loads(said.read_bytes()[:100_000])
            return Feedback("empty" if told["status"] == "empty" else "wrong", str(told["text"]))
        if gave.is_file() and gave.stat().st_size <= sandbox.MAX_BYTES:
            with np.load(gave, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            given: list[list[np.ndarray]] = []
            for key in sorted(arrays, key=lambda key: tuple(map(int, key.split("/")))):
                case = int(key.split("/")[0])
                given += [[] for _ in range(case + 1 - len(given))]
                given[case].append(arrays[key])
            return check_of(exercise).grade(given, request["seed"])
    except Exception as error:  # whatever a submission has put in place of what the worker writes
        return Feedback("wrong", f"What it handed over can't be read: {type(error).__name__}")
    last = outcome.output.strip().splitlines()[-1:] or ["nothing"]
    text = ENDED[outcome.ended].format(seconds=outcome.seconds, last=last[0][:300])
    return Feedback("wrong", text)
