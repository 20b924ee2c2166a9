"""CAC: whose actions its critics expect, which Q it climbs, how it chooses, and how it counts."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.agents import CAC
from sorl_edu.agents.agent import Network, Optimizer, encode, propose
from sorl_edu.denoising import consistency_loss
from sorl_edu.errors import ConfigError
from sorl_edu.training import seed_keys, seed_state, train, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

TINY = CAC(
    temperature=0.5,
    growth_updates=10,
    tau=0.25,
    batch_size=16,
    policy=Network((8,)),
    critic=Network((8,), layer_norm=True),
    optimizer=Optimizer(1e-2, grad_clip_norm=5.0),
)
KEY, SHARED = jax.random.key(5), jax.random.key(6)
OBS = jax.random.normal(jax.random.key(7), (4, 3))


def variant(kind, **settings):
    """A subclass of CAC with TINY's settings, but for some."""
    return kind(**{f.name: getattr(TINY, f.name) for f in fields(TINY)} | settings)


@pytest.fixture(scope="module")
def batch(transitions):
    return transitions.sample(jax.random.key(1), TINY.batch_size)


@pytest.fixture(scope="module")
def state(transitions):
    return jax.jit(TINY.init)(jax.random.key(0), transitions)


@pytest.fixture(scope="module")
def updated(state, batch):
    return jax.jit(TINY.update)(state, batch, KEY, SHARED)[0]


def test_it_chooses_as_often_as_the_softmax_says(state):
    agent, rows = replace(TINY, temperature=0.005), 20_000
    obs = jnp.broadcast_to(OBS[:1], (rows, 3))
    proposal = propose(agent, state, obs, KEY, steps=1, candidates=4)
    logits = np.asarray(proposal.q, float) / 0.005
    chances = np.exp(logits - logits.max(0))
    chances /= chances.sum(0)
    assert 0.3 < chances.max(0).mean() < 0.95  # neither uniform nor decided
    for rank in range(4):  # how often the candidate of each rank is chosen
        ranked = np.argsort(logits, axis=0)[rank]
        expected = np.take_along_axis(chances, ranked[None], axis=0)[0]
        error = np.sqrt((expected * (1 - expected)).sum()) / rows
        assert abs((proposal.chosen == ranked).mean() - expected.mean()) < 5 * error


def test_at_temperature_zero_it_takes_the_best(state):
    proposal = propose(replace(TINY, temperature=0.0), state, OBS, KEY, steps=1, candidates=8)
    np.testing.assert_array_equal(proposal.chosen, np.argmax(proposal.q, 0))


def test_a_candidate_is_the_same_whatever_their_number(state):
    few, many = (propose(TINY, state, OBS, KEY, steps=1, candidates=n) for n in (2, 5))
    np.testing.assert_allclose(many.actions[:2], few.actions, atol=1e-6)
    assert np.abs(few.actions[0] - few.actions[1]).min() > 1e-4


def test_it_knows_no_other_number_of_steps(state):
    with pytest.raises(ConfigError, match="CAC's critic has learned the value of 2 jumps"):
        propose(TINY, state, OBS, KEY, steps=2, candidates=1)


def test_the_target_has_the_best_candidate_of_each_critic(state, batch):
    # With Q_1 = a_1 and Q_2 = -a_1 no candidate is the best of both.
    class Opposed(CAC):
        def function(self, state, name, params=None):
            if name == "critic":
                return lambda obs, a: jnp.stack([a[:, 0], -a[:, 0]])
            return super().function(state, name, params)

    agent = variant(Opposed, target_candidates=3, discount=0.5)
    noise = jax.random.normal(KEY, (3, len(batch.rewards), 4))
    sample = agent.sampler(state, state.policy.target, steps=1)
    first = np.stack([sample(batch.next_observations, z)[:, 0] for z in noise])
    next_q = np.minimum(first.max(0), (-first).max(0))
    known = batch.rewards + 0.5 * batch.masks * next_q
    metrics = agent.critic_loss(None, state, batch, KEY)[1]
    np.testing.assert_allclose(metrics["target_mean"], known.mean(), atol=1e-5)
    assert (next_q > np.minimum(first, -first).max(0)).any()  # the minimum comes last


def test_the_critics_expect_the_actions_of_the_average(state, updated, batch):
    def loss(s):
        return TINY.critic_loss(state.critic.params, s, encode(s.encoder, batch), KEY)[0]

    assert loss(state.replace(policy=state.policy.replace(params=updated.policy.params))) == loss(
        state
    )
    assert loss(state.replace(policy=state.policy.replace(target=updated.policy.target))) != loss(
        state
    )


def test_it_climbs_one_critic_in_units_of_the_other(state, batch):
    class Constant(CAC):
        def function(self, state, name, params=None):
            if name == "critic":
                return lambda obs, a: jnp.ones((2, len(a))) * jnp.array([[3.0], [-4.0]])
            return super().function(state, name, params)

    def climbed(key):
        losses = [
            variant(Constant, q_weight=eta).policy_loss(state.policy.params, state, batch, key)[0]
            for eta in (2.0, 0.0)
        ]
        return float(losses[0] - losses[1])

    found = {round(climbed(jax.random.key(i)), 2) for i in range(12)}
    assert found == {-1.5, round(2 * 4 / 3, 2)}  # -2 * 3 / |-4| and -2 * -4 / |3|


def test_climbing_makes_actions_better_by_the_critic(state, batch):
    agent = replace(TINY, q_weight=1000.0)
    after = state
    update = jax.jit(
        lambda s, key: agent.update(s, batch, key, SHARED)[0].replace(
            critic=state.critic  # the critics stay as they are
        )
    )
    for i in range(30):
        after = update(after, jax.random.key(i))
    obs = batch.observations
    before_q, after_q = (
        propose(agent, s, obs, KEY, steps=1, candidates=8).q.mean() for s in (state, after)
    )
    assert after_q > before_q + 0.02


def test_levels_of_noise_grow_with_the_updates(state, batch):
    encoded = encode(state.encoder, batch)
    key = jax.random.split(KEY, 3)[2]
    functions = (
        TINY.consistency(state, state.policy.params),
        TINY.consistency(state, state.policy.target),
    )
    for updates, levels in ((0, 2), (5, 107), (10, 150), (1000, 150)):  # sqrt(22500 / 2 + 2) = 106
        counted = state.replace(updates=jnp.int32(updates))
        found = TINY.policy_loss(state.policy.params, counted, encoded, KEY)[1]
        known = consistency_loss(*functions, encoded.observations, batch.actions, key, levels)[0]
        np.testing.assert_allclose(found["consistency_loss"], known, rtol=1e-4)


def test_updates_are_counted_with_seeds_together_and_in_files(transitions, tmp_path):
    options = {"updates": 3, "progress": False}
    together = train_seeds(TINY, transitions, keys=seed_keys(range(2)), **options)
    assert together.state.updates.tolist() == [3, 3]
    options |= {"checkpoint_dir": tmp_path, "log_every": 1, "checkpoint_every": 1}
    assert int(train(TINY, transitions, key=KEY, **options).state.updates) == 3
    resumed = train(TINY, transitions, key=KEY, **(options | {"updates": 5}))
    assert int(resumed.state.updates) == 5
    file = tmp_path / "agent.safetensors"
    save_agent(file, TINY, seed_state(together.state, 1), AgentInfo("maze", updates=3))
    kept = load_agent(file)[1].updates
    assert (int(kept), kept.dtype) == (3, jnp.int32)


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("temperature", -1.0),
        ("q_weight", -1.0),
        ("denoise_steps", 0),
        ("target_candidates", 0),
        ("growth_updates", 0),
    ],
)
def test_settings_are_checked(setting, wrong):
    with pytest.raises(ConfigError, match=setting):
        replace(TINY, **{setting: wrong})
