"""`make demo`: train SORL on PointMaze, evaluate it over steps x N, draw what came of it.

Everything is real: data collected with OGBench's own oracle (shipped in data/), OGBench's
environment and rewards. It writes to runs/demo/: sweep.csv (the table), episodes.csv (what it
summarizes), agent.safetensors, history.csv and the pictures.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax

from sorl_edu import plotting
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.ogbench import load
from sorl_edu.evaluation import as_text, evaluate, summarize, sweep
from sorl_edu.files import write_csv
from sorl_edu.training import seed_state, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, save_agent

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
PRESET = "pointmaze"
UPDATES = 10_000
STEPS, CANDIDATES, EPISODES = (1, 2, 4, 8), (1, 8, 32), 50


def main(out: Path, updates: int = UPDATES, episodes: int = EPISODES, seed: int = 0) -> None:
    started = time.perf_counter()
    dataset = load(ENVIRONMENT)
    agent = preset(PRESET)
    print(f"1/4  {len(dataset.train):,} transitions from {dataset.path}")

    print(f"2/4  training SORL for {updates:,} updates (preset '{PRESET}', seed {seed})")
    run = train_seeds(
        agent,
        dataset.train,
        updates=updates,
        keys=jax.random.split(jax.random.key(seed), 1),
        validation=dataset.validation,
    )
    state = seed_state(run.state, 0)
    info = AgentInfo(ENVIRONMENT, updates, seed, PRESET, dataset.sha256)
    save_agent(out / "agent.safetensors", agent, state, info)
    write_csv(run.history, out / "history.csv")

    print(f"3/4  {episodes} episodes for each of {len(STEPS)} x {len(CANDIDATES)} settings")
    table = sweep(
        agent,
        run.state,
        ENVIRONMENT,
        steps=STEPS,
        candidates=CANDIDATES,
        episodes=episodes,
        seed=seed,
    )
    summary = summarize(table)
    write_csv(table, out / "episodes.csv")
    write_csv(summary, out / "sweep.csv")

    print("4/4  drawing")
    for name, figure in pictures(agent, run, state, summary, seed).items():
        plotting.save_figure(figure, out / f"{name}.png")

    print(f"\n{as_text(summary)}\n")
    best = summary.sort_values(["success", "length"], ascending=[False, True]).iloc[0]
    print(
        f"Best cell: {best.steps:.0f} steps, N = {best.candidates:.0f}: success {best.success:.2f} "
        f"in {best.length:.0f} environment steps.\n"
        f"In {out}: " + ", ".join(sorted(file.name for file in out.iterdir())) + "\n"
        f"Took {(time.perf_counter() - started) / 60:.1f} minutes, "
        f"{run.seconds / 60:.1f} of them training."
    )


def pictures(agent, run, state, summary, seed: int) -> dict:
    """The figures of a run, by name."""
    figures = {
        "sweep_success": plotting.sweep_heatmap(summary, metric="success"),
        "sweep_length": plotting.sweep_heatmap(summary, metric="length"),
        "learning_curves": plotting.learning_curves(run.history),
        "q_landscape": plotting.q_landscape(agent, state, ENVIRONMENT, steps=8),
        "action_distribution": plotting.action_distribution(
            agent,
            state,
            plotting.maze_geometry(ENVIRONMENT).start,
            environment=ENVIRONMENT,
            steps=STEPS,
            candidates=CANDIDATES,
            key=jax.random.key(seed),
        ),
    }
    for steps, candidates in ((1, 1), (8, 1), (8, 32)):
        table, track = evaluate(
            agent,
            state,
            ENVIRONMENT,
            steps=steps,
            candidates=candidates,
            episodes=16,
            seed=seed,
            record=True,
        )
        figures[f"trajectories_{steps}_steps_N_{candidates}"] = plotting.maze_trajectories(
            ENVIRONMENT, track, table.success.to_numpy()
        )
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
