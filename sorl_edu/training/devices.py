"""Where seeds train: one device after the other, or several at once."""

from __future__ import annotations

import contextlib
import os

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from sorl_edu.agents.agent import State
from sorl_edu.datasets.transitions import TaskSet, Transitions


def use_all_cores() -> None:
    """Makes a device of each CPU core, up to eight, over which `train_seeds` deals its seeds out.

    Several seeds then learn faster than in one batch, and one seed as fast as ever (`make bench`);
    each device that has seeds has a copy of the data. It must come before anything else that uses
    JAX: later it does nothing.
    """
    with contextlib.suppress(RuntimeError):  # JAX has started
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, 8))


def spread(states: State, keys: Array, tasks: Array | None, *data: Transitions | TaskSet | None):
    """Seeds dealt out over this machine's devices, as evenly as goes; the data on each of them."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if len(keys) % n == 0)
    if count == 1:
        return states, keys, tasks, *data
    mesh = Mesh(np.array(devices[:count]), ("seeds",))
    apart, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("seeds",), ()))
    dealt = states, keys, tasks
    # An empty array comes out of a computation on every device: put there, it's in place already.
    places = jax.tree.map(lambda leaf: apart if leaf.size else whole, dealt)
    return *jax.device_put(dealt, places), *jax.device_put(data, whole)
