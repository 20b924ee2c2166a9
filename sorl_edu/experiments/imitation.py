"""`make imitation`: four imitators of an expert that they can't replicate, over several seeds.

    python -m sorl_edu.experiments.imitation tightrope     # one world alone

The learners are BC, MM, FILTER and GUITAR. `lesser_points` has the worlds in PointMaze, one for
each body. The others are of `datasets.tightrope`: a study varies one thing and leaves all others as
in `Setting`:

    slip               how often the learner's step goes astray
    mixture            where GUITAR practises: the share of resets, and of offline states among them
    expert_episodes    how many episodes the expert has shown
    practice           how many states are practised, from a clone or from a walk at random
    horizon            longer worlds of the same shape

data/imitation/ gets tightrope.csv, a row for each study, setting, learner and seed, from which
`summary` has interquartile means with intervals. Every J is exact; the seed draws the expert's
episodes and the practice. The search knows the exact Q of each practised state, so its states are
counted, and no steps of roll-outs.

Finished settings are kept in runs/, so a study that is stopped resumes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from sorl_edu import programs
from sorl_edu.datasets.tightrope import Tightrope
from sorl_edu.errors import DataError, UnknownName, check
from sorl_edu.experiments import lesser_points, statistics
from sorl_edu.experiments.experiment import command_of, parse_pieces
from sorl_edu.experiments.imitators import LEARNERS, returns
from sorl_edu.files import add_to_manifest, write_csv
from sorl_edu.imitation import ResetMixture, filter_resets, guitar
from sorl_edu.progress import progress_bar

ROUNDS, SEEDS = 30, range(10)
STEPS_PER_CELL = 7.5  # of an episode, for each cell of the bridge: 60 steps for 8 cells


@dataclass(frozen=True)
class Setting:
    """Everything but the seed that decides a learner's J."""

    bridge: int = 8
    """Cells of the bridge; the horizon is in proportion."""
    slip: float = 0.1
    """p."""
    expert_episodes: int = 10
    practice: int = 300
    """States that are drawn for each step of a search."""
    start: str = "clone"
    """The policy to begin with: "clone" of the expert's episodes, or "walk" at random."""
    resets: float = 1.0
    """FILTER's and GUITAR's fraction of resets."""
    offline: float = 0.5
    """The share of offline states in GUITAR's resets."""
    learners: tuple[str, ...] = tuple(LEARNERS)

    @property
    def world(self) -> Tightrope:
        return Tightrope(self.bridge, round(STEPS_PER_CELL * self.bridge))

    @property
    def mixtures(self) -> dict[str, ResetMixture | None]:
        """Where each learner practises."""
        turned = {
            "FILTER": filter_resets(self.resets),
            "GUITAR": guitar(self.resets, self.offline),
        }
        return {name: turned.get(name, LEARNERS[name]) for name in self.learners}


@dataclass(frozen=True)
class Study:
    """One question, and the settings that answer it."""

    question: str
    varied: tuple[str, ...]
    """The fields of `Setting` that differ; the last one is the axis of a picture."""
    settings: tuple[Setting, ...]


def _each(name: str, values: Sequence, **others) -> tuple[Setting, ...]:
    return tuple(Setting(**{name: value}, **others) for value in values)


STUDIES = {
    "slip": Study(
        "How much of the optimum is left to a learner that slips?",
        ("slip",),
        _each("slip", (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)),
    ),
    "mixture": Study(
        "How many of the states to practise in must be from offline data?",
        ("resets", "offline"),
        tuple(
            setting
            for resets in (0.5, 1.0)
            for setting in _each(
                "offline",
                (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0),
                resets=resets,
                learners=("GUITAR",),
            )
        ),
    ),
    "expert_episodes": Study(
        "What do more of the expert's episodes bring?",
        ("slip", "expert_episodes"),
        tuple(
            setting
            for slip in (0.0, 0.1)
            for setting in _each("expert_episodes", (1, 2, 3, 5, 10, 30), slip=slip)
        ),
    ),
    "practice": Study(
        "What does more practice bring, from a clone and from a walk at random?",
        ("start", "practice"),
        tuple(
            setting
            for start in ("clone", "walk")
            for setting in _each("practice", (3, 10, 30, 100, 300, 1000), start=start)
        ),
    ),
    "horizon": Study(
        "How does the loss grow with the horizon?",
        ("bridge",),
        _each("bridge", (4, 8, 16, 32), slip=0.05, learners=("BC", "FILTER", "GUITAR")),
    ),
}


def run_tightrope(runs: Path, out: Path, *, rounds: int = ROUNDS, seeds: Sequence[int] = SEEDS):
    """Does what is missing of all studies, and writes tightrope.csv with its manifest entry."""
    folder = runs / "imitation" / "tightrope"
    wanted = [(name, setting) for name, study in STUDIES.items() for setting in study.settings]
    for _, setting in progress_bar(wanted, desc="imitation", unit="setting"):
        file = _file(folder, setting, rounds, seeds)
        if not file.exists():
            write_csv(measure(setting, rounds=rounds, seeds=seeds), file)
    tables = [
        pd.read_csv(_file(folder, setting, rounds, seeds)).assign(study=name)
        for name, setting in wanted
    ]
    table = pd.concat(tables, ignore_index=True)
    write_csv(table[["study", *table.columns.drop("study")]], out / "tightrope.csv")
    add_to_manifest(
        out,
        "tightrope.csv",
        command=command_of("imitation", "tightrope"),
        hardware=f"{os.cpu_count()} CPU cores",
        rounds=rounds,
        seeds=list(seeds),
    )


def measure(setting: Setting, *, rounds: int, seeds: Sequence[int]) -> pd.DataFrame:
    """J of the setting's learners: the setting's fields, and the columns of `imitators.returns`."""
    rows = returns(
        setting.world,
        slips=[setting.slip],
        learners=setting.mixtures,
        expert_episodes=setting.expert_episodes,
        warm_start=setting.start == "clone",
        practice=setting.practice,
        rounds=rounds,
        seeds=seeds,
    )
    fields = asdict(setting)
    del fields["learners"]
    return pd.DataFrame(fields, index=rows.index).join(rows.drop(columns="slip"))


def _file(folder: Path, setting: Setting, rounds: int, seeds: Sequence[int]) -> Path:
    """Named by everything that decides its content, so another plan's file is never read."""
    decides = repr((setting, rounds, list(seeds)))
    return folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:16]}.csv"


def summary(rows: pd.DataFrame, study: str) -> pd.DataFrame:
    """Interquartile means of a study: J as a share of the optimum in the learner's class.

    Args:
        rows: of tightrope.csv.
        study: a key of `STUDIES`.

    Returns:
        a row per (learner, setting): learner, the fields that the study varies, and the columns of
        `statistics.interquartile_means`.

    Raises:
        UnknownName: no such study.
        DataError: no rows of it.
    """
    if study not in STUDIES:
        raise UnknownName("study", study, STUDIES)
    own = rows[rows.study == study]
    check(len(own) > 0, f"there are no rows of the study '{study}'", DataError)
    own = own.assign(share=own.j / own.optimum)
    return statistics.interquartile_means(own, ["learner", *STUDIES[study].varied], "share")


WORLDS = {"tightrope": run_tightrope} | {
    body: partial(lesser_points.run_body, body) for body in lesser_points.BODIES
}


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = parse_pieces(arguments, __doc__, WORLDS, "imitation", "world")
    for name in pieces:
        WORLDS[name](runs, out)


if __name__ == "__main__":
    programs.run(main)
