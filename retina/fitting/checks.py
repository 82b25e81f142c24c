"""What of a split is told, and what refused, before a model is fitted to it."""

from __future__ import annotations

import math

import numpy as np

from retina.data import leak
from retina.data.caveats import COLD
from retina.data.quality.clock import SLOW_S
from retina.data.quality.shifted import shifted
from retina.errors import BadResponse, MissingData
from retina.fitting.start import mean_counts
from retina.stage import Model
from retina.types import Split, one_of


def notes(model: Model, split: Split) -> list[str]:
    """What is to be told of a split when the model is fitted to it."""
    told = [*split.notes, *short_lead(model, split), *shifted(split)]
    if split.spec.bin_s >= SLOW_S:
        told.append(
            f"a bin lasts {split.spec.bin_s:g} s: are the times in milliseconds? Then "
            "every figure per second is 1000 times too small"
        )
    return told


def short_lead(model: Model, split: Split) -> list[str]:
    """A note where blocks lead in with fewer bins than the model looks back on.

    More history is taken from a block itself where nothing was shown before it, as in
    trials: where that is half of it or more, a model that looks back on less is better.
    """
    lags, spec = model.stage.lags, model.spec
    frame_s = split.frame_s or spec.bin_s * spec.bins_per_frame
    blocks = (*split.train, *split.validation, *split.test)
    there = min((clip.skip for clip in blocks), default=lags)
    if there >= lags:
        return []
    lead = math.ceil(lags * spec.bin_s / frame_s - 1e-6)
    short = min((c for c in blocks if c.skip < lags), key=lambda clip: clip.bins)
    frames = round(short.bins * spec.bin_s / frame_s)
    most = lead - int(short.skip * spec.bin_s / frame_s + 1e-6)  # lost to history
    told = (
        f"{COLD}{lags} bins, but only {there} lead into a block: the first "
        f"{lags - there} of each are not fitted and scored from a cold start"
    )
    if 2 * most >= frames:
        typed = dict(model.settings).get("lags") == lags + 1
        less = f": --set lags={there + 1}" if typed else ""
        return [
            f"{told} (of the {frames} frames that are scored of {short.name} a longer "
            f"lead would take up to {most}; a model that looks back on {there} bins "
            f"needs none{less})"
        ]
    return [
        f"{told} (lead = {lead} on the card, with every split from frame {lead} on or "
        f"later, avoids it, and takes up to {most} of the {frames} frames that are "
        f"scored of {short.name})"
    ]


def check_clips(split: Split) -> None:
    """Raises where nothing can be fitted, says when to stop, or may be tested on."""
    leak.refuse(split)
    silent = np.flatnonzero(mean_counts(split.train) == 0)
    if silent.size:
        names = [split.cells[n].name if split.cells else str(n) for n in silent]
        raise BadResponse(
            f"{split.spec.dataset or 'the recording'}: cell {', '.join(names)} has no "
            f"{one_of(split.spec.event)} in the training blocks: leave it out"
        )
    if not split.validation:
        raise MissingData(
            f"{split.spec.dataset or 'the recording'} has no validation block, which "
            'says when to stop: add a split with role = "validation" to its card'
        )
    if not any(clip.response[:, clip.skip :].any() for clip in split.validation):
        raise BadResponse(
            f"{split.spec.dataset or 'the recording'}: no cell has a "
            f"{one_of(split.spec.event)} in the validation blocks, so nothing can say "
            'when to stop: choose other frames for the split with role = "validation" '
            "on its card"
        )
