"""Lesson 7's functions against SciPy's expectile, closed forms and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sorl_edu.policy_extraction import (
    advantage_weights,
    distillation_loss,
    expectile_loss,
    expectile_target,
    pulled,
    squared_distance,
    weighted_regression_loss,
)
from sorl_edu.temporal_difference import Batch

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("expectile", [0.1, 0.5, 0.9, 0.99])
def test_the_expectile_of_a_distribution_has_the_least_loss(expectile):
    q = jnp.asarray(RNG.exponential(size=500))
    slope = jax.grad(lambda v: expectile_loss(jnp.full(500, v), q, expectile)[0])
    exact = float(stats.expectile(np.asarray(q, float), alpha=expectile))
    assert abs(slope(exact)) < 1e-5
    assert slope(exact - 0.1) < 0 < slope(exact + 0.1)


def test_expectiles_rise_from_the_mean_to_the_largest():
    q = RNG.uniform(size=1000)
    known = [stats.expectile(q, alpha=k) for k in (0.5, 0.7, 0.9, 0.99, 0.9999)]
    assert known[0] == pytest.approx(q.mean()) and known == sorted(known)
    assert known[-1] == pytest.approx(q.max(), abs=0.05)
    slope = jax.grad(lambda v: expectile_loss(jnp.full(1000, v), jnp.asarray(q), 0.5)[0])
    assert slope(float(q.mean())) == pytest.approx(0, abs=1e-6)  # half of the mean squared error


def test_the_value_learns_and_the_critic_does_not():
    values, q = jnp.array([0.0, 2.0]), jnp.array([1.0, 1.0])
    loss, metrics = expectile_loss(values, q, 0.9)
    assert loss == pytest.approx((0.9 * 1 + 0.1 * 1) / 2)
    assert metrics["v_data"] == 1
    assert jnp.all(jax.grad(lambda q: expectile_loss(values, q, 0.9)[0])(q) == 0)


def test_the_target_bootstraps_over_k_transitions_unless_the_task_ends():
    zeros = jnp.zeros((2, 1))
    batch = Batch(
        observations=zeros,
        actions=zeros,
        rewards=jnp.array([-2.0, -1.0]),
        masks=jnp.array([1.0, 0.0]),
        horizons=jnp.array([3.0, 1.0]),
        next_observations=zeros,
    )
    target = expectile_target(batch, jnp.array([-8.0, -8.0]), discount=0.5)
    np.testing.assert_allclose(target, [-2 - 8 / 8, -1])
    slope = jax.grad(lambda v: expectile_target(batch, v, discount=0.5).sum())
    assert jnp.all(slope(jnp.array([-8.0, -8.0])) == 0)


def test_weights_are_exponential_in_the_advantage_up_to_the_largest():
    advantages = jnp.array([-1.0, 0.0, 0.5, 1000.0])
    weights = advantage_weights(advantages, 2.0, 100.0)
    np.testing.assert_allclose(weights, [np.exp(-2), 1, np.e, 100], rtol=1e-5)
    np.testing.assert_array_equal(advantage_weights(advantages, 0.0), np.ones(4))
    assert jnp.all(jax.grad(lambda a: advantage_weights(a, 2.0).sum())(advantages) == 0)


def test_weighted_regression_ends_at_the_weighted_mean():
    actions = jnp.asarray(RNG.normal(size=(50, 2)))
    weights = jnp.asarray(RNG.exponential(size=50))

    def loss(mu):
        return weighted_regression_loss(
            squared_distance(jnp.tile(mu, (50, 1)), actions) / 2, weights
        )[0]

    mean = (weights[:, None] * actions).sum(0) / weights.sum()
    np.testing.assert_allclose(jax.grad(loss)(mean), 0, atol=1e-6)
    one_step = mean + 1.0 - jax.grad(loss)(mean + 1.0) / weights.mean()  # quadratic: Newton's step
    np.testing.assert_allclose(one_step, mean, atol=1e-5)


def test_a_squared_distance_sums_over_the_action():
    a = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(squared_distance(a, jnp.array([[3.0, 4.0], [1.0, 1.0]])), [25, 0])


def test_distillation_costs_nothing_at_the_teachers_own_map():
    noise = jnp.asarray(RNG.normal(size=(64, 2)))
    other = jnp.asarray(RNG.normal(size=(64, 2)))
    teacher = lambda z: jnp.tanh(2 * z)  # noqa: E731
    assert distillation_loss(teacher(noise), teacher(noise))[0] == 0
    assert distillation_loss(teacher(noise), teacher(other))[0] > 0.5  # other noise
    slope = jax.grad(lambda taught: distillation_loss(noise, taught)[0])(other)
    assert jnp.all(slope == 0)  # the teacher does not learn


def test_what_is_pulled_moves_against_its_direction():
    actions = jnp.asarray(RNG.normal(size=(8, 2)))
    direction = jnp.asarray(RNG.normal(size=(8, 2)))
    np.testing.assert_allclose(jax.grad(pulled)(actions, direction), direction / 8, rtol=1e-6)
    assert jnp.all(jax.grad(pulled, argnums=1)(actions, direction) == 0)
