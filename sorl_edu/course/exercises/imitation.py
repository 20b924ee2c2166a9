"""Lesson 9's exercises: the reward's step, where to practise, and what a class lacks."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception

# ------------------------------------------------------------------------- 9.1 the reward's step


def _reward_step(reward: Array, expert: Array, learner: Array, rate: float) -> Array:
    return jnp.clip(reward + rate * (expert - learner), -1, 1)


def _law(draw: Draws, *shape: int, over: int) -> Array:
    """Random numbers that sum to 1 over the last axes, as many as `over`."""
    drawn = draw.uniform(*shape) ** 2
    return drawn / drawn.sum(tuple(range(-over, 0)), keepdims=True)


def _reward_cases(key: PRNGKeyArray) -> list[tuple]:
    """(reward, expert, learner, rate), in which some rewards reach -1 or 1."""
    draw = Draws(key)
    return [
        (
            draw.uniform(5, 3, low=-1.0),
            _law(draw, 5, 3, over=2),
            _law(draw, 5, 3, over=2),
            rate,
        )
        for rate in (0.5, 60.0)
    ]


def _reward_with(
    *,
    before: Callable[[Array], Array] = lambda reward: reward,
    direction: Callable[[Array, Array], Array] = lambda expert, learner: expert - learner,
    step: Callable[[Array, float], Array] = lambda direction, rate: rate * direction,
    limit: Callable[[Array], Array] = lambda reward: jnp.clip(reward, -1, 1),
    limit_step: Callable[[Array], Array] = lambda step: step,
) -> Callable:
    """The step along `direction`, and then `limit`."""

    def reward_step(reward: Array, expert: Array, learner: Array, rate: float) -> Array:
        return limit(before(reward) + limit_step(step(direction(expert, learner), rate)))

    return reward_step


reward_step = Exercise(
    number="9.1",
    library=("sorl_edu.imitation:reward_step",),
    parts=("the reward",),
    solution=_reward_step,
    cases=_reward_cases,
    right="Right: what the expert does more often than the learner pays more from now on.",
    misconceptions=(
        Misconception(
            "sign reversed",
            "yours pays for what the learner does and the expert does not. The policy would then "
            "move away from the expert.",
            _reward_with(direction=lambda expert, learner: learner - expert),
        ),
        Misconception(
            "no limit",
            "without a limit the reward can grow from round to round for ever. "
            "It is a function into [-1, 1].",
            _reward_with(limit=lambda reward: reward),
        ),
        Misconception(
            "the step is limited, and not the reward",
            "you cut the step off at 1. The sum of many steps can still leave [-1, 1]: clip after "
            "you have added.",
            _reward_with(limit=lambda reward: reward, limit_step=lambda s: jnp.clip(s, -1, 1)),
        ),
        Misconception(
            "the reward so far forgotten",
            "this is the step alone. The reward remembers earlier learners, or the policy would "
            "turn round and round between their mistakes.",
            _reward_with(before=lambda reward: 0 * reward),
        ),
        Misconception(
            "the learner forgotten",
            "what both do equally often doesn't tell them apart. Subtract what the learner does.",
            _reward_with(direction=lambda expert, learner: expert),
        ),
        Misconception(
            "rate forgotten",
            "the step is `rate` times the difference.",
            _reward_with(step=lambda direction, rate: direction),
        ),
        Misconception(
            "negative rewards cut off",
            "your reward is in [0, 1]. What the learner does and the expert never does must cost "
            "something.",
            _reward_with(limit=lambda reward: jnp.clip(reward, 0, 1)),
        ),
        Misconception(
            "signs alone",
            "you step by the sign of the difference, so that a rare pair moves as far as a "
            "frequent one. The gradient is the difference itself.",
            _reward_with(direction=lambda expert, learner: jnp.sign(expert - learner)),
        ),
    ),
)

# ------------------------------------------------------------------------ 9.2 where to practise


def _reset_law(
    own: Array, expert: Array, offline: Array, resets: float, share: float
) -> Float[Array, " states"]:
    mixture = (1 - resets) * own + resets * ((1 - share) * expert + share * offline)
    return mixture.mean(0)


def _reset_cases(key: PRNGKeyArray) -> list[tuple]:
    """(own, expert, offline, resets, share): GUITAR, FILTER and MM among them."""
    draw = Draws(key)
    return [
        (*(_law(draw, 4, 6, over=1) for _ in range(3)), resets, share)
        for resets, share in ((0.7, 0.4), (0.5, 0.0), (1.0, 0.8))
    ]


def _reset_with(
    *,
    fractions: Callable[[float, float], tuple[float, float, float]] = lambda a, b: (
        1 - a,
        a * (1 - b),
        a * b,
    ),
    over_time: Callable[[Array], Array] = lambda mixture: mixture.mean(0),
) -> Callable:
    """The law with `fractions` of own, expert's and offline states."""

    def reset_law(own: Array, expert: Array, offline: Array, resets: float, share: float) -> Array:
        weights = fractions(resets, share)
        return over_time(weights[0] * own + weights[1] * expert + weights[2] * offline)

    return reset_law


reset_law = Exercise(
    number="9.2",
    library=(
        "sorl_edu.imitation:ResetMixture",
        "sorl_edu.imitation:filter_resets",
        "sorl_edu.imitation:guitar",
    ),
    parts=("the law",),
    solution=_reset_law,
    cases=_reset_cases,
    right="Right: with share = 0 it is FILTER's law, and with resets = 0 MM's.",
    misconceptions=(
        Misconception(
            "share of all states",
            "you take `share` of all states of practice. It is a share of the resets, which are a "
            "part of them.",
            _reset_with(fractions=lambda a, b: (1 - a, a - b, b)),
        ),
        Misconception(
            "expert and offline swapped",
            "with share = 0 yours practises in offline states alone. FILTER has the expert's.",
            _reset_with(fractions=lambda a, b: (1 - a, a * b, a * (1 - b))),
        ),
        Misconception(
            "resets reversed",
            "with resets = 1 yours has the learner's own states alone, which is no reset at all.",
            _reset_with(fractions=lambda a, b: (a, (1 - a) * (1 - b), (1 - a) * b)),
        ),
        Misconception(
            "own states forgotten",
            "the probabilities of your law sum to `resets`. The rest are the learner's own states.",
            _reset_with(fractions=lambda a, b: (0.0, a * (1 - b), a * b)),
        ),
        Misconception(
            "own states at full weight",
            "your law sums to more than 1. Where there is a reset, the learner's own state has no "
            "part.",
            _reset_with(fractions=lambda a, b: (1.0, a * (1 - b), a * b)),
        ),
        Misconception(
            "sum over time",
            "your law sums to the number of steps. A reset may be to any time, each one equally "
            "often: take the mean.",
            _reset_with(over_time=lambda mixture: mixture.sum(0)),
        ),
        Misconception(
            "the first step only",
            "you reset to where episodes begin. A reset may be to any time of an episode.",
            _reset_with(over_time=lambda mixture: mixture[0]),
        ),
        Misconception(
            "a law for each step",
            "yours has a row for each time. The state of a reset may be of any time: average over "
            "the rows.",
            _reset_with(over_time=lambda mixture: mixture),
        ),
    ),
)

# ------------------------------------------------------------------- 9.3 the completeness error


def _completeness_error(law: Array, advantage: Array, looks: Array, moves: Array) -> Array:
    best_of_all = (law * advantage.max(1)).sum()
    weights = law[:, None] * advantage
    best_in_class = (looks @ weights @ moves.T).max(1).sum()
    return best_of_all - best_in_class


def _completeness_cases(key: PRNGKeyArray) -> list[tuple]:
    """(law, advantage, looks, moves): six states that look like three, and moves that slip."""
    draw = Draws(key)
    cases = []
    for slip in (0.1, 0.3):
        seen = draw.rng.permutation([0, 0, 1, 1, 2, 2])
        moves = (1 - slip) * jnp.eye(4) + slip * _law(draw, 4, 4, over=1)
        looks = jnp.eye(3)[:, seen]
        cases.append((_law(draw, 6, over=1), draw.normal(6, 4), looks, moves))
    return cases


def _completeness_with(
    *,
    law_of: Callable[[Array], Array] = lambda law: law,
    best: Callable[[Array, Array, Array], Array] = lambda law, a, moves: (law * a.max(1)).sum(),
    scores: Callable[[Array, Array, Array], Array] = lambda weights, looks, moves: (
        looks @ weights @ moves.T
    ),
    choose: Callable[[Array], Array] = lambda scores: scores.max(1).sum(),
    gap: Callable[[Array, Array], Array] = lambda best, possible: best - possible,
) -> Callable:
    """The gap between `best` of all and what is chosen among the class's scores."""

    def completeness_error(law: Array, advantage: Array, looks: Array, moves: Array) -> Array:
        law = law_of(law)
        possible = choose(scores(law[:, None] * advantage, looks, moves))
        return gap(best(law, advantage, moves), possible)

    return completeness_error


completeness_error = Exercise(
    number="9.3",
    library=("sorl_edu.imitation:completeness_error",),
    parts=("the error",),
    solution=_completeness_error,
    cases=_completeness_cases,
    right="Right: it is 0 if the class has an improvement as good as any, whoever the expert is.",
    misconceptions=(
        Misconception(
            "a move for each state",
            "your learner chooses in each state for itself. It can't: states that look alike get "
            "the same move.",
            _completeness_with(scores=lambda weights, looks, moves: weights @ moves.T),
        ),
        Misconception(
            "one move for all states",
            "your learner chooses one move for everything. It may choose one for each observation.",
            _completeness_with(choose=lambda scores: scores.sum(0).max()),
        ),
        Misconception(
            "a learner without slips",
            "yours chooses among actions. This learner chooses among moves, each of which is a law "
            "of actions.",
            _completeness_with(scores=lambda weights, looks, moves: looks @ weights),
        ),
        Misconception(
            "the best of all slips, too",
            "the first term is of any policy, with the learner's class or without: the largest "
            "advantage of an action in each state.",
            _completeness_with(best=lambda law, a, moves: (law * (a @ moves.T).max(1)).sum()),
        ),
        Misconception(
            "one action for all states",
            "the first term takes the largest advantage in each state, and then the mean. You took "
            "the mean first.",
            _completeness_with(best=lambda law, a, moves: (law @ a).max()),
        ),
        Misconception(
            "the law forgotten",
            "all states count alike in yours. A state counts as often as it is practised in.",
            _completeness_with(law_of=lambda law: jnp.ones_like(law) / len(law)),
        ),
        Misconception(
            "an average move",
            "the class's best policy takes the best move for each observation, and not the mean of "
            "all moves.",
            _completeness_with(choose=lambda scores: scores.mean(1).sum()),
        ),
        Misconception(
            "sign reversed",
            "the error is what the class *lacks*, and is never negative.",
            _completeness_with(gap=lambda best, possible: possible - best),
        ),
    ),
)
