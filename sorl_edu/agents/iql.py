"""Implicit Q-learning (IQL): imitate the data, good actions more.

    repeat, with a batch of the dataset:
        the critics of implicit_q.py
        descend  - min(exp(alpha (Q(o, a) - V(o))), 100) log pi(a | o)

pi is a Gaussian of deviation 1, so that -log pi is |mu(o) - a|^2 / 2 and a constant. It acts by
mu(o), which lies between the modes where the data have several.

Source: Kostrikov, Nair and Levine, 2021, arXiv 2110.06169 (algorithm 1); the deviation and the clip
as in the code of Park et al., 2025, arXiv 2502.02538.
"""

from __future__ import annotations

from dataclasses import dataclass

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import DeterministicActor
from sorl_edu.agents.implicit_q import ImplicitQ
from sorl_edu.policy_extraction import (
    advantage_weights,
    squared_distance,
    weighted_regression_loss,
)


@dataclass(frozen=True)
class IQL(DeterministicActor, ImplicitQ):
    """Implicit Q-learning with weighted regression; see the module's pseudocode."""

    inverse_temperature: float = 10.0
    """alpha: 0 clones the data, larger follows the critic more."""
    largest_weight: float = 100.0
    """The most that one action of the data counts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "inverse_temperature")
        agent.check_positive(self, "largest_weight")

    def policy_loss(self, params, state, batch, key):
        """The weighted regression of the policy `params`, and metrics."""
        mu = self.function(state, "policy", params)(batch.observations)
        weights = advantage_weights(
            self.advantage(state, batch), self.inverse_temperature, self.largest_weight
        )
        return weighted_regression_loss(squared_distance(mu, batch.actions) / 2, weights)
