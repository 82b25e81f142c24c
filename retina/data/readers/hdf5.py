"""Any HDF5 file, MATLAB's v7.3 among them: the card names the arrays and their axes."""

from __future__ import annotations

import functools
from pathlib import Path

import h5py
import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, every_name, group, opened
from retina.data.named import BESIDE, named
from retina.data.units import beginning, in_a_row
from retina.types import Recording

_EMPTY = "MATLAB_empty"  # of an array that holds its shape in place of numbers


def hdf5(folder: Path, card: Card) -> Recording:
    """Stimulus and counts, or spike times, of one's own HDF5 file.

    folder: with the card's files.
    card:   option ``file``, and a table ``parts`` of `retina.data.named.named`: for
            each stretch ``stimulus``, ``stimulus_axes``, ``onsets``, ``begin``, and
            ``counts``, ``counts_axes``, ``count_s``, or ``spike_s``, ``spike_cell``,
            ``spike_trial``, or ``units``. Arrays are named by their path in the file.
            ``first``: 1 where cells and trials are counted from 1, as MATLAB does (0).
            ``cells``: their names, where they are not numbered so.
            ``stimulus`` = [FILE, ARRAY] in place of ``parts``: all options of the
            reader `csv` but its columns, with trials of one long movie among them;
            ``units``, or ``spike_s`` and ``spike_cell``, then name the spikes.
    returns: the parts of the table; cells are named "0", "1", ... or by ``cells``.
    raises:  UnreadableFile; ShapeMismatch; BadStimulus; BadResponse; BadCard.
    """
    options = card.needs("file", parts={}, first=0, **BESIDE)
    with opened(folder, options["file"]) as store:
        where = Path(store.filename).name
        each = functools.partial(_units, store)
        return named(folder, card, lambda name: array(store, name), each, where)


def _units(store: h5py.File, start: str) -> dict[str, np.ndarray]:
    found = store.get(start)
    if isinstance(found, h5py.Dataset) and found.dtype == h5py.ref_dtype:
        # A cell array: references to arrays; MATLAB keeps an empty one as its shape.
        in_a_row(found.shape, start, Path(store.filename).name)
        held = [store[one] for one in found[()].ravel()]
        return {
            str(i): np.zeros(0) if _EMPTY in one.attrs else array(store, one.name)
            for i, one in enumerate(held)
        }
    folder, slash, _ = start.rpartition("/")
    below = group(store, folder) if folder else store
    listed = [f"{folder}{slash}{name}" for name in every_name(below)] if below else []
    return beginning(listed, start, lambda name: array(store, name))
