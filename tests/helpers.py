"""Helpers of several test modules."""

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
IN_BROWSER = "00_welcome"  # the lesson that CI opens in JupyterLab
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


def run_node_tests(folder: Path, least: int) -> None:
    """Runs node's tests of a folder, which must have at least so many files of them."""
    tests = sorted(map(str, folder.glob("*.test.mjs")))
    assert len(tests) >= least
    done = subprocess.run([NODE, "--test", *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def displayed(shown: Any, monkeypatch: pytest.MonkeyPatch) -> list:
    """The objects that a notebook's cell displays of one."""
    display = pytest.importorskip("IPython.display", reason="make test installs it")
    bundles = []
    monkeypatch.setattr(display, "display", bundles.append)
    shown._ipython_display_()
    return bundles


class OfflinePage:
    """A page from a disk, without a network, whose `errors` are all that its console says."""

    def __init__(
        self, browser: Any, file: Path, *, wait: int, script: str | None = None, **options: Any
    ) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page, self.errors = self.context.new_page(), []
        self.page.set_default_timeout(wait)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        if script is not None:
            self.page.add_init_script(script)
        self.page.goto(file.as_uri())


def unpacked_mujoco(archive: bytes, folder: Path) -> str:
    """Writes MuJoCo's build for browsers, for node, into a folder; returns the folder."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for name in ("mujoco.js", "mujoco.wasm", "package.json"):
            (folder / name).write_bytes(opened.extractfile(f"package/{name}").read())
    return str(folder)
