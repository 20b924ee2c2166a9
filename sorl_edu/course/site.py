"""The course as static pages: `make site`, or `python -m sorl_edu.course.site`.

The folder that is written has, beside each other:

    executed   the notebooks with their outputs, kept until their text, library or data change
    extra      the pages in frames: the notebooks' explorers and playgrounds, the front page's
    source     what Sphinx reads, in the repository's own layout, with the settings of site/conf.py
    html       the site, which any static host serves, and which loads nothing from another host
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import importlib.util
import io
import itertools
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sorl_edu import programs
from sorl_edu.course import notebooks, shipped
from sorl_edu.course.build import without_solutions
from sorl_edu.course.notebooks import Notebook
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import check
from sorl_edu.files import atomic_write
from sorl_edu.widgets import DrawYourOwn, Explorer, Playground, RobotPlayground
from sorl_edu.widgets.page import document
from sorl_edu.widgets.playground.packages import MUJOCO, THREE, Package, archive

if TYPE_CHECKING:
    from nbformat import NotebookNode

PAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DESIGN.md",
    "notebooks/GLOSSARY.md",
    "notebooks/INSTRUCTORS.md",
    "data/README.md",
    "data/claims/README.md",
    "data/robots/README.md",
    "data/baselines/README.md",
    "data/evor/README.md",
    "data/imitation/README.md",
)
"""The repository's pages that are the site's, too, beside the notebooks and what is in site/."""
WIDGETS = "widgets"
"""The folder of the pages in frames, on the site."""
FRONT = f"{WIDGETS}/playground/index.html"
KATEX = Package(
    name="katex",
    version="0.19.1",
    sha256="24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd",
    files=("katex.min.js", "katex.min.css"),
    script="katex.min.js",
)
MAX_BYTES = 25_000_000
"""The most that a site may have, compressed."""
LIBRARY = Path(__file__).resolve().parents[1]
API = (
    *("flow_matching", "shortcut", "temporal_difference", "inference"),
    *("policy_extraction", "denoising", "expressive_value", "finite_mdp", "imitation"),
    *("networks", "agents", "datasets", "environments", "training", "evaluation"),
    *("plotting", "widgets", "experiments", "errors"),
)
"""The modules and packages of the API reference, a page each. `course` has the solutions."""
MADE_FROM = "made_from"  # what a kept notebook's metadata say
FRAME = '<iframe class="sorl-page" src="{source}" title="{title}" loading="lazy"></iframe>'
# The first cell of an executed notebook; it is on no page.
SHOW_PAGES = """\
import pathlib
from sorl_edu.course import site
site.show_pages(pathlib.Path({folder!r}), {address!r}, play={play!r})
del pathlib, site
"""
AUTOMODULE = """\
```{{eval-rst}}
.. automodule:: {name}
   :{members}:
```"""
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[)#])")  # a link to a file, in Markdown
_BADGE = re.compile(r"^\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\).*$", re.MULTILINE)


def build(root: Path, to: Path, names: Sequence[str] = (), *, play: bool = True) -> Path:
    """Builds the site.

    Args:
        root: the repository's folder.
        to: the folder to write to.
        names: the notebooks, see `notebooks.find`; all lessons and assignments unless given.
        play: whether playgrounds play, and formulas are set. npm then fetches MuJoCo and KaTeX.

    Returns:
        the folder of the site.

    Raises:
        ConfigError: `root` is not the repository's folder, or there is no such notebook; a notebook
            fails; npm can't fetch something; Sphinx finds something wrong, such as a link that
            leads nowhere; the site is larger than `MAX_BYTES`.
    """
    root, to = root.resolve(), to.resolve()
    chosen, repository = notebooks.find(root, names), notebooks.repository(root)
    source, pages = to / "source", to / "extra" / WIDGETS
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "site", source)
    for notebook in chosen:
        made = executed(notebook, to, play=play)
        _write_page(
            source / notebook.address, _as_page(made, root / notebook.address, root, repository)
        )
    known = {notebook.name for notebook in notebooks.find(root)}  # others may be built next time
    _remove(pages, keep=known | {"playground", "robot", MUJOCO.script, THREE.script})
    _front_page(pages / "playground", play)
    _arm(pages / "robot", play)
    for page in PAGES:
        if (root / page).exists():
            text = (root / page).read_text(encoding="utf-8")
            _write_page(source / page, _linked(text, root / page, root, repository))
            _copy_pictures(text, root / page, source / page)
    for name in API:
        _write_page(source / "api" / f"{name}.md", _reference(f"sorl_edu.{name}"))
    shutil.rmtree(to / "static", ignore_errors=True)
    if play:
        _write_katex(to / "static")
    built = _sphinx(root / "site", source, to)
    check_size(built)
    return built


def executed(notebook: Notebook, to: Path, *, play: bool = True) -> NotebookNode:
    """A notebook with its outputs, whose explorers and playgrounds are pages in frames.

    It runs unless to/executed has it as its text, the library and the data are now. An assignment
    runs without its solutions.

    Args:
        notebook: a lesson or an assignment.
        to: the folder to write to.
        play: whether playgrounds play.

    Raises:
        ConfigError: a cell fails.
    """
    import nbformat

    file, pages = to / "executed" / notebook.ipynb.name, to / "extra" / WIDGETS / notebook.name
    current = _digest(notebook, play)
    if file.exists():
        kept = nbformat.read(file, as_version=4)
        if kept.metadata.get(MADE_FROM) == current:
            return kept
    shutil.rmtree(pages, ignore_errors=True)
    cells = notebooks.parsed(notebook.text())
    if notebook.folder == "assignments":
        without_solutions(cells)
    address = "../" * notebook.address.count("/") + f"{WIDGETS}/{notebook.name}"
    show = SHOW_PAGES.format(folder=str(pages), address=address, play=play)
    cells.cells.insert(0, nbformat.v4.new_code_cell(show))
    execution = notebooks.execute(notebook, cells=cells)
    check(
        not execution.failures,
        f"{notebook.name} has errors:\n" + "\n".join(map(str, execution.failures)),
    )
    print(f"{notebook.name}: {execution.seconds:.0f} s", flush=True)
    del cells.cells[0]
    cells.metadata.pop("widgets", None)  # without a kernel no widget answers
    cells.metadata[MADE_FROM] = current
    _write_page(file, nbformat.writes(cells))
    return cells


def show_pages(folder: Path, address: str, *, play: bool) -> None:
    """In a kernel: from now on explorers and playgrounds are displayed as pages in frames.

    Args:
        folder: the folder of the pages, which are numbered.
        address: that folder as seen from the notebook's page.
        play: whether playgrounds play.
    """
    from IPython import get_ipython
    from IPython.display import HTML, display

    number = itertools.count(1)

    def explorer_page(explorer: Explorer) -> str:
        name = f"{next(number)}.html"
        slow = {p.name: p.start for p in explorer.parameters if p.slow}
        explorer.to_html(folder / name, show=False, **slow)
        return name

    def playground_page(playground: Playground) -> str:
        name = f"{next(number)}/index.html"
        _write_playground(playground, (folder / name).parent, "../..", play)
        return name

    def drawing_page(drawing: DrawYourOwn) -> str:
        name = f"{next(number)}.html"
        drawing.to_html(folder / name)
        return name

    def framed(write_page: Callable[..., str]) -> Callable[..., None]:
        def show(widget) -> None:
            source = f"{address}/{write_page(widget)}"
            display(HTML(FRAME.format(source=source, title=html.escape(widget.title))))

        return show

    formatter = get_ipython().display_formatter.ipython_display_formatter
    formatter.for_type(Explorer, framed(explorer_page))
    formatter.for_type(Playground, framed(playground_page))
    formatter.for_type(DrawYourOwn, framed(drawing_page))


def _write_playground(playground: Playground, folder: Path, packages_in: str, play: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if play:
        playground.to_folder(folder, packages_in=packages_in)
    else:
        playground.to_html(folder / "index.html")


def _front_page(folder: Path, play: bool) -> None:
    """The playground of the front page, with lesson 0's agent."""
    agent, state, info = shipped.agent("narrow")
    _write_playground(Playground(agent, state, info.environment), folder, "..", play)


def _arm(folder: Path, play: bool) -> None:
    """The page of lesson 6's arm, which is there to play."""
    folder.mkdir(parents=True, exist_ok=True)
    if play:
        agent, state, info = shipped.robot("cube", 2)
        RobotPlayground(agent, state, info.environment).to_folder(folder, packages_in="..")
    else:
        said = "<p>This copy of the site was built without physics.</p>\n"
        _write_page(folder / "index.html", document("The arm", "", said, ""))


def _digest(notebook: Notebook, play: bool) -> str:
    """What a notebook's outputs depend on: its text, the library's files and the shipped data."""
    digest = hashlib.sha256(f"{notebook.text()}{play}".encode())
    for folder in (LIBRARY, shipped_data()):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def _as_page(notebook: NotebookNode, file: Path, root: Path, repository: str) -> str:
    """An executed notebook as Sphinx reads it: its links lead to pages or to the repository."""
    import nbformat

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _BADGE.sub(r"[Open in Colab](\1)", cell.source)
            cell.source = _linked(cell.source, file, root, repository)
        elif "setup" in cell.metadata.get("tags", ()):
            cell.metadata.tags.append("remove-cell")  # a page installs nothing
        for output in cell.get("outputs", ()):
            for widget in [kind for kind in output.get("data", {}) if "widget-view" in kind]:
                del output.data[widget]
    return nbformat.writes(notebook)


def _reference(name: str) -> str:
    """The API reference of a module, or of a package with a section for each of its modules."""
    found = importlib.util.find_spec(name)
    parts = [
        f"# {name}",
        AUTOMODULE.format(
            name=name, members="no-members" if found.submodule_search_locations else "members"
        ),
    ]
    for module in pkgutil.walk_packages(found.submodule_search_locations or (), f"{name}."):
        if not module.ispkg:
            parts += [f"## {module.name}", AUTOMODULE.format(name=module.name, members="members")]
    return "\n\n".join(parts) + "\n"


def _linked(text: str, file: Path, root: Path, repository: str) -> str:
    """Markdown whose links to files that are no pages of the site lead to the repository.

    Args:
        text: the Markdown of a file.
        file: where it is in the repository.
        root: the repository's folder.
        repository: its address.
    """

    def address(link: re.Match) -> str:
        target = (file.parent / link[1]).resolve()
        if not target.is_relative_to(root) or not target.exists():
            return link[1]  # Sphinx says so
        inside = target.relative_to(root).as_posix()
        if inside in PAGES or target.suffix in (".ipynb", ".png", ".gif"):
            return link[1]
        return f"{repository}/{'tree' if target.is_dir() else 'blob'}/main/{inside}"

    return _LINK.sub(address, text)


def _copy_pictures(text: str, file: Path, copy: Path) -> None:
    """Copies the pictures that a page shows to the copy of the page."""
    for link in _LINK.findall(text):
        if Path(link).suffix in (".png", ".gif"):
            (copy.parent / link).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.parent / link, copy.parent / link)


def _write_katex(folder: Path) -> None:
    """Writes KaTeX's script, its style sheet and its fonts, which set formulas in a browser."""
    with tarfile.open(fileobj=io.BytesIO(archive(KATEX))) as opened:
        for member in opened.getmembers():
            name = member.name.removeprefix("package/dist/")
            if name in KATEX.files or re.fullmatch(r"fonts/\w+-\w+\.woff2", name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(opened.extractfile(member).read())


def _sphinx(settings: Path, source: Path, to: Path) -> Path:
    """Runs Sphinx, which takes a warning for an error, and returns the folder of the site."""
    built = to / "html"
    shutil.rmtree(built, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "--fresh-env"]
    command += ["-c", str(settings), "-d", str(to / "doctrees")]
    command += ["-D", f"html_extra_path={to / 'extra'}"]
    if (to / "static").exists():
        command += ["-t", "katex", "-D", f"html_static_path=static,{to / 'static'}"]
    command += [str(source), str(built)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    check(done.returncode == 0, f"Sphinx can't build the site:\n{done.stdout}{done.stderr}")
    return built


def compressed(folder: Path) -> int:
    """The bytes of all files in a folder as a web server sends them, each compressed."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def check_size(folder: Path) -> None:
    """Raises ConfigError if a site has more than `MAX_BYTES` compressed."""
    found = compressed(folder)
    check(
        found <= MAX_BYTES,
        f"the site has {found / 1e6:.1f} MB compressed, more than {MAX_BYTES / 1e6:.0f}",
    )


def _write_page(file: Path, text: str) -> None:
    with atomic_write(file) as beside:
        beside.write_text(text, encoding="utf-8")


def _remove(folder: Path, keep: Iterable[str]) -> None:
    """Removes what is in a folder, except for some names."""
    for path in folder.glob("*"):
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("."), help="the repository's folder")
    parser.add_argument("--out", type=Path, default=Path("build/site"), help="folder to write to")
    parser.add_argument("--no-play", dest="play", action="store_false", help="needs no npm")
    parser.add_argument("notebooks", nargs="*", help="by number or name; all by default")
    chosen = parser.parse_args(arguments)
    site = build(chosen.root, chosen.out, chosen.notebooks, play=chosen.play)
    print(f"{site} has index.html: open it in a browser, or publish the folder.")


if __name__ == "__main__":
    programs.run(main)
