"""Draw your own as a widget, for notebooks with anywidget; the kernel has nothing to do."""

from __future__ import annotations

import anywidget
import traitlets

from sorl_edu.widgets.draw_your_own.source import MODULES, style
from sorl_edu.widgets.playground.source import joined


class DrawYourOwnWidget(anywidget.AnyWidget):
    """What `mountDrawYourOwn` is given, sent to the browser once."""

    _esm = joined((*MODULES, "../draw_your_own/widget"))
    _css = style()
    given = traitlets.Dict().tag(sync=True)
