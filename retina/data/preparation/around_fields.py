"""The smallest window that holds the receptive fields of all cells."""

from __future__ import annotations

import math

from retina.data.number import is_number
from retina.data.preparation.crop import crop
from retina.data.quality.fields import receptive_fields
from retina.data.quality.shift import averages
from retina.data.split import split
from retina.errors import BadSetting
from retina.types import Recording


def around_fields(recording: Recording, value: float) -> Recording:
    """Crops to the centres of the receptive fields and so many s.d. around each.

    Fields are Gaussians fitted to the averages of the training part; a cell without one
    (`at_least = { field = true }` leaves it out) has no say.

    raises: BadSetting where no cell has a field.
    """
    where = f"{recording.name}: around_fields = {value!r}"
    if not (is_number(value) and value > 0):
        raise BadSetting(f"{where}: wanted a number of s.d., above 0")
    if len(recording.frame) != 2:
        raise BadSetting(f"{where}: frames of {recording.frame} have no fields")
    each = receptive_fields(averages(split(recording)).past)
    fields = [one for one in each if one is not None]
    if not fields:
        raise BadSetting(f"{where}: no cell has a receptive field in the frame")
    window = []
    for axis, size in enumerate(recording.frame):
        low = min(one.centre[axis] - value * one.sd[0] for one in fields)
        high = max(one.centre[axis] + value * one.sd[0] for one in fields)
        first = min(max(math.floor(low), 0), size - 1)
        window.append((first, max(min(math.ceil(high), size - 1), first)))
    (top, bottom), (left, right) = window
    return crop(recording, [top, left, bottom - top + 1, right - left + 1])
