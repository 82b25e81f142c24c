"""A recording from spikes, and a stimulus whose arrays lie in any files beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.data.parts import Part, recording
from retina.data.shown import check_onsets, onsets, put_in, stimulus, values
from retina.data.trains import (
    Trains,
    cells_of,
    check_seconds,
    counted,
    first_of,
    trains,
)
from retina.data.trials import clocks_of, together, within
from retina.errors import BadCard, BadStimulus
from retina.types import Recording

Columns = Mapping[str, str]
Read = Callable[[Path, object, Columns], dict[str, np.ndarray]]

SHOWN = {
    **{"stimulus_axes": "", "onsets": [], "cells": []},
    **{"trials": [], "trial_frames": 0},
}


def spike_table(folder: Path, card: Card, read: Read) -> Recording:
    """The recording of a card for the readers `csv` and `parquet`.

    read: gives the columns "cell", "time_s" and, where it is asked for, "trial" of a
          file, by the names that they have there.
    """
    options = card.needs(
        *("spikes", "stimulus"),
        **{"cell": "cell", "time_s": "time_s", "trial": ""},
        **{"first": 0, "trial_count": 0},
        **SHOWN,
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
        options["trial_count"],
    )
    return beside(folder, card, names, made)


def asked(card: Card) -> list[str]:
    """The cells of the option ``cells``, as text."""
    given = card.options.get("cells", [])
    if not isinstance(given, list):
        raise BadCard(f"{card.name}: cells = {given!r} is no list of names")
    return [str(one) for one in given]


def alone_beside(card: Card, *others: str) -> None:
    """raises: BadCard for options of `beside` that nobody would read.

    others: more of them, of a reader.
    """
    given = [key for key in (*SHOWN, *others) if card.options.get(key)]
    given = [key for key in given if key != "cells"]
    if given and not card.options.get("stimulus"):
        raise BadCard(
            f"{card.name}: the options {', '.join(given)} go with stimulus = [FILE, "
            "ARRAY]; where there are parts, each has its own"
        )


def beside(folder: Path, card: Card, names: list[str], made: Trains) -> Recording:
    """The recording of spikes whose stimulus the card names as [file, array].

    So are the times of its frames (onsets) and the starts of trials: see the reader
    `csv` for the options.
    """
    options = SHOWN | card.options
    shown = stimulus(folder, card, options["stimulus"], options["stimulus_axes"])
    cells = cells_of(card, names)
    odd = ""
    if options["trial_frames"] and not options["trials"]:
        raise BadCard(f"{card.name}: trial_frames goes with trials, when they begin")
    if options["trials"]:
        parts, clock, odd = _in_trials(folder, card, shown, made)
    else:
        clock = onsets(folder, card, options["onsets"], len(shown))
        parts = {"": Part(shown, clock, made)}
    notes = [note for note in (odd, check_seconds(made, clock, card.name)) if note]
    held = recording(card, parts, cells)
    return dataclasses.replace(held, notes=(*held.notes, *notes))


def _in_trials(
    folder: Path, card: Card, shown: np.ndarray, made: Trains
) -> tuple[dict[str, Part], np.ndarray, str]:
    """Parts "" (where the trials lie within a longer movie) and "trials", a clock, and
    what is to be noted.

    raises: BadCard where the spikes have trials already.
    """
    options = SHOWN | card.options
    once, *more = made
    if more:
        raise BadCard(f"{card.name}: give the trial of each spike, or trials, not both")
    starts_s = starts(folder, options["trials"], card.name)
    given = options["onsets"]
    times = None
    if given:
        times = values(folder, given, card.name).ravel().astype(np.float64)
        if len(times) != len(shown) * len(starts_s):
            times = put_in(times, card)
    clocks = None  # trials of so many frames lie within the movie
    if not options["trial_frames"]:
        clocks = clocks_of(times, starts_s, len(shown), card.frame_s)
    if clocks is not None:
        for trial, clock in enumerate(clocks):
            check_onsets(clock, len(shown), card)
            if not np.all(np.diff(clock) > 0):
                raise BadStimulus(
                    f"{card.name}, trials: the times of frames do not rise throughout "
                    f"trial {trial}: are those of each trial in their order?"
                )
        every = np.unique(np.concatenate(clocks))
        again, odd = together(shown, clocks, once)
        return {"trials": again}, every, odd
    clock = onsets(folder, card, given, len(shown))
    whole = Part(shown, clock, made)
    where = f"{card.name}, trials"
    again, odd = within(whole, starts_s, options["trial_frames"], where)
    return {"": whole, "trials": again}, clock, odd


def starts(folder: Path, named: object, where: str) -> np.ndarray:
    """(trial,) seconds, sorted, at which trials begin: [file, column], [file, array].

    raises: BadCard; UnreadableFile; BadResponse; MissingData; BadStimulus where there
            is none, or one is no number.
    """
    found = values(folder, named, where).ravel()
    if not len(found) or not np.isfinite(found).all():
        raise BadStimulus(
            f"{where}: {named} holds {len(found)} starts of trials, wanted one or more "
            "and each a finite number of seconds: take out what is no start"
        )
    return np.sort(found.astype(np.float64))
