"""Linear-nonlinear: one space-time filter per cell, then a nonlinearity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers import receptive_field as field
from retina.layers.basis import raised_cosines
from retina.layers.door import door, image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain
from retina.types import Clip, Spec

ENOUGH = 2000  # bins, to tell how large a drive is


def ln(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    rank: int | None = 2,
    basis: int | None = None,
    window: int = 13,
    output_kind: str = "softplus",
    smooth: float = 1e-4,
) -> Model:
    """Each cell's filter on its own window of the frame, then softplus, exp or spline.

    lags:        bins of stimulus the filter sees, the present one included.
    rank:        space-time filter as a sum of this many separable ones; None: full.
    basis:       raised cosines per temporal filter (separable only); None: 12 on an
                 image, every lag free where the frame is one pixel.
    window:      pixels on a side of the window, centred on the cell's receptive field.
    output_kind: softplus (with a gain), exp, or spline.
    smooth:      weight of the squared difference between neighbouring pixels.
    source:      Chichilnisky 2001, doi 10.1080/713663221.

    >>> ln(Spec((8, 8), 3, 0.01), lags=5).stage.lags
    4
    """
    at_least_zero(smooth=smooth)
    stages, warm = stimulus_filter(spec, lags, rank, basis, window, output_kind)
    last = output(output_kind, spec.cells)

    def warm_start(params, clips):
        params = params | warm(params, clips)
        counts = mean_counts(clips)
        params["output"] = output_from_mean(output_kind, params["output"], counts)
        return params

    return Model(
        "ln",
        spec,
        chain(*stages, last),
        warm_start=warm_start,
        penalty=lambda params: smooth * roughness(params),
        recipe=Recipe("lbfgs", max_steps=400),
        independent=True,
    )


def stimulus_filter(
    spec: Spec,
    lags: int,
    rank: int | None,
    basis: int | None,
    window: int,
    output_kind: str = "softplus",
) -> tuple[list[Stage], Callable[..., dict[str, Any]]]:
    """The stages from frame to one drive per cell, and their start from the STA."""
    at_least_one(lags=lags, rank=rank, basis=basis, window=window)
    image = image_shape(spec)
    cosines = courses_for(image, lags, basis)
    entry = door(spec)
    if rank is None:
        stages = [entry, field.space_time(image, spec.cells, lags, window)]
    else:
        # A space-time filter has no more ranks than pixels, nor than free courses.
        pixels = int(np.prod(field.window_size(image, window)))
        rank = min(rank, pixels, cosines)
        stages = [
            entry,
            field.spatial(image, spec.cells, rank, window),
            field.temporal(spec.cells, rank, lags, cosines),
        ]

    def warm(params, clips):
        average = spike_triggered_average(clips, lags, spec)
        corner = field.place(average, window)
        seen = field.cut_windows(average, corner, window)
        if output_kind == "exp":
            seen = seen * calm(seen, corner, clips, spec)
        if rank is None:
            filters = np.moveaxis(seen, 0, 1)
            return {
                "space_time": {
                    "filters": jnp.asarray(filters, jnp.float32),
                    "corner": jnp.asarray(corner),
                }
            }
        space, time = separate(seen, rank, cosines)
        return {
            "spatial": {"filters": jnp.asarray(space), "corner": jnp.asarray(corner)},
            "temporal": {"weights": jnp.asarray(time)},
        }

    return stages, warm


def calm(
    seen: np.ndarray, corner: np.ndarray, clips: tuple[Clip, ...], spec: Spec
) -> np.ndarray:
    """(1, cell, 1, 1) what brings the s.d. of each cell's drive down to 1, or 1.

    On a correlated stimulus an average counts each pixel again for its neighbours, and
    a start at e^20 counts per bin is far from everything. Outputs that rise along a
    line do not mind.

    seen:   (taps, cell, h, w) filters, lag 0 first.
    corner: (cell, 2), of their windows.
    """
    taps, cells, rows, columns = seen.shape
    clip = max(clips, key=lambda clip: len(clip.stimulus))
    frames = clip.stimulus[: ENOUGH + taps].astype(np.float32)
    frames = frames.reshape(len(frames), *image_shape(spec))
    frames = (frames - np.float32(spec.stimulus_mean)) / np.float32(spec.stimulus_sd)
    time = len(frames) - taps + 1
    factor = np.ones(cells, np.float32)
    for n, (row, column) in enumerate(corner):
        window = frames[:, row : row + rows, column : column + columns]
        each = window.reshape(len(frames), -1) @ seen[:, n].reshape(taps, -1).T
        drive = sum(each[taps - 1 - lag :][:time, lag] for lag in range(taps))
        factor[n] = 1 / max(float(np.std(drive)), 1.0)
    return factor[None, :, None, None]


def courses_for(image: tuple[int, int], lags: int, basis: int | None) -> int:
    """Raised cosines per filter: `basis`, or the default for frames of this shape."""
    if basis is None:
        return lags if image == (1, 1) else min(12, lags)
    return min(basis, lags)


def separate(seen: np.ndarray, rank: int, basis: int):
    """`separate_along` raised cosines, the same for every cell."""
    return separate_along(seen, rank, raised_cosines(len(seen), basis))


def separate_along(seen: np.ndarray, rank: int, courses: np.ndarray):
    """The best rank-k separable filters of an average, by singular values.

    seen:    (taps, cell, h, w).
    courses: (taps, basis), orthonormal columns.
    returns: (cell, rank, h, w) and weights (basis, cell, rank), of about equal size.
    """
    taps, cells, rows, columns = seen.shape
    basis = courses.astype(np.float64).T
    space = np.zeros((cells, rank, rows, columns), np.float32)
    time = np.zeros((len(basis), cells, rank), np.float32)
    for n in range(cells):
        projected = basis @ seen[:, n].reshape(taps, -1).astype(np.float64)
        u, size, v = np.linalg.svd(projected, full_matrices=False)
        for k in range(min(rank, len(size))):
            root = np.sqrt(max(size[k], 1e-6))
            time[:, n, k] = u[:, k] * root
            space[n, k] = (v[k] * root).reshape(rows, columns)
    return space, time


def roughness(params):
    """Mean squared difference of neighbouring pixels of every spatial filter."""
    part = params["spatial"] if "spatial" in params else params["space_time"]
    filters = part["filters"]
    total = jnp.float32(0)
    for axis in (-2, -1):
        if filters.shape[axis] > 1:
            total = total + jnp.mean(jnp.square(jnp.diff(filters, axis=axis)))
    return total
