"""Starting values from training data: mean counts, spike-triggered averages."""

from __future__ import annotations

import numpy as np

from retina.movie import stretches
from retina.types import Clip, Spec

ENOUGH = 60_000  # bins


def mean_counts(clips: tuple[Clip, ...]) -> np.ndarray:
    """(cell,) mean count per bin, over the bins of every clip past its `skip`."""
    each = [
        clip.response[:, clip.skip :].sum((0, 1), dtype=np.float64) for clip in clips
    ]
    return np.sum(each, axis=0) / sum(clip.bins * len(clip.response) for clip in clips)


def spike_triggered_average(
    clips: tuple[Clip, ...], taps: int, spec: Spec
) -> np.ndarray:
    """Mean stimulus before an event, minus the mean stimulus.

    clips:   training clips; bins before a clip's `skip` trigger nothing. Clips beyond
             the first ENOUGH bins are left out, and what of a clip lies beyond as
             many: a start needs no more.
    taps:    lags, 0 = the frame on the screen during the bin; at most skip + 1 reach
             back before the clip and are dropped there.
    returns: (taps, cell, height, width) float32, in units of the stimulus s.d.
    """
    shape = (1,) * (2 - len(spec.frame)) + spec.frame
    pixels = int(np.prod(shape))
    sums = np.zeros((taps * spec.cells, pixels))
    events = np.zeros(spec.cells)
    used = 0
    for clip in clips:
        if used >= ENOUGH:
            break
        used += clip.bins
        last = clip.skip + ENOUGH
        counts = clip.response[:, :last].mean(0, dtype=np.float32)
        events += counts[clip.skip :].sum(0, dtype=np.float64)
        counts = counts - counts[clip.skip :].mean(0)
        counts[: clip.skip] = 0
        for rows, shown in stretches(clip.stimulus[:last]):
            stimulus = standard(shown, spec)
            # Row (lag, cell) holds the counts `lag` bins after each frame: one product.
            later = np.zeros((taps, spec.cells, len(stimulus)), np.float32)
            for lag in range(taps):
                heard = counts[rows.start + lag : rows.stop + lag]
                later[lag, :, : len(heard)] = heard.T
            sums += later.reshape(taps * spec.cells, -1) @ stimulus
    average = sums.reshape(taps, spec.cells, pixels)
    average = average / np.maximum(events, 1)[None, :, None]
    return average.reshape(taps, spec.cells, *shape).astype(np.float32)


def standard(stimulus: np.ndarray, spec: Spec) -> np.ndarray:
    """(time, pixel) float32, standardised as at the model's door."""
    flat = stimulus.reshape(len(stimulus), -1).astype(np.float32)
    flat -= np.float32(spec.stimulus_mean)
    flat *= np.float32(1 / spec.stimulus_sd)
    return flat


def field_centres(
    average: np.ndarray,
    image: tuple[int, int],
    grid: tuple[int, int],
    stride: int = 1,
) -> np.ndarray:
    """Where each cell's receptive field lies on the grid that valid kernels leave.

    average: (taps, cell, height, width), a spike-triggered average.
    grid:    (height', width') after the convolutions; its margins are equal.
    returns: (cell, 2) float, row and column on the grid, inside it.
    """
    from scipy.ndimage import gaussian_filter

    energy = np.square(average.astype(np.float64)).sum(0)
    smooth = gaussian_filter(energy, (0, 1.5, 1.5), mode="constant")
    peak = smooth.reshape(len(smooth), -1).argmax(1)
    place = np.stack(np.unravel_index(peak, image), 1).astype(np.float64)
    # Units of the grid stand `stride` pixels apart, centred on the image.
    middle = (np.array(image) - 1) / 2, (np.array(grid) - 1) / 2
    return np.clip((place - middle[0]) / stride + middle[1], 0, np.array(grid) - 1)


def time_courses(average: np.ndarray, count: int) -> np.ndarray:
    """The orthonormal time courses that hold most of the cells' receptive fields.

    average: (taps, cell, height, width), a spike-triggered average.
    count:   how many, fewer than `taps`.
    returns: (taps, count) float32, by singular values over the averages' strongest
             pixels (those above four times the noise, so that noise does not vote).
             Where cells and pixels are fewer than `count`, the last are any others.
    """
    taps, cells = average.shape[:2]
    flat = average.reshape(taps, cells, -1).astype(np.float64)
    noise = np.median(np.abs(flat), axis=(0, 2), keepdims=True) / 0.6745
    strong = np.abs(flat / np.maximum(noise, 1e-12)).max(0, keepdims=True) > 4
    voting = (flat / np.maximum(noise, 1e-12) * strong).reshape(taps, -1)
    voting = np.pad(voting, ((0, 0), (0, max(count - voting.shape[1], 0))))
    courses, _, _ = np.linalg.svd(voting, full_matrices=False)
    return courses[:, :count].astype(np.float32)
