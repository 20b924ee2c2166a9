"""One progress bar: text in a terminal, a widget in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(*args, show: bool = True, **options) -> tqdm:
    """tqdm's bar for a terminal or a notebook.

    It is imported late: to find out which, tqdm imports Jupyter.
    """
    from tqdm.auto import tqdm

    return tqdm(*args, disable=not show, **options)
