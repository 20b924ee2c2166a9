"""`make baselines`: SORL and eleven other methods on the course's suite, tuned at a known cost.

    python -m sorl_edu.experiments.baselines pointmaze-medium-navigate     # one environment alone

Each method's knob is chosen on an environment's default task with two seeds of its own
(`tuning.py`); then three seeds of every task are trained with it, and evaluated as published. All
methods have equal data, updates, batches and widths. data/baselines/ gets, for each environment,

    ENVIRONMENT.csv             success of every task, seed and evaluation, at the chosen setting
    ENVIRONMENT_tuning.csv      what was tried, which was chosen, and what it cost
    ENVIRONMENT.md              the table, with aggregates and comparisons
    ENVIRONMENT_rows.zip        the rows of all episodes, and how the trainings went

and of the maze, for lesson 7, the agents that tuning trained, one seed of each, without targets:

    AGENT_VALUE.safetensors     "fql_10": the agent at one value of its knob; "ifql" where that is N
    shown.csv                   how each acts: method, knob, value, steps, candidates, file
    trajectories.npz            its episodes, by the number of its row there

Results and agents are shipped after each method; the maze's episodes at the end, where the README's
table is printed, too. Finished work is kept in runs/, so a study that is stopped goes on. On
another machine it goes on from the shipped rows: what has rows isn't trained again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents import agent_class, agent_name
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.evaluation import evaluate
from sorl_edu.experiments import benchmark, experiment, statistics, tables, tuning
from sorl_edu.experiments.experiment import Experiment, parse_pieces
from sorl_edu.experiments.suites import SUITES
from sorl_edu.files import add_to_manifest, atomic_copy, read_manifest, write_arrays, write_csv
from sorl_edu.training import checkpoints, use_all_cores

METHODS = (
    "sorl",
    "bc",
    "iql",
    "rebrac",
    "idql",
    "srpo",
    "cac",
    "fawac",
    "fbrac",
    "ifql",
    "fql",
    "bfn",
)
ENVIRONMENTS = {env.name: env for env in SUITES["course"]}
SHOWN_IN = "pointmaze-medium-navigate"
"""The environment whose tuned agents are shipped."""
SHOWN_EPISODES, EVERY = 8, 5  # episodes of a shipped agent; steps between kept positions


def plan(environment: str) -> benchmark.Plan:
    """What is done in an environment."""
    return benchmark.Plan(
        suite="course",
        tasks=(environment,),
        agents=METHODS,
        seeds=3,
        steps=(1, 8),
        candidates=(1, 8, 32),
        episodes=20,
        tune=True,
        checkpoint_every=2000,
    )


@dataclass(frozen=True)
class Shown:
    """An agent that tuning trained, at one value of its knob, and how it acts."""

    method: str
    """A key of `AGENTS`."""
    knob: str
    """The setting that was tuned; empty for a method without one."""
    value: float | None
    """Of the knob."""
    steps: int
    candidates: int
    trial: Experiment

    @property
    def file(self) -> str:
        """The agent's file; agents that differ in N alone share one."""
        own = "" if self.knob in ("", "candidates") else f"_{self.value:g}"
        return f"{self.method}{own}.safetensors"


def shown_agents(runs: Path) -> list[Shown]:
    """One for each method and value of its knob, with the steps and N that did best there.

    They go from the values that stay closest to the data to the greediest. Methods that are still
    to be tuned are left out.
    """
    tried, done = (pd.read_csv(runs / file) for file in ("tuning.csv", "results.csv"))
    found = []
    for planned in plan(SHOWN_IN).experiments():
        if planned.name not in set(done.agent):
            continue
        method, knob = agent_name(planned.agent), tuning.own_knob(planned)
        if knob is None:  # a method without a knob
            (setting,) = planned.settings
            found.append(Shown(method, "", None, *setting, planned))
            continue
        own = tried[tried.agent == planned.name]
        values = knob.values if knob.greedier == "larger" else reversed(knob.values)
        trials = dict(tuning.trials(planned, knob))
        for value in values:
            rows = own[own.value == value]
            best = rows.loc[rows.success.idxmax()]
            trial = trials[None if knob.at_test_time else value]
            setting = int(best.steps), int(best.candidates)
            found.append(Shown(method, knob.name, value, *setting, trial))
    return found


def ship_agents(runs: Path, out: Path) -> None:
    """Writes the maze's agents that aren't shipped yet, without their target networks."""
    listed = read_manifest(out)
    for shown in shown_agents(runs):
        file = out / shown.file
        if shown.file in listed and checkpoints.load_agent(file)[0] == shown.trial.agent:
            continue
        trained = experiment.train(shown.trial, runs / "tuning", trainings=runs / "trainings")
        task, seed = shown.trial.tasks[0], shown.trial.seeds[0]
        agent = checkpoints.load_agent(trained.agents[task, seed, shown.trial.updates])
        checkpoints.save_agent(file, *agent, targets=False)
        facts = {"seed": seed, "dataset_sha256": trained.dataset_sha256}
        add_to_manifest(out, shown.file, command=_command(SHOWN_IN), **facts)


def ship_episodes(runs: Path, out: Path) -> None:
    """Runs some episodes of each of the maze's shipped agents, as it acts best."""
    kept, rows = {}, []
    for number, shown in enumerate(shown_agents(runs)):
        agent, state, info = checkpoints.load_agent(out / shown.file)
        setting = {"steps": shown.steps, "candidates": shown.candidates}
        table, recording = evaluate(
            agent, state, info.environment, **setting, episodes=SHOWN_EPISODES, record=True
        )
        kept[f"{number}"] = recording.observations[:, ::EVERY, :2].astype(np.float16)
        kept[f"{number}_success"] = table.success.to_numpy() > 0
        rows.append(
            {"method": type(agent).__name__, "knob": shown.knob, "value": shown.value}
            | setting
            | {"file": shown.file}
        )
    write_csv(pd.DataFrame(rows), out / "shown.csv")
    write_arrays(kept, out / "trajectories.npz")
    for file in ("shown.csv", "trajectories.npz"):
        add_to_manifest(out, file, command=_command(SHOWN_IN), episodes=SHOWN_EPISODES)


def run_environment(name: str, runs: Path, out: Path) -> None:
    """Does what is missing in an environment, and ships it after each method."""
    folder = runs / "baselines" / name
    experiment.unpack_rows(out / f"{name}_rows.zip", folder)
    collected = runs / "robots" if ENVIRONMENTS[name].collection else None  # `make robots` has some
    benchmark.run(plan(name), folder, data=collected, after_each=lambda: ship(name, folder, out))
    if name == SHOWN_IN:
        ship_episodes(folder, out)


def ship(name: str, folder: Path, out: Path) -> None:
    """Copies the results of an environment that are there, with their entries in the manifest."""
    facts = {
        "command": _command(name),
        "hardware": f"{os.cpu_count()} CPU cores",
        "experiments": [planned.facts() for planned in plan(name).experiments()],
    }
    for made, file in (("results.csv", f"{name}.csv"), ("tuning.csv", f"{name}_tuning.csv")):
        atomic_copy(folder / made, out / file)
        add_to_manifest(out, file, **facts)
    atomic_copy(folder / "table.md", out / f"{name}.md")
    experiment.pack_rows(folder, out / f"{name}_rows.zip")
    for file in (f"{name}.md", f"{name}_rows.zip"):
        add_to_manifest(out, file, command=_command(name))
    if name == SHOWN_IN:
        ship_agents(folder, out)


def overview(out: Path) -> str:
    """The README's table, in Markdown: a method's success per environment, and what it costs.

    Args:
        out: the folder of the results; the time of an action is from data/baselines/costs.csv.
    """
    costs = pd.read_csv(shipped_data() / "baselines" / "costs.csv").set_index("agent")
    environments = [name for name in ENVIRONMENTS if (out / f"{name}.csv").exists()]
    results = pd.concat(pd.read_csv(out / f"{name}.csv") for name in environments)
    tuned = pd.concat(pd.read_csv(out / f"{name}_tuning.csv") for name in environments)
    success = statistics.per_environment(results).set_index(["agent", "environment"])
    lines = []
    for method in METHODS:
        name = agent_class(method).__name__
        places = [(name, environment) for environment in environments]
        if not any(place in success.index for place in places):
            continue
        cells = [tables.cell(success.loc[p]) if p in success.index else "" for p in places]
        episodes = tuned[tuned.agent == name].episodes.sum()
        lines.append([name, *cells, f"{episodes:,}", f"{costs.milliseconds[method]:.2g}"])
    head = ["method", *environments, "tuning episodes", "ms per action"]
    return tables.markdown_table(head, lines)


def _command(name: str) -> str:
    return experiment.command_of("baselines", name)


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = parse_pieces(arguments, __doc__, ENVIRONMENTS, "baselines", "environment")
    begun = [name for name in pieces if (runs / "baselines" / name / "tuning.csv").exists()]
    new = [work for name in pieces if name not in begun for work in benchmark.workload(plan(name))]
    if new:
        benchmark.print_estimate(new)
    for name in pieces:
        run_environment(name, runs, out)
    print(overview(out))


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
