"""A dataset of transitions, stored once, and the batches drawn from it.

Trajectories follow one another, each with its last state. Row i is the transition
(o_i, a_i, r_i, o_{i+1}) unless o_i is the last state of its trajectory, so next observations
need no second copy (the compact layout of OGBench).

         |<---- trajectory 1 ---->|<---- trajectory 2 ---->|
    o     o0   o1   o2   o3   o4    o0   o1   o2   o3   o4
    last   0    0    0    0    1     0    0    0    0    1
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from sorl_edu.environments.recording import Recording
from sorl_edu.errors import DataError, check
from sorl_edu.temporal_difference import Batch, n_step_returns


@struct.dataclass
class Transitions:
    """A whole dataset on the device, from `Transitions.create` or `Transitions.from_recording`."""

    observations: Float[Array, "rows obs"]
    actions: Float[Array, "rows action"]
    rewards: Float[Array, " rows"]
    masks: Float[Array, " rows"]
    last: Bool[Array, " rows"]  # the last state of its trajectory: no transition starts here
    horizons: Int[Array, " rows"]  # o' of row i is row i + horizons[i]
    starts: Int[Array, " transitions"]  # the rows at which a transition starts

    @classmethod
    def create(cls, observations, actions, rewards, masks, terminals) -> Transitions:
        """Checks arrays in OGBench's layout and puts them on the device as float32.

        Args:
            observations: (rows, obs), every state of every trajectory.
            actions: (rows, action) in [-1, 1]; the last row of a trajectory is ignored.
            rewards: (rows,).
            masks: (rows,), 0 where the task ends (no bootstrap), else 1.
            terminals: (rows,), 1 at the last state of each trajectory.

        Raises:
            DataError: an array has a wrong shape, or a value out of range; the message names the
                row.
        """
        arrays = {
            "observations": np.asarray(observations, np.float32),
            "actions": np.asarray(actions, np.float32),
            "rewards": np.asarray(rewards, np.float32),
            "masks": np.asarray(masks, np.float32),
            "terminals": np.asarray(terminals, np.float32),
        }
        rows = len(arrays["observations"])
        for name, array in arrays.items():
            width = 2 if name in ("observations", "actions") else 1
            check(
                array.ndim == width and len(array) == rows and array.size > 0,
                f"{name} has shape {array.shape}; expected {width} dimension(s) and {rows} rows",
                DataError,
            )
            finite = np.isfinite(array).reshape(rows, -1).all(1)
            check(
                bool(finite.all()),
                f"{name} is NaN or infinite in row {np.argmin(finite)}",
                DataError,
            )
        size = np.abs(arrays["actions"]).max(1)
        check(
            bool(size.max() <= 1 + 1e-5),
            f"actions must lie in [-1, 1]; row {size.argmax()} reaches {size.max():.4g}. "
            "Rescale them by the environment's action range",
            DataError,
        )
        valid = np.isin(arrays["masks"], (0, 1))
        row = valid.argmin()
        check(
            bool(valid.all()),
            f"masks must be 0 (the task ends) or 1; row {row} has {arrays['masks'][row]:g}",
            DataError,
        )
        last = arrays.pop("terminals") > 0
        check(bool(last[-1]), "the last row must be a trajectory's end (terminals = 1)", DataError)
        starts = np.flatnonzero(~last)
        check(len(starts) > 0, "no transition: every row is a trajectory's end", DataError)
        return cls(
            **{name: jnp.asarray(array) for name, array in arrays.items()},
            last=jnp.asarray(last),
            horizons=jnp.ones(rows, jnp.int32),
            starts=jnp.asarray(starts, jnp.int32),
        )

    @classmethod
    def from_recording(cls, recording: Recording) -> Transitions:
        """The episodes of a roll-out as trajectories, one after the other.

        Args:
            recording: as `environments.rollout.rollout` returns it, NaN after an episode's end.

        Raises:
            DataError: as `create`; for example an action outside [-1, 1].
        """
        # An episode has one more state than transitions. The values of its last row are ignored.
        after = ((0, 0), (0, 1))
        stepped = ~np.isnan(recording.rewards)
        exists = np.pad(stepped, ((0, 0), (1, 0)), constant_values=True)
        starts = np.pad(stepped, after)
        columns = {
            "actions": np.pad(recording.actions, (*after, (0, 0))),
            "rewards": np.pad(recording.rewards, after),
            "masks": np.pad(recording.masks, after),
        }
        for name, column in columns.items():
            column[~starts] = name == "masks"
        return cls.create(
            observations=recording.observations[exists],
            terminals=~starts[exists],
            **{name: column[exists] for name, column in columns.items()},
        )

    def __len__(self) -> int:
        """The number of transitions."""
        return len(self.starts)

    def with_n_step_returns(self, n: int, discount: float) -> Transitions:
        """The dataset with n-step returns, masks and horizons in place of those of single steps.

        Args:
            n: largest number of rewards in a return, at least 1.
            discount: gamma, in [0, 1].

        Raises:
            ConfigError: n is below 1.

        Source: `temporal_difference.n_step_returns`.
        """
        rewards, masks, horizons = n_step_returns(self.rewards, self.masks, self.last, n, discount)
        return self.replace(rewards=rewards, masks=masks, horizons=horizons)

    def with_action_chunks(self, horizon: int) -> Transitions:
        """The dataset with h actions in a row as one: (rows, h * action).

        Transitions start only where all h actions are of one trajectory, and `last` marks the rows
        where none does. Rewards and next observations stay as they are: `with_n_step_returns`
        makes those of h steps, before this.

        Args:
            horizon: h, at least 1.

        Raises:
            ConfigError: horizon is below 1.
            DataError: no trajectory has h transitions.
        """
        check(horizon >= 1, f"horizon must be at least 1, got {horizon}")
        rows = np.arange(len(self.last))[:, None] + np.arange(horizon)
        inside = rows[:, -1] < len(self.last)
        rows = np.minimum(rows, len(self.last) - 1)
        complete = inside & ~np.asarray(self.last)[rows].any(1)
        starts = np.flatnonzero(complete)
        check(
            len(starts) > 0,
            f"no trajectory is long enough for chunks of {horizon} actions",
            DataError,
        )
        return self.replace(
            actions=self.actions[rows].reshape(len(rows), -1),
            last=jnp.asarray(~complete),
            starts=jnp.asarray(starts, jnp.int32),
        )

    def at(self, rows: Int[Array, " batch"]) -> Batch:
        """The transitions that start at `rows`."""
        return self._batch(rows, self.rewards[rows], self.masks[rows], self.horizons[rows])

    def sample(self, key: PRNGKeyArray, batch_size: int) -> Batch:
        """A batch of transitions, drawn uniformly with replacement."""
        return self.at(self.draw(key, batch_size))

    def draw(self, key: PRNGKeyArray, batch_size: int) -> Int[Array, " batch"]:
        """Rows at which a transition starts."""
        return self.starts[jax.random.randint(key, (batch_size,), 0, len(self))]

    def _batch(self, rows: Array, rewards: Array, masks: Array, horizons: Array) -> Batch:
        next_rows = rows + horizons
        return Batch(
            observations=self.observations[rows],
            actions=self.actions[rows],
            rewards=rewards,
            masks=masks,
            horizons=horizons.astype(jnp.float32),
            next_observations=self.observations[next_rows],
            next_actions=self.actions[next_rows],
            next_acted=1.0 - self.last[next_rows],
        )


@struct.dataclass
class TaskSet:
    """Several tasks on the same trajectories, which are stored once.

    OGBench's tasks of one environment differ in rewards, and in the masks and horizons that follow
    from them.
    """

    shared: Transitions  # with rewards, masks and horizons of the first task
    rewards: Float[Array, "tasks rows"]
    masks: Float[Array, "tasks rows"]
    horizons: Int[Array, "tasks rows"]

    @classmethod
    def create(cls, tasks: Sequence[Transitions]) -> TaskSet:
        """The tasks stacked; raises DataError if their trajectories differ."""
        first = tasks[0]
        for other in tasks[1:]:
            for name in ("observations", "actions", "last"):
                one, another = getattr(first, name), getattr(other, name)
                check(
                    one is another or bool(jnp.array_equal(one, another)),
                    f"the tasks differ in {name}: they must belong to the same dataset",
                    DataError,
                )
        rows = {
            name: jnp.stack([getattr(task, name) for task in tasks])
            for name in ("rewards", "masks", "horizons")
        }
        return cls(first, **rows)

    def sample(self, key: PRNGKeyArray, batch_size: int, task: Int[Array, ""]) -> Batch:
        """A batch of one task's transitions; the same rows for the same key, whatever the task."""
        rows = self.shared.draw(key, batch_size)
        return self.shared._batch(
            rows, self.rewards[task, rows], self.masks[task, rows], self.horizons[task, rows]
        )
