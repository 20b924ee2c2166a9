"""Playground: an agent's networks in the reader's browser, in a notebook or on its own page."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from sorl_edu.agents.agent import Agent, State
from sorl_edu.environments.mazes import maze_geometry, maze_physics
from sorl_edu.errors import check
from sorl_edu.plotting.mazes import check_positions
from sorl_edu.plotting.style import BLUE, ORANGE, SKY
from sorl_edu.widgets.page import save
from sorl_edu.widgets.playground.agents import agent_bytes
from sorl_edu.widgets.playground.packages import MUJOCO, write_script
from sorl_edu.widgets.playground.source import page

STEPS = (1, 2, 4, 8, 16, 32)
CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
TITLE = "Playground: the policy, live"
FRAME_HEIGHT = 900  # pixels of the page in a notebook


class Playground:
    """The agent's own networks, run in the browser while a state, m and N are moved.

    The maze shows V(o) and the policy's mean actions. At a point that is dragged, N candidates are
    drawn with their ways from noise through m steps, over Q in the square of actions, and the
    density of the chosen action over many draws. The networks' numbers are those of
    `agent.propose`; the noise is drawn in the browser.

        Playground(agent, state, environment)                              # in a notebook
        Playground(agent, state, environment).to_html("playground.html")   # needs no kernel
        Playground(agent, state, environment).to_folder("playground")      # also plays

    Args:
        agent, state: a SORL or flow BC agent.
        environment: an official OGBench name of a maze whose observation is the position (x, y).
        place: the point (x, y) to start from, in metres; the task's start unless given.
        steps: m to start with, 1, 2, 4, 8, 16 or 32.
        candidates: N to start with, one of `CANDIDATES`.
        title: the heading.

    Raises:
        UnknownName: no such environment.
        ConfigError: another agent, such as a subclass; a state of another agent, or of several
            seeds; an environment that is no such maze (robots have none); a place in a wall; m or N
            that no slider has.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        environment: str,
        *,
        place: Sequence[float] | None = None,
        steps: int = 8,
        candidates: int = 32,
        title: str = TITLE,
    ) -> None:
        maze = maze_geometry(environment)
        check_positions(maze, environment)
        self._file = agent_bytes(agent, state)
        check(
            state.action_dim == 2,
            f"the action square needs 2-D actions; these are {state.action_dim}-D",
        )
        x, y = map(float, maze.start if place is None else place)
        check(
            maze.is_free(maze.cell_of((x, y))),
            f"({x:.1f}, {y:.1f}) is in a wall or outside the maze; choose a free place",
        )
        check_sliders(steps, candidates)
        self.agent, self.state = agent, state
        self.title, self.environment = title, environment
        self._given = {
            "maze": {
                "walls": [list(row) for row in maze.walls],
                "cell": maze.cell,
                "origin": list(maze.origin),
                "goal": list(maze.goal),
                "goal_radius": maze.goal_radius,
            },
            "colours": colours(),
            "sliders": {"steps": list(STEPS), "candidates": list(CANDIDATES)},
            "start": {"state": [x, y], "steps": int(steps), "candidates": int(candidates)},
        }

    def to_html(self, file: str | Path | None = None) -> str:
        """The playground as one HTML page, which needs neither a kernel nor a network.

        Args:
            file: the page is also written to this file, atomically.

        Raises:
            ConfigError: the file's name does not end in .html.
        """
        text = page(self.title, self._file, self._given)
        if file is not None:
            save(text, file)
        return text

    def to_folder(self, folder: str | Path, *, packages_in: str = ".") -> Path:
        """The playground with Play, as a folder that any web server serves; returns the page.

        index.html is the page, which a browser also opens from a disk; mujoco.js beside it has the
        physics, 14 MB that the page loads when they are first wanted.

        Args:
            folder: the folder, which is made.
            packages_in: another folder for the physics, relative to this one, where several pages
                share them.

        Raises:
            ConfigError: a maze that also teleports; the physics can't be fetched with npm.
        """
        physics = maze_physics(self.environment)
        check(
            not physics.teleports,
            f"a page can't play '{self.environment}', which teleports: a notebook can",
        )
        write_script(MUJOCO, Path(folder) / packages_in)
        given = self._given | {
            "limit": physics.limit,
            "physics": {"script": f"{packages_in}/{MUJOCO.script}", "xml": physics.xml},
        }
        file = Path(folder) / "index.html"
        save(page(self.title, self._file, given), file)
        return file

    def view(self):
        """The widget, of anywidget.

        Raises:
            ImportError: anywidget is not installed; the extra [lab] has it.
        """
        from sorl_edu.widgets.playground.live import PlaygroundWidget

        given = self._given | {"limit": maze_physics(self.environment).limit}
        return PlaygroundWidget(
            self.agent, self.state, self.environment, file=self._file, given=given
        )

    def _ipython_display_(self) -> None:
        """Displays the widget and, for where no widget is, the page in a frame.

        Beside a widget, the frame is hidden, and its page computes nothing. It is what stays in a
        saved notebook.
        """
        from IPython.display import HTML, display

        with contextlib.suppress(ImportError):  # the page needs no anywidget
            display(self.view())
        display(HTML(frame_html(self.title, self.to_html())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r}: {self.environment})"


def check_sliders(steps: int, candidates: int) -> None:
    """Raises ConfigError for m or N that no slider has."""
    for what, value, values in (("m", steps, STEPS), ("N", candidates, CANDIDATES)):
        check(value in values, f"{what} is {value}; it can be {', '.join(map(str, values))}")


def colours() -> dict:
    """The house's colours of what the pictures show, in both themes and in one of them."""

    def hexes(name: str, shares: np.ndarray) -> list[str]:
        colormap = matplotlib.colormaps[name]
        return [matplotlib.colors.to_hex(colormap(share)) for share in shares]

    stops = np.linspace(0, 1, 16)
    return {
        "both": {"blue": BLUE, "orange": ORANGE, "landscape": hexes("viridis", stops)},
        "light": {"way": BLUE, "density": hexes("Blues", stops)},
        "dark": {"way": SKY, "density": hexes("Blues_r", stops)},
    }


def frame_html(title: str, text: str) -> str:
    """A page in a frame, which hides itself where the widget is on display."""
    areas = ":is(.jp-OutputArea, #output-area)"  # of JupyterLab, and of Colab
    return (
        f"<style>{areas}:has(.sorl-playground) .sorl-page {{ display: none; }}</style>"
        f'<iframe class="sorl-page" title="{html.escape(title)}" loading="lazy" '
        f'style="width:100%;height:{FRAME_HEIGHT}px;border:0" srcdoc="{html.escape(text)}">'
        "</iframe>"
    )
