"""Every explorer of every notebook, driven in a real browser: in JupyterLab, and with no kernel."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_course
from helpers import HAS_BROWSER, IN_BROWSER, PLAY_RATE, checks_that_do_not_wait
from legibility import READ, pictures_without_words, without_words
from shortened import shortened

if not HAS_BROWSER:
    reason = "it takes chromium on the path, playwright, and ipywidgets 8"
    pytest.skip(reason, allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
axe_playwright_python = pytest.importorskip("axe_playwright_python", reason="carries axe-core")
for needed in ("jupyterlab", "jupytext", "ipywidgets", "anywidget"):
    pytest.importorskip(needed, reason="make test installs it")

from sorl_edu.agents.agent import propose  # noqa: E402
from sorl_edu.course import notebooks, shipped  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
SETTINGS = 5  # random ones, of each explorer
RUN = 180_000  # milliseconds for a notebook
WAIT = 60_000  # milliseconds for a frame, and for all frames of a slow parameter
MAZE = "ActionDistributionExplorer"
SLIDER = "slider, 95% of its moves"

# Measures the time from an event until the browser has decoded the picture that follows.
WATCH = """
root => {
  const watch = window.sorlWatch ??= {};
  watch.root = root;
  watch.shown = root.querySelector("img").src;
  watch.armed = false;
  watch.times = [];
  if (watch.observer) return;
  for (const kind of ["keydown", "input", "change"])
    document.addEventListener(kind, () => {
      if (watch.armed) { watch.start = performance.now(); watch.armed = false; }
    }, true);
  watch.observer = new MutationObserver(() => {
    const image = watch.root.querySelector("img");
    if (!image || image.src === watch.shown) return;
    watch.shown = image.src;
    image.decode().then(() => watch.times.push(performance.now() - watch.start));
  });
  watch.observer.observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["src"],
  });
}
"""

# Notes when the first picture of a widget is there, in milliseconds since the page was opened.
FIRST_PICTURE = """
() => {
  const look = () => {
    if (window.firstPicture || !document.querySelector("img.sorl-frame")) return;
    window.firstPicture = performance.now();
  };
  new MutationObserver(look).observe(document, {subtree: true, childList: true});
}
"""

# The log of a server that writes to a page while the page closes.
PAGE_CLOSED = re.compile(
    r"^Task exception was never retrieved\nfuture: .*WebSocketClosedError\(\)>\n"
    r"(?:.*\n)*?tornado\.websocket\.WebSocketClosedError\n",
    re.MULTILINE,
)

# Writes the page and all facts of every explorer in the kernel that has drawn its frames.
EXPORT = """
def _export(folder):
    import gc, json, pathlib
    from sorl_edu.widgets import Explorer
    made = [e for e in gc.get_objects() if issubclass(type(e), Explorer)]  # a proxy may be dead
    made = [e for e in made if e.__dict__.get("_frames")]
    for i, explorer in enumerate(made):
        slow = {p.name: p.start for p in explorer.parameters if p.slow}
        file = pathlib.Path(folder) / f"{type(explorer).__name__}_{i}.html"
        explorer.to_html(file, show=False, **slow)
        facts = [explorer.frame(**setting).facts for setting in explorer.settings(**slow)]
        file.with_suffix(".json").write_text(json.dumps(facts))
_export(%r)
"""


# A cell that is appended to the smallest notebook.
PLAYGROUND = """
# %%
from sorl_edu.course import shipped
from sorl_edu.widgets import Playground

agent, state, info = shipped.agent("narrow")
Playground(agent, state, info.environment, place=(20, 16))  # near the goal
"""


def hindrances(page, root: str) -> list[str]:
    """What axe-core finds serious or critical within an element, by its selector."""
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    return page.evaluate(
        """async root => (await axe.run(root)).violations
          .filter(found => ["serious", "critical"].includes(found.impact))
          .map(found => found.id + ": " + found.nodes.map(n => n.html).join(" ").slice(0, 500))""",
        root,
    )


@dataclass(frozen=True)
class Lab:
    folder: Path
    address: str
    token: str
    log: Path


@pytest.fixture(scope="session")  # the files of other tests run in between
def lab(tmp_path_factory):
    """A separate JupyterLab, with copies of the notebooks and default settings."""
    folder, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("home")
    tiny_course.make(folder)
    for source in SOURCES:
        text = shortened(source.stem, source.read_text())
        (folder / "notebooks" / source.name).write_text(text)
    (folder / "notebooks" / "01_halves.py").rename(folder / "notebooks" / "99_halves.py")
    with open(folder / "notebooks" / "99_halves.py", "a") as halves:
        halves.write(PLAYGROUND)
    notebooks.sync(folder)
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
    (home / "labconfig").mkdir()
    (home / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(quiet))
    # Kernels use sockets in files: another process could take a port between its choice and its
    # use. The path of such a file must be short.
    run = tempfile.mkdtemp(prefix="sorl")
    env = dict(os.environ)
    env |= {name: str(home) for name in ("JUPYTER_CONFIG_DIR", "IPYTHONDIR")}
    env |= {"JUPYTER_RUNTIME_DIR": run, "JUPYTER_PREFER_ENV_PATH": "1"}
    env.pop("MPLBACKEND", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), home / "log"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", "--allow-root"]
    command += ["--expose-app-in-browser", "--LabApp.extension_manager=readonly"]
    command += ["--KernelManager.transport=ipc"]
    address = f"http://127.0.0.1:{port}"
    with open(log, "w") as out:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        else:
            pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
        yield Lab(folder, address, token, log)
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(run)


@dataclass(frozen=True)
class Opened:
    """A notebook in JupyterLab, after all its cells have run."""

    name: str
    page: object
    outputs: list
    errors: list
    lab: Lab
    log_start: int

    def log(self) -> str:
        """The server's log since the notebook was opened, without harmless tracebacks."""
        return PAGE_CLOSED.sub("", self.lab.log.read_text()[self.log_start :])

    def explorers(self) -> list:
        return self.page.locator(".sorl-explorer").all()

    def kernel(self, code: str) -> None:
        """Runs code in the notebook's kernel."""
        reply = self.page.evaluate(
            """async code => {
              const {kernel} = jupyterapp.shell.currentWidget.sessionContext.session;
              return (await kernel.requestExecute({code}).done).content;
            }""",
            code,
        )
        assert reply["status"] == "ok", reply


OPENED = [
    pytest.param(name, marks=pytest.mark.thorough if name == IN_BROWSER else pytest.mark.release)
    for name in (source.stem for source in SOURCES)
]


@pytest.fixture(scope="module", params=["99_halves", *OPENED])
def notebook(request, lab, browser, measured):
    name = request.param
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page, errors, log_start = context.new_page(), [], len(lab.log.read_text())
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab.address}/lab/tree/notebooks/{name}.ipynb?reset&token={lab.token}")
    page.wait_for_function(
        """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel
                 ?.status === "idle" """,
        timeout=RUN,
    )
    page.evaluate(FIRST_PICTURE)
    start = time.perf_counter()
    page.set_default_timeout(RUN)
    outputs = page.evaluate(
        """async () => {
          await jupyterapp.commands.execute("notebook:run-all-cells");
          return jupyterapp.shell.currentWidget.content.model.toJSON().cells;
        }"""
    )
    for explorer in page.locator(".sorl-explorer").all():
        explorer.locator("img.sorl-frame").wait_for(timeout=RUN)
    measured(f"{name} in JupyterLab", time.perf_counter() - start, "s")
    if first := page.evaluate("window.firstPicture"):
        measured(f"{name}, from opening to the first widget's picture", first / 1000, "s")
    page.set_default_timeout(WAIT)
    yield Opened(name, page, outputs, errors, lab, log_start)
    with contextlib.suppress(Exception):
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    context.close()


def facts_of(root):
    return json.loads(root.locator("figcaption").get_attribute("data-facts"))


def turn(page, control, to):
    """Moves a control to an index, by keys or by choice; returns the milliseconds of each move."""
    if control.locator("select").count():
        select = control.locator("select")
        if select.evaluate("select => select.selectedIndex") == to:
            return []
        return [moved(page, lambda: select.select_option(index=to))]
    handle = control.locator("[role=slider], input[type=range]")
    handle.focus()
    now = "h => Number(h.getAttribute('aria-valuenow') ?? h.value)"
    times = []
    while (at := round(handle.evaluate(now))) != to:
        key = "ArrowRight" if to > at else "ArrowLeft"
        times.append(moved(page, lambda key=key: page.keyboard.press(key)))
        assert len(times) <= 100
    return times


def moved(page, act):
    """Acts on a control and waits for the picture; returns the milliseconds until then."""
    done = page.evaluate("() => { sorlWatch.armed = true; return sorlWatch.times.length; }")
    act()
    page.wait_for_function("done => sorlWatch.times.length > done", arg=done, timeout=WAIT)
    return page.evaluate("() => sorlWatch.times.at(-1)")


def size_of(control):
    """The number of values of a control, and whether it is a slider."""
    if control.locator("select").count():
        return control.locator("option").count(), False
    handle = control.locator("[role=slider], input[type=range]")
    return 1 + round(handle.evaluate("h => Number(h.getAttribute('aria-valuemax') ?? h.max)")), True


def drive(page, root, controls, seed):
    """Visits some random settings of one explorer.

    The picture must change with every single move, or `moved` times out.

    Returns:
        (indices, facts) of each setting, and the milliseconds from key to picture of each move.
    """
    root.scroll_into_view_if_needed()
    root.locator(".widget-hprogress").wait_for(state="hidden", timeout=RUN)
    page.evaluate(WATCH, root.element_handle())
    rng = np.random.default_rng(seed)
    sizes, is_slider = map(np.array, zip(*map(size_of, controls), strict=True))
    choices = ~is_slider
    visited = np.where(choices, np.minimum(sizes, 2), sizes)  # each choice draws its own frames
    settings = rng.integers(visited, size=(SETTINGS, len(sizes)))
    settings[:, choices] = np.sort(settings[:, choices], axis=0)  # each draws its frames once
    seen, times = [], []
    for indices in settings.tolist():
        for control, slider, to in zip(controls, is_slider, indices, strict=True):
            spent = turn(page, control, to)
            times += spent if slider else []
            # The other pictures of a new choice are drawn behind the bar, and sliders wait for it.
            root.locator(".widget-hprogress").wait_for(state="hidden", timeout=RUN)
        seen.append((indices, facts_of(root)))
    return seen, times


def live_controls(root):
    return root.locator("[class*=sorl-control-]").all()


def proposes(name, facts):
    """Whether a fresh proposal of a shipped agent equals the facts of an explorer."""
    agent, state, _ = shipped.agent(name)
    obs = jnp.asarray([facts["state"]], jnp.float32)
    n = facts["candidates"]
    fresh = propose(agent, state, obs, jax.random.key(0), steps=facts["steps"], candidates=n)
    shown = np.asarray(facts["actions"])
    same = shown.shape == (n, 2) and np.allclose(fresh.actions[:, 0], shown, atol=1e-3)
    if not same or facts["q"] is None:
        return same
    q = np.asarray(fresh.q[:, 0])
    assert np.allclose(q, facts["q"], rtol=1e-3, atol=1e-2)
    assert facts["chosen"] == np.argmax(facts["q"])
    assert q[facts["chosen"]] >= q.max() - 1e-2  # the same, except where two are equally good
    return True


def check_facts(kind, seen):
    """Computes the facts of explorers again, from the key alone, and compares."""
    if kind == "Tiny":
        explorer = tiny_course.explorer()
        values = [parameter.values for parameter in explorer.parameters]
        for indices, facts in seen:
            chosen = [v[i] for v, i in zip(values, indices, strict=True)]
            names = [parameter.name for parameter in explorer.parameters]
            assert facts == explorer.facts(**dict(zip(names, chosen, strict=True)))
    if kind == MAZE:
        names = ["narrow", *(name for name in shipped.names() if name != "narrow")]
        first = next(name for name in names if proposes(name, seen[0][1]))
        assert all(proposes(first, facts) for _, facts in seen), first


def test_every_cell_ran(notebook):
    cells = [cell for cell in notebook.outputs if cell["cell_type"] == "code"]
    wrong = [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]
    assert not wrong, [(o["ename"], o["evalue"]) for o in wrong]
    assert all(cell["execution_count"] for cell in cells if "".join(cell["source"]).strip())
    assert not checks_that_do_not_wait(cells)  # the blanks are empty, and every check says so


def test_every_picture_has_words_and_all_can_read_it(notebook):
    assert not pictures_without_words(notebook.outputs)
    pictures = notebook.page.locator(".jp-Notebook .jp-OutputArea :is(img, video)")
    told = pictures.evaluate_all(
        "all => all.map(e => (e.tagName === 'IMG' ? e.alt : e.ariaLabel) ?? '')"
    )
    assert told
    assert not list(filter(None, map(without_words, told)))
    notebook.kernel(READ)


def test_explorers_answer_in_jupyterlab(notebook, measured):
    page = notebook.page
    shown = sum("xplorer" in "".join(c["source"]) for c in notebook.outputs)
    assert notebook.explorers() or not shown
    for i, root in enumerate(notebook.explorers()):
        kind = re.search(r"sorl-([A-Z]\w+)", root.get_attribute("class"))[1]
        seen, times = drive(page, root, live_controls(root), seed=i)
        measured(f"{notebook.name}, {kind}, live: {SLIDER}", np.percentile(times, 95), "ms")
        check_facts(kind, seen)
    assert page.locator(".sorl-error").count() == 0
    assert not notebook.errors
    assert "Traceback" not in notebook.log(), notebook.log()


def test_every_control_has_a_name(notebook):
    for root in notebook.explorers():
        root.scroll_into_view_if_needed()
        unnamed = re.compile(
            r"^\s*- (slider|combobox|button|spinbutton|textbox|checkbox)(?! \")(.*)$", re.MULTILINE
        )
        assert not unnamed.findall(root.aria_snapshot()), root.aria_snapshot()
        for control in live_controls(root):
            label = control.locator("label").text_content().strip()
            assert label
            role = "combobox" if control.locator("select").count() else "slider"
            named = root.get_by_role(role, name=label, exact=True)
            playwright.expect(named).to_have_count(1)
            if role == "slider":  # a screen reader reads the value, not its index
                readout = control.locator(".widget-readout").inner_text()
                assert named.get_attribute("aria-valuetext") == readout
        assert root.locator("img.sorl-frame").get_attribute("alt")
    if notebook.explorers():
        assert not hindrances(notebook.page, ".sorl-explorer")


def test_a_list_of_choices_obeys_the_keyboard_and_inserts_no_cells(notebook):
    if notebook.name != "99_halves":
        pytest.skip("once is enough")
    page, (root,) = notebook.page, notebook.explorers()
    page.evaluate(WATCH, root.element_handle())
    select = root.locator("select")
    select.focus()
    chosen, cells = "select => select.selectedIndex", page.locator(".jp-Cell").count()
    keys = ["ArrowDown", "ArrowUp"]  # there are two choices
    for key in keys if select.evaluate(chosen) == 0 else keys[::-1]:
        moved(page, lambda key=key: page.keyboard.press(key))
        assert select.evaluate(chosen) == (key == "ArrowDown")
    for key in "abmx":  # in JupyterLab: cell above, cell below, to Markdown, cut
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells
    assert select.evaluate("select => document.activeElement === select")


def click_at(root, x, y):
    """Clicks a point of the maze, at its coordinates in metres."""
    region = root.locator(".sorl-clickable")
    left, right, bottom, top = json.loads(region.get_attribute("data-limits"))
    box = region.bounding_box()
    across, down = (x - left) / (right - left), (top - y) / (top - bottom)
    region.click(position={"x": across * box["width"], "y": down * box["height"]})


def test_a_click_in_the_maze_chooses_that_state_and_one_in_a_wall_none(notebook):
    if notebook.name != "00_welcome":
        pytest.skip("once is enough")
    page, root = notebook.page, notebook.explorers()[0]
    root.scroll_into_view_if_needed()
    page.evaluate(WATCH, root.element_handle())
    before = facts_of(root)
    click_at(root, 8.0, 0.0)
    wall = root.get_by_role("alert")
    playwright.expect(wall).to_contain_text("is in a wall or outside the maze", timeout=WAIT)
    assert facts_of(root) == before
    moved(page, lambda: click_at(root, 16.4, 11.6))
    facts = facts_of(root)
    assert np.allclose(facts["state"], (16.4, 11.6), atol=0.15)  # a pixel is 0.12 m
    assert {**facts, "state": before["state"]} != before and proposes("narrow", facts)
    assert wall.count() == 0
    chosen = root.locator("select option:checked").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert chosen == "({:.1f}, {:.1f})".format(*facts["state"])
    # The other pictures of this state are being drawn; a slider that moves meanwhile is answered.
    controls = live_controls(root)
    steps = next(c for c in controls if "sorl-control-steps" in c.get_attribute("class"))
    turn(page, steps, 1)
    assert facts_of(root)["steps"] == 2 and facts_of(root)["state"] == facts["state"]


def test_explorers_answer_without_a_kernel_or_a_network(notebook, browser, measured, tmp_path):
    notebook.kernel(EXPORT % str(tmp_path))
    pages = sorted(tmp_path.glob("*.html"))
    assert len(pages) >= len(notebook.explorers())
    context = browser.new_context()
    context.set_offline(True)
    for i, file in enumerate(pages):
        kind = file.stem.partition("_")[0]
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        page.on("request", lambda request, errors=errors: errors.append(request.url[:80]))
        page.goto(file.as_uri())
        root = page.locator("body")
        controls = page.locator("label").all()
        for control in controls:
            label = control.inner_text().splitlines()[0].strip()
            assert label
        unnamed = re.compile(r"^\s*- (slider|combobox)(?! \")(.*)$", re.MULTILINE)
        assert not unnamed.findall(root.aria_snapshot()), root.aria_snapshot()
        assert not hindrances(page, "body")
        facts = json.loads(file.with_suffix(".json").read_text())
        sizes = [size_of(control)[0] for control in controls]
        assert len(facts) == np.prod(sizes)
        seen, times = drive(page, root, controls, seed=i)
        page_of = f"{notebook.name}, {kind}, without a kernel"
        measured(f"{page_of}: {SLIDER}", np.percentile(times, 95), "ms")
        measured(page_of, file.stat().st_size / 1e6, "MB")
        for indices, shown in seen:
            assert shown == facts[np.ravel_multi_index(indices, sizes)]
        assert (
            root.locator("img")
            .get_attribute("alt")
            .endswith(root.locator("figcaption").inner_text())
        )
        if kind == MAZE:
            check_facts(kind, seen)
        for point in page.locator(".point").all():  # Tiny's places, and states in a maze
            point.click()
            control = controls[int(point.get_attribute("data-control"))]
            chosen = control.locator("input, select").input_value()
            assert chosen == point.get_attribute("value")
            pressed = page.locator(".point[aria-pressed=true]").all()
            assert [p.get_attribute("value") for p in pressed] == [chosen]
            if kind == "Tiny":
                assert facts_of(root)["place"] == (1, 2, 4, 8)[int(chosen)]
        assert page.locator(".point").count() == {"Tiny": 4, MAZE: 1}.get(kind, 0)
        outside = [e for e in errors if not e.startswith(("file:", "data:"))]
        assert not outside, outside
        page.close()
    context.close()


def test_the_playground_answers_in_jupyterlab(notebook, measured):
    if notebook.name != "99_halves":
        pytest.skip("once is enough")
    page, root = notebook.page, notebook.page.locator(".sorl-playground")
    root.scroll_into_view_if_needed()
    root.locator(".numbers .spread").get_by_text("0.").wait_for()
    facts = "root => root.playground.facts()"
    before = root.evaluate(facts)
    assert len(before["actions"]) == 32 and before["evaluations"] == 320
    assert root.locator(".numbers .q").inner_text() == f"{before['q'][before['chosen']]:.2f}"
    for number in root.locator(".numbers > div").all():  # JupyterLab's style leaves them in place
        name, value = (number.locator(tag).bounding_box() for tag in ("span", "b"))
        assert name["y"] + name["height"] <= value["y"] + 1 and abs(name["x"] - value["x"]) < 1
    cells = page.locator(".jp-Cell").count()
    root.locator("canvas.maze").focus()
    for key in ("ArrowUp", "ArrowDown", "ArrowUp", "a", "b", "x"):  # of JupyterLab, too
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells
    state = root.evaluate(facts)["state"]
    assert np.allclose(state, np.add(before["state"], (0, 0.25)))
    play = root.get_by_role("button", name="Play from the point")
    play.click()
    root.locator(".episodes p").last.get_by_text("arrived after").wait_for()
    rate = root.evaluate(PLAY_RATE)
    measured("playground, Play at four settings in JupyterLab", rate, "environment steps/s")
    assert root.get_by_role("alert").count() == 0
    assert not hindrances(page, ".sorl-playground")
    assert page.locator(".sorl-page").count() == 1  # what a saved notebook keeps
    assert not page.locator(".sorl-page").is_visible()
    assert not notebook.errors


def test_a_drawing_is_learned_in_jupyterlab(notebook):
    if notebook.name != "01_flow_matching":
        pytest.skip("once is enough")
    page, root = notebook.page, notebook.page.locator(".sorl-draw-your-own")
    root.scroll_into_view_if_needed()
    root.get_by_role("button", name="Ring").click()
    cells, before = page.locator(".jp-Cell").count(), root.locator(".count").inner_text()
    root.locator("canvas.drawing").focus()
    for key in ("Space", "ArrowUp", "a", "b", "x"):  # of JupyterLab, too
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells
    assert (before, root.locator(".count").inner_text()) == ("2,000", "2,020")
    root.get_by_role("button", name="Train").click()
    learned = "root => root.drawYourOwn.shown?.done >= 50"
    page.wait_for_function(learned, arg=root.element_handle())
    root.get_by_role("button", name="Pause").click()
    assert root.evaluate("root => root.drawYourOwn.trainer.port instanceof Worker")
    if folder := os.environ.get("SORL_EDU_SCREENSHOTS"):
        root.screenshot(path=f"{folder}/draw_in_jupyterlab.png")
    assert not hindrances(page, ".sorl-draw-your-own")
    assert not notebook.errors


def test_jupyterlab_saves_the_notebook_and_leaves_its_text(notebook):
    if notebook.name != "99_halves":
        pytest.skip("once is enough")
    ipynb = notebook.lab.folder / "notebooks" / f"{notebook.name}.ipynb"
    before = ipynb.with_suffix(".py").read_text()
    notebook.page.evaluate(
        """async () => {
          const {model} = jupyterapp.shell.currentWidget.content;
          model.cells.get(0).sharedModel.setSource("# Saved from JupyterLab");
          await jupyterapp.commands.execute("docmanager:save");
        }"""
    )
    assert json.loads(ipynb.read_text())["cells"][0]["source"] == ["# Saved from JupyterLab"]
    assert ipynb.with_suffix(".py").read_text() == before
