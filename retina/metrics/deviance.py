"""Fraction of the Poisson deviance that the rate explains (D squared)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from retina.metrics.arrays import checked, poisson_rates
from retina.metrics.sums import Sums, Terms


def _terms(rate: np.ndarray, response: np.ndarray, null_rate: ArrayLike) -> Terms:
    null = poisson_rates(rate, null_rate)
    count, trials = response.sum(axis=0), len(response)
    possible = np.where(rate > 0, rate, 1.0)
    own = xlogy(response, response).sum(axis=0) - count
    return {
        "model": 2 * (own - count * np.log(possible) + trials * rate),
        "null": 2 * (own - count * np.log(null) + trials * null),
        "size": count + trials * null,
        "impossible": ((count > 0) & (rate <= 0)).astype(np.float64),
    }


def _combine(sums: Terms) -> np.ndarray:
    defined = sums["null"] > 1e-12 * sums["size"]
    share = sums["model"] / np.where(defined, sums["null"], 1.0)
    explained = np.where(sums["impossible"] > 0, -np.inf, 1 - share)
    return np.where(defined, explained, np.nan)


SUMS = Sums(_terms, _combine)


def deviance(rate: ArrayLike, response: ArrayLike, null_rate: ArrayLike) -> np.ndarray:
    """One minus the deviance of the rate over the deviance of the training mean.

    Single trials count, so the true rate stays well below 1. No floor is put under the
    rate: a spike where the rate is 0 scores -inf.

    rate:      (time, cell), expected counts per bin, 0 or more.
    response:  (trial, time, cell), counts per bin.
    null_rate: (cell,), mean counts per bin of the training data.
    returns:   (cell,) float64, dimensionless, at most 1; defined for a cell that is
               silent in the test; nan where the null is 0 or fits perfectly.
    raises:    ShapeMismatch if time or cell differ; BadSetting for a negative rate.
    source:    McCullagh & Nelder 1989, "Generalized linear models", section 2.3:
               D = 2 sum y ln(y / rate) - (y - rate).

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> deviance(rate, rate[None], [1.0]).round(12).tolist()
    [1.0]
    """
    p, y = checked(rate, response)
    return SUMS.value(p, y, null_rate=null_rate)
