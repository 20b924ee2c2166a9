"""`make course-data`: trains and measures what the course's notebooks show, into data/course/.

Every arm is one configuration on the shipped PointMaze data, trained over several seeds. For each:

    NAME.safetensors         one seed's agent
    NAME_history.csv         the losses of all seeds
    NAME_episodes.csv        all seeds' episodes over steps x N, from the same starts
    NAME_values.csv          what each seed's critic promises at the start, for every m
    NAME_trajectories.npz    where one seed's agent went, at every setting (some arms)
    NAME_snapshots.safetensors   one seed's field and critic while they learn (one arm)

and `milliseconds.csv`, what a setting costs on the machine that made it, and the README's picture.
What is trained or measured is kept in runs/course/, so a study that is stopped goes on where it
was.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import evaluation
from sorl_edu.agents import SORL, Agent
from sorl_edu.agents.agent import State
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.ogbench import load
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.experiments.pieces import asked_for
from sorl_edu.files import add_to_manifest, appearing, write_csv
from sorl_edu.progress import progress_bar
from sorl_edu.training import checkpoints, seed_state, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, save_agent

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
EVALUATION_SEED = 1000
SHOWN_EPISODES, STRIDE = 16, 4  # trajectories keep every fourth position
SNAPSHOTS = (100, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6500, 8000, 10_000)
ALL = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Arm:
    """One configuration, trained over seeds and evaluated over steps x N."""

    agent: Agent
    about: str
    steps: tuple[int, ...] = (1, 8)
    candidates: tuple[int, ...] = (1, 32)
    updates: int = 10_000
    seeds: int = 3
    episodes: int = 20
    shown: int = 0  # the seed whose agent is shipped
    terminals: bool = True  # off: the mask is ignored, and values are bootstrapped past the goal
    trajectories: bool = False
    snapshots: bool = False


COURSE = preset("pointmaze")
# Seed 4's success at N = 1 (0.2 to 0.6) is the nearest to the mean of the eight: neither a lucky
# agent nor a lost one.
ARMS = {
    "sorl": Arm(
        COURSE,
        "the course's agent",
        steps=ALL,
        candidates=ALL,
        seeds=8,
        shown=4,
        trajectories=True,
        snapshots=True,
    ),
    "two_backprop_steps": Arm(
        preset("pointmaze", max_backprop_steps=2, consistency_weight=1.0),
        "Q's gradient goes back through at most M_BTT = 2 steps, and consistency_weight 1",
        steps=ALL,
        candidates=(1, 4, 32),
        seeds=8,
        trajectories=True,
    ),
    "leaky": Arm(
        preset(
            "pointmaze",
            q_weight=100.0,
            flow_weight=10.0,
            consistency_weight=10.0,
            fourier_features=32,
        ),
        "32 Fourier features: a critic whose values leak through walls",
        candidates=ALL,
        updates=8000,
        seeds=5,
        trajectories=True,
    ),
    "cloning": Arm(
        preset("pointmaze-bc"),
        "behaviour cloning by flow matching",
        steps=(1, 2, 4, 8, 16, 32),
        candidates=(1,),
        seeds=8,
        trajectories=True,
    ),
    "q_weight_5": Arm(preset("pointmaze", q_weight=5.0), "q_weight 5 in place of 500"),
    "q_weight_50": Arm(preset("pointmaze", q_weight=50.0), "q_weight 50 in place of 500"),
    "q_weight_5000": Arm(preset("pointmaze", q_weight=5000.0), "q_weight 5000 in place of 500"),
    "flow_weight_10": Arm(preset("pointmaze", flow_weight=10.0), "flow_weight 10 in place of 1"),
    "flow_weight_100": Arm(preset("pointmaze", flow_weight=100.0), "flow_weight 100 in place of 1"),
    "consistency_weight_0.1": Arm(
        preset("pointmaze", consistency_weight=0.1), "consistency_weight 0.1 in place of 100"
    ),
    "consistency_weight_10": Arm(
        preset("pointmaze", consistency_weight=10.0), "consistency_weight 10 in place of 100"
    ),
    "one_step_returns": Arm(
        preset("pointmaze", n_step=1), "1-step in place of 5-step returns", snapshots=True
    ),
    "minimum": Arm(preset("pointmaze", q_aggregation="min"), "the minimum of the two critics"),
    "blind_critic": Arm(
        preset("pointmaze", critic_sees_steps=False), "a critic that is not told the steps"
    ),
    "no_terminals": Arm(
        COURSE, "bootstraps through the goal: its mask is ignored", terminals=False
    ),
}


def run_arm(name: str, runs: Path, out: Path, arm: Arm | None = None) -> None:
    """Trains and measures what is missing of one arm, and writes its files and manifest entries."""
    arm, folder = arm or ARMS[name], runs / name
    data = load(ENVIRONMENT)
    train = data.train if arm.terminals else without_terminals(data.train)
    print(f"{name} ({arm.about}): {arm.seeds} seeds x {arm.updates:,} updates", flush=True)
    run = train_seeds(
        arm.agent,
        train,
        updates=arm.updates,
        keys=jax.random.split(jax.random.key(0), arm.seeds),
        log_every=500 if not arm.snapshots else 100,
        checkpoint_dir=folder,
        checkpoint_every=arm.updates // 2,
        on_log=partial(keep_snapshot, folder, arm) if arm.snapshots else None,
    )
    state = seed_state(run.state, arm.shown)
    files = {f"{name}.safetensors": {"seed": arm.shown, "updates": arm.updates}}
    info = AgentInfo(ENVIRONMENT, arm.updates, arm.shown, None, data.sha256, {"about": arm.about})
    save_agent(out / f"{name}.safetensors", arm.agent, state, info)

    history = run.history[run.history["update"] % 500 == 0]
    write_csv(history, out / f"{name}_history.csv")
    files[f"{name}_history.csv"] = {"seeds": arm.seeds}

    if arm.snapshots:
        snapshots = load_snapshots(folder, arm, state)
        checkpoints.save_tree(
            out / f"{name}_snapshots.safetensors", snapshots, {"updates": SNAPSHOTS}
        )
        files[f"{name}_snapshots.safetensors"] = {"seed": arm.shown, "updates": SNAPSHOTS}

    episodes, tracks = evaluate_arm(arm, run.state, folder)
    write_csv(episodes, out / f"{name}_episodes.csv")
    files[f"{name}_episodes.csv"] = {"seeds": arm.seeds, "episodes": arm.episodes}
    if arm.trajectories:
        with appearing(out / f"{name}_trajectories.npz") as beside, open(beside, "wb") as file:
            np.savez_compressed(file, **tracks)
        files[f"{name}_trajectories.npz"] = {"seed": arm.shown, "stride": STRIDE}

    if isinstance(arm.agent, SORL):
        write_csv(promised_values(arm, run.state), out / f"{name}_values.csv")
        files[f"{name}_values.csv"] = {"seeds": arm.seeds}

    for file, facts in files.items():
        add_to_manifest(
            out,
            file,
            command=f"make course-data  # this one: python -m sorl_edu.experiments.course {name}",
            about=arm.about,
            environment=ENVIRONMENT,
            dataset_sha256=data.sha256,
            config=asdict(arm.agent),
            **facts,
        )


def without_terminals(data: Transitions) -> Transitions:
    """The same transitions, as they look to code that forgets the mask."""
    return data.replace(masks=jnp.ones_like(data.masks))


def keep_snapshot(folder: Path, arm: Arm, update: int, states: State) -> None:
    """Keeps the shown seed's field and critic."""
    if update in SNAPSHOTS:
        state = seed_state(states, arm.shown)
        tree = {"field": state.field, "critic": state.critic}
        checkpoints.save_tree(folder / f"snapshot_{update}.safetensors", tree, {"update": update})


def load_snapshots(folder: Path, arm: Arm, like: State) -> dict:
    """The kept snapshots, stacked in the order of `SNAPSHOTS`."""
    tree = {"field": like.field, "critic": like.critic}
    kept = [
        checkpoints.load_tree(folder / f"snapshot_{update}.safetensors", tree)
        for update in SNAPSHOTS
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *kept)


def evaluate_arm(arm: Arm, states: State, folder: Path) -> tuple[pd.DataFrame, dict]:
    """Every seed at every setting, from the same starts, and the shown seed's trajectories."""
    settings = [
        (m, n, seed) for m in arm.steps for n in arm.candidates for seed in range(arm.seeds)
    ]
    tables, tracks = [], {}
    for m, n, seed in progress_bar(settings, unit="cell", desc="evaluate", mininterval=20):
        kept = folder / f"steps{m}_N{n}_seed{seed}.csv"
        track_file = folder / f"steps{m}_N{n}_seed{seed}.npy"
        record = arm.trajectories and seed == arm.shown
        if not kept.exists() or (record and not track_file.exists()):
            table, track = evaluation.evaluate(
                arm.agent,
                seed_state(states, seed),
                ENVIRONMENT,
                steps=m,
                candidates=n,
                episodes=arm.episodes,
                seed=EVALUATION_SEED,
                record=record,
            )
            if record:
                with appearing(track_file) as beside, open(beside, "wb") as file:
                    np.save(file, track[:SHOWN_EPISODES])
            write_csv(table, kept)
        tables.append(pd.read_csv(kept).assign(training_seed=seed, steps=m, candidates=n))
        if record:
            track = np.load(track_file, allow_pickle=False)
            tracks[f"m{m}_N{n}"] = thin(track)
            success = tables[-1].success.to_numpy()[:SHOWN_EPISODES]
            tracks[f"m{m}_N{n}_success"] = success.astype(bool)
    return pd.concat(tables, ignore_index=True), tracks


def thin(track: np.ndarray) -> np.ndarray:
    """Every fourth position and each episode's last, (episode, time, 2) in half precision."""
    thinned = []
    for episode in track:
        there = episode[np.isfinite(episode[:, 0])]
        thinned.append(np.concatenate([there[:-1:STRIDE], there[-1:]]))
    longest = max(map(len, thinned))
    padded = [np.pad(t, ((0, longest - len(t)), (0, 0)), constant_values=np.nan) for t in thinned]
    return np.asarray(padded, np.float16)


def promised_values(arm: Arm, states: State, samples: int = 256) -> pd.DataFrame:
    """Mean Q at the start of the task, for the actions of every seed's m-step policy."""
    start = jnp.asarray(maze_geometry(ENVIRONMENT).start, jnp.float32)
    obs = jnp.broadcast_to(start, (samples, 2))
    rows = []
    for seed in range(arm.seeds):
        state = seed_state(states, seed)
        for m in (1, 2, 4, 8):
            proposal = arm.agent.propose(state, obs, jax.random.key(0), steps=m, candidates=1)
            rows.append({"training_seed": seed, "steps": m, "q": float(proposal.q.mean())})
    return pd.DataFrame(rows)


def measure_milliseconds(out: Path, repeats: int = 200) -> None:
    """The median time to choose an action for one observation, at every setting."""
    agent, state, _ = checkpoints.load_agent(out / "sorl.safetensors")
    obs = jnp.asarray([maze_geometry(ENVIRONMENT).start], jnp.float32)
    rows = []
    for m in ALL:
        for n in ALL:
            times = []
            for i in range(repeats + 1):
                started = time.perf_counter()
                evaluation.act(
                    agent, state, obs, jax.random.key(i), steps=m, candidates=n
                ).block_until_ready()
                times.append(time.perf_counter() - started)
            rows.append({"steps": m, "candidates": n, "milliseconds": 1e3 * np.median(times[1:])})
    write_csv(pd.DataFrame(rows), out / "milliseconds.csv")
    add_to_manifest(
        out,
        "milliseconds.csv",
        command="make course-data  # this one: python -m sorl_edu.experiments.course milliseconds",
        hardware="2 CPU cores",
    )


def draw_main_widget(out: Path) -> None:
    """The README's picture."""
    from sorl_edu.course import shipped
    from sorl_edu.widgets import ActionDistributionExplorer

    agent, state, info = shipped.agent("sorl")
    explorer = ActionDistributionExplorer(
        agent,
        state,
        info.environment,
        trajectories=shipped.trajectories("sorl"),
        steps=(8,),
        candidates=(32,),
    )
    with appearing(out / "main_widget.png") as beside:
        beside.write_bytes(explorer.frame().png)
    add_to_manifest(
        out,
        "main_widget.png",
        command="make course-data  # this one: python -m sorl_edu.experiments.course main_widget",
    )


OTHERS = {"milliseconds": measure_milliseconds, "main_widget": draw_main_widget}


def main(arguments: list[str] | None = None) -> None:
    pieces, runs, out = asked_for(arguments, __doc__, [*ARMS, *OTHERS], "course", "piece")
    for name in pieces:
        if name in OTHERS:
            OTHERS[name](out)
        else:
            run_arm(name, runs, out)


if __name__ == "__main__":
    main()
