"""Binary checkerboard made from a seed, another in each trial, and counts per frame."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from retina.data import whitenoise
from retina.data.below import below
from retina.data.card import Card
from retina.data.matlab import variable
from retina.data.rules import SplitRule
from retina.errors import BadCard, UnreadableFile
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
    raises:  UnreadableFile; MissingExtra where the stimulus must be made and the
             package for it is not installed.
    """
    options = card.needs("running_counts", "frozen_counts", "frozen_stimulus", "movie")
    movie = whitenoise.movie(card)
    running = variable(folder, *options["running_counts"])
    frozen = variable(folder, *options["frozen_counts"])
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
            counts = np.ascontiguousarray(frozen.transpose(2, 1, 0))
            if rule.trials and rule.trials[1] > len(counts):
                raise BadCard(
                    f"{card.name}: a split takes frozen trials {list(rule.trials)}, "
                    f"but there are {len(counts)}"
                )
            counts = counts[slice(*rule.trials)] if rule.trials else counts
            blocks.append(_block(card, rule, "frozen", stimulus, counts))
        elif rule.part == "running" and rule.trials:
            for trial in range(*rule.trials):
                stimulus = shown[trial - trials.start]
                counts = np.ascontiguousarray(running[:, :, trial].T)[None]
                name = f"trial_{trial:03d}"
                blocks.append(_block(card, rule, name, stimulus, counts))
        else:
            raise BadCard(
                f'{card.name}: a split needs part = "frozen", or part = "running" and '
                f"trials; this one has part = {rule.part!r}"
            )
    names = [str(i) for i in range(len(running))]
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


def _frozen_stimulus(folder: Path, card: Card, movie: whitenoise.Movie) -> np.ndarray:
    file, name = card.options["frozen_stimulus"]
    path = below(folder, file)
    try:
        with h5py.File(path) as store:
            shown = np.asarray(store[name][*movie.window])  # type: ignore[index]
    except (OSError, KeyError) as error:
        raise UnreadableFile(
            f"{path} is not a readable HDF5 file with {name!r} ({error}): "
            "fetch it again"
        ) from None
    return np.ascontiguousarray(shown.transpose(2, 1, 0))
