"""What an exercise's check does: it runs an answer beside the solution and the usual mistakes.

    check = Exercise("1.1", solution, cases, misconceptions=(Misconception(...), ...))
    check(answer)                        # in a notebook: a green, yellow or red note

An answer that gives what the solution gives is right. One that gives what a misconception gives is
told which one it is, in words. A check says what it found; it never raises.
"""

from __future__ import annotations

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
    """What a check found. It is true if the answer is right, and shows itself in a notebook."""

    status: Status
    text: str
    misconception: str | None = None
    """The name of the mistake, if it is a known one."""
    values: tuple[float, ...] = ()
    """What was measured, run by run, where an exercise is measured (`measured.py`)."""

    @property
    def share(self) -> float:
        """The share of the points that it earns, in [0, 1]."""
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
    """A usual mistake."""

    name: str
    """What it is called: "time reversed"."""
    message: str
    """What to tell who made it: what is wrong, and why, without the solution."""
    answer: Callable
    """What they would have written."""


class Check:
    """What checks have in common: an answer is tried, and what it gave is judged, elsewhere maybe.

    A subclass has a `number`, "lesson.exercise" (or "A1.1" in assignment 1), and the methods below
    that raise.
    """

    number: str

    def prepare(self) -> None:
        """Does what must come before a sandbox is locked: imports that load other programs."""

    def attempt(self, answer: Any, seed: int) -> tuple[Feedback | None, list[PyTree]]:
        """What an answer gives on the cases of a seed; or, of a blank or broken one, what to say.

        Nothing in here knows what is right: a grader runs it where answers can do no harm.
        """
        if not callable(answer):
            return Feedback("wrong", f"Hand over your function itself; this is {answer!r}."), []
        try:
            given = self.give(answer, seed)
        except Exception as error:
            return self._stopped(answer, error), []
        if any(is_blank(outcome) for outcome in given):
            return self._empty(answer), []
        return None, given

    def give(self, answer: Callable, seed: int) -> list[PyTree]:
        """What an answer gives: arrays."""
        raise NotImplementedError

    def judge(self, given: Sequence[PyTree], seed: int) -> Feedback:
        """What to say of what an answer gave: the trees, or lists of their leaves."""
        raise NotImplementedError

    def looks_for(self) -> str:
        """What an instructor should know of this check, in Markdown."""
        raise NotImplementedError

    def __call__(self, answer: Any, *, seed: int = 0) -> Feedback:
        """Checks an answer, which should be a function, on the cases of a seed."""
        feedback, given = self.attempt(answer, seed)
        return self.judge(given, seed) if feedback is None else feedback

    def _empty(self, answer: Callable) -> Feedback:
        name = getattr(answer, "__name__", "your function")
        return Feedback(
            "empty",
            f"Exercise {self.number} waits for you: replace the dots (...) in `{name}`, run its "
            "cell again, then this one. The hints unfold one by one.",
        )

    def _stopped(self, answer: Callable, error: Exception) -> Feedback:
        if "ellipsis" in str(error).lower():  # the dots went into an operation
            return self._empty(answer)
        for entry in reversed(traceback.extract_tb(error.__traceback__)):
            if entry.name == getattr(answer, "__name__", None):
                where = f" in the line `{entry.line}`" if entry.line else ""
                break
        else:
            where = ""
        message = (str(error).strip().splitlines() or [""])[0]
        if Ellipsis in getattr(getattr(answer, "__code__", None), "co_consts", ()):
            empty = self._empty(answer)
            return Feedback("empty", f"{empty.text} ({type(error).__name__}: {message})")
        return Feedback("wrong", f"It stopped{where} with {type(error).__name__}: {message}")


@dataclass(frozen=True)
class Exercise(Check):
    """A check that compares with a right answer.

    Args:
        number: "lesson.exercise", as the notebook has it.
        solution: a right answer.
        cases: inputs drawn from a key, a list of argument tuples.
        misconceptions: the usual mistakes, the most likely first.
        probe: what is compared, `probe(answer, *case)`: the answer's output unless given. A check
            for a missing stop-gradient probes a gradient.
        right: what to say of a right answer.
        tolerance: absolute and relative, of the comparison.
    """

    number: str
    solution: Callable
    cases: Callable[[PRNGKeyArray], Sequence[tuple]]
    misconceptions: tuple[Misconception, ...]
    probe: Callable[..., PyTree] = lambda answer, *case: answer(*case)
    right: str = "Right."
    tolerance: float = 1e-4

    def give(self, answer: Callable, seed: int) -> list[PyTree]:
        return [self.probe(answer, *case) for case in self._cases_of(seed)]

    def judge(self, given: Sequence[PyTree], seed: int) -> Feedback:
        """Whether what an answer gave is right, or a known mistake."""
        cases = self._cases_of(seed)
        expected = [self.probe(self.solution, *case) for case in cases]
        if self._agree(given, expected):
            return Feedback("right", self.right)
        for misconception in self.misconceptions:
            try:
                mistaken = [self.probe(misconception.answer, *case) for case in cases]
            except Exception:  # a mistake that can't run on these cases is not this one
                continue
            if self._agree(given, mistaken):
                text = f"{misconception.name.capitalize()}: {misconception.message}"
                return Feedback("wrong", text, misconception.name)
        return Feedback("wrong", _difference(given, expected))

    def looks_for(self) -> str:
        return "\n".join(f"- *{known.name}*: {known.message}" for known in self.misconceptions)

    def _cases_of(self, seed: int) -> Sequence[tuple]:
        return self.cases(jax.random.key(seed))

    def _agree(self, one: Sequence[PyTree], other: Sequence[PyTree]) -> bool:
        return len(one) == len(other) and all(
            _close(a, b, self.tolerance) for a, b in zip(one, other, strict=True)
        )


def is_blank(outcome: Any) -> bool:
    """Whether what an answer returned is nothing, or has a blank's dots in it."""
    leaves = jax.tree.leaves(outcome, is_leaf=lambda leaf: leaf is None or leaf is Ellipsis)
    return not leaves or any(leaf is None or leaf is Ellipsis for leaf in leaves)


def with_gradient(of: Callable[[PyTree], PyTree], at: PyTree) -> tuple:
    """What a function gives, and the gradient of the sum of its squares: for a probe.

    The gradient is 0 where a stop-gradient keeps the output from depending on the input. A blank
    has none, and is handed on alone.
    """
    value = of(at)
    if is_blank(value):
        return (value,)
    squares = lambda x: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(of(x)))  # noqa: E731
    return value, jax.grad(squares)(at)


def _leaves(outcome: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(outcome)]


def _close(one: Any, other: Any, tolerance: float) -> bool:
    try:
        ours, theirs = _leaves(one), _leaves(other)
        return len(ours) == len(theirs) and all(
            a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)
            for a, b in zip(ours, theirs, strict=True)
        )
    except (TypeError, ValueError):
        return False


def _difference(given: list, expected: list) -> str:
    """How a wrong answer differs, in words: its shape if that is wrong, else by how much."""
    for one, other in zip(given, expected, strict=True):
        try:
            ours, theirs = _leaves(one), _leaves(other)
        except (TypeError, ValueError):
            ours, theirs = [], _leaves(other)
        if len(ours) != len(theirs):
            return f"It should return {len(theirs)} array(s), and returns {len(ours)}."
        for a, b in zip(ours, theirs, strict=True):
            if a.shape != b.shape:
                return f"The shape should be {b.shape}, and is {a.shape}."
            if not np.issubdtype(a.dtype, np.number) and a.dtype != bool:
                return f"It should return numbers, and returns {a.dtype}."
            if not np.isfinite(a).all():
                return "Some of it is NaN or infinite."
    error = max(
        float(np.max(np.abs(a - b), initial=0))
        for one, other in zip(given, expected, strict=True)
        for a, b in zip(_leaves(one), _leaves(other), strict=True)
    )
    return (
        f"The shape is right and the numbers are not: off by up to {error:.2g}. It is none of the "
        "usual mistakes; compare with the formula, term by term."
    )
