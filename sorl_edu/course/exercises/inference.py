"""Checks of lesson 5's exercises: best-of-N, what a setting costs, and how to spend a budget."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Exercise, Misconception
from sorl_edu.inference import best_of_n as library_best_of_n
from sorl_edu.inference import network_evaluations


def _candidates(key: PRNGKeyArray) -> list[tuple[Array, Array]]:
    """(actions, q) with N = B, so that a wrong axis has no wrong shape, and with N > B."""
    keys = jax.random.split(key, 4)
    return [
        (jax.random.normal(keys[0], (4, 4, 2)), jax.random.normal(keys[1], (4, 4))),
        (jax.random.normal(keys[2], (8, 3, 2)), jax.random.normal(keys[3], (8, 3))),
    ]


def _along_batch(actions: Array, q: Array) -> Array:
    return jnp.take_along_axis(actions, q.argmax(1)[:, None, None], axis=1)[:, 0]


best_of_n = Exercise(
    number="5.1",
    solution=library_best_of_n,
    cases=_candidates,
    right="Right: for each observation the candidate of the highest Q, and each from its own row.",
    misconceptions=(
        Misconception(
            "argmin for argmax",
            "you keep the candidate of the lowest Q. Q is a return, to be large, and no loss.",
            lambda actions, q: library_best_of_n(actions, -q),
        ),
        Misconception(
            "wrong axis in best-of-N",
            "you compare over the batch. Axis 0 of q counts the candidates n, axis 1 the "
            "observations: compare candidates of one observation.",
            _along_batch,
        ),
        Misconception(
            "one winner for the whole batch",
            "you choose the n that is best on average, and give it to every observation. Each "
            "observation has a winner of its own.",
            lambda actions, q: actions[q.mean(1).argmax()],
        ),
        Misconception(
            "values in place of the action",
            "you return the highest Q. The environment wants the action that has it.",
            lambda actions, q: q.max(0),
        ),
        Misconception(
            "averaged candidates",
            "you average the candidates. The mean of good actions may be a bad one: choose.",
            lambda actions, q: actions.mean(0),
        ),
    ),
)


def _settings(key: PRNGKeyArray) -> list[tuple[int, int]]:
    del key
    return [(1, 1), (8, 1), (1, 8), (8, 32), (32, 2)]


cost = Exercise(
    number="5.2",
    solution=lambda steps, candidates: network_evaluations(steps, candidates, 2),
    cases=_settings,
    right="Right: N m passes through the field, and N through each of two critics if N > 1.",
    misconceptions=(
        Misconception(
            "the critic for free",
            "you count the field alone. Each candidate must be valued, too, by both critics.",
            lambda steps, candidates: steps * candidates,
        ),
        Misconception(
            "valuing a single candidate",
            "with N = 1 there is nothing to choose from, so the critic isn't asked.",
            lambda steps, candidates: candidates * (steps + 2),
        ),
        Misconception(
            "one critic",
            "the ensemble has two networks, and each values each candidate.",
            lambda steps, candidates: candidates * steps + (candidates if candidates > 1 else 0),
        ),
        Misconception(
            "steps and candidates added",
            "each candidate makes all its steps: the two multiply.",
            lambda steps, candidates: steps + candidates + (2 * candidates * (candidates > 1)),
        ),
    ),
)


def _tables(key: PRNGKeyArray) -> list[tuple[Array, Array, float]]:
    """Half the settings can be paid for, so the best of all can in half the tables."""
    return [
        (
            jax.random.uniform(k, (6, 6)),
            2.0 ** jax.random.permutation(k, jnp.arange(-18, 18)).reshape(6, 6),
            0.5,
        )
        for k in jax.random.split(key, 10)
    ]


def _best_setting(success: Array, cost: Array, budget: float) -> Array:
    best = jnp.where(cost <= budget, success, -jnp.inf).argmax()
    return jnp.stack(jnp.unravel_index(best, success.shape))


spend = Exercise(
    number="5.3",
    solution=_best_setting,
    cases=_tables,
    right="Right: the best of what the budget pays for.",
    probe=lambda answer, *case: jnp.asarray(answer(*case)),
    misconceptions=(
        Misconception(
            "budget ignored",
            "you take the best setting of all, whether it can be paid for or not.",
            lambda success, cost, budget: _best_setting(success, cost, jnp.inf),
        ),
        Misconception(
            "dearest for best",
            "you take the dearest setting that the budget pays for. More compute is not always "
            "better: ask for success.",
            lambda success, cost, budget: _best_setting(cost, cost, budget),
        ),
        Misconception(
            "a budget to exceed",
            "you keep what costs more than the budget. The comparison is the wrong way round.",
            lambda success, cost, budget: _best_setting(success, -cost, -budget),
        ),
        Misconception(
            "success per cost",
            "you maximise success per network evaluation, which nearly always buys the cheapest. "
            "The budget is given: maximise success within it.",
            lambda success, cost, budget: _best_setting(success / cost, cost, budget),
        ),
    ),
)
