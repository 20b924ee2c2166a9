"""Draws the README's pictures: `python -m sorl_edu.course.pictures`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sorl_edu import plotting, programs
from sorl_edu.course import shipped
from sorl_edu.files import add_to_manifest, atomic_write
from sorl_edu.widgets import ActionDistributionExplorer

COMMAND = "make course-data  # this one: python -m sorl_edu.course.pictures"


def draw(out: Path) -> None:
    """Writes out/method.png and out/main_widget.png, and their entries.

    The first is the diagram of the method, the second the main widget with lesson 0's agent.
    """
    plotting.save_figure(plotting.method_diagram(), out / "method.png", dpi=120)
    agent, state, info = shipped.agent("narrow")
    explorer = ActionDistributionExplorer(
        agent,
        state,
        info.environment,
        trajectories=shipped.trajectories("narrow"),
        steps=(8,),
        candidates=(32,),
    )
    with atomic_write(out / "main_widget.png") as beside:
        beside.write_bytes(explorer.frame(place="junction").png)
    for file in ("method.png", "main_widget.png"):
        add_to_manifest(out, file, command=COMMAND)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/course"), help="folder to write to")
    draw(parser.parse_args(arguments).out)


if __name__ == "__main__":
    programs.run(main)
