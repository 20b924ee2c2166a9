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
# # Assignment 2. Offline TD learning and the SORL update
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/assignments/A2_offline_rl.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/assignments/A2_offline_rl.html)
#
# **You will learn**
#
# - to counter overestimation by a chosen degree of pessimism;
# - to learn the value of the policy that will be *run*, including best-of-N;
# - to put a function of your own into an agent, and train it;
# - to decide which of two agents is better, and how sure you are.
#
# **You should know** lessons 3, 4 and 5.
#
# **Time** about 25 s to run on 2 CPU cores, 6 hours to do.

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
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

from sorl_edu import plotting
from sorl_edu.agents import SORL
from sorl_edu.agents.agent import act
from sorl_edu.course import shipped
from sorl_edu.course.exercises import assignment2 as exercises
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.evaluation import bounded_interval

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# ## Two policies
#
# SORL trains one policy and runs another. Its TD target contains the value of one sample of the policy,
#
# $$ y = r + \gamma^k\, \text{mask} \cdot Q'(o', a', m), \qquad a' \sim \pi(\cdot \mid o', m), $$
#
# and at test time the critic chooses the best of N samples. In this assignment the critic learns the value
# of the policy that is run: best-of-N becomes part of the target. You write the target, put it into the
# agent, train it on PointMaze, and find out whether that was a good idea.
#
# A maximum over candidates has a price. Among N candidates the most *overrated* one is likely to win, and
# the target then learns from its value.
#
# **Predict, then run.** A critic whose errors have a standard deviation of 1 rates N actions that are all worth 0.
# What value does it promise for the best of 16? And the smaller value of two such critics?
#
# > *my prediction:*

# %%
candidates = 2 ** np.arange(7)
errors = np.random.default_rng(0).normal(size=(2, 20_000, candidates[-1]))  # of two critics
promises = {
    "one critic": errors[0],
    "mean of two": errors.mean(0),
    "mean - 0.5 standard deviations": errors.mean(0) - 0.5 * errors.std(0),
    "mean - 1 standard deviation": errors.mean(0) - errors.std(0),
}
plotting.lines(
    {name: np.array([q[:, :n].max(1).mean() for n in candidates]) for name, q in promises.items()},
    candidates.tolist(),
    xlabel="candidates N",
    ylabel="promised value of the best",
    level=("the truth", 0.0),
    log_x=True,
)

# %% [markdown]
# The more candidates, the larger the promised value, though the true one stays 0. One critic promises 1.76 for the
# best of 16, and the smaller of two 0.85 (which is the mean minus one deviation). The mean of two has smaller errors,
# so its curve is less steep than one critic's: from 1 candidate to 64 it gains 1.66, and 1.86 with one deviation
# subtracted. So pessimism lowers the curve, and makes it no less steep: it compensates for a few candidates, not for
# any number of them.
#
# ### Exercise A2.1 · Pessimism by degrees · ★☆☆ · 20 min · 2 points
#
# Given the values `q` of E critics for some actions, of shape (E, ...), return the mean over the critics
# minus `kappa` times their standard deviation (which divides by E), of shape (...).
#
# <details><summary>Hint 1</summary>
#
# Axis 0 counts the critics; all other axes remain.
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
# How much do real critics disagree? Lesson 3's agent has two. For each place in the maze, here are the mean
# and the standard deviation of their values for the action that the policy takes there.

# %%
agent, state, info = shipped.agent("sorl")
geometry = maze_geometry(info.environment)
grid, free = geometry.points(per_cell=8)
inside = jnp.asarray(grid[free])  # (B, 2), metres
action = act(agent, state, inside, jax.random.key(0), steps=4, candidates=1)
values = agent.q(state.critic.params, 4)(state.encoder(inside), action)  # (2, B)
deviation = values.std(0)
print(f"median {jnp.median(deviation):.1f}; above 4 in {jnp.mean(deviation > 4):.0%} of the places")
maps = {
    "mean of the critics (return)": values.mean(0),
    "their standard deviation (return)": deviation,
}
plotting.value_maps(info.environment, maps, per_cell=8)

# %% [markdown]
# Nearly everywhere the two agree: the median standard deviation is 0.3 where means reach down to -91. In 3% of the
# places it is above 4. These are spots at walls and in corners, where hardly any state was recorded. There a maximum
# over candidates can find large errors, and there pessimism lowers the value most.
#
# ## A target for best-of-N
#
# ### Exercise A2.2 · The value of the chosen action · ★★☆ · 90 min · 4 points
#
# The arguments are `critic(obs, actions)`, which returns the values (E, B) of B observations and actions;
# a `batch` of transitions (`rewards`, `masks`, `horizons`, `next_observations`, as in lesson 3);
# `candidates` (N, B, A), which are N actions for each of the B next observations; `discount` and `kappa`.
# Return
#
# $$ y = r + \gamma^k\, \text{mask} \cdot \max_n \big(\operatorname{mean}_i - \kappa \operatorname{std}_i\big)
#    Q'_i(o', a^{(n)}), $$
#
# of shape (B,), without a gradient. The published code of SORL pairs candidates with wrong observations in
# one place; the check tests whether yours does.
#
# <details><summary>Hint 1</summary>
#
# First write a function that returns the pessimistic value of one candidate for each observation, (B,).
#
# <details><summary>Hint 2</summary>
#
# `jax.vmap` of that function runs over the N candidates, axis 0, and returns (N, B). Without `vmap`, make
# N B rows of candidates, and repeat the observations in the same order: `jnp.tile` repeats a whole block,
# `jnp.repeat` each row.
#
# <details><summary>Hint 3</summary>
#
# $k$ is `batch.horizons`, one for each row. `jax.lax.stop_gradient` stops the gradient.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-A2.2"]
def best_of_n_target(critic, batch, candidates, discount, kappa):
    ...
    return ...


# %% tags=["check-A2.2"]
exercises.best_of_n_target(best_of_n_target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def best_of_n_target(critic, batch, candidates, discount, kappa):
#     def value(actions):
#         return pessimistic(critic(batch.next_observations, actions), kappa)
#
#     best = jax.vmap(value)(candidates).max(0)
#     y = batch.rewards + discount**batch.horizons * batch.masks * best
#     return jax.lax.stop_gradient(y)
# ```
#
# </details>
#
# ## An agent of your own
#
# `SORL` is a frozen dataclass, and a subclass can replace its methods one by one
# (`sorl_edu/agents/sorl.py`, from `critic_loss` on). Yours replaces `td_target`, whose arguments are the
# whole training `state`, a `batch` with encoded observations, a random key, and the number of inference steps
# that was drawn for this update. All other methods, such as the policy loss, remain the library's.
#
# ### Exercise A2.3 · Train it · ★★★ · 150 min · 6 points
#
# Complete the class with your target. Useful parts of `self`:
#
# - `self.sample(state, state.field.params, obs, key, steps=steps)` draws one action for each of the
#   (encoded) observations;
# - `self.q(state.critic.target, steps)` is $Q'$ as a function, for your `best_of_n_target`;
# - `self.discount`, and the two fields of the class.
#
# Choose the two numbers, too: two or more candidates, or there is no choice. The check first compares your
# targets with those of A2.2, on average over many draws, for fixed networks and for transitions with every
# mask and horizon: in this maze several wrong targets reach the goal as well. Then it trains your agent with
# three seeds on the shipped data, for 6000 updates (`exercises.hyperparameters()` has the other settings), and
# runs each one from 20 starts at 4 steps and N = 8. A mean success over the seeds that reaches the goal earns
# all points; a 95% interval that excludes the baseline earns half of them.
#
# <details><summary>Hint 1</summary>
#
# Candidates need different noise, so each needs a key of its own: `jax.random.split(key, n)`.
#
# <details><summary>Hint 2</summary>
#
# `jax.vmap` over the keys of a function that draws one action for each observation returns (N, B, A).
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
#         def draw(key):
#             obs = batch.next_observations
#             return self.sample(state, state.field.params, obs, key, steps=steps)
#
#         candidates = jax.vmap(draw)(jax.random.split(key, self.backup_candidates))
#         critic = self.q(state.critic.target, steps)
#         return best_of_n_target(critic, batch, candidates, self.discount, self.kappa)
# ```
#
# </details>
#
# ## Is it any better?
#
# Three numbers are a small sample. Was your agent better than SORL with its own target, or luckier? Lesson
# 3's agent was trained with eight seeds, and each of them ran from the same 20 starts at many settings. Here
# are two of these settings, both at 8 steps: one candidate, and the best of 32.
#
# **Predict, then run.** Every pair of dots is one training. Suppose that you had trained a single seed, and
# drawn your conclusion from its 20 episodes. For how many of the seeds would the conclusion be the opposite?
#
# > *my prediction:*


# %%
def success(steps, candidates):
    """Success of lesson 3's agent by training seed and start, (S, E)."""
    episodes = shipped.episodes("sorl")
    chosen = episodes[(episodes.steps == steps) & (episodes.candidates == candidates)]
    return chosen.pivot(index="training_seed", columns="episode", values="success").to_numpy()


best_of_32, single = success(8, 32), success(8, 1)
about = "Success in 20 episodes for N = 1 and N = 32, joined dots for each of eight training seeds."
figure = plotting.new_figure(6, 2.8, alt=about)
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
# Given the success of two agents, `new` and `old`, by training seed and start, each (S, E), return three
# numbers: the mean of the paired differences, and the lower and the upper end of its 95% interval over
# *training seeds*.
#
# Rates of success are mostly near 0 or 1, as the figure shows, so a textbook's interval does not suit them (lesson
# 6 shows how it fails). Build lesson 5's: it reckons with one more seed, which nobody has trained. For the lower
# end its difference is the worst possible one, for the upper end the best possible one. Each row of `weights`,
# (draws, S + 1), holds random numbers that sum to 1, and makes one weighted mean of the S + 1 differences; the last
# weight is the unseen seed's. The ends are the 2.5% and the 97.5% quantile of the weighted means.
#
# <details><summary>Hint 1</summary>
#
# Which samples are independent? The episodes of one seed share an agent. First compute one number per seed.
#
# <details><summary>Hint 2</summary>
#
# With values $d_1 \dots d_S$, `weights @ np.append(d, x)` are the weighted means if the unseen seed has the
# difference $x$. How small, and how large, can a difference of two rates be? `np.quantile` does the rest.
#
# </details>
# </details>


# %% tags=["exercise-A2.4"]
def difference(new, old, weights):
    ...
    return ...


# %% tags=["check-A2.4"]
exercises.difference(difference)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def difference(new, old, weights):
#     d = (new - old).mean(axis=1)
#     low = np.quantile(weights @ np.append(d, -1), 0.025)
#     high = np.quantile(weights @ np.append(d, 1), 0.975)
#     return d.mean(), low, high
# ```
#
# </details>
#
# Your function, applied to the two settings above. The library's interval is made so, too:

# %%
if exercises.difference(difference):
    weights = np.random.default_rng(0).dirichlet(np.ones(9), 100_000)
    mean, low, high = difference(best_of_32, single, weights)
    print(f"N = 32 minus N = 1: {mean:+.2f}, 95% interval [{low:+.2f}, {high:+.2f}] over 8 seeds")
    library = bounded_interval((best_of_32 - single).mean(1), -1, 1)
    np.testing.assert_allclose((low, high), library, atol=0.01)  # chance in the weights

# %% [markdown]
# Four of the eight seeds say that N = 32 is better, three see no difference, and one says that it is worse: with a
# single seed you would have drawn another conclusion every second time. All together, N = 32 gains 0.30, in an
# interval from $-0.22$ to 0.68: eight seeds don't decide.

# %% [markdown]
# ## Handing in
#
# Save this notebook, and run the cell below. It checks all exercises, and writes the file to hand in.
#
# The grader runs the same checks with other cases and other seeds, and evaluates the
# learned networks in a process where your code never ran. An answer may use the imports and your earlier
# answers, and nothing that the other cells compute.
#
# A trained agent earns all points of A2.3 if its mean success over three seeds reaches the goal, and half of
# them if it does not, but its 95% interval lies above the baseline.
#
# **If you want more.** In this maze SORL's own target reaches the goal, too, which is why the check compares
# targets as well. So was yours worth the trouble? If both succeed always, success can't tell. Compare after 3000 updates, or on
# fewer data, or by the length of the episodes; train N = 1 and 4 with kappa = 0 and 0.5, five seeds each; and
# use your `difference`.

# %% tags=["hand-in"]
from sorl_edu.course import hand_in

hand_in.pack("A2_offline_rl")

# %% [markdown]
# ## Further reading
#
# - Fujimoto et al., *Addressing Function Approximation Error in Actor-Critic Methods*, 2018,
#   [arXiv 1802.09477](https://arxiv.org/abs/1802.09477): overestimation, and the minimum of two critics.
# - Ghasemipour et al., *EMaQ: Expected-Max Q-Learning Operator for Simple Yet Effective Offline and Online
#   RL*, 2020, [arXiv 2007.11091](https://arxiv.org/abs/2007.11091): the maximum over N samples in the target.
# - Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, 2021,
#   [arXiv 2108.13264](https://arxiv.org/abs/2108.13264): how many seeds, and which intervals.
