"""Several seeds on several devices: GPUs, or the cores of a CPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def use_all_cores() -> None:
    """Exposes each CPU core as a JAX device (at most eight), so that seeds train in parallel.

    Several seeds then learn faster than in one batch, and one seed as fast as ever (`make bench`).
    It must be called before anything else uses JAX: later it does nothing.
    """
    with contextlib.suppress(RuntimeError):  # JAX has started
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, 8))


def seed_mesh(seeds: int) -> Mesh:
    """As few of the local devices as it takes for the busiest one to have the fewest seeds."""
    devices = jax.local_devices()
    most = -(-seeds // len(devices))  # seeds of a device
    return Mesh(np.array(devices[: -(-seeds // most)]), ("seeds",))


def shard(mesh: Mesh, by_seed: PyTree, shared: PyTree) -> tuple[PyTree, PyTree]:
    """Shards the seeds over devices and replicates the data.

    Where the seeds don't divide, the last one is repeated, so that each device has as many:
    15 seeds as 16 on two devices take two thirds of their time on one.

    Args:
        mesh: see `seed_mesh`.
        by_seed: arrays with a leading axis of seeds.
        shared: arrays that every seed needs.
    """

    def filled(leaf: Array) -> Array:
        repeated = jnp.repeat(leaf[-1:], -len(leaf) % mesh.size, axis=0)
        return jnp.concatenate([leaf, repeated]) if len(repeated) else leaf

    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("seeds",), ()))
    # XLA replicates empty arrays, so they are placed replicated here, too.
    by_seed = jax.tree.map(filled, by_seed)
    places = jax.tree.map(lambda leaf: split if leaf.size else whole, by_seed)
    return jax.device_put(by_seed, places), jax.device_put(shared, whole)


def on_each_device(function: Callable, mesh: Mesh) -> Callable:
    """The function of (arrays by seed, shared arrays), run on each device with its own seeds."""
    split, whole = PartitionSpec("seeds"), PartitionSpec()
    return jax.shard_map(
        function, mesh=mesh, in_specs=(split, whole), out_specs=split, check_vma=False
    )
