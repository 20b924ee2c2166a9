"""The PointMaze world of `make imitation`: equal steps for all, and a stopped study goes on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sorl_edu.course import shipped
from sorl_edu.environments.bodies import LESSER_POINTS
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import UnknownName
from sorl_edu.evaluation import bounded_interval
from sorl_edu.experiments import imitation, lesser_points
from sorl_edu.experiments.lesser_points import LEARNERS, SIZES, Run
from sorl_edu.files import read_manifest

SMALL = replace(
    SIZES,
    limit=10,
    expert_episodes=2,
    steps=250,
    worlds=2,
    lesson_every=1,
    lesson_updates=1,
    offline_states=20,
    episodes=2,
)


@pytest.fixture
def small(monkeypatch):
    """Two seeds, and little of everything."""
    monkeypatch.setattr(lesser_points, "SIZES", SMALL)
    monkeypatch.setattr(lesser_points, "SEEDS", range(2))
    monkeypatch.setattr(lesser_points, "CLONING_UPDATES", 2)


@pytest.mark.thorough
def test_a_stopped_study_ends_as_an_uninterrupted_one(small, tmp_path, monkeypatch):
    out, again = tmp_path / "out", tmp_path / "again"
    out.mkdir()
    again.mkdir()
    done, whole = [], lesser_points.results

    def results(run, folder):
        if len(done) == 5 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        done.append(run)
        return whole(run, folder)

    stopped = []
    monkeypatch.setattr(lesser_points, "results", results)
    arguments = ["turned", "--runs", str(tmp_path / "runs"), "--out"]
    with pytest.raises(KeyboardInterrupt):
        imitation.main([*arguments, str(out)])
    assert not list(out.iterdir())
    imitation.main([*arguments, str(out)])
    assert len(done) == 2 * len(LEARNERS)  # each once
    lesser_points.run_body("turned", tmp_path / "other", again)
    for file in ("turned.csv", "turned_paths.npz"):
        assert (out / file).read_bytes() == (again / file).read_bytes()

    rows = pd.read_csv(out / "turned.csv")
    last = rows[rows.stage == "last"]
    assert last.groupby("learner").seed.apply(sorted).map(tuple).to_dict() == dict.fromkeys(
        LEARNERS, (0, 1)
    )
    steps = last.groupby("learner").environment_steps.unique()
    assert steps["BC"] == 0 and steps["MM"] == steps["FILTER"] == steps["GUITAR"]
    assert steps["MM"] >= 5 * SMALL.steps  # five of the environment in one of the learner
    assert set(rows[rows.stage == "lesson"].learner) == set(LEARNERS) - {"BC"}
    monkeypatch.setattr(shipped, "shipped_data", lambda: tmp_path)
    out.rename(tmp_path / "imitation")
    paths = shipped.imitation_paths("turned")
    assert set(paths) == set(LEARNERS)
    assert paths["MM"].positions.shape == (2, SMALL.limit, 2)
    assert paths["MM"].success.shape == (2,) and not paths["MM"].success.any()
    start = np.array(maze_geometry(lesser_points.TASK).start)
    assert np.linalg.norm(paths["BC"].positions[:, 0] - start, axis=1).max() < 1.5
    assert not np.array_equal(paths["MM"].positions, paths["GUITAR"].positions)
    with pytest.raises(UnknownName, match="turned"):
        shipped.imitation_paths("turnt")
    listed = read_manifest(tmp_path / "imitation")["turned.csv"]
    assert listed["seeds"] == [0, 1] and listed["sizes"]["repeat"] == 5
    assert "imitation turned" in listed["command"]


def test_nothing_of_another_plan_is_read():
    run = Run("turned", "MM", 0)
    others = [
        Run("drifting", "MM", 0),
        Run("turned", "FILTER", 0),
        Run("turned", "MM", 1),
        replace(run, sizes=SMALL),
    ]
    assert len({one.name for one in (run, *others)}) == 5


def test_methods_differ_in_their_resets_alone():
    fractions = {
        name: (mixture.expert, mixture.offline) for name, mixture in lesser_points.RESETS.items()
    }
    assert fractions == {"MM": (0, 0), "FILTER": (1, 0), "GUITAR": (0.5, 0.5)}


def test_a_reset_to_an_offline_state_is_at_its_position_and_at_rest():
    worlds = Run("turned", "GUITAR", 0).worlds(1)
    positions = np.float32([[0.5, 0.25], [8.25, 0.5], [20.5, 19.75]])
    rows = lesser_points.offline_states(positions, 3, worlds, seed=0)
    assert {tuple(row[:2]) for row in rows} == {tuple(map(float, xy)) for xy in positions}
    with worlds.entered(0):
        obs = worlds.reset(0, 0, rows[0])
    np.testing.assert_allclose(obs, rows[0, :2])
    assert not rows[:, 2:].any()


def test_the_learner_sees_and_moves_as_its_body_does():
    run = Run("drifting", "MM", 0)
    assert run.worlds(2).body is LESSER_POINTS["drifting"]
    assert (run.worlds(2).limit, run.worlds(2).repeat) == (60, 5)
    assert set(lesser_points.BODIES) <= set(LESSER_POINTS)


def test_the_table_has_means_intervals_and_differences_of_paired_seeds():
    def cells(learner, values):
        columns = {"learner": learner, "seed": range(len(values)), "success": values}
        return pd.DataFrame(columns).assign(stage="last")

    values = {
        "BC": [0.0] * 8,
        "MM": [0.5] * 8,
        "FILTER": [1.0] * 4 + [0.0] * 4,
        "GUITAR": [1.0] * 8,
    }
    table = pd.concat(
        [cells(*item) for item in values.items()] + [cells("GUITAR", [0.25]).assign(stage="lesson")]
    )
    line = lesser_points.as_markdown({"turned": table}).splitlines()[-1]
    body, *found = [cell.strip() for cell in line.split("|")[1:-1]]
    for rates, cell in zip(values.values(), found, strict=False):
        low, high = bounded_interval(rates)
        assert cell == f"{np.mean(rates):.2f} [{low:.2f}, {high:.2f}]"
    assert body == "turned" and len(found) == 7
    assert [cell[:5] for cell in found[4:]] == ["+1.00", "+0.50", "+0.50"]
