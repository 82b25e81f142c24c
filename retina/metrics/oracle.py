"""Correlation of each trial with the mean of the others: the jackknife oracle."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.power import power_terms
from retina.metrics.sums import Sums, Terms, correlation


def _combine(sums: Terms) -> np.ndarray:
    trials = sums["trial"].shape[-2]
    if trials == 1:
        return np.full(sums["mean"].shape, np.nan)
    # Of y and o = (S - y) / (N - 1) over all trials and bins, S the sum over trials.
    samples, one = trials * sums["bins"], sums["trial2"]
    whole = trials**2 * sums["mean2"]
    centre = trials * sums["mean"]
    with np.errstate(divide="ignore", invalid="ignore"):
        same = centre**2 / samples  # the mean of o is the mean of y
        product = (whole - one) / (trials - 1) - same
        others = ((trials - 2) * whole + one) / (trials - 1) ** 2 - same
        single = one - same
    # Rounding of a constant is no variance; see `sums.variance`.
    single = np.where(single > 1e-12 * one, single, 0.0)
    others = np.where(others > 1e-12 * one, others, 0.0)
    return correlation(product, others, single)


SUMS = Sums(
    terms=lambda rate, response: power_terms(response),
    combine=_combine,
    over="repeats",
)


def oracle(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Pearson's r between each trial and the mean of all others, pooled over trials.

    It underestimates what the true rate would reach on a single trial, the more so the
    fewer the trials: with 2 it is about the square of that. Prefer cc_max.

    rate:     (time, cell); only its shape is looked at.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64 in [-1, 1]; nan for one trial, or a cell that never
              changes.
    raises:   ShapeMismatch if time or cell differ.
    source:   neuralpredictors, measures of the oracle, jackknife; there a nan is 0.

    >>> response = np.array([[[0], [2], [0], [2]], [[0], [2], [0], [2]]])
    >>> oracle(np.zeros((4, 1)), response).round(12).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response))
