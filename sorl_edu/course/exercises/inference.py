"""Lesson 5's exercises: best-of-N, the cost of a setting, and how to spend a budget."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sorl_edu import inference
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception

# ------------------------------------------------------------------------------- 5.1 best-of-N


def _best_of_n_cases(key: PRNGKeyArray) -> list[tuple[Array, Array]]:
    """(actions, q) with N = B, so that a wrong axis has no wrong shape, and with N > B."""
    draw = Draws(key)
    return [(draw.normal(n, 4, 2), draw.normal(n, 4)) for n in (4, 8)]


def _along_batch(
    actions: Float[Array, "candidates batch action"], q: Float[Array, "candidates batch"]
) -> Array:
    return jnp.take_along_axis(actions, q.argmax(1)[:, None, None], axis=1)[:, 0]


def _pairs_of(
    first: Callable[[Array], Array], second: Callable[[Array], Array]
) -> Callable[[Array, Array], Array]:
    """Looks up `actions[first(q), second(q)]`."""
    return lambda actions, q: actions[first(q), second(q)]


def _columns(q: Float[Array, "candidates batch"]) -> Int[Array, " batch"]:
    return jnp.arange(q.shape[1])


best_of_n = Exercise(
    number="5.1",
    library=("sorl_edu.inference:best_of_n",),
    parts=("the chosen action",),
    solution=lambda actions, q: inference.best_of_n(actions, q),  # names its inputs
    cases=_best_of_n_cases,
    right="Right: for each observation its own candidate of the highest Q.",
    misconceptions=(
        Misconception(
            "argmin for argmax",
            "you keep the candidate of the lowest Q. Q is a return and not a loss: larger is "
            "better.",
            lambda actions, q: inference.best_of_n(actions, -q),
        ),
        Misconception(
            "wrong axis in best-of-N",
            "you compare over the batch. Axis 0 of q counts the candidates n, axis 1 the "
            "observations: compare candidates of one observation.",
            _pairs_of(lambda q: q.argmax(1), _columns),
        ),
        Misconception(
            "an observation for each candidate",
            "you choose the observation that suits each candidate best. Axis 0 of q counts the "
            "candidates n, axis 1 the observations: compare candidates of one observation.",
            _along_batch,
        ),
        Misconception(
            "wrong axis, and the indices swapped",
            "you compare over the batch. Axis 0 of q and of actions counts the candidates n, axis "
            "1 the observations: compare candidates of one observation, and look up actions[n, b].",
            _pairs_of(_columns, lambda q: q.argmax(1)),
        ),
        Misconception(
            "indices swapped",
            "axis 0 of actions counts the candidates and axis 1 the observations: the candidate's "
            "index comes first, the observation's second.",
            _pairs_of(_columns, lambda q: q.argmax(0)),
        ),
        Misconception(
            "one index for two",
            "you look up candidates alone, and get each for every observation. An action has two "
            "indices here, its candidate n and its observation b: actions[n, b].",
            lambda actions, q: actions[q.argmax(0)],
        ),
        Misconception(
            "the index in place of the action",
            "you return which candidate is best. The environment needs the action itself: look it "
            "up in actions.",
            lambda actions, q: q.argmax(0),
        ),
        Misconception(
            "one winner for the whole batch",
            "you choose the n that is best on average, and use it for every observation. Each "
            "observation has a winner of its own.",
            lambda actions, q: actions[q.mean(1).argmax()],
        ),
        Misconception(
            "values in place of the action",
            "you return the highest Q. The environment needs the action that has it.",
            lambda actions, q: q.max(0),
        ),
        Misconception(
            "averaged candidates",
            "you average the candidates. The mean of good actions may be a bad one: choose.",
            lambda actions, q: actions.mean(0),
        ),
    ),
)


# ---------------------------------------------------------------------- 5.2 the cost of a setting


def _cost_cases(key: PRNGKeyArray) -> list[tuple[int, int]]:
    """(steps, candidates)."""
    del key
    return [(1, 1), (8, 1), (1, 8), (8, 32), (32, 2)]


def _cost_with(
    *,
    policy: Callable[[int, int], int] = lambda steps, candidates: steps * candidates,
    per_candidate: int = 2,
    least: int = 2,
    critic_steps: Callable[[int], int] = lambda steps: 1,
) -> Callable:
    """The cost with `per_candidate` critics, evaluated from `least` candidates on.

    Each critic is evaluated `critic_steps(steps)` times per candidate.
    """

    def cost(steps: int, candidates: int) -> int:
        critic = per_candidate * critic_steps(steps) * candidates if candidates >= least else 0
        return policy(steps, candidates) + critic

    return cost


cost = Exercise(
    number="5.2",
    library=("sorl_edu.inference:network_evaluations",),
    parts=("the number of evaluations",),
    solution=lambda steps, candidates: inference.network_evaluations(steps, candidates),
    cases=_cost_cases,
    right="Right: N m passes through the field, and N through each of two critics if N > 1.",
    misconceptions=(
        Misconception(
            "the critic for free",
            "you count the field alone. Both critics must also value each candidate.",
            _cost_with(per_candidate=0),
        ),
        Misconception(
            "valuing a single candidate",
            "with N = 1 there is nothing to choose from, so the critics are not evaluated.",
            _cost_with(least=1),
        ),
        Misconception(
            "one critic",
            "the ensemble has two networks, and each values each candidate.",
            _cost_with(per_candidate=1),
        ),
        Misconception(
            "steps and candidates added",
            "each candidate takes all its steps: the two multiply.",
            _cost_with(policy=lambda steps, candidates: steps + candidates),
        ),
        Misconception(
            "the steps of one candidate",
            "every candidate takes its steps, not one of them alone: N candidates cost N times as "
            "much as one.",
            _cost_with(policy=lambda steps, candidates: steps),
        ),
        Misconception(
            "the critics after each step",
            "the critics value an action, and there is none before the last step: each candidate "
            "is valued once.",
            _cost_with(critic_steps=lambda steps: steps),
        ),
    ),
)


# ---------------------------------------------------------------------------- 5.3 spend a budget


def _spend_cases(key: PRNGKeyArray) -> list[tuple[Array, Array, float]]:
    """(success, cost, budget); half the settings are affordable, so the best is in half of them.

    In every other case the best of these costs the whole budget; the best of all costs more.
    """
    cases, budget, rng = [], 0.5, Draws(key).rng
    for i in range(10):
        success = rng.uniform(0.1, 0.8, (6, 6))
        cost = 2.0 ** rng.permutation(np.arange(-18, 18)).reshape(6, 6)
        success[cost == budget] = 0.85 if i % 2 else 0.05
        if i % 2:
            success[cost == 8 * budget] = 0.9
        cases.append((jnp.asarray(success, jnp.float32), jnp.asarray(cost, jnp.float32), budget))
    return cases


def _affordable(cost: Array, budget: float) -> Array:
    return cost <= budget


def _spend_with(
    *,
    allowed: Callable[[Array, float], Array] = _affordable,
    worth: Callable[[Array, Array], Array] = lambda success, cost: success,
) -> Callable:
    """The setting of the highest `worth(success, cost)` among those that are `allowed`."""

    def spend(success: Array, cost: Array, budget: float) -> Int[Array, "2"]:
        best = jnp.where(allowed(cost, budget), worth(success, cost), -jnp.inf).argmax()
        return jnp.stack(jnp.unravel_index(best, success.shape))

    return spend


def _spend_within_a_shorter_list(success: Array, cost: Array, budget: float) -> Int[Array, "2"]:
    best = success[cost <= budget].argmax()
    return jnp.stack(jnp.unravel_index(best, success.shape))


spend = Exercise(
    number="5.3",
    parts=("the index pair",),
    solution=_spend_with(),
    cases=_spend_cases,
    right="Right: the best setting that the budget pays for.",
    misconceptions=(
        Misconception(
            "budget ignored",
            "you take the best setting of all, whether the budget pays for it or not.",
            _spend_with(allowed=lambda cost, budget: jnp.ones_like(cost, bool)),
        ),
        Misconception(
            "an index of a shorter list",
            "success[cost <= budget] keeps the affordable settings alone, one after the other, and "
            "an index of that list is none of the table. Keep the table's shape, and make bad what "
            "you can't afford.",
            _spend_within_a_shorter_list,
        ),
        Misconception(
            "less than for at most",
            "a setting that costs exactly the budget can be paid for.",
            _spend_with(allowed=lambda cost, budget: cost < budget),
        ),
        Misconception(
            "row and column swapped",
            "the tables are over (N, m), so the row comes first in the pair. Yours is the other "
            "way round.",
            lambda success, cost, budget: _spend_with()(success, cost, budget)[::-1],
        ),
        Misconception(
            "dearest for best",
            "you take the dearest setting that the budget pays for. More compute is not always "
            "better: maximise success.",
            _spend_with(worth=lambda success, cost: cost),
        ),
        Misconception(
            "a budget to exceed",
            "you keep the settings that cost more than the budget. The comparison is the wrong way "
            "round.",
            _spend_with(allowed=lambda cost, budget: cost >= budget),
        ),
        Misconception(
            "success per cost",
            "you maximise success per network evaluation, which nearly always buys the cheapest "
            "setting. The budget is given: maximise success within it.",
            _spend_with(worth=lambda success, cost: success / cost),
        ),
    ),
)
