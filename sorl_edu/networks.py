"""The networks: an MLP, fields, policies, critics, values, and the encoder of observations.

Each is a function of arrays with parameters. The lessons and the agents decide what is learned with
it, and which step size or number of steps it sees. `inputs(obs, action)` is an example of what it
takes, from which its parameters get their shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray

initializer = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")


class MLP(nn.Module):
    """Dense, GELU, and (where asked) LayerNorm for each hidden layer, then a Dense output."""

    hidden: Sequence[int]
    out: int
    layer_norm: bool = False
    last_scale: float = 1.0
    """Variance of the last layer's first weights, in units of the usual one."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch out"]:
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width, kernel_init=initializer)(x))
            if self.layer_norm:
                x = nn.LayerNorm()(x)
        last = nn.initializers.variance_scaling(self.last_scale, "fan_avg", "uniform")
        return nn.Dense(self.out, kernel_init=last)(x)


class VelocityField(nn.Module):
    """Lesson 1's field v(a_t, t | o)."""

    hidden: Sequence[int]
    action_dim: int
    layer_norm: bool = False

    @nn.compact
    def __call__(
        self,
        obs: Float[Array, "batch obs"],
        a_t: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
    ) -> Float[Array, "batch action"]:
        inputs = jnp.concatenate([obs, a_t, t], axis=-1)
        return MLP(self.hidden, self.action_dim, self.layer_norm)(inputs)

    def inputs(self, obs, action):
        return obs, action, jnp.ones((len(obs), 1))


class ShortcutField(nn.Module):
    """Lesson 2's field s(a_t, t, h | o), fed the level log2(1/h) in place of h > 0."""

    hidden: Sequence[int]
    action_dim: int
    layer_norm: bool = False

    @nn.compact
    def __call__(
        self,
        obs: Float[Array, "batch obs"],
        a_t: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
        h: Float[Array, "batch 1"],
    ) -> Float[Array, "batch action"]:
        inputs = jnp.concatenate([obs, a_t, t, -jnp.log2(h)], axis=-1)
        return MLP(self.hidden, self.action_dim, self.layer_norm)(inputs)


class NoisePredictor(nn.Module):
    """IDQL's network for eps(a_t, t | o): residual blocks, and Fourier features of t.

        x <- x + Dense(mish(Dense(LayerNorm(dropout(x)))))     of width w, within it 4 w

    There is one block for each hidden width. Frequencies of t are learned. Dropout acts only with
    `training`, which needs a key: apply(..., training=True, rngs={"dropout": key}).

    Source: Hansen-Estruch et al., IDQL, 2023, arXiv 2304.10573 (LN_Resnet), and its code.
    """

    hidden: Sequence[int]
    action_dim: int
    layer_norm: bool = True
    dropout: float = 0.1

    @nn.compact
    def __call__(
        self,
        obs: Float[Array, "batch obs"],
        a_t: Float[Array, "batch action"],
        t: Float[Array, "batch 1"],
        training: bool = False,
    ) -> Float[Array, "batch action"]:
        def dense(width: int, x: Array) -> Array:
            return nn.Dense(width, kernel_init=initializer)(x)

        frequencies = self.param("frequencies", nn.initializers.normal(0.2), (1, 32))
        angles = 2 * jnp.pi * t @ frequencies
        time = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        time = dense(128, jax.nn.mish(dense(128, time)))
        x = dense(self.hidden[0], jnp.concatenate([a_t, obs, time], axis=-1))
        for width in self.hidden:
            inner = nn.Dropout(self.dropout)(x, deterministic=not training)
            inner = nn.LayerNorm()(inner) if self.layer_norm else inner
            inner = dense(width, jax.nn.mish(dense(4 * width, inner)))
            x = inner + (x if x.shape[-1] == width else dense(width, x))
        return dense(self.action_dim, jax.nn.mish(x))

    def inputs(self, obs, action):
        return obs, action, jnp.ones((len(obs), 1))


class DeterministicPolicy(nn.Module):
    """One action for an observation, mu(o)."""

    hidden: Sequence[int]
    action_dim: int
    layer_norm: bool = False
    squash: bool = False
    """Whether tanh keeps the action inside (-1, 1)."""
    last_scale: float = 1.0
    """As for `MLP`."""

    @nn.compact
    def __call__(self, obs: Float[Array, "batch obs"]) -> Float[Array, "batch action"]:
        mu = MLP(self.hidden, self.action_dim, self.layer_norm, self.last_scale)(obs)
        return jnp.tanh(mu) if self.squash else mu

    def inputs(self, obs, action):
        return (obs,)


class OneStepPolicy(nn.Module):
    """One action for an observation and noise, mu(o, z)."""

    hidden: Sequence[int]
    action_dim: int
    layer_norm: bool = False

    @nn.compact
    def __call__(
        self, obs: Float[Array, "batch obs"], noise: Float[Array, "batch action"]
    ) -> Float[Array, "batch action"]:
        inputs = jnp.concatenate([obs, noise], axis=-1)
        return MLP(self.hidden, self.action_dim, self.layer_norm)(inputs)

    def inputs(self, obs, action):
        return obs, action


class ValueFunction(nn.Module):
    """V(o), what a state is worth."""

    hidden: Sequence[int]
    layer_norm: bool = True

    @nn.compact
    def __call__(self, obs: Float[Array, "batch obs"]) -> Float[Array, " batch"]:
        return MLP(self.hidden, 1, self.layer_norm)(obs)[..., 0]

    def inputs(self, obs, action):
        return (obs,)


def ensemble_output(
    module: nn.Module, inputs: Sequence[Float[Array, "batch _"]], out: int = 1
) -> Float[Array, "ensemble batch out"]:
    """The `out` numbers that each MLP of a module's ensemble says of the same inputs."""
    members = nn.vmap(
        MLP,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        out_axes=0,
        axis_size=module.ensemble,
    )
    return members(module.hidden, out, module.layer_norm)(jnp.concatenate(inputs, axis=-1))


class CriticEnsemble(nn.Module):
    """Q_i(o, a) of each network i or, of a policy of m steps, Q_i(o, a, m), fed m as it is."""

    hidden: Sequence[int]
    ensemble: int = 2
    layer_norm: bool = True

    @nn.compact
    def __call__(
        self,
        obs: Float[Array, "batch obs"],
        actions: Float[Array, "batch action"],
        steps: Float[Array, "batch 1"] | None = None,
    ) -> Float[Array, "ensemble batch"]:
        inputs = [obs, actions] if steps is None else [obs, actions, steps]
        return ensemble_output(self, inputs)[..., 0]

    def inputs(self, obs, action):
        return obs, action


class ReturnFieldEnsemble(nn.Module):
    """Lesson 8's fields u_i(z_t, t | o, a), which carry noise to a return."""

    hidden: Sequence[int]
    ensemble: int = 2
    layer_norm: bool = True

    @nn.compact
    def __call__(
        self,
        obs: Float[Array, "batch obs"],
        actions: Float[Array, "batch action"],
        z_t: Float[Array, "batch 1"],
        t: Float[Array, "batch 1"],
    ) -> Float[Array, "ensemble batch 1"]:
        return ensemble_output(self, [obs, actions, z_t, t])

    def inputs(self, obs, action):
        one = jnp.ones((len(obs), 1))
        return obs, action, one, one


class ReturnLawEnsemble(nn.Module):
    """Numbers from which a model of the return's law at (o, a) is made, by each network i."""

    hidden: Sequence[int]
    numbers: int
    ensemble: int = 2
    layer_norm: bool = True

    @nn.compact
    def __call__(
        self, obs: Float[Array, "batch obs"], actions: Float[Array, "batch action"]
    ) -> Float[Array, "ensemble batch numbers"]:
        return ensemble_output(self, [obs, actions], self.numbers)

    def inputs(self, obs, action):
        return obs, action


@struct.dataclass
class ObservationEncoder:
    """Normalises observations and, with frequencies B, appends Fourier features of them.

        x = (o - mean) / std,   features = [x, sin(2 pi x B), cos(2 pi x B)]

    Nothing in it is learned. Random Fourier features let a small network represent what changes
    fast with position, such as the value on two sides of a wall.

    Source: Tancik et al., Fourier Features Let Networks Learn High Frequency Functions, 2020,
    arXiv 2006.10739.
    """

    mean: Float[Array, "*seeds obs"]
    std: Float[Array, "*seeds obs"]
    frequencies: Float[Array, "*seeds obs count"]  # count may be 0

    @classmethod
    def create(
        cls,
        observations: Float[Array, "rows obs"],
        key: PRNGKeyArray,
        *,
        normalize: bool,
        fourier_features: int,
    ) -> ObservationEncoder:
        """Statistics of a dataset's observations; B ~ N(0, I), in cycles per standard deviation.

        A column that does not vary is only shifted. float32 rounds the mean of such a column, so
        that its deviation is not quite 0: its range decides, relative to its size.
        """
        dim = observations.shape[1]
        mean, std = observations.mean(0), observations.std(0)
        varies = jnp.ptp(observations, axis=0) > 1e-6 * jnp.abs(observations).max(0)
        return cls(
            mean=mean if normalize else jnp.zeros(dim),
            std=jnp.where(varies & (std > 1e-6), std, 1.0) if normalize else jnp.ones(dim),
            frequencies=jax.random.normal(key, (dim, fourier_features)),
        )

    def __call__(self, obs: Float[Array, "batch obs"]) -> Float[Array, "batch features"]:
        x = (obs - self.mean) / self.std
        angles = 2 * jnp.pi * x @ self.frequencies
        return jnp.concatenate([x, jnp.sin(angles), jnp.cos(angles)], axis=-1)
