"""`sorl-edu collect`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sorl_edu.cli.command import Command, check_seed, usable_folder


@dataclass(frozen=True)
class Collect(Command):
    """Collect a PointMaze, cube or scene dataset with OGBench's own oracles and recipes.

    The files have OGBench's format; there are a tenth as many validation episodes.

    Finished episodes are kept: the same command resumes a collection that was stopped.
    """

    name: Positional[Annotated[str, arg(metavar="DATASET")]]
    """OGBench's name of the dataset, such as cube-single-play-v0."""
    out: Path
    """Folder for the files; it holds DATASET.parts until they are complete."""
    episodes: int | None = None
    """Training episodes; the official number by default."""
    workers: int | None = None
    """Processes, each of 0.7 GB for robots; one per core by default. The data do not change."""
    noise: float | None = None
    """Standard deviation of the noise: on actions; on plans in play data; the largest of several in
    noisy data. The official value by default."""
    seed: int = 0
    """The same seed gives the same data."""
    overwrite: bool = False
    """Replace existing files."""

    examples = """
    sorl-edu collect pointmaze-medium-navigate-v0 --episodes 200 --out DIR
    sorl-edu collect pointmaze-large-stitch-v0 --out data/large --noise 0.2 --seed 1
    sorl-edu collect cube-single-play-v0 --episodes 250 --out data/cube
    sorl-edu collect scene-noisy-v0 --workers 2 --out data/scene
    """

    def run(self) -> int:
        from sorl_edu.cli.doctor import usable_cpus
        from sorl_edu.datasets.collect import collect

        check_seed(self.seed)
        paths = collect(
            self.name,
            usable_folder(self.out),
            episodes=self.episodes,
            noise=self.noise,
            seed=self.seed,
            workers=usable_cpus() if self.workers is None else self.workers,
            overwrite=self.overwrite,
        )
        print("Wrote", " and ".join(map(str, paths)))
        folder = str(paths[0].parent)
        task = self.name.replace("-v0", "-singletask-v0")
        train = ["sorl-edu", "train", task, "--data", folder, "--out", "runs/collected"]
        print("Next:", shlex.join(train))
        return 0
