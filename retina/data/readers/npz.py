"""One npz file: the simplest layout for one's own recordings."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.mapped import npy, of_npz
from retina.data.named import BESIDE, SPIKES, named
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import put_in
from retina.data.table import alone_beside
from retina.data.trains import check_seconds, counted
from retina.data.units import beginning
from retina.errors import (
    BadCard,
    BadResponse,
    MissingData,
    ShapeMismatch,
    UnreadableFile,
    nearest,
)
from retina.types import Cell, Recording


def npz(folder: Path, card: Card) -> Recording:
    """Stimulus and response of one or several stretches, in one npz file.

    folder: with the card's files.
    card:   option ``file``. The file holds, all plain arrays:

            stimulus      (frame, *frame shape), one row per frame; or, in its place,
            stimulus_file the name of an .npy file beside this one that holds it
            onsets_s      (frame + 1,) seconds, each onset and the end of the last;
                          without it frames follow each other by the card's frame_s
            counts        (trial, bin, cell), with count_s, seconds per bin
            or instead of counts
            spike_s       (spike,) seconds on the clock of onsets_s
            spike_cell    (spike,) the cell of each, from 0
            spike_trial   (spike,) the trial of each, from 0; without it there is one

            For several stretches each name is preceded by the stretch's and a dot, as
            in ``frozen.stimulus``; the card's splits name them as their ``part``.
            ``cells`` (cell,) holds the cells' names; without it "0", "1",
            ... of as many as the card says, or else the counts or spikes have.

            A stimulus of more than 256 MB is mapped, never loaded whole: by ``savez``
            or in an .npy file it lies as that needs; what ``savez_compressed`` wrote is
            copied once, plain. uint8 is smallest, and is not searched for NaN.

            Arrays of other names: a table ``parts`` says which is which, as for the
            reader `hdf5`; ``first`` and ``cells`` go with it.
            ``stimulus`` = [FILE, ARRAY] in place of ``parts``: all options of the
            reader `csv` but its columns, with trials of one long movie among them;
            ``units``, or ``spike_s`` and ``spike_cell``, then name the spikes.
    raises: UnreadableFile; ShapeMismatch, also where frames do not last frame_s;
            BadStimulus; BadResponse, also where times look like milliseconds.
    """
    options = card.needs("file", parts={}, first=0, **BESIDE)
    path = below(folder, options["file"])
    shown = _shown(options["parts"])
    try:
        with open(path, "rb") as file:  # numpy leaves a broken zip open
            with np.load(file, allow_pickle=False) as store:
                arrays = {key: _values(path, store, key, shown) for key in store.files}
    except FileNotFoundError:
        raise MissingData(f"there is no {path}: name the file as it lies") from None
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(f"{path} is not a readable npz file: {said}") from None
    if options["parts"] or options["stimulus"]:
        get = functools.partial(_array, arrays, path)
        each = functools.partial(beginning, arrays, get=get)
        return named(folder, card, get, each, path.name)
    alone_beside(card, *SPIKES, "trial_count")
    if options["first"] or options["cells"]:
        raise BadCard(f"{card.name}: first and cells go with a table of parts only")
    number = card.cell_count or _number(arrays)
    names = [str(name) for name in arrays.pop("cells", np.arange(number))]
    stretches = sorted({key.rpartition(".")[0] for key in arrays})
    made = {
        stretch: _part(
            folder,
            {
                key.rpartition(".")[2]: value
                for key, value in arrays.items()
                if key.rpartition(".")[0] == stretch
            },
            card,
            f"{path.name}{f', {stretch}' if stretch else ''}",
            len(names),
        )
        for stretch in stretches
    }
    cells = [Cell(name, card.cell_types.get(name, "")) for name in names]
    parts = {name: part for name, (part, _) in made.items()}
    notes = [note for _, note in made.values() if note]
    read = recording(card, parts, cells)
    return dataclasses.replace(read, notes=(*read.notes, *notes))


def _number(arrays: dict[str, np.ndarray]) -> int:
    """Cells, where neither the file names them nor the card says how many there are.

    Those that follow the last one that fired are not known of.
    """
    numbers = [0]
    for key, value in arrays.items():
        word = key.rpartition(".")[2]
        if word == "counts" and value.ndim == 3:
            numbers.append(value.shape[2])
        elif word == "spike_cell" and value.size and value.dtype.kind in "iu":
            number = int(value.max()) + 1
            if number > value.size:
                raise BadResponse(
                    f"{key} numbers cells up to {number - 1} with {value.size} spikes: "
                    "give cells (their names), or cell_count on the card"
                )
            numbers.append(number)
    return max(numbers)


def _part(
    folder: Path, arrays: dict[str, np.ndarray], card: Card, where: str, cells: int
) -> tuple[Part, str]:
    """The stretch, and what is to be noted of it."""
    known = (
        "stimulus stimulus_file onsets_s counts count_s spike_s spike_cell spike_trial"
    ).split()
    for key in arrays:
        if key not in known:
            raise UnreadableFile(
                f"{where}: unknown array {key!r}: {nearest(key, known)}"
            )
    if "stimulus_file" in arrays and "stimulus" not in arrays:
        arrays["stimulus"] = npy(below(folder, str(arrays["stimulus_file"])))
    if "stimulus" not in arrays:
        raise UnreadableFile(f"{where} has no stimulus: {nearest('stimulus', arrays)}")
    stimulus = as_stimulus(arrays["stimulus"], where)
    onsets = arrays.get("onsets_s", np.arange(len(stimulus) + 1) * card.frame_s)
    onsets = put_in(onsets.astype(np.float64), card)
    clock = onsets.shape == (len(stimulus) + 1,) and bool(np.all(np.diff(onsets) > 0))
    if clock:  # else it is told with the other shapes
        _check_clock(onsets, card, where)
    if "counts" in arrays:
        if "count_s" not in arrays:
            raise UnreadableFile(f"{where}: counts need count_s, seconds per bin")
        counts = arrays["counts"]
        if not (np.issubdtype(counts.dtype, np.number) and counts.ndim == 3):
            raise BadResponse(
                f"{where}: counts are {counts.dtype} {counts.shape}, not numbers of "
                "axes (trial, bin, cell)"
            )
        return Part(stimulus, onsets, None, counts, float(arrays["count_s"])), ""
    if "spike_s" not in arrays or "spike_cell" not in arrays:
        raise UnreadableFile(f"{where} has neither counts nor spike_s and spike_cell")
    trains = _trains(arrays, where, cells)
    note = check_seconds(trains, onsets, where, "spike_s") if clock else ""
    return Part(stimulus, onsets, trains), note


def _check_clock(onsets: np.ndarray, card: Card, where: str) -> None:
    """Frames may jitter and be dropped; most of them last what the card says."""
    usual = float(np.median(np.diff(onsets)))
    if abs(usual - card.frame_s) > 0.1 * card.frame_s:
        raise ShapeMismatch(
            f"{where}: frames last {usual:.4g} s by onsets_s (seconds), but frame_s = "
            f"{card.frame_s:g} on the card: make them agree"
        )


def _trains(
    arrays: dict[str, np.ndarray], where: str, cells: int
) -> tuple[tuple[np.ndarray, ...], ...]:
    times = arrays["spike_s"].astype(np.float64)
    cell = arrays["spike_cell"]
    trial = arrays.get("spike_trial", np.zeros(len(times), np.int64))
    if not times.shape == cell.shape == trial.shape or times.ndim != 1:
        raise ShapeMismatch(
            f"{where}: spike_s {times.shape}, spike_cell {cell.shape} and spike_trial "
            f"{trial.shape} must be one row each, of equal length"
        )
    if not np.isfinite(times).all():
        raise BadResponse(f"{where}: spike_s holds NaN or infinity")
    for key, values, stop in (
        ("spike_cell", cell, cells),
        ("spike_trial", trial, None),
    ):
        if not np.issubdtype(values.dtype, np.integer):
            raise BadResponse(f"{where}: {key} is {values.dtype}, not whole numbers")
        if len(values) and (values.min() < 0 or (stop and values.max() >= stop)):
            raise BadResponse(
                f"{where}: {key} runs from {values.min()} to {values.max()}"
                + (f", but there are {stop} cells" if stop else "; it starts at 0")
            )
    trial = counted(trial, 0, f"{where}: spike_trial")
    return tuple(
        tuple(np.sort(times[(trial == t) & (cell == c)]) for c in range(cells))
        for t in range(int(trial.max()) + 1 if len(trial) else 1)
    )


def _shown(tables: dict) -> set[str]:
    """Names of the stimuli in a table of parts."""
    each = [one.get("stimulus") for one in tables.values() if isinstance(one, dict)]
    return {name for name in each if isinstance(name, str)}


def _values(
    path: Path, store: np.lib.npyio.NpzFile, key: str, shown: set[str]
) -> np.ndarray:
    """A stimulus may be larger than the memory."""
    stimulus = key in shown or key.endswith("stimulus")
    return of_npz(path, store, key) if stimulus else store[key]


def _array(arrays: dict[str, np.ndarray], path: Path, name: object) -> np.ndarray:
    if name not in arrays:
        known = nearest(str(name), arrays)
        raise UnreadableFile(f"{path} has no array {name!r}: {known}")
    return arrays[str(name)]
