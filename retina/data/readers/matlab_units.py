"""MATLAB v5 files: a struct array of sorted units, a long stretch and a repeated one.

Times are samples, counted from 1, of one acquisition clock.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.data.matlab import variable
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import check_onsets
from retina.errors import UnreadableFile
from retina.types import Cell, Recording


def matlab_units(folder: Path, card: Card) -> Recording:
    """Full-field stimulus and spike samples of many units, with repeats.

    folder: with the card's files.
    card:   options, each [file, variable]: ``stimulus`` (one value per frame),
            ``onsets`` (sample of each frame), ``units`` (struct array with field sp),
            ``repeat_units`` (the same for the repeats), ``repeat_stimulus``
            ((2, sample): value, repeat), ``repeat_bounds`` (first sample of each
            repeat, then the end); numbers ``sample_hz`` and ``repeat_stimulus_of``
            (the repeat whose stored stimulus serves for all).
    returns: parts "running" and "frozen"; units are named "0", "1", ... as in the file.
    raises: UnreadableFile; ShapeMismatch where onsets do not fit the frames.
    """
    card.needs(
        "stimulus",
        "onsets",
        "units",
        "repeat_units",
        "repeat_stimulus",
        "repeat_bounds",
        "repeat_stimulus_of",
        "sample_hz",
    )
    long = _long(folder, card)
    frozen = _frozen(folder, card)
    assert long.spikes is not None
    names = [str(i) for i in range(len(long.spikes[0]))]
    cells = [Cell(name, card.cell_types.get(name, "")) for name in names]
    return recording(card, {"running": long, "frozen": frozen}, cells)


def _long(folder: Path, card: Card) -> Part:
    stimulus = _numbers(folder, card, "stimulus").ravel()
    onsets = _numbers(folder, card, "onsets").ravel().astype(np.int64)
    hz = card.options["sample_hz"]
    onsets = np.append(onsets, onsets[-1] + round(hz * card.frame_s))
    trains = _trains(folder, card, "units")
    return Part(
        stimulus=as_stimulus(stimulus, card.name),
        onsets_s=check_onsets((onsets - 1) / hz, stimulus.size, card),
        spikes=(tuple((train - 1) / hz for train in trains),),
    )


def _frozen(folder: Path, card: Card) -> Part:
    shown = np.atleast_2d(_numbers(folder, card, "repeat_stimulus"))
    bounds = _numbers(folder, card, "repeat_bounds").ravel().astype(np.int64)
    trains = _trains(folder, card, "repeat_units")
    hz, model = card.options["sample_hz"], card.options["repeat_stimulus_of"] - 1
    if not (0 <= model < len(bounds) - 1 and bounds[0] >= 1):
        raise UnreadableFile(
            f"{card.name}: {max(len(bounds) - 1, 0)} repeats from sample "
            f"{bounds.min(initial=0)} on, but number {model + 1} is to lend its "
            "stimulus: samples and repeats are counted from 1"
        )
    if np.any(np.diff(bounds) < 1) or bounds[-1] - 1 > shown.shape[1]:
        raise UnreadableFile(
            f"{card.name}: the bounds of the repeats must go up, to at most "
            f"{shown.shape[1] + 1}, one more than there are samples of the stimulus"
        )
    onsets = [
        _changes(shown[0, start - 1 : stop - 1]) + start
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    if len({len(edges) for edges in onsets}) != 1:
        raise UnreadableFile(
            f"{card.name}: the repeats show {[len(e) - 1 for e in onsets]} frames; "
            "they must all show as many"
        )
    common = (onsets[model] - bounds[model]) / hz
    # Frames last 333 or 334 samples, in another order in every repeat. Each spike keeps
    # its frame and its place within it, on the clock of the repeat that lends the
    # stimulus; no spike moves by more than a sample against its own frame.
    spikes = tuple(
        tuple(
            np.interp(train[(train >= edges[0]) & (train < edges[-1])], edges, common)
            for train in trains
        )
        for edges in onsets
    )
    values = shown[0, onsets[model][:-1] - 1]
    return Part(as_stimulus(values, card.name), common, spikes)


def _changes(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])


def _numbers(folder: Path, card: Card, option: str) -> np.ndarray:
    found = variable(folder, *card.options[option])
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise UnreadableFile(f"{card.name}: {option} holds {found.dtype}, or NaN")
    return found


def _trains(folder: Path, card: Card, option: str) -> list[np.ndarray]:
    units = variable(folder, *card.options[option])
    if "sp" not in (units.dtype.names or ()):
        raise UnreadableFile(f"{card.name}: {option} is no struct array of a field sp")
    each = [np.asarray(unit).ravel() for unit in units["sp"].ravel()]
    if not all(one.dtype.kind in "iuf" for one in each):
        raise UnreadableFile(f"{card.name}: {option} has an sp of no numbers")
    return [np.sort(one.astype(np.int64)) for one in each]
