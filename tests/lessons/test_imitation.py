"""Lesson 9's functions against closed forms, enumeration and the bound that they serve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.errors import ConfigError
from sorl_edu.finite_mdp import (
    FiniteMDP,
    PolicyClass,
    best_in_class,
    everything,
    expected_return,
    occupancies,
)
from sorl_edu.imitation import (
    ResetMixture,
    at_any_time,
    behaviour_cloning,
    completeness_error,
    concentrability,
    filter_resets,
    guitar,
    hype,
    imitate,
    largest_gap,
    moment_matching,
    moment_matching_loss,
    psdp,
    psdp_error,
    reward_step,
)

# ------------------------------------------------------------------ the reward player, of networks

RNG = np.random.default_rng(0)
EXPERT = jnp.asarray(RNG.normal(1, 1, (64, 3))), jnp.asarray(RNG.normal(0, 1, (64, 2)))
LEARNER = jnp.asarray(RNG.normal(0, 1, (64, 3))), jnp.asarray(RNG.normal(1, 1, (64, 2)))
DIFFERENCE = jnp.concatenate([e.mean(0) - p.mean(0) for e, p in zip(EXPERT, LEARNER, strict=True)])


def linear_loss(weights, *, penalty=10.0, slope=0.4):
    """The loss of f(o, a) = w . (o, a)."""

    def reward(obs, actions):
        return jnp.concatenate([obs, actions], axis=1) @ weights

    key = jax.random.key(0)
    return moment_matching_loss(reward, EXPERT, LEARNER, key, penalty=penalty, slope=slope)


@pytest.mark.parametrize(("penalty", "slope"), [(10.0, 0.4), (1.0, 1.0)])
def test_the_best_linear_reward_is_along_the_difference_of_means(penalty, slope):
    # -w . D + penalty (|w| - slope)^2 is least at w = (slope + |D| / (2 penalty)) D / |D|.
    size = jnp.linalg.norm(DIFFERENCE)
    best = (slope + size / (2 * penalty)) * DIFFERENCE / size

    def loss(weights):
        return linear_loss(weights, penalty=penalty, slope=slope)[0]

    np.testing.assert_allclose(jax.grad(loss)(best), 0, atol=1e-5)
    least = -slope * size - size**2 / (4 * penalty)
    assert loss(best) == pytest.approx(float(least), rel=1e-5)
    for step in RNG.normal(0, 0.1, (20, 5)):
        assert loss(best + step) > loss(best)


def test_metrics_are_the_parts_of_the_loss():
    weights = jnp.array([1.0, 0.0, 2.0, 0.0, 2.0])
    loss, metrics = linear_loss(weights, penalty=10.0, slope=0.4)
    assert metrics["reward_gap"] == pytest.approx(float(weights @ DIFFERENCE), rel=1e-5)
    assert metrics["gradient_penalty"] == pytest.approx((3 - 0.4) ** 2, rel=1e-5)
    assert metrics["reward_loss"] == loss
    assert loss == pytest.approx(-float(metrics["reward_gap"]) + 10 * 2.6**2, rel=1e-5)


def test_the_penalty_is_of_points_between_the_two():
    # f = |(o, a)|^2 / 2 has the gradient (o, a), which from 0 to (0, 2) is 2 u, u ~ U[0, 1].
    rows = 20_000
    expert = jnp.zeros((rows, 1)), jnp.full((rows, 1), 2.0)
    learner = jnp.zeros((rows, 1)), jnp.zeros((rows, 1))

    def reward(obs, actions):
        return (obs**2 + actions**2).sum(1) / 2

    _, metrics = moment_matching_loss(reward, expert, learner, jax.random.key(1))
    expected = 4 / 3 - 0.8 + 0.16
    assert metrics["gradient_penalty"] == pytest.approx(expected, abs=0.02)


def test_the_penalty_can_be_differentiated_where_the_reward_is_flat():
    def loss(scale):
        def reward(obs, actions):
            return scale * jnp.sin(obs).sum(1)

        return moment_matching_loss(reward, EXPERT, LEARNER, jax.random.key(0))[0]

    assert jnp.isfinite(jax.grad(loss)(0.0))


# ---------------------------------------------------------------- the reward player, of finite MDPs


def random_laws(seed, shape):
    laws = np.random.default_rng(seed).exponential(size=shape)
    return laws / laws.sum((-2, -1), keepdims=True)


def test_against_one_learner_the_reward_becomes_the_best_one():
    expert, learner = random_laws(0, (6, 4, 3)), random_laws(1, (6, 4, 3))
    reward = np.zeros((4, 3))
    for _ in range(2000):
        reward = reward_step(reward, expert.mean(0), learner.mean(0), 1.0)
    difference = expert.mean(0) - learner.mean(0)
    np.testing.assert_array_equal(reward, np.sign(difference))
    assert np.sum(reward * difference) == pytest.approx(largest_gap(expert, learner))
    for other in np.random.default_rng(2).uniform(-1, 1, (100, 4, 3)):
        assert np.sum(other * difference) < largest_gap(expert, learner)


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_regret_is_below_its_bound_even_against_learners_that_reply(rate):
    rounds, pairs = 400, (3, 2)
    expert = np.full(pairs, 1 / 6)
    reward, won, total = np.zeros(pairs), 0.0, np.zeros(pairs)
    for _ in range(rounds):
        learner = np.zeros(pairs)
        learner[np.unravel_index(reward.argmax(), pairs)] = 1  # where the reward is largest
        won += np.sum(reward * (expert - learner))
        total += expert - learner
        reward = reward_step(reward, expert, learner, rate)
    regret = (np.abs(total).sum() - won) / rounds
    assert 0 < regret <= 6 / (2 * rate * rounds) + rate


# ------------------------------------------------------------------------------- where to practise

OWN, TAUGHT, OFFLINE = (random_laws(seed, (3, 5, 4)).sum(-1) for seed in (3, 4, 5))


def test_the_law_of_a_mixture_is_that_of_states_drawn_source_by_source():
    draws, mixture = 200_000, ResetMixture(own=0.2, expert=0.3, offline=0.5)
    rng = np.random.default_rng(0)
    sources = rng.choice(3, size=draws, p=[0.2, 0.3, 0.5])
    law = mixture.law(OWN, TAUGHT, OFFLINE)
    for h in range(3):
        drawn = np.concatenate(
            [
                rng.choice(5, size=int(np.sum(sources == i)), p=source[h])
                for i, source in enumerate((OWN, TAUGHT, OFFLINE))
            ]
        )
        np.testing.assert_allclose(np.bincount(drawn, minlength=5) / draws, law[h], atol=5e-3)


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        (moment_matching(), OWN),
        (filter_resets(), TAUGHT),
        (filter_resets(0.25), 0.75 * OWN + 0.25 * TAUGHT),
        (hype(), 0.8 * OWN + 0.2 * TAUGHT),
        (guitar(), (TAUGHT + OFFLINE) / 2),
        (guitar(0.5, 0.8), 0.5 * OWN + 0.1 * TAUGHT + 0.4 * OFFLINE),
    ],
)
def test_each_method_practises_where_its_paper_says(mixture, expected):
    np.testing.assert_allclose(mixture.law(OWN, TAUGHT, OFFLINE), expected)


@pytest.mark.parametrize("fractions", [(0.5, 0.6, 0.0), (1.5, -0.5, 0.0)])
def test_fractions_that_are_none_are_refused(fractions):
    with pytest.raises(ConfigError, match="sum to 1"):
        ResetMixture(*fractions)


def test_resets_at_any_time_have_the_average_law():
    law = at_any_time(OWN)
    assert law.shape == OWN.shape
    np.testing.assert_allclose(law[0], OWN.sum(0) / 3)
    np.testing.assert_array_equal(law[0], law[2])


def test_concentrability_is_the_largest_ratio():
    expert, law = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.05, 0.7]])
    assert concentrability(expert, law) == pytest.approx(10)
    assert concentrability(expert, expert) == 1
    assert concentrability(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])) == np.inf


# -------------------------------------------------------------------- local search, and its bound


def random_mdp(rng, states=4, actions=2, horizon=3):
    transitions = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    return FiniteMDP(rng.dirichlet(np.ones(states)), transitions, horizon)


def decisions_of(learner, rng, horizon):
    shape = learner.undecided(horizon).shape
    return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


def test_psdp_from_the_optimum_finds_it_if_the_class_holds_it():
    """Random processes in which the best policy can be played without telling some states apart.

    It takes the same action in all states that look alike and that it visits; in others of the same
    look another action may be better, which is why resets elsewhere can fail.
    """
    rng = np.random.default_rng(0)
    learner = PolicyClass(np.array([0, 0, 1, 1, 2, 2]), np.eye(2))
    found = worse_elsewhere = 0
    while found < 50:
        after = np.eye(6)[rng.integers(6, size=(6, 2, 2))].mean(2)  # one of two states
        mdp = FiniteMDP(np.eye(6)[0], after, horizon=4)
        reward = rng.uniform(-1, 1, (6, 2))
        best = best_in_class(mdp, reward, everything(mdp))
        law = occupancies(mdp, best).sum(-1)
        same = (best[:, 0::2] == best[:, 1::2]).all(-1)
        if not np.all(same | (law[:, 0::2] * law[:, 1::2] == 0)):
            continue
        found += 1
        optimum = expected_return(mdp, best, reward)
        before = decisions_of(learner, rng, 4)
        decisions = psdp(mdp, reward, learner, law, before)
        assert expected_return(mdp, learner.policy(decisions), reward) == pytest.approx(optimum)
        elsewhere = rng.dirichlet(np.full(6, 0.2), size=4)
        other = learner.policy(psdp(mdp, reward, learner, elsewhere, before))
        worse_elsewhere += expected_return(mdp, other, reward) < optimum - 1e-3
    assert worse_elsewhere >= 10


def test_psdp_leaves_decisions_where_nothing_is_practised():
    rng = np.random.default_rng(1)
    mdp, reward = random_mdp(rng), rng.uniform(-1, 1, (4, 2))
    learner = everything(mdp)
    before = decisions_of(learner, rng, 3)
    law = np.array([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    decisions = psdp(mdp, reward, learner, law, before)
    np.testing.assert_array_equal(decisions[law == 0], before[law == 0])
    assert set(decisions[law > 0].ravel()) == {0.0, 1.0}
    np.testing.assert_array_equal(decisions[2, 3], reward[3] == reward[3].max())


def random_problem(seed):
    """A process, an expert, a learner that sees and can do less, and a reward into [-1, 1]."""
    rng = np.random.default_rng(seed)
    states, actions, horizon = 5, 3, 4
    mdp = random_mdp(rng, states, actions, horizon)
    reward = rng.uniform(-1, 1, (states, actions))
    expert = best_in_class(mdp, reward, everything(mdp))
    if seed % 2:  # an expert for another reward
        expert = rng.dirichlet(np.full(actions, 0.3), size=(horizon, states))
    moves = rng.dirichlet(np.ones(actions), size=2)
    learner = PolicyClass(np.array([0, 1, 2, 1, 0]), moves)
    return rng, mdp, reward, occupancies(mdp, expert), learner


def test_the_performance_bound_holds():
    """J(expert) - J(pi) <= H (eps + eps_PSDP), times C for resets to another law than expert's."""
    helpful = 0
    for seed in range(200):
        rng, mdp, reward, expert, learner = random_problem(seed)
        taught = expert.sum(-1)
        elsewhere = rng.dirichlet(np.ones(5), size=4)
        before = decisions_of(learner, rng, 4)
        j_expert = float((expert * reward).sum())
        for law in (taught, elsewhere):
            searched = psdp(mdp, reward, learner, law, before)
            for decisions in (before, searched):
                policy = learner.policy(decisions)
                incomplete = completeness_error(mdp, learner, policy, reward, law)
                search = psdp_error(mdp, learner, policy, reward, law)
                loss = j_expert - expected_return(mdp, policy, reward)
                bound = 4 * concentrability(taught, law) * (incomplete + search)
                assert incomplete >= -1e-12
                assert loss <= bound + 1e-9
                helpful += bound < 2 * 4 and law is taught
            assert search == pytest.approx(0, abs=1e-12)  # of what PSDP has just made
    assert helpful == 400  # below 2 H, which is the trivial bound


def test_the_bound_is_tight_for_a_learner_that_lacks_the_expert_s_move():
    """One state; the expert's action pays 1, the learner's only move -1: 2 lost in each step."""
    mdp = FiniteMDP(np.ones(1), np.ones((1, 2, 1)), 7)
    reward, law = np.array([[1.0, -1.0]]), np.ones((7, 1))
    learner = PolicyClass(np.zeros(1, int), np.array([[0.0, 1.0]]))
    policy = learner.policy(learner.undecided(7))
    assert completeness_error(mdp, learner, policy, reward, law) == pytest.approx(2)
    assert psdp_error(mdp, learner, policy, reward, law) == pytest.approx(0)
    assert 7 - expected_return(mdp, policy, reward) == pytest.approx(7 * 2)


def test_a_slip_that_ends_an_episode_costs_what_is_left_of_it():
    """In safety each step pays 1; a slip, with probability p, loses what the learner had left."""
    horizon, p = 5, 0.1
    transitions = np.zeros((2, 2, 2))
    transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 1] = 1
    mdp = FiniteMDP(np.array([1.0, 0.0]), transitions, horizon)
    reward = np.array([[1.0, 1.0], [0.0, 0.0]])
    learner = PolicyClass(np.arange(2), np.array([[1 - p, p]]))
    policy = learner.policy(learner.undecided(horizon))
    law = np.tile([1.0, 0.0], (horizon, 1))
    # V with k steps left is 1 + (1 - p) V with k - 1; a step without a slip gains p V(k - 1).
    left = [sum((1 - p) ** i for i in range(k)) for k in range(horizon)]
    error = completeness_error(mdp, learner, policy, reward, law)
    assert error == pytest.approx(p * np.mean(left))
    loss = horizon - expected_return(mdp, policy, reward)
    assert loss == pytest.approx(horizon * error)  # tight again, and about p H^2 / 2


def test_nothing_is_incomplete_about_a_learner_that_can_do_all():
    rng, mdp, reward, expert, _ = random_problem(1)
    learner = everything(mdp)
    policy = learner.policy(decisions_of(learner, rng, 4))
    taught = expert.sum(-1)
    assert completeness_error(mdp, learner, policy, reward, taught) == pytest.approx(0, abs=1e-12)
    assert psdp_error(mdp, learner, policy, reward, taught) > 0.01


# ------------------------------------------------------------------------------------ the learners


def test_cloning_does_what_the_expert_does_most_often():
    learner = PolicyClass(np.array([0, 0, 1, 2]), np.array([[0.9, 0.1], [0.1, 0.9]]))
    expert = np.zeros((2, 4, 2))
    expert[0, 0] = [0.6, 0.0]  # alike states: 0.6 for action 0 ...
    expert[1, 1] = [0.0, 0.9]  # ... and 0.9 for action 1
    expert[0, 2], expert[1, 2] = [0.3, 0.1], [0.1, 0.0]
    cloned = behaviour_cloning(learner, expert)
    np.testing.assert_array_equal(cloned[0], [[0, 1], [1, 0], [0.5, 0.5]])
    np.testing.assert_array_equal(cloned[0], cloned[1])


@pytest.mark.parametrize("mixture", [moment_matching(), filter_resets(), guitar()])
def test_an_expert_in_the_class_is_imitated(mixture):
    rng = np.random.default_rng(3)
    mdp = random_mdp(rng, horizon=5)
    truth = rng.uniform(-1, 1, (4, 2))
    policy = best_in_class(mdp, truth, everything(mdp))
    expert = occupancies(mdp, policy)
    game = imitate(mdp, everything(mdp), expert, expert, mixture, rounds=60)
    assert game.decisions.shape == (60, 5, 4, 2) and game.rewards.shape == (60, 4, 2)
    assert game.gaps.min() < 0.02
    j = [expected_return(mdp, one, truth) for one in game.decisions]
    assert np.mean(j) == pytest.approx(float((expert * truth).sum()), abs=0.1)
    assert expected_return(mdp, game.best, truth) == j[int(game.gaps.argmin())]


def test_the_first_reward_is_for_what_the_expert_does_more_often_than_chance():
    rng, mdp, _, expert, learner = random_problem(1)
    game = imitate(mdp, learner, expert, expert, filter_resets(), rounds=1, rate=0.5)
    chance = occupancies(mdp, learner.policy(learner.undecided(4)))
    expected = 0.5 * (expert.mean(0) - chance.mean(0))
    np.testing.assert_allclose(game.rewards[0], expected)
    law = at_any_time(expert.sum(-1))
    before = learner.undecided(4)
    np.testing.assert_array_equal(
        game.decisions[0], psdp(mdp, game.rewards[0], learner, law, before)
    )
    own = occupancies(mdp, learner.policy(game.decisions[0]))
    assert game.gaps[0] == pytest.approx(largest_gap(expert, own))
    first = decisions_of(learner, rng, 4)
    other = imitate(mdp, learner, expert, expert, filter_resets(), rounds=1, first=first)
    start = occupancies(mdp, learner.policy(first))
    np.testing.assert_allclose(other.rewards[0], expert.mean(0) - start.mean(0))


def test_little_practice_leaves_states_out_and_much_practice_is_the_law():
    _, mdp, _, expert, learner = random_problem(0)

    def decisions(**options):
        return imitate(mdp, learner, expert, expert, guitar(), rounds=3, **options).decisions

    exact = decisions()
    np.testing.assert_array_equal(decisions(practice=5, seed=1), decisions(practice=5, seed=1))
    assert not np.array_equal(decisions(practice=1, seed=1), decisions(practice=1, seed=2))
    np.testing.assert_array_equal(decisions(practice=10_000_000), exact)


@pytest.mark.parametrize("options", [{"rounds": 0}, {"rounds": 1, "practice": 0}])
def test_counts_below_one_are_refused(options):
    _, mdp, _, expert, learner = random_problem(0)
    with pytest.raises(ConfigError, match="at least 1"):
        imitate(mdp, learner, expert, expert, guitar(), **options)
