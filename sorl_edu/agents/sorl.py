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
hyper-parameter; the README says where this library departs from it and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu import flow_matching, inference, shortcut, temporal_difference
from sorl_edu.agents.agent import Metrics
from sorl_edu.datasets.transitions import Batch, Transitions
from sorl_edu.errors import check, is_power_of_two
from sorl_edu.flow_matching import Field
from sorl_edu.inference import Proposal
from sorl_edu.networks import CriticEnsemble, ObservationEncoder, ShortcutField
from sorl_edu.temporal_difference import Aggregation, Critic, polyak_average, steps_column


@struct.dataclass
class SORLState:
    """All that SORL learns, and the encoder that goes with it."""

    encoder: ObservationEncoder
    field: dict  # parameters of s
    target_field: dict  # s', the moving average of s
    critic: dict  # parameters of Q_1, Q_2
    target_critic: dict  # Q', the moving average of Q
    field_optimizer: optax.OptState
    critic_optimizer: optax.OptState
    action_dim: int = struct.field(pytree_node=False)


@dataclass(frozen=True)
class SORL:
    """Scalable offline RL with a shortcut policy; see the module's pseudocode.

    Raises:
        ConfigError: a hyper-parameter is outside the range in which the algorithm is defined.
    """

    q_weight: float = 100.0
    """Weight of Q-maximisation: larger is greedier, smaller stays closer to the data."""
    flow_weight: float = 10.0
    """Weight of flow matching, which holds the policy to the data at the smallest step."""
    consistency_weight: float = 10.0
    """Weight of self-consistency, which ties the larger steps to the smallest."""
    normalize_q_loss: bool = True
    """Divide the Q loss by the mean |Q| of the batch, so that q_weight needs no reward scale."""

    denoise_steps: int = 8
    """M, the number of steps of the finest flow; a power of two, at least 2."""
    max_backprop_steps: int = 8
    """M_BTT, the most steps that Q's gradient goes back through; a power of two, at most M."""

    discount: float = 0.99
    """gamma, per transition."""
    n_step: int = 1
    """Transitions whose rewards are summed before bootstrapping."""
    q_aggregation: Aggregation = "mean"
    """How the critics are combined in TD targets and in best-of-N: "mean", or "min"."""
    critic_sees_steps: bool = True
    """Feed the critic the number of steps m, as the published code does; the paper does not."""
    tau: float = 0.005
    """How far the target networks move towards the online ones per update, in (0, 1]."""

    field_hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of the policy's hidden layers."""
    field_layer_norm: bool = False
    """LayerNorm in the policy."""
    critic_hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of the critics' hidden layers."""
    critic_layer_norm: bool = True
    """LayerNorm in the critics."""
    critics: int = 2
    """Networks in the critic ensemble."""
    normalize_observations: bool = False
    """Shift and scale observations to zero mean and unit deviation over the dataset."""
    fourier_features: int = 0
    """Random Fourier frequencies of the observation given to the networks; 0 for none."""
    fourier_scale: float = 1.0
    """Deviation of those frequencies, in cycles per unit of the (normalised) observation."""

    batch_size: int = 256
    """Transitions per update."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    beta1: float = 0.9
    """Adam's decay of the gradient's mean."""
    beta2: float = 0.999
    """Adam's decay of the gradient's square."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    grad_clip_norm: float = 1.0
    """Largest global gradient norm; 0 for no clipping."""
    policy_updates_per_batch: int = 1
    """Policy updates for each critic update."""
    epsilon: float = flow_matching.EPSILON
    """eps of the probability path."""

    def __post_init__(self) -> None:
        shortcut.check_denoise_steps(self.denoise_steps)
        check(
            is_power_of_two(self.max_backprop_steps),
            f"max_backprop_steps (M_BTT) must be a power of two, got {self.max_backprop_steps}",
        )
        check(
            self.max_backprop_steps <= self.denoise_steps,
            f"max_backprop_steps (M_BTT = {self.max_backprop_steps}) must be at most denoise_steps "
            f"(M = {self.denoise_steps}): finer steps than 1/M are never trained",
        )
        for name in ("q_weight", "flow_weight", "consistency_weight", "weight_decay"):
            check(getattr(self, name) >= 0, f"{name} must not be negative: {getattr(self, name)}")
        for name in ("n_step", "critics", "batch_size", "policy_updates_per_batch"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("field_hidden", "critic_hidden"):
            widths = getattr(self, name)
            check(
                len(widths) > 0 and all(width >= 1 for width in widths),
                f"{name} must name at least one width of at least 1, got {widths}",
            )
        check(0 <= self.discount <= 1, f"discount must be in [0, 1], got {self.discount}")
        check(0 < self.tau <= 1, f"tau must be in (0, 1], got {self.tau}")
        check(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}")
        check(self.grad_clip_norm >= 0, f"grad_clip_norm must be 0 or more: {self.grad_clip_norm}")
        check(
            self.fourier_features >= 0,
            f"fourier_features must be 0 or more, got {self.fourier_features}",
        )
        check(
            self.q_aggregation in ("mean", "min"),
            f"q_aggregation must be 'mean' or 'min', got {self.q_aggregation!r}",
        )

    def prepare(self, data: Transitions) -> Transitions:
        return temporal_difference.n_step_returns(data, self.n_step, self.discount)

    def init(self, key: PRNGKeyArray, data: Transitions) -> SORLState:
        encoder_key, field_key, critic_key = jax.random.split(key, 3)
        encoder = ObservationEncoder.create(
            data,
            encoder_key,
            normalize=self.normalize_observations,
            fourier_features=self.fourier_features,
            fourier_scale=self.fourier_scale,
        )
        obs, action, one = encoder(data.observations[:1]), data.actions[:1], jnp.ones((1, 1))
        action_dim = action.shape[1]
        field = self._field_network(action_dim).init(field_key, obs, action, one, one)
        critic = self._critic_network().init(critic_key, obs, action, one)
        return SORLState(
            encoder=encoder,
            field=field,
            target_field=jax.tree.map(jnp.copy, field),
            critic=critic,
            target_critic=jax.tree.map(jnp.copy, critic),
            field_optimizer=self._optimizer().init(field),
            critic_optimizer=self._optimizer().init(critic),
            action_dim=action_dim,
        )

    def update(
        self, state: SORLState, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> tuple[SORLState, Metrics]:
        batch = encode(state.encoder, batch)
        keys = jax.random.split(key, 1 + self.policy_updates_per_batch)
        shared_keys = jax.random.split(shared_key, 1 + self.policy_updates_per_batch)

        grads, metrics = self._with_drawn_steps(
            jax.grad(self.critic_loss, has_aux=True), shared_keys[0]
        )(state.critic, state, batch, keys[0])
        critic, critic_optimizer = self._descend(state.critic, grads, state.critic_optimizer)
        state = state.replace(critic=critic, critic_optimizer=critic_optimizer)

        for policy_key, policy_shared_key in zip(keys[1:], shared_keys[1:], strict=True):
            grads, policy_metrics = self._with_drawn_steps(
                jax.grad(self.policy_loss, has_aux=True), policy_shared_key
            )(state.field, state, batch, policy_key)
            field, field_optimizer = self._descend(state.field, grads, state.field_optimizer)
            state = state.replace(field=field, field_optimizer=field_optimizer)

        state = state.replace(
            target_critic=polyak_average(state.target_critic, state.critic, self.tau),
            target_field=polyak_average(state.target_field, state.field, self.tau),
        )
        return state, metrics | policy_metrics

    def losses(
        self, state: SORLState, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> Metrics:
        batch = encode(state.encoder, batch)
        critic_key, policy_key = jax.random.split(key)
        critic_shared_key, policy_shared_key = jax.random.split(shared_key)
        _, metrics = self._with_drawn_steps(self.critic_loss, critic_shared_key)(
            state.critic, state, batch, critic_key
        )
        _, policy_metrics = self._with_drawn_steps(self.policy_loss, policy_shared_key)(
            state.field, state, batch, policy_key
        )
        return metrics | policy_metrics

    def propose(
        self,
        state: SORLState,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Proposal:
        return inference.propose(
            self.field_with(state, state.field),
            self.critic_with(state.critic),
            state.encoder(obs),
            key,
            action_dim=state.action_dim,
            steps=steps,
            candidates=candidates,
            denoise_steps=self.denoise_steps,
            max_backprop_steps=self.max_backprop_steps,
            aggregation=self.q_aggregation,
        )

    def act(
        self,
        state: SORLState,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Float[Array, "batch action"]:
        proposal = self.propose(state, obs, key, steps=steps, candidates=candidates)
        return proposal.actions[0] if candidates == 1 else proposal.action

    def field(self, state: SORLState) -> Field:
        """s(a_t, t, h | o), to hand to the functions of lessons 1, 2 and 5."""
        field = self.field_with(state, state.field)
        return lambda obs, a_t, t, h: field(state.encoder(obs), a_t, t, h)

    def critic(self, state: SORLState) -> Critic:
        """Q(o, a, m), to hand to the functions of lessons 3 and 5."""
        critic = self.critic_with(state.critic)
        return lambda obs, actions, steps: critic(state.encoder(obs), actions, steps)

    # Inside, observations are encoded once per update; below, `obs` means the encoded features. A
    # subclass may put its own in the place of any of these.

    def critic_loss(
        self,
        params: dict,
        state: SORLState,
        batch: Batch,
        key: PRNGKeyArray,
        *,
        steps: int,
    ) -> tuple[Float[Array, ""], Metrics]:
        """The TD loss of the critics `params`, for the policy of m steps; and metrics."""
        target = self.td_target(state, batch, key, steps=steps)
        m = steps_column(steps, len(batch.rewards))
        return temporal_difference.td_loss(self.critic_with(params), batch, target, m)

    def td_target(
        self, state: SORLState, batch: Batch, key: PRNGKeyArray, *, steps: int
    ) -> Float[Array, " batch"]:
        """y = r + gamma^k mask agg_i Q'_i(o', a', m) with a' ~ pi(. | o', m)."""
        return temporal_difference.td_target(
            self.critic_with(state.target_critic),
            batch,
            self.sample(state, state.field, batch.next_observations, key, steps),
            steps_column(steps, len(batch.rewards)),
            discount=self.discount,
            aggregation=self.q_aggregation,
        )

    def policy_loss(
        self,
        params: dict,
        state: SORLState,
        batch: Batch,
        key: PRNGKeyArray,
        *,
        steps: int,
    ) -> tuple[Float[Array, ""], Metrics]:
        """q_weight L_Q + flow_weight L_FM + consistency_weight L_SC of the field `params`, where
        L_Q is that of m steps; and metrics.
        """
        q_key, flow_key, consistency_key = jax.random.split(key, 3)
        field, obs = self.field_with(state, params), batch.observations

        actions = self.sample(state, params, obs, q_key, steps)
        q = self.critic_with(state.critic)(obs, actions, steps_column(steps, len(obs))).mean(0)
        scale = jax.lax.stop_gradient(jnp.abs(q).mean()) if self.normalize_q_loss else 1.0
        q_loss = -q.mean() / scale

        flow_loss, flow_metrics = flow_matching.flow_matching_loss(
            field,
            obs,
            batch.actions,
            flow_key,
            step_size=1 / self.denoise_steps,
            times=flow_matching.grid_times(self.denoise_steps),
            epsilon=self.epsilon,
        )
        consistency_loss, consistency_metrics = shortcut.self_consistency_loss(
            field,
            self.field_with(state, state.target_field),
            obs,
            batch.actions,
            consistency_key,
            denoise_steps=self.denoise_steps,
            epsilon=self.epsilon,
        )
        loss = (
            self.q_weight * q_loss
            + self.flow_weight * flow_loss
            + self.consistency_weight * consistency_loss
        )
        metrics = {"policy_loss": loss, "q_loss": q_loss, "q_policy": q.mean()}
        return loss, metrics | flow_metrics | consistency_metrics

    def _with_drawn_steps(self, function: Callable, shared_key: PRNGKeyArray) -> Callable:
        """`function(..., steps=m)` at one m ~ U{1, 2, 4, ..., M_BTT}.

        A gradient belongs inside `function`: differentiating the switch itself would hand every
        branch's residuals through it, those of all 15 steps, whichever m was drawn.
        """
        branches = [
            partial(function, steps=2**level)
            for level in range(self.max_backprop_steps.bit_length())
        ]
        level = jax.random.randint(shared_key, (), 0, len(branches))
        return partial(jax.lax.switch, level, branches)

    def sample(
        self, state: SORLState, params: dict, obs: Array, key: PRNGKeyArray, steps: int
    ) -> Float[Array, "batch action"]:
        """a ~ pi(. | o, m)."""
        noise = jax.random.normal(key, (len(obs), state.action_dim))
        field = self.field_with(state, params)
        return shortcut.sample_from(field, obs, noise, steps, denoise_steps=self.denoise_steps)

    def field_with(self, state: SORLState, params: dict) -> Field:
        """s with these parameters, on features."""
        return partial(self._field_network(state.action_dim).apply, params)

    def critic_with(self, params: dict) -> Critic:
        """Q with these parameters, on features."""
        return partial(self._critic_network().apply, params)

    def _field_network(self, action_dim: int) -> ShortcutField:
        return ShortcutField(self.field_hidden, action_dim, self.field_layer_norm)

    def _critic_network(self) -> CriticEnsemble:
        return CriticEnsemble(
            self.critic_hidden, self.critics, self.critic_layer_norm, self.critic_sees_steps
        )

    def _optimizer(self) -> optax.GradientTransformation:
        adam = optax.adamw(
            self.learning_rate, self.beta1, self.beta2, weight_decay=self.weight_decay
        )
        if self.grad_clip_norm == 0:
            return adam
        return optax.chain(optax.clip_by_global_norm(self.grad_clip_norm), adam)

    def _descend(
        self, params: dict, grads: dict, optimizer: optax.OptState
    ) -> tuple[dict, optax.OptState]:
        updates, optimizer = self._optimizer().update(grads, optimizer, params)
        return optax.apply_updates(params, updates), optimizer


def encode(encoder: ObservationEncoder, batch: Batch) -> Batch:
    """A batch with features in the place of observations."""
    return batch.replace(
        observations=encoder(batch.observations),
        next_observations=encoder(batch.next_observations),
    )
