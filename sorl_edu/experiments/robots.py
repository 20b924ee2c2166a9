"""`make robots`: lesson 6's agents, trained on data that are made here, and what they reach.

Each arm is a plan of `sorl-edu benchmark` on data of `sorl-edu collect`. data/robots/ gets

    NAME.csv                   success of every task, seed, evaluation and setting
    NAME_taskK.safetensors     the first seed's last agent, of arms that are shown
    NAME.gif                   an agent at two settings, side by side

What is collected, trained or evaluated is kept in runs/robots/, so a study that is stopped goes on
where it was.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from sorl_edu.course import shipped
from sorl_edu.datasets.collect import collect
from sorl_edu.evaluation import paired_difference
from sorl_edu.experiments import benchmark
from sorl_edu.experiments.benchmark import Plan, agent_file
from sorl_edu.experiments.pieces import asked_for
from sorl_edu.files import add_to_manifest, copy_whole, file_sha256, write_csv
from sorl_edu.plotting import video
from sorl_edu.training import RESUME_FILE, checkpoints, use_all_cores


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
SHORT = replace(CUBE, updates=20_000, steps=(8,), candidates=(1, 8))
SCENE = replace(
    CUBE,
    tasks=("scene-play-singletask-task1-v0",),
    steps=(1, 8),
    candidates=(1, 8),
    preset="scene-small",
)
TWO_TASKS = replace(
    SHORT, tasks=tuple(f"cube-single-play-singletask-task{task}-v0" for task in (1, 4))
)

ARMS = {
    "cube_short": Arm(SHORT, "two fifths of the updates"),
    "cube": Arm(CUBE, "SORL", shown=(1, 2, 3, 4, 5), begins_as="cube_short"),
    "cube_cloning": Arm(
        replace(CUBE, preset="robots-small-bc", steps=(8,), candidates=(1,)),
        "behaviour cloning on the same data",
    ),
    "cube_short_less_data": Arm(TWO_TASKS, "two fifths of the updates, a quarter of the data", 250),
    "cube_short_narrow": Arm(
        replace(TWO_TASKS, preset="cube-single-narrow"), "two fifths of the updates, half the width"
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
    "cube_candidates": Film("cube", 2, steps=(8, 8), candidates=(1, 8)),
    "scene_candidates": Film("scene", 1, steps=(8, 8), candidates=(1, 8)),
}


def make_film(name: str, out: Path, *, episodes: int = 3, every: int = 2) -> None:
    """A film as GIF; the starts are the first ones of seed 0, as they come."""
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
        os.replace(Path(folder) / "video.gif", out / f"{name}.gif")
    add_to_manifest(
        out,
        f"{name}.gif",
        command=_command(name),
        agent=file.name,
        steps=chosen.steps,
        candidates=chosen.candidates,
    )


def findings(out: Path | None = None) -> pd.DataFrame:
    """What the rows in `out` say (data/robots/ unless given), as pairs of arms or settings.

    Success is the mean over the evaluations at 80%, 90% and 100% of the updates, as the published
    protocol has it; but a chosen setting is chosen on the first two, and told of at the last.
    Arms are compared on the tasks that both have.

    Returns:
        a row per question: question, better and worse (success), difference, low, high (95%,
        Student's, over training seeds; differences are paired within a seed), seeds, episodes
        (rows that are paired: a task and an evaluation of a seed each).
    """
    rows = {name: shipped.robot_results(name, out) for name in ARMS}
    everything = pd.concat(table.assign(arm=name) for name, table in rows.items())
    final = everything.groupby("arm").updates.transform("max") == everything.updates

    def compare(question: str, table: pd.DataFrame, better: dict, worse: dict) -> dict:
        one, other = (table[(table[list(s)] == pd.Series(s)).all(axis=1)] for s in (better, worse))
        tasks = set(one.task) & set(other.task)
        means = [arm[arm.task.isin(tasks)].success.mean() for arm in (one, other)]
        table = table[table.task.isin(tasks)]
        paired = paired_difference(table, "success", better=better, worse=worse)
        return {"question": question, "better": means[0], "worse": means[1]} | paired

    found = []
    for name in ("cube", "scene"):
        best = benchmark.best_setting(rows[name].rename(columns={"training_seed": "seed"})).iloc[0]
        chosen = {"arm": name, "steps": int(best.steps), "candidates": int(best.candidates)}
        question = f"{name}: SORL, {chosen['steps']} steps, best of {chosen['candidates']}; cloning"
        cloning = {"arm": f"{name}_cloning", "steps": 8, "candidates": 1}
        found.append(compare(question, everything[final], chosen, cloning))
    cube = {"arm": "cube", "steps": 8, "candidates": 8}
    hasty, one, short = {"steps": 1}, {"candidates": 1}, {"arm": "cube_short"}
    found += [
        compare(question, everything, better, worse)
        for question, better, worse in (
            ("cube, 8 steps: best of 8; one candidate", cube, cube | one),
            ("cube, 1 step: best of 8; one candidate", cube | hasty, cube | hasty | one),
            ("cube, 8 steps: best of 32; best of 8", cube | {"candidates": 32}, cube),
            ("cube, best of 8: 8 steps; 1", cube, cube | hasty),
            ("cube, one candidate: 8 steps; 1", cube | one, cube | one | hasty),
            (f"cube: {CUBE.updates:,} updates; {SHORT.updates:,}", cube, cube | short),
            (
                "the shorter: all data; a quarter",
                cube | short,
                cube | {"arm": "cube_short_less_data"},
            ),
            ("the shorter: width 128; 64", cube | short, cube | {"arm": "cube_short_narrow"}),
        )
    ]
    return pd.DataFrame(found)


def describe(table: pd.DataFrame) -> str:
    """The findings as a table in Markdown."""
    lines = [
        "| the one; the other | success | success | difference | 95% interval |",
        "|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.question} | {row.better:.2f} | {row.worse:.2f} | {row.difference:+.2f} "
            f"| [{row.low:+.2f}, {row.high:+.2f}] |"
        )
    return "\n".join(lines)


def _command(name: str) -> str:
    return f"make robots  # this one: python -m sorl_edu.experiments.robots {name}"


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = asked_for(arguments, __doc__, [*ARMS, *FILMS], "robots", "piece")
    for name in pieces:
        if name in FILMS:
            make_film(name, out)
        else:
            run_arm(name, runs, out)
    if set(ARMS) <= set(pieces):
        print(describe(findings(out)))


if __name__ == "__main__":
    use_all_cores()
    main()
