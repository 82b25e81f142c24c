"""The recording that is made from a seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from retina.data import simulate
from retina.data.card import Card
from retina.types import Recording


def simulated(folder: Path, card: Card) -> Recording:
    """The simulated recording: made at its first use, kept in the folder.

    folder: writable; made where it does not exist.
    card:   options of `retina.data.simulate.simulated`.
    """
    made = simulate.simulated(dict(card.options), folder)
    notes = (*card.notes, *made.notes)
    return dataclasses.replace(
        made,
        name=card.name,
        notes=notes,
        publish=card.publish,
        pixel_um=card.pixel_um,
    )
