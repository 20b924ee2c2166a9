"""What is said of several agents' rows: averages, selection, aggregates, comparisons and tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sorl_edu.errors import DataError
from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import statistics
from sorl_edu.experiments.tables import as_markdown


def made_up(success, agent="SORL"):
    """Rows of one environment, two settings and three seeds, by (updates, m): success."""
    rows = [
        {"agent": agent, "environment": "cube-single-play", "task": task, "seed": seed}
        | {"updates": updates, "steps": m, "candidates": 1, "episode": 0}
        | {"success": min(value + 0.1 * seed, 1.0)}
        for (updates, m), value in success.items()
        for seed in range(3)
        for task in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_the_table_averages_as_published_and_its_interval_is_over_agents():
    rows = made_up({(80, 1): 0.1, (90, 1): 0.2, (100, 1): 0.3})
    (row,) = statistics.per_environment(rows).to_dict("records")
    assert row["success"] == pytest.approx(30) and row["seeds"] == 3 and row["tasks"] == 2
    low, high = bounded_interval([20, 20, 30, 30, 40, 40], 0, 100)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


SELECTED = {(80, 1): 0.5, (90, 1): 0.5, (100, 1): 0.1} | {(80, 8): 0, (90, 8): 0, (100, 8): 0.8}


def test_the_best_setting_is_selected_on_other_episodes_than_reported():
    (row,) = statistics.best_setting(made_up(SELECTED)).to_dict("records")
    assert row["steps"] == 1 and row["success"] == pytest.approx(20)
    text = as_markdown(made_up(SELECTED), "ogbench-sorl")
    assert "| cube-single-play | SORL |" in text and "(1, 1): 20" in text
    assert "| FQL, published | SORL, published |" in text and "| 96 ± 1 | 97 ± 1 |" in text


def test_agents_stand_below_each_other_and_select_for_themselves():
    worse = {key: 1 - value for key, value in SELECTED.items() if key[1] == 8}
    rows = pd.concat([made_up(SELECTED), made_up(worse, "cloning")])
    best = statistics.best_setting(rows).set_index("agent")
    assert (best.loc["SORL"].steps, best.loc["cloning"].steps) == (1, 8)
    assert best.loc["cloning"].success == pytest.approx(30)
    sorl, cloning = as_markdown(rows, "ogbench-sorl").splitlines()[2:4]
    assert sorl.startswith("| cube-single-play | SORL | 47 [")
    assert cloning.startswith("| cube-single-play | cloning |  | 77 [")


def test_the_footer_is_about_the_rows():
    rows = made_up(SELECTED)
    text = as_markdown(rows, "ogbench-sorl").splitlines()[-1]
    assert (
        "over the agents of 3 seed(s) and 2 task(s), with 1 episode(s) at each of 80, 90, 100 up"
        in text
    )
    assert "OGBench before 1.2" in text and 'success_timing="post"' in text
    more = pd.concat([rows, rows[rows.task == 1].assign(episode=1), made_up({(80, 1): 0}, "new")])
    assert "| cube-single-play | new | 10 [" in as_markdown(more, "ogbench-sorl")
    text = as_markdown(more[(more.agent != "new") | (more.task == 1)], "ogbench-sorl")
    assert "and 1 to 2 task(s), with 1 to 2 episode(s)" in text
    rows = rows.assign(environment="pointmaze-medium-navigate")
    assert "OGBench before" not in as_markdown(rows, "pointmaze")


# ----------------------------------------------------------------- over tasks, and against another


def rows_of(scores, agent="SORL", **more):
    """Rows of one setting at one evaluation, from success by seed and task."""
    cells = np.ndenumerate(np.asarray(scores, float))
    columns = {"environment": "cube-single-play", "updates": 100, "steps": 1, "candidates": 1}
    return pd.DataFrame(
        [
            {"agent": agent, "task": task + 1, "seed": seed, "episode": 0, "success": success}
            | columns
            | more
            for (seed, task), success in cells
        ]
    )


GOOD = [[0.9, 0.6, 0.8], [0.8, 0.7, 0.4], [1.0, 0.5, 0.6]]
BAD = [[0.5, 0.1, 0.8], [0.4, 0.2, 0.5], [0.6, 0.3, 0.7]]


def test_aggregates_are_over_all_tasks_of_all_environments():
    rows = pd.concat([rows_of(GOOD), rows_of(np.eye(3), environment="scene-play")])
    (row,) = statistics.aggregates(rows).to_dict("records")
    scores = np.concatenate([GOOD, np.eye(3)], axis=1)
    assert row["mean"] == pytest.approx(scores.mean())
    assert row["iqm"] == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    assert row["optimality_gap"] == pytest.approx(1 - scores.mean())
    assert (row["seeds"], row["tasks"]) == (3, 6)
    assert row["mean_low"] < row["mean"] < row["mean_high"]


def test_a_score_is_a_seeds_mean_over_episodes_and_evaluations():
    rows = pd.concat([rows_of(GOOD), rows_of(BAD, updates=80)]).sample(frac=1, random_state=0)
    (row,) = statistics.aggregates(rows).to_dict("records")
    assert row["iqm"] == pytest.approx(stats.trim_mean((np.add(GOOD, BAD)) / 2, 0.25, axis=None))


def test_a_comparison_pairs_tasks_and_seeds():
    rows = pd.concat([rows_of(GOOD), rows_of(BAD, "FQL")]).sample(frac=1, random_state=0)
    (row,) = statistics.comparisons(rows, "SORL").to_dict("records")
    differences = np.subtract(GOOD, BAD).ravel()
    assert row["agent"] == "FQL" and (row["seeds"], row["tasks"]) == (3, 3)
    assert row["difference"] == pytest.approx(differences.mean())
    known = stats.permutation_test(
        (np.ravel(GOOD), np.ravel(BAD)),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert row["p"] == row["p_holm"] == pytest.approx(known.pvalue)
    wins = [
        stats.mannwhitneyu(*pair).statistic / 9
        for pair in zip(np.transpose(GOOD), np.transpose(BAD), strict=True)
    ]
    assert row["improvement"] == pytest.approx(np.mean(wins))
    (back,) = statistics.comparisons(rows, "FQL").to_dict("records")
    assert back["difference"] == pytest.approx(-row["difference"])
    assert back["improvement"] == pytest.approx(1 - row["improvement"])


def test_ten_comparisons_are_corrected_together():
    others = [rows_of(np.subtract(GOOD, 0.04 * i), f"agent {i}") for i in range(1, 11)]
    table = statistics.comparisons(pd.concat([rows_of(GOOD), *others]), "SORL")
    assert len(table) == 10
    assert table.p.tolist() == pytest.approx([2 / 2**9] * 10)  # all of nine differences agree
    assert table.p_holm.tolist() == pytest.approx([20 / 2**9] * 10)


def test_agents_are_compared_on_what_both_have():
    scene = rows_of(np.ones((3, 2)), environment="scene-play")
    rows = pd.concat([rows_of(GOOD), scene, rows_of(BAD, "FQL"), scene.assign(agent="IQL", task=9)])
    (row,) = statistics.comparisons(rows, "SORL").to_dict("records")
    assert row["agent"] == "FQL" and row["tasks"] == 3


def test_rows_of_several_settings_or_without_a_seed_are_no_scores():
    two = pd.concat([rows_of(GOOD), rows_of(BAD, steps=8)])
    with pytest.raises(DataError, match="one setting"):
        statistics.aggregates(two)
    with pytest.raises(DataError, match="same seeds"):
        statistics.aggregates(rows_of(GOOD).iloc[1:])


def test_what_is_reported_was_not_chosen_on():
    chosen = statistics.reported(made_up(SELECTED))
    assert set(chosen.updates) == {100} and set(chosen.steps) == {1}
    assert chosen.success.mean() == pytest.approx(0.2)
    one = made_up({(80, 1): 0.1, (90, 1): 0.2, (100, 1): 0.3}, "cloning")
    both = statistics.reported(pd.concat([made_up(SELECTED), one]))
    assert set(both[both.agent == "cloning"].updates) == {80, 90, 100}
    assert len(both) == len(chosen) + len(one)


def test_tables_have_aggregates_and_comparisons_of_several_agents():
    rows = pd.concat([rows_of(BAD, "FQL"), rows_of(GOOD)])
    text = as_markdown(rows, "ogbench-sorl")
    assert f"| SORL | {100 * np.mean(GOOD):.0f} [" in text
    line = next(line for line in text.splitlines() if line.startswith("| FQL | +"))
    assert f"| FQL | +{100 * np.mean(np.subtract(GOOD, BAD)):.0f} | 0.0" in line
    assert line.endswith("| 3 | 3 |") and "| SORL against |" in text and "Holm" in text
    assert "against" not in as_markdown(rows_of(GOOD), "ogbench-sorl")
    assert "| IQL against |" in as_markdown(rows.replace("SORL", "IQL")[::-1], "ogbench-sorl")


def test_a_table_per_task_has_what_was_published_per_task():
    text = as_markdown(rows_of(GOOD), "ogbench-sorl", per_task=True)
    low, high = bounded_interval([60, 70, 50], 0, 100)
    (line,) = (line for line in text.splitlines() if line.startswith("| cube-single-play 2 |"))
    assert line.startswith(f"| cube-single-play 2 | SORL | 60 [{low:.0f}, {high:.0f}] | 3 ± 1 |")
    assert line.endswith("| 97 ± 2 |")  # FQL; SORL isn't known per task
    assert "cube-single-play 2" not in as_markdown(rows_of(GOOD), "ogbench-sorl")


def test_episodes_that_tuning_took_stand_in_the_table():
    tuned = pd.DataFrame(
        {"agent": "SORL", "environment": "cube-single-play", "episodes": [600] * 4}
    )
    text = as_markdown(pd.concat([rows_of(GOOD), rows_of(BAD, "BC")]), "ogbench-sorl", tuned=tuned)
    head, _, sorl, bc = (line.strip("| ").split(" | ") for line in text.splitlines()[:4])
    assert dict(zip(head, sorl, strict=True))["tuning episodes"] == "2,400"
    assert dict(zip(head, bc, strict=True))["tuning episodes"] == "0"
    assert "with other seeds and episodes" in text
