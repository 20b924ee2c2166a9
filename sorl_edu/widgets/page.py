"""The kernel-free view: one HTML page with all frames, and controls that need no Python."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from sorl_edu.errors import check
from sorl_edu.files import atomic_write
from sorl_edu.plotting.style import DARK
from sorl_edu.widgets.frame import DARK_PHOTOGRAPH, Frame, Region, photograph_html

# Narrower than 850 pixels, a picture's text would be too small to read: it scrolls.
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; }
body { max-width: 1000px; }
h1 { font-size: 1.2rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem 2rem; }
label { display: flex; align-items: center; gap: 0.5rem; }
input[type=range] { width: 14rem; max-width: 45vw; }
output { min-width: 3rem; }
figure { margin: 0.5rem 0; }
.scroll { overflow-x: auto; }
.picture { position: relative; min-width: 850px; }
img { display: block; width: 100%; height: auto; }
.point { position: absolute; width: 24px; height: 24px; margin: -12px; padding: 0; }
.point { background: none; border: 2px dashed #0173b2; border-radius: 50%; cursor: pointer; }
.point[aria-pressed=true] { border-style: solid; }
@media (prefers-color-scheme: dark) { img { DARK } .sorl-photograph { PHOTOGRAPH } }
""".replace("DARK", DARK).replace("PHOTOGRAPH", DARK_PHOTOGRAPH)

# Frames lie in the order of itertools.product: the last control changes fastest.
SCRIPT = """
const {controls, frames} = JSON.parse(document.getElementById("explorer").textContent);
const inputs = controls.map(c => document.getElementById("control-" + c.name));
const image = document.querySelector("img");
const caption = document.querySelector("figcaption");
const points = document.querySelectorAll(".point");
function show() {
  let at = 0;
  inputs.forEach((input, i) => {
    const chosen = Number(input.value);
    at = at * controls[i].names.length + chosen;
    if (controls[i].kind === "slider") {
      input.setAttribute("aria-valuetext", controls[i].names[chosen]);
      input.nextElementSibling.textContent = controls[i].names[chosen];
    }
  });
  for (const point of points)
    point.setAttribute("aria-pressed", inputs[point.dataset.control].value === point.value);
  const frame = frames[at];
  image.src = frame.picture;
  image.alt = document.title + ": " + frame.caption;
  caption.textContent = frame.caption;
  caption.dataset.facts = JSON.stringify(frame.facts);
}
inputs.forEach(input => input.addEventListener("input", show));
points.forEach(point => point.addEventListener("click", () => {
  inputs[point.dataset.control].value = point.value;
  show();
}));
show();
"""


def document(title: str, style: str, main: str, script: str, **given: dict) -> str:
    """An HTML page.

    Args:
        title: the page's title and heading.
        style: a style sheet.
        main: HTML below the heading.
        script: the element of the script, after all others.
        given: JSON values that the script reads, by the id of the element whose text they are.
    """
    embedded = "".join(
        f'<script type="application/json" id="{name}">{_json(values)}</script>\n'
        for name, values in given.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="sorl-edu">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
{main}</main>
{embedded}{script}
</body>
</html>
"""


def save(text: str, file: str | Path) -> None:
    """Writes a page to a file, atomically.

    Raises:
        ConfigError: the file's name does not end in .html.
    """
    check(Path(file).suffix == ".html", f"the page is saved as .html, not as '{file}'")
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _json(values: dict) -> str:
    return json.dumps(values).replace("<", "\\u003c")  # so that no text can close the script


def page(title: str, controls: Sequence[dict], frames: Sequence[Frame]) -> str:
    """The page, which refers to nothing outside itself.

    Args:
        title: the page's title and heading.
        controls: for each parameter its name, its label, the names of its values, the index of the
            start, its kind, "slider" or "choice", and the points of its values in the pictures'
            region, if they have any.
        frames: one per setting, in the order of itertools.product over the controls' values.
    """
    content = {
        "controls": list(controls),
        "frames": [
            {
                "picture": frame.small_source,
                "caption": frame.caption,
                "facts": frame.facts,
            }
            for frame in frames
        ],
    }
    first = frames[0]
    photograph = first.photograph if all(frame.photograph for frame in frames) else None
    main = f"""<form autocomplete="off" onsubmit="return false">
{"".join(map(_control, controls))}</form>
<figure>
<div class="scroll" tabindex="0">
<div class="picture">
<img alt="" width="{first.width}" height="{first.height}">
{"".join(_points(i, control, first.clickable) for i, control in enumerate(controls))}
{photograph_html(photograph)}</div>
</div>
<figcaption aria-live="polite"></figcaption>
</figure>
"""
    return document(title, STYLE, main, f"<script>{SCRIPT}</script>", explorer=content)


def _control(control: dict) -> str:
    name, names, start = control["name"], control["names"], control["start"]
    label = html.escape(control["label"])
    if control["kind"] == "choice":
        options = "".join(
            f'<option value="{i}"{" selected" if i == start else ""}>{html.escape(text)}</option>'
            for i, text in enumerate(names)
        )
        return f'<label>{label} <select id="control-{name}">{options}</select></label>\n'
    return (
        f'<label>{label} <input type="range" id="control-{name}" min="0" max="{len(names) - 1}" '
        f'step="1" value="{start}"> <output>{html.escape(names[start])}</output></label>\n'
    )


def _points(number: int, control: dict, region: Region | None) -> str:
    """A button over the picture for each value of a control that has a point there."""
    buttons = []
    for value, (x, y) in enumerate(control["points"] if region else ()):
        left, top = region.place(x, y)
        name = html.escape(f"{control['label']}: {control['names'][value]}")
        buttons.append(
            f'<button type="button" class="point" data-control="{number}" value="{value}" '
            f'aria-label="{name}" title="{name}" style="left:{left:.2f}%;top:{top:.2f}%">'
            "</button>\n"
        )
    return "".join(buttons)
