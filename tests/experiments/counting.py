"""An agent of the contract that compiles nothing to speak of: it counts its updates."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from sorl_edu.inference import Proposal, choose


@struct.dataclass
class CountingState:
    count: jax.Array
    key: jax.Array
    obs_dim: int = struct.field(pytree_node=False)
    action_dim: int = struct.field(pytree_node=False)


@dataclass(frozen=True)
class Counting:
    """Its actions are noise of a scale; the larger a candidate's first number, the better."""

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
