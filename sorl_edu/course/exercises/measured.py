"""A check by measurement: what an answer makes, over several seeds, against a goal.

    check = Measured("A1.4", run, measure, quantity="energy distance", goal=0.1, baseline=0.3,
                     better="lower")
    check(answer)                        # runs, measures, and says how good with an interval

Where no formula is right, as for an agent that learns, quality is. One lucky run proves nothing, so
an answer is run with several seeds, and what counts is the mean, and whether its 95% interval shuts
out the baseline, which is what one gets without an idea.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import PyTree

from sorl_edu.course.exercises.exercise import Check, Feedback
from sorl_edu.errors import DataError, check
from sorl_edu.evaluation import t_interval

ROUNDING = 1e-9  # a mean of 0.4, 1 and 1 is 0.8


@dataclass(frozen=True)
class Measured(Check):
    """A check that measures.

    Args:
        number: "A1.4", as the notebook has it.
        run: what an answer makes, `run(answer, seeds)`: a tree of arrays for each seed. It calls
            the student's code, and decides nothing.
        measure: how good that is, `measure(made, seeds)`: a number for each seed. It trusts
            nothing: `made` may be anything, as lists of leaves (`restored`).
        quantity: what is measured, in words.
        goal: the mean that earns all points.
        baseline: what one gets without an idea; an interval that shuts it out earns half.
        better: whether "higher" numbers are better, or "lower" ones.
        runs: how many seeds.
        prepare: does for `run` what `Check.prepare` says.
    """

    number: str
    run: Callable[[Callable, Sequence[int]], list[PyTree]]
    measure: Callable[[Sequence[PyTree], Sequence[int]], Sequence[float]]
    quantity: str
    goal: float
    baseline: float
    better: Literal["higher", "lower"] = "higher"
    runs: int = 3
    prepare: Callable[[], object] = lambda: None

    def give(self, answer: Callable, seed: int) -> list[PyTree]:
        return self.run(answer, self.seeds(seed))

    def judge(self, given: Sequence[PyTree], seed: int) -> Feedback:
        seeds = self.seeds(seed)
        try:
            check(len(given) == len(seeds), f"there are {len(given)} runs of {len(seeds)}")
            values = tuple(float(value) for value in self.measure(given, seeds))
        except Exception as error:  # of what a submission hands over
            told = f"{type(error).__name__}: {error}"
            return Feedback("wrong", f"What it made can't be measured: {told}")
        if not np.isfinite(values).all():
            return Feedback("wrong", f"The {self.quantity} is NaN or infinite in some run.")
        mean, (low, high) = np.mean(values), t_interval(values)
        sign, nearest = (1, low) if self.better == "higher" else (-1, high)
        told = (
            f"{self.quantity} {mean:.3g}, 95% interval [{low:.3g}, {high:.3g}] over {self.runs} "
            f"seeds ({', '.join(f'{value:.3g}' for value in values)})"
        )
        aims = f"The goal is {self.goal:g}, and an interval that shuts out the baseline, "
        aims += f"{self.baseline:g}, earns half."
        if sign * (mean - self.goal) >= -ROUNDING:
            return Feedback("right", f"Goal reached: {told}. {aims}", None, values)
        if sign * nearest > sign * self.baseline:
            return Feedback("partly", f"Half-way: {told}. {aims}", None, values)
        return Feedback("wrong", f"Not yet: {told}. {aims}", None, values)

    def looks_for(self) -> str:
        bound = "at least" if self.better == "higher" else "at most"
        return (
            f"- *{self.quantity}*, over {self.runs} seeds: a mean of {bound} {self.goal:g} earns "
            f"all points, a 95% interval that shuts out {self.baseline:g} half of them"
        )

    def seeds(self, seed: int) -> list[int]:
        """The runs' seeds, for a check's."""
        return [int(s) for s in np.random.SeedSequence(seed).generate_state(self.runs)]


def restored(made: PyTree, like: PyTree) -> PyTree:
    """A tree like another one, from one or from its leaves.

    Raises:
        DataError: other shapes, or NaN or infinite numbers.
    """
    leaves, (wanted, structure) = jax.tree.leaves(made), jax.tree.flatten(like)
    check(
        [np.shape(leaf) for leaf in leaves] == [np.shape(leaf) for leaf in wanted],
        "its arrays have other shapes than the assignment's",
        DataError,
    )
    arrays = [np.asarray(leaf, want.dtype) for leaf, want in zip(leaves, wanted, strict=True)]
    finite = all(np.isfinite(array).all() for array in arrays)
    check(finite, "some of its numbers are NaN or infinite", DataError)
    return jax.tree.unflatten(structure, arrays)
