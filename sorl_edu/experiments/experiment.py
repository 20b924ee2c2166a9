"""One experiment: train an agent on tasks and seeds, evaluate it at settings, keep what is done.

    train (tasks without agents) x (seeds) at once, on one copy of the data
    keep the agents after each number of updates that is evaluated
    for each agent and each setting (steps m, candidates N) without rows:
        run episodes, keep a row for each

A study is a table of experiments, and what it draws from their rows. `run` does only what is
missing, so an experiment that is stopped at any point ends, with the same call, with the same files
as one that was not:

    FOLDER/NAME/ENVIRONMENT/plan.json                                what the rows are of
    FOLDER/NAME/ENVIRONMENT/history.csv                              the losses while training
    FOLDER/NAME/ENVIRONMENT/task1_seed0_50000_steps8_N32.csv         a row per episode
    TRAININGS/ENVIRONMENT-HASH/50000/agents/task1_seed0_50000.safetensors

The hash is that of all that decides a training. Experiments with the same agent, data, seeds and
updates share it, whatever they evaluate; and a training begins with a shorter one, if there is one.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import math
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import evaluation
from sorl_edu.agents import Agent, dial_grid, with_dials, without_dials
from sorl_edu.agents.agent import State, check_dials
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.ogbench import OfflineDataset, load_tasks
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.make import parse_name
from sorl_edu.errors import CheckpointError, UnknownName, check
from sorl_edu.files import atomic_copy, atomic_write, write_csv
from sorl_edu.inference import check_budget
from sorl_edu.progress import progress_bar
from sorl_edu.training import checkpoints, seed_keys, seed_state, train_seeds
from sorl_edu.training.checkpoints import TRAINING_STATE, AgentInfo, load_agent, save_agent

PROTOCOL = (0.8, 0.9, 1.0)
"""The shares of the updates at which published agents are evaluated."""

CELL = ["agent", "environment", "task", "seed", "updates", "steps", "candidates"]
ROWS = [*CELL, "episode", "success", "return", "length"]
"""The columns of rows; a cell is one agent at one setting."""

HISTORY = ["split", "task", "seed", "update", "metric", "value"]

AgentKey = tuple[int, int, int]  # task, seed, updates


@dataclass(frozen=True)
class Collection:
    """A dataset that is collected on this machine."""

    episodes: int
    """Training episodes; a tenth as many more are for validation."""
    noise: float | None = None
    """Noise scale of the actions; the official one unless given."""

    def folder(self, parent: Path) -> Path:
        """Where the files of this collection are."""
        noise = "" if self.noise is None else f"_noise{self.noise}"
        return parent / f"data_{self.episodes}{noise}"

    def collect(self, dataset: str, parent: Path) -> Path:
        """Collects the dataset unless its files are there, and returns their folder."""
        folder = self.folder(parent)
        files = folder / f"{dataset}.npz", folder / f"{dataset}-val.npz"
        if not all(file.exists() for file in files):
            workers = os.cpu_count() or 1
            collect(dataset, folder, episodes=self.episodes, noise=self.noise, workers=workers)
        return folder


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An agent, what it learns from, and how it is evaluated.

    Raises:
        ConfigError: a number out of range.
        UnknownName: no such dataset.
    """

    name: str
    """The agent's name in the rows."""
    agent: Agent
    dataset: str
    """An OGBench dataset, such as cube-single-play-v0."""
    tasks: Sequence[int] = (0,)
    """OGBench's numbers, 1 to 5; 0 is the default task."""
    seeds: Sequence[int] = (0,)
    """Training seeds, all trained at once."""
    updates: int
    """Updates of each seed."""
    settings: Sequence[tuple[int, int]] = ()
    """(steps m, candidates N) to evaluate."""
    episodes: int = 50
    """Episodes of each agent at each setting."""
    evaluated_at: Sequence[float] = (1.0,)
    """Shares of the updates after which agents are evaluated."""
    evaluation_seed: int | None = None
    """Seed of start states and action noise; the number of updates unless given, so that each
    evaluation has its own."""
    snapshots: Sequence[int] = ()
    """More numbers of updates after which agents are kept."""
    recorded: int | None = None
    """The training seed whose observations are kept."""
    verifier: Callable[[Agent], Agent] | None = None
    """Replaces the trained agent in evaluations, by one that chooses otherwise, say."""
    transform: Callable[[Transitions], Transitions] | None = None
    """A named function of the data: agents learn from its result."""
    collection: Collection | None = None
    """Data to collect on this machine, instead of shipped or downloaded data."""
    validation: bool = False
    """Whether the losses of held-out episodes are logged, too."""
    log_every: int = 1000
    """Updates between rows of the history, at most."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped training resumes."""
    preset: str | None = None
    """The preset that the agent's settings began with."""
    about: str = ""
    """One line for readers."""

    def __post_init__(self) -> None:
        for name in ("tasks", "seeds", "evaluated_at", "snapshots"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "settings", tuple((m, n) for m, n in self.settings))
        for name in ("updates", "episodes", "log_every", "checkpoint_every"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1: {getattr(self, name)}")
        for name in ("tasks", "seeds", "settings"):
            values = getattr(self, name)
            check(len(set(values)) == len(values), f"{name} must differ: {values}")
        check(min(len(self.tasks), len(self.seeds)) > 0, "name at least one task and one seed")
        for share in self.evaluated_at:
            updates = share * self.updates
            check(
                0 < share <= 1 and math.isclose(updates, round(updates)),
                f"agents can't be evaluated at {share:g} of {self.updates} updates: that is no "
                "whole number of them",
            )
        check(
            all(1 <= updates <= self.updates for updates in self.snapshots),
            f"snapshots must be from 1 to {self.updates} updates: {self.snapshots}",
        )
        check(
            self.transform is None or "<" not in self.transform.__qualname__,
            "transform must be a named function of a module: its name identifies a training",
        )
        for m, n in self.settings:
            check_budget(m, n, self.episodes)
        for number in self.tasks:
            parse_name(self.task(number))

    @property
    def environment(self) -> str:
        """The dataset's name without its version, as in the rows."""
        return self.dataset.removesuffix("-v0")

    def task(self, number: int) -> str:
        """OGBench's name of the dataset with a task."""
        suffix = f"-task{number}" if number else ""
        return f"{self.environment}-singletask{suffix}-v0"

    @property
    def evaluated_agent(self) -> Agent:
        return self.verifier(self.agent) if self.verifier else self.agent

    @property
    def evaluated_updates(self) -> tuple[int, ...]:
        return tuple(round(share * self.updates) for share in self.evaluated_at)

    @property
    def kept_updates(self) -> tuple[int, ...]:
        """Numbers of updates after which agents are kept."""
        return tuple(sorted({*self.evaluated_updates, *self.snapshots, self.updates}))

    @property
    def log_period(self) -> int:
        """Updates between rows of the history: few enough to meet all that are kept."""
        return math.gcd(self.log_every, *self.kept_updates)

    def rows_folder(self, folder: str | Path) -> Path:
        """Where `run` keeps this experiment's rows."""
        return Path(folder) / self.name.replace(" ", "_") / self.environment

    def rows_file(self, folder: str | Path, key: AgentKey, setting: tuple[int, int]) -> Path:
        """The CSV of one agent at one setting.

        Beside it, as .npy, are the observations (episode, time, obs) of the `recorded` seed.

        Args:
            folder: as for `run`.
            key: (task, seed, updates).
            setting: (steps, candidates).
        """
        name = "task{}_seed{}_{}_steps{}_N{}.csv".format(*key, *setting)
        return self.rows_folder(folder) / name

    def facts(self) -> dict:
        """The experiment as JSON values, for a manifest."""
        values = vars(self) | {
            "agent": {"class": type(self.agent).__name__} | asdict(self.agent),
            "collection": self.collection and asdict(self.collection),
            "transform": _name_of(self.transform),
            "verifier": _name_of(self.verifier),
        }
        return checkpoints.as_json(values)

    def training_identity(self, dataset_sha256: str) -> dict:
        """All that decides what a training makes, but for its tasks and its length.

        Dials of test time have no part in it.
        """
        trained = replace(self, agent=without_dials(self.agent))
        names = "agent", "transform", "seeds", "validation"
        facts = {"dataset_sha256": dataset_sha256, "log_every": self.log_period}
        return facts | {name: trained.facts()[name] for name in names}

    def plan(self, dataset_sha256: str | None) -> dict:
        """All that rows of one folder must agree in, whatever the tasks and the settings."""
        names = "agent", "transform", "seeds", "updates", "verifier", "episodes", "evaluation_seed"
        facts = {"dataset_sha256": dataset_sha256}
        return facts | {name: self.facts()[name] for name in (*names, "collection")}


def _name_of(function: Callable | None) -> str | None:
    """Its module and name, the same whether the module was imported or run as a program."""
    if function is None:
        return None
    module = function.__module__
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if module == "__main__" and spec is not None:
        module = spec.name
    return f"{module}.{function.__qualname__}"


def grid(steps: Iterable[int], candidates: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Every (steps, candidates), each once, as an experiment's settings."""
    return tuple(dict.fromkeys(itertools.product(steps, candidates)))


def turned(planned: Experiment, dials: Mapping[str, float]) -> Experiment:
    """The experiment with dials of its agent turned, as its name says; it shares the training."""
    label = "".join(f" {name} {value:g}" for name, value in dials.items())
    agent = with_dials(planned.agent, **dials)
    return replace(planned, name=planned.name + label, agent=agent)


def over_dials(planned: Experiment, values: Iterable[tuple[str, float]]) -> list[Experiment]:
    """An experiment for every combination of values of dials; the experiment itself for none.

    Args:
        planned: what they differ from in dials and name alone, so that one training serves all.
        values: (dial, value), a dial as often as it has values.

    Raises:
        UnknownName, ConfigError: as `with_dials`.
    """
    return [turned(planned, dials) for dials in dial_grid(values)]


def parse_task(name: str) -> tuple[str, int]:
    """OGBench's name of a dataset with a task, as an experiment's `dataset` and task number.

    Raises:
        UnknownName, ConfigError: no such name, or one without a task.
    """
    dataset, _ = parse_name(name)
    number = re.search(r"-task(\d)-v0$", name)
    return dataset, int(number[1]) if number else 0


# ------------------------------------------------------------------------------------------ running


def run(
    experiment: Experiment,
    folder: str | Path,
    *,
    trainings: str | Path | None = None,
    progress: bool = True,
    **where,
) -> pd.DataFrame:
    """Trains and evaluates what is missing of an experiment.

    The options, and what is raised, are those of `train` and `evaluate`. Where all rows are there,
    no agent is needed: rows from another machine are taken as they are, if data and plan agree.

    Args:
        experiment: what to do.
        folder: where rows are kept; other experiments may have theirs there, too.
        trainings, where: as for `train`.
        progress: show progress bars.

    Returns:
        a row per agent, setting and episode: the columns of `ROWS`.
    """
    history = experiment.rows_folder(folder) / "history.csv"
    known = read_table(history, HISTORY)
    if set(experiment.tasks) <= set(known.task) and not _missing(experiment, folder):
        _load(experiment, folder, progress=progress, **where)
        return _concatenated(_files(experiment, folder).values())
    trained = train(experiment, folder, trainings=trainings, progress=progress, **where)
    write_csv(joined(known[~known.task.isin(experiment.tasks)], trained.history), history)
    return evaluate(experiment, trained.agents, folder, trained.dataset_sha256, progress=progress)


def check_experiment(
    experiment: Experiment, folder: str | Path, dataset_sha256: str | None = None
) -> None:
    """Raises what `run` would raise for the settings and the folder, without any work.

    Rows of a folder agree in agent, data, seeds, updates and episodes; tasks and settings may be
    added. Datasets are compared only where the SHA-256 is given.
    """
    for setting in experiment.settings:
        check_setting(experiment.agent, experiment.evaluated_agent, setting)
    place = experiment.rows_folder(folder)
    if any(place.glob("task*.csv")):
        check_plan(place, experiment.plan(dataset_sha256))


@functools.cache
def check_setting(agent: Agent, evaluated_agent: Agent, setting: tuple[int, int]) -> None:
    """Raises ConfigError if an agent can't act with a setting, without running it.

    Args:
        agent: whose states they are.
        evaluated_agent: that acts; the same unless an experiment has a verifier.
        setting: (steps, candidates).
    """
    steps, candidates = setting
    obs = jnp.zeros((1, 2))
    check_dials(evaluated_agent, _blank_state(agent), obs, steps=steps, candidates=candidates)


@functools.cache
def _blank_state(agent: Agent) -> State:
    return checkpoints.blank_state(agent, 2, 2)


def check_plan(place: Path, plan: Mapping[str, Any]) -> None:
    """Raises CheckpointError unless the plan of a folder is this one, a SHA-256 of None aside.

    Args:
        place: the folder; its file plan.json has what its results were made from.
        plan: the same of the results that are to be added.
    """
    remedy = f"Choose another folder, or delete '{place}' to start afresh"
    try:
        found = json.loads((place / "plan.json").read_bytes())
        check(isinstance(found, dict), "plan.json is no JSON object", ValueError)
    except (OSError, ValueError, RecursionError) as error:
        message = f"'{place}' holds results without a plan ({error}). {remedy}"
        raise CheckpointError(message) from None
    if plan["dataset_sha256"] is None:
        plan = {**plan, "dataset_sha256": found.get("dataset_sha256")}
    before, now = flatten(found), flatten(plan)
    differences = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    check(
        not differences,
        f"'{place}' holds results of another plan: {'; '.join(differences)}. {remedy}",
        CheckpointError,
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict:
    """Nested JSON objects as one, with dotted names."""
    flat = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        flat |= flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


# ----------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Trained:
    """The agents that an experiment trained, and how it went."""

    agents: Mapping[AgentKey, Path]
    """The file of each (task, seed, updates)."""
    history: pd.DataFrame
    """split, task, seed, update, metric, value."""
    seconds: float
    """The time spent training, whichever experiment did it."""
    dataset_sha256: str

    def load(self, task: int, seed: int, updates: int) -> tuple[Agent, State, AgentInfo]:
        """One agent, ready to act."""
        return load_agent(self.agents[task, seed, updates])


def train(
    experiment: Experiment,
    folder: str | Path,
    *,
    trainings: str | Path | None = None,
    data: str | Path | None = None,
    download: bool = True,
    progress: bool = True,
) -> Trained:
    """Trains what is missing of an experiment.

    Args:
        experiment: what to do.
        folder: where rows are kept, which must not be those of another plan.
        trainings: where agents and training states are kept, for experiments of several folders to
            share; `folder`/trainings unless given.
        data: folder in which to look for the dataset first. A `collection` is kept there; in
            `folder` unless given.
        download: whether a dataset that isn't on this machine may be downloaded.
        progress: show progress bars.

    Raises:
        ConfigError: a setting that the agent can't run.
        CheckpointError: `folder` holds rows of another plan, or a training state is damaged.
        DataError: the dataset is nowhere and can't be downloaded.
    """
    datasets, sha256 = _load(experiment, folder, data=data, download=download, progress=progress)
    identity = json.dumps(experiment.training_identity(sha256), sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    place = Path(trainings or Path(folder, "trainings")) / f"{experiment.environment}-{digest}"
    place /= str(experiment.updates)
    agents = {
        key: place / "agents" / "task{}_seed{}_{}.safetensors".format(*key)
        for key in itertools.product(experiment.tasks, experiment.seeds, experiment.kept_updates)
    }
    # A task without a row in the history is not trained: rows are written after everything else.
    history = read_table(place / "history.csv", HISTORY)
    lacking = [task for (task, *_), file in agents.items() if not file.exists()]
    if history.task.isin(lacking).any():
        history = history[~history.task.isin(lacking)]
        write_csv(history, place / "history.csv")
    missing = {task: datasets[task] for task in datasets if task not in set(history.task)}
    if missing:
        added = _train_tasks(experiment, missing, place, agents, progress)
        write_csv(joined(history, added), place / "history.csv")
        history = pd.read_csv(place / "history.csv")
    states = place.glob(f"*/{TRAINING_STATE}")
    return Trained(
        agents=agents,
        history=history[history.task.isin(experiment.tasks)],
        seconds=sum(checkpoints.read_metadata(state).get("seconds", 0) for state in states),
        dataset_sha256=sha256,
    )


def _train_tasks(
    experiment: Experiment,
    datasets: dict[int, OfflineDataset],
    place: Path,
    agents: Mapping[AgentKey, Path],
    progress: bool,
) -> pd.DataFrame:
    """Trains all seeds of these tasks at once, keeps the agents, and returns the history."""
    tasks, period = list(datasets), experiment.log_period
    members = list(itertools.product(tasks, experiment.seeds))
    folder = place / "_".join(["tasks", *map(str, tasks)])
    _prepare_state(
        folder, [key[2] for key in agents if key[0] in tasks and not agents[key].exists()]
    )

    def keep(updates: int, states: State) -> None:
        for i, (task, seed) in enumerate(members):
            if updates in experiment.kept_updates:
                name, sha256 = experiment.task(task), datasets[task].sha256
                info = AgentInfo(name, updates, seed, experiment.preset, sha256)
                state = seed_state(states, i)
                save_agent(agents[task, seed, updates], experiment.agent, state, info)

    transform = experiment.transform or (lambda data: data)
    validation = [transform(dataset.validation) for dataset in datasets.values()]
    history = train_seeds(
        without_dials(experiment.agent),
        [transform(dataset.train) for dataset in datasets.values()],
        updates=experiment.updates,
        keys=seed_keys(seed for _, seed in members),
        tasks=[tasks.index(task) for task, _ in members],
        validation=validation if experiment.validation else None,
        log_every=period,
        checkpoint_dir=folder,
        checkpoint_every=period * max(1, experiment.checkpoint_every // period),
        on_log=keep,
        progress=progress,
    ).history
    task, seed = np.array(members)[history.seed].T
    return history.assign(task=task, seed=seed)[HISTORY]


def _prepare_state(folder: Path, missing: list[int]) -> None:
    """Makes a training in `folder` begin before the first number of updates that is missing.

    A state beyond it is deleted. Without a state, that of a shorter training is copied.
    """
    state, first = folder / TRAINING_STATE, min(missing, default=math.inf)
    if state.exists() and updates_of(state) >= first:
        state.unlink()
    if not state.exists():
        others = folder.parent.parent.glob(f"*/{folder.name}/{TRAINING_STATE}")
        shorter = {updates_of(file): file for file in others if updates_of(file) < first}
        if shorter:
            atomic_copy(shorter[max(shorter)], state)


def updates_of(state: Path) -> int:
    """The number of updates that made a training state; 0 of a file that doesn't say."""
    updates = checkpoints.read_metadata(state).get("updates")
    return updates if isinstance(updates, int) else 0


def _load(
    experiment: Experiment,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    download: bool = True,
    progress: bool = True,
) -> tuple[dict[int, OfflineDataset], str]:
    """Each task's dataset, collected if it must be, and their SHA-256; raises as `train` does."""
    check_experiment(experiment, folder)
    if experiment.collection is not None:
        data = experiment.collection.collect(experiment.dataset, Path(data or folder))
    names = [experiment.task(number) for number in experiment.tasks]
    loaded = load_tasks(names, folder=data, download=download, progress=progress)
    check_experiment(experiment, folder, loaded[0].sha256)
    return dict(zip(experiment.tasks, loaded, strict=True)), loaded[0].sha256


# --------------------------------------------------------------------------------------- evaluation


def evaluate(
    experiment: Experiment,
    agents: Mapping[AgentKey, Path],
    folder: str | Path,
    dataset_sha256: str | None,
    *,
    progress: bool = True,
) -> pd.DataFrame:
    """The second half of `run`, whoever trained the agents.

    Args:
        experiment: its agent, tasks, seeds and updates are those of the files.
        agents: the file of each (task, seed, updates).
        folder: as for `run`.
        dataset_sha256: of the training data.
        progress: show a progress bar.

    Returns:
        a row per agent, setting and episode, as `run` does.

    Raises:
        ConfigError: a setting that the agent can't run.
        CheckpointError: `folder` holds rows of another plan, or an agent's file is damaged.
        DataError: an agent doesn't fit the environment.
    """
    check_experiment(experiment, folder, dataset_sha256)
    with atomic_write(experiment.rows_folder(folder) / "plan.json") as beside:
        beside.write_text(json.dumps(experiment.plan(dataset_sha256), indent=2))
    files, missing = _files(experiment, folder), _missing(experiment, folder)
    counts = {"total": len(files), "initial": len(files) - len(missing), "unit": "cell"}
    with progress_bar(**counts, desc=experiment.environment, show=progress) as bar:
        for key, cells in itertools.groupby(missing, lambda cell: cell[:3]):
            _, state, _ = load_agent(agents[key])
            for cell in cells:
                _evaluate_cell(experiment, state, cell, files[cell])
                bar.update()
    return _concatenated(files.values())


def _files(experiment: Experiment, folder: str | Path) -> dict[tuple[int, ...], Path]:
    """The file of rows of each (task, seed, updates, steps, candidates)."""
    keys = itertools.product(experiment.tasks, experiment.seeds, experiment.evaluated_updates)
    cells = itertools.product(keys, experiment.settings)
    return {(*key, *setting): experiment.rows_file(folder, key, setting) for key, setting in cells}


def _missing(experiment: Experiment, folder: str | Path) -> list[tuple[int, ...]]:
    """The cells whose rows, or whose recorded observations, are still to be made."""
    return [
        cell
        for cell, file in _files(experiment, folder).items()
        if not file.exists()
        or (cell[1] == experiment.recorded and not file.with_suffix(".npy").exists())
    ]


def _evaluate_cell(experiment: Experiment, state: State, cell: tuple[int, ...], file: Path) -> None:
    """Runs the episodes of one agent at one setting, and writes their rows."""
    task, seed, updates, m, n = cell
    episodes, recording = evaluation.evaluate(
        experiment.evaluated_agent,
        state,
        experiment.task(task),
        steps=m,
        candidates=n,
        episodes=experiment.episodes,
        seed=updates if experiment.evaluation_seed is None else experiment.evaluation_seed,
        record=seed == experiment.recorded,
    )
    if recording is not None:
        with atomic_write(file.with_suffix(".npy")) as beside, open(beside, "wb") as opened:
            np.save(opened, recording.observations)
    labels = zip(CELL, (experiment.name, experiment.environment, *cell), strict=True)
    write_csv(episodes.assign(**dict(labels))[ROWS], file)


def read_rows(folder: str | Path) -> pd.DataFrame:
    """All rows in a folder, whichever experiments made them; none if there is no such folder."""
    return _concatenated(sorted(Path(folder).glob("*/*/task*.csv")))


def _concatenated(files: Iterable[Path]) -> pd.DataFrame:
    types = dict.fromkeys(("success", "return", "length"), float)
    tables = [pd.read_csv(file, dtype=types) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=ROWS)


def joined(before: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """The rows of both tables; an empty one has no types to keep, but the first has its columns."""
    filled = [table for table in (before, added) if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else before


def read_table(file: Path, columns: list[str]) -> pd.DataFrame:
    """The table of a file; an empty one with these columns where there is none."""
    return pd.read_csv(file) if file.exists() else pd.DataFrame(columns=columns)


def cell_means(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per cell: the number of episodes, and their mean success, return and length."""
    cells = rows.groupby(CELL, sort=False, as_index=False)
    means = cells[["success", "return", "length"]].mean()
    means.insert(len(CELL), "episodes", cells.size()["size"])
    return means


# -------------------------------------------------------------------------------------- the studies


def pack_rows(folder: Path, file: Path) -> None:
    """Packs the tables and plans in a folder, but no agents; equal rows make equal files.

    With them a study goes on on another machine, where `run` trains and evaluates only what has no
    rows.
    """
    with atomic_write(file) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as packed:
        for source in sorted([*folder.rglob("*.csv"), *folder.rglob("plan.json")]):
            inside = source.relative_to(folder)
            if inside.parts[0] != "trainings":
                entry = zipfile.ZipInfo(inside.as_posix())
                packed.writestr(entry, source.read_bytes(), zipfile.ZIP_DEFLATED)


def unpack_rows(file: Path, folder: Path) -> None:
    """Puts packed rows, if there are any, where a study keeps its own, unless it has begun there.

    Raises:
        CheckpointError: the file is damaged.
    """
    if folder.exists() or not file.exists():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        with zipfile.ZipFile(file) as packed:
            packed.extractall(partial)
    except (zipfile.BadZipFile, zlib.error) as error:
        message = f"'{file}' is damaged ({error}). Restore it, or delete it to start afresh"
        raise CheckpointError(message) from None
    partial.rename(folder)


def command_of(study: str, piece: str, target: str | None = None) -> str:
    """What makes a piece of a study, for a manifest.

    Args:
        study: its module.
        piece: one of `parse_pieces`.
        target: of make; the study's name unless given.
    """
    return f"make {target or study}  # this one: python -m sorl_edu.experiments.{study} {piece}"


def parse_pieces(
    arguments: Sequence[str] | None, about: str, known: Iterable[str], name: str, kind: str
) -> tuple[list[str], Path, Path]:
    """The command line of a study: its pieces, and the folders of its runs and of its results.

    Returns:
        the names of the pieces, all of `known` unless some are named; the folder of all studies'
        runs (--runs); the folder of this study's results (--out).

    Raises:
        UnknownName: no such piece; `kind` is what one is called.
    """
    known = list(known)
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar=kind.upper(), help=", ".join(known))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where work is kept")
    parser.add_argument("--out", type=Path, default=Path("data") / name, help="where results go")
    options = parser.parse_args(arguments)
    for piece in options.pieces:
        if piece not in known:
            raise UnknownName(kind, piece, known)
    return options.pieces or known, options.runs, options.out
