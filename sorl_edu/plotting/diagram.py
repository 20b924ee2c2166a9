"""The whole method in one picture: what learns from the data, and how an action comes about."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sorl_edu.plotting.style import BLUE, GREEN, ORANGE, SMALL, WIDTH, new_figure, styled

HEIGHT = 3.9
BOXES = {  # name: (x of the centre, y of the centre, width, height, colour, text)
    "data": (1.0, 1.95, 1.6, 1.5, "0.4", "recorded data\n(o, a, r, o')\n\nlesson 3"),
    "critic": (3.6, 0.95, 2.1, 1.15, GREEN, "critic Q(o, a)\nwhat an action is worth\nlesson 3"),
    "policy": (
        3.6,
        2.95,
        2.1,
        1.15,
        BLUE,
        "policy s(a$_t$, t, h | o)\nfrom noise to an action\nlessons 1, 2 and 4",
    ),
    "candidates": (6.7, 2.95, 1.9, 1.15, BLUE, "N candidates,\nof m steps each\nlessons 0 and 5"),
    "choice": (6.7, 0.95, 1.9, 1.15, GREEN, "the candidate\nof the highest Q\nlesson 5"),
    "action": (9.1, 1.95, 1.2, 0.8, ORANGE, "action a"),
}
ARROWS = (  # from, to, what it carries, where that stands (x, y, alignment)
    ("data", "critic", "TD targets", (1.75, 0.75, "center")),
    ("data", "policy", "flow matching", (1.55, 3.15, "center")),
    ("critic", "policy", "dQ/da", (3.5, 1.95, "right")),
    ("policy", "candidates", "m steps", (5.2, 3.15, "center")),
    ("critic", "choice", "values", (5.2, 1.15, "center")),
    ("candidates", "choice", "", (0, 0, "center")),
    ("choice", "action", "", (0, 0, "center")),
)

ALT = (
    "A diagram of SORL. Once, from the data: recorded data (o, a, r, o') give TD targets to a "
    "critic Q(o, a), and flow matching to a policy s(a_t, t, h | o), which the critic's gradient "
    "dQ/da also trains. For every action: the policy draws N candidates of m steps each, the "
    "critic's values choose the one of the highest Q, and that is the action a."
)


@styled
def method_diagram() -> Figure:
    """SORL at a glance: data teach a critic and a policy; m and N are chosen when it acts."""
    figure = new_figure(WIDTH, HEIGHT, alt=ALT, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    for start, end, text, (x, y, align) in ARROWS:
        _arrow(axes, BOXES[start], BOXES[end])
        axes.text(x, y, text, size=SMALL, ha=align, va="center", color="0.25")
    for x, y, width, height, color, text in BOXES.values():
        corner = (x - width / 2, y - height / 2)
        shape = dict(boxstyle="round,pad=0,rounding_size=0.12", edgecolor=color, linewidth=2)
        axes.add_patch(FancyBboxPatch(corner, width, height, facecolor="white", **shape))
        axes.text(x, y, text, size=SMALL, ha="center", va="center")
    axes.axvline(5.2, 0.04, 0.96, color="0.8", linestyle=":", zorder=0)
    axes.text(2.6, 3.72, "once, from the data", size=SMALL, ha="center", weight="bold")
    axes.text(7.6, 3.72, "for every action: spend m and N", size=SMALL, ha="center", weight="bold")
    return figure


def _arrow(axes: Axes, start: tuple, end: tuple) -> None:
    """An arrow between two boxes, cut off at their edges."""
    (x, y, width, height), (u, v, other_width, other_height) = start[:4], end[:4]
    if x == u:  # one above the other
        sign = 1 if v > y else -1
        ends = (x, y + sign * height / 2), (u, v - sign * other_height / 2)
    else:
        ends = (x + width / 2, y), (u - other_width / 2, v)
    arrow = dict(arrowstyle="-|>", mutation_scale=16, color="0.25", linewidth=1.4)
    axes.add_patch(FancyArrowPatch(*ends, shrinkA=2, shrinkB=2, **arrow))
