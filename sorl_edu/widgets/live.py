"""The live view: ipywidgets (7.7 or 8) around an explorer's frames, in JupyterLab and in Colab.

The view shows its first frame when it is displayed, and then draws all others, behind a progress
bar; a slider then only looks one up. A choice of a slow parameter draws that choice's frames in the
same way. In a kernel they are drawn between its messages, one after the other: a control that is
moved meanwhile waits for the one that is being drawn, and then gets its own. The view also shows
errors.
"""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython.display import Javascript

from sorl_edu.plotting.style import DARK, DARK_THEME
from sorl_edu.widgets.frame import DARK_PHOTOGRAPH, Parameter, check_labels, figure_html

if TYPE_CHECKING:
    from sorl_edu.widgets.explorer import Explorer

BREATH = 0.01  # seconds between two pictures, in which the kernel reads its messages

# The sliders of ipywidgets have no name and announce the index of their value: a screen reader says
# "slider, 2.00" instead of "steps m, 4". In version 7 they don't even have the role of a slider.
# JupyterLab takes keys that are meant for a list of choices: an arrow selects another cell, and the
# letter b inserts one.
# ipywidgets has no event for a click in a picture: the point is typed into a hidden field, with the
# time, so that no two clicks are the same text.
SCRIPT = Javascript("""
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
  document.addEventListener("click", event => {
    const region = event.target.closest(".sorl-explorer .sorl-clickable");
    const field = region?.closest(".sorl-explorer").querySelector(".sorl-clicked input");
    if (!field) return;
    const box = region.getBoundingClientRect();
    const [left, right, bottom, top] = JSON.parse(region.dataset.limits);
    const x = left + (right - left) * (event.clientX - box.left) / box.width;
    const y = bottom + (top - bottom) * (box.bottom - event.clientY) / box.height;
    field.value = `${x} ${y} ${event.timeStamp}`;
    field.dispatchEvent(new Event("change", {bubbles: true}));
  });
}
""")


STYLE = f"""<style>
{DARK_THEME} .sorl-frame {{ {DARK} }}
{DARK_THEME} .sorl-photograph {{ {DARK_PHOTOGRAPH} }}
</style>"""


class View:
    """The controls of an explorer and its picture, which follows them.

    Attributes:
        box: the widget to display.
        controls: the control of each parameter, by name.

    Raises:
        ConfigError: two parameters have the same label.
    """

    def __init__(self, explorer: Explorer, *, fill: bool = True) -> None:
        self.explorer = explorer
        check_labels(explorer.parameters)
        self.controls = {p.name: _control(p) for p in explorer.parameters}
        self.picture = ipywidgets.HTML()
        self.picture.add_class("sorl-picture")
        self.message = ipywidgets.HTML()
        self.message.add_class("sorl-message")
        self.bar = ipywidgets.IntProgress(description="drawing", layout={"display": "none"})
        self._missing: list[dict[str, Any]] = []  # the settings whose frames are yet to be drawn
        self._total = 0
        self._filling: asyncio.Task | None = None
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
        """Shows the current frame, then draws all frames of the slow parameters' current values.

        In a running event loop, which a kernel has, it returns with the first one on display.
        """
        slow = {p.name: self.controls[p.name].value for p in self.explorer.parameters if p.slow}
        settings = list(self.explorer.settings(**slow))
        self._missing = [s for s in settings if not self.explorer.is_drawn(**s)]
        self._total = len(settings)
        self.progress(self._total - len(self._missing), self._total)
        self.show()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            while self._missing:
                self._draw_next()
        else:
            if self._filling is None or self._filling.done():
                self._filling = loop.create_task(self._draw_between_messages())

    async def _draw_between_messages(self) -> None:
        while self._missing:
            self._draw_next()
            await asyncio.sleep(BREATH)

    def _draw_next(self) -> None:
        """Draws a frame that is missing; the first error ends the drawing."""
        try:
            self.explorer.frame(**self._missing.pop(0))
        except Exception as error:
            self.say(error)
            self._missing.clear()
        self.progress(self._total - len(self._missing), self._total)

    def progress(self, done: int, total: int) -> None:
        """Shows how much of some work is done, in a bar that hides when all is."""
        self.bar.max, self.bar.value = total, done
        self.bar.layout.display = "none" if done == total else ""

    def show(self) -> None:
        """Shows the frame of the current setting."""
        try:
            frame = self.explorer.frame(**self.setting())
            self.picture.value = figure_html(self.explorer.title, frame)
        except Exception as error:
            self.say(error)

    def choose(self, name: str, value: Any) -> None:
        """Chooses a value of a list; it may be one that the explorer's parameter has only now."""
        parameter = next(p for p in self.explorer.parameters if p.name == name)
        control = self.controls[name]
        control.unobserve(self._moved, "value")
        control.options = _options(parameter)  # which chooses the first one
        control.value = value
        control.observe(self._moved, "value")
        self.say("")
        self.fill()

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
    kind = ipywidgets.Dropdown if parameter.is_choice else ipywidgets.SelectionSlider
    control = kind(
        options=_options(parameter),
        value=parameter.start,
        description=parameter.label,
        style={"description_width": "initial"},
        layout={"width": "auto", "min_width": "20em"},
    )
    control.add_class(f"sorl-control-{parameter.name}")
    return control


def _options(parameter: Parameter) -> list[tuple[str, Any]]:
    return list(zip(parameter.names, parameter.values, strict=True))
