"""Signal and noise power of repeats, after Sahani & Linden, as sums over time.

source: Sahani & Linden 2003, "How linear are auditory cortical responses?", NIPS 15.
"""

from __future__ import annotations

import numpy as np

from retina.metrics.arrays import centred
from retina.metrics.sums import Terms, bins_of, variance


def power_terms(response: np.ndarray) -> Terms:
    """What each bin adds to `powers`.

    response: (trial, time, cell).
    returns:  bins (time, 1); mean, mean2 (time, cell); trial (time, trial, cell), the
              counts; trial2 (time, cell), their squares summed over trials.

    >>> sorted(power_terms(np.ones((3, 5, 2))))
    ['bins', 'mean', 'mean2', 'trial', 'trial2']
    """
    y = centred(response)
    mean = y.mean(axis=0)
    return {
        "bins": bins_of(mean),
        "mean": mean,
        "mean2": mean**2,
        "trial": y.transpose(1, 0, 2),
        "trial2": (y**2).sum(axis=0),
    }


def powers(sums: Terms) -> tuple[np.ndarray, np.ndarray]:
    """Signal power and variance of the trial mean.

    sums:    the terms of `power_terms`, summed over bins; leading axes are kept.
    returns: SP = (N V(mean) - mean_n V(trial n)) / (N - 1), nan for one trial or one
             bin, never clipped; and V(mean). Both (..., cell), squared counts per bin.
    """
    bins = sums["bins"]
    trials = sums["trial"].shape[-2]
    mean = variance(sums["mean"], sums["mean2"], bins)
    single = variance(np.sqrt((sums["trial"] ** 2).sum(axis=-2)), sums["trial2"], bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        signal = (trials * mean - single / trials) / np.float64(trials - 1)
        # Rounding is no signal: without this, a cell whose trials are all constant
        # could be defined or not by the order of an addition.
        signal = np.where(np.abs(signal) > 1e-12 * single, signal, 0.0)
    return np.where((trials > 1) & (bins > 1), signal, np.nan), mean
