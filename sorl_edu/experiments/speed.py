"""How fast this machine trains: for `make bench`, and for the estimate of a benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sorl_edu.agents import Agent
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.datasets.transitions import TaskSet
from sorl_edu.training import init_seeds, run_chunk, seed_keys, seed_mesh, shard


def seconds(call: Callable, repeats: int = 1) -> float:
    """The median time until the result of a call is ready."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@dataclass
class TimedTraining:
    """Training of some seeds on random data, compiled and run once, to be timed chunk by chunk.

    The speed does not depend on the data's values.
    """

    agent: Agent
    obs_dim: int
    action_dim: int
    seeds: int = 1
    chunk: int = 100
    """Updates (of every seed) that are timed together."""

    def __post_init__(self) -> None:
        data = random_transitions(self.obs_dim, self.action_dim)
        keys, tasks = seed_keys(range(self.seeds)), jnp.zeros(self.seeds, jnp.int32)
        states, prepared = init_seeds(self.agent, keys, data), self.agent.prepare(data)
        mesh, by_seed = seed_mesh(self.seeds), (states, keys, tasks)
        (self.states, keys, tasks), data = shard(mesh, by_seed, TaskSet.create([prepared]))
        self.inputs, self.done = (data, keys, tasks), 0
        start = time.perf_counter()
        lowered = run_chunk.lower(self.agent, self.chunk, self.states, *self.inputs, 0, mesh)
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - start
        self.seconds_per_chunk()  # the first one is slower

    def seconds_per_chunk(self) -> float:
        """The time of the next chunk of updates."""
        return seconds(self._run)

    def _run(self) -> dict:
        self.states, metrics = self.compiled(self.states, *self.inputs, self.done)
        self.done += self.chunk
        return metrics
