"""What actor-critics share: each part descends a loss of its own, one after the other.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        critic:  descend | Q_i(o, a) - (r + gamma^k mask agg_i Q'_i(o', a')) |^2,  a' ~ the policy
        policy:  descend a loss that says what a good action is              # lesson 7
        Q' <- moving average of Q

An agent of this kind names its networks, their losses in order, and how its policy turns noise into
an action. SORL does without: its two parts draw a number of steps together.

Source: Sutton and Barto, Reinforcement Learning, 2nd ed., section 13.5 (actor-critic methods).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from sorl_edu import inference
from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.agent import Encoder, Learner, Network, Optimizer
from sorl_edu.flow_matching import integrate
from sorl_edu.networks import CriticEnsemble, DeterministicPolicy, VelocityField


@struct.dataclass
class ActorCriticState(agent.AgentState):
    """What an actor-critic learns; an agent with more networks adds a learner for each."""

    critic: Learner  # Q_1 and Q_2, and their moving average Q'
    policy: Learner


@dataclass(frozen=True)
class ActorCritic:
    """An agent whose critics and policy learn in turn. A subclass says how.

    It implements `networks` and `objectives`, where it has more than a critic and a policy;
    `policy_loss`; `next_actions`, unless its critic learns otherwise; and `sampler`.
    """

    discount: float = 0.99
    """gamma, per transition."""
    n_step: int = 1
    """Transitions whose rewards are summed before bootstrapping."""
    q_aggregation: td.Aggregation = "mean"
    """How the critics are combined in TD targets and in best-of-N: "mean", or "min"."""
    tau: float = 0.005
    """How far the moving averages follow the parameters in one update, in (0, 1]."""
    batch_size: int = 256
    """Transitions per update."""
    policy: Network = Network()
    critic: Network = Network(layer_norm=True)
    encoder: Encoder = Encoder()
    optimizer: Optimizer = Optimizer(3e-4, grad_clip_norm=0)

    State: ClassVar[type] = ActorCriticState
    averaged: ClassVar[tuple[str, ...]] = ("critic",)
    """The learners that have a moving average."""

    def __post_init__(self) -> None:
        agent.check_positive(self, "n_step", "batch_size")
        td.check_critic_settings(self.discount, self.tau, self.q_aggregation)

    # ------------------------------------------------------------------------ what a subclass says

    def networks(self, action_dim: int) -> dict[str, nn.Module]:
        """The network of each learner."""
        return {
            "critic": CriticEnsemble(self.critic.hidden, layer_norm=self.critic.layer_norm),
            "policy": self.policy_network(action_dim),
        }

    def objectives(self) -> dict[str, Callable]:
        """The loss of each learner, as loss(params, state, batch, key), in the order of descent."""
        return {"critic": self.critic_loss, "policy": self.policy_loss}

    def noise_width(self, state: ActorCriticState) -> int:
        """How many numbers of noise an action takes: as many as it has, unless told otherwise."""
        return state.action_dim

    def acting(self, state: ActorCriticState) -> dict:
        """The parameters of the policy that acts: those that learn, unless told otherwise."""
        return state.policy.params

    # ------------------------------------------------------------------- the methods of every agent

    def prepare(self, data):
        return data.with_n_step_returns(self.n_step, self.discount)

    def init(self, key, data):
        action_dim = data.actions.shape[1]
        networks = self.networks(action_dim)
        encoder_key, *keys = jax.random.split(key, 1 + len(networks))
        encoder = self.encoder.create(data.observations, encoder_key)
        obs, action = encoder(data.observations[:1]), data.actions[:1]
        learners = {}
        for (name, network), own_key in zip(networks.items(), keys, strict=True):
            params = network.init(own_key, *network.inputs(obs, action))
            target = name in self.averaged
            learners[name] = Learner.create(params, self.optimizer, target=target)
        return self.State(encoder, action_dim, **learners)

    def update(self, state, batch, key, shared_key):
        batch, metrics = agent.encode(state.encoder, batch), {}
        objectives = self.objectives()
        keys = jax.random.split(key, len(objectives))
        for (name, loss), loss_key in zip(objectives.items(), keys, strict=True):
            learner = getattr(state, name)
            gradient, found = jax.grad(loss, has_aux=True)(learner.params, state, batch, loss_key)
            state = state.replace(**{name: learner.descend(self.optimizer, gradient)})
            metrics |= found
        averages = {name: getattr(state, name).follow(self.tau) for name in self.averaged}
        return state.replace(**averages), metrics

    def losses(self, state, batch, key, shared_key):
        batch, metrics = agent.encode(state.encoder, batch), {}
        objectives = self.objectives()
        keys = jax.random.split(key, len(objectives))
        for (name, loss), loss_key in zip(objectives.items(), keys, strict=True):
            metrics |= loss(getattr(state, name).params, state, batch, loss_key)[1]
        return metrics

    def propose(self, state, obs, key, *, steps, candidates):
        inference.check_budget(steps, candidates, len(obs))
        noise = inference.candidate_noise(key, candidates, len(obs), self.noise_width(state))
        sample, worth = self.sampler(state, self.acting(state), steps), partial(self.worth, state)
        return inference.propose(sample, worth, state.encoder(obs), noise)

    def value(self, state, obs, actions, *, steps):
        return self.worth(state, state.encoder(obs), actions)

    # In what follows, observations are the encoder's features.

    def critic_loss(self, params, state, batch, key):
        """The TD loss of the critics `params`, and metrics."""
        target = td.td_target(
            self.function(state, "critic", state.critic.target),
            batch,
            self.next_actions(state, batch, key),
            discount=self.discount,
            aggregation=self.q_aggregation,
        )
        return td.td_loss(self.function(state, "critic", params), batch, target)

    def draw(
        self,
        state: ActorCriticState,
        params: PyTree,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        steps: int = 1,
    ) -> Float[Array, "batch action"]:
        """a ~ pi(. | o) of the policy `params`, one action for every observation."""
        noise = jax.random.normal(key, (len(obs), self.noise_width(state)))
        return self.sampler(state, params, steps)(obs, noise)

    def function(self, state: ActorCriticState, name: str, params: dict | None = None) -> Callable:
        """The network `name` as a function of its inputs, with `params` or what it has learned."""
        params = getattr(state, name).params if params is None else params
        return partial(self.networks(state.action_dim)[name].apply, params)

    def worth(
        self,
        state: ActorCriticState,
        obs: Float[Array, "batch obs"],
        actions: Float[Array, "batch action"],
        params: dict | None = None,
    ) -> Float[Array, " batch"]:
        """agg_i Q_i(o, a) of critics with `params`, or of those that have learned."""
        return td.aggregate(
            self.function(state, "critic", params)(obs, actions), self.q_aggregation
        )


class FlowPolicy:
    """The policy is a flow (lesson 1): a = ODE_v(o, z), in any number of steps."""

    def policy_network(self, action_dim):
        return VelocityField(self.policy.hidden, action_dim, self.policy.layer_norm)

    def sampler(self, state, params, steps):
        """a = ODE_v(o, z) of the field `params` in m Euler steps, limited to [-1, 1]."""
        field = self.function(state, "policy", params)
        return lambda obs, noise: jnp.clip(integrate(field, obs, noise, steps), -1, 1)

    def flow(self, state, *, steps):
        field = self.function(state, "policy")
        return lambda obs, a_t, t: field(state.encoder(obs), a_t, t)


class DeterministicActor:
    """The policy is one action for an observation, a = mu(o): it has no dial at test time."""

    def policy_network(self, action_dim):
        return DeterministicPolicy(self.policy.hidden, action_dim, self.policy.layer_norm)

    def sampler(self, state, params, steps):
        """a = mu(o) of the policy `params`, limited to [-1, 1]; the noise has no part in it."""
        mu = self.function(state, "policy", params)
        return lambda obs, noise: jnp.clip(mu(obs), -1, 1)

    def propose(self, state, obs, key, *, steps, candidates):
        agent.check_no_dials(self, steps, candidates)
        return super().propose(state, obs, key, steps=steps, candidates=candidates)


def noise_like(
    actions: Float[Array, "batch action"], key: PRNGKeyArray
) -> Float[Array, "batch action"]:
    """z ~ N(0, I), one for every action."""
    return jax.random.normal(key, actions.shape)
