"""`make finetuning`: what environment steps bring to an agent that has learned offline.

    python -m sorl_edu.experiments.finetuning pointmaze-medium-navigate     # one environment alone

    for SORL and FQL, and each training seed:
        train offline; evaluate with (m, N) = (1, 1) and with test-time scaling
        act with (1, 1), store, and update after each step; the dataset stays in the batches
        evaluate again, from the same starts

data/finetuning/ gets, for each environment,

    ENVIRONMENT.csv           a row per method, seed, setting and episode, before (env_steps 0) and
                              after
    ENVIRONMENT_online.csv    return and success of the episodes in which an agent learned
    ENVIRONMENT.md            tables of both

Finished work is kept in runs/, so a study that is stopped goes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents.agent import with_fresh_moments
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.ogbench import load
from sorl_edu.environments.worlds import OGBenchWorlds
from sorl_edu.evaluation import paired_difference, summarize
from sorl_edu.experiments import experiment
from sorl_edu.experiments.experiment import AgentKey, Experiment, Trained, parse_pieces
from sorl_edu.experiments.suites import SUITES, Environment
from sorl_edu.experiments.tables import markdown_table
from sorl_edu.files import add_to_manifest, atomic_write, write_csv
from sorl_edu.training import checkpoints, use_all_cores
from sorl_edu.training.interactive import Interaction

SEEDS, EPISODES, WORLDS = range(10), 50, 10
METHODS: Mapping[str, tuple[str, tuple[tuple[int, int], ...]]] = {
    "SORL": ("sorl", ((1, 1), (8, 8))),
    "FQL": ("fql", ((1, 1), (1, 8))),  # it acts in one step
}
"""A key of `AGENTS`, and the (m, N) of its evaluations."""


@dataclass(frozen=True)
class Plan:
    """How long agents learn in an environment."""

    env: Environment
    task: int
    """OGBench's number of the default task."""
    updates: int
    """Offline, of each seed."""
    env_steps: int
    """After that, with an update for each."""
    warm_up: int
    """Environment steps before the first update."""

    def offline(self, method: str) -> Experiment:
        """The training before the first environment step."""
        agent, settings = METHODS[method]
        name = self.env.preset_of(agent)
        return Experiment(
            name=method,
            agent=preset(name),
            preset=name,
            dataset=self.env.dataset,
            tasks=(self.task,),
            seeds=SEEDS,
            updates=self.updates,
            settings=settings,
            episodes=EPISODES,
            collection=self.env.collection,
            checkpoint_every=1000,
        )


COURSE = {env.name: env for env in SUITES["course"]}
PLANS = {
    plan.env.name: plan
    for plan in (
        Plan(COURSE["pointmaze-medium-navigate"], 1, 5_000, 20_000, warm_up=2_000),
        Plan(COURSE["cube-single-play"], 2, 50_000, 50_000, warm_up=5_000),
    )
}


def finetune(
    plan: Plan, trained: Trained, folder: Path, data: Path | None
) -> tuple[dict[AgentKey, Path], pd.DataFrame]:
    """The files of all seeds' agents after the environment steps, and their episodes on the way.

    What is done is not done again.
    """
    dataset = load(plan.env.task(plan.task), folder=data).train
    files, tables = {}, []
    for seed in SEEDS:
        key, own = (plan.task, seed, plan.updates), folder / f"seed{seed}_{plan.env_steps}"
        agent, state, info = trained.load(*key)
        fresh = with_fresh_moments(agent, state, jax.random.key(seed), agent.prepare(dataset))
        run = Interaction(
            agent,
            OGBenchWorlds(info.environment, WORLDS),
            env_steps=plan.env_steps,
            seed=seed,
            offline=dataset,
            warm_up=plan.warm_up,
            checkpoint_dir=own,
        ).run(fresh)
        files[key] = own / "agent.safetensors"
        notes = {"env_steps": run.env_steps}
        checkpoints.save_agent(files[key], agent, run.state, replace(info, notes=notes))
        online = run.history[run.history.split == "online"].rename(columns={"update": "env_steps"})
        tables.append(online[["env_steps", "metric", "value"]].assign(seed=seed))
    return files, pd.concat(tables, ignore_index=True)


def run_environment(name: str, runs: Path, out: Path) -> None:
    """Does what is missing in an environment, and writes its results after each method."""
    plan, folder = PLANS[name], runs / "finetuning" / name
    parent = data = None
    if plan.env.collection is not None:
        parent = runs / "robots"  # `make robots` has some
        data = plan.env.collection.folder(parent)
    episodes, online = [], []
    for method in METHODS:
        trial = plan.offline(method)
        trained = experiment.train(trial, folder, data=parent)
        before = experiment.evaluate(trial, trained.agents, folder, trained.dataset_sha256)
        files, on_the_way = finetune(plan, trained, folder / "online" / method, data)
        later = replace(trial, name=f"{method} after {plan.env_steps} steps")
        after = experiment.evaluate(later, files, folder, trained.dataset_sha256)
        episodes += [before.assign(env_steps=0), after.assign(env_steps=plan.env_steps)]
        episodes[-1]["agent"] = method
        online.append(on_the_way.assign(agent=method))
        write_results(plan, pd.concat(episodes), pd.concat(online), out)


def write_results(plan: Plan, episodes: pd.DataFrame, online: pd.DataFrame, out: Path) -> None:
    """The three files of an environment, with their entries in the manifest."""
    name = plan.env.name
    columns = ["agent", "seed", "env_steps", "steps", "candidates"]
    write_csv(episodes[[*columns, "episode", "success", "return", "length"]], out / f"{name}.csv")
    write_csv(online[["agent", "seed", "env_steps", "metric", "value"]], out / f"{name}_online.csv")
    with atomic_write(out / f"{name}.md") as beside:
        beside.write_text(as_markdown(episodes, online))
    facts = {
        "hardware": f"{os.cpu_count()} CPU cores",
        "env_steps": plan.env_steps,
        "worlds": WORLDS,
        "warm_up": plan.warm_up,
        "experiments": [plan.offline(method).facts() for method in METHODS],
    }
    command = experiment.command_of("finetuning", name)
    for file in (f"{name}.csv", f"{name}_online.csv", f"{name}.md"):
        add_to_manifest(out, file, command=command, **facts)


def as_markdown(episodes: pd.DataFrame, online: pd.DataFrame) -> str:
    """Success before and after, the paired difference, and success while learning.

    Args:
        episodes: ENVIRONMENT.csv; each setting has the same starts before and after.
        online: ENVIRONMENT_online.csv.
    """
    rows = episodes.rename(columns={"seed": "training_seed"})
    lines = []
    for (method, m, n), own in rows.groupby(["agent", "steps", "candidates"], sort=False):
        first, last = sorted(own.env_steps.unique())
        ends = {"better": {"env_steps": last}, "worse": {"env_steps": first}}
        gain = paired_difference(own, "success", **ends)
        cells = [_success(own[own.env_steps == steps]) for steps in (first, last)]
        cells.append("{difference:+.2f} [{low:+.2f}, {high:+.2f}]".format(**gain))
        lines.append([method, f"m = {m}, N = {n}", *cells])
    first, last = sorted(rows.env_steps.unique())
    head = ["method", "setting", "offline", f"after {last:,} environment steps", "difference"]
    seeds, count = rows.training_seed.nunique(), rows.episode.nunique()
    about = f"Success, with 95% intervals over {seeds} training seeds, {count} episodes of each."
    parts = [markdown_table(head, lines), about, _learning(online)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _success(own: pd.DataFrame) -> str:
    (row,) = summarize(own).to_dict("records")
    return "{success:.2f} [{success_low:.2f}, {success_high:.2f}]".format(**row)


def _learning(online: pd.DataFrame, parts: int = 5) -> str:
    """A row per method: success of the episodes that ended in each part of learning, - if none."""
    if online.empty:
        return ""
    rounds = online.pivot_table("value", ["agent", "seed", "env_steps"], "metric", sort=False)
    rounds = rounds.reset_index().assign(successes=lambda rows: rows.success * rows.episodes)
    last = rounds.env_steps.max()
    rounds["part"] = (rounds.env_steps - 1) * parts // last
    sums = rounds.groupby(["agent", "part"], sort=False)[["successes", "episodes"]].sum()
    shares = (sums.successes / sums.episodes).unstack()
    head = ["while learning, up to step", *(f"{last * (i + 1) // parts:,}" for i in range(parts))]
    lines = [
        [method, *(f"{row[part]:.2f}" if part in row.dropna() else "-" for part in range(parts))]
        for method, row in shares.iterrows()
    ]
    return markdown_table(head, lines)


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = parse_pieces(arguments, __doc__, PLANS, "finetuning", "environment")
    for name in pieces:
        run_environment(name, runs, out)


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
