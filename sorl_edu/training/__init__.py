"""Training from a fixed dataset, and what is kept of it."""

from sorl_edu.training.devices import spread, use_all_cores
from sorl_edu.training.loop import (
    RESUME_FILE,
    NonFiniteLoss,
    Run,
    init_seeds,
    run_chunk,
    seed_keys,
    seed_state,
    train,
    train_seeds,
)

__all__ = [
    "RESUME_FILE",
    "NonFiniteLoss",
    "Run",
    "init_seeds",
    "run_chunk",
    "seed_keys",
    "seed_state",
    "spread",
    "train",
    "train_seeds",
    "use_all_cores",
]
