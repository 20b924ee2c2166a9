"""The main widget shows the agent's own proposals, values and episodes."""

import base64
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint
from matplotlib.colors import to_rgb
from PIL import Image

from sorl_edu.agents.agent import propose
from sorl_edu.course import shipped
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import ConfigError, UnknownName
from sorl_edu.plotting.style import BLACK, BLUE, ORANGE, spread
from sorl_edu.widgets import ActionDistributionExplorer
from sorl_edu.widgets.action_distribution import places_on_the_path, smooth
from sorl_edu.widgets.live import View

SETTINGS = dict(steps=(1, 8, 16), candidates=(1, 4, 8), samples=40)


@pytest.fixture(scope="module")
def course():
    return shipped.agent("sorl")


@pytest.fixture(scope="module")
def explorer(course):
    agent, state, info = course
    return ActionDistributionExplorer(
        agent,
        state,
        info.environment,
        trajectories=shipped.trajectories("sorl"),
        **SETTINGS,
    )


@pytest.mark.parametrize(("steps", "candidates"), [(1, 1), (8, 4), (16, 8)])
@pytest.mark.parametrize("place", ["start", "junction"])
def test_the_numbers_on_display_equal_a_fresh_proposal(explorer, course, place, steps, candidates):
    agent, state, _ = course
    facts = explorer.frame(place=place, steps=steps, candidates=candidates).facts
    obs = jnp.asarray([facts["state"]], jnp.float32)
    fresh = propose(agent, state, obs, jax.random.key(0), steps=steps, candidates=candidates)
    np.testing.assert_allclose(facts["actions"], fresh.actions[:, 0], atol=1e-4)
    np.testing.assert_allclose(facts["q"], fresh.q[:, 0], rtol=1e-4)
    assert facts["chosen"] == int(fresh.chosen[0])


def test_rendering_is_pure_and_every_parameter_changes_the_picture(explorer):
    base = pixels(explorer.render(steps=8, candidates=4))
    np.testing.assert_array_equal(base, pixels(explorer.render(steps=8, candidates=4)))
    for change in (dict(steps=1), dict(candidates=8), dict(place="junction")):
        other = pixels(explorer.render(**dict(steps=8, candidates=4) | change))
        assert (base != other).mean() > 0.001, change


def test_candidates_sharpen_the_chosen_action_and_raise_its_value(explorer):
    few, many = (explorer.frame(place="junction", steps=8, candidates=n).facts for n in (1, 8))
    assert many["spread"] < few["spread"]
    assert max(many["q"]) >= max(few["q"])
    assert many["actions"][0] == few["actions"][0]  # the same first candidate


def test_the_caption_has_the_main_numbers(explorer):
    frame = explorer.frame(steps=8, candidates=4)
    assert f"number {frame.facts['chosen'] + 1} is chosen" in frame.caption
    assert "16 of 16" in frame.caption


def test_a_new_place_is_a_state(explorer):
    name = explorer.add_place(12.5, 12.0)
    assert explorer.frame(place=name).facts["state"] == [12.5, 12.0]


@pytest.mark.parametrize("place", [(8.0, 0.0), (500.0, 0.0)])
def test_a_place_in_a_wall_raises_an_error(explorer, place):
    with pytest.raises(ConfigError, match="in a wall or outside"):
        explorer.add_place(*place)


def test_bad_arguments_raise_an_error_before_any_work(course):
    agent, state, info = course
    with pytest.raises(ConfigError, match="power of two"):
        ActionDistributionExplorer(agent, state, info.environment, steps=(3,))
    with pytest.raises(ConfigError, match="candidates"):
        ActionDistributionExplorer(agent, state, info.environment, candidates=(0,))
    with pytest.raises(UnknownName):
        ActionDistributionExplorer(agent, state, "pointmaze-nowhere-v0")


@pytest.mark.parametrize(("steps", "candidates"), [(1, 1), (8, 4)])
def test_each_candidate_comes_from_noise_in_m_straight_pieces(explorer, steps, candidates):
    figure = explorer.render(place="junction", steps=steps, candidates=candidates)
    (lines,) = figure.axes[0].collections[:1]
    ways = [np.asarray(segment) for segment in lines.get_segments()]
    assert [way.shape for way in ways] == [(steps + 1, 2)] * candidates
    facts = explorer.facts(place="junction", steps=steps, candidates=candidates)
    ends = sorted(np.clip(way[-1], -1, 1).tolist() for way in ways)
    np.testing.assert_allclose(ends, sorted(facts["actions"]), atol=1e-5)
    chosen = np.clip(ways[-1][-1], -1, 1)  # drawn last, on top
    np.testing.assert_allclose(chosen, facts["actions"][facts["chosen"]], atol=1e-5)


def test_it_opens_at_the_state_that_its_text_speaks_of(course):
    agent, state, info = course
    explorer = ActionDistributionExplorer(agent, state, info.environment, place="junction")
    assert explorer.setting()["place"] == "junction"
    with pytest.raises(ConfigError, match="can't start at 'nowhere'"):
        ActionDistributionExplorer(agent, state, info.environment, place="nowhere")


def test_failures_are_counted_by_how_they_end(explorer):
    figure = explorer.render(steps=1, candidates=1)
    title = next(a.get_title() for a in figure.axes if a.get_title().startswith("In the maze"))
    assert "4 of 16 arrive" in title and "12 stuck at the goal (X)" in title
    assert "12 stuck at the goal." in explorer.frame(steps=1, candidates=1).caption


def test_an_agent_without_a_critic_shows_one_candidate():
    agent, state, info = shipped.agent("cloning")
    explorer = ActionDistributionExplorer(
        agent, state, info.environment, steps=(1, 8), candidates=(1,), samples=20
    )
    frame = explorer.frame(steps=8)
    assert frame.facts["q"] is None
    json.dumps(frame.facts, allow_nan=False)


def test_several_candidates_need_a_critic():
    agent, state, info = shipped.agent("cloning")
    explorer = ActionDistributionExplorer(agent, state, info.environment, samples=20)
    with pytest.raises(ConfigError, match="no critic to choose among 32 candidates"):
        explorer.frame()


@pytest.fixture
def extras(explorer):
    """A live view, and its fields, buttons and hidden field by their classes or names."""
    view = View(explorer)
    _, x, y, look, _, clicked = view.box.children[2].children
    return view, x, y, look, clicked


def test_a_state_is_typed_or_clicked_and_a_wall_changes_nothing(extras):
    view, x, y, look, clicked = extras

    def by_fields(*point):
        x.value, y.value = point
        look.click()

    def by_click(*point):
        clicked.value = f"{point[0]} {point[1]} 17.5"

    for choose, state in ((by_fields, (4.0, 8.0)), (by_click, (12.0, 8.0))):
        before = view.setting(), view.picture.value, view.controls["place"].options
        choose(8.04, 0.0)  # in a wall
        assert view.message.value == (
            '<p role="alert" class="sorl-error">(8.0, 0.0) is in a wall or outside the maze; '
            "choose a free place</p>"
        )
        assert (view.setting(), view.picture.value, view.controls["place"].options) == before
        choose(*state)
        name = f"({state[0]:.1f}, {state[1]:.1f})"
        assert view.message.value == "" and view.setting()["place"] == name
        assert name in view.picture.value and (x.value, y.value) == state


def test_a_chosen_state_draws_its_own_pictures_and_no_others(course):
    agent, state, info = course
    explorer = ActionDistributionExplorer(
        agent, state, info.environment, place="junction", steps=(1,), candidates=(1, 4), samples=9
    )
    view = View(explorer)
    view.box.children[2].children[-1].value = "12.04 8.01 1.0"
    # The list's first state, the start, is chosen by ipywidgets while the list changes.
    assert {place for place, *_ in explorer._frames} == {"junction", "(12.0, 8.0)"}
    assert explorer.places["(12.0, 8.0)"] == (12.0, 8.0)  # the name says all of it


def test_a_click_in_the_picture_has_the_coordinates_of_the_maze(explorer):
    """The blue dot, which marks the state, lies where the region says."""
    name = explorer.add_place(4.0, 8.0)
    frame = explorer.frame(place=name, steps=1, candidates=1)
    with Image.open(io.BytesIO(frame.png)) as image:
        shown = np.asarray(image.convert("RGB"))
    x, y = np.array(frame.clickable.place(4.0, 8.0)) / 100 * image.size
    blue = [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    near = np.abs(shown[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] - blue)
    assert near.max() <= 1
    left, top, width, height = frame.clickable.box
    assert left > 70 and left + width < 100 and top > 20 and top + height < 100  # the right panel


def test_new_episodes_replace_the_old_ones_and_move_the_bar(explorer):
    explorer.frame(steps=16, candidates=8)
    times = []
    episodes = explorer.run_episodes(16, 8, on_step=lambda moment: times.append(moment.time))
    assert episodes is explorer.trajectories[16, 8]
    assert episodes.positions.shape == (8, len(times), 2)
    assert times == list(range(len(times)))
    facts = explorer.frame(steps=16, candidates=8).facts
    assert facts["success"] == episodes.success.mean()


def test_places_lie_on_the_path_through_the_maze(course):
    maze = maze_geometry(course[2].environment)
    places = places_on_the_path(maze)
    assert list(places) == ["start", "junction", "before the goal"]
    assert places["start"] == pytest.approx(maze.start, abs=maze.cell / 2)
    for x, y in places.values():
        column, row = (
            round((x - maze.origin[0]) / maze.cell),
            round((y - maze.origin[1]) / maze.cell),
        )
        assert not maze.walls[row][column]


def test_smoothing_keeps_the_inside_mass_and_spread_is_the_rms_distance():
    density = np.zeros((9, 9))
    density[4, 4] = 16.0
    np.testing.assert_allclose(smooth(density)[3:6, 3:6], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert spread(np.array([[0.0, 0.0], [2.0, 0.0]])) == pytest.approx(1.0)


def test_the_page_of_its_own(explorer, tmp_path):
    text = explorer.to_html(
        tmp_path / "page.html", place="start", steps=(1, 8), candidates=(1, 8), show=False
    )
    assert (tmp_path / "page.html").read_text() == text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("source", ["source", "small_source"])
def test_the_house_colours_reach_both_views_unchanged(explorer, source):
    """Live pictures and those of pages: the black star, the chosen one's orange, the blue dots."""
    frame = explorer.frame(steps=1, candidates=1)
    data = base64.b64decode(getattr(frame, source).partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for color in (BLACK, ORANGE, BLUE):
        wanted = np.round(255 * np.array(to_rgb(color)))
        assert (np.abs(shown - wanted).max(1) == 0).sum() > 20, color


def test_its_text_can_be_read_and_its_meanings_told_apart(explorer):
    figure = explorer.render(steps=8, candidates=4)
    assert not too_faint(figure)
    assert not alike(figure)
