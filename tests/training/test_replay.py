"""The replay buffer against a list that is kept beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.errors import ConfigError
from sorl_edu.temporal_difference import Batch
from sorl_edu.training.replay import ReplayBuffer, mixed


def batch(numbers, **parts):
    column = jnp.asarray(numbers, jnp.float32)
    two = jnp.stack([column, -column], 1)
    return Batch(two, two[:, :1], column, column, column, two, **parts)


def test_the_newest_valid_rows_replace_the_oldest():
    rng, kept, buffer = np.random.default_rng(0), [], ReplayBuffer.create(7, batch([0.0]))
    number = 0
    for _ in range(12):
        new = np.arange(number, number + 5)
        valid = rng.random(5) < 0.6
        buffer = buffer.add(batch(new), jnp.asarray(valid))
        kept = [*kept, *new[valid]][-7:]
        number += 5
        assert int(buffer.size) == len(kept)
        held = np.asarray(buffer.transitions.rewards)[: len(kept)]
        assert sorted(held) == kept
    np.testing.assert_array_equal(
        buffer.transitions.observations[:, 1], -buffer.transitions.rewards
    )


def test_samples_are_uniform_over_what_is_held_and_nothing_else():
    buffer = ReplayBuffer.create(10, batch([0.0]))
    buffer = buffer.add(batch([5, 6, 7]), jnp.array([True, False, True]))
    drawn = buffer.sample(jax.random.key(0), 4000)
    values, counts = np.unique(drawn.rewards, return_counts=True)
    np.testing.assert_array_equal(values, [5, 7])
    assert abs(counts[0] - 2000) < 5 * np.sqrt(1000)
    np.testing.assert_array_equal(drawn.next_observations[:, 0], drawn.rewards)


def test_a_mixed_batch_has_whole_rows_of_either():
    one, other = batch(np.zeros(4000)), batch(np.ones(4000))
    both = mixed(jax.random.key(0), one, other, jnp.array(0.3))
    assert abs(float(both.rewards.mean()) - 0.7) < 0.04
    np.testing.assert_array_equal(both.observations[:, 0], both.rewards)
    np.testing.assert_array_equal(mixed(jax.random.key(0), one, other, jnp.array(0.0)).rewards, 1)
    np.testing.assert_array_equal(mixed(jax.random.key(0), one, other, jnp.array(1.0)).rewards, 0)


def test_a_buffer_without_room_is_refused():
    with pytest.raises(ConfigError, match="capacity"):
        ReplayBuffer.create(0, batch([0.0]))
