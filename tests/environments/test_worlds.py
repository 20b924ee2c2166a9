"""OGBench's environments as worlds: a state that was left is a state that one can return to."""

import jax
import numpy as np
import pandas as pd
import pytest

from sorl_edu.agents import BC
from sorl_edu.agents.agent import Network
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.rollout import make_environments
from sorl_edu.environments.worlds import OGBenchWorlds
from sorl_edu.errors import DataError
from sorl_edu.training.interactive import Interaction, Resets

MAZE = "pointmaze-medium-navigate-singletask-v0"


def walk(worlds, steps, seed=0):
    rng = np.random.default_rng(seed)
    size = worlds.count, worlds.action_dim
    return [
        worlds.step(rng.uniform(-1, 1, size).astype(np.float32)).observations for _ in range(steps)
    ]


@pytest.mark.parametrize("name", [MAZE, "puzzle-3x3-play-singletask-v0"])
def test_a_world_goes_on_from_where_it_was_left(name):
    worlds = OGBenchWorlds(name, 2)
    with worlds.entered(0):
        for world in range(2):
            worlds.reset(world, seed=world)
        left_at = walk(worlds, 5)[-1]
        rows = worlds.states()
        assert rows.shape == (2, worlds.state_dim) and rows.dtype == np.float64
    ways = []
    for _ in range(2):
        with worlds.entered(0):
            walk(worlds, 3, seed=9)  # elsewhere
            for world in range(2):
                obs = worlds.reset(world, seed=world, state=rows[world])
                np.testing.assert_allclose(obs, left_at[world], atol=1e-6)
            np.testing.assert_array_equal(worlds.states(), rows)  # exactly
            ways.append(walk(worlds, 5))
    np.testing.assert_array_equal(*ways)


def test_a_reset_puts_mujoco_in_the_asked_for_state_exactly():
    worlds = OGBenchWorlds(MAZE, 1)
    row = worlds.states()[0]
    row[:4] = 1.2345678901234567, 0.1, -0.3, 0.7000000000000001  # position, velocity
    with worlds.entered(0):
        obs = worlds.reset(0, seed=3, state=row)
    data = make_environments(MAZE, 1)[0].unwrapped.data
    np.testing.assert_array_equal(data.qpos, row[:2])
    np.testing.assert_array_equal(data.qvel, row[2:4])
    np.testing.assert_array_equal(obs, np.float32(row[:2]))
    with worlds.entered(0), pytest.raises(DataError, match="width"):
        worlds.reset(0, seed=3, state=row[:-1])


def test_a_run_in_a_maze_resumes_though_others_used_its_environments(tmp_path):
    agent = BC(policy=Network((8,)), batch_size=8)
    rng = np.random.default_rng(0)
    data = Transitions.create(
        rng.normal(size=(9, 2)), rng.uniform(-1, 1, (9, 2)), np.zeros(9), np.ones(9), [0] * 8 + [1]
    )
    state = agent.init(jax.random.key(0), data)
    start = OGBenchWorlds(MAZE, 2).states()[:1]

    def run(env_steps, **options):
        worlds = OGBenchWorlds(MAZE, 2)
        whole = {"action_noise": 0.5, "round_steps": 5, "progress": False, "checkpoint_every": 1}
        resets = Resets(0.5, states=start)
        return Interaction(agent, worlds, env_steps, resets=resets, **whole, **options).run(state)

    whole = run(40)
    run(20, checkpoint_dir=tmp_path)
    make_environments(MAZE, 3)  # which closes the others
    rest = run(40, checkpoint_dir=tmp_path)
    for one, other in zip(jax.tree.leaves(whole.buffer), jax.tree.leaves(rest.buffer), strict=True):
        np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(whole.history, rest.history)
