"""The geometry of mazes is OGBench's."""

import itertools
from dataclasses import replace

import gymnasium
import numpy as np
import ogbench  # noqa: F401  (registers the environments)
import pytest

from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.environments.mazes import count_endings, maze_geometry
from sorl_edu.errors import ConfigError, UnknownName

MEDIUM = "pointmaze-medium-navigate-singletask-v0"


def test_maze_geometry_is_that_of_ogbench():
    maze = maze_geometry(MEDIUM)
    assert maze_geometry(MEDIUM) is maze
    # OGBench's medium maze is 8 x 8 cells of 4; task 1 goes from cell (1, 1) to cell (6, 6).
    assert maze.start == (0, 0) and maze.goal == (20, 20) and maze.cell == 4
    assert maze.extent == (-6, 26, -6, 26) and np.sum(maze.walls) == 38
    assert maze_geometry(MEDIUM.replace("-v0", "-task2-v0")).goal == (20, 0)
    points, free = maze.points(2)
    assert free.mean() == 26 / 64
    cells = np.round((points[free] - maze.origin) / maze.cell).astype(int)
    assert not any(maze.walls[i][j] for j, i in cells)
    large = maze_geometry("pointmaze-large-navigate-singletask-v0")
    assert large.extent == (-6, 42, -6, 30) and large.points(3)[1].shape == (27, 36)


def test_the_dataset_never_goes_through_a_wall_of_the_geometry():
    maze = maze_geometry(MEDIUM)
    with np.load(shipped_data() / "pointmaze-medium-navigate-v0-val.npz") as file:
        xy = file["observations"][::20]
    cells = np.round((xy - maze.origin) / maze.cell).astype(int)
    assert not np.array(maze.walls)[cells[:, 1], cells[:, 0]].any()


def test_an_unknown_maze_names_the_nearest():
    with pytest.raises(UnknownName, match="pointmaze-medium-navigate-singletask-v0"):
        maze_geometry("pointmaze-medum-navigate-singletask-v0")


def test_what_is_no_maze_with_a_task_raises_an_error_that_says_why():
    with pytest.raises(ConfigError, match="not a maze"):
        maze_geometry("cube-single-play-singletask-v0")
    with pytest.raises(ConfigError, match="no rewards without a task"):
        maze_geometry("pointmaze-medium-navigate-v0")


@pytest.mark.parametrize("size", ["medium", "large"])
def test_cells_are_those_of_ogbench(size):
    maze = maze_geometry(f"pointmaze-{size}-navigate-singletask-v0")
    env = gymnasium.make(f"pointmaze-{size}-v0").unwrapped
    for cell in ((1, 1), (3, 5), (6, 6)):
        assert maze.center_of(cell) == pytest.approx(env.ij_to_xy(cell))
        for shift in (-1.9, 1.9):
            x, y = np.array(maze.center_of(cell)) + shift
            assert maze.cell_of((x, y)) == cell == env.xy_to_ij((x, y))
    assert not maze.is_free((0, 0)) and maze.is_free((1, 1))
    assert not maze.is_free((-1, 1)) and not maze.is_free((1, 100))


@pytest.mark.parametrize(
    ("edge", "inwards"),
    [((6, 0), (1, 0)), ((0, -2), (0, -1)), ((6, -2), (1, -1))],  # of the free cells (1, 1), (1, 2)
)
def test_positions_are_in_walls_if_they_are_deeper_than_allowed(edge, inwards):
    maze = maze_geometry(MEDIUM)
    positions = np.array(edge) + np.array([[-0.1], [0.1], [0.3], [0.7]]) * inwards
    assert maze.in_walls(positions).tolist() == [False, True, True, True]
    assert maze.in_walls(positions, 0.5).tolist() == [False, False, False, True]


def test_positions_outside_the_maze_count_as_in_walls():
    far = np.array([[-100.0, 0], [0, 100], [1e6, -1e6], [0, -7]])
    assert maze_geometry(MEDIUM).in_walls(far, 0.5).all()


@pytest.mark.parametrize("task", range(1, 6))
def test_a_shortest_path_is_as_long_as_ogbenchs_oracle_says(task):
    maze = maze_geometry(f"pointmaze-medium-navigate-singletask-task{task}-v0")
    path = maze.shortest_path()
    assert path[0] == maze.cell_of(maze.start) and path[-1] == maze.cell_of(maze.goal)
    assert all(maze.is_free(cell) for cell in path)
    assert all(b in maze.free_neighbours(a) for a, b in itertools.pairwise(path))
    env, steps = gymnasium.make("pointmaze-medium-v0").unwrapped, 0
    cell = path[0]
    while cell != path[-1]:  # the oracle names the next cell
        subgoal, _ = env.get_oracle_subgoal(maze.center_of(cell), maze.goal)
        cell, steps = env.xy_to_ij(subgoal), steps + 1
    assert len(path) == steps + 1


def test_a_goal_behind_walls_raises_an_error():
    maze = maze_geometry(MEDIUM)
    row, column = maze.cell_of(maze.goal)
    walls = np.array(maze.walls)
    walls[row - 1 : row + 2, column - 1 : column + 2] = True
    walls[row, column] = False
    with pytest.raises(ConfigError, match="no path leads"):
        replace(maze, walls=tuple(map(tuple, walls.tolist()))).shortest_path()


def test_endings_are_counted_by_where_and_how_an_agent_stays():
    maze = maze_geometry(MEDIUM)
    time = np.linspace(0, 1, 100)
    stays = np.minimum(2 * time, 1)  # half of the time on the way, half of it at its end
    to_corner = np.outer(stays, (21.0, 20.5))
    against_wall = np.outer(stays, (0.0, 8.0))
    wanders = np.stack([3 * np.sin(9 * time), 3 * np.cos(9 * time)], -1)
    arrives = np.outer(time, (20.0, 20.0))
    arrives[60:] = np.nan  # the episode ended
    positions = np.stack([arrives, to_corner, against_wall, wanders, wanders])
    assert count_endings(maze, positions, np.array([1, 0, 0, 0, 0])) == {
        "arrived": 1,
        "stuck at the goal": 1,
        "stuck elsewhere": 1,
        "still moving": 2,
    }
