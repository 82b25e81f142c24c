"""Which arrays are spike times: of all cells in one, or one for each cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from retina.data.proposal.seen import Seen, last
from retina.data.proposal.words import WORDS
from retina.data.units import numbered


def labelled(flat: Sequence[Seen]) -> tuple[Seen, Seen | None, Seen | None] | None:
    """Times of all cells in one row, and of each spike its cell and its trial."""
    times = [one for one in flat if one.kind == "f"]
    times = [one for one in times if re.search(WORDS["spike_s"], last(one))]
    if not times:
        return None
    time = times[0]
    alike = [one for one in flat if one.shape == time.shape and one is not time]
    picked: list[Seen | None] = []
    for what in ("cell", "trial"):
        named = [one for one in alike if re.search(WORDS[what], last(one))]
        picked.append(next((one for one in named if one.kind in "iuf"), None))
    return time, picked[0], picked[1]


def in_units(found: Sequence[Seen]) -> tuple[str, int]:
    """What the arrays of one cell's spikes each begin with, and how many there are.

    ("", 0) where there are none. A cell array of several axes is none: one would be of
    trials.
    """
    whole = WORDS["spike_s"] + "|" + WORDS["cell"] + "|" + WORDS["counts"]
    for one in found:
        row = one.kind == "cell" and len(one.shape) == 1
        if row and re.search(whole, last(one)):
            return one.name, one.shape[0]
    starts: dict[str, list[Seen]] = {}
    for one in found:
        if one.kind in "iuf" and len(one.shape) == 1:
            for start in dict.fromkeys((_numberless(one.name), _folder(one.name))):
                starts.setdefault(start, []).append(one)
    for start, own in sorted(starts.items(), key=lambda item: -len(item[1])):
        cells = numbered(one.name.removeprefix(start) for one in own)
        several = [one for one in own if one.name.removeprefix(start) in cells]
        told = re.search(whole, start.rstrip("/_.-").lower())
        if start.strip("/") and told and len(several) > 1:
            if all(_sorted(one.read()) for one in several):
                return start, len(several)
    return "", 0


def _numberless(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _folder(name: str) -> str:
    return name.rpartition("/")[0] + "/"


def _sorted(values: np.ndarray) -> bool:
    """Whether times are in order, or too few to say so."""
    return bool(np.all(np.diff(values.astype(np.float64)) >= 0))
