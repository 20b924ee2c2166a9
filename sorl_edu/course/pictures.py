"""Draws the README's picture: `python -m sorl_edu.course.main_widget`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sorl_edu import programs
from sorl_edu.course import shipped
from sorl_edu.files import add_to_manifest, atomic_write
from sorl_edu.widgets import ActionDistributionExplorer


def draw(out: Path) -> None:
    """Writes out/main_widget.png, the action distribution of the shipped agent, and its entry."""
    agent, state, info = shipped.agent("sorl")
    explorer = ActionDistributionExplorer(
        agent,
        state,
        info.environment,
        trajectories=shipped.trajectories("sorl"),
        steps=(8,),
        candidates=(32,),
    )
    with atomic_write(out / "main_widget.png") as beside:
        beside.write_bytes(explorer.frame().png)
    command = "make course-data  # this one: python -m sorl_edu.course.main_widget"
    add_to_manifest(out, "main_widget.png", command=command)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/course"), help="folder to write to")
    draw(parser.parse_args(arguments).out)


if __name__ == "__main__":
    programs.run(main)
