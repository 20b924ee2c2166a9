"""The geometry of OGBench's mazes: walls, start and goal in metres, and the ways between cells."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Real, Shaped

from sorl_edu.environments.make import kind_of, make_env, parse_name
from sorl_edu.errors import check

Cell = tuple[int, int]  # (row, column)
Walls = Sequence[Sequence[bool]] | np.ndarray  # (rows, columns), true or 1 where a wall is


@dataclass(frozen=True)
class MazeGeometry:
    """Where the walls, the start and the goal of an OGBench maze are, in metres.

    Cell (row i, column j) is centred at origin + cell * (j, i), so row 0 is the lowest.
    """

    name: str
    walls: tuple[tuple[bool, ...], ...]
    cell: float
    """Edge length of a cell."""
    origin: tuple[float, float]
    start: tuple[float, float]
    goal: tuple[float, float]
    goal_radius: float
    observation_width: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top), the outer edges of the outer walls."""
        rows, columns = np.shape(self.walls)
        left, bottom = (o - self.cell / 2 for o in self.origin)
        return left, left + self.cell * columns, bottom, bottom + self.cell * rows

    def points(
        self, per_cell: int
    ) -> tuple[Float[np.ndarray, "rows columns 2"], Bool[np.ndarray, "rows columns"]]:
        """A grid of positions (x, y), `per_cell` along a cell's edge, and whether each is free."""
        rows, columns = np.shape(self.walls)
        offsets = (np.arange(per_cell * max(rows, columns)) + 0.5) / per_cell - 0.5
        x = self.origin[0] + self.cell * offsets[: per_cell * columns]
        y = self.origin[1] + self.cell * offsets[: per_cell * rows]
        walls = np.kron(self.walls, np.ones((per_cell, per_cell))) > 0
        return np.stack(np.meshgrid(x, y), -1).astype(np.float32), ~walls

    def cell_of(self, position: Sequence[float]) -> Cell:
        """The cell (row, column) of a position (x, y), which may lie outside the maze."""
        x, y = ((p - o) / self.cell for p, o in zip(position, self.origin, strict=True))
        return round(y), round(x)

    def center_of(self, cell: Cell) -> tuple[float, float]:
        """The position (x, y) of a cell's centre."""
        row, column = cell
        return self.origin[0] + self.cell * column, self.origin[1] + self.cell * row

    def is_free(self, cell: Cell) -> bool:
        """Whether a cell lies inside the maze and is not a wall."""
        row, column = cell
        rows, columns = np.shape(self.walls)
        return 0 <= row < rows and 0 <= column < columns and not self.walls[row][column]

    def in_walls(
        self, positions: Real[np.ndarray, "rows 2"], depth: float = 0.0
    ) -> Bool[np.ndarray, " rows"]:
        """Whether positions (x, y) lie deeper than `depth` metres in walls, or outside the maze."""
        walls = np.pad(self.walls, 1, constant_values=True)
        buried = np.ones(len(positions), bool)
        for shift in itertools.product((-depth, depth), repeat=2):
            cells = np.rint((positions + np.array(shift) - self.origin) / self.cell).astype(int)
            column, row = np.clip(cells + 1, 0, np.array(walls.shape[::-1]) - 1).T
            buried &= walls[row, column]
        return buried

    def free_neighbours(self, cell: Cell) -> list[Cell]:
        """The cells beside a free cell (at most four) that are free, too."""
        return free_neighbours(self.walls, cell)

    def shortest_path(self) -> list[Cell]:
        """The cells of a shortest path from the start to the goal, both included.

        Raises:
            ConfigError: no path leads to the goal.
        """
        distance = distances(self.walls, self.cell_of(self.goal))
        path = [self.cell_of(self.start)]
        check(path[0] in distance, f"no path leads from the start to the goal of {self.name}")
        while distance[path[-1]] > 0:
            ahead = reversed(self.free_neighbours(path[-1]))
            path.append(min(ahead, key=distance.__getitem__))
        return path


def count_endings(
    maze: MazeGeometry,
    positions: Float[np.ndarray, "episode time 2"],
    success: Shaped[np.ndarray, " episode"],
) -> dict[str, int]:
    """How many episodes end in which way: "arrived", or one of three failures.

    An agent is stuck if it stays within a metre of its last position for the last tenth of the
    episode: at the goal, if that is nearer to it than a cell's edge, or elsewhere. Else it was
    still on its way when the time was up.

    Args:
        maze: where the episodes took place.
        positions: in metres, NaN after an episode's end; evenly spaced in time.
        success: whether each episode reached the goal.
    """
    counts = dict.fromkeys(("arrived", "stuck at the goal", "stuck elsewhere", "still moving"), 0)
    for path, arrived in zip(positions, success, strict=True):
        path = path[np.isfinite(path).all(1)]
        last = path[-max(len(path) // 10, 2) :]
        stuck = np.linalg.norm(last - path[-1], axis=1).max() <= 1
        near = np.linalg.norm(path[-1] - np.array(maze.goal)) < maze.cell
        if arrived:
            how = "arrived"
        elif stuck:
            how = "stuck at the goal" if near else "stuck elsewhere"
        else:
            how = "still moving"
        counts[how] += 1
    return counts


def free_neighbours(walls: Walls, cell: Cell) -> list[Cell]:
    """The cells beside a cell (at most four) that are not walls."""
    i, j = cell
    beside = [(i - 1, j), (i, j - 1), (i, j + 1), (i + 1, j)]
    return [(a, b) for a, b in beside if not walls[a][b]]


def distances(walls: Walls, start: Cell) -> dict[Cell, int]:
    """The number of moves from `start` to every cell that can be reached, nearest cells first.

    A breadth-first search.
    """
    distance = {start: 0}
    queue = [start]
    for cell in queue:
        for neighbour in free_neighbours(walls, cell):
            if neighbour not in distance:
                distance[neighbour] = distance[cell] + 1
                queue.append(neighbour)
    return distance


@functools.lru_cache
def maze_geometry(environment: str) -> MazeGeometry:
    """The maze and the task of an official (single-task) OGBench name.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or is not a maze's.
    """
    _, env_id = parse_name(environment)
    check(kind_of(env_id).is_maze, f"'{environment}' is not a maze, so it has no map to draw")
    env = make_env(env_id)
    try:
        return geometry_of(env)
    finally:
        env.close()


@dataclass(frozen=True)
class MazePhysics:
    """All that another program needs to step a maze's environment."""

    xml: str
    """MuJoCo's model."""
    limit: int
    """The most steps of an episode."""
    teleports: bool
    """Whether the maze also teleports, which the model does not."""


@functools.lru_cache
def maze_physics(environment: str) -> MazePhysics:
    """The physics of a PointMaze.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or is not a PointMaze's.
    """
    import mujoco

    _, env_id = parse_name(environment)
    check(kind_of(env_id).family == "pointmaze", f"'{environment}' is not a PointMaze")
    env = make_env(env_id)
    try:
        bare = env.unwrapped
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "maze.xml"
            mujoco.mj_saveLastXML(str(file), bare.model)
            teleports = bare._teleport_info is not None
            return MazePhysics(file.read_text(), env.spec.max_episode_steps, teleports)
    finally:
        env.close()


def geometry_of(env) -> MazeGeometry:
    """The maze and the task of a single-task environment."""
    maze = env.unwrapped
    task = maze.task_infos[maze._reward_task_id - 1]
    return MazeGeometry(
        name=env.spec.id.split("-singletask")[0],
        walls=tuple(tuple(bool(c) for c in row) for row in maze.maze_map),
        cell=float(maze._maze_unit),
        origin=tuple(map(float, maze.ij_to_xy((0, 0)))),
        start=tuple(map(float, task.get("init_xy", task.get("agent_init_xy")))),
        goal=tuple(map(float, task["goal_xy"])),
        goal_radius=float(maze._goal_tol),
        observation_width=int(env.observation_space.shape[0]),
    )
