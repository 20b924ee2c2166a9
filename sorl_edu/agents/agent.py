"""What every agent has, so that training, evaluation, plots and widgets work with any of them.

An agent is a frozen dataclass of hyper-parameters: it holds nothing that is learned. What is
learned is a state, a pytree that goes in and comes out. A state has two attributes that others
read, `obs_dim` and `action_dim`; the rest is the agent's own.

An agent of your own needs no base class, only the methods of `Agent`. Most have the same parts:
settings that check themselves (`Network`, `Optimizer`, `Encoder`), and learned parameters with
their moving average and Adam's moments (`Learner`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError, check
from sorl_edu.flow_matching import Field, integrate_path
from sorl_edu.inference import Proposal, candidate_noise
from sorl_edu.networks import ObservationEncoder
from sorl_edu.temporal_difference import Batch, polyak_average

State = Any
Metrics = dict[str, Array]


@runtime_checkable
class Agent(Protocol):
    """The contract: with these, an agent can be trained, evaluated, saved, drawn and compared."""

    batch_size: int

    def prepare(self, data: Transitions) -> Transitions:
        """The dataset as this agent learns from it (n-step returns, say); done once."""

    def init(self, key: PRNGKeyArray, data: Transitions) -> State:
        """A fresh state; its shapes and observation statistics come from `data`."""

    def update(
        self, state: State, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> tuple[State, Metrics]:
        """One update: pure, and fit for jit, scan and vmap.

        `shared_key` is the same for all seeds that are trained together. What must not differ
        between them (a drawn number of steps, which picks a branch) is drawn from it, and nothing
        else is.
        """

    def losses(
        self, state: State, batch: Batch, key: PRNGKeyArray, shared_key: PRNGKeyArray
    ) -> Metrics:
        """The metrics of `update` without learning, for a validation split."""

    def propose(
        self,
        state: State,
        obs: Float[Array, "batch obs"],
        key: PRNGKeyArray,
        *,
        steps: int,
        candidates: int,
    ) -> Proposal:
        """N candidates of m steps for every observation, their values, and the chosen one."""


@runtime_checkable
class HasCritic(Protocol):
    """An agent that can choose: it also says what any action is worth."""

    def value(
        self,
        state: State,
        obs: Float[Array, "batch obs"],
        actions: Float[Array, "batch action"],
        *,
        steps: int,
    ) -> Float[Array, " batch"]:
        """V(o, a) for the policy of m steps, as `propose` values its candidates."""


@runtime_checkable
class HasFlow(Protocol):
    """An agent whose candidates follow a velocity field from noise to an action."""

    def flow(self, state: State, *, steps: int) -> Field:
        """v(o, a_t, t), whose m Euler steps carry the noise of a candidate to its action."""


@runtime_checkable
class HasReturns(Protocol):
    """An agent whose critic knows the whole distribution of the return (lesson 8)."""

    def returns(
        self,
        state: State,
        obs: Float[Array, "batch obs"],
        actions: Float[Array, "batch action"],
        *,
        samples: int,
    ) -> Float[Array, "samples batch"]:
        """Equally probable quantiles of the return of (o, a), on the unit scale."""


@runtime_checkable
class HasDials(Protocol):
    """An agent with more dials of test time than steps and candidates (see `dials`)."""

    dials: tuple[str, ...]
    """The names of settings that `init`, `update` and `losses` do not read."""


@runtime_checkable
class ActsInChunks(Protocol):
    """An agent whose action is several environment steps long: h actions, one after the other."""

    horizon: int


@runtime_checkable
class LearnsReward(Protocol):
    """An agent whose reward is learned, too, from an expert's pairs (o, a) and from its own."""

    def learn_reward(
        self,
        state: State,
        expert: tuple[Float[Array, "batch obs"], Float[Array, "batch action"]],
        learner: tuple[Float[Array, "batch obs"], Float[Array, "batch action"]],
        key: PRNGKeyArray,
    ) -> tuple[State, Metrics]:
        """One update of the reward, as pure as `update`; the learner's are of whole episodes."""


def steps_per_decision(agent: Agent) -> int:
    """How many environment steps one action of an agent covers."""
    return agent.horizon if isinstance(agent, ActsInChunks) else 1


@partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def propose(
    agent: Agent,
    state: State,
    obs: Float[Array, "batch obs"],
    key: PRNGKeyArray,
    *,
    steps: int,
    candidates: int,
) -> Proposal:
    """`agent.propose`, compiled once per agent and setting."""
    return agent.propose(state, obs, key, steps=steps, candidates=candidates)


@partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def act(
    agent: Agent,
    state: State,
    obs: Float[Array, "batch obs"],
    key: PRNGKeyArray,
    *,
    steps: int,
    candidates: int,
) -> Float[Array, "batch action"]:
    """The chosen candidate; compiled once per agent and setting.

    Raises:
        ConfigError: several candidates of an agent that can't choose among them.
    """
    proposal = agent.propose(state, obs, key, steps=steps, candidates=candidates)
    if candidates == 1:
        return proposal.actions[0]
    check_values(agent, proposal)
    return proposal.action


@partial(jax.jit, static_argnames=("agent", "steps", "candidates"))
def candidate_paths(
    agent: HasFlow,
    state: State,
    obs: Float[Array, "obs"],
    key: PRNGKeyArray,
    *,
    steps: int,
    candidates: int,
) -> Float[Array, "knots candidates action"]:
    """The way of each candidate at one state, from its noise a_0 over a_{1/m}, ... to a_1.

    The candidates are those of `propose` with the same key, before their clip to [-1, 1].
    """
    noise = candidate_noise(key, candidates, 1, state.action_dim)[:, 0]
    repeated = jnp.broadcast_to(obs, (candidates, len(obs)))
    return integrate_path(agent.flow(state, steps=steps), repeated, noise, steps)


def can_act(
    agent: Agent,
    state: State,
    obs: Float[Array, "batch obs"],
    *,
    steps: int,
    candidates: int,
) -> bool:
    """Whether the agent has these dials: nothing is computed to find out."""
    try:
        check_dials(agent, state, obs, steps=steps, candidates=candidates)
    except ConfigError:
        return False
    return True


def check_dials(
    agent: Agent,
    state: State,
    obs: Float[Array, "batch obs"],
    *,
    steps: int,
    candidates: int,
) -> None:
    """Raises what `act` would raise for steps m and candidates N, without any computation."""
    choose = partial(act, agent, steps=steps, candidates=candidates)
    jax.eval_shape(choose, state, obs, jax.random.key(0))


def check_values(agent: Agent, proposal: Proposal) -> None:
    """Raises ConfigError if a proposal's candidates have no values to choose by."""
    check(
        proposal.q is not None,
        f"{type(agent).__name__} has no critic to choose among {len(proposal.actions)} candidates: "
        "use candidates = 1",
    )


@partial(jax.jit, static_argnames=("agent", "steps"))
def value(
    agent: HasCritic,
    state: State,
    obs: Float[Array, "batch obs"],
    actions: Float[Array, "batch action"],
    *,
    steps: int,
) -> Float[Array, " batch"]:
    """`agent.value`, compiled once per agent and number of steps."""
    return agent.value(state, obs, actions, steps=steps)


# ------------------------------------------------------------------ what states and settings share


@struct.dataclass
class AgentState:
    """The base of a state: the encoder of observations, and the widths that others read."""

    encoder: ObservationEncoder
    action_dim: int = struct.field(pytree_node=False)

    @property
    def obs_dim(self) -> int:
        return self.encoder.mean.shape[-1]


@struct.dataclass
class Learner:
    """Parameters, their moving average if there is one, and the optimizer's moments."""

    params: PyTree
    target: PyTree | None
    moments: optax.OptState | None

    @classmethod
    def create(cls, params: PyTree, optimizer: Optimizer, *, target: bool = False) -> Learner:
        """Fresh moments, and with `target` a copy of the parameters that `follow` moves."""
        copy = jax.tree.map(jnp.copy, params) if target else None
        return cls(params, copy, optimizer.transformation().init(params))

    def descend(self, optimizer: Optimizer, gradient: PyTree) -> Learner:
        """One step of the optimizer down the gradient."""
        step, moments = optimizer.transformation().update(gradient, self.moments, self.params)
        return self.replace(params=optax.apply_updates(self.params, step), moments=moments)

    def follow(self, tau: float) -> Learner:
        """The target moves a fraction tau of the way to the parameters."""
        return self.replace(target=polyak_average(self.target, self.params, tau))


def without(state: State, *parts: str) -> State:
    """A state whose learners have no `parts`: "moments" to act only, "target" to be smaller."""
    return jax.tree.map(
        lambda node: node.replace(**dict.fromkeys(parts)) if isinstance(node, Learner) else node,
        state,
        is_leaf=lambda node: isinstance(node, Learner),
    )


def with_targets(state: State, like: State) -> State:
    """A state whose learners lack no target that `like` has: copies of the parameters."""

    def fill(node, other):
        if not isinstance(node, Learner) or node.target is not None or other.target is None:
            return node
        return node.replace(target=jax.tree.map(jnp.copy, node.params))

    return jax.tree.map(fill, state, like, is_leaf=lambda node: isinstance(node, Learner))


def with_fresh_moments(agent: Agent, state: State, key: PRNGKeyArray, data: Transitions) -> State:
    """A state from a file, which has no moments, with those of a fresh one: it can learn again.

    Args:
        key: of the fresh state, whose parameters are not used.
        data: as `agent.prepare` returns it.
    """
    return jax.tree.map(
        lambda node, new: node.replace(moments=new.moments) if isinstance(node, Learner) else node,
        state,
        agent.init(key, data),
        is_leaf=lambda node: isinstance(node, Learner),
    )


@dataclass(frozen=True)
class Network:
    """Settings of a multi-layer perceptron."""

    hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of the hidden layers."""
    layer_norm: bool = False
    """LayerNorm after each hidden layer."""

    def __post_init__(self) -> None:
        check(
            len(self.hidden) > 0 and all(width >= 1 for width in self.hidden),
            f"hidden must name at least one width of at least 1, got {self.hidden}",
        )


@dataclass(frozen=True)
class Optimizer:
    """Settings of Adam, after a clip of the gradient's global norm."""

    learning_rate: float = 1e-4
    """Adam's step size."""
    grad_clip_norm: float = 1.0
    """Largest global gradient norm; 0 for no clipping."""

    def __post_init__(self) -> None:
        check(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}")
        check(self.grad_clip_norm >= 0, f"grad_clip_norm must be 0 or more: {self.grad_clip_norm}")

    def transformation(self) -> optax.GradientTransformation:
        adam = optax.adam(self.learning_rate)
        if self.grad_clip_norm == 0:
            return adam
        return optax.chain(optax.clip_by_global_norm(self.grad_clip_norm), adam)


@dataclass(frozen=True)
class Encoder:
    """Settings of the observation encoder."""

    normalize: bool = False
    """Shift and scale observations to zero mean and unit deviation over the dataset."""
    fourier_features: int = 0
    """Random Fourier frequencies of the observation given to the networks; 0 for none."""

    def __post_init__(self) -> None:
        check(
            self.fourier_features >= 0,
            f"fourier_features must be 0 or more, got {self.fourier_features}",
        )

    def create(
        self, observations: Float[Array, "rows obs"], key: PRNGKeyArray
    ) -> ObservationEncoder:
        """The encoder for a dataset's observations."""
        return ObservationEncoder.create(
            observations, key, normalize=self.normalize, fourier_features=self.fourier_features
        )


def encode(encoder: ObservationEncoder, batch: Batch) -> Batch:
    """A batch with features in the place of observations."""
    return replace(
        batch,
        observations=encoder(batch.observations),
        next_observations=encoder(batch.next_observations),
    )


def check_no_dials(agent: Agent, steps: int, candidates: int) -> None:
    """Raises ConfigError unless an agent that has one action is asked for one, in one step."""
    check(
        steps == candidates == 1,
        f"{type(agent).__name__} has one action for an observation, with nothing to refine and "
        "nothing to choose: use steps = 1 and candidates = 1",
    )


def check_positive(agent: Agent, *names: str) -> None:
    """Raises ConfigError unless these hyper-parameters of an agent are at least 1."""
    for name in names:
        check(getattr(agent, name) >= 1, f"{name} must be at least 1, got {getattr(agent, name)}")


def check_not_negative(agent: Agent, *names: str) -> None:
    """Raises ConfigError if one of these hyper-parameters of an agent is negative, or NaN."""
    for name in names:
        check(getattr(agent, name) >= 0, f"{name} must not be negative: {getattr(agent, name)}")
