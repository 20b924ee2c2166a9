"""The tables of a benchmark, in Markdown: all from its rows, beside what others published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import statistics
from sorl_edu.experiments.experiment import CELL
from sorl_edu.experiments.suites import SUITES

SETTING = ["steps", "candidates"]
MAIN = "SORL"
"""The agent that others are compared with; the first one, where it has no rows."""


def as_markdown(
    rows: pd.DataFrame, suite: str, *, per_task: bool = False, tuned: pd.DataFrame | None = None
) -> str:
    """All tables of a benchmark's rows, and how their numbers came about.

    Args:
        rows: of the experiments on a suite, a row per episode.
        suite: one of `SUITES`.
        per_task: a second table has a row for every task.
        tuned: the rows of `tuning.tune`, whose episodes are counted; None for agents as they were.
    """
    tables = [_environments(rows, suite, tuned)]
    if per_task:
        tables.append(_tasks(rows, suite))
    if rows.agent.nunique() > 1:
        reported = statistics.reported(rows)
        tables += [_aggregates(reported), _comparisons(reported)]
    published = any(env.published for env in SUITES[suite])
    return "\n\n".join([*filter(None, tables), _footer(rows, published, tuned)]) + "\n"


def _environments(rows: pd.DataFrame, suite: str, tuned: pd.DataFrame | None) -> str:
    """A row per environment and agent, with every setting."""
    means = statistics.per_environment(rows).set_index(["environment", "agent", *SETTING])
    best = statistics.best_setting(rows).set_index(["environment", "agent"])
    settings = sorted(set(means.index.droplevel([0, 1])))
    methods = _methods(env.published for env in SUITES[suite])
    head = ["environment", "agent", *map(_setting, settings), "selected (m, N)"]
    head += ["tuning episodes"] * (tuned is not None)
    lines = []
    for env in SUITES[suite]:
        for agent in rows[rows.environment == env.name].agent.unique():
            place = env.name, agent
            line = [*place, *_cells(means, place, settings), _selected(best, place)]
            if tuned is not None:
                own = tuned[(tuned.environment == env.name) & (tuned.agent == agent)]
                line.append(f"{own.episodes.sum():,}")
            lines.append(line + [env.published.get(method, "") for method in methods])
    return markdown_table(head + [f"{method}, published" for method in methods], lines)


def _tasks(rows: pd.DataFrame, suite: str) -> str:
    """A row per task and agent, with every setting."""
    means = statistics.per_task(rows).set_index(["environment", "task", "agent", *SETTING])
    settings = sorted(set(means.index.droplevel([0, 1, 2])))
    tasks = [(env, task) for env in SUITES[suite] for task in env.tasks]
    methods = _methods(env.published_on(task) for env, task in tasks)
    head = ["task", "agent", *map(_setting, settings)]
    lines = []
    for env, task in tasks:
        published = env.published_on(task)
        own = rows[(rows.environment == env.name) & (rows.task == task)]
        for agent in own.agent.unique():
            cells = _cells(means, (env.name, task, agent), settings)
            theirs = [published.get(method, "") for method in methods]
            lines.append([f"{env.name} {task}", agent, *cells, *theirs])
    return markdown_table(head + [f"{method}, published" for method in methods], lines)


def _methods(published: Iterable[dict[str, str]]) -> list[str]:
    """The methods that have a result anywhere, in the order of the file."""
    return list(dict.fromkeys(method for results in published for method in results))


def _aggregates(reported: pd.DataFrame) -> str:
    """A row per agent, over all its tasks."""
    lines = []
    for row in statistics.aggregates(reported).itertuples():
        numbers = [
            _interval(*(100 * getattr(row, f"{name}{end}") for end in ("", "_low", "_high")))
            for name in statistics.AGGREGATES
        ]
        lines.append([row.agent, *numbers, f"{row.tasks}", f"{row.seeds}"])
    head = ["agent", "mean", "interquartile mean", "optimality gap", "tasks", "seeds"]
    return markdown_table(head, lines)


def _comparisons(reported: pd.DataFrame) -> str:
    """A row per agent that is compared with the main one; nothing if none can be."""
    agents = reported.agent.unique()
    main = MAIN if MAIN in agents else agents[0]
    lines = [
        [
            row.agent,
            f"{100 * row.difference:+.0f}",
            _p(row.p),
            _p(row.p_holm),
            f"{row.improvement:.2f} [{row.improvement_low:.2f}, {row.improvement_high:.2f}]",
            f"{row.tasks}",
            f"{row.seeds}",
        ]
        for row in statistics.comparisons(reported, main).itertuples()
    ]
    head = [
        f"{main} against",
        "difference",
        "p",
        "p (Holm)",
        f"P({main} > agent)",
        "tasks",
        "seeds",
    ]
    return markdown_table(head, lines) if lines else ""


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A head and rows of cells, as Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _setting(setting: tuple[int, int]) -> str:
    return "m = {}, N = {}".format(*setting)


def _cells(
    means: pd.DataFrame, place: tuple[str | int, ...], settings: Sequence[tuple[int, int]]
) -> list[str]:
    """The success of one place at every setting; blank where it has none."""
    keys = [(*place, *setting) for setting in settings]
    return [cell(means.loc[key]) if key in means.index else "" for key in keys]


def _selected(best: pd.DataFrame, place: tuple[str, str]) -> str:
    if place not in best.index:
        return ""
    choice = best.loc[place]
    return f"({choice.steps:g}, {choice.candidates:g}): {cell(choice)}"


def cell(row: pd.Series) -> str:
    """Success of a row of `statistics`, with its interval if there is one: "73 [47, 90]"."""
    return f"{row.success:.0f}" if np.isnan(row.low) else _interval(row.success, row.low, row.high)


def mean_with_interval(rates: pd.Series, lowest: float = 0.0) -> str:
    """Mean of rates, one of each agent, and its 95% interval.

    Args:
        lowest: 0 for rates; -1 for their differences, which have a sign.
    """
    low, high = bounded_interval(rates, lowest, 1.0)
    sign = "+" if lowest < 0 else ""
    return f"{rates.mean():{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.0f} [{low:.0f}, {high:.0f}]"


def _footer(rows: pd.DataFrame, published: bool, tuned: pd.DataFrame | None) -> str:
    """How the numbers of the tables came about, all from their rows."""
    groups = rows.groupby(["agent", "environment"])
    episodes = rows.groupby(CELL).size()
    updates = ", ".join(f"{number:,}" for number in sorted(rows.updates.unique()))
    text = (
        "Success in percent; mean and 95% interval over the agents of "
        f"{_span(groups.seed.nunique())} seed(s) and {_span(groups.task.nunique())} task(s), with "
        f"{_span(episodes)} episode(s) at each of {updates} updates. The setting was selected on "
        "the evaluations before the last, and is reported on the last."
    )
    if rows.agent.nunique() > 1:
        text += (
            " Aggregates over tasks have stratified bootstrap intervals. Differences are paired by "
            "task and seed; p is of a sign-flip test, two-sided, with Holm's correction beside it."
        )
    if tuned is not None:
        text += (
            " Each agent's knob and setting were chosen on the default task, with other seeds and "
            "episodes than those of the table; episodes are counted for all values that were tried."
        )
    if published:
        text += (
            " Published results (± one standard deviation over 8 seeds) are from OGBench before "
            '1.2, whose rewards belong to the state after a step (success_timing="post").'
        )
    return text


def _span(counts: pd.Series) -> str:
    least, most = counts.min(), counts.max()
    return f"{least}" if least == most else f"{least} to {most}"
