"""Checks of assignment 2: pessimism, a best-of-N target, an agent that learns, a comparison.

The agent is measured. It is trained on PointMaze with the student's TD target and three seeds, and
evaluated in the maze, by a grader in another process than the one in which the student's code ran.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.agents import SORL
from sorl_edu.course.exercises import agent_training
from sorl_edu.course.exercises.agent_training import (
    REHEARSALS,
    REHEARSED_STEPS,
    ROWS,
    dataset,
    hyperparameters,
    rehearsal,
    targets_of,
    to_act,
)
from sorl_edu.course.exercises.attempt import Ask, Feedback, Stopped
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import quarrelling_critics, target_and_gradient
from sorl_edu.course.exercises.measured import Measured, check_means, training_keys, tree_like
from sorl_edu.course.shipped import ENVIRONMENT
from sorl_edu.evaluation import bounded_interval, evaluate
from sorl_edu.inference import score
from sorl_edu.temporal_difference import Batch, Critic
from sorl_edu.training import init_seeds, seed_state

# ---------------------------------------------------------------------------------- A2.1 pessimism


def _pessimistic(q: Float[Array, "ensemble *batch"], kappa: float) -> Array:
    return q.mean(0) - kappa * q.std(0)


def _pessimistic_cases(key: PRNGKeyArray) -> list[tuple[Array, float]]:
    """(q, kappa): the values of E critics, (E, B), once with E = B, and once (E, N, B)."""
    draw = Draws(key)
    return [(draw.normal(2, 5), 0.5), (draw.normal(4, 4), 1.5), (draw.normal(3, 6, 2), 1.0)]


pessimistic = Exercise(
    number="A2.1",
    parts=("the pessimistic value",),
    solution=_pessimistic,
    cases=_pessimistic_cases,
    right="Right. With two critics and kappa = 1 this is their minimum: can you see why?",
    misconceptions=(
        Misconception(
            "optimistic",
            "you add the disagreement of the critics. This prefers actions that nobody has tried, "
            "and without an environment to try them in, nothing ever corrects it.",
            lambda q, kappa: q.mean(0) + kappa * q.std(0),
        ),
        Misconception(
            "variance for deviation",
            "you subtract the variance. It has the square of Q's unit, so kappa would have another "
            "meaning for every scale of the rewards.",
            lambda q, kappa: q.mean(0) - kappa * q.var(0),
        ),
        Misconception(
            "over the batch",
            "you average over the last axis. Axis 0 of q counts the critics.",
            lambda q, kappa: q.mean(-1) - kappa * q.std(-1),
        ),
        Misconception(
            "minimum for every kappa",
            "you take the minimum, which is right for one kappa only, 1, and for two critics only.",
            lambda q, kappa: q.min(0),
        ),
        Misconception(
            "kappa forgotten",
            "you subtract one deviation for every kappa.",
            lambda q, kappa: q.mean(0) - q.std(0),
        ),
        Misconception(
            "deviation divided by E - 1",
            "your deviation divides by E - 1 (ddof=1), which estimates that of more critics like "
            "these. Here we mean the deviation of these E critics: divide by E.",
            lambda q, kappa: q.mean(0) - kappa * q.std(0, ddof=1),
        ),
        Misconception(
            "one deviation for all",
            "you subtract the same deviation everywhere, that of all numbers in q. How much the "
            "critics disagree is another number for each action: take it over axis 0.",
            lambda q, kappa: q.mean(0) - kappa * q.std(),
        ),
    ),
)

# -------------------------------------------------------------------------- A2.2 a best-of-N target


def _values(
    critic: Critic,
    obs: Float[Array, "batch obs"],
    candidates: Float[Array, "candidates batch action"],
    kappa: float,
) -> Float[Array, "candidates batch"]:
    """The pessimistic value of every candidate."""
    return score(lambda obs, actions: _pessimistic(critic(obs, actions), kappa), obs, candidates)


def _best_of_n_target_with(
    *,
    values: Callable = _values,
    obs: Callable = lambda batch: batch.next_observations,
    best: Callable = lambda v: v.max(0),
    bootstrap: Callable = lambda batch, discount: discount**batch.horizons * batch.masks,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    """The target with other values of the candidates, another choice, or another bootstrap."""

    def target(
        critic: Critic, batch: Batch, candidates: Array, discount: float, kappa: float
    ) -> Array:
        v = best(values(critic, obs(batch), candidates, kappa))
        return stop(batch.rewards + bootstrap(batch, discount) * v)

    return target


def _best_of_n_target_cases(key: PRNGKeyArray) -> list[tuple]:
    """(critic, batch, candidates, discount, kappa), tasks that end, returns of several steps.

    In many rows, and for a large kappa, the best mean is not the best pessimistic value.
    """
    cases, draw, rows = [], Draws(key), np.arange(12)
    for n, discount, kappa in ((4, 0.9, 0.8), (12, 0.8, 2.0)):  # once as many candidates as rows
        batch = Batch(
            observations=draw.normal(12, 3),
            actions=draw.normal(12, 2),
            rewards=draw.normal(12),
            masks=jnp.asarray(rows % 3 != 0, jnp.float32),
            horizons=jnp.asarray(1 + rows % 4, jnp.float32),
            next_observations=draw.normal(12, 3),
        )
        cases.append((quarrelling_critics, batch, draw.normal(n, 12, 2), discount, kappa))
    return cases


def _values_of_mixed_rows(critic: Critic, obs: Array, candidates: Array, kappa: float) -> Array:
    """The candidates in one order, the observations in another."""
    n, b, _ = candidates.shape
    rows = jnp.repeat(obs, n, axis=0), candidates.reshape(n * b, -1)
    return _pessimistic(critic(*rows), kappa).reshape(n, b)


def _values_by_critic(critic: Critic, obs: Array, candidates: Array, kappa: float) -> Array:
    """Each critic's own best candidate, and only then pessimism, (1, B)."""
    q = jax.vmap(critic, in_axes=(None, 0), out_axes=1)(obs, candidates)
    return _pessimistic(q.max(1), kappa)[None]


def _value_of_the_best_mean(critic: Critic, obs: Array, candidates: Array, kappa: float) -> Array:
    """The pessimistic value of the candidate with the largest mean, (1, B)."""
    means = _values(critic, obs, candidates, 0.0)
    chosen = means.argmax(0)[None]
    return jnp.take_along_axis(_values(critic, obs, candidates, kappa), chosen, axis=0)


def _smallest_values(critic: Critic, obs: Array, candidates: Array, kappa: float) -> Array:
    del kappa
    return score(lambda obs, actions: critic(obs, actions).min(0), obs, candidates)


best_of_n_target = Exercise(
    number="A2.2",
    parts=("the target", "its gradient by the critics' parameters"),
    solution=_best_of_n_target_with(),
    cases=_best_of_n_target_cases,
    probe=target_and_gradient,
    right="Right: the best candidate by its pessimistic value, nothing after the end, no gradient.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the numbers are right, and a gradient flows through your target. A target is "
            "something to reach, not something to move.",
            _best_of_n_target_with(stop=lambda y: y),
        ),
        Misconception(
            "bootstrapping through the end",
            "your target adds a value after the task has ended, where mask is 0.",
            _best_of_n_target_with(bootstrap=lambda batch, discount: discount**batch.horizons),
        ),
        Misconception(
            "mask reversed",
            "your target adds the next value only where the task has ended. mask is 0 there, and 1 "
            "where it goes on.",
            _best_of_n_target_with(
                bootstrap=lambda batch, discount: discount**batch.horizons * (1 - batch.masks)
            ),
        ),
        Misconception(
            "discounted once",
            "you discount the next value by gamma. The rewards are sums over k = horizons "
            "transitions, so the next value lies k transitions ahead: gamma^k.",
            _best_of_n_target_with(bootstrap=lambda batch, discount: discount * batch.masks),
        ),
        Misconception(
            "average for best",
            "you average over the candidates, which gives the value of the policy alone. The "
            "target needs the value of the policy with best-of-N.",
            _best_of_n_target_with(best=lambda v: v.mean(0)),
        ),
        Misconception(
            "observations and candidates mixed up",
            "your rows pair a candidate with another row's observation. Flattened candidates "
            "(N, B, A) hold candidate 1 for all B observations first: repeat o' in that order.",
            _best_of_n_target_with(values=_values_of_mixed_rows),
        ),
        Misconception(
            "a choice for each critic",
            "you take each critic's best candidate, and are pessimistic afterwards. The values "
            "then belong to different actions, and each critic's errors are picked: choose one "
            "action, by the pessimistic value.",
            _best_of_n_target_with(values=_values_by_critic),
        ),
        Misconception(
            "pessimism after the choice",
            "you choose the candidate with the largest mean, and are pessimistic afterwards. "
            "The choice then falls on overrated actions, as before: choose by the pessimistic "
            "value.",
            _best_of_n_target_with(values=_value_of_the_best_mean),
        ),
        Misconception(
            "minimum of the critics",
            "you value a candidate by the smallest of the critics' values, whatever kappa is. The "
            "target subtracts kappa deviations from their mean.",
            _best_of_n_target_with(values=_smallest_values),
        ),
        Misconception(
            "valued at the observations before",
            "you value the candidates at `observations`. They are actions for the next ones, o'.",
            _best_of_n_target_with(obs=lambda batch: batch.observations),
        ),
        Misconception(
            "first candidate",
            "you use the first candidate only.",
            _best_of_n_target_with(best=lambda v: v[0]),
        ),
        Misconception(
            "no pessimism",
            "you average the critics without subtracting kappa deviations.",
            _best_of_n_target_with(values=lambda *inputs: _values(*inputs[:-1], 0.0)),
        ),
    ),
)

# ------------------------------------------------------------------------ A2.3 an agent that learns

UPDATES, STARTS = 6000, 20
SETTING = {"steps": 4, "candidates": 8}


def _known_targets(method: Callable, candidates: int, kappa: float) -> Array:
    """Those of a function with the arguments of A2.2's, with other keys than an answer's."""
    return _targets_of(SORL(**hyperparameters()), method, candidates, kappa)


@lru_cache(maxsize=64)
def _targets_of(agent: SORL, method: Callable, candidates: int, kappa: float) -> Array:
    state, batch = rehearsal(agent)

    def target(key: PRNGKeyArray) -> Array:
        obs, params, steps = batch.next_observations, state.field.params, REHEARSED_STEPS
        draw = partial(agent.sample, state, params, obs, steps=steps)
        drawn = jax.vmap(draw)(jax.random.split(key, candidates))
        critic = agent.q(state.critic.target, steps)
        return method(critic, batch, drawn, agent.discount, kappa)

    return targets_of(target, seed=1)


def _check_rehearsals(ask: Ask) -> None:
    """Raises Stopped unless an agent's targets are right, by their means over many draws."""
    like = (np.zeros(2, np.float32), np.zeros((ROWS, REHEARSALS), np.float32))
    chosen, targets = tree_like(ask(probe=agent_training.rehearse, parts=2), like)
    candidates, kappa = int(chosen[0]), float(chosen[1])
    if not 2 <= candidates <= 64:
        text = f"backup_candidates must be from 2 to 64, to choose among; it is {candidates}"
        raise Stopped(Feedback("wrong", text))
    check_means(
        targets,
        partial(_known_targets, candidates=candidates, kappa=kappa),
        best_of_n_target.solution,  # always the same function, so that its targets are kept
        TARGET_MISCONCEPTIONS,
        "td_target is not the best-of-N target of A2.2 with your backup_candidates and kappa: its "
        "mean over many draws is another. Draw every candidate with a key of its own, at the next "
        "observations, and value them with the critic's moving average.",
    )


TARGET_MISCONCEPTIONS = (
    Misconception(
        "SORL's own target",
        "your td_target is SORL's own, with one action and no pessimism.",
        _best_of_n_target_with(
            values=lambda *inputs: _values(*inputs[:-1], 0.0), best=lambda v: v[0]
        ),
    ),
    Misconception(
        "one candidate, or the average of all",
        "your td_target uses one candidate, or the average of all, which is the value of the "
        "policy alone. It needs the value of the policy with best-of-N.",
        _best_of_n_target_with(best=lambda v: v.mean(0)),
    ),
    *(
        mistake
        for mistake in best_of_n_target.misconceptions
        if mistake.name not in ("missing stop-gradient", "average for best", "first candidate")
    ),
)
"""Targets that may train well enough; their answers have the arguments of A2.2's."""


def _success(ask: Ask, seeds: Sequence[int], updates: int) -> list[float]:
    """Success of SORL with what the answer's class learned, from the same starts for every seed."""
    _check_rehearsals(ask)
    agent = SORL(**hyperparameters())
    keys = training_keys(seeds)
    like = to_act(init_seeds(agent, keys, dataset().train))
    parts = len(jax.tree.leaves(like))
    learned = tree_like(ask(keys, updates, probe=agent_training.trained, parts=parts), like)
    success = []
    for i in range(len(seeds)):
        state = seed_state(learned, i)
        episodes, _ = evaluate(agent, state, ENVIRONMENT, episodes=STARTS, seed=seeds[0], **SETTING)
        success.append(float(episodes.success.mean()))
    return success


learned = Measured(
    number="A2.3",
    measure=_success,
    quantity="success in the maze",
    goal=0.6,  # a training mostly succeeds or fails as a whole: two of three are enough
    baseline=0.2,
    size=UPDATES,
    interval=bounded_interval,
    misconceptions=TARGET_MISCONCEPTIONS,
)

# --------------------------------------------------------------------------- A2.4 is it any better?

Table = Float[Array | np.ndarray, "seed episode"]
Weights = Float[Array | np.ndarray, "draw seed_and_unseen"]


def _difference(new: Table, old: Table, weights: Weights) -> tuple:
    return _bounded((new - old).mean(1), weights)


def _bounded(
    values: Array | np.ndarray,
    weights: Weights,
    unseen: tuple[float, float] = (-1.0, 1.0),
    tails: tuple[float, float] = (0.025, 0.975),
) -> tuple:
    """The mean, and the quantiles of weighted means that reckon with one more value, unseen."""
    low, high = (
        np.quantile(weights @ np.append(values, value), tail)
        for value, tail in zip(unseen, tails, strict=True)
    )
    return np.mean(values), low, high


def _student(new: Table, old: Table, weights: Weights) -> tuple:
    from scipy import stats  # a second to import

    d = (new - old).mean(1)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return d.mean(), d.mean() - half, d.mean() + half


def _resampled(new: Table, old: Table, weights: Weights) -> tuple:
    """The bootstrap of the seeds alone, without one that nobody has seen."""
    d, seen = (new - old).mean(1), weights[:, :-1]
    low, high = np.quantile(seen @ d / seen.sum(1), (0.025, 0.975))
    return d.mean(), low, high


def _unpaired(new: Table, old: Table, weights: Weights) -> tuple:
    """The ends of the two agents' own intervals, subtracted."""
    new_mean, new_low, new_high = _bounded(new.mean(1), weights, (0.0, 1.0))
    old_mean, old_low, old_high = _bounded(old.mean(1), weights, (0.0, 1.0))
    return new_mean - old_mean, new_low - old_high, new_high - old_low


def _difference_cases(key: PRNGKeyArray) -> list[tuple[Array, Array, Array]]:
    """(new, old, weights): success of two agents, (S, E) each, S seeds from the same E starts."""
    cases, rng = [], Draws(key).rng
    for seeds, episodes in ((3, 20), (5, 12)):
        skill = rng.uniform(0.2, 0.8, (2, seeds, 1)) + rng.uniform(-0.2, 0.2, (2, 1, episodes))
        success = rng.uniform(size=(2, seeds, episodes)) < skill
        inputs = *success, rng.dirichlet(np.ones(seeds + 1), 2000)
        cases.append(tuple(jnp.asarray(array, jnp.float32) for array in inputs))
    return cases


difference = Exercise(
    number="A2.4",
    parts=("the mean", "the lower end", "the upper end"),
    solution=_difference,
    cases=_difference_cases,
    right="Right: another seed would change what varies from one training to the next.",
    misconceptions=(
        Misconception(
            "every episode a sample",
            "you treat all episodes as independent, and there are more of them than weights. The "
            "episodes of one seed share one training: first compute one difference per seed.",
            lambda new, old, weights: _bounded((new - old).ravel(), weights),
        ),
        Misconception(
            "over starts instead of seeds",
            "you average over the seeds first, and count starts, of which there are more than "
            "weights. Your interval is about another start in the maze for these very agents; the "
            "question is about another training.",
            lambda new, old, weights: _bounded((new - old).mean(0), weights),
        ),
        Misconception(
            "a weight too many",
            "you have one difference less than weights: the last weight belongs to the seed that "
            "nobody has seen.",
            lambda new, old, weights: weights @ (new - old).mean(1),
        ),
        Misconception(
            "only the seeds that were seen",
            "you leave out the seed that nobody has seen. Where all your seeds agree, your "
            "interval is a single point, however few they are.",
            _resampled,
        ),
        Misconception(
            "no difference for the unseen seed",
            "you take the unseen seed's difference to be 0. It is the worst possible one for the "
            "lower end, and the best possible one for the upper end.",
            lambda new, old, weights: _bounded((new - old).mean(1), weights, (0.0, 0.0)),
        ),
        Misconception(
            "an average difference for the unseen seed",
            "you take the unseen seed to be like the mean of the others. It is the worst possible "
            "one for the lower end, and the best possible one for the upper end.",
            lambda new, old, weights: _bounded(
                d := (new - old).mean(1), weights, (float(d.mean()),) * 2
            ),
        ),
        Misconception(
            "range of a rate",
            "your unseen seed is 0 at worst, which is the range of a rate. A difference of two "
            "rates is -1 at worst: the new agent never arrives, and the old one always does.",
            lambda new, old, weights: _bounded((new - old).mean(1), weights, (0.0, 1.0)),
        ),
        Misconception(
            "worst and best exchanged",
            "your lower end takes the unseen seed to be the best possible, and your upper end the "
            "worst possible. It is the other way round: the interval must allow for both.",
            lambda new, old, weights: _bounded((new - old).mean(1), weights, (1.0, -1.0)),
        ),
        Misconception(
            "the worst for both ends",
            "your upper end, too, takes the unseen seed to be the worst possible. Nobody has seen "
            "it: it may be the best.",
            lambda new, old, weights: _bounded((new - old).mean(1), weights, (-1.0, -1.0)),
        ),
        Misconception(
            "5% beyond each end",
            "your ends are the quantiles of 5% and 95%, which leave 5% beyond each, so that this "
            "is a 90% interval. A 95% interval leaves half as much beyond each.",
            lambda new, old, weights: _bounded((new - old).mean(1), weights, tails=(0.05, 0.95)),
        ),
        Misconception(
            "Student's interval",
            "this is Student's interval, which assumes that seeds vary as normal numbers do. Where "
            "all seeds agree it is a single point, and it may leave [-1, 1]. Use the weights.",
            _student,
        ),
        Misconception(
            "quantiles of the seeds",
            "your interval says between which ends single seeds lie. The question is where their "
            "mean would lie with other seeds: weighted means of them, a mean for each row.",
            lambda new, old, weights: (
                (d := (new - old).mean(1)).mean(),
                *np.quantile(d, (0.025, 0.975)),
            ),
        ),
        Misconception(
            "old minus new",
            "your sign is reversed: a positive difference should mean that the new one is better.",
            lambda new, old, weights: _difference(old, new, weights),
        ),
        Misconception(
            "not paired",
            "you compare two independent groups of seeds. Here they come in pairs: first take the "
            "difference for each seed, then the interval of these differences.",
            _unpaired,
        ),
        Misconception(
            "mean between its ends",
            "all three numbers are right, in another order: return the mean first, then the lower "
            "end, then the upper end.",
            lambda *inputs: tuple(_difference(*inputs)[i] for i in (1, 0, 2)),
        ),
        Misconception(
            "upper end before lower",
            "the numbers are right, and the ends are exchanged: return the lower one first.",
            lambda *inputs: tuple(_difference(*inputs)[i] for i in (0, 2, 1)),
        ),
    ),
)
