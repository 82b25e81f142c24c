"""Whether frames last as long as the card says: gaps, dropped and repeated frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding
from retina.data.held import LONG
from retina.data.pulses import usual
from retina.movie import PIECE, release, rows_of
from retina.types import Block, Recording

# Two equal frames in a row are worth a word where a stimulus does that hardly ever.
RARE = 0.01
# No display shows one frame for so long, and no model could follow; chosen.
SLOW_S = 5.0
OFF = 1e-3  # of a frame: more, and spikes of a long block drift out of their bins


def clock(recording: Recording) -> Iterator[Finding]:
    """Frames that last too long or are shown twice, and the mean frame.

    >>> from retina.types import Cell
    >>> onsets = np.array([0, 0.1, 0.2, 0.4, 0.5])
    >>> block = Block("a", "train", np.arange(4.0), onsets, ((np.array([0.3]),),))
    >>> recording = Recording("x", "none", (Cell("0"),), (block,), 0.1)
    >>> [found.text for found in clock(recording)][0]
    "block 'a': frame 2 lasts 2 frames, from 0.200 s on"
    """
    sound = True
    for block in recording.blocks:
        for text in (*_long(block, recording.frame_s), *_held(block)):
            sound = False
            yield Finding("note", "clock", text)
    means = [(usual(np.diff(one.onsets_s)), one.name) for one in recording.blocks]
    mean, name = max(means, key=lambda one: abs(one[0] - recording.frame_s))
    off = mean / recording.frame_s - 1
    if mean >= SLOW_S:
        yield Finding(
            "wrong",
            "clock",
            f"a frame lasts {mean:.4g} s: are the times in milliseconds? Every figure "
            "per second would be 1000 times too small: give all of them, and frame_s, "
            "in seconds",
        )
    elif abs(off) > OFF:
        level = "wrong" if abs(off) > 10 * OFF else "note"
        yield Finding(
            level,
            "clock",
            f"block {name!r}: a frame lasts {mean:.6g} s, the card says frame_s = "
            f"{recording.frame_s:.6g}",
        )
    elif sound:
        yield Finding("ok", "clock", f"every frame lasts {recording.frame_s:.4g} s")


def _long(block: Block, frame_s: float) -> Iterator[str]:
    lasts = np.diff(block.onsets_s) / frame_s
    at = np.flatnonzero(lasts > LONG)
    for frame in at[:3]:
        yield (
            f"block {block.name!r}: frame {frame} lasts {lasts[frame]:.3g} frames, "
            f"from {block.onsets_s[frame]:.3f} s on"
        )
    if len(at) > 3:
        yield f"block {block.name!r}: {len(at)} frames in all last too long"


def _by_chance(rows: np.ndarray) -> float:
    """Equal neighbours among independent frames, of the values that there are."""
    if rows.shape[1] > 1:
        return 0.0  # of several pixels: no two frames are equal by chance
    counts = np.unique(rows, return_counts=True)[1]
    return float((counts * (counts - 1.0)).sum() / len(rows))


def _held(block: Block) -> Iterator[str]:
    rows = block.stimulus.reshape(len(block.stimulus), -1)
    if len(rows) < 2:
        return
    same, each = [], rows_of(rows, PIECE)
    for start in range(0, len(rows) - 1, each):
        piece = rows[start : start + each + 1]
        same.append(np.all(piece[1:] == piece[:-1], axis=1))
        release(rows)
    at = np.flatnonzero(np.concatenate(same)) + 1
    if _by_chance(rows) > 0.5:
        return
    if 0 < len(at) < max(2, RARE * len(rows)):
        frames = ", ".join(str(frame) for frame in at[:8])
        more = f" and {len(at) - 8} more" if len(at) > 8 else ""
        yield (
            f"block {block.name!r}: frame {frames}{more} (counted from 0) is the same "
            "as the one before: one frame that stayed on for two"
        )
