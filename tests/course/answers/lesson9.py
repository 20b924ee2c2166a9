"""Answers to lesson 9's exercises."""

import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ------------------------------------------------------------------------- 9.1 the reward's step


@right("9.1")
def filled_in(reward, expert, learner, rate):
    step = rate * (expert - learner)
    return jnp.clip(reward + step, -1, 1)


@right("9.1")
def with_numpy(reward, expert, learner, rate):
    return np.maximum(np.minimum(reward + rate * np.subtract(expert, learner), 1), -1)


@right("9.1")
def pair_by_pair(reward, expert, learner, rate):
    new = np.array(reward)
    for pair in np.ndindex(new.shape):
        new[pair] += rate * float(expert[pair] - learner[pair])
        new[pair] = min(max(new[pair], -1), 1)
    return new


@wrong("9.1", "sign reversed")
def for_the_learner(reward, expert, learner, rate):
    return jnp.clip(reward + rate * (learner - expert), -1, 1)


@wrong("9.1", "sign reversed")
def a_cost(reward, expert, learner, rate):
    return jnp.clip(reward - rate * (expert - learner), -1, 1)


@wrong("9.1", "no limit")
def endless(reward, expert, learner, rate):
    return reward + rate * (expert - learner)


@wrong("9.1", "the step is limited, and not the reward")
def a_short_step(reward, expert, learner, rate):
    return reward + jnp.clip(rate * (expert - learner), -1, 1)


@wrong("9.1", "the reward so far forgotten")
def from_scratch(reward, expert, learner, rate):
    return jnp.clip(rate * (expert - learner), -1, 1)


@wrong("9.1", "the learner forgotten")
def what_the_expert_does(reward, expert, learner, rate):
    return jnp.clip(reward + rate * expert, -1, 1)


@wrong("9.1", "rate forgotten")
def of_rate_one(reward, expert, learner, rate):
    return jnp.clip(reward + expert - learner, -1, 1)


@wrong("9.1", "negative rewards cut off")
def nothing_costs(reward, expert, learner, rate):
    return jnp.clip(reward + rate * (expert - learner), 0, 1)


@wrong("9.1", "signs alone")
def by_sign(reward, expert, learner, rate):
    return jnp.clip(reward + rate * jnp.sign(expert - learner), -1, 1)


@wrong("9.1", says="The reward is off by up to")
def a_ratio(reward, expert, learner, rate):
    return jnp.clip(reward + rate * (jnp.log(expert + 1) - jnp.log(learner + 1)), -1, 1)


@wrong("9.1", says="The reward should have the shape (5, 3), and has (5,)")
def of_states(reward, expert, learner, rate):
    return jnp.clip(reward + rate * (expert - learner), -1, 1).sum(1)


# ------------------------------------------------------------------------ 9.2 where to practise


@right("9.2")
def mixed_and_averaged(own, expert, offline, resets, share):
    reset = (1 - share) * expert + share * offline
    return ((1 - resets) * own + resets * reset).mean(0)


@right("9.2")
def averaged_and_mixed(own, expert, offline, resets, share):
    own, expert, offline = (np.mean(law, axis=0) for law in (own, expert, offline))
    return (1 - resets) * own + resets * (1 - share) * expert + resets * share * offline


@right("9.2")
def with_weights(own, expert, offline, resets, share):
    weights = np.array([1 - resets, resets - resets * share, resets * share])
    return np.einsum("i,ihs->s", weights, np.stack([own, expert, offline])) / len(own)


@wrong("9.2", "share of all states")
def of_everything(own, expert, offline, resets, share):
    return ((1 - resets) * own + (resets - share) * expert + share * offline).mean(0)


@wrong("9.2", "expert and offline swapped")
def the_other_share(own, expert, offline, resets, share):
    reset = share * expert + (1 - share) * offline
    return ((1 - resets) * own + resets * reset).mean(0)


@wrong("9.2", "resets reversed")
def the_other_fraction(own, expert, offline, resets, share):
    reset = (1 - share) * expert + share * offline
    return (resets * own + (1 - resets) * reset).mean(0)


@wrong("9.2", "own states forgotten")
def resets_alone(own, expert, offline, resets, share):
    return (resets * ((1 - share) * expert + share * offline)).mean(0)


@wrong("9.2", "own states at full weight")
def resets_besides(own, expert, offline, resets, share):
    return (own + resets * ((1 - share) * expert + share * offline)).mean(0)


@wrong("9.2", "sum over time")
def summed_over_time(own, expert, offline, resets, share):
    reset = (1 - share) * expert + share * offline
    return ((1 - resets) * own + resets * reset).sum(0)


@wrong("9.2", "the first step only")
def at_the_start(own, expert, offline, resets, share):
    reset = (1 - share) * expert + share * offline
    return ((1 - resets) * own + resets * reset)[0]


@wrong("9.2", "a law for each step")
def step_for_step(own, expert, offline, resets, share):
    reset = (1 - share) * expert + share * offline
    return (1 - resets) * own + resets * reset


@wrong("9.2", says="The law is off by up to")
def the_plain_average(own, expert, offline, resets, share):
    return ((own + expert + offline) / 3).mean(0)


@wrong("9.2", says="The law is off by up to")
def without_the_expert(own, expert, offline, resets, share):
    return ((1 - resets * share) * own + resets * share * offline).mean(0)


# ------------------------------------------------------------------- 9.3 the completeness error


@right("9.3")
def two_terms(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    best_of_all = weights.max(1).sum()
    best_in_class = (looks @ (weights @ moves.T)).max(1).sum()
    return best_of_all - best_in_class


@right("9.3")
def in_words_of_einsum(law, advantage, looks, moves):
    scores = np.einsum("os,s,sa,ma->om", looks, law, advantage, moves)
    return np.dot(law, advantage.max(1)) - scores.max(1).sum()


@right("9.3")
def look_by_look(law, advantage, looks, moves):
    lost = 0.0
    for look in np.asarray(looks):
        states = np.flatnonzero(look)
        of_moves = [sum(law[s] * (move @ advantage[s]) for s in states) for move in moves]
        lost += sum(law[s] * advantage[s].max() for s in states) - max(of_moves)
    return lost


@wrong("9.3", "a move for each state")
def sees_everything(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return weights.max(1).sum() - (weights @ moves.T).max(1).sum()


@wrong("9.3", "one move for all states")
def blind(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return weights.max(1).sum() - (looks @ weights @ moves.T).sum(0).max()


@wrong("9.3", "a learner without slips")
def sure_footed(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return weights.max(1).sum() - (looks @ weights).max(1).sum()


@wrong("9.3", "the best of all slips, too")
def everybody_slips(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return (weights @ moves.T).max(1).sum() - (looks @ weights @ moves.T).max(1).sum()


@wrong("9.3", "one action for all states")
def mean_before_max(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return weights.sum(0).max() - (looks @ weights @ moves.T).max(1).sum()


@wrong("9.3", "the law forgotten")
def all_alike(law, advantage, looks, moves):
    return advantage.max(1).mean() - (looks @ advantage @ moves.T).max(1).sum() / len(law)


@wrong("9.3", "an average move")
def undecided(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return weights.max(1).sum() - (looks @ weights @ moves.T).mean(1).sum()


@wrong("9.3", "sign reversed")
def what_is_gained(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return (looks @ weights @ moves.T).max(1).sum() - weights.max(1).sum()


@wrong("9.3", says="The error is off by up to")
def half_of_it(law, advantage, looks, moves):
    return (law * advantage.max(1)).sum()


@wrong("9.3", says="The error should have the shape (), and has (3,)")
def an_error_of_each_look(law, advantage, looks, moves):
    weights = law[:, None] * advantage
    return looks @ weights.max(1) - (looks @ weights @ moves.T).max(1)
