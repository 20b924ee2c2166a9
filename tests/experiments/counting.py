"""An agent of the contract that compiles almost nothing, and episodes that take no time."""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import struct

from sorl_edu.environments.rollout import Recording
from sorl_edu.inference import Proposal, choose


def then_stopped(function):
    """The function, and an interrupt when it has done its work."""

    def wrapped(*arguments, **options):
        function(*arguments, **options)
        raise KeyboardInterrupt

    return wrapped


@struct.dataclass
class CountingState:
    count: jax.Array
    key: jax.Array
    obs_dim: int = struct.field(pytree_node=False)
    action_dim: int = struct.field(pytree_node=False)


@dataclass(frozen=True)
class Counting:
    """Counts its updates. Its actions are noise; Q is a candidate's first number."""

    batch_size: int = 4
    scale: float = 1.0

    def prepare(self, data):
        return data

    def init(self, key, data):
        widths = data.observations.shape[1], data.actions.shape[1]
        return CountingState(jnp.zeros((), jnp.int32), jax.random.key_data(key), *widths)

    def update(self, state, batch, key, shared_key):
        return state.replace(count=state.count + 1), self.losses(state, batch, key, shared_key)

    def losses(self, state, batch, key, shared_key):
        return {"reward": batch.rewards.mean(), "draw": jax.random.uniform(key)}

    def propose(self, state, obs, key, *, steps, candidates):
        noise = jax.random.normal(key, (candidates, len(obs), state.action_dim))
        actions = jnp.clip(self.scale * noise, -1, 1)
        q = actions[..., 0]
        return Proposal(actions, q, choose(q))


def quick_episodes(agent, state, environment, *, steps, candidates, episodes, seed, record):
    """In place of `evaluation.evaluate`: episodes that are decided by what they are asked for."""
    own = int(jax.random.bits(jax.random.wrap_key_data(state.key)))
    draws = np.random.default_rng([own, seed, steps, candidates, len(environment)]).random(episodes)
    table = pd.DataFrame(
        {
            "episode": np.arange(episodes),
            "success": (draws < 0.5).astype(float),
            "return": -float(seed),
            "length": float(state.count),
        }
    )
    blank = np.zeros((episodes, 2))
    recording = Recording(np.full((episodes, 3, 2), float(seed)), blank[..., None], blank, blank)
    return table, recording if record else None


def stuck_episodes(agent, state, environment, **options):
    """The same, but for the last setting, which takes for ever."""
    if options["steps"] == 8:
        time.sleep(600)
    return quick_episodes(agent, state, environment, **options)
