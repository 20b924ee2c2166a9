"""The robot's page: its physics beside the real environment's, its success, and what one sees."""

import base64
import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import NODE, node, unpacked_mujoco

from sorl_edu.agents.agent import act
from sorl_edu.cli import main
from sorl_edu.course import shipped
from sorl_edu.environments.arms import arm_physics, arm_shapes, start_states
from sorl_edu.environments.make import get_state, make_env, parse_name, reset, set_state
from sorl_edu.environments.rollout import rollout
from sorl_edu.errors import ConfigError
from sorl_edu.evaluation import wilson_interval
from sorl_edu.flow_matching import integrate
from sorl_edu.inference import propose
from sorl_edu.widgets import RobotPlayground
from sorl_edu.widgets.playground import packages

ENVIRONMENT = "cube-single-play-singletask-task2-v0"
FOLDER = Path(__file__).with_name("playground")
with_node = pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")


@pytest.fixture(scope="module")
def archives():
    try:
        return {p.name: packages.archive(p) for p in (packages.MUJOCO, packages.THREE)}
    except ConfigError as error:
        pytest.skip(f"packages for browsers are not here: {error}")


@pytest.fixture(scope="module")
def mujoco(archives, tmp_path_factory):
    """A folder with MuJoCo's build for browsers."""
    return unpacked_mujoco(archives["@mujoco/mujoco"], tmp_path_factory.mktemp("mujoco"))


@pytest.fixture
def env():
    env = make_env(parse_name(ENVIRONMENT)[1])
    yield env
    env.close()


def start(state):
    return {"qpos": state.qpos.tolist(), "qvel": state.qvel.tolist()}


def seeds(count):
    """Those of `rollout` with seed 0 and this number of episodes."""
    return [int(seed) for seed in np.random.SeedSequence(0).generate_state(count)]


def actions_that_grasp():
    """A hundred actions: the agent's until it has the cube, and then random ones."""
    agent, state, _ = shipped.robot("cube", 2)
    policy = partial(act, agent, state, steps=8, candidates=8)
    table, recording = rollout(policy, ENVIRONMENT, episodes=4, seed=0, record=True)
    steps = int(table.length[0]) - 5
    rng = np.random.default_rng(0)
    wild = np.float32(rng.uniform(-1, 1, (100 - steps, 5)))
    return np.concatenate([recording.actions[0, :steps], wild]), table.success[0]


def test_the_models_physics_are_the_environments_to_the_last_bit(env):
    import mujoco

    model = mujoco.MjModel.from_xml_string(arm_physics(ENVIRONMENT).xml)
    data = mujoco.MjData(model)
    reset(env, 0)
    bare = env.unwrapped
    state = get_state(env)
    assert model.ngeom < bare.model.ngeom / 2 and len(arm_physics(ENVIRONMENT).xml) < 250_000
    data.qpos[:], data.qvel[:] = state.qpos, state.qvel
    data.mocap_pos[:], data.mocap_quat[:] = bare.data.mocap_pos, bare.data.mocap_quat
    mujoco.mj_forward(model, data)
    for action in actions_that_grasp()[0]:
        env.step(action)
        data.ctrl[:] = bare.data.ctrl
        mujoco.mj_step(model, data, nstep=bare._n_steps)
    np.testing.assert_array_equal(data.qpos, bare.data.qpos)
    np.testing.assert_array_equal(data.qvel, bare.data.qvel)


@with_node
def test_a_hundred_actions_are_followed_as_in_the_environment(env, mujoco, measured):
    actions, arrived = actions_that_grasp()
    assert arrived
    (state,) = start_states(ENVIRONMENT, seeds(4)[:1])
    given = {
        "mujoco": mujoco,
        "physics": dataclasses.asdict(arm_physics(ENVIRONMENT)),
        "start": start(state),
        "actions": np.float64(actions).tolist(),
    }
    found = node(FOLDER / "replay.mjs", given)
    reset(env, seeds(4)[0])
    expected = [set_state(env, state)]
    succeeds = [env.unwrapped._compute_successes()[0]]
    for action in actions:
        expected.append(env.step(action)[0])
        succeeds.append(env.unwrapped._compute_successes()[0])
    gap = np.abs(np.array(found["observations"]) - expected).max()
    measured("robot, a hundred actions replayed, largest gap of an observation", gap, "")
    assert gap < 1e-3
    assert found["succeeds"] == [bool(one) for one in succeeds]
    assert max(obs[18] for obs in expected) > 0.2  # the fingers held the cube


@with_node
@pytest.mark.thorough
def test_its_episodes_are_those_of_the_agent_in_the_environment(env, mujoco, measured):
    """The same starts and noise; the sampler's 32 bits make differences that contacts amplify."""
    agent, state, _ = shipped.robot("cube", 2)
    states = start_states(ENVIRONMENT, seeds(2))
    given = {
        "agent": str(shipped.robot_file("cube_task2.safetensors")),
        "mujoco": mujoco,
        "physics": dataclasses.asdict(arm_physics(ENVIRONMENT)),
        "starts": [start(one) for one in states],
        "setting": {"steps": 8, "candidates": 8},
        "limit": 20,
    }
    sample = lambda obs, noise: jnp.clip(  # noqa: E731
        integrate(agent.flow(state, steps=8), obs, noise, 8), -1, 1
    )
    value = lambda obs, action: agent.value(state, obs, action, steps=8)  # noqa: E731
    choose = jax.jit(lambda obs, noise: propose(sample, value, obs, noise).action[0])
    gaps = []
    for begin, played in zip(states, node(FOLDER / "arm_episodes.mjs", given), strict=True):
        reset(env, 0)
        obs = set_state(env, begin)
        assert len(played["noise"]) == 20
        for noise, there in zip(played["noise"], played["observations"], strict=False):
            gaps.append(np.abs(obs - there).max())
            action = choose(obs[None], jnp.asarray(noise, jnp.float32)[:, None])
            obs = np.float32(env.step(np.asarray(action))[0])
    measured("robot, twenty steps with the same noise, largest gap", max(gaps), "")
    assert max(gaps) < 1e-3


@with_node
@pytest.mark.goals
def test_its_success_is_that_of_the_environment(mujoco, measured):
    agent, state, _ = shipped.robot("cube", 2)
    policy = partial(act, agent, state, steps=8, candidates=8)
    table, _ = rollout(policy, ENVIRONMENT, episodes=32, seed=0)
    given = {
        "agent": str(shipped.robot_file("cube_task2.safetensors")),
        "mujoco": mujoco,
        "physics": dataclasses.asdict(arm_physics(ENVIRONMENT)),
        "starts": [start(one) for one in start_states(ENVIRONMENT, seeds(32))],
        "setting": {"steps": 8, "candidates": 8},
        "limit": 1000,
    }
    played = node(FOLDER / "arm_episodes.mjs", given)
    arrived = sum(one["arrived"] for one in played)
    low, high = wilson_interval(table.success.sum(), 32)
    measured("robot, arrived in the page, of 32", arrived, "")
    measured("robot, arrived in Python, of 32", int(table.success.sum()), "")
    assert low <= arrived / 32 <= high


def test_what_is_seen_stands_where_the_environments_geometry_does(env):
    reset(env, 0)
    model = env.unwrapped.model
    fine, coarse = (arm_shapes(ENVIRONMENT, edge) for edge in (1e-6, 0.002))
    assert len(fine) == len(coarse) == 36
    for one, other in zip(fine, coarse, strict=True):
        assert model.body(one.body).name != "world"
        if one.vertices is None:
            assert np.allclose(one.size, 0.02)
            continue
        assert len(other.faces) <= len(one.faces) and other.faces.max() < len(other.vertices)
        for corner in (np.min, np.max):
            gap = np.abs(corner(one.vertices, 0) - corner(other.vertices, 0)).max()
            assert gap < 0.002 * np.sqrt(3)
    assert sum(len(s.faces) for s in coarse if s.faces is not None) < 70_000
    goal = coarse[-1]
    assert goal.colour[3] < 1 and coarse[-2].colour[3] == 1


def test_a_page_has_meshes_to_a_hundredth_of_a_millimetre():
    playground = RobotPlayground(*shipped.robot("cube", 2)[:2], ENVIRONMENT)
    shapes = playground._given["shapes"]
    meshes = [one for one in arm_shapes(ENVIRONMENT, 0.002) if one.vertices is not None]
    written = [one["mesh"] for one in shapes if one["mesh"] is not None]
    for mesh, given in zip(meshes, written, strict=True):
        shares = np.frombuffer(base64.b64decode(given["vertices"]), "<u2").reshape(-1, 3) / 65535
        low, high = (np.array(given[corner]) for corner in ("low", "high"))
        np.testing.assert_allclose(low + shares * (high - low), mesh.vertices, atol=1e-5)
        faces = np.frombuffer(base64.b64decode(given["faces"]), "<u2").reshape(-1, 3)
        np.testing.assert_array_equal(faces, mesh.faces)


def test_what_it_can_not_run_is_refused(tmp_path):
    cube, scene = (shipped.robot(*one)[:2] for one in (("cube", 2), ("scene", 1)))
    with pytest.raises(
        ConfigError, match="'scene-play-singletask-v0' is not a task of cube-single"
    ):
        RobotPlayground(*scene, "scene-play-singletask-v0")
    with pytest.raises(ConfigError, match="28- and 5-D"):
        RobotPlayground(*scene, ENVIRONMENT)
    with pytest.raises(ConfigError, match="m is 3; it can be 1, 2, 4, 8, 16, 32"):
        RobotPlayground(*cube, ENVIRONMENT, steps=3)
    mine = type("Mine", (type(cube[0]),), {})()
    with pytest.raises(ConfigError, match="runs sorl and flow_bc agents, and Mine is none of them"):
        RobotPlayground(mine, cube[1], ENVIRONMENT)
    file = str(shipped.robot_file("cube_task2.safetensors"))
    assert main(["playground", file, "--out", str(tmp_path / "page"), "--no-play"]) == 2
    assert not (tmp_path / "page").exists()


@pytest.mark.thorough
def test_the_arm_acts_in_a_page_from_a_disk(archives, monkeypatch, tmp_path, browser, measured):
    monkeypatch.setattr(packages, "archive", lambda package: archives[package.name])
    playground = RobotPlayground(*shipped.robot("cube", 2)[:2], ENVIRONMENT)
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    if not page.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
        pytest.skip("this Chromium has no WebGL, not even without a GPU")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(playground.to_folder(tmp_path).as_uri())
    root = page.locator("main > div")
    facts = lambda: root.evaluate("root => root.playground.facts()")  # noqa: E731
    page.wait_for_function("document.querySelector('main > div').playground.episode")
    before = page.locator("canvas.scene").screenshot()
    page.locator("canvas.scene").press("ArrowLeft")
    page.wait_for_timeout(500)
    assert page.locator("canvas.scene").screenshot() != before  # turned
    before = page.locator("canvas.scene").screenshot()
    page.get_by_label("As fast as it can").check()
    page.get_by_role("button", name="Act").click()
    page.wait_for_function(
        "document.querySelector('main > div').playground.facts().tallies[0]?.episodes >= 1",
        timeout=120_000,
    )
    page.get_by_role("button", name="Pause").click()
    (tally,) = facts()["tallies"]
    assert (tally["steps"], tally["candidates"]) == (8, 8) and tally["episodes"] >= 1
    assert page.locator("tbody tr").count() == 1
    assert page.locator("canvas.scene").screenshot() != before
    page.get_by_role("button", name="Next start").click()
    now = facts()
    assert now["time"] == 0 and not now["over"]
    slider = page.get_by_label("Candidates N")
    slider.focus()
    slider.press("End")
    assert facts()["candidates"] == 256
    before = page.locator("canvas.scene").screenshot()
    slider.press("Home")
    assert facts()["candidates"] == 1
    assert page.locator("canvas.scene").screenshot() != before  # other dots
    assert not errors
    (tmp_path / "three.js").unlink()
    page.reload()
    page.get_by_role("alert").get_by_text("three.js is missing beside this page").wait_for()
    page.context.close()
