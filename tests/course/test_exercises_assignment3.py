"""Assignment 3: the estimator, the budget that no controller exceeds, and games that repeat."""

from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import TINY

from sorl_edu.course import notebooks
from sorl_edu.course.exercises import assignment3 as exercises
from sorl_edu.course.exercises.assignment3 import (
    BUDGET,
    CANDIDATES,
    STEPS,
    Player,
    Situation,
    costs,
    play,
)
from sorl_edu.environments.rollout import Moment, make_environments
from sorl_edu.errors import ConfigError
from sorl_edu.inference import network_evaluations

SOURCE = Path(__file__).parents[2] / "notebooks/assignments/A3_inference_budget.py"
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

        player = Player(TINY, state, watched, limit=LIMIT, budget=budget)
        for t in range(LIMIT):
            obs = transitions.observations[t : t + B]
            actions = player(obs, jax.random.key(t))
            player.on_step(Moment(t, np.arange(B), (None,) * B, np.ones(B, bool), obs, actions))
        return np.stack(player.played), seen

    return run


def at_random(rng):
    draw = lambda values, s: rng.choice(values, len(s.left))  # noqa: E731
    return lambda situation: (draw(STEPS, situation), draw(CANDIDATES, situation))


def solution():
    found = {exercise.number: exercise for exercise in notebooks.exercises(SOURCE.read_text())}
    names = {"np": np}
    exec(found["A3.2"].solution, names)
    return names["controller"]


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
        np.testing.assert_allclose(situation.left, left)
        assert (situation.left >= 0).all()


def test_a_choice_that_is_not_affordable_is_replaced_by_one_and_one(game):
    played, seen = game(lambda situation: (4, 2))  # 160 = 13 x 12 + 4
    paid, rest = divmod(BUDGET * LIMIT, 12)
    assert (played[:paid] == (4, 2)).all() and (seen[paid].left == rest).all()
    assert (played[paid : paid + rest] == (1, 1)).all() and (played[paid + rest :] == 0).all()
    played, _ = game(lambda situation: (4, 1))
    assert (played == (4, 1)).all()


def test_a_robot_with_an_empty_account_gets_no_order_and_the_others_move(state, transitions):
    obs = transitions.observations[:B]
    player = Player(TINY, state, lambda s: (np.array([8, 1, 1]), 1), limit=2, budget=4)
    for t in range(2):
        actions = player(obs, jax.random.key(t))
        player.on_step(Moment(t, np.arange(B), (None,) * B, np.ones(B, bool), obs, actions))
    assert (actions[0] == 0).all() and (actions[1:] != 0).any(1).all()
    assert player.played[1].tolist() == [[0, 0], [1, 1], [1, 1]]


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


def test_a_success_that_was_not_paid_is_a_failure():
    ends = {
        "success": [1.0, 1.0, 0.0],
        "return": [-59.0, -59.0, -100.0],
        "length": [60.0, 60.0, 100.0],
    }
    judged = exercises._failed_if_unpaid(pd.DataFrame(ends), np.array([[2, 2], [0, 0], [0, 0]]))
    assert judged.success.tolist() == [1, 0, 0]
    assert judged["return"].tolist() == [-59, -100, -100] and judged.length.tolist() == [
        60,
        100,
        100,
    ]


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


@pytest.mark.thorough
def test_a_game_is_the_same_again_and_ends_with_the_account():
    def controller():
        draw = np.random.default_rng(0)
        return lambda s: (draw.choice(STEPS, 2), draw.choice(CANDIDATES[:4], 2))

    table, played = play(controller(), 1, seed=5, episodes=2)
    assert (played[-1] == 0).all()  # both accounts are empty
    again, repeated = play(controller(), 1, seed=5, episodes=2)
    np.testing.assert_array_equal(played, repeated)
    assert table.equals(again)
    assert table.evaluations.tolist() == [BUDGET * exercises.LIMIT] * 2


@pytest.mark.thorough
def test_a_situation_has_the_distance_and_the_contact_that_the_simulator_knows():
    (env,) = make_environments("cube-single-play-singletask-task1-v0", 1)
    obs, info = env.reset(seed=0)
    for _ in range(30):  # straight down at the cube
        way = info["privileged/block_0_pos"] - info["proprio/effector_pos"]
        obs, *_, info = env.step(np.array([*np.clip(10 * way, -1, 1), 0, -1]))
        nan = np.full(1, np.nan)
        situation = Situation(0, LIMIT, nan, nan, nan, obs[None])
        np.testing.assert_allclose(
            situation.distance,
            np.linalg.norm(info["privileged/block_0_pos"] - info["proprio/effector_pos"]),
            atol=1e-6,
        )
        assert situation.contact == info["proprio/gripper_contact"]
    assert len(obs) == exercises.OBSERVED and situation.distance < 0.06


@pytest.mark.thorough
def test_a_few_games_are_measured():
    feedback = replace(exercises.spend, size=2, runs=2)(lambda situation: (2, 2))
    assert len(feedback.values) == 2 and "over 2 seeds" in feedback.text, feedback


def test_the_message_has_the_best_constants_success_and_the_goal():
    check = replace(exercises.spend, measure=lambda *case: [0.0, 0.1], runs=2)
    text = check(lambda situation: (1, 1)).text
    assert f"excludes the best constant controller's, {check.baseline:g}, earns half" in text
    assert "success 0.05" in text and f"The goal is {check.goal:g}" in text


GRADERS = range(1, 11)
"""Seeds of the grader, none of which is a student's own."""
# The account pays for more than half of the actions; with any other constant, no robot has time.
CHEAP = [(1, 1), (2, 1), (4, 1), (1, 2)]


def shares(controller, graders=GRADERS):
    """The share of the points that each grader gives."""
    found = [exercises.spend(controller, seed=grader) for grader in graders]
    print(*found, sep="\n")
    return np.array([feedback.share for feedback in found])


@pytest.mark.goals
@pytest.mark.parametrize("setting", CHEAP)
def test_a_cheap_constant_earns_less_than_half(setting):
    found = shares(lambda situation: setting)
    assert (found < 0.5).sum() >= 9 and found.max() < 1


@pytest.mark.goals
@pytest.mark.parametrize("setting", [s for s in product(STEPS, CANDIDATES) if s not in CHEAP])
def test_a_dear_constant_earns_nothing(setting):
    assert shares(lambda situation: setting, GRADERS[:1]).max() == 0


@pytest.mark.goals
def test_a_random_controller_earns_nothing():
    assert shares(at_random(np.random.default_rng(0)), GRADERS[:3]).max() == 0


@pytest.mark.goals
def test_the_solution_earns_all_points():
    assert (shares(solution()) == 1).sum() >= 9
