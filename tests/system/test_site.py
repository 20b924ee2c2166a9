"""The site of a small course: its links, its pages in a browser, and the library's reference."""

import contextlib
import functools
import http.server
import json
import pkgutil
import re
import shutil
import threading
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import tiny_course
from helpers import NODE, node

for needed in ("sphinx", "furo", "myst_nb", "jupytext", "nbclient"):
    pytest.importorskip(needed, reason="make test installs it")

from markdown_it import MarkdownIt  # noqa: E402
from mdit_py_plugins.dollarmath import dollarmath_plugin  # noqa: E402

import sorl_edu  # noqa: E402
from sorl_edu.course import notebooks, site  # noqa: E402
from sorl_edu.course.build import without_solutions  # noqa: E402
from sorl_edu.errors import ConfigError  # noqa: E402
from sorl_edu.plotting.style import DARK  # noqa: E402
from sorl_edu.widgets.playground import packages  # noqa: E402

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[2]
LESSON, ASSIGNMENT = "notebooks/00_welcome.html", "notebooks/assignments/A1_halves.html"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
CELLS = """
# %% [markdown]
# The [terms](GLOSSARY.md), [the course's folder](../notebooks), and $a_t = \\frac{1}{2} a_0$.

# %%
from sorl_edu import plotting

plotting.method_diagram()

# %%
from sorl_edu.course import shipped
from sorl_edu.widgets import Playground

agent, state, info = shipped.agent("narrow")
Playground(agent, state, info.environment, place=(20, 16))  # near the goal
"""


@dataclass(frozen=True)
class Built:
    root: Path
    to: Path
    plays: bool

    @property
    def html(self) -> Path:
        return self.to / "html"

    def pages(self) -> list[str]:
        return sorted(file.relative_to(self.html).as_posix() for file in self.html.rglob("*.html"))

    def text(self, page: str) -> str:
        return (self.html / page).read_text(encoding="utf-8")

    def parsed(self, page: str) -> "Page":
        page = Page(self.text(page))
        page.close()
        return page


class Page(HTMLParser):
    """What a page loads, where its links lead, and the places in it that links lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads, self.links, self.places = [], [], {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given.get("id"), given.get("name")}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loads = given.get("rel") not in ("canonical", "next", "prev", "index", "search")
        if tag in LOADED and loads and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The site of a lesson and an assignment, beside the course's other pages."""
    root, to = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("site")
    assignment = tiny_course.make_assignment(root)
    lesson = root / "notebooks" / "00_welcome.py"
    (root / "notebooks" / "01_halves.py").rename(lesson)
    (root / "notebooks" / "01_halves.ipynb").unlink()
    with open(lesson, "a") as text:
        text.write(CELLS)
    notebooks.sync(root)
    assert assignment.exists()
    shutil.copytree(ROOT / "site", root / "site")
    for page in site.PAGES:
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, root / page)
    shutil.copy(ROOT / "data" / "robots" / "cube_candidates.gif", root / "data" / "robots")
    plays = False
    with contextlib.suppress(ConfigError):
        plays = all(map(packages.archive, (packages.MUJOCO, packages.THREE, site.KATEX)))
    site.build(root, to, play=plays)
    return Built(root, to, plays)


@pytest.fixture(scope="module")
def server(built):
    with serving(built) as address:
        yield address


@contextlib.contextmanager
def serving(built):
    """The address of a web server for a site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=built.html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def follow_links(built):
    """Every page of a site by its name, whose links all lead somewhere, and their number."""
    pages = {page: built.parsed(page) for page in built.pages()}
    followed = 0
    for page, parsed in pages.items():
        for link in {*parsed.links, *parsed.loads}:
            parts = urlsplit(urljoin(f"/{page}", link))
            if parts.scheme:
                continue
            target = unquote(parts.path).removeprefix("/")
            target = f"{target}index.html" if target.endswith("/") or not target else target
            assert (built.html / target).is_file(), f"{page}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{page}: {link}"
            followed += 1
    return pages, followed


def test_every_link_leads_somewhere(built):
    pages, followed = follow_links(built)
    assert followed > 1000
    assert {"index.html", LESSON, ASSIGNMENT, "CHANGELOG.html", "api/agents.html"} <= pages.keys()
    assert {"notebooks/GLOSSARY.html", "notebooks/INSTRUCTORS.html", "search.html"} <= pages.keys()
    links = pages[LESSON].links
    assert "GLOSSARY.html" in links and f"{tiny_course.ADDRESS}/tree/main/notebooks" in links


def test_no_page_loads_anything_from_another_host(built):
    for page in built.pages():
        elsewhere = [link for link in built.parsed(page).loads if re.match(r"(\w+:)?//", link)]
        assert not elsewhere, f"{page} loads {elsewhere}"
    sheets = [*built.html.rglob("*.css")]
    assert len(sheets) >= 3
    for sheet in sheets:
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", text), sheet


def test_an_assignment_has_no_solutions_and_a_lesson_has(built):
    lesson, assignment = (re.sub(r"<[^>]+>", "", built.text(page)) for page in (LESSON, ASSIGNMENT))
    assert "y = x / 2" in lesson
    assert "y = x / 2" not in assignment and "y = 2 * x" not in assignment
    assert "Halves" in assignment and "waits for you" in assignment
    for page in built.pages():
        assert page == LESSON or "y = x / 2" not in re.sub(r"<[^>]+>", "", built.text(page)), page


def test_the_notebooks_have_their_outputs_and_nothing_else(built):
    text = built.text(LESSON)
    assert 'class="sorl-figure"' in text and text.count('class="sorl-page"') == 2
    assert "pip" not in re.sub(r"<[^>]+>", "", text), "a page installs nothing"
    assert "widget-view" not in text and "colab-badge" not in text
    assert r'<span class="formula">a_t = \frac{1}{2} a_0</span>' in text
    assert DARK in built.text("_static/site.css")


def test_the_reference_has_shapes_equations_and_the_whole_library(built):
    text = built.text("api/flow_matching.html")
    words = re.sub(r"<[^>]+>", "", text).replace("&#39;", "'")
    assert "noise: Float[Array, '*batch action']" in re.sub(r"\s+", " ", words)
    assert "key: PRNGKeyArray" in words
    assert "descend | v(a_t, t | o) - u |^2" in words
    assert 'href="https://arxiv.org/abs/2210.02747"' in text
    described = {parts["id"] for parts in map(re.Match.groupdict, identified(built))}
    assert "sorl_edu.agents.sorl.SORL.q_weight" in described
    assert "sorl_edu.widgets.playground.playground.Playground" in described
    for module in ("flow_matching", "shortcut", "temporal_difference", "inference"):
        source = (ROOT / "sorl_edu" / f"{module}.py").read_text()
        for name in re.findall(r"^def ([a-z]\w*)", source, re.MULTILINE):
            assert f"sorl_edu.{module}.{name}" in described
    modules = {module.name for module in pkgutil.iter_modules(sorl_edu.__path__)}
    assert modules - set(site.API) == {"cli", "course", "files", "programs", "progress"}


def identified(built):
    for page in built.pages():
        if page.startswith("api/"):
            yield from re.finditer(r'id="(?P<id>sorl_edu\.[\w.]+)"', built.text(page))


def test_the_site_is_small(built, measured, monkeypatch):
    total = site.compressed(built.html)
    measured("site without the lessons, compressed", total / 1e6, "MB")
    assert total < 10e6
    assert len([*built.html.rglob("mujoco.js")]) == built.plays
    monkeypatch.setattr(site, "MAX_BYTES", total - 1)
    with pytest.raises(ConfigError, match=rf"the site has {total / 1e6:.1f} MB compressed"):
        site.check_size(built.html)


# ------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def opened(browser, server):
    with opening(browser, server) as opened:
        yield opened


@contextlib.contextmanager
def opening(browser, server):
    """Opens pages of a site; no error may be in their console, and no other host be asked."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said, asked = [], []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))

    def opened(name: str):
        page.goto(f"{server}/{name}")
        return page

    yield opened
    page.close()
    assert not said
    assert all(url.startswith((server, "data:", "blob:")) for url in asked), asked


PICTURE = """() => {
  const canvases = [...document.querySelectorAll("canvas")].map(canvas => canvas.toDataURL());
  return [...canvases, document.querySelector("img")?.src].join();
}"""


def picture_of(frame):
    """What a frame shows; what WebGL draws can be read from the screen alone."""
    if frame.locator("canvas.scene").count() == 0:
        return frame.evaluate(PICTURE)
    frame.page.wait_for_timeout(300)
    return frame.locator("canvas.scene").screenshot()


def open_every_page(built, opened):
    pages = [page for page in built.pages() if not page.startswith("widgets/")]
    for name in pages:
        page = opened(name)
        assert name == "search.html" or page.locator("h1").first.is_visible(), name
        assert page.evaluate("document.documentElement.scrollWidth") == 1280, name


def test_every_page_opens_without_an_error(built, opened):
    open_every_page(built, opened)


def move_every_slider(page):
    """Moves each slider of each frame, which must change its picture; the numbers of both."""
    frames, moved = page.locator("iframe.sorl-page").all(), 0
    for element in frames:
        element.scroll_into_view_if_needed()
        frame = element.element_handle().content_frame()
        frame.wait_for_function(f"() => ({PICTURE})().length > 1000")
        page.wait_for_function("frame => frame.offsetHeight > 250", arg=element.element_handle())
        for slider in frame.locator("input[type=range]").all():
            before, at = picture_of(frame), slider.input_value()
            slider.press("End" if slider.get_attribute("min") == at else "Home")
            deadline = time.monotonic() + 30
            while picture_of(frame) == before:
                assert time.monotonic() < deadline, f"{page.url}: {slider.get_attribute('name')}"
            moved += 1
    return len(frames), moved


@pytest.mark.parametrize(("name", "frames"), [("index.html", 1), (LESSON, 2)])
def test_every_slider_moves_its_picture(opened, name, frames):
    found, moved = move_every_slider(opened(name))
    assert found == frames and moved >= 2 * frames - 1


@pytest.mark.goals
def test_the_whole_site_is_in_order(browser, measured):
    """`make site`, and then all that the tests above try on a small one."""
    start = time.monotonic()
    site.build(ROOT, ROOT / "build" / "site")
    measured(
        "the whole site, notebooks executed where they had changed", time.monotonic() - start, "s"
    )
    start = time.monotonic()
    site.build(ROOT, ROOT / "build" / "site")
    measured("the whole site, from executed notebooks", time.monotonic() - start, "s")
    whole = Built(ROOT, ROOT / "build" / "site", plays=True)
    pages, followed = follow_links(whole)
    with serving(whole) as address, opening(browser, address) as opened:
        open_every_page(whole, opened)
        with_frames = [name for name in pages if 'class="sorl-page"' in whole.text(name)]
        counts = [move_every_slider(opened(name)) for name in with_frames]
    frames, moved = (sum(count) for count in zip(*counts, strict=True))
    for what, count in (("pages", len(pages)), ("links", followed), ("sliders", moved)):
        measured(f"the whole site, {what}", count, "")
    assert len(with_frames) >= 8 and frames >= 14 and moved >= 24


def test_pages_in_frames_follow_the_theme_that_a_reader_chooses(opened):
    page = opened(LESSON)
    frame = page.frame_locator("iframe.sorl-page").first
    page.locator("iframe.sorl-page").first.scroll_into_view_if_needed()
    frame.locator("img").wait_for()
    filters = []
    for _ in range(3):
        page.locator(".theme-toggle:visible").first.click()  # dark, light, and as the system's
        page.wait_for_timeout(100)
        filters.append(frame.locator("img").evaluate("image => getComputedStyle(image).filter"))
    assert filters[1] == filters[2] == "none" and filters[0].startswith("invert")


def test_the_search_finds_a_lesson_and_a_function(opened):
    page = opened("search.html?q=halves")
    page.get_by_role("link", name="Lesson 1. Halves").first.wait_for()
    page = opened("search.html?q=self_consistency_target")
    page.locator("#search-results li").first.wait_for()
    assert "shortcut" in page.locator("#search-results").inner_text()


def test_formulas_are_set_in_their_own_fonts(built, opened):
    if not built.plays:
        pytest.skip("KaTeX is not here")
    page = opened(LESSON)
    assert page.locator(".formula .katex").count() == 1
    family = page.locator(".katex .mathnormal").first.evaluate(
        "e => getComputedStyle(e).fontFamily"
    )
    assert family.startswith("KaTeX_Math")
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('1em KaTeX_Math'))")


def test_the_playground_of_a_lesson_plays(built, opened):
    if not built.plays:
        pytest.skip("MuJoCo's build for browsers is not here")
    page = opened(LESSON)
    frame = page.locator("iframe.sorl-page").nth(1)
    frame.scroll_into_view_if_needed()
    inside = frame.element_handle().content_frame()
    inside.get_by_role("button", name="Play from the point").click()
    inside.wait_for_function("() => document.body.innerText.includes('arrived')", timeout=60_000)


def test_the_arm_acts(built, opened):
    if not built.plays:
        pytest.skip("MuJoCo's build for browsers and three.js are not here")
    page = opened("the_arm.html")
    if not page.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
        pytest.skip("this Chromium has no WebGL, not even without a GPU")
    inside = page.locator("iframe.sorl-page").element_handle().content_frame()
    inside.wait_for_function("document.querySelector('main > div').playground.episode")
    inside.get_by_role("button", name="Act").click()
    inside.wait_for_function("() => Number.parseInt(document.querySelector('.step').innerText) > 2")


# -------------------------------------------------------------------------- what is built, and when


@pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")
def test_every_formula_of_the_course_can_be_set(built, tmp_path):
    if not built.plays:
        pytest.skip("KaTeX is not here")
    markdown = MarkdownIt().use(dollarmath_plugin)
    formulas = [
        token.content
        for notebook in notebooks.find(ROOT)
        for cell in notebooks.parsed(notebook.text()).cells
        if cell.cell_type == "markdown"
        for block in markdown.parse(cell.source)
        for token in (block, *(block.children or ()))
        if token.type in ("math_inline", "math_block")
    ]
    assert len(formulas) > 50
    script = tmp_path / "set.mjs"
    katex = str(built.to / "static" / "katex.min.js")
    script.write_text(
        "import { createRequire } from 'node:module'; import { readFileSync } from 'node:fs';\n"
        f"const katex = createRequire(import.meta.url)({katex!r});\n"
        "const set = JSON.parse(readFileSync(0)).map(f => katex.renderToString(f));\n"
        "console.log(JSON.stringify(set.length));\n"
    )
    assert node(script, formulas) == len(formulas)


def test_a_notebook_runs_only_when_something_changed(built, monkeypatch):
    (lesson,) = notebooks.find(built.root, ["0"])

    def execute(*_, **__):
        raise ConfigError("it runs")

    monkeypatch.setattr(notebooks, "execute", execute)
    kept = site.executed(lesson, built.to, play=built.plays)
    assert any(cell.get("outputs") for cell in kept.cells)
    text = lesson.text()
    lesson.source.write_text(text.replace("numbers.", "some numbers."))
    with pytest.raises(ConfigError, match="it runs"):
        site.executed(lesson, built.to, play=built.plays)
    lesson.source.write_text(text)


def test_a_page_of_a_notebook_that_is_gone_is_removed(tmp_path):
    for name in ("00_welcome", "07_gone", "mujoco.js", "old.html"):
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
    site._remove(tmp_path, keep={"00_welcome", "mujoco.js"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00_welcome", "mujoco.js"]


def test_a_notebook_with_an_error_is_no_page(built, tmp_path, monkeypatch):
    (lesson,) = notebooks.find(built.root, ["0"])
    failure = notebooks.Failure(3, "1 / 0", "ZeroDivisionError: division by zero")
    monkeypatch.setattr(
        notebooks,
        "execute",
        lambda notebook, cells: notebooks.Execution(notebook, 1.0, (failure,), cells),
    )
    with pytest.raises(ConfigError, match="00_welcome has errors:\ncell 3, at `1 / 0`: Zero"):
        site.executed(lesson, tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.md").write_text("# A page\n\n[nowhere](missing.md)\n")
    (tmp_path / "extra").mkdir()
    with pytest.raises(ConfigError, match=r"Sphinx can't build the site:[\s\S]*missing\.md"):
        site._sphinx(ROOT / "site", tmp_path / "source", tmp_path)


def test_all_assignments_of_the_course_lose_their_solutions():
    for notebook in notebooks.find(ROOT, ["A1", "A2", "A3"]):
        cells = notebooks.parsed(notebook.text())
        without_solutions(cells)
        left = json.dumps([cell.source for cell in cells.cells])
        for exercise in notebooks.exercises(notebook.text()):
            assert exercise.solution and json.dumps(exercise.solution)[1:-1] not in left


def test_the_toctree_has_every_page_of_the_reference():
    listed = re.findall(r"^(\w+) <\1>$", (ROOT / "site" / "api" / "index.md").read_text(), re.M)
    assert listed == list(site.API)


def test_the_command_builds_what_it_names(monkeypatch, capsys, tmp_path):
    asked = []

    def build(*words, **play):
        asked.append((words, play))
        return tmp_path

    monkeypatch.setattr(site, "build", build)
    site.main(["--root", str(ROOT), "--out", str(tmp_path), "--no-play", "5"])
    assert asked == [((ROOT, tmp_path, ["5"]), {"play": False})]
    assert f"{tmp_path} has index.html" in capsys.readouterr().out
