"""One safe file per agent or training run: safetensors for the arrays, JSON for everything else.

Reading one never runs code: a safetensors file is a JSON header and raw numbers. Files are written
whole or not at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sorl_edu.agents import Agent, agent_class, agent_name
from sorl_edu.agents.agent import State, with_targets, without
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import CheckpointError, ConfigError, brief, check
from sorl_edu.files import atomic_write
from sorl_edu.training.history import COLUMNS

FORMAT = "sorl-edu-2"
MAX_WIDTH = 100_000  # of an observation or an action; a file that names a larger one is rejected
TRAINING_STATE = "training_state.safetensors"


def as_json(value: Any) -> Any:
    """`value` as JSON gives it back: tuples become lists, and NumPy's numbers plain ones."""
    return json.loads(_dumps(value))


def _dumps(value: Any) -> str:
    return json.dumps(value, default=lambda number: number.item())


def _named_leaves(tree: PyTree) -> dict[str, jax.Array | jax.ShapeDtypeStruct]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def save_tree(file: str | Path, tree: PyTree, metadata: dict) -> None:
    """Writes a pytree of arrays and its metadata (JSON values) as one file.

    Raises:
        OSError: the file can't be written; an older one is untouched.
    """
    with atomic_write(file) as beside:  # `save_file` would let nobody else read it
        beside.write_bytes(tree_bytes(tree, metadata))


def tree_bytes(tree: PyTree, metadata: dict) -> bytes:
    """The file that `save_tree` writes: the same bytes for the same tree and metadata."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(tree).items()}
    return _ordered(save(arrays, metadata={"format": FORMAT, "metadata": _dumps(metadata)}))


def _ordered(file: bytes) -> bytes:
    """A safetensors file with its header's metadata sorted: `save` writes them in random order."""
    start = 8 + int.from_bytes(file[:8], "little")  # of the arrays
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the arrays are aligned to eight bytes
    return len(text).to_bytes(8, "little") + text + file[start:]


def read_metadata(file: str | Path) -> dict:
    """The metadata of a file that `save_tree` wrote.

    Raises:
        CheckpointError: there is no such file, or it is damaged or foreign.
    """
    try:
        with safe_open(file, framework="numpy") as opened:
            header = opened.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {file}") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{file} is damaged or no safetensors file: {brief(error)}") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{file} is no {FORMAT} checkpoint (its format is {brief(header.get('format'))!r})"
        )
    try:
        metadata = json.loads(header["metadata"])
    except (ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is damaged: its metadata is no JSON: {brief(error)}"
        ) from None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{file} is damaged: its metadata is no JSON object")
    return metadata


def load_tree(file: str | Path, like: PyTree) -> PyTree:
    """Reads a pytree of the structure, shapes and types of `like` (arrays or ShapeDtypeStructs).

    Raises:
        CheckpointError: the file is damaged, or holds something of another shape.
    """
    read_metadata(file)
    try:
        with safe_open(file, framework="numpy") as opened:
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:  # float8, say
        raise CheckpointError(f"{file} has arrays that NumPy lacks: {brief(error)}") from None
    expected = _named_leaves(like)
    odd = sorted(stored.keys() ^ expected.keys())
    if odd:
        raise CheckpointError(f"{file} is of another agent: {len(odd)} arrays such as {odd[0]}")
    for name, leaf in expected.items():
        if (stored[name].shape, stored[name].dtype) != (leaf.shape, leaf.dtype):
            raise CheckpointError(
                f"{file}: {name} is {stored[name].dtype}{list(stored[name].shape)}, expected "
                f"{leaf.dtype}{list(leaf.shape)}; it was made with another configuration"
            )
    return jax.tree.unflatten(
        jax.tree.structure(like), [jnp.asarray(stored[name]) for name in expected]
    )


@dataclass(frozen=True)
class AgentInfo:
    """What is known of a saved agent."""

    environment: str
    """The OGBench name that it was trained for, dataset and task included."""
    updates: int
    """How many updates made it."""
    seed: int = 0
    """The training seed."""
    preset: str | None = None
    """The preset that its configuration started from."""
    dataset_sha256: str | None = None
    """Which file it learned from."""
    notes: dict = field(default_factory=dict)
    """Anything else, as JSON values."""


def save_agent(
    file: str | Path, agent: Agent, state: State, info: AgentInfo, *, targets: bool = True
) -> None:
    """Writes what is needed to act: settings, parameters, normalisation, and their origin.

    The optimizer's moments are left out (half of the size): to go on training, keep the
    `checkpoint_dir` of `train`.

    Args:
        targets: whether to keep the target networks, with which no agent acts. Without them the
            file is up to half as large, and `load_agent` returns copies of the learned ones.

    Raises:
        CheckpointError: the agent's class is not among `sorl_edu.agents.AGENTS`.
        OSError: the file can't be written.
    """
    metadata = description(agent, state) | {
        "info": asdict(info),
        "targets": targets,
        "versions": {name: version(name) for name in ("sorl-edu", "jax", "flax", "numpy")},
    }
    left_out = ("moments",) if targets else ("moments", "target")
    save_tree(file, without(state, *left_out), metadata)


def description(agent: Agent, state: State) -> dict:
    """What a file says of the agent itself: its class, settings and widths.

    Raises:
        CheckpointError: the agent's class is not among `sorl_edu.agents.AGENTS`.
    """
    return {
        "agent": agent_name(agent),
        "config": asdict(agent),
        "observation_dim": int(state.obs_dim),
        "action_dim": int(state.action_dim),
    }


def load_agent(
    file: str | Path, *, environment: str | None = None
) -> tuple[Agent, State, AgentInfo]:
    """Reads what `save_agent` wrote, ready to act.

    Args:
        file: the checkpoint.
        environment: refuse an agent that was trained for another one.

    Raises:
        CheckpointError: no such file; damaged; not an agent; of an unknown class or settings; for
            another environment.
    """
    metadata = read_metadata(file)
    try:
        agent = settings_from(agent_class(metadata["agent"]), metadata["config"])
        info = settings_from(AgentInfo, metadata["info"])
        widths = metadata["observation_dim"], metadata["action_dim"]
        for width in widths:
            check(type(width) is int and 1 <= width <= MAX_WIDTH, f"a width of {width!r}")
        targets = metadata.get("targets", True)  # older files don't say, and have them
        check(type(targets) is bool, f"targets: {targets!r}")
        whole = without(blank_state(agent, *widths), "moments")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"{file} describes no agent of this version: {brief(error)}"
        ) from None
    if environment is not None and info.environment != environment:
        raise CheckpointError(
            f"{file} was trained for {brief(info.environment)}, not for {environment}"
        )
    kept = load_tree(file, whole if targets else without(whole, "target"))
    return agent, with_targets(kept, whole), info


def blank_state(agent: Agent, obs_dim: int, action_dim: int) -> State:
    """The structure of an agent's state, with a ShapeDtypeStruct for each array."""
    obs, action = np.zeros((2, obs_dim)), np.zeros((2, action_dim))
    blank = Transitions.create(obs, action, np.zeros(2), np.ones(2), [0, 1])
    return jax.eval_shape(agent.init, jax.random.key(0), blank)


def settings_from(kind: type, values: Any) -> Any:
    """A (nested) dataclass from JSON values, each of the type of its field.

    Raises:
        ConfigError: a value of another type, an unknown field, a missing one, or a value that the
            dataclass refuses.
    """
    try:
        settings = msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{error}") from None
    found = as_json(asdict(settings))
    if found != values:
        raise ConfigError(f"unknown or missing settings: {_difference(values, found)}")
    return settings


def _difference(values: Any, found: Any, name: str = "") -> str:
    """The names of the fields that only one of two nested JSON objects has."""
    if not (isinstance(values, dict) and isinstance(found, dict)):
        return name
    names = (key for key in {**values, **found} if values.get(key) != found.get(key))
    return ", ".join(
        _difference(values[key], found[key], f"{name}{key}.").rstrip(".")
        if key in values and key in found
        else f"{name}{key}"
        for key in names
    )


class TrainingCheckpoint:
    """Where a training run is kept: its whole state, and how it got there.

    Args:
        folder: the folder of the file; without one, nothing is kept.
        identity: all that decides the run's result; the checkpoint of another run is refused.
        unit: what a run counts.
    """

    def __init__(self, folder: str | Path | None, identity: dict, unit: str = "updates") -> None:
        self.unit = unit
        self.file = None if folder is None else Path(folder) / TRAINING_STATE
        self.identity = as_json(identity)

    def save(self, state: State, updates: int, history: list[tuple], seconds: float) -> None:
        """Replaces the file with the state after some updates; nothing without a folder."""
        if self.file is None:
            return
        facts = {"updates": updates, "history": history, "seconds": seconds}
        save_tree(self.file, state, facts | {"identity": self.identity})

    def resume(self, state: State, updates: int) -> tuple[State, int, list[tuple], float]:
        """The kept state if there is one, else the fresh `state`.

        Args:
            state: fresh, of the structure of the kept one.
            updates: the number that is wanted in all.

        Returns:
            the state, the number of updates that made it, their history and their seconds.

        Raises:
            CheckpointError: the file is damaged, of another run, or has more updates already.
        """
        if self.file is None or not self.file.exists():
            return state, 0, [], 0.0
        metadata = read_metadata(self.file)
        found, done, history, seconds = (
            metadata.get(name) for name in ("identity", "updates", "history", "seconds")
        )
        check(
            isinstance(found, dict)
            and isinstance(done, int)
            and done >= 0
            and isinstance(seconds, int | float)
            and isinstance(history, list)
            and all(isinstance(row, list) and len(row) == len(COLUMNS) for row in history),
            f"{self.file} is damaged: its metadata describe no training",
            CheckpointError,
        )
        differing = [name for name in self.identity if found.get(name) != self.identity[name]]
        check(
            not differing,
            f"{self.file} is the checkpoint of another run: its {', '.join(differing)} differ(s). "
            "Choose another checkpoint_dir, or delete this one to start afresh",
            CheckpointError,
        )
        check(
            done <= updates,
            f"{self.file} has {done} {self.unit} already, more than the {updates} asked for",
            CheckpointError,
        )
        return load_tree(self.file, state), done, [tuple(row) for row in history], float(seconds)
