"""What the library expects of an agent, tried on every agent and on one written from scratch.

A new agent gets these tests with one line in `SMALL`, and one in `DIALS` or `BANDIT` if it lacks a
dial or needs another setting than most. It needs tests of its own for what is its own. `make test`
tries the first agents on everything, CI all. The bandit's optimum is known: see `datasets.toy`.
"""

import collections
import functools
from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pixels
from minimal_agent import Regression
from safetensors.numpy import load_file

from sorl_edu import plotting
from sorl_edu.agents import (
    AGENTS,
    BC,
    BFN,
    CAC,
    EVOR,
    FAWAC,
    FBRAC,
    FQL,
    IDQL,
    IFQL,
    IQL,
    SORL,
    SRPO,
    FlowBC,
    GaussianReturn,
    HistogramReturn,
    MeanReturn,
    ReBRAC,
    ValueFlows,
    presets,
)
from sorl_edu.agents.agent import (
    Agent,
    Encoder,
    HasCritic,
    HasFlow,
    Learner,
    Network,
    Optimizer,
    act,
    candidate_paths,
    propose,
    value,
    without,
)
from sorl_edu.agents.published import with_width
from sorl_edu.datasets.toy import bandit, bandit_modes, bandit_reward, random_transitions
from sorl_edu.errors import ConfigError
from sorl_edu.experiments import benchmark
from sorl_edu.training import seed_state, train, train_seeds
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent
from sorl_edu.widgets import ActionDistributionExplorer

ENCODER = Encoder(fourier_features=8)


def small(agent, **settings):
    """The agent with networks and a learning rate that solve the bandit in seconds."""
    agent = replace(agent, batch_size=64, encoder=ENCODER, optimizer=Optimizer(1e-2), **settings)
    return replace(agent, tau=0.01, **with_width(agent, (64, 64)))


SMALL = {
    "sorl": small(SORL(q_weight=30.0, denoise_steps=2, max_backprop_steps=2)),
    "flow_bc": FlowBC(field=Network((64, 64, 64)), encoder=ENCODER, optimizer=Optimizer(3e-3)),
    "regression": Regression(batch_size=64),
    "bc": BC(policy=Network((64, 64)), encoder=ENCODER, optimizer=Optimizer(3e-3)),
    "iql": small(IQL(inverse_temperature=20.0)),
    "rebrac": small(ReBRAC(policy_penalty=0.1)),
    "idql": small(IDQL(policy_tau=0.01)),
    "srpo": small(SRPO(q_weight=1.0)),
    "cac": small(CAC(q_weight=10.0, temperature=0.0, growth_updates=500)),
    "fawac": small(FAWAC(inverse_temperature=10.0, flow_steps=2)),
    "fbrac": small(FBRAC(flow_weight=1.0, flow_steps=2)),
    "ifql": small(IFQL()),
    "fql": small(FQL(distillation_weight=1.0, flow_steps=2)),
    "bfn": small(BFN(candidates=4, flow_steps=2)),
    "evor": small(EVOR(discount=0.0, flow_steps=2)),  # with a bandit's returns on the unit scale
    "evor_gaussian": small(GaussianReturn(discount=0.0, flow_steps=2)),
    "evor_histogram": small(HistogramReturn(discount=0.0, flow_steps=2)),
    "evor_mean": small(MeanReturn(discount=0.0, flow_steps=2)),
    "value_flows": small(ValueFlows(discount=0.0, candidates=4, flow_steps=2)),
}
UPDATES = {"flow_bc": 1200, "bc": 100, "regression": 600}  # else 500
BRANCHES = {"sorl": 2, "rebrac": 1}  # switches of an update; else none
DIALS = {  # the most steps and candidates of agents that lack a dial; else (2, 3) are tried
    "bc": (1, 1),
    "iql": (1, 1),
    "rebrac": (1, 1),
    "idql": (1, 3),
    "srpo": (1, 1),
    "cac": (1, 3),
    "fql": (1, 3),
}
BANDIT = {  # steps and candidates with which an agent solves the bandit; else (2, 32)
    "iql": (1, 1),
    "rebrac": (1, 1),
    "idql": (1, 256),
    "srpo": (1, 1),
    "cac": (1, 32),
    "ifql": (8, 256),
    "fql": (1, 32),
    "bfn": (8, 256),
    "evor": (8, 256),
    "evor_gaussian": (8, 256),
    "evor_histogram": (8, 256),
    "evor_mean": (8, 256),
    "value_flows": (8, 256),
}


def dials(name):
    steps, candidates = DIALS.get(name, (2, 3))
    return {"steps": steps, "candidates": candidates}


def tiny(agent):
    """The agent with networks that compile fast and learn nothing."""
    networks = [f.name for f in fields(agent) if isinstance(getattr(agent, f.name), Network)]
    return replace(agent, batch_size=4, **dict.fromkeys(networks, Network((4,))))


TINY = {name: tiny(agent) for name, agent in SMALL.items()}
MAZE = "pointmaze-medium-navigate-singletask-task1-v0"
KEY, SHARED = jax.random.key(5), jax.random.key(6)

each_agent = pytest.mark.parametrize("name", SMALL)
UNTIL_EVOR = list(SMALL).index("evor") + 1  # the agents after it are relatives of it
# A shortcut, a flow, one action with a critic and without, one step, and one that counts updates.
KINDS = ["sorl", "regression", "flow_bc", "iql", "bc", "fql", "cac"]
of_each_kind = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(AGENTS, "regression", Regression)
    for name, agent in TINY.items():
        monkeypatch.setitem(presets.PRESETS, f"tiny-{name}", agent)


@pytest.fixture(scope="module")
def data():
    """4,096 one-step episodes of the bandit."""
    return bandit(jax.random.key(0), 4096)


@pytest.fixture(scope="module")
def fresh():
    """A tiny agent's state and batch, of the widths of the course's maze."""
    walk = random_transitions(2, 2, rows=200)

    @functools.cache
    def begin(name):
        agent = TINY[name]
        prepared = agent.prepare(walk)
        return jax.jit(agent.init)(KEY, prepared), prepared.sample(jax.random.key(1), 4)

    return begin


@pytest.fixture(scope="module")
def trained(data):
    """An agent's training on the bandit."""

    @functools.cache
    def run(name):
        options = {"updates": UPDATES.get(name, 500), "log_every": 200, "progress": False}
        return train(SMALL[name], data, key=jax.random.key(1), **options)

    return run


def learners(state):
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Learner))
    return [leaf for leaf in leaves if isinstance(leaf, Learner)]


def test_every_agent_is_tried():
    assert {*AGENTS, "regression"} == set(SMALL)
    assert {name: type(SMALL[name]) for name in AGENTS} == AGENTS


@each_agent
@pytest.mark.cases(UNTIL_EVOR)
def test_it_is_an_agent_and_its_state_says_its_widths(name, transitions):
    agent = SMALL[name]
    assert isinstance(agent, Agent)
    assert hash(agent) == hash(replace(agent)) and agent == replace(agent)  # static under jit
    state = jax.eval_shape(agent.init, KEY, agent.prepare(transitions))
    assert (state.obs_dim, state.action_dim) == (3, 2)


@each_agent
@pytest.mark.cases(UNTIL_EVOR)
def test_targets_start_as_copies_and_nothing_shares_memory(name, data):
    state = TINY[name].init(KEY, data)  # not compiled, which would copy anyway
    arrays = [leaf for leaf in jax.tree.leaves(state) if leaf.size]
    assert len({leaf.unsafe_buffer_pointer() for leaf in arrays}) == len(arrays)
    for learner in learners(state):
        assert jax.tree.leaves(learner.params)
        if learner.target is not None:
            for one, other in zip(
                jax.tree.leaves(learner.params), jax.tree.leaves(learner.target), strict=True
            ):
                np.testing.assert_array_equal(one, other)


@each_agent
@pytest.mark.cases(4)
def test_no_random_key_is_used_twice(name, fresh, monkeypatch):
    agent, (state, batch) = TINY[name], fresh(name)
    # JAX follows the keys through every branch, but not two that are made alike with fold_in.
    with jax.debug_key_reuse(True):
        jax.jit(agent.update).lower(state, batch, KEY, SHARED)
    used = collections.Counter()

    def watched(draw):
        def watching(key, *args, **options):
            used[np.asarray(jax.random.key_data(key)).tobytes()] += 1
            return draw(key, *args, **options)

        return watching

    for draw in ("normal", "uniform", "randint", "choice", "permutation", "bernoulli", "split"):
        monkeypatch.setattr(jax.random, draw, watched(getattr(jax.random, draw)))
    with jax.disable_jit():
        agent.update(state, batch, KEY, SHARED)
    assert set(used.values()) <= {1}
    assert len(used) >= {"sorl": 9, "flow_bc": 3}.get(name, 0)


@of_each_kind
@pytest.mark.cases(2)
def test_a_seed_learns_beside_others_what_it_learns_alone(name, data):
    agent, keys = TINY[name], jax.random.split(KEY, 2)
    options = {"updates": 20, "log_every": 20, "progress": False}
    together = train_seeds(agent, data, keys=keys, **options)
    alone = train(agent, data, key=keys[1], **options)
    for one, other in zip(
        jax.tree.leaves(without(seed_state(together.state, 1), "moments")),
        jax.tree.leaves(without(alone.state, "moments")),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)  # Adam enlarges rounding


@each_agent
@pytest.mark.cases(4)
def test_the_shared_key_alone_decides_branches(name, fresh):
    agent, (state, batch) = TINY[name], fresh(name)
    states, keys = jax.tree.map(lambda leaf: leaf[None], state), KEY[None]

    def switches(update, *arguments):
        return str(jax.make_jaxpr(update)(*arguments)).count("cond[")

    alone = switches(agent.update, state, batch, KEY, SHARED)
    together = jax.vmap(agent.update, in_axes=(0, None, 0, None))
    # A switch on a key that differs between seeds would become a select, which runs every branch.
    assert switches(together, states, batch, keys, SHARED) == alone == BRANCHES.get(name, 0)
    apart = jax.vmap(agent.update, in_axes=(0, None, 0, 0))
    assert switches(apart, states, batch, keys, SHARED[None]) == 0


@each_agent
@pytest.mark.cases(UNTIL_EVOR)
def test_losses_are_the_metrics_of_an_update_without_the_update(name, fresh):
    agent, (state, batch) = TINY[name], fresh(name)
    _, metrics = jax.jit(agent.update)(state, batch, KEY, SHARED)
    losses = jax.jit(agent.losses)(state, batch, KEY, SHARED)
    assert set(losses) == set(metrics) and len(metrics) > 0
    for found in (losses, metrics):
        assert all(loss.shape == () and np.isfinite(loss) for loss in found.values())


@each_agent
@pytest.mark.cases(4)
def test_training_lowers_the_first_loss(name, data):
    # One action and one reward leave every agent something to learn.
    steady = data.replace(
        actions=jnp.full_like(data.actions, 0.5), rewards=jnp.ones_like(data.rewards)
    )
    agent, names = TINY[name], []
    run = train(agent, steady, key=KEY, updates=400, log_every=20, progress=False)

    @jax.jit
    def losses(state):
        found = agent.losses(state, steady.sample(KEY, 2048), KEY, SHARED)
        names.extend(found)  # in the agent's order, which JAX does not keep
        return found

    before, after = losses(jax.jit(agent.init)(KEY, steady)), losses(run.state)
    first = next(metric for metric in names if metric.endswith("loss"))
    assert after[first] < 0.9 * before[first]


@each_agent
@pytest.mark.cases(4)
def test_a_loaded_agent_acts_as_the_saved_one_and_carries_no_moments(name, trained, tmp_path):
    agent, state, file = SMALL[name], trained(name).state, tmp_path / "agent.safetensors"
    save_agent(file, agent, state, AgentInfo(environment=MAZE, updates=800))
    loaded, kept, info = load_agent(file, environment=MAZE)
    assert loaded == agent and info.updates == 800
    obs = jnp.linspace(-1, 1, 9)[:, None]
    before, after = (propose(agent, s, obs, KEY, **dials(name)) for s in (state, kept))
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(learner.moments is None for learner in learners(kept))
    stored = sum(array.size for array in load_file(file).values())
    assert stored == sum(leaf.size for leaf in jax.tree.leaves(without(state, "moments")))


@each_agent
@pytest.mark.cases(4)
def test_a_file_without_targets_acts_the_same_and_gives_copies_of_what_was_learned(
    name, trained, tmp_path
):
    agent, state, file = SMALL[name], trained(name).state, tmp_path / "agent.safetensors"
    save_agent(file, agent, state, AgentInfo(environment=MAZE, updates=800), targets=False)
    assert not [array for array in load_file(file) if "/target" in array]
    _, kept, _ = load_agent(file)
    obs = jnp.linspace(-1, 1, 9)[:, None]
    before, after = (propose(agent, s, obs, KEY, **dials(name)) for s in (state, kept))
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)
    whole = without(state, "moments")
    assert jax.tree.structure(kept) == jax.tree.structure(whole)
    for own, saved in zip(learners(kept), learners(whole), strict=True):
        if saved.target is not None:
            jax.tree.map(np.testing.assert_array_equal, own.target, saved.params)


@each_agent
@pytest.mark.cases(4)
def test_a_proposal_has_what_its_agent_can_give(name, trained):
    agent, state, obs = SMALL[name], trained(name).state, jnp.linspace(-1, 1, 9)[:, None]
    steps, candidates = dials(name).values()
    proposal = propose(agent, state, obs, KEY, **dials(name))
    assert proposal.actions.shape == (candidates, 9, 2) and np.abs(proposal.actions).max() <= 1
    one = act(agent, state, obs, KEY, steps=steps, candidates=1)
    np.testing.assert_allclose(one, proposal.actions[0], atol=1e-6)
    assert (proposal.q is None) == (not isinstance(agent, HasCritic))
    if isinstance(agent, HasCritic):
        for n in range(candidates):
            known = value(agent, state, obs, proposal.actions[n], steps=steps)
            np.testing.assert_allclose(proposal.q[n], known, atol=1e-5)
        np.testing.assert_array_equal(proposal.chosen, np.argmax(proposal.q, 0))
        best = act(agent, state, obs, KEY, **dials(name))
        np.testing.assert_allclose(best, proposal.action, atol=1e-6)
    else:
        np.testing.assert_array_equal(proposal.chosen, np.zeros(9))


@pytest.mark.parametrize("name", ["flow_bc", "regression"])
def test_an_agent_without_a_critic_does_not_choose(name, fresh):
    agent, (state, batch) = TINY[name], fresh(name)
    with pytest.raises(ConfigError, match="has no critic to choose among 3 candidates"):
        act(agent, state, batch.observations, KEY, steps=2, candidates=3)


@pytest.mark.parametrize("name", DIALS)
def test_a_dial_that_an_agent_lacks_is_refused(name, fresh):
    agent, (state, batch) = TINY[name], fresh(name)
    _, candidates = DIALS[name]
    with pytest.raises(ConfigError, match=f"{type(agent).__name__}.*: use steps = 1"):
        act(agent, state, batch.observations, KEY, steps=2, candidates=1)
    if candidates == 1:
        with pytest.raises(ConfigError, match="nothing to choose: .* candidates = 1"):
            act(agent, state, batch.observations, KEY, steps=1, candidates=2)


@pytest.mark.parametrize("name", [n for n, agent in SMALL.items() if isinstance(agent, HasFlow)])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.cases(2)
def test_the_ways_of_candidates_end_at_their_actions(name, steps, trained):
    agent, state = SMALL[name], trained(name).state
    obs, key = jnp.array([0.3]), jax.random.key(2)
    paths = candidate_paths(agent, state, obs, key, steps=steps, candidates=5)
    assert paths.shape == (steps + 1, 5, 2)
    proposal = propose(agent, state, obs[None], key, steps=steps, candidates=5)
    np.testing.assert_allclose(jnp.clip(paths[-1], -1, 1), proposal.actions[:, 0], atol=1e-5)


@of_each_kind
@pytest.mark.cases(2)
def test_figures_and_the_explorer_draw_it(name, fresh):
    agent, (state, _) = TINY[name], fresh(name)
    steps, candidates = dials(name).values()
    several = isinstance(agent, HasCritic) and candidates > 1
    settings = {"steps": (1, 2)[:steps], "candidates": (1, 4) if several else (1,)}
    options = settings | {"samples": 10}
    obs = np.array([0.0, 4.0])
    figure = plotting.action_distribution(agent, state, obs, key=KEY, **options)
    assert pixels(figure).std() > 1
    if isinstance(agent, HasCritic):
        figure = plotting.q_landscape(agent, state, MAZE, steps=1, samples=2, per_cell=1)
        assert pixels(figure).std() > 1
    else:
        with pytest.raises(ConfigError, match=f"{type(agent).__name__}.* has no critic"):
            plotting.q_landscape(agent, state, MAZE, steps=1, samples=2, per_cell=1)
    explorer = ActionDistributionExplorer(agent, state, MAZE, **options)
    assert pixels(explorer.render(steps=steps)).std() > 1


@of_each_kind
@pytest.mark.cases(2)
def test_the_benchmark_trains_evaluates_and_keeps_it(name, tmp_path):
    plan = benchmark.Plan(
        suite="pointmaze",
        tasks=(MAZE,),
        presets=(f"tiny-{name}",),
        seeds=1,
        updates=10,
        steps=(1,),
        candidates=(1,),
        episodes=1,
        checkpoint_every=10,
    )
    rows = benchmark.run(plan, tmp_path, download=False, progress=False)
    assert rows.agent.tolist() == [f"tiny-{name}"] * 3 and set(rows.updates) == {8, 9, 10}
    assert rows.success.isin([0, 1]).all() and rows.length.between(1, 1001).all()
    agents = [load_agent(file)[0] for file in tmp_path.rglob("agents/*.safetensors")]
    assert agents == [TINY[name]] * 3


# ----------------------------------------------------- the bandit, whose optimum is the first mode

CONTEXTS = jnp.linspace(-1, 1, 200)[:, None]


def nearest_modes(actions):
    """The nearest mode of each action (..., contexts, 2), and whether it is within 3 deviations."""
    distance = jnp.linalg.norm(actions[..., None, :] - bandit_modes(CONTEXTS), axis=-1)
    return np.asarray(distance.argmin(-1)), np.asarray(distance.min(-1) < 0.3)


@pytest.mark.parametrize(
    "name", [name for name, agent in SMALL.items() if isinstance(agent, HasCritic)]
)
@pytest.mark.cases(2)
def test_an_agent_with_a_critic_solves_the_bandit(name, trained):
    steps, candidates = BANDIT.get(name, (2, 32))
    options = {"steps": steps, "candidates": candidates}
    actions = act(SMALL[name], trained(name).state, CONTEXTS, KEY, **options)
    mode, _ = nearest_modes(actions)
    assert (mode == 0).mean() >= 0.9
    assert bandit_reward(CONTEXTS, actions).mean() > 0.8  # of 1, which the optimum gets


def test_cloning_picks_each_mode_a_quarter_of_the_time(trained):
    state = trained("flow_bc").state
    actions = propose(SMALL["flow_bc"], state, CONTEXTS, KEY, steps=16, candidates=8).actions
    mode, near = nearest_modes(actions)
    shares = np.bincount(mode.ravel(), minlength=4) / mode.size
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(3 / 16 / mode.size)
    assert near.mean() > 0.5  # of actions that are uniform, 0.28 would be


def test_regression_lands_on_the_mean_where_no_action_is(trained):
    actions = act(
        SMALL["regression"], trained("regression").state, CONTEXTS, KEY, steps=1, candidates=1
    )
    assert jnp.linalg.norm(actions, axis=-1).mean() < 0.1  # the modes' mean is 0
