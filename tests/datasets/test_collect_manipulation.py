"""Robots' data against OGBench's environments, its own loader and its published recipe.

Episodes are shorter than the official 1001 rows, but for those that follow tasks to their end.
"""

import functools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import ogbench
import pytest

from sorl_edu.datasets import collect as collecting
from sorl_edu.datasets import manipulation
from sorl_edu.datasets.collect import as_arrays, collect
from sorl_edu.datasets.manipulation import is_healthy
from sorl_edu.datasets.recipes import RECIPES
from sorl_edu.errors import DataError

ROWS = 61
SEEDS = np.random.SeedSequence(3, spawn_key=(0, 1))
# The widths of the published files: observations, qpos, qvel.
WIDTHS = {"cube-single": (28, 21, 20), "cube-double": (37, 28, 26), "scene": (40, 25, 24)}
NAMES = [f"{env}-{kind}-v0" for env in WIDTHS for kind in ("play", "noisy")]


@pytest.fixture(scope="module", autouse=True)
def short_recipes():
    """Recipes of few rows; and a collector is made once, so that episodes have different pasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setitem(RECIPES, name, replace(RECIPES[name], max_episode_steps=ROWS))
        patch.setattr(collecting, "make_collector", functools.cache(collecting.make_collector))
        yield


def collector(name, rows=ROWS):
    """The one collector of this name, told how many rows its next episodes have."""
    made = collecting.make_collector(RECIPES[name])
    made.recipe = replace(made.recipe, max_episode_steps=rows)
    return made


def episode(name, noise, seeds, rows=ROWS):
    return as_arrays(collector(name, rows).episode(noise, seeds))


def arrays_of(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A function of a dataset's name to its two files."""

    @functools.cache
    def files(name):
        collector(name, ROWS)
        return collect(name, tmp_path_factory.mktemp("robots"), episodes=2, progress=False)

    return files


@pytest.mark.thorough
def test_two_workers_collect_what_one_does_bit_for_bit(collected, tmp_path):
    """The one had a past, the two are new."""
    name = "scene-noisy-v0"
    episode(name, 0.1, SEEDS)
    two = collect(name, tmp_path, episodes=2, workers=2, progress=False)
    for one, other in zip(collected(name), two, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["scene-noisy-v0", "cube-double-play-v0"])
@pytest.mark.cases(1)
def test_an_episode_does_not_depend_on_those_before_it(name):
    """Among the hard things to forget: targets, locks, the solver's warm start, global draws."""
    seeds = [np.random.SeedSequence(k) for k in range(4)]
    forth = [episode(name, 0.1, s, rows=121) for s in seeds]
    back = [episode(name, 0.1, s, rows=121) for s in reversed(seeds)][::-1]
    for left, right in zip(forth, back, strict=True):
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], err_msg=key)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.cases(1)
def test_stored_transitions_are_those_of_the_environment(name):
    """Put each stored state back and take its action: the environment arrives at the next state.

    In scenes but for the rounding to float32. In cubes the arm's controller reads the gripper's
    position as of 2 ms ago (a physics step), which the stored state doesn't tell: what remains is
    small beside the movement, and far smaller than with the action of the row before.
    """
    arrays = episode(name, 0.1, SEEDS)
    env = collector(name).env
    states = [arrays["qpos"].astype(float), arrays["qvel"].astype(float)]
    states += [arrays["button_states"]] if "button_states" in arrays else []

    def errors(actions):  # of the arm's joints, rad, and of the cube, metres
        found = []
        for row, action in enumerate(actions.astype(float)):
            env.set_state(*(array[row] for array in states))
            env.step(action)
            found.append(np.abs(env.data.qpos - states[0][row + 1]))
        found = np.array(found)
        return found[:, :6].max(1), found[:, 14:17].max(1)

    arm, cube = errors(arrays["actions"][:-1])
    moved = np.abs(np.diff(states[0][:, :6], axis=0)).max(1)
    if name.startswith("scene"):
        assert arm.max() < 1e-4 and np.quantile(cube, 0.95) < 1e-4 and cube.max() < 1e-3
    else:
        assert arm.max() < 5e-3 and np.quantile(cube, 0.95) < 1e-3 and cube.max() < 1e-2
        assert np.median(arm) < 0.1 * np.median(moved)
    wrong, _ = errors(np.roll(arrays["actions"][:-1], 1, axis=0))
    assert np.median(wrong[1:]) > 3 * np.median(arm)


def targets_reached(name, noise, monkeypatch, seeds=SEEDS):
    """For every target of an official episode that an oracle was done with: its task, success."""
    made = collector(name, rows=1001)
    step, set_new_target = made.env.step, made.env.set_new_target
    last, found = SimpleNamespace(), []

    def spied_step(action):
        outcome = step(action)
        last.task, last.success = last.next_task, bool(outcome[-1]["success"])
        last.next_task = outcome[-1]["privileged/target_task"]
        return outcome

    def spied_target(return_info=True, **options):
        if return_info:  # not the one of the reset
            found.append((str(last.task), last.success))
        return set_new_target(return_info, **options)

    last.next_task = None
    monkeypatch.setattr(made.env, "step", spied_step)
    monkeypatch.setattr(made.env, "set_new_target", spied_target)
    return found, as_arrays(made.episode(noise, seeds))


@pytest.mark.parametrize("name", ["cube-single-play-v0", "cube-single-noisy-v0"])
@pytest.mark.cases(1)
def test_without_noise_every_cube_is_brought_to_its_target(name, monkeypatch):
    found, arrays = targets_reached(name, 0.0, monkeypatch)
    if name.endswith("noisy-v0"):  # a tenth of the actions is random still
        assert np.mean([success for _, success in found]) >= 0.8
    else:
        assert all(success for _, success in found)
    assert len(found) >= 8  # a task takes 5 seconds, 100 rows
    height = arrays["qpos"][:, 16]
    lifts = np.sum((height[1:] > 0.06) & (height[:-1] <= 0.06))
    assert lifts >= 0.8 * len(found)


@pytest.mark.thorough
def test_in_a_scene_without_noise_cubes_buttons_drawer_and_window_are_moved(monkeypatch):
    seeds = np.random.SeedSequence(1)  # in whose episode nothing is locked all the time
    found, arrays = targets_reached("scene-play-v0", 0.0, monkeypatch, seeds)
    free = [success for task, success in found if task in ("cube", "button")]
    assert len(free) >= 4 and np.mean(free) >= 0.8
    presses = np.abs(np.diff(arrays["button_states"], axis=0)).sum()
    assert presses >= sum(task == "button" for task, _ in found)
    drawer, window = arrays["qpos"][:, 23], arrays["qpos"][:, 24]
    assert np.ptp(drawer) > 0.14 and np.ptp(window) > 0.14  # metres, of 0.16 and 0.2


def test_noise_on_reacting_actions_spreads_as_published():
    """Each episode draws xi from [0, noise]: xi on x, y, z, 3 xi on yaw, 10 xi on the gripper."""
    noise, seeds = 0.02, [np.random.SeedSequence(k) for k in range(300)]
    first = functools.partial(episode, "cube-single-noisy-v0", rows=1)
    clean, noisy = (
        np.array([first(level, seed)["actions"][0] for seed in seeds]) for level in (0.0, noise)
    )
    at_random = (clean == noisy).all(1)
    assert at_random.mean() == pytest.approx(0.1, abs=0.04)
    assert clean[at_random].std() == pytest.approx(1 / np.sqrt(3), rel=0.1)  # uniform
    residual = np.where(at_random[:, None], np.nan, noisy - clean)
    # At the end of the range one half of the noise is clipped to none.
    share = np.select([np.abs(clean) < 0.8, np.abs(clean) == 1], [1.0, 0.5], np.nan)
    measured = np.sqrt(np.nansum(residual**2 + 0 * share, 0) / np.nansum(share + 0 * residual, 0))
    expected = noise * np.array([1, 1, 1, 3, 10]) / np.sqrt(3)  # xi is uniform
    np.testing.assert_allclose(measured, expected, rtol=0.2)


def test_noise_on_plans_is_relative_to_the_largest_actions_and_smoothed(monkeypatch):
    """A Gaussian filter of 0.5 steps leaves of white noise the norm of its weights: 0.81."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 0.5) ** 2)
    remaining = np.linalg.norm(weights) / weights.sum()
    made, make = [], manipulation.make_oracles

    def spied(*args):
        made.append(make(*args))
        return made[-1]

    monkeypatch.setattr(manipulation, "make_oracles", spied)
    seeds = [np.random.SeedSequence(k) for k in range(30)]
    for noise in (0.0, 0.1):
        for seed in seeds:
            episode("cube-single-play-v0", noise, seed, rows=1)
    plans = [oracles["cube"]._plan for oracles in made]
    clean, noisy = np.concatenate(plans[: len(seeds)]), np.concatenate(plans[len(seeds) :])
    largest = np.array([0.05, 0.05, 0.05, 0.3, 1.0])  # metres, rad, share of the gripper's way
    np.testing.assert_allclose((noisy - clean).std(0), 0.1 * largest * remaining, rtol=0.05)


def qpos_of(y, z):
    qpos = np.zeros((3, 25))
    qpos[:, 14:17] = [0.4, 0.0, 0.02]
    qpos[1, 15:17] = y, z
    return qpos


@pytest.mark.parametrize(
    "y, z, healthy",
    [
        (0.28, 0.02, True),
        (0.29, 0.02, False),  # too far right
        (0.29, 0.07, False),
        (-0.29, 0.02, True),
        (-0.3, 0.02, False),  # too far left, on the table
        (-0.35, 0.066, True),  # in the drawer
        (-0.35, 0.059, False),  # below it
        (-0.35, 0.081, False),  # above it
    ],
)
@pytest.mark.cases(2)
def test_a_scene_is_healthy_while_the_cube_is_in_sight_or_in_the_drawer(y, z, healthy):
    assert is_healthy(qpos_of(y, z)) == healthy


@pytest.mark.thorough
def test_an_unhealthy_scene_is_replaced_by_one_that_its_seeds_decide(monkeypatch):
    first = episode("scene-noisy-v0", 0.1, SEEDS, rows=5)
    checks = []

    def refuse_the_first(qpos):
        checks.append(qpos)
        return len(checks) % 2 == 0

    monkeypatch.setattr(manipulation, "is_healthy", refuse_the_first)
    one, two = (episode("scene-noisy-v0", 0.1, SEEDS, rows=5) for _ in range(2))
    assert len(checks) == 4
    np.testing.assert_array_equal(checks[0].astype(np.float32), first["qpos"])
    for key in one:
        np.testing.assert_array_equal(one[key], two[key], err_msg=key)
    assert not np.array_equal(one["qpos"], first["qpos"])
    cube = episode("cube-single-noisy-v0", 0.1, SEEDS, rows=5)
    assert len(checks) == 4 and len(cube["qpos"]) == 5  # cubes are not checked


def test_scenes_that_are_never_healthy_are_given_up(monkeypatch):
    monkeypatch.setattr(manipulation, "is_healthy", lambda qpos: False)
    monkeypatch.setattr(manipulation, "MAX_ATTEMPTS", 3)
    with pytest.raises(DataError, match="noise 7.0 is too much"):
        collector("scene-play-v0", rows=2).episode(7.0, SEEDS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.cases(1)
def test_files_have_the_official_layout(name, collected):
    train, validation = map(arrays_of, collected(name))
    env = name.rsplit("-", 2)[0]
    observations, qpos, qvel = WIDTHS[env]
    rows = 2 * ROWS
    expected = {
        "observations": ((rows, observations), "float32"),
        "actions": ((rows, 5), "float32"),
        "qpos": ((rows, qpos), "float32"),
        "qvel": ((rows, qvel), "float32"),
        "terminals": ((rows,), "bool"),
    } | ({"button_states": ((rows, 2), "int64")} if env == "scene" else {})
    assert {key: (array.shape, array.dtype.name) for key, array in train.items()} == expected
    np.testing.assert_array_equal(np.flatnonzero(train["terminals"]), [ROWS - 1, 2 * ROWS - 1])
    assert len(validation["actions"]) == ROWS
    assert np.abs(train["actions"]).max() <= 1
    assert sum(array.nbytes for array in train.values()) == rows * RECIPES[name].row_bytes
    assert not np.array_equal(train["qpos"][:ROWS], train["qpos"][ROWS:])
    assert not np.array_equal(train["qpos"][:ROWS], validation["qpos"])


@pytest.mark.parametrize(
    "task, rewards",
    [
        *((f"cube-single-play-singletask-task{k}-v0", {-1, 0}) for k in range(1, 6)),
        ("cube-double-noisy-singletask-v0", {-2, -1, 0}),
        ("scene-play-singletask-v0", {-5, -4, -3, -2, -1, 0}),
    ],
)
@pytest.mark.cases(1)
def test_ogbench_loads_the_files_and_adds_rewards(task, rewards, collected):
    train, _ = collected(task.split("-singletask")[0] + "-v0")
    env, *splits = ogbench.make_env_and_datasets(task, dataset_path=str(train))
    env.close()
    for split, episodes in zip(splits, (2, 1), strict=True):
        assert len(split["observations"]) == len(split["rewards"]) == episodes * (ROWS - 1)
        assert split["observations"].shape == split["next_observations"].shape
        assert set(np.unique(split["rewards"])) <= rewards
        np.testing.assert_array_equal(split["masks"] == 0, split["rewards"] == 0)
