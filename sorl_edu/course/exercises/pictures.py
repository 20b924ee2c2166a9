"""Pictures of assignment 1: paths and their spread, orders of convergence, unequal jumps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from sorl_edu.course.exercises.given import column
from sorl_edu.plotting import BLACK, BLUE, GREEN, ORANGE, WIDTH, new_figure, styled
from sorl_edu.plotting.lines import course_of
from sorl_edu.shortcut import Shortcut

NAME = dict(facecolor="white", alpha=0.8, linewidth=0, pad=1)  # behind the name of an arrow


@styled
def paths_and_spread(
    paths: Mapping[str, Float[Array, "times batch 2"]], times: Float[Array, " times"]
) -> Figure:
    """A panel of paths from noise to data for each name, and the spread of all over time."""
    figure = new_figure(WIDTH, WIDTH / 3 + 0.5)
    told = []
    *panels, last = figure.subplots(1, len(paths) + 1)
    for axes, color, dashes, (name, path) in zip(
        panels, (ORANGE, BLUE), ("-", "--"), paths.items(), strict=False
    ):
        path = np.asarray(path)
        axes.plot(*path[:, :25].transpose(2, 0, 1), color=color, linewidth=1, alpha=0.7)
        axes.scatter(*path[0, :25].T, s=12, color="0.35", zorder=3, label="noise $a_0$")
        axes.scatter(*path[-1, :25].T, s=12, color=GREEN, zorder=3, label="data $a_1$")
        axes.set(title=name, xlabel="x", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        spread = path.std(axis=1).mean(axis=1)
        last.plot(times, spread, color=color, linestyle=dashes, label=name)
        told.append(f"on {name} paths it {course_of(times.tolist(), spread)}")
    panels[0].set_ylabel("y")
    panels[0].legend(loc="lower left", handletextpad=0.1)
    last.set(title="spread", xlabel="time t", ylabel="standard deviation", ylim=(0, 1.2))
    last.legend(loc="lower left")
    figure.alt = (
        f"A panel of paths from noise to data for each of {' and '.join(paths)}, and the standard "
        f"deviation of all points against time t: {'; '.join(told)}."
    )
    return figure


@styled
def orders_of_convergence(
    errors: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[float]]]],
) -> Figure:
    """Error against evaluations of the field on logarithmic axes, with the slope of each line.

    Args:
        errors: for each panel and each method, by name, numbers of evaluations and the errors.
    """
    figure = new_figure(WIDTH, 4.0)
    told = []
    panels = figure.subplots(1, len(errors), sharey=True, squeeze=False)[0]
    for axes, (title, methods) in zip(panels, errors.items(), strict=True):
        for color, marker, (name, (evaluations, error)) in zip(
            (ORANGE, BLUE), "os", methods.items(), strict=False
        ):
            slope = np.diff(np.log(error[-3:])).sum() / np.diff(np.log(evaluations[-3:])).sum()
            label = f"{name}: slope {slope:.1f} at the right"
            told.append(f"{title}, {label}, error {course_of(evaluations, error)}")
            axes.plot(evaluations, error, color=color, marker=marker, markersize=4, label=label)
        axes.set(title=title, xlabel="evaluations of the field", xscale="log", yscale="log")
        axes.set_xticks(ticks := sorted({n for e, _ in methods.values() for n in e}), ticks)
        axes.minorticks_off()
        axes.legend(loc="lower left")
    panels[0].set_ylabel("mean distance to the exact end (action units)")
    figure.alt = (
        "The mean distance to the exact end against evaluations of the field, both logarithmic. "
        f"{'; '.join(told)}."
    )
    return figure


@styled
def unequal_jumps(
    shortcut: Shortcut, a_t: Float[Array, "1 2"], t: float, h1: float, h2: float
) -> Figure:
    """One jump of h1 + h2 and its two parts: the displacements, and the velocities.

    Args:
        shortcut: a perfect shortcut, which also draws the path.
        a_t: the point where the jumps start.
        t: the time when they start.
        h1: the length of the first part.
        h2: the length of the second part.
    """

    def velocity(a: Array, t: float, h: float) -> np.ndarray:
        return np.asarray(shortcut(jnp.zeros((1, 1)), a, column(a, t), column(a, h)))[0]

    start = np.asarray(a_t)[0]
    v, v1 = velocity(a_t, t, h1 + h2), velocity(a_t, t, h1)
    middle = start + h1 * v1
    v2 = velocity(jnp.asarray(middle)[None], t + h1, h2)
    grid = np.linspace(1e-3, h1 + h2, 60)
    curve = np.stack([start + h * velocity(a_t, t, h) for h in grid])

    figure = new_figure(WIDTH, 4.2)
    displacements, velocities = figure.subplots(1, 2)
    displacements.plot(*curve.T, color="0.7", linewidth=5, zorder=1, label="the path")
    origin = np.zeros(2)
    jumps = (
        (BLUE, "$v_1$", start, h1 * v1, v1, f"first part, $h_1$ = {h1:.3g}"),
        (ORANGE, "$v_2$", middle, h2 * v2, v2, f"second part, $h_2$ = {h2:.3g}"),
        (BLACK, "$v$", start, (h1 + h2) * v, v, f"one jump, $h_1 + h_2$ = {h1 + h2:.3g}"),
    )
    for color, name, begin, displacement, speed, label in jumps:
        for axes, tail, arrow in (
            (displacements, begin, displacement),
            (velocities, origin, speed),
        ):
            axes.annotate(
                "",
                tail + arrow,
                tail,
                arrowprops=dict(
                    arrowstyle="-|>", color=color, lw=2.2, mutation_scale=16, shrinkA=0, shrinkB=0
                ),
                zorder=4,
            )
        velocities.annotate(
            name, speed, (6, 2), textcoords="offset points", size=13, bbox=NAME, zorder=5
        )
        displacements.plot([], [], color=color, label=label)
    velocities.plot(*np.stack([v1, v2]).T, color="0.6", linestyle=":", zorder=1)
    knots = np.stack([start, middle, start + (h1 + h2) * v])
    displacements.plot(*knots.T, "o", color="0.5", markersize=5)
    displacements.set(
        title="displacements", xlabel="x (action)", ylabel="y (action)", aspect="equal"
    )
    displacements.margins(0.12)
    figure.legend(loc="outside lower center", ncols=4)
    ends = np.stack([origin, v, v1, v2])
    low, high = ends.min(0), ends.max(0)
    room = 0.12 * (high - low).max()
    velocities.set(title="velocities", xlabel="x (actions per unit time)", aspect="equal")
    velocities.set(xlim=(low[0] - room, high[0] + room), ylim=(low[1] - room, high[1] + room))
    told = [
        f"{label}, displacement ({d[0]:.2f}, {d[1]:.2f}), velocity ({speed[0]:.2f}, {speed[1]:.2f})"
        for _, _, _, d, speed, label in jumps
    ]
    figure.alt = (
        "Arrows for two jumps, one after the other, and for the one jump that leads to the same "
        f"point; left their displacements, right their velocities. {'; '.join(told)}."
    )
    return figure
