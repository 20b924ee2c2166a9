"""Flow advantage-weighted actor-critic (FAWAC): a flow imitates the data, good actions more.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        a' = ODE_v(o', z')                                                     # critic, lesson 3
        descend | Q_i(o, a) - (r + gamma^k mask mean_i Q'_i(o', a')) |^2

        A = Q(o, a) - Q(o, ODE_v(o, z))                                        # policy
        descend  min(exp(alpha A), 100) | v(a_t, t | o) - u |^2
        Q' <- moving average of Q

The paper says neither how V(o) is estimated nor whether weights are clipped, and has released no
code. Here V is Q of one action of the policy, as in AWAC, and the clip is IQL's.

Sources: Park et al., Flow Q-Learning, 2025, arXiv 2502.02538 (its baseline); Nair et al., AWAC,
2020, arXiv 2006.09359.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, FlowPolicy, noise_like
from sorl_edu.flow_matching import interpolate, uniform_times, velocity_target
from sorl_edu.policy_extraction import advantage_weights, weighted_regression_loss


@dataclass(frozen=True)
class FAWAC(FlowPolicy, ActorCritic):
    """FAWAC; see the module's pseudocode."""

    inverse_temperature: float = 3.0
    """alpha: 0 clones the data, larger follows the critic more."""
    largest_weight: float = 100.0
    """The most that one action of the data counts."""
    flow_steps: int = 10
    """Euler steps of the actions a' and of the action that gives V."""

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "inverse_temperature")
        agent.check_positive(self, "largest_weight", "flow_steps")

    def next_actions(self, state, batch, key):
        """a' = ODE_v(o', z')."""
        obs = batch.next_observations
        return self.draw(state, state.policy.params, obs, key, self.flow_steps)

    def policy_loss(self, params, state, batch, key):
        """The weighted flow matching loss of the field `params`, and metrics."""
        value_key, noise_key, time_key = jax.random.split(key, 3)
        obs, actions = batch.observations, batch.actions
        own = self.draw(state, state.policy.params, obs, value_key, self.flow_steps)
        advantages = self.worth(state, obs, actions) - self.worth(state, obs, own)
        weights = advantage_weights(advantages, self.inverse_temperature, self.largest_weight)

        noise, t = noise_like(actions, noise_key), uniform_times(time_key, len(actions))
        velocity = self.function(state, "policy", params)(obs, interpolate(noise, actions, t), t)
        errors = jnp.mean((velocity - velocity_target(noise, actions)) ** 2, axis=-1)
        return weighted_regression_loss(errors, weights)
