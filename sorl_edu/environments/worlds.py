"""Several environments that a loop acts in for as long as it likes, and can leave and come back to.

A roll-out runs episodes from their starts to their ends. A loop that learns stops in the middle of
episodes, and must go on there after a restart. So a world's state is a row of numbers, and `reset`
puts it back: the seed brings the episode's task, the row the physics.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from sorl_edu.environments.make import (
    PhysicsState,
    get_state,
    kind_of,
    numpy_seeded,
    reset,
    set_state,
)
from sorl_edu.environments.rollout import make_environments, stepper
from sorl_edu.errors import DataError, check


class Outcome(NamedTuple):
    """What a step of all worlds led to."""

    observations: Float[np.ndarray, "worlds obs"]
    rewards: Float[np.ndarray, " worlds"]
    terminated: Bool[np.ndarray, " worlds"]
    """Where the task ended, so that nothing is expected afterwards."""
    success: Bool[np.ndarray, " worlds"]


@runtime_checkable
class Worlds(Protocol):
    """A batch of environments; one of your own needs these methods and no base class."""

    name: str
    count: int
    limit: int
    """Steps of an episode; the loop counts them."""
    obs_dim: int
    action_dim: int
    state_dim: int

    def entered(self, seed: int) -> contextlib.AbstractContextManager:
        """Within it `reset` and `step` are called; `seed` is of what no episode's seed decides."""

    def reset(
        self, world: int, seed: int, state: Float[np.ndarray, " state"] | None = None
    ) -> Float[np.ndarray, " obs"]:
        """Begins the episode of a seed, or continues it from a state; the first observation."""

    def step(self, actions: Float[np.ndarray, "worlds action"]) -> Outcome:
        """One step of every world."""

    def states(self) -> Float[np.ndarray, "worlds state"]:
        """The states, in double precision, for `reset`."""


class Episodes(NamedTuple):
    """One whole episode in each world, side by side."""

    observations: Float[np.ndarray, "time worlds obs"]
    actions: Float[np.ndarray, "time worlds action"]
    rewards: Float[np.ndarray, "time worlds"]
    states: Float[np.ndarray, "time worlds state"]
    """The states in which the actions were taken, for `Worlds.reset`."""
    running: Bool[np.ndarray, "time worlds"]
    """False after an episode's end, where nothing counts but the steps."""
    success: Bool[np.ndarray, " worlds"]

    @property
    def steps(self) -> int:
        """Environment steps that were taken, those after an episode's end included."""
        return self.running.size

    def pairs(self) -> tuple[Float[np.ndarray, "rows obs"], Float[np.ndarray, "rows action"]]:
        """The observations and actions of all episodes."""
        return self.observations[self.running], self.actions[self.running]


def whole_episodes(
    worlds: Worlds,
    policy: Callable[[Float[np.ndarray, "worlds obs"], int], Float[np.ndarray, "worlds action"]],
    seed: int,
) -> Episodes:
    """One episode in each world, from its own start to its end, the task's or the limit's.

    The worlds are left where the episodes ended.

    Args:
        policy: actions of observations and of the number of the step, from 0.
        seed: of the starts, and of what the worlds draw.
    """
    rows, running = [], np.ones(worlds.count, bool)
    success = np.zeros(worlds.count, bool)
    starts = np.random.SeedSequence(seed).generate_state(worlds.count)
    with worlds.entered(seed):
        obs = np.stack([worlds.reset(world, int(start)) for world, start in enumerate(starts)])
        for t in range(worlds.limit):
            states, actions = worlds.states(), policy(obs, t)
            outcome = worlds.step(actions)
            rows.append((obs, actions, outcome.rewards, states, running.copy()))
            success |= outcome.success & running
            running &= ~outcome.terminated
            obs = outcome.observations.copy()
            if not running.any():
                break
    return Episodes(*map(np.stack, zip(*rows, strict=True)), success)


class OGBenchWorlds:
    """OGBench's environments of one task.

    Args:
        name: an official OGBench single-task name.
        count: number of environments, stepped together.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or count is below 1.
    """

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count
        first = self._environments[0]
        self.limit = first.spec.max_episode_steps
        self.obs_dim = first.observation_space.shape[0]
        self.action_dim = first.action_space.shape[0]
        self.state_dim = len(as_row(get_state(first)))

    @property
    def _environments(self) -> tuple:
        return make_environments(self.name, self.count)  # others may have closed ours

    @contextlib.contextmanager
    def entered(self, seed: int) -> Iterator[None]:
        with numpy_seeded(seed), stepper(self.name) as self._step_all:
            yield

    def reset(
        self, world: int, seed: int, state: Float[np.ndarray, " state"] | None = None
    ) -> Float[np.ndarray, " obs"]:
        env = self._environments[world]
        obs = reset(env, seed)
        return obs if state is None else set_state(env, from_row(env, state))

    def step(self, actions: Float[np.ndarray, "worlds action"]) -> Outcome:
        outcomes = self._step_all(self._environments, actions)
        obs, rewards, terminated, _, infos = zip(*outcomes, strict=True)
        return Outcome(
            np.asarray(obs, np.float32),
            np.asarray(rewards, np.float32),
            np.asarray(terminated, bool),
            np.array([info.get("success", 0) > 0 for info in infos]),
        )

    def states(self) -> Float[np.ndarray, "worlds state"]:
        return np.stack([as_row(get_state(env)) for env in self._environments])


def as_row(state: PhysicsState) -> Float[np.ndarray, " state"]:
    """A physics state as one row of numbers."""
    return np.concatenate([np.asarray(part, float) for part in state if part is not None])


def from_row(env, row: Float[np.ndarray, " state"]) -> PhysicsState:
    """The physics state of a row that `as_row` made in an environment of the same kind.

    Raises:
        DataError: the row has another width.
    """
    blank = get_state(env)
    widths = [0 if part is None else len(part) for part in blank]
    check(len(row) == sum(widths), f"the state has width {len(row)}, not {sum(widths)}", DataError)
    qpos, qvel, buttons, control = np.split(row, np.cumsum(widths)[:-1])
    has_buttons = kind_of(env.spec.id).has_buttons
    return PhysicsState(qpos, qvel, buttons.astype(int) if has_buttons else None, control)
