"""Small problems with known answers: 2-D distributions to learn, and a bandit to solve.

The distributions are common demonstrations of generative models. The bandit is the smallest problem
with all the difficulties of offline reinforcement learning: data with several modes, one of which
is best. Its Q-function and its optimal action have closed forms.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError, UnknownName, check

EIGHT_GAUSSIANS_RADIUS, EIGHT_GAUSSIANS_STD = 0.8, 0.05


def sample(name: str, key: PRNGKeyArray, n: int | np.integer) -> Float[Array, "n 2"]:
    """Draw n independent points from a distribution; nearly all lie in [-1, 1]^2.

    Args:
        name: one of `DISTRIBUTIONS`.
        key: random key.
        n: number of points, at least 1.

    Raises:
        UnknownName: no distribution of this name.
        ConfigError: n is below 1.
    """
    if name not in DISTRIBUTIONS:
        raise UnknownName("distribution", name, DISTRIBUTIONS)
    check(n >= 1, f"n is {n}; it must be at least 1", ConfigError)
    return DISTRIBUTIONS[name](key, int(n))


def eight_gaussians_means() -> Float[Array, "8 2"]:
    """Centres of the eight Gaussians, equally spaced on a circle."""
    return EIGHT_GAUSSIANS_RADIUS * _unit(jnp.arange(8) * jnp.pi / 4)


def eight_gaussians(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """An equal mixture of N(mean_i, std^2 I)."""
    key_mode, key_noise = jax.random.split(key)
    means = eight_gaussians_means()[jax.random.randint(key_mode, (n,), 0, 8)]
    return means + EIGHT_GAUSSIANS_STD * jax.random.normal(key_noise, (n, 2))


def two_moons(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """Two interleaved half circles of radius 0.6, with noise 0.03.

    The upper one is centred at (-0.3, -0.15), the lower one at (0.3, 0.15).
    """
    key_moon, key_angle, key_noise = jax.random.split(key, 3)
    side = jax.random.rademacher(key_moon, (n, 1), jnp.float32)
    arc = 0.6 * _unit(jax.random.uniform(key_angle, (n,), maxval=jnp.pi))
    centre = jnp.array([-0.3, -0.15])
    return side * (arc + centre) + 0.03 * jax.random.normal(key_noise, (n, 2))


def spiral(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """Two turns of an Archimedean spiral, radius = 0.9 angle / (4 pi), with noise 0.02."""
    key_angle, key_noise = jax.random.split(key)
    fraction = jnp.sqrt(jax.random.uniform(key_angle, (n,)))  # about equal density along the arc
    curve = 0.9 * fraction[:, None] * _unit(4 * jnp.pi * fraction)
    return curve + 0.02 * jax.random.normal(key_noise, (n, 2))


def checkerboard(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """Uniform on the eight squares of a 4 x 4 board on [-1, 1]^2 whose row + column is even."""
    key_square, key_point = jax.random.split(key)
    row, half = jnp.divmod(jax.random.randint(key_square, (n,), 0, 8), 2)
    corner = jnp.stack([2 * half + row % 2, row], axis=-1)
    return -1 + (corner + jax.random.uniform(key_point, (n, 2))) / 2


def pinwheel(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """Five bent arms (Johnson et al. 2016, arXiv 1603.06277)."""
    key_arm, key_point = jax.random.split(key)
    along, across = jnp.array([[0.5], [0.0]]) + jnp.array(
        [[0.13], [0.05]]
    ) * jax.random.truncated_normal(key_point, -3, 3, (2, n))
    arm = 2 * jnp.pi / 5 * jax.random.randint(key_arm, (n,), 0, 5)
    angle = arm + 1.5 * along
    return along[:, None] * _unit(angle) + across[:, None] * _unit(angle + jnp.pi / 2)


def rings(key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
    """Three circles of radius 0.3, 0.6 and 0.9, of equal density, with noise 0.02."""
    key_ring, key_angle, key_noise = jax.random.split(key, 3)
    radii = jnp.array([0.3, 0.6, 0.9])
    radius = jax.random.choice(key_ring, radii, (n,), p=radii / radii.sum())
    points = radius[:, None] * _unit(jax.random.uniform(key_angle, (n,), maxval=2 * jnp.pi))
    return points + 0.02 * jax.random.normal(key_noise, (n, 2))


DISTRIBUTIONS: dict[str, Callable[[PRNGKeyArray, int], Float[Array, "n 2"]]] = {
    f.__name__: f for f in [eight_gaussians, two_moons, spiral, checkerboard, pinwheel, rings]
}

BANDIT_HEIGHTS = (1.0, 0.75, 0.5, 0.25)
"""Reward at the centre of each mode; the first is the optimum."""

BANDIT_RADIUS, BANDIT_STD, BANDIT_WIDTH = 0.6, 0.1, 0.2
"""Distance of the modes from 0, deviation of the behaviour from a mode, width of a reward bump."""


def bandit(key: PRNGKeyArray, n: int | np.integer) -> Transitions:
    """A dataset of n one-step trajectories from the contextual bandit.

    The context o is uniform on [-1, 1]. The behaviour policy picks one of the four modes of
    `bandit_modes(o)` with equal chance and adds Gaussian noise of `BANDIT_STD`, so it is right a
    quarter of the time, and its mean action is worthless. The reward is
    `bandit_reward` and the episode ends (mask 0), so that Q(o, a) is the reward for every gamma.

    Args:
        key: random key.
        n: number of transitions, at least 1; each takes two rows, of which the second holds the
            last state.

    Raises:
        ConfigError: n is below 1.
    """
    check(n >= 1, f"n is {n}; it must be at least 1", ConfigError)
    n = int(n)
    key_context, key_mode, key_noise = jax.random.split(key, 3)
    observations = jax.random.uniform(key_context, (n, 1), minval=-1.0)
    modes = bandit_modes(observations)
    chosen = jax.random.randint(key_mode, (n,), 0, len(BANDIT_HEIGHTS))
    noise = BANDIT_STD * jax.random.normal(key_noise, (n, 2))
    actions = jnp.clip(modes[jnp.arange(n), chosen] + noise, -1, 1)
    rewards = bandit_reward(observations, actions)
    return Transitions.create(
        observations=np.repeat(observations, 2, axis=0),
        actions=_every_other_row(actions),
        rewards=_every_other_row(rewards),
        masks=np.zeros(2 * n),
        terminals=np.arange(2 * n) % 2,
    )


def bandit_modes(observations: Float[Array, "*batch 1"]) -> Float[Array, "*batch 4 2"]:
    """The four actions that the behaviour prefers, on a circle that the context turns by pi * o."""
    return BANDIT_RADIUS * _unit(jnp.pi * observations + jnp.arange(4) * jnp.pi / 2)


def bandit_optimum(observations: Float[Array, "*batch 1"]) -> Float[Array, "*batch 2"]:
    """The action with the highest reward, which is 1."""
    return bandit_modes(observations)[..., 0, :]


def bandit_reward(
    observations: Float[Array, "*batch 1"], actions: Float[Array, "*batch 2"]
) -> Float[Array, "*batch"]:
    """Reward, and so Q: a bump on each mode, max_k height_k exp(-|a - mode_k|^2 / (2 width^2))."""
    distance = jnp.linalg.norm(actions[..., None, :] - bandit_modes(observations), axis=-1)
    bumps = jnp.array(BANDIT_HEIGHTS) * jnp.exp(-(distance**2) / (2 * BANDIT_WIDTH**2))
    return bumps.max(-1)


def _unit(angle: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)


def _every_other_row(values: Array) -> np.ndarray:
    rows = np.zeros((2 * len(values), *values.shape[1:]), np.float32)
    rows[::2] = values
    return rows


def random_transitions(obs_dim: int, action_dim: int, rows: int = 20_000) -> Transitions:
    """Random transitions of given widths, to measure speed."""
    rng = np.random.default_rng(0)
    return Transitions.create(
        rng.normal(size=(rows, obs_dim)),
        rng.uniform(-1, 1, size=(rows, action_dim)),
        rng.normal(size=rows),
        np.ones(rows),
        np.arange(rows) % 100 == 99,
    )
