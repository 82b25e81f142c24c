"""Cells that are good enough, by rules on the data alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from retina.data.caveats import PREPARED
from retina.data.cells import keep
from retina.data.number import is_number
from retina.data.quality.ceiling import ceilings
from retina.data.quality.fields import receptive_fields
from retina.data.quality.shift import averages
from retina.data.split import split
from retina.errors import BadSetting, nearest
from retina.types import Recording, Split

RULES = ("rate_hz", "cc_max", "field")


def at_least(recording: Recording, value: Mapping[str, Any]) -> Recording:
    """Keeps the cells that pass every rule given.

    rate_hz: events per second in the training part.
    cc_max:  noise ceiling in some repeated test group; a cell without one is left out.
    field:   true: a receptive field in the training part's average.

    No rule looks at a model. raises: BadSetting for an unknown rule, or where no cell
    passes.
    """
    where = f"{recording.name}: at_least"
    if not isinstance(value, Mapping) or not value:
        raise BadSetting(f"{where} = {value!r}: wanted a table of {', '.join(RULES)}")
    made = split(recording)
    good = np.ones(len(recording.cells), bool)
    for name, low in value.items():
        if name not in RULES:
            raise BadSetting(f"{where} has no rule {name!r}: {nearest(name, RULES)}")
        good &= _passed(made, name, low, where)
    if not good.any():
        raise BadSetting(f"{where} = {dict(value)} leaves no cell: lower the bars")
    chosen = [int(n) for n in np.flatnonzero(good)]
    kept = keep(recording, chosen)
    left = [cell.name for cell, ok in zip(recording.cells, good, strict=True) if not ok]
    rules = ", ".join(f"{name} {low}" for name, low in value.items())
    note = f"{PREPARED}{len(chosen)} of {len(good)} cells reach {rules}"
    note += f"; left out: {', '.join(left)}" if left else ""
    return dataclasses.replace(kept, notes=(*kept.notes, note))


def _passed(made: Split, name: str, low: Any, where: str) -> np.ndarray:
    if name == "field":
        if low is not True:
            raise BadSetting(f"{where}: field = {low!r}: write true, or leave it out")
        if len(made.spec.frame) != 2:
            raise BadSetting(f"{where}: field: frames of {made.spec.frame} have none")
        each = receptive_fields(averages(made).past)
        return np.array([one is not None for one in each])
    if not (is_number(low) and low >= 0):
        raise BadSetting(f"{where}: {name} = {low!r}: wanted a number, 0 or more")
    if name == "rate_hz":
        counts = np.concatenate([c.response[:, c.skip :].mean(0) for c in made.train])
        return counts.mean(0, dtype=np.float64) / made.spec.bin_s >= low
    reached = ceilings(made)
    if not reached:
        raise BadSetting(f"{where}: cc_max: no test block is repeated")
    return np.any([np.nan_to_num(each) >= low for each in reached.values()], axis=0)
