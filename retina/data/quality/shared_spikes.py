"""Pairs of units that share spikes: one cell sorted twice, or two firing together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from retina.data.finding import Finding
from retina.types import Recording

WINDOW_S = 0.002
SHARE = 0.5


def shares(trains: Sequence[np.ndarray], window_s: float = WINDOW_S) -> np.ndarray:
    """Share of each unit's spikes that have one of another's within a window.

    trains:  per unit, sorted spike times in seconds, all on one clock.
    returns: (unit, unit); [i, j] is the share of i's spikes; 0 where it is surely below
             a quarter, nan on the diagonal and for a unit without spikes.

    >>> shares([np.array([0.1, 0.2]), np.array([0.1005, 0.5])])[0, 1]
    np.float64(0.5)
    """
    units = len(trains)
    sizes = np.array([len(train) for train in trains])
    found = np.zeros((units, units))
    found[sizes == 0] = np.nan
    np.fill_diagonal(found, np.nan)
    if not sizes.any():
        return found
    # Counts in bins of a window's width bound what can be shared: a partner lies in the
    # same bin or the next to it.
    start = min(train[0] for train in trains if len(train))
    bins = [((train - start) / window_s).astype(np.int64) for train in trains]
    last = max(int(one[-1]) for one in bins if len(one)) + 2
    which = np.repeat(np.arange(units), sizes)
    at = np.concatenate(bins)

    def table(shift: int) -> sparse.csr_matrix:
        ones = np.ones(len(at), np.float32)
        columns = np.clip(at + shift, 0, last)
        return sparse.csr_matrix((ones, (which, columns)), (units, last + 1))

    own = table(0)
    near = table(-1) + own + table(1)
    near.data[:] = 1
    possible = (own @ near.T).toarray() / np.maximum(sizes, 1)[:, None]
    for i, j in np.argwhere((possible >= SHARE / 2) & ~np.eye(units, dtype=bool)):
        found[i, j] = np.mean(_near(trains[i], trains[j], window_s))
    return found


def _near(one: np.ndarray, other: np.ndarray, window_s: float) -> np.ndarray:
    """Whether each time of `one` has one of `other` within the window."""
    after = np.searchsorted(other, one)
    gap = np.full(len(one), np.inf)
    for side in (after - 1, after):
        inside = (side >= 0) & (side < len(other))
        gap[inside] = np.minimum(
            gap[inside], np.abs(one - other[side % len(other)])[inside]
        )
    return gap <= window_s * (1 + 1e-9)


def trains_of(recording: Recording) -> list[np.ndarray] | None:
    """Per cell its spikes of all training and validation blocks; None where unknown.

    Blocks follow each other a second apart, whatever their own clocks.
    """
    parts: list[list[np.ndarray]] = [[] for _ in recording.cells]
    begin = 0.0
    for block in recording.blocks:
        if block.spikes is None:
            return None
        if block.role == "test":
            continue
        start, end = block.onsets_s[0], block.onsets_s[-1]
        for trial in block.spikes:
            for own, train in zip(parts, trial, strict=True):
                own.append(train[(train >= start) & (train < end)] - start + begin)
            begin += end - start + 1.0
    return [np.concatenate(own) if own else np.empty(0) for own in parts]


def shared_spikes(recording: Recording) -> Iterator[Finding]:
    """Pairs that share half of the smaller train, and half of the larger."""
    if recording.event != "spike" or len(recording.cells) < 2:
        return
    trains = trains_of(recording)
    if trains is None:
        text = "spike times are not published: whether units share spikes is not known"
        yield Finding("note", "shared", text)
        return
    each = np.nan_to_num(shares(trains))
    sizes = np.array([len(train) for train in trains])
    upper = np.triu_indices(len(trains), 1)
    small_first = sizes[:, None] <= sizes[None]
    smaller = np.where(small_first, each, each.T)[upper]
    larger = np.where(small_first, each.T, each)[upper]
    pairs = int((smaller > SHARE).sum())
    definition = (
        f"share more than {SHARE:.0%} of the smaller train, a spike being shared where "
        f"the other has one within {WINDOW_S * 1e3:g} ms"
    )
    if not pairs:
        yield Finding("ok", "shared", f"no two units {definition}")
        return
    worst = np.argsort(-smaller)[:3]
    names = [cell.name for cell in recording.cells]
    examples = ", ".join(
        f"{names[upper[0][k]]} and {names[upper[1][k]]} {smaller[k]:.0%}" for k in worst
    )
    yield Finding(
        "note",
        "shared",
        f"{pairs} pairs of units {definition}; {int((larger > SHARE).sum())} pairs "
        f"share as much of the larger. Most: {examples}. Leave one of each out before "
        "cells are coupled",
    )
