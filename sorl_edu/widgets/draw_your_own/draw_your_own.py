"""DrawYourOwn: draw a distribution, and see a flow or a shortcut model learn it in the browser."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sorl_edu.errors import check
from sorl_edu.plotting.style import BLUE, GREEN, ORANGE, SKY
from sorl_edu.widgets.draw_your_own.source import WORKER, page
from sorl_edu.widgets.page import save
from sorl_edu.widgets.playground.playground import frame_html
from sorl_edu.widgets.playground.source import joined

MODELS = ("flow", "shortcut")
UPDATES = 1200
TITLE = "Draw your own"


class DrawYourOwn:
    """A distribution in the plane, drawn by the reader, and a field that learns it on the page.

    The reader draws with mouse, finger or keyboard. A flow (lesson 1) or a shortcut model (lesson
    2) is trained on the points in the browser: the network, the losses and the optimizer of the
    lessons, in smaller batches. Samples at 1, 2, 4 and 8 steps are shown while it learns, with
    their energy distance to the drawing.

        DrawYourOwn()                                    # in a notebook: a flow
        DrawYourOwn(["shortcut", "flow"])                # to choose from
        DrawYourOwn().to_html("draw_your_own.html")      # needs no kernel

    Args:
        models: one or several of "flow" and "shortcut"; the reader chooses, from the first.
        updates: the number of updates, over which the learning rate falls to 0; at least 1.
        title: the heading.

    Raises:
        ConfigError: another model, none, or one twice; too few updates.
    """

    def __init__(
        self, models: Sequence[str] = ("flow",), *, updates: int = UPDATES, title: str = TITLE
    ) -> None:
        check(
            len(models) > 0 and len(set(models)) == len(models) and set(models) <= set(MODELS),
            f"models are one or several of {', '.join(MODELS)}, each once; got {list(models)}",
        )
        check(updates >= 1, f"updates is {updates}; it must be at least 1")
        self.title = title
        self._given = {
            "models": list(models),
            "updates": int(updates),
            "worker": joined(WORKER),
            "colours": {
                "both": {"orange": ORANGE, "green": GREEN},
                "light": {"way": BLUE},
                "dark": {"way": SKY},
            },
        }

    def to_html(self, file: str | Path | None = None) -> str:
        """The widget as one HTML page, which needs neither a kernel nor a network.

        Args:
            file: the page is also written to this file, atomically.

        Raises:
            ConfigError: the file's name does not end in .html.
        """
        text = page(self.title, self._given)
        if file is not None:
            save(text, file)
        return text

    def view(self):
        """The widget, of anywidget.

        Raises:
            ImportError: anywidget is not installed; the extra [lab] has it.
        """
        from sorl_edu.widgets.draw_your_own.live import DrawYourOwnWidget

        return DrawYourOwnWidget(given=self._given)

    def _ipython_display_(self) -> None:
        """Displays the widget and, for where no widget is, the page in a frame, as Playground."""
        from IPython.display import HTML, display

        with contextlib.suppress(ImportError):  # the page needs no anywidget
            display(self.view())
        display(HTML(frame_html(self.title, self.to_html())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._given['models']})"
