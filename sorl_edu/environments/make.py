"""OGBench's environments: their names, and how one is made and seeded."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator

import numpy as np

from sorl_edu.errors import ConfigError, UnknownName

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
"""OGBench's official datasets whose observations are states (those of images are not for us)."""


def parse_name(name: str) -> tuple[str, str]:
    """Split a name into dataset and environment.

    For example 'scene-play-singletask-task2-v0' is the dataset 'scene-play-v0' and the environment
    'scene-singletask-task2-v0'. Raises UnknownName, or ConfigError when the task is missing.
    """
    if name in DATASETS:
        stem = name.removesuffix("-v0")
        tasks = ", ".join(f"'{stem}-singletask-task{i}-v0'" for i in range(1, 6))
        raise ConfigError(
            f"'{name}' has no rewards until a task is named: '{stem}-singletask-v0' "
            f"(the default task), {tasks}"
        )
    match = re.fullmatch(r"(.+)-(\w+)-singletask(-task[1-5])?-v0", name)
    dataset = f"{match[1]}-{match[2]}-v0" if match else ""
    if dataset not in DATASETS:
        known = [d.replace("-v0", "-singletask-v0") for d in DATASETS]
        raise UnknownName("dataset", name, known)
    return dataset, f"{match[1]}-singletask{match[3] or ''}-v0"


def make_env(env_id: str, **options):
    """`gymnasium.make` of an environment of OGBench's.

    Gymnasium warns of the precision of a robot's spaces, also each time that it is asked for one
    later, and glfw that there is no screen: neither matters here, so these warnings are not shown.
    """
    warnings.filterwarnings("ignore", ".*precision lowered by casting", UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium
        import ogbench  # noqa: F401  (registers the environments)

        return gymnasium.make(env_id, **options)


@contextlib.contextmanager
def numpy_seeded(seed: int | np.ndarray) -> Iterator[None]:
    """Seeds numpy's global generator for a while."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
