"""Draw your own in a real browser: what the reader draws, and how well the page learns it."""

import json
import os
import re
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import OfflinePage, displayed
from quick import QUICK
from test_draw_your_own_training import NETWORKS, Case

from sorl_edu.errors import ConfigError
from sorl_edu.flow_matching import flow_matching_loss
from sorl_edu.plotting.clouds import distances_to_data, energy_distance
from sorl_edu.shortcut import at_step_size, self_consistency_loss
from sorl_edu.widgets import DrawYourOwn
from sorl_edu.widgets.draw_your_own.draw_your_own import UPDATES
from sorl_edu.widgets.draw_your_own.source import MODULES, WORKER
from sorl_edu.widgets.playground.source import joined

ROOT = "main > div"
WIDGET = f"document.querySelector('{ROOT}').drawYourOwn"
WAIT = 90_000  # milliseconds
STEPS = (1, 2, 4, 8)
M, BATCH = 8, 128


# Without a browser.


def test_one_module_imports_nothing_and_exports_nothing_but_the_widget():
    text = joined((*MODULES, "../draw_your_own/widget"))
    assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default {"]
    for script in (text, joined(MODULES), joined(WORKER)):
        assert not re.search(r"^import\b", script, re.MULTILINE)
        declared = re.findall(r"^(?:async )?(?:const|class|function) (\w+)", script, re.MULTILINE)
        assert len(declared) == len(set(declared)) > 20
    assert not re.search(r"^export\b", joined(WORKER), re.MULTILINE)


def test_the_page_refers_to_nothing_else_and_is_written_whole(tmp_path):
    file = tmp_path / "new" / "draw.html"
    text = DrawYourOwn(title="A <title>").to_html(file)
    assert file.read_text(encoding="utf-8") == text
    assert os.listdir(file.parent) == ["draw.html"]
    assert "http" not in text and "A &lt;title&gt;" in text
    assert len(text) < 100_000
    with pytest.raises(ConfigError, match="saved as .html, not as"):
        DrawYourOwn().to_html(tmp_path / "draw.htm")


def test_bad_input_raises_an_error_that_says_why():
    assert repr(DrawYourOwn()) == "DrawYourOwn(['flow'])"
    for models in ((), ("flow", "flow"), ("flows",)):
        with pytest.raises(ConfigError, match="models are one or several of flow, shortcut"):
            DrawYourOwn(models)
    with pytest.raises(ConfigError, match="updates is 0; it must be at least 1"):
        DrawYourOwn(updates=0)


def test_the_widget_is_sent_the_worker_s_script(monkeypatch):
    pytest.importorskip("anywidget", reason="make test installs it")
    widget, frame = displayed(DrawYourOwn(["shortcut"], updates=7), monkeypatch)
    assert widget.given["models"] == ["shortcut"] and widget.given["updates"] == 7
    assert widget.given["worker"].endswith("serve(globalThis);\n")
    assert "export default {" in widget._esm and ".sorl-draw-your-own" in widget._css
    assert "sorl-page" in frame.data


# In a browser.


class Shown(OfflinePage):
    """A page of the widget, with the first samples of the untrained network."""

    def __init__(self, browser, file, script=None, **options):
        super().__init__(browser, file, wait=WAIT, script=script, **options)
        self.until("shown !== null")

    def close(self):
        self.context.close()
        assert not self.errors

    def get(self, what):
        return self.page.evaluate(f"{WIDGET}.{what}")

    def until(self, what):
        self.page.wait_for_function(f"() => {{ const w = {WIDGET}; return w && w.{what}; }}")

    def facts(self):
        return self.get("facts()")

    def points(self):
        return np.reshape(self.get("drawing.points"), (-1, 2))

    def click(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def train(self):
        """Trains to the end, and returns the facts when the last samples are shown."""
        self.click("Train")
        self.until("shown?.done === w.updates")
        return self.facts()

    def at(self, x, y):
        """The pixels of a place in the drawing."""
        box = self.page.locator("canvas.drawing").bounding_box()
        px, py = self.page.evaluate(
            f"([x, y]) => [{WIDGET}.to.x(x), {WIDGET}.to.y(y)]", [float(x), float(y)]
        )
        return box["x"] + px, box["y"] + py

    def draw(self, *lines):
        """Draws lines with the mouse, from point to point."""
        self.page.locator("canvas.drawing").scroll_into_view_if_needed()
        for first, *rest in lines:
            self.page.mouse.move(*self.at(*first))
            self.page.mouse.down()
            for point in rest:
                self.page.mouse.move(*self.at(*point))
            self.page.mouse.up()


WIDE = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("draw") / "draw.html"
    DrawYourOwn(["flow", "shortcut"], updates=200).to_html(file)
    return file


@pytest.fixture(scope="module")
def shown(browser, file):
    shown = Shown(browser, file, **WIDE)
    yield shown
    shown.close()


def clouds(facts):
    return [np.reshape(facts[name], (-1, 2)) for name in ("data", "samples")]


def test_its_distances_are_the_library_s(shown):
    facts = shown.facts()
    data = jnp.reshape(jnp.asarray(facts["data"]), (-1, 2))
    drawn = {tuple(point) for point in np.float32(shown.points()).tolist()}
    assert {tuple(point) for point in np.float32(data).tolist()} <= drawn
    for cloud, distance in zip(facts["samples"], facts["distances"], strict=True):
        samples = jnp.reshape(jnp.asarray(cloud), (-1, 2))
        assert distance == pytest.approx(float(energy_distance(samples, data)), abs=1e-4)
    assert 0 < facts["floor"] < 0.1 < min(facts["distances"])  # it has learned nothing
    panels = shown.page.locator(".panel .distance").all_inner_texts()
    assert panels == [f"distance {d:.3f}" for d in facts["distances"]]


def test_a_mouse_draws_and_the_drawing_is_what_is_trained_on(shown):
    shown.click("Clear")
    assert len(shown.points()) == 0
    train = shown.page.get_by_role("button", name="Train", exact=True)
    shown.page.wait_for_function("document.querySelector('.train').disabled")
    assert not train.is_enabled()
    assert "Draw at least 50 points" in shown.page.locator(".doing").inner_text()
    shown.draw([(-0.8, 0.5), (-0.2, 0.5), (0.6, 0.5)], [(0, -0.6)])
    points = shown.points()
    line, dab = points[points[:, 1] > 0], points[points[:, 1] < 0]
    assert abs(line[:, 0].min() + 0.8) < 0.15 and abs(line[:, 0].max() - 0.6) < 0.15
    assert np.allclose(line[:, 1], 0.5, atol=0.15) and len(line) > 150
    assert np.allclose(dab, (0, -0.6), atol=0.15) and len(dab) == 20
    shown.until("shown !== null")
    assert train.is_enabled()
    data, _ = clouds(shown.facts())
    assert {tuple(p) for p in np.float32(data)} <= {tuple(p) for p in np.float32(points)}
    shown.page.mouse.move(*shown.at(0, 0))  # with no button pressed
    assert len(shown.points()) == len(points)
    for name in ("Ring", "Four clouds", "Moons"):
        shown.click(name)
        assert len(shown.points()) == 2000


def test_a_keyboard_draws_and_does_not_scroll(shown):
    shown.click("Clear")
    canvas = shown.page.locator("canvas.drawing")
    canvas.focus()
    x, y = shown.get("brush")
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
        shown.page.keyboard.press(key)
    assert np.allclose(shown.get("brush"), (x, y + 0.05)) and len(shown.points()) == 0
    shown.page.keyboard.press("Space")
    assert np.allclose(shown.points(), (x, y + 0.05), atol=0.15) and len(shown.points()) == 20
    for _ in range(12):
        shown.page.keyboard.press("Shift+ArrowRight")
    assert shown.points()[:, 0].max() == pytest.approx(x + 0.6, abs=0.15)
    assert len(shown.points()) > 100 and shown.page.evaluate("scrollY") == 0
    shown.until("shown !== null")
    label = canvas.get_attribute("aria-label")
    assert re.fullmatch(r"Your data: \d+ points; brush at -?\d\.\d\d, -?\d\.\d\d", label)


def test_it_pauses_goes_on_and_starts_anew(shown):
    shown.click("Moons")
    shown.until("shown !== null")
    before = shown.facts()
    shown.click("Train")
    shown.until("last.done >= 25")
    shown.click("Pause")
    assert shown.get("trainer.port instanceof Worker")
    assert shown.page.get_by_role("button", name="Go on").is_visible()
    shown.page.wait_for_timeout(300)
    paused = shown.facts()["done"]
    shown.page.wait_for_timeout(300)
    assert 25 <= shown.facts()["done"] == paused < 200
    shown.click("Go on")
    shown.until("shown?.done === 200")
    facts = shown.facts()
    assert facts["done"] == 200 and facts["losses"]["flow"] < 1.2
    assert facts["distances"][3] < 0.7 * before["distances"][3]
    told = shown.page.get_by_role("status").inner_text()
    assert told.startswith("It has learned. 200 of 200 updates. Energy distances after 200 updates")
    assert f"8 steps {facts['distances'][3]:.2f}" in told
    shown.click("New network")
    shown.until("shown?.done === 0")
    anew = shown.facts()
    assert anew["done"] == 0 and anew["layers"] != before["layers"]
    assert anew["data"] == before["data"]
    assert shown.page.locator(".of-shortcut").is_hidden()
    shown.page.get_by_label("Learns").select_option("shortcut")
    shown.until("shown?.done === 0")
    assert len(shown.facts()["layers"][0][0]) == 5 * 64  # it also sees the level
    assert shown.page.locator(".of-shortcut").is_visible()
    shown.page.get_by_label("Learns").select_option("flow")
    shown.until("shown?.done === 0")


def test_a_finger_draws(browser, file):
    phone = {"width": 360, "height": 740}
    shown = Shown(browser, file, viewport=phone, has_touch=True, is_mobile=True)
    shown.click("Clear")
    shown.page.locator("canvas.drawing").scroll_into_view_if_needed()
    touch, top = shown.context.new_cdp_session(shown.page), shown.page.evaluate("scrollY")
    for kind, place in (("touchStart", (0, -0.5)), ("touchMove", (0, 0)), ("touchMove", (0, 0.5))):
        x, y = shown.at(*place)
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shown.until("shown !== null")
    points = shown.points()
    assert len(points) > 100 and np.allclose(points[:, 0], 0, atol=0.15)
    assert points[:, 1].max() - points[:, 1].min() > 0.9
    assert shown.page.evaluate("scrollY") == top
    shown.close()


# A worker that fails after it was made, as where a page forbids blob: addresses.
BROKEN_WORKER = """
window.Worker = class {
  constructor() { setTimeout(() => this.onerror(new Event("error")), 50); }
  postMessage() {}
  terminate() {}
};
"""


@pytest.mark.parametrize("script", ["delete window.Worker", BROKEN_WORKER], ids=["none", "broken"])
def test_without_a_worker_the_page_trains_and_still_answers(browser, file, script):
    shown = Shown(browser, file, script, **WIDE)
    shown.click("Train")
    shown.until("last.done >= 50")
    started = time.monotonic()
    shown.click("Pause")
    assert time.monotonic() - started < 5
    assert shown.get("facts().done") < 200
    shown.close()


@pytest.mark.parametrize("model", NETWORKS)
def test_losses_gradients_and_updates_in_the_browser_are_those_of_the_library(shown, model):
    case = Case(model)
    names = ("../draw_your_own/sampling", "../../../tests/widgets/draw_your_own/run")
    script = f"{joined((*WORKER[:-1], *names))}\nrun({json.dumps(case.given())})"
    case.check(shown.page.evaluate(f"(() => {{ return eval({json.dumps(script)}) }})()"))


def library_training(model, points, updates, seeds):
    """The parameters of each seed after the training of lessons 1 and 2, in batches of 128."""
    network, obs = NETWORKS[model], jnp.zeros((BATCH, 1))
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, updates))

    def loss(params, average, a_1, key):
        flow_key, consistency_key = jax.random.split(key)
        s, s_average = partial(network.apply, params), partial(network.apply, average)
        if model == "flow":
            return flow_matching_loss(s, obs, a_1, flow_key)[0]
        flow, _ = flow_matching_loss(at_step_size(s, 1 / M), obs, a_1, flow_key)
        return flow + self_consistency_loss(s, s_average, obs, a_1, consistency_key, M)[0]

    def update(state, key):
        params, average, optimizer_state = state
        rows_key, loss_key = jax.random.split(key)
        a_1 = points[jax.random.randint(rows_key, (BATCH,), 0, len(points))]
        gradient = jax.grad(loss)(params, average, a_1, loss_key)
        change, optimizer_state = optimizer.update(gradient, optimizer_state)
        params = optax.apply_updates(params, change)
        average = jax.tree.map(lambda ema, new: ema + 0.005 * (new - ema), average, params)
        return (params, average, optimizer_state), None

    def train(key):
        init_key, updates_key = jax.random.split(key)
        steps = [obs + 1] if model == "shortcut" else []
        params = network.init(init_key, obs, points[:BATCH], obs, *steps)
        state = params, params, optimizer.init(params)
        return jax.lax.scan(update, state, jax.random.split(updates_key, updates))[0][0]

    return jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(1), seeds))


def params_of(layers):
    """Flax's parameters of the page's network."""
    dense = {
        f"Dense_{i}": {
            "kernel": jnp.reshape(jnp.asarray(kernel), (-1, len(bias))),
            "bias": jnp.asarray(bias),
        }
        for i, (kernel, bias) in enumerate(layers)
    }
    return {"params": {"MLP_0": dense}}


@pytest.mark.release
@pytest.mark.parametrize("model", NETWORKS)
def test_a_drawing_is_learned_fast_and_as_well_as_in_the_library(
    browser, tmp_path, model, measured
):
    """A cross and a bar, drawn with the mouse. Goals: 20 s; at most 1.2 times as far from it."""
    is_quick = QUICK.items() <= os.environ.items()
    updates = 400 if is_quick else UPDATES
    DrawYourOwn([model], updates=updates).to_html(tmp_path / "draw.html")
    shown = Shown(browser, tmp_path / "draw.html", **WIDE)
    shown.click("Clear")
    cross = [(-0.8, -0.2), (-0.2, 0.7)], [(-0.8, 0.7), (-0.2, -0.2)]
    shown.draw(*cross, [(0.5, -0.8), (0.6, 0), (0.5, 0.8)])
    points = jnp.asarray(shown.points())
    assert len(points) > 500
    networks = []
    for seed in range(2):
        if seed:
            shown.click("New network")
        shown.until("shown?.done === 0")
        started = time.monotonic()
        facts = shown.train()
        if seed == 0:
            seconds = time.monotonic() - started
            measured(f"drawing, time to learn a {model} in {updates} updates", seconds, "s")
        assert facts["done"] == facts["shown"] == updates
        networks.append(params_of(facts["layers"]))
    shown.close()
    distances = partial(
        distances_to_data,
        NETWORKS[model].apply,
        data=points,
        key=jax.random.key(5),
        steps=STEPS,
        denoise_steps=M if model == "shortcut" else None,
        samples=len(points),
    )
    page = distances(jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks))
    library = distances(library_training(model, points, updates, seeds=3))
    ratios = page.mean(0) / library.mean(0)
    measured(f"drawing, a {model}'s energy distance over the library's", ratios.max(), "")
    assert (ratios <= 1.2).all(), (page, library)


def test_all_can_read_it_on_every_screen(shown):
    """axe-core, also of contrasts, on a phone, a laptop and a projector, light and dark."""
    axe = pytest.importorskip("axe_playwright_python", reason="carries axe-core")
    shown.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    for width, height in ((360, 740), (1280, 900), (1920, 1080)):
        shown.page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            shown.page.emulate_media(color_scheme=scheme)
            shown.page.wait_for_function(
                f"document.querySelector('{ROOT}').dataset.theme === '{scheme}'"
            )
            found = shown.page.evaluate(
                """async () => (await axe.run()).violations
                  .filter(({impact}) => ["serious", "critical"].includes(impact))
                  .map(({id, nodes}) => id + ": " + nodes.map(n => n.html).join(" "))"""
            )
            assert not found, (width, scheme, found)
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("SORL_EDU_SCREENSHOTS"):
                shown.page.screenshot(path=f"{folder}/draw_{width}_{scheme}.png", full_page=True)
    tall = shown.page.evaluate("document.documentElement.scrollHeight")
    assert tall <= 1080  # all of it on a projector
    shown.page.set_viewport_size(WIDE["viewport"])
    shown.page.emulate_media(color_scheme="light")


def test_without_a_widget_a_notebook_shows_the_page(browser, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "sorl_edu.widgets.draw_your_own.live", raising=False)
    (frame,) = displayed(DrawYourOwn(), monkeypatch)
    area = '<div class="jp-OutputArea">{}</div>'
    (tmp_path / "alone.html").write_text(area.format(frame.data))
    widget = '<div class="sorl-playground"></div>'
    (tmp_path / "beside.html").write_text(area.format(widget + frame.data))
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.goto((tmp_path / "alone.html").as_uri())
    page = opened.frame_locator("iframe.sorl-page")
    page.locator(".panel .distance").first.get_by_text("distance 0.").wait_for()
    opened.goto((tmp_path / "beside.html").as_uri())
    assert not opened.locator("iframe.sorl-page").is_visible()
    (hidden,) = opened.frames[1:]
    hidden.wait_for_function(WIDGET)
    opened.wait_for_timeout(300)
    assert hidden.evaluate(f"{WIDGET}.trainer") is None
    context.close()
