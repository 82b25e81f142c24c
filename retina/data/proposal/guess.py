"""Which array is what: by its name, its shape, and what its numbers do.

A guess is a proposal that a person looks at; what cannot be guessed stays None.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from retina.data.proposal.axes import FRAMES, counts_axes, stimulus_axes
from retina.data.proposal.seen import Seen, last
from retina.data.proposal.spiking import in_units, labelled
from retina.data.proposal.words import FULL_FIELD, WORDS
from retina.data.pulses import filled, miscounted, usual

_CALLED = re.compile(f"{WORDS['stimulus']}|{FULL_FIELD}")


@dataclasses.dataclass(frozen=True)
class Guess:
    """One stretch: names of arrays by what they are, and what follows from them.

    axes:  of the stimulus, and of the counts, in the words of a card.
    sure:  whether the order of the axes could be told.
    called: whether the name of the stimulus, or its axes, say that it is one.
    named: whether the name of the counts says that they are.
    each:  bins of a frame, of the counts.
    units: what the names of arrays of one cell's spikes each begin with.
    doubt: what is wrong with the onsets; "" where they are as many as the frames.
    """

    stimulus: Seen
    frames: int
    axes: str
    counts: Seen | None = None
    counts_axes: str = ""
    cells: int | None = None
    trials: int = 1
    spike_s: Seen | None = None
    spike_cell: Seen | None = None
    spike_trial: Seen | None = None
    units: str = ""
    onsets: Seen | None = None
    frame_s: float | None = None
    sure: bool = True
    called: bool = True
    named: bool = True
    each: int = 1
    doubt: str = ""

    @property
    def heard(self) -> bool:
        return bool(self.counts or self.spiking)

    @property
    def spiking(self) -> bool:
        return bool(self.spike_s or self.units)


def stretches(found: Sequence[Seen]) -> dict[str, Guess]:
    """One guess for each group of arrays that begin alike, such as train/ and test/.

    Where only one group has a stimulus, all arrays are taken together, as "".
    """
    groups: dict[str, list[Seen]] = {}
    for one in found:
        prefix = re.split(r"[./]", one.name)[0] if re.search(r"[./]", one.name) else ""
        groups.setdefault(prefix, []).append(one)
    made = {name: guess for name, own in groups.items() if (guess := guess_of(own))}
    whole = {name: one for name, one in made.items() if one.heard}
    if len(whole) > 1:
        return whole
    one = guess_of(list(found))
    return {"": one} if one else {}


def guess_of(found: Sequence[Seen], source: str = "") -> Guess | None:
    """None where nothing looks like a stimulus.

    source: the one file whose arrays may be spikes; "" for any.
    """
    numbers = [one for one in found if one.kind in "biuf"]
    shown = _stimulus(numbers)
    shown = shown or _full_field(numbers)
    if shown is None:
        return None
    called = len(shown.shape) > 1 or bool(_CALLED.search(last(shown)))
    others = [one for one in numbers if one is not shown]
    flat = [one for one in others if len(one.shape) == 1]
    onsets = next(
        (
            one
            for one in _named(flat, "onsets")
            if one.shape[0] - 1 in shown.shape or one.shape[0] in shown.shape
            if one.shape[0] >= FRAMES  # not as many as there are columns of pixels
            if _increases(one.read())
        ),
        None,
    )
    counted = [one for one in others if _counted(one) and not _clock(one)]
    frames, axes, sure = stimulus_axes(shown, onsets, counted)
    frame_s, doubt = None, ""
    if onsets is None:
        onsets, doubt = _nearly(flat, frames)
    if onsets is not None:
        frame_s = usual(np.diff(onsets.read().astype(np.float64)))
    told: dict[str, Any] = {"frame_s": frame_s, "doubt": doubt, "called": called}
    told["onsets"] = onsets
    own = [one for one in found if source in ("", one.file)]
    spikes = labelled([one for one in flat if one is not onsets and one in own])
    if spikes:
        times, cell, trial = spikes
        who = cell.read() if cell else None
        return Guess(
            *(shown, frames, axes),
            cells=len(np.unique(who)) if who is not None else 1,
            trials=int(np.ptp(trial.read())) + 1 if trial else 1,
            spike_s=times,
            spike_cell=cell,
            spike_trial=trial,
            sure=sure,
            **told,
        )
    start, units = in_units([one for one in own if one not in (shown, onsets)])
    if units:
        return Guess(shown, frames, axes, cells=units, units=start, sure=sure, **told)
    heard = [o for o in others if len(o.shape) in (1, 2, 3) and not _clock(o)]
    for one in _named(heard, "counts"):
        binned = counts_axes(one, frames)
        if binned and (binned[-1] == 1 or frame_s and one in counted):
            words, cells, trials, clear, each = binned
            return Guess(
                *(shown, frames, axes, one, words, cells, trials),
                sure=sure and clear,
                named=one in counted,
                each=each,
                **told,
            )
    return Guess(shown, frames, axes, sure=sure, **told)


def _stimulus(found: Sequence[Seen]) -> Seen | None:
    long = [one for one in found if max(one.shape, default=0) >= FRAMES]
    calls = [one for one in long if re.search(WORDS["stimulus"], last(one))]
    calls = [one for one in calls if not re.search(WORDS["onsets"], last(one))]
    films = [one for one in long if len(one.shape) in (3, 4) and not _counted(one)]
    for some in (calls, films):
        if some:
            return max(some, key=lambda one: int(np.prod(one.shape)))
    return None


def _full_field(found: Sequence[Seen]) -> Seen | None:
    """One number for each frame under a name of its own.

    The only row that is as long as the times of frames or the bins of a response, and
    is neither.
    """
    others = "|".join(one for what, one in WORDS.items() if what != "stimulus")
    rows = [one for one in found if len(one.shape) == 1 and one.shape[0] >= FRAMES]
    free = [one for one in rows if not re.search(others, last(one)) and not _clock(one)]
    calls = [one for one in free if re.search(FULL_FIELD, last(one))]
    lengths = {n for one in found if _counted(one) for n in one.shape}
    for one in rows:
        if re.search(WORDS["onsets"], last(one)) and increases(one):
            lengths |= {one.shape[0], one.shape[0] - 1}
    for some in (calls, [one for one in free if one.shape[0] in lengths]):
        if len(some) == 1:
            return some[0]
    return None


def responds(found: Sequence[Seen]) -> bool:
    """Whether anything looks like a response, to whatever stimulus."""
    numbers = [one for one in found if one.kind in "biuf"]
    flat = [one for one in numbers if len(one.shape) == 1]
    return (
        any(map(_counted, numbers))
        or labelled(flat) is not None
        or in_units(found)[1] > 0
    )


def _nearly(flat: Sequence[Seen], frames: int) -> tuple[Seen | None, str]:
    """Times that are almost as many as the frames, and what to say of them.

    Where the long intervals account for all that is missing, they are read as filled.
    """
    spikes = "spike|spk|" + "|".join(WORDS[key] for key in ("spike_s", "cell", "trial"))
    for one in _named(flat, "onsets"):
        off = abs(one.shape[0] - frames)
        if not re.search(WORDS["onsets"], last(one)):
            break  # those named so come first
        if off > max(2, frames // 100) or re.search(spikes, one.name.lower()):
            continue
        if one.kind == "b" or not _increases(one.read()):
            continue
        times = one.read().astype(np.float64)
        doubt = miscounted(times, frames)
        clock = filled(times)
        if len(clock) in (frames, frames + 1):
            one = dataclasses.replace(
                one, shape=clock.shape, read=lambda clock=clock: clock
            )
        return one, doubt
    return None, ""


def increases(one: Seen) -> bool:
    """Whether an array is a row of numbers that rise."""
    return len(one.shape) == 1 and one.kind in "iuf" and _increases(one.read())


def _named(found: Sequence[Seen], what: str) -> list[Seen]:
    """Those whose last name says it first, then the others."""
    return sorted(found, key=lambda one: not re.search(WORDS[what], last(one)))


def _counted(one: Seen) -> bool:
    return 1 <= len(one.shape) <= 3 and bool(re.search(WORDS["counts"], last(one)))


def _clock(one: Seen) -> bool:
    """Times of frames are as many as the frames, and no response to them."""
    if len(one.shape) != 1:
        return False
    return bool(re.search(WORDS["onsets"], last(one))) or _increases(one.read())


def _increases(values: np.ndarray) -> bool:
    return bool(len(values) > 1 and np.all(np.diff(values.astype(np.float64)) > 0))
