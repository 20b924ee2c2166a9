"""Action chunks: any agent decides on the next h actions at once, and plays them without looking.

    agent = chunked(BFN(), 5)

The agent itself is unchanged, and sees another dataset: an action is h actions in a row, a reward
is the discounted sum of h rewards, and the next observation lies h transitions later.

    a_i   ->  (a_i, a_{i+1}, ..., a_{i+h-1})
    y     =   r_i + gamma r_{i+1} + ... + gamma^{h-1} r_{i+h-1} + gamma^h mask Q'(o_{i+h}, a')

A chunk that would reach over its trajectory's end is not in the data. One in which the task ends
is, and nothing is bootstrapped after it. Unlike n-step returns for single actions, the target is
without bias: the h actions are those that Q is asked about.

Source: Li, Zhou and Levine, Reinforcement Learning with Action Chunking, 2025, arXiv 2507.07969.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache

from sorl_edu.agents.agent import Agent
from sorl_edu.errors import check


@dataclass(frozen=True)
class Chunked:
    """The methods of an agent in chunks; `chunked` makes one."""

    horizon: int
    """h, the environment steps that one decision covers."""

    def __post_init__(self) -> None:
        check(self.horizon >= 1, f"horizon must be at least 1, got {self.horizon}")
        for name in ("batch_size", "init", "update", "losses", "propose", "value", "flow"):
            if hasattr(self.agent, name):  # all but its data is the agent's own
                object.__setattr__(self, name, getattr(self.agent, name))

    def prepare(self, data):
        return self.agent.prepare(data).with_action_chunks(self.horizon)


@cache
def chunked_class(kind: type) -> type:
    """The class of agents of this kind in chunks, as files name it."""
    return make_dataclass(
        f"Chunked{kind.__name__}", [("agent", kind)], bases=(Chunked,), frozen=True
    )


def chunked(agent: Agent, horizon: int) -> Agent:
    """The agent in chunks of `horizon` actions.

    Its returns sum as many rewards, so a setting `n_step` of the agent gets that value. With it,
    `evaluate`, `sweep` and `video` play each chunk to its end before they ask for the next.

    Args:
        agent: any agent.
        horizon: h, at least 1.

    Raises:
        ConfigError: horizon is below 1.
    """
    if "n_step" in {field.name for field in fields(agent)}:
        agent = replace(agent, n_step=max(horizon, 1))
    return chunked_class(type(agent))(horizon=horizon, agent=agent)
