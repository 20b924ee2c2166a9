"""Diffusion and consistency against closed forms for a Gaussian.

For data a ~ N(mu, s^2 I) everything that follows is Gaussian: a_t = alpha a + sigma z has variance
V = alpha^2 s^2 + sigma^2, the best eps is E[z | a_t] = sigma / V (a_t - alpha mu), with
Var[z | a_t] = alpha^2 s^2 / V, and the score of a_t is -(a_t - alpha mu) / V.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from sorl_edu.denoising import (
    SIGMA_DATA,
    SIGMA_MAX,
    SIGMA_MIN,
    ancestral_sample,
    consistency_function,
    consistency_loss,
    consistency_sample,
    drawn_level,
    drawn_time,
    epsilon_loss,
    karras_level,
    levels_after,
    posterior,
    sampling_levels,
    score_distillation,
    split_noise,
    vp_levels,
    vp_scales,
)
from sorl_edu.networks import VelocityField

MU, S = np.array([0.4, -0.7]), 0.5
KEY = jax.random.key(0)
ROWS = 200_000


def exact_level(levels, mu=MU, s=S):
    """E[z | a_t] at levels t = 0, 1, ..."""

    def model(obs, a_t, t):
        i = t.astype(int)
        alpha, sigma = levels.alpha[i], levels.sigma[i]
        return sigma / (alpha**2 * s**2 + sigma**2) * (a_t - alpha * mu)

    return model


def exact_time(mu=MU, s=S):
    """E[z | a_t] at times t of the SDE."""

    def model(obs, a_t, t):
        alpha, sigma = vp_scales(t)
        return sigma / (alpha**2 * s**2 + sigma**2) * (a_t - alpha * mu)

    return model


def scales(t):
    """alpha and sigma by numerical integration of beta(t) = 0.1 + 19.9 t."""
    log_alpha = -quad(lambda u: 0.1 + 19.9 * u, 0, t)[0] / 2
    return np.exp(log_alpha), np.sqrt(1 - np.exp(2 * log_alpha))


def gaussian(rows=ROWS):
    return jnp.zeros((rows, 1)), MU + S * jax.random.normal(jax.random.key(9), (rows, 2))


# --------------------------------------------------------------------------------------- diffusion


def test_the_sde_keeps_the_variance_and_follows_its_rate():
    t = np.array([0.02, 0.3, 0.7, 0.98])
    alpha, sigma = vp_scales(jnp.asarray(t, jnp.float32))
    known = np.array([scales(u) for u in t]).T
    np.testing.assert_allclose([alpha, sigma], known, rtol=1e-5)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, atol=1e-6)


def test_levels_are_the_published_schedule():
    # exp(-0.1 / 5 - 0.5 * 9.9 * (2 t - 1) / 25) at t = 1 ... 5, by hand.
    exponents = [0.218, 0.614, 1.01, 1.406, 1.802]
    levels = vp_levels(5)
    np.testing.assert_allclose(levels.beta, 1 - np.exp(-np.array(exponents)), rtol=1e-5)
    np.testing.assert_allclose(levels.alpha**2, np.exp(-np.cumsum(exponents)), rtol=1e-5)
    np.testing.assert_allclose(levels.alpha**2 + levels.sigma**2, 1, atol=1e-6)


@pytest.mark.parametrize("count", [1, 5])
def test_the_loss_is_zero_at_the_true_noise(count):
    levels = vp_levels(count)

    def knows(obs, a_t, t):  # the only z between the action, which is obs, and a_t
        i = t.astype(int)
        return (a_t - levels.alpha[i] * obs) / levels.sigma[i]

    actions = jax.random.normal(KEY, (512, 2))
    loss, metrics = epsilon_loss(knows, actions, actions, KEY, drawn_level(levels))
    assert loss < 1e-9 and metrics["diffusion_loss"] is loss


def test_the_loss_of_the_best_model_is_the_variance_that_is_left():
    levels, (obs, actions) = vp_levels(5), gaussian()
    alpha, sigma = np.asarray(levels.alpha, float), np.asarray(levels.sigma, float)
    left = alpha**2 * S**2 / (alpha**2 * S**2 + sigma**2)
    loss = epsilon_loss(exact_level(levels), obs, actions, KEY, drawn_level(levels))[0]
    assert abs(loss - left.mean()) < 5 * np.sqrt(2 * (left**2).mean() / ROWS)
    loss = epsilon_loss(exact_time(), obs, actions, KEY, drawn_time(0.1, 1))[0]

    def left_at(t):
        a, b = scales(t)
        return a**2 * S**2 / (a**2 * S**2 + b**2)

    known = quad(left_at, 0.1, 1)[0] / 0.9
    assert abs(loss - known) < 5 / np.sqrt(ROWS)


def test_levels_and_times_are_drawn_where_they_should_be():
    t, alpha, sigma = drawn_level(vp_levels(5))(KEY, 1000)
    assert t.shape == alpha.shape == sigma.shape == (1000, 1)
    np.testing.assert_array_equal(np.unique(t), range(5))
    np.testing.assert_array_equal(alpha, vp_levels(5).alpha[t.astype(int)])
    t, alpha, _ = drawn_time(0.02, 0.98)(KEY, 1000)
    assert 0.02 <= t.min() < 0.05 and 0.95 < t.max() < 0.98
    np.testing.assert_array_equal(alpha, vp_scales(t)[0])


@pytest.mark.parametrize("s", [1.0, 0.5])
@pytest.mark.parametrize("t", [0, 1, 4])
def test_the_posterior_of_a_gaussian(t, s):
    # a_t = sqrt(1 - beta) b + sqrt(beta) z from b, which has a level less noise: jointly Gaussian.
    levels = vp_levels(5)
    beta, alpha = float(levels.beta[t]), np.asarray(levels.alpha, float)
    before = alpha[t - 1] if t > 0 else 1.0
    variance_b = before**2 * s**2 + 1 - before**2
    variance = (1 - beta) * variance_b + beta
    slope = np.sqrt(1 - beta) * variance_b / variance
    a_t = np.random.default_rng(0).normal(size=(6, 2))
    known = before * MU + slope * (a_t - alpha[t] * MU)
    mean, deviation = posterior(
        exact_level(levels, s=s), jnp.zeros((6, 1)), jnp.asarray(a_t, jnp.float32), t, levels
    )
    np.testing.assert_allclose(mean, known, atol=1e-5)
    true = np.sqrt(variance_b - slope**2 * variance)
    if t == 0:
        assert deviation == 0
    elif s == 1:
        np.testing.assert_allclose(deviation, true, rtol=1e-5)
    else:
        assert deviation > true


def sample(levels, noises, **options):
    obs = jnp.zeros((noises.shape[1], 1))
    model = exact_level(levels)
    return jax.jit(lambda n: ancestral_sample(model, obs, n, levels, **options))(noises)


def test_five_exact_steps_have_the_mean_and_variance_of_their_recursion():
    # From a_T ~ N(0, 1), each step is linear in a_t; the last adds no noise.
    levels = vp_levels(5)
    mean, variance = np.zeros(2), 1.0
    for t in reversed(range(5)):
        beta, alpha, sigma = (float(values[t]) for values in levels)
        shrink = beta / (alpha**2 * S**2 + sigma**2)
        mean = ((1 - shrink) * mean + shrink * alpha * MU) / np.sqrt(1 - beta)
        variance = (1 - shrink) ** 2 / (1 - beta) * variance + beta * (t > 0)
    noises = jax.random.normal(KEY, (5, ROWS, 2))
    actions = sample(levels, noises, limit=jnp.inf)
    error = 5 * np.sqrt(variance / ROWS)
    np.testing.assert_allclose(actions.mean(0), mean, atol=error)
    np.testing.assert_allclose(actions.var(0), variance, atol=2 * error)


def test_many_exact_steps_draw_from_the_gaussian():
    actions = sample(vp_levels(300), jax.random.normal(KEY, (300, 20_000, 2)), limit=jnp.inf)
    np.testing.assert_allclose(actions.mean(0), MU, atol=0.02)
    np.testing.assert_allclose(actions.std(0), S, atol=0.02)


def test_the_sampler_visits_levels_from_noise_to_data_and_limits_every_step():
    seen = []

    def model(obs, a_t, t):
        seen.append((float(t[0, 0]), np.abs(a_t).max()))
        return -10 * jnp.ones_like(a_t)  # pushes every action up

    with jax.disable_jit():
        noises = 3 * jnp.ones((4, 2, 1))
        actions = ancestral_sample(model, jnp.zeros((2, 1)), noises, vp_levels(4), limit=0.5)
    assert [t for t, _ in seen] == [3, 2, 1, 0]
    assert [size for _, size in seen] == [3, 0.5, 0.5, 0.5]
    np.testing.assert_array_equal(actions, 0.5)


def test_a_sampler_s_noise_is_split_in_order():
    noise = jnp.arange(12.0).reshape(2, 6)
    parts = split_noise(noise, 3)
    np.testing.assert_array_equal(parts, [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]])


def test_distilling_the_score_of_a_gaussian_pulls_to_its_mean():
    # E_z of sigma^2 (eps - z) at a is sigma^3 alpha (a - mu) / V.
    def pull(t):
        alpha, sigma = scales(t)
        return sigma**3 * alpha / (alpha**2 * S**2 + sigma**2)

    known = quad(pull, 0.02, 0.98)[0] / 0.96
    actions = jnp.broadcast_to(jnp.array([0.9, 0.1]), (ROWS, 2))
    obs, noising = jnp.zeros((ROWS, 1)), drawn_time(0.02, 0.98)
    direction = score_distillation(exact_time(), obs, actions, KEY, noising)
    error = 5 * direction.std(0) / np.sqrt(ROWS)
    assert np.all(np.abs(direction.mean(0) - known * (actions[0] - MU)) < error)
    assert np.all(error < 0.02)  # of a pull of 0.1 and more


# ------------------------------------------------------------------------------------- consistency


def a_network():
    network = VelocityField((8,), 2)
    params = network.init(KEY, jnp.zeros((4, 3)), jnp.zeros((4, 2)), jnp.ones((4, 1)))
    return lambda *inputs: network.apply(params, *inputs)


def test_a_consistency_function_is_the_identity_at_the_least_noise():
    obs, actions = jax.random.normal(KEY, (4, 3)), jax.random.normal(jax.random.key(1), (4, 2))
    function = consistency_function(lambda *inputs: 1e3 * a_network()(*inputs))
    unmoved = function(obs, actions, jnp.full((4, 1), SIGMA_MIN))
    np.testing.assert_array_equal(unmoved, actions)
    moved = function(obs, actions, jnp.full((4, 1), 1.0))
    assert np.abs(moved - actions).min() > 0.1


def test_the_factors_are_those_of_the_paper():
    seen = {}

    def network(obs, a, t):
        seen.update(a=a, t=t)
        return jnp.full_like(a, 10.0)

    s, a = np.array([[0.1], [2.0], [80.0]]), np.array([[3.0], [-1.0], [50.0]])
    out = consistency_function(network)(
        jnp.zeros((3, 1)), jnp.asarray(a, jnp.float32), jnp.asarray(s, jnp.float32)
    )
    skip = 0.25 / ((s - 0.002) ** 2 + 0.25)
    factor = 0.5 * (s - 0.002) / np.sqrt(s**2 + 0.25)
    np.testing.assert_allclose(out, skip * a + factor * 10, rtol=1e-5)
    np.testing.assert_allclose(seen["a"], a / np.sqrt(s**2 + 0.25), rtol=1e-5)
    np.testing.assert_allclose(seen["t"], np.log(s) / 4, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 10, 150])
def test_karras_levels_run_from_the_least_noise_to_the_most(count):
    s = karras_level(jnp.arange(count), count)
    np.testing.assert_allclose([s[0], s[-1]], [0.002, 80], rtol=1e-5)
    assert np.all(np.diff(s) > 0)
    np.testing.assert_allclose(np.diff(np.asarray(s, float) ** (1 / 7), 2), 0, atol=1e-5)


def test_the_number_of_levels_grows_from_2_to_150():
    def known(k):
        return int(np.ceil(np.sqrt(k / 1000 * (150**2 - 2**2) + 2**2) - 1)) + 1

    asked = [0, 1, 10, 250, 999, 1000]
    found = [int(levels_after(jnp.asarray(k, jnp.int32), 1000)) for k in asked]
    assert found == [known(k) for k in asked]
    assert (found[0], found[-1]) == (2, 150)
    assert int(levels_after(jnp.asarray(5000, jnp.int32), 1000)) == 150


def linear(obs, a_s, s):
    """The exact consistency function of data ~ N(0, S^2): a_s scaled by the ratio of deviations."""
    return a_s * jnp.sqrt((SIGMA_MIN**2 + S**2) / (s**2 + S**2))


def test_the_consistency_loss_of_a_gaussian():
    # With f = c(s) a_s the difference is (c_2 - c_1) a + (c_2 s_2 - c_1 s_1) z, the same a and z.
    count = 5
    s = (
        0.002 ** (1 / 7) + np.arange(count) / (count - 1) * (80 ** (1 / 7) - 0.002 ** (1 / 7))
    ) ** 7
    c = np.sqrt((0.002**2 + S**2) / (s**2 + S**2))
    square = np.diff(c) ** 2 * S**2 + np.diff(c * s) ** 2
    terms = 100 / np.diff(s) * square
    actions = S * jax.random.normal(jax.random.key(9), (ROWS, 2))
    obs = jnp.zeros((ROWS, 1))
    loss, metrics = consistency_loss(linear, linear, obs, actions, KEY, count)
    # Each row's term is at most 3 times terms' square on average: normal to the fourth.
    assert abs(loss - terms.mean()) < 5 * np.sqrt(3 * (terms**2).mean() / ROWS)
    assert metrics["consistency_loss"] is loss


def test_only_the_function_on_more_noise_learns():
    actions, obs = jax.random.normal(KEY, (64, 2)), jnp.zeros((64, 1))

    def loss(scale, target_scale):
        def scaled(factor):
            return lambda *inputs: factor * linear(*inputs)

        return consistency_loss(scaled(scale), scaled(target_scale), obs, actions, KEY, 5)[0]

    of_function, of_target = jax.grad(loss, argnums=(0, 1))(1.5, 1.0)
    assert of_function > 0.1 and of_target == 0


def test_two_jumps_of_the_exact_function():
    noises = np.random.default_rng(0).normal(size=(2, 6, 2))

    def c(s):
        return np.sqrt((0.002**2 + S**2) / (s**2 + S**2))

    first = c(80) * 80 * noises[0]
    known = c(2) * (first + np.sqrt(2**2 - 0.002**2) * noises[1])
    found = consistency_sample(
        linear, jnp.zeros((6, 1)), jnp.asarray(noises, jnp.float32), sampling_levels(2)
    )
    np.testing.assert_allclose(found, np.clip(known, -1, 1), atol=1e-5)
    assert 0 < np.mean(np.abs(known) > 1) < 1  # some are limited, some are not


def test_an_action_is_limited_after_the_last_jump_alone():
    seen = []

    def function(obs, a_s, s):
        seen.append((float(s[0, 0]), float(a_s[0, 0])))
        return a_s + 5

    with jax.disable_jit():
        actions = consistency_sample(
            function, jnp.zeros((1, 1)), jnp.zeros((3, 1, 1)), sampling_levels(3)
        )
    assert seen == [(80, 0), (41, 5), (2, 10)]
    assert actions == 1


def test_gradients_pass_through_all_jumps():
    def action(scale):
        def function(obs, a_s, s):
            return scale * 0.01 * a_s

        noises = jnp.array([[[1.0]], [[1.0]]])
        return consistency_sample(function, jnp.zeros((1, 1)), noises, (80.0, 2.0))[0, 0]

    # a = c (c 80 + r) with c = 0.01 scale and r = sqrt(2^2 - s_min^2), about 2.
    c, r = 0.01, np.sqrt(4 - SIGMA_MIN**2)
    np.testing.assert_allclose(jax.grad(action)(1.0), 0.01 * (160 * c + r), rtol=1e-5)


def test_the_constants_are_the_paper_s():
    assert (SIGMA_MIN, SIGMA_MAX, SIGMA_DATA) == (0.002, 80, 0.5)
