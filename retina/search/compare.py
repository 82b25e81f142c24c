"""The verb `compare`: which of several fits predicts better, and can that be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from retina import registry
from retina.fitting.score import SEED
from retina.metrics.clips import over, sums_of
from retina.metrics.compare import Difference, holm, paired
from retina.search.bins import same_bins
from retina.search.measure import of_which
from retina.types import Fit, Split

# No p is below what the number of draws can tell: with 1,000 and twelve cells .013, and
# of four such comparisons, corrected, none could ever be told; with 20,000 of fifteen.
DRAWS, MANY = 1000, 20_000


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One fit against the one named before it, on one group of test clips.

    group:      the test clips' group.
    difference: of the two, with its interval.
    p_holm:     difference.p, corrected for all comparisons on the same group.
    notes:      which of the two had not converged.
    """

    group: str
    difference: Difference
    p_holm: float
    notes: tuple[str, ...] = ()

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
    draws: int | None = None,
    bin_s: float | None = None,
) -> tuple[Comparison, ...]:
    """Each fit against the one before it, by the paired bootstrap, on the test clips.

    fits:    name -> fit, at least two, of the same recording. Models with spike history
             run freely, so that all of them predict from the stimulus alone. Of several
             seeds, a cell's value in each draw is the median over them, as in `score`.
    metric:  one that depends on the model. Groups of clips on which it is undefined for
             every cell (cc_norm without repeats) are left out.
    draws:   of the bootstrap; by default 1,000, or 20,000 for more than two comparisons
             by a metric that is not scored anew in each: `retina.metrics.sums`.
    bin_s:   of the scored bins, a multiple of the fits' own, as in `retina.score`.
    returns: per group of test clips, one comparison per neighbouring pair.
    raises:  BadSetting for one fit, one of another recording, or a likelihood of counts
             where responses are graded; ShapeMismatch for fits of other cells;
             MissingData where no group can tell.

    With fits at hand: ``compare({"ln": a, "cnn": b}, split)[0].sentence``.
    """
    made: list[Comparison] = []
    names = list(fits)
    if draws is None:
        scored = registry.find("metrics", metric)
        quick = sums_of(scored) is not None or over(scored) != "time"
        draws = MANY if quick and len(names) > 3 else DRAWS
    for same in same_bins(fits, split, metric, bin_s):
        family = [
            paired(
                metric,
                same.pairs[later][0],
                same.pairs[earlier][0],
                same.bin_s,
                rng=np.random.default_rng(SEED),
                null_rate=same.null_rate,
                draws=draws,
                names=(later, earlier),
                others_a=same.pairs[later][1:],
                others_b=same.pairs[earlier][1:],
            )
            for earlier, later in zip(names, names[1:], strict=False)
        ]
        corrected = holm([one.p for one in family])
        made += [
            Comparison(same.group, one, float(p), of_which(fits, one.names))
            for one, p in zip(family, corrected, strict=True)
        ]
    return tuple(made)
