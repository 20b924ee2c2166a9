"""Tuning: what is tried, what it costs, and that nothing reported has a part in the choice."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS
from sorl_edu.agents.published import SORL_PUBLISHED
from sorl_edu.errors import ConfigError, UnknownName
from sorl_edu.experiments import experiment, tuning
from sorl_edu.experiments.experiment import PROTOCOL, Experiment, grid
from sorl_edu.experiments.tuning import KNOBS, Knob, knob_for, trials, tune

PLANNED = Experiment(
    name="counting",
    agent=Counting(),
    dataset="pointmaze-medium-navigate-v0",
    tasks=(2, 3),
    seeds=range(3),
    updates=10,
    settings=((1, 1), (8, 1)),
    episodes=4,
    evaluated_at=PROTOCOL,
)
SCALE = Knob("scale", (0.25, 0.5, 2.0))


@dataclass(frozen=True)
class Call:
    """What an evaluation was asked for."""

    scale: float
    environment: str
    seed: int
    steps: int
    candidates: int


@pytest.fixture
def calls(monkeypatch):
    """Evaluations that succeed in a share of the episodes: most at scale 0.5, 8 steps, N = 32."""
    asked = []

    def episodes(agent, state, environment, **options):
        steps, candidates = options["steps"], options["candidates"]
        asked.append(Call(agent.scale, environment, options["seed"], steps, candidates))
        table, recording = quick_episodes(agent, state, environment, **options)
        share = 0.25 * (agent.scale == 0.5) + 0.25 * (steps == 8) + 0.25 * (candidates == 32)
        return table.assign(success=(table.episode < share * len(table)) * 1.0), recording

    monkeypatch.setitem(AGENTS, "counting", Counting)
    monkeypatch.setattr(evaluation, "evaluate", episodes)
    return asked


def test_the_best_value_is_chosen_with_its_setting_and_all_episodes_are_counted(calls, tmp_path):
    found = tune(PLANNED, SCALE, tmp_path, progress=False)
    assert found.experiment == replace(PLANNED, agent=Counting(scale=0.5), settings=((8, 1),))
    table = found.table
    assert list(table)[:-1] == tuning.COLUMNS
    assert list(zip(table.value, table.steps, strict=True)) == [
        (scale, m) for scale in SCALE.values for m in (1, 8)
    ]
    assert table.success.tolist() == [0, 0.25, 0.25, 0.5, 0, 0.25]
    assert table.chosen.tolist() == [False, False, False, True, False, False]
    # Three values, two seeds, two settings, four episodes: one evaluation, after all updates.
    assert found.episodes == 3 * 2 * 2 * 4 == 4 * len(calls)
    assert set(table.agent) == {"counting"} and set(table.knob) == {"scale"}


def test_nothing_that_is_reported_has_a_part_in_the_choice(calls, tmp_path):
    found = tune(PLANNED, SCALE, tmp_path / "tuning", trainings=tmp_path / "all", progress=False)
    tried = set(calls)
    assert {call.environment for call in tried} == {"pointmaze-medium-navigate-singletask-v0"}
    calls.clear()
    rows = experiment.run(found.experiment, tmp_path, trainings=tmp_path / "all", progress=False)
    assert not {call.seed for call in tried} & {call.seed for call in calls}
    tuned = experiment.read_rows(tmp_path / "tuning")
    assert set(tuned.seed) == set(tuning.SEEDS) and not set(tuned.seed) & set(rows.seed)
    # A plan's updates are multiples of 10, and the last evaluations have their number as seed.
    reported = {round(share * 10 * n) for share in PROTOCOL for n in range(1, 10_000)}
    assert tuning.EVALUATION_SEED not in reported


def test_a_tuning_that_was_stopped_goes_on_and_ends_alike(calls, tmp_path, monkeypatch):
    whole = tune(PLANNED, SCALE, tmp_path / "whole", progress=False).table
    evaluate, left = evaluation.evaluate, len(calls) // 2

    def stop(*args, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return evaluate(*args, **options)

    monkeypatch.setattr(evaluation, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(PLANNED, SCALE, tmp_path / "stopped", progress=False)
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    before = len(calls)
    again = tune(PLANNED, SCALE, tmp_path / "stopped", progress=False).table
    pd.testing.assert_frame_equal(again, whole)
    assert len(calls) - before == before // 3  # the first half was done already


def test_a_tie_goes_to_the_value_that_stands_first(calls, tmp_path):
    planned = replace(PLANNED, settings=((1, 1),))
    found = tune(planned, Knob("scale", (2.0, 0.25)), tmp_path, progress=False)
    assert found.experiment.agent.scale == 2 and found.table.chosen.tolist() == [True, False]


def test_a_number_of_candidates_is_chosen_on_one_training(calls, tmp_path):
    knob = Knob("candidates", (16, 32, 64), at_test_time=True)
    (one,) = trials(PLANNED, knob)
    assert one[1].settings == grid((1, 8), (16, 32, 64)) and one[1].agent == PLANNED.agent
    found = tune(PLANNED, knob, tmp_path, progress=False)
    assert found.experiment.settings == ((8, 32),)
    assert found.table.value.tolist() == [16, 32, 64] * 2
    assert len(list(tmp_path.rglob("agents/*.safetensors"))) == len(tuning.SEEDS)


def test_an_agent_without_a_knob_chooses_its_setting_or_nothing(calls, tmp_path):
    found = tune(PLANNED, None, tmp_path, progress=False)
    assert found.experiment == replace(PLANNED, settings=((8, 1),))
    assert found.episodes == 2 * 2 * 4 and set(found.table.knob) == {""}
    calls.clear()
    alone = replace(PLANNED, settings=((8, 1),))
    found = tune(alone, None, tmp_path / "alone", progress=False)
    assert found.experiment == alone and found.episodes == 0
    assert not calls and not (tmp_path / "alone").exists()


@pytest.mark.parametrize("agent", [name for name in KNOBS if name in AGENTS])
def test_a_knob_is_a_setting_of_its_agent(agent):
    knob = knob_for(agent, "cube-single-play")
    if not knob.at_test_time:
        assert knob.name in {field.name for field in fields(AGENTS[agent])}
        assert list(knob.values) == sorted(knob.values)


def test_knobs_are_by_agent_and_where_one_differs_by_environment(monkeypatch):
    assert knob_for("iql", "scene-play").values == (0.3, 1, 3, 10)
    assert knob_for("bc", "scene-play") is None and knob_for("flow_bc", "scene-play") is None
    other = Knob("q_weight", (1.0, 2.0))
    monkeypatch.setitem(tuning.KNOBS_OF_ENVIRONMENTS, ("sorl", "scene-play"), other)
    assert (
        knob_for("sorl", "scene-play")
        == other
        == tuning.own_knob(
            replace(PLANNED, agent=SORL_PUBLISHED["scene-play"], dataset="scene-play-v0")
        )
    )
    assert knob_for("sorl", "cube-single-play") == KNOBS["sorl"]
    assert tuning.own_knob(PLANNED) is None  # an agent that has no name has no knob
    values = np.array(KNOBS["sorl"].values)
    published = [agent.q_weight for agent in SORL_PUBLISHED.values()]
    assert values.min() <= min(published) and max(published) <= values.max()


def test_impossible_tunings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="from 1 to 4 different values"):
        Knob("scale", (1.0, 2, 3, 4, 5))
    with pytest.raises(ConfigError, match="different values"):
        Knob("scale", (1.0, 1.0))
    with pytest.raises(ConfigError, match="is candidates, and not scale"):
        Knob("scale", (1.0,), at_test_time=True)
    with pytest.raises(UnknownName, match="hyper-parameter of Counting 'scal'. Did you mean scale"):
        tune(PLANNED, Knob("scal", (1.0,)), tmp_path)
    with pytest.raises(ConfigError, match="are for tuning"):
        tune(replace(PLANNED, seeds=range(1001)), SCALE, tmp_path)
