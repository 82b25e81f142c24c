"""Information per second that the rate gives beyond the training mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics import bits_per_spike as per_spike
from retina.metrics.arrays import checked
from retina.metrics.sums import Sums, Terms, bins_of


def _terms(
    rate: np.ndarray, response: np.ndarray, null_rate: ArrayLike, bin_s: float
) -> Terms:
    terms = per_spike.SUMS.terms(rate, response, null_rate)
    seconds = len(response) * bin_s * bins_of(response[0])
    return {name: terms[name] for name in ("gain", "impossible")} | {"s": seconds}


def _combine(sums: Terms) -> np.ndarray:
    bits = sums["gain"] / (np.log(2) * sums["s"])
    return np.where((sums["impossible"] > 0) & np.isfinite(bits), -np.inf, bits)


SUMS = Sums(_terms, _combine)


def bits_per_second(
    rate: ArrayLike, response: ArrayLike, null_rate: ArrayLike, bin_s: float
) -> np.ndarray:
    """Poisson log-likelihood gain over the training mean, in bits per second.

    Bits per spike times spikes per second, but for a silent cell, which has bits per
    second too: whoever predicted its silence is paid.

    rate:      (time, cell), expected counts per bin, 0 or more; or (trial, time, cell)
               where each trial's own past changes its rate.
    response:  (trial, time, cell), counts per bin.
    null_rate: (cell,), mean counts per bin of the training data.
    bin_s:     seconds per bin.
    returns:   (cell,) float64, bits per second; nan for a cell without training spikes
               (null 0).
    raises:    ShapeMismatch if time or cell differ; BadSetting for a negative rate.
    source:    Brenner et al. 2000, doi 10.1162/089976600300015259, for the units.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> bits_per_second(rate, rate[None], [1.0], bin_s=0.5).round(12).tolist()
    [2.0]
    """
    p, y = checked(rate, response, by_trial=True)
    return SUMS.value(p, y, null_rate=null_rate, bin_s=bin_s)
