"""Tuning that counts: each agent's one knob is chosen on a task, and what that cost is known.

    for at most four values of the knob:
        train two seeds on the environment's default task
        evaluate them at every setting (m, N)                    # episodes that are counted
    choose the value and setting with the highest success

Nothing is chosen on what is reported: the seeds are other training seeds, and the episodes have
other starts and other noise.

Source of counting: Jackson et al., A Clean Slate for Offline RL (Unifloral), 2025, arXiv
2504.11453. Knobs and the ranges in which they were searched: Park et al., Flow Q-Learning, arXiv
2502.02538, its tables of task-specific hyper-parameters. They searched up to ten values; where
there are more than four, those here are spread over the ones that they chose.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import Agent
from sorl_edu.errors import CheckpointError, UnknownName, check
from sorl_edu.experiments import experiment
from sorl_edu.experiments.experiment import Experiment, grid

SEEDS = (1000, 1001)
"""Training seeds, far from those that a plan reports: 0, 1, 2 ..."""
EVALUATION_SEED = 7
"""Reported episodes have their number of updates as seed: 80%, 90% or 100% of a multiple of 10,
which is never 7."""
MOST_VALUES = 4

COLUMNS = ["agent", "environment", "knob", "value", "steps", "candidates", "success", "episodes"]


@dataclass(frozen=True)
class Knob:
    """The one setting of an agent that is tuned, and the values that are tried.

    Raises:
        ConfigError: no values, the same twice, or more than four.
    """

    name: str
    """A hyper-parameter of the agent; or "candidates", where N is nothing but a setting."""
    values: tuple[float, ...]
    at_test_time: bool = False
    """Whether it is N of the evaluation, so that one training serves all values."""
    greedier: Literal["larger", "smaller"] = "larger"
    """Which values follow the critic more; the others stay closer to the data."""

    def __post_init__(self) -> None:
        check(
            0 < len(set(self.values)) == len(self.values) <= MOST_VALUES,
            f"a knob has from 1 to {MOST_VALUES} different values: {self.values}",
        )
        check(
            not self.at_test_time or self.name == "candidates",
            f"at test time, the knob is candidates, and not {self.name}",
        )


KNOBS: dict[str, Knob] = {
    "iql": Knob("inverse_temperature", (0.3, 1.0, 3.0, 10.0)),
    "rebrac": Knob("policy_penalty", (0.003, 0.01, 0.1, 1.0), greedier="smaller"),
    "idql": Knob("candidates", (32, 64, 128), at_test_time=True),
    "srpo": Knob("q_weight", (0.03, 0.1, 0.3, 1.0)),
    "cac": Knob("q_weight", (0.003, 0.03, 0.3, 1.0)),
    "fawac": Knob("inverse_temperature", (0.3, 1.0, 3.0, 10.0)),
    "fbrac": Knob("flow_weight", (3.0, 10.0, 30.0, 100.0), greedier="smaller"),
    "ifql": Knob("candidates", (32, 64, 128), at_test_time=True),
    "fql": Knob("distillation_weight", (10.0, 30.0, 300.0, 1000.0), greedier="smaller"),
    "bfn": Knob("candidates", (4, 8, 16, 32), at_test_time=True),
    "evor": Knob("candidates", (8, 16, 32, 64), at_test_time=True),
    "value_flows": Knob("candidates", (8, 16, 32, 64), at_test_time=True),
    "sorl": Knob("q_weight", (4.0, 20.0, 100.0, 500.0)),
}
"""By the agent's name in `AGENTS`. Behaviour cloning (bc, flow_bc) has no knob."""

MAZE = "pointmaze-medium-navigate"
KNOBS_OF_ENVIRONMENTS: dict[tuple[str, str], Knob] = {
    ("rebrac", MAZE): Knob("policy_penalty", (0.003, 0.01, 0.03, 0.1), greedier="smaller"),
    ("fbrac", MAZE): Knob("flow_weight", (1.0, 3.0, 10.0, 30.0), greedier="smaller"),
    ("fql", MAZE): Knob("distillation_weight", (3.0, 10.0, 30.0, 100.0), greedier="smaller"),
    ("sorl", MAZE): Knob("q_weight", (20.0, 100.0, 500.0, 2500.0)),
}
"""Other values for an agent in one environment: by (agent, dataset without its version)."""


def knob_for(agent: str, environment: str) -> Knob | None:
    """The knob of an agent in an environment; None if it has none.

    Args:
        agent: a key of `AGENTS`.
        environment: a dataset's name without its version, as in the rows.
    """
    return KNOBS_OF_ENVIRONMENTS.get((agent, environment), KNOBS.get(agent))


def own_knob(planned: Experiment) -> Knob | None:
    """The knob of an experiment's agent in its environment."""
    names = {kind: name for name, kind in AGENTS.items()}
    return knob_for(names.get(type(planned.agent), ""), planned.environment)


def trials(planned: Experiment, knob: Knob | None) -> list[tuple[Any, Experiment]]:
    """The experiments that choose for another one: (value, experiment) for every value.

    There is one whose value is None where nothing but the setting is to be chosen, and none where
    that is no choice either.

    Raises:
        UnknownName: the agent has no such hyper-parameter.
    """
    trial = replace(
        planned,
        tasks=(0,),  # the default one
        seeds=SEEDS,
        evaluated_at=(1.0,),
        evaluation_seed=EVALUATION_SEED,
    )
    if knob is None:
        return [(None, trial)] if len(planned.settings) > 1 else []
    if knob.at_test_time:
        steps = dict.fromkeys(m for m, _ in planned.settings)
        return [(None, replace(trial, settings=grid(steps, knob.values)))]
    return [
        (
            value,
            replace(
                trial,
                name=f"{planned.name} {knob.name} {value:g}",
                agent=_with(planned.agent, knob.name, value),
            ),
        )
        for value in knob.values
    ]


def _with(agent: Agent, name: str, value: Any) -> Agent:
    known = [field.name for field in fields(agent)]
    if name not in known:
        raise UnknownName(f"hyper-parameter of {type(agent).__name__}", name, known)
    return replace(agent, **{name: value})


def check_tuning(planned: Experiment, knob: Knob | None, folder: Path, reported: Path) -> None:
    """Raises what `tune`, and then `experiment.run` of its choice, would raise for their folders.

    Args:
        planned, knob, folder: as for `tune`.
        reported: the folder of the experiment's own rows, which are of a value that may be chosen.

    Raises:
        CheckpointError: one of the folders holds rows of another plan.
    """
    options = [trial for _, trial in trials(planned, knob)]
    for trial in options:
        experiment.check_experiment(trial, folder)
    refusals = []
    for agent in dict.fromkeys(trial.agent for trial in options or [planned]):
        try:
            experiment.check_experiment(replace(planned, agent=agent, settings=()), reported)
        except CheckpointError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


@dataclass(frozen=True)
class Tuned:
    """What tuning chose, and what it cost."""

    experiment: Experiment
    """The planned experiment, with the chosen value and at the chosen setting alone."""
    table: pd.DataFrame
    """A row per value and setting: `COLUMNS`, and whether it was `chosen`."""

    @property
    def episodes(self) -> int:
        """Environment episodes that were spent on the choice."""
        return int(self.table.episodes.sum())


def tune(planned: Experiment, knob: Knob | None, folder: str | Path, **options) -> Tuned:
    """Chooses a value of the knob, and a setting, for an experiment.

    It does what is missing, so that a tuning which was stopped goes on. A tie goes to the value,
    and then to the setting, that stands first.

    Args:
        planned: the experiment to tune for; its tasks, seeds and episodes take no part.
        knob: see `knob_for`; None to choose among settings alone.
        folder: where the rows of the trials are kept, apart from those that are reported.
        options: as for `experiment.run`.

    Raises:
        ConfigError: one of the training seeds is among the planned ones.
        what `experiment.run` raises, and `trials`.
    """
    check(
        not set(SEEDS) & set(planned.seeds),
        f"training seeds {SEEDS} are for tuning, and can't be reported too",
    )
    choices, rows = [], []
    for value, trial in trials(planned, knob):
        found = experiment.run(trial, folder, **options)
        for m, n in trial.settings:
            cell = found[(found.steps == m) & (found.candidates == n)]
            choices.append(replace(planned, agent=trial.agent, settings=((m, n),)))
            rows.append(
                {
                    "agent": planned.name,
                    "environment": planned.environment,
                    "knob": knob.name if knob else "",
                    "value": n if knob and knob.at_test_time else value,
                    "steps": m,
                    "candidates": n,
                    "success": cell.success.mean(),
                    "episodes": len(cell),
                }
            )
    table = pd.DataFrame(rows, columns=COLUMNS)
    if table.empty:
        return Tuned(planned, table.assign(chosen=False))
    best = int(table.success.argmax())
    return Tuned(choices[best], table.assign(chosen=table.index == best))
