"""How training went: a tidy table that grows while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Array

COLUMNS = ["split", "seed", "update", "metric", "value"]


class History:
    """Rows (split, seed, update, metric, value).

    A value is the mean over the updates since the last logged one ("train"), or over a few held-out
    batches ("validation").
    """

    def __init__(self, rows: Iterable = ()) -> None:
        self.rows = [tuple(row) for row in rows]
        self._pending: list[Mapping[str, np.ndarray]] = []

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Metrics of some updates, each (seeds, updates), for the next `log`."""
        self._pending.append(metrics)

    def log(self, update: int, held_out: Mapping[str, Array] | None = None) -> dict[str, float]:
        """Appends the means of what was added, and held-out losses, each (seeds,).

        Returns:
            the training means over all seeds, for a progress bar.
        """
        names = self._pending[0] if self._pending else {}
        means = {
            name: np.concatenate([metrics[name] for metrics in self._pending], axis=1).mean(1)
            for name in names
        }
        self._pending.clear()
        self.append("train", update, means)
        self.append("validation", update, held_out or {})
        return {name: float(value.mean()) for name, value in means.items()}

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def append(self, split: str, update: int, values: Mapping[str, np.ndarray | Array]) -> None:
        self.rows += [
            (split, seed, update, name, float(value))
            for name, of_seeds in values.items()
            for seed, value in enumerate(np.asarray(of_seeds))
        ]
