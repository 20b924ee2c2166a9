"""Flow matching against the closed form for a Gaussian target.

For a_1 ~ N(mu, sigma^2 I) and a_0 ~ N(0, I), the path a_t = alpha a_0 + t a_1 with
alpha = 1 - c t, c = 1 - eps, has variance V(t) = alpha^2 + t^2 sigma^2 and Cov(v, a_t) =
t sigma^2 - c alpha, so that, with everything jointly Gaussian,

    E[v | a_t] = mu + (t sigma^2 - c alpha) / V (a_t - t mu)
    Var[v | a_t] = sigma^2 (alpha + c t)^2 / V = sigma^2 / V
    a_1 = mu + sqrt(V(1) / V(0)) a_0                      # where the exact flow carries a_0
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from sorl_edu.flow_matching import (
    euler_step,
    flow_matching_loss,
    grid_times,
    integrate,
    integrate_path,
    interpolate,
    uniform_times,
    velocity_target,
)

MU, SIGMA = np.array([0.4, -0.7]), 0.5
ROWS = 100_000


def variance(t, epsilon):
    return (1 - (1 - epsilon) * t) ** 2 + t**2 * SIGMA**2


def slope(t, epsilon):
    c = 1 - epsilon
    return (t * SIGMA**2 - c * (1 - c * t)) / variance(t, epsilon)


def gaussian_field(epsilon):
    return lambda obs, a_t, t: MU + slope(t, epsilon) * (a_t - t * MU)


@functools.cache
def gaussian_data():
    actions = MU + SIGMA * jax.random.normal(jax.random.key(1), (ROWS, 2))
    return jnp.zeros((ROWS, 1)), actions


def loss_of(field, **options):
    def loss(obs, actions):
        loss, metrics = flow_matching_loss(field, obs, actions, jax.random.key(0), **options)
        assert metrics["flow_loss"] is loss
        return loss

    return jax.jit(loss)(*gaussian_data())


def standard_error(mean_square, mean_fourth):
    """Of the loss at the optimum: residuals are N(0, s^2(t)), two per row with one t."""
    return np.sqrt(((mean_fourth - mean_square**2) + 2 * mean_fourth / 2) / ROWS)


@pytest.mark.parametrize("epsilon", [1e-5, 0.2])
def test_the_loss_of_the_optimal_field_is_the_conditional_variance(epsilon):
    # int_0^1 sigma^2 / V dt, in closed form, since V = (c^2 + sigma^2) t^2 - 2 c t + 1.
    c = 1 - epsilon
    known = SIGMA * (np.arctan((c**2 + SIGMA**2 - c) / SIGMA) + np.arctan(c / SIGMA))
    fourth = quad(lambda t: (SIGMA**2 / variance(t, epsilon)) ** 2, 0, 1)[0]
    loss = loss_of(gaussian_field(epsilon), epsilon=epsilon)
    assert abs(loss - known) < 5 * standard_error(known, fourth)


def test_the_loss_on_a_grid_of_times_is_the_mean_over_the_grid():
    square = SIGMA**2 / variance(np.arange(8) / 8, 1e-5)
    loss = loss_of(gaussian_field(1e-5), times=grid_times(8))
    assert abs(loss - square.mean()) < 5 * standard_error(square.mean(), (square**2).mean())


def test_a_field_off_by_a_constant_costs_its_square():
    optimal = gaussian_field(1e-5)
    off = loss_of(lambda *args: optimal(*args) + jnp.array([0.5, -0.3]))
    at_optimum = loss_of(optimal)
    # The cross term has mean 0 and standard error below 2 * 0.5 * 1 / sqrt(rows).
    assert abs(off - at_optimum - (0.25 + 0.09) / 2) < 5 / np.sqrt(ROWS)


def test_the_path_runs_from_noise_to_data_at_the_target_velocity():
    noise, actions = jax.random.normal(jax.random.key(0), (2, 5, 3))
    ends = (
        interpolate(noise, actions, jnp.zeros((5, 1))),
        interpolate(noise, actions, jnp.ones((5, 1)), 0.1),
    )
    np.testing.assert_array_equal(ends[0], noise)
    np.testing.assert_allclose(ends[1], actions + 0.1 * noise, atol=1e-6)
    a_t, velocity = jax.jvp(
        lambda t: interpolate(noise, actions, t, 0.1), [jnp.full((5, 1), 0.3)], [jnp.ones((5, 1))]
    )
    np.testing.assert_allclose(velocity, velocity_target(noise, actions, 0.1), atol=1e-6)
    np.testing.assert_allclose(a_t, 0.73 * noise + 0.3 * actions, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-5, 0.2])
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_euler_steps_of_the_linear_field_have_a_closed_form(steps, epsilon):
    # b = a - t mu is multiplied by 1 + k_i / m in step i.
    t = np.arange(steps) / steps
    factors = np.cumprod([1, *(1 + slope(t, epsilon) / steps)])
    noise = np.random.default_rng(0).normal(size=(6, 2))
    known = (np.arange(steps + 1) / steps)[:, None, None] * MU + factors[:, None, None] * noise
    field, obs = gaussian_field(epsilon), jnp.zeros((6, 1))
    path = integrate_path(field, obs, jnp.asarray(noise, jnp.float32), steps)
    np.testing.assert_allclose(path, known, atol=1e-5)
    np.testing.assert_array_equal(
        integrate(field, obs, jnp.asarray(noise, jnp.float32), steps), path[-1]
    )


def test_one_step_from_noise_lands_on_the_mean():
    noise = jax.random.normal(jax.random.key(0), (4, 2))
    a_1 = integrate(gaussian_field(1e-5), jnp.zeros((4, 1)), noise, 1)
    np.testing.assert_allclose(a_1, np.tile(MU, (4, 1)), atol=1e-4)


def test_many_steps_approach_the_exact_flow_at_first_order():
    noise = jax.random.normal(jax.random.key(0), (50, 2))
    exact = MU + np.sqrt(SIGMA**2 + 1e-10) * noise
    errors = [
        np.abs(integrate(gaussian_field(1e-5), jnp.zeros((50, 1)), noise, m) - exact).max()
        for m in (64, 128, 256)
    ]
    assert errors[-1] < 0.01
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.05)


def report(obs, a_t, t):
    """A field whose velocity is (t, 1): the path shows the times at which it was asked."""
    return jnp.concatenate([t, jnp.ones_like(t)], axis=-1)


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_m_steps_visit_the_times_i_over_m(steps):
    obs, noise = jnp.zeros((3, 1)), jnp.zeros((3, 2))
    path = integrate_path(report, obs, noise, steps)
    seen = np.diff(path, axis=0) * steps
    np.testing.assert_allclose(
        seen[..., 0], np.tile(np.arange(steps)[:, None] / steps, 3), atol=1e-6
    )
    np.testing.assert_allclose(seen[..., 1], 1, atol=1e-6)
    # The sum of i / m over m steps of size 1 / m.
    known = np.tile([(steps - 1) / (2 * steps), 1], (3, 1))
    np.testing.assert_allclose(integrate(report, obs, noise, steps), known, atol=1e-6)


def test_an_euler_step():
    a = jnp.ones((2, 2))
    moved = euler_step(report, jnp.zeros((2, 1)), a, 0.5, 0.25)
    np.testing.assert_allclose(moved, [[1.125, 1.25]] * 2)


def test_the_loss_conditions_on_its_own_row():
    # Were obs paired with another row's action, a field that reads its target off obs would fail.
    asked = {}

    def field(obs, a_t, t):
        asked["t"] = np.asarray(t)
        # The only a_0 on the path through a_t to the known a_1 = obs; then v = a_1 - c a_0.
        c = 1 - 1e-5
        return obs - c * (a_t - t * obs) / (1 - c * t)

    actions = jax.random.normal(jax.random.key(0), (64, 2))
    loss, _ = flow_matching_loss(field, actions, actions, jax.random.key(1), times=grid_times(8))
    assert loss < 1e-9
    np.testing.assert_array_equal(np.unique(asked["t"]), np.arange(8) / 8)


@given(seed=st.integers(0, 2**31), steps=st.sampled_from([1, 2, 7, 8]))
@settings(max_examples=10, deadline=None)
def test_times_lie_on_the_grid_or_anywhere_between_0_and_1(seed, steps):
    key = jax.random.key(seed)
    t = np.asarray(grid_times(steps)(key, 40))
    assert t.shape == (40, 1)
    np.testing.assert_allclose(t * steps, np.rint(t * steps), atol=1e-5)
    assert np.all((t >= 0) & (t < 1))
    uniform = np.asarray(uniform_times(key, 40))
    assert uniform.shape == (40, 1) and np.all((uniform >= 0) & (uniform < 1))
    assert len(np.unique(uniform)) > 30
