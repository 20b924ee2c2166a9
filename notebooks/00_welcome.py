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
# # Lesson 0. Welcome
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/00_welcome.ipynb)
#
# **You will learn**
#
# - what this course builds: an agent that learns from recorded data, and thinks for as long as you
#   let it;
# - how each lesson works: predict, run, look, then the formula;
# - the five ideas of JAX that the lessons use.
#
# **You should know** Python, NumPy, and what a neural network is. Reinforcement learning helps.
#
# **Time** about 40 s to run on 2 CPU cores, 20 minutes to read and do.

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
import jax
import jax.numpy as jnp

from sorl_edu.course import shipped
from sorl_edu.widgets import ActionDistributionExplorer

# %matplotlib inline

# %% [markdown]
# ## Two minutes with the end of the course
#
# Below is an agent that was trained once, on a fixed set of recorded walks through a maze. Nobody
# showed it the way, and it never tried an action of its own while it learned. It knows two things:
# which actions are *plausible* at a place (its policy, a flow that carries noise to an action), and
# how much each action is *worth* (its critic, Q).
#
# At test time there are two dials:
#
# - **steps m**: the number of steps in which the policy turns noise into an action;
# - **candidates N**: the number of actions that it draws before the critic picks one.
#
# **Predict, then run.** The agent starts at the lower left, and the goal is the star. With one step
# and one candidate, will it arrive? Which dial would you turn first? Write your guess down, run the
# cell, and move the sliders. The first picture is there within seconds. All others are drawn behind
# it, which a progress bar shows; after that the sliders respond at once.

# %%
agent, state, info = shipped.agent("sorl")
explorer = ActionDistributionExplorer(
    agent, state, info.environment, trajectories=shipped.trajectories("sorl")
)
explorer

# %% [markdown]
# Look at the three panels from left to right as you turn **N**. More dots appear in the square of
# actions, and the circled one moves to where the background is brighter, which is where Q is higher.
# Over many draws, the cloud of chosen actions contracts. In the maze, dashed lines turn solid.
#
# Now turn **m** at N = 1. The change is smaller, and not always for the better: this is a *shortcut*
# policy, trained so that few steps and many give nearly the same action. Lessons 2 and 5 explain why
# one would want that, and when more steps do pay.
#
# You see **one** trained agent of eight, chosen because it is neither a lucky nor a lost one. Whether
# the dials help *in general* is a question for all eight, with intervals:

# %%
from sorl_edu.evaluation import summarize
from sorl_edu.plotting import sweep_lines

episodes = shipped.episodes("sorl")
sweep_lines(summarize(episodes[episodes.candidates.isin((1, 8, 32))]))

# %% [markdown]
# Candidates lift the lines; steps hardly move them. The intervals are wide because training seeds
# differ by more than any dial can change at test time. By lesson 5 you will be able to explain each
# of these observations, and you will have built every part of the agent.
#
# ## What you will be able to do
#
# | lesson | you build | you can then say |
# |---|---|---|
# | 1 Flow matching | a field that carries noise to data | why one big step collapses to the mean |
# | 2 Shortcut models | a field that knows how far it jumps | how one network samples in 1, 2, 4, 8 steps |
# | 3 Offline RL, TD critic | Q from recorded data alone | what a wrong mask or a maximum does to it |
# | 4 SORL | the three losses together | what each weight trades off against the others |
# | 5 Test-time scaling | best-of-N, and a budget to spend | when thinking longer helps, and when it hurts |
# | 6 Robots | agents that move a cube, and honest tables | what steps and candidates buy a robot |
#
# Three assignments of a week each go with lessons 2, 4 and 6: a shortcut that jumps any length, an agent
# with a critic of your own, and the best use of a fixed budget of compute.
#
# ## How to use the course
#
# - **Predict, then run** is the method: a wrong guess that you wrote down teaches more than a right
#   figure that you scrolled past.
# - **Exercises** have a blank (`...`), a check, hints that unfold one by one, and a folded solution.
#   A check knows the usual mistakes and names yours. If you leave an exercise empty, the notebook
#   still runs to its end.
# - **The library** `sorl_edu` has one module per lesson. Its functions take functions, not networks,
#   so that you can replace each of them by your own.
# - Slow computations were done beforehand. Their results are shipped in `data/course/`, and
#   `data/course/manifest.json` has the command that made each. Where a notebook shows such a result,
#   a switch computes it again.

# %% [markdown]
# ## JAX in five minutes
#
# Skip this if you know JAX. It is NumPy plus transformations of functions. Five ideas suffice here.
#
# **1. Random numbers come from keys.** There is no hidden state: the same key gives the same
# numbers, and you split a key to get new ones.

# %%
key = jax.random.key(0)
one, two = jax.random.split(key)
print("same key, same numbers:", jax.random.normal(one, (2,)), jax.random.normal(one, (2,)))
print("another key:           ", jax.random.normal(two, (2,)))

# %% [markdown]
# **2. Parameters are pytrees**: dictionaries and tuples with arrays as their leaves. `jax.tree.map`
# applies a function to each leaf.

# %%
params = {"weight": jnp.ones((2, 2)), "bias": jnp.zeros(2)}
jax.tree.map(lambda leaf: leaf + 1, params)

# %% [markdown]
# **3. `grad` differentiates, `jit` compiles.** Both take a function and return one.


# %%
def loss(params, x):
    return jnp.mean((x @ params["weight"] + params["bias"]) ** 2)


slope = jax.jit(jax.grad(loss))
slope(params, jnp.array([[1.0, 2.0]]))

# %% [markdown]
# **4. `vmap` adds a batch axis.** Write a function for one input, and map it over many. This library
# uses it to train eight seeds at once.

# %%
norms = jax.vmap(lambda point: jnp.sqrt(jnp.sum(point**2)))
norms(jnp.array([[3.0, 4.0], [6.0, 8.0]]))

# %% [markdown]
# **5. `scan` is the loop.** It carries a value through the steps and stacks the output of each; the
# whole loop is compiled as one. Sampling from a flow is such a loop, and so is training.

# %%
total, partial_sums = jax.lax.scan(
    lambda carry, x: (carry + x, carry + x), 0.0, jnp.array([1.0, 2.0, 3.0])
)
print("carried:", total, " outputs:", partial_sums)

# %% [markdown]
# ## Is everything here?
#
# `doctor` lists what this machine has. Send its output along whenever you ask for help.

# %%
from sorl_edu.cli import doctor

print(doctor.as_text(doctor.examine()))

# %% [markdown]
# ## Recap
#
# - An offline agent has a policy (which actions are plausible) and a critic (what they are worth).
# - At test time you can spend compute on steps m, and on candidates N.
# - One agent is an anecdote; claims carry several training seeds and an interval.
#
# ## Three questions
#
# <details><summary>1. The agent never acts while it learns. What could go wrong with a critic that
# has seen no consequence of its own choices?</summary>
#
# It may value actions highly that the data never tested, and nothing corrects it. Lessons 3 and 5
# are about this.
#
# </details>
#
# <details><summary>2. Why can best-of-N with N = 1000 be worse than N = 10?</summary>
#
# The largest of many noisy values is more likely to be a large error. The more candidates there are,
# the more the choice seeks out the critic's mistakes.
#
# </details>
#
# <details><summary>3. Two samples with the same key: what do you get?</summary>
#
# The same numbers, always. A key that is reused by accident makes draws equal that should be
# independent.
#
# </details>
#
# ## Further reading
#
# - Espinosa-Dice et al., *Scaling Offline RL via Efficient and Expressive Shortcut Models*, 2025,
#   [arXiv 2505.22866](https://arxiv.org/abs/2505.22866): the paper that the course teaches.
# - Levine et al., *Offline Reinforcement Learning: Tutorial, Review, and Perspectives*, 2020,
#   [arXiv 2005.01643](https://arxiv.org/abs/2005.01643).
# - The [JAX documentation](https://docs.jax.dev/), for more than five minutes.
