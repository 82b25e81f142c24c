"""Gratings that flicker: a new one every frame, in an order that the file tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retina.data.fixations import window
from retina.data.written import composed, digest
from retina.errors import BadStimulus, ShapeMismatch
from retina.movie import PIECE


class Order(NamedTuple):
    """Which grating was on in each frame, block after block.

    index:   (frame,) from 0. begin: the frames with which blocks begin.
    sampled: (frame,) whether the file has the counts of it.
    """

    index: np.ndarray
    begin: tuple[int, ...]
    sampled: np.ndarray


def order(windows: np.ndarray, gratings: int, where: str) -> Order:
    """The order of the frames from the history of each.

    windows: (frame, lag) the grating, from 1, of each frame that was counted and of
             those before it, the earliest first. A block begins where a history does
             not go on with the one before it; its own first frames were not counted.
    raises:  BadStimulus for a grating that there is not, or where most histories do not
             go on: their frames are in another order.

    >>> order(np.array([[1, 2], [2, 3], [3, 1], [2, 2]]), 3, "here").index.tolist()
    [0, 1, 2, 0, 1, 1]
    """
    whole = windows.astype(np.int64) - 1
    if whole.size and not 0 <= whole.min() <= whole.max() < gratings:
        raise BadStimulus(
            f"{where}: gratings {whole.min() + 1} to {whole.max() + 1} were shown, but "
            f"there are {gratings}"
        )
    lags = whole.shape[1]
    goes_on = (whole[1:, :-1] == whole[:-1, 1:]).all(1)
    if 2 * goes_on.sum() < len(goes_on):
        raise BadStimulus(
            f"{where}: {goes_on.sum()} of {len(goes_on)} histories go on with the one "
            "before; wanted most: write the frames of each with the earliest first, "
            "the histories as they were shown"
        )
    first = [0, *(np.flatnonzero(~goes_on) + 1).tolist()]
    ends = [*first[1:], len(whole)]
    pieces, begin, at = [], [], 0
    for start, stop in zip(first, ends, strict=True):
        pieces.append(np.concatenate([whole[start, :-1], whole[start:stop, -1]]))
        begin.append(at)
        at += len(pieces[-1])
    sampled = np.ones(at, bool)
    for row in begin:
        sampled[row : row + lags - 1] = False
    return Order(np.concatenate(pieces), tuple(begin), sampled)


def movie(
    info: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    index: np.ndarray,
    shrink: int,
    crop: list[int],
    where: str,
) -> np.ndarray:
    """The frames, averaged over squares of pixels, and of these a window.

    info:    (grating, 3): cycles per pixel, orientation and phase, in radians.
    x, y:    places of the screen's columns and rows, in pixels.
    shrink, crop: as of `retina.data.fixations.movie`.
    returns: (frame, height, width) float32 between -1 and 1; a large one is mapped.
    raises:  ShapeMismatch; BadCard; BadStimulus.
    source:  getGratingMatFromInfo.m of subunit_grid_model, Karamanlis et al. 2024.
    """
    if info.ndim != 2 or info.shape[1] != 3 or not len(x) or not len(y):
        raise ShapeMismatch(
            f"{where}: stiminfo {info.shape} must be (grating, 3), with spX and spY"
        )
    if not all(np.isfinite(one).all() for one in (info, x, y)):
        raise BadStimulus(f"{where}: stiminfo, spX or spY hold NaN or infinity")
    key = ("gratings", 1, digest(info), digest(x), digest(y), shrink, crop)
    top, left, tall, wide = window((len(y), len(x)), shrink, crop, where)
    y = y[top * shrink : (top + tall) * shrink, None]
    x = x[None, left * shrink : (left + wide) * shrink]

    def pieces() -> Iterator[np.ndarray]:
        each = np.empty((len(info), tall, wide), np.float32)
        for n, (cycles, turn, phase) in enumerate(info):
            along = 2 * np.pi * cycles * (x * np.cos(turn) + y * np.sin(turn)) + phase
            squares = np.sin(along).reshape(tall, shrink, wide, shrink)
            each[n] = squares.mean((1, 3))
        rows = max(1, PIECE // (tall * wide))
        for at in range(0, len(index), rows):
            yield each[index[at : at + rows]]

    shape, what = (len(index), tall, wide), f"the movie of {where}"
    return composed((*key, digest(index)), what, np.dtype("f4"), shape, pieces())
