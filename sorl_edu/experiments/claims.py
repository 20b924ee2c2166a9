"""`make claims`: the experiments behind the course's claims about SORL, with their statistics.

Each study trains agents over several seeds, evaluates settings from the same starts, and asks for
the paired difference between two settings with a 95% interval over the training seeds:

    dials      steps and candidates together do what neither does alone
    verifier   the candidates' values bring the gain: shuffled, they bring nothing
    cloning    SORL beats behaviour cloning, and not when rewards are zeroed

Finished work is kept in runs/, so a study that is stopped resumes; agents that `make course-data`
has, too, are trained once. The episodes are written to data/claims/*.csv with a manifest; from
these files, `statistics` computes every number that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd

from sorl_edu import programs
from sorl_edu.agents import Agent
from sorl_edu.agents.agent import State
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.evaluation import paired_difference
from sorl_edu.experiments import course
from sorl_edu.experiments.experiment import Experiment, command_of, grid, parse_pieces, run
from sorl_edu.files import add_to_manifest, write_csv
from sorl_edu.inference import Proposal, choose
from sorl_edu.training import use_all_cores


@dataclass(frozen=True)
class ShuffledValues:
    """An agent whose verifier guesses: the candidates' values are shuffled among them."""

    agent: Agent

    def __post_init__(self) -> None:  # all but its proposals is the agent's own
        for name in ("batch_size", "prepare", "init", "update", "losses"):
            object.__setattr__(self, name, getattr(self.agent, name))

    def propose(self, state: State, obs, key, *, steps: int, candidates: int) -> Proposal:
        propose_key, shuffle_key = jax.random.split(key)
        proposal = self.agent.propose(state, obs, propose_key, steps=steps, candidates=candidates)
        q = jax.random.permutation(shuffle_key, proposal.q, axis=0, independent=True)
        return Proposal(proposal.actions, q, choose(q))


def without_rewards(data: Transitions) -> Transitions:
    """The same transitions, of a task that pays nothing and never ends."""
    return data.replace(rewards=jnp.zeros_like(data.rewards), masks=jnp.ones_like(data.masks))


SORL = replace(
    course.EXPERIMENTS["narrow"],
    name="sorl",
    settings=grid((1, 8), (1, 32)),
    episodes=50,
    recorded=None,
)
CLONING = replace(
    course.EXPERIMENTS["narrow_cloning"],
    name="cloning",
    settings=((8, 1),),
    episodes=50,
    recorded=None,
)

ARMS: dict[str, tuple[Experiment, ...]] = {
    "sorl": (SORL,),
    "shuffled": (
        replace(SORL, name="sorl, shuffled", settings=((8, 32),), verifier=ShuffledValues),
    ),
    "sorl without rewards": (
        replace(
            SORL,
            name="sorl without rewards",
            seeds=range(8),
            settings=((8, 32),),
            transform=without_rewards,
        ),
    ),
    "cloning": (CLONING,),
}
"""The experiments of each arm."""


@dataclass(frozen=True)
class Claim:
    """`better` does better than `worse` in `metric` (or, with `expected` off, it doesn't)."""

    text: str
    metric: str
    better: dict
    worse: dict
    expected: bool = True
    seeds: int = 24  # the first training seeds, which all arms of the claim have


@dataclass(frozen=True)
class Study:
    question: str
    arms: tuple[str, ...]
    claims: tuple[Claim, ...]


def setting(arm: str, steps: int, candidates: int) -> dict:
    """Column values that select one evaluated setting."""
    return {"arm": arm, "steps": steps, "candidates": candidates}


BOTH = setting("sorl", 8, 32)
STUDIES = {
    "dials": Study(
        question="Do steps and candidates together do what neither does alone?",
        arms=("sorl",),
        claims=(
            *(
                Claim(
                    f"8 steps and the best of 32 succeed more often than {what}",
                    "success",
                    better=BOTH,
                    worse=setting("sorl", *worse),
                )
                for what, worse in (
                    ("1 step and one candidate", (1, 1)),
                    ("8 steps and one candidate", (8, 1)),
                    ("1 step and the best of 32", (1, 32)),
                )
            ),
            Claim(
                "8 steps alone do not succeed more often than 1",
                "success",
                better=setting("sorl", 8, 1),
                worse=setting("sorl", 1, 1),
                expected=False,
            ),
            Claim(
                "with 1 step, the best of 32 does not succeed more often than one candidate",
                "success",
                better=setting("sorl", 1, 32),
                worse=setting("sorl", 1, 1),
                expected=False,
            ),
        ),
    ),
    "verifier": Study(
        question="Is it the values of the candidates that bring the gain?",
        arms=("sorl", "shuffled"),
        claims=(
            Claim(
                "at 8 steps, the best of 32 succeeds more often than with its values shuffled",
                "success",
                better=BOTH,
                worse=setting("shuffled", 8, 32),
            ),
            Claim(
                "with its values shuffled it does not succeed more often than one candidate",
                "success",
                better=setting("shuffled", 8, 32),
                worse=setting("sorl", 8, 1),
                expected=False,
            ),
        ),
    ),
    "cloning": Study(
        question="Does SORL beat behaviour cloning on the same data, and is it the rewards' doing?",
        arms=("sorl", "sorl without rewards", "cloning"),
        claims=(
            Claim(
                "8 steps and the best of 32 reach the goal more often than behaviour cloning",
                "success",
                better=BOTH,
                worse=setting("cloning", 8, 1),
                seeds=8,
            ),
            Claim(
                "with rewards zeroed they do not",
                "success",
                better=setting("sorl without rewards", 8, 32),
                worse=setting("cloning", 8, 1),
                expected=False,
                seeds=8,
            ),
        ),
    ),
}


def run_study(name: str, runs: Path, out: Path) -> None:
    """Trains and evaluates what is missing, and writes `out`/NAME.csv and its manifest entry."""
    study = STUDIES[name]
    experiments = [experiment for arm in study.arms for experiment in ARMS[arm]]
    tables = [run_arm(arm, runs) for arm in study.arms]
    write_csv(pd.concat(tables, ignore_index=True), out / f"{name}.csv")
    add_to_manifest(
        out,
        f"{name}.csv",
        command=command_of("claims", name),
        question=study.question,
        experiments=[experiment.facts() for experiment in experiments],
    )


def run_arm(name: str, runs: Path) -> pd.DataFrame:
    """One arm's episodes: a row per training seed, setting and episode."""
    tables = []
    for experiment in ARMS[name]:
        print(f"{experiment.name}: {len(experiment.seeds)} seeds", flush=True)
        rows = run(experiment, runs / "claims", trainings=runs / "trainings")
        tables.append(rows.assign(arm=name))
    columns = ["episode", "success", "return", "length", "training_seed", "arm", "steps"]
    table = pd.concat(tables, ignore_index=True).rename(columns={"seed": "training_seed"})
    return table[[*columns, "candidates"]]


def statistics(folder: Path | None = None) -> pd.DataFrame:
    """Every claim's paired difference, computed from the episodes in `folder`.

    Returns:
        a row per claim: study, claim, metric, difference, low, high (95%, as
        `evaluation.bounded_interval`, over training seeds), agents, seeds, episodes, expected, and
        holds: whether the interval excludes zero on the better side (or, where no gain is expected,
        doesn't).
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
            gain = found["low"] > 0
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
    studies, runs, out = parse_pieces(arguments, __doc__, STUDIES, "claims", "study")
    for name in studies:
        run_study(name, runs, out)
    print(describe(statistics(out)))


if __name__ == "__main__":
    use_all_cores()
    programs.run(main)
