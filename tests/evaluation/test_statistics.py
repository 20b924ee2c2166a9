"""Intervals against scipy and closed forms, and what summaries and paired differences say."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sorl_edu.errors import ConfigError, DataError
from sorl_edu.evaluation import (
    as_text,
    bounded_interval,
    paired_difference,
    success_table,
    summarize,
    t_interval,
    wilson_interval,
)


def test_students_interval():
    values = [1.0, 2.0, 4.0, 5.0]  # mean 3, sample deviation sqrt(10 / 3), t_{0.975, 3} = 3.18245
    half = 3.182446 * np.sqrt(10 / 3) / 2
    np.testing.assert_allclose(t_interval(values), (3 - half, 3 + half), rtol=1e-5)
    assert np.isnan(t_interval([1.0])).all()
    assert t_interval([2.0, 2.0]) == (2, 2)


def test_t_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in map(t_interval, rng.normal(size=(2000, 5)))]
    assert abs(np.mean(covered) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(("arrive", "agents"), [(0, 3), (3, 3), (1, 5), (5, 8), (8, 8), (16, 16)])
def test_a_bounded_interval_of_zeros_and_ones_is_the_exact_one(arrive, agents):
    values = np.arange(agents) < arrive
    known = stats.binomtest(arrive, agents).proportion_ci(method="exact")
    np.testing.assert_allclose(bounded_interval(values), (known.low, known.high), atol=6e-3)


def test_a_bounded_interval_scales_with_its_range_and_stays_inside():
    values = np.array([0.2, 0.9, 1.0, 1.0])
    low, high = bounded_interval(values)
    np.testing.assert_allclose(bounded_interval(2 * values - 1, -1, 1), (2 * low - 1, 2 * high - 1))
    assert 0 < low < values.mean() < high <= 1
    assert bounded_interval([1.0, 1.0])[1] == 1 and bounded_interval([-1.0, -1.0], -1, 1)[0] == -1
    assert bounded_interval(values, confidence=0.5)[0] > low


def test_nothing_follows_from_three_agents_that_agree():
    low, high = bounded_interval([0.9, 0.9, 0.9], -1, 1)
    assert low < 0 < high


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.9])
def test_a_bounded_interval_covers_at_least_as_often_as_it_says(mean):
    # Rates of agents that mostly arrive always or never, as trained agents do.
    rates = np.random.default_rng(0).beta(0.3 * mean, 0.3 * (1 - mean), size=(150, 8))
    ends = np.array([bounded_interval(agents) for agents in rates])
    assert np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1])) >= 0.945


def test_values_beyond_the_range_are_refused():
    with pytest.raises(ConfigError, match=r"in \[0, 1\]: \[1.5\]"):
        bounded_interval([0.5, 1.5])
    with pytest.raises(ConfigError, match="at least one"):
        bounded_interval([])


@pytest.mark.parametrize(("successes", "trials"), [(0, 50), (1, 10), (30, 50), (50, 50)])
def test_wilsons_interval(successes, trials):
    # Its ends solve |p_hat - p| = z sqrt(p (1 - p) / n).
    z, observed = stats.norm.ppf(0.975), successes / trials
    a, b, c = 1 + z**2 / trials, -(2 * observed + z**2 / trials), observed**2
    known = np.sort(np.roots([a, b, c]))
    np.testing.assert_allclose(wilson_interval(successes, trials), known, atol=1e-9)


def episodes_table(success, length=None):
    """(seeds, episodes) arrays of one setting, tidied."""
    success = np.asarray(success, float)
    length = np.full(success.shape, 100.0) if length is None else np.asarray(length, float)
    seed, episode = np.indices(success.shape)
    return pd.DataFrame(
        {
            "training_seed": seed.ravel(),
            "episode": episode.ravel(),
            "success": success.ravel(),
            "return": -length.ravel(),
            "length": length.ravel(),
        }
    )


def test_one_seeds_intervals_are_over_episodes():
    lengths = [[10.0, 20, 30, 40]]
    table = episodes_table([[1, 0, 1, 1]], lengths).assign(steps=2, candidates=8)
    (row,) = summarize(table).to_dict("records")
    assert (row["steps"], row["candidates"], row["seeds"], row["episodes"]) == (2, 8, 1, 4)
    assert row["interval"] == "95% over 4 episodes of one seed"
    assert row["success"] == 0.75 and row["length"] == 25 and row["return"] == -25
    assert (row["success_low"], row["success_high"]) == wilson_interval(3, 4)
    known = stats.t.interval(0.95, 3, loc=25, scale=stats.sem(lengths[0]))
    np.testing.assert_allclose((row["length_low"], row["length_high"]), known)


def test_several_seeds_intervals_are_over_seeds():
    success = np.array([[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]])
    table = episodes_table(success).assign(steps=1, candidates=1)
    (row,) = summarize(table).to_dict("records")
    assert (row["seeds"], row["episodes"]) == (3, 12)
    assert row["interval"] == "95% over 3 training seeds"
    assert row["success"] == 0.75
    assert (row["success_low"], row["success_high"]) == bounded_interval([1, 0.75, 0.5])


def test_seeds_of_several_tasks_are_agents_of_their_own():
    tasks = [
        episodes_table(np.full((4, 3), success)).assign(steps=1, candidates=1, task=task)
        for task, success in ((1, 1), (2, 0))
    ]
    (row,) = summarize(pd.concat(tasks)).to_dict("records")
    assert (row["seeds"], row["episodes"]) == (4, 24)
    assert row["interval"] == "95% over 8 agents, of 4 training seeds"
    assert (row["success_low"], row["success_high"]) == bounded_interval([1] * 4 + [0] * 4)


def test_every_setting_has_its_row():
    table = pd.concat(
        [
            episodes_table([[s, s]]).assign(steps=m, candidates=n)
            for m, n, s in [(8, 1, 0), (1, 1, 1), (1, 32, 1)]
        ]
    )
    summary = summarize(table)
    assert summary[["steps", "candidates"]].values.tolist() == [[1, 1], [1, 32], [8, 1]]
    assert summary.success.tolist() == [1, 1, 0]


def test_a_table_of_arms_has_each_success_with_its_interval_as_text():
    one = episodes_table([[1, 1], [0, 1]]).assign(steps=1, candidates=1)
    two = pd.concat([one, episodes_table([[1, 1], [1, 1]]).assign(steps=8, candidates=32)])
    table = success_table({"one": one, "two": two}, [(1, 1), (8, 32)])
    low, high = bounded_interval([1, 0.5])
    assert table.loc["one"].tolist() == [f"0.75 [{low:.2f}, {high:.2f}], 2 seeds", ""]
    low, high = bounded_interval([1, 1])
    assert table.loc["two", "m = 8, N = 32"] == f"1.00 [{low:.2f}, {high:.2f}], 2 seeds"


def test_a_summary_prints_a_line_per_setting_and_says_what_its_intervals_are_over():
    lengths = [[10.0, 20, 30, 40]]
    table = pd.concat(
        [
            episodes_table([[1, 0, 1, 1]], lengths).assign(steps=m, candidates=n)
            for m, n in [(1, 32), (8, 1)]
        ]
    )
    head, one, eight, over = as_text(summarize(table)).splitlines()
    assert head.split() == ["steps", "N", "success", "return", "length"]
    low, high = wilson_interval(3, 4)
    assert one.split()[:5] == ["1", "32", "0.75", f"[{low:.2f},", f"{high:.2f}]"]
    assert eight.split()[:2] == ["8", "1"] and "25.0 [" in eight and "-25.0 [" in eight
    assert over.startswith("[95% over 4 episodes of one seed;")


def paired():
    """Per seed: 8 steps are better by 0.5, 0.25 and 0 in success, and by 10 + seed in length."""
    worse = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 1, 0]])
    better = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 0]])
    lengths = np.arange(12.0).reshape(3, 4) ** 2
    return pd.concat(
        [
            episodes_table(worse, lengths).assign(steps=1, candidates=1),
            episodes_table(better, lengths - 10 - np.arange(3)[:, None]).assign(
                steps=8, candidates=1
            ),
        ]
    )


def test_a_paired_difference():
    one, eight = {"steps": 1, "candidates": 1}, {"steps": 8, "candidates": 1}
    shuffled = paired().sample(frac=1, random_state=0)
    result = paired_difference(shuffled, "success", better=eight, worse=one)
    low, high = bounded_interval([0.5, 0.25, 0], -1, 1)
    counts = {"agents": 3, "seeds": 3, "episodes": 12}
    assert result == pytest.approx({"difference": 0.25, "low": low, "high": high} | counts)
    # Pairing removes what the starts have in common, here nearly all that varies.
    result = paired_difference(shuffled, "length", better=eight, worse=one)
    half = stats.t.ppf(0.975, 2) * 1 / np.sqrt(3)
    assert result["difference"] == pytest.approx(-11)
    assert (result["low"], result["high"]) == pytest.approx((-11 - half, -11 + half))


def test_a_difference_is_paired_within_each_task_too():
    both = pd.concat([paired().assign(task=1), paired().assign(task=2)])
    one, eight = {"steps": 1, "candidates": 1}, {"steps": 8, "candidates": 1}
    result = paired_difference(both, "success", better=eight, worse=one)
    assert (result["difference"], result["agents"], result["seeds"]) == (0.25, 6, 3)
    assert (result["low"], result["high"]) == bounded_interval([0.5, 0.25, 0] * 2, -1, 1)


@pytest.mark.parametrize(
    "unpair",
    [
        lambda table: table[(table.steps == 1) | (table.episode < 3)],
        lambda table: table[(table.steps == 1) | (table.training_seed > 0)],
        lambda table: pd.concat([table, table]),
        lambda table: table.assign(episode=table.episode + (table.steps == 8)),
        lambda table: table[table.steps == 1],
    ],
)
def test_what_does_not_pair_is_refused(unpair):
    one, eight = {"steps": 1, "candidates": 1}, {"steps": 8, "candidates": 1}
    with pytest.raises(DataError, match="don't pair"):
        paired_difference(unpair(paired()), "success", better=eight, worse=one)
