"""Suites, and the published results as the papers' own sums, aggregates and claims have them."""

import json

import numpy as np
import pytest

from sorl_edu.agents.presets import PRESETS, preset_for
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.datasets.recipes import RECIPES
from sorl_edu.errors import UnknownName
from sorl_edu.experiments.suites import SUITES, published_results
from sorl_edu.files import file_sha256

PAPER = SUITES["ogbench-sorl"]
TEN = ["BC", "IQL", "ReBRAC", "IDQL", "SRPO", "CAC", "FAWAC", "FBRAC", "IFQL", "FQL"]
MEANS = [3.4, 27.2, 34.4, 23.9, 14.4, 27.4, 19.1, 32.4, 32.2, 48.9, 51.9]  # of eight environments


def wide(task):
    """Published success, an environment per row and a method per column."""
    table = published_results()
    return table[table.task == task].pivot(index="environment", columns="method", values="success")


def test_published_results_are_those_of_the_manifest():
    folder = shipped_data() / "published"
    entry = json.loads((folder / "manifest.json").read_text())["ogbench.csv"]
    assert entry["sha256"] == file_sha256(folder / "ogbench.csv")
    assert entry["rows"] == len(published_results())
    assert any("2502.02538" in source for source in entry["sources"])


def test_every_method_has_a_result_everywhere_that_is_known():
    table = published_results()
    assert not table.duplicated(["method", "environment", "task"]).any()
    assert table.success.between(0, 100).all() and table["std"].between(0, 50).all()
    environments = {env.name for env in PAPER}
    means = wide(0).loc[sorted(environments)]
    assert set(means) == {*TEN, "SORL"} and not means.isna().any(axis=None)
    tasks = table[(table.task > 0) & table.environment.isin(environments)]
    assert len(tasks) == 8 * 5 * 10 and set(tasks.method) == set(TEN)


def test_an_environments_result_is_the_mean_of_its_tasks():
    table = published_results()
    of_tasks = table[table.task > 0].groupby(["environment", "method"]).success.mean()
    of_environments = table[table.task == 0].set_index(["environment", "method"]).success
    both = of_environments.to_frame("mean").join(of_tasks, how="inner")
    assert len(both) == 9 * 10  # puzzle-4x4 has tasks alone
    assert (both["mean"] - both.success).abs().max() <= 1  # both are of rounded numbers


def test_the_means_over_the_eight_environments():
    means = wide(0).loc[[env.name for env in PAPER]].mean()
    np.testing.assert_allclose(means[[*TEN, "SORL"]], MEANS, atol=0.051)


def test_sorl_is_the_best_in_five_environments():
    best = wide(0).loc[[env.name for env in PAPER]].astype(float)
    ties = best.loc["antmaze-giant-navigate"]
    assert best.idxmax(axis=1).eq("SORL").sum() == 5
    assert ties["ReBRAC"] == 26 and ties["SORL"] == ties["FQL"] == 9
    assert best.loc["humanoidmaze-large-navigate"].idxmax() == "IFQL"
    assert best.loc["cube-double-play"].idxmax() == "FQL"


def test_an_environment_says_what_was_published_on_it():
    (cube,) = (env for env in PAPER if env.name == "cube-single-play")
    assert list(cube.published) == [*TEN, "SORL"]
    assert cube.published["SORL"] == "97 ± 1" and cube.published["CAC"] == "85 ± 9"
    assert cube.published_on(5)["FBRAC"] == "76 ± 33" and "SORL" not in cube.published_on(5)
    assert not any(env.published for env in (*SUITES["course"], *SUITES["pointmaze"]))


def test_the_courses_suite_needs_no_download():
    for env in SUITES["course"]:
        assert env.dataset in RECIPES
        shipped = (shipped_data() / f"{env.dataset}.npz").exists()
        assert shipped != (env.collection is not None)
    assert sum(len(env.tasks) for env in SUITES["course"]) == 14


def test_presets_are_named_by_agent_and_environment(monkeypatch):
    monkeypatch.setitem(PRESETS, "fql/pointmaze", PRESETS["pointmaze-bc"])
    monkeypatch.setitem(PRESETS, "fql/scene-small", PRESETS["pointmaze-bc"])
    monkeypatch.delitem(PRESETS, "fql/cube-single-small", raising=False)
    assert preset_for("pointmaze-medium-navigate-v0") == "pointmaze"
    assert preset_for("pointmaze-medium-navigate-v0", "fql") == "fql/pointmaze"
    maze, single, scene, _ = SUITES["course"]
    assert [maze.preset_of("sorl"), maze.preset_of("fql")] == ["pointmaze", "fql/pointmaze"]
    assert [scene.preset_of("sorl"), scene.preset_of("fql")] == ["scene-small", "fql/scene-small"]
    assert SUITES["pointmaze"][0].preset_of("fql") == "fql/pointmaze"
    with pytest.raises(UnknownName, match="'fql/cube-single-small'. Did you mean .*small"):
        single.preset_of("fql")
    with pytest.raises(UnknownName, match="preset 'fqll/pointmaze'. Did you mean fql/pointmaze"):
        preset_for("pointmaze-medium-navigate-v0", "fqll")
