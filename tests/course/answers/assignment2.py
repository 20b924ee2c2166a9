"""Answers to assignment 2's exercises: pessimism, a best-of-N target, an interval over seeds."""

import statistics
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import stats

from answers import right, wrong

# ---------------------------------------------------------------------------------- A2.1 pessimism


@right("A2.1")
def as_in_the_solution(q, kappa):
    return q.mean(0) - kappa * q.std(0)


@right("A2.1")
def with_jnp(q, kappa):
    return jnp.mean(q, axis=0) - kappa * jnp.std(q, axis=0, ddof=0)


@right("A2.1")
def with_numpy(q, kappa):
    return np.mean(q, axis=0) - kappa * np.sqrt(np.var(np.asarray(q), axis=0))


@right("A2.1")
def pessimistic_critics_averaged(q, kappa):
    return (q - kappa * jnp.std(q, axis=0, keepdims=True)).mean(axis=0)


@right("A2.1")
def from_the_definition(q, kappa):
    mean = sum(q) / len(q)
    variance = sum((critic - mean) ** 2 for critic in q) / len(q)
    return mean - kappa * variance**0.5


@right("A2.1")
def number_by_number(q, kappa):
    columns = np.asarray(q, np.float64).reshape(len(q), -1).T.tolist()
    values = [statistics.fmean(c) - kappa * statistics.pstdev(c) for c in columns]
    return np.array(values).reshape(q.shape[1:])


@right("A2.1")
def vmapped(q, kappa):
    value = lambda of_critics: of_critics.mean() - kappa * of_critics.std()  # noqa: E731
    return jax.vmap(value, in_axes=1)(q.reshape(len(q), -1)).reshape(q.shape[1:])


@right("A2.1")
def critics_last(q, kappa):
    q = jnp.moveaxis(q, 0, -1)
    return list(
        jnp.mean(q, -1)
        - kappa * jnp.linalg.norm(q - q.mean(-1)[..., None], axis=-1) / jnp.sqrt(q.shape[-1])
    )


@right("A2.1")
def running_moments(q, kappa):
    """Welford's running mean and sum of squares."""

    def add(state, value):
        count, mean, squares = state
        gap = value - mean
        mean = mean + gap / (count + 1)
        return (count + 1, mean, squares + gap * (value - mean)), None

    zeros = jnp.zeros(q.shape[1:])
    (count, mean, squares), _ = jax.lax.scan(add, (0, zeros, zeros), q)
    return mean - kappa * jnp.sqrt(squares / count)


@wrong("A2.1", "optimistic")
def adds_the_disagreement(q, kappa):
    return q.mean(0) + kappa * q.std(0)


@wrong("A2.1", "variance for deviation")
def subtracts_the_variance(q, kappa):
    return jnp.mean(q, 0) - kappa * jnp.mean((q - q.mean(0)) ** 2, 0)


@wrong("A2.1", "over the batch")
def last_axis(q, kappa):
    return jnp.mean(q, axis=-1) - kappa * jnp.std(q, axis=-1)


@wrong("A2.1", "minimum for every kappa")
def minimum(q, kappa):
    return jnp.min(q, axis=0)


@wrong("A2.1", "kappa forgotten")
def one_deviation(q, kappa):
    return jnp.mean(q, axis=0) - jnp.std(q, axis=0)


@wrong("A2.1", "deviation divided by E - 1")
def deviation_of_a_sample(q, kappa):
    return jnp.mean(q, axis=0) - kappa * jnp.std(q, axis=0, ddof=1)


@wrong("A2.1", "one deviation for all")
def axis_of_the_deviation_forgotten(q, kappa):
    return q.mean(0) - kappa * q.std()


@wrong("A2.1", says="should have the shape (5,), and has (), in case 1 of 3 (kappa = 0.5)")
def both_axes_forgotten(q, kappa):
    return q.mean() - kappa * q.std()


@wrong(
    "A2.1", says="The pessimistic value should have the shape (5,), and has (2, 5), in case 1 of 3"
)
def each_critic_lowered(q, kappa):
    return q - kappa * q.std(0)


@wrong("A2.1", says="The pessimistic value is off by up to")
def standard_error(q, kappa):
    return q.mean(0) - kappa * stats.sem(np.asarray(q), axis=0)


@wrong("A2.1", says="in case 1 of 3 (kappa = 0.5), and in the other")
def minimum_and_deviation(q, kappa):
    return q.min(0) - kappa * q.std(0)


@wrong("A2.1", says="The pessimistic value is off by up to")
def mean_scaled_too(q, kappa):
    return kappa * (q.mean(0) - q.std(0))


@wrong("A2.1", says="The pessimistic value is off by up to")
def halfway_to_the_minimum(q, kappa):
    return (1 - kappa) * q.mean(0) + kappa * q.min(0)


@wrong("A2.1", says="should have the shape (6, 2), and has (3, 2), in case 3 of 3 (kappa = 1)")
def pairs_of_critics_alone(q, kappa):
    """Right for two axes; in three it misses which one counts the critics."""
    if q.ndim == 2:
        return q.mean(0) - kappa * q.std(0)
    return q.mean(1) - kappa * q.std(1)


@wrong("A2.1", says="should have the shape (5,), and has (2, 5), in case 1 of 3 (kappa = 0.5)")
def mean_and_deviation(q, kappa):
    return q.mean(0), kappa * q.std(0)


@wrong("A2.1", says="`assigned_only` returns nothing, or None in a place: is a `return` missing?")
def assigned_only(q, kappa):
    value = q.mean(0) - kappa * q.std(0)
    del value


@wrong(
    "A2.1", says="It stopped in the line `return q.mean(0) - kappa * q.sd(0)` with AttributeError"
)
def deviation_by_another_name(q, kappa):
    return q.mean(0) - kappa * q.sd(0)


@wrong("A2.1", says="It uses NumPy (np) on numbers that JAX traces, to differentiate them")
def numpy_inside_a_jit(q, kappa):
    return jax.jit(lambda q: jnp.mean(q, 0) - kappa * np.sqrt(jnp.var(q, 0)))(q)


# -------------------------------------------------------------------------- A2.2 a best-of-N target


def pessimistic(q, kappa):
    """An earlier answer, which the answers below may use."""
    return q.mean(0) - kappa * q.std(0)


@right("A2.2")
def with_vmap(critic, batch, candidates, discount, kappa):
    def value(actions):
        return pessimistic(critic(batch.next_observations, actions), kappa)

    best = jax.vmap(value)(candidates).max(0)
    y = batch.rewards + discount**batch.horizons * batch.masks * best
    return jax.lax.stop_gradient(y)


@right("A2.2")
def named_arguments(critic, batch, candidates, discount, kappa):
    q = jnp.stack([critic(obs=batch.next_observations, actions=a) for a in candidates])  # (N, E, B)
    best = jnp.max(q.mean(axis=1) - kappa * q.std(axis=1), axis=0)
    return batch.rewards + batch.masks * discount**batch.horizons * jax.lax.stop_gradient(best)


@right("A2.2")
def flat_with_tile(critic, batch, candidates, discount, kappa):
    n, b, size = candidates.shape
    obs = jnp.tile(batch.next_observations, (n, 1))
    values = pessimistic(critic(obs, candidates.reshape(n * b, size)), kappa).reshape(n, b)
    y = batch.rewards + jnp.power(discount, batch.horizons) * batch.masks * values.max(axis=0)
    return jax.lax.stop_gradient(y)


@right("A2.2")
def flat_with_repeat(critic, batch, candidates, discount, kappa):
    n, b, size = candidates.shape
    obs = jnp.repeat(batch.next_observations, n, axis=0)
    q = critic(obs, jnp.swapaxes(candidates, 0, 1).reshape(b * n, size)).reshape(-1, b, n)
    best = (jnp.mean(q, 0) - kappa * jnp.std(q, 0)).max(1)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * best)


@right("A2.2")
def running_maximum(critic, batch, candidates, discount, kappa):
    best = -jnp.inf
    for actions in candidates:
        q = jax.lax.stop_gradient(critic(batch.next_observations, actions))
        best = jnp.maximum(best, q.mean(0) - kappa * q.std(0))
    return batch.rewards + discount**batch.horizons * batch.masks * best


@right("A2.2")
def choose_then_value(critic, batch, candidates, discount, kappa):
    obs = batch.next_observations
    values = jnp.stack([pessimistic(critic(obs, a), kappa) for a in candidates])
    chosen = candidates[values.argmax(0), jnp.arange(len(obs))]
    best = pessimistic(critic(obs, chosen), kappa)
    y = jnp.where(batch.masks == 0, 0.0, discount**batch.horizons * best) + batch.rewards
    return jax.lax.stop_gradient(y)


@right("A2.2")
def scanned(critic, batch, candidates, discount, kappa):
    def step(best, actions):
        value = pessimistic(critic(batch.next_observations, actions), kappa)
        return jnp.maximum(best, value), None

    best, _ = jax.lax.scan(step, jnp.full(len(batch.rewards), -jnp.inf), candidates)
    return jax.lax.stop_gradient(batch.rewards + batch.masks * best * discount**batch.horizons)


@right("A2.2")
def mapped(critic, batch, candidates, discount, kappa):
    values = jax.lax.map(partial(critic, batch.next_observations), candidates)
    best = (values.mean(1) - kappa * values.std(1)).max(0)
    factor = np.asarray(discount ** np.asarray(batch.horizons) * np.asarray(batch.masks))
    return jax.lax.stop_gradient(batch.rewards + factor * best)


@right("A2.2")
def row_after_row(critic, batch, candidates, discount, kappa):
    targets = []
    for b in range(len(batch.rewards)):
        y = batch.rewards[b]
        if batch.masks[b] > 0:
            obs = jnp.repeat(batch.next_observations[b : b + 1], len(candidates), axis=0)
            values = pessimistic(critic(obs, candidates[:, b]), kappa)
            y = y + discount ** batch.horizons[b] * values.max()
        targets.append(jax.lax.stop_gradient(y))
    return targets


@right("A2.2")
def sorted_and_last(critic, batch, candidates, discount, kappa):
    q = jax.vmap(critic, in_axes=(None, 0), out_axes=-1)(batch.next_observations, candidates)
    values = jnp.sort(pessimistic(q, kappa), axis=-1)[:, -1]
    steps = jnp.exp(jnp.log(discount) * batch.horizons)
    return jax.lax.stop_gradient(jnp.stack([batch.rewards, steps * batch.masks * values]).sum(0))


@wrong("A2.2", "missing stop-gradient")
def gradient_flows(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    return batch.rewards + discount**batch.horizons * batch.masks * values.max(0)


@wrong("A2.2", "missing stop-gradient")
def rewards_stopped_instead(critic, batch, candidates, discount, kappa):
    rewards, candidates = jax.lax.stop_gradient((batch.rewards, candidates))
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    return rewards + discount**batch.horizons * batch.masks * values.max(0)


@wrong("A2.2", "bootstrapping through the end")
def masks_forgotten(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * values.max(0))


@wrong("A2.2", "mask reversed")
def masks_taken_for_ends(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * (1 - batch.masks) * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", "discounted once")
def as_for_single_steps(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    return jax.lax.stop_gradient(batch.rewards + discount * batch.masks * values.max(0))


@wrong("A2.2", "average for best")
def value_of_the_policy(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.masks * values.mean(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", "observations and candidates mixed up")
def repeated_in_the_other_order(critic, batch, candidates, discount, kappa):
    n, b, size = candidates.shape
    obs = jnp.repeat(batch.next_observations, n, axis=0)
    values = pessimistic(critic(obs, candidates.reshape(-1, size)), kappa).reshape(n, b)
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", "a choice for each critic")
def maximum_before_pessimism(critic, batch, candidates, discount, kappa):
    q = jnp.stack([critic(batch.next_observations, a) for a in candidates])  # (N, E, B)
    best = pessimistic(q.max(axis=0), kappa)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * best)


@wrong("A2.2", "pessimism after the choice")
def chosen_by_the_mean(critic, batch, candidates, discount, kappa):
    obs = batch.next_observations
    means = jnp.stack([critic(obs, a).mean(0) for a in candidates])
    chosen = candidates[means.argmax(0), jnp.arange(len(obs))]
    best = pessimistic(critic(obs, chosen), kappa)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * best)


@wrong("A2.2", "minimum of the critics")
def smaller_critic(critic, batch, candidates, discount, kappa):
    values = jax.vmap(lambda a: critic(batch.next_observations, a).min(0))(candidates)
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", "first candidate")
def no_choice(critic, batch, candidates, discount, kappa):
    value = pessimistic(critic(batch.next_observations, candidates[0]), kappa)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * value)


@wrong("A2.2", "no pessimism")
def mean_of_the_critics(critic, batch, candidates, discount, kappa):
    values = jnp.stack([critic(batch.next_observations, a).mean(0) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", "valued at the observations before")
def present_observations(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", says="The target is right. Its gradient by the critics' parameters is off by up to")
def choice_stopped_alone(critic, batch, candidates, discount, kappa):
    obs = batch.next_observations
    fixed = lambda a: jax.lax.stop_gradient(pessimistic(critic(obs, a), kappa))  # noqa: E731
    chosen = candidates[jax.vmap(fixed)(candidates).argmax(0), jnp.arange(len(obs))]
    q = critic(obs, chosen)
    best = q.mean(0) - kappa * jax.lax.stop_gradient(q.std(0))
    return batch.rewards + discount**batch.horizons * batch.masks * best


@wrong("A2.2", says="Its gradient by the critics' parameters is right. The target is off by up to")
def reward_at_the_end_dropped(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.masks * (batch.rewards + discount**batch.horizons * values.max(0))
    return jax.lax.stop_gradient(y)


@wrong("A2.2", says="in case 1 of 2 (discount = 0.9, kappa = 0.8), and in the other")
def reward_discounted_too(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = discount**batch.horizons * (batch.rewards + batch.masks * values.max(0))
    return jax.lax.stop_gradient(y)


@wrong("A2.2", says="Its gradient by the critics' parameters is right. The target is off by up to")
def best_of_the_whole_batch(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max()
    return jax.lax.stop_gradient(y)


@wrong(
    "A2.2", says="The target should have the shape (12,), and has (4, 12), in case 1 of 2 (discou"
)
def every_candidate_a_target(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * values)


@wrong(
    "A2.2", says="It stopped in the line `y = batch.rewards + discount**batch.horizons * batch.ma"
)
def maximum_over_the_batch(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.masks * values.max(axis=1)
    return jax.lax.stop_gradient(y)


@wrong("A2.2", says="It stopped in the line `q = critic(batch.next_observations, candidates)` with")
def critic_of_all_candidates_at_once(critic, batch, candidates, discount, kappa):
    q = critic(batch.next_observations, candidates)
    best = pessimistic(q, kappa).max(0)
    return jax.lax.stop_gradient(batch.rewards + discount**batch.horizons * batch.masks * best)


@wrong("A2.2", says="with AttributeError: 'Batch' object has no attribute 'mask'")
def another_name(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    y = batch.rewards + discount**batch.horizons * batch.mask * values.max(0)
    return jax.lax.stop_gradient(y)


@wrong(
    "A2.2", says="`target_forgotten` returns nothing, or None in a place: is a `return` missing?"
)
def target_forgotten(critic, batch, candidates, discount, kappa):
    values = jnp.stack([pessimistic(critic(batch.next_observations, a), kappa) for a in candidates])
    jax.lax.stop_gradient(
        batch.rewards + discount**batch.horizons * batch.masks * values.max(axis=0)
    )


@wrong("A2.2", says="Use jnp")
def with_numpy_values(critic, batch, candidates, discount, kappa):
    values = [np.asarray(critic(batch.next_observations, a)) for a in candidates]
    best = np.max([q.mean(0) - kappa * q.std(0) for q in values], axis=0)
    return np.asarray(batch.rewards + discount**batch.horizons * batch.masks * best)


# --------------------------------------------------------------------------- A2.4 is it any better?


@right("A2.4")
def from_the_formula(new, old, weights):
    d = (new - old).mean(axis=1)
    low = np.quantile(weights @ np.append(d, -1), 0.025)
    high = np.quantile(weights @ np.append(d, 1), 0.975)
    return d.mean(), low, high


@right("A2.4")
def as_one_numpy_array(new, old, weights):
    d = np.mean(new, axis=1) - np.mean(old, axis=1)
    ends = [np.percentile(weights @ np.append(d, x), p) for x, p in ((-1, 2.5), (1, 97.5))]
    return np.array([d.mean(), *ends])


@right("A2.4")
def as_one_jnp_array(new, old, weights):
    d = jnp.mean(new - old, axis=1)
    worst, best = jnp.append(d, -1), jnp.append(d, 1)
    ends = jnp.quantile(weights @ jnp.stack([worst, best], 1), jnp.array([0.025, 0.975]), axis=0)
    return jnp.array([d.mean(), ends[0, 0], ends[1, 1]])


@right("A2.4")
def unseen_seed_added_afterwards(new, old, weights):
    seen = weights[:, :-1] @ (new - old).mean(1)
    low = np.quantile(seen - weights[:, -1], 0.025)
    return [(new - old).mean(), low, np.quantile(seen + weights[:, -1], 0.975)]


@right("A2.4")
def ends_as_a_pair(new, old, weights):
    d, weights = np.asarray(new - old).mean(1), np.asarray(weights)
    means = np.stack([np.concatenate([d, [unseen]]) for unseen in (-1, 1)]) @ weights.T
    return d.mean(), (np.quantile(means[0], 0.025), np.quantile(means[1], 1 - 0.025))


@right("A2.4")
def a_row_of_weights_at_a_time(new, old, weights):
    d = [float(a.mean() - b.mean()) for a, b in zip(np.asarray(new), np.asarray(old), strict=True)]
    rows = np.asarray(weights).tolist()
    worst = [sum(w * x for w, x in zip(row, [*d, -1], strict=True)) for row in rows]
    best = [sum(w * x for w, x in zip(row, [*d, 1], strict=True)) for row in rows]
    return statistics.fmean(d), np.quantile(worst, 0.025), np.quantile(best, 0.975)


@right("A2.4")
def with_pandas(new, old, weights):
    d = pd.DataFrame(np.asarray(new - old)).mean(axis=1)
    means = {x: pd.Series(np.asarray(weights) @ [*d, x]) for x in (-1, 1)}
    return d.mean(), means[-1].quantile(0.025), means[1].quantile(0.975)


@right("A2.4")
def with_einsum_and_keywords(new, old, weights):
    d = jnp.einsum("se->s", new - old) / new.shape[1]
    low = jnp.quantile(jnp.einsum("ds,s->d", weights, jnp.append(d, -1)), q=0.025)
    high = jnp.quantile(jnp.einsum("ds,s->d", weights, jnp.append(d, 1)), q=0.975)
    return jnp.mean(d), low, high


@right("A2.4")
def worst_as_the_best_of_the_opposite(new, old, weights):
    def upper(d):
        return np.quantile((weights * np.append(d, 1)).sum(1), 0.975)

    d = (new - old).mean(1)
    return d.mean(), -upper(-d), upper(d)


@wrong("A2.4", "every episode a sample")
def flattened(new, old, weights):
    d = (new - old).ravel()
    low = np.quantile(weights @ np.append(d, -1), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.975)


@wrong("A2.4", "over starts instead of seeds")
def averaged_over_seeds(new, old, weights):
    d = (new - old).mean(axis=0)
    low = np.quantile(weights @ np.append(d, -1), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.975)


@wrong("A2.4", "a weight too many")
def nothing_appended(new, old, weights):
    means = weights @ (new - old).mean(axis=1)
    return means.mean(), np.quantile(means, 0.025), np.quantile(means, 0.975)


@wrong("A2.4", "only the seeds that were seen")
def weights_of_the_seen_alone(new, old, weights):
    d = (new - old).mean(axis=1)
    seen = weights[:, :-1] / weights[:, :-1].sum(axis=1, keepdims=True)
    return d.mean(), *np.quantile(seen @ d, [0.025, 0.975])


@wrong("A2.4", "no difference for the unseen seed")
def last_weight_dropped(new, old, weights):
    d = (new - old).mean(axis=1)
    means = weights[:, :-1] @ d
    return d.mean(), np.quantile(means, 0.025), np.quantile(means, 0.975)


@wrong("A2.4", "an average difference for the unseen seed")
def unseen_like_the_others(new, old, weights):
    d = (new - old).mean(axis=1)
    means = weights @ np.append(d, d.mean())
    return d.mean(), np.quantile(means, 0.025), np.quantile(means, 0.975)


@wrong("A2.4", "range of a rate")
def zero_at_worst(new, old, weights):
    d = (new - old).mean(axis=1)
    low = np.quantile(weights @ np.append(d, 0), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.975)


@wrong("A2.4", "worst and best exchanged")
def best_for_the_lower_end(new, old, weights):
    d = (new - old).mean(axis=1)
    low = np.quantile(weights @ np.append(d, 1), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, -1), 0.975)


@wrong("A2.4", "the worst for both ends")
def one_vector_for_both(new, old, weights):
    d = (new - old).mean(axis=1)
    return d.mean(), *np.quantile(weights @ np.append(d, -1), [0.025, 0.975])


@wrong("A2.4", "5% beyond each end")
def one_sided_quantiles(new, old, weights):
    d = (new - old).mean(axis=1)
    low = np.quantile(weights @ np.append(d, -1), 0.05)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.95)


@wrong("A2.4", "Student's interval")
def of_the_t_distribution(new, old, weights):
    d = np.asarray(new - old).mean(axis=1)
    return d.mean(), *stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))


@wrong("A2.4", "quantiles of the seeds")
def percentiles_of_the_seeds(new, old, weights):
    d = np.asarray(new - old).mean(axis=1)
    return d.mean(), *np.percentile(d, [2.5, 97.5])


@wrong("A2.4", "old minus new")
def sign_reversed(new, old, weights):
    d = (old - new).mean(axis=1)
    low = np.quantile(weights @ np.append(d, -1), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.975)


@wrong("A2.4", "not paired")
def two_intervals_subtracted(new, old, weights):
    def ends(rates):
        low = np.quantile(weights @ np.append(rates, 0), 0.025)
        return low, np.quantile(weights @ np.append(rates, 1), 0.975)

    (new_low, new_high), (old_low, old_high) = ends(new.mean(1)), ends(old.mean(1))
    return new.mean() - old.mean(), new_low - old_high, new_high - old_low


@wrong("A2.4", "mean between its ends")
def in_the_order_of_size(new, old, weights):
    mean, low, high = from_the_formula(new, old, weights)
    return low, mean, high


@wrong("A2.4", "upper end before lower")
def from_above(new, old, weights):
    mean, low, high = from_the_formula(new, old, weights)
    return mean, high, low


@wrong("A2.4", says="The lower end and the upper end are right. The mean is off by up to")
def mean_of_the_weighted_means(new, old, weights):
    _, low, high = from_the_formula(new, old, weights)
    return (weights @ np.append((new - old).mean(axis=1), -1)).mean(), low, high


@wrong("A2.4", says="The mean is right. The lower end is off by up to")
def range_of_the_seeds(new, old, weights):
    d = (new - old).mean(axis=1)
    return d.mean(), d.min(), d.max()


@wrong("A2.4", says="The mean is right. The lower end is off by up to")
def bounds_of_the_weighted_means(new, old, weights):
    d = (new - old).mean(axis=1)
    return d.mean(), (weights @ np.append(d, -1)).min(), (weights @ np.append(d, 1)).max()


@wrong("A2.4", says="should return the mean, the lower end and the upper end, and returns 2 arrays")
def mean_and_half_width(new, old, weights):
    mean, low, high = from_the_formula(new, old, weights)
    return mean, (high - low) / 2


@wrong(
    "A2.4", says="The mean should have the shape (), and has (3,), in case 1 of 2 (new (3, 20), old"
)
def a_mean_for_each_seed(new, old, weights):
    _, low, high = from_the_formula(new, old, weights)
    return (new - old).mean(axis=1), low, high


@wrong("A2.4", says="The mean should be numbers, and is ")
def as_text(new, old, weights):
    return [f"{value:.2f}" for value in from_the_formula(new, old, weights)]


@wrong("A2.4", says="and returns a dict with 'mean', 'low' and 'high'.")
def as_a_dict(new, old, weights):
    return dict(zip(("mean", "low", "high"), from_the_formula(new, old, weights), strict=True))


@wrong("A2.4", says="`printed_only` returns nothing, or None in a place: is a `return` missing?")
def printed_only(new, old, weights):
    print("{:.2f} [{:.2f}, {:.2f}]".format(*map(float, from_the_formula(new, old, weights))))


@wrong("A2.4", says="It stopped in the line `low = np.quantile(weights @ np.append(d, -1), 2.5)`")
def percent_for_a_quantile(new, old, weights):
    d = (new - old).mean(axis=1)
    low = np.quantile(weights @ np.append(d, -1), 2.5)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 97.5)


@wrong("A2.4", says="It stopped in the line `d = (new - old).mean(axis=2)` with IndexError")
def no_such_axis(new, old, weights):
    d = (new - old).mean(axis=2)
    low = np.quantile(weights @ np.append(d, -1), 0.025)
    return d.mean(), low, np.quantile(weights @ np.append(d, 1), 0.975)
