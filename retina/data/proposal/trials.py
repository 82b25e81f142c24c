"""Files that say when trials begin, beside a table of spikes and one long movie."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from retina.data.proposal.guess import Guess, increases
from retina.data.proposal.seen import Seen, last
from retina.data.proposal.words import WORDS
from retina.data.pulses import usual
from retina.data.shown import in_order
from retina.data.trials import alike, clocks_of, first_frames
from retina.errors import BadStimulus

VALIDATION = 0.9  # of the frames that are not shown again and again
SAME = 10  # frames of a trial, where nothing else says that it is one


def starts(found: Sequence[Seen]) -> Seen | None:
    """When trials begin: a column or an array of a file that is named after them."""
    rows = [one for one in found if len(one.shape) == 1 and one.kind in "iuf"]
    # A column that is called start comes before one that only stands beside it.
    for one in sorted(rows, key=lambda one: not re.search("start|begin", one.name)):
        words = f"{one.file} {one.name}".lower()
        if re.search(WORDS["trial"] + "|" + WORDS["starts"], one.name.lower()):
            if re.search(r"trial|repeat", words) and re.search(WORDS["starts"], words):
                return one
        if not one.name and re.search(r"trial|repeat", one.file.lower()):
            return one
    return None


def few(found: Sequence[Seen], guess: Guess) -> Seen | None:
    """Times that are called onsets or so, beside those of frames, but fewer.

    They lie among those of the frames; or each is farther from the next than the movie
    lasts, and the first comes with its first frame.
    """
    for one in found:
        other = any(one is known for known in (guess.onsets, guess.spike_s))
        other = other or (guess.units and one.name.startswith(guess.units))
        other = other or re.search("spike|spk|frame|flip", last(one))
        if other or not re.search(WORDS["starts"], last(one)) or not increases(one):
            continue
        clock = guess.onsets or all_frames(found, guess, one)
        # Two may be when the recording began and ended.
        if clock is None or not 2 < one.shape[0] <= clock.shape[0] // 2:
            continue
        starts_s, times = (x.read().astype(np.float64) for x in (one, clock))
        each_s = usual(np.diff(times))
        early = starts_s[0] - times[0] >= -each_s
        within = early and starts_s[-1] <= times[-1]
        apart = np.diff(starts_s).min() > times[-1] - times[0]
        if within or apart and abs(starts_s[0] - times[0]) <= each_s:
            return one
    return None


def all_frames(found: Sequence[Seen], guess: Guess, begin: Seen | None) -> Seen | None:
    """Times of the frames of every trial, one after the other."""
    if begin is None:
        return None
    number = guess.frames * begin.shape[0]
    return next((one for one in found if one.shape == (number,)), None)


def with_trials(
    guess: Guess, onsets: Seen | None, begin: Seen, least: int = 2
) -> tuple[list[str], dict[str, Any]]:
    """Lines of the options, and the parts of a recording in trials.

    least: same frames that make a trial; a few are the same by chance.
    """
    frames, trials = guess.frames, begin.shape[0]
    again = dataclasses.replace(guess, trials=trials)
    if onsets is None or guess.onsets is None:
        return [], {"trials": again}  # of a length that frame_s has yet to say
    starts_s = np.sort(begin.read().astype(np.float64))
    clock = onsets.read().astype(np.float64)[:frames]
    if len(clock) < frames:
        raise BadStimulus(
            f"{onsets.file}: {guess.doubt}; then run this again: no frame of a "
            "trial can be told before"
        )
    if clocks_of(clock, starts_s, frames, guess.frame_s or 1.0) is not None:
        return [], {"trials": again}
    clock = np.append(clock, clock[-1] + (guess.frame_s or 1.0))
    first = first_frames(clock, starts_s, begin.file)
    shown = in_order(guess.stimulus.read(), guess.axes, begin.file)
    most = int(np.diff(first).min(initial=frames - first[0]))
    same = alike(shown, first, most)
    # One that the end of the movie cuts off does not say how long a trial is.
    ended = [n for n, row in zip(same, first, strict=True) if row + n < frames]
    each = min(ended or same)
    if each < least:
        raise BadStimulus(
            f"{begin.file}: the movie does not show the same frames at these "
            f"{trials} times: are they when trials begin, on the clock of "
            f"{onsets.file}?"
        )
    trials = int(np.sum(first + each <= frames))
    ends = [0, *(int(row) for one in first for row in (one, one + each)), frames]
    ends = [min(row, frames) for row in ends]
    gaps = tuple((a, b) for a, b in zip(ends[::2], ends[1::2], strict=True))
    if sum(b - a for a, b in gaps) < frames // 10:  # nothing else to fit to
        gaps = ()
    line = f"trial_frames = {each}"
    again = dataclasses.replace(again, frames=each, trials=trials)
    rest = {"": Gapped(guess, gaps)} if gaps else {}
    return [line], {**rest, "trials": again}


class Gapped:
    """A long stretch of which some frames belong to trials.

    gaps: [start, stop) of the others.
    """

    def __init__(self, guess: Guess, gaps: tuple[tuple[int, int], ...]):
        self.frames, self.cells, self.trials = guess.frames, guess.cells, 1
        self.frame_s, self.gaps, self.doubt = guess.frame_s, gaps, guess.doubt


def between(add: Any, name: str, one: Gapped, lead: int) -> None:
    """What is not shown again and again: the last tenth of it is the validation."""
    gaps = [(a + lead, b) for a, b in one.gaps if b - a > 2 * lead]
    left = round(VALIDATION * sum(b - a for a, b in gaps))
    roles: dict[str, list[tuple[int, int]]] = {"train": [], "validation": []}
    for a, b in gaps:
        cut = min(b, a + max(left, 0))
        left -= b - a
        roles["train"] += [(a, cut)] if cut > a else []
        begin = cut + lead if cut > a else a
        roles["validation"] += [(begin, b)] if b > begin and cut < b else []
    for role, ranges in roles.items():
        if ranges:
            add(role, name, *ranges)
