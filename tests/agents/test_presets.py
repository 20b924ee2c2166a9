"""The published hyper-parameters as DESIGN.md quotes them, and names that are wrong."""

import pytest

from sorl_edu.agents import AGENTS, BC, SORL, FlowBC, agent_class
from sorl_edu.agents.agent import Encoder, Network, Optimizer
from sorl_edu.agents.presets import (
    COURSE,
    COURSE_SIZES,
    EVORS,
    PRESETS,
    preset,
    preset_for,
    preset_names,
)
from sorl_edu.agents.published import BASELINES, PUBLISHED, SORL_PUBLISHED
from sorl_edu.errors import ConfigError, UnknownName

# environment: q_weight, aggregation, gamma
PAPER = {
    "antmaze-large-navigate": (500, "min", 0.99),
    "antmaze-giant-navigate": (500, "min", 0.995),
    "humanoidmaze-medium-navigate": (100, "mean", 0.995),
    "humanoidmaze-large-navigate": (500, "mean", 0.995),
    "antsoccer-arena-navigate": (500, "mean", 0.995),
    "cube-single-play": (10, "mean", 0.99),
    "cube-double-play": (50, "mean", 0.99),
    "scene-play": (100, "mean", 0.99),
}


def test_there_are_eight():
    assert set(SORL_PUBLISHED) == set(PAPER)
    assert all(set(agents) == set(PAPER) for agents in PUBLISHED.values())


@pytest.mark.parametrize("name", PAPER)
def test_published_values(name):
    agent = preset(name)
    assert (agent.q_weight, agent.q_aggregation, agent.discount) == PAPER[name]
    assert (agent.flow_weight, agent.consistency_weight) == (10, 10)
    assert (agent.denoise_steps, agent.max_backprop_steps) == (8, 8)
    assert agent.field == Network((512,) * 4, layer_norm=False)
    assert agent.critic == Network((512,) * 4, layer_norm=True)
    assert agent.encoder == Encoder(normalize=False, fourier_features=0)
    assert agent.optimizer == Optimizer(learning_rate=1e-4, grad_clip_norm=1)
    assert (agent.tau, agent.batch_size, agent.n_step) == (0.005, 256, 1)
    assert agent.critic_sees_steps


def test_a_change_is_made_and_the_preset_stays():
    assert preset("pointmaze", q_weight=7.0).q_weight == 7
    assert preset("pointmaze") == COURSE["pointmaze"] != preset("pointmaze", q_weight=7.0)


def test_the_course_compares_agents_on_equal_terms():
    sorl, cloning = preset("pointmaze"), preset("pointmaze-bc")
    assert isinstance(sorl, SORL) and isinstance(cloning, FlowBC)
    for name in ("field", "encoder", "optimizer", "batch_size"):
        assert getattr(sorl, name) == getattr(cloning, name)


# environment: alpha of IQL, alpha_1 and alpha_2 of ReBRAC, alpha of FAWAC, of FBRAC and of FQL
OTHERS = {
    "antmaze-giant-navigate": (10, 0.003, 0.01, 3, 10, 10),
    "humanoidmaze-large-navigate": (10, 0.01, 0.01, 3, 30, 30),
    "cube-single-play": (1, 1, 0, 1, 100, 300),
    "scene-play": (10, 0.1, 0.01, 0.3, 100, 300),
}


@pytest.mark.parametrize("name", OTHERS)
def test_published_values_of_baselines(name):
    iql, rebrac, fawac, fbrac, fql = (
        preset(f"{method}/{name}") for method in ("iql", "rebrac", "fawac", "fbrac", "fql")
    )
    assert OTHERS[name] == (
        iql.inverse_temperature,
        rebrac.policy_penalty,
        rebrac.critic_penalty,
        fawac.inverse_temperature,
        fbrac.flow_weight,
        fql.distillation_weight,
    )
    assert iql.critic.hidden == ((256,) * 4 if "play" in name else (512,) * 4)
    assert (iql.q_aggregation, rebrac.q_aggregation) == ("min", "min")
    assert {agent.discount for agent in (iql, rebrac, fawac, fbrac, fql)} == {PAPER[name][2]}
    for agent in (fawac, fbrac, fql):
        assert agent.q_aggregation == PAPER[name][1]
        assert agent.optimizer == Optimizer(learning_rate=3e-4, grad_clip_norm=0)
        assert (agent.tau, agent.batch_size, agent.n_step) == (0.005, 256, 1)


@pytest.mark.parametrize("like", COURSE_SIZES)
def test_baselines_of_the_course_have_sorls_size(like):
    sorl = preset(like)
    for name in BASELINES:
        agent = preset(f"{name}/{like}")
        assert agent.policy.hidden == sorl.field.hidden and agent.encoder == sorl.encoder
        assert agent.optimizer.learning_rate == sorl.optimizer.learning_rate
        assert agent.batch_size == sorl.batch_size
        if name != "bc":
            values_the_data = name in EVORS and like == "pointmaze"  # right for every n
            assert agent.n_step == (100 if values_the_data else sorl.n_step)
            assert agent.tau == sorl.tau
            assert agent.critic == sorl.critic
            assert agent.q_aggregation == "min" or sorl.q_aggregation == "mean"


def test_a_help_text_names_all_presets():
    text = preset_names()
    assert all(part in text for name in PRESETS for part in name.split("/"))


def test_a_setting_of_a_part_is_changed_and_the_others_stay():
    before = preset("pointmaze")
    changes = {"encoder.fourier_features": 32, "field.hidden": (128, 128)}
    agent = preset("pointmaze", consistency_weight=1.0, **changes)
    assert agent.consistency_weight == 1
    assert agent.encoder == Encoder(normalize=True, fourier_features=32)
    assert agent.field == Network((128, 128), layer_norm=before.field.layer_norm)
    assert (agent.critic, agent.optimizer) == (before.critic, before.optimizer)
    assert preset("pointmaze") == before
    two = preset("pointmaze", **{"field.hidden": (4,), "field.layer_norm": True})
    assert two.field == Network((4,), layer_norm=True)


@pytest.mark.parametrize(
    "names", [("denoise_steps", "max_backprop_steps"), ("max_backprop_steps", "denoise_steps")]
)
@pytest.mark.parametrize("steps", [2, 16])
def test_changes_that_are_valid_only_together_are_made_together(names, steps):
    # M = 2 is refused beside the preset's M_BTT = 8, and M_BTT = 16 beside its M = 8.
    agent = preset("pointmaze", **dict.fromkeys(names, steps))
    assert (agent.denoise_steps, agent.max_backprop_steps) == (steps, steps)
    with pytest.raises(ConfigError, match="at most denoise_steps"):
        preset("pointmaze", **{"denoise_steps": 4, "max_backprop_steps": 8})


def test_a_new_part_and_a_setting_of_it():
    for changes in (
        {"field": Network((4,)), "field.layer_norm": True},
        {"field.layer_norm": True, "field": Network((4,))},
    ):
        assert preset("pointmaze", **changes).field == Network((4,), layer_norm=True)


@pytest.mark.parametrize(
    ("name", "near"), [("antmaze-large", "antmaze-large-navigate"), ("pointmase", "pointmaze")]
)
def test_an_unknown_preset_gives_the_nearest(name, near):
    with pytest.raises(UnknownName, match=f"unknown preset '{name}'. Did you mean .*{near}"):
        preset(name)


def test_a_name_like_no_other_gives_all_that_are_known():
    with pytest.raises(UnknownName, match=r"unknown preset 'qqq'. Known: antmaze-giant.*scene"):
        preset("qqq")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("q_weigth", "'q_weigth'.*q_weight"),
        ("denoise_step", "'denoise_step'.*denoise_steps"),
        ("gamma", "'gamma'. Known: .*discount"),
        ("feild.hidden", "'feild'. Did you mean field"),
        ("field.hiden", "'hiden'. Did you mean hidden"),
        ("optimizer.lr", "'lr'. Known: grad_clip_norm, learning_rate"),
        ("field.hidden.first", "'hidden.first'. Did you mean hidden"),
        ("q_weight.value", "'q_weight.value'. Did you mean q_weight"),
        ("field.", "''. Known: hidden, layer_norm"),
        ("field_hidden", "'field_hidden'"),
    ],
)
def test_an_unknown_hyper_parameter_gives_the_nearest(wrong, near):
    with pytest.raises(UnknownName, match=f"unknown hyper-parameter.*{near}"):
        preset("pointmaze", **{wrong: 1})


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("tau", 2.0, "tau must be in"),
        ("field.hidden", (64, 0), r"hidden must name.*at least 1, got \(64, 0\)"),
        ("critic.hidden", (), "hidden must name at least one width"),
        ("optimizer.learning_rate", 0.0, "learning_rate must be positive"),
        ("optimizer.learning_rate", float("nan"), "learning_rate must be positive"),
        ("optimizer.grad_clip_norm", -1.0, "grad_clip_norm must be 0 or more"),
        ("encoder.fourier_features", -1, "fourier_features must be 0 or more, got -1"),
    ],
)
def test_a_value_out_of_range_is_refused(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        preset("pointmaze", **{setting: value})


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("pointmaze-medium-navigate-singletask-v0", "pointmaze"),
        ("cube-single-play-singletask-task3-v0", "cube-single-play"),
        ("antmaze-giant-navigate-singletask-v0", "antmaze-giant-navigate"),
    ],
)
def test_the_preset_of_a_dataset(dataset, name):
    assert preset_for(dataset) == name and name in PRESETS


def test_a_dataset_without_a_preset_is_refused():
    with pytest.raises(UnknownName, match="cube-triple-play-singletask-v0.*cube"):
        preset_for("cube-triple-play-singletask-v0")


def test_agents_by_name():
    assert {name: agent_class(name) for name in AGENTS} == AGENTS
    assert (AGENTS["sorl"], AGENTS["flow_bc"], AGENTS["bc"]) == (SORL, FlowBC, BC)
    with pytest.raises(UnknownName, match="unknown agent 'sorll'. Did you mean sorl"):
        agent_class("sorll")
