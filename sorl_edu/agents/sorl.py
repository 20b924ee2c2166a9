"""Lesson 4, SORL: one-stage offline RL with a shortcut model as the policy.

    repeat, with a batch (o, a, r, mask, o') of the dataset:
        m ~ U{1, 2, 4, ..., M_BTT}                                   # critic
        a' ~ pi(. | o', m)
        descend | Q_i(o, a, m) - (r + gamma^k mask agg_i Q'_i(o', a', m)) |^2

        m ~ U{1, 2, 4, ..., M_BTT}                                   # policy
        a^pi ~ pi(. | o, m), with the gradient through all m steps
        L_Q  = - mean Q(o, a^pi, m) / |mean |Q||
        L_FM = flow matching at the smallest step (lesson 1)
        L_SC = self-consistency at every larger step (lesson 2)
        descend  q_weight L_Q + flow_weight L_FM + consistency_weight L_SC

        Q', s' <- moving averages of Q, s

Source: Espinosa-Dice et al., Scaling Offline RL via Efficient and Expressive Shortcut Models, 2025,
arXiv 2505.22866 (algorithm 1). Defaults are those of the published code where it has the
hyper-parameter; DESIGN.md says where this library departs from it and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from sorl_edu import inference, shortcut
from sorl_edu import temporal_difference as td
from sorl_edu.agents import agent
from sorl_edu.agents.agent import Encoder, Learner, Network, Optimizer
from sorl_edu.flow_matching import flow_matching_loss, grid_times
from sorl_edu.networks import CriticEnsemble, ShortcutField
from sorl_edu.shortcut import at_step_size, check_steps, sample_from, self_consistency_loss


@struct.dataclass
class SORLState(agent.AgentState):
    """What SORL learns."""

    field: Learner  # s, and its moving average s'
    critic: Learner  # Q_1 and Q_2, and their moving average Q'


@dataclass(frozen=True)
class SORL:
    """Scalable offline RL with a shortcut policy; see the module's pseudocode."""

    q_weight: float = 100.0
    """Weight of Q-maximisation: larger is greedier, smaller stays closer to the data."""
    flow_weight: float = 10.0
    """Weight of flow matching, which holds the policy to the data at the smallest step."""
    consistency_weight: float = 10.0
    """Weight of self-consistency, which ties the larger steps to the smallest."""
    denoise_steps: int = 8
    """M, the number of steps of the finest flow; a power of two, at least 2."""
    max_backprop_steps: int = 8
    """M_BTT, the most steps that Q's gradient goes back through; a power of two, at most M."""
    discount: float = 0.99
    """gamma, per transition."""
    n_step: int = 1
    """Transitions whose rewards are summed before bootstrapping."""
    q_aggregation: td.Aggregation = "mean"
    """How the critics are combined in TD targets and in best-of-N: "mean", or "min"."""
    critic_sees_steps: bool = True
    """Feed the critic the number of steps m, as the published code does; the paper does not."""
    tau: float = 0.005
    """How far the moving averages follow the parameters in one update, in (0, 1]."""
    batch_size: int = 256
    """Transitions per update."""
    field: Network = Network()
    critic: Network = Network(layer_norm=True)
    encoder: Encoder = Encoder()
    optimizer: Optimizer = Optimizer()

    def __post_init__(self) -> None:
        shortcut.check_denoise_steps(self.denoise_steps)
        shortcut.check_backprop_steps(self.max_backprop_steps, self.denoise_steps)
        agent.check_not_negative(self, "q_weight", "flow_weight", "consistency_weight")
        agent.check_positive(self, "n_step", "batch_size")
        td.check_critic_settings(self.discount, self.tau, self.q_aggregation)

    def prepare(self, data):
        return data.with_n_step_returns(self.n_step, self.discount)

    def init(self, key, data):
        encoder_key, field_key, critic_key = jax.random.split(key, 3)
        encoder = self.encoder.create(data.observations, encoder_key)
        obs, action, one = encoder(data.observations[:1]), data.actions[:1], jnp.ones((1, 1))
        width = action.shape[1]
        field = self._field_network(width).init(field_key, obs, action, one, one)
        m = one if self.critic_sees_steps else None
        critic = self._critic_network().init(critic_key, obs, action, m)
        create = partial(Learner.create, optimizer=self.optimizer, target=True)
        return SORLState(encoder, width, create(field), create(critic))

    def update(self, state, batch, key, shared_key):
        batch = agent.encode(state.encoder, batch)
        (critic_key, policy_key), (critic_m, policy_m) = map(jax.random.split, (key, shared_key))

        gradient = self._at_random_steps(jax.grad(self.critic_loss, has_aux=True), critic_m)
        grads, critic_metrics = gradient(state.critic.params, state, batch, critic_key)
        state = state.replace(critic=state.critic.descend(self.optimizer, grads))

        gradient = self._at_random_steps(jax.grad(self.policy_loss, has_aux=True), policy_m)
        grads, policy_metrics = gradient(state.field.params, state, batch, policy_key)
        state = state.replace(field=state.field.descend(self.optimizer, grads))

        critic, field = state.critic.follow(self.tau), state.field.follow(self.tau)
        return state.replace(critic=critic, field=field), critic_metrics | policy_metrics

    def losses(self, state, batch, key, shared_key):
        batch = agent.encode(state.encoder, batch)
        keys, ms = jax.random.split(key), jax.random.split(shared_key)
        losses = (self.critic_loss, state.critic.params), (self.policy_loss, state.field.params)
        metrics = {}
        for (loss, params), loss_key, m in zip(losses, keys, ms, strict=True):
            metrics |= self._at_random_steps(loss, m)(params, state, batch, loss_key)[1]
        return metrics

    def propose(self, state, obs, key, *, steps, candidates):
        inference.check_budget(steps, candidates, len(obs))
        check_steps(steps)
        s, q = self.s(state, state.field.params), self.q(state.critic.params, steps)
        noise = inference.candidate_noise(key, candidates, len(obs), state.action_dim)
        return inference.propose(
            lambda obs, noise: sample_from(s, obs, noise, steps, self.denoise_steps),
            lambda obs, actions: td.aggregate(q(obs, actions), self.q_aggregation),
            state.encoder(obs),
            noise,
        )

    def value(self, state, obs, actions, *, steps):
        q = self.q(state.critic.params, steps)
        return td.aggregate(q(state.encoder(obs), actions), self.q_aggregation)

    def flow(self, state, *, steps):
        s = at_step_size(self.s(state, state.field.params), 1 / min(steps, self.denoise_steps))
        return lambda obs, a_t, t: s(state.encoder(obs), a_t, t)

    # In what follows, observations are the encoder's features. A subclass may replace any of it.

    def critic_loss(self, params, state, batch, key, *, steps):
        """The TD loss of the critics `params` for the policy of m steps, and metrics."""
        target = self.td_target(state, batch, key, steps=steps)
        return td.td_loss(self.q(params, steps), batch, target)

    def td_target(self, state, batch, key, *, steps):
        """y = r + gamma^k mask agg_i Q'_i(o', a', m) with a' ~ pi(. | o', m)."""
        q, obs = self.q(state.critic.target, steps), batch.next_observations
        next_actions = self.sample(state, state.field.params, obs, key, steps=steps)
        return td.td_target(
            q, batch, next_actions, discount=self.discount, aggregation=self.q_aggregation
        )

    def policy_loss(self, params, state, batch, key, *, steps):
        """q_weight L_Q + flow_weight L_FM + consistency_weight L_SC of the field `params`, where
        L_Q is that of the m-step policy; and metrics."""
        q_key, fm_key, sc_key = jax.random.split(key, 3)
        obs, actions, M = batch.observations, batch.actions, self.denoise_steps
        s, average = self.s(state, params), self.s(state, state.field.target)
        a = self.sample(state, params, obs, q_key, steps=steps)

        l_q, metrics = td.q_loss(self.q(state.critic.params, steps), obs, a)
        finest, times = at_step_size(s, 1 / M), grid_times(M)
        l_fm, fm_metrics = flow_matching_loss(finest, obs, actions, fm_key, times=times)
        l_sc, sc_metrics = self_consistency_loss(s, average, obs, actions, sc_key, M)
        loss = self.q_weight * l_q + self.flow_weight * l_fm + self.consistency_weight * l_sc
        return loss, {"policy_loss": loss} | metrics | fm_metrics | sc_metrics

    def sample(self, state, params, obs, key, *, steps):
        """a ~ pi(. | o, m) of the field `params`."""
        noise = jax.random.normal(key, (len(obs), state.action_dim))
        return sample_from(self.s(state, params), obs, noise, steps, self.denoise_steps)

    def s(self, state: SORLState, params: dict) -> shortcut.Shortcut:
        """s(a_t, t, h | o) with these parameters."""
        return partial(self._field_network(state.action_dim).apply, params)

    def q(self, params: dict, steps: int) -> td.Critic:
        """Q(o, a, m) with these parameters; beyond M_BTT, the critic of the M_BTT-step policy."""
        apply, m = self._critic_network().apply, jnp.float32(min(steps, self.max_backprop_steps))
        if not self.critic_sees_steps:
            return partial(apply, params)
        return lambda obs, actions: apply(params, obs, actions, jnp.full((len(obs), 1), m))

    def _at_random_steps(self, function, shared_key):
        """`function(..., steps=m)` at one m ~ U{1, 2, 4, ..., M_BTT}. A gradient belongs inside
        `function`: differentiating the switch would keep all branches' residuals in memory."""
        levels = range(int(self.max_backprop_steps).bit_length())
        level = jax.random.randint(shared_key, (), 0, len(levels))
        return partial(jax.lax.switch, level, [partial(function, steps=2**j) for j in levels])

    def _field_network(self, action_dim: int) -> ShortcutField:
        return ShortcutField(self.field.hidden, action_dim, self.field.layer_norm)

    def _critic_network(self) -> CriticEnsemble:
        return CriticEnsemble(self.critic.hidden, layer_norm=self.critic.layer_norm)
