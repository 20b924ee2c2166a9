"""Grades a folder of submissions, as Canvas, Gradescope, Moodle and nbgrader export them.

    rows = grade_folder("submissions", assignment, secret="this term's", fence=BUBBLEWRAP,
                        csv="grades.csv")

Beside grades.csv a folder, grades/, gets each student's feedback: NAME.txt to read, and NAME.json,
Gradescope's results. What is graded already, with the same notebook, assignment, secret and limits,
is not graded again, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import csv as csv_format
import functools
import hashlib
import hmac
import io
import json
import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorl_edu.course import notebooks
from sorl_edu.course.grading.fence import Fence, Limits, harmless
from sorl_edu.course.grading.grade import Report, grade, read_cells
from sorl_edu.errors import DataError, check
from sorl_edu.files import atomic_write
from sorl_edu.progress import progress_bar

SKIPPED = {".ipynb_checkpoints", "__MACOSX"}
_CANVAS = re.compile(r"^(?P<name>[^_]+)(_LATE)?_(?P<id>\d+)_\d+_.*$")
_MOODLE = re.compile(r"^(?P<name>.+)_\d+_assignsubmission_file_?$")


@dataclass(frozen=True)
class Submission:
    """A student's notebook, or the reason why there is none."""

    student: str
    notebook: Path | None
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """A line of grades.csv."""

    student: str
    notebook: str
    points: float
    by_exercise: dict[str, float]
    undecided: tuple[str, ...]
    """Numbers of the exercises to be graded by hand, or "all"."""
    note: str


# ------------------------------------------------------------------------ who submitted what


def find_submissions(folder: Path, numbers: Sequence[str]) -> list[Submission]:
    """The submissions in a folder, by student.

    Canvas: files NAME_ID_FILE_A1.ipynb. Gradescope: folders submission_ID, and the students' names
    in submission_metadata.yml. Moodle: folders NAME_ID_assignsubmission_file. nbgrader: folders
    STUDENT/ASSIGNMENT, also below `submitted`. Other files and folders are named after students.

    Args:
        folder: the unpacked export.
        numbers: of the assignment's exercises, to choose among several notebooks of a student.

    Raises:
        DataError: there is nothing in the folder.
    """
    check(folder.is_dir(), f"{folder} is no folder", DataError)
    if (folder / "submitted").is_dir():
        folder = folder / "submitted"
    names = _gradescope_names(folder / "submission_metadata.yml")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED:
            continue
        if path.is_dir() and not path.is_symlink():
            moodle = _MOODLE.match(path.name)
            student = moodle["name"] if moodle else names.get(path.name, path.name)
            files.setdefault(student, []).extend(_files(path))
        elif path.suffix == ".ipynb":
            canvas = _CANVAS.match(path.name)
            student = f"{canvas['name']} {canvas['id']}" if canvas else path.stem
            files.setdefault(student, []).append(path)
    check(len(files) > 0, f"{folder} has no submissions: no .ipynb, and no folders", DataError)
    return [_chosen(student, found, numbers) for student, found in files.items()]


def _files(folder: Path) -> list[Path]:
    """The files of a student's folder; links and hidden folders are left out."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name.startswith(".") or path.name in SKIPPED:
            continue
        found += _files(path) if path.is_dir() else [path]
    return found


def _chosen(student: str, files: Sequence[Path], numbers: Sequence[str]) -> Submission:
    books = [path for path in files if path.suffix == ".ipynb"]
    if not books:
        what = ", ".join(path.name for path in files[:5]) or "nothing"
        return Submission(student, None, f"no .ipynb is submitted, but {what}")
    if len(books) > 1:
        ours = [book for book in books if _has_exercises(book, numbers)]
        packed = [book for book in ours if book.parent.name == notebooks.HAND_IN_FOLDER]
        ours = packed if len(packed) == 1 else ours
        if len(ours) != 1:
            listed = ", ".join(path.name for path in (ours or books)[:5])
            which = "more than one notebook of this assignment" if ours else "several notebooks"
            return Submission(student, None, f"{which}: {listed}. Keep one, and grade again")
        books = ours
    return Submission(student, books[0])


def _has_exercises(notebook: Path, numbers: Sequence[str]) -> bool:
    with contextlib.suppress(DataError):
        read_cells(notebook, numbers)
        return True
    return False


def _gradescope_names(metadata: Path) -> dict[str, str]:
    """Students' names by folder, from Gradescope's export."""
    if not metadata.is_file():
        return {}
    import yaml

    names = {}
    with contextlib.suppress(yaml.YAMLError, AttributeError, TypeError, UnicodeDecodeError):
        for folder, facts in yaml.safe_load(metadata.read_text()).items():
            people = [str(person.get(":name", "")) for person in facts.get(":submitters", ())]
            names[str(folder)] = ", ".join(filter(None, people)) or str(folder)
    return names


# -------------------------------------------------------------------------------- grading them


def grade_folder(
    folder: Path,
    source: str,
    *,
    secret: str,
    fence: Fence,
    csv: Path,
    name: str = "assignment",
    limits: Limits | None = None,
    jobs: int = 1,
    show: bool = True,
) -> list[Row]:
    """Grades each submission in a folder, and writes a table and a folder of feedback.

    Args:
        folder: see `find_submissions`.
        source: the text of the assignment's own notebook.
        secret: seeds the hidden cases.
        fence: what the answers run behind.
        csv: the table; the feedback's folder beside it has its name without .csv.
        name: the assignment's name in reports.
        limits: of each process in which answers run.
        jobs: how many submissions are graded at once.
        show: a progress bar.

    Returns:
        a row for each student.

    Raises:
        DataError: there is nothing in the folder.
        ConfigError: the table can't be written there.
    """
    check(csv.suffix == ".csv", f"the table's name should end in .csv, not {csv.name}")
    limits = limits or Limits()
    exercises = notebooks.exercises(source)
    submissions = find_submissions(folder, [exercise.number for exercise in exercises])
    feedback = csv.with_suffix("")
    files = dict(zip((s.student for s in submissions), _file_names(submissions), strict=True))
    run = functools.partial(
        grade, source=source, secret=secret, fence=fence, name=name, limits=limits
    )
    settings = hmac.new(secret.encode(), repr((source, limits, fence)).encode(), "sha256")
    rows: dict[str, Row] = {}

    def keep(submission: Submission, report: Report | None, note: str = "") -> None:
        row = _row(submission, report, note)
        rows[submission.student] = row
        _write_feedback(feedback / files[submission.student], row, report, key_of(submission))

    def key_of(submission: Submission) -> str:
        content = submission.notebook.read_bytes() if submission.notebook else b""
        return hashlib.sha256(settings.digest() + content).hexdigest()

    todo = []
    for submission in submissions:
        known = _kept(feedback / files[submission.student], key_of(submission))
        if submission.problem:
            keep(submission, None, submission.problem)
        elif known:
            rows[submission.student] = known
        else:
            todo.append(submission)
    undecided = []
    bar = progress_bar(total=len(todo), desc=f"grading {name}", unit="submission", show=show)
    with bar:
        for submission, report, note in _graded(run, todo, jobs):
            bar.update()
            keep(submission, report, note)
            if report is not None and report.undecided:
                undecided.append(submission)
    for submission in undecided:  # alone
        for _, report, note in _graded(run, [submission], 1):
            keep(submission, report, note)
    ordered = [rows[submission.student] for submission in submissions]
    _write_table(csv, ordered, [exercise.number for exercise in exercises])
    return ordered


def _graded(
    run: Callable, submissions: Sequence[Submission], jobs: int
) -> Iterator[tuple[Submission, Report | None, str]]:
    """Each submission with its report, or a note on why there is none, as they are done."""
    left = list(submissions)
    context = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
    while left:
        with ProcessPoolExecutor(min(jobs, len(left)), context) as pool:
            running = {pool.submit(_tried, run, s.notebook): s for s in left}
            try:
                for done in as_completed(running):
                    report, note = done.result()
                    left.remove(running[done])
                    yield running[done], report, note
            except BrokenProcessPool:  # out of memory, say: the rest one by one
                if jobs == 1:
                    yield left.pop(0), None, "the grader's own process was killed"
                jobs = 1
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _tried(run: Callable, notebook: Path) -> tuple[Report | None, str]:
    try:
        return run(notebook), ""
    except DataError as error:
        return None, str(error)
    except Exception as error:  # one submission must not stop the others
        return None, f"the grader failed: {type(error).__name__}: {harmless(str(error), 300)}"


# ---------------------------------------------------------------------------- what is written


def _row(submission: Submission, report: Report | None, note: str) -> Row:
    student = harmless(submission.student, 100)
    file = harmless(submission.notebook.name, 100) if submission.notebook else ""
    if report is None:
        return Row(student, file, 0.0, {}, ("all",), harmless(note, 500))
    points = {score.number: score.points for score in report.scores}
    return Row(student, file, report.points, points, report.undecided, "")


def _file_names(submissions: Sequence[Submission]) -> Iterator[str]:
    """A name for each student's feedback that every system takes, and no two students share."""
    used: set[str] = set()
    for submission in submissions:
        plain = re.sub(r"[^\w.-]+", "_", submission.student, flags=re.ASCII).strip("._")[:60]
        name = plain or "student"
        if name != submission.student or name.casefold() in used:
            digest = hashlib.sha256(submission.student.encode("utf-8", "surrogatepass"))
            name = f"{name}-{digest.hexdigest()[:6]}"
        used.add(name.casefold())
        yield name


def _write_feedback(stem: Path, row: Row, report: Report | None, key: str) -> None:
    results: dict[str, Any] = {"score": 0.0, "output": row.note, "tests": []}
    if report is not None:
        results = report.as_gradescope()
    text = report.as_text() if report else row.note
    kept = {"key": key, "row": vars(row)}
    for suffix, content in (
        (".txt", f"{row.student}\n{text}\n"),
        (".json", json.dumps(results | {"kept": kept}, indent=2)),
    ):
        with atomic_write(stem.with_name(stem.name + suffix)) as beside:
            beside.write_text(content, encoding="utf-8")


def _kept(stem: Path, key: str) -> Row | None:
    """The row of an earlier run, if its key is the same and everything was decided."""
    try:
        kept = json.loads(stem.with_name(stem.name + ".json").read_bytes())["kept"]
        row = Row(**kept["row"] | {"undecided": tuple(kept["row"]["undecided"])})
        decided = kept["key"] == key and not row.undecided
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return row if decided else None


def _write_table(path: Path, rows: Sequence[Row], numbers: Sequence[str]) -> None:
    text = io.StringIO(newline="")
    table = csv_format.writer(text)
    table.writerow(["student", "file", "points", *numbers, "undecided", "note"])
    for row in rows:
        points = [row.by_exercise.get(number, 0.0) for number in numbers]
        told = [_cell(row.student), _cell(row.notebook), f"{row.points:g}"]
        told += [f"{value:g}" for value in points]
        table.writerow([*told, " ".join(row.undecided), _cell(row.note)])
    with atomic_write(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8", newline="")


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
