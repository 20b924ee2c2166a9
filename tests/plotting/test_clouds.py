"""Energy distance against SciPy's, and figures of lessons 1 and 2 against closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sorl_edu import plotting
from sorl_edu.errors import ConfigError

MU, SIGMA = jnp.array([0.3, -0.2]), 0.4
DATA = MU + SIGMA * jax.random.normal(jax.random.key(1), (200, 2))
KEY = jax.random.key(0)


def std(t):
    return jnp.sqrt((1 - t) ** 2 + (t * SIGMA) ** 2)


def exact(obs, a_t, t, h):
    """The exact shortcut from N(0, I) to N(MU, SIGMA^2 I)."""
    return ((t + h) * MU + std(t + h) / std(t) * (a_t - t * MU) - a_t) / h


def velocity(obs, a_t, t):
    return MU + (t * SIGMA**2 - (1 - t)) / std(t) ** 2 * (a_t - t * MU)


def test_energy_distance_is_scipys_on_a_line_and_a_known_value():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    on_a_line = [jnp.stack([jnp.asarray(z), 0 * jnp.asarray(z)], -1) for z in (x, y)]
    expected = stats.energy_distance(x, y)
    assert float(plotting.energy_distance(*on_a_line)) == pytest.approx(expected, abs=1e-3)
    # Two points at distance 2: D^2 = 2 * 2.
    two = plotting.energy_distance(jnp.zeros((1, 2)), jnp.array([[2.0, 0.0]]))
    assert float(two) == pytest.approx(2)
    assert float(plotting.energy_distance(DATA, DATA)) == 0


def test_distances_over_seeds_and_snapshots():
    def apply(scale, obs, a_t, t, h):  # at scale 1, exact
        return scale * exact(obs, a_t, t, h)

    scales = jnp.array([1.0, 0.5])
    options = dict(key=KEY, denoise_steps=2, samples=100)
    few = plotting.distances_to_data(apply, scales, DATA, steps=(1, 2), **options)
    assert few.shape == (2, 2)
    assert (few[1] > 2 * few[0]).all()
    over = plotting.distances_over_training(apply, scales[:, None], DATA, **options)
    np.testing.assert_allclose(over[:, 0], few[:, 0], atol=1e-3)
    assert few[0].max() < 4 * plotting.distance_floor(DATA, 100)


def test_a_shortcut_sees_its_step_down_to_1_over_M_and_a_field_sees_none():
    def shortcut(params, obs, a_t, t, h):
        return params * h * jnp.ones_like(a_t)  # m steps add h = 1/min(m, M) to the noise

    def field(h, obs, a_t, t):
        return h * jnp.ones_like(a_t)

    options = dict(key=KEY, samples=100)
    for m, h in ((1, 1.0), (2, 0.5), (4, 0.25), (8, 0.25)):
        moved = plotting.distances_to_data(
            shortcut, jnp.ones(1), DATA, steps=(m,), denoise_steps=4, **options
        )
        expected = plotting.distances_to_data(field, jnp.array([h]), DATA, steps=(m,), **options)
        np.testing.assert_allclose(moved, expected, rtol=1e-4)
    assert moved != plotting.distances_to_data(field, jnp.ones(1), DATA, steps=(8,), **options)


def test_crossing_paths_are_those_near_the_point():
    noise = jax.random.normal(KEY, DATA.shape)
    figure = plotting.crossing_paths(noise, DATA, (0.2, 0.0), (0.5,), radius=0.3)
    near = np.linalg.norm((noise + DATA) / 2 - np.array([0.2, 0.0]), axis=-1) < 0.3
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.collections[1].get_offsets(), noise[near], rtol=1e-6)
    assert axes.get_title() == f"t = 0.5: {near.sum()} paths"
    with pytest.raises(ConfigError, match="no path passes"):
        plotting.crossing_paths(noise, DATA, (9.0, 9.0), (0.5,))


def test_distance_curves_are_means_over_seeds():
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    line = plotting.distance_curves({"a": rows}, (1, 2), floor=0.5).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [2, 3])
    with pytest.raises(ConfigError, match="expected"):
        plotting.distance_curves({"a": rows}, (1, 2, 4))


def test_velocity_slices_show_the_closed_form_and_the_trained_fields():
    exact_velocity = functools.partial(velocity, None)
    lines = plotting.velocity_slices(exact_velocity, [velocity], (0.5,)).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), lines[1].get_ydata(), atol=1e-6)
