"""What a fit tells of a shift by itself: of a few cells and of some bins, in a second.

`retina check` asks all of them.
"""

from __future__ import annotations

import dataclasses
from weakref import WeakKeyDictionary

import numpy as np

from retina.data.caveats import SHIFTED
from retina.data.groups import by_group
from retina.data.quality.shift import SHIFT, averages, between_parts, sides
from retina.types import GRADED, Clip, Split

CELLS = 6  # those with the most events
WORK = 3e9  # products of the averages at most: what a core does in half a second
FEW, MANY = 1000, 60_000  # bins; of fewer nothing is told, of more none is needed
PART = 4000  # bins of validation, and of each test group
NEAR = 0.1  # seconds either way

_said: WeakKeyDictionary[Split, list[str]] = WeakKeyDictionary()


def shifted(split: Split) -> list[str]:
    """One note where stimulus and response fit better when shifted, surely, or none.

    A split is looked at once, however many models are fitted to it. Graded responses
    have no number of events, by which an average could be sure: nothing is told then.
    """
    if split not in _said:
        texts = [] if split.spec.event == GRADED else _texts(split)
        note = f"{SHIFTED}{'; '.join(texts)} (retina check says more)"
        _said[split] = [note] if texts else []
    return _said[split]


def _texts(split: Split) -> list[str]:
    if sum(clip.bins for clip in split.train) < FEW:
        return []
    some = _some(split)
    if sum(clip.bins for clip in some.train) < FEW:
        return []
    found = averages(some)
    early, clear = sides(some, found, sure=True)
    # A shift is one of all cells.
    if early.sum() > clear.sum():
        return [
            "the spike-triggered averages peak in frames that came after the events"
        ]
    if not clear.any():
        return []
    furthest = max(round(NEAR / split.spec.bin_s), 3)
    parts = between_parts(some, found.past, clear, furthest)
    return [one.text for one in parts if one.text.endswith(SHIFT)]


def _some(split: Split) -> Split:
    """Views of the first bins of each part, and the cells that say the most."""
    counts = np.sum([c.response[:, c.skip :].sum((0, 1)) for c in split.train], axis=0)
    cells = np.sort(np.argsort(-counts, kind="stable")[:CELLS])
    lags = 2 * max(round(0.35 / split.spec.bin_s), 6)
    pixels = max(1, int(np.prod(split.spec.frame)))
    bins = min(int(WORK / (2 * lags * len(cells) * pixels)), MANY)
    part = min(bins, PART)
    return dataclasses.replace(
        split,
        spec=dataclasses.replace(split.spec, cells=len(cells)),
        train=_first(split.train, cells, bins),
        validation=_first(split.validation, cells, part),
        test=tuple(
            c
            for each in by_group(split.test).values()
            for c in _first(each, cells, part)
        ),
        cells=tuple(split.cells[n] for n in cells if split.cells),
    )


def _first(
    clips: tuple[Clip, ...] | list[Clip], cells: np.ndarray, bins: int
) -> tuple[Clip, ...]:
    kept = []
    for clip in clips:
        rows = min(len(clip.stimulus), bins)
        if rows <= clip.skip:
            break
        response = clip.response[:, :rows][..., cells]
        changed = {"stimulus": clip.stimulus[:rows], "response": response}
        kept.append(dataclasses.replace(clip, **changed))
        bins -= rows
    return tuple(kept)
