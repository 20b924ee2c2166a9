"""Lesson 8's functions against laws that are known: by closed forms, SciPy and simulation."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from sorl_edu.errors import ConfigError
from sorl_edu.expressive_value import (
    bootstrapped_return,
    bootstrapped_velocity,
    carry,
    expressive_value,
    log_mean_exp,
    normal_quantiles,
    return_bounds,
    sample_returns,
    td_flow_loss,
)
from sorl_edu.flow_matching import integrate
from sorl_edu.inference import best_of_n, choose_softly
from sorl_edu.networks import ReturnFieldEnsemble
from sorl_edu.temporal_difference import Batch, polyak_average

KEY = jax.random.key(0)
FORMS = ["samples", "coupled", "velocities"]


def column(values):
    return jnp.asarray(values, jnp.float32)[:, None]


def transitions(rewards, masks, horizons=1.0):
    rows = len(rewards)
    return Batch(
        observations=column(np.arange(rows)),
        actions=jnp.zeros((rows, 1)),
        rewards=jnp.asarray(rewards, jnp.float32),
        masks=jnp.asarray(masks, jnp.float32),
        horizons=jnp.broadcast_to(jnp.asarray(horizons, jnp.float32), (rows,)),
        next_observations=column(np.arange(rows)),
    )


def still(obs, actions, z_t, t):
    """A flow that leaves the noise where it is: Z ~ N(0, 1)."""
    return jnp.zeros_like(z_t)


def gaussian(mean, std):
    """The flow of N(0, 1) to N(mean, std^2) on straight ways, which Euler's method follows exactly.

    z_t = t mean + (1 - t + t std) z_0
    """

    def field(obs, actions, z_t, t):
        return mean + (std - 1) * (z_t - t * mean) / (1 - t + t * std)

    return field


# ------------------------------------------------------------------------- the Bellman equation


def test_a_bootstrapped_return_is_on_the_unit_scale_and_ends_where_the_task_does():
    rewards, masks, horizons = [1.0, -2.0, 3.0, 5.0], [1, 0, 1, 1], [1, 1, 2, 3]
    batch, noise = transitions(rewards, masks, horizons), column([0.5, 0.5, -1.0, 0.0])
    y = bootstrapped_return(gaussian(0.3, 0.2), batch, batch.actions, noise, discount=0.9, steps=3)
    known = [
        0.1 * reward + 0.9**k * mask * (0.3 + 0.2 * z)
        for reward, mask, k, z in zip(rewards, masks, horizons, noise[:, 0], strict=True)
    ]
    np.testing.assert_allclose(y[:, 0], known, atol=1e-6)
    limited = bootstrapped_return(
        gaussian(0.3, 0.2),
        batch,
        batch.actions,
        noise,
        discount=0.9,
        steps=3,
        bounds=jnp.array([0.2, 0.35]),
    )
    z = np.clip(0.3 + 0.2 * noise[:, 0], 0.2, 0.35)
    known = 0.1 * np.array(rewards) + 0.9 ** np.array(horizons) * masks * z
    np.testing.assert_allclose(limited[:, 0], known, atol=1e-6)


def test_bounds_hold_for_all_sequences_of_rewards_and_some_reach_them():
    discount, n = 0.8, 3
    rewards = np.random.default_rng(0).uniform(-2, 1, 50)
    low, high = return_bounds(jnp.asarray(rewards, jnp.float32), discount, n)
    weights = (1 - discount) * discount ** (n * np.arange(400))
    reached = [weights.sum() * extreme for extreme in (rewards.min(), rewards.max())]
    np.testing.assert_allclose([low, high], reached, rtol=1e-5)
    positive = jnp.array([1.0, 2.0])  # a task that ends has 0 from there on
    np.testing.assert_allclose(return_bounds(positive, 0.5), [0, 2])


@pytest.mark.parametrize("mask", [0, 1])
def test_the_velocity_is_the_derivative_of_a_way_from_noise_to_the_bootstrapped_return(mask):
    batch = transitions([2.0, -1.0], [mask, mask], [1, 2])
    noise, actions = column([0.7, -0.4]), jnp.zeros((2, 1))
    field, options = gaussian(0.5, 0.1), {"discount": 0.9, "steps": 4}

    def way(t):
        return bootstrapped_velocity(field, batch, actions, noise, jnp.full((2, 1), t), **options)

    np.testing.assert_allclose(way(0.0)[0], noise, atol=1e-6)
    y = bootstrapped_return(field, batch, actions, noise, **options)
    np.testing.assert_allclose(way(1.0)[0], y, atol=1e-5)
    for t in (0.1, 0.5, 0.9):
        slope = (way(t + 0.01)[0] - way(t - 0.01)[0]) / 0.02
        np.testing.assert_allclose(way(t)[1], slope, atol=1e-3)


# Z' ~ N(0, 1), so that y = c + g z_0' with c = (1 - gamma) r. From the same noise, the ways of
# (o, a) are straight and never cross: a field can follow them all. From independent noise, the best
# field misses by the variance of y - z_0 given z_t, which is g^2 / ((1 - t)^2 + g^2 t^2).
@pytest.mark.parametrize(
    ("form", "least"), [("samples", 0.9 * np.pi / 2), ("coupled", 0.0), ("velocities", 0.0)]
)
def test_the_least_loss_is_that_of_the_forms_noise(form, least):
    rows, g = 400_000, 0.9
    batch = transitions(np.full(rows, 3.0), np.ones(rows))
    c = (1 - g) * 3

    def best(obs, actions, z_t, t):
        if form != "samples":
            return gaussian(c, g)(obs, actions, z_t, t)
        slope = (t * g**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * g**2)
        return c + slope * (z_t - t * c)

    options = {"discount": g, "steps": 1, "bootstrap": form}
    loss, metrics = td_flow_loss(best, still, batch, batch.actions, KEY, **options)
    assert loss == pytest.approx(least, abs=0.02) and metrics["return_loss"] == loss
    slope = jax.grad(
        lambda shift: td_flow_loss(
            lambda *at: best(*at) + shift, still, batch, batch.actions, KEY, **options
        )[0]
    )
    assert abs(slope(0.0)) < 0.02


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_learned_by_the_target(form):
    batch = transitions([1.0, 2.0], [1, 0])

    def loss(shift):
        target = lambda *at: still(*at) + shift  # noqa: E731
        options = {"discount": 0.9, "steps": 2, "bootstrap": form}
        return td_flow_loss(still, target, batch, batch.actions, KEY, **options)[0]

    assert jax.grad(loss)(0.3) == 0 and loss(0.3) != loss(0.6)


def test_an_ensembles_loss_is_the_mean_of_its_members():
    batch, fields = transitions([1.0, 2.0], [1, 0]), (gaussian(0.2, 0.5), gaussian(-1.0, 2.0))
    options = {"discount": 0.9, "steps": 2}
    of = lambda field: td_flow_loss(field, still, batch, batch.actions, KEY, **options)[0]  # noqa: E731
    both = of(lambda *at: jnp.stack([field(*at) for field in fields]))
    assert both == pytest.approx(float(of(fields[0]) + of(fields[1])) / 2, rel=1e-5)


def test_a_form_that_does_not_exist_is_refused():
    batch = transitions([1.0], [1])
    # Beartype refuses it first, unless it is told not to look.
    loss = getattr(td_flow_loss, "__wrapped__", td_flow_loss)
    with pytest.raises((ConfigError, TypeError), match="bootstrap"):
        loss(still, still, batch, batch.actions, KEY, discount=0.9, steps=1, bootstrap="noise")


# ------------------------------------------------------- a chain with random rewards and terminals


class Chain:
    """0 -> 1 -> (0 or 2) -> 0, with random rewards; the task ends after 1 once in four times.

    Actions are -1 or 1, each half of the time. 1 pays 1 more in state 0, but only every other time.
    """

    def step(self, state, action, rng):
        """Rewards, whether the task goes on, and next states."""
        coin, fate = rng.random(len(state)), rng.random(len(state))
        rewards = np.select(
            [state == 0, state == 1],
            [(action > 0) * (coin < 0.5) * 1.0, 2.0 * (coin < 0.25)],
            np.where(coin < 0.5, -1.0, 0.0),
        )
        goes_on = ~((state == 1) & (fate < 0.25))
        following = np.select([state == 0, state == 1], [1, np.where(fate < 0.6, 2, 0)], 0)
        return rewards, goes_on, following

    def returns(self, state, action, discount, samples=50_000):
        """Draws of (1 - gamma) Z(state, action) by simulation."""
        rng = np.random.default_rng(1)
        state, action = np.full(samples, state), np.full(samples, action)
        total, weight = np.zeros(samples), np.ones(samples)
        while weight.max() > 1e-5:
            rewards, goes_on, state = self.step(state, action, rng)
            total += weight * rewards
            weight = weight * discount * goes_on
            action = rng.choice([-1, 1], samples)
        return (1 - discount) * total

    def dataset(self, rows=20_000):
        rng = np.random.default_rng(2)
        state, action = rng.integers(0, 3, rows), rng.choice([-1, 1], rows)
        rewards, goes_on, following = self.step(state, action, rng)
        one_hot = lambda states: jnp.asarray(np.eye(3)[states], jnp.float32)  # noqa: E731
        return Batch(
            observations=one_hot(state),
            actions=column(action),
            rewards=jnp.asarray(rewards, jnp.float32),
            masks=jnp.asarray(goes_on, jnp.float32),
            horizons=jnp.ones(rows),
            next_observations=one_hot(following),
        )


NETWORK = ReturnFieldEnsemble((32, 32), ensemble=1, layer_norm=False)


def learned(data, discount, form, updates=3000, batch_size=256):
    """The moving average of a small network's field after TD flow matching."""
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, updates))
    params = NETWORK.init(KEY, *NETWORK.inputs(data.observations[:1], data.actions[:1]))
    field_of = lambda params: lambda *at: NETWORK.apply(params, *at)[0]  # noqa: E731

    def update(carry, key):
        params, target, moments = carry
        rows_key, action_key, loss_key = jax.random.split(key, 3)
        rows = jax.random.randint(rows_key, (batch_size,), 0, len(data.rewards))
        batch = jax.tree.map(lambda leaf: leaf[rows], data)
        a_next = jax.random.rademacher(action_key, (batch_size, 1), jnp.float32)

        def loss(params):
            options = {"discount": discount, "steps": 4, "bootstrap": form}
            fields = field_of(params), field_of(target)
            return td_flow_loss(*fields, batch, a_next, loss_key, **options)[0]

        step, moments = optimizer.update(jax.grad(loss)(params), moments)
        params = optax.apply_updates(params, step)
        return (params, polyak_average(target, params, 0.02), moments), None

    @jax.jit
    def run():
        start = params, params, optimizer.init(params)
        return jax.lax.scan(update, start, jax.random.split(KEY, updates))[0][1]

    return field_of(run())


# Wasserstein's distance between the learned law and 50,000 simulated returns (whose own distance
# from the exact law is below 0.003), in each state and for each action. A law that is a single
# number is at least `a_number` away, wherever the number is: its mean deviation from its median.
@pytest.mark.parametrize(
    ("discount", "form", "unit", "distance", "a_number"),
    [
        (0.5, "coupled", 0.25, 0.045, 0.15),
        (0.9, "samples", 0.1, 0.03, 0.1),
        (0.9, "coupled", 0.1, 0.03, 0.1),
        (0.9, "velocities", 0.1, 0.03, 0.1),
    ],
)
@pytest.mark.cases(1)
def test_the_learned_law_of_a_chain_is_the_simulated_one(discount, form, unit, distance, a_number):
    chain = Chain()
    data = chain.dataset()
    field = learned(replace(data, rewards=data.rewards / unit), discount, form)
    found = []
    for state in range(3):
        for action in (-1, 1):
            at = jnp.eye(3)[state : state + 1], column([action])
            returns = unit * np.asarray(sample_returns(field, *at, normal_quantiles(500), 8)[:, 0])
            known = chain.returns(state, action, discount)
            away, number = stats.wasserstein_distance(returns, known), np.median(known)
            found.append((away, returns.std() / known.std(), np.abs(known - number).mean()))
    far, wide, spread = np.array(found).T
    assert far.max() < distance < spread.min() / 3 and spread.min() > a_number, found
    assert np.abs(wide - 1).max() < 0.1


# ------------------------------------------------------------------------ sampling and reading


def test_midpoint_steps_keep_the_width_that_euler_steps_lose():
    def field(obs, z_t, t):  # of independent noise and data, both N(0, 1)
        return (2 * t - 1) / ((1 - t) ** 2 + t**2) * z_t

    one = jnp.ones((1, 1))
    assert integrate(field, one, one, 8)[0, 0] == pytest.approx(0.85, abs=0.01)
    assert carry(field, one, one, 4)[0, 0] == pytest.approx(1, abs=0.01)
    # The exact flow is z_t = z_0 sqrt((1 - t)^2 + t^2).
    found = carry(field, one, one, 8, 0.3 * one)
    assert found[0, 0] == pytest.approx((0.7**2 + 0.3**2) ** 0.5, abs=0.002)


def test_quantiles_are_the_middles_of_equally_probable_parts():
    known = stats.norm.ppf((np.arange(7) + 0.5) / 7)
    np.testing.assert_allclose(normal_quantiles(7), known, atol=1e-5)


def test_all_actions_have_the_same_return_noise():
    noise = jnp.array([-1.0, 0.0, 2.0])
    obs, actions = jnp.zeros((4, 2)), column([0.0, 1.0, 2.0, 1.0])
    mean_is_the_action = lambda obs, a, z_t, t: gaussian(a, 0.5)(obs, a, z_t, t)  # noqa: E731
    returns = sample_returns(mean_is_the_action, obs, actions, noise, steps=2)
    known = actions[None, :, 0] + 0.5 * noise[:, None]
    np.testing.assert_allclose(returns, known, atol=1e-6)
    limited = sample_returns(
        mean_is_the_action, obs, actions, noise, steps=2, bounds=jnp.array([0.2, 1.1])
    )
    np.testing.assert_allclose(limited, np.clip(known, 0.2, 1.1), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 100.0])
def test_the_read_out_of_a_gaussian_is_its_mean_and_half_its_variance_over_the_temperature(
    temperature,
):
    mean, std = -0.4, 0.3
    value = expressive_value(
        gaussian(mean, std), normal_quantiles(20_000), steps=3, temperature=temperature
    )
    found = value(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    assert found[0] == pytest.approx(mean + std**2 / (2 * temperature), abs=2e-4)


def test_the_read_out_reaches_from_the_largest_to_the_mean():
    returns = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 10
    read = partial(log_mean_exp, jnp.asarray(returns))
    np.testing.assert_array_equal(read(0.0), returns.max(0))
    np.testing.assert_allclose(read(np.inf), returns.mean(0), atol=1e-5)
    np.testing.assert_allclose(read(1e-4), returns.max(0), atol=1e-3)
    np.testing.assert_allclose(read(1e7), returns.mean(0), atol=1e-4)
    known = returns.astype(float)
    previous = np.inf
    for temperature in np.logspace(-4, 7, 23):
        exact = temperature * (special.logsumexp(known / temperature, axis=0) - np.log(50))
        found = read(float(temperature))
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
        assert (found <= previous + 1e-4).all()
        previous = found


@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0, np.inf])
def test_certain_returns_are_worth_what_they_are_however_many_there_are(temperature):
    for count in (1, 2, 64):
        assert log_mean_exp(jnp.full((count, 1), -0.7), temperature)[0] == pytest.approx(-0.7)


@pytest.mark.parametrize("temperature", [-1.0, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(ConfigError, match=r"temperature must be in \[0, inf\]"):
        log_mean_exp(jnp.zeros((2, 1)), temperature)


@pytest.mark.parametrize(("temperature", "samples"), [(1.0, 64), (2.0, 16)])
def test_few_samples_read_too_low_by_the_known_bias(temperature, samples):
    draws = jax.random.normal(KEY, (samples, 150_000))
    read = log_mean_exp(draws, temperature)
    bias = float(read.mean()) - 1 / (2 * temperature)
    error = float(read.std()) / 150_000**0.5
    squared_variation = np.exp(1 / temperature**2) - 1  # of exp(Z / tau_R), a lognormal
    known = -temperature * squared_variation / (2 * samples)
    assert error < 0.04 * abs(known)
    assert bias == pytest.approx(known, rel=0.15)  # the next order is what the rest is


def test_the_read_out_prefers_a_lottery_to_its_mean():
    certain, lottery = jnp.full((2, 1), 0.5), jnp.array([[0.0], [1.0]])
    assert log_mean_exp(certain, np.inf) == log_mean_exp(lottery, np.inf)
    premium = [float(log_mean_exp(lottery, tau)[0]) - 0.5 for tau in (10.0, 1.0, 0.1, 0.0)]
    # In truth, no price of KL buys luck: where only chance decides, the soft value is the mean.
    known = [tau * np.log(np.cosh(0.5 / tau)) for tau in (10.0, 1.0, 0.1)]
    np.testing.assert_allclose(premium, [*known, 0.5], atol=1e-5)


# ----------------------------------------------------------------------------------------- choosing


def test_a_soft_choice_among_many_candidates_follows_the_tilted_law():
    base, values, tau = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1.0, 2.0]), 0.8
    tilted = base * np.exp(values / tau)
    tilted /= tilted.sum()
    decisions, distance = 20_000, {}
    for count in (1, 4, 256):
        draw_key, choice_key = jax.random.split(jax.random.fold_in(KEY, count))
        drawn = jax.random.choice(draw_key, 3, (count, decisions), p=jnp.asarray(base))
        chosen = choose_softly(jnp.asarray(values, jnp.float32)[drawn], tau, choice_key)
        found = drawn[chosen, jnp.arange(decisions)]
        shares = np.bincount(found, minlength=3) / decisions
        distance[count] = np.abs(shares - tilted).sum() / 2
    assert distance[1] == pytest.approx(np.abs(base - tilted).sum() / 2, abs=0.015)
    assert distance[1] > 2 * distance[4] > 8 * distance[256]
    assert distance[256] < 0.015


def test_the_limits_of_a_soft_choice():
    values = jax.random.normal(KEY, (5, 40_000))
    np.testing.assert_array_equal(choose_softly(values, 0.0, KEY), values.argmax(0))
    near = choose_softly(values, 1e-6, KEY)
    assert (near == values.argmax(0)).mean() > 0.999
    shares = np.bincount(choose_softly(values, float("inf"), KEY), minlength=5) / 40_000
    assert np.abs(shares - 0.2).max() < 5 * np.sqrt(0.16 / 40_000)
    best = best_of_n(values[..., None], values)
    np.testing.assert_array_equal(best[:, 0], values.max(0))
