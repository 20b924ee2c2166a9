"""`make bench`: what the library's speed is on this machine, beside what the README promises.

Ratios matter more than times: an update's share of the matrix-product ceiling is measured in the
same run as the ceiling. Writes runs/bench/speed.csv.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu.agents import SORL
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.evaluation import act
from sorl_edu.files import write_csv
from sorl_edu.presets import preset
from sorl_edu.training import init_seeds, run_chunk

CASES = {
    "paper size": (SORL(), 28, 5, 11.0),
    "course size": (SORL(field_hidden=(128,) * 3, critic_hidden=(128,) * 3), 2, 2, 170.0),
    "demo preset": (preset("pointmaze"), 2, 2, None),
}


def seconds(call: Callable, repeats: int = 5) -> float:
    """The median time of a call whose result is waited for."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def ceiling(width: int = 2048) -> float:
    """Floating-point operations per second of a large float32 matrix product."""
    a = jax.random.normal(jax.random.key(0), (width, width))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    return 2 * width**3 / seconds(lambda: product(a))


def operations_per_update(agent: SORL, obs_dim: int, action_dim: int) -> float:
    """Multiplications and additions in the matrix products of one update, on average over m.

    A forward pass is 1 unit; a backward pass to parameters and inputs is 2 more, to inputs alone 1.
    """
    features = obs_dim + 2 * agent.fourier_features

    def forward(widths: list[int]) -> float:
        return 2 * agent.batch_size * sum(a * b for a, b in itertools.pairwise(widths))

    field = forward([features + action_dim + 2, *agent.field_hidden, action_dim])
    steps_input = int(agent.critic_sees_steps)
    critic = agent.critics * forward([features + action_dim + steps_input, *agent.critic_hidden, 1])
    drawn = [2**level for level in range(agent.max_backprop_steps.bit_length())]
    m = sum(drawn) / len(drawn)
    td = m * field + critic + 3 * critic  # a', the target critic, the critic and its gradient
    q = 3 * m * field + 2 * critic  # the policy's gradient through m steps and the critic
    flow = 3 * field
    consistency = 3 * field + 2 * field  # the two half steps of the target
    return td + q + flow + consistency


def bench_updates(peak: float, updates: int = 100) -> list[dict]:
    rows = []
    for name, (agent, obs_dim, action_dim, promise) in CASES.items():
        data = random_transitions(obs_dim, action_dim)
        prepared, keys = agent.prepare(data), jax.random.split(jax.random.key(0), 1)
        state = init_seeds(agent, keys, data)
        start = time.perf_counter()
        compiled = run_chunk.lower(agent, updates, state, prepared, keys, 0).compile()
        compile_time = time.perf_counter() - start
        times = []
        for repeat in range(4):
            start = time.perf_counter()
            state, _ = jax.block_until_ready(compiled(state, prepared, keys, repeat * updates))
            times.append(time.perf_counter() - start)
        rate = updates / float(np.median(times[1:]))
        share = rate * operations_per_update(agent, obs_dim, action_dim) / peak
        rows += [
            row(f"{name}: updates", rate, "1/s", promise, "at least"),
            row(f"{name}: share of the matrix-product ceiling", 100 * share, "%"),
            row(f"{name}: compile time of training", compile_time, "s"),
        ]
    return rows


def bench_act() -> list[dict]:
    agent, obs_dim, action_dim, _ = CASES["course size"]
    state = agent.init(jax.random.key(0), random_transitions(obs_dim, action_dim, 200))
    rows = []
    for batch in (1, 64):
        obs = jnp.zeros((batch, obs_dim))
        for steps, candidates in ((1, 1), (8, 1), (8, 32)):

            def call(obs=obs, steps=steps, candidates=candidates):
                return act(agent, state, obs, jax.random.key(0), steps=steps, candidates=candidates)

            jax.block_until_ready(call())
            name = f"course size: act, {steps} steps, N = {candidates}, {batch} observation(s)"
            rows.append(row(name, 1000 * seconds(call, 50), "ms"))
    return rows


def row(what: str, measured: float, unit: str, promise: float | None = None, how: str = "") -> dict:
    return {
        "what": what,
        "measured": measured,
        "unit": unit,
        "promise": "" if promise is None else f"{how} {promise:g}",
        "kept": "" if promise is None else ("yes" if measured >= promise else "NO"),
    }


def main(out: Path) -> None:
    peak = ceiling()
    print(f"{platform.processor() or platform.machine()}, jax {jax.__version__}, {jax.devices()}")
    rows = [row("matrix-product ceiling (2048 x 2048, float32)", peak / 1e9, "GFLOP/s")]
    rows += bench_updates(peak) + bench_act()
    table = pd.DataFrame(rows)
    write_csv(table, out / "speed.csv")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    main(parser.parse_args().out)
