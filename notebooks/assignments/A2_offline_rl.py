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
# # Assignment 2. Offline TD learning and the SORL update
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A2_offline_rl.ipynb)
#
# **You will learn**
#
# - to lean against overestimation, and to say by how much;
# - to learn from the value of the policy that will be *run*, best-of-N and all;
# - to put your own function into an agent, and train it;
# - to say of two agents which is better, and how sure you are.
#
# **You should know** lessons 3, 4 and 5.
#
# **Time** about 20 s to run on 2 CPU cores, 6 hours to do.

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
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from sorl_edu import plotting
from sorl_edu.agents import SORL
from sorl_edu.course import shipped
from sorl_edu.course.exercises import assignment2 as exercises
from sorl_edu.temporal_difference import steps_column

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# ## Two policies
#
# SORL trains one policy and runs another. Its TD target asks what one sample of the policy is worth,
#
# $$ y = r + \gamma^k\, \text{mask} \cdot Q'(o', a', m), \qquad a' \sim \pi(\cdot \mid o', m), $$
#
# and at test time the critic chooses the best of N samples. In this assignment the critic learns the value
# of what is run: best-of-N goes into the target. You write the target, put it into the agent, train it on
# PointMaze, and find out whether that was a good idea.
#
# A maximum over candidates has a price. The critic's errors are its own: among N candidates the one that is
# *overrated* most is likely to win, and the target then learns from it.
#
# **Predict, then run.** A critic whose errors have a deviation of 1 rates N actions that are all worth 0.
# What does it promise of the best of 16? And two such critics, of which the smaller value counts?

# %%
candidates = 2 ** np.arange(7)
errors = np.random.default_rng(0).normal(size=(2, 20_000, candidates[-1]))  # of two critics
promises = {
    "one critic": errors[0],
    "mean of two": errors.mean(0),
    "mean less 0.5 deviations": errors.mean(0) - 0.5 * errors.std(0),
    "mean less 1 deviation": errors.mean(0) - errors.std(0),
}
figure = Figure(figsize=(6, 3.2), layout="constrained")
axes = figure.subplots()
for name, q in promises.items():
    axes.plot(candidates, [q[:, :n].max(1).mean() for n in candidates], "o-", label=name)
axes.axhline(0, color="0.6", linestyle=":")
axes.set(xscale="log", xlabel="candidates N", ylabel="promised value of the best (truth: 0)")
axes.set_xticks(candidates, candidates)
axes.legend()
figure

# %% [markdown]
# The more candidates, the larger the promise, with nothing behind it. Pessimism lowers the curve, and doesn't
# make it less steep: it can pay for a few candidates, not for any number of them.
#
# ### Exercise A2.1 · Pessimism by degrees · ★☆☆ · 20 min · 2 points
#
# Given the values `q` of E critics for some actions, of shape (E, ...), return the mean over the critics less
# `kappa` of their standard deviations (that divides by E), of shape (...).
#
# <details><summary>Hint 1</summary>
#
# The critics are axis 0, and whatever comes after it stays.
#
# </details>


# %% tags=["exercise-A2.1"]
def pessimistic(q, kappa):
    return ...


# %% tags=["check-A2.1"]
exercises.pessimistic(pessimistic)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def pessimistic(q, kappa):
#     return q.mean(0) - kappa * q.std(0)
# ```
#
# </details>
#
# What does a real critic's disagreement look like? Lesson 4's agent has two critics; here is where in the
# maze they differ, about the action that the policy takes there.

# %%
agent, state, info = shipped.agent("sorl")
geometry = plotting.maze_geometry(info.environment)
grid, free = geometry.points(per_cell=8)
inside = jnp.asarray(grid[free])  # (B, 2), metres
action = agent.act(state, inside, jax.random.key(0), steps=4, candidates=1)
values = agent.critic(state)(inside, action, steps_column(4, len(inside)))  # (2, B)
figure = Figure(figsize=(9, 3.6), layout="constrained")
for axes, (name, shown) in zip(
    figure.subplots(1, 2),
    {"mean of the critics": values.mean(0), "their deviation": values.std(0)}.items(),
    strict=True,
):
    plotting.draw_maze(axes, geometry)
    dots = axes.scatter(*inside.T, c=shown, s=8, cmap="viridis")
    axes.set_title(name)
    figure.colorbar(dots, ax=axes)
figure

# %% [markdown]
# ## A target for best-of-N
#
# ### Exercise A2.2 · What the chosen action is worth · ★★☆ · 90 min · 4 points
#
# You get `critic(obs, action, m)`, which returns (E, rows) for rows of observations, actions and steps;
# a `batch` of transitions (`rewards`, `masks`, `horizons`, `next_observations`, as in lesson 3);
# `candidates` (N, B, A), which are N actions for each of the B next observations; `m`, a (B, 1) column;
# `discount` and `kappa`. Return
#
# $$ y = r + \gamma^k\, \text{mask} \cdot \max_n \big(\operatorname{mean}_i - \kappa \operatorname{std}_i\big)
#    Q'_i(o', a^{(n)}, m), $$
#
# of shape (B,), without a gradient. The published code of SORL pairs candidates with wrong observations at
# one place; the check tries whether yours does.
#
# <details><summary>Hint 1</summary>
#
# The critic knows rows only. Make N B rows out of the candidates: `candidates.reshape(n * b, -1)`. In which
# order are they, and so in which order must the observations be repeated?
#
# <details><summary>Hint 2</summary>
#
# `jnp.tile(x, (n, 1))` repeats a whole block; `jnp.repeat(x, n, axis=0)` repeats each row. Afterwards
# `pessimistic(q, kappa).reshape(n, b)` undoes it.
#
# <details><summary>Hint 3</summary>
#
# $k$ is `batch.horizons`, one for each row. And `jax.lax.stop_gradient`.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-A2.2"]
def best_of_n_target(critic, batch, candidates, m, discount, kappa):
    n, b, _ = candidates.shape
    ...
    return ...


# %% tags=["check-A2.2"]
exercises.best_of_n_target(best_of_n_target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def best_of_n_target(critic, batch, candidates, m, discount, kappa):
#     n, b, _ = candidates.shape
#     obs = jnp.tile(batch.next_observations, (n, 1))
#     q = critic(obs, candidates.reshape(n * b, -1), jnp.tile(m, (n, 1)))
#     value = pessimistic(q, kappa).reshape(n, b).max(0)
#     y = batch.rewards + discount**batch.horizons * batch.masks * value
#     return jax.lax.stop_gradient(y)
# ```
#
# </details>
#
# ## An agent of your own
#
# `SORL` is a frozen dataclass, and its methods can be replaced one by one in a subclass
# (`sorl_edu/agents/sorl.py`, from "Inside" on). Yours replaces `td_target`, which gets the whole training
# `state`, a `batch` whose observations are encoded, a random key, and the number of inference steps that was
# drawn for this update. Everything else, policy loss and all, stays the library's.
#
# ### Exercise A2.3 · Train it · ★★★ · 150 min · 6 points
#
# Complete the class with your target. Useful methods of `self`:
#
# - `self.sample(state, state.field, obs, key, steps)` draws one action for each of the (encoded)
#   observations;
# - `self.critic_with(state.target_critic)` is $Q'$ as a function, to hand to your `best_of_n_target`;
# - `self.discount`, and the two fields of the class.
#
# Choose the two numbers, too. The check trains your agent with three seeds at once on the shipped data, for
# 6000 updates (`exercises.hyperparameters()` has the rest), and lets each one run from 20 starts at 4 steps and
# N = 8. How this earns points: the mean success over seeds against a goal (all points), or its 95% interval
# against a baseline (half).
#
# <details><summary>Hint 1</summary>
#
# Candidates need different noise, so each needs a key of its own: `jax.random.split(key, n)`, and `jax.vmap`
# over the keys gives (N, B, A).
#
# <details><summary>Hint 2</summary>
#
# `steps` is a number of Python; the critic wants a column, `steps_column(steps, len(batch.rewards))`.
#
# </details>
# </details>


# %% tags=["exercise-A2.3"]
@dataclass(frozen=True)
class BestOfNSORL(SORL):
    backup_candidates: int = ...  # N in the target
    kappa: float = ...

    def td_target(self, state, batch, key, *, steps):
        ...
        return ...


# %% tags=["check-A2.3"]
exercises.learned(BestOfNSORL)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# @dataclass(frozen=True)
# class BestOfNSORL(SORL):
#     backup_candidates: int = 4  # N in the target
#     kappa: float = 0.5
#
#     def td_target(self, state, batch, key, *, steps):
#         draw = lambda k: self.sample(state, state.field, batch.next_observations, k, steps)
#         candidates = jax.vmap(draw)(jax.random.split(key, self.backup_candidates))
#         m = steps_column(steps, len(batch.rewards))
#         critic = self.critic_with(state.target_critic)
#         return best_of_n_target(critic, batch, candidates, m, self.discount, self.kappa)
# ```
#
# </details>
#
# ## Is it any better?
#
# Three numbers are a small sample. Was your agent better than SORL with its own target, or luckier? Lesson
# 5's agent was trained with eight seeds, and each of them ran from the same 20 starts, at many settings. Two
# of these, at 8 steps: with one candidate, and with the best of 32.
#
# **Predict, then run.** Every pair of dots is one training. If you had trained a single seed, and drawn your
# conclusion from its 20 episodes, how often would it have been another one?


# %%
def success(steps, candidates):
    """Success of lesson 5's agent by training seed and start, (S, E)."""
    episodes = shipped.episodes("sorl")
    chosen = episodes[(episodes.steps == steps) & (episodes.candidates == candidates)]
    return chosen.pivot(index="training_seed", columns="episode", values="success").to_numpy()


best_of_32, single = success(8, 32), success(8, 1)
figure = Figure(figsize=(6, 2.8), layout="constrained")
axes = figure.subplots()
for seed, pair in enumerate(zip(single.mean(1), best_of_32.mean(1), strict=True)):
    axes.plot([seed, seed], pair, color="0.7")
axes.plot(single.mean(1), "o", label="N = 1")
axes.plot(best_of_32.mean(1), "s", fillstyle="none", markersize=9, label="N = 32")
axes.set(xlabel="training seed", ylabel="success in 20 episodes", ylim=(-0.05, 1.05))
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure

# %% [markdown]
# ### Exercise A2.4 · How sure are you? · ★★☆ · 60 min · 3 points
#
# Given `ours` and `theirs`, success by training seed and start, each (S, E), return three numbers: the mean
# of the paired differences, and the lower and the upper end of its 95% interval over *training seeds*
# (Student's).
#
# <details><summary>Hint 1</summary>
#
# What is independent of what? Episodes of one seed share an agent. First make one number of each seed.
#
# <details><summary>Hint 2</summary>
#
# With values $d_1 \dots d_S$: mean $\pm\, t_{0.975,\, S-1}\; \operatorname{std}(d) / \sqrt{S}$, where the
# deviation is a sample's (`ddof=1`) and `stats.t.ppf(0.975, S - 1)` is Student's factor.
#
# </details>
# </details>


# %% tags=["exercise-A2.4"]
def difference(ours, theirs):
    ...
    return ...


# %% tags=["check-A2.4"]
exercises.difference(difference)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def difference(ours, theirs):
#     d = (ours - theirs).mean(axis=1)
#     half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
#     return d.mean(), d.mean() - half, d.mean() + half
# ```
#
# </details>
#
# Yours, on the two settings above:

# %%
if exercises.difference(difference):
    mean, low, high = difference(best_of_32, single)
    print(f"N = 32 less N = 1: {mean:+.2f}, 95% interval [{low:+.2f}, {high:+.2f}] over 8 seeds")

# %% [markdown]
# ## Handing in
#
# Hand in this notebook. The checks above are the grader's, too; it makes other cases, trains with other
# seeds, and runs what your agent has learned in a maze of its own. An answer may use what the cell of imports
# imports and your earlier answers, and nothing that the other cells compute.
#
# A trained agent earns all points of A2.3 if its mean success over three seeds reaches the goal, and half if
# it does not, but its 95% interval lies above the baseline.
#
# **If you want more.** In this maze SORL's own target reaches the goal, too: `exercises.learned(SORL)` gives a
# success of 1 with each of the three public seeds. So was it worth the trouble? Success that is 1 for both
# can't tell. Compare after 3000 updates, or on fewer data, or by the length of the way; train N = 1 and 4 with
# kappa = 0 and 0.5, five seeds each; and use your `difference`.
#
# ## Further reading
#
# - Fujimoto et al., *Addressing Function Approximation Error in Actor-Critic Methods*, 2018,
#   [arXiv 1802.09477](https://arxiv.org/abs/1802.09477): overestimation, and the minimum of two critics.
# - Ghasemipour et al., *EMaQ: Expected-Max Q-Learning Operator for Simple Yet Effective Offline and Online
#   RL*, 2020, [arXiv 2007.11091](https://arxiv.org/abs/2007.11091): the maximum over N samples in the target.
# - Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, 2021,
#   [arXiv 2108.13264](https://arxiv.org/abs/2108.13264): how many seeds, and which intervals.
