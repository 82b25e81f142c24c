"""Information per spike that the rate gives beyond the training mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked, poisson_rates
from retina.metrics.sums import Sums, Terms


def _terms(rate: np.ndarray, response: np.ndarray, null_rate: ArrayLike) -> Terms:
    null = poisson_rates(rate, null_rate)
    count, trials = response.sum(axis=0), len(response)
    possible = np.where(rate > 0, rate, 1.0)
    expected = np.mean(rate.reshape(-1, *rate.shape[-2:]), axis=0)
    gain = np.sum(response * np.log(possible / null), axis=0)
    # Infinities would become nan where a bootstrap draws their block zero times; so the
    # impossible spikes are counted apart.
    impossible = np.any((response > 0) & (rate <= 0), axis=0)
    return {
        "gain": np.asarray(gain - trials * (expected - null)),
        "spikes": count,
        "impossible": impossible.astype(np.float64),
    }


def _combine(sums: Terms) -> np.ndarray:
    fired = sums["spikes"] > 0
    bits = sums["gain"] / (np.log(2) * np.where(fired, sums["spikes"], 1.0))
    bits = np.where((sums["impossible"] > 0) & np.isfinite(bits), -np.inf, bits)
    return np.where(fired, bits, np.nan)


SUMS = Sums(_terms, _combine)


def bits_per_spike(
    rate: ArrayLike, response: ArrayLike, null_rate: ArrayLike
) -> np.ndarray:
    """Poisson log-likelihood gain over the training mean, in bits per recorded spike.

    No floor is put under the rate: a spike where the rate is 0 scores -inf.

    rate:      (time, cell), expected counts per bin, 0 or more; or (trial, time, cell)
               where each trial's own past changes its rate.
    response:  (trial, time, cell), counts per bin.
    null_rate: (cell,), mean counts per bin of the training data.
    returns:   (cell,) float64, bits per spike; nan for a cell without test spikes, or
               without training spikes (null 0).
    raises:    ShapeMismatch if time or cell differ; BadSetting for a negative rate.
    source:    Brenner et al. 2000, doi 10.1162/089976600300015259, for the units; the
               null is the training mean, so that no test data enter it.

    >>> rate = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> bits_per_spike(rate, rate[None], [1.0]).round(12).tolist()
    [1.0]
    """
    p, y = checked(rate, response, by_trial=True)
    return SUMS.value(p, y, null_rate=null_rate)
