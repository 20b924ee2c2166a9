"""The shipped agents act as they did at commit 93a93cc, whatever has been rewritten since.

`actions_93a93cc.npz` holds observations and, for every shipped agent and setting, the actions that
93a93cc chose for them with the key 100 m + N. Where two candidates' values differ by less than
float32 can tell (2 of the 2,922 actions here), another order of summation may choose the other one.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from sorl_edu.agents.agent import act, value
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.training.checkpoints import load_agent

with np.load(Path(__file__).with_name("actions_93a93cc.npz"), allow_pickle=False) as file:
    RECORDED = dict(file)
SHIPPED = {
    f"{file.parent.name}/{file.stem}"
    for file in shipped_data().glob("*/*.safetensors")
    if not file.stem.endswith("_snapshots")
}
AGENTS = sorted(name for name in SHIPPED if f"{name}/observations" in RECORDED)


def test_every_shipped_agent_was_recorded_but_for_later_ones():
    assert len(AGENTS) == 14
    later = "course/narrow", "robots/cube_backprop", "evor/", "baselines/"
    assert all(name.startswith(later) for name in SHIPPED - set(AGENTS))


def settings_of(name):
    return [key.rsplit("/", 1)[1] for key in RECORDED if key.startswith(f"{name}/m")]


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_acts_as_before(name):
    """At the smallest and the largest trained setting; every setting is compiled anew."""
    check_actions(name, {"m1_N1", "m8_N32"} & set(settings_of(name)))


@pytest.mark.goals
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_acts_as_before_at_every_setting(name):
    assert len(settings_of(name)) in (6, 24)
    check_actions(name, settings_of(name))


def check_actions(name, settings):
    agent, state, _ = load_agent(shipped_data() / f"{name}.safetensors")
    obs = RECORDED[f"{name}/observations"]
    for setting in settings:
        m, n = map(int, setting.removeprefix("m").split("_N"))
        actions = act(agent, state, obs, jax.random.key(100 * m + n), steps=m, candidates=n)
        recorded = RECORDED[f"{name}/{setting}"]
        differ = np.abs(np.asarray(actions) - recorded).max(1) > 1e-5
        assert differ.sum() <= 1
        if differ.any():
            here, then = (value(agent, state, obs, a, steps=m)[differ] for a in (actions, recorded))
            np.testing.assert_allclose(here, then, rtol=5e-7)
