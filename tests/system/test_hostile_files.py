"""Files of any bytes: what this project reads gives a clear error, and does nothing else."""

import functools
import json
import os
import struct
import tracemalloc
import zipfile
from copy import deepcopy
from datetime import timedelta

import jax
import numpy as np
import pytest
from helpers import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from sorl_edu.cli import doctor
from sorl_edu.course.grading import grade as grading
from sorl_edu.course.grading.grade import read_cells
from sorl_edu.datasets import ogbench
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import CheckpointError, DataError
from sorl_edu.files import MANIFEST, add_to_manifest, read_manifest
from sorl_edu.training import train
from sorl_edu.training.checkpoints import (
    FORMAT,
    TRAINING_STATE,
    AgentInfo,
    load_agent,
    read_metadata,
    save_agent,
)

TASK = "pointmaze-medium-navigate-singletask-v0"
EXAMPLES = int(os.environ.get("FUZZ", "0"))  # `make fuzz` tries as many, others each time
FUZZED = settings(
    max_examples=EXAMPLES or 60,
    deadline=timedelta(seconds=10) if EXAMPLES else None,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MOST_MEMORY = 100 * 2**20
MOST_MEMORY_OF_ALL = 2 * 2**30  # of a process that has read them all


@st.composite
def damage(draw):
    """A function from bytes to other bytes: cut, some flipped, some put in."""
    cut, bad = (
        draw(st.floats(0, 1)),
        draw(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=9)))),
    )
    how = draw(st.sampled_from(("cut", "change", "put in")))

    def damaged(content: bytes) -> bytes:
        if how == "cut":
            return content[: int(cut * len(content))]
        for place, new in bad:
            at = int(place * len(content))
            content = content[:at] + new + content[at + (len(new) if how == "change" else 0) :]
        return content

    return damaged


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 10**6, 10**15, 10**400, 1e308, float("nan"), float("inf")]),
    st.sampled_from(["", "a", "\0", "../a", "x" * 5000, "\ud800", "1", "F8_E4M3", "BF16", "U64"]),
    st.sampled_from([[], {}, [[]], [1, 2], {"a": 1}, [0] * 100, [[[[[[[[]]]]]]]]]),
)


@st.composite
def mutation(draw):
    """A function from a JSON value to one with a few parts changed, removed or doubled."""
    steps = draw(
        st.lists(
            st.tuples(
                st.lists(st.integers(0, 50), max_size=5),
                st.sampled_from(("replace", "remove", "double", "rename")),
                ODD,
            ),
            min_size=1,
            max_size=3,
        )
    )

    def mutated(value):
        for path, how, odd in steps:
            value = changed(deepcopy(value), path, how, deepcopy(odd))
        return value

    return mutated


def changed(value, path, how, odd):
    """A value with its part at a path changed; numbers of the path count parts, in circles."""
    if not path or not isinstance(value, dict | list) or not value:
        return odd
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, *rest = keys[path[0] % len(keys)], *path[1:]
    if rest:
        value[key] = changed(value[key], rest, how, odd)
    elif how == "replace":
        value[key] = odd
    elif how == "remove":
        del value[key]
    elif how == "double" and isinstance(value, list):
        value.append(deepcopy(value[key]))
    elif isinstance(value, dict):
        value[str(odd)[:5000]] = value.pop(key) if how == "rename" else odd
    return value


def written(value) -> bytes:
    """A value as JSON, whatever text is in it."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.fixture
def small():
    """Forbids what takes much memory."""
    if EXAMPLES:  # tracing takes longer than reading
        import resource

        yield
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < MOST_MEMORY_OF_ALL
        return
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.fixture(scope="module")
def agent_file(tmp_path_factory, transitions):
    file = tmp_path_factory.mktemp("agent") / "agent.safetensors"
    state = jax.jit(TINY.init)(jax.random.key(0), transitions)
    save_agent(file, TINY, state, AgentInfo(TASK, 10))
    return file


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A maze's files of a hundred rows."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    start = maze_geometry(TASK).start
    positions = start + rng.uniform(-1, 1, (100, 2))  # in the free cell around it
    rows = {"observations": positions, "actions": rng.uniform(-1, 1, (100, 2))}
    rows |= {"qpos": rows["observations"], "qvel": np.zeros((100, 2))}
    rows["terminals"] = np.arange(100) % 50 == 49
    for name in ("pointmaze-medium-navigate-v0.npz", "pointmaze-medium-navigate-v0-val.npz"):
        np.savez_compressed(folder / name, **{k: v.astype(np.float32) for k, v in rows.items()})
    return folder / name


@FUZZED
@given(damage())
def test_a_checkpoint_of_any_bytes_is_read_or_refused(agent_file, tmp_path, small, damaged):
    file = tmp_path / "agent.safetensors"
    file.write_bytes(damaged(agent_file.read_bytes()))
    try:
        load_agent(file)
    except CheckpointError as error:
        assert str(file) in str(error)


@FUZZED
@given(damage())
def test_metadata_of_any_text_are_read_or_refused(agent_file, tmp_path, small, damaged):
    text = damaged(json.dumps(read_metadata(agent_file)).encode()).decode(errors="replace")
    file = tmp_path / "agent.safetensors"
    save_file(load_file(agent_file), file, metadata={"format": FORMAT, "metadata": text})
    try:
        load_agent(file)
    except CheckpointError as error:
        assert str(file) in str(error)


HOSTILE_METADATA = {
    "a width that fills the memory": {"observation_dim": 10**15},
    "a width that is no number": {"action_dim": "2"},
    "a width below one": {"action_dim": -1},
    "a network that fills the memory": {
        "config": {"field": {"hidden": [10**12], "layer_norm": False}}
    },
    "a network of words": {"config": {"field": {"hidden": ["a"], "layer_norm": False}}},
    "a number in place of a text": {"info": {"environment": 5}},
    "a list in place of an object": {"info": []},
    "a code object": {"agent": "os.system"},
    "a switch in place of a number": {"config": {"batch_size": True}},
}


@pytest.mark.parametrize("case", HOSTILE_METADATA)
def test_hostile_metadata_are_refused(case, agent_file, tmp_path, small):
    file = tmp_path / "agent.safetensors"
    metadata = read_metadata(agent_file)
    for key, value in HOSTILE_METADATA[case].items():
        metadata[key] = metadata[key] | value if isinstance(value, dict) else value
    header = {"format": FORMAT, "metadata": json.dumps(metadata)}
    save_file(load_file(agent_file), file, metadata=header)
    with pytest.raises(CheckpointError, match=r"describes no agent|another configuration"):
        load_agent(file)


@pytest.mark.parametrize(
    "hostile",
    [{"updates": "9"}, {"updates": -1}, {"history": 3}, {"history": [[1]]}, {"identity": []}, {}],
    ids=str,
)
def test_a_training_state_that_describes_no_training_is_refused(hostile, tmp_path, transitions):
    def run(updates):
        key = jax.random.key(0)
        options = {"log_every": 2, "checkpoint_every": 2, "checkpoint_dir": tmp_path}
        return train(TINY, transitions, updates=updates, key=key, progress=False, **options)

    run(2)
    file = tmp_path / TRAINING_STATE
    metadata = read_metadata(file) | hostile if hostile else {}
    header = {"format": FORMAT, "metadata": json.dumps(metadata)}
    save_file(load_file(file), file, metadata=header)
    with pytest.raises(CheckpointError, match="describe no training"):
        run(4)


def test_metadata_as_deep_as_can_be_are_refused(agent_file, tmp_path):
    file = tmp_path / "agent.safetensors"
    save_file(load_file(agent_file), file, metadata={"format": FORMAT, "metadata": "[" * 1_000_000})
    with pytest.raises(CheckpointError, match="no JSON"):
        load_agent(file)


@pytest.fixture
def one_maze(monkeypatch):
    """One environment for all files of a test, where each reading makes its own."""
    monkeypatch.setattr(ogbench, "make_env", functools.cache(ogbench.make_env))


@FUZZED
@given(damage())
def test_a_dataset_of_any_bytes_is_read_or_refused(dataset, tmp_path, small, one_maze, damaged):
    file = tmp_path / dataset.name
    file.write_bytes(damaged(dataset.read_bytes()))
    (tmp_path / dataset.name.replace("-val", "")).write_bytes(dataset.read_bytes())
    try:
        ogbench.load(TASK, folder=tmp_path, download=False)
    except DataError as error:
        assert str(file) in str(error)


def with_member(dataset, folder, name, content):
    """The dataset's files, one of whose arrays is other bytes."""
    for file in (dataset.name, dataset.name.replace("-val", "")):
        with zipfile.ZipFile(dataset) as old, zipfile.ZipFile(folder / file, "w", 8) as new:
            for member in old.namelist():
                new.writestr(member, content if member == name else old.read(member))


def npy(header: str, rest: bytes = b"") -> bytes:
    header = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rest


HOSTILE_ARRAYS = {
    "a shape that fills the memory": "{'descr': '<f4', 'fortran_order': False, "
    "'shape': (100000000000000, 2)}",
    "a negative shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (100, 2)}",
    "code": "{'descr': __import__('os').system('false'), 'fortran_order': False, 'shape': (1,)}",
    "no header": "(" * 100,
}


@pytest.mark.parametrize("case", HOSTILE_ARRAYS)
def test_hostile_arrays_are_refused(case, dataset, tmp_path):
    with_member(dataset, tmp_path, "observations.npy", npy(HOSTILE_ARRAYS[case], bytes(800)))
    with pytest.raises(DataError, match="damaged, or holds other things"):
        ogbench.load(TASK, folder=tmp_path, download=False)


def test_an_archive_that_unpacks_to_the_memory_is_refused(dataset, tmp_path, monkeypatch, small):
    monkeypatch.setattr(ogbench, "MAX_BYTES", 2**20)
    shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 2)}"
    with_member(dataset, tmp_path, "observations.npy", npy(shape, bytes(8_000_000)))
    assert (tmp_path / dataset.name).stat().st_size < 50_000
    with pytest.raises(DataError, match="unpacked it has 8,"):
        ogbench.load(TASK, folder=tmp_path, download=False)


@FUZZED
@given(damage())
def test_a_manifest_of_any_bytes_is_read_or_refused(tmp_path, small, damaged):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / MANIFEST).unlink(missing_ok=True)
    add_to_manifest(tmp_path, "a.txt", "echo a")
    manifest = tmp_path / MANIFEST
    manifest.write_bytes(damaged(manifest.read_bytes()))
    (finding,) = doctor.shipped_data(tmp_path)
    try:
        entries = read_manifest(tmp_path)
        assert all(isinstance(entry["sha256"], str) for entry in entries.values())
    except DataError as error:
        assert finding.status == "wrong" and str(manifest) in str(error)
        before = manifest.read_bytes()
        with pytest.raises(DataError):
            add_to_manifest(tmp_path, "a.txt", "echo a")
        assert manifest.read_bytes() == before


@FUZZED
@given(damage())
def test_a_submission_of_any_bytes_is_read_or_refused(tmp_path, small, damaged):
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b"]}, {"cell_type": "markdown"}]
    file = tmp_path / "submission.ipynb"
    file.write_bytes(damaged(json.dumps({"cells": cells}).encode()))
    try:
        assert all(isinstance(cell, str) for cell in read_cells(file, ["1.1"]))
    except DataError as error:
        assert str(file) in str(error)


def test_a_submission_as_deep_or_as_large_as_can_be_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "submission.ipynb"
    file.write_bytes(b"[" * 1_000_000)
    with pytest.raises(DataError, match="is no notebook"):
        read_cells(file, ["1.1"])
    monkeypatch.setattr(grading, "MOST_BYTES", 999_999)
    with pytest.raises(DataError, match="at most 999,999"):
        read_cells(file, ["1.1"])


@FUZZED
@given(mutation())
def test_a_checkpoint_with_an_odd_header_is_read_or_refused(agent_file, tmp_path, small, mutated):
    content = agent_file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = mutated(json.loads(content[8 : 8 + length]))
    made = written(header)
    file = tmp_path / "agent.safetensors"
    file.write_bytes(struct.pack("<Q", len(made)) + made + content[8 + length :])
    refused(lambda: load_agent(file), CheckpointError, file)


@FUZZED
@given(mutation())
def test_odd_metadata_are_read_or_refused(agent_file, tmp_path, small, mutated):
    file = tmp_path / "agent.safetensors"
    text = json.dumps(mutated(read_metadata(agent_file)))
    save_file(load_file(agent_file), file, metadata={"format": FORMAT, "metadata": text})
    refused(lambda: load_agent(file), CheckpointError, file)


def refused(read, kind, file):
    """Reads something, or gets one sentence of bounded length that names the file."""
    try:
        return read()
    except kind as error:
        assert str(file) in str(error) and len(str(error)) < 1000 + len(str(file))


ARRAYS = st.one_of(
    st.sampled_from([b"", b"text", b"\x93NUMPY", npy("{}"), npy("(" * 100)]),
    st.builds(
        lambda dtype, shape: npy(
            f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}", bytes(800)
        ),
        st.sampled_from(["<f4", "<f8", "|S5", "|O", "<c8", "<M8[s]", "|V3", "|b1", "<f2", ">i2"]),
        st.sampled_from(["()", "(100,)", "(100, 2)", "(2, 100)", "(0, 2)", "(100, 1)", "(-1, 2)"]),
    ),
)
MEMBERS = ["observations.npy", "actions.npy", "terminals.npy", "qpos.npy", "qpos", "more.npy"]


@FUZZED
@given(member=st.sampled_from(MEMBERS), content=ARRAYS)
def test_a_dataset_with_an_odd_array_is_read_or_refused(
    dataset, tmp_path, one_maze, member, content
):
    with_member(dataset, tmp_path, member, content)
    refused(lambda: ogbench.load(TASK, folder=tmp_path, download=False), DataError, tmp_path)


@FUZZED
@given(mutation())
def test_an_odd_manifest_is_read_or_refused(tmp_path, small, mutated):
    manifest = tmp_path / MANIFEST
    if not (tmp_path / "original").exists():
        (tmp_path / "a.txt").write_text("a")
        add_to_manifest(tmp_path, "a.txt", "echo a")
        manifest.rename(tmp_path / "original")
    manifest.write_bytes(written(mutated(json.loads((tmp_path / "original").read_bytes()))))
    doctor.shipped_data(tmp_path)
    refused(lambda: read_manifest(tmp_path), DataError, manifest)


@FUZZED
@given(mutation())
def test_an_odd_submission_is_read_or_refused(tmp_path, small, mutated):
    cells = [
        {"cell_type": "code", "source": ["a = 1\n", "b"], "metadata": {"tags": ["check-1.1"]}},
        {"cell_type": "markdown", "source": "### Exercise 1.1 · Halves", "metadata": {}},
    ]
    file = tmp_path / "submission.ipynb"
    file.write_bytes(written(mutated({"cells": cells, "nbformat": 4, "metadata": {}})))
    found = refused(lambda: read_cells(file, ["1.1"]), DataError, file)
    assert found is None or all(isinstance(cell, str) for cell in found)


def test_arrays_that_numpy_lacks_are_refused(agent_file, tmp_path):
    content = agent_file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = {"__metadata__": json.loads(content[8 : 8 + length])["__metadata__"]}
    made = written(header | {"x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}})
    file = tmp_path / "agent.safetensors"
    file.write_bytes(struct.pack("<Q", len(made)) + made + bytes(4))
    with pytest.raises(CheckpointError, match="arrays that NumPy lacks|damaged"):
        load_agent(file)


def test_positions_in_whole_numbers_are_read(dataset, tmp_path):
    start = np.rint(maze_geometry(TASK).start).astype(">i2")
    whole = npy(
        "{'descr': '>i2', 'fortran_order': False, 'shape': (100, 2)}", start.tobytes() * 100
    )
    with_member(dataset, tmp_path, "observations.npy", whole)
    with_member(dataset, tmp_path, "qpos.npy", whole)
    data = ogbench.load(TASK, folder=tmp_path, download=False)
    assert data.train.actions.shape == (100, 2) and data.train.rewards.dtype == np.float32


def test_what_is_no_array_of_rows_is_refused(dataset, tmp_path):
    number = npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", bytes(4))
    with_member(dataset, tmp_path, "qpos.npy", number)
    with pytest.raises(DataError, match="qpos is one number"):
        ogbench.load(TASK, folder=tmp_path, download=False)
    for name in (dataset.name, dataset.name.replace("-val", "")):
        with zipfile.ZipFile(dataset) as old, zipfile.ZipFile(tmp_path / name, "w") as new:
            for member in old.namelist():
                text = member == "qpos.npy"  # a member that is no array is bytes
                new.writestr("qpos" if text else member, b"text" if text else old.read(member))
    with pytest.raises(DataError, match="qpos is no array"):
        ogbench.load(TASK, folder=tmp_path, download=False)


@pytest.mark.parametrize(
    "name", ["x" * 5000, "../a.txt", "/etc/passwd", "a\0b", "a\nb", "\ud800", ""]
)
def test_a_manifest_names_files_of_its_folder_alone(tmp_path, name):
    (tmp_path / MANIFEST).write_text(json.dumps({name: {"sha256": ""}}))
    with pytest.raises(DataError, match="names no file of its folder") as error:
        read_manifest(tmp_path)
    assert len(str(error.value)) < 1000
    (finding,) = doctor.shipped_data(tmp_path)
    assert finding.status == "wrong"
