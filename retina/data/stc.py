"""Spike-triggered covariance: which stimulus directions change a cell's spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from retina.errors import BadSetting
from retina.types import Clip

LARGEST = 4000  # numbers of a stimulus history; its covariance takes their square


@dataclasses.dataclass(frozen=True)
class Covariance:
    """Eigenvalues of the change of covariance, largest first, and their directions.

    values:     (number,) in units of the stimulus's own variance: above 0 a direction
                is excitatory, below it suppressive.
    directions: (number, lag, *frame), of unit length.
    chance:     (low, high): what responses shifted against the stimulus reach, the
                most extreme of all shifts.
    """

    values: np.ndarray
    directions: np.ndarray
    chance: tuple[float, float]

    @property
    def significant(self) -> np.ndarray:
        """(number,) whether a value lies outside chance."""
        return (self.values < self.chance[0]) | (self.values > self.chance[1])


def stc(
    clips: Sequence[Clip],
    lags: int,
    cell: int,
    mean: float = 0.0,
    *,
    shifts: int = 20,
    seed: int = 0,
) -> Covariance:
    """Covariance of the stimulus before events, less that of the whole stimulus.

    The spike-triggered average is projected out first, where there is one. The stimulus
    should be white: correlations of its own turn the directions.

    clips:  on one clock; scored bins of the first trial are used.
    lags:   bins of history.
    mean:   of the stimulus, `Spec.stimulus_mean`.
    shifts: of the response against the stimulus, in a circle, for chance.
    raises: BadSetting for a history of more than 4,000 numbers, or too few events.
    source: Schwartz et al. 2006, doi 10.1167/6.4.13.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.standard_normal(20000).astype(np.float32)
    >>> heard = (np.abs(np.roll(shown, 2)) > 1.5).astype(np.float32)[None, :, None]
    >>> found = stc([Clip("a", shown, heard, skip=8)], 4, 0)
    >>> int(np.abs(found.directions[0]).argmax()), found.significant.tolist()
    (2, [True, False, False, False])
    """
    frame = clips[0].stimulus.shape[1:]
    numbers = lags * int(np.prod(frame))
    if numbers > LARGEST:
        raise BadSetting(
            f"stc of {lags} lags of frames {frame} has {numbers} numbers, at most "
            f"{LARGEST}: crop the frames around the cell's field, or give fewer lags"
        )
    seen, counts = [], []
    for clip in clips:
        time = len(clip.stimulus)
        start = max(clip.skip, lags - 1)
        flat = clip.stimulus.reshape(time, -1).astype(np.float32) - np.float32(mean)
        rows = [flat[start - lag : time - lag] for lag in range(lags)]
        seen.append(np.concatenate(rows, axis=1))
        counts.append(clip.response[0, start:, cell].astype(np.float64))
    x, y = np.concatenate(seen), np.concatenate(counts)
    if y.sum() <= numbers:
        raise BadSetting(
            f"stc of {numbers} numbers from {y.sum():.0f} events: more events than "
            "numbers are needed: fewer lags, or a smaller frame"
        )
    variance = float(x.var(dtype=np.float64))
    prior = x.T @ x / np.float32(len(x))
    values, vectors = _change(x, y, prior, variance)
    rng = np.random.default_rng(seed)
    far = max(lags, len(y) // 10)
    by = rng.integers(far, max(len(y) - far, far + 1), shifts)
    chance = [_change(x, np.roll(y, n), prior, variance)[0] for n in by]
    low = min((float(one[-1]) for one in chance), default=0.0)
    high = max((float(one[0]) for one in chance), default=0.0)
    return Covariance(values, vectors.reshape(-1, lags, *frame), (low, high))


def _change(
    x: np.ndarray, y: np.ndarray, prior: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    weights = (y / y.sum()).astype(np.float32)
    average = weights @ x
    length = float(np.linalg.norm(average))
    # What an average of as many events at random would be: no direction of the cell.
    chance = np.sqrt(variance * x.shape[1] / y.sum())
    known = length > 2 * chance
    along = average / np.float32(length) if known else np.zeros_like(average)
    change = ((x * weights[:, None]).T @ x - prior).astype(np.float64)
    out = np.eye(len(along)) - np.outer(along, along)
    values, vectors = np.linalg.eigh(out @ change @ out / variance)
    return values[::-1], vectors.T[::-1]
