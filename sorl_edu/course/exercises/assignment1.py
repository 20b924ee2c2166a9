"""Checks of assignment 1: the cosine path, Heun's method, unequal jumps, a three-step shortcut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from sorl_edu.course.exercises import shortcut_training
from sorl_edu.course.exercises.attempt import Ask, Feedback, Stopped, attempt
from sorl_edu.course.exercises.exercise import Draws, Exercise, Misconception
from sorl_edu.course.exercises.flow_matching import path_cases
from sorl_edu.course.exercises.given import bent_field, bent_flow, column, target_and_gradient
from sorl_edu.course.exercises.measured import Measured, check_means, training_keys, tree_like
from sorl_edu.course.exercises.shortcut_training import PROBES, REHEARSALS, M
from sorl_edu.flow_matching import Field, flow_matching_loss
from sorl_edu.shortcut import Shortcut, at_step_size
from sorl_edu.training import seed_keys

# -------------------------------------------------------------------------- A1.1 the cosine path


def _cosine_path(
    noise: Float[Array, "batch action"],
    actions: Float[Array, "batch action"],
    t: Float[Array, "batch 1"],
) -> tuple[Array, Array]:
    cos, sin = jnp.cos(jnp.pi * t / 2), jnp.sin(jnp.pi * t / 2)
    return cos * noise + sin * actions, jnp.pi / 2 * (cos * actions - sin * noise)


def _cosine_path_with(
    *, position: Callable | None = None, velocity: Callable | None = None
) -> Callable:
    """The solution with another position or velocity, a function of (a_0, a_1, cos, sin)."""

    def path(noise: Array, actions: Array, t: Array) -> tuple[Array, Array]:
        cos, sin = jnp.cos(jnp.pi * t / 2), jnp.sin(jnp.pi * t / 2)
        a_t, v = _cosine_path(noise, actions, t)
        a_t = a_t if position is None else position(noise, actions, cos, sin)
        return a_t, v if velocity is None else velocity(noise, actions, cos, sin)

    return path


def _at_angle(rate: float) -> Callable:
    """The path and its velocity with the angle `rate` t in the place of pi t/2."""

    def path(noise: Array, actions: Array, t: Array) -> tuple[Array, Array]:
        cos, sin = jnp.cos(rate * t), jnp.sin(rate * t)
        return cos * noise + sin * actions, rate * (cos * actions - sin * noise)

    return path


def _swapped(noise: Array, actions: Array, cos: Array, sin: Array) -> Array:
    return sin * noise + cos * actions


cosine_path = Exercise(
    number="A1.1",
    parts=("the path", "the velocity"),
    solution=_cosine_path,
    cases=path_cases,
    right="Right: the weights are cosine and sine of one angle, and the velocity is a quarter turn "
    "ahead of the position, times the angle's speed.",
    misconceptions=(
        Misconception(
            "chain rule forgotten",
            "the direction of your velocity is right, and it is too short. The angle is pi t/2: "
            "when you differentiate by t, its own derivative is a factor.",
            _cosine_path_with(velocity=lambda a_0, a_1, cos, sin: cos * a_1 - sin * a_0),
        ),
        Misconception(
            "factor pi instead of pi/2",
            "your velocity is twice too long. The angle makes a quarter turn, pi/2, while t runs "
            "from 0 to 1.",
            _cosine_path_with(velocity=lambda a_0, a_1, cos, sin: jnp.pi * (cos * a_1 - sin * a_0)),
        ),
        Misconception(
            "chain rule for one term only",
            "the derivative of the angle multiplies a_1 alone in your velocity. It belongs to both "
            "terms: are parentheses missing?",
            _cosine_path_with(
                velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * cos * a_1 - sin * a_0
            ),
        ),
        Misconception(
            "velocity of the straight path",
            "a_1 - a_0 is the velocity of lesson 1's path. This path bends, so its velocity "
            "changes with t.",
            _cosine_path_with(velocity=lambda a_0, a_1, cos, sin: a_1 - a_0),
        ),
        Misconception(
            "straight path",
            "this is lesson 1's straight path, with its velocity. The weights of the arc are the "
            "cosine and the sine of an angle.",
            lambda noise, actions, t: ((1 - t) * noise + t * actions, actions - noise),
        ),
        Misconception(
            "sign of the cosine's derivative",
            "the derivative of the cosine is minus the sine: the weight of the noise falls.",
            _cosine_path_with(
                velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_1 + sin * a_0)
            ),
        ),
        Misconception(
            "velocity reversed",
            "the path is right, and its velocity points from the data back to the noise.",
            _cosine_path_with(
                velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (sin * a_0 - cos * a_1)
            ),
        ),
        Misconception(
            "sine and cosine not exchanged",
            "your velocity has the weights of the position, cosine for a_0 and sine for a_1. "
            "Differentiation turns each into the other.",
            _cosine_path_with(
                velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_0 + sin * a_1)
            ),
        ),
        Misconception(
            "time reversed",
            "at t = 0 your path is at the data, at t = 1 at the noise. Here time runs from noise "
            "to data: which of sine and cosine is 1 at t = 0?",
            _cosine_path_with(
                position=_swapped,
                velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_0 - sin * a_1),
            ),
        ),
        Misconception(
            "path reversed",
            "your velocity points to the data, and your path leads to the noise: insert t = 0 and "
            "see where you are.",
            _cosine_path_with(position=_swapped),
        ),
        Misconception(
            "angle without pi/2",
            "your angle is t itself, so your path has not reached the data at t = 1. It makes a "
            "quarter turn, pi/2.",
            _at_angle(1.0),
        ),
        Misconception(
            "half a turn",
            "your angle is pi t, so at t = 1 the path is at minus the noise. It makes a quarter "
            "turn, pi/2.",
            _at_angle(np.pi),
        ),
        Misconception(
            "weights squared",
            "the weights cos^2 and sin^2 add up to 1, which gives a straight path at a changing "
            "speed. Here the squares of the weights add up to 1.",
            _cosine_path_with(
                position=lambda a_0, a_1, cos, sin: cos**2 * a_0 + sin**2 * a_1,
                velocity=lambda a_0, a_1, cos, sin: jnp.pi * sin * cos * (a_1 - a_0),
            ),
        ),
        Misconception(
            "velocity before path",
            "both are right, in the wrong order: return the position first, then the velocity.",
            lambda noise, actions, t: _cosine_path(noise, actions, t)[::-1],
        ),
    ),
)

# -------------------------------------------------------------------------- A1.2 Heun's method


def _heun_cases(key: PRNGKeyArray) -> list[tuple]:
    """(field, obs, noise, steps); 1 step comes last, where few mistakes show."""
    draw = Draws(key)
    return [
        (bent_flow, draw.normal(5, 1), draw.normal(5, 2, scale=0.5), steps) for steps in (3, 5, 1)
    ]


def _heun_with(
    *,
    point: Callable = lambda a, h, v1: a + h * v1,
    second: Callable = lambda t, h: t + h,
    slope: Callable = lambda v1, v2: (v1 + v2) / 2,
    start: Callable = lambda a, h, v1: a,
    length: Callable = lambda h: h,
    times: Callable = lambda i, m: i / m,
) -> Callable:
    """Heun's method at `times`: the second slope at `point` and time `second`, then the step."""

    def heun(field: Field, obs: Array, noise: Array, steps: int) -> Array:
        a, h = noise, 1 / steps
        for i in range(steps):
            t = times(i, steps)
            v1 = field(obs, a, column(a, t))
            v2 = field(obs, point(a, h, v1), column(a, second(t, h)))
            a = start(a, h, v1) + length(h) * slope(v1, v2)
        return a

    return heun


def _first_step_of_heun(field: Field, obs: Array, noise: Array, steps: int) -> Array:
    h, t = 1 / steps, column(noise, 0.0)
    v1 = field(obs, noise, t)
    return noise + h / 2 * (v1 + field(obs, noise + h * v1, t + h))


heun = Exercise(
    number="A1.2",
    parts=("the sample",),
    solution=_heun_with(),
    cases=_heun_cases,
    right="Right: try Euler's step, evaluate the slope where it ends, and step with the mean of "
    "both slopes.",
    misconceptions=(
        Misconception(
            "Euler's method",
            "each step uses the slope at its start alone, and the second slope has no effect.",
            _heun_with(slope=lambda v1, v2: v1),
        ),
        Misconception(
            "second slope at the wrong time",
            "you evaluate both slopes at t. Euler's step ends at t + h.",
            _heun_with(second=lambda t, h: t),
        ),
        Misconception(
            "second slope at the wrong point",
            "you evaluate both slopes at the point where the step starts. The second one belongs "
            "to the point where Euler's step ends.",
            _heun_with(point=lambda a, h, v1: a),
        ),
        Misconception(
            "midpoint method",
            "you make half of Euler's step and use the slope there. The midpoint method has order "
            "2, too, but it is another method: Heun's averages the slopes at both ends of a step.",
            _heun_with(
                point=lambda a, h, v1: a + h / 2 * v1,
                second=lambda t, h: t + h / 2,
                slope=lambda v1, v2: v2,
            ),
        ),
        Misconception(
            "half of Euler's step",
            "your second slope belongs to the middle of the step. Heun's method evaluates it at "
            "the end, at a + h v1 and t + h.",
            _heun_with(point=lambda a, h, v1: a + h / 2 * v1, second=lambda t, h: t + h / 2),
        ),
        Misconception(
            "point and time of different steps",
            "you evaluate the second slope half a step ahead in space and a whole step ahead in "
            "time. Both belong to the end of Euler's step.",
            _heun_with(point=lambda a, h, v1: a + h / 2 * v1),
        ),
        Misconception(
            "not averaged",
            "you step with the sum of the two slopes, twice too far. Take their mean.",
            _heun_with(slope=lambda v1, v2: v1 + v2),
        ),
        Misconception(
            "second slope only",
            "you step with the slope at the end of the step alone, which is as one-sided as "
            "Euler's.",
            _heun_with(slope=lambda v1, v2: v2),
        ),
        Misconception(
            "continued from Euler's step",
            "Euler's step is only a try: the step with the mean slope starts at a again, not at "
            "the end of the try.",
            _heun_with(start=lambda a, h, v1: a + h * v1),
        ),
        Misconception(
            "a step and a half",
            "you add half a step with the second slope to a whole step with the first: the weights "
            "of the slopes are 1/2 and 1/2.",
            _heun_with(slope=lambda v1, v2: v1 + v2 / 2),
        ),
        Misconception(
            "try without the step size",
            "the try adds the whole velocity v1, which is a step of length 1. Its length is "
            "h = 1/steps.",
            _heun_with(point=lambda a, h, v1: a + v1),
        ),
        Misconception(
            "step without the step size",
            "each step adds the whole mean slope. A velocity is a distance per unit of time, and a "
            "step lasts 1/steps.",
            _heun_with(length=lambda h: 1.0),
        ),
        Misconception(
            "time counted in steps",
            "you pass the number of the step, i = 0, 1, 2, ..., to the field. Its time is i/steps.",
            _heun_with(times=lambda i, m: float(i)),
        ),
        Misconception(
            "times i and i + 1",
            "you pass the numbers of the steps, i and i + 1, to the field. Its times are i/steps "
            "and (i + 1)/steps.",
            _heun_with(times=lambda i, m: float(i), second=lambda t, h: t + 1),
        ),
        Misconception(
            "time reversed",
            "you evaluate the field at t = 1 first. The noise is at t = 0.",
            _heun_with(times=lambda i, m: 1 - i / m, second=lambda t, h: t - h),
        ),
        Misconception(
            "one step only",
            "your result is the point after the first step. Is the `return` inside the loop, or "
            "does each step start from the noise again?",
            _first_step_of_heun,
        ),
    ),
)

# ---------------------------------------------------------------- A1.3 jumps of unequal length


def _target_cases(key: PRNGKeyArray) -> list[tuple]:
    """(shortcut, obs, a_t, t, h1, h2): jumps of k/6 whose parts, j/6 and (k - j)/6, differ."""
    cases, draw = [], Draws(key)
    for j, k in (
        ((1, 1, 2, 4, 1, 5), (3, 4, 6, 6, 6, 6)),
        ((2, 3, 1, 2, 1, 3), (3, 4, 5, 6, 2, 5)),
    ):
        part, whole = (np.array(number)[:, None] for number in (j, k))
        times = draw.rng.integers(0, 7 - whole) / 6, part / 6, (whole - part) / 6
        columns = (jnp.asarray(column, jnp.float32) for column in times)
        cases.append((bent_field, draw.normal(6, 1), draw.normal(6, 2), *columns))
    return cases


def _target_with(
    *,
    point: Callable = lambda a, h1, h2, v1: a + h1 * v1,
    second: Callable = lambda t, h1, h2: t + h1,
    fed: Callable = lambda h1, h2: (h1, h2),
    mean: Callable = lambda h1, h2, v1, v2: (h1 * v1 + h2 * v2) / (h1 + h2),
    stop_first: Callable = lambda v1: v1,
    stop_second: Callable = lambda v2: v2,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    """The target with the second jump from `point` at time `second`, and step sizes `fed`."""

    def target(shortcut: Shortcut, obs: Array, a_t: Array, t: Array, h1: Array, h2: Array) -> Array:
        first_h, second_h = fed(h1, h2)
        v1 = stop_first(shortcut(obs, a_t, t, first_h))
        v2 = stop_second(shortcut(obs, point(a_t, h1, h2, v1), second(t, h1, h2), second_h))
        return stop(mean(h1, h2, v1, v2))

    return target


def _landing_point(
    shortcut: Shortcut, obs: Array, a_t: Array, t: Array, h1: Array, h2: Array
) -> Array:
    v = _target_with()(shortcut, obs, a_t, t, h1, h2)
    return jax.lax.stop_gradient(a_t + (h1 + h2) * v)


target = Exercise(
    number="A1.3",
    parts=("the target", "its gradient by the shortcut's parameters"),
    solution=_target_with(),
    cases=_target_cases,
    probe=target_and_gradient,
    right="Right: the distance of both parts over the time of both parts, without a gradient.",
    misconceptions=(
        Misconception(
            "unweighted mean",
            "(v1 + v2)/2 is right for halves. A velocity that lasts longer leads farther, and "
            "counts more.",
            _target_with(mean=lambda h1, h2, v1, v2: (v1 + v2) / 2),
        ),
        Misconception(
            "weights swapped",
            "you weight v1 with h2 and v2 with h1. The first jump has the velocity v1 and lasts "
            "h1.",
            _target_with(mean=lambda h1, h2, v1, v2: (h2 * v1 + h1 * v2) / (h1 + h2)),
        ),
        Misconception(
            "missing stop-gradient",
            "the numbers are right, and a gradient flows through your target. A target is "
            "something to reach, not something to move.",
            _target_with(stop=lambda x: x),
        ),
        Misconception(
            "stop-gradient on the first jump only",
            "the numbers are right, and the second jump still carries a gradient. Stop the whole "
            "target.",
            _target_with(stop_first=jax.lax.stop_gradient, stop=lambda x: x),
        ),
        Misconception(
            "stop-gradient on the second jump only",
            "the numbers are right, and the first jump still carries a gradient: v1 is a part of "
            "the target, too. Stop the whole target.",
            _target_with(stop_second=jax.lax.stop_gradient, stop=lambda x: x),
        ),
        Misconception(
            "both jumps at the same time",
            "your second jump evaluates the shortcut at t again. The first jump ends at t + h1.",
            _target_with(second=lambda t, h1, h2: t),
        ),
        Misconception(
            "second jump at t + h2",
            "your second jump is evaluated at t + h2. It starts when the first jump ends, after "
            "h1.",
            _target_with(second=lambda t, h1, h2: t + h2),
        ),
        Misconception(
            "second jump at its end",
            "your second jump is evaluated at t + h1 + h2, where it ends. Evaluate it where it "
            "starts.",
            _target_with(second=lambda t, h1, h2: t + h1 + h2),
        ),
        Misconception(
            "second jump starts where the first did",
            "your second jump starts at a_t. It continues from where the first one landed.",
            _target_with(point=lambda a, h1, h2, v1: a),
        ),
        Misconception(
            "first jump without its length",
            "your first jump adds the whole velocity v1. It lasts h1.",
            _target_with(point=lambda a, h1, h2, v1: a + v1),
        ),
        Misconception(
            "first jump as long as the second",
            "your first jump adds h2 v1. It lasts h1.",
            _target_with(point=lambda a, h1, h2, v1: a + h2 * v1),
        ),
        Misconception(
            "step size h1 for both jumps",
            "you pass the step size h1 for both jumps. The second one is h2 long.",
            _target_with(fed=lambda h1, h2: (h1, h1)),
        ),
        Misconception(
            "step sizes exchanged",
            "you pass the step size h2 for the first jump, and h1 for the second.",
            _target_with(fed=lambda h1, h2: (h2, h1)),
        ),
        Misconception(
            "parts in the other order",
            "you make the jump of h2 first. The first part is h1 long.",
            lambda shortcut, obs, a_t, t, h1, h2: _target_with()(shortcut, obs, a_t, t, h2, h1),
        ),
        Misconception(
            "step size of the whole jump",
            "you pass the step size h1 + h2 for the parts. The shortcut then learns from itself at "
            "a length at which nothing has trained it.",
            _target_with(fed=lambda h1, h2: (h1 + h2, h1 + h2)),
        ),
        Misconception(
            "distance instead of velocity",
            "you return how far the two jumps lead, h1 v1 + h2 v2. The shortcut returns a "
            "velocity: divide by the time that they take.",
            _target_with(mean=lambda h1, h2, v1, v2: h1 * v1 + h2 * v2),
        ),
        Misconception(
            "landing point instead of velocity",
            "you return the point at which the two jumps land. The shortcut returns a velocity: "
            "how far they lead, divided by the time that they take.",
            _landing_point,
        ),
        Misconception(
            "parentheses around h1 + h2 missing",
            "you divide the distance of both jumps by h1 and then add h2. The time that they take "
            "is (h1 + h2), in parentheses.",
            _target_with(mean=lambda h1, h2, v1, v2: (h1 * v1 + h2 * v2) / h1 + h2),
        ),
        Misconception(
            "divided by 2",
            "you divide the distance of both jumps by their number, 2. Divide by the time that "
            "they take.",
            _target_with(mean=lambda h1, h2, v1, v2: (h1 * v1 + h2 * v2) / 2),
        ),
        Misconception(
            "sum instead of average",
            "you add the two velocities. The large jump takes the time of both.",
            _target_with(mean=lambda h1, h2, v1, v2: v1 + v2),
        ),
        Misconception(
            "second jump only",
            "you return v2, the velocity of the second part. The large jump replaces both.",
            _target_with(mean=lambda h1, h2, v1, v2: v2),
        ),
    ),
)

# ------------------------------------------------------------ A1.4 a shortcut for three steps


def _loss_with(
    *,
    source: Callable = lambda shortcut, target_shortcut: target_shortcut,
    target: Callable | None = None,
    keys: Callable = lambda key: jax.random.split(key, 4),
    whole: Callable = lambda key, shape: jax.random.randint(key, shape, 2, M + 1),
    first: Callable = lambda key, k: jax.random.randint(key, k.shape, 1, k),
    start: Callable = lambda key, k: jax.random.randint(key, k.shape, 0, M - k + 1),
    weights: tuple[float, float] = (1.0, 1.0),
) -> Callable:
    """The solution with another source of the parts, other draws, or other weights of its terms."""
    target = target or _target_with()

    def loss(shortcut, target_shortcut, obs, actions, key):
        flow_key, consistency_key = jax.random.split(key)
        flow, _ = flow_matching_loss(at_step_size(shortcut, 1 / M), obs, actions, flow_key)
        noise_key, k_key, j_key, start_key = keys(consistency_key)
        k = whole(k_key, (len(actions), 1))
        j, t = first(j_key, k), start(start_key, k) / M
        a_t = (1 - t) * jax.random.normal(noise_key, actions.shape) + t * actions
        parts = source(shortcut, target_shortcut)
        wanted = target(parts, obs, a_t, t, j / M, (k - j) / M)
        consistency = jnp.mean((shortcut(obs, a_t, t, k / M) - wanted) ** 2)
        return weights[0] * flow + weights[1] * consistency

    return loss


def _shared(group: str) -> Callable:
    """Keys for the draws n (noise), k, j and t, where those of a group ("kj", say) share one.

    Noise may share the key of whole numbers: `randint` splits its key, so their bits differ.
    """

    def keys(key: PRNGKeyArray) -> list[PRNGKeyArray]:
        own = jax.random.split(key, 4)
        return [key if name in group else own[i] for i, name in enumerate("nkjt")]

    return keys


def _share_a_key(draws: str, group: str) -> Misconception:
    return Misconception(
        f"one key for {draws}",
        f"{draws} share a key. Equal bits make them depend on each other, so that some "
        "combinations never occur. Split the key once for every draw.",
        _loss_with(keys=_shared(group)),
    )


LOSS_MISCONCEPTIONS = (
    Misconception(
        "flow matching alone",
        "your loss is flow matching alone: self-consistency is missing, or adds nothing.",
        _loss_with(weights=(1.0, 0.0)),
    ),
    Misconception(
        "self-consistency alone",
        "your loss is self-consistency alone, without flow matching.",
        _loss_with(weights=(0.0, 1.0)),
    ),
    Misconception(
        "parts by the shortcut that learns",
        "the parts of your target are made by `shortcut`, the field that learns. "
        "`target_shortcut`, its moving average, makes them.",
        _loss_with(source=lambda shortcut, target_shortcut: shortcut),
    ),
    Misconception(
        "unweighted mean",
        "your target is the unweighted mean of the two velocities. Unequal parts count by their "
        "lengths.",
        _loss_with(target=_target_with(mean=lambda h1, h2, v1, v2: (v1 + v2) / 2)),
    ),
    _share_a_key("jump, part and start", "kjt"),
    _share_a_key("jump and part", "kj"),
    _share_a_key("jump and start", "kt"),
    Misconception(
        "equal halves, jumps that double",
        "your jumps are lesson 2's: two equal halves, and starts at multiples of the whole jump. "
        "The first part is j/M, with j drawn from 1 ... k - 1.",
        _loss_with(
            whole=lambda key, shape: 2 ** jax.random.randint(key, shape, 0, 2) * 6,
            first=lambda key, k: k // 2,
            start=lambda key, k: jax.random.randint(key, k.shape, 0, M // k) * k,
        ),
    ),
    Misconception(
        "equal halves",
        "your parts are always equal halves, as in lesson 2. The first part is j/M, with j drawn "
        "from 1 ... k - 1.",
        _loss_with(
            whole=lambda key, shape: 2 * jax.random.randint(key, shape, 1, M // 2 + 1),
            first=lambda key, k: k // 2,
        ),
    ),
    Misconception(
        "first part always 1/M",
        "your first part is always the smallest, 1/M. Draw j from 1 ... k - 1.",
        _loss_with(first=lambda key, k: jnp.ones_like(k)),
    ),
    Misconception(
        "second part always 1/M",
        "your second part is always the smallest, 1/M. Draw j from 1 ... k - 1.",
        _loss_with(first=lambda key, k: k - 1),
    ),
    Misconception(
        "never the whole way",
        "your jumps never take the whole way, k = M: `randint` excludes its upper end.",
        _loss_with(whole=lambda key, shape: jax.random.randint(key, shape, 2, M)),
    ),
    Misconception(
        "always from t = 0",
        "your jumps always start at t = 0. They may start at the first M - k + 1 times.",
        _loss_with(start=lambda key, k: jnp.zeros_like(k)),
    ),
    Misconception(
        "always to t = 1",
        "your jumps always end at t = 1. They may start at the first M - k + 1 times.",
        _loss_with(start=lambda key, k: M - k),
    ),
    Misconception(
        "self-consistency twice",
        "your self-consistency counts twice. Is it a mean over rows and action dimensions?",
        _loss_with(weights=(1.0, 2.0)),
    ),
    Misconception(
        "self-consistency half",
        "your self-consistency counts half. Its weight is 1.",
        _loss_with(weights=(1.0, 0.5)),
    ),
)
"""Losses that train well enough to pass a measurement, and what is wrong with them."""


@cache
def _rehearsals_of(known: Callable) -> Array:
    """Those of the solution or of a misconception. Other keys than an answer's."""
    return shortcut_training.rehearsals(known, seed=1)


_SOLUTION = _loss_with()


def _check_rehearsals(ask: Ask) -> None:
    """Raises Stopped unless a loss is the assignment's, by its means over many batches."""
    like = np.zeros((len(PROBES), REHEARSALS), np.float32)
    check_means(
        tree_like(ask(probe=shortcut_training.rehearse), like),
        _rehearsals_of,
        _SOLUTION,
        LOSS_MISCONCEPTIONS,
        "Your loss has another mean than the assignment's, for some shortcut and target_shortcut. "
        "Compare: the draws of k, j, t and noise, each with a key of its own; which of the two "
        "makes the whole jump, and which the parts; the lengths that weight the parts.",
    )


def ready(answer: Callable) -> Feedback:
    """Whether a loss is that of A1.4, on average over many batches; takes seconds."""
    try:
        _check_rehearsals(partial(attempt, answer, number=loss.number))
    except Stopped as stop:
        return stop.feedback
    text = (
        f"Ready to train: on {REHEARSALS} batches, your loss has the mean that it should have, and "
        f"jumps are multiples of 1/{M}, of which none leads past t = 1."
    )
    return Feedback("right", text)


def _distances(ask: Ask, seeds: Sequence[int], updates: int) -> np.ndarray:
    """Each seed's energy distance, averaged over the numbers of steps."""
    _check_rehearsals(ask)
    like = jax.eval_shape(
        jax.vmap(shortcut_training.init), jax.eval_shape(lambda: seed_keys(range(len(seeds))))
    )
    params = ask(
        shortcut_training.points_of(seeds),
        training_keys(seeds),
        updates,
        probe=shortcut_training.trained,
        parts=len(jax.tree.leaves(like)),
    )
    return shortcut_training.distances(tree_like(params, like), seeds).mean(1)


loss = Measured(
    number="A1.4",
    measure=_distances,
    quantity="energy distance",
    goal=0.11,
    baseline=0.25,
    size=shortcut_training.UPDATES,
    better="lower",
    misconceptions=LOSS_MISCONCEPTIONS,
)
