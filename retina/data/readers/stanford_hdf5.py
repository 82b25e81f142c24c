"""HDF5 of the Baccus lab: train and test, each a movie and counts per 10 ms.

Layout: torch-deep-retina (datas.py) and a listing of 15-10-07/naturalscene.h5, 9 cells,
test stimulus (5996, 50, 50), test repeats (5, 5997) a cell.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, group, opened
from retina.data.parts import Part, as_stimulus, recording
from retina.data.responses import as_long, cells, counts
from retina.errors import BadCard, ShapeMismatch, UnreadableFile
from retina.types import Recording


def stanford_hdf5(folder: Path, card: Card) -> Recording:
    """One session and stimulus of the salamander recordings of the Baccus lab.

    folder: with the card's files.
    card:   option ``file``, which holds

            train/stimulus           (frame, y, x)
            train/response/binned    (cell, bin), counts, one bin per frame
            train/time               (frame,) seconds
            test/...                 the same, and of every repeat
            test/repeats/cellNN      (repeat, bin), NN from 01; or
            test/repeats/binned      (repeat, cell, bin)

            ``blocks``: the training movie is so many stretches, put end to end, of
            equal length (1); no history crosses from one to the next. ``skip``: frames
            at the beginning of each that are history only (0). ``response``: "binned",
            or one of the smoothed "firing_rate_5ms", "_10ms", "_20ms", which needs
            event = "graded" (its unit is not stated anywhere: taken for Hz).
    returns: parts "train" and "test"; cells are named "0", "1", ... as the papers do.
             A response that is one bin longer than its stimulus loses the last one.
    raises:  UnreadableFile; ShapeMismatch; BadCard.
    """
    options = card.needs("file", blocks=1, skip=0, response="binned")
    response = options["response"]
    if response != "binned" and card.event != "graded":
        raise BadCard(
            f"{card.name}: {response!r} is a smoothed rate, not counts: write "
            'response = "binned", or event = "graded"'
        )
    with opened(folder, options["file"]) as store:
        train, said = _part(store, card, "train", response)
        test, also = _part(store, card, "test", response)
    blocks, frames = options["blocks"], len(train.stimulus)
    if blocks < 1 or options["skip"] < 0 or frames % blocks:
        raise ShapeMismatch(
            f"{card.name}: {frames} training frames are not {blocks} blocks of equal "
            "length: correct `blocks` in the card"
        )
    begin = tuple(range(0, frames, max(frames // blocks, 1)))
    train = dataclasses.replace(train, begin=begin, skip=options["skip"])
    assert train.counts is not None and test.counts is not None
    number = train.counts.shape[-1]
    if test.counts.shape[-1] != number:
        raise ShapeMismatch(
            f"{card.name}: {number} cells in training, {test.counts.shape[-1]} in the "
            "test: they must be the same cells"
        )
    made = recording(card, {"train": train, "test": test}, cells(card, number))
    notes = (*made.notes, *filter(None, (said, also)))
    return dataclasses.replace(made, notes=notes)


def _part(store: h5py.File, card: Card, name: str, response: str) -> tuple[Part, str]:
    where = f"{Path(store.filename).name}, {name}"
    stimulus = as_stimulus(array(store, f"{name}/stimulus", "frame, y, x"), where)
    _check_clock(store, card, name)
    said = _repeats(store, response, where) if name == "test" else None
    if said is None:
        found = array(store, f"{name}/response/{response}", "cell, bin")
        said = counts(found, "cell, bin", where)
    said, note = as_long(said, len(stimulus), where)
    if response != "binned":
        said = said * card.frame_s  # Hz to expected events per bin
    return (
        Part(
            stimulus,
            np.arange(len(stimulus) + 1) * card.frame_s,
            counts=said,
            count_s=card.frame_s,
        ),
        note,
    )


def _check_clock(store: h5py.File, card: Card, name: str) -> None:
    if f"{name}/time" not in store:
        return
    time = array(store, f"{name}/time", "frame").astype(np.float64)
    usual = float(np.median(np.diff(time))) if len(time) > 1 else card.frame_s
    if not abs(usual - card.frame_s) <= 0.1 * card.frame_s:
        raise ShapeMismatch(
            f"{store.filename}: frames last {usual:.4g} s by {name}/time, but "
            f"frame_s = {card.frame_s:g} on the card: make them agree"
        )


def _repeats(store: h5py.File, response: str, where: str) -> np.ndarray | None:
    """(repeat, bin, cell), of either layout; None where there are no repeats."""
    held = group(store, "test/repeats")
    if held is None or not len(held):
        return None
    if response in held:
        name = f"test/repeats/{response}"
        return counts(array(store, name), "trial, cell, bin", where)
    keys = [
        key for key in map(str, held) if key.startswith("cell") and key[4:].isdigit()
    ]
    if response != "binned" or not keys:
        raise UnreadableFile(
            f"{store.filename}: test/repeats holds {', '.join([*map(str, held)][:6])}, "
            f"neither cell01, cell02, ... nor {response!r}: name what is there as "
            "`response`"
        )
    keys.sort(key=lambda key: int(key[4:]))
    each = [array(store, f"test/repeats/{key}", "repeat, bin") for key in keys]
    if len({one.shape for one in each}) > 1:
        shapes = sorted({str(one.shape) for one in each})
        raise ShapeMismatch(
            f"{store.filename}: the cells of test/repeats differ in shape: "
            + ", ".join(shapes)
        )
    return np.stack(each, axis=-1)
