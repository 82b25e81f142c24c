"""Neurodata Without Borders: sorted units, and stimuli that the card names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.extras import needed
from retina.data.hdf5 import contained, opened
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import check_onsets, in_order
from retina.data.trains import cells_of
from retina.errors import BadCard, RetinaError, ShapeMismatch, UnreadableFile, nearest
from retina.types import Recording

KEYS = {"stimulus": "", "stimulus_axes": "", "repeats": ""}


def nwb(folder: Path, card: Card) -> Recording:
    """Spike times of the units table, and one or several stimuli of an NWB file.

    folder: with the card's files.
    card:   option ``file``, and a table ``parts``. It holds a table for each stretch,
            by the names that the splits use: ``stimulus``, the name of a TimeSeries or
            ImageSeries among the file's stimuli or acquisitions, with its frames inside
            the file; ``stimulus_axes``, the order of its axes ("frame, y, x");
            ``repeats``, the name of a table of intervals at whose every start_time the
            stimulus was shown anew ("": once, at its own timestamps). ``names``: the
            column of the units table that names the cells ("id").
    returns: the parts of the table, on the file's clock; repeats on one of their own.
    raises:  MissingExtra without pynwb (extra ``nwb``); UnreadableFile, also for links
             out of the file; ShapeMismatch; BadResponse; BadCard.
    """
    options = card.needs("file", "parts", names="id")
    tables = options["parts"]
    if not isinstance(tables, Mapping) or not tables:
        raise BadCard(
            f"{card.name}: options.parts is {tables!r}: give a table "
            "[options.parts.NAME] for each stretch"
        )
    library = needed("pynwb", "nwb", "an NWB file")
    path = below(folder, options["file"])
    with opened(folder, options["file"]) as store:
        contained(store)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of older versions of the format
            with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
                held = io.read()
                names, times = _units(held, path, options["names"])
                parts = {
                    name: _part(held, path, card, _checked(card, name, table), times)
                    for name, table in tables.items()
                }
    except RetinaError:
        raise
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None
    return recording(card, parts, cells_of(card, names))


def _checked(card: Card, name: str, table: Any) -> dict[str, str]:
    if not isinstance(table, Mapping) or not table.get("stimulus"):
        raise BadCard(f"{card.name}: key 'options.parts.{name}.stimulus' is missing")
    for key, value in table.items():
        if key not in KEYS or not isinstance(value, str):
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


def _part(
    held: Any, path: Path, card: Card, table: dict[str, str], times: list[np.ndarray]
) -> Part:
    name = table["stimulus"]
    places = {**held.acquisition, **held.stimulus_template, **held.stimulus}
    if name not in places:
        raise UnreadableFile(
            f"{path} has no stimulus {name!r}: {nearest(name, places)}"
        )
    series = places[name]
    if getattr(series, "external_file", None) is not None or not hasattr(
        series, "data"
    ):
        raise UnreadableFile(
            f"{path}: the frames of {name!r} are not in the file: write them into it, "
            "or name them with another reader"
        )
    data = np.asarray(series.data[()] if hasattr(series.data, "shape") else series.data)
    shown = as_stimulus(in_order(data, table["stimulus_axes"], card.name), card.name)
    if series.timestamps is not None:
        onsets = np.asarray(series.timestamps[:], np.float64)
    else:
        rate, start = float(series.rate or 0), float(series.starting_time or 0)
        if not rate > 0:
            raise UnreadableFile(f"{path}: {name!r} has neither timestamps nor a rate")
        onsets = start + np.arange(len(shown)) / rate
    edges = check_onsets(onsets, len(shown), card)
    if not table["repeats"]:
        return Part(shown, edges, (tuple(times),))
    edges = edges - edges[0]
    trials = tuple(
        tuple(_from(train, start, edges[-1]) for train in times)
        for start in _starts(held, path, table["repeats"])
    )
    return Part(shown, edges, trials)


def _from(train: np.ndarray, start_s: float, lasts_s: float) -> np.ndarray:
    low, high = np.searchsorted(train, [start_s, start_s + lasts_s])
    return train[low:high] - start_s


def _starts(held: Any, path: Path, name: str) -> list[float]:
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
    return starts.tolist()
