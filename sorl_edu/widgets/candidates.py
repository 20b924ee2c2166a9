"""CandidatesExplorer: N candidates of m steps at one state, and which one the critic chooses.

The explorers of actions differ in how they draw them: in the square of a maze's two dimensions
(action_distribution.py), or dimension by dimension (robot_actions.py).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from sorl_edu.agents.agent import Agent, State, check_dials
from sorl_edu.inference import check_budget
from sorl_edu.plotting.style import plural, spread
from sorl_edu.widgets.explorer import Explorer, as_tuple
from sorl_edu.widgets.frame import Parameter


@dataclass(frozen=True, kw_only=True)
class AtState:
    """What the policy of m steps does at one state."""

    actions: Float[np.ndarray, "candidates action"]
    """One draw of the most candidates."""
    q: Float[np.ndarray, " candidates"] | None
    """Their values; None without a critic."""
    chosen: dict[int, Float[np.ndarray, "samples action"]]
    """The best of N candidates in many draws, by N."""

    def first(self, n: int) -> tuple[np.ndarray, np.ndarray | None, int]:
        """The first n candidates, their values, and the index of the chosen one."""
        q = None if self.q is None else self.q[:n]
        return self.actions[:n], q, 0 if q is None else int(q.argmax())


class CandidatesExplorer(Explorer):
    """An explorer over states, steps m and candidates N; computes a state and an m when needed.

    Attributes:
        places: states by name; an observation each.
    """

    places: Mapping[str, Sequence[float] | np.ndarray]

    def __init__(
        self,
        agent: Agent,
        state: State,
        place: str | None,
        key: PRNGKeyArray | None,
        steps: Sequence[int],
        candidates: Sequence[int],
        samples: int,
    ) -> None:
        steps, candidates = as_tuple("steps", steps), as_tuple("candidates", candidates)
        for m in steps:
            check_budget(m, max(candidates), samples)
            check_dials(agent, state, jnp.zeros((1, state.obs_dim)), steps=m, candidates=1)
        self.agent, self.state, self.samples = agent, state, samples
        self.key = jax.random.key(0) if key is None else key
        self.parameters = (
            Parameter("place", "state", tuple(self.places), start=place, slow=True),
            Parameter("steps", "steps m", steps),
            Parameter("candidates", "candidates N", candidates),
        )
        self._computed: dict[tuple[str, int], AtState] = {}

    @abstractmethod
    def compute(self, obs: Float[np.ndarray, " obs"], steps: int) -> AtState:
        """What the policy of m steps does at one observation."""

    def prepare(self, *, place: str, steps: int, **_) -> None:
        if (place, steps) not in self._computed:
            obs = np.asarray(self.places[place], np.float32)
            self._computed[place, steps] = self.compute(obs, steps)

    def choice_text(self, place: str, steps: int, candidates: int) -> str:
        """The chosen action, its value, and how far it varies, in words."""
        shown = self._computed[place, steps]
        actions, q, best = shown.first(candidates)
        value = "" if q is None else f" with Q = {q[best]:.2f}"
        return (
            f"with {plural(steps, 'step')} and {plural(candidates, 'candidate')}, number "
            f"{best + 1} is chosen: ({', '.join(f'{a:.2f}' for a in actions[best])}){value}. "
            f"Over {self.samples} draws the chosen action has spread "
            f"{spread(shown.chosen[candidates]):.2f}."
        )

    def facts(self, *, place: str, steps: int, candidates: int) -> dict[str, Any]:
        shown = self._computed[place, steps]
        actions, q, best = shown.first(candidates)
        return {
            "state": list(map(float, self.places[place])),
            "steps": steps,
            "candidates": candidates,
            "actions": actions.tolist(),
            "q": None if q is None else q.tolist(),
            "chosen": best,
            "spread": spread(shown.chosen[candidates]),
        }
