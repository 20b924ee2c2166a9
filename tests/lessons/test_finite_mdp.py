"""Finite processes against the enumeration of all their episodes and of all their policies."""

import itertools

import numpy as np
import pytest

from sorl_edu.errors import ConfigError
from sorl_edu.finite_mdp import (
    FiniteMDP,
    PolicyClass,
    advantages,
    best_in_class,
    everything,
    expected_return,
    occupancies,
    values,
)

STATES, ACTIONS, HORIZON = 3, 2, 3


def random_case(seed):
    """A process, a policy and a reward."""
    rng = np.random.default_rng(seed)
    mdp = FiniteMDP(
        rng.dirichlet(np.ones(STATES)),
        rng.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)),
        HORIZON,
    )
    policy = rng.dirichlet(np.ones(ACTIONS), size=(HORIZON, STATES))
    return mdp, policy, rng.uniform(-1, 1, size=(STATES, ACTIONS))


def episodes(mdp, policy):
    """Every episode and its probability: ([(s_1, a_1), (s_2, a_2), ...], p)."""
    pairs = list(itertools.product(range(STATES), range(ACTIONS)))
    for episode in itertools.product(pairs, repeat=HORIZON):
        p = mdp.start[episode[0][0]]
        for h, (state, action) in enumerate(episode):
            p *= policy[h, state, action]
            if h + 1 < HORIZON:
                p *= mdp.transitions[state, action, episode[h + 1][0]]
        yield episode, p


@pytest.mark.parametrize("seed", range(3))
def test_occupancies_and_returns_are_those_of_all_episodes(seed):
    mdp, policy, reward = random_case(seed)
    counted, j = np.zeros((HORIZON, STATES, ACTIONS)), 0.0
    for episode, p in episodes(mdp, policy):
        for h, pair in enumerate(episode):
            counted[h][pair] += p
            j += p * reward[pair]
    np.testing.assert_allclose(occupancies(mdp, policy), counted, atol=1e-12)
    assert expected_return(mdp, policy, reward) == pytest.approx(j)


def test_q_is_the_return_of_episodes_that_begin_so():
    mdp, policy, reward = random_case(0)
    v, q = values(mdp, policy, reward)
    total, mass = np.zeros((STATES, ACTIONS)), np.zeros((STATES, ACTIONS))
    for episode, p in episodes(mdp, policy):
        total[episode[1]] += p * sum(reward[pair] for pair in episode[1:])
        mass[episode[1]] += p
    np.testing.assert_allclose(q[1], total / mass)
    np.testing.assert_allclose(v[1], (policy[1] * total / mass).sum(1))
    np.testing.assert_allclose((policy * advantages(mdp, policy, reward)).sum(-1), 0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_no_policy_of_the_class_is_better_than_the_best(seed):
    mdp, _, reward = random_case(seed)
    slips = PolicyClass(np.arange(STATES), np.array([[0.7, 0.3], [0.1, 0.9]]))
    for learner in (everything(mdp), slips):
        choices = itertools.product(np.eye(2), repeat=HORIZON * STATES)
        every = (np.reshape(choice, (HORIZON, STATES, 2)) for choice in choices)
        largest = max(expected_return(mdp, learner.policy(one), reward) for one in every)
        best = learner.policy(best_in_class(mdp, reward, learner))
        assert expected_return(mdp, best, reward) == pytest.approx(largest, abs=1e-9)


def test_a_learner_plays_its_moves_where_states_look_alike():
    learner = PolicyClass(np.array([0, 1, 0]), np.array([[0.8, 0.2], [0.0, 1.0]]))
    decisions = np.array([[[1.0, 0.0], [0.5, 0.5]]])
    expected = [[0.8, 0.2], [0.4, 0.6], [0.8, 0.2]]
    np.testing.assert_allclose(learner.policy(decisions), [expected])
    np.testing.assert_allclose(learner.policy(learner.undecided(2))[1], np.full((3, 2), [0.4, 0.6]))


def test_the_best_decisions_weigh_all_states_that_look_alike():
    learner = PolicyClass(np.array([0, 0, 1, 2]), np.eye(2))
    weights = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [9.0, 0.0]])
    before = np.full((3, 2), [0.25, 0.75])
    met = np.array([True, True, True, False])
    np.testing.assert_allclose(learner.scores(weights), [[3, 2], [1, 1], [9, 0]])
    best = learner.best(weights, met, before)
    np.testing.assert_allclose(best, [[1, 0], [0.5, 0.5], [0.25, 0.75]])  # better; a tie; unknown
    tiny = learner.best(weights * 1e-14, met, before)
    np.testing.assert_allclose(tiny, best)  # however rarely the states are met


def test_the_best_of_a_class_that_confuses_states_is_refused():
    mdp, _, reward = random_case(0)
    blind = PolicyClass(np.zeros(STATES, int), np.eye(ACTIONS))
    with pytest.raises(ConfigError, match="look alike"):
        best_in_class(mdp, reward, blind)


@pytest.mark.parametrize(
    "broken",
    [
        lambda mdp: FiniteMDP(mdp.start * 2, mdp.transitions, HORIZON),
        lambda mdp: FiniteMDP(mdp.start, -mdp.transitions, HORIZON),
        lambda mdp: FiniteMDP(mdp.start, mdp.transitions, 0),
        lambda mdp: PolicyClass(np.arange(STATES), np.ones((2, 2))),
        lambda mdp: PolicyClass(np.array([0, 2, 2]), np.eye(2)),
    ],
)
def test_what_is_no_process_and_no_class_is_refused(broken):
    with pytest.raises(ConfigError):
        broken(random_case(0)[0])
