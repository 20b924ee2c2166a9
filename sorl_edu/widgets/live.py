"""The live view: ipywidgets (7.7 or 8) around an explorer's frames, in JupyterLab and in Colab.

The view shows its first frame when it is displayed, and then draws all others, behind a progress
bar; a slider then only looks one up. A choice of a slow parameter draws that choice's frames. The
view also shows errors.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython.display import Javascript

from sorl_edu.widgets.frame import Parameter, figure_html

if TYPE_CHECKING:
    from sorl_edu.widgets.explorer import Explorer

# The sliders of ipywidgets have no name and announce the index of their value: a screen reader says
# "slider, 2.00" instead of "steps m, 4". In version 7 they don't even have the role of a slider.
# JupyterLab takes keys that are meant for a list of choices: an arrow selects another cell, and the
# letter b inserts one.
NAMES = Javascript("""
if (!window.sorlNames) {
  const put = (element, name, value) => {
    if (value && element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const name = () => {
    for (const control of document.querySelectorAll(".sorl-explorer :is(select, button)"))
      put(control, "data-lm-suppress-shortcuts", "true");
    const handles = ".sorl-explorer .noUi-handle, .sorl-explorer .ui-slider-handle";
    for (const handle of document.querySelectorAll(handles)) {
      const control = handle.closest(".widget-slider, .widget-hslider, .widget-inline-hbox");
      put(handle, "role", "slider");
      put(handle, "aria-label", control?.querySelector("label")?.textContent.trim());
      put(handle, "aria-valuetext", control?.querySelector(".widget-readout")?.textContent.trim());
    }
  };
  window.sorlNames = new MutationObserver(name);
  window.sorlNames.observe(document, {
    subtree: true, childList: true, characterData: true, attributeFilter: ["aria-valuetext"],
  });
  name();
}
""")


STYLE = """<style>
body[data-jp-theme-light="false"] .sorl-frame { filter: invert(0.9) hue-rotate(180deg); }
</style>"""


class View:
    """The controls of an explorer and its picture, which follows them.

    Attributes:
        box: the widget to display.
        controls: the control of each parameter, by name.
    """

    def __init__(self, explorer: Explorer, *, fill: bool = True) -> None:
        self.explorer = explorer
        self.controls = {p.name: _control(p) for p in explorer.parameters}
        self.picture = ipywidgets.HTML()
        self.picture.add_class("sorl-picture")
        self.message = ipywidgets.HTML()
        self.message.add_class("sorl-message")
        self.bar = ipywidgets.IntProgress(description="drawing", layout={"display": "none"})
        for control in self.controls.values():
            control.observe(self._moved, "value")
        row = {"flex_flow": "row wrap"}
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HTML(f"{STYLE}<b>{html.escape(explorer.title)}</b>"),
                ipywidgets.HBox(list(self.controls.values()), layout=row),
                ipywidgets.HBox(list(explorer.extras(self)), layout=row),
                self.bar,
                self.message,
                self.picture,
            ]
        )
        self.box.add_class("sorl-explorer")
        self.box.add_class(f"sorl-{type(explorer).__name__}")
        if fill:
            self.fill()

    def setting(self) -> dict[str, Any]:
        """The setting that the controls show."""
        return {name: control.value for name, control in self.controls.items()}

    def fill(self) -> None:
        """Shows the current frame, then draws all frames of the slow parameters' current values."""
        slow = {p.name: self.controls[p.name].value for p in self.explorer.parameters if p.slow}
        settings = list(self.explorer.settings(**slow))
        self.bar.max, self.bar.value, self.bar.layout.display = len(settings), 0, ""
        try:
            self.show()
            for setting in settings:
                self.explorer.frame(**setting)
                self.bar.value += 1
        except Exception as error:
            self.say(error)
        finally:
            self.bar.layout.display = "none"

    def show(self) -> None:
        """Shows the frame of the current setting."""
        try:
            frame = self.explorer.frame(**self.setting())
            self.picture.value = figure_html(self.explorer.title, frame)
        except Exception as error:
            self.say(error)

    def say(self, error: Exception | str) -> None:
        """Shows an error in the view, or clears it with ""."""
        name = type(error).__name__ + ": " if isinstance(error, Exception) else ""
        text = html.escape(name + str(error))
        self.message.value = text and f'<p role="alert" class="sorl-error">{text}</p>'

    def _moved(self, change: dict) -> None:
        self.say("")
        slow = {parameter.name for parameter in self.explorer.parameters if parameter.slow}
        moved = next(name for name, c in self.controls.items() if c is change["owner"])
        if moved in slow:
            self.fill()
        else:
            self.show()


def _control(parameter: Parameter) -> ipywidgets.Widget:
    options = list(zip(parameter.names, parameter.values, strict=True))
    kind = ipywidgets.Dropdown if parameter.is_choice else ipywidgets.SelectionSlider
    control = kind(
        options=options,
        value=parameter.start,
        description=parameter.label,
        style={"description_width": "initial"},
        layout={"width": "auto", "min_width": "20em"},
    )
    control.add_class(f"sorl-control-{parameter.name}")
    return control
