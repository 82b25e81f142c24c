"""Stretches and trials in which nothing was recorded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.types import Block, Recording

# A gap is odd where chance would leave it once in e^30 tries, and the block has few
# like it: ganglion cells fall silent together, but not so long.
RARE, LONGER = 30.0, 3.0
FEW = 0.2  # of what the other trials hold
EXPECTED = 10  # events of a cell per trial, from which on none is odd


def silence(recording: Recording) -> Iterator[Finding]:
    """Gaps of the whole population, and trials without a cell's events.

    A gap is told where it is at least three times as long as the tenth longest of its
    block: the clock, an amplifier or a sorter's cut, not the cells.
    """
    found = False
    for block in recording.blocks:
        for trial in range(block.trials):
            for text in _gaps(block, trial):
                found = True
                yield Finding("note", "silence", text)
        if block.role == "test" and block.trials > 2:
            for text in _dead(block, [cell.name for cell in recording.cells]):
                found = True
                yield Finding("note", "trials", text)
    if not found:
        yield Finding("ok", "silence", "no gap in any block, no dead trial")


def _gaps(block: Block, trial: int) -> Iterator[str]:
    at = events(block, trial)
    start, end = block.onsets_s[0], block.onsets_s[-1]
    at = at[(at >= start) & (at <= end)]
    which = f"block {block.name!r}"
    if block.trials > 1:
        which += f", trial {trial + 1}"
    if not len(at):
        yield f"{which}: no cell has an event"
        return
    edges = np.concatenate([[start], at, [end]])
    gaps = np.diff(edges)
    per_s = len(at) / (end - start)
    usual = np.sort(gaps[1:-1])[-10] if len(gaps) > 20 else np.inf
    odd = np.flatnonzero(gaps > max(RARE / per_s, LONGER * usual))
    for gap in odd[:3]:
        where = f"from {edges[gap]:.2f} to {edges[gap + 1]:.2f} s"
        if gap == 0:
            where = f"in the first {gaps[0]:.2f} s"
        yield (
            f"{which}: no cell has an event {where}, of {per_s:.3g} events/s in all"
            f"{_history(block, edges[gap + 1])}"
        )


def _history(block: Block, until_s: float) -> str:
    scored = block.onsets_s[block.lead]
    return " (history only, not scored)" if until_s <= scored else ""


def events(block: Block, trial: int) -> np.ndarray:
    """When any cell had an event in a trial, in seconds, sorted.

    Of counts, the start of each bin that holds one.
    """
    if block.spikes is not None:
        return np.sort(np.concatenate(block.spikes[trial]))
    assert block.counts is not None and block.count_s is not None
    heard = np.flatnonzero(block.counts[trial].sum(-1) > 0)
    return block.onsets_s[0] + heard * block.count_s


def _dead(block: Block, names: list[str]) -> Iterator[str]:
    held = per_trial(block)
    whole = held.sum(1)
    low = np.flatnonzero(whole < FEW * np.median(whole))
    for trial in low[:3]:
        yield (
            f"block {block.name!r}: trial {trial + 1} holds {whole[trial]:.0f} events, "
            f"the others {np.median(whole):.0f}"
        )
    usual = np.median(held, axis=0)
    alive = np.delete(held, low, axis=0)
    mute = (alive == 0).any(0) & (usual >= EXPECTED)
    if mute.any():
        yield (
            f"block {block.name!r}: silent in some trials, while others hold "
            f"{EXPECTED} events or more: {some(np.array(names)[mute])}"
        )


def per_trial(block: Block) -> np.ndarray:
    """(trial, cell) events of a block."""
    if block.counts is not None:
        return block.counts.sum(1, dtype=np.float64)
    assert block.spikes is not None
    start, end = block.onsets_s[0], block.onsets_s[-1]
    return np.array(
        [
            [float(np.sum((train >= start) & (train < end))) for train in trial]
            for trial in block.spikes
        ]
    )
