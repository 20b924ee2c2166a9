"""The neural world of `make imitation`: a PointMaze, whose learner has a lesser body.

    python -m sorl_edu.experiments.imitation turned     # one body alone

The expert has a whole body and walks the shortest path; the learner's is one of
`environments.bodies`. In each step of the learner the same action is repeated. For each seed,

    BC       clones the expert's pairs; it takes no step
    MM, FILTER, GUITAR
             are `agents.GUITAR` with their own resets, and take equally many steps

and the last policy of each, which nothing selects, runs whole episodes from its own starts.
data/imitation/ gets, for each body,

    BODY.csv         a row for each learner, seed and stage: "lesson" rows are the whole episodes
                     from which the reward learned on the way, the "last" row is the result
    BODY_paths.npz   of each learner an episode of each seed's last policy: LEARNER has its
                     positions (seeds, time, 2), LEARNER_success whether it arrived

GUITAR's offline states are those of the course's PointMaze data.

Finished runs are kept in runs/, and one that is stopped resumes.
"""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from sorl_edu.agents import BC, Agent
from sorl_edu.agents.agent import Encoder, Network, Optimizer, State, act
from sorl_edu.agents.guitar import GUITAR, FallingOptimizer
from sorl_edu.datasets.mazes import shortest_path_episodes
from sorl_edu.datasets.ogbench import load
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.bodies import LESSER_POINTS, Body, EmbodiedWorlds
from sorl_edu.environments.worlds import Episodes, OGBenchWorlds, whole_episodes
from sorl_edu.experiments.experiment import command_of
from sorl_edu.experiments.tables import markdown_table, mean_with_interval
from sorl_edu.files import add_to_manifest, write_arrays, write_csv
from sorl_edu.imitation import ResetMixture, filter_resets, guitar, moment_matching
from sorl_edu.plotting.mazes import Trajectories
from sorl_edu.progress import progress_bar
from sorl_edu.training import train
from sorl_edu.training.interactive import Demonstrations, Interaction, InteractiveRun, Resets

TASK = "pointmaze-medium-navigate-singletask-task1-v0"
BODIES = ("turned", "drifting")
RESETS: dict[str, ResetMixture] = {
    "MM": moment_matching(),
    "FILTER": filter_resets(),
    "GUITAR": guitar(),
}
LEARNERS = ("BC", *RESETS)
SEEDS = range(8)

NETWORK = Network((64, 64))
ENCODER = Encoder(normalize=True, fourier_features=8)
STUDENT = GUITAR(
    policy=NETWORK,
    critic=Network((64, 64), layer_norm=True),
    reward=NETWORK,
    encoder=ENCODER,
    optimizer=Optimizer(5e-4, grad_clip_norm=0),
    tau=0.01,
    discount=0.97,
    slope=1.0,
    reward_optimizer=FallingOptimizer(1e-3, grad_clip_norm=0, halved_after=300),
)
CLONE = BC(policy=NETWORK, encoder=ENCODER, optimizer=Optimizer(1e-3, grad_clip_norm=0))
CLONING_UPDATES = 2000


@dataclass(frozen=True)
class Sizes:
    """How long everything takes."""

    repeat: int = 5
    """Environment steps in a step of the learner."""
    limit: int = 60
    """Steps of the learner in an episode; the expert needs 33."""
    expert_episodes: int = 3
    steps: int = 24_000
    """Of the learner, whole episodes for the reward included."""
    worlds: int = 8
    action_noise: float = 0.5
    lesson_every: int = 10
    """Rounds between the reward's lessons."""
    lesson_updates: int = 50
    offline_states: int = 5000
    episodes: int = 20
    """Of the last policy."""


SIZES = Sizes()


@dataclass(frozen=True)
class Run:
    """One learner with one body and seed."""

    body: str
    learner: str
    seed: int
    sizes: Sizes = SIZES

    @property
    def name(self) -> str:
        """It has everything that decides the results, so that another plan's are never read."""
        decides = repr((TASK, LESSER_POINTS[self.body], CLONE, STUDENT, CLONING_UPDATES, self))
        digest = hashlib.sha256(decides.encode()).hexdigest()[:12]
        return f"{self.body}_{self.learner}_{self.seed}_{digest}"

    def worlds(self, count: int) -> EmbodiedWorlds:
        """So many of the maze, as the learner acts in them and sees them."""
        sizes, body = self.sizes, LESSER_POINTS[self.body]
        return EmbodiedWorlds(OGBenchWorlds(TASK, count), body, sizes.limit, sizes.repeat)


def run_body(body: str, runs: Path, out: Path) -> None:
    """Does what is missing for a body, and writes what data/imitation/ gets of it."""
    folder, tables, paths = runs / "imitation" / "pointmaze", [], {}
    wanted = [Run(body, learner, seed, SIZES) for seed in SEEDS for learner in LEARNERS]
    for run in progress_bar(wanted, desc=f"imitation, {body}", unit="run"):
        table, path = finished(run, folder)
        tables.append(table)
        paths.setdefault(run.learner, []).append(path.positions[0])
        paths.setdefault(f"{run.learner}_success", []).append(path.success[0])
    table, file = f"{body}.csv", f"{body}_paths.npz"
    write_csv(pd.concat(tables, ignore_index=True), out / table)
    write_arrays({name: np.stack(rows) for name, rows in paths.items()}, out / file)
    facts = {
        "command": command_of("imitation", body),
        "hardware": f"{os.cpu_count()} CPU cores",
        "task": TASK,
        "sizes": asdict(SIZES),
        "seeds": list(SEEDS),
    }
    for made in (table, file):
        add_to_manifest(out, made, **facts)


def finished(run: Run, folder: Path) -> tuple[pd.DataFrame, Trajectories]:
    """The results of a run, which is done unless `folder` has them."""
    table, file = folder / f"{run.name}.csv", folder / f"{run.name}.npz"
    if not (table.exists() and file.exists()):
        rows, path = results(run, folder / "training" / run.name)
        write_arrays(asdict(path), file)
        write_csv(rows, table)
    with np.load(file, allow_pickle=False) as arrays:
        return pd.read_csv(table), Trajectories(**arrays)


def results(run: Run, folder: Path) -> tuple[pd.DataFrame, Trajectories]:
    """What comes of a run.

    Args:
        folder: where the training is kept.

    Returns:
        a row per lesson, and one of the last policy: body, learner, seed, stage, environment_steps,
        episodes, success, reward_gap; and the last policy's first episode.
    """
    sizes, body = run.sizes, LESSER_POINTS[run.body]
    shown = expert(sizes, run.seed)
    if run.learner == "BC":
        agent, state, lessons, steps = CLONE, clone(shown, body, run.seed), pd.DataFrame(), 0
    else:
        trained = practise(run, shown, folder)
        agent, state, steps = trained.agent, trained.state, sizes.repeat * trained.env_steps
        lessons = lessons_of(trained.history, sizes)
    episodes = episodes_of(run, agent, state)
    last = {
        "stage": "last",
        "environment_steps": steps,
        "episodes": sizes.episodes,
        "success": episodes.success.mean(),
    }
    table = pd.concat([lessons, pd.DataFrame([last])], ignore_index=True)
    labels = {"body": run.body, "learner": run.learner, "seed": run.seed}
    rows = pd.DataFrame(labels, index=table.index).join(table)
    path = episodes.states[:, :1, :2].swapaxes(0, 1).astype(np.float32)
    return rows, Trajectories(path, episodes.success[:1])


def lessons_of(history: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """A row per lesson of a training."""
    lessons = history[history.split == "lesson"]
    lessons = lessons.pivot_table("value", "update", "metric").reset_index()
    return pd.DataFrame(
        {
            "stage": "lesson",
            "environment_steps": sizes.repeat * lessons["update"].astype(int),
            "episodes": sizes.worlds,
            "success": lessons.success,
            "reward_gap": lessons.reward_gap,
        }
    )


def expert(sizes: Sizes, seed: int) -> Episodes:
    """What the expert shows."""
    limit, repeat = sizes.limit, sizes.repeat
    return shortest_path_episodes(TASK, sizes.expert_episodes, limit, seed, repeat)


def clone(shown: Episodes, body: Body, seed: int) -> State:
    """A clone of the expert, which sees what the body sees."""
    obs, actions = shown.pairs()
    return train(
        CLONE,
        as_data(body.view(obs), actions),
        updates=CLONING_UPDATES,
        key=jax.random.key(seed),
        progress=False,
    ).state


def as_data(obs: np.ndarray, actions: np.ndarray) -> Transitions:
    """Pairs as transitions without rewards, in which no data ends before the last one."""
    rows = len(obs)
    return Transitions.create(
        obs, actions, np.zeros(rows), np.ones(rows), np.arange(rows) == rows - 1
    )


def practise(run: Run, shown: Episodes, folder: Path) -> InteractiveRun:
    """Trains MM, FILTER or GUITAR."""
    sizes, body = run.sizes, LESSER_POINTS[run.body]
    obs, actions = shown.pairs()
    data, worlds = load(TASK).train, run.worlds(sizes.worlds)
    seen = as_data(body.view(np.asarray(data.observations)), np.asarray(data.actions))
    state = jax.jit(STUDENT.init)(jax.random.key(run.seed), STUDENT.prepare(seen))
    resets = Resets.of(
        RESETS[run.learner],
        shown.states[shown.running],
        offline_states(np.asarray(data.observations), sizes.offline_states, worlds, run.seed),
    )
    return Interaction(
        STUDENT,
        worlds,
        sizes.steps,
        seed=run.seed,
        action_noise=sizes.action_noise,
        resets=resets,
        demonstrations=Demonstrations(
            body.view(obs), actions, every=sizes.lesson_every, updates=sizes.lesson_updates
        ),
        checkpoint_dir=folder,
        progress=False,
    ).run(state)


def offline_states(
    positions: np.ndarray, count: int, worlds: EmbodiedWorlds, seed: int
) -> np.ndarray:
    """Some of the data's positions, at rest, as `Worlds.states` has them."""
    chosen = np.random.default_rng(seed).choice(len(positions), count, replace=False)
    rows = np.zeros((count, worlds.state_dim))
    rows[:, :2] = positions[chosen]
    return rows


def episodes_of(run: Run, agent: Agent, state: State) -> Episodes:
    """Whole episodes of an agent from its own starts, which no training had."""
    choose = functools.partial(act, agent, state, key=jax.random.key(0), steps=1, candidates=1)
    worlds = run.worlds(run.sizes.episodes)
    return whole_episodes(worlds, lambda obs, t: np.asarray(choose(obs)), 1000 + run.seed)


# ------------------------------------------------------------------------------------- the results


def last(rows: pd.DataFrame) -> pd.DataFrame:
    """Success of the last policies: a row per seed, a column per learner.

    Args:
        rows: of BODY.csv.
    """
    return rows[rows.stage == "last"].pivot(index="seed", columns="learner", values="success")


def as_markdown(tables: dict[str, pd.DataFrame]) -> str:
    """Success of every learner and what GUITAR has above it, a row per body, with 95% intervals.

    Args:
        tables: BODY.csv of each body.
    """
    rows = []
    for body, table in tables.items():
        found = last(table)
        cells = [mean_with_interval(found[learner]) for learner in LEARNERS]
        others = [
            mean_with_interval(found.GUITAR - found[learner], -1) for learner in LEARNERS[:-1]
        ]
        rows.append([body, *cells, *others])
    names = [f"GUITAR minus {learner}" for learner in LEARNERS[:-1]]
    return markdown_table(["body", *LEARNERS, *names], rows)
