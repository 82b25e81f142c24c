"""Several fits on the same bins: what every comparison of them stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from retina.data.groups import by_group, same_trials
from retina.errors import BadSetting, MissingData, ShapeMismatch
from retina.fitting.score import Pairs, check_counted, rates
from retina.metrics.clips import evaluate
from retina.metrics.compare import of_model
from retina.metrics.rebin import bins_in, rebinned
from retina.types import Fit, Split


class Same(NamedTuple):
    """One group of test clips, as each of several fits predicts it.

    pairs:     name of a fit -> for each of its seeds, (rate, response) of every clip.
    null_rate: (cell,) counts per scored bin, of the fit that was named first.
    bin_s:     of the scored bins.
    """

    group: str
    pairs: Mapping[str, list[Pairs]]
    null_rate: np.ndarray
    bin_s: float


def same_bins(
    fits: Mapping[str, Fit], split: Split, metric: str, bin_s: float | None
) -> list[Same]:
    """The groups of test clips on which a metric is defined for a cell of a fit.

    fits:   name -> fit; those with spike history run freely.
    bin_s:  of the scored bins, a multiple of the fits' own; None for those.
    raises: BadSetting for one fit, one of another recording, a metric of the data
            alone, or a likelihood of counts where responses are graded; ShapeMismatch
            for fits of other cells, or of another clock; MissingData where no group is
            left.
    """
    if len(fits) < 2:
        raise BadSetting(f"{len(fits)} run to compare: name at least two")
    for name, fit in fits.items():
        if fit.model.spec.dataset != split.spec.dataset:
            raise BadSetting(
                f"{name} is of recording {fit.model.spec.dataset!r}, the split of "
                f"{split.spec.dataset!r}: compare runs of one recording"
            )
        if fit.model.spec != split.spec:
            raise ShapeMismatch(
                f"{name} was fitted on {fit.model.spec}, not on {split.spec}: compare "
                "runs of one recording, with the same cells and clock"
            )
    of_model(metric)
    check_counted(split.spec, [metric], split.test)
    bins = bins_in(bin_s, split.spec.bin_s)
    scored_s = bins * split.spec.bin_s
    null = bins * next(iter(fits.values())).null_rate
    made = []
    for group, clips in by_group(split.test).items():
        clips = same_trials(clips)
        pairs = {
            name: [rebinned(rates(fit, params, clips), bins) for params in fit.seeds]
            for name, fit in fits.items()
        }
        if not all(
            np.isnan(evaluate(metric, each[0], null, scored_s)).all()
            for each in pairs.values()
        ):
            made.append(Same(group, pairs, null, scored_s))
    if not made:
        raise MissingData(
            f"{metric} is undefined on all test clips of {split.spec.dataset!r}: "
            "name another metric (--metric bits_per_spike)"
        )
    return made
