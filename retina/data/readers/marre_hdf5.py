"""HDF5 of the Marre lab: flashed natural images, one count for each image.

Layout: open-retina (goldin_2022), whose page says 300 ms images, each after 300 ms of
grey that the file leaves out.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, group, opened
from retina.data.parts import Part, as_stimulus, recording
from retina.data.responses import cells, counts
from retina.errors import ShapeMismatch, UnreadableFile
from retina.types import Recording


def marre_hdf5(folder: Path, card: Card) -> Recording:
    """Images that were flashed one by one, and the spikes that each drew.

    folder: with the card's files.
    card:   option ``file``, which holds

            train/stimulus           (image, y, x)
            train/response/binned    (cell, image), spikes during the image
            test/stimulus            (image, y, x)
            test/repeats/cell_N      (repeat, image), in the order of N

    returns: parts "train" and "test", images in the order of the file. Between two of
             them was grey, which is not in the file: a model with more than one lag
             sees the image before where the retina saw grey.
    raises:  UnreadableFile; ShapeMismatch.
    """
    options = card.needs("file")
    with opened(folder, options["file"]) as store:
        parts = {
            "train": _part(store, card, "train"),
            "test": _part(store, card, "test"),
        }
    numbers = [
        part.counts.shape[-1] for part in parts.values() if part.counts is not None
    ]
    if len(set(numbers)) > 1:
        raise ShapeMismatch(
            f"{card.name}: {numbers[0]} cells in training, {numbers[1]} in the test: "
            "they must be the same cells"
        )
    return recording(card, parts, cells(card, numbers[0]))


def _part(store: h5py.File, card: Card, name: str) -> Part:
    where = f"{Path(store.filename).name}, {name}"
    stimulus = as_stimulus(array(store, f"{name}/stimulus", "image, y, x"), where)
    held = group(store, f"{name}/repeats")
    if held is not None and len(held):
        said = _repeats(store, held, where)
    else:
        found = array(store, f"{name}/response/binned", "cell, image")
        said = counts(found, "cell, bin", where)
    return Part(
        stimulus,
        np.arange(len(stimulus) + 1) * card.frame_s,
        counts=said,
        count_s=card.frame_s,
    )


def _repeats(store: h5py.File, held: h5py.Group, where: str) -> np.ndarray:
    numbers = {}
    for key in map(str, held):
        digits = key.rpartition("cell")[2].strip("_")
        if "cell" in key and digits.isdigit():
            numbers[int(digits)] = key
    if len(numbers) != len(held):
        raise UnreadableFile(
            f"{where}: repeats are named {', '.join([*map(str, held)][:6])}, not "
            "cell_1, cell_2, ..."
        )
    names = [f"{held.name}/{numbers[n]}" for n in sorted(numbers)]
    each = [array(store, name, "repeat, image") for name in names]
    if len({one.shape for one in each}) > 1:
        raise ShapeMismatch(f"{where}: the cells of the repeats differ in shape")
    return np.stack(each, axis=-1)
