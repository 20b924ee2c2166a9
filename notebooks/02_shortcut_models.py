# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 2. Shortcut models
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/02_shortcut_models.ipynb)
#
# **You will learn**
#
# - why a field that is told how far it will jump can get away with one step;
# - how it learns that from itself: one big jump must land where two half jumps do;
# - what a moving average and a stop-gradient are for, and how to check whether you need them.
#
# **You should know** lesson 1: path, velocity, Euler steps.
#
# **Time** about 60 s to run on 2 CPU cores, 50 minutes to read and do.

# %% tags=["setup"]
# Installs sorl_edu where it is missing, as on Colab; where it is there, this does nothing.
import importlib.util
import subprocess
import sys


def install(*words):
    command = [sys.executable, "-m", "pip", "install", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    importlib.invalidate_caches()


if importlib.util.find_spec("sorl_edu") is None:
    print("Installing sorl_edu, which takes about a minute ...")
    install("sorl-edu @ git+https://github.com/sorl-edu/sorl-edu")
    if importlib.util.find_spec("ogbench") is None:  # Python 3.13: pyproject.toml says why
        install("--no-deps", "ogbench", "dm_control")

# %% tags=["imports"]
# %matplotlib inline
import jax
import jax.numpy as jnp
import numpy as np
import optax

from sorl_edu import plotting, shortcut
from sorl_edu.datasets import toy
from sorl_edu.exercises import shortcut as exercises
from sorl_edu.flow_matching import flow_matching_loss, integrate
from sorl_edu.networks import ShortcutField
from sorl_edu.widgets import FlowExplorer, SelfConsistencyExplorer
from sorl_edu.widgets import flow as pictures
from sorl_edu.widgets.flow import bind

# %% [markdown]
# ## 1. What would a single step need to know?
#
# Lesson 1's field knows the velocity here and now. A long step goes on with it where the path bends
# away. If the field were *told* how far the step will go, it could answer with the average
# velocity of the way ahead, bends included: a shortcut $s(a_t, t, h)$, with
#
# $$ a_{t+h} = a_t + h\, s(a_t, t, h) . $$
#
# For one Gaussian the flow's paths have a closed form, so that we can look at a perfect shortcut
# without training one: a particle keeps its place in the cloud, counted in standard deviations from
# the mean, while the cloud moves and shrinks.
#
# **Predict, then run.** How many steps does the perfect shortcut need to get from noise to a cloud
# in the upper right? And the velocity of lesson 1, in as many steps?

# %%
mu, s = jnp.array([0.9, 0.6]), 0.3


def std(t):
    return jnp.sqrt((1 - t) ** 2 + (t * s) ** 2)


def perfect(obs, a_t, t, h):
    landed = (t + h) * mu + std(t + h) / std(t) * (a_t - t * mu)
    return (landed - a_t) / h


def velocity(obs, a_t, t, h):
    return perfect(obs, a_t, t, 1e-3)


a_0, obs = jax.random.normal(jax.random.key(0), (600, 2)), jnp.zeros((600, 1))
plotting.flow_paths(
    {
        "velocity, m = 1": integrate(velocity, obs, a_0, 1, path=True),
        "velocity, m = 8": integrate(velocity, obs, a_0, 8, path=True),
        "perfect shortcut, m = 1": integrate(perfect, obs, a_0, 1, path=True),
    },
    mu + s * jax.random.normal(jax.random.key(1), (600, 2)),
)

# %% [markdown]
# One jump does it, if the field knows its length. With the velocity alone, one step collapses to
# the mean, even here.
#
# ## 2. Who teaches it the long jumps?
#
# For real data nobody knows where the paths lead. But small jumps are easy (they are flow matching),
# and of two jumps of $h$ one can make one of $2h$:
#
# $$ a_{t+h} = a_t + h\, s(a_t, t, h), \qquad
#    a_{t+2h} = a_{t+h} + h\, s(a_{t+h}, t + h, h) . $$
#
# A single jump should land there too, $a_t + 2h\, s(a_t, t, 2h) = a_{t+2h}$. Insert, and divide by
# $2h$:
#
# $$ s(a_t, t, 2h) = \tfrac12 \big( s(a_t, t, h) + s(a_{t+h}, t+h, h) \big) . $$
#
# That is **self-consistency**. Doubling from $h = 1/M$ on, the longest jump is reached in
# $\log_2 M$ levels. It is a condition that the perfect shortcut fulfils and the velocity does not:

# %%
{
    name: float(shortcut.jump_gap(field, obs, a_0, 0.0, 0.5).mean())  # 2h = 1, from t = 0
    for name, field in {"perfect shortcut": perfect, "velocity": velocity}.items()
}

# %% [markdown]
# ### Exercise 2.1 · Tell the field its step · ★☆☆ · 10 min · 1 point
# `sample(field, obs, noise, m, M)` carries `noise` `(batch, action)` to the data in $m$ steps.
# `field(obs, a, t, h)` takes $t$ and $h$ as columns `(batch, 1)`. The field was trained at steps
# $1, 1/2, \dots, 1/M$. It may be asked for more steps than $M$; then it is told the smallest step
# that it knows.
#
# <details><summary>Hint 1</summary>
#
# Three numbers: when the step starts, how long it is, and what the field is told of that.
#
# <details><summary>Hint 2</summary>
#
# The last two are the same up to $m = M$. `min(m, M)` is useful in one of them.
#
# </details>
# </details>


# %% tags=["exercise-2.1"]
def sample(field, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, told, length = i / m, ..., ...
        a = a + length * field(obs, a, t * column, told * column)
    return a


# %% tags=["check-2.1"]
exercises.sample(sample)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def sample(field, obs, noise, m, M):
#     column = jnp.ones((len(noise), 1))
#     a = noise
#     for i in range(m):
#         t, told, length = i / m, 1 / min(m, M), 1 / m
#         a = a + length * field(obs, a, t * column, told * column)
#     return a
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2.2 · The self-consistency target · ★★☆ · 10 min · 2 points
# `target(field, obs, a_t, t, h)` returns what a jump of $2h$ from $a_t$ should answer, by two half
# jumps of $h$. All of `t`, `h` are columns `(batch, 1)`. It is a *target*: no gradient may flow
# through it.
#
# <details><summary>Hint 1</summary>
#
# Where does the second half jump start, and when?
#
# <details><summary>Hint 2</summary>
#
# `jax.lax.stop_gradient(x)` is `x`, and a constant to `jax.grad`.
#
# </details>
# </details>


# %% tags=["exercise-2.2"]
def target(field, obs, a_t, t, h):
    v1 = field(obs, a_t, t, h)
    v2 = field(obs, ..., ..., h)
    return ...


# %% tags=["check-2.2"]
exercises.target(target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def target(field, obs, a_t, t, h):
#     v1 = field(obs, a_t, t, h)
#     v2 = field(obs, a_t + h * v1, t + h, h)
#     return jax.lax.stop_gradient((v1 + v2) / 2)
# ```
#
# </details>

# %% [markdown]
# ## 3. Does it work?
#
# Two losses on the same network: at $h = 1/M$ flow matching, at each larger step $2h$ the target
# above. The half jumps are made by $s'$, an exponential moving average (EMA) of $s$:
#
# $$ L_{SC} = \mathbb{E}\, \big\| s(a_t, t, 2h) - \tfrac12 (s'(a_t, t, h) + s'(a_{t+h}, t+h, h)) \big\|^2,
#    \qquad \theta' \leftarrow \theta' + \tau\, (\theta - \theta') . $$
#
# `train` also keeps the parameters after every 100 updates. With `weight=0` the self-consistency
# loss is off, and what remains is lesson 1's flow.

# %%
M, network = 8, ShortcutField((64, 64, 64), action_dim=2)
data = toy.eight_gaussians(jax.random.key(0), 20_000)


def train(key, weight=1.0, tau=0.005, updates=4000, batch=256):
    """Parameters before training and after every 100 updates, on a leading axis."""
    schedule, obs = optax.cosine_decay_schedule(5e-3, updates), jnp.zeros((batch, 1))
    optimizer = optax.adam(schedule)

    def loss(params, target_params, a_1, key):
        flow_key, consistency_key = jax.random.split(key)
        field, target_field = bind(network.apply, params), bind(network.apply, target_params)
        l_fm, _ = flow_matching_loss(field, obs, a_1, flow_key, step_size=1 / M)
        if weight == 0:
            return l_fm
        l_sc, _ = shortcut.self_consistency_loss(
            field, target_field, obs, a_1, consistency_key, denoise_steps=M
        )
        return l_fm + weight * l_sc

    def update(state, key):
        params, target_params, optimizer_state = state
        rows_key, loss_key = jax.random.split(key)
        a_1 = data[jax.random.randint(rows_key, (batch,), 0, len(data))]
        gradient = jax.grad(loss)(params, target_params, a_1, loss_key)
        change, optimizer_state = optimizer.update(gradient, optimizer_state)
        params = optax.apply_updates(params, change)
        follow = jax.tree.map(lambda ema, new: ema + tau * (new - ema), target_params, params)
        return (params, follow, optimizer_state), None

    def hundred_updates(state, keys):
        return jax.lax.scan(update, state, keys)[0], state[0]

    init_key, updates_key = jax.random.split(key)
    params = network.init(init_key, obs, data[:batch], obs, obs + 1)
    state = params, params, optimizer.init(params)
    keys = jax.random.split(updates_key, (updates // 100, 100))
    state, before = jax.lax.scan(hundred_updates, state, keys)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), before, state[0])


# %% [markdown]
# **Predict, then run.** Five seeds of each. How far from the data is the shortcut at one step? Is it
# worse than the flow at many?

# %%
seeds = jax.random.split(jax.random.key(1), 5)
flow_history = jax.jit(jax.vmap(lambda key: train(key, weight=0)))(seeds)
shortcut_history = jax.jit(jax.vmap(train))(seeds)

# %% [markdown]
# The flow knows one step size only; it is told that one whatever the step is.


# %%
def as_flow(params, obs, a_t, t, h):
    return network.apply(params, obs, a_t, t, jnp.full_like(h, 1 / M))


last = [jax.tree.map(lambda leaf: leaf[:, -1], h) for h in (flow_history, shortcut_history)]
steps, key = (1, 2, 4, 8, 16, 32), jax.random.key(2)
distances = {
    "flow": pictures.distances_to_data(as_flow, last[0], data, key=key, steps=steps),
    "shortcut": pictures.distances_to_data(network.apply, last[1], data, key=key, steps=steps),
}
pictures.curves(distances, steps, floor=pictures.distance_floor(data))

# %% [markdown]
# LOOK1

# %%
first = [jax.tree.map(lambda leaf: leaf[0], params) for params in last]  # of the first seed
fields = {"flow": bind(as_flow, first[0]), "shortcut": bind(network.apply, first[1])}
explorer = FlowExplorer(fields, data, key=jax.random.key(3), denoise_steps=M, steps=steps)
explorer

# %% [markdown]
# LOOK2

# %%
chosen = (0, 1, 2, 4, 8, 12, 20, 30, 40)
snapshots = [jax.tree.map(lambda leaf, i=i: leaf[0, i], shortcut_history) for i in chosen]
gaps = SelfConsistencyExplorer(
    ([100 * i for i in chosen], [bind(network.apply, params) for params in snapshots]),
    data,
    key=jax.random.key(4),
    denoise_steps=M,
)
gaps

# %% [markdown]
# LOOK3

# %%
no_ema_history = jax.jit(jax.vmap(lambda key: train(key, tau=1.0)))(seeds)
over_training = {
    name: pictures.distances_over_training(network.apply, history, data, key=key)
    for name, history in {"EMA target": shortcut_history, "no EMA": no_ema_history}.items()
}
pictures.curves(
    {name: rows[:, ::2] for name, rows in over_training.items()},
    range(0, 4001, 200),
    xlabel="updates",
    ylabel="distance at one step (action units)",
    doubling=False,
)

# %% [markdown]
# LOOK4
