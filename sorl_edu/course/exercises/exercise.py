"""The check of an exercise: compares an answer with the solution and with known misconceptions.

    check = Exercise(
        number="1.1",
        solution=solution,
        cases=cases,
        misconceptions=(Misconception("time reversed", "at t = 0 ...", mistaken),),
    )
    check(answer)                        # in a notebook: a green, yellow or red note

An answer is right if its outputs equal the solution's on all cases. If they equal those of a
misconception, the note names and explains it. A check reports its findings and never raises.
"""

from __future__ import annotations

import functools
import html
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

Status = Literal["right", "partly", "wrong", "empty"]
COLORS = {"right": "#029e73", "partly": "#b07d00", "wrong": "#d55e00", "empty": "#56667a"}
SIGNS = {"right": "✓", "partly": "◐", "wrong": "✗", "empty": "…"}
SHARES = {"right": 1.0, "partly": 0.5, "wrong": 0.0, "empty": 0.0}


@dataclass(frozen=True)
class Feedback:
    """The result of a check. It is true if the answer is right; a notebook shows it as a note."""

    status: Status
    text: str
    misconception: str | None = None
    """Name of the misconception that the answer agrees with, if any."""
    values: tuple[float, ...] = ()
    """One measurement per seed if the exercise is measured (`measured.py`), else empty."""

    @property
    def share(self) -> float:
        """The share of the exercise's points that the answer earns, in [0, 1]."""
        return SHARES[self.status]

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        return f"{SIGNS[self.status]} {self.text}"

    def _repr_html_(self) -> str:
        color = COLORS[self.status]
        return (
            f'<div role="status" style="border-left:4px solid {color};padding:0.4em 0.8em">'
            f'<b style="color:{color}">{SIGNS[self.status]}</b> {html.escape(self.text)}</div>'
        )


@dataclass(frozen=True)
class Misconception:
    """A common mistake: the solution with one thing changed."""

    name: str
    """A short name, as in "time reversed"."""
    message: str
    """Explains to the student what is wrong and why, without giving the solution away."""
    answer: Callable
    """The answer of a student who makes this mistake."""


class Check:
    """Runs an answer and grades its outputs; a grader does the two in different processes.

    Subclasses have a `number`, "lesson.exercise" (or "A1.1" in assignment 1), and implement
    `outputs`, `grade` and `describe`.
    """

    number: str

    def prepare(self) -> None:
        """Loads what `run` needs before the sandbox closes, such as data and native libraries."""

    def run(self, answer: Any, seed: int) -> tuple[Feedback | None, list[PyTree]]:
        """The outputs of an answer on the cases of a seed; feedback instead if it can't run.

        A grader calls this inside the sandbox. It must not compute what is right.

        Returns:
            None and the outputs; or feedback on a blank, broken or raising answer, and no outputs.
        """
        if not callable(answer):
            return Feedback("wrong", f"Pass your function itself; this is {answer!r}."), []
        try:
            outputs = self.outputs(answer, seed)
        except Exception as error:
            return self._explain(answer, error), []
        if any(is_blank(output) for output in outputs):
            return self._blank(answer), []
        return None, outputs

    def outputs(self, answer: Callable, seed: int) -> list[PyTree]:
        """An answer's outputs on the cases of a seed: trees of arrays. It may raise anything."""
        raise NotImplementedError

    def grade(self, outputs: Sequence[PyTree], seed: int) -> Feedback:
        """Feedback on an answer's outputs, each a tree or the list of its leaves."""
        raise NotImplementedError

    def describe(self) -> str:
        """Markdown for instructors: the misconceptions or the goal that the check looks for."""
        raise NotImplementedError

    def __call__(self, answer: Any, *, seed: int = 0) -> Feedback:
        """Checks an answer, a function, on the cases of a seed."""
        feedback, outputs = self.run(answer, seed)
        return self.grade(outputs, seed) if feedback is None else feedback

    def _blank(self, answer: Callable) -> Feedback:
        name = getattr(answer, "__name__", "your function")
        return Feedback(
            "empty",
            f"Exercise {self.number} waits for you: replace the dots (...) in `{name}`, run its "
            "cell again, then this one. The hints unfold one by one.",
        )

    def _explain(self, answer: Callable, error: Exception) -> Feedback:
        """Feedback on an answer that raised an error: blank if its dots may be the reason."""
        if "ellipsis" in str(error).lower():  # an operation received the dots
            return self._blank(answer)
        for entry in reversed(traceback.extract_tb(error.__traceback__)):
            if entry.name == getattr(answer, "__name__", None):
                where = f" in the line `{entry.line}`" if entry.line else ""
                break
        else:
            where = ""
        message = (str(error).strip().splitlines() or [""])[0]
        if Ellipsis in getattr(getattr(answer, "__code__", None), "co_consts", ()):
            blank = self._blank(answer)
            return Feedback("empty", f"{blank.text} ({type(error).__name__}: {message})")
        return Feedback("wrong", f"It stopped{where} with {type(error).__name__}: {message}")


@dataclass(frozen=True, kw_only=True)
class Exercise(Check):
    """A check that compares an answer's outputs with the solution's.

    Args:
        number: "lesson.exercise", as in the notebook.
        solution: a right answer.
        cases: draws inputs from a key, as a list of argument tuples.
        probe: `probe(answer, *case)` is compared; the answer's return value unless given. To check
            for a missing stop-gradient, probe a gradient.
        right: feedback on a right answer.
        tolerance: absolute and relative tolerance of the comparison.
        misconceptions: common mistakes, the most likely first.
    """

    number: str
    solution: Callable
    cases: Callable[[PRNGKeyArray], Sequence[tuple]]
    probe: Callable[..., PyTree] = lambda answer, *case: answer(*case)
    right: str = "Right."
    tolerance: float = 1e-4
    misconceptions: tuple[Misconception, ...]

    def outputs(self, answer: Callable, seed: int) -> list[PyTree]:
        return [self.probe(answer, *case) for case in self.cases(jax.random.key(seed))]

    def grade(self, outputs: Sequence[PyTree], seed: int) -> Feedback:
        expected = self._known(self.solution, seed)
        if self._agree(outputs, expected):
            return Feedback("right", self.right)
        for misconception in self.misconceptions:
            try:
                mistaken = self._known(misconception.answer, seed)
            except Exception:  # a mistake that can't run on these cases is not this one
                continue
            if self._agree(outputs, mistaken):
                text = f"{misconception.name.capitalize()}: {misconception.message}"
                return Feedback("wrong", text, misconception.name)
        return Feedback("wrong", _difference(outputs, expected))

    @functools.cache  # noqa: B019 (an exercise lasts as long as its module)
    def _known(self, answer: Callable, seed: int) -> list[PyTree]:
        """The outputs of the solution or of a misconception, computed once per seed."""
        return self.outputs(answer, seed)

    def describe(self) -> str:
        return "\n".join(f"- *{known.name}*: {known.message}" for known in self.misconceptions)

    def _agree(self, outputs: Sequence[PyTree], expected: Sequence[PyTree]) -> bool:
        return len(outputs) == len(expected) and all(
            _close(a, b, self.tolerance) for a, b in zip(outputs, expected, strict=True)
        )


def is_blank(output: Any) -> bool:
    """Whether an answer returned nothing, or a tree that contains a blank's dots."""
    leaves = jax.tree.leaves(output, is_leaf=lambda leaf: leaf is None or leaf is Ellipsis)
    return not leaves or any(leaf is None or leaf is Ellipsis for leaf in leaves)


def with_gradient(function: Callable[[PyTree], PyTree], at: PyTree) -> tuple:
    """A function's value, and the gradient of the sum of its squares; to be used in a probe.

    The gradient is 0 where a stop-gradient keeps the value from depending on the input. A blank has
    no gradient and is returned alone.
    """
    value = function(at)
    if is_blank(value):
        return (value,)
    squares = lambda x: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(function(x)))  # noqa: E731
    return value, jax.grad(squares)(at)


def _leaves(output: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(output)]


def _close(output: Any, expected: Any, tolerance: float) -> bool:
    try:
        given, wanted = _leaves(output), _leaves(expected)
        return len(given) == len(wanted) and all(
            a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)
            for a, b in zip(given, wanted, strict=True)
        )
    except (TypeError, ValueError):
        return False


def _difference(outputs: Sequence[PyTree], expected: Sequence[PyTree]) -> str:
    """How wrong outputs differ, in words: in number, shape, type, or by how much."""
    for output, right in zip(outputs, expected, strict=True):
        wanted = _leaves(right)
        try:
            given = _leaves(output)
        except (TypeError, ValueError):
            given = []
        if len(given) != len(wanted):
            return f"It should return {len(wanted)} array(s), and returns {len(given)}."
        for a, b in zip(given, wanted, strict=True):
            if a.shape != b.shape:
                return f"The shape should be {b.shape}, and is {a.shape}."
            if not np.issubdtype(a.dtype, np.number) and a.dtype != bool:
                return f"It should return numbers, and returns {a.dtype}."
            if not np.isfinite(a).all():
                return "Some of the numbers are NaN or infinite."
    error = max(
        float(np.max(np.abs(a - b), initial=0))
        for output, right in zip(outputs, expected, strict=True)
        for a, b in zip(_leaves(output), _leaves(right), strict=True)
    )
    return (
        f"The shape is right and the numbers are not: they differ by up to {error:.2g}. This is "
        "no common mistake; compare your code with the formula, term by term."
    )
