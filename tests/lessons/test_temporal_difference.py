"""TD learning against Markov chains whose values are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.temporal_difference import (
    Batch,
    aggregate,
    check_critic_settings,
    n_step_returns,
    polyak_average,
    q_loss,
    td_loss,
    td_target,
)

# The tabular critic, (ensemble, state, 2): one-hot states, actions +1 (right) and -1 (left).
STATES = 5


def one_hot(states):
    return np.eye(STATES)[np.asarray(states)]


def tabular(table):
    def critic(obs, actions):
        right = (actions[:, 0] > 0).astype(int)
        return table[:, obs.argmax(-1), right]

    return critic


def fit(batch, policy_actions, *, discount, aggregation="mean", tau=0.5):
    """Gradient descent on td_loss with a Polyak-averaged target table."""

    def update(_, tables):
        online, target = tables
        y = td_target(
            tabular(target),
            batch,
            policy_actions(batch.next_observations),
            discount=discount,
            aggregation=aggregation,
        )
        grad = jax.grad(lambda q: td_loss(tabular(q), batch, y)[0])(online)
        online = online - grad * online.shape[0] * len(batch.rewards) / 2  # onto y, in one step
        return online, polyak_average(target, online, tau)

    start = jnp.stack([jnp.zeros((STATES, 2)), jnp.ones((STATES, 2))])
    return jax.jit(lambda q: jax.lax.fori_loop(0, 400, update, (q, q)))(start)[0]


def go_right(obs):
    return jnp.ones((len(obs), 1))


REWARDS = np.array([1.0, -2.0, 0.5, 3.0])
RESTING_REWARD = 0.3  # in state 4, for ever


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("mask", [0, 1])
@pytest.mark.parametrize("discount", [0.0, 0.9])
def test_a_chain_has_its_known_value(discount, mask, n):
    # 0 -> 1 -> 2 -> 3 -> 4, then 4 -> 4 for ever; with mask 0 the task ends on reaching 4.
    data = Transitions.create(
        observations=one_hot([0, 1, 2, 3, 4, 4, 4]),
        actions=np.ones((7, 1)),
        rewards=[*REWARDS, 0, RESTING_REWARD, 0],
        masks=[1, 1, 1, mask, 1, 1, 1],
        terminals=[0, 0, 0, 0, 1, 0, 1],
    )
    batch = data.with_n_step_returns(n, discount).at(data.starts)
    q = fit(batch, go_right, discount=discount)

    resting = RESTING_REWARD / (1 - discount)
    known = [
        sum(discount ** (j - i) * REWARDS[j] for j in range(i, 4))
        + mask * discount ** (4 - i) * resting
        for i in range(4)
    ]
    np.testing.assert_allclose(q[:, :, 1], np.tile([*known, resting], (2, 1)), atol=1e-4)


def test_off_policy_values_solve_the_bellman_equation():
    # Every (state, action) is in the data once; the policy goes right in even states, else left.
    states = np.repeat(np.arange(STATES), 2)
    actions = np.tile([-1, 1], STATES)
    following = np.clip(states + actions, 0, STATES - 1)
    rewards = np.random.default_rng(0).normal(size=10)
    masks = (following != STATES - 1).astype(float)
    batch = Batch(
        observations=jnp.asarray(one_hot(states), jnp.float32),
        actions=jnp.asarray(actions[:, None], jnp.float32),
        rewards=jnp.asarray(rewards, jnp.float32),
        masks=jnp.asarray(masks, jnp.float32),
        horizons=jnp.ones(10),
        next_observations=jnp.asarray(one_hot(following), jnp.float32),
    )
    q = fit(
        batch,
        lambda obs: jnp.where(obs.argmax(-1) % 2 == 0, 1.0, -1.0)[:, None],
        discount=0.9,
    )
    transition = np.zeros((10, 10))  # pair (s, a) is number 2 s + (a = right)
    transition[np.arange(10), 2 * following + (following % 2 == 0)] = masks
    known = np.linalg.solve(np.eye(10) - 0.9 * transition, rewards)
    np.testing.assert_allclose(q.reshape(2, 10), np.tile(known, (2, 1)), atol=1e-4)


def one_row(**changes) -> Batch:
    values = {
        "observations": jnp.zeros((1, 1)),
        "actions": jnp.zeros((1, 1)),
        "rewards": jnp.array([2.0]),
        "masks": jnp.array([1.0]),
        "horizons": jnp.array([3.0]),
        "next_observations": jnp.array([[7.0]]),
    }
    return Batch(**(values | changes))


@pytest.mark.parametrize(("aggregation", "next_q"), [("mean", 15.0), ("min", 10.0)])
def test_a_target_by_hand(aggregation, next_q):
    def critic(obs, actions):  # 10 and 20 at o' = 7, a' = -1
        q = obs[:, 0] * 10 + actions[:, 0] * 60
        return jnp.stack([q, q + 10])

    next_actions = jnp.array([[-1.0]])
    y = td_target(critic, one_row(), next_actions, discount=0.5, aggregation=aggregation)
    np.testing.assert_allclose(y, 2 + 0.5**3 * next_q)
    ended = one_row(masks=jnp.array([0.0]))
    y = td_target(critic, ended, next_actions, discount=0.5, aggregation=aggregation)
    np.testing.assert_allclose(y, 2)


def test_the_loss_by_hand():
    def critic(obs, actions):
        return jnp.array([[1.0, 4.0], [3.0, 4.0]])

    batch = one_row(observations=jnp.zeros((2, 1)), actions=jnp.zeros((2, 1)))
    loss, metrics = td_loss(critic, batch, jnp.array([1.0, 2.0]))
    assert loss == metrics["critic_loss"] == (0 + 4 + 4 + 4) / 4
    assert metrics["q_data"] == 3 and metrics["target_mean"] == 1.5


def test_targets_pass_no_gradient_to_policy_or_target_critic():
    def loss(policy, target, online):
        next_actions = policy * jnp.ones((1, 1))
        y = td_target(lambda o, a: target * (o + a).T, one_row(), next_actions, discount=0.9)
        return td_loss(lambda o, a: online + (o + a).T, one_row(), y)[0]

    to_policy, to_target, to_online = jax.grad(loss, argnums=(0, 1, 2))(0.5, 0.4, 0.3)
    assert to_policy == 0 and to_target == 0
    assert abs(to_online) > 1


def test_the_loss_of_a_policy_by_hand():
    def critic(obs, actions):  # the members' mean is 3 a + (1, -7): at a = (1, -1), 4 and -10
        q = 3 * actions[:, 0] + obs[:, 0]
        return jnp.stack([q + 2, q - 2])

    obs, actions = jnp.array([[1.0], [-7.0]]), jnp.array([[1.0], [-1.0]])
    loss, metrics = q_loss(critic, obs, actions)
    np.testing.assert_allclose(loss, 3 / 7)  # minus the mean, -3, over the mean size, 7
    assert metrics["q_loss"] is loss
    np.testing.assert_allclose(metrics["q_policy"], -3)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_gradient_of_a_policy_climbs_q_at_a_length_that_rewards_do_not_change(scale):
    def critic(obs, actions):
        q = scale * (3 * actions[:, 0] + obs[:, 0])
        return jnp.stack([q + 2 * scale, q - 2 * scale])

    obs, actions = jnp.array([[1.0], [-7.0]]), jnp.array([[1.0], [-1.0]])
    gradient = jax.grad(lambda a: q_loss(critic, obs, a)[0])(actions)
    # dL/da = -(1/2) 3 / 7, where the size of Q, 7, is a constant: descent raises Q.
    np.testing.assert_allclose(gradient, [[-3 / 14]] * 2, rtol=1e-6)


def test_aggregation():
    values = jnp.array([[1.0, 5.0], [3.0, -1.0]])
    np.testing.assert_array_equal(aggregate(values, "mean"), [2, 2])
    np.testing.assert_array_equal(aggregate(values, "min"), [1, -1])


def test_polyak_average_is_exact():
    old = {"a": jnp.array([0.0, 8.0]), "b": jnp.array(1.0)}
    new = {"a": jnp.array([4.0, 0.0]), "b": jnp.array(1.0)}
    moved = polyak_average(old, new, 0.25)
    np.testing.assert_array_equal(moved["a"], [1, 6])
    np.testing.assert_array_equal(moved["b"], 1)
    # k steps towards a constant leave (1 - tau)^k of the distance.
    for _ in range(3):
        moved = polyak_average(moved, new, 0.25)
    np.testing.assert_allclose(moved["a"], [4 - 4 * 0.75**4, 8 * 0.75**4])
    assert polyak_average(old, new, 1.0)["a"].tolist() == [4, 0]


def trajectories(rewards, masks, terminals) -> Transitions:
    rows = len(rewards)
    observations = np.arange(rows)[:, None]
    return Transitions.create(observations, np.zeros((rows, 1)), rewards, masks, terminals)


def test_n_step_returns_by_hand():
    #                       trajectory 1: ends at a time limit   2: succeeds in row 7, and runs on
    data = trajectories(
        rewards=[1, 2, 4, 8, 99, 1, 2, 4, 8, 99],
        masks=[1, 1, 1, 1, 1, 1, 1, 0, 1, 1],
        terminals=[0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    )
    returns = data.with_n_step_returns(3, 0.5)
    batch = returns.at(returns.starts)
    np.testing.assert_array_equal(returns.starts, [0, 1, 2, 3, 5, 6, 7, 8])
    np.testing.assert_allclose(
        batch.rewards,
        # 1 + 1 + 1, 2 + 2 + 2, 4 + 4, 8;  1 + 1 + 1, 2 + 2, 4, 8
        [3, 6, 8, 8, 3, 4, 4, 8],
    )
    np.testing.assert_array_equal(batch.masks, [1, 1, 1, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(batch.horizons, [3, 3, 2, 1, 3, 2, 1, 1])
    np.testing.assert_array_equal(batch.next_observations[:, 0], [3, 4, 4, 4, 8, 8, 8, 9])
    np.testing.assert_array_equal(batch.observations[:, 0], [0, 1, 2, 3, 5, 6, 7, 8])
    # What the bootstrap is worth: gamma^k mask Q'(o').
    y = td_target(lambda o, a: 0 * o.T + 16, batch, batch.actions, discount=0.5)
    np.testing.assert_allclose(y, [5, 8, 12, 16, 3, 4, 4, 16])


def test_one_step_returns_are_the_rewards():
    data = trajectories([1, 2, 3, 4], [1, 0, 1, 1], [0, 0, 0, 1])
    once = data.with_n_step_returns(1, 0.9)
    for ours, theirs in zip(
        jax.tree.leaves(once.at(data.starts)), jax.tree.leaves(data.at(data.starts)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def brute_force(data, n, discount):
    rewards, masks, last = map(np.asarray, (data.rewards, data.masks, data.last))
    for start in np.asarray(data.starts):
        total, row = 0.0, start
        while True:
            total += discount ** (row - start) * rewards[row]
            row += 1
            if masks[row - 1] == 0 or last[row] or row - start == n:
                break
        yield total, masks[row - 1], row - start


@given(
    rewards=st.lists(st.integers(-9, 9), min_size=12, max_size=12),
    masks=st.lists(st.booleans(), min_size=12, max_size=12),
    terminals=st.lists(st.booleans(), min_size=11, max_size=11),
    n=st.integers(1, 6),
    discount=st.floats(0, 1),
)
@settings(max_examples=25, deadline=None)
def test_n_step_returns_agree_with_a_loop(rewards, masks, terminals, n, discount):
    terminals = [*terminals, True]
    if all(terminals):
        terminals[0] = False
    data = trajectories(rewards, masks, terminals)
    batch = data.with_n_step_returns(n, discount).at(data.starts)
    known = np.array(list(brute_force(data, n, discount)))
    np.testing.assert_allclose(batch.rewards, known[:, 0], atol=1e-4)
    np.testing.assert_array_equal(batch.masks, known[:, 1])
    np.testing.assert_array_equal(batch.horizons, known[:, 2])


@pytest.mark.parametrize("n", [0, -1])
def test_n_below_one_is_refused(n):
    rows = jnp.ones(3)
    with pytest.raises(ConfigError, match=f"n_step must be at least 1, got {n}"):
        n_step_returns(rows, rows, rows > 0, n, 0.9)


def test_the_last_row_of_a_trajectory_has_no_horizon():
    last = jnp.array([False, False, True, False, True])
    returns, masks, horizons = n_step_returns(jnp.arange(5.0), jnp.ones(5), last, 2, 0.5)
    np.testing.assert_array_equal(horizons, [2, 1, 0, 1, 0])
    np.testing.assert_allclose(np.asarray(returns)[[0, 1, 3]], [0.5, 1, 3])
    np.testing.assert_array_equal(masks, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"discount": 1.01}, r"discount must be in \[0, 1\], got 1.01"),
        ({"discount": float("nan")}, "discount"),
        ({"tau": 0.0}, r"tau must be in \(0, 1\], got 0.0"),
        ({"tau": 1.5}, "tau"),
    ],
)
def test_settings_without_a_meaning_are_refused(wrong, message):
    check_critic_settings(**(sound := {"discount": 1.0, "tau": 1.0, "aggregation": "min"}))
    with pytest.raises(ConfigError, match=message):
        check_critic_settings(**(sound | wrong))


def test_an_unknown_aggregation_is_refused():
    # Past the annotation, which would refuse it first here.
    unchecked = getattr(aggregate, "__wrapped__", aggregate)
    with pytest.raises(ConfigError, match="'mean' or 'min', got 'max'"):
        unchecked(jnp.zeros((2, 3)), "max")
