"""At every metric's door: float64, the right shapes, no impossible value."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from retina.errors import BadResponse, BadSetting, Diverged, ShapeMismatch

Pair = tuple[ArrayLike, ArrayLike]

# Relative size under which a modulation is rounding: models predict in float32.
FLAT = 1e-6


def checked(
    rate: ArrayLike, response: ArrayLike, *, by_trial: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A rate and a response as float64 arrays that fit together.

    rate:     (time, cell), expected counts per bin; with `by_trial` it may also be
              (trial, time, cell), where each trial's own past changes its rate.
    response: (trial, time, cell), counts per bin.
    returns:  both, float64.
    raises:   ShapeMismatch naming both shapes; BadResponse for NaN or negative counts;
              Diverged for a rate that is not finite.

    >>> checked([[1], [2]], [[[0], [1]]])[1].shape
    (1, 2, 1)
    """
    p, y = np.asarray(rate, np.float64), np.asarray(response, np.float64)
    fits = p.shape == y.shape[1:] or (by_trial and p.shape == y.shape)
    if y.ndim != 3 or not fits or not y.size:
        raise ShapeMismatch(
            f"rate {p.shape} and response {y.shape} do not fit: a metric takes "
            "rate (time, cell) and response (trial, time, cell), none of them empty"
        )
    if not np.isfinite(y).all() or (y < 0).any():
        trial, time, cell = np.argwhere(~(np.isfinite(y) & (y >= 0)))[0]
        raise BadResponse(
            f"response is {y[trial, time, cell]} at trial {trial}, bin {time}, cell "
            f"{cell}; counts must be finite and 0 or more"
        )
    if not np.isfinite(p).all():
        *trial, time, cell = np.argwhere(~np.isfinite(p))[0]
        raise Diverged(
            f"rate is {p[(*trial, time, cell)]} at bin {time}, cell {cell}; a metric "
            "needs finite expected counts: fit again with a lower learning rate"
        )
    return p, y


def joined(pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Clips laid end to end in time, and the number of bins of each.

    pairs:   (rate, response) of each clip; trials and cells agree, lengths may differ.
    returns: rate ([trial,] time, cell), response (trial, time, cell), bins per clip.
    raises:  ShapeMismatch naming the two that differ.

    >>> import numpy as np
    >>> joined([(np.ones((n, 2)), np.ones((1, n, 2))) for n in (3, 5)])[2]
    [3, 5]
    """
    if not pairs:
        raise ShapeMismatch("no clip to score: give at least one (rate, response) pair")
    clips = [checked(rate, response, by_trial=True) for rate, response in pairs]
    first = clips[0][1].shape
    for number, (_, y) in enumerate(clips):
        if (y.shape[0], y.shape[2]) != (first[0], first[2]):
            raise ShapeMismatch(
                f"clip 0 has response {first} and clip {number} {y.shape}: clips "
                "scored together need the same trials and the same cells"
            )
    rate = np.concatenate([p for p, _ in clips], axis=-2)
    response = np.concatenate([y for _, y in clips], axis=1)
    return rate, response, [y.shape[1] for _, y in clips]


def poisson_rates(rate: np.ndarray, null_rate: ArrayLike | None) -> np.ndarray:
    """The null as one float64 per cell, nan where it is 0, for a Poisson likelihood.

    rate:      ([trial,] time, cell), checked here to be 0 or more.
    null_rate: (cell,), mean counts per bin of the training data.
    returns:   (cell,).
    raises:    BadSetting for a negative rate or a missing null; ShapeMismatch.

    >>> poisson_rates(np.ones((4, 2)), [0.5, 0.0]).tolist()
    [0.5, nan]
    """
    check_positive(rate)
    if null_rate is None:
        raise BadSetting(
            "no null_rate: pass null_rate=fit.null_rate, the training mean of each "
            "cell in counts per bin"
        )
    null = np.asarray(null_rate, np.float64)
    if null.shape != rate.shape[-1:]:
        raise ShapeMismatch(
            f"null_rate {null.shape} and rate {rate.shape} do not fit: the null is "
            f"one number per cell, {rate.shape[-1:]}"
        )
    if not (np.isfinite(null) & (null >= 0)).all():
        raise BadSetting(f"null_rate {null} must be finite and 0 or more")
    return np.where(null > 0, null, np.nan)


def check_positive(rate: np.ndarray) -> None:
    """raises: BadSetting for a rate, ([trial,] time, cell), below 0 anywhere."""
    if (rate < 0).any():
        *trial, time, cell = np.argwhere(rate < 0)[0]
        raise BadSetting(
            f"rate is {rate[(*trial, time, cell)]:.3g} at bin {time}, cell {cell}; a "
            "likelihood needs expected counts of 0 or more: give the model a positive "
            "output"
        )


def check_whole(response: np.ndarray) -> None:
    """raises: BadResponse for counts, (trial, time, cell), that are not whole."""
    broken = response != np.rint(response)
    if broken.any():
        trial, time, cell = np.argwhere(broken)[0]
        raise BadResponse(
            f"response is {response[trial, time, cell]:.3g} at trial {trial}, bin "
            f"{time}, cell {cell}: this metric is of spikes, and a mean over trials or "
            "a graded response has none. Ask for cc_norm, feve or pearson"
        )


def chances(counts: np.ndarray) -> np.random.Generator:
    """A cell's own random numbers: the same for every model and order of trials.

    counts: (trial, time) of one cell. Cells differ, so that their luck averages out.

    >>> one, other = chances(np.eye(2)), chances(np.eye(2)[::-1])
    >>> bool(one.random() == other.random())
    True
    """
    return np.random.default_rng(zlib.crc32(counts.sum(axis=0).tobytes()))


def centred(x: np.ndarray) -> np.ndarray:
    """Minus each cell's mean over all other axes; exactly 0 where a cell is flat.

    x: (..., cell). Sums of squares of the result do not cancel; constants leave no
    rounding that a correlation could mistake for a signal.

    >>> centred(np.array([[0.1], [0.1], [0.1]])).ravel().tolist()
    [0.0, 0.0, 0.0]
    """
    axes = tuple(range(x.ndim - 1))
    flat = np.ptp(x, axis=axes) <= FLAT * np.abs(x).max(axis=axes)
    return np.where(flat, 0.0, x - x.mean(axis=axes))
