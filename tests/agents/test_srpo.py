"""SRPO: the gradient of its policy for a Gaussian behaviour and a linear Q, in closed form."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from sorl_edu.agents import SRPO
from sorl_edu.agents.agent import Network, encode, propose
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.denoising import vp_scales
from sorl_edu.errors import ConfigError

NET = Network((8,), layer_norm=True)
TINY = SRPO(q_weight=0.3, dropout=0.5, batch_size=16, policy=NET, diffusion=NET, critic=NET)
TINY = replace(TINY, values=NET)
KEY, SHARED = jax.random.key(5), jax.random.key(6)
ROWS = 100_000
M, S = np.array([0.4, -0.7]), 0.5
SLOPES = np.array([[3.0, 1.0], [1.0, -3.0]])  # of Q_1 and Q_2; their mean is (2, -1)


class Known(SRPO):
    """Behaviour N(M, S^2 I), Q_i(o, a) = slope_i . a, and a policy of one action everywhere."""

    def function(self, state, name, params=None):
        def diffusion(obs, a_t, t):  # E[z | a_t]
            alpha, sigma = vp_scales(t)
            return sigma / (alpha**2 * S**2 + sigma**2) * (a_t - alpha * M)

        def critic(obs, actions):
            assert params is state.critic.target
            return jnp.asarray(SLOPES, jnp.float32) @ actions.T

        def policy(obs):
            return jnp.broadcast_to(params, (len(obs), 2))

        return {"diffusion": diffusion, "critic": critic, "policy": policy}[name]


@pytest.fixture(scope="module")
def state(transitions):
    return jax.jit(TINY.init)(jax.random.key(0), transitions)


@pytest.fixture(scope="module")
def many():
    rows = ROWS + 1  # the last row holds the last state
    data = Transitions.create(
        *(np.zeros((rows, 3)), np.zeros((rows, 2)), np.zeros(rows), np.ones(rows)),
        np.arange(rows) == ROWS,
    )
    return data.sample(jax.random.key(1), ROWS)


def gradient(state, batch, action, **options):
    agent = Known(**options)
    return jax.jit(jax.grad(lambda mu: agent.policy_loss(mu, state, batch, KEY)[0]))(
        jnp.asarray(action, jnp.float32)
    )


def pull():
    """E_t of sigma^3 alpha / V: how fast mu(o) is drawn to M."""

    def at(t):
        alpha, sigma = (float(scale) for scale in vp_scales(jnp.float32(t)))
        return sigma**3 * alpha / (alpha**2 * S**2 + sigma**2)

    return quad(at, 0.02, 0.98)[0] / 0.96


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("action", [(0.9, 0.1), (0.4, -0.7)])
def test_the_gradient_for_a_gaussian_behaviour(beta, action, state, many):
    known = pull() * (np.array(action) - M) - beta * SLOPES.mean(0)
    # Deviation of sigma^2 (eps - z) is below 1 in each of the rows.
    found = gradient(state, many, action, q_weight=beta)
    np.testing.assert_allclose(found, known, atol=5 / np.sqrt(ROWS))


def test_where_the_slopes_balance_the_policy_rests(state, many):
    # Under N(M, S^2) and a linear Q the optimum lies off M along dQ/da, as far as beta says.
    rest = M + 0.05 * SLOPES.mean(0) / pull()
    found = gradient(state, many, rest, q_weight=0.05)
    np.testing.assert_allclose(found, 0, atol=5 / np.sqrt(ROWS))


def test_a_normalised_slope_has_a_root_mean_square_of_one(state, many):
    slope = SLOPES.mean(0) / np.sqrt((SLOPES.mean(0) ** 2).mean())
    found = gradient(state, many, M, q_weight=0.1, q_gradient_normalized=True)
    np.testing.assert_allclose(found, -0.1 * slope, atol=5 / np.sqrt(ROWS))


def test_the_policy_s_loss_moves_neither_critics_nor_model(state, transitions):
    batch = encode(state.encoder, transitions.sample(KEY, 16))

    def loss(learners):
        with_them = state.replace(**learners)
        return TINY.policy_loss(state.policy.params, with_them, batch, KEY)[0]

    gradients = jax.grad(loss, allow_int=True)(
        {"critic": state.critic, "diffusion": state.diffusion}
    )
    parts = gradients["critic"].params, gradients["critic"].target, gradients["diffusion"].params
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(parts))


def test_dropout_acts_when_the_model_learns_alone(state, transitions):
    batch, without = encode(state.encoder, transitions.sample(KEY, 16)), replace(TINY, dropout=0.0)

    def losses(agent):
        return [
            loss(learner.params, state, batch, KEY)[0]
            for loss, learner in (
                (agent.diffusion_loss, state.diffusion),
                (agent.policy_loss, state.policy),
            )
        ]

    (diffusion, policy), (other_diffusion, other_policy) = losses(TINY), losses(without)
    assert abs(diffusion - other_diffusion) > 1e-4
    np.testing.assert_allclose(policy, other_policy, atol=1e-6)


def test_one_action_for_an_observation(state):
    obs = jnp.zeros((4, 3))
    one, other = (
        propose(TINY, state, obs, jax.random.key(i), steps=1, candidates=1).actions for i in (0, 1)
    )
    np.testing.assert_array_equal(one, other)
    for options in ({"steps": 2, "candidates": 1}, {"steps": 1, "candidates": 2}):
        with pytest.raises(ConfigError, match="SRPO has one action for an observation"):
            propose(TINY, state, obs, KEY, **options)


@pytest.mark.parametrize(("setting", "wrong"), [("q_weight", -0.1), ("dropout", 1.0)])
def test_settings_are_checked(setting, wrong):
    with pytest.raises(ConfigError, match=setting):
        replace(TINY, **{setting: wrong})
