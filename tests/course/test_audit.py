"""`make audit`: what the course says, computed anew from what it ships.

An entry quotes a file, and computes what the quoted sentence says. The quote must be there word for
word, so that a sentence that changes leaves its entry; and its decimal numbers, in order, must be
the computed ones, rounded as they are quoted. An entry without numbers computes whether its
sentence is true.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import audit_imitation as imitation
import audit_toys as toys
import jax
import numpy as np
import pandas as pd
import pytest

from sorl_edu import inference
from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import Proposal, act, propose, value
from sorl_edu.course import shipped
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.ogbench import load, shipped_data
from sorl_edu.environments.make import PhysicsState
from sorl_edu.environments.mazes import count_endings, maze_geometry
from sorl_edu.environments.rollout import rollout
from sorl_edu.evaluation import bounded_interval, paired_difference, summarize, t_interval
from sorl_edu.experiments import baselines, claims, robots, statistics, suites
from sorl_edu.plotting.actions import chosen_actions
from sorl_edu.plotting.style import spread
from sorl_edu.training.checkpoints import load_agent
from sorl_edu.widgets import (
    ActionDistributionExplorer,
    PolicyExtractionExplorer,
    ReturnDistributionExplorer,
)

ROOT = Path(__file__).resolve().parents[2]
JUNCTION = (12.0, 8.0)


@functools.cache
def text_of(file: str) -> str:
    """A file's words, without the marks of comments and of emphasis, on one line."""
    lines = (ROOT / file).read_text().splitlines()
    plain = " ".join(line.removeprefix("#").strip() for line in lines)
    return re.sub(r"\s+", " ", plain.replace("*", "").replace("$", ""))


@functools.cache
def summary(name: str, seeds: int | None = None) -> pd.DataFrame:
    episodes = shipped.episodes(name)
    if seeds is not None:
        episodes = episodes[episodes.training_seed < seeds]
    return summarize(episodes).set_index(["steps", "candidates"])


def success(name: str, *settings: tuple[int, int], seeds: int | None = None) -> list[float]:
    return [summary(name, seeds).success[setting] for setting in settings]


def gain(better: tuple, worse: tuple, name: str = "narrow") -> list[float]:
    """A paired difference of success, and its interval."""
    better, worse = ({"steps": m, "candidates": n} for m, n in (better, worse))
    found = paired_difference(shipped.episodes(name), "success", better=better, worse=worse)
    return [found["difference"], found["low"], found["high"]]


def evor_success(agent: str = "EVOR", tau: float = np.inf) -> pd.Series:
    """Reported success of `make evor` in the maze, by task and seed, best of 32 for EVOR."""
    table = pd.read_csv(shipped_data() / "evor" / "pointmaze-medium-navigate.csv")
    own = table[(table.purpose == "reported") & (table.agent == agent)]
    return own[own.return_temperature == tau].set_index(["task", "seed"]).success


def evor_ends(task: int) -> pd.DataFrame:
    """How EVOR's episodes end in a task of the maze, a row per seed."""
    ends = pd.read_csv(shipped_data() / "evor" / "ends.csv")
    return ends[(ends.task == task) & (ends.agent == "EVOR")]


def contains_zero(differences: pd.Series) -> bool:
    low, high = bounded_interval(differences, -1, 1)
    return low < 0 < high


@functools.cache
def cube() -> pd.DataFrame:
    return summarize(shipped.robot_results("cube")).set_index(["steps", "candidates"])


def cube_gain(better: tuple, worse: tuple) -> list[float]:
    better, worse = ({"steps": m, "candidates": n} for m, n in (better, worse))
    found = paired_difference(shipped.robot_results("cube"), "success", better=better, worse=worse)
    return [found["difference"], found["low"], found["high"]]


def spreads(*settings: tuple[int, int], name: str = "narrow") -> list[float]:
    """Of the chosen action at lesson 0's junction."""
    agent, state, _ = shipped.agent(name)
    found = chosen_actions(
        agent,
        state,
        JUNCTION,
        steps=sorted({m for m, _ in settings}),
        candidates=sorted({n for _, n in settings}),
        key=jax.random.key(0),
        samples=400,
    )
    return [spread(found[setting][0]) for setting in settings]


@functools.cache
def explorer_of_lesson_0() -> ActionDistributionExplorer:
    agent, state, info = shipped.agent("narrow")
    steps, candidates = (1, 2, 4, 8), (1, 4, 8, 32)
    return ActionDistributionExplorer(
        agent, state, info.environment, place="junction", steps=steps, candidates=candidates
    )


def shown(m: int, n: int) -> dict:
    """What lesson 0's explorer says."""
    explorer = explorer_of_lesson_0()
    explorer.render(steps=m, candidates=n)
    return explorer.facts(**explorer.setting(steps=m, candidates=n))


@functools.cache
def explorer_of_lesson_8() -> ReturnDistributionExplorer:
    agent, state, info = shipped.evor()
    return ReturnDistributionExplorer(agent, state, info.environment, place="junction")


def returns_shown(**setting) -> dict:
    """What lesson 8's explorer says."""
    explorer = explorer_of_lesson_8()
    explorer.render(**setting)
    return explorer.facts(**explorer.setting(**setting))


def read_outs(temperature: float) -> np.ndarray:
    return np.array(returns_shown(return_temperature=temperature)["values"])


def endings(m: int, n: int) -> dict[str, int]:
    went = shipped.trajectories("narrow")[m, n]
    return count_endings(maze_geometry(shipped.ENVIRONMENT), went.positions, went.success)


def arrived_from(place: tuple, steps: int, candidates: int) -> int:
    """How many of ten episodes arrive that start within 0.2 m of a place."""
    agent, state, info = shipped.agent("narrow")
    near = place + np.random.default_rng(0).uniform(-0.2, 0.2, (10, 2))

    def policy(obs, key):
        return np.asarray(act(agent, state, obs, key, steps=steps, candidates=candidates))

    starts = [PhysicsState(position, np.zeros(2)) for position in near]
    return int(rollout(policy, info.environment, episodes=10, starts=starts)[0].success.sum())


def candidates_at_the_junction(steps: int) -> np.ndarray:
    agent, state, _ = shipped.agent("narrow")
    obs = np.array([JUNCTION], np.float32)
    q = propose(agent, state, obs, jax.random.key(0), steps=steps, candidates=32).q
    return np.asarray(q[:, 0])


def short_actions(name: str) -> float:
    """The share of 8-step actions at recorded states that are shorter than 0.7."""
    agent, state, _ = shipped.agent(name)
    places = shipped.narrow_data().train.sample(jax.random.key(0), 2000).observations
    actions = act(agent, state, places, jax.random.key(1), steps=8, candidates=1)
    return float(np.mean(np.linalg.norm(np.asarray(actions), axis=1) < 0.7))


def lengths(folder: str | None) -> np.ndarray:
    data = shipped.narrow_data() if folder else load(shipped.ENVIRONMENT)
    return np.linalg.norm(np.asarray(data.train.actions), axis=1)


def directions_at_the_junction() -> list[float]:
    """The shares of lesson 3's recorded actions that point up or down, left, and right."""
    data = load(shipped.ENVIRONMENT).train
    rows = np.asarray(data.starts)
    near = np.linalg.norm(np.asarray(data.observations)[rows] - JUNCTION, axis=1) < 0.7
    x, y = np.asarray(data.actions)[rows][near].T
    flat = np.abs(x) > np.abs(y)
    return [1 - flat.mean(), (flat & (x < 0)).mean(), (flat & (x > 0)).mean()]


def recorded_near(place: tuple) -> int:
    visited = np.asarray(shipped.narrow_data().train.observations)
    return int((np.linalg.norm(visited - np.array(place), axis=1) < 0.5).sum())


def where_stuck() -> np.ndarray:
    paths = shipped.trajectories("narrow")[1, 32].positions
    return np.mean([path[np.isfinite(path[:, 0])][-1] for path in paths], axis=0)


def bought(budget: int) -> tuple[set, float]:
    """The settings that are chosen on all seeds but one, and their success on that one."""
    episodes = shipped.episodes("narrow")
    table = episodes.groupby(["training_seed", "steps", "candidates"]).success.mean()
    table = table.unstack([1, 2])
    table = table.loc[:, [inference.network_evaluations(m, n) <= budget for m, n in table]]
    chosen = {seed: table.drop(seed).mean().idxmax() for seed in table.index}
    return set(chosen.values()), np.mean([table.loc[seed, at] for seed, at in chosen.items()])


def finding(question: str) -> list[float]:
    row = robots.findings().set_index("question").loc[question]
    return [row.better, row.worse, row.difference, row.low, row.high]


def verified(column: str) -> pd.Series:
    """Means of a column of the verifier's measurement, by (steps, candidates)."""
    table = pd.read_csv(shipped.robot_file("cube_verifier.csv"))
    return table.groupby(["steps", "candidates"])[column].mean()


@functools.cache
def drawn(moment: str, m: int) -> tuple[np.ndarray, np.ndarray]:
    """256 candidates and their values, in the 100 draws of lesson 6's explorer."""
    agent, state, _ = shipped.robot("cube", 2)
    obs, _ = shipped.robot_states("cube")[moment]
    repeated = np.broadcast_to(obs, (100, len(obs)))
    found = propose(agent, state, repeated, jax.random.key(0), steps=m, candidates=256)
    return np.asarray(found.actions), np.asarray(found.q)


MOMENTS = [(moment, m) for moment in ("start", "approach", "grasp", "carry") for m in (1, 8)]


def q_depends_on(moment: str, m: int) -> np.ndarray:
    """The absolute correlation of Q with each dimension of the action."""
    actions, q = drawn(moment, m)
    cloud = actions.reshape(-1, actions.shape[-1])
    return np.array([abs(np.corrcoef(along, q.ravel())[0, 1]) for along in cloud.T])


def farther_than(moment: str, m: int) -> float:
    """The share of candidates that are nearer to their mean than the best of 256; the median."""
    actions, q = drawn(moment, m)
    cloud = actions.reshape(-1, actions.shape[-1])
    best = actions[q.argmax(0), np.arange(actions.shape[1])]
    scale = np.linalg.cholesky(np.linalg.inv(np.cov(cloud.T)))
    of_all, of_best = (np.linalg.norm((a - cloud.mean(0)) @ scale, axis=1) for a in (cloud, best))
    return float(np.median(np.searchsorted(np.sort(of_all), of_best)) / len(cloud))


DEEPER = "M_BTT = 8, one candidate: 8 steps; 1"


@functools.cache
def play() -> dict[str, np.ndarray]:
    """The episode of play that lesson 6 collects."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = collect("cube-single-play-v0", folder, episodes=1, progress=False)
        with np.load(path, allow_pickle=False) as file:
            return dict(file)


def q_gained(name: str, task: int, m: int) -> float:
    """How much higher Q is of an agent's own actions than of those that play has."""
    agent, state, _ = shipped.robot(name, task)
    obs = play()["observations"]
    own = propose(agent, state, obs, jax.random.key(0), steps=m, candidates=8).q.mean(0)
    return float(np.mean(own - value(agent, state, obs, play()["actions"], steps=m)))


def agents_of(name: str, m: int, n: int) -> pd.Series:
    rows = shipped.robot_results(name)
    rows = rows[rows.task.isin((1, 4)) & (rows.steps == m) & (rows.candidates == n)]
    return rows.groupby(["training_seed", "task"]).success.mean()


def by_seed() -> np.ndarray:
    """A2's differences of success at eight steps, N = 32 minus N = 1, of lesson 3's seeds."""
    episodes = shipped.episodes("sorl").query("steps == 8 and candidates in (1, 32)")
    table = episodes.groupby(["training_seed", "candidates"]).success.mean().unstack()
    return (table[32] - table[1]).round(12).to_numpy()


def critics_at_the_junction() -> np.ndarray:
    """The values of one action, a number for each critic."""
    agent, state, _ = shipped.agent("narrow")
    obs = state.encoder(jax.numpy.array([JUNCTION]))
    return np.asarray(agent.q(state.critic.params, 8)(obs, jax.numpy.zeros((1, 2))))


def minutes_of(lesson: str) -> int:
    """To read and do it, by its opening."""
    return int(re.search(r"(\d+) minutes to read and do", text_of(lesson))[1])


def ratio(path: str) -> float:
    """Of A1's errors with 64 evaluations: Euler's in units of Heun's."""
    return toys.errors()[path, "Euler"][-1] / toys.errors()[path, "Heun"][-1]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def lengths_of(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points, axis=1)


def between_clouds(points: np.ndarray) -> float:
    """The share that is further than four deviations from the nearest of lesson 2's clouds."""
    centres = 0.8 * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=-1).min(1)
    return float((nearest > 0.4).mean())


CRITICAL = ("IQL", "ReBRAC", "SORL")  # the methods whose knob lesson 7 turns


@functools.cache
def maze_methods() -> dict:
    """Lesson 7's agents by method, from the one closest to the data on."""
    return shipped.baselines()


def at_each_place(method: str) -> list[dict]:
    """What lesson 7's explorer says of a method's first value, at each of its states."""
    explorer = PolicyExtractionExplorer(maze_methods(), shipped.ENVIRONMENT)
    found = []
    for place in explorer.places:
        setting = explorer.setting(place=place, left=method)
        explorer.render(**setting)
        found.append(explorer.facts(**setting)["left"])
    return found


def maze_table() -> pd.DataFrame:
    """Success of each method and task in lesson 7's table."""
    return shipped.baseline_results()[0].pivot_table("success", "agent", "task")


def tuned(method: str) -> pd.Series:
    """The best success over settings at each value of a method's knob."""
    tried = shipped.baseline_results()[1]
    return tried[tried.agent == method].groupby("value").success.max()


def tuned_methods() -> set[str]:
    """The methods with a knob."""
    return set(shipped.baseline_results()[1].agent)


def tuning_of(method: str) -> pd.Series:
    """Success by (value of the knob, steps, candidates) in a method's tuning."""
    tried = shipped.baseline_results()[1]
    return tried[tried.agent == method].set_index(["value", "steps", "candidates"]).success


@functools.cache
def candidates_in_maze(file: str, m: int) -> Proposal:
    """64 candidates of a shipped agent at places of the data."""
    places = load(shipped.ENVIRONMENT).validation.observations[::200]
    agent, state, _ = load_agent(shipped_data() / "baselines" / f"{file}.safetensors")
    return propose(agent, state, places, jax.random.key(0), steps=m, candidates=64)


def cac_values() -> np.ndarray:
    """Q of the candidates of CAC's greediest shipped policy (64, places)."""
    return np.asarray(candidates_in_maze("cac_1", 1).q)


def spread_of_candidates(file: str, m: int) -> float:
    """The standard deviation of a shipped agent's candidates, a mean over places."""
    return float(np.asarray(candidates_in_maze(file, m).actions).std(axis=0).mean())


def compared_with_sorl() -> pd.DataFrame:
    results, _ = shipped.baseline_results()
    return statistics.comparisons(statistics.reported(results), "SORL").set_index("agent")


def has_rows(found: list[tuple[str, str]]) -> bool:
    """Whether data/baselines/README.md has a row of each name that ends with its cells."""
    lines = (ROOT / BASELINES).read_text().splitlines()
    return all(
        any(line.startswith(f"| {name} | ") and line.endswith(cells) for line in lines)
        for name, cells in found
    )


def baseline_rows() -> list[tuple[str, str]]:
    """Names, and what follows the knob, in the rows of its table of the maze."""
    results, tried = shipped.baseline_results()
    cost, rows = tried.groupby("agent").episodes.sum(), []
    for found in statistics.per_environment(results).to_dict("records"):
        tasks = (f"{success:.2f}" for success in maze_table().loc[found["agent"]])
        low, middle, high = (f"{found[i] / 100:.2f}" for i in ("low", "success", "high"))
        cells = f"{cost.get(found['agent'], 0)}", *tasks, f"{middle} [{low}, {high}]"
        rows.append((found["agent"], f"| {' | '.join(cells)} |"))
    return rows


def cost_rows() -> list[tuple[str, str]]:
    """Names and cells of its table of costs."""
    table = pd.read_csv(shipped_data() / "baselines" / "costs.csv").set_index("agent")
    return [
        (
            AGENTS[row.Index].__name__,
            f"| {row.updates_per_second:.1f} | {row.steps:.0f}, {row.candidates:.0f} | "
            f"{row.milliseconds:.2f} | {row.network_evaluations:.0f} | "
            f"{row.parameters / 1e6:.2f} M |",
        )
        for row in table.loc[list(baselines.METHODS)].itertuples()
    ]


def published_means() -> pd.Series:
    """Over the environments that all methods have."""
    table = suites.published_results()
    table = table[table.task == 0].pivot(index="method", columns="environment", values="success")
    return table.dropna(axis=1).mean(axis=1)


@dataclass(frozen=True)
class Entry:
    file: str
    quote: str
    compute: Callable[[], object]
    trains: bool = False
    """It trains or plays for many seconds: `make audit` alone computes it."""


L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, A1, A2 = (
    f"notebooks/{name}.py"
    for name in (
        *("00_welcome", "01_flow_matching", "02_shortcut_models"),
        *("03_offline_rl_and_the_td_critic", "04_sorl", "05_test_time_scaling", "06_robots"),
        *("07_ten_ways_to_use_a_dataset", "08_expressive_values"),
        "09_when_you_cant_be_the_expert",
        *("assignments/A1_shortcut_models", "assignments/A2_offline_rl"),
    )
)
GUIDE, GLOSSARY = "notebooks/INSTRUCTORS.md", "notebooks/GLOSSARY.md"
CLAIMS, ROBOTS = "data/claims/README.md", "data/robots/README.md"
IMITATION, BASELINES = "data/imitation/README.md", "data/baselines/README.md"
BOTH, ONE, STEPS, CANDIDATES = (8, 32), (1, 1), (8, 1), (1, 32)
AUDIT = [
    # ---- lesson 0
    Entry(L0, "one clear direction: spread 0.16", lambda: [shown(1, 1)["spread"]]),
    Entry(L0, "Most episodes arrive.", lambda: endings(1, 1)["arrived"] > 8),
    Entry(
        L0, "none arrives: all are stuck beside the goal",
        lambda: endings(1, 32)["stuck at the goal"] == 16,
    ),
    Entry(
        L0, "None arrives; the agent wanders.",
        lambda: endings(8, 1)["arrived"] == 0 and endings(8, 1)["still moving"] >= 8,
    ),
    Entry(
        L0, "the best of the ring: spread 0.18, towards the goal. All arrive.",
        lambda: [shown(8, 32)["spread"]] if endings(8, 32)["arrived"] == 16 else [],
    ),
    Entry(
        L0, "From the upper left corner it is the single step that mostly arrives",
        lambda: arrived_from((0, 20), *ONE) >= 6 and arrived_from((0, 20), *BOTH) <= 2,
        trains=True,
    ),
    Entry(L0, "Here are 24, each from the same twenty starts", lambda: len(
        shipped.episodes("narrow").query("steps == 8 and candidates == 32")) == 24 * 20),
    Entry(
        L0, "is better than each of the other three corners, and no interval contains zero",
        lambda: all(gain(BOTH, worse)[1] > 0 for worse in (ONE, STEPS, CANDIDATES)),
    ),
    Entry(
        L0, "it arrives in 0.65 of the episodes at best",
        lambda: [max(success(name, ONE, seeds=8)[0] for name in (
            "narrow", "narrow_q_weight_50", "narrow_q_weight_5000", "narrow_q_weight_50000"))],
    ),
    Entry(L0, "Two steps with one candidate reach 0.75", lambda: success("narrow", (2, 1))),
    Entry(
        L0,
        "there one step with one candidate succeeds in 0.38 of the episodes, eight steps alone in "
        "0.09, eight candidates alone in 0.21, and both together in 0.71",
        lambda: [cube().success[at] for at in (ONE, STEPS, (1, 8), (8, 8))],
    ),
    # ---- lesson 1
    Entry(
        L1, "Halfway, the noise still blurs the eight clouds into one",
        lambda: toys.in_the_middle(0.5) > 1 and toys.between_two_clouds(0.5) > 0.99,
    ),
    Entry(
        L1, "only at the end, at t = 0.9, do they stand apart",
        lambda: toys.between_two_clouds(0.75) > 0.9 and toys.between_two_clouds(0.9) < 0.1,
    ),
    Entry(
        L1, "a path through the dot may lead to any of the eight clouds",
        lambda: min(toys.leads_to(0.2)[0]) > 0.1,
    ),
    Entry(
        L1, "the average of their velocities leads to none of them: it points back to the middle",
        lambda: cosine(toys.leads_to(0.2)[1], -np.array(toys.POINT)) > 0.99,
    ),
    Entry(
        L1, "almost all paths lead to the two clouds nearby, and the average points outwards",
        lambda: sum(sorted(toys.leads_to(0.8)[0])[-2:]) > 0.95
        and cosine(toys.leads_to(0.8)[1], np.array(toys.POINT)) > 0.99,
    ),
    Entry(
        L1, "the slope is about to change its sign, at t = 1 / (1 + \\sigma^2) = 0.92",
        lambda: [t for t in np.arange(0, 1, 0.001) if toys.slope(t) < 0][-1:],
    ),
    Entry(
        L1, "Early, the velocity falls with x",
        lambda: toys.slope(0.1) < -1 and abs(toys.slope(0.9)) < 0.25 and toys.slope(0.95) > 0,
    ),
    Entry(
        L1, "One step moves every particle to the middle, where there is no data at all",
        lambda: toys.in_the_middle(1.0) < 1e-9,
    ),
    Entry(
        L1, "The first few doublings bring most of the gain; then the curve is flat",
        lambda: np.ptp(toys.flow_distances()[0][:4]) > 0.95 * np.ptp(toys.flow_distances()[0])
        and np.ptp(toys.flow_distances()[0][4:]) < 0.01,
        trains=True,
    ),
    Entry(
        L1, "the remaining error is the network's and no longer the integrator's",
        lambda: toys.flow_distances()[0][-1] > toys.flow_distances()[1] + 0.01,
        trains=True,
    ),
    Entry(
        L1, "On the ring, a single step lands in the hole, where there are no data",
        lambda: lengths_of(toys.learned("flow", "Ring")[1][0]).max() < 0.5,
        trains=True,
    ),
    Entry(
        L1, "the single step ends further from the ring than it was with an untrained network",
        lambda: toys.learned("flow", "Ring")[0][0] > toys.learned("flow", "Ring", 0)[0][0] + 0.05,
        trains=True,
    ),
    Entry(
        L1, "With every doubling of the steps the samples come nearer, and eight steps find the "
        "ring",
        lambda: bool((np.diff(toys.learned("flow", "Ring")[0]) < -0.05).all())
        and np.median(np.abs(lengths_of(toys.learned("flow", "Ring")[1][3]) - 0.75)) < 0.1,
        trains=True,
    ),
    Entry(
        L1, "One step comes near only for a small cloud around its own mean",
        lambda: toys.learned("flow", "cloud")[0][0] < toys.learned("flow", "Ring")[0][0] / 3,
        trains=True,
    ),
    Entry(
        L1, "even there its samples lie closer together than the data",
        lambda: spread(toys.learned("flow", "cloud")[1][0]) < 0.7 * 2**0.5 * toys.CLOUD,
        trains=True,
    ),
    # ---- lesson 2
    Entry(
        L2, "The perfect shortcut fulfils this condition, and the velocity does not",
        lambda: toys.perfect_gaps()["perfect"] < 1e-5 and toys.perfect_gaps()["velocity"] > 0.1,
    ),
    Entry(
        L2,
        "Up to four steps the shortcut is ahead of the flow at the same price, at one step by far",
        lambda: bool((toys.distances("shortcut") < toys.distances("flow"))[:3].all())
        and toys.distances("shortcut")[0] < toys.distances("flow")[0] / 4,
        trains=True,
    ),
    Entry(
        L2, "its one step is nearly as good as eight",
        lambda: toys.distances("shortcut")[0] < toys.distances("shortcut")[3] + 0.05,
        trains=True,
    ),
    Entry(
        L2, "From eight steps on the two are level",
        lambda: np.abs(toys.distances("shortcut") - toys.distances("flow"))[3:].max() < 0.03,
        trains=True,
    ),
    Entry(
        L2, "With one step the flow's particles pile up in the middle",
        lambda: lengths_of(toys.flow_jump()).mean() < 0.3,
        trains=True,
    ),
    Entry(
        L2, "the shortcut's are already out at the four clouds. Some lie between two clouds",
        lambda: np.median(lengths_of(toys.shortcut_samples(1))) > 0.6
        and 0.05 < between_clouds(toys.shortcut_samples(1)) < 0.5,
        trains=True,
    ),
    Entry(
        L2, "With 32 steps both fields separate them cleanly",
        lambda: between_clouds(toys.shortcut_samples(32)) < 0.05,
        trains=True,
    ),
    Entry(
        L2, "Before training, the gap of the longest jump is 0.08",
        lambda: [toys.gaps(1.0)[0]],
        trains=True,
    ),
    Entry(
        L2, "paths bend, and the gap doubles. It is widest within the first 500 updates",
        lambda: 1.8 < toys.gaps(1.0).max() / toys.gaps(1.0)[0] < 2.3
        and toys.gaps(1.0).argmax() <= 5,
        trains=True,
    ),
    Entry(
        L2, "It falls to 0.03 without vanishing",
        lambda: [toys.gaps(1.0)[-1]],
        trains=True,
    ),
    Entry(
        L2, "for the shortest jump it ends about where it began",
        lambda: 0.5 < toys.gaps(0.25)[-1] / toys.gaps(0.25)[0] < 2,
        trains=True,
    ),
    Entry(
        L2, "A row needs three evaluations: two for the target, and one that learns",
        lambda: toys.network_evaluations_of_a_row() == 3,
    ),
    Entry(
        L2, "After a hundred updates, four and eight steps are nearer to the ring than one and two",
        lambda: toys.learned("shortcut", "Ring", 100)[0][2:].max()
        < toys.learned("shortcut", "Ring", 100)[0][:2].min() - 0.05,
        trains=True,
    ),
    Entry(
        L2, "at the end all four are about as near",
        lambda: np.ptp(toys.learned("shortcut", "Ring")[0]) < 0.05
        and toys.learned("shortcut", "Ring")[0].max() < 0.12,
        trains=True,
    ),
    Entry(
        L2, "The flow at one, two and even four steps is further from the ring than the shortcut "
        "is at one, and at eight it is nearer.",
        lambda: list(toys.learned("flow", "Ring")[0] > toys.learned("shortcut", "Ring")[0][0])
        == [True, True, True, False],
        trains=True,
    ),
    # ---- lesson 3
    Entry(
        L3, "seven of ten point up or down; the others point left and right alike",
        lambda: 0.65 < directions_at_the_junction()[0] < 0.75
        and abs(np.subtract(*directions_at_the_junction()[1:])) < 0.02,
    ),
    Entry(
        L3, "the intervals overlap in every column",
        lambda: all(
            summary("no_terminals").success_low[at] < summary("sorl").success_high[at]
            and summary("sorl").success_low[at] < summary("no_terminals").success_high[at]
            for at in (ONE, CANDIDATES, STEPS, BOTH)
        ),
    ),
    Entry(
        L3, "all of `minimum` and of `q_weight 5000`",
        lambda: success("minimum", ONE) == success("q_weight_5000", ONE) == [1],
    ),
    Entry(
        L3, "A policy that stays close to the data (`q_weight 5`) never arrives",
        lambda: success("q_weight_5", ONE) == [0],
    ),
    Entry(
        L3, "walks of the same kind with a fifth of the noise",
        lambda: np.mean(lengths(None) < 0.5) > 0.05 and np.mean(lengths("narrow") < 0.5) == 0,
    ),
    # ---- lesson 4
    Entry(
        L4, "With w_Q = 50 one step hardly ever arrives alone",
        lambda: success("narrow_q_weight_50", ONE)[0] < 0.15,
    ),
    Entry(
        L4, "eight steps imitate whatever w_Q is",
        lambda: all(success(f"narrow{w}", STEPS)[0] == 0 for w in (
            "", "_q_weight_50", "_q_weight_5000", "_q_weight_50000")),
    ),
    Entry(
        L4, "From 500 on, no difference is larger than its intervals",
        lambda: all(
            summary("narrow", 8).success_low[at] <= summary(f"narrow_q_weight_{w}").success[at]
            <= summary("narrow", 8).success_high[at]
            for w in (5000, 50000) for at in (ONE, CANDIDATES, STEPS, BOTH)
        ),
    ),
    Entry(
        L4, "One in a thousand of the recorded actions is that short",
        lambda: 0.0005 < np.mean(lengths("narrow") < 0.7) < 0.0015,
    ),
    Entry(
        L4, "in a tenth of all cases with a w_Q of 50 or 500",
        lambda: all(0.08 < short_actions(n) < 0.13 for n in ("narrow", "narrow_q_weight_50")),
    ),
    Entry(
        L4, "in a third with 5,000, and in more than half with 50,000",
        lambda: 0.3 < short_actions("narrow_q_weight_5000") < 0.37
        and short_actions("narrow_q_weight_50000") > 0.5,
    ),
    Entry(
        L4, "They are alike, with spreads of 0.81 and 0.82",
        lambda: spreads(ONE, STEPS, name="narrow_consistency_100"),
    ),
    Entry(
        L4, "The best of 32 has a worse menu then: 0.51 against 0.88",
        lambda: success("narrow_consistency_100", BOTH) + success("narrow", BOTH, seeds=8),
    ),
    Entry(
        L4, "Cloning never arrives, with any number of steps",
        lambda: success("narrow_cloning", ONE, STEPS) == [0, 0],
    ),
    # ---- lesson 5
    Entry(
        L5, "The best of four is 1.25 above the mean, the best of all 32 another 0.8",
        lambda: [
            (q := candidates_at_the_junction(8))[:4].max() - q.mean(),
            q.max() - q[:4].max(),
        ],
    ),
    Entry(
        L5, "at N = 1 the spread grows from 0.15 to 0.89",
        lambda: spreads(ONE, STEPS),
    ),
    Entry(
        L5, "best-of-32 turns failure into success: +0.94 and +0.92",
        lambda: [gain((m, 32), (m, 1))[0] for m in (4, 8)],
    ),
    Entry(
        L5, "With one or two steps it brings nothing that 24 seeds could show; the differences are "
        "even negative",
        lambda: all(gain((m, 32), (m, 1))[0] < 0 < gain((m, 32), (m, 1))[2] for m in (1, 2)),
    ),
    Entry(
        L5, "four and eight steps are a disaster (-0.57 and -0.58)",
        lambda: [gain((m, 1), ONE)[0] for m in (4, 8)],
    ),
    Entry(
        L5, "with 32 they are the best there is (+0.46 and +0.44 against one step)",
        lambda: [gain((m, 32), CANDIDATES)[0] for m in (4, 8)],
    ),
    Entry(
        L5, "two steps with one candidate reach 0.75 for two network evaluations",
        lambda: success("narrow", (2, 1)),
    ),
    Entry(
        L5, "24 seeds can't tell this from (8, 32)",
        lambda: gain(BOTH, (2, 1))[1] < 0 < gain(BOTH, (2, 1))[2],
    ),
    Entry(
        L5, "under the strong tie, which makes all steps alike (0.72)",
        lambda: success("narrow_backprop_8_consistency_100", STEPS),
    ),
    Entry(
        L5, "then a choice adds nothing",
        lambda: gain(BOTH, STEPS, "narrow_backprop_8_consistency_100")[0] < 0,
    ),
    Entry(
        L5, "No combination does better than this lesson's agent at (8, 32)",
        lambda: max(
            max(success(f"narrow_{arm}", ONE, STEPS, CANDIDATES, BOTH))
            for arm in ("backprop_8", "consistency_100", "backprop_8_consistency_100")
        ) < success("narrow", BOTH, seeds=8)[0],
    ),
    Entry(
        L5, "two evaluations buy 0.75, 32 buy 0.86, and 400 buy 0.95",
        lambda: [bought(budget)[1] for budget in (2, 32, 400)],
    ),
    Entry(
        L5, "The choice hardly depends on which seed is left out",
        lambda: all(len(bought(budget)[0]) == 1 for budget in (2, 32, 400)),
    ),
    Entry(
        L5, "arrives in 14 of 16 episodes with one candidate, and in none with 32",
        lambda: (endings(1, 1)["arrived"], endings(1, 32)["arrived"]) == (14, 0),
    ),
    Entry(
        L5, "Not one recorded state lies within half a metre of the place where they are stuck",
        lambda: recorded_near(where_stuck()) == 0 and recorded_near((20, 20)) > 1000,
    ),
    Entry(
        L5, "(8, 32) beats (1, 1), (8, 1) and (1, 32)",
        lambda: all(gain(BOTH, worse)[1] > 0 for worse in (ONE, STEPS, CANDIDATES)),
    ),
    # ---- lesson 6
    Entry(
        L6, "The best of these settings is eight steps and eight candidates, at 0.71",
        lambda: [cube().success.max()] if cube().success.idxmax() == (8, 8) else [],
    ),
    Entry(
        L6, "at one step success falls with N, at two, four and eight steps it rises and falls",
        lambda: cube().success[1].is_monotonic_decreasing
        and all(cube().success[m].idxmax() == 8 for m in (2, 4, 8)),
    ),
    Entry(
        L6, "at 70%, in an interval from 57 to 78",
        lambda: [
            round(float(x))
            for x in statistics.best_setting(
                shipped.robot_results("cube").rename(columns={"training_seed": "seed"})
            )[["success", "low", "high"]].iloc[0]
        ] == [70, 57, 78],
    ),
    Entry(
        L6, "With one candidate eight steps are worse than one, by 0.29",
        lambda: [-cube_gain(STEPS, ONE)[0]],
    ),
    Entry(
        L6, "With eight candidates they are better, by 0.50 [0.24, 0.59]",
        lambda: cube_gain((8, 8), (1, 8)),
    ),
    Entry(
        L6, "From one to eight they gain 0.62 at eight steps",
        lambda: cube_gain((8, 8), STEPS)[:1],
    ),
    Entry(
        L6, "at one step success fell, but the interval of the difference contains zero",
        lambda: cube_gain((1, 8), ONE)[0] < 0 < cube_gain((1, 8), ONE)[2],
    ),
    Entry(
        L6, "success falls by a quarter at two, four and eight steps",
        lambda: all(
            -0.3 < cube_gain((m, 32), (m, 8))[0] < -0.2 and cube_gain((m, 32), (m, 8))[2] < 0
            for m in (2, 4, 8)
        ),
    ),
    Entry(
        L6, "The two clouds lie at the same place, at every moment.",
        lambda: all(
            np.abs(drawn(moment, 1)[0].mean((0, 1)) - drawn(moment, 8)[0].mean((0, 1))).max() < 0.1
            for moment, _ in MOMENTS
        ),
    ),
    Entry(
        L6, "one step's is wider (a spread of 0.35 at N = 1, against 0.26 of eight)",
        lambda: [spread(drawn("grasp", m)[0][0]) for m in (1, 8)],
    ),
    Entry(
        L6, "most of all in the gripper, and its values are higher",
        lambda: drawn("grasp", 1)[1].mean() > drawn("grasp", 8)[1].mean()
        and np.subtract(*(drawn("grasp", m)[0].std((0, 1)) for m in (1, 8))).argmax() == 4,
    ),
    Entry(
        L6, "Until the cube is held, Q depends most on the gripper, which the critic wants closed",
        lambda: all(
            q_depends_on(*at).argmax() == 4
            and np.corrcoef(drawn(*at)[0][..., 4].ravel(), drawn(*at)[1].ravel())[0, 1] > 0
            for at in MOMENTS[:6]
        ),
    ),
    Entry(
        L6, "and at the grasp on nearly nothing else",
        lambda: all(q_depends_on("grasp", m)[4] > 0.95 for m in (1, 8)),
    ),
    Entry(
        L6, "While the hand carries the cube, Q depends most on y.",
        lambda: all(q_depends_on("carry", m).argmax() == 1 for m in (1, 8)),
    ),
    Entry(
        L6, "The best of 256 lies at the rim",
        lambda: all(farther_than(*at) > 0.85 for at in MOMENTS),
    ),
    Entry(
        L6, "with these eight agents the intervals overlap",
        lambda: bounded_interval(agents_of("cube_short_narrow", 8, 8))[1]
        > bounded_interval(agents_of("cube_short", 8, 8))[0],
    ),
    Entry(
        L6, "The interval is wide, [0.31, 0.93]",
        lambda: list(
            summarize(shipped.robot_results("scene")).set_index(["steps", "candidates"])
            .loc[(8, 8), ["success_low", "success_high"]]
        ),
    ),
    Entry(
        L6, "work: 0.71 for the cube, 0.79 for the scene",
        lambda: [
            cube().success[8, 8],
            summarize(shipped.robot_results("scene"))
            .set_index(["steps", "candidates"]).success[8, 8],
        ],
    ),
    Entry(
        L6, "succeed in 7 of 100 episodes, as a clone does, and one step in 22, less than with",
        lambda: finding(DEEPER)[0].round(2) == 0.07
        and finding(DEEPER)[1].round(2) == 0.22
        and finding("1 step, one candidate: M_BTT = 8; 2")[2] < -0.1,
    ),
    Entry(
        L6, "With six agents in each arm, none of these differences excludes zero",
        lambda: all(
            finding(question)[3] < 0 < finding(question)[4]
            for question in robots.findings().question
            if "M_BTT" in question
        )
        and len(agents_of("cube_backprop_8", 8, 1)) == 6,
    ),
    Entry(
        L6, "The best of eight is as good as before.",
        lambda: abs(finding("8 steps, best of 8: M_BTT = 8; 2")[2]) < 0.02,
    ),
    Entry(
        L6, "Q moved the actions of one step, and in task 4 far.",
        lambda: q_gained("cube", 1, 1) > 0.1 and q_gained("cube", 4, 1) > 4,
    ),
    Entry(
        L6, "With M_{BTT} = 8 it moved none of them by much.",
        lambda: all(
            abs(q_gained("cube_backprop_8", task, m)) < 0.2 for task in (1, 4) for m in (1, 8)
        ),
    ),
    Entry(
        L6, "Its weight is the same, w_Q = 4",
        lambda: {shipped.robot(name, 1)[0].q_weight for name in ("cube", "cube_backprop_8")} == {4},
    ),
    Entry(
        L6, "Q promises about -80 at every setting.",
        lambda: bool(verified("q").between(-81, -79).all()),
    ),
    Entry(
        L6, "the agent got about as much, -84, and everywhere else more: -48 at eight steps",
        lambda: (round(verified("returned")[8, 1]), round(verified("returned")[8, 8])) == (-84, -48)
        and (verified("returned") > verified("q")).sum() == 5,
    ),
    Entry(
        L6, "the promise for this one action rises by 0.52 and the return by 35.4",
        lambda: [verified(c)[8, 8] - verified(c)[8, 1] for c in ("q", "returned")],
    ),
    Entry(
        L6, "the promise rises by even more, 0.95, and brings nothing that 48 states could show",
        lambda: [verified("q")[1, 8] - verified("q")[1, 1]],
    ),
    Entry(
        L6, "it rises by 0.33, and the return changes by -4.4",
        lambda: [verified(c)[8, 32] - verified(c)[8, 8] for c in ("q", "returned")],
    ),
    Entry(
        L6,
        "certain of three seeds that agree, [1.00, 1.00], as if a fourth could not fail, and for "
        "the four it ends at 1.55",
        lambda: [*t_interval([1, 1, 1]), t_interval([1, 1, 1, 0])[1]],
    ),
    Entry(
        L6, "says [0.29, 1.00] and [0.19, 0.99]",
        lambda: [*bounded_interval([1, 1, 1]), *bounded_interval([1, 1, 1, 0])],
    ),
    # ---- lesson 7
    Entry(
        L7, "left 6% of the density at the left mode",
        lambda: round(100 * toys.left_by_weights(10)) == 6,
    ),
    Entry(
        L7, "to go as far as 2.5 nats takes 32 candidates",
        lambda: [np.log(32) - 31 / 32],
    ),
    Entry(
        L7, "A window of good values lies between, from 0.68 to 0.89 here",
        toys.window_of_penalties,
    ),
    Entry(
        L7, "those right of 0.54 are already within reach of the critic's mistake",
        lambda: [toys.reach_of_the_mistake(3)[0]],
    ),
    Entry(
        L7, "With 0.3 nearly all of them do.",
        lambda: toys.reach_of_the_mistake(0.3)[1] > 0.99,
    ),
    Entry(
        L7, "BC's action is nearly 0",
        lambda: all(np.linalg.norm(side["mean"]) < 0.2 for side in at_each_place("BC")),
    ),
    Entry(
        L7, "At its greediest value each of them arrives in all eight episodes",
        lambda: all(maze_methods()[name][-1].episodes.success.all() for name in CRITICAL),
    ),
    Entry(
        L7, "FQL, IQL, ReBRAC, SORL and SRPO reach from values",
        lambda: all(
            tuned(name).min() < 0.5 and tuned(name).max() == 1
            for name in (*CRITICAL, "FQL", "SRPO")
        ),
    ),
    Entry(
        L7, "from 4, or 32, to 128 candidates it makes next to none",
        lambda: all(
            list(tuned(name).index) == candidates and np.ptp(tuned(name)) <= 0.051
            for name, candidates in (
                ("BFN", [4, 8, 16, 32]), ("IDQL", [32, 64, 128]), ("IFQL", [32, 64, 128])
            )
        ),
    ),
    Entry(
        L7, "With eight steps they arrive, and with one they never do, be it with 128 candidates",
        lambda: all(
            tuning_of(name).xs(8, level="steps").min() >= 0.949
            and tuning_of(name).xs(1, level="steps").max() == 0
            for name in ("BFN", "IFQL")
        )
        and (128, 1, 128) in tuning_of("IFQL").index,
    ),
    Entry(
        L7, "is 0.13 at one step, and 0.55 at eight; SORL's is 0.5 at both",
        lambda: [
            *(spread_of_candidates("ifql", m) for m in (1, 8)),
            np.mean([spread_of_candidates("sorl_100", m) for m in (1, 8)]),
        ],
    ),
    Entry(
        L7, "At every value its clone always arrives with eight candidates, and never with one",
        lambda: (tuning_of("CAC").xs(8, level="candidates") == 1).all()
        and (tuning_of("CAC").xs(1, level="candidates") == 0).all(),
    ),
    Entry(
        L7, "every method but BC succeeds in all 40 episodes, and all but IDQL and FQL do so",
        lambda: all(tuned(name).max() == 1 for name in tuned_methods())
        and all((tuned(name) == 1).sum() > 1 for name in tuned_methods() - {"FQL", "IDQL"})
        and tuned_methods() == {AGENTS[name].__name__ for name in baselines.METHODS} - {"BC"},
    ),
    Entry(
        L7, "Most is lost on task 4.",
        lambda: maze_table().drop("BC").mean().idxmin() == 4,
    ),
    Entry(
        L7, "Against BC the case is clear.",
        lambda: (compared_with_sorl().p_holm < 0.05).sum() == 1
        and compared_with_sorl().p_holm["BC"] < 0.05,
    ),
    Entry(
        L7, "p = 0.02 had one asked about CAC alone",
        lambda: [compared_with_sorl().p["CAC"]],
    ),
    Entry(
        L7, "corrected, p is 0.23",
        lambda: [compared_with_sorl().p_holm["CAC"]],
    ),
    Entry(
        L7, "In the maze CAC and ReBRAC have the highest success; here FQL and SORL are far ahead",
        lambda: set(maze_table().mean(axis=1).nlargest(2).index) == {"CAC", "ReBRAC"}
        and published_means()[["FQL", "SORL"]].min()
        > published_means()[["CAC", "ReBRAC"]].max() + 5,
    ),
    # ---- lesson 8
    Entry(L8, "e^{-250} is 0 in 32 bits", lambda: np.exp(np.float32(-0.5 / 0.002)) == 0),
    Entry(
        L8, "the flow's is smooth, and follows it",
        lambda: max(toys.distances_of_returns(5000)) < 0.04,
        trains=True,
    ),
    Entry(
        L8,
        "after a step to the left the best return is lower, and fewer episodes come close to it",
        lambda: toys.best_return(-1) < toys.best_return(1)
        and toys.best_return(-1)[1] < toys.best_return(1)[1],
    ),
    Entry(
        L8, "8 samples bring four fifths of what infinitely many would",
        lambda: round(toys.read_out(8, 1.0), 1) == 0.8,
    ),
    Entry(
        L8, "At an eighth of it, 2,000 bring less than two thirds",
        lambda: toys.read_out(2000, 1 / 8) < 2 / 3,
    ),
    Entry(
        L8, "Below 1.2 it takes the lottery, which has a mean of 0.4.",
        lambda: [toys.indifferent(), toys.returns().LOTTERY.mean()],
    ),
    Entry(
        L8, "With 32, the policy is close to its limit.",
        lambda: toys.chosen_error(32) < 0.03 < toys.chosen_error(4),
    ),
    Entry(
        L8, "All read-outs move to the right, and at the junction they move apart.",
        lambda: (read_outs(np.inf) < read_outs(0.1)).all()
        and (read_outs(0.1) < read_outs(0.0)).all()
        and np.ptp(read_outs(np.inf)) < np.ptp(read_outs(0.1)) < np.ptp(read_outs(0.0)),
    ),
    Entry(
        L8, "the probabilities, which are the sizes of the dots on the left, become equal",
        lambda: max(returns_shown(choice_temperature=0.1)["probabilities"]) < 0.1,
    ),
    Entry(
        L8, "the walks on the right stay near the junction, as the base policy's do",
        lambda: abs(returns_shown(candidates=1)["cells_nearer"]) < 0.5
        and returns_shown()["cells_nearer"] >= 1,
    ),
    Entry(L8, "In most places the winner is the same.", lambda: toys.same_winner() > 0.6),
    Entry(L8, "Without a choice it was 0.01.", lambda: [evor_success("cloning").mean()]),
    Entry(
        L8, "Among 32 candidates it was 0.76 by \\tau_R = 0.1, and by the mean 0.56",
        lambda: [evor_success(tau=0.1).mean(), 0.1, evor_success().mean()],
    ),
    Entry(
        L8, "the 95% interval of that difference contains zero",
        lambda: contains_zero(evor_success(tau=0.1) - evor_success()),
    ),
    Entry(
        L8, "In task 4 the agents stand at a wall behind which the goal lies, by \\tau_R = 0.1",
        lambda: (evor_ends(4).failures == 10).all()
        and (evor_ends(4).rest < 0.25).all()
        and (evor_ends(4).towards > 0.8).all(),
    ),
    Entry(
        L8, "If each mean came from 8 draws of its own, their luck would choose",
        lambda: np.median(toys.returns().within) / 8**0.5 > 2 * np.median(toys.returns().between),
    ),
    Entry(
        L8, "Lesson 5's best-of-32 with 8 steps takes 320 network evaluations.",
        lambda: inference.network_evaluations(8, 32) == 320,
    ),
    Entry(
        L8, "the critic of lesson 5 needs two evaluations for a candidate, and this one 128",
        lambda: toys.returns().network_evaluations(1, 8, m=0) == 128,
    ),
    Entry(
        L8, "Why may EVOR sum a hundred rewards before its bootstrap",
        lambda: shipped.evor()[0].n_step == 100,
    ),
    # ---- assignments
    Entry(
        A1, "which is smallest halfway, on the straight paths",
        lambda: toys.variances(lambda t: (1 - t, t)).argmin() == 20,
    ),
    Entry(
        A1, "\\sin^2 = 1 on the arcs, at all times",
        lambda: np.allclose(
            toys.variances(lambda t: (np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t))), 1
        ),
    ),
    Entry(
        A1,
        "Heun's method gains next to nothing on the straight path (0.25 against 0.27) and loses on "
        "the cosine path (0.91 against 0.32)",
        lambda: [toys.errors()[at][0] for at in (
            ("straight", "Heun"), ("straight", "Euler"), ("cosine", "Heun"), ("cosine", "Euler"))],
    ),
    Entry(
        A1,
        "With 64 it has a ninth of Euler's error on the cosine path, and less than a twentieth on "
        "the straight one",
        lambda: round(ratio("cosine")) == 9 and ratio("straight") > 20,
    ),
    Entry(
        A1, "the slopes of the lines are close to the orders, -1 and -2",
        lambda: all(
            abs(np.log2(error[-1] / error[-2]) + order) < 0.15
            for (_, method), error in toys.errors().items()
            for order in ({"Euler": 1, "Heun": 2}[method],)
        ),
    ),
    Entry(
        A1, "Euler finds the cosine path easier, and Heun the straight one",
        lambda: bool(
            (toys.errors()["cosine", "Euler"] < toys.errors()["straight", "Euler"])[1:].all()
            and (toys.errors()["straight", "Heun"] < toys.errors()["cosine", "Heun"]).all()
        ),
    ),
    Entry(
        A2, "One critic promises 1.76 for the best of 16, and the smaller of two 0.85",
        lambda: [toys.promises()[None][4], toys.promises()[1][4]],
    ),
    Entry(
        A2, "The more candidates, the larger the promised value",
        lambda: all((np.diff(curve) > 0).all() for curve in toys.promises().values()),
    ),
    Entry(
        A2, "from 1 candidate to 64 it gains 1.66, and 1.86 with one deviation subtracted",
        lambda: [np.ptp(toys.promises()[kappa]) for kappa in (0, 1)],
    ),
    Entry(
        A2,
        "Four of the eight seeds say that N = 32 is better, three see no difference, and one says "
        "that it is worse",
        lambda: np.sign(by_seed()).astype(int).tolist().count(1) == 4
        and np.count_nonzero(by_seed()) == 5,
    ),
    Entry(
        A2, "N = 32 gains 0.30, in an interval from -0.22 to 0.68",
        lambda: [by_seed().mean(), *bounded_interval(by_seed(), -1, 1)],
    ),
    # ---- lesson 9 and the tightrope's studies
    Entry(
        L9, "all go well with probability 0.9^8 = 0.43",
        lambda: [0.9, 0.9**8] if imitation.road_is_better(0.1) else [],
    ),
    Entry(
        L9, "You lose eight steps to the expert",
        lambda: round(imitation.j("expert") - imitation.j("best")) == 8,
    ),
    Entry(
        L9, "Its J of 19 is less than half of the 40 that it could have",
        lambda: [round(imitation.j(name)) for name in ("clone", "best")] == [19, 40],
    ),
    Entry(
        L9, "the 29 steps that it lacks in the goal",
        lambda: round(imitation.j("expert") - imitation.j("clone")) == 29,
    ),
    Entry(
        L9, "f can tell the walker less well",
        lambda: imitation.gaps(0.1)[1] < imitation.gaps(0.1)[0] - 0.1,
    ),
    Entry(
        L9, "its J is hardly above the clone's 19.0",
        lambda: [imitation.j("clone")]
        if 0 < imitation.j("searched") - imitation.j("clone") < 0.5 else [],
    ),
    Entry(
        L9, "and it ends where the clone ended. GUITAR takes the road",
        lambda: abs(imitation.j("FILTER") - imitation.j("clone")) < 0.5
        and imitation.where("GUITAR")["on the road"] > 8 > 0.01
        > imitation.where("GUITAR")["on the bridge"],
    ),
    Entry(
        L9, "each cell costs more than two steps' reward, more than four at its end",
        lambda: imitation.on_the_bridge().min() > 2 and imitation.on_the_bridge()[-1] > 4,
    ),
    Entry(
        L9, "FILTER has nothing more to find (0.2), and its class lacks 29.2: the bound is nearly",
        lambda: [*imitation.bound("FILTER", "expert")[1::-1]]
        if imitation.bound("FILTER", "expert")[2] > 29 else [],
    ),
    Entry(
        L9, "it is the search that is missing (56.7)",
        lambda: [imitation.bound("FILTER", "offline")[1]],
    ),
    Entry(
        L9, "GUITAR is 1.4 behind the walker of the offline data, with a bound of 6.3",
        lambda: [
            imitation.bound("GUITAR", "offline")[2], sum(imitation.bound("GUITAR", "offline")[:2])
        ],
    ),
    Entry(
        L9, "At p = 0.02 the road is already a little better for you. GUITAR stays on the bridge",
        lambda: [0.02] if imitation.road_is_better(0.02)
        and imitation.share_of("GUITAR", slip=0.02) > 0.9
        and imitation.shown("GUITAR", slip=0.02) < 1 else [],
    ),
    Entry(
        L9, "it from the expert by 0.29 per step, and on the road by 0.57",
        lambda: imitation.gaps(0.02),
    ),
    Entry(L9, "the other way round, 0.65 against 0.60", lambda: imitation.gaps(0.05)),
    Entry(
        L9, "GUITAR finds the road with a small share of offline states, and walks better with a "
        "larger one",
        lambda: 0.5 < imitation.share_of("GUITAR", offline=0.05)
        < imitation.share_of("GUITAR", offline=0.25) < imitation.share_of("GUITAR", offline=1.0),
    ),
    Entry(
        L9, "it stays on the bridge if it begins with the clone. From a walk at random, it takes "
        "the road",
        lambda: imitation.shown("MM", start="a clone") < 1
        and imitation.shown("MM", start="a walk at random") > 8,
    ),
    Entry(
        L9, "BC and MM never arrive",
        lambda: all(imitation.in_maze(body, name)[0] == 0
                    for body in ("turned", "drifting") for name in ("BC", "MM")),
    ),
    Entry(
        L9, "FILTER arrives in all episodes, as GUITAR does",
        lambda: imitation.in_maze("turned", "FILTER")[0] == 1
        and imitation.in_maze("turned", "GUITAR")[0] == 1,
    ),
    Entry(
        L9, "GUITAR arrives in 0.97 [0.61, 1.00] of the episodes, FILTER in 0.72 [0.33, 0.94]",
        lambda: imitation.in_maze("drifting", "GUITAR") + imitation.in_maze("drifting", "FILTER"),
    ),
    Entry(
        L9, "not shown by eight seeds: +0.25 [-0.26, +0.66]",
        lambda: imitation.in_maze("drifting", "GUITAR", "FILTER"),
    ),
    Entry(
        L9, "Up to 47,200 steps, at most a quarter of the episodes arrive",
        lambda: imitation.on_the_way(47_200) <= 0.25,
    ),
    Entry(
        L9, "1.00 [1.00, 1.00] against 0.48 [0.48, 0.48]",
        lambda: imitation.interval("slip", "GUITAR", slip=0.1)
        + imitation.interval("slip", "FILTER", slip=0.1),
    ),
    Entry(
        L9, "With 30 states GUITAR has 0.89 [0.88, 0.90], with 10 it has hardly learned anything: "
        "0.52 [0.48, 0.58]",
        lambda: imitation.interval("practice", "GUITAR", start="clone", practice=30)
        + imitation.interval("practice", "GUITAR", start="clone", practice=10),
    ),
    Entry(
        L9, "it is stuck at 0.50 [0.50, 0.50]",
        lambda: imitation.interval("slip", "MM", slip=0.1),
    ),
    Entry(
        L9, "From p = 0.2 on it is at the optimum",
        lambda: [0.2]
        if all(imitation.interval("slip", "MM", slip=p)[1] > 0.99 for p in (0.2, 0.3, 0.4, 0.5))
        else [],
    ),
    Entry(
        L9, "MM is the best method here, 0.97 [0.96, 0.97] with 30 states",
        lambda: imitation.interval("practice", "MM", start="walk", practice=30)
        if imitation.interval("practice", "GUITAR", start="walk", practice=30)[2] < 0.96 else [],
    ),
    Entry(
        L9, "the loss of BC and FILTER grows 33-fold, and GUITAR's 7-fold",
        lambda: [imitation.growth(name) for name in ("BC", "FILTER", "GUITAR")] == [33, 33, 7],
    ),
    Entry(
        IMITATION, "the loss of BC and FILTER grows 33-fold and that of GUITAR 7-fold",
        lambda: [imitation.growth(name) for name in ("BC", "FILTER", "GUITAR")] == [33, 33, 7],
    ),
    Entry(
        IMITATION, "GUITAR is within 1% of the optimum, where FILTER is at least half below it",
        lambda: all(
            imitation.interval("slip", "GUITAR", slip=p)[0] > 0.99
            and imitation.interval("slip", "FILTER", slip=p)[0] < 0.5
            for p in (0.1, 0.2, 0.3, 0.4, 0.5)
        ),
    ),
    Entry(
        IMITATION, "Means with 95% intervals",
        lambda: all(plain(line) in text_of(IMITATION) for line in imitation.maze_table()),
    ),
    Entry(
        IMITATION,
        "GUITAR is above BC and above MM with either body, and no interval contains zero",
        lambda: all(imitation.in_maze(body, "GUITAR", other)[1] > 0
                    for body in ("turned", "drifting") for other in ("BC", "MM")),
    ),
    Entry(
        IMITATION, "makes the tables below",
        lambda: all(plain(row) in text_of(IMITATION) for row in imitation.table_rows()),
    ),
    # ---- the guide and the glossary
    Entry(
        GUIDE, "lessons 0 and 1 (70 min)",
        lambda: minutes_of(L0) + minutes_of(L1) == 70,
    ),
    Entry(
        GUIDE, "lesson 2 (50 min) | assignment 1",
        lambda: minutes_of(L2) == 50,
    ),
    Entry(
        GUIDE, "lesson 3 (50 min) | lesson 4 (60 min) | assignment 2",
        lambda: (minutes_of(L3), minutes_of(L4)) == (50, 60),
    ),
    Entry(
        GUIDE, "lesson 5 (60 min) | lesson 6 (60 min) | assignment 3",
        lambda: (minutes_of(L5), minutes_of(L6)) == (60, 60),
    ),
    Entry(
        GLOSSARY, "numbers in [-1, 1]; 2 in the maze, 5 for a robot's arm",
        lambda: (shipped.agent("narrow")[1].action_dim, shipped.robot("cube", 1)[1].action_dim)
        == (2, 5),
    ),
    Entry(
        GLOSSARY, "how much a reward one step later counts; 0.99 here",
        lambda: [shipped.agent("narrow")[0].discount],
    ),
    Entry(
        GLOSSARY, "the number of steps of the finest flow, 8",
        lambda: shipped.agent("narrow")[0].denoise_steps == 8,
    ),
    Entry(
        GLOSSARY, "several critics that learn the same from different starts; here two",
        lambda: len(critics_at_the_junction()) == 2,
    ),
    # ---- pages beside the data
    *(
        Entry(
            CLAIMS,
            "| {difference:+.2f} | [{low:+.2f}, {high:+.2f}] | {seeds} |".format(**row),
            lambda row=row: bool(row["holds"]),
        )
        for row in claims.statistics().to_dict("records")
    ),
    Entry(
        CLAIMS, "no preset had a higher one at any setting that was tried",
        lambda: all(
            summary(name, 8).success.max() <= summary("narrow", 8).success.max()
            for name in shipped.names()
            if name.startswith("narrow_")
        ),
    ),
    *(
        Entry(
            ROBOTS,
            "| {question} | {better:.2f} | {worse:.2f} | {difference:+.2f} | "
            "[{low:+.2f}, {high:+.2f}] |".format(**row),
            lambda question=row["question"]: len(finding(question)) == 5,
        )
        for row in robots.findings().to_dict("records")
    ),
    *(
        Entry(
            ROBOTS,
            f"| {m} | "
            + " | ".join("{success:.2f} [{success_low:.2f}, {success_high:.2f}]".format(
                **cube().loc[m, n]) for n in (1, 8, 32))
            + " |",
            lambda: True,
        )
        for m in (1, 2, 4, 8)
    ),
    Entry(
        BASELINES, "success over the three evaluations, from",
        lambda: has_rows(baseline_rows()),
    ),
    Entry(
        BASELINES, "p = 0.02 for this comparison alone, and 0.23",
        lambda: [*compared_with_sorl().loc["CAC", ["p", "p_holm"]]],
    ),
    Entry(
        BASELINES, "by the mean of its magnitude, and that is 69 in a maze",
        lambda: round(float(np.abs(cac_values()).mean())) == 69,
    ),
    Entry(
        BASELINES, "the one value at which five of its six settings miss some goals",
        lambda: [(value, (rows < 1).sum()) for value, rows in tuning_of("FAWAC").groupby("value")]
        == [(0.3, 5), (1, 0), (3, 0), (10, 1)],
    ),
    Entry(
        BASELINES, "eight steps arrive in all of 40 episodes, and one step in none",
        lambda: tuning_of("FBRAC")[1, 8, 1] == 1 and tuning_of("FBRAC")[1, 1, 1] == 0,
    ),
    Entry(
        BASELINES, "deviation is 0.13 at one step, and 0.55 at eight.",
        lambda: [spread_of_candidates("ifql", 1), spread_of_candidates("ifql", 8)],
    ),
    Entry(
        BASELINES, "were trained against that: 0.50 and 0.51.",
        lambda: [spread_of_candidates("sorl_100", m) for m in (1, 8)],
    ),
    Entry(BASELINES, "spans 3.5.", lambda: [np.ptp(cac_values(), axis=0).mean()]),
    Entry(
        BASELINES, "all agents in one run, in turns",
        lambda: has_rows(cost_rows()),
    ),
]  # fmt: skip


def plain(quote: str) -> str:
    return re.sub(r"\s+", " ", quote.replace("*", ""))


@pytest.mark.parametrize("entry", AUDIT, ids=lambda entry: f"{entry.file}: {entry.quote[:60]}")
def test_the_sentence_is_there(entry):
    assert plain(entry.quote) in text_of(entry.file)


@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, marks=pytest.mark.goals if e.trains else pytest.mark.release) for e in AUDIT],
    ids=[f"{entry.file}: {entry.quote[:60]}" for entry in AUDIT],
)
def test_it_is_true(entry):
    found = entry.compute()
    if isinstance(found, list):
        quoted = re.findall(r"[-+]?\d+\.\d+", entry.quote)
        assert len(quoted) == len(found) > 0
        for number, value in zip(quoted, found, strict=True):
            digits = len(number.partition(".")[2])
            assert abs(float(number) - float(value)) <= 0.5 * 10**-digits + 1e-9, (number, value)
    else:
        assert found is True or found == np.True_
