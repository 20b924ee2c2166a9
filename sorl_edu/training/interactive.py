"""Learning with an environment: act, store, update; resumed bit for bit, every step counted.

    repeat rounds:
        in every k-th round, for an agent that learns its reward too (Demonstrations):
            whole episodes of the agent, from its own starts and without a reset
            state <- agent.learn_reward(state, the expert's pairs, those episodes' pairs)
        in all worlds, round_steps times:                 # episodes go on from round to round
            act with the agent; begin anew where an episode ends      (Resets say where)
        buffer <- agent.prepare(trajectories of the round)            # n-step returns, chunks
        repeat updates_per_step times per step:
            batch          = rows of the buffer, or of the offline data
            state, metrics = agent.update(state, batch, key of u)
        log;  checkpoint

It serves fine-tuning after offline training (`offline` data mixed in) and imitation (`resets`,
`demonstrations`). Each round puts the worlds into the states in which the last one left them,
restarted or not, and everything random comes from the seed and a count: of steps, updates, rounds
or episodes. So a run that was killed ends where the uninterrupted one ends. All steps count, those
of roll-ins and of the whole episodes that the reward learns from included.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt

from sorl_edu.agents.agent import (
    Agent,
    LearnsReward,
    Metrics,
    State,
    act,
    check_dials,
    steps_per_decision,
)
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.rollout import Policy
from sorl_edu.environments.worlds import Episodes, Worlds, whole_episodes
from sorl_edu.errors import DataError, check
from sorl_edu.imitation import ResetMixture
from sorl_edu.progress import progress_bar
from sorl_edu.temporal_difference import Batch
from sorl_edu.training.checkpoints import TrainingCheckpoint
from sorl_edu.training.history import History
from sorl_edu.training.loop import draws, fingerprint, raise_unless_finite
from sorl_edu.training.replay import ReplayBuffer, mixed

ACTING, LEARNING, SHOWING, TEACHING = range(3, 7)  # streams of a seed's key, after those of `loop`


class Start(NamedTuple):
    """How an episode begins."""

    seed: int
    state: Float[np.ndarray, " state"] | None
    """The state that it is put in; its own start unless given."""
    roll_in: int
    """Steps of another policy before the agent acts."""


@dataclass(frozen=True)
class Resets:
    """Where a fraction of the episodes begins: in given states, or where another policy led.

    Raises:
        ConfigError: a fraction outside [0, 1], neither or both kinds, no state, weights that are
            no probabilities of the states, or a roll-in without steps.
    """

    fraction: float
    states: Float[np.ndarray, "rows state"] | None = None
    """States as `Worlds.states` has them, drawn uniformly unless they have weights."""
    weights: Float[np.ndarray, " rows"] | None = None
    """The probability of each state."""
    roll_in: Policy | None = None
    """A policy that acts for t steps, t uniform on 0 .. `longest` - 1, before the agent does."""
    longest: int = 0

    def __post_init__(self) -> None:
        check(0 <= self.fraction <= 1, f"fraction must be in [0, 1], got {self.fraction}")
        check(
            (self.states is None) != (self.roll_in is None),
            "resets need either states or a policy to roll in",
        )
        check(self.states is None or len(self.states) > 0, "resets to states need at least one")
        check(self.roll_in is None or self.longest >= 1, f"longest must be at least 1: {self}")
        check(
            self.weights is None
            or (
                self.states is not None
                and len(self.weights) == len(self.states)
                and bool((self.weights >= 0).all())
                and abs(self.weights.sum() - 1) < 1e-6
            ),
            "weights must be probabilities, one for each state",
        )

    @classmethod
    def of(
        cls,
        mixture: ResetMixture,
        expert: Float[np.ndarray, "rows state"],
        offline: Float[np.ndarray, "other state"] | None = None,
    ) -> Resets | None:
        """The resets of a method: MM (None, it has none), FILTER or GUITAR, by its mixture.

        Args:
            mixture: how often an episode begins in a state of each source.
            expert, offline: states, uniform within a source; `offline` may be missing if the
                mixture has none of it.

        Raises:
            ConfigError: a source that the mixture needs has no state.
        """
        fraction = mixture.expert + mixture.offline
        if fraction == 0:
            return None
        sources = (mixture.expert, expert), (mixture.offline, offline)
        used = [(part, states) for part, states in sources if part > 0]
        check(
            all(states is not None and len(states) > 0 for _, states in used),
            f"{mixture} needs states of each source that it draws from",
        )
        weights = [np.full(len(states), part / fraction / len(states)) for part, states in used]
        return cls(
            fraction, np.concatenate([states for _, states in used]), np.concatenate(weights)
        )

    def draw(self, rng: np.random.Generator, seed: int) -> Start:
        """The start of an episode."""
        if rng.random() >= self.fraction:
            return Start(seed, None, 0)
        if self.states is None:
            return Start(seed, None, int(rng.integers(self.longest)))
        if self.weights is None:
            return Start(seed, self.states[rng.integers(len(self.states))], 0)
        return Start(seed, self.states[rng.choice(len(self.states), p=self.weights)], 0)

    def identity(self) -> dict:
        """All but the policy, which a file can't recognise."""
        found = {"fraction": self.fraction, "states": _crc(self.states), "longest": self.longest}
        return found if self.weights is None else found | {"weights": _crc(self.weights)}


@dataclass(frozen=True)
class Demonstrations:
    """The expert's pairs (o, a), and how often the reward learns from them.

    In every `every`-th round the agent runs a whole episode in each world, from its own start and
    without noise. The reward descends with batches of the expert's pairs and of these.

    Raises:
        ConfigError: no pairs, other numbers of observations and actions, or a count below 1.
    """

    observations: Float[np.ndarray, "rows obs"]
    """As the learner sees them."""
    actions: Float[np.ndarray, "rows action"]
    every: int = 10
    """Rounds between the reward's lessons; the first one is before the first round."""
    updates: int = 1
    """Updates of the reward in a lesson."""
    batch_size: int = 1024
    """Pairs of each kind in an update, drawn with replacement."""

    def __post_init__(self) -> None:
        check(
            len(self.observations) == len(self.actions) > 0,
            f"demonstrations have {len(self.observations)} observations and {len(self.actions)} "
            "actions",
        )
        for name in ("every", "updates", "batch_size"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")

    def identity(self) -> dict:
        counts = {name: getattr(self, name) for name in ("every", "updates", "batch_size")}
        return counts | {"pairs": [_crc(self.observations), _crc(self.actions)]}


def _crc(values: np.ndarray | None) -> int | None:
    return None if values is None else zlib.crc32(np.ascontiguousarray(values))


@struct.dataclass
class Progress:
    """Where every world is, between two rounds. NumPy's arrays."""

    episode: Int[np.ndarray, " worlds"]  # its number; with the run's seed it gives its start
    elapsed: Int[np.ndarray, " worlds"]  # steps so far
    roll_in: Int[np.ndarray, " worlds"]  # steps of the roll-in that are left
    returns: Float[np.ndarray, " worlds"]  # rewards so far
    success: Bool[np.ndarray, " worlds"]
    words: UInt[np.ndarray, "worlds words"]  # the states; JAX would make single precision of them
    begun: Int[np.ndarray, ""]  # episodes begun in all
    rounds: Int[np.ndarray, ""]
    steps: Int[np.ndarray, ""]  # in all worlds, and in all episodes

    def states(self) -> Float[np.ndarray, "worlds state"]:
        return self.words.view(np.float64)


class Segment(NamedTuple):
    """The steps of a round, in all worlds."""

    observations: Float[np.ndarray, "time worlds obs"]
    actions: Float[np.ndarray, "time worlds action"]
    rewards: Float[np.ndarray, "time worlds"]
    terminated: Bool[np.ndarray, "time worlds"]
    next_observations: Float[np.ndarray, "time worlds obs"]
    own: Bool[np.ndarray, "time worlds"]
    """The agent acted, and no roll-in."""
    ended: Bool[np.ndarray, "time worlds"]
    """The episode ended with this step, by its task or its limit."""


@dataclass(frozen=True)
class InteractiveRun:
    """A finished run. `history` has the number of environment steps in its column `update`.

    Its split "train" has the metrics of the updates, and "online" those of the episodes that ended:
    episodes, return, success and length (roll-ins included). With demonstrations, "lesson" has the
    reward's metrics, and the return and success of the whole episodes that it learned from.
    """

    agent: Agent
    state: State
    buffer: ReplayBuffer
    history: pd.DataFrame
    env_steps: int
    seconds: float


@dataclass(frozen=True)
class Interaction:
    """An interactive training of one agent.

    Raises:
        ConfigError: a count below 1, a fraction outside [0, 1], a capacity below a round, or a
            round that is no multiple of the agent's chunks; demonstrations for an agent that
            doesn't learn its reward, or none for one that does.
        DataError (`run`): the worlds have other widths than the agent.
        CheckpointError (`run`): `checkpoint_dir` holds another run's state.
        NonFiniteLoss (`run`): a metric became NaN or infinite.
    """

    agent: Agent
    worlds: Worlds
    env_steps: int
    """Steps in all worlds together; the round in which they are reached is completed."""
    seed: int = 0
    offline: Transitions | None = None
    """Data that are mixed in; as `agent.prepare` takes them."""
    offline_fraction: float | None = None
    """The fraction of a batch that is offline; in proportion to the transitions unless given."""
    capacity: int = 100_000
    """Transitions in the buffer; the newest replace the oldest."""
    round_steps: int = 50
    """Steps of each world between updates."""
    updates_per_step: float = 1.0
    """Updates for each step of a world."""
    warm_up: int = 0
    """Steps of rounds, in all worlds, before the first update."""
    steps: int = 1
    """m of the agent that acts."""
    candidates: int = 1
    """N of the agent that acts."""
    action_noise: float = 0.0
    """Deviation of Gaussian noise on its actions, for an agent that always acts alike."""
    resets: Resets | None = None
    """Where episodes begin; at the environment's own starts unless given."""
    demonstrations: Demonstrations | None = None
    """The expert's data, for an agent that learns its reward."""
    checkpoint_dir: str | Path | None = None
    """Where everything is kept; a run that finds its own resumes from it."""
    checkpoint_every: int = 20
    """Rounds between checkpoints."""
    progress: bool = True
    """Show a progress bar."""

    def __post_init__(self) -> None:
        for name in ("env_steps", "round_steps", "checkpoint_every", "steps", "candidates"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("updates_per_step", "warm_up", "action_noise"):
            check(getattr(self, name) >= 0, f"{name} must not be negative: {getattr(self, name)}")
        fraction, horizon = self.offline_fraction, steps_per_decision(self.agent)
        check(
            fraction is None or 0 <= fraction <= 1, f"offline_fraction: {fraction} is no fraction"
        )
        check(
            fraction is None or self.offline is not None,
            "an offline_fraction needs offline data",
        )
        check(
            self.capacity >= self.steps_of_round,
            f"capacity must be at least a round's {self.steps_of_round} steps, got {self.capacity}",
        )
        check(
            self.round_steps % horizon == 0,
            f"round_steps ({self.round_steps}) must be a multiple of the agent's {horizon} actions",
        )
        check(
            isinstance(self.agent, LearnsReward) == (self.demonstrations is not None),
            f"{type(self.agent).__name__} "
            + ("learns no reward from" if self.demonstrations else "learns its reward, and needs")
            + " demonstrations",
        )

    @property
    def steps_of_round(self) -> int:
        """Environment steps of a round, in all worlds."""
        return self.round_steps * self.worlds.count

    @property
    def updates_of_round(self) -> int:
        return round(self.updates_per_step * self.steps_of_round)

    def updates_after(self, env_steps: int) -> int:
        """How many updates are done after so many steps of rounds, the warm-up without any."""
        return max(0, env_steps // self.steps_of_round - self._idle_rounds) * self.updates_of_round

    @property
    def _idle_rounds(self) -> int:
        return self.warm_up // self.steps_of_round

    @property
    def _most_steps(self) -> int:
        """The most steps that a run can have when it ends."""
        lesson = 0 if self.demonstrations is None else self.worlds.count * self.worlds.limit
        return self.env_steps - 1 + self.steps_of_round + lesson

    def run(self, state: State) -> InteractiveRun:
        """Trains, from `state` or from the checkpoint.

        Args:
            state: as `agent.init` makes it, or as offline training left it, with moments.
        """
        started, agent, history = time.perf_counter(), self.agent, History()
        self._check_widths(state)
        offline = None if self.offline is None else agent.prepare(self.offline)
        checkpoint = TrainingCheckpoint(
            self.checkpoint_dir, self.identity(state), unit="environment steps"
        )
        fresh = jax.tree.map(jnp.copy, state), self._empty_buffer(), self._first_progress()
        kept, done, rows, before = checkpoint.resume(fresh, self._most_steps)
        state, buffer, progress = kept
        progress, history = jax.tree.map(np.array, progress), History(rows)
        with progress_bar(
            total=self.env_steps, initial=done, unit="step", show=self.progress
        ) as bar:
            while done < self.env_steps:
                number = int(progress.rounds)
                if self.demonstrations is not None and number % self.demonstrations.every == 0:
                    state, shown, lesson = self._teach(state, number)
                    progress.steps[...] += shown.steps
                    history.append("lesson", int(progress.steps), lesson)
                segment, progress, episodes = self._act(state, progress, number)
                buffer = self._store(buffer, segment)
                if number >= self._idle_rounds and self.updates_of_round and int(buffer.added):
                    state, metrics = self._learn(state, buffer, offline, number)
                    history.add(metrics)
                bar.update(int(progress.steps) - done)
                done = int(progress.steps)
                bar.set_postfix({k: f"{v:.3g}" for k, v in history.log(done).items()})
                history.append("online", done, _means(episodes))
                if (number + 1) % self.checkpoint_every == 0 or done >= self.env_steps:
                    seconds = before + time.perf_counter() - started
                    checkpoint.save((state, buffer, progress), done, history.rows, seconds)
        seconds = before + time.perf_counter() - started
        return InteractiveRun(agent, state, buffer, history.table(), done, seconds)

    def identity(self, state: State) -> dict:
        """All that decides the result but the number of steps, to recognise a checkpoint by."""
        names = (
            *("seed", "offline_fraction", "capacity", "round_steps", "updates_per_step"),
            *("warm_up", "steps", "candidates", "action_noise"),
        )
        return {name: getattr(self, name) for name in names} | {
            "agent": type(self.agent).__name__,
            "config": asdict(self.agent),
            "first state": fingerprint(state),
            "environment": [self.worlds.name, self.worlds.count],
            "offline data": fingerprint(self.offline),
            "resets": None if self.resets is None else self.resets.identity(),
            "demonstrations": self.demonstrations and self.demonstrations.identity(),
        }

    def _check_widths(self, state: State) -> None:
        worlds, trained = self.worlds, state.action_dim / steps_per_decision(self.agent)
        check(
            (state.obs_dim, trained) == (worlds.obs_dim, worlds.action_dim),
            f"the agent has {state.obs_dim}-wide observations and {trained:g}-wide actions, but "
            f"{worlds.name} has {worlds.obs_dim} and {worlds.action_dim}",
            DataError,
        )
        obs = jnp.zeros((worlds.count, worlds.obs_dim))
        check_dials(self.agent, state, obs, steps=self.steps, candidates=self.candidates)

    # ---------------------------------------------------------------------------------- acting

    def _start(self, episode: int) -> Start:
        rng = np.random.default_rng((self.seed, episode))
        seed = int(rng.integers(2**31))
        return Start(seed, None, 0) if self.resets is None else self.resets.draw(rng, seed)

    def _first_progress(self) -> Progress:
        count = self.worlds.count
        starts = [self._start(episode) for episode in range(count)]
        with self.worlds.entered(self.seed):
            for world, start in enumerate(starts):
                self.worlds.reset(world, start.seed, start.state)
            states = self.worlds.states()
        return Progress(
            episode=np.arange(count, dtype=np.int32),
            elapsed=np.zeros(count, np.int32),
            roll_in=np.array([start.roll_in for start in starts], np.int32),
            returns=np.zeros(count, np.float32),
            success=np.zeros(count, bool),
            words=states.view(np.uint32),
            begun=np.array(count, np.int32),
            rounds=np.array(0, np.int32),
            steps=np.array(0, np.int32),
        )

    def _act(
        self, state: State, progress: Progress, number: int
    ) -> tuple[Segment, Progress, list[dict[str, float]]]:
        """A round of steps, where the worlds are after it, and the episodes that ended in it."""
        worlds, limit = self.worlds, self.worlds.limit
        p = jax.tree.map(np.copy, progress)
        decisions, rows, episodes = Decisions(self, state), [], []
        with worlds.entered(int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])):
            obs = np.stack(
                [
                    worlds.reset(world, self._start(int(episode)).seed, physics)
                    for world, (episode, physics) in enumerate(
                        zip(p.episode, progress.states(), strict=True)
                    )
                ]
            )
            for t in range(number * self.round_steps, (number + 1) * self.round_steps):
                own = p.roll_in == 0
                actions = decisions.actions(obs, own, t)
                outcome = worlds.step(actions)
                p.elapsed[:] += 1
                p.roll_in[~own] -= 1
                p.returns[:] += outcome.rewards
                p.success[:] |= outcome.success
                ended = outcome.terminated | (p.elapsed >= limit)
                after = outcome.observations
                rows.append((obs, actions, outcome.rewards, outcome.terminated, after, own, ended))
                obs = after.copy()
                for world in np.flatnonzero(ended):
                    episodes.append(
                        {
                            "return": float(p.returns[world]),
                            "success": float(p.success[world]),
                            "length": float(p.elapsed[world]),
                        }
                    )
                    obs[world] = self._begin(p, int(world))
                decisions.forget(ended)
            p.words[:] = worlds.states().view(np.uint32)
        p.rounds[...] += 1
        p.steps[...] += self.steps_of_round
        return Segment(*map(np.stack, zip(*rows, strict=True))), p, episodes

    def _begin(self, p: Progress, world: int) -> Float[np.ndarray, " obs"]:
        """Begins the next episode in a world, in place; returns its first observation."""
        p.episode[world] = p.begun
        p.begun[...] += 1
        start = self._start(int(p.episode[world]))
        for column in (p.elapsed, p.returns, p.success):
            column[world] = 0
        p.roll_in[world] = start.roll_in
        return self.worlds.reset(world, start.seed, start.state)

    # -------------------------------------------------------------------------------- learning

    def _rows(self) -> int:
        """Rows of a round's trajectories at most: each has a transition, and a last state."""
        return 2 * self.steps_of_round

    def _empty_buffer(self) -> ReplayBuffer:
        rows, worlds = self._rows(), self.worlds
        blank = Transitions.create(
            np.zeros((rows, worlds.obs_dim)),
            np.zeros((rows, worlds.action_dim)),
            np.zeros(rows),
            np.ones(rows),
            np.arange(rows) == rows - 1,
        )
        return ReplayBuffer.create(self.capacity, self.agent.prepare(blank).at(blank.starts))

    def _store(self, buffer: ReplayBuffer, segment: Segment) -> ReplayBuffer:
        found = trajectories(segment, self._rows(), steps_per_decision(self.agent))
        if found is None:
            return buffer
        data = self.agent.prepare(found)
        valid = np.zeros(self._rows(), bool)
        valid[np.asarray(data.starts)] = True
        return _add(buffer, data.at(jnp.arange(self._rows())), valid)

    def _learn(
        self, state: State, buffer: ReplayBuffer, offline: Transitions | None, number: int
    ) -> tuple[State, dict[str, np.ndarray]]:
        fraction = self.offline_fraction
        if offline is not None and fraction is None:
            fraction = len(offline) / (len(offline) + int(buffer.size))
        good, length = jax.tree.map(jnp.copy, state), self.updates_of_round
        first, key = number * length, jax.random.key(self.seed)
        state, metrics = _updates(
            self.agent, length, state, buffer, offline, fraction or 0.0, key, first
        )
        return state, _checked(metrics, state, first, good)

    def _teach(self, state: State, number: int) -> tuple[State, Episodes, dict[str, np.ndarray]]:
        """The reward learns from whole episodes that no reset began; they, and its metrics."""
        worlds, shown = self.worlds, self.demonstrations
        decisions = Decisions(self, state, stream=SHOWING, noise=0.0)
        everyone, first = np.ones(worlds.count, bool), number * worlds.limit
        episodes = whole_episodes(
            worlds,
            lambda obs, t: decisions.actions(obs, everyone, first + t),
            int(np.random.SeedSequence((self.seed, number, SHOWING)).generate_state(1)[0]),
        )
        pairs = episodes.pairs()
        rows = worlds.count * worlds.limit  # always as many, so that it is compiled once
        learner = tuple(np.resize(part, (rows, part.shape[1])) for part in pairs)
        lesson, metrics = _reward_updates(
            self.agent,
            shown.updates,
            shown.batch_size,
            state,
            (shown.observations, shown.actions),
            learner,
            len(pairs[0]),
            jax.random.key(self.seed),
            number * shown.updates,
        )
        metrics = _checked(metrics, lesson, number * self.updates_of_round, state)
        means = {name: values.mean(1) for name, values in metrics.items()}
        means["return"] = (episodes.rewards * episodes.running).sum(0).mean(keepdims=True)
        means["success"] = episodes.success.mean(keepdims=True)
        return lesson, episodes, means


class Decisions:
    """What is done in each step of a round: by the agent in its chunks, or by the roll-in."""

    def __init__(
        self,
        run: Interaction,
        state: State,
        stream: int = ACTING,
        noise: float | None = None,
    ) -> None:
        self.run, self.state = run, state
        self.noise = run.action_noise if noise is None else noise
        self.horizon = steps_per_decision(run.agent)
        count, width = run.worlds.count, run.worlds.action_dim
        self.plans = np.zeros((count, self.horizon, width), np.float32)
        self.played = np.full(count, self.horizon)
        self.key = jax.random.fold_in(jax.random.key(run.seed), stream)

    def actions(
        self, obs: Float[np.ndarray, "worlds obs"], own: Bool[np.ndarray, " worlds"], t: int
    ) -> Float[np.ndarray, "worlds action"]:
        """The actions of step t, where `own` says which worlds are the agent's."""
        run = self.run
        act_key, noise_key, other_key = _keys_of_step(self.key, t)
        chosen = np.zeros(self.plans[:, 0].shape, np.float32)
        needed = own & (self.played == self.horizon)
        if needed.any():
            plan = act(
                run.agent, self.state, obs, act_key, steps=run.steps, candidates=run.candidates
            )
            self.plans[needed] = np.asarray(plan).reshape(self.plans.shape)[needed]
            self.played[needed] = 0
        mine = np.flatnonzero(own)
        chosen[mine] = self.plans[mine, self.played[mine]]
        self.played[mine] += 1
        if self.noise:
            noise = np.asarray(jax.random.normal(noise_key, chosen.shape))
            chosen = np.clip(chosen + self.noise * noise, -1, 1).astype(np.float32)
        if not own.all():
            other = np.asarray(run.resets.roll_in(obs, other_key), np.float32)
            chosen[~own] = other[~own]
        return chosen

    def forget(self, ended: Bool[np.ndarray, " worlds"]) -> None:
        """Drops the plans of episodes that ended."""
        self.played[ended] = self.horizon


def trajectories(segment: Segment, rows: int, shortest: int = 1) -> Transitions | None:
    """A round's steps as trajectories, one after the other; None if there is none.

    A trajectory ends with its episode, and with the round. Steps of roll-ins are in none.

    Args:
        rows: of the result; the ones that are left over hold nothing.
        shortest: a trajectory of fewer steps is left out.
    """
    spans = [
        (world, first, last)
        for world in range(segment.own.shape[1])
        for first, last in _spans(segment.own[:, world], segment.ended[:, world])
        if last - first >= shortest
    ]
    if not spans:
        return None

    def column(values: np.ndarray, final: Any) -> np.ndarray:
        parts = []
        for world, first, last in spans:
            end = segment.next_observations[last - 1, world] if final is None else final
            parts += [values[first:last, world], np.broadcast_to(end, (1, *values.shape[2:]))]
        stacked = np.concatenate(parts)
        return np.pad(stacked, [(0, rows - len(stacked))] + [(0, 0)] * (stacked.ndim - 1))

    is_last = column(np.zeros(segment.own.shape), 1.0)
    used = sum(last - first + 1 for _, first, last in spans)
    is_last[used:] = 1
    masks = column(1.0 - segment.terminated, 1.0)
    masks[used:] = 1
    return Transitions.create(
        column(segment.observations, None),
        column(segment.actions, 0.0),
        column(segment.rewards, 0.0),
        masks,
        is_last,
    )


def _spans(own: Bool[np.ndarray, " time"], ended: Bool[np.ndarray, " time"]) -> Iterator:
    """(first, last + 1) of every run of the agent's own steps in one episode."""
    first = None
    for t in range(len(own)):
        if own[t] and first is None:
            first = t
        if first is not None and (ended[t] or t + 1 == len(own)):
            yield first, t + 1
            first = None


def _means(episodes: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Means over the episodes that ended, and their number, for a history of one seed."""
    if not episodes:
        return {}
    means = {name: np.array([np.mean([e[name] for e in episodes])]) for name in episodes[0]}
    return {"episodes": np.array([len(episodes)])} | means


def _checked(metrics: Metrics, state: State, first: int, good: State) -> dict[str, np.ndarray]:
    """Metrics (1, updates) of one seed; NonFiniteLoss unless they and the state are finite."""
    found = {name: np.asarray(values)[None] for name, values in metrics.items()}
    one_seed = partial(jax.tree.map, lambda leaf: leaf[None])
    raise_unless_finite(found, one_seed(state), first, one_seed(good))
    return found


_add = jax.jit(ReplayBuffer.add, donate_argnums=0)


@jax.jit
def _keys_of_step(key: PRNGKeyArray, t: int | Array) -> tuple[PRNGKeyArray, ...]:
    return tuple(jax.random.split(jax.random.fold_in(key, t), 3))


@partial(jax.jit, static_argnames=("agent", "length"), donate_argnames="state")
def _updates(
    agent: Agent,
    length: int,
    state: State,
    buffer: ReplayBuffer,
    offline: Transitions | None,
    fraction: float | Array,
    key: PRNGKeyArray,
    first: int | Array,
) -> tuple[State, Metrics]:
    """`length` updates; metrics are (length,)."""

    def batch(key: PRNGKeyArray) -> Batch:
        online_key, offline_key, choice_key = jax.random.split(key, 3)
        online = buffer.sample(online_key, agent.batch_size)
        if offline is None:
            return online
        return mixed(choice_key, offline.sample(offline_key, agent.batch_size), online, fraction)

    def one_update(state: State, u: Array) -> tuple[State, Metrics]:
        batch_key, update_key, shared_key = draws(key, LEARNING, u)
        return agent.update(state, batch(batch_key), update_key, shared_key)

    return jax.lax.scan(one_update, state, first + jnp.arange(length))


@partial(jax.jit, static_argnames=("agent", "length", "batch_size"))
def _reward_updates(
    agent: LearnsReward,
    length: int,
    batch_size: int,
    state: State,
    expert: tuple[Array, Array],
    learner: tuple[Array, Array],
    rows: int | Array,
    key: PRNGKeyArray,
    first: int | Array,
) -> tuple[State, Metrics]:
    """`length` updates of the reward; the first `rows` of the learner's pairs count."""

    def one_update(state: State, u: Array) -> tuple[State, Metrics]:
        own = jax.random.fold_in(jax.random.fold_in(key, TEACHING), u)
        expert_key, learner_key, update_key = jax.random.split(own, 3)

        def drawn(pairs: tuple[Array, Array], count: int | Array, key: PRNGKeyArray) -> tuple:
            chosen = jax.random.randint(key, (batch_size,), 0, count)
            return tuple(jnp.asarray(part)[chosen] for part in pairs)

        theirs = drawn(expert, len(expert[0]), expert_key)
        return agent.learn_reward(state, theirs, drawn(learner, rows, learner_key), update_key)

    return jax.lax.scan(one_update, state, first + jnp.arange(length))
