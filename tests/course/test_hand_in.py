"""The last cell of an assignment: what it says of the answers, and the file that it writes."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")
pytest.importorskip("IPython", reason="it runs in a notebook: make test installs IPython")

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from tiny_course import HALF, LEVEL, NEAR, SECRET, TWICE, make_assignment
from traitlets.config import Config

from sorl_edu.course import hand_in, notebooks
from sorl_edu.course.build import build
from sorl_edu.course.grading import fence
from sorl_edu.course.grading.classroom import find_submissions
from sorl_edu.course.grading.fence import BUBBLEWRAP, TRUSTED
from sorl_edu.course.grading.grade import grade

NAME = "A1_halves"
NUMBERS = ["1.1", "1.2", "1.3"]
FENCE = TRUSTED if fence.usable(BUBBLEWRAP) else BUBBLEWRAP
LARGE = {"application/vnd.jupyter.widget-state+json": {}}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An assignment with two exercises of one and two points, a measured one, and a report."""
    return make_assignment(tmp_path_factory.mktemp("repository"), LEVEL)


class Student:
    """A handout, and a kernel in which its cells run."""

    def __init__(self, folder, source, shell):
        (self.file,) = build(source.parents[2], "student", folder, ["A1"])
        self.shell = shell
        self.packed = folder / "hand_in" / self.file.name

    def write(self, **answers):
        """Saves answers in the cells tagged so: `exercise_1_1` for exercise-1.1."""
        content = nbformat.read(self.file, as_version=4)
        for tag, text in answers.items():
            tag = tag.replace("_", "-", 1).replace("_", ".")
            (cell,) = (c for c in content.cells if tag in c.metadata.get("tags", ()))
            cell.source = text
        content.metadata["widgets"] = LARGE
        nbformat.write(content, self.file)

    def add(self, text):
        """Saves a cell of the student's own, after the imports."""
        content = nbformat.read(self.file, as_version=4)
        content.cells.insert(3, nbformat.v4.new_code_cell(text))
        nbformat.write(content, self.file)

    def run(self, *codes):
        """Runs the saved cells from top to bottom, or some code."""
        cells = nbformat.read(self.file, as_version=4).cells
        kinds = ("imports", "exercise", "check")
        for code in codes or (
            cell.source.replace("%matplotlib inline", "")
            for cell in cells
            if cell.cell_type == "code"
            and (not cell.metadata.get("tags") or cell.metadata.tags[0].startswith(kinds))
        ):
            self.shell.run_cell(code, store_history=True)

    def pack(self, capsys, **named):
        capsys.readouterr()
        hand_in.pack(NAME, **named)
        return capsys.readouterr().out


@pytest.fixture
def student(tmp_path, source, monkeypatch):
    shell = InteractiveShell(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    student = Student(tmp_path / "mine", source, shell)
    monkeypatch.setenv("JPY_SESSION_NAME", str(student.file))
    yield student
    shell.history_manager.end_session()


SOLVED = {"exercise_1_1": HALF, "exercise_1_2": TWICE, "exercise_1_3": NEAR.format(1.0)}


def test_all_exercises_are_checked_in_order_and_the_saved_notebook_is_packed(student, capsys):
    student.write(exercise_1_1=HALF, exercise_1_2="def twice(x):\n    return x")
    student.run()
    told = student.pack(capsys)
    lines = told.splitlines()
    assert lines[0] == "✓ 1.1 Halves: 1 of 1"
    assert lines[1] == "✗ 1.2 Twice: 0 of 2" and lines[2].startswith("    ")
    assert "… 1.3 High: 0 of 4\n    Exercise 1.3 waits for you" in told
    assert "… 1.4 In words: it waits for you" in told
    assert "1 of 7 points here" in told and "\n!" not in told
    assert lines[-1] == f"Hand in this file: {student.packed}"
    packed = nbformat.read(student.packed, as_version=4)
    nbformat.validate(packed)
    saved = nbformat.read(student.file, as_version=4)
    assert packed.cells == saved.cells and "widgets" not in packed.metadata

    student.write(**SOLVED, written_1_4="My words.")
    student.run()
    told = student.pack(capsys)
    assert "7 of 7 points" in told and "1.4 In words: graded by hand" in told
    assert "My words." in student.packed.read_text()
    assert [path.name for path in student.packed.parent.iterdir()] == [student.file.name]


def test_the_grader_takes_the_packed_file_from_each_layout(student, source, tmp_path, capsys):
    named = f'{notebooks.PACK.format(name=NAME)[:-1]}, file="{NAME}.ipynb")'  # a changed cell runs
    student.write(**SOLVED, hand_in=named)
    student.run()
    student.pack(capsys)
    name = student.packed.name
    for layout in (
        f"canvas/lovelaceada_1_2_{name}",
        f"gradescope/submission_7/{name}",
        f"moodle/Ada_9_assignsubmission_file_/{name}",
        f"nbgrader/submitted/ada/a1/{name}",
    ):
        path = tmp_path / layout
        path.parent.mkdir(parents=True)
        path.write_bytes(student.packed.read_bytes())
        (found,) = find_submissions(tmp_path / layout.partition("/")[0], NUMBERS)
        assert (found.notebook, found.problem) == (path, "")
    report = grade(found.notebook, source.read_text(), secret=SECRET, fence=FENCE)
    assert report.points == report.most == 7, report.as_text()


def test_a_kernel_that_has_other_answers_than_the_file_is_told_of(student, capsys):
    student.write(**SOLVED)
    student.run()
    student.run(TWICE.replace("2 * x", "x + x"))  # an edit that is not saved
    told = student.pack(capsys)
    assert "! 1.2 was last run in another version than that of its cell in the file" in told
    assert "! 1.2 was run after 1.3, and the grader" in told
    assert student.packed.exists()
    student.run()
    assert "\n!" not in student.pack(capsys)


def test_an_answer_that_uses_what_only_the_courses_cells_define_is_told_of(student, capsys):
    uses = "def answer(x):\n    assert explorer and half and helper\n    return x / 2"
    student.write(exercise_1_1=uses)
    student.add("helper = 1")
    student.run()
    told = student.pack(capsys)
    assert "✓ 1.1" in told
    assert [line for line in told.splitlines() if line[0] == "!"] == [
        "! 1.1 uses `explorer`, which the grader does not have: it runs the imports, your answers "
        "and cells of your own, and none of the course's cells."
    ]


def test_nothing_is_written_where_nothing_is_answered_or_nothing_ran(student, capsys):
    student.run()
    assert "Nothing was written: there is no answer" in student.pack(capsys)
    student.write(**SOLVED)
    student.shell.reset(new_session=False)
    told = student.pack(capsys)
    assert told.count("was not run since the kernel started") == 3 and "Nothing was" in told
    assert not student.packed.parent.exists()


def test_an_older_file_survives_what_goes_wrong(student, capsys, monkeypatch):
    student.write(**SOLVED)
    student.run()
    student.pack(capsys)
    before = student.packed.read_bytes()
    student.add("# " + "x" * 21 * 2**20)
    assert "clear the outputs" in student.pack(capsys)
    student.file.write_text("{")
    assert "save the notebook (Ctrl+S)" in student.pack(capsys)
    monkeypatch.setenv("JPY_SESSION_NAME", str(student.file.with_name("renamed.ipynb")))
    assert f'hand_in.pack("{NAME}", file="{NAME}.ipynb")' in student.pack(capsys)
    assert student.packed.read_bytes() == before and len(list(student.packed.parent.iterdir())) == 1


def test_the_notebook_is_found_in_vs_code_and_in_colab_and_else_named(
    student, capsys, monkeypatch, tmp_path
):
    student.write(**SOLVED)
    student.run()
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert f'name it, as in hand_in.pack("{NAME}", file=' in student.pack(capsys)
    assert not student.packed.exists()
    student.pack(capsys, file=student.file)
    assert student.packed.exists()
    student.packed.unlink()
    student.shell.user_ns["__vsc_ipynb_file__"] = str(student.file)
    student.pack(capsys)
    assert student.packed.exists()

    live = json.loads(student.file.read_text())
    live["cells"].append({"cell_type": "markdown", "metadata": {}, "source": ["not ", "saved"]})
    asked, downloaded = [], []
    colab, message, files = (ModuleType(f"google.colab{n}") for n in ("", "._message", ".files"))
    message.blocking_request = lambda what, **_: asked.append(what) or {"ipynb": live}
    files.download = downloaded.append
    colab._message, colab.files = message, files
    for module in (colab, message, files):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    student.pack(capsys)
    assert asked == ["get_ipynb"] and downloaded == [str(tmp_path / "hand_in" / f"{NAME}.ipynb")]
    assert "not saved" in Path(downloaded[0]).read_text()


def test_jupyters_server_tells_its_kernels_the_notebooks_file():
    pytest.importorskip("jupyter_server", reason="JupyterLab brings it: make test installs it")
    from jupyter_server.services.sessions.sessionmanager import SessionManager

    server = SimpleNamespace(kernel_manager=SimpleNamespace(cwd_for_path=lambda path: "/there"))
    env = SessionManager.get_kernel_env(server, "a/A1.ipynb", "A1.ipynb")
    assert env["JPY_SESSION_NAME"] == "/there/A1.ipynb"
