"""Play: the page's physics beside the real environment's, with the same noise."""

import io
import json
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import NODE, PLAY_RATE, node, unpacked_mujoco

from sorl_edu.course import shipped
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.environments.make import PhysicsState, make_env, parse_name, set_state
from sorl_edu.environments.mazes import maze_geometry, maze_physics
from sorl_edu.errors import ConfigError
from sorl_edu.flow_matching import integrate
from sorl_edu.inference import propose
from sorl_edu.widgets import Playground
from sorl_edu.widgets.playground import packages
from sorl_edu.widgets.playground.episodes import Episodes

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
FOLDER = Path(__file__).with_name("playground")
STEPS, CANDIDATES = 8, 8
LIMIT = 60  # of the roll-outs that are compared
# Ten roll-outs: starts in the maze, a seed of noise each.
STARTS = [(0, 0), (0, 0), (0, 4), (4, 8), (12, 0), (20, 0), (8, 12), (16, 12), (0, 20), (20, 12)]


@pytest.fixture(scope="module")
def archive():
    try:
        return packages.archive(packages.MUJOCO)
    except ConfigError as error:
        pytest.skip(f"MuJoCo's build for browsers is not here: {error}")


@pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")
def test_ten_roll_outs_end_where_those_of_the_environment_do(archive, tmp_path, measured):
    maze = maze_geometry(ENVIRONMENT)
    given = {
        "agent": str(shipped_data() / "course" / "narrow.safetensors"),
        "mujoco": unpacked_mujoco(archive, tmp_path),
        "xml": maze_physics(ENVIRONMENT).xml,
        "task": {"goal": maze.goal, "goal_radius": maze.goal_radius, "limit": LIMIT},
        "settings": [{"steps": STEPS, "candidates": CANDIDATES}],
        "starts": [{"start": start, "seed": seed} for seed, start in enumerate(STARTS)],
    }
    played = node(FOLDER / "roll_outs.mjs", given)
    assert len(played) == len(STARTS)
    choose = choice_of(*shipped.agent("narrow")[:2])
    env = make_env(parse_name(ENVIRONMENT)[1])
    try:
        env.reset(seed=0)
        gaps, arrivals = zip(*(compare(env, choose, one) for one in played), strict=True)
    finally:
        env.close()
    measured("playground, ten roll-outs beside the environment's, farthest apart", max(gaps), "m")
    assert max(gaps) < 1e-3, gaps
    assert 1 <= sum(arrivals) <= 10


def choice_of(agent, state):
    """The action that `agent.propose` chooses for one observation, from given noise."""
    sample = lambda obs, noise: jnp.clip(  # noqa: E731
        integrate(agent.flow(state, steps=STEPS), obs, noise, STEPS), -1, 1
    )
    value = lambda obs, action: agent.value(state, obs, action, steps=STEPS)  # noqa: E731
    return jax.jit(lambda obs, noise: propose(sample, value, obs, noise).action[0])


def compare(env, choose, played):
    """How far a roll-out of the page is from the environment's, and whether it arrives."""
    (episode,) = played["episodes"]
    path = np.array(episode["path"])
    obs = set_state(env, PhysicsState(path[0], np.zeros(2)))
    gaps = [0.0]
    for step, noise in enumerate(played["noise"], start=1):
        action = np.asarray(choose(obs[None], jnp.asarray(noise, jnp.float32)[:, None]))
        obs, _, terminated, _, _ = env.step(action)
        gaps.append(float(np.linalg.norm(obs - path[step])))
        obs = np.float32(obs)
        assert terminated == (episode["arrived"] and step == len(path) - 1), step
    assert len(path) == 1 + len(played["noise"])
    return max(gaps), episode["arrived"]


def test_a_notebooks_episodes_are_those_of_the_agent_in_the_environment():
    agent, state, _ = shipped.agent("narrow")
    noise = np.random.default_rng(0).normal(size=(2, 20, CANDIDATES, 2)).astype(np.float32)
    episodes = Episodes(agent, state, ENVIRONMENT)
    x, y = maze_geometry(ENVIRONMENT).goal
    start = [x, y - 3]
    both = [(STEPS, CANDIDATES), (1, 1)]
    assert np.allclose(episodes.begin(both, start), start)
    first, other = zip(*(episodes.advance(part) for part in noise), strict=True)
    assert len(other[0]["path"]) > 0 and other[0]["path"] != first[0]["path"]
    path = [start, *first[0]["path"], *first[1]["path"]]
    assert first[1]["arrived"] and first[1]["over"] and len(path) < 41
    env, choose = make_env(parse_name(ENVIRONMENT)[1]), choice_of(agent, state)
    try:
        env.reset(seed=0)
        played = {"path": path, "arrived": True}
        steps = np.concatenate(noise)[: len(path) - 1]
        gap, _ = compare(env, choose, {"episodes": [played], "noise": steps})
    finally:
        env.close()
    assert gap < 1e-4
    assert episodes.advance(noise[0])[0] == {"path": [], "arrived": True, "over": True}


def test_what_npm_fetches_must_have_the_hash(monkeypatch, tmp_path):
    def npm(does):
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    npm('echo other > "$PWD/mujoco.tgz"')
    with pytest.raises(ConfigError, match=f"has the hash .*, expected {packages.MUJOCO.sha256}"):
        packages.archive(packages.MUJOCO)
    npm("echo no such host >&2; exit 1")
    with pytest.raises(ConfigError, match="npm can't fetch @mujoco/mujoco.*: no such host"):
        packages.archive(packages.MUJOCO)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="with npm, which is not installed"):
        packages.archive(packages.MUJOCO)


def test_a_folder_is_written_whole_and_its_physics_once(monkeypatch, tmp_path):
    archives = []

    def archive(package):
        archives.append(
            tar({"package/mujoco.js": b"export default 1", "package/mujoco.wasm": b"x"})
        )
        return archives[-1]

    monkeypatch.setattr(packages, "archive", archive)
    playground = Playground(*shipped.agent("narrow")[:2], ENVIRONMENT)
    for _ in range(2):
        page = playground.to_folder(tmp_path / "page")
        assert {file.name for file in page.parent.iterdir()} == {"index.html", "mujoco.js"}
    assert len(archives) == 1
    script = (tmp_path / "page" / "mujoco.js").read_text()
    assert '"mujoco.js": "export default 1"' in script and '"mujoco.wasm": "eA=="' in script
    assert '"limit": 1000' in page.read_text() and "<mujoco" not in page.read_text()

    def nothing(package):
        raise ConfigError("npm is on strike")

    monkeypatch.setattr(packages, "archive", nothing)
    with pytest.raises(ConfigError, match="on strike"):
        playground.to_folder(tmp_path / "none")
    assert not list((tmp_path / "none").glob("*"))
    teleport = "pointmaze-teleport-navigate-singletask-v0"
    with pytest.raises(ConfigError, match="which teleports: a notebook can"):
        Playground(*shipped.agent("narrow")[:2], teleport).to_folder(tmp_path)


def tar(files):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def test_the_kernel_answers_a_widget_and_a_wrong_question_is_an_error(monkeypatch):
    pytest.importorskip("anywidget", reason="make test installs it")
    widget = Playground(*shipped.agent("narrow")[:2], ENVIRONMENT).view()
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)

    def ask(*buffers, **asked):
        widget._handle_custom_msg(asked, list(buffers))
        return sent[-1]

    begun = ask(id=1, ask="begin", settings=[[1, 1], [2, 4]], position=[4, 0])
    assert begun == {"id": 1, "answer": [[4, 0], [4, 0]]}
    noise = np.zeros((3, 4, 2), np.float32)
    moved = ask(memoryview(noise), id=2, ask="advance", shape=[3, 4, 2])
    assert moved["id"] == 2
    assert [len(episode["path"]) for episode in moved["answer"]] == [3, 3]
    assert json.loads(json.dumps(moved)) == moved
    wrong = ask(memoryview(noise), id=3, ask="advance", shape=[4, 4, 2])
    assert wrong["id"] == 3 and "ValueError" in wrong["error"]


@pytest.mark.thorough
def test_the_page_plays_from_a_disk(archive, monkeypatch, tmp_path, browser, measured):
    monkeypatch.setattr(packages, "archive", lambda package: archive)
    playground = Playground(*shipped.agent("narrow")[:2], ENVIRONMENT, place=(20, 16))
    page = browser.new_context(offline=True).new_page()
    page.goto(playground.to_folder(tmp_path).as_uri())
    page.get_by_role("button", name="Play from the point").click()
    words = page.locator(".episodes p")
    words.last.get_by_text("arrived after").wait_for()
    assert page.locator(".episodes figcaption").all_inner_texts() == [
        "m = 1, N = 1",
        "m = 8, N = 1",
        "m = 8, N = 32",
        "Yours: m = 8, N = 32",
    ]
    assert words.nth(2).inner_text() == words.nth(3).inner_text()  # the same setting and noise
    rate = page.locator("main > div").evaluate(PLAY_RATE)
    measured("playground, Play at four settings", rate, "environment steps/s")
    (tmp_path / "mujoco.js").unlink()
    page.reload()
    page.get_by_role("button", name="Play from the point").click()
    page.get_by_role("alert").get_by_text("mujoco.js is missing beside this page").wait_for()
    page.context.close()
