"""Any HDF5 file, MATLAB's v7.3 among them: the card names the arrays and their axes."""

from __future__ import annotations

from pathlib import Path

from retina.data.card import Card
from retina.data.hdf5 import array, opened
from retina.data.named import named
from retina.types import Recording


def hdf5(folder: Path, card: Card) -> Recording:
    """Stimulus and counts, or spike times, of one's own HDF5 file.

    folder: with the card's files.
    card:   option ``file``, and a table ``parts`` of `retina.data.named.named`: for
            each stretch ``stimulus``, ``stimulus_axes``, ``onsets``, ``begin``, and
            ``counts``, ``counts_axes``, ``count_s`` or ``spike_s``, ``spike_cell``,
            ``spike_trial``. Arrays are named by their path in the file. ``first``: 1
            where cells and trials are counted from 1, as MATLAB does (0). ``cells``:
            their names, where they are not numbered so.
    returns: the parts of the table; cells are named "0", "1", ... or by ``cells``.
    raises:  UnreadableFile; ShapeMismatch; BadStimulus; BadResponse; BadCard.
    """
    options = card.needs("file", "parts", first=0, cells=[])
    with opened(folder, options["file"]) as store:
        where = Path(store.filename).name
        return named(card, lambda name: array(store, name), where)
