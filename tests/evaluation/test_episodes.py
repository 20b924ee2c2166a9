"""Evaluations and sweeps of agents in the real OGBench maze."""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from helpers import TINY

from sorl_edu.agents.agent import act
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.rollout import make_environments
from sorl_edu.errors import ConfigError, DataError
from sorl_edu.evaluation import check_environment, evaluate, summarize, sweep

MAZE = "pointmaze-medium-navigate-singletask-v0"


@pytest.fixture(scope="module")
def trained():
    """A tiny agent with the maze's widths, fresh: it wanders."""
    rng = np.random.default_rng(0)
    data = Transitions.create(
        rng.uniform(0, 20, (10, 2)),
        rng.uniform(-1, 1, (10, 2)),
        np.zeros(10),
        np.ones(10),
        np.arange(10) == 9,
    )
    keys = jax.random.split(jax.random.key(0), 2)
    return TINY, jax.jit(jax.vmap(TINY.init, in_axes=(0, None)))(keys, data)


def short(monkeypatch):
    """Cuts the time limit of two episodes: a policy that doesn't find the goal fails fast."""
    for env in make_environments(MAZE, 2):
        monkeypatch.setattr(env.spec, "max_episode_steps", 15)


def test_the_same_seed_gives_the_same_table_and_numpys_state_is_left_alone(trained, monkeypatch):
    short(monkeypatch)
    agent, states = trained
    state = jax.tree.map(lambda leaf: leaf[0], states)
    run = functools.partial(
        evaluate, agent, state, MAZE, steps=1, candidates=4, episodes=2, record=True
    )
    np.random.seed(123)
    before = np.random.get_state()
    table, recording = run(seed=5)
    again, recorded_again = run(seed=5)
    after = np.random.get_state()
    assert before[0] == after[0] and before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    for one, other in zip(recording, recorded_again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert recording.observations.shape == (2, 16, 2)
    assert recording.actions.shape == (2, 15, 2)
    assert not np.array_equal(run(seed=6)[1].observations, recording.observations)


def test_the_actions_are_the_agents_own(trained, monkeypatch):
    """Those of `act` for the observations of a step and that step's key."""
    short(monkeypatch)
    agent, states = trained
    state = jax.tree.map(lambda leaf: leaf[1], states)
    moments, setting = [], dict(steps=2, candidates=4)
    _, recording = evaluate(
        agent, state, MAZE, **setting, episodes=2, seed=7, record=True, on_step=moments.append
    )
    assert len(moments) == 16
    for t, moment in enumerate(moments[:-1]):
        key = jax.random.fold_in(jax.random.key(7), t)
        actions = act(agent, state, recording.observations[:, t], key, **setting)
        np.testing.assert_array_equal(moment.decision, actions)
        np.testing.assert_array_equal(recording.actions[:, t], actions)


def test_settings_may_be_numpys_integers(trained, monkeypatch):
    short(monkeypatch)
    run = functools.partial(sweep, *trained, MAZE, progress=False)
    table = run(steps=(1, 2), candidates=(4,), episodes=2, seed=5)
    numbers = np.arange(6)
    again = run(steps=numbers[1:3], candidates=numbers[4:5], episodes=numbers[2], seed=numbers[5])
    pd.testing.assert_frame_equal(table, again, check_exact=True)


def test_a_sweep_has_a_row_per_seed_setting_and_episode(trained, monkeypatch):
    short(monkeypatch)
    table = sweep(
        *trained, MAZE, steps=(1, 2), candidates=(1, 4), episodes=2, seed=5, progress=False
    )
    columns = ["training_seed", "steps", "candidates", "episode", "success", "return", "length"]
    assert list(table.columns) == columns
    assert len(table) == 2 * 2 * 2 * 2
    assert not table.duplicated(["training_seed", "steps", "candidates", "episode"]).any()
    for name, values in [("training_seed", {0, 1}), ("steps", {1, 2}), ("candidates", {1, 4})]:
        assert set(table[name]) == values
    assert set(summarize(table).interval) == {"95% over 2 training seeds"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": (1, 3)}, "power of two.*got 3"),
        ({"candidates": (0,)}, "candidates"),
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused_before_it_starts(trained, options, message):
    with pytest.raises(ConfigError, match=message):
        sweep(*trained, MAZE, **({"progress": False} | options))


def test_an_environment_of_other_widths_is_refused():
    def state(obs_dim, action_dim):
        return SimpleNamespace(obs_dim=obs_dim, action_dim=action_dim)

    check_environment(state(2, 2), MAZE)
    for widths in [(29, 8), (2, 3), (3, 2)]:
        message = f"{widths[0]}-wide observations and {widths[1]}-wide actions.* has 2 and 2"
        with pytest.raises(DataError, match=message):
            check_environment(state(*widths), MAZE)
