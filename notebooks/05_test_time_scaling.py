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
# # Lesson 5. Test-time scaling
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/05_test_time_scaling.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/05_test_time_scaling.html)
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
# **Time** about 30 s to run on 2 CPU cores, 60 minutes to read and do.

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

from sorl_edu import inference, plotting
from sorl_edu.agents.agent import propose
from sorl_edu.course import shipped
from sorl_edu.course.exercises import inference as exercises
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.evaluation import paired_difference, success_table, summarize
from sorl_edu.shortcut import sample_from
from sorl_edu.widgets import Playground, ScalingExplorer

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# The agents below are shipped; `data/course/manifest.json` has the command that made each. The
# switch trains them again, with all their seeds and evaluations.

# %%
ARMS = (
    "narrow",
    "narrow_backprop_8",
    "narrow_consistency_100",
    "narrow_backprop_8_consistency_100",
)
RETRAIN = False  # True takes about 45 minutes on 2 cores; the pictures then show yours
if RETRAIN:
    shipped.retrain(*ARMS)

# %% [markdown]
# ## How does an agent think longer?
#
# SORL pays for training once. At test time, before every action, there are two dials: the policy takes
# **m** steps from noise to an action, and it draws **N** actions, of which the critic keeps the best.
#
# **Predict, then run.** At lesson 0's junction we draw 32 candidates of eight steps. How much better than
# the average candidate, in units of Q, is the best of the first four? And the best of all?
#
# > *my prediction:*

# %%
agent, state, info = shipped.agent("narrow")
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

about = (
    f"Q of 32 candidates as dots, from {q.min():.1f} to {q.max():.1f}, and the best so far as steps"
)
figure = plotting.new_figure(
    9, 3.2, alt=f"{about}, which rise fast among the first few candidates."
)
axes = figure.subplots()
axes.plot(jnp.arange(1, 33), q[:, 0], "o", color="0.6", label="candidate n")
axes.step(jnp.arange(1, 33), best_so_far, where="post", label="best of the first N")
axes.axhline(q.mean(), color="0.6", linestyle=":", label="mean of all candidates")
axes.set(xlabel="candidates N", ylabel="Q (discounted return)")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
print(f"mean {q.mean():.2f}, best of 4 {best_so_far[3]:.2f}, best of 32 {best_so_far[-1]:.2f}")
figure

# %% [markdown]
# The best of four is 1.25 above the mean, the best of all 32 another 0.8. The line can only rise, and the
# first few candidates bring most of it. One unit of Q is one step of the way here, discounted, so the
# gain of this one choice is small; an episode has more than a hundred of them. The picture does *not*
# show whether the candidate of the highest Q really is better. The critic says so; the maze will show it.
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
# ## How do the dials change the actions?
#
# **Predict, then run.** At the junction: will more candidates move the *mean* of the chosen actions,
# shrink their *spread*, or both? And more steps?
#
# > *my prediction:*

# %%
plotting.action_distribution(
    agent, state, junction[0], key=key, candidates=(1, 4, 32), environment=environment
)

# %% [markdown]
# Downwards, more candidates do both: the cloud moves to where Q is high, and contracts there. Rightwards,
# more steps do the opposite: at N = 1 the spread grows from 0.15 to 0.89, and the cloud becomes the ring
# of the recorded actions.
#
# Lesson 4 found the reason. Q's gradient goes back through $M_{BTT} = 2$ steps at most, so training
# improved the policies of one and two steps, and left those of four and eight to flow matching: they
# imitate. In the playground you can drag the state, take any m and N, and see the candidates' ways from
# noise. Watch the spread while you move N at one step, and then at eight.

# %%
Playground(agent, state, environment, place=(12, 8), steps=8, candidates=8)

# %% [markdown]
# ## Parallel scaling: does it hold over seeds?
#
# One agent is an anecdote. Here are the 24 training seeds of this configuration, each over the same
# twenty starts, at every setting:

# %%
episodes = shipped.episodes("narrow")
plotting.sweep_lines(summarize(episodes[episodes.candidates.isin((1, 4, 32))]))

# %% [markdown]
# Where intervals overlap, is there no effect? Seeds differ greatly from each other, and that
# difference is in every interval. But each seed is its own control: we compare N = 32 with N = 1
# *within* each seed and average the differences. The interval is `evaluation.bounded_interval`: it
# reckons with one more seed that nobody has trained, the worst possible one for the lower end and the
# best possible one for the upper end, so it never says that something is certain.


# %%
def compare(better, worse, table=episodes):
    better, worse = ({"steps": m, "candidates": n} for m, n in (better, worse))
    found = paired_difference(table, "success", better=better, worse=worse)
    print(
        f"{better} against {worse}: {found['difference']:+.2f} "
        f"[{found['low']:+.2f}, {found['high']:+.2f}], {found['seeds']} seeds"
    )


for m in (1, 2, 4, 8):
    compare((m, 32), (m, 1))

# %% [markdown]
# With four and eight steps best-of-32 turns failure into success: +0.94 and +0.92, in intervals far from
# zero. With one or two steps it brings nothing that 24 seeds could show; the differences are even
# negative. (These are four comparisons. Where one of many just excludes zero, distrust it: of twenty
# intervals of 95%, one misses by chance.)
#
# So a choice pays only where there is something to choose from. `make claims` adds a control: with the
# critic's values *shuffled* among the candidates, nothing is left of the gain. The verifier, which is what
# a critic is called when it chooses, brings the gain; drawing many candidates alone does not.
#
# ## Sequential scaling: do more steps help?
#
# **Predict, then run.** Here are all seeds, at N = 1 and at N = 32, for 1 to 8 steps. Do the lines rise?
#
# > *my prediction:*

# %%
about = "Success against steps m for each of 24 seeds. At N = 1 the mean falls, at N = 32 it rises."
figure = plotting.new_figure(9, 3.4, alt=about)
panels = figure.subplots(1, 2, sharey=True)
for axes, n in zip(panels, (1, 32), strict=True):
    alone = episodes[episodes.candidates == n]
    per_seed = alone.groupby(["training_seed", "steps"]).success.mean().unstack("steps")
    axes.plot(per_seed.columns, per_seed.T, marker="o", color="0.6", linewidth=0.8, alpha=0.6)
    axes.plot(per_seed.columns, per_seed.mean(), color=plotting.BLUE, linewidth=3, label="mean")
    axes.plot(
        per_seed.columns,
        per_seed.loc[info.seed],
        color=plotting.ORANGE,
        marker="D",
        label="the agent above",
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(per_seed.columns, per_seed.columns)
    axes.set(xlabel="inference steps m", title=f"N = {n}")
panels[0].set_ylabel("success rate (20 episodes)")
panels[0].legend()
figure

# %%
for n in (1, 32):
    for m in (2, 4, 8):
        compare((m, n), (1, n))

# %% [markdown]
# With one candidate, four and eight steps are a disaster (-0.57 and -0.58); with 32 they are the best
# there is (+0.46 and +0.44 against one step). So more steps help *under a condition*: somebody must choose.
#
# The paper calls this **sequential extrapolation**: acting with more steps than Q's gradient ever went
# through, which best-of-N makes possible. Note what it is not. Steps beyond $M_{BTT}$ do not make the
# policy itself better; they make its proposals more faithful to the data, more diverse, and thereby a
# better menu for the critic.
#
# And note the second best: *two* steps with *one* candidate reach 0.75 for two network evaluations, and 24
# seeds can't tell this from (8, 32):

# %%
compare((8, 32), (2, 1))

# %% [markdown]
# ## Is it the bound on the gradient, or the tie between step sizes?
#
# Two settings of the training decide how faithful the many-step policy remains: the bound $M_{BTT}$ on Q's
# gradient, and the weight $w_{SC}$ of self-consistency, which ties large steps to small ones. To know
# which of them matters, change each alone, and both: a *factorial* design. The machine checks that nothing
# else differs.
#
# **Predict, then run.** With $M_{BTT} = 8$, Q pulls at all step sizes. Will eight steps with one candidate
# then succeed? And what remains for best-of-32?
#
# > *my prediction:*

# %%
shipped.differences(*ARMS, only=["max_backprop_steps", "consistency_weight"])

# %%
tables = {}
for arm in ARMS:
    trained = shipped.agent(arm)[0]
    name = f"M_BTT = {trained.max_backprop_steps}, w_SC = {trained.consistency_weight:g}"
    tables[name] = shipped.episodes(arm).query("training_seed < 8")
success_table(tables, ((1, 1), (1, 32), (8, 1), (8, 32)))

# %% [markdown]
# Look at the rows. With the short bound and the loose tie (the published weights) eight steps imitate, never
# arrive alone, and are the best menu for a critic. With the long bound Q pulls at every step size: eight steps
# arrive alone more often, the more so under the strong tie, which makes all steps alike (0.72); then a choice adds
# nothing. The strong tie with the short bound draws eight steps towards greed without letting them learn it, and
# best-of-32 gains less. So both settings matter, and together: neither could be told from one of these rows.
# No combination does better than this lesson's agent at (8, 32), and with eight seeds most of these intervals
# overlap.
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
#
# > *my prediction:*

# %%
ScalingExplorer(episodes, shipped.milliseconds())

# %% [markdown]
# For little compute the best setting has one or two steps and a single candidate. From 24 network
# evaluations on it has four steps and several candidates: neither all steps nor all candidates.
# Milliseconds are not network evaluations: candidates run side by side in one matrix product, and steps
# one after the other, so a real clock favours N.
#
# To choose the best cell of a table and quote that cell is cheating a little: among many cells, one
# is lucky. So we choose on all seeds but one and measure on that one, in turn:

# %%
rows = []
by_setting = (
    episodes.groupby(["training_seed", "steps", "candidates"]).success.mean().unstack([1, 2])
)
cost = np.array([inference.network_evaluations(m, n) for m, n in by_setting])
for budget in (2, 32, 400):
    affordable = by_setting.loc[:, cost <= budget]
    for held_out in affordable.index:
        m, n = affordable.drop(held_out).mean().idxmax()
        rows.append((budget, f"({m}, {n})", affordable.loc[held_out, (m, n)]))
table = pd.DataFrame(rows, columns=["budget", "chosen (m, N)", "success"])
table.groupby(["budget", "chosen (m, N)"]).success.agg(["count", "mean"]).round(2)

# %% [markdown]
# The choice hardly depends on which seed is left out, so the quoted numbers are honest here: two
# evaluations buy 0.75, 32 buy 0.86, and 400 buy 0.95.
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
# At m = 1 the agent of this lesson arrives in 14 of 16 episodes with one candidate, and in none with 32.
# Yet every choice had the highest Q.
#
# **Predict, then run.** Where will the 16 episodes of (1, 32) end, and what does the critic value there?
#
# > *my prediction:*

# %%
chosen = shipped.trajectories("narrow")[1, 32]
plotting.maze_trajectories(environment, chosen.positions, chosen.success)

# %%
ends = np.array([path[np.isfinite(path[:, 0])][-1] for path in chosen.positions])
visited = np.asarray(shipped.narrow_data().train.observations)
maze, stuck = maze_geometry(environment), ends.mean(0)
goal = np.array(maze.goal)
for name, place in (("the goal", goal), ("where it is stuck", stuck)):
    near = np.linalg.norm(visited - place, axis=1) < 0.5
    print(f"recorded states within half a metre of {name}: {near.sum()}")

about = (
    "Left: recorded states, none near the ends of (1, 32). Right: Q there is highest into the wall."
)
figure = plotting.new_figure(9, 4.2, alt=about)
left, right = figure.subplots(1, 2)
plotting.draw_maze(left, maze)
left.scatter(*visited[::10].T, s=2, color=plotting.BLUE, linewidths=0, label="recorded states")
left.plot(*ends.T, "X", color=plotting.ORANGE, markeredgecolor="black", label="ends of (1, 32)")
left.set(xlim=(17.5, 22.2), ylim=(17.5, 22.2))
left.legend(loc="upper left")
axis = np.linspace(-1, 1, 41)
square = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
values = plotting.action_values(agent, state, stuck, square, steps=1).reshape(41, 41)
drawn = right.contourf(axis, axis, values, 15)
right.annotate("", (goal - stuck) / np.linalg.norm(goal - stuck), (0, 0), arrowprops={"color": "w"})
right.text(-0.95, 0.75, "to the goal", color="white", backgroundcolor="0.15")
right.set(xlabel="action along x", ylabel="action along y", aspect="equal")
figure.colorbar(drawn, ax=right, label="Q(o, a, 1) where it is stuck")
figure

# %% [markdown]
# Not one recorded state lies within half a metre of the place where they are stuck: the walks kept away from
# that wall. So nothing ever told the critic what an action does there. It *extrapolates*, and its highest
# value is for pushing on into the wall; the way to the goal is valued lower. A single draw from the policy has
# some noise, which sooner or later carries the agent away from the wall; the best of 32 has none left, and
# pushes for ever. With eight steps the candidates resemble recorded actions, and the agent never gets to such a
# place.
#
# So best-of-N is only as good as the verifier is *where greed leads the agent*, and this is not where
# the data are densest. Three signs warn of it: success that falls with N, episodes that end in one
# spot, and a Q that rises with N while the return doesn't.
#
# ## Recap
#
# - Steps decide what is proposed: few are greedy, many are faithful to the data.
# - Candidates decide what is chosen, and pay only where the proposals differ and are plausible.
# - Together they do what neither does alone: (8, 32) beats (1, 1), (8, 1) and (1, 32).
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
