"""The agents and measurements in data/course/ and data/robots/, by the name of their experiment.

    agent, state, info = shipped.agent("sorl")
    episodes = shipped.episodes("sorl")           # as evaluation.sweep returns them

`make course-data` and `make robots` make the files; a manifest.json beside them has the command of
each. The experiments are `experiments.course.EXPERIMENTS` and `experiments.robots.EXPERIMENTS`.
`make baselines` and `make evor` make what `baselines` and `evor` return.
"""

from __future__ import annotations

import html
import operator
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from PIL import Image

from sorl_edu.agents import Agent
from sorl_edu.agents.agent import State, without
from sorl_edu.datasets.ogbench import OfflineDataset, load, shipped_data
from sorl_edu.errors import DataError, UnknownName, check
from sorl_edu.plotting.mazes import Trajectories
from sorl_edu.training import checkpoints
from sorl_edu.training.checkpoints import AgentInfo

if TYPE_CHECKING:
    from sorl_edu.widgets import KnobValue

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"

_RETRAINED: dict[str, Path] = {}  # the folder of each experiment that `retrain` ran


def retrain(*names: str, folder: str | Path = "runs/course_data", **changes) -> None:
    """Runs experiments of the course again; from then on, this module reads their results.

    Args:
        names: of experiments in `experiments.course.EXPERIMENTS`.
        folder: where the results are written.
        changes: fields of `Experiment` to change, as in seeds=range(2), to be done sooner.

    Raises:
        UnknownName: no such experiment.
    """
    from sorl_edu.experiments import course

    folder = Path(folder)
    for name in names:
        if name not in course.EXPERIMENTS:
            raise UnknownName("experiment of the course", name, course.EXPERIMENTS)
    for name in names:
        course.make(name, folder / "runs", folder, **changes)
        _RETRAINED[name] = folder


def narrow_data() -> OfflineDataset:
    """The course's maze, walked with little noise: 250 episodes that hardly leave the way."""
    return load(ENVIRONMENT, folder=shipped_data() / "narrow")


def names() -> list[str]:
    """The experiments that are shipped."""
    return sorted(file.stem for file in _folder().glob("*.safetensors") if not _is_part(file))


def agent(name: str) -> tuple[Agent, State, AgentInfo]:
    """The agent of one training seed, ready to act."""
    return checkpoints.load_agent(_file(name, ".safetensors"))


def history(name: str) -> pd.DataFrame:
    """The losses of all training seeds, as `training.Run` holds them."""
    return pd.read_csv(_file(name, "_history.csv"))


def episodes(name: str) -> pd.DataFrame:
    """All seeds over steps x N from the same starts, as `evaluation.sweep` returns them."""
    return pd.read_csv(_file(name, "_episodes.csv"))


def values(name: str) -> pd.DataFrame:
    """Mean Q of each seed's critic at the start of the task: training_seed, steps, q."""
    return pd.read_csv(_file(name, "_values.csv"))


def milliseconds() -> pd.DataFrame:
    """The time to choose one action at every setting: steps, candidates, milliseconds."""
    return pd.read_csv(_folder() / "milliseconds.csv")


def trajectories(name: str) -> dict[tuple[int, int], Trajectories]:
    """Positions of one seed's agent from the start of the task, by (steps, candidates)."""
    found = {}
    with np.load(_file(name, "_trajectories.npz"), allow_pickle=False) as file:
        for key in file.files:
            if not key.endswith("_success"):
                m, n = key.removeprefix("m").split("_N")
                positions = file[key].astype(np.float32)
                found[int(m), int(n)] = Trajectories(positions, file[f"{key}_success"])
    return found


def differences(*names: str, only: Collection[str]) -> pd.DataFrame:
    """What experiments differ in: a row per setting, a column per experiment.

    A comparison is about the settings that it names, if all others are equal. This reads them from
    the agents' files (hyper-parameters, updates, the checksum of the data), not from a declaration
    that may have changed since.

    Args:
        names: the experiments that are compared.
        only: the settings that they differ in, as "q_weight" or "encoder.fourier_features".

    Raises:
        DataError: they differ in another setting, or don't differ in one of these.
    """
    from sorl_edu.experiments import course
    from sorl_edu.experiments.experiment import flatten

    columns = {}
    for name in names:
        trained, _, info = agent(name)
        columns[name] = flatten(asdict(trained)) | {
            "agent": type(trained).__name__,
            "updates": info.updates,
            "dataset": (info.dataset_sha256 or "")[:12],
            "transform": course.EXPERIMENTS[name].facts()["transform"],
        }
    table = pd.DataFrame(columns, dtype=object)
    table = table[[row.map(repr).nunique() > 1 for _, row in table.iterrows()]]
    check(
        set(table.index) == set(only),
        f"{', '.join(names)} differ in {sorted(table.index)}, and not just in {sorted(only)}",
        DataError,
    )
    return table


def snapshots(name: str) -> tuple[tuple[int, ...], list[State]]:
    """One seed's agent while it learns: numbers of updates, and its state after each."""
    file = _file(name, "_snapshots.safetensors")
    updates = tuple(checkpoints.read_metadata(file)["updates"])
    _, state, _ = agent(name)
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(updates), *leaf.shape), leaf.dtype),
        without(state, "moments", "target"),
    )
    states = checkpoints.load_tree(file, like)
    return updates, [jax.tree.map(operator.itemgetter(i), states) for i in range(len(updates))]


def robot(name: str, task: int) -> tuple[Agent, State, AgentInfo]:
    """The first training seed's agent of a robot's experiment, for one of its tasks."""
    return checkpoints.load_agent(robot_file(f"{name}_task{task}.safetensors"))


def robot_results(name: str, folder: Path | None = None) -> pd.DataFrame:
    """`experiments.robots.results`: success by (training_seed, task, updates, steps, candidates).

    Raises:
        UnknownName: there are no such results.
    """
    from sorl_edu.experiments import robots

    robot_file(f"{name}.csv", folder)
    return robots.results(name, folder)


def robot_states(
    name: str, folder: Path | None = None
) -> dict[str, tuple[Float[np.ndarray, " obs"], UInt8[np.ndarray, "height width 3"]]]:
    """Moments of an episode of a robot: what it observes, and a picture of it, by name."""
    table = pd.read_csv(robot_file(f"{name}_states.csv", folder))
    observations = table.filter(regex="^o_").to_numpy(np.float32)
    with Image.open(robot_file(f"{name}_states.png", folder)) as image:
        pictures = np.split(np.asarray(image.convert("RGB")), len(table), axis=1)
    return dict(zip(table.name, zip(observations, pictures, strict=True), strict=True))


def baselines(folder: Path | None = None) -> dict[str, list[KnobValue]]:
    """The maze's agents of `make baselines`, for `PolicyExtractionExplorer`.

    Args:
        folder: that of shown.csv and of what it names; data/baselines/ unless given.

    Returns:
        by method, an agent for each value of its knob, from the one closest to the data on.
    """
    from sorl_edu.widgets import KnobValue

    folder = folder or shipped_data() / "baselines"
    found: dict[str, list[KnobValue]] = {}
    with np.load(folder / "trajectories.npz", allow_pickle=False) as file:
        for row in pd.read_csv(folder / "shown.csv").itertuples():
            trained, state, _ = checkpoints.load_agent(folder / row.file)
            positions = file[f"{row.Index}"].astype(np.float32)
            episodes = Trajectories(positions, file[f"{row.Index}_success"])
            tuned = pd.notna(row.value)
            label = f"{_KNOBS.get(row.knob, row.knob)} = {row.value:g}" if tuned else "no knob"
            setting = int(row.steps), int(row.candidates)
            value = KnobValue(label, trained, state, *setting, episodes)
            found.setdefault(row.method, []).append(value)
    return found


def baseline_results(
    environment: str = "pointmaze-medium-navigate", folder: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `make baselines` found in an environment.

    Returns:
        a row per agent, task, seed, updates, m and N with its mean success, return and length; and
        what was tuned, a row per agent, value of its knob and setting (`experiments.tuning.tune`).

    Raises:
        UnknownName: there are no such results.
    """
    folder = folder or shipped_data() / "baselines"
    tuned = _result_file(folder, environment, "_tuning.csv", "environment of the baselines")
    return pd.read_csv(folder / f"{environment}.csv"), pd.read_csv(tuned)


def evor() -> tuple[Agent, State, AgentInfo]:
    """EVOR in the course's maze, for lesson 8: the first training seed of `make evor`."""
    return checkpoints.load_agent(shipped_data() / "evor" / "evor.safetensors")


def imitation(world: str) -> pd.DataFrame:
    """The rows of `make imitation` in a world: "tightrope", or a body in PointMaze, "turned", say.

    Raises:
        UnknownName: there are no such rows.
    """
    return pd.read_csv(_result_file(_imitation(), world, ".csv", "world of the imitators"))


def imitation_paths(body: str) -> dict[str, Trajectories]:
    """An episode of each seed's last policy in PointMaze, by the learner's name.

    Raises:
        UnknownName: there are none of this body.
    """
    file = _result_file(_imitation(), body, "_paths.npz", "body of the imitators")
    with np.load(file, allow_pickle=False) as arrays:
        names = [name for name in arrays if not name.endswith("_success")]
        return {name: Trajectories(arrays[name], arrays[f"{name}_success"]) for name in names}


def _imitation() -> Path:
    return shipped_data() / "imitation"


def _result_file(folder: Path, name: str, ending: str, kind: str) -> Path:
    """The file of that name and ending; UnknownName, with the kind, if there is none."""
    known = {file.name.removesuffix(ending): file for file in folder.glob(f"*{ending}")}
    if name not in known:
        raise UnknownName(kind, name, sorted(known))
    return known[name]


_KNOBS = {
    "candidates": "N",
    "distillation_weight": "alpha",
    "flow_weight": "alpha",
    "inverse_temperature": "alpha",
    "policy_penalty": "alpha_1",
    "q_weight": "weight of Q",
}
"""What lesson 7 calls the settings that were tuned."""


def film(name: str, about: str):
    """A video of data/robots/ to display, with controls and with its content in words.

    Args:
        name: the name of its file, without its ending.
        about: what it shows, for those who can't see it.
    """
    from IPython.display import Video

    label = html.escape(about, quote=True)
    attributes = f'controls loop muted playsinline width="720" aria-label="{label}"'
    return Video(str(robot_file(f"{name}.mp4")), embed=True, html_attributes=attributes)


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
        raise UnknownName("experiment of the course", name, names())
    file = _RETRAINED.get(name, _folder()) / f"{name}{ending}"
    check(file.exists(), f"'{name}' has no {file.name}: that is kept for some experiments only")
    return file
