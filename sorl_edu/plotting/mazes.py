"""Pictures of what the course teaches: pure functions that return a matplotlib Figure.

    figure = action_distribution(agent, state, obs, key=key)   # in a notebook, it shows itself
    save_figure(figure, "sharpening.png")

A function draws what it is given, in one house style, and leaves nothing behind: no pyplot figure,
no changed setting. Whatever can't be drawn is refused in words (ConfigError).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Array, Float, PRNGKeyArray, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch

from sorl_edu import inference
from sorl_edu.agents.agent import Agent, State
from sorl_edu.errors import check
from sorl_edu.evaluation import t_interval
from sorl_edu.files import atomic_write
from sorl_edu.temporal_difference import Critic

Numbers = np.ndarray | Array

STYLE = {
    "figure.dpi": 100,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "0.9",
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
}
WIDTH = 10.0  # inches, a notebook's width
BLUE, ORANGE, GREEN, RED, *_ = sns.color_palette("colorblind").as_hex()
WALL = "0.35"
START = dict(marker="o", markersize=5, color="white", markeredgecolor="black", linestyle="none")
GOAL = dict(marker="*", markersize=14, color=RED, markeredgecolor="white", linestyle="none")
REACHED = dict(color=BLUE, linestyle="-")
FAILED = dict(color=ORANGE, linestyle=(0, (4, 1.5)))
END = dict(color=ORANGE, marker="X", markersize=8, markeredgecolor="black", zorder=6)
MEAN = dict(marker="o", markersize=9, color="none", markeredgecolor=RED, markeredgewidth=2)
LIGHT_GREYS = matplotlib.colors.ListedColormap([str(g) for g in np.linspace(0.6, 0.98, 256)])
MARKERS = "osD^vPX"


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draws and lays out in the house style, and leaves matplotlib's settings as they were.

    The layout is then fixed: whatever the settings when it is shown, and however often, the figure
    looks the same (and is drawn faster).
    """

    @functools.wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:  # ticks are made, and counted, as late as when they are drawn
                axes.tick_params(labelsize=STYLE["xtick.labelsize"])
            if figure.get_layout_engine() is not None:
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
            return figure

    return in_style


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a PNG, whole or not at all (beside its place, then renamed), and returns its path."""
    path = Path(path)
    check(path.suffix == ".png", f"a figure is saved as .png, not as '{path.name}'")
    with atomic_write(path) as beside:
        figure.savefig(beside, format="png", dpi=dpi)
    return path


# ---------------------------------------------------------------------------------------- mazes


def draw_maze(axes: Axes, maze: MazeGeometry, *, labels: bool = True) -> None:
    """Walls, the goal (a star, and the circle that counts as reached), and equal axes in metres."""
    walls = np.ma.masked_equal(np.array(maze.walls, float), 0)
    axes.imshow(
        walls, extent=maze.extent, origin="lower", cmap=matplotlib.colors.ListedColormap([WALL])
    )
    axes.add_patch(Circle(maze.goal, maze.goal_radius, facecolor="none", edgecolor=RED, zorder=4))
    axes.plot(*maze.goal, **GOAL, zorder=5)
    axes.spines[:].set_visible(False)
    left, right, bottom, top = maze.extent
    rim = 0.75 * maze.cell  # the outer walls need not be seen whole
    axes.set(xlim=(left + rim, right - rim), ylim=(bottom + rim, top - rim), aspect="equal")
    if labels:
        axes.set(xlabel="x (m)", ylabel="y (m)")
    else:
        axes.set(xticks=[], yticks=[])


@styled
def maze_trajectories(
    environment: str,
    observations: Shaped[Numbers, "episode time obs"],
    success: Shaped[Numbers, " episode"],
) -> Figure:
    """Where the agent went: a line per episode, solid where it reached the goal, else dashed.

    Args:
        environment: an official OGBench name of a maze.
        observations: as `evaluate(..., record=True)` gives them: x and y first, NaN after the end.
        success: whether each episode reached the goal.
    """
    maze = maze_geometry(environment)
    observations, success = np.asarray(observations), np.asarray(success) > 0
    check(
        observations.ndim == 3 and observations.shape[2] >= 2 and len(observations) > 0,
        "observations must be (episode, time, obs) with at least one episode and x, y first; got "
        f"shape {observations.shape}",
    )
    check(
        success.shape == observations.shape[:1],
        f"success has shape {success.shape}, but there are {len(observations)} episodes",
    )
    figure, axes = _maze_figure(maze)
    draw_maze(axes, maze)
    alpha = float(np.clip(6 / len(success), 0.25, 0.9))
    for episode in np.argsort(~success, kind="stable"):  # failures on top
        xy = observations[episode, :, :2]
        kind = REACHED if success[episode] else FAILED
        axes.plot(*xy.T, **kind, linewidth=1.4, alpha=alpha)
        if not success[episode]:
            axes.plot(*xy[np.isfinite(xy).all(1)][-1:].T, **END)
    axes.plot(*observations[:, 0, :2].T, **START)
    total = int(success.sum())
    handles = {
        f"reached the goal ({total})": Line2D([], [], **REACHED),
        f"did not ({len(success) - total}), ends at X": Line2D([], [], **FAILED | END),
        "start": Line2D([], [], **START),
        "goal": Line2D([], [], **GOAL),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    axes.set_title(f"{maze.name}: {total} of {len(success)} episodes reach the goal")
    return figure


@functools.partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def _propose(
    agent: Agent, state: State, obs: Array, key: PRNGKeyArray, *, steps: int, candidates: int
) -> inference.Proposal:
    """`agent.propose`, compiled once per agent and setting."""
    return agent.propose(state, obs, key, steps=steps, candidates=candidates)


@styled
def q_landscape(
    agent: Agent,
    state: State,
    environment: str,
    *,
    steps: int,
    key: PRNGKeyArray | None = None,
    reduce: Literal["mean", "max"] = "mean",
    samples: int = 32,
    per_cell: int = 8,
    arrows: bool = True,
) -> Figure:
    """What the critic expects from each place of the maze, and where the policy goes from there.

    Args:
        agent, state: any agent whose `propose` values its candidates.
        environment: an official OGBench name of a maze whose observation is the position (x, y).
        steps: m.
        key: draws the actions; without one, always the same.
        reduce: V(o) as the mean of Q(o, a) over a ~ pi(. | o, m), or the max: best-of-N's value.
        samples: actions per place.
        per_cell: places along a cell's edge.
        arrows: also draw the mean (or the best) action, at a few places of each cell.
    """
    maze = maze_geometry(environment)
    check(reduce in ("mean", "max"), f"reduce must be 'mean' or 'max', got {reduce!r}")
    check_positions(maze, environment)
    check(per_cell >= 1, f"per_cell must be at least 1, got {per_cell}")
    points, free = maze.points(per_cell)
    key = jax.random.key(0) if key is None else key
    proposal = _propose(
        agent, state, jnp.asarray(points[free]), key, steps=steps, candidates=samples
    )
    check_values(agent, proposal.q)
    values = np.full(free.shape, np.nan)
    values[free] = proposal.q.mean(0) if reduce == "mean" else proposal.q.max(0)

    figure, axes = _maze_figure(maze)
    image = axes.imshow(values, extent=maze.extent, origin="lower", interpolation="nearest")
    draw_maze(axes, maze)
    if arrows:
        every = max(per_cell // 2, 1)
        actions = np.zeros(points.shape)
        actions[free] = proposal.actions.mean(0) if reduce == "mean" else proposal.action
        grid = np.s_[every // 2 :: every, every // 2 :: every]
        draw_arrows(axes, maze, points[grid][free[grid]], actions[grid][free[grid]])
    figure.colorbar(image, ax=axes, label="V(o), expected discounted return")
    which = "mean" if reduce == "mean" else f"best-of-{samples}"
    title = f"{maze.name}: Q of the {steps}-step policy, {which}"
    axes.set_title(f"{title}\narrows: its {which} action" if arrows else title)
    return figure


def draw_arrows(
    axes: Axes,
    maze: MazeGeometry,
    points: Float[Numbers, "places 2"],
    actions: Float[Numbers, "places 2"],
) -> None:
    """An arrow for the action at each place; one of length 1 takes a third of a cell."""
    axes.quiver(
        *points.T,
        *actions.T,
        angles="xy",
        scale_units="xy",
        scale=1 / (0.33 * maze.cell),
        pivot="mid",
        color="white",
        edgecolor="black",
        linewidth=0.5,
        width=0.005,
        headwidth=4,
        headlength=4,
        headaxislength=4,
    )


def check_positions(maze: MazeGeometry, name: str) -> None:
    """Raises ConfigError unless a position in the maze is a whole observation."""
    check(
        maze.observation_width == 2,
        f"the landscape is drawn over positions (x, y), but observations of '{name}' are "
        f"{maze.observation_width} wide: a position alone is no state there. Use a pointmaze",
    )


def check_values(agent: Agent, values: Array) -> None:
    """Raises ConfigError for the values of an agent's candidates if it has no critic."""
    check(
        bool(jnp.isfinite(values).all()),
        f"{type(agent).__name__} gives its candidates no values: it has no critic to draw",
    )


# -------------------------------------------------------------------- the picture of the course


def chosen_actions(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    *,
    steps: Sequence[int],
    candidates: Sequence[int],
    key: PRNGKeyArray,
    samples: int,
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Best-of-N actions at one state, drawn many times, for every (m, N) of a grid.

    One call of `agent.propose` per m makes the largest N; a smaller N chooses among the first of
    the same candidates, so that settings differ in compute and not in luck.

    Returns:
        for each (m, N): the chosen actions (samples, action), and their values (samples,).
    """
    obs = np.asarray(obs, np.float32)
    check(obs.ndim == 1, f"obs must be one state, (obs,); got shape {obs.shape}")
    check(len(steps) > 0 and len(candidates) > 0, "steps and candidates must name at least one")
    check(samples >= 2, f"samples must be at least 2, got {samples}")
    for n in candidates:
        check(n >= 1, f"candidates (N) must be at least 1, got {n}")
    repeated = jnp.broadcast_to(obs, (samples, len(obs)))
    chosen = {}
    for m in steps:
        proposal = _propose(agent, state, repeated, key, steps=m, candidates=max(candidates))
        actions, q = np.asarray(proposal.actions), np.asarray(proposal.q)
        check(
            max(candidates) == 1 or bool(np.isfinite(q).all()),
            f"{type(agent).__name__} gives its candidates no values, so it can't choose among "
            f"them: use candidates = (1,)",
        )
        for n in candidates:
            best = q[:n].argmax(0), np.arange(samples)
            chosen[m, n] = actions[best], q[best]
    return chosen


def action_values(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    actions: Float[Numbers, "batch action"],
    *,
    steps: int,
) -> Float[Array, " batch"] | None:
    """Q(o, a, min(m, M_BTT)) as best-of-N sees it; None for an agent that has no `critic`."""
    if not hasattr(agent, "critic"):
        return None
    obs, actions = jnp.asarray(obs, jnp.float32)[None], jnp.asarray(actions, jnp.float32)[:, None]
    known_steps = min(steps, getattr(agent, "max_backprop_steps", steps))
    return _score(agent, state, obs, actions, steps=known_steps)[:, 0]


@functools.partial(jax.jit, static_argnames=("agent", "steps"))
def _score(agent: Agent, state: State, obs: Array, actions: Array, *, steps: int) -> Array:
    critic: Critic = agent.critic(state)
    aggregation = getattr(agent, "q_aggregation", "mean")
    return inference.score(critic, obs, actions, steps=steps, aggregation=aggregation)


@styled
def action_distribution(
    agent: Agent,
    state: State,
    obs: Float[Numbers, " obs"] | Sequence[float],
    *,
    key: PRNGKeyArray,
    steps: Sequence[int] = (1, 2, 4, 8),
    candidates: Sequence[int] = (1, 8, 32),
    samples: int = 400,
    environment: str | None = None,
) -> Figure:
    """How the actions at one state sharpen as steps m and candidates N grow.

    A panel per (m, N): best-of-N actions, drawn `samples` times, over the action square; behind
    them the critic's Q as contours (brighter is higher, one scale for each m); and their mean.
    Beside the grid, with `environment`, where in the maze the state is.

    Args:
        agent, state: any agent with 2-D actions; contours need its `critic(state)`.
        obs: the state.
        key: draws the candidates, the same ones for every panel.
        steps, candidates: the columns m and the rows N.
        samples: independent draws of each panel.
        environment: the OGBench name of the maze, if it is one.
    """
    chosen = chosen_actions(
        agent, state, obs, steps=steps, candidates=candidates, key=key, samples=samples
    )
    width = next(iter(chosen.values()))[0].shape[1]
    check(width == 2, f"the action square needs 2-D actions; these are {width}-D")
    maze = None if environment is None else maze_geometry(environment)

    rows, columns = len(candidates), len(steps)
    left = 0.0 if maze is None else 2.6
    panel = min((WIDTH - left - 0.7) / columns, 3.2)
    right = 0.7 + panel * columns
    figure = _figure(left + right, 1.05 + (panel + (maze is None) * 0.2) * rows)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    if maze is None:
        grid = beside = figure.subfigures()
    else:
        beside, grid = figure.subfigures(1, 2, width_ratios=[left, right])
        _draw_state(beside.subplots(), maze, np.asarray(obs))
    panels = grid.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axis = np.linspace(-1, 1, 41)
    square = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    for j, m in enumerate(steps):
        values = action_values(agent, state, obs, square, steps=m)
        for i, n in enumerate(candidates):
            axes = panels[i, j]
            if values is not None:
                landscape = np.reshape(values, (41, 41))
                axes.contourf(axis, axis, landscape, 12, cmap=LIGHT_GREYS)
            _draw_actions(axes, *chosen[m, n])
            if i == 0:
                above = dict(xytext=(0, 21), textcoords="offset points", ha="center", size=11)
                axes.annotate(
                    f"m = {_count(m, 'step')}", (0.5, 1), xycoords="axes fraction", **above
                )
            if j == 0:
                axes.set_ylabel(f"N = {n}", rotation=0, ha="right", va="center", size=11)
    grid.supxlabel("action along x", size=10)
    grid.supylabel("action along y", size=10)
    dots = dict(linestyle="none", marker="o", markersize=4, color=BLUE)
    handles = {
        f"best of N actions, {samples} draws": Line2D([], [], **dots),
        "their mean; spread: the\nRMS distance from it": Line2D([], [], linestyle="none", **MEAN),
    }
    if values is not None:
        handles["Q(o, a), brighter is higher"] = Patch(color="0.8")
    if maze is None:
        place = dict(loc="outside upper center", ncols=3 if columns > 2 else 1)
    else:
        place = dict(loc="outside lower left")
    beside.legend(handles.values(), handles.keys(), **place)
    title = "What the policy does at one state"
    title += ", more steps →" if columns > 1 else ""
    figure.suptitle(title + (", more candidates ↓" if rows > 1 else ""))
    return figure


def _draw_actions(
    axes: Axes, actions: Float[np.ndarray, "samples 2"], q: Float[np.ndarray, " samples"]
) -> None:
    mean = actions.mean(0)
    spread = np.sqrt(((actions - mean) ** 2).sum(1).mean())
    axes.scatter(*actions.T, s=9, color=BLUE, alpha=0.4, linewidths=0, clip_on=False, zorder=3)
    axes.plot(*mean, **MEAN, clip_on=False, zorder=4)
    value = f", Q {q.mean():.1f}" if np.isfinite(q).all() else ""
    axes.set_title(f"spread {spread:.2f}{value}", size=9)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_aspect("equal")


def _draw_state(axes: Axes, maze: MazeGeometry, obs: Float[np.ndarray, " obs"]) -> None:
    draw_maze(axes, maze, labels=False)
    axes.plot(*obs[:2], marker="o", color=BLUE, markersize=9, markeredgecolor="white")
    axes.set_title("the state (blue) and the goal", size=10)


# ------------------------------------------------------------------------------------- training

METRIC_LABELS = {
    "critic_loss": "TD loss (return²)",
    "flow_loss": "flow-matching loss (action²)",
    "consistency_loss": "self-consistency loss (action²)",
    "q_loss": "Q loss (normalised)",
    "q_data": "Q of data actions (return)",
    "q_policy": "Q of policy actions (return)",
    "target_mean": "TD target (return)",
    "policy_loss": "weighted policy loss",
}


@styled
def learning_curves(history: pd.DataFrame, metrics: Sequence[str] | None = None) -> Figure:
    """How training went: a panel per metric, the mean over seeds and its 95% interval (Student's).

    Args:
        history: of `training.Run`, a row per (split, seed, update, metric, value).
        metrics: which, in which order; all of them unless given.
    """
    _check_table(history, ("split", "seed", "update", "metric", "value"), "the history of a Run")
    known = sorted(history.metric.unique(), key=[*METRIC_LABELS, *history.metric.unique()].index)
    metrics = known if metrics is None else list(metrics)
    check(len(metrics) > 0, "metrics must name at least one metric")
    unknown = [name for name in metrics if name not in known]
    check(not unknown, f"no metric {', '.join(unknown)}; there are {', '.join(known)}")

    columns = min(len(metrics), 4 if len(metrics) % 4 == 0 else 3)
    rows = math.ceil(len(metrics) / columns)
    figure = _figure(WIDTH * min(1, max(columns, 2) / 3), 0.7 + 2.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    colors, dashes = {"train": BLUE, "validation": ORANGE}, {"train": "", "validation": (3, 1.5)}
    for axes, metric in zip(panels.flat, metrics, strict=False):
        rows_of_metric = history[history.metric == metric]
        sns.lineplot(
            rows_of_metric,
            x="update",
            y="value",
            hue="split",
            style="split",
            palette=colors,
            dashes=dashes,
            errorbar=lambda values: t_interval(values.tolist()),
            legend=False,
            ax=axes,
        )
        axes.set(xlabel="", ylabel="")
        axes.set_title(METRIC_LABELS.get(metric, metric.replace("_", " ")), size=10)
        _keep_curves_large(axes, rows_of_metric.value)
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axes.grid(True)
    _remove_unused(panels, len(metrics))
    figure.supxlabel("updates", size=10)
    splits = [split for split in colors if split in set(history.split)]
    handles = [
        Line2D([], [], color=colors[split], linestyle=(0, dashes[split]) if dashes[split] else "-")
        for split in splits
    ]
    figure.legend(handles, splits, loc="outside upper right", ncols=2)
    seeds = history.seed.nunique()
    figure.suptitle(
        f"Learning curves, {_count(seeds, 'seed')}" + (" with 95% intervals" if seeds > 1 else ""),
        x=0.02,
        ha="left",
    )
    return figure


def _keep_curves_large(axes: Axes, values: pd.Series) -> None:
    """The interval of two or three seeds may be huge: let it run out of the frame, not rule it."""
    bottom, top = axes.get_ylim()
    margin = 0.5 * (values.max() - values.min())
    if margin > 0:
        axes.set_ylim(max(bottom, values.min() - margin), min(top, values.max() + margin))


# --------------------------------------------------------------------------- test-time scaling

SWEEP_LABELS = {
    "success": "success rate",
    "length": "episode length (environment steps)",
}


@styled
def sweep_heatmap(
    summary: pd.DataFrame, metric: Literal["success", "length"] = "success"
) -> Figure:
    """Success or episode length over steps m x candidates N, each cell with its 95% interval.

    Args:
        summary: as `evaluation.summarize` gives it.
        metric: "success" (higher is better) or "length" (lower is better).
    """
    _check_summary(summary, (metric,))
    table, low, high = (
        summary.pivot(index="candidates", columns="steps", values=metric + suffix)
        for suffix in ("", "_low", "_high")
    )
    rows, columns = table.shape
    figure = _figure(min(2.4 + 1.5 * columns, WIDTH), 1.6 + 0.85 * rows)
    axes = figure.subplots()
    limits = (0, 1) if metric == "success" else (None, None)
    cmap = matplotlib.colormaps["viridis" if metric == "success" else "viridis_r"]
    image = axes.imshow(table, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    digits = 2 if metric == "success" else 0
    for (i, j), value in np.ndenumerate(table.to_numpy()):
        if np.isnan(value):
            continue
        dark = np.dot(image.to_rgba(value)[:3], [0.299, 0.587, 0.114]) < 0.5
        color = "white" if dark else "black"
        interval = (low.iloc[i, j], high.iloc[i, j])
        axes.text(j, i, f"{value:.{digits}f}", color=color, size=13, ha="center", va="bottom")
        if np.isfinite(interval).all():
            text = "{:.{d}f} to {:.{d}f}".format(*interval, d=digits)
            axes.text(j, i + 0.08, text, color=color, size=9, ha="center", va="top")
    axes.set_xticks(range(columns), table.columns)
    axes.set_yticks(range(rows), table.index)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="inference steps m", ylabel="candidates N")
    figure.colorbar(image, ax=axes, label=SWEEP_LABELS[metric])
    axes.set_title(f"{SWEEP_LABELS[metric].capitalize()}\n{_interval(summary)}")
    return figure


@styled
def sweep_lines(summary: pd.DataFrame) -> Figure:
    """Success and episode length against steps m, one line per N, with 95% intervals.

    Args:
        summary: as `evaluation.summarize` gives it.
    """
    _check_summary(summary, tuple(SWEEP_LABELS))
    figure = _figure(WIDTH, 4.0)
    counts = sorted(summary.candidates.unique())
    palette = sns.color_palette("colorblind", len(counts))
    for axes, metric in zip(figure.subplots(1, 2), SWEEP_LABELS, strict=True):
        for k, n in enumerate(counts):
            row = summary[summary.candidates == n].sort_values("steps")
            value = row[metric]
            nudge = 2 ** (0.08 * (k - (len(counts) - 1) / 2))  # so that intervals don't hide others
            axes.errorbar(
                row.steps * nudge,
                value,
                np.maximum([value - row[f"{metric}_low"], row[f"{metric}_high"] - value], 0),
                color=palette[k],
                marker=MARKERS[k % len(MARKERS)],
                capsize=3,
                elinewidth=1.2,
                label=f"N = {n}",
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(summary.steps.unique()), sorted(summary.steps.unique()))
        axes.set(xlabel="inference steps m", ylabel=SWEEP_LABELS[metric])
        axes.grid(True, axis="y")
    figure.axes[0].set(ylim=(-0.03, 1.03), title="Success: higher is better")
    figure.axes[1].set(title="Length: lower is better")
    figure.axes[1].set_ylim(bottom=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(counts))
    figure.suptitle(f"Test-time scaling, {_interval(summary)}")
    return figure


# -------------------------------------------------------------------------- toy distributions


@styled
def samples_2d(samples: Mapping[str, Float[Numbers, "n dim"]]) -> Figure:
    """Clouds of 2-D points side by side on equal axes, one panel per name."""
    check(len(samples) > 0, "samples must name at least one cloud of points")
    clouds = {name: _points(name, points, 2) for name, points in samples.items()}
    figure, panels = _side_by_side(list(clouds))
    for axes, points in zip(panels, clouds.values(), strict=True):
        _draw_cloud(axes, points, BLUE)
    _same_limits(panels, clouds.values())
    return figure


@styled
def flow_paths(
    paths: Float[Numbers, "times batch dim"] | Mapping[str, Float[Numbers, "times batch dim"]],
    target: Float[Numbers, "n dim"],
    *,
    lines: int = 150,
) -> Figure:
    """How noise is carried to data: starts, paths and ends, and beside them the data.

    Args:
        paths: a_0 ... a_1 as `flow_matching.integrate(..., path=True)` gives them, or several by
            name, a panel each.
        target: samples of the data.
        lines: the most paths to draw; starts and ends are drawn for all.
    """
    if not isinstance(paths, Mapping):
        paths = {_count(len(paths) - 1, "Euler step"): paths}
    check(len(paths) > 0, "paths must name at least one array")
    paths = {name: _points(name, array, 3) for name, array in paths.items()}
    target = _points("target", target, 2)
    figure, panels = _side_by_side([*paths, "data"])
    for axes, path in zip(panels, paths.values(), strict=False):
        axes.plot(
            path[:, :lines, 0], path[:, :lines, 1], color="0.6", linewidth=0.5, alpha=0.6, zorder=1
        )
        _draw_cloud(axes, path[0], ORANGE)
        _draw_cloud(axes, path[-1], BLUE)
    _draw_cloud(panels[-1], target, GREEN)
    dot = functools.partial(Line2D, [], [], linestyle="none", marker="o", markersize=5)
    handles = {
        "noise (t = 0)": dot(color=ORANGE),
        "path": Line2D([], [], color="0.6"),
        "where it ends (t = 1)": dot(color=BLUE),
        "data": dot(color=GREEN),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
    _same_limits(panels, [*(path[0] for path in paths.values()), target])
    return figure


def _draw_cloud(axes: Axes, points: Float[np.ndarray, "n 2"], color: str) -> None:
    alpha = float(np.clip(300 / len(points), 0.15, 0.7))
    axes.scatter(*points.T, s=6, color=color, alpha=alpha, linewidths=0, zorder=2)


def _maze_figure(maze: MazeGeometry) -> tuple[Figure, Axes]:
    left, right, bottom, top = maze.extent
    figure = Figure(figsize=(7.0, 1.2 + 5.0 * (top - bottom) / (right - left)), layout="compressed")
    return figure, figure.subplots()


def _side_by_side(titles: Sequence[str]) -> tuple[Figure, np.ndarray]:
    columns = len(titles) if len(titles) <= 4 else 3
    rows = math.ceil(len(titles) / columns)
    size = min(WIDTH / columns, 4.0)
    figure = Figure(figsize=(size * columns, 0.5 + size * rows), layout="compressed")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    _remove_unused(panels, len(titles))
    for axes, title in zip(panels.flat, titles, strict=False):
        axes.set(title=title, aspect="equal")
    figure.supxlabel("x", size=10)
    figure.supylabel("y", size=10)
    return figure, panels.flatten()[: len(titles)]


def _same_limits(panels: np.ndarray, arrays: Iterable[np.ndarray]) -> None:
    """Wide enough for nearly all of the widest cloud: a few stray points rule no picture."""
    size = 1.1 * max(float(np.quantile(np.abs(array), 0.99)) for array in arrays)
    panels[0].set(xlim=(-size, size), ylim=(-size, size))


# -------------------------------------------------------------------------------------- shared


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _remove_unused(panels: np.ndarray, used: int) -> None:
    """Takes the empty panels of the last row away; those above them then show their tick labels."""
    unused = panels.size - used
    for axes in panels.flat[used:]:
        axes.remove()
    for axes in panels[-2:-1, panels.shape[1] - unused :].flat:
        axes.tick_params(labelbottom=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _points(name: str, array: Numbers, dimensions: int) -> np.ndarray:
    array = np.asarray(array)
    wanted = {2: "(n, 2)", 3: "(steps + 1, batch, 2)"}[dimensions]
    check(
        array.ndim == dimensions and array.shape[-1] == 2 and array.size > 0,
        f"'{name}' has shape {array.shape}; expected {wanted}",
    )
    check(bool(np.isfinite(array).all()), f"'{name}' holds NaN or infinite values")
    return array


def _check_table(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    missing = [column for column in columns if column not in table]
    check(not missing, f"the table lacks {', '.join(missing)}; it should be {what}")
    check(len(table) > 0, f"the table is empty; it should be {what}")


def _check_summary(summary: pd.DataFrame, metrics: Sequence[str]) -> None:
    for metric in metrics:
        check(metric in SWEEP_LABELS, f"metric must be 'success' or 'length', got {metric!r}")
    columns = [metric + suffix for metric in metrics for suffix in ("", "_low", "_high")]
    _check_table(
        summary, ["steps", "candidates", *columns, "interval"], "what evaluation.summarize returns"
    )
    check(
        not summary.duplicated(["steps", "candidates"]).any(),
        "the table has several rows for one (steps, candidates): summarize one sweep at a time",
    )


def _interval(summary: pd.DataFrame) -> str:
    """What the intervals are over: '95% over 5 training seeds'."""
    return "intervals: " + "; ".join(summary.interval.unique())
