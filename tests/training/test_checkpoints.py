"""Agents in files: a loaded agent is the saved one, and nothing else is read."""

import json
import re
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import sorl_edu
from sorl_edu.agents import SORL, FlowBC
from sorl_edu.agents.agent import Encoder, Network, propose
from sorl_edu.errors import CheckpointError
from sorl_edu.training import checkpoints
from sorl_edu.training.checkpoints import (
    AgentInfo,
    load_agent,
    load_tree,
    read_metadata,
    save_agent,
    save_tree,
)

ENCODER = Encoder(normalize=True, fourier_features=3)
TINY = SORL(field=Network((8, 4)), critic=Network((8,)), encoder=ENCODER, q_aggregation="min")
CLONING = FlowBC(field=Network((8,)), encoder=Encoder(normalize=True))
INFO = AgentInfo(
    environment="pointmaze-medium-navigate-singletask-v0",
    updates=12,
    seed=3,
    preset="pointmaze",
    dataset_sha256="ab" * 32,
    notes={"made for": ["a", "test"]},
)


@pytest.fixture(scope="module")
def state(transitions):
    return jax.jit(TINY.init)(jax.random.key(0), transitions)


@pytest.fixture
def file(state, tmp_path):
    save_agent(tmp_path / "agent.safetensors", TINY, state, INFO)
    return tmp_path / "agent.safetensors"


def with_metadata(file, **changes):
    """Rewrites a checkpoint with other metadata, as a later version or a stranger might have."""
    arrays, metadata = load_file(file), read_metadata(file)
    header = {"format": checkpoints.FORMAT, "metadata": json.dumps(metadata | changes)}
    save_file(arrays, file, metadata=header)


@pytest.mark.parametrize("agent", [TINY, CLONING])
def test_a_loaded_agent_acts_as_the_saved_one(agent, transitions, tmp_path):
    state = jax.jit(agent.init)(jax.random.key(0), transitions)
    file = tmp_path / "new" / "folder" / "agent.safetensors"
    save_agent(file, agent, state, INFO)
    loaded, loaded_state, info = load_agent(file, environment=INFO.environment)
    assert loaded == agent and info == INFO
    obs, key = transitions.observations[:7], jax.random.key(4)
    before = propose(agent, state, obs, key, steps=2, candidates=3)
    after = propose(loaded, loaded_state, obs, key, steps=2, candidates=3)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_file_says_where_it_comes_from(file):
    metadata = read_metadata(file)
    assert metadata["agent"] == "sorl" and metadata["config"]["q_weight"] == TINY.q_weight
    assert metadata["info"]["environment"] == INFO.environment
    assert (metadata["observation_dim"], metadata["action_dim"]) == (3, 2)
    assert metadata["versions"]["jax"] == jax.__version__


def test_only_what_is_needed_to_act_is_kept(file, state):
    names = set(load_file(file))
    assert not [name for name in names if "moments" in name]
    stored = sum(array.size for array in load_file(file).values())
    learners = (state.field, state.critic)
    kept = (state.encoder, [(learner.params, learner.target) for learner in learners])
    assert stored == sum(leaf.size for leaf in jax.tree.leaves(kept))


def test_the_same_agent_gives_the_same_file(state, tmp_path):
    files = [tmp_path / f"{number}.safetensors" for number in range(20)]
    for file in files:  # safetensors' own order of the header changes between any two of them
        save_agent(file, TINY, state, INFO)
    assert len({file.read_bytes() for file in files}) == 1


def test_saving_again_replaces_the_file(file, state):
    save_agent(file, replace(TINY, q_weight=1.0), state, replace(INFO, updates=13))
    agent, _, info = load_agent(file)
    assert agent.q_weight == 1 and info.updates == 13


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_whoever_can_read_new_files_can_read_a_saved_agent(file, tmp_path):
    (tmp_path / "new").touch()
    assert stat.filemode(file.stat().st_mode) == stat.filemode((tmp_path / "new").stat().st_mode)


@pytest.mark.parametrize("exists", [False, True])
def test_a_save_that_fails_midway_leaves_things_as_they_were(exists, state, tmp_path, monkeypatch):
    file = tmp_path / "agent.safetensors"
    if exists:
        save_agent(file, TINY, state, INFO)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(path, content):
        path.write_text("half a fi")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fail)
        with pytest.raises(OSError, match=r"^can't write '.*agent\.safetensors'.*No space left"):
            save_agent(file, TINY, state, replace(INFO, updates=99))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


FILE_THAT_CANNOT_GROW = """
import resource, sys
import numpy as np
from sorl_edu.training.checkpoints import save_tree

save_tree(sys.argv[1], {"a": np.arange(10.0)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
save_tree(sys.argv[1], {"a": np.zeros(100_000)}, {})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_an_error_of_the_disk_is_one_error_that_names_the_file(tmp_path):
    file = tmp_path / "agent.safetensors"
    command = [sys.executable, "-c", FILE_THAT_CANNOT_GROW, file]
    done = subprocess.run(command, capture_output=True, text=True)
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"OSError: can't write '{file}': ") and "File too large" in last
    assert done.stderr.count("Traceback") == 1
    np.testing.assert_array_equal(load_file(file)["a"], np.arange(10.0))
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.safetensors"):
        load_agent(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is damaged"):
        load_agent(file)


def test_random_bytes(file):
    file.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is damaged"):
        load_agent(file)


def test_a_pickle_is_not_opened(file, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    import pickle

    file.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="damaged"):
        load_agent(file)
    assert not (tmp_path / "sprung").exists()


def test_a_folder(tmp_path):
    with pytest.raises(CheckpointError):
        load_agent(tmp_path)


def test_a_foreign_safetensors_file(file):
    save_file({"weight": np.zeros(3, np.float32)}, file)
    with pytest.raises(CheckpointError, match="no sorl-edu-2 checkpoint"):
        load_agent(file)
    save_file({"weight": np.zeros(3, np.float32)}, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="no sorl-edu-2 checkpoint.*'pt'"):
        load_agent(file)


def test_metadata_that_is_no_object(file):
    header = {"format": checkpoints.FORMAT, "metadata": "[1, 2]"}
    save_file(load_file(file), file, metadata=header)
    with pytest.raises(CheckpointError, match="damaged"):
        load_agent(file)
    save_file(load_file(file), file, metadata=header | {"metadata": "{"})
    with pytest.raises(CheckpointError, match="damaged"):
        load_agent(file)


def test_the_training_state_is_no_agent(file, state):
    save_tree(file, state, {"updates": 3, "identity": {}})
    with pytest.raises(CheckpointError, match="describes no agent"):
        load_agent(file)


def test_another_environment(file):
    with pytest.raises(CheckpointError, match="trained for pointmaze-medium.*not for antmaze"):
        load_agent(file, environment="antmaze-large-navigate-singletask-v0")


def config(without=(), **changes):
    """TINY's settings as a file has them, with changes."""
    settings = json.loads(json.dumps(asdict(TINY))) | changes
    return {name: value for name, value in settings.items() if name not in without}


def field(**changes):
    return {"field": {"hidden": [8, 4], "layer_norm": False} | changes}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"agent": "sorll"}, "unknown agent 'sorll'. Did you mean sorl"),
        ({"config": config(temperature=1.0)}, "unknown or missing settings: temperature"),
        ({"config": config(**field(depth=2))}, r"unknown or missing settings: field\.depth"),
        ({"config": config(without=["tau"])}, "unknown or missing settings: tau"),
        ({"config": config(**field(layer_norm=1))}, "Expected `bool`, got `int`.*field.layer_norm"),
        ({"config": config(**field(hidden=[8.5]))}, "Expected `int`, got `float`.*field.hidden"),
        ({"config": config(critic_sees_steps="yes")}, "Expected `bool`, got `str`"),
        ({"config": config(denoise_steps=6)}, "power of two.*got 6"),
        ({"config": config(tau="high")}, "describes no agent"),
        ({"config": [1, 2]}, "describes no agent"),
        ({"info": {"environment": "e"}}, "describes no agent"),
        ({"info": asdict(INFO) | {"mood": "good"}}, "mood"),
        ({"observation_dim": "three"}, "describes no agent"),
        ({"observation_dim": -1}, "describes no agent"),
        ({"targets": "no"}, "describes no agent"),
    ],
)
def test_metadata_that_describes_no_agent_of_this_version(file, metadata, message):
    with_metadata(file, **metadata)
    with pytest.raises(CheckpointError, match=message):
        load_agent(file)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"config": config(**field(hidden=[8, 5]))}, r"float32\[.*expected.*another configuration"),
        (
            {"config": config(encoder={"normalize": True, "fourier_features": 0})},
            "another configuration",
        ),
        ({"config": config(**field(hidden=[8, 4, 4]))}, "another agent"),
        ({"targets": False}, "another agent"),
        ({"observation_dim": 4}, "another configuration"),
        ({"action_dim": 1}, "another configuration"),
    ],
)
def test_arrays_of_another_configuration(file, metadata, message):
    with_metadata(file, **metadata)
    with pytest.raises(CheckpointError, match=message):
        load_agent(file)


def test_an_agent_that_could_not_be_loaded_again_is_not_saved(state, tmp_path):
    class MyAgent(SORL):
        pass

    with pytest.raises(CheckpointError, match="MyAgent is not in sorl_edu.agents.AGENTS"):
        save_agent(tmp_path / "agent.safetensors", MyAgent(), state, INFO)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "ab\N{GREEK SMALL LETTER ALPHA}", 'a"\\\n\x01', "a" * 9])
def test_arrays_stay_aligned_and_whole_whatever_their_names(name, tmp_path):
    file, tree = tmp_path / "tree.safetensors", {name: jnp.arange(6.0).reshape(2, 3)}
    save_tree(file, tree, {"of": name})
    assert (8 + int.from_bytes(file.read_bytes()[:8], "little")) % 8 == 0
    np.testing.assert_array_equal(load_file(file)[name], tree[name])
    np.testing.assert_array_equal(load_tree(file, tree)[name], tree[name])
    assert read_metadata(file) == {"of": name}


def test_a_tree_of_arrays_comes_back_with_its_types(tmp_path):
    tree = {
        "count": jnp.array(3, jnp.int32),
        "key": jax.random.key_data(jax.random.key(1)),
        "list": [jnp.ones((2, 0)), jnp.array([True, False])],
        "nothing": None,
    }
    save_tree(tmp_path / "tree.safetensors", tree, {"history": [["a", 1, 0.5]]})
    like = jax.eval_shape(lambda: tree)
    back = load_tree(tmp_path / "tree.safetensors", like)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for one, other in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert read_metadata(tmp_path / "tree.safetensors") == {"history": [["a", 1, 0.5]]}
    with safe_open(tmp_path / "tree.safetensors", "numpy") as opened:
        assert set(opened.keys()) == {"count", "key", "list/0", "list/1"}


def test_nothing_in_the_package_unpickles():
    for file in Path(sorl_edu.__file__).parent.rglob("*.py"):
        code = file.read_text()
        assert not re.search(r"import (cloud)?pickle|from pickle|joblib|allow_pickle=True", code)
        for load in re.findall(r"np\.load\(.*", code):
            assert "allow_pickle=False" in load, f"{file}: {load}"
