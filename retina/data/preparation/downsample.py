"""Fewer, larger pixels."""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.data.caveats import PREPARED
from retina.data.number import is_whole
from retina.errors import BadSetting
from retina.types import Recording

CHUNK = 2**26  # values at a time


def downsample(recording: Recording, value: int) -> Recording:
    """The mean over squares of `value` x `value` pixels.

    What does not fill a square at the last rows and columns is left out.

    raises: BadSetting for a square larger than the frame.

    >>> import retina
    >>> downsample(retina.load("simulated"), 2).frame
    (10, 10)
    """
    where = f"{recording.name}: downsample = {value!r}"
    if len(recording.frame) != 2:
        raise BadSetting(f"{where}: frames of shape {recording.frame} have no pixels")
    if not is_whole(value) or value < 1:
        raise BadSetting(f"{where}: wanted a whole number of pixels, 1 or more")
    size = int(value)
    height, width = (n // size for n in recording.frame)
    if not (height and width):
        raise BadSetting(f"{where} is larger than frames of {recording.frame}")
    blocks = tuple(
        dataclasses.replace(block, stimulus=_means(block.stimulus, size))
        for block in recording.blocks
    )
    note = f"{PREPARED}means of {size} x {size} pixels, {height} x {width} of them"
    um = recording.pixel_um
    return dataclasses.replace(
        recording,
        blocks=blocks,
        notes=(*recording.notes, note),
        pixel_um=None if um is None else um * size,
    )


def _means(stimulus: np.ndarray, size: int) -> np.ndarray:
    time, height, width = stimulus.shape
    rows, columns = height // size, width // size
    made = np.empty((time, rows, columns), np.float32)
    step = max(1, CHUNK // (height * width))
    for start in range(0, time, step):
        part = stimulus[start : start + step, : rows * size, : columns * size]
        squares = part.reshape(len(part), rows, size, columns, size)
        made[start : start + step] = squares.mean((2, 4), dtype=np.float32)
    return made
