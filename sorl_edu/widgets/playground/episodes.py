"""Play in a notebook: episodes side by side in the real environment, with noise that is given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sorl_edu import inference
from sorl_edu.agents.agent import Agent, HasCritic, State
from sorl_edu.environments.make import (
    PhysicsState,
    get_state,
    make_envs,
    parse_name,
    reset,
    set_state,
)
from sorl_edu.flow_matching import integrate

Position = list[float]


@partial(jax.jit, static_argnames=("agent", "steps"))
def chosen_action(
    agent: Agent,
    state: State,
    obs: Float[Array | np.ndarray, "1 obs"],
    noise: Float[Array | np.ndarray, "candidate 1 action"],
    *,
    steps: int,
) -> Float[Array, " action"]:
    """The action that `agent.propose` chooses for this noise; without a critic, the first one.

    Args:
        agent: a flow's, which has `flow`.
        steps: m.
    """
    field = agent.flow(state, steps=steps)
    value = partial(agent.value, state, steps=steps) if isinstance(agent, HasCritic) else None
    sample = lambda obs, noise: jnp.clip(integrate(field, obs, noise, steps), -1, 1)  # noqa: E731
    proposal = inference.propose(sample, value, obs, noise)
    return (proposal.actions[0] if value is None else proposal.action)[0]


class Episodes:
    """One agent at several settings (m, N), from the same start and with the same noise.

    The environments are created when they are first needed.

    Args:
        agent, state: one that the playground runs.
        environment: an official OGBench name of a maze.
    """

    def __init__(self, agent: Agent, state: State, environment: str) -> None:
        self.agent, self.state = agent, state
        _, self.env_id = parse_name(environment)
        self.envs: tuple = ()

    def begin(self, settings: Sequence[Sequence[int]], position: Sequence[float]) -> list[Position]:
        """Begins an episode for each setting (m, N), at rest in this position.

        It also compiles the policies, which takes seconds at the first time.
        """
        if len(self.envs) != len(settings):
            for env in self.envs:
                env.close()
            self.envs = make_envs(self.env_id, len(settings))
        self.settings = [tuple(setting) for setting in settings]
        self.arrived, self.over = ([False] * len(settings) for _ in range(2))
        self.obs = []
        for env in self.envs:
            reset(env, 0)
            self.obs.append(set_state(env, PhysicsState(np.array(position, float), np.zeros(2))))
        for i, (_, n) in enumerate(self.settings):
            self._action(i, np.zeros((n, self.state.action_dim), np.float32))
        return [get_state(env).qpos.tolist() for env in self.envs]

    def advance(self, noise: Float[np.ndarray, "time candidate action"]) -> list[dict]:
        """Makes a step for each row of noise in every episode, until it is over.

        An episode of N candidates takes the first N of a row.

        Returns:
            for each episode {"path": the new positions, "arrived", "over"}.
        """
        return [self._advance(i, noise) for i in range(len(self.envs))]

    def _advance(self, i: int, noise: np.ndarray) -> dict:
        env, (_, n), path = self.envs[i], self.settings[i], []
        for candidates in noise[:, :n]:
            if self.over[i]:
                break
            self.obs[i], _, arrived, late, _ = env.step(self._action(i, candidates))
            self.arrived[i], self.over[i] = bool(arrived), bool(arrived or late)
            path.append(get_state(env).qpos.tolist())
        return {"path": path, "arrived": self.arrived[i], "over": self.over[i]}

    def _action(self, i: int, noise: np.ndarray) -> np.ndarray:
        obs, (m, _) = np.asarray(self.obs[i], np.float32)[None], self.settings[i]
        return np.asarray(chosen_action(self.agent, self.state, obs, noise[:, None], steps=m))
