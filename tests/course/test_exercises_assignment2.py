"""Assignment 2's checks: right answers in other forms, blanks, and answers that are no agent."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import TINY
from scipy import stats

from sorl_edu.agents import SORL
from sorl_edu.course.exercises import agent_training
from sorl_edu.course.exercises import assignment2 as exercises
from sorl_edu.evaluation import paired_difference
from sorl_edu.inference import best_of_n, score
from sorl_edu.temporal_difference import aggregate, td_target


def row_by_row(critic, batch, candidates, discount, kappa):
    """A candidate at a time, with no reshaping at all."""
    values = [
        exercises.pessimistic.solution(critic(batch.next_observations, one), kappa)
        for one in candidates
    ]
    y = batch.rewards + discount**batch.horizons * batch.masks * jnp.stack(values).max(0)
    return jax.lax.stop_gradient(y)


def with_the_librarys(critic, batch, candidates, discount, kappa):
    """The library's functions on an ensemble of one: the pessimistic value."""

    def value(obs, actions):
        return exercises.pessimistic.solution(critic(obs, actions), kappa)

    q = score(value, batch.next_observations, candidates)
    chosen = best_of_n(candidates, q)
    return td_target(lambda *inputs: value(*inputs)[None], batch, chosen, discount=discount)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "exercise, answer",
    [
        (exercises.best_of_n_target, row_by_row),
        (exercises.best_of_n_target, with_the_librarys),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    feedback = exercise(answer, seed=seed)
    assert feedback.status == "right", feedback


def test_with_two_critics_and_kappa_one_pessimism_is_the_minimum():
    q = jax.random.normal(jax.random.key(0), (2, 50))
    pessimistic = exercises.pessimistic.solution(q, 1.0)
    np.testing.assert_allclose(pessimistic, aggregate(q, "min"), atol=1e-6)


def test_the_interval_is_the_librarys():
    ours, theirs, _ = exercises.difference.cases(jax.random.key(0))[0]
    rows = [
        {"training_seed": s, "episode": e, "agent": name, "success": float(table[s, e])}
        for name, table in (("ours", ours), ("theirs", theirs))
        for s in range(len(table))
        for e in range(table.shape[1])
    ]
    found = paired_difference(
        pd.DataFrame(rows), "success", better={"agent": "ours"}, worse={"agent": "theirs"}
    )
    weights = np.random.default_rng(1).dirichlet(np.ones(len(ours) + 1), 200_000)
    mean, low, high = exercises.difference.solution(ours, theirs, weights)
    np.testing.assert_allclose(
        [mean, low, high], [found["difference"], found["low"], found["high"]], atol=0.005
    )


def test_the_interval_of_seeds_that_agree_is_the_exact_one():
    """Of S seeds that all differ by 1: the lower end is that of a rate, moved to [-1, 1]."""
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 200_000)
    mean, low, high = exercises.difference.solution(np.ones((3, 5)), np.zeros((3, 5)), weights)
    exact = stats.binomtest(3, 3).proportion_ci().low  # Clopper and Pearson
    assert mean == 1 and high == pytest.approx(1)
    assert low == pytest.approx(2 * exact - 1, abs=0.01)


@dataclass(frozen=True)
class Blank(SORL):
    backup_candidates: int = ...
    kappa: float = ...

    def td_target(self, state, batch, key, *, steps):
        ...
        return ...


def test_a_blank_agent_is_reported_as_blank():
    feedback = exercises.learned(Blank)
    assert feedback.status == "empty" and "`Blank`" in feedback.text


def test_an_answer_that_makes_something_else_is_refused_before_training():
    feedback = exercises.learned(lambda **hyperparameters: 3)
    assert feedback.status == "wrong" and "a kind of SORL" in feedback.text


def agent_with(method):
    """The class of a student whose td_target is a function with the arguments of A2.2's."""

    @dataclass(frozen=True)
    class Mine(SORL):
        backup_candidates: int = 3
        kappa: float = 0.5

        def td_target(self, state, batch, key, *, steps):
            params, obs = state.field.params, batch.next_observations
            keys = jax.random.split(key, self.backup_candidates)
            candidates = jax.vmap(lambda k: self.sample(state, params, obs, k, steps=steps))(keys)
            critic = self.q(state.critic.target, steps)
            return method(critic, batch, candidates, self.discount, self.kappa)

    return Mine


@dataclass(frozen=True)
class Unchanged(SORL):
    """SORL's own target, which reaches the goal in this maze."""

    backup_candidates: int = 4
    kappa: float = 0.5


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(
        agent_training, "train_seeds", lambda *a, **k: pytest.fail("it was trained")
    )


USUAL = (
    "SORL's own target",
    "one candidate, or the average of all",
    "bootstrapping through the end",
    "mask reversed",
    "discounted once",
)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(known, marks=() if known.name in USUAL else pytest.mark.goals, id=known.name)
        for known in exercises.TARGET_MISCONCEPTIONS
    ],
)
def test_a_wrong_target_is_named_and_not_trained(known, no_training):
    feedback = exercises.learned(agent_with(known.answer))
    assert (feedback.status, feedback.misconception) == ("wrong", known.name)
    assert known.message in feedback.text and not feedback.values


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Unchanged, "SORL's own, with one action"),
        (SORL, "no field backup_candidates"),
        (lambda **given: Unchanged(**given, backup_candidates=1), "must be from 2 to 64"),
    ],
)
def test_sorl_itself_earns_nothing(answer, said, no_training):
    feedback = exercises.learned(answer)
    assert feedback.status == "wrong" and said in feedback.text


def handing_back(targets, arrays=()):
    """What a grader gets from another process: it sees what an answer produced, and no answer."""
    chosen = np.array([3, 0.5], np.float32)
    return lambda *case, probe, **_: (
        (chosen, targets) if probe is agent_training.rehearse else arrays
    )


def test_the_grader_compares_the_targets_too():
    targets = exercises._known_targets(exercises.TARGET_MISCONCEPTIONS[2].answer, 3, 0.5)
    feedback = exercises.learned.examine(handing_back(targets), 0)
    assert feedback.status == "wrong" and "after the task has ended" in feedback.text


def test_networks_of_another_size_are_not_evaluated():
    targets = exercises._known_targets(exercises.best_of_n_target.solution, 3, 0.5)
    feedback = exercises.learned.examine(handing_back(targets, [np.zeros((2, 2))]), 0)
    assert feedback.status == "wrong" and "other shapes" in feedback.text


@pytest.mark.thorough
def test_a_short_training_is_measured_in_the_maze(monkeypatch):
    for module in (exercises, agent_training):
        monkeypatch.setattr(module, "hyperparameters", lambda: dict(vars(TINY)))
    monkeypatch.setattr(exercises, "STARTS", 4)
    right = agent_with(exercises.best_of_n_target.solution)
    feedback = replace(exercises.learned, size=20, runs=2)(right)
    assert len(feedback.values) == 2 and "over 2 seeds" in feedback.text, feedback
