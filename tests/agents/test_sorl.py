"""SORL: which gradient reaches what, in which order, at which number of steps, and what it buys."""

import collections
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import SORL, FlowBC
from sorl_edu.agents.agent import Encoder, Network, Optimizer, act, encode, propose, value
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.flow_matching import integrate
from sorl_edu.inference import candidate_noise
from sorl_edu.shortcut import at_step_size
from sorl_edu.training import train

TINY = SORL(
    denoise_steps=4,
    max_backprop_steps=2,
    tau=0.25,
    batch_size=16,
    field=Network((8,)),
    critic=Network((8,), layer_norm=True),
    encoder=Encoder(normalize=True, fourier_features=2),
    optimizer=Optimizer(learning_rate=1e-2),
)
KEY, SHARED = jax.random.key(5), jax.random.key(6)


def step(agent, state, batch, key=KEY, shared_key=SHARED):
    return _update(state, batch, key, shared_key, agent=agent)


_update = jax.jit(
    lambda state, batch, key, shared_key, agent: agent.update(state, batch, key, shared_key),
    static_argnames="agent",
)
_init = jax.jit(lambda data, key, agent: agent.init(key, data), static_argnames="agent")


def begin(agent, transitions):
    return _init(transitions, jax.random.key(0), agent=agent)


@pytest.fixture(scope="module")
def batch(transitions):
    return transitions.sample(jax.random.key(1), TINY.batch_size)


@pytest.fixture(scope="module")
def state(transitions):
    return begin(TINY, transitions)


@pytest.fixture(scope="module")
def updated(state, batch):
    return step(TINY, state, batch)


def same(one, other):
    """Whether two pytrees are equal, bit for bit."""
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def moved(one, other):
    """Whether every kernel of one pytree differs somewhere from the other's."""
    return all(
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
        if a.ndim > 1
    )


def test_an_update_moves_the_networks_and_targets_follow_by_tau(state, updated):
    after, _ = updated
    for name in ("field", "critic"):
        before, learner = getattr(state, name), getattr(after, name)
        assert moved(learner.params, before.params)
        followed = jax.tree.map(
            lambda old, new: 0.75 * old + 0.25 * new,
            before.target,
            learner.params,  # those after the update, not before it
        )
        for a, b in zip(jax.tree.leaves(learner.target), jax.tree.leaves(followed), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert same(after.encoder, state.encoder)


def test_one_key_twice_gives_the_same_and_another_key_another(state, batch, updated):
    after, metrics = updated
    again, again_metrics = step(TINY, state, batch)
    assert same(after, again) and same(metrics, again_metrics)
    other, _ = step(TINY, state, batch, key=jax.random.key(50))
    for name in ("field", "critic"):
        assert not same(getattr(after, name).params, getattr(other, name).params)


def test_the_policys_loss_is_the_weighted_sum(state, batch, updated):
    assert set(updated[1]) == {
        *("critic_loss", "q_data", "target_mean"),
        *("policy_loss", "q_loss", "q_policy", "flow_loss", "consistency_loss"),
    }
    agent = replace(TINY, q_weight=3.0, flow_weight=5.0, consistency_weight=7.0)
    losses = jax.jit(agent.losses)(state, batch, KEY, SHARED)
    total = 3 * losses["q_loss"] + 5 * losses["flow_loss"] + 7 * losses["consistency_loss"]
    assert float(losses["policy_loss"]) == pytest.approx(float(total), rel=1e-5)


def test_the_critic_and_the_policy_learn_from_their_own_losses_only(state, batch, updated):
    agent = replace(TINY, q_weight=0.0)
    one, _ = step(agent, state, batch)
    # The weight of the policy's loss doesn't reach the critic.
    assert same(one.critic, updated[0].critic)
    assert not same(one.field, updated[0].field)
    # Rewards reach the policy through the critic alone, so not at all where q_weight is 0.
    other, _ = step(agent, state, replace(batch, rewards=100 + 50 * batch.rewards))
    assert same(one.field, other.field)
    assert not same(one.critic, other.critic)


def test_the_policy_uses_the_updated_critic(state, batch):
    # A critic that is 0 everywhere has no gradient in the action: if the policy moves although Q is
    # all that it is after, then along the critic after its update.
    agent = replace(
        TINY, q_weight=1.0, flow_weight=0.0, consistency_weight=0.0, max_backprop_steps=1
    )
    blind = jax.tree.map(jnp.copy, state.critic.params)
    (members,) = blind["params"].values()
    last = max(name for name in members if name.startswith("Dense"))
    members[last] = jax.tree.map(jnp.zeros_like, members[last])
    critic = state.critic.replace(params=blind, target=jax.tree.map(jnp.zeros_like, blind))
    q = agent.q(blind, 1)(state.encoder(batch.observations), batch.actions)
    np.testing.assert_array_equal(q, 0)
    after, metrics = step(agent, state.replace(critic=critic), batch)
    assert moved(after.field.params, state.field.params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.field.params))
    assert abs(metrics["q_policy"]) > 1e-3


# A critic whose value is gelu(m), whatever the state and action, shows which m it was fed.


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.fixture(scope="module")
def reporting(transitions):
    """An agent with that critic: it, its state, and a batch whose TD target is gamma Q'."""
    agent = SORL(batch_size=4, max_backprop_steps=4, field=Network((4,)), critic=Network((1,)))
    state = begin(agent, transitions)
    ((name, members),) = state.critic.params["params"].items()
    kernel = jnp.zeros_like(members["Dense_0"]["kernel"]).at[:, -1].set(1.0)
    params = jax.tree.map(jnp.zeros_like, members)
    params["Dense_0"]["kernel"] = kernel
    params["Dense_1"]["kernel"] = jnp.ones_like(members["Dense_1"]["kernel"])
    params = {"params": {name: params}}
    critic = state.critic.replace(params=params, target=jax.tree.map(jnp.copy, params))
    batch = transitions.sample(jax.random.key(1), 4)
    batch = replace(batch, rewards=jnp.zeros(4), masks=jnp.ones(4))
    return agent, state.replace(critic=critic), batch


def steps_fed(values):
    """The m for which gelu(m) is each value; fails for a value that belongs to none."""
    known = gelu(np.array([1.0, 2.0, 4.0, 8.0]))
    distance = np.abs(np.asarray(values)[:, None] - known)
    assert distance.min(1).max() < 1e-4
    return 2 ** distance.argmin(1)


def test_drawn_steps_are_uniform_over_powers_of_two_and_come_from_the_shared_key(reporting):
    agent, state, batch = reporting
    agent, n = replace(agent, max_backprop_steps=8), 400
    losses = jax.jit(jax.vmap(agent.losses, in_axes=(None, None, 0, 0)))
    keys = jax.random.split(jax.random.key(2), n)
    metrics = losses(state, batch, keys, jax.random.split(jax.random.key(3), n))
    # Both sides of the TD error are fed the same m: y = gamma Q(m).
    critic_steps = steps_fed(metrics["q_data"])
    np.testing.assert_allclose(metrics["target_mean"], 0.99 * metrics["q_data"], rtol=1e-5)
    policy_steps = steps_fed(metrics["q_policy"])
    for steps in (critic_steps, policy_steps):
        counts = collections.Counter(steps.tolist())
        assert set(counts) == {1, 2, 4, 8}
        assert all(abs(c - n / 4) < 5 * np.sqrt(n * 3 / 16) for c in counts.values())
    # Two draws, not one used twice.
    assert 0.25 - 0.11 < np.mean(critic_steps == policy_steps) < 0.25 + 0.11

    one_shared = jnp.broadcast_to(jax.random.key(3), n)
    metrics = losses(state, batch, keys, one_shared)
    assert len(set(steps_fed(metrics["q_data"]))) == len(set(steps_fed(metrics["q_policy"]))) == 1
    assert len(np.unique(metrics["flow_loss"])) > n // 2


@pytest.mark.parametrize(("steps", "fed"), [(1, 1), (2, 2), (4, 4), (8, 4), (32, 4)])
def test_the_critic_is_fed_no_more_steps_than_it_was_trained_for(reporting, steps, fed):
    agent, state, batch = reporting
    values = value(agent, state, batch.observations, batch.actions, steps=steps)
    assert set(steps_fed(values)) == {fed}
    q = propose(agent, state, batch.observations, KEY, steps=steps, candidates=3).q
    assert q.shape == (3, 4) and set(steps_fed(np.ravel(q))) == {fed}


def test_flow_matching_is_at_the_smallest_step_and_its_times(state, batch):
    asked = []

    class Watched(SORL):
        def s(self, state, params):
            def shortcut(obs, a_t, t, h):
                asked.append((np.asarray(t)[:, 0], np.asarray(h)[:, 0]))
                return 0 * a_t

            return shortcut

    agent = Watched(denoise_steps=4, max_backprop_steps=2, critic=TINY.critic)
    with jax.disable_jit():
        agent.policy_loss(None, state, encode(state.encoder, batch), KEY, steps=2)
    (t0, h0), (t1, h1), (t, h), *consistency = asked
    for at, seen in ((0, t0), (0.5, t1), (0.5, h0), (0.5, h1)):  # the policy's own two steps
        np.testing.assert_array_equal(seen, np.full(16, at))
    np.testing.assert_array_equal(h, np.full(16, 1 / 4))
    assert set(t) == {0, 0.25, 0.5, 0.75}
    assert {x for _, steps in consistency for x in steps} == {1, 0.5, 0.25}


@pytest.mark.parametrize("aggregation", ["mean", "min"])
def test_the_td_target_is_that_of_the_moving_average_at_actions_of_the_policy(
    updated, batch, aggregation
):
    agent, state = replace(TINY, q_aggregation=aggregation), updated[0]
    features = encode(state.encoder, batch)
    target = agent.td_target(state, features, KEY, steps=2)
    # m = 2 steps of the field's parameters, not of its average, and then of Q's average, not of Q.
    noise, obs = jax.random.normal(KEY, (16, 2)), features.next_observations
    field = at_step_size(agent.s(state, state.field.params), 0.5)
    actions = jnp.clip(integrate(field, obs, noise, 2), -1, 1)
    q = np.asarray(agent.q(state.critic.target, 2)(obs, actions))
    known = batch.rewards + 0.99 * batch.masks * (q.mean(0) if aggregation == "mean" else q.min(0))
    np.testing.assert_allclose(target, known, atol=1e-5)
    assert np.abs(q - np.asarray(agent.q(state.critic.params, 2)(obs, actions))).max() > 1e-3


def test_a_blind_critic_ignores_the_steps_and_a_seeing_one_does_not(transitions, batch, state):
    def values(agent, state):
        obs = batch.observations
        return [np.asarray(value(agent, state, obs, batch.actions, steps=m)) for m in (1, 2)]

    one, two = values(TINY, state)
    assert np.abs(one - two).min() > 0
    blind = replace(TINY, critic_sees_steps=False)
    np.testing.assert_array_equal(*values(blind, begin(blind, transitions)))


@pytest.mark.parametrize(("steps", "aggregation"), [(1, "mean"), (4, "min"), (8, "mean")])
def test_proposals_are_those_of_the_lessons_functions(state, batch, steps, aggregation):
    agent, obs = replace(TINY, q_aggregation=aggregation), batch.observations
    proposal = propose(agent, state, obs, KEY, steps=steps, candidates=3)
    assert proposal.actions.shape == (3, 16, 2)
    # M is 4: beyond it the field is fed 1/4. M_BTT is 2: beyond it the critic is fed 2.
    features, noise = state.encoder(obs), candidate_noise(KEY, 3, 16, 2)
    field = at_step_size(agent.s(state, state.field.params), 1 / min(steps, 4))
    critic = agent.q(state.critic.params, min(steps, 2))
    for n in range(3):
        actions = jnp.clip(integrate(field, features, noise[n], steps), -1, 1)
        np.testing.assert_allclose(proposal.actions[n], actions, atol=1e-5)
        q = np.asarray(critic(features, proposal.actions[n]))
        q = q.mean(0) if aggregation == "mean" else q.min(0)
        np.testing.assert_allclose(proposal.q[n], q, atol=1e-5)
    np.testing.assert_array_equal(proposal.chosen, proposal.q.argmax(0))
    chosen = act(agent, state, obs, KEY, steps=steps, candidates=3)
    np.testing.assert_allclose(chosen, proposal.action, atol=1e-6)
    first = act(agent, state, obs, KEY, steps=steps, candidates=1)
    np.testing.assert_allclose(first, proposal.actions[0], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"denoise_steps": 6}, "denoise_steps.*power of two.*got 6"),
        ({"denoise_steps": 1, "max_backprop_steps": 1}, "denoise_steps.*at least 2, got 1"),
        ({"denoise_steps": 0}, "denoise_steps.*got 0"),
        ({"max_backprop_steps": 3}, "max_backprop_steps.*power of two.*got 3"),
        ({"max_backprop_steps": 0}, "max_backprop_steps.*power of two.*got 0"),
        ({"max_backprop_steps": 16}, "M_BTT.*at most denoise_steps.*M = 8.*got 16"),
        ({"q_weight": -1.0}, "q_weight must not be negative"),
        ({"q_weight": float("nan")}, "q_weight"),
        ({"flow_weight": -1.0}, "flow_weight must not be negative"),
        ({"consistency_weight": -0.1}, "consistency_weight must not be negative"),
        ({"discount": 1.01}, r"discount must be in \[0, 1\], got 1.01"),
        ({"discount": -0.1}, r"discount must be in \[0, 1\]"),
        ({"tau": 0.0}, r"tau must be in \(0, 1\], got 0.0"),
        ({"tau": 1.5}, r"tau must be in \(0, 1\], got 1.5"),
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"q_aggregation": "max"}, "aggregation must be 'mean' or 'min', got 'max'"),
    ],
)
def test_a_hyper_parameter_out_of_range_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        SORL(**wrong)


def test_preparing_makes_n_step_returns(transitions):
    prepared = replace(TINY, n_step=3).prepare(transitions)
    assert int(prepared.horizons.max()) == 3
    assert int(TINY.prepare(transitions).horizons.max()) == 1


def test_sorl_finds_the_optimum_where_cloning_only_repeats_the_data():
    # The reward 1 - |a - o / 2|^2 is greatest at a = o / 2. The actions are uniform, whatever
    # o is: their mean squared distance to it is 1/3 + 1/12.
    rng = np.random.default_rng(0)
    o, a = np.repeat(rng.uniform(-1, 1, 1000), 2), rng.uniform(-1, 1, 2000)
    data = Transitions.create(
        o[:, None], a[:, None], 1 - (a - o / 2) ** 2, np.zeros(2000), np.arange(2000) % 2
    )
    obs = jnp.linspace(-1, 1, 400)[:, None]

    def distances(agent, settings):
        run = train(agent, data, updates=100, key=KEY, log_every=100, progress=False)
        for m, n in settings:
            actions = act(agent, run.state, obs, KEY, steps=m, candidates=n)
            yield float(jnp.mean((actions - obs / 2) ** 2))

    shared = {"batch_size": 64, "field": Network((32, 32)), "optimizer": Optimizer(3e-3)}
    (cloned,) = distances(FlowBC(**shared), [(8, 1)])
    assert 0.25 < cloned < 0.55
    critic = Network((32, 32), layer_norm=True)
    sorl = SORL(**shared, critic=critic, denoise_steps=2, max_backprop_steps=2)
    assert max(distances(sorl, [(1, 1), (2, 1), (1, 16), (2, 16)])) < 0.05
