"""A movie of still images, each shown with another of its points in mid-screen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.written import composed, digest
from retina.errors import BadCard, BadStimulus
from retina.movie import PIECE

_FAR = 1 << 20  # pixels from an image's corner that nobody looks at


def movie(
    images: np.ndarray,
    fixations: np.ndarray,
    screen: tuple[int, int],
    shrink: int,
    crop: list[int],
    where: str,
) -> np.ndarray:
    """The movie, averaged over squares of pixels, and of these a window.

    images:    (image, y, x).
    fixations: (frame, 3): image, counted from 1, and the (x, y) of it, from 0, that
               lies at pixel (screen height // 2, screen width // 2).
    screen:    (height, width) in pixels; it shows 0 where there is no image.
    shrink:    pixels a side that are averaged into one.
    crop:      [y, x, height, width] of the averaged pixels; [] for all.
    returns:   (frame, height, width) float32; a large one is mapped: see
               `retina.data.written`.
    raises:    BadCard for a shrink or crop that does not fit the screen; BadStimulus
               for a fixation of no image.

    >>> image = np.arange(16.0).reshape(1, 4, 4)
    >>> movie(image, np.array([[1, 2, 1]]), (4, 4), 2, [], "here")[0].tolist()
    [[0.25, 1.25], [6.5, 8.5]]
    """
    height, width = screen
    top, left, tall, wide = window(screen, shrink, crop, where)
    if not (np.isfinite(images).all() and np.isfinite(fixations).all()):
        raise BadStimulus(f"{where}: images or fixations hold NaN or infinity")
    if len(fixations) and np.abs(fixations).max() > _FAR:
        raise BadStimulus(
            f"{where}: a fixation is {np.abs(fixations).max():g}, which is no pixel of "
            "an image"
        )
    index = fixations[:, 0].astype(np.int64) - 1
    if len(index) and not 0 <= index.min() <= index.max() < len(images):
        raise BadStimulus(
            f"{where}: fixations name images {index.min() + 1} to {index.max() + 1}, "
            f"but there are {len(images)}"
        )
    y_edges = (top + np.arange(tall + 1)) * shrink - height // 2
    x_edges = (left + np.arange(wide + 1)) * shrink - width // 2
    each = max(1, PIECE // (tall * wide))

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, len(index), each):
            rows = slice(at, at + each)
            edges = y_edges, x_edges
            yield _shown(images, index[rows], fixations[rows, 1:], edges, shrink)

    key = ("fixations", 1, digest(images), digest(fixations), screen, shrink, crop)
    shape = (len(index), tall, wide)
    return composed(key, f"the movie of {where}", np.dtype("f4"), shape, pieces())


def window(
    screen: tuple[int, int], shrink: int, crop: list[int], where: str
) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is kept, in averaged pixels.

    raises: BadCard for a shrink or crop that does not fit the screen.
    """
    height, width = screen
    if shrink < 1 or height % shrink or width % shrink:
        raise BadCard(
            f"{where}: shrink = {shrink} does not divide the screen of {height} x "
            f"{width} pixels: take a number that does"
        )
    rows, columns = height // shrink, width // shrink
    if crop and not (
        len(crop) == 4
        and all(isinstance(n, int) and n >= 0 for n in crop)
        and 0 < crop[2] <= rows - crop[0]
        and 0 < crop[3] <= columns - crop[1]
    ):
        raise BadCard(
            f"{where}: crop = {crop} is no [y, x, height, width] within {rows} x "
            f"{columns}"
        )
    top, left, tall, wide = crop or (0, 0, rows, columns)
    return top, left, tall, wide


def _shown(
    images: np.ndarray,
    index: np.ndarray,
    middle: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    shrink: int,
) -> np.ndarray:
    """Some frames. index: of each one's image; middle: its (x, y)."""
    y_edges, x_edges = edges
    shown = np.empty((len(index), len(y_edges) - 1, len(x_edges) - 1), np.float32)
    for image in np.unique(index):
        # Sums over all pixels above and left: a mean of any square in four look-ups.
        sums = np.zeros(np.add(images.shape[1:], 1))
        sums[1:, 1:] = images[image].astype(np.float64).cumsum(0).cumsum(1)
        for frame in np.flatnonzero(index == image):
            x, y = middle[frame].astype(np.int64)
            at_y = np.clip(y_edges + y, 0, images.shape[1])
            at_x = np.clip(x_edges + x, 0, images.shape[2])
            corner = sums[at_y][:, at_x]
            shown[frame] = np.diff(np.diff(corner, axis=0), axis=1) / shrink**2
    return shown
