"""Clouds of points in the plane, lessons 1 and 2: how noise becomes data, and how nearly."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sorl_edu.errors import check
from sorl_edu.flow_matching import Field, integrate
from sorl_edu.plotting.lines import course_of, lines
from sorl_edu.plotting.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    WIDTH,
    DescribedFigure,
    Numbers,
    new_figure,
    plural,
    remove_unused,
    spread,
    styled,
)
from sorl_edu.shortcut import at_step_size

STEPS = (1, 2, 4, 8, 16, 32, 64, 128)

# --------------------------------------------------------------------------- samples and paths


@styled
def samples_2d(samples: Mapping[str, Float[Numbers, "n dim"]]) -> Figure:
    """Clouds of 2-D points side by side on equal axes, one panel per name."""
    check(len(samples) > 0, "samples must name at least one cloud of points")
    clouds = {name: _points(name, points, 2) for name, points in samples.items()}
    figure, panels = _side_by_side(list(clouds))
    for axes, points in zip(panels, clouds.values(), strict=True):
        _draw_cloud(axes, points, BLUE)
    limit = half_width(clouds.values())
    panels[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    told = [f"{name}: {_placed(points)}" for name, points in clouds.items()]
    figure.alt = f"Clouds of points in the plane, side by side. {'; '.join(told)}."
    return figure


@styled
def flow_paths(
    paths: Float[Numbers, "knots batch dim"] | Mapping[str, Float[Numbers, "knots batch dim"]],
    target: Float[Numbers, "n dim"],
    *,
    lines: int = 150,
) -> Figure:
    """Noise carried to data: starts, paths and ends, and beside them the data.

    Args:
        paths: a_0 ... a_1 as `flow_matching.integrate_path` returns them, or several by name, a
            panel each.
        target: samples of the data.
        lines: the most paths to draw; starts and ends are drawn for all.
    """
    if not isinstance(paths, Mapping):
        paths = {plural(len(paths) - 1, "Euler step"): paths}
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
        "end (t = 1)": dot(color=BLUE),
        "data": dot(color=GREEN),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
    limit = half_width([*(path[0] for path in paths.values()), target])
    panels[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    told = [f"{name}: the ends lie {_placed(path[-1])}" for name, path in paths.items()]
    figure.alt = (
        f"Paths of particles from noise to their ends, side by side. {'; '.join(told)}; and beside "
        f"them the data, {_placed(target)}."
    )
    return figure


@styled
def crossing_paths(
    noise: Float[Array, "n 2"],
    actions: Float[Array, "n 2"],
    point: tuple[float, float],
    times: Sequence[float] = (0.2, 0.5, 0.8),
    *,
    radius: float = 0.1,
) -> Figure:
    """The straight paths through a point at a time, and the average of their velocities.

    Args:
        noise, actions: a_0 and a_1 of the paths.
        point: the point.
        times: a panel for each time t.
        radius: how near to the point a path must pass at t.

    Raises:
        ConfigError: no path passes that near at one of the times.
    """
    a_0, a_1, place = np.asarray(noise), np.asarray(actions), np.asarray(point)
    figure = new_figure(WIDTH, WIDTH / len(times) + 0.6)
    panels = figure.subplots(1, len(times), sharex=True, sharey=True, squeeze=False)[0]
    told = []
    for axes, t in zip(panels, times, strict=True):
        near = np.linalg.norm((1 - t) * a_0 + t * a_1 - place, axis=-1) < radius
        check(bool(near.any()), f"no path passes within {radius} of {point} at t = {t}")
        lines = np.stack([a_0[near], a_1[near]], axis=1)
        axes.add_collection(LineCollection(lines[:200], colors="0.6", linewidths=0.5, alpha=0.5))
        axes.scatter(*a_0[near][:200].T, s=8, color=ORANGE, alpha=0.7, label="noise $a_0$")
        axes.scatter(*a_1[near][:200].T, s=8, color=GREEN, alpha=0.7, label="data $a_1$")
        velocity = (a_1 - a_0)[near].mean(0)
        axes.annotate(
            "",
            place + velocity,
            place,
            arrowprops=dict(
                arrowstyle="-|>", color=BLACK, lw=2.5, mutation_scale=16, shrinkA=0, shrinkB=0
            ),
            zorder=6,
        )
        axes.plot(*place, "o", color=BLACK, markeredgecolor="white", markersize=8, zorder=5)
        axes.plot([], [], color=BLACK, linewidth=2.5, label="their average velocity")
        told.append(f"at t = {t:g}, {near.sum()} paths of average velocity {_point(velocity)}")
        axes.set(title=f"t = {t:g}: {near.sum()} paths", xlabel="x (action)", aspect="equal")
        axes.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8))
    panels[0].set_ylabel("y (action)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    figure.alt = (
        f"Straight paths from noise to data that pass near {_point(place)}, and an arrow for their "
        f"average velocity: {'; '.join(told)}."
    )
    return figure


@styled
def velocity_slices(
    exact: Callable[[Array, float], Array],
    trained: Sequence[Field],
    times: Sequence[float] = (0.1, 0.5, 0.9),
) -> Figure:
    """The x-velocity along the line y = 0: a closed form against trained fields, a panel per t.

    Args:
        exact: u(a_t, t): positions (batch, 2) and one time to velocities (batch, 2).
        trained: the fields of several seeds; they see a column of zeros for the observation.
        times: t of each panel.
    """
    x = jnp.linspace(-1.5, 1.5, 61)
    a_t, ones = jnp.stack([x, jnp.zeros_like(x)], -1), jnp.ones((len(x), 1))
    figure = new_figure(WIDTH, 3.2)
    panels = figure.subplots(1, len(times), sharey=True, squeeze=False)[0]
    told = []
    for axes, t in zip(panels, times, strict=True):
        for i, field in enumerate(trained):
            velocity = field(0 * ones, a_t, t * ones)[:, 0]
            label = f"trained, {plural(len(trained), 'seed')}" if i == 0 else None
            axes.plot(x, velocity, color=BLUE, linewidth=1, alpha=0.7, label=label)
        wanted = exact(a_t, t)[:, 0]
        axes.plot(x, wanted, "--", color=ORANGE, linewidth=2.5, label="closed form")
        told.append(f"at t = {t:g} the closed form {course_of(x.tolist(), np.asarray(wanted))}")
        axes.set(title=f"t = {t:g}", xlabel="x of $a_t$ (action)")
    panels[0].set_ylabel("x of velocity (actions per unit time)")
    panels[0].legend()
    figure.alt = (
        f"The x-velocity against x, a dashed line for the closed form and a thin line for each of "
        f"{plural(len(trained), 'trained field')}: {'; '.join(told)}."
    )
    return figure


# --------------------------------------------------------------------------- distances to data


def energy_distance(x: Float[Array, "n dim"], y: Float[Array, "m dim"]) -> Float[Array, ""]:
    """How far two clouds of points are from each other as distributions, in their own unit.

        D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|

    It is 0 for equal clouds. Between two samples of one distribution it is about the square root of
    the chance level, (1/n + 1/m) E|X - X'|. In one dimension it is `scipy.stats.energy_distance`.

    Source: Szekely and Rizzo, Energy statistics, 2013, doi 10.1016/j.jspi.2013.03.018.
    """

    def mean_distance(a: Array, b: Array) -> Array:
        return jnp.linalg.norm(a[:, None] - b[None], axis=-1).mean()

    squared = 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)
    return jnp.sqrt(jnp.maximum(squared, 0))


def distances_to_data(
    apply: Callable,
    params: PyTree,
    data: Float[Array, "n 2"],
    *,
    key: PRNGKeyArray,
    steps: Sequence[int] = STEPS,
    denoise_steps: int | None = None,
    samples: int = 600,
) -> Float[np.ndarray, "seed steps"]:
    """The energy distance to the data of each seed's samples, all made from the same noise.

    Args:
        apply: of a Flax module, (params, obs, a_t, t) to velocities; a shortcut's also takes h.
        params: its parameters, with a leading axis of seeds.
        data: the last `samples` points are compared with.
        key: draws the noise.
        steps: the numbers of steps m.
        denoise_steps: M if `apply` is a shortcut's, which sees h = 1/min(m, M); None for a field's.
        samples: the number of samples.
    """
    noise = jax.random.normal(key, (samples, 2))

    def distance(params: PyTree, m: int) -> Array:
        field = _field_of(apply, params, m, denoise_steps)
        a_1 = integrate(field, jnp.zeros((samples, 1)), noise, m)
        return energy_distance(a_1, data[-samples:])

    run = jax.jit(jax.vmap(lambda p: jnp.stack([distance(p, m) for m in steps])))
    return np.asarray(run(params))


def distances_over_training(
    apply: Callable,
    params: PyTree,
    data: Float[Array, "n 2"],
    *,
    key: PRNGKeyArray,
    steps: int = 1,
    denoise_steps: int | None = None,
    samples: int = 400,
) -> Float[np.ndarray, "seed snapshot"]:
    """As `distances_to_data`, at one number of steps m, for snapshots of the parameters.

    `params` has two leading axes: seeds, then snapshots.
    """
    noise = jax.random.normal(key, (samples, 2))

    def distance(params: PyTree) -> Array:
        field = _field_of(apply, params, steps, denoise_steps)
        a_1 = integrate(field, jnp.zeros((samples, 1)), noise, steps)
        return energy_distance(a_1, data[-samples:])

    return np.asarray(jax.jit(jax.vmap(lambda seed: jax.lax.map(distance, seed)))(params))


def distance_floor(data: Float[Array, "n 2"], samples: int = 600) -> float:
    """The chance level: the energy distance between two samples of the data itself."""
    return float(jax.jit(energy_distance)(data[:samples], data[-samples:]))


def distance_curves(
    distances: Mapping[str, Shaped[Numbers, "seed x"]],
    x: Sequence[float] | range,
    *,
    xlabel: str = "Euler steps m",
    ylabel: str = "energy distance to the data (action units)",
    floor: float | None = None,
    log_x: bool = True,
) -> Figure:
    """Means over seeds with Student's 95% intervals, a line per name.

    Args:
        distances: by name, a row per seed and a column per x.
        x: positions along the horizontal axis.
        xlabel, ylabel: labels of the axes.
        floor: a level to compare with, as `distance_floor` gives it.
        log_x: whether x is on a log2 scale.

    Raises:
        ConfigError: an array whose shape is not (seeds, len(x)).
    """
    seeds = len(next(iter(distances.values())))
    return lines(
        distances,
        x,
        xlabel=xlabel,
        ylabel=ylabel,
        title=f"mean of {plural(seeds, 'seed')} and 95% interval",
        level=None if floor is None else ("two samples of the data", floor),
        log_x=log_x,
        bottom=0.0,
    )


# -------------------------------------------------------------------------------------- shared


def half_width(clouds: Iterable[Shaped[Numbers, "..."]]) -> float:
    """Half the width of axes that show nearly all of every cloud, whatever a few strays do."""
    return 1.1 * max(float(np.quantile(np.abs(cloud), 0.99)) for cloud in clouds)


def _placed(points: Float[np.ndarray, "n 2"]) -> str:
    """Where a cloud lies, in words."""
    return f"around {_point(points.mean(0))} with spread {spread(points):.2f}"


def _point(place: Float[np.ndarray, "2"]) -> str:
    x, y = (round(float(value), 2) + 0.0 for value in place)  # no minus zero
    return f"({x:g}, {y:g})"


def _field_of(apply: Callable, params: PyTree, steps: int, denoise_steps: int | None) -> Field:
    """The velocity field that m steps follow."""
    bound = functools.partial(apply, params)
    return bound if denoise_steps is None else at_step_size(bound, 1 / min(steps, denoise_steps))


def _draw_cloud(axes: Axes, points: Float[np.ndarray, "n 2"], color: str) -> None:
    alpha = float(np.clip(300 / len(points), 0.15, 0.7))
    axes.scatter(*points.T, s=6, color=color, alpha=alpha, linewidths=0, zorder=2)


def _side_by_side(titles: Sequence[str]) -> tuple[DescribedFigure, np.ndarray]:
    columns = len(titles) if len(titles) <= 4 else 3
    rows = math.ceil(len(titles) / columns)
    size = min(WIDTH / columns, 4.0)
    figure = new_figure(size * columns, 0.5 + size * rows, layout="compressed")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    remove_unused(panels, len(titles))
    for axes, title in zip(panels.flat, titles, strict=False):
        axes.set(title=title, aspect="equal")
    figure.supxlabel("x", size=10)
    figure.supylabel("y", size=10)
    return figure, panels.flatten()[: len(titles)]


def _points(name: str, array: Numbers, dimensions: int) -> np.ndarray:
    array = np.asarray(array)
    expected = {2: "(n, 2)", 3: "(steps + 1, batch, 2)"}[dimensions]
    check(
        array.ndim == dimensions and array.shape[-1] == 2 and array.size > 0,
        f"'{name}' has shape {array.shape}; expected {expected}",
    )
    check(bool(np.isfinite(array).all()), f"'{name}' holds NaN or infinite values")
    return array
