"""The house style of the course's figures, and what several of them are made of."""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Array
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.files import atomic_write

Numbers = np.ndarray | Array

# Seaborn's palette "colorblind". Seaborn itself takes a second to import.
PALETTE = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
BLUE, ORANGE, GREEN, RED, *_ = PALETTE
SKY = PALETTE[9]  # a blue for dark backgrounds
BLACK = "0.15"
COLORS = (BLUE, ORANGE, GREEN, BLACK)  # of what one pair of axes compares: told apart by all eyes
SMALL = 10.5  # points: 12 pixels in a notebook's column on a screen of 1280
STYLE = {
    "figure.dpi": 100,
    "font.size": SMALL,
    "axes.titlesize": 11,
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.framealpha": 0.8,  # lines behind its text fade
    "legend.edgecolor": "none",
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "grid.color": "0.9",
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
}
WIDTH = 10.0  # inches, a notebook's width
PHOTOGRAPH = "photograph"  # the gid of axes that show one
# Selects a page whose theme is dark, of JupyterLab or Colab; and what a picture has in it in CSS.
DARK_THEME = ':is(body[data-jp-theme-light="false"], html[theme="dark"])'
DARK = "filter: invert(0.9) hue-rotate(180deg);"
LIGHT_GREYS = matplotlib.colors.ListedColormap([str(g) for g in np.linspace(0.6, 0.98, 256)])
# Black text on it can be read, in a dark theme, too.
LIGHT_BLUES = matplotlib.colors.ListedColormap(
    matplotlib.colormaps["Blues"](np.linspace(0, 0.48, 256))
)
MARKERS = "osD^vPX"
DASHES = ("-", "--", "-.", ":")

# Keywords of a line, for what figures of mazes and of actions have in common.
START = dict(marker="o", markersize=5, color="white", markeredgecolor="black", linestyle="none")
GOAL = dict(marker="*", markersize=14, color=BLACK, markeredgecolor="white", linestyle="none")
REACHED = dict(color=BLUE, linestyle="-")
FAILED = dict(color=ORANGE, linestyle=(0, (4, 1.5)))
END = dict(color=ORANGE, marker="X", markersize=8, markeredgecolor="black", zorder=6)
MEAN = dict(marker="o", markersize=9, color="none", markeredgecolor=RED, markeredgewidth=2)


class DescribedFigure(Figure):
    """A figure that a notebook shows together with words for those who can't see it.

    Attributes:
        alt: the words, as a caption would have them: HTML's alternative text.
    """

    alt = ""

    def _ipython_display_(self) -> None:
        """Displays HTML with the alternative text, and the picture alone for what knows no HTML.

        JupyterLab and Colab show a bare picture without alternative text. In a dark theme the
        picture is dark, too, unless it has photographs.
        """
        from IPython.display import display

        if not self.alt:
            raise NotImplementedError("IPython then displays it as any figure")
        png = io.BytesIO()
        self.savefig(png, format="png", bbox_inches="tight")  # as IPython itself draws a figure
        data = base64.b64encode(png.getvalue()).decode()
        attributes = f'alt="{html.escape(self.alt)}" style="max-width:100%;height:auto"'
        theme = ""
        if not any(axes.get_gid() == PHOTOGRAPH for axes in self.axes):
            attributes += ' class="sorl-figure"'
            theme = f"<style>{DARK_THEME} .sorl-figure {{ {DARK} }}</style>"
        display(
            {
                "text/html": f'{theme}<img src="data:image/png;base64,{data}" {attributes}>',
                "image/png": data,
                "text/plain": repr(self),
            },
            metadata={"image/png": {"alt": self.alt}},
            raw=True,
        )


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draws and lays out in the house style, and restores matplotlib's settings.

    The layout is then fixed: the figure looks the same whatever the settings are when it is shown,
    and is drawn faster.
    """

    @functools.wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:  # matplotlib creates ticks only when it draws them
                axes.tick_params(labelsize=STYLE["xtick.labelsize"])
            if figure.get_layout_engine() is not None:
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
            if isinstance(figure, DescribedFigure):  # its words name symbols without TeX's marks
                figure.alt = re.sub(r"[${}]", "", figure.alt)
            return figure

    return in_style


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a PNG atomically and returns its path.

    Raises:
        ConfigError: the file's name does not end in .png.
    """
    path = Path(path)
    check(path.suffix == ".png", f"a figure is saved as .png, not as '{path.name}'")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
    return path


def new_figure(
    width: float, height: float, *, alt: str = "", layout: str | None = "constrained"
) -> DescribedFigure:
    """An empty figure, inches wide and high, whose layout adapts to its labels.

    Args:
        width, height: its size.
        alt: what it shows, for those who can't see it.
        layout: matplotlib's layout engine.
    """
    figure = DescribedFigure(figsize=(width, height), layout=layout)
    figure.alt = alt
    return figure


def remove_unused(panels: np.ndarray, used: int) -> None:
    """Removes the empty panels of the last row, and labels the ticks of the panels above them."""
    unused = panels.size - used
    for axes in panels.flat[used:]:
        axes.remove()
    for axes in panels[-2:-1, panels.shape[1] - unused :].flat:
        axes.tick_params(labelbottom=True)


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


def sentence(words: str) -> str:
    """Words with a capital first letter, whatever the others are."""
    return words[:1].upper() + words[1:]


def plural(number: int, noun: str) -> str:
    """A number and its noun: "1 step", "2 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spread(actions: np.ndarray) -> float:
    """The RMS distance of actions (n, 2) from their mean."""
    return float(np.sqrt(((actions - actions.mean(0)) ** 2).sum(1).mean()))


def check_table(table: pd.DataFrame, columns: Sequence[str], expected: str) -> None:
    """Raises ConfigError unless the table has these columns, and rows."""
    missing = [column for column in columns if column not in table]
    check(not missing, f"the table lacks {', '.join(missing)}; it should be {expected}")
    check(len(table) > 0, f"the table is empty; it should be {expected}")
