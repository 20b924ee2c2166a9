"""Lesser learners: a body can't do what it can't, and sees nothing where it is blind."""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from sorl_edu.agents.agent import Network
from sorl_edu.agents.guitar import GUITAR
from sorl_edu.datasets.mazes import shortest_path_episodes
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.bodies import LESSER_POINTS, POINT, EmbodiedWorlds
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.environments.rollout import make_environments
from sorl_edu.environments.worlds import OGBenchWorlds, Worlds, whole_episodes
from sorl_edu.errors import ConfigError
from sorl_edu.imitation import filter_resets
from sorl_edu.training.interactive import Demonstrations, Interaction, Resets

MAZE = "pointmaze-medium-navigate-singletask-task1-v0"


def moved(body, action, steps=3):
    """How far (x, y) a step of the action moves the point in the middle of a cell, each step."""
    worlds = EmbodiedWorlds(OGBenchWorlds(MAZE, 1), body)
    row = worlds.states()[0]
    row[:4] = 4.0, 0.0, 0.0, 0.0
    ways = []
    with worlds.entered(0):
        worlds.reset(0, seed=0, state=row)
        for _ in range(steps):
            before = worlds.states()[0, :2]
            worlds.step(np.array([action], np.float32))
            ways.append(worlds.states()[0, :2] - before)
    return np.array(ways)


@pytest.mark.parametrize(
    ("body", "action", "way"),
    [
        (POINT, (1.0, -1.0), (0.2, -0.2)),
        (LESSER_POINTS["slower"], (1.0, -1.0), (0.08, -0.08)),
        (LESSER_POINTS["slower"], (0.5, 0.0), (0.04, 0.0)),
        (LESSER_POINTS["one way"], (-1.0, 1.0), (0.0, 0.2)),  # never to the left
        (LESSER_POINTS["one way"], (1.0, -1.0), (0.2, -0.2)),
        (LESSER_POINTS["blind"], (-1.0, 1.0), (-0.2, 0.2)),
        (LESSER_POINTS["turned"], (1.0, 0.0), (0.2 * 0.5**0.5, 0.2 * 0.5**0.5)),  # from x to y
        (LESSER_POINTS["turned"], (1.0, -1.0), (0.2, 0.0)),  # of 1.41, as much as arrives
        (LESSER_POINTS["drifting"], (1.0, 0.5), (0.1, 0.1)),
        (LESSER_POINTS["drifting"], (0.0, 0.0), (-0.1, 0.0)),
        (LESSER_POINTS["drifting"], (-1.0, 0.0), (-0.2, 0.0)),
    ],
)
def test_a_body_does_what_it_can_and_no_more(body, action, way):
    np.testing.assert_allclose(moved(body, action), np.tile(way, (3, 1)), atol=1e-6)


def test_a_step_that_is_repeated_is_as_many_steps_of_the_world():
    single, repeated = (
        EmbodiedWorlds(OGBenchWorlds(MAZE, 1), POINT, repeat=repeat) for repeat in (1, 5)
    )
    assert single.limit == 5 * repeated.limit
    row, leave, ends = single.states()[0], np.array([[-1.0, 0.0]], np.float32), []
    row[:4] = *(np.array(maze_geometry(MAZE).goal) - [0.6, 0.0]), 0.0, 0.0  # 0.4 within its radius
    for worlds in (single, repeated):
        with worlds.entered(0):
            worlds.reset(0, seed=0, state=row)
            outcomes = [worlds.step(leave) for _ in range(5 // worlds.repeat)]
        assert outcomes[0].success.item() and len(outcomes) in (1, 5)
        total = sum(outcome.rewards.item() for outcome in outcomes)
        assert -5 < total < 0  # it leaves
        ends.append((worlds.states(), total))
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_a_blind_body_sees_nothing_of_the_other_coordinate_and_its_states_are_whole():
    whole, blind = (
        EmbodiedWorlds(OGBenchWorlds(MAZE, 2), b) for b in (POINT, LESSER_POINTS["blind"])
    )
    seen = []
    for worlds in (whole, blind):
        assert isinstance(worlds, Worlds)
        with worlds.entered(0):
            first = np.stack([worlds.reset(world, seed=world) for world in range(2)])
            after = worlds.step(np.ones((2, 2), np.float32)).observations
            seen.append((first, after, worlds.states()))
    for one, other in zip(seen[0][:2], seen[1][:2], strict=True):
        np.testing.assert_array_equal(other[:, 0], one[:, 0])
        assert not other[:, 1].any() and one[:, 1].all()
    np.testing.assert_array_equal(seen[0][2], seen[1][2])


def test_a_reset_puts_mujoco_in_the_asked_for_state_exactly_whatever_the_body():
    for body in LESSER_POINTS.values():
        worlds = EmbodiedWorlds(OGBenchWorlds(MAZE, 2), body, limit=20)
        row = worlds.states()[0]
        row[:4] = 1.2345678901234567, 0.1, -0.3, 0.7000000000000001
        with worlds.entered(0):
            obs = worlds.reset(1, seed=3, state=row)
        data = make_environments(MAZE, 2)[1].unwrapped.data
        np.testing.assert_array_equal(np.concatenate([data.qpos, data.qvel]), row[:4])
        np.testing.assert_array_equal(worlds.states()[1], row)
        np.testing.assert_array_equal(obs, body.view(np.float32(row[:2])))


def test_the_expert_takes_the_shortest_path_and_rests_at_the_goal():
    episodes, maze = shortest_path_episodes(MAZE, 3, limit=220, seed=1), maze_geometry(MAZE)
    assert episodes.success.all() and episodes.running.all() and episodes.steps == 660
    assert np.abs(episodes.actions).max() <= 1
    np.testing.assert_allclose(np.linalg.norm(episodes.actions[0], axis=1), 1, atol=1e-3)
    cells = maze.shortest_path()
    for way in episodes.observations.swapaxes(0, 1):
        visited = [maze.cell_of(position) for position in way.tolist()]
        assert list(dict.fromkeys(visited)) == cells
        assert np.linalg.norm(way[-20:] - np.array(maze.goal), axis=1).max() < 0.05
    starts = episodes.observations[0]
    assert len(np.unique(starts, axis=0)) == 3  # each its own
    assert shortest_path_episodes(MAZE, 3, limit=5, seed=1).observations[0] == pytest.approx(starts)


def test_the_expert_s_states_are_where_it_was_and_can_be_returned_to():
    episodes = shortest_path_episodes(MAZE, 2, limit=30)
    worlds = EmbodiedWorlds(OGBenchWorlds(MAZE, 2), POINT, limit=30)
    obs, actions = episodes.pairs()
    assert obs.shape == actions.shape == (60, 2)
    np.testing.assert_array_equal(np.float32(episodes.states[..., :2]), episodes.observations)
    with worlds.entered(0):
        for world in range(2):
            worlds.reset(world, seed=0, state=episodes.states[20, world])
        for t in range(20, 29):
            found = worlds.step(episodes.actions[t]).observations
            np.testing.assert_allclose(found, episodes.observations[t + 1], atol=1e-5)


def test_an_arrival_is_a_success_and_no_end():
    worlds = EmbodiedWorlds(OGBenchWorlds(MAZE, 1), POINT, limit=7)
    row = worlds.states()[0]
    row[:4] = *maze_geometry(MAZE).goal, 0.0, 0.0
    with worlds.entered(0):
        worlds.reset(0, seed=0, state=row)
        outcome = worlds.step(np.zeros((1, 2), np.float32))
    assert outcome.success.all() and not outcome.terminated.any()
    assert whole_episodes(worlds, lambda obs, t: np.zeros((1, 2), np.float32), 0).steps == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(POINT, forward=(1.0, 1.5)),
        lambda: replace(POINT, backward=(1.0,)),
        lambda: replace(POINT, drift=(0.1,)),
        lambda: replace(POINT, drift=(1.0, 0.0)),
        lambda: EmbodiedWorlds(OGBenchWorlds(MAZE, 1), POINT, repeat=0),
        lambda: EmbodiedWorlds(OGBenchWorlds(MAZE, 1), POINT, limit=1000, repeat=5),
        lambda: EmbodiedWorlds(OGBenchWorlds(MAZE, 1), replace(POINT, sees=(True,))),
        lambda: EmbodiedWorlds(OGBenchWorlds(MAZE, 1), POINT, limit=0),
        lambda: shortest_path_episodes("cube-single-play-singletask-v0", 1, limit=5),
    ],
)
def test_bodies_and_worlds_that_make_no_sense_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_a_student_of_the_expert_learns_in_the_maze_and_resumes(tmp_path):
    """Everything together: expert, lesser body, learned reward, resets; each part small."""
    body, shown = LESSER_POINTS["blind"], shortest_path_episodes(MAZE, 2, limit=12)
    obs, actions = shown.pairs()
    obs, tiny = body.view(obs), Network((4,))
    agent = GUITAR(policy=tiny, critic=tiny, reward=tiny, batch_size=4)
    rows = len(obs)
    data = Transitions.create(
        obs, actions, np.zeros(rows), np.ones(rows), np.arange(rows) == rows - 1
    )
    state = agent.init(jax.random.key(0), data)

    def run(env_steps, **options):
        return Interaction(
            agent,
            EmbodiedWorlds(OGBenchWorlds(MAZE, 2), body, limit=12),
            env_steps,
            round_steps=5,
            resets=Resets.of(filter_resets(), shown.states[shown.running]),
            demonstrations=Demonstrations(obs, actions, every=2, batch_size=8),
            checkpoint_every=1,
            progress=False,
            **options,
        ).run(state)

    whole = run(90)
    first = run(40, checkpoint_dir=tmp_path)
    rest = run(90, checkpoint_dir=tmp_path)
    assert first.env_steps == 44 and whole.env_steps == rest.env_steps == 122
    for one, other in zip(
        jax.tree.leaves((whole.state, whole.buffer)),
        jax.tree.leaves((rest.state, rest.buffer)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(whole.history, rest.history)
    assert not whole.buffer.transitions.observations[:, 1].any()
