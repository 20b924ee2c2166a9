"""Implicit flow Q-learning (IFQL): a flow imitates all of the data, and the critic chooses.

    repeat, with a batch of the dataset:
        the critics of implicit_q.py
        descend | v(a_t, t | o) - u |^2                                        # lesson 1
    act:  a^(1) ... a^(N) ~ the flow,   a = argmax_n min_i Q_i(o, a^(n))       # lesson 5

It is IDQL with a flow in the place of the diffusion model. Training never makes the policy better
than the data; the choice does it all. The published choice is among N = 32.

Source: Park et al., Flow Q-Learning, 2025, arXiv 2502.02538 (its baseline); Hansen-Estruch et al.,
IDQL, 2023, arXiv 2304.10573.
"""

from __future__ import annotations

from dataclasses import dataclass

from sorl_edu.agents.actor_critic import FlowPolicy
from sorl_edu.agents.implicit_q import ImplicitQ
from sorl_edu.flow_matching import flow_matching_loss


@dataclass(frozen=True)
class IFQL(FlowPolicy, ImplicitQ):
    """Implicit Q-learning's critics, a flow, and a choice among its candidates."""

    def policy_loss(self, params, state, batch, key):
        """The flow matching loss of the field `params`, and metrics."""
        field = self.function(state, "policy", params)
        return flow_matching_loss(field, batch.observations, batch.actions, key)
