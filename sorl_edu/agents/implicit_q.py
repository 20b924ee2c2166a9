"""Implicit Q-learning's critics, which IQL, IFQL, IDQL and SRPO share: they need no policy.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        descend |k - 1(u < 0)| u^2,   u = agg_i Q'_i(o, a) - V(o)
        descend | Q_i(o, a) - (r + gamma^k mask V(o')) |^2
        Q' <- moving average of Q

V is the k-expectile of Q over the data's actions (lesson 7): near its maximum, and never of an
action that the data lack.

Source: Kostrikov, Nair and Levine, Offline RL with Implicit Q-Learning, 2021, arXiv 2110.06169.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flax import struct

from sorl_edu import temporal_difference as td
from sorl_edu.agents.actor_critic import ActorCritic, ActorCriticState
from sorl_edu.agents.agent import Learner, Network
from sorl_edu.errors import check
from sorl_edu.networks import ValueFunction
from sorl_edu.policy_extraction import expectile_loss, expectile_target


@struct.dataclass
class ImplicitQState(ActorCriticState):
    """What an agent with implicit Q-learning's critics learns."""

    values: Learner  # V


@dataclass(frozen=True)
class ImplicitQ(ActorCritic):
    """An agent with implicit Q-learning's critics. A subclass has the policy."""

    expectile: float = 0.9
    """k: at 0.5, V is the mean of Q over the data's actions; towards 1, its maximum."""
    q_aggregation: td.Aggregation = "min"
    """How the critics are combined, wherever they are: "mean", or "min"."""
    values: Network = Network(layer_norm=True)

    State: ClassVar[type] = ImplicitQState

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.expectile < 1, f"expectile must be in (0, 1), got {self.expectile}")

    def networks(self, action_dim):
        values = ValueFunction(self.values.hidden, self.values.layer_norm)
        return super().networks(action_dim) | {"values": values}

    def objectives(self):
        return {"values": self.value_loss} | super().objectives()

    def value_loss(self, params, state, batch, key):
        """The expectile loss of the value function `params`, and metrics."""
        obs = batch.observations
        q = self.worth(state, obs, batch.actions, state.critic.target)
        return expectile_loss(self.function(state, "values", params)(obs), q, self.expectile)

    def critic_loss(self, params, state, batch, key):
        """The TD loss of the critics `params`, whose target needs no action, and metrics."""
        next_values = self.function(state, "values")(batch.next_observations)
        target = expectile_target(batch, next_values, discount=self.discount)
        return td.td_loss(self.function(state, "critic", params), batch, target)

    def advantage(self, state, batch):
        """Q(o, a) - V(o) of the data's actions."""
        q = self.worth(state, batch.observations, batch.actions)
        return q - self.function(state, "values")(batch.observations)
