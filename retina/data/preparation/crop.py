"""A window of the frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from retina.data.caveats import PREPARED
from retina.data.number import is_whole
from retina.errors import BadSetting
from retina.types import Recording


def crop(recording: Recording, value: Sequence[int]) -> Recording:
    """Keeps the window (first row, first column, rows, columns) of every frame.

    raises: BadSetting for a window that does not lie in the frame.

    >>> import retina
    >>> crop(retina.load("simulated"), [2, 3, 10, 12]).frame
    (10, 12)
    """
    where = f"{recording.name}: crop = {value!r}"
    if len(recording.frame) != 2:
        raise BadSetting(f"{where}: frames of shape {recording.frame} have no window")
    each = isinstance(value, Sequence) and all(map(is_whole, value))
    if not each or len(value) != 4:
        raise BadSetting(f"{where}: wanted [first row, first column, rows, columns]")
    row, column, rows, columns = (int(n) for n in value)
    height, width = recording.frame
    inside = 0 <= row < row + rows <= height and 0 <= column < column + columns <= width
    if not inside:
        raise BadSetting(f"{where} does not lie in frames of {height} x {width}")
    window = (slice(None), slice(row, row + rows), slice(column, column + columns))
    blocks = tuple(
        dataclasses.replace(block, stimulus=block.stimulus[window])
        for block in recording.blocks
    )
    note = f"{PREPARED}rows {row}-{row + rows - 1}, columns {column}-"
    note += f"{column + columns - 1} of frames of {height} x {width}"
    return dataclasses.replace(recording, blocks=blocks, notes=(*recording.notes, note))
