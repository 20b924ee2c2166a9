"""Roll-outs: a policy in many environments at once, in lock-step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.environments.make import make_env, numpy_seeded, parse_name
from sorl_edu.errors import check

# policy(obs, key) to actions: (batch, obs) to (batch, action)
Policy = Callable[[Float[Array, "batch obs"], PRNGKeyArray], Float[Array, "batch action"]]


ROBOTS_AT_ONCE = 16


_kept: dict[tuple[str, int], tuple] = {}  # what `make_environments` made last


def make_environments(name: str, count: int) -> tuple:
    """`count` OGBench environments of a dataset's name, kept until it is called with others.

    Those go before the new ones come, since robots take over 100 MB each.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or count is below 1.
    """
    check(count >= 1, f"episodes must be at least 1, got {count}")
    _, env_id = parse_name(name)
    if (name, count) not in _kept:
        _kept.clear()
        _kept[name, count] = tuple(make_env(env_id) for _ in range(count))
    return _kept[name, count]


def rollout(
    policy: Policy,
    environment: str,
    *,
    episodes: int,
    seed: int = 0,
    record: bool = False,
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Runs episodes in lock-step, so that one policy call serves many.

    All mazes run at once. Of robots, which take over 100 MB each, `ROBOTS_AT_ONCE` do, in waves.

    Args:
        policy: called once per step with the observations of all environments.
        environment: an official OGBench single-task name.
        episodes: how many; episode e starts from the same state for the same seed and e.
        seed: of the starts, and of the policy's randomness.
        record: also return the observations.

    Returns:
        a row per episode: episode, success (0 or 1), return, length in steps (a failed episode
        counts its time limit); and with `record` the observations (episode, time, obs), NaN after
        an episode's end.
    """
    environments = make_environments(environment, at_once(environment, episodes))
    episode_seeds = np.random.SeedSequence(seed).generate_state(episodes)
    size, tables, tracks = len(environments), [], []
    with numpy_seeded(seed), _stepper(environment) as step_all:
        for wave, first in enumerate(range(0, episodes, size)):
            table, track = _wave(
                policy,
                environments,
                step_all,
                episode_seeds[first : first + size],
                jax.random.key(seed),
                wave,
            )
            tables.append(table)
            tracks.append(track)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "episode", np.arange(episodes))
    if not record:
        return table, None
    longest = max(track.shape[1] for track in tracks)
    filled = [
        np.pad(track, [(0, 0), (0, longest - track.shape[1]), (0, 0)], constant_values=np.nan)
        for track in tracks
    ]
    return table, np.concatenate(filled)


def start(env, seed: int) -> np.ndarray:
    """Resets an environment; the same seed gives the same first observation, and what follows.

    A robot's reset takes two random steps with a generator that can't be seeded. All that they
    leave behind is where MuJoCo's solver begins to look, which shows in the last digits.
    """
    with numpy_seeded(seed):
        env.action_space.seed(seed)
        obs, _ = env.reset(seed=seed)
    bare = env.unwrapped
    if hasattr(bare, "_ik"):  # a robot
        import mujoco

        bare._data.qacc_warmstart[:] = 0
        mujoco.mj_forward(bare._model, bare._data)
        obs = bare.compute_observation()
    return np.asarray(obs, np.float32)


def at_once(environment: str, episodes: int) -> int:
    """How many environments of a kind are stepped together."""
    return episodes if "maze" in environment else min(episodes, ROBOTS_AT_ONCE)


_key_of_step = jax.jit(jax.random.fold_in)  # compiled, it takes an eighth of the time


def _wave(
    policy: Policy,
    environments: Sequence,
    step_all: Callable,
    seeds: np.ndarray,
    key: PRNGKeyArray,
    wave: int,
) -> tuple[pd.DataFrame, np.ndarray]:
    """One episode in each environment, or in the first of them if there are fewer seeds."""
    episodes, limit = len(seeds), environments[0].spec.max_episode_steps
    success = np.zeros(episodes, bool)
    returns = np.zeros(episodes)
    lengths = np.full(episodes, limit)
    running = np.ones(episodes, bool)
    # All rows, also those of environments that stand idle: a policy is compiled for one batch size.
    obs = np.zeros((len(environments), *environments[0].observation_space.shape), np.float32)
    for e, episode_seed in enumerate(map(int, seeds)):
        obs[e] = start(environments[e], episode_seed)
    track = [obs[:episodes].copy()]
    for t in range(limit):
        actions = np.asarray(policy(obs, _key_of_step(key, limit * wave + t)))
        stepped = running.copy()
        alive = np.flatnonzero(stepped)
        outcomes = step_all([environments[e] for e in alive], actions[alive])
        for e, (next_obs, reward, terminated, truncated, info) in zip(alive, outcomes, strict=True):
            obs[e] = next_obs
            returns[e] += reward
            success[e] |= info.get("success", 0) > 0
            if terminated or truncated:
                running[e] = False
                lengths[e] = t + 1 if success[e] else limit
        track.append(np.where(stepped[:, None], obs[:episodes], np.nan))
        if not running.any():
            break
    table = pd.DataFrame(
        {
            "success": success.astype(float),
            "return": returns,
            "length": lengths.astype(float),
        }
    )
    return table, np.stack(track, 1)


def seconds_per_step(environment: str, episodes: int, *, steps: int = 10) -> float:
    """How long a step of all that run at once takes here, without the policy; a measurement."""
    environments = make_environments(environment, at_once(environment, episodes))
    for env in environments:
        env.reset(seed=0)
    actions = np.zeros((len(environments), environments[0].action_space.shape[0]), np.float32)
    with numpy_seeded(0), _stepper(environment) as step_all:
        start = time.perf_counter()
        for _ in range(steps):
            step_all(environments, actions)
        return (time.perf_counter() - start) / steps


@contextlib.contextmanager
def _stepper(environment: str) -> Iterator[Callable]:
    """A function of environments and actions to the outcomes of a step of each.

    A robot's step is long, and MuJoCo lets go of the interpreter meanwhile: all cores step at once.
    A maze's is short, and draws from numpy's global generator, whose order threads would mix up.
    """

    def step(pairs: Sequence[tuple]) -> list[tuple]:
        return [env.step(action) for env, action in pairs]

    if "maze" in environment:
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
