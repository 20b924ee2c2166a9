"""The compact layout: what is a transition, what is drawn, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import SORL
from sorl_edu.datasets.transitions import TaskSet, Transitions
from sorl_edu.environments.recording import Recording
from sorl_edu.errors import DataError


def arrays(rows=7):
    """Trajectories of 4 and 3 rows; everything in row i has the value i, or i / 10."""
    return {
        "observations": np.arange(rows)[:, None] * [1.0, 10.0],
        "actions": np.arange(rows)[:, None] / 10,
        "rewards": np.arange(rows, dtype=float),
        "masks": np.ones(rows),
        "terminals": np.isin(np.arange(rows), [3, rows - 1]),
    }


def test_a_transition_joins_a_row_to_the_next_of_its_trajectory():
    data = Transitions.create(**arrays())
    np.testing.assert_array_equal(data.starts, [0, 1, 2, 4, 5])
    assert len(data) == 5
    batch = data.at(data.starts)
    np.testing.assert_array_equal(batch.observations[:, 0], [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(batch.next_observations, [[i, 10 * i] for i in [1, 2, 3, 5, 6]])
    np.testing.assert_allclose(batch.actions[:, 0], [0, 0.1, 0.2, 0.4, 0.5])
    np.testing.assert_array_equal(batch.rewards, [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(batch.masks, np.ones(5))
    np.testing.assert_array_equal(batch.horizons, np.ones(5))


def test_batches_are_uniform_over_transitions_and_rows_stay_together():
    data = Transitions.create(**arrays())
    n = 20_000
    batch = jax.jit(lambda key: data.sample(key, n))(jax.random.key(0))
    rows = np.asarray(batch.rewards, int)
    counts = np.bincount(rows, minlength=7)
    assert counts[[3, 6]].sum() == 0
    expected, spread = n / 5, np.sqrt(n * 0.2 * 0.8)
    assert np.all(np.abs(counts[[0, 1, 2, 4, 5]] - expected) < 5 * spread)
    np.testing.assert_array_equal(batch.observations[:, 0], rows)
    np.testing.assert_array_equal(batch.next_observations[:, 0], rows + 1)
    np.testing.assert_allclose(batch.actions[:, 0], rows / 10, atol=1e-6)


def test_the_key_decides_the_batch(transitions):
    one, same, other = (
        transitions.sample(jax.random.key(seed), 8).observations for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_arrays_become_float32_on_the_device(transitions):
    for name in ("observations", "actions", "rewards", "masks"):
        array = getattr(transitions, name)
        assert isinstance(array, jax.Array) and array.dtype == jnp.float32


def changed(name, row, value):
    made = {key: np.array(array, float) for key, array in arrays().items()}
    made[name][row] = value
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "masks", "terminals"])
def test_what_is_not_finite_is_refused_with_its_row(name, value):
    with pytest.raises(DataError, match=f"{name} is NaN or infinite in row 2"):
        Transitions.create(**changed(name, 2, value))


@pytest.mark.parametrize("value", [1.5, -1.5])
def test_actions_out_of_range_are_refused_with_row_and_size(value):
    with pytest.raises(DataError, match=r"\[-1, 1\]; row 4 reaches 1.5\. Rescale"):
        Transitions.create(**changed("actions", 4, value))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5])
def test_masks_other_than_0_and_1_are_refused_with_row_and_value(value):
    with pytest.raises(DataError, match=rf"masks must be 0 .* or 1; row 5 has {value:g}$"):
        Transitions.create(**changed("masks", 5, value))


def test_masks_may_be_booleans():
    data = Transitions.create(**(arrays() | {"masks": np.arange(7) != 2}))
    np.testing.assert_array_equal(data.masks, [1, 1, 0, 1, 1, 1, 1])


def test_actions_may_reach_the_bounds_within_rounding():
    Transitions.create(**changed("actions", 4, 1 + 1e-6))
    Transitions.create(**changed("actions", 4, -1))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations", np.zeros(7), r"observations has shape \(7,\); expected 2"),
        ("actions", np.zeros((6, 1)), r"actions has shape \(6, 1\).*7 rows"),
        ("actions", np.zeros((7, 0)), "actions has shape"),
        ("rewards", np.zeros((7, 1)), r"rewards has shape \(7, 1\); expected 1"),
        ("masks", np.zeros(8), r"masks has shape \(8,\).*7 rows"),
        ("terminals", np.zeros(3), r"terminals has shape \(3,\).*7 rows"),
        ("terminals", np.zeros(7), "the last row must be a trajectory's end"),
        ("terminals", np.ones(7), "no transition"),
    ],
)
def test_wrong_shapes_and_trajectories_are_refused(name, value, message):
    with pytest.raises(DataError, match=message):
        Transitions.create(**(arrays() | {name: value}))


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="observations has shape"):
        Transitions.create(**{name: array[:0] for name, array in arrays().items()})


def test_a_recording_becomes_the_transitions_that_were_taken():
    """Episodes of 2 and 3 steps, the first of which ends the task; NaN after its end."""
    nan = np.nan
    recording = Recording(
        observations=np.array([[[0.0], [1], [2], [nan]], [[10], [11], [12], [13]]], np.float32),
        actions=np.array([[[0.0], [0.1], [nan]], [[0.5], [0.6], [0.7]]], np.float32),
        rewards=np.array([[-1.0, 0, nan], [-1, -2, -3]], np.float32),
        masks=np.array([[1.0, 0, nan], [1, 1, 1]], np.float32),
    )
    data = Transitions.from_recording(recording)
    np.testing.assert_array_equal(data.observations[:, 0], [0, 1, 2, 10, 11, 12, 13])
    np.testing.assert_array_equal(data.last, [0, 0, 1, 0, 0, 0, 1])
    batch = data.at(data.starts)
    np.testing.assert_array_equal(batch.observations[:, 0], [0, 1, 10, 11, 12])
    np.testing.assert_array_equal(batch.next_observations[:, 0], [1, 2, 11, 12, 13])
    np.testing.assert_allclose(batch.actions[:, 0], [0, 0.1, 0.5, 0.6, 0.7])
    np.testing.assert_array_equal(batch.rewards, [-1, 0, -1, -2, -3])
    np.testing.assert_array_equal(batch.masks, [1, 0, 1, 1, 1])
    assert np.isnan(recording.actions[0, 2]).all()  # the recording stays as it was


def test_a_recording_with_a_wrong_value_is_refused(transitions):
    bad = Recording(
        observations=np.array([[[0.0], [np.nan], [2]]], np.float32),
        actions=np.zeros((1, 2, 1), np.float32),
        rewards=np.zeros((1, 2), np.float32),
        masks=np.ones((1, 2), np.float32),
    )
    with pytest.raises(DataError, match="observations is NaN or infinite in row 1"):
        Transitions.from_recording(bad)


def test_the_dataset_is_a_pytree_and_survives_transformations(transitions):
    doubled = jax.jit(lambda data: jax.tree.map(lambda leaf: leaf, data))(transitions)
    np.testing.assert_array_equal(doubled.observations, transitions.observations)
    batches = jax.vmap(lambda key: transitions.sample(key, 4))(
        jax.random.split(jax.random.key(0), 3)
    )
    assert batches.observations.shape == (3, 4, 3)


def test_a_million_rows_of_humanoidmaze_and_its_five_tasks_fit_in_0_6_gib():
    """69 numbers of observation and 21 of action, held once; measured in what JAX keeps alive."""
    rows = 1_001_000
    before = {id(array) for array in jax.live_arrays()}
    data = Transitions.create(
        observations=np.zeros((rows, 69), np.float32),
        actions=np.zeros((rows, 21), np.float32),
        rewards=-np.ones(rows),
        masks=np.ones(rows),
        terminals=np.arange(rows) % 1001 == 1000,
    )
    agent = SORL(n_step=5)
    held = TaskSet.create([agent.prepare(data)] * 5)
    batch = held.sample(jax.random.key(0), 256, jnp.int32(4))
    assert batch.next_observations.shape == (256, 69)
    kept = sum(array.nbytes for array in jax.live_arrays() if id(array) not in before)
    assert 1e6 * 4 * (69 + 21) < kept < 0.6 * 2**30


def test_tasks_share_rows_and_differ_in_rewards(transitions):
    other = transitions.replace(rewards=transitions.rewards + 5, masks=1 - transitions.masks)
    tasks = TaskSet.create([transitions, other])
    key = jax.random.key(3)
    for task, alone in enumerate((transitions, other)):
        batch = tasks.sample(key, 32, jnp.int32(task))
        for one, expected in zip(
            jax.tree.leaves(batch), jax.tree.leaves(alone.sample(key, 32)), strict=True
        ):
            np.testing.assert_array_equal(one, expected)


def test_tasks_of_different_data_are_refused(transitions):
    other = transitions.replace(actions=-transitions.actions)
    with pytest.raises(DataError, match="differ in actions"):
        TaskSet.create([transitions, other])
