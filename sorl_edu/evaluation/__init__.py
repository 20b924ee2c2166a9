"""Agents in their environments, and what may be concluded from their episodes."""

from sorl_edu.evaluation.episodes import act, check_environment, evaluate, sweep
from sorl_edu.evaluation.statistics import (
    as_text,
    paired_difference,
    summarize,
    t_interval,
    wilson_interval,
)

__all__ = [
    "act",
    "as_text",
    "check_environment",
    "evaluate",
    "paired_difference",
    "summarize",
    "sweep",
    "t_interval",
    "wilson_interval",
]
