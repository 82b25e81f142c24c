"""Raised-cosine bases on a logarithmic axis of lags."""

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
