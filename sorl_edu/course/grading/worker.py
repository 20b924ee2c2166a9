"""Runs a submission's answers inside the sandbox and writes their outputs to files.

    python -m sorl_edu.course.grading.worker

It reads `request.json` in its folder, runs the submission's cells, and writes for each exercise
`NUMBER.npz`, the outputs on the hidden cases, or `NUMBER.json`, the reason why there are none. It
grades nothing: the process that started it compares the outputs with the solution's.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import sys
import types
from collections.abc import Iterator, Sequence
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
    submission = types.ModuleType("submission")
    sys.modules["submission"] = submission  # dataclasses look their module up
    space = submission.__dict__
    exec(compile(request["imports"], "imports", "exec"), space)
    load_library([source for _, source in request["cells"]])
    checks = {one["number"]: eval(one["check"], space) for one in request["exercises"]}
    for check in checks.values():
        check.prepare()
    jax.numpy.zeros(1).block_until_ready()  # starts JAX
    package = Path(sorl_edu.__file__).parent
    library = [path for path in package.iterdir() if path.name != "_data"]
    sandbox.lock(folder, [*library, package.parent / "notebooks", *map(Path, request["unread"])])

    errors = []
    for index, source in request["cells"]:
        try:
            exec(compile(source, f"cell {index}", "exec"), space)
        except Exception as error:
            errors.append(f"cell {index} stopped with {type(error).__name__}: {error}")
    for one in request["exercises"]:
        number = one["number"]
        (folder / f"{number}.tried").touch()
        answer = space.get(one["answer"])
        if answer is None:
            reason = f"there is no `{one['answer']}` in the notebook"
            _say(folder, number, "wrong", ". ".join([reason, *errors]))
            continue
        feedback, outputs = checks[number].run(answer, one["seed"])
        if feedback is not None:
            _say(folder, number, feedback.status, feedback.text, feedback.error)
            continue
        arrays = {
            f"{case}/{leaf}": np.asarray(value)
            for case, output in enumerate(outputs)
            for leaf, value in enumerate(jax.tree.leaves(output))
        }
        size = sum(array.nbytes for array in arrays.values())
        if size > sandbox.MAX_BYTES:
            text = f"It returns {size:,} bytes, far more than the exercise needs."
            _say(folder, number, "wrong", text)
            continue
        with atomic_write(folder / f"{number}.npz") as beside, open(beside, "wb") as file:
            np.savez(file, **arrays)


def load_library(cells: Sequence[str]) -> None:
    """Imports the parts of this library that cells name: nothing can read its files later.

    Names that don't exist are left to the cells, which then stop with an error of their own.
    """
    used: set[str] = set()  # all names, to find what a lazy package would import at their first use
    for source in cells:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            tree = ast.parse(source)
            used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
            for name in _imported(tree):
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] == "sorl_edu"]:
        for name in used.intersection(getattr(module, "__all__", ())):
            with contextlib.suppress(AttributeError, ImportError):
                getattr(module, name)


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of this library that a tree imports, or may: `from A import b` may mean A.b."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.split(".")[0] == "sorl_edu")


def _say(folder: Path, number: str, status: str, text: str, error: str = "") -> None:
    with atomic_write(folder / f"{number}.json") as beside:
        beside.write_text(json.dumps({"status": status, "text": text, "error": error}))


if __name__ == "__main__":
    main()
