"""IDQL: dropout in training alone, the moving average acts, a candidate's noise is its own."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import IDQL
from sorl_edu.agents.agent import Encoder, Network, Optimizer, encode, propose, without
from sorl_edu.denoising import ancestral_sample, vp_levels
from sorl_edu.errors import ConfigError
from sorl_edu.networks import NoisePredictor

NET = Network((8, 8), layer_norm=True)
TINY = IDQL(
    denoise_steps=3,
    policy_tau=0.1,
    tau=0.25,
    dropout=0.5,
    batch_size=16,
    policy=NET,
    critic=NET,
    values=NET,
    encoder=Encoder(normalize=True),
    optimizer=Optimizer(1e-2),
)
KEY, SHARED = jax.random.key(5), jax.random.key(6)
OBS = jax.random.normal(jax.random.key(7), (4, 3))
ONE = {"steps": 1, "candidates": 1}


@pytest.fixture(scope="module")
def batch(transitions):
    return transitions.sample(jax.random.key(1), TINY.batch_size)


@pytest.fixture(scope="module")
def state(transitions):
    return jax.jit(TINY.init)(jax.random.key(0), transitions)


@pytest.fixture(scope="module")
def updated(state, batch):
    return jax.jit(TINY.update)(state, batch, KEY, SHARED)[0]


def test_averages_follow_at_rates_of_their_own(state, updated):
    for before, after, learned, tau in (
        (state.average, updated.average, updated.policy.params, 0.1),
        (state.critic.target, updated.critic.target, updated.critic.params, 0.25),
    ):
        jax.tree.map(
            lambda old, new, online, tau=tau: np.testing.assert_allclose(
                new, old + tau * (online - old), atol=1e-6
            ),
            *(before, after, learned),
        )
    assert not np.allclose(updated.average["params"]["Dense_0"]["kernel"], 0)


def test_the_average_acts_and_the_learner_does_not(state, updated):
    def actions(s):
        return propose(TINY, s, OBS, KEY, **ONE).actions

    np.testing.assert_array_equal(actions(state.replace(policy=updated.policy)), actions(state))
    assert not np.array_equal(actions(state.replace(average=updated.average)), actions(state))
    np.testing.assert_array_equal(actions(without(updated, "moments", "target")), actions(updated))


def test_no_dropout_when_acting(state):
    # The same as a network that was made without dropout, which propose could not know.
    network = NoisePredictor((8, 8), 2, dropout=0.0)
    found = propose(TINY, state, OBS, KEY, steps=1, candidates=2).actions
    for n in range(2):
        noise = jax.random.normal(jax.random.fold_in(KEY, n), (4, 6))
        noises = jnp.stack([noise[:, :2], noise[:, 2:4], noise[:, 4:]])
        known = ancestral_sample(
            lambda *inputs: network.apply(state.average, *inputs, training=True),
            *(state.encoder(OBS), noises, vp_levels(3)),
        )
        np.testing.assert_allclose(found[n], known, atol=1e-5)


def test_dropout_when_learning(state, batch):
    def loss(dropout):
        agent = replace(TINY, dropout=dropout)
        return agent.policy_loss(state.policy.params, state, encode(state.encoder, batch), KEY)[0]

    assert abs(loss(0.5) - loss(0.0)) > 1e-4


def test_a_candidate_is_the_same_whatever_their_number(state):
    few, many = (propose(TINY, state, OBS, KEY, steps=1, candidates=n) for n in (2, 5))
    np.testing.assert_allclose(many.actions[:2], few.actions, atol=1e-6)
    assert np.abs(few.actions[0] - few.actions[1]).max(-1).mean() > 0.1  # some are limited to 1


def test_it_knows_no_other_number_of_steps(state):
    with pytest.raises(ConfigError, match="IDQL takes the 3 denoising steps.*use steps = 1"):
        propose(TINY, state, OBS, KEY, steps=2, candidates=1)


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [("denoise_steps", 0), ("policy_tau", 0.0), ("policy_tau", 1.1), ("dropout", 1.0)],
)
def test_settings_are_checked(setting, wrong):
    with pytest.raises(ConfigError, match=setting):
        replace(TINY, **{setting: wrong})
