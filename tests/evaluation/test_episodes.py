"""Roll-outs in the real OGBench maze with scripted policies, and the statistics of what they give.

In a single-task maze every step costs 1 but the one that reaches the goal, so that a success of
length T returns -(T - 1), and a failure minus its time limit.
"""

import functools
import gc
import subprocess
import sys
import textwrap
import warnings
import weakref
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sorl_edu import evaluation
from sorl_edu.agents import SORL
from sorl_edu.datasets.mazes import shortest_path_oracle
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.make import make_env
from sorl_edu.environments.rollout import make_environments, rollout
from sorl_edu.errors import ConfigError, DataError, UnknownName
from sorl_edu.evaluation import (
    as_text,
    check_environment,
    evaluate,
    paired_difference,
    summarize,
    sweep,
    t_interval,
    wilson_interval,
)

MAZE = "pointmaze-medium-navigate-singletask-v0"
LIMIT = 1000
EPISODES = 3


def test_environments_are_kept_until_others_are_asked_for():
    kept = make_environments(MAZE, 2)
    assert make_environments(MAZE, 2) is kept
    gone = weakref.ref(kept[0])
    del kept
    assert len(make_environments(MAZE, 3)) == 3
    gc.collect()
    assert gone() is None


def oracle_policy():
    """OGBench's shortest path, straight to the goal once in its cell."""
    environments = [env.unwrapped for env in make_environments(MAZE, EPISODES)]
    paths = [shortest_path_oracle(env) for env in environments]

    def act(env, path, position):
        goal = np.asarray(env.cur_goal_xy)
        if env.xy_to_ij(position) == env.xy_to_ij(goal):
            return np.clip((goal - position) / 0.2, -1, 1) / 2
        return path(position, goal)

    return lambda obs, key: np.stack(
        [act(env, path, o) for env, path, o in zip(environments, paths, obs, strict=True)]
    )


def test_making_a_robot_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_env("cube-single-singletask-task1-v0").close()


def stand_still(obs, key):
    return np.zeros((len(obs), 2))


@pytest.fixture(scope="module")
def found():
    return rollout(oracle_policy(), MAZE, episodes=EPISODES, seed=1, record=True)


@pytest.fixture(scope="module")
def stuck():
    return rollout(stand_still, MAZE, episodes=EPISODES, seed=1, record=True)


def test_the_oracle_always_reaches_the_goal(found):
    table, track = found
    assert table.episode.tolist() == list(range(EPISODES))
    assert table.success.tolist() == [1.0] * EPISODES
    np.testing.assert_array_equal(table["return"], -(table.length - 1))
    # A state before each step and the one in which the episode ended, then NaN.
    recorded = np.isfinite(track).all(-1)
    np.testing.assert_array_equal(recorded.sum(1), table.length + 1)
    assert np.all(np.diff(recorded.astype(int), axis=1) <= 0)
    for e, env in enumerate(make_environments(MAZE, EPISODES)):
        distance = np.linalg.norm(track[e] - env.unwrapped.cur_goal_xy, axis=-1)
        # Success is judged before a step is taken: the goal, of radius 1, is reached one earlier.
        reached = int(table.length[e]) - 1
        assert distance[reached] <= 1 + 1e-5 < distance[reached - 1]
        assert (distance[0] - 1) / 0.2 < reached < 400  # a step covers at most 0.2


def test_standing_still_fails_at_the_full_limit(stuck):
    table, track = stuck
    assert table.success.tolist() == [0.0] * EPISODES
    assert table.length.tolist() == [LIMIT] * EPISODES
    assert table["return"].tolist() == [-LIMIT] * EPISODES
    assert track.shape == (EPISODES, LIMIT + 1, 2) and np.isfinite(track).all()
    np.testing.assert_allclose(track - track[:, :1], 0, atol=1e-6)


def test_policies_are_compared_from_the_same_starts(found, stuck):
    np.testing.assert_array_equal(found[1][:, 0], stuck[1][:, 0])
    assert len(np.unique(found[1][:, 0], axis=0)) == EPISODES


def start(episodes, seed):
    """The starts alone: a policy that gives up at once."""

    class Seen(Exception):
        pass

    seen = []

    def policy(obs, key):
        seen.append(np.array(obs))
        raise Seen

    with pytest.raises(Seen):
        rollout(policy, MAZE, episodes=episodes, seed=seed)
    return seen[0]


def test_an_episodes_start_depends_on_the_seed_and_its_number_alone(found):
    np.testing.assert_array_equal(start(EPISODES, 1), found[1][:, 0])
    np.testing.assert_array_equal(start(2, 1), found[1][:2, 0])
    assert not np.allclose(start(2, 2), found[1][:2, 0])


@pytest.fixture(scope="module")
def trained():
    """A tiny agent with the maze's widths, fresh: it wanders."""
    agent = SORL(field_hidden=(8,), critic_hidden=(8,))
    rng = np.random.default_rng(0)
    data = Transitions.create(
        rng.uniform(0, 20, (10, 2)),
        rng.uniform(-1, 1, (10, 2)),
        np.zeros(10),
        np.ones(10),
        np.arange(10) == 9,
    )
    keys = jax.random.split(jax.random.key(0), 2)
    return agent, jax.jit(jax.vmap(agent.init, in_axes=(0, None)))(keys, data)


def short(monkeypatch):
    """Cuts the time limit of two episodes: a policy that doesn't find the goal fails fast."""
    for env in make_environments(MAZE, 2):
        monkeypatch.setattr(env.spec, "max_episode_steps", 15)


def test_the_same_seed_gives_the_same_table_and_numpys_state_is_left_alone(trained, monkeypatch):
    short(monkeypatch)
    agent, states = trained
    state = jax.tree.map(lambda leaf: leaf[0], states)
    run = functools.partial(
        evaluate, agent, state, MAZE, steps=1, candidates=4, episodes=2, record=True
    )
    np.random.seed(123)
    before = np.random.get_state()
    table, track = run(seed=5)
    again, track_again = run(seed=5)
    after = np.random.get_state()
    assert before[0] == after[0] and before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    np.testing.assert_array_equal(track, track_again)
    assert track.shape == (2, 16, 2)
    assert not np.array_equal(run(seed=6)[1], track)


def test_numpys_state_is_put_back_after_a_failure():
    before = np.random.get_state()[1].copy()
    start(1, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_a_sweep_has_a_row_per_seed_setting_and_episode(trained, monkeypatch):
    short(monkeypatch)
    table = sweep(
        *trained, MAZE, steps=(1, 2), candidates=(1, 4), episodes=2, seed=5, progress=False
    )
    columns = ["training_seed", "steps", "candidates", "episode", "success", "return", "length"]
    assert list(table.columns) == columns
    assert len(table) == 2 * 2 * 2 * 2
    assert not table.duplicated(["training_seed", "steps", "candidates", "episode"]).any()
    for name, values in [("training_seed", {0, 1}), ("steps", {1, 2}), ("candidates", {1, 4})]:
        assert set(table[name]) == values
    assert set(summarize(table).interval) == {"95% over 2 training seeds"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": (1, 3)}, "power of two.*got 3"),
        ({"candidates": (0,)}, "candidates"),
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused_before_it_starts(trained, options, message):
    with pytest.raises(ConfigError, match=message):
        sweep(*trained, MAZE, **({"progress": False} | options))


def test_an_unknown_environment_gives_the_nearest_name():
    with pytest.raises(UnknownName, match=f"Did you mean .*{MAZE}"):
        rollout(stand_still, "pointmaze-medum-navigate-singletask-v0", episodes=1)


def test_an_environment_of_other_widths_is_refused():
    def state(obs_dim, action_dim):
        encoder = SimpleNamespace(mean=jnp.zeros(obs_dim))
        return SimpleNamespace(encoder=encoder, action_dim=action_dim)

    check_environment(state(2, 2), MAZE)
    for widths in [(29, 8), (2, 3), (3, 2)]:
        message = f"{widths[0]}-wide observations and {widths[1]}-wide actions.* has 2 and 2"
        with pytest.raises(DataError, match=message):
            check_environment(state(*widths), MAZE)


# Intervals


def test_students_interval():
    values = [1.0, 2.0, 4.0, 5.0]  # mean 3, sample deviation sqrt(10 / 3), t_{0.975, 3} = 3.18245
    half = 3.182446 * np.sqrt(10 / 3) / 2
    np.testing.assert_allclose(t_interval(values), (3 - half, 3 + half), rtol=1e-5)
    assert np.isnan(t_interval([1.0])).all()
    assert t_interval([2.0, 2.0]) == (2, 2)


def test_t_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in map(t_interval, rng.normal(size=(2000, 5)))]
    assert abs(np.mean(covered) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(("successes", "trials"), [(0, 50), (1, 10), (30, 50), (50, 50)])
def test_wilsons_interval(successes, trials):
    # Its ends solve |p_hat - p| = z sqrt(p (1 - p) / n).
    z, observed = stats.norm.ppf(0.975), successes / trials
    a, b, c = 1 + z**2 / trials, -(2 * observed + z**2 / trials), observed**2
    known = np.sort(np.roots([a, b, c]))
    np.testing.assert_allclose(wilson_interval(successes, trials), known, atol=1e-9)


def episodes_table(success, length=None):
    """(seeds, episodes) arrays of one setting, tidied."""
    success = np.asarray(success, float)
    length = np.full(success.shape, 100.0) if length is None else np.asarray(length, float)
    seed, episode = np.indices(success.shape)
    return pd.DataFrame(
        {
            "training_seed": seed.ravel(),
            "episode": episode.ravel(),
            "success": success.ravel(),
            "return": -length.ravel(),
            "length": length.ravel(),
        }
    )


def test_one_seeds_intervals_are_over_episodes():
    lengths = [[10.0, 20, 30, 40]]
    table = episodes_table([[1, 0, 1, 1]], lengths).assign(steps=2, candidates=8)
    (row,) = summarize(table).to_dict("records")
    assert (row["steps"], row["candidates"], row["seeds"], row["episodes"]) == (2, 8, 1, 4)
    assert row["interval"] == "95% over 4 episodes of one seed"
    assert row["success"] == 0.75 and row["length"] == 25 and row["return"] == -25
    assert (row["success_low"], row["success_high"]) == wilson_interval(3, 4)
    known = stats.t.interval(0.95, 3, loc=25, scale=stats.sem(lengths[0]))
    np.testing.assert_allclose((row["length_low"], row["length_high"]), known)


def test_several_seeds_intervals_are_over_seeds():
    success = np.array([[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]])
    table = episodes_table(success).assign(steps=1, candidates=1)
    (row,) = summarize(table).to_dict("records")
    assert (row["seeds"], row["episodes"]) == (3, 12)
    assert row["interval"] == "95% over 3 training seeds"
    low, high = stats.t.interval(0.95, 2, loc=0.75, scale=stats.sem([1, 0.75, 0.5]))
    assert row["success"] == 0.75
    assert row["success_low"] == pytest.approx(low) and high > 1 and row["success_high"] == 1


def test_every_setting_has_its_row():
    table = pd.concat(
        [
            episodes_table([[s, s]]).assign(steps=m, candidates=n)
            for m, n, s in [(8, 1, 0), (1, 1, 1), (1, 32, 1)]
        ]
    )
    summary = summarize(table)
    assert summary[["steps", "candidates"]].values.tolist() == [[1, 1], [1, 32], [8, 1]]
    assert summary.success.tolist() == [1, 1, 0]


def test_a_summary_prints_a_line_per_setting_and_says_what_its_intervals_are_over():
    lengths = [[10.0, 20, 30, 40]]
    table = pd.concat(
        [
            episodes_table([[1, 0, 1, 1]], lengths).assign(steps=m, candidates=n)
            for m, n in [(1, 32), (8, 1)]
        ]
    )
    head, one, eight, over = as_text(summarize(table)).splitlines()
    assert head.split() == ["steps", "N", "success", "return", "length"]
    low, high = wilson_interval(3, 4)
    assert one.split()[:5] == ["1", "32", "0.75", f"[{low:.2f},", f"{high:.2f}]"]
    assert eight.split()[:2] == ["8", "1"] and "25.0 [" in eight and "-25.0 [" in eight
    assert over.startswith("[95% over 4 episodes of one seed;")


def paired():
    """Per seed: 8 steps are better by 0.5, 0.25 and 0 in success, and by 10 + seed in length."""
    worse = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 1, 0]])
    better = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 0]])
    lengths = np.arange(12.0).reshape(3, 4) ** 2
    return pd.concat(
        [
            episodes_table(worse, lengths).assign(steps=1, candidates=1),
            episodes_table(better, lengths - 10 - np.arange(3)[:, None]).assign(
                steps=8, candidates=1
            ),
        ]
    )


def test_a_paired_difference():
    one, eight = {"steps": 1, "candidates": 1}, {"steps": 8, "candidates": 1}
    shuffled = paired().sample(frac=1, random_state=0)
    result = paired_difference(shuffled, "success", better=eight, worse=one)
    low, high = stats.t.interval(0.95, 2, loc=0.25, scale=stats.sem([0.5, 0.25, 0]))
    assert result == pytest.approx(
        {"difference": 0.25, "low": low, "high": high, "seeds": 3, "episodes": 12}
    )
    # Pairing removes what the starts have in common, here nearly all that varies.
    result = paired_difference(shuffled, "length", better=eight, worse=one)
    half = stats.t.ppf(0.975, 2) * 1 / np.sqrt(3)
    assert result["difference"] == pytest.approx(-11)
    assert (result["low"], result["high"]) == pytest.approx((-11 - half, -11 + half))


@pytest.mark.parametrize(
    "unpair",
    [
        lambda table: table[(table.steps == 1) | (table.episode < 3)],
        lambda table: table[(table.steps == 1) | (table.training_seed > 0)],
        lambda table: pd.concat([table, table]),
        lambda table: table.assign(episode=table.episode + (table.steps == 8)),
        lambda table: table[table.steps == 1],
    ],
)
def test_what_does_not_pair_is_refused(unpair):
    one, eight = {"steps": 1, "candidates": 1}, {"steps": 8, "candidates": 1}
    with pytest.raises(DataError, match="don't pair"):
        paired_difference(unpair(paired()), "success", better=eight, worse=one)


def test_importing_the_package_loads_no_mujoco_and_needs_no_jupyter():
    program = """
        import importlib, pkgutil, sys
        for name in ("ipywidgets", "IPython", "jupyter", "jupyter_core"):
            sys.modules[name] = None  # as if it were not installed
        import sorl_edu
        for module in pkgutil.walk_packages(sorl_edu.__path__, "sorl_edu."):
            if module.name != "sorl_edu.widgets.live":
                importlib.import_module(module.name)
        assert not {"mujoco", "ogbench"} & set(sys.modules)
        print(sum(name.startswith("sorl_edu.") for name in sys.modules))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 18  # modules that were looked at


def test_robots_run_in_waves_from_the_same_starts(monkeypatch):
    """Three episodes, two at once; the idle environment of the second wave changes nothing."""
    seen = []

    def still(obs, key):
        seen.append(obs.shape)
        return np.zeros((len(obs), 5))

    task, tracks = "cube-single-play-singletask-task1-v0", []
    for size in (2, 3):
        monkeypatch.setattr(evaluation, "ROBOTS_AT_ONCE", size)
        table, track = rollout(still, task, episodes=3, seed=4, record=True)
        assert list(table.episode) == [0, 1, 2] and (table.length == 200).all()
        assert (table["return"] == -200).all() and not table.success.any()
        tracks.append(track)
    assert set(seen) == {(2, 28), (3, 28)}
    assert tracks[0].shape == (3, 201, 28)
    np.testing.assert_array_equal(*tracks)
