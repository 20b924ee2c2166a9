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
# # Lesson 7. Ten ways to use a dataset
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sorl-edu/sorl-edu/blob/main/notebooks/07_ten_ways_to_use_a_dataset.ipynb) [with its pictures, on the web](https://sorl-edu.github.io/sorl-edu/notebooks/07_ten_ways_to_use_a_dataset.html)
#
# **You will learn**
# - four answers to the question "which action?", given the same data and the same critic;
# - what the one knob of each method does, and where each method goes wrong;
# - how SORL and ten other methods are built from these answers.
#
# **You should know** lessons 3 to 5.
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
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from sorl_edu import plotting
from sorl_edu import policy_extraction as extraction
from sorl_edu.course import shipped
from sorl_edu.course.exercises import policy_extraction as exercises
from sorl_edu.experiments import statistics, suites
from sorl_edu.flow_matching import integrate
from sorl_edu.widgets import PolicyExtractionExplorer

# %matplotlib inline

# %% [markdown]
# ## What is the question?
#
# A dataset says what was done; a critic says what that is worth. The policy must still be made. This step is
# called *policy extraction*, and the methods of offline RL differ in it more than in anything else.
#
# A problem with one state and one number as the action shows all of it. The data have two modes: seven of ten
# actions lie around $-0.5$, three around $0.5$. $Q$ is higher at the rarer mode, and highest a little to its right. Near
# $1$ it rises again, where there are no data. That is a mistake, of the kind that critics make where they have seen
# nothing.

# %%
A = np.linspace(-1, 1, 1001)  # actions
STEP = A[1] - A[0]


def bump(a, centre, width):
    return np.exp(-((a - centre) ** 2) / (2 * width**2))


def normalized(density):
    return density / (density.sum() * STEP)


def q(a):
    """The critic: two hills where the data are, and an error where there are none."""
    return 0.6 * bump(a, -0.5, 0.25) + bump(a, 0.55, 0.2) + 1.5 * bump(a, 1.0, 0.12)


Q = q(A)
DATA = normalized(0.7 * bump(A, -0.5, 0.1) + 0.3 * bump(A, 0.5, 0.1))
MEAN = (DATA * A).sum() * STEP
plotting.lines(
    {"density of the data": DATA, "Q": Q},
    A,
    xlabel="action a",
    ylabel="density, or Q",
    level=("0", 0.0),
)

# %% [markdown]
# **Predict.** Which action would you take? And which one does a policy take that climbs $Q$ and knows no data?
#
# > *my prediction:*
#
# The best action *that the data support* lies near $0.55$. A policy that climbs $Q$ alone ends at $1$, at the critic's
# mistake. All methods below look for the first and avoid the second, in four ways.
#
# ## How good is usual?
#
# Is $Q = 0.6$ good? It is if the usual action has less. So the first three methods learn a *value function* $V$ beside
# the critic, and call $A(a) = Q(a) - V$ the *advantage*. $V$ could be the mean of $Q$ over the data's actions. IQL takes
# more than the mean: the *expectile*. It is where a squared error is least whose two sides count differently,
#
# $$\min_V\; \mathbb{E}_{a \sim \beta}\, \lvert k - \mathbf{1}(u < 0) \rvert\, u^2, \qquad u = Q(a) - V.$$
#
# **Predict, then run.** Which $k$ gives the mean? What does $V$ approach if $k$ approaches 1?
#
# > *my prediction:*

# %%
DRAWN = np.random.default_rng(0).choice(A, 2000, p=DATA * STEP)  # 2,000 actions of the data
EXPECTILES = np.linspace(0.02, 0.999, 60)
plotting.lines(
    {"V": [stats.expectile(q(DRAWN), alpha=k) for k in EXPECTILES]},
    EXPECTILES,
    xlabel="expectile k",
    ylabel="V",
    level=("the best action of the data", q(DRAWN).max()),
)

# %% [markdown]
# At $k = 0.5$ both sides count alike, and $V$ is the mean. Towards 1, $V$ approaches the best that *the data* do. So
# IQL's critic can learn from $y = r + \gamma\,\mathrm{mask}\,V(o')$: a look ahead to a better policy than that of the data,
# without asking $Q$ about any action that the data lack. (In lesson 3, the look-up of $Q(o', a')$ needed an action
# $a'$ of the policy.)
#
# ### Exercise 7.1 · The expectile · ★★☆ · 10 min · 2 points
# Write the loss of $V$. `values` are $V(o)$ and `q` are $Q(o, a)$ of the data's actions, both (batch,); `expectile` is $k$.
# The first and the last line are there. Return the mean over the batch; $Q$ must not learn from it.
#
# <details><summary>Hint 1</summary>
#
# `u` is positive where $V$ is too low. How much does that side count? `jnp.where(condition, a, b)` chooses row by row.
#
# <details><summary>Hint 2</summary>
#
# $\lvert k - 1 \rvert = 1 - k$.
#
# </details>
# </details>


# %% tags=["exercise-7.1"]
def expectile_loss(values, q, expectile):
    u = jax.lax.stop_gradient(q) - values
    weight = ...
    return jnp.mean(weight * u**2)


# %% tags=["check-7.1"]
exercises.expectile_loss(expectile_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def expectile_loss(values, q, expectile):
#     u = jax.lax.stop_gradient(q) - values
#     weight = jnp.where(u < 0, 1 - expectile, expectile)
#     return jnp.mean(weight * u**2)
# ```
#
# </details>

# %% [markdown]
# ## Answer 1: imitate, good actions more
#
# Behaviour cloning imitates all actions alike. *Weighted regression* imitates an action the more, the larger its
# advantage:
#
# $$w(a) = \min\bigl(e^{\alpha A(a)},\, w_{\max}\bigr).$$
#
# A policy that can represent any density, a flow for example, then ends at $\pi(a) \propto \beta(a)\, w(a)$, where
# $\beta$ is the density of the data. Without the limit, this is the exact answer to a question worth asking: which policy
# has the highest mean $Q$ among all that differ from the data by a given KL divergence? So the right answer is known
# here, for every $\alpha$.
#
# **Predict, then run.** With $\alpha = 0$, 2 and 10, how much of the density is left at the mode on the left?
#
# > *my prediction:*

# %%
V = stats.expectile(q(DRAWN), alpha=0.9)


def reweighted(alpha, largest=100.0):
    """The density that weighted regression ends at."""
    weights = extraction.advantage_weights(jnp.asarray(Q - V), float(alpha), largest)
    return normalized(DATA * np.asarray(weights))


plotting.lines(
    {f"alpha = {alpha}": reweighted(alpha) for alpha in (0, 2, 10)},
    A,
    xlabel="action a",
    ylabel="density of the policy",
)

# %% [markdown]
# The weights move density from the left mode to the right one. They never make any where the data have none: the
# critic's mistake does no harm. That is the strength of this answer, and its limit: the policy is never better than
# the best of the data.
#
# **IQL** has a Gaussian of fixed deviation in the place of a flow. Its mean is the *weighted mean* of the data's actions.
#
# **Predict, then run.** Where is that mean if $\alpha$ is small?
#
# > *my prediction:*

# %%
ALPHAS = np.linspace(0, 20, 81)
plotting.lines(
    {"IQL's action": [(reweighted(alpha) * A).sum() * STEP for alpha in ALPHAS]},
    ALPHAS,
    xlabel="alpha",
    ylabel="action",
    level=("the mode on the right", 0.5),
)

# %% [markdown]
# With a small $\alpha$ the mean lies between the modes, where the data have no action (lesson 3). A large one brings it to
# the better mode. **FAWAC** is weighted regression with a flow, which has no such trouble.
#
# ### Exercise 7.2 · The weight of an action · ★★☆ · 10 min · 2 points
# Write the loss of a Gaussian policy of deviation 1. `mu` and `actions` are (batch, action), `q` and `values` (batch,);
# `alpha` is $\alpha$ and `largest` $w_{\max}$. Fill the weights, (batch,). They are constants, which the last line sees to.
#
# <details><summary>Hint 1</summary>
#
# The advantage says how much better an action is than usual in its state.
#
# <details><summary>Hint 2</summary>
#
# What must not exceed `largest`: the exponent, or the weight?
#
# </details>
# </details>


# %% tags=["exercise-7.2"]
def weighted_loss(mu, actions, q, values, alpha, largest):
    weights = ...
    errors = ((mu - actions) ** 2).sum(-1) / 2
    return jnp.mean(jax.lax.stop_gradient(weights) * errors)


# %% tags=["check-7.2"]
exercises.weighted_loss(weighted_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def weighted_loss(mu, actions, q, values, alpha, largest):
#     weights = jnp.minimum(jnp.exp(alpha * (q - values)), largest)
#     errors = ((mu - actions) ** 2).sum(-1) / 2
#     return jnp.mean(jax.lax.stop_gradient(weights) * errors)
# ```
#
# </details>

# %% [markdown]
# ## Answer 2: imitate, and choose
#
# The second answer leaves the policy a clone, and lets the critic choose among $N$ of its actions (lesson 5). It needs
# no further training, so $N$ can be turned at test time. **IDQL** draws from a diffusion model, **IFQL** from a flow; both
# have IQL's critic. **BFN**'s critic learns the value of its own choice.
#
# The density of the best of $N$ is known, too. With $F(a)$ the share of the data's actions that $Q$ calls no better
# than $a$,
#
# $$\pi_N(a) = N\, \beta(a)\, F(a)^{N-1}.$$
#
# **Predict, then run.** Weighted regression with $\alpha = 10$ left 6% of the density at the left mode. How many candidates
# leave as little?
#
# > *my prediction:*


# %%
def best_of(n):
    """The density of the best of n actions of the data."""
    order = np.argsort(Q)
    share = np.empty_like(Q)
    share[order] = np.cumsum(DATA[order]) * STEP  # F(a)
    return normalized(n * DATA * share ** (n - 1))


plotting.lines(
    {f"N = {n}": best_of(n) for n in (1, 4, 32)},
    A,
    xlabel="action a",
    ylabel="density of the policy",
)

# %% [markdown]
# Seven of ten actions are of the left mode, and so are all of four candidates in a quarter of the cases ($0.7^4 = 0.24$), of
# eight in 6%. Then the critic has nothing better to choose. More candidates also gather at the top of $Q$ within
# the right mode. How far does the choice lead away from the data? Its KL divergence from them is
# $\log N - (N - 1)/N$, whatever the critic says:

# %%
for n in (2, 4, 8, 32):
    chosen = best_of(n)
    some = chosen > 0
    divergence = (chosen[some] * np.log(chosen[some] / DATA[some])).sum() * STEP
    assert abs(divergence - (np.log(n) - (n - 1) / n)) < 0.01
    print(f"N = {n}: {divergence:.2f} nats")

# %% [markdown]
# Choice is a *tame* improvement: to go as far as 2.5 nats takes 32 candidates, and the critic's mistake near $1$ stays out
# of reach until the clone itself acts there.
#
# ## Answer 3: climb Q, and pay for the distance
#
# The third answer follows the critic's gradient. It can find an action that is better than all of the data's, and the
# critic's mistakes as well. So a penalty holds it to the data. **ReBRAC** has one action for a state, and pays for its
# distance from the data's:
#
# $$\max_\mu\; Q(\mu) - \alpha\, \mathbb{E}_{a \sim \beta}\,(\mu - a)^2.$$
#
# **Predict, then run.** The penalty is least at the *mean* of the data. What does a large $\alpha$ lead to? And a small one?
#
# > *my prediction:*


# %%
def rebrac(alpha):
    """What ReBRAC maximises: Q, minus alpha times the mean squared distance from the data."""
    squares = (DATA[None] * (A[:, None] - A) ** 2).sum(1) * STEP
    return Q - alpha * squares


for alpha in (0.1, 0.75, 1, 10):
    print(f"alpha = {alpha}: action {A[rebrac(alpha).argmax()]:+.2f}")
plotting.lines(
    {f"alpha = {alpha}": rebrac(alpha) for alpha in (0.1, 0.75, 1, 10)},
    A,
    xlabel="action a",
    ylabel="Q minus penalty",
    level=("0", 0.0),
    bottom=-2,
)

# %% [markdown]
# One number has to do two things. If it is small, the policy climbs to the critic's mistake. If it is large, the policy
# stands between the modes, or at the mode that is nearer to the mean. A window of good values lies between, from 0.68 to
# 0.89 here: this is why methods are tuned for each environment, and why a comparison must say at what cost.
#
# A policy that turns noise into actions has a way out: each noise $z$ has an action of its own, and so a penalty of its
# own. **FQL** trains a flow by cloning, and a second policy $\mu(z)$ of one step, which climbs $Q$ and pays for the
# distance from the flow's action *from the same noise*:
#
# $$\max_\mu\; \mathbb{E}_z\, \bigl[ Q(\mu(z)) - \alpha\, (\mu(z) - \mathrm{ODE}_v(z))^2 \bigr].$$
#
# **Predict, then run.** For every action of the clone (horizontal), where does FQL move it?
#
# > *my prediction:*


# %%
def moved(alpha):
    """Where FQL's optimum moves an action: the best within reach of the penalty."""
    return A[(Q[None] - alpha * (A[None] - A[:, None]) ** 2).argmax(1)]


plotting.lines(
    {f"alpha = {alpha}": moved(alpha) for alpha in (30, 3, 0.3)},
    A,
    xlabel="the clone's action, from noise z",
    ylabel="FQL's action, from the same noise",
)

# %% [markdown]
# With $\alpha = 30$ every action moves a little uphill, within its mode. With 3, the actions of a mode draw together at its
# top; those right of $0.54$ are already within reach of the critic's mistake, and leave for it. With 0.3 nearly all of them
# do. Each action is improved by itself: none of these values moves the left mode to the right one. FQL leaves it to
# the noise which mode comes, unless the best of $N$ chooses.
#
# **FBRAC** lets the gradient of $Q$ pass through all steps of the flow, **CAC** through a consistency model's two, and
# **SORL** through 1 to 8 steps of a shortcut model. All of them climb $Q$ and pay by imitating the data.
#
# ### Exercise 7.3 · What the policy is taught · ★★☆ · 10 min · 2 points
# Write FQL's distillation loss. `policy(obs, z)` is $\mu$, `field` is the flow's velocity, which takes `m` Euler steps;
# `noise` and `fresh` are two independent draws of noise, (batch, action), and you may not need both. Fill three blanks:
# what the policy sees, where the flow arrives, and what must be a constant.
#
# <details><summary>Hint 1</summary>
#
# If the policy sees other noise than the flow, what is the best it can do?
#
# <details><summary>Hint 2</summary>
#
# `integrate(field, obs, a_0, m)` carries `a_0` to an action in `m` Euler steps.
#
# <details><summary>Hint 3</summary>
#
# The flow is the teacher: it must not learn from its pupil.
#
# </details>
# </details>
# </details>


# %% tags=["exercise-7.3"]
def distilled_loss(policy, field, obs, noise, fresh, m):
    action = policy(obs, ...)
    taught = ...
    return jnp.mean((action - ...) ** 2)


# %% tags=["check-7.3"]
exercises.distilled_loss(distilled_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def distilled_loss(policy, field, obs, noise, fresh, m):
#     action = policy(obs, noise)
#     taught = integrate(field, obs, noise, m)
#     return jnp.mean((action - jax.lax.stop_gradient(taught)) ** 2)
# ```
#
# </details>

# %% [markdown]
# ## Answer 4: climb Q and the density
#
# The last answer asks how *probable* an action is in the data, and not how far it is from one. **SRPO** has one action
# per state, and climbs
#
# $$\max_\mu\; \log \beta(\mu) + \eta\, Q(\mu).$$
#
# It needs no density, only its gradient $\nabla \log \beta$, the *score*, which a diffusion model knows.
#
# **Predict, then run.** Does the sum have a maximum between the modes?
#
# > *my prediction:*


# %%
def srpo(eta):
    """What SRPO maximises: the log density of the data, and eta times Q."""
    return np.log(0.7 * bump(A, -0.5, 0.1) + 0.3 * bump(A, 0.5, 0.1) + 1e-12) + eta * Q


for eta in (0, 3, 30):
    print(f"eta = {eta}: action {A[srpo(eta).argmax()]:+.2f}")
plotting.lines(
    {f"eta = {eta}": srpo(eta) for eta in (0, 3, 30)},
    A,
    xlabel="action a",
    ylabel="log density + eta Q",
    bottom=-15,
)

# %% [markdown]
# Between the modes there is a valley: the score pulls towards a mode from either side, so a small or a moderate $\eta$ leads
# to an action that the data know, and $\eta = 3$ to the better one. With 30 the critic's mistake outweighs the
# density. And all of this is about the highest point: a gradient climbs the hill on which it starts.
#
# ## The ten methods
#
# | method | its policy | the answer | where its critic looks ahead | its knob |
# |---|---|---|---|---|
# | BC | Gaussian | imitates | has none | none |
# | IQL | Gaussian | weighted regression | V, an expectile | $\alpha$, of the weights |
# | FAWAC | flow | weighted regression | the policy's action | $\alpha$, of the weights |
# | IDQL | diffusion | chooses | V, an expectile | N |
# | IFQL | flow | chooses | V, an expectile | N |
# | ReBRAC | one action | gradient, squared distance | the policy's action, with a penalty | two penalties |
# | FBRAC | flow | gradient through all steps, flow matching | the policy's action | $\alpha$, of flow matching |
# | CAC | consistency model | gradient through two jumps, consistency | the best of ten of its actions | $\eta$, of Q |
# | FQL | one step | gradient, distance from a flow | the policy's action | $\alpha$, of the distance |
# | SRPO | one action | gradient, score | V, an expectile | $\beta$, of Q |
# | SORL | shortcut model | gradient through few steps, flow matching, self-consistency | the policy's action | weight of Q; at test time m and N |
#
# Each is a file in `sorl_edu/agents/`, and can be trained like SORL:
# `preset("fql/pointmaze")`, `preset("iql/cube-single-play")`.
#
# ## In the maze
#
# Now with networks, in the maze of lesson 3. Every method was trained on the same data, with networks, batches and
# updates of the same size, at up to four values of its knob. The widget shows two of them at a state. On the left of each
# half are many draws of the action (blue) and their mean (ring), over the method's own critic: the brighter, the larger
# is $Q$. On the right are its episodes.
#
# **Predict, then move the sliders.** The data go in all directions from here. Where does BC's action lie, their mean? SORL
# with a small weight of $Q$ is a clone, too, but a flow: will it arrive?
#
# > *my prediction:*

# %%
methods = shipped.baselines()
PolicyExtractionExplorer(methods, shipped.ENVIRONMENT)

# %% [markdown]
# BC's action is nearly 0: the mean of all directions is no direction. It creeps to a place where it stands still. SORL with a
# weight of 20 takes actions that the data have, now this way, now that, and its episodes stay near the start.
#
# Choose IQL and ReBRAC at the junction, and turn both knobs. The action of each begins near the middle and moves to
# the edge of the square, in the direction that the critic prefers, one by larger weights and one by a smaller penalty.
# SORL's dots, spread over the square at first, gather there as well. At its greediest value each of them arrives in all
# eight episodes: where they differ is on the way there.
#
# ## The table
#
# How would one compare them? `make baselines` chose each method's knob on the default task, by 40 episodes for each
# value and setting, and then trained three new seeds on each of the maze's five tasks.
#
# **Predict, then run.** What makes more of a difference: the method, or its knob?
#
# > *my prediction:*

# %%
results, tried = shipped.baseline_results()
plotting.compare_methods(statistics.per_environment(results), tried)

# %% [markdown]
# On the right, a ring is a value of the knob, and the filled one was chosen. FQL, IQL, ReBRAC, SORL and SRPO reach from values
# that mostly fail to values that always arrive: **the knob makes more of a difference than the method.** A comparison that
# tunes one method with more care than the others measures the care. The knob of BFN, IDQL and IFQL is $N$; from 4, or 32, to 128
# candidates it makes next to none.
#
# For BFN and IFQL the number of steps makes all the difference. They choose among the actions of a flow. With eight steps they arrive, and
# with one they never do, be it with 128 candidates: one step of a flow ends near the mean, whatever the noise (lesson 1), so that
# the candidates are alike. Their standard deviation is 0.13 at one step, and 0.55 at eight; SORL's is 0.5 at both.
#
# CAC's $\eta$ makes no difference, either. At every value its clone always arrives with eight candidates, and never with one: the loss
# divides $Q$ by its size, which is large in a maze, and what is left of its slope can't move the policy. 30 times the
# largest published $\eta$ can: then one candidate always arrives (`data/baselines/README.md` has the commands). A range that
# fits one task need not fit another.
#
# The right half also shows the limit of this tuning: at its best value every method but BC succeeds in all 40 episodes, and
# all but IDQL and FQL do so at several values. The default task is too easy to tell them apart, and a tie goes to the value that was tried
# first. The five tasks of the left half are harder, and show what the choice was worth.

# %%
results.pivot_table("success", "agent", "task").round(2)

# %% [markdown]
# Most is lost on task 4. It starts beside a wall with the goal behind it, and the way round is long. SORL, IDQL and SRPO mostly
# push against that wall until time is up, and so does IQL: their critics value the place at the wall more than the start,
# because a small network can't make the jump that a wall is (`data/baselines/README.md` has the values). Policy
# extraction finds the action with the larger $Q$. It can't mend a $Q$ that is wrong.
#
# Are the methods different on all five? `comparisons` pairs the same tasks and seeds. Its p-values are corrected for the
# number of comparisons: of twenty comparisons of equal methods, one on average has $p < 0.05$ by chance.

# %%
compared = statistics.comparisons(statistics.reported(results), "SORL")
compared[["agent", "difference", "p", "p_holm", "improvement", "seeds", "tasks"]].round(2)

# %% [markdown]
# A difference is SORL's success minus that of the other method; `improvement` is how likely SORL is the better one on a
# task. Against BC the case is clear. CAC is ahead of SORL, with $p = 0.02$ had one asked about CAC alone. But eleven comparisons
# were made, and in one of eleven that happens by chance too often: corrected, $p$ is 0.23. Three seeds and five tasks don't
# tell whether any of the others is worse or better than SORL here. *Not significant* doesn't mean equal: it means that this
# experiment couldn't tell.
#
# **What can be concluded.** In this maze, with this much training, SORL beats BC. Not even why: BC uses no rewards, and its
# policy is a Gaussian, too.
#
# **What can't.** That one answer is the best: this is one maze, with small networks and 20,000 updates. On the forty tasks of
# SORL's paper, with 50 times as many updates, the order is another one:

# %%
published = suites.published_results()
means = published[published.task == 0].pivot(
    index="method", columns="environment", values="success"
)
means.dropna(axis=1).mean(axis=1).sort_values().round(0)  # over the eight environments of all

# %% [markdown]
# In the maze CAC and ReBRAC have the highest success; here FQL and SORL are far ahead of both. Our table could not tell. The
# published numbers are of tuned methods, too, with up to ten values of a knob.
#
# ## Recap
# - The data and the critic do not say which action to take; policy extraction does.
# - Weighted regression and choice stay where the data are; gradients find better actions, and the critic's mistakes.
# - A single action that is held to the data by its distance stands between modes; noise, or a score, keeps modes apart.
# - Every method has a knob between the data and the critic. It can matter more than the method, so a comparison has to say how
#   it was set.
#
# ## Three questions
#
# <details><summary>1. Why does IQL never ask its critic about an action that the data lack?</summary>
#
# Its look ahead is V, which learns from Q at the data's own actions. No policy takes part in it.
#
# </details>
#
# <details><summary>2. The best of N has a limit that no number of candidates overcomes. Which?</summary>
#
# Every candidate is an action of the clone. It can't be better than the best that the clone ever does; and a candidate
# that the clone draws by mistake, where there are no data, may look good to a mistaken critic.
#
# </details>
#
# <details><summary>3. Why must FQL's two policies see the same noise?</summary>
#
# With other noise, the flow's action is a random one to the policy. The mean of all of them costs least then, and it lies
# between the modes.
#
# </details>
#
# ## Further reading
# - Kostrikov et al., [IQL](https://arxiv.org/abs/2110.06169): expectiles, and weighted regression with them.
# - Tarasov et al., [ReBRAC](https://arxiv.org/abs/2305.09836): how far a penalty goes if all details are right.
# - Hansen-Estruch et al., [IDQL](https://arxiv.org/abs/2304.10573): choice among a diffusion model's actions.
# - Chen et al., [SRPO](https://arxiv.org/abs/2310.07297): a score in the place of a penalty.
# - Ding and Jin, [CAC](https://arxiv.org/abs/2309.16984): consistency models as policies.
# - Park et al., [FQL](https://arxiv.org/abs/2502.02538): the one-step policy, and the comparison of all of these.
# - Park et al., [Is value learning really the main bottleneck in offline RL?](https://arxiv.org/abs/2406.09329): policy extraction often is.
