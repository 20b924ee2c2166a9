"""What an environment is, its physics state, and what its creation leaves behind."""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from sorl_edu.environments.make import (
    DATASETS,
    PhysicsState,
    get_state,
    kind_of,
    make_env,
    make_envs,
    parse_name,
    reset,
    set_state,
)
from sorl_edu.errors import DataError, UnknownName

POINT, ANT = "pointmaze-medium-singletask-v0", "antmaze-medium-singletask-v0"
CUBE, SCENE = "cube-single-singletask-v0", "scene-singletask-v0"


def test_every_dataset_has_a_kind_which_is_that_of_its_environments():
    kinds = {}
    for dataset in DATASETS:
        name = dataset.replace("-v0", "-singletask-task2-v0")
        assert kind_of(dataset) == kind_of(name) == kind_of(parse_name(name)[1])
        kinds.setdefault(kind_of(dataset).family, []).append(kind_of(dataset))
    families = {"pointmaze", "antmaze", "humanoidmaze", "antsoccer", "cube", "puzzle", "scene"}
    assert set(kinds) == families
    for family, found in kinds.items():
        robot_arm = family in ("cube", "puzzle", "scene")
        assert all(kind.is_maze != robot_arm for kind in found)
        assert all(kind.has_buttons == (family in ("puzzle", "scene")) for kind in found)
        assert all(kind.most_at_once == (None if family == "pointmaze" else 16) for kind in found)


@pytest.mark.parametrize("env_id", [POINT, ANT, CUBE, SCENE])
def test_a_kind_says_what_ogbenchs_environment_is(env_id):
    env = make_env(env_id)
    kind = kind_of(env.spec.id)
    assert kind.is_maze == hasattr(env.unwrapped, "maze_map")
    assert kind.has_buttons == hasattr(env.unwrapped, "_cur_button_states")
    env.close()


def test_threads_never_step_what_draws_from_numpys_global_generator():
    assert not kind_of("pointmaze-medium-navigate-v0").uses_threads
    assert not kind_of("antmaze-teleport-navigate-v0").uses_threads
    assert kind_of("antmaze-medium-navigate-v0").uses_threads
    assert kind_of("cube-single-play-v0").uses_threads


def test_an_unknown_family_gives_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean .*pointmaze"):
        kind_of("pointmase-medium-v0")


# Creation


def test_making_a_robot_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_env(CUBE).close()


@pytest.mark.parametrize("env_id", [POINT, ANT, CUBE, SCENE, "puzzle-3x3-singletask-v0"])
def test_several_are_as_one_that_is_made_alone_and_none_moves_another(env_id):
    envs = *make_envs(env_id, 3), make_env(env_id)
    actions = np.random.default_rng(0).uniform(-1, 1, (30, *envs[0].action_space.shape))
    runs = []
    for env in envs:
        reset(env, 7)
        states = [get_state(other) for other in envs]
        runs.append([env.step(action.astype(np.float32))[:2] for action in actions])
        for other, state in zip(envs, states, strict=True):
            same = all(map(np.array_equal, get_state(other), state))
            assert same == (other is not env)
    for step in zip(*runs, strict=True):
        assert all(np.array_equal(obs, step[0][0]) and reward == step[0][1] for obs, reward in step)
    assert len({id(env.unwrapped.model) for env in envs}) == len(envs)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_environments_leave_no_descriptor_and_no_file(tmp_path):
    """OGBench's mazes leave one of each, and a process may have 1024 descriptors."""
    program = """
        import os, sys
        from sorl_edu.environments.make import make_env
        from sorl_edu.environments.rollout import make_environments
        from sorl_edu.environments.mazes import maze_geometry

        def left():
            return len(os.listdir("/proc/self/fd")), os.listdir(sys.argv[1])

        for name in sys.argv[2:]:
            make_env(name).close()
        before = left()
        for _ in range(3):
            for name in sys.argv[2:]:
                make_env(name).close()
        make_environments("pointmaze-medium-navigate-singletask-v0", 5)
        make_environments("pointmaze-large-navigate-singletask-v0", 5)
        maze_geometry("pointmaze-large-navigate-singletask-v0")
        assert left() == before, (before, left())
        assert before[1] == [], before
    """
    words = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    words += [
        POINT,
        ANT,
        "humanoidmaze-medium-singletask-v0",
        "antsoccer-arena-singletask-v0",
        CUBE,
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr


def test_a_maze_that_cant_be_made_leaves_ogbench_as_it_was():
    import tempfile

    from ogbench.locomaze import maze

    with pytest.raises(ValueError, match="Unknown maze type"):
        make_env("pointmaze-medium-v0", maze_type="no such maze")
    assert maze.tempfile is tempfile


# States


@pytest.mark.parametrize("env_id", [POINT, ANT, CUBE, SCENE])
def test_the_same_seed_gives_the_same_episode_also_as_numpys_integer(env_id):
    env = make_env(env_id)

    def few_steps(seed):
        seen = [reset(env, seed)]
        rng = np.random.default_rng(0)
        for _ in range(3):
            seen.append(env.step(rng.uniform(-1, 1, env.action_space.shape))[0])
        return np.array(seen)

    first = few_steps(3)
    assert not np.array_equal(few_steps(4), first)
    np.testing.assert_array_equal(few_steps(np.int64(3)), first)
    assert reset(env, 3).dtype == np.float32
    env.close()


def walk(env, steps, rng):
    return np.array([env.step(rng.uniform(-1, 1, env.action_space.shape))[0] for _ in range(steps)])


@pytest.mark.parametrize("env_id", [POINT, ANT, CUBE, SCENE])
def test_a_state_that_is_put_back_is_followed_by_the_same_steps(env_id):
    """Whatever came between: the solver's warm start is part of no state, and is cleared."""
    env = make_env(env_id)
    reset(env, 0)
    walk(env, 5, np.random.default_rng(0))
    state = get_state(env)
    futures = []
    for _ in range(2):
        obs = set_state(env, state)
        np.testing.assert_array_equal(get_state(env).qpos, state.qpos)
        np.testing.assert_array_equal(get_state(env).qvel, state.qvel)
        futures.append(np.vstack([obs, walk(env, 5, np.random.default_rng(1))]))
        walk(env, 20, np.random.default_rng(2))
    np.testing.assert_array_equal(*futures)
    env.close()


@pytest.mark.parametrize("env_id", [CUBE, SCENE])
def test_a_state_is_felt_in_the_fingers_whatever_came_before(env_id):
    """What the gripper observes depends on its control, and a reset takes two random steps."""
    env = make_env(env_id)
    reset(env, 0)
    for _ in range(12):
        reached = env.step(np.array([0, 0, 0, 0, 1.0]))[0]  # close the gripper on nothing
    state, contact = get_state(env), 18
    assert reached[contact] > 0.1
    for _ in range(3):
        reset(env, 0)
        obs = set_state(env, state)
        np.testing.assert_allclose(obs[contact], reached[contact], atol=0.02)
        open_hand = set_state(env, state._replace(control=None))
        assert abs(open_hand[contact] - reached[contact]) > 0.05
    env.close()


@pytest.mark.parametrize("env_id", [CUBE, SCENE])
def test_a_reset_leaves_nothing_of_its_random_steps(env_id):
    env = make_env(env_id)
    for _ in range(2):
        reset(env, 0)
        assert not env.unwrapped.data.ctrl.any() and not env.unwrapped.data.qacc_warmstart.any()
    env.close()


@pytest.mark.parametrize(("env_id", "tolerance"), [(POINT, 1e-6), (ANT, 1e-6), (CUBE, 0.2)])
def test_a_state_is_observed_as_it_was_when_it_was_reached(env_id, tolerance):
    """The arm's observation of a step lags by a physics step of 2 ms, in units of 10 cm."""
    env = make_env(env_id)
    reset(env, 0)
    reached = walk(env, 5, np.random.default_rng(0))[-1]
    state = get_state(env)
    walk(env, 5, np.random.default_rng(1))
    obs = set_state(env, state)
    assert obs.dtype == np.float32 and obs.shape == env.observation_space.shape
    np.testing.assert_allclose(obs, reached, atol=tolerance)
    env.close()


def test_a_got_state_is_a_copy():
    env = make_env(SCENE)
    reset(env, 0)
    state = get_state(env)
    kept = [part.copy() for part in state]
    walk(env, 5, np.random.default_rng(0))
    env.unwrapped._cur_button_states[:] = 1 - env.unwrapped._cur_button_states
    for part, copy in zip(state, kept, strict=True):
        np.testing.assert_array_equal(part, copy)
    env.close()


def test_buttons_are_part_of_the_state():
    env = make_env(SCENE)
    reset(env, 0)
    state = get_state(env)
    other = state._replace(button_states=1 - state.button_states)
    assert not np.array_equal(set_state(env, other), set_state(env, state))
    set_state(env, other)
    np.testing.assert_array_equal(get_state(env).button_states, other.button_states)
    env.close()


@pytest.mark.parametrize(
    ("env_id", "state", "message"),
    [
        (POINT, PhysicsState(np.zeros(3), np.zeros(2)), "qpos of width 3 .* has 2 and 2"),
        (POINT, PhysicsState(np.zeros(2), np.zeros(1)), "qvel of width 1;"),
        (POINT, PhysicsState(np.zeros(2), np.zeros(2), np.zeros(2, int)), "has no button states"),
        (SCENE, PhysicsState(np.zeros(25), np.zeros(24)), "has button states"),
        (
            POINT,
            PhysicsState(np.zeros(2), np.zeros(2), None, np.zeros(3)),
            "control of width 3; .* has 2",
        ),
    ],
)
def test_a_state_of_another_environment_is_refused(env_id, state, message):
    env = make_env(env_id)
    reset(env, 0)
    with pytest.raises(DataError, match=message):
        set_state(env, state)
    env.close()
