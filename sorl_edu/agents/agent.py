"""What every agent has, so that training, evaluation, plots and widgets work with any of them.

An agent is a frozen dataclass of hyper-parameters: it holds nothing that is learned. What is
learned is a state, a pytree, that goes in and comes out. A student's own agent needs no base
class, only these methods.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.datasets.transitions import Batch, Transitions
from sorl_edu.inference import Proposal

State = Any
Metrics = dict[str, Array]


@runtime_checkable
class Agent(Protocol):
    batch_size: int

    def prepare(self, data: Transitions) -> Transitions:
        """The dataset as this agent learns from it (n-step returns, say); done once."""

    def init(self, key: PRNGKeyArray, data: Transitions) -> State:
        """Fresh parameters; shapes and observation statistics come from `data`."""

    def update(
        self, state: State, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> tuple[State, Metrics]:
        """One update: pure, and fit for jit, scan and vmap.

        `shared_key` is the same for all seeds that are trained together. What must not differ
        between them (a drawn number of steps, which picks a branch) is drawn from it, and nothing
        else is.
        """

    def losses(
        self, state: State, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> Metrics:
        """The metrics of `update` without learning, for a validation split."""

    def propose(
        self,
        state: State,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Proposal:
        """N candidates of m steps for every observation, their values, and the chosen one."""

    def act(
        self,
        state: State,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Float[Array, "batch action"]:
        """The chosen candidate."""
