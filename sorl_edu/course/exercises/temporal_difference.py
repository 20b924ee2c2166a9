"""Lesson 3's exercises: the TD target, and the n-step return of one trajectory."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sorl_edu.course.exercises.exercise import Exercise, Misconception, with_gradient

# ------------------------------------------------------------------------- 3.1 the TD target


def _td_target(rewards, masks, next_q, discount):
    return jax.lax.stop_gradient(rewards + discount * masks * next_q.mean(0))


def _td_cases(key):
    cases = []
    for k in jax.random.split(key, 3):
        reward_key, q_key = jax.random.split(k)
        rewards = -jax.random.uniform(reward_key, (6,))
        masks = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
        cases.append((rewards, masks, -1 - 3 * jax.random.uniform(q_key, (2, 6)), 0.9))
    return cases


def _target_and_its_gradient(answer, rewards, masks, next_q, discount):
    """y, and how it changes with Q'(o', a', m): not at all, if y is a constant."""
    return with_gradient(lambda q: answer(rewards, masks, q, discount), next_q)


td_target = Exercise(
    "3.1",
    _td_target,
    _td_cases,
    (
        Misconception(
            "missing stop-gradient",
            "the numbers are right, but a gradient flows through y. The critic would then also "
            "learn by pulling its own target towards its guess. The target must be a constant.",
            lambda r, mask, q, gamma: r + gamma * mask * q.mean(0),
        ),
        Misconception(
            "bootstrapping through terminals",
            "where the mask is 0 the task has ended, and nothing may be expected after it. Yours "
            "adds the value of the next state there too.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + gamma * q.mean(0)),
        ),
        Misconception(
            "mask inverted",
            "mask is 1 where the episode goes on and 0 where the task has ended. Yours looks ahead "
            "only where there is nothing ahead.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + gamma * (1 - mask) * q.mean(0)),
        ),
        Misconception(
            "maximum over the ensemble",
            "the two critics are two opinions of one value. Trusting the higher one adds the error "
            "that overestimation is made of; the formula takes their mean.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + gamma * mask * q.max(0)),
        ),
        Misconception(
            "minimum over the ensemble",
            "that is TD3's target, a good one, but not this exercise's: the formula takes the mean "
            "of the two critics.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + gamma * mask * q.min(0)),
        ),
        Misconception(
            "no discount",
            "what comes one transition later counts gamma times as much. Without gamma a task "
            "that goes on for ever has no finite value.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + mask * q.mean(0)),
        ),
        Misconception(
            "mean over the batch",
            "axis 0 of next_q is the ensemble, axis 1 the batch. Yours averages over different "
            "transitions.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(r + gamma * mask * q.mean()),
        ),
        Misconception(
            "the reward is masked too",
            "the reward of the last transition was really received; only what would come after it "
            "is masked.",
            lambda r, mask, q, gamma: jax.lax.stop_gradient(mask * (r + gamma * q.mean(0))),
        ),
    ),
    probe=_target_and_its_gradient,
    right="Right: a constant that looks one transition ahead, and never past the end of the task.",
)

# ------------------------------------------------------------------- 3.2 the n-step return


def _n_step_target(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


def _n_step_cases(key):
    """Rows of two trajectories; the first ends at row 8, and reaches the goal in row 5."""
    reward_key, value_key = jax.random.split(key)
    rewards = -0.5 - jax.random.uniform(reward_key, (16,))
    values = -5 - 5 * jax.random.uniform(value_key, (16,))
    goal = jnp.ones(16).at[5].set(0.0)
    no_goal = jnp.ones(16)
    settings = [(no_goal, 0, 3), (no_goal, 1, 1), (no_goal, 6, 5), (goal, 3, 5), (goal, 1, 3)]
    return [(rewards, masks, values, i, 8, n, 0.8) for masks, i, n in settings]


def _mistaken(
    *,
    stop=lambda i, n, end: min(i + n, end),
    weight=lambda discount, k: discount**k,
    bootstrap=lambda discount, k: discount**k,
    masked=True,
    at=lambda i, k, n: i + k,
):
    """The solution with one line changed."""

    def answer(rewards, masks, values, i, end, n, discount):
        y, mask, k = 0.0, 1.0, 0
        for row in range(i, stop(i, n, end)):
            y = y + weight(discount, k) * rewards[row]
            k, mask = k + 1, masks[row]
            if mask == 0:
                break
        return y + bootstrap(discount, k) * (mask if masked else 1.0) * values[at(i, k, n)]

    return answer


n_step_target = Exercise(
    "3.2",
    _n_step_target,
    _n_step_cases,
    (
        Misconception(
            "the sum crosses the trajectory's end",
            "row `end` is the last state of this trajectory, and what lies after it is another "
            "one. Rows i to end - 1 are all there is to sum, however large n is.",
            _mistaken(stop=lambda i, n, end: i + n),
        ),
        Misconception(
            "undiscounted rewards",
            "a reward that comes k transitions later counts gamma^k times as much; yours counts "
            "all of them fully.",
            _mistaken(weight=lambda discount, k: 1.0),
        ),
        Misconception(
            "bootstraps with gamma instead of gamma^k",
            "the state that you bootstrap from lies k transitions ahead, so its value is "
            "discounted k times.",
            _mistaken(bootstrap=lambda discount, k: discount),
        ),
        Misconception(
            "bootstraps with gamma^n instead of gamma^k",
            "near the trajectory's end fewer than n transitions are left; k counts those that "
            "were summed.",
            lambda r, masks, v, i, end, n, discount: (
                _n_step_target(r, masks, 0 * v, i, end, n, discount)
                + discount**n * _n_step_target(0 * r, masks, v, i, end, n, 1.0)
            ),
        ),
        Misconception(
            "off by one, a reward too few",
            "n rewards are summed, those of rows i to i + n - 1; range(i, j) stops before j.",
            _mistaken(stop=lambda i, n, end: min(i + n - 1, end)),
        ),
        Misconception(
            "off by one, a reward too many",
            "n rewards are summed, those of rows i to i + n - 1; the one of row i + n belongs to "
            "the value that you bootstrap from.",
            _mistaken(stop=lambda i, n, end: min(i + n + 1, end)),
        ),
        Misconception(
            "off by one, rewards discounted once too often",
            "the first reward comes at once: its weight is gamma^0 = 1.",
            _mistaken(weight=lambda discount, k: discount ** (k + 1)),
        ),
        Misconception(
            "bootstrapping through terminals",
            "where the mask is 0 the task has ended, and nothing may be expected after it.",
            _mistaken(masked=False),
        ),
        Misconception(
            "bootstraps from the wrong state",
            "after k transitions from row i you stand at row i + k.",
            _mistaken(at=lambda i, k, n: i + k - 1),
        ),
    ),
    right="Right: cut short by the goal or by the trajectory's end, and discounted by what it "
    "summed.",
)
