"""What rows of several agents say: per environment, over all tasks, and against one of them.

    rows of one agent -> success of every (seed, task), over episodes and evaluations
    -> mean and interval per environment               # per_environment
    -> mean, interquartile mean, optimality gap        # aggregates, over all tasks
    -> difference from one agent, p-value, P(X > Y)    # comparisons, Holm's correction over agents

    rows of any study, a score for every seed -> interquartile mean of each setting

`evaluation` has the statistics themselves, as functions of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sorl_edu.errors import DataError, check
from sorl_edu.evaluation import aggregates as of_tasks
from sorl_edu.evaluation import bounded_interval

CHOICE = ["agent", "environment", "steps", "candidates"]
TASK = ["environment", "task"]


def per_environment(results: pd.DataFrame) -> pd.DataFrame:
    """Success in percent of every agent, environment and setting, by the published protocol.

    Args:
        results: a row per episode, or per cell with the mean `success` of its episodes.

    Returns:
        a row per (agent, environment, steps, candidates): success, low, high (95%, as
        `evaluation.bounded_interval`, over agents: one training seed's for one task; NaN for one
        agent), seeds, tasks.
    """
    return _success(results, CHOICE)


def per_task(results: pd.DataFrame) -> pd.DataFrame:
    """The same for every task, with a column `task`; intervals are over training seeds."""
    return _success(results, [*CHOICE, "task"])


def _success(results: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    rows = []
    for key, cell in results.groupby(list(keys), sort=False):
        agents = 100 * cell.groupby(["seed", "task"]).success.mean()
        several = len(agents) > 1
        interval = bounded_interval(agents, 0, 100) if several else (np.nan, np.nan)
        rows.append((*key, agents.mean(), *interval, cell.seed.nunique(), cell.task.nunique()))
    return pd.DataFrame(rows, columns=[*keys, "success", "low", "high", "seeds", "tasks"])


def best_setting(results: pd.DataFrame) -> pd.DataFrame:
    """The best (m, N) of every agent and environment, selected on other episodes than reported.

    It is selected on the evaluations before the last, which have other agents and other starts, and
    its success is that of the last one.

    Returns:
        a row per agent and environment, with the columns of `per_environment`; none where only one
        evaluation was done.
    """
    last = _last(results)
    reported = per_environment(results[last])
    best = per_environment(results[~last]).sort_values("success", ascending=False, kind="stable")
    best = best.drop_duplicates(["agent", "environment"])
    return reported.merge(best[CHOICE])


def _last(results: pd.DataFrame) -> pd.Series:
    """Whether a row is of the last evaluation of its agent in its environment."""
    return results.groupby(["agent", "environment"]).updates.transform("max") == results.updates


def reported(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of one setting for every agent and environment, with nothing chosen on them.

    An agent with one setting keeps all its evaluations. An agent with several keeps the last one of
    its `best_setting`, which was selected on the others.
    """
    settings = results.groupby(["agent", "environment"])[["steps", "candidates"]]
    several = settings.transform("nunique").max(axis=1) > 1
    chosen = results[several & _last(results)].merge(best_setting(results)[CHOICE])
    return pd.concat([results[~several], chosen], ignore_index=True)


def score_table(results: pd.DataFrame) -> pd.DataFrame:
    """Success in [0, 1] of one agent: a row per seed, a column per (environment, task).

    Raises:
        DataError: rows of several settings, or a task that lacks a seed.
    """
    check(
        len(results[CHOICE].drop_duplicates()) == results.environment.nunique(),
        "scores are of one agent at one setting for each environment",
        DataError,
    )
    table = results.pivot_table("success", index="seed", columns=TASK)
    check(not table.isna().any(axis=None), "every task must have the same seeds", DataError)
    return table


AGGREGATES = {
    "mean": of_tasks.mean,
    "iqm": of_tasks.interquartile_mean,
    "optimality_gap": of_tasks.optimality_gap,
}


def aggregates(results: pd.DataFrame) -> pd.DataFrame:
    """Every agent over all its tasks, with 95% stratified bootstrap intervals.

    Args:
        results: rows of one setting for every agent and environment, as `reported` has them.

    Returns:
        a row per agent: mean, iqm and optimality_gap of its success in [0, 1], each with _low and
        _high; seeds, tasks.

    Raises:
        DataError: as `score_table`.
    """
    rows = []
    for agent, own in results.groupby("agent", sort=False):
        scores = score_table(own).to_numpy()
        row = {"agent": agent}
        for name, aggregate in AGGREGATES.items():
            low, high = of_tasks.stratified_interval(aggregate, scores)
            row |= {name: aggregate(scores), f"{name}_low": low, f"{name}_high": high}
        seeds, tasks = scores.shape
        rows.append(row | {"seeds": seeds, "tasks": tasks})
    return pd.DataFrame(rows)


def comparisons(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Every other agent against one, over the tasks and seeds that both have.

    Args:
        results: as for `aggregates`.
        reference: the agent that the others are compared with.

    Returns:
        a row per other agent: difference (reference minus agent, mean success over pairs of a task
        and a seed), p (of `sign_flip_p_value`), p_holm (Holm's correction over these rows),
        improvement (P(reference > agent) on a task) with _low and _high, seeds, tasks. Agents that
        share no task with the reference are left out.

    Raises:
        DataError: as `score_table`.
    """
    tables = {name: score_table(own) for name, own in results.groupby("agent", sort=False)}
    rows = []
    for agent, table in tables.items():
        one, other = tables[reference].align(table, join="inner")
        if agent == reference or one.size == 0:
            continue
        pair = one.to_numpy(), other.to_numpy()
        differences = (pair[0] - pair[1]).ravel()
        improvement = of_tasks.probability_of_improvement
        low, high = of_tasks.stratified_interval(improvement, *pair)
        rows.append(
            {
                "agent": agent,
                "difference": differences.mean(),
                "p": of_tasks.sign_flip_p_value(differences),
                "improvement": improvement(*pair),
                "improvement_low": low,
                "improvement_high": high,
                "seeds": len(one),
                "tasks": one.shape[1],
            }
        )
    table = pd.DataFrame(rows)
    if len(table):
        table.insert(3, "p_holm", of_tasks.holm(table.p.to_numpy()))
    return table


def interquartile_means(rows: pd.DataFrame, by: Sequence[str], score: str) -> pd.DataFrame:
    """The interquartile mean of a score over seeds, for each setting of a study.

    Args:
        rows: a row for each seed at each setting.
        by: the columns that make a setting.
        score: the column of the score.

    Returns:
        a row per setting: iqm, low, high (95%, as `evaluation.aggregates.stratified_interval`, a
        little too narrow for few seeds; NaN for one seed), seeds.

    Raises:
        DataError: a seed has several rows at a setting.
    """
    found = []
    for key, cell in rows.groupby(list(by), sort=False):
        check(cell.seed.is_unique, f"a seed has several rows at {key}", DataError)
        scores = cell[score].to_numpy(float)[:, None]
        interval = of_tasks.stratified_interval(of_tasks.interquartile_mean, scores)
        interval = interval if len(cell) > 1 else (np.nan, np.nan)
        found.append((*key, of_tasks.interquartile_mean(scores), *interval, len(cell)))
    return pd.DataFrame(found, columns=[*by, "iqm", "low", "high", "seeds"])
