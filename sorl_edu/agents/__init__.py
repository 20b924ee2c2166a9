"""Agents: what is trained, evaluated and plotted. All have the methods of `agent.Agent`."""

from sorl_edu.agents.agent import Agent
from sorl_edu.agents.bc import BC
from sorl_edu.agents.bfn import BFN
from sorl_edu.agents.cac import CAC
from sorl_edu.agents.chunked import Chunked, chunked, chunked_class
from sorl_edu.agents.dials import dial_grid, dials_of, with_dials, without_dials
from sorl_edu.agents.evor import EVOR
from sorl_edu.agents.fawac import FAWAC
from sorl_edu.agents.fbrac import FBRAC
from sorl_edu.agents.flow_bc import FlowBC
from sorl_edu.agents.fql import FQL
from sorl_edu.agents.idql import IDQL
from sorl_edu.agents.ifql import IFQL
from sorl_edu.agents.iql import IQL
from sorl_edu.agents.rebrac import ReBRAC
from sorl_edu.agents.return_models import GaussianReturn, HistogramReturn, MeanReturn
from sorl_edu.agents.sorl import SORL
from sorl_edu.agents.srpo import SRPO
from sorl_edu.agents.value_flows import ValueFlows
from sorl_edu.errors import CheckpointError, UnknownName

AGENTS: dict[str, type] = {
    "sorl": SORL,
    "flow_bc": FlowBC,
    "bc": BC,
    "iql": IQL,
    "rebrac": ReBRAC,
    "idql": IDQL,
    "srpo": SRPO,
    "cac": CAC,
    "fawac": FAWAC,
    "fbrac": FBRAC,
    "ifql": IFQL,
    "fql": FQL,
    "bfn": BFN,
    "evor": EVOR,
    "evor_gaussian": GaussianReturn,
    "evor_histogram": HistogramReturn,
    "evor_mean": MeanReturn,
    "value_flows": ValueFlows,
}
"""The agents that files can hold, by name; an agent of your own is added to be saved."""


IN_CHUNKS = "chunked_"
"""What the name of an agent in chunks begins with: "chunked_bfn"."""


def agent_class(name: str) -> type:
    """The agent of that name; else UnknownName, with the nearest one."""
    plain = name.removeprefix(IN_CHUNKS)
    if plain not in AGENTS:
        raise UnknownName("agent", name, AGENTS)
    return AGENTS[plain] if plain == name else chunked_class(AGENTS[plain])


def agent_name(agent: Agent) -> str:
    """The name that `agent_class` knows the agent by.

    Raises:
        CheckpointError: the agent's class is not among `AGENTS`.
    """
    inner = agent.agent if isinstance(agent, Chunked) else agent
    for name, kind in AGENTS.items():
        if type(inner) is kind:
            return name if inner is agent else IN_CHUNKS + name
    raise CheckpointError(
        f"{type(inner).__name__} is not in sorl_edu.agents.AGENTS; add it there to save it"
    )


__all__ = [
    "AGENTS",
    "BC",
    "BFN",
    "CAC",
    "EVOR",
    "FAWAC",
    "FBRAC",
    "FQL",
    "IDQL",
    "IFQL",
    "IQL",
    "SORL",
    "SRPO",
    "Agent",
    "FlowBC",
    "GaussianReturn",
    "HistogramReturn",
    "MeanReturn",
    "ReBRAC",
    "ValueFlows",
    "agent_class",
    "agent_name",
    "chunked",
    "dial_grid",
    "dials_of",
    "with_dials",
    "without_dials",
]
