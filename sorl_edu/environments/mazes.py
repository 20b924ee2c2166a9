"""The geometry of OGBench's mazes: walls, start and goal, in metres."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Sequence
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

    def cell_of(self, position: Sequence[float]) -> tuple[int, int]:
        """The cell (row, column) of a position (x, y), which may lie outside the maze."""
        x, y = ((p - o) / self.cell for p, o in zip(position, self.origin, strict=True))
        return round(y), round(x)

    def center_of(self, cell: tuple[int, int]) -> tuple[float, float]:
        """The position (x, y) of a cell's centre."""
        row, column = cell
        return self.origin[0] + self.cell * column, self.origin[1] + self.cell * row

    def is_free(self, cell: tuple[int, int]) -> bool:
        """Whether a cell lies inside the maze and is no wall."""
        row, column = cell
        rows, columns = np.shape(self.walls)
        return 0 <= row < rows and 0 <= column < columns and not self.walls[row][column]

    def free_neighbours(self, cell: tuple[int, int]) -> list[tuple[int, int]]:
        """The free cells above, below, to the right and to the left of a cell."""
        row, column = cell
        beside = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        return [neighbour for neighbour in beside if self.is_free(neighbour)]

    def shortest_path(self) -> list[tuple[int, int]]:
        """The cells of a shortest path from the start to the goal, both included.

        Raises:
            ConfigError: no path leads to the goal.
        """
        start, goal = self.cell_of(self.start), self.cell_of(self.goal)
        previous, queue = {start: start}, deque([start])
        while queue and goal not in previous:
            cell = queue.popleft()
            for neighbour in self.free_neighbours(cell):
                if neighbour not in previous:
                    previous[neighbour] = cell
                    queue.append(neighbour)
        check(goal in previous, f"no path leads from the start to the goal of {self.name}")
        path = [goal]
        while path[-1] != start:
            path.append(previous[path[-1]])
        return path[::-1]

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
