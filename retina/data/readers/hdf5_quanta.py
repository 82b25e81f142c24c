"""HDF5: light per millisecond, and counts per longer bin for every repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, opened
from retina.data.parts import Part, as_stimulus, recording
from retina.types import Cell, Recording


def hdf5_quanta(folder: Path, card: Card) -> Recording:
    """One cell, a full-field stimulus, and the quanta it released in each repeat.

    folder:  with the card's files.
    card:    options ``file``, ``stimulus`` (dataset (frame,)), ``counts`` (dataset
             (trial, bin)), ``count_s`` and ``cell``, the cell's name.
    returns: one part, cut by the card's splits.
    raises:  UnreadableFile; ShapeMismatch.
    """
    options = card.needs("file", "stimulus", "counts", "count_s", "cell")
    with opened(folder, options["file"]) as store:
        stimulus = array(store, options["stimulus"])
        counts = array(store, options["counts"], "trial, bin")
    part = Part(
        stimulus=as_stimulus(stimulus.ravel(), card.name),
        onsets_s=np.arange(stimulus.size + 1) * card.frame_s,
        counts=counts[..., None],
        count_s=float(options["count_s"]),
    )
    name = options["cell"]
    return recording(card, {"": part}, [Cell(name, card.cell_types.get(name, ""))])
