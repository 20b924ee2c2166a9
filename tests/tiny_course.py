"""A repository with one notebook, which has what every notebook of the course must have."""

from pathlib import Path

from sorl_edu.course import notebooks

ADDRESS = "https://github.com/someone/somewhere"

EXPLORER = '''
from matplotlib.figure import Figure

from sorl_edu.widgets.explorer import Explorer, Parameter
from sorl_edu.widgets.frame import CLICKABLE

PLACES = (1, 2, 4, 8)


class Tiny(Explorer):
    """A disc whose place and size are chosen."""

    title = "A disc"
    parameters = (
        Parameter("place", "place", PLACES, start=2, points=tuple((x, 1) for x in PLACES)),
        Parameter("size", "size", (10, 20, 40)),
        Parameter("color", "color", ("tab:blue", "tab:red"), ("blue", "red"), slow=True),
    )

    def draw(self, place, size, color):
        figure = Figure(figsize=(3, 2), dpi=80)
        axes = figure.add_subplot(xlim=(0, 9), ylim=(0, 2), xlabel="place", ylabel="height (m)")
        axes.set_gid(CLICKABLE)
        axes.scatter([place], [1], s=10 * size, c=color)
        return figure

    def caption(self, place, size, color):
        return f"A disc of size {size} at {place}, alone in an empty square."

    def facts(self, place, size, color):
        return {"place": place, "area": 10 * size, "color": color}
'''

NOTEBOOK = f"""\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 1. Halves
#
# [![Open in Colab](BADGE)](LINK)
#
# **You will learn**
# - to halve
#
# **You should know** numbers.
#
# **Time** about 60 s to run on 2 CPU cores, 3 minutes to read and do.

# %% tags=["setup"]
import sorl_edu  # stamped

# %% tags=["imports"]
# %matplotlib inline
import jax

from sorl_edu.course.exercises.exercise import Exercise, Misconception

half = Exercise(
    number="1.1",
    solution=lambda x: x / 2,
    cases=lambda key: [(x,) for x in jax.random.normal(key, (3,))],
    misconceptions=(
        Misconception("doubled", "halving makes smaller.", lambda x: 2 * x),
        Misconception("sign turned", "keep the sign.", lambda x: -x / 2),
    ),
)
{EXPLORER}

# %% [markdown]
# ### Exercise 1.1 · Halves · ★☆☆ · 1 min · 1 point
# Return half of it.


# %% tags=["exercise-1.1"]
def answer(x):
    y = ...
    return y


# %% tags=["check-1.1"]
half(answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def answer(x):
#     y = x / 2
#     return y
# ```
#
# </details>

# %%
explorer = Tiny()
explorer

# %% [markdown]
# **Recap**
# - half is half
#
# **Three questions** none.
#
# **Further reading** none.
"""


def make(root: Path) -> Path:
    """Writes the repository into a folder, not yet stamped; returns the notebook's text file."""
    (root / "pyproject.toml").write_text(f'[project]\nurls = {{ Repository = "{ADDRESS}" }}\n')
    source = root / "notebooks" / "01_halves.py"
    source.parent.mkdir()
    source.write_text(NOTEBOOK)
    return source


# More exercises, to hand out and to grade.

DOUBLE = """
# %% [markdown]
# ### Exercise 1.2 · Twice · ★☆☆ · 2 min · 2 points
# Return twice of it, and a half of that.


# %% tags=["exercise-1.2"]
def twice(x):
    y = ...
    return y


# %% tags=["check-1.2"]
double(twice)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def twice(x):
#     y = 2 * x
#     return y
# ```
#
# </details>
"""
LEVEL = """
# %% [markdown]
# ### Exercise 1.3 · High · ★★★ · 5 min · 4 points
# Return a number near 1, or beyond.


# %% tags=["exercise-1.3"]
def level(seed):
    y = ...
    return y


# %% tags=["check-1.3"]
high(level)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def level(seed):
#     y = 1 + (seed % 7) / 100
#     return y
# ```
#
# </details>
#
# ### Exercise 1.4 · In words · ★☆☆ · 5 min · 2 points
# Say why.

# %% [markdown] tags=["written-1.4"]
# *Your words.*
"""
CHECKS = """double = Exercise(
    number="1.2",
    solution=lambda x: 2 * x,
    cases=half.cases,
    misconceptions=half.misconceptions[1:],
)
high = Measured(
    number="1.3",
    measure=lambda ask, seeds, size: [float(jax.tree.leaves(ask(seed))[0]) for seed in seeds],
    quantity="level",
    goal=1.0,
    baseline=0.5,
    size=1,
)
"""


def make_coursework(root: Path, more: str = "") -> Path:
    """Writes a synced repository with exercises of one point and of two, and more; its source."""
    source = make(root)
    text = source.read_text()
    imports = "import Exercise, Misconception\n"
    measured = "from sorl_edu.course.exercises.measured import Measured\n"
    text = text.replace(imports, imports + measured)
    text = text.replace(")\n\nfrom matplotlib", f")\n{CHECKS}\nfrom matplotlib")
    text = text.replace("\n# %%\nexplorer = Tiny()", f"{DOUBLE}{more}\n# %%\nexplorer = Tiny()")
    assert CHECKS in text and DOUBLE in text and more in text
    source.write_text(text)
    notebooks.sync(root)
    return source


def make_assignment(root: Path, more: str = "") -> Path:
    """Writes a synced repository with the same exercises in an assignment, A1; its source."""
    lesson = make_coursework(root, more)
    text = lesson.read_text().replace("Lesson 1.", "Assignment 1.").replace("Recap", "Handing in")
    source = root / "notebooks" / "assignments" / "A1_halves.py"
    source.parent.mkdir()
    pack = notebooks.PACK.format(name=source.stem)
    source.write_text(f'{text}\n# %% tags=["{notebooks.HAND_IN}"]\n{pack}\n')
    notebooks.sync(root)
    return source


HALF = "def answer(x):\n    y = x / 2\n    return y"
TWICE = "def twice(x):\n    y = 2 * x\n    return y"
NEAR = "def level(seed):\n    return {} + (seed % 7) / 1000"
SECRET = "of the tests"


def submission(folder: Path, handout: Path, *answers: str | None, before: str = "") -> Path:
    """A student's notebook: a handed-out .ipynb with answers in its blanks, None to leave one."""
    import nbformat

    notebook = nbformat.read(handout, as_version=4)
    blanks = [
        cell
        for cell in notebook.cells
        if any(tag.startswith("exercise-") for tag in cell.metadata.get("tags", ()))
    ]
    for cell, answer in zip(blanks, answers, strict=True):
        cell.source = cell.source if answer is None else answer
    if before:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
    path = folder / "submission.ipynb"
    nbformat.write(notebook, path)
    return path


def explorer():
    """The notebook's explorer."""
    namespace = {"__name__": "tiny_course"}
    exec(EXPLORER, namespace)
    return namespace["Tiny"]()
