"""What pynwb tells of an NWB file, read in a process apart: all but the frames."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retina.data.extras import needed
from retina.data.finding import some
from retina.data.nwb_frames import Frames, frames
from retina.errors import RetinaError, ShapeMismatch, UnreadableFile, nearest

WHOLE = 0.99  # of a stimulus: rounded ends take less away


class Shown(NamedTuple):
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


class Units(NamedTuple):
    """Cells, their spike times, and of each (interval, 2) seconds when it was observed.

    observed: [] where the file does not say so, also of a single cell.
    """

    names: list[str]
    times: list[np.ndarray]
    observed: list[np.ndarray]

    def unseen(self, spans: np.ndarray) -> str:
        """A note of those that were not observed throughout; "" for none.

        spans: (showing, 2) seconds from start to end.

        >>> seen = [np.array([[0.0, 2]]), np.zeros((0, 2)), np.array([[0.0, 10]])]
        >>> Units(["a", "b", "c"], [], seen).unseen(np.array([[0.0, 10]]))[:24]
        'cell a (20%): observed f'
        """
        told = []
        for name, seen in zip(self.names, self.observed, strict=False):
            begin = np.maximum(spans[:, None, 0], seen[None, :, 0])
            end = np.minimum(spans[:, None, 1], seen[None, :, 1])
            share = np.maximum(end - begin, 0).sum() / np.diff(spans, axis=1).sum()
            told += [f"{name} ({share:.0%})"] if len(seen) and share < WHOLE else []
        if not told:
            return ""
        return (
            f"{some(told)}: observed for so much of the stimulus alone, by its "
            "obs_intervals; the rest counts as silence: leave it out"
        )


def read(
    path: Path, given: Mapping[str, dict[str, Any]], column: str
) -> tuple[Units, dict[str, Shown]]:
    """The cells, and the stretches.

    In a process apart: HDF5 follows some damaged strings and tables without end. What
    needs pynwb is read here; frames are plain numbers, and too many to be sent.
    """
    library = needed("pynwb", "nwb", "an NWB file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of older versions of the format
            with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
                file = io.read()
                counted = any(table["counts"] for table in given.values())
                units = (_cells if counted else _units)(file, path, column)
                shown = {n: _shown(file, path, table) for n, table in given.items()}
                return units, shown
    except RetinaError:
        raise
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None


def _units(held: Any, path: Path, column: str) -> Units:
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
    observed = []
    if "obs_intervals" in units.colnames:
        observed = [
            np.asarray(units.get_unit_obs_intervals(i), np.float64).reshape(-1, 2)
            for i in range(len(labels))
        ]
    return Units(labels, times, observed)


def _shown(held: Any, path: Path, table: dict[str, Any]) -> Shown:
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
    return Shown(
        frames=held_frames,
        timestamps=timestamps,
        rate=float(series.rate or 0),
        start_s=float(series.starting_time or 0),
        starts=starts,
        ends=ends,
        counts=counts,
        count_s=count_s,
    )


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


def _cells(held: Any, path: Path, column: str) -> Units:
    """Names from the module's table; there are no spike times."""
    found = _module(held, path)["cells"]
    if column not in found.colnames:
        known = nearest(column, found.colnames)
        raise UnreadableFile(f"{path}: cells have no column {column!r}: {known}")
    return Units([str(one) for one in found[column][:]], [], [])


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
