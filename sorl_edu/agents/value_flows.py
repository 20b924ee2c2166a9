"""Value Flows: a flow learns the law of returns of its own choice, and trusts wide laws more.

    repeat, with a batch (o, a, r, mask, o') of the dataset, and g = gamma^k mask:
        a'   = argmax_n Q(o', a^(n)) among N candidates of the flow v          # as BFN
        z_t' = ODE_u'(z_0 | o', a') until t,  z_0 ~ N(0, 1)                    # lesson 8
        y    = (1 - gamma) r + g z_1'
        w    = sigmoid(- temperature / |dz_1 / dz_0|) + 1/2,  z_1 = ODE_u'(. | o, a)
        descend w | u_i((1 - t) z_0 + t y, t | o, a) - (y - z_0) |^2           # BCFM
              + w | u_i((1 - gamma) r + g z_t', t | o, a) - g u'(z_t', t | o', a') |^2    # DCFM
        descend | v(a_t, t | o) - (a - a_0) |^2                                # policy, lesson 1
        u' <- moving average of u
    act:  the best of N candidates by Q(o, a) = mean of z_0 + u(z_0, 0 | o, a)

EVOR values the policy of the data; this one, what will be done. One Euler step from the noise ends
at the mean return, so Q is cheap. BCFM is lesson 8's coupled form. DCFM's ways begin at
(1 - gamma) r + g z_0, and not at z_0: both agree where rewards and transitions are certain alone.

Source: Dong et al., Value Flows, 2025, arXiv 2510.07650, and its code, where DCFM's target lacks g:
then no field solves both, even for certain rewards. Differences, as in EVOR: the unit scale,
midpoint steps, and an ensemble's velocities averaged (there, returns) and limited at the end alone.
Q has quantiles of noise (there, a draw). The paper's policy for fine-tuning is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sorl_edu import expressive_value as ev
from sorl_edu.agents import agent
from sorl_edu.agents.bfn import BFN
from sorl_edu.agents.evor import ReturnFlow
from sorl_edu.flow_matching import euler_step, interpolate, uniform_times, velocity_target
from sorl_edu.temporal_difference import Batch


def squared_errors(
    field: ev.ReturnField,
    target_field: ev.ReturnField,
    batch: Batch,
    next_actions: Float[Array, "batch action"],
    noise: Float[Array, "batch 1"],
    t: Float[Array, "batch 1"],
    **options: Any,
) -> tuple[Float[Array, "*ensemble batch 1"], Float[Array, "*ensemble batch 1"]]:
    """Those of BCFM and of DCFM, with the options of `expressive_value.bootstrapped_return`."""
    y = ev.bootstrapped_return(target_field, batch, next_actions, noise, **options)
    next_field, obs = ev.of_actions(target_field, next_actions), batch.next_observations
    z_next = ev.carry(next_field, obs, noise, options["steps"], t)
    reward, shrink = ev.bellman(batch, options["discount"])
    pushed = reward + shrink * z_next, shrink * next_field(obs, z_next, t)  # z_t and dz_t / dt
    straight = interpolate(noise, y, t), velocity_target(noise, y)
    ways = jax.lax.stop_gradient((straight, pushed))
    u = lambda z_t: field(batch.observations, batch.actions, z_t, t)  # noqa: E731
    return tuple((u(z_t) - velocity) ** 2 for z_t, velocity in ways)


def return_spread(
    field: ev.ReturnField, batch: Batch, noise: Float[Array, "batch 1"], steps: int
) -> Float[Array, "batch 1"]:
    """|dz_1 / dz_0| of (o, a) at this noise: for Z ~ N(m, s^2) it is s."""
    own = ev.of_actions(field, batch.actions)
    flow = lambda z_0: ev.carry(own, batch.observations, z_0, steps)  # noqa: E731
    return jnp.abs(jax.jvp(flow, (noise,), (jnp.ones_like(noise),))[1])


@dataclass(frozen=True)
class ValueFlows(ReturnFlow, BFN):
    """Value Flows; see the module's pseudocode."""

    candidates: int = 16
    """N of training. At test time N is a setting of its own."""
    return_noise: float = 0.1
    """Deviation of the noise z_0, on the unit scale; published: 1 - discount."""
    value_steps: int = 5
    """Midpoint steps of returns, of two evaluations each."""
    return_samples: int = 8
    """Quantiles of noise of which Q is the mean."""
    spread_temperature: float = 0.3
    """Of the weights w; 0 weighs all transitions alike."""
    pushed_weight: float = 1.0
    """DCFM's, beside 1 for BCFM."""

    def __post_init__(self) -> None:
        super().__post_init__()
        agent.check_positive(self, "value_steps", "return_samples")
        agent.check_not_negative(self, "spread_temperature", "pushed_weight")

    def critic_loss(self, params, state, batch, key):
        """The weighted loss of the fields `params`, and metrics."""
        action_key, time_key, *keys = jax.random.split(key, 4)
        next_actions = self.next_actions(state, batch, action_key)
        noise, own_noise = (jax.random.normal(key, (len(next_actions), 1)) for key in keys)
        u, batch = self.function(state, "critic", params), self.in_noise(batch)
        target = self.return_field(state, state.critic.target)
        limits = {"bounds": state.bounds / self.return_noise, "discount": self.discount}
        t, steps = uniform_times(time_key, len(noise)), self.value_steps
        to_return, pushed = squared_errors(
            u, target, batch, next_actions, noise, t, steps=steps, **limits
        )
        spread = return_spread(target, batch, own_noise, steps)
        trust = jax.nn.sigmoid(-self.spread_temperature / spread) + 0.5
        loss = jnp.mean(trust * (to_return + self.pushed_weight * pushed))
        return loss, {"return_loss": loss, "return_spread": self.return_noise * spread.mean()}

    def worth(self, state, obs, actions, params=None):
        """Q(o, a), the mean return on the unit scale: an Euler step from quantiles of noise."""
        own = ev.of_actions(self.return_field(state, params), actions)
        end = lambda z_0: euler_step(own, obs, jnp.full((len(obs), 1), z_0), 0.0, 1.0)  # noqa: E731
        ends = jax.vmap(end)(ev.normal_quantiles(self.return_samples))
        return jnp.clip(self.return_noise * ends.mean(0)[:, 0], *state.bounds)
