"""ScalingExplorer: the steps x N surface, and the cost of its cells."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sorl_edu.errors import check
from sorl_edu.evaluation.statistics import summarize
from sorl_edu.inference import network_evaluations
from sorl_edu.plotting.scaling import DIGITS, SWEEP_LABELS, draw_surface
from sorl_edu.plotting.style import BLUE, ORANGE, styled
from sorl_edu.widgets.explorer import Explorer
from sorl_edu.widgets.frame import Parameter

COSTS = {
    "network evaluations": "network evaluations an action",
    "milliseconds": "time an action (ms), one observation",
}
# Behind a number on a colour: a dark theme inverts the picture, and made the number too faint.


class ScalingExplorer(Explorer):
    """Success (or episode length) over steps x N, and the cost of each setting.

    The left panel is the surface, with the setting of the sliders framed. The right panel shows
    every setting at its cost, that setting's 95% interval, and as a line the best of each budget.

    Args:
        episodes: a row per (training_seed, steps, candidates, episode), as `evaluation.sweep` and
            `shipped.episodes` return them; a full grid of steps x candidates.
        milliseconds: columns steps, candidates, milliseconds, for the same settings; without it
            the cost is in network evaluations only.
        ensemble: networks of the critic, each evaluated once per candidate.

    Raises:
        ConfigError: a missing column or a missing setting.
    """

    def __init__(
        self,
        episodes: pd.DataFrame,
        milliseconds: pd.DataFrame | None = None,
        *,
        ensemble: int = 2,
        title: str = "What steps and candidates buy, and what they cost",
    ) -> None:
        columns = ("training_seed", "steps", "candidates", "success", "length", "return")
        missing = [column for column in columns if column not in episodes]
        check(not missing, f"the episodes lack {', '.join(missing)}; pass what `sweep` returns")
        self.summary = summarize(episodes).set_index(["steps", "candidates"]).sort_index()
        steps, candidates = (tuple(map(int, level)) for level in self.summary.index.levels)
        check(
            len(self.summary) == len(steps) * len(candidates),
            f"{len(steps)} steps x {len(candidates)} candidates make a grid of "
            f"{len(steps) * len(candidates)} settings, and the episodes have {len(self.summary)}",
        )
        self.summary["network evaluations"] = [
            network_evaluations(m, n, ensemble) for m, n in self.summary.index
        ]
        costs = ["network evaluations"]
        if milliseconds is not None:
            measured = milliseconds.set_index(["steps", "candidates"]).milliseconds
            lacking = self.summary.index.difference(measured.index)
            check(len(lacking) == 0, f"no milliseconds for {lacking.tolist()}")
            self.summary["milliseconds"] = measured.reindex(self.summary.index)
            costs.append("milliseconds")
        self.title = title
        self.parameters = (
            Parameter("metric", "show", ("success", "length"), ("success", "length"), slow=True),
            Parameter("cost", "cost in", tuple(costs), slow=True),
            Parameter("steps", "steps m", steps),
            Parameter("candidates", "candidates N", candidates),
        )

    @styled
    def draw(self, *, metric: str, cost: str, steps: int, candidates: int) -> Figure:
        table = self.summary[metric].unstack("steps")
        figure = Figure(figsize=(10, 4.4))
        surface, plane = (figure.add_axes((x, 0.14, 0.38, 0.7)) for x in (0.07, 0.57))

        draw_surface(surface, table, metric)
        surface.invert_yaxis()
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            text = f"{value:.{DIGITS[metric]}f}"
            surface.text(j, i, text, ha="center", va="center", size=9)
        at = table.columns.get_loc(steps) - 0.5, table.index.get_loc(candidates) - 0.5
        surface.add_patch(
            Rectangle(at, 1, 1, fill=False, edgecolor=ORANGE, linewidth=3.5, clip_on=False)
        )
        surface.set_title(SWEEP_LABELS[metric].capitalize(), size=11)

        x, y = self.summary[cost], self.summary[metric]
        plane.scatter(x, y, s=18, color="0.6", zorder=2)
        front = self.front(metric, cost)
        plane.step(front[cost], front[metric], where="post", color=BLUE, zorder=1)
        chosen = self.summary.loc[(steps, candidates)]
        plane.errorbar(
            chosen[cost],
            chosen[metric],
            [[max(chosen[metric] - chosen[f"{metric}_low"], 0)],
             [max(chosen[f"{metric}_high"] - chosen[metric], 0)]],
            color=ORANGE, marker="o", markersize=9, capsize=4, zorder=3,
        )  # fmt: skip
        plane.set_xscale("log", base=2)
        plane.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        plane.set(xlabel=COSTS[cost], ylabel=SWEEP_LABELS[metric])
        if metric == "success":
            plane.set_ylim(-0.03, 1.03)
        plane.grid(True)
        plane.set_title("Every setting at its cost; line: the best so far", size=11)
        return figure

    def front(self, metric: str, cost: str) -> pd.DataFrame:
        """The settings that beat all cheaper ones, the cheapest first."""
        sign = 1 if metric == "success" else -1
        ordered = self.summary.sort_values([cost, metric], ascending=[True, sign < 0])
        best = (sign * ordered[metric]).cummax()
        return ordered[best.diff().fillna(1) > 0]

    def caption(self, *, metric: str, cost: str, steps: int, candidates: int) -> str:
        row = self.summary.loc[(steps, candidates)]
        digits = DIGITS[metric]
        value, low, high = (row[metric + suffix] for suffix in ("", "_low", "_high"))
        return (
            f"{steps} step(s), N = {candidates}: {metric} {value:.{digits}f} "
            f"[{low:.{digits}f}, {high:.{digits}f}] ({row.interval}), for {self._cost_text(row)}."
        )

    def facts(self, *, metric: str, cost: str, steps: int, candidates: int) -> dict:
        row = self.summary.loc[(steps, candidates)]
        return {
            "steps": steps,
            "candidates": candidates,
            "metric": metric,
            "value": float(row[metric]),
            "low": float(row[f"{metric}_low"]),
            "high": float(row[f"{metric}_high"]),
            "cost": float(row[cost]),
        }

    def _cost_text(self, row: pd.Series) -> str:
        text = f"{row['network evaluations']:.0f} network evaluations an action"
        return text + (f" ({row.milliseconds:.2f} ms)" if "milliseconds" in row else "")
