"""The robots' agents: the shipped files are the study's, and a stopped study resumes."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS
from sorl_edu.course import shipped
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import experiment, robots
from sorl_edu.experiments.experiment import PROTOCOL, Collection, Experiment, grid
from sorl_edu.experiments.robots import EXPERIMENTS, VIDEOS
from sorl_edu.files import file_sha256
from sorl_edu.plotting import video
from sorl_edu.training.checkpoints import read_metadata

FOLDER = shipped_data() / "robots"


def test_every_file_is_in_the_manifest_with_its_command_and_checksum():
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    files = {file.name for file in FOLDER.iterdir()} - {"manifest.json", "README.md"}
    assert files == manifest.keys()
    for name, entry in manifest.items():
        assert entry["sha256"] == file_sha256(FOLDER / name), name
        assert "sorl_edu.experiments.robots" in entry["command"]
        assert entry["bytes"] < 2e6


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_arm_is_shipped_as_the_study_has_it(name):
    arm = EXPERIMENTS[name]
    entry = json.loads((FOLDER / "manifest.json").read_text())[f"{name}.csv"]
    assert entry["training_seconds"] > 0 and entry["about"] == arm.about
    if "experiment" in entry:
        assert entry["experiment"] == arm.facts()
    else:  # shipped before an experiment had its facts
        plan, agent = entry["plan"], arm.facts()["agent"]
        assert agent == entry["config"] | {"class": agent["class"]}
        assert (len(arm.seeds), arm.updates, arm.episodes, arm.preset) == tuple(
            plan[key] for key in ("seeds", "updates", "episodes", "preset")
        )
        assert arm.settings == grid(plan["steps"], plan["candidates"])
    assert entry["dataset"] == f"sorl-edu collect {arm.dataset} --episodes " + str(
        arm.collection.episodes
    )
    table = robots.results(name)
    keys = ["training_seed", "task", "updates", "steps", "candidates"]
    assert len(table) == len(table[keys].drop_duplicates())
    assert len(table) == len(arm.tasks) * len(arm.seeds) * 3 * len(arm.settings)
    assert set(table.task) == set(arm.tasks) and set(table.training_seed) == set(arm.seeds)
    assert set(table.updates) == set(arm.evaluated_updates)
    assert set(zip(table.steps, table.candidates, strict=True)) == set(arm.settings)
    assert table.success.between(0, 1).all() and set(table.agent) == {name}
    for task in robots.SHOWN.get(name, ()):
        agent, _, info = shipped.robot(name, task)
        assert agent == arm.agent
        assert (info.environment, info.updates) == (arm.task(task), arm.updates)
        assert (info.seed, info.dataset_sha256) == (0, entry["dataset_sha256"])


def test_files_are_named():
    for name in VIDEOS:
        assert shipped.robot_file(f"{name}.mp4").read_bytes()[4:8] == b"ftyp"
        shown = shipped.film(name, "a hand & a cube")._repr_html_()
        assert " controls " in shown and 'aria-label="a hand &amp; a cube"' in shown
        assert "data:video/mp4;base64," in shown  # in the notebook itself
    assert shipped.robot_file(f"{robots.IN_README}.gif").read_bytes()[:3] == b"GIF"
    with pytest.raises(UnknownName, match="Did you mean cube.csv"):
        shipped.robot_results("cub")


def test_findings_are_those_of_the_rows_and_in_the_readme():
    found = robots.findings()
    rows = robots.results("cube").query("steps == 8").groupby(["candidates", "training_seed"])
    per_seed = rows.success.mean()
    (of_32,) = found[found.question == "cube, 8 steps: best of 32; best of 8"].itertuples()
    assert of_32.better == pytest.approx(per_seed[32].mean())
    assert of_32.difference == pytest.approx((per_seed[32] - per_seed[8]).mean())
    assert of_32.low < of_32.difference < of_32.high and of_32.seeds == 4
    page = Path(__file__).parents[2] / "data" / "robots" / "README.md"
    assert robots.describe(found) in page.read_text()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Two arms of a maze; the first is the beginning of the second."""
    short = Experiment(
        name="short",
        about="the beginning",
        agent=Counting(),
        dataset="pointmaze-medium-navigate-v0",
        tasks=(1,),
        seeds=range(2),
        updates=20,
        settings=grid((1,), (1, 2)),
        episodes=1,
        evaluated_at=PROTOCOL,
        collection=Collection(2),
        log_every=2,
        checkpoint_every=2,
    )
    arms = {"short": short, "long": replace(short, name="long", about="all of it", updates=40)}
    monkeypatch.setitem(AGENTS, "counting", Counting)
    monkeypatch.setattr(evaluation, "evaluate", quick_episodes)
    monkeypatch.setattr(robots, "EXPERIMENTS", arms)
    monkeypatch.setattr(robots, "SHOWN", {"long": (1,)})
    monkeypatch.setattr(robots, "VIDEOS", {})
    # They compare the whole study's arms; here they only say that they were called.
    monkeypatch.setattr(robots, "findings", lambda out: pd.DataFrame([{"out": out}]))
    monkeypatch.setattr(robots, "describe", lambda table: f"findings in {table.out[0]}")
    return tmp_path / "runs", tmp_path / "out"


@pytest.mark.thorough
def test_the_study_runs_ships_and_resumes_the_shorter_arm(small, monkeypatch, capsys):
    runs, out = small
    flags = ["--runs", str(runs), "--out", str(out)]
    robots.main(["short", *flags])
    logged = []
    learn = experiment.train_seeds

    def watched(agent, data, *, on_log, **options):
        return learn(
            agent,
            data,
            on_log=lambda updates, states: (logged.append(updates), on_log(updates, states)),
            **options,
        )

    monkeypatch.setattr(experiment, "train_seeds", watched)
    robots.main(["long", *flags])
    assert min(logged) == 22 and max(logged) == 40  # the first half was trained already
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest.keys() == {"short.csv", "long.csv", "long_task1.safetensors"}
    info = read_metadata(out / "long_task1.safetensors")["info"]
    assert (info["updates"], info["seed"]) == (40, 0)
    assert "collect pointmaze-medium-navigate-v0 --episodes 2" in manifest["long.csv"]["dataset"]
    assert manifest["long.csv"]["experiment"] == robots.EXPERIMENTS["long"].facts()
    alone = experiment.run(robots.EXPERIMENTS["long"], runs / "alone")
    assert min(logged[-20:]) == 2
    means, together = experiment.cell_means(alone), robots.results("long", out)
    for column in ("length", "return", "success"):
        np.testing.assert_allclose(means[column], together[column])
    assert list(pd.read_csv(out / "long.csv")) == list(pd.read_csv(FOLDER / "cube.csv"))
    logged.clear()
    assert "findings" not in capsys.readouterr().out
    robots.main(["short", "long", *flags])
    assert not logged  # nothing was left to train
    assert f"findings in {out}" in capsys.readouterr().out


def test_an_unknown_piece_is_refused_before_any_work(small):
    with pytest.raises(UnknownName, match="long"):
        robots.main(["lon"])


@pytest.mark.thorough
def test_the_verifier_is_compared_with_what_playing_on_brings(tmp_path):
    shutil.copy(FOLDER / "cube_task2.safetensors", tmp_path)
    sizes = {"visits": 2, "states": 2, "continuations": 1}
    robots.measure_verifier(tmp_path, settings=((8, 2), (8, 1)), **sizes)
    table = pd.read_csv(tmp_path / "cube_verifier.csv")
    assert list(table) == list(pd.read_csv(FOLDER / "cube_verifier.csv")) and len(table) == 4
    assert (table.q >= table.q_mean - 1e-4).all()
    one, two = (table[table.candidates == n].set_index("state") for n in (1, 2))
    np.testing.assert_allclose(one.q, one.q_mean, rtol=1e-5)
    assert (two.q >= one.q - 1e-4).all()  # the first candidate is the same, and so is the state
    assert table.returned.between(-100, 0).all()
    assert (table.returned[table.success == 0] == -100).all()


def test_the_shipped_measurement_is_whole():
    table = pd.read_csv(FOLDER / "cube_verifier.csv")
    cells = table.groupby(["state", "steps", "candidates"]).size()
    assert len(cells) == 48 * 6 and set(cells) == {4}


def test_the_shipped_states_are_moments_of_one_episode():
    states = shipped.robot_states("cube")
    assert list(states) == ["start", "approach", "grasp", "carry"]
    _, state, _ = shipped.robot("cube", 2)
    apart = [np.linalg.norm(obs[12:15] - obs[19:22]) / 10 for obs, _ in states.values()]  # metres
    assert apart[0] > apart[1] > apart[2] and max(apart[2:]) < 0.03
    heights = [obs[robots.CUBE_HEIGHT] / 10 for obs, _ in states.values()]
    assert max(heights[:3]) < 0.03 < heights[3]
    for obs, picture in states.values():
        assert obs.shape == (state.obs_dim,) and picture.shape == (240, 240, 3)
        assert picture.std() > 10  # it shows something
    pictures = [picture for _, picture in states.values()]
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))


@pytest.mark.thorough
def test_the_states_are_made_again_from_the_shipped_agent(tmp_path):
    try:
        video.check_renderer()
    except video.RenderError as error:
        pytest.skip(str(error))
    shutil.copy(FOLDER / "cube_task2.safetensors", tmp_path)
    robots.make_states(tmp_path, episodes=2, size=128)
    made, kept = (pd.read_csv(f / "cube_states.csv") for f in (tmp_path, FOLDER))
    assert list(made) == list(kept) and list(made.name) == list(kept.name)
    starts = (table.filter(regex="^o_").iloc[0] for table in (made, kept))
    np.testing.assert_allclose(*starts, atol=1e-3)  # fewer episodes draw other noise afterwards
    assert made.time.is_monotonic_increasing and made.time.is_unique
    pictures = [picture for _, picture in shipped.robot_states("cube", tmp_path).values()]
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 4
