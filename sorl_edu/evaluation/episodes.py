"""Episodes of an agent in its environment, for one setting or for a grid of settings.

`evaluate` runs an agent with m inference steps and N candidates. Episode e of a seed starts from
the same state whatever the setting, so that settings are compared in pairs. `sweep` evaluates a
grid of inference steps x N x training seeds; `summarize` and `paired_difference`, in
`evaluation.statistics`, turn its episodes into numbers with intervals.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu.agents.agent import Agent, State, act, check_dials, steps_per_decision
from sorl_edu.environments.rollout import (
    OnStep,
    Recording,
    make_environments,
    parallel_environments,
    rollout,
)
from sorl_edu.errors import DataError, check
from sorl_edu.inference import check_budget
from sorl_edu.progress import progress_bar
from sorl_edu.training import seed_state


def evaluate(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int | np.integer,
    candidates: int | np.integer = 1,
    episodes: int | np.integer = 50,
    seed: int | np.integer = 0,
    record: bool = False,
    on_step: OnStep | None = None,
) -> tuple[pd.DataFrame, Recording | None]:
    """`rollout` of an agent with m inference steps and N candidates.

    Args:
        steps, candidates: m and N.
        others: see `environments.rollout.rollout`.

    Returns:
        a row per episode: episode, success, return, length; and with `record` the recording.

    Raises:
        ConfigError: steps, candidates or episodes is out of range, or the agent can't choose among
            several candidates.
        DataError: the environment's observations or actions have other widths than the agent's.
    """
    check_budget(steps, candidates, episodes)
    horizon = steps_per_decision(agent)
    check_environment(state, environment, episodes, horizon=horizon)
    policy = partial(act, agent, state, steps=int(steps), candidates=int(candidates))
    return rollout(
        policy,
        environment,
        episodes=episodes,
        seed=seed,
        record=record,
        on_step=on_step,
        horizon=horizon,
    )


def check_environment(
    state: State, environment: str, episodes: int | np.integer = 1, *, horizon: int = 1
) -> None:
    """Raises DataError unless the environment has the widths that the agent was trained on.

    An agent in chunks of `horizon` actions learned from as many of them side by side.
    """
    env = make_environments(environment, parallel_environments(environment, episodes))[0]
    obs_dim, action_dim = env.observation_space.shape[0], env.action_space.shape[0]
    trained = state.action_dim / horizon
    check(
        (state.obs_dim, trained) == (obs_dim, action_dim),
        f"the agent was trained on {state.obs_dim}-wide observations and {trained:g}-wide "
        f"actions, but {environment} has {obs_dim} and {action_dim}",
        DataError,
    )


def sweep(
    agent: Agent,
    states: State,
    environment: str,
    *,
    steps: Sequence[int] | np.ndarray = (1, 2, 4, 8),
    candidates: Sequence[int] | np.ndarray = (1, 8, 32),
    episodes: int | np.integer = 50,
    seed: int | np.integer = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Evaluates every setting of a grid, for every training seed, from the same start states.

    Args:
        states: stacked states of `train_seeds` (leading axis: training seeds).
        steps, candidates: the values of m and of N.
        episodes, seed: see `environments.rollout.rollout`.
        progress: show a progress bar.

    Returns:
        a row per (training_seed, steps, candidates, episode) with success, return and length.

    Raises:
        ConfigError, DataError: as `evaluate`.
    """
    first = seed_state(states, 0)
    for m, n in itertools.product(steps, candidates):
        check_budget(m, n, episodes)
        check_dials(agent, first, jnp.zeros((1, first.obs_dim)), steps=int(m), candidates=int(n))
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
