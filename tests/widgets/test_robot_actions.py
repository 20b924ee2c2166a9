"""RobotActionsExplorer: a pure picture of an agent's own proposals, in more than two dimensions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TINY, pixels

from sorl_edu.agents.agent import propose
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.plotting.style import ORANGE, spread
from sorl_edu.widgets import RobotActionsExplorer
from sorl_edu.widgets.frame import figure_html

DIMENSIONS = ("x", "y", "gripper")
SETTINGS = dict(dimensions=DIMENSIONS, steps=(1, 2), candidates=(1, 4), samples=20)
PLACES = {"start": np.array([0.1, -0.2], np.float32), "grasp": np.array([0.5, 0.3], np.float32)}
PICTURES = {"grasp": np.full((8, 8, 3), (200, 30, 90), np.uint8)}


def trained(agent):
    rng = np.random.default_rng(0)
    data = Transitions.create(
        observations=rng.normal(size=(40, 2)),
        actions=rng.uniform(-1, 1, size=(40, 3)),
        rewards=-np.ones(40),
        masks=np.ones(40),
        terminals=np.arange(40) % 20 == 19,
    )
    return agent.init(jax.random.key(0), data)


@pytest.fixture(scope="module")
def state():
    return trained(TINY)


@pytest.fixture(scope="module")
def explorer(state):
    return RobotActionsExplorer(TINY, state, PLACES, pictures=PICTURES, **SETTINGS)


@pytest.mark.parametrize(("steps", "candidates"), [(1, 4), (2, 1)])
def test_the_numbers_on_display_are_a_fresh_proposal(explorer, state, steps, candidates):
    setting = dict(place="grasp", steps=steps, candidates=candidates)
    frame = explorer.frame(**setting)
    obs = jnp.broadcast_to(PLACES["grasp"], (20, 2))
    fresh = propose(TINY, state, obs, jax.random.key(0), steps=steps, candidates=4)
    actions, q = np.asarray(fresh.actions)[:candidates], np.asarray(fresh.q)[:candidates]
    np.testing.assert_allclose(frame.facts["actions"], actions[:, 0], atol=1e-5)
    np.testing.assert_allclose(frame.facts["q"], q[:, 0], rtol=1e-4)
    assert frame.facts["chosen"] == q[:, 0].argmax()
    chosen = actions[q.argmax(0), np.arange(20)]
    assert frame.facts["spread"] == pytest.approx(spread(chosen), abs=1e-5)
    assert f"number {frame.facts['chosen'] + 1} is chosen" in frame.caption
    assert "moment 'grasp'" in frame.caption and "(x, y, gripper)" in frame.caption


def test_each_candidate_is_a_dot_in_every_dimension_as_high_as_its_value(explorer):
    figure = explorer.render(place="grasp", steps=2, candidates=4)
    facts = explorer.facts(place="grasp", steps=2, candidates=4)
    dots, ring = (c.get_offsets() for c in figure.axes[1].collections)
    zeros = figure.axes[1].get_xticks()[1::3]
    for i, zero in enumerate(zeros):
        np.testing.assert_allclose(
            dots[i :: len(zeros), 0] - zero, np.array(facts["actions"])[:, i]
        )
        np.testing.assert_allclose(dots[i :: len(zeros), 1], facts["q"])
    np.testing.assert_allclose(ring[:, 0] - zeros, facts["actions"][facts["chosen"]], atol=1e-5)
    assert set(ring[:, 1]) == {max(facts["q"])}


def test_the_densities_are_those_of_all_draws_and_of_the_chosen_ones(explorer, state):
    figure = explorer.render(place="grasp", steps=2, candidates=4)
    obs = jnp.broadcast_to(PLACES["grasp"], (20, 2))
    drawn = {m: propose(TINY, state, obs, explorer.key, steps=m, candidates=4) for m in (1, 2)}
    expected = [drawn[2].actions.reshape(-1, 3), drawn[1].actions.reshape(-1, 3), drawn[2].action]
    patches = figure.axes[2].patches  # three dimensions of each
    for patch, actions in zip(patches[::3], expected, strict=True):
        heights, edges, _ = patch.get_data()
        counts, _ = np.histogram(actions[:, 0], edges)
        np.testing.assert_allclose(heights / heights.sum(), counts / counts.sum(), atol=1e-6)
    assert max(patch.get_data().values.max() for patch in patches[::3]) == pytest.approx(1)


def test_rendering_is_pure_and_every_parameter_changes_the_picture(explorer):
    base = pixels(explorer.render(place="grasp", steps=2, candidates=4))
    again = RobotActionsExplorer(TINY, explorer.state, PLACES, pictures=PICTURES, **SETTINGS)
    np.testing.assert_array_equal(base, pixels(again.render(place="grasp", steps=2, candidates=4)))
    for change in (dict(steps=1), dict(candidates=1), dict(place="start")):
        other = pixels(explorer.render(**dict(place="grasp", steps=2, candidates=4) | change))
        assert (base != other).mean() > 0.001, change
    photo = (base[..., :3] == PICTURES["grasp"][0, 0]).all(-1)
    start = pixels(explorer.render(place="start"))
    assert photo.mean() > 0.05 and not (start[..., :3] == PICTURES["grasp"][0, 0]).all(-1).any()
    ring = np.array([int(ORANGE[i : i + 2], 16) for i in (1, 3, 5)])
    assert (base[..., :3] == ring).all(-1).sum() > 20


def test_an_agent_without_a_critic_shows_one_candidate():
    cloning = preset("robots-small-bc", **{"field.hidden": (8,)})
    alone = SETTINGS | {"candidates": (1,)}
    explorer = RobotActionsExplorer(cloning, trained(cloning), PLACES, **alone)
    assert explorer.frame(steps=2).facts["q"] is None
    with pytest.raises(ConfigError, match="no critic to choose among 4"):
        RobotActionsExplorer(cloning, explorer.state, PLACES, **SETTINGS).frame()


def test_bad_arguments_raise_an_error_before_any_work(state):
    def make(places=PLACES, **changes):
        RobotActionsExplorer(TINY, state, places, **SETTINGS | changes)

    with pytest.raises(ConfigError, match="2 names for 3 dimensions"):
        make(dimensions=("x", "y"))
    with pytest.raises(ConfigError, match="'short' has 1 numbers; the agent sees 2"):
        make({"short": np.zeros(1, np.float32)})
    with pytest.raises(ConfigError, match="pictures of carry"):
        make(pictures={"carry": PICTURES["grasp"]})
    with pytest.raises(ConfigError, match="at least one value"):
        make({})
    with pytest.raises(ConfigError, match="power of two"):
        make(steps=(3,))


def test_in_a_dark_theme_the_photograph_keeps_its_colours(explorer):
    """A pane lies over it, and over nothing else."""
    for place, panes in (("grasp", 1), ("start", 0)):  # one has a picture
        frame = explorer.frame(place=place, steps=2)
        for text in (explorer.to_html(show=False, place=place, steps=2), figure_html("", frame)):
            assert text.count('<div class="sorl-photograph"') == panes
    assert explorer.frame(place="grasp").photograph.place(3.5, 3.5)[0] < 25  # its middle
    both = explorer.to_html(show=False, steps=2, candidates=1)
    assert '<div class="sorl-photograph"' not in both


def test_a_page_refers_to_nothing_else(explorer):
    text = explorer.to_html(show=False, place="grasp", steps=2)
    assert text.count('"caption"') == 2
    assert "http" not in text
