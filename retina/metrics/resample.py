"""How sure a median over cells is: blocks of time resampled, cells crossed with them.

One draw takes the same blocks for every cell and every model, so what they share (the
stimulus, a slow drift) is not counted as independent. Repeats are never drawn with
replacement: one drawn twice looks like signal (it adds NP / N to the signal power).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from retina.errors import BadSetting
from retina.metrics.arrays import Pair, joined
from retina.metrics.clips import bound, over, sums_of
from retina.metrics.medians import (
    CROSSED,
    middle,
    percentiles,
    spread_of_median,
)
from retina.metrics.sums import Terms

# Seconds. Under white noise the counts of ganglion cells hardly correlate beyond 0.1 s,
# and not at all beyond 0.3 s; blocks of 1 s are safely longer (a slow drift may last),
# but a 9-s test must not be left with 9 of them.
LONG_S, SHORT_S, WANTED = 1.0, 0.3, 30


class Draws(NamedTuple):
    """One metric, resampled.

    observed: (cell,), on all the data.
    values:   (draw, cell), each from one draw of blocks.
    blocks:   how many blocks there were to draw from.
    """

    observed: np.ndarray
    values: np.ndarray
    blocks: int


class Bounds(NamedTuple):
    """A 95 % interval, and the draws in which a defined cell became undefined."""

    low: float
    high: float
    undefined: int


def interval(
    name: str,
    pairs: Sequence[Pair],
    bin_s: float,
    *,
    rng: np.random.Generator,
    null_rate: ArrayLike | None = None,
    draws: int = 1000,
    block_s: float | None = None,
    cross_cells: bool | None = None,
    others: Sequence[Sequence[Pair]] = (),
) -> Bounds:
    """95 % interval of a metric's median over cells.

    Blocks of time are drawn with replacement, jointly for all cells; cells are drawn
    too, so that the interval speaks of cells like these, unless fewer than 6 are
    defined: then it speaks of these cells. Percentiles are widened for few blocks or
    cells.
    Figures of the data alone, as signal_power, get a delete-one jackknife over repeats,
    their cells fixed. Figures that a drawn stretch of time would change, as
    time_rescaling, get cells drawn alone: their interval speaks of other cells under
    this stretch of stimulus, and there is none for fewer than 6 cells.

    name:        a metric.
    pairs:       (rate (time, cell), response (trial, time, cell)) of each test clip; no
                 block crosses from one clip into the next.
    bin_s:       seconds per bin.
    rng:         source of the draws.
    null_rate:   (cell,), training mean in counts per bin, where the metric needs it.
    block_s:     length of a block; by default 1 s, less where that leaves under 30
                 blocks, never less than 0.3 s.
    cross_cells: draw cells too; by default where there are at least 6.
    others:      pairs of the same clips from other random starts of the same fit: a
                 cell's value, in each draw, is then the median over them all.
    returns:     low, high, in the metric's unit, nan where there is nothing to
                 resample; and how many draws lost a cell that is defined on all the
                 data (such a draw takes the median of the others).
    raises:      as `evaluate`.
    source:      block bootstrap: Kunsch 1989, doi 10.1214/aos/1176347265; the rest in
                 `spread_of_median` and `percentiles`.

    >>> rng = np.random.default_rng(0)
    >>> rate = rng.gamma(1.0, 0.3, (900, 8))
    >>> low, high, _ = interval(
    ...     "pearson", [(rate, rng.poisson(rate, (5, 900, 8)))], 1 / 30, rng=rng)
    >>> bool(0.6 < low < high < 0.9)
    True
    """
    metric, keywords = bound(name, null_rate, bin_s)
    if over(metric) == "repeats":
        return _jackknife(metric, keywords, pairs, rng, draws)
    drawn = resampled(
        name,
        [pairs, *others],
        bin_s,
        rng=rng,
        null_rate=null_rate,
        draws=draws,
        block_s=block_s,
    )
    observed = np.median([each.observed for each in drawn], axis=0)
    defined = ~np.isnan(observed)
    values = np.median([each.values[:, defined] for each in drawn], axis=0)
    low, high = percentiles(
        *spread_of_median(observed[defined], values, rng, drawn[0].blocks, cross_cells)
    )
    return Bounds(low, high, int(np.isnan(values).any(axis=1).sum()))


def resampled(
    name: str,
    models: Sequence[Sequence[Pair]],
    bin_s: float,
    *,
    rng: np.random.Generator,
    null_rate: ArrayLike | None = None,
    draws: int = 1000,
    block_s: float | None = None,
) -> list[Draws]:
    """Per-cell values of a metric under draws of time blocks that all models share.

    models:  for each model, its (rate, response) pairs on the same clips.
    returns: one `Draws` per model.
    raises:  as `evaluate`.

    >>> rng = np.random.default_rng(0)
    >>> rate = rng.gamma(1.0, 0.3, (90, 2))
    >>> clip = (rate, rng.poisson(rate, (5, 90, 2)))
    >>> resampled("pearson", [[clip]], 1 / 30, rng=rng, draws=7)[0].values.shape
    (7, 2)
    """
    metric, keywords = bound(name, null_rate, bin_s)
    clips = [joined(pairs) for pairs in models]
    starts = block_starts(clips[0][2], bin_s, block_s)
    blocks = len(starts)
    weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws)
    offered = sums_of(metric)
    made = []
    for rate, response, _ in clips:
        observed = np.asarray(metric(rate, response, **keywords), np.float64)
        if over(metric) == "cells":
            cells = int(np.sum(~np.isnan(observed)))
            # Fewer are never drawn: one sample, from which no interval is made.
            blocks = cells if cells >= CROSSED else 1
            values = np.broadcast_to(observed, (draws, len(observed)))
        elif offered:
            terms = offered.terms(rate, response, **keywords)
            values = np.concatenate(
                [offered.combine(sums) for sums in _drawn(terms, starts, weights)]
            )
        else:
            bins = np.split(np.arange(len(rate)), starts[1:])
            values = np.empty((draws, rate.shape[1]))
            for draw, row in enumerate(weights):
                at = np.concatenate(
                    [bins[b] for b in np.repeat(np.arange(blocks), row)]
                )
                values[draw] = metric(rate[at], response[:, at], **keywords)
        made.append(Draws(observed, values, int(blocks)))
    return made


def block_starts(
    lengths: Sequence[int], bin_s: float, block_s: float | None = None
) -> np.ndarray:
    """First bin of each block, clips laid end to end.

    lengths: bins of each clip; a clip is cut into nearly equal blocks, at least one.
    block_s: length aimed at; by default 1 s, less where that leaves under 30 blocks,
             never less than 0.3 s.
    returns: (block,) integers.

    >>> block_starts([60, 25], bin_s=0.1, block_s=2.0).tolist()
    [0, 20, 40, 60]
    """
    if not bin_s > 0 or (block_s is not None and not block_s > 0):
        raise BadSetting(f"bin_s={bin_s}, block_s={block_s}: both are seconds, above 0")
    if block_s is None:
        block_s = min(LONG_S, max(SHORT_S, sum(lengths) * bin_s / WANTED))
    starts, first = [], 0
    for bins in lengths:
        parts = min(bins, max(1, round(bins * bin_s / block_s)))
        starts.append(first + np.arange(parts) * bins // parts)
        first += bins
    return np.concatenate(starts)


def _drawn(terms: Terms, starts: np.ndarray, weights: np.ndarray) -> Iterator[Terms]:
    """The terms summed over each draw's blocks, some draws at a time to save memory."""
    blocks = {name: np.add.reduceat(term, starts) for name, term in terms.items()}
    words = sum(block[0].size for block in blocks.values())
    step = max(1, 4_000_000 // words)
    for first in range(0, len(weights), step):
        some = weights[first : first + step].astype(np.float64)
        yield {name: np.tensordot(some, block, 1) for name, block in blocks.items()}


def _jackknife(
    metric: Callable[..., np.ndarray],
    keywords: dict[str, Any],
    pairs: Sequence[Pair],
    rng: np.random.Generator,
    draws: int,
) -> Bounds:
    """Delete-one over repeats, of each cell; the median's spread by draws from that.

    A median of delete-one sets would hang on the one or two cells in the middle, and be
    half as wide again as it should. So cells are drawn with the jackknife's covariance,
    about values moved together until they scatter as much less as their noise adds.
    Degrees of freedom after Satterthwaite 1946, doi 10.2307/3002019: trials - 1 for
    each cell's worth of noise that the median averages.
    """
    rate, response, _ = joined(pairs)
    trials = len(response)
    if trials < 3:  # one repeat left has no signal power
        return Bounds(np.nan, np.nan, 0)
    observed = metric(rate, response, **keywords)
    defined = ~np.isnan(observed)
    if not defined.any():
        return Bounds(np.nan, np.nan, 0)
    observed = observed[defined]
    left = np.stack(
        [
            metric(rate, np.delete(response, trial, axis=0), **keywords)[defined]
            for trial in range(trials)
        ]
    )
    lost = np.isnan(left)
    left = np.where(lost, observed, left)
    noise = np.sqrt((trials - 1) / trials) * (left - left.mean(axis=0))
    centre, scatter = float(middle(observed)), 0.0
    if len(observed) > 1:
        scatter = np.var(observed, ddof=1)
    own = (noise**2).sum(axis=0).mean()
    close = np.sqrt(max(0.0, 1 - own / scatter)) if scatter > 0 else 1.0
    moved = centre + close * (observed - centre)
    medians = middle(moved + rng.normal(size=(draws, trials)) @ noise)
    spread = np.std(medians)
    freedom = (trials - 1) * max(1.0, own / spread**2) if spread > 0 else trials - 1
    reach = float(stdtrit(freedom, 0.975) * spread)
    return Bounds(centre - reach, centre + reach, int(lost.any(axis=1).sum()))
