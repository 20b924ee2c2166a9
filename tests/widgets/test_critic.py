"""CriticExplorer: a pure picture whose numbers are the critic's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu import preset
from sorl_edu.agents.agent import propose
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError
from sorl_edu.widgets.critic import CriticExplorer

ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
SMALL = {"field.hidden": (8,), "encoder.fourier_features": 0}
AGENT = preset("pointmaze", **SMALL, **{"critic.hidden": (8,)})


@pytest.fixture(scope="module")
def states():
    rng = np.random.default_rng(0)
    data = Transitions.create(
        observations=rng.uniform(-6, 26, size=(40, 2)),
        actions=rng.uniform(-1, 1, size=(40, 2)),
        rewards=-np.ones(40),
        masks=np.ones(40),
        terminals=np.arange(40) % 20 == 19,
    )
    return [AGENT.init(key, data) for key in jax.random.split(jax.random.key(0), 2)]


@pytest.fixture(scope="module")
def explorer(states):
    return CriticExplorer(AGENT, states, (100, 200), ENVIRONMENT, steps=(1, 2))


def test_render_is_pure_and_shows_each_parameter(explorer):
    first = pixels(explorer.render(update=100, steps=1))
    other = pixels(explorer.render(update=200, steps=1))
    more = pixels(explorer.render(update=100, steps=2))
    assert np.array_equal(first, pixels(explorer.render(update=100, steps=1)))
    inside = np.s_[60:480, 80:550]  # the maze, no text
    assert not np.array_equal(first[inside], other[inside])
    assert not np.array_equal(first[inside], more[inside])


def test_facts_are_a_fresh_computation(explorer, states):
    for at, update in enumerate((100, 200)):
        for m in (1, 2):
            facts = explorer.facts(update=update, steps=m)
            places = jnp.asarray(explorer.places)
            proposal = propose(AGENT, states[at], places, explorer.key, steps=m, candidates=32)
            values = np.asarray(proposal.q.mean(0))
            assert facts["value_at_start"] == pytest.approx(values[-2], abs=1e-4)
            assert facts["value_at_goal"] == pytest.approx(values[-1], abs=1e-4)
            assert facts["lowest"] == pytest.approx(values[:-2].min(), abs=1e-4)
            assert facts["highest"] == pytest.approx(values[:-2].max(), abs=1e-4)
            action = proposal.actions.mean(0)[-2]
            assert np.allclose(facts["action_at_start"], action, atol=1e-4)
            assert f"{values[-2]:.1f}" in explorer.caption(update=update, steps=m)


def test_one_colour_scale_for_all_frames(explorer):
    limits = {
        explorer.render(update=update, steps=m).axes[0].images[0].get_clim()
        for update in (100, 200)
        for m in (1, 2)
    }
    assert len(limits) == 1


def test_places_are_free_and_end_with_start_and_goal(explorer):
    walls = np.array(explorer.maze.walls)
    cells = np.rint((explorer.places - explorer.maze.origin) / explorer.maze.cell).astype(int)
    assert not walls[cells[:, 1], cells[:, 0]].any()
    assert np.allclose(explorer.places[-2:], [explorer.maze.start, explorer.maze.goal])


def test_a_page_refers_to_nothing_else(explorer):
    text = explorer.to_html(show=False, steps=(1,))
    assert text.count('"caption"') == 2
    assert "http" not in text


def test_arguments_that_cannot_be_drawn_raise_an_error_that_says_why(states):
    for arguments, message in (
        (([], (), ENVIRONMENT), "at least one"),
        ((states, (100,), ENVIRONMENT), "2 states and 1 updates"),
        ((states, (200, 100), ENVIRONMENT), "must rise"),
        ((states, (100, 200), "antmaze-medium-navigate-singletask-v0"), "Use a pointmaze"),
    ):
        with pytest.raises(ConfigError, match=message):
            CriticExplorer(AGENT, *arguments)
    with pytest.raises(ConfigError, match="power of two"):
        CriticExplorer(AGENT, states, (100, 200), ENVIRONMENT, steps=(3,))
    with pytest.raises(ConfigError, match="steps must name at least one"):
        CriticExplorer(AGENT, states, (100, 200), ENVIRONMENT, steps=())
    with pytest.raises(ConfigError, match="update is 300"):
        CriticExplorer(AGENT, states, (100, 200), ENVIRONMENT).render(update=300)


def test_an_agent_without_a_critic_raises_an_error_that_says_why(states):
    data = Transitions.create(
        observations=np.zeros((3, 2)),
        actions=np.zeros((3, 2)),
        rewards=np.zeros(3),
        masks=np.ones(3),
        terminals=[0, 0, 1],
    )
    cloning = preset("pointmaze-bc", **SMALL)
    state = cloning.init(jax.random.key(0), data)
    with pytest.raises(ConfigError, match="no critic"):
        CriticExplorer(cloning, [state], (1,), ENVIRONMENT).render()


def test_its_text_can_be_read_and_its_meanings_told_apart(explorer):
    figure = explorer.render(update=200, steps=1)
    assert not too_faint(figure)
    assert not alike(figure)
