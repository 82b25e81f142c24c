"""One unit of each group that shares its spikes."""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.data.caveats import PREPARED
from retina.data.cells import keep
from retina.data.number import is_number
from retina.data.quality.shared_spikes import WINDOW_S, shares, trains_of
from retina.errors import BadSetting
from retina.types import Recording


def unique(recording: Recording, value: float) -> Recording:
    """Drops a unit that shares more than this much of the smaller train with one kept.

    The units with the most spikes are kept first. A spike is shared where the other
    unit has one within 2 ms; training and validation spikes are looked at.

    raises: BadSetting for a share outside (0, 1), or where spike times are not known.
    """
    where = f"{recording.name}: unique = {value!r}"
    if not (is_number(value) and 0 < value < 1):
        raise BadSetting(f"{where}: wanted a share of the smaller train, in (0, 1)")
    trains = trains_of(recording)
    if trains is None:
        raise BadSetting(f"{where}: spike times are not published, only counts")
    each = np.nan_to_num(shares(trains))
    sizes = np.array([len(train) for train in trains])
    smaller = np.where(sizes[:, None] <= sizes[None], each, each.T)
    smaller = np.maximum(smaller, smaller.T)
    kept: list[int] = []
    for unit in np.argsort(-sizes, kind="stable"):
        if not any(smaller[unit, other] > value for other in kept):
            kept.append(int(unit))
    names = [cell.name for cell in recording.cells]
    dropped = [names[n] for n in range(len(names)) if n not in kept]
    made = keep(recording, sorted(kept))
    note = f"{PREPARED}left out {len(dropped)} units that share more than {value:.0%} "
    note += f"of the smaller train within {WINDOW_S * 1e3:g} ms with one kept"
    note += f": {', '.join(dropped)}" if dropped else ""
    return dataclasses.replace(made, notes=(*made.notes, note))
