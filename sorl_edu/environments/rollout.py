"""Roll-outs: one policy in many environments, stepped in lock-step.

reset every environment of a batch to its episode's seed
until every episode has ended:
    decision = policy(observations, key of this step)        # one call for the whole batch
    step the environments whose episodes still run           # h times, if a decision is h actions
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt

from sorl_edu.environments.make import (
    PhysicsState,
    kind_of,
    make_envs,
    numpy_seeded,
    parse_name,
    reset,
    set_state,
)
from sorl_edu.environments.recording import Recording, Track, joined
from sorl_edu.errors import check
from sorl_edu.inference import Proposal

# policy(obs, key): (batch, obs) to actions (batch, action), or to a Proposal (its action is taken).
Policy = Callable[[Float[np.ndarray, "batch obs"], PRNGKeyArray], Array | np.ndarray | Proposal]


@dataclass(frozen=True)
class Moment:
    """A batch of episodes before a step, or after the last one."""

    time: int
    """Steps taken so far."""
    episodes: Int[np.ndarray, " batch"]
    """The numbers of the episodes."""
    environments: tuple
    """The environment of each episode: to look at or to draw, not to step."""
    running: Bool[np.ndarray, " batch"]
    """Whether each episode still runs. The environment of one that has ended stands still."""
    observations: Float[np.ndarray, "batch obs"]
    """The current observation of each episode, the final one if it has ended."""
    decision: Any
    """What the policy returned for these observations, None after the last step.

    It may have more rows than there are episodes; the first rows are theirs.
    """


OnStep = Callable[[Moment], object]

_kept: dict[tuple[str, int], tuple] = {}  # what `make_environments` created last


def make_environments(name: str, count: int | np.integer) -> tuple:
    """`count` OGBench environments of a dataset's name, kept until others are requested.

    The old environments are closed before new ones are created: a robot takes over 100 MB.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or count is below 1.
    """
    check(count >= 1, f"episodes must be at least 1, got {count}")
    _, env_id = parse_name(name)
    if (name, count) not in _kept:
        _let_go()
        _kept[name, count] = make_envs(env_id, int(count))
    return _kept[name, count]


def _let_go() -> None:
    """Closes the environments that are kept; in a function, so that no local name keeps one."""
    for environments in _kept.values():
        for env in environments:
            env.close()
    _kept.clear()
    gc.collect()  # an environment refers to itself


def parallel_environments(environment: str, episodes: int | np.integer) -> int:
    """How many environments of a name are stepped together to run this many episodes.

    Raises:
        UnknownName, ConfigError: see `make.parse_name`.
    """
    parse_name(environment)
    most = kind_of(environment).most_at_once
    return int(episodes if most is None else min(episodes, most))


def rollout(
    policy: Policy,
    environment: str,
    *,
    episodes: int | np.integer,
    seed: int | np.integer = 0,
    starts: Sequence[PhysicsState] | None = None,
    on_step: OnStep | None = None,
    record: bool = False,
    limit: int | None = None,
    horizon: int = 1,
) -> tuple[pd.DataFrame, Recording | None]:
    """Runs episodes in lock-step, so that one policy call serves many.

    PointMazes run all at once, other environments in batches of at most `make.MOST_AT_ONCE`.

    Args:
        policy: called once per decision with the observations of all environments of a batch.
            After an episode has ended its row stays, and its action is ignored.
        environment: an official OGBench single-task name.
        episodes: number of episodes; the same seed and number give an episode the same start.
        seed: seed of start states and of the policy's keys.
        starts: a physics state for each episode, which replaces its start state (not its task).
        on_step: called with a `Moment` before every step, and again after the last step of a batch.
        record: also return the episodes.
        limit: a time limit below the environment's own.
        horizon: steps that a decision covers; its actions are that many side by side, played from
            first to last.

    Returns:
        A row per episode: episode, success (0 or 1), return and length; with `record` also the
        recording.

        `length` is the number of environment steps of the episode, the step that reports the
        success included; a failed episode counts its time limit. Since version 1.2, OGBench judges
        success in the state before a step, so the goal is reached one step earlier: in the state
        `recording.observations[e, length - 1]`. Results published with earlier versions count
        `length - 1` steps.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, episodes is below 1, starts has another length, or limit
            is not from 1 to the environment's own; horizon is below 1.
        DataError: a start state does not fit the environment.
    """
    check(
        starts is None or len(starts) == episodes,
        f"starts must hold a state for each of {episodes} episodes, got {len(starts or ())}",
    )
    environments = make_environments(environment, parallel_environments(environment, episodes))
    longest = environments[0].spec.max_episode_steps
    limit = longest if limit is None else limit
    check(1 <= limit <= longest, f"limit must be from 1 to {longest}, got {limit}")
    check(horizon >= 1, f"horizon must be at least 1, got {horizon}")
    episode_seeds = np.random.SeedSequence(seed).generate_state(episodes)
    size, tables, recordings = len(environments), [], []
    with numpy_seeded(seed), stepper(environment) as step_all:
        for batch, first in enumerate(range(0, episodes, size)):
            numbers = np.arange(first, min(first + size, episodes))
            table, recording = _batch_of_episodes(
                policy,
                environments,
                step_all,
                numbers,
                episode_seeds[numbers],
                None if starts is None else starts[first : first + size],
                jax.random.key(seed),
                batch,
                on_step,
                record,
                limit,
                horizon,
            )
            tables.append(table)
            recordings.append(recording)
    table = pd.concat(tables, ignore_index=True)
    return table, joined(recordings) if record else None


_key_of_step = jax.jit(jax.random.fold_in)  # compiled, it takes an eighth of the time


def _batch_of_episodes(
    policy: Policy,
    environments: tuple,
    step_all: Callable,
    numbers: Int[np.ndarray, " batch"],
    seeds: UInt[np.ndarray, " batch"],
    starts: Sequence[PhysicsState] | None,
    key: PRNGKeyArray,
    batch: int,
    on_step: OnStep | None,
    record: bool,
    limit: int,
    horizon: int,
) -> tuple[pd.DataFrame, Recording | None]:
    """One episode in each environment, or in the first of them if there are fewer episodes."""
    episodes = len(numbers)
    success = np.zeros(episodes, bool)
    returns = np.zeros(episodes)
    lengths = np.full(episodes, float(limit))
    running = np.ones(episodes, bool)
    # A policy is compiled for one batch size, so environments that stand idle have rows, too.
    obs = np.zeros((len(environments), *environments[0].observation_space.shape), np.float32)
    for e, episode_seed in enumerate(map(int, seeds)):
        obs[e] = reset(environments[e], episode_seed)
        if starts is not None:
            obs[e] = set_state(environments[e], starts[e])

    def watch(t: int, decision: Any) -> None:
        if on_step is not None:
            own = environments[:episodes], running.copy(), obs[:episodes].copy()
            on_step(Moment(t, numbers, *own, decision))

    track = Track(obs[:episodes])
    for t in range(limit):
        if t % horizon == 0:
            decision = policy(obs, _key_of_step(key, limit * batch + t))
            chosen = decision.action if isinstance(decision, Proposal) else decision
            plan = np.split(np.asarray(chosen), horizon, axis=1)
        watch(t, decision)
        actions = plan[t % horizon]
        alive = np.flatnonzero(running)
        outcomes = step_all([environments[e] for e in alive], actions[alive])
        rewards, masks = np.zeros(episodes), np.ones(episodes)
        for e, (next_obs, reward, terminated, truncated, info) in zip(alive, outcomes, strict=True):
            obs[e] = next_obs
            rewards[e], masks[e] = reward, not terminated
            returns[e] += reward
            success[e] |= info.get("success", 0) > 0
            if terminated or truncated:
                running[e] = False
                lengths[e] = t + 1 if success[e] else limit
        if record:
            track.add(alive, actions[:episodes], rewards, masks, obs[:episodes])
        if not running.any():
            break
    watch(t + 1, None)
    table = pd.DataFrame(
        {
            "episode": numbers,
            "success": success.astype(float),
            "return": returns,
            "length": lengths,
        }
    )
    return table, track.recording() if record else None


def seconds_per_step(environment: str, episodes: int, *, steps: int = 10) -> float:
    """Seconds that a step of all environments of a batch takes here, without the policy."""
    environments = make_environments(environment, parallel_environments(environment, episodes))
    for env in environments:
        env.reset(seed=0)
    actions = np.zeros((len(environments), environments[0].action_space.shape[0]), np.float32)
    with numpy_seeded(0), stepper(environment) as step_all:
        start = time.perf_counter()
        for _ in range(steps):
            step_all(environments, actions)
        return (time.perf_counter() - start) / steps


@contextlib.contextmanager
def stepper(environment: str) -> Iterator[Callable]:
    """A function of environments and actions that steps each and returns the outcomes in order."""

    def step(pairs: Sequence[tuple]) -> list[tuple]:
        return [env.step(action) for env, action in pairs]

    if not kind_of(environment).uses_threads:
        yield lambda envs, actions: step(list(zip(envs, actions, strict=True)))
        return
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:

        def step_all(envs: Sequence, actions: np.ndarray) -> list[tuple]:
            pairs = list(zip(envs, actions, strict=True))
            size = -(-len(pairs) // cores)
            shares = [pairs[i : i + size] for i in range(0, len(pairs), size)]
            return [outcome for share in pool.map(step, shares) for outcome in share]

        yield step_all
