"""Implicit diffusion Q-learning (IDQL): a diffusion model imitates all data, and Q chooses.

    repeat, with a batch of the dataset:
        the critics of implicit_q.py
        descend | eps(alpha_t a + sigma_t z, t | o) - z |^2,  t ~ U{0 ... T - 1}   # denoising.py
        eps' <- moving average of eps
    act:  a^(1) ... a^(N) ~ eps' in T steps,   a = argmax_n min_i Q_i(o, a^(n))    # lesson 5

It is IFQL with a diffusion model (DDPM, T = 5) in the place of the flow, and older. The network has
residual blocks with LayerNorm and, in training, dropout. N is its only dial at test time.

Source: Hansen-Estruch et al., IDQL: Implicit Q-Learning as an Actor-Critic Method with Diffusion
Policies, 2023, arXiv 2304.10573 (algorithms 1 and 2), and its code. The code lets the policy's
learning rate decay, and chooses by the critics' moving average; here the rate is constant, and the
critics themselves choose, as for all agents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import PyTree

from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.agent import Network
from sorl_edu.agents.implicit_q import ImplicitQ, ImplicitQState
from sorl_edu.denoising import ancestral_sample, drawn_level, epsilon_loss, split_noise, vp_levels
from sorl_edu.errors import check
from sorl_edu.networks import NoisePredictor


@struct.dataclass
class IDQLState(ImplicitQState):
    """What IDQL learns."""

    average: PyTree = None  # eps', with which it acts


@dataclass(frozen=True)
class IDQL(ImplicitQ):
    """Implicit Q-learning's critics, a diffusion model, and a choice among its candidates."""

    denoise_steps: int = 5
    """T, the levels of noise, and the steps from noise to an action."""
    policy_tau: float = 0.001
    """How far eps' follows eps in one update, in (0, 1]."""
    dropout: float = 0.1
    """Share of a residual block's inputs that an update leaves out, in [0, 1)."""
    policy: Network = Network((256, 256, 256), layer_norm=True)
    """A residual block for each width."""

    State: ClassVar[type] = IDQLState

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_positive(self, "denoise_steps")
        check(0 < self.policy_tau <= 1, f"policy_tau must be in (0, 1], got {self.policy_tau}")
        check(0 <= self.dropout < 1, f"dropout must be in [0, 1), got {self.dropout}")

    def policy_network(self, action_dim):
        return NoisePredictor(self.policy.hidden, action_dim, self.policy.layer_norm, self.dropout)

    def init(self, key, data):
        state = super().init(key, data)
        return state.replace(average=jax.tree.map(jnp.copy, state.policy.params))

    def update(self, state, batch, key, shared_key):
        state, metrics = super().update(state, batch, key, shared_key)
        average = td.polyak_average(state.average, state.policy.params, self.policy_tau)
        return state.replace(average=average), metrics

    def policy_loss(self, params, state, batch, key):
        """The diffusion loss of the model `params`, with dropout, and metrics."""
        loss_key, dropout_key = jax.random.split(key)
        model = partial(
            self.function(state, "policy", params), training=True, rngs={"dropout": dropout_key}
        )
        noising = drawn_level(vp_levels(self.denoise_steps))
        return epsilon_loss(model, batch.observations, batch.actions, loss_key, noising)

    def sampler(self, state, params, steps):
        """The T steps of the model `params`; the noise is T times as wide as an action."""
        check(
            steps == 1,
            f"IDQL takes the {self.denoise_steps} denoising steps that it has learned, and knows "
            "no others: use steps = 1, which stands for all of them",
        )
        model, levels = self.function(state, "policy", params), vp_levels(self.denoise_steps)
        return lambda obs, noise: ancestral_sample(
            model, obs, split_noise(noise, self.denoise_steps), levels
        )

    def noise_width(self, state):
        return self.denoise_steps * state.action_dim

    def acting(self, state):
        return state.average
