"""The modules as one, the worker's script, and the page that needs neither kernel nor network."""

from __future__ import annotations

from pathlib import Path

from sorl_edu.widgets.page import document
from sorl_edu.widgets.playground import source

FOLDER = Path(__file__).parent
TRAINER = (
    "random",
    "networks",
    *(f"../draw_your_own/{name}" for name in ("mlp", "losses", "training", "trainer")),
)
"""The modules that train, by their paths from the playground's; each imports from those before."""
WORKER = (*TRAINER, "../draw_your_own/worker")
MODULES = (
    *TRAINER,
    "drawing",
    "surroundings",
    *(f"../draw_your_own/{name}" for name in ("sampling", "points", "draw_your_own")),
)
START = """
const given = JSON.parse(document.getElementById("given").textContent);
mountDrawYourOwn(document.querySelector("main > div"), given);
"""


def style() -> str:
    """The style sheet: the playground's, and more."""
    return source.style() + (FOLDER / "style.css").read_text(encoding="utf-8")


def page(title: str, given: dict) -> str:
    """The page, which refers to nothing outside itself.

    Args:
        title: the page's title and heading.
        given: what `mountDrawYourOwn` is given, as JSON values.
    """
    script = f'<script type="module">\n{source.joined(MODULES)}{START}</script>'
    css = source.PAGE_STYLE + style()
    return document(title, css, "<div></div>\n", script, given=given)
