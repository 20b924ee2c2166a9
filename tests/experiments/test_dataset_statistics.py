"""Statistics of robots' datasets, on files whose content is known."""

import numpy as np
import pytest

from sorl_edu.experiments import dataset_statistics

ROWS, EPISODES = 100, 3


def write(folder, name, **changes):
    """Nothing moves: the hand is 0.2 m above the middle of the table, the cube lies on it."""
    cubes = 2 if "double" in name else 1
    scene = name.startswith("scene")
    shape = (EPISODES, ROWS)
    arrays = {
        "observations": np.zeros((*shape, 40 if scene else 19 + 9 * cubes), np.float32),
        "actions": np.zeros((*shape, 5), np.float32),
        "qpos": np.zeros((*shape, 25 if scene else 14 + 7 * cubes), np.float32),
        "terminals": np.zeros(shape, bool),
    }
    arrays["observations"][..., 14] = 2.0
    arrays["qpos"][..., 14:17] = 0.4, 0.0, 0.02
    arrays["terminals"][:, -1] = True
    if scene:
        arrays["button_states"] = np.zeros((*shape, 2), np.int64)
    for key, change in changes.items():
        change(arrays[key])
    for split in ("", "-val"):
        flat = {key: array.reshape(-1, *array.shape[2:]) for key, array in arrays.items()}
        np.savez_compressed(folder / f"{name}{split}.npz", **flat)


@pytest.mark.thorough
def test_what_happens_to_a_cube_is_counted(tmp_path):
    def actions(array):
        array[..., 4] = np.where(np.arange(ROWS) % 2, 0.5, -0.5)

    def observations(array):
        array[1, 10:, 12] = 1.0  # 0.1 m along x
        array[2, :25, 18] = 0.7

    def qpos(array):
        array[0, 20:30, 16] = array[0, 50:60, 16] = 0.2  # lifted twice
        array[1, 40:, 14:16] = 0.425, -0.1  # task 1 of cube-single brings the cube here
        array[2, :, 16] = 0.066  # as on another cube, or in a drawer: not lifted

    write(tmp_path, "cube-single-play-v0", actions=actions, observations=observations, qpos=qpos)
    table = dataset_statistics.per_episode("cube-single-play-v0", tmp_path)
    assert list(table["action gripper, root mean square"]) == [0.5, 0.5, 0.5]
    assert list(table["action yaw, root mean square"]) == [0, 0, 0]
    assert list(table["a cube is lifted, times"]) == [2, 0, 0]
    assert list(table["a cube is up, share of rows"]) == [0.2, 0, 0]
    assert list(table["gripper touches, share of rows"]) == [0, 0, 0.25]
    np.testing.assert_allclose(table["way of the hand, metres"], [0, 0.1, 0], atol=1e-6)
    assert list(table["task 1 is done, share of rows"]) == [0, pytest.approx(0.6), 0]
    reach = dataset_statistics.ranges("cube-single-play-v0", tmp_path)
    np.testing.assert_allclose(reach.loc["hand x"], [0.425, 0.525], atol=1e-6)
    np.testing.assert_allclose(reach.loc["cube z"], [0.02, 0.2], atol=1e-6)
    np.testing.assert_allclose(reach.loc["action gripper"], [-0.5, 0.5])


def test_the_second_of_two_cubes_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_statistics, "tasks_done", lambda *_: [])

    def qpos(array):
        array[0, 5:10, 23] = 0.3

    write(tmp_path, "cube-double-play-v0", qpos=qpos)
    table = dataset_statistics.per_episode("cube-double-play-v0", tmp_path)
    assert list(table["a cube is lifted, times"]) == [1, 0, 0]
    assert dataset_statistics.ranges("cube-double-play-v0", tmp_path).loc[
        "cube z", "largest"
    ] == np.float32(0.3)


def test_a_scenes_buttons_drawer_and_window_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        dataset_statistics, "tasks_done", lambda *_: [np.zeros(EPISODES * ROWS, bool)] * 5
    )

    def button_states(array):
        array[0, 30:, 0] = 1
        array[0, 60:, 1] = 1

    def qpos(array):
        array[1, 50:, 23] = -0.16
        array[2, 50:60, 24] = 0.2

    write(tmp_path, "scene-play-v0", button_states=button_states, qpos=qpos)
    table = dataset_statistics.per_episode("scene-play-v0", tmp_path)
    assert list(table["buttons are pressed, times"]) == [2, 0, 0]
    np.testing.assert_allclose(table["way of the drawer, metres"], [0, 0.16, 0], atol=1e-6)
    np.testing.assert_allclose(table["way of the window, metres"], [0, 0, 0.4], atol=1e-6)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", "scene-play-v0", qpos=qpos)
    dataset_statistics.main(["scene-play-v0", str(tmp_path), str(tmp_path / "other")])
    line = next(s for s in capsys.readouterr().out.splitlines() if s.startswith("buttons"))
    mean, error, other, error_of_other, difference = map(float, line.split()[-5:])
    assert (mean, error) == (pytest.approx(2 / 3, rel=1e-3), pytest.approx(2 / 3, rel=1e-3))
    assert (other, error_of_other, difference) == (0, 0, pytest.approx(-1, rel=1e-3))
