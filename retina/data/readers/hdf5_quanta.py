"""HDF5: light per millisecond, and counts per longer bin for every repeat."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.mapped import of_hdf5
from retina.data.parts import Part, as_stimulus, recording
from retina.errors import UnreadableFile, nearest
from retina.types import Cell, Recording


def hdf5_quanta(folder: Path, card: Card) -> Recording:
    """One cell, a full-field stimulus, and the quanta it released in each repeat.

    folder:  with the card's files.
    card:    options ``file``, ``stimulus`` (dataset (frame,)), ``counts`` (dataset
             (trial, bin)), ``count_s`` and ``cell``, the cell's name.
    returns: one part, cut by the card's splits.
    raises:  UnreadableFile.
    """
    options = card.needs("file", "stimulus", "counts", "count_s", "cell")
    path = below(folder, options["file"])
    stimulus = dataset(path, options["stimulus"])
    counts = dataset(path, options["counts"])
    if counts.ndim != 2:
        raise UnreadableFile(
            f"{path}: {options['counts']} has shape {counts.shape}, not (trial, bin)"
        )
    part = Part(
        stimulus=as_stimulus(stimulus.ravel(), card.name),
        onsets_s=np.arange(stimulus.size + 1) * card.frame_s,
        counts=counts[..., None],
        count_s=float(options["count_s"]),
    )
    name = options["cell"]
    return recording(card, {"": part}, [Cell(name, card.cell_types.get(name, ""))])


def dataset(path: Path, name: str) -> np.ndarray:
    """One data set of an HDF5 file, whole; a large one is mapped.

    raises: UnreadableFile for a file that is truncated, of another format, or lacks it.
    """
    try:
        with h5py.File(path) as store:
            if name not in store:
                raise UnreadableFile(f"{path} has no {name!r}: {nearest(name, store)}")
            return of_hdf5(store[name])  # type: ignore[arg-type]
    except OSError as error:
        raise UnreadableFile(
            f"{path} is not a readable HDF5 file ({error}): fetch it again"
        ) from None
