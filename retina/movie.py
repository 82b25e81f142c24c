"""Stimuli larger than memory: mapped from their file, gone through in pieces."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

LARGE = 2**28  # bytes from which on an array of a file is mapped rather than loaded
PIECE = 2**23  # numbers of a piece, 64 MB as float64
# Numbers of a stimulus that a model is given at once where it goes through a clip, 64
# MB as float32. A clip is cut by its size alone, wherever it lies, so that a mapped
# movie gives the very numbers of a loaded one.
STRETCH = 2**24


def mapped(stimulus: np.ndarray) -> bool:
    """Whether an array's numbers lie in a file and are read when they are touched.

    >>> mapped(np.zeros(3))
    False
    """
    return getattr(stimulus, "_mmap", None) is not None


def release(stimulus: np.ndarray) -> None:
    """Takes what was read of a mapped array off this process's account.

    The system's own copy of the file stays while there is room for it.
    """
    advice = getattr(mmap, "MADV_DONTNEED", None)  # not on Windows
    # A private mapping ("c") would lose what was written to it.
    if advice is not None and mapped(stimulus) and stimulus.mode != "c":  # type: ignore
        stimulus._mmap.madvise(advice)  # type: ignore[attr-defined]


def pieces(
    stimulus: np.ndarray, numbers: int = PIECE, rows: int | None = None
) -> Iterator[np.ndarray]:
    """The rows of a stimulus in order, some at a time; use each before the next.

    stimulus: (time, *frame).
    numbers:  of a piece at most, but a row at least.
    rows:     of a piece at most.

    >>> [len(piece) for piece in pieces(np.zeros((5, 3)), numbers=7)]
    [2, 2, 1]
    """
    each = rows_of(stimulus, numbers)
    if rows is not None:
        each = min(each, rows)
    for start in range(0, len(stimulus), each):
        yield stimulus[start : start + each]
        release(stimulus)


def stretches(stimulus: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Which rows, and the rows, of the stretches that a model goes through in order."""
    begin = 0
    for piece in pieces(stimulus, STRETCH):
        rows = slice(begin, begin + len(piece))
        # A device may keep what it is given without a copy of its own.
        yield rows, np.array(piece) if mapped(stimulus) else piece
        begin = rows.stop


def rows_of(stimulus: np.ndarray, numbers: int) -> int:
    """Rows of a stimulus that hold so many numbers; at least 1.

    >>> rows_of(np.zeros((5, 3)), 7)
    2
    """
    return max(1, numbers // max(1, int(np.prod(stimulus.shape[1:]))))
