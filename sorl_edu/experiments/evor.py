"""`make evor`: does it take a law of returns to choose an action, and does it take a flow?

    python -m sorl_edu.experiments.evor pointmaze-medium-navigate     # one environment alone

The same policy that clones the data, with four models of its return (a flow, a Gaussian, a
histogram, a mean), beside best-of-N of other critics. All have equal data, updates, batches and
widths. On an environment's default task, a method's setting is chosen from a grid over candidates
N and the read-out's temperature tau_R, on other episodes than those that are reported. No setting
costs a training: they are dials of test time. data/evor/ gets, for each environment,

    ENVIRONMENT.csv        success of every task, seed and setting, by purpose: "choice", "dials"
                           (EVOR's, one at a time) and "reported"
    ENVIRONMENT.md         tables of it
    ENVIRONMENT_rows.zip   the rows of all episodes, and how the trainings went

and of the maze, whose default task they show but for the last:

    evor.safetensors       for lesson 8, the first seed's agent at the chosen setting
    directions.csv         whether the actions that each model chooses lead towards the goal
    spreads.csv            how wide each model's returns are, and whether that orders the actions
    ends.csv               where episodes come to rest that don't arrive, of every method and task

The default task comes first. Results are written after each method, of what is done until then.
Finished work is kept in runs/, so a study that is stopped goes on. On another machine it goes on
from the shipped rows: what has rows isn't trained again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sorl_edu import programs
from sorl_edu.agents import Agent, chunked, dials_of, with_dials
from sorl_edu.agents.presets import preset
from sorl_edu.experiments import directions, experiment
from sorl_edu.experiments.experiment import (
    Experiment,
    cell_means,
    grid,
    joined,
    parse_pieces,
    read_table,
)
from sorl_edu.experiments.suites import SUITES, Environment
from sorl_edu.experiments.tables import markdown_table, mean_with_interval
from sorl_edu.files import add_to_manifest, atomic_write, read_manifest, write_csv
from sorl_edu.training import checkpoints, use_all_cores

MAZE = "pointmaze-medium-navigate"
"""The environment whose agent is shipped."""
ENVIRONMENTS: dict[str, Environment] = {
    env.name: replace(env, updates=10_000) if env.name == MAZE else env
    for env in SUITES["course"]
    if env.name != "cube-double-play"
}
DEFAULT_TASKS = {MAZE: 1, "cube-single-play": 2, "scene-play": 2}
"""The number of OGBench's default task, on which settings are chosen."""

SEEDS = 3
CHOICE_SEED, CHOICE_EPISODES = 7, 10
"""Of the episodes on which a setting is chosen; the reported ones have another seed, the number of
updates."""
EPISODES = 20
"""Reported episodes of each task and seed."""

INF = math.inf
DIAL_NAMES = ("return_temperature", "choice_temperature", "return_samples", "value_steps")
LABELS = [*experiment.CELL, *DIAL_NAMES, "purpose"]

Dials = dict[str, float]


@dataclass(frozen=True)
class Method:
    """A method, and the settings among which one is chosen."""

    name: str
    """Its name in the results."""
    agent: str
    """A key of `AGENTS`."""
    settings: tuple[tuple[int, int], ...]
    """(steps m, candidates N)."""
    temperatures: tuple[float, ...] = ()
    """tau_R; none for a method without this dial."""
    horizon: int = 1
    """Actions in a chunk."""

    @property
    def choices(self) -> list[Dials]:
        """The dials among which one is chosen, beside m and N."""
        return [{"return_temperature": tau} for tau in self.temperatures] or [{}]

    def agent_in(self, env: Environment) -> Agent:
        """The method's agent in the size of an environment."""
        agent = preset(env.preset_of(self.agent))
        return agent if self.horizon == 1 else chunked(agent, self.horizon)


TEMPERATURES = (INF, 0.3, 0.1, 0.03, 0.01)
EVOR = Method("EVOR", "evor", grid((8,), (8, 32)), TEMPERATURES)
METHODS = (
    Method("mean", "evor_mean", grid((8,), (8, 32))),
    Method("Gaussian", "evor_gaussian", grid((8,), (8, 32)), TEMPERATURES),
    Method("histogram", "evor_histogram", grid((8,), (8, 32)), TEMPERATURES),
    EVOR,
    Method("cloning", "evor", ((8, 1),)),  # EVOR's policy, without a choice
    Method("IFQL", "ifql", grid((8,), (8, 32))),
    Method("SORL", "sorl", grid((1, 8), (8, 32))),
    Method("BFN", "bfn", grid((8,), (8, 32))),
    Method("BFN, chunks of 5", "bfn", grid((8,), (8, 32)), horizon=5),
)
ONE_DIAL: dict[str, tuple[float, ...]] = {
    "choice_temperature": (0.0, 0.003, 0.01, 0.03),
    "return_samples": (2, 8, 32),
    "value_steps": (1, 2, 4, 8),
}
"""EVOR's other dials, which are turned one at a time: the others stay where they are by default,
with tau_R = `DIALS_AT` and (m, N) = `DIALS_SETTING`."""
DIALS_AT, DIALS_SETTING = 0.1, (8, 8)


def planned(method: Method, env: Environment, dials: Dials, **changes: Any) -> Experiment:
    """The experiment of a method at some dials; trainings of the same method are shared."""
    trial = Experiment(
        name=method.name,
        agent=method.agent_in(env),
        dataset=env.dataset,
        seeds=range(SEEDS),
        updates=env.updates,
        collection=env.collection,
        checkpoint_every=2000,
        preset=env.preset_of(method.agent),
        **changes,
    )
    return experiment.turned(trial, dials)


@dataclass(frozen=True)
class Study:
    """What is done in an environment, and where its work is kept."""

    env: Environment
    runs: Path

    @property
    def folder(self) -> Path:
        return self.runs / "evor" / self.env.name

    @property
    def places(self) -> dict[str, Path | None]:
        """Where agents and data are."""
        data = self.runs / "robots" if self.env.collection else None  # `make robots` has some
        return {"trainings": self.folder / "trainings", "data": data}

    def run(self, method: Method, dials: Dials, purpose: str, **changes: Any) -> pd.DataFrame:
        """Success of every task, seed and setting, with `LABELS`."""
        trial = planned(method, self.env, dials, **changes)
        print(f"{self.env.name}, {purpose}: {trial.name}", flush=True)
        rows = experiment.run(trial, self.folder / purpose, **self.places)
        positions = dials_of(trial.agent)
        labels = {name: positions.get(name) for name in DIAL_NAMES}
        return cell_means(rows).assign(agent=method.name, purpose=purpose, **labels)

    def tried(self, method: Method) -> pd.DataFrame:
        """Every setting that a method may choose, on the default task; the cheaper ones first."""
        tables = [
            self.run(method, dials, "choice", settings=(setting,), **self.choice)
            for setting in method.settings
            for dials in method.choices
        ]
        return pd.concat(tables, ignore_index=True)

    @property
    def choice(self) -> dict[str, Any]:
        """The task and the episodes on which settings are chosen."""
        tasks = (DEFAULT_TASKS[self.env.name],)
        seed, episodes = CHOICE_SEED, CHOICE_EPISODES
        return {"tasks": tasks, "evaluation_seed": seed, "episodes": episodes}

    def reported(self, method: Method, tried: pd.DataFrame, tasks: Sequence[int]) -> pd.DataFrame:
        """A method at its best setting and, if that has a finite tau_R, at the best mean's, too."""
        tables = []
        for dials, setting in dict.fromkeys([chosen(tried), chosen(mean_readouts(tried))]):
            options = {"tasks": tasks, "settings": (setting,), "episodes": EPISODES}
            tables.append(self.run(method, dict(dials), "reported", **options))
        return pd.concat(tables, ignore_index=True)

    def dials(self) -> pd.DataFrame:
        """EVOR's dials, one at a time, on the default task."""
        changes = self.choice | {"settings": (DIALS_SETTING,)}
        at = {"return_temperature": DIALS_AT}
        turned = [{name: value} for name, values in ONE_DIAL.items() for value in values]
        tables = [self.run(EVOR, at | dial, "dials", **changes) for dial in turned]
        return pd.concat(tables, ignore_index=True)


def train(study: Study, method: Method) -> experiment.Trained:
    """A method's agents of the default task, whatever their dials."""
    trial = planned(method, study.env, {}, tasks=(DEFAULT_TASKS[study.env.name],))
    return experiment.train(trial, study.folder / "training", **study.places)


Chosen = tuple[tuple[tuple[str, float], ...], tuple[int, int]]  # dials, (m, N)


def chosen(tried: pd.DataFrame) -> Chosen:
    """The dials and the (m, N) of the highest mean success; the first of equals."""
    settings = ["return_temperature", "steps", "candidates"]
    means = tried.groupby(settings, sort=False, dropna=False).success.mean()
    temperature, m, n = means.idxmax()
    dials = () if pd.isna(temperature) else (("return_temperature", float(temperature)),)
    return dials, (int(m), int(n))


def mean_readouts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose read-out is a mean; all of a method without tau_R."""
    tau = table.return_temperature.astype(float)
    return table[tau.isna() | (tau == INF)]


# ----------------------------------------------------------------------------------- the results


def run_environment(name: str, runs: Path, out: Path) -> None:
    """Does what is missing in an environment: its default task, and then all tasks.

    The results are written after each method, of what is done.
    """
    env = ENVIRONMENTS[name]
    study, default = Study(env, runs), DEFAULT_TASKS[name]
    experiment.unpack_rows(out / f"{name}_rows.zip", study.folder)
    for tasks in ((default,), env.tasks):
        tables = []
        for method in METHODS:
            tried = study.tried(method)
            tables += [tried, study.reported(method, tried, tasks)]
            if name == MAZE:
                ship_directions(study, method, out)
                if method == EVOR:
                    ship_agent(study, tried, out)
                if tasks == env.tasks:
                    ship_ends(study, method, tried, out)
            write_results(study, tables, out)
        write_results(study, [*tables, study.dials()], out)


def write_results(study: Study, tables: Sequence[pd.DataFrame], out: Path) -> None:
    """ENVIRONMENT.csv and ENVIRONMENT.md, with their entries in the manifest."""
    name = study.env.name
    table = pd.concat([table.astype({d: float for d in DIAL_NAMES}) for table in tables])
    table = table[[*LABELS, "episodes", "success", "return", "length"]]
    write_csv(table, out / f"{name}.csv")
    with atomic_write(out / f"{name}.md") as beside:
        beside.write_text(as_markdown(pd.read_csv(out / f"{name}.csv")))
    facts = [planned(method, study.env, {}).facts() for method in METHODS]
    hardware = f"{os.cpu_count()} CPU cores"
    entry = {"command": _command(name), "hardware": hardware, "experiments": facts}
    add_to_manifest(out, f"{name}.csv", **entry)
    experiment.pack_rows(study.folder, out / f"{name}_rows.zip")
    for file in (f"{name}.md", f"{name}_rows.zip"):
        add_to_manifest(out, file, command=_command(name))


def ship_agent(study: Study, tried: pd.DataFrame, out: Path) -> None:
    """The first seed's EVOR of the default task, with its dials where they were chosen."""
    dials, setting = chosen(tried)
    agent = with_dials(EVOR.agent_in(study.env), **dict(dials))
    file = out / "evor.safetensors"
    if file.name in read_manifest(out) and checkpoints.load_agent(file)[0] == agent:
        return
    trained = train(study, EVOR)
    _, state, info = trained.load(DEFAULT_TASKS[study.env.name], 0, study.env.updates)
    checkpoints.save_agent(file, agent, state, info)
    facts = {"command": _command(MAZE), "seed": 0, "dataset_sha256": trained.dataset_sha256}
    add_to_manifest(out, file.name, **facts, setting=setting, dials=dict(dials))


def ship_directions(study: Study, method: Method, out: Path) -> None:
    """Adds a method to directions.csv, a row per tau_R and seed, and to spreads.csv, a row per
    seed, both at the largest N."""
    tables = {name: read_table(out / name, ["agent"]) for name in ("spreads.csv", "directions.csv")}
    steps, candidates = method.settings[-1]
    known = set(tables["directions.csv"].agent)
    if not method.agent.startswith("evor") or candidates == 1 or method.name in known:
        return
    env, default = study.env, DEFAULT_TASKS[study.env.name]
    where, leads, spreads = directions.places(env.task(default)), [], []
    setting = {"steps": steps, "candidates": candidates}
    trained = train(study, method)
    for seed in range(SEEDS):
        agent, state, _ = trained.load(default, seed, env.updates)
        own = {"agent": method.name, "seed": seed}
        for dials in method.choices:
            turned = with_dials(agent, **dials) if dials else agent
            leads.append(own | dials | directions.leads(turned, state, where, **setting))
        if method.temperatures:
            spreads.append(own | directions.spread(agent, state, where, **setting))
    for (name, table), found in zip(tables.items(), (spreads, leads), strict=True):
        write_csv(joined(table[table.agent != method.name], pd.DataFrame(found)), out / name)
        add_to_manifest(out, name, command=_command(env.name))


def ship_ends(study: Study, method: Method, tried: pd.DataFrame, out: Path) -> None:
    """Adds a method at its chosen setting to ends.csv, a row per task and seed."""
    env, file, (dials, (m, n)) = study.env, out / "ends.csv", chosen(tried)
    known = read_table(file, ["agent"])
    if method.name in set(known.agent):
        return
    trial = planned(method, env, dict(dials), tasks=env.tasks)
    trained, rows = experiment.train(trial, study.folder / "training", **study.places), []
    for task in env.tasks:
        for seed in range(SEEDS):
            _, state, _ = trained.load(task, seed, env.updates)
            found = directions.ends(trial.agent, state, env.task(task), steps=m, candidates=n)
            rows.append({"agent": method.name, "task": task, "seed": seed, **found})
    write_csv(joined(known, pd.DataFrame(rows)), file)
    add_to_manifest(out, file.name, command=_command(env.name))


def as_markdown(table: pd.DataFrame) -> str:
    """The tables of an environment's results.

    Args:
        table: ENVIRONMENT.csv.
    """
    parts = [_reported(table), _differences(table), _grids(table), _dials(table), _footer(table)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _reported(table: pd.DataFrame) -> str:
    """A row per method and reported setting: success of every task, and of all together."""
    rows, own = [], table[table.purpose == "reported"]
    tasks = sorted(own.task.unique())
    for (method, *setting), cell in own.groupby(SETTING, sort=False, dropna=False):
        cells = [_interval(cell[cell.task == task]) for task in tasks]
        whole = [_interval(cell)] if len(tasks) > 1 else []
        rows.append([method, _setting(*setting), *cells, *whole])
    head = ["method", "setting", *(f"task {task}" for task in tasks)]
    return markdown_table(head + ["all tasks"] * (len(tasks) > 1), rows)


SETTING = ["agent", "return_temperature", "steps", "candidates"]


def _setting(temperature: float, steps: int, candidates: int) -> str:
    tau = "" if pd.isna(temperature) else f", tau_R = {temperature:g}"
    return f"m = {steps}, N = {candidates}{tau}"


def _differences(table: pd.DataFrame) -> str:
    """A row per other method: EVOR minus it, at the chosen settings; and EVOR minus its mean."""
    own = table[table.purpose == "reported"]
    firsts = {method: _first_setting(cell) for method, cell in own.groupby("agent", sort=False)}
    if EVOR.name not in firsts:
        return ""
    others = {method: cell for method, cell in firsts.items() if method != EVOR.name}
    evor = own[own.agent == EVOR.name]
    if evor.return_temperature.nunique() > 1:
        others = {"EVOR, tau_R = inf": mean_readouts(evor), **others}
    rows = []
    for name, other in others.items():
        pair = firsts[EVOR.name].merge(other, on=["task", "seed"], suffixes=("", "_other"))
        rows.append([name, _interval(pair.assign(success=pair.success - pair.success_other), -1)])
    return markdown_table(["EVOR minus", "difference in success"], rows)


def _first_setting(cell: pd.DataFrame) -> pd.DataFrame:
    """The rows of the setting that stands first: the chosen one."""
    settings = cell[SETTING].fillna(-1)
    return cell[(settings == settings.iloc[0]).all(axis=1)]


def _grids(table: pd.DataFrame) -> str:
    """A row per method and tau_R, a column per (m, N), on the episodes of the choice."""
    own, rows = table[table.purpose == "choice"], []
    settings = sorted(set(zip(own.steps, own.candidates, strict=True)))
    for (method, tau), cell in own.groupby(SETTING[:2], sort=False, dropna=False):
        at = {key: _interval(part) for key, part in cell.groupby(["steps", "candidates"])}
        temperature = "" if pd.isna(tau) else f"{tau:g}"
        rows.append([method, temperature, *(at.get(setting, "") for setting in settings)])
    return markdown_table(["method", "tau_R", *(f"m = {m}, N = {n}" for m, n in settings)], rows)


def _dials(table: pd.DataFrame) -> str:
    """A row per dial and its value, the others where they are by default."""
    own, rows = table[table.purpose == "dials"], []
    if own.empty:
        return ""
    defaults = dials_of(preset("evor/pointmaze"))
    for dial, values in ONE_DIAL.items():
        rest = [name for name in ONE_DIAL if name != dial]
        alone = own[(own[rest] == pd.Series(defaults)[rest]).all(axis=1)]
        for value in values:
            cell = alone[alone[dial] == value].drop_duplicates(["task", "seed"])
            rows.append([dial, f"{value:g}", _interval(cell)])
    m, n = DIALS_SETTING
    return markdown_table(["EVOR's dial", "value", _setting(DIALS_AT, m, n)], rows)


def _interval(cell: pd.DataFrame, lowest: float = 0.0) -> str:
    """Mean success and its 95% interval over agents: one training seed's, for one task."""
    return mean_with_interval(cell.groupby(["task", "seed"]).success.mean(), lowest)


def _footer(table: pd.DataFrame) -> str:
    reported, tried = (table[table.purpose == purpose] for purpose in ("reported", "choice"))
    return (
        f"Success, with 95% intervals over agents ({table.seed.nunique()} training seeds of each "
        f"task, {table.updates.max():,} updates). Settings were chosen on task "
        f"{tried.task.iloc[0]}, with {tried.episodes.iloc[0]} episodes of each seed, which the "
        f"tables of tau_R and of EVOR's dials show; the reported ones are "
        f"{reported.episodes.iloc[0]} others of each seed and task. A method stands twice where "
        "its best read-out has a finite tau_R: at the best mean's setting, too."
    )


def _command(name: str) -> str:
    return experiment.command_of("evor", name)


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = parse_pieces(arguments, __doc__, ENVIRONMENTS, "evor", "environment")
    for name in pieces:
        run_environment(name, runs, out)


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
