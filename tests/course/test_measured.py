"""A measured exercise: goal, halfway, not yet; any outputs get feedback in words."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.course.exercises.attempt import Other, Stopped
from sorl_edu.course.exercises.exercise import Misconception, named
from sorl_edu.course.exercises.measured import Measured, tree_like
from sorl_edu.errors import DataError
from sorl_edu.evaluation import t_interval


def measure(ask, seeds, size):
    return [tree_like(ask(jax.random.key(seed)), jnp.zeros(2)).mean() for seed in seeds]


def measured(**settings):
    return Measured(number="9.9", measure=measure, quantity="mean", size=1, **settings)


HIGHER = measured(goal=1.0, baseline=0.5, runs=4)
LOWER = measured(goal=-1.0, baseline=-0.5, better="lower", runs=4)


def around(mean, spread):
    """An answer whose runs differ a little from seed to seed."""
    return lambda key: mean + spread * jax.random.normal(key, (2,))


@pytest.mark.parametrize(
    "mean, spread, status, share",
    [
        (1.2, 0.01, "right", 1.0),
        (0.8, 0.01, "partly", 0.5),
        (0.8, 1.0, "wrong", 0.0),  # better than the baseline, and not beyond doubt
        (0.4, 0.01, "wrong", 0.0),
    ],
)
@pytest.mark.parametrize("check, sign", [(HIGHER, 1), (LOWER, -1)], ids=["higher", "lower"])
def test_the_mean_reaches_the_goal_or_the_interval_excludes_the_baseline(
    check, sign, mean, spread, status, share
):
    feedback = check(around(sign * mean, spread), seed=1)
    assert (feedback.status, feedback.share) == (status, share), feedback
    assert bool(feedback) == (status == "right")
    assert len(feedback.values) == 4
    low, high = t_interval(feedback.values)
    assert f"{np.mean(feedback.values):.3g}, 95% interval [{low:.3g}, {high:.3g}]" in feedback.text
    assert "over 4 seeds" in feedback.text


def test_a_mean_that_is_the_goal_but_for_rounding_reaches_it():
    check = measured(goal=0.8, baseline=0.5)
    assert np.mean([1, 0.4, 1]) < 0.8
    made = iter((1, 0.4, 1))
    assert check(lambda key: np.full(2, next(made))).status == "right"


def test_the_runs_seeds_follow_from_the_checks_seed():
    assert HIGHER(around(0.8, 0.3), seed=1).values == HIGHER(around(0.8, 0.3), seed=1).values
    assert not set(HIGHER.seeds(1)) & set(HIGHER.seeds(2))
    assert len(set(HIGHER.seeds(0))) == 4


def test_the_description_for_instructors_has_the_goal_and_the_baseline():
    assert "over 4 seeds: a mean of at least 1 earns all" in HIGHER.describe()
    assert "at most -1" in LOWER.describe() and "excludes -0.5" in LOWER.describe()


KNOWN = Misconception("no noise", "your answer ignores its key.", lambda key: jnp.ones(2))


def test_a_usual_mistake_that_is_found_on_the_way_is_named():
    def objects(ask, seeds, size):
        raise Stopped(named(KNOWN))

    check = replace(HIGHER, measure=objects, misconceptions=(KNOWN,))
    feedback = check(around(1.2, 0.01))
    assert (feedback.status, feedback.misconception) == ("wrong", "no noise")
    assert feedback.text == "A usual mistake (no noise): your answer ignores its key."
    assert check.describe().endswith("- *no noise*: your answer ignores its key.")


def test_a_blank_is_reported_and_an_error_is_explained():
    assert HIGHER(lambda key: ...).status == "empty"
    assert "KeyError" in HIGHER(lambda key: {}["no"]).text
    assert HIGHER(None).status == "wrong"


@pytest.mark.parametrize(
    "given, said",
    [
        (np.zeros(3), "other shapes"),
        ([], "other shapes"),
        ([np.zeros(2), np.zeros(2)], "other shapes"),
        (np.array(["a", "b"]), "can't be measured"),
        (Other("Thing"), "can't be measured"),
        ({1: np.zeros(2), "one": np.zeros(2)}, "can't be measured"),
        (np.array([1.0, np.nan]), "NaN or infinite"),
    ],
)
def test_outputs_may_be_anything(given, said):
    feedback = HIGHER.examine(lambda *case: given, 0)
    assert feedback.status == "wrong" and said in feedback.text and not feedback.values


def test_a_tree_is_restored_from_its_leaves():
    like = {"b": jnp.zeros((2, 1)), "a": (jnp.zeros(3, jnp.int32), jnp.zeros(()))}
    made = jax.tree.map(lambda leaf: np.asarray(leaf + 1), like)
    for given in (made, jax.tree.leaves(made)):
        jax.tree.map(np.testing.assert_array_equal, tree_like(given, like), made)
    with pytest.raises(DataError):
        tree_like(jax.tree.leaves(made)[::-1], like)
