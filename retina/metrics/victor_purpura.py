"""Cost of turning one spike train into another, told as what the rate gains."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import pdtrik

from retina.errors import BadSetting
from retina.metrics.arrays import chances, check_positive, check_whole, checked
from retina.metrics.sums import Sums, Terms, over_silence

COST_PER_S = 20.0  # chosen: spikes over 0.1 s apart are never the same one, late
DRAWN = 8  # trains of the rate for each cell
LOUDEST = 10.0  # counts per bin: a rate that ran away costs no more than this
WORDS = 1_000_000  # of memory: cells are taken together as long as they fit


def _terms(
    rate: np.ndarray,
    response: np.ndarray,
    bin_s: float,
    cost_per_s: float = COST_PER_S,
) -> Terms:
    check_positive(rate)
    check_whole(response)
    cost, trials = _positive(cost_per_s) * bin_s, range(len(response))
    pairs = np.array(list(itertools.product(range(DRAWN), trials))).T
    twins = np.array(list(itertools.combinations(range(DRAWN), 2))).T
    chance = np.stack(
        [
            chances(counts).random((DRAWN, len(rate)))
            for counts in np.moveaxis(response, 2, 0)
        ],
        axis=2,
    )
    drawn = _poisson(chance, np.minimum(rate, LOUDEST))
    left = np.empty(rate.shape)
    some = max(1, WORDS // (pairs.shape[1] * len(rate)))
    for first in range(0, rate.shape[1], some):
        at = slice(first, first + some)
        model, trial = drawn[..., at], response[..., at]
        apart = _along(model[pairs[0]], trial[pairs[1]], cost)
        own = _along(model[twins[0]], model[twins[1]], cost)
        left[:, at] = np.diff(apart - own / 2, axis=0, prepend=0.0)
    return {"left": left, "silent": response.mean(axis=0)}


SUMS = Sums(_terms, over_silence, local=False)


def victor_purpura(
    rate: ArrayLike, response: ArrayLike, bin_s: float, cost_per_s: float = COST_PER_S
) -> np.ndarray:
    """One minus the distance to the recorded trains, per recorded spike.

    The distance is the mean over 8 trains drawn from the rate, less half of what two of
    them have between them: the plain distance would favour a model that stays silent.
    Every model of a cell is drawn from with the same random numbers, and rates above 10
    per bin as if they were 10.

    rate:       (time, cell), expected counts per bin, 0 or more.
    response:   (trial, time, cell), counts per bin.
    bin_s:      seconds per bin; spikes are taken to be at the middle of their bin.
    cost_per_s: of moving a spike; adding or deleting one costs 1.
    returns:    (cell,) float64, at most 1 but for the luck of the draws; 0 for a rate
                of 0; single trials count, so the true rate stays below 1; nan for a
                silent cell.
    raises:     ShapeMismatch if time or cell differ; BadSetting for a negative rate or
                a cost of 0 or less; BadResponse for counts that are no whole numbers.
    source:     Victor & Purpura 1996, doi 10.1152/jn.1996.76.2.1310; the correction:
                Gneiting & Raftery 2007, doi 10.1198/016214506000001437, section 5.

    >>> counts = np.array([[[0], [1], [0], [2]]])
    >>> victor_purpura(np.zeros((4, 1)), counts, bin_s=0.01).tolist()
    [0.0]
    """
    return SUMS.value(*checked(rate, response), bin_s=bin_s, cost_per_s=cost_per_s)


def distance(
    one_s: ArrayLike, other_s: ArrayLike, cost_per_s: float = COST_PER_S
) -> float:
    """The least cost of making one spike train of the other.

    one_s, other_s: (spike,), seconds, in any order.
    cost_per_s:     of moving a spike by a second; adding or deleting one costs 1.
    returns:        dimensionless, at most the number of all spikes.
    raises:         BadSetting for a negative cost.

    >>> round(distance([0.1], [0.11]), 6), distance([0.1], [0.3, 0.5])
    (0.2, 3.0)
    """
    a, b = (np.sort(np.asarray(x, np.float64)) for x in (one_s, other_s))
    if not cost_per_s >= 0:
        raise BadSetting(f"cost_per_s={cost_per_s}: give 1/s, 0 or more")
    # Row by row: delete, move, or add; a run of additions is a running minimum.
    steps = np.arange(len(b) + 1.0)
    row = steps
    for spike in a:
        best = row + 1
        np.minimum(best[1:], row[:-1] + cost_per_s * np.abs(b - spike), out=best[1:])
        row = np.minimum.accumulate(best - steps) + steps
    return float(row[-1])


def _along(one: np.ndarray, other: np.ndarray, cost: float) -> np.ndarray:
    """The distance of two trains up to each bin, mean over pairs of trains.

    one, other: (pair, time, cell) counts. cost: of moving a spike by a bin.
    returns:    (time, cell).

    From bin to bin goes the least cost for each number of spikes of `one` (below 0: of
    `other`) that still wait for a partner. One that waits for longer than 2 / cost is
    better deleted, so no more wait than fall into such a stretch.
    """
    pairs, bins, cells = one.shape
    one, other = (np.moveaxis(x, 1, 0).reshape(bins, -1) for x in (one, other))
    reach = min(int(2 / cost) + 1, bins)
    past = np.cumsum(np.maximum(one, other), axis=0)
    past[reach:] -= past[:-reach].copy()
    most = int(past.max())
    waiting = np.arange(most + 1.0)
    ahead = (one - other).astype(np.int64)
    # Most wait, ..., none, ..., most of the other wait; beyond on both sides: never.
    never = np.full((pairs * cells, most), np.inf)
    least = np.full((pairs * cells, 2 * most + 1), np.inf)
    least[:, most] = 0.0
    at = most + np.arange(2 * most + 1)
    found = np.empty((bins, cells))
    for now in range(bins):
        wide = np.concatenate([never, least, never], axis=1)
        least = np.take_along_axis(wide, at - ahead[now, :, None], axis=1)
        for side in (least[:, most:], least[:, most::-1]):  # delete some that wait
            kept = np.minimum.accumulate((side + waiting)[:, ::-1], axis=1)[:, ::-1]
            np.minimum(side, kept - waiting, out=side)
        found[now] = least[:, most].reshape(pairs, cells).mean(axis=0)
        least = least + cost * np.abs(at - 2 * most)
    return found


def _poisson(chance: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """The count whose cumulative probability first reaches a uniform number."""
    rate = np.broadcast_to(rate, chance.shape)
    fires = (rate > 0) & (chance > np.exp(-rate))
    count = np.zeros(chance.shape)
    count[fires] = np.ceil(pdtrik(chance[fires], rate[fires]))
    return count


def _positive(cost_per_s: float) -> float:
    if not cost_per_s > 0:
        raise BadSetting(f"cost_per_s={cost_per_s}: give 1/s, above 0")
    return cost_per_s
