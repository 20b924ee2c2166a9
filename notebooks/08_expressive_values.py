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
# # Lesson 8. Expressive values
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/08_expressive_values.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/08_expressive_values.html)
#
# **You will learn**
# - what a critic forgets that learns a mean, and how a flow learns the whole distribution of the return;
# - how one flow, trained once, is read at any temperature: from the mean to the luckiest return;
# - when that optimism is right, and when it flatters luck.
#
# **You should know** lessons 1, 3 and 5.
#
# **Time** about 30 s to run on 2 CPU cores, 50 minutes to read and do.

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
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sorl_edu import expressive_value as ev
from sorl_edu import plotting
from sorl_edu.agents.agent import propose
from sorl_edu.course import shipped
from sorl_edu.course.exercises import expressive_value as exercises
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.inference import choose_softly
from sorl_edu.networks import ReturnFieldEnsemble
from sorl_edu.temporal_difference import Batch, polyak_average
from sorl_edu.widgets import ReturnDistributionExplorer

# %matplotlib inline

# %% [markdown]
# ## A mean forgets
#
# Two doors. Behind the first, a road pays 0.5. Behind the second stands a junction, at which *the data* go left or right
# by chance: left pays 1, right pays 0. The critic of lesson 3 learns the mean of the return, and calls both doors equal.
#
# **Predict.** You may choose the door, and at the junction you may choose again. Which door do you take?
#
# > *my prediction:*
#
# The second one: at the junction you will go left. The data go right half of the time, and you won't. The mean of
# their returns has forgotten that a return of 1 was there for the taking. An agent that keeps the *distribution* of the
# return, and not its mean alone, can decide later how much to trust its upper end.
#
# The critics of lessons 3 to 7 have a greedy policy in their targets, so that they learn what a better policy will
# get. Then the policy and the critic must be trained together, and how greedy they are is decided before training.
# **EVOR** takes the other way. One flow clones the data's policy, the *base policy* $\pi_0$. A second flow learns the
# distribution of $\pi_0$'s return. Neither is ever optimised against the other, and all greed is left to test time.
#
# ## The return's distribution, as a flow
#
# The return that follows action $a$ in state $o$ is a single number, $z$. A flow (lesson 1) turns noise
# $z_0 \sim \mathcal{N}(0, 1)$ into draws of it. Its data are not recorded, they are *bootstrapped* (lesson 3): a reward,
# and a return of the next state,
#
# $$y = (1 - \gamma)\, r + \gamma^k\, \mathrm{mask}\; z', \qquad z' = \mathrm{ODE}_{u'}(z_0' \mid o', a'), \quad a' \sim \pi_0(\cdot \mid o').$$
#
# The factor $1 - \gamma$ puts returns on the *unit scale*: they lie in the range of a single reward, whatever $\gamma$ is, and
# noise of deviation 1 is neither far too wide nor far too narrow.
#
# ### Exercise 8.1 · A drawn return · ★☆☆ · 5 min · 1 point
# Write the target. `z_next` are draws of $z'$, on the unit scale; `rewards` are sums of `horizons` $= k$ discounted rewards;
# `masks` are 0 where the task has ended. All are (batch,), and so is $y$, from which the target network learns nothing.
#
# <details><summary>Hint 1</summary>
#
# In lesson 3 the target had $r$ where this one has $(1 - \gamma)\, r$.
#
# <details><summary>Hint 2</summary>
#
# Is $z'$ to be multiplied by $1 - \gamma$ as well? On which scale is it?
#
# </details>
# </details>


# %% tags=["exercise-8.1"]
def return_target(z_next, rewards, masks, horizons, discount):
    y = ...
    return jax.lax.stop_gradient(y)


# %% tags=["check-8.1"]
exercises.return_target(return_target)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def return_target(z_next, rewards, masks, horizons, discount):
#     y = (1 - discount) * rewards + discount**horizons * masks * z_next
#     return jax.lax.stop_gradient(y)
# ```
#
# </details>

# %% [markdown]
# A world that is small enough to know the truth: five places in a row. Right of the last one the task ends; every step
# costs 1. The data go right in seven of ten steps, and else left.

# %%
PLACES, GAMMA, RIGHT = 5, 0.9, 0.7
rng = np.random.default_rng(0)


def walk(places, actions):
    """The next places; from PLACES on, the task has ended."""
    return np.maximum(places + actions, 0)


def actions_of_data(count):
    return rng.choice([1, -1], count, p=[RIGHT, 1 - RIGHT])


def simulated(place, action, episodes=20_000):
    """Returns on the unit scale of episodes that begin with the action in the place."""
    places, actions = np.full(episodes, place), np.full(episodes, action)
    z, goes_on = np.zeros(episodes), np.ones(episodes)
    for step in range(150):
        z -= (1 - GAMMA) * GAMMA**step * goes_on
        places = walk(places, actions)
        goes_on *= places < PLACES
        actions = actions_of_data(episodes)
    return z


def one_hot(places):
    return jnp.asarray(np.eye(PLACES)[np.minimum(places, PLACES - 1)], jnp.float32)


places = rng.integers(0, PLACES, 20_000)
actions = actions_of_data(20_000)
data = Batch(
    observations=one_hot(places),
    actions=jnp.asarray(actions[:, None], jnp.float32),
    rewards=-jnp.ones(20_000),
    masks=jnp.asarray(walk(places, actions) < PLACES, jnp.float32),
    horizons=jnp.ones(20_000),
    next_observations=one_hot(walk(places, actions)),
)

# %% [markdown]
# Training is lesson 3's, with another loss. `td_flow_loss` draws the target, and matches the flow to it.

# %%
network = ReturnFieldEnsemble((32, 32), ensemble=1, layer_norm=False)
adam = optax.adam(2e-3)


def u(params):  # u(z_t, t | o, a)
    return lambda *inputs: network.apply(params, *inputs)[0]


def update(state, key):
    params, average, moments = state
    rows_key, action_key, loss_key = jax.random.split(key, 3)
    rows = jax.random.randint(rows_key, (256,), 0, len(data.rewards))
    batch = jax.tree.map(lambda column: column[rows], data)
    a_next = jnp.where(jax.random.uniform(action_key, (256, 1)) < RIGHT, 1.0, -1.0)  # ~ pi_0

    def loss(params):
        options = {"discount": GAMMA, "steps": 4, "bootstrap": "coupled"}
        return ev.td_flow_loss(u(params), u(average), batch, a_next, loss_key, **options)[0]

    change, moments = adam.update(jax.grad(loss)(params), moments)
    params = optax.apply_updates(params, change)
    return (params, polyak_average(average, params, 0.01), moments), None


@jax.jit
def train(state, key):
    """100 updates."""
    return jax.lax.scan(update, state, jax.random.split(key, 100))[0]


params = network.init(jax.random.key(0), *network.inputs(data.observations[:1], data.actions[:1]))
state = params, params, adam.init(params)
learned = {}
for updates in range(100, 5001, 100):
    state = train(state, jax.random.key(updates))
    learned[updates] = state[1]

# %% [markdown]
# Before the flow has learned, its returns are close to the noise. Its knowledge then spreads from the end of the task
# backwards, a step at a time.
#
# **Predict, then run.** In the middle place, how will the returns of the two actions differ: in their mean alone, or
# also in their shape?
#
# > *my prediction:*

# %%
Z = np.linspace(-1, 0, 101)


def share_below(returns):
    return (np.asarray(returns)[:, None] <= Z).mean(0)


@jax.jit
def returns_of(params, obs, action):
    return ev.sample_returns(u(params), obs, action, ev.normal_quantiles(2000), 8)[:, 0]


def learned_share(updates, place, action):
    at = one_hot([place]), jnp.array([[float(action)]])
    return share_below(returns_of(learned[updates], *at))


plotting.line_panels(
    {
        f"one step to the {side}": {
            **{f"after {n} updates": learned_share(n, 2, a) for n in (100, 500, 5000)},
            "simulated": share_below(simulated(2, a)),
        }
        for side, a in (("right", 1), ("left", -1))
    },
    Z,
    xlabel="return z, on the unit scale",
    ylabel="share of returns below z",
)

# %% [markdown]
# The simulated distribution has jumps, since an episode takes a whole number of steps; the flow's is smooth, and follows
# it. The shapes differ, too: after a step to the left the best return is lower, and fewer episodes come close to it.
#
# ## One flow, every temperature
#
# How should the samples be read? The mean is what lesson 3's critic knows. The largest of them is what the luckiest
# episode got. Between them lies, for every temperature $\tau_R$,
#
# $$Q_\tau(o, a) = \tau_R \ln \frac{1}{N_R} \sum_{i=1}^{N_R} e^{z^{(i)} / \tau_R}.$$
#
# At $\tau_R = \infty$ it is the mean, at 0 the largest sample.
#
# ### Exercise 8.2 · The read-out · ★★☆ · 10 min · 2 points
# Write it. `returns` are (samples, batch), and `temperature` is $\tau_R > 0$. The exponentials must not vanish: at
# $\tau_R = 0.002$ and $z = -0.5$, $e^{-250}$ is 0 in 32 bits.
#
# <details><summary>Hint 1</summary>
#
# For every number $c$, $\tau \ln \sum e^{z / \tau} = c + \tau \ln \sum e^{(z - c) / \tau}$. Which $c$ makes no exponential
# larger than 1, and at least one equal to 1?
#
# <details><summary>Hint 2</summary>
#
# Over which axis is the mean? There is one read-out for each member of the batch.
#
# </details>
# </details>


# %% tags=["exercise-8.2"]
def log_mean_exp(returns, temperature):
    largest = returns.max(axis=0)
    exponentials = ...
    return largest + temperature * jnp.log(exponentials.mean(axis=0))


# %% tags=["check-8.2"]
exercises.log_mean_exp(log_mean_exp)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def log_mean_exp(returns, temperature):
#     largest = returns.max(axis=0)
#     exponentials = jnp.exp((returns - largest) / temperature)
#     return largest + temperature * jnp.log(exponentials.mean(axis=0))
# ```
#
# </details>

# %% [markdown]
# For a normal distribution $\mathcal{N}(\mu, \sigma^2)$ the read-out of infinitely many samples is known:
# $\mu + \sigma^2 / (2 \tau_R)$. With few samples, it can't be larger than the largest of them.
#
# **Predict, then run.** Below which temperature does the read-out of 8 samples fall short, for $\sigma = 1$? How many
# samples would help?
#
# > *my prediction:*

# %%
TEMPERATURES = (0.125, 0.25, 0.5, 1, 2, 4)
drawn = jnp.asarray(np.random.default_rng(1).normal(size=(2000, 1000)), jnp.float32)
plotting.lines(
    {
        f"{count} samples": [float(ev.log_mean_exp(drawn[:count], t).mean()) for t in TEMPERATURES]
        for count in (8, 128, 2000)
    }
    | {"infinitely many": [1 / (2 * t) for t in TEMPERATURES]},
    TEMPERATURES,
    xlabel="temperature, in standard deviations",
    ylabel="read-out above the mean",
    log_x=True,
)

# %% [markdown]
# At a temperature of one deviation, 8 samples bring four fifths of what infinitely many would. At an eighth of it, 2,000
# bring less than two thirds: the samples that would decide are too rare to be drawn. So a temperature has a meaning only
# beside the deviation of the returns, which is why returns and temperatures are on the unit scale.
#
# ## When is optimism right?
#
# At the two doors it is. Behind the second, returns are 1 and 0, because *the data's policy* acts by chance, and you can
# act better. Where the world has no chance and $\gamma = 1$, this is exact: $Q_\tau$ is the value of the best policy that
# pays $\tau_R$ for every nat of its KL divergence from $\pi_0$.
#
# Now let the second door lead to a lottery that pays 1 in four of ten cases. Nobody can choose to win.
#
# **Predict, then run.** From which temperature on does the read-out prefer the certain 0.5?
#
# > *my prediction:*

# %%
LOTTERY = jnp.asarray([[1.0]] * 4 + [[0.0]] * 6)
TAUS = np.linspace(0.1, 4, 79)
plotting.lines(
    {"lottery, read-out": [float(ev.log_mean_exp(LOTTERY, float(t))[0]) for t in TAUS]},
    TAUS,
    xlabel="temperature tau_R",
    ylabel="value",
    level=("the certain 0.5", 0.5),
)

# %% [markdown]
# Below 1.2 it takes the lottery, which has a mean of 0.4. The distribution does not say *whose* chance it was: the
# policy's, which we may use, or the world's, which we may not. Only the mean is never deceived by the world's luck, and
# only optimism sees what the policy missed. The mazes and robots of this course have hardly any chance of their own.
#
# ## The choice
#
# Candidates $a^{(1)} \dots a^{(N)}$ come from $\pi_0$, and the best can be taken, as in lesson 5. Or one is drawn, with the
# probability $\mathrm{softmax}_n\, Q(o, a^{(n)}) / \tau_Q$. At $\tau_Q = 0$ this is the best of $N$, and at $\infty$ cloning.
#
# ### Exercise 8.3 · The choice · ★☆☆ · 5 min · 1 point
# Write the probabilities of the candidates. `q` is (candidates, batch), and so is the result; `temperature` is
# $\tau_Q > 0$.
#
# <details><summary>Hint</summary>
#
# The candidates of one observation compete with each other, and not with those of another.
#
# </details>


# %% tags=["exercise-8.3"]
def choice_probabilities(q, temperature):
    return ...


# %% tags=["check-8.3"]
exercises.choice_probabilities(choice_probabilities)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def choice_probabilities(q, temperature):
#     return jax.nn.softmax(q / temperature, axis=0)
# ```
#
# </details>

# %% [markdown]
# Which policy is this? As $N$ grows it tends to $\pi(a) \propto \pi_0(a)\, e^{Q(a) / \tau_Q}$: the exact answer of lesson 7's weighted
# regression, without any training. Statisticians know it as *sampling-importance-resampling*.
#
# **Predict, then run.** Five actions, equally likely in the data, and $\tau_Q = 0.2$. How many candidates does it take?
#
# > *my prediction:*

# %%
Q = jnp.array([0.0, 0.2, 0.4, 0.6, 0.8])
TEMPERATURE = 0.2
tends_to = jax.nn.softmax(Q / TEMPERATURE)


def chosen(n, decisions=20_000):
    """How often each action is chosen among n candidates."""
    noise, choice = jax.random.split(jax.random.key(n))
    candidates = jax.random.randint(noise, (n, decisions), 0, len(Q))
    taken = choose_softly(Q[candidates], TEMPERATURE, choice)
    actions = jnp.take_along_axis(candidates, taken[None], axis=0)[0]
    return np.bincount(np.asarray(actions), minlength=len(Q)) / decisions


plotting.lines(
    {f"N = {n}": chosen(n) for n in (1, 4, 32)} | {"it tends to": tends_to},
    range(len(Q)),
    xlabel="action",
    ylabel="how often it is chosen",
    bottom=0,
)

# %% [markdown]
# With one candidate there is no choice. With 32, the policy is close to its limit.
#
# ## The agent
#
# `sorl_edu/agents/evor.py` is made of these parts: a flow that clones, a flow of returns, a read-out, a choice. Five
# dials are turned at test time, with one state: policy steps $m$, candidates $N$, returns $N_R$, and the temperatures
# $\tau_R$ and $\tau_Q$:
#
#     agent = preset("evor/pointmaze")
#     optimist = with_dials(agent, return_temperature=0.1)     # acts with the same state
#
# Only the abstract and the reviews of EVOR's paper could be read. The top of `sorl_edu/expressive_value.py` says which
# parts are certain, and which this course has reconstructed.
#
# ## In the maze
#
# This agent learned from lesson 3's data. Every candidate at the junction has a curve: the returns that follow if the agent
# takes that action first, and then acts as the data do.
#
# **Predict.** You turn $\tau_R$ from the mean to the largest return. Where do the read-outs, the dots below the curves,
# move? Will another candidate win?
#
# > *my prediction:*

# %%
agent, state, info = shipped.evor()
ReturnDistributionExplorer(agent, state, info.environment, place="junction")

# %% [markdown]
# All read-outs move to the right, and at the junction they move apart. A candidate whose curve lies right of all others wins
# at every temperature; where curves cross, the temperature decides. Then turn $\tau_Q$, and see the probabilities, which are
# the sizes of the dots on the left, become equal. Turn $N$ to 1: the walks on the right stay near the junction, as the base
# policy's do. With `places={"mine": (5, 5)}` the explorer shows a state of your own.
#
# ### How often does the temperature decide?
#
# **Predict, then run.** In how many places of the maze does another of 32 candidates win than by the mean?
#
# > *my prediction:*

# %%
points, free = maze_geometry(info.environment).points(per_cell=2)
states = jnp.asarray(points[free])
candidates = propose(agent, state, states, jax.random.key(0), steps=8, candidates=32).actions
read = partial(agent.returns, state, states, samples=8)
returns = jax.vmap(read, out_axes=1)(candidates)  # (samples, candidates, states)
by_mean = returns.mean(0).argmax(0)
for tau in (0.3, 0.1, 0.0):
    other = ev.log_mean_exp(returns, tau).argmax(0) != by_mean
    print(f"tau_R = {tau}: another candidate in {other.mean():.0%} of {len(states)} places")

# %% [markdown]
# In most places the winner is the same. But an episode has hundreds of steps, so that even rare differences can lead
# elsewhere. `make evor` measured success on five tasks of this maze with three agents each. Without a choice it was 0.01.
# Among 32 candidates it was 0.76 by $\tau_R = 0.1$, and by the mean 0.56; but the 95% interval of that difference contains
# zero. In task 4 the agents stand at a wall behind which the goal lies, by $\tau_R = 0.1$ in every episode.
# `data/evor/README.md` has what critics reach that know less of the return.
#
# ### Why the same noise for all candidates?
#
# **Predict, then run.** Which is wider: the returns of one candidate, or the candidates' means?
#
# > *my prediction:*

# %%
within, between = returns.std(0), returns.mean(0).std(0)
print(f"deviation of one candidate's return: {jnp.median(within):.3f}")
print(f"of the mean of 8 independent draws:  {jnp.median(within) / 8**0.5:.3f}")
print(f"of the means of 32 candidates:       {jnp.median(between):.3f}")

# %% [markdown]
# Candidates differ by one small step at the beginning of a long way. If each mean came from 8 draws of its own, their luck
# would choose, and not the action. So the agent carries the same noise through every candidate's flow, and takes quantiles
# of $\mathcal{N}(0, 1)$ in the place of draws.
#
# ### What do the knobs cost?
#
# **Predict, then run.** Lesson 5's best-of-32 with 8 steps takes 320 network evaluations. And here?
#
# > *my prediction:*


# %%
def network_evaluations(n, n_r, m=8):
    """For one action: m by the policy, and two in each midpoint step of both return networks."""
    return n * (m + n_r * agent.value_steps * 2 * 2)


for n, n_r in ((8, 2), (8, 8), (32, 8)):
    print(f"N = {n}, N_R = {n_r}: {network_evaluations(n, n_r):,}")

# %% [markdown]
# A distribution costs more than a number: the critic of lesson 5 needs two evaluations for a candidate, and this one 128. $N$
# and $N_R$ multiply. Temperatures are free.
#
# ## Recap
# - A critic that learns a mean of the data's returns forgets what was there for the taking.
# - A flow learns the return's distribution by bootstrapped flow matching; the unit scale gives noise and temperatures a size.
# - $\tau_R$ reads it between the mean and the largest, without training; few samples can't show a low temperature.
# - Optimism is right about the policy's chance, and wrong about the world's.
# - A soft choice among $N$ candidates tends to $\pi_0\, e^{Q / \tau_Q}$.
#
# ## Three questions
#
# <details><summary>1. EVOR's critic learns the returns of the data's policy, and SORL's those of a greedy one. What does EVOR gain?</summary>
#
# Two regressions that don't disturb each other, and a greed that is chosen after training. It loses the look ahead: its
# values are those of acting like the data from the next step on, unless the temperature reads more out of them.
#
# </details>
#
# <details><summary>2. Why may EVOR sum a hundred rewards before its bootstrap, and SORL not?</summary>
#
# The hundred rewards are those of the data's policy. That is the policy whose returns EVOR learns, so that they are right for
# every n. SORL wants the returns of a better policy, from which the data differ more with every step.
#
# </details>
#
# <details><summary>3. With more return samples, does the read-out rise at $\tau_R = 0$? And at $\tau_R = \infty$?</summary>
#
# At 0 it rises: the largest of more samples is larger, so that $N_R$ is a second knob of optimism. At infinity it is a mean,
# which more samples make more exact, and not larger.
#
# </details>
#
# ## Further reading
# - Espinosa-Dice, Brantley and Sun, [EVOR](https://arxiv.org/abs/2510.08218): expressive values for scalable offline RL.
# - Bellemare et al., [A distributional perspective](https://arxiv.org/abs/1707.06887): the distribution of the return, and its Bellman equation.
# - Farebrother et al., [Temporal difference flows](https://arxiv.org/abs/2503.09817): flow matching of what is bootstrapped.
# - Zhou et al., [Q#](https://arxiv.org/abs/2502.20548): the read-out, where transitions are deterministic.
