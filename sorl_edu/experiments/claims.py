"""`make claims`: the experiments behind what the course says SORL buys, with their statistics.

Each study trains agents over several seeds, evaluates settings from the same starts, and asks for
the paired difference between two settings with a 95% interval over the training seeds:

    sequential   more inference steps help a policy that draws one candidate (N = 1)
    parallel     best-of-32 helps at a fixed number of steps, and not with shuffled values
    cloning      SORL beats behaviour cloning, and not when rewards are zeroed

Training is checkpointed and evaluated settings are kept in runs/claims/, so a study that is
stopped goes on where it was. The episodes end up in data/claims/*.csv with a manifest; from those
files, `statistics` computes every number that is reported.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd

from sorl_edu.agents import SORL, Agent
from sorl_edu.agents.agent import State
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.collect import collect
from sorl_edu.datasets.ogbench import load, shipped_data
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.evaluation import paired_difference, sweep
from sorl_edu.experiments.pieces import asked_for
from sorl_edu.files import add_to_manifest, write_csv
from sorl_edu.inference import best_of_n
from sorl_edu.training import train_seeds

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
DATASET = "pointmaze-medium-navigate-v0"
EPISODES = 50
EVALUATION_SEED = 1000


@dataclass(frozen=True)
class ShuffledValues:
    """A SORL agent whose verifier guesses: the candidates' values are shuffled among them."""

    agent: SORL

    def act(self, state: State, obs, key, *, steps: int, candidates: int):
        propose_key, shuffle_key = jax.random.split(key)
        proposal = self.agent.propose(state, obs, propose_key, steps=steps, candidates=candidates)
        q = jax.random.permutation(shuffle_key, proposal.q, axis=0, independent=True)
        return best_of_n(proposal.actions, q)


def without_rewards(data: Transitions) -> Transitions:
    """The same transitions, of a task that pays nothing and never ends."""
    return data.replace(rewards=jnp.zeros_like(data.rewards), masks=jnp.ones_like(data.masks))


@dataclass(frozen=True)
class Arm:
    """Agents trained alike but for their seed, and the settings at which they are evaluated."""

    agent: Agent
    settings: tuple[tuple[int, int], ...]  # (steps, candidates)
    updates: int = 10_000
    seeds: int = 3
    noise: float | None = None  # of the data's actions: collected so; None for the shipped data
    rewards: bool = True
    shuffled: tuple[tuple[int, int], ...] = ()  # settings evaluated with shuffled values, too


@dataclass(frozen=True)
class Claim:
    """`better` does better than `worse` in `metric` (or, with `expected` off, it doesn't)."""

    text: str
    metric: str
    better: dict
    worse: dict
    expected: bool = True
    seeds: int = 3  # the first training seeds, which all arms in it have


@dataclass(frozen=True)
class Study:
    question: str
    arms: tuple[str, ...]
    claims: tuple[Claim, ...]


def setting(arm: str, steps: int, candidates: int, verifier: str = "critic") -> dict:
    """Column values that select one evaluated setting."""
    return {"arm": arm, "steps": steps, "candidates": candidates, "verifier": verifier}


COURSE = preset("pointmaze")
LOOSE = preset("pointmaze", consistency_weight=0.1)

ARMS = {
    "sorl": Arm(
        COURSE,
        settings=tuple((m, n) for m in (1, 2, 4, 8) for n in (1, 32)),
        shuffled=((1, 32), (8, 32)),
        seeds=8,
    ),
    "sorl without rewards": Arm(COURSE, settings=((8, 32),), rewards=False),
    "cloning": Arm(preset("pointmaze-bc"), settings=((8, 1),), seeds=8),
    "narrow data": Arm(LOOSE, settings=((1, 1), (8, 1)), updates=6000, seeds=8, noise=0.1),
    "broad data": Arm(LOOSE, settings=((1, 1), (8, 1)), updates=6000),
}

STUDIES = {
    "sequential": Study(
        question="Do more inference steps help a policy that draws one candidate?",
        arms=("sorl", "narrow data", "broad data"),
        claims=(
            Claim(
                "8 steps of the course's agent take fewer steps to the goal than 1",
                "length",
                better=setting("sorl", 8, 1),
                worse=setting("sorl", 1, 1),
                seeds=8,
            ),
            Claim(
                "on narrow data, with little self-consistency, 8 steps succeed more often than 1",
                "success",
                better=setting("narrow data", 8, 1),
                worse=setting("narrow data", 1, 1),
                seeds=8,
            ),
            Claim(
                "why not: the fewer steps, the greedier; on broad data with little "
                "self-consistency, 1 step takes fewer steps to the goal than 8",
                "length",
                better=setting("broad data", 1, 1),
                worse=setting("broad data", 8, 1),
            ),
        ),
    ),
    "parallel": Study(
        question="Does the best of 32 candidates do better than one, and is it the values' doing?",
        arms=("sorl",),
        claims=(
            *(
                Claim(
                    f"at {steps} step(s), best-of-32 succeeds more often than one candidate",
                    "success",
                    better=setting("sorl", steps, 32),
                    worse=setting("sorl", steps, 1),
                    seeds=8,
                )
                for steps in (1, 2, 4, 8)
            ),
            *(
                Claim(
                    f"at {steps} step(s), with their values shuffled, it doesn't",
                    "success",
                    better=setting("sorl", steps, 32, "shuffled"),
                    worse=setting("sorl", steps, 1),
                    expected=False,
                    seeds=8,
                )
                for steps in (1, 8)
            ),
        ),
    ),
    "cloning": Study(
        question="Does SORL beat behaviour cloning on the same data, and is it the rewards' doing?",
        arms=("sorl", "sorl without rewards", "cloning"),
        claims=(
            Claim(
                "at 8 steps, SORL with N = 32 reaches the goal more often than behaviour cloning",
                "success",
                better=setting("sorl", 8, 32),
                worse=setting("cloning", 8, 1),
                seeds=8,
            ),
            Claim(
                "with rewards zeroed it doesn't",
                "success",
                better=setting("sorl without rewards", 8, 32),
                worse=setting("cloning", 8, 1),
                expected=False,
            ),
        ),
    ),
}


def run_study(name: str, runs: Path, out: Path) -> None:
    """Trains and evaluates what is missing, and writes `out`/NAME.csv and its manifest entry."""
    study = STUDIES[name]
    tables = [run_arm(arm, runs / arm.replace(" ", "_")) for arm in study.arms]
    write_csv(pd.concat(tables, ignore_index=True), out / f"{name}.csv")
    add_to_manifest(
        out,
        f"{name}.csv",
        command=f"make claims  # this one: python -m sorl_edu.experiments.claims {name}",
        question=study.question,
        environment=ENVIRONMENT,
        dataset_sha256=load(ENVIRONMENT).sha256,
        arms={arm: asdict(ARMS[arm]) for arm in study.arms},
    )


def run_arm(name: str, folder: Path) -> pd.DataFrame:
    """One arm's episodes: a row per (training seed, setting, episode)."""
    arm = ARMS[name]
    data = load(ENVIRONMENT, folder=arm_data(arm, folder)).train
    print(f"{name}: {arm.seeds} seeds x {arm.updates:,} updates", flush=True)
    run = train_seeds(
        arm.agent,
        data if arm.rewards else without_rewards(data),
        updates=arm.updates,
        keys=jax.random.split(jax.random.key(0), arm.seeds),
        checkpoint_dir=folder,
        checkpoint_every=5000,
    )
    tables = []
    for verifier, settings in (("critic", arm.settings), ("shuffled", arm.shuffled)):
        agent = arm.agent if verifier == "critic" else ShuffledValues(arm.agent)
        for steps, candidates in settings:
            file = folder / f"steps{steps}_N{candidates}_{verifier}.csv"
            if not file.exists():
                write_csv(evaluate_seeds(agent, run.state, steps, candidates), file)
            tables.append(pd.read_csv(file).assign(**setting(name, steps, candidates, verifier)))
    return pd.concat(tables, ignore_index=True)


def arm_data(arm: Arm, folder: Path) -> Path | None:
    """Where an arm's data are: collected beside its runs, or (None) shipped."""
    if arm.noise is None:
        return None
    where = folder.parent / f"data_noise{arm.noise}"
    if not (where / f"{DATASET}.npz").exists():
        collect(DATASET, where, episodes=250, noise=arm.noise)
    return where


def evaluate_seeds(agent: Agent, states: State, steps: int, candidates: int) -> pd.DataFrame:
    """Every training seed at one setting, from the same starts."""
    table = sweep(
        agent,
        states,
        ENVIRONMENT,
        steps=[steps],
        candidates=[candidates],
        episodes=EPISODES,
        seed=EVALUATION_SEED,
        progress=False,
    )
    print(
        f"  {steps} steps, N = {candidates}: success {table.success.mean():.2f}, "
        f"length {table.length.mean():.0f}",
        flush=True,
    )
    return table[["episode", "success", "return", "length", "training_seed"]]


def statistics(folder: Path | None = None) -> pd.DataFrame:
    """Every claim's paired difference, computed from the episodes in `folder`.

    Returns:
        a row per claim: study, claim, metric, difference, low, high (95%, Student's, over training
        seeds), seeds, episodes, expected, and holds: whether the interval excludes zero on the
        better side (or, where no gain is expected, doesn't).
    """
    folder = shipped_data() / "claims" if folder is None else folder
    rows = []
    for name, study in STUDIES.items():
        episodes = pd.read_csv(folder / f"{name}.csv")
        for claim in study.claims:
            found = paired_difference(
                episodes[episodes.training_seed < claim.seeds],
                claim.metric,
                better=claim.better,
                worse=claim.worse,
            )
            gain = found["high"] < 0 if claim.metric == "length" else found["low"] > 0
            rows.append(
                {"study": name, "claim": claim.text, "metric": claim.metric}
                | found
                | {"expected": claim.expected, "holds": bool(gain) == claim.expected}
            )
    return pd.DataFrame(rows)


def describe(table: pd.DataFrame) -> str:
    lines = []
    for row in table.itertuples():
        lines.append(
            f"[{'holds' if row.holds else 'FAILS'}] {row.study}: {row.claim}\n"
            f"        {row.metric}: {row.difference:+.3g}, 95% interval "
            f"[{row.low:+.3g}, {row.high:+.3g}] over {row.seeds} seeds "
            f"({row.episodes} paired episodes)"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    studies, runs, out = asked_for(arguments, __doc__, STUDIES, "claims", "study")
    for name in studies:
        run_study(name, runs, out)
    print(describe(statistics(out)))


if __name__ == "__main__":
    main()
