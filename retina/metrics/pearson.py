"""Correlation of the rate with the trial mean (the PSTH)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import centred, checked
from retina.metrics.sums import (
    Sums,
    Terms,
    bins_of,
    correlation,
    covariance,
    variance,
)


def _terms(rate: np.ndarray, response: np.ndarray) -> Terms:
    p, mean = centred(rate), centred(response.mean(axis=0))
    return {
        "bins": bins_of(rate),
        "rate": p,
        "rate2": p**2,
        "mean": mean,
        "mean2": mean**2,
        "product": p * mean,
    }


def _combine(sums: Terms) -> np.ndarray:
    bins = sums["bins"]
    return correlation(
        covariance(sums["product"], sums["rate"], sums["mean"], bins),
        variance(sums["rate"], sums["rate2"], bins),
        variance(sums["mean"], sums["mean2"], bins),
    )


SUMS = Sums(_terms, _combine)


def pearson(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Pearson's r of the rate with the mean over trials, noise ceiling included.

    It rises with the number of trials even for the true rate; compare it between models
    on the same data only, or use cc_norm.

    rate:     (time, cell), expected counts per bin.
    response: (trial, time, cell), counts per bin.
    returns:  (cell,) float64 in [-1, 1]; 0 for a constant rate; nan where the trial
              mean is constant (a silent cell).
    raises:   ShapeMismatch if time or cell differ.
    source:   definition; CCabs in Schoppe et al. 2016, doi 10.3389/fncom.2016.00010.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> pearson(rate, 1 - rate[None] / 2).round(12).tolist()
    [-1.0]
    """
    return SUMS.value(*checked(rate, response))
