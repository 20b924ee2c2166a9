"""What all explorers share: settings, frames, the page without a kernel, the live view."""

import asyncio
import html
import io
import json
import re
from html.parser import HTMLParser

import helpers
import numpy as np
import pytest
import tiny_course
from matplotlib.figure import Figure
from PIL import Image

pytest.importorskip("ipywidgets", reason="the live view needs ipywidgets: make test installs it")

from sorl_edu.errors import ConfigError, UnknownName
from sorl_edu.widgets.explorer import MAX_FRAMES, as_tuple
from sorl_edu.widgets.frame import Parameter, figure_html
from sorl_edu.widgets.live import View

EDGES = ("left", "top")


@pytest.fixture
def explorer():
    return tiny_course.explorer()


def pixels(frame):
    with Image.open(io.BytesIO(frame.png)) as image:
        return image.convert("RGB").tobytes()


# Parameters and settings.


def test_a_parameter_checks_its_values():
    parameter = Parameter("steps", "steps m", (1, 2, 4))
    assert parameter.start == 1 and parameter.names == ("1", "2", "4")
    with pytest.raises(ConfigError, match="steps is 3; it can be 1, 2, 4"):
        parameter.check(3)
    with pytest.raises(ConfigError, match="at least one value"):
        Parameter("steps", "steps", ())
    with pytest.raises(ConfigError, match="can't start at 9"):
        Parameter("steps", "steps", (1, 2), start=9)
    with pytest.raises(ConfigError, match="2 values and 1 points"):
        Parameter("steps", "steps", (1, 2), points=((0, 0),))
    with pytest.raises(ConfigError, match="2 values and 1 names"):
        Parameter("steps", "steps", (1, 2), names=("one",))


def test_a_setting_is_full_and_valid(explorer):
    assert explorer.setting() == {"place": 2, "size": 10, "color": "tab:blue"}
    assert explorer.setting(size=40)["size"] == 40
    with pytest.raises(UnknownName, match="unknown parameter 'sise'. Did you mean size"):
        explorer.setting(sise=10)
    with pytest.raises(ConfigError, match="place is 3; it can be 1, 2, 4, 8"):
        explorer.render(place=3)


def test_settings_are_all_combinations_last_parameter_fastest(explorer):
    settings = list(explorer.settings())
    assert len(settings) == 4 * 3 * 2 == len({tuple(s.values()) for s in settings})
    assert [s["color"] for s in settings[:3]] == ["tab:blue", "tab:red", "tab:blue"]
    assert list(explorer.settings(place=8, size=(10, 20), color="tab:red")) == [
        {"place": 8, "size": 10, "color": "tab:red"},
        {"place": 8, "size": 20, "color": "tab:red"},
    ]
    with pytest.raises(UnknownName):
        list(explorer.settings(sise=1))
    with pytest.raises(ConfigError):
        list(explorer.settings(size=(10, 11)))


def test_as_tuple_drops_repeats_and_wants_one():
    assert as_tuple("steps", [2, 1, 2]) == (2, 1)
    with pytest.raises(ConfigError, match="steps must name at least one value"):
        as_tuple("steps", [])


# Frames.


def test_a_frame_is_drawn_once_and_is_the_picture_of_its_setting(explorer, monkeypatch):
    frame = explorer.frame(place=4)
    assert frame.facts == {"place": 4, "area": 100, "color": "tab:blue"}
    assert frame.caption == "A disc of size 10 at 4, alone in an empty square."
    assert (frame.width, frame.height) == (240, 160)
    monkeypatch.setattr(type(explorer), "draw", None)  # a second drawing would fail
    assert explorer.frame(place=4, size=10) is frame


def test_pictures_are_the_same_each_time_and_differ_with_each_parameter(explorer):
    base = pixels(explorer.frame())
    assert pixels(tiny_course.explorer().frame()) == base
    for change in ({"place": 8}, {"size": 40}, {"color": "tab:red"}):
        assert pixels(explorer.frame(**change)) != base, change


def test_a_small_mark_keeps_its_colour_in_a_frame(explorer, monkeypatch):
    def draw(self, **setting):
        figure = Figure(figsize=(4, 2), dpi=80)
        figure.add_subplot(121).imshow(np.arange(2500).reshape(50, 50), cmap="viridis")
        figure.add_subplot(122).plot(0, 0, "o", color="#d55e00", markersize=4)
        return figure

    monkeypatch.setattr(type(explorer), "draw", draw)
    with Image.open(io.BytesIO(explorer.frame().png)) as image:
        shown = np.asarray(image.convert("RGB")).astype(int)
    error = np.abs(shown - helpers.pixels(draw(explorer))[..., :3])
    assert error.max() < 25


def test_figure_html_is_escaped_and_holds_the_facts(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer), "caption", lambda self, **_: 'a < b & "c"')
    monkeypatch.setattr(type(explorer), "facts", lambda self, **_: {"name": "o'<b>\""})
    text = figure_html(explorer.title, explorer.frame())
    facts = re.search('data-facts="(.*?)"', text)[1]
    assert json.loads(html.unescape(facts)) == {"name": "o'<b>\""}
    assert "a &lt; b &amp; &quot;c&quot;</figcaption>" in text
    assert 'alt="A disc: a &lt; b' in text


def test_repr_names_the_sizes(explorer):
    assert repr(explorer) == "Tiny('A disc': 4 place x 3 size x 2 color)"


# The page without a kernel; test_browser.py drives it.


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, *names):
        return [attributes for tag, attributes in self.found if tag in names]


def test_a_page_holds_every_frame_and_refers_to_nothing_else(explorer, tmp_path):
    text = explorer.to_html(tmp_path / "tiny.html", show=False)
    assert (tmp_path / "tiny.html").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.html"]
    embedded = re.search('id="explorer">(.*?)</script>', text, re.DOTALL)[1]
    content = json.loads(embedded)
    assert [frame["facts"] for frame in content["frames"]] == [
        explorer.frame(**setting).facts for setting in explorer.settings()
    ]
    tags = Tags(text)
    assert [control["id"] for control in tags.of("input", "select")] == [
        f"control-{parameter.name}" for parameter in explorer.parameters
    ]
    assert not tags.of("link", "iframe") and not re.search(r"https?:|@import|url\(", text)
    assert all("src" not in script for script in tags.of("script"))


def test_a_page_keeps_the_values_asked_for(explorer):
    text = explorer.to_html(show=False, place=(1, 8), color="tab:red")
    content = json.loads(re.search('id="explorer">(.*?)</script>', text, re.DOTALL)[1])
    place, size, color = content["controls"]
    assert place["names"] == ["1", "8"] and place["start"] == 0 and place["kind"] == "slider"
    assert size["start"] == 0 and len(content["frames"]) == 6
    assert color["names"] == ["red"] and color["kind"] == "choice"


def test_a_page_has_a_button_over_the_picture_for_each_value_with_a_point(explorer):
    buttons = Tags(explorer.to_html(show=False, place=(1, 8), color="tab:red")).of("button")
    assert [b["aria-label"] for b in buttons] == ["place: 1", "place: 8"]
    assert [(b["data-control"], b["value"]) for b in buttons] == [("0", "0"), ("0", "1")]
    disc = explorer.frame(place=8, size=40, color="tab:red")
    with Image.open(io.BytesIO(disc.png)) as image:
        shown = np.asarray(image.convert("RGB"))
    left, top = (float(re.search(rf"{edge}:([\d.]+)%", buttons[1]["style"])[1]) for edge in EDGES)
    pixel = shown[round(top / 100 * disc.height), round(left / 100 * disc.width)]
    assert tuple(pixel) == (214, 39, 40)  # tab:red: the button lies on the disc


def test_a_page_escapes_titles_and_captions(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer), "title", "</title></script><b>")
    monkeypatch.setattr(type(explorer), "caption", lambda self, **_: "</script><b>")
    tags = Tags(explorer.to_html(show=False, place=1, size=10))
    assert not tags.of("b") and len(tags.of("script")) == 2


def test_too_large_a_page_raises_an_error_that_says_why(explorer, monkeypatch, tmp_path):
    many = Parameter("place", "place", tuple(range(MAX_FRAMES)))
    monkeypatch.setattr(type(explorer), "parameters", (many, *explorer.parameters[1:]))
    with pytest.raises(ConfigError, match=f"{6 * MAX_FRAMES} pictures, and a page holds 150"):
        explorer.to_html(tmp_path / "tiny.html")
    monkeypatch.setattr("sorl_edu.widgets.explorer.MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match="MB, more than"):
        explorer.to_html(tmp_path / "tiny.html", show=False, place=1)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="saved as .html"):
        explorer.to_html(tmp_path / "tiny.htm", show=False, place=1)
    assert not list(tmp_path.iterdir())


# The live view, without a browser.


def shown(view):
    facts = re.search('data-facts="(.*?)"', view.picture.value)[1]
    return json.loads(html.unescape(facts))


def test_a_control_looks_its_frame_up(explorer, monkeypatch):
    view = View(explorer)
    assert shown(view) == explorer.frame().facts
    monkeypatch.setattr(type(explorer), "draw", None)  # from here on, drawing would fail
    for setting in explorer.settings(color="tab:blue"):
        for name, value in setting.items():
            view.controls[name].value = value
        assert shown(view) == explorer.frame(**setting).facts
    assert view.message.value == "" and view.bar.layout.display == "none"


def test_a_slow_parameter_draws_its_frames_when_it_is_chosen(explorer):
    view = View(explorer)
    assert len(explorer._frames) == 12
    view.controls["color"].value = "tab:red"
    assert len(explorer._frames) == 24
    assert shown(view)["color"] == "tab:red"
    assert view.bar.value == view.bar.max == 12 and view.bar.layout.display == "none"


def test_in_a_kernel_each_message_waits_for_one_picture(explorer):
    """A message is what the event loop does between two looks at the number of pictures."""

    async def kernel():
        view = View(explorer)
        counts = [len(explorer._frames)]  # seen by one message after the other
        assert counts == [1] and shown(view) == explorer.frame().facts
        assert view.bar.layout.display == ""

        async def look():
            await asyncio.sleep(0.001)
            counts.append(len(explorer._frames))
            assert view.bar.layout.display == "none" or view.bar.value >= 1

        await look()
        view.controls["color"].value = "tab:red"  # while pictures of the other colour are missing
        assert len(explorer._frames) == counts[-1] + 1 and shown(view)["color"] == "tab:red"
        counts.append(len(explorer._frames))
        view.controls["place"].value = 8
        counts.append(len(explorer._frames))
        assert shown(view)["place"] == 8  # drawn before its turn
        while view.bar.layout.display == "":
            await look()
        assert np.diff(counts).max() == 1
        assert view.bar.value == view.bar.max == 12 and view.message.value == ""
        colors = [setting[-1] for setting in explorer._frames]
        assert colors.count("tab:red") == 12
        assert colors.count("tab:blue") < 12  # nobody waits for these any more

    asyncio.run(kernel())


def test_an_error_behind_the_picture_ends_the_drawing_and_is_shown(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer), "facts", lambda self, place, **_: {"half": 1 / (place - 8)})

    async def kernel():
        view = View(explorer)
        while view.bar.layout.display == "":
            await asyncio.sleep(0.001)
        assert "ZeroDivisionError" in view.message.value
        assert len(explorer._frames) == 9  # three of the four places
        view.controls["size"].value = 40
        assert view.message.value == "" and shown(view) == {"half": -1 / 6}

    asyncio.run(kernel())


def test_the_view_shows_an_error_until_the_next_frame_succeeds(explorer, monkeypatch):
    draw = type(explorer).draw

    def fails(self, place, **setting):
        if place == 8:
            raise ValueError("no <room>")
        return draw(self, place, **setting)

    monkeypatch.setattr(type(explorer), "draw", fails)
    view = View(explorer)
    view.controls["place"].value = 8
    assert "ValueError: no &lt;room&gt;" in view.message.value
    assert 'role="alert"' in view.message.value
    view.controls["place"].value = 1
    assert view.message.value == "" and shown(view)["place"] == 1


def test_a_view_has_the_classes_that_the_browser_tests_look_for(explorer):
    box = explorer.view()
    assert {"sorl-explorer", "sorl-Tiny"} <= set(box._dom_classes)


def test_every_control_has_a_label(explorer):
    view = View(explorer)
    assert [control.description for control in view.controls.values()] == [
        parameter.label for parameter in explorer.parameters
    ]


def test_two_controls_do_not_share_a_label(explorer):
    explorer.parameters = (Parameter("left", "knob", (1, 2)), Parameter("right", "knob", (1, 2)))
    for show in (View, lambda explorer: explorer.to_html(show=False)):
        with pytest.raises(ConfigError, match="left and right are both labelled 'knob'"):
            show(explorer)


def test_an_explorer_shows_itself_in_a_notebook_before_it_draws(explorer, monkeypatch):
    IPython = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(
        IPython, "display", lambda *things: shown.append((things, len(explorer.__dict__)))
    )
    explorer._ipython_display_()
    (_, before), ((still,), _) = shown
    assert before == 0 and len(explorer._frames) == 12
    # What a saved notebook shows when it is opened again, without its widgets.
    assert explorer.frame().source in still.data and explorer.frame().caption in still.data
    assert ".jp-OutputArea:has(.sorl-explorer) .sorl-still { display: none; }" in still.data
