"""A check by measurement: what an answer produces over several seeds, compared with a goal.

    check = Measured(number="A1.4", measure=measure, quantity="energy distance", goal=0.1,
                     baseline=0.3, better="lower", size=3000)
    check(answer)                        # a note with the mean and its 95% interval

An agent that learns has a quality, and no formula says what is right. One lucky run proves nothing,
so an answer runs with several seeds. Its mean counts, and whether the mean's 95% interval excludes
the baseline, which is the quality without any idea of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from sorl_edu.course.exercises.attempt import Ask, Feedback, Stopped
from sorl_edu.course.exercises.exercise import (
    Check,
    Misconception,
    listed_misconceptions,
    named,
)
from sorl_edu.errors import DataError, check
from sorl_edu.evaluation import t_interval
from sorl_edu.training import seed_keys

ROUNDING = 1e-9  # the mean of 0.4, 1 and 1 is slightly below 0.8


@dataclass(frozen=True, kw_only=True)
class Measured(Check):
    """A check that measures what an answer produces.

    Args:
        number: "A1.4", as in the notebook.
        measure: `measure(ask, seeds, size)` returns a number for each seed. It asks the answer for
            what is measured, and trusts nothing that comes back (`tree_like`). It may raise
            `Stopped`, with feedback of its own, or `DataError`.
        quantity: the name of these numbers.
        goal: the mean that earns all points.
        baseline: the quality without any idea; an interval that excludes it earns half the points.
        baseline_name: whose quality this is, where something can be named.
        size: how long a run is, in updates of a training or in episodes of a game; a test sets it
            lower.
        better: whether "higher" or "lower" numbers are better.
        runs: the number of seeds.
        interval: the 95% interval of the runs' mean: `evaluation.bounded_interval` for a rate.
        misconceptions: common mistakes, which may train well enough to reach the goal. `measure`
            finds them, and stops with the feedback of one (`exercise.named`).
        library: see `Check.library`.
    """

    number: str
    measure: Callable[[Ask, Sequence[int], int], Sequence[float]]
    quantity: str
    goal: float
    baseline: float
    size: int
    baseline_name: str = "the baseline"
    better: Literal["higher", "lower"] = "higher"
    runs: int = 3
    interval: Callable[[Sequence[float]], tuple[float, float]] = t_interval
    misconceptions: tuple[Misconception, ...] = ()
    library: tuple[str, ...] = ()

    def examine(self, ask: Ask, seed: int) -> Feedback:
        try:
            values = tuple(map(float, self.measure(ask, self.seeds(seed), self.size)))
        except Stopped as stop:
            return stop.feedback
        except (TypeError, ValueError) as error:  # a DataError, or what nobody foresaw
            return Feedback("wrong", f"Your answer's results can't be measured: {error}")
        if not np.isfinite(values).all():
            return Feedback("wrong", f"The {self.quantity} is NaN or infinite in some run.")
        mean, (low, high) = np.mean(values), self.interval(values)
        sign, nearest = (1, low) if self.better == "higher" else (-1, high)
        result = (
            f"{self.quantity} {mean:.3g}, 95% interval [{low:.3g}, {high:.3g}] over {self.runs} "
            f"seeds ({', '.join(f'{value:.3g}' for value in values)})"
        )
        rule = (
            f"The goal is {self.goal:g}; an interval that excludes {self.baseline_name}, "
            f"{self.baseline:g}, earns half the points."
        )
        if sign * (mean - self.goal) >= -ROUNDING:
            return Feedback("right", f"Goal reached: {result}. {rule}", None, values)
        if sign * nearest > sign * self.baseline:
            return Feedback("partly", f"Halfway: {result}. {rule}", None, values)
        return Feedback("wrong", f"Not yet: {result}. {rule}", None, values)

    def describe(self) -> str:
        bound = "at least" if self.better == "higher" else "at most"
        goal = (
            f"- *{self.quantity}*, over {self.runs} seeds: a mean of {bound} {self.goal:g} earns "
            f"all points, a 95% interval that excludes {self.baseline:g} earns half of them"
        )
        return "\n".join([goal, listed_misconceptions(self.misconceptions)]).rstrip()

    def seeds(self, seed: int) -> list[int]:
        """The seeds of the runs, which follow from a check's seed."""
        return [int(s) for s in np.random.SeedSequence(seed).generate_state(self.runs)]


def means_differ(
    one: Float[Array | np.ndarray, "rows draws"], other: Float[Array | np.ndarray, "rows draws"]
) -> bool:
    """Whether two random functions differ in the mean of some row by more than chance explains.

    Where an answer draws random numbers in its own way, its outputs can't be compared one by one.

    Args:
        one, other: as many draws of each function, with different keys.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    gap = np.abs(one.mean(1) - other.mean(1))
    error = np.sqrt((one.var(1) + other.var(1)) / one.shape[1])
    return bool((gap > 5 * error + 1e-3).any())


def check_means(
    found: Float[np.ndarray, "rows draws"],
    draws_of: Callable[[Callable], Array],
    solution: Callable,
    misconceptions: Sequence[Misconception],
    otherwise: str,
) -> None:
    """Compares what an answer draws with the solution, and then with the usual mistakes.

    Args:
        found: draws of the answer.
        draws_of: draws of a known function, with other keys than the answer's.
        solution: a right function.
        misconceptions: its usual mistakes.
        otherwise: feedback on an answer that is none of them.

    Raises:
        Stopped: the means differ; the feedback names the mistake.
    """
    if means_differ(found, draws_of(solution)):
        for known in misconceptions:
            if not means_differ(found, draws_of(known.answer)):
                raise Stopped(named(known))
        raise Stopped(Feedback("wrong", otherwise))


def training_keys(seeds: Sequence[int]) -> Key[Array, " seed"]:
    """Keys to train with, from which nobody can tell the seeds of what is measured."""
    return jax.vmap(partial(jax.random.fold_in, data=1))(seed_keys(seeds))


def tree_like(outputs: PyTree, like: PyTree) -> PyTree:
    """A tree with the structure, shapes and types of `like`, from a tree or from its leaves.

    Raises:
        DataError: they are no numbers, the shapes differ, or some are NaN or infinite.
    """
    wanted, structure = jax.tree.flatten(like)
    try:
        leaves = jax.tree.leaves(outputs)
        shapes = [np.shape(leaf) for leaf in leaves]
        check(
            shapes == [np.shape(leaf) for leaf in wanted],
            "its arrays have other shapes than the assignment's",
            DataError,
        )
        arrays = [np.asarray(leaf, want.dtype) for leaf, want in zip(leaves, wanted, strict=True)]
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("it returns something else than numbers") from None
    finite = all(np.isfinite(array).all() for array in arrays)
    check(finite, "some of its numbers are NaN or infinite", DataError)
    return jax.tree.unflatten(structure, arrays)
