"""Lesson 8's exercises: a drawn return, its read-out, and the choice among candidates."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from sorl_edu import expressive_value
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.given import value_and_gradient_by_the_first

# ------------------------------------------------------------------------ 8.1 a bootstrapped return


def _return_target(
    z_next: Array, rewards: Array, masks: Array, horizons: Array, discount: float
) -> Array:
    shrink = discount**horizons * masks
    return jax.lax.stop_gradient((1 - discount) * rewards + shrink * z_next)


def _return_cases(key: PRNGKeyArray) -> list[tuple]:
    """(z_next, rewards, masks, horizons, discount); some tasks end, some horizons are above 1."""
    draw = Draws(key)
    masks = jnp.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    horizons = jnp.array([1.0, 1.0, 5.0, 3.0, 2.0, 5.0])
    return [
        (draw.normal(6), draw.normal(6, scale=2.0), masks, horizons, discount)
        for discount in (0.9, 0.6)
    ]


def _return_with(
    *,
    reward: Callable[[Array, float], Array] = lambda r, gamma: (1 - gamma) * r,
    next_return: Callable[[Array, float], Array] = lambda z, gamma: z,
    shrink: Callable[[Array, Array, float], Array] = lambda mask, k, gamma: gamma**k * mask,
    stop: Callable[[Array], Array] = jax.lax.stop_gradient,
) -> Callable:
    """The target reward + shrink * next_return."""

    def return_target(
        z_next: Array, rewards: Array, masks: Array, horizons: Array, discount: float
    ) -> Array:
        kept = shrink(masks, horizons, discount) * next_return(z_next, discount)
        return stop(reward(rewards, discount) + kept)

    return return_target


def _masked_reward(
    z_next: Array, rewards: Array, masks: Array, horizons: Array, discount: float
) -> Array:
    y = (1 - discount) * rewards + discount**horizons * z_next
    return jax.lax.stop_gradient(masks * y)


return_target = Exercise(
    number="8.1",
    library=("sorl_edu.expressive_value:bootstrapped_return",),
    parts=("the target", "its gradient by z'"),
    solution=_return_target,
    cases=_return_cases,
    probe=value_and_gradient_by_the_first,
    right="Right: one draw of the return, on the unit scale, and the target network learns nothing "
    "from it.",
    misconceptions=(
        Misconception(
            "missing stop-gradient",
            "the number is right, but a gradient flows into z', and so into the target network. "
            "A target is a constant (lesson 3).",
            _return_with(stop=lambda y: y),
        ),
        Misconception(
            "the reward on its own scale",
            "z' is (1 - gamma) times a return, and so is y. The reward must be multiplied by "
            "1 - gamma, or y grows to 1 / (1 - gamma) times what it should be.",
            _return_with(reward=lambda r, gamma: r),
        ),
        Misconception(
            "z' scaled again",
            "z' is on the unit scale already. You multiply it by 1 - gamma once more.",
            _return_with(next_return=lambda z, gamma: (1 - gamma) * z),
        ),
        Misconception(
            "mask forgotten",
            "where the mask is 0 the task has ended, and nothing follows. Yours adds z' there.",
            _return_with(shrink=lambda mask, k, gamma: gamma**k),
        ),
        Misconception(
            "the reward masked",
            "the mask says that nothing follows. The reward of the last step was still received.",
            _masked_reward,
        ),
        Misconception(
            "one step's discount",
            "k rewards were summed before the bootstrap, so z' is k steps away: gamma^k.",
            _return_with(shrink=lambda mask, k, gamma: gamma * mask),
        ),
        Misconception(
            "discount forgotten",
            "z' is k steps away, and counts gamma^k. Yours counts it in full.",
            _return_with(shrink=lambda mask, k, gamma: mask),
        ),
    ),
)

# -------------------------------------------------------------------------------- 8.2 the read-out


def _log_mean_exp(returns: Array, temperature: float) -> Array:
    return expressive_value.log_mean_exp(returns, temperature)


def _read_out_cases(key: PRNGKeyArray) -> list[tuple]:
    """(returns, temperature); at the last temperature, exp is 0 for every return in float32."""
    draw = Draws(key)
    return [
        (draw.normal(8, 5), 0.5),
        (draw.normal(4, 6, scale=0.3), 2.0),
        (draw.uniform(6, 5, low=-1.0, high=-0.5), 0.002),
    ]


def _read_out_with(
    *,
    largest: Callable[[Array], Array] = lambda z: z.max(0),
    below: Callable[[Array, float], Array] = lambda z, tau: z / tau,
    average: Callable[[Array], Array] = lambda e: e.mean(0),
    outside: Callable[[float], float] = lambda tau: tau,
    back: Callable[[Array], Array] = lambda largest: largest,
) -> Callable:
    """The read-out largest + outside(tau) * ln average(exp(below))."""

    def log_mean_exp(returns: Array, temperature: float) -> Array:
        top = largest(returns)
        e = jnp.exp(below(returns - top, temperature))
        return back(top) + outside(temperature) * jnp.log(average(e))

    return log_mean_exp


log_mean_exp = Exercise(
    number="8.2",
    library=("sorl_edu.expressive_value:log_mean_exp",),
    parts=("the read-out",),
    solution=_log_mean_exp,
    cases=_read_out_cases,
    right="Right: between the mean and the largest return, at every temperature, without overflow.",
    misconceptions=(
        Misconception(
            "a sum in place of the mean",
            "the sum of N_R exponentials is N_R times too large, and so the read-out by "
            "tau ln N_R: it would grow with the number of samples.",
            _read_out_with(average=lambda e: e.sum(0)),
        ),
        Misconception(
            "exponentials that vanish",
            "at a small temperature exp(z / tau) is 0 or infinite in 32 bits, and so is your "
            "answer. Subtract the largest return first, and add it again at the end.",
            _read_out_with(largest=lambda z: jnp.zeros(z.shape[1])),
        ),
        Misconception(
            "the largest forgotten at the end",
            "you subtract the largest return inside. It must come back outside.",
            _read_out_with(back=jnp.zeros_like),
        ),
        Misconception(
            "the temperature forgotten outside",
            "ln mean exp(z / tau) is in units of tau. Multiply by tau to be back at returns.",
            _read_out_with(outside=lambda tau: 1.0),
        ),
        Misconception(
            "multiplied by the temperature",
            "a high temperature must level the differences: divide by tau inside.",
            _read_out_with(below=lambda z, tau: z * tau, outside=lambda tau: 1 / tau),
        ),
        Misconception(
            "no temperature at all",
            "without tau there is nothing to turn: z / tau inside, and times tau outside.",
            _read_out_with(below=lambda z, tau: z, outside=lambda tau: 1.0),
        ),
        Misconception(
            "the mean",
            "that is the read-out at an infinite temperature: what lesson 3's critic knows.",
            lambda returns, temperature: returns.mean(0),
        ),
        Misconception(
            "averaged over the batch",
            "the first axis has the returns of one action; the second one has the batch.",
            lambda returns, temperature: _log_mean_exp(returns.T, temperature),
        ),
    ),
)

# ---------------------------------------------------------------------------------- 8.3 the choice


def _choice(q: Array, temperature: float) -> Array:
    return jax.nn.softmax(q / temperature, axis=0)


def _choice_cases(key: PRNGKeyArray) -> list[tuple]:
    """(q, temperature), with another number of candidates than of observations."""
    draw = Draws(key)
    return [(draw.normal(5, 3), 0.5), (draw.normal(3, 4, scale=2.0), 3.0)]


def _choice_with(
    *,
    exponent: Callable[[Array, float], Array] = lambda q, tau: q / tau,
    axis: int | None = 0,
    weight: Callable[[Array], Array] = jnp.exp,
) -> Callable:
    """Weights of `exponent`, normalised along an axis."""

    def choice_probabilities(q: Array, temperature: float) -> Array:
        weights = weight(exponent(q, temperature))
        return weights / weights.sum(axis, keepdims=True)

    return choice_probabilities


choice_probabilities = Exercise(
    number="8.3",
    parts=("the distribution over candidates",),
    solution=_choice,
    cases=_choice_cases,
    right="Right: as tau_Q falls the best candidate takes all, and as it rises all are equal.",
    misconceptions=(
        Misconception(
            "multiplied by the temperature",
            "a low temperature must make the choice sharp: divide Q by it.",
            _choice_with(exponent=lambda q, tau: q * tau),
        ),
        Misconception(
            "the temperature forgotten",
            "without tau_Q the choice can't be turned: exp(Q / tau_Q).",
            _choice_with(exponent=lambda q, tau: q),
        ),
        Misconception(
            "observations compete",
            "you normalise over the batch. The candidates of one observation compete: axis 0.",
            _choice_with(axis=1),
        ),
        Misconception(
            "one choice for the whole batch",
            "you normalise over everything. Each observation has a choice of its own.",
            _choice_with(axis=None),
        ),
        Misconception(
            "no exponential",
            "Q may be negative, and then so are your probabilities. Its exponential never is.",
            _choice_with(weight=lambda e: e),
        ),
        Misconception(
            "the worst most",
            "you weigh by exp(-Q / tau_Q): the worst candidate is the likeliest.",
            _choice_with(exponent=lambda q, tau: -q / tau),
        ),
        Misconception(
            "the best of N",
            "that is the choice at tau_Q = 0. At a positive temperature the others have a chance.",
            lambda q, temperature: jax.nn.one_hot(q.argmax(0), len(q), axis=0),
        ),
    ),
)
