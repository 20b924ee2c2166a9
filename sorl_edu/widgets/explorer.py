"""What all explorers share: parameters, frames that are looked up, and the two views of them.

An explorer is a pure function and the values that its parameters take:

    figure = explorer.render(steps=8, candidates=32)       # a matplotlib Figure, without Jupyter

and both views show its frames, drawn beforehand, so that a control answers at once:

    explorer                                   # in a notebook: sliders, answered by the kernel
    explorer.to_html("scaling.html")           # one file: the same sliders, with no kernel
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from PIL import Image

from sorl_edu.errors import ConfigError, UnknownName, check
from sorl_edu.files import appearing
from sorl_edu.progress import progress_bar
from sorl_edu.widgets.page import page

if TYPE_CHECKING:
    from ipywidgets import Widget

    from sorl_edu.widgets.live import View

MAX_FRAMES, MAX_BYTES = 150, 5_000_000  # of a kernel-free page
COLORS = 128  # of a frame's palette: a third of the bytes, and no difference to the eye


@dataclass(frozen=True)
class Parameter:
    """One parameter of an explorer's `render`, as its control shows it."""

    name: str
    """The keyword of `render`."""
    label: str
    """What stands beside the control."""
    values: tuple
    """What it can be, in order."""
    names: tuple[str, ...] = ()
    """How the values are written; as Python prints them unless given."""
    start: Any = None
    """The value shown first; the first one unless given."""
    slow: bool = False
    """Frames for another value are drawn when it is chosen, and not beforehand."""

    def __post_init__(self) -> None:
        check(len(self.values) > 0, f"'{self.name}' needs at least one value")
        if self.start is None:
            object.__setattr__(self, "start", self.values[0])
        if not self.names:
            object.__setattr__(self, "names", tuple(map(str, self.values)))
        check(
            len(self.names) == len(self.values),
            f"'{self.name}' has {len(self.values)} values and {len(self.names)} names",
        )
        check(
            self.start in self.values,
            f"'{self.name}' can't start at {self.start!r}: it is none of {self.values}",
        )

    def check(self, value: Any) -> None:
        check(
            value in self.values,
            f"{self.name} is {value!r}; it can be {', '.join(map(repr, self.values))}",
        )


@dataclass(frozen=True)
class Frame:
    """What is on display for one setting."""

    png: bytes
    width: int  # pixels
    height: int
    caption: str
    facts: dict[str, Any]

    @property
    def source(self) -> str:
        """The picture as a data: address, which needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


class Explorer(ABC):
    """A picture with controls. A subclass says what is drawn, and what it shows in words.

    Attributes:
        title: what the picture is of, a line.
        parameters: what can be chosen, in the order of the controls.
    """

    title: str
    parameters: tuple[Parameter, ...]

    @abstractmethod
    def draw(self, **setting) -> Figure:
        """The picture at one full, valid setting; the same one every time."""

    @abstractmethod
    def caption(self, **setting) -> str:
        """What the picture shows, in a sentence or two with its main numbers.

        It stands below the picture, and is what a screen reader reads in its place.
        """

    def facts(self, **setting) -> dict[str, Any]:
        """The numbers on display, as JSON values: for tests, and for whoever reads the page."""
        return {}

    def prepare(self, **setting) -> None:  # noqa: B027  (nothing to do unless a subclass has it)
        """Computes what all frames of the given slow parameters share. Called before `draw`."""

    def extras(self, view: View) -> Sequence[Widget]:
        """Controls of the live view beyond the parameters: buttons for what must be computed."""
        return ()

    # What follows is the same for every explorer.

    def setting(self, **changes) -> dict[str, Any]:
        """A full setting: every parameter where it starts, but for `changes`.

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
        """The picture: a pure function of the parameters, which needs no Jupyter.

        Raises:
            UnknownName, ConfigError: as `setting`.
        """
        setting = self.setting(**changes)
        self.prepare(**setting)
        return self.draw(**setting)

    def frame(self, **changes) -> Frame:
        """The picture as a PNG with its caption, drawn when it is first asked for, then kept."""
        setting = self.setting(**changes)
        frames = self.__dict__.setdefault("_frames", {})
        at = tuple(setting.values())
        if at not in frames:
            self.prepare(**setting)
            png, width, height = _png(self.draw(**setting))
            frames[at] = Frame(png, width, height, self.caption(**setting), self.facts(**setting))
        return frames[at]

    def settings(self, **fixed) -> Iterator[dict[str, Any]]:
        """Every setting, or every one with some parameters `fixed` to a value or to several."""
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
        """The explorer as one HTML page in which the controls work with no Python behind them.

        Args:
            file: where to write it, whole or not at all; not written unless given.
            show: show a progress bar while frames are drawn.
            values: for parameters, the values to keep (all of them unless given).

        Raises:
            UnknownName, ConfigError: no such parameter or value; more than 150 frames, or 5 MB.
        """
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
            shown = list(kept[parameter.name])
            start = shown.index(parameter.start) if parameter.start in shown else 0
            controls.append(
                {
                    "name": parameter.name,
                    "label": parameter.label,
                    "names": [names[value] for value in shown],
                    "start": start,
                    "kind": "choice" if is_choice(parameter) else "slider",
                }
            )
        text = page(self.title, controls, frames)
        size = len(text.encode())
        check(
            size <= MAX_BYTES,
            f"the page is {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: keep fewer values",
        )
        if file is not None:
            check(Path(file).suffix == ".html", f"the page is saved as .html, not as '{file}'")
            with appearing(file) as beside:
                beside.write_text(text, encoding="utf-8")
        return text

    def view(self):
        """The live view: an ipywidgets box, see `live.py`."""
        from sorl_edu.widgets.live import View

        return View(self).box

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from sorl_edu.widgets.live import NAMES, View

        view = View(self, fill=False)
        display(view.box, NAMES)
        view.fill()  # after it is shown, so that the progress bar is seen

    def __repr__(self) -> str:
        sizes = " x ".join(f"{len(p.values)} {p.name}" for p in self.parameters)
        return f"{type(self).__name__}({self.title!r}: {sizes})"


def is_choice(parameter: Parameter) -> bool:
    """Whether its control is a list to choose from, and not a slider."""
    return parameter.slow or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values
    )


def figure_html(explorer: Explorer, frame: Frame) -> str:
    """A frame as HTML: the picture, and below it what it shows."""
    facts = html.escape(json.dumps(frame.facts))
    caption = html.escape(frame.caption)
    return (
        f'<figure style="margin:0"><img class="sorl-frame" src="{frame.source}" '
        f'alt="{html.escape(explorer.title)}: {caption}" width="{frame.width}" '
        f'height="{frame.height}" decoding="sync" style="max-width:100%;height:auto">'
        f'<figcaption class="sorl-caption" role="status" aria-live="polite" '
        f'data-facts="{facts}" style="line-height:1.4">{caption}</figcaption></figure>'
    )


def _png(figure: Figure) -> tuple[bytes, int, int]:
    """A figure as a PNG with a palette, and its size in pixels as it is shown."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=figure.dpi)
    with Image.open(raw) as image:
        image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(
            small, "png", optimize=True
        )
        return small.getvalue(), *image.size


def as_tuple(name: str, values: Sequence) -> tuple:
    """`values` as a tuple without repeats; ConfigError if there are none."""
    values = tuple(dict.fromkeys(values))
    if not values:
        raise ConfigError(f"{name} must name at least one value")
    return values
