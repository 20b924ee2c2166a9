"""SelfConsistencyExplorer: one big jump against two half jumps, over training.

    explorer = SelfConsistencyExplorer((updates, shortcuts), data, key=jax.random.key(0))
    explorer.render(update=1000, jump=0.5)

A shortcut whose jumps land at the same places at every step size is self-consistent: lesson 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sorl_edu.errors import check
from sorl_edu.flow_matching import euler_step, interpolate
from sorl_edu.plotting.clouds import half_width
from sorl_edu.plotting.style import BLACK, BLUE, GREEN, ORANGE, RED, WIDTH, styled
from sorl_edu.shortcut import Shortcut, at_step_size, check_denoise_steps
from sorl_edu.widgets.explorer import Explorer
from sorl_edu.widgets.flow import check_points
from sorl_edu.widgets.frame import Parameter

ARROWS = 24  # particles whose jumps are drawn
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (4, 1, 1, 1)), (0, (8, 2)))


class SelfConsistencyExplorer(Explorer):
    """The landings of one jump of 2h and of two of h, and the gap between them, over training.

    The jump starts at t = 1 - 2h and so ends at the data, t = 1. Particles a_t lie on paths from
    noise to the data, the same ones in every picture. Shortcuts see a column of zeros for the
    observation.

    Args:
        snapshots: (updates, shortcuts): the number of updates before each snapshot, rising, and the
            shortcut field (obs, a_t, t, h) at that time.
        data: (n, 2) points, at least as many as `samples`.
        key: draws the noise.
        denoise_steps: M, a power of two, at least 2; 2h is 1, 1/2, ... 2/M.
        samples: the number of particles, at least 2.

    Raises:
        ConfigError: an argument outside these ranges.
    """

    def __init__(
        self,
        snapshots: tuple[Sequence[int], Sequence[Shortcut]],
        data: Shaped[np.ndarray | Array, "..."],
        *,
        key: PRNGKeyArray,
        denoise_steps: int = 8,
        samples: int = 300,
    ) -> None:
        updates, shortcuts = snapshots
        updates = tuple(map(int, updates))
        check(len(updates) > 0, "snapshots must hold at least one shortcut")
        check(
            len(updates) == len(shortcuts),
            f"snapshots names {len(updates)} updates for {len(shortcuts)} shortcuts",
        )
        check(
            updates[0] >= 0 and all(a < b for a, b in itertools.pairwise(updates)),
            f"the updates of snapshots must rise from 0 or later, got {updates}",
        )
        check_denoise_steps(denoise_steps)
        check(samples >= 2, f"samples is {samples}; it must be at least 2")
        self.data = check_points(data, samples)
        self.updates, self.shortcuts = updates, tuple(shortcuts)
        self.noise = jax.random.normal(key, (samples, 2))
        levels = range(denoise_steps.bit_length() - 1)
        self.jumps = tuple(2.0**-j for j in levels)
        self.title = "One jump of 2h against two jumps of h, over training"
        self.parameters = (
            Parameter("update", "update", updates, start=updates[-1]),
            Parameter("jump", "jump 2h", self.jumps, names=tuple(map(_fraction, self.jumps))),
        )
        self._limit = half_width([self.noise, self.data])
        self._landings: dict[float, list[dict[str, np.ndarray]]] = {}
        self._gaps: dict[float, np.ndarray] = {}

    def prepare(self, *, update: int, jump: float) -> None:
        """Jumps with every shortcut, once: the curves show all updates and all jumps."""
        if self._landings:
            return
        obs = jnp.zeros((len(self.noise), 1))
        actions = jnp.asarray(self.data[: len(self.noise)])
        landings: dict[float, list] = {size: [] for size in self.jumps}
        for shortcut in self.shortcuts:
            for size in self.jumps:
                t, h = 1 - size, size / 2
                small, large = at_step_size(shortcut, h), at_step_size(shortcut, 2 * h)
                a_t = interpolate(self.noise, actions, jnp.full((len(actions), 1), t))
                middle = euler_step(small, obs, a_t, t, h)
                two = euler_step(small, obs, middle, t + h, h)
                one = euler_step(large, obs, a_t, t, 2 * h)
                places = {"start": a_t, "middle": middle, "two": two, "one": one}
                landings[size].append({name: np.asarray(a) for name, a in places.items()})
        for size, rows in landings.items():
            distances = [np.linalg.norm(row["one"] - row["two"], axis=-1) for row in rows]
            self._gaps[size] = np.array([d.mean() for d in distances])
        self._landings = landings

    def _at(self, update: int, jump: float) -> tuple[dict[str, np.ndarray], float]:
        i = self.updates.index(update)
        return self._landings[jump][i], float(self._gaps[jump][i])

    @styled
    def draw(self, *, update: int, jump: float) -> Figure:
        size, height = 2.85, 4.1  # inches
        figure = Figure(figsize=(WIDTH, height))
        panels = [
            figure.add_axes((x / WIDTH, 0.85 / height, size / WIDTH, size / height))
            for x in (0.6, 3.75, 7.1)
        ]
        landed, gap = self._at(update, jump)
        self._draw_jumps(panels[0], landed)
        self._draw_landings(panels[1], landed)
        self._draw_curves(panels[2], update, jump)
        panels[0].set_title(f"jumps from t = {_fraction(1 - jump)} to 1")
        panels[1].set_title(f"where they land: {gap:.3f} apart")
        panels[2].set_title("mean gap over training")
        for axes in panels[:2]:
            axes.set(xlim=(-self._limit, self._limit), ylim=(-self._limit, self._limit))
            axes.set_xlabel("x (action)")
        panels[0].set_ylabel("y (action)")
        panels[1].set_yticklabels([])
        handles = [*panels[0].get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="lower center", ncols=5)
        return figure

    def _draw_jumps(self, axes: Axes, landed: dict[str, np.ndarray]) -> None:
        some = {name: points[:ARROWS] for name, points in landed.items()}
        halves = np.stack([some["start"], some["middle"], some["two"]], axis=1)
        whole = np.stack([some["start"], some["one"]], axis=1)
        gaps = np.stack([some["one"], some["two"]], axis=1)
        axes.add_collection(LineCollection(whole, colors=ORANGE, linewidths=1.0, zorder=2))
        axes.add_collection(LineCollection(halves, colors=BLUE, linewidths=1.0, zorder=2))
        axes.add_collection(
            LineCollection(gaps, colors=BLACK, linewidths=1.5, linestyles=":", zorder=3)
        )
        none = dict(linestyle="none")
        axes.plot(*some["start"].T, **none, marker="x", color="0.4", ms=4, label="start, $a_t$")
        axes.plot(*some["one"].T, **none, marker="s", color=ORANGE, ms=4, label="one jump of 2h")
        axes.plot(*some["two"].T, **none, marker="o", color=BLUE, ms=4, label="two jumps of h")
        axes.plot(*some["middle"].T, **none, marker=".", color=BLUE, ms=3)
        axes.plot([], [], linestyle=":", color=BLACK, label="gap")
        axes.plot([], [], **none, marker="o", color=GREEN, ms=4, label="data")

    def _draw_landings(self, axes: Axes, landed: dict[str, np.ndarray]) -> None:
        axes.scatter(*self.data[: len(self.noise)].T, s=9, color=GREEN, alpha=0.3, lw=0, zorder=1)
        axes.scatter(*landed["one"].T, s=9, marker="s", color=ORANGE, alpha=0.6, lw=0, zorder=2)
        axes.scatter(*landed["two"].T, s=9, color=BLUE, alpha=0.6, lw=0, zorder=3)

    def _draw_curves(self, axes: Axes, update: int, jump: float) -> None:
        for i, (size, gaps) in enumerate(self._gaps.items()):
            chosen = size == jump
            axes.plot(
                self.updates,
                gaps,
                color="black" if chosen else "0.65",
                linestyle=DASHES[i % len(DASHES)],
                linewidth=2 if chosen else 1.2,
                label=f"2h = {_fraction(size)}",
            )
        axes.axvline(update, color=RED, linewidth=1)
        axes.plot(update, self._at(update, jump)[1], "o", color=RED, markersize=8)
        top = max(float(gaps.max()) for gaps in self._gaps.values())
        axes.set(ylim=(0, 1.08 * top or 1.0), xlabel="updates", ylabel="gap (action units)")
        if len(self.updates) > 2 and self.updates[0] == 0:
            first, last = self.updates[1], self.updates[-1]
            axes.set_xscale("symlog", linthresh=first, linscale=0.5)
            axes.set_xlim(-0.2 * first, 1.3 * last)
        axes.legend(loc="upper right")

    def caption(self, *, update: int, jump: float) -> str:
        _, gap = self._at(update, jump)
        first = float(self._gaps[jump][0])
        return (
            f"After {update} updates, one jump of 2h = {_fraction(jump)} from "
            f"t = {_fraction(1 - jump)} lands {gap:.3f} away from two jumps of "
            f"h = {_fraction(jump / 2)}, on average over {len(self.noise)} particles "
            f"({first:.3f} after {self.updates[0]} updates)."
        )

    def facts(self, *, update: int, jump: float) -> dict[str, Any]:
        landed, gap = self._at(update, jump)
        return {
            "update": update,
            "jump": jump,
            "t": 1 - jump,
            "gap": gap,
            "mean_landing": {name: landed[name].mean(0).tolist() for name in ("one", "two")},
        }


def _fraction(value: float) -> str:
    """A binary fraction as text: 1/4, 3/4, 1."""
    top, bottom = float(value).as_integer_ratio()
    return str(top) if bottom == 1 else f"{top}/{bottom}"
