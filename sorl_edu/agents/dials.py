"""Dials of test time that only some agents have: settings on which no training depends.

    colder = with_dials(agent, return_temperature=0.1)     # acts with the state of `agent`

Policy steps m and candidates N are arguments of `propose`, for all agents. An agent names further
dials in `dials`: they are fields, and checked, saved and compiled as its other settings are, but
`init`, `update` and `losses` do not read them. So every agent that `with_dials` makes acts with the
same state, wherever an agent and a state are wanted: in evaluations, videos and explorers.
Experiments whose agents differ in dials alone share their training.
"""

from __future__ import annotations

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
    known = dials_of(agent)
    for name, value in values.items():
        if name not in known:
            kind = type(agent).__name__
            if not known:
                message = f"{kind} has no dials but steps and candidates, and so no '{name}'"
                check(False, message)
            raise UnknownName(f"dial of {kind}", name, known)
        whole = isinstance(known[name], int)
        check(not whole or value == int(value), f"{name} must be a whole number, got {value}")
        values[name] = int(value) if whole else float(value)
    if isinstance(agent, Chunked):
        return replace(agent, agent=replace(agent.agent, **values))
    return replace(agent, **values)


def without_dials(agent: Agent) -> Agent:
    """The agent with its dials where they stand by default: all that its training depends on."""
    inner = agent.agent if isinstance(agent, Chunked) else agent
    defaults = {field.name: field.default for field in fields(inner)}
    return with_dials(agent, **{name: defaults[name] for name in dials_of(agent)})
