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
# # Assignment 1. Flow matching and shortcut models
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A1_shortcut_models.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/assignments/A1_shortcut_models.html)
#
# **You will learn**
#
# - to derive the velocity of a path that bends, and to explain its use;
# - to integrate a field with a method of order 2, and to measure that order;
# - to train a shortcut on jumps of unequal lengths, and to judge it by its samples.
#
# **You should know** lessons 1 and 2. There are 12 points.
#
# **Time** about 30 s to run on 2 CPU cores, 6 hours to read and do.

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
from IPython.display import display

from sorl_edu import plotting
from sorl_edu.course.exercises import assignment1 as exercises
from sorl_edu.course.exercises import pictures, shortcut_training
from sorl_edu.flow_matching import flow_matching_loss, grid_times, integrate, integrate_path
from sorl_edu.shortcut import at_step_size, self_consistency_loss

# %% [markdown]
# An exercise has two parts: a blank, where you replace the dots, and a check, which comments on your
# answer. The cells that use your answer wait until it is right.
#
# ## 1. Must the path be straight?
#
# Lesson 1 led each noise sample to its data point on a straight line. Flow matching needs less: any
# path that starts at the noise, ends at the data, and has a velocity. Another such path is an arc of an
# ellipse:
#
# $$ a_t = \cos\big(\tfrac{\pi}{2} t\big)\, a_0 + \sin\big(\tfrac{\pi}{2} t\big)\, a_1 . $$
#
# The data are the four clouds of lesson 2, scaled until each coordinate has standard deviation 1, like
# the noise.
#
# **Predict, then run.** Noise and data have the same spread. Halfway along the straight paths, is the
# spread of all points larger, smaller, or the same? And along the arcs?
#
# > *my prediction:*

# %%
mode_key, spread_key, noise_key = jax.random.split(jax.random.key(0), 3)
angle = jnp.pi / 2 * jax.random.randint(mode_key, (4000, 1), 0, 4)
data = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1)
data += 0.1 * jax.random.normal(spread_key, data.shape)
data /= data.std()
noise = jax.random.normal(noise_key, data.shape)

times = jnp.linspace(0, 1, 41)
arc = jnp.pi / 2 * times
weights = {"straight": (1 - times, times), "cosine": (jnp.cos(arc), jnp.sin(arc))}
paths = {
    name: noise_weight[:, None, None] * noise + data_weight[:, None, None] * data
    for name, (noise_weight, data_weight) in weights.items()
}
pictures.paths_and_spread(paths, times)

# %% [markdown]
# Noise and data are independent, so their variances add. The sum is $(1-t)^2 + t^2$, which is smallest halfway,
# on the straight paths, and $\cos^2 + \sin^2 = 1$ on the arcs, at all times. A path that keeps the variance is
# called *variance preserving*. The inputs of a network then have the same size at all times, which is one reason
# why diffusion models use such paths. The price is a velocity that changes along the path, even for a
# single pair.
#
# ### Exercise A1.1 · The cosine path · ★☆☆ · 30 min · 2 points
# `cosine_path(noise, actions, t)` gets $a_0$ and $a_1$, both `(batch, 2)`, and times `(batch, 1)`. It
# returns the position $a_t$ and the velocity $\mathrm{d} a_t / \mathrm{d} t$, both `(batch, 2)`.
#
# <details><summary>Hint 1</summary>
#
# Differentiate by $t$, with $a_0$ and $a_1$ as constants. What is the derivative of the angle?
#
# <details><summary>Hint 2</summary>
#
# Try it on one pair: at $t = 0$ the velocity must be a multiple of $a_1$. (Why?) `jax.jvp` of your
# position also computes the velocity, and is a good way to check yours.
#
# </details>
# </details>


# %% tags=["exercise-A1.1"]
def cosine_path(noise, actions, t):
    angle = jnp.pi / 2 * t
    a_t = ...
    velocity = ...
    return a_t, velocity


# %% tags=["check-A1.1"]
exercises.cosine_path(cosine_path)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def cosine_path(noise, actions, t):
#     angle = jnp.pi / 2 * t
#     a_t = jnp.cos(angle) * noise + jnp.sin(angle) * actions
#     velocity = jnp.pi / 2 * (jnp.cos(angle) * actions - jnp.sin(angle) * noise)
#     return a_t, velocity
# ```
#
# </details>

# %% [markdown]
# ## 2. What does a field make of the paths?
#
# A field learns the average velocity of all paths through a point. If the data are one Gaussian cloud,
# $a_1 \sim N(\mu_1, \sigma_1^2 I)$, this average has a closed form for every path. At time $t$ the points
# are Gaussian, with some mean $\mu(t)$ and standard deviation $\sigma(t)$, and each point keeps its
# distance from the mean, counted in standard deviations:
#
# $$ \frac{a_t - \mu(t)}{\sigma(t)} = a_0
#    \quad\Longrightarrow\quad
#    v^*(a, t) = \mu'(t) + \frac{\sigma'(t)}{\sigma(t)}\, \big(a - \mu(t)\big) . $$
#
# This gives two fields with exact solutions, one for each path. Both carry $a_0$ to
# $\mu_1 + \sigma_1 a_0$.

# %%
mu_1, sigma_1 = jnp.array([0.9, 0.6]), 0.3
clouds = {  # name: mean and standard deviation at time t
    "straight": (lambda t: t * mu_1, lambda t: jnp.sqrt((1 - t) ** 2 + (t * sigma_1) ** 2)),
    "cosine": (
        lambda t: jnp.sin(jnp.pi / 2 * t) * mu_1,
        lambda t: jnp.sqrt(jnp.cos(jnp.pi / 2 * t) ** 2 + (jnp.sin(jnp.pi / 2 * t) * sigma_1) ** 2),
    ),
}


def exact(mean, std):
    """The field whose points have this mean and standard deviation."""

    def field(obs, a_t, t):
        (mu, dmu), (sigma, dsigma) = (jax.jvp(f, (t,), (jnp.ones_like(t),)) for f in (mean, std))
        return dmu + dsigma / sigma * (a_t - mu)

    return field


fields = {name: exact(*cloud) for name, cloud in clouds.items()}
a_0 = jax.random.normal(jax.random.key(1), (1000, 2))
obs = jnp.zeros((1000, 1))
plotting.flow_paths(
    {
        f"{name}, m = {m}": integrate_path(fields[name], obs, a_0, m)
        for name, m in (("straight", 64), ("cosine", 64), ("cosine", 2))
    },
    mu_1 + sigma_1 * a_0,
)

# %% [markdown]
# With 64 steps of Euler's method both fields end at the data, on different paths. With two steps the
# cosine field leads past the data.
#
# If `cosine_path` is right, the average of *your* velocities over all pairs whose paths cross at a point
# is the cosine field there. Positions and velocities are jointly Gaussian here, so this average is a
# linear function of $a_t$, and a least-squares fit finds it:

# %%
if exercises.cosine_path(cosine_path):
    cloud = mu_1 + sigma_1 * jax.random.normal(jax.random.key(2), (20_000, 2))
    start = jax.random.normal(jax.random.key(3), cloud.shape)
    for t in (0.1, 0.5, 0.9):
        column = jnp.full((len(cloud), 1), t)
        a_t, v = cosine_path(start, cloud, column)
        inputs = np.column_stack([a_t, jnp.ones(len(a_t))])
        fitted = inputs @ np.linalg.lstsq(inputs, np.asarray(v))[0]
        gap = np.linalg.norm(fitted - fields["cosine"](None, a_t, column), axis=1).mean()
        size = np.linalg.norm(v, axis=1).mean()
        print(f"t = {t}: mean gap {gap:.3f}; a single pair's velocity has mean length {size:.2f}")

# %% [markdown]
# ### Exercise A1.2 · Heun's method · ★★☆ · 60 min · 2 points
# Euler's step keeps the velocity at its start, while the field turns. Heun's method makes Euler's step
# as a *try*, evaluates the velocity at its end, and then makes the step, from its start, with the mean of
# the two:
#
# $$ v_1 = v(a_t, t), \qquad v_2 = v(a_t + h v_1, t + h), \qquad
#    a_{t+h} = a_t + \tfrac{h}{2} (v_1 + v_2) . $$
#
# `heun(field, obs, noise, steps)` carries `noise`, `(batch, action)`, from $t = 0$ to $t = 1$ in equal
# steps of $h = 1/\text{steps}$ and returns the result. `field(obs, a_t, t)` takes $t$ as a column
# `(batch, 1)`.
#
# <details><summary>Hint 1</summary>
#
# Begin with Euler's method from lesson 1. At which point and at which time does it evaluate the field?
#
# <details><summary>Hint 2</summary>
#
# The try is discarded. Does the step start from `a` or from the try?
#
# <details><summary>Hint 3</summary>
#
# A column of the number $x$ is `x * column`, with `column` as in the blank.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-A1.2"]
def heun(field, obs, noise, steps):
    a, h = noise, 1 / steps
    column = jnp.ones((len(noise), 1))
    for i in range(steps):
        t = i * h
        ...
        a = a + ...
    return a


# %% tags=["check-A1.2"]
exercises.heun(heun)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def heun(field, obs, noise, steps):
#     a, h = noise, 1 / steps
#     column = jnp.ones((len(noise), 1))
#     for i in range(steps):
#         t = i * h
#         v1 = field(obs, a, t * column)
#         v2 = field(obs, a + h * v1, (t + h) * column)
#         a = a + h * (v1 + v2) / 2
#     return a
# ```
#
# </details>

# %% [markdown]
# The cost of sampling is counted in evaluations of the network, and Heun's step needs two.
#
# **Predict, then run.** A method is of order $p$ if its error falls like $1/\text{steps}^p$: on
# logarithmic axes, a line of slope $-p$. Which of the two methods has the smaller error at equal cost,
# with 2 evaluations? With 64? And which path is easier to follow?
#
# > *my prediction:*


# %%
def error(samples):
    """The mean distance to the ends of the exact flow."""
    return float(jnp.linalg.norm(samples - (mu_1 + sigma_1 * a_0), axis=1).mean())


if exercises.heun(heun):
    steps = np.array([1, 2, 4, 8, 16, 32])
    display(
        pictures.orders_of_convergence(
            {
                f"{name} path": {
                    "Euler": (2 * steps, [error(integrate(field, obs, a_0, 2 * m)) for m in steps]),
                    "Heun": (2 * steps, [error(heun(field, obs, a_0, m)) for m in steps]),
                }
                for name, field in fields.items()
            }
        )
    )

# %% [markdown]
# <details><summary>What the picture shows</summary>
#
# At the right the slopes of the lines are close to the orders, -1 and -2; the legend has them. An order
# is a statement about small steps, and a higher one pays where errors must be small. With 2 evaluations
# Heun's method gains next to nothing on the straight path (0.25 against 0.27) and loses on the cosine path (0.91
# against 0.32). Both methods then have errors nearly as large as the cloud ($\sigma_1 = 0.3$), or larger. Here
# shortcuts help. With 64 it has a ninth of Euler's error on the cosine path, and less than a twentieth on the
# straight one. Euler finds the cosine path easier, and Heun the straight one.
#
# </details>
#
# ## 3. Must the two jumps be halves?
#
# Lesson 2 replaced two equal jumps by one, so that all jumps are 1, 1/2, 1/4, ... Three steps of 1/3 are
# not among them. But the parts need not be equal. Let a jump of $h_1$ be followed by one of $h_2$:
#
# $$ a_{t+h_1} = a_t + h_1 v_1, \qquad a_{t + h_1 + h_2} = a_{t + h_1} + h_2 v_2 . $$
#
# One jump of $h_1 + h_2$ should land at the same point. For the Gaussian cloud above and the cosine path,
# a perfect shortcut is known, which does so exactly.
#
# **Predict, then run.** The first part is short, the second one three times as long. Will the velocity
# of the large jump be nearer to $v_1$, nearer to $v_2$, or halfway between them?
#
# > *my prediction:*

# %%
mean, std = clouds["cosine"]


def perfect(obs, a_t, t, h):
    landed = mean(t + h) + std(t + h) / std(t) * (a_t - mean(t))
    return (landed - a_t) / h


pictures.unequal_jumps(perfect, jnp.array([[-1.1, 1.7]]), t=0.0, h1=0.25, h2=0.75)

# %% [markdown]
# On the left are the displacements: the black arrow is the sum of the other two. On the right are the
# velocities, each a displacement divided by its time. The velocity of the large jump lies on the line
# between the other two, and not in the middle.
#
# ### Exercise A1.3 · Self-consistency with unequal parts · ★★☆ · 60 min · 3 points
# `target(target_shortcut, obs, a_t, t, h1, h2)` returns the velocity of a jump of $h_1 + h_2$ from $a_t$
# that lands where a jump of $h_1$ and another one of $h_2$ land. `t`, `h1` and `h2` are columns
# `(batch, 1)`, and may differ from row to row. It is a target: no gradient may flow through it.
#
# <details><summary>Hint 1</summary>
#
# Write down where the large jump lands, and where the two parts land. Set them equal, and solve for the
# velocity.
#
# <details><summary>Hint 2</summary>
#
# For $h_1 = h_2$ the result must be lesson 2's target. And if $h_1$ is tiny?
#
# <details><summary>Hint 3</summary>
#
# The step size of each part is its own length, and the second part starts where and when the first ends.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-A1.3"]
def target(target_shortcut, obs, a_t, t, h1, h2):
    v1 = target_shortcut(obs, a_t, t, h1)
    v2 = ...
    return ...


# %% tags=["check-A1.3"]
exercises.target(target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def target(target_shortcut, obs, a_t, t, h1, h2):
#     v1 = target_shortcut(obs, a_t, t, h1)
#     v2 = target_shortcut(obs, a_t + h1 * v1, t + h1, h2)
#     return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))
# ```
#
# </details>
#
# A perfect shortcut fulfils the condition for every pair of lengths. The velocity alone does not:


# %%
def velocity(obs, a_t, t, h):
    """The cosine field as a shortcut that ignores its step size."""
    return fields["cosine"](obs, a_t, t)


if exercises.target(target):
    column = jnp.ones((1000, 1))
    for name, jump in {"perfect shortcut": perfect, "velocity": velocity}.items():
        wanted = target(jump, obs, a_0, 0 * column, 0.25 * column, 0.5 * column)
        gap = jnp.linalg.norm(jump(obs, a_0, 0 * column, 0.75 * column) - wanted, axis=1).mean()
        print(f"{name}: mean gap {gap:.4f}")

# %% [markdown]
# ## 4. Does it work on data that you have not seen?
#
# Now a network learns its shortcuts from unknown data. `shortcut_training.unseen(seed)` draws a random
# distribution: the centres of its clouds, their shapes, and their probabilities. The seeds below are
# public. The grader's are not.

# %%
seeds = [0, 1, 2]
plotting.samples_2d({f"seed {seed}": shortcut_training.unseen(seed) for seed in seeds})

# %% [markdown]
# Samples are drawn in $m = 1$, 2 or 3 steps, with $h = 1/m$. Let $M = 12$, so that the jumps 1, 1/2 and
# 1/3 are all multiples of $1/M$.
#
# `shortcut_training.train(loss, seeds)` trains a shortcut for each seed, as in lesson 2: Adam, a decaying
# learning rate, and a moving average of the parameters for `target_shortcut`. Your part is
# `loss(shortcut, target_shortcut, obs, actions, key)`, which gets a batch of data and returns a scalar.
# Flow matching alone is such a loss; it does not use `target_shortcut`.
#
# **Predict, then run.** Where does flow matching alone put its samples in one step? In three?
#
# > *my prediction:*


# %%
def flow_alone(shortcut, target_shortcut, obs, actions, key):
    finest = at_step_size(shortcut, 1 / 12)
    return flow_matching_loss(finest, obs, actions, key, times=grid_times(12))[0]


def samples(params, seed, steps=(1, 2, 3), count=1000):
    """The data of a seed, and samples of its shortcut."""
    of_seed = jax.tree.map(lambda leaf: leaf[seeds.index(seed)], params)
    shortcut = partial(shortcut_training.NETWORK.apply, of_seed)
    start, empty = jax.random.normal(jax.random.key(4), (count, 2)), jnp.zeros((count, 1))
    drawn = {f"m = {m}": integrate(at_step_size(shortcut, 1 / m), empty, start, m) for m in steps}
    data = shortcut_training.unseen(seed, count)
    return plotting.samples_2d({f"data, seed {seed}": data} | drawn)


flow_params = shortcut_training.train(flow_alone, seeds)
samples(flow_params, seed=0)

# %%
for seed, row in zip(seeds, shortcut_training.distances(flow_params, seeds), strict=True):
    by_steps = ", ".join(f"{d:.3f} (m = {m})" for m, d in zip((1, 2, 3), row, strict=True))
    print(f"seed {seed}: energy distance {by_steps}; mean {row.mean():.3f}")

# %% [markdown]
# In one step the samples smear over the middle, where hardly any data are: 0.36 on average over the seeds. Two and
# three steps bring them out to the clouds and to the gaps between them, 0.21 and 0.20. This training used the step
# size $h = 1/12$ alone, so nothing has trained the network at other step sizes. The last number of each line, the
# mean over the three $m$, is the measure of your loss.
#
# ### Exercise A1.4 · A shortcut for three steps · ★★★ · 180 min · 5 points
# Write `loss(shortcut, target_shortcut, obs, actions, key)`. It is the sum of two mean squares, as in
# lesson 2, with weight 1 each:
#
# - flow matching at $h = 1/M$;
# - self-consistency with unequal parts. For each row draw a jump of $k/M$ with $k = 2, \dots, M$, a
#   first part of $j/M$ with $j = 1, \dots, k - 1$ (the second part is the rest), and a start $t$ on the
#   grid of $1/M$, such that the jump ends at $t = 1$ or before.
#
# As before, $a_t$ lies on the straight path between the data and fresh noise. You may call your `target`.
# Evaluate the shortcuts at multiples of $1/M$ only, and at no jump that leads past $t = 1$.
#
# **The check.** First your loss is compared with the assignment's, on average over many batches, for fields
# that make every part of it matter: some wrong losses train as well as the right one. Then it trains three
# shortcuts, each on an unseen distribution, and their mean energy distance is compared with a
# **goal of 0.11** (all points). A mean whose 95% interval lies below the **baseline of 0.25**, about the distance of
# flow matching alone, earns half of the points. The cell before the check makes the comparison alone, in
# seconds: use it first.
#
# <details><summary>Hint 1</summary>
#
# There are five draws: those of flow matching, noise, $k$, $j$ and $t$. Each needs a key of its own.
#
# <details><summary>Hint 2</summary>
#
# `jax.random.randint(key, shape, low, high)` never draws `high` itself, and `low` and `high` may be
# arrays. So one call draws $j$ for all rows, though its range differs from row to row.
#
# <details><summary>Hint 3</summary>
#
# A jump of $k/M$ may start at the first $M - k + 1$ of the times $0, 1/M, 2/M, \dots$
#
# <details><summary>Hint 4</summary>
#
# If your loss trains, and misses the goal, look at one batch. Are $k$, $j$ and $t$ columns, and do their
# histograms look right? Does the learning shortcut jump by $k/M$, and does `target_shortcut` make the
# parts?
#
# </details>
# </details>
# </details>
# </details>

# %% tags=["exercise-A1.4"]
M = 12


def loss(shortcut, target_shortcut, obs, actions, key):
    flow_key, consistency_key = jax.random.split(key)
    flow, _ = flow_matching_loss(at_step_size(shortcut, 1 / M), obs, actions, flow_key)
    consistency = ...
    return flow + consistency


# %%
exercises.ready(loss)

# %% tags=["check-A1.4"]
exercises.loss(loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# M = 12
#
#
# def loss(shortcut, target_shortcut, obs, actions, key):
#     flow_key, consistency_key = jax.random.split(key)
#     flow, _ = flow_matching_loss(at_step_size(shortcut, 1 / M), obs, actions, flow_key)
#     noise_key, k_key, j_key, start_key = jax.random.split(consistency_key, 4)
#     column = len(actions), 1
#     k = jax.random.randint(k_key, column, 2, M + 1)
#     j = jax.random.randint(j_key, column, 1, k)
#     t = jax.random.randint(start_key, column, 0, M - k + 1) / M
#     a_t = (1 - t) * jax.random.normal(noise_key, actions.shape) + t * actions
#     wanted = target(target_shortcut, obs, a_t, t, j / M, (k - j) / M)
#     consistency = jnp.mean((shortcut(obs, a_t, t, k / M) - wanted) ** 2)
#     return flow + consistency
# ```
#
# </details>
#
# Here are samples of your shortcut on the first public seed. Where are samples that no data are near?

# %%
if exercises.ready(loss):
    params = shortcut_training.train(loss, seeds)
    display(samples(params, seed=0))

# %% [markdown]
# Were unequal parts needed? Lesson 2's loss with $M = 8$ trains the jumps 1, 1/2, 1/4 and 1/8, and never
# a jump of 1/3.
#
# **Predict, then run.** At which $m$ will yours have the smaller distance? Is lesson 2's shortcut bad at
# $m = 3$?
#
# > *my prediction:*

# %%
if exercises.ready(loss):

    def lesson_2(shortcut, target_shortcut, obs, actions, key):
        flow_key, consistency_key = jax.random.split(key)
        flow, _ = flow_matching_loss(at_step_size(shortcut, 1 / 8), obs, actions, flow_key)
        consistency, _ = self_consistency_loss(
            shortcut, target_shortcut, obs, actions, consistency_key, denoise_steps=8
        )
        return flow + consistency

    lesson_params = shortcut_training.train(lesson_2, seeds)
    steps = (1, 2, 3, 4, 6, 8, 12)
    trained = {"flow alone": flow_params, "yours": params, "lesson 2, M = 8": lesson_params}
    distances = {n: shortcut_training.distances(p, seeds, steps) for n, p in trained.items()}
    display(plotting.distance_curves(distances, steps))

# %% [markdown]
# <details><summary>What the picture shows</summary>
#
# At $m = 3$ there is not much of a difference. The network is fed $\log_2(1/h)$, and lesson 2's loss trains
# it at the levels 1 and 2, between which it interpolates to $\log_2 3$. Where yours has the smaller
# distance, part of the reason is a finer $M$. So unequal parts free $M$ and $m$ from the powers of two, and
# they train the network where it would otherwise have to interpolate. Only a measurement can tell how well
# it interpolates, and with three seeds the intervals overlap nearly everywhere.
#
# </details>
#
# **Things to try**, for the curious. None of them is graded.
#
# - Put lesson 2's unweighted mean into `target` and train again. Is the shortcut worse? (Run the check of
#   A1.3, too.)
# - Always split off the smallest part, $j = 1$. Which $m$ suffers, and why?
# - Do both at once.
# - Train on cosine paths, with your `cosine_path` in place of the straight one, in both terms.
#
# <details><summary>About the unweighted mean</summary>
#
# It surprised us: in our runs, five times three seeds, it was not worse. The difference between the right
# mean and the unweighted one is $(h_1 - h_2)(v_1 - v_2) / (2 (h_1 + h_2))$. Exchanging the lengths, which is
# equally likely, changes the sign of the first factor, and hardly changes the second one if the velocity
# changes evenly. So most of the error cancels in the average that the network learns. With $j = 1$ always,
# nothing cancels. A measurement can miss a wrong formula, so A1.3 has a
# check of its own, and A1.4 compares your loss with the right one before it trains.
#
# </details>
#
# ## Handing in
#
# Save this notebook, and run the cell below. It checks all exercises, and writes the file to hand in.
#
# It has 12 points: A1.1 and A1.2 are worth 2 each, A1.3
# is worth 3, and A1.4 is worth 5. The grader runs the same checks on other cases: the seeds of the checks
# above are public, the grader's are not. It runs the imports, your answers, and cells that you have changed
# or added, and none of the other cells. So an answer may use the imports and your earlier answers, and
# nothing else in the notebook.
#
# A1.1 to A1.3 have a right answer, which earns all points; any other earns none. A1.4 is *measured*: three
# unseen distributions, three shortcuts, and a 95% interval (Student's) for the mean. A mean at the goal or
# below it earns 5 points; otherwise an interval that lies below the baseline earns 2.5. One good shortcut
# among three proves nothing, hence the interval.

# %% tags=["hand-in"]
from sorl_edu.course import hand_in

hand_in.pack("A1_shortcut_models")

# %% [markdown]
# ## Further reading
#
# - Albergo and Vanden-Eijnden, *Building Normalizing Flows with Stochastic Interpolants*, 2023,
#   [arXiv 2209.15571](https://arxiv.org/abs/2209.15571): paths between noise and data; the trigonometric one
#   is that of A1.1
# - Song et al., *Score-Based Generative Modeling through Stochastic Differential Equations*, 2021,
#   [arXiv 2011.13456](https://arxiv.org/abs/2011.13456): paths that keep the variance, and paths that don't
# - Karras et al., *Elucidating the Design Space of Diffusion-Based Generative Models*, 2022,
#   [arXiv 2206.00364](https://arxiv.org/abs/2206.00364): Heun's method for sampling, at equal cost
# - Frans et al., *One Step Diffusion via Shortcut Models*, 2024,
#   [arXiv 2410.12557](https://arxiv.org/abs/2410.12557): self-consistency with halves
# - Boffi et al., *Flow Map Matching*, 2024, [arXiv 2406.07507](https://arxiv.org/abs/2406.07507): jumps between
#   any two times
