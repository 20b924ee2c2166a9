"""TightropeExplorer: its numbers are the learners', and its picture follows its controls."""

import json

import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint, without_words

from sorl_edu.datasets.tightrope import Tightrope
from sorl_edu.errors import ConfigError
from sorl_edu.finite_mdp import best_in_class, expected_return, occupancies
from sorl_edu.imitation import behaviour_cloning, guitar, imitate, moment_matching
from sorl_edu.widgets import TightropeExplorer

WORLD = Tightrope(bridge=3, horizon=40)
OPTIONS = {"slips": (0.0, 0.4), "shares": (0.0, 0.5), "practice": 100, "rounds": 4}


@pytest.fixture(scope="module")
def explorer():
    return TightropeExplorer(WORLD, **OPTIONS)


def facts(explorer, **changes):
    return explorer.frame(**changes).facts


def test_its_returns_are_those_of_the_learners(explorer):
    slip, expert = 0.4, occupancies(WORLD.mdp, WORLD.expert)
    body = WORLD.learner(slip)
    cloned = behaviour_cloning(body, expert)

    def j(decisions):
        return expected_return(WORLD.mdp, body.policy(decisions), WORLD.reward)

    def game(mixture, first):
        options = {"rounds": 4, "practice": 100, "seed": 0, "first": first}
        offline = WORLD.offline(slip)
        return imitate(WORLD.mdp, body, expert, offline, mixture, **options)

    found = facts(explorer, slip=slip, start="a clone")
    assert found["BC"]["j"] == j(cloned)
    assert found["GUITAR"]["j"] == j(game(guitar(), cloned).best)
    assert found["optimum"] == j(best_in_class(WORLD.mdp, WORLD.reward, body))
    walked = facts(explorer, slip=slip, start="a walk at random")
    assert walked["MM"]["j"] == j(game(moment_matching(), None).best)
    assert walked["BC"] == found["BC"]
    assert json.loads(json.dumps(found)) == found


def test_without_offline_states_guitar_is_filter(explorer):
    found = facts(explorer, slip=0.4, offline=0.0)
    assert found["GUITAR"] == found["FILTER"]
    mixed = facts(explorer, slip=0.4, offline=0.5)
    assert mixed["FILTER"] == found["FILTER"]
    assert mixed["GUITAR"]["j"] > 2 * mixed["FILTER"]["j"]
    assert mixed["GUITAR"]["on the road"] > 1 > mixed["FILTER"]["on the road"]


def test_without_a_slip_nobody_falls(explorer):
    found = facts(explorer, slip=0.0)
    for name in ("BC", "FILTER"):
        assert found[name]["j"] == pytest.approx(found["optimum"])
        assert found[name]["in a pit"] == 0
    assert "0 of 8 episodes fall" in explorer.frame(slip=0.0).caption


def test_practice_is_where_the_method_practises(explorer):
    setting = explorer.setting(slip=0.4)
    explorer.render(**setting)
    learned = explorer._results(**setting)
    laws = {name: found.shown.practice for name, found in learned.items()}
    assert laws.pop("BC") is None
    for law in laws.values():
        assert law.sum() == pytest.approx(1)
    expert = occupancies(WORLD.mdp, WORLD.expert).sum((0, 2)) / WORLD.horizon
    offline = WORLD.offline(0.4).sum((0, 2)) / WORLD.horizon
    np.testing.assert_allclose(laws["FILTER"], expert)
    np.testing.assert_allclose(laws["GUITAR"], (expert + offline) / 2)
    assert laws["MM"][WORLD.pits].sum() > 0.05


def test_the_picture_follows_each_control_and_is_the_same_each_time(explorer):
    first = pixels(explorer.render(slip=0.4))
    assert np.array_equal(first, pixels(TightropeExplorer(WORLD, **OPTIONS).render(slip=0.4)))
    for change in ({"slip": 0.0}, {"offline": 0.0}, {"start": "a walk at random"}):
        assert not np.array_equal(first, pixels(explorer.render(**{"slip": 0.4} | change)))


def test_its_words_can_be_read(explorer):
    figure = explorer.render(slip=0.4)
    assert not too_faint(figure) and not alike(figure)
    assert not without_words(explorer.frame(slip=0.4).caption)


def test_a_page_has_all_of_it(explorer):
    page = explorer.to_html(show=False, start="a clone")
    assert page.count("data:image/webp") == 4 and "GUITAR&#x27;s resets" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slips": (1.5,)}, "slips must be in"),
        ({"shares": (-0.1,)}, "shares must be in"),
        ({"slips": ()}, "at least one"),
        ({"practice": 0}, "at least 1"),
        ({"rounds": 0}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TightropeExplorer(WORLD, **options)
