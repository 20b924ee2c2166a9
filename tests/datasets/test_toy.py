"""Toy problems against what geometry and probability say about them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorl_edu.datasets import toy
from sorl_edu.errors import ConfigError, UnknownName

N = 8000


@functools.cache
def points(name):
    return np.asarray(toy.sample(name, jax.random.key(0), N))


def assert_equally_often(labels, expected):
    """Counts lie within five standard deviations of a multinomial with these probabilities."""
    counts = np.bincount(labels, minlength=len(expected))
    expected = np.asarray(expected)
    spread = np.sqrt(N * expected * (1 - expected))
    assert np.all(np.abs(counts - N * expected) < 5 * spread), counts


@pytest.mark.parametrize("name", toy.DISTRIBUTIONS)
def test_every_distribution_is_pure_and_in_the_square(name):
    sample = points(name)
    assert sample.shape == (N, 2) and sample.dtype == np.float32 and np.isfinite(sample).all()
    assert np.mean(np.abs(sample).max(1) <= 1) > 0.999
    np.testing.assert_array_equal(toy.sample(name, jax.random.key(0), N), sample)
    traced = jax.eval_shape(functools.partial(toy.sample, name, n=5), jax.random.key(0))
    assert traced.shape == (5, 2)
    assert not np.allclose(toy.sample(name, jax.random.key(1), N), sample)


def test_eight_gaussians_are_equally_likely_and_have_the_stated_spread():
    sample, means = points("eight_gaussians"), np.asarray(toy.eight_gaussians_means())
    offsets = sample[:, None] - means
    nearest = np.linalg.norm(offsets, axis=-1).argmin(1)
    assert_equally_often(nearest, [1 / 8] * 8)
    covariance = np.cov(offsets[np.arange(N), nearest].T)
    np.testing.assert_allclose(covariance, 0.05**2 * np.eye(2), atol=2e-4)
    # An equal mixture on a circle has the covariance (r^2 / 2 + std^2) I.
    np.testing.assert_allclose(np.cov(sample.T), (0.32 + 0.0025) * np.eye(2), atol=0.015)


def test_two_moons_are_half_circles_that_a_half_turn_exchanges():
    sample = points("two_moons")
    # Distance of each point to a fine polygon of each half circle.
    angle = np.linspace(0, np.pi, 500)
    upper = 0.6 * np.stack([np.cos(angle), np.sin(angle)], -1) - [0.3, 0.15]
    distances = [np.linalg.norm(sample[:, None] - moon, axis=-1).min(1) for moon in (upper, -upper)]
    assert np.min(distances, 0).max() < 5 * 0.03
    assert_equally_often(np.argmin(distances, 0), [0.5, 0.5])


def test_spiral_has_a_radius_proportional_to_its_angle():
    sample = points("spiral")
    radius = np.linalg.norm(sample, axis=1)
    angle = np.arctan2(sample[:, 1], sample[:, 0])
    turns = radius * 2 / 0.9 - angle / (2 * np.pi)  # a whole number, but for the noise
    far = radius > 0.2  # near the centre the angle is all noise
    residual = (turns - np.round(turns))[far] * 0.9 / 2
    assert np.abs(residual).max() < 0.12 and residual.std() < 0.03


def test_checkerboard_is_uniform_on_the_even_squares():
    column, row = np.floor(points("checkerboard") * 2 + 2).astype(int).T
    assert np.all((row + column) % 2 == 0)
    assert_equally_often(row * 2 + column // 2, [1 / 8] * 8)
    inside = points("checkerboard") * 2 % 1
    np.testing.assert_allclose(inside.mean(0), 0.5, atol=0.02)
    np.testing.assert_allclose(inside.var(0), 1 / 12, atol=0.005)


def test_rings_have_the_stated_radii_and_equal_density():
    radius = np.linalg.norm(points("rings"), axis=1)
    ring = np.abs(radius[:, None] - [0.3, 0.6, 0.9]).argmin(1)
    assert_equally_often(ring, [1 / 6, 2 / 6, 3 / 6])
    assert np.abs(radius - np.array([0.3, 0.6, 0.9])[ring]).max() < 5 * 0.02


def test_pinwheel_has_five_fold_symmetry_and_no_smaller_one():
    x, y = points("pinwheel").T
    harmonics = [abs(np.mean(((x + 1j * y) / np.hypot(x, y)) ** k)) for k in range(1, 6)]
    assert max(harmonics[:4]) < 5 / np.sqrt(N) and harmonics[4] > 0.2


def test_unknown_distributions_and_empty_samples_are_refused():
    with pytest.raises(UnknownName, match="Did you mean two_moons"):
        toy.sample("two-moons", jax.random.key(0), 10)
    with pytest.raises(ConfigError, match="n is 0"):
        toy.sample("rings", jax.random.key(0), 0)
    with pytest.raises(ConfigError, match="n is 0"):
        toy.bandit(jax.random.key(0), 0)


def test_a_number_of_points_may_be_numpys():
    key, n = jax.random.key(0), np.int64(5)
    np.testing.assert_array_equal(toy.sample("rings", key, n), toy.sample("rings", key, 5))
    np.testing.assert_array_equal(toy.bandit(key, n).actions, toy.bandit(key, 5).actions)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 1, width=32))
def test_no_action_beats_the_bandits_optimum(context):
    observation = jnp.array([context])
    optimum = toy.bandit_optimum(observation)
    assert toy.bandit_reward(observation, optimum) == pytest.approx(1, abs=1e-5)
    grid = jnp.stack(jnp.meshgrid(*[jnp.linspace(-1, 1, 81)] * 2), -1).reshape(-1, 2)
    rewards = toy.bandit_reward(jnp.broadcast_to(observation, (len(grid), 1)), grid)
    assert rewards.max() <= 1
    best = grid[rewards.argmax()]
    assert np.abs(best - optimum).max() <= 0.5 * 2 / 80 + 1e-5


def test_bandit_data_have_the_stated_behaviour():
    data = toy.bandit(jax.random.key(0), N)
    batch = data.at(data.starts)
    assert len(data) == N and not batch.masks.any()
    np.testing.assert_array_equal(batch.observations, batch.next_observations)
    np.testing.assert_allclose(
        batch.rewards, toy.bandit_reward(batch.observations, batch.actions), atol=1e-6
    )
    modes = np.asarray(toy.bandit_modes(batch.observations))
    distances = np.linalg.norm(np.asarray(batch.actions)[:, None] - modes, axis=-1)
    assert_equally_often(distances.argmin(1), [1 / 4] * 4)
    # The mean of exp(-|e|^2 / 2w^2) for e ~ N(0, s^2 I) in the plane is w^2 / (w^2 + s^2) = 0.8.
    assert batch.rewards.mean() == pytest.approx(0.8 * np.mean([1, 0.75, 0.5, 0.25]), abs=0.02)


def test_the_average_of_the_bandits_modes_is_worth_nothing():
    context = jnp.linspace(-1, 1, 21)[:, None]
    average = toy.bandit_modes(context).mean(1)
    assert toy.bandit_reward(context, average).max() < 0.02
