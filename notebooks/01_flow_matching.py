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
# # Lesson 1. Flow matching
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/01_flow_matching.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/01_flow_matching.html)
#
# **You will learn**
#
# - how a velocity field turns noise into data, and how to learn one by plain regression;
# - why the learned velocity is an *average*, and what it is exactly for Gaussian data;
# - how the number of Euler steps matters: many are accurate, a single one lands on the mean.
#
# **You should know** gradients, the normal distribution, and the JAX of lesson 0 (keys, `scan`,
# `vmap`).
#
# **Time** about 55 s to run on 2 CPU cores, 50 minutes to read and do.

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
import numpy as np
import optax

from sorl_edu import flow_matching, plotting
from sorl_edu.course.exercises import flow_matching as exercises
from sorl_edu.datasets import toy
from sorl_edu.networks import VelocityField
from sorl_edu.widgets import DrawYourOwn, FlowExplorer

# %% [markdown]
# ## 1. How does noise become data?
#
# Later, an agent will make its actions from noise. Here "actions" are points in the plane, and the
# data are eight small clouds on a circle. We pair each data point $a_1$ with a noise sample $a_0$,
# at random, and let a particle travel from noise to data in a straight line while the time $t$ runs
# from 0 to 1.
#
# **Predict, then run.** Halfway, at $t = 1/2$: are there eight clouds already, or one?
#
# > *my prediction:*

# %%
data_key, noise_key = jax.random.split(jax.random.key(0))
data = toy.eight_gaussians(data_key, 20_000)
noise = jax.random.normal(noise_key, data.shape)

plotting.samples_2d(
    {f"t = {t:g}": (1 - t) * noise[:1500] + t * data[:1500] for t in (0, 0.5, 0.9, 1)}
)

# %% [markdown]
# Halfway, the noise still blurs the eight clouds into one; only at the end, at $t = 0.9$, do they stand apart.
# The path and its velocity are
#
# $$ a_t = (1 - t)\, a_0 + t\, a_1, \qquad
#    u = \frac{\mathrm{d} a_t}{\mathrm{d} t} = a_1 - a_0 . $$
#
# (The library keeps a trace of noise at $t = 1$, with $1 - \varepsilon$ in place of 1 and
# $\varepsilon = 10^{-5}$, as Lipman et al. do. You will not see the difference.)

# %% [markdown]
# ### Exercise 1.1 · The path and its velocity · ★☆☆ · 5 min · 1 point
# `path(noise, actions, t)` gets noise $a_0$ and data $a_1$, both of shape `(batch, action)`, and
# times `(batch, 1)`. It returns the position $a_t$ and the velocity $u$, both `(batch, action)`.
# Leave $\varepsilon$ out.
#
# <details><summary>Hint 1</summary>
#
# Where must you be at $t = 0$? And at $t = 1$?
#
# <details><summary>Hint 2</summary>
#
# Differentiate your $a_t$ with respect to $t$; the answer does not contain $t$.
#
# </details>
# </details>


# %% tags=["exercise-1.1"]
def path(noise, actions, t):
    a_t = ...
    u = ...
    return a_t, u


# %% tags=["check-1.1"]
exercises.path(path)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def path(noise, actions, t):
#     a_t = (1 - t) * noise + t * actions
#     u = actions - noise
#     return a_t, u
# ```
#
# </details>

# %% [markdown]
# ## 2. Which way, if you don't know where you are going?
#
# To make *new* data we start at noise that has no partner $a_1$. We know only where we are, and when.
# But many paths pass through the same place at the same time.
#
# **Predict, then run.** The black dot is a place to the right of the middle. Where do the paths
# through it lead early on, at $t = 0.2$? And late, at $t = 0.8$?
#
# > *my prediction:*

# %%
plotting.crossing_paths(noise, data, point=(0.4, 0.15), times=(0.2, 0.5, 0.8))

# %% [markdown]
# Early on, a path through the dot may lead to any of the eight clouds, and the average of their
# velocities leads to none of them: it points back to the middle. Late, almost all paths lead to the
# two clouds nearby, and the average points outwards, between the two. If every particle follows the
# average, the crowd as a whole moves as it would along the straight paths: flow matching rests on
# this theorem (Lipman et al., theorem 1).
#
# How do we learn an average? By regression: the best guess in mean square *is* the conditional mean.
# So draw a path, draw a time, and fit a field $v$ to the velocity of that one path:
#
# $$ L_{FM} = \mathbb{E}_{a_0, a_1, t} \big\| v(a_t, t) - (a_1 - a_0) \big\|^2
#    \quad\Longrightarrow\quad
#    v^*(a, t) = \mathbb{E}\big[\, a_1 - a_0 \,\big|\, a_t = a \,\big] . $$
#
# A few lines learn such a field. An agent's field also depends on its observation, $v(o, a_t, t)$;
# here there is nothing to observe, so `obs` is a column of zeros.


# %%
def train(key, data, updates=6000, batch=256):
    """Learns a velocity field from data, (n, 2); returns its parameters and the losses."""
    network, obs = VelocityField((64, 64, 64), action_dim=2), jnp.zeros((batch, 1))
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, updates))

    def loss(params, a_1, key):
        noise_key, time_key = jax.random.split(key)
        a_0 = jax.random.normal(noise_key, a_1.shape)
        t = jax.random.uniform(time_key, (batch, 1))
        a_t, u = (1 - t) * a_0 + t * a_1, a_1 - a_0
        return jnp.mean((network.apply(params, obs, a_t, t) - u) ** 2)

    def update(state, key):
        params, optimizer_state = state
        rows_key, loss_key = jax.random.split(key)
        rows = jax.random.randint(rows_key, (batch,), 0, len(data))
        value, gradient = jax.value_and_grad(loss)(params, data[rows], loss_key)
        change, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(params, change), optimizer_state), value

    init_key, updates_key = jax.random.split(key)
    params = network.init(init_key, obs, data[:batch], obs)
    state, keys = (params, optimizer.init(params)), jax.random.split(updates_key, updates)
    (params, _), losses = jax.lax.scan(update, state, keys)
    return params, losses


# %% [markdown]
# This loss is the library's, up to $\varepsilon$: the same key draws the same noise and times.

# %%
some, key = data[:256], jax.random.key(1)
noise_key, time_key = jax.random.split(key)
a_0, t = jax.random.normal(noise_key, some.shape), jax.random.uniform(time_key, (256, 1))


def still(obs, a_t, t):
    return jnp.zeros_like(a_t)


by_hand = jnp.mean((still(None, (1 - t) * a_0 + t * some, t) - (some - a_0)) ** 2)
library, _ = flow_matching.flow_matching_loss(still, jnp.zeros((256, 1)), some, key)
np.testing.assert_allclose(by_hand, library, rtol=1e-4)

# %% [markdown]
# ## 3. Is what it learns the average?
#
# Test it where the answer is known. Let the data be one Gaussian, $a_1 \sim N(\mu, \sigma^2 I)$. Then
# $a_1 - a_0$ and $a_t$ are jointly Gaussian, and the conditional mean is linear in $a$.
#
# **Predict, then run.** At $t = 0.1$, does the velocity grow or fall as $x$ grows? And at $t = 0.9$?
#
# > *my prediction:*

# %%
mu, sigma = jnp.array([0.5, -0.25]), 0.3
gaussian = mu + sigma * jax.random.normal(jax.random.key(2), (20_000, 2))


def exact_field(a, t):
    variance = (1 - t) ** 2 + (t * sigma) ** 2  # of a_t
    covariance = t * sigma**2 - (1 - t)  # of a_t with a_1 - a_0
    return mu + covariance / variance * (a - t * mu)


network = VelocityField((64, 64, 64), action_dim=2)
seeds = jax.random.split(jax.random.key(3), 5)
gaussian_params, _ = jax.jit(jax.vmap(lambda key: train(key, gaussian)))(seeds)
gaussian_fields = [
    partial(network.apply, jax.tree.map(lambda leaf, i=i: leaf[i], gaussian_params))
    for i in range(5)
]
plotting.velocity_slices(exact_field, gaussian_fields)

# %% [markdown]
# Five networks, each trained on single paths of its own, agree with the formula wherever paths pass.
# Late and far to the left hardly any do, and there the networks differ from it and from each other:
# they have seen no data there. Early, the velocity falls with $x$: a particle that is too far right
# must come back. At $t = 0.9$ it hardly depends on $x$: the slope is about to change its sign, at
# $t = 1 / (1 + \sigma^2) = 0.92$, and after that what is right of the mean is on its way there. The formula is the mean of one Gaussian variable given another,
# $\mathbb{E}[u | a_t] = \mathbb{E}[u] +
# \mathrm{Cov}(u, a_t) \mathrm{Var}(a_t)^{-1} (a_t - \mathbb{E}[a_t])$:
#
# $$ v^*(a, t) = \mu + \frac{t \sigma^2 - (1 - t)}{(1 - t)^2 + t^2 \sigma^2}\,(a - t \mu) . $$

# %% [markdown]
# ## 4. How many steps does it take?
#
# We return to the eight clouds, with five seeds at once. To sample, start at noise and follow the
# field in $m$ Euler steps of $1/m$:
#
# $$ a_{t + 1/m} = a_t + \tfrac{1}{m}\, v(a_t, t), \qquad t = 0, \tfrac{1}{m}, \dots, \tfrac{m-1}{m}. $$
#
# **Predict, then run.** What do you get in a single step from $t = 0$ to $t = 1$?
#
# > *my prediction:*

# %%
params, losses = jax.jit(jax.vmap(lambda key: train(key, data)))(seeds)
field = partial(network.apply, jax.tree.map(lambda leaf: leaf[0], params))  # the first seed's

a_0 = jax.random.normal(jax.random.key(4), (600, 2))
obs = jnp.zeros((600, 1))
plotting.flow_paths(
    {f"m = {m}": flow_matching.integrate_path(field, obs, a_0, m) for m in (1, 4, 64)},
    data[:600],
)

# %% [markdown]
# One step moves every particle to the middle, where there is no data at all. Four steps find the
# ring, and many small ones the clouds, with a few stragglers between. The paths head for the middle
# first and turn to a cloud late (the slider below shows it). A long step continues straight where the
# path bends.
#
# The sampler is five lines, checked against the library's:


# %%
def sample(field, obs, a, m):
    for i in range(m):
        t = jnp.full((len(a), 1), i / m)
        a = a + field(obs, a, t) / m
    return a


np.testing.assert_allclose(
    sample(field, obs, a_0, 8), flow_matching.integrate(field, obs, a_0, 8), atol=1e-4
)

# %% [markdown]
# ### Exercise 1.2 · The Euler sampler · ★★☆ · 10 min · 2 points
# `euler(field, obs, noise, steps)` carries `noise` of shape `(batch, action)` from $t = 0$ to $t = 1$
# in `steps` equal steps and returns where it ends. `field(obs, a_t, t)` takes observations
# `(batch, obs)`, positions `(batch, action)` and times `(batch, 1)`. (It is the cell above; write it
# without looking.)
#
# <details><summary>Hint 1</summary>
#
# When does step number $i$ start, if the first is number 0? The field needs that time.
#
# <details><summary>Hint 2</summary>
#
# A velocity is a distance per unit of time. How long does one of the steps last?
#
# </details>
# </details>


# %% tags=["exercise-1.2"]
def euler(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        t = i * ...
        column = t * jnp.ones((len(noise), 1))
        a = ...
    return a


# %% tags=["check-1.2"]
exercises.euler(euler)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def euler(field, obs, noise, steps):
#     a = noise
#     for i in range(steps):
#         t = i * (1 / steps)
#         column = t * jnp.ones((len(noise), 1))
#         a = a + field(obs, a, column) / steps
#     return a
# ```
#
# </details>

# %% [markdown]
# ## 5. Why the middle?
#
# At $t = 0$ we are at $a_0$, and it says nothing about its partner: they were paired at random. The
# field can know only the average over *all* data there, $v^*(a_0, 0) = \mathbb{E}[a_1] - a_0$, and a
# full step with it lands on
#
# $$ a_0 + v^*(a_0, 0) = \mathbb{E}[a_1] $$
#
# from wherever it started. The mean of the eight clouds lies in none of them. Think of an agent in
# front of an obstacle, whose data pass it on the left and on the right equally often.
#
# **Predict, then run.** How close do samples come to the data as the steps double? The *energy
# distance* compares two clouds of points: 0 for the same distribution, in the unit of the actions.
# Even two samples of the data are not at distance 0 from each other; the dotted line shows theirs.
#
# > *my prediction:*

# %%
steps = (1, 2, 4, 8, 16, 32, 64, 128)
distances = plotting.distances_to_data(
    network.apply, params, data, key=jax.random.key(5), steps=steps
)
plotting.distance_curves({"flow": distances}, steps, floor=plotting.distance_floor(data))

# %% [markdown]
# The first few doublings bring most of the gain; then the curve is flat, since the remaining error is
# the network's and no longer the integrator's. The five seeds hardly differ. So a flow needs on the
# order of ten evaluations of its network for one sample. The next lesson saves most of them.
#
# Now move the sliders. At $m = 128$, drag $t$ from 0 to 1: when do the clouds separate? From which
# $m$ on can you no longer tell the samples from the data? (These are the samples of the curve's first seed.)

# %%
explorer = FlowExplorer(
    {"flow": field}, data, key=jax.random.key(5), steps=(1, 2, 4, 8, 16, 32, 128)
)
explorer

# %% [markdown]
# ### Exercise 1.3 · The marginal field of a few points · ★★★ · 15 min · 3 points
# Let the data be $n$ points, all equally likely. Given one of them, $a_1$, the position $a_t$ is
# Gaussian with mean $t\, a_1$ and standard deviation $1 - t$ in each coordinate; and if the path
# through $a_t$ leads to $a_1$, its velocity is $(a_1 - a_t) / (1 - t)$. The marginal field is the
# average of these velocities, weighted by how likely each point is, given $a_t$.
#
# `marginal_field(data, a_t, t)` gets the points `(n, action)`, positions `(batch, action)` and times
# `(batch, 1)` below 1, and returns velocities `(batch, action)`. Fill in the squared distances and
# the weights, both `(batch, n)`.
#
# <details><summary>Hint 1</summary>
#
# `a_t[:, None] - data` has shape `(batch, n, action)`. But $a_t$ is not compared with $a_1$ itself:
# where is the path to $a_1$ at time $t$, on average?
#
# <details><summary>Hint 2</summary>
#
# By Bayes' rule, the weights are proportional to $\exp(-\|a_t - t a_1\|^2 / (2 \sigma^2))$, and sum
# to 1 over the data points. `jax.nn.softmax(x, axis=...)` does both.
#
# </details>
# </details>


# %% tags=["exercise-1.3"]
def marginal_field(data, a_t, t):
    squared = ...
    weights = ...
    return (weights @ data - a_t) / (1 - t)


# %% tags=["check-1.3"]
exercises.marginal_field(marginal_field)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def marginal_field(data, a_t, t):
#     squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
#     weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
#     return (weights @ data - a_t) / (1 - t)
# ```
#
# Follow this field exactly and you arrive at one of the $n$ points: a flow that fits its training
# data perfectly has memorised them. A network gives new data only because it can *not* fit them
# perfectly.
#
# </details>

# %% [markdown]
# ## 6. Can it learn what you draw?
#
# Now the data are yours. Below, this lesson's network learns in your browser, with the loss of
# section 2. For it to take seconds, there are fewer updates, and batches of 128. The four panels show
# where the same noise ends after 1, 2, 4 and 8 steps while the field learns; the number above a panel
# is the energy distance to your drawing.
#
# **Predict, then draw.** Press **Ring**, then **Train**. Where does a single step land? Does it come
# nearer to the ring while the field learns? Then clear the drawing, and draw data for which one step
# is nearly enough.
#
# > *my prediction:*

# %%
DrawYourOwn()

# %% [markdown]
# On the ring, a single step lands in the hole, where there are no data. Training does not mend this: the
# single step ends further from the ring than it was with an untrained network, since the field now
# knows the mean. With every doubling of the steps the samples come nearer, and eight steps find the
# ring. One step comes near only for a small cloud around its own mean, and even there its samples lie
# closer together than the data.

# %% [markdown]
# ## Recap
#
# - A path joins noise to data, $a_t = (1 - t) a_0 + t a_1$; its velocity is $a_1 - a_0$.
# - Regression on the velocities of single paths learns their average, the marginal field; following
#   it carries noise to the data.
# - For Gaussian data the field has a closed form, and the trained one agrees with it.
# - The paths of the average field bend, so that a few long steps miss.
# - A single step lands on the mean of the data, because noise alone says nothing about where to go.
#
# ## Three questions
#
# **1.** The straight paths cross each other. Can the paths of the learned field cross?
#
# <details><summary>Answer</summary>
#
# No. At one place and time the field has one velocity, so two particles that met would stay
# together. (The paths of a coarse Euler integration can cross, since they overshoot.) The density of
# the crowd is the same as with the straight paths; the individual journeys are not.
#
# </details>
#
# **2.** If the data are a single point, how many steps are needed?
#
# <details><summary>Answer</summary>
#
# One: from everywhere the path is straight to the point, and the mean is the data.
#
# </details>
#
# **3.** The training loss stays far above zero. Is that a sign of a network that is too small?
#
# <details><summary>Answer</summary>
#
# No. The target is the velocity of one path, and the best answer is the average over all paths
# through that place; the rest is their variance, which no field can explain. Judge a flow by its
# samples.
#
# </details>
#
# ## Further reading
#
# - Lipman et al., *Flow Matching for Generative Modeling*, 2023, [arXiv 2210.02747](https://arxiv.org/abs/2210.02747)
# - Liu et al., *Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow*,
#   2023, [arXiv 2209.03003](https://arxiv.org/abs/2209.03003): straighten the paths, then take fewer steps
# - Albergo and Vanden-Eijnden, *Building Normalizing Flows with Stochastic Interpolants*, 2023,
#   [arXiv 2209.15571](https://arxiv.org/abs/2209.15571): other paths between two distributions
