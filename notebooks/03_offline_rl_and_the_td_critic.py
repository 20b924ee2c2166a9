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
# # Lesson 3. Offline RL and the TD critic
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/03_offline_rl_and_the_td_critic.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/03_offline_rl_and_the_td_critic.html)
#
# **You will learn**
# - why it is not enough to imitate a dataset, and why its average action is worse than any of its actions;
# - how a critic learns from its own estimates, where it must stop looking ahead, and what n-step returns buy and cost;
# - what overestimation is, how to recognise it, and why SORL's critic sees the policy's number of steps.
#
# **You should know** lesson 1, and what a discounted return is.
#
# **Time** about 35 s to run on 2 CPU cores, 50 minutes to read and do.

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
import numpy as np
import pandas as pd

from sorl_edu import load, plotting
from sorl_edu import temporal_difference as td
from sorl_edu.agents.agent import act, encode
from sorl_edu.course import shipped
from sorl_edu.course.exercises import temporal_difference as exercises
from sorl_edu.evaluation import success_table
from sorl_edu.widgets import CriticExplorer

# %matplotlib inline

# %% [markdown]
# The agents below are shipped; `make course-data` trained them. The switch trains them again.

# %%
RETRAIN = False  # True takes a good half hour on 2 cores; the pictures then show yours
if RETRAIN:
    shipped.retrain(
        *("sorl", "no_terminals", "one_step_returns", "minimum", "blind_critic"),
        *("q_weight_5", "q_weight_5000"),
    )

# %% [markdown]
# ## What is there to learn from?
#
# *Offline* reinforcement learning has a dataset and nothing else: it can't try anything out. Our dataset is
# OGBench's PointMaze. A state $o$ is a position, an action $a$ a push in $[-1, 1]^2$. The task is to move from the
# white dot to the star. Each step before the star has a reward of $-1$. The recorded walks had other goals: they
# lead from anywhere to anywhere. (Lessons 0, 4 and 5 have walks of the same kind with a fifth of the noise, so that
# this lesson's data are broad, and theirs are narrow.)
#
# **Predict, then run.** Here are a few recorded trajectories. If you imitated them perfectly, would
# you get to the star?
#
# > *my prediction:*

# %%
ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
data = load(ENVIRONMENT).train
observations, actions = np.array(data.observations), np.array(data.actions)
ends = np.flatnonzero(data.last)  # of the recorded trajectories
plotting.recorded_walks(
    ENVIRONMENT,
    {
        f"trajectory {k} of {len(ends):,}": observations[ends[k - 1] + 1 : ends[k] + 1]
        for k in (1, 2, 3)
    },
)

# %% [markdown]
# A trajectory wanders through half of the maze, or more: a perfect imitator would wander, too. But the pieces
# are there. Some stretch of some trajectory leads along every corridor, in both directions. Offline
# RL *stitches*: it keeps the stretches that lead to the goal. To do so it must know how much an action
# is worth, which is the critic's job.
#
# ## Why not just average the data?
#
# **Predict, then run.** At a T-junction, what is the mean of the recorded actions? Where does it lead?
#
# > *my prediction:*

# %%
PLACES = {"A, a corridor": (8.0, 8.0), "B, a T-junction": (12.0, 8.0)}
rows = np.asarray(data.starts)
plotting.recorded_actions(ENVIRONMENT, PLACES, observations[rows], actions[rows])

# %% [markdown]
# The recorded pushes are long, and their mean (red) is next to nothing. In the corridor, half of them point
# one way and half the other. At the junction, seven of ten point up or down; the others point left and right
# alike, though a wall is on the right, since the recorded walks are noisy. In both places the mean action is to stand still, which hardly any recorded action does. A policy
# that minimises a squared error learns exactly this mean:
#
# $$\arg\min_{c}\; \mathbb{E}\,\lVert a - c\rVert^2 = \mathbb{E}[a \mid o].$$
#
# So the policy is a flow (lessons 1 and 2), which can represent several modes, and it needs a critic,
# which says which mode to take.
#
# ## How does a critic learn without trying?
#
# $Q(o, a)$ is the discounted return of taking $a$ in $o$ and then following the policy $\pi$. It obeys
#
# $$Q(o, a) = r + \gamma\,\mathrm{mask}\;\mathbb{E}_{a' \sim \pi(\cdot \mid o')}\, Q(o', a'),$$
#
# and temporal-difference (TD) learning descends the squared gap between the two sides. The right side, the *target*
# $y$, uses a slowly moving copy $Q'$ and is a constant. The mask is 0 where the task has ended, and 1
# everywhere else. Here are the target's lines, on a real batch and with a trained agent, whose policy takes
# $m = 4$ steps:

# %%
agent, state, _ = shipped.agent("sorl")
m = 4
batch = agent.prepare(data).sample(jax.random.key(0), 256)  # 5-step returns, see below
next_actions = act(agent, state, batch.next_observations, jax.random.key(1), steps=m, candidates=1)
batch = encode(state.encoder, batch)  # networks see features of observations
critic = agent.q(state.critic.target, m)  # Q'(o, a) of the 4-step policy

next_q = critic(batch.next_observations, next_actions).mean(0)
y = jax.lax.stop_gradient(batch.rewards + agent.discount**batch.horizons * batch.masks * next_q)

in_library = td.td_target(critic, batch, next_actions, discount=agent.discount)
assert jnp.allclose(y, in_library, atol=1e-3)

# %% [markdown]
# ### Exercise 3.1 · The TD target · ★☆☆ · 8 min · 1 point
# Write the target for single transitions. `batch` has `rewards` (batch,), `masks` (batch,) and `next_observations`
# (batch, obs); `critic` is $Q'$, `next_actions` are $a'$, and `discount` is $\gamma$. The first line is there: it gives
# the target critics' values of $(o', a')$, (ensemble, batch). Return $y$ (batch,), with the *mean* of the ensemble,
# and such that no gradient flows through it.
#
# <details><summary>Hint 1</summary>
#
# Which axis of `next_q` is the ensemble? Average over that axis.
#
# <details><summary>Hint 2</summary>
#
# Which of the terms must vanish where the mask is 0: the reward, the value of the next state, or both?
#
# <details><summary>Hint 3</summary>
#
# `jax.lax.stop_gradient(x)` equals `x`, and is a constant to `jax.grad`.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-3.1"]
def td_target(critic, batch, next_actions, discount):
    next_q = critic(batch.next_observations, next_actions)
    y = ...
    return y


# %% tags=["check-3.1"]
exercises.td_target(td_target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def td_target(critic, batch, next_actions, discount):
#     next_q = critic(batch.next_observations, next_actions)
#     y = jax.lax.stop_gradient(batch.rewards + discount * batch.masks * next_q.mean(0))
#     return y
# ```
#
# </details>

# %% [markdown]
# ## What if the mask is forgotten?
#
# OGBench's recordings continue after the goal: the next state is an ordinary state, and code that
# forgets the mask bootstraps from it. A chain of states can be solved exactly. The goal is at its end, the policy
# walks towards it, and after the goal the recording continues from the chain's first state.
#
# **Predict, then run.** Without the mask, what happens to the values if each step costs 1? And if instead the goal
# pays 1 and steps are free?
#
# > *my prediction:*

# %%
LENGTH, GAMMA = 30, 0.99


def chain_values(reward_of_step, reward_at_goal, mask_at_goal):
    """V = r + gamma mask P V, solved as a linear system; the last state is the goal."""
    r = np.full(LENGTH, float(reward_of_step))
    mask, follows = np.ones(LENGTH), np.roll(np.eye(LENGTH), 1, axis=1)
    r[-1], mask[-1] = reward_at_goal, mask_at_goal
    return np.linalg.solve(np.eye(LENGTH) - GAMMA * mask[:, None] * follows, r)


plotting.line_panels(
    {
        f"reward {step} per step, {goal} at the goal": {
            "mask used": chain_values(step, goal, 0),
            "mask ignored": chain_values(step, goal, 1),
        }
        for step, goal in ((-1, 0), (0, 1))
    },
    range(LENGTH),
    xlabel="state (the goal is the last)",
    ylabel="V (discounted return)",
)

# %% [markdown]
# The mask makes the goal an end. Without it, the critic values an endless walk that passes through the
# goal, starts over, and passes through it again. With costs, everything looks far worse than it is,
# and nearly flat: the reason to hurry is gone. With a reward at the goal, everything looks better than it is.
#
# And on PointMaze? The same agent was trained with and without the mask:

# %%
arms = {
    "mask used": shipped.agent("sorl")[:2],
    "mask ignored": shipped.agent("no_terminals")[:2],
}
plotting.compare_landscapes(arms, ENVIRONMENT)


# %%
def intervals(arms):
    """Success of several arms with its 95% interval over training seeds, a row per arm."""
    tables = {name: shipped.episodes(arm) for name, arm in arms.items()}
    return success_table(tables, ((1, 1), (1, 32), (8, 1), (8, 32)))


intervals({"mask used": "sorl", "mask ignored": "no_terminals"})

# %% [markdown]
# The two maps look alike, and the intervals overlap in every column: *here, with these few seeds, forgetting the mask
# does no harm that we can show*. The reason is worth knowing. On the chain, the walk had to leave the goal. In
# PointMaze, the policy may stay at the star, where the reward is 0, and then $0 + \gamma \cdot 0 = 0$ is the right
# value by luck. A wrong mask is a bug that hides until the task changes. So test it where it shows, as on
# the chain, and not by the score.
#
# ## How does the landscape form?
#
# Here is the critic while it learns. The colour is $V(o)$, the mean of $Q(o, a)$ over the policy's actions; an
# arrow is their mean.
#
# **Predict, then move the slider.** Where does the map change first, and in which direction does the change travel?

# %%
updates, states = shipped.snapshots("sorl")
explorer = CriticExplorer(agent, states, updates, ENVIRONMENT, steps=(1, 8))
explorer

# %% [markdown]
# At first all places are nearly alike: the values start near 0, and updates lower them wherever the goal is not
# known yet. The bright region then grows from the star backwards, around corners and not through walls. The arrows
# follow it: where the map is flat they are short, the mean of actions in all directions; where it has a slope, they
# climb it.
#
# ## Why sum several rewards?
#
# In a 1-step target, the news of the goal travels one transition per look-up. An *n-step return* first sums $k \le n$
# recorded rewards and then looks up a value,
#
# $$y = \sum_{j=0}^{k-1} \gamma^j r_{i+j} + \gamma^k\,\mathrm{mask}_{i+k-1}\,Q'(o_{i+k}, a'),$$
#
# with $k < n$ where the goal or the trajectory's end is nearer than $n$ transitions. This has a price: the summed
# rewards belong to the *recorded* actions, good or bad.
#
# **Predict, then run.** On a chain whose recordings drift towards the goal but often turn back, which $n$ learns
# fastest? Which ends at the best policy's value?
#
# > *my prediction:*

# %%
DRIFT = 0.7  # how often the recorded action is the one towards the goal
towards, back = np.eye(LENGTH, k=1), np.eye(LENGTH, k=-1)
towards[-1], back[-1], back[0, 0] = 0, 0, 1  # nothing follows the goal
recorded_move = DRIFT * towards + (1 - DRIFT) * back


def n_step_sweep(values, n):
    """One sweep: the best first action, then n - 1 recorded ones, then the value."""
    cost = np.where(np.arange(LENGTH) == LENGTH - 1, 0.0, -1.0)
    for _ in range(n - 1):
        values = cost + GAMMA * recorded_move @ values
    return cost + GAMMA * towards @ values


def learned(n, sweeps=60):
    """The value of the chain's first state after each sweep."""
    values, start = np.zeros(LENGTH), []
    for _ in range(sweeps):
        values = n_step_sweep(values, n)
        start.append(values[0])
    return np.array(start)


plotting.lines(
    {f"n = {n}": learned(n) for n in (1, 5, 20)},
    range(1, 61),
    xlabel="sweeps of look-ups",
    ylabel="V at the chain's first state",
    level=("the best policy's value", chain_values(-1, 0, 0)[0]),
)

# %% [markdown]
# With $n = 1$, the value needs as many sweeps to settle as the chain has states, and settles at the right place. With
# larger $n$ it settles sooner, and too low: the policy is charged for the recorded detours. Now PointMaze:

# %%
arms = {
    "5-step returns": shipped.agent("sorl")[:2],
    "1-step returns": shipped.agent("one_step_returns")[:2],
}
plotting.compare_landscapes(arms, ENVIRONMENT)

# %%
intervals({"5-step returns": "sorl", "1-step returns": "one_step_returns"})

# %% [markdown]
# After the same number of updates, 1-step returns have not carried the news of the goal to the start; the arrows there
# point nowhere in particular, and no episode of any seed arrives. The left map also shows that 5 steps need not be too
# many. The library computes the returns once, for the whole dataset:

# %%
i, n = 100, 5
by_hand = sum(agent.discount**k * data.rewards[i + k] for k in range(n))
returns, masks, horizons = td.n_step_returns(data.rewards, data.masks, data.last, n, agent.discount)
assert jnp.allclose(returns[i], by_hand) and horizons[i] == n

# %% [markdown]
# ### Exercise 3.2 · The n-step return · ★★☆ · 12 min · 2 points
# Write the target of row `i` for one trajectory. `rewards`, `masks` and `values` are rows of the dataset, where
# `values[j]` stands for $Q'(o_j, a')$. The trajectory's last state is row `end`: its transitions are the rows before
# `end`, and another trajectory begins after it. Fill three blanks: the rows that are summed, the share of a reward, and
# the look-up at the end.
#
# <details><summary>Hint 1</summary>
#
# Rows `i` to `i + n - 1`, unless the trajectory ends before. `range(i, j)` stops before `j`.
#
# <details><summary>Hint 2</summary>
#
# `k` counts the transitions summed so far. How much is a reward worth that is `k` transitions ahead?
#
# <details><summary>Hint 3</summary>
#
# After the loop you are at row `i + k`. Its value counts $\gamma^k$ times, and not at all if the task has ended.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-3.2"]
def n_step_target(rewards, masks, values, i, end, n, discount):
    y, mask, k = 0.0, 1.0, 0
    for row in range(i, ...):
        y = y + ...
        k, mask = k + 1, masks[row]
        if mask == 0:
            break
    return y + ...


# %% tags=["check-3.2"]
exercises.n_step_target(n_step_target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def n_step_target(rewards, masks, values, i, end, n, discount):
#     y, mask, k = 0.0, 1.0, 0
#     for row in range(i, min(i + n, end)):
#         y = y + discount**k * rewards[row]
#         k, mask = k + 1, masks[row]
#         if mask == 0:
#             break
#     return y + discount**k * mask * values[i + k]
# ```
#
# </details>

# %% [markdown]
# ## What does overestimation look like?
#
# A critic errs in both directions. A policy that seeks high values finds the errors that point up.
#
# **Predict, then run.** $N$ actions are worth exactly 0 each; a critic's estimates have unit noise. How much does the
# best-looking action seem to be worth? And if there are two critics, of which the lower one counts?
#
# > *my prediction:*


# %%
def seeming_worth(n, key, draws=4000):
    """The seeming worth of the most valued of n equal actions, (draws,) each."""
    two = jax.random.normal(key, (draws, 2, n))  # two critics with independent errors
    return {
        "one critic": two[:, 0].max(-1),
        "mean of two": two.mean(1).max(-1),
        "minimum of two": two.min(1).max(-1),
    }


sizes = (1, 2, 4, 8, 16, 32, 64)
found = [seeming_worth(n, jax.random.key(n)) for n in sizes]
plotting.lines(
    {name: np.stack([f[name] for f in found], axis=1) for name in found[0]},
    sizes,
    xlabel="equal actions to choose from, N",
    ylabel="seeming worth of the best\n(standard deviations of the error)",
    level=("the truth", 0.0),
    log_x=True,
)

# %% [markdown]
# $\mathbb{E}\max_n (0 + \text{error}_n) > 0$ although each error has mean 0: choosing turns noise into optimism, and
# TD learning copies the optimism backwards. The average of two critics has less noise. Their minimum is biased down:
# with one action it is too low, and with many it only slows the rise. SORL has both, `q_aggregation="mean"` and `"min"`
# (TD3's).
#
# Is our critic an optimist? For every seed, compare the return that it *promised* at the start with the discounted
# return that its episodes then *got*: with $-1$ for each step before the goal,
#
# $$G = -\frac{1 - \gamma^{T}}{1 - \gamma}, \qquad T = \text{steps before the goal}.$$
#
# **Predict, then run.** Is the promise too high or too low? Would the minimum of the two critics help?
#
# > *my prediction:*


# %%
def promised_and_got(arm, m):
    """Q at the start and the mean discounted return at N = 1, a row per training seed."""
    e = shipped.episodes(arm).query("steps == @m and candidates == 1")
    T = np.where(e.success == 1, e.length - 1, np.inf)  # a failed episode pays for ever
    got = e.assign(got=-(1 - GAMMA**T) / (1 - GAMMA)).groupby("training_seed").got.mean()
    v = shipped.values(arm).query("steps == @m").set_index("training_seed").q
    return pd.DataFrame({"promised": v, "got": got})


arms = {
    "mean of two": "sorl",
    "minimum of two": "minimum",
    "1-step returns": "one_step_returns",
    "q_weight 5": "q_weight_5",
    "q_weight 5000": "q_weight_5000",
}
tables = {name: promised_and_got(arm, m=1) for name, arm in arms.items()}
plotting.promises(
    {name: (table.promised.to_numpy(), table.got.to_numpy()) for name, table in tables.items()},
    ("promised, Q at the start", "got, mean of 20 episodes"),
    ylabel="discounted return",
    title="A pair per training seed, 1-step policy, N = 1; gap: mean and 95% interval over seeds",
    level=("never arriving", -1 / (1 - GAMMA)),
)

# %% [markdown]
# The simulation does not suggest this picture, so read it with care.
# - Where the policy arrives (several seeds on the left, all of `minimum` and of `q_weight 5000`), the critic promised
#   *less* than the policy got. The chain above is a reason to expect that: 5-step returns charge for the recorded detours.
# - Where the policy fails (the other seeds on the left), the critic promised *more* than it got. The two kinds nearly
#   cancel in the mean, so the gap of one arm says little without its seeds.
# - The gap of 1-step returns is the largest, and it is not overestimation by choosing: the value starts near 0 and has
#   not fallen far enough yet. An optimistic critic can simply be an unfinished one.
# - A policy that stays close to the data (`q_weight 5`) never arrives, and its critic knows it: the gap is next to nothing.
# - The minimum of two is biased down where, by this measure, nothing needed a correction. Its three agents still
#   arrive. A critic that is too low everywhere still ranks actions well, and a policy needs only the ranking. On OGBench's
#   antmazes the published runs use the minimum.
#
# ## Why does the critic see the number of steps?
#
# The policy of 1 step and the policy of 8 steps share a network, yet are different policies: from the same noise they
# reach different actions. The worth of an action depends on the policy that continues after it. So SORL's critic has
# $m$ as an input, $Q(o, a, m)$.
#
# **Predict, then run.** How much should the promise at the start differ between 1 and 8 steps? And for a critic that
# does not see $m$?
#
# > *my prediction:*


# %%
def change_of_promise(arm):
    """Each seed's promise at the start, minus its own promise for 1 step: (seed, steps)."""
    q = shipped.values(arm).pivot(index="training_seed", columns="steps", values="q")
    return q.sub(q[1], axis=0).to_numpy()


arms = {"sees m": "sorl", "does not see m": "blind_critic"}
plotting.lines(
    {name: change_of_promise(arm) for name, arm in arms.items()},
    (1, 2, 4, 8),
    xlabel="steps m",
    ylabel="promise at the start,\nminus that for m = 1",
    level=("no change", 0.0),
    log_x=True,
)

# %%
intervals({"sees m": "sorl", "does not see m": "blind_critic"})

# %% [markdown]
# A critic that sees $m$ promises a little less the more steps the policy takes, and the intervals exclude 0: flow
# matching holds the finest policy closest to the wandering data (lesson 4). A critic that does not see $m$ learns one
# number for the mixture of all policies, and its small differences are due to the actions alone.
#
# Does it pay? Not here: the agents whose critic does not see $m$ do at least as well. There are fewer of them, but the
# table gives no support to the extra input. With the course's weights, all numbers of steps have nearly the same policy,
# so there is little to see. The paper's critic does not see $m$; the published code's does. This library follows the
# code, and `critic_sees_steps=False` gives the other.
#
# ## Recap
# - The average of several good actions is not a good action; a flow keeps them apart, a critic says which to take.
# - TD learning descends the gap to $y = r + \gamma\,\mathrm{mask}\,Q'(o', a')$, and $y$ is a constant.
# - The mask makes the goal an end. A forgotten mask may not show in the score, so test it.
# - n-step returns carry news faster and charge for the recorded detours.
# - Choosing turns noise into optimism. But measure before you correct: our critic is a pessimist where its policy works.
#
# ## Three questions
#
# <details><summary>1. An episode stops because its time is up, far from the goal. Should its last transition be masked?</summary>
#
# No. The task has not ended; only the time has. The state after it has a value like any other, and the target bootstraps
# from it.
#
# </details>
#
# <details><summary>2. Why does the target come from a slowly moving copy of the critic?</summary>
#
# Otherwise each update would move its own target in the same direction, and the critic would chase itself. The copy keeps
# the target nearly still for a while.
#
# </details>
#
# <details><summary>3. With n-step returns, the value of the first action depends on the recorded actions after it. Why is that harmless when the recordings are an expert's?</summary>
#
# Because a good policy would then take the recorded actions: there are no detours to charge for. The worse the recordings,
# the larger the error of a large n.
#
# </details>
#
# ## Further reading
# - Sutton and Barto, [Reinforcement Learning: An Introduction](http://incompleteideas.net/book/the-book-2nd.html): chapter 6 on TD, chapter 7 on n-step returns.
# - Fujimoto et al., [TD3](https://arxiv.org/abs/1802.09477): overestimation in actor-critic methods, and the minimum of two critics.
# - Kostrikov et al., [IQL](https://arxiv.org/abs/2110.06169): offline RL that never evaluates its critic at an action outside the data.
# - Park et al., [OGBench](https://arxiv.org/abs/2410.20092): the benchmark whose mazes and rewards these are.
# - Espinosa-Dice et al., [SORL](https://arxiv.org/abs/2505.22866): the algorithm of this course.
