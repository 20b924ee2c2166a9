"""Agents: what is trained, evaluated and plotted. All have the methods of `agent.Agent`."""

from sorl_edu.agents.agent import Agent
from sorl_edu.agents.flow_bc import FlowBC
from sorl_edu.agents.sorl import SORL
from sorl_edu.errors import UnknownName

AGENTS: dict[str, type] = {"sorl": SORL, "flow_bc": FlowBC}
"""The agents that files can hold, by name; an agent of your own is added to be saved."""


def agent_class(name: str) -> type:
    """The agent of that name; else UnknownName, with the nearest one."""
    if name not in AGENTS:
        raise UnknownName("agent", name, AGENTS)
    return AGENTS[name]


__all__ = ["AGENTS", "SORL", "Agent", "FlowBC", "agent_class"]
