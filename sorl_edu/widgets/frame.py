"""The parameters of an explorer, and its frames: what both of its views show."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sorl_edu.errors import check


@dataclass(frozen=True)
class Parameter:
    """One parameter of an explorer's `render`, and how its control shows it.

    Raises:
        ConfigError: no values, another number of names than of values, or a start that is no value.
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


@dataclass(frozen=True)
class Frame:
    """What an explorer shows at one setting."""

    png: bytes
    width: int  # pixels
    height: int
    caption: str
    facts: dict[str, Any]

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
    """A frame as HTML: the picture with its caption below, and both for screen readers."""
    facts = html.escape(json.dumps(frame.facts))
    caption = html.escape(frame.caption)
    return (
        f'<figure style="margin:0"><img class="sorl-frame" src="{frame.source}" '
        f'alt="{html.escape(title)}: {caption}" width="{frame.width}" '
        f'height="{frame.height}" decoding="sync" style="max-width:100%;height:auto">'
        f'<figcaption class="sorl-caption" aria-live="polite" '
        f'data-facts="{facts}" style="line-height:1.4">{caption}</figcaption></figure>'
    )


def still_html(title: str, frame: Frame) -> str:
    """A frame for where no widget is: a notebook that is opened again, or exported."""
    return (
        "<style>.jp-OutputArea:has(.sorl-explorer) .sorl-still { display: none; }</style>"
        f'<figure class="sorl-still" style="margin:0"><img src="{frame.source}" '
        f'alt="{html.escape(title)}: {html.escape(frame.caption)}" style="max-width:100%">'
        "<figcaption>Run the cell to move the sliders.</figcaption></figure>"
    )
