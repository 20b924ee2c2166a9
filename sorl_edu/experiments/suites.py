"""Suites of the benchmark: their environments and tasks, and what others published on them.

data/published/ogbench.csv has the published results of eleven methods, in percent, with their
standard deviation over 8 seeds, per task and (as task 0) averaged over an environment's five tasks.

Sources: Park et al., Flow Q-Learning, arXiv 2502.02538, tables 2 and 3 (ten methods), and
Espinosa-Dice et al., arXiv 2505.22866 (SORL, whose results per task aren't known here), from
second-hand copies of their tables. They used OGBench before 1.2, whose rewards belong to the state
after a step (success_timing="post" in OGBench 1.2); here, rewards belong to the state before it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pandas as pd

from sorl_edu.agents.presets import PRESETS, preset_for
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments.experiment import Collection

ALL_TASKS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Environment:
    """An environment of a suite: what agents learn there, and for how long."""

    name: str
    """The dataset's, without its version: 'cube-single-play'."""
    tasks: tuple[int, ...] = ALL_TASKS
    """OGBench's numbers."""
    updates: int = 1_000_000
    """Updates per agent, unless a plan has its own number."""
    preset: str | None = None
    """Its preset's name without the agent's; the published one for the dataset unless given."""
    collection: Collection | None = None
    """Data to collect on this machine, instead of shipped or downloaded data."""
    has_published: bool = False
    """Whether published results are comparable: same data, updates and widths."""

    @property
    def dataset(self) -> str:
        return f"{self.name}-v0"

    @property
    def published(self) -> dict[str, str]:
        """'97 ± 1', the mean over the five tasks, by method."""
        return self.published_on(0)

    def published_on(self, task: int) -> dict[str, str]:
        """The same of one task; of 0, the mean over the five tasks."""
        if not self.has_published:
            return {}
        table = published_results()
        table = table[(table.environment == self.name) & (table.task == task)]
        return {row.method: f"{row.success} ± {row.std}" for row in table.itertuples()}

    def task(self, number: int) -> str:
        """OGBench's name of the dataset with a task."""
        return f"{self.name}-singletask-task{number}-v0"

    def preset_of(self, agent: str) -> str:
        """The name of an agent's preset for this environment.

        Args:
            agent: a key of `AGENTS`.

        Raises:
            UnknownName: the agent has none; the message has the nearest presets.
        """
        if self.preset is None:
            return preset_for(self.dataset, agent)
        name = self.preset if agent == "sorl" else f"{agent}/{self.preset}"
        if name not in PRESETS:
            raise UnknownName("preset", name, PRESETS)
        return name


@functools.cache
def published_results() -> pd.DataFrame:
    """Published success in percent: method, environment, task (0: the mean of five), std."""
    return pd.read_csv(shipped_data() / "published" / "ogbench.csv")


_PAPER = functools.partial(Environment, has_published=True)
_SMALL = functools.partial(Environment, updates=20_000)

SUITES: dict[str, tuple[Environment, ...]] = {
    "ogbench-sorl": (
        _PAPER("antmaze-large-navigate"),
        _PAPER("antmaze-giant-navigate"),
        _PAPER("humanoidmaze-medium-navigate"),
        _PAPER("humanoidmaze-large-navigate"),
        _PAPER("antsoccer-arena-navigate"),
        _PAPER("cube-single-play"),
        _PAPER("cube-double-play"),
        _PAPER("scene-play"),
    ),
    "course": (
        _SMALL("pointmaze-medium-navigate", preset="pointmaze"),
        _SMALL(
            "cube-single-play",
            updates=50_000,
            preset="cube-single-small",
            collection=Collection(1000),
        ),
        _SMALL("scene-play", tasks=(1, 2, 3), preset="scene-small", collection=Collection(500)),
        _SMALL(
            "cube-double-play", tasks=(1,), preset="cube-double-small", collection=Collection(500)
        ),
    ),
    "pointmaze": (_SMALL("pointmaze-medium-navigate"),),
}
"""The paper's forty tasks; fourteen tasks on data that are made here, for two cores; and the
course's maze alone, whose five tasks take minutes."""
