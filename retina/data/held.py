"""A frame that stayed on the screen for several: a row for each tick of the clock."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from retina.data.finding import some
from retina.data.pulses import ticks, usual
from retina.movie import mapped

if TYPE_CHECKING:
    from retina.data.parts import Part

LONG = 1.5  # frames: what lasts longer stayed on for two, or its trigger was lost
PAUSE = 30.0  # frames, chosen: nobody can say that one frame stayed on for longer
FEW, OFF = 20, 0.01  # frames tell how long each lasts; a share that is worth a word
NEARLY = 0.1  # of a frame: times that differ more are of another clock than the card


def on_the_clock(part: Part, frame_s: float) -> tuple[Part, list[str]]:
    """A part whose rows last one frame each, and what is to be noted of it.

    A frame that stayed on for n becomes n rows, so that a bin is one frame long and the
    lags after it are right. One time that came late is none: see
    `retina.data.pulses.ticks`. One of more than 30 frames is a pause: no history
    crosses it, and what was said in it is not scored.

    frame_s: nominal seconds per frame.
    returns: a movie that is read from disk keeps its rows, which is noted. Onsets that
             do not fit are left for `Block` to tell.

    >>> from retina.data.parts import Part
    >>> made, _ = on_the_clock(Part(np.arange(3), np.array([0, 1, 3, 4.0])), 1.0)
    >>> made.stimulus.tolist(), made.onsets_s.tolist()
    ([0, 1, 1, 2], [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    onsets, frames = part.onsets_s, len(part.stimulus)
    if onsets.shape != (frames + 1,) or not np.all(np.diff(onsets) > 0):
        return part, []
    if not np.isfinite(onsets).all():
        return part, []
    lasts = np.diff(onsets) / frame_s
    # A stretch ends with its last frame, whenever the next one begins.
    lasts[[row - 1 for row in part.begin if 0 < row < frames]] = 1
    pauses, long = np.flatnonzero(lasts > PAUSE), lasts > LONG
    long[pauses] = False
    notes = [
        f"nothing is known to have been shown from frame {row} on "
        f"({onsets[row]:.3f} s), which lasts {lasts[row]:.3g} frames: history begins "
        "anew after it"
        for row in pauses
        if row + 1 < frames
    ]
    if len(notes) > 3:
        notes = [*notes[:3], f"{len(notes)} pauses in all"]
    each_s = usual(np.diff(onsets))
    if frames >= FEW and abs(each_s / frame_s - 1) > OFF:
        notes.append(
            f"a frame lasts {each_s:.6g} s by their times, but frame_s = {frame_s:.6g} "
            "on the card: what is told per second is as much off"
        )
    begin = sorted({*part.begin, *(int(n) + 1 for n in pauses if n + 1 < frames)})
    part = dataclasses.replace(part, begin=tuple(begin))
    tick_s = each_s if abs(each_s / frame_s - 1) < NEARLY else frame_s
    stayed = np.minimum(_stayed(onsets, begin, tick_s), np.rint(lasts))
    rows = np.where(long, stayed, 1).astype(int)
    long = rows > 1
    if not long.any():
        return part, notes
    which = some([f"{n} ({rows[n]})" for n in np.flatnonzero(long)], "frame")
    # As many times as frames cannot lack more than one, and only if they hold the end.
    lone = "; was a pulse missed there instead, and is the last one the end of the "
    lone += "last frame? Then write missed_pulses = true on the card, above its tables"
    lone = lone if rows.sum() == frames + 1 else ""
    if mapped(part.stimulus):
        notes.append(
            f"{which} stayed on for so many frames; the movie is read from disk and "
            f"keeps its rows: these bins are as many times too long{lone}"
        )
        return part, notes
    notes.append(
        f"{which} stayed on for so many frames: each becomes as many rows{lone}"
    )
    grown = np.concatenate([[0], np.cumsum(rows)])
    tick = np.arange(grown[-1]) - np.repeat(grown[:-1], rows)
    edges = np.repeat(onsets[:-1], rows) + tick * np.repeat(
        np.diff(onsets) / rows, rows
    )
    made = dataclasses.replace(
        part,
        stimulus=np.repeat(part.stimulus, rows, axis=0),
        onsets_s=np.append(edges, onsets[-1]),
        first=grown if part.first is None else grown[part.first],
        begin=tuple(int(grown[row]) for row in begin),
    )
    return made, notes


def _stayed(onsets: np.ndarray, begin: list[int], tick_s: float) -> np.ndarray:
    """(frame,) ticks for which each was on; the last before a beginning, one."""
    frames = len(onsets) - 1
    made = np.ones(frames, int)
    ends = [*sorted({0, *begin}), frames]
    for start, stop in zip(ends, ends[1:], strict=False):
        stop += stop == frames  # what ends with the recording has an end
        made[start : stop - 1] = ticks(onsets[start:stop], tick_s)
    return made
