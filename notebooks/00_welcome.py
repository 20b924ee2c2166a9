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
# # Lesson 0. Welcome
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/00_welcome.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/00_welcome.html)
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
# **Time** about 45 s to run on 2 CPU cores, 20 minutes to read and do.

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

from sorl_edu import plotting
from sorl_edu.course import shipped
from sorl_edu.evaluation import paired_difference, success_table, summarize
from sorl_edu.widgets import ActionDistributionExplorer, Playground

# %matplotlib inline

# %% [markdown]
# ## Two minutes with the end of the course
#
# Below is an agent that was trained once, on a fixed set of recorded walks through a maze. Nobody
# showed it the way to the goal, and it never tried an action of its own while it learned. It knows two
# things: which actions are *plausible* at a place (its **policy**, which carries noise to an action in
# a few steps), and how much each action is *worth* (its **critic**, whose estimate is called Q: the
# rewards that follow the action, later ones counted less).
#
# When it acts, there are two dials:
#
# - **steps m**: the number of steps in which the policy turns noise into an action;
# - **candidates N**: the number of actions that it draws before the critic picks one.
#
# The state below is the blue dot, a junction where recorded walks went in every direction. The star is
# the goal. On the left each candidate comes from noise, in m straight pieces, to its action in the
# square; the shades in the square are Q, and the bar beside it says which is higher.
#
# **Predict, then run.** At m = 1 the agent jumps from noise to an action. What will the cloud of actions
# in the middle look like with eight steps? And which of the four corners, few or many steps with one
# or many candidates, brings it to the goal? Write your guesses here:
#
# > *my prediction:*

# %%
agent, state, info = shipped.agent("narrow")
explorer = ActionDistributionExplorer(
    agent,
    state,
    info.environment,
    trajectories=shipped.trajectories("narrow"),
    place="junction",
    steps=(1, 2, 4, 8),
    candidates=(1, 4, 8, 32),
)
explorer

# %% [markdown]
# The first picture is there within seconds, and the others are drawn behind it, which a progress bar
# shows. A click in the maze chooses another state. Visit the four corners:
#
# | | N = 1 | N = 32 |
# |---|---|---|
# | **m = 1** | one clear direction: spread 0.16. Most episodes arrive. | still narrower, and now *none* arrives: all are stuck beside the goal |
# | **m = 8** | a ring: actions in all directions, as in the data. None arrives; the agent wanders. | the best of the ring: spread 0.18, towards the goal. All arrive. |
#
# So the two dials do different things. **Steps decide what is proposed**: with one step the policy goes
# where the critic likes it best, with eight it proposes what people did here, in every direction.
# **Candidates decide what is chosen.** Eight plausible candidates without a choice lead nowhere; a
# choice among candidates that are all alike, or that left what the data show, has nothing good to
# choose. Together they work.
#
# ## Now drive it yourself
#
# The pictures above were drawn for a few settings. The playground draws nothing beforehand: the same
# networks run in your browser. Drag the point, or focus it and press the arrow keys, and take any m up to
# 32 and N up to 256. *Play from the point* lets the agent act in the real maze, at four settings with the
# same noise.
#
# **Predict, then run.** From the start, at the lower left, (8, 32) arrives. Does it also arrive from the
# upper left corner?
#
# > *my prediction:*

# %%
Playground(agent, state, info.environment)

# %% [markdown]
# It does not. From the upper left corner it is the single step that mostly arrives. All twenty starts of an
# evaluation lie near one place, and the setting that is best there need not be best elsewhere. Find a few more
# places where one setting arrives and another does not. The colour of the maze (V, the mean Q of the policy's
# actions) and the arrows (their mean) say where the agent believes the goal to be, and how it would go there.
#
# You saw **one** trained agent. Another training, with other random numbers, would have made another
# one, so a claim needs many of them. Here are 24, each from the same twenty starts:

# %%
episodes = shipped.episodes("narrow")
plotting.sweep_heatmap(summarize(episodes))

# %%
most = {"steps": 8, "candidates": 32}
for m, n in ((1, 1), (8, 1), (1, 32)):
    d = paired_difference(episodes, "success", better=most, worse={"steps": m, "candidates": n})
    print(
        f"(8, 32) against ({m}, {n}): {d['difference']:+.2f}, "
        f"95% interval [{d['low']:+.2f}, {d['high']:+.2f}], {d['seeds']} agents"
    )

# %% [markdown]
# The cell at the lower right, (8, 32), is better than each of the other three corners, and no interval
# contains zero. An *interval* says which differences would fit these 24 agents if we could train all possible ones.
#
# Is this the best use of effort? One could also train another agent, and act in one step. A weight of
# the training says how greedy the policy is (lesson 4 explains it). Here are four values of this
# weight, which differ in nothing else:


# %%
arms = {
    50: "narrow_q_weight_50",
    500: "narrow",
    5000: "narrow_q_weight_5000",
    50_000: "narrow_q_weight_50000",
}
shipped.differences(*arms.values(), only=["q_weight"])
tables = {f"weight {w:,}": shipped.episodes(a).query("training_seed < 8") for w, a in arms.items()}
success_table(tables, ((1, 1), (8, 1), (1, 32), (8, 32)))

# %% [markdown]
# No weight brings the one-step agent near the best corner: it arrives in 0.65 of the episodes at best. So here 32
# candidates of eight steps do what tuning this weight does not. (Two steps with one candidate reach 0.75, for a
# small fraction of the compute; lesson 5 asks when which of them is the better buy.)
#
# By lesson 5 you will be able to explain each of these observations, and you will have built every part
# of the agent. In lesson 6 a robot moves a cube: there one step with one candidate succeeds in 0.38 of
# the episodes, eight steps alone in 0.09, eight candidates alone in 0.21, and both together in 0.71.
#
# ## The whole method in one picture

# %%
plotting.method_diagram()

# %% [markdown]
# Read it from the left. The data teach the critic (lesson 3) and the policy (lessons 1, 2 and 4). For each
# action the policy then proposes, and the critic chooses (lesson 5).
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
# - A term that you don't know is in the [glossary](GLOSSARY.md).
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
# - At test time you can spend compute on steps m, and on candidates N: steps decide what is proposed,
#   candidates what is chosen.
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
