"""The geometry of OGBench's mazes: walls, start and goal, in metres."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from sorl_edu.environments.make import make_env, parse_name
from sorl_edu.errors import check


@dataclass(frozen=True)
class MazeGeometry:
    """Where the walls, the start and the goal of an OGBench maze are, in metres.

    Cell (row i, column j) is centred at origin + cell * (j, i), so row 0 is the lowest.
    """

    name: str
    walls: tuple[tuple[bool, ...], ...]
    cell: float
    origin: tuple[float, float]
    start: tuple[float, float]
    goal: tuple[float, float]
    goal_radius: float
    observation_width: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top), outer edges of the outer walls."""
        rows, columns = np.shape(self.walls)
        left, bottom = (o - self.cell / 2 for o in self.origin)
        return left, left + self.cell * columns, bottom, bottom + self.cell * rows

    def points(self, per_cell: int) -> tuple[np.ndarray, np.ndarray]:
        """A grid of positions (y, x, 2), and whether each is free (y, x)."""
        rows, columns = np.shape(self.walls)
        offsets = (np.arange(per_cell * max(rows, columns)) + 0.5) / per_cell - 0.5
        x = self.origin[0] + self.cell * offsets[: per_cell * columns]
        y = self.origin[1] + self.cell * offsets[: per_cell * rows]
        walls = np.kron(self.walls, np.ones((per_cell, per_cell))) > 0
        return np.stack(np.meshgrid(x, y), -1).astype(np.float32), ~walls


@functools.lru_cache
def maze_geometry(environment: str) -> MazeGeometry:
    """The maze and task of an official (single-task) OGBench name.

    Raises:
        UnknownName, ConfigError: no such name, a name without a task, or not a maze.
    """
    _, env_id = parse_name(environment)
    env = make_env(env_id)
    maze = env.unwrapped
    try:
        check(hasattr(maze, "maze_map"), f"'{environment}' is not a maze, so it has no map to draw")
        task = maze.task_infos[maze._reward_task_id - 1]
        return MazeGeometry(
            name=env_id.split("-singletask")[0],
            walls=tuple(tuple(bool(c) for c in row) for row in maze.maze_map),
            cell=float(maze._maze_unit),
            origin=tuple(map(float, maze.ij_to_xy((0, 0)))),
            start=tuple(map(float, task.get("init_xy", task.get("agent_init_xy")))),
            goal=tuple(map(float, task["goal_xy"])),
            goal_radius=float(maze._goal_tol),
            observation_width=int(env.observation_space.shape[0]),
        )
    finally:
        env.close()
