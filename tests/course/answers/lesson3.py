"""Answers to lesson 3's exercises."""

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong
from sorl_edu import temporal_difference as td

# ------------------------------------------------------------------------- 3.1 the TD target


@right("3.1")
def as_in_the_lesson(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    y = jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(0))
    return y


@right("3.1")
def constant_values_only(critic, batch, next_actions, discount):
    next_q = jax.lax.stop_gradient(critic(batch.next_observations, next_actions))
    return batch.rewards + discount * batch.masks * jnp.mean(next_q, axis=0)


@right("3.1")
def two_critics_unpacked(critic, batch, next_actions, discount):
    one, two = critic(obs=batch.next_observations, actions=next_actions)
    return jax.lax.stop_gradient(discount * (one + two) / 2 * batch.masks + batch.rewards)


@right("3.1")
def with_where(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions).mean(0)
    ahead = jnp.where(batch.masks == 1, discount * next_q, 0.0)
    return jax.lax.stop_gradient(batch.rewards + ahead)


@right("3.1")
def row_by_row(critic, batch, next_actions, discount):
    next_q = jax.lax.stop_gradient(critic(batch.next_observations, next_actions))
    y = []
    for b in range(len(batch.rewards)):
        value = sum(next_q[i, b] for i in range(len(next_q))) / len(next_q)
        y.append(batch.rewards[b] + (discount * value if batch.masks[b] else 0.0))
    return jnp.stack(y)


@right("3.1")
def with_vmap(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    one = lambda r, mask, q: r + discount * mask * q.mean()  # noqa: E731
    return jax.vmap(one, in_axes=(0, 0, 1))(
        batch.rewards, batch.masks, jax.lax.stop_gradient(next_q)
    )


@right("3.1")
def with_einsum(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    ahead = jnp.einsum("eb,b->b", next_q, batch.masks) / next_q.shape[0]
    return jax.lax.stop_gradient(batch.rewards) + jax.lax.stop_gradient(discount * ahead)


@right("3.1")
def with_numpy_for_the_data(critic, batch, next_actions, discount):
    rewards, masks = np.asarray(batch.rewards), np.asarray(batch.masks)
    next_q = critic(batch.next_observations, next_actions).mean(axis=0)
    return rewards + jnp.asarray(discount * masks) * jax.lax.stop_gradient(next_q)


@right("3.1")
def with_horizons(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions).mean(0)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * next_q)


@right("3.1")
def from_the_library(critic, batch, next_actions, discount):
    return td.td_target(critic, batch, next_actions, discount=discount)


@wrong("3.1", "missing stop-gradient")
def not_stopped(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    y = batch.rewards + discount * batch.masks * next_q.mean(0)
    return y


@wrong("3.1", "missing stop-gradient")
def stops_the_rewards_alone(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards) + discount * batch.masks * next_q.mean(0)


@wrong("3.1", "missing stop-gradient")
def stops_and_forgets_the_result(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    jax.lax.stop_gradient(next_q)
    return batch.rewards + discount * batch.masks * next_q.mean(0)


@wrong("3.1", "bootstrapping through terminals")
def without_the_mask(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * next_q.mean(0))


@wrong("3.1", "mask inverted")
def mask_as_done(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * (1 - batch.masks) * next_q.mean(0))


@wrong("3.1", "maximum over the ensemble")
def the_higher_critic(critic, batch, next_actions, discount):
    next_q = jnp.maximum(*critic(batch.next_observations, next_actions))
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q)


@wrong("3.1", "minimum over the ensemble")
def as_td3_does(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.min(axis=0))


@wrong("3.1", "no discount")
def without_gamma(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + batch.masks * next_q.mean(0))


@wrong("3.1", "mean over the batch")
def mean_over_axis_1(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(1))


@wrong("3.1", "mean over the batch")
def mean_over_the_last_axis_first_in_the_product(critic, batch, next_actions, discount):
    next_q = jnp.mean(critic(batch.next_observations, next_actions), axis=-1)
    return jax.lax.stop_gradient(next_q * batch.masks * discount + batch.rewards)


@wrong("3.1", "one mean for all transitions")
def mean_over_everything(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean())


@wrong("3.1", "sum over the ensemble")
def sum_of_the_critics(critic, batch, next_actions, discount):
    one, two = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * (one + two))


@wrong("3.1", "the reward is discounted too")
def everything_discounted(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(discount * (batch.rewards + batch.masks * next_q.mean(0)))


@wrong("3.1", "the reward is masked too")
def everything_masked(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.masks * (batch.rewards + discount * next_q.mean(0)))


@wrong("3.1", says="Its gradient by the critics' parameters is right. The target is off by")
def value_of_the_present(critic, batch, next_actions, discount):
    next_q = critic(batch.observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(0))


@wrong("3.1", "first critic only")
def first_critic_only(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q[0])


@wrong("3.1", says="1 of 3 cases is right")
def discount_of_another_course(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + 0.99 * batch.masks * next_q.mean(0))


@wrong("3.1", says="should have the shape (2,), and has (2, 2), in case 1 of 3 (discount = 0.9)")
def without_the_mean(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q)


@wrong("3.1", says="The target should have the shape (2,), and has ()")
def mean_of_the_target(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions).mean(0)
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q).mean()


@wrong("3.1", says="Use jnp there")
def numpy_for_a_constant(critic, batch, next_actions, discount):
    next_q = np.asarray(critic(batch.next_observations, next_actions))
    return batch.rewards + discount * batch.masks * next_q.mean(0)


@wrong("3.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(0))


@wrong(
    "3.1", says="It stopped in the line `return batch.reward + discount * next_q` with Attribute"
)
def misspelt(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions).mean(0)
    return batch.reward + discount * next_q


@wrong("3.1", says="It should return the target, and returns 2 arrays.")
def values_returned_as_well(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    y = jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(0))
    return y, next_q


# ------------------------------------------------------------------- 3.2 the n-step return


@right("3.2")
def filled_in(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@right("3.2")
def filled_in_otherwise(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, i + min(n, end - i)):
        y = y + discount ** (row - i) * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + (discount**k * values[row + 1] if mask else 0)


@right("3.2")
def backwards(rewards, masks, values, i, end, n, discount):
    rows = list(range(i, min(i + n, end)))
    y = values[rows[-1] + 1]
    for row in reversed(rows):
        y = rewards[row] + discount * masks[row] * y
    return y


@right("3.2")
def recursion(rewards, masks, values, i, end, n, discount):
    if n == 0 or i == end:
        return values[i]
    if masks[i] == 0:
        return rewards[i]
    after = recursion(rewards, masks, values, i + 1, end, n - 1, discount)
    return rewards[i] + discount * after


@right("3.2")
def with_numpy(rewards, masks, values, i, end, n, discount):
    rewards, masks, values = map(np.asarray, (rewards, masks, values))
    j = min(i + n, end)
    over = np.flatnonzero(masks[i:j] == 0)
    k = over[0] + 1 if len(over) else j - i
    weights = discount ** np.arange(k)
    return weights @ rewards[i : i + k] + discount**k * masks[i + k - 1] * values[i + k]


@right("3.2")
def products_of_masks(rewards, masks, values, i, end, n, discount):
    j = min(i + n, end)
    k = j - i
    after = jnp.cumprod(masks[i:j])
    before = jnp.concatenate([jnp.ones(1), after[:-1]])
    y = jnp.sum(discount ** jnp.arange(k) * before * rewards[i:j])
    return y + discount**k * after[-1] * values[j]


@right("3.2")
def with_scan(rewards, masks, values, i, end, n, discount):
    def step(carry, row):
        y, k, mask = carry
        more = (mask > 0) & (row < end)
        y = jnp.where(more, y + discount**k * rewards[row], y)
        return (y, jnp.where(more, k + 1, k), jnp.where(more, masks[row], mask)), None

    start = (jnp.zeros(()), jnp.zeros((), int), jnp.ones(()))
    (y, k, mask), _ = jax.lax.scan(step, start, jnp.arange(i, i + n))
    return y + discount**k * mask * values[i + k]


@right("3.2")
def with_fori_loop(rewards, masks, values, i, end, n, discount):
    j = min(i + n, end)

    def step(back, y):
        row = j - 1 - back
        return rewards[row] + discount * masks[row] * y

    return jax.lax.fori_loop(0, j - i, step, values[j])


@right("3.2")
def with_while(rewards, masks, values, i, end, n, discount):
    y, weight, row = float(rewards[i]), discount, i + 1
    while row < end and row - i < n and masks[row - 1]:
        y, weight, row = y + weight * float(rewards[row]), weight * discount, row + 1
    return y + weight * float(masks[row - 1]) * float(values[row])


@right("3.2")
def with_the_library(rewards, masks, values, i, end, n, discount):
    last = jnp.zeros(len(rewards), bool).at[end].set(True)
    returns, final, horizons = td.n_step_returns(rewards, masks, last, n, discount)
    return returns[i] + discount ** horizons[i] * final[i] * values[i + horizons[i]]


@wrong("3.2", "the sum crosses the trajectory's end")
def end_ignored(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, i + n):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "the sum crosses the trajectory's end")
def end_of_the_dataset(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, len(rewards))):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[row + 1]


@wrong("3.2", "the sum includes row `end`")
def up_to_and_with_the_end(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end + 1)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "rows counted from the trajectory's start")
def start_forgotten(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "undiscounted rewards")
def plain_sum(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "bootstraps with gamma instead of gamma^k")
def one_gamma(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount * mask * values[i + k]


@wrong("3.2", "bootstraps with gamma^n instead of gamma^k")
def gamma_to_the_n(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**n * mask * values[i + k]


@wrong("3.2", "n for k after the loop")
def n_in_both_places(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**n * mask * values[i + n]


@wrong("3.2", "bootstraps from row i + n")
def value_of_row_i_plus_n(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + n]


@wrong("3.2", "off by one, a reward too few")
def stops_too_soon(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n - 1, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "off by one, a reward too many")
def stops_too_late(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n + 1, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "off by one, rewards discounted once too often")
def counts_from_one(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        k, mask = k + 1, masks[row]
        y = y + discount**k * rewards[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "bootstrapping through terminals")
def mask_forgotten(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * values[i + k]


@wrong("3.2", "bootstraps from the wrong state")
def value_of_the_last_row(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[row]


@wrong("3.2", says="The target is off by up to")
def nothing_after_the_sum(rewards, masks, values, i, end, n, discount):
    return sum(discount**k * rewards[i + k] for k in range(min(n, end - i)))


@wrong("3.2", says="in case 4 of 5 (i = 3, end = 8, n = 5, discount = 0.8); 4 of 5 cases are right")
def goal_ignored(rewards, masks, values, i, end, n, discount):
    j = min(i + n, end)
    y = sum(discount ** (row - i) * rewards[row] for row in range(i, j))
    return y + discount ** (j - i) * masks[i:j].min() * values[j]


@wrong("3.2", "n ignored")
def up_to_the_end_whatever_n(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, end):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", "bootstraps from row k")
def value_of_row_k(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[k]


@wrong("3.2", "bootstraps without a discount")
def the_value_undiscounted(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + mask * values[i + k]


@wrong("3.2", "bootstrapping through terminals")
def mask_of_the_first_row(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * masks[i] * values[i + k]


@wrong("3.2", says="in case 1 of 5 (i = 0, end = 8, n = 3, discount = 0.8); 1 of 5 cases is")
def max_for_min(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, max(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values[i + k]


@wrong("3.2", says="The target should have the shape (), and has (16,), in case 1 of 5 (i = 0, end")
def all_values(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + discount**k * mask * values


@wrong("3.2", says="The target should have the shape (), and has (3,), in case 1 of 5")
def all_three(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
    return y, mask, k


@wrong("3.2", says="returns nothing, or None in a place: is a `return` missing?")
def prints_it(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount**k * rewards[row]
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    print(y + discount**k * mask * values[i + k])


@wrong("3.2", says="It stopped in the line `y = y + discount[k] * rewards[row]` with TypeError")
def indexes_the_discount(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, min(i + n, end)):
        y = y + discount[k] * rewards[row]
        k, mask = k + 1, masks[row]
    return y + discount**k * mask * values[i + k]


@wrong("3.2", says="Use jnp there")
def numpy_in_a_scan(rewards, masks, values, i, end, n, discount):
    def step(y, row):
        return np.asarray(rewards)[np.asarray(row)] + discount * y, None

    return jax.lax.scan(step, values[i + n], jnp.arange(i, i + n), reverse=True)[0]
