"""Movies on other clocks than their frames: rows taken again, or averaged.

Of a mapped movie they are written once and mapped, like what is put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retina.data.written import composed, digest, state
from retina.movie import PIECE, mapped, release, rows_of


def taken(stimulus: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """stimulus[rows], without holding it in memory where the stimulus is not.

    raises: UnwritableFolder.
    """
    if not _of_file(stimulus):
        return stimulus[rows]
    each = rows_of(stimulus, PIECE)

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, len(rows), each):
            yield np.asarray(stimulus[rows[at : at + each]])
            release(stimulus)

    shape = (len(rows), *stimulus.shape[1:])
    key = ("rows", 1, place(stimulus), digest(rows))
    return composed(key, "a movie on another clock", stimulus.dtype, shape, pieces())


def averaged(stimulus: np.ndarray, frames: int) -> np.ndarray:
    """Means over so many rows each, float32, as `taken` takes rows.

    raises: UnwritableFolder.
    """
    bins = len(stimulus) // frames

    def mean(rows: np.ndarray) -> np.ndarray:
        shape = (len(rows) // frames, frames, *rows.shape[1:])
        return rows.reshape(shape).mean(1, dtype=np.float32)

    if not _of_file(stimulus):
        return mean(stimulus)
    each = max(1, rows_of(stimulus, PIECE) // frames) * frames

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, bins * frames, each):
            yield mean(np.asarray(stimulus[at : at + each]))
            release(stimulus)

    key = ("means", 1, place(stimulus), frames)
    shape, kind = (bins, *stimulus.shape[1:]), np.dtype(np.float32)
    return composed(key, "a movie on a slower clock", kind, shape, pieces())


def _of_file(stimulus: np.ndarray) -> bool:
    """Whether the numbers are those of a file; a private mapping may hold others."""
    return mapped(stimulus) and stimulus.mode != "c"  # type: ignore[attr-defined]


def place(stimulus: np.ndarray) -> tuple[object, ...]:
    """Which numbers of which file a mapped array, or a view of it, shows."""
    of: np.memmap = stimulus  # type: ignore[assignment]
    begin = np.frombuffer(of._mmap, np.uint8).ctypes.data  # type: ignore[attr-defined]
    at = stimulus.__array_interface__["data"][0] - begin
    laid = (stimulus.shape, stimulus.strides, stimulus.dtype.str)
    return *state(Path(str(of.filename))), of.offset, at, *laid
