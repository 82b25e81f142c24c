"""The noise ceiling from how well the means of two halves of the trials correlate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from retina.metrics.arrays import centred, checked
from retina.metrics.sums import correlation

OVER = "repeats"
# All splits of up to 8 trials (at most 105); a hundred of more trials.
ALL, DRAWN = 8, 100


def split_half(rate: ArrayLike, response: ArrayLike) -> np.ndarray:
    """Correlation that the true rate would reach with the mean over all trials.

    r, averaged over splits into two halves of m trials, gives the noise of one trial,
    and that the ceiling for all N: 1 / sqrt(1 + (m / N) (1 / r - 1)). Splits are all
    there are of up to 8 trials, else 100 drawn with a fixed seed.

    rate:     (time, cell); only its shape is looked at.
    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell,) float64 in (0, 1]; nan where the halves do not correlate
              positively, or never change. It agrees with cc_max, which needs no splits.
    raises:   ShapeMismatch if time or cell differ.
    source:   Hsu, Borst & Theunissen 2004, doi 10.1088/0954-898X_15_2_002 (recalled),
              for N = 2 m: sqrt(2 / (1 + 1 / r)); an odd trial out is our addition.

    >>> response = np.array([[[0], [2], [0], [2]], [[0], [2], [0], [2]]])
    >>> split_half(np.zeros((4, 1)), response).round(12).tolist()
    [1.0]
    """
    _, y = checked(rate, response)
    trials, half = len(y), len(y) // 2
    if not half:
        return np.full(y.shape[2], np.nan)
    total, count = np.zeros(y.shape[2]), np.zeros(y.shape[2])
    for one, other in _splits(trials, half):
        a, b = centred(y[one].mean(axis=0)), centred(y[other].mean(axis=0))
        size = (a**2).sum(axis=0) * (b**2).sum(axis=0)
        r = correlation((a * b).sum(axis=0), np.ones_like(size), size)
        total += np.where(np.isnan(r), 0.0, r)
        count += ~np.isnan(r)
    r = total / np.maximum(count, 1)
    defined = (count > 0) & (r > 0)
    noise = half / trials * (1 / np.where(defined, r, 1.0) - 1)
    return np.where(defined, 1 / np.sqrt(1 + noise), np.nan)


def _splits(trials: int, half: int) -> Iterator[tuple[list[int], list[int]]]:
    if trials > ALL:
        rng = np.random.default_rng(0)
        for _ in range(DRAWN):
            order = rng.permutation(trials).tolist()
            yield order[:half], order[half : 2 * half]
        return
    for used in itertools.combinations(range(trials), 2 * half):
        for others in itertools.combinations(used[1:], half - 1):
            one = [used[0], *others]  # the first is always here: each pair once
            yield one, [trial for trial in used if trial not in one]
