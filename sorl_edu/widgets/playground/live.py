"""The playground as a widget, for notebooks with anywidget."""

from __future__ import annotations

import anywidget
import traitlets

from sorl_edu.widgets.playground.source import MODULES, joined, style


class PlaygroundWidget(anywidget.AnyWidget):
    """The agent's file and what else `mount` is given, sent to the browser once."""

    _esm = joined((*MODULES, "widget"))
    _css = style()
    agent = traitlets.Bytes().tag(sync=True)
    given = traitlets.Dict().tag(sync=True)
