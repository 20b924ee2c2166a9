"""Episodes of OGBench's PointMaze datasets, by its own oracle and published recipe.

    start in a random free cell, with a random goal
    repeat until the time limit:
        direction = unit vector to the next cell on the shortest path to the goal   (the oracle)
        action    = clip(direction + noise * N(0, I), -1, 1)
        navigate: a new goal replaces one that is reached, so an episode visits many
        stitch:   the goal is 4 cells away and stays, so an episode covers a short piece of the maze

The noise makes the data worth learning from: the actions cover the maze and are not an expert's.

Source: OGBench's `data_gen_scripts/generate_locomaze.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from sorl_edu.datasets.recipes import Recipe, Rows
from sorl_edu.environments.bodies import POINT, EmbodiedWorlds
from sorl_edu.environments.make import kind_of, make_env, numpy_seeded
from sorl_edu.environments.mazes import Cell, distances, maze_geometry
from sorl_edu.environments.rollout import make_environments
from sorl_edu.environments.worlds import Episodes, OGBenchWorlds, whole_episodes
from sorl_edu.errors import check

STITCH_DISTANCE = 4
"""Cells between start and goal of a stitch episode."""

STRIDE = 0.2
"""Metres that a PointMaze's point moves in a step of action 1."""

Oracle = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (position, goal) -> action


class MazeCollector:
    """Collects episodes of one recipe, each a function of `noise` and `seeds` alone."""

    def __init__(self, recipe: Recipe) -> None:
        # The bare environment has no time limit: `episode` counts the steps.
        self.env = make_env(recipe.env, terminate_at_goal=False, disable_env_checker=True).unwrapped
        self.oracle = shortest_path_oracle(self.env)
        self.recipe = recipe

    def episode(self, noise: float, seeds: np.random.SeedSequence) -> Rows:
        """One episode: `recipe.max_episode_steps` rows, each of named vectors.

        Args:
            noise: standard deviation of the action noise.
            seeds: source of all randomness of the episode, including the environment's.
        """
        env, kind = self.env, self.recipe.kind
        rng = np.random.default_rng(seeds)
        free, vertices = free_cells(env.maze_map), vertex_cells(env.maze_map)
        with numpy_seeded(rng.integers(2**32, size=4)):
            env.action_space.seed(int(rng.integers(2**31)))
            start = _draw(rng, free)
            if kind == "navigate":
                goal = _draw(rng, vertices)
            else:
                goal = _draw(
                    rng, cells_at_distance(env.maze_map, start, STITCH_DISTANCE) or [start]
                )
            observation, _ = env.reset(
                seed=int(rng.integers(2**31)),
                options={"task_info": {"init_ij": start, "goal_ij": goal}},
            )

            rows = []
            for _ in range(self.recipe.max_episode_steps):
                direction = self.oracle(env.get_xy(), np.asarray(env.cur_goal_xy))
                action = np.clip(direction + noise * rng.standard_normal(2), -1, 1)
                next_observation, _, _, _, info = env.step(action)
                rows.append(
                    {
                        "observations": observation,
                        "actions": action,
                        "qpos": info["prev_qpos"],
                        "qvel": info["prev_qvel"],
                    }
                )
                observation = next_observation
                if info["success"] and kind == "navigate":
                    env.set_goal(goal_xy=env.add_noise(env.ij_to_xy(_draw(rng, vertices))))
        return rows


def shortest_path_oracle(env) -> Oracle:
    """Unit vector (2,) to the centre of the next cell on the shortest path; 0 at that centre.

    Without a path (one cell of the teleport maze can only be reached by a teleport) it stays in its
    cell. `env.get_oracle_subgoal` searches the maze, and its answer depends on the cells of the
    position and the goal alone, so each pair of cells is searched once.
    """

    @functools.cache
    def next_centre(cell: Cell, goal_cell: Cell) -> np.ndarray:
        return env.get_oracle_subgoal(env.ij_to_xy(cell), env.ij_to_xy(goal_cell))[0]

    def oracle(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
        direction = next_centre(env.xy_to_ij(position), env.xy_to_ij(goal)) - position
        return direction / (np.linalg.norm(direction) + 1e-6)

    return oracle


def shortest_path_episodes(
    name: str, episodes: int, limit: int, seed: int = 0, repeat: int = 1
) -> Episodes:
    """An expert's whole episodes in a PointMaze: the shortest path, and then a rest at the goal.

    Args:
        name: an official OGBench single-task name of a PointMaze.
        episodes: their number, at least 1.
        limit: steps of each; an arrival doesn't end it.
        seed: of their starts.
        repeat: steps of the environment in each of theirs, with the same action.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task or is not a PointMaze's, or a number is out of range.
    """
    maze = maze_geometry(name)
    check(kind_of(name).family == "pointmaze", f"'{name}' is not a PointMaze")
    worlds = EmbodiedWorlds(OGBenchWorlds(name, episodes), POINT, limit, repeat)
    goal = np.array(maze.goal)
    oracle = shortest_path_oracle(make_environments(name, episodes)[0].unwrapped)

    def policy(obs: np.ndarray, t: int) -> np.ndarray:
        left = np.linalg.norm(obs - goal, axis=1, keepdims=True)
        directions = np.stack([oracle(position, goal) for position in obs])
        return (directions * np.minimum(1, left / (repeat * STRIDE))).astype(np.float32)

    return whole_episodes(worlds, policy, seed)


def free_cells(maze: np.ndarray) -> list[Cell]:
    """Cells that are not walls, row by row."""
    return [tuple(map(int, cell)) for cell in np.argwhere(maze == 0)]


def vertex_cells(maze: np.ndarray) -> list[Cell]:
    """Free cells that are corners, junctions or dead ends: not the middle of a straight hallway."""

    def is_hallway(i: int, j: int) -> bool:
        walls = (maze[i - 1, j], maze[i + 1, j], maze[i, j - 1], maze[i, j + 1])
        return walls in [(0, 0, 1, 1), (1, 1, 0, 0)]

    return [cell for cell in free_cells(maze) if not is_hallway(*cell)]


def cells_at_distance(maze: np.ndarray, start: Cell, distance: int) -> list[Cell]:
    """Cells whose shortest path from `start` has `distance` moves, in the order of the search."""
    return [cell for cell, moves in distances(maze, start).items() if moves == distance]


def _draw(rng: np.random.Generator, cells: list[Cell]) -> Cell:
    return cells[rng.integers(len(cells))]
