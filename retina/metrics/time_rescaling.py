"""Whether the rate explains when each spike came: intervals on the model's clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import chances, check_positive, check_whole, checked

# Other intervals than those recorded would be made at the edges of drawn blocks.
OVER = "cells"


def time_rescaling(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """How far inside its 95 % band the Kolmogorov-Smirnov distance stays: 1 - D / D95.

    Between two spikes of a Poisson process the expected count is exponentially
    distributed, whatever the rate does. A spike's place within its bin is not known:
    it is drawn, uniformly, which makes this exact for Poisson counts in bins of any
    length. The intervals run on from trial to trial, so none is cut off.

    rate:     (time, cell), expected counts per bin, 0 or more; or (trial, time, cell)
              where each trial's own past changes its rate: then of a model with
              history too.
    response: (trial, time, cell), counts per bin.
    returns:  (cell,) float64, at most 1; 0 or more: not to be told from the true rate,
              by this test and so many spikes (the more spikes, the lower for a model
              that is wrong); nan for a silent cell. `distance` gives D itself.
    raises:   ShapeMismatch if time or cell differ; BadSetting for a negative rate;
              BadResponse for counts that are no whole numbers.
    source:   Brown et al. 2002, doi 10.1162/08997660252741149; drawn places after
              Haslinger, Pipa & Brown 2010, doi 10.1162/neco.2010.06-09-1015 (recalled),
              there for bins of at most one spike.

    >>> rng = np.random.default_rng(0)
    >>> rate = rng.gamma(1.0, 0.5, (500, 1))
    >>> response = rng.poisson(rate, (5, 500, 1))
    >>> [bool(time_rescaling(r, response) > 0) for r in (rate, rate + 1)]
    [True, False]
    """
    d, spikes = distance(rate, response)
    fired = spikes > 0
    return np.where(fired, 1 - d / band(np.where(fired, spikes, 1)), np.nan)


def distance(rate: ArrayLike, response: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Largest distance between the rescaled intervals' distribution and the uniform.

    rate, response: as `time_rescaling` takes them.
    returns: D (cell,), nan for a silent cell; and the number of intervals (cell,).

    >>> distance(np.ones((4, 1)), np.zeros((2, 4, 1)))[1].tolist()
    [0]
    """
    p, y = checked(rate, response, by_trial=True)
    check_positive(p)
    check_whole(y)
    every = np.broadcast_to(p, y.shape)
    cells = y.shape[2]
    found, spikes = np.full(cells, np.nan), np.zeros(cells, np.int64)
    for cell in range(cells):
        uniform = np.sort(rescaled(every[..., cell], y[..., cell]))
        spikes[cell] = n = len(uniform)
        if n:
            steps = np.arange(n + 1) / n
            found[cell] = max((steps[1:] - uniform).max(), (uniform - steps[:-1]).max())
    return found, spikes


def rescaled(rate: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """1 - exp(-expected count) of each interval: uniform in [0, 1] for the true rate.

    rate, counts: (trial, time) of one cell, counts whole.
    returns:      (spike,), in the order of time, trials end to end.

    >>> rescaled(np.ones((1, 3)), np.array([[0.0, 2.0, 1.0]])).shape
    (3,)
    """
    # Which trial came first means nothing, so it changes nothing.
    order = sorted(range(len(counts)), key=lambda trial: counts[trial].tobytes())
    expected, spikes = rate[order].ravel(), counts[order].ravel().astype(np.int64)
    at = np.repeat(np.arange(len(spikes)), spikes)
    place = chances(counts).random(len(at))
    clock = np.sort((np.cumsum(expected) - expected)[at] + expected[at] * place)
    return -np.expm1(-np.diff(clock, prepend=0.0))


def band(intervals: ArrayLike) -> np.ndarray:
    """The distance that so many uniform numbers exceed in 5 % of cases.

    source: Stephens 1970, doi 10.1111/j.2517-6161.1970.tb00821.x (recalled); about
            1.36 / sqrt(n).

    >>> float(band(100).round(4))
    0.134
    """
    root = np.sqrt(np.asarray(intervals, np.float64))
    return 1.358 / (root + 0.12 + 0.11 / root)
