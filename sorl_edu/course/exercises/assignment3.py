"""Checks of assignment 3: what more candidates would buy, and how to spend a fixed budget.

The second is a game (`play`). A robot must put a cube where it belongs, soon. Before every action a
*controller* decides how many inference steps m and candidates N to spend on it. Each episode has a
fixed account of network evaluations, and has failed once the account is empty. A controller only
decides: the game has the agent, the environment and the account.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sorl_edu.agents.agent import Agent, State, propose
from sorl_edu.course import shipped
from sorl_edu.course.exercises.attempt import Ask
from sorl_edu.course.exercises.exercise import Exercise, Misconception
from sorl_edu.course.exercises.given import OBSERVED, Situation
from sorl_edu.course.exercises.measured import Measured
from sorl_edu.environments.make import MOST_AT_ONCE
from sorl_edu.environments.rollout import Moment, rollout
from sorl_edu.errors import check
from sorl_edu.inference import network_evaluations
from sorl_edu.progress import progress_bar

# ------------------------------------------------------------ A3.1 what more candidates would buy


def _expected_best(q: Float[Array, "K batch"], n: int) -> Array:
    """The mean of the largest of n values, over all subsets of n of the K rows.

    The i-th smallest value is the largest of C(i - 1, n - 1) of the C(K, n) subsets.
    """
    return _weighted(jnp.sort(q, axis=0), _shares(len(q), n))


def _shares(k: int, n: int, *, first: int = 0) -> np.ndarray:
    """The share of all subsets of n of k values whose largest is the i-th smallest.

    `first` is the number of values below the smallest one, if they are miscounted.
    """
    return np.array([math.comb(first + i, n - 1) / math.comb(k, n) for i in range(k)])


def _weighted(q: Array, weight: np.ndarray) -> Array:
    return (q * weight[:, None]).sum(0)


def _expected_best_cases(key: PRNGKeyArray) -> list[tuple[Array, int]]:
    """(q, n): values of K candidates at B observations, (K, B), and the size of the subsets."""
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
    number="A3.1",
    parts=("the expected best",),
    solution=_expected_best,
    cases=_expected_best_cases,
    right="Right: every subset of n counts once, and none had to be drawn.",
    misconceptions=(
        Misconception(
            "the first n only",
            "you take the best of the first n candidates. They are one subset of many: the answer "
            "is right on average, and ignores the information in the other candidates.",
            lambda q, n: q[:n].max(0),
        ),
        Misconception(
            "the best of all",
            "you take the best of all K candidates for every n.",
            lambda q, n: q.max(0),
        ),
        Misconception(
            "drawn with replacement",
            "your weights, (i/K)^n - ((i-1)/K)^n, allow the same candidate to be drawn twice. N "
            "candidates are N different draws from the policy, so subsets have no repetition.",
            _with_replacement,
        ),
        Misconception(
            "smallest for largest",
            "you sort in the opposite order, and get the expected worst of n.",
            lambda q, n: -_expected_best(-q, n),
        ),
        Misconception(
            "sorted along the batch",
            "you sort over the observations. Axis 0 of q counts the candidates of one observation.",
            lambda q, n: _weighted(jnp.sort(q, axis=1), _shares(len(q), n)),
        ),
        Misconception(
            "divided by the number of subsets of n - 1",
            "you divide by another number than C(K, n), so your weights don't sum to one.",
            lambda q, n: _expected_best(q, n) * math.comb(len(q), n) / math.comb(len(q), n - 1),
        ),
        Misconception(
            "not sorted",
            "your weights belong to the values in order of size, and you give them to the values "
            "as they were drawn. Sort the values first.",
            lambda q, n: _weighted(q, _shares(len(q), n)),
        ),
        Misconception(
            "i - 1 with i from 0",
            "`comb` got a negative number. In the formula with i - 1 the smallest value has the "
            "number i = 1; in Python's range(K) it has the number 0, and as many values below it.",
            lambda q, n: _weighted(jnp.sort(q, axis=0), _shares(len(q), n, first=-1)),
        ),
        Misconception(
            "the value itself counted as one below it",
            "your weights don't sum to one: only i - 1 values are below the i-th smallest, and you "
            "choose the n - 1 others from i.",
            lambda q, n: _weighted(jnp.sort(q, axis=0), _shares(len(q), n, first=1)),
        ),
        Misconception(
            "mean of the n largest",
            "you average the n largest values. They are one subset, and of each subset only its "
            "largest value counts.",
            lambda q, n: jnp.sort(q, axis=0)[-n:].mean(0),
        ),
    ),
)

# -------------------------------------------------------------------- A3.2 the best use of a budget

LIMIT = 100
"""Actions after which an episode has failed; OGBench allows twice as many."""

BUDGET = 4
"""Network evaluations per action, on average over the time limit."""

STEPS, CANDIDATES = (1, 2, 4, 8), (1, 2, 4, 8, 16, 32)
EPISODES = 12
TASKS, UNSEEN_TASKS = (1, 2), (3, 4, 5)
"""Tasks of cube-single: students develop on the first, and are graded on the others."""

# From a situation to (m, N): numbers, or arrays with one for each episode.
Controller = Callable[[Situation], tuple[int | np.ndarray, int | np.ndarray]]


@dataclass
class Player:
    """A policy for `rollout`: a controller chooses m and N of each action, within the budget."""

    agent: Agent
    state: State
    controller: Controller
    limit: int = LIMIT
    budget: float = BUDGET
    played: list[np.ndarray] = field(default_factory=list)
    """m and N of each action, (B, 2).

    A choice that costs more than is left is replaced by (1, 1); without anything left it is (0, 0).
    """
    time: int = 0

    def on_step(self, moment: Moment) -> None:
        """Moves on to the next action; to be called by `rollout`."""
        self.time = moment.time + 1

    def __call__(
        self, obs: Float[Array | np.ndarray, "batch obs"], key: PRNGKeyArray
    ) -> np.ndarray:
        batch = len(obs)
        if self.time == 0:
            self._left = np.full(batch, float(self.budget * self.limit))
            self._q = self._spread = np.full(batch, np.nan)
        situation = Situation(
            self.time, self.limit, self._left.copy(), self._q, self._spread, np.array(obs)
        )
        setting = self._affordable(*_choice(self.controller(situation), batch))
        self.played.append(setting)
        self._left = self._left - costs(setting)
        actions = np.zeros((batch, self.state.action_dim), np.float32)  # zero without an order
        q, spread = np.full(batch, np.nan), np.full(batch, np.nan)
        for m, n in np.unique(setting[setting[:, 0] > 0], axis=0):
            rows = (setting == (m, n)).all(1)
            proposal = propose(self.agent, self.state, obs, key, steps=int(m), candidates=int(n))
            actions[rows] = np.asarray(proposal.action)[rows]
            if n > 1:
                values = np.asarray(proposal.q)[:, rows]
                q[rows], spread[rows] = values.max(0), values.std(0)
        self._q, self._spread = q, spread
        return actions

    def _affordable(self, steps: np.ndarray, candidates: np.ndarray) -> Int[np.ndarray, "batch 2"]:
        setting = np.stack([steps, candidates], axis=1)
        cheapest = np.minimum(self._left, 1).astype(int)
        return np.where((costs(setting) <= self._left)[:, None], setting, cheapest[:, None])


def play(
    controller: Controller, task: int, *, seed: int = 0, episodes: int = EPISODES
) -> tuple[pd.DataFrame, Int[np.ndarray, "time batch 2"]]:
    """Plays simultaneous episodes of a task of cube-single, with a controller in charge.

    Args:
        controller: from a `Situation` to (m, N), where m is 1, 2, 4 or 8 and N 1, 2, 4, ... 32.
        task: 1 to 5.
        seed: seed of start states and action noise.
        episodes: B, at most 16.

    Returns:
        a row per episode, as `rollout` returns it, with the network evaluations spent; and m and N
        of each action, also after an episode's end, (0, 0) with an empty account. An episode that
        ends with an empty account has failed.

    Raises:
        ConfigError: the controller chooses another m or N; too many episodes.
    """
    check(episodes <= MOST_AT_ONCE, f"a game has at most {MOST_AT_ONCE} episodes, not {episodes}")
    agent, state, info = shipped.robot("cube", task)
    player = Player(agent, state, controller)
    table, _ = rollout(
        player,
        info.environment,
        episodes=episodes,
        seed=seed,
        on_step=player.on_step,
        limit=LIMIT,
    )
    played = np.stack(player.played)
    length = table.length.to_numpy().astype(int)
    spent = (costs(played) * (np.arange(len(played))[:, None] < length)).sum(0)
    return _failed_if_unpaid(
        table.assign(evaluations=spent), played[length - 1, range(episodes)]
    ), played


def _failed_if_unpaid(table: pd.DataFrame, last: Int[np.ndarray, "batch 2"]) -> pd.DataFrame:
    """Takes successes back that were not paid: an arm without orders sinks, and may drop the cube.

    Args:
        table: a row per episode.
        last: m and N of each episode's last action.
    """
    unpaid = (last == 0).any(1)
    failure = {"success": 0.0, "return": -float(LIMIT), "length": float(LIMIT)}
    return table.assign(
        **{name: table[name].mask(unpaid, value) for name, value in failure.items()}
    )


def _choice(decision: object, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """A controller's decision as two arrays, m and N of each episode."""
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
    return TASKS if seeds[0] == spend.seeds(0)[0] else UNSEEN_TASKS


def _measure(ask: Ask, seeds: Sequence[int], episodes: int) -> list[float]:
    """Success of each seed's games, played here: the answer gets situations, and decides."""

    def controller(situation: Situation) -> tuple:
        return ask(situation, parts=2)

    account, unknown = np.full(episodes, float(BUDGET * LIMIT)), np.full(episodes, np.nan)
    obs = np.zeros((episodes, OBSERVED), np.float32)
    first = Situation(0, LIMIT, account, unknown, unknown, obs)
    _choice(controller(first), episodes)  # a blank or a mistake is reported before the games
    games = [(i, task) for task in _tasks(seeds) for i in range(len(seeds))]  # to reuse the robots
    success: list[list[float]] = [[] for _ in seeds]
    for i, task in progress_bar(games, unit="game"):
        table, _ = play(controller, task, seed=seeds[i], episodes=episodes)
        success[i].append(table.success.mean())
    return [float(np.mean(of_seed)) for of_seed in success]


spend = Measured(
    number="A3.2",
    measure=_measure,
    quantity="success",
    goal=0.4,
    baseline=0.3,
    baseline_name="the best constant controller's",
    size=EPISODES,
    runs=5,
)
