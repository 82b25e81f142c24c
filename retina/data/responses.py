"""Counts as files hold them, made (trial, bin, cell) and as long as their stimulus."""

from __future__ import annotations

import numpy as np

from retina.data.card import Card
from retina.errors import BadResponse, ShapeMismatch
from retina.types import Cell


def counts(values: np.ndarray, axes: str, where: str) -> np.ndarray:
    """Counts with their axes in the order (trial, bin, cell).

    values: numbers.
    axes:   what its axes are, in their order: words of "trial", "bin" and "cell"; one
            trial where "trial" is not among them, one cell where "cell" is not.
    raises: ShapeMismatch; BadResponse for words that are no axes.

    >>> counts(np.zeros((3, 50)), "cell, bin", "here").shape
    (1, 50, 3)
    """
    words = [word.strip() for word in axes.split(",")]
    known = ["bin", "cell", "trial"]
    if "bin" not in words or sorted({*known, *words}) != known or _twice(words):
        raise BadResponse(
            f'{where}: the axes "{axes}" are not made of trial, bin and cell: write '
            'them in the order of the file, such as "cell, bin"'
        )
    given = values.shape
    if values.ndim != len(words):
        values = values.squeeze()  # MATLAB has no arrays of one axis
    if values.ndim != len(words):
        raise ShapeMismatch(f"{where}: shape {given} does not have axes ({axes})")
    if values.dtype.kind not in "biuf":
        raise BadResponse(f"{where}: counts are {values.dtype}, not numbers")
    for axis in ("trial", "cell"):
        if axis not in words:
            values, words = values[None], [axis, *words]
    return values.transpose([words.index(axis) for axis in ("trial", "bin", "cell")])


def _twice(words: list[str]) -> bool:
    return len(set(words)) < len(words)


def as_long(
    values: np.ndarray, frames: int, where: str, each: int = 1
) -> tuple[np.ndarray, str]:
    """Counts (trial, bin, cell) cut to their stimulus, and a note where one was cut.

    frames: of the stimulus, each of `each` bins. One bin more, a frame begun when the
            stimulus had ended, is dropped; any other difference is not guessed at.
    raises: ShapeMismatch.

    >>> as_long(np.zeros((1, 51, 3)), 50, "here")[1]
    'here: 51 bins for 50 frames of stimulus: the last bin was left out'
    """
    bins = values.shape[1]
    if bins == frames * each:
        return values, ""
    if each == 1 and bins == frames + 1:
        return values[:, :-1], (
            f"{where}: {bins} bins for {frames} frames of stimulus: the last bin was "
            "left out"
        )
    raise ShapeMismatch(
        f"{where}: {bins} bins for {frames} frames of stimulus: they must be as many"
    )


def cells(card: Card, number: int, first: int = 0) -> list[Cell]:
    """Cells named by their place in the file, with the types that the card knows."""
    return [
        Cell(str(i), card.cell_types.get(str(i), ""))
        for i in range(first, first + number)
    ]
