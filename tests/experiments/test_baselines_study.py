"""`make baselines`: what is shipped of an environment, and that a stopped study goes on."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from counting import then_stopped
from safetensors.numpy import load_file

from sorl_edu.agents import presets
from sorl_edu.agents.agent import Network
from sorl_edu.agents.published import with_width
from sorl_edu.course import shipped
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import baselines, benchmark, experiment, tuning
from sorl_edu.experiments.tuning import Knob
from sorl_edu.training.checkpoints import load_agent

MAZE = baselines.SHOWN_IN


@pytest.mark.thorough
def test_every_method_is_tuned_alike_in_every_environment():
    for name in baselines.ENVIRONMENTS:
        plan = baselines.plan(name)
        planned = plan.experiments()
        assert len(planned) == len(baselines.METHODS) == 12 and plan.tune
        assert {p.updates for p in planned} == {50_000 if name == "cube-single-play" else 20_000}
        assert {len(p.seeds) for p in planned} == {3}
        assert len({p.agent.batch_size for p in planned}) == 1
        for p in planned:
            knob = tuning.own_knob(p)
            assert knob is None or len(knob.values) <= 4


@pytest.fixture
def tiny(monkeypatch):
    """Two methods with tiny networks, ten updates and short episodes."""
    for name in ("bc", "fql"):
        agent = presets.PRESETS[f"{name}/pointmaze"]
        changes = with_width(agent, (4,)) | {"batch_size": 4}
        monkeypatch.setitem(presets.PRESETS, f"{name}/pointmaze", replace(agent, **changes))
    knob = Knob("distillation_weight", (1.0, 10.0), greedier="smaller")
    monkeypatch.setitem(tuning.KNOBS_OF_ENVIRONMENTS, ("fql", MAZE), knob)
    monkeypatch.setattr(baselines, "SHOWN_EPISODES", 1)
    whole = baselines.plan

    def plan(name):
        options = {"tasks": (f"{name}-singletask-task2-v0",), "updates": 10, "episodes": 1}
        options |= {"agents": ("bc", "fql"), "candidates": (1,), "checkpoint_every": 10}
        return replace(whole(name), seeds=1, **options)

    monkeypatch.setattr(baselines, "plan", plan)


@pytest.mark.thorough
def test_an_environment_is_shipped_and_a_second_run_trains_nothing(tiny, tmp_path, monkeypatch):
    runs, out = tmp_path / "runs", tmp_path / "out"
    out.mkdir()
    baselines.run_environment(MAZE, runs, out)
    results = pd.read_csv(out / f"{MAZE}.csv")
    assert set(results.agent) == {"BC", "FQL"} and set(results.updates) == {8, 9, 10}
    tried = pd.read_csv(out / f"{MAZE}_tuning.csv")
    assert tried.value.tolist() == [1, 10] and tried.chosen.sum() == 1
    assert "FQL" in (out / f"{MAZE}.md").read_text()
    for read, table in zip(shipped.baseline_results(MAZE, out), (results, tried), strict=True):
        pd.testing.assert_frame_equal(read, table)
    with pytest.raises(UnknownName, match=f"'cube'.*{MAZE}"):
        shipped.baseline_results("cube", out)

    shown = {"bc", "fql_1", "fql_10"}
    assert {file.stem for file in out.glob("*.safetensors")} == shown
    for name, weight in (("fql_1", 1.0), ("fql_10", 10.0)):
        agent, _, info = load_agent(out / f"{name}.safetensors")
        assert agent.distillation_weight == weight and agent.policy == Network((4,))
        assert (info.seed, info.updates) == (tuning.SEEDS[0], 10)
        assert not [array for array in load_file(out / f"{name}.safetensors") if "target" in array]
    with np.load(out / "trajectories.npz", allow_pickle=False) as file:
        assert set(file.files) == {f"{i}{end}" for i in range(3) for end in ("", "_success")}
        assert file["0"].shape[0] == 1 and file["0"].shape[2] == 2
    methods = shipped.baselines(out)
    labels = {name: [value.label for value in values] for name, values in methods.items()}
    assert labels == {"BC": ["no knob"], "FQL": ["alpha = 10", "alpha = 1"]}
    assert methods["FQL"][1].agent.distillation_weight == 1
    rows = pd.read_csv(out / "shown.csv")
    assert rows.file.tolist() == ["bc.safetensors", "fql_10.safetensors", "fql_1.safetensors"]
    assert rows.value.tolist()[1:] == [10, 1]  # from the data to the critic
    listed = json.loads((out / "manifest.json").read_text())
    assert {"fql_1.safetensors", "trajectories.npz", f"{MAZE}.csv"} <= set(listed)

    files = {file: file.read_bytes() for file in out.glob("*.csv")}
    monkeypatch.setattr(experiment, "train_seeds", None)  # nothing is left to train
    baselines.run_environment(MAZE, runs, out)
    assert {file: file.read_bytes() for file in out.glob("*.csv")} == files
    baselines.run_environment(MAZE, tmp_path / "another machine", out)
    assert {file: file.read_bytes() for file in out.glob("*.csv")} == files


@pytest.mark.thorough
def test_a_study_stopped_after_a_method_goes_on_elsewhere_to_the_same_end(
    tiny, tmp_path, monkeypatch
):
    whole = tmp_path / "whole"
    whole.mkdir()
    baselines.run_environment(MAZE, tmp_path / "runs", whole)
    parts, ship, trained = tmp_path / "parts", baselines.ship, []
    parts.mkdir()
    monkeypatch.setattr(baselines, "ship", then_stopped(ship))
    with pytest.raises(KeyboardInterrupt):
        baselines.run_environment(MAZE, tmp_path / "one machine", parts)
    assert set(pd.read_csv(parts / f"{MAZE}.csv").agent) == {"BC"}
    assert [file.name for file in parts.glob("*.safetensors")] == ["bc.safetensors"]
    assert not (parts / "shown.csv").exists()  # episodes are run at the end

    monkeypatch.setattr(baselines, "ship", ship)
    learn = experiment.train_seeds
    monkeypatch.setattr(
        experiment,
        "train_seeds",
        lambda agent, *data, **options: trained.append(agent) or learn(agent, *data, **options),
    )
    baselines.run_environment(MAZE, tmp_path / "another", parts)
    assert {type(agent).__name__ for agent in trained} == {"FQL"}
    for name in (f"{MAZE}.csv", f"{MAZE}_tuning.csv", f"{MAZE}.md", "shown.csv"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_what_has_begun_is_not_estimated_again(tmp_path, monkeypatch, capsys):
    told, done = [], []
    monkeypatch.setattr(baselines, "overview", lambda out: f"the table of {out.name}")
    monkeypatch.setattr(benchmark, "print_estimate", told.append)
    monkeypatch.setattr(baselines, "run_environment", lambda name, *_: done.append(name))
    begun = tmp_path / "baselines" / MAZE
    begun.mkdir(parents=True)
    (begun / "tuning.csv").write_text("")
    options = ["--runs", str(tmp_path), "--out", str(tmp_path / "out")]
    baselines.main([MAZE, *options])
    assert done == [MAZE] and not told
    assert capsys.readouterr().out == "the table of out\n"
    baselines.main(["cube-double-play", MAZE, *options])
    (work,) = told
    assert {planned.environment for planned, _ in work} == {"cube-double-play"}


def test_shipped_results_are_whole():
    """Every method that is there has all its tasks, seeds and evaluations, and all its agents."""
    results, tried = shipped.baseline_results()
    agents = shipped.baselines()
    planned = {one.name: one for one in baselines.plan(MAZE).experiments()}
    assert set(results.agent) <= set(planned)
    for name, own in results.groupby("agent"):
        assert len(own) == 5 * 3 * 3 and own.groupby(["task", "seed", "updates"]).ngroups == 45
        assert len(own[["steps", "candidates"]].drop_duplicates()) == 1
        knob = tuning.own_knob(planned[name])
        values = tried[tried.agent == name]
        assert set(values.value.dropna()) == set(knob.values if knob else ())
        assert values.chosen.sum() == (1 if knob else 0)
        assert len(agents[name]) == (len(knob.values) if knob else 1)
    assert set(agents) == set(results.agent)


def test_the_overview_has_success_episodes_and_time_of_each_method_with_results(tmp_path):
    cells = [("FQL", 1, success) for success in (0.5, 1.0)] + [("BC", 1, 0.0)]
    rows = [(agent, MAZE, 1, seed, 9, 1, n, s) for seed, (agent, n, s) in enumerate(cells)]
    columns = ["agent", "environment", "task", "seed", "updates", "steps", "candidates", "success"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"{MAZE}.csv")
    tried = pd.DataFrame({"agent": ["FQL", "FQL"], "environment": MAZE, "episodes": [800, 400]})
    tried.to_csv(tmp_path / f"{MAZE}_tuning.csv")
    head, _, *lines = baselines.overview(tmp_path).splitlines()
    assert head == f"| method | {MAZE} | tuning episodes | ms per action |"
    bc, fql = (line.strip("| ").split(" | ") for line in lines)
    assert bc == ["BC", "0", "0", "0.35"]  # one agent has no interval
    assert fql[0] == "FQL" and fql[1].startswith("75 [") and fql[2:] == ["1,200", "0.42"]
