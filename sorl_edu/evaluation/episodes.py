"""Roll-outs in the real environment, many at once, and what may be concluded from them.

`evaluate` steps a batch of environments in lock-step, with one policy call for all of them. Episode
e of a seed always starts from the same state, whatever the setting, so that settings are compared
in pairs. `sweep` evaluates a grid of inference steps x N x training seeds; `summarize` and
`paired_difference` turn its episodes into numbers with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, PRNGKeyArray

from sorl_edu.agents.agent import Agent, State
from sorl_edu.errors import DataError, check
from sorl_edu.inference import check_budget
from sorl_edu.progress import progress_bar
from sorl_edu.training import seed_state


@partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def act(
    agent: Agent, state: State, obs: Array, key: PRNGKeyArray, *, steps: int, candidates: int
) -> Array:
    """`agent.act`, compiled once per agent and setting."""
    return agent.act(state, obs, key, steps=steps, candidates=candidates)


def evaluate(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int,
    candidates: int = 1,
    episodes: int = 50,
    seed: int = 0,
    record: bool = False,
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """`rollout` of an agent with m inference steps and N candidates.

    Raises:
        ConfigError: steps or candidates are out of range.
        DataError: the environment's observations or actions aren't what the agent was trained on.
    """
    check_budget(steps, candidates, episodes)
    check_environment(state, environment, episodes)
    policy = partial(act, agent, state, steps=steps, candidates=candidates)
    return rollout(policy, environment, episodes=episodes, seed=seed, record=record)


def check_environment(state: State, environment: str, episodes: int = 1) -> None:
    """Raises DataError unless the environment's widths are those of the agent."""
    env = make_environments(environment, at_once(environment, episodes))[0]
    theirs = env.observation_space.shape[0], env.action_space.shape[0]
    ours = state.encoder.mean.shape[-1], state.action_dim
    check(
        ours == theirs,
        f"the agent was trained on {ours[0]}-wide observations and {ours[1]}-wide actions, but "
        f"{environment} has {theirs[0]} and {theirs[1]}",
        DataError,
    )


def sweep(
    agent: Agent,
    states: State,
    environment: str,
    *,
    steps: Sequence[int] = (1, 2, 4, 8),
    candidates: Sequence[int] = (1, 8, 32),
    episodes: int = 50,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Every setting of a grid, for every training seed, from the same starts.

    Args:
        states: stacked states of `train_seeds` (leading axis: training seeds).
        others: see `rollout`.

    Returns:
        a row per (training_seed, steps, candidates, episode) with success, return and length.
    """
    for m in steps:
        for n in candidates:
            check_budget(m, n, episodes)
    seeds = jax.tree.leaves(states)[0].shape[0]
    settings = [(i, m, n) for i in range(seeds) for m in steps for n in candidates]
    tables = []
    for i, m, n in progress_bar(settings, unit="cell", show=progress, desc="sweep"):
        table, _ = evaluate(
            agent,
            seed_state(states, i),
            environment,
            steps=m,
            candidates=n,
            episodes=episodes,
            seed=seed,
        )
        tables.append(table.assign(training_seed=i, steps=m, candidates=n))
    columns = ["training_seed", "steps", "candidates", "episode", "success", "return", "length"]
    return pd.concat(tables, ignore_index=True)[columns]
