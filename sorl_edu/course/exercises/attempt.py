"""An attempt: one case of an exercise, put to an answer.

    attempt(answer, obs, noise, 4)     # what it returns; or Stopped, with feedback on the reason

It knows nothing of what is right, so that it also runs where a grader runs strangers' answers
(`grading/worker.py`). The checks (`exercise.py`) compare what comes back.
"""

from __future__ import annotations

import contextlib
import dis
import html
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Status = Literal["right", "partly", "wrong", "empty"]
COLORS = {"right": "#029e73", "partly": "#b07d00", "wrong": "#d55e00", "empty": "#56667a"}
SIGNS = {"right": "✓", "partly": "◐", "wrong": "✗", "empty": "…"}
Ask = Callable[..., PyTree]
"""`ask(*case, probe=call, parts=1)` puts a case to an answer, here or in another process.

It returns what `attempt` returns, and raises `Stopped`."""
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
class Other:
    """Stands for what an answer returned in another process, and is no number, text or array."""

    kind: str
    """The name of its type."""


class Stopped(Exception):
    """An answer could not be tried: it is blank, or it raised an error."""

    def __init__(self, feedback: Feedback):
        super().__init__(feedback.text)
        self.feedback = feedback


def call(answer: Callable, *case: Any) -> Any:
    """What an answer returns: the usual probe."""
    return answer(*case)


def attempt(
    answer: Any, *case: Any, probe: Callable = call, parts: int = 1, number: str = ""
) -> PyTree:
    """What a probe makes of an answer and a case.

    Args:
        answer: a student's function or class, or anything.
        case: its arguments, which the probe may add to.
        probe: `probe(answer, *case)` is returned; a function at the top of `given.py`, if the
            answer may run in another process.
        parts: how many arrays there should be.
        number: the exercise's.

    Raises:
        Stopped: the answer is blank, or it raised an error.
    """
    if not callable(answer):
        said = repr(answer)[:200]
        raise Stopped(Feedback("wrong", f"Pass your function itself; this is {said}."))
    try:
        output = as_arrays(probe(answer, *case), parts)
        blank = is_blank(output)
    except Stopped:
        raise
    except Exception as error:
        raise Stopped(stopped(answer, error, number)) from error
    if blank:
        raise Stopped(unfinished(answer, number))
    return output


def unfinished(answer: Callable, number: str) -> Feedback:
    """Feedback on an answer that returned dots, or nothing."""
    if _has_dots(answer):
        return _blank(answer, number)
    name = getattr(answer, "__name__", "your function")
    return Feedback(
        "wrong", f"`{name}` returns nothing, or None in a place: is a `return` missing?"
    )


def _blank(answer: Callable, number: str) -> Feedback:
    name = getattr(answer, "__name__", "your function")
    return Feedback(
        "empty",
        f"Exercise {number} waits for you: replace the dots (...) in `{name}`, run its cell again, "
        "then this one. The hints unfold one by one.",
    )


def stopped(answer: Callable, error: Exception, number: str) -> Feedback:
    """Feedback on an answer that raised an error: blank if its dots may be the reason."""
    if "ellipsis" in str(error).lower():  # an operation received the dots
        return _blank(answer, number)
    for entry in reversed(traceback.extract_tb(error.__traceback__)):
        if entry.name == getattr(answer, "__name__", None):
            where = f" in the line `{entry.line}`" if entry.line else ""
            break
    else:
        where = ""
    for kind, advice in TRACED.items():
        if isinstance(error, kind):
            return Feedback("wrong", f"It stopped{where}. {advice}", error=error_name(error))
    if _has_dots(answer):
        return Feedback("empty", f"{_blank(answer, number).text} ({error_name(error)})")
    text = f"It stopped{where} with {error_name(error)}"
    return Feedback("wrong", text, error=error_name(error))


def error_name(error: Exception) -> str:
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
        if any(map(_are_dots, constants)) and not all(_are_index(code)):
            return True
        codes.extend(constant for constant in constants if hasattr(constant, "co_consts"))
    return False


def _are_dots(constant: object) -> bool:
    return constant is Ellipsis or (isinstance(constant, tuple) and any(map(_are_dots, constant)))


def _are_index(code: CodeType) -> Iterator[bool]:
    """For each place where code loads dots: whether they are an index, as in x[..., 0]."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    for i, (_, value) in enumerate(steps):
        if _are_dots(value):
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
