"""Trials from one continuous recording, by the seconds at which they begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.data.caveats import CUT_OFF, DEVIATES
from retina.data.finding import some
from retina.data.held import LONG
from retina.data.parts import Part
from retina.data.pulses import ticks, usual
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
) -> tuple[Part, str]:
    """Showings of the same frames, on one clock, and what is to be noted of them.

    A trial in which other frames stayed on than in most saw another movie from there
    on: it is left out, unless fewer than half of the trials were left then. Times that
    jitter are no reason: see `retina.data.pulses.ticks`.

    clocks: (frame + 1,) seconds of each showing. trains: a cell's spikes each.
    returns: the clock begins with the first trial, and each frame lasts as long as in
             the median trial.
    """
    lasts = np.diff(np.asarray(clocks), axis=1)
    frame_s = usual(lasts)
    stayed = np.array([ticks(clock, frame_s) for clock in clocks])
    odd = stayed != np.sort(stayed, axis=0)[(len(stayed) - 1) // 2]  # than in most
    kept = np.flatnonzero(~odd.any(1))
    told = [_told(int(trial), stayed, odd) for trial in np.flatnonzero(odd.any(1))]
    note = some(told, "trial") if told else ""
    if 2 * len(kept) < len(clocks):
        kept = np.arange(len(clocks))
        note += ": too many to be left out, so their counts are of longer bins there"
    elif told:
        note += f": left out, {len(kept)} of {len(clocks)} trials are taken"
    # Of frames that lasted 1 in half of the trials and 2 in the others, never 1.5.
    each_s = np.nanmedian(np.where(odd, np.nan, lasts)[kept], axis=0)
    if not odd[kept].any():  # what each jitters must not add up
        each_s *= np.median(lasts[kept].sum(1)) / each_s.sum()
    onto = clocks[int(kept[0])][0] + np.concatenate([[0], np.cumsum(each_s)])
    rows = tuple(
        tuple(moved(_within(train, edges), edges, onto) for train in trains)
        for edges in (clocks[int(trial)] for trial in kept)
    )
    return Part(shown, onto, rows), note and f"{DEVIATES}{note}"


def _within(train: np.ndarray, edges: np.ndarray) -> np.ndarray:
    low, high = np.searchsorted(train, edges[[0, -1]])
    return train[low:high]


def _told(trial: int, stayed: np.ndarray, odd: np.ndarray) -> str:
    """A trial and its frames that stayed on, or did not, and for how many ticks."""
    frames = np.flatnonzero(odd[trial])
    which = ", ".join(f"{n} for {stayed[trial, n]}" for n in frames[:3])
    more = f" and {len(frames) - 3} more" if len(frames) > 3 else ""
    return f"{trial} (frame {which}{more})"


def within(
    part: Part, starts_s: np.ndarray, frames: int, where: str
) -> tuple[Part, str]:
    """The trials of a movie that shows the same frames again and again.

    part:     the whole movie and its one long trial.
    starts_s: (trial,) seconds, each within a frame of the onset of its first.
    frames:   of a trial.
    returns:  those of `together`. A trial that the end of the movie cuts off is left
              out.
    raises:   BadCard where that is no number of frames, or most trials run beyond the
              movie; BadStimulus for trials of other frames, or of each other's.
    """
    onsets = part.onsets_s
    if not np.all(np.diff(onsets) > 0):
        at = int(np.argmin(np.diff(onsets) > 0))
        raise BadStimulus(
            f"{where}: the times of frames do not rise: that of frame {at + 1} is "
            f"{onsets[at + 1]:g} s, after {onsets[at]:g} s: put them right"
        )
    first = first_frames(onsets, starts_s, where)
    if type(frames) is not int or frames < 1:
        raise BadCard(
            f"{where}: trial_frames = {frames!r}: how many frames has a trial?"
        )
    nearest = int(np.diff(first).min(initial=frames))
    if nearest < frames:
        raise BadStimulus(
            f"{where}: of trials of {frames} frames one begins {nearest} frames after "
            "another, so spikes would count twice: take out the starts that are there "
            "twice, or write a smaller trial_frames"
        )
    shown = part.stimulus[first[0] : first[0] + frames]
    each = np.array(alike(part.stimulus, first, frames))
    ends = np.minimum(frames, len(part.stimulus) - first)  # of a trial at the very end
    same = int(each.min())
    if np.any(each < ends):
        raise BadStimulus(
            f"{where}: the trials show other frames from frame {same} of a trial on: "
            "are these their starts, and the times of frames the true ones (a frame "
            "that was dropped shifts all after it)? "
            f"Else write trial_frames = {max(same, 1)}"
        )
    whole = ends == frames
    if 2 * whole.sum() < len(first) or whole.sum() < 2 <= len(first):
        raise BadCard(
            f"{where}: trial_frames = {frames}, but {len(part.stimulus)} frames are "
            f"shown and the last trial begins with frame {first.max()}: write a "
            "smaller one, or take out its start"
        )
    assert part.spikes is not None
    each_s = usual(np.diff(onsets))
    clocks = [_ended(onsets[row : row + frames + 1], each_s) for row in first[whole]]
    made, note = together(shown, clocks, part.spikes[0])
    if not whole.all():
        note = f"{CUT_OFF}{int(whole.sum())} of {len(first)} trials are whole" + (
            f"; {note}" if note else ""
        )
    return made, note


def _ended(edges: np.ndarray, frame_s: float) -> np.ndarray:
    """A pause before the next trial is no part of the last frame."""
    if edges[-1] - edges[-2] <= LONG * frame_s:
        return edges
    return np.append(edges[:-1], edges[-2] + frame_s)


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
