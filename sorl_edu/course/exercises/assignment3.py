"""Checks of assignment 3: what more candidates would buy, and how to spend a fixed budget.

The second is a game (`play`). A robot must put a cube where it belongs; a *controller* decides
before every action how many inference steps m and candidates N to spend on it, and has a fixed
budget of network evaluations for each episode. It decides and nothing else: the game has the agent,
the environment and the account.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sorl_edu.agents.agent import Agent, State
from sorl_edu.course import shipped
from sorl_edu.course.exercises.exercise import Exercise, Misconception
from sorl_edu.course.exercises.measured import Measured
from sorl_edu.environments.make import make_env
from sorl_edu.environments.rollout import make_environments, rollout
from sorl_edu.errors import check
from sorl_edu.inference import network_evaluations
from sorl_edu.progress import progress_bar

# ------------------------------------------------------------ A3.1 what more candidates would buy


def _expected_best(q: Array, n: int) -> Array:
    """The mean of the largest of n, over all subsets of n of the K rows.

    The i-th smallest is the largest of C(i - 1, n - 1) of the C(K, n) subsets.
    """
    return _weighted(jnp.sort(q, axis=0), _shares(len(q), n))


def _shares(k: int, n: int) -> np.ndarray:
    """Of all subsets of n of k, the share of which the i-th smallest is the largest."""
    return np.array([math.comb(i, n - 1) / math.comb(k, n) for i in range(k)])


def _weighted(q: Array, weight: np.ndarray) -> Array:
    return (q * weight[:, None]).sum(0)


def _values(key: PRNGKeyArray) -> list[tuple[Array, int]]:
    """(q, n): values of K candidates at B observations, (K, B), of which n are to be drawn."""
    keys = jax.random.split(key, 3)
    shapes = ((8, 3, 1), (8, 3, 3), (12, 12, 5))
    return [
        (5 * jax.random.normal(k, (rows, batch)), n)
        for k, (rows, batch, n) in zip(keys, shapes, strict=True)
    ]


def _with_replacement(q: Array, n: int) -> Array:
    k = len(q)
    weight = np.array([((i + 1) / k) ** n - (i / k) ** n for i in range(k)])
    return _weighted(jnp.sort(q, axis=0), weight)


expected_best = Exercise(
    "A3.1",
    _expected_best,
    _values,
    right="Right: every subset of n counts once, and none had to be drawn.",
    misconceptions=(
        Misconception(
            "the first n only",
            "you take the best of the first n candidates. That is one subset of many: the answer "
            "is right on average, and throws away what the other candidates say.",
            lambda q, n: q[:n].max(0),
        ),
        Misconception(
            "the best of all",
            "you take the best of all K candidates, whatever n is.",
            lambda q, n: q.max(0),
        ),
        Misconception(
            "drawn with replacement",
            "your weights, (i/K)^n - ((i-1)/K)^n, let the same candidate be drawn twice. N "
            "candidates are N different draws from the policy, so subsets have no repetition.",
            _with_replacement,
        ),
        Misconception(
            "smallest for largest",
            "you sort the other way round, and get the expected worst of n.",
            lambda q, n: -_expected_best(-q, n),
        ),
        Misconception(
            "sorted along the batch",
            "you sort over the observations. Axis 0 of q counts the candidates of one observation.",
            lambda q, n: _weighted(jnp.sort(q, axis=1), _shares(len(q), n)),
        ),
        Misconception(
            "subsets of n - 1 all told",
            "you divide by another number than C(K, n), so that your weights don't sum to one.",
            lambda q, n: _expected_best(q, n) * math.comb(len(q), n) / math.comb(len(q), n - 1),
        ),
    ),
)

# -------------------------------------------------------------------- A3.2 the best use of a budget

BUDGET = 4
"""Network evaluations for each action of an episode, on average over its time limit."""

STEPS, CANDIDATES = (1, 2, 4, 8), (1, 2, 4, 8, 16, 32)
EPISODES = 8
TASKS, UNSEEN_TASKS = (1, 2), (3, 4, 5)
"""Of cube-single: those to develop on, and those to be graded on."""


@dataclass(frozen=True)
class Situation:
    """What a controller knows of B episodes, which run side by side, before their next action."""

    t: int
    """Actions taken so far."""
    limit: int
    """Actions after which an episode has failed."""
    spare: Float[np.ndarray, " batch"]
    """Network evaluations that may be spent; one for each action to come is set aside."""
    q: Float[np.ndarray, " batch"]
    """Value of the last action; NaN where the critic was not asked (N = 1, and at first)."""
    spread: Float[np.ndarray, " batch"]
    """Standard deviation of the last candidates' values; NaN where the critic was not asked."""


# From a situation to (m, N): numbers, or one for each episode.
Controller = Callable[[Situation], tuple[int | np.ndarray, int | np.ndarray]]


@dataclass
class Player:
    """A policy for `evaluation.rollout` that asks a controller what to spend on each action."""

    agent: Agent
    state: State
    controller: Controller
    limit: int
    budget: float = BUDGET
    played: list[np.ndarray] = field(default_factory=list)
    """(B, 2) for each action: the m and N that were played, after what can't be paid is (1, 1)."""

    def __call__(self, obs: Array | np.ndarray, key: PRNGKeyArray) -> np.ndarray:
        batch, t = len(obs), len(self.played)
        if t == 0:
            self._spare = np.full(batch, (self.budget - 1.0) * self.limit)
            self._q = self._spread = np.full(batch, np.nan)
        situation = Situation(t, self.limit, self._spare.copy(), self._q, self._spread)
        setting = self._affordable(*_allowed(self.controller(situation), batch))
        self.played.append(setting)
        self._spare = self._spare - (costs(setting) - 1)
        actions = np.zeros((batch, self.state.action_dim), np.float32)
        q, spread = np.full(batch, np.nan), np.full(batch, np.nan)
        for m, n in np.unique(setting, axis=0):
            rows = (setting == (m, n)).all(1)
            proposal = _propose(self.agent, self.state, obs, key, int(m), int(n))
            actions[rows] = np.asarray(proposal.action)[rows]
            if n > 1:
                values = np.asarray(proposal.q)[:, rows]
                q[rows], spread[rows] = values.max(0), values.std(0)
        self._q, self._spread = q, spread
        return actions

    def _affordable(self, steps: np.ndarray, candidates: np.ndarray) -> Int[np.ndarray, "batch 2"]:
        setting = np.stack([steps, candidates], axis=1)
        paid = costs(setting) - 1 <= self._spare
        return np.where(paid[:, None], setting, 1)


def play(
    controller: Controller, task: int, *, seed: int = 0, episodes: int = EPISODES
) -> tuple[pd.DataFrame, Int[np.ndarray, "time batch 2"]]:
    """Lets a controller spend the budget in episodes of a task of cube-single, side by side.

    Args:
        controller: from a `Situation` to (m, N), where m is 1, 2, 4 or 8 and N 1, 2, 4, ... 32.
        task: 1 to 5.
        seed: of the starts and of the candidates.
        episodes: B.

    Returns:
        a row per episode, as `evaluation.rollout` has them, and with the network evaluations that
        were spent; and what was played, m and N of each action, those after an episode's end too.

    Raises:
        ConfigError: the controller asks for another m or N.
    """
    agent, state, info = shipped.robot("cube", task)
    limit = make_environments(info.environment, episodes)[0].spec.max_episode_steps
    player = Player(agent, state, controller, limit)
    table, _ = rollout(player, info.environment, episodes=episodes, seed=seed)
    played = np.stack(player.played)
    ran = np.arange(len(played))[:, None] < table.length.to_numpy()
    return table.assign(evaluations=(costs(played) * ran).sum(0)), played


@partial(jax.jit, static_argnums=(0, 4, 5))
def _propose(
    agent: Agent, state: State, obs: Array | np.ndarray, key: PRNGKeyArray, m: int, n: int
):
    return agent.propose(state, obs, key, steps=m, candidates=n)


def _allowed(decision: object, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """A controller's decision, one for each episode."""
    check(
        isinstance(decision, tuple) and len(decision) == 2,
        f"a controller returns two things, (m, N), and not {decision!r}",
    )
    found = []
    for name, value, known in zip("mN", decision, (STEPS, CANDIDATES), strict=True):
        value = np.asarray(value)
        check(
            value.shape in ((), (batch,)) and np.isin(value, known).all(),
            f"{name} must be one of {known}, or an array of them of shape ({batch},); it is "
            f"{value!r}",
        )
        found.append(np.broadcast_to(value, batch).astype(int))
    return found[0], found[1]


def costs(setting: Int[np.ndarray, "*batch 2"]) -> np.ndarray:
    """Network evaluations of settings (m, N)."""
    return np.vectorize(network_evaluations, otypes=[float])(setting[..., 0], setting[..., 1])


def _tasks(seeds: Sequence[int]) -> tuple[int, ...]:
    """A student's check is on the tasks to develop on; the grader's is on the others."""
    return TASKS if list(seeds) == spend.seeds(0) else UNSEEN_TASKS


def _decide(controller: Callable, seeds: Sequence[int]) -> list[list[np.ndarray]]:
    """What a controller played: for each seed, an array for each task."""
    unknown = np.full(EPISODES, np.nan)
    first = Situation(0, 200, np.full(EPISODES, 200.0 * (BUDGET - 1)), unknown, unknown)
    _allowed(controller(first), EPISODES)  # a blank, or a mistake, is told before the games
    made: list[list[np.ndarray]] = [[] for _ in seeds]
    games = progress_bar(_games(seeds), total=len(seeds) * len(_tasks(seeds)), unit="game")
    for i, task in games:
        made[i].append(play(controller, task, seed=seeds[i])[1])
    return made


def _replay(made: Sequence, seeds: Sequence[int]) -> list[float]:
    """Success when the same is played again, where the controller never was.

    A game is the same for the same seed, so that what was decided is all that must be handed over.
    """
    decided = [iter(jax.tree.leaves(played)) for played in made]
    success: list[list[float]] = [[] for _ in seeds]
    for i, task in _games(seeds):
        again = partial(_as_played, np.asarray(next(decided[i])))
        success[i].append(play(again, task, seed=seeds[i])[0].success.mean())
    return [float(np.mean(of_seed)) for of_seed in success]


def _games(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The games of a check: the index of a seed, and a task, whose environments are made once."""
    return ((i, task) for task in _tasks(seeds) for i in range(len(seeds)))


def _as_played(played: Int[np.ndarray, "time batch 2"], situation: Situation) -> tuple:
    return tuple(played[situation.t].T)


spend = Measured(
    "A3.2",
    _decide,
    _replay,
    quantity="success",
    goal=0.62,
    baseline=0.5,
    runs=5,
    prepare=lambda: make_env("cube-single-singletask-v0"),
)
