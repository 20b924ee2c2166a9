"""OGBench draws from numpy's global generator here and there; this seeds it, and puts it back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def numpy_seeded(seed: int | np.ndarray) -> Iterator[None]:
    """Seeds numpy's global generator for a while."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
