"""Grades a submission: its answers run in a sandbox, on cases that only the grader can draw.

    report = grade("submission.ipynb", assignment, secret="this term's")
    print(report.as_text())

Students see the same checks, on other cases: a *secret* seeds the grader's. The answers run in a
process of their own (`sandbox.py`, `worker.py`), which writes their outputs as numbers. They are
compared with the solution's outputs here, so patching the check, or printing "right", is no use.
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
    """The points of an exercise, and the reason for them."""

    number: str
    title: str
    points: float
    most: float
    text: str
    values: tuple[float, ...] = ()
    """One measurement per seed if the exercise is measured, else empty."""


@dataclass(frozen=True)
class Report:
    """The points of a submission, exercise by exercise."""

    assignment: str
    scores: tuple[Score, ...]
    by_hand: tuple[WrittenPart, ...]
    """Parts that are graded by hand; not included in the points."""
    output: str
    """The submission's printed output."""
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
        """Gradescope's results.json; measured values also appear on its leaderboard."""
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
    """The seed of an exercise's hidden cases; nobody can guess it without the secret."""
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
        source: the text of the assignment's own notebook, with the exercises, points and checks.
        secret: seeds the hidden cases.
        name: the assignment's name in the report.
        seconds: time limit for all answers together.
        memory: limit of resident memory, in bytes.
        unread: files and folders that the submission may not read, beside the course's own.

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
    given = {cell.source.strip() for cell in notebooks.parsed(source).cells}
    given -= {exercise.blank.strip() for exercise in exercises}
    own = [  # cells that the student changed or added, and all answers
        (index, plain)
        for index, cell in enumerate(cells)
        if (plain := notebooks.plain_code(cell)).strip() not in given and plain.strip()
    ]
    requests = [
        {"number": e.number, "seed": hidden_seed(secret, e.number)} | parts_of_check(e.check)
        for e in exercises
    ]
    scores: dict[str, Score] = {}
    output, taken, missing = "", 0.0, list(zip(exercises, requests, strict=True))
    while missing:  # more than once only if an answer ends the whole process
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            outcome = _run_answers(
                folder,
                exercises[0].imports,
                own,
                [request for _, request in missing],
                unread,
                seconds,
                memory,
            )
            output, taken = output + outcome.output, taken + outcome.seconds
            tried = [pair for pair in missing if (folder / f"{pair[0].number}.tried").exists()]
            # If no answer was tried, the cells before them have ended the process.
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
    """Runs answers in the worker, in the order of the requests; their outputs are in `folder`."""
    request = {
        "grader": os.getpid(),
        "imports": imports,
        "cells": cells,
        "exercises": requests,
        "unread": [str(path) for path in unread],
    }
    (folder / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "sorl_edu.course.grading.worker"]
    here = {"PYTHONPATH": str(Path(sorl_edu.__file__).parents[1])}  # the library that runs now
    return sandbox.run(command, folder, seconds=seconds, memory=memory, environment=here)


def read_cells(path: str | Path) -> list[str]:
    """The code cells of a notebook file.

    Raises:
        DataError: the file is too large, or no notebook.
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
    """The check and the answer in a call such as `exercises.promise(promised_steps)`, as code."""
    call = ast.parse(source).body[-1].value
    return {"check": ast.unparse(call.func), "answer": ast.unparse(call.args[0])}


def check_of(exercise: ExerciseCells) -> Check:
    """The check that an exercise's cell calls.

    Raises:
        ConfigError: the cell calls no check.
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
    "time": "It did not finish and was stopped after {seconds:.0f} s. Look for an endless loop.",
    "memory": "It exceeded the memory limit and was stopped. Look for an array that grows, or is "
    "far too large.",
    "done": "The notebook itself ended Python: remove exit() and quit().",
    "failed": "Python stopped while the answer ran. Its last output: {last}",
}


def _feedback(exercise, request: dict, folder: Path, outcome: sandbox.Outcome) -> Feedback:
    reason, outputs = folder / f"{exercise.number}.json", folder / f"{exercise.number}.npz"
    try:
        if reason.is_file():
            found = json.loads(reason.read_bytes()[:100_000])
            status = "empty" if found["status"] == "empty" else "wrong"
            stopped = Feedback(status, str(found["text"]), error=str(found["error"]))
            return check_of(exercise).explain(stopped, request["seed"])
        if outputs.is_file() and outputs.stat().st_size <= sandbox.MAX_BYTES:
            with np.load(outputs, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            cases: list[list[np.ndarray]] = []
            for key in sorted(arrays, key=lambda key: tuple(map(int, key.split("/")))):
                case = int(key.split("/")[0])
                cases += [[] for _ in range(case + 1 - len(cases))]
                cases[case].append(arrays[key])
            return check_of(exercise).grade(cases, request["seed"])
    except Exception as error:  # a submission may replace the files of the worker by anything
        return Feedback("wrong", f"Its outputs can't be read: {type(error).__name__}")
    last = outcome.output.strip().splitlines()[-1:] or ["nothing"]
    text = ENDED[outcome.ended].format(seconds=outcome.seconds, last=last[0][:300])
    return Feedback("wrong", text)
