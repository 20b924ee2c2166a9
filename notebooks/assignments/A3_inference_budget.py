# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Assignment 3. The best use of an inference budget
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A3_inference_budget.ipynb)
#
# **You will learn**
#
# - to estimate the gain from more candidates without drawing them;
# - to spend a fixed budget of network evaluations where it matters;
# - to develop on some tasks for success on others;
# - to report a design: the alternatives, their costs, and how sure you are.
#
# **You should know** lessons 5 and 6.
#
# **Time** about 40 s to run on 2 CPU cores, 8 hours to do.

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
from math import comb

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd
from IPython.display import display

from sorl_edu import inference, plotting
from sorl_edu.agents.agent import propose
from sorl_edu.course import shipped
from sorl_edu.course.exercises import assignment3 as exercises
from sorl_edu.course.exercises.assignment3 import BUDGET, CANDIDATES, STEPS, play
from sorl_edu.environments.make import reset
from sorl_edu.environments.rollout import make_environments

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# ## What would more candidates gain?
#
# You have drawn K candidates and know their values. How high is the value of the best of n, on average, for
# every n up to K? Drawing new candidates many times would answer this, at a high cost. The K values that you
# have are enough.
#
# **Predict, then run.** Here are the values of 32 candidates of lesson 6's robot, at the start of three
# episodes. In which of the three would you pay for more candidates?
#
# > *my prediction:*

# %%
agent, state, info = shipped.robot("cube", 1)
(env,) = make_environments(info.environment, 1)
starts = jnp.stack([reset(env, seed) for seed in range(3)])  # (B, S)
proposal = propose(agent, state, starts, jax.random.key(0), steps=2, candidates=32)
about = (
    "Q of 32 candidates as ticks on a line for each of three episodes, minus the episode's mean."
)
figure = plotting.new_figure(6, 2.6, alt=about)
axes = figure.subplots()
for b, q in enumerate(np.asarray(proposal.q).T):
    axes.plot(q - q.mean(), np.full(len(q), b), "|", markersize=14)
axes.set(xlabel="Q of a candidate, minus the mean of all 32", ylabel="episode", yticks=range(3))
figure

# %% [markdown]
# ### Exercise A3.1 · The best of n, out of K · ★★☆ · 90 min · 3 points
#
# Given the values `q` of K candidates at B observations, (K, B), return the mean of the largest value in a
# subset, over *all* subsets of n of the K candidates, of shape (B,). `n` is an integer from 1 to K.
#
# <details><summary>Hint 1</summary>
#
# Sort the values. The largest is the largest of every subset that contains it. How many such subsets are
# there?
#
# <details><summary>Hint 2</summary>
#
# The $i$-th smallest value is the largest of a subset if the other $n - 1$ are among the $i - 1$ below it:
# $\binom{i-1}{n-1}$ subsets of $\binom{K}{n}$. `comb` from Python's `math` computes these numbers.
#
# </details>
# </details>


# %% tags=["exercise-A3.1"]
def expected_best(q, n):
    ...
    return ...


# %% tags=["check-A3.1"]
exercises.expected_best(expected_best)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def expected_best(q, n):
#     k = len(q)
#     weight = np.array([comb(i, n - 1) / comb(k, n) for i in range(k)])
#     return (jnp.sort(q, axis=0) * weight[:, None]).sum(axis=0)
# ```
#
# </details>
#
# Your function computes the whole curve from 32 candidates, without the noise of single draws. Where is it
# steep?

# %%
if exercises.expected_best(expected_best):
    numbers = (1, 2, 4, 8, 16, 32)
    curve = np.array([expected_best(proposal.q, n) for n in numbers])
    gain = {f"episode {b}": curve[:, b] - curve[0, b] for b in range(3)}
    ylabel = "expected gain in Q over one candidate"
    display(plotting.lines(gain, numbers, xlabel="candidates n", ylabel=ylabel, log_x=True))

# %% [markdown]
# ## The game
#
# A robot must put a cube where it belongs, in at most 200 actions. Before every action a *controller*, a
# function that you write, chooses the steps m and the candidates N of the action. An action costs its network
# evaluations, as in lesson 5: N m through the field and, if N > 1, N through each of the two critics.
#
# The account of an episode starts with BUDGET evaluations for each of its 200 actions. You may spend them at
# any time, except one evaluation reserved for each action to come. A choice that the account can't pay for is
# replaced by m = N = 1.

# %%
print(f"{BUDGET} evaluations per action, {200 * BUDGET} per episode. The cost of one action:")
pd.DataFrame(
    {f"N = {n}": [inference.network_evaluations(m, n) for m in STEPS] for n in CANDIDATES},
    index=[f"m = {m}" for m in STEPS],
)

# %% [markdown]
# A controller gets a `Situation` of B simultaneous episodes, and returns m and N: numbers, or arrays with one
# number for each episode. A situation has
#
# | field | |
# |---|---|
# | `t`, `limit` | the number of actions taken, and of actions allowed (200) |
# | `spare` | (B,) evaluations left to spend, beside the reserved ones |
# | `q` | (B,) value of the last action; NaN if the critic did not evaluate it |
# | `spread` | (B,) standard deviation of the last candidates' values; NaN likewise |
#
# The simplest controllers always make the same choice. The account can pay for each of these three until the
# end; eight episodes are too few to tell them apart:

# %%
for m, n in ((1, 1), (2, 1), (4, 1)):
    table, played = play(lambda situation, m=m, n=n: (m, n), task=1, seed=0)
    cost = table.evaluations.sum() / table.length.sum()
    print(
        f"m = {m}, N = {n}: success {table.success.mean():.2f}, {cost:.1f} evaluations per action"
    )

# %% [markdown]
# `play` also returns m and N of every action, (time, B, 2). The next controller draws m and N at random, for
# every action and every episode. When is its account empty?

# %%
rng = np.random.default_rng(0)


def at_random(situation):
    b = len(situation.spare)
    return rng.choice(STEPS, b), rng.choice(CANDIDATES, b)


table, played = play(at_random, task=1, seed=0)
cost = exercises.costs(played)  # (time, B)
about = "Cost of each action against time, a line for each episode: at random until the account is empty."
figure = plotting.new_figure(7, 2.6, alt=about)
axes = figure.subplots()
axes.step(np.arange(len(cost)), cost, alpha=0.6)
axes.set(xlabel="action t", ylabel="network evaluations", yscale="log")
print(f"success {table.success.mean():.2f} in {len(table)} episodes")
figure

# %% [markdown]
# ### Exercise A3.2 · Your controller · ★★★ · 300 min · 6 points
#
# Develop it with `play` on tasks 1 and 2. The check plays five sets of starts on these two; the grader plays
# other starts on tasks 3, 4 and 5, which have other places for the cube and agents of their own. So don't fit
# details that only hold on two tasks.
#
# A mean success over the sets of starts that reaches the goal earns all points; a 95% interval above the
# baseline earns half of them. The leaderboard has no limit.
#
# Rules: your function decides by the situation alone. A controller that plays games itself, to look into the
# future, is excluded from the leaderboard.
#
# <details><summary>Hint 1</summary>
#
# When does a successful episode end? What are the evaluations worth that are left over then?
#
# <details><summary>Hint 2</summary>
#
# In lesson 6, which was better at m = 2 or 4, one candidate or several? What does the *second* candidate
# cost, and what does it gain?
#
# </details>
# </details>


# %% tags=["exercise-A3.2"]
def controller(situation):
    m, n = ..., ...
    return m, n


# %% tags=["check-A3.2"]
exercises.spend(controller)

# %% [markdown]
# <details><summary>Solution</summary>
#
# This simple controller spends from the first action on, until the account is empty. It ignores the
# situation; can you do better with `spare`, `q` and `spread`?
#
# ```python
# def controller(situation):
#     m, n = 2, 2
#     return m, n
# ```
#
# </details>
#
# ### Exercise A3.3 · Your report · ★★☆ · 120 min · 6 points
#
# One page, for a reader who knows lessons 5 and 6 and has not seen your controller. It is graded by hand:
#
# | | 2 points | 1 point | 0 points |
# |---|---|---|---|
# | **Design** | how the controller decides, and a reason for each part of it | how it decides | neither |
# | **Evidence** | at least two alternatives, compared in pairs on the same starts over several seeds, with intervals and costs; a figure | numbers without intervals, or of one seed | none |
# | **Honesty** | failed and inconclusive attempts, and how much was tried on which tasks before the final choice | one of the two | neither |

# %% [markdown] tags=["written-A3.3"]
# *Your report.*

# %% [markdown]
# ## Handing in
#
# Hand in this notebook. The grader runs the same checks with other cases, other starts and other tasks. An
# answer may use the imports and your earlier answers, and nothing that the other cells compute. The grader
# plays your controller's decisions a second time, in a process where your code never ran, and counts the
# success of that game.
#
# ## Further reading
#
# - Snell et al., *Scaling LLM Test-Time Compute Optimally can be More Effective than Scaling Model
#   Parameters*, 2024, [arXiv 2408.03314](https://arxiv.org/abs/2408.03314): compute that depends on the difficulty of a prompt.
# - Chen et al., *Evaluating Large Language Models Trained on Code*, 2021,
#   [arXiv 2107.03374](https://arxiv.org/abs/2107.03374): pass@k, the estimator of A3.1 for values 0 and 1.
# - Graves, *Adaptive Computation Time for Recurrent Neural Networks*, 2016,
#   [arXiv 1603.08983](https://arxiv.org/abs/1603.08983): a network that decides how many steps to compute.
