"""Every test also checks shapes and types: jaxtyping's annotations are enforced by beartype.

The import hook must be in place before anything imports `sorl_edu`.
"""

import sys

import jax
import jaxtyping
from beartype import BeartypeConf, beartype


def checked(function):
    """beartype, but for `__init__`: JAX rebuilds pytree classes with other leaves than arrays."""
    if function.__name__ == "__init__":
        return function
    return beartype(function, conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


# Most of the time goes into compiling small programs that run once.
jax.config.update("jax_disable_most_optimizations", True)

assert "sorl_edu" not in sys.modules, "sorl_edu was imported before its annotations are checked"
jaxtyping.install_import_hook("sorl_edu", f"{__name__}.checked")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from sorl_edu.datasets.transitions import Transitions  # noqa: E402
from sorl_edu.files import write_csv  # noqa: E402

MEASURED = pytest.StashKey[list[tuple[str, float, str]]]()


def pytest_addoption(parser):
    parser.addoption("--measured", metavar="FILE", help="write what was measured to a CSV")


@pytest.fixture(scope="session")
def measured(pytestconfig):
    """Tells a number at the end, `measured(what, value, unit)`. No test fails of one."""
    rows = pytestconfig.stash.setdefault(MEASURED, [])
    return lambda what, value, unit: rows.append((what, float(value), unit))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of pytest-xdist's processes hands it on
        session.config.workeroutput["measured"] = session.config.stash.get(MEASURED, [])


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


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_go():
    """Each file's are given back after it: all together they take many gigabytes."""
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
