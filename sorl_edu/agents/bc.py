"""Behaviour cloning with a Gaussian (BC): regress the data's action.

    repeat:  descend | mu(o) - a |^2

The Gaussian's deviation is fixed at 1, so that its likeliest mean is the mean action of the data.
Where the data do two things, it does neither. Flow BC is the answer to that.

Source: Pomerleau, ALVINN, 1989; as the baseline of Park et al., OGBench, 2024, arXiv 2410.20092.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from sorl_edu import inference
from sorl_edu.agents import agent
from sorl_edu.agents.agent import AgentState, Encoder, Learner, Network, Optimizer
from sorl_edu.networks import DeterministicPolicy


@struct.dataclass
class BCState(AgentState):
    """What BC learns."""

    policy: Learner


@dataclass(frozen=True)
class BC:
    """Behaviour cloning with a Gaussian; the settings mean what they mean in `ActorCritic`."""

    batch_size: int = 256
    """Transitions per update."""
    policy: Network = Network()
    encoder: Encoder = Encoder()
    optimizer: Optimizer = Optimizer(3e-4, grad_clip_norm=0)

    def __post_init__(self) -> None:
        agent.check_positive(self, "batch_size")

    def prepare(self, data):
        return data

    def init(self, key, data):
        encoder_key, policy_key = jax.random.split(key)
        encoder = self.encoder.create(data.observations, encoder_key)
        action_dim, obs = data.actions.shape[1], encoder(data.observations[:1])
        params = self._network(action_dim).init(policy_key, obs)
        return BCState(encoder, action_dim, Learner.create(params, self.optimizer))

    def update(self, state, batch, key, shared_key):
        gradient, metrics = jax.grad(self.loss, has_aux=True)(state.policy.params, state, batch)
        return state.replace(policy=state.policy.descend(self.optimizer, gradient)), metrics

    def losses(self, state, batch, key, shared_key):
        return self.loss(state.policy.params, state, batch)[1]

    def loss(self, params, state, batch):
        """The mean of |mu(o) - a|^2 over batch and action, and metrics."""
        mu = self._network(state.action_dim).apply(params, state.encoder(batch.observations))
        loss = jnp.mean((mu - batch.actions) ** 2)
        return loss, {"policy_loss": loss}

    def propose(self, state, obs, key, *, steps, candidates):
        inference.check_budget(steps, candidates, len(obs))
        agent.check_no_dials(self, steps, candidates)
        mu = self._network(state.action_dim).apply(state.policy.params, state.encoder(obs))
        return inference.Proposal(jnp.clip(mu, -1, 1)[None], None, jnp.zeros(len(obs), jnp.int32))

    def _network(self, action_dim: int) -> DeterministicPolicy:
        return DeterministicPolicy(self.policy.hidden, action_dim, self.policy.layer_norm)
