"""How OGBench's datasets were made: the published recipe of each, and what a collector is.

Source: OGBench's `data_gen_scripts/commands.sh`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """How one official dataset is made."""

    env: str
    """Gymnasium id of the environment."""
    kind: str
    """In mazes how goals are drawn, 'navigate' or 'stitch'; else the oracle, 'play' or 'noisy'."""
    episodes: int
    """Number of training episodes; there are a tenth as many validation episodes."""
    max_episode_steps: int
    """States per episode (one more than its transitions)."""
    noise: float
    """Noise scale of the actions in [-1, 1]; see each collector."""
    row_bytes: int
    """Bytes of a row in memory."""
    random_actions: float = 0.0
    """The share of actions that are drawn at random."""


RECIPES: dict[str, Recipe] = {
    f"pointmaze-{maze}-{kind}-v0": Recipe(f"pointmaze-{maze}-v0", kind, episodes, steps, 0.5, 33)
    for maze, kind, episodes, steps in [
        ("medium", "navigate", 1000, 1001),
        ("large", "navigate", 1000, 1001),
        ("giant", "navigate", 500, 2001),
        ("teleport", "navigate", 1000, 1001),
        ("medium", "stitch", 5000, 201),
        ("large", "stitch", 5000, 201),
        ("giant", "stitch", 5000, 201),
        ("teleport", "stitch", 5000, 201),
    ]
} | {
    f"{env}-{kind}-v0": Recipe(f"{env}-v0", kind, 1000, 1001, 0.1, row_bytes, random_actions)
    for env, row_bytes in [("cube-single", 297), ("cube-double", 385), ("scene", 393)]
    for kind, random_actions in [("play", 0.0), ("noisy", 0.1)]
}
"""Official dataset name -> recipe, for the datasets that can be collected here."""

Rows = list[dict[str, np.ndarray]]  # a vector per name, for each state of an episode


@runtime_checkable
class Collector(Protocol):
    """Makes the episodes of one recipe, each a function of `noise` and `seeds` alone."""

    def episode(self, noise: float, seeds: np.random.SeedSequence) -> Rows:
        """One episode: `recipe.max_episode_steps` rows of observations, actions, qpos and qvel."""
