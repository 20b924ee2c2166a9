"""What checks give to an answer: fields and critics in closed form, and probes of gradients.

A grader runs these beside a stranger's answer, where no check and no solution can be read: nothing
here knows what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from sorl_edu.course.exercises.attempt import with_gradient
from sorl_edu.flow_matching import Field
from sorl_edu.temporal_difference import Critic

# --------------------------------------------------------------------------------------- fields


def require_column(name: str, values: ArrayLike, a_t: Array) -> None:
    """Raises ValueError unless a field's input is (batch, 1): others may broadcast to nonsense."""
    if jnp.shape(values) != (len(a_t), 1):
        raise ValueError(
            f"the field takes {name} as a column, (batch, 1) = ({len(a_t)}, 1), and got the shape "
            f"{jnp.shape(values)}"
        )


def column(like: Array, value: float | Array) -> Float[Array, "batch 1"]:
    """The same value for each row of a batch."""
    return jnp.full((len(like), 1), value)


def swirl(obs: Array, a_t: Array, t: ArrayLike) -> Array:
    """A field that depends on all of its arguments and has no symmetry in t."""
    require_column("t", t, a_t)
    return jnp.sin(2 * a_t + 3 * t) + t**2 * a_t[:, ::-1] + 0.3 * obs - 0.4


def bent_field(obs: Array, a_t: Array, t: ArrayLike, h: ArrayLike) -> Array:
    """A shortcut field that depends on all of its arguments."""
    require_column("t", t, a_t)
    require_column("h", h, a_t)
    return jnp.sin(2 * a_t + 3 * t) + t**2 * a_t[:, ::-1] - 1.7 * h + 0.3 * obs


def bent_flow(obs: Array, a_t: Array, t: ArrayLike) -> Array:
    """A velocity field that depends on all of its arguments."""
    return bent_field(obs, a_t, t, column(a_t, 0.25))


def linear_field(theta: Float[Array, "3"], obs: Array, a_t: Array, t: Array, h: Array) -> Array:
    """A shortcut field with parameters, which depends on all of its arguments."""
    return theta[0] * obs - (theta[1] + t) * a_t + theta[2] * h * a_t


def scaled(function: Callable[..., Array], scale: Array) -> Callable[..., Array]:
    """The function times a number; its arguments may be named, as before."""
    return lambda *inputs, **named: scale * function(*inputs, **named)


def one_step(obs: Array, noise: Array) -> Array:
    """A policy of one step in closed form, which depends on both of its arguments."""
    return jnp.tanh(noise + 0.5 * obs)


# -------------------------------------------------------------------------------------- critics


def signed_critics(obs: Array, actions: Array) -> Float[Array, "2 batch"]:
    """Two closed-form critics; their values have both signs."""
    distance = jnp.sum((actions - 0.3 * obs) ** 2, axis=1)
    return jnp.stack([1.0 - distance, 0.5 - 2 * distance + 0.8 * actions[:, 0]])


def crossing_critics(obs: Array, actions: Array) -> Float[Array, "2 batch"]:
    """Two closed-form critics, which depend on all of their arguments.

    The first is the higher one where the first coordinate of an action is well above 0.
    """
    distance = jnp.sum((actions - 0.3 * obs) ** 2, axis=1)
    side = actions[:, 0]
    return jnp.stack([-2 - distance + side, -2.2 - 0.8 * distance - side])


def quarrelling_critics(obs: Array, actions: Array) -> Float[Array, "3 batch"]:
    """Three critics in closed form that disagree."""
    base = (obs[:, :2] * actions).sum(-1) + jnp.sin(3 * actions[:, 0]) / 2
    return jnp.stack([base, base + 3 * jnp.cos(4 * actions[:, 1]), 1.5 * base - obs[:, 2]])


# --------------------------------------------------------------------------------------- probes


def target_and_gradient(answer: Callable, function: Callable, *case: Any) -> tuple:
    """A target, and how it changes with a parameter of a function: not at all, if it is stopped.

    Args:
        answer: `answer(function, *case)`.
        function: the field or critic that makes the target.
        case: the other arguments.
    """

    def with_scale(scale: Array) -> PyTree:
        return answer(scaled(function, scale), *case)

    return with_gradient(with_scale, jnp.ones(()))


def loss_and_gradient(answer: Callable, critic: Critic, obs: Array, actions: Array) -> tuple:
    """L_Q, and the gradient of its square with respect to the actions."""
    return with_gradient(lambda a: answer(critic, obs, a), actions)


def action_and_gradient(answer: Callable, theta: Array, obs: Array, noise: Array, m: int) -> tuple:
    """a_1 of `linear_field`, and the gradient of |a_1|^2 with respect to its parameters."""

    def of_field(theta: Array) -> PyTree:
        def s(obs: Array, a_t: Array, t: Array, h: Array) -> Array:
            return linear_field(theta, obs, a_t, t, h)

        return answer(s, obs, noise, m)

    return with_gradient(of_field, theta)


def value_and_gradient_by_the_first(answer: Callable, first: Array, *case: Any) -> tuple:
    """A result, and the gradient of its square with respect to the first argument."""
    return with_gradient(lambda x: answer(x, *case), first)


def loss_and_gradient_by_both(answer: Callable, values: Array, q: Array, *case: Any) -> tuple:
    """A loss of V and Q, and the gradient of its square with respect to both."""
    return with_gradient(lambda both: answer(both[0], both[1], *case), jnp.stack([values, q]))


def loss_and_gradient_by_mu_and_q(
    answer: Callable, mu: Array, actions: Array, q: Array, *case: Any
) -> tuple:
    """A loss of mu and Q, and the gradient of its square with respect to both."""

    def of_both(flat: Array) -> PyTree:
        return answer(flat[: mu.size].reshape(mu.shape), actions, flat[mu.size :], *case)

    return with_gradient(of_both, jnp.concatenate([mu.ravel(), q]))


def loss_and_gradient_by_scales(
    answer: Callable, policy: Callable, field: Field, *case: Any
) -> tuple:
    """A loss of a policy and a field, and how its square changes with a scale of each."""

    def of_scales(scales: Array) -> PyTree:
        return answer(scaled(policy, scales[0]), scaled(field, scales[1]), *case)

    return with_gradient(of_scales, jnp.ones(2))


# ---------------------------------------------------------------------------------------- games


# Columns of cube-single's observation. Positions are in units of 0.1 m.
_GRIPPER, _CONTACT, _CUBE = slice(12, 15), 18, slice(19, 22)
OBSERVED = 28


@dataclass(frozen=True)
class Situation:
    """What a controller knows about B simultaneous episodes before their next action."""

    t: int
    """Actions taken so far."""
    limit: int
    """The number of actions after which an episode has failed."""
    left: Float[np.ndarray, " batch"]
    """Network evaluations left on the account."""
    q: Float[np.ndarray, " batch"]
    """Value of the last action; NaN if the critic did not evaluate it (N = 1, or t = 0)."""
    spread: Float[np.ndarray, " batch"]
    """Standard deviation of the last candidates' values; NaN likewise."""
    obs: Float[np.ndarray, "batch obs"]
    """The observations."""

    @property
    def distance(self) -> Float[np.ndarray, " batch"]:
        """Metres from the gripper to the centre of the cube."""
        return np.linalg.norm(self.obs[:, _GRIPPER] - self.obs[:, _CUBE], axis=1) / 10

    @property
    def contact(self) -> Float[np.ndarray, " batch"]:
        """How firmly a finger of the gripper touches something, 0 to 1."""
        return self.obs[:, _CONTACT]
