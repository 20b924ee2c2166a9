"""The training loop: batches drawn on the device, updates scanned, seeds vmapped, runs resumed.

    data -> device                                    # once
    for each chunk of updates:                        # one compiled call
        for u in chunk:                               # jax.lax.scan
            key_u    = fold_in(key, u)
            batch    = data.sample(key_u)
            state, metrics = agent.update(state, batch, key_u)
        check that every metric is finite;  log;  checkpoint

Everything random in update u comes from fold_in(key, u), so a run does not depend on where it was
interrupted: a killed run goes on from its last checkpoint and ends, bit for bit, where the
uninterrupted run ends.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Int, Key, PRNGKeyArray

from sorl_edu.agents.agent import Agent, Metrics, State
from sorl_edu.datasets.transitions import Batch, TaskSet, Transitions
from sorl_edu.errors import CheckpointError, check
from sorl_edu.progress import progress_bar
from sorl_edu.training import checkpoints

CHUNK = 100  # updates per compiled call: long enough to hide its cost, short enough for a live bar
SHARED_SEED = 0
RESUME_FILE = "training_state.safetensors"
HISTORY = ["split", "seed", "update", "metric", "value"]  # columns


class NonFiniteLoss(RuntimeError):
    """A metric became NaN or infinite.

    Attributes:
        metric: its name.
        update: the update, counted from 1, after which it was seen.
        seed: which of the seeds trained together.
        state, state_update: the last good state, and the number of updates that made it.
    """

    def __init__(self, metric: str, update: int, seed: int, state: State, state_update: int):
        super().__init__(
            f"{metric} became NaN or infinite at update {update} (seed {seed}); the state after "
            f"update {state_update} is kept. Lower learning_rate or q_weight, set grad_clip_norm, "
            "or look for extreme rewards in the data"
        )
        self.metric, self.update, self.seed = metric, update, seed
        self.state, self.state_update = state, state_update


@dataclass(frozen=True)
class Run:
    """What training leaves: the state and the tidy table of how it went.

    `history` has a row per (split, seed, update, metric, value); a value is the mean over the
    updates since the last logged one ("train"), or over a few batches ("validation"). `seconds` are
    those of training, with what a resumed run took before it was stopped. With `train_seeds`, every
    leaf of `state` has a leading seed axis; `seed_state(run.state, i)` takes one seed's out.
    """

    agent: Agent
    state: State
    history: pd.DataFrame
    seconds: float


def seed_keys(seeds: Iterable[int]) -> Key[Array, " seeds"]:
    """A key of each seed, for `train_seeds`."""
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def seed_state(states: State, index: int) -> State:
    """One seed's state out of the stacked states of `train_seeds`."""
    return jax.tree.map(lambda leaf: leaf[index], states)


def train(
    agent: Agent,
    data: Transitions,
    *,
    updates: int,
    key: PRNGKeyArray,
    **options,
) -> Run:
    """Trains one agent; the options are those of `train_seeds`."""
    run = train_seeds(agent, data, updates=updates, keys=key[None], **options)
    return Run(run.agent, seed_state(run.state, 0), run.history, run.seconds)


def train_seeds(
    agent: Agent,
    data: Transitions | Sequence[Transitions],
    *,
    updates: int,
    keys: Key[Array, " seeds"],
    tasks: Sequence[int] | None = None,
    validation: Transitions | Sequence[Transitions] | None = None,
    log_every: int = 1000,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 10_000,
    on_log: Callable[[int, State], None] | None = None,
    progress: bool = True,
) -> Run:
    """Trains one agent per key, all at once with vmap; one alone learns the same, up to rounding.

    Args:
        agent: hyper-parameters and update rule.
        data: what to learn from; it is held once, whatever the number of seeds. Several tasks on
            the same trajectories (OGBench's five, say) are trained at once: a sequence.
        updates: how many, in all (a resumed run counts those it has).
        keys: (seeds,) typed PRNG keys.
        tasks: with a sequence, the index of each seed's task.
        validation: a held-out split whose losses are logged beside the training ones, of the same
            tasks.
        log_every: updates between rows of the history.
        checkpoint_dir: where the training state is kept; a run that finds its own goes on from it.
        checkpoint_every: updates between checkpoints.
        on_log: called with (updates so far, stacked state) at each logged update, for snapshots.
        progress: show a progress bar.

    Raises:
        ConfigError: a count below 1, or tasks that don't go with the keys.
        DataError: tasks that are not on the same trajectories.
        CheckpointError: `checkpoint_dir` holds another run's state.
        NonFiniteLoss: a metric became NaN or infinite; the last good state comes with it, and is
            the checkpoint's if there is a `checkpoint_dir`.
    """
    for name, value in (
        ("updates", updates),
        ("log_every", log_every),
        ("checkpoint_every", checkpoint_every),
        ("number of keys", len(keys)),
    ):
        check(value >= 1, f"{name} must be at least 1, got {value}")
    check(
        checkpoint_every % log_every == 0,
        f"checkpoint_every ({checkpoint_every}) must be a multiple of log_every ({log_every}), so "
        "that a checkpoint holds the whole history before it",
    )
    several = not isinstance(data, Transitions)
    check(
        several == (tasks is not None) and (tasks is None or len(tasks) == len(keys)),
        "a sequence of tasks needs `tasks`, the index of each key's; one dataset takes none",
    )
    check(
        tasks is None or all(0 <= task < len(data) for task in tasks),
        f"tasks are {tasks}; they index {len(data)} datasets",
    )
    started = time.perf_counter()
    identity = {
        "agent": type(agent).__name__,
        "config": asdict(agent),
        "keys": jax.random.key_data(keys).tolist(),
        "data": _fingerprint(data),
        "validation data": _fingerprint(validation),
        "log_every": log_every,
    }
    if several:
        identity["tasks"] = list(tasks)
        tasks = jnp.asarray(tasks, jnp.int32)
    prepared = _prepare(agent, data)
    held_out = None if validation is None else _prepare(agent, validation)

    state = init_seeds(agent, keys, data[0] if several else data)
    done, history, before = 0, [], 0.0
    resume_file = None if checkpoint_dir is None else Path(checkpoint_dir) / RESUME_FILE
    if resume_file is not None and resume_file.exists():
        state, done, history, before = _resume(resume_file, state, identity)
        check(
            done <= updates,
            f"{resume_file} has {done} updates already, more than the {updates} asked for",
            CheckpointError,
        )

    state, keys, tasks, prepared, held_out = spread(state, keys, tasks, prepared, held_out)
    pending: list[dict[str, np.ndarray]] = []

    def save(state: State) -> None:
        metadata = {
            "updates": done,
            "history": history,
            "identity": identity,
            "seconds": before + time.perf_counter() - started,
        }
        checkpoints.save_tree(resume_file, state, metadata)

    bar = progress_bar(total=updates, initial=done, unit="update", show=progress, smoothing=0.1)
    try:
        while done < updates:
            length = _next_stop(done, updates, CHUNK, log_every) - done
            good = jax.tree.map(jnp.copy, state)  # `state` is donated to the call
            state, metrics = run_chunk(agent, length, state, prepared, keys, done, tasks)
            metrics = {name: np.asarray(value) for name, value in metrics.items()}
            try:
                _check_finite(metrics, state, done, good)
            except NonFiniteLoss:
                if resume_file is not None:
                    save(good)
                raise
            done += length
            pending.append(metrics)
            bar.update(length)
            if done % log_every == 0 or done == updates:
                means = {
                    name: np.concatenate([chunk[name] for chunk in pending], axis=1).mean(1)
                    for name in metrics
                }
                pending.clear()
                history += _rows("train", done, means)
                if held_out is not None:
                    losses = _validation_losses(agent, state, held_out, keys, tasks)
                    history += _rows("validation", done, losses)
                bar.set_postfix({name: f"{value.mean():.3g}" for name, value in means.items()})
                if on_log is not None:
                    on_log(done, state)
            if resume_file is not None and (done % checkpoint_every == 0 or done == updates):
                save(state)
    finally:
        bar.close()
    table = pd.DataFrame(history, columns=HISTORY)
    return Run(agent, state, table, before + time.perf_counter() - started)


@partial(jax.jit, static_argnames="agent")
def init_seeds(agent: Agent, keys: Key[Array, " seeds"], data: Transitions) -> State:
    """Fresh states of every seed, stacked."""
    return jax.vmap(agent.init, in_axes=(0, None))(keys, data)


@partial(jax.jit, static_argnames=("agent", "length"), donate_argnames="states")
def run_chunk(
    agent: Agent,
    length: int,
    states: State,
    data: Transitions | TaskSet,
    keys: Key[Array, " seeds"],
    first: int | Array,
    tasks: Int[Array, " seeds"] | None = None,
) -> tuple[State, Metrics]:
    """`length` updates of every seed; metrics come back as (seeds, length)."""

    def updates_of_one_seed(
        state: State, key: PRNGKeyArray, task: Array | None
    ) -> tuple[State, Metrics]:
        def one_update(state: State, u: jax.Array) -> tuple[State, Metrics]:
            batch_key, update_key = jax.random.split(jax.random.fold_in(key, u))
            shared_key = jax.random.fold_in(jax.random.key(SHARED_SEED), u)
            batch = _sample(data, batch_key, agent.batch_size, task)
            return agent.update(state, batch, update_key, shared_key)

        return jax.lax.scan(one_update, state, first + jnp.arange(length))

    if len(keys) > 1:
        return jax.vmap(updates_of_one_seed)(states, keys, tasks)
    # Alone, without vmap: matrix products in a batch of one are a quarter slower on a CPU.
    task = None if tasks is None else tasks[0]
    alone = updates_of_one_seed(seed_state(states, 0), keys[0], task)
    return jax.tree.map(lambda leaf: leaf[None], alone)


VALIDATION_BATCHES = 8


@partial(jax.jit, static_argnames="agent")
def _validation_losses(
    agent: Agent,
    states: State,
    data: Transitions | TaskSet,
    keys: Key[Array, " seeds"],
    tasks: Int[Array, " seeds"] | None,
) -> Metrics:
    """Mean losses on held-out batches, (seeds,) each; the batches are the same at every call."""

    def of_one_seed(state: State, key: PRNGKeyArray, task: Array | None) -> Metrics:
        def one_batch(_: None, i: jax.Array) -> tuple[None, Metrics]:
            batch_key, loss_key = jax.random.split(jax.random.fold_in(key, i))
            shared_key = jax.random.fold_in(jax.random.key(SHARED_SEED), i)
            batch = _sample(data, batch_key, agent.batch_size, task)
            return None, agent.losses(state, batch, loss_key, shared_key)

        metrics = jax.lax.scan(one_batch, None, jnp.arange(VALIDATION_BATCHES))[1]
        return jax.tree.map(jnp.mean, metrics)

    return jax.vmap(of_one_seed)(states, keys, tasks)


def _prepare(agent: Agent, data: Transitions | Sequence[Transitions]) -> Transitions | TaskSet:
    if isinstance(data, Transitions):
        return agent.prepare(data)
    return TaskSet.create([agent.prepare(task) for task in data])


def _sample(
    data: Transitions | TaskSet, key: PRNGKeyArray, batch_size: int, task: Array | None
) -> Batch:
    if task is None:
        return data.sample(key, batch_size)
    return data.sample(key, batch_size, task)


def _next_stop(done: int, updates: int, *periods: int) -> int:
    """The next update at which a period ends, or the last one."""
    return min([updates, *((done // period + 1) * period for period in periods)])


def _check_finite(metrics: dict[str, np.ndarray], state: State, done: int, good: State) -> None:
    """Raises NonFiniteLoss for the first metric of a chunk to go bad, or for what the chunk made.

    A metric tells of the state before its update: what the last one made, only the state shows.
    """
    bad = {name: ~np.isfinite(values) for name, values in metrics.items()}
    first = {name: int(where.any(0).argmax()) for name, where in bad.items() if where.any()}
    if first:
        name = min(first, key=first.get)
        seed = int(bad[name][:, first[name]].argmax())
        raise NonFiniteLoss(name, done + first[name] + 1, seed, good, done)
    finite = np.asarray(_finite(state))
    if not finite.all():
        length = len(next(iter(metrics.values()))[0])
        raise NonFiniteLoss("a parameter", done + length, int(finite.argmin()), good, done)


@jax.jit
@jax.vmap
def _finite(state: State) -> Array:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _rows(split: str, done: int, metrics: dict[str, np.ndarray | Array]) -> list[tuple]:
    return [
        (split, seed, done, name, float(value))
        for name, values in metrics.items()
        for seed, value in enumerate(np.asarray(values))
    ]


def _fingerprint(data: Transitions | Sequence[Transitions] | None) -> int:
    """A checksum of a dataset, to know it again."""
    checksum = 0
    for leaf in jax.tree.leaves(data):
        checksum = zlib.crc32(np.asarray(leaf), checksum)
    return checksum


def _resume(file: Path, like: State, identity: dict) -> tuple[State, int, list[tuple], float]:
    """The state, the updates that made it, their history and their seconds."""
    metadata = checkpoints.read_metadata(file)
    theirs, done, history, seconds = (
        metadata.get(name) for name in ("identity", "updates", "history", "seconds")
    )
    check(
        isinstance(theirs, dict)
        and isinstance(done, int)
        and done >= 0
        and isinstance(seconds, int | float)
        and isinstance(history, list)
        and all(isinstance(row, list) and len(row) == len(HISTORY) for row in history),
        f"{file} is damaged: its metadata describe no training",
        CheckpointError,
    )
    differing = [name for name in identity if theirs.get(name) != checkpoints.plain(identity[name])]
    if differing:
        raise CheckpointError(
            f"{file} is the checkpoint of another run: its {', '.join(differing)} differ(s). "
            "Choose another checkpoint_dir, or delete this one to start afresh"
        )
    state = checkpoints.load_tree(file, like)
    return state, done, [tuple(row) for row in history], seconds


def learning_curve(history: pd.DataFrame, metric: str, split: str = "train") -> pd.DataFrame:
    """One metric of the history: update by seed."""
    rows = history[(history.metric == metric) & (history.split == split)]
    known = sorted(history.metric.unique())
    check(len(rows) > 0, f"no {split} metric '{metric}'; there are {', '.join(known)}")
    return rows.pivot(index="update", columns="seed", values="value")


def updates_per_second(run: Run) -> float:
    """Updates of all seeds per second of wall time, compilation included."""
    total = run.history["update"].max() * run.history["seed"].nunique()
    return total / run.seconds if run.seconds else math.nan
