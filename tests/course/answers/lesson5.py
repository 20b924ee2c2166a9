"""Answers to lesson 5's exercises."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ------------------------------------------------------------------------------- 5.1 best-of-N


@right("5.1")
def filled_in(actions, q):
    batch = jnp.arange(q.shape[1])
    chosen = actions[q.argmax(axis=0), batch]
    return chosen


@right("5.1")
def as_in_the_lesson(actions, q):
    chosen = jnp.argmax(q, axis=0)
    return jnp.take_along_axis(actions, chosen[None, :, None], axis=0)[0]


@right("5.1")
def with_numpy(actions, q):
    actions, q = np.asarray(actions), np.asarray(q)
    return actions[np.argmax(q, axis=0), np.arange(q.shape[1])]


@right("5.1")
def list_of_rows(actions, q):
    chosen = []
    for b in range(q.shape[1]):
        chosen.append(actions[q[:, b].argmax(), b])
    return chosen


@right("5.1")
def with_vmap(actions, q):
    return jax.vmap(lambda a, values: a[values.argmax()], in_axes=1)(actions, q)


@right("5.1")
def one_hot(actions, q):
    winner = jax.nn.one_hot(q.argmax(0), len(q))
    return jnp.einsum("bn,nba->ba", winner, actions)


@right("5.1")
def where_it_is_the_highest(actions, q):
    best = q == q.max(axis=0, keepdims=True)
    return jnp.where(best[:, :, None], actions, 0).sum(0)


@right("5.1")
def with_argsort(actions, q):
    order = jnp.argsort(-q, axis=0)
    return jnp.take_along_axis(actions, order[:, :, None], axis=0)[0]


@right("5.1")
def keeps_the_better_one(actions, q):
    def better(best, candidate):
        (a, value), (b, other) = best, candidate
        return (jnp.where((other > value)[:, None], b, a), jnp.maximum(value, other)), None

    return jax.lax.scan(better, (actions[0], q[0]), (actions[1:], q[1:]))[0][0]


@right("5.1")
def in_plain_python(actions, q):
    candidates, batch = q.shape
    rows = []
    for b in range(batch):
        n = max(range(candidates), key=lambda n, b=b: float(q[n, b]))
        rows.append(actions[n, b].tolist())
    return np.array(rows)


@right("5.1")
def flat(actions, q):
    (candidates, batch), a = q.shape, actions.shape[-1]
    index = q.argmax(0) * batch + jnp.arange(batch)
    return actions.reshape(candidates * batch, a)[index]


@wrong("5.1", "argmin for argmax")
def the_lowest(actions, q):
    batch = jnp.arange(q.shape[1])
    return actions[q.argmin(axis=0), batch]


@wrong("5.1", "wrong axis in best-of-N")
def axis_1_in_the_template(actions, q):
    batch = jnp.arange(q.shape[1])
    chosen = actions[q.argmax(axis=1), batch]
    return chosen


@wrong("5.1", "wrong axis in best-of-N")
def the_last_axis_in_the_template(actions, q):
    return actions[jnp.argmax(q, axis=-1), jnp.arange(q.shape[1])]


@wrong("5.1", "an observation for each candidate")
def along_the_batch(actions, q):
    return jnp.take_along_axis(actions, q.argmax(1)[:, None, None], axis=1)[:, 0]


@wrong("5.1", "an observation for each candidate")
def vmap_over_candidates(actions, q):
    return jax.vmap(lambda a, values: a[values.argmax()])(actions, q)


@wrong("5.1", "wrong axis, and the indices swapped")
def batch_first_and_wrong_axis(actions, q):
    batch = jnp.arange(q.shape[1])
    return actions[batch, q.argmax(axis=1)]


@wrong("5.1", "indices swapped")
def batch_first(actions, q):
    batch = jnp.arange(q.shape[1])
    return actions[batch, q.argmax(axis=0)]


@wrong("5.1", "one index for two")
def batch_unused(actions, q):
    return actions[q.argmax(axis=0)]


@wrong("5.1", "one index for two")
def with_take(actions, q):
    return jnp.take(actions, jnp.argmax(q, axis=0), axis=0)


@wrong("5.1", "the index in place of the action")
def n_itself(actions, q):
    return jnp.argmax(q, axis=0)


@wrong("5.1", "one winner for the whole batch")
def best_on_average(actions, q):
    return actions[jnp.argmax(q.mean(axis=1))]


@wrong("5.1", "values in place of the action")
def highest_value(actions, q):
    return jnp.max(q, axis=0)


@wrong("5.1", "averaged candidates")
def mean_of_the_candidates(actions, q):
    return jnp.mean(actions, axis=0)


@wrong("5.1", says="The chosen action is off by up to")
def always_the_first(actions, q):
    return actions[0]


@wrong("5.1", says="The chosen action is off by up to")
def weighted_by_q(actions, q):
    return jnp.einsum("nb,nba->ba", jax.nn.softmax(q, axis=0), actions)


@wrong(
    "5.1", says="The chosen action should have the shape (4, 2), and has (2,), in case 1 of 2 (ac"
)
def one_for_all(actions, q):
    n, b = jnp.unravel_index(q.argmax(), q.shape)
    return actions[n, b]


@wrong("5.1", says="The chosen action should have the shape (4, 2), and has (4, 4, 2)")
def columns_only(actions, q):
    return actions[:, q.argmax(axis=0)]


@wrong("5.1", says="The chosen action should have the shape (4, 2), and has (2, 4)")
def transposed(actions, q):
    return actions[q.argmax(0), jnp.arange(q.shape[1])].T


@wrong("5.1", says="The chosen action should have the shape (4, 2), and has (8, 2), in case 2 of 2")
def as_many_rows_as_candidates(actions, q):
    return actions[q.argmax(0)[0], jnp.zeros(len(q), int)] if len(q) > 4 else filled_in(actions, q)


@wrong("5.1", says="Use jnp there")
def numpy_in_a_vmap(actions, q):
    return jax.vmap(lambda a, values: np.asarray(a)[np.argmax(values)], in_axes=1)(actions, q)


@wrong("5.1", says="It should return the chosen action, and returns 2 arrays.")
def with_its_value(actions, q):
    batch = jnp.arange(q.shape[1])
    return actions[q.argmax(0), batch], q.max(0)


@wrong("5.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(actions, q):
    batch = jnp.arange(q.shape[1])
    actions[q.argmax(axis=0), batch]


@wrong("5.1", says="It stopped in the line `return actions[q.argmax(dim=0), batch]` with TypeError")
def as_in_torch(actions, q):
    batch = jnp.arange(q.shape[1])
    return actions[q.argmax(dim=0), batch]


# ---------------------------------------------------------------------- 5.2 the cost of a setting


@right("5.2")
def with_an_if(steps, candidates):
    policy = steps * candidates
    critic = 2 * candidates if candidates > 1 else 0
    return policy + critic


@right("5.2")
def with_a_truth_value(steps, candidates):
    return steps * candidates + 2 * candidates * (candidates > 1)


@right("5.2")
def per_candidate(steps, candidates):
    if candidates == 1:
        return steps
    return candidates * (steps + 2)


@right("5.2")
def counted(steps, candidates):
    count = 0
    for _ in range(candidates):
        for _ in range(steps):
            count += 1
        if candidates != 1:
            for _critic in ("one", "two"):
                count += 1
    return count


@right("5.2")
def with_where(steps, candidates):
    critic = jnp.where(candidates >= 2, 2 * candidates, 0)
    return jnp.multiply(steps, candidates) + critic


@right("5.2")
def as_a_dot_product(steps, candidates):
    return np.dot([steps, 2], [candidates, candidates if candidates > 1 else 0])


@right("5.2")
def as_a_float(steps, candidates):
    return float(steps * candidates) + 2.0 * (0 if candidates == 1 else candidates)


@right("5.2")
def with_cond(steps, candidates):
    critic = jax.lax.cond(candidates > 1, lambda n: 2 * n, lambda n: 0 * n, candidates)
    return steps * candidates + critic


@right("5.2")
def recursion(steps, candidates):
    def of(n):
        return 0 if n == 0 else steps + 2 + of(n - 1)

    return of(candidates) - (2 if candidates == 1 else 0)


@wrong("5.2", "the critic for free")
def field_alone(steps, candidates):
    policy = steps * candidates
    critic = 0
    return policy + critic


@wrong("5.2", "valuing a single candidate")
def always_valued(steps, candidates):
    policy = steps * candidates
    critic = 2 * candidates
    return policy + critic


@wrong("5.2", "one critic")
def ensemble_of_one(steps, candidates):
    policy = steps * candidates
    critic = candidates if candidates > 1 else 0
    return policy + critic


@wrong("5.2", "steps and candidates added")
def added(steps, candidates):
    policy = steps + candidates
    critic = 2 * candidates if candidates > 1 else 0
    return policy + critic


@wrong("5.2", "the steps of one candidate")
def steps_once(steps, candidates):
    policy = steps
    critic = 2 * candidates if candidates > 1 else 0
    return policy + critic


@wrong("5.2", "the critics after each step")
def valued_at_each_step(steps, candidates):
    policy = steps * candidates
    critic = 2 * steps * candidates if candidates > 1 else 0
    return policy + critic


@wrong("5.2", says="in case 3 of 5 (steps = 1, candidates = 8); 2 of 5 cases are right")
def two_critics_in_all(steps, candidates):
    return steps * candidates + (2 if candidates > 1 else 0)


@wrong("5.2", says="in case 3 of 5 (steps = 1, candidates = 8); 2 of 5 cases are right")
def all_but_one_valued(steps, candidates):
    return steps * candidates + 2 * (candidates - 1)


@wrong("5.2", says="in case 1 of 5 (steps = 1, candidates = 1), and in the")
def one_critic_always(steps, candidates):
    return steps * candidates + candidates


@wrong("5.2", says="in case 3 of 5 (steps = 1, candidates = 8)")
def power(steps, candidates):
    return steps * candidates + (candidates**2 if candidates > 1 else 0)


@wrong("5.2", says="The number of evaluations is off by up to")
def one_of_the_two(steps, candidates):
    return steps * candidates if candidates == 1 else 2 * candidates


@wrong("5.2", says="in case 1 of 5 (steps = 1, candidates = 1), and in the")
def in_powers_of_two(steps, candidates):
    return math.log2(with_an_if(steps, candidates))


@wrong("5.2", says="The number of evaluations should have the shape (), and has (2,)")
def both_terms(steps, candidates):
    policy = steps * candidates
    critic = 2 * candidates if candidates > 1 else 0
    return policy, critic


@wrong(
    "5.2", says="The number of evaluations should have the shape (), and has (1,), in case 1 of 5"
)
def one_of_each(steps, candidates):
    return np.full(candidates, with_an_if(steps, candidates))


@wrong("5.2", says="The number of evaluations should be numbers, and is text, in case 1 of 5")
def in_words(steps, candidates):
    return f"{with_an_if(steps, candidates)} evaluations"


@wrong("5.2", says="returns nothing, or None in a place: is a `return` missing?")
def nothing_for_one(steps, candidates):
    if candidates > 1:
        return candidates * (steps + 2)


@wrong(
    "5.2", says="It stopped in the line `return steps * candidates + critic` with UnboundLocalError"
)
def unbound_for_one(steps, candidates):
    if candidates > 1:
        critic = 2 * candidates
    return steps * candidates + critic


@wrong("5.2", says="It stopped in the line `return steps * len(candidates)` with TypeError")
def length_of_a_number(steps, candidates):
    return steps * len(candidates)


# ---------------------------------------------------------------------------- 5.3 spend a budget


@right("5.3")
def with_infinity(success, cost, budget):
    worth = jnp.where(cost <= budget, success, -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@right("5.3")
def success_times_affordable(success, cost, budget):
    worth = success * (cost <= budget)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@right("5.3")
def with_numpy_and_a_tuple(success, cost, budget):
    worth = np.where(np.asarray(cost) > budget, -1, np.asarray(success))
    return np.unravel_index(worth.argmax(), worth.shape)


@right("5.3")
def search(success, cost, budget):
    best, pair = -1.0, None
    for n in range(success.shape[0]):
        for m in range(success.shape[1]):
            if cost[n, m] <= budget and success[n, m] > best:
                best, pair = success[n, m], [n, m]
    return pair


@right("5.3")
def with_divmod(success, cost, budget):
    flat = jnp.where(cost <= budget, success, 0).ravel().argmax()
    return divmod(int(flat), success.shape[1])


@right("5.3")
def with_indices_of_the_affordable(success, cost, budget):
    pairs = jnp.argwhere(cost <= budget)
    return pairs[success[cost <= budget].argmax()]


@right("5.3")
def sorted_by_success(success, cost, budget):
    order = np.argsort(-np.asarray(success), axis=None)
    affordable = np.asarray(cost).ravel()[order] <= budget
    return np.array(np.unravel_index(order[affordable.argmax()], success.shape))


@right("5.3")
def pairs_in_python(success, cost, budget):
    success, cost = success.tolist(), cost.tolist()
    pairs = itertools.product(range(len(success)), range(len(success[0])))
    return max((p for p in pairs if cost[p[0]][p[1]] <= budget), key=lambda p: success[p[0]][p[1]])


@right("5.3")
def with_scan(success, cost, budget):
    def better(best, i):
        better = (cost.ravel()[i] <= budget) & (success.ravel()[i] > best[0])
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), (success.ravel()[i], i), best), 0

    (_, i), _ = jax.lax.scan(better, (jnp.float32(-1), 0), jnp.arange(success.size))
    return jnp.array([i // success.shape[1], i % success.shape[1]])


@right("5.3")
def penalty(success, cost, budget):
    worth = success - 1e6 * jnp.maximum(cost - budget, 0)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "budget ignored")
def the_best_of_all(success, cost, budget):
    worth = success
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "dearest for best")
def the_dearest(success, cost, budget):
    worth = jnp.where(cost <= budget, cost, -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "a budget to exceed")
def comparison_reversed(success, cost, budget):
    worth = jnp.where(cost >= budget, success, -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "a budget to exceed")
def branches_reversed(success, cost, budget):
    worth = jnp.where(cost <= budget, -jnp.inf, success)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "success per cost")
def the_best_bargain(success, cost, budget):
    worth = jnp.where(cost <= budget, success / cost, -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "an index of a shorter list")
def the_affordable_alone(success, cost, budget):
    worth = success[cost <= budget]
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "less than for at most")
def something_left(success, cost, budget):
    worth = jnp.where(cost < budget, success, -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", "row and column swapped")
def column_first(success, cost, budget):
    worth = jnp.where(cost <= budget, success, -jnp.inf)
    n, m = jnp.unravel_index(jnp.argmax(worth), success.shape)
    return jnp.stack([m, n])


@wrong("5.3", says="The index pair is off by up to")
def the_worst_affordable(success, cost, budget):
    worth = jnp.where(cost <= budget, success, jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmin(worth), success.shape))


@wrong("5.3", says="The index pair is off by up to")
def plus_infinity(success, cost, budget):
    worth = jnp.where(cost <= budget, success, jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", says="The index pair is off by up to")
def the_cheapest(success, cost, budget):
    return jnp.stack(jnp.unravel_index(jnp.argmin(cost), success.shape))


@wrong("5.3", says="The index pair is off by up to")
def counted_from_one(success, cost, budget):
    return with_infinity(success, cost, budget) + 1


@wrong("5.3", says="in case 1 of 10 (budget = 0.5)")
def truth_values_alone(success, cost, budget):
    worth = cost <= budget
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", says="The index pair should have the shape (2,), and has (), in case 1 of 10 (budget")
def index_of_the_flat_table(success, cost, budget):
    return jnp.where(cost <= budget, success, -jnp.inf).argmax()


@wrong("5.3", says="The index pair should have the shape (2,), and has (6,)")
def one_for_each_row(success, cost, budget):
    return jnp.where(cost <= budget, success, -jnp.inf).argmax(1)


@wrong("5.3", says="The index pair should have the shape (2,), and has ()")
def the_success_itself(success, cost, budget):
    return jnp.where(cost <= budget, success, -jnp.inf).max()


@wrong("5.3", says="returns nothing, or None in a place: is a `return` missing?")
def pair_without_return(success, cost, budget):
    worth = jnp.where(cost <= budget, success, -jnp.inf)
    jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


@wrong("5.3", says="It stopped in the line `return worth.argmax().unravel(success.shape)`")
def no_such_method(success, cost, budget):
    worth = jnp.where(cost <= budget, success, -jnp.inf)
    return worth.argmax().unravel(success.shape)


@wrong("5.3", says="Use jnp there")
def numpy_in_a_compiled_function(success, cost, budget):
    @jax.jit
    def best(success, cost):
        return np.argmax(np.where(np.asarray(cost) <= budget, success, -np.inf))

    return jnp.stack(jnp.unravel_index(best(success, cost), success.shape))
