"""The modules as one, and the page that needs neither a kernel nor a network."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from sorl_edu.widgets.page import document

FOLDER = Path(__file__).parent
PLAYGROUND = (
    "random",
    "safetensors",
    "networks",
    "inference",
    "agents",
    "surveys",
    "drawing",
    "surroundings",
    "controls",
    "maze",
    "square",
    "episodes",
    "packages",
    "physics",
    "play",
    "playground",
)
"""Each imports from those before it."""
ROBOT = (
    "random",
    "safetensors",
    "networks",
    "inference",
    "agents",
    "drawing",
    "surroundings",
    "controls",
    "episodes",
    "rotations",
    "packages",
    "arm",
    "scene",
    "robot",
)
"""The same for the robot's page."""

PAGE_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; background: #ffffff; color: #1a1a1a; font-family: system-ui, sans-serif; }
main { max-width: 110rem; margin: 0 auto; padding: 0.8rem clamp(0.7rem, 2vw, 2rem); }
h1 { font-size: 1.3rem; margin: 0 0 0.6rem; }
@media (prefers-color-scheme: dark) { body { background: #121212; color: #e8e8e8; } }
"""

MOUNT = {
    PLAYGROUND: "mount(root, bytes, given, given.physics && (() => loadMazeWorld(given.physics)))",
    ROBOT: "mountRobot(root, bytes, given)",
}
# An error is shown in the place of the playground.
START = """
const { file, given } = JSON.parse(document.getElementById("given").textContent);
const root = document.querySelector("main > div");
try {
  const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
  MOUNT;
} catch (error) {
  root.innerHTML = '<p role="alert"></p>';
  root.firstChild.textContent = error.message;
  throw error;
}
"""


def joined(names: Sequence[str] = PLAYGROUND) -> str:
    """One ES module, which imports nothing, of all modules in order, by their paths from here."""
    text = "\n".join((FOLDER / f"{name}.mjs").read_text(encoding="utf-8") for name in names)
    text = re.sub(r'^import [^;]*? from "\.\.?/[^"]*";\n', "", text, flags=re.MULTILINE)
    return re.sub(r"^export (?=const|class|function|async)", "", text, flags=re.MULTILINE)


def style() -> str:
    """The style sheet of the playground."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def page(title: str, agent: bytes, given: dict, modules: Sequence[str] = PLAYGROUND) -> str:
    """The page, which refers to nothing outside itself.

    Args:
        title: the page's title and heading.
        agent: the agent's file.
        given: what `mount` of playground.mjs is given, or `mountRobot` of robot.mjs, as JSON
            values.
        modules: `PLAYGROUND` or `ROBOT`.
    """
    content = {"file": base64.b64encode(agent).decode(), "given": given}
    start = START.replace("MOUNT", MOUNT[modules])
    script = f'<script type="module">\n{joined(modules)}{start}</script>'
    return document(title, PAGE_STYLE + style(), "<div></div>\n", script, given=content)
