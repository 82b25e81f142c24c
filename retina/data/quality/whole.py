"""Whether what is published as counts was counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.types import GRADED, Recording


def whole(recording: Recording) -> Iterator[Finding]:
    """Counts that are no whole numbers: means over trials, rates, or smoothed.

    >>> from retina.types import Block, Cell
    >>> counts = np.array([[[1.0, 0.5], [0.0, 2.0]]])
    >>> block = Block("a", "train", np.arange(2), np.arange(3.0), None, counts, 1.0)
    >>> recording = Recording("x", "none", (Cell("u"), Cell("v")), (block,), 1.0)
    >>> [found.text[:55] for found in whole(recording)]
    ["block 'a': 1 of 4 counts are no whole numbers, the firs"]
    """
    if recording.event == GRADED:
        return
    names = np.array([cell.name for cell in recording.cells])
    for block in recording.blocks:
        counts = block.counts
        if counts is None or not np.issubdtype(counts.dtype, np.floating):
            continue
        broken = counts != np.rint(counts)
        if not broken.any():
            continue
        yield Finding(
            "note",
            "whole",
            f"block {block.name!r}: {int(broken.sum())} of {counts.size} counts are no "
            f"whole numbers, the first is {counts[broken][0]:.4g}; "
            f"{some(names[broken.any((0, 1))])}: a mean over trials, a rate, or "
            "smoothed? A likelihood of counts, bits per spike and the noise ceiling "
            'take them for counts; event = "graded" says that they are none',
        )
