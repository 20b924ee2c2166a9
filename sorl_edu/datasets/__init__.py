"""Data to learn from: transitions, OGBench's datasets, how they are made, and toy problems."""

from sorl_edu.datasets.ogbench import OfflineDataset, load
from sorl_edu.datasets.transitions import Batch, Transitions

__all__ = ["Batch", "OfflineDataset", "Transitions", "load"]
