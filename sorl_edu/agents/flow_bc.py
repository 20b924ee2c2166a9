"""Behaviour cloning with plain flow matching: SORL without its critic and without shortcuts.

    repeat:  a_1 ~ dataset,  descend | s(a_t, t | o) - v |^2      # lesson 1, t ~ U[0, 1]

The "before" picture of the course: it imitates the data, good and bad alike, and needs many steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu import flow_matching, inference
from sorl_edu.agents.agent import Metrics
from sorl_edu.datasets.transitions import Batch, Transitions
from sorl_edu.errors import check
from sorl_edu.flow_matching import Field
from sorl_edu.inference import Proposal
from sorl_edu.networks import ObservationEncoder, VelocityField


@struct.dataclass
class FlowBCState:
    """What flow BC learns, and the encoder that goes with it."""

    encoder: ObservationEncoder
    field: dict
    field_optimizer: optax.OptState
    action_dim: int = struct.field(pytree_node=False)


@dataclass(frozen=True)
class FlowBC:
    """Behaviour cloning with a flow; hyper-parameters mean what they mean in `SORL`.

    Raises:
        ConfigError: a hyper-parameter is out of range.
    """

    field_hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of the policy's hidden layers."""
    field_layer_norm: bool = False
    """LayerNorm in the policy."""
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
    grad_clip_norm: float = 1.0
    """Largest global gradient norm; 0 for no clipping."""

    def __post_init__(self) -> None:
        check(
            len(self.field_hidden) > 0 and all(width >= 1 for width in self.field_hidden),
            f"field_hidden must name at least one width of at least 1, got {self.field_hidden}",
        )
        check(
            self.fourier_features >= 0,
            f"fourier_features must be 0 or more, got {self.fourier_features}",
        )
        check(self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}")
        check(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}")
        check(self.grad_clip_norm >= 0, f"grad_clip_norm must be 0 or more: {self.grad_clip_norm}")

    def prepare(self, data: Transitions) -> Transitions:
        return data

    def init(self, key: PRNGKeyArray, data: Transitions) -> FlowBCState:
        encoder_key, field_key = jax.random.split(key)
        encoder = ObservationEncoder.create(
            data,
            encoder_key,
            normalize=self.normalize_observations,
            fourier_features=self.fourier_features,
            fourier_scale=self.fourier_scale,
        )
        obs, action, one = encoder(data.observations[:1]), data.actions[:1], jnp.ones((1, 1))
        field = self._network(action.shape[1]).init(field_key, obs, action, one, one)
        return FlowBCState(encoder, field, self._optimizer().init(field), action.shape[1])

    def update(
        self, state: FlowBCState, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> tuple[FlowBCState, Metrics]:
        grads, metrics = jax.grad(self._loss, has_aux=True)(state.field, state, batch, key)
        updates, optimizer = self._optimizer().update(grads, state.field_optimizer, state.field)
        field = optax.apply_updates(state.field, updates)
        return state.replace(field=field, field_optimizer=optimizer), metrics

    def losses(
        self, state: FlowBCState, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> Metrics:
        return self._loss(state.field, state, batch, key)[1]

    def propose(
        self,
        state: FlowBCState,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Proposal:
        """m Euler steps; without a critic the values are NaN and the first candidate is taken."""
        inference.check_budget(steps, candidates, len(obs))
        actions = inference.draw_candidates(
            self.field(state),
            obs,
            inference.candidate_noise(key, candidates, len(obs), state.action_dim),
            steps=steps,
            denoise_steps=steps,
        )
        return Proposal(
            actions=actions,
            q=jnp.full(actions.shape[:2], jnp.nan),
            chosen=jnp.zeros(len(obs), jnp.int32),
        )

    def act(
        self,
        state: FlowBCState,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Float[Array, "batch action"]:
        check(
            candidates == 1,
            f"flow BC has no critic to choose among {candidates} candidates: use candidates = 1",
        )
        return self.propose(state, obs, key, steps=steps, candidates=1).actions[0]

    def field(self, state: FlowBCState) -> Field:
        """s(a_t, t | o), to hand to the functions of lesson 1."""
        field = self._field(state, state.field)
        return lambda obs, a_t, t, h: field(state.encoder(obs), a_t, t, h)

    def _loss(
        self, params: dict, state: FlowBCState, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        return flow_matching.flow_matching_loss(
            self._field(state, params), state.encoder(batch.observations), batch.actions, key
        )

    def _field(self, state: FlowBCState, params: dict) -> Field:
        return partial(self._network(state.action_dim).apply, params)

    def _network(self, action_dim: int) -> VelocityField:
        return VelocityField(self.field_hidden, action_dim, self.field_layer_norm)

    def _optimizer(self) -> optax.GradientTransformation:
        adam = optax.adam(self.learning_rate)
        if self.grad_clip_norm == 0:
            return adam
        return optax.chain(optax.clip_by_global_norm(self.grad_clip_norm), adam)
