"""`sorl-edu course`: the notebooks, versions of them to hand out, grading and the leaderboard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from sorl_edu.cli.command import Command, usable_folder
from sorl_edu.errors import ConfigError, UnknownName, check

ROOT = Path(__file__).resolve().parents[2]
SECRET = "SORL_EDU_SECRET"  # the environment variable that hidden cases are made from


@dataclass(frozen=True)
class Course(Command):
    """Write, check or execute the notebooks of the course, in a checkout of the repository.

    sync: stamp the repository's address (from pyproject.toml) into notebooks/NN_name.py, and write
    NN_name.ipynb from it, without outputs. It overwrites no .ipynb with edited cells.

    check: list what is out of date or missing; the exit code is 1 if there is anything.

    run: execute the notebooks, and print each one's time and errors.
    """

    what: Positional[Annotated[Literal["sync", "check", "run"], arg(metavar="sync|check|run")]]
    """The action."""
    notebooks: Positional[Annotated[tuple[str, ...], arg(metavar="[NOTEBOOK ...]")]] = ()
    """Notebooks to run, by number or name; all by default."""
    stamp: bool = False
    """After a run, write the measured times into the notebooks and the README."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course sync
    sorl-edu course check
    sorl-edu course run 1 05_test_time --stamp
    """

    def run(self) -> int:
        from sorl_edu.course import notebooks

        only_run = not self.notebooks and not self.stamp
        check(self.what == "run" or only_run, f"course {self.what} takes no notebooks, no --stamp")
        root = self.root.expanduser()
        if self.what == "run":
            executions = notebooks.run(root, self.notebooks, stamp=self.stamp)
            return int(any(execution.failures for execution in executions))
        if self.what == "sync":
            changed = notebooks.sync(root)
            print("\n".join(f"wrote {path}" for path in changed) or "everything is up to date")
            return 0
        found = notebooks.problems(root)
        print("\n".join(found) or "everything is up to date")
        return int(bool(found))


@dataclass(frozen=True)
class Build(Command):
    """Write a version of the notebooks to hand out or to keep, as .ipynb.

    student: without the solutions. solution: with the blanks filled in. instructor: the student's,
    with the solution, the points and the usual mistakes after each check. nbgrader: the student's,
    with nbgrader's marks and hidden tests, which `nbgrader generate_assignment` removes. Unless the
    course has an nbgrader_config.py, one is written, with which checks may train longer than 30 s.

    The cases of hidden tests are made from a secret, the environment variable SORL_EDU_SECRET.
    """

    version: Annotated[Literal["student", "solution", "instructor", "nbgrader"], arg(name="for")]
    """Which version."""
    to: Path
    """The folder to write to."""
    notebooks: Positional[Annotated[tuple[str, ...], arg(metavar="[NOTEBOOK ...]")]] = ()
    """Notebooks, by number (5 for a lesson, A2 for an assignment) or name; all by default."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course build --for student --to handout
    sorl-edu course build --for nbgrader --to source/assignment2 A2
    """

    def run(self) -> int:
        from sorl_edu.course.build import build, nbgrader_config

        secret = _secret() if self.version == "nbgrader" else ""
        to = usable_folder(self.to, "--to")
        files = build(self.root.expanduser(), self.version, to, self.notebooks, secret=secret)
        print("\n".join(f"wrote {file}" for file in files))
        if self.version == "nbgrader":
            print(nbgrader_config(to))
        return 0


@dataclass(frozen=True)
class Grade(Command):
    """Grade a submission, or a folder of them: answers run behind a fence, and are judged outside.

    Students know the checks, but not the cases, which are made from a secret: the environment
    variable SORL_EDU_SECRET. The exit code is 0 if the submissions could be graded, whatever their
    points.

    The fence is bubblewrap's, on Linux; or a container's; or another user's. Without one, --trusted
    runs the answers with all that you may do: they could read the solutions and the secret, and
    write your files.

    A folder is an export of Canvas, Gradescope, Moodle or nbgrader, unpacked. Its table is written
    to --csv, and each student's feedback beside it. What is graded already is not graded again.
    """

    submission: Positional[Annotated[Path, arg(metavar="SUBMISSION.ipynb|FOLDER")]]
    """The student's notebook, or a folder of many."""
    assignment: int | None = None
    """The number of the assignment."""
    notebook: str | None = None
    """The lesson instead, by number or name."""
    csv: Path | None = None
    """Of a folder: the table to write."""
    jobs: int | None = None
    """Of a folder: how many submissions are graded at once; one per core by default."""
    json: bool = False
    """Of a notebook: print Gradescope's results.json."""
    container: Literal["docker", "podman"] | None = None
    """Run answers in a container of the image that `sorl-edu course image` builds."""
    account: str | None = None
    """Run answers as this user, where root grades in a container, as on Gradescope."""
    trusted: bool = False
    """Run answers without a fence."""
    seconds: float = 600.0
    """Limit of processor time for all answers of a submission together."""
    memory: float = 4.0
    """Memory limit in GiB."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course grade ada.ipynb --assignment 2
    sorl-edu course grade ada.ipynb --assignment 2 --json
    sorl-edu course grade submissions --assignment 2 --csv grades.csv
    """

    def run(self) -> int:
        import json

        from sorl_edu.course import notebooks
        from sorl_edu.course.grading import fence
        from sorl_edu.course.grading.classroom import grade_folder
        from sorl_edu.course.grading.grade import grade

        secret, submission = _secret(), self.submission.expanduser()
        check(self.seconds > 0 and self.memory > 0, "--seconds and --memory must be positive")
        check(self.jobs is None or self.jobs > 0, "--jobs must be positive")
        one = (self.assignment is None) != (self.notebook is None)
        check(one, "say what is submitted: --assignment N or --notebook N")
        many = submission.is_dir()
        check(not many or self.csv is not None, "a folder's points go to a table: --csv FILE.csv")
        check(not many or not self.json, "--json is for one notebook; a folder has --csv")
        check(many or (self.csv or self.jobs) is None, "--csv and --jobs are for a folder")
        name = self.notebook if self.assignment is None else f"A{self.assignment}"
        (source,) = notebooks.find(self.root.expanduser(), [name])
        settings = {
            "source": source.text(),
            "secret": secret,
            "fence": fence.chosen(self.container, self.trusted, self.account),
            "name": source.name,
            "limits": fence.Limits(self.seconds, int(self.memory * 2**30)),
        }
        if self.csv:
            csv, jobs = self.csv.expanduser(), self.jobs or os.cpu_count() or 1
            rows = grade_folder(submission, csv=csv, jobs=jobs, **settings)
            by_hand = [row.student for row in rows if row.undecided]
            print(f"wrote {csv}: {len(rows)} students, and their feedback to {csv.with_suffix('')}")
            if by_hand:
                print(f"to be graded by hand: {', '.join(by_hand)}")
            return 0
        report = grade(submission, **settings)
        print(json.dumps(report.as_gradescope(), indent=2) if self.json else report.as_text())
        return 0


@dataclass(frozen=True)
class Gradescope(Command):
    """Write an autograder for Gradescope: the archive to upload as it is.

    It has a wheel of this library, the versions installed here, the assignment's notebook, and your
    secret, the environment variable SORL_EDU_SECRET. Keep it to yourself.
    """

    assignment: int
    """The number of the assignment."""
    out: Path = Path("autograder.zip")
    """The archive to write."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course gradescope --assignment 2
    sorl-edu course gradescope --assignment 3 --out week3.zip
    """

    def run(self) -> int:
        from sorl_edu.course.grading import gradescope

        out = self.out.expanduser()
        gradescope.build(self.root.expanduser(), f"A{self.assignment}", out, secret=_secret())
        print(f"wrote {out}: upload it under Configure Autograder. {gradescope.RESOURCES}")
        return 0


@dataclass(frozen=True)
class Image(Command):
    """Build the image that `course grade --container` runs answers in.

    It has Python and a wheel of this library, without the exercises and the grader.
    """

    engine: Annotated[Literal["docker", "podman"], arg(name="container")] = "docker"
    """The command that builds it."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course image
    sorl-edu course image --container podman
    """

    def run(self) -> int:
        from sorl_edu.course.grading import gradescope

        gradescope.build_image(self.root.expanduser(), self.engine)
        return 0


@dataclass(frozen=True)
class Leaderboard(Command):
    """Rank graded submissions by a measured exercise, as far as their seeds can tell them apart.

    Entries that share a rank are not significantly different: the 95% interval of their paired
    difference includes zero.
    """

    results: Positional[Annotated[tuple[Path, ...], arg(metavar="RESULT.json ...")]]
    """Outputs of `course grade --json`, each in a file named after the student or team."""
    exercise: str = "A3.2"
    """The measured exercise."""
    root: Path = ROOT
    """The repository's folder."""

    examples = """
    sorl-edu course leaderboard results/*.json
    sorl-edu course leaderboard results/*.json --exercise A1.4
    """

    def run(self) -> int:
        from sorl_edu.course import notebooks
        from sorl_edu.course.exercises.measured import Measured
        from sorl_edu.course.grading import leaderboard
        from sorl_edu.course.grading.grade import check_of

        check(len(self.results) > 0, "name at least one file of results")
        (source,) = notebooks.find(self.root.expanduser(), [self.exercise.partition(".")[0]])
        known = {e.number: check_of(e) for e in notebooks.exercises(source.text())}
        measured = [number for number, check in known.items() if isinstance(check, Measured)]
        if self.exercise not in measured:
            raise UnknownName("measured exercise", self.exercise, measured)
        exercise = known[self.exercise]
        entries = [leaderboard.read(path.expanduser(), self.exercise) for path in self.results]
        ranks = leaderboard.ranked([entry for entry in entries if entry], exercise.better)
        print(leaderboard.as_markdown(ranks, exercise.quantity))
        missing = [p.stem for p, entry in zip(self.results, entries, strict=True) if not entry]
        if missing:
            print(f"\nWithout a measurement: {', '.join(missing)}")
        return 0


def _secret() -> str:
    secret = os.environ.get(SECRET, "")
    check(
        bool(secret), f"hidden cases are made from a secret: set the environment variable {SECRET}"
    )
    try:
        secret.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{SECRET} must be text in UTF-8") from None
    return secret
