"""`make imitation`: what is shipped of the tightrope, and that a stopped study goes on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import DataError, UnknownName
from sorl_edu.evaluation.aggregates import interquartile_mean, stratified_interval
from sorl_edu.experiments import imitation, statistics
from sorl_edu.experiments.imitation import STUDIES, Setting, Study
from sorl_edu.experiments.imitators import returns
from sorl_edu.files import file_sha256, read_manifest
from sorl_edu.imitation import filter_resets, guitar, moment_matching

SMALL = Setting(bridge=2, slip=0.2, practice=20, expert_episodes=2)


@pytest.fixture
def small(monkeypatch):
    """Two studies that share a setting."""
    other = replace(SMALL, slip=0.0, learners=("BC", "FILTER"))
    studies = {
        "slip": Study("?", ("slip",), (SMALL, other)),
        "practice": Study("?", ("start", "practice"), (SMALL,)),
    }
    monkeypatch.setattr(imitation, "STUDIES", studies)


def rows_of(runs, out):
    imitation.run_tightrope(runs, out, rounds=2, seeds=range(2))
    return pd.read_csv(out / "tightrope.csv")


def test_a_stopped_study_ends_as_an_uninterrupted_one(small, tmp_path, monkeypatch):
    measured = []
    whole = imitation.measure

    def measure(setting, **options):
        if len(measured) == 1 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        measured.append(setting)
        return whole(setting, **options)

    stopped = []
    monkeypatch.setattr(imitation, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        rows_of(tmp_path / "runs", tmp_path / "out")
    assert not (tmp_path / "out" / "tightrope.csv").exists()
    rows = rows_of(tmp_path / "runs", tmp_path / "out")
    assert len(measured) == 2  # each setting once, the shared one too
    again = rows_of(tmp_path / "other", tmp_path / "again")
    pd.testing.assert_frame_equal(rows, again)
    sizes = rows.groupby("study").size()
    assert sizes["slip"] == 2 * 4 + 2 * 2 and sizes["practice"] == 2 * 4
    kept = read_manifest(tmp_path / "out")["tightrope.csv"]
    assert kept["seeds"] == [0, 1] and "make imitation" in kept["command"]


def test_another_plan_reads_nothing_of_the_first(small, tmp_path):
    one, folder = rows_of(tmp_path, tmp_path / "out"), tmp_path / "imitation" / "tightrope"
    before = len(list(folder.glob("*.csv")))
    imitation.run_tightrope(tmp_path, tmp_path / "out", rounds=3, seeds=range(2))
    assert len(list(folder.glob("*.csv"))) == 2 * before
    assert len(pd.read_csv(tmp_path / "out" / "tightrope.csv")) == len(one)


def test_a_setting_s_rows_are_those_of_its_learners():
    rows = imitation.measure(replace(SMALL, start="walk", resets=0.5), rounds=2, seeds=[3])
    expected = returns(
        SMALL.world,
        slips=[0.2],
        learners={
            "BC": None,
            "MM": moment_matching(),
            "FILTER": filter_resets(0.5),
            "GUITAR": guitar(0.5, 0.5),
        },
        expert_episodes=2,
        practice=20,
        rounds=2,
        seeds=[3],
    )
    pd.testing.assert_frame_equal(
        rows[["learner", "seed", "j"]], expected[["learner", "seed", "j"]]
    )
    assert set(rows.start) == {"walk"} and set(rows.resets) == {0.5}
    assert (SMALL.world.bridge, SMALL.world.horizon) == (2, 15)


def test_a_summary_has_the_interquartile_mean_of_each_setting():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"learner": "BC", "slip": np.repeat([0.1, 0.2], 8), "seed": [*range(8)] * 2}
        | {"study": "slip", "j": rng.uniform(0, 5, 16), "optimum": 10.0}
    )
    table = imitation.summary(rows, "slip")
    assert list(table.slip) == [0.1, 0.2] and set(table.seeds) == {8}
    for (_, cell), found in zip(rows.groupby("slip"), table.itertuples(), strict=True):
        shares = np.sort(cell.j.to_numpy() / 10)
        assert found.iqm == pytest.approx(shares[2:6].mean())
        interval = stratified_interval(interquartile_mean, shares[:, None])
        assert (found.low, found.high) == pytest.approx(interval)
    one = statistics.interquartile_means(rows[:1], ["slip"], "j")
    assert np.isnan(one.low).all() and one.iqm[0] == rows.j[0]
    with pytest.raises(DataError, match="several rows"):
        statistics.interquartile_means(rows, ["learner"], "j")


def test_a_study_that_is_none_is_refused():
    rows = pd.DataFrame({"study": ["slip"]})
    with pytest.raises(UnknownName, match="study"):
        imitation.summary(rows, "slips")
    with pytest.raises(DataError, match="no rows"):
        imitation.summary(rows, "horizon")
    with pytest.raises(UnknownName, match="world"):
        imitation.main(["moon"])


def test_the_shipped_rows_are_of_the_declared_studies():
    folder = shipped_data() / "imitation"
    rows = pd.read_csv(folder / "tightrope.csv")
    kept = read_manifest(folder)["tightrope.csv"]
    assert kept["sha256"] == file_sha256(folder / "tightrope.csv")
    assert kept["rounds"] == imitation.ROUNDS and kept["seeds"] == [*imitation.SEEDS]
    for name, study in STUDIES.items():
        own = rows[rows.study == name]
        assert len(own) == sum(len(s.learners) for s in study.settings) * len(imitation.SEEDS)
        for setting in study.settings:
            where = np.logical_and.reduce([own[f] == getattr(setting, f) for f in study.varied])
            assert set(own[where].learner) == set(setting.learners)


def test_shipped_numbers_are_computed_anew():
    """The cheapest setting of the studies, two seeds of it."""
    rows = pd.read_csv(shipped_data() / "imitation" / "tightrope.csv")
    setting = next(s for s in STUDIES["horizon"].settings if s.bridge == 4)
    again = imitation.measure(setting, rounds=imitation.ROUNDS, seeds=range(2))
    shipped = rows[(rows.study == "horizon") & (rows.bridge == 4) & (rows.seed < 2)]
    merged = shipped.merge(again, on=["learner", "seed"])
    assert len(merged) == 6
    np.testing.assert_allclose(merged.j_x, merged.j_y, rtol=1e-5)
