"""Best of N of a flow (BFN): the critic learns the value of its own choice, and nothing else does.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        descend | v(a_t, t | o) - u |^2                                        # policy, lesson 1
        a' = argmax_n mean_i Q_i(o', a^(n)) among N candidates of the flow     # critic, lesson 3
        descend | Q_i(o, a) - (r + gamma^k mask mean_i Q'_i(o', a')) |^2
        Q' <- moving average of Q
    act:  the best of N candidates, as in training                             # lesson 5

IFQL's critic values the data's better actions; this one values what will be done with it. With
action chunks (`chunked`) it is Q-chunking's agent, and the baseline of EVOR.

Source: Li, Zhou and Levine, Reinforcement Learning with Action Chunking, 2025, arXiv 2507.07969
(QC, and its BFN without chunks); Ghasemipour et al., EMaQ, 2020, arXiv 2007.11091 (such a backup).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax

from sorl_edu import inference
from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, FlowPolicy
from sorl_edu.flow_matching import flow_matching_loss


@dataclass(frozen=True)
class BFN(FlowPolicy, ActorCritic):
    """Best of N of a flow; see the module's pseudocode."""

    candidates: int = 4
    """N of training. At test time N is a setting of its own."""
    flow_steps: int = 10
    """Euler steps of the candidates of training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_positive(self, "candidates", "flow_steps")

    def next_actions(self, state, batch, key):
        """The best of N candidates at o'."""
        obs = batch.next_observations
        noise = jax.random.normal(key, (self.candidates, *batch.actions.shape))
        sample = self.sampler(state, state.policy.params, self.flow_steps)
        return inference.propose(sample, partial(self.worth, state), obs, noise).action

    def policy_loss(self, params, state, batch, key):
        """The flow matching loss of the field `params`, and metrics."""
        field = self.function(state, "policy", params)
        return flow_matching_loss(field, batch.observations, batch.actions, key)
