"""The tightrope against its own picture and against what is known of it in closed form."""

import itertools
import re

import numpy as np
import pytest

from sorl_edu.datasets import tightrope
from sorl_edu.datasets.tightrope import ACTIONS, Tightrope, empirical
from sorl_edu.errors import ConfigError
from sorl_edu.finite_mdp import FiniteMDP, best_in_class, expected_return, occupancies

WORLD = Tightrope()
PICTURE = [
    re.split(r"\s{3,}", line.strip())[0].split()
    for line in tightrope.__doc__.splitlines()
    if re.match(r" {4}[S.] \. ", line)
]
DELTAS = {"right": (0, 1), "left": (0, -1), "up": (-1, 0), "down": (1, 0)}


def test_the_world_is_the_one_of_the_picture():
    assert [len(row) for row in PICTURE] == [WORLD.columns] * 5
    marked = {
        mark: [
            WORLD.state(y, x)
            for y, row in enumerate(PICTURE)
            for x, m in enumerate(row)
            if m == mark
        ]
        for mark in "S#G"
    }
    np.testing.assert_array_equal(np.flatnonzero(WORLD.mdp.start), marked["S"])
    np.testing.assert_allclose(WORLD.mdp.start[marked["S"]], 1 / 3)
    np.testing.assert_array_equal(WORLD.pits, marked["#"])
    assert marked["G"] == [WORLD.goal]
    np.testing.assert_array_equal(np.flatnonzero(WORLD.reward.sum(1)), marked["G"])


def test_every_step_goes_where_the_picture_says():
    for y, row in enumerate(PICTURE):
        for x, mark in enumerate(row):
            for action, name in enumerate(ACTIONS):
                dy, dx = DELTAS[name]
                stays = mark in "#G" or not (0 <= y + dy < 5 and 0 <= x + dx < WORLD.columns)
                after = (y, x) if stays else (y + dy, x + dx)
                law = WORLD.mdp.transitions[WORLD.state(y, x), action]
                assert law[WORLD.state(*after)] == 1 == law.sum()


def test_the_expert_takes_the_shortest_way_and_that_is_the_bridge():
    occupancy = occupancies(WORLD.mdp, WORLD.expert)
    shortest = [11 + 1, 11, 11 + 1]  # columns, and rows to the bridge
    j = np.mean([WORLD.horizon - way for way in shortest])
    assert float((occupancy * WORLD.reward).sum()) == pytest.approx(j)
    often = occupancy.sum((0, 2))
    bridge = [WORLD.state(1, 2 + i) for i in range(WORLD.bridge)]
    np.testing.assert_allclose(often[bridge], 1)
    assert often[WORLD.pits].sum() == 0 == often[3 * WORLD.columns :].sum()


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5])
def test_who_walks_straight_across_falls_at_any_of_the_bridge_s_cells(slip):
    start = np.zeros_like(WORLD.mdp.start)
    start[WORLD.state(1, 2)] = 1  # on the bridge's first cell
    mdp = FiniteMDP(start, WORLD.mdp.transitions, WORLD.horizon)
    learner = WORLD.learner(slip)
    right = np.zeros(learner.undecided(WORLD.horizon).shape)
    right[..., ACTIONS.index("right")] = 1
    last = occupancies(mdp, learner.policy(right))[-1].sum(-1)
    assert last[WORLD.pits].sum() == pytest.approx(1 - (1 - slip) ** WORLD.bridge)


def test_a_learner_slips_to_either_side_alike():
    moves = WORLD.learner(0.2).moves
    for move, name in enumerate(ACTIONS):
        dy, dx = DELTAS[name]
        sides = [ACTIONS.index(n) for n, (a, b) in DELTAS.items() if a * dy + b * dx == 0]
        expected = np.zeros(4)
        expected[move], expected[sides] = 0.8, 0.1
        np.testing.assert_allclose(moves[move], expected)


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_offline_data_keep_off_the_bridge_and_out_of_the_pits(slip):
    offline = WORLD.offline(slip)
    np.testing.assert_allclose(offline.sum((1, 2)), 1)
    often = offline.sum((0, 2))
    bridge = [WORLD.state(1, 2 + i) for i in range(WORLD.bridge)]
    assert often[bridge].sum() == 0
    assert often[WORLD.pits].sum() < 0.01  # a late walker has nothing to lose
    road = np.r_[3 * WORLD.columns + 2 : 4 * WORLD.columns - 2]
    assert often[[*road, *(road + WORLD.columns)]].sum() >= WORLD.bridge
    j = float((offline * WORLD.reward).sum())
    learner = WORLD.learner(slip)
    best = learner.policy(best_in_class(WORLD.mdp, WORLD.reward, learner))
    optimum = expected_return(WORLD.mdp, best, WORLD.reward)
    if slip == 0:  # two rows down and two up more than on the bridge, from each of the rows
        assert j == pytest.approx(WORLD.horizon - np.mean([11 + 3 + 2, 11 + 2 + 2, 11 + 1 + 2]))
        assert optimum == pytest.approx(WORLD.horizon - np.mean([12, 11, 12]))
    else:  # the road is best
        assert j == pytest.approx(optimum)


def test_counted_episodes_approach_the_exact_law():
    exact = occupancies(WORLD.mdp, WORLD.expert)
    counted = empirical(WORLD.mdp, WORLD.expert, 20_000, seed=0)
    np.testing.assert_allclose(counted.sum((1, 2)), 1)
    assert np.abs(counted - exact).max() < 0.02
    assert set(np.flatnonzero(counted)) <= set(np.flatnonzero(exact))


def test_one_episode_is_one_walk_and_its_seed_draws_it():
    one = empirical(WORLD.mdp, WORLD.expert, 1, seed=0)
    np.testing.assert_array_equal((one == 1).sum((1, 2)), np.ones(WORLD.horizon))
    walk = one.reshape(WORLD.horizon, -1).argmax(1)
    for now, after in itertools.pairwise(walk):
        state, action = divmod(now, len(ACTIONS))
        assert WORLD.mdp.transitions[state, action, after // len(ACTIONS)] == 1
    np.testing.assert_array_equal(one, empirical(WORLD.mdp, WORLD.expert, 1, seed=0))
    assert any((one != empirical(WORLD.mdp, WORLD.expert, 1, seed=s)).any() for s in (1, 2, 3))


def test_nobody_sees_which_action_stays_in_the_goal_or_in_a_pit():
    slipping = WORLD.learner(0.3)
    policy = slipping.policy(slipping.undecided(WORLD.horizon))
    counted = empirical(WORLD.mdp, policy, 5, seed=0)
    seen = WORLD.seen(counted)
    np.testing.assert_allclose(seen.sum(-1), counted.sum(-1))
    final = [*WORLD.pits, WORLD.goal]
    np.testing.assert_allclose(np.ptp(seen[:, final], axis=-1), 0)
    assert np.ptp(counted[:, final], axis=-1).max() > 0
    others = np.setdiff1d(np.arange(len(WORLD.cells)), final)
    np.testing.assert_array_equal(seen[:, others], counted[:, others])


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Tightrope(bridge=0),
        lambda: Tightrope(bridge=8, horizon=17),
        lambda: WORLD.learner(1.5),
        lambda: empirical(WORLD.mdp, WORLD.expert, 0, seed=0),
    ],
)
def test_worlds_that_make_no_sense_are_refused(broken):
    with pytest.raises(ConfigError):
        broken()
