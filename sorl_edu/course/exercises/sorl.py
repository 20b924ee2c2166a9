"""Lesson 4's exercises: the Q loss, the action that it is taken at, and the policy loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sorl_edu.course.exercises.exercise import Exercise, Misconception, with_gradient
from sorl_edu.flow_matching import flow_matching_loss, grid_times
from sorl_edu.shortcut import self_consistency_loss
from sorl_edu.temporal_difference import steps_column

stop = jax.lax.stop_gradient
M = 8
GRID = grid_times(M)


# ------------------------------------------------------------------------------- 4.1 the Q loss


def _q_loss(critic, obs, actions, m):
    q = critic(obs, actions, steps_column(m, len(obs))).mean(0)
    return -q.mean() / stop(jnp.abs(q).mean())


def _critic(obs, actions, steps):
    """Two closed-form critics, whose values depend on the number of steps."""
    distance = jnp.sum((actions - 0.3 * obs) ** 2, axis=1)
    steps = jnp.reshape(steps, (-1,))
    return jnp.stack([1.0 - distance * steps / 4, 0.5 - 2 * distance + 0.2 * steps * actions[:, 0]])


def _q_cases(key):
    keys = jax.random.split(key, 6)
    return [
        (
            _critic,
            jax.random.normal(keys[2 * i], (5, 2)),
            jax.random.uniform(keys[2 * i + 1], (5, 2), minval=-1.0),
            m,
        )
        for i, m in enumerate((2, 4, 8))
    ]


def _loss_and_gradient(answer, critic, obs, actions, m):
    """L_Q, and the gradient of its square with respect to the actions."""
    return with_gradient(lambda a: answer(critic, obs, a, m), actions)


def _q_mistaken(
    *, sign=-1.0, scale=lambda q: stop(jnp.abs(q).mean()), told=lambda m: m, how="mean"
):
    """The solution with one thing changed."""

    def answer(critic, obs, actions, m):
        q = getattr(critic(obs, actions, steps_column(told(m), len(obs))), how)(0)
        return sign * q.mean() / scale(q)

    return answer


_WRONG_STEPS = (
    "the action was made by the m-step policy, so the critic must be told m. Yours asks what the "
    "action is worth if another policy goes on from there."
)

q_loss = Exercise(
    "4.1",
    _q_loss,
    _q_cases,
    (
        Misconception(
            "sign wrong, it minimises Q",
            "training descends this loss, and Q should go up: the loss must fall when Q rises.",
            _q_mistaken(sign=1.0),
        ),
        Misconception(
            "gradient through the normaliser",
            "the loss is right, its gradient is not: the policy could also lower the loss by "
            "changing the scale. Q divided by its own size tells hardly anything about the "
            "action. The scale must be a constant.",
            _q_mistaken(scale=lambda q: jnp.abs(q).mean()),
        ),
        Misconception(
            "critic told the wrong number of steps",
            _WRONG_STEPS,
            _q_mistaken(told=lambda m: 1),
        ),
        Misconception(
            "critic told the wrong number of steps (M)",
            _WRONG_STEPS + " It was told M, the most there are.",
            _q_mistaken(told=lambda m: M),
        ),
        Misconception(
            "critic told the step size",
            "the critic takes the number of steps m; h = 1/m is what the field is told.",
            _q_mistaken(told=lambda m: jnp.asarray(1 / m)),
        ),
        Misconception(
            "minimum of the critics",
            "in the policy's loss Q is the mean over the ensemble, always; the minimum is for "
            "targets.",
            _q_mistaken(how="min"),
        ),
        Misconception(
            "not normalised",
            "without the mean |Q| below it, the loss is as large as returns are, and q_weight "
            "means something else in every environment.",
            _q_mistaken(scale=lambda q: 1.0),
        ),
        Misconception(
            "normalised by |mean Q|",
            "values of different signs cancel in the mean, and the loss blows up. The scale is the "
            "mean of |Q|.",
            _q_mistaken(scale=lambda q: stop(jnp.abs(q.mean()))),
        ),
    ),
    probe=_loss_and_gradient,
    right="Right: it falls when Q rises, by a scale that the policy cannot touch.",
)

# ----------------------------------------------------------------------- 4.2 the policy's action


def _policy_action(field, obs, noise, m):
    a_t = noise
    for i in range(m):
        t = jnp.full((len(obs), 1), i / m)
        h = jnp.full((len(obs), 1), 1 / m)
        a_t = a_t + field(obs, a_t, t, h) / m
    return jnp.clip(a_t, -1, 1)


def _field(theta):
    """A closed-form field that looks at everything that it is told."""
    return lambda obs, a_t, t, h: theta[0] * obs - (theta[1] + t) * a_t + theta[2] * h * a_t


def _action_cases(key):
    keys = jax.random.split(key, 6)
    return [
        (
            jnp.array([0.6, 0.4, 0.5]) + 0.1 * i,
            jax.random.normal(keys[2 * i], (5, 2)),
            jax.random.normal(keys[2 * i + 1], (5, 2)),
            m,
        )
        for i, m in enumerate((1, 2, 4))
    ]


def _action_and_gradient(answer, theta, obs, noise, m):
    """a_1, and the gradient of |a_1|^2 with respect to the field's parameters."""
    return with_gradient(lambda p: answer(_field(p), obs, noise, m), theta)


def _action_mistaken(
    *,
    time=lambda i, m: i / m,
    told=lambda m: 1 / m,
    move=lambda m: 1 / m,
    between=lambda a_t: a_t,
    end=lambda a_t: jnp.clip(a_t, -1, 1),
):
    """The solution with one thing changed."""

    def answer(field, obs, noise, m):
        a_t, column = noise, jnp.ones((len(obs), 1))
        for i in range(m):
            a_t = between(a_t)
            a_t = a_t + move(m) * field(obs, a_t, time(i, m) * column, told(m) * column)
        return end(a_t)

    return answer


policy_action = Exercise(
    "4.2",
    _policy_action,
    _action_cases,
    (
        Misconception(
            "gradient stopped between steps",
            "the action is right, but Q's gradient reaches the last step only. The earlier steps "
            "would never learn where the later ones carry them.",
            _action_mistaken(between=stop),
        ),
        Misconception(
            "wrong step size fed to the field",
            "with m steps the field must be told h = 1/m, the jump that you then take; yours is "
            "told 1/M whatever m is.",
            _action_mistaken(told=lambda m: 1 / M),
        ),
        Misconception(
            "the number of steps fed to the field",
            "the field takes the step size h = 1/m; m itself is what the critic is told.",
            _action_mistaken(told=lambda m: float(m)),
        ),
        Misconception(
            "step not scaled",
            "the field gives a velocity; a step of size 1/m moves by velocity / m.",
            _action_mistaken(move=lambda m: 1.0),
        ),
        Misconception(
            "time reversed",
            "time runs from noise at t = 0 to the action at t = 1.",
            _action_mistaken(time=lambda i, m: 1 - i / m),
        ),
        Misconception(
            "off by one in time",
            "step i starts at t = i/m; yours is told the time at which it ends.",
            _action_mistaken(time=lambda i, m: (i + 1) / m),
        ),
    ),
    probe=_action_and_gradient,
    right="Right, and so is its gradient, through every step.",
)

# ---------------------------------------------------------------------------- 4.3 the policy loss


def _policy_loss(l_q, field, target_field, obs, actions, flow_key, consistency_key, weights):
    l_fm = flow_matching_loss(field, obs, actions, flow_key, step_size=1 / M, times=grid_times(M))[
        0
    ]
    l_sc = self_consistency_loss(
        field, target_field, obs, actions, consistency_key, denoise_steps=M
    )[0]
    return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc


def _loss_cases(key):
    keys = jax.random.split(key, 4)
    obs = jax.random.normal(keys[0], (64, 2))
    actions = jax.random.uniform(keys[1], (64, 2), minval=-1.0)
    online, target = _field(jnp.array([0.6, 0.4, 0.5])), _field(jnp.array([0.2, 0.9, -0.3]))
    weights = {"q": 5.0, "flow": 2.0, "consistency": 3.0}
    return [(jnp.asarray(0.7), online, target, obs, actions, keys[2], keys[3], weights)]


def _loss_mistaken(*, step_size=1 / M, times=GRID, frozen=True, order=(0, 1, 2)):
    def answer(l_q, field, target_field, obs, actions, flow_key, consistency_key, weights):
        l_fm = flow_matching_loss(field, obs, actions, flow_key, step_size=step_size, times=times)
        l_sc = self_consistency_loss(
            field,
            target_field if frozen else field,
            obs,
            actions,
            consistency_key,
            denoise_steps=M,
        )
        w = [weights[name] for name in ("q", "flow", "consistency")]
        return w[order[0]] * l_q + w[order[1]] * l_fm[0] + w[order[2]] * l_sc[0]

    return answer


def _all_times(key, batch):
    return jax.random.uniform(key, (batch, 1))


policy_loss = Exercise(
    "4.3",
    _policy_loss,
    _loss_cases,
    (
        Misconception(
            "flow matching at all times instead of the grid",
            "the smallest step starts at t = 0, 1/M, ..., (M-1)/M and nowhere else, so that is "
            "where it is trained: times=grid_times(M).",
            _loss_mistaken(times=_all_times),
        ),
        Misconception(
            "flow matching at step size 0",
            "SORL matches the flow at its smallest step: the field is told h = 1/M.",
            _loss_mistaken(step_size=0.0),
        ),
        Misconception(
            "flow matching left at its defaults",
            "the defaults of flow_matching_loss are lesson 1's: any time, and h = 0. SORL's flow "
            "has the step size 1/M and starts on the grid of M times.",
            _loss_mistaken(step_size=0.0, times=_all_times),
        ),
        Misconception(
            "flow matching at the largest step",
            "h = 1 is the one-step policy's; it is self-consistency that trains it. The flow "
            "is matched at h = 1/M.",
            _loss_mistaken(step_size=1.0),
        ),
        Misconception(
            "weights swapped",
            "flow_weight and consistency_weight stand with the other's loss.",
            _loss_mistaken(order=(0, 2, 1)),
        ),
        Misconception(
            "the field is its own target",
            "self-consistency's target is made by the moving average s', not by s itself.",
            _loss_mistaken(frozen=False),
        ),
        Misconception(
            "Q loss subtracted",
            "L_Q has its minus sign in it already: the three losses are added.",
            lambda l_q, *rest: _policy_loss(-l_q, *rest),
        ),
    ),
    right="Right: one number to descend, and each weight says how much its wish counts.",
)
