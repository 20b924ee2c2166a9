"""What all explorers share: parameters, frames that are drawn beforehand, and two views of them.

An explorer is a pure function of its parameters:

    figure = explorer.render(steps=8, candidates=32)       # a matplotlib Figure, without Jupyter

Both views look up frames that were drawn beforehand, so that a control answers at once:

    explorer                                   # in a notebook: sliders, answered by the kernel
    explorer.to_html("scaling.html")           # one file: the same sliders, without a kernel
"""

from __future__ import annotations

import io
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from sorl_edu.errors import ConfigError, UnknownName, check
from sorl_edu.plotting.style import PHOTOGRAPH
from sorl_edu.progress import progress_bar
from sorl_edu.widgets.frame import (
    CLICKABLE,
    Frame,
    Parameter,
    Region,
    check_labels,
    still_html,
)
from sorl_edu.widgets.page import page, save

if TYPE_CHECKING:
    from ipywidgets import Widget

    from sorl_edu.widgets.live import View

MAX_FRAMES, MAX_BYTES = 150, 5_000_000  # of a kernel-free page


class Explorer(ABC):
    """A picture with controls. A subclass draws the picture, and describes it in words.

    Attributes:
        title: the subject of the picture, on one line.
        parameters: in the order of the controls.
    """

    title: str
    parameters: tuple[Parameter, ...]

    @abstractmethod
    def draw(self, **setting) -> Figure:
        """The picture at one full, valid setting; a pure function."""

    @abstractmethod
    def caption(self, **setting) -> str:
        """A sentence or two on what the picture shows, with its main numbers.

        It stands below the picture, and a screen reader reads it instead of the picture.
        """

    def facts(self, **setting) -> dict[str, Any]:
        """The numbers on display as JSON values, for tests and for readers of the page's source."""
        return {}

    def prepare(self, **setting) -> None:  # noqa: B027  (subclasses may need none)
        """Computes what all frames with the same slow parameters share; called before `draw`."""

    def extras(self, view: View) -> Sequence[Widget]:
        """More controls of the live view, such as a button that starts a computation."""
        return ()

    # The rest is the same for every explorer.

    def setting(self, **changes) -> dict[str, Any]:
        """A full setting: `changes`, and the start of every other parameter.

        Raises:
            UnknownName: no such parameter.
            ConfigError: a value that the parameter can't take.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in changes.items():
            if name not in known:
                raise UnknownName("parameter", name, known)
            known[name].check(value)
        return {name: parameter.start for name, parameter in known.items()} | changes

    def render(self, **changes) -> Figure:
        """The picture, a pure function of the parameters that needs no Jupyter.

        Raises:
            UnknownName, ConfigError: as `setting`.
        """
        setting = self.setting(**changes)
        self.prepare(**setting)
        return self.draw(**setting)

    def frame(self, **changes) -> Frame:
        """The picture as a PNG with its caption, drawn at the first call and then kept."""
        setting = self.setting(**changes)
        frames = self.__dict__.setdefault("_frames", {})
        at = tuple(setting.values())
        if at not in frames:
            self.prepare(**setting)
            figure = self.draw(**setting)
            png, width, height = _png(figure)
            frames[at] = Frame(
                png,
                width,
                height,
                self.caption(**setting),
                self.facts(**setting),
                clickable=Region.of(figure, CLICKABLE),
                photograph=Region.of(figure, PHOTOGRAPH),
            )
        return frames[at]

    def is_drawn(self, **changes) -> bool:
        """Whether `frame` has been called with this setting."""
        return tuple(self.setting(**changes).values()) in self.__dict__.get("_frames", {})

    def settings(self, **fixed) -> Iterator[dict[str, Any]]:
        """All settings, last parameter fastest; `fixed` restricts a parameter to some values."""
        base = self.setting()
        for name in fixed:
            if name not in base:
                raise UnknownName("parameter", name, base)
        choices = []
        for parameter in self.parameters:
            values = fixed.get(parameter.name, parameter.values)
            values = values if isinstance(values, tuple | list) else (values,)
            for value in values:
                parameter.check(value)
            choices.append(values)
        for values in itertools.product(*choices):
            yield dict(zip(base, values, strict=True))

    def to_html(self, file: str | Path | None = None, *, show: bool = True, **values) -> str:
        """The explorer as one HTML page, whose controls work without Python.

        Args:
            file: the page is also written to this file, atomically.
            show: whether to show a progress bar while frames are drawn.
            values: the values to keep, by parameter; all of them unless given.

        Raises:
            UnknownName, ConfigError: no such parameter or value; two parameters with one label;
                more than 150 frames, or 5 MB.
        """
        check_labels(self.parameters)
        settings = list(self.settings(**values))
        check(
            len(settings) <= MAX_FRAMES,
            f"that would be {len(settings)} pictures, and a page holds {MAX_FRAMES} at most: keep "
            f"fewer values, as in to_html(..., {self.parameters[-1].name}="
            f"{self.parameters[-1].values[:2]})",
        )
        frames = [
            self.frame(**setting)
            for setting in progress_bar(settings, desc="drawing", unit="frame", show=show)
        ]
        kept = {name: {setting[name]: None for setting in settings} for name in self.setting()}
        controls = []
        for parameter in self.parameters:
            names = dict(zip(parameter.values, parameter.names, strict=True))
            points = dict(zip(parameter.values, parameter.points, strict=False))  # or none
            shown = list(kept[parameter.name])
            start = shown.index(parameter.start) if parameter.start in shown else 0
            controls.append(
                {
                    "name": parameter.name,
                    "label": parameter.label,
                    "names": [names[value] for value in shown],
                    "start": start,
                    "kind": "choice" if parameter.is_choice else "slider",
                    "points": [points[value] for value in shown if value in points],
                }
            )
        text = page(self.title, controls, frames)
        size = len(text.encode())
        check(
            size <= MAX_BYTES,
            f"the page is {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: keep fewer values",
        )
        if file is not None:
            save(text, file)
        return text

    def view(self):
        """The live view, an ipywidgets box; see `live.py`."""
        from sorl_edu.widgets.live import View

        return View(self).box

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        from sorl_edu.widgets.live import SCRIPT, View

        view = View(self, fill=False)
        display(view.box, SCRIPT)
        view.fill()  # after the view is displayed: its first picture may take a second
        if not view.message.value:  # nothing went wrong
            display(HTML(still_html(self.title, self.frame(**view.setting()))))

    def __repr__(self) -> str:
        sizes = " x ".join(f"{len(p.values)} {p.name}" for p in self.parameters)
        return f"{type(self).__name__}({self.title!r}: {sizes})"


def _png(figure: Figure) -> tuple[bytes, int, int]:
    """A figure as a PNG of its own colours, and its size in pixels."""
    canvas, png = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.save(png, "png", compress_level=4)
    return png.getvalue(), *image.size


def as_tuple(name: str, values: Sequence) -> tuple:
    """`values` as a tuple without repeats; ConfigError if there are none."""
    values = tuple(dict.fromkeys(values))
    if not values:
        raise ConfigError(f"{name} must name at least one value")
    return values
