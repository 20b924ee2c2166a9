"""What agents cost: every agent runs at its published setting, and a row counts what it says."""

import pytest

from sorl_edu.agents import AGENTS, BC, IQL
from sorl_edu.agents.agent import Network
from sorl_edu.experiments import costs
from sorl_edu.experiments.experiment import check_setting


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_runs_at_its_published_setting(name):
    agent = AGENTS[name]()
    check_setting(agent, agent, costs.SETTINGS.get(name, (1, 1)))


def test_names_are_those_of_agents():
    assert {*costs.SETTINGS, *costs.PASSES_PER_STEP} <= set(AGENTS)


def test_a_row_counts_parameters_and_passes(monkeypatch):
    small = Network((4,))
    kinds = {
        "bc": lambda: BC(policy=small),
        "iql": lambda: IQL(policy=small, critic=small, values=small),
    }
    monkeypatch.setattr(costs, "AGENTS", kinds)
    table = costs.measure(chunk=2, rounds=1).set_index("agent")
    layers = lambda inputs, outputs: (inputs + 1) * 4 + (4 + 1) * outputs  # noqa: E731
    policy = layers(28, 5)
    assert table.parameters["bc"] == policy
    assert table.parameters["iql"] == policy + 2 * layers(33, 1) + layers(28, 1)
    assert (table.network_evaluations == 1).all()
    assert (table[["updates_per_second", "milliseconds", "compile_seconds"]] > 0).all(axis=None)
