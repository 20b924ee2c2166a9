"""SORL: which gradient reaches what, in which order, at which number of steps, and what it buys."""

import collections
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import SORL, Agent, FlowBC
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.temporal_difference import steps_column
from sorl_edu.training import train

TINY = SORL(
    field_hidden=(8,),
    critic_hidden=(8,),
    denoise_steps=4,
    max_backprop_steps=2,
    batch_size=16,
    learning_rate=1e-2,
    tau=0.25,
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


def test_it_is_an_agent():
    assert isinstance(TINY, Agent) and isinstance(FlowBC(), Agent)


def test_targets_start_as_copies_and_share_no_memory(transitions):
    state = TINY.init(jax.random.key(0), transitions)  # not compiled, which would copy anyway
    for online, target in [
        (state.field, state.target_field),
        (state.critic, state.target_critic),
    ]:
        assert same(online, target)
        for a, b in zip(jax.tree.leaves(online), jax.tree.leaves(target), strict=True):
            assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()


def test_an_update_moves_the_networks_and_targets_follow_by_tau(state, updated):
    after, _ = updated
    for online, target in [("field", "target_field"), ("critic", "target_critic")]:
        assert moved(getattr(after, online), getattr(state, online))
        followed = jax.tree.map(
            lambda old, new: 0.75 * old + 0.25 * new,
            getattr(state, target),
            getattr(after, online),  # the parameters after the update, not before it
        )
        for a, b in zip(
            jax.tree.leaves(getattr(after, target)), jax.tree.leaves(followed), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert same(after.encoder, state.encoder)


def test_one_key_twice_gives_the_same_and_another_key_another(state, batch, updated):
    after, metrics = updated
    again, again_metrics = step(TINY, state, batch)
    assert same(after, again) and same(metrics, again_metrics)
    other, _ = step(TINY, state, batch, key=jax.random.key(50))
    assert not same(after.field, other.field) and not same(after.critic, other.critic)


def test_every_metric_is_a_finite_scalar(state, batch, updated):
    metrics = updated[1]
    assert {"critic_loss", "policy_loss", "q_loss", "flow_loss", "consistency_loss"} <= set(metrics)
    assert all(value.shape == () and np.isfinite(value) for value in metrics.values())
    losses = jax.jit(TINY.losses)(state, batch, KEY, SHARED)
    assert set(losses) == set(metrics)
    total = 100 * losses["q_loss"] + 10 * losses["flow_loss"] + 10 * losses["consistency_loss"]
    assert float(losses["policy_loss"]) == pytest.approx(float(total), rel=1e-5)


def test_the_critic_and_the_policy_learn_from_their_own_losses_only(state, batch, updated):
    agent = replace(TINY, q_weight=0.0)
    one, _ = step(agent, state, batch)
    # The weight of the policy's loss doesn't reach the critic.
    assert same(one.critic, updated[0].critic)
    assert not same(one.field, updated[0].field)
    # Rewards reach the policy through the critic alone, so not at all where q_weight is 0.
    other, _ = step(agent, state, batch.replace(rewards=100 + 50 * batch.rewards))
    assert same(one.field, other.field)
    assert not same(one.critic, other.critic)


def test_the_policy_uses_the_updated_critic(state, batch):
    # A critic that is 0 everywhere has no gradient in the action: if the policy moves although Q is
    # all that it is after, then along the critic after its update.
    agent = replace(
        TINY,
        q_weight=1.0,
        flow_weight=0.0,
        consistency_weight=0.0,
        normalize_q_loss=False,
        max_backprop_steps=1,
    )
    zero = jax.tree.map(jnp.zeros_like, state.critic)
    trunk = jax.tree.map(jnp.copy, state.critic)
    (members,) = trunk["params"].values()
    last = max(name for name in members if name.startswith("Dense"))
    members[last] = jax.tree.map(jnp.zeros_like, members[last])
    blind = state.replace(critic=trunk, target_critic=zero)
    q = agent.critic(blind)(batch.observations, batch.actions, steps_column(1, 16))
    np.testing.assert_array_equal(q, 0)
    after, metrics = step(agent, blind, batch)
    assert moved(after.field, blind.field)
    assert abs(metrics["q_policy"]) > 1e-3


# A critic whose value is gelu(m), whatever the state and action, shows which m it was told.


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.fixture(scope="module")
def reporting(transitions):
    agent = SORL(
        field_hidden=(4,), critic_hidden=(1,), critics=1, critic_layer_norm=False, batch_size=4
    )
    state = begin(agent, transitions)
    (members,) = state.critic["params"].values()
    width = members["Dense_0"]["kernel"].shape[1]
    members = {
        "Dense_0": {
            "kernel": jnp.zeros((1, width, 1)).at[0, -1].set(1.0),
            "bias": jnp.zeros((1, 1)),
        },
        "Dense_1": {"kernel": jnp.ones((1, 1, 1)), "bias": jnp.zeros((1, 1))},
    }
    critic = {"params": {next(iter(state.critic["params"])): members}}
    state = state.replace(critic=critic, target_critic=jax.tree.map(jnp.copy, critic))
    batch = transitions.sample(jax.random.key(1), 4)
    batch = batch.replace(rewards=jnp.zeros(4), masks=jnp.ones(4))
    losses = jax.jit(jax.vmap(agent.losses, in_axes=(None, None, 0, 0)))
    return lambda keys, shared_keys: losses(state, batch, keys, shared_keys)


def steps_told(values):
    """The m for which gelu(m) is each value; fails for a value that belongs to none."""
    known = gelu(np.array([1.0, 2.0, 4.0, 8.0]))
    distance = np.abs(np.asarray(values)[:, None] - known)
    assert distance.min(1).max() < 1e-4
    return 2 ** distance.argmin(1)


def test_drawn_steps_are_uniform_over_powers_of_two_and_come_from_the_shared_key(reporting):
    n = 400
    keys = jax.random.split(jax.random.key(2), n)
    metrics = reporting(keys, jax.random.split(jax.random.key(3), n))
    # Both sides of the TD error are told the same m: y = gamma Q(m).
    critic_steps = steps_told(metrics["q_data"])
    np.testing.assert_allclose(metrics["target_mean"], 0.99 * metrics["q_data"], rtol=1e-5)
    policy_steps = steps_told(metrics["q_policy"])
    for steps in (critic_steps, policy_steps):
        counts = collections.Counter(steps.tolist())
        assert set(counts) == {1, 2, 4, 8}
        assert all(abs(c - n / 4) < 5 * np.sqrt(n * 3 / 16) for c in counts.values())
    # Two draws, not one used twice.
    assert 0.25 - 0.11 < np.mean(critic_steps == policy_steps) < 0.25 + 0.11

    one_shared = jnp.broadcast_to(jax.random.key(3), n)
    metrics = reporting(keys, one_shared)
    assert len(set(steps_told(metrics["q_data"]))) == len(set(steps_told(metrics["q_policy"]))) == 1
    assert len(np.unique(metrics["flow_loss"])) > n // 2


def test_seeds_trained_together_run_one_branch_of_the_switch(state, batch):
    states = jax.tree.map(lambda leaf: leaf[None], state)

    def branches(shared_axis):
        shared = SHARED if shared_axis is None else SHARED[None]
        update = jax.vmap(TINY.update, in_axes=(0, None, 0, shared_axis))
        return str(jax.make_jaxpr(update)(states, batch, KEY[None], shared)).count("cond[")

    assert branches(None) == 2  # one switch for the critic, one for the policy
    assert branches(0) == 0  # selects, which run every branch


def test_a_blind_critic_ignores_the_steps_and_a_seeing_one_does_not(transitions, batch, state):
    def values(agent, state):
        critic = agent.critic(state)
        return [
            np.asarray(critic(batch.observations, batch.actions, steps_column(m, 16)))
            for m in (1, 2)
        ]

    one, two = values(TINY, state)
    assert np.abs(one - two).min() > 0
    blind = replace(TINY, critic_sees_steps=False)
    np.testing.assert_array_equal(*values(blind, begin(blind, transitions)))


def test_proposals_are_those_of_the_lessons_functions(state, batch):
    obs = batch.observations
    proposal = jax.jit(TINY.propose, static_argnames=("steps", "candidates"))(
        state, obs, KEY, steps=8, candidates=3
    )
    assert proposal.actions.shape == (3, 16, 2) and np.abs(proposal.actions).max() <= 1
    # M_BTT is 2, so that the critic is told 2, and its two members are averaged.
    critic = TINY.critic(state)
    for n in range(3):
        q = critic(obs, proposal.actions[n], steps_column(2, 16)).mean(0)
        np.testing.assert_allclose(proposal.q[n], q, atol=1e-5)
    np.testing.assert_array_equal(proposal.chosen, proposal.q.argmax(0))
    act = jax.jit(TINY.act, static_argnames=("steps", "candidates"))
    np.testing.assert_allclose(
        act(state, obs, KEY, steps=8, candidates=3), proposal.action, atol=1e-6
    )
    np.testing.assert_allclose(
        act(state, obs, KEY, steps=8, candidates=1), proposal.actions[0], atol=1e-6
    )
    with pytest.raises(ConfigError, match="power of two"):
        TINY.act(state, obs, KEY, steps=3, candidates=1)
    with pytest.raises(ConfigError, match="candidates"):
        TINY.act(state, obs, KEY, steps=1, candidates=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"denoise_steps": 6}, "denoise_steps.*power of two.*got 6"),
        ({"denoise_steps": 1, "max_backprop_steps": 1}, "denoise_steps.*at least 2, got 1"),
        ({"denoise_steps": 0}, "denoise_steps.*got 0"),
        ({"max_backprop_steps": 3}, "max_backprop_steps.*power of two, got 3"),
        ({"max_backprop_steps": 0}, "max_backprop_steps.*power of two, got 0"),
        ({"max_backprop_steps": 16}, "M_BTT = 16.*at most denoise_steps.*M = 8"),
        ({"q_weight": -1.0}, "q_weight must not be negative"),
        ({"q_weight": float("nan")}, "q_weight"),
        ({"flow_weight": -1.0}, "flow_weight must not be negative"),
        ({"consistency_weight": -0.1}, "consistency_weight must not be negative"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
        ({"discount": 1.01}, r"discount must be in \[0, 1\], got 1.01"),
        ({"discount": -0.1}, r"discount must be in \[0, 1\]"),
        ({"tau": 0.0}, r"tau must be in \(0, 1\], got 0.0"),
        ({"tau": 1.5}, r"tau must be in \(0, 1\], got 1.5"),
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"critics": 0}, "critics must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"policy_updates_per_batch": 0}, "policy_updates_per_batch must be at least 1"),
        ({"field_hidden": ()}, "field_hidden must name at least one width"),
        ({"critic_hidden": (64, 0)}, "critic_hidden must name.*at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"grad_clip_norm": -1.0}, "grad_clip_norm must be 0 or more"),
        ({"fourier_features": -1}, "fourier_features must be 0 or more"),
        ({"q_aggregation": "max"}, "q_aggregation must be 'mean' or 'min', got 'max'"),
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
        act = jax.jit(agent.act, static_argnames=("steps", "candidates"))
        for m, n in settings:
            actions = act(run.state, obs, KEY, steps=m, candidates=n)
            yield float(jnp.mean((actions - obs / 2) ** 2))

    shared = {"field_hidden": (32, 32), "batch_size": 64, "learning_rate": 3e-3}
    (cloned,) = distances(FlowBC(**shared), [(8, 1)])
    assert 0.25 < cloned < 0.55
    sorl = SORL(**shared, critic_hidden=(32, 32), denoise_steps=2, max_backprop_steps=2)
    assert max(distances(sorl, [(1, 1), (2, 1), (1, 16), (2, 16)])) < 0.05


def test_no_random_key_is_used_twice_in_an_update(state, batch, monkeypatch):
    used = collections.Counter()

    def watched(draw):
        def watching(key, *args, **options):
            used[np.asarray(jax.random.key_data(key)).tobytes()] += 1
            return draw(key, *args, **options)

        return watching

    for name in ("normal", "uniform", "randint", "choice", "permutation", "bernoulli", "split"):
        monkeypatch.setattr(jax.random, name, watched(getattr(jax.random, name)))
    with jax.disable_jit():
        TINY.update(state, batch, KEY, SHARED)
    assert len(used) > 5 and set(used.values()) == {1}
