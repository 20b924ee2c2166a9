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
# # Assignment 3. The best use of an inference budget
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A3_inference_budget.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/assignments/A3_inference_budget.html)
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
# **Time** about 55 s to run on 2 CPU cores, 8 hours to do.

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
from sorl_edu.course.exercises.assignment3 import BUDGET, CANDIDATES, LIMIT, STEPS, play
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
# A robot must put a cube where it belongs, in at most LIMIT = 100 actions, half of what OGBench allows. Before
# every action a *controller*, a function that you write, chooses the steps m and the candidates N of the
# action. An action costs its network evaluations, as in lesson 5: N m through the field and, if N > 1, N
# through each of the two critics.
#
# Each episode has an account of BUDGET evaluations for each of its 100 actions, to spend at any time. A choice
# that costs more than is left is replaced by m = N = 1. **An episode whose account is empty has failed.**

# %%
print(f"{BUDGET} evaluations per action, {LIMIT * BUDGET} per episode. The cost of one action:")
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
# | `t`, `limit` | the number of actions taken, and of actions allowed (100) |
# | `left` | (B,) evaluations left on the account |
# | `distance` | (B,) metres from the gripper to the centre of the cube |
# | `contact` | (B,) how firmly a finger touches something, from 0 to 1 |
# | `q` | (B,) value of the last action; NaN if the critic did not evaluate it |
# | `spread` | (B,) standard deviation of the last candidates' values; NaN likewise |
# | `obs` | (B, 28) the robot's observations, which the networks see, too |
#
# The simplest controllers always make the same choice. Here are three of the 24, and one that draws m and N at
# random for every action. The next cell draws how far from the cube each gripper is, and a dot where an action
# costs more than two evaluations.
#
# **Predict, then run.** Which of the four accounts are empty before action 100, and what has the robot done by
# then?
#
# > *my prediction:*


# %%
def watch(controller):
    """A controller, and the list that its situations will fill."""
    seen = []

    def watched(situation):
        seen.append(situation)
        return controller(situation)

    return watched, seen


def draw_games(controllers, task=1, seed=0):
    about = "A panel for each controller: the distance to the cube of eight grippers over time."
    width = 2.4 * len(controllers)
    figure = plotting.new_figure(width, 2.9, alt=about)
    for axes, (name, controller) in zip(
        figure.subplots(1, len(controllers), sharex=True, sharey=True),
        controllers.items(),
        strict=True,
    ):
        watched, seen = watch(controller)
        table, played = play(watched, task, seed=seed, episodes=8)
        distance, cost = 100 * np.stack([s.distance for s in seen]), exercises.costs(played)
        for e, length in enumerate(table.length.astype(int)):
            paid = np.trim_zeros(cost[:length, e], "b")
            end = len(paid)
            axes.plot(distance[:end, e], color="0.75", linewidth=1)
            dots = np.flatnonzero(paid > 2)
            axes.scatter(dots, distance[dots, e], 4, plotting.BLUE, zorder=2)
            if end < length:
                axes.plot(end - 1, distance[end - 1, e], "x", color=plotting.BLACK, markersize=5)
        axes.set(title=f"{name}\nsuccess {table.success.mean():.2f}", xlabel="action t")
    figure.axes[0].set_ylabel("gripper to cube, cm")
    return figure


rng = np.random.default_rng(0)
draw_games(
    {
        "m = 1, N = 1": lambda s: (1, 1),
        "m = 2, N = 1": lambda s: (2, 1),
        "m = 2, N = 2": lambda s: (2, 2),
        "at random": lambda s: (
            rng.choice(STEPS, len(s.left)),
            rng.choice(CANDIDATES, len(s.left)),
        ),
    }
)

# %% [markdown]
# A cross marks an account that is empty. A gripper reaches the cube within about 20 actions, whatever they cost.
# Cheap actions then often miss the cube or lose it, and try again. At m = N = 2 an action costs 8: the robot
# holds the cube, and the account is empty at action 50, before it has been carried to its place. Most
# robots that act at random have not reached the cube when theirs is empty.
#
# So constants fail, in two ways: by what the cheap ones do at the cube, or by what the good ones spend on the way
# to it.
#
# ### Exercise A3.2 · Your controller · ★★★ · 300 min · 6 points
#
# Develop it with `play` on tasks 1 and 2. The check plays five sets of starts on these two; the grader plays
# other starts on tasks 3, 4 and 5, which have other places for the cube and agents of their own. So don't fit
# details that only hold on two tasks.
#
# A mean success over the sets of starts that reaches the goal earns all points; a 95% interval above the best
# constant's success earns half of them. The leaderboard has no limit.
#
# Rules: your function decides by the situation alone. A controller that plays games itself, to look into the
# future, is excluded from the leaderboard.
#
# <details><summary>Hint 1</summary>
#
# An episode has three parts: the way to the cube, the grasp, and the way with the cube to its place. In which
# of them does a second candidate change the outcome? Use one candidate in the other parts, and look.
#
# <details><summary>Hint 2</summary>
#
# `np.where(situation.distance < 0.06, 2, 1)` is an array of N for the B episodes. How many actions near the
# cube can the account pay for? What should a robot do with the last evaluations?
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
# Two candidates near the cube, until 40 evaluations are left; one candidate elsewhere. `draw_games({"near":
# controller})` shows where it spends. It ignores `q`, `spread` and `contact`; can you do better with them?
#
# ```python
# def controller(situation):
#     near = (situation.distance < 0.06) & (situation.left >= 48)
#     m, n = 2, np.where(near, 2, 1)
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
# Save this notebook, and run the cell below. It checks all exercises, and writes the file to hand in.
#
# The grader runs the same checks with other cases, other starts and other tasks. An
# answer may use the imports and your earlier answers, and nothing that the other cells compute. The grader
# plays the games, and asks your controller for one decision after the other, in a process without robots.

# %% tags=["hand-in"]
from sorl_edu.course import hand_in

hand_in.pack("A3_inference_budget")

# %% [markdown]
# ## Further reading
#
# - Snell et al., *Scaling LLM Test-Time Compute Optimally can be More Effective than Scaling Model
#   Parameters*, 2024, [arXiv 2408.03314](https://arxiv.org/abs/2408.03314): compute that depends on the difficulty of a prompt.
# - Chen et al., *Evaluating Large Language Models Trained on Code*, 2021,
#   [arXiv 2107.03374](https://arxiv.org/abs/2107.03374): pass@k, the estimator of A3.1 for values 0 and 1.
# - Graves, *Adaptive Computation Time for Recurrent Neural Networks*, 2016,
#   [arXiv 1603.08983](https://arxiv.org/abs/1603.08983): a network that decides how many steps to compute.
