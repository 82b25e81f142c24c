"""A recording from a table of spikes and a stimulus in another file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.data.parts import Part, recording
from retina.data.shown import onsets, stimulus
from retina.data.trains import (
    Trains,
    cells_of,
    check_seconds,
    counted,
    first_of,
    trains,
)
from retina.errors import BadCard
from retina.types import Recording

Columns = Mapping[str, str]
Read = Callable[[Path, object, Columns], dict[str, np.ndarray]]

SHOWN = {"stimulus_axes": "", "onsets": [], "cells": []}


def spike_table(folder: Path, card: Card, read: Read) -> Recording:
    """The recording of a card for the readers `csv` and `parquet`.

    read: gives the columns "cell", "time_s" and, where it is asked for, "trial" of a
          file, by the names that they have there.
    """
    options = card.needs(
        "spikes", "stimulus", cell="cell", time_s="time_s", trial="", first=0, **SHOWN
    )
    columns = {"cell": options["cell"], "time_s": options["time_s"]}
    if options["trial"]:
        columns["trial"] = options["trial"]
    table = read(folder, options["spikes"], columns)
    trial = table.get("trial")
    if trial is not None:
        trial = counted(trial, first_of(card), str(options["spikes"]))
    names, made = trains(
        table["time_s"],
        table["cell"],
        trial,
        asked(card),
        str(options["spikes"]),
    )
    return beside(folder, card, names, made)


def asked(card: Card) -> list[str]:
    """The cells of the option ``cells``, as text."""
    given = card.options.get("cells", [])
    if not isinstance(given, list):
        raise BadCard(f"{card.name}: cells = {given!r} is no list of names")
    return [str(one) for one in given]


def beside(folder: Path, card: Card, names: list[str], made: Trains) -> Recording:
    """The recording of spikes whose stimulus the card names as [file, array]."""
    options = SHOWN | card.options
    shown = stimulus(folder, card, options["stimulus"], options["stimulus_axes"])
    edges = onsets(folder, card, options["onsets"], len(shown))
    note = check_seconds(made, edges, card.name)
    read = recording(card, {"": Part(shown, edges, made)}, cells_of(card, names))
    return dataclasses.replace(read, notes=(*read.notes, note)) if note else read
