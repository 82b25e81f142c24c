"""Cells with a known expected count, for tests of metrics and of their intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

CORRELATED_BINS = 2.0
SHARED = 0.36
PEAK = 0.66


class Cells(NamedTuple):
    """Gain and threshold of each cell, and how much a model knows of its drive."""

    gain: np.ndarray
    threshold: np.ndarray
    known: np.ndarray


def draw_cells(rng: np.random.Generator, cells: int, known: float = 0.8) -> Cells:
    return Cells(
        gain=np.clip(rng.normal(2.0, 0.6, cells), 0.5, None),
        threshold=rng.normal(1.0, 0.3, cells),
        known=np.clip(rng.normal(known, 0.08, cells), 0.4, 0.98),
    )


def _curve(drive: np.ndarray) -> np.ndarray:
    return PEAK * np.logaddexp(0, 2 * drive) / 2


def _noise(rng: np.random.Generator, bins: int, cells: int) -> np.ndarray:
    """Unit variance, correlated over about two bins, stationary."""
    keep, lead = np.exp(-1 / CORRELATED_BINS), 30
    white = rng.normal(size=(bins + lead, cells))
    return np.asarray(lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=0))[lead:]


def null_rate(cells: Cells) -> np.ndarray:
    """The exact mean count per bin: the drive is a standard Gaussian."""
    node, weight = np.polynomial.hermite_e.hermegauss(101)
    rate = _curve(cells.gain[:, None] * node - cells.threshold[:, None])
    return rate @ weight / weight.sum()


def clip(
    rng: np.random.Generator, cells: Cells, bins: int, trials: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A model's rate, the true rate, and Poisson counts (trial, time, cell).

    The cells share a third of their drive, as ganglion cells share a stimulus.
    """
    number = len(cells.gain)
    shared = _noise(rng, bins, 1)
    drive = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * _noise(rng, bins, number)
    wrong = _noise(rng, bins, number)
    guess = cells.known * drive + 0.4 * np.sqrt(1 - cells.known**2) * wrong
    true = _curve(cells.gain * drive - cells.threshold)
    model = _curve(cells.gain * guess - cells.threshold) + 0.003
    return model, true, rng.poisson(true, (trials, bins, number)).astype(np.float64)
