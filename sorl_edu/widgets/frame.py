"""The parameters of an explorer, and its frames: what both of its views show."""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from sorl_edu.errors import check

CLICKABLE = "clickable"  # the gid of axes in which a click chooses a point
# In a dark theme, the inverse of `style.DARK`: a photograph then has its own colours.
DARK_PHOTOGRAPH = "backdrop-filter: hue-rotate(180deg) invert(1);"
NARROWEST = 850  # pixels: the text of a picture of 1000 is too small to read below


@dataclass(frozen=True)
class Parameter:
    """One parameter of an explorer's `render`, and how its control shows it.

    Raises:
        ConfigError: no values, another number of names or of points than of values, or a start that
            is no value.
    """

    name: str
    """The keyword of `render`."""
    label: str
    """The text beside the control."""
    values: tuple
    """The values to choose from, in order."""
    names: tuple[str, ...] = ()
    """The text of each value; as Python prints it unless given."""
    start: Any = None
    """The value shown first; the first one unless given."""
    slow: bool = False
    """Whether the frames of a value are drawn only when it is chosen, and not beforehand."""
    points: tuple[tuple[float, float], ...] = ()
    """The point (x, y) of each value in a picture's region, where a reader can click it."""

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
            len(self.points) in (0, len(self.values)),
            f"'{self.name}' has {len(self.values)} values and {len(self.points)} points",
        )
        check(
            self.start in self.values,
            f"'{self.name}' can't start at {self.start!r}: it is none of {self.values}",
        )

    @property
    def is_choice(self) -> bool:
        """Whether its control is a list to choose from, and not a slider."""
        return self.slow or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in self.values
        )

    def check(self, value: Any) -> None:
        """Raises ConfigError unless the parameter can take this value."""
        check(
            value in self.values,
            f"{self.name} is {value!r}; it can be {', '.join(map(repr, self.values))}",
        )


def check_labels(parameters: Sequence[Parameter]) -> None:
    """Raises ConfigError unless each has a label of its own, by which a screen reader knows it."""
    for one, other in itertools.combinations(parameters, 2):
        check(
            one.label != other.label,
            f"{one.name} and {other.name} are both labelled '{one.label}': give each its own label",
        )


@dataclass(frozen=True)
class Region:
    """The part of a picture that is filled by certain axes, and the coordinates there."""

    box: tuple[float, float, float, float]
    """Left edge, top edge, width and height, in percent of the picture."""
    limits: tuple[float, float, float, float]
    """x at the left and the right edge, y at the bottom and the top edge."""

    @classmethod
    def of(cls, figure: Figure, gid: str) -> Region | None:
        """The axes of a drawn figure with this gid; None without such axes."""
        axes = next((axes for axes in figure.axes if axes.get_gid() == gid), None)
        if axes is None:
            return None
        box = axes.get_position()  # after drawing, which fits the box to the axes' aspect
        percent = tuple(100 * float(part) for part in (box.x0, 1 - box.y1, box.width, box.height))
        return cls(percent, (*map(float, axes.get_xlim()), *map(float, axes.get_ylim())))

    @property
    def style(self) -> str:
        """Its place over the picture, in CSS."""
        left, top, width, height = self.box
        return f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%"

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point's distance from the left and the top edge of the picture, in percent of it."""
        left, top, width, height = self.box
        x0, x1, y0, y1 = self.limits
        return left + width * (x - x0) / (x1 - x0), top + height * (y1 - y) / (y1 - y0)


@dataclass(frozen=True)
class Frame:
    """What an explorer shows at one setting."""

    png: bytes
    width: int  # pixels
    height: int
    caption: str
    facts: dict[str, Any]
    clickable: Region | None = None
    photograph: Region | None = None

    @property
    def source(self) -> str:
        """The picture as a data: address, which needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def small_source(self) -> str:
        """The same pixels in half as many bytes, which take four times as long to encode."""
        webp = io.BytesIO()
        with Image.open(io.BytesIO(self.png)) as image:
            image.save(webp, "webp", lossless=True, quality=50, method=2)
        return "data:image/webp;base64," + base64.b64encode(webp.getvalue()).decode()


def figure_html(title: str, frame: Frame) -> str:
    """A frame as HTML: the picture with its caption below, and both for screen readers.

    In a column narrower than `NARROWEST` the picture scrolls, for its text to stay readable.
    """
    facts = html.escape(json.dumps(frame.facts))
    caption = html.escape(frame.caption)
    least = min(NARROWEST, frame.width)
    return (
        '<figure style="margin:0"><div class="sorl-scroll" tabindex="0" style="overflow-x:auto">'
        f'<div style="position:relative;max-width:{frame.width}px;min-width:{least}px">'
        f'<img class="sorl-frame" src="{frame.source}" '
        f'alt="{html.escape(title)}: {caption}" width="{frame.width}" '
        f'height="{frame.height}" decoding="sync" '
        f'style="display:block;width:100%;max-width:none;height:auto">'
        f"{_clickable(frame.clickable)}{photograph_html(frame.photograph)}</div></div>"
        f'<figcaption class="sorl-caption" aria-live="polite" '
        f'data-facts="{facts}" style="line-height:1.4">{caption}</figcaption></figure>'
    )


def _clickable(region: Region | None) -> str:
    """A transparent pane over a region, which `live.SCRIPT` listens to."""
    if region is None:
        return ""
    return (
        f'<div class="sorl-clickable" title="click a state" data-limits="{list(region.limits)}" '
        f'style="position:absolute;cursor:crosshair;{region.style}"></div>'
    )


def photograph_html(region: Region | None) -> str:
    """A pane over a photograph, through which it has its own colours in a dark theme, too."""
    if region is None:
        return ""
    return (
        '<div class="sorl-photograph" '
        f'style="position:absolute;pointer-events:none;{region.style}"></div>'
    )


def still_html(title: str, frame: Frame) -> str:
    """A frame for where no widget is: a notebook that is opened again, or exported."""
    return (
        "<style>.jp-OutputArea:has(.sorl-explorer) .sorl-still { display: none; }</style>"
        f'<figure class="sorl-still" style="margin:0"><img src="{frame.source}" '
        f'alt="{html.escape(title)}: {html.escape(frame.caption)}" style="max-width:100%">'
        "<figcaption>Run the cell to move the sliders.</figcaption></figure>"
    )
