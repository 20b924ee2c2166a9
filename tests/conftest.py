"""Every test also checks shapes and types: jaxtyping's annotations are enforced by beartype.

The import hook must be in place before anything imports `sorl_edu`.
"""

import json
import os
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from quick import QUICK, SHARED

if not any(word.startswith("--measured") for word in sys.argv):
    os.environ |= QUICK | SHARED  # before JAX reads it; programs that a test starts inherit it

import jax
import jaxtyping
from beartype import BeartypeConf, beartype


def checked(function):
    """beartype, except for `__init__`: JAX rebuilds pytree classes with leaves of other types."""
    if function.__name__ == "__init__":
        return function
    return beartype(function, conf=BeartypeConf(is_pep484_tower=True))  # an int may be a float


assert "sorl_edu" not in sys.modules, "sorl_edu was imported before its annotations are checked"
if "FUZZ" not in os.environ:  # a million files are read as users read them, ten times as fast
    jaxtyping.install_import_hook("sorl_edu", f"{__name__}.checked")
sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema does without, two seconds sooner

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from sorl_edu.datasets.transitions import Transitions  # noqa: E402
from sorl_edu.files import write_csv  # noqa: E402

MEASURED = pytest.StashKey[list[tuple[str, float, str]]]()
GROUP_SECONDS: dict[str, float] = defaultdict(float)
DURATIONS = Path(__file__).with_name("durations.json")


def pytest_addoption(parser):
    parser.addoption("--measured", metavar="FILE", help="write what was measured to a CSV")
    parser.addoption(
        "--write-durations",
        action="store_true",
        help=f"write each group's seconds to {DURATIONS.name}, which orders the next run",
    )


# ------------------------------------------------------------------------- which test runs when


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each process takes the next group of tests when it is done with one."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False  # groups are in the order of their tests
    return Groups(config, log)


WAITING = ("thorough", "release", "goals")  # markers of tests that run where they are asked for


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """What `make test` leaves out runs on request; in several processes, long groups run first."""
    mark_further_cases(items)
    for marker in WAITING:
        if marker not in config.option.markexpr:
            waiting = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=waiting)
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
    if hasattr(config, "workerinput"):
        seconds = json.loads(DURATIONS.read_text())
        usual = statistics.median(seconds.values())
        items.sort(key=lambda item: -seconds.get(group(item.nodeid), usual))


def mark_further_cases(items):
    """Of a test with `cases(n)`, all cases after the first n are thorough."""
    seen = defaultdict(int)
    for item in items:
        if few := item.get_closest_marker("cases"):
            test = item.nodeid.partition("[")[0]
            seen[test] += 1
            if seen[test] > few.args[0]:
                item.add_marker("thorough")


def group(nodeid: str) -> str:
    """The tests that one process runs in a row: those of a file, or of one notebook in a file."""
    file, _, test = nodeid.partition("::")
    notebook = re.search(r"\[((\d\d|A\d)_\w+)\]$", test)
    return f"{file}:{notebook[1]}" if notebook else file


def pytest_runtest_logreport(report):
    GROUP_SECONDS[group(report.nodeid)] += report.duration


# ----------------------------------------------------------------------------- what is measured


@pytest.fixture(scope="session")
def measured(pytestconfig):
    """Reports a number at the end, `measured(what, value, unit)`, which fails no test."""
    rows = pytestconfig.stash.setdefault(MEASURED, [])
    return lambda what, value, unit: rows.append((what, float(value), unit))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a process of pytest-xdist passes its rows on
        session.config.workeroutput["measured"] = session.config.stash.get(MEASURED, [])
    elif session.config.getoption("--write-durations"):
        known = json.loads(DURATIONS.read_text()) | GROUP_SECONDS
        lasting = {name: round(seconds) for name, seconds in known.items() if seconds >= 1}
        ordered = dict(sorted(lasting.items(), key=lambda entry: (-entry[1], entry[0])))
        DURATIONS.write_text(json.dumps(ordered, indent=1) + "\n")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    lines = getattr(node, "workeroutput", {}).get("measured", [])
    node.config.stash.setdefault(MEASURED, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    rows = sorted(config.stash.get(MEASURED, []))
    if rows:
        terminalreporter.section("measured")
        for what, value, unit in rows:
            terminalreporter.write_line(f"{what}: {value:.3g} {unit}")
    if file := config.getoption("--measured"):
        write_csv(pd.DataFrame(rows, columns=["what", "measured", "unit"]), file)


# ------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_end():
    """A file's compiled programs are freed after it: together, all take many gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def transitions() -> Transitions:
    """Six random trajectories of 20 rows, 3-wide observations and 2-wide actions."""
    rng = np.random.default_rng(0)
    rows = 120
    return Transitions.create(
        observations=rng.normal(size=(rows, 3)),
        actions=rng.uniform(-1, 1, size=(rows, 2)),
        rewards=rng.normal(size=rows),
        masks=rng.uniform(size=rows) > 0.1,
        terminals=np.arange(rows) % 20 == 19,
    )


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright; without either, its tests are skipped."""
    from helpers import CHROMIUM

    if CHROMIUM is None:
        pytest.skip("it takes chromium on the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]  # WebGL without a GPU
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()
