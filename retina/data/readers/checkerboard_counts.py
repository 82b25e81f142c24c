"""Binary checkerboard made from a seed, another in each trial, and counts per frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retina.data import whitenoise
from retina.data.card import Card
from retina.data.hdf5 import array, opened
from retina.data.matlab import variable
from retina.data.rules import SplitRule
from retina.errors import BadCard, ShapeMismatch
from retina.types import Block, Cell, Recording


def checkerboard_counts(folder: Path, card: Card) -> Recording:
    """Trials of fresh checkerboard, and one frozen movie between them.

    folder:  with the card's files.
    card:    options ``running_counts`` and ``frozen_counts`` ([file, variable], uint8
             (cell, frame, trial)), ``frozen_stimulus`` ([file, dataset], int8
             (x, y, frame)), and the table ``movie`` of `retina.data.whitenoise`. The
             running stimulus comes from the packed files named there, else from the
             seed.
    returns: frames are (y, x), int8 of -1 and 1; each trial is a block of its own, so
             that no history crosses from one to the next. Cells are named "0", "1", ...
    raises:  UnreadableFile; ShapeMismatch; BadCard; MissingExtra where the stimulus
             must be made and the package for it is not installed.
    """
    options = card.needs("running_counts", "frozen_counts", "frozen_stimulus", "movie")
    movie = whitenoise.movie(card)
    running = _counts(folder, options["running_counts"])
    frozen = _counts(folder, options["frozen_counts"])
    spans = [rule.trials for rule in card.splits if rule.trials] or [(0, 1)]
    # All trials in one array; every block is a view of it.
    trials = range(min(s[0] for s in spans), max(s[1] for s in spans))
    shown = whitenoise.running(folder, card, movie, trials)
    blocks: list[Block] = []
    for rule in card.splits:
        if not rule.frames:
            raise BadCard(f"{card.name}: its splits need frames, a share is not enough")
        if rule.part == "frozen":
            stimulus = _frozen_stimulus(folder, card, movie)
            _check_trials(card, rule, frozen)
            counts = frozen[slice(*rule.trials)] if rule.trials else frozen
            counts = np.ascontiguousarray(counts)
            blocks.append(_block(card, rule, "frozen", stimulus, counts))
        elif rule.part == "running" and rule.trials:
            _check_trials(card, rule, running)
            for trial in range(*rule.trials):
                stimulus = shown[trial - trials.start]
                counts = np.ascontiguousarray(running[trial])[None]
                name = f"trial_{trial:03d}"
                blocks.append(_block(card, rule, name, stimulus, counts))
        else:
            raise BadCard(
                f'{card.name}: a split needs part = "frozen", or part = "running" and '
                f"trials; this one has part = {rule.part!r}"
            )
    names = [str(i) for i in range(running.shape[2])]
    return Recording(
        name=card.name,
        species=card.species,
        cells=tuple(Cell(name, card.cell_types.get(name, "")) for name in names),
        blocks=tuple(blocks),
        frame_s=card.frame_s,
        coding=card.coding,
        mean_rstar_per_s=card.mean_rstar_per_s,
        pixel_um=card.pixel_um,
        event=card.event,
        native_bin_s=card.native_bin_s,
        notes=card.notes,
        publish=card.publish,
    )


def _block(
    card: Card, rule: SplitRule, name: str, stimulus: np.ndarray, counts: np.ndarray
) -> Block:
    start, stop = rule.frames[0][0] - card.lead, rule.frames[0][1]
    if stop > len(stimulus):
        raise BadCard(
            f"{card.name}: a split ends at frame {stop}, but {name} has {len(stimulus)}"
        )
    return Block(
        name=name,
        role=rule.role,
        stimulus=stimulus[start:stop],
        onsets_s=np.arange(start, stop + 1) * card.frame_s,
        counts=counts[:, start:stop],
        count_s=card.frame_s,
        lead=card.lead,
        group=rule.group,
    )


def _check_trials(card: Card, rule: SplitRule, counts: np.ndarray) -> None:
    if rule.trials and rule.trials[1] > len(counts):
        raise BadCard(
            f"{card.name}: a split takes {rule.part} trials {list(rule.trials)}, but "
            f"there are {len(counts)}"
        )


def _frozen_stimulus(folder: Path, card: Card, movie: whitenoise.Movie) -> np.ndarray:
    file, name = card.options["frozen_stimulus"]
    columns, rows = movie.window
    with opened(folder, file) as store:
        shown = array(store, name, "x, y, frame", rows=columns)[:, rows]
    return np.ascontiguousarray(shown.transpose(2, 1, 0))


def _counts(folder: Path, named: Any) -> np.ndarray:
    """(trial, frame, cell)"""
    counts = variable(folder, *named)
    if counts.ndim != 3 or counts.dtype.kind not in "biuf":
        raise ShapeMismatch(
            f"{named[0]}: {named[1]} is {counts.dtype} {counts.shape}, not counts of "
            "the axes (cell, frame, trial)"
        )
    return counts.transpose(2, 1, 0)
