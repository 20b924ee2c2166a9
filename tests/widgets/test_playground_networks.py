"""The playground's JavaScript: its own tests, and its numbers beside the library's."""

from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import NODE, node, run_node_tests

from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import candidate_paths, propose
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.inference import candidate_noise
from sorl_edu.training.checkpoints import load_agent
from sorl_edu.widgets.playground import agents as playground_agents

FOLDER = Path(__file__).with_name("playground")
pytestmark = pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")

# Agents that differ in what their networks see, and a setting of each; two random states of both.
STATES = 2
CASES = [
    ("course/sorl", 1, 256),
    ("course/narrow", 32, 5),  # beyond M the field sees 1/M; beyond M_BTT = 2, the critic that
    ("course/minimum", 4, 32),  # the critics' minimum
    ("course/blind_critic", 2, 16),  # critics that don't see m
    ("course/cloning", 16, 7),  # no critic, and no levels
    ("robots/cube_task1", 8, 32),  # no Fourier features, and five dimensions
]


def test_the_tests_of_its_own_pass():
    run_node_tests(FOLDER, least=4)


def test_candidates_values_and_choice_are_those_of_the_library():
    cases, expected = [], []
    for number, (name, steps, candidates) in enumerate(CASES):
        file, key = shipped_data() / f"{name}.safetensors", jax.random.key(number)
        agent, state, _ = load_agent(file)
        observations = random_observations(state, number)
        noise = candidate_noise(key, candidates, STATES, state.action_dim)
        setting = {"steps": steps, "candidates": candidates}
        proposal = jax.device_get(propose(agent, state, observations, key, **setting))
        for i, obs in enumerate(observations):
            case = {"file": str(file), "obs": obs.tolist(), "steps": steps}
            cases.append(case | {"noise": noise[:, i].tolist()})
            q = None if proposal.q is None else proposal.q[:, i]
            expected.append((proposal.actions[:, i], q, proposal.chosen[i]))
    found = node(FOLDER / "propose_all.mjs", cases)
    assert len(found) == len(cases) >= 10
    for case, shown, (actions, q, chosen) in zip(cases, found, expected, strict=True):
        about = case["file"], case["steps"]
        close(shown["actions"], actions, about)
        assert shown["chosen"] == chosen, about
        assert (shown["q"] is None) == (q is None), about
        if q is not None:
            close(shown["q"], q, about)


def test_the_ways_from_noise_are_those_of_the_library():
    file, key = shipped_data() / "course" / "cloning.safetensors", jax.random.key(0)
    agent, state, _ = load_agent(file)
    (obs, *_), noise = random_observations(state, 0), candidate_noise(key, 3, 1, 2)[:, 0]
    case = {"file": str(file), "obs": obs.tolist(), "steps": 4, "noise": noise.tolist()}
    (shown,) = node(FOLDER / "propose_all.mjs", [case])
    paths = candidate_paths(agent, state, obs, key, steps=4, candidates=3)
    close(shown["path"], paths, file)


def random_observations(state, seed):
    """Observations about as far from the dataset's mean as the dataset's own."""
    z = np.random.default_rng(seed).normal(size=(STATES, state.obs_dim))
    return np.float32(state.encoder.mean + 0.7 * z * state.encoder.std)


def close(found, expected, case):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=str(case))


def test_an_agent_that_it_runs_is_one_that_the_library_saves():
    names = node(FOLDER / "names_of_agents.mjs", None)
    assert tuple(names) == playground_agents.AGENTS and set(names) <= set(AGENTS)
