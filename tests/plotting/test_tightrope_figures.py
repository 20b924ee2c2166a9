"""The tightrope's drawings show the cells, the walks and the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from sorl_edu import plotting
from sorl_edu.datasets.tightrope import Tightrope
from sorl_edu.errors import ConfigError
from sorl_edu.plotting.tightrope import draw_walkers, regions

WORLD = Tightrope()
NOWHERE = np.zeros(len(WORLD.cells))


def drawn(**shown):
    axes = Figure().subplots()
    draw_walkers(axes, WORLD, plotting.Walkers(**{"visits": NOWHERE} | shown))
    return axes


def counted(*cells):
    visits = NOWHERE.copy()
    for row, column in cells:
        visits[WORLD.state(row, column)] += 1
    return visits


def test_each_region_counts_its_own_cells():
    visits = counted((1, 2), (1, 9), (3, 2), (4, 9), (4, 9), (0, 5), (1, 11), (1, 1), (1, 10))
    found = regions(WORLD, visits)
    assert found == {"on the bridge": 2, "on the road": 3, "in a pit": 1, "in the goal": 1}
    figure = plotting.tightrope_panels(WORLD, {"one": plotting.Walkers(visits)})
    assert "one: 2.0 steps on the bridge, 3.0 steps on the road" in figure.alt


def test_a_walk_is_solid_if_it_arrives_and_ends_in_a_cross_if_it_falls():
    over = [WORLD.state(1, column) for column in range(12)]
    falls = over[:5] + [WORLD.state(2, 4)] * 7
    stands = over[:5] + over[4:5] * 7
    lines = drawn(walks=np.array([over, falls, stands]).T).lines[2:]  # after starts and goal
    solid, dashed, cross, still_dashed = lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert cross.get_marker() == "X" and still_dashed.get_linestyle() == "--"
    np.testing.assert_allclose(np.diff(solid.get_xdata()), 1)
    np.testing.assert_allclose((cross.get_xdata(), cross.get_ydata()), [[4], [2]], atol=0.3)


def test_arrows_where_an_action_stands_out_and_question_marks_elsewhere():
    actions = np.full((len(NOWHERE), 4), 0.25)
    actions[WORLD.state(3, 0)] = [0, 0, 0, 1]  # down
    actions[WORLD.state(1, 0)] = [0.5, 0, 0.5, 0]
    texts = drawn(actions=actions).texts
    marks = [text for text in texts if text.get_text() == "?"]
    arrows = [text for text in texts if not text.get_text()]
    assert len(arrows) == 3
    assert len(marks) == len(NOWHERE) - len(WORLD.pits) - 1 - 2  # pits, goal, cells with arrows
    tip, tail = np.array(arrows[-1].xy), np.array(arrows[-1].xyann)
    assert tip[1] > tail[1] and tip[0] == tail[0] == 0  # rows are numbered downwards


def test_practice_is_marked_where_the_law_is():
    law = counted((1, 3), (4, 4)) / 2
    (squares,) = drawn(practice=law).collections
    np.testing.assert_allclose(squares.get_offsets().round(), [(3, 1), (4, 4)])


def test_a_map_writes_its_numbers_and_leaves_small_ones_out():
    values = 3.0 * counted((1, 3)) - counted((0, 5)) + 0.01 * counted((4, 4))
    figure = plotting.tightrope_maps(WORLD, {"a": values, "b": -values}, about="Numbers")
    first, second = ([t.get_text() for t in axes.texts] for axes in figure.axes)
    assert sorted(first) == ["3.0", "\N{MINUS SIGN}1.0"]
    assert sorted(second) == ["1.0", "\N{MINUS SIGN}3.0"]
    assert "a: 3.0 on the bridge, 0.0 on the road, -1.0 in a pit" in figure.alt


def test_nothing_to_draw_is_refused():
    with pytest.raises(ConfigError, match="at least one panel"):
        plotting.tightrope_panels(WORLD, {})
    with pytest.raises(ConfigError, match="at least one map"):
        plotting.tightrope_maps(WORLD, {}, about="")
    with pytest.raises(ConfigError, match="1 xlabels for 2 panels"):
        plotting.interval_panels({"a": {}, "b": {}}, xlabels=("x",), ylabel="y")
