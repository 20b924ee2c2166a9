"""PolicyExtractionExplorer: each half shows its method at its knob, with that method's numbers."""

import jax
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu.agents.agent import act
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.plotting.mazes import Trajectories
from sorl_edu.plotting.style import spread
from sorl_edu.widgets import KnobValue, PolicyExtractionExplorer

MAZE = "pointmaze-medium-navigate-singletask-v0"
PLACE = {"here": (0.0, 0.0), "there": (8.0, 8.0)}


def knob_value(name, label, seed, arrivals=3, **options):
    """An agent that has learned nothing, and four made-up episodes."""
    agent = preset(f"{name}/pointmaze")
    state = agent.init(jax.random.key(seed), random_transitions(2, 2, rows=100))
    positions = np.linspace((0, 0), (8, seed), 5)[None].repeat(4, 0)
    episodes = Trajectories(positions, np.arange(4) < arrivals)
    return KnobValue(label, agent, state, episodes=episodes, **options)


@pytest.fixture(scope="module")
def methods():
    fql = [knob_value("fql", f"alpha = {a}", s, a, candidates=2) for s, a in ((1, 3), (2, 1))]
    return {"FQL": fql, "ReBRAC": [knob_value("rebrac", "alpha = 0.1", 3, 2)]}


@pytest.fixture(scope="module")
def explorer(methods):
    return PolicyExtractionExplorer(methods, MAZE, places=PLACE)


def test_each_half_shows_its_method(explorer):
    first = pixels(explorer.render(place="here"))
    assert np.array_equal(first, pixels(explorer.render(place="here")))
    middle = first.shape[1] // 2
    turned = pixels(explorer.render(place="here", left_knob=2))
    assert not np.array_equal(turned[:, :middle], first[:, :middle])
    assert np.array_equal(turned[:, middle:], first[:, middle:])
    same = pixels(explorer.render(place="here", right="FQL"))
    assert not np.array_equal(same[:, middle:], first[:, middle:])


def test_facts_are_those_of_the_agents_actions(explorer, methods):
    explorer.render(place="there", left_knob=2)
    facts = explorer.facts(**explorer.setting(place="there", left_knob=2))
    for side, value in (("left", methods["FQL"][1]), ("right", methods["ReBRAC"][0])):
        obs = np.tile(np.float32(PLACE["there"]), (300, 1))
        options = {"steps": value.steps, "candidates": value.candidates}
        actions = act(value.agent, value.state, obs, explorer.key, **options)
        np.testing.assert_allclose(facts[side]["mean"], actions.mean(0), atol=1e-5)
        assert facts[side]["spread"] == pytest.approx(spread(np.asarray(actions)), abs=1e-5)
        assert facts[side]["knob"] == value.label
        assert facts[side]["success"] == value.episodes.success.mean()
    caption = explorer.caption(**explorer.setting(place="there", left_knob=2))
    assert "FQL with alpha = 1" in caption and "1 of 4 episodes arrive" in caption


def test_a_method_with_fewer_values_stays_at_its_last(explorer, methods):
    assert explorer.value("ReBRAC", 2) is methods["ReBRAC"][0]
    one, other = (explorer.setting(place="here", right_knob=k) for k in (1, 2))
    first, second = (pixels(explorer.render(**setting)) for setting in (one, other))
    below = len(first) // 6  # what is above says where the slider is
    assert np.array_equal(first[below:], second[below:])
    assert explorer.facts(**one) == explorer.facts(**other)


def test_each_half_says_where_its_slider_is(explorer):
    shown = explorer.render(place="here", left_knob=2, right_knob=2)
    words = [text.get_text() for text in shown.texts]
    assert "value 2 of 2" in words and "slider at 2; ReBRAC has 1 value" in words


def test_episodes_that_are_not_given_are_run(methods):
    value = methods["ReBRAC"][0]
    fresh = KnobValue("alpha = 0.1", value.agent, value.state)
    explorer = PolicyExtractionExplorer(
        {"one": [fresh], "other": [value]}, MAZE, places={"here": (0.0, 0.0)}
    )
    explorer.render()
    facts = explorer.facts(**explorer.setting())
    assert facts["left"]["success"] in np.arange(9) / 8 and facts["right"]["success"] == 0.5


def test_its_words_can_be_read(explorer):
    figure = explorer.render(place="here")
    assert not too_faint(figure) and not alike(figure)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"FQL": m["FQL"]}, "compares two methods, and there is 1"),
        (lambda m: m | {"FQL": []}, "FQL has no value of its knob"),
    ],
)
def test_what_it_cannot_compare_is_refused(methods, change, message):
    with pytest.raises(ConfigError, match=message):
        PolicyExtractionExplorer(change(methods), MAZE)


def test_actions_of_another_width_are_refused(methods):
    agent = preset("bc/pointmaze")
    state = agent.init(jax.random.key(0), random_transitions(2, 3, rows=100))
    with pytest.raises(ConfigError, match="BC's are 3-D"):
        PolicyExtractionExplorer(methods | {"BC": [KnobValue("", agent, state)]}, MAZE)
