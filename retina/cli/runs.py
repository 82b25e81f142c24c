"""What `fit`, `score`, `cost` and `simulate` share: a run and its recording."""

from __future__ import annotations

from pathlib import Path

from retina.types import Split


def is_run(word: str) -> bool:
    """Whether a word names a folder rather than a model."""
    path = Path(word)
    return path.is_dir() or (len(path.parts) > 1 and not word.endswith(".py"))


def divided(name: str, cells: str | None, bin_s: float | None) -> Split:
    """A recording by name, split: `retina.split(retina.load(...))`."""
    from retina.data.load import load
    from retina.data.split import split

    return split(load(name, cells=cells), bin_s)
