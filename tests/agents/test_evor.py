"""EVOR: one state for every temperature, values on the unit scale, and what luck does to them."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from test_contract import KEY, SMALL, tiny

from sorl_edu import evaluation
from sorl_edu.agents import EVOR, SORL, chunked, dials_of, presets, with_dials, without_dials
from sorl_edu.agents.agent import act, propose, value
from sorl_edu.cli import main
from sorl_edu.datasets.toy import random_transitions
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.errors import ConfigError, UnknownName
from sorl_edu.experiments import benchmark, experiment
from sorl_edu.experiments.experiment import Experiment
from sorl_edu.training import train
from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

TINY = tiny(EVOR())
TEMPERATURES = (0.0, 0.05, math.inf)


def begin(agent=TINY):
    data = agent.prepare(random_transitions(3, 2, rows=200))
    return jax.jit(agent.init)(KEY, data), data.sample(jax.random.key(1), 16)


def one_step(rewards, masks, actions):
    """Episodes of one transition each, all from and to the same observation."""
    rows = 2 * len(rewards)
    both = lambda values: np.repeat(np.asarray(values, float), 2, axis=0)  # noqa: E731
    return Transitions.create(
        np.zeros((rows, 1)),
        both(actions)[:, None],
        both(rewards),
        both(masks),
        np.arange(rows) % 2,
    )


def learned(data, updates=1000, **settings):
    agent = replace(SMALL["evor"], **settings)
    options = {"updates": updates, "log_every": 500, "progress": False}
    return agent, train(agent, data, key=KEY, **options).state


# ------------------------------------------------------------------------------------------- dials


def test_turning_a_dial_changes_what_is_read_and_nothing_that_is_learned():
    state, batch = begin()
    read = {}
    for temperature in TEMPERATURES:
        agent = with_dials(TINY, return_temperature=temperature, return_samples=16)
        assert without_dials(agent) == TINY
        read[temperature] = value(agent, state, batch.observations, batch.actions, steps=1)
    assert (read[0.0] > read[0.05]).all() and (read[0.05] > read[math.inf]).all()
    after = [jax.jit(one.update)(state, batch, KEY, KEY) for one in (TINY, agent)]
    for one, other in zip(*map(jax.tree.leaves, (begin(agent)[0], state)), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(*map(jax.tree.leaves, after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_training_serves_every_temperature(tmp_path, monkeypatch):
    """Experiments that differ in dials alone find the training done: no update is made."""
    updates, acted = [], []
    once = experiment.train_seeds

    def counted(agent, *args, **options):
        updates.append(options["updates"])
        return once(agent, *args, **options)

    def episodes(agent, state, environment, *, episodes, record, **options):
        obs = np.zeros((1, state.obs_dim))
        acted.append((agent.return_temperature, act(agent, state, obs, KEY, steps=1, candidates=2)))
        columns = {"success": 0.0, "return": 0.0, "length": 1.0}
        return pd.DataFrame({"episode": range(episodes), **columns}), None

    monkeypatch.setattr(experiment, "train_seeds", counted)
    monkeypatch.setattr(evaluation, "evaluate", episodes)
    agents = {tau: with_dials(TINY, return_temperature=tau) for tau in TEMPERATURES}
    trained = {}
    for tau, agent in agents.items():
        planned = Experiment(
            name=f"EVOR {tau}",
            agent=agent,
            dataset="pointmaze-medium-navigate-v0",
            updates=4,
            settings=[(1, 2)],
            episodes=1,
        )
        experiment.run(planned, tmp_path, progress=False)
        trained[tau] = experiment.train(planned, tmp_path, progress=False).agents
    assert updates == [4] and len({tuple(files.values()) for files in trained.values()}) == 1
    assert [tau for tau, _ in acted] == list(TEMPERATURES)


def test_the_command_line_turns_dials(tmp_path, monkeypatch, capsys):
    file, (state, _), seen = tmp_path / "agent.safetensors", begin(), []
    maze = "pointmaze-medium-navigate-singletask-task1-v0"
    save_agent(file, TINY, state, AgentInfo(maze, updates=4))

    def episodes(agent, *args, episodes, **options):
        seen.append(agent)
        return pd.DataFrame({"episode": [0], "success": [1.0], "return": [0.0], "length": [1.0]}), 0

    monkeypatch.setattr(evaluation, "evaluate", episodes)
    command = ["evaluate", str(file), "--episodes", "1", "--candidates", "2", "--dials"]
    assert main([*command, "return_temperature", "0.5", "return_samples", "16"]) == 0
    assert seen == [with_dials(TINY, return_temperature=0.5, return_samples=16)]
    assert main([*command, "temperature", "0.5"]) != 0
    assert "unknown dial of EVOR 'temperature'" in capsys.readouterr().err
    assert main([*command, "return_temperature", "0.5", "return_temperature", "1"]) != 0
    assert "several values of return_temperature: give one" in capsys.readouterr().err


def episodes_of_each_temperature(agent, *args, episodes, **options):
    """In place of `evaluation.evaluate`: success says where the dials stand."""
    tau = {"success": agent.return_temperature, "return": -agent.choice_temperature}
    return pd.DataFrame({"episode": range(episodes), **tau, "length": 1.0}), None


GRID = [("return_temperature", 0.5), ("choice_temperature", 0.0), ("return_temperature", 0.25)]
GRID += [("choice_temperature", 1.0), ("return_temperature", 0.5)]  # the last one is there already


def test_a_sweep_over_dials_evaluates_every_combination_of_one_state(tmp_path, monkeypatch, capsys):
    file, (state, _) = tmp_path / "agent.safetensors", begin()
    maze = "pointmaze-medium-navigate-singletask-task1-v0"
    save_agent(file, TINY, state, AgentInfo(maze, updates=4, dataset_sha256="0"))
    monkeypatch.setattr(evaluation, "evaluate", episodes_of_each_temperature)
    monkeypatch.setattr(experiment, "train_seeds", None)  # nothing is trained
    command = ["sweep", str(file), "--steps", "1", "--candidates", "1", "2", "--episodes", "2"]
    pairs = [word for name, value in GRID for word in (name, str(value))]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), "--dials", *pairs]) == 0
    assert "EVOR return_temperature 0.25 choice_temperature 1\n" in capsys.readouterr().out
    summary = pd.read_csv(out / "sweep.csv")
    assert summary.columns[-2:].tolist() == ["return_temperature", "choice_temperature"]
    assert len(summary) == 2 * 2 * 2 and len(pd.read_csv(out / "episodes.csv")) == 16
    np.testing.assert_array_equal(summary.success, summary.return_temperature)
    np.testing.assert_array_equal(summary["return"], -summary.choice_temperature)
    assert {picture.name for picture in out.glob("*.png")} == {
        f"sweep_return_temperature_{r}_choice_temperature_{q}.png"
        for r in (0.5, 0.25)
        for q in (0, 1)
    }
    assert main([*command, "--out", str(tmp_path / "no"), "--dials", "tau", "1"]) != 0
    assert "unknown dial of EVOR 'tau'. Known: choice_temperature" in capsys.readouterr().err
    wrong = ["return_temperature", "1", "return_temperature", "-1"]
    assert main([*command, "--out", str(tmp_path / "no"), "--dials", *wrong]) != 0
    assert "return_temperature must not be negative" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_benchmark_over_dials_costs_one_training(tmp_path, monkeypatch):
    """Counts updates: of four combinations of tau_R and tau_Q, the first alone makes any."""
    updates, once = [], experiment.train_seeds

    def counted(agent, *args, **options):
        updates.append(options["updates"])
        return once(agent, *args, **options)

    monkeypatch.setattr(experiment, "train_seeds", counted)
    monkeypatch.setattr(evaluation, "evaluate", episodes_of_each_temperature)
    monkeypatch.setitem(presets.PRESETS, "tiny-evor", TINY)
    plan = benchmark.Plan(
        suite="pointmaze",
        tasks=("pointmaze-medium-navigate-singletask-task1-v0",),
        presets=("tiny-evor",),
        seeds=1,
        updates=10,
        steps=(1,),
        candidates=(2,),
        dials=GRID,
        episodes=1,
    )
    rows = benchmark.run(plan, tmp_path, download=False, progress=False)
    assert updates == [10]
    assert len(rows) == 4 * 3 and rows.agent.nunique() == 4
    seen = rows.groupby("agent")[["success", "return"]].first()
    assert seen.loc["tiny-evor return_temperature 0.25 choice_temperature 1"].tolist() == [0.25, -1]


def test_dials_are_turned_by_name_also_in_chunks():
    assert dials_of(EVOR()) == {
        "value_steps": 4,
        "return_samples": 8,
        "return_temperature": math.inf,
        "choice_temperature": 0.0,
    }
    turned = with_dials(chunked(EVOR(), 5), return_samples=32.0, choice_temperature=1)
    assert dials_of(turned)["return_samples"] == 32 and turned.horizon == 5
    assert without_dials(turned) == chunked(EVOR(), 5)
    assert dials_of(SORL()) == {} and without_dials(SORL(q_weight=3.0)) == SORL(q_weight=3.0)
    with pytest.raises(UnknownName, match="unknown dial of EVOR 'return_temp'.*return_temperature"):
        with_dials(EVOR(), return_temp=1.0)
    with pytest.raises(UnknownName, match="'discount'"):  # a setting, on which training depends
        with_dials(EVOR(), discount=0.5)
    with pytest.raises(ConfigError, match="SORL has no dials but steps and candidates"):
        with_dials(SORL(), return_temperature=1.0)
    with pytest.raises(ConfigError, match="return_samples must be a whole number, got 2.5"):
        with_dials(EVOR(), return_samples=2.5)


def test_a_saved_agent_keeps_its_dials(tmp_path):
    agent, (state, _) = with_dials(TINY, choice_temperature=math.inf), begin()
    save_agent(tmp_path / "agent.safetensors", agent, state, AgentInfo("maze", updates=0))
    assert load_agent(tmp_path / "agent.safetensors")[0] == agent


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("discount", 1.0),
        ("return_noise", 0.0),
        ("return_steps", 0),
        ("value_steps", 0),
        ("return_samples", 0),
        ("return_temperature", -0.1),
        ("choice_temperature", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, wrong):
    with pytest.raises(ConfigError, match=setting):
        EVOR(**{setting: wrong})


# ---------------------------------------------------------------------------------------- choosing


def test_the_choice_has_its_own_temperature_and_candidates_stay():
    state, batch = begin()
    options = {"steps": 2, "candidates": 4}
    obs = jnp.tile(batch.observations[:1], (4000, 1))
    best = propose(TINY, state, obs, KEY, **options)
    free = propose(with_dials(TINY, choice_temperature=math.inf), state, obs, KEY, **options)
    np.testing.assert_array_equal(best.actions, free.actions)
    np.testing.assert_array_equal(best.q, free.q)
    np.testing.assert_array_equal(best.chosen, best.q.argmax(0))
    shares = np.bincount(free.chosen, minlength=4) / 4000
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(3 / 16 / 4000)
    # The choice does not follow the noise of any candidate.
    assert abs(np.corrcoef(free.chosen == 0, free.actions[0, :, 0])[0, 1]) < 0.08


def test_equal_candidates_are_worth_the_same():
    state, batch = begin()
    obs, actions = jnp.tile(batch.observations[:1], (8, 1)), jnp.tile(batch.actions[:1], (8, 1))
    for temperature in TEMPERATURES:
        agent = with_dials(TINY, return_temperature=temperature, return_samples=3)
        worth = value(agent, state, obs, actions, steps=1)
        np.testing.assert_allclose(worth, worth[0], atol=1e-6)


# ------------------------------------------------------------------------------ what it has learned


def test_a_reward_of_minus_one_for_ever_is_worth_minus_one():
    data = one_step(-np.ones(64), np.ones(64), np.zeros(64))
    agent, state = learned(data, updates=500, discount=0.8, tau=0.1)
    np.testing.assert_allclose(state.bounds, [-1, 0], atol=1e-5)
    worth = value(agent, state, jnp.zeros((1, 1)), jnp.zeros((1, 1)), steps=1)
    assert worth[0] == pytest.approx(-1, abs=0.05)


@pytest.mark.thorough
def test_optimism_takes_the_lottery_and_the_mean_does_not_care():
    """Action -0.8 pays 1/2; action 0.8 pays 0 or 1, so that both have the same mean."""
    rng = np.random.default_rng(0)
    arm = rng.integers(0, 2, 4096)
    rewards = np.where(arm == 0, 0.5, rng.integers(0, 2, 4096))
    data = one_step(rewards, np.zeros(4096), 1.6 * arm - 0.8)
    agent, state = learned(data, return_noise=0.5)
    arms, obs = jnp.array([[-0.8], [0.8]]), jnp.zeros((2, 1))
    for temperature in (math.inf, 0.5, 0.1):
        wise = with_dials(agent, return_temperature=temperature, return_samples=32)
        certain, lottery = value(wise, state, obs, arms, steps=1)
        premium = (
            0.0 if math.isinf(temperature) else temperature * math.log(math.cosh(0.5 / temperature))
        )
        assert certain == pytest.approx(0.5, abs=0.06)
        assert lottery - certain == pytest.approx(premium, abs=0.1)
    obs = jnp.zeros((200, 1))
    lucky = with_dials(agent, return_temperature=0.1, return_samples=32)
    chosen = act(lucky, state, obs, KEY, steps=8, candidates=8)
    assert (chosen > 0).mean() > 0.95  # the soft optimal policy takes it half of the time
