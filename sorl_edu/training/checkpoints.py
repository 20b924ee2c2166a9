"""One safe file per agent: safetensors for the arrays, JSON for all that describes them.

Reading one never runs code: a safetensors file is a JSON header and raw numbers. Files appear whole
or not at all: they are written beside their place and then renamed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sorl_edu.agents import AGENTS, Agent, agent_class
from sorl_edu.agents.agent import State
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import CheckpointError, ConfigError, check
from sorl_edu.files import appearing

FORMAT = "sorl-edu-1"
MAX_WIDTH = 100_000  # of an observation or an action, in a file that is to be believed


def plain(value: Any) -> Any:
    """`value` as JSON gives it back (tuples become lists)."""
    return json.loads(json.dumps(value))


def _named_leaves(tree: PyTree) -> dict[str, jax.Array | jax.ShapeDtypeStruct]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def save_tree(file: str | Path, tree: PyTree, metadata: dict) -> None:
    """Writes a pytree of arrays and its metadata (JSON values) as one file, whole or not at all."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(tree).items()}
    header = {"format": FORMAT, "metadata": json.dumps(metadata)}
    with appearing(file) as beside:
        save_file(arrays, beside, metadata=header)


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
        raise CheckpointError(f"{file} is damaged or no safetensors file: {error}") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{file} is no {FORMAT} checkpoint (its format is {header.get('format')!r})"
        )
    try:
        metadata = json.loads(header["metadata"])
    except (ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: its metadata is no JSON: {error}") from None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{file} is damaged: its metadata is no JSON object")
    return metadata


def load_tree(file: str | Path, like: PyTree) -> PyTree:
    """Reads a pytree of the structure, shapes and types of `like` (arrays or ShapeDtypeStructs).

    Raises:
        CheckpointError: the file is damaged, or holds something of another shape.
    """
    read_metadata(file)
    with safe_open(file, framework="numpy") as opened:
        stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
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


def save_agent(file: str | Path, agent: Agent, state: State, info: AgentInfo) -> None:
    """Writes what is needed to act: configuration, parameters, normalisation, and where from.

    Optimizer moments are left out (a third of the size): to go on training, keep the
    `checkpoint_dir` of `train`.
    """
    state = _without_optimizers(state)
    save_tree(
        file,
        state,
        {
            "agent": _agent_name(agent),
            "config": asdict(agent),
            "info": asdict(info),
            "observation_dim": int(state.encoder.mean.shape[-1]),
            "action_dim": int(state.action_dim),
            "versions": {
                package: version(package) for package in ("sorl-edu", "jax", "flax", "numpy")
            },
        },
    )


def load_agent(
    file: str | Path, *, environment: str | None = None
) -> tuple[Agent, State, AgentInfo]:
    """Reads what `save_agent` wrote, ready to act.

    Args:
        file: the checkpoint.
        environment: refuse an agent that was trained for another one.

    Raises:
        CheckpointError: no such file; damaged; not an agent; of an unknown kind or configuration;
            for another environment.
    """
    metadata = read_metadata(file)
    try:
        agent = _agent_from(metadata["agent"], metadata["config"])
        info = AgentInfo(**metadata["info"])
        _check_types(info, AgentInfo("", 0, 0, info.preset and "", info.dataset_sha256 and ""))
        widths = metadata["observation_dim"], metadata["action_dim"]
        for width in widths:
            check(type(width) is int and 1 <= width <= MAX_WIDTH, f"a width of {width!r}")
        obs, action = (np.zeros((2, width)) for width in widths)
        blank = Transitions.create(obs, action, np.zeros(2), np.ones(2), [0, 1])
        like = jax.eval_shape(agent.init, jax.random.key(0), blank)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{file} describes no agent of this version: {error}") from None
    if environment is not None and info.environment != environment:
        raise CheckpointError(f"{file} was trained for {info.environment}, not for {environment}")
    return agent, load_tree(file, _without_optimizers(like)), info


def _agent_name(agent: Agent) -> str:
    for name, cls in AGENTS.items():
        if type(agent) is cls:
            return name
    raise CheckpointError(
        f"{type(agent).__name__} is not in sorl_edu.agents.AGENTS; add it there to save it"
    )


def _agent_from(name: str, config: dict) -> Agent:
    cls = agent_class(name)
    unknown = config.keys() - {field.name for field in fields(cls)}
    if unknown:
        raise ConfigError(f"unknown hyper-parameters {', '.join(sorted(unknown))}")
    agent = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    _check_types(agent, cls())
    return agent


def _check_types(found: Any, like: Any) -> None:
    """Raises ConfigError if a field of a dataclass has not the type that it has in another."""
    for name, usual in vars(like).items():
        value = getattr(found, name)
        allowed = (int, float) if isinstance(usual, float) else type(usual)
        check(
            isinstance(value, allowed)
            and isinstance(value, bool) == isinstance(usual, bool)
            and (not isinstance(usual, tuple) or all(type(width) is int for width in value)),
            f"{name} is {value!r}, and should be like {usual!r}",
        )


def _without_optimizers(state: State) -> State:
    names = [field.name for field in fields(state) if field.name.endswith("optimizer")]
    return state.replace(**dict.fromkeys(names))
