"""MATLAB v5 files: one value per frame, its onset, and a cell array of spike times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.data.matlab import variable
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import check_onsets
from retina.types import Cell, Recording


def matlab_trains(folder: Path, card: Card) -> Recording:
    """Full-field stimulus, frame onsets and spike times, all in seconds.

    folder:  with the card's files.
    card:    options ``stimulus``, ``onsets``, ``spikes``, each [file, variable];
             ``spikes`` is a (1, cell) cell array. Cells are named "1", "2", ...
    returns: one part, cut by the card's splits.
    raises:  UnreadableFile for a missing, truncated or different file; ShapeMismatch
             where frames and onsets are not as many, or do not last frame_s.
    """
    options = card.needs("stimulus", "onsets", "spikes")
    stimulus = variable(folder, *options["stimulus"]).ravel()
    onsets = variable(folder, *options["onsets"]).ravel().astype(np.float64)
    trains = variable(folder, *options["spikes"]).ravel()
    spikes = tuple(np.sort(np.asarray(t, np.float64).ravel()) for t in trains)
    part = Part(
        stimulus=as_stimulus(stimulus, card.name),
        onsets_s=check_onsets(onsets, stimulus.size, card),
        spikes=(spikes,),
    )
    names = [str(i + 1) for i in range(len(spikes))]
    cells = [Cell(name, card.cell_types.get(name, "")) for name in names]
    return recording(card, {"": part}, cells)
