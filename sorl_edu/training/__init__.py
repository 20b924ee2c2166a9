"""Training, from a fixed dataset or with an environment, and the files that keep its results."""

from sorl_edu.training.devices import seed_mesh, shard, use_all_cores
from sorl_edu.training.loop import (
    NonFiniteLoss,
    Run,
    Training,
    init_seeds,
    run_chunk,
    seed_keys,
    seed_state,
    train,
    train_seeds,
)

__all__ = [
    "NonFiniteLoss",
    "Run",
    "Training",
    "init_seeds",
    "run_chunk",
    "seed_keys",
    "seed_mesh",
    "seed_state",
    "shard",
    "train",
    "train_seeds",
    "use_all_cores",
]
