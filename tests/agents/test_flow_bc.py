"""Behaviour cloning: it learns the data's distribution, and has no critic to choose with."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import FlowBC
from sorl_edu.agents.agent import Encoder, HasCritic, Network, Optimizer, act, propose
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.flow_matching import flow_matching_loss
from sorl_edu.networks import VelocityField
from sorl_edu.training import train

TINY = FlowBC(field=Network((32, 32)), optimizer=Optimizer(3e-3))
MU, SIGMA = 0.5, 0.15


@pytest.fixture(scope="module")
def trained():
    """On actions ~ N(sign(o) mu, sigma^2)."""
    rng = np.random.default_rng(0)
    sign = np.repeat(rng.choice([-1.0, 1.0], 2000), 2)
    actions = np.clip(rng.normal(sign * MU, SIGMA), -1, 1)
    data = Transitions.create(
        sign[:, None], actions[:, None], np.zeros(4000), np.ones(4000), np.arange(4000) % 2
    )
    run = train(TINY, data, updates=400, key=jax.random.key(0), log_every=100, progress=False)
    return data, run


@pytest.fixture(scope="module")
def proposed(trained):
    obs = jnp.array([[-1.0], [1.0]])
    return propose(TINY, trained[1].state, obs, jax.random.key(0), steps=16, candidates=1000)


def test_it_clones_the_distribution_of_each_context(proposed):
    actions = np.asarray(proposed.actions)[..., 0]
    np.testing.assert_allclose(actions.mean(0), [-MU, MU], atol=0.06)
    np.testing.assert_allclose(actions.std(0), SIGMA, atol=0.06)


def test_its_loss_nears_the_optimum(trained):
    # The conditional variance of test_flow_matching, for epsilon = 0:
    # sigma (arctan(sigma) + arctan(1 / sigma)) = sigma pi / 2.
    data, run = trained
    batch = data.at(data.starts)
    loss, _ = flow_matching_loss(
        TINY.velocity(run.state, run.state.field.params),
        batch.observations,
        batch.actions,
        jax.random.key(1),
    )
    assert 0.8 * SIGMA * np.pi / 2 < loss < 1.4 * SIGMA * np.pi / 2


def test_without_a_critic_values_are_unknown_and_the_first_candidate_is_taken(proposed):
    assert not isinstance(TINY, HasCritic)
    assert proposed.actions.shape == (1000, 2, 1) and proposed.q is None
    np.testing.assert_array_equal(proposed.chosen, [0, 0])


def test_choosing_among_candidates_is_refused(trained):
    state, obs = trained[1].state, jnp.zeros((2, 1))
    with pytest.raises(ConfigError, match="no critic to choose among 8 candidates"):
        act(TINY, state, obs, jax.random.key(0), steps=2, candidates=8)
    with pytest.raises(ConfigError, match="at least 1.*got 0"):
        act(TINY, state, obs, jax.random.key(0), steps=0, candidates=1)
    for steps in (2, 3, 10):  # a flow can be integrated in any number of steps
        action = act(TINY, state, obs, jax.random.key(0), steps=steps, candidates=1)
        assert action.shape == (2, 1) and np.abs(action).max() <= 1


def test_it_takes_the_data_as_it_is(transitions):
    assert TINY.prepare(transitions) is transitions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_a_hyper_parameter_out_of_range_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **wrong)


def test_the_velocity_is_on_observations_and_the_network_on_features(transitions):
    agent = FlowBC(field=Network((4,)), encoder=Encoder(normalize=True, fourier_features=3))
    state = agent.init(jax.random.key(0), transitions)
    rows = transitions.observations[:5], transitions.actions[:5], jnp.full((5, 1), 0.5)
    velocity = agent.velocity(state, state.field.params)(*rows)
    network = VelocityField((4,), 2)
    known = network.apply(state.field.params, state.encoder(rows[0]), *rows[1:])
    np.testing.assert_array_equal(velocity, known)
