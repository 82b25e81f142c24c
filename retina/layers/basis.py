"""Bases of temporal filters: raised cosines on a log axis; sines and cosines."""

from __future__ import annotations

import numpy as np


def raised_cosines(taps: int, count: int, *, stretch: float = 5.0) -> np.ndarray:
    """Overlapping bumps that widen with the lag, orthonormalised.

    taps:    lags covered, 0 first.
    count:   number of bumps; `taps` or more gives the identity.
    stretch: lags up to about this many are resolved finely.
    returns: (taps, count) float32 with orthonormal columns.
    source:  Pillow et al. 2008, doi 10.1038/nature07140 (shape of the bumps).

    >>> raised_cosines(30, 6).shape
    (30, 6)
    """
    if count >= taps:
        return np.eye(taps, dtype=np.float32)
    axis = np.log(np.arange(taps) + stretch)
    centres = np.linspace(axis[0], axis[-1], count)
    width = centres[1] - centres[0] if count > 1 else axis[-1] - axis[0] + 1
    phase = np.clip(
        (axis[:, None] - centres[None]) * np.pi / (2 * width), -np.pi, np.pi
    )
    bumps = (np.cos(phase) + 1) / 2
    orthonormal, upper = np.linalg.qr(bumps)
    return (orthonormal * np.sign(np.diag(upper))).astype(np.float32)


def lag_axis(taps: int, count: int) -> str:
    """What the weights of `raised_cosines` run along; see `Parameter.axes`.

    >>> lag_axis(30, 6), lag_axis(30, 30)
    ('course', 'time')
    """
    return "course" if count < taps else "time"


def sines_and_cosines(taps: int) -> np.ndarray:
    """The slowest third of the window's frequencies, faded out at the oldest lags.

    taps:    lags covered, 0 first.
    returns: (taps, 2 * (taps // 3)) float32, sines of 1, 2, ... periods per window,
             then cosines of 0, 1, ... periods; a constant alone below 3 taps.
    source:  Höfling et al. 2024, doi 10.7554/eLife.86860, as in open-retina, whose
             sines begin at 0 periods: that one is zero at every lag.

    >>> sines_and_cosines(21).shape
    (21, 14)
    """
    count = taps // 3
    time = -1.0 - np.arange(taps)
    fade = 1 / (1 + np.exp(-time - int(0.95 * taps)))
    phase = 2 * np.pi / taps * time[:, None]
    sines = np.sin(phase * np.arange(1, count + 1))
    cosines = np.cos(phase * np.arange(max(count, 1)))
    return (fade[:, None] * np.concatenate([sines, cosines], 1)).astype(np.float32)
