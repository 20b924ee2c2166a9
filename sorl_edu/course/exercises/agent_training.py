"""Assignment 2's training: an agent with a student's TD target, on the shipped maze."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from sorl_edu.agents import SORL
from sorl_edu.agents.agent import encode, without
from sorl_edu.agents.presets import preset
from sorl_edu.course.exercises.attempt import is_blank
from sorl_edu.course.shipped import ENVIRONMENT
from sorl_edu.datasets.ogbench import OfflineDataset, load
from sorl_edu.errors import check
from sorl_edu.temporal_difference import Batch
from sorl_edu.training import train_seeds


@lru_cache(maxsize=1)
def dataset() -> OfflineDataset:
    """The shipped PointMaze data, with the rewards of OGBench's environment."""
    return load(ENVIRONMENT)


def hyperparameters() -> dict[str, Any]:
    """The arguments of the student's class: the preset, changed to learn faster."""
    changes = {"optimizer.learning_rate": 1e-3, "tau": 0.02, "q_weight": 5000.0}
    return dict(vars(preset("pointmaze", **changes)))


REHEARSALS, ROWS = 256, 48  # draws of the target, and transitions, before anything is trained


@lru_cache(maxsize=2)
def rehearsal(agent: SORL) -> tuple[PyTree, Batch]:
    """A state of SORL itself, whose critics give large and different values, and rows with every
    mask and horizon."""
    data = agent.prepare(dataset().train)
    state = agent.init(jax.random.key(0), dataset().train)
    loud = jax.tree.map(lambda leaf: 3 * leaf + 0.3, state.critic.target)
    state = state.replace(critic=state.critic.replace(target=loud))
    batch, row = encode(state.encoder, data.sample(jax.random.key(1), ROWS)), np.arange(ROWS)
    masks, horizons = jnp.asarray(row % 2 * 1.0), jnp.asarray(1.0 + row // 2 % 5)
    return state, replace(batch, masks=masks, horizons=horizons)


def targets_of(target: Callable, seed: int) -> Float[Array, "rows draws"]:
    """The TD targets `target(key)` of the rehearsal's rows, for many keys."""
    keys = jax.random.split(jax.random.key(seed), REHEARSALS)
    return jax.jit(jax.vmap(target, out_axes=1))(keys)


REHEARSED_STEPS = 1


def rehearse(answer: Callable) -> tuple[np.ndarray, Array] | None:
    """N and kappa of a student's class, and its targets of the rehearsal; None if it is a blank.

    Raises:
        ConfigError: it makes no SORL, or lacks a field.
    """
    agent = answer(**hyperparameters())
    check(isinstance(agent, SORL), f"your class should be a kind of SORL; it makes {agent!r}")
    state, batch = rehearsal(SORL(**hyperparameters()))
    target = partial(agent.td_target, state, batch, steps=REHEARSED_STEPS)
    if is_blank(target(jax.random.key(0))):
        return None
    for name in ("backup_candidates", "kappa"):
        check(hasattr(agent, name), f"your class has no field {name}: its target needs it")
    chosen = np.array([int(agent.backup_candidates), float(agent.kappa)], np.float32)
    return chosen, targets_of(target, seed=0)


def trained(answer: Callable, keys: Key[Array, " seed"], updates: int) -> tuple[Array, ...]:
    """The arrays that the agents of a student's class need to act, one agent for each key."""
    agent = answer(**hyperparameters())
    state = train_seeds(agent, dataset().train, updates=updates, keys=keys).state
    return tuple(jax.tree.leaves(to_act(state)))


def to_act(state: PyTree) -> PyTree:
    """A state without what only training needs."""
    return without(state, "moments", "target")
