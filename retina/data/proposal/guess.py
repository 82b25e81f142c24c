"""Which array is what: by its name, its shape, and what its numbers do.

A guess is a proposal that a person looks at; what cannot be guessed stays None.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from retina.data.proposal.seen import Seen
from retina.data.pulses import filled, miscounted
from retina.data.units import numbered

FRAMES = 50  # at least, of anything that is called a stimulus
WORDS = {
    "stimulus": r"stim|movie|frames?$|image|light|flicker|video|contrast",
    "counts": r"count|binned|resp|psth|spikes?$|raster",
    "spike_s": r"spike_?(s|t|time)|spk|spiketimes|time_s",
    "cell": r"cell|unit|neuron|cluster|id$",
    "trial": r"trial|repeat|rep$",
    "starts": r"start|begin|onset|trigger|time",
    "onsets": r"onset|frame_?t|flip|trigger|ttl|timestamp|^time$|/time$|t_stim",
}


@dataclasses.dataclass(frozen=True)
class Guess:
    """One stretch: names of arrays by what they are, and what follows from them.

    axes:  of the stimulus, and of the counts, in the words of a card.
    sure:  whether the order of the axes could be told.
    named: whether the name of the counts says that they are.
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
    named: bool = True
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
    if shown is None:
        return None
    others = [one for one in numbers if one is not shown]
    flat = [one for one in others if len(one.shape) == 1]
    onsets = next(
        (
            one
            for one in _named(flat, "onsets")
            if one.shape[0] - 1 in shown.shape or one.shape[0] in shown.shape
            if _increases(one.read())
        ),
        None,
    )
    frames, axes, sure = _axes(shown, onsets)
    frame_s, doubt = None, ""
    if onsets is None:
        onsets, doubt = _nearly(flat, frames)
    if onsets is not None:
        frame_s = float(np.median(np.diff(onsets.read().astype(np.float64))))
    own = [one for one in found if source in ("", one.file)]
    spikes = _spikes([one for one in flat if one is not onsets and one in own])
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
            onsets=onsets,
            frame_s=frame_s,
            sure=sure,
            doubt=doubt,
        )
    start, units = _units([one for one in own if one not in (shown, onsets)])
    if units:
        return Guess(
            *(shown, frames, axes),
            cells=units,
            units=start,
            onsets=onsets,
            frame_s=frame_s,
            sure=sure,
            doubt=doubt,
        )
    heard = [o for o in others if len(o.shape) in (1, 2, 3) and not _clock(o)]
    for one in _named(heard, "counts"):
        told = _counts_axes(one, frames)
        if told:
            words, cells, trials, clear = told
            return Guess(
                *(shown, frames, axes, one, words, cells, trials),
                onsets=onsets,
                frame_s=frame_s,
                sure=sure and clear,
                named=bool(re.search(WORDS["counts"], last(one))),
                doubt=doubt,
            )
    more = {"frame_s": frame_s, "sure": sure, "doubt": doubt}
    return Guess(shown, frames, axes, onsets=onsets, **more)


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


def last(one: Seen) -> str:
    """The end of an array's name, or its file's, in small letters."""
    return re.split(r"[./]", one.name.lower())[-1] or one.file.lower()


def _stimulus(found: Sequence[Seen]) -> Seen | None:
    long = [one for one in found if max(one.shape, default=0) >= FRAMES]
    calls = [one for one in long if re.search(WORDS["stimulus"], last(one))]
    calls = [one for one in calls if not re.search(WORDS["onsets"], last(one))]
    films = [one for one in long if len(one.shape) in (3, 4)]
    for some in (calls, films):
        if some:
            return max(some, key=lambda one: int(np.prod(one.shape)))
    return None


def _axes(shown: Seen, onsets: Seen | None) -> tuple[int, str, bool]:
    """Frames, the words of the axes, and whether the frames' axis is certain."""
    sizes, sure = shown.shape, True
    if onsets is not None:
        lengths = (onsets.shape[0], onsets.shape[0] - 1)
        at = next(i for i, n in enumerate(sizes) if n in lengths)
    else:
        at = int(np.argmax(sizes))
        sure = sizes.count(max(sizes)) == 1
    rest = ["y", "x", "channel"][: len(sizes) - 1]
    if len(sizes) == 2:
        rest = ["x"]
    return sizes[at], ", ".join([*rest[:at], "frame", *rest[at:]]), sure


def _counts_axes(one: Seen, frames: int) -> tuple[str, int, int, bool] | None:
    at = [i for i, n in enumerate(one.shape) if abs(n - frames) <= 1]
    if not at:
        return None
    others = [n for i, n in enumerate(one.shape) if i != at[0]]
    if len(one.shape) == 1:
        return "bin", 1, 1, True
    if len(one.shape) == 2:
        words = ["cell", "cell"]
        words[at[0]] = "bin"
        return ", ".join(words), others[0], 1, len(at) == 1
    # Two axes are left, of trials and of cells; nothing tells which.
    words = ["trial", "cell"]
    words.insert(at[0], "bin")
    return ", ".join(words), others[1], others[0], False


def _spikes(flat: Sequence[Seen]) -> tuple[Seen, Seen | None, Seen | None] | None:
    times = [one for one in flat if one.kind == "f"]
    times = [one for one in times if re.search(WORDS["spike_s"], last(one))]
    if not times:
        return None
    time = times[0]
    alike = [one for one in flat if one.shape == time.shape and one is not time]
    picked: list[Seen | None] = []
    for what in ("cell", "trial"):
        named = [one for one in alike if re.search(WORDS[what], last(one))]
        picked.append(next((one for one in named if one.kind in "iuf"), None))
    return time, picked[0], picked[1]


def _units(found: Sequence[Seen]) -> tuple[str, int]:
    """What the arrays of one cell's spikes each begin with, and how many there are."""
    whole = WORDS["spike_s"] + "|" + WORDS["cell"] + "|" + WORDS["counts"]
    for one in found:
        if one.kind == "cell" and re.search(whole, last(one)):
            return one.name, int(np.prod(one.shape))
    starts: dict[str, list[Seen]] = {}
    for one in found:
        if one.kind in "iuf" and len(one.shape) == 1:
            for start in dict.fromkeys((_numberless(one.name), _folder(one.name))):
                starts.setdefault(start, []).append(one)
    for start, own in sorted(starts.items(), key=lambda item: -len(item[1])):
        cells = numbered(one.name.removeprefix(start) for one in own)
        several = [one for one in own if one.name.removeprefix(start) in cells]
        told = re.search(whole, start.rstrip("/_.-").lower())
        if start.strip("/") and told and len(several) > 1:
            if all(_sorted(one.read()) for one in several):
                return start, len(several)
    return "", 0


def _numberless(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _folder(name: str) -> str:
    return name.rpartition("/")[0] + "/"


def _sorted(values: np.ndarray) -> bool:
    """Whether times are in order, or too few to say so."""
    return bool(np.all(np.diff(values.astype(np.float64)) >= 0))


def _clock(one: Seen) -> bool:
    """Times of frames are as many as the frames, and no response to them."""
    if len(one.shape) != 1:
        return False
    return bool(re.search(WORDS["onsets"], last(one))) or _increases(one.read())


def _increases(values: np.ndarray) -> bool:
    return bool(len(values) > 1 and np.all(np.diff(values.astype(np.float64)) > 0))
