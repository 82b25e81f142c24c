"""Scores on longer bins than a model's own: counts and rates of neighbours added up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.errors import BadSetting
from retina.metrics.arrays import Pair

# Of the length asked for: 0.033 s means two bins of 1/60 s.
NEAR = 0.02


def bins_in(bin_s: float | None, own_s: float) -> int:
    """How many bins of a model's own clock make one of those asked for; None: 1.

    raises: BadSetting for a length that is no multiple.

    >>> bins_in(0.1, 1 / 30), bins_in(None, 0.01)
    (3, 1)
    """
    if bin_s is None:
        return 1
    near = max(round(bin_s / own_s), 1) if bin_s > 0 else 1
    if not abs(near * own_s - bin_s) <= NEAR * near * own_s:
        raise BadSetting(
            f"bins of {bin_s:g} s are no multiple of the run's own {own_s:.6g} s: give "
            f"{near * own_s:.6g}, or another multiple"
        )
    return near


def rebinned(pairs: Sequence[Pair], bins: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rates and responses of each clip in bins that are `bins` times as long.

    pairs:   (rate ([trial,] time, cell), response (trial, time, cell)).
    returns: the same on fewer bins; what is left at a clip's end is dropped, and a clip
             shorter than one bin with it.
    raises:  BadSetting where no clip holds a bin.

    >>> rate = np.arange(5.0)[:, None]
    >>> rebinned([(rate, rate[None])], 2)[0][0].ravel().tolist()
    [1.0, 5.0]
    """

    def added(x: np.ndarray) -> np.ndarray:
        whole = x.shape[-2] // bins
        cut = x[..., : whole * bins, :]
        return cut.reshape(*x.shape[:-2], whole, bins, x.shape[-1]).sum(axis=-2)

    if bins == 1:
        return [(np.asarray(p), np.asarray(y)) for p, y in pairs]
    wide = [(np.asarray(p, np.float64), np.asarray(y, np.float64)) for p, y in pairs]
    made = [(added(p), added(y)) for p, y in wide if y.shape[1] >= bins]
    if not made:
        raise BadSetting(
            f"no test clip is as long as one bin of {bins} of the run's own: ask for "
            "shorter bins"
        )
    return made
