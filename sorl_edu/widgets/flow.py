"""FlowExplorer: where m Euler steps carry noise, for several fields side by side.

    explorer = FlowExplorer({"flow": field, "shortcut": other}, data, key=jax.random.key(0))
    explorer.render(steps=2, time=0.5)

Beside the pictures stands how far the samples are from the data, an energy distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.evaluation import t_interval
from sorl_edu.flow_matching import Field, integrate
from sorl_edu.plotting import BLUE, GREEN, ORANGE, RED, WIDTH, styled
from sorl_edu.shortcut import check_denoise_steps, check_steps
from sorl_edu.widgets.explorer import Explorer, Parameter, as_tuple

STEPS = (1, 2, 4, 8, 16, 32, 64, 128)
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_FIELDS, MAX_LINES, MAX_REFERENCE = 3, 120, 2000


def energy_distance(x: Float[Array, "n dim"], y: Float[Array, "m dim"]) -> Float[Array, ""]:
    """How far two clouds of points are from each other as distributions, in their own unit.

        D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|

    It is 0 for equal clouds and, between two samples of one distribution, about the square root of
    what chance leaves, (1/n + 1/m) E|X - X'|. As `scipy.stats.energy_distance`, in any dimension.

    Source: Szekely and Rizzo, Energy statistics, 2013, doi 10.1016/j.jspi.2013.03.018.
    """

    def mean_distance(a: Array, b: Array) -> Array:
        return jnp.linalg.norm(a[:, None] - b[None], axis=-1).mean()

    squared = 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)
    return jnp.sqrt(jnp.maximum(squared, 0))


_distance = jax.jit(energy_distance)


def bind(apply: Callable, params: Any) -> Field:
    """The field of a Flax module's `apply` and its parameters."""
    return lambda *inputs: apply(params, *inputs)


class FlowExplorer(Explorer):
    """Samples and their paths as the number of steps changes, a panel per field, then the data.

    A field is told the step size h = 1/min(m, M), as `shortcut.sample_from` does, and a column of
    zeros for the observation. All fields start from the same noise.

    Args:
        fields: 1 to 3 fields by name, in the order of the panels.
        data: (n, 2) points, at least twice as many as `samples`.
        key: draws the noise.
        steps: the numbers of steps m to choose from, powers of two.
        denoise_steps: M, a power of two, at least 2.
        samples: how many particles, at least 2.
        times: the times t in [0, 1] at which the particles can be seen; the last is shown first.

    Raises:
        ConfigError: an argument outside these ranges.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        data: Shaped[np.ndarray | Array, "..."],
        *,
        key: PRNGKeyArray,
        steps: Sequence[int] = STEPS,
        denoise_steps: int = 8,
        samples: int = 400,
        times: Sequence[float] = TIMES,
    ) -> None:
        check(
            1 <= len(fields) <= MAX_FIELDS,
            f"fields names {len(fields)} fields; it can be 1 to {MAX_FIELDS}",
        )
        check_denoise_steps(denoise_steps)
        steps, times = as_tuple("steps", steps), as_tuple("times", times)
        for m in steps:
            check_steps(m)
        for t in times:
            check(0 <= t <= 1, f"times holds {t}; a time t lies between 0 (noise) and 1 (data)")
        check(samples >= 2, f"samples is {samples}; it must be at least 2")
        self.fields, self.denoise_steps = dict(fields), denoise_steps
        self.data = check_points(data, 2 * samples)
        self.noise = jax.random.normal(key, (samples, 2))
        self.title = f"Noise to data in m steps: {', '.join(self.fields)}"
        self.parameters = (
            Parameter("steps", "Euler steps m", steps),
            Parameter("time", "time t", times, names=tuple(map(_short, times)), start=times[-1]),
        )
        clouds = [np.asarray(self.noise), self.data]
        self._limit = 1.1 * max(float(np.quantile(np.abs(cloud), 0.99)) for cloud in clouds)
        self._reference = jnp.asarray(self.data[samples : samples + MAX_REFERENCE])
        self._floor: float | None = None
        self._runs: dict[int, dict[str, np.ndarray]] = {}
        self._distances: dict[int, dict[str, float]] = {}

    def prepare(self, *, steps: int, time: float) -> None:
        """Integrates every field in `steps` steps, once."""
        if steps in self._runs:
            return
        obs = jnp.zeros((len(self.noise), 1))
        h = 1 / min(steps, self.denoise_steps)

        @jax.jit
        def run(noise: Array) -> dict[str, Array]:
            return {
                name: integrate(field, obs, noise, steps, step_size=h, path=True)
                for name, field in self.fields.items()
            }

        paths = run(self.noise)
        if self._floor is None:
            own = jnp.asarray(self.data[: len(self.noise)])
            self._floor = float(_distance(own, self._reference))
        self._distances[steps] = {
            name: float(_distance(path[-1], self._reference)) for name, path in paths.items()
        }
        self._runs[steps] = {name: np.asarray(path) for name, path in paths.items()}

    @styled
    def draw(self, *, steps: int, time: float) -> Figure:
        count = len(self.fields) + 1
        left, gap, bottom, top = 0.55, 0.25, 0.55, 0.55  # inches
        size = min((WIDTH - left - 0.1 - gap * (count - 1)) / count, 3.6)
        height = bottom + size + top
        figure = Figure(figsize=(WIDTH, height))
        for i, name in enumerate([*self.fields, "data"]):
            place = ((left + i * (size + gap)) / WIDTH, bottom / height)
            axes = figure.add_axes((*place, size / WIDTH, size / height))
            axes.set(xlim=(-self._limit, self._limit), ylim=(-self._limit, self._limit))
            axes.set_xlabel("x (action, first coordinate)" if i == 0 else "x")
            if i == 0:
                axes.set_ylabel("y (action, second coordinate)")
            else:
                axes.set_yticklabels([])
            if name in self.fields:
                self._draw_particles(axes, self._runs[steps][name], time)
                distance = self._distances[steps][name]
                axes.set_title(f"{name}, m = {steps}: distance {distance:.3f}")
            else:
                axes.scatter(*self.data[: len(self.noise)].T, s=7, color=GREEN, alpha=0.6, lw=0)
                axes.set_title(f"data: distance {self._floor:.3f}")
        return figure

    def _draw_particles(self, axes: Axes, path: np.ndarray, time: float) -> None:
        before, position = path_until(path, time)
        lines = path[:, :MAX_LINES].transpose(1, 0, 2)
        travelled = before[:, :MAX_LINES].transpose(1, 0, 2)
        axes.add_collection(LineCollection(lines, colors="0.85", linewidths=0.5, zorder=1))
        axes.add_collection(LineCollection(travelled, colors="0.5", linewidths=0.6, zorder=1))
        axes.scatter(*path[0].T, s=4, color=ORANGE, alpha=0.35, linewidths=0, zorder=2)
        axes.scatter(*position.T, s=8, color=BLUE, alpha=0.75, linewidths=0, zorder=3)

    def caption(self, *, steps: int, time: float) -> str:
        far = " and ".join(f"{name} {d:.3f}" for name, d in self._distances[steps].items())
        told = min(steps, self.denoise_steps)
        step = f"{steps} steps" if steps > 1 else "one step"
        return (
            f"{len(self.noise)} particles at t = {_short(time)} of {step} (told h = 1/{told}): "
            f"where they started in orange, where they are in blue, their way in grey. Energy "
            f"distance to the data once they arrive: {far}; other samples of the data: "
            f"{self._floor:.3f}."
        )

    def facts(self, *, steps: int, time: float) -> dict[str, Any]:
        return {
            "steps": steps,
            "time": time,
            "told_h": 1 / min(steps, self.denoise_steps),
            "energy_distance": dict(self._distances[steps]),
            "energy_distance_of_data": self._floor,
            "mean_position": {
                name: path_until(path, time)[1].mean(0).tolist()
                for name, path in self._runs[steps].items()
            },
        }


def path_until(
    path: Float[np.ndarray, "knots batch 2"], time: float
) -> tuple[Float[np.ndarray, "passed batch 2"], Float[np.ndarray, "batch 2"]]:
    """The part of an Euler path that has been travelled at time t, and where that is.

    Between two of its knots, which are 1/m apart in time, the path is straight.
    """
    steps = len(path) - 1
    last = min(int(time * steps), steps - 1)
    rest = time * steps - last
    position = (1 - rest) * path[last] + rest * path[last + 1]
    return np.concatenate([path[: last + 1], position[None]]), position


def check_points(data: Any, least: int) -> Float[np.ndarray, "n 2"]:
    """`data` as an array; ConfigError unless it is (n, 2), finite, and of `least` rows or more."""
    points = np.asarray(data, dtype=np.float32)
    check(
        points.ndim == 2 and points.shape[1] == 2,
        f"data has shape {points.shape}; expected (n, 2)",
    )
    check(
        len(points) >= least,
        f"data has {len(points)} rows; {least} are needed, half of them to compare with",
    )
    check(bool(np.isfinite(points).all()), "data holds NaN or infinite values")
    return points


def _short(time: float) -> str:
    return f"{time:g}"


# ------------------------------------------------------------- pictures and numbers of lessons 1, 2


def distances_to_data(
    apply: Callable,
    params: Any,
    data: Float[Array, "n 2"],
    *,
    key: PRNGKeyArray,
    steps: Sequence[int] = STEPS,
    denoise_steps: int = 8,
    samples: int = 600,
) -> Float[np.ndarray, "seed steps"]:
    """The energy distance to the data of what each seed's field makes of the same noise.

    Args:
        apply: of a Flax field, as `bind` takes it.
        params: its parameters, with a leading axis of seeds.
        data: of which the last `samples` points are compared with.
        key: draws the noise.
        steps: the numbers of steps m.
        denoise_steps: M; a field is told h = 1/min(m, M).
        samples: how many particles.
    """
    noise, obs = jax.random.normal(key, (samples, 2)), jnp.zeros((samples, 1))

    def distance(params: Any, m: int) -> Array:
        a_1 = integrate(bind(apply, params), obs, noise, m, step_size=1 / min(m, denoise_steps))
        return energy_distance(a_1, data[-samples:])

    run = jax.jit(jax.vmap(lambda p: jnp.stack([distance(p, m) for m in steps])))
    return np.asarray(run(params))


def distances_over_training(
    apply: Callable,
    params: Any,
    data: Float[Array, "n 2"],
    *,
    key: PRNGKeyArray,
    steps: int = 1,
    samples: int = 400,
) -> Float[np.ndarray, "seed snapshot"]:
    """As `distances_to_data` at one number of steps m (told 1/m), for snapshots of the parameters.

    `params` has two leading axes: seeds, then snapshots.
    """
    noise, obs = jax.random.normal(key, (samples, 2)), jnp.zeros((samples, 1))

    def distance(params: Any) -> Array:
        return energy_distance(integrate(bind(apply, params), obs, noise, steps), data[-samples:])

    return np.asarray(jax.jit(jax.vmap(lambda seed: jax.lax.map(distance, seed)))(params))


def distance_floor(data: Float[Array, "n 2"], samples: int = 600) -> float:
    """The distance that chance leaves between two samples of the data itself."""
    return float(_distance(data[:samples], data[-samples:]))


@styled
def curves(
    values: Mapping[str, Shaped[np.ndarray | Array, "seed x"]],
    x: Sequence[float],
    *,
    xlabel: str = "Euler steps m",
    ylabel: str = "energy distance to the data (action units)",
    floor: float | None = None,
    doubling: bool = True,
) -> Figure:
    """Means over seeds with Student's 95% intervals, a line per name.

    Args:
        values: by name, a row per seed and a column per x.
        x: what runs along the horizontal axis.
        xlabel, ylabel: of the axes.
        floor: a level to compare with, what chance leaves between two samples of the data.
        doubling: x is on a log2 scale.
    """
    figure = Figure(figsize=(0.75 * WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    for color, marker, (name, rows) in zip(
        (ORANGE, BLUE, RED, GREEN), "osD^", values.items(), strict=False
    ):
        rows = np.asarray(rows)
        check(
            rows.ndim == 2 and rows.shape[1] == len(x),
            f"'{name}' has shape {rows.shape}; expected (seeds, {len(x)})",
        )
        mean = rows.mean(0)
        low, high = np.array([t_interval(column) for column in rows.T]).T
        axes.plot(x, mean, color=color, marker=marker, markersize=4, label=name)
        axes.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
    if floor is not None:
        axes.axhline(floor, color="0.4", linestyle=":", label="two samples of the data")
    if doubling:
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    seeds = len(next(iter(values.values())))
    axes.set(xlabel=xlabel, ylabel=ylabel, title=f"mean of {seeds} seeds and 95% interval")
    axes.set_ylim(bottom=0)
    axes.legend()
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
    """The straight paths that come through a place at a time, and the average of their velocities.

    Args:
        noise, actions: a_0 and a_1 of the paths.
        point: the place.
        times: a panel for each time t.
        radius: how near to the place a path must come at t.
    """
    a_0, a_1, place = np.asarray(noise), np.asarray(actions), np.asarray(point)
    figure = Figure(figsize=(WIDTH, WIDTH / len(times) + 0.6), layout="constrained")
    panels = figure.subplots(1, len(times), sharex=True, sharey=True, squeeze=False)[0]
    for axes, t in zip(panels, times, strict=True):
        near = np.linalg.norm((1 - t) * a_0 + t * a_1 - place, axis=-1) < radius
        check(bool(near.any()), f"no path comes within {radius} of {point} at t = {t}")
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
                arrowstyle="-|>", color=RED, lw=2.5, mutation_scale=16, shrinkA=0, shrinkB=0
            ),
            zorder=6,
        )
        axes.plot(*place, "o", color=RED, markeredgecolor="white", markersize=8, zorder=5)
        axes.plot([], [], color=RED, linewidth=2.5, label="their average velocity")
        axes.set(title=f"t = {t:g}: {near.sum()} paths", xlabel="x (action)", aspect="equal")
        axes.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8))
    panels[0].set_ylabel("y (action)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


@styled
def velocity_slices(
    exact: Callable[[Array, float], Array],
    trained: Sequence[Field],
    times: Sequence[float] = (0.1, 0.5, 0.9),
) -> Figure:
    """The x-velocity along the line y = 0: a formula against trained fields, a panel for each t.

    Args:
        exact: u(a_t, t), (batch, 2) and a number to (batch, 2).
        trained: the fields of several seeds.
        times: t of each panel.
    """
    x = jnp.linspace(-1.5, 1.5, 61)
    a_t, column = jnp.stack([x, jnp.zeros_like(x)], -1), jnp.ones((len(x), 1))
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panels = figure.subplots(1, len(times), sharey=True, squeeze=False)[0]
    for axes, t in zip(panels, times, strict=True):
        for i, field in enumerate(trained):
            velocity = field(0 * column, a_t, t * column, 0 * column)[:, 0]
            label = f"trained, {len(trained)} seeds" if i == 0 else None
            axes.plot(x, velocity, color=BLUE, linewidth=1, alpha=0.7, label=label)
        axes.plot(x, exact(a_t, t)[:, 0], "--", color=ORANGE, linewidth=2.5, label="closed form")
        axes.set(title=f"t = {t:g}", xlabel="x of $a_t$ (action)")
    panels[0].set_ylabel("x of velocity (actions per unit time)")
    panels[0].legend()
    return figure
