"""Neurodata Without Borders: sorted units, and stimuli of the file or beside it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from retina.apart import apart
from retina.data.below import below
from retina.data.card import Card
from retina.data.extras import needed
from retina.data.hdf5 import array, contained, opened
from retina.data.nwb_frames import Frames, composed, frames
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import check_onsets, in_order
from retina.data.table import SHOWN, alone_beside, beside
from retina.data.trains import cells_of, check_seconds
from retina.data.trials import within
from retina.errors import BadCard, RetinaError, ShapeMismatch, UnreadableFile, nearest
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
    names, times, shown = apart(_held, path, given, options["names"])
    if elsewhere:
        return beside(folder, card, names, (tuple(times),))
    with opened(folder, options["file"]) as store:
        parts, notes = {}, []
        alone = len(given) == 1  # of several, each has the spikes of the others as well
        for name, table in given.items():
            told = shown[name]
            if not table["trial_frames"]:
                parts[name], note = _part(store, path, card, table, told, times)
                notes += [note] if note and alone else []
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
            parts[name], note = _part(store, path, card, once, told, times)
            parts["trials"], odd = within(
                parts[name], np.sort(told.starts), table["trial_frames"], card.name
            )
            notes += [one for one in (alone and note, odd) if one]
    made = recording(card, parts, cells_of(card, names))
    return dataclasses.replace(made, notes=(*made.notes, *notes))


class _Shown(NamedTuple):
    """What a file says of one stretch, all but its frames.

    frames:          see `retina.data.nwb_frames`.
    timestamps:      None where there are a rate and a start_s.
    starts, ends:    of its showings, seconds.
    counts, count_s: (trial, bin, cell), and seconds per bin.
    """

    frames: Frames
    timestamps: np.ndarray | None
    rate: float
    start_s: float
    starts: np.ndarray
    ends: np.ndarray
    counts: np.ndarray | None
    count_s: float | None


def _held(
    path: Path, given: Mapping[str, dict[str, Any]], column: str
) -> tuple[list[str], list[np.ndarray], dict[str, _Shown]]:
    """Cells, their spike times, and the stretches.

    In a process apart: HDF5 follows some damaged strings and tables without end. What
    needs pynwb is read here; frames are plain numbers, and too many to be sent.
    """
    library = needed("pynwb", "nwb", "an NWB file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of older versions of the format
            with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
                held = io.read()
                counted = any(table["counts"] for table in given.values())
                names, times = (_cells if counted else _units)(held, path, column)
                shown = {n: _shown(held, path, table) for n, table in given.items()}
                return names, times, shown
    except RetinaError:
        raise
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None


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


def _units(held: Any, path: Path, column: str) -> tuple[list[str], list[np.ndarray]]:
    units = held.units
    if units is None or "spike_times" not in units.colnames:
        raise UnreadableFile(f"{path} has no units with spike_times")
    if column == "id":
        labels = [str(one) for one in units.id[:]]
    elif column in units.colnames:
        labels = [str(one) for one in units[column][:]]
    else:
        known = nearest(column, units.colnames)
        raise UnreadableFile(f"{path}: units have no column {column!r}: {known}")
    times = [
        np.sort(np.asarray(units.get_unit_spike_times(i), np.float64).ravel())
        for i in range(len(labels))
    ]
    return labels, times


def _shown(held: Any, path: Path, table: dict[str, Any]) -> _Shown:
    name = table["stimulus"]
    places = {**held.acquisition, **held.stimulus_template, **held.stimulus}
    if name not in places:
        raise UnreadableFile(
            f"{path} has no stimulus {name!r}: {nearest(name, places)}"
        )
    series = places[name]
    held_frames, timestamps = frames(series, path, name), None
    if series.timestamps is not None:
        timestamps = np.asarray(series.timestamps[:], np.float64)
    starts = ends = np.zeros(0)
    if table["repeats"]:
        starts, ends = _intervals(held, path, table["repeats"])
    counts = count_s = None
    if table["counts"]:
        counts, count_s = _counts(held, path, table["counts"])
    return _Shown(
        frames=held_frames,
        timestamps=timestamps,
        rate=float(series.rate or 0),
        start_s=float(series.starting_time or 0),
        starts=starts,
        ends=ends,
        counts=counts,
        count_s=count_s,
    )


def _part(
    store: h5py.File,
    path: Path,
    card: Card,
    table: dict[str, Any],
    told: _Shown,
    times: list[np.ndarray],
) -> tuple[Part, str]:
    """A stretch, and what is to be noted of it."""
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


def _intervals(held: Any, path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of a table; ends are nan where it has none."""
    tables = {**held.intervals}
    if held.trials is not None:
        tables["trials"] = held.trials
    if name not in tables:
        raise UnreadableFile(
            f"{path} has no intervals {name!r}: {nearest(name, tables)}"
        )
    starts = np.asarray(tables[name]["start_time"][:], np.float64)
    if not len(starts) or not np.isfinite(starts).all():
        raise ShapeMismatch(f"{path}: intervals {name!r} hold no start_time")
    ends = np.asarray(tables[name]["stop_time"][:], np.float64)
    return starts, ends if len(ends) == len(starts) else np.full(len(starts), np.nan)


def _cells(held: Any, path: Path, column: str) -> tuple[list[str], list[np.ndarray]]:
    """Names from the module's table; there are no spike times."""
    found = _module(held, path)["cells"]
    if column not in found.colnames:
        known = nearest(column, found.colnames)
        raise UnreadableFile(f"{path}: cells have no column {column!r}: {known}")
    return [str(one) for one in found[column][:]], []


def _counts(held: Any, path: Path, name: str) -> tuple[np.ndarray, float]:
    """(trial, bin, cell) and seconds per bin."""
    places = _module(held, path).data_interfaces
    if name not in places:
        raise UnreadableFile(f"{path} has no counts {name!r}: {nearest(name, places)}")
    series = places[name]
    data = np.asarray(series.data[()] if hasattr(series.data, "shape") else series.data)
    if data.ndim != 3 or not float(series.rate or 0) > 0:
        raise ShapeMismatch(
            f"{path}: counts {name!r} have shape {data.shape} and rate {series.rate}: "
            "wanted (bin, cell, trial), and a rate"
        )
    return data.transpose(2, 0, 1), 1.0 / float(series.rate)


def _module(held: Any, path: Path) -> Any:
    if "retina" not in held.processing:
        known = (
            nearest("retina", held.processing) if held.processing else "there is none"
        )
        raise UnreadableFile(f"{path} has no processing module 'retina': {known}")
    return held.processing["retina"]
