"""A card for an NWB file: what it holds is looked at in a process apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retina.apart import apart
from retina.data.extras import needed
from retina.data.hdf5 import array, opened
from retina.data.proposal.guess import Guess, guess_of
from retina.data.proposal.screen import screen
from retina.data.proposal.seen import Seen, look
from retina.data.proposal.text import LOOK, card_text, quoted
from retina.data.proposal.trials import SAME, few, starts, with_trials
from retina.data.pulses import usual
from retina.errors import BadStimulus, MissingData, UnreadableFile

# What was recorded, not shown.
_RECORDED = (
    *("ElectricalSeries", "SpikeEventSeries", "FilteredEphys", "LFP"),
    *("OnePhotonSeries", "TwoPhotonSeries", "RoiResponseSeries", "SpatialSeries"),
)


class _Shown(NamedTuple):
    """A stimulus of a file.

    kind:  the type of its series.
    rows:  where in the file its frames lie, or the numbers of the images in them.
    times: (frame,) seconds.
    """

    kind: str
    shape: tuple[int, ...]
    rows: str | np.ndarray
    times: np.ndarray


class _Held(NamedTuple):
    """What a file holds.

    tables: of intervals, when each begins and ends, by name; those of trials first.
    """

    shown: dict[str, _Shown]
    tables: dict[str, tuple[np.ndarray, np.ndarray]]
    cells: int
    species: str


def nwb_text(name: str, path: Path, others: Sequence[Path]) -> str:
    """TOML of a card for an NWB file, and where it has no stimulus, for one beside it.

    others: the other files that were named.
    raises: MissingData without units or without a stimulus; UnreadableFile;
            MissingExtra.
    """
    needed("pynwb", "nwb", "an NWB file")  # told here, whatever is so elsewhere
    held = apart(_held, path)
    if not held.cells:
        raise MissingData(
            f"{path.name} holds no units: a card needs some, with spike times"
        )
    if not held.shown:
        return _beside(name, path, others, held)
    options = ["[options]", f"file = {quoted(path.name)}"]
    stretches: dict[str, Any] = {}
    for key, one in held.shown.items():
        options += ["", f"[options.parts.{quoted(key)}]", f"stimulus = {quoted(key)}"]
        # Many a file has its images the other way round.
        if one.kind not in ("TimeSeries", "IndexSeries"):
            axes = "frame, x, y" + (", channel" if len(one.shape) == 4 else "")
            options.append(f"stimulus_axes = {quoted(axes)}{LOOK}: or y before x")
        guess = _guess(path, key, one, held.cells)
        lines, parts = _again(key, guess, held.tables, "trials" in stretches)
        options += lines
        stretches |= parts
    return card_text(name, "nwb", [path], options, stretches, species=held.species)


def _guess(path: Path, key: str, one: _Shown, cells: int) -> Guess:
    def rows() -> np.ndarray:
        if not isinstance(one.rows, str):
            return one.rows
        with opened(path.parent, path.name) as store:
            return array(store, one.rows)

    clock = Seen(path.name, key, one.times.shape, "f", lambda: one.times)
    lasts = np.diff(one.times)
    frame_s = usual(lasts) if np.all(lasts > 0) else None
    return Guess(
        Seen(path.name, key, one.shape, "f", rows),
        *(one.shape[0], ""),
        cells=cells,
        onsets=clock,
        frame_s=frame_s,
    )


def _again(
    key: str,
    guess: Guess,
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]],
    taken: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Lines that say when a stimulus, or frames of it, were shown again, and the parts.

    taken: whether another stimulus has trials within it: only one may.
    """
    frame_s = guess.frame_s or 1.0
    for name, (starts_s, ends_s) in tables.items():
        begin = Seen(name, "", starts_s.shape, "f", lambda starts_s=starts_s: starts_s)
        try:
            lines, parts = with_trials(guess, guess.onsets, begin, SAME)
        except (BadStimulus, UnreadableFile):
            continue  # of another stimulus
        line = f"repeats = {quoted(name)}{LOOK}: when its trials begin"
        if lines and not taken:
            told = f"{LOOK}: as many are the same in every trial"
            return [line, *(one + told for one in lines)], {
                part or key: one for part, one in parts.items()
            }
        lasts = guess.frames * frame_s
        if not lines and not np.any(np.abs(ends_s - starts_s - lasts) > frame_s):
            return [line], {key: parts["trials"]}
    hint = []
    if tables:
        hint = [
            f"# repeats = {quoted(next(iter(tables)))}{LOOK}: a table of its showings; "
            "this one begins with no same frames"
        ]
    return hint, {key: guess}


def _beside(name: str, path: Path, others: Sequence[Path], held: _Held) -> str:
    """A card for units whose stimulus lies in other files."""
    seen = [one for p in others for one in look(p)]
    begin = starts(seen)
    seen = [one for one in seen if one is not begin]
    movie = guess_of(seen)
    if movie is None:
        raise MissingData(
            f"{path.name} holds {held.cells} units but no stimulus: name a file with "
            f"its frames too (retina new dataset {name} --from {path.name} --from "
            "movie.npy)"
        )
    movie = dataclasses.replace(movie, cells=held.cells)
    perhaps = [few(seen, movie), *_starts(path, held)] if movie.onsets else []
    lines, parts = screen(movie, seen, begin, perhaps)
    options = ["[options]", f"file = {quoted(path.name)}", *lines]
    if movie.onsets is None and not any(x.startswith("onsets") for x in lines):
        options += [
            f"onsets = []{LOOK}: [FILE, ARRAY] of seconds on the clock of units"
        ]
    given = [path, *others]
    idle = [one.name for one in others if quoted(one.name) not in str(lines)]
    options += [f"# Not used: {', '.join(idle)}{LOOK}"] if idle else []
    return card_text(name, "nwb", given, options, parts, species=held.species)


def _starts(path: Path, held: _Held) -> list[Seen]:
    """When the intervals of each table begin, as an array of the file."""
    return [
        Seen(
            *(path.name, f"intervals/{name}/start_time", starts_s.shape, "f"),
            lambda starts_s=starts_s: starts_s,
        )
        for name, (starts_s, _) in held.tables.items()
    ]


def _held(path: Path) -> _Held:
    """In a process apart, as in the reader."""
    library = needed("pynwb", "nwb", "an NWB file")
    try:
        with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            held = io.read()
            places = {**held.acquisition, **held.stimulus_template, **held.stimulus}
            numbered = [
                getattr(one, "indexed_timeseries", None) for one in places.values()
            ]
            shown = {
                key: _shown(one)
                for key, one in places.items()
                if one.neurodata_type not in _RECORDED
                and not any(one is other for other in numbered)
                and getattr(one, "external_file", None) is None
                and getattr(getattr(one, "data", None), "shape", (0,))[0] > 1
                and getattr(getattr(one.data, "dtype", None), "kind", "O") in "biuf"
            }
            species = str(getattr(held.subject, "species", None) or "not stated")
            cells = 0 if held.units is None else len(held.units.id)
            tables = {**held.intervals}
            if held.trials is not None:
                tables = {"trials": held.trials, **tables}
            return _Held(shown, _times(tables), cells, species)
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None


def _shown(one: Any) -> _Shown:
    frames = one.data.shape[0]
    numbers = one.neurodata_type == "IndexSeries" or not hasattr(one.data, "name")
    times = np.arange(frames) / float(one.rate or 1) + float(one.starting_time or 0)
    if one.timestamps is not None:
        times = np.asarray(one.timestamps[:], np.float64)
    rows = np.asarray(one.data[:]) if numbers else str(one.data.name)
    return _Shown(one.neurodata_type, tuple(one.data.shape), rows, times)


def _times(tables: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Those of two intervals or more, which all say when they begin."""
    found = {}
    for name, table in tables.items():
        starts_s, ends_s = (
            np.asarray(table[word][:], np.float64)
            for word in ("start_time", "stop_time")
        )
        if len(starts_s) > 1 and np.isfinite(starts_s).all():
            found[name] = starts_s, ends_s
    return found
