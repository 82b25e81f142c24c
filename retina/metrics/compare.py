"""Which of two models predicts better, cell by cell, and whether that can be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from retina import registry
from retina.errors import BadSetting, ShapeMismatch
from retina.metrics.arrays import Pair, joined
from retina.metrics.clips import over
from retina.metrics.medians import middle, p_value, percentiles, spread_of_median
from retina.metrics.resample import Draws, resampled


@dataclasses.dataclass(frozen=True)
class Difference:
    """Metric of model a minus metric of model b, on the same bins.

    median:    of the per-cell differences, in the metric's unit.
    ci95:      of that median: time blocks drawn jointly for both models, cells crossed.
    per_cell:  (cell,); nan where the data leave the metric undefined.
    wins:      defined cells on which a is higher.
    cells:     defined cells.
    p:         two-sided, from the same draws; below .05 where ci95 excludes 0, to one
               draw. Of fewer than 6 blocks or cells it may be above: 1,000 draws do not
               reach as far as their interval should.
    undefined: draws in which a defined cell became undefined.
    rank_biserial: effect size: the share of the summed ranks of |difference| that
               favours a, less the share that favours b; 1 where a is higher on every
               cell.
    """

    metric: str
    names: tuple[str, str]
    median: float
    ci95: tuple[float, float]
    per_cell: tuple[float, ...]
    wins: int
    cells: int
    p: float
    undefined: int = 0
    rank_biserial: float = np.nan

    @property
    def decided(self) -> bool:
        """True where ci95 excludes 0: only then does one model beat the other."""
        low, high = self.ci95
        return bool(low > 0 or high < 0)

    @property
    def figures(self) -> str:
        """The median and its interval, as text."""
        return _figures(self.median, *self.ci95)

    @property
    def sentence(self) -> str:
        """The comparison in words, for a report."""
        a, b = self.names
        low, high = self.ci95
        losses = sum(value < 0 for value in self.per_cell)
        figures = self.figures
        delta = f"median \N{GREEK CAPITAL LETTER DELTA}{self.metric} "
        if not self.decided:
            return (
                f"{a} and {b} cannot be told apart: {a} is higher on {self.wins} of "
                f"{self.cells} cells; {delta}{figures}"
            )
        if low > 0:
            winner, loser, count = a, b, self.wins
        else:
            winner, loser, count = b, a, losses
            figures = _figures(-self.median, -high, -low)
        return (
            f"{winner} beats {loser} on {count} of {self.cells} cells; {delta}{figures}"
        )


def paired(
    name: str,
    pairs_a: Sequence[Pair],
    pairs_b: Sequence[Pair],
    bin_s: float,
    *,
    rng: np.random.Generator,
    null_rate: ArrayLike | None = None,
    draws: int = 1000,
    block_s: float | None = None,
    cross_cells: bool | None = None,
    names: tuple[str, str] = ("a", "b"),
    others_a: Sequence[Sequence[Pair]] = (),
    others_b: Sequence[Sequence[Pair]] = (),
) -> Difference:
    """Paired bootstrap of two models' difference in a metric.

    pairs_a, pairs_b: (rate, response) of each test clip, the same responses in both.
    others_a, others_b: pairs of the same clips from other random starts of each model:
                      a cell's value, on all the data and in each draw, is then the
                      median over the starts of each model, and the difference is taken
                      of these.
    other arguments:  as `retina.metrics.resample.interval`.
    raises:           ShapeMismatch where the two were not scored on the same response;
                      BadSetting for a metric that does not depend on the model.

    >>> rng = np.random.default_rng(0)
    >>> rate = rng.gamma(1.0, 0.3, (900, 8))
    >>> counts = rng.poisson(rate, (5, 900, 8))
    >>> worse = rate + rng.gamma(1.0, 0.3, (900, 8))
    >>> paired("pearson", [(rate, counts)], [(worse, counts)], 1 / 30, rng=rng,
    ...        names=("true", "noisy")).sentence
    'true beats noisy on 8 of 8 cells; median Δpearson ...'
    """
    of_model(name)
    every = [pairs_a, *others_a, pairs_b, *others_b]
    for pairs in every[1:]:
        _same_response(pairs_a, pairs)
    drawn = resampled(
        name,
        every,
        bin_s,
        rng=rng,
        null_rate=null_rate,
        draws=draws,
        block_s=block_s,
    )
    first, second = drawn[: 1 + len(others_a)], drawn[1 + len(others_a) :]
    a, b = over_starts(first), over_starts(second)
    each = _minus(a.observed, b.observed)
    defined = ~np.isnan(each)
    values = _minus(a.values, b.values)[:, defined]
    spread = spread_of_median(each[defined], values, rng, a.blocks, cross_cells)
    return Difference(
        metric=name,
        names=names,
        median=float(middle(each)),
        ci95=percentiles(*spread),
        per_cell=tuple(each.tolist()),
        wins=int(np.sum(each > 0)),
        cells=int(defined.sum()),
        p=p_value(*spread),
        undefined=int(np.isnan(values).any(axis=1).sum()),
        rank_biserial=rank_biserial(each),
    )


def of_model(name: str) -> None:
    """raises: BadSetting for a metric that does not depend on the model.

    >>> of_model("signal_power")
    Traceback (most recent call last):
    retina.errors.BadSetting: signal_power belongs to the data, not to a model: ...
    """
    if over(registry.find("metrics", name)) == "repeats":
        raise BadSetting(
            f"{name} belongs to the data, not to a model: compare models by cc_norm, "
            "feve or bits_per_spike"
        )


def rank_biserial(differences: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation, an effect size between -1 and 1.

    differences: (cell,), those that are 0 or nan are left out.
    returns:     nan where none is left.
    source:      Kerby 2014, doi 10.2466/11.IT.3.1.

    >>> rank_biserial([3.0, 2.0, -1.0, 0.0])
    0.6666666666666666
    """
    d = np.asarray(differences, np.float64)
    d = d[~np.isnan(d) & (d != 0)]
    if not len(d):
        return float("nan")
    size, ordered = np.abs(d), np.sort(np.abs(d))
    # Equal ones share the mean of their ranks.
    left, right = (np.searchsorted(ordered, size, side) for side in ("left", "right"))
    ranks = (left + right + 1) / 2
    return float(np.sum(ranks * np.sign(d)) / np.sum(ranks))


def holm(p_values: ArrayLike) -> np.ndarray:
    """p values corrected for a family of comparisons, after Holm.

    p_values: (comparison,), all of a family declared beforehand; nan counts as 1.
    returns:  (comparison,) float64, adjusted: compare each with .05.
    source:   Holm 1979, Scandinavian Journal of Statistics 6, 65-70.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1:
        raise ShapeMismatch(f"p_values {p.shape}: give one row, (comparison,)")
    p = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def over_starts(starts: Sequence[Draws]) -> Draws:
    """Of a model's random starts one: the median of each cell, in each draw."""
    observed = np.median([one.observed for one in starts], axis=0)
    values = np.median([one.values for one in starts], axis=0)
    return Draws(observed, values, starts[0].blocks)


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, where two models that are both infinitely bad (-inf) are equal."""
    same = a == b
    return np.where(same, 0.0, np.where(same, 0.0, a) - np.where(same, 0.0, b))


def _same_response(pairs_a: Sequence[Pair], pairs_b: Sequence[Pair]) -> None:
    one, other = joined(pairs_a)[1:], joined(pairs_b)[1:]
    if one[1] != other[1] or not np.array_equal(one[0], other[0]):
        raise ShapeMismatch(
            f"the two models were scored on different responses, {one[0].shape} in "
            f"clips of {one[1]} bins and {other[0].shape} in clips of {other[1]}: "
            "compare them on the same bins of the same trials"
        )


def _figures(median: float, low: float, high: float) -> str:
    """Two decimals, more where an interval would shrink to nothing or touch a 0."""
    decimals, width = 2, high - low
    if np.isfinite(width) and width > 0:
        small = min(width / 3, *(2 * abs(end) for end in (low, high) if end))
        decimals = int(np.clip(np.ceil(-np.log10(small)), 2, 6))
    # Adding 0 turns -0.0 into 0.0.
    shown = [
        f"{round(value, decimals) + 0.0:.{decimals}f}" for value in (median, low, high)
    ]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"
