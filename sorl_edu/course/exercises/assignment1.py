"""Assignment 1: the cosine path, Heun's method, unequal parts, and a shortcut for three steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from matplotlib.figure import Figure

from sorl_edu.course.exercises.exercise import Exercise, Feedback, Misconception, is_blank
from sorl_edu.course.exercises.flow_matching import path_cases
from sorl_edu.course.exercises.measured import Measured, restored
from sorl_edu.course.exercises.shortcut import bent_field, column, target_and_gradient
from sorl_edu.flow_matching import Field, integrate
from sorl_edu.networks import ShortcutField
from sorl_edu.plotting import BLUE, GREEN, ORANGE, RED, WIDTH, styled
from sorl_edu.progress import progress_bar
from sorl_edu.temporal_difference import polyak_average
from sorl_edu.training import seed_keys, seed_state
from sorl_edu.widgets.flow import bind, energy_distance

# -------------------------------------------------------------------------- A1.1 the cosine path


def _cosine_path(
    noise: Float[Array, "batch action"],
    actions: Float[Array, "batch action"],
    t: Float[Array, "batch 1"],
) -> tuple[Array, Array]:
    cos, sin = jnp.cos(jnp.pi * t / 2), jnp.sin(jnp.pi * t / 2)
    return cos * noise + sin * actions, jnp.pi / 2 * (cos * actions - sin * noise)


def _path_with(position: Callable | None = None, velocity: Callable | None = None) -> Callable:
    """The solution with another position or velocity, of (a_0, a_1, cos, sin)."""

    def path(noise: Array, actions: Array, t: Array) -> tuple[Array, Array]:
        cos, sin = jnp.cos(jnp.pi * t / 2), jnp.sin(jnp.pi * t / 2)
        a_t, v = _cosine_path(noise, actions, t)
        a_t = a_t if position is None else position(noise, actions, cos, sin)
        return a_t, v if velocity is None else velocity(noise, actions, cos, sin)

    return path


def _another_angle(rate: float) -> Callable:
    """The path, and its velocity, with the angle `rate` t."""

    def path(noise: Array, actions: Array, t: Array) -> tuple[Array, Array]:
        cos, sin = jnp.cos(rate * t), jnp.sin(rate * t)
        return cos * noise + sin * actions, rate * (cos * actions - sin * noise)

    return path


def _swapped(noise: Array, actions: Array, cos: Array, sin: Array) -> Array:
    return sin * noise + cos * actions


cosine_path = Exercise(
    "A1.1",
    _cosine_path,
    path_cases,
    right="Right: the weights are cosine and sine of one angle, and the velocity is a quarter turn "
    "ahead of the position, times the angle's speed.",
    misconceptions=(
        Misconception(
            "chain rule forgotten",
            "the direction of your velocity is right, and it is too short. The angle is pi t/2: "
            "when you differentiate by t, its own derivative is a factor.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: cos * a_1 - sin * a_0),
        ),
        Misconception(
            "factor pi instead of pi/2",
            "your velocity is twice too long. The angle makes a quarter turn, pi/2, while t goes "
            "from 0 to 1.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: jnp.pi * (cos * a_1 - sin * a_0)),
        ),
        Misconception(
            "velocity of the straight path",
            "a_1 - a_0 is the velocity of lesson 1's path. This one bends, so that its velocity "
            "changes with t.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: a_1 - a_0),
        ),
        Misconception(
            "sign of the cosine's derivative",
            "the derivative of the cosine is minus the sine: the weight of the noise falls.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_1 + sin * a_0)),
        ),
        Misconception(
            "velocity reversed",
            "the path is right, and its velocity points from the data back to the noise.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (sin * a_0 - cos * a_1)),
        ),
        Misconception(
            "sine and cosine not exchanged",
            "your velocity has the weights of the position, cosine for a_0 and sine for a_1. "
            "Differentiation turns each into the other.",
            _path_with(velocity=lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_0 + sin * a_1)),
        ),
        Misconception(
            "time reversed",
            "at t = 0 your path is at the data, at t = 1 at the noise. Here time runs from noise "
            "to data: which of sine and cosine is 1 at t = 0?",
            _path_with(_swapped, lambda a_0, a_1, cos, sin: jnp.pi / 2 * (cos * a_0 - sin * a_1)),
        ),
        Misconception(
            "path reversed",
            "your velocity points to the data, and your path leads to the noise: put t = 0 into "
            "it and see where you are.",
            _path_with(_swapped),
        ),
        Misconception(
            "angle without pi/2",
            "your angle is t itself, and at t = 1 your path has not reached the data: it takes a "
            "quarter turn, pi/2.",
            _another_angle(1.0),
        ),
        Misconception(
            "half a turn",
            "your angle is pi t, so that at t = 1 the path is at minus the noise. It takes a "
            "quarter turn, pi/2.",
            _another_angle(np.pi),
        ),
        Misconception(
            "weights squared",
            "the weights cos^2 and sin^2 add up to 1, and give a straight path at a changing "
            "speed. Here it is the squares of the weights that add up to 1.",
            _path_with(
                lambda a_0, a_1, cos, sin: cos**2 * a_0 + sin**2 * a_1,
                lambda a_0, a_1, cos, sin: jnp.pi * sin * cos * (a_1 - a_0),
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


def _samplings(key: PRNGKeyArray) -> list[tuple]:
    """(field, obs, noise, steps); 1 step comes last, where few mistakes show."""
    cases = []
    for steps in (3, 5, 1):
        key, noise_key, obs_key = jax.random.split(key, 3)
        noise = 0.5 * jax.random.normal(noise_key, (5, 2))
        cases.append((bent_field, jax.random.normal(obs_key, (5, 1)), noise, steps))
    return cases


def _heun(
    point: Callable = lambda a, h, v1: a + h * v1,
    second: Callable = lambda t, h: t + h,
    slope: Callable = lambda v1, v2: (v1 + v2) / 2,
    told: Callable = lambda h: h,
    start: Callable = lambda a, h, v1: a,
    length: Callable = lambda h: h,
    times: Callable = lambda i, m: i / m,
) -> Callable:
    """Heun's method: at `times`, the second slope at `point` and time `second`, then the step."""

    def heun(field: Callable, obs: Array, noise: Array, steps: int) -> Array:
        a, h = noise, 1 / steps
        for i in range(steps):
            t = times(i, steps)
            v1 = field(obs, a, column(a, t), column(a, told(h)))
            v2 = field(obs, point(a, h, v1), column(a, second(t, h)), column(a, told(h)))
            a = start(a, h, v1) + length(h) * slope(v1, v2)
        return a

    return heun


heun = Exercise(
    "A1.2",
    _heun(),
    _samplings,
    right="Right: try Euler's step, look at the slope where it leads, and go with the mean of both "
    "slopes.",
    misconceptions=(
        Misconception(
            "Euler's method",
            "each step goes with the slope at its start alone, and the second one counts for "
            "nothing.",
            _heun(slope=lambda v1, v2: v1),
        ),
        Misconception(
            "second slope at the wrong time",
            "you ask for both slopes at t. Where Euler's step leads, it is t + h.",
            _heun(second=lambda t, h: t),
        ),
        Misconception(
            "second slope at the wrong point",
            "you ask for both slopes at the point where the step starts. The second one belongs to "
            "where Euler's step leads.",
            _heun(point=lambda a, h, v1: a),
        ),
        Misconception(
            "midpoint method",
            "you go half of Euler's step and take the slope there. That is a method of order 2, "
            "too, and another one: Heun's averages the slopes at both ends of the step.",
            _heun(
                point=lambda a, h, v1: a + h / 2 * v1,
                second=lambda t, h: t + h / 2,
                slope=lambda v1, v2: v2,
            ),
        ),
        Misconception(
            "half of Euler's step",
            "your second slope belongs to the middle of the step. Heun's method asks at its end, "
            "a + h v1 at t + h.",
            _heun(point=lambda a, h, v1: a + h / 2 * v1, second=lambda t, h: t + h / 2),
        ),
        Misconception(
            "point and time don't belong together",
            "you ask for the second slope half a step ahead in space and a whole one in time. Both "
            "are those of the end of Euler's step.",
            _heun(point=lambda a, h, v1: a + h / 2 * v1),
        ),
        Misconception(
            "not averaged",
            "you go with the sum of the two slopes, twice too far. It takes their mean.",
            _heun(slope=lambda v1, v2: v1 + v2),
        ),
        Misconception(
            "second slope only",
            "you go with the slope at the end of the step alone. It is as one-sided as Euler's.",
            _heun(slope=lambda v1, v2: v2),
        ),
        Misconception(
            "goes on from Euler's step",
            "Euler's step is only a try: the step with the mean slope starts at a again, and not "
            "where the try has led.",
            _heun(start=lambda a, h, v1: a + h * v1),
        ),
        Misconception(
            "two half steps",
            "you add half a step with the second slope to a whole one with the first: the weights "
            "of the slopes are 1/2 and 1/2.",
            _heun(slope=lambda v1, v2: v1 + v2 / 2),
        ),
        Misconception(
            "try forgets the step size",
            "the try adds the whole velocity v1, a step of 1. It lasts h = 1/steps.",
            _heun(point=lambda a, h, v1: a + v1),
        ),
        Misconception(
            "forgets the step size",
            "each step adds the whole mean slope. A velocity is per unit of time, and a step lasts "
            "1/steps.",
            _heun(length=lambda h: 1.0),
        ),
        Misconception(
            "tells it one whole jump",
            "you tell the field h = 1. A step is 1/steps long.",
            _heun(told=lambda h: 1.0),
        ),
        Misconception(
            "tells it half a step",
            "you tell the field h/2, as if each slope were a step of its own. Tell it the step, "
            "1/steps, both times.",
            _heun(told=lambda h: h / 2),
        ),
        Misconception(
            "time counted in steps",
            "you hand the field the number of the step, i = 0, 1, 2, ... Its time is i/steps.",
            _heun(times=lambda i, m: float(i)),
        ),
        Misconception(
            "time reversed",
            "you ask at t = 1 first. The noise is at t = 0.",
            _heun(times=lambda i, m: 1 - i / m, second=lambda t, h: t - h),
        ),
    ),
)


# ---------------------------------------------------------------- A1.3 parts of unequal length


def _parts(key: PRNGKeyArray) -> list[tuple]:
    """(obs, a_t, t, h1, h2): jumps of k/6 whose parts, j/6 and (k - j)/6, differ in each row."""
    cases = []
    for j, k in (((1, 1, 2, 4, 1, 5), (3, 4, 6, 6, 6, 6)), ((2, 3, 1), (3, 4, 5))):
        key, a_key, obs_key, t_key = jax.random.split(key, 4)
        part, whole = (jnp.array(number, jnp.float32)[:, None] for number in (j, k))
        t = jnp.floor(jax.random.uniform(t_key, part.shape) * (7 - whole)) / 6
        a_t = jax.random.normal(a_key, (len(j), 2))
        obs = jax.random.normal(obs_key, part.shape)
        cases.append((obs, a_t, t, part / 6, (whole - part) / 6))
    return cases


def _target_with(
    point: Callable = lambda a, h1, h2, v1: a + h1 * v1,
    second: Callable = lambda t, h1, h2: t + h1,
    told: Callable = lambda h1, h2: (h1, h2),
    mean: Callable = lambda h1, h2, v1, v2: (h1 * v1 + h2 * v2) / (h1 + h2),
    stop_first: Callable = lambda v1: v1,
    stop: Callable = jax.lax.stop_gradient,
) -> Callable:
    """The target with the second jump from `point` at `second`, both `told` their lengths."""

    def target(field: Callable, obs: Array, a_t: Array, t: Array, h1: Array, h2: Array) -> Array:
        first_told, second_told = told(h1, h2)
        v1 = stop_first(field(obs, a_t, t, first_told))
        v2 = field(obs, point(a_t, h1, h2, v1), second(t, h1, h2), second_told)
        return stop(mean(h1, h2, v1, v2))

    return target


target = Exercise(
    "A1.3",
    _target_with(),
    _parts,
    probe=target_and_gradient,
    right="Right: the way of both parts over the time of both parts, and no gradient through it.",
    misconceptions=(
        Misconception(
            "unweighted mean",
            "(v1 + v2)/2 is right for halves. A velocity that lasts longer leads farther, and "
            "counts more.",
            _target_with(mean=lambda h1, h2, v1, v2: (v1 + v2) / 2),
        ),
        Misconception(
            "weights swapped",
            "you weight v1 with h2 and v2 with h1. The first jump goes with v1, and lasts h1.",
            _target_with(mean=lambda h1, h2, v1, v2: (h2 * v1 + h1 * v2) / (h1 + h2)),
        ),
        Misconception(
            "missing stop-gradient",
            "the numbers are right, and a gradient flows through your target. It is something to "
            "reach, not something to move.",
            _target_with(stop=lambda x: x),
        ),
        Misconception(
            "stop-gradient on the first jump only",
            "the second jump still carries a gradient. Stop the whole target.",
            _target_with(stop_first=jax.lax.stop_gradient, stop=lambda x: x),
        ),
        Misconception(
            "both jumps at the same time",
            "your second jump asks the field at t again. When the first is over, it is t + h1.",
            _target_with(second=lambda t, h1, h2: t),
        ),
        Misconception(
            "second jump at t + h2",
            "your second jump asks at t + h2. It begins when the first is over, and that one lasts "
            "h1.",
            _target_with(second=lambda t, h1, h2: t + h2),
        ),
        Misconception(
            "second jump at the end",
            "your second jump asks at t + h1 + h2, when it is over. A jump is asked for when it "
            "starts.",
            _target_with(second=lambda t, h1, h2: t + h1 + h2),
        ),
        Misconception(
            "second jump starts where the first did",
            "your second jump starts at a_t. It goes on from where the first landed.",
            _target_with(point=lambda a, h1, h2, v1: a),
        ),
        Misconception(
            "first jump forgets its length",
            "your first jump adds the whole velocity v1. It lasts h1.",
            _target_with(point=lambda a, h1, h2, v1: a + v1),
        ),
        Misconception(
            "first jump as long as the second",
            "your first jump goes h2 v1. It lasts h1.",
            _target_with(point=lambda a, h1, h2, v1: a + h2 * v1),
        ),
        Misconception(
            "second jump told h1",
            "you tell the field h1 for both jumps. The second is h2 long.",
            _target_with(told=lambda h1, h2: (h1, h1)),
        ),
        Misconception(
            "lengths told the wrong way round",
            "you tell the first jump h2 and the second h1.",
            _target_with(told=lambda h1, h2: (h2, h1)),
        ),
        Misconception(
            "parts in the other order",
            "you make the jump of h2 first. The first part is h1 long.",
            lambda field, obs, a_t, t, h1, h2: _target_with()(field, obs, a_t, t, h2, h1),
        ),
        Misconception(
            "asks at the whole jump",
            "you tell the field h1 + h2 for the parts. Then it learns from itself at that length, "
            "which nothing has taught it.",
            _target_with(told=lambda h1, h2: (h1 + h2, h1 + h2)),
        ),
        Misconception(
            "way instead of velocity",
            "you return how far the two jumps go, h1 v1 + h2 v2. The field gives a velocity: "
            "divide by the time that they take.",
            _target_with(mean=lambda h1, h2, v1, v2: h1 * v1 + h2 * v2),
        ),
        Misconception(
            "divided by 2",
            "you divide the way of both jumps by 2, their number. Divide by the time that they "
            "take.",
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

M = 12
NETWORK = ShortcutField((64, 64, 64), action_dim=2)
STEPS = (1, 2, 3)
UPDATES, CHUNKS, BATCH, LEARNING_RATE, TAU = 3000, 20, 256, 5e-3, 0.005
POINTS, COMPARED = 20_000, 1000


def unseen(seed: int, count: int = 2000, *, draw: int = 0) -> Float[np.ndarray, "count 2"]:
    """Points of a distribution that is drawn from a seed: 4 to 6 stretched clouds around 0.

    Args:
        seed: says where the clouds are, how they are stretched, and how likely each is.
        count: how many points.
        draw: another number gives other points of the same distribution.
    """
    rng = np.random.default_rng(seed)
    clouds = int(rng.integers(4, 7))
    centres: list[np.ndarray] = []
    while len(centres) < clouds:  # no two of them nearer than 0.5
        centre = rng.uniform(-0.8, 0.8, 2)
        if all(np.linalg.norm(centre - other) > 0.5 for other in centres):
            centres.append(centre)
    angle = rng.uniform(0, np.pi, clouds)
    spread = np.stack([rng.uniform(0.08, 0.16, clouds), rng.uniform(0.02, 0.05, clouds)], axis=1)
    chance = rng.uniform(1, 2, clouds)
    rng = np.random.default_rng([seed, draw])
    which = rng.choice(clouds, count, p=chance / chance.sum())
    along, across = (spread[which] * rng.standard_normal((count, 2))).T
    cos, sin = np.cos(angle[which]), np.sin(angle[which])
    turned = np.stack([cos * along - sin * across, sin * along + cos * across], axis=1)
    return (np.stack(centres)[which] + turned).astype(np.float32)


def trained(
    answer: Callable[[Field, Field, Array, Array, PRNGKeyArray], Float[Array, ""]],
    seeds: Sequence[int],
    *,
    show: bool = True,
) -> PyTree:
    """Shortcut fields that are trained with a loss, each on its seed's unseen distribution.

    Adam with a learning rate that decays to 0, batches of 256 fresh rows, and a target that is a
    moving average of the parameters, as in lesson 2.

    Args:
        answer: the loss, `answer(field, target_field, obs, actions, key)`.
        seeds: one for each field; they are trained together.
        show: a progress bar.

    Returns:
        the parameters, with a leading axis of seeds.
    """
    data = jnp.stack([jnp.asarray(unseen(seed, POINTS)) for seed in seeds])
    keys = seed_keys(seeds)
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, UPDATES))
    obs = jnp.zeros((BATCH, 1))

    def begin(key: PRNGKeyArray) -> tuple:
        params = NETWORK.init(key, obs, jnp.zeros((BATCH, 2)), obs, obs + 1)
        return params, params, optimizer.init(params)

    def update(state: tuple, key: PRNGKeyArray, points: Array) -> tuple:
        params, target_params, optimizer_state = state
        rows_key, loss_key = jax.random.split(key)
        actions = points[jax.random.randint(rows_key, (BATCH,), 0, len(points))]

        def loss_of(params: PyTree) -> Array:
            field, target_field = (bind(NETWORK.apply, p) for p in (params, target_params))
            return answer(field, target_field, obs, actions, loss_key)

        change, optimizer_state = optimizer.update(jax.grad(loss_of)(params), optimizer_state)
        params = optax.apply_updates(params, change)
        return params, polyak_average(target_params, params, TAU), optimizer_state

    @jax.jit
    @jax.vmap
    def some_updates(state: tuple, key: PRNGKeyArray, points: Array) -> tuple:
        keys = jax.random.split(key, UPDATES // CHUNKS)
        return jax.lax.scan(lambda s, k: (update(s, k, points), None), state, keys)[0]

    state = jax.jit(jax.vmap(begin))(keys)
    for i in progress_bar(range(1, CHUNKS + 1), desc=f"training {len(seeds)} fields", show=show):
        state = some_updates(state, jax.vmap(jax.random.fold_in, (0, None))(keys, i), data)
        jax.block_until_ready(state)
    return state[0]


def distances(
    params: PyTree, seeds: Sequence[int], steps: Sequence[int] = STEPS
) -> Float[np.ndarray, "seed steps"]:
    """The energy distance between fresh data and what each seed's field makes in m steps of 1/m."""
    fresh = jnp.stack([jnp.asarray(unseen(seed, COMPARED, draw=1)) for seed in seeds])
    noise, obs = jax.random.normal(jax.random.key(1), (COMPARED, 2)), jnp.zeros((COMPARED, 1))

    @jax.jit
    @jax.vmap
    def measured(params: PyTree, fresh: Array) -> Array:
        field = bind(NETWORK.apply, params)
        return jnp.stack([energy_distance(integrate(field, obs, noise, m), fresh) for m in steps])

    return np.asarray(measured(params, fresh))


def _rehearse(answer: Callable) -> Array | None:
    """The loss on one batch, with fields that look at what they are asked.

    Raises:
        ValueError: a jump that is no multiple of 1/M or leads past t = 1; t or h is no column; the
            loss is no scalar.
    """

    def watching(obs: Array, a_t: Array, t: Array | float, h: Array | float) -> Array:
        for name, values in (("t", t), ("h", h)):
            if jnp.shape(values) != (len(a_t), 1):
                raise ValueError(
                    f"the field takes {name} as a column, (batch, 1) = ({len(a_t)}, 1), and was "
                    f"given the shape {jnp.shape(values)}"
                )
        if not isinstance(t, jax.core.Tracer) and not isinstance(h, jax.core.Tracer):
            start, length = np.asarray(t), np.asarray(h)
            count = np.round(length * M)
            odd = (np.abs(length * M - count) > 1e-3) | (count < 1) | (count > M)
            if odd.any():
                raise ValueError(
                    f"the field is asked for a jump of {length[odd][0]:.3g}, which is none of "
                    f"1/{M}, 2/{M}, ..., {M}/{M}"
                )
            late = (count > 1) & (start + length > 1 + 1e-3)
            if late.any():
                raise ValueError(
                    f"a jump of {length[late][0]:.3g} starts at t = {start[late][0]:.3g} and leads "
                    "past t = 1"
                )
        return bent_field(obs, a_t, t, h)

    obs, actions = jnp.zeros((BATCH, 1)), jnp.asarray(unseen(0, BATCH))
    value = answer(watching, watching, obs, actions, jax.random.key(0))
    if isinstance(value, tuple):
        raise ValueError("the loss should be one number; it is a tuple, perhaps with metrics")
    if is_blank(value):
        return None
    if jnp.shape(value) != ():
        raise ValueError(f"the loss should be one number, and has the shape {jnp.shape(value)}")
    return value


def ready(answer: Callable) -> Feedback:
    """Whether a loss can be trained, and whether its jumps are those of A1.4; takes a second."""
    try:
        value = _rehearse(answer)
    except Exception as error:
        return loss._stopped(answer, error)
    if value is None:
        return loss._empty(answer)
    text = f"It can be trained: jumps are multiples of 1/{M}, and none leads past t = 1."
    return Feedback("right", text)


def _run(answer: Callable, seeds: Sequence[int]) -> list[PyTree]:
    if _rehearse(answer) is None:
        return [None]
    params = trained(answer, seeds)
    return [seed_state(params, i) for i in range(len(seeds))]


def _measure(made: Sequence[PyTree], seeds: Sequence[int]) -> np.ndarray:
    column = jnp.ones((1, 1))
    like = jax.eval_shape(NETWORK.init, jax.random.key(0), column, jnp.ones((1, 2)), column, column)
    fields = [restored(one, like) for one in made]
    return distances(jax.tree.map(lambda *leaves: jnp.stack(leaves), *fields), seeds).mean(1)


loss = Measured(
    "A1.4",
    _run,
    _measure,
    quantity="energy distance",
    goal=0.11,
    baseline=0.25,
    better="lower",
)


# ------------------------------------------------------------------- the assignment's pictures


@styled
def paths_and_spread(
    paths: Mapping[str, Float[Array, "times batch 2"]], times: Float[Array, " times"]
) -> Figure:
    """Some paths from noise to data of each kind, and the spread of all of them as time goes on."""
    figure = Figure(figsize=(WIDTH, WIDTH / 3 + 0.5), layout="constrained")
    *panels, last = figure.subplots(1, len(paths) + 1)
    for axes, color, (name, path) in zip(panels, (ORANGE, BLUE), paths.items(), strict=False):
        path = np.asarray(path)
        axes.plot(*path[:, :25].transpose(2, 0, 1), color=color, linewidth=1, alpha=0.7)
        axes.scatter(*path[0, :25].T, s=12, color="0.35", zorder=3, label="noise $a_0$")
        axes.scatter(*path[-1, :25].T, s=12, color=GREEN, zorder=3, label="data $a_1$")
        axes.set(title=name, xlabel="x", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        last.plot(times, path.std(axis=1).mean(axis=1), color=color, label=name)
    panels[0].set_ylabel("y")
    panels[0].legend(loc="lower left", handletextpad=0.1)
    last.set(title="spread of all", xlabel="time t", ylabel="standard deviation", ylim=(0, 1.2))
    last.legend(loc="lower left")
    return figure


@styled
def errors(curves: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[float]]]]) -> Figure:
    """Error against evaluations of the field, on logarithmic axes, with the slope of each line.

    Args:
        curves: for each panel, by name, each method's numbers of evaluations and its errors.
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (title, methods) in zip(panels, curves.items(), strict=True):
        for color, marker, (name, (evaluations, error)) in zip(
            (ORANGE, BLUE), "os", methods.items(), strict=False
        ):
            slope = np.diff(np.log(error[-3:])).sum() / np.diff(np.log(evaluations[-3:])).sum()
            label = f"{name}: slope {slope:.1f} at the right"
            axes.plot(evaluations, error, color=color, marker=marker, markersize=4, label=label)
        axes.set(title=title, xlabel="evaluations of the field", xscale="log", yscale="log")
        axes.set_xticks(ticks := sorted({n for e, _ in methods.values() for n in e}), ticks)
        axes.minorticks_off()
        axes.legend(loc="lower left")
    panels[0].set_ylabel("mean distance to the exact end (action units)")
    return figure


@styled
def unequal_jumps(
    shortcut: Field, a_t: Float[Array, "1 2"], t: float, h1: float, h2: float
) -> Figure:
    """One jump of h1 + h2 beside its two parts: where they lead, and their velocities.

    Args:
        shortcut: a perfect shortcut, which also draws the path.
        a_t: where the jumps start.
        t, h1, h2: when, and how long each part is.
    """

    def velocity(a: Array, t: float, h: float) -> np.ndarray:
        return np.asarray(shortcut(jnp.zeros((1, 1)), a, column(a, t), column(a, h)))[0]

    start = np.asarray(a_t)[0]
    v, v1 = velocity(a_t, t, h1 + h2), velocity(a_t, t, h1)
    middle = start + h1 * v1
    v2 = velocity(jnp.asarray(middle)[None], t + h1, h2)
    grid = np.linspace(1e-3, h1 + h2, 60)
    curve = np.stack([start + h * velocity(a_t, t, h) for h in grid])

    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    ways, velocities = figure.subplots(1, 2)
    ways.plot(*curve.T, color="0.7", linewidth=5, zorder=1, label="the path")
    origin = np.zeros(2)
    jumps = (
        (BLUE, "$v_1$", start, h1 * v1, v1, f"first part, $h_1$ = {h1:.3g}"),
        (ORANGE, "$v_2$", middle, h2 * v2, v2, f"second part, $h_2$ = {h2:.3g}"),
        (RED, "$v$", start, (h1 + h2) * v, v, f"one jump, $h_1 + h_2$ = {h1 + h2:.3g}"),
    )
    for color, name, begin, way, speed, label in jumps:
        for axes, tail, arrow in ((ways, begin, way), (velocities, origin, speed)):
            axes.annotate(
                "",
                tail + arrow,
                tail,
                arrowprops=dict(
                    arrowstyle="-|>", color=color, lw=2.2, mutation_scale=16, shrinkA=0, shrinkB=0
                ),
                zorder=4,
            )
        velocities.annotate(name, speed, (6, 2), textcoords="offset points", color=color, size=13)
        ways.plot([], [], color=color, label=label)
    velocities.plot(*np.stack([v1, v2]).T, color="0.6", linestyle=":", zorder=1)
    ways.plot(*np.stack([start, middle, start + (h1 + h2) * v]).T, "o", color="0.2", markersize=5)
    ways.set(title="ways", xlabel="x (action)", ylabel="y (action)", aspect="equal")
    ways.margins(0.12)
    ways.legend(loc="best")
    ends = np.stack([origin, v, v1, v2])
    low, high = ends.min(0), ends.max(0)
    room = 0.12 * (high - low).max()
    velocities.set(title="velocities", xlabel="x (actions per unit time)", aspect="equal")
    velocities.set(xlim=(low[0] - room, high[0] + room), ylim=(low[1] - room, high[1] + room))
    return figure
