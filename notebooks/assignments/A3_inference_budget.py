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
# # Assignment 3. The best use of an inference budget
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A3_inference_budget.ipynb)
#
# **You will learn**
#
# - to say what more candidates would buy, without drawing them;
# - to spend a fixed budget of network evaluations where it matters;
# - to develop on some tasks and be judged on others;
# - to report a design: what you tried, what it cost, how sure you are.
#
# **You should know** lessons 5 and 6.
#
# **Time** about 40 s to run on 2 CPU cores, 8 hours to do.

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
from math import comb

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from sorl_edu import inference, plotting
from sorl_edu.course import shipped
from sorl_edu.course.exercises import assignment3 as exercises
from sorl_edu.course.exercises.assignment3 import BUDGET, CANDIDATES, STEPS, play
from sorl_edu.environments.rollout import make_environments, start

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# ## What would more candidates buy?
#
# You have drawn K candidates and know their values. What would the best of n have been worth, on average,
# for every n up to K? Drawing again and again would answer, and cost more than the candidates. There is no
# need to: the K values are all that it takes.
#
# **Predict, then run.** Here are 32 candidates of lesson 6's robot, at the start of three episodes. At which
# of the three would you pay for more?

# %%
agent, state, info = shipped.robot("cube", 1)
(env,) = make_environments(info.environment, 1)
starts = jnp.stack([start(env, seed) for seed in range(3)])  # (B, S)
proposal = agent.propose(state, starts, jax.random.key(0), steps=2, candidates=32)
figure = Figure(figsize=(6, 2.6), layout="constrained")
axes = figure.subplots()
for b, q in enumerate(np.asarray(proposal.q).T):
    axes.plot(q - q.mean(), np.full(len(q), b), "|", markersize=14)
axes.set(xlabel="Q of a candidate, less the mean of its 32", ylabel="episode", yticks=range(3))
figure

# %% [markdown]
# ### Exercise A3.1 · The best of n, out of K · ★★☆ · 90 min · 3 points
#
# Given the values `q` of K candidates at B observations, (K, B), return the mean, over *all* subsets of n of
# the K candidates, of the largest value in the subset; of shape (B,). `n` is a whole number from 1 to K.
#
# <details><summary>Hint 1</summary>
#
# Sort. The largest of all is the largest of every subset that it is in; how many are these?
#
# <details><summary>Hint 2</summary>
#
# The $i$-th smallest value is the largest of a subset if the other $n - 1$ come from the $i - 1$ below it:
# $\binom{i-1}{n-1}$ subsets of $\binom{K}{n}$. `comb` from Python's `math` counts.
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
# With it, from 32 candidates, the whole curve, without the noise of single draws. Where is it steep?

# %%
if exercises.expected_best(expected_best):
    numbers = (1, 2, 4, 8, 16, 32)
    curve = np.array([expected_best(proposal.q, n) for n in numbers])
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(numbers, curve - curve[0], "o-")
    axes.set(xscale="log", xlabel="candidates n", ylabel="expected gain in Q over one candidate")
    axes.set_xticks(numbers, numbers)
    axes.legend([f"episode {b}" for b in range(3)])
    display(figure)

# %% [markdown]
# ## The game
#
# A robot must put a cube where it belongs, in at most 200 actions. Before every action a *controller*, a
# function of yours, says with how many steps m and candidates N the action is to be found. An action costs its
# network evaluations, as in lesson 5: N m through the field and, if N > 1, N through each of the two critics.
#
# The account holds BUDGET evaluations for each of an episode's 200 actions. It may be spent when you like, but
# one evaluation for each action to come is set aside: what can't be paid is played at m = N = 1.

# %%
print(f"{BUDGET} evaluations per action, {200 * BUDGET} per episode. What an action costs:")
pd.DataFrame(
    {f"N = {n}": [inference.network_evaluations(m, n) for m in STEPS] for n in CANDIDATES},
    index=[f"m = {m}" for m in STEPS],
)

# %% [markdown]
# A controller gets a `Situation` of several episodes, which run side by side, and returns m and N: numbers, or
# one for each episode. It knows
#
# | field | |
# |---|---|
# | `t`, `limit` | actions taken, and allowed (200) |
# | `spare` | (B,) evaluations that may still be spent, beside those set aside |
# | `q` | (B,) value of the last action; NaN where the critic was not asked |
# | `spread` | (B,) standard deviation of the last candidates' values; NaN likewise |
#
# The plainest controllers always say the same. These three can be paid for to the end; eight episodes are too
# few to tell them apart:

# %%
for m, n in ((1, 1), (2, 1), (4, 1)):
    table, played = play(lambda situation, m=m, n=n: (m, n), task=1, seed=0)
    cost = table.evaluations.sum() / table.length.sum()
    print(
        f"m = {m}, N = {n}: success {table.success.mean():.2f}, {cost:.1f} evaluations per action"
    )

# %% [markdown]
# `play` also returns what was played, (time, B, 2). Here is a controller that draws luck: at every action and
# in every episode any m and N. Look at when its money is gone.

# %%
rng = np.random.default_rng(0)


def at_random(situation):
    b = len(situation.spare)
    return rng.choice(STEPS, b), rng.choice(CANDIDATES, b)


table, played = play(at_random, task=1, seed=0)
cost = exercises.costs(played)  # (time, B)
figure = Figure(figsize=(7, 2.6), layout="constrained")
axes = figure.subplots()
axes.step(np.arange(len(cost)), cost, alpha=0.6)
axes.set(xlabel="action t", ylabel="network evaluations", yscale="log")
print(f"success {table.success.mean():.2f} in {len(table)} episodes")
figure

# %% [markdown]
# ### Exercise A3.2 · Your controller · ★★★ · 300 min · 6 points
#
# Develop it with `play` on tasks 1 and 2. The check lets it play three sets of starts on these two; the
# grader, other starts on tasks 3, 4 and 5, which have other places for the cube and agents of their own. So
# don't fit what will not carry over.
#
# Points: all, if the mean success over the sets of starts reaches the goal; half, if its 95% interval lies
# above the baseline. The leader board has no limit.
#
# Rules: your function decides by what the situation says. One that runs games by itself, to look into the
# future, has no place on the board.
#
# <details><summary>Hint 1</summary>
#
# When does an episode that succeeds end? What is money worth that is left over then?
#
# <details><summary>Hint 2</summary>
#
# Lesson 6: which is better at m = 2 or 4, one candidate or several? And the *second* candidate costs least:
# what does it buy?
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
# A plain one, which spends from the first action on, until the money is gone. It looks at nothing that it is
# told; can you do better with `spare`, `q` and `spread`?
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
# One page, for somebody who knows lessons 5 and 6 and has not seen your controller. It is graded by hand:
#
# | | 2 points | 1 point | 0 points |
# |---|---|---|---|
# | **Design** | what the controller does, and for each part of it why it should help | what it does | neither |
# | **Evidence** | at least two alternatives, compared in pairs on the same starts over several seeds, with intervals and costs; a figure | numbers without intervals, or of one seed | none |
# | **Honesty** | what did not work or could not be told apart, and how much was tried on which tasks before the final choice | one of the two | neither |

# %% [markdown] tags=["written-A3.3"]
# *Your report.*

# %% [markdown]
# ## Handing in
#
# Hand in this notebook. The checks above are the grader's, too; it makes other cases, and plays other starts
# on other tasks. An answer may use what the cell of imports imports and your earlier answers, and nothing that
# the other cells compute. The grader plays your controller's decisions once more by itself, and counts the
# outcome of that.
#
# ## Further reading
#
# - Snell et al., *Scaling LLM Test-Time Compute Optimally can be More Effective than Scaling Model
#   Parameters*, 2024, [arXiv 2408.03314](https://arxiv.org/abs/2408.03314): spending by difficulty.
# - Chen et al., *Evaluating Large Language Models Trained on Code*, 2021,
#   [arXiv 2107.03374](https://arxiv.org/abs/2107.03374): pass@k, the estimator of A3.1 for values 0 and 1.
# - Graves, *Adaptive Computation Time for Recurrent Neural Networks*, 2016,
#   [arXiv 1603.08983](https://arxiv.org/abs/1603.08983): a network that decides how long to think.
