"""EVOR with a simpler model of the return: a Gaussian, a histogram, or a mean alone.

Does it take a flow to value actions? These agents have EVOR's base policy, n-step returns, bounds,
unit scale, widths and choice of a candidate, and another network in the place of u:

    model        says of (o, a)        descends                              reads out Q
    Gaussian     mean m, variance v    ln v + ((m_y - m)^2 + v_y) / v        m + v / (2 tau_R)
    histogram    p_k of K bins         - sum_k q_k ln p_k                    log-mean-exp, exactly
    mean         m                     (m_y - m)^2                           m

They learn from the law of y = (1 - gamma) r + gamma^k mask z', where z' has the target network's
law at o' and a' ~ pi_0(. | o'). It has a closed form, so that no return is sampled:

    m_y = (1 - gamma) r + g m',   v_y = g^2 v'                    with g = gamma^k mask
    q   = sum_j p'_j N((1 - gamma) r + g z_j, sigma^2), as parts of the bins

All three losses are cross-entropies of a model and the law of y (for the mean, of a Gaussian whose
width is fixed). Where rewards and next states are random, they average over the data: the mean of
(m_y - m)^2 is then a part of v. So both moments of the Gaussian, and the mean of each other model,
obey the exact Bellman equations of pi_0, and only the shape differs.

A flow is limited in nothing but its network. A Gaussian has no skewness and no second mode, and its
read-out has no bound: a small tau_R multiplies errors of v. A histogram has as many shapes as bins,
and each bootstrap makes it wider by sigma: in all by sigma / sqrt(1 - g^2).

Sources: Sobel, The variance of discounted Markov decision processes, J. Appl. Prob. 19, 1982 (the
variance's Bellman equation); Bellemare et al., 2017, arXiv 1707.06887 (a histogram learned by TD);
Imani and White, 2018, arXiv 1806.04613, and Farebrother et al., Stop Regressing, 2024, arXiv
2403.03950 (the histogram of a Gaussian, HL-Gauss, with sigma = 3/4 of a bin). The last one learns a
mean with it: its target is N(m_y, sigma^2). Here, as in the first one, it is the whole law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import erf
from jaxtyping import Array, Float

from sorl_edu.agents.evor import EVOR
from sorl_edu.errors import check
from sorl_edu.expressive_value import bellman
from sorl_edu.networks import ReturnLawEnsemble
from sorl_edu.temporal_difference import Aggregation

# ----------------------------------------------------------------------------- laws, as functions


def gaussian_cross_entropy(
    mean: Float[Array, "*ensemble batch"],
    variance: Float[Array, "*ensemble batch"],
    target_mean: Float[Array, " batch"],
    target_variance: Float[Array, " batch"],
) -> Float[Array, ""]:
    """The mean of E_y[-ln N(y; m, v)] for y of the given mean and variance, without its constant.

    It is least where m is the mean of m_y, and v that of v_y + (m_y - m)^2: the law of total
    variance, over all y that the data have for (o, a).
    """
    spread = (target_mean - mean) ** 2 + target_variance
    return 0.5 * jnp.mean(jnp.log(variance) + spread / variance)


def gaussian_log_mean_exp(
    mean: Float[Array, " batch"], variance: Float[Array, " batch"], temperature: float
) -> Float[Array, " batch"]:
    """tau_R ln E exp(Z / tau_R) = m + v / (2 tau_R) for Z ~ N(m, v), tau_R in (0, inf]."""
    return mean + variance / (2 * temperature)


def hl_gauss(
    values: Float[Array, "*batch"], edges: Float[Array, " edges"], deviation: float | Array
) -> Float[Array, "*batch bins"]:
    """The probability that N(value, deviation^2) gives each bin between the edges.

    They are normalised, for what lies beyond the outer edges.

    Source: Farebrother et al., arXiv 2403.03950, section 3.1.
    """
    below = erf((edges - values[..., None]) / (deviation * math.sqrt(2)))
    parts = jnp.diff(below, axis=-1)  # twice the probability
    return parts / parts.sum(-1, keepdims=True)


def bootstrapped_histogram(
    probabilities: Float[Array, "batch bins"],
    edges: Float[Array, " edges"],
    deviation: float | Array,
    reward: Float[Array, "batch 1"],
    shrink: Float[Array, "batch 1"],
) -> Float[Array, "batch bins"]:
    """The law of y = reward + shrink z', projected: the middle of each bin of z' by `hl_gauss`.

    Its mean is that of y, but for what lies beyond the outer edges. Its variance is larger by
    deviation^2, and by a twelfth of the square of a bin.
    """
    moved = reward + shrink * middles(edges)
    return jnp.einsum("bj,bjk->bk", probabilities, hl_gauss(moved, edges, deviation))


def middles(edges: Float[Array, " edges"]) -> Float[Array, " bins"]:
    """The middles z_k of bins."""
    return (edges[1:] + edges[:-1]) / 2


def histogram_log_mean_exp(
    probabilities: Float[Array, "batch bins"],
    values: Float[Array, " bins"],
    temperature: float,
) -> Float[Array, " batch"]:
    """tau_R ln sum_k p_k exp(z_k / tau_R) for tau_R in (0, inf], exactly; the mean at inf."""
    if math.isinf(temperature):
        return probabilities @ values
    largest = values.max()
    return largest + temperature * jnp.log1p(
        probabilities @ jnp.expm1((values - largest) / temperature)
    )


def combined(
    laws: Float[Array, "ensemble batch numbers"],
    means: Float[Array, "ensemble batch"],
    how: Aggregation,
) -> Float[Array, "batch numbers"]:
    """One law from an ensemble's: "mean" of their numbers, or "min", the law of the least mean."""
    if how == "mean":
        return laws.mean(0)
    return jnp.take_along_axis(laws, means.argmin(0)[None, :, None], axis=0)[0]


# ------------------------------------------------------------------------------------- the agents


@dataclass(frozen=True)
class ReturnModel(EVOR):
    """EVOR with another model of the return; see the module's table.

    Settings that only a flow has (bootstrap, return_steps, value_steps and return_samples) do
    nothing. A subclass says what the network's numbers mean: `law`, `mean`, `loss` and `read`.
    """

    dials: ClassVar[tuple[str, ...]] = ("return_temperature", "choice_temperature")
    numbers: ClassVar[int]
    """How many numbers the network says of (o, a)."""
    returns: ClassVar[None] = None
    """It is a law that is read, and draws no returns: it isn't `agent.HasReturns`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self.return_temperature > 0,
            f"return_temperature must be positive, got {self.return_temperature}: no return is the "
            "largest of these laws",
        )

    def networks(self, action_dim):
        critic = self.critic
        network = ReturnLawEnsemble(critic.hidden, self.numbers, layer_norm=critic.layer_norm)
        return super().networks(action_dim) | {"critic": network}

    def laws(self, state, obs, actions, params=None) -> Float[Array, "ensemble batch numbers"]:
        """The law that each network says, in units of `return_noise`."""
        return self.law(state, self.function(state, "critic", params)(obs, actions))

    def one_law(self, state, obs, actions, params=None) -> Float[Array, "batch numbers"]:
        """The law of the networks together."""
        laws = self.laws(state, obs, actions, params)
        return combined(laws, self.mean(state, laws), self.q_aggregation)

    def critic_loss(self, params, state, batch, key):
        """The cross-entropy of the networks' laws and that of y, and metrics."""
        obs, policy = batch.next_observations, state.policy.params
        next_actions = self.draw(state, policy, obs, key, self.flow_steps)
        next_law = self.one_law(state, obs, next_actions, state.critic.target)
        reward, shrink = bellman(batch, self.discount)
        next_law, reward = jax.lax.stop_gradient((next_law, reward / self.return_noise))
        laws = self.laws(state, batch.observations, batch.actions, params)
        loss = self.loss(state, laws, next_law, reward, shrink)
        return loss, {"return_loss": loss}

    def worth(self, state, obs, actions, params=None):
        """The read-out of the return of (o, a), on the unit scale."""
        law, temperature = self.one_law(state, obs, actions, params), self.return_temperature
        return self.return_noise * self.read(state, law, temperature / self.return_noise)

    def limits(self, state) -> Float[Array, "2"]:
        """The least and the largest return that the data allow, in units of `return_noise`."""
        return state.bounds / self.return_noise


@dataclass(frozen=True)
class MeanReturn(ReturnModel):
    """A critic that knows the mean alone: tau_R has nothing to read."""

    dials: ClassVar[tuple[str, ...]] = ("choice_temperature",)
    numbers: ClassVar[int] = 1

    def law(self, state, outputs):
        return outputs

    def mean(self, state, laws):
        return laws[..., 0]

    def loss(self, state, laws, next_law, reward, shrink):
        target = reward + shrink * jnp.clip(next_law, *self.limits(state))
        return jnp.mean((laws - target) ** 2)

    def read(self, state, law, temperature):
        return jnp.clip(law[:, 0], *self.limits(state))


@dataclass(frozen=True)
class GaussianReturn(ReturnModel):
    """The return's mean and variance."""

    numbers: ClassVar[int] = 2
    least_deviation: ClassVar[float] = 0.01
    """In units of `return_noise`: where the return is certain, its likelihood has no bound."""

    def law(self, state, outputs):
        """(m, v), of outputs (m, s) with v = (softplus(s) + least)^2."""
        mean, raw = outputs[..., 0], outputs[..., 1]
        deviation = jax.nn.softplus(raw) + self.least_deviation
        return jnp.stack([mean, deviation**2], -1)

    def mean(self, state, laws):
        return laws[..., 0]

    def limited(self, state, law) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """m, v of a law between the data's limits: there, v is at most (high - m) (m - low).

        Source: Bhatia and Davis, A better bound on the variance, Amer. Math. Monthly 107, 2000.
        """
        low, high = self.limits(state)
        mean = jnp.clip(law[:, 0], low, high)
        return mean, jnp.minimum(law[:, 1], (high - mean) * (mean - low))

    def loss(self, state, laws, next_law, reward, shrink):
        mean, variance = self.limited(state, next_law)
        reward, shrink = reward[:, 0], shrink[:, 0]
        return gaussian_cross_entropy(
            laws[..., 0], laws[..., 1], reward + shrink * mean, shrink**2 * variance
        )

    def read(self, state, law, temperature):
        return gaussian_log_mean_exp(*self.limited(state, law), temperature)


@dataclass(frozen=True)
class HistogramReturn(ReturnModel):
    """The return's histogram over the range that the data allow, by HL-Gauss."""

    bins: int = 51
    """K, of which two on either side lie beyond the range, for what the Gaussian spreads there."""
    smoothing: float = 0.75
    """sigma, in bins."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.bins >= 6, f"bins must be at least 6, got {self.bins}")
        check(self.smoothing > 0, f"smoothing must be positive, got {self.smoothing}")

    @property
    def numbers(self) -> int:
        return self.bins

    def edges(self, state) -> Float[Array, " edges"]:
        """The K + 1 edges of the bins; the third from either end is the range's."""
        low, high = self.limits(state)
        width = (high - low) / (self.bins - 4)
        return low + width * (jnp.arange(self.bins + 1) - 2)

    def law(self, state, outputs):
        return jax.nn.softmax(outputs)

    def mean(self, state, laws):
        return laws @ middles(self.edges(state))

    def loss(self, state, laws, next_law, reward, shrink):
        edges = self.edges(state)
        deviation = self.smoothing * (edges[1] - edges[0])
        target = bootstrapped_histogram(next_law, edges, deviation, reward, shrink)
        return -jnp.mean(jnp.sum(target * jnp.log(laws + 1e-8), axis=-1))

    def read(self, state, law, temperature):
        return histogram_log_mean_exp(law, middles(self.edges(state)), temperature)
