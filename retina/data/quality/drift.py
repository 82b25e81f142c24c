"""Whether cells are still alike at the end of the training part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.types import Split

WINDOWS = 12
CHANGE = 2.0  # of the rate, from the first third to the last
SURE = 4.0  # standard errors, from the scatter of the windows themselves


def rates(made: Split, windows: int = WINDOWS) -> np.ndarray:
    """(window, cell) events per second in as many equal parts of the training bins."""
    counts = np.concatenate([clip.response[0, clip.skip :] for clip in made.train])
    windows = min(windows, len(counts))
    parts = np.array_split(counts, windows)
    return (
        np.array([part.mean(0, dtype=np.float64) for part in parts]) / made.spec.bin_s
    )


def drift(made: Split) -> Iterator[Finding]:
    """Cells whose rate doubles or halves within the training part.

    Models have one rate for it all; what drifts they cannot follow, and a test that was
    recorded late scores them low.
    """
    each = rates(made)
    third = len(each) // 3
    if third < 2:
        yield Finding("note", "drift", "the training part is too short to tell")
        return
    first, last = each[:third], each[-third:]
    off = last.mean(0) - first.mean(0)
    noise = np.sqrt((first.var(0, ddof=1) + last.var(0, ddof=1)) / third)
    with np.errstate(divide="ignore"):
        ratio = last.mean(0) / first.mean(0)
    large = (ratio > CHANGE) | (ratio < 1 / CHANGE)
    odd = large & (np.abs(off) > SURE * noise)
    whole = float(last.mean() / first.mean())
    said = f"mean rate of all cells, last third against first: {whole:.2f}"
    if odd.any():
        names = np.array([cell.name for cell in made.cells])
        worst = names[odd][np.argsort(-np.abs(np.log(ratio[odd] + 1e-9)))]
        yield Finding(
            "note",
            "drift",
            f"the rate doubles or halves in the training part: {some(worst)} "
            f"({int(odd.sum())} of {len(odd)} cells; {said})",
        )
    else:
        yield Finding("ok", "drift", f"{said}; no cell doubles or halves")
