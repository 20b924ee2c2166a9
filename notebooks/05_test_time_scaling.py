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
# # Lesson 5. Test-time scaling
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/05_test_time_scaling.ipynb)
#
# **You will learn**
#
# - to spend compute after training, in steps (sequential) and in candidates (parallel);
# - to read a steps x N surface against the cost of its cells, and to choose well within a budget;
# - when best-of-N hurts, and how to see it early.
#
# **You should know** what a shortcut policy is (lesson 2), what Q is (lesson 3), and how SORL trains
# both (lesson 4).
#
# **Time** about 65 s to run on 2 CPU cores, 60 minutes to read and do.

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
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sorl_edu import inference, plotting
from sorl_edu.agents.agent import propose
from sorl_edu.course import shipped
from sorl_edu.course.exercises import inference as exercises
from sorl_edu.evaluation import paired_difference, summarize
from sorl_edu.shortcut import sample_from
from sorl_edu.widgets import ActionDistributionExplorer, ScalingExplorer

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# The agents below are shipped; `data/course/manifest.json` has the command that made each. The
# switch trains them again, with all their seeds and evaluations.

# %%
RETRAIN = False  # True takes about 25 minutes on 2 cores; the pictures then show yours
if RETRAIN:
    shipped.retrain("sorl", "two_backprop_steps", "leaky")

# %% [markdown]
# ## How does an agent think longer?
#
# SORL pays for training once. At test time, before every action, there are two dials: the policy takes
# **m** steps from noise to an action, and it draws **N** actions, of which the critic keeps the best.
#
# **Predict, then run.** At one state, we draw 32 candidates. How much better than the average
# candidate, in units of Q, is the best of them? And the best of the first four?

# %%
agent, state, info = shipped.agent("sorl")
environment = info.environment
junction = jnp.array([[12.0, 8.0]])  # o: (B, S) = (1, 2), metres
key, m = jax.random.key(0), 8
s, Q = agent.s(state, state.field.params), agent.q(state.critic.params, m)


def sample(o, noise):
    return sample_from(s, state.encoder(o), noise, m, agent.denoise_steps)  # a ~ pi(. | o, m)


def value(o, a):
    return Q(state.encoder(o), a).mean(0)  # Q(o, a, m), the mean of two critics


noise = inference.candidate_noise(key, 32, 1, 2)  # a_0: (N, B, A)
actions = inference.draw_candidates(sample, junction, noise)  # a^(n): (N, B, A)
q = inference.score(value, junction, actions)  # Q(o, a^(n), m): (N, B)
best_so_far = jnp.maximum.accumulate(q[:, 0])

figure = Figure(figsize=(9, 3.2), layout="constrained")
axes = figure.subplots()
axes.plot(jnp.arange(1, 33), q[:, 0], "o", color="0.6", label="candidate n")
axes.step(jnp.arange(1, 33), best_so_far, where="post", label="best of the first N")
axes.set(xlabel="candidates N", ylabel="Q (discounted return)")
axes.legend()
figure

# %% [markdown]
# The line can only rise, and it rises less and less: the maximum of N draws grows like a slow
# logarithm. The first few candidates bring most of it. The picture does *not* show whether the
# candidate of the highest Q really is better. The critic says so; the maze will show it.
#
# This is best-of-N, in the paper's notation:
#
# $$a = a^{(n^*)}, \qquad n^* = \arg\max_{n \le N} Q(o, a^{(n)}, m), \qquad a^{(n)} \sim
# \pi(\cdot \mid o, m).$$
#
# In code, for a whole batch of observations, it is one argmax along the right axis. The library and
# the agent do the same, and candidate n is the same whatever N is:

# %%
chosen = jnp.argmax(q, axis=0)  # (B,)
by_hand = jnp.take_along_axis(actions, chosen[None, :, None], axis=0)[0]  # (B, A)

in_library = inference.propose(sample, value, junction, noise).action
of_agent = propose(agent, state, junction, key, steps=m, candidates=32).action
np.testing.assert_allclose(by_hand, in_library, atol=1e-5)
np.testing.assert_allclose(by_hand, of_agent, atol=1e-5)
print("by hand", by_hand[0], "  by the agent", of_agent[0])

# %% [markdown]
# ### Exercise 5.1 · Best-of-N for a batch · ★☆☆ · 5 min · 1 point
#
# Given candidates `actions` (N, B, A) and their values `q` (N, B), return the chosen action of each
# observation, (B, A). The published code pairs observations and candidates wrongly when B > 1; yours
# won't.
#
# <details><summary>Hint 1</summary>
#
# Which axis of `q` counts the candidates of *one* observation? That one disappears.
#
# <details><summary>Hint 2</summary>
#
# `n = q.argmax(axis=...)` is (B,). You want row `n[b]`, column `b` of `actions`, for every b.
#
# <details><summary>Hint 3</summary>
#
# `actions[n, jnp.arange(B)]` pairs the two index arrays element by element.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-5.1"]
def best_of_n(actions, q):
    batch = jnp.arange(q.shape[1])
    chosen = ...  # (B, A): for each b, the candidate n of the highest q
    return chosen


# %% tags=["check-5.1"]
exercises.best_of_n(best_of_n)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def best_of_n(actions, q):
#     batch = jnp.arange(q.shape[1])
#     chosen = actions[q.argmax(axis=0), batch]
#     return chosen
# ```
#
# </details>

# %% [markdown]
# ## How do the dials change the actions, and how does that help?
#
# **Predict, then run.** At the junction: will more candidates move the *mean* of the chosen actions,
# shrink their *spread*, or both? And more steps?

# %%
ActionDistributionExplorer(agent, state, environment, trajectories=shipped.trajectories("sorl"))

# %% [markdown]
# Candidates do both: the cloud moves to where Q is high, and contracts there. Steps do neither by
# themselves. A shortcut policy is trained so that m = 1 and m = 8 give the *same* distribution, and
# to the extent that training succeeded, the slider for m changes little at N = 1. (Choose another
# state, or type one of your own, and press the button.)
#
# ## Parallel scaling: does it hold over seeds?
#
# One agent is an anecdote. Here are the eight training seeds of this configuration, each over the same
# twenty starts, at every setting:

# %%
episodes = shipped.episodes("sorl")
plotting.sweep_lines(summarize(episodes[episodes.candidates.isin((1, 4, 32))]))

# %% [markdown]
# The intervals overlap, so is there no effect? Seeds differ greatly from each other, and that
# difference is in every interval. But each seed is its own control: we compare N = 32 with N = 1
# *within* each seed and average the differences.


# %%
def compare(episodes, better, worse, metric="success"):
    found = paired_difference(episodes, metric, better=better, worse=worse)
    print(
        f"{better} against {worse}: {metric} {found['difference']:+.2f} "
        f"[{found['low']:+.2f}, {found['high']:+.2f}], {found['seeds']} seeds"
    )


for m in (1, 2, 4, 8, 16, 32):
    compare(episodes, {"steps": m, "candidates": 32}, {"steps": m, "candidates": 1})

# %% [markdown]
# Where the interval excludes zero, best-of-32 helps at that number of steps; where it doesn't, these
# eight seeds can't decide. `make claims` ran the same on fresh starts with a control: when the
# critic's values are *shuffled* among the candidates, the gain is gone. So the verifier brings the
# gain, and not the drawing.
#
# ## Sequential scaling: do more steps help?
#
# **Predict, then run.** At N = 1, each of eight agents takes 1 to 32 steps. Do the lines rise?

# %%
alone = episodes[episodes.candidates == 1]
per_seed = alone.groupby(["training_seed", "steps"]).success.mean().unstack("steps")
figure = Figure(figsize=(9, 3.4), layout="constrained")
axes = figure.subplots()
for seed, row in per_seed.iterrows():
    label = "the agent above" if seed == info.seed else None
    width, color = (3, plotting.ORANGE) if label else (1.2, "0.6")
    axes.plot(row.index, row, marker="o", color=color, linewidth=width, label=label)
axes.set_xscale("log", base=2)
axes.set_xticks(per_seed.columns, per_seed.columns)
axes.set(xlabel="inference steps m, N = 1", ylabel="success rate (20 episodes)")
axes.legend()
figure

# %%
compare(episodes, {"steps": 8, "candidates": 1}, {"steps": 1, "candidates": 1})
compare(episodes, {"steps": 32, "candidates": 1}, {"steps": 1, "candidates": 1})

# %% [markdown]
# The orange agent tells a beautiful story: more steps, more success. It is one line of eight, others
# fall, and the average difference is about zero. **Had we shown you only the orange line, you would
# have believed it.**
#
# Why do more steps not help here? Flow matching holds only the smallest step to the data; the larger
# ones inherit from it, and Q pulls at them as well. So few steps are *greedier* than many. In an
# empty maze greed costs nothing. More steps should pay where the average of two good actions is a bad
# one, as with a gripper: the paper claims this for manipulation tasks.
#
# ## Sequential extrapolation: more steps than it was trained with
#
# Q's gradient flows back through at most $M_{BTT}$ steps. The next agents were trained with
# $M_{BTT} = 2$: the critic has never seen more steps, and training never improved a policy of more
# steps. We may still *sample* with 4, 8 or 32.
#
# **Predict, then run.** What happens beyond the line at m = 2, for N = 1 and for N = 32?

# %%
beyond = shipped.episodes("two_backprop_steps")
figure = plotting.sweep_lines(summarize(beyond))
for axes in figure.axes:
    axes.axvline(2, color="0.5", linestyle=":", zorder=0)
figure

# %%
compare(beyond, {"steps": 8, "candidates": 1}, {"steps": 2, "candidates": 1})
compare(beyond, {"steps": 8, "candidates": 32}, {"steps": 8, "candidates": 1})

# %% [markdown]
# With one candidate the policy fails beyond $M_{BTT}$: at the fine steps it is merely faithful to a
# dataset that wanders everywhere. With thirty-two, the critic picks the direction, and the policy of
# 8 or 32 steps works again. The paper says that *best-of-N enables sequential extrapolation*: fine
# steps propose diverse, plausible actions, and the verifier gives the direction. It restores the
# success of m = 2; in this maze there is nothing more to gain.
#
# ### Exercise 5.2 · What does a setting cost? · ★★☆ · 5 min · 1 point
#
# Write the number of network evaluations for one action, with m steps, N candidates and an ensemble
# of two critics. The field is evaluated once per step; the critics value candidates only if there is
# a choice.
#
# <details><summary>Hint 1</summary>
#
# Every candidate takes all its steps.
#
# <details><summary>Hint 2</summary>
#
# Two critics value each of N candidates: 2 N more, unless N = 1.
#
# </details>
# </details>


# %% tags=["exercise-5.2"]
def network_evaluations(steps, candidates):
    policy = ...
    critic = ...
    return policy + critic


# %% tags=["check-5.2"]
exercises.cost(network_evaluations)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def network_evaluations(steps, candidates):
#     policy = steps * candidates
#     critic = 2 * candidates if candidates > 1 else 0
#     return policy + critic
# ```
#
# </details>

# %% [markdown]
# ## Compute against quality
#
# **Predict, then run.** You may spend 32 network evaluations per action. One candidate of 32 steps?
# Ten of one step? Or something in between?

# %%
ScalingExplorer(episodes, shipped.milliseconds())

# %% [markdown]
# The line on the right runs through settings with *few steps*: for this agent, a candidate is always
# a better buy than a step. The surface has its summit at the upper left. Milliseconds are not network
# evaluations: candidates run side by side in one matrix product, and steps one after the other, so a
# real clock favours N still more.
#
# To choose the best cell of a table and quote that cell is cheating a little: among many cells, one
# is lucky. So we choose on seven seeds and measure on the eighth, in turn:

# %%
rows = []
for held_out in episodes.training_seed.unique():
    known = summarize(episodes[episodes.training_seed != held_out])
    cost = [
        inference.network_evaluations(m, n)
        for m, n in zip(known.steps, known.candidates, strict=True)
    ]
    best = known[np.array(cost) <= 32].sort_values("success").iloc[-1]
    own = episodes[
        (episodes.training_seed == held_out)
        & (episodes.steps == best.steps)
        & (episodes.candidates == best.candidates)
    ]
    rows.append((held_out, best.steps, best.candidates, best.success, own.success.mean()))
columns = ["held-out seed", "steps", "N", "success on the others", "on this one"]
pd.DataFrame(rows, columns=columns).round(2)

# %% [markdown]
# The choice hardly depends on which seed is left out: one step and eight candidates. The success of
# that choice does depend on the seed.
#
# ### Exercise 5.3 · Spend a budget · ★★★ · 10 min · 2 points
#
# `success` and `cost` are tables over (N, m), and `budget` is a number. Return the index pair of the
# best setting that costs at most the budget.
#
# <details><summary>Hint 1</summary>
#
# Make what you can't afford so bad that no argmax takes it.
#
# <details><summary>Hint 2</summary>
#
# `jnp.where(affordable, success, -jnp.inf)`.
#
# </details>
# </details>


# %% tags=["exercise-5.3"]
def spend(success, cost, budget):
    worth = ...
    return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))


# %% tags=["check-5.3"]
exercises.spend(spend)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def spend(success, cost, budget):
#     worth = jnp.where(cost <= budget, success, -jnp.inf)
#     return jnp.stack(jnp.unravel_index(jnp.argmax(worth), success.shape))
# ```
#
# </details>

# %% [markdown]
# ## When best-of-N hurts
#
# Here is another agent for the same maze: its critic has 32 random Fourier features where the others
# have 8, so it can represent finer detail, and its q_weight is smaller.
#
# **Predict, then run.** With one step and one candidate it nearly always arrives. How often will it
# arrive with 32 candidates?

# %%
leaky = shipped.episodes("leaky")
plotting.sweep_lines(summarize(leaky[leaky.candidates.isin((1, 2, 4, 32))]))

# %%
compare(leaky, {"steps": 1, "candidates": 32}, {"steps": 1, "candidates": 1})

# %% [markdown]
# More candidates ruined it, in every seed. Look at the agent's paths (turn N at m = 1), and at its
# critic's values:

# %%
leaky_agent, leaky_state, _ = shipped.agent("leaky")
ActionDistributionExplorer(
    leaky_agent,
    leaky_state,
    environment,
    trajectories=shipped.trajectories("leaky"),
    steps=(1, 8),
    title="An agent that best-of-N hurts",
)

# %%
plotting.q_landscape(leaky_agent, leaky_state, environment, steps=1, reduce="max")

# %% [markdown]
# Near the start the landscape is flat, dark, and full of small hills that the critic invented. Failed
# episodes end in two places there: in the corner, and against the wall to the right of the start,
# pushing into it, since the higher values on its other side have leaked through. A single draw from
# the policy reaches such places, too, but the noise in its actions carries it onwards. The best of 32
# has no noise left: it pushes in the same direction for ever.
#
# So best-of-N is only as good as the verifier is *where greed leads the agent*, and this is not where
# the data are densest. Three signs warn of it: success that falls with N, episodes that end in one
# spot, and a Q that rises with N while the return doesn't.
#
# ## Recap
#
# - Where the critic is right before the policy is, best-of-N turns it into success, without training.
# - Steps beyond the first bring nothing by themselves in this maze; the orange line was luck.
# - Beyond $M_{BTT}$ a policy is only faithful to the data, and N has to give it direction.
# - Count costs before you compare settings, and choose on other data than you report.
# - A verifier that is wrong where greed leads turns compute into failure.
#
# ## Three questions
#
# <details><summary>1. Why does shuffling the values among candidates make a good control?</summary>
#
# It keeps everything (N draws, one of them taken, the same compute) except the information in Q. So
# the lost success is due to the verifier.
#
# </details>
#
# <details><summary>2. The critic sees min(m, M_BTT) and not m. Why?</summary>
#
# It was trained on policies of up to M_BTT steps, and has never seen a larger number as its input.
#
# </details>
#
# <details><summary>3. You see Q of the chosen action rise with N. Does that show that N
# helps?</summary>
#
# No: a maximum over more numbers rises whatever the numbers mean. Only the environment can show it.
#
# </details>
#
# ## Further reading
#
# - Espinosa-Dice et al., *Scaling Offline RL via Efficient and Expressive Shortcut Models*, 2025,
#   [arXiv 2505.22866](https://arxiv.org/abs/2505.22866), section on inference-time scaling.
# - Cobbe et al., *Training Verifiers to Solve Math Word Problems*, 2021,
#   [arXiv 2110.14168](https://arxiv.org/abs/2110.14168): best-of-N with a learned verifier.
# - Gao et al., *Scaling Laws for Reward Model Overoptimization*, 2022,
#   [arXiv 2210.10760](https://arxiv.org/abs/2210.10760): how best-of-N exploits its verifier.
# - Hansen-Estruch et al., *IDQL: Implicit Q-Learning as an Actor-Critic Method with Diffusion
#   Policies*, 2023, [arXiv 2304.10573](https://arxiv.org/abs/2304.10573): best-of-N over a cloned
#   policy.
