"""`make bench`: the speed of library, notebooks and sliders here, beside DESIGN.md's promises.

Ratios matter more than times: an update's share of the matrix-product ceiling is measured in the
same run as the ceiling, and several seeds in turns with one. Writes runs/bench/speed.csv. The tests
that drive a browser measure what runs in one.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents import EVOR, SORL
from sorl_edu.agents.agent import Network, act
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.evaluation import evaluate
from sorl_edu.experiments import lesser_points
from sorl_edu.experiments.speed import TimedTraining, seconds
from sorl_edu.files import write_csv
from sorl_edu.networks import CriticEnsemble
from sorl_edu.training import use_all_cores

WIDTHS = (128, 128, 128)
COURSE_SIZE = SORL(field=Network(WIDTHS), critic=Network(WIDTHS, layer_norm=True))
EVOR_COURSE_SIZE = EVOR(policy=Network(WIDTHS), critic=Network(WIDTHS, layer_norm=True))
CASES = {
    "paper size": (SORL(), 28, 5, 11.0),
    "course size": (COURSE_SIZE, 2, 2, 170.0),
    "demo preset": (preset("pointmaze"), 2, 2, None),
}
"""Agent, widths of observations and actions, promised updates per second."""


def ceiling(width: int = 2048) -> float:
    """Floating-point operations per second of a large float32 matrix product."""
    a = jax.random.normal(jax.random.key(0), (width, width))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    return 2 * width**3 / seconds(lambda: product(a), 5)


def operations_per_update(agent: SORL, obs_dim: int, action_dim: int) -> float:
    """Multiplications and additions in the matrix products of one update, on average over m.

    A forward pass is 1 unit; a backward pass to parameters and inputs is 2 more, to inputs alone 1.
    """
    features = obs_dim + 2 * agent.encoder.fourier_features

    def forward(inputs: int, network: Network, outputs: int) -> float:
        widths = [inputs, *network.hidden, outputs]
        return 2 * agent.batch_size * sum(a * b for a, b in itertools.pairwise(widths))

    field = forward(features + action_dim + 2, agent.field, action_dim)
    steps_input = int(agent.critic_sees_steps)
    critic = CriticEnsemble.ensemble * forward(features + action_dim + steps_input, agent.critic, 1)
    drawn = [2**level for level in range(agent.max_backprop_steps.bit_length())]
    m = sum(drawn) / len(drawn)
    td = m * field + critic + 3 * critic  # a', the target critic, the critic and its gradient
    q = 3 * m * field + 2 * critic  # the policy's gradient through m steps and the critic
    flow = 3 * field
    consistency = 3 * field + 2 * field  # the two half steps of the target
    return td + q + flow + consistency


def bench_updates(peak: float) -> list[dict]:
    rows = []
    for name, (agent, obs_dim, action_dim, promise) in CASES.items():
        training = TimedTraining(agent, obs_dim, action_dim)
        rate = training.chunk / np.median([training.seconds_per_chunk() for _ in range(3)])
        share = rate * operations_per_update(agent, obs_dim, action_dim) / peak
        rows += [
            row(f"{name}: updates", rate, "1/s", promise, "at least"),
            row(f"{name}: share of the matrix-product ceiling", 100 * share, "%"),
            row(f"{name}: compile time of training", training.compile_seconds, "s"),
        ]
    return rows


def bench_seeds(rounds: int = 5) -> list[dict]:
    """Several seeds at once against one, in turns; a chunk draws the same m for all of them."""
    agent, obs_dim, action_dim, _ = CASES["course size"]
    trainings = {n: TimedTraining(agent, obs_dim, action_dim, n) for n in (1, 4, 8)}
    times = pd.DataFrame(
        {n: training.seconds_per_chunk() for n, training in trainings.items()}
        for _ in range(rounds)
    )
    ratios = times.div(times[1], axis=0).median()
    return [
        row("course size: time of four seeds over one", ratios[4], "", 3.2, "at most"),
        row("course size: time of eight seeds over one", ratios[8], "", 4.5, "at most"),
    ]


def bench_robots(episodes: int = 50, alone: int = 10) -> list[dict]:
    """Evaluating cube-single, at once and one episode after the other, and collecting it."""
    task, agent = "cube-single-play-singletask-v0", COURSE_SIZE
    state = agent.init(jax.random.key(0), random_transitions(28, 5, 200))

    def time_of(count: int, seed: int) -> float:
        start = time.perf_counter()
        evaluate(agent, state, task, steps=8, candidates=32, episodes=count, seed=seed)
        return time.perf_counter() - start

    for count in (1, episodes):  # compiles, and makes the environments
        time_of(count, 0)
    together = time_of(episodes, 0)
    in_turn = sum(time_of(1, seed) for seed in range(alone)) * episodes / alone
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        collect("cube-single-play-v0", folder, episodes=40, workers=os.cpu_count() or 1)
        rate = 44 * 1000 / (time.perf_counter() - start)
    return [
        row(
            f"cube-single: {episodes} episodes at once over one by one",
            together / in_turn,
            "",
            0.6,
            "at most",
        ),
        row("cube-single: collecting, start-up included", rate, "transitions/s", 1000, "at least"),
    ]


def bench_course(out: Path) -> list[dict]:
    """The time of notebooks (lessons in JupyterLab if there is Chromium) and of their sliders."""
    root = Path(__file__).parents[2]
    names = ("widgets/test_browser.py", "widgets/test_playground.py")
    names += ("widgets/test_playground_physics.py", "widgets/test_draw_your_own.py")
    names += ("course/test_notebooks.py",)
    tests = [root / "tests" / name for name in names]
    if not all(test.exists() for test in tests):
        print("notebooks and sliders are not measured: they need a checkout of the repository")
        return []
    file = (out / "browser.csv").absolute()
    chosen = "every_cell_ran or in_jupyterlab or a_notebook_runs or fast or from_a_disk"
    command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, "--measured", file, *tests]
    done = subprocess.run(list(map(str, command)), cwd=root)
    if done.returncode != 0 or not file.exists():
        print("notebooks and sliders are not measured: pytest says above why")
        return []
    return [
        row(found.what, found.measured, found.unit, *course_promise(found.what, found.unit))
        for found in pd.read_csv(file).itertuples()
    ]


PAGE_PROMISES = {
    "playground, from opening to its first picture": (2.0, "at most"),
    "playground, drag to picture, m = 8, N = 32": (50.0, "at most"),
    "playground, drag to picture, m = 32, N = 256": (500.0, "at most"),
    "playground, Play at four settings": (60.0, "at least"),
    "drawing, time to learn a flow in 1200 updates": (20.0, "at most"),
    "drawing, time to learn a shortcut in 1200 updates": (20.0, "at most"),
    "drawing, a flow's energy distance over the library's": (1.2, "at most"),
    "drawing, a shortcut's energy distance over the library's": (1.2, "at most"),
}


def course_promise(what: str, unit: str) -> tuple[float | None, str]:
    """The promise for what a test of notebooks or of pages measured, if there is one."""
    is_page = what.startswith(("playground", "drawing"))
    by_unit = None if is_page else {"s": 180.0, "ms": 100.0}.get(unit)
    return PAGE_PROMISES.get(what, (by_unit, "at most"))


def bench_paper_size(updates: int) -> list[dict]:
    """Extrapolates to the paper's million updates; for a GPU."""
    agent, obs_dim, action_dim, _ = CASES["paper size"]
    minutes = {}
    for seeds, promise in ((1, 10.0), (8, None)):
        training = TimedTraining(agent, obs_dim, action_dim, seeds, chunk=1000)
        chunks = [training.seconds_per_chunk() for _ in range(math.ceil(updates / 1000))]
        minutes[seeds] = row(
            f"paper size, {seeds} seed(s): 1M updates, extrapolated from {len(chunks)}k",
            sum(chunks) / len(chunks) * 1000 / 60,
            "min",
            promise,
            "at most",
        )
    ratio = minutes[8]["measured"] / minutes[1]["measured"]
    return [*minutes.values(), row("paper size: 8 seeds over one", ratio, "", 3.0, "at most")]


def bench_act() -> list[dict]:
    agent, obs_dim, action_dim, _ = CASES["course size"]
    state = agent.init(jax.random.key(0), random_transitions(obs_dim, action_dim, 200))
    rows = []
    for batch in (1, 64):
        obs = jnp.zeros((batch, obs_dim))
        for steps, candidates in ((1, 1), (8, 1), (8, 32)):

            def call(obs=obs, steps=steps, candidates=candidates):
                return act(agent, state, obs, jax.random.key(0), steps=steps, candidates=candidates)

            jax.block_until_ready(call())
            name = f"course size: act, {steps} steps, N = {candidates}, {batch} observation(s)"
            rows.append(row(name, 1000 * seconds(call, 50), "ms"))
    return rows


def bench_evor(rounds: int = 5) -> list[dict]:
    """EVOR's decision for one observation, and its updates in turns with SORL's, at one size."""
    _, obs_dim, action_dim, _ = CASES["course size"]
    agent, samples, candidates = EVOR_COURSE_SIZE, EVOR_COURSE_SIZE.return_samples, 8
    state = agent.init(jax.random.key(0), random_transitions(obs_dim, action_dim, 200))
    obs, key = jnp.zeros((1, obs_dim)), jax.random.key(0)
    decide = partial(act, agent, state, obs, key, steps=8, candidates=candidates)
    jax.block_until_ready(decide())
    name = f"course size: EVOR's act, 8 steps, N_pi = {candidates}, N_R = {samples}, 1 observation"
    trainings = [TimedTraining(a, obs_dim, action_dim) for a in (agent, COURSE_SIZE)]
    times = pd.DataFrame([t.seconds_per_chunk() for t in trainings] for _ in range(rounds))
    ours, sorls = (training.chunk / times[i].median() for i, training in enumerate(trainings))
    ratio = (times[1] / times[0]).median()
    return [
        row(name, 1000 * seconds(decide, 50), "ms", 3.0, "at most"),
        row("course size: EVOR's updates", ours, "1/s"),
        row("course size: SORL's updates, in turns with EVOR's", sorls, "1/s"),
        row("course size: EVOR's updates over SORL's", ratio, "", 0.5, "at least"),
    ]


def bench_practice(steps: int = 4000) -> list[dict]:
    """GUITAR's practice in PointMaze, with an update for each of its steps."""
    sizes = replace(lesser_points.SIZES, steps=steps)
    shown = lesser_points.expert(sizes, 0)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(2):  # the first one compiles
            run = lesser_points.Run("turned", "GUITAR", seed, sizes)
            trained = lesser_points.practise(run, shown, Path(folder, f"{seed}"))
    updates, environment = trained.env_steps / trained.seconds, "environment steps with updates"
    return [
        row("practice in PointMaze: updates", updates, "1/s"),
        row(
            f"practice in PointMaze: {environment}", sizes.repeat * updates, "1/s", 2000, "at least"
        ),
    ]


def row(what: str, measured: float, unit: str, promise: float | None = None, how: str = "") -> dict:
    kept = promise is None or (measured <= promise if how == "at most" else measured >= promise)
    return {
        "what": what,
        "measured": measured,
        "unit": unit,
        "promise": "" if promise is None else f"{how} {promise:g}",
        "kept": "" if promise is None else ("yes" if kept else "NO"),
    }


def main(out: Path, paper_updates: int | None = None, course: bool = False) -> None:
    use_all_cores()
    print(f"{platform.processor() or platform.machine()}, jax {jax.__version__}, {jax.devices()}")
    if paper_updates is not None:
        rows, file = bench_paper_size(paper_updates), "paper_size.csv"
    else:
        peak, file = ceiling(), "speed.csv"
        rows = [row("matrix-product ceiling (2048 x 2048, float32)", peak / 1e9, "GFLOP/s")]
        rows += bench_updates(peak) + bench_seeds() + bench_act() + bench_evor()
        rows += bench_practice() + bench_robots()
        rows += bench_course(out) if course else []
    table = pd.DataFrame(rows)
    write_csv(table, out / file)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument(
        "--paper-updates", type=int, help="time this many at paper size instead (on a GPU: 50000)"
    )
    parser.add_argument(
        "--course", action="store_true", help="also time notebooks and sliders (minutes)"
    )
    options = parser.parse_args()
    programs.run(lambda: main(options.out, options.paper_updates, options.course))
