"""`make evor`: settings chosen on other episodes, tables of the results, a study that goes on."""

import functools
import json
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes, then_stopped

from sorl_edu import evaluation
from sorl_edu.agents import chunked, dials_of, presets
from sorl_edu.agents.published import with_width
from sorl_edu.environments.mazes import distances, maze_geometry
from sorl_edu.errors import CheckpointError
from sorl_edu.experiments import directions, evor, experiment, tuning
from sorl_edu.inference import Proposal, choose
from sorl_edu.training.checkpoints import load_agent

MAZE, INF = evor.MAZE, np.inf


def test_all_methods_have_equal_data_updates_batches_and_widths_in_every_environment():
    assert list(evor.ENVIRONMENTS) == list(evor.DEFAULT_TASKS)
    for env in evor.ENVIRONMENTS.values():
        every = [evor.planned(method, env, {}) for method in evor.METHODS]
        agents = [getattr(trial.agent, "agent", trial.agent) for trial in every]
        assert len({(trial.dataset, trial.updates, trial.seeds) for trial in every}) == 1
        assert len({(agent.batch_size, agent.optimizer.learning_rate) for agent in agents}) == 1
        widths = [{network.hidden for network in parts(agent)} for agent in agents]
        assert len(set.union(*widths)) == 1
        assert evor.DEFAULT_TASKS[env.name] in env.tasks


def parts(agent):
    return [getattr(agent, name) for name in ("policy", "field", "critic") if hasattr(agent, name)]


def test_the_ablation_changes_the_model_of_the_return_alone():
    env = evor.ENVIRONMENTS[MAZE]
    *others, flow = [method.agent_in(env) for method in evor.METHODS[:4]]
    for agent in others:
        assert {name: getattr(agent, name) for name in vars(flow)} == vars(flow)
    assert len({type(agent) for agent in (flow, *others)}) == 4
    chunks = evor.METHODS[-1].agent_in(env)
    assert chunks == chunked(evor.METHODS[-2].agent_in(env), 5)


def test_reported_episodes_are_none_of_those_of_the_choice():
    for env in evor.ENVIRONMENTS.values():
        assert env.updates != evor.CHOICE_SEED


def test_no_setting_costs_a_training():
    env = evor.ENVIRONMENTS[MAZE]
    for method in evor.METHODS:
        trials = [evor.planned(method, env, dials) for dials in method.choices]
        assert len({json.dumps(trial.training_identity("x")) for trial in trials}) == 1


def cells(purpose, agent, temperature, n, success, task=1):
    """Three seeds of one setting."""
    return pd.DataFrame(
        {
            "agent": agent,
            "environment": MAZE,
            "task": task,
            "seed": range(3),
            "updates": 10,
            "steps": 8,
            "candidates": n,
            "return_temperature": temperature,
            "choice_temperature": 0.0,
            "return_samples": 8.0,
            "value_steps": 4.0,
            "purpose": purpose,
            "episodes": 2,
            "success": success,
        }
    )


def test_the_best_setting_is_chosen_and_the_best_mean_beside_it():
    tried = pd.concat(
        [
            cells("choice", "EVOR", INF, 8, [0.5, 0.5, 0.5]),
            cells("choice", "EVOR", INF, 32, [0.0, 1.0, 0.6]),
            cells("choice", "EVOR", 0.1, 8, [1.0, 0.9, 0.8]),
            cells("choice", "EVOR", 0.1, 32, [1.0, 0.9, 0.7]),
        ]
    )
    assert evor.chosen(tried) == ((("return_temperature", 0.1),), (8, 8))
    assert evor.chosen(evor.mean_readouts(tried)) == ((("return_temperature", INF),), (8, 32))
    plain = cells("choice", "BFN", np.nan, 8, [1.0, 0.0, 0.0])
    assert evor.chosen(plain) == evor.chosen(evor.mean_readouts(plain)) == ((), (8, 8))


def test_tables_say_what_the_rows_say():
    table = pd.concat(
        [
            cells("choice", "EVOR", INF, 8, 0.25),
            cells("choice", "EVOR", 0.1, 8, [1.0, 0.9, 0.8]),
            cells("choice", "BFN", np.nan, 8, 0.5),
            cells("reported", "EVOR", 0.1, 8, [1.0, 1.0, 0.7]),
            cells("reported", "EVOR", 0.1, 8, [0.5, 0.5, 0.5], task=2),
            cells("reported", "EVOR", INF, 8, [0.4, 0.6, 0.5]),
            cells("reported", "EVOR", INF, 8, [0.5, 0.5, 0.5], task=2),
            cells("reported", "BFN", np.nan, 8, [0.1, 0.0, 0.2]),
            cells("reported", "BFN", np.nan, 8, [0.0, 0.0, 0.0], task=2),
            *(
                cells("dials", "EVOR", 0.1, 8, 0.5).assign(**{dial: float(value)})
                for dial, values in evor.ONE_DIAL.items()
                for value in values
            ),
        ]
    )
    text = evor.as_markdown(table)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    by = {tuple(row[:2]): row[2:] for row in rows if len(row) > 2}
    found = by["EVOR", "m = 8, N = 8, tau_R = 0.1"]
    low, high = evaluation.bounded_interval([1.0, 1.0, 0.7])
    assert found[:2] == [f"0.90 [{low:.2f}, {high:.2f}]", f"0.50 {found[1][5:]}"]
    assert found[2].startswith("0.70")  # both tasks
    assert by["BFN", "m = 8, N = 8"][0].startswith("0.10")
    differences = {row[0]: row[1] for row in rows if len(row) == 2}
    assert differences["EVOR, tau_R = inf"].startswith("+0.20")
    assert differences["BFN"].startswith("+0.65")
    assert by["EVOR", "inf"][0].startswith("0.25") and by["EVOR", "0.1"][0].startswith("0.90")
    assert by["value_steps", "8"][0].startswith("0.50")


class Compass(Counting):
    """Its candidates are eight directions; it values them by one coordinate."""

    def propose(self, state, obs, key, *, steps, candidates):
        angles = jnp.arange(candidates) * 2 * jnp.pi / candidates
        actions = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)[:, None]
        actions = jnp.broadcast_to(actions, (candidates, len(obs), 2))
        return Proposal(actions, actions[..., 0], choose(actions[..., 0]))


@pytest.mark.parametrize("sign", [1, -1])
def test_leading_is_progress_along_the_right_direction(sign):
    where = np.zeros((3, 2), np.float32), np.tile([[float(sign), 0.0]], (3, 1))
    led = directions.leads(Compass(), None, where, steps=1, candidates=7)
    assert led["progress"] == pytest.approx(sign) and led["any"] == pytest.approx(0, abs=1e-6)
    assert led["backwards"] == (sign < 0)
    assert led["rank_correlation"] == pytest.approx(sign, abs=0.2)  # but for ties


class Widths(NamedTuple):
    """As much of a state as `evaluate` reads."""

    obs_dim: int = 2
    action_dim: int = 2


class West(Compass):
    """It goes where the coordinate is smallest."""

    def propose(self, *args, **options):
        actions, q, _ = super().propose(*args, **options)
        return Proposal(actions, -q, choose(-q))


def test_an_episode_that_pushes_against_a_wall_rests_there():
    setting = {"steps": 1, "candidates": 8, "episodes": 2}
    task = f"{MAZE}-singletask-task4-v0"  # the goal lies west of the start, and the way is round
    for agent, sign in ((Compass(), -1), (West(), 1)):
        found = directions.ends(agent, Widths(), task, **setting)
        assert found["failures"] == 2 and found["nearest"] >= 8
        assert found["rest"] < 0.05 and found["towards"] * sign > 0.8
    maze = maze_geometry(task)
    assert maze.start[0] > maze.goal[0] and maze.start[1] - maze.goal[1] == pytest.approx(0, abs=2)


@dataclass(frozen=True)
class Lottery(Compass):
    """A Compass whose returns have a variance that falls with the coordinate."""

    return_temperature: float = INF
    dials = ("return_temperature",)

    def propose(self, state, obs, key, *, steps, candidates):
        proposal = super().propose(state, obs, key, steps=steps, candidates=candidates)
        variance = 0.09 * (2 - proposal.q)
        return proposal._replace(q=proposal.q + variance / (2 * self.return_temperature))


def test_the_spread_of_returns_is_read_from_two_temperatures():
    where = np.zeros((3, 2), np.float32), np.tile([[1.0, 0.0]], (3, 1))
    found = directions.spread(Lottery(), None, where, steps=1, candidates=7)
    x = np.cos(2 * np.pi * np.arange(7) / 7)
    assert found["deviation"] == pytest.approx(np.sqrt(0.09 * (2 - x)).mean(), rel=1e-3)
    assert found["mean_rank_correlation"] == pytest.approx(1, abs=0.2)
    assert found["spread_rank_correlation"] == pytest.approx(-1, abs=0.2)


def test_the_right_direction_is_the_shortest_paths():
    obs, right = directions.places(f"{MAZE}-singletask-task1-v0", count=40)
    maze = maze_geometry(f"{MAZE}-singletask-task1-v0")
    far = distances(maze.walls, maze.cell_of(maze.goal))
    for position, direction in zip(obs, right, strict=True):
        cell = maze.cell_of([float(x) for x in position])
        nearer = [next_ for next_ in maze.free_neighbours(cell) if far[next_] < far[cell]] or [cell]
        ways = np.array([maze.center_of(next_) for next_ in nearer]) - position
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        assert (ways @ direction).max() == pytest.approx(1, abs=1e-4)


@pytest.fixture
def tiny(monkeypatch):
    """The scalar mean and EVOR with tiny networks, ten updates, and episodes that take no time."""
    kinds = ("evor_mean", "evor")
    for kind in kinds:
        agent = presets.PRESETS[f"{kind}/pointmaze"]
        changes = with_width(agent, (4,)) | {"batch_size": 4, "n_step": 2, "return_steps": 1}
        monkeypatch.setitem(presets.PRESETS, f"{kind}/pointmaze", replace(agent, **changes))
    methods = [method for method in evor.METHODS if method.agent in kinds]
    monkeypatch.setattr(evor, "METHODS", methods)
    monkeypatch.setattr(evor, "ONE_DIAL", dict.fromkeys(evor.ONE_DIAL, (4,)))
    env = replace(evor.ENVIRONMENTS[MAZE], updates=10, tasks=(1, 2))
    monkeypatch.setitem(evor.ENVIRONMENTS, MAZE, env)
    monkeypatch.setattr(evor, "SEEDS", 2)
    few = functools.partial(directions.places, count=5)
    monkeypatch.setattr(directions, "places", few)
    monkeypatch.setattr(directions, "ends", functools.partial(directions.ends, episodes=1))

    def episodes(agent, state, environment, **options):
        """Decided by the dials, too."""
        shift = sum(int(1000 * min(value, 9)) for value in dials_of(agent).values())
        seed = options.pop("seed") + shift
        return quick_episodes(agent, Counted(seed), environment, seed=seed, **options)

    monkeypatch.setattr(evaluation, "evaluate", episodes)


class Counted:
    """As much of a state as `quick_episodes` reads."""

    def __init__(self, seed):
        import jax

        self.key, self.count = jax.random.key_data(jax.random.key(seed)), 10


@pytest.mark.thorough
def test_an_environment_is_shipped_and_a_second_run_does_nothing(tiny, tmp_path, monkeypatch):
    runs, out = tmp_path / "runs", tmp_path / "out"
    out.mkdir()
    trained, once = [], experiment.train_seeds
    monkeypatch.setattr(
        experiment,
        "train_seeds",
        lambda agent, data, **options: (
            trained.append((type(agent).__name__, len(options["keys"])))
            or once(agent, data, **options)
        ),
    )
    evor.main([MAZE, "--runs", str(runs), "--out", str(out)])
    # The default task's seeds, then those of the other task; every setting, and cloning, for free.
    assert trained == [("MeanReturn", 2), ("EVOR", 2)] * 2
    table = pd.read_csv(out / f"{MAZE}.csv")
    assert set(table.purpose) == {"choice", "dials", "reported"}
    assert set(table[table.purpose == "reported"].task) == {1, 2}
    assert set(table[table.purpose != "reported"].task) == {1}
    assert set(table.agent) == {"mean", "EVOR", "cloning"}
    tried = table[(table.agent == "EVOR") & (table.purpose == "choice")]
    assert len(tried) == 2 * len(evor.TEMPERATURES) * 2  # seeds x tau_R x N
    assert "EVOR minus" in (out / f"{MAZE}.md").read_text()

    agent, _, info = load_agent(out / "evor.safetensors")
    (dials, (m, n)) = evor.chosen(tried)
    assert agent.return_temperature == dict(dials)["return_temperature"]
    assert (info.seed, info.updates) == (0, 10) and info.environment.endswith("task1-v0")
    listed = json.loads((out / "manifest.json").read_text())
    tables = {f"{MAZE}.csv", f"{MAZE}.md", "directions.csv", "spreads.csv", "ends.csv"}
    assert set(listed) == {*tables, f"{MAZE}_rows.zip", "evor.safetensors"}
    ended = pd.read_csv(out / "ends.csv")
    assert ended.agent.unique().tolist() == ["mean", "EVOR", "cloning"]
    assert ended.task.tolist() == 3 * [1, 1, 2, 2] and ended.seed.tolist() == 3 * [0, 1, 0, 1]
    assert list(pd.read_csv(out / "spreads.csv").agent) == ["EVOR"] * 2  # a mean has no spread
    led = pd.read_csv(out / "directions.csv")
    assert len(led) == 2 * (1 + len(evor.TEMPERATURES)) and set(led.agent) == {"mean", "EVOR"}
    assert listed["evor.safetensors"]["setting"] == [m, n]

    files = {file: file.read_bytes() for file in out.iterdir()}
    for name in ("train_seeds", "_evaluate_cell"):
        monkeypatch.setattr(experiment, name, None)  # nothing is left to do
    for machine in (runs, tmp_path / "another machine"):
        evor.main([MAZE, "--runs", str(machine), "--out", str(out)])
        assert {file: file.read_bytes() for file in out.iterdir()} == files
    assert tuning.EVALUATION_SEED == evor.CHOICE_SEED


@pytest.mark.thorough
def test_a_study_stopped_after_a_method_goes_on_elsewhere_to_the_same_end(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(evor, "METHODS", evor.METHODS[::-1])  # cloning, EVOR, the mean
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    evor.run_environment(MAZE, tmp_path / "runs", whole)

    write = evor.write_results
    monkeypatch.setattr(evor, "write_results", then_stopped(write))
    with pytest.raises(KeyboardInterrupt):
        evor.run_environment(MAZE, tmp_path / "one machine", parts)
    assert set(pd.read_csv(parts / f"{MAZE}.csv").agent) == {"cloning"}
    monkeypatch.setattr(evor, "write_results", write)
    evor.run_environment(MAZE, tmp_path / "another", parts)
    tables = (f"{MAZE}.csv", f"{MAZE}.md", "directions.csv", "spreads.csv", "ends.csv")
    for name in (*tables, "evor.safetensors"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_damaged_packed_rows_are_refused_and_nothing_is_begun(tmp_path):
    (tmp_path / "rows.zip").write_bytes(b"PK no rows")
    with pytest.raises(CheckpointError, match=r"rows\.zip' is damaged .* delete it"):
        experiment.unpack_rows(tmp_path / "rows.zip", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
