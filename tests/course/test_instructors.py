"""The instructor's guide: its Python runs, is short, and does what the guide says."""

import re
from pathlib import Path

import numpy as np
import pytest

from sorl_edu import agents
from sorl_edu.agents import Agent
from sorl_edu.course import notebooks
from sorl_edu.datasets import toy

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "notebooks" / "INSTRUCTORS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the guide's blocks define, run one after the other in an empty folder."""
    space = {"__name__": "guide"}
    known = dict(agents.AGENTS), dict(toy.DISTRIBUTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        for block in BLOCKS:
            exec(block, space)
        yield space
    for registry, before in zip((agents.AGENTS, toy.DISTRIBUTIONS), known, strict=True):
        registry.clear()
        registry.update(before)


def test_each_extension_has_at_most_forty_lines():
    assert len(BLOCKS) == 5
    assert max(block.count("\n") for block in BLOCKS) <= 40


def test_the_agent_from_scratch_is_the_tested_file_has_the_contract_and_learns(space):
    file = ROOT / "tests" / "agents" / "minimal_agent.py"
    assert BLOCKS[0] == file.read_text(encoding="utf-8")
    agent, history = space["Regression"](), space["history"]
    assert isinstance(agent, Agent) and type(agent).__mro__[1:] == (object,)
    losses = history[history.metric == "loss"].value
    assert losses.iloc[-1] < losses.iloc[0]
    assert len(space["episodes"]) == 4


def test_the_agent_learns_from_trajectories_that_succeed(space):
    data = space["data"].train
    kept = space["agent"].prepare(data).starts
    assert 0 < len(kept) < len(data.starts)
    ends, goals = (np.flatnonzero(x) for x in (data.last, np.asarray(data.masks) == 0))
    for start in np.random.default_rng(0).choice(np.asarray(kept), 50):
        end = ends[np.searchsorted(ends, start)]
        assert ((goals >= start) & (goals <= end)).any()
    assert len(space["filtered"]) == 4


def test_the_distribution_is_known_by_its_name(space):
    points = np.asarray(space["points"])
    assert points.shape == (1000, 2) and np.abs(points).max() < 1.1


def test_the_widget_draws_speaks_and_shows_that_noise_spoils_a_choice(space):
    widget = space["NoisyVerifier"]()
    assert Path("noisy_verifier.html").stat().st_size > 10_000
    sure, unsure = (widget.quality(candidates=32, noise=noise).mean() for noise in (0.0, 4.0))
    assert sure > 1.8 and unsure < 0.6 and "best of 32" in widget.caption(32, 4.0)


def test_lessons_and_assignments_are_those_that_are_there():
    found = notebooks.find(ROOT)
    lessons = [notebook for notebook in found if notebook.folder == "notebooks"]
    rows = re.findall(r"^\| (\d) \w", GUIDE, re.MULTILINE)
    assert rows[: len(lessons)] == [notebook.name[1] for notebook in lessons]
    numbers = [notebook.number for notebook in found[len(lessons) :]]
    assert re.findall(r"^\| (A\d) \w", GUIDE, re.MULTILINE) == numbers
    count = sum(len(notebooks.exercises(notebook.text())) for notebook in lessons)
    told = f"Ten lessons with {count} exercises, three assignments"
    assert told in GUIDE and (len(lessons), len(found)) == (10, 13)
