"""What the course ships in data/course/, by the name of its arm in `studies/course.py`.

    agent, state, info = course_data.agent("sorl")
    episodes = course_data.episodes("sorl")           # what evaluation.sweep would return

Every file was made by `make course-data`; data/course/manifest.json has the command of each.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from sorl_edu.agents import Agent
from sorl_edu.agents.agent import State
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName, check
from sorl_edu.training import checkpoints
from sorl_edu.training.checkpoints import AgentInfo

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"


_RETRAINED: dict[str, Path] = {}  # arms that `retrain` made, and where


@dataclass(frozen=True)
class Trajectories:
    """Where an agent went at one setting: (episode, time, 2) in metres, NaN after the end."""

    positions: np.ndarray
    success: np.ndarray  # (episode,)


def retrain(*arms: str, folder: str | Path = "runs/course_data", **changes) -> None:
    """Trains arms of the course again; from then on, this module reads yours.

    Args:
        arms: their names in `studies/course.py`.
        folder: where they go.
        changes: fields of `Arm` to change, as in seeds=2, to be done sooner.

    Raises:
        UnknownName: no such arm.
    """
    from sorl_edu.experiments import course

    for name in arms:
        if name not in course.ARMS:
            raise UnknownName("arm of the course", name, course.ARMS)
    for name in arms:
        arm = replace(course.ARMS[name], **changes)
        course.run_arm(name, Path(folder) / "runs", Path(folder), arm)
        _RETRAINED[name] = Path(folder)


def names() -> list[str]:
    """The arms that are shipped."""
    return sorted(file.stem for file in _folder().glob("*.safetensors") if not _is_part(file))


def agent(name: str) -> tuple[Agent, State, AgentInfo]:
    """One training seed's agent, ready to act."""
    return checkpoints.load_agent(_file(name, ".safetensors"))


def history(name: str) -> pd.DataFrame:
    """The losses of all training seeds, as `training.Run` has them."""
    return pd.read_csv(_file(name, "_history.csv"))


def episodes(name: str) -> pd.DataFrame:
    """All training seeds over steps x N from the same starts, as `evaluation.sweep` returns it."""
    return pd.read_csv(_file(name, "_episodes.csv"))


def values(name: str) -> pd.DataFrame:
    """What each seed's critic promises at the start: training_seed, steps, q."""
    return pd.read_csv(_file(name, "_values.csv"))


def milliseconds() -> pd.DataFrame:
    """The time to choose one action at every setting: steps, candidates, milliseconds."""
    return pd.read_csv(_folder() / "milliseconds.csv")


def trajectories(name: str) -> dict[tuple[int, int], Trajectories]:
    """Where one seed's agent went from the task's start, by (steps, candidates)."""
    found = {}
    with np.load(_file(name, "_trajectories.npz"), allow_pickle=False) as file:
        for key in file.files:
            if not key.endswith("_success"):
                m, n = key.removeprefix("m").split("_N")
                positions = file[key].astype(np.float32)
                found[int(m), int(n)] = Trajectories(positions, file[f"{key}_success"])
    return found


def snapshots(name: str) -> tuple[tuple[int, ...], list[State]]:
    """One seed's agent while it learned: the updates, and its state after each."""
    file = _file(name, "_snapshots.safetensors")
    updates = tuple(checkpoints.read_metadata(file)["updates"])
    _, state, _ = agent(name)
    like = {"field": state.field, "critic": state.critic}
    stacked = checkpoints.load_tree(
        file,
        jax.tree.map(lambda x: jax.ShapeDtypeStruct((len(updates), *x.shape), x.dtype), like),
    )
    trees = [jax.tree.map(operator.itemgetter(i), stacked) for i in range(len(updates))]
    return updates, [state.replace(**tree) for tree in trees]


def robot(name: str, task: int) -> tuple[Agent, State, AgentInfo]:
    """The first training seed's agent of a robot's arm, for one of its tasks."""
    return checkpoints.load_agent(robot_file(f"{name}_task{task}.safetensors"))


def robot_results(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Success of a robot's arm: a row per (training_seed, task, updates, steps, candidates).

    Success, return and length are means over some episodes (the column of that name), whose starts
    belong to the task and the updates. `episode` numbers these, so that arms and settings pair.

    Args:
        name: an arm of `studies/robot_agents.py`.
        folder: where its CSV is; data/robots/ unless given.
    """
    table = pd.read_csv(robot_file(f"{name}.csv", folder)).rename(columns={"seed": "training_seed"})
    evaluation = table.updates.rank(method="dense").astype(int)
    return table.assign(episode=10 * table.task + evaluation)


def robot_file(file: str, folder: Path | None = None) -> Path:
    """A file of data/robots/, or of another folder, by name: an agent, results, or a film.

    Raises:
        UnknownName: there is no such file.
    """
    folder = folder or shipped_data() / "robots"
    known = sorted(path.name for path in folder.glob("*.*") if path.suffix != ".json")
    if file not in known:
        raise UnknownName("file of the robots", file, known)
    return folder / file


def _folder() -> Path:
    return shipped_data() / "course"


def _is_part(file: Path) -> bool:
    return file.stem.endswith("_snapshots")


def _file(name: str, ending: str) -> Path:
    if name not in names():
        raise UnknownName("arm of the course", name, names())
    file = _RETRAINED.get(name, _folder()) / f"{name}{ending}"
    check(file.exists(), f"'{name}' has no {file.name}: that is kept for some arms only")
    return file
