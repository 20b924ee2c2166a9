"""Dials of test time that only some agents have: settings on which no training depends.

    colder = with_dials(agent, return_temperature=0.1)     # acts with the state of `agent`

Policy steps m and candidates N are arguments of `propose`, for all agents. An agent names further
dials in `dials`: they are fields, and checked, saved and compiled as its other settings are, but
`init`, `update` and `losses` do not read them. So every agent that `with_dials` makes acts with the
same state, wherever an agent and a state are wanted: in evaluations, videos and explorers.
Experiments whose agents differ in dials alone share their training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from sorl_edu.agents.agent import Agent, HasDials
from sorl_edu.agents.chunked import Chunked
from sorl_edu.errors import UnknownName, check


def dials_of(agent: Agent) -> dict[str, Any]:
    """The dials that an agent names, and where they stand; none for most agents."""
    inner = agent.agent if isinstance(agent, Chunked) else agent
    names = inner.dials if isinstance(inner, HasDials) else ()
    return {name: getattr(inner, name) for name in names}


def with_dials(agent: Agent, **values: float) -> Agent:
    """The agent with dials turned, for the same states.

    Args:
        agent: any agent, also in chunks.
        values: new values by the dial's name.

    Raises:
        UnknownName: the agent has no such dial; the message has the nearest one.
        ConfigError: a value out of range, or a fraction where a number is counted.
    """
    check_known([agent], values)
    known = dials_of(agent)
    for name, value in values.items():
        whole = isinstance(known[name], int)
        check(not whole or value == int(value), f"{name} must be a whole number, got {value}")
        values[name] = int(value) if whole else float(value)
    if isinstance(agent, Chunked):
        return replace(agent, agent=replace(agent.agent, **values))
    return replace(agent, **values)


def dial_grid(values: Iterable[tuple[str, float]]) -> list[dict[str, float]]:
    """Every combination of the values of dials, each once; a single empty one of no values.

    Args:
        values: (dial, value), a dial as often as it has values.
    """
    by_name: dict[str, dict[float, None]] = {}
    for name, value in values:
        by_name.setdefault(name, {})[value] = None
    positions = itertools.product(*by_name.values())
    return [dict(zip(by_name, position, strict=True)) for position in positions]


def check_known(agents: Sequence[Agent], names: Iterable[str]) -> None:
    """Raises UnknownName unless every name is a dial of one of the agents."""
    known = {dial for agent in agents for dial in dials_of(agent)}
    kinds = list(dict.fromkeys(type(agent).__name__ for agent in agents))
    for name in names:
        verb = "has" if len(kinds) == 1 else "have"
        message = f"{verb} no dials but steps and candidates, and so no '{name}'"
        check(len(known) > 0, f"{', '.join(kinds)} {message}")
        if name not in known:
            raise UnknownName(f"dial of {', '.join(kinds)}", name, known)


def without_dials(agent: Agent) -> Agent:
    """The agent with its dials where they stand by default: all that its training depends on."""
    inner = agent.agent if isinstance(agent, Chunked) else agent
    defaults = {field.name: field.default for field in fields(inner)}
    return with_dials(agent, **{name: defaults[name] for name in dials_of(agent)})
