"""A card for a person's own files, with what to look at and what to fill in marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retina.data.proposal.guess import Guess, stretches
from retina.data.proposal.nwb import nwb_text
from retina.data.proposal.seen import Seen, look, reader_of
from retina.data.proposal.text import LOOK, card_text, quoted
from retina.data.proposal.trials import all_frames, starts, with_trials
from retina.errors import BadSetting, MissingData


def draft(name: str, files: Sequence[Path]) -> str:
    """TOML of a card named `name` for files that lie in one folder.

    files:  one file with a stimulus and a response (npz, HDF5, MATLAB, NWB), or a table
            of spikes (CSV, parquet), or an NWB file without a stimulus, and a file with
            the stimulus. Beside a table, also files of the times of its frames, and of
            when each trial begins.
    raises: MissingData where nothing looks like a stimulus or a response, with what
            there is; BadSetting; UnreadableFile; MissingExtra.
    """
    if not files:
        raise BadSetting("name the files: --from FILE")
    folders = {path.resolve().parent for path in files}
    if len(folders) > 1:
        raise BadSetting("the files lie in different folders: put them into one")
    kinds = {path: reader_of(path) for path in files}
    nwb = [path for path, kind in kinds.items() if kind == "nwb"]
    if nwb:
        return nwb_text(name, nwb[0], [path for path in files if path != nwb[0]])
    found = {path: look(path) for path in files}
    tables = [path for path, kind in kinds.items() if kind in ("csv", "parquet")]
    if tables:  # of two, the one with cells holds the spikes
        spikes = max(tables, key=lambda path: _column(found[path], "cell") is not None)
        return _table(name, kinds, found, spikes)
    if len(files) > 1 or not kinds[files[0]]:
        raise BadSetting(
            "stimulus and response should lie in one file, or the spikes in a CSV or "
            "parquet table (columns cell and time_s) beside the stimulus"
        )
    guesses = stretches(found[files[0]])
    if not guesses or not any(one.heard for one in guesses.values()):
        raise MissingData(
            f"{files[0].name} holds {_listed(found[files[0]])}: nothing of it looks "
            "like a stimulus and a response of as many bins: name arrays so (stimulus, "
            "counts; or spike_s, the times of all cells in one array, and spike_cell, "
            "whose they are; or spikes/unit_0 and so on, the times of one cell each), "
            f"or write the card by hand (`retina new dataset {name}`)"
        )
    numbering, guesses = _numbering(guesses)
    options = ["[options]", f"file = {quoted(files[0].name)}", *numbering]
    for part, guess in guesses.items():
        options += ["", f"[options.parts.{quoted(part or 'all')}]", *_arrays(guess)]
    taken = "\n".join(options)
    units = tuple(one.units for one in guesses.values() if one.units)
    idle = [
        one.name
        for one in found[files[0]]
        if quoted(one.name) not in taken and not one.name.startswith(units)
    ]
    if idle:
        options.append(f"# Not used: {', '.join(idle[:20])}")
    named = {part or "all": guess for part, guess in guesses.items()}
    return card_text(name, kinds[files[0]], files, options, named)


def _numbering(
    guesses: dict[str, Guess],
) -> tuple[list[str], dict[str, Guess]]:
    """Lines that say how cells and trials are numbered; all stretches have one way."""
    cells = [one.spike_cell.read() for one in guesses.values() if one.spike_cell]
    names = np.unique(np.concatenate(cells)) if cells else np.zeros(0)
    if not len(names) or np.any(names != np.rint(names)):
        return [], guesses
    trials = [_least(one.spike_trial) for one in guesses.values() if one.spike_trial]
    first = int(min(trials, default=names[0]) == 1)
    lines = [f"first = 1{LOOK}: from where they are counted"] if first else []
    if np.any(names != first + np.arange(len(names))):
        lines.append(f"cells = {quoted([int(n) for n in names])}")
    number = len(names)
    return lines, {
        key: dataclasses.replace(one, cells=number) for key, one in guesses.items()
    }


def _least(one: Seen) -> int:
    return int(np.min(one.read(), initial=2**31))


def _arrays(guess: Guess) -> list[str]:
    mark = "" if guess.sure else LOOK
    lines = [f"stimulus = {quoted(guess.stimulus.name)}"]
    lines += [f"stimulus_axes = {quoted(guess.axes)}{mark}"]
    for key in ("onsets", "counts", "spike_s", "spike_cell", "spike_trial"):
        one = getattr(guess, key)
        if one is not None:
            look = LOOK if key == "counts" and not guess.named else ""
            lines.append(f"{key} = {quoted(one.name)}{look}")
    if guess.units:
        lines.append(f"units = {quoted(guess.units)}{LOOK}: one array for each cell")
    if guess.counts is not None:
        lines.append(f"counts_axes = {quoted(guess.counts_axes)}{mark}")
    return lines


def _table(
    name: str,
    kinds: dict[Path, str],
    found: dict[Path, list[Seen]],
    table: Path,
) -> str:
    shown = [one for path, own in found.items() if path != table for one in own]
    begin = starts(shown)
    tables = [path.name for path, kind in kinds.items() if kind in ("csv", "parquet")]
    for path in kinds:
        known = (table.name, begin.file if begin else "")
        if path.name in tables and path.name not in known:
            raise MissingData(
                f"{path.name} has the columns {_listed(found[path])}: wanted start_s, "
                "the seconds at which trials begin, or no second table"
            )
    # The other columns of a table of trials say nothing of frames.
    shown = [one for one in shown if one is not begin and one.file not in tables]
    guesses = stretches([*shown, *_as_spikes(found[table])])
    guess = guesses.get("")
    if guess is None or guess.spike_s is None or guess.spike_s.file != table.name:
        raise MissingData(
            f"{table.name} has the columns {_listed(found[table])}, the other files "
            f"{_listed(shown) if shown else 'are missing'}: wanted columns cell and "
            "time_s, and a stimulus (npy, npz, HDF5 or MATLAB) beside them"
        )
    place = [guess.stimulus.file, guess.stimulus.name]
    options = ["[options]", f"spikes = {quoted(table.name)}"]
    options += [f"stimulus = {quoted([word for word in place if word])}"]
    mark = "" if guess.sure else LOOK
    options += [f"stimulus_axes = {quoted(guess.axes)}{mark}"]
    onsets = guess.onsets or all_frames(shown, guess, begin)
    if onsets is not None:
        options += [f"onsets = {quoted(_place(onsets))}"]
        taken = np.diff(onsets.read().astype(np.float64))
        guess = dataclasses.replace(guess, frame_s=float(np.median(taken)))
    for key, one in (
        ("time_s", guess.spike_s),
        ("cell", _column(found[table], "cell") or guess.spike_cell),
        ("trial", guess.spike_trial),
    ):
        if one is not None:
            options.append(f"{key} = {quoted(one.name)}")
    if guess.spike_trial is not None and _least(guess.spike_trial) == 1:
        options.append(f"first = 1{LOOK}: trials are counted from 1")
    parts: dict[str, Any] = {"": guess}
    if begin is not None:
        if guess.spike_trial is not None:
            raise BadSetting(
                f"{table.name} has the trial of each spike, and {begin.file} when "
                "trials begin: name one of the two"
            )
        lines, parts = with_trials(guess, onsets, begin)
        options += [f"trials = {quoted(_place(begin))}"]
        told = f"{LOOK}: as many are the same in every trial"
        options += [line + told for line in lines]
    return card_text(name, kinds[table], list(found), options, parts)


def _place(one: Seen) -> list[str]:
    return [word for word in (one.file, one.name) if word]


def _as_spikes(columns: list[Seen]) -> list[Seen]:
    """Labels of cells may be words: they count as numbers of their own."""
    return [
        one
        if one.kind in "iuf"
        else Seen(one.file, one.name, one.shape, "i", lambda one=one: _ranks(one))
        for one in columns
    ]


def _ranks(one: Seen) -> np.ndarray:
    return np.unique(one.read(), return_inverse=True)[1]


def _column(columns: list[Seen], name: str) -> Seen | None:
    return next((one for one in columns if one.name == name), None)


def _listed(found: Sequence[Seen]) -> str:
    words = [f"{one.name or one.file} {'x'.join(map(str, one.shape))}" for one in found]
    more = f" and {len(words) - 8} more" if len(words) > 8 else ""
    return (", ".join(words[:8]) + more) or "no array of numbers"
