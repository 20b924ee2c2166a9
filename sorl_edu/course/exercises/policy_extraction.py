"""Lesson 7's exercises: the expectile, the weight of an action, and what a policy is taught."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from sorl_edu import policy_extraction
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import (
    bent_flow,
    loss_and_gradient_by_both,
    loss_and_gradient_by_mu_and_q,
    loss_and_gradient_by_scales,
    one_step,
)
from sorl_edu.flow_matching import Field, integrate

# ---------------------------------------------------------------------------- 7.1 the expectile


def _expectile_loss(values: Array, q: Array, expectile: float) -> Array:
    return policy_extraction.expectile_loss(values, q, expectile)[0]


def _expectile_cases(key: PRNGKeyArray) -> list[tuple]:
    """(values, q, expectile), in which Q is above V in some rows and below in others."""
    draw = Draws(key)
    return [(draw.normal(8), draw.normal(8, scale=2.0), k) for k in (0.9, 0.5, 0.2)]


def _expectile_with(
    *,
    above: Callable[[float], float] = lambda k: k,
    below: Callable[[float], float] = lambda k: 1 - k,
    size: Callable[[Array], Array] = jnp.square,
    reduce: Callable[[Array], Array] = jnp.mean,
    stop: Callable[[Array], Array] = jax.lax.stop_gradient,
) -> Callable:
    """The loss that weights u > 0 by `above` and u < 0 by `below`."""

    def expectile_loss(values: Array, q: Array, expectile: float) -> Array:
        u = stop(q) - values
        return reduce(jnp.where(u < 0, below(expectile), above(expectile)) * size(u))

    return expectile_loss


expectile_loss = Exercise(
    number="7.1",
    library=("sorl_edu.policy_extraction:expectile_loss",),
    parts=("the loss", "its gradient by V and by Q"),
    solution=_expectile_loss,
    cases=_expectile_cases,
    probe=loss_and_gradient_by_both,
    right="Right: an error upwards and one downwards count differently, and V alone learns.",
    misconceptions=(
        Misconception(
            "sides swapped",
            "with k = 0.9, a V that is too low must be the dearer mistake, so that V rises towards "
            "the better actions. Yours pays more where V is too high.",
            _expectile_with(above=lambda k: 1 - k, below=lambda k: k),
        ),
        Misconception(
            "the expectile ignored",
            "both sides count alike, so V becomes the mean of Q: what the data's action is worth "
            "on average.",
            _expectile_with(above=lambda k: 1.0, below=lambda k: 1.0),
        ),
        Misconception(
            "the quantile's loss",
            "with |u| in place of u^2 the loss is least at a quantile. The expectile squares.",
            _expectile_with(size=jnp.abs),
        ),
        Misconception(
            "missing stop-gradient",
            "the number is right, but a gradient flows into Q. Then Q would sink towards V, and "
            "not only V rise towards Q.",
            _expectile_with(stop=lambda q: q),
        ),
        Misconception(
            "one side only",
            "where V is too high you count nothing, so V can only rise, up to the largest error "
            "of the critic. That side counts 1 - k.",
            _expectile_with(below=lambda k: 0.0),
        ),
        Misconception(
            "sum over the batch",
            "you add the batch up; the formula takes its mean, which does not grow with the batch.",
            _expectile_with(reduce=jnp.sum),
        ),
    ),
)

# ------------------------------------------------------------------- 7.2 the weight of an action


def _weighted_loss(
    mu: Array, actions: Array, q: Array, values: Array, alpha: float, largest: float
) -> Array:
    weights = policy_extraction.advantage_weights(q - values, alpha, largest)
    errors = policy_extraction.squared_distance(mu, actions) / 2
    return policy_extraction.weighted_regression_loss(errors, weights)[0]


def _weighted_cases(key: PRNGKeyArray) -> list[tuple]:
    """(mu, actions, q, values, alpha, largest), in which some weights reach the largest."""
    draw = Draws(key)
    return [
        (
            draw.uniform(6, 2, low=-1.0),
            draw.uniform(6, 2, low=-1.0),
            draw.normal(6) + 0.5,
            draw.normal(6),
            alpha,
            largest,
        )
        for alpha, largest in ((2.0, 3.0), (0.5, 100.0), (3.0, 5.0))
    ]


def _weighted_with(
    *,
    advantage: Callable[[Array, Array], Array] = lambda q, v: q - v,
    exponent: Callable[[Array, float], Array] = lambda a, alpha: alpha * a,
    clip: Callable[[Array, float], Array] = lambda e, largest: jnp.minimum(jnp.exp(e), largest),
    normalize: Callable[[Array], Array] = lambda w: w,
    distance: Callable[[Array], Array] = lambda gap: (gap**2).sum(-1) / 2,
    reduce: Callable[[Array], Array] = jnp.mean,
    stop: Callable[[Array], Array] = jax.lax.stop_gradient,
) -> Callable:
    """The loss whose weights are `clip` of `exponent` of `advantage`."""

    def weighted_loss(
        mu: Array, actions: Array, q: Array, values: Array, alpha: float, largest: float
    ) -> Array:
        weights = normalize(clip(exponent(advantage(q, values), alpha), largest))
        return reduce(stop(weights) * distance(mu - actions))

    return weighted_loss


weighted_loss = Exercise(
    number="7.2",
    library=(
        "sorl_edu.policy_extraction:advantage_weights",
        "sorl_edu.policy_extraction:weighted_regression_loss",
    ),
    parts=("the loss", "its gradient by mu and by Q"),
    solution=_weighted_loss,
    cases=_weighted_cases,
    probe=loss_and_gradient_by_mu_and_q,
    right="Right: every action of the data is imitated, the good ones more, and none beyond "
    "measure.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the number is right, but a gradient flows through the weights into Q. The critic "
            "would learn to call badly imitated actions bad. A weight is a constant.",
            _weighted_with(stop=lambda w: w),
        ),
        Misconception(
            "weights without a limit",
            "exp grows fast: one action with a large advantage would take the whole batch. The "
            "largest weight is `largest`.",
            _weighted_with(clip=lambda e, largest: jnp.exp(e)),
        ),
        Misconception(
            "the exponent is limited, and not the weight",
            "exp of `largest` is far larger than `largest`. Limit the weight, after exp.",
            _weighted_with(clip=lambda e, largest: jnp.exp(jnp.minimum(e, largest))),
        ),
        Misconception(
            "the value in place of the advantage",
            "Q tells good states from bad ones, and not good actions from bad ones in one state. "
            "Subtract V(o) first.",
            _weighted_with(advantage=lambda q, v: q),
        ),
        Misconception(
            "advantage reversed",
            "V - Q is large for actions that are worse than usual: you imitate the worst most.",
            _weighted_with(advantage=lambda q, v: v - q),
        ),
        Misconception(
            "divided by alpha",
            "alpha is an inverse temperature: a larger one follows the critic more. So the "
            "advantage is multiplied by alpha.",
            _weighted_with(exponent=lambda a, alpha: a / alpha),
        ),
        Misconception(
            "alpha forgotten",
            "the exponent is alpha times the advantage: without alpha there is nothing to turn.",
            _weighted_with(exponent=lambda a, alpha: a),
        ),
        Misconception(
            "weights normalised over the batch",
            "your weights sum to one over the batch, so what an action counts depends on its "
            "neighbours in the batch. Here a weight belongs to its action alone.",
            _weighted_with(normalize=lambda w: w / w.sum()),
        ),
        Misconception(
            "mean over the action",
            "|mu - a|^2 adds up the squares of all components of the action; yours is their mean.",
            _weighted_with(distance=lambda gap: (gap**2).mean(-1) / 2),
        ),
        Misconception(
            "half forgotten",
            "-log of a Gaussian of deviation 1 has a half before the square.",
            _weighted_with(distance=lambda gap: (gap**2).sum(-1)),
        ),
        Misconception(
            "sum over the batch",
            "you add the batch up; the formula takes its mean.",
            _weighted_with(reduce=jnp.sum),
        ),
    ),
)

# ----------------------------------------------------------------- 7.3 what a policy is taught


def _distilled_loss(
    policy: Callable, field: Field, obs: Array, noise: Array, fresh: Array, m: int
) -> Array:
    taught = integrate(field, obs, noise, m)
    return policy_extraction.distillation_loss(policy(obs, noise), taught)[0]


def _distilled_cases(key: PRNGKeyArray) -> list[tuple]:
    """(policy, field, obs, noise, fresh, m)."""
    draw = Draws(key)
    return [
        (one_step, bent_flow, draw.normal(5, 2), draw.normal(5, 2), draw.normal(5, 2), m)
        for m in (1, 4)
    ]


def _distilled_with(
    *,
    start: Callable[[Array, Array, Array], Array] = lambda noise, fresh, action: noise,
    drawn: Callable[[Array, Array], Array] = lambda noise, fresh: noise,
    teach: Callable[[Field, Array, Array, int], Array] = integrate,
    reduce: Callable[[Array], Array] = jnp.mean,
    stop: Callable[[Array], Array] = jax.lax.stop_gradient,
    stop_policy: Callable[[Array], Array] = lambda action: action,
) -> Callable:
    """The loss whose teacher starts from `start`, and whose policy sees the noise `drawn`."""

    def distilled_loss(
        policy: Callable, field: Field, obs: Array, noise: Array, fresh: Array, m: int
    ) -> Array:
        action = policy(obs, drawn(noise, fresh))
        taught = teach(field, obs, start(noise, fresh, action), m)
        return reduce((stop_policy(action) - stop(taught)) ** 2)

    return distilled_loss


distilled_loss = Exercise(
    number="7.3",
    library=("sorl_edu.policy_extraction:distillation_loss",),
    parts=("the loss", "its gradient by the policy and by the flow"),
    solution=_distilled_loss,
    cases=_distilled_cases,
    probe=loss_and_gradient_by_scales,
    right="Right: from the same noise, the policy learns to land in one step where the flow lands "
    "in m.",
    misconceptions=(
        Misconception(
            "other noise",
            "the policy and the flow start from different noise. Then the flow's action is a "
            "random one to the policy, which does best with their mean: between the modes.",
            _distilled_with(start=lambda noise, fresh, action: fresh),
        ),
        Misconception(
            "other noise, the other way round",
            "the policy sees `fresh` and the flow starts from `noise`. They must see the same.",
            _distilled_with(drawn=lambda noise, fresh: fresh),
        ),
        Misconception(
            "missing stop-gradient",
            "the number is right, but a gradient flows into the flow. The teacher would come to "
            "meet its pupil, who pulls it towards high values and away from the data.",
            _distilled_with(stop=lambda taught: taught),
        ),
        Misconception(
            "the policy is the constant",
            "you stop the policy's gradient, so that the teacher learns from its pupil.",
            _distilled_with(stop=lambda taught: taught, stop_policy=jax.lax.stop_gradient),
        ),
        Misconception(
            "nothing learns",
            "both sides are constants here. The policy's action must keep its gradient.",
            _distilled_with(stop_policy=jax.lax.stop_gradient),
        ),
        Misconception(
            "the flow starts from the policy's action",
            "the flow carries noise to an action. Start it from the noise, and not from what the "
            "policy has made of it.",
            _distilled_with(start=lambda noise, fresh, action: action),
        ),
        Misconception(
            "a velocity in place of an action",
            "field(obs, a, t) is a velocity at one time. The flow's action is where m Euler steps "
            "arrive: integrate(field, obs, a_0, m).",
            _distilled_with(teach=lambda field, obs, a, m: field(obs, a, jnp.zeros((len(a), 1)))),
        ),
        Misconception(
            "sum over the batch",
            "you add all components up; the formula takes their mean.",
            _distilled_with(reduce=jnp.sum),
        ),
    ),
)
