"""Intervals between the spikes of one unit that no cell makes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.data.quality.shared_spikes import trains_of
from retina.types import Recording

REFRACTORY_S = 0.001
SAME, SHORT = 0.001, 0.1  # shares of a unit's intervals, beyond which it is told


def intervals(recording: Recording) -> Iterator[Finding]:
    """Units with spikes at one time, and with many within a millisecond.

    >>> from retina.types import Block, Cell
    >>> spikes = ((np.array([0.1, 0.1, 0.5, 0.5]),),)
    >>> block = Block("a", "train", np.arange(2), np.arange(3.0), spikes)
    >>> recording = Recording("x", "none", (Cell("u"),), (block,), 1.0)
    >>> [found.text[:48] for found in intervals(recording)]
    ['spikes of one unit at the same time, as a share ']
    """
    trains = trains_of(recording)
    if recording.event != "spike" or trains is None:
        return
    gaps = [np.diff(train) for train in trains]
    same = np.array([np.mean(gap == 0) if len(gap) else 0.0 for gap in gaps])
    short = np.array(
        [np.mean(gap[gap > 0] < REFRACTORY_S) if gap.any() else 0.0 for gap in gaps]
    )
    names = [cell.name for cell in recording.cells]
    for share, most, words, why in (
        (same, SAME, "at the same time", "listed twice, or times rounded?"),
        (short, SHORT, "within 1 ms", "more than one cell, or times in another unit?"),
    ):
        told = [
            f"{names[n]} {share[n]:.2g}"
            for n in np.argsort(-share, kind="stable")
            if share[n] > most
        ]
        if told:
            text = f"spikes of one unit {words}, as a share of its intervals: "
            yield Finding("note", "intervals", f"{text}{some(told)}: {why}")
    if not (same > SAME).any() and not (short > SHORT).any():
        text = f"at most {short.max():.1%} of a unit's intervals are under 1 ms"
        yield Finding("ok", "intervals", text)
