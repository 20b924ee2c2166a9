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
# # Lesson 4. SORL
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/04_sorl.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/04_sorl.html)
#
# **You will learn**
# - the three losses that train a shortcut policy in one stage, and how Q's gradient flows through several steps;
# - what the weight of each loss does, and how to see it in pictures;
# - why fewer steps make a greedier policy, and where paper, published code and this library differ.
#
# **You should know** flow matching (lesson 1), self-consistency (lesson 2), the critic (lesson 3).
#
# **Time** about 75 s to run on 2 CPU cores, 60 minutes to read and do.

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
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from scipy import stats

from sorl_edu import evaluate, plotting, summarize
from sorl_edu.agents.agent import act, encode
from sorl_edu.course import shipped
from sorl_edu.course.exercises import sorl as exercises
from sorl_edu.evaluation import success_table
from sorl_edu.flow_matching import flow_matching_loss, grid_times
from sorl_edu.progress import progress_bar
from sorl_edu.shortcut import at_step_size, sample_from, self_consistency_loss

# %matplotlib inline

# %% [markdown]
# The agents below are shipped. `make course-data` trained them; `data/course/manifest.json` has the
# command of each. The switch trains them again.

# %%
GREED = {
    50: "narrow_q_weight_50",
    500: "narrow",
    5000: "narrow_q_weight_5000",
    50_000: "narrow_q_weight_50000",
}
TIE = {10: "narrow", 100: "narrow_consistency_100"}
RETRAIN = False  # True takes about an hour on 2 cores; the pictures then show yours
if RETRAIN:
    shipped.retrain(*dict.fromkeys([*GREED.values(), *TIE.values(), "narrow_cloning"]))

# %% [markdown]
# ## Why follow Q's gradient, and what goes wrong offline
#
# Lesson 3's critic says what an action is worth. A policy can use it in three ways:
#
# 1. *weigh*: clone the recorded actions, the better ones more strongly (advantage-weighted regression, IQL);
# 2. *reject*: clone all of them, draw several, and keep the best (IDQL; best-of-N over a clone);
# 3. *follow the gradient*: change the action in the direction in which Q rises, $\partial Q / \partial a$ (SORL, FQL, TD3+BC).
#
# The first two redistribute what is in the data. The third can find actions that nobody recorded: better ones, and
# ones that only *look* better. A critic is fitted where data are, and extrapolates elsewhere. Online, an agent would try the
# action and learn that it was wrong. Offline nobody tries it. This **extrapolation error** is *the* problem of offline RL.
#
# Here it is in one dimension: an action worth more the larger it is, up to a cliff that nobody went near. The policy
# maximises $w\,Q(a) + \log p(a)$, where $p$ is the density of the recorded actions.
#
# **Predict, then run.** Where is the maximum for a small, a middle and a large $w$, and what is it worth?
#
# > *my prediction:*

# %%
rng = np.random.default_rng(0)
recorded = np.concatenate([rng.normal(-0.55, 0.1, 150), rng.normal(0.1, 0.1, 150)])


def worth(a):
    return np.where(a < 0.4, 0.5 + a, -1.0)  # beyond 0.4 is a cliff


q_1d = np.polynomial.Polynomial.fit(recorded, worth(recorded) + rng.normal(0, 0.3, 300), 2)
log_density = stats.gaussian_kde(recorded, 0.15).logpdf
drawn = rng.choice(recorded, (1000, 8))  # eight clones each time
best_of_8 = np.take_along_axis(drawn, q_1d(drawn).argmax(1)[:, None], 1)
print(f"worth: a clone {worth(recorded).mean():.2f}, the best of 8 {worth(best_of_8).mean():.2f}")

plotting.pull_and_hold(worth, q_1d, log_density, recorded, weights=(0, 10, 100))

# %% [markdown]
# With $w = 0$ the policy imitates. A middle $w$ draws it to the better edge of the data: better than a clone, and better
# than the best of eight. A large $w$ draws it over the cliff, where Q is highest and wrong. Everything in this lesson
# weighs Q's pull against the data's hold.
#
# ## What does the policy want?
#
# It wants three things at once: actions of high value; actions that are in the data; and the same actions in few steps
# as in many. Each wish has a loss, and the weighted sum is
#
# $$w_Q L_Q + w_{FM} L_{FM} + w_{SC} L_{SC}.$$
#
# - $L_Q = -\,\mathrm{mean}\,Q(o, a^\pi, m)\,/\,\mathrm{sg}(\mathrm{mean}\,|Q|)$, where $a^\pi \sim \pi(\cdot \mid o, m)$ and $m$ is drawn from $\{1, 2, \dots, M_{BTT}\}$;
#   $\mathrm{sg}$ stops the gradient, and the division lets $w_Q$ mean the same whatever the rewards' size.
# - $L_{FM}$: flow matching (lesson 1), at the smallest step $h = 1/M$ and its times $\{0, 1/M, \dots\}$.
# - $L_{SC}$: self-consistency (lesson 2), at every larger step, towards the moving average $s'$.
#
# **Predict, then run.** Which of the three compares the policy with the *data's* actions, and at which step sizes?
#
# > *my prediction:*

# %%
ENVIRONMENT = shipped.ENVIRONMENT
data = shipped.narrow_data()  # walks of little noise, as in lessons 0 and 5
agent, state, _ = shipped.agent("narrow")
batch = agent.prepare(data.train).sample(jax.random.key(0), agent.batch_size)
batch = encode(state.encoder, batch)  # networks see features of observations
o, a_1 = batch.observations, batch.actions
M, m = agent.denoise_steps, 4
s, s_average = agent.s(state, state.field.params), agent.s(state, state.field.target)
Q = agent.q(state.critic.params, m)  # Q(o, a, m) as a function of (o, a)
q_key, flow_key, consistency_key = jax.random.split(jax.random.key(1), 3)


@jax.jit
def three_losses(o, a_1):
    a = sample_from(s, o, jax.random.normal(q_key, a_1.shape), m, M)  # a^pi
    q = Q(o, a).mean(0)
    L_Q = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())
    L_FM, _ = flow_matching_loss(at_step_size(s, 1 / M), o, a_1, flow_key, times=grid_times(M))
    L_SC, _ = self_consistency_loss(s, s_average, o, a_1, consistency_key, M)
    loss = agent.q_weight * L_Q + agent.flow_weight * L_FM + agent.consistency_weight * L_SC
    return {"L_Q": L_Q, "L_FM": L_FM, "L_SC": L_SC, "weighted sum": loss}


losses = three_losses(o, a_1)
policy_loss_of_library = jax.jit(agent.policy_loss, static_argnames="steps")
in_library, _ = policy_loss_of_library(state.field.params, state, batch, jax.random.key(1), steps=m)
assert jnp.allclose(losses["weighted sum"], in_library, rtol=1e-3)
{name: round(float(value), 4) for name, value in losses.items()}

# %% [markdown]
# Only $L_{FM}$ has the data's actions as its goal, and only at the smallest step. The larger steps see the data
# indirectly: through self-consistency, which ties them to the smaller ones. Keep that in mind; it explains
# most of this lesson.
#
# One detail of $L_Q$: returns here are negative, so the normalised loss is always near $+1$. Its *gradient* matters.
#
# ### Exercise 4.1 · The Q loss · ★☆☆ · 8 min · 1 point
# You get `critic(obs, actions)`, which returns (ensemble, batch) and is $Q(o, a, m)$ with $m$ bound, as above; `obs`
# (batch, obs); and the policy's `actions` (batch, action). Return the scalar $L_Q$. Q is the mean of the ensemble.
#
# <details><summary>Hint 1</summary>
#
# Which axis of the critic's output is the ensemble? Average over that axis first.
#
# <details><summary>Hint 2</summary>
#
# If the scale could move with the actions, what would the policy gain by making it larger?
#
# <details><summary>Hint 3</summary>
#
# Training descends. When Q rises, this loss must fall.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-4.1"]
def q_loss(critic, obs, actions):
    q = ...
    scale = ...
    return ... * q.mean() / scale


# %% tags=["check-4.1"]
exercises.q_loss(q_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def q_loss(critic, obs, actions):
#     q = critic(obs, actions).mean(0)
#     scale = jax.lax.stop_gradient(jnp.abs(q).mean())
#     return -q.mean() / scale
# ```
#
# </details>

# %% [markdown]
# ## How does Q's gradient flow through several steps?
#
# The action is the end of $m$ Euler steps, $a_{t+h} = a_t + h\,s(a_t, t, h \mid o)$. The derivative of $Q(o, a_1, m)$
# unrolls them from the last to the first:
#
# $$\frac{\partial Q}{\partial a_t} = \frac{\partial Q}{\partial a_1}\prod_{t' \ge t}\Bigl(I + h\,\frac{\partial s}{\partial a_{t'}}\Bigr).$$
#
# **Predict, then run.** Give each step a field of its own (the same parameters, copied). Which step of
# eight gets the largest share of the gradient? And what does a gradient through 8 steps cost, in units of one through 1 step?
#
# > *my prediction:*


# %%
@functools.partial(jax.jit, static_argnames="m")
def gradient_of_each_step(o, noise, m):
    """The norm of dQ/dparameters for the copy of the field at each of m steps, (m,)."""

    def mean_q(copies):
        a_t = noise
        for i in range(m):
            s_i, column = agent.s(state, copies[i]), jnp.ones((len(o), 1))
            a_t = a_t + s_i(o, a_t, i / m * column, 1 / m * column) / m
        return agent.q(state.critic.params, m)(o, jnp.clip(a_t, -1, 1)).mean()

    gradients = jax.grad(mean_q)([state.field.params] * m)
    return jnp.array([jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(g))) for g in gradients])


def measure(m, batches=24):
    norms, times = [], []
    for k in jax.random.split(jax.random.key(2), batches + 1):
        rows_key, noise_key = jax.random.split(k)
        o = state.encoder(data.train.sample(rows_key, 256).observations)
        noise = jax.random.normal(noise_key, (256, 2))
        started = time.perf_counter()
        norms.append(np.asarray(gradient_of_each_step(o, noise, m)))
        times.append(1e3 * (time.perf_counter() - started))
    return np.array(norms[1:]), np.array(times[1:])  # the first compiles


found = {m: measure(m) for m in (1, 2, 4, 8)}
plotting.gradient_of_steps(
    {m: norms for m, (norms, _) in found.items()},
    {m: times.min() for m, (_, times) in found.items()},
)

# %% [markdown]
# With eight steps the last one gets the largest share, and the first about half as much: every step is within Q's
# reach. A gradient through eight steps takes several times as long as one through one step (the right panel has it for
# this machine), since the steps are evaluated and differentiated in turn. $M_{BTT}$, the number of steps that are
# back-propagated through (BTT stands for back-propagation through time), bounds that cost: $L_Q$ never unrolls more
# than $M_{BTT}$ steps.
#
# ### Exercise 4.2 · The policy's action · ★★☆ · 10 min · 2 points
# Write the loop that $L_Q$ differentiates. `s(obs, a_t, t, h)` takes `t` and `h` as (batch, 1) columns and returns a
# velocity (batch, action); `noise` (batch, action) is $a_0$. Return the action after `m` steps, with the gradient through
# all of them.
#
# <details><summary>Hint 1</summary>
#
# Step `i` of `m` starts at $t = i/m$ and has the size $h = 1/m$.
#
# <details><summary>Hint 2</summary>
#
# The field gives a velocity. How far do you move in a time $h$?
#
# </details>
# </details>


# %% tags=["exercise-4.2"]
def policy_action(s, obs, noise, m):
    column, a_t = jnp.ones((len(obs), 1)), noise
    for i in range(m):
        t, h = i / ... * column, ... * column
        a_t = a_t + ... * s(obs, a_t, t, h)
    return jnp.clip(a_t, -1, 1)


# %% tags=["check-4.2"]
exercises.policy_action(policy_action)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def policy_action(s, obs, noise, m):
#     column, a_t = jnp.ones((len(obs), 1)), noise
#     for i in range(m):
#         t, h = i / m * column, 1 / m * column
#         a_t = a_t + 1 / m * s(obs, a_t, t, h)
#     return jnp.clip(a_t, -1, 1)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 4.3 · The policy loss · ★★★ · 12 min · 2 points
# Assemble the loss with the library's `flow_matching_loss` and `self_consistency_loss`, which both return
# `(loss, metrics)`. You get $L_Q$ as `l_q`, the shortcut fields `s` ($s$) and `s_average` ($s'$), a batch, a key for each
# loss, and `weights["q"]`, `weights["flow"]`, `weights["consistency"]`. $M = 8$.
#
# <details><summary>Hint 1</summary>
#
# `flow_matching_loss` is lesson 1's: it takes a field of $(o, a_t, t)$, and draws any time in [0, 1]. SORL matches the
# flow at the smallest step, and at the times that $M$ steps visit.
#
# <details><summary>Hint 2</summary>
#
# `at_step_size(s, 1 / 8)` is the field, and `times=grid_times(8)`; self-consistency takes $M = 8$ as its last argument.
#
# </details>
# </details>


# %% tags=["exercise-4.3"]
def policy_loss(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
    l_fm = ...
    l_sc = ...
    return weights["q"] * l_q + ... * l_fm + ... * l_sc


# %% tags=["check-4.3"]
exercises.policy_loss(policy_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def policy_loss(l_q, s, s_average, obs, actions, flow_key, consistency_key, weights):
#     l_fm, _ = flow_matching_loss(at_step_size(s, 1 / 8), obs, actions, flow_key, times=grid_times(8))
#     l_sc, _ = self_consistency_loss(s, s_average, obs, actions, consistency_key, 8)
#     return weights["q"] * l_q + weights["flow"] * l_fm + weights["consistency"] * l_sc
# ```
#
# </details>

# %% [markdown]
# ## The whole update, by hand
#
# Here is SORL without its class: two losses, two optimizers, two moving averages. Each update draws a batch and a number
# of steps, and changes first the critic (lesson 3), then the policy.
#
# **Predict, then run.** Which loss will *rise* while the agent gets better? And after 6000 updates, at which of (1, 1),
# (8, 1) and (8, 32) will the agent arrive?
#
# > *my prediction:*

# %%
transitions = agent.prepare(data.train)  # with 5-step returns
start = agent.init(jax.random.key(0), transitions)  # fresh networks
adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-4))


def sample(theta, o, key, m):  # a ~ pi(. | o, m), with the gradient through all m steps
    return sample_from(agent.s(start, theta), o, jax.random.normal(key, (len(o), 2)), m, M)


def critic_loss(phi, phi_average, theta, batch, key, m):
    a_next = sample(theta, batch.next_observations, key, m)
    q_next = agent.q(phi_average, m)(batch.next_observations, a_next).mean(0)
    y = batch.rewards + agent.discount**batch.horizons * batch.masks * q_next
    return ((agent.q(phi, m)(batch.observations, batch.actions) - y) ** 2).mean()


def policy_loss_by_hand(theta, theta_average, phi, batch, keys, m):
    o, a_1, s = batch.observations, batch.actions, agent.s(start, theta)
    q = agent.q(phi, m)(o, sample(theta, o, keys[0], m)).mean(0)
    L_Q = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())
    L_FM, _ = flow_matching_loss(at_step_size(s, 1 / M), o, a_1, keys[1], times=grid_times(M))
    L_SC, _ = self_consistency_loss(s, agent.s(start, theta_average), o, a_1, keys[2], M)
    loss = agent.q_weight * L_Q + agent.flow_weight * L_FM + agent.consistency_weight * L_SC
    return loss, {"Q of its actions": q.mean(), "L_FM": L_FM, "L_SC": L_SC}


def descend(loss, learner, *inputs):
    (params, average, moments) = learner
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params, *inputs)
    step, moments = adam.update(gradient, moments)
    return (optax.apply_updates(params, step), average, moments), metrics


@functools.partial(jax.jit, static_argnames="m")
def update(critic, policy, key, m):
    keys = jax.random.split(key, 5)
    batch = encode(start.encoder, transitions.sample(keys[0], agent.batch_size))
    with_metrics = lambda *inputs: (loss := critic_loss(*inputs), {"TD loss": loss})  # noqa: E731
    critic, td = descend(with_metrics, critic, critic[1], policy[0], batch, keys[1], m)
    policy, metrics = descend(policy_loss_by_hand, policy, policy[1], critic[0], batch, keys[2:], m)
    (phi, phi_average, phi_adam), (theta, theta_average, theta_adam) = critic, policy
    phi_average = optax.incremental_update(phi, phi_average, agent.tau)
    theta_average = optax.incremental_update(theta, theta_average, agent.tau)
    return (phi, phi_average, phi_adam), (theta, theta_average, theta_adam), td | metrics


phi, theta = start.critic.params, start.field.params
critic, policy = (phi, phi, adam.init(phi)), (theta, theta, adam.init(theta))
history, draws = [], np.random.default_rng(0).choice([1, 2], 6000)  # m ~ U{1, M_BTT = 2}
for i in progress_bar(range(6000), unit="update"):
    critic, policy, metrics = update(critic, policy, jax.random.key(i), m=int(draws[i]))
    if i % 100 == 99:
        history.append({"update": i + 1} | {name: float(x) for name, x in metrics.items()})

# %%
curves = pd.DataFrame(history).set_index("update").rolling(5).mean().dropna().reset_index()
curves = curves.rename(columns={"L_FM": "flow_loss", "L_SC": "consistency_loss"})
table = curves.melt("update", var_name="metric").assign(split="train", seed=0)
plotting.learning_curves(table)

# %%
mine = start.replace(
    critic=start.critic.replace(params=critic[0], target=critic[1]),
    field=start.field.replace(params=policy[0], target=policy[1]),
)
for m, n in ((1, 1), (8, 1), (8, 32)):
    table, _ = evaluate(agent, mine, ENVIRONMENT, steps=m, candidates=n, episodes=10, seed=0)
    print(f"m = {m}, N = {n}: {table.success.sum():.0f} of 10 episodes arrive")

# %% [markdown]
# - The **self-consistency loss** rises, for some 3000 updates: one step and two steps follow Q, eight steps imitate, so
#   the step sizes grow apart. It is the price of better actions, and no measure of quality.
# - The **flow-matching loss** falls, and is never small: walks that go everywhere can't be predicted.
# - **Q falls** throughout. The policy is not getting worse: values start near 0, and the truth lies far below (lesson 3).
#   The **TD loss** rises and falls with the range of the values.
#
# So none of these curves shows whether the agent is good. Episodes do: after six tenths of the shipped agent's updates,
# this one arrives with eight steps and 32 candidates alone. (One seed. Another key makes another agent.)
#
# ## What does each weight do?
#
# The longer runs are shipped; `make course-data` trained them. Lesson 0's agent has $w_Q = 500$ and $w_{FM} = w_{SC} = 10$,
# the published weights, and $M_{BTT} = 2$. Each arm below (an *arm* is one of the settings that a study compares)
# changes $w_Q$ alone, which the next cell checks.
#
# **Predict, then run.** Success over $w_Q$: does it rise, fall, or do both?
#
# > *my prediction:*

# %%
shipped.differences(*GREED.values(), only=["q_weight"])

# %%
SETTINGS = ((1, 1), (1, 32), (8, 1), (8, 32))


def success_over(arms, name):
    episodes = {value: shipped.episodes(arm) for value, arm in arms.items()}
    eight = {f"{v:,}": summarize(e.query("training_seed < 8")) for v, e in episodes.items()}
    return plotting.success_over(eight, SETTINGS, xlabel=name)


success_over(GREED, "weight of Q, $w_Q$")

# %% [markdown]
# It rises from 50 to 500, and then does neither. With $w_Q = 50$ one step hardly ever arrives alone. From 500 on, no
# difference is larger than its intervals: one step is about as greedy as it can be, and arrives always or never, by
# seed; eight steps imitate whatever $w_Q$ is, since $L_Q$ never reaches them. Greed does its harm elsewhere: at one step
# the best of 32, the greediest setting of all, is no better than a single draw, and lesson 5 shows where it gets stuck.
# (Intervals are wide because there are eight seeds, and because seeds differ. Twenty comparisons of such intervals would
# find one difference by chance.)
#
# Success shows that the agents differ. The action distributions show how.
#
# **Predict, then run.** At lesson 0's junction, how are 400 actions distributed for a small and for a large $w_Q$, with one
# step and with eight?
#
# > *my prediction:*

# %%
STATE = (12.0, 8.0)  # lesson 0's junction: walls to the right, the goal is above


def actions_of(arms):
    agents = {name: shipped.agent(arm)[:2] for name, arm in arms.items()}
    return plotting.compare_actions(agents, STATE, key=jax.random.key(0))


actions_of({f"w_Q = {value:,}": arm for value, arm in GREED.items()})

# %% [markdown]
# With $w_Q = 50$ both policies lie on the ring of the recorded actions. From 500 on one step is a point on the edge of the
# square, where Q is highest. And look at the lower row: at 500 the ring is whole, at 5,000 and 50,000 it dissolves, and
# eight steps propose actions that nobody recorded. How many?

# %%
lengths = {"recorded": np.linalg.norm(np.asarray(data.train.actions), axis=1)}
for value, arm in GREED.items():
    trained, learned, _ = shipped.agent(arm)
    places = data.train.sample(jax.random.key(0), 2000).observations
    a = act(trained, learned, places, jax.random.key(1), steps=8, candidates=1)
    lengths[f"w_Q = {value:,}"] = np.linalg.norm(np.asarray(a), axis=1)
for name, length in lengths.items():
    print(f"{name}: {np.mean(length < 0.7):.1%} of the actions are shorter than 0.7")

# %% [markdown]
# One in a thousand of the recorded actions is that short. Eight steps propose such an action in a tenth of all cases with a
# $w_Q$ of 50 or 500, which is the flow's own error; in a third with 5,000, and in more than half with 50,000. So *too
# large a weight makes even the imitating steps leave the data*: the gradient's norm is clipped, and Q's part takes it all.
# Here the critic's choice still finds the way among such proposals, because a short action costs only time. Where it
# breaks something, as in the picture with the cliff, it would not. (One seed each.)
#
# ## Why are fewer steps greedier?
#
# The losses explain why. They train the field at each step size as follows:
#
# | step size $h$ | towards high $Q$ | towards the data |
# |---|---|---|
# | $1/M$, the smallest | $L_Q$, if $m = M$ is ever drawn | $L_{FM}$, directly |
# | $2/M, \dots, 1/2$ | $L_Q$, if its $m$ is ever drawn | only through $L_{SC}$, from the next smaller step |
# | $1$, the largest | $L_Q$, when $m = 1$ is drawn | only through $L_{SC}$, from step size $1/2$, and so on down |
#
# Flow matching holds only the smallest step to the data. With $M_{BTT} = 2$, Q pulls at the two largest. Between them,
# self-consistency pulls both ways. So these agents are greedy at one and two steps, and imitate at four and eight.
#
# **Predict, then run.** Tie the step sizes together ten times as strongly, $w_{SC} = 100$. Will the steps be alike, and
# will they all be greedy, or all imitate?
#
# > *my prediction:*

# %%
shipped.differences(*TIE.values(), only=["consistency_weight"])
actions_of({f"w_SC = {value}": arm for value, arm in TIE.items()})

# %%
success_over(TIE, "weight of self-consistency, $w_{SC}$")

# %% [markdown]
# They are alike, with spreads of 0.81 and 0.82, and on neither the ring nor the edge: the strong tie drew one step towards
# the data more than eight steps towards Q. The best of 32 has a worse menu then: 0.51 against 0.88, though with eight
# seeds the intervals overlap. (Lesson 5 crosses this weight with $M_{BTT}$.)
#
# ## What does all this buy over imitation?
#
# Behaviour cloning is $L_{FM}$ alone: it has no critic and no choice.
#
# **Predict, then run.** In how many of its episodes does a perfect imitator of this dataset arrive?
#
# > *my prediction:*

# %%
imitation = {"cloning": shipped.episodes("narrow_cloning"), "SORL": shipped.episodes("narrow")}
success_table(imitation, ((1, 1), (8, 1), (1, 32), (8, 32)))

# %%
cloned = shipped.trajectories("narrow_cloning")[8, 1]
plotting.maze_trajectories(ENVIRONMENT, cloned.positions, cloned.success)

# %%
chosen = shipped.trajectories("narrow")[8, 32]
plotting.maze_trajectories(ENVIRONMENT, chosen.positions, chosen.success)

# %% [markdown]
# Cloning never arrives, with any number of steps: it repeats the recorded actions, and these lead everywhere. From the
# same data SORL finds the way. The pictures show one seed; the table covers all.
#
# ## Paper, code, library
#
# An algorithm in a paper, the code that made its tables, and a third person's version are three different things. We
# know of these differences:
#
# | point | paper | published code | here |
# |---|---|---|---|
# | TD target | no gradient | gradient reaches the actor through $a'$ | stopped |
# | optimizers | - | one Adam over all four networks, stepped twice per batch | one per trained network |
# | order | - | policy and targets use parameters from before the update | from after it |
# | critic input | $Q(o, a)$ | $Q(o, a, m)$ | $Q(o, a, m)$; `critic_sees_steps=False` for the paper's |
# | consistency target | $s$ itself | moving average of $s$ | moving average |
# | loss weights | 1, 1, 1 | q_weight, 10, 10, Q normalised | as the code |
# | best-of-N for a batch | - | observations and candidates in different orders | paired, for every batch |
# | $M$ not a power of two; $M_{BTT}$ above $M$ | - | floored; levels that are never trained | an error that says so |
# | random keys | - | one key split twice into the same streams | every draw has its own key |
# | evaluation | - | one episode after the other, global random state | batched, from one seed, paired starts |
#
# Some are bugs, some are choices, and hyper-parameters are tuned to all of them together. So published hyper-parameters
# are a starting point here, not an equivalent.
#
# ## Recap
# - One stage, three losses: high value ($L_Q$), the data's actions ($L_{FM}$), the same action in few steps as in many ($L_{SC}$).
# - Q's gradient flows through every step, and each step adds to its cost, so $M_{BTT}$ bounds their number.
# - $w_Q$ and $w_{FM}$ balance greed against faithfulness to the data.
# - Only the smallest step is held to the data by flow matching, so the fewer the steps, the greedier the policy; $w_{SC}$ sets how much.
#
# ## Three questions
#
# <details><summary>1. Why does L_Q not train the critic's parameters?</summary>
#
# Otherwise the critic would learn to praise the policy's actions: the easiest way to make Q large is to change Q. The
# critic learns from the TD target alone.
#
# </details>
#
# <details><summary>2. Rewards are multiplied by ten. What must q_weight become?</summary>
#
# It stays the same. Q grows tenfold (once learned), and so does the mean |Q| by which it is divided.
#
# </details>
#
# <details><summary>3. With w_Q = 0, what is the 1-step policy?</summary>
#
# A shortcut model of the data (lesson 2): behaviour cloning in one jump, with a critic that learns but has no influence.
# Best-of-N could still use the critic to choose.
#
# </details>
#
# ## Further reading
# - Espinosa-Dice et al., [SORL](https://arxiv.org/abs/2505.22866): the paper of this lesson.
# - Park et al., [Flow Q-learning (FQL)](https://arxiv.org/abs/2502.02538): distils the flow into a one-step policy and never back-propagates through steps.
# - Wang et al., [Diffusion-QL](https://arxiv.org/abs/2208.06193): the same idea with diffusion, through all steps.
# - Park et al., [OGBench](https://arxiv.org/abs/2410.20092): the benchmark.
# - Fujimoto et al., [TD3](https://arxiv.org/abs/1802.09477), and its offline variant's normalised Q loss.
