"""How fast training is on this machine: for `make bench`, and for a benchmark's estimate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from sorl_edu.agents import Agent
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.training import init_seeds, run_chunk, spread


def seconds(call: Callable, repeats: int = 1) -> float:
    """The median time of a call whose result is waited for."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@dataclass
class TimedTraining:
    """Training of some seeds on random data, compiled and run once, to be timed chunk by chunk.

    Speed does not depend on what is in the data.
    """

    agent: Agent
    obs_dim: int
    action_dim: int
    seeds: int = 1
    chunk: int = 100
    """Updates (of every seed) that are timed together."""

    def __post_init__(self) -> None:
        data = random_transitions(self.obs_dim, self.action_dim)
        keys = jax.random.split(jax.random.key(0), self.seeds)
        states = init_seeds(self.agent, keys, data)
        self.states, keys, _, data = spread(states, keys, None, self.agent.prepare(data))
        self.inputs, self.done = (data, keys), 0
        start = time.perf_counter()
        lowered = run_chunk.lower(self.agent, self.chunk, self.states, *self.inputs, 0)
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - start
        self.seconds_per_chunk()  # the first one is slower

    def seconds_per_chunk(self) -> float:
        return seconds(self._run)

    def _run(self) -> dict:
        self.states, metrics = self.compiled(self.states, *self.inputs, self.done)
        self.done += self.chunk
        return metrics
