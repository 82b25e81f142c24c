"""Neurodata Without Borders: sorted units, and stimuli of the file or beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from retina.apart import apart
from retina.data.below import below
from retina.data.card import Card
from retina.data.extras import needed
from retina.data.hdf5 import array, contained, opened
from retina.data.nwb_file import Shown, Units, read
from retina.data.nwb_frames import composed
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import check_onsets, in_order
from retina.data.table import SHOWN, alone_beside, beside
from retina.data.trains import cells_of, check_seconds
from retina.data.trials import within
from retina.errors import BadCard, ShapeMismatch, UnreadableFile, nearest
from retina.types import Recording

KEYS = {
    "stimulus": "",
    "stimulus_axes": "",
    "repeats": "",
    "counts": "",
    "trial_frames": 0,
}


def nwb(folder: Path, card: Card) -> Recording:
    """Spike times of the units table, and one or several stimuli of an NWB file.

    folder: with the card's files.
    card:   option ``file``, and a table ``parts``. It holds a table for each stretch,
            by the names that the splits use: ``stimulus``, the name of a TimeSeries,
            ImageSeries or IndexSeries among the file's stimuli or acquisitions, with
            its frames or images inside the file, times its conversion and plus its
            offset where it has them; ``stimulus_axes``, the order of its axes ("frame,
            y, x", of images as NWB has it, "frame, x, y"); ``repeats``, the
            name of a table of intervals at whose every start_time the stimulus was
            shown anew, in full ("": once, at its own timestamps), or, with
            ``trial_frames``, at which so many same frames of it begin, which make the
            part "trials"; ``counts``, where
            spike times are not known, a TimeSeries (bin, cell, trial) of the processing
            module "retina". ``names``: the column of the units table, or of that
            module's table "cells", that names the cells ("id"). A file without a
            stimulus has no ``parts``, but ``stimulus``, ``onsets``, ``trials`` and
            so on as of the reader `csv`, on the file's clock.
    returns: the parts of the table, on the file's clock; repeats on one of their own.
             One part, "", of a stimulus beside the file.
    raises:  MissingExtra without pynwb (extra ``nwb``); UnreadableFile, also for links
             out of the file; ShapeMismatch; BadResponse; BadCard.
    """
    options = card.needs(
        "file",
        **{"parts": {}, "names": "id"},
        **{"stimulus": [], **SHOWN},
    )
    if options["cells"]:
        raise BadCard(f"{card.name}: an NWB file names its cells: see option names")
    tables, elsewhere = options["parts"], options["stimulus"]
    if not elsewhere and not tables or not isinstance(tables, Mapping):
        raise BadCard(
            f"{card.name}: options.parts is {tables!r}: give a table "
            "[options.parts.NAME] for each stretch, or, where the file has no "
            'stimulus, stimulus = ["movie.npy"]'
        )
    alone_beside(card)
    if elsewhere and tables:
        raise BadCard(f"{card.name}: give either options.parts or options.stimulus")
    needed("pynwb", "nwb", "an NWB file")  # told here, whatever is so elsewhere
    path = below(folder, options["file"])
    with opened(folder, options["file"]) as store:
        contained(store)
    given = {name: _checked(card, name, table) for name, table in tables.items()}
    units, shown = apart(read, path, given, options["names"])
    if elsewhere:
        return beside(folder, card, units.names, (tuple(units.times),))
    with opened(folder, options["file"]) as store:
        parts: dict[str, Part] = {}
        notes: list[str] = []
        alone = len(given) == 1  # of several, each has the spikes of the others as well
        for name, table in given.items():
            told = shown[name]
            if not table["trial_frames"]:
                parts[name], note = _part(store, path, card, table, told, units)
                notes += [note] if note and alone else []
                notes += _unseen(units, parts[name], told, table)
                continue
            if "trials" in given or "trials" in parts:
                raise BadCard(
                    f"{card.name}: trial_frames makes the part 'trials': "
                    "give it once, and name no other part so"
                )
            if told.counts is not None or not table["repeats"]:
                raise BadCard(
                    f"{card.name}: trial_frames of {name!r} goes with repeats, the "
                    "table of when trials begin, and with spike times"
                )
            once = table | {"repeats": ""}
            parts[name], note = _part(store, path, card, once, told, units)
            parts["trials"], odd = within(
                parts[name], np.sort(told.starts), table["trial_frames"], card.name
            )
            notes += [one for one in (note if alone else "", odd) if one]
            notes += _unseen(units, parts[name], told, once)
    made = recording(card, parts, cells_of(card, units.names))
    return dataclasses.replace(made, notes=(*made.notes, *notes))


def _checked(card: Card, name: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping) or not table.get("stimulus"):
        raise BadCard(f"{card.name}: key 'options.parts.{name}.stimulus' is missing")
    for key, value in table.items():
        if key not in KEYS or type(value) is not type(KEYS[key]):
            raise BadCard(
                f"{card.name}: 'options.parts.{name}.{key}' = {value!r}: "
                + nearest(key, KEYS)
            )
    return {**KEYS, **table}


def _part(
    store: h5py.File,
    path: Path,
    card: Card,
    table: dict[str, Any],
    told: Shown,
    units: Units,
) -> tuple[Part, str]:
    """A stretch, and what is to be noted of its clock."""
    times = units.times
    held = told.frames
    data = array(store, held.values) if isinstance(held.values, str) else held.values
    if held.index is not None:
        data = composed(data, held.index, f"{path}: {table['stimulus']!r}")
    if (held.scale, held.offset) != (1.0, 0.0):
        scale, offset = np.float32(held.scale), np.float32(held.offset)
        data = data.astype(np.float32) * scale + offset
    axes = table["stimulus_axes"] or held.axes(data.ndim)
    shown = as_stimulus(in_order(data, axes, card.name), card.name)
    onsets = told.timestamps
    if onsets is None:
        if not told.rate > 0:
            raise UnreadableFile(
                f"{path}: {table['stimulus']!r} has neither timestamps nor a rate"
            )
        onsets = told.start_s + np.arange(len(shown)) / told.rate
    starts, ends = told.starts, told.ends
    if table["repeats"]:
        # The end of a showing is that of its last frame, where it says so.
        last = ends[0] - starts[0] + onsets[0]
        if onsets[-1] < last < onsets[-1] + 2 * card.frame_s:
            onsets = np.append(onsets, last)
    edges = check_onsets(onsets, len(shown), card)
    lasts = edges[-1] - edges[0]
    if table["repeats"]:
        _check_complete(ends - starts, lasts, card.frame_s, path, table)
    if told.counts is not None:
        counts, count_s = told.counts, told.count_s
        return Part(shown, edges - edges[0], counts=counts, count_s=count_s), ""
    if not table["repeats"]:
        note = check_seconds((tuple(times),), edges, card.name)
        return Part(shown, edges, (tuple(times),)), note
    whole = np.array([starts.min(), starts.max() + lasts])
    note = check_seconds((tuple(times),), whole, card.name)
    edges = edges - edges[0]
    trials = tuple(
        tuple(_from(train, start, edges[-1]) for train in times) for start in starts
    )
    return Part(shown, edges, trials), note


def _unseen(units: Units, part: Part, told: Shown, table: dict[str, Any]) -> list[str]:
    """A note of units that were not observed all the while."""
    starts = told.starts if table["repeats"] else part.onsets_s[:1]
    lasts = part.onsets_s[-1] - part.onsets_s[0]
    note = units.unseen(np.stack([starts, starts + lasts], axis=1))
    return [f"{table['stimulus']}: {note}"] if note else []


def _check_complete(
    each_s: np.ndarray, lasts_s: float, frame_s: float, path: Path, table: dict
) -> None:
    """raises: ShapeMismatch where a row of intervals is no complete showing.

    Showings that were broken off, and those of another stimulus, stand in such tables.
    """
    wrong = np.flatnonzero(np.abs(each_s - lasts_s) > 1.001 * frame_s)
    if len(wrong):
        rows = ", ".join(f"{i} ({each_s[i]:g} s)" for i in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ShapeMismatch(
            f"{path}: of the intervals {table['repeats']!r} the rows {rows}{more} do "
            f"not last as {table['stimulus']!r}, {lasts_s:g} s: name as `repeats` a "
            "table that holds its complete showings alone, or, where it shows the same "
            "frames at each start, write trial_frames = how many"
        )


def _from(train: np.ndarray, start_s: float, lasts_s: float) -> np.ndarray:
    low, high = np.searchsorted(train, [start_s, start_s + lasts_s])
    return train[low:high] - start_s
