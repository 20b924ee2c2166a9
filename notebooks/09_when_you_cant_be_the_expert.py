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
# # Lesson 9. When you can't be the expert
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/09_when_you_cant_be_the_expert.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/09_when_you_cant_be_the_expert.html)
#
# **You will learn**
# - why a copy of an expert that you can't be goes wrong, and why its errors compound;
# - how practice finds out which mistakes are costly, without one more label of the expert;
# - where to practise, and a measure of whether your class of policies is good enough there.
#
# **You should know** lesson 3.
#
# **Time** about 25 s to run on 2 CPU cores, 60 minutes to read and do.

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
import jax.numpy as jnp
import numpy as np
from IPython.display import Markdown, display

from sorl_edu import imitation, plotting
from sorl_edu.course import shipped
from sorl_edu.course.exercises import imitation as exercises
from sorl_edu.datasets.tightrope import Tightrope, walks
from sorl_edu.experiments.imitation import summary
from sorl_edu.experiments.lesser_points import as_markdown
from sorl_edu.experiments.statistics import interquartile_means
from sorl_edu.finite_mdp import advantages, best_in_class, expected_return, occupancies, values
from sorl_edu.widgets import TightropeExplorer

# %matplotlib inline

# %% [markdown]
# ## Whom should you copy?
#
# An expert shows you the way, and you copy it: *behaviour cloning* (lesson 4). Now let your body be worse than the
# expert's. A humanoid is shown a gait that its legs can't walk; a robot arm sees less than the person who guided it.
# Your class of policies, $\Pi$, does not contain the expert. This is called *misspecification*, and it is the usual
# case.
#
# Here is a world in which all of it can be computed. An episode has 60 steps. It begins at one of the white dots, and
# each step that begins in the goal (the star) pays 1; so the return $J$ is the number of steps spent there. The grey
# cells are pits, which nobody leaves. Between them is a *bridge* of eight cells, below them a *road*, two cells wide.
# The expert never slips. You do: with probability $p = 0.1$, your step lands on one of the two sides.
#
# **Predict, then run.** The expert takes the bridge. Which way is the best for you?
#
# > *my prediction:*

# %%
world = Tightrope()
mdp, reward = world.mdp, world.reward
learner = world.learner(slip=0.1)  # the class of policies: every move slips
expert = occupancies(mdp, world.expert)  # d_h(s, a): how often it is in s and does a, in step h
best = learner.policy(best_in_class(mdp, reward, learner))


def J(policy):
    return expected_return(mdp, policy, reward)


def seen(policy, **more):
    """Where a policy is, and eight of its episodes."""
    visits = occupancies(mdp, policy).sum((0, 2))
    return plotting.Walkers(visits, walks(mdp, policy, 8, seed=0)[0], **more)


plotting.tightrope_panels(
    world,
    {
        f"the expert: J = {J(world.expert):.1f}": seen(world.expert),
        f"the best that slips: J = {J(best):.1f}": seen(best),
    },
)

# %% [markdown]
# The best for you is the road. Eight steps of the bridge all go well with probability $0.9^8 = 0.43$; on the road a
# slip is a detour. You lose eight steps to the expert, and that can't be helped.
#
# ## What does a copy do?
#
# **Predict, then run.** The clone does in each cell what the expert does most often. Which moves does it make in
# cells in which the expert has never been? How large is its $J$?
#
# > *my prediction:*

# %%
cloned = imitation.behaviour_cloning(learner, expert)
clone = learner.policy(cloned)
plotting.tightrope_panels(
    world,
    {
        "what the clone does": plotting.Walkers(expert.sum((0, 2)), actions=cloned[0]),
        f"where it gets: J = {J(clone):.1f}": seen(clone),
    },
)

# %% [markdown]
# Blue on the left is where the expert has been; a question mark is a cell for which *no data say what to do next*.
# The clone copies the expert without a mistake, and its first slip takes it off all that it knows. Here most slips
# end in a pit; elsewhere they end among question marks. Its $J$ of 19 is less than half of the 40 that it could have.
#
# More data don't help: this clone knows the expert's *exact* law. The trouble is that the clone treats all mistakes
# alike. To step off the bridge's way costs it one error of imitation, as any other step would; it never learns that
# this error is the one that matters.
#
# ### Why errors compound
# Let a step go wrong with probability $p$. If nobody knows the way back, all that is left of the episode is lost. If
# the learner is back after one step, a step is lost.
#
# **Predict, then run.** How do the two losses grow with the length $H$ of an episode?
#
# > *my prediction:*

# %%
HORIZONS, P = np.arange(1, 61), 0.01
plotting.lines(
    {
        "lost for good": [(1 - (1 - P) ** np.arange(1, H + 1)).sum() for H in HORIZONS],
        "back after a step": P * HORIZONS,
    },
    HORIZONS,
    xlabel="horizon H",
    ylabel="expected loss",
)

# %% [markdown]
# $$\sum_{h=1}^{H} \bigl(1 - (1-p)^h\bigr) \;\approx\; p\,\frac{H^2}{2} \qquad\text{against}\qquad p\,H.$$
#
# The first loss is *quadratic* in the horizon while $pH$ is small: twice the time has twice as many chances for a
# slip, and each costs twice as much. The errors *compound*, and a low error in each step is no comfort.
#
# ## How can practice help without the expert?
#
# An expert who labels your own states ("here, go left") would help. But a video gives no labels. There is something
# that you can do alone: *walk*, and see where it takes you. Then a reward $f$ that tells your walks from the expert's
# says what was wrong with them:
#
# $$\max_{f}\; \mathbb{E}_{\text{expert}} f(s, a) - \mathbb{E}_{\text{learner}} f(s, a), \qquad f(s, a) \in [-1, 1].$$
#
# **Predict, then run.** Here is how many steps more the expert spends in each cell than the learner. Where does $f$
# pay most if the learner is the clone? And where if it takes the road?
#
# > *my prediction:*


# %%
def difference(policy):
    """Steps of the expert minus steps of the policy, by cell."""
    return (expert - occupancies(mdp, policy)).sum((0, 2))


plotting.tightrope_maps(
    world,
    {"expert minus clone": difference(clone), "expert minus the road's walker": difference(best)},
    about="Steps of the expert minus steps of a learner",
)

# %% [markdown]
# The clone gives itself away by its time in the pits (negative), and by the 29 steps that it lacks in the goal. The
# road's walker gives itself away by the bridge, the road, and 8 steps in the goal. $f$ can tell the walker less well,
# though it does *nothing* that the expert does on the way: the sum of the absolute differences of pairs $(s, a)$ is
# smaller.

# %%
for name, policy in {"clone": clone, "road": best}.items():
    gap = imitation.largest_gap(expert, occupancies(mdp, policy))
    print(f"{name}: the best f tells it from the expert by {gap:.2f} per step")

# %% [markdown]
# So the game has two players. The *reward player* moves $f$ by a small step towards what tells the learner from the
# expert, so that it remembers earlier learners, too. The *policy player* finds a policy with a high sum of $f$. That
# is *inverse reinforcement learning*, and no label is asked for.
#
# ### Exercise 9.1 · The reward's step · ★☆☆ · 8 min · 1 point
# Write the reward player's step. `reward`, `expert` and `learner` are (states, actions); the last two are how often
# each does $a$ in $s$, and sum to 1. Move the reward by `rate` along the gradient of the difference that it
# maximizes, the expert's mean of $f$ less the learner's, and keep it in $[-1, 1]$.
#
# <details><summary>Hint 1</summary>
#
# $\mathbb{E}_{\text{expert}} f$ is $\sum_{s,a} d_{\text{expert}}(s, a)\, f(s, a)$. Differentiate it with respect to
# one number, $f(s, a)$.
#
# <details><summary>Hint 2</summary>
#
# What has to be in $[-1, 1]$: the step, or the new reward?
#
# </details>
# </details>


# %% tags=["exercise-9.1"]
def reward_step(reward, expert, learner, rate):
    new = ...
    return new


# %% tags=["check-9.1"]
exercises.reward_step(reward_step)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def reward_step(reward, expert, learner, rate):
#     new = jnp.clip(reward + rate * (expert - learner), -1, 1)
#     return new
# ```
#
# </details>

# %% [markdown]
# ## Why not plain reinforcement learning?
#
# The policy player has to solve a problem of reinforcement learning in each round, and that is expensive: it must
# *explore*, which can take very long where rewards are rare. The expert's states are a way out. If you can *reset* to
# a state in the middle of the expert's way, you need not find your way there. You practise the last step first, then
# the step before it, and so on:
#
# $$\pi_h = \arg\max_{\pi \in \Pi}\; \mathbb{E}_{s \sim \rho_h,\, a \sim \pi}\; Q_h(s, a), \qquad h = H, \dots, 1,$$
#
# where $Q_h$ is the value under the later steps' policies, and $\rho$ the law of the states that you reset to. This
# is *policy search by dynamic programming* (PSDP), a local search. Its lines:

# %%
rho = imitation.at_any_time(expert.sum(-1))  # resets to any state of the expert's episodes
decisions, later = cloned.copy(), np.zeros(len(mdp.start))
for h in reversed(range(mdp.horizon)):
    q = reward + mdp.transitions @ later  # Q_h(s, a)
    decisions[h] = learner.best(rho[h][:, None] * q, rho[h] > 0, otherwise=cloned[h])
    later = (learner.policy(decisions[h]) * q).sum(1)  # V_h(s)

in_library = imitation.psdp(mdp, reward, learner, rho, before=cloned)
assert np.array_equal(decisions, in_library)
print(f"J = {J(learner.policy(decisions)):.1f}, with the true reward and the expert's states")

# %% [markdown]
# That is odd. This search had the *true* reward, and every move's exact value in every state that it practised in.
# Yet its $J$ is hardly above the clone's 19.0.
#
# ## Where should you practise?
#
# **Predict.** The search above practised in the expert's states: the cells of the bridge. What is there to learn on a
# bridge for one who should not be on it?
#
# > *my prediction:*
#
# On the bridge, "on, to the right" is the best move, and turning back is dearer with each cell. Before the bridge,
# the search compares the bridge with the road. But the road's value is that of the policy *which the learner has
# there*, and in cells where it never practised that is the clone's: any move, at random. Here is the value of each
# move in the lowest start, for this policy and for one that has practised on the road:

# %%
OFFLINE = world.offline(slip=0.1)  # the law of another walker, who slips, and keeps off the bridge
on_road = imitation.at_any_time((expert + OFFLINE).sum(-1) / 2)
from_road = imitation.psdp(mdp, reward, learner, on_road, before=cloned)
lowest = world.state(2, 0)
for name, found in {"the bridge": decisions, "the bridge and the road": from_road}.items():
    _, q = values(mdp, learner.policy(found), reward)
    of_moves = q[0, lowest] @ learner.moves.T
    print(f"practised on {name}: up {of_moves[2]:.1f}, down {of_moves[3]:.1f}")

# %% [markdown]
# To the first learner the road is a place where nobody knows the way. *Practice on the tightrope teaches nothing to
# one who must take the road.* The second has the same reward and the same search. It has practised in two kinds of
# states: the expert's, and those of *offline data* of somebody who can be imitated. These data have neither labels of
# an expert nor rewards. They only say where it is worth practising.
#
# Methods of inverse reinforcement learning differ in these laws:
#
# | method | it practises in |
# |---|---|
# | MM, moment matching | its own states: no resets |
# | FILTER | the expert's states |
# | GUITAR | the states of the expert and of offline data |
#
# The whole game, in which nobody knows the true reward: each search draws 300 states, and begins with the clone.

# %%
METHODS = {"FILTER": imitation.filter_resets(), "GUITAR": imitation.guitar(offline=0.5)}
found, panels = {}, {}
for name, mixture in METHODS.items():
    options = {"rounds": 10, "first": cloned, "practice": 300}
    game = imitation.imitate(mdp, learner, expert, OFFLINE, mixture, **options)
    found[name] = learner.policy(game.best)
    practised = mixture.law(0 * expert[0], expert.mean(0), OFFLINE.mean(0)).sum(1)
    panels[f"{name}: J = {J(found[name]):.1f}"] = seen(found[name], practice=practised)
plotting.tightrope_panels(world, panels)

# %% [markdown]
# A green square is a cell to which resets lead. FILTER's are those of the bridge, and it ends where the clone ended.
# GUITAR takes the road, though half of its practice was on the bridge. Nobody said that the bridge is dangerous: it
# tried both.
#
# ### Exercise 9.2 · Where to practise · ★★☆ · 10 min · 2 points
# Write the law of the states in which these methods practise. `own`, `expert` and `offline` are (steps, states): how
# often the learner, the expert and the offline data are in each state, in each step. With probability `resets` there
# is a reset, else practice is in an own state. A share `share` of the *resets* is to offline states, the others are
# to the expert's. A state may be of any step, each one equally often. Return the law, (states,).
#
# <details><summary>Hint 1</summary>
#
# Three probabilities that sum to 1: no reset; a reset to the expert; a reset to offline data.
#
# <details><summary>Hint 2</summary>
#
# Every row of the three arrays sums to 1, and so must your law.
#
# </details>
# </details>


# %% tags=["exercise-9.2"]
def reset_law(own, expert, offline, resets, share):
    law = ...
    return law


# %% tags=["check-9.2"]
exercises.reset_law(reset_law)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def reset_law(own, expert, offline, resets, share):
#     of_a_reset = (1 - share) * expert + share * offline
#     law = ((1 - resets) * own + resets * of_a_reset).mean(0)
#     return law
# ```
#
# </details>

# %% [markdown]
# ## When is a class good enough?
#
# FILTER's search was all but perfect where it searched, and it ended below half of what its class can do. So what did
# it lack? Take its policy $\pi$, and the advantage $A(s, a) = Q(s, a) - V(s)$ of the true reward. In a state $s$, the
# best one step of all gains $\max_a A(s, a)$. The best *move of the class* gains less, since it slips.
#
# **Predict, then run.** In which cells does the difference matter, for FILTER's policy in the expert's states? And
# for GUITAR's, in the states of the offline data?
#
# > *my prediction:*


# %%
def lacking(policy, law):
    """What the class's best step loses to the best step of all, by cell, over the episode."""
    a = advantages(mdp, policy, reward)  # (steps, states, actions)
    of_moves = a @ learner.moves.T  # (steps, states, moves)
    return (law * (a.max(-1) - of_moves.max(-1))).sum(0)


plotting.tightrope_maps(
    world,
    {
        "FILTER, in the expert's states": lacking(found["FILTER"], expert.sum(-1)),
        "GUITAR, in offline states": lacking(found["GUITAR"], OFFLINE.sum(-1)),
    },
    about="What the best one-step improver in the class loses to the best of all",
)

# %% [markdown]
# On the bridge a slip loses all that is left, and no move of the class avoids it: each cell costs more than two
# steps' reward, more than four at its end. On the road a slip costs a detour. The sum of a map, divided by $H$, is
# the *completeness error* of the class at this policy and reward,
#
# $$\varepsilon = \frac{1}{H} \sum_h \Bigl(\mathbb{E}_{s \sim \rho_h} \max_a A_h(s, a) \;-\; \max_{\pi' \in \Pi}\, \mathbb{E}_{s \sim \rho_h,\, a \sim \pi'} A_h(s, a)\Bigr).$$
#
# It does not ask whether $\Pi$ contains the expert. It asks whether $\Pi$ has a good *one-step improver* in the
# states in which you practise. The same sum with the class's best gain alone, $\varepsilon_{\text{search}}$, is what
# a better search would still find. With both, somebody whose states are $\rho$ is ahead of $\pi$ by at most
#
# $$J(\text{somebody}) - J(\pi) \;\le\; H\,(\varepsilon + \varepsilon_{\text{search}}).$$
#
# (The condition, for all rewards, is the paper's, *reward-agnostic policy completeness*. We could read its abstract
# and reviews; the formula and the bound are derived from these, in `sorl_edu/imitation.py`.)

# %%
STATES = {"expert": expert, "offline": OFFLINE}
for name, policy in found.items():
    for whose, law in STATES.items():
        arguments = (mdp, learner, policy, reward, law.sum(-1))
        incomplete = mdp.horizon * imitation.completeness_error(*arguments)
        search = mdp.horizon * imitation.psdp_error(*arguments)
        ahead = (law * reward).sum() - J(policy)
        print(f"{name}, {whose} states: class {incomplete:.1f}, search {search:.1f}: ", end="")
        print(f"at most {incomplete + search:.1f} behind, and it is {ahead:.1f}")
        assert ahead <= incomplete + search

# %% [markdown]
# In the expert's states FILTER has nothing more to find (0.2), and its class lacks 29.2: the bound is nearly reached.
# In the offline states it is the search that is missing (56.7): there it has never practised. GUITAR is 1.4 behind
# the walker of the offline data, with a bound of 6.3. *Practise in the states of somebody whom you can be.*
#
# ### Exercise 9.3 · The completeness error · ★★★ · 15 min · 3 points
# Write the error of one step, for a learner that also *sees* less. `law` is $\rho(s)$, (states,); `advantage` is
# (states, actions). `looks` is (observations, states): 1 where a state looks like that, else 0. `moves` is (moves,
# actions): the law of actions of each move. The learner chooses one move for each observation, so states that look
# alike get the same one.
#
# <details><summary>Hint 1</summary>
#
# The best of all chooses in each state: a maximum over actions, and then the mean over states.
#
# <details><summary>Hint 2</summary>
#
# Which gain has each move for each observation? Sum $\rho(s) A(s, a)$ over the states of the observation and the
# actions of the move: two matrix products.
#
# <details><summary>Hint 3</summary>
#
# The class chooses the best move for each observation; then the gains of all observations add up.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-9.3"]
def completeness_error(law, advantage, looks, moves):
    best_of_all = ...
    best_in_class = ...
    return best_of_all - best_in_class


# %% tags=["check-9.3"]
exercises.completeness_error(completeness_error)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def completeness_error(law, advantage, looks, moves):
#     best_of_all = (law * advantage.max(1)).sum()
#     weights = law[:, None] * advantage
#     best_in_class = (looks @ weights @ moves.T).max(1).sum()
#     return best_of_all - best_in_class
# ```
#
# </details>

# %% [markdown]
# ## Turn it yourself
#
# **Predict, then move the controls.** From which $p$ on does GUITAR take the road? How small a share of offline
# states is enough at $p = 0.1$? And MM, which has no resets: does it find the road, from a clone, and from a walk at
# random?

# %%
explorer = TightropeExplorer()
explorer

# %% [markdown]
# At $p = 0.02$ the road is already a little better for you. GUITAR stays on the bridge, since it doesn't know the
# true reward: on the bridge, the best $f$ tells it from the expert by 0.29 per step, and on the road by 0.57. At
# $p=0.05$ it is the other way round, 0.65 against 0.60. Imitation looks for the nearest policy to the expert, and not
# for the best one.
#
# At $p = 0.1$ GUITAR finds the road with a small share of offline states, and walks better with a larger one. MM
# surprises: at $p = 0.1$ it stays on the bridge if it begins with the clone. From a walk at random, it takes the
# road.
#
# ## What do ten seeds say?
#
# One draw proves little. `make imitation` has ten seeds of each setting, which draw the expert's ten episodes and the
# states of practice. The marks are interquartile means of $J$, as a share of the best in the class, with 95%
# intervals. Each step of a search practises in 300 states unless the axis says otherwise, and a game has 30 rounds.

# %%
rows = shipped.imitation("tightrope")


def by_learner(study, axis, **only):
    """Interquartile means along an axis, for each learner."""
    table = summary(rows, study)
    for column, value in only.items():
        table = table[table[column] == value]
    return {
        name: table.loc[table.learner == name, [axis, "iqm", "low", "high"]]
        for name in ("BC", "MM", "FILTER", "GUITAR")
    }


plotting.interval_panels(
    {
        "from the clone": by_learner("slip", "slip"),
        "from the clone, p = 0.1": by_learner("practice", "practice", start="clone"),
        "from a walk at random, p = 0.1": by_learner("practice", "practice", start="walk"),
    },
    xlabels=("slip p", "states per step", "states per step"),
    ylabel="share of the best J in the class",
)

# %% [markdown]
# - With no slip all four are the expert. From $p = 0.1$ on, GUITAR is at the optimum of its class, and FILTER is
#   where BC is: at $p = 0.1$, 1.00 [1.00, 1.00] against 0.48 [0.48, 0.48].
# - Practice has its price. With 30 states GUITAR has 0.89 [0.88, 0.90], with 10 it has hardly learned anything: 0.52
#   [0.48, 0.58]. FILTER never gets beyond the clone.
# - **MM depends on where it begins.** From the clone it is stuck at 0.50 [0.50, 0.50] at $p = 0.1$: the clone's own
#   states are those of the bridge. From $p = 0.2$ on it is at the optimum: such a learner slips off to the road by
#   itself. And from a walk at random, MM is the *best* method here, 0.97 [0.96, 0.97] with 30 states. This world is so
#   small that a random walk comes everywhere. Resets are meant for larger ones; this world can't show
#   what they spare there.
#
# And the horizon? The expert's $J$ minus the learner's, at $p = 0.05$, in four worlds of one shape:

# %%
horizons = rows[rows.study == "horizon"]
losses = horizons.assign(loss=horizons.expert_j - horizons.j, steps=7.5 * horizons.bridge)
for row in interquartile_means(losses, ["learner", "steps"], "loss").itertuples():
    print(f"{row.learner}, {row.steps:.0f} steps: {row.iqm:.1f} [{row.low:.1f}, {row.high:.1f}]")

# %% [markdown]
# From 30 steps to 240, eight times as many, the loss of BC and FILTER grows 33-fold, and GUITAR's 7-fold: faster than
# linearly, and not. How much more data of the expert help, and which mixtures of resets do, is in
# [data/imitation](../data/imitation/README.md).
#
# ## The same game with networks
#
# On the tightrope all states are known, and practice knows the exact $Q$. In PointMaze the policy, its $Q$ and the
# reward $f$ are networks, practice costs environment steps, and the maze is large enough to be lost in. The expert
# walks the shortest path to the goal, three times. You have a lesser body: *turned*, it steers 45° askew, or
# *drifting*, something pulls it to the left with half of its force. Each of your actions is repeated for five steps.
#
# MM, FILTER and GUITAR are one agent (`sorl_edu/agents/guitar.py`) with their resets, and take equally many
# environment steps. A reset puts the simulator in a state; without one, another policy would have to roll in.
# GUITAR's offline states are positions of lesson 3's dataset.
#
# **Predict.** The clone knows what the expert does at each place. How far does it get with each body? And does MM
# find the goal, as it found the road?

# %%
bodies = ("turned", "drifting")
for body in bodies:
    display(plotting.compare_paths(shipped.ENVIRONMENT, shipped.imitation_paths(body)))

# %% [markdown]
# Here are eight seeds: success of the last policy in 20 episodes of each, means with 95% intervals.

# %%
practised = {body: shipped.imitation(body) for body in bodies}
Markdown(as_markdown(practised))

# %% [markdown]
# - **BC and MM never arrive.** The clone is stuck at a wall. MM practises from its own starts, and after
#   120,000 environment steps it is on its way at best. The tightrope could not show this: what resets spare.
# - **Turned, you can be the expert**: for almost each of its forces you have an action, but another one. So its states
#   are a good place to practise, and FILTER arrives in all episodes, as GUITAR does. What fails is a copy of actions.
# - **Drifting, you cannot**: you are slower to the right, and pushed to places where the expert never was. GUITAR
#   arrives in 0.97 [0.61, 1.00] of the episodes, FILTER in 0.72 [0.33, 0.94]. That GUITAR is better than FILTER is
#   not shown by eight seeds: +0.25 [-0.26, +0.66].
#
# And on the way there: the whole episodes from which the reward learned, eight of each seed.

# %%
lessons = {body: rows[rows.stage == "lesson"] for body, rows in practised.items()}
plotting.interval_panels(
    {
        body: {
            name: interquartile_means(own[own.learner == name], ["environment_steps"], "success")
            for name in ("MM", "FILTER", "GUITAR")
        }
        for body, own in lessons.items()
    },
    xlabels=("environment steps",) * 2,
    ylabel="success, interquartile mean",
)

# %% [markdown]
# Up to 47,200 steps, at most a quarter of the episodes arrive. Drifting takes longer to learn than being turned. How
# all of this was set up, and what was tried before, is in [data/imitation](../data/imitation/README.md).
#
# ## Recap
# - If your class lacks the expert, some mistakes can't be avoided. A copy does not know which of them are costly, and
#   its errors compound.
# - Practice against a reward that tells you from the expert finds out, without a further label.
# - Local search is only as good as the states in which it practises. The expert's are of no use to one who can't stay
#   there.
# - The completeness error measures what the class's best one-step improver lacks in these states. Practise in the
#   states of somebody whom you can be.
#
# ## Three questions
#
# <details><summary>1. Why do more episodes of the expert not help FILTER at p = 0.1?</summary>
#
# The expert never leaves the bridge's way. However many of its episodes there are, none shows the road, and FILTER
# never practises there.
#
# </details>
#
# <details><summary>2. GUITAR's offline data have no rewards, and their walker may be bad. Why are they of use?</summary>
#
# Nothing is copied from them. They say where practice can begin; what to do there, the search finds by itself.
#
# </details>
#
# <details><summary>3. FILTER's search had an error of nearly 0, and FILTER lost 29 to the expert. How do these fit?</summary>
#
# The search found the best that the class has, in the states in which it practised. The class lacks a good step
# there: the completeness error is nearly all of the loss.
#
# </details>
#
# ## Further reading
# - Espinosa-Dice et al., [Efficient Imitation under Misspecification](https://arxiv.org/abs/2503.13162): GUITAR, and the condition.
# - Swamy et al., [Inverse RL without RL](https://arxiv.org/abs/2303.14623): FILTER, resets in place of exploration.
# - Ren et al., [Hybrid Inverse RL](https://arxiv.org/abs/2402.08848): the expert's transitions in the learner's batches.
# - Swamy et al., [Of Moments and Matching](https://arxiv.org/abs/2103.03236): which games imitation plays, and how errors compound.
# - Ross et al., [A reduction of imitation learning to no-regret online learning](https://arxiv.org/abs/1011.0686): an expert that labels the learner's states.
# - Bagnell et al., Policy Search by Dynamic Programming, NeurIPS 2003: PSDP.
