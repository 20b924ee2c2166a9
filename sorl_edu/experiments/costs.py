"""What each agent costs at paper size: updates, time and network passes per action, parameters.

    python -m sorl_edu.experiments.costs

All agents have the sizes of their published defaults and random data of the widths of cube-single
(28 and 5), and are measured in one run, in turns: a slow moment of the machine falls on all.
Writes data/baselines/costs.csv.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import act, without
from sorl_edu.experiments.speed import TimedTraining, seconds
from sorl_edu.files import add_to_manifest, write_csv
from sorl_edu.inference import network_evaluations
from sorl_edu.progress import progress_bar
from sorl_edu.training import seed_state, use_all_cores

OBS_DIM, ACTION_DIM = 28, 5

SETTINGS: dict[str, tuple[int, int]] = {
    "sorl": (8, 1),
    "flow_bc": (10, 1),
    "fawac": (10, 1),
    "fbrac": (10, 1),
    "idql": (1, 32),
    "cac": (1, 50),
    "ifql": (10, 32),
    "bfn": (10, 4),
    "evor": (10, 8),
    "value_flows": (10, 16),
}
"""(m, N) with which each is published. (1, 1) where nothing is said."""

PASSES_PER_STEP = {"idql": 5, "cac": 2}
"""Passes through the policy's network for one of its steps; 1 where nothing is said."""


def parameters(state) -> int:
    """Numbers that are learned: no moving average, no moments."""
    arrays = jax.tree.leaves(without(state, "moments", "target").replace(encoder=None))
    return sum(array.size for array in arrays if jnp.issubdtype(array.dtype, jnp.floating))


def measure(chunk: int = 20, rounds: int = 5) -> pd.DataFrame:
    """A row per agent: updates_per_second, steps, candidates, milliseconds and
    network_evaluations per action, parameters, and compile_seconds of training."""
    trainings = {
        name: TimedTraining(kind(), OBS_DIM, ACTION_DIM, chunk=chunk)
        for name, kind in progress_bar(list(AGENTS.items()), unit="agent", desc="compiling")
    }
    times = pd.DataFrame(
        {name: training.seconds_per_chunk() for name, training in trainings.items()}
        for _ in range(rounds)
    ).median()
    rows = []
    for name, training in trainings.items():
        steps, candidates = SETTINGS.get(name, (1, 1))
        state, obs = seed_state(training.states, 0), jnp.zeros((1, OBS_DIM))
        options = {"steps": steps, "candidates": candidates}

        def call(agent=training.agent, state=state, obs=obs, options=options):
            return act(agent, state, obs, jax.random.key(0), **options)

        jax.block_until_ready(call())
        passes = steps * PASSES_PER_STEP.get(name, 1)
        rows.append(
            {
                "agent": name,
                "updates_per_second": chunk / times[name],
                **options,
                "milliseconds": 1000 * seconds(call, 50),
                "network_evaluations": network_evaluations(passes, candidates),
                "parameters": parameters(state),
                "compile_seconds": training.compile_seconds,
            }
        )
    return pd.DataFrame(rows)


def main(out: Path) -> None:
    use_all_cores()
    table = measure()
    write_csv(table.round(4), out / "costs.csv")
    hardware = f"{os.cpu_count()} CPU cores"
    command = "python -m sorl_edu.experiments.costs"
    add_to_manifest(out, "costs.csv", command=command, hardware=hardware)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/baselines"))
    options = parser.parse_args()
    programs.run(lambda: main(options.out))
