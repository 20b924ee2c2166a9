"""OGBench's environments: their names, what each one is, and how it is created, reset and restored.

Everything that depends on the kind of an environment stands here: `kind_of` says what it is, and
`reset`, `get_state` and `set_state` treat mazes and robot arms alike.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import tempfile
import threading
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sorl_edu.errors import ConfigError, DataError, UnknownName, check

_TYPES = {
    "pointmaze": (["medium", "large", "giant", "teleport"], ["navigate", "stitch"]),
    "antmaze": (["medium", "large", "giant", "teleport"], ["navigate", "stitch", "explore"]),
    "humanoidmaze": (["medium", "large", "giant"], ["navigate", "stitch"]),
    "antsoccer": (["arena", "medium"], ["navigate", "stitch"]),
    "cube": (["single", "double", "triple", "quadruple"], ["play", "noisy"]),
    "puzzle": (["3x3", "4x4", "4x5", "4x6"], ["play", "noisy"]),
}

DATASETS = (
    *(
        f"{family}-{size}-{kind}-v0"
        for family, (sizes, kinds) in _TYPES.items()
        for size in sizes
        for kind in kinds
        if (size, kind) != ("giant", "explore")
    ),
    "scene-play-v0",
    "scene-noisy-v0",
)
"""OGBench's official datasets with state observations (image observations are not supported)."""

MOST_AT_ONCE = 16
"""Environments that are stepped together, except PointMazes: the others take up to 100 MB each."""


def parse_name(name: str) -> tuple[str, str]:
    """Split a name into dataset and environment.

    For example 'scene-play-singletask-task2-v0' is the dataset 'scene-play-v0' and the environment
    'scene-singletask-task2-v0'.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task.
    """
    if name in DATASETS:
        stem = name.removesuffix("-v0")
        tasks = ", ".join(f"'{stem}-singletask-task{i}-v0'" for i in range(1, 6))
        raise ConfigError(
            f"'{name}' has no rewards without a task. Name one: '{stem}-singletask-v0' "
            f"(the default task), {tasks}"
        )
    match = re.fullmatch(r"(.+)-(\w+)-singletask(-task[1-5])?-v0", name)
    dataset = f"{match[1]}-{match[2]}-v0" if match else ""
    if dataset not in DATASETS:
        known = [d.replace("-v0", "-singletask-v0") for d in DATASETS]
        raise UnknownName("dataset", name, known)
    return dataset, f"{match[1]}-singletask{match[3] or ''}-v0"


@dataclass(frozen=True)
class Kind:
    """What an environment is, for all that must treat environments differently."""

    family: str
    """The first word of its name, such as 'pointmaze' or 'cube'."""
    is_maze: bool
    """A body that moves through a maze; otherwise a robot arm that manipulates objects."""
    has_buttons: bool
    """Buttons are part of the physics state."""
    most_at_once: int | None
    """The largest number of environments that are stepped together; None is no limit."""
    uses_threads: bool
    """Whether threads step several environments at the same time.

    MuJoCo releases the interpreter during a step, which pays when a step is long. A step of a
    PointMaze is short, and a teleport draws from NumPy's global generator, so the order matters.
    """


def kind_of(name: str) -> Kind:
    """The kind of an environment, from its Gymnasium id or from a name that contains its family.

    Raises:
        UnknownName: no OGBench environment has such a name.
    """
    family, *rest = name.split("-")
    families = (*_TYPES, "scene")
    if family not in families:
        raise UnknownName("environment", name, families)
    point = family == "pointmaze"
    return Kind(
        family=family,
        is_maze=family in ("pointmaze", "antmaze", "humanoidmaze", "antsoccer"),
        has_buttons=family in ("scene", "puzzle"),
        most_at_once=None if point else MOST_AT_ONCE,
        uses_threads=not point and "teleport" not in rest,
    )


# ------------------------------------------------------------------------------------- creation


def make_env(env_id: str, **options):
    """`gymnasium.make` for an OGBench environment, without its warnings and leftovers.

    Gymnasium warns about the precision of a robot's spaces, at creation and at each later access;
    GLFW warns that there is no screen. Neither matters here. OGBench's mazes write a temporary XML
    file and leave it behind with an open descriptor; here both are removed.
    """
    warnings.filterwarnings("ignore", ".*precision lowered by casting", UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium
        import ogbench  # noqa: F401  (registers the environments)

        with _removed_maze_files():
            return gymnasium.make(env_id, **options)


def make_envs(env_id: str, count: int) -> tuple:
    """`count` environments as `make_env` creates them, robots in a sixth of the time.

    Most of the creation of a robot compiles its MuJoCo model from a description. Here that is done
    once, and the other robots are copies, which share nothing but the description.
    """
    first = make_env(env_id)
    if kind_of(env_id).is_maze:  # mazes compile fast, and can't be copied
        return first, *(make_env(env_id) for _ in range(count - 1))
    with _shared_descriptions():
        return first, *(copy.deepcopy(first) for _ in range(count - 1))


_descriptions = threading.Lock()


@contextlib.contextmanager
def _shared_descriptions() -> Iterator[None]:
    """Lets `copy.deepcopy` return the elements of a description themselves."""
    from dm_control.mjcf import RootElement
    from dm_control.mjcf.base import Element

    with _descriptions:
        original = RootElement.__deepcopy__
        Element.__deepcopy__ = RootElement.__deepcopy__ = lambda element, memo: element
        try:
            yield
        finally:
            RootElement.__deepcopy__ = original
            del Element.__deepcopy__


_maze_files = threading.Lock()


@contextlib.contextmanager
def _removed_maze_files() -> Iterator[None]:
    """Gives OGBench's maze module a `mkstemp` that closes its file in a folder that is removed."""
    from ogbench.locomaze import maze

    with _maze_files, tempfile.TemporaryDirectory() as folder:

        def mkstemp(**options) -> tuple[int, str]:
            descriptor, path = tempfile.mkstemp(dir=folder, **options)
            os.close(descriptor)
            return descriptor, path

        original = maze.tempfile
        maze.tempfile = types.SimpleNamespace(mkstemp=mkstemp)
        try:
            yield
        finally:
            maze.tempfile = original


@contextlib.contextmanager
def numpy_seeded(seed: int | np.integer | np.ndarray) -> Iterator[None]:
    """Seeds NumPy's global generator inside the block, and restores its state afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


# --------------------------------------------------------------------------------------- states


class PhysicsState(NamedTuple):
    """The physics state of an environment, to return to it with `set_state`."""

    qpos: Float[np.ndarray, " qpos"]
    qvel: Float[np.ndarray, " qvel"]
    button_states: Int[np.ndarray, " buttons"] | None = None
    """0 or 1 for each button, in environments that have buttons."""
    control: Float[np.ndarray, " actuators"] | None = None
    """What the actuators were last told, which an arm feels in its fingers; None means 0."""


def reset(env, seed: int | np.integer) -> Float[np.ndarray, " obs"]:
    """Resets an environment and returns its first observation, in float32.

    The same seed gives the same episode. A robot arm's reset takes two random steps whose generator
    can't be seeded. They leave their control, their contact forces and the solver's warm start
    behind, so these are cleared.
    """
    with numpy_seeded(seed):
        env.action_space.seed(int(seed))
        obs, _ = env.reset(seed=int(seed))  # Gymnasium refuses NumPy's integers
    if not kind_of(env.spec.id).is_maze:
        obs = set_state(env, get_state(env)._replace(control=None))
    return np.asarray(obs, np.float32)


def get_state(env) -> PhysicsState:
    """A copy of the physics state of an environment."""
    bare = env.unwrapped
    buttons = bare._cur_button_states.copy() if kind_of(env.spec.id).has_buttons else None
    data = bare.data
    return PhysicsState(data.qpos.copy(), data.qvel.copy(), buttons, data.ctrl.copy())


def set_state(env, state: PhysicsState) -> Float[np.ndarray, " obs"]:
    """Puts an environment into a physics state and returns the observation of it, in float32.

    Task, goal and elapsed steps stay as they are, so reset the environment before. The solver's
    warm start is cleared: what follows depends on the state and the actions alone. A robot arm that
    is put into a state in which its task is solved reports the success one step later than others,
    as it does after a reset.

    Raises:
        DataError: a width is not that of the environment.
    """
    import mujoco

    kind, bare = kind_of(env.spec.id), env.unwrapped
    expected, found = (bare.model.nq, bare.model.nv), (np.size(state.qpos), np.size(state.qvel))
    check(
        found == expected,
        f"the state has qpos of width {found[0]} and qvel of width {found[1]}; '{env.spec.id}' "
        f"has {expected[0]} and {expected[1]}",
        DataError,
    )
    check(
        (state.button_states is not None) == kind.has_buttons,
        f"a state of '{env.spec.id}' has {'' if kind.has_buttons else 'no '}button states",
        DataError,
    )
    check(
        state.control is None or np.size(state.control) == bare.model.nu,
        f"the state has a control of width {np.size(state.control)}; '{env.spec.id}' has "
        f"{bare.model.nu}",
        DataError,
    )
    bare.data.qacc_warmstart[:] = 0
    bare.data.ctrl[:] = 0 if state.control is None else state.control
    qpos, qvel = (np.asarray(part, float) for part in (state.qpos, state.qvel))
    if kind.has_buttons:
        bare.set_state(qpos, qvel, np.asarray(state.button_states))
    else:
        bare.set_state(qpos, qvel)
    if kind.is_maze:
        return np.asarray(bare.get_ob(), np.float32)
    mujoco.mj_rnePostConstraint(bare.model, bare.data)  # the contact forces, which it observes
    return np.asarray(bare.compute_observation(), np.float32)
