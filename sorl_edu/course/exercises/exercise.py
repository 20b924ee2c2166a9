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

import contextlib
import dis
import functools
import html
import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

Status = Literal["right", "partly", "wrong", "empty"]
COLORS = {"right": "#029e73", "partly": "#b07d00", "wrong": "#d55e00", "empty": "#56667a"}
SIGNS = {"right": "✓", "partly": "◐", "wrong": "✗", "empty": "…"}
TRACED = {  # errors of code on numbers that JAX traces, and what to do
    jax.errors.TracerArrayConversionError: "It uses NumPy (np) on numbers that JAX traces, to "
    "differentiate them or to compile. Use jnp there: jnp.stack for np.stack.",
    jax.errors.ConcretizationTypeError: "It makes a Python number of one that JAX traces, to "
    "differentiate it or to compile. Stay with jnp there, without float, int, .item() or `if`.",
}
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
    error: str = ""
    """The error that stopped the answer, as in "TypeError: ...", if one did."""

    @property
    def share(self) -> float:
        """The share of the exercise's points that the answer earns, in [0, 1]."""
        return SHARES[self.status]

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        return f"{SIGNS[self.status]} {self.text}"

    def _repr_html_(self) -> str:
        color = COLORS[self.status]  # of the border alone: text in it is too faint on some theme
        return (
            f'<div role="status" style="border-left:4px solid {color};padding:0.4em 0.8em">'
            f"<b>{SIGNS[self.status]}</b> {html.escape(self.text)}</div>"
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
            return self.stopped(answer, error), []
        if any(is_blank(output) for output in outputs):
            return self.unfinished(answer), []
        return None, outputs

    def outputs(self, answer: Callable, seed: int) -> list[PyTree]:
        """An answer's outputs on the cases of a seed: trees of arrays. It may raise anything."""
        raise NotImplementedError

    def grade(self, outputs: Sequence[PyTree], seed: int) -> Feedback:
        """Feedback on an answer's outputs, each a tree or the list of its leaves."""
        raise NotImplementedError

    def explain(self, stopped: Feedback, seed: int) -> Feedback:
        """Better feedback on an answer that could not run, if there is any."""
        del seed
        return stopped

    def describe(self) -> str:
        """Markdown for instructors: the misconceptions or the goal that the check looks for."""
        raise NotImplementedError

    def __call__(self, answer: Any, *, seed: int = 0) -> Feedback:
        """Checks an answer, a function, on the cases of a seed."""
        stopped, outputs = self.run(answer, seed)
        return self.grade(outputs, seed) if stopped is None else self.explain(stopped, seed)

    def unfinished(self, answer: Callable) -> Feedback:
        """Feedback on an answer that returned dots, or nothing."""
        if _has_dots(answer):
            return self._blank(answer)
        name = getattr(answer, "__name__", "your function")
        text = f"`{name}` returns nothing, or None in a place: is a `return` missing?"
        return Feedback("wrong", text)

    def _blank(self, answer: Callable) -> Feedback:
        name = getattr(answer, "__name__", "your function")
        return Feedback(
            "empty",
            f"Exercise {self.number} waits for you: replace the dots (...) in `{name}`, run its "
            "cell again, then this one. The hints unfold one by one.",
        )

    def stopped(self, answer: Callable, error: Exception) -> Feedback:
        """Feedback on an answer that raised an error: blank if its dots may be the reason."""
        if "ellipsis" in str(error).lower():  # an operation received the dots
            return self._blank(answer)
        for entry in reversed(traceback.extract_tb(error.__traceback__)):
            if entry.name == getattr(answer, "__name__", None):
                where = f" in the line `{entry.line}`" if entry.line else ""
                break
        else:
            where = ""
        for kind, advice in TRACED.items():
            if isinstance(error, kind):
                return Feedback("wrong", f"It stopped{where}. {advice}", error=_name(error))
        if _has_dots(answer):
            return Feedback("empty", f"{self._blank(answer).text} ({_name(error)})")
        return Feedback("wrong", f"It stopped{where} with {_name(error)}", error=_name(error))


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
            for a missing stop-gradient, probe a gradient.
        right: feedback on a right answer.
        tolerance: absolute and relative tolerance of the comparison.
        misconceptions: common mistakes, the most likely first.
    """

    number: str
    solution: Callable
    cases: Callable[[PRNGKeyArray], Sequence[tuple]]
    probe: Callable[..., PyTree] = lambda answer, *case: answer(*case)
    parts: tuple[str, ...] = ("the result",)
    right: str = "Right."
    tolerance: float = 1e-4
    misconceptions: tuple[Misconception, ...]

    def run(self, answer: Any, seed: int) -> tuple[Feedback | None, list[PyTree]]:
        stopped, outputs = super().run(answer, seed)
        if stopped is None and (keys := _keys_of_a_dict(outputs)) is not None:
            returned = f"a dict with {_listed(keys)}" if keys else "an empty dict"
            return Feedback("wrong", f"{self._asked()}, and returns {returned}."), []
        return stopped, outputs

    def outputs(self, answer: Callable, seed: int) -> list[PyTree]:
        # An answer may change a dict that it gets: each gets its own.
        cases = jax.tree.map(lambda leaf: leaf, self._drawn(seed))
        count = len(self.parts)
        return [as_arrays(self.probe(answer, *case), count) for case in cases]

    def grade(self, outputs: Sequence[PyTree], seed: int) -> Feedback:
        expected, _ = self._known(self.solution, seed)
        if self._agree(outputs, expected):
            return Feedback("right", self.right)
        for misconception in self.misconceptions:
            if self._agree(outputs, self._known(misconception.answer, seed)[0]):
                return named(misconception)
        return Feedback("wrong", self._difference(outputs, expected, seed))

    def explain(self, stopped: Feedback, seed: int) -> Feedback:
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
            return self.outputs(answer, seed), ""
        except Exception as error:
            return [], _name(error)

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


def _name(error: Exception) -> str:
    """An error's type and the first line of its message."""
    message = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {message}"


def _has_dots(answer: Callable) -> bool:
    """Whether dots (...) are left in an answer, a function or a class. An index may have dots."""
    parts = list(vars(answer).values()) if isinstance(answer, type) else [answer]
    if any(part is Ellipsis for part in parts):
        return True
    codes = [getattr(part, "__code__", None) for part in parts]
    for code in codes:
        constants = getattr(code, "co_consts", ())
        if Ellipsis in constants and not all(_are_index(code)):
            return True
        codes.extend(constant for constant in constants if hasattr(constant, "co_consts"))
    return False


def _are_index(code: CodeType) -> Iterator[bool]:
    """For each place where code loads dots: whether they are an index, as in x[..., 0]."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    for i, (_, value) in enumerate(steps):
        if value is Ellipsis:
            then = [
                name for name, _ in steps[i + 1 :] if not name.startswith(("LOAD", "BUILD_SLICE"))
            ]
            yield "BINARY_SUBSCR" in then[: 1 + (then[:1] == ["BUILD_TUPLE"])]


def is_blank(output: Any) -> bool:
    """Whether an answer returned nothing, or a tree that contains a blank's dots."""
    leaves = jax.tree.leaves(output, is_leaf=lambda leaf: leaf is None or leaf is Ellipsis)
    return not leaves or any(leaf is None or leaf is Ellipsis for leaf in leaves)


class _NoNumbers(Exception):
    """A value that has no gradient: a blank, or text."""


def with_gradient(function: Callable[[PyTree], PyTree], at: PyTree) -> tuple:
    """A function's value, and how it changes with its input; to be used in a probe.

    With a number as the input that is the value's derivative, else the gradient of the sum of the
    value's squares. It is 0 where a stop-gradient keeps the value from depending on the input. A
    blank has no gradient and is returned alone.
    """

    def value_at(x: PyTree) -> PyTree:
        value = as_arrays(function(x), 1)
        if is_blank(value) or not all(map(_is_number, jax.tree.leaves(value))):
            raise _NoNumbers(value)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), value)

    try:
        if jnp.ndim(at) == 0:
            return jax.jvp(value_at, (at,), (jnp.ones_like(at),))
        value, pull_back = jax.vjp(value_at, at)
    except _NoNumbers as found:
        return (found.args[0],)
    return value, pull_back(jax.tree.map(lambda leaf: 2 * leaf, value))[0]


def _is_number(leaf: Any) -> bool:
    if isinstance(leaf, int | float):
        return True
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and (jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_)


def as_arrays(output: PyTree, count: int) -> PyTree:
    """An output that should be `count` arrays, with an array for a list of numbers or of rows."""
    entries = [output] if count == 1 else output
    if not isinstance(entries, list | tuple) or len(entries) != count or is_blank(output):
        return output
    made = []
    for entry in entries:
        leaves = jax.tree.leaves(entry)
        is_list = isinstance(entry, list | tuple) and len(leaves) > 1
        alike = len({jnp.shape(leaf) for leaf in leaves}) == 1
        with contextlib.suppress(TypeError, ValueError):  # text, or a dict
            entry = jnp.asarray(entry) if is_list and alike else entry
        made.append(entry)
    return made[0] if count == 1 else tuple(made)


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
    numbers = np.issubdtype(array.dtype, np.number) or array.dtype == bool
    return f"an array of shape {array.shape}" if numbers else type(leaves[0]).__name__
