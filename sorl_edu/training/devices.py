"""Several seeds on several devices: GPUs, or the cores of a CPU."""

from __future__ import annotations

import contextlib
import os

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def use_all_cores() -> None:
    """Exposes each CPU core as a JAX device (at most eight), so that seeds train in parallel.

    Several seeds then learn faster than in one batch, and one seed as fast as ever (`make bench`).
    It must be called before anything else uses JAX: later it does nothing.
    """
    with contextlib.suppress(RuntimeError):  # JAX has started
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, 8))


def shard(by_seed: PyTree, shared: PyTree) -> tuple[PyTree, PyTree]:
    """Shards the seeds over the local devices and replicates the data.

    Args:
        by_seed: arrays with a leading axis of seeds.
        shared: arrays that every seed needs.
    """
    devices = jax.local_devices()
    seeds = len(jax.tree.leaves(by_seed)[0])
    count = max(n for n in range(1, len(devices) + 1) if seeds % n == 0)
    if count == 1:
        return by_seed, shared
    mesh = Mesh(np.array(devices[:count]), ("seeds",))
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("seeds",), ()))
    # XLA replicates empty arrays, so they are placed replicated here, too.
    places = jax.tree.map(lambda leaf: split if leaf.size else whole, by_seed)
    return jax.device_put(by_seed, places), jax.device_put(shared, whole)
