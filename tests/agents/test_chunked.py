"""Action chunks: which rows have one, what is expected after one, and how one is played."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import AGENTS, BC, BFN, ReBRAC, agent_class, agent_name, chunked
from sorl_edu.agents.agent import Agent, HasCritic, HasFlow, Network, act
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.rollout import rollout
from sorl_edu.errors import ConfigError, DataError
from sorl_edu.evaluation import evaluate
from sorl_edu.training import train
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

MAZE = "pointmaze-medium-navigate-singletask-task1-v0"
TINY = BFN(
    candidates=2, flow_steps=1, batch_size=8, policy=Network((4,)), critic=Network((4,), True)
)


@pytest.fixture(scope="module")
def walk():
    """Trajectories of 3, 1 and 4 transitions, one number each; the task ends in the last one."""
    last = np.array([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1])
    numbers = np.arange(11.0)
    return Transitions.create(
        observations=numbers[:, None],
        actions=numbers[:, None] / 20,
        rewards=numbers,
        masks=np.where(numbers == 7, 0, 1),
        terminals=last,
    )


def test_a_chunk_is_h_actions_of_one_trajectory(walk):
    view = walk.with_action_chunks(2)
    assert view.starts.tolist() == [0, 1, 6, 7, 8]
    np.testing.assert_allclose(20 * view.actions[view.starts], [[i, i + 1] for i in view.starts])
    assert walk.with_action_chunks(1).starts.tolist() == walk.starts.tolist()
    np.testing.assert_array_equal(walk.with_action_chunks(1).last, walk.last)


def test_a_chunk_sums_its_rewards_and_leads_h_steps_on(walk):
    agent = chunked(replace(TINY, discount=0.5), 2)
    batch = agent.prepare(walk).at(jnp.array([0, 1, 6, 7]))
    np.testing.assert_allclose(batch.rewards, [0 + 0.5, 1 + 1.0, 6 + 3.5, 7])  # 7 ends the task
    np.testing.assert_array_equal(batch.masks, [1, 1, 0, 0])
    np.testing.assert_array_equal(batch.next_observations[:3, 0], [2, 3, 8])
    np.testing.assert_array_equal(batch.horizons, [2, 2, 2, 1])


def test_after_a_chunk_the_data_act_where_another_chunk_starts(walk):
    batch = chunked(ReBRAC(), 2).prepare(walk).at(jnp.array([0, 1, 6, 8]))
    np.testing.assert_array_equal(batch.next_acted, [0, 0, 1, 0])
    np.testing.assert_allclose(20 * batch.next_actions[2], [8, 9])


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_below_one_is_refused(walk, horizon):
    for make in (lambda: chunked(TINY, horizon), lambda: walk.with_action_chunks(horizon)):
        with pytest.raises(ConfigError, match=f"horizon must be at least 1, got {horizon}"):
            make()


def test_chunks_longer_than_every_trajectory_are_refused(walk):
    with pytest.raises(DataError, match="long enough for chunks of 5 actions"):
        walk.with_action_chunks(5)


@pytest.mark.parametrize("name", AGENTS)
def test_any_agent_can_act_in_chunks(name, walk):
    agent = chunked(AGENTS[name](), 2)
    assert isinstance(agent, Agent) and hash(agent) == hash(chunked(AGENTS[name](), 2))
    for protocol in (HasCritic, HasFlow):
        assert isinstance(agent, protocol) == isinstance(agent.agent, protocol)
    state = jax.eval_shape(agent.init, jax.random.key(0), agent.prepare(walk))
    assert (state.obs_dim, state.action_dim) == (1, 2)
    assert agent_name(agent) == f"chunked_{name}" and agent_class(f"chunked_{name}") is type(agent)


def test_an_agent_in_chunks_is_trained_saved_and_played_to_the_end_of_each(tmp_path):
    rng = np.random.default_rng(0)
    rows = 60
    data = Transitions.create(
        rng.uniform(0, 20, (rows, 2)),
        rng.uniform(-1, 1, (rows, 2)),
        -np.ones(rows),
        np.ones(rows),
        np.arange(rows) % 20 == 19,
    )
    agent = chunked(TINY, 3)
    run = train(agent, data, key=jax.random.key(0), updates=4, log_every=4, progress=False)
    save_agent(tmp_path / "agent.safetensors", agent, run.state, AgentInfo(MAZE, updates=4))
    loaded, state, _ = load_agent(tmp_path / "agent.safetensors")
    assert loaded == agent and state.action_dim == 6

    decisions = []
    options = {"steps": 1, "candidates": 2, "episodes": 1, "record": True}
    watch = lambda moment: decisions.append(moment.decision)  # noqa: E731
    _, recording = evaluate(loaded, state, MAZE, on_step=watch, **options)
    plans = np.stack([np.asarray(decision)[0].reshape(3, 2) for decision in decisions[:9:3]])
    np.testing.assert_allclose(recording.actions[0, :9], plans.reshape(9, 2), atol=1e-6)
    first = recording.observations[0, :1]
    again = act(
        loaded, state, first, jax.random.fold_in(jax.random.key(0), 0), steps=1, candidates=2
    )
    np.testing.assert_allclose(again[0].reshape(3, 2), recording.actions[0, :3], atol=1e-5)


def test_an_agent_of_single_actions_is_not_played_in_chunks():
    state = BC(policy=Network((4,))).init(
        jax.random.key(0),
        Transitions.create(np.zeros((2, 2)), np.zeros((2, 4)), np.zeros(2), np.ones(2), [0, 1]),
    )
    with pytest.raises(DataError, match="4-wide actions, but .* has 2 and 2"):
        evaluate(BC(policy=Network((4,))), state, MAZE, steps=1, candidates=1, episodes=1)


def test_a_roll_out_asks_once_per_decision():
    asked = []

    def policy(obs, key):
        asked.append(len(obs))
        return np.zeros((len(obs), 8))

    rollout(policy, MAZE, episodes=1, limit=10, horizon=4)
    assert len(asked) == 3  # before steps 0, 4 and 8
    with pytest.raises(ConfigError, match="horizon must be at least 1, got 0"):
        rollout(policy, MAZE, episodes=1, horizon=0)
