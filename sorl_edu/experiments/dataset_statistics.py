"""Statistics of robots' datasets, to compare two collections, or one with published numbers.

    python -m sorl_edu.experiments.dataset_statistics cube-single-play-v0 FOLDER [FOLDER ...]

Episodes are independent, so two collections by the same recipe should differ by a few standard
errors at most; with two folders, the last column says by how many.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sorl_edu import programs
from sorl_edu.datasets.ogbench import load_tasks

ACTIONS = ("x", "y", "z", "yaw", "gripper")
HAND, TOUCH = slice(12, 15), 18  # in an observation: the hand's position, the gripper's contact
CUBES = 14  # in qpos: the index of the first cube's 7 numbers
BUTTONS = 2  # in qpos, between a scene's cube and its drawer and window
UP = 0.1  # metres: higher than the drawer, and than a cube on another


def per_episode(dataset: str, folder: str | Path) -> pd.DataFrame:
    """A row for each training episode, a column for each quantity; all episodes equally long."""
    with np.load(Path(folder) / f"{dataset}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    episodes = int(arrays["terminals"].sum())
    arrays = {key: array.reshape(episodes, -1, *array.shape[1:]) for key, array in arrays.items()}
    cubes = 2 if "double" in dataset else 1
    qpos = arrays["qpos"]
    up = np.stack([cube[..., 2] > UP for cube in _cubes(qpos, cubes)])
    table = {
        f"action {name}, root mean square": np.sqrt(np.mean(arrays["actions"][..., i] ** 2, 1))
        for i, name in enumerate(ACTIONS)
    }
    table["way of the hand, metres"] = np.linalg.norm(
        np.diff(_hand(arrays["observations"]), axis=1), axis=-1
    ).sum(1)
    table["gripper touches, share of rows"] = np.mean(arrays["observations"][..., TOUCH] > 0.1, 1)
    table["a cube is up, share of rows"] = np.mean(up.any(0), 1)
    table["a cube is lifted, times"] = np.sum(up[..., 1:] & ~up[..., :-1], (0, 2))
    if "button_states" in arrays:
        drawer = CUBES + 7 * cubes + BUTTONS
        table["buttons are pressed, times"] = _way(arrays["button_states"]).sum(-1)
        table["way of the drawer, metres"] = _way(qpos[..., drawer])
        table["way of the window, metres"] = _way(qpos[..., drawer + 1])
    for k, done in enumerate(tasks_done(dataset, folder), start=1):
        table[f"task {k} is done, share of rows"] = done.reshape(episodes, -1).mean(1)
    table["compressed, bytes per row"] = [
        sum(len(zlib.compress(array[e].tobytes())) for array in arrays.values()) / qpos.shape[1]
        for e in range(episodes)
    ]
    return pd.DataFrame(table)


def tasks_done(dataset: str, folder: str | Path) -> list[np.ndarray]:
    """For each of OGBench's five tasks, whether its goal is reached in each training row."""
    names = [dataset.replace("-v0", f"-singletask-task{k}-v0") for k in range(1, 6)]
    tasks = load_tasks(names, folder=folder, download=False)
    return [np.asarray(task.train.masks) == 0 for task in tasks]


def ranges(dataset: str, folder: str | Path) -> pd.DataFrame:
    """Smallest and largest values over the training and validation rows; positions in metres."""
    parts = []
    for file in (f"{dataset}.npz", f"{dataset}-val.npz"):
        with np.load(Path(folder) / file, allow_pickle=False) as arrays:
            hand = _hand(arrays["observations"])
            for cube in _cubes(arrays["qpos"], 2 if "double" in dataset else 1):
                parts.append(np.hstack([arrays["actions"], hand, cube]))
    rows = np.concatenate(parts)
    names = [f"{what} {name}" for what in ("hand", "cube") for name in "xyz"]
    names = [*(f"action {name}" for name in ACTIONS), *names]
    return pd.DataFrame({"smallest": rows.min(0), "largest": rows.max(0)}, index=names)


def compare(dataset: str, folders: Sequence[str | Path]) -> pd.DataFrame:
    """Means over episodes and their standard errors; for two folders also their difference."""
    tables = [per_episode(dataset, folder) for folder in folders]
    means, errors = [t.mean() for t in tables], [t.sem() for t in tables]
    columns = {}
    for folder, mean, error in zip(folders, means, errors, strict=True):
        columns[str(folder)], columns[f"error of {folder}"] = mean, error
    if len(folders) == 2:
        columns["difference / error"] = (means[1] - means[0]) / np.hypot(*errors)
    return pd.DataFrame(columns)


def _hand(observations: np.ndarray) -> np.ndarray:
    return observations[..., HAND] / 10 + np.array([0.425, 0, 0], np.float32)


def _cubes(qpos: np.ndarray, count: int) -> list[np.ndarray]:
    return [qpos[..., CUBES + 7 * i : CUBES + 7 * i + 3] for i in range(count)]


def _way(values: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(values, axis=1)).sum(1)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="such as cube-single-play-v0")
    parser.add_argument("folders", nargs="+", help="each with DATASET.npz and DATASET-val.npz")
    options = parser.parse_args(argv)
    print(compare(options.dataset, options.folders).to_string(float_format="{:.4g}".format))
    for folder in options.folders:
        print(f"\nTraining and validation rows of {folder} reach from, to")
        print(ranges(options.dataset, folder).to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    programs.run(main)
