"""The highest correlation with the trial mean that any model could reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.power import power_terms, powers
from retina.metrics.sums import Sums, Terms


def _combine(sums: Terms) -> np.ndarray:
    signal, mean = powers(sums)
    defined = signal > 0
    ratio = np.where(defined, signal, 1.0) / np.where(defined, mean, 1.0)
    return np.where(defined, np.sqrt(ratio), np.nan)


SUMS = Sums(
    terms=lambda rate, response: power_terms(response),
    combine=_combine,
    over="repeats",
)


def cc_max(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Correlation of the true rate with the mean over this many trials.

    rate:     (time, cell); only its shape is looked at.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64, in (0, 1]; nan where signal power <= 0.
    raises:   ShapeMismatch if time or cell differ.
    source:   Schoppe et al. 2016, doi 10.3389/fncom.2016.00010: sqrt(SP / V(mean)).

    >>> response = np.array([[[0], [2], [0], [2]], [[0], [2], [0], [2]]])
    >>> cc_max(np.zeros((4, 1)), response).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response))
