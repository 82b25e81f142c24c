"""Cells together: the noise they share, and how many of their predictions are new."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from retina.errors import BadSetting, ShapeMismatch
from retina.metrics.arrays import centred

TOLD = 0.95  # of a prediction's variance, by the others: then it is not new; chosen


def noise_correlations(response: ArrayLike) -> np.ndarray:
    """Correlation of each two cells' counts about their means over trials.

    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  (cell, cell) float64, 1 on the diagonal; nan where a cell's trials are all
              alike. By chance a pair comes to 1 / sqrt((trials - 1) time).
    raises:   ShapeMismatch for fewer axes or one trial.
    source:   definition; Averbeck, Latham & Pouget 2006, doi 10.1038/nrn1888.

    >>> rng = np.random.default_rng(0)
    >>> both = rng.poisson(1.0, (9, 200, 1))
    >>> counts = np.concatenate([both, both + 3, 9 - both], axis=2)
    >>> noise_correlations(counts)[0].round(6).tolist()
    [1.0, 1.0, -1.0]
    """
    y = np.asarray(response, np.float64)
    if y.ndim != 3 or len(y) < 2 or not y.size:
        raise ShapeMismatch(
            f"response {y.shape}: noise correlations take (trial, time, cell) with 2 "
            "trials or more of one stimulus"
        )
    noise = (y - y.mean(axis=0)).reshape(-1, y.shape[2])
    size = np.sqrt((noise**2).sum(axis=0))
    unit = noise / np.where(size > 0, size, np.nan)
    return unit.T @ unit


def effective_rank(rate: ArrayLike) -> float:
    """How many independent time courses the cells' predictions amount to.

    exp(entropy) of the eigenvalues of the cells' correlation matrix, each as a share of
    their sum: 1 where all predictions are alike, the number of cells where all differ.

    rate:    (time, cell), expected counts per bin. Constant cells are left out.
    returns: 0 where no cell changes.
    raises:  ShapeMismatch.
    source:  Roy & Vetterli 2007, "The effective rank", EUSIPCO, of the covariance.

    >>> time = np.arange(200.0)
    >>> one, other = np.sin(time), np.cos(time)
    >>> round(effective_rank(np.stack([one, other, 2 * one, 1 + other], 1)), 2)
    2.0
    """
    unit = _unit(rate)
    shares = np.linalg.svd(unit, compute_uv=False) ** 2 / max(unit.shape[1], 1)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def cells_needed(rate: ArrayLike, told: float = TOLD) -> int:
    """How few cells' predictions tell all the others', as a weighted sum.

    Cells are taken in turn, each the one that those before it tell least of.

    rate:    (time, cell), expected counts per bin. Constant cells need none.
    told:    share of each other prediction's variance, below 1.
    returns: the other cells are redundant.
    raises:  ShapeMismatch; BadSetting for a share that is not between 0 and 1.

    >>> rng = np.random.default_rng(0)
    >>> rate = rng.random((300, 3))
    >>> cells_needed(np.concatenate([rate, rate @ rng.random((3, 9))], axis=1))
    3
    """
    if not 0 < told < 1:
        raise BadSetting(f"told={told}: give a share between 0 and 1")
    left, number = _unit(rate), 0
    while left.size:
        untold = (left**2).sum(axis=0)
        most = int(untold.argmax())
        # Rounding is left of a prediction that is told wholly.
        if untold[most] <= max(1 - told, 1e-12):
            break
        course = left[:, most] / np.sqrt(untold[most])
        left = left - course[:, None] * (course @ left)
        number += 1
    return number


def _unit(rate: ArrayLike) -> np.ndarray:
    """Each changing cell about its mean, of length 1: (time, cell)."""
    p = np.asarray(rate, np.float64)
    if p.ndim != 2 or not p.size:
        raise ShapeMismatch(f"rate {p.shape}: give (time, cell)")
    p = centred(p[:, None])[:, 0]
    size = np.sqrt((p**2).sum(axis=0))
    return p[:, size > 0] / size[size > 0]
