"""How well values order an agent's candidates in a maze, where the right direction is known.

    d        = unit vector to the next cell on the shortest path to the goal     # the oracle's
    progress = a . d                                                            # at most sqrt 2

An episode is lost at the worst place on its way, and few are run. Over hundreds of states the
progress of the chosen action, and the rank correlation of candidates' values and progress, tell
values apart with much less chance; but they count a wall's corner as any other place. `ends` looks
for the worst place: where the episodes that don't arrive come to rest.
"""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from sorl_edu.agents import with_dials
from sorl_edu.agents.agent import Agent, HasDials, State, propose
from sorl_edu.datasets.mazes import shortest_path_oracle
from sorl_edu.datasets.ogbench import load
from sorl_edu.environments.mazes import distances, maze_geometry
from sorl_edu.environments.rollout import make_environments
from sorl_edu.evaluation import evaluate

Places = tuple[Float[np.ndarray, "states obs"], Float[np.ndarray, "states 2"]]


def places(environment: str, count: int = 300, seed: int = 0) -> Places:
    """States of the validation data, and the right direction at each.

    Args:
        environment: an official single-task name of a PointMaze.
        count: how many.
        seed: which.
    """
    observations = np.asarray(load(environment).validation.observations)
    rows = np.random.default_rng(seed).choice(len(observations), count, replace=False)
    oracle = shortest_path_oracle(make_environments(environment, 1)[0].unwrapped)
    goal = np.array(maze_geometry(environment).goal)
    directions = np.stack([oracle(position, goal) for position in observations[rows]])
    return observations[rows], directions


def leads(agent: Agent, state: State, where: Places, *, steps: int, candidates: int) -> dict:
    """Where the agent's choice leads, over `places`.

    Returns:
        progress: the mean of the chosen action's; any: of all candidates; backwards: the share of
        states where it is negative; rank_correlation: of values and progress among candidates.
    """
    obs, directions = where
    proposal = propose(agent, state, obs, jax.random.key(0), steps=steps, candidates=candidates)
    progress = (np.asarray(proposal.actions) * directions).sum(-1)
    chosen = progress[np.asarray(proposal.chosen), np.arange(len(obs))]
    return {
        "progress": chosen.mean(),
        "any": progress.mean(),
        "backwards": (chosen < 0).mean(),
        "rank_correlation": _rank_correlation(np.asarray(proposal.q), progress).mean(),
    }


def spread(agent: HasDials, state: State, where: Places, *, steps: int, candidates: int) -> dict:
    """How wide the returns of candidates are, and whether their width orders them.

    At tau_R = 1 the read-out is above the mean by about half the variance, on the unit scale.

    Returns:
        deviation: the mean over candidates and states; mean_rank_correlation and
        spread_rank_correlation, with progress: of the means, and of the variances.
    """
    obs, directions = where
    options = {"steps": steps, "candidates": candidates}
    mean, tilted = (
        propose(with_dials(agent, return_temperature=tau), state, obs, jax.random.key(0), **options)
        for tau in (np.inf, 1.0)
    )
    progress = (np.asarray(mean.actions) * directions).sum(-1)
    variance = 2 * np.maximum(np.asarray(tilted.q) - np.asarray(mean.q), 0)
    return {
        "deviation": np.sqrt(variance).mean(),
        "mean_rank_correlation": _rank_correlation(np.asarray(mean.q), progress).mean(),
        "spread_rank_correlation": _rank_correlation(variance, progress).mean(),
    }


def ends(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int,
    candidates: int,
    episodes: int = 10,
    last: int = 200,
) -> dict[str, float]:
    """How the episodes of a PointMaze end that don't arrive.

    Args:
        environment: an official single-task name.
        last: so many steps are an episode's end.

    Returns:
        failures: how many there are; and means over them, NaN where there is none. nearest: the
        fewest cells to the goal on the way; rest: the deviation of positions at the end, in metres,
        of which a cell has 4; towards: the cosine of the mean action at the end and the straight
        line to the goal, walls ignored.
    """
    maze = maze_geometry(environment)
    cells, goal = distances(maze.walls, maze.cell_of(maze.goal)), np.array(maze.goal)
    setting = {"steps": steps, "candidates": candidates, "episodes": episodes}
    table, track = evaluate(agent, state, environment, record=True, **setting)
    found = []
    for episode in np.flatnonzero(table.success == 0):
        length = int(table.length[episode])
        positions = track.observations[episode][: length + 1]
        push = track.actions[episode][max(length - last, 0) : length].mean(0)
        line = goal - positions[-1]
        cosine = push @ line / max(np.linalg.norm(push) * np.linalg.norm(line), 1e-6)
        nearest = min(cells[maze.cell_of(position)] for position in positions.tolist())
        rest = np.linalg.norm(positions[-last:].std(0))
        found.append({"nearest": nearest, "rest": rest, "towards": cosine})
    means = pd.DataFrame(found, columns=["nearest", "rest", "towards"]).mean()
    return {"failures": len(found), **means}


def _rank_correlation(
    one: Float[np.ndarray, "candidates states"], other: Float[np.ndarray, "candidates states"]
) -> Float[np.ndarray, " states"]:
    """Spearman's, of every column."""
    ranks = [values.argsort(0).argsort(0) for values in (one, other)]
    centred = [rank - (len(one) - 1) / 2 for rank in ranks]
    return (centred[0] * centred[1]).mean(0) / ((len(one) ** 2 - 1) / 12)
