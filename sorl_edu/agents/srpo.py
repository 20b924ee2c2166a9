"""Score-regularised policy optimisation (SRPO): climb Q and the data's density, by their slopes.

    repeat, with a batch of the dataset:
        the critics of implicit_q.py
        descend | eps(alpha_t a + sigma_t z, t | o) - z |^2,  t ~ U(0.001, 1)     # denoising.py
        move mu(o) against  sigma_t^2 (eps(alpha_t mu + sigma_t z, t | o) - z)
                            - beta dQ'/da,  at a = mu(o),  t ~ U(0.02, 0.98)      # lesson 7

The diffusion model never makes an action: it only says where the data are dense. mu(o) ends in one
mode of the data, where IQL's lies between them. No gradient passes through eps or Q.

Source: Chen et al., Score Regularized Policy Optimization through Diffusion Behavior, 2023,
arXiv 2310.07297 (algorithm 1), and its code; the network of eps is IDQL's, as in Park et al., 2025,
arXiv 2502.02538. There eps and Q are trained first, and mu afterwards; here all learn side by side,
so that one update is one update for every agent. The code lets mu's learning rate decay.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import DeterministicActor
from sorl_edu.agents.agent import Learner, Network
from sorl_edu.agents.implicit_q import ImplicitQ, ImplicitQState
from sorl_edu.denoising import drawn_time, epsilon_loss, score_distillation
from sorl_edu.errors import check
from sorl_edu.networks import DeterministicPolicy, NoisePredictor
from sorl_edu.policy_extraction import pulled


@struct.dataclass
class SRPOState(ImplicitQState):
    """What SRPO learns."""

    diffusion: Learner  # eps


@dataclass(frozen=True)
class SRPO(DeterministicActor, ImplicitQ):
    """Score-regularised policy optimisation; see the module's pseudocode."""

    q_weight: float = 0.1
    """beta: 0 climbs the data's density alone, larger follows the critic more."""
    q_gradient_normalized: bool = False
    """Divide dQ/da by its root mean square over the action; published for mazes."""
    dropout: float = 0.1
    """Share of a residual block's inputs that an update of eps leaves out, in [0, 1)."""
    policy: Network = Network((256, 256))
    diffusion: Network = Network((256, 256, 256), layer_norm=True)
    """A residual block for each width."""

    State: ClassVar[type] = SRPOState

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "q_weight")
        check(0 <= self.dropout < 1, f"dropout must be in [0, 1), got {self.dropout}")

    def networks(self, action_dim):
        hidden, layer_norm = self.diffusion.hidden, self.diffusion.layer_norm
        diffusion = NoisePredictor(hidden, action_dim, layer_norm, self.dropout)
        return super().networks(action_dim) | {"diffusion": diffusion}

    def policy_network(self, action_dim):
        hidden, layer_norm = self.policy.hidden, self.policy.layer_norm
        return DeterministicPolicy(hidden, action_dim, layer_norm, squash=True)

    def objectives(self):
        losses = self.value_loss, self.critic_loss, self.diffusion_loss, self.policy_loss
        return dict(zip(("values", "critic", "diffusion", "policy"), losses, strict=True))

    def diffusion_loss(self, params, state, batch, key):
        """The diffusion loss of the model `params`, with dropout, and metrics."""
        loss_key, dropout_key = jax.random.split(key)
        model = partial(
            self.function(state, "diffusion", params), training=True, rngs={"dropout": dropout_key}
        )
        noising = drawn_time(1e-3, 1)
        return epsilon_loss(model, batch.observations, batch.actions, loss_key, noising)

    def policy_loss(self, params, state, batch, key):
        """The pull on the actions of the policy `params`, and metrics.

        The loss is only what has the right gradient: it has no least value to approach.
        """
        obs = batch.observations
        actions = self.function(state, "policy", params)(obs)
        density = score_distillation(
            self.function(state, "diffusion"), obs, actions, key, drawn_time(0.02, 0.98)
        )
        q, slope = self.q_and_slope(state, obs, actions)
        loss = pulled(actions, density - self.q_weight * slope)
        return loss, {"policy_loss": loss, "q_policy": q.mean()}

    def q_and_slope(self, state, obs, actions):
        """Q'(o, a), the mean of the critics' moving averages, and its slope dQ'/da."""
        critic = self.function(state, "critic", state.critic.target)
        q, slopes = jax.vjp(lambda a: critic(obs, a).mean(0), actions)
        slope = slopes(jnp.ones_like(q))[0]
        if self.q_gradient_normalized:
            slope /= jnp.sqrt(jnp.mean(slope**2, axis=-1, keepdims=True)) + 1e-8
        return q, slope
