"""Checks of lesson 6: the steps that a value promises, an interval over seeds, an honest report."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception

# ------------------------------------------------------------------- 6.1 what a value promises


def _promise_cases(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """(q, discount): returns of a reward of -1 per step, over 1 to 200 steps."""
    cases, rng = [], Draws(key).rng
    for discount in (0.99, 0.995, 0.98):
        steps = rng.integers(1, 201, 16)  # whole: an answer may round
        q = -(1 - discount**steps) / (1 - discount)
        cases.append((jnp.asarray(q, jnp.float32), discount))
    return cases


def _promise(q: Float[Array, " batch"], discount: float) -> Array:
    return jnp.log(1 + (1 - discount) * q) / jnp.log(discount)


promise = Exercise(
    number="6.1",
    parts=("the number of steps",),
    solution=_promise,
    cases=_promise_cases,
    right="Right: now a value can be compared with a number of steps.",
    tolerance=2e-3,
    misconceptions=(
        Misconception(
            "no discount",
            "you count each reward of -1 in full. The k-th reward is worth gamma^k.",
            lambda q, discount: -q,
        ),
        Misconception(
            "a sign lost",
            "the rewards are -1, so Q is negative and gamma^k is less than 1. Solve "
            "Q = -(1 - gamma^k) / (1 - gamma) for gamma^k again.",
            lambda q, discount: jnp.log(1 - (1 - discount) * q) / jnp.log(discount),
        ),
        Misconception(
            "logarithm of the wrong base",
            "this is k times the logarithm of gamma, not k itself.",
            lambda q, discount: jnp.log(1 + (1 - discount) * q),
        ),
        Misconception(
            "the fraction upside down",
            "log(gamma^k) = k log(gamma): divide by the logarithm of gamma. Yours is 1/k.",
            lambda q, discount: jnp.log(discount) / jnp.log(1 + (1 - discount) * q),
        ),
        Misconception(
            "divided by gamma, not by its logarithm",
            "log(gamma^k) = k log(gamma), and not k gamma.",
            lambda q, discount: jnp.log(1 + (1 - discount) * q) / discount,
        ),
        Misconception(
            "last term for the sum",
            "you solve Q = -gamma^k / (1 - gamma). The series of k rewards sums to "
            "-(1 - gamma^k) / (1 - gamma).",
            lambda q, discount: jnp.log(-(1 - discount) * q) / jnp.log(discount),
        ),
    ),
)

# ----------------------------------------------------------------- 6.2 an interval over seeds


def _interval_cases(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """(lengths, t): steps (seed, task, episode) and Student's t quantile for the seeds."""
    cases, rng = [], Draws(key).rng
    for seeds, t in ((3, 4.30), (8, 2.36)):
        agents, episodes = rng.uniform(40, 160, (seeds, 5, 1)), rng.uniform(0.5, 1.5, (5, 16))
        cases.append((jnp.asarray(np.round(agents * episodes), jnp.float32), t))
    return cases


def _mean_and_half(samples: Float[Array, " sample"], t: float) -> tuple[Array, Array]:
    return samples.mean(), t * samples.std(ddof=1) / jnp.sqrt(len(samples))


def _interval(lengths: Float[Array, "seed task episode"], t: float) -> tuple[Array, Array]:
    return _mean_and_half(lengths.mean((1, 2)), t)


def _bounds(lengths: Float[Array, "seed task episode"], t: float) -> tuple[Array, Array]:
    mean, half_width = _interval(lengths, t)
    return mean - half_width, mean + half_width


interval = Exercise(
    number="6.2",
    parts=("the mean", "the half-width"),
    solution=_interval,
    cases=_interval_cases,
    right="Right: the interval says how far another set of seeds may move the mean.",
    misconceptions=(
        Misconception(
            "episodes for seeds",
            "you count every episode as an independent sample. The episodes of one seed share one "
            "agent: a thousand of them still describe that agent alone.",
            lambda lengths, t: _mean_and_half(lengths.ravel(), t),
        ),
        Misconception(
            "tasks for seeds",
            "you count every task of every seed as a sample. The tasks are always the same five; "
            "only the seeds are drawn at random.",
            lambda lengths, t: _mean_and_half(lengths.mean(2).ravel(), t),
        ),
        Misconception(
            "a deviation for an error",
            "you return the deviation of one seed. The standard error of the mean of n seeds is "
            "that deviation over sqrt(n).",
            lambda lengths, t: (lengths.mean(), t * lengths.mean((1, 2)).std(ddof=1)),
        ),
        Misconception(
            "the bounds for mean and half-width",
            "you return the interval's two ends. Asked are its middle and half of its length: the "
            "mean, and t times the standard error.",
            _bounds,
        ),
        Misconception(
            "half-width before mean",
            "both numbers are right, but the mean comes first.",
            lambda lengths, t: _interval(lengths, t)[::-1],
        ),
        Misconception(
            "1.96 for t",
            "1.96 is the quantile of many samples. A deviation that is estimated from a few seeds "
            "is uncertain itself, and Student's t, which you are given, allows for that.",
            lambda lengths, t: _interval(lengths, 1.96),
        ),
        Misconception(
            "without t",
            "that is the standard error. A 95% interval extends t of them to each side.",
            lambda lengths, t: _interval(lengths, 1.0),
        ),
        Misconception(
            "divided by n, not by its root",
            "the standard error of the mean of n seeds is the deviation over sqrt(n).",
            lambda lengths, t: (
                lengths.mean(),
                t * lengths.mean((1, 2)).std(ddof=1) / len(lengths),
            ),
        ),
        Misconception(
            "averaged over the seeds",
            "you average over the seeds and the tasks first, and count the positions of the "
            "episodes as samples. The first axis holds the seeds: average over the other two.",
            lambda lengths, t: _mean_and_half(lengths.mean((0, 1)), t),
        ),
        Misconception(
            "divided by n",
            "the deviation is taken from the mean of the same n numbers, so the sum of squares is "
            "divided by n - 1: ddof=1.",
            lambda lengths, t: (
                lengths.mean(),
                t * lengths.mean((1, 2)).std() / jnp.sqrt(len(lengths)),
            ),
        ),
    ),
)

# ------------------------------------------------------------------------ 6.3 an honest report


def _report_cases(key: PRNGKeyArray) -> list[tuple[Array, Array]]:
    """(chosen_by, reported): two tables of success (setting, seed), independent of each other."""
    draw = Draws(key)
    return [(draw.uniform(12, 4), draw.uniform(12, 4)) for _ in range(4)]


def _report(
    chosen_by: Float[Array, "setting seed"], reported: Float[Array, "setting seed"]
) -> Array:
    return reported[chosen_by.mean(1).argmax()]


report = Exercise(
    number="6.3",
    parts=("the reported success",),
    solution=_report,
    cases=_report_cases,
    right="Right: chosen on some episodes, measured on others.",
    misconceptions=(
        Misconception(
            "reported where it was chosen",
            "you report the very episodes that made this setting the best. Among twelve settings "
            "one is lucky, and its luck does not repeat.",
            lambda chosen_by, reported: chosen_by[chosen_by.mean(1).argmax()],
        ),
        Misconception(
            "chosen where it is reported",
            "you choose by the episodes that you report, so you report the luckiest setting.",
            lambda chosen_by, reported: reported[reported.mean(1).argmax()],
        ),
        Misconception(
            "tables swapped",
            "you choose by the episodes that are to be reported, and report those that are to "
            "choose.",
            lambda chosen_by, reported: chosen_by[reported.mean(1).argmax()],
        ),
        Misconception(
            "mean over the settings",
            "axis 0 counts the settings, axis 1 the seeds. Your mean is over the settings, so that "
            "you choose a seed.",
            lambda chosen_by, reported: reported[chosen_by.mean(0).argmax()],
        ),
        Misconception(
            "the luckiest single run",
            "you choose the setting with the best run of one seed. Choose by the mean over the "
            "seeds.",
            lambda chosen_by, reported: reported[chosen_by.max(1).argmax()],
        ),
        Misconception(
            "averaged over the seeds",
            "you return one number. Return the success of every seed: the reader needs them to see "
            "how much it varies.",
            lambda chosen_by, reported: reported[chosen_by.mean(1).argmax()].mean(),
        ),
        Misconception(
            "the index in place of the success",
            "you return which setting is best. Asked is its row in the table that is reported.",
            lambda chosen_by, reported: chosen_by.mean(1).argmax(),
        ),
        Misconception(
            "a setting for each seed",
            "you choose a setting for each seed. Choose one setting, by the mean over the seeds.",
            lambda chosen_by, reported: jnp.take_along_axis(
                reported, chosen_by.argmax(0)[None], axis=0
            )[0],
        ),
    ),
)
