"""A metric as a function of sums over time: then its bootstrap is exact and fast.

Resampling blocks of time then adds up sums computed once, instead of scoring again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Terms = dict[str, np.ndarray]


class Sums(NamedTuple):
    """What a metric's file may offer, under the name SUMS, beside its function.

    terms:   (rate, response[, null_rate][, bin_s]) -> {name: (time, ..., cell)}, what
             each bin adds; its arguments have passed `arrays.checked`.
    combine: {name: (..., cell)}, the terms summed over any set of bins -> (..., cell),
             the metric on that set. Leading axes are draws.
    over:    what an interval resamples: "time" (blocks), or "repeats" (jackknife) for a
             figure of the data alone. A file without SUMS may say it as OVER, and
             "cells" too, where a draw of time blocks would be no recording.
    local:   a bin's terms depend on that bin alone. Where they depend on its
             neighbours, as after a filter, the sum over drawn blocks is the metric but
             for what reaches over the blocks' edges.
    """

    terms: Callable[..., Terms]
    combine: Callable[[Terms], np.ndarray]
    over: str = "time"
    local: bool = True

    def value(
        self, rate: np.ndarray, response: np.ndarray, **keywords: ArrayLike
    ) -> np.ndarray:
        """The metric on all bins, (cell,)."""
        terms = self.terms(rate, response, **keywords)
        return self.combine({name: term.sum(axis=0) for name, term in terms.items()})


def bins_of(rate: np.ndarray) -> np.ndarray:
    """The term that counts bins, (time, 1), so that it broadcasts against cells."""
    return np.ones((len(rate), 1))


def variance(total: np.ndarray, square: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Variance over time (n - 1) from the sum and the sum of squares; rounding is 0.

    total, square, bins: broadcast against each other.

    >>> float(variance(np.array(6.0), np.array(14.0), np.array(3.0)))
    1.0
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (square - total**2 / bins) / (bins - 1)
        # A cell that a drawn set of blocks happens to leave constant has variance 0,
        # but the subtraction above leaves up to ~1e-13 of the square.
        return np.where(spread > 1e-12 * square / bins, spread, 0.0)


def correlation(
    covariance: np.ndarray, model: np.ndarray, data: np.ndarray
) -> np.ndarray:
    """covariance / sqrt(model * data): nan where data <= 0, else 0 where model is 0.

    So a cell is undefined because of its data, never because of the model.

    >>> correlation(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0]),
    ...             np.array([4.0, 4.0, 0.0])).tolist()
    [0.5, 0.0, nan]
    """
    defined, moving = data > 0, model > 0
    size = np.sqrt(np.where(defined & moving, model * data, 1.0))
    return np.where(defined, np.where(moving, covariance / size, 0.0), np.nan)


def covariance(
    product: np.ndarray, one: np.ndarray, other: np.ndarray, bins: np.ndarray
) -> np.ndarray:
    """Covariance over time (n - 1) from the sum of products and the two sums.

    >>> float(covariance(np.array(14.0), np.array(6.0), np.array(6.0), np.array(3.0)))
    1.0
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (product - one * other / bins) / (bins - 1)
    return np.where(bins > 1, spread, 0.0)


def over_silence(sums: Terms) -> np.ndarray:
    """What is gained over a model that never fires, of a distance: 1 at none left.

    sums: "left", the distance, and "silent", that of no spikes; nan where that is 0.

    >>> over_silence({"left": np.array([1.0, 0.0]), "silent": np.array([4.0, 0.0])})
    array([0.75,  nan])
    """
    fired = sums["silent"] > 0
    share = sums["left"] / np.where(fired, sums["silent"], 1.0)
    return np.where(fired, 1 - share, np.nan)
