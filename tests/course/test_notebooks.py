"""The notebooks match their text, run, and answer a student; `course check` finds what does not."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_course
from helpers import checks_that_do_not_wait
from legibility import READ, pictures_without_words
from quick import as_users_have_it
from shortened import shortened

pytest.importorskip("jupytext", reason="notebooks are made with jupytext: make test installs it")
pytest.importorskip("nbclient", reason="notebooks are run with nbclient: make test installs it")

import nbformat

from sorl_edu import cli
from sorl_edu.course import jupyter, notebooks
from sorl_edu.course.build import build
from sorl_edu.course.exercises.measured import Measured
from sorl_edu.course.grading.grade import check_of
from sorl_edu.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = notebooks.find(ROOT)
LESSONS = [notebook for notebook in NOTEBOOKS if notebook.folder == "notebooks"]
ASSIGNMENTS = [notebook for notebook in NOTEBOOKS if notebook.folder == "assignments"]
EXERCISES = [  # with the solutions of those before it, which an answer may use
    pytest.param(found[i], [e.solution for e in found[:i]], id=f"{notebook.name}-{found[i].number}")
    for notebook in NOTEBOOKS
    for found in [notebooks.exercises(notebook.text())]
    for i in range(len(found))
]


@pytest.fixture
def source(tmp_path):
    """The text of a synced repository's only notebook."""
    source = tiny_course.make(tmp_path)
    notebooks.sync(tmp_path)
    return source


def problems(source):
    return "\n".join(notebooks.problems(source.parents[1]))


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_ipynb(source, edit):
    path = source.with_suffix(".ipynb")
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


# The repository's own notebooks.


def test_the_notebooks_are_up_to_date():
    assert notebooks.problems(ROOT) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_a_notebook_runs_and_all_can_read_its_figures(notebook, measured, monkeypatch):
    text = shortened(notebook.name, notebook.text())
    monkeypatch.setattr(type(notebook), "text", lambda _: f"{text}\n# %%{READ}")
    execution = notebooks.execute(notebook)
    measured(notebook.name, execution.seconds, "s")
    assert not execution.failures, "\n".join(map(str, execution.failures))
    assert not checks_that_do_not_wait(execution.executed.cells)
    if notebook in ASSIGNMENTS:
        (last,) = (c for c in execution.executed.cells if "hand-in" in c.metadata.get("tags", ()))
        assert "there is no answer in the notebook yet" in json.dumps(last.outputs)
    assert not pictures_without_words(execution.executed.cells)


@pytest.mark.goals
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_runs_with_all_its_training(lesson, measured, monkeypatch):
    monkeypatch.setattr(os, "environ", as_users_have_it())
    execution = notebooks.execute(lesson)
    measured(lesson.name, execution.seconds, "s")
    assert not execution.failures, "\n".join(map(str, execution.failures))


def raw_colours(text):
    """The colours that code gives by name or by number, and not by a constant; greys are free."""
    tree = ast.parse(notebooks.plain_code(text.replace("# %", "# ")))
    named = [
        node.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg and re.search("colou?rs?$|^c$|^palette$", keyword.arg)
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    free = {"white", "black", "w", "k", "none"}
    return [name for name in named if name not in free and not re.fullmatch(r"[01](\.\d+)?", name)]


def test_a_raw_colour_is_found():
    text = "plot(x, color='red')\nplot(x, c='C1', color='0.5')\nbar(y, edgecolor='w', color=BLUE)"
    assert raw_colours(text) == ["red", "C1"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_a_notebook_draws_in_the_house_style(notebook):
    """Its figures have alternative text, and the house's colours, which all eyes tell apart."""
    text = notebook.text()
    assert not raw_colours(text)
    assert not re.search(r"\bFigure\(|pyplot|tab:", text)
    assert text.count("new_figure(") == len(re.findall(r"new_figure\([^)]*alt=", text))


@pytest.mark.parametrize("notebook", NOTEBOOKS[1:], ids=lambda notebook: notebook.name)
def test_a_notebook_has_two_exercises(notebook):
    assert len(notebooks.exercises(notebook.text())) >= 2


def test_there_are_three_assignments_and_each_is_found_by_its_number():
    assert [notebook.number for notebook in ASSIGNMENTS] == ["A1", "A2", "A3"]
    for name in ("A2", "a2", ASSIGNMENTS[1].name, str(ASSIGNMENTS[1].ipynb)):
        assert notebooks.find(ROOT, [name]) == [ASSIGNMENTS[1]]
    assert notebooks.find(ROOT, ["2", "0"]) == [LESSONS[2], LESSONS[0]]
    last = ASSIGNMENTS[2].text()
    assert [part.number for part in notebooks.written_parts(last)] == ["A3.3"]
    for notebook in ASSIGNMENTS:
        measured = [check_of(e) for e in notebooks.exercises(notebook.text())]
        assert any(isinstance(check, Measured) for check in measured)


def answer_with(cells, earlier, code=None, answer=None):
    """The check, and its feedback on some code or on a function in place of the student's."""
    namespace = {"__name__": "builtins"}  # dataclasses look their module up
    for before in (cells.imports, *earlier):
        exec(before, namespace)
    exec(cells.blank if code is None else code, namespace)
    *before, last = ast.parse(cells.check).body
    call = last.value
    if answer is not None:
        namespace[call.args[0].id] = answer
    exec(compile(ast.Module(before, []), "check", "exec"), namespace)
    exercise = eval(compile(ast.Expression(call.func), "check", "eval"), namespace)
    return exercise, eval(compile(ast.Expression(call), "check", "eval"), namespace)


@pytest.mark.parametrize("cells, earlier", EXERCISES)
def test_a_check_answers_a_student(cells, earlier):
    exercise, feedback = answer_with(cells, earlier)
    assert feedback.status == "empty" and exercise.number == cells.number
    assert cells.number in feedback.text
    if isinstance(exercise, Measured):
        return  # its solution trains: test_assignments.py grades it
    _, feedback = answer_with(cells, earlier, cells.solution)
    assert feedback.status == "right", feedback
    assert len(exercise.misconceptions) >= 3
    for misconception in exercise.misconceptions:
        _, feedback = answer_with(cells, earlier, answer=misconception.answer)
        assert feedback.misconception == misconception.name, feedback
        assert misconception.message in feedback.text


# The tool, on a repository with one small notebook.


def test_syncing_stamps_and_syncing_again_changes_nothing(tmp_path):
    source = tiny_course.make(tmp_path)
    assert "stale" in problems(source) and "missing" in problems(source)
    assert set(notebooks.sync(tmp_path)) == {source, source.with_suffix(".ipynb")}
    assert problems(source) == ""
    text = source.read_text()
    assert f'install("sorl-edu @ git+{tiny_course.ADDRESS}")' in text
    assert "colab.research.google.com/github/someone/somewhere/blob/main/notebooks/01_h" in text
    before = source.with_suffix(".ipynb").read_bytes()
    assert notebooks.sync(tmp_path) == []
    source.with_suffix(".ipynb").unlink()
    notebooks.sync(tmp_path)
    assert source.with_suffix(".ipynb").read_bytes() == before


def test_the_ipynb_is_a_valid_notebook_of_the_same_cells_as_its_text(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "%matplotlib inline" in notebook.cells[2].source
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert [c.source for c in notebook.cells] == [
        c.source for c in notebooks.parsed(source.read_text()).cells
    ]


LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3.99.1",
}


class Lab:
    """JupyterLab's server on a folder, with jupytext: opens and saves as a browser has it done."""

    def __init__(self, folder):
        pytest.importorskip("jupyter_server", reason="JupyterLab brings it: make test installs it")
        from jupytext import TextFileContentsManager

        self.manager = TextFileContentsManager(root_dir=str(folder))
        jupyter._load_jupyter_server_extension(SimpleNamespace(contents_manager=self.manager))

    def open(self, path):
        content = json.loads(json.dumps(self.manager.get(path, type="notebook")["content"]))
        kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        content["metadata"] |= {"kernelspec": kernel, "language_info": dict(LANGUAGE)}
        return content

    def save(self, path, content):
        self.manager.save({"type": "notebook", "format": "json", "content": content}, path)


def test_a_lesson_that_jupyterlab_opens_and_saves_unchanged_stays_unchanged(source):
    """As its autosave does: with the kernel's name, its language, and its version of Python."""
    lab, ipynb = Lab(source.parents[1]), source.with_suffix(".ipynb")
    before = ipynb.read_text(), source.read_text()
    for path in (f"notebooks/{ipynb.name}", f"notebooks/{source.name}"):
        lab.save(path, lab.open(path))
        assert (ipynb.read_text(), source.read_text()) == before

    other = {"type": "notebook", "content": {"metadata": {"language_info": dict(LANGUAGE)}}}
    lab.manager.run_pre_save_hooks(model=other, path="other.ipynb")
    assert other["content"]["metadata"]["language_info"] == LANGUAGE


def answered(content):
    """A notebook with a student's line in its first answer."""
    cell = next(c for c in content["cells"] if "exercise-1.1" in c["metadata"].get("tags", ()))
    cell["source"] = "".join(cell["source"]) + "\nmine = 'three evenings of work'"
    return content


@pytest.mark.parametrize("handed_out", [False, True], ids=["clone", "handout"])
@pytest.mark.parametrize("newer", [-100, 0, 100])  # seconds: a pull or a zip sets the text's time
def test_no_text_beside_a_notebook_hides_or_overwrites_an_answer(source, handed_out, newer):
    """Edited in VS Code or Colab, then opened, edited and saved in JupyterLab; and synced."""
    folder, text = source.parent, source.read_text()
    if handed_out:
        build(source.parents[1], "student", folder / "handout")
        folder = folder / "handout"
        (folder / source.name).write_text(text)  # an older handout had one, which was paired
    ipynb, beside = (folder / source.name).with_suffix(".ipynb"), folder / source.name
    ipynb.write_text(json.dumps(answered(json.loads(ipynb.read_text()))))
    now = ipynb.stat().st_mtime
    os.utime(beside, (now + newer, now + newer))
    lab = Lab(folder)
    content = lab.open(ipynb.name)
    assert "three evenings" in json.dumps(content)
    content["cells"].append({"cell_type": "raw", "id": "x", "metadata": {}, "source": "a note"})
    lab.save(ipynb.name, content)
    as_text = lab.open(beside.name)  # the text itself, as a notebook
    as_text["cells"][0]["source"] += " Mine."
    lab.save(beside.name, as_text)
    kept = ipynb.read_text()
    assert "three evenings" in kept and "a note" in kept
    assert "Mine." in beside.read_text() and "Mine." not in kept

    again = ["--to", str(folder)] if handed_out else []
    words = ["build", "--for", "student", *again] if handed_out else ["sync"]
    assert cli.main(["course", *words, "--root", str(source.parents[1])]) == 2
    assert ipynb.read_text() == kept


def test_installing_the_package_enables_its_server_extension():
    pytest.importorskip("jupyter_server", reason="JupyterLab brings it: make test installs it")
    from jupyter_server.extension.utils import get_loader, get_metadata

    config = json.loads(Path(jupyter.__file__).with_suffix(".json").read_text())
    (name,) = config["ServerApp"]["jpserver_extensions"]
    _, (point,) = get_metadata(name)
    assert point["module"] == name == jupyter.__name__
    assert get_loader(jupyter) is jupyter._load_jupyter_server_extension


def test_an_edit_leaves_the_ids_of_other_cells(source):
    before = [cell.id for cell in notebooks.parsed(source.read_text()).cells]
    change(source, "explorer = Tiny()", "explorer = Tiny()  # small")
    after = [cell.id for cell in notebooks.parsed(source.read_text()).cells]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_the_stamped_text_is_in_the_house_style(source):
    ruff = [sys.executable, "-m", "ruff"]
    ours = "lint.isort.known-first-party=['sorl_edu']"
    config = ["--config", ROOT / "pyproject.toml", "--config", ours]
    target = source.parent
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [*ruff, *command, *config, target], capture_output=True, text=True, cwd=target.parent
        )
        assert done.returncode == 0, done.stdout


def leave_an_output(content):
    content["cells"][-2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]


def leave_widget_state(content):
    content["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}


@pytest.mark.parametrize(
    "mutate, said",
    [
        (lambda s: change(s, "Return half of it", "Return a half"), "ipynb: it differs from 01"),
        (lambda s: edit_ipynb(s, answered), "ipynb: cells were edited or added in it"),
        (lambda s: edit_ipynb(s, leave_an_output), "ipynb: it contains outputs"),
        (lambda s: edit_ipynb(s, leave_widget_state), "ipynb: it contains widget state"),
        (lambda s: s.with_suffix(".ipynb").write_text("{"), "ipynb: the file is no notebook"),
        (lambda s: s.with_suffix(".ipynb").unlink(), "ipynb: the file is missing"),
        (lambda s: change(s, "#     return y", "#     return z"), "differ from the blank's line"),
        (lambda s: change(s, "# def answer(x)", "# def answer(z)"), "line `def answer(x):`"),
        (lambda s: change(s, "    y = ...", "    y = x"), "exercise 1.1 has no `...`"),
        (lambda s: change(s, "# ```python", "# ```"), "no folded solution"),
        (lambda s: change(s, "check-1.1", "check-1.2"), "has no cell tagged check-1.1"),
        (lambda s: change(s, '["imports"]', '["import"]'), 'no cell is tagged "imports"'),
        (
            lambda s: change(s, "somewhere/blob", "elsewhere/blob"),
            "header, badge or set-up cell is stale",
        ),
        (lambda s: change(s, "import sys", "import os"), "header, badge or set-up cell is stale"),
        (lambda s: change(s, '["setup"]', '["set-up"]'), "should have one cell"),
        (lambda s: change(s, "(ipykernel)", "(conda)"), "header, badge or set-up cell is stale"),
        (
            lambda s: change(s.parents[1] / "pyproject.toml", "somewhere", "elsewhere"),
            "header, badge or set-up cell is stale",
        ),
        (lambda s: change(s, "**You will learn**", "**To learn**"), "lacks **You will learn**"),
        (lambda s: change(s, "60 s to run", "a minute"), "lacks **Time** about N s"),
        (lambda s: change(s, "**Recap**", "**End**"), "closing lacks Recap"),
        (lambda s: change(s, "# **Further reading** none.", "#"), "closing lacks Further reading"),
        (lambda s: change(s, "# </details>", "#"), "<details> is not closed"),
    ],
)
def test_a_check_reports_what_is_wrong(source, mutate, said, capsys):
    mutate(source)
    assert said in problems(source)
    assert cli.main(["course", "check", "--root", str(source.parents[1])]) == 1
    assert said in capsys.readouterr().out


def test_an_assignment_without_its_last_cell_is_reported(tmp_path):
    source = tiny_course.make_assignment(tmp_path)
    assert notebooks.problems(tmp_path) == []
    change(source, 'hand_in.pack("A1_halves")', 'hand_in.pack("A2_halves")')
    notebooks.sync(tmp_path)
    assert "which packs A1_halves" in "\n".join(notebooks.problems(tmp_path))


def test_a_line_of_dots_may_become_several():
    blank = "def f(x):\n    y = ...\n    return y\n"
    assert notebooks.drift(blank, "def f(x):\n    z = x\n    y = z\n    return y\n") is None
    assert notebooks.drift(blank, "def f(x):\n    return y\n") == "    return y"
    assert notebooks.drift(blank, "def f(x):\n    y = x\n    return y\n\nf(1)\n") == "(the end)"


def test_the_command_line_syncs_checks_and_refuses(tmp_path, capsys):
    source = tiny_course.make(tmp_path)
    root = ["--root", str(tmp_path)]
    assert cli.main(["course", "sync", *root]) == 0
    assert cli.main(["course", "check", *root]) == 0
    assert "up to date" in capsys.readouterr().out
    for words, said in (
        (["sync", "--stamp"], "takes no notebooks"),
        (["run", "7"], "no notebook '7'; there are 01_halves"),
        (["check", "--root", str(tmp_path / "no")], "checkout of the repository"),
    ):
        assert cli.main(["course", *root, *words]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        notebooks.sync(tmp_path)
    source.unlink()
    with pytest.raises(ConfigError, match="no notebook"):
        notebooks.sync(tmp_path)


@pytest.mark.thorough
def test_a_run_stamps_its_time_and_reports_each_error_with_its_cell(source, capsys):
    root = source.parents[1]
    (root / "README.md").write_text("Course\n{}\nold\n{}\nend\n".format(*notebooks.README_MARKS))
    (execution,) = notebooks.run(root, stamp=True)
    assert not execution.failures
    stamp = notebooks._TIME.search(source.read_text())[0]
    assert int(stamp) % 5 == 0 and execution.seconds <= int(stamp) < execution.seconds + 5
    readme = (root / "README.md").read_text()
    assert f"[Lesson 1. Halves](notebooks/01_halves.ipynb) | {stamp} s | 3 min | 1 |" in readme
    assert readme.startswith("Course\n") and readme.endswith("\nend\n") and "old" not in readme
    assert problems(source) == ""

    change(source, "half(answer)", 'half(answer)\nopen("kept.txt", "w").close()\n1 / 0')
    change(source, 'return f"A disc', 'raise ValueError("no words")  # f"A disc')
    capsys.readouterr()
    (execution,) = notebooks.run(root)
    printed = capsys.readouterr().out
    assert "cell 5, at `1 / 0`: ZeroDivisionError: division by zero" in printed
    assert "an explorer shows: ValueError: no words" in printed
    assert len(execution.failures) == 2
    assert not (source.parent / "kept.txt").exists()  # it ran in a copy


def test_the_setup_cell_installs_only_what_is_missing(tmp_path):
    """In an environment without the package: a fake pip writes down its arguments."""
    text = notebooks.SETUP.format(repository=tiny_course.ADDRESS)
    fake = tmp_path / "pip.py"
    fake.write_text("import sys\nopen('asked', 'a').write(' '.join(sys.argv[1:]) + '\\n')\n")
    script = tmp_path / "setup.py"
    script.write_text(text)
    bare = [sys.executable, "-S", script.name]  # without site-packages
    subprocess.run(bare, cwd=tmp_path, check=True, capture_output=True, env={"PYTHONPATH": "."})
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"install --quiet sorl-edu @ git+{tiny_course.ADDRESS}",
        "install --quiet --no-deps ogbench dm_control",
    ]
    (tmp_path / "asked").unlink()
    shutil.copytree(ROOT / "sorl_edu", tmp_path / "sorl_edu", ignore=lambda *_: ["_data"])
    subprocess.run(bare, cwd=tmp_path, check=True, env={"PYTHONPATH": "."})
    assert not (tmp_path / "asked").exists()
