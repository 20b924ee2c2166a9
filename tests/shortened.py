"""Lessons that train for less, and smaller agents.

`make test` runs every cell of them so; `make goals` and `make bench` run lessons as they are.
"""

import os

from quick import QUICK

SHORTER = {
    "01_flow_matching": (("updates=6000", "updates=600"),),
    "02_shortcut_models": (
        ("updates=3000", "updates=300"),
        ("range(0, 3001, 200)", "(0, 200)"),
        ("steps, key = (1, 2, 4, 8, 16, 32)", "steps, key = (1, 8)"),
    ),
    "03_offline_rl_and_the_td_critic": (
        ('shipped.snapshots("sorl")', '(all[-2:] for all in shipped.snapshots("sorl"))'),
    ),
    "04_sorl": (
        ("[1, 2], 6000)", "[1, 2], 60)"),
        ("range(6000)", "range(60)"),
        ("i % 100 == 99", "i % 10 == 9"),
        ("episodes=10, seed=0", "episodes=1, seed=0"),
        ("batches=24", "batches=2"),
    ),
    "06_robots": (
        ("for m in (1, 8):\n    for n in (1, 8, 32):", "for m in (8,):\n    for n in (8,):"),
        ("episodes=16", "episodes=4"),
        ('tasks=("cube-single-play",)', 'suite="pointmaze"'),
        ("updates=2)", "updates=1)"),
    ),
    "08_expressive_values": (
        ("range(100, 5001, 100)", "(100, 500, 5000)"),
        ('info.environment, place="junction")', "info.environment, candidates=(1, 8))"),
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
