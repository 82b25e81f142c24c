"""Stretches of a recording from arrays that a card names, whatever the file is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retina.data.card import Card
from retina.data.parts import Part, as_stimulus, recording
from retina.data.responses import as_long, cells, counts
from retina.data.shown import check_onsets, in_order
from retina.data.table import SHOWN, alone_beside, asked, beside
from retina.data.trains import (
    Trains,
    cells_of,
    check_seconds,
    counted,
    first_of,
    trains,
)
from retina.data.units import units
from retina.errors import BadCard, BadResponse, ShapeMismatch, nearest
from retina.types import Recording

# Each with what it is where a card does not say.
KEYS = {
    **{"stimulus": None, "stimulus_axes": "", "onsets": "", "begin": []},
    **{"counts": "", "counts_axes": "trial, bin, cell", "count_s": 0.0},
    **{"spike_s": "", "spike_cell": "", "spike_trial": "", "units": ""},
    "trial_count": 0,
}
SPIKES = ("spike_s", "spike_cell", "spike_trial", "units")
# Options of a card whose stimulus lies beside the spikes.
BESIDE = {**dict.fromkeys(SPIKES, ""), "trial_count": 0, "stimulus": [], **SHOWN}
Get = Callable[[Any], np.ndarray]
Each = Callable[[str], dict[str, np.ndarray]]


def named(folder: Path, card: Card, get: Get, each: Each, where: str) -> Recording:
    """The recording of the arrays in the card's table ``options.parts``.

    Where the card has the option ``stimulus`` = [file, array] in place of ``parts``,
    the spikes alone are named, by ``units`` or ``spike_s`` and so on among its options;
    the others are those of the reader `csv`: see `retina.data.table.beside`.

    folder: with the card's files.

    card:   ``parts`` holds a table for each stretch, by the names that the splits use:

            stimulus       the array of frames; ``stimulus_axes``, its axes in their
                           order, words of "frame, y, x, channel"
            onsets         seconds, (frame,) or one more for the end; "" (the default)
                           for frames that follow each other by frame_s
            begin          frames at which something else was shown before ([])
            counts         events per bin; ``counts_axes``, words of "trial, bin, cell"
                           (this order); ``count_s``, seconds per bin (frame_s)
            or instead of counts
            spike_s, spike_cell, spike_trial    (spike,) seconds on the clock of the
                           onsets, and each one's cell and trial ("": one trial),
                           from 0, or from 1 where ``options.first`` = 1;
                           ``trial_count``, how many there were (those with a spike)
            or units       what the names of arrays with the spike times of one cell
                           each begin with, "spikes/" or "unit_"; the rest names the
                           cell. Of MATLAB, also a cell array of such arrays

            ``options.cells``: names of the cells, in their order, that spike_cell holds
            in place of numbers from 0, such as a sorter's [3, 17, 250].

    get:    the array of a name.
    each:   the arrays whose names begin so, by the rest of them: see
            `retina.data.units.beginning`.
    raises: BadCard; ShapeMismatch; whatever `get` raises.
    """
    tables = card.options.get("parts")
    alone_beside(card, *SPIKES, "trial_count")
    if card.options.get("stimulus"):
        if tables:
            raise BadCard(f"{card.name}: give either options.parts or options.stimulus")
        table = {key: card.options.get(key, "") for key in SPIKES}
        table["trial_count"] = card.options.get("trial_count", 0)
        if bool(table["units"]) == bool(table["spike_s"] and table["spike_cell"]):
            raise BadCard(
                f"{card.name}: the options need either units, or spike_s and spike_cell"
            )
        return beside(folder, card, *_spikes(card, table, get, each, where))
    if not isinstance(tables, Mapping) or not tables:
        raise BadCard(
            f"{card.name}: options.parts is {tables!r}: give a table "
            "[options.parts.NAME] for each stretch, or stimulus = [FILE, ARRAY]"
        )
    parts, notes, labels = {}, [], None
    for name, table in tables.items():
        part, names, note = _part(card, _checked(card, name, table), get, each, where)
        parts[name] = part
        notes += [f"{name or 'the file'}: {note}"] if note else []
        if labels is not None and labels != names:
            raise ShapeMismatch(
                f"{card.name}: part {name!r} has {len(names)} cells, another part "
                f"{len(labels)}: they must be the same"
            )
        labels = names
    assert labels is not None
    made = recording(card, parts, cells_of(card, labels))
    return dataclasses.replace(made, notes=(*made.notes, *notes))


def _checked(card: Card, name: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise BadCard(f"{card.name}: options.parts.{name} is {table!r}, not a table")
    for key in table:
        if key not in KEYS:
            raise BadCard(
                f"{card.name}: unknown key 'options.parts.{name}.{key}': "
                + nearest(key, KEYS)
            )
    if not table.get("stimulus"):
        raise BadCard(f"{card.name}: key 'options.parts.{name}.stimulus' is missing")
    if sum(bool(table.get(key)) for key in ("counts", "spike_s", "units")) != 1:
        raise BadCard(
            f"{card.name}: options.parts.{name} needs either counts, or spike_s, or "
            "units"
        )
    if table.get("spike_s") and not table.get("spike_cell"):
        raise BadCard(f"{card.name}: options.parts.{name} has spike_s, no spike_cell")
    for key in ("stimulus_axes", "counts_axes"):
        if not isinstance(table.get(key, ""), str):
            raise BadCard(f"{card.name}: options.parts.{name}.{key} is no text")
    return {**KEYS, **table}


def _part(
    card: Card, table: dict[str, Any], get: Get, each: Each, where: str
) -> tuple[Part, list[str], str]:
    shown = in_order(get(table["stimulus"]), table["stimulus_axes"], where)
    shown = as_stimulus(shown, where)
    frames = len(shown)
    edges = np.arange(frames + 1) * card.frame_s
    if table["onsets"]:
        edges = check_onsets(
            get(table["onsets"]).ravel().astype(np.float64), frames, card
        )
    begin = _begin(card, table["begin"], frames)
    if table["counts"]:
        count_s = _seconds(card, table["count_s"])
        if math.isclose(count_s, card.frame_s, rel_tol=1e-3):  # as of `split`
            count_s = card.frame_s
        said = counts(get(table["counts"]), table["counts_axes"], where)
        note = ""
        if count_s == card.frame_s:
            said, note = as_long(said, frames, where)
        part = Part(shown, edges, counts=said, count_s=count_s, begin=begin)
        names = asked(card) or [cell.name for cell in cells(card, said.shape[2])]
        if len(names) != said.shape[2]:
            raise ShapeMismatch(
                f"{where}: counts of {said.shape[2]} cells, but the option cells names "
                f"{len(names)}"
            )
        return part, names, note
    names, made = _spikes(card, table, get, each, where)
    note = check_seconds(made, edges, where)
    return Part(shown, edges, made, begin=begin), names, note


def _spikes(
    card: Card, table: Mapping[str, Any], get: Get, each: Each, where: str
) -> tuple[list[str], Trains]:
    """Names of cells, and their spike times per trial."""
    if table["units"]:
        return units(card, each(str(table["units"])), where)
    trial = get(table["spike_trial"]).ravel() if table["spike_trial"] else None
    first, listed = first_of(card), asked(card)
    cell = _whole(get(table["spike_cell"]).ravel())
    if not listed:
        listed = [str(i) for i in range(card.cell_count)]
        cell = _numbered(card, cell, first, table["spike_cell"], where)
    return trains(
        get(table["spike_s"]).ravel(),
        cell,
        trial if trial is None else counted(_whole(trial), first, where),
        listed,
        where,
        table["trial_count"],
    )


def _numbered(
    card: Card, cell: np.ndarray, first: int, name: str, where: str
) -> np.ndarray:
    """Numbers of cells, counted from 0."""
    if first and cell.dtype.kind in "iu":
        cell = cell.astype(np.int64) - first
    if cell.dtype.kind not in "iu" or (len(cell) and cell.min() < 0):
        raise BadResponse(f"{where}: {name} are no whole numbers from {first}")
    if len(cell) and cell.max() >= (card.cell_count or np.inf):
        raise BadResponse(
            f"{where}: {name} runs to {cell.max() + first}, but the "
            f"card says {card.cell_count} cells, counted from {first}: write first = "
            "0 or 1 in its options, or list the names that occur: cells = [...]"
        )
    return cell


def _whole(values: np.ndarray) -> np.ndarray:
    """MATLAB keeps whole numbers as floats."""
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return values
    whole = np.abs(values).max(initial=0) < 2**53 and np.all(values == np.rint(values))
    return values.astype(np.int64) if whole else values


def _begin(card: Card, given: Any, frames: int) -> tuple[int, ...]:
    whole = isinstance(given, list) and all(type(n) is int for n in given)
    rows = sorted({0, *given}) if whole else [-1]
    if rows[0] < 0 or rows[-1] >= max(frames, 1):
        raise BadCard(
            f"{card.name}: begin = {given!r} are not frames of the {frames} there are"
        )
    return tuple(rows)


def _seconds(card: Card, given: Any) -> float:
    if not isinstance(given, int | float) or given < 0:
        raise BadCard(f"{card.name}: count_s = {given!r} is no number of seconds")
    return float(given) or card.frame_s
