"""Lesson 3's exercises: the TD target, and the n-step return of one trajectory."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from sorl_edu import temporal_difference as td
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import crossing_critics, target_and_gradient
from sorl_edu.temporal_difference import Batch, Critic

# ------------------------------------------------------------------------- 3.1 the TD target


def _td_target(critic: Critic, batch: Batch, next_actions: Array, discount: float) -> Array:
    return td.td_target(critic, batch, next_actions, discount=discount)


def _td_target_cases(key: PRNGKeyArray) -> list[tuple]:
    """(critic, batch, next_actions, discount) of single transitions.

    A batch has as many rows as there are critics, so that a mean over the wrong axis runs. The
    first critic is the higher one in the first row, and the lower one in the second.
    """
    cases, draw = [], Draws(key)
    settings = (((1.0, 0.0), 0.9), ((0.0, 1.0), 0.8), ((1.0, 1.0), 0.99))
    for masks, discount in settings:
        batch = Batch(
            observations=draw.normal(2, 3),
            actions=jnp.zeros((2, 3)),
            rewards=draw.uniform(2, low=-1.2, high=-0.2),
            masks=jnp.array(masks),
            horizons=jnp.ones(2),
            next_observations=draw.normal(2, 3),
        )
        next_actions = draw.uniform(2, 3, low=-1.0)
        next_actions = next_actions.at[:, 0].set(jnp.array([0.7, -0.7]))
        cases.append((crossing_critics, batch, next_actions, discount))
    return cases


def _td_target_with(
    *,
    aggregate: Callable[[Array], Array] = lambda q: q.mean(0),
    mask: Callable[[Array], Array] = lambda mask: mask,
    discount_of: Callable[[float], float] = lambda discount: discount,
    of_reward: Callable[[Array], Array | float] = lambda mask: 1.0,
    reward_discount: Callable[[float], float] = lambda discount: 1.0,
    stop: Callable[[Array], Array] = jax.lax.stop_gradient,
) -> Callable:
    """The target whose next values are combined by `aggregate` and masked by `mask`."""

    def td_target(critic: Critic, batch: Batch, next_actions: Array, discount: float) -> Array:
        next_q = aggregate(critic(batch.next_observations, next_actions))
        rewards = reward_discount(discount) * of_reward(batch.masks) * batch.rewards
        return stop(rewards + discount_of(discount) * mask(batch.masks) * next_q)

    return td_target


td_target = Exercise(
    number="3.1",
    library=("sorl_edu.temporal_difference:td_target",),
    parts=("the target", "its gradient by the critics' parameters"),
    solution=_td_target,
    cases=_td_target_cases,
    probe=target_and_gradient,
    right="Right: a constant that looks one transition ahead, and never past the end of the task.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the numbers are right, but a gradient flows through y. The critic would then also "
            "learn by pulling its own target towards its guess. The target must be a constant.",
            _td_target_with(stop=lambda y: y),
        ),
        Misconception(
            "bootstrapping through terminals",
            "where the mask is 0 the task has ended, and no reward may be expected after it. Yours "
            "adds the value of the next state there, too.",
            _td_target_with(mask=lambda mask: 1.0),
        ),
        Misconception(
            "mask inverted",
            "the mask is 1 where the task continues and 0 where it has ended. Yours looks ahead "
            "only where nothing is ahead.",
            _td_target_with(mask=lambda mask: 1 - mask),
        ),
        Misconception(
            "maximum over the ensemble",
            "the two critics are two estimates of one value. To trust the higher one is to add "
            "overestimation; the formula takes their mean.",
            _td_target_with(aggregate=lambda q: q.max(0)),
        ),
        Misconception(
            "minimum over the ensemble",
            "that is TD3's target, a good one, but not this exercise's: the formula takes the mean "
            "of the two critics.",
            _td_target_with(aggregate=lambda q: q.min(0)),
        ),
        Misconception(
            "no discount",
            "a return that starts one transition later counts gamma times as much. Without gamma, "
            "a task that never ends has no finite value.",
            _td_target_with(discount_of=lambda discount: 1.0),
        ),
        Misconception(
            "mean over the batch",
            "axis 0 of next_q is the ensemble, axis 1 the batch. Yours averages over different "
            "transitions.",
            _td_target_with(aggregate=lambda q: q.mean(1)),
        ),
        Misconception(
            "one mean for all transitions",
            "axis 0 of next_q is the ensemble, axis 1 the batch. Yours averages over both, so that "
            "all transitions get the same next value.",
            _td_target_with(aggregate=lambda q: q.mean()),
        ),
        Misconception(
            "first critic only",
            "axis 0 of next_q is the ensemble, and you take its first critic. The formula takes "
            "the mean of the two.",
            _td_target_with(aggregate=lambda q: q[0]),
        ),
        Misconception(
            "sum over the ensemble",
            "the two critics are two estimates of one value: their sum is twice that value. The "
            "formula takes their mean.",
            _td_target_with(aggregate=lambda q: q.sum(0)),
        ),
        Misconception(
            "the reward is discounted too",
            "the reward comes at once and counts fully. Only what comes after it is discounted.",
            _td_target_with(reward_discount=lambda discount: discount),
        ),
        Misconception(
            "the reward is masked too",
            "the agent really received the reward of the last transition; the mask removes only "
            "the value after it.",
            _td_target_with(of_reward=lambda mask: mask),
        ),
    ),
)

# ------------------------------------------------------------------- 3.2 the n-step return


def _n_step_target(
    rewards: Array, masks: Array, values: Array, i: int, end: int, n: int, discount: float
) -> Array:
    last = jnp.arange(len(rewards)) == end
    returns, masks, horizons = td.n_step_returns(rewards, masks, last, n, discount)
    k = horizons[i]
    return returns[i] + discount**k * masks[i] * values[i + k]


def _n_step_target_cases(key: PRNGKeyArray) -> list[tuple]:
    """(rewards, masks, values, i, end, n, discount) of two trajectories; the first ends at row 8.

    In some cases it reaches the goal in row 5.
    """
    draw = Draws(key)
    rewards, values = draw.uniform(16, low=-1.5, high=-0.5), draw.uniform(16, low=-10.0, high=-5.0)
    goal = jnp.ones(16).at[5].set(0.0)
    no_goal = jnp.ones(16)
    settings = [(no_goal, 0, 3), (no_goal, 1, 1), (no_goal, 6, 5), (goal, 3, 5), (goal, 1, 3)]
    return [(rewards, masks, values, i, 8, n, 0.8) for masks, i, n in settings]


def _n_step_target_with(
    *,
    stop: Callable[[int, int, int], int] = lambda i, n, end: min(i + n, end),
    weight: Callable[[float, int], float] = lambda discount, k: discount**k,
    bootstrap: Callable[[float, int, int], float] = lambda discount, k, n: discount**k,
    masked: bool = True,
    at: Callable[[int, int, int], int] = lambda i, k, n: i + k,
) -> Callable:
    """The target that sums rows up to `stop` and bootstraps from row `at(i, k, n)`."""

    def n_step_target(
        rewards: Array, masks: Array, values: Array, i: int, end: int, n: int, discount: float
    ) -> Array:
        y, mask, k = 0.0, 1.0, 0
        for row in range(i, stop(i, n, end)):
            y = y + weight(discount, k) * rewards[row]
            k, mask = k + 1, masks[row]
            if mask == 0:
                break
        return y + bootstrap(discount, k, n) * (mask if masked else 1.0) * values[at(i, k, n)]

    return n_step_target


n_step_target = Exercise(
    number="3.2",
    library=("sorl_edu.temporal_difference:n_step_returns",),
    parts=("the target",),
    solution=_n_step_target,
    cases=_n_step_target_cases,
    right="Right: cut short by the goal or by the trajectory's end, and discounted by the number "
    "of rewards that were summed.",
    misconceptions=(
        Misconception(
            "the sum crosses the trajectory's end",
            "row `end` is the last state of this trajectory, and the rows after it belong to "
            "another one. Only rows i to end - 1 can be summed, however large n is.",
            _n_step_target_with(stop=lambda i, n, end: i + n),
        ),
        Misconception(
            "the sum includes row `end`",
            "row `end` holds the trajectory's last state, where no transition starts. The last "
            "reward is that of row end - 1.",
            _n_step_target_with(stop=lambda i, n, end: min(i + n, end + 1)),
        ),
        Misconception(
            "rows counted from the trajectory's start",
            "the sum starts in row i, so its n rows end with row i + n - 1; yours ends with row "
            "n - 1 wherever it starts.",
            _n_step_target_with(stop=lambda i, n, end: min(n, end)),
        ),
        Misconception(
            "n ignored",
            "you sum all rewards up to the trajectory's end. At most n are summed, and the value "
            "stands for the rest.",
            _n_step_target_with(stop=lambda i, n, end: end),
        ),
        Misconception(
            "undiscounted rewards",
            "a reward k transitions ahead counts gamma^k times as much; yours counts all of them "
            "fully.",
            _n_step_target_with(weight=lambda discount, k: 1.0),
        ),
        Misconception(
            "bootstraps with gamma instead of gamma^k",
            "the state that you bootstrap from lies k transitions ahead, so its value is "
            "discounted k times.",
            _n_step_target_with(bootstrap=lambda discount, k, n: discount),
        ),
        Misconception(
            "bootstraps with gamma^n instead of gamma^k",
            "near the trajectory's end fewer than n transitions are left; k counts the rewards "
            "that were summed.",
            _n_step_target_with(bootstrap=lambda discount, k, n: discount**n),
        ),
        Misconception(
            "bootstraps without a discount",
            "the state that you bootstrap from lies k transitions ahead, so its value counts "
            "gamma^k times as much.",
            _n_step_target_with(bootstrap=lambda discount, k, n: 1.0),
        ),
        Misconception(
            "bootstraps from row k",
            "k counts the transitions from row i on, and not the rows of the dataset.",
            _n_step_target_with(at=lambda i, k, n: k),
        ),
        Misconception(
            "n for k after the loop",
            "near the trajectory's end fewer than n transitions are left. k counts those that were "
            "summed; the value is that of the state after them, and is discounted k times.",
            _n_step_target_with(
                bootstrap=lambda discount, k, n: discount**n, at=lambda i, k, n: i + n
            ),
        ),
        Misconception(
            "bootstraps from row i + n",
            "near the trajectory's end fewer than n transitions are left: after k of them you are "
            "at row i + k.",
            _n_step_target_with(at=lambda i, k, n: i + n),
        ),
        Misconception(
            "off by one, a reward too few",
            "n rewards are summed, in rows i to i + n - 1; range(i, j) stops before j.",
            _n_step_target_with(stop=lambda i, n, end: min(i + n - 1, end)),
        ),
        Misconception(
            "off by one, a reward too many",
            "n rewards are summed, in rows i to i + n - 1; the reward of row i + n belongs to the "
            "value that you bootstrap from.",
            _n_step_target_with(stop=lambda i, n, end: min(i + n + 1, end)),
        ),
        Misconception(
            "off by one, rewards discounted once too often",
            "the first reward is immediate: its weight is gamma^0 = 1.",
            _n_step_target_with(weight=lambda discount, k: discount ** (k + 1)),
        ),
        Misconception(
            "bootstrapping through terminals",
            "where the mask is 0 the task has ended, and no reward may be expected after it.",
            _n_step_target_with(masked=False),
        ),
        Misconception(
            "bootstraps from the wrong state",
            "after k transitions from row i you are at row i + k.",
            _n_step_target_with(at=lambda i, k, n: i + k - 1),
        ),
    ),
)
