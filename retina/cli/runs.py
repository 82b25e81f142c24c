"""What `fit`, `score`, `cost` and `simulate` share: a run and its recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retina.types import Split

ScoredBin = Annotated[
    float | None,
    typer.Option(
        "--bin-s",
        min=1e-4,
        max=1e4,
        help="Score in bins of so many seconds, a multiple of the run's own.",
    ),
]


def is_run(word: str) -> bool:
    """Whether a word names a folder rather than a model.

    >>> is_run("runs/ln-1"), is_run("ln"), is_run("lab/mine.py:mine")
    (True, False, False)
    """
    path = Path(word)
    file = word.endswith(".py") or ".py:" in word
    return path.is_dir() or (len(path.parts) > 1 and not file)


def divided(name: str, cells: str | None, bin_s: float | None) -> Split:
    """A recording by name, split: `retina.split(retina.load(...))`."""
    from retina.data.load import load
    from retina.data.split import split

    return split(load(name, cells=cells), bin_s)
