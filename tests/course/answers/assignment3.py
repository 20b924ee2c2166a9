"""Answers to assignment 3's exercise A3.1, the best of n out of K."""

from functools import cache
from itertools import combinations, combinations_with_replacement, permutations
from math import comb, exp, lgamma

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from answers import right, wrong


@right("A3.1")
def as_in_the_solution(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@right("A3.1")
def every_subset(q, n):
    subsets = np.array(list(combinations(range(len(q)), n)))
    return q[subsets].max(axis=1).mean(axis=0)


@right("A3.1")
def every_subset_in_python(q, n):
    means = []
    for column in np.asarray(q).T.tolist():
        best = [max(subset) for subset in combinations(column, n)]
        means.append(sum(best) / len(best))
    return means


@right("A3.1")
def subsets_in_every_order(q, n):
    """Each subset counts n! times, in the sum and in the number."""
    orders = np.array(list(permutations(range(len(q)), n)))
    return np.asarray(q, np.float64)[orders].max(axis=1).mean(axis=0)


@right("A3.1")
def numpy_and_a_product(q, n):
    k = len(q)
    counts = [comb(i - 1, n - 1) for i in range(1, k + 1)]
    return np.array(counts) @ np.sort(np.asarray(q), axis=0) / comb(k, n)


@right("A3.1")
def from_the_largest_down(q, n):
    """The largest is in n of K subsets; then each weight follows from the one before."""
    k = len(q)
    total, weight = 0.0, n / k
    for i, row in enumerate(-jnp.sort(-q, axis=0)):
        total = total + weight * row
        left = k - 1 - i
        weight = weight * (left - n + 1) / left if left else 0.0
    return total


@right("A3.1")
def from_a_distribution(q, n):
    """P(all n are among the i smallest) is hypergeometric; its differences are the weights."""
    k = len(q)
    all_below = np.array([stats.hypergeom.pmf(n, k, i, n) for i in range(k + 1)])
    return jnp.einsum("k,kb->b", jnp.asarray(np.diff(all_below)), jnp.sort(q, axis=0))


@right("A3.1")
def with_scipy(q, n):
    below = np.arange(len(q))
    weight = special.comb(below, n - 1) / special.comb(len(q), n)
    return jax.vmap(lambda column: jnp.dot(jnp.asarray(weight), jnp.sort(column)), 1)(q)


@right("A3.1")
def with_logarithms(q, n):
    log_comb = lambda a, b: lgamma(a + 1) - lgamma(b + 1) - lgamma(a - b + 1)  # noqa: E731
    k, ordered = len(q), np.sort(q, axis=0)
    return sum(
        exp(log_comb(i, n - 1) - log_comb(k, n)) * ordered[i].astype(float) for i in range(n - 1, k)
    )


@right("A3.1")
def by_the_rank_of_each_value(q, n):
    """No sorting: how many candidates are below each one?"""
    below = (q[:, None] > q[None]).sum(1)
    weight = jnp.array([float(comb(i, n - 1)) for i in range(len(q))])[below]
    return (weight * q).sum(0) / weight.sum(0)


@right("A3.1")
def take_it_or_leave_it(q, n):
    """The largest is in the subset, or the subset is one of the others."""
    ordered = jnp.sort(q, axis=0)

    @cache
    def best(k, n):
        if k == n:
            return ordered[k - 1]
        return n / k * ordered[k - 1] + (1 - n / k) * best(k - 1, n)

    return best(len(q), n)


@right("A3.1")
def scanned(q, n):
    k = len(q)

    def add(total, weighted):
        weight, row = weighted
        return total + weight * row, None

    weights = jnp.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return jax.lax.scan(add, jnp.zeros(q.shape[1]), (weights, jnp.sort(q, axis=0)))[0]


@wrong("A3.1", "the first n only")
def one_subset(q, n):
    return jnp.max(q[:n], axis=0)


@wrong("A3.1", "the best of all")
def maximum(q, n):
    return q.max(axis=0)


@wrong("A3.1", "drawn with replacement")
def powers_of_the_distribution(q, n):
    k = len(q)
    cdf = np.arange(k + 1) / k
    return np.diff(cdf**n) @ np.sort(q, axis=0)


@wrong("A3.1", "smallest for largest")
def sorted_downwards(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0)[::-1] * weight[:, None]).sum(axis=0)


@wrong("A3.1", "smallest for largest")
def worst_of_every_subset(q, n):
    return np.mean([q[jnp.array(rows)].min(0) for rows in combinations(range(len(q)), n)], axis=0)


@wrong("A3.1", "sorted along the batch")
def sorted_along_the_last_axis(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q) * weight[:, None]).sum(axis=0)


@wrong("A3.1", "divided by the number of subsets of n - 1")
def n_minus_one_in_both(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n - 1) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@wrong("A3.1", "i - 1 with i from 0")
def formula_of_the_hint_with_range_k(q, n):
    k = len(q)
    weight = np.array([comb(i - 1, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@wrong("A3.1", "the value itself counted as one below it")
def i_from_1(q, n):
    k, ordered = len(q), jnp.sort(q, axis=0)
    return sum(comb(i, n - 1) * ordered[i - 1] for i in range(1, k + 1)) / comb(k, n)


@wrong("A3.1", "mean of the n largest")
def best_n_averaged(q, n):
    return jnp.sort(q, axis=0)[-n:].mean(axis=0)


@wrong("A3.1", "not sorted")
def in_the_order_drawn(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (q * weight[:, None]).sum(axis=0)


@wrong("A3.1", says="(n = 3); 1 of 3 cases")
def groups_of_n(q, n):
    groups = len(q) // n
    return q[: groups * n].reshape(groups, n, -1).max(1).mean(0)


@wrong("A3.1", says="The expected best is off by up to")
def all_n_below(q, n):
    k = len(q)
    weight = np.array([comb(i, n) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@wrong("A3.1", says="The expected best is off by up to")
def drawn_at_random(q, n):
    rng = np.random.default_rng(0)
    draws = [rng.choice(len(q), n, replace=False) for _ in range(500)]
    return jnp.stack([q[draw].max(0) for draw in draws]).mean(0)


@wrong("A3.1", says="This is none of the usual mistakes")
def multisets(q, n):
    rows = np.array(list(combinations_with_replacement(range(len(q)), n)))
    return q[rows].max(1).mean(0)


@wrong(
    "A3.1", says="The expected best should have the shape (3,), and has (), in case 1 of 3 (n = 1)."
)
def summed_over_everything(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum()


@wrong("A3.1", says="The expected best should have the shape (3,), and has (8,), in case 1 of 3")
def best_of_the_observations(q, n):
    return q.max(axis=1)


@wrong("A3.1", says="It stopped in the line `return (jnp.sort(q, axis=0) * weight).sum(axis=0)`")
def weights_in_a_row(q, n):
    k = len(q)
    weight = jnp.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight).sum(axis=0)


@wrong(
    "A3.1", says="The expected best has numbers that are NaN or infinite, in case 1 of 3 (n = 1)."
)
def divided_by_the_subsets_below(q, n):
    below = np.arange(len(q))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = special.comb(below, n - 1) / special.comb(below, n)
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@wrong(
    "A3.1", says="`nothing_returned` returns nothing, or None in a place: is a `return` missing?"
)
def nothing_returned(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)


@wrong("A3.1", says="Use jnp")
def numpy_inside_a_vmap(q, n):
    k = len(q)
    weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
    return jax.vmap(lambda column: weight @ np.sort(column), 1)(q)


@wrong("A3.1", says="with NameError: name 'choose' is not defined")
def unknown_function(q, n):
    k = len(q)
    weight = np.array([choose(i, n - 1) / choose(k, n) for i in range(k)])
    return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)
