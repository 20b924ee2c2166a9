"""Flow behaviour-regularised actor-critic (FBRAC): Q's gradient goes through the whole flow.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        a' = ODE_v(o', z'), in m steps                                         # critic, lesson 3
        descend | Q_i(o, a) - (r + gamma^k mask mean_i Q'_i(o', a')) |^2

        descend  - mean Q(o, ODE_v(o, z)) + alpha | v(a_t, t | o) - u |^2      # policy
        Q' <- moving average of Q

All m steps are back-propagated through, which is what FQL avoids by a second policy, and SORL by
steps of several sizes.

Source: Park et al., Flow Q-Learning, 2025, arXiv 2502.02538 (its baseline).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, FlowPolicy
from sorl_edu.flow_matching import flow_matching_loss


@dataclass(frozen=True)
class FBRAC(FlowPolicy, ActorCritic):
    """FBRAC; see the module's pseudocode."""

    flow_weight: float = 100.0
    """alpha: larger stays closer to the data, smaller is greedier."""
    flow_steps: int = 10
    """m, the Euler steps of training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "flow_weight")
        agent.check_positive(self, "flow_steps")

    def next_actions(self, state, batch, key):
        """a' = ODE_v(o', z')."""
        obs = batch.next_observations
        return self.draw(state, state.policy.params, obs, key, self.flow_steps)

    def policy_loss(self, params, state, batch, key):
        """- mean Q of the field `params`, and alpha times its flow matching loss; and metrics."""
        obs, (q_key, flow_key) = batch.observations, jax.random.split(key)
        actions = self.draw(state, params, obs, q_key, self.flow_steps)
        q = self.function(state, "critic")(obs, actions).mean()
        field = self.function(state, "policy", params)
        flow, metrics = flow_matching_loss(field, obs, batch.actions, flow_key)
        loss = -q + self.flow_weight * flow
        return loss, {"policy_loss": loss, "q_policy": q} | metrics
