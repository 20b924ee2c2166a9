"""Agents: what is trained, evaluated and plotted. All have the methods of `agent.Agent`."""

from sorl_edu.agents.agent import Agent
from sorl_edu.agents.bc import BC
from sorl_edu.agents.bfn import BFN
from sorl_edu.agents.fawac import FAWAC
from sorl_edu.agents.fbrac import FBRAC
from sorl_edu.agents.flow_bc import FlowBC
from sorl_edu.agents.fql import FQL
from sorl_edu.agents.ifql import IFQL
from sorl_edu.agents.iql import IQL
from sorl_edu.agents.rebrac import ReBRAC
from sorl_edu.agents.sorl import SORL
from sorl_edu.errors import UnknownName

AGENTS: dict[str, type] = {
    "sorl": SORL,
    "flow_bc": FlowBC,
    "bc": BC,
    "iql": IQL,
    "rebrac": ReBRAC,
    "fawac": FAWAC,
    "fbrac": FBRAC,
    "ifql": IFQL,
    "fql": FQL,
    "bfn": BFN,
}
"""The agents that files can hold, by name; an agent of your own is added to be saved."""


def agent_class(name: str) -> type:
    """The agent of that name; else UnknownName, with the nearest one."""
    if name not in AGENTS:
        raise UnknownName("agent", name, AGENTS)
    return AGENTS[name]


__all__ = [
    "AGENTS",
    "BC",
    "BFN",
    "FAWAC",
    "FBRAC",
    "FQL",
    "IFQL",
    "IQL",
    "SORL",
    "Agent",
    "FlowBC",
    "ReBRAC",
    "agent_class",
]
