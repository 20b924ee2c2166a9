"""The baselines' own losses: what each says of a critic that is known, and what it lets learn."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_contract import BANDIT, CONTEXTS, KEY, SMALL, tiny

from sorl_edu.agents import BC, BFN, FAWAC, FBRAC, FQL, IFQL, IQL, ReBRAC
from sorl_edu.agents.agent import act
from sorl_edu.datasets.toy import bandit, bandit_reward, random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.evaluation import t_interval
from sorl_edu.flow_matching import integrate
from sorl_edu.training import seed_keys, seed_state, train_seeds


def begin(agent, rows=64):
    """A state and a batch of an agent with tiny networks."""
    data = agent.prepare(random_transitions(3, 2, rows=200))
    state = agent.init(KEY, data)
    return state, data.sample(jax.random.key(1), rows)


def known(agent, monkeypatch, **functions):
    """The agent, with known functions in the place of some of its networks."""
    learned = type(agent).function

    def function(self, state, name, params=None):
        return functions[name] if name in functions else learned(self, state, name, params)

    monkeypatch.setattr(type(agent), "function", function)
    return agent


def critics(obs, actions):
    """Two critics: Q_1 = the first action, Q_2 = 2 more."""
    return jnp.stack([actions[:, 0], actions[:, 0] + 2])


# ------------------------------------------------------------------------------ weighted regression


def test_iql_regresses_on_the_weighted_mean_action(monkeypatch):
    learned = {}
    agent = known(
        tiny(IQL(inverse_temperature=3.0)),
        monkeypatch,
        critic=critics,
        values=lambda obs: obs[:, 0],  # the same for all would be no other weighted mean
        policy=lambda obs: jnp.tile(learned["mu"], (len(obs), 1)),
    )
    state, batch = begin(agent)
    advantages = np.asarray(batch.actions[:, 0] - batch.observations[:, 0])
    weights = np.minimum(np.exp(3 * advantages), 100)
    mean = (weights[:, None] * np.asarray(batch.actions)).sum(0) / weights.sum()

    def loss(mu):
        learned["mu"] = mu
        return agent.policy_loss(None, state, batch, KEY)[0]

    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(mean)), 0, atol=1e-5)
    assert jnp.abs(jax.grad(loss)(batch.actions.mean(0))).max() > 0.05  # not the mean action


def test_iql_values_the_smaller_critic_and_bootstraps_without_an_action(monkeypatch):
    agent = known(
        tiny(IQL(discount=0.5)),
        monkeypatch,
        critic=critics,
        values=lambda obs: jnp.full(len(obs), 4.0),
    )
    state, batch = begin(agent)
    loss, metrics = agent.critic_loss(None, state, batch, KEY)
    target = batch.rewards + 0.5 * batch.masks * 4
    gaps = critics(batch.observations, batch.actions) - target
    assert loss == pytest.approx(float((gaps**2).mean()), rel=1e-5)
    u = batch.actions[:, 0] - 4  # the smaller of the two, minus V: always negative
    assert agent.value_loss(None, state, batch, KEY)[0] == pytest.approx(
        float(0.1 * (u**2).mean()), rel=1e-5
    )
    assert metrics["target_mean"] == pytest.approx(float(target.mean()), rel=1e-5)


def test_fawac_weights_the_flow_loss_by_the_advantage_over_its_own_action(monkeypatch):
    agent = tiny(FAWAC(inverse_temperature=2.0, largest_weight=3.0, flow_steps=1))
    known(agent, monkeypatch, critic=critics)
    state, batch = begin(agent)
    _, metrics = agent.policy_loss(state.policy.params, state, batch, KEY)
    own = agent.sampler(state, state.policy.params, 1)(
        batch.observations,
        jax.random.normal(jax.random.split(KEY, 3)[0], batch.actions.shape),
    )
    weights = np.minimum(np.exp(2 * (batch.actions - own)[:, 0]), 3)
    assert metrics["mean_weight"] == pytest.approx(float(weights.mean()), rel=1e-5)
    cloned, _ = replace(agent, inverse_temperature=0.0).policy_loss(
        state.policy.params, state, batch, KEY
    )
    assert cloned != pytest.approx(float(metrics["policy_loss"]))


# --------------------------------------------------------------------------------------- gradients


def test_rebrac_pays_for_distance_and_not_where_the_data_have_no_action(monkeypatch):
    agent = known(
        tiny(ReBRAC(critic_penalty=0.5, target_noise=0.0, discount=0.5)),
        monkeypatch,
        critic=critics,
        policy=lambda obs: jnp.full((len(obs), 2), 0.25),
    )
    state, batch = begin(agent)
    batch = replace(batch, next_acted=jnp.arange(64) % 2 * 1.0)
    _, metrics = agent.critic_loss(None, state, batch, KEY)
    distance = np.sum((0.25 - np.asarray(batch.next_actions)) ** 2, 1) * (np.arange(64) % 2)
    target = batch.rewards + 0.5 * batch.masks * (0.25 - 0.5 * distance)
    assert metrics["target_mean"] == pytest.approx(float(target.mean()), rel=1e-5)


def test_rebracs_policy_pays_nothing_at_the_datas_own_action(monkeypatch):
    agent = tiny(ReBRAC(policy_penalty=7.0))
    state, batch = begin(agent)
    known(agent, monkeypatch, critic=critics, policy=lambda obs: batch.actions)
    loss, metrics = agent.policy_loss(None, state, batch, KEY)
    q = batch.actions[:, 0]  # the smaller critic
    assert metrics["data_distance"] == 0
    assert loss == pytest.approx(float(-q.mean() / jnp.abs(q).mean()), rel=1e-4)


def test_rebracs_target_noise_is_clipped(monkeypatch):
    seen = []

    def critic(obs, actions):
        seen.append(actions)
        return critics(obs, actions)

    agent = known(
        tiny(ReBRAC(target_noise=10.0, target_noise_clip=0.25)),
        monkeypatch,
        critic=critic,
        policy=lambda obs: jnp.zeros((len(obs), 2)),
    )
    state, batch = begin(agent)
    agent.critic_loss(None, state, batch, KEY)
    assert 0.2 < jnp.abs(seen[0]).max() <= 0.25


def test_rebracs_policy_and_targets_move_in_every_second_update():
    agent = tiny(ReBRAC())
    state, batch = begin(agent)
    update = jax.jit(agent.update)
    moved = []
    for i in range(100):
        after, _ = update(state, batch, KEY, jax.random.key(i))
        moves = [
            any(map(jnp.any, jax.tree.leaves(jax.tree.map(lambda a, b: a != b, old, new))))
            for old, new in (
                (state.policy.params, after.policy.params),
                (state.policy.target, after.policy.target),
                (state.critic.target, after.critic.target),
            )
        ]
        assert len(set(moves)) == 1
        moved.append(moves[0])
    assert 30 <= sum(moved) <= 70


def test_fqls_distillation_is_zero_at_the_flows_own_map(monkeypatch):
    agent = tiny(FQL(flow_steps=3))
    state, batch = begin(agent)
    field = agent.function(state, "field")
    own = lambda obs, noise: jnp.clip(integrate(field, obs, noise, 3), -1, 1)  # noqa: E731
    known(agent, monkeypatch, policy=own)
    assert agent.policy_loss(None, state, batch, KEY)[1]["distillation_loss"] == 0


def test_fqls_policy_learns_from_the_critic_and_teaches_neither_flow_nor_critic():
    agent = tiny(FQL(flow_steps=2))
    state, batch = begin(agent)

    def loss(state):
        return agent.policy_loss(state.policy.params, state, batch, KEY)[0]

    slope = jax.grad(lambda policy: loss(state.replace(policy=policy)), allow_int=True)
    assert any(map(jnp.any, jax.tree.leaves(slope(state.policy).params)))
    slope = jax.grad(lambda field: loss(state.replace(field=field)), allow_int=True)(state.field)
    assert not any(map(jnp.any, jax.tree.leaves(slope.params)))


@pytest.mark.parametrize("steps", [1, 3])
def test_fbracs_gradient_goes_through_every_step(steps, monkeypatch):
    learned = {}
    agent = known(
        tiny(FBRAC(flow_weight=0.0, flow_steps=steps)),
        monkeypatch,
        critic=critics,
        policy=lambda obs, a_t, t: learned["speed"] + 0.5 * a_t,
    )
    state, batch = begin(agent)

    def loss(speed):
        learned["speed"] = speed
        return agent.policy_loss(None, state, batch, KEY)[0]

    # a_{i+1} = (1 + c/m) a_i + v/m:  da_m/dv = sum_i (1 + c/m)^i / m, where no action is clipped.
    noise = jax.random.normal(jax.random.split(KEY)[0], batch.actions.shape)
    growth = 1 + 0.5 / steps
    geometric = sum(growth**i for i in range(steps)) / steps
    ends = growth**steps * noise[:, 0] + 0.1 * geometric
    exact = -geometric * np.mean(np.abs(ends) < 1)
    assert jax.grad(loss)(0.1) == pytest.approx(float(exact), rel=1e-4)


# ---------------------------------------------------------------------------------------- choosing


def test_bfn_backs_up_the_best_of_its_candidates(monkeypatch):
    agent = tiny(BFN(candidates=16, flow_steps=1))
    known(agent, monkeypatch, critic=critics)
    state, batch = begin(agent)
    best = agent.next_actions(state, batch, KEY)
    noise = jax.random.normal(KEY, (16, *batch.actions.shape))
    sample = agent.sampler(state, state.policy.params, 1)
    firsts = jnp.stack([sample(batch.next_observations, z)[:, 0] for z in noise])
    np.testing.assert_allclose(best[:, 0], firsts.max(0), rtol=1e-5)


def test_ifqls_policy_clones_all_data_alike():
    agent = tiny(IFQL())
    state, batch = begin(agent)
    one = agent.policy_loss(state.policy.params, state, batch, KEY)[0]
    other = agent.policy_loss(
        state.policy.params, state, replace(batch, rewards=batch.rewards + 100), KEY
    )[0]
    assert one == other


# ----------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "kind, setting, value",
    [
        (IQL, "expectile", 1.0),
        (IQL, "expectile", 0.0),
        (IQL, "inverse_temperature", -1.0),
        (IQL, "largest_weight", 0.5),
        (ReBRAC, "policy_penalty", -1.0),
        (ReBRAC, "policy_period", 0),
        (FQL, "distillation_weight", float("nan")),
        (FQL, "flow_steps", 0),
        (FBRAC, "flow_weight", -1.0),
        (FAWAC, "flow_steps", 0),
        (BFN, "candidates", 0),
        (BFN, "tau", 0.0),
        (IFQL, "discount", 1.5),
        (IFQL, "n_step", 0),
        (BC, "batch_size", 0),
    ],
)
def test_a_setting_out_of_range_is_refused(kind, setting, value):
    with pytest.raises(ConfigError, match=setting):
        kind(**{setting: value})


# --------------------------------------------------------------------------------------- the bandit

NAMES = [name for name in SMALL if name not in ("sorl", "flow_bc", "bc", "regression")]


@pytest.fixture(scope="module")
def rewards():
    """The mean reward of each of four training seeds of an agent, on the bandit."""
    data = bandit(jax.random.key(0), 4096)

    def of(name):
        agent = SMALL[name]
        options = {"updates": 800, "log_every": 200, "progress": False}
        run = train_seeds(agent, data, keys=seed_keys(range(4)), **options)
        steps, candidates = (1, 1) if name == "bc" else BANDIT.get(name, (2, 32))
        return np.array(
            [
                bandit_reward(
                    CONTEXTS,
                    act(
                        agent,
                        seed_state(run.state, i),
                        CONTEXTS,
                        KEY,
                        steps=steps,
                        candidates=candidates,
                    ),
                ).mean()
                for i in range(4)
            ]
        )

    return of


@pytest.mark.goals
def test_every_method_but_cloning_beats_cloning(rewards):
    cloning = rewards("bc")
    assert cloning.max() < 0.3  # the modes' mean is worth 0.01, and a mode at random 0.6
    for name in NAMES:
        low, _ = t_interval(rewards(name) - cloning)
        assert low > 0.2, name
