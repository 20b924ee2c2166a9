"""Lesson 6's checks: what a value promises, an interval over seeds, an honest best setting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Exercise, Misconception


def _values(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """Returns of -1 a step until success, of 1 to 200 steps."""
    cases = []
    for k, discount in zip(jax.random.split(key, 3), (0.99, 0.995, 0.98), strict=True):
        steps = jax.random.uniform(k, (16,), minval=1.0, maxval=200.0)
        cases.append((-(1 - discount**steps) / (1 - discount), discount))
    return cases


promise = Exercise(
    number="6.1",
    solution=lambda q, discount: jnp.log(1 + (1 - discount) * q) / jnp.log(discount),
    cases=_values,
    right="Right: now a value can be held against a clock.",
    tolerance=1e-2,
    misconceptions=(
        Misconception(
            "no discount",
            "you count a reward of -1 a step at its face value. The k-th is worth gamma^k.",
            lambda q, discount: -q,
        ),
        Misconception(
            "a sign lost",
            "the rewards are -1, so Q is negative and gamma^k is less than 1. Solve "
            "Q = -(1 - gamma^k) / (1 - gamma) for gamma^k again.",
            lambda q, discount: jnp.log(1 - (1 - discount) * q) / jnp.log(discount),
        ),
        Misconception(
            "a logarithm of the wrong base",
            "that is k times the logarithm of gamma, and not yet k.",
            lambda q, discount: jnp.log(1 + (1 - discount) * q),
        ),
        Misconception(
            "the sum taken for its last term",
            "you solve Q = -gamma^k / (1 - gamma). The series of k rewards sums to "
            "-(1 - gamma^k) / (1 - gamma).",
            lambda q, discount: jnp.log(-(1 - discount) * q) / jnp.log(discount),
        ),
    ),
)


def _episodes(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """Successes (seeds, tasks, episodes) of seeds and tasks that differ; a t quantile each."""
    cases = []
    for k, (seeds, t) in zip(
        jax.random.split(key, 3), ((3, 4.30), (4, 3.18), (8, 2.36)), strict=True
    ):
        rate_key, key = jax.random.split(k)
        rates = jax.random.uniform(rate_key, (seeds, 5, 1))
        cases.append((jax.random.bernoulli(key, rates, (seeds, 5, 16)).astype(float), t))
    return cases


def _interval(success: Array, t: float) -> tuple[Array, Array]:
    return _over(success.mean((1, 2)), t)


def _over(samples: Array, t: float) -> tuple[Array, Array]:
    return samples.mean(), t * samples.std(ddof=1) / jnp.sqrt(len(samples))


interval = Exercise(
    number="6.2",
    solution=_interval,
    cases=_episodes,
    right="Right: it says where the next seed's result may be expected to move the mean.",
    misconceptions=(
        Misconception(
            "episodes for seeds",
            "you count every episode as an independent sample. Those of one seed share one agent: "
            "a thousand of them still tell of that agent alone.",
            lambda success, t: _over(success.ravel(), t),
        ),
        Misconception(
            "tasks for seeds",
            "you count every task of every seed as a sample. The tasks are always the same five; "
            "what is drawn anew is the seed.",
            lambda success, t: _over(success.mean(2).ravel(), t),
        ),
        Misconception(
            "a deviation for an error",
            "you give the deviation of one seed. The mean of n seeds deviates by it over sqrt(n).",
            lambda success, t: (success.mean(), t * success.mean((1, 2)).std(ddof=1)),
        ),
        Misconception(
            "divided by n",
            "the mean comes from the same n numbers, so the variance is divided by n - 1: ddof=1.",
            lambda success, t: (
                success.mean(),
                t * success.mean((1, 2)).std() / jnp.sqrt(len(success)),
            ),
        ),
    ),
)


def _two_tables(key: PRNGKeyArray) -> list[tuple[Array, Array]]:
    """Success (settings, seeds) on the episodes to choose by, and on those to report."""
    return [
        tuple(jax.random.uniform(k, (2, 12, 4)))  # fresh numbers: the worst of luck
        for k in jax.random.split(key, 4)
    ]


report = Exercise(
    number="6.3",
    solution=lambda chosen_by, reported: reported[chosen_by.mean(1).argmax()],
    cases=_two_tables,
    right="Right: chosen in one place, measured in another.",
    misconceptions=(
        Misconception(
            "quoted where it was chosen",
            "you report the very episodes that made this setting the best. Among twelve settings "
            "one is lucky; its luck doesn't come again.",
            lambda chosen_by, reported: chosen_by[chosen_by.mean(1).argmax()],
        ),
        Misconception(
            "chosen where it is reported",
            "you choose by the episodes that you report, which amounts to quoting the luckiest.",
            lambda chosen_by, reported: reported[reported.mean(1).argmax()],
        ),
        Misconception(
            "each seed its own setting",
            "you choose for each seed by itself. A setting is chosen once, by the mean over seeds.",
            lambda chosen_by, reported: jnp.take_along_axis(
                reported, chosen_by.argmax(0)[None], axis=0
            )[0],
        ),
    ),
)
