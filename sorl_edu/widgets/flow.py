"""FlowExplorer: m Euler steps from noise to data, for several fields side by side.

    explorer = FlowExplorer({"flow": field}, data, key=jax.random.key(0))
    explorer.render(steps=2, time=0.5)

    FlowExplorer({"flow": field}, data, shortcuts={"shortcut": s}, denoise_steps=8, key=key)

Above each panel stands the energy distance of its samples to the data, measured as by
`plotting.distances_to_data`: with the same key and number of samples it is the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.flow_matching import Field, integrate_path
from sorl_edu.plotting.clouds import STEPS, energy_distance, half_width
from sorl_edu.plotting.style import BLUE, GREEN, ORANGE, WIDTH, plural, styled
from sorl_edu.shortcut import Shortcut, at_step_size, check_denoise_steps, check_steps
from sorl_edu.widgets.explorer import Explorer, as_tuple
from sorl_edu.widgets.frame import Parameter

TIMES = tuple(i / 10 for i in range(11))
MAX_FIELDS, MAX_LINES = 3, 120

_distance = jax.jit(energy_distance)


class FlowExplorer(Explorer):
    """Samples and their paths as the number of steps changes, a panel per field, then the data.

    All fields start from the same noise, and see a column of zeros for the observation.

    Args:
        fields: velocity fields (obs, a_t, t) by name, which any number of steps follows as they
            are. The panels show them first, in order.
        data: (n, 2) points, at least twice as many as `samples`.
        key: draws the noise.
        shortcuts: shortcut fields (obs, a_t, t, h) by name, which see h = 1/min(m, M) as in
            `shortcut.sample_from`. Fields and shortcuts are 1 to 3 together.
        denoise_steps: M of the shortcuts, a power of two, at least 2.
        steps: the numbers of steps m to choose from, powers of two.
        shortcut_steps: the shortcuts' own numbers of steps, with a slider of their own; they take
            as many steps as the fields unless given.
        samples: the number of particles, at least 2.
        times: the times t in [0, 1] at which to show the particles; the last is shown first, and
            one alone has no slider.

    Raises:
        ConfigError: an argument outside these ranges.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        data: Shaped[np.ndarray | Array, "..."],
        *,
        key: PRNGKeyArray,
        shortcuts: Mapping[str, Shortcut] | None = None,
        denoise_steps: int = 8,
        steps: Sequence[int] = STEPS,
        shortcut_steps: Sequence[int] | None = None,
        samples: int = 600,
        times: Sequence[float] = TIMES,
    ) -> None:
        shortcuts = dict(shortcuts or {})
        count = len(fields) + len(shortcuts)
        check(1 <= count <= MAX_FIELDS, f"there are {count} fields; there can be 1 to {MAX_FIELDS}")
        both = ", ".join(fields.keys() & shortcuts.keys())
        check(not both, f"{both} names both a field and a shortcut")
        check_denoise_steps(denoise_steps)
        steps, times = as_tuple("steps", steps), as_tuple("times", times)
        own = () if shortcut_steps is None else as_tuple("shortcut_steps", shortcut_steps)
        for m in (*steps, *own):
            check_steps(m)
        for t in times:
            check(0 <= t <= 1, f"times holds {t}; a time t lies between 0 (noise) and 1 (data)")
        check(samples >= 2, f"samples is {samples}; it must be at least 2")
        self.fields, self.shortcuts, self.denoise_steps = dict(fields), shortcuts, denoise_steps
        self.names = (*fields, *shortcuts)
        self.data = check_points(data, 2 * samples)
        self.noise = jax.random.normal(key, (samples, 2))
        self.title = f"Noise to data in m steps: {', '.join(self.names)}"
        self.last = times[-1]
        names = tuple(f"{t:g}" for t in times)
        time = Parameter("time", "time t", times, names=names, start=self.last)
        whose = f" of {' and '.join(fields)}" if own else ""
        sliders = [Parameter("steps", f"Euler steps m{whose}", steps)]
        if own:
            label = f"steps m of {' and '.join(shortcuts)}"
            sliders.append(Parameter("shortcut_steps", label, own))
        self.parameters = (*sliders, time) if len(times) > 1 else tuple(sliders)
        self._limit = half_width([self.noise, self.data])
        self._reference = jnp.asarray(self.data[-samples:])
        self._floor: float | None = None
        self._runs: dict[tuple[str, int], np.ndarray] = {}
        self._distances: dict[tuple[str, int], float] = {}

    def step_size(self, steps: int) -> float:
        """h that the shortcuts see in m steps: 1/m, and never less than 1/M."""
        return 1 / min(steps, self.denoise_steps)

    def runs(self, steps: int, shortcut_steps: int | None) -> dict[str, tuple[str, int]]:
        """What each panel shows: its name, and its number of steps."""
        own = steps if shortcut_steps is None else shortcut_steps
        return {name: (name, own if name in self.shortcuts else steps) for name in self.names}

    def prepare(self, *, steps: int, shortcut_steps: int | None = None, **_) -> None:
        """Integrates every field in its number of steps, once."""
        obs = jnp.zeros((len(self.noise), 1))
        if self._floor is None:
            own = jnp.asarray(self.data[: len(self.noise)])
            self._floor = float(_distance(own, self._reference))
        for name, m in self.runs(steps, shortcut_steps).values():
            if (name, m) in self._runs:
                continue
            shortcut = self.shortcuts.get(name)
            field = at_step_size(shortcut, self.step_size(m)) if shortcut else self.fields[name]
            run = jax.jit(lambda noise, field=field, m=m: integrate_path(field, obs, noise, m))
            path = run(self.noise)
            self._distances[name, m] = float(_distance(path[-1], self._reference))
            self._runs[name, m] = np.asarray(path)

    @styled
    def draw(
        self, *, steps: int, shortcut_steps: int | None = None, time: float | None = None
    ) -> Figure:
        time, runs = self.last if time is None else time, self.runs(steps, shortcut_steps)
        count = len(self.names) + 1
        left, gap, bottom, top = 0.55, 0.25, 0.55, 0.55  # inches
        size = min((WIDTH - left - 0.1 - gap * (count - 1)) / count, 3.6)
        height = bottom + size + top
        figure = Figure(figsize=(WIDTH, height))
        for i, name in enumerate([*self.names, "data"]):
            place = ((left + i * (size + gap)) / WIDTH, bottom / height)
            axes = figure.add_axes((*place, size / WIDTH, size / height))
            axes.set(xlim=(-self._limit, self._limit), ylim=(-self._limit, self._limit))
            axes.set_xlabel("x (action, first coordinate)" if i == 0 else "x")
            if i == 0:
                axes.set_ylabel("y (action, second coordinate)")
            else:
                axes.set_yticklabels([])
            if name in runs:
                self._draw_particles(axes, self._runs[runs[name]], time)
                distance = self._distances[runs[name]]
                axes.set_title(f"{name}, m = {runs[name][1]}: distance {distance:.3f}")
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

    def caption(
        self, *, steps: int, shortcut_steps: int | None = None, time: float | None = None
    ) -> str:
        runs, own = self.runs(steps, shortcut_steps), shortcut_steps or steps
        distances = " and ".join(f"{name} {self._distances[run]:.3f}" for name, run in runs.items())
        h = f"1/{min(own, self.denoise_steps)}"
        seen = f" {' and '.join(self.shortcuts)}: h = {h}." if self.shortcuts else ""
        taken = plural(steps, "step") + ("" if own == steps else f" or {own}")
        return (
            f"{len(self.noise)} particles at t = {self.last if time is None else time:g} of "
            f"{taken}: their starts in orange, their places in blue, their paths in grey.{seen} "
            f"Energy distance to the data at the end: {distances}; of other samples of the data: "
            f"{self._floor:.3f}."
        )

    def facts(
        self, *, steps: int, shortcut_steps: int | None = None, time: float | None = None
    ) -> dict[str, Any]:
        runs, time = self.runs(steps, shortcut_steps), self.last if time is None else time
        return {
            "steps": steps,
            "time": time,
            "step_size": self.step_size(shortcut_steps or steps) if self.shortcuts else None,
            "energy_distance": {name: self._distances[run] for name, run in runs.items()},
            "energy_distance_of_data": self._floor,
            "mean_position": {
                name: path_until(self._runs[run], time)[1].mean(0).tolist()
                for name, run in runs.items()
            },
        }


def path_until(
    path: Float[np.ndarray, "knots batch 2"], time: float
) -> tuple[Float[np.ndarray, "passed batch 2"], Float[np.ndarray, "batch 2"]]:
    """The part of an Euler path travelled until time t, and the position then.

    Between two knots, which are 1/m apart in time, the path is straight.
    """
    steps = len(path) - 1
    last = min(int(time * steps), steps - 1)
    rest = time * steps - last
    position = (1 - rest) * path[last] + rest * path[last + 1]
    return np.concatenate([path[: last + 1], position[None]]), position


def check_points(data: Any, least: int) -> Float[np.ndarray, "n 2"]:
    """`data` as an array; ConfigError unless it is (n, 2), finite, and at least `least` rows."""
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
