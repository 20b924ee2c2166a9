"""Checks of assignment 2: pessimism, a best-of-N target, an agent that learns, a comparison.

The agent is measured, not compared: it is trained on PointMaze with the student's TD target, three
seeds at once, and what it learned is evaluated in the maze, in a process where the student's code
never ran.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree
from scipy import stats

from sorl_edu.agents import SORL
from sorl_edu.agents.presets import preset
from sorl_edu.agents.sorl import encode
from sorl_edu.course.exercises.exercise import Exercise, Misconception, is_blank, with_gradient
from sorl_edu.course.exercises.measured import Measured, restored
from sorl_edu.course.shipped import ENVIRONMENT
from sorl_edu.datasets.ogbench import OfflineDataset, load
from sorl_edu.datasets.transitions import Batch
from sorl_edu.errors import check
from sorl_edu.evaluation import evaluate
from sorl_edu.training import init_seeds, seed_keys, seed_state, train_seeds

# ---------------------------------------------------------------------------------- A2.1 pessimism


def _pessimistic(q: Array, kappa: float) -> Array:
    return q.mean(0) - kappa * q.std(0)


def _ensembles(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """(q, kappa): the values of E critics for B actions (E, B), where E may be B; or of N x B."""
    keys = jax.random.split(key, 3)
    return [
        (jax.random.normal(keys[0], (2, 5)), 0.5),
        (jax.random.normal(keys[1], (4, 4)), 1.5),
        (jax.random.normal(keys[2], (3, 6, 2)), 1.0),
    ]


pessimistic = Exercise(
    "A2.1",
    _pessimistic,
    _ensembles,
    right="Right. With two critics and kappa = 1 this is their minimum: can you see why?",
    misconceptions=(
        Misconception(
            "optimistic",
            "you add what the critics disagree by. That prefers actions that nobody has tried; "
            "without an environment to try them in, nothing ever corrects it.",
            lambda q, kappa: q.mean(0) + kappa * q.std(0),
        ),
        Misconception(
            "variance for deviation",
            "you subtract the variance. It has the square of Q's unit, so kappa would mean "
            "something else for every scale of the rewards.",
            lambda q, kappa: q.mean(0) - kappa * q.var(0),
        ),
        Misconception(
            "over the batch",
            "you average over the last axis. Axis 0 of q counts the critics.",
            lambda q, kappa: q.mean(-1) - kappa * q.std(-1),
        ),
        Misconception(
            "minimum for every kappa",
            "you take the minimum, which is one kappa only: 1, and with two critics only.",
            lambda q, kappa: q.min(0),
        ),
        Misconception(
            "kappa forgotten",
            "you subtract one deviation, whatever kappa is.",
            lambda q, kappa: q.mean(0) - q.std(0),
        ),
    ),
)

# -------------------------------------------------------------------------- A2.2 a best-of-N target


def _next_values(
    critic: Callable, batch: Batch, candidates: Array, m: Array, kappa: float, order=None
) -> Array:
    """Pessimistic Q'(o', a^(n), m) of every candidate, (N, B)."""
    n, b, _ = candidates.shape
    obs = jnp.broadcast_to(batch.next_observations, (n, *batch.next_observations.shape))
    obs = obs.reshape(n * b, -1) if order is None else order(batch.next_observations, n)
    flat = candidates.reshape(n * b, -1)
    return _pessimistic(critic(obs, flat, jnp.tile(m, (n, 1))), kappa).reshape(n, b)


def _target_with(
    values: Callable = _next_values,
    best: Callable = lambda v: v.max(0),
    bootstrap: Callable = lambda batch, discount: discount**batch.horizons * batch.masks,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    def target(critic, batch, candidates, m, discount, kappa):
        v = best(values(critic, batch, candidates, m, kappa))
        return stop(batch.rewards + bootstrap(batch, discount) * v)

    return target


def _transitions(key: PRNGKeyArray) -> list[tuple]:
    """(batch, candidates, m, discount, kappa), with tasks that end and returns of several steps."""
    cases = []
    for n, b, discount, kappa in ((4, 6, 0.9, 0.5), (5, 5, 0.8, 1.0)):
        key, *keys = jax.random.split(key, 6)
        batch = Batch(
            observations=jax.random.normal(keys[0], (b, 3)),
            actions=jax.random.normal(keys[1], (b, 2)),
            rewards=jax.random.normal(keys[2], (b,)),
            masks=1.0 * (jnp.arange(b) % 3 != 0),
            horizons=1.0 + jnp.arange(b) % 4,
            next_observations=jax.random.normal(keys[3], (b, 3)),
        )
        candidates = jax.random.normal(keys[4], (n, b, 2))
        cases.append((batch, candidates, jnp.full((b, 1), 2.0), discount, kappa))
    return cases


def _critic(scale: Array, obs: Array, action: Array, m: Array) -> Array:
    """Three critics in closed form that disagree, (3, B)."""
    base = (obs[:, :2] * action).sum(-1) + jnp.sin(3 * action[:, 0]) / m[:, 0]
    return scale * jnp.stack([base, base + jnp.cos(4 * action[:, 1]), 1.5 * base - obs[:, 2]])


def _target_and_gradient(answer: Callable, *case) -> tuple:
    """The target, and how it changes with a parameter of the critic: not at all, if stopped."""

    def with_scale(scale: Array) -> Array:
        return answer(lambda *inputs: _critic(scale, *inputs), *case)

    return with_gradient(with_scale, jnp.ones(()))


def _greedy_critics(critic, batch, candidates, m, kappa):
    """Each critic's own best candidate, and only then pessimism, (1, B)."""
    n, b, _ = candidates.shape
    obs = jnp.tile(batch.next_observations, (n, 1))
    q = critic(obs, candidates.reshape(n * b, -1), jnp.tile(m, (n, 1))).reshape(-1, n, b)
    return _pessimistic(q.max(1), kappa)[None]


best_of_n_target = Exercise(
    "A2.2",
    _target_with(),
    _transitions,
    probe=_target_and_gradient,
    right="Right: the best candidate by the pessimistic value, nothing after the end, no gradient.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the numbers are right, and a gradient flows through your target. A target is "
            "something to reach, not something to move.",
            _target_with(stop=lambda y: y),
        ),
        Misconception(
            "bootstrapping through the end",
            "you expect a value after the task has ended, where mask is 0.",
            _target_with(bootstrap=lambda batch, discount: discount**batch.horizons),
        ),
        Misconception(
            "discounted once",
            "you discount the next value by gamma. The rewards are sums over k = horizons "
            "transitions, so that it lies k transitions ahead: gamma^k.",
            _target_with(bootstrap=lambda batch, discount: discount * batch.masks),
        ),
        Misconception(
            "average for best",
            "you average over the candidates. That is the value of the policy as it is; you want "
            "that of the policy with best-of-N.",
            _target_with(best=lambda v: v.mean(0)),
        ),
        Misconception(
            "observations and candidates mixed up",
            "your rows pair a candidate with another observation's. Candidates (N, B, A), made "
            "flat, have all B observations of candidate 1 first: repeat o' in that order.",
            _target_with(
                values=lambda *inputs: _next_values(
                    *inputs, order=lambda obs, n: jnp.repeat(obs, n, axis=0)
                )
            ),
        ),
        Misconception(
            "each critic chooses for itself",
            "you take each critic's best candidate, and are pessimistic afterwards. The values "
            "then belong to different actions, and each critic's errors are picked: choose one "
            "action, by the pessimistic value.",
            _target_with(values=_greedy_critics),
        ),
        Misconception(
            "first candidate",
            "you use the first candidate only.",
            _target_with(best=lambda v: v[0]),
        ),
        Misconception(
            "no pessimism",
            "you average the critics, and kappa is not used.",
            _target_with(values=lambda *inputs: _next_values(*inputs[:-1], 0.0)),
        ),
    ),
)

# ------------------------------------------------------------------------ A2.3 an agent that learns

UPDATES, STARTS = 6000, 20
SETTING = {"steps": 4, "candidates": 8}


@lru_cache(maxsize=1)
def dataset() -> OfflineDataset:
    """The shipped PointMaze data, with the rewards that OGBench's environment gives."""
    return load(ENVIRONMENT)


def hyperparameters() -> dict:
    """What an answer is called with: the preset, made to learn faster."""
    return asdict(preset("pointmaze", learning_rate=1e-3, tau=0.02, q_weight=5000.0))


def _train(answer: Callable, seeds: Sequence[int]) -> list[PyTree]:
    """The networks that the answer's agent learns, for each seed."""
    agent, keys = answer(**hyperparameters()), seed_keys(seeds)
    check(isinstance(agent, SORL), f"your class should be a kind of SORL; it makes {agent!r}")
    state, data = agent.init(keys[0], dataset().train), agent.prepare(dataset().train)
    first = agent.td_target(state, encode(state.encoder, data.sample(keys[0], 8)), keys[0], steps=2)
    if is_blank(first):  # a blank, which is not trained
        return [first]
    state = train_seeds(agent, dataset().train, updates=UPDATES, keys=keys).state
    learned = {"field": state.field, "critic": state.critic}
    return [seed_state(learned, i) for i in range(len(seeds))]


def _evaluate(made: Sequence[PyTree], seeds: Sequence[int]) -> list[float]:
    """Success of SORL with these networks, from the same starts for every seed."""
    agent = SORL(**hyperparameters())
    states = init_seeds(agent, seed_keys(seeds), dataset().train)
    success = []
    for i, networks in enumerate(made):
        state = seed_state(states, i)
        learned = restored(networks, {"critic": state.critic, "field": state.field})
        episodes, _ = evaluate(
            agent, state.replace(**learned), ENVIRONMENT, episodes=STARTS, seed=seeds[0], **SETTING
        )
        success.append(float(episodes.success.mean()))
    return success


learned = Measured(
    "A2.3",
    _train,
    _evaluate,
    quantity="success in the maze",
    goal=0.6,  # a training mostly succeeds or fails whole: two of three are enough
    baseline=0.2,
    prepare=dataset,
)

# -------------------------------------------------------------------- A2.4 is it any better, then?


def _difference(ours: Array, theirs: Array) -> tuple:
    """(mean, low, high) of paired differences, Student's 95% interval over seeds."""
    per_seed = (ours - theirs).mean(1)
    return _interval(per_seed, stats.t.ppf(0.975, len(per_seed) - 1))


def _interval(values: Array, factor: float, ddof: int = 1) -> tuple:
    half = factor * values.std(ddof=ddof) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def _results(key: PRNGKeyArray) -> list[tuple[Array, Array]]:
    """Success of two agents, (S, E) each: S seeds, from the same E starts."""
    cases = []
    for seeds, episodes in ((3, 20), (5, 12)):
        key, *keys = jax.random.split(key, 5)
        skill = jax.random.uniform(keys[0], (2, seeds, 1), minval=0.2, maxval=0.8)
        start = jax.random.uniform(keys[1], (2, 1, episodes), minval=-0.2, maxval=0.2)
        cases.append(
            tuple(
                jax.random.bernoulli(k, p) * 1.0
                for k, p in zip(keys[2:], skill + start, strict=True)
            )
        )
    return cases


difference = Exercise(
    "A2.4",
    _difference,
    _results,
    probe=lambda answer, *case: jnp.asarray(answer(*case)),
    right="Right: what varies from one training to the next is what another seed would change.",
    misconceptions=(
        Misconception(
            "every episode a sample",
            "you treat all episodes as independent. Those of one seed share one training: your "
            "interval is too narrow by far, and a lucky seed becomes a discovery.",
            lambda ours, theirs: _interval(
                (ours - theirs).ravel(), stats.t.ppf(0.975, ours.size - 1)
            ),
        ),
        Misconception(
            "the normal's 1.96",
            "1.96 is right for many seeds. With a handful the deviation itself is uncertain: "
            "Student's factor for 3 seeds is 4.3.",
            lambda ours, theirs: _interval((ours - theirs).mean(1), stats.norm.ppf(0.975)),
        ),
        Misconception(
            "deviation divided by S",
            "your deviation divides by S. From a sample it is S - 1 (ddof=1).",
            lambda ours, theirs: _interval(
                (ours - theirs).mean(1), stats.t.ppf(0.975, len(ours) - 1), ddof=0
            ),
        ),
        Misconception(
            "spread of seeds for that of the mean",
            "you forgot to divide by the root of S: that is how seeds differ, and not how "
            "uncertain their mean is.",
            lambda ours, theirs: _interval(
                (ours - theirs).mean(1),
                stats.t.ppf(0.975, len(ours) - 1) * np.sqrt(len(ours)),
            ),
        ),
        Misconception(
            "over starts instead of seeds",
            "you average over the seeds first, and count starts. That says how another maze start "
            "would do with these very agents; the question is about another training.",
            lambda ours, theirs: _interval(
                (ours - theirs).mean(0), stats.t.ppf(0.975, ours.shape[1] - 1)
            ),
        ),
        Misconception(
            "theirs minus ours",
            "your sign is turned: positive should mean that ours is better.",
            lambda ours, theirs: _difference(theirs, ours),
        ),
    ),
)
