"""Metric template: say here, in one line, what it measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.sums import Sums, Terms, bins_of, variance


def _terms(rate: np.ndarray, response: np.ndarray) -> Terms:
    """What each bin adds, (time, ..., cell); intervals resample these sums."""
    mean = response.mean(axis=0)
    return {
        "bins": bins_of(rate),
        "error2": (rate - mean) ** 2,
        "mean": mean,
        "mean2": mean**2,
    }


def _combine(sums: Terms) -> np.ndarray:
    """The metric from the sums. It is nan because of the data, never of the model."""
    bins = sums["bins"]
    spread = variance(sums["mean"], sums["mean2"], bins) * (bins - 1)
    defined = spread > 0
    share = sums["error2"] / np.where(defined, spread, 1.0)
    return np.where(defined, 1 - share, np.nan)


SUMS = Sums(_terms, _combine)


def template(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Fraction of the trial mean's variance over time that the rate explains.

    rate:     (time, cell), expected counts per bin.
    response: (trial, time, cell), counts per bin.
    returns:  (cell,) float64, at most 1; nan where the trial mean is constant.
    raises:   ShapeMismatch if time or cell differ.
    source:   name the paper and its equation here.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> template(rate, rate[None]).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response))
