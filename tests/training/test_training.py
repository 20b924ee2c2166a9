"""The loop: the same run from the same key, alone or beside others, at once or after a kill."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from sorl_edu.agents import SORL, FlowBC
from sorl_edu.agents.agent import Encoder, Network, Optimizer
from sorl_edu.errors import CheckpointError, ConfigError
from sorl_edu.training import (
    NonFiniteLoss,
    Run,
    checkpoints,
    devices,
    loop,
    seed_keys,
    seed_state,
    train,
    train_seeds,
)
from sorl_edu.training.checkpoints import TRAINING_STATE

TINY = SORL(
    denoise_steps=2,
    max_backprop_steps=2,
    batch_size=16,
    n_step=2,
    field=Network((8,)),
    critic=Network((8,), layer_norm=True),
    optimizer=Optimizer(learning_rate=1e-3),
)
CLONING = FlowBC(batch_size=16, field=Network((8,)), encoder=Encoder(normalize=True))
KEYS = jax.random.split(jax.random.key(7), 2)


def curve_of(history, metric, split="train"):
    """One metric of a history: updates by seeds."""
    rows = history[(history.metric == metric) & (history.split == split)]
    return rows.pivot(index="update", columns="seed", values="value")


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def tiny_run(data, **options) -> Run:
    return train(
        TINY,
        data,
        **({"updates": 100, "key": KEYS[0], "log_every": 25, "progress": False} | options),
    )


@pytest.fixture(scope="module")
def alone(transitions) -> Run:
    return tiny_run(transitions, validation=transitions)


def test_one_key_twice_gives_the_same_run_bit_for_bit(transitions, alone):
    again = tiny_run(transitions, validation=transitions)
    assert_same(again.state, alone.state)
    pd.testing.assert_frame_equal(again.history, alone.history, check_exact=True)


def test_a_seed_learns_beside_others_what_it_learns_alone(transitions, alone):
    run = train_seeds(TINY, transitions, updates=100, keys=KEYS, log_every=25, progress=False)
    first, second = (seed_state(run.state, i) for i in (0, 1))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(alone.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    kernels = [
        np.abs(a - b).max()
        for a, b in zip(
            jax.tree.leaves(first.field.params), jax.tree.leaves(second.field.params), strict=True
        )
        if a.ndim > 1
    ]
    assert min(kernels) > 0.1  # another key is another start
    # The shared key gave both seeds the same steps: one switch, see test_sorl.
    assert run.history.seed.unique().tolist() == [0, 1]


def test_the_history_is_tidy_and_has_the_losses_of_both_splits(alone):
    history = alone.history
    assert list(history.columns) == ["split", "seed", "update", "metric", "value"]
    assert not history.duplicated(["split", "seed", "update", "metric"]).any()
    assert np.isfinite(history.value).all()
    metrics = {"critic_loss", "policy_loss", "q_loss", "flow_loss", "consistency_loss"}
    for split in ("train", "validation"):
        rows = history[history.split == split]
        assert metrics <= set(rows.metric)
        counts = rows.groupby("metric")["update"].apply(list)
        assert all(updates == [25, 50, 75, 100] for updates in counts)
    assert set(history.split) == {"train", "validation"}


def test_learning_lowers_the_losses_of_both_splits(transitions):
    agent = replace(CLONING, optimizer=Optimizer(learning_rate=1e-2))
    options = {"updates": 300, "log_every": 100, "validation": transitions, "progress": False}
    history = train(agent, transitions, key=KEYS[0], **options).history
    for split in ("train", "validation"):
        curve = curve_of(history, "flow_loss", split)[0]
        assert curve.index.tolist() == [100, 200, 300]
        assert curve[300] < curve[100]


class Interrupted(Exception):
    pass


def interrupt_at(stop):
    def interrupt(update, state):
        if update == stop:
            raise Interrupted

    return interrupt


def test_an_interrupted_run_resumes_and_ends_where_one_run_ends(transitions, alone, tmp_path):
    options = {"validation": transitions, "checkpoint_every": 25, "checkpoint_dir": tmp_path}
    with pytest.raises(Interrupted):
        tiny_run(transitions, on_log=interrupt_at(75), **options)
    assert checkpoints.read_metadata(tmp_path / TRAINING_STATE)["updates"] == 50
    resumed = tiny_run(transitions, **options)
    assert_same(resumed.state, alone.state)
    pd.testing.assert_frame_equal(resumed.history, alone.history, check_exact=True)


CHILD = """
import sys, time
import jax, numpy as np
from sorl_edu.agents import FlowBC
from sorl_edu.agents.agent import Encoder, Network, Optimizer
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.training import train

def linger(update, state):
    if update == 75:
        time.sleep(600)

data = Transitions.create(**np.load(sys.argv[1]))
train({agent!r}, data, updates=100, key=jax.random.key(7), log_every=25, validation=data,
      checkpoint_every=25, checkpoint_dir=sys.argv[2], progress=False, on_log=linger)
"""


def test_a_killed_run_resumes_and_ends_where_one_run_ends(transitions, tmp_path):
    names = ("observations", "actions", "rewards", "masks")
    arrays = {name: getattr(transitions, name) for name in names}
    np.savez(tmp_path / "data.npz", terminals=transitions.last, **arrays)
    folder = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(agent=CLONING), tmp_path / "data.npz", folder],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (folder / TRAINING_STATE).exists():
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert checkpoints.read_metadata(folder / TRAINING_STATE)["updates"] in (25, 50)

    def run(**options):
        key = jax.random.key(7)
        options |= {"log_every": 25, "validation": transitions, "progress": False}
        return train(CLONING, transitions, updates=100, key=key, **options)

    logged = []
    resumed = run(
        checkpoint_every=25,
        checkpoint_dir=folder,
        on_log=lambda update, state: logged.append(update),
    )
    assert logged in ([50, 75, 100], [75, 100])  # it did not start afresh
    uninterrupted = run()
    assert_same(resumed.state, uninterrupted.state)
    pd.testing.assert_frame_equal(resumed.history, uninterrupted.history, check_exact=True)
    assert checkpoints.read_metadata(folder / TRAINING_STATE)["updates"] == 100


# A cheap agent whose every number is known: it counts, and averages what it is given.


@dataclass(frozen=True)
class Counter:
    """Counts its updates; a metric turns bad at an update of choice, for the second seed only."""

    batch_size: int = 4
    bad_update: int = -1
    bad_value: float = float("inf")
    bad_seed: int | None = None

    def prepare(self, data):
        return data

    def init(self, key, data):
        return {"count": jnp.zeros((), jnp.int32), "key": jax.random.key_data(key)}

    def update(self, state, batch, key, shared_key):
        count = state["count"] + 1
        bad = count == self.bad_update
        if self.bad_seed is not None:
            key = jax.random.fold_in(KEYS[self.bad_seed], loop.INIT)
            bad &= (state["key"] == jax.random.key_data(key)).all()
        metrics = {
            # In alphabetical order, in which JAX returns a dictionary, the first to turn bad is
            # neither first nor last.
            "a_loss": jnp.where(count > self.bad_update + 1, self.bad_value, 0.0)
            if self.bad_update > 0
            else jnp.zeros(()),
            "b_count": count.astype(float),
            "c_loss": jnp.where(bad, self.bad_value, 1.0),
            "d_shared": jax.random.uniform(shared_key),
            "e_own": jax.random.uniform(key),
            "f_reward": batch.rewards.mean(),
        }
        return state | {"count": count}, metrics

    def losses(self, state, batch, key, shared_key):
        return {"c_loss": jnp.ones(())}

    def propose(self, state, obs, key, *, steps, candidates):
        raise NotImplementedError


def count(data, updates=250, *, agent=None, keys=KEYS, **options):
    options = {"log_every": 50, "progress": False} | options
    return train_seeds(agent or Counter(), data, updates=updates, keys=keys, **options)


def test_history_values_are_means_since_the_last_row(transitions):
    run = count(transitions, 230)
    assert run.state["count"].tolist() == [230, 230]
    curve = curve_of(run.history, "b_count")
    assert curve.index.tolist() == [50, 100, 150, 200, 230]
    np.testing.assert_allclose(curve[0], [25.5, 75.5, 125.5, 175.5, 215.5])
    np.testing.assert_allclose(curve[1], curve[0])


def test_the_shared_key_is_shared_and_the_others_are_not(transitions):
    history = count(transitions, 50).history
    assert np.ptp(curve_of(history, "d_shared").loc[50]) == 0
    assert np.ptp(curve_of(history, "e_own").loc[50]) > 1e-3
    assert np.ptp(curve_of(history, "f_reward").loc[50]) > 1e-3  # own batches, too
    # Fresh draws at every update: the mean of 50 uniforms, not one of them.
    means = curve_of(count(transitions, 50, log_every=1).history, "e_own")[0]
    assert means.nunique() == 50
    assert abs(means.mean() - 0.5) < 5 / np.sqrt(12 * 50)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_is_not_finite_stops_the_run(transitions, tmp_path, value):
    agent = Counter(bad_update=130, bad_value=value, bad_seed=1)
    with pytest.raises(NonFiniteLoss, match=r"c_loss .* at update 130 \(seed 1\)") as caught:
        count(transitions, agent=agent, checkpoint_dir=tmp_path, checkpoint_every=50)
    error = caught.value
    assert (error.metric, error.update, error.seed) == ("c_loss", 130, 1)
    # The error carries the last good state, and the checkpoint holds it.
    assert error.state_update < 130
    assert error.state["count"].tolist() == [error.state_update] * 2
    file = tmp_path / TRAINING_STATE
    assert checkpoints.read_metadata(file)["updates"] == error.state_update
    kept = checkpoints.load_tree(file, error.state)
    assert kept["count"].tolist() == [error.state_update] * 2


@dataclass(frozen=True)
class Overflowing(Counter):
    """Its state is infinite after update 100, which its metrics show one update later."""

    def update(self, state, batch, key, shared_key):
        count = state["count"] + 1
        weight = jnp.where(count == 100, jnp.inf, state["weight"])
        return {"count": count, "weight": weight}, {"loss": state["weight"]}

    def init(self, key, data):
        return {"count": jnp.zeros((), jnp.int32), "weight": jnp.ones(())}


def test_an_infinite_state_is_not_taken_for_the_last_good_one(transitions, tmp_path):
    options = {"checkpoint_dir": tmp_path, "checkpoint_every": 50}
    with pytest.raises(NonFiniteLoss, match="a parameter became NaN or infinite at update 100 "):
        count(transitions, agent=Overflowing(), **options)
    like = {"count": jnp.zeros(2, jnp.int32), "weight": jnp.ones(2)}
    kept = checkpoints.load_tree(tmp_path / TRAINING_STATE, like)
    assert kept["weight"].tolist() == [1, 1] and kept["count"].tolist() == [50, 50]


def test_a_run_that_blows_up_is_stopped(transitions):
    wild = FlowBC(field=Network((8,)), optimizer=Optimizer(1e30, grad_clip_norm=0.0))
    with pytest.raises(NonFiniteLoss, match=r"NaN or infinite at update.*Lower the learning rate"):
        train(wild, transitions, updates=25, key=KEYS[0], log_every=25, progress=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"updates": 0}, "updates must be at least 1, got 0"),
        ({"updates": -5}, "updates must be at least 1, got -5"),
        ({"log_every": 0}, "log_every must be at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
        ({"keys": KEYS[:0]}, "number of keys must be at least 1"),
        ({"checkpoint_every": 75}, r"checkpoint_every \(75\) must be a multiple of log_every"),
    ],
)
def test_impossible_numbers_are_refused(transitions, tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        count(transitions, **({"checkpoint_dir": tmp_path / "run"} | wrong))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def interrupted(transitions, tmp_path):
    """A folder in which a run of 250 updates was interrupted when it logged update 150."""
    with pytest.raises(Interrupted):
        count(transitions, checkpoint_dir=tmp_path, checkpoint_every=50, on_log=interrupt_at(150))
    return tmp_path


def test_a_resumed_run_does_what_is_left(transitions, interrupted):
    logged = []
    run = count(
        transitions,
        checkpoint_dir=interrupted,
        checkpoint_every=50,
        on_log=lambda update, state: logged.append((update, state["count"].tolist())),
    )
    assert logged == [(150, [150] * 2), (200, [200] * 2), (250, [250] * 2)]
    pd.testing.assert_frame_equal(run.history, count(transitions).history, check_exact=True)
    assert [p.name for p in interrupted.iterdir()] == [TRAINING_STATE]
    # A finished run has nothing left to do, unless more updates are asked for.
    again = count(transitions, checkpoint_dir=interrupted, checkpoint_every=50)
    pd.testing.assert_frame_equal(run.history, again.history, check_exact=True)
    more = count(transitions, 300, checkpoint_dir=interrupted, checkpoint_every=50)
    assert more.state["count"].tolist() == [300, 300]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"agent": Counter(batch_size=5)}, "config"),
        ({"keys": KEYS[::-1]}, "keys"),
        ({"keys": KEYS[:1]}, "keys"),
        ({"log_every": 25}, "log_every"),
        ({"agent": FlowBC(field=Network((8,)))}, "agent"),
    ],
)
def test_another_run_is_not_resumed(transitions, interrupted, change, named):
    before = (interrupted / TRAINING_STATE).read_bytes()
    with pytest.raises(CheckpointError, match=f"another run: its.*{named}.*Choose another"):
        count(transitions, checkpoint_dir=interrupted, checkpoint_every=50, **change)
    assert (interrupted / TRAINING_STATE).read_bytes() == before


def test_other_data_of_the_same_size_is_another_run(transitions, interrupted):
    other = transitions.replace(rewards=-transitions.rewards)
    with pytest.raises(CheckpointError, match="another run: its data"):
        count(other, checkpoint_dir=interrupted, checkpoint_every=50)


def test_fewer_updates_than_the_checkpoint_has_are_refused(transitions, interrupted):
    with pytest.raises(CheckpointError, match=r"has 100 updates already, more than the 50"):
        count(transitions, 50, checkpoint_dir=interrupted, checkpoint_every=50)


def test_a_damaged_checkpoint_is_refused(transitions, interrupted):
    file = interrupted / TRAINING_STATE
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        count(transitions, checkpoint_dir=interrupted, checkpoint_every=50)


def test_the_state_that_is_logged_can_be_kept(transitions):
    kept = []
    options = {"log_every": 25, "on_log": lambda update, state: kept.append((update, state))}
    run = tiny_run(transitions, **options)
    assert [update for update, _ in kept] == [25, 50, 75, 100]
    for _, state in kept:  # a donated one would say "Array has been deleted"
        assert np.isfinite(np.asarray(jax.tree.leaves(state.field.params)[0])).all()
    assert_same(seed_state(kept[-1][1], 0), run.state)


def words(keys):
    """Keys as tuples of their words."""
    return list(map(tuple, np.asarray(jax.random.key_data(keys)).reshape(-1, 2).tolist()))


@pytest.mark.parametrize(
    "keys", [seed_keys(range(100)), jax.random.split(jax.random.key(0), 8)], ids=["seeds", "split"]
)
def test_no_two_draws_of_a_run_share_a_key(keys):
    updates = jnp.arange(400)

    @jax.jit
    @jax.vmap
    def draws_of_a_seed(key):
        initial = jax.random.fold_in(key, loop.INIT)
        streams = [
            jax.vmap(loop.draws, (None, None, 0))(key, stream, updates)
            for stream in (loop.TRAINING, loop.VALIDATION)
        ]
        # An agent's init splits its key in three, an update splits the shared key in two.
        own = key, initial, jax.random.split(initial, 3), [stream[:2] for stream in streams]
        shared = [(stream[2], jax.vmap(jax.random.split)(stream[2])) for stream in streams]
        return own, shared

    own, shared = draws_of_a_seed(keys)
    shared_words = []
    for of_seeds in jax.tree.leaves(shared):
        first, *others = (words(of_seed) for of_seed in of_seeds)
        assert all(other == first for other in others)
        shared_words += first
    everything = shared_words + [word for leaf in jax.tree.leaves(own) for word in words(leaf)]
    assert len(everything) == len(keys) * (1 + 1 + 3 + 4 * 400) + 2 * 3 * 400
    assert len(set(everything)) == len(everything)


def test_the_shared_draws_of_seed_0_say_nothing_about_its_batches():
    key, updates = jax.random.key(0), jnp.arange(400)
    batch_keys, _, shared = jax.vmap(loop.draws, (None, None, 0))(key, loop.TRAINING, updates)
    rows = jax.vmap(lambda k: jax.random.randint(k, (16,), 0, 1000)[0])(batch_keys)
    levels = jax.vmap(lambda k: jax.random.randint(jax.random.split(k)[0], (), 0, 4))(shared)
    agree = int((rows % 4 == levels).sum())
    assert abs(agree - 100) < 5 * np.sqrt(400 * 3 / 16)


NUMPY_NUMBERS = """
import sys
import jax, numpy as np
from sorl_edu.agents import SORL
from sorl_edu.agents.agent import Encoder, Network, act
from sorl_edu.datasets.toy import bandit
from sorl_edu.training import seed_keys, seed_state, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

agents, actions = [], []
for n in (int, np.int64):
    folder = sys.argv[1] + "/" + n.__name__
    sizes = dict(denoise_steps=n(2), max_backprop_steps=n(2), n_step=n(2), batch_size=n(4))
    parts = dict(field=Network((n(4),)), critic=Network((4,)), encoder=Encoder(False, n(2)))
    agent = SORL(**sizes, **parts)
    numbers = dict(updates=n(2), log_every=n(2), checkpoint_every=n(2), tasks=[n(0)])
    data = [bandit(jax.random.key(0), 8)]
    options = dict(keys=seed_keys([n(0)]), checkpoint_dir=folder, progress=False)
    state = seed_state(train_seeds(agent, data, **numbers, **options).state, n(0))
    save_agent(folder + "/agent", agent, state, AgentInfo("a bandit", updates=n(2), seed=n(0)))
    loaded, state, info = load_agent(folder + "/agent")
    obs, setting = data[0].observations, dict(steps=n(2), candidates=n(3))
    agents.append((loaded, info))
    actions.append(act(loaded, state, obs, jax.random.key(0), **setting))
assert agents[0] == agents[1]
np.testing.assert_array_equal(actions[0], actions[1])
"""


@pytest.mark.thorough
def test_numbers_of_numpy_do_what_those_of_python_do(tmp_path):
    # In a process of its own, for here annotations refuse them where `int` is written.
    done = subprocess.run(
        [sys.executable, "-c", NUMPY_NUMBERS, tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_cores_are_devices_if_asked_before_jax_starts():
    script = """
import os
os.cpu_count = lambda: 3
from sorl_edu.experiments import benchmark
from sorl_edu import cli  # to import is not to start
from sorl_edu.training import use_all_cores
use_all_cores()
import jax
print(len(jax.devices()))
os.cpu_count = lambda: 5
use_all_cores()
print(len(jax.devices()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["3", "3"], done.stderr


THREE_SEEDS_ON_TWO_DEVICES = """
import sys
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
from sorl_edu.agents import BC
from sorl_edu.agents.agent import Encoder, Network
from sorl_edu.datasets.toy import bandit
from sorl_edu.training import seed_keys, seed_state, train, train_seeds

agent = BC(policy=Network((8,)), encoder=Encoder(False, 0), batch_size=8)
data, keys, seen = bandit(jax.random.key(0), 32), seed_keys(range(3)), []
options = dict(log_every=2, checkpoint_every=2, validation=data, progress=False)
options |= dict(on_log=lambda done, state: seen.append(state))
folder = dict(checkpoint_dir=sys.argv[1])
train_seeds(agent, data, updates=2, keys=keys, **options, **folder)
resumed = train_seeds(agent, data, updates=4, keys=keys, **options, **folder)
whole = train_seeds(agent, data, updates=4, keys=keys, **options)
assert resumed.history.equals(whole.history) and sorted(whole.history.seed.unique()) == [0, 1, 2]
for one, other in zip(jax.tree.leaves(resumed.state), jax.tree.leaves(whole.state), strict=True):
    np.testing.assert_array_equal(one, other)
assert {len(leaf) for state in [whole.state, *seen] for leaf in jax.tree.leaves(state)} == {3}
for i in range(3):
    alone = train(agent, data, updates=4, key=keys[i], **options).state
    same = lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    jax.tree.map(same, alone, seed_state(whole.state, i))
"""


@pytest.mark.thorough
def test_seeds_that_devices_cannot_share_evenly_learn_what_each_learns_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", THREE_SEEDS_ON_TWO_DEVICES, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("local", "seeds", "used"), [(2, 1, 1), (2, 3, 2), (2, 4, 2), (8, 5, 5), (8, 9, 5), (1, 7, 1)]
)
def test_no_device_gets_more_seeds_than_it_must_and_none_is_idle(monkeypatch, local, seeds, used):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1] * local)
    assert devices.seed_mesh(seeds).size == used
