"""A student's last cell: checks all exercises of a notebook, and writes one file to hand in.

    from sorl_edu.course import hand_in

    hand_in.pack("A1_shortcut_models")

It checks the answers that the kernel has, and packs the notebook as it is saved. Where the two may
differ, or the grader would lack what an answer uses, it says so. In Colab the browser has the
notebook, which is packed as it stands there, and downloaded.
"""

from __future__ import annotations

import ast
import builtins
import dis
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

from sorl_edu.course import notebooks
from sorl_edu.course.exercises.attempt import SIGNS, Feedback
from sorl_edu.course.grading.grade import check_of, parts_of_check, read_cells
from sorl_edu.course.grading.messages import MOST_BYTES
from sorl_edu.course.notebooks import ExerciseCells
from sorl_edu.errors import ConfigError, DataError, check
from sorl_edu.files import atomic_write

SAVE = "save the notebook (Ctrl+S), and run this cell again"
Cells = Sequence[Mapping[str, Any]]


def pack(name: str, *, file: str | os.PathLike | None = None) -> None:
    """Checks the exercises of this notebook, and writes hand_in/NAME.ipynb beside it.

    It prints the points of each exercise on the cases of its check, warnings, and the file's name.
    Where nothing is answered or something is wrong with the notebook, it says so and writes
    nothing.

    Args:
        name: the assignment's name, which the file gets.
        file: the notebook, where it isn't found: JupyterLab, VS Code and Colab tell it.
    """
    try:
        _pack(name, file)
    except (ConfigError, DataError, OSError) as error:
        print(f"Nothing was written: {error}")


def _pack(name: str, file: str | os.PathLike | None) -> None:
    shell = _shell()
    book = _found(name, file, shell)
    exercises = notebooks.exercises_in(book.cells)
    written = notebooks.written_parts_in(book.cells)
    check(bool(exercises), f"{book.place} has no exercises: {_named(name)}")
    points, empty = 0.0, True
    for exercise in exercises:
        feedback = _checked(exercise, shell.user_ns)
        points += exercise.points * feedback.share
        empty &= feedback.status == "empty"
        print(_line(exercise, feedback), flush=True)
    for part in written:
        cell = _tagged(book.cells, f"written-{part.number}")
        blank = notebooks.as_given(cell)
        empty &= blank
        sign, said = (SIGNS["empty"], "it waits for you") if blank else ("·", "graded by hand")
        print(f"{sign} {part.number} {part.title}: {said}")
    most = sum(exercise.points for exercise in exercises)
    print(f"{points:g} of {most:g} points here. The grader runs these checks on other cases.")
    check(not empty, "there is no answer in the notebook yet")
    for warning in (*_unlike_what_ran(exercises, book, shell), *_missing(exercises, book)):
        print(f"! {warning}")
    packed = _write(name, book, [exercise.number for exercise in exercises])
    print(f"Hand in this file: {packed}")


def _checked(exercise: ExerciseCells, space: dict[str, Any]) -> Feedback:
    """Feedback on what the kernel has as the answer."""
    try:
        answer = eval(parts_of_check(exercise.check)["answer"], space)
    except Exception:
        return Feedback("empty", "Its cell was not run since the kernel started: run it first.")
    return check_of(exercise)(answer)


def _line(exercise: ExerciseCells, feedback: Feedback) -> str:
    earned = f"{exercise.points * feedback.share:g} of {exercise.points:g}"
    why = "" if feedback else f"\n    {feedback.text}"
    return f"{SIGNS[feedback.status]} {exercise.number} {exercise.title}: {earned}{why}"


# ----------------------------------------------------------------------------- the notebook


@dataclass(frozen=True)
class _Book:
    """This notebook."""

    content: dict[str, Any]
    folder: Path
    place: str
    """The file, or Colab."""
    is_live: bool
    """Whether the content is that in the browser, saved or not."""

    @property
    def cells(self) -> Cells:
        return self.content["cells"]


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    check(shell is not None, "run it in a notebook")
    return shell


def _found(name: str, file: str | os.PathLike | None, shell: Any) -> _Book:
    """This notebook's content, from Colab's browser or from its file.

    Raises:
        ConfigError: there is no way to know the file; or it is no notebook.
    """
    if file is None and "google.colab" in sys.modules:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=60)
        check(bool(answer and answer.get("ipynb")), "Colab did not answer: run this cell again")
        return _Book(_plain(answer["ipynb"]), Path.cwd(), "this notebook", True)
    known = file or shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    check(known is not None, f"the notebook's file is not known here: {_named(name)}")
    path = Path(known).expanduser()
    text = f"{path} is not the notebook's file (was it renamed?): {_named(name)}"
    check(path.suffix == ".ipynb" and path.is_file(), text)
    try:
        content = _plain(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path} can't be read as a notebook: {SAVE}") from error
    return _Book(content, path.absolute().parent, str(path), False)


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """A notebook whose cells have their source in one piece."""
    cells = [{**cell, "source": "".join(cell["source"])} for cell in content["cells"]]
    return {**content, "cells": cells}


def _named(name: str) -> str:
    return f'name it, as in hand_in.pack("{name}", file="{name}.ipynb")'


def _tagged(cells: Cells, tag: str) -> Mapping[str, Any]:
    return next(cell for cell in cells if tag in cell["metadata"].get("tags", ()))


def _write(name: str, book: _Book, numbers: Sequence[str]) -> Path:
    """Writes the file that is handed in, whole or not at all, if the grader can read it."""
    content = {**book.content, "metadata": dict(book.content.get("metadata", {}))}
    content["metadata"].pop("widgets", None)  # large, and of no use without a kernel
    text = json.dumps(content, indent=1)
    large = f"the notebook has {len(text):,} bytes, and the grader reads at most {MOST_BYTES:,}"
    check(len(text) <= MOST_BYTES, f"{large}: clear the outputs of cells that show much, {SAVE}")
    path = book.folder / notebooks.HAND_IN_FOLDER / f"{name}.ipynb"
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")
        read_cells(beside, numbers)
    if "google.colab" in sys.modules:
        from google.colab import files

        files.download(str(path))
    return path


# ----------------------------------------------------------------------------- warnings


def _unlike_what_ran(exercises: Sequence[ExerciseCells], book: _Book, shell: Any) -> Iterator[str]:
    """Answers that were run in another version than the saved one, or out of order."""
    ran = [notebooks.plain_code(source) for source in shell.history_manager.input_hist_raw]
    stores = [_names(source)[0] for source in ran]
    last: list[tuple[int, str]] = []
    for exercise in exercises:
        names = _names(exercise.blank)[0] & _names(parts_of_check(exercise.check)["answer"])[1]
        at = max((i for i, stored in enumerate(stores) if stored & names), default=None)
        if at is None:
            continue
        if ran[at].strip() != exercise.blank.strip():
            which = f"{exercise.number} was last run in another version than that of its cell"
            where = "in the notebook. Run the cell" if book.is_live else "in the file. Save"
            yield f"{which} {where}, and then run this cell again."
        last.append((at, exercise.number))
    for (one, earlier), (other, later) in pairwise(last):
        if one > other:
            yield (
                f"{earlier} was run after {later}, and the grader runs them from top to bottom: "
                "restart the kernel and run all cells, to see that all are right in this order."
            )


def _missing(exercises: Sequence[ExerciseCells], book: _Book) -> Iterator[str]:
    """Names that answers use, and that only the course's own cells define: they won't run."""
    code = [cell for cell in book.cells if cell["cell_type"] == "code"]
    sources = [notebooks.plain_code(cell["source"]) for cell in code]
    own = [s for s, cell in zip(sources, code, strict=True) if not notebooks.as_given(cell)]
    runs = [*own, *(part for e in exercises for part in (e.imports, e.blank))]
    there = {*dir(builtins), "display", "get_ipython", *(n for s in runs for n in _names(s)[0])}
    elsewhere = {name for source in sources for name in _names(source)[0]} - there
    for exercise in exercises:
        for name in sorted(_names(exercise.blank)[1] & elsewhere):
            yield (
                f"{exercise.number} uses `{name}`, which the grader does not have: it runs the "
                "imports, your answers and cells of your own, and none of the course's cells."
            )


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell's code defines, and those that it uses from outside of functions."""
    try:
        code = compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError):
        return set(), set()
    steps = list(dis.get_instructions(code))
    defined = {step.argval for step in steps if step.opname in ("STORE_NAME", "STORE_GLOBAL")}
    used = {
        step.argval
        for part in _all_code(code)
        for step in dis.get_instructions(part)
        if step.opname.startswith(("LOAD_NAME", "LOAD_GLOBAL"))
    }
    return defined, used


def _all_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_code(constant)
