"""Flow Q-learning (FQL): a flow imitates, and a policy of one step climbs Q without leaving it.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        a' = mu(o', z'),  z' ~ N(0, I)                                         # critic, lesson 3
        descend | Q_i(o, a) - (r + gamma^k mask mean_i Q'_i(o', a')) |^2

        descend | v(a_t, t | o) - u |^2                                        # flow, lesson 1

        descend  - mean Q(o, mu(o, z)) + alpha | mu(o, z) - ODE_v(o, z) |^2    # policy
        Q' <- moving average of Q

Q's gradient never goes through the flow's steps: mu takes one. SORL has one network for both, which
takes steps of all sizes.

Source: Park, Li and Levine, Flow Q-Learning, 2025, arXiv 2502.02538 (algorithm 1). Defaults are
those of the published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from flax import struct

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, ActorCriticState, noise_like
from sorl_edu.agents.agent import Learner, Network
from sorl_edu.errors import check
from sorl_edu.flow_matching import flow_matching_loss, integrate
from sorl_edu.networks import OneStepPolicy, VelocityField
from sorl_edu.policy_extraction import distillation_loss


@struct.dataclass
class FQLState(ActorCriticState):
    """What FQL learns."""

    field: Learner  # v


@dataclass(frozen=True)
class FQL(ActorCritic):
    """Flow Q-learning; see the module's pseudocode."""

    distillation_weight: float = 10.0
    """alpha: larger stays closer to the data, smaller is greedier."""
    flow_steps: int = 10
    """Euler steps of the flow that teaches."""
    field: Network = Network()

    State: ClassVar[type] = FQLState

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "distillation_weight")
        agent.check_positive(self, "flow_steps")

    def networks(self, action_dim):
        field = VelocityField(self.field.hidden, action_dim, self.field.layer_norm)
        return super().networks(action_dim) | {"field": field}

    def policy_network(self, action_dim):
        return OneStepPolicy(self.policy.hidden, action_dim, self.policy.layer_norm)

    def objectives(self):
        losses = self.critic_loss, self.flow_loss, self.policy_loss
        return dict(zip(("critic", "field", "policy"), losses, strict=True))

    def sampler(self, state, params, steps):
        """a = mu(o, z) of the policy `params`, limited to [-1, 1]."""
        check(steps == 1, "FQL's policy takes a single step, and knows no other: use steps = 1")
        mu = self.function(state, "policy", params)
        return lambda obs, noise: jnp.clip(mu(obs, noise), -1, 1)

    def next_actions(self, state, batch, key):
        """a' = mu(o', z')."""
        return self.draw(state, state.policy.params, batch.next_observations, key)

    def flow_loss(self, params, state, batch, key):
        """The flow matching loss of the field `params`, and metrics."""
        field = self.function(state, "field", params)
        return flow_matching_loss(field, batch.observations, batch.actions, key)

    def policy_loss(self, params, state, batch, key):
        """- mean Q of the policy `params`, and alpha times its distillation loss; and metrics."""
        obs, noise = batch.observations, noise_like(batch.actions, key)
        actions = self.function(state, "policy", params)(obs, noise)
        taught = integrate(self.function(state, "field"), obs, noise, self.flow_steps)
        distillation, metrics = distillation_loss(actions, jnp.clip(taught, -1, 1))
        q = self.function(state, "critic")(obs, jnp.clip(actions, -1, 1)).mean()
        loss = -q + self.distillation_weight * distillation
        return loss, {"policy_loss": loss, "q_policy": q} | metrics
