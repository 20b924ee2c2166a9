"""`make demo`: train SORL on PointMaze, evaluate it over steps x N, draw the results.

Data, environment and rewards are OGBench's: the shipped dataset (in data/) was collected with its
own oracle. runs/demo/ gets sweep.csv (the table), episodes.csv (the episodes behind it),
agent.safetensors, history.csv and the pictures.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from sorl_edu import plotting, programs
from sorl_edu.agents.presets import preset
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.evaluation import as_text, summarize
from sorl_edu.experiments.experiment import Experiment, Trained, grid, run, train
from sorl_edu.files import atomic_copy, write_csv

STEPS, CANDIDATES = (1, 2, 4, 8), (1, 8, 32)
SHOWN, SHOWN_EPISODES = ((1, 1), (8, 1), (8, 32)), 16  # settings whose trajectories are drawn
EXPERIMENT = Experiment(
    name="SORL",
    preset="pointmaze",
    agent=preset("pointmaze"),
    dataset="pointmaze-medium-navigate-v0",
    updates=10_000,
    settings=grid(STEPS, CANDIDATES),
    episodes=50,
    validation=True,
)
ENVIRONMENT = EXPERIMENT.task(0)


def main(
    out: Path,
    updates: int = EXPERIMENT.updates,
    episodes: int = EXPERIMENT.episodes,
    seed: int = 0,
) -> None:
    started = time.perf_counter()
    seeds = {"seeds": (seed,), "evaluation_seed": seed, "recorded": seed}
    experiment = replace(EXPERIMENT, updates=updates, episodes=episodes, **seeds)
    print(f"1/3  training SORL for {updates:,} updates (preset 'pointmaze', seed {seed})")
    trained = train(experiment, out)
    atomic_copy(trained.agents[0, seed, updates], out / "agent.safetensors")
    write_csv(trained.history.drop(columns="task"), out / "history.csv")

    print(f"2/3  {episodes} episodes for each of {len(experiment.settings)} settings")
    table = run(experiment, out).rename(columns={"seed": "training_seed"})
    summary = summarize(table)
    write_csv(table, out / "episodes.csv")
    write_csv(summary, out / "sweep.csv")

    print("3/3  drawing")
    for name, figure in pictures(experiment, trained, summary, out).items():
        plotting.save_figure(figure, out / f"{name}.png")

    print(f"\n{as_text(summary)}\n")
    best = summary.sort_values(["success", "length"], ascending=[False, True]).iloc[0]
    files = sorted(file.name for file in out.iterdir() if file.is_file())
    print(
        f"Best cell: {best.steps:.0f} steps, N = {best.candidates:.0f}: success {best.success:.2f} "
        f"in {best.length:.0f} environment steps.\n"
        f"In {out}: {', '.join(files)}\n"
        f"Took {(time.perf_counter() - started) / 60:.1f} minutes; the training took "
        f"{trained.seconds / 60:.1f}."
    )


def pictures(experiment: Experiment, trained: Trained, summary: pd.DataFrame, out: Path) -> dict:
    """The figures of a run, by name."""
    (seed,) = experiment.seeds
    agent, state, _ = trained.load(0, seed, experiment.updates)
    figures = {
        "sweep_success": plotting.sweep_heatmap(summary, metric="success"),
        "sweep_length": plotting.sweep_heatmap(summary, metric="length"),
        "learning_curves": plotting.learning_curves(trained.history),
        "q_landscape": plotting.q_landscape(agent, state, ENVIRONMENT, steps=8),
        "action_distribution": plotting.action_distribution(
            agent,
            state,
            maze_geometry(ENVIRONMENT).start,
            environment=ENVIRONMENT,
            steps=STEPS,
            candidates=CANDIDATES,
            key=jax.random.key(seed),
        ),
    }
    for m, n in SHOWN:
        file = experiment.rows_file(out, (0, seed, experiment.updates), (m, n))
        observations = np.load(file.with_suffix(".npy"), allow_pickle=False)[:SHOWN_EPISODES]
        success = pd.read_csv(file).success.to_numpy(float)[:SHOWN_EPISODES]
        figure = plotting.maze_trajectories(ENVIRONMENT, observations, success)
        figures[f"trajectories_{m}_steps_N_{n}"] = figure
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--updates", type=int, default=EXPERIMENT.updates)
    parser.add_argument("--episodes", type=int, default=EXPERIMENT.episodes)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    programs.run(lambda: main(**options))
