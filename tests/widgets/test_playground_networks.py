"""The playground's JavaScript: its own tests, and its numbers beside the library's."""

import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import NODE, node

from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import candidate_paths, propose
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.inference import candidate_noise
from sorl_edu.training.checkpoints import load_agent
from sorl_edu.widgets.playground import playground

FOLDER = Path(__file__).with_name("playground")
pytestmark = pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")

# Agents that differ in what the networks see, and ten random settings of them.
CASES = [
    ("course/sorl", 8, 32),
    ("course/sorl", 1, 256),
    ("course/narrow", 2, 8),  # M_BTT = 2: beyond it, the critic is that of two steps
    ("course/narrow", 32, 5),  # beyond M, the field sees 1/M
    ("course/minimum", 4, 32),  # the critics' minimum
    ("course/blind_critic", 8, 16),  # critics that don't see m
    ("course/cloning", 16, 7),  # no critic, and no levels
    ("course/q_weight_5000", 8, 1),
    ("robots/cube_task1", 8, 32),  # no Fourier features, and five dimensions
    ("robots/scene_task1", 2, 64),
]


def test_the_tests_of_its_own_pass():
    tests = sorted(map(str, FOLDER.glob("*.test.mjs")))
    assert len(tests) >= 4
    done = subprocess.run([NODE, "--test", *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_candidates_values_and_choice_are_those_of_the_library():
    cases, expected = [], []
    for number, (name, steps, candidates) in enumerate(CASES):
        file, key = shipped_data() / f"{name}.safetensors", jax.random.key(number)
        agent, state, _ = load_agent(file)
        obs = random_observation(state, number)
        noise = candidate_noise(key, candidates, 1, state.action_dim)[:, 0]
        cases.append(
            {"file": str(file), "obs": obs.tolist(), "noise": noise.tolist(), "steps": steps}
        )
        setting = {"steps": steps, "candidates": candidates}
        expected.append(propose(agent, state, obs[None], key, **setting))
    found = node(FOLDER / "propose_all.mjs", cases)
    paths = candidate_paths(agent, state, obs, key, **setting)  # of the last case
    close(found[-1]["path"], paths, CASES[-1])
    for case, shown, proposal in zip(CASES, found, expected, strict=True):
        close(shown["actions"], proposal.actions[:, 0], case)
        assert shown["chosen"] == int(proposal.chosen[0]), case
        assert (shown["q"] is None) == (proposal.q is None), case
        if proposal.q is not None:
            close(shown["q"], proposal.q[:, 0], case)


def random_observation(state, seed):
    """An observation about as far from the dataset's mean as the dataset's own."""
    z = np.random.default_rng(seed).normal(size=state.obs_dim)
    return np.float32(state.encoder.mean + 0.7 * z * state.encoder.std)


def close(found, expected, case):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=str(case))


def test_an_agent_that_it_runs_is_one_that_the_library_saves():
    names = node(FOLDER / "names_of_agents.mjs", None)
    assert tuple(names) == playground.AGENTS and set(names) <= set(AGENTS)
