"""`sorl-edu course build`: writes four versions of a notebook from one source.

    student       statements, hints, blanks and checks; no solutions
    solution      the student's version with the blanks filled in
    instructor    the student's version with solution, points and misconceptions after each check
    nbgrader      the student's version with nbgrader's metadata and hidden tests

In the source, notebooks/NN_name.py, an exercise has a heading with difficulty, time and points,
hints, a blank, a check and a folded solution. A cell tagged written-NUMBER is an answer in prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sorl_edu.course import notebooks
from sorl_edu.course.grading.grade import check_of, hidden_seed, parts_of_check
from sorl_edu.course.notebooks import ExerciseCells, WrittenPart
from sorl_edu.errors import UnknownName, check
from sorl_edu.files import atomic_write

if TYPE_CHECKING:
    from nbformat import NotebookNode

_SOLUTION = re.compile(r"^<details><summary>Solution</summary>\n.*?^</details>\n*", re.M | re.S)
_TIMEOUT = re.compile(r"^[^#\n]*\b(Execute|ExecutePreprocessor)\.timeout\s*=", re.M)
NBGRADER_CONFIG = """\
# The formgrader reads this file if JupyterLab was started in this folder.
c = get_config()

# Seconds a cell may take. The default is 30: a right answer that trains for longer would earn 0.
c.ExecutePreprocessor.timeout = 1800

# A cell that takes longer still is an error that the formgrader shows, and not 0 points.
c.ExecutePreprocessor.interrupt_on_timeout = False
"""
Part = TypeVar("Part", ExerciseCells, WrittenPart)
HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"  # nbgrader's delimiters


def build(
    root: Path, version: str, to: Path, names: Sequence[str] = (), *, secret: str = ""
) -> list[Path]:
    """Writes a version of notebooks into a folder, as .ipynb without metadata for jupytext.

    Args:
        root: the repository's folder.
        version: one of `VERSIONS`.
        to: the folder to write to; not the folder of the sources.
        names: numbers, names or paths (see `notebooks.find`); all lessons and assignments unless
            given.
        secret: seeds nbgrader's hidden cases, and is needed for that version only.

    Returns:
        the files.

    Raises:
        UnknownName: no such version.
        ConfigError: no such notebook; no secret for nbgrader; `to` is the folder of the sources, or
            has a notebook that was edited. Nothing is written.
    """
    if version not in VERSIONS:
        raise UnknownName("version of the course", version, VERSIONS)
    check(version != "nbgrader" or bool(secret), "nbgrader's hidden tests need a secret")
    sources = notebooks.find(root, names)
    for source in sources:
        check(
            source.source.parent.resolve() != to.resolve(),
            f"'{to}' is the folder of the sources, which would be overwritten: choose another one",
        )
    files = [to / source.ipynb.name for source in sources]
    notebooks.refuse_to_overwrite(files)
    for source, file in zip(sources, files, strict=True):
        text = source.text()
        made = notebooks.parsed(text)
        del made.metadata["jupytext"]
        VERSIONS[version](made, text, secret)
        notebooks.name_cells(made)
        with atomic_write(file) as beside:
            beside.write_text(notebooks.as_ipynb(made), encoding="utf-8")
    return files


def nbgrader_config(to: Path) -> str:
    """Has nbgrader give checks the time that they need.

    Args:
        to: an assignment's folder, COURSE/source/ASSIGNMENT.

    Returns:
        a sentence on what was done, or on what is left to do: COURSE/nbgrader_config.py is written
        unless it exists.
    """
    settings = "".join(line for line in NBGRADER_CONFIG.splitlines(True) if "Execute" in line)
    to = to.absolute()
    if to.parent.name != "source":
        return f"nbgrader allows a cell 30 s. Add to your course's nbgrader_config.py:\n{settings}"
    file = to.parent.parent / "nbgrader_config.py"
    if not file.exists():
        with atomic_write(file) as beside:
            beside.write_text(NBGRADER_CONFIG, encoding="utf-8")
        return f"wrote {file}: start JupyterLab in its folder, or nbgrader allows a cell only 30 s"
    if _TIMEOUT.search(file.read_text(encoding="utf-8")):
        return f"{file} sets how long nbgrader allows a cell to take"
    return (
        f"nbgrader allows a cell 30 s, and right answers may take more: add to {file}\n{settings}"
    )


def without_solutions(notebook: NotebookNode) -> None:
    """Removes the folded solutions, and cells that contain nothing else."""
    kept = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            without = _SOLUTION.sub("", cell.source).strip()
            if cell.source.strip() and not without:
                continue
            cell.source = without
        kept.append(cell)
    notebook.cells = kept


def _student(notebook: NotebookNode, text: str, secret: str) -> None:
    without_solutions(notebook)


def _solution(notebook: NotebookNode, text: str, secret: str) -> None:
    """Fills in the blanks."""
    without_solutions(notebook)
    for exercise, _, cell in _tagged(notebook, "exercise", notebooks.exercises(text)):
        cell.source = exercise.solution.rstrip()


def _instructor(notebook: NotebookNode, text: str, secret: str) -> None:
    """Adds a note after each check: the points, a solution, and what the check looks for."""
    import nbformat

    without_solutions(notebook)
    for exercise, at, _ in reversed(_tagged(notebook, "check", notebooks.exercises(text))):
        note = [
            f"> **For instructors.** Exercise {exercise.number} is worth {exercise.points:g} "
            f"point(s), has {exercise.difficulty} of 3 stars and should take {exercise.minutes} "
            "minutes. A solution, and what the check looks for:",
            f"```python\n{exercise.solution.rstrip()}\n```",
            check_of(exercise).describe(),
        ]
        cell = nbformat.v4.new_markdown_cell("\n\n".join(note), metadata={"tags": ["instructor"]})
        notebook.cells.insert(at + 1, cell)


def _nbgrader(notebook: NotebookNode, text: str, secret: str) -> None:
    """Adds nbgrader's metadata to checks and written parts, and a hidden test to each check.

    The value of a test cell's last line is its points. The cell that packs is left out: nbgrader
    collects notebooks itself, and would check all answers a second time.
    """
    without_solutions(notebook)
    notebook.cells = [
        c for c in notebook.cells if notebooks.HAND_IN not in c.metadata.get("tags", ())
    ]
    for exercise, _, cell in _tagged(notebook, "check", notebooks.exercises(text)):
        parts = parts_of_check(exercise.check)
        call = f"{parts['check']}({parts['answer']}, seed={hidden_seed(secret, exercise.number)})"
        hidden = f"{exercise.points:g} * {call}.share"
        cell.source = "\n".join([exercise.check.rstrip(), HIDDEN[0], hidden, HIDDEN[1]])
        cell.metadata["nbgrader"] = _mark("check", exercise, locked=True, solution=False)
    for part, _, cell in _tagged(notebook, "written", notebooks.written_parts(text)):
        cell.metadata["nbgrader"] = _mark("written", part, locked=False, solution=True)


def _mark(kind: str, part: ExerciseCells | WrittenPart, *, locked: bool, solution: bool) -> dict:
    """nbgrader's metadata for a cell that earns points."""
    return {
        "cell_type": "code" if kind == "check" else "markdown",
        "grade": True,
        "grade_id": f"{kind}-{part.number}".replace(".", "-"),
        "locked": locked,
        "points": part.points,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }


VERSIONS: dict[str, Callable[[NotebookNode, str, str], None]] = {
    "student": _student,
    "solution": _solution,
    "instructor": _instructor,
    "nbgrader": _nbgrader,
}


def _tagged(
    notebook: NotebookNode, kind: str, parts: Sequence[Part]
) -> list[tuple[Part, int, NotebookNode]]:
    """Each part with the index of its cell, which is tagged KIND-NUMBER, and the cell."""
    by_tag = {f"{kind}-{part.number}": part for part in parts}
    return [
        (by_tag[tag], at, cell)
        for at, cell in enumerate(notebook.cells)
        for tag in cell.metadata.get("tags", ())
        if tag in by_tag
    ]
