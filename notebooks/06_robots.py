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
# # Lesson 6. Robots
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/06_robots.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/06_robots.html)
#
# **You will learn**
#
# - what is different about robots: data without a goal, five-dimensional actions, and rare rewards;
# - to compare a critic's values with a clock, and to state how sure a result is;
# - how more steps and more candidates change success in manipulation, and what limits an agent that two
#   cores can train;
# - to run the paper's forty tasks.
#
# **You should know** how SORL trains (lesson 4), and the two dimensions of test-time scaling (lesson 5).
#
# **Time** about 165 s to run on 2 CPU cores, 60 minutes to read and do.

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
import tempfile

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

from sorl_edu import evaluation, plotting
from sorl_edu.agents.agent import propose, value
from sorl_edu.course import shipped
from sorl_edu.course.exercises import robots as exercises
from sorl_edu.datasets.collect import collect
from sorl_edu.environments.make import make_env, parse_name, reset
from sorl_edu.experiments import benchmark, statistics, suites
from sorl_edu.widgets import RobotActionsExplorer, ScalingExplorer

# %matplotlib inline
matplotlib.rcParams.update(plotting.STYLE)

# %% [markdown]
# The agents below are shipped; `data/robots/manifest.json` has the command, the seeds and the updates of
# each. `make robots` trains them again, which takes hours on 2 cores.
#
# ## What does a robot at play know?
#
# A robot arm has a gripper, and a cube lies on a table. An action has five numbers: the displacement of the
# hand in x, y and z, its rotation, and the opening of the gripper. The data show a robot *at play*: an oracle
# carries the cube to one random place after another. It does not know the goals of our tasks.
#
# **Predict, then run.** The next cell collects one episode of play, 1000 actions long. How often does the
# oracle put the cube down within 4 cm of the goal of task 2?
#
# > *my prediction:*

# %%
TASK = "cube-single-play-singletask-task2-v0"
env = make_env(parse_name(TASK)[1])
o = jnp.asarray(reset(env, seed=0))[None]  # (B, S) = (1, 28)
goal = env.unwrapped.cur_task_info["goal_xyzs"][0]  # of the cube: x, y, z in metres

with tempfile.TemporaryDirectory() as folder:
    path, _ = collect("cube-single-play-v0", folder, episodes=1, progress=False)
    with np.load(path, allow_pickle=False) as file:
        play = dict(file)
cube = play["qpos"][:, 14:17]  # x, y, z of the cube, a row for each time

about = "Left: the cube's path from above, between random places. Right: its height, a peak for each pick."
figure = plotting.new_figure(9, 3.2, alt=about)
above, beside = figure.subplots(1, 2, width_ratios=(3, 2))
above.plot(cube[:, 1], cube[:, 0], color="0.7", label="path of the cube")
resting = cube[:, 2] < 0.03
above.plot(*cube[resting][:, 1::-1].T, ".", color=plotting.BLUE, label="on the table")
above.add_patch(matplotlib.patches.Circle(goal[1::-1], 0.04, color=plotting.ORANGE, alpha=0.7))
above.plot([], [], "o", color=plotting.ORANGE, label="task 2, within 4 cm")
above.set(xlabel="y (m)", ylabel="x (m)", aspect="equal")
figure.legend(loc="outside lower center", ncols=3)
beside.plot(cube[:, 2], color=plotting.BLUE)
beside.set(xlabel="time (steps of 0.05 s)", ylabel="height of the cube (m)", ylim=(0, None))
figure

# %% [markdown]
# Each peak is a pick and a place, about eleven in the episode, each to a new random spot. None of them
# serves our task, and if the cube lies in the circle, it is by accident: in the million transitions of the
# agents' training data, the cube is within 4 cm of this goal in 2% of the rows (counted by
# `python -m sorl_edu.experiments.dataset_statistics cube-single-play-v0 runs/robots/data_1000`).
# So the data have plenty of skill, and no purpose of ours. Offline RL has to keep the skill and to add the
# purpose.
#
# ## How does the agent act, in one step and in eight?
#
# **Predict, then run.** On the left, each action is sampled in one step, on the right in eight. Both videos
# show the same agent, from the same starts, with the same noise, and one candidate. The pale cube is the
# goal. Which hand will do better?
#
# > *my prediction:*

# %%
shipped.film("cube_steps", "A robot's hand and a cube: one step on the left, eight on the right")

# %% [markdown]
# Neither is good, and they fail in different ways. On the right is a robot at play: it picks the cube up,
# carries it away, puts it down somewhere, and starts again. On the left the hand moves to the cube only, and
# fumbles the grasp.
#
# **Predict, then run.** The same agent at eight steps again: one candidate on the left, the best of 8 on the
# right.
#
# > *my prediction:*

# %%
shipped.film("cube_candidates", "Eight steps: one candidate left, the best of eight right")

# %% [markdown]
# The skill is the same, and now it has a purpose. Watch the value: it hardly changes until the hand holds the
# cube, and then jumps.
#
# The next switch records a video of your own. It needs a renderer (Colab has one; `sorl-edu doctor` says what
# is missing on your machine).

# %%
RECORD = False  # True takes about a minute
if RECORD:
    from sorl_edu.plotting.video import film

    agent, state, info = shipped.robot("cube", 2)
    film(agent, state, info.environment, "film", steps=(1, 8), candidates=(8, 8), every=2)

# %% [markdown]
# Three episodes are an anecdote. Here are sixteen at each of six settings, and two numbers for each: the
# share of episodes in which the cube is lifted at all (which takes skill), and the share in which it arrives
# at the goal (which takes a purpose as well).
#
# **Predict, then run.** Which setting has all the skill and none of the purpose? Will 32 candidates beat 8?
#
# > *my prediction:*

# %%
agent, state, info = shipped.robot("cube", 2)
evaluated, rows = {}, []
for m in (1, 8):
    for n in (1, 8, 32):
        episodes, recording = evaluation.evaluate(
            agent, state, TASK, steps=m, candidates=n, episodes=16, record=True
        )
        track = recording.observations  # (episode, time, S), NaN after the end
        evaluated[m, n] = episodes, track
        height = track[:, :, 21] / 10  # of the cube, in metres: (episode, time)
        lifted = (height > height[:, :1] + 0.04).any(axis=1).mean()
        rows.append({"m": m, "N": n, "lifted": lifted, "arrived": episodes.success.mean()})
pd.DataFrame(rows).round(2)

# %% [markdown]
# - $m = 8$, $N = 1$ lifts the cube in every episode, and hardly ever takes it to the goal. The most steps
#   stay closest to the data: all skill, no purpose.
# - $m = 8$, $N = 8$ lifts the cube in fewer episodes, but then takes it to the goal. The flow proposes eight
#   plausible actions, and the critic chooses among them.
# - $m = 8$, $N = 32$ is worse again. A measurement further below asks whether the critic *overrates* what it
#   chooses there.
# - $m = 1$, $N = 1$ is in between: Q-maximisation trains a single step directly, so the critic already has
#   its influence in training.
# - $m = 1$, $N \geq 8$ gives the critic influence twice, and never lifts the cube at all. These actions have
#   high values and no effect.
#
# So there are two ways to move actions towards higher values, fewer steps and more candidates, and an optimum
# in between. Optimising against an imperfect verifier can go too far. This is Goodhart's law: "when a measure
# becomes a target, it ceases to be a good measure".
#
# The agent's possible actions are a distribution, now over five numbers. The explorer below shows it at four
# moments of an episode of eight steps and the best of 8: at the start, on the way to the cube, at the grasp (three
# steps before the cube has risen by a centimetre), and while the hand carries it. Above, each candidate is a dot in each of
# five columns, as high as its Q; a positive last number closes the gripper. Below are the densities over 100
# draws, with one step's as a dashed line in every picture.
#
# **Predict, then run.** How will the clouds of one step and of eight differ? Where in its cloud will the best of 8
# lie, and where the best of 256?
#
# > *my prediction:*

# %%
moments = shipped.robot_states("cube")  # by name: what the robot observes, and a picture
key = jax.random.key(0)
RobotActionsExplorer(
    agent,
    state,
    {name: o for name, (o, _) in moments.items()},
    pictures={name: picture for name, (_, picture) in moments.items()},
    place="grasp",
    key=key,
    steps=(1, 8),
    candidates=(1, 8, 32, 256),
)

# %% [markdown]
# The two clouds lie at the same place, at every moment. At the grasp one step's is wider (a spread of 0.35 at
# N = 1, against 0.26 of eight), most of all in the gripper, and its values are higher.
#
# Look at the dots with N = 256. Until the cube is held, Q depends most on the gripper, which the critic wants
# closed, and at the grasp on nearly nothing else. While the hand carries the cube, Q depends most on y. So the best
# of 8 lies on one side of the cloud in that one dimension, and anywhere in the others. The best of 256 lies at the
# rim: a choice among very many candidates is a search for extremes, the critic's errors included.
#
# These pictures do not show why one step and eight differ so much in success. An episode has a hundred
# actions, and small shifts add up; but that is a guess, and no measurement.
#
# You can also watch the arm itself, and move m and N while it acts. The next line writes a page on which the
# agent's networks and MuJoCo run in your browser; it takes npm, which fetches MuJoCo's build for browsers.
#
# ```python
# from sorl_edu.widgets import RobotPlayground
#
# RobotPlayground(agent, state, info.environment).to_folder("robot")  # then open robot/index.html
# ```
#
# ## What does a value promise?
#
# The reward is $-1$ at every step until the cube is at the goal, where the episode ends. So a return is a time
# in disguise: an episode of $k$ steps has the return
#
# $$Q = -\sum_{i=0}^{k-1} \gamma^i = -\frac{1 - \gamma^k}{1 - \gamma}.$$
#
# ### Exercise 6.1 · A value as a time · ★★☆ · 10 min · 1 point
#
# Return the number of steps $k$ that corresponds to a value `q` (an array) and a discount $\gamma$.
#
# <details><summary>Hint 1</summary>
#
# Solve for $\gamma^k$ first.
#
# <details><summary>Hint 2</summary>
#
# $\gamma^k = 1 + (1 - \gamma)\,Q$. A logarithm turns the power into a product.
#
# </details>
# </details>


# %% tags=["exercise-6.1"]
def promised_steps(q, discount):
    power = ...  # gamma^k
    return jnp.log(power) / ...


# %% tags=["check-6.1"]
exercises.promise(promised_steps)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def promised_steps(q, discount):
#     power = 1 + (1 - discount) * q  # gamma^k
#     return jnp.log(power) / jnp.log(discount)
# ```
#
# </details>
#
# Values below $-1/(1 - \gamma)$ correspond to no number of steps: the solution returns NaN for them.
#
# **Predict, then run.** The next cell shows the sixteen episodes at eight steps and the best of 8 again. At the
# beginning of each, how many steps does the critic promise? How many does it take?
#
# > *my prediction:*

# %%
episodes, track = evaluated[8, 8]
promise = exercises.promise.solution


def expected(o):
    """The mean value of eight candidates: (B,)."""
    return propose(agent, state, o, key, steps=8, candidates=8).q.mean(0)


about = (
    "Steps to go by Q against time: where episodes arrive it falls from 400, else it stays there."
)
figure = plotting.new_figure(9, 3.6, alt=about)
axes = figure.subplots()
for observations, success in zip(track, episodes.success, strict=True):
    steps = promise(expected(jnp.nan_to_num(observations)), agent.discount)
    steps = np.where(np.isfinite(observations[:, 0]), steps, np.nan)  # ends with the episode
    axes.plot(steps, **(plotting.REACHED if success else plotting.FAILED), alpha=0.6, linewidth=1)
axes.plot([0, 200], [200, 0], color="0.4", linestyle=":", label="steps left until the time limit")
axes.set(xlabel="time (steps)", ylabel="steps to go, by Q")
axes.plot([], [], **plotting.REACHED, label="arrived")
axes.plot([], [], **plotting.FAILED, label="failed")
axes.legend()
figure

# %% [markdown]
# At first the critic promises some 400 steps, twice the time limit. Within five steps of a successful grasp
# the promise falls, and from there on it is right to the step.
#
# Is the critic wrong before the grasp? It values a policy of one or two steps ($M_{BTT} = 2$) and one
# candidate, which succeeds in about four episodes of ten: a chance of about 1 in 400 at every step, which is
# worth $-80$. Its value is $-98$. This is too low, and by design: every bootstrap takes the smaller of two
# critics, which prevents values from diverging, and lowers them. But a verifier need not know *how* good an
# action is, only which of 8 is best.
#
# ## How sure is a result?
#
# Four seeds were trained for each of five tasks on the same million transitions, and evaluated at every setting
# from 48 starts: 16 after 80%, 90% and 100% of the updates each. (The published protocol has 50.) Here is the
# grid, the mean of the three evaluations:

# %%
results = shipped.robot_results("cube")
ScalingExplorer(
    results, title="cube-single, five tasks, four seeds: success over steps and candidates"
)

# %% [markdown]
# The grid has a ridge. With one candidate few steps are better, with eight or thirty-two candidates many steps
# are; at one step success falls with N, at two, four and eight steps it rises and falls. The best of these
# settings is eight steps and eight candidates, at 0.71. How far from this number might another four seeds be?
# An interval answers this question. Two kinds are in use in this course. The first is the textbook's, for numbers
# that vary about as normal numbers do, such as the length of an episode; you write it now. The second is for
# rates of success, and follows.
#
# ### Exercise 6.2 · An interval over seeds · ★★☆ · 10 min · 1 point
#
# `lengths` holds the steps of episodes, (seeds, tasks, episodes). Return the mean, and the half-width of its 95%
# interval over training seeds; `t` is Student's quantile for that number of seeds.
#
# <details><summary>Hint 1</summary>
#
# Which of these would differ if somebody repeated this study: the tasks, the episodes of one agent, or the
# seeds? Average over everything else first.
#
# <details><summary>Hint 2</summary>
#
# The standard error is `std(ddof=1)` over the square root of the number of seeds.
#
# </details>
# </details>


# %% tags=["exercise-6.2"]
def interval(lengths, t):
    per_seed = ...  # (seeds,)
    half_width = t * ...
    return per_seed.mean(), half_width


# %% tags=["check-6.2"]
exercises.interval(interval)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def interval(lengths, t):
#     per_seed = lengths.mean(axis=(1, 2))  # (seeds,)
#     half_width = t * per_seed.std(ddof=1) / jnp.sqrt(len(per_seed))
#     return per_seed.mean(), half_width
# ```
#
# </details>
#
# Rates of success are another matter: many are near 0 or 1. Here are three seeds that all succeed, and four of
# which one fails:

# %%
for rates in ([1, 1, 1], [1, 1, 1, 0]):
    for kind in (evaluation.t_interval, evaluation.bounded_interval):
        low, high = kind(rates)
        print(f"{rates!s:13} {kind.__name__:17} [{low:.2f}, {high:.2f}]")

# %% [markdown]
# Student's interval is certain of three seeds that agree, [1.00, 1.00], as if a fourth could not fail, and for
# the four it ends at 1.55, a rate that doesn't exist. The bounded interval of lesson 5 assumes nothing but the
# range, and says [0.29, 1.00] and [0.19, 0.99]. So the tables of this course use `evaluation.bounded_interval`
# wherever they count success (assignment 2 builds it), and Student's for lengths, losses and values. In this
# lesson it is over all *agents*: four seeds of five tasks are twenty independent trainings.
#
# Agents share their starts, so two settings (or two methods) are compared within an agent, and the
# differences are averaged, as in lesson 5. The next cell compares SORL with behaviour cloning on the same
# data, with the same number of updates.
#
# **Predict, then run.** Suppose that cloning imitates a robot at play perfectly. How often will it succeed?
#
# > *my prediction:*


# %%
def compare(table, better, worse, metric="success"):
    found = evaluation.paired_difference(table, metric, better=better, worse=worse)
    print(
        f"{better} against {worse}: {found['difference']:+.2f} "
        f"[{found['low']:+.2f}, {found['high']:+.2f}], {found['agents']} agents"
    )


cloning = shipped.robot_results("cube_cloning")
both = pd.concat([results.assign(method="SORL"), cloning.assign(method="cloning")])
per_task = both[(both.steps == 8) & (both.candidates <= 8)]
print(per_task.groupby(["method", "candidates", "task"]).success.mean().unstack().round(2))
compare(
    both,
    {"method": "SORL", "steps": 8, "candidates": 8},
    {"method": "cloning", "steps": 8, "candidates": 1},
)

# %% [markdown]
# Cloning succeeds in about 8 of 100 episodes: now and then the random place is the goal. SORL at eight steps
# and with one candidate is no better, for a reason: flow matching alone trains the smallest step, so eight of
# them *are* nearly a clone. The critic is responsible for the difference, in two ways: through Q-maximisation
# at the larger steps (0.38 at $m = 1$), and through the choice of a candidate (0.71 at $N = 8$).
#
# ### Exercise 6.3 · Choose here, report there · ★★☆ · 10 min · 1 point
#
# `chosen_by` and `reported` hold success for (settings, seeds), over different episodes. Return the success of
# every seed, (seeds,), for an honest report of *the best setting*.
#
# <details><summary>Hint 1</summary>
#
# One of the tables chooses one setting for all seeds. Which table?
#
# <details><summary>Hint 2</summary>
#
# Take the `argmax` of the mean over seeds; then a row of the other table.
#
# </details>
# </details>


# %% tags=["exercise-6.3"]
def report(chosen_by, reported):
    best = ...  # the index of a setting
    return ...


# %% tags=["check-6.3"]
exercises.report(report)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def report(chosen_by, reported):
#     best = chosen_by.mean(axis=1).argmax()  # the index of a setting
#     return reported[best]
# ```
#
# </details>
#
# The library does the same: it chooses the setting by the evaluations after 80% and 90% of the updates, and
# reports it for the last evaluation, which has other agents and other starts.

# %%
statistics.best_setting(results.rename(columns={"training_seed": "seed"})).round(1)

# %% [markdown]
# The result is eight steps and the best of eight, at 70%, in an interval from 57 to 78. All three evaluations would have
# chosen the same setting, so the choice did no harm here; it does where many settings are close.
#
# Our goal was 90%, which these agents miss. The published agents reach 97%. The section after the next asks for
# the reasons.
#
# ## Do more steps help a robot?
#
# Lesson 5 looked for sequential scaling in a maze, and found none. Manipulation is more likely to show it,
# because the average of two good grasps is no grasp. These agents were trained with $M_{BTT} = 2$:
# Q-maximisation went through one or two steps, so 4 and 8 steps are *sequential extrapolation*.
#
# **Predict, then run.** At which N will 8 steps beat 1?
#
# > *my prediction:*

# %%
plotting.sweep_lines(evaluation.summarize(results))

# %% [markdown]
# Here are the differences, paired within each agent:

# %%
for n in (1, 8, 32):
    for m in (2, 4, 8):
        compare(results, {"steps": m, "candidates": n}, {"steps": 1, "candidates": n})

# %%
for m in (1, 2, 4, 8):
    compare(results, {"steps": m, "candidates": 8}, {"steps": m, "candidates": 1})
    compare(results, {"steps": m, "candidates": 32}, {"steps": m, "candidates": 8})

# %% [markdown]
# Sequential scaling exists here, under a condition. With one candidate eight steps are worse than one, by 0.29:
# they imitate, and imitation has no purpose. With eight candidates they are better, by 0.50 [0.24, 0.59]. A
# choice needs candidates that are all *plausible*, so that the critic's favourite is at least an action that a
# robot would take. That more steps make candidates plausible was plain to see in lesson 5's maze. Here it is our
# explanation, and the clouds at the grasp are too alike to prove it.
#
# More candidates have a condition, too. From one to eight they gain 0.62 at eight steps; at one step success
# fell, but the interval of the difference contains zero. From eight to thirty-two success falls by a quarter
# at two, four and eight steps. In lesson 5's maze the best of 32 still helped at many steps, and hurt at one,
# where it led to places without data.
#
# So steps and candidates are not interchangeable: each gains where there is enough of the other, and the best
# number of candidates depends on how accurate the critic is. Only episodes can tell, and they must be other
# episodes than those that are reported.
#
# ## What if Q trains all eight steps?
#
# The paper's claim that more steps help with one candidate, too, is about agents whose Q-maximisation went
# through up to eight steps. So tasks 1 and 4 were trained again with $M_{BTT} = 8$, three seeds of each. All else
# is equal, but for the data: the same command collected them anew, and on another machine its file differs.
# Below, $M_{BTT} = 2$ has the same tasks and three of the seeds above.
#
# **Predict, then run.** With $M_{BTT} = 8$ and one candidate, will eight steps beat one?
#
# > *my prediction:*

# %%
arms = {"2": shipped.robot_results("cube"), "8": shipped.robot_results("cube_backprop_8")}
for depth, arm in arms.items():
    arms[depth] = arm[arm.task.isin((1, 4)) & (arm.training_seed < 3) & (arm.candidates < 32)]
plotting.success_over(
    {depth: evaluation.summarize(arm) for depth, arm in arms.items()},
    ((1, 1), (8, 1), (1, 8), (8, 8)),
    xlabel="M_BTT",
)

# %%
shipped.film("cube_backprop_8_steps", "M_BTT = 8, one candidate: one step left, eight right")

# %% [markdown]
# It does not. Eight steps with one candidate succeed in 7 of 100 episodes, as a clone does, and one step in 22, less
# than with $M_{BTT} = 2$. With six agents in each arm, none of these differences excludes zero (`data/robots` has the
# intervals). The best of eight is as good as before. So the choice still does most of the work.
#
# Why? Q pulls at four step counts now, each in a quarter of the updates, and flow matching holds against it. Who
# wins? The next cell compares values on the episode of play that you collected: those of the policy's own actions,
# minus those of the recorded ones. It has one seed of each task, and the mean of eight draws.
#
# **Predict, then run.** Where has Q moved the actions?
#
# > *my prediction:*

# %%
visited, taken = play["observations"], play["actions"]  # (B, S), (B, A)
gained = {}
for depth, name in ((2, "cube"), (8, "cube_backprop_8")):
    for task in (1, 4):
        policy, learned, _ = shipped.robot(name, task)
        for m in (1, 8):
            own = propose(policy, learned, visited, key, steps=m, candidates=8).q.mean(0)
            gain = own - value(policy, learned, visited, taken, steps=m)
            gained[f"M_BTT = {depth}, task {task}", f"m = {m}"] = float(gain.mean())
pd.Series(gained).unstack().round(2)

# %% [markdown]
# With $M_{BTT} = 2$, Q moved the actions of one step, and in task 4 far. With $M_{BTT} = 8$ it moved none of them by
# much. Its weight is the same, $w_Q = 4$, which was chosen for $M_{BTT} = 2$; spread over four step counts it seems too
# weak. (In lesson 5's maze, $M_{BTT} = 8$ did make eight steps arrive alone more often.) So this is no test of the
# paper's claim, whose agents have 13 times as many weights, twenty times as many updates, and $w_Q = 10$. What it
# shows is smaller: a longer bound alone does not give eight steps a purpose. A larger $w_Q$ is what to try next.
#
# ## Does the critic overrate what it chooses?
#
# It is tempting to explain the fall from 8 to 32 candidates so: among many candidates the chosen one is the most
# *overrated*. The explanation can be tested. 48 states of episodes of task 2 were restored in the simulator, and
# from each of them every setting played on four times (`python -m sorl_edu.experiments.robots cube_verifier`).
# What did Q promise for the first action that was chosen, and what return did playing on bring?
#
# **Predict, then run.** By how much is the chosen action overrated, and does it grow with N?
#
# > *my prediction:*

# %%
verified = pd.read_csv(shipped.robot_file("cube_verifier.csv"))
table = verified.groupby(["steps", "candidates"])[["q", "returned", "success"]].mean()
print(table.rename(columns={"q": "promised", "returned": "got"}).round(2))

by_state = verified.groupby(["state", "steps", "candidates"])[["q", "returned"]].mean()
by_state = by_state.unstack(["steps", "candidates"])
for m in (1, 8):
    for more, fewer in ((8, 1), (32, 8)):
        change = by_state.xs((m, more), axis=1, level=[1, 2]).values
        change = change - by_state.xs((m, fewer), axis=1, level=[1, 2]).values
        (q, got), ends = change.mean(0), [evaluation.t_interval(column) for column in change.T]
        print(
            f"m = {m}, from {fewer} to {more} candidates: promised {q:+.2f} "
            f"[{ends[0][0]:+.2f}, {ends[0][1]:+.2f}], got {got:+.1f} "
            f"[{ends[1][0]:+.1f}, {ends[1][1]:+.1f}]"
        )

# %% [markdown]
# It is not overrated. Q promises about $-80$ at every setting. At eight steps with one candidate the agent got about
# as much, $-84$, and everywhere else more: $-48$ at eight steps and the best of eight. The values are too low, for
# the reasons given above: they are of a policy of one or two steps and one candidate, by the smaller of two critics.
#
# Another belief fails: that *a gain in Q means a gain in return*. At eight steps, from one to eight candidates, the
# promise for this one action rises by 0.52 and the return by 35.4: the small gains of many choices add up. At one
# step the promise rises by even more, 0.95, and brings nothing that 48 states could show. From 8 to 32 candidates
# at eight steps it rises by 0.33, and the return changes by $-4.4$, in an interval that just contains zero. Between
# candidates that one step has made alike, or among the few best of many, Q's differences are smaller than its
# errors, and a choice by them is a choice by errors.
#
# ## Which is the limit: data, updates or width?
#
# The paper's agents have 13 times as many weights and twenty times as many updates. To find the limits of ours,
# one thing is changed at a time, in shorter runs of two tasks (1 and 4): a quarter of the data; half the width;
# and, from the long run, two and a half times the updates.
#
# **Predict, then run.** Which of the three matters most?
#
# > *my prediction:*

# %%
arms = {
    "20,000 updates": "cube_short",
    "a quarter of the data": "cube_short_less_data",
    "half the width": "cube_short_narrow",
    "50,000 updates": "cube",
}
rows = []
for label, name in arms.items():
    arm = shipped.robot_results(name)
    arm = arm[arm.task.isin((1, 4))]
    for m, n in ((8, 1), (8, 8)):
        cell = arm[(arm.steps == m) & (arm.candidates == n)]
        agents = cell.groupby(["training_seed", "task"]).success.mean()
        low, high = evaluation.bounded_interval(agents)
        text = f"{agents.mean():.2f} [{low:.2f}, {high:.2f}]"
        rows.append((label, f"m = {m}, N = {n}", text))
table = pd.DataFrame(rows, columns=["", "setting", "success"])
table.pivot(index="", columns="setting", values="success").reindex(arms)

# %% [markdown]
# Updates are a limit, up to a point: from 20,000 to 50,000 success nearly doubles, but between 40,000 and 50,000
# nothing was gained (look at `results` by `updates`). A quarter of the data did as well as all. Half the width
# had half of the success; with these eight agents the intervals overlap, so this is a hint and not a finding.
# The next step is a wider network, trained for
# longer, as the published agents are: 4 x 512, a million updates. The last section measures how long that takes
# on this machine.
#
# ## A scene
#
# A scene has a cube, a drawer, a window, and two buttons that lock them. In task 1 the robot must open the
# drawer and the window. The data are half a million transitions of play; there are four seeds, with as many
# updates as before.
#
# **Predict, then run.** The robot must now do two things, one after the other. Is a choice by value still
# enough, or does the robot need a plan?
#
# > *my prediction:*

# %%
shipped.film(
    "scene_candidates", "A drawer and a window: one candidate left, the best of eight right"
)

# %%
scene = shipped.robot_results("scene")
plotting.sweep_lines(evaluation.summarize(scene))

# %% [markdown]
# It is enough. With one candidate, eight steps open both in 6 of 100 episodes; with the best of eight in 79.
# Eight steps with one candidate, and one step with eight, stay below 0.2. The value of a state *is* a plan: an open drawer
# has a higher value than a closed one, so the agent first chooses actions that open it. (Here the reward counts
# the parts of the task that are not yet done, so values start at $-200$ and below.)
#
# The interval is wide, [0.31, 0.93]: these are four agents, which differ from 0.60 to 0.94, and four agents alone
# say little of a fifth.
#
# ## The paper's forty tasks
#
# The paper has eight environments with five tasks each, and trains eight seeds for a million updates. One
# command runs all of this. It estimates the time on your machine, resumes where it was stopped, and ends with a
# table beside the published one:
#
# ```
# sorl-edu benchmark --out runs/ogbench --estimate-only
# sorl-edu benchmark --out runs/ogbench
# ```
#
# On Colab, choose a GPU under Runtime, Change runtime type; then run in a cell
#
# ```
# !pip install "sorl-edu[cuda] @ git+https://github.com/sorl-edu/sorl-edu"
# from google.colab import drive; drive.mount("/content/drive")
# !sorl-edu benchmark --tasks cube-single-play --out /content/drive/MyDrive/ogbench
# ```
#
# The folder is on your Drive, so the next session resumes with the same command. Tasks and seeds are trained
# together, since one agent of this size keeps only a small part of a GPU busy.
#
# **Predict, then run.** One seed of cube-single's five tasks, at the paper's size: how many hours
# would *this* machine need?
#
# > *my prediction:*

# %%
plan = benchmark.Plan(tasks=("cube-single-play",), seeds=1, steps=(8,), candidates=(8,))
(experiment,) = plan.experiments()
guess = benchmark.estimate(experiment, updates=2)
print(
    f"{guess.updates_per_second:.3g} updates/s of all five: {guess.training / 3600:.0f} h of "
    f"training, at most {guess.evaluation / 3600:.1f} h of evaluation"
)

# %% [markdown]
# For comparison, here is the published success in percent (mean and standard deviation over eight seeds, five
# tasks) of SORL and of the ten methods that the paper compares it with.

# %%
pd.DataFrame({env.name: env.published for env in suites.SUITES["ogbench-sorl"]}).T

# %% [markdown]
# We had no GPU for these runs, so it is an open question whether this library reaches that table. It departs
# from the published code in points that matter to hyper-parameters (lesson 4 lists them).
#
# ## Recap
#
# - Data of play contain skill and no purpose. Cloning them succeeds in 8 episodes of 100.
# - Many steps stay close to the data, several candidates give the critic a choice, and only both together
#   work: 0.71 for the cube, 0.79 for the scene, where either alone stays below 0.4.
# - A verifier can be trusted too far: beyond some N, a larger Q is no larger return.
# - A value can be far too low and still choose well. Only the order of the candidates counts.
# - State how sure you are: over seeds, in pairs, with settings that were chosen on other episodes.
#
# ## Three questions
#
# <details><summary>1. Suppose that behaviour cloning imitates the data perfectly. Why does it succeed so
# seldom?</summary>
#
# The data show play: at each moment the robot carries the cube to some random place. A perfect imitation
# carries it to random places, too. The imitation has the skill and lacks the purpose, which rewards provide.
#
# </details>
#
# <details><summary>2. Each seed is evaluated on 1000 episodes instead of 50. How does the interval over four
# seeds change?</summary>
#
# It hardly changes. Differences between the seeds determine its width; more episodes only make each seed's own
# number more precise, and at 50 it is precise enough. More seeds would help.
#
# </details>
#
# <details><summary>3. Values say "20 steps to go" and the episode fails. Name two causes.</summary>
#
# The critic may be wrong in the states that the policy visits, because bootstrapping from actions outside the
# data leads to wrong values. Or it may be right about *some* action that the policy doesn't take.
#
# </details>
#
# ## Further reading
#
# - Park et al., *OGBench: Benchmarking Offline Goal-Conditioned RL*, 2024,
#   [arXiv 2410.20092](https://arxiv.org/abs/2410.20092): the environments and the data.
# - Espinosa-Dice et al., *Scaling Offline RL via Efficient and Expressive Shortcut Models*, 2025,
#   [arXiv 2505.22866](https://arxiv.org/abs/2505.22866): the forty tasks.
# - Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, 2021,
#   [arXiv 2108.13264](https://arxiv.org/abs/2108.13264): how few seeds mislead.
# - Lynch et al., *Learning Latent Plans from Play*, 2019,
#   [arXiv 1903.01973](https://arxiv.org/abs/1903.01973): what data of play are good for.
