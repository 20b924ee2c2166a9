"""What the grader and an answer's process send each other: data in one format, read as data.

    frame = pack({"q": q, "steps": 4})
    unpack(frame)

A frame is 8 bytes, the sizes of the two parts that follow; JSON, in which every value is a list of
its kind and its content; and the bytes of the arrays, one after the other. The reader checks all
sizes before it makes an array, and makes nothing but numbers, text, arrays and containers. The
grader alone may also send functions and dataclasses of this library, by their names
(`library=True`).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from sorl_edu.course.exercises.attempt import Other
from sorl_edu.errors import DataError, check

HEADER = struct.Struct(">II")
MOST_JSON, MOST_BYTES = 4 * 2**20, 20 * 2**20
DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
    )
}
MOST_AXES, MOST_VALUES = 8, 100_000  # of an array, of a container
MOST_TEXT = 2000  # characters of a text from an answer


def pack(value: Any) -> bytes:
    """A value as a frame.

    Args:
        value: numbers, text, arrays, keys of `jax.random`, and lists, tuples and dicts of them;
            functions at the top of a module of this library, their `functools.partial`s, and its
            dataclasses. In the place of anything else, the reader gets `Other`.

    Raises:
        DataError: its arrays have more than `MOST_BYTES`, or there are too many values.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_described(value, arrays)).encode()
    size = sum(array.nbytes for array in arrays)
    check(size <= MOST_BYTES, f"it has {size:,} bytes, more than {MOST_BYTES:,}", DataError)
    check(len(text) <= MOST_JSON, "it consists of too many values", DataError)
    return b"".join([HEADER.pack(len(text), size), text, *(a.tobytes() for a in arrays)])


def sizes(header: bytes) -> tuple[int, int]:
    """The sizes of the JSON and of the arrays that follow a header.

    Raises:
        DataError: they are larger than a frame may be.
    """
    text, size = HEADER.unpack(header)
    check(text <= MOST_JSON and size <= MOST_BYTES, "a frame is far too large", DataError)
    return text, size


def unpack(frame: bytes, *, library: bool = False) -> Any:
    """The value of a frame; arrays are NumPy's, and can be written to.

    Args:
        frame: what `pack` returned, or anything.
        library: import functions and dataclasses of this library by their names, and make JAX's
            arrays where these were sent.

    Raises:
        DataError: this is no frame.
    """
    try:
        text, size = sizes(frame[: HEADER.size])
        check(len(frame) == HEADER.size + text + size, "its sizes are wrong", DataError)
        described = json.loads(frame[HEADER.size : HEADER.size + text])
        reader = _Reader(memoryview(frame)[HEADER.size + text :], library)
        value = reader.read(described)
        check(not reader.left, "bytes are left over", DataError)
    except (ValueError, TypeError, KeyError, RecursionError, struct.error) as error:
        raise DataError(f"no message that can be read: {error}"[:300]) from None
    return value


def _described(value: Any, arrays: list[np.ndarray]) -> list:
    """A value as JSON; its arrays are appended to the list."""
    inside = functools.partial(_described, arrays=arrays)
    match value:
        case None:
            return ["none"]
        case bool() | int() | float():
            return ["number", value if math.isfinite(value) else str(value)]
        case str():
            return ["text", value.encode("utf-8", "replace").decode()]
        case list() | tuple() | dict() if len(value) > MOST_VALUES:
            raise DataError("it consists of too many values")
        case list() | tuple():
            kind = "list" if isinstance(value, list) else "tuple"
            return [kind, [inside(entry) for entry in value]]
        case dict():
            return ["dict", [[inside(key), inside(entry)] for key, entry in value.items()]]
        case functools.partial():
            return ["partial", inside(value.func), [inside(entry) for entry in value.args]]
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return ["key", inside(jax.random.key_data(value))]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        if array.dtype.name not in DTYPES:  # bfloat16, say, or objects
            if not jax.dtypes.issubdtype(array.dtype, np.floating):
                return ["other", f"array of {array.dtype.name}"]
            array = array.astype(np.float32)
        arrays.append(np.ascontiguousarray(array))
        kind = "jax" if isinstance(value, jax.Array) else "array"
        return [kind, array.dtype.name, list(array.shape)]
    if name := _library_name(value):
        return ["function", name]
    if dataclasses.is_dataclass(value) and (name := _library_name(type(value))):
        fields = [[f.name, inside(getattr(value, f.name))] for f in dataclasses.fields(value)]
        return ["dataclass", name, fields]
    return ["other", type(value).__name__[:100]]


def _library_name(value: Any) -> str:
    """ "module:name" of a function or class at the top of a module of this library, or ""."""
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    ours = isinstance(module, str) and module.partition(".")[0] == "sorl_edu"
    if not ours or not isinstance(name, str) or not name.isidentifier():
        return ""
    return f"{module}:{name}"


class _Reader:
    """Makes values of their descriptions, and arrays of the bytes that are left."""

    def __init__(self, left: memoryview, library: bool):
        self.left, self.library = left, library

    def read(self, described: Sequence) -> Any:
        kind, *content = described
        check(kind in _READERS, f"there is no kind {kind!r:.50}", DataError)
        return _READERS[kind](self, *content)

    def number(self, value: bool | int | float | str) -> bool | int | float:
        check(isinstance(value, int | float) or value in ("nan", "inf", "-inf"), "no number")
        return float(value) if isinstance(value, str) else value

    def text(self, value: str) -> str:
        check(isinstance(value, str), "no text")
        return value if self.library else value[:MOST_TEXT]

    def list(self, entries: Sequence) -> Any:
        return [self.read(entry) for entry in entries]

    def dict(self, entries: Sequence) -> Any:
        return {self.read(key): self.read(value) for key, value in entries}

    def array(self, dtype: str, shape: Sequence[int]) -> np.ndarray:
        check(len(shape) <= MOST_AXES, "too many axes")
        check(all(type(n) is int and 0 <= n <= MOST_BYTES for n in shape), "no shape")
        size = math.prod(shape) * DTYPES[dtype].itemsize
        check(size <= len(self.left), "an array is longer than its bytes")
        mine, self.left = self.left[:size], self.left[size:]
        return np.frombuffer(mine, DTYPES[dtype]).reshape(shape).copy()

    def jax_array(self, dtype: str, shape: Sequence[int]) -> np.ndarray | jax.Array:
        array = self.array(dtype, shape)
        return jax.numpy.asarray(array) if self.library else array

    def key(self, data: Sequence) -> jax.Array:
        return jax.random.wrap_key_data(jax.numpy.asarray(self.read(data)))

    def named(self, name: str) -> Any:
        check(self.library, "a name where data are expected")
        module, _, attribute = name.partition(":")
        check(module.partition(".")[0] == "sorl_edu", "a name of another library")
        return getattr(importlib.import_module(module), attribute)

    def partial(self, function: Sequence, arguments: Sequence) -> Callable:
        return functools.partial(self.read(function), *self.list(arguments))

    def dataclass(self, name: str, fields: Sequence) -> Any:
        return self.named(name)(**{field: self.read(value) for field, value in fields})


_READERS: dict[str, Callable[..., Any]] = {
    "none": lambda reader: None,
    "number": _Reader.number,
    "text": _Reader.text,
    "list": _Reader.list,
    "tuple": lambda reader, entries: tuple(reader.list(entries)),
    "dict": _Reader.dict,
    "array": _Reader.array,
    "jax": _Reader.jax_array,
    "other": lambda reader, kind: Other(str(kind)[:100]),
    "key": _Reader.key,
    "function": _Reader.named,
    "partial": _Reader.partial,
    "dataclass": _Reader.dataclass,
}
