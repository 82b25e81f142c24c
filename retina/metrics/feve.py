"""Fraction of the explainable variance that the rate explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.power import power_terms, powers
from retina.metrics.sums import Sums, Terms


def _terms(rate: np.ndarray, response: np.ndarray) -> Terms:
    terms = power_terms(response)
    trials = len(response)
    # Summed squares about each bin's mean: (n - 1) times the variance over trials.
    within = terms["trial2"] - trials * terms["mean2"]
    return terms | {
        "noise": np.maximum(within, 0.0) / max(trials - 1, 1),
        "error": ((response - rate) ** 2).mean(axis=0),
    }


def _combine(sums: Terms) -> np.ndarray:
    bins = sums["bins"]
    trials = sums["trial"].shape[-2]
    signal, _ = powers(sums)
    samples = trials * bins
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (sums["trial2"] - (trials * sums["mean"]) ** 2 / samples) / (
            samples - 1
        )
    noise, error = sums["noise"] / bins, sums["error"] / bins
    explainable = total - noise
    defined = (signal > 0) & (explainable > 1e-12 * total)
    share = (error - noise) / np.where(defined, explainable, 1.0)
    return np.where(defined, 1 - share, np.nan)


SUMS = Sums(_terms, _combine)


def feve(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """One minus the squared error beyond the noise, over the variance beyond the noise.

    Never clipped: below 0 for a rate worse than the mean, above 1 by chance. Unlike
    cc_norm it charges a wrong gain or offset.

    rate:     (time, cell), expected counts per bin.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64, dimensionless; about 1 for the true rate (heavy-tailed
              for few repeats at a low rate); nan where signal power <= 0 or no variance
              remains beyond the noise: the data alone decide.
    raises:   ShapeMismatch if time or cell differ.
    source:   Cadena et al. 2019, doi 10.1371/journal.pcbi.1006897; variances with
              n - 1: total over all trials and bins, noise over trials, averaged over
              bins.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> feve(rate, np.stack([rate, rate])).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response))
