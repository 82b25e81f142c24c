"""A card for a person's own files, with what to look at and what to fill in marked."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retina.apart import apart
from retina.data.extras import needed
from retina.data.proposal.guess import Guess, stretches
from retina.data.proposal.seen import Seen, look, reader_of
from retina.data.proposal.trials import (
    Gapped,
    all_frames,
    between,
    starts,
    with_trials,
)
from retina.errors import BadSetting, MissingData, UnreadableFile

FILL, LOOK = "  # <- fill in", "  # <- look at this"
TRAIN, VALIDATION = 0.8, 0.9  # of the frames


def draft(name: str, files: Sequence[Path]) -> str:
    """TOML of a card named `name` for files that lie in one folder.

    files:  one file with a stimulus and a response (npz, HDF5, MATLAB, NWB), or a table
            of spikes (CSV, parquet), or an NWB file without a stimulus, and a file with
            the stimulus. Beside a table, also files of the times of its frames, and of
            when each trial begins.
    raises: MissingData where nothing looks like a stimulus or a response, with what
            there is; BadSetting; UnreadableFile; MissingExtra.
    """
    if not files:
        raise BadSetting("name the files: --from FILE")
    folders = {path.resolve().parent for path in files}
    if len(folders) > 1:
        raise BadSetting("the files lie in different folders: put them into one")
    kinds = {path: reader_of(path) for path in files}
    nwb = [path for path, kind in kinds.items() if kind == "nwb"]
    if nwb:
        return _nwb(name, nwb[0], [path for path in files if path != nwb[0]])
    found = {path: look(path) for path in files}
    tables = [path for path, kind in kinds.items() if kind in ("csv", "parquet")]
    if tables:  # of two, the one with cells holds the spikes
        spikes = max(tables, key=lambda path: _column(found[path], "cell") is not None)
        return _table(name, kinds, found, spikes)
    if len(files) > 1 or not kinds[files[0]]:
        raise BadSetting(
            "stimulus and response should lie in one file, or the spikes in a CSV or "
            "parquet table (columns cell and time_s) beside the stimulus"
        )
    guesses = stretches(found[files[0]])
    if not guesses or not any(one.heard for one in guesses.values()):
        raise MissingData(
            f"{files[0].name} holds {_listed(found[files[0]])}: nothing of it looks "
            "like a stimulus and a response of as many bins: name arrays so (stimulus, "
            "counts; or spike_s, the times of all cells in one array, and spike_cell, "
            "whose they are; or spikes/unit_0 and so on, the times of one cell each), "
            f"or write the card by hand (`retina new dataset {name}`)"
        )
    numbering, guesses = _numbering(guesses)
    options = ["[options]", f"file = {_t(files[0].name)}", *numbering]
    for part, guess in guesses.items():
        options += ["", f"[options.parts.{_t(part or 'all')}]", *_arrays(guess)]
    taken = "\n".join(options)
    units = tuple(one.units for one in guesses.values() if one.units)
    idle = [
        one.name
        for one in found[files[0]]
        if _t(one.name) not in taken and not one.name.startswith(units)
    ]
    if idle:
        options.append(f"# Not used: {', '.join(idle[:20])}")
    named = {part or "all": guess for part, guess in guesses.items()}
    return _card(name, kinds[files[0]], files, options, named)


def _numbering(
    guesses: dict[str, Guess],
) -> tuple[list[str], dict[str, Guess]]:
    """Lines that say how cells and trials are numbered; all stretches have one way."""
    cells = [one.spike_cell.read() for one in guesses.values() if one.spike_cell]
    names = np.unique(np.concatenate(cells)) if cells else np.zeros(0)
    if not len(names) or np.any(names != np.rint(names)):
        return [], guesses
    trials = [_least(one.spike_trial) for one in guesses.values() if one.spike_trial]
    first = int(min(trials, default=names[0]) == 1)
    lines = [f"first = 1{LOOK}: from where they are counted"] if first else []
    if np.any(names != first + np.arange(len(names))):
        lines.append(f"cells = {_t([int(n) for n in names])}")
    number = len(names)
    return lines, {
        key: dataclasses.replace(one, cells=number) for key, one in guesses.items()
    }


def _least(one: Seen) -> int:
    return int(np.min(one.read(), initial=2**31))


def _arrays(guess: Guess) -> list[str]:
    mark = "" if guess.sure else LOOK
    lines = [f"stimulus = {_t(guess.stimulus.name)}"]
    lines += [f"stimulus_axes = {_t(guess.axes)}{mark}"]
    for key in ("onsets", "counts", "spike_s", "spike_cell", "spike_trial"):
        one = getattr(guess, key)
        if one is not None:
            look = LOOK if key == "counts" and not guess.named else ""
            lines.append(f"{key} = {_t(one.name)}{look}")
    if guess.units:
        lines.append(f"units = {_t(guess.units)}{LOOK}: one array for each cell")
    if guess.counts is not None:
        lines.append(f"counts_axes = {_t(guess.counts_axes)}{mark}")
    return lines


def _table(
    name: str,
    kinds: dict[Path, str],
    found: dict[Path, list[Seen]],
    table: Path,
) -> str:
    shown = [one for path, own in found.items() if path != table for one in own]
    begin = starts(shown)
    tables = [path.name for path, kind in kinds.items() if kind in ("csv", "parquet")]
    for path in kinds:
        known = (table.name, begin.file if begin else "")
        if path.name in tables and path.name not in known:
            raise MissingData(
                f"{path.name} has the columns {_listed(found[path])}: wanted start_s, "
                "the seconds at which trials begin, or no second table"
            )
    # The other columns of a table of trials say nothing of frames.
    shown = [one for one in shown if one is not begin and one.file not in tables]
    guesses = stretches([*shown, *_as_spikes(found[table])])
    guess = guesses.get("")
    if guess is None or guess.spike_s is None or guess.spike_s.file != table.name:
        raise MissingData(
            f"{table.name} has the columns {_listed(found[table])}, the other files "
            f"{_listed(shown) if shown else 'are missing'}: wanted columns cell and "
            "time_s, and a stimulus (npy, npz, HDF5 or MATLAB) beside them"
        )
    place = [guess.stimulus.file, guess.stimulus.name]
    options = ["[options]", f"spikes = {_t(table.name)}"]
    options += [f"stimulus = {_t([word for word in place if word])}"]
    mark = "" if guess.sure else LOOK
    options += [f"stimulus_axes = {_t(guess.axes)}{mark}"]
    onsets = guess.onsets or all_frames(shown, guess, begin)
    if onsets is not None:
        options += [f"onsets = {_t(_place(onsets))}"]
        taken = np.diff(onsets.read().astype(np.float64))
        guess = dataclasses.replace(guess, frame_s=float(np.median(taken)))
    for key, one in (
        ("time_s", guess.spike_s),
        ("cell", _column(found[table], "cell") or guess.spike_cell),
        ("trial", guess.spike_trial),
    ):
        if one is not None:
            options.append(f"{key} = {_t(one.name)}")
    if guess.spike_trial is not None and _least(guess.spike_trial) == 1:
        options.append(f"first = 1{LOOK}: trials are counted from 1")
    parts: dict[str, Any] = {"": guess}
    if begin is not None:
        if guess.spike_trial is not None:
            raise BadSetting(
                f"{table.name} has the trial of each spike, and {begin.file} when "
                "trials begin: name one of the two"
            )
        lines, parts = with_trials(guess, onsets, begin)
        options += [f"trials = {_t(_place(begin))}"]
        told = f"{LOOK}: as many are the same in every trial"
        options += [line + told for line in lines]
    return _card(name, kinds[table], list(found), options, parts)


def _place(one: Seen) -> list[str]:
    return [word for word in (one.file, one.name) if word]


def _as_spikes(columns: list[Seen]) -> list[Seen]:
    """Labels of cells may be words: they count as numbers of their own."""
    return [
        one
        if one.kind in "iuf"
        else Seen(one.file, one.name, one.shape, "i", lambda one=one: _ranks(one))
        for one in columns
    ]


def _ranks(one: Seen) -> np.ndarray:
    return np.unique(one.read(), return_inverse=True)[1]


def _column(columns: list[Seen], name: str) -> Seen | None:
    return next((one for one in columns if one.name == name), None)


def _held(
    path: Path,
) -> tuple[dict[str, tuple[tuple[int, ...], str]], float | None, list[str], int, str]:
    """Shape and type of each stimulus and a rate, tables of intervals, cells, species.

    In a process apart, as in the reader.
    """
    library = needed("pynwb", "nwb", "an NWB file")
    try:
        with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            held = io.read()
            places = {**held.acquisition, **held.stimulus_template, **held.stimulus}
            kinds = {key: one.neurodata_type for key, one in places.items()}
            numbered = [
                getattr(one, "indexed_timeseries", None) for one in places.values()
            ]
            shown = {
                key: (tuple(one.data.shape), kinds[key])
                for key, one in places.items()
                if kinds[key] not in _RECORDED
                and not any(one is other for other in numbered)
                and getattr(one, "external_file", None) is None
                and getattr(getattr(one, "data", None), "shape", (0,))[0] > 1
            }
            species = str(getattr(held.subject, "species", None) or "not stated")
            cells = 0 if held.units is None else len(held.units.id)
            tables = [*held.intervals, *(["trials"] if held.trials is not None else [])]
            rate = next((places[key].rate for key in shown), None)
            return shown, rate and float(rate), tables, cells, species
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None


def _nwb(name: str, path: Path, others: Sequence[Path]) -> str:
    needed("pynwb", "nwb", "an NWB file")  # told here, whatever is so elsewhere
    shown, rate, tables, cells, species = apart(_held, path)
    if not cells:
        raise MissingData(
            f"{path.name} holds no units: a card needs some, with spike times"
        )
    options = ["[options]", f"file = {_t(path.name)}"]
    if not shown:
        movie = max((one for p in others for one in look(p)), key=_size, default=None)
        if movie is None:
            raise MissingData(
                f"{path.name} holds {cells} units but no stimulus: name a file with "
                f"its frames too (retina new dataset {name} --from {path.name} --from "
                "movie.npy)"
            )
        place = [word for word in (movie.file, movie.name) if word]
        options += [f"stimulus = {_t(place)}"]
        options += [
            f"onsets = []{LOOK}: [FILE, ARRAY] of seconds on the clock of units"
        ]
        length = {"": _Length(movie.shape[0], cells)}
        return _card(name, "nwb", [path, *others], options, length, species)
    for key, (shape, kind) in shown.items():
        options += ["", f"[options.parts.{_t(key)}]", f"stimulus = {_t(key)}"]
        if kind not in (
            "TimeSeries",
            "IndexSeries",
        ):  # many a file has its images the other way round
            axes = "frame, x, y" + (", channel" if len(shape) == 4 else "")
            options.append(f"stimulus_axes = {_t(axes)}{LOOK}: or y before x")
        if tables:
            options.append(
                f"# repeats = {_t(tables[0])}{LOOK}: the intervals of its showings"
            )
    lengths = {key: _Length(shape[0], cells) for key, (shape, _) in shown.items()}
    frame_s = 1 / float(rate) if rate else None
    return _card(name, "nwb", [path], options, lengths, species, frame_s)


# What was recorded, not shown.
_RECORDED = (
    *("ElectricalSeries", "SpikeEventSeries", "FilteredEphys", "LFP"),
    *("OnePhotonSeries", "TwoPhotonSeries", "RoiResponseSeries", "SpatialSeries"),
)


def _size(one: Seen) -> int:
    return math.prod(one.shape)


class _Length:
    """What a card's splits need to know of a stretch."""

    def __init__(self, frames: int, cells: int):
        self.frames, self.cells, self.trials, self.frame_s = frames, cells, 1, None


def _card(
    name: str,
    reader: str,
    files: Sequence[Path],
    options: list[str],
    parts: dict[str, Any],
    species: str = "not stated",
    frame_s: float | None = None,
) -> str:
    guessed = next((p.frame_s for p in parts.values() if p.frame_s), frame_s)
    frame_s = float(f"{guessed or 0:.9g}")
    mark = LOOK if guessed else FILL
    cells = next((one.cells for one in parts.values() if one.cells), 1)
    shortest = min(one.frames for one in parts.values())
    second = round(1 / frame_s) if frame_s else 30
    lead = max(1, min(second, shortest // 20))
    lines = [
        "# Proposed from the files. What is marked is yours to fill in or to look at;",
        f"# `retina check {name}.toml` says what is still missing.",
        f"name = {_t(name)}",
        f'title = "One line: which cells, which stimulus"{FILL}',
        f"species = {_t(species)}{FILL}",
        f'citation = "Authors (year) title, journal"{FILL}',
        f'licence = "not stated"{FILL}: who may use it, in your own words',
        f'source = "which rig, which day"{FILL}',
        f"reader = {_t(reader)}",
        f'coding = "light"{LOOK}: "contrast" where it has mean 0 and unit scale',
        f"frame_s = {frame_s!r}{mark}: seconds per frame"
        + ("" if guessed else ", 1/60 is 0.0166666667; no file has times of frames"),
        f'stimulus_unit = ""{FILL}: what one number of the stimulus means',
        f"lead = {lead}",
        f"cell_count = {cells}",
        'notes = ["Nobody has looked at it yet."]',
        "",
        *options,
        *_splits(parts, lead),
    ]
    for path in files:
        lines += ["", "[[files]]", f"path = {_t(path.name)}"]
    return "\n".join(lines) + "\n"


def _splits(parts: dict[str, Any], lead: int) -> list[str]:
    """A stretch with repeats is the test; else the last tenth of the longest one."""
    repeated = [name for name, one in parts.items() if one.trials > 1]
    called = [n for n in parts if "test" in n.lower() or "frozen" in n.lower()]
    tests = [n for n in (repeated or called) if len(parts) > 1]
    lines: list[str] = []

    def add(role: str, part: str, *frames: tuple[int, int], group: str = "") -> None:
        lines.extend(["", "[[splits]]", f"role = {_t(role)}"])
        lines.extend([f"part = {_t(part)}"] if part else [])
        lines.extend([f"group = {_t(group)}"] if group else [])
        ranges = [list(pair) for pair in frames]
        lines.append(f"frames = {ranges[0] if len(ranges) == 1 else ranges}{LOOK}")

    for name in sorted(parts, key=lambda name: name in tests):
        one, frames = parts[name], parts[name].frames
        if name in tests:
            group = "frozen" if one.trials > 1 else "running"
            add("test", name, (lead, frames), group=group)
            continue
        if isinstance(one, Gapped):
            between(add, name, one, lead)
            continue
        first, second = round(TRAIN * frames), round(VALIDATION * frames)
        if tests:
            first, second = round(VALIDATION * frames), frames
        add("train", name, (lead, first))
        add("validation", name, (first + lead, second))
        if not tests:
            group = "frozen" if one.trials > 1 else "running"
            add("test", name, (second + lead, frames), group=group)
    return lines


def _listed(found: Sequence[Seen]) -> str:
    words = [f"{one.name or one.file} {'x'.join(map(str, one.shape))}" for one in found]
    more = f" and {len(words) - 8} more" if len(words) > 8 else ""
    return (", ".join(words[:8]) + more) or "no array of numbers"


def _t(value: Any) -> str:
    return json.dumps(value)
