"""Lesson 4's exercises: the Q loss, the action at which Q is taken, and the policy loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu import temporal_difference as td
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import (
    action_and_gradient,
    linear_field,
    loss_and_gradient,
    signed_critics,
)
from sorl_edu.flow_matching import Times, flow_matching_loss, grid_times, uniform_times
from sorl_edu.shortcut import Shortcut, at_step_size, sample_from, self_consistency_loss
from sorl_edu.temporal_difference import Critic

stop = jax.lax.stop_gradient
M = 8
GRID = grid_times(M)


# ------------------------------------------------------------------------------- 4.1 the Q loss


def _q_loss(critic: Critic, obs: Array, actions: Array) -> Float[Array, ""]:
    return td.q_loss(critic, obs, actions)[0]


def _q_loss_cases(key: PRNGKeyArray) -> list[tuple]:
    """(critic, obs, actions)."""
    draw = Draws(key)
    return [(signed_critics, draw.normal(5, 2), draw.uniform(5, 2, low=-1.0)) for _ in range(3)]


def _q_loss_with(
    *,
    sign: float = -1.0,
    scale: Callable[[Array], Array | float] = lambda q: stop(jnp.abs(q).mean()),
    aggregate: Callable[[Array], Array] = lambda q: q.mean(0),
    of_actions: Callable[[Array], Array] = lambda actions: actions,
    size: Callable[[Array], Array] | None = None,
) -> Callable:
    """The mean of `sign` Q / `scale(Q)`, with Q from `aggregate(ensemble's values)`.

    The scale is `size(ensemble's values)` where `size` is given.
    """

    def q_loss(critic: Critic, obs: Array, actions: Array) -> Array:
        values = critic(obs, of_actions(actions))
        q = aggregate(values)
        return sign * (q / (size(values) if size else scale(q))).mean()

    return q_loss


q_loss = Exercise(
    number="4.1",
    library=("sorl_edu.temporal_difference:q_loss",),
    parts=("the loss", "its gradient by the actions"),
    solution=_q_loss,
    cases=_q_loss_cases,
    probe=loss_and_gradient,
    right="Right: it falls when Q rises, and its scale is out of the policy's reach.",
    misconceptions=(
        Misconception(
            "sign wrong, it minimises Q",
            "training descends this loss, and Q should rise: the loss must fall when Q rises.",
            _q_loss_with(sign=1.0),
        ),
        Misconception(
            "gradient through the normaliser",
            "the loss is right, but its gradient is not: the policy could also lower the loss by "
            "changing the scale. Q divided by its own size says hardly anything about the action. "
            "The scale must be a constant.",
            _q_loss_with(scale=lambda q: jnp.abs(q).mean()),
        ),
        Misconception(
            "gradient stopped at the actions",
            "the loss is right, but no gradient reaches the actions, and the policy that made them "
            "learns nothing from it. Only the scale is a constant.",
            _q_loss_with(of_actions=stop),
        ),
        Misconception(
            "a Python number of a traced one",
            "JAX differentiates your function, and what it differentiates has no number yet that "
            "`float` could take. Leave `float` out; jax.lax.stop_gradient makes a constant where "
            "you want one.",
            _q_loss_with(scale=lambda q: float(jnp.abs(q).mean())),
        ),
        Misconception(
            "the size of the critics' values in place of Q's",
            "first Q, the mean of the ensemble; then its size. Yours averages |Q_i| over the "
            "critics, and is larger wherever two critics disagree on the sign.",
            _q_loss_with(size=lambda values: stop(jnp.abs(values).mean())),
        ),
        Misconception(
            "first critic only",
            "TD3's policy follows the first critic alone. Here Q is the mean over the ensemble.",
            _q_loss_with(aggregate=lambda q: q[0]),
        ),
        Misconception(
            "each action normalised by its own |Q|",
            "each Q is divided by its own size, so that only its sign is left. The scale is one "
            "number for the whole batch, the mean of |Q|.",
            _q_loss_with(scale=lambda q: stop(jnp.abs(q))),
        ),
        Misconception(
            "minimum of the critics",
            "in the policy's loss, Q is always the mean over the ensemble; the minimum is for "
            "targets.",
            _q_loss_with(aggregate=lambda q: q.min(0)),
        ),
        Misconception(
            "not normalised",
            "without the mean |Q| below it, the loss is as large as returns are, and q_weight "
            "means something else in every environment.",
            _q_loss_with(scale=lambda q: 1.0),
        ),
        Misconception(
            "normalised by the mean of Q",
            "Q's mean divided by itself is 1, and with a negative mean the loss rises when Q "
            "rises. The scale is a size, the mean of |Q|.",
            _q_loss_with(scale=lambda q: stop(q.mean())),
        ),
        Misconception(
            "normalised by |mean Q|",
            "values of different signs cancel in the mean, and the loss blows up. The scale is the "
            "mean of |Q|.",
            _q_loss_with(scale=lambda q: stop(jnp.abs(q.mean()))),
        ),
    ),
)

# ----------------------------------------------------------------------- 4.2 the policy's action


def _policy_action(s: Shortcut, obs: Array, noise: Array, m: int) -> Array:
    return sample_from(s, obs, noise, m, M)


def _policy_action_cases(key: PRNGKeyArray) -> list[tuple]:
    """(theta, obs, noise, m); the probe makes a field of theta."""
    draw = Draws(key)
    return [
        (jnp.array([0.6, 0.4, 0.5]) + 0.1 * i, draw.normal(5, 2), draw.normal(5, 2), m)
        for i, m in enumerate((1, 2, 4))
    ]


def _policy_action_with(
    *,
    time: Callable[[int, int], float] = lambda i, m: i / m,
    fed: Callable[[int], float] = lambda m: 1 / m,
    length: Callable[[int], float] = lambda m: 1 / m,
    between: Callable[[Array], Array] = lambda a_t: a_t,
    at_field: Callable[[Array], Array] = lambda a_t: a_t,
    at_end: Callable[[Array], Array] = lambda a_1: jnp.clip(a_1, -1, 1),
) -> Callable:
    """The loop whose step i is `length(m)` long; the field gets `time(i, m)` and `fed(m)`."""

    def policy_action(s: Shortcut, obs: Array, noise: Array, m: int) -> Array:
        a_t, column = noise, jnp.ones((len(obs), 1))
        for i in range(m):
            a_t = between(a_t)
            velocity = s(obs, at_field(a_t), time(i, m) * column, fed(m) * column)
            a_t = a_t + length(m) * velocity
        return at_end(a_t)

    return policy_action


policy_action = Exercise(
    number="4.2",
    library=("sorl_edu.shortcut:sample_from",),
    parts=("the action", "its gradient by the field's parameters"),
    solution=_policy_action,
    cases=_policy_action_cases,
    probe=action_and_gradient,
    right="Right, and so is its gradient, through every step.",
    misconceptions=(
        Misconception(
            "gradient stopped between steps",
            "the action is right, but Q's gradient reaches only the last step. The earlier steps "
            "would never learn where the later ones carry them.",
            _policy_action_with(between=stop),
        ),
        Misconception(
            "gradient stopped at the action",
            "the action is right, but no gradient passes through it: Q could not tell the field "
            "anything. Nothing is a constant here, neither a step's end nor the action.",
            _policy_action_with(at_end=lambda a_1: stop(jnp.clip(a_1, -1, 1))),
        ),
        Misconception(
            "gradient stopped at the field's input",
            "the action is right, but its gradient is not: an earlier step also decides where the "
            "field is evaluated later, and the gradient must pass through that input.",
            _policy_action_with(at_field=stop),
        ),
        Misconception(
            "wrong step size fed to the field",
            "with m steps the field must be fed h = 1/m, the size of the jump that you then make; "
            "yours is fed 1/M whatever m is.",
            _policy_action_with(fed=lambda m: 1 / M),
        ),
        Misconception(
            "the number of steps fed to the field",
            "the field takes the step size h = 1/m; the critic is the one that takes m itself.",
            _policy_action_with(fed=lambda m: float(m)),
        ),
        Misconception(
            "step not scaled",
            "the field gives a velocity; a step of size 1/m moves by velocity / m.",
            _policy_action_with(length=lambda m: 1.0),
        ),
        Misconception(
            "not clipped",
            "the field can carry an action beyond [-1, 1], where the environment takes none. Clip "
            "it after the last step.",
            _policy_action_with(at_end=lambda a_1: a_1),
        ),
        Misconception(
            "time reversed",
            "time runs from noise at t = 0 to the action at t = 1.",
            _policy_action_with(time=lambda i, m: 1 - i / m),
        ),
        Misconception(
            "off by one in time",
            "step i starts at t = i/m; yours feeds the field the time at which the step ends.",
            _policy_action_with(time=lambda i, m: (i + 1) / m),
        ),
    ),
)

# ---------------------------------------------------------------------------- 4.3 the policy loss


def _policy_loss_cases(key: PRNGKeyArray) -> list[tuple]:
    """(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights)."""
    draw = Draws(key)
    obs, actions = draw.normal(64, 2), draw.uniform(64, 2, low=-1.0)
    online, average = (
        partial(linear_field, jnp.array(theta)) for theta in ([0.6, 0.4, 0.5], [0.2, 0.9, -0.3])
    )
    weights = {"q": 5.0, "flow": 2.0, "consistency": 3.0}
    return [(jnp.asarray(0.7), online, average, obs, actions, draw.key(), draw.key(), weights)]


def _policy_loss_with(
    *,
    step_size: float | None = 1 / M,
    times: Times = GRID,
    fields: tuple[str, str, str] = ("s", "s", "s_average"),
    q_sign: float = 1.0,
    order: tuple[str, str] = ("flow", "consistency"),
    keys: tuple[str, str] = ("flow", "consistency"),
    weigh: Callable[[float, tuple], Array] = lambda weight, result: weight * result[0],
) -> Callable:
    """The weighted sum with flow matching at `step_size` and `times`, weighted in that `order`.

    `fields` learn the flow, learn to jump, and make the jump's target; each loss gets its key of
    `keys`; `weigh(weight, result)` weighs what a loss of the library returns. Without a step size,
    flow matching gets the shortcut field itself.
    """

    def policy_loss(
        l_q: Array,
        s: Shortcut,
        s_average: Shortcut,
        obs: Array,
        actions: Array,
        flow_key: PRNGKeyArray,
        consistency_key: PRNGKeyArray,
        weights: Mapping[str, float],
    ) -> Array:
        given = {"flow": flow_key, "consistency": consistency_key}
        fm_key, sc_key = (given[name] for name in keys)
        flow_field, online, target = ({"s": s, "s_average": s_average}[name] for name in fields)
        field = flow_field if step_size is None else at_step_size(flow_field, step_size)
        l_fm = flow_matching_loss(field, obs, actions, fm_key, times=times)
        l_sc = self_consistency_loss(online, target, obs, actions, sc_key, M)
        flow, consistency = (weights[name] for name in order)
        return weights["q"] * q_sign * l_q + weigh(flow, l_fm) + weigh(consistency, l_sc)

    return policy_loss


policy_loss = Exercise(
    number="4.3",
    parts=("the loss",),
    solution=_policy_loss_with(),
    cases=_policy_loss_cases,
    right="Right: one number to descend, and each weight sets how much its wish counts.",
    misconceptions=(
        Misconception(
            "flow matching at all times instead of the grid",
            "the smallest step starts at t = 0, 1/M, ..., (M-1)/M and nowhere else, so that is "
            "where it is trained: times=grid_times(M).",
            _policy_loss_with(times=uniform_times),
        ),
        Misconception(
            "flow matching at step size 0",
            "SORL matches the flow at its smallest step: the field is fed h = 1/M.",
            _policy_loss_with(step_size=0.0),
        ),
        Misconception(
            "flow matching as in lesson 1",
            "lesson 1's flow has the velocity here and now, h = 0, at any time. SORL's flow has "
            "the step size 1/M and starts on the grid of M times.",
            _policy_loss_with(step_size=0.0, times=uniform_times),
        ),
        Misconception(
            "a shortcut field where a flow's is needed",
            "flow_matching_loss calls its field with (o, a_t, t), and s also needs h. "
            "at_step_size(s, h) is the field of one step size; which size does the flow have?",
            _policy_loss_with(step_size=None),
        ),
        Misconception(
            "a loss with its metrics",
            "flow_matching_loss and self_consistency_loss return a pair, (loss, metrics). Only the "
            "loss can be weighted: l_fm, _ = ...",
            _policy_loss_with(weigh=lambda weight, result: weight * result),
        ),
        Misconception(
            "flow matching at h = M",
            "the field takes a step's size and not the number of steps: M steps have the size 1/M.",
            _policy_loss_with(step_size=float(M)),
        ),
        Misconception(
            "flow matching at the largest step",
            "h = 1 is the step of the one-step policy, which self-consistency trains. The flow is "
            "matched at h = 1/M.",
            _policy_loss_with(step_size=1.0),
        ),
        Misconception(
            "weights swapped",
            "flow_weight and consistency_weight multiply each other's loss.",
            _policy_loss_with(order=("consistency", "flow")),
        ),
        Misconception(
            "the field is its own target",
            "the moving average s' makes the target of self-consistency, not s itself.",
            _policy_loss_with(fields=("s", "s", "s")),
        ),
        Misconception(
            "s and s' swapped in self-consistency",
            "s learns, and its moving average s' makes the target: self_consistency_loss takes s "
            "first.",
            _policy_loss_with(fields=("s", "s_average", "s")),
        ),
        Misconception(
            "flow matching of the moving average",
            "the moving average s' has no gradient and only makes the target of self-consistency. "
            "Flow matching trains s.",
            _policy_loss_with(fields=("s_average", "s", "s_average")),
        ),
        Misconception(
            "keys swapped",
            "all the terms are there, but each loss draws its noise from the other's key, so the "
            "numbers can't be compared: flow_key is for flow matching.",
            _policy_loss_with(keys=("consistency", "flow")),
        ),
        Misconception(
            "flow_key used twice",
            "both losses draw their noise from flow_key, so their noise is not independent. Each "
            "has a key of its own: consistency_key is for self-consistency.",
            _policy_loss_with(keys=("flow", "flow")),
        ),
        Misconception(
            "consistency_key used twice",
            "both losses draw their noise from consistency_key, so their noise is not independent. "
            "Each has a key of its own: flow_key is for flow matching.",
            _policy_loss_with(keys=("consistency", "consistency")),
        ),
        Misconception(
            "not weighted",
            "each loss is multiplied by its weight before they are added.",
            _policy_loss_with(weigh=lambda weight, result: result[0]),
        ),
        Misconception(
            "Q loss subtracted",
            "L_Q contains its minus sign already: the three losses are added.",
            _policy_loss_with(q_sign=-1.0),
        ),
    ),
)
