"""`sorl-edu benchmark`: train and evaluate agents on a suite, beside the published table.

Each environment and agent is an experiment: all tasks and seeds are trained at once, and evaluated
after 80%, 90% and 100% of the updates with 50 episodes each. A success rate is the mean over these,
as published.

`suites` has the suites and the published results, `statistics` and `tables` what is made of rows,
and `tuning` chooses an agent's knob before its experiment, on other seeds and episodes.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd

from sorl_edu import plotting
from sorl_edu.agents import agent_class, dials_of, with_dials, without_dials
from sorl_edu.agents.agent import Agent, State, act
from sorl_edu.agents.dials import check_known
from sorl_edu.agents.presets import preset
from sorl_edu.environments.rollout import (
    make_environments,
    parallel_environments,
    seconds_per_step,
)
from sorl_edu.errors import CheckpointError, ConfigError, UnknownName, check
from sorl_edu.experiments import experiment, tuning
from sorl_edu.experiments.experiment import PROTOCOL, Experiment, cell_means, grid, read_rows
from sorl_edu.experiments.speed import TimedTraining, seconds
from sorl_edu.experiments.suites import SUITES, Environment
from sorl_edu.experiments.tables import as_markdown
from sorl_edu.files import atomic_write, write_csv
from sorl_edu.inference import check_budget
from sorl_edu.training import seed_state


@dataclass(frozen=True)
class Plan:
    """A suite, and the experiments on it.

    Raises:
        UnknownName: no such suite, agent or preset, or a task that the suite doesn't have.
        ConfigError: a number out of range.
    """

    suite: str = "ogbench-sorl"
    """The paper's forty tasks; 'course', fourteen tasks on data that are collected here; or
    'pointmaze', five tasks that take a laptop minutes."""
    tasks: tuple[str, ...] = ()
    """Environments or single tasks of the suite, by name; the whole suite unless given."""
    agents: tuple[str, ...] = ()
    """Agents to compare, each with its own preset for the environment; 'sorl' unless agents or
    presets are given."""
    presets: tuple[str, ...] = ()
    """More agents to compare, by preset."""
    seeds: int = 8
    """Training seeds of each task."""
    updates: int | None = None
    """Updates per agent, which is evaluated after 80%, 90% and 100% of them; the environment's own
    number unless given."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Inference steps m; an agent is evaluated at those that it can run: SORL, at powers of two."""
    candidates: tuple[int, ...] = (1, 8, 32)
    """Numbers N of candidate actions; agents without a critic are evaluated at N = 1 alone."""
    dials: tuple[tuple[str, float], ...] = ()
    """More dials, as NAME VALUE pairs, a name as often as it has values. An agent is evaluated at
    every combination of those that it has, under names that say so, after one training."""
    episodes: int = 50
    """Episodes for each agent, evaluation and setting."""
    tune: bool = False
    """Choose each agent's knob and setting first, on the default task, and count the episodes."""
    per_task: bool = False
    """Add a table with a row for each task, beside the published results."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped run resumes."""

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise UnknownName("suite", self.suite, SUITES)
        for name in ("seeds", "episodes", "checkpoint_every"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1: {getattr(self, name)}")
        check(
            self.updates is None or (self.updates >= 1 and self.updates % 10 == 0),
            "updates must be a multiple of 10, and at least 10, for the evaluations at 80% and "
            f"90%: {self.updates}",
        )
        for name in ("steps", "candidates"):
            check(len(getattr(self, name)) > 0, "name steps and candidates: at least one of each")
        for m, n in grid(self.steps, self.candidates):
            check_budget(m, n, self.episodes)
        check(not (self.tune and self.presets), "presets are taken as they are: tune agents alone")
        suite = SUITES[self.suite]
        known = {name for env in suite for name in (env.name, *map(env.task, env.tasks))}
        for name in self.tasks:
            if name not in known:
                raise UnknownName("task", name, known)
        for name in self.agents:
            agent_class(name)
        for env in self.environments():
            agents = [preset(name) for name in self.preset_names(env)]
            check_known(agents, [name for name, _ in self.dials])
            for agent, (name, value) in itertools.product(agents, self.dials):
                if name in dials_of(agent):
                    with_dials(agent, **{name: value})

    def environments(self) -> list[Environment]:
        """Those with a task in this plan."""
        return [env for env in SUITES[self.suite] if self._tasks(env)]

    def preset_names(self, env: Environment) -> list[str]:
        """The presets that are compared in an environment, each once."""
        agents = self.agents or (() if self.presets else ("sorl",))
        return list(dict.fromkeys([*map(env.preset_of, agents), *self.presets]))

    def experiments(self) -> list[Experiment]:
        """An experiment for each environment, agent and combination of its dials, at the settings
        that the agent can run.

        Raises:
            ConfigError: an agent can run none of the settings.
        """
        found = []
        for env in self.environments():
            for name in self.preset_names(env):
                planned = self._experiment(env, name)
                own = dials_of(planned.agent)
                values = [(dial, value) for dial, value in self.dials if dial in own]
                found += experiment.over_dials(planned, values)
        return found

    def _tasks(self, env: Environment) -> list[int]:
        named = set(self.tasks)
        return [i for i in env.tasks if not named or {env.name, env.task(i)} & named]

    def _experiment(self, env: Environment, name: str) -> Experiment:
        agent = preset(name)
        return Experiment(
            name=name if name in self.presets else type(agent).__name__,
            agent=agent,
            dataset=env.dataset,
            tasks=self._tasks(env),
            seeds=range(self.seeds),
            updates=self.updates or env.updates,
            settings=runnable(agent, self.steps, self.candidates),
            episodes=self.episodes,
            evaluated_at=PROTOCOL,
            collection=env.collection,
            checkpoint_every=self.checkpoint_every,
            preset=name,
        )


def runnable(
    agent: Agent, steps: Sequence[int], candidates: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The settings (m, N) of a grid at which an agent can act.

    Some have no critic to choose by, and some no number of steps. The m are those that it can run
    with the smallest N, and the N those that it can run with the first of these m.

    Raises:
        ConfigError: there is none; the message is the agent's.
    """
    fewest = min(candidates)
    possible = [m for m in steps if _refusal(agent, m, fewest) is None]
    if not possible:
        raise _refusal(agent, steps[0], fewest)
    return grid(possible, [n for n in candidates if _refusal(agent, possible[0], n) is None])


def _refusal(agent: Agent, steps: int, candidates: int) -> ConfigError | None:
    """The agent's own error for a setting that it can't run."""
    try:
        experiment.check_setting(agent, agent, (steps, candidates))
    except ConfigError as error:
        return error
    return None


def run(
    plan: Plan,
    out: str | Path,
    *,
    data: str | Path | None = None,
    download: bool = True,
    progress: bool = True,
    after_each: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Does what is missing of a plan in the folder `out`.

    `out` gets results.csv and table.md, which cover all that was done there, and for each agent and
    environment a folder with its episodes, history.csv and learning_curves.png. With `plan.tune`,
    tuning.csv has what was tried, and `out`/tuning its episodes. All of it is up to date after each
    experiment, when `after_each` is called.

    Returns:
        results.csv: a row per agent, task, seed, updates, m and N, with the means of its episodes.

    Raises:
        CheckpointError: `out` holds rows of another plan.
        ConfigError: an agent can run none of the settings.
        DataError: a dataset is nowhere and can't be downloaded.
    """
    out, experiments = Path(out), plan.experiments()
    tuned = experiment.read_table(out / "tuning.csv", tuning.COLUMNS) if plan.tune else None
    _check_folder(plan, experiments, out)
    for planned in experiments:
        place = data if planned.collection is None else data or out
        options = {"data": place, "download": download, "progress": progress}
        if plan.tune:
            found = _tune(planned, out, options)
            own = (tuned.agent == planned.name) & (tuned.environment == planned.environment)
            planned, tuned = found.experiment, experiment.joined(tuned[~own], found.table)
            write_csv(tuned, out / "tuning.csv")
        experiment.run(planned, out, **options)
        folder = planned.rows_folder(out)
        history = pd.read_csv(folder / "history.csv")
        seeds = history.groupby(["split", "seed", "update", "metric"], as_index=False).value.mean()
        plotting.save_figure(plotting.learning_curves(seeds), folder / "learning_curves.png")
        rows = read_rows(out)
        write_csv(cell_means(rows), out / "results.csv")
        with atomic_write(out / "table.md") as beside:
            text = as_markdown(rows, plan.suite, per_task=plan.per_task, tuned=tuned)
            beside.write_text(text)
        if after_each is not None:
            after_each()
    return pd.read_csv(out / "results.csv")


def _check_folder(plan: Plan, experiments: Sequence[Experiment], out: Path) -> None:
    """Raises CheckpointError if `out` holds rows of another plan.

    Rows of the same plan without its dials may be there: they are of the same trainings.
    """
    plain = replace(plan, dials=()).experiments() if plan.dials else []
    experiments = [*experiments, *plain]
    for planned in experiments:
        if plan.tune:
            tuning.check_tuning(planned, tuning.own_knob(planned), out / "tuning", out)
        else:
            experiment.check_experiment(planned, out)
    others = set(read_rows(out).agent) - {planned.name for planned in experiments}
    check(
        not others,
        f"'{out}' holds rows of another plan, with agents that this plan lacks: "
        f"{', '.join(sorted(others))}. Add them to agents or presets to compare them, or choose "
        "another folder",
        CheckpointError,
    )


def _tune(planned: Experiment, out: Path, options: dict) -> tuning.Tuned:
    """Tunes for an experiment, in a folder of its own; trainings are kept with the others."""
    trainings = out / "trainings"
    knob = tuning.own_knob(planned)
    return tuning.tune(planned, knob, out / "tuning", trainings=trainings, **options)


def workload(plan: Plan) -> list[tuple[Experiment, int]]:
    """The experiments of a plan, tuning included, and how many there are of each one's size."""
    work = []
    for planned in plan.experiments():
        trials = tuning.trials(planned, tuning.own_knob(planned)) if plan.tune else []
        work += [(trials[0][1], len(trials))] if trials else []
        work.append((planned, 1))
    return work


def print_estimate(work: Sequence[tuple[Experiment, int]]) -> None:
    """Prints how long experiments take on this machine, one by one and together.

    Args:
        work: as from `workload`.
    """
    print("From a short measurement on this machine:")
    training = evaluation = 0.0
    trained = set()
    for planned, times in work:
        guess = estimate(planned)
        identity = json.dumps(planned.training_identity(""), sort_keys=True)
        one = planned.dataset, planned.tasks, planned.updates, identity
        if one in trained:  # with other dials
            guess = replace(guess, training=0.0)
        trained.add(one)
        training += times * guess.training
        evaluation += times * guess.evaluation
        tuned = f" x {times} values to tune" if times > 1 else ""
        print(
            f"  {guess.environment}, {guess.agent}: {len(planned.tasks)} task(s) x "
            f"{len(planned.seeds)} seed(s){tuned} at {guess.updates_per_second:.3g} updates/s, "
            f"{times * guess.training / 3600:.2g} h; evaluation at most "
            f"{times * guess.evaluation / 3600:.2g} h",
            flush=True,
        )
    print(
        f"In total {training / 3600:.2g} h of training and at most {evaluation / 3600:.2g} h "
        "of evaluation, minus what is done already."
    )


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
    env = make_environments(task, 1)[0]
    obs_dim, action_dim = env.observation_space.shape[0], env.action_space.shape[0]
    members = len(planned.tasks) * len(planned.seeds)
    rate, state = _short_training(without_dials(agent), obs_dim, action_dim, members, updates)

    obs, key = jnp.zeros((size, obs_dim)), jax.random.key(0)
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


@functools.lru_cache(maxsize=1)  # experiments that differ in dials stand side by side
def _short_training(
    agent: Agent, obs_dim: int, action_dim: int, members: int, updates: int
) -> tuple[float, State]:
    """Updates per second of all members together, and the state of one of them."""
    training = TimedTraining(agent, obs_dim, action_dim, members, chunk=updates)
    rate = updates / training.seconds_per_chunk()
    return rate, seed_state(training.states, 0)
