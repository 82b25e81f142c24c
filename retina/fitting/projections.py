"""Separable filters from spike-triggered statistics, and what they see in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.fitting.start import spike_triggered_average, standard
from retina.layers import receptive_field as field
from retina.layers.door import image_shape
from retina.movie import stretches
from retina.stage import Stage, Tree
from retina.types import Clip, Spec


def separable_filters(
    clips: tuple[Clip, ...], spec: Spec, taps: int, count: int, window: int
) -> Tree:
    """Params of the stage `projections`, from training clips.

    The spatial filter and the first course are the best separable form of the
    spike-triggered average; the other courses are those, orthogonal to the first, along
    which the variance of what the spatial filter sees differs most before a spike.

    source: Schwartz et al. 2006, doi 10.1167/6.4.13 (spike-triggered covariance).
    """
    average = spike_triggered_average(clips, taps, spec)
    corner = field.place(average, window)
    seen = field.cut_windows(average, corner, window)
    rows, columns = seen.shape[2:]
    space = np.zeros((spec.cells, rows, columns), np.float32)
    courses = np.zeros((taps, spec.cells, count), np.float32)
    for n in range(spec.cells):
        u, _, v = np.linalg.svd(seen[:, n].reshape(taps, -1), full_matrices=False)
        space[n] = v[0].reshape(rows, columns)
        courses[:, n, 0] = u[:, 0]
    if count > 1:
        change = _covariance_change(clips, spec, space, corner, taps)
        for n in range(spec.cells):
            first = courses[:, n, 0].astype(np.float64)
            rest = np.eye(taps) - np.outer(first, first)
            size, vectors = np.linalg.eigh(rest @ change[n] @ rest)
            best = np.argsort(-np.abs(size))[: count - 1]
            courses[:, n, 1:] = vectors[:, best]
    return {
        "spatial": {
            "filters": jnp.asarray(space[:, None]),
            "corner": jnp.asarray(corner),
        },
        "courses": {"courses": jnp.asarray(courses)},
    }


def _covariance_change(
    clips: tuple[Clip, ...],
    spec: Spec,
    space: np.ndarray,
    corner: np.ndarray,
    taps: int,
) -> np.ndarray:
    """(cell, taps, taps), lag 0 first: second moments before a spike less those always.

    Of what each cell's spatial filter sees; in bins with a full history alone.
    """
    cells, rows, columns = space.shape
    laid = np.zeros((cells, *image_shape(spec)), np.float32)
    for n, (r, c) in enumerate(corner):
        laid[n, r : r + rows, c : c + columns] = space[n]
    before, always = np.zeros((2, cells, taps, taps))
    spikes, bins = np.zeros(cells), 0
    for clip in clips:
        flat = laid.reshape(cells, -1).T
        shown = stretches(clip.stimulus)
        signal = np.concatenate([standard(some, spec) @ flat for _, some in shown])
        begin = max(clip.skip, taps - 1)
        counts = clip.response[:, begin:].mean(0, dtype=np.float64)
        for n in range(cells):
            past = np.stack(
                [signal[begin - lag : len(signal) - lag, n] for lag in range(taps)], 1
            ).astype(np.float64)
            before[n] += (past.T * counts[:, n]) @ past
            always[n] += past.T @ past
        spikes += counts.sum(0)
        bins += len(counts)
    spikes = np.maximum(spikes, 1)[:, None, None]
    return before / spikes - always / max(bins, 1)


def examples(
    front: Stage, params: Tree, clips: tuple[Clip, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the last stages of a model get to see in training, and what the cells said.

    front:   from the stimulus to those stages; params: its own.
    returns: (bin, *seen) float32, (bin, cell) float64 mean counts over trials, and
             (bin,) trials that they are the mean of.
    """
    apply = jax.jit(lambda state, x: front.apply(params, state, x))
    seen, said, trials = [], [], []
    for clip in clips:
        state, parts = front.start(params), []
        for _, shown in stretches(clip.stimulus):
            state, part = apply(state, jnp.asarray(shown))
            parts.append(np.asarray(part))
        seen.append(np.concatenate(parts)[clip.skip :])
        said.append(clip.response[:, clip.skip :].mean(0, dtype=np.float64))
        trials.append(np.full(len(said[-1]), float(len(clip.response))))
    return np.concatenate(seen), np.concatenate(said), np.concatenate(trials)
