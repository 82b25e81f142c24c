"""The verb `compare`: which of several fits predicts better, and can that be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from retina.errors import BadSetting, MissingData, ShapeMismatch
from retina.fitting.score import SEED, check_counted, rates
from retina.metrics.clips import evaluate
from retina.metrics.compare import Difference, holm, paired
from retina.metrics.rebin import bins_in, rebinned
from retina.types import Fit, Split


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One fit against the one named before it, on one group of test clips.

    group:      the test clips' group.
    difference: of the two, with its interval.
    p_holm:     difference.p, corrected for all comparisons on the same group.
    """

    group: str
    difference: Difference
    p_holm: float

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        p = f"{self.p_holm:.3f}" if self.p_holm >= 1e-3 else "< 0.001"
        size = f"rank-biserial {self.difference.rank_biserial + 0.0:.2f}"
        return f"{self.group}: {self.difference.sentence}; {size}; Holm p {p}"


def compare(
    fits: Mapping[str, Fit],
    split: Split,
    metric: str = "bits_per_spike",
    *,
    draws: int = 1000,
    bin_s: float | None = None,
) -> tuple[Comparison, ...]:
    """Each fit against the one before it, by the paired bootstrap, on the test clips.

    fits:    name -> fit, at least two, of the same recording. Models with spike history
             run freely, so that all of them predict from the stimulus alone. Of several
             seeds, a cell's value in each draw is the median over them, as in `score`.
    metric:  one that depends on the model. Groups of clips on which it is undefined for
             every cell (cc_norm without repeats) are left out.
    bin_s:   of the scored bins, a multiple of the fits' own, as in `retina.score`.
    returns: per group of test clips, one comparison per neighbouring pair.
    raises:  BadSetting for one fit, one of another recording, or a likelihood of counts
             where responses are graded; ShapeMismatch for fits of other cells;
             MissingData where no group can tell.

    >>> import inspect
    >>> list(inspect.signature(compare).parameters)
    ['fits', 'split', 'metric', 'draws', 'bin_s']
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
    check_counted(split.spec, [metric], split.test)
    bins = bins_in(bin_s, split.spec.bin_s)
    scored_s = bins * split.spec.bin_s
    made: list[Comparison] = []
    for group in dict.fromkeys(clip.group or clip.name for clip in split.test):
        clips = [c for c in split.test if (c.group or c.name) == group]
        trials = min(len(clip.response) for clip in clips)
        clips = [dataclasses.replace(c, response=c.response[:trials]) for c in clips]
        pairs = {
            name: [rebinned(rates(fit, params, clips), bins) for params in fit.seeds]
            for name, fit in fits.items()
        }
        null = bins * next(iter(fits.values())).null_rate
        first = next(iter(pairs.values()))[0]
        if np.isnan(evaluate(metric, first, null, scored_s)).all():
            continue
        names = list(fits)
        family = [
            paired(
                metric,
                pairs[later][0],
                pairs[earlier][0],
                scored_s,
                rng=np.random.default_rng(SEED),
                null_rate=null,
                draws=draws,
                names=(later, earlier),
                others_a=pairs[later][1:],
                others_b=pairs[earlier][1:],
            )
            for earlier, later in zip(names, names[1:], strict=False)
        ]
        corrected = holm([one.p for one in family])
        made += [
            Comparison(group, one, float(p))
            for one, p in zip(family, corrected, strict=True)
        ]
    if not made:
        raise MissingData(
            f"{metric} is undefined on all test clips of {split.spec.dataset!r}: "
            "name another metric (--metric bits_per_spike)"
        )
    return tuple(made)
