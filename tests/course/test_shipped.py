"""What the course ships is there, whole, small enough, and says how it was made."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import TINY

from sorl_edu.course import pictures, shipped
from sorl_edu.datasets.ogbench import load, shipped_data
from sorl_edu.errors import ConfigError, DataError, UnknownName
from sorl_edu.experiments.course import EXPERIMENTS, SHOWN
from sorl_edu.files import file_sha256, read_manifest


def test_every_file_is_in_the_manifest_with_its_command_and_checksum():
    folder = shipped_data() / "course"
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {file.name for file in folder.iterdir()} - {"manifest.json"}
    assert files == manifest.keys()
    for name, entry in manifest.items():
        assert entry["sha256"] == file_sha256(folder / name), name
        program = "course.pictures" if name.endswith(".png") else "experiments.course"
        assert f"python -m sorl_edu.{program}" in entry["command"]


def test_shipped_data_stay_within_forty_megabytes():
    total = sum(file.stat().st_size for file in shipped_data().rglob("*") if file.is_file())
    assert total <= 40e6


def test_every_arm_is_shipped_with_the_configuration_that_the_study_has():
    assert shipped.names() == sorted(EXPERIMENTS)
    for name, experiment in EXPERIMENTS.items():
        agent, _, info = shipped.agent(name)
        assert agent == experiment.agent
        assert (info.updates, info.seed) == (experiment.updates, SHOWN.get(name, 0))
        episodes = shipped.episodes(name)
        seeds, settings = len(experiment.seeds), len(experiment.settings)
        assert len(episodes) == seeds * settings * experiment.episodes
        assert shipped.history(name).seed.nunique() == seeds


def test_agents_learned_from_the_shipped_data():
    broad, narrow = load(shipped.ENVIRONMENT), shipped.narrow_data()
    assert broad.sha256 != narrow.sha256
    for name in shipped.names():
        data = narrow if name.startswith("narrow") else broad
        assert shipped.agent(name)[2].dataset_sha256 == data.sha256, name


def test_snapshots_end_with_the_shipped_agent():
    updates, states = shipped.snapshots("sorl")
    _, state, info = shipped.agent("sorl")
    assert updates[-1] == info.updates
    leaf = lambda s: np.asarray(s.critic.params["params"]["VmapMLP_0"]["Dense_0"]["kernel"])  # noqa: E731
    np.testing.assert_array_equal(leaf(states[-1]), leaf(state))
    assert not np.array_equal(leaf(states[0]), leaf(state))


def test_trajectories_end_at_the_goal_where_they_succeed():
    from sorl_edu.environments.mazes import maze_geometry

    maze = maze_geometry(shipped.ENVIRONMENT)
    for went in shipped.trajectories("sorl").values():
        for path, success in zip(went.positions, went.success, strict=True):
            end = path[np.isfinite(path[:, 0])][-1]
            if success:  # OGBench moves the goal a little in every episode
                assert np.hypot(*(end - maze.goal)) <= maze.goal_radius + maze.cell / 4


def test_unknown_names_and_missing_parts_are_refused_in_words():
    with pytest.raises(UnknownName, match="Did you mean"):
        shipped.agent("sorll")
    with pytest.raises(ConfigError, match="kept for some experiments only"):
        shipped.trajectories("minimum")
    with pytest.raises(UnknownName):
        shipped.retrain("nothing like it")


def test_retraining_makes_what_the_lessons_then_read(tmp_path):
    before = shipped.episodes("minimum")
    try:
        shipped.retrain(
            "minimum",
            folder=tmp_path,
            agent=replace(TINY, q_aggregation="min"),
            seeds=range(2),
            updates=1000,
            episodes=1,
            settings=((1, 1),),
        )
        assert len(shipped.episodes("minimum")) == 2
        assert shipped.agent("minimum")[2].updates == 1000
    finally:
        shipped._RETRAINED.clear()
    assert len(shipped.episodes("minimum")) == len(before)


def test_rows_of_the_imitators_are_found_by_their_world():
    assert {"study", "learner", "seed", "j"} <= set(shipped.imitation("tightrope"))
    with pytest.raises(UnknownName, match="world of the imitators"):
        shipped.imitation("moon")


def test_results_of_robots_say_whose_they_are():
    assert set(shipped.robot_results("cube").agent) == {"cube"}
    with pytest.raises(UnknownName, match="Did you mean"):
        shipped.robot_results("cubee")


def test_the_pictures_are_drawn_as_their_entries_say(tmp_path):
    pictures.main(["--out", str(tmp_path)])
    made, entries = read_manifest(tmp_path), read_manifest(shipped_data() / "course")
    for name in ("main_widget.png", "method.png"):
        assert made[name]["command"] == entries[name]["command"]
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_experiments_differ_in_what_a_comparison_names_and_in_nothing_else():
    table = shipped.differences("minimum", "sorl", only=["q_aggregation"])
    assert table.loc["q_aggregation"].tolist() == ["min", "mean"] and len(table) == 1
    table = shipped.differences("sorl", "no_terminals", only=["transform"])
    assert table.loc["transform", "no_terminals"].endswith("without_terminals")
    with pytest.raises(DataError, match="'dataset'.*and not just in"):
        shipped.differences("sorl", "narrow", only=["flow_weight", "consistency_weight"])
    with pytest.raises(DataError, match="and not just in"):
        shipped.differences("sorl", "minimum", only=["q_aggregation", "tau"])
