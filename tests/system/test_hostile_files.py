"""Files of any bytes: what this project reads gives a clear error, and does nothing else."""

import json
import tracemalloc
import zipfile

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
FUZZED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MOST_MEMORY = 100 * 2**20


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


@pytest.fixture
def small():
    """Forbids what takes much memory."""
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


@FUZZED
@given(damage())
def test_a_dataset_of_any_bytes_is_read_or_refused(dataset, tmp_path, small, damaged):
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
