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
# # Assignment 1. Flow matching and shortcut models
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A1_shortcut_models.ipynb)
#
# **You will learn**
#
# - to derive the velocity of a path that bends, and to say what such a path is good for;
# - to integrate a field with a method of order 2, and to see its order in a measurement;
# - to make a shortcut learn from jumps of unequal lengths, and to judge it by samples.
#
# **You should know** lessons 1 and 2. There are 12 points.
#
# **Time** about 20 s to run on 2 CPU cores, 6 hours to read and do.

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
from IPython.display import display

from sorl_edu import plotting, shortcut
from sorl_edu.course.exercises import assignment1 as exercises
from sorl_edu.flow_matching import flow_matching_loss, grid_times, integrate
from sorl_edu.networks import ShortcutField
from sorl_edu.widgets import flow as pictures
from sorl_edu.widgets.flow import bind

# %% [markdown]
# An exercise has two parts: a blank, where you replace the dots, and a check, which says what it
# finds. Cells that show what you have made wait until your answer is right.
#
# ## 1. Must the path be straight?
#
# Lesson 1 led each noise sample to its data point on a straight line. Flow matching asks for less: any
# path will do that starts at the noise, ends at the data, and has a velocity. Here is another one, an
# arc of an ellipse:
#
# $$ a_t = \cos\big(\tfrac{\pi}{2} t\big)\, a_0 + \sin\big(\tfrac{\pi}{2} t\big)\, a_1 . $$
#
# The data are lesson 2's four clouds, moved out until each coordinate has standard deviation 1, like
# the noise.
#
# **Predict, then run.** Noise and data have the same spread. Half way on the straight paths, is the
# spread of the crowd larger, smaller, or the same? And on the arcs?

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
    name: of_noise[:, None, None] * noise + of_data[:, None, None] * data
    for name, (of_noise, of_data) in weights.items()
}
exercises.paths_and_spread(paths, times)

# %% [markdown]
# Noise and data are independent, so their variances add: $(1-t)^2 + t^2$ on the straight path, which
# is least half way, and $\cos^2 + \sin^2 = 1$ on the arcs. A path that keeps the variance is called
# *variance preserving*. A network's inputs then have the same size at all times, which is one reason
# why diffusion models use such paths. The price is a velocity that changes along the way, even for a
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
# Try it on one pair: at $t = 0$ the velocity must point along $a_1$ alone. (Why?) `jax.jvp` of your
# position would give you the velocity, too, and is a good way to check.
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
# ## 2. What does the average do?
#
# A field learns the average velocity of all paths through a point. For one Gaussian cloud as data,
# $a_1 \sim N(\mu, s^2 I)$, we know it in closed form, whatever the path. At time $t$ the crowd is
# Gaussian, with some mean $m(t)$ and standard deviation $\sigma(t)$, and a particle keeps its place
# in it, counted in standard deviations from the mean:
#
# $$ \frac{a_t - m(t)}{\sigma(t)} = a_0
#    \quad\Longrightarrow\quad
#    s^*(a, t) = m'(t) + \frac{\sigma'(t)}{\sigma(t)}\, \big(a - m(t)\big) . $$
#
# So we have two fields with exact solutions, one for each path. Both carry $a_0$ to $\mu + s\, a_0$.

# %%
mu, s = jnp.array([0.9, 0.6]), 0.3
clouds = {  # name: mean and standard deviation at time t
    "straight": (lambda t: t * mu, lambda t: jnp.sqrt((1 - t) ** 2 + (t * s) ** 2)),
    "cosine": (
        lambda t: jnp.sin(jnp.pi / 2 * t) * mu,
        lambda t: jnp.sqrt(jnp.cos(jnp.pi / 2 * t) ** 2 + (jnp.sin(jnp.pi / 2 * t) * s) ** 2),
    ),
}


def exact(mean, std):
    """The field whose crowd has this mean and standard deviation."""

    def field(obs, a_t, t, h):
        (m, dm), (sigma, dsigma) = (jax.jvp(f, (t,), (jnp.ones_like(t),)) for f in (mean, std))
        return dm + dsigma / sigma * (a_t - m)

    return field


fields = {name: exact(*cloud) for name, cloud in clouds.items()}
a_0 = jax.random.normal(jax.random.key(1), (1000, 2))
obs = jnp.zeros((1000, 1))
plotting.flow_paths(
    {
        f"{name}, m = {m}": integrate(fields[name], obs, a_0, m, path=True)
        for name, m in (("straight", 64), ("cosine", 64), ("cosine", 2))
    },
    mu + s * a_0,
)

# %% [markdown]
# With 64 steps of Euler's method both fields end at the data, by different ways. With two steps the
# cosine field leads past them.
#
# If `cosine_path` is right, then the average of *your* velocities, over the pairs that come through a
# point, is the cosine field there. All is jointly Gaussian here, so that this average is a linear
# function of $a_t$, and a least-squares fit finds it:

# %%
if exercises.cosine_path(cosine_path):
    cloud = mu + s * jax.random.normal(jax.random.key(2), (20_000, 2))
    start = jax.random.normal(jax.random.key(3), cloud.shape)
    for t in (0.1, 0.5, 0.9):
        column = jnp.full((len(cloud), 1), t)
        a_t, v = cosine_path(start, cloud, column)
        inputs = np.column_stack([a_t, jnp.ones(len(a_t))])
        fitted = inputs @ np.linalg.lstsq(inputs, np.asarray(v))[0]
        gap = np.linalg.norm(fitted - fields["cosine"](None, a_t, column, None), axis=1).mean()
        size = np.linalg.norm(v, axis=1).mean()
        print(f"t = {t}: mean gap {gap:.3f}, where a single pair's velocity has length {size:.2f}")

# %% [markdown]
# ### Exercise A1.2 · Heun's method · ★★☆ · 60 min · 2 points
# Euler's step goes straight on with the velocity at its start, and the field turns meanwhile. Heun's
# method takes Euler's step as a *try*, asks for the velocity where the try has led, and then makes the
# step, from its start, with the mean of the two:
#
# $$ v_1 = s(a_t, t, h), \qquad v_2 = s(a_t + h v_1, t + h, h), \qquad
#    a_{t+h} = a_t + \tfrac{h}{2} (v_1 + v_2) . $$
#
# `heun(field, obs, noise, steps)` carries `noise` `(batch, action)` from $t = 0$ to $t = 1$ in equal
# steps and returns what has become of it. `field(obs, a, t, h)` takes $t$ and $h$ as columns
# `(batch, 1)`; tell it $h = 1/\text{steps}$, both times.
#
# <details><summary>Hint 1</summary>
#
# Begin with Euler's method, from lesson 1. Where does it use the velocity, and when is it?
#
# <details><summary>Hint 2</summary>
#
# The try is thrown away. Which of `a` and the try does the step start from?
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
#         v1 = field(obs, a, t * column, h * column)
#         v2 = field(obs, a + h * v1, (t + h) * column, h * column)
#         a = a + h * (v1 + v2) / 2
#     return a
# ```
#
# </details>

# %% [markdown]
# What is paid for is not steps. A network's evaluation is the price, and Heun's step asks twice.
#
# **Predict, then run.** A method is of order $p$ if its error falls like $1/\text{steps}^p$: on
# logarithmic axes a line of slope $-p$. Which of the two is ahead at equal price, with 2 evaluations?
# With 64? And which path is easier to follow?


# %%
def error(made):
    """The mean distance to where the exact flow leads."""
    return float(jnp.linalg.norm(made - (mu + s * a_0), axis=1).mean())


if exercises.heun(heun):
    steps = np.array([1, 2, 4, 8, 16, 32])
    display(
        exercises.errors(
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
# <details><summary>What there is to see</summary>
#
# At the right the lines have nearly the slopes -1 and -2 of the two orders; the legend has them. An
# order is a promise about small steps, and a higher one pays where errors must be small. With 2
# evaluations Heun's method gains next to nothing on the straight path and loses on the cosine one, and
# whatever the method, the error is nearly as large as the cloud ($s = 0.3$), or larger. That is where
# shortcuts begin.
#
# </details>
#
# ## 3. Two jumps that are not halves
#
# Lesson 2 made one large jump of two halves, so that all jumps are 1, 1/2, 1/4, ... Three steps of 1/3
# are not among them. But nothing says that the parts must be equal. Let a jump of $h_1$ be followed by
# one of $h_2$:
#
# $$ a_{t+h_1} = a_t + h_1 v_1, \qquad a_{t + h_1 + h_2} = a_{t + h_1} + h_2 v_2 . $$
#
# One jump of $h_1 + h_2$ should land there, too. Here is a perfect shortcut that does so: for the
# Gaussian cloud above, and the cosine path.
#
# **Predict, then run.** The first part is short, the second one three times as long. Will the velocity
# of the large jump be nearer to $v_1$, nearer to $v_2$, or half way between them?

# %%
mean, std = clouds["cosine"]


def perfect(obs, a_t, t, h):
    landed = mean(t + h) + std(t + h) / std(t) * (a_t - mean(t))
    return (landed - a_t) / h


exercises.unequal_jumps(perfect, jnp.array([[-1.1, 1.7]]), t=0.0, h1=0.25, h2=0.75)

# %% [markdown]
# On the left are the ways: the red arrow is the sum of the other two. On the right are the velocities,
# each a way divided by its time. The large jump's lies on the line between the other two, and not in the
# middle.
#
# ### Exercise A1.3 · Self-consistency with unequal parts · ★★☆ · 60 min · 3 points
# `target(target_field, obs, a_t, t, h1, h2)` returns the velocity that a jump of $h_1 + h_2$ from $a_t$
# should have, by a jump of $h_1$ and then one of $h_2$. `t`, `h1` and `h2` are columns `(batch, 1)`, and
# may differ from row to row. It is a target: no gradient may flow through it.
#
# <details><summary>Hint 1</summary>
#
# Write down where the large jump lands, and where the two parts do. Set them equal, and solve for the
# velocity.
#
# <details><summary>Hint 2</summary>
#
# For $h_1 = h_2$ it must be lesson 2's target. And if $h_1$ is tiny?
#
# <details><summary>Hint 3</summary>
#
# Each part is told its own length, and the second starts where and when the first ends.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-A1.3"]
def target(target_field, obs, a_t, t, h1, h2):
    v1 = target_field(obs, a_t, t, h1)
    v2 = ...
    return ...


# %% tags=["check-A1.3"]
exercises.target(target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def target(target_field, obs, a_t, t, h1, h2):
#     v1 = target_field(obs, a_t, t, h1)
#     v2 = target_field(obs, a_t + h1 * v1, t + h1, h2)
#     return jax.lax.stop_gradient((h1 * v1 + h2 * v2) / (h1 + h2))
# ```
#
# </details>
#
# A perfect shortcut fulfils the condition for every pair of lengths, and the velocity alone does not:

# %%
if exercises.target(target):
    column = jnp.ones((1000, 1))
    for name, field in {"perfect shortcut": perfect, "velocity": fields["cosine"]}.items():
        wanted = target(field, obs, a_0, 0 * column, 0.25 * column, 0.5 * column)
        gap = jnp.linalg.norm(field(obs, a_0, 0 * column, 0.75 * column) - wanted, axis=1).mean()
        print(f"{name}: mean gap {gap:.4f}")

# %% [markdown]
# ## 4. Does it work where you have not looked?
#
# Now a network must learn its shortcuts, from data that nobody has shown you. `exercises.unseen(seed)`
# draws a distribution: where its clouds are, how they are stretched and turned, and how likely each is.
# The seeds below are public. The grader's are not.

# %%
seeds = [0, 1, 2]
plotting.samples_2d({f"seed {seed}": exercises.unseen(seed) for seed in seeds})

# %% [markdown]
# Samples will be made in $m = 1$, 2 or 3 steps, with the field told $h = 1/m$. Let $M = 12$, so that
# the jumps of 1, 1/2 and 1/3 are all multiples of $1/M$.
#
# `exercises.trained(loss, seeds)` trains a field for each seed, as in lesson 2: Adam, a decaying
# learning rate, and an EMA of the parameters for `target_field`. What you hand it is
# `loss(field, target_field, obs, actions, key)`, which gets a batch of data and returns a scalar. Flow
# matching alone is such a loss, one that leaves `target_field` where it is.
#
# **Predict, then run.** Where does flow matching alone put its samples, when they are made in one step?
# In three?


# %%
def flow_alone(field, target_field, obs, actions, key):
    return flow_matching_loss(field, obs, actions, key, step_size=1 / 12, times=grid_times(12))[0]


network = ShortcutField((64, 64, 64), action_dim=2)


def samples(params, seed, steps=(1, 2, 3), count=1000):
    """Data of a seed, and what its field makes of noise."""
    field = bind(network.apply, jax.tree.map(lambda leaf: leaf[seeds.index(seed)], params))
    start, nothing = jax.random.normal(jax.random.key(4), (count, 2)), jnp.zeros((count, 1))
    made = {f"m = {m}": integrate(field, nothing, start, m) for m in steps}
    return plotting.samples_2d({f"data, seed {seed}": exercises.unseen(seed, count)} | made)


flow_params = exercises.trained(flow_alone, seeds)
samples(flow_params, seed=0)

# %%
for seed, row in zip(seeds, exercises.distances(flow_params, seeds), strict=True):
    told = ", ".join(f"{d:.3f} (m = {m})" for m, d in zip((1, 2, 3), row, strict=True))
    print(f"seed {seed}: energy distance {told}; mean {row.mean():.3f}")

# %% [markdown]
# The last number of each line, the mean over the three $m$, is what your loss will be judged by. The
# field has been told $h = 1/12$ in training and nothing else, so what it says at other step sizes is
# nothing that it was taught.
#
# ### Exercise A1.4 · A shortcut for three steps · ★★★ · 180 min · 5 points
# Write `loss(field, target_field, obs, actions, key)`. It is the sum of two means of squares, as in
# lesson 2, with weight 1 each:
#
# - flow matching at $h = 1/M$;
# - self-consistency with unequal parts. For each row draw a jump of $k/M$ with $k = 2, \dots, M$, a
#   first part of $j/M$ with $j = 1, \dots, k - 1$ (the second has the rest), and a start $t$ on the grid
#   of $1/M$, such that the jump ends at $t = 1$ or before.
#
# As before, $a_t$ is made of the data and fresh noise, on the straight path. You may call your `target`.
# Fields may be asked for multiples of $1/M$ only, and for none that leads past $t = 1$.
#
# **How it is checked.** Your loss trains three fields, each on an unseen distribution, and the mean
# energy distance is compared with a **goal of 0.11** (all points). Half of the points go to a mean whose
# 95% interval lies below the **baseline of 0.25**, about what flow matching alone reaches. The cell
# before the check takes a second and trains nothing: use it first.
#
# <details><summary>Hint 1</summary>
#
# There are five draws: flow matching's own key, noise, $k$, $j$ and $t$. Each needs a key of its own.
#
# <details><summary>Hint 2</summary>
#
# `jax.random.randint(key, shape, low, high)` leaves `high` itself out, and `low` and `high` may be
# arrays. So $j$ can be drawn for all rows at once, though its range differs from row to row.
#
# <details><summary>Hint 3</summary>
#
# Of the starts $0, 1/M, 2/M, \dots$ a jump of $k/M$ may use the first $M - k + 1$.
#
# <details><summary>Hint 4</summary>
#
# If it can be trained, and misses the goal: look at one batch. Are all of $k$, $j$ and $i$ columns, and
# do their histograms look right? Does the learning field jump by $k/M$, and is it `target_field` that
# makes the parts?
#
# </details>
# </details>
# </details>
# </details>

# %% tags=["exercise-A1.4"]
M = 12


def loss(field, target_field, obs, actions, key):
    flow_key, consistency_key = jax.random.split(key)
    flow, _ = flow_matching_loss(field, obs, actions, flow_key, step_size=1 / M)
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
# def loss(field, target_field, obs, actions, key):
#     flow_key, consistency_key = jax.random.split(key)
#     flow, _ = flow_matching_loss(field, obs, actions, flow_key, step_size=1 / M)
#     noise_key, k_key, j_key, start_key = jax.random.split(consistency_key, 4)
#     column = len(actions), 1
#     k = jax.random.randint(k_key, column, 2, M + 1)
#     j = jax.random.randint(j_key, column, 1, k)
#     t = jax.random.randint(start_key, column, 0, M - k + 1) / M
#     a_t = (1 - t) * jax.random.normal(noise_key, actions.shape) + t * actions
#     wanted = target(target_field, obs, a_t, t, j / M, (k - j) / M)
#     consistency = jnp.mean((field(obs, a_t, t, k / M) - wanted) ** 2)
#     return flow + consistency
# ```
#
# </details>
#
# Your field on the first public seed. Where does it still put samples that it should not?

# %%
if exercises.ready(loss):
    params = exercises.trained(loss, seeds)
    display(samples(params, seed=0))

# %% [markdown]
# Were unequal parts needed? Lesson 2's loss with $M = 8$ teaches the jumps 1, 1/2, 1/4 and 1/8. A jump
# of 1/3 it never sees.
#
# **Predict, then run.** At which $m$ will yours be ahead of it? Is lesson 2's shortcut bad at $m = 3$?

# %%
if exercises.ready(loss):

    def lesson_2(field, target_field, obs, actions, key):
        flow_key, consistency_key = jax.random.split(key)
        flow, _ = flow_matching_loss(field, obs, actions, flow_key, step_size=1 / 8)
        consistency, _ = shortcut.self_consistency_loss(
            field, target_field, obs, actions, consistency_key, denoise_steps=8
        )
        return flow + consistency

    lesson_params = exercises.trained(lesson_2, seeds)
    steps = (1, 2, 3, 4, 6, 8, 12)
    curves = {"flow alone": flow_params, "yours": params, "lesson 2, M = 8": lesson_params}
    display(
        pictures.curves(
            {name: exercises.distances(p, seeds, steps) for name, p in curves.items()}, steps
        )
    )

# %% [markdown]
# <details><summary>What there is to see</summary>
#
# Not much of a difference at $m = 3$. The network is fed $\log_2(1/h)$, and between the levels 1 and 2,
# which lesson 2's loss teaches, it finds an answer for $\log_2 3$ by itself. Where yours is ahead, a finer
# $M$ has its share. So take unequal parts for what they are: they free $M$ and $m$ from the powers of two,
# and teach what a network might otherwise have to guess. Whether it guesses well is a question for a
# measurement, and of three seeds the intervals overlap nearly everywhere.
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
# You may be surprised, as we were: in our runs, five times three seeds, it was not worse. The right mean
# less the unweighted one is $(h_1 - h_2)(v_1 - v_2) / (2 (h_1 + h_2))$. Exchange the lengths, which is as
# likely, and the first factor changes its sign; the second is nearly the same if the velocity changes
# evenly. So most of the error cancels in the average that the network learns. Split off $j = 1$ always, and
# nothing cancels. A measurement can pass what a formula would not, which is why A1.3 has a check of its own.
#
# </details>
#
# ## Handing in
#
# Hand in this notebook, with your answers in it. It has 12 points: A1.1 and A1.2 are worth 2 each, A1.3
# is worth 3, and A1.4 is worth 5. The grader runs the same checks as you, on other cases: the seeds of the
# checks above are public, those of the grader are not. It runs the imports, your answers, and other cells
# that you have changed or added, and none of the cells that were here; so an answer may use the imports and
# your earlier answers, and nothing else of the notebook.
#
# A1.1 to A1.3 have a right answer, and it earns all points or none. A1.4 is *measured*: three unseen
# distributions, three fields, and a 95% interval (Student's) for the mean. A mean at the goal, or below it,
# earns 5 points; otherwise an interval that lies below the baseline earns 2.5. One good field among three
# proves nothing, which is what the interval is for.
#
# ## Further reading
#
# - Albergo and Vanden-Eijnden, *Building Normalizing Flows with Stochastic Interpolants*, 2023,
#   [arXiv 2209.15571](https://arxiv.org/abs/2209.15571): paths between noise and data; the trigonometric one
#   is A1.1
# - Song et al., *Score-Based Generative Modeling through Stochastic Differential Equations*, 2021,
#   [arXiv 2011.13456](https://arxiv.org/abs/2011.13456): paths that keep the variance, and those that don't
# - Karras et al., *Elucidating the Design Space of Diffusion-Based Generative Models*, 2022,
#   [arXiv 2206.00364](https://arxiv.org/abs/2206.00364): Heun's method for sampling, at equal price
# - Frans et al., *One Step Diffusion via Shortcut Models*, 2024,
#   [arXiv 2410.12557](https://arxiv.org/abs/2410.12557): self-consistency with halves
# - Boffi et al., *Flow Map Matching*, 2024, [arXiv 2406.07507](https://arxiv.org/abs/2406.07507): jumps between
#   any two times
