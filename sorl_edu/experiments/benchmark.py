"""`sorl-edu benchmark`: train and evaluate agents on a suite, beside the published table.

Each environment and agent is an experiment: all tasks and seeds are trained at once, and evaluated
after 80%, 90% and 100% of the updates with 50 episodes each. A success rate is the mean over these,
as published.

Sources: Espinosa-Dice et al., arXiv 2505.22866 (SORL), and Park et al., arXiv 2502.02538 (FQL):
success in percent over 8 seeds and five tasks, from second-hand copies of their tables. They used
OGBench before 1.2, whose rewards belong to the state after a step (success_timing="post" in OGBench
1.2); here, rewards belong to the state before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import plotting
from sorl_edu.agents.agent import HasCritic, act
from sorl_edu.agents.presets import preset, preset_for
from sorl_edu.environments.rollout import (
    make_environments,
    parallel_environments,
    seconds_per_step,
)
from sorl_edu.errors import CheckpointError, UnknownName, check
from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import experiment
from sorl_edu.experiments.experiment import PROTOCOL, Experiment, cell_means, grid, read_rows
from sorl_edu.experiments.speed import TimedTraining, seconds
from sorl_edu.files import atomic_write, write_csv
from sorl_edu.inference import check_budget
from sorl_edu.training import seed_state

TASKS = range(1, 6)
DEFAULT = "default"
"""Stands for each environment's own preset."""


CHOICE = ["agent", "environment", "steps", "candidates"]


@dataclass(frozen=True)
class Environment:
    """An environment of a suite, and what others published on it."""

    name: str
    """The dataset's, without its version: 'cube-single-play'."""
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
"""The paper's forty tasks; and the course's maze, whose five tasks take minutes on two cores."""


@dataclass(frozen=True)
class Plan:
    """A suite, and the experiments on it.

    Raises:
        UnknownName: no such suite or preset, or a task that the suite doesn't have.
        ConfigError: a number out of range, or no setting that an agent can run.
    """

    suite: str = "ogbench-sorl"
    """The paper's forty tasks, or 'pointmaze': five tasks that take a laptop minutes."""
    tasks: tuple[str, ...] = ()
    """Environments or single tasks of the suite, by name; the whole suite unless given."""
    seeds: int = 8
    """Training seeds of each task."""
    updates: int = 1_000_000
    """Updates per agent, which is evaluated after 80%, 90% and 100% of them."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Inference steps m, powers of two."""
    candidates: tuple[int, ...] = (1, 8, 32)
    """Numbers N of candidate actions; agents without a critic are evaluated at N = 1 alone."""
    episodes: int = 50
    """Episodes for each agent, evaluation and setting."""
    presets: tuple[str, ...] = (DEFAULT,)
    """Agents to compare, by preset; 'default' is each environment's own (published) preset."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped run resumes."""

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise UnknownName("suite", self.suite, SUITES)
        for name in ("seeds", "updates", "episodes", "checkpoint_every"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1: {getattr(self, name)}")
        check(
            self.updates % 10 == 0,
            f"updates must be a multiple of 10, for the evaluations at 80% and 90%: {self.updates}",
        )
        for name in ("steps", "candidates", "presets"):
            check(len(getattr(self, name)) > 0, "name steps, candidates and presets: at least one")
        for m, n in grid(self.steps, self.candidates):
            check_budget(m, n, self.episodes)
        known = {name for env in SUITES[self.suite] for name in (env.name, *map(env.task, TASKS))}
        for name in self.tasks:
            if name not in known:
                raise UnknownName("task", name, known)
        self.experiments()

    def experiments(self) -> list[Experiment]:
        """An experiment for each environment and agent."""
        return [
            self._experiment(env, name)
            for env in SUITES[self.suite]
            if self._tasks(env)
            for name in dict.fromkeys(self.presets)
        ]

    def _tasks(self, env: Environment) -> list[int]:
        return [i for i in TASKS if not self.tasks or {env.name, env.task(i)} & set(self.tasks)]

    def _experiment(self, env: Environment, name: str) -> Experiment:
        preset_name = preset_for(f"{env.name}-v0") if name == DEFAULT else name
        agent = preset(preset_name)
        candidates = [n for n in self.candidates if n == 1 or isinstance(agent, HasCritic)]
        check(
            len(candidates) > 0,
            f"'{preset_name}' has no critic to choose among candidates: add 1 to candidates",
        )
        return Experiment(
            name=type(agent).__name__ if name == DEFAULT else name,
            agent=agent,
            dataset=f"{env.name}-v0",
            tasks=self._tasks(env),
            seeds=range(self.seeds),
            updates=self.updates,
            settings=grid(self.steps, candidates),
            episodes=self.episodes,
            evaluated_at=PROTOCOL,
            checkpoint_every=self.checkpoint_every,
            preset=preset_name,
        )


def run(
    plan: Plan,
    out: str | Path,
    *,
    data: str | Path | None = None,
    download: bool = True,
    progress: bool = True,
) -> pd.DataFrame:
    """Does what is missing of a plan in the folder `out`.

    `out` gets results.csv and table.md, which cover all that was done there, and for each agent and
    environment a folder with its episodes, history.csv and learning_curves.png.

    Returns:
        results.csv: a row per agent, task, seed, updates, m and N, with the means of its episodes.

    Raises:
        CheckpointError: `out` holds rows of another plan.
        DataError: a dataset is nowhere and can't be downloaded.
    """
    out, experiments = Path(out), plan.experiments()
    for planned in experiments:
        experiment.check_experiment(planned, out)
    others = set(read_rows(out).agent) - {planned.name for planned in experiments}
    check(
        not others,
        f"'{out}' holds rows of another plan, with agents that this plan lacks: "
        f"{', '.join(sorted(others))}. Add them to presets to compare them, or choose another "
        "folder",
        CheckpointError,
    )
    for planned in experiments:
        experiment.run(planned, out, data=data, download=download, progress=progress)
        folder = planned.rows_folder(out)
        history = pd.read_csv(folder / "history.csv")
        seeds = history.groupby(["split", "seed", "update", "metric"], as_index=False).value.mean()
        plotting.save_figure(plotting.learning_curves(seeds), folder / "learning_curves.png")
        rows = read_rows(out)
        write_csv(cell_means(rows), out / "results.csv")
        with atomic_write(out / "table.md") as beside:
            beside.write_text(as_markdown(rows, plan.suite))
    return pd.read_csv(out / "results.csv")


@dataclass(frozen=True)
class Estimate:
    """How long an experiment takes on this machine, from a short measurement."""

    environment: str
    agent: str
    updates_per_second: float
    """Updates of all seeds and tasks together count as one."""
    training: float
    """Seconds."""
    evaluation: float
    """Seconds, if every episode runs to its time limit, as failures do."""


def estimate(planned: Experiment, *, updates: int = 40) -> Estimate:
    """Extrapolates from a few updates and a few environment steps."""
    agent, task = planned.agent, planned.task(planned.tasks[0])
    size = parallel_environments(task, planned.episodes)
    env = make_environments(task, size)[0]
    obs_dim, action_dim = env.observation_space.shape[0], env.action_space.shape[0]
    members = len(planned.tasks) * len(planned.seeds)
    training = TimedTraining(agent, obs_dim, action_dim, members, chunk=updates)
    rate = updates / training.seconds_per_chunk()

    state, obs, key = seed_state(training.states, 0), jnp.zeros((size, obs_dim)), jax.random.key(0)
    acting = 0.0
    for m, n in planned.settings:
        choose = partial(act, agent, state, obs, key, steps=m, candidates=n)
        jax.block_until_ready(choose())
        acting += seconds(choose)
    stepping = len(planned.settings) * seconds_per_step(task, planned.episodes)
    steps = math.ceil(planned.episodes / size) * env.spec.max_episode_steps
    evaluations = members * len(planned.evaluated_at)
    return Estimate(
        planned.environment,
        planned.name,
        updates_per_second=rate,
        training=planned.updates / rate,
        evaluation=evaluations * steps * (acting + stepping),
    )


def per_environment(results: pd.DataFrame) -> pd.DataFrame:
    """Success in percent of every agent, environment and setting, by the published protocol.

    Args:
        results: a row per episode, or per cell with the mean `success` of its episodes.

    Returns:
        a row per (agent, environment, steps, candidates): success, low, high (95%, as
        `evaluation.bounded_interval`, over agents: one training seed's for one task; NaN for one
        agent), seeds, tasks.
    """
    rows = []
    for key, cell in results.groupby(CHOICE, sort=False):
        agents = 100 * cell.groupby(["seed", "task"]).success.mean()
        several = len(agents) > 1
        interval = bounded_interval(agents, 0, 100) if several else (np.nan, np.nan)
        rows.append((*key, agents.mean(), *interval, cell.seed.nunique(), cell.task.nunique()))
    return pd.DataFrame(rows, columns=[*CHOICE, "success", "low", "high", "seeds", "tasks"])


def best_setting(results: pd.DataFrame) -> pd.DataFrame:
    """The best (m, N) of every agent and environment, selected on other episodes than reported.

    It is selected on the evaluations before the last, which have other agents and other starts, and
    its success is that of the last one.

    Returns:
        a row per agent and environment, with the columns of `per_environment`; none where only one
        evaluation was done.
    """
    last = results.groupby(["agent", "environment"]).updates.transform("max") == results.updates
    reported = per_environment(results[last])
    best = per_environment(results[~last]).sort_values("success", ascending=False, kind="stable")
    best = best.drop_duplicates(["agent", "environment"])
    return reported.merge(best[CHOICE])


def as_markdown(rows: pd.DataFrame, suite: str) -> str:
    """The table: a row per environment and agent, with every setting and what others published."""
    means = per_environment(rows).set_index(["environment", "agent", "steps", "candidates"])
    best = best_setting(rows).set_index(["environment", "agent"])
    settings = sorted(set(means.index.droplevel([0, 1])))
    methods = list(dict.fromkeys(method for env in SUITES[suite] for method, _ in env.published))
    head = ["environment", "agent", *(f"m = {m}, N = {n}" for m, n in settings), "selected (m, N)"]
    lines = [
        [*head, *(f"{method}, published" for method in methods)],
        ["---"] * len(head + methods),
    ]
    for env in SUITES[suite]:
        published = {method: f"{success:g}" for method, success in env.published}
        for agent in rows[rows.environment == env.name].agent.unique():
            places = [(env.name, agent, *setting) for setting in settings]
            line = [_cell(means.loc[place]) if place in means.index else "" for place in places]
            if (env.name, agent) in best.index:
                choice = best.loc[env.name, agent]
                line.append(f"({choice.steps:g}, {choice.candidates:g}): {_cell(choice)}")
            else:
                line.append("")
            line += [published.get(method, "") for method in methods]
            lines.append([env.name, agent, *line])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_footer(rows, published=bool(methods))}\n"


def _cell(row: pd.Series) -> str:
    if np.isnan(row.low):
        return f"{row.success:.0f}"
    return f"{row.success:.0f} [{row.low:.0f}, {row.high:.0f}]"


def _footer(rows: pd.DataFrame, *, published: bool) -> str:
    """How the numbers of a table came about, all from its rows."""
    groups = rows.groupby(["agent", "environment"])
    episodes = rows.groupby(experiment.CELL).size()
    updates = ", ".join(f"{number:,}" for number in sorted(rows.updates.unique()))
    return (
        "Success in percent; mean and 95% interval over the agents of "
        f"{_span(groups.seed.nunique())} seed(s) and {_span(groups.task.nunique())} task(s), with "
        f"{_span(episodes)} episode(s) at each of {updates} updates. The setting was selected on "
        "the evaluations before the last, and is reported on the last."
    ) + (
        " Published results are from OGBench before 1.2, whose rewards belong to the state after a "
        'step (success_timing="post").'
        if published
        else ""
    )


def _span(counts: pd.Series) -> str:
    least, most = counts.min(), counts.max()
    return f"{least}" if least == most else f"{least} to {most}"
