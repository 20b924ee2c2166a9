"""Expressive values (EVOR): a flow clones, another learns the law of returns, and a choice is made.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        a' = ODE_v(o', .),  z' = ODE_u'(z_0' | o', a')                         # value, lesson 8
        y  = (1 - gamma) r + gamma^k mask z'
        descend | u_i(z_t, t | o, a) - (y - z_0) |^2
        descend | v(a_t, t | o) - (a - a_0) |^2                                # policy, lesson 1
        u' <- moving average of u
    act:  a^(1) ... a^(N) ~ ODE_v,   z^(n, 1) ... z^(n, N_R) = ODE_u of each
          Q_n = tau_R ln mean_i exp(z^(n, i) / tau_R),   n ~ softmax_n Q_n / tau_Q

Nothing is optimised but two regressions: how greedy to be is left to test time. IFQL and BFN choose
in the same way, by a critic that has a mean.

**Dials of test time.** Policy steps m and candidates N are those of every agent. The fields named
in `dials` are more of them, and a state does not depend on them: `with_dials(agent,
return_temperature=0.1)` acts with the state that another temperature was trained with, and
experiments whose agents differ in nothing else share one training.

Values are on lesson 8's unit scale, (1 - gamma) times a return, and so are both temperatures. The
flow itself works in units of `return_noise`: a few steps, and a small network, lose what is far
narrower than the noise.

Source: Espinosa-Dice, Brantley and Sun, EVOR: Expressive Value Learning for Scalable Offline RL,
2025, arXiv 2510.08218. Its body and code could not be read: this is a reconstruction from its
abstract and reviews, and no default is published. Those here are Flow Q-learning's (arXiv
2502.02538). Reconstructed, too: an ensemble's fields are averaged, returns are limited to what the
data's rewards allow, and return noise is N_R quantiles of N(0, 1), so that an action has one value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import jax
from flax import struct
from jaxtyping import Array, Float

from sorl_edu import expressive_value, inference
from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCritic, ActorCriticState, FlowPolicy
from sorl_edu.errors import check
from sorl_edu.flow_matching import flow_matching_loss
from sorl_edu.networks import ReturnFieldEnsemble


@struct.dataclass
class EVORState(ActorCriticState):
    """What EVOR learns; its critic is u."""

    bounds: Float[Array, "*seeds 2"] = None  # of returns, on the unit scale


class ReturnFlow:
    """The critic is a flow u of the return, as it is in EVOR; before `ActorCritic`."""

    State = EVORState

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.discount < 1, "discount must be below 1: values are (1 - discount) x returns")
        check(self.return_noise > 0, f"return_noise must be positive, got {self.return_noise}")

    def networks(self, action_dim):
        field = ReturnFieldEnsemble(self.critic.hidden, layer_norm=self.critic.layer_norm)
        return super().networks(action_dim) | {"critic": field}

    def init(self, key, data):
        bounds = expressive_value.return_bounds(data.rewards, self.discount, self.n_step)
        return super().init(key, data).replace(bounds=bounds)

    def return_field(self, state, params=None) -> expressive_value.ReturnField:
        """u(z_t, t | o, a) of the fields `params` together, or of those that have learned."""
        fields = self.function(state, "critic", params)
        return lambda *inputs: td.aggregate(fields(*inputs), self.q_aggregation)

    def in_noise(self, batch: td.Batch) -> td.Batch:
        """A batch with rewards in units of the return noise."""
        return replace(batch, rewards=batch.rewards / self.return_noise)


@dataclass(frozen=True)
class EVOR(ReturnFlow, FlowPolicy, ActorCritic):
    """Expressive values; see the module's pseudocode."""

    bootstrap: expressive_value.Bootstrap = "coupled"
    """The form of the TD loss: "samples", "coupled" (the same noise at o and o'), "velocities"."""
    return_noise: float = 0.1
    """Deviation of the noise z_0, on the unit scale: as wide as the returns are spread."""
    flow_steps: int = 10
    """Euler steps of a' in training."""
    return_steps: int = 4
    """Midpoint steps of z' in training, of two evaluations each."""
    value_steps: int = 4
    """Midpoint steps of returns at test time; a dial."""
    return_samples: int = 8
    """N_R, the returns that are read out for each candidate; a dial."""
    return_temperature: float = math.inf
    """tau_R: inf reads the mean of returns, 0 the largest one; a dial."""
    choice_temperature: float = 0.0
    """tau_Q: 0 chooses the best candidate, inf any of them; a dial."""
    q_aggregation: td.Aggregation = "mean"
    """How the velocities of the fields are combined, wherever they are: "mean", or "min"."""

    dials: ClassVar[tuple[str, ...]] = (
        *("value_steps", "return_samples", "return_temperature", "choice_temperature"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_positive(self, "flow_steps", "return_steps", "value_steps", "return_samples")
        agent.check_not_negative(self, "return_temperature", "choice_temperature")

    def critic_loss(self, params, state, batch, key):
        """The TD flow matching loss of the fields `params`, and metrics."""
        action_key, loss_key = jax.random.split(key)
        obs, policy = batch.next_observations, state.policy.params
        return expressive_value.td_flow_loss(
            self.function(state, "critic", params),
            self.return_field(state, state.critic.target),
            self.in_noise(batch),
            self.draw(state, policy, obs, action_key, self.flow_steps),
            loss_key,
            discount=self.discount,
            steps=self.return_steps,
            bootstrap=self.bootstrap,
            bounds=state.bounds / self.return_noise,
        )

    def policy_loss(self, params, state, batch, key):
        """The flow matching loss of the field `params`, and metrics."""
        field = self.function(state, "policy", params)
        return flow_matching_loss(field, batch.observations, batch.actions, key)

    def returns(self, state, obs, actions, *, samples):
        quantiles = expressive_value.sample_returns(
            self.return_field(state),
            state.encoder(obs),
            actions,
            expressive_value.normal_quantiles(samples),
            self.value_steps,
            state.bounds / self.return_noise,
        )
        return self.return_noise * quantiles

    def worth(self, state, obs, actions, params=None):
        """The read-out of returns of (o, a), on the unit scale."""
        value = expressive_value.expressive_value(
            self.return_field(state, params),
            expressive_value.normal_quantiles(self.return_samples),
            steps=self.value_steps,
            temperature=self.return_temperature / self.return_noise,
            bounds=state.bounds / self.return_noise,
        )
        return self.return_noise * value(obs, actions)

    def propose(self, state, obs, key, *, steps, candidates):
        proposal = super().propose(state, obs, key, steps=steps, candidates=candidates)
        choice_key = inference.choice_key(key)
        chosen = inference.choose_softly(proposal.q, self.choice_temperature, choice_key)
        return proposal._replace(chosen=chosen)
