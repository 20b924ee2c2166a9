"""Tables and manifests that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd


def write_text(text: str, path: Path) -> None:
    """Writes beside `path`, then renames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """A table without its index."""
    write_text(table.to_csv(index=False, float_format="%.6g"), path)
