"""Spike-triggered average: the mean stimulus before an event, per cell and lag."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.movie import PIECE, release, rows_of
from retina.types import Clip


def sta(clips: Sequence[Clip], lags: range, mean: float = 0.0) -> np.ndarray:
    """Mean stimulus at each lag before the counted events, less `mean`.

    clips:   on one clock; only events in scored bins are used, and only where the
             stimulus at every lag lies in the same clip.
    lags:    bins into the past; 0 is the frame on the screen during the bin, and
             negative lags, into the future, show what chance gives.
    mean:    of the stimulus, `Spec.stimulus_mean`: 0 where it is contrast by design.
    returns: (lag, cell, *frame) float64; nan for a cell without events.

    >>> stimulus = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    >>> response = (np.roll(stimulus, 3) > 1).astype(np.float32)[None, :, None]
    >>> clip = Clip("a", stimulus, response, skip=10)
    >>> int(np.abs(sta([clip], range(-2, 8))[:, 0]).argmax()) - 2
    3
    """
    frame = clips[0].stimulus.shape[1:]
    cells = clips[0].response.shape[-1]
    total = np.zeros((len(lags), cells, int(np.prod(frame))))
    events = np.zeros(cells)
    for clip in clips:
        time = len(clip.stimulus)
        start, stop = max(clip.skip, *lags), time + min(0, *lags)
        if start >= stop:
            continue
        counts = clip.response[:, start:stop].sum(0).T
        most = rows_of(clip.stimulus, PIECE)
        for begin in range(start, stop, most):
            end = min(begin + most, stop)
            first, last = begin - max(lags), end - min(lags)
            shown = clip.stimulus[first:last].reshape(last - first, -1)
            shown = shown.astype(np.float32)
            now = counts[:, begin - start : end - start]
            for i, lag in enumerate(lags):
                at = begin - lag - first
                total[i] += now @ shown[at : at + end - begin]
            release(clip.stimulus)
        events += counts.sum(1)
    with np.errstate(invalid="ignore"):
        average = total / events[:, None] - mean
    return average.reshape(len(lags), cells, *frame)


def peaks(average: np.ndarray, lags: range) -> tuple[np.ndarray, np.ndarray]:
    """Lag and sign of the largest deviation of each cell.

    average: (lag, cell, *frame) from `sta`.
    returns: (cell,) lags and (cell,) signs, -1 or 1.
    """
    flat = average.swapaxes(0, 1).reshape(average.shape[1], -1)
    at = np.abs(np.nan_to_num(flat)).argmax(1)
    signs = np.sign(np.take_along_axis(flat, at[:, None], 1)[:, 0])
    pixels = flat.shape[1] // len(lags)
    return np.asarray(lags)[at // pixels], signs
