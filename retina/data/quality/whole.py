"""Whether what is published as counts was counted, and in ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.types import GRADED, Recording

MANY = 50  # counts above 0, from which on a common divisor is no chance


def whole(recording: Recording) -> Iterator[Finding]:
    """Counts that are no whole numbers, or all multiples of one beyond 1.

    Means over trials, smoothed, or rates: counts over the seconds of a bin.

    >>> from retina.types import Block, Cell
    >>> counts = np.array([[[1.0, 0.5], [0.0, 2.0]]])
    >>> block = Block("a", "train", np.arange(2), np.arange(3.0), None, counts, 1.0)
    >>> recording = Recording("x", "none", (Cell("u"), Cell("v")), (block,), 1.0)
    >>> [found.text[:55] for found in whole(recording)]
    ["block 'a': 1 of 4 counts are no whole numbers, the firs"]
    """
    if recording.event == GRADED:
        return
    yield from _multiples(recording)
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


def _multiples(recording: Recording) -> Iterator[Finding]:
    """Counts of all blocks that share a divisor."""
    divisor, many, bin_s = 0, 0, 0.0
    for block in recording.blocks:
        if block.counts is None:
            return
        counts = block.counts[block.counts > 0]
        whole = np.rint(counts).astype(np.int64)
        if np.any(np.abs(counts - whole) > 1e-3 * counts):
            return
        divisor, many = int(np.gcd.reduce(whole, initial=divisor)), many + len(whole)
        bin_s = float(block.count_s or 0)
    if many < MANY or divisor < 2:
        return
    text = f"all counts are multiples of {divisor}"
    if abs(divisor * bin_s - 1) < 0.1:
        text += f", and a bin lasts 1/{1 / bin_s:.3g} s: rates per second"
    text += ": the counts of a bin are wanted; figures per spike would be too low"
    yield Finding("note", "whole", text)
