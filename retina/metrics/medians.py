"""How sure the median over cells is, from draws of each cell's value."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

# The median of all samples of fewer cells cannot reach 95 % (1 - 2 / 2**5 = 93.75 %).
CROSSED = 6


def middle(values: np.ndarray) -> np.ndarray:
    """Median over the last axis of what is not nan; nan where nothing is left.

    >>> middle(np.array([[3.0, np.nan, 1.0], [np.nan, -np.inf, 2.0]])).tolist()
    [2.0, -inf]
    """
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, axis=-1)  # nan last
    count = np.sum(~np.isnan(values), axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), -1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(ordered.T) - 1), -1)
    return np.where(count > 0, (low + high) / 2, np.nan)[..., 0]


def spread_of_median(
    observed: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
    blocks: int,
    cross_cells: bool | None = None,
) -> tuple[np.ndarray, int]:
    """Draws of the median over cells, and of how many samples they tell.

    Cells drawn with replacement already show in their spread whatever noise each has of
    its own; drawing time for them as well would count that noise three times. So a draw
    is the median of drawn cells plus the part of the time noise that cells share: the
    deviation of the draw's median, scaled so that its variance loses what remains when
    each cell gets its own draw of time.

    observed:    (cell,), defined ones only.
    values:      (draw, cell), each draw from the same blocks for all cells.
    cross_cells: by default where there are at least 6; else the cells are held fixed.
    returns:     (draw,) medians; the smaller of blocks and cells, or blocks.
    source:      the overcount: Owen 2007, doi 10.1214/07-AOAS122. The remedy: chosen.

    >>> rng = np.random.default_rng(0)
    >>> cells = rng.normal(size=40)
    >>> values = cells + rng.normal(size=(1000, 40))
    >>> spread_of_median(cells, values, rng, blocks=100)[1]
    40
    """
    draws, cells = values.shape
    together = middle(values)
    if cross_cells is None:
        cross_cells = cells >= CROSSED
    if not cross_cells or not cells:
        return together, blocks
    drawn = middle(observed[rng.integers(0, cells, size=(draws, cells))])
    apart = middle(rng.permuted(values, axis=0))
    finite = np.isfinite(together) & np.isfinite(apart)
    centre = middle(observed)
    if not finite.any() or not np.isfinite(centre):
        return drawn, min(blocks, cells)
    whole, own = np.var(together[finite]), np.var(apart[finite])
    if whole <= own:
        return drawn, min(blocks, cells)
    shared = np.sqrt(1 - own / whole)
    return drawn + shared * (together - centre), min(blocks, cells)


def percentiles(medians: np.ndarray, samples: int) -> tuple[float, float]:
    """The central 95 % of the draws, widened as a t interval is for few samples.

    medians: (draw,); nan ones are left out.
    samples: blocks, or cells where those are fewer and were drawn.
    returns: low and high, themselves draws (no interpolation); nan below 2 samples.
    source:  Hesterberg 2015, doi 10.1080/00031305.2015.1089789.

    >>> percentiles(np.arange(1000.0), samples=10**6)
    (24.0, 975.0)
    """
    ordered = np.sort(medians[~np.isnan(medians)])
    if samples < 2 or not len(ordered):
        return (np.nan, np.nan)
    reach = np.sqrt(samples / (samples - 1)) * stdtrit(samples - 1, 0.975)
    last = len(ordered) - 1
    low = int(np.floor(ndtr(-reach) * last))
    return float(ordered[low]), float(ordered[last - low])


def p_value(medians: np.ndarray, samples: int) -> float:
    """Two-sided p of a median of 0, the level at which `percentiles` would touch 0.

    medians, samples: as `percentiles` takes them.
    returns:          at most 1 and never 0: the data count as one draw more.

    >>> p_value(np.linspace(-25, 975, 1001), samples=10**6) < 0.06
    True
    """
    known = medians[~np.isnan(medians)]
    if samples < 2 or not len(known):
        return np.nan
    beyond = min(np.sum(known <= 0), np.sum(known >= 0)) + 1
    reach = ndtri(min(0.5, beyond / (len(known) + 1))) / np.sqrt(
        samples / (samples - 1)
    )
    return float(2 * stdtr(samples - 1, reach))
