"""Fano factor: how much counts scatter over trials, beside Poisson counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.sums import Sums, Terms


def _terms(rate: np.ndarray, response: np.ndarray) -> Terms:
    trials = len(response)
    mean = response.mean(axis=0)
    spread = ((response - mean) ** 2).sum(axis=0) / max(trials - 1, 1)
    return {"mean": mean, "spread": spread if trials > 1 else np.nan * spread}


def _combine(sums: Terms) -> np.ndarray:
    fired = sums["mean"] > 0
    return np.where(fired, sums["spread"] / np.where(fired, sums["mean"], 1.0), np.nan)


SUMS = Sums(_terms, _combine, over="repeats")


def fano(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Variance of the counts over trials, over their mean; both averaged over bins.

    1 for Poisson counts, which is what every likelihood here takes for granted; below 1
    for a cell more regular than that. It depends on the bin (`retina score --bin-s`):
    in bins too short for two spikes it is near 1 whatever the cell does.

    rate:     (time, cell); only its shape is looked at.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64, counts; nan for one trial or a silent cell.
    raises:   ShapeMismatch if time or cell differ.
    source:   Fano 1947, doi 10.1103/PhysRev.72.26; variances with n - 1.

    >>> response = np.array([[[0], [2]], [[2], [2]]])
    >>> fano(np.zeros((2, 1)), response).round(12).tolist()
    [0.666666666667]
    """
    return SUMS.value(*checked(rate, response))
