"""Assignment 1's training: shortcuts on distributions that nobody has seen, and their distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from sorl_edu.course.exercises.attempt import is_blank
from sorl_edu.course.exercises.given import bent_field
from sorl_edu.flow_matching import integrate
from sorl_edu.networks import ShortcutField
from sorl_edu.plotting import energy_distance
from sorl_edu.progress import progress_bar
from sorl_edu.shortcut import Shortcut, at_step_size
from sorl_edu.temporal_difference import polyak_average
from sorl_edu.training import seed_keys

# A loss as loss(shortcut, target_shortcut, obs, actions, key) to a scalar.
Loss = Callable[[Shortcut, Shortcut, Array, Array, PRNGKeyArray], Array]

M = 12  # jumps are multiples of 1/M, so that 1, 2 and 3 steps are among them
NETWORK = ShortcutField((64, 64, 64), action_dim=2)
STEPS = (1, 2, 3)
UPDATES, CHUNK, BATCH, LEARNING_RATE, TAU = 3000, 150, 256, 5e-3, 0.005
POINTS, COMPARED = 20_000, 1000


def unseen(seed: int, count: int = 2000, *, draw: int = 0) -> Float[np.ndarray, "count 2"]:
    """Points of a random distribution: 4 to 6 stretched clouds around 0.

    Args:
        seed: draws the centres of the clouds, their shapes and their probabilities.
        count: how many points.
        draw: draws the points; another number gives other points of the same distribution.
    """
    rng = np.random.default_rng(seed)
    clouds = int(rng.integers(4, 7))
    centres: list[np.ndarray] = []
    while len(centres) < clouds:  # any two of them at least 0.5 apart
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


def init(key: PRNGKeyArray) -> PyTree:
    """Fresh parameters of the shortcut's network."""
    column = jnp.ones((1, 1))
    return NETWORK.init(key, column, jnp.ones((1, 2)), column, column)


def train(loss: Loss, seeds: Sequence[int], *, updates: int = UPDATES, show: bool = True) -> PyTree:
    """Trains a shortcut on each seed's unseen distribution (`train_on`)."""
    return train_on(loss, points_of(seeds), seed_keys(seeds), updates=updates, show=show)


def points_of(seeds: Sequence[int]) -> Float[Array, "seed points 2"]:
    """The points of each seed's distribution, to train on."""
    return jnp.stack([jnp.asarray(unseen(seed, POINTS)) for seed in seeds])


def train_on(
    loss: Loss,
    data: Float[Array, "seed points 2"],
    keys: Key[Array, " seed"],
    *,
    updates: int = UPDATES,
    show: bool = True,
) -> PyTree:
    """Trains a shortcut on each set of points, as in lesson 2.

    Adam with a learning rate that decays to 0, batches of 256 fresh rows, and a target shortcut
    whose parameters are a moving average.

    Args:
        loss: `loss(shortcut, target_shortcut, obs, actions, key)`, a scalar.
        data: points for each shortcut; they are trained together.
        keys: one for each of them, (seed,).
        updates: a multiple of `CHUNK`.
        show: a progress bar.

    Returns:
        the parameters, with a leading axis of seeds.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates))
    obs = jnp.zeros((BATCH, 1))

    def begin(key: PRNGKeyArray) -> tuple:
        params = init(key)
        return params, params, optimizer.init(params)

    def update(state: tuple, key: PRNGKeyArray, points: Array) -> tuple:
        params, target_params, moments = state
        rows_key, loss_key = jax.random.split(key)
        actions = points[jax.random.randint(rows_key, (BATCH,), 0, len(points))]
        target_shortcut = partial(NETWORK.apply, target_params)

        def loss_of(params: PyTree) -> Array:
            return loss(partial(NETWORK.apply, params), target_shortcut, obs, actions, loss_key)

        step, moments = optimizer.update(jax.grad(loss_of)(params), moments)
        params = optax.apply_updates(params, step)
        return params, polyak_average(target_params, params, TAU), moments

    @jax.jit
    @jax.vmap
    def train_chunk(state: tuple, key: PRNGKeyArray, points: Array) -> tuple:
        keys = jax.random.split(key, CHUNK)
        return jax.lax.scan(lambda s, k: (update(s, k, points), None), state, keys)[0]

    state = jax.jit(jax.vmap(begin))(keys)
    chunks = range(1, updates // CHUNK + 1)
    for i in progress_bar(chunks, desc=f"training {len(data)} shortcuts", show=show):
        state = train_chunk(state, jax.vmap(jax.random.fold_in, (0, None))(keys, i), data)
        jax.block_until_ready(state)
    return state[0]


def trained(
    loss: Loss, data: Float[Array, "seed points 2"], keys: Key[Array, " seed"], updates: int
) -> tuple[Array, ...]:
    """The arrays of what `train_on` returns."""
    return tuple(jax.tree.leaves(train_on(loss, data, keys, updates=updates)))


def distances(
    params: PyTree, seeds: Sequence[int], steps: Sequence[int] = STEPS
) -> Float[np.ndarray, "seed steps"]:
    """The energy distance of fresh data to each seed's samples, made in m steps of 1/m."""
    fresh = jnp.stack([jnp.asarray(unseen(seed, COMPARED, draw=1)) for seed in seeds])
    noise, obs = jax.random.normal(jax.random.key(1), (COMPARED, 2)), jnp.zeros((COMPARED, 1))

    @jax.jit
    @jax.vmap
    def measure(params: PyTree, fresh: Array) -> Array:
        shortcut = partial(NETWORK.apply, params)
        samples = [integrate(at_step_size(shortcut, 1 / m), obs, noise, m) for m in steps]
        return jnp.stack([energy_distance(made, fresh) for made in samples])

    return np.asarray(measure(params, fresh))


# ------------------------------------------------------------------ before anything is trained


def watched(obs: Array, a_t: Array, t: Array | float, h: Array | float) -> Array:
    """A shortcut that checks its arguments.

    Raises:
        ValueError: t or h is no column; a jump is no multiple of 1/M, or leads past t = 1.
    """
    for name, values in (("t", t), ("h", h)):
        if jnp.shape(values) != (len(a_t), 1):
            raise ValueError(
                f"the shortcut takes {name} as a column, (batch, 1) = ({len(a_t)}, 1), and got the "
                f"shape {jnp.shape(values)}"
            )
    if not isinstance(t, jax.core.Tracer) and not isinstance(h, jax.core.Tracer):
        start, length = np.asarray(t), np.asarray(h)
        count = np.round(length * M)
        off_grid = (np.abs(length * M - count) > 1e-3) | (count < 1) | (count > M)
        if off_grid.any():
            raise ValueError(
                f"the shortcut is evaluated for a jump of {length[off_grid][0]:.3g}, which is none "
                f"of 1/{M}, 2/{M}, ..., {M}/{M}"
            )
        late = (count > 1) & (start + length > 1 + 1e-3)
        if late.any():
            raise ValueError(
                f"a jump of {length[late][0]:.3g} starts at t = {start[late][0]:.3g} and leads "
                "past t = 1"
            )
    return bent_field(obs, a_t, t, h)


# Of a shortcut, and of a target shortcut: factors of 1, h, t, h t, a_t and h a_t in the velocity.
PROBES = np.array(
    [
        [[3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0], [0, 3, 0, 0, 0, 0]],
        [[0, 3, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 3, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 3, 0], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 4, 0, 0]],
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 2]],
        [[0, 0, 0, 0, 0, 3], [0, 1, 1, 0, 0, 0]],
    ],
    np.float32,
)
REHEARSALS = 384  # batches over which a loss is averaged for each probe


def _features(a_t: Array, t: Array, h: Array) -> Array:
    one = jnp.ones_like(a_t)
    return jnp.stack([one, h * one, t * one, h * t * one, a_t, h * a_t])


def rehearsals(answer: Callable, seed: int = 0) -> Float[Array, "probe batch"]:
    """The loss of every probe on many batches. At h = 1/M a probe's shortcut is 0, so that flow
    matching is the same for all, whatever the times that it draws."""
    obs, actions = jnp.zeros((BATCH, 1)), jnp.asarray(unseen(0, BATCH))

    def once(probe: Array, key: PRNGKeyArray) -> Array:
        def shortcut(obs, a_t, t, h):
            return (h - 1 / M) * jnp.tensordot(probe[0], _features(a_t, t, h), 1)

        def target_shortcut(obs, a_t, t, h):
            return jnp.tensordot(probe[1], _features(a_t, t, h), 1)

        return answer(shortcut, target_shortcut, obs, actions, key)

    keys = jax.random.split(jax.random.key(seed), REHEARSALS)
    batches = jax.vmap(once, (None, 0))  # of one probe
    run = jax.jit(lambda keys: jax.lax.map(lambda probe: batches(probe, keys), jnp.asarray(PROBES)))
    return run(keys)


def rehearse(loss: Loss) -> Array | None:
    """The losses of the probes, after a batch of a shortcut that checks its arguments.

    None if the loss is a blank.

    Raises:
        ValueError: see `watched`; or the loss is no scalar.
    """
    obs, actions = jnp.zeros((BATCH, 1)), jnp.asarray(unseen(0, BATCH))
    value = loss(watched, watched, obs, actions, jax.random.key(0))
    if isinstance(value, tuple):
        raise ValueError("the loss should be one number; it is a tuple, perhaps with metrics")
    if is_blank(value):
        return None
    if jnp.shape(value) != ():
        raise ValueError(f"the loss should be one number, and has the shape {jnp.shape(value)}")
    return rehearsals(loss)
