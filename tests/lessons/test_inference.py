"""Best-of-N against order statistics; policy and verifier know nothing of each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sorl_edu import inference
from sorl_edu.errors import ConfigError
from sorl_edu.inference import (
    best_of_n,
    candidate_noise,
    check_budget,
    choose,
    choose_softly,
    draw_candidates,
    network_evaluations,
    propose,
    score,
    take,
)

SIGMA = 0.1
ROWS = 2000


def gaussian(obs, noise):
    """a = mu(o) + sigma a_0, with mu(o) the observation's first two entries."""
    return obs[:, :2] + SIGMA * noise


def direction(obs, actions):
    """V = direction(o) . a, where the direction is the observation's last two entries."""
    return (obs[:, 2:] * actions).sum(-1)


def observations(rows=ROWS):
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, rows)
    mu = rng.uniform(-0.3, 0.3, (rows, 2))
    return jnp.asarray(np.c_[mu, np.cos(angle), np.sin(angle)], jnp.float32)


def draw(candidates, rows=ROWS, *, key=0, value=direction):
    noise = candidate_noise(jax.random.key(key), candidates, rows, 2)
    return jax.jit(lambda obs, noise: propose(gaussian, value, obs, noise))(
        observations(rows), noise
    )


# Expected largest of N standard normals, e.g. H. Leon Harter, Biometrika 48 (1961), table 1.
EXPECTED_MAXIMUM = {1: 0.0, 2: 0.56419, 8: 1.42360, 32: 2.06967}


@pytest.mark.parametrize("n", EXPECTED_MAXIMUM)
def test_the_best_of_n_is_the_order_statistic(n):
    def density(z, power):
        return z**power * n * stats.norm.pdf(z) * stats.norm.cdf(z) ** (n - 1)

    mean, square = (quad(density, -9, 9, args=(power,))[0] for power in (1, 2))
    assert mean == pytest.approx(EXPECTED_MAXIMUM[n], abs=2e-5)

    obs = np.asarray(observations())
    z = (np.asarray(draw(n).action) - obs[:, :2]) / SIGMA
    towards = (z * obs[:, 2:]).sum(-1)
    across = (z * obs[:, [3, 2]] * [-1, 1]).sum(-1)
    assert abs(towards.mean() - mean) < 5 * np.sqrt((square - mean**2) / ROWS)
    # The choice says nothing about the direction that Q ignores.
    assert abs(across.mean()) < 5 / np.sqrt(ROWS)
    assert abs(across.std() - 1) < 5 / np.sqrt(2 * ROWS)


def test_what_is_proposed_belongs_together():
    proposal, obs = draw(5, 40), np.asarray(observations(40))
    actions = np.asarray(proposal.actions)
    assert actions.shape == (5, 40, 2)
    # Every value is its own candidate's, in its own row.
    np.testing.assert_allclose(proposal.q, np.einsum("nba,ba->nb", actions, obs[:, 2:]), atol=1e-5)
    np.testing.assert_array_equal(proposal.chosen, np.argmax(proposal.q, 0))
    np.testing.assert_array_equal(proposal.action, actions[proposal.chosen, np.arange(40)])
    assert len(set(np.asarray(proposal.chosen).tolist())) > 1
    assert len(np.unique(actions)) == actions.size
    # Every candidate is its own observation's, from its own noise.
    noise = np.asarray(candidate_noise(jax.random.key(0), 5, 40, 2))
    np.testing.assert_allclose(actions, obs[None, :, :2] + SIGMA * noise, atol=1e-6)


def test_without_a_verifier_the_first_candidate_is_chosen():
    proposal = draw(5, 40, value=None)
    assert proposal.q is None
    np.testing.assert_array_equal(proposal.actions, draw(5, 40).actions)
    np.testing.assert_array_equal(proposal.chosen, np.zeros(40))
    np.testing.assert_array_equal(proposal.action, proposal.actions[0])


def test_the_chosen_index_by_hand():
    q = jnp.array([[1.0, 5.0, -3.0], [2.0, 4.0, -1.0]])
    np.testing.assert_array_equal(choose(q), [1, 0, 1])
    actions = jnp.arange(6.0).reshape(2, 3, 1)
    np.testing.assert_array_equal(best_of_n(actions, q), [[3], [1], [5]])
    np.testing.assert_array_equal(take(actions, jnp.array([0, 1, 0])), [[0], [4], [2]])


def test_a_candidate_is_the_same_whatever_n_is():
    few, many = draw(4, 6), draw(9, 6)
    np.testing.assert_array_equal(few.actions, many.actions[:4])
    assert not np.allclose(many.actions, draw(9, 6, key=1).actions)


def test_candidates_and_their_values_one_at_a_time():
    obs, noise = observations(6), jax.random.normal(jax.random.key(0), (3, 6, 2))
    actions = draw_candidates(gaussian, obs, noise)
    values = score(direction, obs, actions)
    assert actions.shape == (3, 6, 2) and values.shape == (3, 6)
    for n in range(3):
        np.testing.assert_allclose(actions[n], gaussian(obs, noise[n]), atol=1e-6)
        np.testing.assert_allclose(values[n], direction(obs, actions[n]), atol=1e-6)


def test_noise_is_standard_normal_and_every_number_its_own():
    noise = np.asarray(candidate_noise(jax.random.key(3), 20, 1000, 2))
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)
    assert len(np.unique(noise)) > 0.99 * noise.size


def test_forward_passes():
    assert network_evaluations(1, 1) == 1
    assert network_evaluations(8, 1) == 8
    assert network_evaluations(1, 32) == 32 + 64
    assert network_evaluations(8, 32) == 256 + 64
    assert network_evaluations(8, 32, ensemble=1) == 256 + 32


@pytest.mark.parametrize(
    ("steps", "candidates", "batch", "message"),
    [
        (0, 1, 1, "steps .m. must be at least 1.*got 0"),
        (-1, 1, 1, "at least 1.*got -1"),
        (2048, 1, 1, "at most 1024, got 2048"),
        (1, 0, 1, "at least 1, got 0"),
        (1, -4, 1, "at least 1, got -4"),
        (1, 2**20, 8, "8,388,608 rows.*[Ff]ewer candidates"),
        (1, 2**30, 1, "1,073,741,824 rows"),
    ],
)
def test_a_budget_that_cannot_be_run_is_refused(steps, candidates, batch, message):
    with pytest.raises(ConfigError, match=message):
        check_budget(steps, candidates, batch)


@pytest.mark.parametrize("number", [int, np.int32, np.int64])
def test_a_budget_of_numpys_integers_is_taken(number):
    check_budget(number(8), number(1))
    check_budget(number(1), number(32), number(4))
    with pytest.raises(ConfigError, match="got 0"):
        check_budget(number(0), number(1))


def test_the_largest_budget_is_taken():
    check_budget(inference.MAX_STEPS, 1)
    check_budget(1, inference.MAX_ROWS // 64, 64)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_soft_choice_has_the_frequencies_of_the_softmax(temperature):
    values, rows = np.array([1.0, 0.0, -1.0, 0.5]), 40_000
    known = np.exp(values / temperature) / np.exp(values / temperature).sum()
    each = jnp.broadcast_to(jnp.asarray(values, jnp.float32)[:, None], (4, rows))
    chosen = choose_softly(each, temperature, jax.random.key(0))
    shares = np.bincount(chosen, minlength=4) / rows
    assert np.all(np.abs(shares - known) < 5 * np.sqrt(known * (1 - known) / rows))


def test_a_choice_at_temperature_zero_is_the_best():
    values = jax.random.normal(jax.random.key(1), (8, 100))
    chosen = choose_softly(values, 0, jax.random.key(0))
    np.testing.assert_array_equal(chosen, np.argmax(values, axis=0))
