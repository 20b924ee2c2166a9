"""`make robots`: lesson 6's agents, trained on data that are collected here, and their success.

Each arm is an experiment with the published protocol. data/robots/ gets

    NAME.csv                   success of every task, seed, evaluation and setting
    NAME_taskK.safetensors     the first seed's last agent, of arms that are shown, without targets
    NAME.mp4                   an agent at two settings, side by side; the README's is a GIF, too
    cube_verifier.csv          what the critic promised for chosen actions, and what they got
    cube_states.csv, .png      moments of an episode: what the robot observes, and a picture of it

Finished work is kept in runs/, so a study that is stopped resumes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sorl_edu import programs
from sorl_edu.agents.agent import act, propose
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.environments.make import PhysicsState, get_state, reset, set_state
from sorl_edu.environments.rollout import Moment, make_environments, rollout
from sorl_edu.errors import check
from sorl_edu.evaluation import paired_difference
from sorl_edu.experiments import experiment
from sorl_edu.experiments.experiment import (
    PROTOCOL,
    Collection,
    Experiment,
    cell_means,
    grid,
    parse_pieces,
)
from sorl_edu.experiments.statistics import best_setting
from sorl_edu.files import add_to_manifest, atomic_write, write_csv
from sorl_edu.plotting import video
from sorl_edu.progress import progress_bar
from sorl_edu.training import checkpoints, use_all_cores

CUBE = Experiment(
    name="cube",
    about="SORL",
    preset="cube-single-small",
    agent=preset("cube-single-small"),
    dataset="cube-single-play-v0",
    tasks=range(1, 6),
    seeds=range(4),
    updates=50_000,
    settings=grid((1, 2, 4, 8), (1, 8, 32)),
    episodes=16,
    evaluated_at=PROTOCOL,
    collection=Collection(1000),
)
SHORT = replace(
    CUBE,
    name="cube_short",
    about="two fifths of the updates",
    updates=20_000,
    settings=grid((8,), (1, 8)),
)
DEEP = replace(
    CUBE,
    name="cube_backprop_8",
    about="Q's gradient through up to 8 steps",
    agent=preset("cube-single-small", max_backprop_steps=8),
    tasks=(1, 4),
    seeds=range(3),
    settings=grid((1, 2, 4, 8), (1, 8)),
)
SCENE = replace(
    CUBE,
    name="scene",
    preset="scene-small",
    agent=preset("scene-small"),
    dataset="scene-play-v0",
    tasks=(1,),
    settings=grid((1, 8), (1, 8)),
    collection=Collection(500),
)
CLONING = {
    "about": "behaviour cloning on the same data",
    "preset": "robots-small-bc",
    "agent": preset("robots-small-bc"),
    "settings": ((8, 1),),
}
EXPERIMENTS = {
    arm.name: arm
    for arm in (
        SHORT,
        CUBE,
        DEEP,
        replace(CUBE, name="cube_cloning", **CLONING),
        replace(
            SHORT,
            name="cube_short_less_data",
            about="two fifths of the updates, a quarter of the data",
            tasks=(1, 4),
            collection=Collection(250),
        ),
        replace(
            SHORT,
            name="cube_short_narrow",
            about="two fifths of the updates, half the width",
            tasks=(1, 4),
            preset="cube-single-narrow",
            agent=preset("cube-single-narrow"),
        ),
        SCENE,
        replace(SCENE, name="scene_cloning", **CLONING),
    )
}
SHOWN = {"cube": (1, 2, 3, 4, 5), "cube_backprop_8": (1, 4), "scene": (1,)}
"""Tasks whose first seed's agent is shipped."""


@dataclass(frozen=True)
class Video:
    """An arm's first seed at two settings, from the same starts."""

    arm: str
    task: int
    steps: tuple[int, int]
    candidates: tuple[int, int]


VIDEOS = {
    "cube_steps": Video("cube", 2, steps=(1, 8), candidates=(1, 1)),
    "cube_backprop_8_steps": Video("cube_backprop_8", 1, steps=(1, 8), candidates=(1, 1)),
    "cube_candidates": Video("cube", 2, steps=(8, 8), candidates=(1, 8)),
    "scene_candidates": Video("scene", 1, steps=(8, 8), candidates=(1, 8)),
}


CUBE_HEIGHT = 21
"""The component of an observation that has ten times the height of the cube, in metres."""

IN_README = "cube_candidates"
"""The video that a page on GitHub shows, which plays GIFs alone."""


def run_arm(name: str, runs: Path, out: Path) -> None:
    """Does what is missing of an arm, and copies what is shipped."""
    arm, folder, trainings = EXPERIMENTS[name], runs / "robots", runs / "trainings"
    rows = experiment.run(arm, folder, trainings=trainings)
    trained = experiment.train(arm, folder, trainings=trainings)
    write_csv(cell_means(rows).drop(columns="agent"), out / f"{name}.csv")
    files = {f"{name}.csv": {}}
    for task in SHOWN.get(name, ()):
        file = f"{name}_task{task}.safetensors"
        agent = checkpoints.load_agent(trained.agents[task, 0, arm.updates])
        checkpoints.save_agent(out / file, *agent, targets=False)
        files[file] = {"task": arm.task(task), "seed": 0}
    facts = {
        "about": arm.about,
        "experiment": arm.facts(),
        "training_seconds": round(trained.seconds),
        "hardware": f"{os.cpu_count()} CPU cores",
        "dataset": f"sorl-edu collect {arm.dataset} --episodes {arm.collection.episodes}",
        "dataset_sha256": trained.dataset_sha256,
    }
    for file, more in files.items():
        add_to_manifest(out, file, command=_command(name), **facts, **more)


def make_video(name: str, out: Path, *, episodes: int = 3, every: int = 2) -> None:
    """A video of the first starts of seed 0, which are not selected; the README's also as a GIF."""
    chosen = VIDEOS[name]
    file = out / f"{chosen.arm}_task{chosen.task}.safetensors"
    agent, state, info = checkpoints.load_agent(file)
    settings = {"steps": chosen.steps, "candidates": chosen.candidates}
    with tempfile.TemporaryDirectory(dir=out) as folder:
        video.film(
            agent,
            state,
            info.environment,
            folder,
            episodes=episodes,
            size=240,
            every=every,
            **settings,
        )
        for ending in ("mp4", "gif") if name == IN_README else ("mp4",):
            made = f"{name}.{ending}"
            os.replace(Path(folder) / f"video.{ending}", out / made)
            add_to_manifest(out, made, command=_command(name), agent=file.name, **settings)


def measure_verifier(
    out: Path,
    *,
    arm: str = "cube",
    task: int = 2,
    visits: int = 16,
    states: int = 48,
    continuations: int = 4,
    settings: Sequence[tuple[int, int]] = grid((1, 8), (1, 8, 32)),
) -> None:
    """Writes out/ARM_verifier.csv: Q of a chosen action, and the return of playing on from it.

    States are drawn from `visits` episodes at eight steps and the best of eight, at any time before
    success.
    From each state, restored in the simulator, every setting plays on several times.

    A row has the state's number, steps, candidates, q (of the chosen first action), q_mean (of all
    its candidates), success, and returned: -(1 - gamma^k) / (1 - gamma) for k steps to the goal,
    and for a failure that of never arriving.
    """
    agent, state, info = checkpoints.load_agent(out / f"{arm}_task{task}.safetensors")
    visited: list = []

    def look(moment: Moment) -> None:
        if moment.decision is not None:
            running = np.flatnonzero(moment.running)
            visited.extend(get_state(moment.environments[e]) for e in running)

    act_well = partial(act, agent, state, steps=8, candidates=8)
    rollout(act_well, info.environment, episodes=visits, seed=states, on_step=look)
    rng = np.random.default_rng(0)
    chosen = [visited[i] for i in rng.choice(len(visited), states, replace=False)]
    rows = []
    for m, n in progress_bar(settings, unit="setting"):
        first: list = []

        def keep(moment: Moment, first=first) -> None:
            if moment.time == 0:
                q = np.asarray(moment.decision.q)[:, : len(moment.episodes)]
                first.extend(zip(q.max(0), q.mean(0), strict=True))

        table, _ = rollout(
            partial(propose, agent, state, steps=m, candidates=n),
            info.environment,
            episodes=states * continuations,
            seed=1,
            starts=[place for place in chosen for _ in range(continuations)],
            on_step=keep,
        )
        arrived = table.success.to_numpy() > 0
        lasts = np.where(arrived, table.length - 1, np.inf)
        returned = -(1 - agent.discount**lasts) / (1 - agent.discount)
        for i, (q, q_mean) in enumerate(first):
            row = {"state": i // continuations, "steps": m, "candidates": n, "q": q}
            row |= {"q_mean": q_mean, "success": arrived[i] * 1, "returned": returned[i]}
            rows.append(row)
    write_csv(pd.DataFrame(rows), out / f"{arm}_verifier.csv")
    command, file = _command(f"{arm}_verifier"), f"{arm}_verifier.csv"
    add_to_manifest(out, file, command=command, agent=f"{arm}_task{task}.safetensors")


def make_states(
    out: Path, *, arm: str = "cube", task: int = 2, episodes: int = 16, size: int = 240
) -> None:
    """Writes out/ARM_states.csv and .png: four moments of an episode of carrying a cube.

    The episode is the first of seed 0 that arrives at eight steps and the best of eight. Its
    moments are the start; the approach, halfway to the grasp; the grasp, three steps before the
    cube has risen by a centimetre; and the carry, halfway from there to the end.

    A row of the CSV has the moment's name, its time and the observation (o_0, o_1, ...); the
    pictures, `size` pixels wide and high, lie side by side in the same order.

    Raises:
        ConfigError: no episode arrives.
        RenderError: MuJoCo can't draw here.
    """
    video.check_renderer()
    agent, state, info = checkpoints.load_agent(out / f"{arm}_task{task}.safetensors")
    physics: dict[tuple[int, int], PhysicsState] = {}  # by episode and time

    def look(moment: Moment) -> None:
        for episode, env in zip(moment.episodes.tolist(), moment.environments, strict=True):
            physics[episode, moment.time] = get_state(env)

    act_well = partial(act, agent, state, steps=8, candidates=8)
    table, recording = rollout(
        act_well, info.environment, episodes=episodes, seed=0, record=True, on_step=look
    )
    check((table.success > 0).any(), f"none of {episodes} episodes arrives: run more")
    episode = int((table.success > 0).to_numpy().argmax())
    track = recording.observations[episode]
    end = int(table.length[episode])
    height = track[:, CUBE_HEIGHT] / 10  # of the cube, in metres
    grasp = max(int((height > height[0] + 0.01).argmax()) - 3, 0)
    moments = {"start": 0, "approach": grasp // 2, "grasp": grasp, "carry": (grasp + end) // 2}

    env = make_environments(info.environment, 1)[0]
    reset(env, seed=0)
    view = video.MuJoCoView(env, size)
    pictures = []
    for time in moments.values():
        set_state(env, physics[episode, time])
        pictures.append(view.draw(track[time]))
    view.close()
    rows = [
        {"name": name, "time": time} | {f"o_{i}": o for i, o in enumerate(track[time])}
        for name, time in moments.items()
    ]
    write_csv(pd.DataFrame(rows), out / f"{arm}_states.csv")
    with atomic_write(out / f"{arm}_states.png") as file:
        Image.fromarray(np.concatenate(pictures, axis=1)).save(file, "png", optimize=True)
    for ending in ("csv", "png"):
        add_to_manifest(
            out,
            f"{arm}_states.{ending}",
            command=_command(f"{arm}_states"),
            agent=f"{arm}_task{task}.safetensors",
            episode=episode,
        )


def results(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Success of an arm: a row per (training_seed, task, updates, steps, candidates).

    Success, return and length are means over some episodes (the column of that name), whose starts
    belong to the task and the updates. `episode` numbers task and evaluation, so that arms and
    settings pair. `agent` is the arm's name.

    Args:
        name: one of `EXPERIMENTS`.
        folder: the folder of its CSV; data/robots/ unless given.
    """
    table = pd.read_csv((folder or shipped_data() / "robots") / f"{name}.csv")
    evaluation = table.updates.rank(method="dense").astype(int)
    table = table.rename(columns={"seed": "training_seed"})
    return table.assign(agent=name, episode=10 * table.task + evaluation)


def findings(out: Path | None = None) -> pd.DataFrame:
    """Pairs of arms or settings, compared by their rows in `out` (data/robots/ unless given).

    Success is the mean over the evaluations at 80%, 90% and 100% of the updates, as published; but
    a setting that is selected is selected on the first two, and reported on the last. Arms are
    compared on the tasks and the seeds that both have.

    Returns:
        a row per question: question, better and worse (success), difference, low, high (95%, as
        `evaluation.bounded_interval`, over agents: one seed's of one task), agents, seeds, episodes
        (rows that are paired: an evaluation of an agent each).
    """
    rows = {name: results(name, out) for name in EXPERIMENTS}
    everything = pd.concat(rows.values())
    last = everything.groupby("agent").updates.transform("max") == everything.updates

    def compare(question: str, table: pd.DataFrame, better: dict, worse: dict) -> dict:
        one, other = (table[(table[list(s)] == pd.Series(s)).all(axis=1)] for s in (better, worse))
        for column in ("task", "training_seed"):
            both = set(one[column]) & set(other[column])
            one, other, table = (rows[rows[column].isin(both)] for rows in (one, other, table))
        means = {"better": one.success.mean(), "worse": other.success.mean()}
        paired = paired_difference(table, "success", better=better, worse=worse)
        return {"question": question} | means | paired

    found = []
    for name in ("cube", "scene"):
        best = best_setting(rows[name].rename(columns={"training_seed": "seed"})).iloc[0]
        chosen = {"agent": name, "steps": int(best.steps), "candidates": int(best.candidates)}
        question = f"{name}: SORL, {chosen['steps']} steps, best of {chosen['candidates']}; cloning"
        cloning = {"agent": f"{name}_cloning", "steps": 8, "candidates": 1}
        found.append(compare(question, everything[last], chosen, cloning))
    cube = {"agent": "cube", "steps": 8, "candidates": 8}
    hasty, one, short = {"steps": 1}, {"candidates": 1}, {"agent": "cube_short"}
    deep = cube | {"agent": "cube_backprop_8"}
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
                cube | {"agent": "cube_short_less_data"},
            ),
            ("the shorter: width 128; 64", cube | short, cube | {"agent": "cube_short_narrow"}),
            ("M_BTT = 8, one candidate: 8 steps; 1", deep | one, deep | one | hasty),
            ("8 steps, one candidate: M_BTT = 8; 2", deep | one, cube | one),
            ("1 step, one candidate: M_BTT = 8; 2", deep | one | hasty, cube | one | hasty),
            ("8 steps, best of 8: M_BTT = 8; 2", deep, cube),
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
    return experiment.command_of("robots", name)


def main(arguments: list[str] | None = None) -> None:
    known = [*EXPERIMENTS, *VIDEOS, "cube_verifier", "cube_states"]
    pieces, runs, out = parse_pieces(arguments, __doc__, known, "robots", "piece")
    for name in pieces:
        if name in VIDEOS:
            make_video(name, out)
        elif name == "cube_verifier":
            measure_verifier(out)
        elif name == "cube_states":
            make_states(out)
        else:
            run_arm(name, runs, out)
    if set(EXPERIMENTS) <= set(pieces):
        print(describe(findings(out)))


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
