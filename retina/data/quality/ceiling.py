"""What the best model could reach on each cell, from the repeats alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.data.groups import by_group, same_trials
from retina.metrics.cc_max import cc_max
from retina.types import Split

LOW = 0.5
FEW = 4


def ceilings(made: Split) -> dict[str, np.ndarray]:
    """Per repeated group of test clips, (cell,) CC_max; nan where nothing repeats."""
    found = {}
    for group, clips in by_group(made.test).items():
        clips = same_trials(clips)
        if len(clips[0].response) < 2:
            continue
        response = np.concatenate(
            [clip.response[:, clip.skip :] for clip in clips], axis=1
        )
        found[group] = cc_max(np.zeros(response.shape[1:]), response)
    return found


def ceiling(made: Split) -> Iterator[Finding]:
    """The median over cells, with each cell's CC_max, and cells below a half."""
    names = np.array([cell.name for cell in made.cells])
    for group, reached in ceilings(made).items():
        unknown, low = np.isnan(reached), reached < LOW
        each = tuple(zip(names.tolist(), reached.tolist(), strict=True))
        if unknown.all():
            text = f"test {group!r}: no cell repeats itself more than chance would"
            yield Finding("note", "ceiling", text, each)
            continue
        text = (
            f"test {group!r}: CC_max {np.nanmedian(reached):.3f} (median), "
            f"{np.nanmin(reached):.3f} to {np.nanmax(reached):.3f}"
        )
        yield Finding("ok", "ceiling", text, each)
        if low.any():
            text = f"test {group!r}: CC_max below {LOW}: {some(names[low])}"
            yield Finding("note", "ceiling", text)
        if unknown.any():
            text = f"test {group!r}: no signal in the repeats: {some(names[unknown])}"
            yield Finding("note", "ceiling", text)
