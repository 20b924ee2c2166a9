"""GUITAR: imitate an expert whom you can't replicate, by a learned reward and a local search.

    every few rounds, with whole episodes of mu from its own starts:       # the reward, lesson 9
        descend  E_learner f(o, a) - E_expert f(o, a) + 10 E (|grad f| - 0.4)^2

    repeat, with a batch (o, a, mask, o') of practice:                     # the policy: TD3
        r  = (1 - gamma) (f(o, a) - mean f)                                # relabelled: f has moved
        a' = mu'(o') + clip(0.2 z, -0.5, 0.5)
        descend | Q_i(o, a) - (r + gamma mask min_i Q'_i(o', a')) |^2
        in every second update, on average:
            descend  - min_i Q_i(o, mu(o)) / mean |Q|
            Q', mu' <- moving averages of Q, mu

One agent is three methods, by where its practice begins (`training.interactive.Resets`):

    MM       its own starts             imitation.moment_matching()
    FILTER   the expert's states        imitation.filter_resets()
    GUITAR   those and offline states   imitation.guitar()

A dataset alone teaches it nothing: no data have its reward, and f changes only when it meets whole
episodes of the learner. So it has all methods of an agent, and is not among `AGENTS`, which offline
training offers. Episodes must not end early: f may have any offset, and an end would be worth it.
As none ends, an offset changes no policy. Without one, and on the scale of 1 - gamma, a sum of
rewards is as large as f, and the critic follows f when it moves.

Source: Espinosa-Dice et al., Efficient Imitation under Misspecification, 2025, arXiv 2503.13162,
and its code for mazes (TD3, the penalty, a rate of 1 / i in lesson i). There Adam is optimistic and
begun anew in each lesson; here neither. Fujimoto et al., TD3, 2018, arXiv 1802.09477.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import optax
from flax import struct

from sorl_edu.agents import agent
from sorl_edu.agents.actor_critic import ActorCriticState
from sorl_edu.agents.agent import Learner, Network, Optimizer
from sorl_edu.agents.rebrac import ReBRAC
from sorl_edu.errors import check
from sorl_edu.imitation import moment_matching_loss
from sorl_edu.networks import CriticEnsemble


@dataclass(frozen=True)
class FallingOptimizer(Optimizer):
    """Adam whose steps fall as 1 / (1 + updates / halved_after), so that a game's cycles narrow."""

    halved_after: int = 1000
    """Updates after which a step has half its first size."""

    def transformation(self):
        falling = optax.scale_by_schedule(lambda updates: 1 / (1 + updates / self.halved_after))
        return optax.chain(super().transformation(), falling)


@struct.dataclass
class GUITARState(ActorCriticState):
    """What GUITAR learns."""

    reward: Learner  # f


@dataclass(frozen=True)
class GUITAR(ReBRAC):
    """A policy whose reward is learned; see the module's pseudocode."""

    policy_penalty: float = 0.0
    """How much a distance from the practised action costs the policy; TD3 has no such cost."""
    critic_penalty: float = 0.0
    """How much it costs in the critic's target."""
    gradient_penalty: float = 10.0
    """Weight of (|grad f| - slope)^2."""
    slope: float = 0.4
    """The norm of f's gradient that the penalty wants."""
    reward: Network = Network((256, 256))
    reward_optimizer: FallingOptimizer = FallingOptimizer(8e-4, grad_clip_norm=0)

    State: ClassVar[type] = GUITARState

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_not_negative(self, "gradient_penalty", "slope")
        check(self.reward_optimizer.halved_after >= 1, "halved_after must be at least 1")
        check(self.discount < 1, "rewards are multiples of 1 - gamma: discount must be below 1")
        check(self.n_step == 1, "a sum of rewards can't be relabelled: GUITAR needs n_step = 1")

    def networks(self, action_dim):
        hidden, layer_norm = self.reward.hidden, self.reward.layer_norm
        reward = CriticEnsemble(hidden, ensemble=1, layer_norm=layer_norm)
        return super().networks(action_dim) | {"reward": reward}

    def init(self, key, data):
        state = super().init(key, data)
        reward = Learner.create(state.reward.params, self.reward_optimizer)
        return state.replace(reward=reward)

    def update(self, state, batch, key, shared_key):
        return super().update(state, self.relabelled(state, batch), key, shared_key)

    def losses(self, state, batch, key, shared_key):
        return super().losses(state, self.relabelled(state, batch), key, shared_key)

    def relabelled(self, state, batch):
        """The batch with the rewards of f as it is now, whatever was stored."""
        f = self.reward_function(state)(state.encoder(batch.observations), batch.actions)
        return replace(batch, rewards=(1 - self.discount) * (f - f.mean()))

    def learn_reward(self, state, expert, learner, key):
        """One step of f down `moment_matching_loss`, and its metrics."""
        expert, learner = ((state.encoder(obs), actions) for obs, actions in (expert, learner))

        def loss(params):
            f = self.reward_function(state, params)
            options = {"penalty": self.gradient_penalty, "slope": self.slope}
            return moment_matching_loss(f, expert, learner, key, **options)

        gradient, metrics = jax.grad(loss, has_aux=True)(state.reward.params)
        return state.replace(reward=state.reward.descend(self.reward_optimizer, gradient)), metrics

    def reward_function(self, state, params=None):
        """f(o, a) of features and actions, with `params` or what it has learned."""
        f = self.function(state, "reward", params)
        return lambda obs, actions: f(obs, actions)[0]
