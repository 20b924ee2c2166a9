"""The command line that the long studies share: which pieces, and in which folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from sorl_edu.errors import UnknownName


def asked_for(
    arguments: Sequence[str] | None, about: str, known: Iterable[str], name: str, kind: str
) -> tuple[list[str], Path, Path]:
    """The pieces to do (all unless some are named), and the folders: runs/NAME and data/NAME.

    Raises:
        UnknownName: no such piece; what it is called is `kind`.
    """
    known = list(known)
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar=kind.upper(), help=", ".join(known))
    parser.add_argument("--runs", type=Path, default=Path("runs") / name)
    parser.add_argument("--out", type=Path, default=Path("data") / name)
    options = parser.parse_args(arguments)
    for piece in options.pieces:
        if piece not in known:
            raise UnknownName(kind, piece, known)
    return options.pieces or known, options.runs, options.out
