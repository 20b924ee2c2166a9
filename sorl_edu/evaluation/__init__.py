"""Evaluation of agents in their environments, and statistics of the episodes."""

from sorl_edu.evaluation.episodes import check_environment, evaluate, sweep
from sorl_edu.evaluation.statistics import (
    as_text,
    bounded_interval,
    paired_difference,
    success_table,
    summarize,
    t_interval,
    wilson_interval,
)

__all__ = [
    "as_text",
    "bounded_interval",
    "check_environment",
    "evaluate",
    "paired_difference",
    "success_table",
    "summarize",
    "sweep",
    "t_interval",
    "wilson_interval",
]
