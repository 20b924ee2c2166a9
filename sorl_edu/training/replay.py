"""A buffer of transitions on the device: of fixed capacity, the newest replace the oldest."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from sorl_edu.errors import check
from sorl_edu.temporal_difference import Batch


@struct.dataclass
class ReplayBuffer:
    """Transitions as a loss sees them: n-step returns and chunks are made before they are added."""

    transitions: Batch  # `capacity` rows; the first `size` hold something
    added: Int[Array, ""]  # transitions that were ever added

    @classmethod
    def create(cls, capacity: int, like: Batch) -> ReplayBuffer:
        """An empty buffer for batches of the widths and parts of `like`.

        Raises:
            ConfigError: capacity is below 1.
        """
        check(capacity >= 1, f"capacity must be at least 1, got {capacity}")
        rows = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype), like)
        return cls(rows, jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        return len(self.transitions.rewards)

    @property
    def size(self) -> Int[Array, ""]:
        """The number of transitions that are held."""
        return jnp.minimum(self.added, self.capacity)

    def add(self, new: Batch, valid: Bool[Array, " rows"]) -> ReplayBuffer:
        """Adds the valid rows, in their order; at most `capacity` of them."""
        place = (self.added + jnp.cumsum(valid) - 1) % self.capacity
        place = jnp.where(valid, place, self.capacity)  # outside, and so dropped
        kept = jax.tree.map(
            lambda held, rows: held.at[place].set(rows, mode="drop"), self.transitions, new
        )
        return ReplayBuffer(kept, self.added + valid.sum())

    def sample(self, key: PRNGKeyArray, batch_size: int) -> Batch:
        """A batch drawn uniformly with replacement from what is held; there must be something."""
        rows = jax.random.randint(key, (batch_size,), 0, self.size)
        return jax.tree.map(lambda leaf: leaf[rows], self.transitions)


def mixed(key: PRNGKeyArray, one: Batch, other: Batch, fraction: Float[Array, ""]) -> Batch:
    """Each row from `one` with probability `fraction`, else from `other`."""
    chosen = jax.random.uniform(key, (len(one.rewards),)) < fraction

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, one, other)
