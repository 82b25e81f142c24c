"""Whether test stimulus was also shown where models are fitted or chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.types import Clip

# Full-field stretches are compared by correlation: the same movie may be sampled
# a little differently. Flicker of 50 independent values reaches 0.85 by chance once in
# 1e14 tries; a shorter stretch says nothing.
_RUN, _SHORTEST, _ALIKE = 500, 50, 0.85
# Images are compared exactly: this many in a row do not come twice by chance.
_IMAGES = 5


def leak(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    """A sentence about the first stretch found in both, "" where there is none.

    test, fitted: clips on one clock; only scored bins count.

    >>> x = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    >>> response = np.zeros((1, 1000, 1), np.float32)
    >>> clips = [Clip(str(i), x[i : i + 1000], response) for i in (0, 1000, 1400)]
    >>> leak(clips[:1], clips[1:2])
    ''
    >>> leak(clips[1:2], clips[2:])
    "bins 500-999 of '1000' are bins 100-599 of '1400'"
    """
    images = int(np.prod(test[0].stimulus.shape[1:])) > 1 if test else False
    return (_same_images if images else _alike)(test, fitted)


def _alike(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    from scipy.signal import correlate

    for clip in test:
        shown = _scored(clip)
        size = min(_RUN, len(shown))
        if size < _SHORTEST:
            continue
        for start in range(0, len(shown) - size + 1, size):
            run = shown[start : start + size]
            if run.std() < 1e-6 * max(abs(run.mean()), 1e-6):
                continue  # grey is no test of anything
            unit = (run - run.mean()) / (run.std() * size)
            for other in fitted:
                past = _scored(other)
                if len(past) < size:
                    continue
                along = correlate(past, unit, "valid", "fft") / _moving_sd(past, size)
                if along.max() > _ALIKE:
                    at = int(along.argmax())
                    return _said(clip, start, other, at, size)
    return ""


def _moving_sd(past: np.ndarray, size: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(past)])
    squares = np.concatenate([[0.0], np.cumsum(past**2)])
    mean = (sums[size:] - sums[:-size]) / size
    variance = (squares[size:] - squares[:-size]) / size - mean**2
    return np.sqrt(np.maximum(variance, 1e-6 * max(float(past.var()), 1e-12)))


def _same_images(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    seen = {run: (clip, at) for clip in fitted for at, run in enumerate(_runs(clip))}
    for clip in test:
        for at, run in enumerate(_runs(clip)):
            if run in seen:
                return _said(clip, at, *seen[run], _IMAGES)
    return ""


def _runs(clip: Clip) -> list[tuple[int, ...]]:
    names = [hash(image.tobytes()) for image in clip.stimulus[clip.skip :]]
    return [tuple(names[i : i + _IMAGES]) for i in range(len(names) - _IMAGES + 1)]


def _scored(clip: Clip) -> np.ndarray:
    return clip.stimulus[clip.skip :].reshape(-1).astype(np.float64)


def _said(clip: Clip, start: int, other: Clip, at: int, size: int) -> str:
    start, at = start + clip.skip, at + other.skip
    return (
        f"bins {start}-{start + size - 1} of {clip.name!r} are bins {at}-"
        f"{at + size - 1} of {other.name!r}"
    )
