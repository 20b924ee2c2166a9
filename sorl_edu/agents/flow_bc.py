"""Behaviour cloning with plain flow matching: SORL without its critic and without shortcuts.

    repeat:  a_1 ~ dataset,  descend | v(a_t, t | o) - u |^2      # lesson 1, t ~ U[0, 1]

The "before" picture of the course: it imitates the data, good and bad alike, and needs many steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from sorl_edu import inference
from sorl_edu.agents.agent import AgentState, Encoder, Learner, Network, Optimizer, check_positive
from sorl_edu.flow_matching import Field, flow_matching_loss, integrate
from sorl_edu.networks import VelocityField


@struct.dataclass
class FlowBCState(AgentState):
    """What flow BC learns."""

    field: Learner


@dataclass(frozen=True)
class FlowBC:
    """Behaviour cloning with a flow; the settings mean what they mean in `SORL`."""

    batch_size: int = 256
    """Transitions per update."""
    field: Network = Network()
    encoder: Encoder = Encoder()
    optimizer: Optimizer = Optimizer()

    def __post_init__(self) -> None:
        check_positive(self, "batch_size")

    def prepare(self, data):
        return data

    def init(self, key, data):
        encoder_key, field_key = jax.random.split(key)
        encoder, action = self.encoder.create(data.observations, encoder_key), data.actions[:1]
        network, obs = self._network(action.shape[1]), encoder(data.observations[:1])
        params = network.init(field_key, obs, action, jnp.ones((1, 1)))
        return FlowBCState(encoder, action.shape[1], Learner.create(params, self.optimizer))

    def update(self, state, batch, key, shared_key):
        gradient, metrics = jax.grad(self.loss, has_aux=True)(state.field.params, state, batch, key)
        return state.replace(field=state.field.descend(self.optimizer, gradient)), metrics

    def losses(self, state, batch, key, shared_key):
        return self.loss(state.field.params, state, batch, key)[1]

    def loss(self, params, state, batch, key):
        """The flow matching loss of the field `params`, and metrics."""
        field = self.velocity(state, params)
        return flow_matching_loss(field, batch.observations, batch.actions, key)

    def propose(self, state, obs, key, *, steps, candidates):
        inference.check_budget(steps, candidates, len(obs))
        field = self.velocity(state, state.field.params)
        noise = inference.candidate_noise(key, candidates, len(obs), state.action_dim)
        sample = lambda obs, noise: jnp.clip(integrate(field, obs, noise, steps), -1, 1)  # noqa: E731
        return inference.propose(sample, None, obs, noise)

    def flow(self, state, *, steps):
        return self.velocity(state, state.field.params)

    def velocity(self, state: FlowBCState, params: dict) -> Field:
        """v(a_t, t | o) with these parameters, to hand to the functions of lesson 1."""
        network = self._network(state.action_dim)
        return lambda obs, a_t, t: network.apply(params, state.encoder(obs), a_t, t)

    def _network(self, action_dim: int) -> VelocityField:
        return VelocityField(self.field.hidden, action_dim, self.field.layer_norm)
