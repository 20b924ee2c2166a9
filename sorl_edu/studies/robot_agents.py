"""`make robots`: lesson 6's agents, trained on data that are made here, and what they reach.

Each arm is a plan of `sorl-edu benchmark` on data of `sorl-edu collect`. data/robots/ gets

    NAME.csv                   success of every task, seed, evaluation and setting
    NAME_taskK.safetensors     the first seed's last agent, of arms that are shown
    NAME.gif, NAME.png         agents at two settings, side by side

What is collected, trained or evaluated is kept in runs/robots/, so a study that is stopped goes on
where it was.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax

from sorl_edu import benchmark, checkpoints, video
from sorl_edu.benchmark import Plan, agent_file
from sorl_edu.datasets.collect import collect
from sorl_edu.files import add_to_manifest, copy_whole, file_sha256, write_csv
from sorl_edu.studies.pieces import asked_for
from sorl_edu.training import RESUME_FILE


@dataclass(frozen=True)
class Arm:
    """A plan, and the data it learns from."""

    plan: Plan
    about: str
    episodes: int = 1000
    """Of training data."""
    shown: tuple[int, ...] = ()
    """Tasks whose first seed's agent is shipped."""
    begins_as: str | None = None
    """An arm that is the beginning of this one, with fewer updates."""


CUBE = Plan(
    tasks=("cube-single-play",),
    seeds=4,
    updates=50_000,
    candidates=(1, 8, 32),
    episodes=16,
    preset="cube-single-small",
)
SHORT = replace(CUBE, updates=20_000, steps=(8,), candidates=(1, 32))
SCENE = replace(
    CUBE, tasks=("scene-play-singletask-task1-v0",), candidates=(1, 32), preset="scene-small"
)

ARMS = {
    "cube_short": Arm(SHORT, "two fifths of the updates"),
    "cube": Arm(CUBE, "SORL", shown=(1, 2, 3, 4, 5), begins_as="cube_short"),
    "cube_cloning": Arm(
        replace(CUBE, preset="robots-small-bc", steps=(8,), candidates=(1,)),
        "behaviour cloning on the same data",
        shown=(1,),
    ),
    "cube_short_less_data": Arm(SHORT, "two fifths of the updates, a quarter of the data", 250),
    "cube_short_narrow": Arm(
        replace(SHORT, preset="cube-single-narrow"), "two fifths of the updates, half the width"
    ),
    "scene": Arm(SCENE, "SORL", 500, shown=(1,)),
    "scene_cloning": Arm(
        replace(SCENE, preset="robots-small-bc", steps=(8,), candidates=(1,)),
        "behaviour cloning on the same data",
        500,
    ),
}


def run_arm(name: str, runs: Path, out: Path) -> None:
    """Does what is missing of an arm, and copies what is shipped."""
    arm = ARMS[name]
    ((env, _),) = arm.plan.environments()
    dataset = f"{env.name}-v0"
    data = runs / f"data_{arm.episodes}"
    if not (data / f"{dataset}.npz").exists() or not (data / f"{dataset}-val.npz").exists():
        collect(dataset, data, episodes=arm.episodes, workers=os.cpu_count() or 1)
    state = runs / name / env.name / RESUME_FILE
    if arm.begins_as is not None and not state.exists():
        run_arm(arm.begins_as, runs, out)
        copy_whole(runs / arm.begins_as / env.name / RESUME_FILE, state)
    results = benchmark.run(arm.plan, runs / name, data=data)

    write_csv(results, out / f"{name}.csv")
    files = {f"{name}.csv": {}}
    for task in arm.shown:
        file = f"{name}_task{task}.safetensors"
        copy_whole(agent_file(state.parent, env.task(task), 0, arm.plan.updates), out / file)
        files[file] = {"task": env.task(task), "seed": 0}
    facts = {
        "about": arm.about,
        "plan": asdict(arm.plan),
        "config": asdict(arm.plan.agent(env)),
        "training_seconds": round(checkpoints.read_metadata(state)["seconds"]),
        "hardware": f"{os.cpu_count()} CPU cores",
        "dataset": f"sorl-edu collect {dataset} --episodes {arm.episodes}",
        "dataset_sha256": file_sha256(data / f"{dataset}.npz"),
    }
    for file, more in files.items():
        add_to_manifest(out, file, command=_command(name), **facts, **more)


@dataclass(frozen=True)
class Film:
    """An arm's first seed at two settings, from the same starts."""

    arm: str
    task: int
    steps: tuple[int, int]
    candidates: tuple[int, int]


FILMS = {
    "cube_steps": Film("cube", 2, steps=(1, 8), candidates=(1, 1)),
    "cube_candidates": Film("cube", 2, steps=(8, 8), candidates=(1, 32)),
    "scene_candidates": Film("scene", 1, steps=(8, 8), candidates=(1, 32)),
}


def make_film(name: str, out: Path, *, episodes: int = 3, every: int = 2) -> None:
    """The GIF and the sheet of a film; the starts are the first ones of seed 0, as they come."""
    chosen = FILMS[name]
    file = out / f"{chosen.arm}_task{chosen.task}.safetensors"
    agent, state, info = checkpoints.load_agent(file)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        video.film(
            agent,
            state,
            info.environment,
            folder,
            steps=chosen.steps,
            candidates=chosen.candidates,
            episodes=episodes,
            size=240,
            every=every,
        )
        for made, ending in (("video.gif", "gif"), ("contact_sheet.png", "png")):
            os.replace(Path(folder) / made, out / f"{name}.{ending}")
            add_to_manifest(
                out,
                f"{name}.{ending}",
                command=_command(name),
                agent=file.name,
                steps=chosen.steps,
                candidates=chosen.candidates,
            )


def _command(name: str) -> str:
    return f"make robots  # this one: python -m sorl_edu.studies.robot_agents {name}"


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = asked_for(arguments, __doc__, [*ARMS, *FILMS], "robots", "piece")
    for name in pieces:
        if name in FILMS:
            make_film(name, out)
        else:
            run_arm(name, runs, out)


if __name__ == "__main__":
    # A device per core: seeds that are spread over them learn faster than in one batch.
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    main()
