"""Two roll-outs of one agent side by side: what another number of steps m or candidates N changes.

    film(agent, state, environment, "folder", steps=(1, 8), candidates=(1, 1))

writes `video.mp4`, `video.gif` and, for where nothing moves, `contact_sheet.png`. Both settings
start from the same state and draw the same noise; the episodes are those that `evaluate` counts for
the same seed and number of episodes. Its parts are `record` (a setting's episodes as pictures, with
the critic's Q), `compose` (a moment of both settings as one frame), `write_mp4`, `write_gif` and
`contact_sheet`.

Mazes are drawn here, from above and with the path, since a body is small in them. All else is drawn
by MuJoCo, which needs OpenGL: on a machine without a screen EGL, in software a few pictures a
second.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import matplotlib
import numpy as np
from jaxtyping import Array, PRNGKeyArray, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from sorl_edu import plotting
from sorl_edu.agents.agent import Agent, State
from sorl_edu.environments.make import parse_name
from sorl_edu.environments.mazes import MazeGeometry
from sorl_edu.environments.rollout import at_once, make_environments, rollout
from sorl_edu.errors import check
from sorl_edu.evaluation import check_environment
from sorl_edu.files import appearing
from sorl_edu.inference import Proposal, check_budget
from sorl_edu.plotting import BLUE, GREEN, ORANGE, RED
from sorl_edu.progress import progress_bar

FILES = ("video.mp4", "video.gif", "contact_sheet.png")
FPS = 20  # a robot's control step is 0.05 s: its episodes play in real time
HOLD = 20  # frames for which an episode's end stays
GIF_EVERY = 2  # frames of the MP4 for each of the GIF
GIF_FRAMES = 150  # of a longer video the GIF shows fewer, faster
GIF_COLORS = 64
GIF_WIDTH = 720  # pixels, at most
COLUMNS = 6  # moments on the contact sheet
SIZES = (128, 1024)  # pixels
MAX_BYTES = 2 * 2**30
SUPERSAMPLE = 3
SHADOW_MAP = 1024  # pixels; OGBench's 4096 look the same at these sizes and take longer
MINUS = "\N{MINUS SIGN}"
GREY, DARK = "#d9d9d9", "#404040"

Picture = UInt8[np.ndarray, "height width 3"]


class RenderError(OSError):
    """MuJoCo can't draw on this machine; the message says what to install."""


@dataclass
class Recording:
    """One episode of one setting, as pictures.

    Attributes:
        steps, candidates: the setting, m and N.
        images: (size, size, 3) each; the last shows the state in which the episode ended.
        times: the environment steps that were taken before each image.
        q: the critic's Q of the action that is chosen at each image; NaN at the last, where none
            is, and for an agent without a critic.
        success: whether the episode reached its goal.
    """

    steps: int
    candidates: int
    images: list[Picture] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    q: list[float] = field(default_factory=list)
    success: bool = False

    def setting(self) -> str:
        return f"m = {self.steps} step{'s' * (self.steps > 1)}, N = {self.candidates}"

    def outcome(self) -> str:
        return f"success at step {self.times[-1]}" if self.success else "no success"


def film(
    agent: Agent,
    state: State,
    environment: str,
    folder: str | Path,
    *,
    steps: Sequence[int] = (1, 8),
    candidates: Sequence[int] = (1, 1),
    episodes: int = 1,
    seed: int = 0,
    size: int = 320,
    every: int = 1,
    progress: bool = True,
) -> tuple[list[Recording], list[Recording]]:
    """Records two settings and writes `FILES` to a folder: all three, or none.

    Args:
        agent, state: any agent; one without a critic shows no Q.
        environment: an official OGBench single-task name.
        steps, candidates: m and N, two values each: of the left and of the right setting.
        episodes: how many, shown one after the other.
        seed: of the starts and of the actions; episode e starts as in `evaluation.rollout`.
        size: pixels along each edge of a picture, even.
        every: environment steps between frames; the video has 20 frames a second.

    Returns:
        the episodes of the left setting, and of the right one.

    Raises:
        ConfigError: a value is out of range, or the settings are the same.
        DataError: the environment's observations or actions aren't what the agent was trained on.
        RenderError: MuJoCo is needed and can't draw here.
        ModuleNotFoundError: PyAV, which writes the MP4, is not installed.
    """
    check(
        len(steps) == len(candidates) == 2,
        "two settings are compared: give two values of steps (m) and two of candidates (N)",
    )
    settings = list(zip(steps, candidates, strict=True))
    check(settings[0] != settings[1], "the two settings are the same: change a step count or an N")
    for m, n in settings:
        check_budget(m, n, episodes)
    check_film(environment, episodes=episodes, size=size, every=every)
    check_environment(state, environment, episodes)

    left, right = (
        record(
            agent,
            state,
            environment,
            steps=m,
            candidates=n,
            episodes=episodes,
            seed=seed,
            size=size,
            every=every,
            color=color,
            progress=progress,
        )
        for (m, n), color in zip(settings, (BLUE, ORANGE), strict=True)
    )
    pairs = list(zip(left, right, strict=True))
    shown = moments(pairs)
    stride = max(GIF_EVERY, math.ceil(len(shown) / GIF_FRAMES))
    sheet = contact_sheet(pairs, title=f"{environment}, starts of seed {seed}")
    with contextlib.ExitStack() as files:
        mp4, gif, png = (files.enter_context(appearing(Path(folder) / name)) for name in FILES)
        write_mp4(mp4, (compose(pairs[e], i) for e, i in shown))
        write_gif(gif, (compose(pairs[e], i) for e, i in shown[::stride]))
        sheet.savefig(png, format="png", dpi=150)
    return left, right


def check_film(environment: str, *, episodes: int, size: int, every: int) -> None:
    """Raises what `film` does if such a video can't be made on this machine."""
    check(episodes >= 1, f"episodes must be at least 1, got {episodes}")
    most = at_once(environment, episodes)
    check(episodes == most, f"at most {most} episodes of a robot are filmed, got {episodes}")
    check(every >= 1, f"every must be at least 1, got {every}")
    smallest, largest = SIZES
    check(
        smallest <= size <= largest and size % 2 == 0,
        f"size must be even, from {smallest} to {largest} pixels, got {size}",
    )
    _, env_id = parse_name(environment)
    _av()
    if not is_drawn_from_above(environment):
        check_renderer()

    import gymnasium
    import ogbench  # noqa: F401  (registers the environments)

    limit = gymnasium.spec(env_id).max_episode_steps
    images = 2 * episodes * (limit // every + 2)
    check(
        images * size**2 * 3 <= MAX_BYTES,
        f"up to {images:,} pictures of {size} x {size} need {images * size**2 * 3 / 2**30:.1f} GiB "
        f"of memory, more than {MAX_BYTES / 2**30:.0f}: show fewer episodes, a smaller size, or "
        "not every environment step",
    )


def check_renderer() -> None:
    """Raises RenderError unless MuJoCo draws; chooses EGL where there is no screen.

    MuJoCo reads MUJOCO_GL when it is imported: in a process that has imported it, the choice comes
    too late.
    """
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen and not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = "egl"
    try:
        import mujoco

        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8) as renderer:
            renderer.render()
    # By what is missing: ImportError, AttributeError, RuntimeError, or mujoco.FatalError, which is
    # only an Exception and has no name if the import is what fails.
    except Exception as error:
        chosen = os.environ.get("MUJOCO_GL") or "unset"
        reason = str(error).strip().splitlines() or [""]
        raise RenderError(
            f"MuJoCo can't draw here with MUJOCO_GL {chosen} ({type(error).__name__}: "
            f"{reason[0]}). Without a screen: apt-get install libegl1 libgl1-mesa-dri, and set "
            "MUJOCO_GL=egl before Python starts. `sorl-edu doctor` tries it"
        ) from error


def _av():
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "writing MP4 files needs PyAV: python -m pip install av", name=error.name
        ) from None
    return av


# ------------------------------------------------------------------------------------ recording


@functools.partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def _propose(
    agent: Agent, state: State, obs: Array, key: PRNGKeyArray, *, steps: int, candidates: int
) -> Proposal:
    """`agent.propose`, compiled once per agent and setting."""
    return agent.propose(state, obs, key, steps=steps, candidates=candidates)


def record(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int,
    candidates: int,
    episodes: int = 1,
    seed: int = 0,
    size: int = 320,
    every: int = 1,
    color: str = BLUE,
    progress: bool = True,
) -> list[Recording]:
    """The episodes of one setting, filmed from inside the policy, which is called at every step.

    Args:
        color: of the path in a maze.
        others: see `film`, which checks them.
    """
    environments = make_environments(environment, episodes)
    recordings = [Recording(steps, candidates) for _ in environments]
    clocks = np.full(episodes, -np.inf)  # an episode that has ended no longer moves its clock
    ticks = itertools.count()
    frames = episodes * (environments[0].spec.max_episode_steps // every + 1)
    bar = progress_bar(total=frames, unit="frame", desc=recordings[0].setting(), show=progress)
    with contextlib.ExitStack() as open_views, bar:
        views = [view(environment, env, size, color) for env in environments]
        for each in views:
            open_views.callback(each.close)

        def shoot(e: int, t: int, obs: np.ndarray, q: float) -> None:
            recordings[e].images.append(views[e].draw(obs))
            recordings[e].times.append(t)
            recordings[e].q.append(q)
            bar.update()

        def policy(obs, key):
            proposal = _propose(agent, state, obs, key, steps=steps, candidates=candidates)
            q, t = np.asarray(proposal.q.max(0)), next(ticks)
            now = np.array([env.unwrapped.data.time for env in environments])
            if t % every == 0:
                for e in np.flatnonzero(now > clocks).tolist():
                    shoot(e, t, obs[e], float(q[e]))
            clocks[:] = now
            return proposal.action

        table, track = rollout(policy, environment, episodes=episodes, seed=seed, record=True)
        for e, row in enumerate(table.itertuples()):
            last = track[e][np.isfinite(track[e]).all(1)][-1]
            shoot(e, int(row.length), last, math.nan)
            recordings[e].success = row.success > 0
    return recordings


def is_drawn_from_above(environment: str) -> bool:
    """Whether `MazeView` draws it, so that MuJoCo needn't: a maze in which one body moves."""
    return environment.startswith(("pointmaze-", "antmaze-", "humanoidmaze-"))


class MuJoCoView:
    """What a camera of OGBench sees: in front of a robot, or above a field."""

    def __init__(self, env, size: int):
        self.env, self.size = env.unwrapped, size
        self.renderer = None  # a reset may compile the model anew, so it is made when first needed

    def draw(self, obs: np.ndarray) -> Picture:
        import mujoco

        if self.renderer is None:
            visual = self.env.model.vis
            visual.global_.offwidth = visual.global_.offheight = self.size
            visual.quality.shadowsize = SHADOW_MAP
            self.renderer = mujoco.Renderer(self.env.model, self.size, self.size)
        self.renderer.update_scene(
            self.env.data, camera=getattr(self.env, "custom_camera", "front")
        )
        return self.renderer.render()

    def close(self) -> None:
        if self.renderer is not None:
            self.renderer.close()


class MazeView:
    """A maze from above, in the style of the course's figures, with the path to the present state.

    It is drawn larger and then reduced, which smooths the path.
    """

    def __init__(self, maze: MazeGeometry, size: int, color: str):
        self.size, self.color = size, color
        self.scale = size * SUPERSAMPLE
        figure = Figure(figsize=(size / 100, size / 100), dpi=100 * SUPERSAMPLE)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        plotting.draw_maze(axes, maze, labels=False)
        canvas.draw()
        self.to_pixels = axes.transData.frozen()
        self.background = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        self.path: list[tuple[float, float]] = []

    def draw(self, obs: np.ndarray) -> Picture:
        x, y = self.to_pixels.transform(obs[:2])
        self.path.append((float(x), float(self.scale - y)))
        picture = self.background.copy()
        pen = ImageDraw.Draw(picture)
        width = max(self.scale // 120, 1)
        pen.line(self.path, fill=self.color, width=width, joint="curve")
        pen.circle(self.path[0], 2 * width, fill="white", outline="black", width=width // 2)
        pen.circle(self.path[-1], 3 * width, fill=self.color, outline="white", width=width // 2)
        return np.asarray(picture.reduce(SUPERSAMPLE))

    def close(self) -> None:
        pass


def view(environment: str, env, size: int, color: str) -> MazeView | MuJoCoView:
    """What draws `env`, one of `environment`, in pictures of size x size pixels."""
    if is_drawn_from_above(environment):
        return MazeView(plotting.maze_geometry(environment), size, color)
    return MuJoCoView(env, size)


# -------------------------------------------------------------------------------------- frames

Pair = tuple[Recording, Recording]


def moments(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """(episode, image) of every frame: each episode until both settings have ended, and a while."""
    frames = []
    for e, pair in enumerate(pairs):
        last = longest(pair) - 1
        frames += [(e, i) for i in range(last)] + [(e, last)] * HOLD
    return frames


def longest(pair: Pair) -> int:
    """The images of the setting that took longer."""
    return max(len(recording.images) for recording in pair)


def caption(recording: Recording, index: int) -> tuple[str, str, str]:
    """What is written below an image: the environment step, Q, and how the episode ended."""
    step, q = f"step {recording.times[index]}", recording.q[index]
    value = f"Q {round(q, 1) + 0:.1f}".replace("-", MINUS) if math.isfinite(q) else ""
    if index < len(recording.images) - 1:
        return step, value, ""
    return step, value, "success" if recording.success else "no success"


def result_color(recording: Recording) -> str:
    return GREEN if recording.success else RED


def compose(pair: Pair, index: int) -> Picture:
    """One frame: both settings at the same moment; one that has ended keeps its last image.

    Above each image stands its setting, below it the step, Q and the outcome, and then the curve of
    Q until now, both on one scale.
    """
    size = len(pair[0].images[0])
    margin = 2 * (size // 32)
    left, right = (
        panel(recording, min(index, len(recording.images) - 1), pair, color)
        for recording, color in zip(pair, (BLUE, ORANGE), strict=True)
    )
    frame = Image.new("RGB", (2 * size + 3 * margin, left.height + margin), "white")
    frame.paste(left, (margin, 0))
    frame.paste(right, (size + 2 * margin, 0))
    return np.asarray(frame)


def panel(recording: Recording, index: int, pair: Pair, color: str) -> Image.Image:
    """A setting's half of a frame, of `size` pixels width; `pair` gives the curve its scale."""
    size = len(recording.images[0])
    line = 2 * (size // 18)
    picture = Image.new("RGB", (size, size + 4 * line), "white")
    pen = ImageDraw.Draw(picture)
    font, bold = _font("DejaVuSans", line * 4 // 9), _font("DejaVuSans-Bold", line * 4 // 9)
    pen.text((0, line // 2), recording.setting(), color, bold, anchor="lm")
    picture.paste(Image.fromarray(recording.images[index]), (0, line))
    step, q, outcome = caption(recording, index)
    result = result_color(recording)
    if outcome:
        edges = (0, line, size - 1, line + size - 1)
        pen.rectangle(edges, outline=result, width=max(size // 64, 2))
    middle = size + line + line // 2
    pen.text((0, middle), step, DARK, font, anchor="lm")
    pen.text((size // 2, middle), q, color, bold, anchor="mm")
    pen.text((size, middle), outcome, result, bold, anchor="rm")
    picture.paste(_curve(recording, index, pair, color, (size, 2 * line - 4)), (0, size + 2 * line))
    return picture


def _curve(
    recording: Recording, index: int, pair: Pair, color: str, size: tuple[int, int]
) -> Image.Image:
    """Q until now, against the step, as a line; empty where there is no Q."""
    width, height = (SUPERSAMPLE * edge for edge in size)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    thick = SUPERSAMPLE * max(size[0] // 160, 1)
    values = np.concatenate([each.q for each in pair])
    values = values[np.isfinite(values)]
    if len(values) > 0:
        low, high = values.min(), values.max()
        last = max(each.times[-1] for each in pair)
        room = height - 6 * thick
        points = [
            (
                2 * thick + (width - 5 * thick) * t / last,
                3 * thick + room * float((high - q) / max(high - low, 1e-6)),
            )
            for t, q in zip(recording.times[: index + 1], recording.q, strict=False)
            if math.isfinite(q)
        ]
        pen.line([(0, height - thick), (width, height - thick)], fill=GREY, width=SUPERSAMPLE)
        pen.line(points, fill=color, width=thick, joint="curve")
        pen.circle(points[-1], 2 * thick, fill=color)
    return picture.reduce(SUPERSAMPLE)


@functools.lru_cache
def _font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib."""
    return ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), pixels
    )


# --------------------------------------------------------------------------------------- files


def write_mp4(path: str | Path, frames: Iterable[Picture], *, fps: int = FPS) -> None:
    """Writes frames, all of one even width and height, as H.264, which browsers play."""
    av = _av()
    frames = iter(frames)
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in itertools.chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_gif(path: str | Path, frames: Iterable[Picture], *, fps: float = FPS / GIF_EVERY) -> None:
    """Writes frames as a GIF that plays over and over; one palette for all keeps it small."""
    pictures = []
    for frame in frames:
        pictures.append(Image.fromarray(frame))
        pictures[-1].thumbnail((GIF_WIDTH, GIF_WIDTH))
    sample = np.vstack([np.asarray(picture) for picture in pictures[:: len(pictures) // 8 + 1]])
    palette = Image.fromarray(sample).quantize(GIF_COLORS, Image.Quantize.FASTOCTREE)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    options = dict(duration=round(1000 / fps), loop=0)
    flat[0].save(path, format="GIF", save_all=True, append_images=flat[1:], **options)


@plotting.styled
def contact_sheet(pairs: Sequence[Pair], *, title: str) -> Figure:
    """Moments of every episode: a row for each setting, and below them Q against the step."""
    figure = Figure(figsize=(plotting.WIDTH * 1.2, 0.4 + 6.2 * len(pairs)), layout="constrained")
    parts = figure.subfigures(len(pairs), 1, squeeze=False)[:, 0]
    for part, pair in zip(parts, pairs, strict=True):
        _draw_moments(part, pair)
    figure.suptitle(title)
    return figure


def sheet_moments(pair: Pair) -> list[int]:
    """The images on a contact sheet, first and last among them.

    Where one setting took longer, two thirds of them are from before the other one ended.
    """
    shorter, longer = sorted(len(recording.images) - 1 for recording in pair)
    if shorter == longer:
        moments = np.linspace(0, longer, COLUMNS)
    else:
        both = 2 * COLUMNS // 3
        after = np.linspace(shorter, longer, COLUMNS - both + 1)
        moments = np.concatenate([np.linspace(0, shorter, both), after])
    return np.unique(moments.round().astype(int)).tolist()


def _draw_moments(part, pair: Pair) -> None:
    chosen = sheet_moments(pair)
    times = max((recording.times for recording in pair), key=len)
    grid = part.add_gridspec(3, len(chosen), height_ratios=(1, 1, 0.7))
    for row, (recording, color) in enumerate(zip(pair, (BLUE, ORANGE), strict=True)):
        last = len(recording.images) - 1
        for column, index in enumerate(chosen):
            axes = part.add_subplot(grid[row, column])
            axes.imshow(recording.images[min(index, last)], alpha=0.4 if index > last else 1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=color, linewidth=2)
            if row == 0:
                axes.set_title(f"step {times[index]}")
            if column == 0:
                axes.set_ylabel(recording.setting(), color=color, weight="bold")
            if index < last:
                axes.set_xlabel(caption(recording, index)[1], color=DARK)
            else:
                axes.set_xlabel(recording.outcome(), color=result_color(recording))
    axes = part.add_subplot(grid[2, :])
    for recording, color, dashes in zip(pair, (BLUE, ORANGE), ("-", "--"), strict=True):
        axes.plot(recording.times, recording.q, dashes, color=color, label=recording.setting())
    axes.set(xlabel="environment step", ylabel="Q of the chosen action")
    axes.margins(x=0.01)
    axes.grid(True, axis="y")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
