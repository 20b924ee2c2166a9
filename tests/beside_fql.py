"""Updates per second beside FQL's own repository, agent by agent, in turns in one run.

    git clone https://github.com/seohongpark/fql
    pip install --no-deps --target deps absl-py attrs chex cloudpickle decorator distrax dm-tree \
        gast ml-collections pyyaml tensorflow-probability tf-keras toolz wrapt
    python tests/beside_fql.py fql deps

Both have the published sizes, and random data of cube-single's widths. A turn is twenty updates,
their batches included. It is for developers: CI has no such repository.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

import jax
import jax.interpreters.xla
import numpy as np
from jax._src import core

from sorl_edu.agents import AGENTS
from sorl_edu.experiments.costs import ACTION_DIM, OBS_DIM
from sorl_edu.experiments.speed import TimedTraining

NAMES = ("iql", "rebrac", "ifql", "fql")  # the baselines that it has
ROWS, TURN, ROUNDS = 100_000, 20, 7


class Theirs:
    """An agent of the repository, with its own sampling."""

    def __init__(self, name: str) -> None:
        self.config = importlib.import_module(f"agents.{name}").get_config()
        self.is_rebrac, self.data = name == "rebrac", random_data()
        self.data.return_next_actions = self.is_rebrac
        one = self.data.sample(1)
        kind = importlib.import_module("agents").agents[name]
        self.agent = kind.create(0, one["observations"], one["actions"], self.config)
        self.seconds_per_turn()  # compiles

    def seconds_per_turn(self) -> float:
        start = time.perf_counter()
        for i in range(TURN):
            batch = self.data.sample(self.config.batch_size)
            options = {"full_update": i % self.config.actor_freq == 0} if self.is_rebrac else {}
            self.agent, _ = self.agent.update(batch, **options)
        jax.block_until_ready(self.agent.network.params)
        return time.perf_counter() - start


def random_data():
    rng = np.random.default_rng(0)
    return importlib.import_module("utils.datasets").Dataset.create(
        observations=rng.normal(size=(ROWS, OBS_DIM)).astype(np.float32),
        next_observations=rng.normal(size=(ROWS, OBS_DIM)).astype(np.float32),
        actions=rng.uniform(-0.99, 0.99, (ROWS, ACTION_DIM)).astype(np.float32),
        rewards=-np.ones(ROWS, np.float32),
        masks=np.ones(ROWS, np.float32),
        terminals=np.zeros(ROWS, np.float32),
    )


def main(repository: Path, dependencies: Path) -> None:
    sys.path.insert(0, str(repository))
    sys.path.append(str(dependencies))
    # Its distrax takes a TensorFlow Probability that looks for a name which JAX moved.
    jax.interpreters.xla.pytype_aval_mappings = core.pytype_aval_mappings
    for name in NAMES:
        ours, theirs = TimedTraining(AGENTS[name](), OBS_DIM, ACTION_DIM, chunk=TURN), Theirs(name)
        turns = [(ours.seconds_per_chunk(), theirs.seconds_per_turn()) for _ in range(ROUNDS)]
        here, there = TURN / np.median(turns, axis=0)
        print(f"{name}: here {here:.1f} updates/s, there {there:.1f}, ratio {here / there:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path, help="a clone of FQL's repository")
    parser.add_argument("dependencies", type=Path, help="a folder with what it imports")
    options = parser.parse_args()
    main(options.repository, options.dependencies)
