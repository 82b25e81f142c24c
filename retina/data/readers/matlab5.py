"""Any MATLAB v5 file: the card names the variables and their axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.matlab import listed, variable
from retina.data.named import BESIDE, named
from retina.data.units import beginning, in_a_row
from retina.errors import UnreadableFile
from retina.types import Recording


def matlab5(folder: Path, card: Card) -> Recording:
    """Stimulus and counts, or spike times, of one's own MATLAB file (not v7.3).

    folder: with the card's files.
    card:   option ``file``, and a table ``parts`` of `retina.data.named.named`, as for
            the reader `hdf5`, but with names of variables. MATLAB counts from 1: so do
            ``spike_cell`` and ``spike_trial`` where ``first`` = 1 (0 by default).
            ``cells`` as there.
            ``stimulus`` = [FILE, ARRAY] in place of ``parts``: all options of the
            reader `csv` but its columns, with trials of one long movie among them;
            ``units``, or ``spike_s`` and ``spike_cell``, then name the spikes.
    returns: the parts of the table; cells are named "0", "1", ... or by ``cells``.
    raises:  UnreadableFile; ShapeMismatch; BadStimulus; BadResponse; BadCard.
    """
    options = card.needs("file", parts={}, first=0, **BESIDE)

    def get(name: object) -> np.ndarray:
        return number(variable(folder, options["file"], str(name)), name)

    def number(found: np.ndarray, name: object) -> np.ndarray:
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
            raise UnreadableFile(
                f"{options['file']}: {name!r} is no array of numbers, but "
                f"{getattr(found, 'dtype', type(found).__name__)}"
            )
        return found

    def each(start: str) -> dict[str, np.ndarray]:
        known = {name: kind for name, _, kind in listed(path)}
        if known.get(start) != "cell":
            return beginning(known, start, get)
        held = variable(folder, options["file"], start)
        in_a_row(held.shape, start, str(options["file"]))
        return {
            str(i): number(one, f"{start}{{{i + 1}}}")
            for i, one in enumerate(held.ravel())
        }

    path = below(folder, options["file"])
    return named(folder, card, get, each, str(options["file"]))
