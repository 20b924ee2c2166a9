"""`sorl-edu benchmark`: train and evaluate on whole suites, and put the table beside the paper's.

    for each environment of the suite:
        train (its tasks) x (seeds) agents at once, on one copy of the data
        keep every agent at 80%, 90% and 100% of the updates
        for each agent and each (steps m, candidates N): run episodes, write a row

The published protocol is 50 episodes at 800k, 900k and 1M updates, averaged. What was done is not
done again: training goes on from its checkpoint, and a row that is there is kept. So a benchmark
that is stopped, anywhere, ends with the same files as one that never was.

Sources: Espinosa-Dice et al., arXiv 2505.22866, and Park et al., arXiv 2502.02538 (FQL), whose
results these are: success in percent over 8 seeds and five tasks, as second-hand copies have them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import evaluation, plotting
from sorl_edu.agents import Agent
from sorl_edu.agents.agent import State
from sorl_edu.agents.presets import preset, preset_for
from sorl_edu.datasets.ogbench import OfflineDataset, load_tasks
from sorl_edu.errors import UnknownName, check
from sorl_edu.experiments.speed import TimedTraining, seconds
from sorl_edu.files import appearing, write_csv
from sorl_edu.inference import check_budget
from sorl_edu.progress import progress_bar
from sorl_edu.training import seed_keys, seed_state, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

TASKS = range(1, 6)
EVALUATED_AT = (0.8, 0.9, 1.0)  # of the updates


@dataclass(frozen=True)
class Environment:
    """An environment of a suite, with what others reached on it."""

    name: str
    """Of the dataset, without version: 'cube-single-play'."""
    published: tuple[tuple[str, float], ...] = ()
    """(method, success in percent)."""

    def task(self, number: int) -> str:
        return f"{self.name}-singletask-task{number}-v0"


def _published(name: str, sorl: float, fql: float) -> Environment:
    return Environment(name, (("SORL", sorl), ("FQL", fql)))


SUITES: dict[str, tuple[Environment, ...]] = {
    "ogbench-sorl": (
        _published("antmaze-large-navigate", 89, 79),
        _published("antmaze-giant-navigate", 9, 9),
        _published("humanoidmaze-medium-navigate", 64, 58),
        _published("humanoidmaze-large-navigate", 5, 4),
        _published("antsoccer-arena-navigate", 69, 60),
        _published("cube-single-play", 97, 96),
        _published("cube-double-play", 25, 29),
        _published("scene-play", 57, 56),
    ),
    "pointmaze": (Environment("pointmaze-medium-navigate"),),
}
"""The paper's forty tasks; and five of the course's maze, which two cores do in minutes."""


@dataclass(frozen=True)
class Plan:
    """What a benchmark does.

    Raises:
        UnknownName: no such suite or preset, or a task that the suite doesn't have.
        ConfigError: a number out of range.
    """

    suite: str = "ogbench-sorl"
    tasks: tuple[str, ...] = ()
    """Environments or single tasks of the suite, by name; all of it unless given."""
    seeds: int = 8
    updates: int = 1_000_000
    steps: tuple[int, ...] = (1, 2, 4, 8)
    candidates: tuple[int, ...] = (1, 8, 32)
    episodes: int = 50
    preset: str | None = None
    """Hyper-parameters of all environments; the published ones of each unless given."""
    checkpoint_every: int = 10_000

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise UnknownName("suite", self.suite, SUITES)
        for name in ("seeds", "updates", "episodes", "checkpoint_every"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1: {getattr(self, name)}")
        check(
            self.updates % 10 == 0,
            f"updates must be a multiple of 10, for the evaluations at 80% and 90%: {self.updates}",
        )
        check(min(len(self.steps), len(self.candidates)) > 0, "name steps and candidates")
        for m, n in self.settings:
            check_budget(m, n, self.episodes)
        known = {name for env in SUITES[self.suite] for name in (env.name, *map(env.task, TASKS))}
        for name in self.tasks:
            if name not in known:
                raise UnknownName("task", name, known)
        for env, _ in self.environments():
            self.agent(env)

    @property
    def settings(self) -> list[tuple[int, int]]:
        """(m, N), each once."""
        return list(dict.fromkeys(itertools.product(self.steps, self.candidates)))

    @property
    def evaluated_at(self) -> list[int]:
        """Updates after which agents are kept and evaluated."""
        return [round(self.updates * share) for share in EVALUATED_AT]

    def environments(self) -> Iterator[tuple[Environment, list[int]]]:
        """Each environment with the numbers of its tasks that are asked for."""
        for env in SUITES[self.suite]:
            chosen = [
                i for i in TASKS if not self.tasks or {env.name, env.task(i)} & set(self.tasks)
            ]
            if chosen:
                yield env, chosen

    def agent(self, env: Environment) -> Agent:
        return preset(self.preset or preset_for(f"{env.name}-v0"))


KEY = ["environment", "task", "seed", "updates", "steps", "candidates"]
COLUMNS = [*KEY, "episodes", "success", "return", "length"]


def run(
    plan: Plan,
    out: str | Path,
    *,
    data: str | Path | None = None,
    download: bool = True,
    progress: bool = True,
) -> pd.DataFrame:
    """Does what is missing of a plan in the folder `out`, and returns all its rows.

    `out` gets results.csv (a row per task, seed, updates, m and N, as they come), table.md, and for
    every environment a folder with the agents, history.csv, learning_curves.png and the training
    state.

    Raises:
        CheckpointError: `out` holds the training of another plan.
        DataError: a dataset is nowhere and can't be downloaded.
    """
    out = Path(out)
    for env, numbers in plan.environments():
        agent, folder = plan.agent(env), out / env.name
        names = [env.task(i) for i in numbers]
        datasets = load_tasks(names, folder=data, download=download, progress=progress)
        train(plan, agent, datasets, folder, progress=progress)
        evaluate(plan, env, numbers, folder, out / "results.csv", progress=progress)
        with appearing(out / "table.md") as beside:
            beside.write_text(as_markdown(plan, read_results(out / "results.csv")))
    return read_results(out / "results.csv")


def agent_file(folder: Path, task: str, seed: int, updates: int) -> Path:
    return folder / "agents" / f"{task}_seed{seed}_{updates}.safetensors"


def train(
    plan: Plan,
    agent: Agent,
    datasets: Sequence[OfflineDataset],
    folder: Path,
    *,
    progress: bool = True,
) -> None:
    """All seeds of all tasks at once; keeps them at each update that is evaluated."""
    members = list(itertools.product(range(len(datasets)), range(plan.seeds)))
    kept = set(plan.evaluated_at)
    files = [
        agent_file(folder, datasets[task].name, seed, updates)
        for task, seed in members
        for updates in plan.evaluated_at
    ]
    if all(file.exists() for file in files) and (folder / "history.csv").exists():
        return

    def keep(updates: int, states: State) -> None:
        if updates not in kept:
            return
        for i, (task, seed) in enumerate(members):
            dataset = datasets[task]
            info = AgentInfo(dataset.name, updates, seed, plan.preset, dataset.sha256)
            save_agent(
                agent_file(folder, dataset.name, seed, updates), agent, seed_state(states, i), info
            )

    every = np.gcd.reduce([plan.checkpoint_every, *plan.evaluated_at])
    result = train_seeds(
        agent,
        [dataset.train for dataset in datasets],
        updates=plan.updates,
        keys=seed_keys(seed for _, seed in members),
        tasks=[task for task, _ in members],
        log_every=int(np.gcd(every, 1000)),
        checkpoint_dir=folder,
        checkpoint_every=int(every),
        on_log=keep,
        progress=progress,
    )
    history = result.history
    of_member = history.seed.map(dict(enumerate(members)))
    history["task"] = [datasets[task].name for task, _ in of_member]
    history["seed"] = [seed for _, seed in of_member]
    seeds = history.groupby(["split", "seed", "update", "metric"], as_index=False).value.mean()
    plotting.save_figure(plotting.learning_curves(seeds), folder / "learning_curves.png")
    write_csv(history, folder / "history.csv")


def evaluate(
    plan: Plan,
    env: Environment,
    numbers: Sequence[int],
    folder: Path,
    results: Path,
    *,
    progress: bool = True,
) -> None:
    """Adds the rows that are missing to the results, one after the other."""
    rows = read_results(results).to_dict("records")
    done = {tuple(row[name] for name in KEY) for row in rows}
    wanted = [
        (env.name, number, seed, updates, m, n)
        for number, seed, updates in itertools.product(
            numbers, range(plan.seeds), plan.evaluated_at
        )
        for m, n in plan.settings
    ]
    missing = [key for key in wanted if key not in done]
    bar = progress_bar(
        total=len(wanted),
        initial=len(wanted) - len(missing),
        unit="cell",
        desc=env.name,
        show=progress,
    )
    with bar:
        for (_, number, seed, updates), keys in itertools.groupby(missing, lambda key: key[:4]):
            task = env.task(number)
            agent, state, _ = load_agent(agent_file(folder, task, seed, updates))
            for key in keys:
                m, n = key[4:]
                episodes, _ = evaluation.evaluate(
                    agent, state, task, steps=m, candidates=n, episodes=plan.episodes, seed=updates
                )
                means = episodes[["success", "return", "length"]].mean()
                rows.append(dict(zip(KEY, key, strict=True)) | {"episodes": plan.episodes, **means})
                write_csv(pd.DataFrame(rows, columns=COLUMNS), results)
                bar.update()


@dataclass(frozen=True)
class Estimate:
    """How long an environment of a plan will take on this machine, from a short measurement."""

    environment: str
    updates_per_second: float
    """Of all seeds and tasks together, in a step of each."""
    training: float
    """Seconds."""
    evaluation: float
    """Seconds; if every episode ran to its limit, as failures do."""


def estimate(
    plan: Plan, env: Environment, numbers: Sequence[int], *, updates: int = 40
) -> Estimate:
    """Measures a few updates and a few steps of an environment, and multiplies."""
    agent, task = plan.agent(env), env.task(numbers[0])
    size = evaluation.at_once(task, plan.episodes)
    robots = evaluation.make_environments(task, size)
    obs_dim, action_dim = robots[0].observation_space.shape[0], robots[0].action_space.shape[0]
    members = len(numbers) * plan.seeds
    training = TimedTraining(agent, obs_dim, action_dim, members, chunk=updates)
    rate = updates / training.seconds_per_chunk()
    one, key = seed_state(training.states, 0), jax.random.key(0)

    limit = robots[0].spec.max_episode_steps
    seconds_per_step = evaluation.seconds_per_step(task, plan.episodes)
    obs, cells, waves = jnp.zeros((size, obs_dim)), 0.0, math.ceil(plan.episodes / size)
    for m, n in plan.settings:
        act = partial(evaluation.act, agent, one, obs, key, steps=m, candidates=n)
        jax.block_until_ready(act())
        cells += waves * limit * (seconds(act) + seconds_per_step)
    evaluations = members * len(plan.evaluated_at)
    return Estimate(env.name, rate, plan.updates / rate, evaluations * cells)


def read_results(file: Path) -> pd.DataFrame:
    """The rows so far; none if there is no such file."""
    return pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)


def per_environment(results: pd.DataFrame) -> pd.DataFrame:
    """Success in percent of every environment and setting, by the published protocol.

    Returns:
        a row per (environment, steps, candidates): success, low, high (95%, Student's, over the
        seeds' means; of one seed NaN), seeds, tasks. A seed's mean is over its tasks and the
        evaluations at 80%, 90% and 100% of the updates.
    """
    rows = []
    for (env, m, n), cell in results.groupby(["environment", "steps", "candidates"], sort=False):
        seeds = 100 * cell.groupby("seed").success.mean()
        low, high = evaluation.t_interval(seeds)
        rows.append(
            {"environment": env, "steps": m, "candidates": n, "success": seeds.mean()}
            | {"low": np.maximum(low, 0.0), "high": np.minimum(high, 100.0)}
            | {"seeds": len(seeds), "tasks": cell.task.nunique()}
        )
    return pd.DataFrame(rows)


def best_setting(results: pd.DataFrame) -> pd.DataFrame:
    """The best (m, N) of every environment, chosen on other episodes than those it is told of.

    It is chosen on the evaluations before the last, which have other agents and other starts, and
    its success is that of the last one.

    Returns:
        a row per environment, with the columns of `per_environment`.
    """
    rows = []
    for _, cell in results.groupby("environment", sort=False):
        final = cell.updates == cell.updates.max()
        chosen = per_environment(cell[~final]).nlargest(1, "success").iloc[0]
        told = per_environment(cell[final])
        rows.append(told[(told.steps == chosen.steps) & (told.candidates == chosen.candidates)])
    return pd.concat(rows, ignore_index=True)


def as_markdown(plan: Plan, results: pd.DataFrame) -> str:
    """The table: an environment per row, our settings and then what others published."""
    means, best = per_environment(results), best_setting(results).set_index("environment")
    means = means.set_index(["environment", "steps", "candidates"])
    settings = [key for key in plan.settings if key in set(means.index.droplevel(0))]
    methods = list(dict.fromkeys(name for env in SUITES[plan.suite] for name, _ in env.published))
    head = ["environment", *(f"m = {m}, N = {n}" for m, n in settings), "chosen (m, N)"]
    head += [f"{method}, published" for method in methods]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for env in SUITES[plan.suite]:
        if env.name not in best.index:
            continue
        choice, published = best.loc[env.name], dict(env.published)
        cells = [_cell(means.loc[(env.name, m, n)]) for m, n in settings]
        cells.append(f"({choice.steps:g}, {choice.candidates:g}): {_cell(choice)}")
        cells += [f"{published[method]:g}" if method in published else "" for method in methods]
        lines.append("| " + " | ".join([env.name, *cells]) + " |")
    seeds, tasks = results.seed.nunique(), results.groupby("environment").task.nunique()
    lines += [
        "",
        f"Success in percent; mean and 95% interval over {seeds} seed(s), each the mean of "
        f"{tasks.min()} to {tasks.max()} task(s), {plan.episodes} episodes at each of "
        f"{', '.join(f'{u:,}' for u in sorted(results.updates.unique()))} updates. The chosen "
        "setting was best at the evaluations before the last, and is told of at the last.",
    ]
    return "\n".join(lines) + "\n"


def _cell(row: pd.Series) -> str:
    if np.isnan(row.low):
        return f"{row.success:.0f}"
    return f"{row.success:.0f} [{row.low:.0f}, {row.high:.0f}]"
