"""`make course-data`: trains and measures what the course's notebooks show, into data/course/.

Every arm is one agent on the shipped PointMaze data, trained over several seeds:

    NAME.safetensors             one seed's agent
    NAME_history.csv             the losses of all seeds
    NAME_episodes.csv            all seeds' episodes over steps x N, from the same starts
    NAME_values.csv              the mean Q of each seed's critic at the start, for every m
    NAME_trajectories.npz        the positions of one seed's agent, at every setting (some arms)
    NAME_snapshots.safetensors   one seed's state while it learns (some arms)

and milliseconds.csv, the time of an action at every setting on the machine that measured it.
Finished work is kept in runs/, so a study that is stopped resumes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents.agent import Agent, HasCritic, act, propose, without
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.experiments.experiment import (
    Collection,
    Experiment,
    Trained,
    command_of,
    grid,
    parse_pieces,
    run,
    train,
)
from sorl_edu.files import add_to_manifest, write_arrays, write_csv
from sorl_edu.training import checkpoints, use_all_cores
from sorl_edu.training.checkpoints import save_agent

DATASET = "pointmaze-medium-navigate-v0"
EVALUATION_SEED = 1000
LOG_EVERY = 500
SHOWN_EPISODES, STRIDE = 16, 4  # trajectories keep every fourth position
SNAPSHOTS = (100, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6500, 8000, 10_000)
ALL = (1, 2, 4, 8, 16, 32)
SHOWN = {"sorl": 4}
"""The seed whose agent is shipped, where it is not 0: seed 4's success at N = 1 (0.2 to 0.6) is the
nearest to the mean of the eight, so that it shows neither a lucky agent nor a lost one."""


def without_terminals(data: Transitions) -> Transitions:
    """The same transitions, as code sees them that ignores the mask."""
    return data.replace(masks=jnp.ones_like(data.masks))


def _arm(name: str, about: str, agent: Agent | None = None, **changes) -> Experiment:
    defaults = {
        "agent": agent or preset("pointmaze"),
        "dataset": DATASET,
        "seeds": range(3),
        "updates": 10_000,
        "settings": grid((1, 8), (1, 32)),
        "episodes": 20,
        "evaluation_seed": EVALUATION_SEED,
        "log_every": LOG_EVERY,
        "checkpoint_every": 5000,
    }
    return Experiment(name=name, about=about, **(defaults | changes))


def _narrow(name: str, about: str, agent: Agent | None = None, **changes) -> Experiment:
    """An arm on data of little noise, whose actions stay near the way to the next place."""
    defaults = {
        "agent": agent or preset("pointmaze-narrow"),
        "collection": Collection(250, noise=0.1),
        "seeds": range(8),
    }
    return _arm(f"narrow{name}", about, **(defaults | changes))


EXPERIMENTS = {
    arm.name: arm
    for arm in (
        _narrow(
            "",
            "narrow data, the published weights, and Q's gradient through two steps at most",
            settings=grid((1, 2, 4, 8), (1, 4, 8, 32)),
            seeds=range(24),
            recorded=0,
        ),
        *(
            _narrow(f"_{name}", about, preset("pointmaze-narrow", **changes))
            for name, about, changes in (
                ("backprop_8", "M_BTT = 8 in place of 2", {"max_backprop_steps": 8}),
                ("consistency_100", "w_SC = 100 in place of 10", {"consistency_weight": 100.0}),
                (
                    "backprop_8_consistency_100",
                    "M_BTT = 8 in place of 2, and w_SC = 100 in place of 10",
                    {"max_backprop_steps": 8, "consistency_weight": 100.0},
                ),
                ("q_weight_50", "w_Q = 50 in place of 500", {"q_weight": 50.0}),
                ("q_weight_5000", "w_Q = 5,000 in place of 500", {"q_weight": 5000.0}),
                ("q_weight_50000", "w_Q = 50,000 in place of 500", {"q_weight": 50_000.0}),
            )
        ),
        _narrow(
            "_cloning",
            "behaviour cloning by flow matching, on narrow data",
            preset("pointmaze-bc"),
            settings=((1, 1), (8, 1)),
            recorded=0,
        ),
        _arm(
            "sorl",
            "lesson 3's agent, on broad data",
            settings=grid(ALL, ALL),
            seeds=range(8),
            recorded=SHOWN["sorl"],
            snapshots=SNAPSHOTS,
        ),
        _arm(
            "cloning",
            "behaviour cloning by flow matching",
            preset("pointmaze-bc"),
            settings=grid(ALL, (1,)),
            seeds=range(8),
            recorded=0,
        ),
        *(
            _arm(
                f"{weight}_{value:g}",
                f"{weight} {value:g} in place of {usual}",
                preset("pointmaze", **{weight: value}),
            )
            for weight, value, usual in (
                ("q_weight", 5.0, 500),
                ("q_weight", 5000.0, 500),
            )
        ),
        _arm(
            "one_step_returns",
            "1-step in place of 5-step returns",
            preset("pointmaze", n_step=1),
            snapshots=SNAPSHOTS,
        ),
        _arm("minimum", "the minimum of the two critics", preset("pointmaze", q_aggregation="min")),
        _arm(
            "blind_critic",
            "a critic without the number of steps as input",
            preset("pointmaze", critic_sees_steps=False),
        ),
        _arm(
            "no_terminals",
            "bootstraps through the goal: its mask is ignored",
            transform=without_terminals,
        ),
    )
}


def make(name: str, runs: Path, out: Path, **changes) -> None:
    """Trains and measures what is missing of an arm, and writes its files and manifest entries.

    Args:
        name: one of `EXPERIMENTS`.
        runs: the folder of all studies' runs.
        out: where the files go.
        changes: fields of the experiment to change, as in seeds=range(2), to be done sooner.
    """
    experiment = replace(EXPERIMENTS[name], **changes)
    print(f"{name} ({experiment.about})", flush=True)
    folder, trainings = runs / "course", runs / "trainings"
    rows = run(experiment, folder, trainings=trainings)
    trained = train(experiment, folder, trainings=trainings)
    shown = SHOWN.get(name, 0)
    agent, state, info = trained.load(0, shown, experiment.updates)
    seeds, facts = len(experiment.seeds), {"seed": shown}
    files = {f"{name}.safetensors": facts | {"updates": experiment.updates}}
    info = replace(info, preset=None, notes={"about": experiment.about})
    save_agent(out / f"{name}.safetensors", agent, state, info)

    history = trained.history.drop(columns="task")
    write_csv(history[history["update"] % LOG_EVERY == 0], out / f"{name}_history.csv")
    files[f"{name}_history.csv"] = {"seeds": seeds}

    episodes = rows.rename(columns={"seed": "training_seed"})
    columns = ["episode", "success", "return", "length", "training_seed", "steps", "candidates"]
    write_csv(episodes[columns], out / f"{name}_episodes.csv")
    files[f"{name}_episodes.csv"] = {"seeds": seeds, "episodes": experiment.episodes}

    if experiment.snapshots:
        file = f"{name}_snapshots.safetensors"
        files[file] = facts | {"updates": experiment.snapshots}
        states = [trained.load(0, shown, updates)[1] for updates in experiment.snapshots]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        kept = {"updates": experiment.snapshots}
        checkpoints.save_tree(out / file, without(stacked, "moments", "target"), kept)
    if experiment.recorded is not None:
        file = f"{name}_trajectories.npz"
        files[file] = facts | {"stride": STRIDE}
        write_arrays(trajectories(experiment, folder, rows), out / file)
    if isinstance(agent, HasCritic):
        write_csv(promised_values(experiment, trained), out / f"{name}_values.csv")
        files[f"{name}_values.csv"] = {"seeds": seeds}

    for file, more in files.items():
        command = command_of("course", name, "course-data")
        declared = {"experiment": experiment.facts(), "dataset_sha256": trained.dataset_sha256}
        add_to_manifest(out, file, command=command, about=experiment.about, **declared, **more)


def trajectories(experiment: Experiment, folder: Path, rows: pd.DataFrame) -> dict:
    """The recorded seed's positions and successes at every setting, by the names of the file."""
    arrays, seed = {}, experiment.recorded
    for m, n in experiment.settings:
        cell = rows[(rows.seed == seed) & (rows.steps == m) & (rows.candidates == n)]
        file = experiment.rows_file(folder, (0, seed, experiment.updates), (m, n))
        observations = np.load(file.with_suffix(".npy"), allow_pickle=False)
        arrays[f"m{m}_N{n}"] = thin(observations[:SHOWN_EPISODES])
        arrays[f"m{m}_N{n}_success"] = cell.success.to_numpy()[:SHOWN_EPISODES].astype(bool)
    return arrays


def thin(positions: np.ndarray) -> np.ndarray:
    """Every fourth position and each episode's last, (episode, time, 2) in half precision."""
    thinned = []
    for episode in positions:
        path = episode[np.isfinite(episode[:, 0])]
        thinned.append(np.concatenate([path[:-1:STRIDE], path[-1:]]))
    longest = max(map(len, thinned))
    padded = [np.pad(t, ((0, longest - len(t)), (0, 0)), constant_values=np.nan) for t in thinned]
    return np.asarray(padded, np.float16)


def promised_values(experiment: Experiment, trained: Trained, samples: int = 256) -> pd.DataFrame:
    """Mean Q at the start of the task, for the actions of every seed's m-step policy."""
    start = jnp.asarray(maze_geometry(experiment.task(0)).start, jnp.float32)
    obs, key = jnp.broadcast_to(start, (samples, 2)), jax.random.key(0)
    rows = []
    for seed in experiment.seeds:
        agent, state, _ = trained.load(0, seed, experiment.updates)
        for m in (1, 2, 4, 8):
            q = propose(agent, state, obs, key, steps=m, candidates=1).q
            rows.append({"training_seed": seed, "steps": m, "q": float(q.mean())})
    return pd.DataFrame(rows)


def measure_milliseconds(out: Path, repeats: int = 200) -> None:
    """The median time to choose an action for one observation, at every setting."""
    agent, state, info = checkpoints.load_agent(out / "sorl.safetensors")
    obs = jnp.asarray([maze_geometry(info.environment).start], jnp.float32)
    rows = []
    for m, n in grid(ALL, ALL):
        times = []
        for i in range(repeats + 1):
            started = time.perf_counter()
            act(agent, state, obs, jax.random.key(i), steps=m, candidates=n).block_until_ready()
            times.append(time.perf_counter() - started)
        rows.append({"steps": m, "candidates": n, "milliseconds": 1e3 * np.median(times[1:])})
    write_csv(pd.DataFrame(rows), out / "milliseconds.csv")
    add_to_manifest(
        out,
        "milliseconds.csv",
        command=command_of("course", "milliseconds", "course-data"),
        hardware="2 CPU cores",
    )


def main(arguments: list[str] | None = None) -> None:
    known = [*EXPERIMENTS, "milliseconds"]
    pieces, runs, out = parse_pieces(arguments, __doc__, known, "course", "piece")
    for name in pieces:
        if name == "milliseconds":
            measure_milliseconds(out)
        else:
            make(name, runs, out)


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
