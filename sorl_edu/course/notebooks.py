"""Notebooks and their text: `sorl-edu course sync | check | run`.

The source of a lesson is notebooks/NN_name.py (jupytext, py:percent), that of an assignment
notebooks/assignments/AN_name.py. `sync` stamps the header, the badges and the set-up cell of each
source, with the repository's address from pyproject.toml, and writes the .ipynb beside it, without
outputs. `check` lists what is out of date or missing. `run` executes the notebooks and measures
their time.

The two files are not paired for jupytext: opening or saving one of them in JupyterLab never reads
or writes the other, so that no copy of a source can hide or overwrite a student's answers. `sync`
refuses to overwrite an .ipynb with cells that were edited in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sorl_edu.errors import ConfigError, check
from sorl_edu.files import atomic_write

if TYPE_CHECKING:
    from nbformat import NotebookNode

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github"
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: -jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
"""
"""The top of each source. Its filter keeps the version of jupytext out of a saved lesson."""
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
"""The language_info that JupyterLab writes into a notebook, except for the version of Python."""
README_MARKS = "<!-- notebooks: written by `sorl-edu course sync` -->", "<!-- end of notebooks -->"
TIME_LIMIT = 600  # seconds per cell
HAND_IN_FOLDER = "hand_in"
"""The folder, beside a notebook, of the file that its last cell packs."""

# Without magics, so that the same text runs in a notebook, in a script and in a test.
SETUP = """\
# Installs sorl_edu if it is missing, as on Colab; otherwise this cell does nothing.
import importlib.util
import subprocess
import sys


def install(*words):
    command = [sys.executable, "-m", "pip", "install", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    importlib.invalidate_caches()


if importlib.util.find_spec("sorl_edu") is None:
    print("Installing sorl_edu, which takes about a minute ...")
    install("sorl-edu @ git+{repository}")
    if importlib.util.find_spec("ogbench") is None:  # Python 3.13: pyproject.toml says why
        install("--no-deps", "ogbench", "dm_control")
"""

HAND_IN = "hand-in"  # the tag of an assignment's last cell
PACK = """\
from sorl_edu.course import hand_in

hand_in.pack("{name}")"""

OPENING = {
    "a title, `# Lesson N. ...`": r"^# \S",
    "**You will learn**": r"\*\*You will learn",
    "**You should know**": r"\*\*You should know",
    "**Time** about N s to run": r"\*\*Time\*\* about \d+ s to run",
}
CLOSING = {
    "notebooks": ("Recap", "Three questions", "Further reading"),
    "assignments": ("Handing in", "Further reading"),
}
_HEADER = re.compile(r"\A# ---\n.*?^# ---\n", re.MULTILINE | re.DOTALL)
_BADGE_LINE = re.compile(r"^# \[!\[Open in Colab\].*$", re.MULTILINE)
_SETUP_CELL = re.compile(r'^# %% tags=\["setup"\][^\n]*\n.*?(?=^# %%|\Z)', re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"(?<=\*\*Time\*\* about )\d+(?= s to run)")


@dataclass(frozen=True)
class Notebook:
    """A lesson or an assignment, known by its source."""

    source: Path
    """notebooks/NN_name.py, or notebooks/assignments/AN_name.py."""

    @property
    def name(self) -> str:
        return self.source.stem

    @property
    def number(self) -> str:
        """ "5" for lesson 05_name, "A2" for assignment A2_name."""
        return self.name.partition("_")[0].lstrip("0") or "0"

    @property
    def folder(self) -> str:
        """The name of its folder: "notebooks" for a lesson, or "assignments"."""
        return self.source.parent.name

    @property
    def address(self) -> str:
        """The path of its .ipynb in the repository."""
        inside = "" if self.folder == "notebooks" else f"{self.folder}/"
        return f"notebooks/{inside}{self.ipynb.name}"

    @property
    def ipynb(self) -> Path:
        return self.source.with_suffix(".ipynb")

    def text(self) -> str:
        return self.source.read_text(encoding="utf-8")


@dataclass(frozen=True)
class ExerciseCells:
    """One exercise: what its heading says, and the code of its cells."""

    number: str
    title: str
    difficulty: int
    """The number of stars, at most three."""
    minutes: int
    points: float
    imports: str
    blank: str
    check: str
    solution: str
    """The code of the folded solution, or ""."""


@dataclass(frozen=True)
class WrittenPart:
    """A question whose answer is prose, graded by hand."""

    number: str
    title: str
    points: float


@dataclass(frozen=True)
class Failure:
    """An error in an executed notebook."""

    cell: int | None
    """The index of its cell; None if it belongs to no single cell."""
    line: str
    """The line that raised the error, or the cell's first line."""
    error: str

    def __str__(self) -> str:
        where = "" if self.cell is None else f"cell {self.cell}, at `{self.line.strip()}`: "
        return where + self.error


@dataclass(frozen=True)
class Execution:
    """The result of executing a notebook from top to bottom."""

    notebook: Notebook
    seconds: float
    failures: tuple[Failure, ...]
    executed: NotebookNode


def find(root: Path, names: Sequence[str] = ()) -> list[Notebook]:
    """All lessons and assignments in order, or some by number ("5", "A2"), name or path.

    Raises:
        ConfigError: `root` is not the repository's folder, or there is no such notebook.
    """
    check(
        (root / "pyproject.toml").is_file(),
        f"there is no pyproject.toml in '{root}': the notebooks belong to a checkout of the "
        "repository, and an installed package has none",
    )
    folder = root / "notebooks"
    lessons, assignments = folder.glob("[0-9][0-9]_*.py"), folder.glob("assignments/A[0-9]_*.py")
    found = [Notebook(path) for path in (*sorted(lessons), *sorted(assignments))]
    check(bool(found), f"there is no notebook (NN_name.py) in '{folder}'")
    if not names:
        return found
    chosen = []
    for name in names:
        stem = Path(name).stem
        number = stem.upper().lstrip("0") or "0"
        match = [n for n in found if n.name == stem or n.number == number]
        check(bool(match), f"no notebook '{name}'; there are {', '.join(n.name for n in found)}")
        chosen += match
    return chosen


def repository(root: Path) -> str:
    """The repository's address, from pyproject.toml: https://github.com/OWNER/NAME.

    Raises:
        ConfigError: the address is missing, or is no such address.
    """
    with open(root / "pyproject.toml", "rb") as file:
        address = tomllib.load(file)["project"].get("urls", {}).get("Repository", "")
    check(
        re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address) is not None,
        f"[project.urls] Repository in pyproject.toml is '{address}'; Colab opens notebooks from "
        "https://github.com/OWNER/NAME",
    )
    return address


def site(repository: str) -> str:
    """The address of the course's site, where the code host publishes a repository's pages."""
    owner, name = repository.removeprefix("https://github.com/").split("/")
    return f"https://{owner.lower()}.github.io/{name}"


def badges(repository: str, notebook: Notebook) -> str:
    """The badge that opens a notebook in Colab, and a link to its page on the site, in Markdown."""
    owner_and_name = repository.removeprefix("https://github.com/")
    link = f"{COLAB}/{owner_and_name}/blob/main/{notebook.address}"
    page = f"{site(repository)}/{Path(notebook.address).with_suffix('.html').as_posix()}"
    return f"[![Open in Colab]({BADGE})]({link}) [with its pictures, on the web]({page})"


def stamped(notebook: Notebook, repository: str) -> str:
    """A notebook's text with the current header, badges and set-up cell."""
    cell = f'# %% tags=["setup"]\n{SETUP.format(repository=repository)}\n'
    text = _HEADER.sub(lambda _: HEADER, notebook.text())
    text = _BADGE_LINE.sub(lambda _: f"# {badges(repository, notebook)}", text)
    return _SETUP_CELL.sub(lambda _: cell, text)


def parsed(text: str) -> NotebookNode:
    """The notebook of a text, without outputs; it depends on nothing but the text."""
    jupytext = _jupytext()
    import nbformat

    notebook = jupytext.reads(text, fmt="py:percent")
    name_cells(notebook)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata["language_info"] = nbformat.from_dict(LANGUAGE)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def _jupytext() -> ModuleType:
    """jupytext, imported in a quarter of the time.

    It imports jsonschema, which imports rfc3987_syntax if that is installed, which takes two
    seconds to make a grammar of addresses. No notebook is checked by it.
    """
    slow = "rfc3987_syntax"
    if slow in sys.modules:
        import jupytext
    else:
        sys.modules[slow] = None  # type: ignore[assignment]
        try:
            import jupytext
        finally:
            del sys.modules[slow]
    return jupytext


def name_cells(notebook: NotebookNode) -> None:
    """Gives each cell an id that depends on its type and text alone; `as_given` compares them."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = _digest(cell)
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


def as_given(cell: Mapping[str, Any]) -> bool:
    """Whether a cell of an .ipynb is as this module wrote it; not if it was edited or added."""
    return str(cell.get("id", "")).partition("-")[0] == _digest(cell)


def _digest(cell: Mapping[str, Any]) -> str:
    text = f"{cell['cell_type']}\n{''.join(cell['source'])}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def refuse_to_overwrite(files: Iterable[Path]) -> None:
    """Protects work in notebooks that would be written anew.

    Raises:
        ConfigError: a cell was edited or added in one of the files, or it can't be read.
    """
    edited = [str(file) for file in files if _is_edited(file)]
    check(
        not edited,
        f"{', '.join(edited)} would be overwritten, with the cells that were edited or added: move "
        "it elsewhere, or delete it to have it written anew",
    )


def _is_edited(ipynb: Path) -> bool:
    try:
        cells = json.loads(ipynb.read_bytes())["cells"]
        return not all(map(as_given, cells))
    except OSError:
        return False
    except (ValueError, KeyError, TypeError, AttributeError):
        return True  # a conflict of git's, say, with answers in it


def as_ipynb(notebook: NotebookNode) -> str:
    """The content of a notebook's .ipynb without outputs: the same bytes for the same cells."""
    cells = []
    for cell in notebook.cells:
        cell = dict(cell, source=cell.source.splitlines(keepends=True))
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        cells.append(cell)
    return json.dumps(dict(notebook, cells=cells), indent=1, ensure_ascii=False, sort_keys=True) + (
        "\n"
    )


def sync(root: Path) -> list[Path]:
    """Stamps every notebook's text, and writes its .ipynb and the README's table.

    Returns:
        the files that changed.

    Raises:
        ConfigError: see `find` and `refuse_to_overwrite`; nothing is written.
    """
    sources, address = find(root), repository(root)
    refuse_to_overwrite(notebook.ipynb for notebook in sources)
    changed = []
    for notebook in sources:
        text = stamped(notebook, address)
        changed += _write(notebook.source, text) + _write(notebook.ipynb, as_ipynb(parsed(text)))
    readme = root / "README.md"
    if readme.exists():
        changed += _write(readme, _with_table(readme.read_text(encoding="utf-8"), root))
    return changed


def problems(root: Path) -> list[str]:
    """A sentence for each thing that is out of date or missing."""
    sources, address = find(root), repository(root)
    found = []
    for notebook in sources:
        name = notebook.name
        found += [f"{name}.py: {what}" for what in _stamp_problems(notebook, address)]
        found += [f"{name}.py: {what}" for what in _part_problems(notebook)]
        found += [f"{name}.py: {what}" for what in _exercise_problems(notebook.text())]
        found += [f"{name}.ipynb: {what}" for what in _ipynb_problems(notebook)]
    readme = root / "README.md"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        if _with_table(text, root) != text:
            found.append("README.md: the table of notebooks is stale: run `sorl-edu course sync`")
    return found


def execute(
    notebook: Notebook, *, cells: NotebookNode | None = None, kernel: str = "python3"
) -> Execution:
    """Runs a notebook in a temporary copy of its folder, as JupyterLab would.

    A failing cell does not stop the others. The failures include errors that explorers show.

    Args:
        notebook: a lesson or an assignment.
        cells: a version of it to run instead of its source, which gets the outputs.
        kernel: the name of the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    node = parsed(notebook.text()) if cells is None else cells
    env = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # no warning about the debugger
    env.pop("MPLBACKEND", None)
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "notebooks"
        env["JPY_SESSION_NAME"] = str(folder / notebook.ipynb.name)
        shutil.copytree(notebook.source.parent, folder)
        client = NotebookClient(
            node,
            timeout=TIME_LIMIT,
            kernel_name=kernel,
            allow_errors=True,
            resources={"metadata": {"path": str(folder)}},
        )
        start = time.perf_counter()
        try:
            client.execute(env=env)
        except (CellTimeoutError, DeadKernelError) as error:
            failures.append(Failure(None, "", f"{type(error).__name__}: {error}"))
        seconds = time.perf_counter() - start
    for i, cell in enumerate(node.cells):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                stopped = re.search(r"^-+> \d+ (.*)$", text, re.MULTILINE)
                line = stopped[1] if stopped else cell.source.partition("\n")[0]
                failures.append(Failure(i, line, f"{output.ename}: {output.evalue}"))
    for state in client.widget_state.values():
        shown = re.search(r'class="sorl-error">(.*?)</p>', str(state.get("value", "")))
        if shown:
            failures.append(Failure(None, "", f"an explorer shows: {shown[1]}"))
    return Execution(notebook, seconds, tuple(failures), node)


def run(root: Path, names: Sequence[str] = (), *, stamp: bool = False) -> list[Execution]:
    """Executes notebooks one after the other and prints the time and the errors of each.

    Args:
        root: the repository's folder.
        names: see `find`.
        stamp: write the time, rounded up to 5 s, into the opening of each notebook that ran without
            an error, and then `sync`.
    """
    executions = []
    for notebook in find(root, names):
        execution = execute(notebook)
        executions.append(execution)
        print(f"{notebook.name}: {execution.seconds:.0f} s", flush=True)
        for failure in execution.failures:
            print(f"  {failure}", flush=True)
        if stamp and not execution.failures:
            seconds = str(5 * math.ceil(execution.seconds / 5))
            _write(notebook.source, _TIME.sub(seconds, notebook.text()))
    print(f"{sum(e.seconds for e in executions):.0f} s in all")
    if stamp:
        sync(root)
    return executions


def exercises(text: str) -> list[ExerciseCells]:
    """The exercises of a notebook's text, in order; see `exercises_in`."""
    return exercises_in(parsed(text).cells)


def exercises_in(cells: Sequence[Mapping[str, Any]]) -> list[ExerciseCells]:
    """The exercises of a notebook's cells, in order. The blank of an answered one is the answer.

    Raises:
        ConfigError: a heading, a check or the cell of imports is missing.
    """
    tagged = {tag: i for i, cell in enumerate(cells) for tag in cell["metadata"].get("tags", ())}
    found = []
    for tag, at in tagged.items():
        if not tag.startswith("exercise-"):
            continue
        number = tag.removeprefix("exercise-")
        check("imports" in tagged, 'no cell is tagged "imports"')
        check(f"check-{number}" in tagged, f"exercise {number} has no cell tagged check-{number}")
        end = tagged[f"check-{number}"]
        after = (c["source"] for c in cells[end + 1 : end + 3] if c["cell_type"] == "markdown")
        found.append(
            ExerciseCells(
                number,
                *_heading(number, cells[:at]),
                plain_code(cells[tagged["imports"]]["source"]),
                plain_code(cells[at]["source"]),
                plain_code(cells[end]["source"]),
                next(filter(None, map(_solution, after)), ""),
            )
        )
    return found


def written_parts(text: str) -> list[WrittenPart]:
    """The parts of a notebook's text that are graded by hand; see `written_parts_in`."""
    return written_parts_in(parsed(text).cells)


def written_parts_in(cells: Sequence[Mapping[str, Any]]) -> list[WrittenPart]:
    """The parts of a notebook's cells that are graded by hand: those tagged written-NUMBER.

    Raises:
        ConfigError: a heading is missing.
    """
    found = []
    for at, cell in enumerate(cells):
        for tag in cell["metadata"].get("tags", ()):
            if tag.startswith("written-"):
                number = tag.removeprefix("written-")
                title, _, _, points = _heading(number, cells[:at])
                found.append(WrittenPart(number, title, points))
    return found


def drift(blank: str, solution: str) -> str | None:
    """The first line of a blank that its solution lacks; None if they agree outside the dots.

    A line with `...` stands for one or more lines of the solution.
    """
    solved = [line.rstrip() for line in solution.strip().splitlines()]
    matched = {0}  # the numbers of the solution's lines that the blank so far may stand for
    for line in (line.rstrip() for line in blank.strip().splitlines()):
        if "..." in line:
            matched = set(range(min(matched) + 1, len(solved) + 1))
        else:
            matched = {i + 1 for i in matched if i < len(solved) and solved[i] == line}
        if not matched:
            return line
    return None if len(solved) in matched else "(the end)"


_HEADING = re.compile(
    r"^### Exercise (?P<number>\S+) · (?P<title>.+?) · (?P<stars>[★☆]{3}) · (?P<minutes>\d+) min"
    r" · (?P<points>\d+) points?$",
    re.MULTILINE,
)


def _heading(number: str, cells: Sequence[Mapping[str, Any]]) -> tuple[str, int, int, float]:
    """Title, stars, minutes and points, from an exercise's heading in the cells before it."""
    for cell in reversed(cells):
        for match in _HEADING.finditer(cell["source"] if cell["cell_type"] == "markdown" else ""):
            if match["number"] == number:
                stars, minutes = match["stars"].count("★"), int(match["minutes"])
                return match["title"], stars, minutes, float(match["points"])
    raise ConfigError(
        f"exercise {number} has no heading `### Exercise {number} · TITLE · ★★☆ · N min · N points`"
    )


def plain_code(source: str) -> str:
    """Code without IPython's magics."""
    return "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))


def _solution(source: str) -> str:
    inside = re.search(
        r"<summary>Solution.*?```python\n(.*?)^```", source, re.DOTALL | re.MULTILINE
    )
    return inside[1] if inside else ""


def _stamp_problems(notebook: Notebook, address: str) -> Iterator[str]:
    text = notebook.text()
    badges, setups = _BADGE_LINE.findall(text), _SETUP_CELL.findall(text)
    if len(badges) != 1:
        yield f"it should have one line `[![Open in Colab]...`, and has {len(badges)}"
    if len(setups) != 1:
        yield f'it should have one cell `# %% tags=["setup"]`, and has {len(setups)}'
    if stamped(notebook, address) != text:
        yield "its header, badge or set-up cell is stale: run `sorl-edu course sync`"


def _part_problems(notebook: Notebook) -> Iterator[str]:
    cells = parsed(notebook.text()).cells
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    first, last = prose[:1] or [""], prose[len(prose) // 2 :]
    for part, pattern in OPENING.items():
        if not re.search(pattern, first[0], re.MULTILINE):
            yield f"its opening lacks {part}"
    for part in CLOSING[notebook.folder]:
        if not re.search(rf"^(#+ |\*\*){part}", "\n\n".join(last), re.MULTILINE):
            yield f"its closing lacks {part}"
    packs = [cell.source for cell in cells if HAND_IN in cell.metadata.get("tags", ())]
    if notebook.folder == "assignments" and packs != [PACK.format(name=notebook.name)]:
        yield f'it should have one cell `# %% tags=["{HAND_IN}"]`, which packs {notebook.name}'
    for source in prose:
        if source.count("<details") != source.count("</details>"):
            yield f"<details> is not closed in the cell that begins '{source.splitlines()[0]}'"


def _exercise_problems(text: str) -> Iterator[str]:
    try:
        found = exercises(text)
        written_parts(text)
    except ConfigError as error:
        yield str(error)
        return
    for exercise in found:
        if "..." not in exercise.blank:
            yield f"exercise {exercise.number} has no `...` to fill in"
        if not exercise.solution:
            yield f"exercise {exercise.number} has no folded solution after its check"
        elif (line := drift(exercise.blank, exercise.solution)) is not None:
            yield (
                f"exercise {exercise.number}: blank and solution differ from the blank's line "
                f"`{line.strip()}` on"
            )


def _ipynb_problems(notebook: Notebook) -> Iterator[str]:
    if not notebook.ipynb.exists():
        yield "the file is missing: run `sorl-edu course sync`"
        return
    written = notebook.ipynb.read_text(encoding="utf-8")
    try:
        content = json.loads(written)
        outputs = any(cell.get("outputs") for cell in content["cells"])
    except (ValueError, KeyError, AttributeError):
        yield "the file is no notebook: delete it, and run `sorl-edu course sync`"
        return
    if outputs:
        yield "it contains outputs: run `sorl-edu course sync`"
    if "widgets" in content.get("metadata", {}):
        yield "it contains widget state: run `sorl-edu course sync`"
    if _is_edited(notebook.ipynb):
        yield (
            f"cells were edited or added in it: bring them into {notebook.source.name}, delete it, "
            "and run `sorl-edu course sync`"
        )
    elif not outputs and written != as_ipynb(parsed(notebook.text())):
        yield f"it differs from {notebook.source.name}: run `sorl-edu course sync`"


def _with_table(readme: str, root: Path) -> str:
    """A README with the current table of notebooks between its marks, if it has them.

    The badge below it is the workflow colab.yml's.
    """
    begin, end = README_MARKS
    if begin not in readme or end not in readme:
        return readme
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    address = repository(root)
    rows = ["| notebook | runs in | read and do | exercises | |", "|---|---|---|---|---|"]
    for notebook in find(root):
        text = notebook.text()
        title = re.search(r"^# # (.*)$", text, re.MULTILINE)
        seconds, doing = _TIME.search(text), re.search(r"(\d+) (minutes|hours)", text)
        rows.append(
            f"| [{title[1] if title else notebook.name}]({notebook.address}) "
            f"| {f'{seconds[0]} s' if seconds else ''} "
            f"| {doing[0].replace('minutes', 'min') if doing else ''} "
            f"| {len(exercises(text)) or ''} | {badges(address, notebook)} |"
        )
    runs = f"{address}/actions/workflows/colab.yml"
    weekly = f"{address.replace('github.com', 'raw.githubusercontent.com')}/badges/colab.svg"
    rows += ["", f"[![When the notebooks last ran in Colab, and how]({weekly})]({runs})"]
    table = "\n".join(rows)
    return f"{before}{begin}\n{table}\n{end}{after}"


def _write(path: Path, text: str) -> list[Path]:
    """Writes a file if its content changes, and returns the files written: one or none."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return []
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return [path]
