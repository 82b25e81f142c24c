"""A card for a person's own files, with what to look at and what to fill in marked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retina.data.proposal.axes import FRAMES
from retina.data.proposal.guess import Guess, guess_of, increases, stretches
from retina.data.proposal.lacking import lacking
from retina.data.proposal.nwb import nwb_text
from retina.data.proposal.screen import by_length, screen
from retina.data.proposal.seen import Seen, last, look, reader_of
from retina.data.proposal.text import FILL, LOOK, card_text, quoted
from retina.data.proposal.trials import few, starts
from retina.errors import BadSetting, MissingData


def draft(name: str, files: Sequence[Path]) -> str:
    """TOML of a card named `name` for files that lie in one folder.

    files:  one file with a stimulus and a response (npz, HDF5, MATLAB, NWB), or one
            with spike times (these, or a table: CSV, parquet) and others with the
            stimulus, the times of its frames, and when each trial begins.
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
    with_cells = [path for path in tables if _column(found[path], "cell") is not None]
    source = with_cells[0] if with_cells else _source(found)
    every = [one for own in found.values() for one in own]
    whole = guess_of(every)
    trials = None
    if whole and whole.spiking and whole.spike_trial is None:
        trials = starts(_named_so(every)) or few(every, whole)
    if tables or source and (len(files) > 1 or trials and len(stretches(every)) < 2):
        return _beside(name, kinds, found, source or tables[0])
    if len(files) > 1 or not kinds[files[0]]:
        raise BadSetting(
            "none of these files holds spike times: give a table (columns cell and "
            "time_s), or an array for each cell (spikes/unit_0 in HDF5, unit_0 in npz, "
            "a cell array in MATLAB), beside the stimulus; counts lie in one file with "
            "it (numpy.savez('all.npz', stimulus=..., counts=...))"
        )
    guesses = stretches(found[files[0]])
    if not guesses or not any(one.heard for one in guesses.values()):
        raise MissingData(
            f"{files[0].name} holds {_listed(found[files[0]])}: {lacking(every)}; or "
            f"write the card by hand (`retina new dataset {name}`), which names arrays "
            f"as they are called (`retina show {kinds[files[0]]}`)"
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
    lines = [f"stimulus = {quoted(guess.stimulus.name)}{by_length(guess)}"]
    lines += [f"stimulus_axes = {quoted(guess.axes)}{mark}"]
    for key in ("onsets", "counts", "spike_s", "spike_cell", "spike_trial"):
        one = getattr(guess, key)
        if one is not None:
            look = LOOK if key == "counts" and not guess.named else ""
            if key == "onsets" and guess.doubt:
                look = f"{LOOK}: {guess.doubt}"
            lines.append(f"{key} = {quoted(one.name)}{look}")
    if guess.spike_s is not None and guess.spike_cell is None:
        lines.append(f'spike_cell = ""{FILL}: the array of whose each spike is')
    lines += _trials(guess)
    if guess.units:
        lines.append(f"units = {quoted(guess.units)}{LOOK}: one array for each cell")
    if guess.counts is not None:
        lines.append(f"counts_axes = {quoted(guess.counts_axes)}{mark}")
    if guess.each > 1 and guess.frame_s:
        told = f"{LOOK}: {guess.each} bins of each frame"
        lines.append(f"count_s = {guess.frame_s / guess.each:.9g}{told}")
    return lines


def _trials(guess: Guess) -> list[str]:
    if guess.spike_trial is None:
        return []
    told = f"{LOOK}: with those at the end that hold no spike"
    return [f"trial_count = {guess.trials}{told}"]


def _named_so(found: Sequence[Seen]) -> list[Seen]:
    """Arrays whose own name says trials, not that of their group."""
    return [one for one in found if re.search("trial|repeat", last(one))]


def _source(found: dict[Path, list[Seen]]) -> Path | None:
    """The file of arrays that holds spike times."""
    every = [one for own in found.values() for one in own]
    for path in found:
        if reader_of(path) in ("hdf5", "matlab5", "npz"):
            guess = guess_of(every, path.name)
            if guess and guess.spiking:
                return path
    return None


def _beside(
    name: str, kinds: dict[Path, str], found: dict[Path, list[Seen]], source: Path
) -> str:
    """Spikes of one file; the others of its arrays, and other files, are the screen."""
    table = kinds[source] in ("csv", "parquet")
    spikes = _as_spikes(found[source]) if table else found[source]
    others = [one for path, own in found.items() if path != source for one in own]
    every = [*others, *spikes]
    begin = starts(others if table else [*others, *_named_so(spikes)])
    tables = [path.name for path, kind in kinds.items() if kind in ("csv", "parquet")]
    # Of a second table only times of frames, or of trials, say anything.
    shown = [
        one
        for one in others
        if one is not begin
        and (one.file not in tables or (one.shape[0] >= FRAMES and increases(one)))
    ]
    guess = guess_of(
        [*shown, *(one for one in spikes if one is not begin)], source.name
    )
    heard = guess and (guess.spike_s or guess.units)
    if guess is None or not heard or (table and guess.spike_s not in spikes):
        wanted = "wanted columns cell and time_s" if table else lacking(every)
        if guess is None:
            wanted = "nothing of it looks like the stimulus: name the file that holds "
            wanted += "its frames too (--from movie.npy; npz, HDF5 and MATLAB will do)"
        raise MissingData(
            f"{source.name} holds {_listed(found[source])}, the other files "
            f"{_listed(others) if others else 'are missing'}: {wanted}"
        )
    lines, guesses = ([], {"": guess}) if table else _numbering({"": guess})
    guess = guesses[""]
    options = ["[options]", f"{'spikes' if table else 'file'} = {quoted(source.name)}"]
    options += lines
    cell = _column(found[source], "cell") or guess.spike_cell
    columns = {"time_s" if table else "spike_s": guess.spike_s}
    columns["cell" if table else "spike_cell"] = cell
    columns["trial" if table else "spike_trial"] = guess.spike_trial
    for key, one in columns.items():
        if one is not None:
            options.append(f"{key} = {quoted(one.name)}")
    options += _trials(guess)
    if guess.units:
        options.append(f"units = {quoted(guess.units)}{LOOK}: one array for each cell")
    if table and guess.spike_trial is not None and _least(guess.spike_trial) == 1:
        options.append(f"first = 1{LOOK}: trials are counted from 1")
    if begin is not None and guess.spike_trial is not None:
        raise BadSetting(
            f"{source.name} has the trial of each spike, and {begin.file} when "
            "trials begin: name one of the two"
        )
    perhaps = [few(others if table else every, guess)]
    lines, parts = screen(guess, shown, begin, [] if guess.spike_trial else perhaps)
    options += lines
    taken = "\n".join(options)
    idle = [path for path in kinds if quoted(path.name) not in taken]
    for path in idle:
        if path.name in tables:
            raise MissingData(
                f"{path.name} has the columns {_listed(found[path])}: wanted start_s, "
                "the seconds at which trials begin, or one of times of as many frames "
                "as the stimulus has, or no second table"
            )
    if idle:
        said = ", ".join(f"{path.name} ({_listed(found[path])})" for path in idle)
        options.append(f"# Not used: {said}{LOOK}")
    return card_text(name, kinds[source], list(found), options, parts)


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
