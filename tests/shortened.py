"""Lessons that train for less, and smaller agents.

`make test` runs every cell of them so; `make goals` and `make bench` run lessons as they are.
"""

import os

from quick import QUICK

SHORTER = {
    "01_flow_matching": (("updates=6000", "updates=600"),),
    "02_shortcut_models": (("updates=3000", "updates=300"), ("range(0, 3001, 200)", "(0, 200)")),
    "04_sorl": (("[1, 2], 6000)", "[1, 2], 600)"), ("range(6000)", "range(600)")),
    "06_robots": (
        ("episodes=16", "episodes=4"),
        ('tasks=("cube-single-play",)', 'suite="pointmaze"'),
        ("updates=5)", "updates=1)"),
    ),
}


def shortened(name: str, text: str) -> str:
    """The text of a notebook, which trains for less unless times are measured.

    Raises:
        AssertionError: the text no longer has what is replaced.
    """
    if not QUICK.items() <= os.environ.items():
        return text
    for long, short in SHORTER.get(name, ()):
        assert text.count(long) == 1, f"{name}: {long!r} stands there {text.count(long)} times"
        text = text.replace(long, short)
    return text
