"""Aggregates over tasks against numbers by hand, rliable's and scipy's; tests keep their level."""

import numpy as np
import pytest
from scipy import stats

from sorl_edu.errors import ConfigError
from sorl_edu.evaluation.aggregates import (
    holm,
    interquartile_mean,
    mean,
    optimality_gap,
    probability_of_improvement,
    sign_flip_p_value,
    stratified_interval,
)

# Five seeds of four tasks, and three seeds of another agent.
ONE = np.array(
    [
        [0.1, 0.9, 0.5, 1.0],
        [0.3, 0.7, 0.5, 0.8],
        [0.2, 0.95, 0.0, 1.0],
        [0.6, 0.85, 0.25, 0.9],
        [0.0, 1.0, 0.75, 0.7],
    ]
)
OTHER = np.array([[0.2, 0.6, 0.5, 1.0], [0.1, 0.7, 0.25, 0.9], [0.05, 0.65, 0.0, 1.0]])

# rliable 1.2.0, with arch 7.2.0 and pandas 2.3.3: get_interval_estimates(..., reps=20000).
RLIABLE = {
    mean: (0.6, 0.52, 0.68),
    interquartile_mean: (0.66, 0.545, 0.75),
    optimality_gap: (0.4, 0.32, 0.48),
}


@pytest.mark.parametrize("aggregate", RLIABLE)
def test_aggregates_and_their_intervals_are_rliables(aggregate):
    value, *interval = RLIABLE[aggregate]
    assert aggregate(ONE) == pytest.approx(value)
    # Between two calls of rliable the ends differ by as much.
    np.testing.assert_allclose(stratified_interval(aggregate, ONE), interval, atol=6e-3)


def test_the_probability_of_improvement_is_rliables():
    assert probability_of_improvement(ONE, OTHER) == pytest.approx(0.65)
    interval = stratified_interval(probability_of_improvement, ONE, OTHER)
    # A resample's value is a multiple of 1 / 120: pairs of 5 x 3 seeds, halves, four tasks.
    np.testing.assert_allclose(interval, (0.491667, 0.8), atol=1.01 / 120)


def test_the_interquartile_mean_is_that_of_the_middle_half_of_all_scores():
    scores = np.array([[-100.0, 4, 1], [2, 3, 1e6], [1, 2, 3], [5, 0, 0]])
    # In order: -100 0 0 | 1 1 2 2 3 3 | 4 5 1e6, a quarter of twelve at either end.
    assert interquartile_mean(scores) == pytest.approx(2)
    # A quarter of seven is one: 1 and 7 are left out.
    assert interquartile_mean(np.arange(1.0, 8)[:, None]) == pytest.approx(4)
    assert interquartile_mean(scores) == stats.trim_mean(scores, 0.25, axis=None)


def test_the_optimality_gap_counts_no_score_beyond_the_target():
    assert optimality_gap(np.array([[0.5, 3.0]])) == pytest.approx(0.25)
    assert optimality_gap(ONE, target=0.8) == pytest.approx(0.25)  # rliable's


def test_a_tie_is_half_an_improvement_and_tasks_count_alike():
    one, other = np.array([[1.0, 5], [2, 5]]), np.array([[0.0, 5], [0, 5], [2, 5]])
    # Task 1: 1 beats two of three; 2 beats two and ties with one. Task 2: nothing but ties.
    first = (2 + 2 + 0.5) / 6
    assert probability_of_improvement(one, other) == pytest.approx((first + 0.5) / 2)
    assert probability_of_improvement(other, one) == pytest.approx(1 - (first + 0.5) / 2)
    u = stats.mannwhitneyu(ONE[:, 0], OTHER[:, 0]).statistic
    assert probability_of_improvement(ONE[:, :1], OTHER[:, :1]) == pytest.approx(u / 15)


@pytest.mark.parametrize("aggregate", [*RLIABLE, probability_of_improvement])
def test_many_resamples_are_aggregated_as_each_alone(aggregate):
    draws = np.random.default_rng(0).random((2, 6, 3, 4))
    pair = draws if aggregate is probability_of_improvement else draws[:1]
    alone = [aggregate(*scores) for scores in zip(*pair, strict=True)]
    np.testing.assert_allclose(aggregate(*pair), alone)


def test_resamples_keep_the_tasks_and_differ_by_seeds():
    """Tasks of very different success, whose seeds agree: nothing is uncertain."""
    agree = np.repeat([[0.0, 0.5, 1.0, 1.0]], 3, axis=0)
    assert stratified_interval(mean, agree) == (0.625, 0.625)
    # One task's seeds differ: its mean of two draws is 0, 1/2 or 1, with 1/4, 1/2 and 1/4.
    assert stratified_interval(mean, np.array([[0.0, 1.0], [1.0, 1.0]])) == (0.5, 1.0)
    assert stratified_interval(mean, np.array([[0.0, 1.0], [1.0, 1.0]]), confidence=0.2)[0] == 0.75


def test_an_interval_is_the_same_at_every_call_and_for_every_order_of_the_seeds():
    again = stratified_interval(mean, ONE)
    assert stratified_interval(mean, ONE) == again == stratified_interval(mean, ONE[::-1])
    assert stratified_interval(mean, ONE, resamples=1)[0] == pytest.approx(0.6, abs=0.2)


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.86), (8, 0.91)])
def test_an_interval_covers_nearly_as_often_as_it_says(seeds, least):
    """Fewer seeds, less often: with 1000 repetitions and resamples, 0.863 of 3 and 0.912 of 8."""
    rng, means = np.random.default_rng(0), np.linspace(0.1, 0.95, 14)
    covered = 0
    for scores in rng.beta(2 * means, 2 * (1 - means), (200, seeds, 14)):
        low, high = stratified_interval(mean, scores, resamples=500)
        covered += low <= means.mean() <= high
    assert least - 3 * np.sqrt(least * (1 - least) / 200) < covered / 200 < 0.99


def test_impossible_scores_are_refused():
    with pytest.raises(ConfigError, match="at least one seed and one task"):
        stratified_interval(mean, np.empty((0, 3)))
    with pytest.raises(ConfigError, match="resamples must be at least 1: 0"):
        stratified_interval(mean, ONE, resamples=0)
    with pytest.raises(ConfigError, match="the same tasks: they have 4 and 2"):
        probability_of_improvement(ONE, OTHER[:, :2])


# -------------------------------------------------------------------------------------------- tests


def test_signs_are_flipped_in_every_way():
    # Sums of +-1 +-2 +-4: 7 only as all plus, and -7 as all minus; 5 and more in 4 of 8 ways.
    assert sign_flip_p_value(np.array([1.0, 2, 4])) == pytest.approx(2 / 8)
    assert sign_flip_p_value(np.array([-1.0, 2, 4])) == pytest.approx(4 / 8)
    assert sign_flip_p_value(np.array([1.0, 2, 4, 0, 0])) == pytest.approx(2 / 8)
    assert sign_flip_p_value(np.zeros(4)) == 1
    assert sign_flip_p_value(np.array([0.1, 0.2, -0.3])) == 1  # 0 but for rounding


def test_random_signs_agree_with_all_of_them_and_with_scipys():
    differences = np.random.default_rng(0).normal(0.4, 1, 14)
    exact = sign_flip_p_value(differences)
    known = stats.permutation_test(
        (differences, np.zeros(14)),
        lambda x, y, axis: np.abs((x - y).mean(axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert exact == pytest.approx(known.pvalue)
    assert 0.01 < exact < 0.5
    assert sign_flip_p_value(differences, exact_up_to=0) == pytest.approx(exact, abs=5e-3)
    certain = np.ones(40)  # no random pattern is as extreme, and p isn't zero
    assert sign_flip_p_value(certain, draws=999) == pytest.approx(1e-3)


@pytest.mark.parametrize(("seeds", "tasks"), [(3, 1), (3, 2), (8, 1)])
def test_the_test_seldom_rejects_what_is_true(seeds, tasks):
    """Agents that are alike on every task, whose success is low, discrete, and often the same."""
    rng, rates = np.random.default_rng(0), np.linspace(0.05, 0.6, tasks)
    runs = rng.binomial(5, rates, (2, 400, seeds, tasks)) / 5
    p = np.array([sign_flip_p_value(d.ravel()) for d in runs[0] - runs[1]])
    for level in (0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / 400)


def test_holms_correction_by_hand():
    # Ordered: 4 x 0.01 = 0.04; 3 x 0.02 = 0.06; 2 x 0.03 = 0.06; 0.04, but not below 0.06.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.04, 0.02])), [0.06, 0.04, 0.06, 0.06])
    # statsmodels 0.15: multipletests(..., method="holm")
    known = [0.04, 0.09, 0.09, 0.025, 0.5]
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005, 0.5])), known)
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])
    assert holm(np.array([])).shape == (0,) and holm(np.array([0.3])) == [0.3]


def test_holms_correction_limits_false_alarms_of_ten_comparisons():
    p = np.random.default_rng(0).random((2000, 10))
    alarms = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert 0.03 < alarms < 0.05 + 3 * np.sqrt(0.05 / 2000)
    assert np.mean((p <= 0.05).any(1)) > 0.3  # without it
