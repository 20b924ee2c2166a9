"""Shortcut models against the exact shortcut of a Gaussian flow and fields of known inconsistency.

For the Gaussian target of test_flow_matching the flow is the affine map
Phi_{t -> t+h}(a) = (t + h) mu + sqrt(V(t + h) / V(t)) (a - t mu), and the exact shortcut is the
average velocity (Phi(a) - a) / h. Two half-steps compose to one, so it is self-consistent.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorl_edu.errors import ConfigError
from sorl_edu.flow_matching import integrate, integrate_path
from sorl_edu.shortcut import (
    at_step_size,
    check_backprop_steps,
    check_denoise_steps,
    check_steps,
    jump_gap,
    levels_in_batch,
    sample_from,
    self_consistency_loss,
    self_consistency_target,
)

MU, SIGMA, EPSILON = np.array([0.2, -0.1]), 0.3, 1e-5
ACTIONS = MU + SIGMA * jax.random.normal(jax.random.key(3), (66, 2))
OBS = jnp.zeros((66, 1))


def variance(t):
    return (1 - (1 - EPSILON) * t) ** 2 + t**2 * SIGMA**2


def exact_shortcut(obs, a_t, t, h):
    landed = (t + h) * MU + jnp.sqrt(variance(t + h) / variance(t)) * (a_t - t * MU)
    return (landed - a_t) / h


def loss_of(field, target_field=None, *, rows=66, M=8, seed=0):
    loss, metrics = self_consistency_loss(
        field,
        field if target_field is None else target_field,
        OBS[:rows],
        ACTIONS[:rows],
        jax.random.key(seed),
        M,
    )
    assert metrics["consistency_loss"] is loss
    return loss


def compiled_loss(field, **options):
    return jax.jit(lambda: loss_of(field, **options))()


@pytest.mark.parametrize("M", [2, 8, 32])
def test_the_exact_shortcut_is_consistent_and_others_are_not(M):
    assert compiled_loss(exact_shortcut, M=M) < 1e-10
    # The velocity of the flow itself ignores h: its jumps of 2h overshoot two of h.
    assert (
        compiled_loss(lambda o, a, t, h: exact_shortcut(o, a, t, jnp.full_like(h, 1e-3)), M=M)
        > 1e-3
    )


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_the_exact_shortcut_carries_noise_to_the_same_data_in_any_number_of_steps(steps):
    noise = jax.random.normal(jax.random.key(0), (66, 2))
    a_1 = integrate(at_step_size(exact_shortcut, 1 / steps), OBS, noise, steps)
    np.testing.assert_allclose(a_1, MU + SIGMA * noise, atol=1e-5)


def test_inconsistency_of_known_size():
    # s = delta h: a jump of 2h has velocity 2 delta h, two of h have delta h; they differ by
    # delta h with h = 1/2, 1/4, 1/8. Nine rows are three of each; the tenth has h = 1/2.
    assert compiled_loss(lambda o, a, t, h: 0 * a + 0.7 * h, rows=9) == pytest.approx(
        0.49 * (1 / 4 + 1 / 16 + 1 / 64) / 3
    )
    assert compiled_loss(lambda o, a, t, h: 0 * a + 0.7 * h, rows=10) == pytest.approx(
        0.49 * (4 / 4 + 3 / 16 + 3 / 64) / 10
    )
    # s = t: the second half-step starts at t + h, so the target is t + h / 2.
    assert compiled_loss(lambda o, a, t, h: 0 * a + t, rows=9) == pytest.approx(
        (1 / 4 + 1 / 16 + 1 / 64) / 3 / 4
    )


def test_the_second_half_step_starts_where_the_first_one_lands():
    # s = x a: v1 = x a, v2 = x (a + h x a), so the target is x a + h x^2 a / 2.
    a, h = jnp.array([[1.0, -2.0]]), jnp.array([[0.25]])
    target = self_consistency_target(
        lambda o, a, t, h: 3 * a, jnp.zeros((1, 1)), a, jnp.array([[0.5]]), h
    )
    np.testing.assert_allclose(target, 3 * a + 0.25 * 9 * a / 2)


@pytest.mark.parametrize("M", [2, 4, 16])
def test_times_and_steps_are_on_the_grid_of_each_level(M):
    rows, L = 66, int(np.log2(M))
    asked = []

    def target_field(obs, a, t, h):
        asked.append((np.asarray(t), np.asarray(h)))
        return 0 * a

    seen_t, seen_2h = [], []
    for seed in range(8):

        def field(obs, a, t, h):
            asked.append((np.asarray(t), np.asarray(h)))
            return 0 * a

        asked.clear()
        loss_of(field, target_field, M=M, seed=seed)
        (t1, h1), (t2, h2), (t, two_h) = asked
        np.testing.assert_array_equal(h1, two_h / 2)
        np.testing.assert_array_equal(h2, two_h / 2)
        np.testing.assert_array_equal(t1, t)
        np.testing.assert_array_equal(t2, t + h1)
        seen_t.append(t[:, 0])
        seen_2h.append(two_h[:, 0])
    t, two_h = np.concatenate(seen_t), np.concatenate(seen_2h)
    share, rest = divmod(rows, L)
    for j in range(L):
        at_level = two_h == 0.5**j
        assert at_level.sum() == 8 * (share + (rest if j == 0 else 0))
        assert set(t[at_level]) <= set(np.arange(2**j) / 2**j)
        if j < 3:
            assert len(set(t[at_level])) == 2**j
    assert np.isin(two_h, 0.5 ** np.arange(L)).all()


@given(batch=st.integers(1, 600), level=st.integers(1, 7))
def test_levels_are_even_and_the_remainder_goes_to_the_first(batch, level):
    counts = np.bincount(levels_in_batch(batch, 2**level), minlength=level)
    assert counts.sum() == batch and len(counts) == level
    assert np.all(counts[1:] == batch // level)
    assert counts[0] == batch // level + batch % level


def test_only_the_online_field_gets_a_gradient():
    def loss(online, target):
        return loss_of(lambda o, a, t, h: online * a + t, lambda o, a, t, h: target * a + h)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    of_online, of_target = gradient(0.5, 0.4)
    assert of_target == 0
    assert abs(of_online) > 1e-3
    # One parameter in both roles gets the gradient of the online role alone.
    shared = jax.jit(jax.grad(lambda x: loss(x, x)))(0.5)
    np.testing.assert_allclose(shared, gradient(0.5, 0.5)[0], rtol=1e-5)


def report(obs, a_t, t, h):
    """A field whose velocity is (t, h): the path shows what it was fed."""
    return jnp.concatenate([t, h], axis=-1)


@pytest.mark.parametrize("h", [1.0, 0.125])
def test_at_one_step_size_the_field_is_fed_it_at_every_time(h):
    path = integrate_path(at_step_size(report, h), OBS, jnp.zeros((66, 2)), 4)
    velocity = 4 * np.diff(path, axis=0)
    np.testing.assert_allclose(velocity[..., 0], np.tile([[0], [0.25], [0.5], [0.75]], 66))
    np.testing.assert_array_equal(velocity[..., 1], np.full((4, 66), h))


@pytest.mark.parametrize("steps", [1, 2, 8, 16, 32])
def test_beyond_M_the_step_shrinks_and_the_field_is_fed_one_over_M(steps):
    # From 0, the mean of what the field is fed: of t, (m - 1) / 2m, and of h.
    a = sample_from(report, OBS, jnp.zeros((66, 2)), steps, denoise_steps=8)
    np.testing.assert_allclose(
        a, np.tile([(steps - 1) / (2 * steps), 1 / min(steps, 8)], (66, 1)), atol=1e-6
    )


def test_samples_are_clipped_at_the_end_only():
    # In two steps: out to 1 + 2, and back by 2.5.
    def there_and_back(obs, a_t, t, h):
        return jnp.where(t < 0.5, 4.0, -5.0) + 0 * a_t

    a = sample_from(there_and_back, OBS, jnp.ones((66, 2)), 2, denoise_steps=8)
    np.testing.assert_allclose(a, 0.5)
    a = sample_from(there_and_back, OBS, jnp.ones((66, 2)), 1, denoise_steps=8)
    np.testing.assert_allclose(a, 1.0)


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_the_gradient_goes_through_every_step(steps):
    # s = x a: a_1 = a_0 (1 + x / m)^m, whose derivative in x is a_0 (1 + x / m)^(m - 1).
    noise = 0.1 * jax.random.normal(jax.random.key(0), (66, 2))

    def total(x):
        return sample_from(lambda o, a, t, h: x * a, OBS, noise, steps, denoise_steps=8).sum()

    known = noise.sum() * (1 + 0.6 / steps) ** (steps - 1)
    np.testing.assert_allclose(jax.grad(total)(0.6), known, rtol=1e-4)


def test_the_gap_between_one_jump_and_two():
    a = jax.random.normal(jax.random.key(0), (66, 2))
    assert jump_gap(exact_shortcut, OBS, a, 0.25, 0.25).max() < 1e-6
    gap = jump_gap(lambda o, a, t, h: 0 * a + h, OBS, a, 0.0, 0.25)
    # Velocity h for a distance 2h: 2h * 2h - 2 h * h = 2 h^2 in each of two dimensions.
    np.testing.assert_allclose(gap, 2 * 0.25**2 * np.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize("M", [-8, 0, 1, 3, 6, 12])
def test_M_must_be_a_power_of_two_and_leave_something_to_shorten(M):
    with pytest.raises(ConfigError, match=rf"power of two.*got {M}"):
        check_denoise_steps(M)
    with pytest.raises(ConfigError, match="power of two"):
        loss_of(exact_shortcut, M=M)


@pytest.mark.parametrize(
    ("most", "M", "message"),
    [(-1, 8, "got -1"), (0, 8, "got 0"), (3, 8, "got 3"), (16, 8, "M = 8.*got 16")],
)
def test_M_BTT_must_be_a_power_of_two_and_at_most_M(most, M, message):
    with pytest.raises(ConfigError, match=rf"M_BTT.*power of two.*{message}"):
        check_backprop_steps(most, M)


@pytest.mark.parametrize("steps", [-1, 0, 3, 12])
def test_inference_steps_must_be_a_power_of_two(steps):
    with pytest.raises(ConfigError, match=f"power of two.*got {steps}"):
        check_steps(steps)


@pytest.mark.parametrize("steps", [1, 2, 64, np.int32(8), np.int64(8), np.uint8(128)])
def test_powers_of_two_are_taken(steps):
    check_steps(steps)
    check_backprop_steps(steps, steps)
    if steps > 1:
        check_denoise_steps(steps)
