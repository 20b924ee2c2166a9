"""Models of the return against laws that are known, and EVOR's agents with these models."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats
from test_contract import KEY, small, tiny

from sorl_edu.agents import (
    EVOR,
    GaussianReturn,
    HistogramReturn,
    MeanReturn,
    dials_of,
    with_dials,
    without_dials,
)
from sorl_edu.agents.agent import Agent, HasCritic, HasFlow, HasReturns, act, value
from sorl_edu.agents.return_models import (
    bootstrapped_histogram,
    combined,
    gaussian_cross_entropy,
    gaussian_log_mean_exp,
    histogram_log_mean_exp,
    hl_gauss,
    middles,
)
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.expressive_value import bellman, log_mean_exp, normal_quantiles
from sorl_edu.temporal_difference import Batch
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

KINDS = [MeanReturn, GaussianReturn, HistogramReturn]
each_model = pytest.mark.parametrize("kind", KINDS)
EDGES = jnp.linspace(-3, 2, 26)


# ----------------------------------------------------------------------------- laws, as functions


def test_a_law_is_shifted_and_shrunk_on_the_unit_scale_and_ends_where_the_task_does():
    zeros = jnp.zeros((2, 1))
    ends, horizons = jnp.array([1.0, 0.0]), jnp.array([2.0, 3.0])
    batch = Batch(zeros, zeros, jnp.array([3.0, -2.0]), ends, horizons, zeros)
    reward, shrink = bellman(batch, 0.8)
    np.testing.assert_allclose(reward[:, 0], [0.6, -0.4], atol=1e-6)
    np.testing.assert_allclose(shrink[:, 0], [0.64, 0.0], atol=1e-6)


def test_the_least_cross_entropy_is_at_the_mean_and_the_total_variance():
    rng = np.random.default_rng(0)
    means, variances = rng.normal(size=50), rng.uniform(0.1, 2, 50)
    total = variances.mean() + means.var()  # the law of total variance
    target = jnp.asarray(means, jnp.float32), jnp.asarray(variances, jnp.float32)

    def loss(mean, variance):
        return gaussian_cross_entropy(jnp.full(50, mean), jnp.full(50, variance), *target)

    np.testing.assert_allclose(jax.grad(loss, (0, 1))(means.mean(), total), [0, 0], atol=1e-5)
    # As SciPy has it, but for the constant ln sqrt(2 pi), for certain targets.
    certain = gaussian_cross_entropy(
        jnp.full(50, 0.3), jnp.full(50, 0.49), target[0], jnp.zeros(50)
    )
    known = -stats.norm.logpdf(means, 0.3, 0.7).mean() - 0.5 * math.log(2 * math.pi)
    assert certain == pytest.approx(known, rel=1e-5)


def test_a_histogram_of_a_gaussian_has_its_mean_and_its_parts():
    values = jnp.linspace(-2, 1, 40)
    parts = hl_gauss(values, EDGES, 0.15)
    known = np.diff(stats.norm.cdf(np.asarray(EDGES), np.asarray(values)[:, None], 0.15))
    np.testing.assert_allclose(parts, known / known.sum(-1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(parts.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(parts @ middles(EDGES), values, atol=0.01)  # bins are 0.2 wide


def test_a_bootstrapped_histogram_has_the_laws_moments_and_a_little_more_width():
    p = jax.random.dirichlet(KEY, jnp.ones(25), (6,))
    z, reward, shrink = middles(EDGES), jnp.full((6, 1), -0.2), jnp.full((6, 1), 0.7)
    q = bootstrapped_histogram(p, EDGES, 0.15, reward, shrink)
    mean, variance = p @ z, p @ z**2 - (p @ z) ** 2
    np.testing.assert_allclose(q.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(q @ z, -0.2 + 0.7 * mean, atol=0.01)
    wider = 0.49 * variance + 0.15**2 + 0.2**2 / 12
    np.testing.assert_allclose(q @ z**2 - (q @ z) ** 2, wider, rtol=0.02)
    over = bootstrapped_histogram(p, EDGES, 0.15, reward, jnp.zeros((6, 1)))
    np.testing.assert_allclose(over, hl_gauss(jnp.full(6, -0.2), EDGES, 0.15), atol=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 1000.0, math.inf])
def test_read_outs_are_exact(temperature):
    p, z = jax.random.dirichlet(KEY, jnp.ones(25), (6,)), middles(EDGES)
    if math.isinf(temperature):
        known = p @ z
    else:
        known = temperature * special.logsumexp(np.asarray(z) / temperature, axis=-1, b=p)
    np.testing.assert_allclose(histogram_log_mean_exp(p, z, temperature), known, atol=1e-3)
    mean, variance = jnp.array([0.5, -1.0]), jnp.array([0.04, 0.01])
    found = gaussian_log_mean_exp(mean, variance, temperature)
    if temperature >= 1:  # samples are enough there
        noise = normal_quantiles(4000)[:, None]
        samples = log_mean_exp(mean + jnp.sqrt(variance) * noise, temperature)
        np.testing.assert_allclose(found, samples, atol=1e-4)
    else:
        np.testing.assert_allclose(found, [0.9, -0.9], atol=1e-6)


def test_an_ensembles_law_is_the_mean_or_that_of_the_least_mean():
    laws = jnp.array([[[1.0, 4.0], [3.0, 1.0]], [[2.0, 2.0], [0.0, 5.0]]])
    np.testing.assert_allclose(combined(laws, laws[..., 0], "mean"), [[1.5, 3], [1.5, 3]])
    np.testing.assert_allclose(combined(laws, laws[..., 0], "min"), [[1, 4], [0, 5]])


# ------------------------------------------------------------------------------------- the agents


def learn_chain(agent, updates=1500):
    """The laws of two states, by TD without a network: 0 to 1 to the end, each pays 0 or 1."""
    state = SimpleNamespace(bounds=jnp.array([0.0, 1.0]))
    rows = jnp.array([0, 0, 1, 1])
    rewards, masks = jnp.array([0.0, 1.0, 0.0, 1.0]), jnp.array([1.0, 1.0, 0.0, 0.0])
    blank = jnp.zeros((4, 1))
    reward, shrink = bellman(
        Batch(blank, blank, rewards, masks, jnp.ones(4), blank), agent.discount
    )
    optimizer = optax.adam(0.02)

    def step(carried, _):
        table, moments = carried

        def loss(table):
            laws = agent.law(state, table[None, rows])
            next_law = jax.lax.stop_gradient(agent.law(state, table)[jnp.array([1, 1, 0, 0])])
            return agent.loss(state, laws, next_law, reward / agent.return_noise, shrink)

        changes, moments = optimizer.update(jax.grad(loss)(table), moments)
        return (optax.apply_updates(table, changes), moments), None

    table = jnp.zeros((2, agent.numbers))
    table = jax.lax.scan(step, (table, optimizer.init(table)), length=updates)[0][0]
    return state, agent.law(state, table)


@each_model
def test_the_moments_of_a_chains_return_are_learned(kind):
    discount, noise = 0.5, 0.3
    agent = kind(discount=discount, return_noise=noise)
    state, law = learn_chain(agent)
    mean, variance = (0.5 * np.array([0.75, 0.5]), 0.25 * 0.25 * np.array([1.25, 1.0]))
    np.testing.assert_allclose(noise * agent.mean(state, law), mean, atol=0.005)
    read = [noise * agent.read(state, law, tau / noise) for tau in (math.inf, 0.5)]
    np.testing.assert_allclose(read[0], mean, atol=0.005)
    if kind is MeanReturn:
        np.testing.assert_array_equal(*read)
    elif kind is GaussianReturn:
        np.testing.assert_allclose(noise**2 * law[:, 1], variance, rtol=0.03)
        np.testing.assert_allclose(read[1], mean + variance, atol=0.005)
    else:
        z = noise * middles(agent.edges(state))
        np.testing.assert_allclose(law @ z**2 - (law @ z) ** 2, variance, rtol=0.03)
        coins = [(0.5 * i + 0.25 * j) for i in (0, 1) for j in (0, 1)], [0, 0.5]
        known = [0.5 * special.logsumexp(np.array(c) / 0.5, b=1 / len(c)) for c in coins]
        np.testing.assert_allclose(read[1], known, atol=0.005)
        assert law[1] @ ((z > 0.1) & (z < 0.4)) < 0.01  # two modes: 0, and 1/2


def begin(agent):
    data = agent.prepare(random_transitions(3, 2, rows=200))
    return jax.jit(agent.init)(KEY, data), data.sample(jax.random.key(1), 16)


def test_all_models_choose_among_the_same_candidates():
    """The policy learns as EVOR's does, but for rounding, whatever values its actions."""
    policies = {}
    for kind in (EVOR, *KINDS):
        agent = tiny(small(kind(flow_steps=2)))
        state, batch = begin(agent)
        state, _ = jax.jit(agent.update)(state, batch, KEY, KEY)
        policies[kind] = jax.tree.leaves(state.policy)
        assert isinstance(agent, Agent) and isinstance(agent, HasCritic | HasFlow)
        assert isinstance(agent, HasReturns) == (kind is EVOR)
    for kind in KINDS:
        for one, other in zip(policies[EVOR], policies[kind], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@each_model
def test_a_dial_changes_no_training_and_a_saved_agent_acts_alike(kind, tmp_path):
    agent = tiny(small(kind()))
    state, batch = begin(agent)
    names = ["return_temperature"] * (kind is not MeanReturn) + ["choice_temperature"]
    assert list(dials_of(agent)) == names
    turned = with_dials(agent, **dict.fromkeys(names, 0.02))
    assert without_dials(turned) == agent
    if kind is not MeanReturn:
        worth = [
            value(a, state, batch.observations, batch.actions, steps=1) for a in (turned, agent)
        ]
        assert (worth[0] > worth[1]).all()
    save_agent(tmp_path / "agent.safetensors", turned, state, AgentInfo("maze", updates=0))
    loaded, again, _ = load_agent(tmp_path / "agent.safetensors")
    assert loaded == turned
    options = {"steps": 2, "candidates": 4}
    np.testing.assert_array_equal(
        act(loaded, again, batch.observations, KEY, **options),
        act(turned, state, batch.observations, KEY, **options),
    )


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="return_temperature must be positive, got 0"):
        GaussianReturn(return_temperature=0.0)
    with pytest.raises(ConfigError, match="bins must be at least 6"):
        HistogramReturn(bins=5)
    with pytest.raises(ConfigError, match="smoothing must be positive"):
        HistogramReturn(smoothing=0.0)
