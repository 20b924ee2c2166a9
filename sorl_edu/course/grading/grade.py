"""Grades a submission: its answers run behind a fence, and are judged here, case by case.

    report = grade("submission.ipynb", assignment, secret="this term's", fence=BUBBLEWRAP)
    print(report.as_text())

Students see the same checks, on other cases: a *secret* seeds the grader's. An answer's process
(`worker.py`, behind `fence.py`) gets the arguments of one case at a time and hands arrays back. The
solutions, the misconceptions, the seeds and the secret stay in this process.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorl_edu.course import notebooks
from sorl_edu.course.exercises.attempt import Feedback, Stopped, call
from sorl_edu.course.exercises.exercise import Check
from sorl_edu.course.grading.fence import (
    MOST_STARTING,
    Ended,
    Fence,
    Limits,
    Printed,
    Program,
    harmless,
)
from sorl_edu.course.grading.messages import MOST_BYTES, pack, unpack
from sorl_edu.course.notebooks import ExerciseCells, WrittenPart
from sorl_edu.errors import DataError, check

CELL_SECONDS = 120.0  # processor time of a cell: an experiment that takes longer is left out
MOST_STARTS = 6  # of a process without one of the cells that ended it
MOST_TEXT = 1500  # characters of feedback


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
    undecided: bool = False
    """The answer was stopped by the clock with processor time left, or since the machine ran out of
    memory, twice: grade it by hand."""


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

    @property
    def undecided(self) -> tuple[str, ...]:
        """The numbers of the exercises that are to be graded by hand."""
        return tuple(score.number for score in self.scores if score.undecided)

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
                    "extra_data": {"values": list(score.values), "undecided": score.undecided},
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
    fence: Fence,
    name: str = "assignment",
    limits: Limits | None = None,
) -> Report:
    """Grades a notebook.

    Args:
        submission: the student's .ipynb.
        source: the text of the assignment's own notebook, with the exercises, points and checks.
        secret: seeds the hidden cases.
        fence: what the answers run behind (`fence.chosen`).
        name: the assignment's name in the report.
        limits: of the processes in which answers run, each.

    Raises:
        DataError: the file is no notebook, or another assignment's.
    """
    start, limits = time.perf_counter(), limits or Limits()
    exercises = notebooks.exercises(source)
    cells = read_cells(submission, [exercise.number for exercise in exercises])
    checks = {exercise.number: check_of(exercise) for exercise in exercises}
    answers = Answers(fence, limits, exercises, own_cells(cells, source, exercises))
    scores = []
    try:
        for exercise in exercises:
            seed = hidden_seed(secret, exercise.number)
            feedback, decided = _judged(checks[exercise.number], answers, seed)
            points = exercise.points * feedback.share
            scores.append(
                Score(
                    exercise.number,
                    exercise.title,
                    points,
                    exercise.points,
                    harmless(feedback.text, MOST_TEXT),
                    feedback.values,
                    not decided,
                )
            )
    finally:
        answers.close()
    by_hand = tuple(notebooks.written_parts(source))
    seconds = time.perf_counter() - start
    return Report(name, tuple(scores), by_hand, str(answers.printed), seconds)


ENDED = {
    "time": "It did not finish within {seconds:g} s of processor time. Look for an endless loop.",
    "memory": "It exceeded the memory limit and was stopped. Look for an array that grows, or is "
    "far too large.",
    "processes": "It started too many processes and was stopped.",
    "exit": "Python ended while the answer ran. Its last output: {last}",
    "garbled": "It wrote into the grader's own pipe.",
    "clock": "It was stopped by the clock, twice, although it had processor time left: it waits "
    "for something, or the machine is too busy. To be graded by hand.",
    "machine": "The grader's machine ran out of memory, twice, while it ran. To be graded by hand, "
    "or on a machine with more memory.",
}
UNDECIDED = ("clock", "machine")  # says little about the answer


def _judged(check: Check, answers: Answers, seed: int) -> tuple[Feedback, bool]:
    """Feedback on an answer, and whether it is decided: not if the machine stopped it."""
    ask = functools.partial(answers.ask, check)
    for attempts_left in (1, 0):
        try:
            return check.examine(ask, seed), True
        except Ended as ended:
            decided = ended.how not in UNDECIDED
            if decided or not attempts_left:
                return Feedback("wrong", answers.why(ended.how)), decided
        except Exception as error:  # what an answer returns may be anything
            return Feedback("wrong", f"Its outputs can't be read: {type(error).__name__}"), True
    raise AssertionError("the second attempt returns")


class Answers:
    """The answers of a submission, in a process that is started anew whenever one ended it."""

    def __init__(
        self,
        fence: Fence,
        limits: Limits,
        exercises: Sequence[ExerciseCells],
        cells: Sequence[tuple[int, str]],
    ):
        self.fence, self.limits = fence, limits
        self.imports = exercises[0].imports
        self.names = {e.number: list(parts_of_check(e.check).values()) for e in exercises}
        self.cells, self.fatal = list(cells), dict[int, str]()
        self.printed = Printed()
        self._program: Program | None = None
        self._left = limits.seconds  # for the answers, of the process that runs

    def ask(self, check: Check, *case: Any, probe: Callable = call, parts: int = 1) -> Any:
        """What the answer makes of a case: numbers, text, NumPy arrays and containers of them.

        Raises:
            Stopped: the answer is missing or blank, or it raised an error.
            Ended: the process has ended.
        """
        request = {"number": check.number, "case": list(case), "probe": probe, "parts": parts}
        reply = self._exchange(pack(request | {"library": list(check.library)}))
        match reply:
            case ["outputs", outputs]:
                return outputs
            case ["stopped", str(status), str(text), str(error)]:
                text, error = harmless(text, MOST_TEXT), harmless(error, MOST_TEXT)
                raise Stopped(
                    Feedback("empty" if status == "empty" else "wrong", text, None, (), error)
                )
        raise self._end("garbled")

    def _exchange(self, frame: bytes) -> Any:
        program = self._program or self._started()
        try:
            before = program.spent()
            reply = unpack(program.exchange(frame, seconds=self._left))
            self._left -= program.spent() - before
            return reply
        except DataError:
            raise self._end("garbled") from None
        except Ended:
            self._forget()
            raise

    def _started(self) -> Program:
        """A process that has run the cells, without those that ended an earlier one."""
        for _ in range(MOST_STARTS):
            self._program = program = Program(self.fence, self.limits, self.printed)
            cells = [cell for cell in self.cells if cell[0] not in self.fatal]
            frame = pack({"imports": self.imports, "answers": self.names, "cells": cells})
            running = None
            try:
                while True:
                    left = MOST_STARTING - program.spent()
                    if running is not None:
                        left = min(left, CELL_SECONDS)
                    match unpack(program.exchange(frame, seconds=left)):
                        case ["cell", int(running)]:
                            frame = b""
                        case ["ready"]:
                            self._left = self.limits.seconds
                            return program
                        case _:
                            raise self._end("garbled")
            except DataError:
                ended = self._end("garbled")
            except Ended as error:
                ended = error
                self._forget()
            if running is None or ended.how == "machine":
                raise ended
            self.fatal[running] = ended.how
        raise ended

    def why(self, how: str) -> str:
        """A sentence on why an answer's process ended."""
        last = (str(self.printed).strip().splitlines() or ["nothing"])[-1]
        text = ENDED[how].format(seconds=self.limits.seconds, last=harmless(last, 300))
        if self.fatal:
            cells = ", ".join(f"{index} ({how})" for index, how in self.fatal.items())
            text += f" Cells that ended Python were left out: {cells}."
        return text

    def _end(self, how: str) -> Ended:
        self._forget()
        return Ended(how)

    def _forget(self) -> None:
        if self._program:
            self._program.kill()
        self._program = None

    close = _forget


def own_cells(
    cells: Sequence[str], source: str, exercises: Sequence[ExerciseCells]
) -> list[tuple[int, str]]:
    """The numbers and code of the cells that a student changed or added, answers and checks.

    The other cells of the assignment, which show pictures and train, do not run.
    """
    answers = {code.strip() for exercise in exercises for code in (exercise.blank, exercise.check)}
    plain = [notebooks.plain_code(cell) for cell in cells]
    handed_out = (notebooks.plain_code(cell.source) for cell in notebooks.parsed(source).cells)
    given = {code.strip() for code in handed_out} - answers
    return [(i, code) for i, code in enumerate(plain) if code.strip() and code.strip() not in given]


_NUMBER = re.compile(r"^### Exercise (\S+) ·", re.MULTILINE)


def read_cells(path: str | Path, numbers: Sequence[str]) -> list[str]:
    """The code cells of a notebook file.

    Args:
        path: an .ipynb.
        numbers: of the exercises that it should have.

    Raises:
        DataError: the file is too large or no notebook; or it has other exercises, and none of
            these.
    """
    path = Path(path)
    shown = harmless(str(path), 300)
    try:
        size = path.stat().st_size
        too_large = f"{shown} has {size:,} bytes: at most {MOST_BYTES:,}"
        check(size <= MOST_BYTES, too_large, DataError)
        cells = [
            (str(cell["cell_type"]), "".join(cell["source"]))
            for cell in json.loads(path.read_bytes())["cells"]
        ]
    except OSError as error:
        raise DataError(f"{shown} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{shown} is no notebook: it should be the .ipynb file that JupyterLab or Colab saves"
        ) from None
    prose = "\n".join(source for kind, source in cells if kind == "markdown")
    found = _NUMBER.findall(prose)
    if found and not set(found) & set(numbers):
        others = harmless(", ".join(found), 200)
        raise DataError(
            f"{shown} is another assignment: it has the exercises {others}, and none of "
            f"{', '.join(numbers)}"
        )
    return [source for kind, source in cells if kind == "code"]


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
