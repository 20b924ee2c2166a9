"""Recordings of roll-outs: whole episodes as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped


class Recording(NamedTuple):
    """Whole episodes in float32, NaN after the end of each."""

    observations: Float[np.ndarray, "episode time_and_1 obs"]
    """Every state, the first and the final one included."""
    actions: Float[np.ndarray, "episode time action"]
    rewards: Float[np.ndarray, "episode time"]
    masks: Float[np.ndarray, "episode time"]
    """0 for the transition with which the task ended, else 1, also at the time limit."""


class Track:
    """The steps of a batch of episodes, which becomes a `Recording`."""

    def __init__(self, observations: Float[np.ndarray, "batch obs"]) -> None:
        self.observations = [observations.copy()]
        self.steps: list[list[np.ndarray]] = []

    def add(
        self, alive: Int[np.ndarray, " running"], *step: Shaped[np.ndarray, "batch ..."]
    ) -> None:
        """Adds actions, rewards, masks and next observations, those of episodes that still ran."""
        kept = [np.full(values.shape, np.nan, np.float32) for values in step]
        for rows, values in zip(kept, step, strict=True):
            rows[alive] = values[alive]
        *transition, observations = kept
        self.steps.append(transition)
        self.observations.append(observations)

    def recording(self) -> Recording:
        columns = (np.stack(values, 1) for values in zip(*self.steps, strict=True))
        return Recording(np.stack(self.observations, 1), *columns)


def joined(recordings: Sequence[Recording]) -> Recording:
    """The episodes of several recordings as one, which is as long as the longest."""

    def join(parts: Sequence[np.ndarray]) -> np.ndarray:
        longest = max(part.shape[1] for part in parts)
        padded = []
        for part in parts:
            widths = [(0, 0), (0, longest - part.shape[1])] + [(0, 0)] * (part.ndim - 2)
            padded.append(np.pad(part, widths, constant_values=np.nan))
        return np.concatenate(padded)

    return Recording(*map(join, zip(*recordings, strict=True)))
