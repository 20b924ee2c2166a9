"""What the audit computes of lessons and of assignments: closed forms, short trainings.

Trainings are the notebooks' own: their cells run here, with one seed in place of five.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from helpers import node

from sorl_edu import plotting, shortcut
from sorl_edu.course.exercises import assignment1
from sorl_edu.datasets import toy
from sorl_edu.flow_matching import integrate, interpolate
from sorl_edu.networks import VelocityField
from sorl_edu.plotting.clouds import energy_distance
from sorl_edu.widgets.draw_your_own.draw_your_own import UPDATES

ROOT = Path(__file__).resolve().parents[2]
LESSON_1 = "notebooks/01_flow_matching.py"
LESSON_2 = "notebooks/02_shortcut_models.py"
LESSON_7 = "notebooks/07_ten_ways_to_use_a_dataset.py"
LESSON_8 = "notebooks/08_expressive_values.py"
A1 = "notebooks/assignments/A1_shortcut_models.py"
LEARN = ROOT / "tests/widgets/draw_your_own/learn.mjs"
CLOUD = 0.1  # the standard deviation of a small cloud
POINT = (0.4, 0.15)  # lesson 1's red dot
STEPS_1, STEPS_2 = (1, 2, 4, 8, 16, 32, 64, 128), (1, 2, 4, 8, 16, 32)


def defined(file: str, *definitions: str, one_seed: bool = False) -> dict:
    """What a notebook's imports and its cells with some texts define, in the notebook's order."""
    cells = re.split(r"^# %%.*\n", (ROOT / file).read_text(), flags=re.MULTILINE)
    code = [cell for cell in cells if not cell.startswith("# #") and cell.strip()]
    space: dict = {}
    for cell in code:
        if "%matplotlib inline" in cell or any(text in cell for text in definitions):
            few = re.sub(r"(split\(jax\.random\.key\(\d\)), 5\)", r"\1, 1)", cell)
            exec(few if one_seed else cell, space)
    return space


# ------------------------------------------------------------------ lessons 1 and 2, draw your own


@functools.cache
def learned(model: str, data: str, until: int = UPDATES) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the page shows after `until` updates, of two networks: distances, and the samples.

    Args:
        model: "flow" or "shortcut".
        data: a preset of the page, or "cloud".
        until: the number of updates so far, at most `UPDATES`.

    Returns:
        the mean energy distance at 1, 2, 4 and 8 steps, and the first network's samples there.
    """
    rng = np.random.default_rng(0)
    cloud = (np.array([0.3, 0.2]) + CLOUD * rng.normal(size=(800, 2))).ravel().tolist()
    given = {"points": cloud} if data == "cloud" else {"preset": data}
    given |= {"model": model, "updates": UPDATES, "until": until}
    given["noise"] = rng.normal(size=1200).tolist()
    distances = []
    for seed in (1, 0):
        found = node(LEARN, given | {"seed": seed})
        points, *samples = (
            jnp.reshape(jnp.asarray(flat), (-1, 2)) for flat in (found["points"], *found["samples"])
        )
        distances.append([float(energy_distance(ends, points)) for ends in samples])
    return np.mean(distances, 0), [np.asarray(ends) for ends in samples]


# ------------------------------------------------------------------------- lesson 1, closed forms


def density(x: np.ndarray, t: float) -> float:
    """Of the eight clouds' points at time t."""
    means, variance = _means(), _variance(t)
    squared = ((x - t * means) ** 2).sum(-1)
    return float(np.mean(np.exp(-squared / (2 * variance)) / (2 * np.pi * variance)))


def between_two_clouds(t: float) -> float:
    """The density halfway between two neighbours, in units of that at a cloud's centre."""
    first, second, *_ = _means()
    return density(t * (first + second) / 2, t) / density(t * first, t)


def in_the_middle(t: float) -> float:
    return density(np.zeros(2), t) / density(t * _means()[0], t)


def leads_to(t: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the paths through the red dot lead: the clouds' shares, and the mean velocity."""
    means, variance, x = _means(), _variance(t), np.array(POINT)
    share = np.exp(-((x - t * means) ** 2).sum(-1) / (2 * variance))
    share /= share.sum()
    covariance = t * toy.EIGHT_GAUSSIANS_STD**2 - (1 - t)
    velocities = means + covariance / variance * (x - t * means)
    return share, share @ velocities


def _means() -> np.ndarray:
    return np.asarray(toy.eight_gaussians_means(), float)


def _variance(t: float) -> float:
    return (1 - t) ** 2 + (t * toy.EIGHT_GAUSSIANS_STD) ** 2


def slope(t: float, sigma: float = 0.3) -> float:
    """Of the velocity over x, for lesson 1's Gaussian."""
    return (t * sigma**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * sigma**2)


# --------------------------------------------------------------------- lessons 1 and 2, trainings


@functools.cache
def flow_distances() -> tuple[np.ndarray, float]:
    """Lesson 1's curve for one seed, (steps,), and its floor."""
    train = defined(LESSON_1, "def train(")["train"]
    data = toy.eight_gaussians(jax.random.split(jax.random.key(0))[0], 20_000)
    seeds = jax.random.split(jax.random.key(3), 5)[:1]
    params, _ = jax.jit(jax.vmap(lambda key: train(key, data)))(seeds)
    apply = VelocityField((64, 64, 64), action_dim=2).apply
    key = jax.random.key(5)
    found = plotting.distances_to_data(apply, params, data, key=key, steps=STEPS_1)
    return np.asarray(found)[0], plotting.distance_floor(data)


@functools.cache
def lesson_2() -> dict:
    """Its names, after training a flow and a shortcut with one seed."""
    return defined(LESSON_2, "def train(", "flow_history =", "def as_flow(", one_seed=True)


def distances(name: str) -> np.ndarray:
    """Lesson 2's curve of the flow or of the shortcut, (steps,)."""
    return np.asarray(lesson_2()["distances"][name])[0]


def shortcut_samples(m: int) -> np.ndarray:
    """Of lesson 2's shortcut, in m steps."""
    params = jax.tree.map(lambda leaf: leaf[0, -1], lesson_2()["shortcut_history"])
    s = partial(lesson_2()["network"].apply, params)
    noise, obs = jax.random.normal(jax.random.key(3), (600, 2)), jnp.zeros((600, 1))
    return np.asarray(shortcut.sample_from(s, obs, noise, m, 8))


def flow_jump() -> np.ndarray:
    """Where one step of lesson 2's flow lands."""
    params = jax.tree.map(lambda leaf: leaf[0, -1], lesson_2()["flow_history"])
    noise, obs = jax.random.normal(jax.random.key(3), (600, 2)), jnp.zeros((600, 1))
    return np.asarray(integrate(partial(lesson_2()["as_flow"], params), obs, noise, 1))


@functools.cache
def gaps(jump: float) -> np.ndarray:
    """How far one jump of 2h lands from two of h, after every 100 updates of lesson 2's shortcut.

    As in its explorer: the jump ends at the data.
    """
    data, obs = lesson_2()["data"][:300], jnp.zeros((300, 1))
    noise = jax.random.normal(jax.random.key(4), data.shape)
    a_t = interpolate(noise, data, jnp.full((300, 1), 1 - jump))

    def gap(params: dict) -> jax.Array:
        s = partial(lesson_2()["network"].apply, params)
        return shortcut.jump_gap(s, obs, a_t, 1 - jump, jump / 2).mean()

    seed = jax.tree.map(lambda leaf: leaf[0], lesson_2()["shortcut_history"])
    return np.asarray(jax.jit(lambda params: jax.lax.map(gap, params))(seed))


def network_evaluations_of_a_row() -> int:
    """Of the self-consistency loss."""
    calls = []

    def field(obs: jax.Array, a_t: jax.Array, t: jax.Array, h: jax.Array) -> jax.Array:
        calls.append(len(obs))
        return a_t

    actions, obs = jnp.zeros((6, 2)), jnp.zeros((6, 1))
    shortcut.self_consistency_loss(field, field, obs, actions, jax.random.key(0), 8)
    return sum(calls) // 6


@functools.cache
def perfect_gaps() -> dict[str, float]:
    """Lesson 2's: of the perfect shortcut and of the velocity."""
    space = defined(LESSON_2, "def perfect(")
    jumps = {
        "perfect": space["perfect"],
        "velocity": lambda obs, a_t, t, h: space["velocity"](obs, a_t, t),
    }
    obs, a_0 = space["obs"], space["a_0"]
    return {n: float(shortcut.jump_gap(s, obs, a_0, 0.0, 0.5).mean()) for n, s in jumps.items()}


# ------------------------------------------------------------------------------------ assignments


def variances(weights: Callable[[float], tuple[float, float]]) -> np.ndarray:
    """Of independent noise and data with variance 1, along a path."""
    return np.array([sum(w**2 for w in weights(t)) for t in np.linspace(0, 1, 41)])


@functools.cache
def errors() -> dict[tuple[str, str], np.ndarray]:
    """A1's errors of Euler and Heun on both paths, at equal cost, for 2 to 64 evaluations."""
    space = defined(A1, "clouds = {")
    obs, a_0 = space["obs"], space["a_0"]
    end = space["mu_1"] + space["sigma_1"] * a_0

    def error(method: Callable, field: Callable, steps: Sequence[int]) -> np.ndarray:
        ends = [method(field, obs, a_0, m) for m in steps]
        return np.array([float(jnp.linalg.norm(x - end, axis=1).mean()) for x in ends])

    counts = (1, 2, 4, 8, 16, 32)
    found = {}
    for name, field in space["fields"].items():
        found[name, "Euler"] = error(integrate, field, [2 * m for m in counts])
        found[name, "Heun"] = error(assignment1.heun.solution, field, counts)
    return found


@functools.cache
def promises() -> dict[float | None, np.ndarray]:
    """A2's: for N = 1, 2, 4 ... 64, of one critic (None), and of the mean minus kappa deviations of
    two."""
    errors = np.random.default_rng(0).normal(size=(2, 20_000, 64))
    values = {kappa: errors.mean(0) - kappa * errors.std(0) for kappa in (0, 0.5, 1)}
    values[None] = errors[0]
    counts = 2 ** np.arange(7)
    return {k: np.array([q[:, :n].max(1).mean() for n in counts]) for k, q in values.items()}


# --------------------------------------------------------------------- lesson 7, in closed form


@functools.cache
def extraction() -> SimpleNamespace:
    """What lesson 7's cells define: A, Q, DATA, and what each answer does with them."""
    cells = ("A = np.linspace", "DRAWN =", "def reweighted", "def rebrac", "def moved")
    return SimpleNamespace(**defined(LESSON_7, *cells))


def left_by_weights(alpha: float) -> float:
    """The share of the density that weighted regression leaves at the left mode."""
    lesson = extraction()
    return (lesson.reweighted(alpha) * lesson.STEP)[lesson.A < 0].sum()


def window_of_penalties() -> list[float]:
    """The least and the largest weight with which ReBRAC acts within 0.15 of the best action."""
    lesson = extraction()
    tried = np.arange(0.3, 1.5, 0.01)
    actions = np.array([lesson.A[lesson.rebrac(alpha).argmax()] for alpha in tried])
    good = tried[np.abs(actions - 0.55) < 0.15]
    return [good.min(), good.max()]


def reach_of_the_mistake(alpha: float) -> tuple[float, float]:
    """From which action on FQL leaves for the critic's mistake, and the share of the data there."""
    lesson = extraction()
    leaves = lesson.moved(alpha) > 0.9
    return lesson.A[leaves].min(), (lesson.DATA * lesson.STEP)[leaves].sum()


# ------------------------------------------------------ lesson 8, in closed form and in the maze


@functools.cache
def returns() -> SimpleNamespace:
    """What lesson 8's cells of the chain, of read-outs, of the choice and of the maze define."""
    cells = (
        *("PLACES, GAMMA", "TEMPERATURES =", "LOTTERY =", "def chosen(n", "shipped.evor()"),
        *("by_mean =", "within, between", "def network_evaluations"),
    )
    return SimpleNamespace(**defined(LESSON_8, *cells))


def best_return(action: int) -> tuple[float, float]:
    """In the chain's middle place: the highest simulated return, and how many episodes get it."""
    z = returns().simulated(2, action)
    return z.max(), (z > z.max() - 1e-9).mean()


@functools.cache
def distances_of_returns(updates: int) -> list[float]:
    """Wasserstein distances of learned from simulated returns, for the two actions."""
    cells = ("PLACES, GAMMA", "network = Ret", "Z = np.lin")
    lesson = SimpleNamespace(**defined(LESSON_8, *cells))
    gaps = [
        lesson.learned_share(updates, 2, action) - lesson.share_below(lesson.simulated(2, action))
        for action in (1, -1)
    ]
    return [float(np.abs(gap).sum() * (lesson.Z[1] - lesson.Z[0])) for gap in gaps]


def read_out(samples: int, temperature: float) -> float:
    """Of draws of N(0, 1): as a part of the read-out of infinitely many."""
    lesson = returns()
    found = lesson.ev.log_mean_exp(lesson.drawn[:samples], temperature).mean()
    return float(found) * 2 * temperature


def indifferent() -> float:
    """The temperature at which the lottery's read-out is the certain 0.5."""
    lesson = returns()
    values = [float(lesson.ev.log_mean_exp(lesson.LOTTERY, float(t))[0]) for t in lesson.TAUS]
    return float(np.interp(-0.5, -np.array(values), lesson.TAUS))


def chosen_error(n: int) -> float:
    """How far the frequencies of the choice among n candidates are from their limit."""
    lesson = returns()
    return float(np.abs(lesson.chosen(n) - lesson.tends_to).max())


def same_winner() -> float:
    """The least share of places, over temperatures, where the mean's candidate wins."""
    lesson = returns()
    winners = [lesson.ev.log_mean_exp(lesson.returns, tau).argmax(0) for tau in (0.3, 0.1, 0.0)]
    return float(min((winner == lesson.by_mean).mean() for winner in winners))
