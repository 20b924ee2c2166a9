"""What the audit computes of lesson 9 and of data/imitation: exact values, and the shipped rows."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
from audit_toys import defined

from sorl_edu.course import shipped
from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import imitation, lesser_points, statistics
from sorl_edu.finite_mdp import best_in_class, expected_return, occupancies
from sorl_edu.imitation import behaviour_cloning, completeness_error, largest_gap, psdp_error
from sorl_edu.plotting.tightrope import regions
from sorl_edu.widgets import TightropeExplorer

LESSON_9 = "notebooks/09_when_you_cant_be_the_expert.py"


@functools.cache
def lesson() -> SimpleNamespace:
    """What lesson 9's cells define."""
    cells = ("world = Tightrope()", "cloned = ", "HORIZONS, P", "rho = ", "OFFLINE = ")
    cells += ("METHODS = ", "def lacking")
    return SimpleNamespace(**defined(LESSON_9, *cells))


def j(name: str) -> float:
    """J of one of the lesson's policies."""
    here = lesson()
    policies = {"expert": here.world.expert, "best": here.best, "clone": here.clone}
    policies |= {"searched": here.learner.policy(here.decisions)}
    return here.J((policies | here.found)[name])


def where(name: str) -> dict[str, float]:
    """The steps of FILTER or GUITAR on the bridge, on the road, in pits and in the goal."""
    here = lesson()
    return regions(here.world, occupancies(here.mdp, here.found[name]).sum((0, 2)))


def gaps(slip: float) -> list[float]:
    """How well the best reward tells the clone, and the best of the class, from the expert."""
    here = lesson()
    learner = here.world.learner(slip)
    best = learner.policy(best_in_class(here.mdp, here.reward, learner))
    clone = learner.policy(behaviour_cloning(learner, here.expert))
    return [largest_gap(here.expert, occupancies(here.mdp, pi)) for pi in (clone, best)]


def road_is_better(slip: float) -> bool:
    here = lesson()
    learner = here.world.learner(slip)
    best = learner.policy(best_in_class(here.mdp, here.reward, learner))
    steps = regions(here.world, occupancies(here.mdp, best).sum((0, 2)))
    return steps["on the road"] > 8 and steps["on the bridge"] < 0.01


def bound(name: str, whose: str) -> tuple[float, float, float]:
    """H times the completeness error and the search's error, and how far the method is behind."""
    here = lesson()
    policy = here.found[name]
    law = {"expert": here.expert, "offline": here.OFFLINE}[whose]
    of_class = here.mdp, here.learner, policy, here.reward, law.sum(-1)
    ahead = float((law * here.reward).sum()) - expected_return(here.mdp, policy, here.reward)
    horizon = here.mdp.horizon
    return horizon * completeness_error(*of_class), horizon * psdp_error(*of_class), ahead


def on_the_bridge() -> np.ndarray:
    """What the class lacks in each cell of the bridge: FILTER, in the expert's states."""
    here = lesson()
    lost = here.lacking(here.found["FILTER"], here.expert.sum(-1))
    return lost.reshape(5, -1)[1, here.world.middle.start : here.world.middle.stop]


@functools.cache
def explorer() -> TightropeExplorer:
    return TightropeExplorer()


def shown(learner: str, place: str = "on the road", **setting) -> float:
    """Steps of a learner in the explorer."""
    full = explorer().setting(**setting)
    explorer().prepare(**full)
    return explorer().facts(**full)[learner][place]


def share_of(learner: str, **setting) -> float:
    """J of a learner in the explorer, as a share of the optimum."""
    full = explorer().setting(**setting)
    explorer().prepare(**full)
    facts = explorer().facts(**full)
    return facts[learner]["j"] / facts["optimum"]


# ------------------------------------------------------------------------------- the shipped rows


@functools.cache
def rows() -> pd.DataFrame:
    return shipped.imitation("tightrope")


@functools.cache
def summary(study: str) -> pd.DataFrame:
    return imitation.summary(rows(), study)


def interval(study: str, learner: str, **setting) -> list[float]:
    """The interquartile mean and the ends of its interval."""
    table = summary(study)
    table = table[table.learner == learner]
    for column, value in setting.items():
        table = table[table[column] == value]
    (row,) = table.itertuples()
    return [row.iqm, row.low, row.high]


@functools.cache
def losses() -> pd.DataFrame:
    """The expert's J minus the learner's, by learner and bridge."""
    own = rows()[rows().study == "horizon"]
    own = own.assign(loss=own.expert_j - own.j)
    return statistics.interquartile_means(own, ["learner", "bridge"], "loss")


def growth(learner: str) -> int:
    """How many times as large the loss is in the longest world as in the shortest."""
    own = losses()[losses().learner == learner].iqm
    return round(own.iloc[-1] / own.iloc[0])


def table_rows() -> list[str]:
    """The rows of the tables of data/imitation/README.md."""
    learners = ("BC", "MM", "FILTER", "GUITAR")
    found = []
    begins = {"clone": "the clone", "walk": "a walk at random"}
    for study in ("slip", "practice", "expert_episodes"):
        table, varied = summary(study), list(imitation.STUDIES[study].varied)
        for key, cell in table.groupby(varied, sort=False):
            told = [begins.get(value) or f"{value:g}" for value in key]
            own = cell.set_index("learner")
            found.append(_row([*told, *(_cell(own.loc[name]) for name in learners)]))
    for offline, cell in summary("mixture").groupby("offline"):
        own = cell.set_index("resets")
        found.append(_row([f"{offline:g}", _cell(own.loc[0.5]), _cell(own.loc[1.0])]))
    for bridge, cell in losses().groupby("bridge"):
        own = cell.set_index("learner")
        told = f"{bridge}, {round(imitation.STEPS_PER_CELL * bridge)}"
        names = ("BC", "FILTER", "GUITAR")
        found.append(_row([told, *(_cell(own.loc[name], 1) for name in names)]))
    return found


def in_maze(body: str, learner: str, minus: str | None = None) -> list[float]:
    """Success of a learner in PointMaze, or what it has above another one, and the interval."""
    found = lesser_points.last(shipped.imitation(body))
    values = found[learner] if minus is None else found[learner] - found[minus]
    return [values.mean(), *bounded_interval(values, 0.0 if minus is None else -1.0)]


def maze_table() -> list[str]:
    """The lines of PointMaze's table."""
    tables = {body: shipped.imitation(body) for body in lesser_points.BODIES}
    return lesser_points.as_markdown(tables).splitlines()


def on_the_way(steps: int) -> float:
    """The largest success of a learner in the lessons up to so many steps, over its seeds."""
    lessons = pd.concat([shipped.imitation(body) for body in lesser_points.BODIES])
    lessons = lessons[(lessons.stage == "lesson") & (lessons.environment_steps <= steps)]
    return lessons.groupby(["body", "learner"]).success.mean().max()


def _cell(row: pd.Series, digits: int = 2) -> str:
    return f"{row.iqm:.{digits}f} [{row.low:.{digits}f}, {row.high:.{digits}f}]"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
