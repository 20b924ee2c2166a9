"""Best-of-N against order statistics, and what the critic and the budget are told."""

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
    check_budget,
    choose,
    draw_candidates,
    network_evaluations,
    propose,
    score,
)

SIGMA = 0.1
ROWS = 2000


def gaussian_field(obs, a_t, t, h):
    """In one step, a_0 -> mu(o) + sigma a_0, with mu(o) the observation's first two entries."""
    return obs[:, :2] + SIGMA * a_t - a_t


def pointing_critic(obs, actions, steps):
    """Q = direction(o) . a, where the direction is the observation's last two entries."""
    q = (obs[:, 2:] * actions).sum(-1)
    return jnp.stack([q + 1, q - 1])


def observations(rows=ROWS):
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, rows)
    mu = rng.uniform(-0.3, 0.3, (rows, 2))
    return jnp.asarray(np.c_[mu, np.cos(angle), np.sin(angle)], jnp.float32)


def draw(candidates, rows=ROWS, *, key=0, steps=1, field=gaussian_field, critic=pointing_critic):
    compiled = jax.jit(
        lambda obs, key: propose(
            field,
            critic,
            obs,
            key,
            action_dim=2,
            steps=steps,
            candidates=candidates,
            denoise_steps=8,
            max_backprop_steps=4,
        )
    )
    return compiled(observations(rows), jax.random.key(key))


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


def test_the_chosen_index_by_hand():
    q = jnp.array([[1.0, 5.0, -3.0], [2.0, 4.0, -1.0]])
    np.testing.assert_array_equal(choose(q), [1, 0, 1])
    actions = jnp.arange(6.0).reshape(2, 3, 1)
    np.testing.assert_array_equal(best_of_n(actions, q), [[3], [1], [5]])


def test_a_candidate_is_the_same_whatever_n_is():
    few, many = draw(4, 6), draw(9, 6)
    np.testing.assert_array_equal(few.actions, many.actions[:4])
    assert not np.allclose(many.actions, draw(9, 6, key=1).actions)


@pytest.mark.parametrize(("steps", "told"), [(1, 1), (2, 2), (4, 4), (8, 4), (32, 4)])
def test_the_critic_is_told_no_more_steps_than_it_was_trained_for(steps, told):
    def critic(obs, actions, m):
        return m.T

    proposal = draw(3, 5, steps=steps, critic=critic)
    np.testing.assert_array_equal(proposal.q, np.full((3, 5), told))


@pytest.mark.parametrize(("steps", "h"), [(1, 1), (4, 1 / 4), (8, 1 / 8), (16, 1 / 8)])
def test_candidates_take_m_steps_and_the_field_is_told_how_long(steps, h):
    def report(obs, a_t, t, h):
        return jnp.concatenate([t, h], axis=-1)

    noise = jnp.zeros((2, 5, 2))
    actions = draw_candidates(report, observations(5), noise, steps=steps, denoise_steps=8)
    known = np.broadcast_to([(steps - 1) / (2 * steps), h], (2, 5, 2))
    np.testing.assert_allclose(actions, known, atol=1e-6)


@pytest.mark.parametrize(("aggregation", "offset"), [("mean", 0), ("min", -1)])
def test_scores_aggregate_the_ensemble(aggregation, offset):
    actions = jnp.zeros((3, 5, 2))
    q = score(pointing_critic, observations(5), actions, steps=1, aggregation=aggregation)
    np.testing.assert_allclose(q, np.full((3, 5), offset))


def test_forward_passes():
    assert network_evaluations(1, 1) == 1
    assert network_evaluations(8, 1) == 8
    assert network_evaluations(1, 32) == 32 + 64
    assert network_evaluations(8, 32) == 256 + 64
    assert network_evaluations(8, 32, ensemble=1) == 256 + 32


@pytest.mark.parametrize(
    ("steps", "candidates", "batch", "message"),
    [
        (0, 1, 1, "power of two.*got 0"),
        (-1, 1, 1, "power of two.*got -1"),
        (3, 1, 1, "power of two.*got 3"),
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
    if batch == 1:
        with pytest.raises(ConfigError, match=message):
            draw(candidates, 1, steps=steps)


def test_the_largest_budget_is_taken():
    check_budget(inference.MAX_STEPS, 1)
    check_budget(1, inference.MAX_ROWS // 64, 64)
