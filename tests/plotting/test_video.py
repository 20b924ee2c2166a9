"""Videos show the episodes that `evaluate` counts, and the files can be played."""

import os
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sorl_edu import cli, evaluation
from sorl_edu.agents import SORL, FlowBC
from sorl_edu.agents.agent import Network, propose
from sorl_edu.cli import doctor
from sorl_edu.course import shipped
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.make import numpy_seeded, parse_name
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import ConfigError
from sorl_edu.plotting import video
from sorl_edu.plotting.video import FPS, HOLD, FilmedEpisode
from sorl_edu.training.checkpoints import AgentInfo, save_agent

av = pytest.importorskip("av", reason="PyAV writes the MP4: pip install av")

MAZE = "pointmaze-medium-navigate-singletask-v0"
CUBE = "cube-single-play-singletask-v0"
AGENT = shipped_data() / "course" / "sorl.safetensors"
SIZE, EVERY = 160, 20
MARGIN, LINE = 2 * (SIZE // 32), 2 * (SIZE // 18)
FRAME = (2 * SIZE + 3 * MARGIN, SIZE + 4 * LINE + MARGIN)


def run(*words):
    return cli.main([str(word) for word in words])


def files_in(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def frames_of(file):
    with av.open(str(file)) as container:
        assert container.streams.video[0].average_rate == FPS
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def start_of(environment, seed):
    """The first observation of the first episode, from an environment of its own."""
    env = gymnasium.make(parse_name(environment)[1])
    (episode_seed,) = np.random.SeedSequence(seed).generate_state(1).tolist()
    with numpy_seeded(episode_seed):
        return env.reset(seed=episode_seed)[0]


def halves(picture):
    """The images of the left and of the right setting in a frame."""
    rows = slice(LINE, LINE + SIZE)
    left = np.asarray(picture)[rows, MARGIN : MARGIN + SIZE]
    return left, np.asarray(picture)[rows, SIZE + 2 * MARGIN : 2 * SIZE + 2 * MARGIN]


# ------------------------------------------------------------------------------------- a maze


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    """The course's agent with 8 steps and N = 1 or 32: the folder, and both settings' episodes."""
    folder = tmp_path_factory.mktemp("maze") / "made" / "here"
    agent, state, info = shipped.agent("sorl")
    options = dict(steps=(8, 8), candidates=(1, 32), size=SIZE, every=EVERY, progress=False)
    return folder, video.film(agent, state, info.environment, folder, **options)


def test_a_video_shows_the_episodes_that_evaluate_counts(maze):
    agent, state, info = shipped.agent("sorl")
    for (episode,), n in zip(maze[1], (1, 32), strict=True):
        episodes, _ = evaluation.evaluate(
            agent, state, info.environment, steps=8, candidates=n, episodes=1
        )
        assert episode.success == (episodes.success[0] > 0)
        assert episode.times[-1] == episodes.length[0]
        assert episode.times[:-1] == list(range(0, episode.times[-1], EVERY))
        assert len(episode.images) == len(episode.times) == len(episode.q)


def test_q_is_that_of_the_chosen_candidate(maze):
    """The first candidate is the same for every N, so one proposal has the Q of both settings."""
    agent, state, _ = shipped.agent("sorl")
    start = jnp.asarray(start_of(MAZE, seed=0)[None], jnp.float32)
    key = jax.random.fold_in(jax.random.key(0), 0)
    q = np.asarray(propose(agent, state, start, key, steps=8, candidates=32).q)[:, 0]
    (one,), (best,) = maze[1]
    assert (one.q[0], best.q[0]) == pytest.approx((q[0], q.max()), rel=1e-4)
    for episode in (one, best):
        assert np.isfinite(episode.q[:-1]).all() and np.isnan(episode.q[-1])


def test_both_settings_start_where_the_environment_does(maze):
    view = video.MazeView(maze_geometry(MAZE), SIZE, video.BLUE)
    empty = np.asarray(view.background.reduce(video.SUPERSAMPLE))
    x, y = view.to_pixels.transform(start_of(MAZE, seed=0)) / video.SUPERSAMPLE
    for (episode,) in maze[1]:
        drawn = np.argwhere((episode.images[0] != empty).any(-1))
        np.testing.assert_allclose(drawn.mean(0), (SIZE - y, x), atol=1)
        last = np.argwhere((episode.images[-1] != empty).any(-1))
        assert len(last) > len(drawn), "there is a path in the last image"


def test_the_files_can_be_played(maze):
    folder, ((left,), (right,)) = maze
    assert files_in(folder) == set(video.FILES)
    count = max(len(left.images), len(right.images)) - 1 + HOLD

    frames = frames_of(folder / "video.mp4")
    assert len(frames) == count
    assert {frame.shape for frame in frames} == {(FRAME[1], FRAME[0], 3)}
    for index in (0, count // 3, count - 1):  # in compressed video colours are nearly right
        wanted = video.compose((left, right), min(index, count - HOLD)).astype(float)
        assert np.abs(frames[index] - wanted).mean() < 4

    with Image.open(folder / "video.gif") as gif:
        assert gif.size == FRAME and gif.info["loop"] == 0
        seconds = 0
        for i in range(gif.n_frames):
            gif.seek(i)
            seconds += gif.info["duration"] / 1000
    assert seconds == pytest.approx(count / FPS, abs=2 / FPS)
    assert (folder / "video.gif").stat().st_size < 2**20

    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 1500 and np.asarray(sheet.convert("L")).std() > 20


def test_a_setting_that_has_ended_keeps_its_last_image(maze):
    _, ((left,), (right,)) = maze
    assert len(right.images) < len(left.images) and right.success
    frame = video.compose((left, right), len(left.images) - 2)
    edge = max(SIZE // 64, 2)  # the frame that says how it ended
    inside = np.s_[edge:-edge, edge:-edge]
    np.testing.assert_array_equal(halves(frame)[1][inside], right.images[-1][inside])
    np.testing.assert_array_equal(halves(frame)[0], left.images[-2])
    green = halves(frame)[1][0]
    assert (green == green[0]).all() and green[0].argmax() == 1


# -------------------------------------------------------------------------------------- a robot


@pytest.fixture(scope="module")
def cube_agent(tmp_path_factory):
    """An untrained one."""
    agent = SORL(field=Network((8,)), critic=Network((8,)), denoise_steps=2, max_backprop_steps=1)
    blank = Transitions.create(np.zeros((2, 28)), np.zeros((2, 5)), np.zeros(2), np.ones(2), [0, 1])
    file = tmp_path_factory.mktemp("agent") / "agent.safetensors"
    save_agent(file, agent, jax.jit(agent.init)(jax.random.key(0), blank), AgentInfo(CUBE, 0, 0))
    return file


@pytest.mark.thorough
def test_a_robot_is_filmed_without_a_screen(cube_agent, tmp_path):
    """In a process of its own, because MuJoCo reads MUJOCO_GL once; without it, EGL draws."""
    (rendering,) = doctor.rendering()
    if rendering.status != "ok":
        pytest.skip(f"{rendering.text}: {rendering.fix}")
    words = ["video", str(cube_agent), "--out", str(tmp_path), "--steps", "1", "2"]
    words += ["--size", str(SIZE), "--every", "50"]
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")
    done = subprocess.run(
        [sys.executable, "-c", "from sorl_edu.cli import main; raise SystemExit(main())", *words],
        env={name: value for name, value in os.environ.items() if name not in screens},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "m = 1 step, N = 1: no success\nm = 2 steps, N = 1: no success\n" in done.stdout

    frames = frames_of(tmp_path / "video.mp4")
    assert len(frames) == 200 // 50 + HOLD
    assert frames[0].shape == (FRAME[1], FRAME[0], 3)
    with Image.open(tmp_path / "video.gif") as gif:
        left, right = halves(gif.convert("RGB"))
        assert left.std() > 20, "there is something to see"
        np.testing.assert_array_equal(left, right, "both settings start from the same state")
        gif.seek(gif.n_frames - 1)
        left, right = halves(gif.convert("RGB"))
        assert (left != right).any(-1).mean() > 0.01, "and end in another"


def test_an_error_says_what_to_install_on_a_machine_that_cannot_draw(
    cube_agent, tmp_path, capsys, monkeypatch
):
    import mujoco

    def no_context(*_, **__):
        raise mujoco.FatalError("an OpenGL platform library has not been loaded")

    monkeypatch.setenv("MUJOCO_GL", "glfw")
    monkeypatch.setattr(mujoco, "Renderer", no_context)
    assert run("video", cube_agent, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "apt-get install libegl1 libgl1-mesa-dri" in error and "MUJOCO_GL=egl" in error
    assert "MUJOCO_GL glfw" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------- what is written in it


def still(steps=1, candidates=1, q=-1.0, step=3, success=False):
    """An episode of two grey images."""
    images = [np.full((SIZE, SIZE, 3), 128, np.uint8)] * 2
    return FilmedEpisode(steps, candidates, images, [step, step + 1], [q, float("nan")], success)


def test_a_frame_says_setting_step_q_and_outcome():
    assert still(1, 1).setting() == "m = 1 step, N = 1"
    assert still(8, 32).setting() == "m = 8 steps, N = 32"
    assert video.caption(still(q=-12.34, step=37), 0) == ("step 37", "Q −12.3", "")  # noqa: RUF001
    assert video.caption(still(q=2.0), 0) == ("step 3", "Q 2.0", "")
    assert video.caption(still(q=float("nan")), 0) == ("step 3", "", "")  # no critic
    assert video.caption(still(), 1) == ("step 4", "", "no success")
    assert video.caption(still(success=True), 1) == ("step 4", "", "success")
    assert still(success=True).outcome() == "success at step 4"


# A change of the right setting, and the rows of the frame that show it.
WRITTEN = [
    (dict(steps=2), (0, LINE)),
    (dict(candidates=32), (0, LINE)),
    (dict(step=4), (LINE + SIZE, FRAME[1])),
    (dict(q=-1.5), (LINE + SIZE, FRAME[1])),
]


@pytest.mark.parametrize(("change", "rows"), WRITTEN, ids=[next(iter(c)) for c, _ in WRITTEN])
def test_a_change_shows_in_its_rows_of_the_frame_and_nowhere_else(change, rows):
    before, after = (video.compose((still(), right), 0) for right in (still(), still(**change)))
    assert before.shape == (FRAME[1], FRAME[0], 3)
    changed_rows, changed_columns = np.nonzero((before != after).any(-1))
    assert rows[0] <= changed_rows.min() and changed_rows.max() < rows[1]
    if "q" not in change and "step" not in change:  # which also set the curves' common scale
        assert changed_columns.min() >= SIZE + 2 * MARGIN


def test_every_episode_is_shown_to_the_end_and_held():
    short, long = still(), still()
    long.images = [*long.images, long.images[0]]
    assert video.frame_order([(short, long), (short, short)]) == [
        *[(0, 0), (0, 1), *[(0, 2)] * HOLD],
        *[(1, 0), *[(1, 1)] * HOLD],
    ]


@pytest.mark.parametrize(("shorter", "longer"), [(200, 200), (100, 1000), (2, 3), (2, 200)])
def test_the_contact_sheet_shows_both_ends_and_most_images_before_the_first(shorter, longer):
    pair = still(), still()
    pair[0].images, pair[1].images = ([None] * n for n in (longer, shorter))
    chosen = np.array(video.sheet_images(pair))
    assert chosen[0] == 0 and chosen[-1] == longer - 1 and shorter - 1 in chosen
    assert len(chosen) <= video.COLUMNS and (np.diff(chosen) > 0).all()
    if longer > shorter > 10:
        assert (chosen <= shorter - 1).sum() == 2 * video.COLUMNS // 3


def test_an_agent_without_a_critic_is_filmed_without_q(tmp_path, capsys):
    agent = FlowBC(field=Network((8,)))
    blank = Transitions.create(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2), np.ones(2), [0, 1])
    state = jax.jit(agent.init)(jax.random.key(0), blank)
    filmed = video.film_episodes(
        agent, state, MAZE, steps=1, candidates=1, episodes=2, size=SIZE, every=200, progress=False
    )
    assert [episode.times for episode in filmed] == [list(range(0, 1001, 200))] * 2
    assert np.isnan([episode.q for episode in filmed]).all()
    first, second = filmed
    assert (first.images[0] != second.images[0]).any(), "episodes start in different states"
    frame = video.compose((first, second), 1)
    assert (frame[LINE + SIZE + LINE :][:-LINE] == 255).all(), "there is no curve"
    video.contact_sheet([(first, second)], title="")

    file = tmp_path / "agent.safetensors"
    save_agent(file, agent, state, AgentInfo(MAZE, 0, 0))
    assert run("video", file, "--out", tmp_path / "out", "--candidates", 1, 8) == 2
    assert "has no critic" in capsys.readouterr().err


# -------------------------------------------------------------------------------------- refusals


@pytest.fixture
def quick(monkeypatch):
    """Makes filming instant."""
    monkeypatch.setattr(
        video, "film_episodes", lambda *_, steps, candidates, **__: [still(steps, candidates)]
    )


def test_files_that_are_there_are_replaced_whole_or_not_at_all(
    tmp_path, quick, monkeypatch, capsys
):
    for name in video.FILES:
        (tmp_path / name).write_text("old")

    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(video, "write_gif", full)
        assert run("video", AGENT, "--out", tmp_path) == 1
    assert "No space left" in capsys.readouterr().err
    assert files_in(tmp_path) == set(video.FILES)
    assert {(tmp_path / name).read_text() for name in video.FILES} == {"old"}

    assert run("video", AGENT, "--out", tmp_path, "--size", SIZE) == 0
    assert files_in(tmp_path) == set(video.FILES)
    assert len(frames_of(tmp_path / "video.mp4")) == 1 + HOLD
    assert "has video.mp4, video.gif and contact_sheet.png" in capsys.readouterr().out


REFUSED = [
    ("video missing.safetensors --out OUT", "there is no checkpoint missing.safetensors"),
    ("video AGENT", "--out"),
    ("video AGENT --out OUT --steps 1", "--steps"),
    ("video AGENT --out OUT --steps 1 2 4", "4"),
    ("video AGENT --out OUT --steps 1 3", "power of two"),
    ("video AGENT --out OUT --steps 8 8", "the two settings are the same"),
    ("video AGENT --out OUT --candidates 0 1", "at least 1"),
    ("video AGENT --out OUT --episodes 0", "--episodes must be at least 1"),
    ("video AGENT --out OUT --seed -1", "--seed must lie in"),
    ("video AGENT --out OUT --size 64", "from 128 to 1024 pixels, got 64"),
    ("video AGENT --out OUT --size 161", "size must be even"),
    ("video AGENT --out OUT --every 0", "every must be at least 1"),
    ("video AGENT --out OUT --episodes 10", "GiB of memory"),
    ("video AGENT --out AGENT/out", "is a file"),
]


def test_more_robots_than_run_at_once_raise_an_error(cube_agent, tmp_path, capsys):
    assert run("video", cube_agent, "--out", tmp_path, "--episodes", 17) == 2
    assert "at most 16 episodes" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[line for line, _ in REFUSED])
def test_bad_input_is_refused_before_any_work(line, message, tmp_path, capsys, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work has begun")

    monkeypatch.setattr(video, "film_episodes", work)
    monkeypatch.chdir(tmp_path)
    code = run(*line.replace("OUT", str(tmp_path / "out")).replace("AGENT", str(AGENT)).split())
    captured = capsys.readouterr()
    error = " ".join(captured.err.replace("│", " ").split())
    assert code in (1, 2)
    assert message in error and "Traceback" not in error
    assert captured.out == "" and files_in(tmp_path) == set()


@pytest.mark.parametrize("library", ["av", "imageio"])
def test_an_error_names_the_command_that_installs_a_missing_library(
    library, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, library, None)
    assert run("video", AGENT, "--out", tmp_path / "out") == 1
    assert "pip install imageio av" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_library_refuses_other_than_two_settings():
    agent, state, info = shipped.agent("sorl")
    with pytest.raises(ConfigError, match="two settings"):
        video.film(agent, state, info.environment, "nowhere", steps=(1, 2, 4))


def test_the_library_refuses_several_candidates_of_an_agent_without_a_critic():
    agent, state, info = shipped.agent("cloning")
    with pytest.raises(ConfigError, match="no critic to choose among 8"):
        video.film(agent, state, info.environment, "nowhere", candidates=(1, 8))
