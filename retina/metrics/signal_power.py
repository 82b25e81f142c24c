"""Signal power: the part of the response's variance that repeats share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import checked
from retina.metrics.power import power_terms, powers
from retina.metrics.sums import Sums

SUMS = Sums(
    terms=lambda rate, response: power_terms(response),
    combine=lambda sums: powers(sums)[0],
    over="repeats",
)


def signal_power(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Variance over time of the expected count, estimated from repeats without bias.

    rate:     (time, cell); only its shape is looked at.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64, squared counts per bin; may be 0 or less, never clipped;
              nan for a single trial.
    raises:   ShapeMismatch if time or cell differ.
    source:   Sahani & Linden 2003 (NIPS 15); Schoppe et al. 2016,
              doi 10.3389/fncom.2016.00010.

    >>> response = np.array([[[0], [2], [0], [2]], [[0], [2], [0], [2]]])
    >>> signal_power(np.zeros((4, 1)), response).round(3).tolist()
    [1.333]
    """
    return SUMS.value(*checked(rate, response))
