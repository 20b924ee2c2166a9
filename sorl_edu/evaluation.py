"""Roll-outs in the real environment, many at once, and what may be concluded from them.

`evaluate` steps a batch of environments in lock-step, with one policy call for all of them. Episode
e of a seed always starts from the same state, whatever the setting, so that settings are compared
in pairs. `sweep` evaluates a grid of inference steps x N x training seeds; `summarize` and
`paired_difference` turn its episodes into numbers with intervals.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.agents.protocol import Agent, State
from sorl_edu.datasets.environments import make_env
from sorl_edu.datasets.ogbench import parse_name
from sorl_edu.datasets.seeding import numpy_seeded
from sorl_edu.errors import DataError, check
from sorl_edu.inference import check_budget
from sorl_edu.progress import progress_bar
from sorl_edu.training import seed_state

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


def t_interval(
    values: Sequence[float] | np.ndarray | pd.Series, confidence: float = 0.95
) -> tuple[float, float]:
    """Student's interval for a mean; (nan, nan) for fewer than two values."""
    from scipy import stats

    values = np.asarray(values, float)
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return values.mean() - half, values.mean() + half


def wilson_interval(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a proportion, which stays in [0, 1] and behaves at 0 and 1.

    Source: E. B. Wilson, Probable inference, JASA 22, 1927.
    """
    from scipy import stats

    result = stats.binomtest(round(successes), trials).proportion_ci(confidence, method="wilson")
    return result.low, result.high


def summarize(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row per (steps, candidates): means, and 95% intervals that say what they are over.

    With several training seeds an interval is Student's over the seeds' means: it covers what
    another seed would give. With one seed it is over episodes (Wilson's for success, Student's for
    the others): it covers what other starts would give, for this one agent.
    """
    rows = []
    for (m, n), cell in episodes.groupby(["steps", "candidates"]):
        seeds = cell.training_seed.nunique()
        row = {"steps": m, "candidates": n}
        for metric in ("success", "return", "length"):
            if seeds > 1:
                low, high = t_interval(cell.groupby("training_seed")[metric].mean())
            elif metric == "success":
                low, high = wilson_interval(cell[metric].sum(), len(cell))
            else:
                low, high = t_interval(cell[metric])
            if metric == "success":
                low, high = max(low, 0.0), min(high, 1.0)
            row |= {metric: cell[metric].mean(), f"{metric}_low": low, f"{metric}_high": high}
        over = f"{seeds} training seeds" if seeds > 1 else f"{len(cell)} episodes of one seed"
        rows.append(row | {"episodes": len(cell), "seeds": seeds, "interval": f"95% over {over}"})
    return pd.DataFrame(rows)


def as_text(summary: pd.DataFrame) -> str:
    """A summary as a table to print, a row per setting."""
    metrics = {"success": ".2f", "return": ".1f", "length": ".1f"}
    lines = [f"{'steps':>5} {'N':>4}" + "".join(f"  {metric:^24}" for metric in metrics)]
    for _, row in summary.iterrows():
        cells = [
            f"{row[metric]:{form}} [{row[f'{metric}_low']:{form}}, {row[f'{metric}_high']:{form}}]"
            for metric, form in metrics.items()
        ]
        lines.append(
            f"{row.steps:>5} {row.candidates:>4}" + "".join(f"  {cell:^24}" for cell in cells)
        )
    lines.append(f"[{summary.interval.iloc[0]}; an episode that fails counts its time limit]")
    return "\n".join(lines)


def paired_difference(
    episodes: pd.DataFrame, metric: str, *, better: dict, worse: dict
) -> dict[str, float]:
    """Mean of (`better` - `worse`) for settings that share starts, with a 95% interval over seeds.

    Args:
        episodes: rows as `sweep` gives them; other columns may tell settings apart, too.
        metric: "success", "return" or "length".
        better, worse: column values that select each setting, {"steps": 8, "candidates": 1}.

    Returns:
        difference, low, high, seeds, episodes; Student's interval over the training seeds' paired
        means, each over the same starts.

    Raises:
        DataError: the settings don't have the same seeds and episodes.
    """

    def select(setting: dict) -> pd.Series:
        chosen = episodes
        for column, value in setting.items():
            chosen = chosen[chosen[column] == value]
        return chosen.set_index(["training_seed", "episode"])[metric].sort_index()

    one, other = select(better), select(worse)
    check(
        len(one) > 0 and one.index.is_unique and one.index.equals(other.index),
        f"{better} and {worse} don't pair: each needs one row per training seed and episode, "
        f"the same ones (there are {len(one)} and {len(other)})",
        DataError,
    )
    per_seed = (one - other).groupby("training_seed").mean()
    low, high = t_interval(per_seed)
    return {
        "difference": float(per_seed.mean()),
        "low": float(low),
        "high": float(high),
        "seeds": len(per_seed),
        "episodes": len(one),
    }
