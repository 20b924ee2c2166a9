"""Lesson 5, test-time scaling: spend more compute on an action without training again.

Two ways, and they combine. *Sequential*: take more steps m through the shortcut field, also more
than were ever back-propagated through. *Parallel*: draw N candidates and let the critic, as a
verifier, keep the best one:

    a^(1) ... a^(N) ~ pi(. | o)
    a = a^(n),  n = argmax_n V(o, a^(n)),  V(o, a) = agg_i Q_i(o, a)

Nothing here knows what a shortcut is: any policy that turns noise into an action can be scaled in
parallel.

Source: Espinosa-Dice et al., SORL, 2025, arXiv 2505.22866, section on inference-time scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sorl_edu.errors import check

# a ~ pi(. | o) as sample(obs, noise): (batch, obs), (batch, action) to actions (batch, action).
Sampler = Callable[[Array, Array], Array]

# V(o, a) as value(obs, action): (batch, obs), (batch, action) to (batch,).
Value = Callable[[Array, Array], Array]

MAX_STEPS = 1024
MAX_ROWS = 2**22  # candidates x observations whose activations fit in a few GiB


class Proposal(NamedTuple):
    """N candidates for each of B observations, what each is worth, and the one that was chosen."""

    actions: Float[Array, "candidates batch action"]
    q: Float[Array, "candidates batch"] | None
    """V(o, a); None for a policy without a critic, whose first candidate is chosen."""
    chosen: Int[Array, " batch"]
    """The index n of the best candidate."""

    @property
    def action(self) -> Float[Array, "batch action"]:
        """The chosen candidate of each observation."""
        return take(self.actions, self.chosen)


def check_budget(
    steps: int | np.integer, candidates: int | np.integer, batch: int | np.integer = 1
) -> None:
    """Raises ConfigError for steps m or candidates N that no policy can run."""
    check(
        1 <= steps <= MAX_STEPS,
        f"steps (m) must be at least 1 and at most {MAX_STEPS}, got {steps}",
    )
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
    sample: Sampler,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "candidates batch noise"],
) -> Float[Array, "candidates batch action"]:
    """a^(1) ... a^(N) ~ pi(. | o) for every observation, from the given noise."""
    return jax.vmap(sample, in_axes=(None, 0))(obs, noise)


def score(
    value: Value,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "candidates batch action"],
) -> Float[Array, "candidates batch"]:
    """V(o, a^(n)) of every candidate: how good the verifier thinks it is."""
    return jax.vmap(value, in_axes=(None, 0))(obs, actions)


def choose(values: Float[Array, "candidates batch"]) -> Int[Array, " batch"]:
    """For each observation, the index of its most valued candidate."""
    return jnp.argmax(values, axis=0)


def choose_softly(
    values: Float[Array, "candidates batch"], temperature: float, key: PRNGKeyArray
) -> Int[Array, " batch"]:
    """For each observation, an index n drawn from softmax_n(V / temperature); 0 for `choose`.

    The larger the temperature, the less the choice depends on the values.
    """
    if temperature == 0:
        return choose(values)
    return jax.random.categorical(key, values / temperature, axis=0)


def choice_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the choice among candidates: the n-th of them draws with fold_in(key, n)."""
    return jax.random.fold_in(key, MAX_ROWS)  # no candidate's


def take(
    actions: Float[Array, "candidates batch action"], chosen: Int[Array, " batch"]
) -> Float[Array, "batch action"]:
    """For each observation b, its candidate chosen[b]."""
    return jnp.take_along_axis(actions, chosen[None, :, None], axis=0)[0]


def best_of_n(
    actions: Float[Array, "candidates batch action"], values: Float[Array, "candidates batch"]
) -> Float[Array, "batch action"]:
    """For each observation, its most valued candidate."""
    return take(actions, choose(values))


def propose(
    sample: Sampler,
    value: Value | None,
    obs: Float[Array, "batch obs"],
    noise: Float[Array, "candidates batch noise"],
) -> Proposal:
    """N candidates for every observation, one from each noise, valued and chosen from.

    Args:
        sample: the policy.
        value: the verifier; without one, the first candidate is chosen.
        obs: o.
        noise: a_0 of every candidate, as `candidate_noise` makes it; wider than an action for a
            policy that needs more noise on its way.
    """
    actions = draw_candidates(sample, obs, noise)
    if value is None:
        return Proposal(actions, None, jnp.zeros(len(obs), jnp.int32))
    values = score(value, obs, actions)
    return Proposal(actions, values, choose(values))


def network_evaluations(steps: int, candidates: int, ensemble: int = 2) -> int:
    """Forward passes per action: N m through the field and, to choose among N > 1, N per critic."""
    return candidates * steps + (candidates * ensemble if candidates > 1 else 0)
