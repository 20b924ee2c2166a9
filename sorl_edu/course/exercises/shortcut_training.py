"""Assignment 1's training: shortcuts on distributions that nobody has seen, and their distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

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
    """Trains a shortcut on each seed's unseen distribution, as in lesson 2.

    Adam with a learning rate that decays to 0, batches of 256 fresh rows, and a target shortcut
    whose parameters are a moving average.

    Args:
        loss: `loss(shortcut, target_shortcut, obs, actions, key)`, a scalar.
        seeds: one for each shortcut; they are trained together.
        updates: a multiple of `CHUNK`.
        show: a progress bar.

    Returns:
        the parameters, with a leading axis of seeds.
    """
    data = jnp.stack([jnp.asarray(unseen(seed, POINTS)) for seed in seeds])
    keys = seed_keys(seeds)
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
    for i in progress_bar(chunks, desc=f"training {len(seeds)} shortcuts", show=show):
        state = train_chunk(state, jax.vmap(jax.random.fold_in, (0, None))(keys, i), data)
        jax.block_until_ready(state)
    return state[0]


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
