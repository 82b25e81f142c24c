"""Correlation of the rate with single trials."""

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
    # (time, trial, cell); one rate for all trials has a single row.
    p = np.stack([centred(one) for one in rate.reshape(-1, *rate.shape[-2:])], axis=1)
    y = np.stack([centred(trial) for trial in response], axis=1)
    return {
        "bins": bins_of(response[0]),
        "rate": p,
        "rate2": p**2,
        "trial": y,
        "trial2": y**2,
        "product": p * y,
    }


def _combine(sums: Terms) -> np.ndarray:
    bins = sums["bins"][..., None, :]
    each = correlation(
        covariance(sums["product"], sums["rate"], sums["trial"], bins),
        variance(sums["rate"], sums["rate2"], bins),
        variance(sums["trial"], sums["trial2"], bins),
    )
    defined = np.isfinite(each)
    count = defined.sum(axis=-2)
    total = np.where(defined, each, 0.0).sum(axis=-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


SUMS = Sums(_terms, _combine)


def pearson_trial(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Pearson's r of the rate with each trial, averaged over trials.

    Its expectation does not depend on the number of trials; it is the figure for
    running stimuli that were shown once.

    rate:     (time, cell), expected counts per bin; or (trial, time, cell) where each
              trial's own past changes its rate.
    response: (trial, time, cell), counts per bin.
    returns:  (cell,) float64 in [-1, 1]; 0 for a constant rate; trials without variance
              (no spike) are left out, nan where no trial is left.
    raises:   ShapeMismatch if time or cell differ.
    source:   definition.

    >>> rate = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> pearson_trial(rate, np.stack([rate, 1 - rate, 0 * rate])).tolist()
    [0.0]
    """
    return SUMS.value(*checked(rate, response, by_trial=True))
