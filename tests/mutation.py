"""`make mutation`: puts known faults into copies of the library, one at a time, and runs tests.

A fault is one line of the library, wrong in a way that people get it wrong or in which it was wrong
before. A fault that no test notices survives: the table says so, and the exit code is 1. Verdicts
are kept in runs/mutation/ for the library and tests as they are, so that a run that is stopped
resumes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from quick import SHARED

from sorl_edu.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("sorl_edu", "tests")  # the tests, too: some find the library beside themselves


@dataclass(frozen=True)
class Fault:
    """A line of a module, a wrong one in its place, and the tests that must notice."""

    name: str
    module: str
    """Its path in `sorl_edu`."""
    right: str
    wrong: str
    tests: str
    """A file in `tests`, or one of its tests as pytest names it (FILE::TEST)."""

    @property
    def file(self) -> Path:
        return Path("sorl_edu") / self.module

    def problem(self) -> str | None:
        """Why the fault can't be put in; None if it can."""
        times = (ROOT / self.file).read_text().count(self.right)
        if times != 1:
            return f"{self.module} has `{self.right}` {times} times, and not once"
        file, _, test = self.tests.partition("::")
        path = ROOT / "tests" / file
        if not path.is_file() or f"def {test}" not in path.read_text():
            return f"there is no tests/{self.tests}"
        return None


FAULTS = (
    # ------------------------------------------------------------------------------- the lessons
    Fault(
        "time reversed",
        "flow_matching.py",
        "return (1 - (1 - epsilon) * t) * noise + t * actions",
        "return (1 - (1 - epsilon) * t) * actions + t * noise",
        "lessons/test_flow_matching.py",
    ),
    Fault(
        "velocity of the wrong sign",
        "flow_matching.py",
        "return actions - (1 - epsilon) * noise",
        "return (1 - epsilon) * noise - actions",
        "lessons/test_flow_matching.py",
    ),
    Fault(
        "no stop-gradient in the consistency target",
        "shortcut.py",
        "return jax.lax.stop_gradient((v1 + v2) / 2)",
        "return (v1 + v2) / 2",
        "lessons/test_shortcut.py",
    ),
    Fault(
        "no stop-gradient in the TD target",
        "temporal_difference.py",
        "return jax.lax.stop_gradient(batch.rewards + bootstrap * next_q)",
        "return batch.rewards + bootstrap * next_q",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "the second half-step made from where the first began",
        "shortcut.py",
        "v2 = target_shortcut(obs, a_t + h * v1, t + h, h)",
        "v2 = target_shortcut(obs, a_t, t + h, h)",
        "lessons/test_shortcut.py",
    ),
    Fault(
        "wrong step size fed to the field",
        "shortcut.py",
        "loss = jnp.mean((shortcut(obs, a_t, t, 2 * h) - target) ** 2)",
        "loss = jnp.mean((shortcut(obs, a_t, t, h) - target) ** 2)",
        "lessons/test_shortcut.py",
    ),
    Fault(
        "wrong step size fed to the field when sampling",
        "shortcut.py",
        "field = at_step_size(shortcut, 1 / min(steps, denoise_steps))",
        "field = at_step_size(shortcut, 1 / denoise_steps)",
        "lessons/test_shortcut.py",
    ),
    Fault(
        "bootstrapping through terminals",
        "temporal_difference.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "mask inverted",
        "temporal_difference.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons * (1 - batch.masks)",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "n-step sum across a trajectory's end",
        "temporal_difference.py",
        "alive = alive & ~last[row]",
        "alive = alive & (rows + k < len(rows))",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "n-step sum across success",
        "temporal_difference.py",
        "alive = alive & (masks[row] > 0)",
        "alive = alive",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "moving average never updated",
        "temporal_difference.py",
        "lambda old, new: old + tau * (new - old), target, online)",
        "lambda old, new: old, target, online)",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "Q minimised by the policy",
        "temporal_difference.py",
        "loss = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())",
        "loss = q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "gradient through the size of Q",
        "temporal_difference.py",
        "loss = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())",
        "loss = -q.mean() / jnp.abs(q).mean()",
        "lessons/test_temporal_difference.py",
    ),
    Fault(
        "argmin for argmax",
        "inference.py",
        "return jnp.argmax(values, axis=0)",
        "return jnp.argmin(values, axis=0)",
        "lessons/test_inference.py",
    ),
    Fault(
        "candidates paired with another observation",
        "inference.py",
        "return jax.vmap(sample, in_axes=(None, 0))(obs, noise)",
        "return jax.vmap(sample, in_axes=(None, 0))(obs[::-1], noise)",
        "lessons/test_inference.py",
    ),
    Fault(
        "values paired with another observation",
        "inference.py",
        "return jax.vmap(value, in_axes=(None, 0))(obs, actions)",
        "return jax.vmap(value, in_axes=(None, 0))(obs[::-1], actions)",
        "lessons/test_inference.py",
    ),
    Fault(
        "NumPy's integers refused",
        "errors.py",
        "return isinstance(value, int | np.integer) and",
        "return isinstance(value, int) and",
        "lessons/test_inference.py",
    ),
    Fault(
        "a constant column divided by its rounding error",
        "networks.py",
        "varies = jnp.ptp(observations, axis=0) > 1e-6 * jnp.abs(observations).max(0)",
        "varies = jnp.ones(dim, bool)",
        "lessons/test_networks.py",
    ),
    Fault(
        "reset law ignored",
        "imitation.py",
        "decisions[h] = learner.best(law[h][:, None] * q, law[h] > 0, before[h])",
        "decisions[h] = learner.best(q, law[h] >= 0, before[h])",
        "lessons/test_imitation.py",
    ),
    Fault(
        "decisions kept although they were practised",
        "imitation.py",
        "decisions[h] = learner.best(law[h][:, None] * q, law[h] > 0, before[h])",
        "decisions[h] = learner.best(law[h][:, None] * q, law[h] > 1, before[h])",
        "lessons/test_imitation.py",
    ),
    Fault(
        "policy search from the first step on",
        "imitation.py",
        "for h in reversed(range(mdp.horizon)):",
        "for h in range(mdp.horizon):",
        "lessons/test_imitation.py",
    ),
    Fault(
        "sign of the gradient penalty",
        "imitation.py",
        "loss = -gap + penalty * deviation",
        "loss = -gap - penalty * deviation",
        "lessons/test_imitation.py",
    ),
    Fault(
        "reward of the wrong sign",
        "imitation.py",
        "loss = -gap + penalty * deviation",
        "loss = gap + penalty * deviation",
        "lessons/test_imitation.py",
    ),
    Fault(
        "penalty at the learner's points alone",
        "imitation.py",
        "lambda e, p: u * e + (1 - u) * p, expert, learner)",
        "lambda e, p: p, expert, learner)",
        "lessons/test_imitation.py",
    ),
    Fault(
        "finite reward of the wrong sign",
        "imitation.py",
        "np.clip(reward + rate * (expert - learner), -1, 1)",
        "np.clip(reward - rate * (expert - learner), -1, 1)",
        "lessons/test_imitation.py",
    ),
    Fault(
        "reward without a bound",
        "imitation.py",
        "np.clip(reward + rate * (expert - learner), -1, 1)",
        "reward + rate * (expert - learner)",
        "lessons/test_imitation.py",
    ),
    Fault(
        "slip ignored in the completeness error",
        "imitation.py",
        "return np.array([learner.scores(w).max(1).sum() for w in weights])",
        "return weights.max(-1).sum(-1)",
        "lessons/test_imitation.py",
    ),
    Fault(
        "completeness error of states that don't look alike",
        "imitation.py",
        "return np.array([learner.scores(w).max(1).sum() for w in weights])",
        "return (weights @ learner.moves.T).max(-1).sum(-1)",
        "lessons/test_imitation.py",
    ),
    Fault(
        "reward learned from practice and not from whole episodes",
        "imitation.py",
        "own = occupancies(mdp, learner.policy(decisions))\n        all_decisions",
        "own = occupancies(mdp, learner.policy(decisions)) * 0 + offline\n        all_decisions",
        "lessons/test_imitation.py",
    ),
    Fault(
        "slip to one side only",
        "datasets/tightrope.py",
        "moves[move, list(sides)] += slip / 2",
        "moves[move, sides[0]] += slip",
        "datasets/test_tightrope.py",
    ),
    Fault(
        "pits that one leaves",
        "datasets/tightrope.py",
        "for final in (*self.pits, self.goal):",
        "for final in (self.goal,):",
        "datasets/test_tightrope.py",
    ),
    Fault(
        "the goal's actions as they are drawn",
        "datasets/tightrope.py",
        "shared[:, final] = counts[:, final].mean(-1, keepdims=True)",
        "shared[:, final] = counts[:, final]",
        "datasets/test_tightrope.py",
    ),
    Fault(
        "a study that begins with the other policy",
        "experiments/imitation.py",
        'warm_start=setting.start == "clone",',
        'warm_start=setting.start != "clone",',
        "experiments/test_imitation_study.py",
    ),
    # -------------------------------------------------------------------------------- the agents
    Fault(
        "target network aliased instead of copied",
        "agents/agent.py",
        "copy = jax.tree.map(jnp.copy, params) if target else None",
        "copy = params if target else None",
        "agents/test_contract.py::test_targets_start_as_copies_and_nothing_shares_memory",
    ),
    Fault(
        "target critic left out of the update",
        "agents/sorl.py",
        "critic, field = state.critic.follow(self.tau), state.field.follow(self.tau)",
        "critic, field = state.critic, state.field.follow(self.tau)",
        "agents/test_sorl.py",
    ),
    Fault(
        "critic in its own target, without a moving average",
        "agents/sorl.py",
        "self.q(state.critic.target, steps),",
        "self.q(state.critic.params, steps),",
        "agents/test_sorl.py",
    ),
    Fault(
        "critic fed the wrong number of steps",
        "agents/sorl.py",
        "l_q, metrics = td.q_loss(self.q(state.critic.params, steps), obs, a)",
        "l_q, metrics = td.q_loss(self.q(state.critic.params, self.denoise_steps), obs, a)",
        "agents/test_sorl.py",
    ),
    Fault(
        "critic fed steps that it never saw",
        "agents/sorl.py",
        "apply, m = self._critic_network().apply, jnp.float32(min(steps, self.max_backprop_steps))",
        "apply, m = self._critic_network().apply, jnp.float32(steps)",
        "agents/test_sorl.py",
    ),
    Fault(
        "ways from noise with steps that were never trained",
        "agents/sorl.py",
        "s = at_step_size(self.s(state, state.field.params), 1 / min(steps, self.denoise_steps))",
        "s = at_step_size(self.s(state, state.field.params), 1 / steps)",
        "agents/test_contract.py::test_the_ways_of_candidates_end_at_their_actions",
    ),
    Fault(
        "an interval that does not reckon with an unseen agent",
        "evaluation/statistics.py",
        "low = np.quantile(weights @ np.append(values, lowest), tail)",
        "low = np.quantile(weights @ np.append(values, values.mean()), tail)",
        "evaluation/test_statistics.py",
    ),
    Fault(
        "a measured answer that is not compared",
        "course/exercises/measured.py",
        "if means_differ(found, draws_of(solution)):",
        "if False:",
        "course/test_exercises_assignment2.py",
    ),
    Fault(
        "arms that differ in more than is compared",
        "course/shipped.py",
        "set(table.index) == set(only),",
        "set(only) <= set(table.index),",
        "course/test_shipped.py",
    ),
    Fault(
        "flow matching at the largest step",
        "agents/sorl.py",
        "finest, times = at_step_size(s, 1 / M), grid_times(M)",
        "finest, times = at_step_size(s, 1.0), grid_times(M)",
        "agents/test_sorl.py",
    ),
    Fault(
        "random key used twice",
        "agents/sorl.py",
        "q_key, fm_key, sc_key = jax.random.split(key, 3)",
        "q_key = fm_key = sc_key = key",
        "agents/test_contract.py::test_no_random_key_is_used_twice",
    ),
    Fault(
        "a seed's own key picks the branch",
        "agents/sorl.py",
        "(critic_m, policy_m) = map(jax.random.split, (key, shared_key))",
        "(critic_m, policy_m) = map(jax.random.split, (shared_key, key))",
        "agents/test_contract.py::test_the_shared_key_alone_decides_branches",
    ),
    Fault(
        "sign of the expectile",
        "policy_extraction.py",
        "jnp.where(u < 0, 1 - expectile, expectile)",
        "jnp.where(u > 0, 1 - expectile, expectile)",
        "lessons/test_policy_extraction.py",
    ),
    Fault(
        "an advantage's weight without a limit",
        "policy_extraction.py",
        "jnp.exp(jnp.minimum(inverse_temperature * advantages, jnp.log(largest)))",
        "jnp.exp(inverse_temperature * advantages)",
        "lessons/test_policy_extraction.py",
    ),
    Fault(
        "a target that forgets the mask",
        "policy_extraction.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons",
        "lessons/test_policy_extraction.py",
    ),
    Fault(
        "bootstrapped noise reused where it must be independent",
        "expressive_value.py",
        "next_noise = noise if coupled else jax.random.normal(next_key, noise.shape)",
        "next_noise = noise",
        "lessons/test_expressive_value.py::test_the_least_loss_is_that_of_the_forms_noise",
    ),
    Fault(
        "sign of the read-out",
        "expressive_value.py",
        "return largest + temperature * jnp.log1p(below.mean(0))",
        "return largest - temperature * jnp.log1p(below.mean(0))",
        "lessons/test_expressive_value.py::test_the_read_out_of_a_gaussian_is_its_mean_and_half_its_variance_over_the_temperature",
    ),
    Fault(
        "log-mean-exp without the log of the count",
        "expressive_value.py",
        "jnp.log1p(below.mean(0))",
        "jnp.log((below + 1).sum(0))",
        "lessons/test_expressive_value.py::test_certain_returns_are_worth_what_they_are_however_many_there_are",
    ),
    Fault(
        "returns that go on after the end of the task",
        "expressive_value.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons",
        "lessons/test_expressive_value.py::test_a_bootstrapped_return_is_on_the_unit_scale_and_ends_where_the_task_does",
    ),
    Fault(
        "candidates with different return noise",
        "expressive_value.py",
        "jnp.broadcast_to(noise[:, None, None], (len(noise), len(obs), 1))",
        "jax.random.normal(jax.random.key(0), (len(noise), len(obs), 1))",
        "lessons/test_expressive_value.py::test_all_actions_have_the_same_return_noise",
    ),
    Fault(
        "returns in another unit than their bootstrap",
        "expressive_value.py",
        "return (1 - discount) * batch.rewards[:, None], bootstrap[:, None]",
        "return batch.rewards[:, None], bootstrap[:, None]",
        "lessons/test_expressive_value.py::test_a_bootstrapped_return_is_on_the_unit_scale_and_ends_where_the_task_does",
    ),
    Fault(
        "Euler steps for returns",
        "expressive_value.py",
        "velocity = field(obs, half, (t + h / 2) * jnp.ones_like(z))",
        "velocity = field(obs, z, t * jnp.ones_like(z))",
        "lessons/test_expressive_value.py::test_midpoint_steps_keep_the_width_that_euler_steps_lose",
    ),
    Fault(
        "a velocity of the target's way, and not of the way to the return",
        "expressive_value.py",
        "velocity = reward - (1 - shrink) * z_next + pushed",
        "velocity = reward + pushed",
        "lessons/test_expressive_value.py::test_the_velocity_is_the_derivative_of_a_way_from_noise_to_the_bootstrapped_return",
    ),
    Fault(
        "a Gaussian's read-out that shuns luck",
        "agents/return_models.py",
        "return mean + variance / (2 * temperature)",
        "return mean - variance / (2 * temperature)",
        "agents/test_return_models.py::test_read_outs_are_exact",
    ),
    Fault(
        "a variance without that of the means",
        "agents/return_models.py",
        "spread = (target_mean - mean) ** 2 + target_variance",
        "spread = (target_mean - mean) ** 2",
        "agents/test_return_models.py::test_the_least_cross_entropy_is_at_the_mean_and_the_total_variance",
    ),
    Fault(
        "a variance that shrinks as a mean does",
        "agents/return_models.py",
        "reward + shrink * mean, shrink**2 * variance",
        "reward + shrink * mean, shrink * variance",
        "agents/test_return_models.py::test_the_moments_of_a_chains_return_are_learned",
    ),
    Fault(
        "a histogram that is moved, and not shrunk",
        "agents/return_models.py",
        "moved = reward + shrink * middles(edges)",
        "moved = reward + middles(edges)",
        "agents/test_return_models.py::test_a_bootstrapped_histogram_has_the_laws_moments_and_a_little_more_width",
    ),
    Fault(
        "a mean's read-out chosen among all temperatures",
        "experiments/evor.py",
        "return table[tau.isna() | (tau == INF)]",
        "return table",
        "experiments/test_evor_study.py::test_the_best_setting_is_chosen_and_the_best_mean_beside_it",
    ),
    Fault(
        "shown returns in units of the noise",
        "agents/evor.py",
        "return self.return_noise * quantiles",
        "return quantiles",
        "widgets/test_return_distribution.py::test_it_chooses_as_the_agent_with_these_dials_does",
    ),
    Fault(
        "walks that no temperature changes",
        "widgets/return_distribution.py",
        "values = log_mean_exp(returns[:, :candidates], tau_r)",
        "values = log_mean_exp(returns[:, :candidates], math.inf)",
        "widgets/test_return_distribution.py::test_the_walks_are_those_of_the_agent_with_these_dials",
    ),
    Fault(
        "a training for each temperature",
        "experiments/experiment.py",
        "trained = replace(self, agent=without_dials(self.agent))",
        "trained = self",
        "agents/test_evor.py::test_one_training_serves_every_temperature",
    ),
    Fault(
        "dials that a benchmark names and does not turn",
        "experiments/experiment.py",
        "agent = with_dials(planned.agent, **dials)",
        "agent = planned.agent",
        "agents/test_evor.py::test_a_benchmark_over_dials_costs_one_training",
    ),
    Fault(
        "an estimate with a training for each position of the dials",
        "experiments/benchmark.py",
        "guess = replace(guess, training=0.0)",
        "pass",
        "experiments/test_benchmark.py::test_an_estimate_counts_the_training_of_several_dials_once",
    ),
    Fault(
        "Value Flows' velocity not discounted, as in its code",
        "agents/value_flows.py",
        "shrink * next_field(obs, z_next, t)  # z_t",
        "next_field(obs, z_next, t)  # z_t",
        "agents/test_value_flows.py::test_certain_returns_solve_both_losses",
    ),
    Fault(
        "Value Flows trusts narrow laws more",
        "agents/value_flows.py",
        "jax.nn.sigmoid(-self.spread_temperature / spread)",
        "jax.nn.sigmoid(self.spread_temperature / spread)",
        "agents/test_value_flows.py::test_a_wide_law_is_trusted_twice_as_much_at_most",
    ),
    Fault(
        "IQL weights by the value, and not by the advantage",
        "agents/implicit_q.py",
        'return q - self.function(state, "values")(batch.observations)',
        "return q",
        "agents/test_baselines.py::test_iql_regresses_on_the_weighted_mean_action",
    ),
    Fault(
        "IFQL clones with IQL's weights",
        "agents/ifql.py",
        "return flow_matching_loss(field, batch.observations, batch.actions, key)",
        "return flow_matching_loss(field, batch.observations * batch.rewards.mean(), "
        "batch.actions, key)",
        "agents/test_baselines.py::test_ifqls_policy_clones_all_data_alike",
    ),
    Fault(
        "other noise in the distillation",
        "agents/fql.py",
        'taught = integrate(self.function(state, "field"), obs, noise, self.flow_steps)',
        'taught = integrate(self.function(state, "field"), obs, noise[::-1], self.flow_steps)',
        "agents/test_baselines.py::test_fqls_distillation_is_zero_at_the_flows_own_map",
    ),
    Fault(
        "ReBRAC pays where the data have no action",
        "agents/rebrac.py",
        "distance = batch.next_acted * squared_distance(",
        "distance = squared_distance(",
        "agents/test_baselines.py",
    ),
    Fault(
        "ReBRAC's noise without a clip",
        "agents/rebrac.py",
        "jnp.clip(self.target_noise * noise_like(batch.actions, key), -limit, limit)",
        "self.target_noise * noise_like(batch.actions, key)",
        "agents/test_baselines.py",
    ),
    Fault(
        "FBRAC's gradient stops at the last step",
        "agents/fbrac.py",
        'q = self.function(state, "critic")(obs, actions).mean()',
        'q = self.function(state, "critic")(obs, jax.lax.stop_gradient(actions)).mean()',
        "agents/test_baselines.py::test_fbracs_gradient_goes_through_every_step",
    ),
    Fault(
        "FAWAC's advantage is over the data's own action",
        "agents/fawac.py",
        "self.worth(state, obs, actions) - self.worth(state, obs, own)",
        "self.worth(state, obs, own) - self.worth(state, obs, own)",
        "agents/test_baselines.py",
    ),
    Fault(
        "BFN backs up its first candidate",
        "agents/bfn.py",
        "return inference.propose(sample, partial(self.worth, state), obs, noise).action",
        "return inference.propose(sample, partial(self.worth, state), obs, noise).actions[0]",
        "agents/test_baselines.py::test_bfn_backs_up_the_best_of_its_candidates",
    ),
    Fault(
        "BC's action beyond the limits",
        "agents/bc.py",
        "inference.Proposal(jnp.clip(mu, -1, 1)[None]",
        "inference.Proposal((2 + mu)[None]",
        "agents/test_contract.py::test_a_proposal_has_what_its_agent_can_give",
    ),
    Fault(
        "a chunk across a trajectory's end",
        "datasets/transitions.py",
        "complete = inside & ~np.asarray(self.last)[rows].any(1)",
        "complete = inside & ~np.asarray(self.last)",
        "agents/test_chunked.py",
    ),
    Fault(
        "a chunk is asked for anew in every step",
        "environments/rollout.py",
        "if t % horizon == 0:",
        "if True:",
        "agents/test_chunked.py",
    ),
    Fault(
        "a consistency function without its boundary condition",
        "denoising.py",
        "above, scale = s - SIGMA_MIN, jnp.sqrt(s**2 + SIGMA_DATA**2)",
        "above, scale = s, jnp.sqrt(s**2 + SIGMA_DATA**2)",
        "lessons/test_denoising.py::test_a_consistency_function_is_the_identity_at_the_least_noise",
    ),
    Fault(
        "IDQL acts with the learner and not with its average",
        "agents/idql.py",
        "return state.average",
        "return state.policy.params",
        "agents/test_idql.py::test_the_average_acts_and_the_learner_does_not",
    ),
    Fault(
        "SRPO descends Q",
        "agents/srpo.py",
        "density - self.q_weight * slope",
        "density + self.q_weight * slope",
        "agents/test_srpo.py::test_the_gradient_for_a_gaussian_behaviour",
    ),
    Fault(
        "CAC's critics expect the learner's actions",
        "agents/cac.py",
        "sample = self.sampler(state, state.policy.target, steps=1)",
        "sample = self.sampler(state, state.policy.params, steps=1)",
        "agents/test_cac.py::test_the_critics_expect_the_actions_of_the_average",
    ),
    Fault(
        "CAC's levels of noise never grow",
        "agents/cac.py",
        "return state.replace(updates=state.updates + 1), metrics",
        "return state, metrics",
        "agents/test_cac.py::test_updates_are_counted_with_seeds_together_and_in_files",
    ),
    Fault(
        "GUITAR's rewards as they were stored",
        "agents/guitar.py",
        "return replace(batch, rewards=(1 - self.discount) * (f - f.mean()))",
        "return batch",
        "agents/test_guitar.py::test_stored_rewards_count_for_nothing_and_the_reward_as_it_is_now_for_all",
    ),
    Fault(
        "GUITAR's rewards on a scale of their own",
        "agents/guitar.py",
        "rewards=(1 - self.discount) * (f - f.mean())",
        "rewards=f",
        "agents/test_guitar.py::test_stored_rewards_count_for_nothing_and_the_reward_as_it_is_now_for_all",
    ),
    Fault(
        "GUITAR's reward learns with the optimizer of the others",
        "agents/guitar.py",
        "reward = Learner.create(state.reward.params, self.reward_optimizer)",
        "reward = state.reward",
        "agents/test_guitar.py::test_lessons_make_the_expert_s_pairs_worth_more",
    ),
    Fault(
        "GUITAR's reward prefers the learner",
        "agents/guitar.py",
        "return moment_matching_loss(f, expert, learner, key, **options)",
        "return moment_matching_loss(f, learner, expert, key, **options)",
        "agents/test_guitar.py::test_lessons_make_the_expert_s_pairs_worth_more",
    ),
    # ------------------------------------------------------------------------------ the training
    Fault(
        "shared draws are those of seed 0",
        "training/loop.py",
        "shared = jax.random.wrap_key_data(jnp.array([1, 0], jnp.uint32))",
        "shared = jax.random.key(0)",
        "training/test_training.py",
    ),
    Fault(
        "validation batches drawn with the keys of updates",
        "training/loop.py",
        "INIT, TRAINING, VALIDATION = range(3)",
        "INIT, TRAINING, VALIDATION = 0, 1, 1",
        "training/test_training.py",
    ),
    Fault(
        "a fresh state drawn with the key that makes all others",
        "training/loop.py",
        "streams = jax.vmap(lambda key: jax.random.fold_in(key, INIT))(keys)",
        "streams = keys",
        "training/test_training.py",
    ),
    Fault(
        "a repeated seed in the results",
        "training/loop.py",
        "return jax.tree.map(lambda leaf: jnp.copy(leaf[:seeds]), by_seed)",
        "return jax.tree.map(jnp.copy, by_seed)",
        "training/test_training.py::"
        "test_seeds_that_devices_cannot_share_evenly_learn_what_each_learns_alone",
    ),
    Fault(
        "the logged state deleted by the next chunk",
        "training/loop.py",
        "self.on_log(done, own(state))",
        "self.on_log(done, state)",
        "training/test_training.py",
    ),
    Fault(
        "a saved agent is private to its owner",
        "training/checkpoints.py",
        "beside.write_bytes(tree_bytes(tree, metadata))",
        "beside.write_bytes(tree_bytes(tree, metadata)); beside.chmod(0o600)",
        "training/test_checkpoints.py",
    ),
    Fault(
        "NumPy's numbers can't be kept",
        "training/checkpoints.py",
        "return json.dumps(value, default=lambda number: number.item())",
        "return json.dumps(value)",
        "training/test_training.py::test_numbers_of_numpy_do_what_those_of_python_do",
    ),
    Fault(
        "the next episode's start stored as the last one's end",
        "training/interactive.py",
        "obs = after.copy()",
        "obs = after",
        "training/test_interactive.py::test_every_step_is_stored_once_and_none_leads_from_one_episode_to_the_next",
    ),
    Fault(
        "a time limit that ends the task in the loop",
        "training/interactive.py",
        "masks = column(1.0 - segment.terminated, 1.0)",
        "masks = column(1.0 - segment.ended, 1.0)",
        "training/test_interactive.py::test_a_time_limit_bootstraps_and_ends_the_trajectory",
    ),
    Fault(
        "roll-ins learned from",
        "training/interactive.py",
        "in _spans(segment.own[:, world], segment.ended[:, world])",
        "in _spans(segment.own[:, world] | True, segment.ended[:, world])",
        "training/test_interactive.py::test_steps_of_a_roll_in_are_counted_and_not_stored",
    ),
    Fault(
        "worlds begun anew in each round",
        "training/interactive.py",
        "worlds.reset(world, self._start(int(episode)).seed, physics)",
        "worlds.reset(world, self._start(int(episode)).seed)",
        "training/test_interactive.py::test_episodes_go_on_from_round_to_round",
    ),
    Fault(
        "the same noise in each round",
        "training/interactive.py",
        "jax.random.fold_in(key, t), 3))",
        "jax.random.fold_in(key, t % 4), 3))",
        "training/test_interactive.py::test_noise_moves_actions_and_keeps_them_in_range",
    ),
    Fault(
        "updates that draw the same batches in each round",
        "training/interactive.py",
        "first, key = number * length, jax",
        "first, key = 0 * length, jax",
        "training/test_interactive.py::test_an_infinite_loss_is_an_error_that_keeps_the_last_good_state",
    ),
    Fault(
        "steps of lessons not counted",
        "training/interactive.py",
        "progress.steps[...] += shown.steps",
        "pass",
        "training/test_interactive.py::test_steps_of_lessons_are_counted",
    ),
    Fault(
        "a lesson from episodes that began with a reset",
        "environments/worlds.py",
        "worlds.reset(world, int(start)) for",
        "worlds.reset(world, int(start), worlds.states()[world]) for",
        "training/test_interactive.py::test_lessons_are_of_whole_episodes_that_no_reset_began",
    ),
    Fault(
        "a lesson from what comes after an episode's end",
        "environments/worlds.py",
        "running &= ~outcome.terminated",
        "pass",
        "training/test_interactive.py::test_whole_episodes_begin_at_their_own_starts_and_have_nothing_after_their_ends",
    ),
    Fault(
        "a lesson from a policy with noise",
        "training/interactive.py",
        "decisions = Decisions(self, state, stream=SHOWING, noise=0.0)",
        "decisions = Decisions(self, state, stream=SHOWING)",
        "training/test_interactive.py::test_lessons_are_of_whole_episodes_that_no_reset_began",
    ),
    Fault(
        "the weights of resets not in a checkpoint's identity",
        "training/interactive.py",
        "return found if self.weights is None else found",
        "return found if True else found",
        "training/test_interactive.py::test_resets_of_other_weights_are_another_run_s",
    ),
    Fault(
        "rows without a transition in the buffer",
        "training/replay.py",
        "place = jnp.where(valid, place, self.capacity)",
        "place = jnp.where(valid, place, place + 1)",
        "training/test_replay.py",
    ),
    Fault(
        "samples from the empty part of the buffer",
        "training/replay.py",
        "(batch_size,), 0, self.size)",
        "(batch_size,), 0, self.capacity)",
        "training/test_replay.py",
    ),
    # ---------------------------------------------------------------- the data, the environments
    Fault(
        "a body that moves as it likes",
        "environments/bodies.py",
        "forces = self.body.force(actions)",
        "forces = actions",
        "environments/test_bodies.py::test_a_body_does_what_it_can_and_no_more",
    ),
    Fault(
        "a repeated step that forgets an arrival on its way",
        "environments/bodies.py",
        "success=np.any([outcome.success for outcome in outcomes], axis=0),",
        "success=outcomes[-1].success,",
        "environments/test_bodies.py::test_a_step_that_is_repeated_is_as_many_steps_of_the_world",
    ),
    Fault(
        "a body turned the other way",
        "environments/bodies.py",
        "np.array([[cos, sin], [-sin, cos]])",
        "np.array([[cos, -sin], [sin, cos]])",
        "environments/test_bodies.py::test_a_body_does_what_it_can_and_no_more",
    ),
    Fault(
        "a blind body that sees where it begins",
        "environments/bodies.py",
        "return self.body.view(self.worlds.reset(world, seed, state))",
        "return self.worlds.reset(world, seed, state)",
        "environments/test_bodies.py::test_a_blind_body_sees_nothing_of_the_other_coordinate_and_its_states_are_whole",
    ),
    Fault(
        "a learner's episode that ends with its arrival",
        "environments/bodies.py",
        "terminated=np.zeros_like(outcomes[-1].terminated),",
        "terminated=outcomes[-1].terminated,",
        "environments/test_bodies.py::test_an_arrival_is_a_success_and_no_end",
    ),
    Fault(
        "masks other than 0 and 1 accepted",
        "datasets/transitions.py",
        'valid = np.isin(arrays["masks"], (0, 1))',
        "valid = np.ones(rows, bool)",
        "datasets/test_transitions.py",
    ),
    Fault(
        "another maze's file accepted",
        "datasets/ogbench.py",
        "in_walls.mean() <= WALL_SHARE,",
        "True,",
        "datasets/test_ogbench.py::test_another_mazes_file_under_this_mazes_name_is_refused",
    ),
    Fault(
        "two processes download one file at once",
        "datasets/download.py",
        "            _lock_now(file.fileno())",
        "            pass",
        "datasets/test_download.py::test_processes_that_ask_for_one_file_share_one_download",
    ),
    Fault(
        "a login page in the place of what was downloaded",
        "datasets/download.py",
        "check(_MAGIC[: len(chunk)] == chunk, _not_npz(response), _Unavailable)",
        "pass",
        "datasets/test_download.py::test_a_captive_portal_leaves_the_part_alone",
    ),
    Fault(
        "a silent host asked again and again",
        "datasets/download.py",
        'raise _Unavailable(f"no answer in {timeout:g} s") from None',
        'raise OSError(f"no answer in {timeout:g} s") from None',
        "datasets/test_download.py::test_a_silent_host_is_waited_for_once_and_not_in_silence",
    ),
    Fault(
        "a silent host waited for in silence",
        "datasets/download.py",
        'bar.set_postfix_str(f"waiting for {urlsplit(url).hostname}, at most {timeout:g} s")',
        "pass",
        "datasets/test_download.py::test_a_silent_host_is_waited_for_once_and_not_in_silence",
    ),
    Fault(
        "a Content-Length that is no number",
        "datasets/download.py",
        "total = offset + int(length) if length.isdecimal() else None",
        "total = offset + int(length) if length else None",
        "datasets/test_download.py::test_a_content_length_that_is_no_number_is_ignored",
    ),
    Fault(
        "collecting needs signals that Windows lacks",
        "datasets/collect.py",
        'if not hasattr(signal, "pthread_sigmask"):',
        "if False:",
        "system/test_portability.py::test_data_are_collected_without_posix",
    ),
    Fault(
        "a state without its control",
        "environments/make.py",
        "0 if state.control is None else state.control",
        "0",
        "environments/test_make.py::test_a_state_is_felt_in_the_fingers_whatever_came_before",
    ),
    Fault(
        "a reset that leaves the control of its random steps",
        "environments/make.py",
        "get_state(env)._replace(control=None)",
        "get_state(env)",
        "environments/test_make.py::test_a_reset_leaves_nothing_of_its_random_steps",
    ),
    Fault(
        "each maze leaves an open descriptor",
        "environments/make.py",
        "            os.close(descriptor)",
        "            pass",
        "environments/test_make.py::test_environments_leave_no_descriptor_and_no_file",
    ),
    Fault(
        "each maze leaves a file",
        "environments/make.py",
        "descriptor, path = tempfile.mkstemp(dir=folder, **options)",
        "descriptor, path = tempfile.mkstemp(**options)",
        "environments/test_make.py::test_environments_leave_no_descriptor_and_no_file",
    ),
    Fault(
        "length without the step that reports the success",
        "environments/rollout.py",
        "lengths[e] = t + 1 if success[e] else limit",
        "lengths[e] = t if success[e] else limit",
        "environments/test_rollout.py",
    ),
    # ---------------------------------------------------------- the experiments, the command line
    Fault(
        "interquartile mean without trimming",
        "evaluation/aggregates.py",
        "cut = ordered.shape[-1] // 4",
        "cut = 0",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "bootstrap that mixes tasks",
        "evaluation/aggregates.py",
        "return np.take_along_axis(np.sort(scores, axis=0)[None], drawn, axis=1)",
        "return scores.ravel()[rng.integers(scores.size, size=drawn.shape)]",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "bootstrap that draws whole seeds",
        "evaluation/aggregates.py",
        "drawn = rng.integers(len(scores), size=(count, *scores.shape))",
        "drawn = rng.integers(len(scores), size=(count, len(scores), 1))",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "a tie is no improvement",
        "evaluation/aggregates.py",
        "signs = np.sign(scores[..., :, None, :] - others[..., None, :, :])",
        "signs = np.where(scores[..., :, None, :] > others[..., None, :, :], 1, -1)",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "a p-value of zero",
        "evaluation/aggregates.py",
        "return (1 + sum(np.count_nonzero(extreme(drawn)) for drawn in portions)) / (1 + draws)",
        "return sum(np.count_nonzero(extreme(drawn)) for drawn in portions) / draws",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "Holm's correction in the order of the table",
        "evaluation/aggregates.py",
        'order = np.argsort(p_values, kind="stable")',
        "order = np.arange(len(p_values))",
        "evaluation/test_aggregates.py",
    ),
    Fault(
        "tuned on the reported episodes",
        "experiments/tuning.py",
        "evaluation_seed=EVALUATION_SEED,",
        "evaluation_seed=None,",
        "experiments/test_tuning.py",
    ),
    Fault(
        "tuned on the reported seeds",
        "experiments/tuning.py",
        "SEEDS = (1000, 1001)",
        "SEEDS = (0, 1)",
        "experiments/test_tuning.py",
    ),
    Fault(
        "tuning counts the winner's episodes alone",
        "experiments/tuning.py",
        "return int(self.table.episodes.sum())",
        "return int(self.table.episodes[self.table.chosen].sum())",
        "experiments/test_tuning.py",
    ),
    Fault(
        "aggregates of the setting that did best where it is reported",
        "experiments/statistics.py",
        "best = per_environment(results[~last])",
        "best = per_environment(results[last])",
        "experiments/test_experiment_statistics.py",
    ),
    Fault(
        "a comparison that pairs no tasks",
        "experiments/statistics.py",
        'one, other = tables[reference].align(table, join="inner")',
        "one, other = tables[reference], table",
        "experiments/test_experiment_statistics.py",
    ),
    Fault(
        "a folder answers for another plan",
        "experiments/experiment.py",
        "        check_plan(place, experiment.plan(dataset_sha256))",
        "        pass",
        "experiments/test_experiment.py",
    ),
    Fault(
        "a plan without its number of episodes",
        "experiments/experiment.py",
        '"updates", "verifier", "episodes", "evaluation_seed"',
        '"updates", "verifier", "evaluation_seed"',
        "experiments/test_experiment.py",
    ),
    Fault(
        "Ctrl-C takes the interpreter down under XLA's threads",
        "programs.py",
        "        os._exit(code)",
        "        sys.exit(code)",
        "system/test_programs.py",
    ),
    Fault(
        "doctor checks one manifest only",
        "cli/doctor.py",
        "folders = folders or tuple(root / name for name in SHIPPED)",
        "folders = folders or (root / SHIPPED[0],)",
        "cli/test_doctor.py",
    ),
    Fault(
        "doctor vouches for packages that it did not import",
        "cli/doctor.py",
        "for name, reason in import_errors(modules).items():",
        "for name, reason in ():",
        "cli/test_doctor.py",
    ),
    Fault(
        "doctor vouches for versions that do not work together",
        "cli/doctor.py",
        "    try:\n        _learn()",
        "    try:\n        pass",
        "cli/test_doctor.py",
    ),
    Fault(
        "doctor gives Debian's advice everywhere",
        "cli/doctor.py",
        'linux = name.startswith("linux")',
        "linux = True",
        "cli/test_doctor.py",
    ),
    # -------------------------------------------------------------------------------- the course
    Fault(
        "a submission outlives its grader",
        "course/grading/fence.py",
        '"--die-with-parent", ',
        "",
        "course/test_fence.py::test_a_grader_that_is_killed_takes_its_submission_with_it",
    ),
    Fault(
        "an answer has the network",
        "course/grading/fence.py",
        '*("bwrap", "--unshare-all", ',
        '*("bwrap", "--unshare-all", "--share-net", ',
        "course/test_fence.py::test_every_attack_is_refused",
    ),
    Fault(
        "an answer can read the solutions",
        "course/grading/fence.py",
        'hidden = [PACKAGE / "course", PACKAGE / "cli"]',
        'hidden = [PACKAGE / "cli"]',
        "course/test_fence.py::test_every_attack_is_refused",
    ),
    Fault(
        "an answer can write what others read",
        "course/grading/fence.py",
        '*_same("--ro-bind", PACKAGE, *_data_folders())',
        '*_same("--bind", PACKAGE, *_data_folders())',
        "course/test_fence.py::test_every_attack_is_refused",
    ),
    Fault(
        "what an answer prints rules the terminal",
        "course/grading/fence.py",
        'text = _CONTROL.sub("\\N{REPLACEMENT CHARACTER}", text.replace("\\r\\n", "\\n"))',
        "pass",
        "course/test_fence.py::test_what_comes_out_is_made_harmless",
    ),
    Fault(
        "the library's function is an answer",
        "course/grading/worker.py",
        "        for name in library:",
        "        for name in ():",
        "course/test_grading.py::test_a_function_of_the_library_that_would_be_the_answer_refuses",
    ),
    Fault(
        "a class is graded anew after an interruption",
        "course/grading/classroom.py",
        'decided = kept["key"] == key and not row.undecided',
        "decided = False",
        "course/test_classroom.py::test_a_run_that_is_killed_goes_on_where_it_stopped",
    ),
    Fault(
        "the course needs modules that Windows lacks",
        "course/grading/fence.py",
        "import contextlib\nimport functools",
        "import contextlib\nimport resource\nimport functools",
        "system/test_portability.py::"
        "test_without_posix_the_course_is_built_and_ranked_and_grading_refuses",
    ),
    Fault(
        "a lesson changed by opening it",
        "course/notebooks.py",
        'notebook.metadata["language_info"] = nbformat.from_dict(LANGUAGE)',
        "pass",
        "course/test_notebooks.py::"
        "test_a_lesson_that_jupyterlab_opens_and_saves_unchanged_stays_unchanged",
    ),
    Fault(
        "a text beside a lesson is paired with it",
        "course/notebooks.py",
        "#     notebook_metadata_filter",
        "#     formats: ipynb,py:percent\n#     notebook_metadata_filter",
        "course/test_notebooks.py::test_no_text_beside_a_notebook_hides_or_overwrites_an_answer",
    ),
    Fault(
        "a sync overwrites answers",
        "course/notebooks.py",
        "return not all(map(as_given, cells))",
        "return False",
        "course/test_notebooks.py::test_no_text_beside_a_notebook_hides_or_overwrites_an_answer",
    ),
    Fault(
        "a slow check in nbgrader earns 0 points without a word",
        "course/build.py",
        "c.ExecutePreprocessor.interrupt_on_timeout = False",
        "c.ExecutePreprocessor.interrupt_on_timeout = True",
        "course/test_nbgrader.py::"
        "test_a_check_that_takes_longer_than_it_may_is_an_error_and_not_0_points",
    ),
    Fault(
        "a machine without memory takes points",
        "course/grading/fence.py",
        'how = "machine"',
        "pass",
        "course/test_fence.py::test_a_machine_that_runs_out_of_memory_takes_no_points",
    ),
    Fault(
        "an unsaved answer is packed without a word",
        "course/hand_in.py",
        "if ran[at].strip() != exercise.blank.strip():",
        "if False:",
        "course/test_hand_in.py::test_a_kernel_that_has_other_answers_than_the_file_is_told_of",
    ),
)


def passes(tests: str, fault: Fault | None = None) -> bool:
    """Whether tests pass in a copy of the library and of the tests, with `fault` put in."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in ROOT.iterdir():
            if path.name not in (*COPIED, "runs") and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        for name in COPIED:
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=skip)
        if fault is not None:
            module = copy / fault.file
            module.write_text(module.read_text().replace(fault.right, fault.wrong))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("-m", "thorough or release or not goals"),
                *("--rootdir", str(copy), f"tests/{tests}"),
            ],
            cwd=copy,
            env=os.environ | SHARED | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
    if done.returncode not in (0, 1):  # 1: a test failed; else pytest itself did
        raise RuntimeError(f"pytest stopped with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def kept(folder: Path, tests: str, fault: Fault | None = None) -> bool:
    """What `passes` says, from `folder` if it has said so before."""
    file = folder / hashlib.sha256(repr((tests, fault)).encode()).hexdigest()[:16]
    if not file.exists():
        verdict = passes(tests, fault)
        with atomic_write(file) as beside:
            beside.write_text(f"{verdict}\n")
    return file.read_text() == "True\n"


def digest() -> str:
    """Of all that is copied: verdicts hold for these files alone."""
    found = hashlib.sha256()
    for path in sorted(path for name in COPIED for path in (ROOT / name).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "durations.json":
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only faults whose name has one of these words")
    parser.add_argument("--jobs", type=int, default=2, help="faults tried at a time (default: 2)")
    options = parser.parse_args(arguments)
    named = re.compile("|".join(map(re.escape, options.words)))
    chosen = [fault for fault in FAULTS if named.search(fault.name)]
    stale = [problem for fault in FAULTS if (problem := fault.problem())]
    if stale or not chosen:
        print("\n".join(stale or [f"no fault has {' or '.join(options.words)} in its name"]))
        return 2
    folder = ROOT / "runs" / "mutation" / digest()
    survived, width = 0, max(len(fault.name) for fault in chosen)
    with ThreadPoolExecutor(options.jobs) as pool:
        tests = list(dict.fromkeys(fault.tests for fault in chosen))
        for name, well in zip(tests, pool.map(partial(kept, folder), tests), strict=True):
            if not well:
                pool.shutdown(cancel_futures=True)
                print(f"tests/{name} fail without any fault, so that they can't notice one")
                return 2
        verdicts = pool.map(lambda fault: kept(folder, fault.tests, fault), chosen)
        for fault, alive in zip(chosen, verdicts, strict=True):
            survived += alive
            verdict = "SURVIVED" if alive else "noticed "
            print(f"{fault.name:{width}}  {verdict}  tests/{fault.tests}", flush=True)
    print(f"{len(chosen)} faults, {survived} survived")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
