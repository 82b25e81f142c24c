"""Light as contrast: (x - mean) / mean of the training frames."""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.data.caveats import PREPARED
from retina.errors import BadSetting
from retina.types import Recording


def contrast(recording: Recording, value: bool = True) -> Recording:
    """Weber contrast about the mean of the scored training frames, over all pixels.

    Models then take the stimulus as it is; with `mean_rstar_per_s` contrast c is light
    of mean (1 + c). The whole stimulus is copied as float32, four times the memory of
    uint8, and is not mapped any longer.

    raises: BadSetting where the stimulus is contrast already, or its mean is not above
            0: light has one.
    """
    where = f"{recording.name}: prepare contrast"
    if value is not True:
        raise BadSetting(f"{where} = {value!r}: write true, or leave it out")
    if recording.coding == "contrast":
        raise BadSetting(f"{where}: the card says that it is contrast already")
    mean = mean_of_training(recording, where)
    blocks = tuple(
        dataclasses.replace(
            block, stimulus=block.stimulus.astype(np.float32) / np.float32(mean) - 1
        )
        for block in recording.blocks
    )
    note = f"{PREPARED}contrast about the mean light of training, {mean:.4g}"
    return dataclasses.replace(
        recording, blocks=blocks, coding="contrast", notes=(*recording.notes, note)
    )


def mean_of_training(recording: Recording, where: str) -> float:
    """Of the scored frames, over all pixels.

    where:  stands before the error.
    raises: BadSetting where it is not above 0: light has a mean.
    """
    sums, sizes = 0.0, 0
    for block in recording.role("train"):
        scored = block.stimulus[block.lead :]
        sums += float(scored.sum(dtype=np.float64))
        sizes += scored.size
    mean = sums / max(sizes, 1)
    if not mean > 0:
        raise BadSetting(f"{where}: the mean light is {mean:g}; it must be above 0")
    return mean
