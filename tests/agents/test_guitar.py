"""GUITAR: what it is worth to act comes from the reward that it has now, and f learns by lessons.

It keeps the contract of `test_contract.py` but for what needs rewards in a dataset: it isn't among
`AGENTS`, since no dataset has its reward.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import Agent, Encoder, LearnsReward, Network, Optimizer, act
from sorl_edu.agents.guitar import GUITAR, FallingOptimizer
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.imitation import moment_matching_loss
from sorl_edu.temporal_difference import td_target

SMALL, KEY = Network((16,)), jax.random.key(3)
AGENT = GUITAR(
    policy=SMALL,
    critic=SMALL,
    reward=SMALL,
    batch_size=32,
    encoder=Encoder(normalize=True),
    optimizer=Optimizer(3e-3),
    reward_optimizer=FallingOptimizer(1e-2, halved_after=1000),
)
update, lesson = jax.jit(AGENT.update), jax.jit(AGENT.learn_reward)


@pytest.fixture(scope="module")
def begun():
    data = AGENT.prepare(random_transitions(3, 2, rows=200))
    return jax.jit(AGENT.init)(KEY, data), data.sample(jax.random.key(1), 32)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_it_is_an_agent_that_offline_training_does_not_offer(begun):
    state, batch = begun
    assert isinstance(AGENT, Agent) and isinstance(AGENT, LearnsReward)
    assert GUITAR not in AGENTS.values()
    assert (state.obs_dim, state.action_dim) == (3, 2)
    assert hash(AGENT) == hash(replace(AGENT))
    actions = act(AGENT, state, batch.observations, KEY, steps=1, candidates=1)
    assert actions.shape == (32, 2) and jnp.abs(actions).max() <= 1
    with pytest.raises(ConfigError, match="n_step = 1"):
        replace(AGENT, n_step=2)
    with pytest.raises(ConfigError, match="slope"):
        replace(AGENT, slope=-1.0)
    with pytest.raises(ConfigError, match="discount must be below 1"):
        replace(AGENT, discount=1.0)


def test_stored_rewards_count_for_nothing_and_the_reward_as_it_is_now_for_all(begun):
    state, batch = begun
    one, metrics = update(state, batch, KEY, KEY)
    other, _ = update(state, replace(batch, rewards=batch.rewards + 100), KEY, KEY)
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    features = state.encoder(batch.observations)
    f = AGENT.reward_function(state)(features, batch.actions)
    rewards = (1 - AGENT.discount) * (f - f.mean())
    np.testing.assert_allclose(AGENT.relabelled(state, batch).rewards, rewards, atol=1e-7)

    # The target of the critic, by TD's definition, with a' of the target policy without noise.
    calm = replace(AGENT, target_noise=0.0)
    following = state.encoder(batch.next_observations)
    target = td_target(
        AGENT.function(state, "critic", state.critic.target),
        replace(batch, observations=features, next_observations=following, rewards=rewards),
        AGENT.function(state, "policy", state.policy.target)(following),
        discount=AGENT.discount,
        aggregation="min",
    )
    found = jax.jit(calm.losses)(state, batch, KEY, KEY)
    assert found["target_mean"] == pytest.approx(float(target.mean()), rel=1e-4)
    assert set(found) == set(metrics)

    # After a lesson the same batch has other rewards.
    taught, _ = lesson(state, (batch.observations, batch.actions), pairs(batch), KEY)
    assert not np.allclose(AGENT.relabelled(taught, batch).rewards, rewards)


def pairs(batch):
    """Other pairs than the batch's, as many."""
    return batch.observations + 1, jnp.clip(-batch.actions, -1, 1)


def test_an_update_leaves_the_reward_and_a_lesson_leaves_the_policy(begun):
    state, batch = begun
    updated, _ = update(state, batch, KEY, KEY)
    for a, b in zip(leaves(updated.reward), leaves(state.reward), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(leaves(updated.critic)[0], leaves(state.critic)[0])
    expert = batch.observations, batch.actions
    taught, metrics = lesson(state, expert, pairs(batch), KEY)
    for a, b in zip(
        leaves((taught.critic, taught.policy)), leaves((state.critic, state.policy)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    expert, learner = ((state.encoder(o), a) for o, a in (expert, pairs(batch)))
    loss, _ = moment_matching_loss(AGENT.reward_function(state), expert, learner, KEY)
    assert metrics["reward_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_lessons_make_the_expert_s_pairs_worth_more(begun):
    state, batch = begun
    gaps = []
    for key in jax.random.split(KEY, 50):
        state, metrics = lesson(state, (batch.observations, batch.actions), pairs(batch), key)
        gaps.append(float(metrics["reward_gap"]))
    assert gaps[-1] > 0.2 > gaps[0]


def test_the_mixture_of_the_game_s_policies_has_the_expert_s_mean_action():
    """The expert does (0.5, -0.5) everywhere, and gamma is 0, so that Q is f.

    The guarantee is for the mixture of all rounds' policies. One round's may be a corner: it is the
    best answer to a linear f.
    """
    data, myopic = random_transitions(3, 2, rows=400), replace(AGENT, discount=0.0)
    batch, wanted = data.sample(KEY, 128), jnp.array([0.5, -0.5])
    obs, shown = batch.observations, jnp.broadcast_to(wanted, batch.actions.shape)

    def own(state):
        return act(myopic, state, obs, KEY, steps=1, candidates=1)

    def one_round(state, key):
        lessons, updates = jax.random.split(key)

        def teach(state, key):
            return myopic.learn_reward(state, (obs, shown), (obs, own(state)), key)

        def practise(state, key):
            rows, key, shared = jax.random.split(key, 3)
            return myopic.update(state, data.sample(rows, 128), key, shared)

        state, _ = jax.lax.scan(teach, state, jax.random.split(lessons, 10))
        return jax.lax.scan(practise, state, jax.random.split(updates, 20))[0], own(state)

    state = jax.jit(myopic.init)(KEY, data)
    keys = jax.random.split(jax.random.key(1), 60)
    _, actions = jax.jit(lambda state: jax.lax.scan(one_round, state, keys))(state)
    means = actions.mean(1)
    first, mixture = means[0], means[20:].mean(0)
    assert np.linalg.norm(first - wanted) > 0.6 and np.linalg.norm(mixture - wanted) < 0.15


def test_no_random_key_is_used_twice_and_targets_are_copies(begun):
    state, batch = begun
    with jax.debug_key_reuse(True):
        jax.jit(AGENT.update).lower(state, batch, KEY, jax.random.key(4))
        expert = batch.observations, batch.actions
        jax.jit(AGENT.learn_reward).lower(state, expert, pairs(batch), KEY)
    fresh = AGENT.init(KEY, random_transitions(3, 2, rows=200))
    arrays = [leaf for leaf in jax.tree.leaves(fresh) if leaf.size]
    assert len({leaf.unsafe_buffer_pointer() for leaf in arrays}) == len(arrays)
