"""ReBRAC: climb Q with one action per observation, and pay for its distance from the data's.

    repeat, with a batch (o, a, r, mask, o', a'_data) of the dataset:
        a' = mu'(o') + clip(0.2 z, -0.5, 0.5)                                  # critic
        y  = r + gamma^k mask (min_i Q'_i(o', a') - alpha_2 | a' - a'_data |^2)
        descend | Q_i(o, a) - y |^2

        in every second update, on average:                                    # policy
            descend  - min_i Q_i(o, mu(o)) / mean |Q| + alpha_1 | mu(o) - a |^2
            Q', mu' <- moving averages of Q, mu

It is TD3+BC with a penalty in the critic's target, too. The published code updates the policy in
every second update exactly; here a coin decides, the same for all seeds that train together, so
that the policy's update costs nothing where it is left out. At a trajectory's last state the data
have no action, and a' costs nothing.

Sources: Tarasov et al., Revisiting the Minimalist Approach to Offline RL, 2023, arXiv 2305.09836;
Fujimoto et al., TD3, 2018, arXiv 1802.09477 (smoothed targets, late policy updates).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, DeterministicActor, noise_like
from sorl_edu.networks import DeterministicPolicy
from sorl_edu.policy_extraction import squared_distance


@dataclass(frozen=True)
class ReBRAC(DeterministicActor, ActorCritic):
    """ReBRAC; see the module's pseudocode."""

    policy_penalty: float = 0.01
    """alpha_1: how much a distance from the data's action costs the policy."""
    critic_penalty: float = 0.01
    """alpha_2: how much it costs in the critic's target."""
    target_noise: float = 0.2
    """Deviation of the noise on a'."""
    target_noise_clip: float = 0.5
    """Largest noise on a'."""
    policy_period: int = 2
    """Updates per update of the policy, on average."""
    q_aggregation: td.Aggregation = "min"
    """How the critics are combined, wherever they are: "mean", or "min"."""

    averaged: ClassVar[tuple[str, ...]] = ("critic", "policy")

    def __post_init__(self) -> None:
        super().__post_init__()
        penalties = "policy_penalty", "critic_penalty", "target_noise", "target_noise_clip"
        agent.check_not_negative(self, *penalties)
        agent.check_positive(self, "policy_period")

    def policy_network(self, action_dim):
        hidden, layer_norm = self.policy.hidden, self.policy.layer_norm
        return DeterministicPolicy(hidden, action_dim, layer_norm, squash=True, last_scale=0.01)

    def update(self, state, batch, key, shared_key):
        batch = agent.encode(state.encoder, batch)
        gradient, metrics = jax.grad(self.critic_loss, has_aux=True)(
            state.critic.params, state, batch, key
        )
        state = state.replace(critic=state.critic.descend(self.optimizer, gradient))

        def climb(state):
            gradient, found = jax.grad(self.policy_loss, has_aux=True)(
                state.policy.params, state, batch, key
            )
            policy = state.policy.descend(self.optimizer, gradient).follow(self.tau)
            return state.replace(critic=state.critic.follow(self.tau), policy=policy), found

        def stay(state):
            return state, self.policy_loss(state.policy.params, state, batch, key)[1]

        turn = jax.random.randint(shared_key, (), 0, self.policy_period) == 0
        state, policy_metrics = jax.lax.cond(turn, climb, stay, state)
        return state, metrics | policy_metrics

    def critic_loss(self, params, state, batch, key):
        """The TD loss of the critics `params`, whose target pays for a' too, and metrics."""
        limit = self.target_noise_clip
        noise = jnp.clip(self.target_noise * noise_like(batch.actions, key), -limit, limit)
        mu = self.function(state, "policy", state.policy.target)(batch.next_observations)
        next_actions = jnp.clip(mu + noise, -1, 1)
        distance = batch.next_acted * squared_distance(next_actions, batch.next_actions)
        target = td.td_target(
            lambda obs, actions: (
                self.function(state, "critic", state.critic.target)(obs, actions)
                - self.critic_penalty * distance
            ),
            batch,
            next_actions,
            discount=self.discount,
            aggregation=self.q_aggregation,
        )
        return td.td_loss(self.function(state, "critic", params), batch, target)

    def policy_loss(self, params, state, batch, key):
        """- Q / mean |Q| of the policy `params`, and alpha_1 times its distance; and metrics."""
        obs = batch.observations
        actions = self.function(state, "policy", params)(obs)
        q = self.worth(state, obs, actions)
        distance = squared_distance(actions, batch.actions).mean()
        climb = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())
        loss = climb + self.policy_penalty * distance
        return loss, {"policy_loss": loss, "q_policy": q.mean(), "data_distance": distance}
