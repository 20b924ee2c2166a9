"""Lesson 5, test-time scaling: spend more compute on an action without training again.

Two ways, and they combine. *Sequential*: take more steps m through the shortcut field, also more
than were ever back-propagated through. *Parallel*: draw N candidates and let the critic, as a
verifier, keep the best one:

    a^(1) ... a^(N) ~ pi(. | o, m)
    a = a^(n),  n = argmax_n agg_i Q_i(o, a^(n), m)

Source: Espinosa-Dice et al., SORL, 2025, arXiv 2505.22866, section on inference-time scaling.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sorl_edu.errors import check
from sorl_edu.flow_matching import Field
from sorl_edu.shortcut import check_steps, sample_from
from sorl_edu.temporal_difference import Aggregation, Critic, aggregate, steps_column

MAX_STEPS = 1024
MAX_ROWS = 2**22  # candidates x observations whose activations fit in a few GiB


@struct.dataclass
class Proposal:
    """N candidates for each of B observations, the critic's value of each, and the one chosen."""

    actions: Array  # (N, B, action)
    q: Array  # (N, B)
    chosen: Array  # (B,), the index n of the best candidate

    @property
    def action(self) -> Float[Array, "batch action"]:
        return best_of_n(self.actions, self.q)


def check_budget(steps: int, candidates: int, batch: int = 1) -> None:
    """Raises ConfigError for steps m or candidates N that can't be run."""
    check_steps(steps)
    check(steps <= MAX_STEPS, f"steps must be at most {MAX_STEPS}, got {steps}")
    check(candidates >= 1, f"candidates (N) must be at least 1, got {candidates}")
    check(
        candidates * batch <= MAX_ROWS,
        f"{candidates} candidates for {batch} observations are {candidates * batch:,} rows; at "
        f"most {MAX_ROWS:,} fit in memory. Use fewer candidates, or split the observations",
    )


def candidate_noise(
    key: PRNGKeyArray, candidates: int, batch: int, action_dim: int
) -> Float[Array, "candidates batch action"]:
    """The noise a_0 of each candidate; candidate n is the same whatever N is."""
    keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.arange(candidates))
    return jax.vmap(lambda k: jax.random.normal(k, (batch, action_dim)))(keys)


def draw_candidates(
    field: Field,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "candidates batch action"],
    *,
    steps: int,
    denoise_steps: int,
) -> Float[Array, "candidates batch action"]:
    """a^(1) ... a^(N) ~ pi(. | o, m) for every observation, from the given noise."""
    n, batch, action_dim = noise.shape
    repeated = jnp.broadcast_to(obs, (n, *obs.shape)).reshape(n * batch, -1)
    flat = noise.reshape(n * batch, action_dim)
    return sample_from(field, repeated, flat, steps, denoise_steps=denoise_steps).reshape(
        noise.shape
    )


def score(
    critic: Critic,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "candidates batch action"],
    *,
    steps: int,
    aggregation: Aggregation = "mean",
) -> Float[Array, "candidates batch"]:
    """agg_i Q_i(o, a^(n), m) of every candidate: what the verifier thinks of it."""
    n, batch, action_dim = actions.shape
    repeated = jnp.broadcast_to(obs, (n, *obs.shape)).reshape(n * batch, -1)
    flat = actions.reshape(n * batch, action_dim)
    q = critic(repeated, flat, steps_column(steps, n * batch))
    return aggregate(q, aggregation).reshape(n, batch)


def choose(q: Float[Array, "candidates batch"]) -> Int[Array, " batch"]:
    """For each observation, the index of its most valued candidate."""
    return jnp.argmax(q, axis=0)


def best_of_n(
    actions: Float[Array, "candidates batch action"], q: Float[Array, "candidates batch"]
) -> Float[Array, "batch action"]:
    """For each observation, its most valued candidate."""
    return jnp.take_along_axis(actions, choose(q)[None, :, None], axis=0)[0]


def propose(
    field: Field,
    critic: Critic,
    obs: Float[Array, "batch obs"],
    key: PRNGKeyArray,
    *,
    action_dim: int,
    steps: int,
    candidates: int,
    denoise_steps: int,
    max_backprop_steps: int,
    aggregation: Aggregation = "mean",
) -> Proposal:
    """N candidates of m steps for every observation, valued and chosen from.

    The critic is told min(m, M_BTT) steps: it knows no policy of more.

    Raises:
        ConfigError: m is not a power of two, or m or N is out of range.
    """
    check_budget(steps, candidates, len(obs))
    noise = candidate_noise(key, candidates, len(obs), action_dim)
    actions = draw_candidates(field, obs, noise, steps=steps, denoise_steps=denoise_steps)
    q = score(critic, obs, actions, steps=min(steps, max_backprop_steps), aggregation=aggregation)
    return Proposal(actions=actions, q=q, chosen=choose(q))


def network_evaluations(steps: int, candidates: int, ensemble: int = 2) -> int:
    """Forward passes per action: N m through the field and, to choose among N > 1, N per critic."""
    return candidates * steps + (candidates * ensemble if candidates > 1 else 0)
