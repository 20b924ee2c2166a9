"""What the grader and an answer's process send each other arrives whole, or is refused."""

import contextlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorl_edu.course.exercises.attempt import Other
from sorl_edu.course.exercises.given import Situation, bent_field, linear_field
from sorl_edu.course.grading.messages import HEADER, MOST_BYTES, pack, unpack
from sorl_edu.errors import DataError
from sorl_edu.temporal_difference import Batch


def same(one, other):
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


@pytest.mark.parametrize(
    "value",
    [
        {"q": np.arange(6.0).reshape(2, 3), "steps": 4, "none": None},
        [1, 2.5, True, "text", float("inf"), (np.float32(2.5), np.zeros((0, 3), bool))],
        {1: [], 2: ((),)},
    ],
)
def test_data_arrive_as_they_were(value):
    for library in (False, True):
        found = unpack(pack(value), library=library)
        assert jax.tree.structure(found) == jax.tree.structure(value) and same(found, value)
    assert np.isnan(unpack(pack(float("nan"))))


def test_arrays_stay_numpys_or_jaxs_and_can_be_changed():
    numpys, jaxs = unpack(pack((np.ones(2), jnp.ones(2))), library=True)
    numpys[0] = 3
    assert isinstance(numpys, np.ndarray) and isinstance(jaxs, jax.Array)
    assert isinstance(unpack(pack(jnp.ones(2))), np.ndarray)
    assert unpack(pack(jnp.ones(2, jnp.bfloat16))).dtype == np.float32


def test_the_grader_sends_functions_dataclasses_and_keys_and_an_answer_cannot():
    ones = jnp.ones((2, 1))
    batch = Batch(*(ones * i for i in range(6)))
    keys = jax.random.split(jax.random.key(3), 2)
    field = partial(linear_field, jnp.arange(3.0))
    situation = Situation(1, 5, *np.ones((3, 2)), np.ones((2, 28)))
    sent = pack([bent_field, batch, keys, field, situation])
    function, found, again, partially, where = unpack(sent, library=True)
    assert function is bent_field and same(found, batch) and isinstance(found, Batch)
    assert (jax.random.key_data(again) == jax.random.key_data(keys)).all()
    assert same(partially(ones, ones, ones, ones), field(ones, ones, ones, ones))
    assert isinstance(where, Situation) and where.t == 1 and isinstance(where.left, np.ndarray)
    for secret in (bent_field, batch, field):
        with pytest.raises(DataError):
            unpack(pack(secret))
    ours = b"sorl_edu.course.exercises.given"
    outside = pack(bent_field).replace(ours, b"subprocess".ljust(len(ours)))
    with pytest.raises(DataError):
        unpack(outside, library=True)


def test_what_is_no_data_arrives_as_its_types_name():
    assert unpack(pack(object())) == Other("object")
    assert unpack(pack([lambda x: x, {1}])) == [Other("function"), Other("set")]
    assert unpack(pack(np.array(["a"], object))).kind.startswith("array of")
    assert len(unpack(pack("x" * 10_000))) < 3000


def test_too_much_is_refused_before_anything_is_made():
    with pytest.raises(DataError, match="more than"):
        pack(np.zeros(MOST_BYTES + 1, np.int8))
    with pytest.raises(DataError, match="too many values"):
        pack([0] * 100_001)
    for header in (HEADER.pack(2**31, 0), HEADER.pack(0, 2**31), b"\xff" * 8, b""):
        with pytest.raises(DataError):
            unpack(header)
    huge = b'["array", "float64", [1000000, 1000000, 1000000]]'
    with pytest.raises(DataError, match="longer than its bytes"):
        unpack(HEADER.pack(len(huge), 0) + huge)
    deep = b"[" * 100_000
    with pytest.raises(DataError):
        unpack(HEADER.pack(len(deep), 0) + deep)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 60))
def test_a_damaged_frame_is_read_or_refused(at, byte, cut):
    frame = bytearray(pack(["outputs", {"a": np.arange(6), "b": (1.5, None, "x")}, [jnp.ones(2)]]))
    frame[at % len(frame)] = byte
    with contextlib.suppress(DataError):
        unpack(bytes(frame[: len(frame) - cut]))
