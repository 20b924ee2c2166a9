"""The steps x N surface shows the given table, and the cost of each setting."""

import numpy as np
import pandas as pd
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu.errors import ConfigError
from sorl_edu.widgets import ScalingExplorer


def episodes(steps=(1, 2), candidates=(1, 4), seeds=3):
    """Success is 0.2 with one candidate and 0.8 with more, whatever the steps."""
    rows = [
        dict(training_seed=s, steps=m, candidates=n, episode=e, success=float(e < 2 + 6 * (n > 1)))
        for s in range(seeds)
        for m in steps
        for n in candidates
        for e in range(10)
    ]
    table = pd.DataFrame(rows)
    return table.assign(length=1000 - 800 * table.success, **{"return": -1.0})


MILLISECONDS = pd.DataFrame(
    {"steps": [1, 1, 2, 2], "candidates": [1, 4, 1, 4], "milliseconds": [0.1, 0.2, 0.3, 0.4]}
)


@pytest.fixture(scope="module")
def explorer():
    return ScalingExplorer(episodes(), MILLISECONDS)


def test_facts_are_the_numbers_of_the_table(explorer):
    facts = explorer.frame(steps=2, candidates=4).facts
    assert facts["value"] == pytest.approx(0.8)
    assert facts["cost"] == 4 * 2 + 4 * 2  # 8 through the field, 4 through each of two critics
    assert explorer.frame(steps=2, candidates=1).facts["cost"] == 2
    assert explorer.frame(cost="milliseconds", steps=2).facts["cost"] == 0.3
    length = explorer.frame(metric="length", candidates=4).facts
    assert length["value"] == pytest.approx(1000 - 800 * 0.8)


def test_the_front_has_no_setting_that_costs_more_without_being_better(explorer):
    front = explorer.front("success", "network evaluations")
    assert list(front.index) == [(1, 1), (1, 4)]
    front = explorer.front("length", "network evaluations")
    assert list(front.index) == [(1, 1), (1, 4)]


def test_every_parameter_changes_the_picture(explorer):
    def drawn(**setting):
        return pixels(explorer.render(**setting))

    base = drawn()
    np.testing.assert_array_equal(base, drawn())
    for change in (
        dict(steps=2),
        dict(candidates=4),
        dict(metric="length"),
        dict(cost="milliseconds"),
    ):
        other = drawn(**change)
        assert other.shape == base.shape
        assert (base != other).any(), change


def test_an_incomplete_table_raises_an_error_that_says_why():
    whole = episodes()
    with pytest.raises(ConfigError, match="lack length"):
        ScalingExplorer(whole.drop(columns="length"))
    with pytest.raises(ConfigError, match="grid of 4 settings"):
        ScalingExplorer(whole[(whole.steps == 1) | (whole.candidates == 1)])
    with pytest.raises(ConfigError, match="no milliseconds for"):
        ScalingExplorer(whole, MILLISECONDS[:3])


def test_its_text_can_be_read_and_its_meanings_told_apart(explorer):
    figure = explorer.render(steps=2, candidates=4)
    assert not too_faint(figure)
    assert not alike(figure)
