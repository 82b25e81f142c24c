"""Any file that the library neo reads; the stimulus lies in a file of its own."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from retina.apart import apart
from retina.data.below import below
from retina.data.card import Card
from retina.data.extras import needed
from retina.data.table import asked, beside
from retina.data.trains import trains
from retina.errors import BadCard, MissingData, RetinaError, UnreadableFile, nearest
from retina.types import Recording

# They run what a file says: pickles, text that is evaluated, a Windows library.
_REFUSED = ("PickleIO", "ElphyIO", "Plexon2IO")
_NEEDED = ("neo", "neo", "a file of an amplifier or spike sorter")


def neo(folder: Path, card: Card) -> Recording:
    """Spike trains of a spike sorter's or an amplifier's own format.

    folder: with the card's files.
    card:   option ``file``. ``io``: the class of neo.io that reads it ("": by the
            file's name). ``block``: which one of the file (0). ``segments``: "trials",
            each segment is a presentation of the same stimulus, its times from its
            start, or from its first ``event`` of that name ("": its start); or "one",
            the file's only segment, its times and ``onsets`` on the file's clock
            ("one"). ``stimulus``, ``stimulus_axes``, ``onsets`` and ``cells`` as of the
            reader `csv`.
    returns: one part, ""; cells are named by the spike trains' names, or else by their
             place.
    raises:  MissingExtra without neo (extra ``neo``); UnreadableFile, also for formats
             that may run code; BadResponse; ShapeMismatch; MissingData; BadCard,
             also where a trial's beginning is not known.
    """
    options = card.needs(
        *("file", "stimulus"),
        **{"io": "", "block": 0, "segments": "one", "event": ""},
        **{"stimulus_axes": "", "onsets": [], "cells": []},
    )
    if options["segments"] not in ("one", "trials"):
        raise BadCard(
            f'{card.name}: segments = {options["segments"]!r}: "one", "trials"'
        )
    path = below(folder, options["file"])
    if not path.exists():
        raise MissingData(f"there is no {path}: name the file in the card as it lies")
    trials = options["segments"] == "trials"
    start = functools.partial(_start, event=options["event"]) if trials else _clock
    needed(*_NEEDED)  # told here, whatever the process apart can import
    segments = apart(_segments, path, options["io"], options["block"], start)
    if not trials and len(segments) != 1:
        raise BadCard(
            f'{path} has {len(segments)} segments: write segments = "trials" where '
            "each is a presentation of the same stimulus"
        )
    time, cell, trial = [], [], []
    for t, segment in enumerate(segments):
        for name, times in segment:
            time.append(times)
            cell += [name] * len(times)
            trial.append(np.full(len(times), t))
    if not time:
        raise UnreadableFile(f"{path} holds no spike train")
    known = [name for name, _ in segments[0]]
    names, made = trains(
        np.concatenate(time),
        np.array(cell, str),
        np.concatenate(trial),
        asked(card) or known,
        path.name,
    )
    return beside(folder, card, names, made)


def _segments(
    path: Path, io: str, block: int, start: Callable[[Any], float]
) -> list[list[tuple[str, np.ndarray]]]:
    library = needed(*_NEEDED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of formats and old numpy
            chosen = _io(library, path, io)
            blocks = chosen.read(lazy=False)
            if not 0 <= block < len(blocks):
                raise BadCard(f"{path} has {len(blocks)} blocks, there is no {block}")
            return [
                _trains(segment, start(segment)) for segment in blocks[block].segments
            ]
    except RetinaError:
        raise
    except Exception as error:  # as many kinds as formats
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} cannot be read by neo ({said})") from None


def _io(library: Any, path: Path, io: str) -> Any:
    if io:
        kind = getattr(library.io, io, None)
        if kind not in library.io.iolist:
            raise BadCard(f"neo.io has no class {io!r}: see neo.io.iolist")
        chosen: list[Any] = [kind]
    else:
        chosen = [k for k in library.io.list_candidate_ios(str(path)) if k.is_readable]
        chosen = [k for k in chosen if k.__name__ not in _REFUSED] or chosen
    if not chosen:
        raise UnreadableFile(f"neo knows no format of the name {path.name}: give `io`")
    if chosen[0].__name__ in _REFUSED:
        raise UnreadableFile(
            f"{path}: {chosen[0].__name__} may run code from the file: save it in "
            "another format of neo, such as NIX"
        )
    mode = "dir" if path.is_dir() else "file"
    if chosen[0].mode == "dir" or mode == "dir":
        return chosen[0](dirname=str(path))
    return chosen[0](filename=str(path))


def _clock(segment: Any) -> float:
    """One segment keeps the file's clock: the onsets lie on it."""
    return 0.0


def _start(segment: Any, event: str) -> float:
    """Seconds at which the presentation of a segment begins.

    raises: BadCard where nothing says so: a train cut to its spikes begins with one.
    """
    if event:
        known = {one.name: one for one in segment.events if one.name and len(one)}
        if event not in known:
            raise BadCard(f"a segment has no event {event!r}: {nearest(event, known)}")
        return float(known[event].times.rescale("s").magnitude.min())
    if not list(segment.data_children):
        return 0.0  # nothing to move
    start = float(segment.t_start.rescale("s").magnitude)
    first = [
        float(one.times.rescale("s").magnitude.min())
        for one in segment.spiketrains
        if len(one)
    ]
    if start in first and len(list(segment.data_children)) == len(segment.spiketrains):
        raise BadCard(
            f"a segment begins with its first spike, at {start:g} s, and holds only "
            "spikes: when the stimulus began is not known: name an `event` that says so"
        )
    return start


def _trains(segment: Any, start: float) -> list[tuple[str, np.ndarray]]:
    """Name and seconds from `start` of each spike train of a segment."""
    found = list(segment.spiketrains)
    labels = [str(one.name or one.annotations.get("id", "")) for one in found]
    if "" in labels or len(set(labels)) < len(labels):
        labels = [str(i) for i in range(len(found))]
    return [
        (label, np.asarray(one.times.rescale("s").magnitude, np.float64) - start)
        for label, one in zip(labels, found, strict=True)
    ]
