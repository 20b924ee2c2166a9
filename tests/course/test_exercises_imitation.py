"""Lesson 9's checks: answers from the library are right, and blanks as the notebook has them."""

import numpy as np
import pytest

from sorl_edu import imitation
from sorl_edu.course.exercises import imitation as exercises
from sorl_edu.finite_mdp import FiniteMDP, PolicyClass


def reward_step(reward, expert, learner, rate):
    return imitation.reward_step(*map(np.asarray, (reward, expert, learner)), rate)


def reset_law(own, expert, offline, resets, share):
    law = imitation.guitar(resets, share).law(*map(np.asarray, (own, expert, offline)))
    return imitation.at_any_time(law)[0]


def completeness_error(law, advantage, looks, moves):
    """Of one step. A further action, which no move has, is what the policy does.

    The library's A is then the reward less that action's, which both terms have in common.
    """
    law, advantage, moves = (np.asarray(x, np.float64) for x in (law, advantage, moves))
    states, actions = advantage.shape
    idle = advantage.min(1, keepdims=True)
    reward = np.concatenate([advantage, idle], axis=1)
    moves = np.pad(moves / moves.sum(1, keepdims=True), ((0, 0), (0, 1)))
    policy = np.eye(actions + 1)[np.full((1, states), actions)]
    stays = np.tile(np.eye(states)[:, None], (1, actions + 1, 1))
    mdp = FiniteMDP(np.full(states, 1 / states), stays, 1)
    learner = PolicyClass(np.asarray(looks).argmax(0), moves)
    return imitation.completeness_error(mdp, learner, policy, reward, law[None])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.reward_step, reward_step),
        (exercises.reset_law, reset_law),
        (exercises.completeness_error, completeness_error),
    ],
)
def test_the_librarys_answers_are_right(exercise, answer, seed):
    found = exercise(answer, seed=seed)
    assert found.status == "right", found.text


def blank_reward_step(reward, expert, learner, rate):
    new = ...
    return new


def blank_reset_law(own, expert, offline, resets, share):
    law = ...
    return law


def blank_completeness_error(law, advantage, looks, moves):
    best_of_all = ...
    best_in_class = ...
    return best_of_all - best_in_class


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (exercises.reward_step, blank_reward_step),
        (exercises.reset_law, blank_reset_law),
        (exercises.completeness_error, blank_completeness_error),
    ],
)
def test_a_blank_is_asked_to_be_filled(exercise, answer):
    found = exercise(answer)
    assert found.status == "empty"
    assert "replace the dots" in found.text
