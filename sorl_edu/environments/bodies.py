"""A learner that is lesser than the expert: it moves worse, or sees less, in the same worlds.

    force = a * forward   where a > 0        # 0.4 is slower, 0 lacks the direction
            a * backward  where a < 0
    force = turned(force) + drift            # it steers askew, and something pulls it
    o     = the state where it sees, 0 where it is blind

The expert's actions are no longer to be copied: an imitator must find out by practice which of its
mistakes are costly (lesson 9).

Source: Espinosa-Dice et al., 2025, arXiv 2503.13162, where a humanoid's body is changed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sorl_edu.environments.worlds import Outcome, Worlds
from sorl_edu.errors import check


@dataclass(frozen=True)
class Body:
    """What a learner can do and see, along each coordinate of an action or observation.

    Raises:
        ConfigError: other numbers of coordinates, or a strength outside [0, 1].
    """

    forward: tuple[float, ...]
    """The part of a positive action that arrives."""
    backward: tuple[float, ...]
    """The part of a negative action that arrives."""
    sees: tuple[bool, ...]
    """Whether it sees each coordinate of an observation."""
    turned: float = 0.0
    """The angle from the first two coordinates of an action to those of its force, in degrees from
    x to y."""
    drift: tuple[float, ...] = ()
    """A force that is added to its own; none unless given."""

    def __post_init__(self) -> None:
        check(
            len(self.forward) == len(self.backward) > 0 and len(self.sees) > 0,
            f"forward and backward need a strength for each coordinate of an action: {self}",
        )
        strengths = self.forward + self.backward
        check(
            all(0 <= strength <= 1 for strength in strengths),
            f"strengths must be in [0, 1], got {strengths}",
        )
        check(
            len(self.drift) in (0, len(self.forward)) and all(abs(part) < 1 for part in self.drift),
            f"drift needs a number in (-1, 1) for each coordinate of an action: {self.drift}",
        )
        check(self.turned == 0 or len(self.forward) > 1, "one coordinate can't be turned")

    def force(
        self, actions: Float[np.ndarray, "*rows action"]
    ) -> Float[np.ndarray, "*rows action"]:
        """What arrives of an action in [-1, 1]; in [-1, 1], too."""
        forces = actions * np.where(actions > 0, self.forward, self.backward)
        if self.turned:
            cos, sin = np.cos(np.deg2rad(self.turned)), np.sin(np.deg2rad(self.turned))
            forces[..., :2] = forces[..., :2] @ np.array([[cos, sin], [-sin, cos]])
        return np.clip(forces + np.array(self.drift or 0), -1, 1).astype(np.float32)

    def view(self, observations: Float[np.ndarray, "*rows obs"]) -> Float[np.ndarray, "*rows obs"]:
        """What it sees of an observation; 0 where it is blind."""
        return np.where(self.sees, observations, 0).astype(np.float32)


POINT = Body(forward=(1.0, 1.0), backward=(1.0, 1.0), sees=(True, True))
"""A PointMaze's body as OGBench has it: the expert's."""

LESSER_POINTS: dict[str, Body] = {
    "slower": replace(POINT, forward=(0.4, 0.4), backward=(0.4, 0.4)),
    "blind": replace(POINT, sees=(True, False)),
    "one way": replace(POINT, backward=(0.0, 1.0)),  # never to the left
    "turned": replace(POINT, turned=45.0),
    "drifting": replace(POINT, drift=(-0.5, 0.0)),  # to the left
}
"""Learners of a PointMaze, each lesser in one way."""


class EmbodiedWorlds:
    """Worlds as a body acts in them and sees them. States are the worlds' own, for `reset`.

    A step is `repeat` steps of the worlds with the same action. Episodes last `limit` of them. The
    end of the task is no end of an episode: a learned reward may have any offset, which would make
    an early end a prize or a punishment.

    Args:
        worlds: where it acts.
        body: what it can do and see.
        limit: steps of an episode; as many as the worlds' own limit allows unless given.
        repeat: steps of the worlds in one of these.

    Raises:
        ConfigError: the body has other widths than the worlds, repeat is below 1, or limit is not
            from 1 to what theirs allows.
    """

    def __init__(
        self, worlds: Worlds, body: Body, limit: int | None = None, repeat: int = 1
    ) -> None:
        widths, expected = (len(body.sees), len(body.forward)), (worlds.obs_dim, worlds.action_dim)
        check(
            widths == expected,
            f"the body sees {widths[0]} coordinates and moves {widths[1]}; {worlds.name} has "
            f"{expected[0]} and {expected[1]}",
        )
        check(repeat >= 1, f"repeat must be at least 1, got {repeat}")
        most = worlds.limit // repeat
        self.limit = most if limit is None else limit
        check(1 <= self.limit <= most, f"limit must be from 1 to {most}, got {self.limit}")
        self.worlds, self.body, self.repeat, self.count = worlds, body, repeat, worlds.count
        self.name = f"{worlds.name}, {self.limit} steps of {repeat}, {body}"
        self.obs_dim, self.action_dim = expected
        self.state_dim = worlds.state_dim

    def entered(self, seed: int) -> contextlib.AbstractContextManager:
        return self.worlds.entered(seed)

    def reset(
        self, world: int, seed: int, state: Float[np.ndarray, " state"] | None = None
    ) -> Float[np.ndarray, " obs"]:
        return self.body.view(self.worlds.reset(world, seed, state))

    def step(self, actions: Float[np.ndarray, "worlds action"]) -> Outcome:
        forces = self.body.force(actions)
        outcomes = [self.worlds.step(forces) for _ in range(self.repeat)]
        return Outcome(
            observations=self.body.view(outcomes[-1].observations),
            rewards=np.sum([outcome.rewards for outcome in outcomes], axis=0),
            terminated=np.zeros_like(outcomes[-1].terminated),
            success=np.any([outcome.success for outcome in outcomes], axis=0),
        )

    def states(self) -> Float[np.ndarray, "worlds state"]:
        return self.worlds.states()
