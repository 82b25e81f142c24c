"""How much of one fit's accuracy is left in others: per-cell ratios, paired."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from retina.errors import BadSetting, MissingData
from retina.fitting.score import SEED, check_counted, rates
from retina.metrics.clips import evaluate
from retina.metrics.medians import middle, percentiles, spread_of_median
from retina.metrics.rebin import bins_in, rebinned
from retina.metrics.resample import Draws, resampled
from retina.types import Clip, Fit, Split


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A metric of one fit over that of a reference, on one group of test clips.

    median:   over the cells on which the reference predicts something (above 0): what
              the data alone decide of a metric, such as a ceiling, cancels.
    ci95:     of that median: time blocks drawn jointly for both, cells crossed.
    per_cell: (cell,); nan where there is no ratio.
    """

    group: str
    metric: str
    names: tuple[str, str]
    median: float
    ci95: tuple[float, float]
    per_cell: tuple[float, ...]

    @property
    def sentence(self) -> str:
        """The ratio in words."""
        low, high = self.ci95
        name, reference = self.names
        cells = sum(not np.isnan(one) for one in self.per_cell)
        return (
            f"{self.group}: {name} has {self.median:.3f} [{low:.3f}, {high:.3f}] of "
            f"the {self.metric} of {reference}, median of {cells} cells"
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
    raises:  BadSetting for one fit, or one of another recording; MissingData where no
             group can tell.

    >>> import inspect
    >>> list(inspect.signature(ratios).parameters)
    ['fits', 'split', 'metric', 'draws', 'bin_s']
    """
    if len(fits) < 2:
        raise BadSetting(f"{len(fits)} run to compare: name at least two")
    for name, fit in fits.items():
        if fit.model.spec != split.spec:
            raise BadSetting(
                f"{name} was fitted on {fit.model.spec}, not on {split.spec}: compare "
                "runs of one recording, with the same cells and clock"
            )
    check_counted(split.spec, [metric], split.test)
    bins = bins_in(bin_s, split.spec.bin_s)
    made: list[Ratio] = []
    for group in dict.fromkeys(clip.group or clip.name for clip in split.test):
        clips = [one for one in split.test if (one.group or one.name) == group]
        reference, *others = (
            None if draw is None else (name, draw)
            for name, fit in fits.items()
            for draw in [_drawn(fit, clips, metric, draws, bins)]
        )
        if reference is None:
            continue
        made += [_ratio(group, metric, other, reference) for other in others if other]
    if not made:
        raise MissingData(
            f"{metric} is undefined on all test clips of {split.spec.dataset!r}: "
            "name another metric (--metric bits_per_spike)"
        )
    return tuple(made)


def _drawn(
    fit: Fit, clips: list[Clip], metric: str, draws: int, bins: int
) -> Draws | None:
    """The same blocks for every fit; None where the metric is not defined."""
    trials = min(len(clip.response) for clip in clips)
    clips = [dataclasses.replace(one, response=one.response[:trials]) for one in clips]
    each = [rebinned(rates(fit, params, clips), bins) for params in fit.seeds]
    scored_s, null = bins * fit.model.spec.bin_s, bins * fit.null_rate
    if np.isnan(evaluate(metric, each[0], null, scored_s)).all():
        return None
    starts = resampled(
        metric,
        each,
        scored_s,
        rng=np.random.default_rng(SEED),
        null_rate=null,
        draws=draws,
    )
    # Of several seeds, a cell's value in each draw is the median over them.
    return Draws(
        np.median([one.observed for one in starts], axis=0),
        np.median([one.values for one in starts], axis=0),
        starts[0].blocks,
    )


def _ratio(
    group: str, metric: str, one: tuple[str, Draws], other: tuple[str, Draws]
) -> Ratio:
    (name, above), (reference, below) = one, other
    each = over(above.observed, below.observed)
    defined = ~np.isnan(each)
    values = over(above.values, below.values)[:, defined]
    rng = np.random.default_rng(SEED)
    spread = spread_of_median(each[defined], values, rng, above.blocks)
    return Ratio(
        group=group,
        metric=metric,
        names=(name, reference),
        median=float(middle(each)),
        ci95=percentiles(*spread),
        per_cell=tuple(each.tolist()),
    )


def over(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """one / other; nan where the other is not above 0.

    >>> over(np.array([0.5, 0.5]), np.array([1.0, -1.0])).tolist()
    [0.5, nan]
    """
    known = other > 0
    return np.where(known, one / np.where(known, other, 1.0), np.nan)
