"""How much of one fit's accuracy is left in others: per-cell ratios, paired."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from retina.fitting.score import SEED
from retina.metrics.compare import over_starts
from retina.metrics.medians import middle, percentiles, spread_of_median
from retina.metrics.resample import Draws, resampled
from retina.search.bins import same_bins
from retina.search.measure import of_which
from retina.types import Fit, Split

LOST = 0.01  # of the drawn values, that may have no ratio; source="chosen"


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A metric of one fit over that of a reference, on one group of test clips.

    median:   over the cells on which the reference predicts something (above 0): what
              the data alone decide of a metric, such as a ceiling, cancels. nan where
              more than 1 % of the drawn values of these cells have no ratio: the others
              are those in which the reference happened to predict something.
    ci95:     of that median: time blocks drawn jointly for both, cells crossed.
    per_cell: (cell,); nan where there is no ratio.
    undefined: draws in which a cell of these had no ratio.
    notes:    which of the two had not converged.

    >>> Ratio("frozen", "feve", ("ln", "cnn"), 0.9, (0.8, 1.0), (0.9, 0.9)).sentence
    'frozen: ln has 0.900 [0.800, 1.000] of the feve of cnn, median of 2 of 2 cells'
    """

    group: str
    metric: str
    names: tuple[str, str]
    median: float
    ci95: tuple[float, float]
    per_cell: tuple[float, ...]
    undefined: int = 0
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The ratio in words."""
        low, high = self.ci95
        name, reference = self.names
        cells = sum(not np.isnan(one) for one in self.per_cell)
        lost = f"; undefined in {self.undefined} draws" if self.undefined else ""
        if np.isnan(self.median):
            return (
                f"{self.group}: how much of the {self.metric} of {reference} {name} "
                f"has cannot be told: {cells} of {len(self.per_cell)} cells have a "
                f"ratio{lost}"
            )
        where = f", where {reference} is above 0" if cells < len(self.per_cell) else ""
        return (
            f"{self.group}: {name} has {self.median:.3f} [{low:.3f}, {high:.3f}] of "
            f"the {self.metric} of {reference}, median of {cells} of "
            f"{len(self.per_cell)} cells{where}{lost}"
        )


def ratios(
    fits: Mapping[str, Fit],
    split: Split,
    metric: str = "bits_per_spike",
    *,
    draws: int = 1000,
    bin_s: float | None = None,
) -> tuple[Ratio, ...]:
    """Every fit against the first named, on the test clips, by the paired bootstrap.

    fits:    name -> fit, at least two, of the same recording and cells; the first is
             the reference.
    metric:  one that depends on the model. Groups of clips on which it is undefined for
             every cell (cc_norm without repeats) are left out.
    bin_s:   of the scored bins, a multiple of the fits' own, as in `retina.score`.
    returns: per group of test clips, one ratio for each fit but the first.
    raises:  as `retina.compare`.

    With fits at hand: ``ratios({"cnn": a, "ln": b}, split)[0].sentence``.
    """
    made: list[Ratio] = []
    for same in same_bins(fits, split, metric, bin_s):
        starts = iter(
            resampled(
                metric,
                [pairs for each in same.pairs.values() for pairs in each],
                same.bin_s,
                rng=np.random.default_rng(SEED),
                null_rate=same.null_rate,
                draws=draws,
            )
        )
        drawn = {
            name: over_starts([next(starts) for _ in each])
            for name, each in same.pairs.items()
        }
        reference, *others = drawn.items()
        for other in others:
            one = of_two(same.group, metric, other, reference)
            notes = of_which(fits, one.names)
            made.append(dataclasses.replace(one, notes=notes))
    return tuple(made)


def of_two(
    group: str, metric: str, one: tuple[str, Draws], other: tuple[str, Draws]
) -> Ratio:
    """The ratio of one to the other, each with its name, from draws made together."""
    (name, above), (reference, below) = one, other
    each = over(above.observed, below.observed)
    defined = ~np.isnan(each)
    values = over(above.values, below.values)[:, defined]
    lost = np.isnan(values)
    median, ci95 = np.nan, (np.nan, np.nan)
    if defined.any() and lost.mean() <= LOST:
        rng = np.random.default_rng(SEED)
        spread = spread_of_median(each[defined], values, rng, above.blocks)
        median, ci95 = float(middle(each)), percentiles(*spread)
    return Ratio(
        group=group,
        metric=metric,
        names=(name, reference),
        median=median,
        ci95=ci95,
        per_cell=tuple(each.tolist()),
        undefined=int(lost.any(axis=1).sum()),
    )


def over(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """one / other; nan where the other is not above 0.

    >>> over(np.array([0.5, 0.5]), np.array([1.0, -1.0])).tolist()
    [0.5, nan]
    """
    known = other > 0
    return np.where(known, one / np.where(known, other, 1.0), np.nan)
