"""ReturnDistributionExplorer shows what the agent with the same dials would draw, choose and do."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu.agents import with_dials
from sorl_edu.agents.agent import propose
from sorl_edu.agents.presets import preset
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.environments.make import PhysicsState
from sorl_edu.environments.rollout import rollout
from sorl_edu.errors import ConfigError
from sorl_edu.widgets import ReturnDistributionExplorer
from sorl_edu.widgets.return_distribution import LENGTH, WALKS

MAZE = "pointmaze-medium-navigate-singletask-v0"
PLACES = {"here": (0.0, 0.0), "there": (12.0, 8.0)}
STEPS = 2
SMALL = {"policy.hidden": (8,), "critic.hidden": (8,), "value_steps": 1, "return_samples": 4}


@pytest.fixture(scope="module")
def agent():
    """An agent that has learned nothing, and its state."""
    agent = preset("evor/pointmaze", **SMALL)
    state = jax.jit(agent.init)(jax.random.key(0), random_transitions(2, 2, rows=100))
    return agent, state.replace(bounds=jnp.array([-1.0, 1.0]))  # wide enough to limit nothing


@pytest.fixture(scope="module")
def explorer(agent):
    return ReturnDistributionExplorer(*agent, MAZE, places=PLACES, steps=STEPS, candidates=(1, 4))


def facts_at(explorer, **changes):
    explorer.render(**changes)
    return explorer.facts(**explorer.setting(**changes))


@pytest.mark.parametrize(("tau_r", "tau_q"), [(math.inf, 0.0), (0.1, 0.01), (0.0, 0.1)])
def test_it_chooses_as_the_agent_with_these_dials_does(explorer, agent, tau_r, tau_q):
    facts = facts_at(
        explorer, place="there", return_temperature=tau_r, choice_temperature=tau_q, candidates=4
    )
    turned = with_dials(agent[0], return_temperature=tau_r, choice_temperature=tau_q)
    obs = np.tile(np.float32(PLACES["there"]), (WALKS, 1))
    drawn = propose(turned, agent[1], obs, explorer.key, steps=STEPS, candidates=4)
    np.testing.assert_allclose(facts["actions"], drawn.actions[:, 0], atol=1e-6)
    np.testing.assert_allclose(facts["values"], drawn.q[:, 0], atol=1e-6)
    assert facts["chosen"] == drawn.chosen[0]
    q = np.asarray(drawn.q[:, 0], float)
    weights = np.exp((q - q.max()) / tau_q) if tau_q else np.eye(4)[q.argmax()]
    np.testing.assert_allclose(facts["probabilities"], weights / weights.sum(), atol=1e-4)
    json.dumps(facts, allow_nan=False)


def test_the_walks_are_those_of_the_agent_with_these_dials(explorer, agent):
    dials = {"return_temperature": 0.0, "choice_temperature": 0.01}
    explorer.render(place="there", candidates=4, **dials)
    walks = explorer._walks["there", 4, 0.0, 0.01]
    turned = with_dials(agent[0], **dials)
    starts = [PhysicsState(np.array(PLACES["there"]), np.zeros(2))] * WALKS
    _, recording = rollout(
        lambda obs, key: propose(turned, agent[1], obs, key, steps=STEPS, candidates=4),
        MAZE, episodes=WALKS, starts=starts, limit=LENGTH, record=True,
    )  # fmt: skip
    np.testing.assert_allclose(walks.positions, recording.observations[..., :2], atol=1e-4)
    facts = explorer.facts(**explorer.setting(place="there", candidates=4, **dials))
    ends = [tuple(np.rint(path[-1] / 4)) for path in walks.positions]
    assert facts["arrived"] == 0 and (set(ends) != {(3, 2)}) == (facts["cells_nearer"] != 0)


def test_a_temperature_reads_the_same_returns_and_asks_no_network(explorer, monkeypatch):
    explorer.render(place="here", candidates=1)
    monkeypatch.setattr("sorl_edu.widgets.return_distribution._candidates", None)  # would fail
    monkeypatch.setattr("sorl_edu.widgets.return_distribution._returns", None)
    mean, largest = (
        facts_at(explorer, place="here", candidates=1, return_temperature=tau_r)
        for tau_r in (math.inf, 0.0)
    )
    assert mean["returns"] == largest["returns"] == [sorted(mean["returns"][0])]
    assert mean["values"] == pytest.approx([np.mean(mean["returns"])])
    assert largest["values"] == [np.max(mean["returns"])]


def test_rendering_is_pure_and_every_parameter_changes_the_picture(explorer):
    base = dict(place="there", return_temperature=0.1, choice_temperature=0.01, candidates=4)
    first = pixels(explorer.render(**base))
    assert np.array_equal(first, pixels(explorer.render(**base)))
    for change in (
        dict(place="here"),
        dict(return_temperature=0.0),
        dict(choice_temperature=0.0),
        dict(candidates=1),
    ):
        assert (first != pixels(explorer.render(**base | change))).mean() > 0.001, change


def test_its_words_say_what_it_shows_and_can_be_read(explorer):
    setting = explorer.setting(place="there", return_temperature=math.inf, candidates=4)
    figure = explorer.render(**setting)
    facts, caption = explorer.facts(**setting), explorer.caption(**setting)
    assert f"number {facts['chosen'] + 1} is chosen" in caption
    assert f"with read-out {max(facts['values']):.3f} and probability 1.00" in caption
    assert "At (12.0, 8.0) m, tau_R = inf (mean), tau_Q = 0 (best), N = 4 candidates" in caption
    assert not too_faint(figure) and not alike(figure)


def test_the_page_of_its_own(explorer):
    kept = {"place": "there", "choice_temperature": 0.01, "candidates": 4}
    text = explorer.to_html(show=False, **kept)
    assert all(name in text for name in ("inf (mean)", "0 (largest)", "read-out tau_R"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": {"wall": (8.0, 0.0)}}, "'wall' is in a wall"),
        ({"return_temperatures": (-1.0,)}, r"return_temperature must be in \[0, inf\], got -1"),
        ({"choice_temperatures": ()}, "choice_temperatures must name at least one"),
        ({"candidates": (0,)}, "candidates"),
        ({"steps": 0}, "at least 1.*got 0"),
    ],
)
def test_what_it_cannot_show_is_refused(agent, change, message):
    with pytest.raises(ConfigError, match=message):
        ReturnDistributionExplorer(*agent, MAZE, **change)


def test_other_agents_are_refused(agent):
    evor, state = agent
    with pytest.raises(ConfigError, match="BC has no samples of returns"):
        ReturnDistributionExplorer(preset("bc/pointmaze"), state, MAZE)
    with pytest.raises(ConfigError, match="these are 3-D"):
        ReturnDistributionExplorer(evor, state.replace(action_dim=3), MAZE)
