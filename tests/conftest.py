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
import pytest  # noqa: E402

from sorl_edu.datasets.transitions import Transitions  # noqa: E402

MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def measured(pytestconfig):
    """Adds a line to what is printed at the end. Times are told there; no test fails of them."""
    return pytestconfig.stash.setdefault(MEASURED, []).append


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of pytest-xdist's processes hands it on
        session.config.workeroutput["measured"] = session.config.stash.get(MEASURED, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    lines = getattr(node, "workeroutput", {}).get("measured", [])
    node.config.stash.setdefault(MEASURED, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash.get(MEASURED, []):
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


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
