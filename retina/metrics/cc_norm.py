"""Correlation with the trial mean, relative to what the trials' noise allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import centred, checked
from retina.metrics.power import power_terms, powers
from retina.metrics.sums import Sums, Terms, correlation, covariance, variance


def _terms(rate: np.ndarray, response: np.ndarray) -> Terms:
    terms = power_terms(response)
    p = centred(rate)
    return terms | {"rate": p, "rate2": p**2, "product": p * terms["mean"]}


def _combine(sums: Terms) -> np.ndarray:
    bins = sums["bins"]
    signal, _ = powers(sums)
    model = variance(sums["rate"], sums["rate2"], bins)
    shared = covariance(sums["product"], sums["rate"], sums["mean"], bins)
    return correlation(shared, model, signal)


SUMS = Sums(_terms, _combine)


def cc_norm(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Correlation of the rate with the trial mean, over the best any model could reach.

    The direct formula, cov(rate, mean) / sqrt(V(rate) SP): no resampling, never
    clipped, blind to the rate's gain and offset. A constant rate scores 0, so that the
    data alone decide which cells are defined.

    rate:     (time, cell), expected counts per bin.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64, dimensionless; about 1 for the true rate (upward biased
              for few repeats at a low rate, where it may exceed 1 by far); nan where
              signal power <= 0.
    raises:   ShapeMismatch if time or cell differ.
    source:   Schoppe et al. 2016, doi 10.3389/fncom.2016.00010.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> cc_norm(0.1 * rate + 3, np.stack([rate, rate])).round(12).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response))
