"""A lesson stands alone: it loads JAX, NumPy, jaxtyping, `errors` and the lessons before it."""

import subprocess
import sys

import pytest

LOADS = {
    "flow_matching": {"flow_matching"},
    "shortcut": {"errors", "flow_matching", "shortcut"},
    "temporal_difference": {"errors", "temporal_difference"},
    "inference": {"errors", "inference"},
    "expressive_value": {
        *("errors", "flow_matching", "temporal_difference", "inference"),
        "expressive_value",
    },
    "finite_mdp": {"errors", "finite_mdp"},
    "imitation": {"errors", "finite_mdp", "imitation"},
}
BELOW = {"jax", "jaxtyping", "wadler_lindig", "lazy_loader"}  # wadler_lindig is jaxtyping's

SCRIPT = """
import sys
import jax, jax.numpy, jaxtyping, numpy
before = set(sys.modules)
import sorl_edu.{lesson}
print(*set(sys.modules) - before)
"""


@pytest.mark.parametrize("lesson", LOADS)
def test_a_lesson_loads_nothing_but_the_lessons_before_it(lesson):
    script = SCRIPT.format(lesson=lesson)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    ours = {name.removeprefix("sorl_edu.") for name in loaded if name.startswith("sorl_edu.")}
    assert ours == LOADS[lesson]
    packages = {name.partition(".")[0] for name in loaded} - {"sorl_edu"}
    assert packages <= BELOW
