"""The training loop: batches drawn on the device, updates scanned, seeds vmapped, runs resumed.

    data -> device                                    # once
    for each chunk of updates:                        # one compiled call
        for u in chunk:                               # jax.lax.scan
            batch          = data.sample(key of u)
            state, metrics = agent.update(state, batch, another key of u)
        raise unless every metric is finite;  log;  checkpoint

Everything random in update u comes from the seed's key and u alone, so a run does not depend on
where it was interrupted: a killed run resumes from its last checkpoint and ends, bit for bit, where
the uninterrupted run ends.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.sharding import Mesh
from jaxtyping import Array, Int, Key, PRNGKeyArray, PyTree

from sorl_edu.agents.agent import Agent, Metrics, State
from sorl_edu.datasets.transitions import TaskSet, Transitions
from sorl_edu.errors import Divergence, check
from sorl_edu.progress import progress_bar
from sorl_edu.training.checkpoints import TrainingCheckpoint
from sorl_edu.training.devices import on_each_device, seed_mesh, shard
from sorl_edu.training.history import History

CHUNK = 100  # updates per compiled call: long enough to hide its cost, short enough for a live bar
VALIDATION_BATCHES = 8
INIT, TRAINING, VALIDATION = range(3)  # streams of a seed's key


class NonFiniteLoss(Divergence):
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
            f"update {state_update} is kept. Lower the learning rate or the weights of the losses, "
            "clip the gradient's norm, or look for extreme rewards in the data"
        )
        self.metric, self.update, self.seed = metric, update, seed
        self.state, self.state_update = state, state_update


@dataclass(frozen=True)
class Run:
    """A finished training: the state, and the tidy table of how it went (`history.History`).

    `seconds` is the time spent training, a resumed run's earlier sessions included. With
    `train_seeds`, every leaf of `state` has a leading axis of seeds; `seed_state(run.state, i)`
    selects one seed.
    """

    agent: Agent
    state: State
    history: pd.DataFrame
    seconds: float


def seed_keys(seeds: Iterable[int]) -> Key[Array, " seeds"]:
    """A key for each seed, as `train_seeds` takes them."""
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def seed_state(states: State, index: int) -> State:
    """One seed's state out of the stacked states of `train_seeds`."""
    return jax.tree.map(lambda leaf: leaf[index], states)


def train(agent: Agent, data: Transitions, *, updates: int, key: PRNGKeyArray, **options) -> Run:
    """Trains one agent; the options are the fields of `Training`."""
    run = train_seeds(agent, data, updates=updates, keys=key[None], **options)
    return Run(run.agent, seed_state(run.state, 0), run.history, run.seconds)


def train_seeds(
    agent: Agent,
    data: Transitions | Sequence[Transitions],
    *,
    updates: int,
    keys: Key[Array, " seeds"],
    **options,
) -> Run:
    """Trains one agent per key, all at once with vmap; each alone learns the same, up to rounding.

    The options are the fields of `Training`, which also says what is raised.
    """
    return Training(agent, data, updates, keys, **options).run()


@dataclass(frozen=True)
class Training:
    """A training run of several seeds.

    Raises:
        ConfigError: a count below 1, or tasks that don't fit the keys.
        DataError (`run`): tasks that are not on the same trajectories.
        CheckpointError (`run`): `checkpoint_dir` holds another run's state.
        NonFiniteLoss (`run`): a metric became NaN or infinite; the error carries the last good
            state, and so does the checkpoint if there is a `checkpoint_dir`.
    """

    agent: Agent
    """Hyper-parameters and update rule."""
    data: Transitions | Sequence[Transitions]
    """The dataset, held once for all seeds; or several tasks on the same trajectories (OGBench's
    five, say), which are trained at once."""
    updates: int
    """The number of updates in all; a resumed run counts those that it has."""
    keys: Key[Array, " seeds"]
    """A typed PRNG key for each seed."""
    tasks: Sequence[int] | None = None
    """The index of each seed's task; the first task unless given."""
    validation: Transitions | Sequence[Transitions] | None = None
    """A held-out split of the same tasks, whose losses are logged beside the training losses."""
    log_every: int = 1000
    """Updates between rows of the history."""
    checkpoint_dir: str | Path | None = None
    """Where the training state is kept; a run that finds its own resumes from it."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints; a multiple of `log_every`."""
    on_log: Callable[[int, State], None] | None = None
    """Called with (updates so far, a copy of the stacked state) at each logged update."""
    progress: bool = True
    """Show a progress bar."""

    def __post_init__(self) -> None:
        for name in ("updates", "log_every", "checkpoint_every"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        check(len(self.keys) >= 1, "number of keys must be at least 1, got 0")
        check(
            self.checkpoint_every % self.log_every == 0,
            f"checkpoint_every ({self.checkpoint_every}) must be a multiple of log_every "
            f"({self.log_every}), so that a checkpoint holds the whole history before it",
        )
        tasks, count = self.tasks, len(_as_tasks(self.data))
        check(
            (count == 1 if tasks is None else len(tasks) == len(self.keys)),
            f"tasks must give the index of each key's task: there are {len(self.keys)} keys and "
            f"{count} datasets, and tasks is {tasks}",
        )
        check(
            tasks is None or all(0 <= task < count for task in tasks),
            f"tasks are {tasks}; they index {count} datasets",
        )

    def run(self) -> Run:
        """Trains, from the beginning or from the checkpoint."""
        started, agent = time.perf_counter(), self.agent
        data, held_out = (_prepare(agent, split) for split in (self.data, self.validation))
        checkpoint = TrainingCheckpoint(self.checkpoint_dir, self.identity())
        state = init_seeds(agent, self.keys, data.shared)
        state, done, rows, before = checkpoint.resume(state, self.updates)
        history = History(rows)
        tasks = jnp.asarray([0] * len(self.keys) if self.tasks is None else self.tasks, jnp.int32)
        seeds = len(self.keys)
        mesh = seed_mesh(seeds)
        by_seed, (data, held_out) = shard(mesh, (state, self.keys, tasks), (data, held_out))
        state, keys, tasks = by_seed

        def own(by_seed: PyTree) -> PyTree:
            """A copy without the seeds that `shard` repeated."""
            return jax.tree.map(lambda leaf: jnp.copy(leaf[:seeds]), by_seed)

        def save(state: State) -> None:
            checkpoint.save(state, done, history.rows, before + time.perf_counter() - started)

        with progress_bar(
            total=self.updates, initial=done, unit="update", show=self.progress
        ) as bar:
            for stop in self.stops(done):
                good = own(state)  # `state` is donated to the next call
                state, metrics = run_chunk(agent, stop - done, state, data, keys, tasks, done, mesh)
                metrics = {name: np.asarray(values)[:seeds] for name, values in metrics.items()}
                try:
                    raise_unless_finite(metrics, state, done, good)
                except NonFiniteLoss:
                    save(good)
                    raise
                bar.update(stop - done)
                done = stop
                history.add(metrics)
                if done % self.log_every == 0 or done == self.updates:
                    losses = held_out and validation_losses(agent, state, held_out, keys, tasks)
                    means = history.log(done, losses and own(losses))
                    bar.set_postfix({name: f"{value:.3g}" for name, value in means.items()})
                    if self.on_log is not None:
                        self.on_log(done, own(state))
                if done % self.checkpoint_every == 0 or done == self.updates:
                    save(own(state))
        return Run(agent, own(state), history.table(), before + time.perf_counter() - started)

    def stops(self, done: int) -> Iterator[int]:
        """The updates at which a chunk ends."""
        while done < self.updates:
            periods = CHUNK, self.log_every
            done = min(self.updates, *((done // period + 1) * period for period in periods))
            yield done

    def identity(self) -> dict:
        """All that decides the result, to recognise a checkpoint by."""
        return {
            "agent": type(self.agent).__name__,
            "config": asdict(self.agent),
            "keys": jax.random.key_data(self.keys).tolist(),
            "tasks": None if self.tasks is None else list(map(int, self.tasks)),
            "data": fingerprint(self.data),
            "validation data": fingerprint(self.validation),
            "log_every": self.log_every,
        }


@partial(jax.jit, static_argnames="agent")
def init_seeds(agent: Agent, keys: Key[Array, " seeds"], data: Transitions) -> State:
    """Fresh states of every seed, stacked."""
    streams = jax.vmap(lambda key: jax.random.fold_in(key, INIT))(keys)
    return jax.vmap(agent.init, in_axes=(0, None))(streams, data)


@partial(jax.jit, static_argnames=("agent", "length", "mesh"), donate_argnames="states")
def run_chunk(
    agent: Agent,
    length: int,
    states: State,
    data: TaskSet,
    keys: Key[Array, " seeds"],
    tasks: Int[Array, " seeds"],
    first: int | Array,
    mesh: Mesh,
) -> tuple[State, Metrics]:
    """`length` updates of every seed; metrics are (seeds, length)."""

    def updates_of_one_seed(
        state: State, key: PRNGKeyArray, task: Array, data: TaskSet, first: Array
    ) -> tuple[State, Metrics]:
        def one_update(state: State, u: Array) -> tuple[State, Metrics]:
            batch_key, update_key, shared_key = draws(key, TRAINING, u)
            batch = data.sample(batch_key, agent.batch_size, task)
            return agent.update(state, batch, update_key, shared_key)

        return jax.lax.scan(one_update, state, first + jnp.arange(length))

    def updates_of_seeds(by_seed: tuple, shared: tuple) -> tuple[State, Metrics]:
        if len(by_seed[1]) > 1:
            return jax.vmap(lambda *one: updates_of_one_seed(*one, *shared))(*by_seed)
        # Alone, without vmap: matrix products in a batch of one are a third slower on a CPU.
        alone = updates_of_one_seed(*jax.tree.map(lambda leaf: leaf[0], by_seed), *shared)
        return jax.tree.map(lambda leaf: leaf[None], alone)

    return on_each_device(updates_of_seeds, mesh)((states, keys, tasks), (data, first))


@partial(jax.jit, static_argnames="agent")
def validation_losses(
    agent: Agent,
    states: State,
    data: TaskSet,
    keys: Key[Array, " seeds"],
    tasks: Int[Array, " seeds"],
) -> Metrics:
    """Mean losses on held-out batches, (seeds,) each; the batches are the same at every call."""

    def losses_of_one_seed(state: State, key: PRNGKeyArray, task: Array) -> Metrics:
        def one_batch(_: None, i: Array) -> tuple[None, Metrics]:
            batch_key, loss_key, shared_key = draws(key, VALIDATION, i)
            batch = data.sample(batch_key, agent.batch_size, task)
            return None, agent.losses(state, batch, loss_key, shared_key)

        metrics = jax.lax.scan(one_batch, None, jnp.arange(VALIDATION_BATCHES))[1]
        return jax.tree.map(jnp.mean, metrics)

    return jax.vmap(losses_of_one_seed)(states, keys, tasks)


def draws(
    key: PRNGKeyArray, stream: int, i: Array
) -> tuple[PRNGKeyArray, PRNGKeyArray, PRNGKeyArray]:
    """The keys of batch i of a stream: of its rows, of its update, and of what all seeds share.

    No seed has the shared key: the words of a seed's key begin with 0, these with 1.
    """
    shared = jax.random.wrap_key_data(jnp.array([1, 0], jnp.uint32))
    own, shared = (jax.random.fold_in(jax.random.fold_in(k, stream), i) for k in (key, shared))
    batch_key, update_key = jax.random.split(own)
    return batch_key, update_key, shared


def _as_tasks(data: Transitions | Sequence[Transitions]) -> Sequence[Transitions]:
    return [data] if isinstance(data, Transitions) else data


def _prepare(agent: Agent, data: Transitions | Sequence[Transitions] | None) -> TaskSet | None:
    if data is None:
        return None
    return TaskSet.create([agent.prepare(task) for task in _as_tasks(data)])


def raise_unless_finite(
    metrics: dict[str, np.ndarray], state: State, done: int, good: State
) -> None:
    """Raises NonFiniteLoss for the first metric of a chunk that is not finite, or for its state.

    A metric belongs to the state before its update; the last update shows in the state alone.
    """
    bad = {name: ~np.isfinite(values) for name, values in metrics.items()}
    first = {name: int(where.any(0).argmax()) for name, where in bad.items() if where.any()}
    if first:
        name = min(first, key=first.get)
        seed = int(bad[name][:, first[name]].argmax())
        raise NonFiniteLoss(name, done + first[name] + 1, seed, good, done)
    seeds, length = next(iter(metrics.values())).shape
    finite = np.asarray(_finite(state))[:seeds]
    if not finite.all():
        raise NonFiniteLoss("a parameter", done + length, int(finite.argmin()), good, done)


@jax.jit
@jax.vmap
def _finite(state: State) -> Array:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def fingerprint(data: Transitions | Sequence[Transitions] | State) -> int:
    """CRC-32 of a dataset's or a state's arrays, to detect a change on resume."""
    checksum = 0
    for leaf in jax.tree.leaves(data):
        checksum = zlib.crc32(np.asarray(leaf), checksum)
    return checksum
