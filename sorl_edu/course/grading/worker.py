"""Inside the grader's sandbox: runs a submission's answers and hands over what they gave.

    python -m sorl_edu.course.grading.worker

reads `request.json` in its folder, runs the submission's cells, and writes for each exercise
`NUMBER.npz`, what the answer gave on the hidden cases, or `NUMBER.json`, why there is nothing. It
judges nothing: what is right is known to the process that started it, and is not in here.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import types
from pathlib import Path

import jax
import numpy as np

import sorl_edu
from sorl_edu.course.grading import sandbox
from sorl_edu.files import atomic_write


def main() -> None:
    folder = Path.cwd()
    request = json.loads((folder / "request.json").read_text())
    sandbox.end_with(request["grader"])
    package = Path(sorl_edu.__file__).parent
    for module in pkgutil.walk_packages([str(package)], "sorl_edu."):
        if not module.name.startswith(
            ("sorl_edu.experiments", "sorl_edu.cli", "sorl_edu.course.notebooks")
        ):
            importlib.import_module(module.name)  # later its files can't be read
    submission = types.ModuleType("submission")
    sys.modules["submission"] = submission  # where a dataclass looks for its module
    space = submission.__dict__
    exec(compile(request["imports"], "imports", "exec"), space)
    checks = {one["number"]: eval(one["check"], space) for one in request["exercises"]}
    for check in checks.values():
        check.prepare()
    jax.numpy.zeros(1).block_until_ready()  # JAX has started
    library = [path for path in package.iterdir() if path.name != "_data"]
    sandbox.lock(folder, [*library, package.parent / "notebooks", *map(Path, request["unread"])])

    stopped = []
    for index, source in request["cells"]:
        try:
            exec(compile(source, f"cell {index}", "exec"), space)
        except Exception as error:
            stopped.append(f"cell {index} stopped with {type(error).__name__}: {error}")
    for one in request["exercises"]:
        number = one["number"]
        (folder / f"{number}.tried").touch()
        answer = space.get(one["answer"])
        if answer is None:
            reason = f"there is no `{one['answer']}` in the notebook"
            _say(folder, number, "wrong", ". ".join([reason, *stopped]))
            continue
        feedback, given = checks[number].run(answer, one["seed"])
        if feedback is not None:
            _say(folder, number, feedback.status, feedback.text)
            continue
        arrays = {
            f"{case}/{leaf}": np.asarray(value)
            for case, outcome in enumerate(given)
            for leaf, value in enumerate(jax.tree.leaves(outcome))
        }
        size = sum(array.nbytes for array in arrays.values())
        if size > sandbox.MAX_BYTES:
            _say(folder, number, "wrong", f"It returns {size:,} bytes, far more than is asked for.")
            continue
        with atomic_write(folder / f"{number}.npz") as beside, open(beside, "wb") as file:
            np.savez(file, **arrays)


def _say(folder: Path, number: str, status: str, text: str) -> None:
    with atomic_write(folder / f"{number}.json") as beside:
        beside.write_text(json.dumps({"status": status, "text": text}))


if __name__ == "__main__":
    main()
