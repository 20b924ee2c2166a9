"""Four imitators on the tightrope: what each one reaches, by slip, resets and expert episodes.

    for each slip p, seed and learner:
        BC                     copy the expert's data
        MM, FILTER, GUITAR     the game of lesson 9, with the method's resets
        J, exactly             # of the policy with the smallest gap, and of the rounds' mixture

J is exact for every policy. Only finite expert data and finite practice are random; then a row's
seed draws them, and `summary` has intervals over seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sorl_edu.datasets.tightrope import Tightrope, empirical
from sorl_edu.evaluation import t_interval
from sorl_edu.finite_mdp import PolicyClass, best_in_class, expected_return, occupancies
from sorl_edu.imitation import (
    ResetMixture,
    behaviour_cloning,
    filter_resets,
    guitar,
    imitate,
    largest_gap,
    moment_matching,
)

LEARNERS: Mapping[str, ResetMixture | None] = {
    "BC": None,  # it doesn't practise
    "MM": moment_matching(),
    "FILTER": filter_resets(),
    "GUITAR": guitar(),
}


def returns(
    world: Tightrope,
    *,
    slips: Sequence[float] | np.ndarray,
    learners: Mapping[str, ResetMixture | None] = LEARNERS,
    expert_episodes: int | None = None,
    warm_start: bool = False,
    practice: int | None = None,
    rounds: int = 50,
    seeds: Sequence[int] = (0,),
) -> pd.DataFrame:
    """J of every learner for every slip and seed.

    Args:
        slips: values of p.
        learners: a reset mixture for each name; None for behaviour cloning.
        expert_episodes: how many episodes of the expert there are; None for its exact law.
        warm_start: begin with behaviour cloning, and not with a walk at random.
        practice, rounds: see `imitation.imitate`.
        seeds: each draws the expert's episodes and the practice. With neither, one is enough.

    Returns:
        a row per (learner, slip, seed) with J; j_mixture, of the mixture of all rounds' policies;
        gap, between that policy and the expert's exact law; optimum, the largest J in the learner's
        class; and expert_j.

    Raises:
        ConfigError: a slip outside [0, 1], or a count below 1.
    """
    law = occupancies(world.mdp, world.expert)
    expert_j = expected_return(world.mdp, world.expert, world.reward)
    rows = []
    for slip, seed in itertools.product(slips, seeds):
        body, offline = world.learner(slip), world.offline(slip)
        optimum = _j(world, body, best_in_class(world.mdp, world.reward, body))
        shown = law
        if expert_episodes is not None:
            shown = world.seen(empirical(world.mdp, world.expert, expert_episodes, seed))
        cloned = behaviour_cloning(body, shown)
        for name, mixture in learners.items():
            decisions, best = cloned[None], cloned
            if mixture is not None:
                game = imitate(
                    world.mdp,
                    body,
                    shown,
                    offline,
                    mixture,
                    rounds=rounds,
                    first=cloned if warm_start else None,
                    practice=practice,
                    seed=seed,
                )
                decisions, best = game.decisions, game.best
            row = {
                "learner": name,
                "slip": slip,
                "seed": seed,
                "j": _j(world, body, best),
                "j_mixture": np.mean([_j(world, body, one) for one in decisions]),
                "gap": largest_gap(law, occupancies(world.mdp, body.policy(best))),
            }
            rows.append(row | {"optimum": optimum, "expert_j": expert_j})
    return pd.DataFrame(rows)


def _j(world: Tightrope, body: PolicyClass, decisions: np.ndarray) -> float:
    return expected_return(world.mdp, body.policy(decisions), world.reward)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Each learner's share of the optimum within its class, for each slip.

    Returns:
        a row per (learner, slip): share, the mean of J / optimum over seeds; low, high (95%, as
        `evaluation.t_interval`; NaN for one seed); seeds.
    """
    summaries = []
    for (name, slip), cell in rows.groupby(["learner", "slip"], sort=False):
        shares = cell.j / cell.optimum
        summaries.append((name, slip, shares.mean(), *t_interval(shares), len(shares)))
    return pd.DataFrame(summaries, columns=["learner", "slip", "share", "low", "high", "seeds"])
