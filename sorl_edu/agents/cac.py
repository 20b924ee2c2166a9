"""Consistency actor-critic (CAC): Q's gradient goes through a policy of two consistency jumps.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        a'_1 ... a'_10 ~ f' in two jumps                                       # critic, lesson 3
        descend | Q_i(o, a) - (r + gamma^k mask min_j max_n Q'_j(o', a'_n)) |^2

        descend  100 / (s_2 - s_1) | f(a + s_2 z, s_2 | o) - f'(a + s_1 z, s_1 | o) |^2
                 - eta mean Q_i(o, a_f) / mean |Q_j(o, a_f)|,  a_f ~ f in two jumps,  i != j random
        Q', f' <- moving averages of Q, f
    act:  a^(1) ... a^(N) ~ f,   a = a^(n) with n ~ softmax_n min_i Q_i(o, a^(n))    # lesson 5

s_1 < s_2 are neighbours among levels of noise, which grow from 2 to 150 as training goes on; f is
in denoising.py. As SORL, it differentiates through few steps of a policy that can take few.

Source: Ding and Jin, Consistency Models as a Rich and Efficient Policy Class for Reinforcement
Learning, 2023, arXiv 2309.16984 (algorithm 2), and its code. The code averages f in every fifth
update and from the 1000th on, starts with 2 levels again every 50,000 updates, chooses by Q', and
feeds its network a_s and s as they are; here f' follows as Q' does, the levels grow once, Q
chooses, as for all agents, and the network is fed what Karras et al. feed it (arXiv 2206.00364).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int

from sorl_edu import denoising, inference
from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, ActorCriticState
from sorl_edu.agents.agent import Optimizer
from sorl_edu.errors import check
from sorl_edu.networks import VelocityField


def no_updates() -> Int[Array, ""]:
    return jnp.zeros((), jnp.int32)


@struct.dataclass
class CACState(ActorCriticState):
    """What CAC learns, and for how long it has."""

    updates: Int[Array, ""] = struct.field(default_factory=no_updates)


@dataclass(frozen=True)
class CAC(ActorCritic):
    """Consistency actor-critic; see the module's pseudocode."""

    q_weight: float = 1.0
    """eta: 0 clones the data, larger is greedier."""
    denoise_steps: int = 2
    """Jumps from noise to an action, in training and in use."""
    target_candidates: int = 10
    """Candidates for a', of which each critic's target has the best."""
    growth_updates: int = 1_000_000
    """Updates after which there are 150 levels of noise: as many as training will have."""
    temperature: float = 1.0
    """How freely it chooses among N candidates: 0 for the best one. 50 are published."""
    q_aggregation: td.Aggregation = "min"
    """How the critics are combined, wherever they are: "mean", or "min"."""
    optimizer: Optimizer = Optimizer(3e-4, grad_clip_norm=5.0)

    State: ClassVar[type] = CACState
    averaged: ClassVar[tuple[str, ...]] = ("critic", "policy")

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "q_weight", "temperature")
        agent.check_positive(self, "denoise_steps", "target_candidates", "growth_updates")

    def policy_network(self, action_dim):
        return VelocityField(self.policy.hidden, action_dim, self.policy.layer_norm)

    def update(self, state, batch, key, shared_key):
        state, metrics = super().update(state, batch, key, shared_key)
        return state.replace(updates=state.updates + 1), metrics

    def consistency(self, state, params):
        """f(o, a_s, s) of the network `params`."""
        return denoising.consistency_function(self.function(state, "policy", params))

    def sampler(self, state, params, steps):
        """The jumps of the network `params`; the noise is as wide as all their actions."""
        check(
            steps == 1,
            f"CAC's critic has learned the value of {self.denoise_steps} jumps, and of no other "
            "number: use steps = 1, which stands for all of them",
        )
        function, jumps = self.consistency(state, params), self.denoise_steps
        sigmas = denoising.sampling_levels(jumps)
        return lambda obs, noise: denoising.consistency_sample(
            function, obs, denoising.split_noise(noise, jumps), sigmas
        )

    def noise_width(self, state):
        """What one candidate's noise has: an action's width for each of its jumps."""
        return self.denoise_steps * state.action_dim

    def critic_loss(self, params, state, batch, key):
        """The TD loss of the critics `params` for the best of some candidates, and metrics."""
        obs = batch.next_observations
        sample = self.sampler(state, state.policy.target, steps=1)
        shape = self.target_candidates, len(obs), self.noise_width(state)
        candidates = inference.draw_candidates(sample, obs, jax.random.normal(key, shape))
        critic = self.function(state, "critic", state.critic.target)

        def of_the_best(obs, first):
            return jax.vmap(critic, in_axes=(None, 0))(obs, candidates).max(0)

        options = {"discount": self.discount, "aggregation": self.q_aggregation}
        target = td.td_target(of_the_best, batch, candidates[0], **options)
        return td.td_loss(self.function(state, "critic", params), batch, target)

    def policy_loss(self, params, state, batch, key):
        """The consistency loss of the network `params`, - eta Q_i / mean |Q_j|, and metrics."""
        obs, (noise_key, coin_key, consistency_key) = batch.observations, jax.random.split(key, 3)
        q = self.function(state, "critic")(obs, self.draw(state, params, obs, noise_key))
        i = jax.random.randint(coin_key, (), 0, len(q))
        climb = -q[i].mean() / jax.lax.stop_gradient(jnp.abs(q[(i + 1) % len(q)]).mean())
        levels = denoising.levels_after(state.updates, self.growth_updates)
        functions = self.consistency(state, params), self.consistency(state, state.policy.target)
        loss, metrics = denoising.consistency_loss(
            *functions, obs, batch.actions, consistency_key, levels
        )
        loss += self.q_weight * climb
        return loss, {"policy_loss": loss, "q_policy": q.mean()} | metrics

    def propose(self, state, obs, key, *, steps, candidates):
        noise_key, choice_key = jax.random.split(key)
        proposal = super().propose(state, obs, noise_key, steps=steps, candidates=candidates)
        chosen = inference.choose_softly(proposal.q, self.temperature, choice_key)
        return proposal._replace(chosen=chosen)
