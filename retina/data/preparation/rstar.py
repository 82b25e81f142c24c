"""The stimulus as light: photoisomerisations per photoreceptor and second."""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.data.caveats import PREPARED
from retina.data.preparation.contrast import mean_of_training
from retina.errors import BadSetting
from retina.types import Recording


def rstar(recording: Recording, value: bool = True) -> Recording:
    """R*/photoreceptor/s, by the card's `mean_rstar_per_s`.

    Contrast c becomes mean (1 + c), cut off at darkness; light x, counted from darkness
    at 0, mean x / (mean of the scored training frames). Models with a photoreceptor
    come to the same at their door without this step, where the contrast of training is
    0 in the mean; the others standardise what they get. The stimulus is copied as
    float32 and is not mapped any longer.

    raises: BadSetting where the card does not say how bright it was, or the mean of a
            light is not above 0.
    """
    where = f"{recording.name}: prepare rstar"
    if value is not True:
        raise BadSetting(f"{where} = {value!r}: write true, or leave it out")
    mean = recording.mean_rstar_per_s
    if mean is None:
        raise BadSetting(
            f"{where}: the card does not say how bright it was: write mean_rstar_per_s "
            "(R*/photoreceptor/s) and mean_rstar_source"
        )
    if recording.coding == "contrast":
        offset, scale = np.float32(mean), np.float32(mean)
    else:
        offset, scale = (
            np.float32(0),
            np.float32(mean / mean_of_training(recording, where)),
        )
    blocks = tuple(
        dataclasses.replace(
            block,
            stimulus=np.maximum(block.stimulus.astype(np.float32) * scale + offset, 0),
        )
        for block in recording.blocks
    )
    note = f"{PREPARED}R*/photoreceptor/s, {mean:g} for the mean"
    return dataclasses.replace(
        recording, blocks=blocks, coding="light", notes=(*recording.notes, note)
    )
