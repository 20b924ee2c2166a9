"""Answers to lesson 6's exercises."""

import math
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ------------------------------------------------------------------- 6.1 what a value promises


@right("6.1")
def as_in_the_lesson(q, discount):
    power = 1 + (1 - discount) * q  # gamma^k
    return jnp.log(power) / jnp.log(discount)


@right("6.1")
def with_numpy(q, discount):
    return np.log(1 - (discount - 1) * np.asarray(q)) / np.log(discount)


@right("6.1")
def with_log1p(q, discount):
    return jnp.log1p((1 - discount) * q) / math.log(discount)


@right("6.1")
def to_base_two(q, discount):
    return jnp.log2(1 + q - discount * q) / jnp.log2(discount)


@right("6.1")
def one_by_one(q, discount):
    return [math.log(1 + (1 - discount) * float(value), discount) for value in q]


@right("6.1")
def whole_steps(q, discount):
    return jnp.round(jnp.log(1 + (1 - discount) * q) / jnp.log(discount))


@right("6.1")
def whole_numbers(q, discount):
    steps = np.log(1 + (1 - discount) * np.asarray(q)) / np.log(discount)
    return np.rint(steps).astype(int)


@right("6.1")
def counted(q, discount):
    steps = []
    for value in q.tolist():
        total, k = 0.0, 0
        while total > value + 1e-3:
            total, k = total - discount**k, k + 1
        steps.append(k)
    return jnp.array(steps)


@right("6.1")
def looked_up(q, discount):
    returns = -np.cumsum(discount ** np.arange(200))
    return 1 + np.abs(returns[:, None] - np.asarray(q)).argmin(0)


@right("6.1")
def with_vmap(q, discount):
    one = lambda value: jnp.log(1 + (1 - discount) * value) / jnp.log(discount)  # noqa: E731
    return jax.vmap(one)(q)


@right("6.1")
def by_bisection(q, discount):
    low, high = jnp.zeros_like(q), jnp.full_like(q, 256)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        more = -(1 - discount**middle) / (1 - discount) > q
        return jnp.where(more, middle, low), jnp.where(more, high, middle)

    return jax.lax.fori_loop(0, 24, halve, (low, high))[0]


@wrong("6.1", "no discount")
def minus_q(q, discount):
    return -q


@wrong("6.1", "a sign lost")
def minus_in_the_power(q, discount):
    power = 1 - (1 - discount) * q
    return jnp.log(power) / jnp.log(discount)


@wrong("6.1", "logarithm of the wrong base")
def logarithm_alone(q, discount):
    power = 1 + (1 - discount) * q
    return jnp.log(power)


@wrong("6.1", "the fraction upside down")
def upside_down(q, discount):
    power = 1 + (1 - discount) * q
    return jnp.log(discount) / jnp.log(power)


@wrong("6.1", "divided by gamma, not by its logarithm")
def over_gamma(q, discount):
    power = 1 + (1 - discount) * q
    return jnp.log(power) / discount


@wrong("6.1", "last term for the sum")
def of_the_last_term(q, discount):
    power = -(1 - discount) * q
    return jnp.log(power) / jnp.log(discount)


@wrong("6.1", says="The number of steps is off by up to 1 ")
def counted_from_zero(q, discount):
    return jnp.log(1 + (1 - discount) * q) / jnp.log(discount) - 1


@wrong("6.1", says="in case 1 of 3 (discount = 0.99), and in the")
def minus_the_steps(q, discount):
    return -jnp.log(1 + (1 - discount) * q) / jnp.log(discount)


@wrong("6.1", says="The number of steps is off by up to")
def power_for_the_steps(q, discount):
    return 1 + (1 - discount) * q


@wrong("6.1", says="The number of steps is off by up to")
def over_one_minus_gamma(q, discount):
    return jnp.log(1 + (1 - discount) * q) / (1 - discount)


@wrong("6.1", says="in case 1 of 3 (discount = 0.99); 1 of 3 cases is right")
def always_the_same_discount(q, discount):
    return jnp.log(1 + 0.005 * q) / jnp.log(0.995)


@wrong(
    "6.1", says="The number of steps has numbers that are NaN or infinite, in case 1 of 3 (disco"
)
def one_minus_gamma_forgotten(q, discount):
    return jnp.log(1 + q) / jnp.log(discount)


@wrong("6.1", says="The number of steps has numbers that are NaN or infinite")
def divided_by_one_minus_gamma(q, discount):
    power = 1 + q / (1 - discount)
    return jnp.log(power) / jnp.log(discount)


@wrong("6.1", says="The number of steps should have the shape (16,), and has (), in case 1 of 3")
def mean_of_the_steps(q, discount):
    return jnp.mean(jnp.log(1 + (1 - discount) * q) / jnp.log(discount))


@wrong(
    "6.1", says="It stopped in the line `return math.log(power) / math.log(discount)` with TypeErro"
)
def math_on_an_array(q, discount):
    power = 1 + (1 - discount) * q
    return math.log(power) / math.log(discount)


@wrong("6.1", says="It uses NumPy (np) on numbers that JAX traces")
def numpy_in_a_vmap(q, discount):
    return jax.vmap(lambda value: np.log(1 + (1 - discount) * value))(q) / np.log(discount)


@wrong("6.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(q, discount):
    power = 1 + (1 - discount) * q
    jnp.log(power) / jnp.log(discount)


# ----------------------------------------------------------------- 6.2 an interval over seeds


@right("6.2")
def filled_in(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    half_width = t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))
    return per_seed.mean(), half_width


@right("6.2")
def per_seed_with_numpy(lengths, t):
    per_seed = np.asarray(lengths).mean(axis=(1, 2))
    return [per_seed.mean(), t * np.std(per_seed, ddof=1) / np.sqrt(per_seed.size)]


@right("6.2")
def tasks_after_episodes(lengths, t):
    per_seed = lengths.mean(-1).mean(-1)
    n = per_seed.shape[0]
    return lengths.mean(), t * jnp.sqrt(jnp.var(per_seed, ddof=1) / n)


@right("6.2")
def squares_by_hand(lengths, t):
    n = len(lengths)
    per_seed = lengths.reshape(n, -1).mean(1)
    mean = per_seed.sum() / n
    return mean, t * jnp.sqrt(jnp.sum((per_seed - mean) ** 2) / (n - 1) / n)


@right("6.2")
def with_statistics(lengths, t):
    per_seed = [float(seed.mean()) for seed in lengths]
    return statistics.mean(per_seed), t * statistics.stdev(per_seed) / len(per_seed) ** 0.5


@right("6.2")
def in_plain_python(lengths, t):
    per_seed = []
    for seed in lengths.tolist():
        outcomes = [outcome for task in seed for outcome in task]
        per_seed.append(sum(outcomes) / len(outcomes))
    n = len(per_seed)
    mean = sum(per_seed) / n
    variance = sum((p - mean) ** 2 for p in per_seed) / (n - 1)
    return mean, t * math.sqrt(variance / n)


@right("6.2")
def corrected_afterwards(lengths, t):
    per_seed = jax.vmap(jnp.mean)(lengths)
    return jnp.array([per_seed.mean(), t * per_seed.std() / jnp.sqrt(len(per_seed) - 1)])


@right("6.2")
def with_einsum(lengths, t):
    n, tasks, episodes = lengths.shape
    per_seed = jnp.einsum("ste->s", lengths) / (tasks * episodes)
    return per_seed.mean(), t * jnp.sqrt(jnp.cov(per_seed) / n)


@right("6.2")
def by_pairs_of_seeds(lengths, t):
    per_seed = lengths.mean((1, 2))
    n = len(per_seed)
    pairs = (per_seed[:, None] - per_seed[None]) ** 2
    return per_seed.mean(), t * jnp.sqrt(pairs.sum() / (2 * n * (n - 1)) / n)


@wrong("6.2", "episodes for seeds")
def every_episode_a_sample(lengths, t):
    half_width = t * lengths.std(ddof=1) / jnp.sqrt(lengths.size)
    return lengths.mean(), half_width


@wrong("6.2", "tasks for seeds")
def every_task_a_sample(lengths, t):
    per_task = lengths.mean(axis=2)
    return per_task.mean(), t * per_task.std(ddof=1) / jnp.sqrt(per_task.size)


@wrong("6.2", "a deviation for an error")
def root_of_n_forgotten(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), t * per_seed.std(ddof=1)


@wrong("6.2", "the bounds for mean and half-width")
def low_and_high(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    mean = per_seed.mean()
    half_width = t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))
    return mean - half_width, mean + half_width


@wrong("6.2", "1.96 for t")
def as_of_many_seeds(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), 1.96 * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", "without t")
def standard_error(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", "divided by n, not by its root")
def over_n(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), t * per_seed.std(ddof=1) / len(per_seed)


@wrong("6.2", "averaged over the seeds")
def the_first_two_axes(lengths, t):
    per_seed = lengths.mean(axis=(0, 1))
    return per_seed.mean(), t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", "divided by n")
def ddof_forgotten(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), t * per_seed.std() / jnp.sqrt(len(per_seed))


@wrong("6.2", says="The mean is right. The half-width is off by up to")
def whole_width(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), 2 * t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", says="The mean is right. The half-width is off by up to")
def variance_for_deviation(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), t * per_seed.var(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", says="The half-width is right. The mean is off by up to")
def median_for_mean(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return jnp.median(per_seed), t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", "half-width before mean")
def in_the_wrong_order(lengths, t):
    mean, half_width = filled_in(lengths, t)
    return half_width, mean


@wrong("6.2", says="The mean should have the shape (), and has (3,), in case 1 of 2 (t = 4.3)")
def not_averaged(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed, t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong(
    "6.2", says="The half-width should have the shape (), and has (5,), in case 1 of 2 (t = 4.3)"
)
def a_width_for_each_task(lengths, t):
    per_seed = lengths.mean(axis=2)
    return per_seed.mean(), t * per_seed.std(axis=0, ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", says="It should return the mean and the half-width, and returns an array of shape ()")
def half_width_alone(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


@wrong("6.2", says="It uses NumPy (np) on numbers that JAX traces")
def numpy_in_a_compiled_function(lengths, t):
    half_width = jax.jit(lambda rates: t * np.std(np.asarray(rates), ddof=1) / np.sqrt(len(rates)))
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), half_width(per_seed)


@wrong("6.2", says="returns nothing, or None in a place: is a `return` missing?")
def one_place_empty(lengths, t):
    per_seed = lengths.mean(axis=(1, 2))
    return per_seed.mean(), print(t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed)))


@wrong("6.2", says="It stopped in the line `per_seed = lengths.mean(axis=(2, 3))` with IndexError")
def axes_counted_from_one(lengths, t):
    per_seed = lengths.mean(axis=(2, 3))
    return per_seed.mean(), t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))


# ------------------------------------------------------------------------ 6.3 an honest report


@right("6.3")
def as_in_the_solution(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return reported[best]


@right("6.3")
def row_with_numpy(chosen_by, reported):
    chosen_by, reported = np.asarray(chosen_by), np.asarray(reported)
    return reported[np.argmax(chosen_by.sum(1)), :]


@right("6.3")
def list_of_numbers(chosen_by, reported):
    means = [float(row.mean()) for row in chosen_by]
    best = means.index(max(means))
    return [float(value) for value in reported[best]]


@right("6.3")
def one_hot(chosen_by, reported):
    means = chosen_by.mean(1)
    return (means == means.max()) @ reported


@right("6.3")
def with_argsort(chosen_by, reported):
    return reported[jnp.argsort(chosen_by.mean(1))][-1]


@right("6.3")
def best_pair_of_rows(chosen_by, reported):
    rows = zip(chosen_by.tolist(), reported.tolist(), strict=True)
    return max(rows, key=lambda row: sum(row[0]))[1]


@right("6.3")
def with_take(chosen_by, reported):
    best = jnp.einsum("ks->k", chosen_by).argmax()
    return jnp.take(reported, best, axis=0)


@right("6.3")
def with_scan(chosen_by, reported):
    def better(best, rows):
        ours, theirs = best[0].mean(), rows[0].mean()
        return jax.tree.map(lambda a, b: jnp.where(theirs > ours, b, a), best, rows), None

    return jax.lax.scan(better, (chosen_by[0], reported[0]), (chosen_by, reported))[0][1]


@right("6.3")
def seed_by_seed(chosen_by, reported):
    best = jnp.argmin(-jnp.mean(chosen_by, axis=-1))
    return jax.vmap(lambda column: column[best], in_axes=1)(reported)


@wrong("6.3", "reported where it was chosen")
def the_same_table(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return chosen_by[best]


@wrong("6.3", "chosen where it is reported")
def the_best_of_the_report(chosen_by, reported):
    best = reported.mean(axis=1).argmax()
    return reported[best]


@wrong("6.3", "tables swapped")
def the_other_way_round(chosen_by, reported):
    best = reported.mean(axis=1).argmax()
    return chosen_by[best]


@wrong("6.3", "mean over the settings")
def wrong_axis(chosen_by, reported):
    best = chosen_by.mean(axis=0).argmax()
    return reported[best]


@wrong("6.3", "the luckiest single run")
def best_run_of_all(chosen_by, reported):
    best = jnp.unravel_index(chosen_by.argmax(), chosen_by.shape)[0]
    return reported[best]


@wrong("6.3", "averaged over the seeds")
def one_number(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return reported[best].mean()


@wrong("6.3", "the index in place of the success")
def the_index(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return best


@wrong("6.3", "a setting for each seed")
def best_of_each_seed(chosen_by, reported):
    best = chosen_by.argmax(axis=0)
    return reported[best, jnp.arange(reported.shape[1])]


@wrong("6.3", says="The reported success is off by up to")
def the_worst_setting(chosen_by, reported):
    return reported[chosen_by.mean(axis=1).argmin()]


@wrong("6.3", says="The reported success is off by up to")
def the_best_of_each_seed_in_the_report(chosen_by, reported):
    return reported.max(axis=0)


@wrong("6.3", says="The reported success is off by up to")
def both_tables_averaged(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return (chosen_by[best] + reported[best]) / 2


@wrong("6.3", says="The reported success is off by up to")
def chosen_by_both(chosen_by, reported):
    best = (chosen_by + reported).mean(axis=1).argmax()
    return reported[best]


@wrong(
    "6.3", says="The reported success should have the shape (4,), and has (4, 4), in case 1 of 4"
)
def rows_of_every_winner(chosen_by, reported):
    return reported[chosen_by.argmax(axis=0)]


@wrong("6.3", says="The reported success should have the shape (4,), and has (12,), in case 1 of 4")
def a_column(chosen_by, reported):
    best = chosen_by.mean(axis=0).argmax()
    return reported[:, best]


@wrong("6.3", says="The reported success should have the shape (4,), and has (1, 4)")
def kept_dimension(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    return reported[best][None]


@wrong("6.3", says="It uses NumPy (np) on numbers that JAX traces")
def numpy_in_a_compiled_choice(chosen_by, reported):
    return jax.jit(lambda a, b: b[np.argmax(np.asarray(a).mean(1))])(chosen_by, reported)


@wrong("6.3", says="returns nothing, or None in a place: is a `return` missing?")
def without_a_return(chosen_by, reported):
    best = chosen_by.mean(axis=1).argmax()
    reported[best]


@wrong(
    "6.3", says="It stopped in the line `best = chosen_by.mean(axis=2).argmax()` with IndexError"
)
def no_such_axis(chosen_by, reported):
    best = chosen_by.mean(axis=2).argmax()
    return reported[best]
