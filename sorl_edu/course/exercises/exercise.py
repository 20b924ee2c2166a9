"""The check of an exercise: compares an answer with the solution and with known misconceptions.

    check = Exercise(
        number="1.1",
        solution=solution,
        cases=cases,
        misconceptions=(Misconception("time reversed", "at t = 0 ...", mistaken),),
    )
    check(answer)                        # in a notebook: a green, yellow or red note

An answer is right if its outputs equal the solution's on all cases. If they equal those of a
misconception, the note names and explains it; so it does if both stop with the same error.
Otherwise the note says which part of the output is wrong, and in which case. It never raises.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from sorl_edu.course.exercises.attempt import Ask, Feedback, Other, Stopped, attempt, call


@dataclass(frozen=True)
class Misconception:
    """A common mistake: the solution with one thing changed."""

    name: str
    """A short name, as in "time reversed"."""
    message: str
    """Explains to the student what is wrong and why, without giving the solution away."""
    answer: Callable
    """The answer of a student who makes this mistake."""


class Draws:
    """A case's random arrays, drawn from a key by NumPy: JAX would compile each shape anew."""

    def __init__(self, key: PRNGKeyArray) -> None:
        self.rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def normal(self, *shape: int, scale: float = 1.0) -> jax.Array:
        return jnp.asarray(self.rng.normal(scale=scale, size=shape), jnp.float32)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> jax.Array:
        return jnp.asarray(self.rng.uniform(low, high, shape), jnp.float32)

    def key(self) -> PRNGKeyArray:
        return jax.random.key(self.rng.integers(2**31))


class Check:
    """Puts cases to an answer and judges what comes back.

    Subclasses have a `number`, "lesson.exercise" (or "A1.1" in assignment 1), and implement
    `examine` and `describe`.
    """

    number: str
    library: tuple[str, ...] = ()
    """Functions of this library that would be the answer, as "module:name". Behind a grader's fence
    they say so in place of working."""

    def examine(self, ask: Ask, seed: int) -> Feedback:
        """Feedback on an answer, from what it makes of the cases of a seed.

        Args:
            ask: puts a case to the answer, here or in another process. What comes back may be
                anything, and is trusted in nothing.
            seed: of the cases.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Markdown for instructors: the misconceptions or the goal that the check looks for."""
        raise NotImplementedError

    def __call__(self, answer: Any, *, seed: int = 0) -> Feedback:
        """Checks an answer, a function, on the cases of a seed."""
        return self.examine(functools.partial(attempt, answer, number=self.number), seed)


@dataclass(frozen=True, kw_only=True)
class Exercise(Check):
    """A check that compares an answer's outputs with the solution's.

    Args:
        number: "lesson.exercise", as in the notebook.
        solution: a right answer.
        parts: what an output consists of, as in ("the path", "the velocity"): a name for each of
            its arrays, in order. The name of a gradient contains the word.
        cases: draws inputs from a key, as a list of argument tuples.
        probe: `probe(answer, *case)` is compared; the answer's return value unless given. To check
            for a missing stop-gradient, probe a gradient. A grader runs it in another process:
            it is a function of `given.py`, as are the functions among the cases.
        right: feedback on a right answer.
        tolerance: absolute and relative tolerance of the comparison.
        misconceptions: common mistakes, the most likely first.
        library: see `Check.library`.
    """

    number: str
    solution: Callable
    cases: Callable[[PRNGKeyArray], Sequence[tuple]]
    probe: Callable[..., PyTree] = call
    parts: tuple[str, ...] = ("the result",)
    right: str = "Right."
    tolerance: float = 1e-4
    misconceptions: tuple[Misconception, ...]
    library: tuple[str, ...] = ()

    def examine(self, ask: Ask, seed: int) -> Feedback:
        try:
            outputs = self._outputs(ask, seed)
        except Stopped as stop:
            return self._explained(stop.feedback, seed)
        if (keys := _keys_of_a_dict(outputs)) is not None:
            returned = f"a dict with {_listed(keys)}" if keys else "an empty dict"
            return Feedback("wrong", f"{self._asked()}, and returns {returned}.")
        expected, _ = self._known(self.solution, seed)
        if self._agree(outputs, expected):
            return Feedback("right", self.right)
        for misconception in self.misconceptions:
            if self._agree(outputs, self._known(misconception.answer, seed)[0]):
                return named(misconception)
        return Feedback("wrong", self._difference(outputs, expected, seed))

    def _outputs(self, ask: Ask, seed: int) -> list[PyTree]:
        # An answer may change a dict that it gets: each gets its own.
        cases = jax.tree.map(lambda leaf: leaf, self._drawn(seed))
        parts = len(self.parts)
        return [ask(*case, probe=self.probe, parts=parts) for case in cases]

    def _explained(self, stopped: Feedback, seed: int) -> Feedback:
        """Better feedback on an answer that stopped, if a misconception stops alike."""
        for misconception in self.misconceptions:
            if stopped.error and stopped.error == self._known(misconception.answer, seed)[1]:
                return replace(named(misconception), error=stopped.error)
        return stopped

    @functools.cache  # noqa: B019 (an exercise lasts as long as its module)
    def _drawn(self, seed: int) -> Sequence[tuple]:
        return self.cases(jax.random.key(seed))

    @functools.cache  # noqa: B019
    def _known(self, answer: Callable, seed: int) -> tuple[list[PyTree], str]:
        """The outputs of the solution or of a misconception, or no outputs and its error."""
        try:
            return self._outputs(functools.partial(attempt, answer), seed), ""
        except Stopped as stop:
            return [], stop.feedback.error

    def describe(self) -> str:
        return listed_misconceptions(self.misconceptions)

    def _agree(self, outputs: Sequence[PyTree], expected: Sequence[PyTree]) -> bool:
        return len(outputs) == len(expected) and all(
            _close(a, b, self.tolerance) for a, b in zip(outputs, expected, strict=True)
        )

    def _difference(self, outputs: Sequence[PyTree], expected: Sequence[PyTree], seed: int) -> str:
        """Which part of an answer is wrong, by how much, and in which case."""
        if len(outputs) != len(expected):
            return f"It has {len(outputs)} outputs for {len(expected)} cases."
        cases, wrong = self._cases(seed), {}
        for case, output, right in zip(cases, outputs, expected, strict=True):
            wanted = _leaves(right)
            given = _matched(output, len(wanted))
            if given is None:
                probed = len(self._returned()) < len(self.parts)
                found = output[0] if probed else output
                return f"{self._asked()}, and returns {_described(found)}."
            there = case and f",{case}"
            for part, a, b in zip(self.parts, given, wanted, strict=True):
                name = part[0].upper() + part[1:]
                if not (np.issubdtype(a.dtype, np.number) or a.dtype == bool):
                    return f"{name} should be numbers, and is {_described(a)}{there}."
                if a.shape != b.shape:
                    return f"{name} should have the shape {b.shape}, and has {a.shape}{there}."
                if not np.isfinite(a).all():
                    return f"{name} has numbers that are NaN or infinite{there}."
                if not _close(a, b, self.tolerance):
                    error = float(np.max(np.abs(a - b)))
                    wrong.setdefault(part, []).append((case, error))
        return self._said(wrong, len(cases))

    def _returned(self) -> list[str]:
        """The parts that an answer itself returns; the check computes the gradients."""
        return [part for part in self.parts if "gradient" not in part]

    def _asked(self) -> str:
        return f"It should return {_listed(self._returned())}"

    def _said(self, wrong: dict[str, list[tuple[str, float]]], cases: int) -> str:
        """Sentences on the wrong parts, each with its cases and errors."""
        sentences = []
        if right := [part for part in self.parts if part not in wrong]:
            verb = "is" if len(right) == 1 else "are"
            sentences.append(f"{_listed(right)} {verb} right.")
        for part, errors in wrong.items():
            case, error = errors[0]
            others, good = cases - 1, cases - len(errors)
            where = case
            if others and not good:
                where += f", and in the other{'' if others == 1 else 's'}, too"
            elif good:
                where += f"; {good} of {cases} cases {'is' if good == 1 else 'are'} right"
            sentences.append(f"{part} is off by up to {error:.2g}{where}.")
        if any("gradient" in part for part in wrong) and right:
            sentences.append(
                "which quantities should be constants (jax.lax.stop_gradient), and which not?"
            )
        else:
            sentences.append(
                "this is none of the usual mistakes alone: compare your code with the formula, "
                "term by term."
            )
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)

    def _cases(self, seed: int) -> list[str]:
        """The cases of a seed in words, as in " in case 1 of 3 (m = 4)"; none for a single case."""
        cases = self._drawn(seed)
        if len(cases) == 1:
            return [""]
        inputs = inspect.signature(self.solution).parameters.values()
        names = [one.name for one in inputs if one.default is one.empty]
        return [
            f" in case {number} of {len(cases)}" + _inputs(names[len(names) - len(case) :], case)
            for number, case in enumerate(cases, 1)
        ]


def _inputs(names: Sequence[str], case: Sequence) -> str:
    """The numbers among a case's inputs, or else the shapes of its arrays, in brackets."""
    inputs = list(zip(names, case, strict=True))
    found = [f"{name} = {value:g}" for name, value in inputs if isinstance(value, int | float)]
    found = found or [f"{name} {value.shape}" for name, value in inputs if hasattr(value, "shape")]
    return f" ({', '.join(found[:4])})" if found else ""


def listed_misconceptions(misconceptions: Sequence[Misconception]) -> str:
    """Markdown for instructors: a line for each misconception."""
    return "\n".join(f"- *{known.name}*: {known.message}" for known in misconceptions)


def named(misconception: Misconception) -> Feedback:
    """Feedback on an answer that makes a usual mistake."""
    text = f"A usual mistake ({misconception.name}): {misconception.message}"
    return Feedback("wrong", text, misconception.name)


def _leaves(output: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(output)]


def _keys_of_a_dict(outputs: Sequence[PyTree]) -> list[str] | None:
    """The keys of the first dict among the outputs or their parts, quoted; None without one."""
    for output in outputs:
        parts = output if isinstance(output, list | tuple) else ()
        for part in (output, *parts):
            if isinstance(part, dict):
                return [repr(key) for key in part]
    return None


def _matched(output: Any, count: int) -> list[np.ndarray] | None:
    """An output as that many arrays: also from one array of as many rows."""
    try:
        leaves = _leaves(output)
        if len(leaves) == 1 != count and len(leaves[0]) == count:
            return [np.asarray(row) for row in leaves[0]]
    except (TypeError, ValueError):
        return None
    return leaves if len(leaves) == count else None


def _close(output: Any, expected: Any, tolerance: float) -> bool:
    wanted = _leaves(expected)
    given = _matched(output, len(wanted))
    try:
        return given is not None and all(
            a.shape == b.shape and np.allclose(a, b, tolerance, tolerance, equal_nan=True)
            for a, b in zip(given, wanted, strict=True)
        )
    except TypeError:  # text, for example
        return False


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def _described(output: Any) -> str:
    """What an output is, in a few words."""
    leaves = jax.tree.leaves(output)
    if len(leaves) != 1:
        return f"{len(leaves)} arrays"
    array = np.asarray(leaves[0])
    if array.dtype.kind in "US":
        return "text"
    if np.issubdtype(array.dtype, np.number) or array.dtype == bool:
        return f"an array of shape {array.shape}"
    thing = array.flat[0] if array.size else None
    return thing.kind if isinstance(thing, Other) else type(thing).__name__
