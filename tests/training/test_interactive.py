"""The interactive loop, in a world of one dimension that is written down here."""

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import struct

from sorl_edu.agents import BC, FQL, chunked
from sorl_edu.agents.agent import Network, with_fresh_moments, without
from sorl_edu.agents.guitar import GUITAR
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.worlds import Outcome, whole_episodes
from sorl_edu.errors import CheckpointError, ConfigError, DataError
from sorl_edu.imitation import filter_resets, guitar, moment_matching
from sorl_edu.inference import Proposal
from sorl_edu.training.interactive import (
    Demonstrations,
    Interaction,
    Resets,
    Segment,
    trajectories,
)
from sorl_edu.training.loop import NonFiniteLoss

LIMIT = 7


class Line:
    """A point x that a step moves by a / 4; the task ends beyond 1, an episode after 7 steps.

    An observation is (x, number of the world). The wind is what no episode's seed decides.
    """

    name, limit, obs_dim, action_dim, state_dim = "line", LIMIT, 2, 1, 1

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self.x = np.zeros(count)
        self.resets: list[tuple] = []
        self.steps = 0

    @contextlib.contextmanager
    def entered(self, seed):
        self.rng = np.random.default_rng(seed)
        yield

    def reset(self, world, seed, state=None):
        own = np.random.default_rng(seed).uniform(-1, 0)
        self.x[world] = own if state is None else state[0]
        self.resets.append((world, seed, None if state is None else float(state[0])))
        return self.observations()[world]

    def step(self, actions):
        self.steps += 1
        self.x += actions[:, 0] / 4 + 1e-3 * self.rng.normal(size=self.count)
        arrived = self.x > 1
        rewards = np.where(arrived, 0, -1).astype(np.float32)
        return Outcome(self.observations(), rewards, arrived, arrived)

    def states(self):
        return self.x[:, None].copy()

    def observations(self):
        return np.stack([self.x, np.arange(self.count)], 1).astype(np.float32)


@struct.dataclass
class SpyState:
    updates: jax.Array
    obs_dim: int = struct.field(pytree_node=False)
    action_dim: int = struct.field(pytree_node=False)


@dataclass(frozen=True)
class Spy:
    """An agent that always moves alike, and reports what its batches hold."""

    move: float = 1.0
    batch_size: int = 64
    fails_at: int = 10**9

    def prepare(self, data):
        return data

    def init(self, key, data):
        return SpyState(jnp.zeros((), jnp.int32), data.observations.shape[1], data.actions.shape[1])

    def update(self, state, batch, key, shared_key):
        metrics = {
            "offline": (batch.observations[:, 0] > 50).mean(),
            "jump": jnp.abs(batch.next_observations - batch.observations)[:, 0].max(),
            "loss": jnp.where(state.updates >= self.fails_at, jnp.nan, 0.0),
        }
        return state.replace(updates=state.updates + 1), metrics

    def losses(self, state, batch, key, shared_key):
        return self.update(state, batch, key, shared_key)[1]

    def propose(self, state, obs, key, *, steps, candidates):
        actions = jnp.full((1, len(obs), state.action_dim), self.move)
        return Proposal(actions, None, jnp.zeros(len(obs), jnp.int32))


def offline_data(rows=40, far=0.0):
    """Trajectories of 10 states."""
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(rows, 2)) + far
    actions, rewards = rng.uniform(-1, 1, size=(rows, 1)), rng.normal(size=rows)
    return Transitions.create(
        observations, actions, rewards, np.ones(rows), np.arange(rows) % 10 == 9
    )


def interaction(agent: Any = None, **options) -> Interaction:
    defaults = {"worlds": Line(), "env_steps": 60, "round_steps": 4, "progress": False}
    return Interaction(agent or Spy(), **(defaults | options))


def spy_state(agent=None):
    return (agent or Spy()).init(None, offline_data())


TINY = (Network((8,)), Network((8,), layer_norm=True))
FQL_TINY = FQL(n_step=3, batch_size=16, flow_steps=2, policy=TINY[0], field=TINY[0], critic=TINY[1])


def same(one, other):
    leaves = [jax.tree.leaves(jax.tree.map(np.asarray, tree)) for tree in (one, other)]
    assert len(leaves[0]) == len(leaves[1])
    return all(map(np.array_equal, *leaves))


# ----------------------------------------------------------------------------- resuming


def test_a_run_that_was_stopped_ends_where_the_uninterrupted_one_ends(tmp_path):
    agent, data = chunked(FQL_TINY, 2), offline_data()
    state = agent.init(jax.random.key(1), agent.prepare(data))
    starts = np.linspace(-1, 0.5, 5)[:, None]
    options = {
        "offline": data,
        "offline_fraction": 0.5,
        "capacity": 20,
        "warm_up": 20,
        "action_noise": 0.1,
        "resets": Resets(0.5, states=starts),
        "checkpoint_every": 2,
    }
    whole = interaction(agent, env_steps=72, **options).run(state)
    assert whole.env_steps == 72 and int(whole.buffer.added) > 20  # it has been overwritten
    options["checkpoint_dir"] = tmp_path
    first = interaction(agent, env_steps=36, worlds=Line(), **options).run(state)
    assert not same(first.state, whole.state)
    rest = interaction(agent, env_steps=72, worlds=Line(), **options).run(state)
    assert same(rest.state, whole.state) and same(rest.buffer, whole.buffer)
    pd.testing.assert_frame_equal(rest.history, whole.history)
    worlds = Line()
    again = interaction(agent, env_steps=72, worlds=worlds, **options).run(state)
    assert same(again.state, whole.state) and not worlds.steps
    with pytest.raises(CheckpointError, match="72 environment steps already"):
        interaction(agent, env_steps=36, **options).run(state)


def test_another_run_s_checkpoint_is_refused(tmp_path):
    interaction(checkpoint_dir=tmp_path).run(spy_state())
    for options in (
        {"seed": 1},
        {"action_noise": 0.1},
        {"resets": Resets(0.5, states=np.zeros((1, 1)))},
    ):
        with pytest.raises(CheckpointError, match="another run"):
            interaction(checkpoint_dir=tmp_path, **options).run(spy_state())
    other = spy_state().replace(updates=jnp.ones((), jnp.int32))
    with pytest.raises(CheckpointError, match="first state"):
        interaction(checkpoint_dir=tmp_path).run(other)


def test_resets_of_other_weights_are_another_run_s(tmp_path):
    states, weights = np.zeros((2, 1)), np.array([0.25, 0.75])
    run = interaction(checkpoint_dir=tmp_path, resets=Resets(0.5, states, weights))
    run.run(spy_state())
    with pytest.raises(CheckpointError, match="another run"):
        replace(run, resets=Resets(0.5, states, weights[::-1])).run(spy_state())


def test_a_seed_decides_and_the_given_state_is_left_alone():
    agent = BC(policy=TINY[0], batch_size=16)
    state = agent.init(jax.random.key(1), offline_data())
    copy = jax.tree.map(np.array, state)
    runs = [interaction(agent, seed=seed).run(state) for seed in (0, 0, 1)]
    assert same(runs[0].state, runs[1].state) and not same(runs[0].state, runs[2].state)
    assert same(state, copy)


def test_a_state_from_a_file_can_learn_again_with_fresh_moments():
    data = FQL_TINY.prepare(offline_data())
    fresh, other = (FQL_TINY.init(jax.random.key(seed), data) for seed in (1, 2))
    again = with_fresh_moments(FQL_TINY, without(fresh, "moments"), jax.random.key(2), data)
    assert same(again, fresh) and not same(again, other)  # Adam begins with zeros


# ------------------------------------------------------------------------------- acting


def stored(run):
    """The transitions of a buffer that is not full yet."""
    held = int(run.buffer.size)
    assert held < run.buffer.capacity
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:held], run.buffer.transitions)


def test_every_step_is_stored_once_and_none_leads_from_one_episode_to_the_next():
    run = interaction(env_steps=120, updates_per_step=0).run(spy_state())
    batch = stored(run)
    assert int(run.buffer.added) == run.env_steps == 120
    moved = batch.next_observations[:, 0] - batch.observations[:, 0]
    np.testing.assert_allclose(moved, 0.25, atol=0.01)  # a reset would move it elsewhere
    np.testing.assert_array_equal(batch.next_observations[:, 1], batch.observations[:, 1])
    np.testing.assert_array_equal(batch.actions, np.ones((120, 1)))
    arrived = batch.next_observations[:, 0] > 1
    np.testing.assert_array_equal(batch.masks, 1.0 - arrived)
    np.testing.assert_array_equal(batch.rewards, arrived - 1.0)
    assert arrived.sum() > 10


def test_episodes_go_on_from_round_to_round():
    """A start is in [-1, 0], so that it takes up to 9 steps to arrive; 7 is the limit."""
    run = interaction(env_steps=240, round_steps=2, updates_per_step=0).run(spy_state())
    online = run.history[run.history.split == "online"].pivot(
        index="update", columns="metric", values="value"
    )
    assert online.length.max() == LIMIT and online.length.min() < LIMIT
    lasting = online.length * online.episodes
    assert 240 - 3 * LIMIT <= lasting.sum() <= 240
    whole = online.success == 1  # every step of an arrival but the last one pays -1
    np.testing.assert_allclose(online["return"][whole], 1 - online.length[whole])
    assert online.success.between(0, 1).all() and 0 < online.success.mean() < 1


def test_a_time_limit_bootstraps_and_ends_the_trajectory():
    run = interaction(Spy(move=-1.0), env_steps=84, round_steps=7, updates_per_step=0).run(
        spy_state()
    )
    batch = stored(run)
    assert batch.masks.all()
    assert batch.next_acted.sum() == 84 - 84 / LIMIT


def test_resets_begin_in_the_given_states():
    states = np.array([[0.123456789012345], [-0.5]])
    worlds = Line()
    run = interaction(
        worlds=worlds, env_steps=600, updates_per_step=0, resets=Resets(0.5, states=states)
    ).run(spy_state())
    begun = {seed: state for _, seed, state in reversed(worlds.resets)}  # the first time
    given = [state for state in begun.values() if state is not None]
    assert set(given) == {0.123456789012345, -0.5}
    assert 0.3 < len(given) / len(begun) < 0.7
    assert int(run.buffer.added) == 600


def test_steps_of_a_roll_in_are_counted_and_not_stored():
    def back(obs, key):
        return np.full((len(obs), 1), -0.5)

    resets = Resets(1.0, roll_in=back, longest=4)
    run = interaction(env_steps=600, updates_per_step=0, resets=resets).run(spy_state())
    batch = stored(run)
    assert run.env_steps == 600 and set(batch.actions.ravel()) == {1.0}
    episodes = 600 / LIMIT  # a roll-in takes one and a half of seven steps
    assert int(run.buffer.added) == pytest.approx(600 - 1.5 * episodes, rel=0.1)
    history = run.history[run.history.metric == "length"]
    assert history.value.max() == LIMIT  # counted from the start of the roll-in


def test_noise_moves_actions_and_keeps_them_in_range():
    run = interaction(Spy(move=0.9), env_steps=120, updates_per_step=0, action_noise=0.2).run(
        spy_state()
    )
    actions = stored(run).actions
    assert actions.std() > 0.05 and actions.max() == 1 and abs(actions.mean() - 0.9) < 0.1
    drawn = actions[actions < 1]
    assert len(np.unique(drawn)) == len(drawn) > 30  # other noise in each step and world


# ----------------------------------------------------------------------------- learning


@pytest.mark.parametrize(("fraction", "expected"), [(0.25, 0.25), (1.0, 1.0), (None, 36 / 96)])
def test_a_batch_has_its_fraction_of_offline_data(fraction, expected):
    run = interaction(
        Spy(batch_size=4096),
        env_steps=60,
        round_steps=20,
        offline=offline_data(far=100.0),
        offline_fraction=fraction,
    ).run(spy_state())
    rows = run.history[run.history.metric == "offline"]
    assert rows.value.iloc[-1] == pytest.approx(expected, abs=0.02)


def test_updates_begin_after_the_warm_up_and_are_as_many_as_asked():
    run = interaction(env_steps=120, warm_up=60, updates_per_step=0.5).run(spy_state())
    assert int(run.state.updates) == (120 - 60) / 2
    assert interaction(warm_up=60, updates_per_step=0.5).updates_after(120) == 30
    assert interaction(warm_up=60, updates_per_step=0.5).updates_after(48) == 0
    train = run.history[(run.history.split == "train") & (run.history.metric == "loss")]
    assert list(train["update"]) == [72, 84, 96, 108, 120]
    assert float(run.history[run.history.metric == "jump"].value.max()) < 0.3


def test_an_infinite_loss_is_an_error_that_keeps_the_last_good_state():
    agent = Spy(fails_at=30)
    with pytest.raises(NonFiniteLoss, match="loss became NaN") as caught:
        interaction(agent, env_steps=60).run(spy_state())
    assert caught.value.update == 31 and caught.value.state_update == 24


# --------------------------------------------------------------- an agent that learns its reward


@dataclass(frozen=True)
class Student(Spy):
    """A spy that always moves alike, and keeps what its lessons show it."""

    def init(self, key, data):
        return StudentState(
            jnp.zeros((), jnp.int32),
            data.observations.shape[1],
            data.actions.shape[1],
            jnp.zeros(4),
        )

    def learn_reward(self, state, expert, learner, key):
        begun = learner[0][:, 0] > 50  # there a reset puts episodes
        seen = jnp.array([expert[0].mean(), begun.mean(), learner[1].mean(), learner[1].std()])
        unlike = jax.random.uniform(key)
        metrics = {"seen": seen[0], "begun": seen[1], "moves": seen[2], "spread": seen[3]}
        return state.replace(seen=state.seen + unlike), metrics | {"key": unlike}


@struct.dataclass
class StudentState(SpyState):
    seen: jax.Array


SHOWN = Demonstrations(np.full((5, 2), 7.0), np.zeros((5, 1)), every=2, updates=3, batch_size=16)


def student(**options) -> Interaction:
    agent = Student(move=options.pop("move", -0.5))
    return interaction(agent, **({"demonstrations": SHOWN} | options))


def lessons(run, metric):
    history = run.history
    return history[(history.split == "lesson") & (history.metric == metric)]


def test_lessons_are_of_whole_episodes_that_no_reset_began():
    resets = Resets(1.0, states=np.array([[100.0]]))
    run = student(env_steps=200, resets=resets, action_noise=0.3).run(spy_state(Student()))
    assert (lessons(run, "begun").value == 0).all()
    assert (lessons(run, "seen").value == 7).all()
    np.testing.assert_allclose(lessons(run, "moves").value, -0.5)
    np.testing.assert_allclose(lessons(run, "spread").value, 0, atol=1e-6)  # and without noise
    assert (stored(run).observations[:, 0] > 50).all()  # nor is a lesson stored
    np.testing.assert_allclose(lessons(run, "return").value, -LIMIT)
    assert len(lessons(run, "key").value.unique()) == len(lessons(run, "key"))


def test_steps_of_lessons_are_counted():
    worlds = Line()
    run = student(worlds=worlds, env_steps=100).run(spy_state(Student()))
    assert run.env_steps == worlds.steps * worlds.count
    lesson, a_round = LIMIT * 3, 4 * 3
    assert run.env_steps == 2 * (lesson + 2 * a_round) + lesson + a_round  # the first past 100
    assert int(run.buffer.added) == 5 * a_round
    np.testing.assert_array_equal(lessons(run, "seen")["update"], [21, 66, 111])


def test_whole_episodes_begin_at_their_own_starts_and_have_nothing_after_their_ends():
    """A start is in [-1, 0], so that it takes up to 9 steps to arrive; 7 is the limit."""

    def ahead(obs, t):
        return np.ones((8, 1), np.float32)

    worlds = Line(8)
    episodes = whole_episodes(worlds, ahead, seed=0)
    assert [state for _, _, state in worlds.resets] == [None] * 8
    observations, actions = episodes.pairs()
    lengths = episodes.running.sum(0)
    assert len(observations) == len(actions) == lengths.sum() < episodes.steps == worlds.steps * 8
    assert observations[:, 0].max() <= 1 < episodes.observations[..., 0].max()
    returns = (episodes.rewards * episodes.running).sum(0)  # an arrival costs nothing
    np.testing.assert_array_equal(returns, episodes.success - lengths.astype(float))
    assert 0 < episodes.success.sum() < 8
    np.testing.assert_array_equal(np.float32(episodes.states), episodes.observations[..., :1])
    again, other = (whole_episodes(Line(8), ahead, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.states, episodes.states)
    assert not np.isin(other.states[0], episodes.states[0]).any()


def test_a_run_with_lessons_that_was_stopped_ends_where_the_uninterrupted_one_ends(tmp_path):
    agent = GUITAR(policy=TINY[0], critic=TINY[1], reward=TINY[0], batch_size=16)
    data = offline_data()
    state = agent.init(jax.random.key(1), data)
    options = {
        "demonstrations": Demonstrations(
            np.asarray(data.observations), np.asarray(data.actions), every=2, batch_size=16
        ),
        "resets": Resets.of(guitar(0.5), np.linspace(-1, 0, 4)[:, None], np.zeros((2, 1))),
        "action_noise": 0.1,
        "checkpoint_every": 3,
    }
    whole = interaction(agent, env_steps=150, **options).run(state)
    options["checkpoint_dir"] = tmp_path
    first = interaction(agent, env_steps=70, worlds=Line(), **options).run(state)
    assert 70 <= first.env_steps < whole.env_steps and not same(first.state, whole.state)
    rest = interaction(agent, env_steps=150, worlds=Line(), **options).run(state)
    assert same(rest.state, whole.state) and same(rest.buffer, whole.buffer)
    pd.testing.assert_frame_equal(rest.history, whole.history)
    assert rest.env_steps == whole.env_steps
    assert not same(whole.state.reward.params, state.reward.params)
    for changed in (
        {"demonstrations": replace(options["demonstrations"], every=3)},
        {"demonstrations": replace(options["demonstrations"], actions=np.zeros((40, 1)))},
        {"resets": Resets.of(guitar(0.5), np.linspace(-1, 0, 4)[:, None], np.ones((2, 1)))},
    ):
        with pytest.raises(CheckpointError, match="another run"):
            interaction(agent, env_steps=150, **(options | changed)).run(state)


def test_a_method_s_resets_draw_from_each_source_by_its_share():
    expert, offline = np.zeros((2, 1)), np.arange(1.0, 9.0)[:, None]
    resets = Resets.of(guitar(0.8, offline=0.25), expert, offline)
    rng = np.random.default_rng(0)
    drawn = [resets.draw(rng, 0).state for _ in range(4000)]
    begun = np.array([np.nan if state is None else state[0] for state in drawn])
    shares = np.isnan(begun).mean(), (begun == 0).mean(), (begun > 0).mean()
    np.testing.assert_allclose(shares, (0.2, 0.6, 0.2), atol=0.03)
    assert set(begun[begun > 0]) == set(range(1, 9))
    assert Resets.of(moment_matching(), expert) is None
    filtered = Resets.of(filter_resets(), expert)
    assert filtered.fraction == 1 and filtered.states.tolist() == expert.tolist()


def test_demonstrations_are_for_an_agent_that_learns_its_reward():
    with pytest.raises(ConfigError, match="Spy learns no reward"):
        interaction(demonstrations=SHOWN)
    with pytest.raises(ConfigError, match="Student learns its reward, and needs"):
        student(demonstrations=None)
    with pytest.raises(ConfigError, match="5 observations and 4"):
        replace(SHOWN, actions=np.zeros((4, 1)))
    with pytest.raises(ConfigError, match="every must be"):
        replace(SHOWN, every=0)
    with pytest.raises(ConfigError, match="needs states of each source"):
        Resets.of(guitar(), np.zeros((2, 1)))


# ------------------------------------------------------------------------- trajectories


def test_trajectories_end_with_episodes_and_with_the_round():
    time, worlds = 5, 2
    grid = np.arange(time * worlds, dtype=np.float32).reshape(time, worlds)
    own, ended = np.ones((2, time, worlds), bool)
    own[:2, 1] = False  # world 1 begins with a roll-in
    ended[:] = False
    ended[2, 0] = True
    data = trajectories(
        Segment(
            observations=grid[..., None],
            actions=grid[..., None] / 10,
            rewards=grid,
            terminated=ended,
            next_observations=grid[..., None] + 100,
            own=own,
            ended=ended,
        ),
        rows=20,
    )
    observed = np.asarray(data.observations)[:, 0]
    expected = [0, 2, 4, 104, 6, 8, 108, 5, 7, 9, 109]  # world 0 twice, then world 1
    np.testing.assert_array_equal(observed[:11], expected)
    np.testing.assert_array_equal(np.flatnonzero(~np.asarray(data.last)), data.starts)
    np.testing.assert_array_equal(data.starts, [0, 1, 2, 4, 5, 7, 8, 9])
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(data.masks) == 0), [2])
    assert len(data.rewards) == 20


def test_no_step_of_the_agent_s_makes_no_trajectory():
    nothing = np.zeros((3, 1), bool)
    values = np.zeros((3, 1, 1), np.float32)
    segment = Segment(values, values, values[..., 0], nothing, values, nothing, nothing)
    assert trajectories(segment, rows=6) is None


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "options",
    [
        {"env_steps": 0},
        {"capacity": 11},
        {"warm_up": -1},
        {"offline_fraction": 0.5},
        {"offline": offline_data(), "offline_fraction": 1.5},
        {"agent": chunked(FQL_TINY, 3)},
    ],
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        interaction(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"fraction": 2.0, "states": np.zeros((1, 1))},
        {"fraction": 0.5},
        {"fraction": 0.5, "states": np.zeros((0, 1))},
        {"fraction": 0.5, "roll_in": lambda obs, key: obs, "longest": 0},
        {"fraction": 0.5, "states": np.zeros((2, 1)), "weights": np.array([0.5, 0.4])},
        {"fraction": 0.5, "states": np.zeros((2, 1)), "weights": np.ones(1)},
    ],
)
def test_resets_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        Resets(**options)


def test_an_agent_of_other_widths_or_without_the_dials_is_refused():
    data = Transitions.create(
        np.zeros((9, 3)), np.zeros((9, 1)), np.zeros(9), np.ones(9), [0] * 8 + [1]
    )
    with pytest.raises(DataError, match="3-wide"):
        interaction().run(Spy().init(None, data))
    with pytest.raises(ConfigError):
        interaction(FQL_TINY, steps=4).run(FQL_TINY.init(jax.random.key(0), offline_data()))
