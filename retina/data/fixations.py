"""A movie of still images, each shown with another of its points in mid-screen."""

from __future__ import annotations

import numpy as np

from retina.errors import BadCard, BadStimulus

_MOST = 1 << 33  # bytes of a movie that is still tried
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
    returns:   (frame, height, width) float32.
    raises:    BadCard for a shrink or crop that does not fit the screen; BadStimulus
               for a fixation of no image.

    >>> image = np.arange(16.0).reshape(1, 4, 4)
    >>> movie(image, np.array([[1, 2, 1]]), (4, 4), 2, [], "here")[0].tolist()
    [[0.25, 1.25], [6.5, 8.5]]
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
    if len(index) * tall * wide * 4 > _MOST:
        raise BadCard(
            f"{where}: {len(index)} frames of {tall} x {wide} are more than "
            f"{_MOST >> 30} GB: take a larger shrink, a crop, or fewer blocks"
        )
    shown = np.empty((len(index), tall, wide), np.float32)
    y_edges = (top + np.arange(tall + 1)) * shrink - height // 2
    x_edges = (left + np.arange(wide + 1)) * shrink - width // 2
    for image in np.unique(index):
        # Sums over all pixels above and left: a mean of any square in four look-ups.
        sums = np.zeros(np.add(images.shape[1:], 1))
        sums[1:, 1:] = images[image].astype(np.float64).cumsum(0).cumsum(1)
        for frame in np.flatnonzero(index == image):
            x, y = fixations[frame, 1:].astype(np.int64)
            at_y = np.clip(y_edges + y, 0, images.shape[1])
            at_x = np.clip(x_edges + x, 0, images.shape[2])
            corner = sums[at_y][:, at_x]
            shown[frame] = np.diff(np.diff(corner, axis=0), axis=1) / shrink**2
    return shown
