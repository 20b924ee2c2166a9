"""Helpers of several test modules."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from packaging.version import Version

from sorl_edu.agents.presets import preset

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NODE = shutil.which("node")


def _has(package: str, least: str = "0") -> bool:
    try:
        return Version(version(package)) >= Version(least)
    except PackageNotFoundError:
        return False


# JupyterLab 4 draws the widgets of ipywidgets 8. Colab has 7, and its own front end.
HAS_BROWSER = CHROMIUM is not None and _has("playwright") and _has("ipywidgets", "8")

# SORL for the course's maze, too small to learn anything or to take any time.
TINY = preset(
    "pointmaze",
    max_backprop_steps=2,
    denoise_steps=2,
    batch_size=16,
    **{"field.hidden": (8,), "critic.hidden": (8,)},
)


def checks_that_do_not_wait(cells: Sequence[dict]) -> list[str]:
    """The checks of a notebook, run with its blanks empty, that don't say that they wait."""
    return [
        cell["source"]
        for cell in cells
        if any(tag.startswith("check-") for tag in cell["metadata"].get("tags", ()))
        and "waits for you" not in json.dumps(cell["outputs"])
    ]


def pixels(figure: Figure) -> np.ndarray:
    """A figure's pixels, (height, width, RGBA)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


# Of a playground's element: the steps per second of an environment at four settings.
PLAY_RATE = """
async root => {
  const {play} = root.playground;
  play.stop();
  await play.episodes.begin([0, 0]);
  for (const one of play.episodes.all) Object.assign(one, {over: false, path: [[0, 0]]});
  const {time} = play.episodes, start = performance.now();
  while (play.episodes.time < time + 40) await play.episodes.advance();
  return 1000 * (play.episodes.time - time) / (performance.now() - start);
}
"""


def node(script: Path, given: Any) -> Any:
    """Runs a script of node.js with JSON on its stdin, and returns the JSON on its stdout."""
    done = subprocess.run([NODE, script], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
