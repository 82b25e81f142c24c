"""The verb `export`: a recording as one file of a standard layout, with its card."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from retina import atomic
from retina.data import card as cards
from retina.data.load import load
from retina.data.writers.card_beside import card_beside
from retina.errors import BadSetting

ENDINGS = {"hdf5": (".h5", ".hdf5"), "nwb": (".nwb",)}


def export(
    name: str | Path, path: str | Path, layout: str, *, cells: str | None = None
) -> tuple[Path, Path]:
    """Writes a recording, and beside it the card that loads it again.

    name:    a data set, or the path of a card.
    path:    the file; nothing that is there is replaced.
    layout:  "hdf5", every block as it is (see `retina.data.writers.hdf5`); or "nwb",
             Neurodata Without Borders (extra ``nwb``): blocks follow each other on one
             clock there, so times come back to a nanosecond, not to the last bit.
    cells:   as in `load`.
    returns: the file and its card, of the same name but for the ending.
    raises:  BadSetting for another ending or a name that no data set may have;
             UnwritableFolder; MissingExtra; what `load` raises.

    The licence of the recording stays what it is: it is written into the card.

    >>> export("simulated", "mine.txt", "hdf5")
    Traceback (most recent call last):
    retina.errors.BadSetting: mine.txt: an hdf5 file ends in .h5 or .hdf5
    """
    path = Path(path)
    if layout not in ENDINGS:
        raise BadSetting(f"layout {layout!r}: one of {', '.join(ENDINGS)}")
    if path.suffix not in ENDINGS[layout]:
        endings = " or ".join(ENDINGS[layout])
        raise BadSetting(f"{path.name}: an {layout} file ends in {endings}")
    cards.check_name(path, path.name)
    card = path.with_suffix(".toml")
    for file in (path, card):
        atomic.refuse_existing(file)
    recording = load(name, cells=cells)
    known = cards.read(name)
    write = importlib.import_module(f"retina.data.writers.{layout}").write
    aside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with atomic.explained(path.absolute().parent):
            reader, options = write(recording, aside)
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    text = card_beside(recording, known, path, reader, options)
    atomic.write_file(card.absolute(), text.encode())
    return path, card
