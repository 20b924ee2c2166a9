"""Value Flows: its two losses against returns that are known, and what it learns of its choice."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_contract import KEY, SMALL, tiny
from test_evor import one_step

from sorl_edu.agents import ValueFlows
from sorl_edu.agents.agent import value
from sorl_edu.agents.presets import preset
from sorl_edu.agents.value_flows import return_spread, squared_errors
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.temporal_difference import Batch
from sorl_edu.training import train

DISCOUNT = 0.8


def certain(obs, actions, z_t, t):
    """The flow from N(0, 1) to the one return that an observation has, which is its number."""
    return (obs - z_t) / (1 - t)


def certain_batch():
    """1 to 3 transitions, with an end or without; o and o' are their returns on the unit scale."""
    rng = np.random.default_rng(0)
    reward, after = rng.normal(size=(2, 64, 1))
    horizons, masks = rng.integers(1, 4, 64), rng.integers(0, 2, 64)
    before = (1 - DISCOUNT) * reward + (DISCOUNT**horizons * masks)[:, None] * after
    columns = (before, np.zeros((64, 1)), reward[:, 0], masks, horizons, after)
    return Batch(*(jnp.asarray(column, jnp.float32) for column in columns))


def errors(field, target_field):
    batch = certain_batch()
    noise, t = jax.random.normal(KEY, (64, 1)), jnp.linspace(0, 0.9, 64)[:, None]
    options = {"discount": DISCOUNT, "steps": 3, "bounds": jnp.array([-9.0, 9.0])}
    return squared_errors(field, target_field, batch, batch.actions, noise, t, **options)


def test_certain_returns_solve_both_losses():
    """For any rewards, horizons and ends: as the published code has DCFM, it has no solution."""
    for error in errors(certain, certain):
        np.testing.assert_allclose(error, 0, atol=1e-6)
    wrong = errors(lambda obs, *rest: certain(obs + 0.1, *rest), certain)
    assert all(error.min() > 0.005 for error in wrong)


def test_no_gradient_reaches_the_target():
    def loss(scale, target_scale):
        field, target = (lambda *inputs, s=s: s * certain(*inputs) for s in (scale, target_scale))
        return sum(error.mean() for error in errors(field, target))

    own, targets = jax.grad(loss, argnums=(0, 1))(1.1, 0.9)
    assert own != 0 and targets == 0


@pytest.mark.parametrize("deviation", [0.2, 1.0, 3.0])
def test_the_spread_of_a_gaussian_return_is_its_deviation(deviation):
    """The flow z_t = (1 - t) z_0 + t (m + s z_0) carries N(0, 1) to N(m, s^2)."""

    def gaussian(obs, actions, z_t, t):
        z_0 = (z_t - t * obs) / (1 - t + t * deviation)
        return obs + (deviation - 1) * z_0

    noise = jax.random.normal(KEY, (64, 1))
    spread = return_spread(gaussian, certain_batch(), noise, 5)
    np.testing.assert_allclose(spread, deviation, rtol=0.01)


def test_a_wide_law_is_trusted_twice_as_much_at_most():
    data = random_transitions(2, 2, rows=200)
    losses = {}
    state = jax.jit(tiny(SMALL["value_flows"]).init)(KEY, data)
    for temperature in (0.0, 1.0, 1e9):
        agent = tiny(replace(SMALL["value_flows"], spread_temperature=temperature))
        found = jax.jit(agent.losses)(state, data.sample(KEY, 64), KEY, KEY)
        losses[temperature] = float(found["return_loss"])
    assert losses[1e9] == pytest.approx(losses[0.0] / 2)
    assert losses[0.0] / 2 < losses[1.0] < losses[0.0]


@pytest.mark.thorough
def test_it_values_what_it_will_do_and_not_what_the_data_do():
    """Half of the actions pay 1, for ever: its choice pays 1 each time, the data's policy 1/2."""
    arm = np.arange(1024) % 2
    data = one_step(arm, np.ones(1024), 1.6 * arm - 0.8)
    settings = {"discount": 0.5, "candidates": 16, "flow_steps": 4, "value_steps": 2, "tau": 0.1}
    agent = replace(SMALL["value_flows"], **settings)
    options = {"updates": 500, "log_every": 500, "progress": False}
    state = train(agent, data, key=KEY, **options).state
    worth = value(agent, state, jnp.zeros((2, 1)), jnp.array([[-0.8], [0.8]]), steps=1)
    np.testing.assert_allclose(worth, [0.5, 1.0], atol=0.05)  # of the data's policy: 1/4, 3/4


def test_presets_have_the_published_settings():
    maze, double = (
        preset("value_flows/antmaze-large-navigate"),
        preset("value_flows/cube-double-play"),
    )
    assert maze.return_noise == pytest.approx(0.01) and maze.q_aggregation == "min"
    assert (double.discount, double.spread_temperature) == (0.995, 3.0)
    assert double.return_noise == pytest.approx(0.005) and double.candidates == 16
    assert preset("value_flows/scene-play").q_aggregation == "min"


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("discount", 1.0),
        ("return_noise", 0.0),
        ("candidates", 0),
        ("value_steps", 0),
        ("return_samples", 0),
        ("spread_temperature", -1.0),
        ("pushed_weight", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, wrong):
    with pytest.raises(ConfigError, match=setting):
        ValueFlows(**{setting: wrong})
