"""Published hyper-parameters of the eight OGBench environments that SORL's paper reports on.

`PUBLISHED["sorl"]["cube-single-play"]` is an agent as published. Each method was tuned by one
number on an environment's default task, which is what the table `KNOBS` has; the discount, and the
minimum of two critics on the ant's mazes, are common to all that have them.

Sources: SORL's are those of its paper's table and of its code's command lines (arXiv 2505.22866).
They were tuned with one Adam over all four networks, which this library splits (see DESIGN.md), so
they are a starting point and not an equivalent. The others' are those of Park et al., Flow
Q-Learning, 2025 (arXiv 2502.02538, table 6), from a second-hand copy that lacks antsoccer. There,
IQL's, ReBRAC's and FQL's are from the same paper's table 7 (offline-to-online); FAWAC's, FBRAC's,
SRPO's and CAC's are this library's choice, the most frequent one of the other legged robots. EVOR's
are a reconstruction: its paper has one set of them for all environments, which could not be read.
Value Flows' are those of its code (arXiv 2510.07650) for cube-double and scene, and its defaults
for the others.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from sorl_edu.agents import (
    BC,
    BFN,
    CAC,
    EVOR,
    FAWAC,
    FBRAC,
    FQL,
    IDQL,
    IFQL,
    IQL,
    SORL,
    SRPO,
    Agent,
    GaussianReturn,
    HistogramReturn,
    MeanReturn,
    ReBRAC,
    ValueFlows,
)
from sorl_edu.agents.agent import Network

SORL_PUBLISHED: dict[str, SORL] = {
    "antmaze-large-navigate": SORL(q_weight=500.0, q_aggregation="min"),
    "antmaze-giant-navigate": SORL(q_weight=500.0, q_aggregation="min", discount=0.995),
    "humanoidmaze-medium-navigate": SORL(q_weight=100.0, discount=0.995),
    "humanoidmaze-large-navigate": SORL(q_weight=500.0, discount=0.995),
    "antsoccer-arena-navigate": SORL(q_weight=500.0, discount=0.995),
    "cube-single-play": SORL(q_weight=10.0),
    "cube-double-play": SORL(q_weight=50.0),
    "scene-play": SORL(q_weight=100.0),
}

MANIPULATION = ("cube-single-play", "cube-double-play", "scene-play")

# In the order of SORL_PUBLISHED.
KNOBS: dict[str, dict[str, tuple[float, ...]]] = {
    "iql": {"inverse_temperature": (10, 10, 10, 10, 1, 1, 0.3, 10)},
    "rebrac": {
        "policy_penalty": (0.003, 0.003, 0.01, 0.01, 0.01, 1, 0.1, 0.1),
        "critic_penalty": (0.01, 0.01, 0.01, 0.01, 0.01, 0, 0, 0.01),
    },
    "srpo": {"q_weight": (0.3, 0.3, 0.3, 0.3, 0.3, 0.03, 0.1, 0.1)},
    "cac": {"q_weight": (1, 1, 0.03, 1, 1, 0.003, 0.3, 0.3)},
    "fawac": {"inverse_temperature": (3, 3, 3, 3, 3, 1, 0.3, 0.3)},
    "fbrac": {"flow_weight": (3, 10, 30, 30, 30, 100, 100, 100)},
    "fql": {"distillation_weight": (10, 10, 30, 30, 10, 300, 300, 300)},
}
"""The numbers by which a method was tuned; one that is missing has none, or N alone."""

VALUE_FLOWS: dict[str, dict[str, Any]] = {
    "cube-double-play": {"discount": 0.995, "spread_temperature": 3.0},
    "scene-play": {"q_aggregation": "min"},
}
"""What Value Flows' code sets for an environment."""

BASELINES: dict[str, Agent] = {
    "bc": BC(),
    "iql": IQL(),
    "rebrac": ReBRAC(),
    "idql": IDQL(),
    "srpo": SRPO(),
    "cac": CAC(),
    "fawac": FAWAC(),
    "fbrac": FBRAC(),
    "ifql": IFQL(),
    "fql": FQL(),
    "bfn": BFN(),
    "evor": EVOR(),
    "evor_gaussian": GaussianReturn(),
    "evor_histogram": HistogramReturn(),
    "evor_mean": MeanReturn(),
    "value_flows": ValueFlows(),
}
"""Each method with the settings that all environments share."""


def _published(name: str) -> dict[str, Agent]:
    """A baseline with its hyper-parameters for each environment."""
    found = {}
    for i, (environment, sorl) in enumerate(SORL_PUBLISHED.items()):
        agent = BASELINES[name]
        shared = {"discount": sorl.discount}
        if sorl.q_aggregation == "min":
            shared["q_aggregation"] = "min"
        known = {field.name for field in fields(agent)}
        changes = {setting: value for setting, value in shared.items() if setting in known}
        changes |= {knob: float(values[i]) for knob, values in KNOBS.get(name, {}).items()}
        manipulation = environment in MANIPULATION
        if name == "iql" and manipulation:
            changes |= with_width(agent, (256,) * 4)
        if name == "idql":
            critic = replace(agent.critic, hidden=(256 if manipulation else 512,) * 2)
            values = replace(agent.values, hidden=critic.hidden)
            expectile = 0.9 if manipulation else 0.7
            changes |= {"critic": critic, "values": values, "expectile": expectile}
        if name == "srpo" and not manipulation:  # mazes
            changes |= {"q_gradient_normalized": True, "policy": Network((256,) * 4)}
        if name == "value_flows":
            changes |= VALUE_FLOWS.get(environment, {})
            changes |= {"return_noise": 1 - changes["discount"]}
        found[environment] = replace(agent, **changes)
    return found


def with_width(agent: Agent, hidden: tuple[int, ...]) -> dict[str, Any]:
    """The networks of an agent, all of one width, as changes for `dataclasses.replace`."""
    networks = {field.name: getattr(agent, field.name) for field in fields(agent)}
    return {
        name: replace(network, hidden=hidden)
        for name, network in networks.items()
        if isinstance(network, Network)
    }


PUBLISHED: dict[str, dict[str, Agent]] = {
    "sorl": dict(SORL_PUBLISHED),
    **{name: _published(name) for name in BASELINES},
}
"""Agents as published, by method and environment."""
