"""Distance of spike trains under an exponential trace, told as what the rate gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import lfilter

from retina.errors import BadSetting
from retina.metrics.arrays import checked
from retina.metrics.sums import Sums, Terms, over_silence

TAU_S = 0.02  # chosen: what the bursts of a ganglion cell last


def _square(train: np.ndarray, keep: float) -> np.ndarray:
    """What each bin adds to the squared distance of a train from silence; time first.

    Half the sum over all pairs of spikes of exp(-|difference| / tau).
    """
    trace = np.asarray(lfilter([1.0], [1.0, -keep], train, axis=0))
    return train * (trace - train / 2)


def _terms(
    rate: np.ndarray, response: np.ndarray, bin_s: float, tau_s: float = TAU_S
) -> Terms:
    keep = float(np.exp(-bin_s / _positive(tau_s)))
    left, silent = np.zeros(rate.shape), np.zeros(rate.shape)
    for trial in response:
        left += _square(trial - rate, keep)
        silent += _square(trial, keep)
    return {"left": left, "silent": silent}


SUMS = Sums(_terms, over_silence, local=False)


def van_rossum(
    rate: ArrayLike, response: ArrayLike, bin_s: float, tau_s: float = TAU_S
) -> np.ndarray:
    """One minus the squared distance to the recorded trains, over that of no spikes.

    The distance is that of trains drawn from the rate, less half of what two of them
    have between them: so the true rate scores best, where the plain distance would
    favour a model that stays silent. Its mean over all draws is known: none is drawn.

    rate:     (time, cell), expected counts per bin.
    response: (trial, time, cell), counts per bin.
    bin_s:    seconds per bin; a spike is taken to be at the middle of its bin.
    tau_s:    of the trace that a spike leaves.
    returns:  (cell,) float64, at most 1; 0 for a rate of 0; single trials count, so the
              true rate stays below 1; nan for a silent cell.
    raises:   ShapeMismatch if time or cell differ; BadSetting for a tau_s of 0 or less.
    source:   van Rossum 2001, doi 10.1162/089976601300014321; the correction: Gneiting
              & Raftery 2007, doi 10.1198/016214506000001437, section 5.

    >>> rate = np.array([[0.0], [1.0], [0.0]])
    >>> van_rossum(rate, np.stack([rate, rate]), bin_s=0.01).tolist()
    [1.0]
    """
    return SUMS.value(*checked(rate, response), bin_s=bin_s, tau_s=tau_s)


def distance(one_s: ArrayLike, other_s: ArrayLike, tau_s: float = TAU_S) -> float:
    """The distance of two spike trains; that of one spike from none is sqrt(1/2).

    one_s, other_s: (spike,), seconds, in any order.
    returns:        dimensionless.

    >>> round(distance([0.1], []) ** 2, 3), distance([0.1, 0.3], [0.3, 0.1])
    (0.5, 0.0)
    """
    a, b = (np.sort(np.asarray(x, np.float64)) for x in (one_s, other_s))
    tau_s = _positive(tau_s)

    def overlap(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-np.abs(x[:, None] - y) / tau_s).sum()) / 2

    return float(np.sqrt(max(overlap(a, a) + overlap(b, b) - 2 * overlap(a, b), 0.0)))


def _positive(tau_s: float) -> float:
    if not tau_s > 0:
        raise BadSetting(f"tau_s={tau_s}: give seconds, above 0")
    return tau_s
