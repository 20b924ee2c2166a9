"""What several test modules need and no fixture gives."""

import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sorl_edu import presets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HAS_BROWSER = CHROMIUM is not None and importlib.util.find_spec("playwright") is not None

# SORL for the course's maze, so small that it learns nothing and takes no time.
TINY = replace(
    presets.POINTMAZE,
    denoise_steps=2,
    max_backprop_steps=2,
    field_hidden=(8,),
    critic_hidden=(8,),
    batch_size=16,
)


def checks_that_do_not_wait(cells: Sequence[dict]) -> list[str]:
    """Of a notebook that was run with its blanks empty: the checks that didn't say so."""
    return [
        cell["source"]
        for cell in cells
        if any(tag.startswith("check-") for tag in cell["metadata"].get("tags", ()))
        and "waits for you" not in json.dumps(cell["outputs"])
    ]


def pixels(figure: Figure) -> np.ndarray:
    """What a figure looks like: (height, width, RGBA)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
