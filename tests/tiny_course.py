"""A repository with one notebook, which has what every notebook of the course must have."""

from pathlib import Path

ADDRESS = "https://github.com/someone/somewhere"

EXPLORER = '''
from matplotlib.figure import Figure

from sorl_edu.widgets.explorer import Explorer, Parameter


class Tiny(Explorer):
    """A disc whose place and size are chosen."""

    title = "A disc"
    parameters = (
        Parameter("place", "place", (1, 2, 4, 8), start=2),
        Parameter("size", "size", (10, 20, 40)),
        Parameter("color", "color", ("tab:blue", "tab:red"), ("blue", "red"), slow=True),
    )

    def draw(self, place, size, color):
        figure = Figure(figsize=(3, 2), dpi=80)
        axes = figure.add_subplot(xlim=(0, 9), ylim=(0, 2), xlabel="place", ylabel="height (m)")
        axes.scatter([place], [1], s=10 * size, c=color)
        return figure

    def caption(self, place, size, color):
        return f"A disc of size {size} at {place}."

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


def explorer():
    """The notebook's explorer."""
    namespace = {"__name__": "tiny_course"}
    exec(EXPLORER, namespace)
    return namespace["Tiny"]()
