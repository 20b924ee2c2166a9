"""Assignment 3: the estimator, the budget that no controller exceeds, and games that repeat."""

from dataclasses import replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TINY

from sorl_edu.course.exercises import assignment3 as exercises
from sorl_edu.course.exercises.assignment3 import BUDGET, CANDIDATES, STEPS, Player, costs, play
from sorl_edu.environments.rollout import Moment
from sorl_edu.errors import ConfigError
from sorl_edu.inference import network_evaluations

B, LIMIT = 3, 40


def by_enumeration(q, n):
    subsets = [jnp.array(rows) for rows in combinations(range(len(q)), n)]
    return jnp.stack([q[rows].max(0) for rows in subsets]).mean(0)


@pytest.mark.parametrize("seed", range(3))
def test_the_estimator_is_the_mean_over_all_subsets(seed):
    assert exercises.expected_best(by_enumeration, seed=seed).status == "right"


@pytest.fixture(scope="module")
def state(transitions):
    return TINY.init(jax.random.key(0), transitions)


@pytest.fixture
def game(state, transitions):
    """Lets a controller play; the player, with the situations that the controller saw."""

    def run(controller, budget=BUDGET):
        seen = []

        def watched(situation):
            seen.append(situation)
            return controller(situation)

        player = Player(TINY, state, watched, LIMIT, budget)
        for t in range(LIMIT):
            obs = transitions.observations[t : t + B]
            actions = player(obs, jax.random.key(t))
            player.on_step(Moment(t, np.arange(B), (None,) * B, np.ones(B, bool), obs, actions))
        return np.stack(player.played), seen

    return run


def at_random(rng):
    return lambda situation: (rng.choice(STEPS, B), rng.choice(CANDIDATES, B))


def test_a_setting_costs_what_the_lesson_says():
    for m in STEPS:
        for n in CANDIDATES:
            assert costs(np.array([m, n])) == network_evaluations(m, n)


@pytest.mark.parametrize("seed", range(3))
def test_no_controller_exceeds_its_budget(game, seed):
    played, seen = game(at_random(np.random.default_rng(seed)))
    spent = costs(played)
    assert (spent.sum(0) <= BUDGET * LIMIT).all()
    for t, situation in enumerate(seen):
        assert situation.t == t and situation.limit == LIMIT
        left = BUDGET * LIMIT - spent[:t].sum(0)
        np.testing.assert_allclose(situation.spare, left - (LIMIT - t))
        assert (situation.spare >= 0).all()


def test_an_unaffordable_choice_is_replaced_by_one_and_one(game):
    played, _ = game(lambda situation: (2, 2))  # 8 evaluations, 7 of them spare
    paid = (BUDGET - 1) * LIMIT // 7
    assert (played[:paid] == 2).all() and (played[paid:] == 1).all()
    played, _ = game(lambda situation: (4, 1))
    assert (played == (4, 1)).all()


def test_a_controller_sees_the_values_of_the_last_action(game):
    decide = lambda s: (2, np.array([1, 4, 8])) if s.t % 2 == 0 else (1, 1)  # noqa: E731
    _, seen = game(decide, budget=100)
    assert np.isnan(seen[0].q).all() and np.isnan(seen[2].q).all()
    for situation in seen[1::2]:
        assert np.isnan([situation.q[0], situation.spread[0]]).all()
        assert np.isfinite(situation.q[1:]).all() and (situation.spread[1:] > 0).all()


def test_each_episode_gets_the_action_of_its_own_setting(state, transitions):
    obs, key = transitions.observations[:B], jax.random.key(3)
    player = Player(TINY, state, lambda s: (np.array([1, 2, 2]), np.array([1, 4, 8])), LIMIT, 100)
    actions = player(obs, key)
    for b, (m, n) in enumerate(((1, 1), (2, 4), (2, 8))):
        proposal = TINY.propose(state, obs, key, steps=m, candidates=n)
        np.testing.assert_allclose(actions[b], proposal.action[b], atol=1e-6)


@pytest.mark.parametrize(
    "decision, said",
    [
        (3, "returns two things"),
        ((3, 1), "m must be one of"),
        ((1, 64), "N must be one of"),
        ((np.ones(B + 1, int), 1), "of shape"),
        ((np.array([1, 2, 2.5]), 1), "m must be one of"),
    ],
)
def test_an_invalid_decision_is_refused(game, decision, said):
    with pytest.raises(ConfigError, match=said):
        game(lambda situation: decision)


@pytest.mark.parametrize("blank", [lambda s: (..., ...), lambda s: ..., lambda s: (..., 1)])
def test_a_blank_is_reported_before_any_game(blank):
    assert exercises.spend(blank).status == "empty"


def test_students_and_the_grader_play_different_tasks():
    assert exercises._tasks(exercises.spend.seeds(0)) == exercises.TASKS
    assert exercises._tasks(exercises.spend.seeds(1)) == exercises.UNSEEN_TASKS
    assert not set(exercises.TASKS) & set(exercises.UNSEEN_TASKS)


@pytest.mark.slow
def test_a_game_is_the_same_again_from_its_decisions_alone():
    draw = np.random.default_rng(0)
    controller = lambda s: (draw.choice(STEPS, 2), draw.choice(CANDIDATES[:4], 2))  # noqa: E731
    table, played = play(controller, 1, seed=5, episodes=2)
    again, replayed = play(lambda s: tuple(played[s.t].T), 1, seed=5, episodes=2)
    np.testing.assert_array_equal(played, replayed)
    assert table.equals(again)
    ran = [costs(played)[: int(length), e].sum() for e, length in enumerate(table.length)]
    assert table.evaluations.tolist() == ran


@pytest.mark.slow
def test_a_few_games_are_measured():
    feedback = replace(exercises.spend, size=2, runs=2)(lambda situation: (2, 2))
    assert len(feedback.values) == 2 and "over 2 seeds" in feedback.text, feedback
