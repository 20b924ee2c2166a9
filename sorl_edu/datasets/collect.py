"""Making offline data: OGBench's PointMaze datasets, by its own oracle and published recipe.

A script of OGBench (`data_gen_scripts/generate_locomaze.py`) made the official files; this module
follows the same recipe, so that the course has real data without a download:

    for each episode:
        start in a random free cell, with a random goal
        repeat until the time limit:
            direction = unit vector to the next cell on the shortest path to the goal   (the oracle)
            action    = clip(direction + noise * N(0, I), -1, 1)
            navigate: a goal that is reached is replaced by a new one, so an episode sees many
            stitch:   the goal is 4 cells away and stays, so an episode sees a short piece of maze

The noise is what makes the data worth learning from: it covers the maze and is no expert.

Every episode has its own random seed, so it does not depend on the episodes before it: the first k
episodes of a large collection are the collection of k episodes.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sorl_edu.errors import UnknownName, check
from sorl_edu.files import appearing, make_folder
from sorl_edu.progress import progress_bar


@dataclass(frozen=True)
class Recipe:
    """How one official dataset is made.

    Attributes:
        env: Gymnasium id of the environment.
        kind: how goals are drawn, 'navigate' or 'stitch'.
        episodes: number of training episodes; a tenth as many more are for validation.
        max_episode_steps: states per episode (one more than its transitions).
        noise: standard deviation of the Gaussian action noise; actions live in [-1, 1].
    """

    env: str
    kind: str
    episodes: int
    max_episode_steps: int
    noise: float = 0.5


RECIPES: dict[str, Recipe] = {
    f"pointmaze-{maze}-{kind}-v0": Recipe(f"pointmaze-{maze}-v0", kind, episodes, steps)
    for maze, kind, episodes, steps in [
        ("medium", "navigate", 1000, 1001),
        ("large", "navigate", 1000, 1001),
        ("giant", "navigate", 500, 2001),
        ("teleport", "navigate", 1000, 1001),
        ("medium", "stitch", 5000, 201),
        ("large", "stitch", 5000, 201),
        ("giant", "stitch", 5000, 201),
        ("teleport", "stitch", 5000, 201),
    ]
}
"""Official dataset name -> recipe, from OGBench's `data_gen_scripts/commands.sh`."""

STITCH_DISTANCE = 4
"""Cells between start and goal of a stitch episode."""

Cell = tuple[int, int]
Oracle = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (position, goal) -> action


def collect(
    name: str,
    out: str | os.PathLike,
    *,
    episodes: int | None = None,
    noise: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[Path, Path]:
    """Collect a dataset and write it in OGBench's file format.

    Args:
        name: an official dataset name, one of `RECIPES`.
        out: folder for the files, made if it isn't there.
        episodes: training episodes (at least 1); a tenth as many more (at least 1) are for
            validation. None is the official count.
        noise: standard deviation of the action noise (at least 0). None is the official 0.5.
        seed: the same seed (at least 0) and versions give the same arrays, bit for bit.
        overwrite: replace files of the same name; otherwise they are refused.
        progress: show a progress bar.

    Returns:
        The paths `out/NAME.npz` and `out/NAME-val.npz`. They appear when they are whole, or never.
        Rows are states in time order: observations (T, S), actions (T, A), qpos (T, P), qvel
        (T, V), all float32, and terminals (T,) bool, True in the row of an episode's last state.

    Raises:
        UnknownName: no recipe of this name.
        ConfigError: a number out of range, or a folder that can't be written to.
    """
    if name not in RECIPES:
        raise UnknownName("dataset to collect", name, RECIPES)
    recipe = RECIPES[name]
    episodes = recipe.episodes if episodes is None else episodes
    noise = recipe.noise if noise is None else noise
    check(episodes >= 1, f"episodes is {episodes}; it must be at least 1")
    check(0 <= noise < np.inf, f"noise is {noise}; it must be a finite number, at least 0")
    check(seed >= 0, f"seed is {seed}; it must be at least 0")
    paths = _writable_paths(Path(out).expanduser(), name, overwrite)

    env, oracle = _make_env_and_oracle(recipe)
    counts = (episodes, max(1, episodes // 10))
    splits = []
    with progress_bar(total=sum(counts), desc=name, unit="episode", show=progress) as bar:
        for split, count in enumerate(counts):
            collected = []
            for episode in range(count):
                seeds = np.random.SeedSequence(seed, spawn_key=(split, episode))
                collected.append(collect_episode(env, oracle, recipe, noise, seeds))
                bar.update()
            splits.append({k: np.concatenate([e[k] for e in collected]) for k in collected[0]})
    env.close()
    with appearing(paths[0]) as train, appearing(paths[1]) as validation:
        for beside, arrays in zip((train, validation), splits, strict=True):
            np.savez_compressed(beside, **arrays)
    return paths


def collect_episode(
    env, oracle: Oracle, recipe: Recipe, noise: float, seeds: np.random.SeedSequence
) -> dict[str, np.ndarray]:
    """One episode of `recipe.max_episode_steps` rows, a function of its arguments alone.

    Args:
        env: the unwrapped OGBench maze environment of the recipe.
        oracle: the action, before noise, that leads from a position to a goal.
        recipe: what to collect.
        noise: standard deviation of the action noise.
        seeds: source of all randomness of the episode, the environment's included.
    """
    rng = np.random.default_rng(seeds)
    free, vertices = free_cells(env.maze_map), vertex_cells(env.maze_map)
    with numpy_seeded(rng.integers(2**32, size=4)):
        env.action_space.seed(int(rng.integers(2**31)))
        start = _draw(rng, free)
        if recipe.kind == "navigate":
            goal = _draw(rng, vertices)
        else:
            goal = _draw(rng, cells_at_distance(env.maze_map, start, STITCH_DISTANCE) or [start])
        observation, _ = env.reset(
            seed=int(rng.integers(2**31)),
            options={"task_info": {"init_ij": start, "goal_ij": goal}},
        )

        rows = []
        for _ in range(recipe.max_episode_steps):
            direction = oracle(env.get_xy(), np.asarray(env.cur_goal_xy))
            action = np.clip(direction + noise * rng.standard_normal(2), -1, 1)
            next_observation, _, _, _, info = env.step(action)
            rows.append((observation, action, info["prev_qpos"], info["prev_qvel"]))
            observation = next_observation
            if info["success"] and recipe.kind == "navigate":
                env.set_goal(goal_xy=env.add_noise(env.ij_to_xy(_draw(rng, vertices))))

    keys = ("observations", "actions", "qpos", "qvel")
    episode = {
        key: np.asarray(column, np.float32)
        for key, column in zip(keys, zip(*rows, strict=True), strict=True)
    }
    episode["terminals"] = np.arange(len(rows)) == len(rows) - 1
    return episode


def shortest_path_oracle(env) -> Oracle:
    """Unit vector (2,) to the centre of the next cell on the shortest path; 0 at that centre.

    Without a path (one cell of the teleport maze can only be teleported into) it stays in its cell.
    `env.get_oracle_subgoal` searches the maze, and its answer depends on the cells of the position
    and the goal alone, so each pair of cells is searched once.
    """

    @functools.cache
    def next_centre(cell: Cell, goal_cell: Cell) -> np.ndarray:
        return env.get_oracle_subgoal(env.ij_to_xy(cell), env.ij_to_xy(goal_cell))[0]

    def oracle(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
        direction = next_centre(env.xy_to_ij(position), env.xy_to_ij(goal)) - position
        return direction / (np.linalg.norm(direction) + 1e-6)

    return oracle


def _make_env_and_oracle(recipe: Recipe):
    """The bare environment, without a time limit (we count the steps), and its oracle."""
    import gymnasium
    import ogbench.locomaze  # noqa: F401  (registers the environments)

    env = gymnasium.make(recipe.env, terminate_at_goal=False, disable_env_checker=True).unwrapped
    return env, shortest_path_oracle(env)


def free_cells(maze: np.ndarray) -> list[Cell]:
    return [tuple(map(int, cell)) for cell in np.argwhere(maze == 0)]


def vertex_cells(maze: np.ndarray) -> list[Cell]:
    """Free cells that are corners, junctions or dead ends: not the middle of a straight hallway."""

    def is_hallway(i: int, j: int) -> bool:
        walls = (maze[i - 1, j], maze[i + 1, j], maze[i, j - 1], maze[i, j + 1])
        return walls in [(0, 0, 1, 1), (1, 1, 0, 0)]

    return [cell for cell in free_cells(maze) if not is_hallway(*cell)]


def cells_at_distance(maze: np.ndarray, start: Cell, distance: int) -> list[Cell]:
    """Cells whose shortest path from `start` has `distance` moves (breadth-first search)."""
    seen, frontier = {start}, [start]
    for _ in range(distance):
        reached = []
        for i, j in frontier:
            for cell in [(i - 1, j), (i, j - 1), (i, j + 1), (i + 1, j)]:
                if maze[cell] == 0 and cell not in seen:
                    seen.add(cell)
                    reached.append(cell)
        frontier = reached
    return frontier


def _draw(rng: np.random.Generator, cells: list[Cell]) -> Cell:
    return cells[rng.integers(len(cells))]


@contextlib.contextmanager
def numpy_seeded(seed: int | np.ndarray) -> Iterator[None]:
    """Seed numpy's global generator, which OGBench's mazes draw from, and put it back after."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def _writable_paths(folder: Path, name: str, overwrite: bool) -> tuple[Path, Path]:
    make_folder(folder)
    paths = folder / f"{name}.npz", folder / f"{name}-val.npz"
    for path in paths:
        check(
            overwrite or not path.exists(),
            f"'{path}' is there already; choose another folder, or allow it to be overwritten",
        )
    return paths
