# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: -jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 2. Shortcut models
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/02_shortcut_models.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/02_shortcut_models.html)
#
# **You will learn**
#
# - why a field that knows how far it will jump can do with one step;
# - how it learns that from itself: one large jump must land where two half jumps do;
# - what a moving average and a stop-gradient are for, and how to check whether you need them.
#
# **You should know** lesson 1: path, velocity, Euler steps.
#
# **Time** about 70 s to run on 2 CPU cores, 50 minutes to read and do.

# %% tags=["setup"]
# Installs sorl_edu if it is missing, as on Colab; otherwise this cell does nothing.
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
from functools import partial

import jax
import jax.numpy as jnp
import optax

from sorl_edu import plotting, shortcut
from sorl_edu.course.exercises import shortcut as exercises
from sorl_edu.flow_matching import flow_matching_loss, integrate_path
from sorl_edu.networks import ShortcutField
from sorl_edu.shortcut import at_step_size
from sorl_edu.widgets import DrawYourOwn, FlowExplorer, SelfConsistencyExplorer

# %% [markdown]
# ## 1. What would a single step need to know?
#
# Lesson 1's field knows the velocity here and now. A long step keeps that velocity where the path
# bends away. If the field also *knew* how long the step is, it could answer with the average velocity
# over the whole step, bends included: a shortcut $s(a_t, t, h)$, with
#
# $$ a_{t+h} = a_t + h\, s(a_t, t, h) . $$
#
# For one Gaussian the flow's paths have a closed form, so that we can look at a perfect shortcut
# without training one: a particle keeps its place in the cloud, counted in standard deviations from
# the mean, while the cloud moves and shrinks.
#
# **Predict, then run.** How many steps does the perfect shortcut need to get from noise to a cloud
# in the upper right? And where does the velocity of lesson 1 lead in as many steps?
#
# > *my prediction:*

# %%
mu, sigma = jnp.array([0.9, 0.6]), 0.3


def std(t):
    return jnp.sqrt((1 - t) ** 2 + (t * sigma) ** 2)


def perfect(obs, a_t, t, h):
    landed = (t + h) * mu + std(t + h) / std(t) * (a_t - t * mu)
    return (landed - a_t) / h


def velocity(obs, a_t, t):
    return perfect(obs, a_t, t, 1e-3)  # over a step that is nearly 0


a_0, obs = jax.random.normal(jax.random.key(0), (600, 2)), jnp.zeros((600, 1))
plotting.flow_paths(
    {
        "velocity, m = 1": integrate_path(velocity, obs, a_0, 1),
        "velocity, m = 8": integrate_path(velocity, obs, a_0, 8),
        "perfect shortcut, m = 1": integrate_path(at_step_size(perfect, 1), obs, a_0, 1),
    },
    mu + sigma * jax.random.normal(jax.random.key(1), (600, 2)),
)

# %% [markdown]
# One jump is enough, if the field knows its length. With the velocity alone, one step collapses to
# the mean, as in lesson 1. (`at_step_size(s, h)` is the field of lesson 1 that a shortcut becomes
# when we fix its step size $h$.)
#
# ## 2. Who teaches it the long jumps?
#
# For real data nobody knows where the paths lead. But small jumps are easy (they are flow matching),
# and two jumps of $h$ make one of $2h$:
#
# $$ a_{t+h} = a_t + h\, s(a_t, t, h), \qquad
#    a_{t+2h} = a_{t+h} + h\, s(a_{t+h}, t + h, h) . $$
#
# A single jump should land there, too: $a_t + 2h\, s(a_t, t, 2h) = a_{t+2h}$. Insert this, and divide
# by $2h$:
#
# $$ s(a_t, t, 2h) = \tfrac12 \big( s(a_t, t, h) + s(a_{t+h}, t+h, h) \big) . $$
#
# That is **self-consistency**. If we double the step from $h = 1/M$ on, we reach the longest jump in
# $\log_2 M$ levels. The perfect shortcut fulfils this condition, and the velocity does not:

# %%
shortcuts = {
    "perfect shortcut": perfect,
    "velocity": lambda obs, a_t, t, h: velocity(obs, a_t, t),  # whatever h is
}
{
    name: float(shortcut.jump_gap(s, obs, a_0, 0.0, 0.5).mean())  # 2h = 1, from t = 0
    for name, s in shortcuts.items()
}

# %% [markdown]
# These numbers are the average distance, in action units, between where one jump lands and where two
# half jumps land.
#
# ### Exercise 2.1 · Feed the field its step · ★☆☆ · 10 min · 1 point
# `sample(s, obs, noise, m, M)` carries `noise` `(batch, action)` to the data in $m$ steps.
# `s(obs, a, t, h)` takes $t$ and $h$ as columns `(batch, 1)`. The field was trained at steps
# $1, 1/2, \dots, 1/M$. We may also take more steps than $M$; the field then gets the smallest step
# that it knows.
#
# <details><summary>Hint 1</summary>
#
# There are three numbers: the time at which the step starts, the step size $h$ that the field gets,
# and the length by which we move.
#
# <details><summary>Hint 2</summary>
#
# The last two are the same up to $m = M$. `min(m, M)` is useful in one of them.
#
# </details>
# </details>


# %% tags=["exercise-2.1"]
def sample(s, obs, noise, m, M):
    column = jnp.ones((len(noise), 1))
    a = noise
    for i in range(m):
        t, h, length = i / m, ..., ...
        a = a + length * s(obs, a, t * column, h * column)
    return a


# %% tags=["check-2.1"]
exercises.sample(sample)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def sample(s, obs, noise, m, M):
#     column = jnp.ones((len(noise), 1))
#     a = noise
#     for i in range(m):
#         t, h, length = i / m, 1 / min(m, M), 1 / m
#         a = a + length * s(obs, a, t * column, h * column)
#     return a
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2.2 · The self-consistency target · ★★☆ · 10 min · 2 points
# `target(s, obs, a_t, t, h)` returns the velocity that the field should give for a jump of $2h$ from
# $a_t$, computed from two half jumps of $h$. Both `t` and `h` are columns `(batch, 1)`. It is a
# *target*: no gradient may flow through it.
#
# <details><summary>Hint 1</summary>
#
# Where does the second half jump start, and when?
#
# <details><summary>Hint 2</summary>
#
# `jax.lax.stop_gradient(x)` equals `x`, and is a constant to `jax.grad`.
#
# </details>
# </details>


# %% tags=["exercise-2.2"]
def target(s, obs, a_t, t, h):
    v1 = s(obs, a_t, t, h)
    v2 = s(obs, ..., ..., h)
    return ...


# %% tags=["check-2.2"]
exercises.target(target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def target(s, obs, a_t, t, h):
#     v1 = s(obs, a_t, t, h)
#     v2 = s(obs, a_t + h * v1, t + h, h)
#     return jax.lax.stop_gradient((v1 + v2) / 2)
# ```
#
# </details>

# %% [markdown]
# ## 3. Does it work?
#
# The data are now four clouds, like the recorded actions at a crossing: left, right, up and down, and
# nothing between them.
#
# Two losses train the same network: flow matching at $h = 1/M$, and the target above at each larger
# step $2h$. An exponential moving average (EMA) of $s$, called $s'$, makes the half jumps:
#
# $$ L_{SC} = \mathbb{E}\, \big\| s(a_t, t, 2h) - \tfrac12 (s'(a_t, t, h) + s'(a_{t+h}, t+h, h)) \big\|^2,
#    \qquad \theta' \leftarrow \theta' + \tau\, (\theta - \theta') . $$
#
# `train` also keeps the parameters after every 100 updates. With `weight=0` the self-consistency
# loss is off, and only lesson 1's flow remains.

# %%
M, network = 8, ShortcutField((64, 64, 64), action_dim=2)
mode_key, spread_key = jax.random.split(jax.random.key(0))
angle = jnp.pi / 2 * jax.random.randint(mode_key, (20_000, 1), 0, 4)
data = 0.8 * jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1)
data += 0.1 * jax.random.normal(spread_key, data.shape)


def train(key, weight=1.0, tau=0.005, updates=3000, batch=256):
    """Parameters before training and after every 100 updates, on a leading axis."""
    schedule, obs = optax.cosine_decay_schedule(5e-3, updates), jnp.zeros((batch, 1))
    optimizer = optax.adam(schedule)

    def loss(params, target_params, a_1, key):
        flow_key, consistency_key = jax.random.split(key)
        s, s_average = partial(network.apply, params), partial(network.apply, target_params)
        l_fm, _ = flow_matching_loss(at_step_size(s, 1 / M), obs, a_1, flow_key)
        if weight == 0:
            return l_fm
        l_sc, _ = shortcut.self_consistency_loss(s, s_average, obs, a_1, consistency_key, M)
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
#
# > *my prediction:*

# %%
seeds = jax.random.split(jax.random.key(1), 5)
flow_history = jax.jit(jax.vmap(lambda key: train(key, weight=0)))(seeds)
shortcut_history = jax.jit(jax.vmap(train))(seeds)

# %% [markdown]
# The flow was trained at one step size, $1/M$, and gets that one whatever step it takes.


# %%
def as_flow(params, obs, a_t, t):
    return network.apply(params, obs, a_t, t, jnp.full_like(t, 1 / M))


last = [jax.tree.map(lambda leaf: leaf[:, -1], h) for h in (flow_history, shortcut_history)]
steps, key = (1, 2, 4, 8, 16, 32), jax.random.key(2)
distances = {
    "flow": plotting.distances_to_data(as_flow, last[0], data, key=key, steps=steps),
    "shortcut": plotting.distances_to_data(
        network.apply, last[1], data, key=key, steps=steps, denoise_steps=M
    ),
}
plotting.distance_curves(distances, steps, floor=plotting.distance_floor(data))

# %% [markdown]
# Up to four steps the shortcut is ahead of the flow at the same price, at one step by far; its one
# step is nearly as good as eight. From eight steps on the two are level: there the shortcut *is* a
# flow, evaluated at $h = 1/M$. Neither reaches the dotted line: training is short, so that it fits
# into a lesson. (The flow loss here draws $t$ from $[0, 1]$, so that the flow may take more than $M$
# steps; SORL draws it from the grid of $1/M$, the only times that its sampler visits.)
#
# Here are the samples of the first seed, those of the curve. **A goal for the sliders:** find the smallest $m$ at which
# you can't tell the flow's samples from the shortcut's at $m = 1$.

# %%
first = [jax.tree.map(lambda leaf: leaf[0], params) for params in last]  # the first seed's
explorer = FlowExplorer(
    {"flow": partial(as_flow, first[0])},
    data,
    shortcuts={"shortcut": partial(network.apply, first[1])},
    key=key,
    denoise_steps=M,
    steps=steps,
    shortcut_steps=steps,
    times=(1.0,),
)
explorer

# %% [markdown]
# With one step the flow's particles pile up in the middle, while the shortcut's are already out at
# the four clouds. Some lie between two clouds: a single jump is one smooth function of the noise, and
# would have to tear to separate neighbours. With 32 steps both fields separate them cleanly. A
# shortcut saves steps; it is no better than the flow that it shortens.
#
# ## 4. What happens while it learns?
#
# **Predict, then run.** Before any training, is one jump far from two half jumps? When is the gap
# widest?
#
# > *my prediction:*

# %%
chosen = (0, 1, 2, 4, 8, 12, 20, 30)
snapshots = [jax.tree.map(lambda leaf, i=i: leaf[0, i], shortcut_history) for i in chosen]
gaps = SelfConsistencyExplorer(
    ([100 * i for i in chosen], [partial(network.apply, params) for params in snapshots]),
    data,
    key=jax.random.key(4),
    denoise_steps=M,
)
gaps

# %% [markdown]
# Drag **update** from the left. Before training, the gap of the longest jump is 0.08: a network whose output is
# nearly the same everywhere nearly agrees with itself, and carries the noise nowhere. Self-consistency alone is easy
# to fulfil; flow matching ties it to the data. Then the field learns the flow, paths bend, and the gap doubles. It
# is widest within the first 500 updates; then the long jumps catch up with the short ones. It falls to 0.03 without
# vanishing, and for the shortest jump it ends about where it began: a gap means something only beside the middle
# picture, which shows where the jumps land. (This is one seed.)
#
# ### Exercise 2.3 · Where do jumps start? · ★★☆ · 10 min · 2 points
# The loss needs a time and a step for each row of a batch. Level $j$ stands for a large jump
# $2h = 1/2^j$. `times(u, level)` gets uniform random numbers from $[0, 1)$ and levels, both
# `(batch, 1)`, and returns $t$ and $h$ of the same shape. Here $t$ is uniform over the times at which
# a sampler with jumps of $2h$ starts one.
#
# <details><summary>Hint 1</summary>
#
# A sampler with jumps of 1/4 starts them at 0, 1/4, 1/2 and 3/4. Which $u$ should give which time?
#
# <details><summary>Hint 2</summary>
#
# `jnp.floor(u / jump)` is the number of the step.
#
# </details>
# </details>


# %% tags=["exercise-2.3"]
def times(u, level):
    jump = ...
    t = ...
    return t, jump / 2


# %% tags=["check-2.3"]
exercises.times(times)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def times(u, level):
#     jump = 2.0**-level
#     t = jnp.floor(u / jump) * jump
#     return t, jump / 2
# ```
#
# </details>

# %% [markdown]
# ## 5. What is the EMA for?
#
# The target moves while the field learns it: each update changes the half jumps, too. A moving
# average changes more slowly, and fluctuates less. With $\tau = 1$ the target is the current field
# itself (the gradient is still stopped).
#
# **Predict, then run.** Without the average, is one-step sampling better, worse, or unstable?
#
# > *my prediction:*

# %%
no_ema_history = jax.jit(jax.vmap(lambda key: train(key, tau=1.0)))(seeds)
over_training = {
    name: plotting.distances_over_training(network.apply, history, data, key=key, denoise_steps=M)
    for name, history in {"EMA target": shortcut_history, "no EMA": no_ema_history}.items()
}
plotting.distance_curves(
    {name: rows[:, ::2] for name, rows in over_training.items()},
    range(0, 3001, 200),
    xlabel="updates",
    ylabel="distance at one step (action units)",
    log_x=False,
)

# %% [markdown]
# This problem does not need the average. Without it the long jumps learn *sooner*, since they don't
# wait for a target that lags behind; at the end both are level. Nothing diverges; the price is a wider
# interval in between. So treat the average as an insurance. Frans et al. use it, and so does SORL's
# code (its paper writes the target with $s$ itself); there the networks are larger, the data harder,
# and a critic pulls at the same field. The stop-gradient is *not* optional: without it, the
# target moves towards the field that should move towards it. When you build a model of your own, switch each part off, over several seeds, and
# look.
#
# ## 6. Can one step learn what you draw?
#
# Lesson 1's drawing is here again, with a second model to choose: the shortcut of section 3, which
# learns in your browser with both losses and the EMA.
#
# **Predict, then draw.** Press **Ring**, then **Train**. Which panel is good first, and which last?
# How many steps does the flow need to be nearer to the ring than the shortcut is at one step? Choose
# the flow to find out, and then draw data of your own.
#
# > *my prediction:*

# %%
DrawYourOwn(["shortcut", "flow"])

# %% [markdown]
# The short steps learn first: they learn from the data, while a long jump can be right only when its
# halves are. After a hundred updates, four and eight steps are nearer to the ring than one and two; at
# the end all four are about as near. The flow at one, two and even four steps is further from the ring
# than the shortcut is at one, and at eight it is nearer.
#
# ## Recap
#
# - A shortcut field $s(a_t, t, h)$ knows the step, and answers with the average velocity over it.
# - The smallest step learns from data (flow matching), each larger one from two steps of half its
#   size.
# - The gap between one jump and two shows whether a field agrees with itself, and not whether it has
#   learned the data: it is narrower before training than soon after.
# - At one step the shortcut is far better than the flow; with many it is no better.
# - An EMA target slows learning here, and has nothing to steady.
#
# ## Three questions
#
# **1.** With $M = 8$, how many levels are there, and how many network evaluations does one row of the
# self-consistency loss need?
#
# <details><summary>Answer</summary>
#
# Three levels, the jumps of 1, 1/2 and 1/4, learn from half jumps; the jump of 1/8 learns by flow
# matching. A row needs three evaluations: two for the target, and one that learns.
#
# </details>
#
# **2.** Can a one-step sample be better than the $M$-step samples of the same field?
#
# <details><summary>Answer</summary>
#
# Not by its training: its target is where $M$ small steps lead, with the errors of every level on
# top. Chance and the smoothness of a network may make it better here and there.
#
# </details>
#
# **3.** Why is the network fed $\log_2(1/h)$ and not $h$?
#
# <details><summary>Answer</summary>
#
# The levels 0, 1, ..., $\log_2 M$ are equally far apart. In $h$ the small steps crowd together near
# 0, and a small network can hardly tell 1/64 from 1/128.
#
# </details>
#
# ## Further reading
#
# - Frans et al., *One Step Diffusion via Shortcut Models*, 2024, [arXiv 2410.12557](https://arxiv.org/abs/2410.12557)
# - Song et al., *Consistency Models*, 2023, [arXiv 2303.01469](https://arxiv.org/abs/2303.01469): every point of a path
#   learns to say where the path ends
# - Espinosa-Dice et al., *Scaling Offline RL via Efficient and Expressive Shortcut Models*, 2025,
#   [arXiv 2505.22866](https://arxiv.org/abs/2505.22866): SORL, which lesson 4 builds
# - Liu et al., *Rectified Flow*, 2023, [arXiv 2209.03003](https://arxiv.org/abs/2209.03003): fewer steps by straighter paths
