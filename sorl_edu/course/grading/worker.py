"""Runs a submission's answers behind the fence: cases come in, and arrays go out.

    python -m sorl_edu.course.grading.worker

It reads and writes frames (`messages.py`). The first has the submission's cells, which run; each of
the others puts a case to one of its answers. It grades nothing, and knows nothing to grade by: in
place of the checks, the submission imports a `Recorder`, which keeps the answer that it gets.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from sorl_edu.course.exercises import attempt as attempts
from sorl_edu.course.exercises.attempt import Feedback, Stopped, attempt
from sorl_edu.course.grading.messages import HEADER, pack, sizes, unpack
from sorl_edu.errors import DataError

EXERCISES = "sorl_edu.course.exercises"
VISIBLE = ("agent_training", "attempt", "given", "pictures", "shortcut_training")
"""The modules of exercises that answers may use. The others are not there behind a fence."""
COMPANIONS = {"assignment1": ("shortcut_training",), "assignment2": ("agent_training",)}
"""Where names of a module that is not there may be found, beside `given`."""
LARGEST_FILE = 100 * 2**20


def main() -> None:
    source, sink = _pipes()
    _limit()
    sys.meta_path.insert(0, _Exercises())
    first = unpack(_read(source), library=True)
    submission = Submission(first["imports"], first["answers"])
    for index, code in first["cells"]:
        sink(pack(["cell", index]))
        submission.run(index, code)
    sink(pack(["ready"]))
    while frame := _read(source):
        request = unpack(frame, library=True)
        try:
            reply = pack(["outputs", submission.attempt(**request)])
        except Stopped as stop:
            feedback = stop.feedback
            reply = pack(["stopped", feedback.status, feedback.text, feedback.error])
        except DataError as error:
            reply = pack(["stopped", "wrong", f"What it returns can't be handed over: {error}", ""])
        sink(reply)


def _pipes() -> tuple[BinaryIO, Callable[[bytes], None]]:
    """Where frames come from, and where they go. What is printed goes to standard error instead."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def send(frame: bytes) -> None:
        left = memoryview(frame)
        while left:
            left = left[os.write(sink, left) :]

    return source, send


def _read(source: BinaryIO) -> bytes:
    """The next frame; none at the end."""
    header = source.read(HEADER.size)
    return header and header + source.read(sum(sizes(header)))


def _limit() -> None:
    """No core dumps, and no files over 100 MB; what else is limited, the fence limits."""
    with contextlib.suppress(ImportError):  # on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


class Submission:
    """The namespace of a notebook, and the answers in it."""

    def __init__(self, imports: str, names: dict[str, tuple[str, str]]):
        """
        Args:
            imports: the code of the assignment's own cell of imports.
            names: for each exercise the check and the answer, as code: "exercises.path", "path".
        """
        self.names = names
        module = types.ModuleType("submission")
        sys.modules["submission"] = module  # dataclasses look their module up
        self.space = module.__dict__
        self.space |= {"display": print, "get_ipython": lambda: Recorder()}
        exec(compile(imports, "imports", "exec"), self.space)
        self.checks = {n: self._check(check) for n, (check, _) in names.items()}
        self.errors: list[str] = []

    def _check(self, code: str) -> Recorder:
        with contextlib.suppress(Exception):  # code on a check that is not here may fail
            found = eval(code, self.space)
            if isinstance(found, Recorder):
                return found
        return Recorder()

    def run(self, index: int, code: str) -> None:
        """Runs a cell; an error in it is kept for the feedback on answers that are missing."""
        try:
            exec(compile(code, f"cell {index}", "exec"), self.space)
        except BaseException as error:
            self.errors.append(f"cell {index} stopped with {attempts.error_name(error)}")

    def found(self, number: str) -> Any:
        """The answer that the exercise's check got last, or else what has the answer's name."""
        recorded = self.checks[number].answer
        return self.space.get(self.names[number][1]) if recorded is None else recorded

    def attempt(
        self, number: str, case: Sequence, probe: Callable, parts: int, library: Sequence[str]
    ) -> Any:
        """What an exercise's answer makes of a case.

        Raises:
            Stopped: it is missing or blank, or it raised an error.
        """
        answer = self.found(number)
        if answer is None:
            missing = f"there is no `{self.names[number][1]}` in the notebook"
            raise Stopped(Feedback("wrong", ". ".join([missing, *self.errors])))
        with self._without(library):
            try:
                return attempt(answer, *case, probe=probe, parts=parts, number=number)
            except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
                text = f"It ended Python ({type(error).__name__}): remove exit() and quit()."
                raise Stopped(Feedback("wrong", text)) from None

    @contextlib.contextmanager
    def _without(self, library: Sequence[str]) -> Iterator[None]:
        """Functions of the library that would be the answer say so while the block runs."""
        changed = []
        for name in library:
            module, _, attribute = name.partition(":")
            function = getattr(importlib.import_module(module), attribute)
            instead = _refusal(name.replace(":", "."))
            loaded = [vars(m) for n, m in [*sys.modules.items()] if n.startswith("sorl_edu")]
            for space in [*loaded, self.space]:
                for key in [k for k, value in space.items() if value is function]:
                    changed.append((space, key, function))
                    space[key] = instead
        for check in self.checks.values():
            if any(check.answer is function for _, _, function in changed):
                check.answer = instead
        try:
            yield
        finally:
            for space, key, function in changed:
                space[key] = function


def _refusal(name: str) -> Callable:
    def instead(*arguments: Any, **named: Any) -> None:
        raise PermissionError(f"{name} is what this exercise asks you to write")

    return instead


# ------------------------------------------------------------------- in place of the exercises


class Recorder:
    """In place of a check, or of anything else that is not here: keeps the answer that it gets.

    It is false, so that cells that wait for a right answer do nothing.
    """

    def __init__(self) -> None:
        self.answer: Any = None

    def __call__(self, answer: Any = None, *more: Any, **named: Any) -> Recorder:
        self.answer = answer
        return Recorder()

    def __getattr__(self, name: str) -> Recorder:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = Recorder()
        return self.__dict__[name]

    def __getitem__(self, key: Any) -> Recorder:
        return Recorder()

    def __bool__(self) -> bool:
        return False


class _Exercises(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of exercises that are not here: what visible ones have, and else recorders."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        package, _, module = name.rpartition(".")
        hidden = package == EXERCISES and module not in VISIBLE
        return importlib.machinery.ModuleSpec(name, self) if hidden else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return types.ModuleType(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        recorders: dict[str, Recorder] = {}
        hidden = module.__name__.rpartition(".")[2]
        companions = ("given", *COMPANIONS.get(hidden, ()))

        def attribute(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            for visible in companions:
                found = vars(importlib.import_module(f"{EXERCISES}.{visible}")).get(name)
                if getattr(found, "__module__", None) == f"{EXERCISES}.{visible}":
                    return found
            return recorders.setdefault(name, Recorder())

        module.__getattr__ = attribute


if __name__ == "__main__":
    main()
