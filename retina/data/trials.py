"""Trials from one continuous recording, by the seconds at which they begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.data.parts import Part
from retina.errors import BadCard, BadStimulus, ShapeMismatch


def moved(train: np.ndarray, edges: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Spikes of one showing at the times of another: in the same place of their frame.

    edges, onto: (frame + 1,) seconds of both showings.

    >>> moved(np.array([10.5]), np.array([10.0, 11]), np.array([0.0, 2])).tolist()
    [1.0]
    """
    place = np.arange(len(edges), dtype=np.float64)
    return np.interp(np.interp(train, edges, place), place, onto)


def together(
    shown: np.ndarray, clocks: Sequence[np.ndarray], trains: Sequence[np.ndarray]
) -> Part:
    """Showings of the same frames, on the clock of the first.

    clocks: (frame + 1,) seconds of each showing. trains: a cell's spikes each.
    """
    return Part(
        shown,
        clocks[0],
        tuple(
            tuple(
                moved(
                    train[slice(*np.searchsorted(train, edges[[0, -1]], "left"))],
                    edges,
                    clocks[0],
                )
                for train in trains
            )
            for edges in clocks
        ),
    )


def within(part: Part, starts_s: np.ndarray, frames: int, where: str) -> Part:
    """The trials of a movie that shows the same frames again and again.

    part:     the whole movie and its one long trial.
    starts_s: (trial,) seconds, each within a frame of the onset of its first.
    frames:   of a trial.
    raises:   BadCard where that is no number of frames, or a trial runs beyond the
              movie; BadStimulus for trials of other frames, or of each other's.
    """
    onsets = part.onsets_s
    first = first_frames(onsets, starts_s, where)
    if type(frames) is not int or not 0 < frames <= len(part.stimulus) - first.max():
        raise BadCard(
            f"{where}: trial_frames = {frames!r}, but {len(part.stimulus)} frames are "
            f"shown and the last trial begins with frame {first.max()}: how many "
            "frames has a trial?"
        )
    nearest = int(np.diff(first).min(initial=frames))
    if nearest < frames:
        raise BadStimulus(
            f"{where}: of trials of {frames} frames one begins {nearest} frames after "
            "another, so spikes would count twice: take out the starts that are there "
            "twice, or write a smaller trial_frames"
        )
    shown = part.stimulus[first[0] : first[0] + frames]
    same = min(alike(part.stimulus, first, frames))
    if same < frames:
        raise BadStimulus(
            f"{where}: the trials show other frames from frame {same} of a trial on: "
            f"are these their starts? Else write trial_frames = {same}"
        )
    assert part.spikes is not None
    usual = float(np.median(np.diff(onsets)))
    clocks = [_ended(onsets[row : row + frames + 1], usual) for row in first]
    return together(shown, clocks, part.spikes[0])


def _ended(edges: np.ndarray, frame_s: float) -> np.ndarray:
    """A pause before the next trial is no part of the last frame."""
    return np.append(edges[:-1], min(edges[-1], edges[-2] + frame_s))


def alike(stimulus: np.ndarray, first: np.ndarray, frames: int) -> list[int]:
    """Of each trial, how many frames it begins with that the first trial had too."""
    shown = np.asarray(stimulus[first[0] : first[0] + frames])
    found = []
    for row in first:
        other = np.asarray(stimulus[row : row + frames])
        same = (other == shown[: len(other)]).reshape(len(other), -1).all(1)
        found.append(int(np.argmin(same)) if not same.all() else len(other))
    return found


def first_frames(onsets: np.ndarray, starts_s: np.ndarray, where: str) -> np.ndarray:
    """(trial,) the frame whose onset is nearest to each start.

    onsets: (frame + 1,) seconds.
    raises: BadStimulus where no frame begins within a frame of a start.
    """
    begin = onsets[:-1]
    right = np.clip(np.searchsorted(begin, starts_s), 1, max(len(begin) - 1, 1))
    right = np.minimum(right, len(begin) - 1)
    left = np.maximum(right - 1, 0)
    nearer = starts_s - begin[left] < begin[right] - starts_s
    first = np.where(nearer, left, right)
    off = np.abs(begin[first] - starts_s)
    if off.max() > np.median(np.diff(onsets)):
        worst = int(np.argmax(off))
        raise BadStimulus(
            f"{where}: trial {worst} begins at {starts_s[worst]:g} s, but the nearest "
            f"frame at {begin[first[worst]]:g} s: are both in seconds, on one clock?"
        )
    return first


def clocks_of(
    given: np.ndarray | None, starts_s: np.ndarray, frames: int, frame_s: float
) -> list[np.ndarray] | None:
    """Of a movie that each trial shows whole, (frame + 1,) seconds of each trial.

    given:   times of frames: of one showing, or of all one after the other; None for
             frames that follow each other by frame_s.
    returns: None where the movie is longer than from one start to the next by these
             times: then the trials lie within it.
    raises:  ShapeMismatch for another number of times.
    """
    trials = len(starts_s)
    if given is not None and trials > 1 and len(given) == trials * frames:
        rows = given.reshape(trials, frames)
        return [np.append(row, row[-1] + frame_s) for row in rows]
    if given is None:
        given = np.arange(frames) * frame_s
    if len(given) not in (frames, frames + 1):
        raise ShapeMismatch(
            f"{len(given)} times of frames for {frames} frames and {trials} trials: "
            "give one for each frame of the movie, or of every showing of it"
        )
    lasts = given[frames - 1] - given[0]
    if trials > 1 and lasts > np.diff(starts_s).min():
        return None
    once = np.append(given[:frames], given[frames - 1] + frame_s) - given[0]
    return [start + once for start in starts_s]
