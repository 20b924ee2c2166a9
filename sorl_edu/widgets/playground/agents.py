"""The agents that the JavaScript runs, as `agents.mjs` reads them."""

from __future__ import annotations

import jax
import numpy as np

from sorl_edu.agents import agent_class
from sorl_edu.agents.agent import Agent, State, without
from sorl_edu.errors import check
from sorl_edu.training.checkpoints import blank_state, description, tree_bytes

AGENTS = ("sorl", "flow_bc")
"""Their names in files."""


def agent_bytes(agent: Agent, state: State) -> bytes:
    """An agent's file, without what only training needs.

    Raises:
        ConfigError: another agent, such as a subclass; a state of another agent, or of several
            seeds.
    """
    check(
        any(type(agent) is agent_class(name) for name in AGENTS),
        f"the playground runs {' and '.join(AGENTS)} agents, and {type(agent).__name__} is "
        "none of them",
    )
    found = without(state, "moments", "target")
    expected = without(blank_state(agent, state.obs_dim, state.action_dim), "moments", "target")
    shapes = [jax.tree.map(np.shape, jax.tree.leaves(tree)) for tree in (found, expected)]
    check(
        jax.tree.structure(found) == jax.tree.structure(expected) and shapes[0] == shapes[1],
        "the state is not of this agent, or of several training seeds at once: give one seed's",
    )
    return tree_bytes(found, description(agent, state))
