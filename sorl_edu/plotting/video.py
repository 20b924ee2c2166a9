"""Two roll-outs of one agent side by side, with other numbers of steps m or candidates N.

    film(agent, state, environment, "folder", steps=(1, 8), candidates=(1, 1))

writes `video.mp4`, `video.gif` and, for print, `contact_sheet.png`. Both settings start from the
same state and draw the same noise; the episodes are those that `evaluate` counts for the same seed
and number of episodes. The parts are `film_episodes` (a setting's episodes as pictures, with the
critic's Q), `compose` (a moment of both settings as one frame), `write_mp4`, `write_gif` and
`contact_sheet`.

Mazes are drawn here, from above and with the path, because a body is small in them. MuJoCo draws
all other environments. It needs OpenGL: on a machine without a screen EGL, which draws a few
pictures a second in software.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from PIL import Image, ImageDraw, ImageFont

from sorl_edu.agents.agent import Agent, State, check_dials, propose, steps_per_decision
from sorl_edu.environments.make import kind_of, parse_name
from sorl_edu.environments.mazes import MazeGeometry, maze_geometry
from sorl_edu.environments.rollout import (
    Moment,
    make_environments,
    parallel_environments,
    rollout,
)
from sorl_edu.errors import check
from sorl_edu.evaluation import check_environment
from sorl_edu.files import atomic_write
from sorl_edu.inference import Proposal, check_budget
from sorl_edu.plotting.mazes import draw_maze
from sorl_edu.plotting.style import BLUE, GREEN, ORANGE, PHOTOGRAPH, RED, WIDTH, plural, styled
from sorl_edu.progress import progress_bar

FILES = ("video.mp4", "video.gif", "contact_sheet.png")
FPS = 20  # a robot's control step is 0.05 s: its episodes play in real time
HOLD = 20  # frames for which the end of an episode stays
GIF_EVERY = 2  # frames of the MP4 per frame of the GIF
GIF_FRAMES = 150  # the GIF of a longer video skips more frames, and plays faster
GIF_COLORS = 64
GIF_WIDTH = 720  # pixels, at most
COLUMNS = 6  # images per row of the contact sheet
SIZES = (128, 1024)  # pixels
MAX_BYTES = 2 * 2**30
SUPERSAMPLE = 3
SHADOW_MAP = 1024  # pixels; OGBench's 4096 look the same at these sizes and are slower
MINUS = "\N{MINUS SIGN}"
GREY, DARK = "#d9d9d9", "#404040"

Picture = UInt8[np.ndarray, "height width 3"]


class RenderError(OSError):
    """MuJoCo can't draw on this machine; the message says how to mend that."""


@dataclass
class FilmedEpisode:
    """One episode of one setting, as pictures.

    Attributes:
        steps, candidates: the setting, m and N.
        images: (size, size, 3) each; the last shows the final state of the episode.
        times: the number of environment steps before each image.
        q: the critic's Q of the action chosen at each image; NaN at the last image, where none is
            chosen, and for an agent without a critic.
        success: whether the episode reached its goal.
    """

    steps: int
    candidates: int
    images: list[Picture] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    q: list[float] = field(default_factory=list)
    success: bool = False

    def setting(self) -> str:
        return f"m = {plural(self.steps, 'step')}, N = {self.candidates}"

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
) -> tuple[list[FilmedEpisode], list[FilmedEpisode]]:
    """Films two settings and writes `FILES` to a folder: all three, or none.

    Args:
        agent, state: any agent; one without a critic shows no Q.
        environment: an official OGBench single-task name.
        steps, candidates: m and N, two values each: for the left and for the right setting.
        episodes: number of episodes, shown one after the other.
        seed: seed of start states and action noise; episode e starts as in `rollout`.
        size: pixels along each edge of a picture, even.
        every: environment steps between frames; the video has 20 frames a second.
        progress: whether to show progress bars.

    Returns:
        the episodes of the left setting, and of the right one.

    Raises:
        ConfigError: a value is out of range, the settings are the same, or the agent can't choose
            among several candidates.
        DataError: the environment's observations or actions aren't what the agent was trained on.
        RenderError: MuJoCo is needed and can't draw here.
        ModuleNotFoundError: imageio or PyAV, which write the MP4, is not installed.
    """
    check(
        len(steps) == len(candidates) == 2,
        "a film compares two settings: give two values of steps (m) and two of candidates (N)",
    )
    settings = list(zip(steps, candidates, strict=True))
    check(settings[0] != settings[1], "the two settings are the same: change a step count or an N")
    obs = jnp.zeros((1, state.obs_dim))
    for m, n in settings:
        check_budget(m, n, episodes)
        check_dials(agent, state, obs, steps=m, candidates=n)
    check_film(environment, episodes=episodes, size=size, every=every)
    check_environment(state, environment, episodes, horizon=steps_per_decision(agent))

    left, right = (
        film_episodes(
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
    shown = frame_order(pairs)
    stride = max(GIF_EVERY, math.ceil(len(shown) / GIF_FRAMES))
    sheet = contact_sheet(pairs, title=f"{environment}, starts of seed {seed}")
    with contextlib.ExitStack() as files:
        mp4, gif, png = (files.enter_context(atomic_write(Path(folder) / name)) for name in FILES)
        write_mp4(mp4, (compose(pairs[e], i) for e, i in shown))
        write_gif(gif, (compose(pairs[e], i) for e, i in shown[::stride]))
        sheet.savefig(png, format="png", dpi=150)
    return left, right


def check_film(environment: str, *, episodes: int, size: int, every: int) -> None:
    """Raises the errors of `film` for a video that can't be made on this machine."""
    check(episodes >= 1, f"episodes must be at least 1, got {episodes}")
    most = parallel_environments(environment, episodes)
    check(
        episodes == most,
        f"at most {most} episodes of a {kind_of(environment).family} can be filmed at once, got "
        f"{episodes}",
    )
    check(every >= 1, f"every must be at least 1, got {every}")
    smallest, largest = SIZES
    check(
        smallest <= size <= largest and size % 2 == 0,
        f"size must be even, from {smallest} to {largest} pixels, got {size}",
    )
    _, env_id = parse_name(environment)
    check_writer()
    if not is_drawn_from_above(environment):
        check_renderer()

    import gymnasium
    import ogbench  # noqa: F401  (registers the environments)

    limit = gymnasium.spec(env_id).max_episode_steps
    images = 2 * episodes * (limit // every + 2)
    check(
        images * size**2 * 3 <= MAX_BYTES,
        f"up to {images:,} pictures of {size} x {size} need {images * size**2 * 3 / 2**30:.1f} GiB "
        f"of memory, more than {MAX_BYTES / 2**30:.0f}: film fewer episodes, with a smaller size, "
        "or not every environment step",
    )


def check_renderer() -> None:
    """Raises RenderError unless MuJoCo draws; chooses EGL on a machine without a screen.

    MuJoCo reads MUJOCO_GL once, at its import: in a process that has imported it, the choice has no
    effect.
    """
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen and not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = "egl"
    try:
        import mujoco

        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8) as renderer:
            renderer.render()
    # ImportError, AttributeError, RuntimeError or mujoco.FatalError, which derives from Exception
    # and can't be named here, where the import itself may fail.
    except Exception as error:
        chosen = os.environ.get("MUJOCO_GL") or "unset"
        reason = str(error).strip().splitlines() or [""]
        raise RenderError(
            f"MuJoCo can't draw here with MUJOCO_GL {chosen} ({type(error).__name__}: "
            f"{reason[0]}). Without a screen: apt-get install libegl1 libgl1-mesa-dri, and set "
            "MUJOCO_GL=egl before Python starts. `sorl-edu doctor` tries it"
        ) from error


def check_writer() -> None:
    """Raises ModuleNotFoundError unless the libraries that write MP4 files are installed."""
    try:
        import av  # noqa: F401
        import imageio  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "writing MP4 files needs imageio and PyAV: python -m pip install imageio av",
            name=error.name,
        ) from None


# -------------------------------------------------------------------------------------- filming


def film_episodes(
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
) -> list[FilmedEpisode]:
    """The episodes of one setting as pictures.

    Args:
        color: color of the path in a maze.
        others: see `film`, which checks them.
    """
    environments = make_environments(environment, episodes)
    filmed = [FilmedEpisode(steps, candidates) for _ in environments]
    running = np.ones(episodes, bool)
    frames = episodes * (environments[0].spec.max_episode_steps // every + 1)
    bar = progress_bar(total=frames, unit="frame", desc=filmed[0].setting(), show=progress)
    with contextlib.ExitStack() as open_views, bar:
        views = [view(environment, env, size, color) for env in environments]
        for each in views:
            open_views.callback(each.close)

        def shoot(e: int, moment: Moment, q: float) -> None:
            filmed[e].images.append(views[e].draw(moment.observations[e]))
            filmed[e].times.append(moment.time)
            filmed[e].q.append(q)
            bar.update()

        def on_step(moment: Moment) -> None:
            for e in np.flatnonzero(running & ~moment.running).tolist():
                shoot(e, moment, math.nan)
            running[:] = moment.running
            if moment.time % every == 0 and running.any():
                q = _chosen_values(moment.decision)
                for e in np.flatnonzero(running).tolist():
                    shoot(e, moment, float(q[e]))

        policy = partial(propose, agent, state, steps=steps, candidates=candidates)
        table, _ = rollout(
            policy,
            environment,
            episodes=episodes,
            seed=seed,
            on_step=on_step,
            horizon=steps_per_decision(agent),
        )
    for episode, success in zip(filmed, table.success, strict=True):
        episode.success = success > 0
    return filmed


def _chosen_values(proposal: Proposal) -> np.ndarray:
    """Q of the chosen candidate of each observation; NaN without a critic."""
    if proposal.q is None:
        return np.full(len(proposal.chosen), np.nan)
    chosen = np.asarray(proposal.chosen)
    return np.asarray(proposal.q)[chosen, np.arange(len(chosen))]


def is_drawn_from_above(environment: str) -> bool:
    """Whether `MazeView` draws an environment, and not MuJoCo: a maze in which one body moves."""
    kind = kind_of(environment)
    return kind.is_maze and kind.family != "antsoccer"


class MuJoCoView:
    """The view of OGBench's camera: in front of a robot, or above a field."""

    def __init__(self, env, size: int):
        self.env, self.size = env.unwrapped, size
        self.renderer = None  # created by the first `draw`: a reset may compile another model

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
    """A maze from above, in the style of the course's figures, with the path until now.

    Pictures are drawn larger and then reduced, which smooths the path.
    """

    def __init__(self, maze: MazeGeometry, size: int, color: str):
        self.size, self.color = size, color
        self.scale = size * SUPERSAMPLE
        figure = Figure(figsize=(size / 100, size / 100), dpi=100 * SUPERSAMPLE)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        draw_maze(axes, maze, labels=False)
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
    """The view that draws `env`, in pictures of size x size pixels."""
    if is_drawn_from_above(environment):
        return MazeView(maze_geometry(environment), size, color)
    return MuJoCoView(env, size)


# -------------------------------------------------------------------------------------- frames

Pair = tuple[FilmedEpisode, FilmedEpisode]


def frame_order(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """(episode, image) of every frame: each episode to the end of both settings, which is held."""
    frames = []
    for e, pair in enumerate(pairs):
        last = longest(pair) - 1
        frames += [(e, i) for i in range(last)] + [(e, last)] * HOLD
    return frames


def longest(pair: Pair) -> int:
    """The number of images of the setting that took longer."""
    return max(len(episode.images) for episode in pair)


def caption(episode: FilmedEpisode, index: int) -> tuple[str, str, str]:
    """The text below an image: the environment step, Q, and the outcome once it is known."""
    step, q = f"step {episode.times[index]}", episode.q[index]
    value = f"Q {round(q, 1) + 0:.1f}".replace("-", MINUS) if math.isfinite(q) else ""
    if index < len(episode.images) - 1:
        return step, value, ""
    return step, value, "success" if episode.success else "no success"


def result_color(episode: FilmedEpisode) -> str:
    return GREEN if episode.success else RED


def compose(pair: Pair, index: int) -> Picture:
    """One frame: both settings at the same step; a setting that has ended keeps its last image.

    Above each image stands its setting; below it stand the step, Q and the outcome, then the curve
    of Q until now. Both curves have one scale.
    """
    size = len(pair[0].images[0])
    margin = 2 * (size // 32)
    left, right = (
        panel(episode, min(index, len(episode.images) - 1), pair, color)
        for episode, color in zip(pair, (BLUE, ORANGE), strict=True)
    )
    frame = Image.new("RGB", (2 * size + 3 * margin, left.height + margin), "white")
    frame.paste(left, (margin, 0))
    frame.paste(right, (size + 2 * margin, 0))
    return np.asarray(frame)


def panel(episode: FilmedEpisode, index: int, pair: Pair, color: str) -> Image.Image:
    """A setting's half of a frame, as wide as its image; `pair` gives the curve its scale."""
    size = len(episode.images[0])
    line = 2 * (size // 18)
    picture = Image.new("RGB", (size, size + 4 * line), "white")
    pen = ImageDraw.Draw(picture)
    font, bold = _font("DejaVuSans", line * 4 // 9), _font("DejaVuSans-Bold", line * 4 // 9)
    pen.text((0, line // 2), episode.setting(), color, bold, anchor="lm")
    picture.paste(Image.fromarray(episode.images[index]), (0, line))
    step, q, outcome = caption(episode, index)
    result = result_color(episode)
    if outcome:
        edges = (0, line, size - 1, line + size - 1)
        pen.rectangle(edges, outline=result, width=max(size // 64, 2))
    middle = size + line + line // 2
    pen.text((0, middle), step, DARK, font, anchor="lm")
    pen.text((size // 2, middle), q, color, bold, anchor="mm")
    pen.text((size, middle), outcome, result, bold, anchor="rm")
    picture.paste(_curve(episode, index, pair, color, (size, 2 * line - 4)), (0, size + 2 * line))
    return picture


def _curve(
    episode: FilmedEpisode, index: int, pair: Pair, color: str, size: tuple[int, int]
) -> Image.Image:
    """Q until now against the step, as a line; blank without a critic."""
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
            for t, q in zip(episode.times[: index + 1], episode.q, strict=False)
            if math.isfinite(q)
        ]
        pen.line([(0, height - thick), (width, height - thick)], fill=GREY, width=SUPERSAMPLE)
        pen.line(points, fill=color, width=thick, joint="curve")
        pen.circle(points[-1], 2 * thick, fill=color)
    return picture.reduce(SUPERSAMPLE)


@functools.lru_cache
def _font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    """A font of matplotlib's."""
    return ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), pixels
    )


# --------------------------------------------------------------------------------------- files


def write_mp4(path: str | Path, frames: Iterable[Picture], *, fps: int = FPS) -> None:
    """Writes frames, all of one even width and height, as H.264, which browsers play."""
    import imageio.v3 as imageio

    options = {"movflags": "faststart"}  # a browser plays it before it has the whole file
    with imageio.imopen(path, "w", plugin="pyav", container="mp4", options=options) as file:
        file.init_video_stream("libx264", fps=fps, pixel_format="yuv420p")
        for frame in frames:
            file.write_frame(frame)


def write_gif(path: str | Path, frames: Iterable[Picture], *, fps: float = FPS / GIF_EVERY) -> None:
    """Writes frames as an endless GIF; one palette for all keeps it a third of imageio's size."""
    pictures = []
    for frame in frames:
        pictures.append(Image.fromarray(frame))
        pictures[-1].thumbnail((GIF_WIDTH, GIF_WIDTH))
    sample = np.vstack([np.asarray(picture) for picture in pictures[:: len(pictures) // 8 + 1]])
    palette = Image.fromarray(sample).quantize(GIF_COLORS, Image.Quantize.FASTOCTREE)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    options = dict(duration=round(1000 / fps), loop=0)
    flat[0].save(path, format="GIF", save_all=True, append_images=flat[1:], **options)


@styled
def contact_sheet(pairs: Sequence[Pair], *, title: str) -> Figure:
    """Images of every episode, a row per setting, and below them Q against the step."""
    figure = Figure(figsize=(WIDTH * 1.2, 0.4 + 6.2 * len(pairs)), layout="constrained")
    parts = figure.subfigures(len(pairs), 1, squeeze=False)[:, 0]
    for part, pair in zip(parts, pairs, strict=True):
        _draw_images(part, pair)
    figure.suptitle(title)
    return figure


def sheet_images(pair: Pair) -> list[int]:
    """The indices of the images on a contact sheet, first and last among them.

    If one setting took longer, two thirds of them are from before the other one ended.
    """
    shorter, longer = sorted(len(episode.images) - 1 for episode in pair)
    if shorter == longer:
        indices = np.linspace(0, longer, COLUMNS)
    else:
        both = 2 * COLUMNS // 3
        after = np.linspace(shorter, longer, COLUMNS - both + 1)
        indices = np.concatenate([np.linspace(0, shorter, both), after])
    return np.unique(indices.round().astype(int)).tolist()


def _draw_images(part: SubFigure, pair: Pair) -> None:
    chosen = sheet_images(pair)
    times = max((episode.times for episode in pair), key=len)
    grid = part.add_gridspec(3, len(chosen), height_ratios=(1, 1, 0.7))
    for row, (episode, color) in enumerate(zip(pair, (BLUE, ORANGE), strict=True)):
        last = len(episode.images) - 1
        for column, index in enumerate(chosen):
            axes = part.add_subplot(grid[row, column])
            axes.imshow(episode.images[min(index, last)], alpha=0.4 if index > last else 1)
            axes.set(xticks=[], yticks=[], gid=PHOTOGRAPH)
            axes.spines[:].set(visible=True, color=color, linewidth=2)
            if row == 0:
                axes.set_title(f"step {times[index]}")
            if column == 0:
                axes.set_ylabel(episode.setting(), color=color, weight="bold")
            if index < last:
                axes.set_xlabel(caption(episode, index)[1], color=DARK)
            else:
                axes.set_xlabel(episode.outcome(), color=result_color(episode))
    axes = part.add_subplot(grid[2, :])
    for episode, color, dashes in zip(pair, (BLUE, ORANGE), ("-", "--"), strict=True):
        axes.plot(episode.times, episode.q, dashes, color=color, label=episode.setting())
    axes.set(xlabel="environment step", ylabel="Q of the chosen action")
    axes.margins(x=0.01)
    axes.grid(True, axis="y")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
