"""Receptive-field cropping: no work on pixels that no cell listens to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.costs.flops import trace_step
from retina.costs.program import Program
from retina.errors import BadSetting
from retina.layers.door import image_shape
from retina.layers.receptive_field import place, window_size
from retina.reduction.cutting import fitting, rebuilt
from retina.stage import Model, Tree
from retina.types import Fit, Split

WINDOWS = ("space_time", "spatial", "views")  # parts that look through a window
COURSES = ("temporal", "recursive")  # parts that filter what `spatial` gives


def crop(
    fit: Fit, split: Split, key: jax.Array, /, *, energy: float = 0.95
) -> tuple[Model, Tree]:
    """A smaller window for each cell, or a smaller frame for a core that all share.

    energy:  share of the squared weights that every cell keeps: of its filter, or of
             its readout over the map.
    returns: a model with a `window` as that model with a smaller one, each cell's where
             its filter is strongest. A convolutional model with a mask, or free
             weights, over places as the model `cropped`: the map, and with it the
             frame, lose the rows and columns at their edges that no cell needs.
    raises:  BadSetting for another model, a share outside 0 to 1, or a convolution
             padded with zeros: its map would hear another edge.
    lowers:  flops_per_bin
    """
    if not 0 < energy < 1:
        raise BadSetting(f"energy {energy:g}: between 0 and 1")
    if "of" in dict(fit.model.settings):  # its stride, or window, is the inner model's
        raise BadSetting(
            f"crop: the run is {fit.model.name} already; crop its parent, then reduce "
            "that again"
        )
    names = [name for name in WINDOWS if name in fit.params and fit.params[name]]
    if names and "window" in dict(fit.model.settings):
        small, params = _windows(fit.model, fit.params, names[0], energy)
    else:
        small, params = _frame(fit.model, fit.params, energy)
    return fitting(small, params, "crop")


def _windows(
    model: Model, params: Tree, part: str, energy: float
) -> tuple[Model, Tree]:
    own = params[part]
    filters = np.asarray(own["filters"])  # (cell, rank or lag, height, width)
    weight = _in_time(params, part)  # (cell, rank or lag)
    held = np.einsum("nk,nkhw->nhw", weight, np.square(filters, dtype=np.float64))
    wanted = energy * held.sum((1, 2))
    whole = filters.shape[2:]
    window, corner, cut = max(whole), np.zeros((len(filters), 2), np.int32), filters
    for smaller in range(1, window):
        places = place(np.sqrt(held)[None], smaller)
        size = window_size(whole, smaller)
        inside = _windowed(held[:, None], places, *size)
        if np.all(inside.sum((1, 2, 3)) >= wanted):
            window, corner = smaller, places
            cut = _windowed(filters, places, *size)
            break
    moved = np.asarray(own["corner"]) + corner
    # The filters of `views` are scaled by one over the root of their pixels.
    fewer = np.sqrt(np.prod(cut.shape[2:]) / np.prod(whole))
    scaled = fewer if part == "views" else 1.0
    new = {
        "filters": jnp.asarray(cut * np.float32(scaled)),
        "corner": jnp.asarray(moved, jnp.int32),
    }
    return rebuilt(model, window=window), params | {part: own | new}


def _in_time(params: Tree, part: str) -> np.ndarray:
    """(cell, rank or lag) squared norm of the time course that each filter has.

    Filters of one lag, and views, which a network goes on with, count alike.
    """
    for name in COURSES:
        if part == "spatial" and name in params:
            # Of courses that are orthonormal.
            return np.square(params[name]["weights"], dtype=np.float64).sum(0)
    return np.ones(params[part]["filters"].shape[:2])


def _windowed(filters, corner, rows: int, columns: int) -> np.ndarray:
    return np.stack(
        [
            one[:, r : r + rows, c : c + columns]
            for one, (r, c) in zip(filters, corner, strict=True)
        ]
    )


def _frame(model: Model, params: Tree, energy: float) -> tuple[Model, Tree]:
    settings = dict(model.settings)
    weights = _over_places(model, params)
    if _padded(trace_step(model, params).program):
        raise BadSetting(
            f"crop: {model.name} pads its map with zeros, and a smaller one would hear "
            "its new edge; start from a model without, such as cnn"
        )
    held = np.square(weights).sum(-1)  # (cell, row, column)
    top, left, rows, columns = kept = _box(held, energy)
    stride = settings.get("stride", 1)
    image = image_shape(model.spec)
    grid = held.shape[1:]
    box = (
        top * stride,
        left * stride,
        _side(image[0], grid[0], rows, stride),
        _side(image[1], grid[1], columns, stride),
    )
    small = build.model(
        "cropped", model.spec, of=model.name, settings=model.settings, box=box
    )
    wanted = jax.eval_shape(small.stage.init, jax.random.key(0))
    cut = jax.tree.map(
        lambda value, new: _cropped(value, new.shape, grid, kept),
        {"crop": {}} | params,
        wanted,
    )
    return small, cut


def _padded(program: Program) -> bool:
    """Whether a convolution of a step meets zeros around its map."""
    return any(
        any(_padded(body) for body in op.bodies)
        or (
            op.name == "conv_general_dilated"
            and any(side > 0 for edge in op.params["padding"] for side in edge)
        )
        for op in program.ops
    )


def _over_places(model: Model, params: Tree) -> np.ndarray:
    """(cell, row, column, feature) float64: what each cell reads of the last map."""
    about = {part.name: part.about for _, part in model.stage.parts}
    if "factorised" in params:
        own = params["factorised"]
        mask = np.asarray(own["mask"], np.float64)
        return np.einsum("crhw,crf->chwf", mask, np.asarray(own["features"]))
    if "dense" in params and any("conv" in name for name in params):
        weights = np.asarray(params["dense"]["weights"], np.float64)
        return np.moveaxis(weights.reshape(*about["dense"][1], -1), -1, 0)
    raise BadSetting(
        f"crop is for models with a window, or a mask over a map, and {model.name} on "
        f"frames of {model.spec.frame} has neither"
    )


def _box(held: np.ndarray, energy: float) -> tuple[int, int, int, int]:
    """First row and column, rows, columns: edges go while every cell keeps its share.

    held: (cell, row, column).
    """
    wanted = energy * held.sum((1, 2))
    low, high = [0, 0], list(held.shape[1:])
    while True:
        best = None
        for axis in (0, 1):
            for end in (0, 1):
                edges = [list(low), list(high)]
                edges[end][axis] += 1 - 2 * end
                (r0, c0), (r1, c1) = edges
                left = held[:, r0:r1, c0:c1].sum((1, 2))
                spare = np.min(left - wanted)
                if spare >= 0 and r1 > r0 and c1 > c0 and (not best or spare > best[0]):
                    best = (spare, edges)
        if best is None:
            return low[0], low[1], high[0] - low[0], high[1] - low[1]
        low, high = best[1]


def _side(side: int, places: int, wanted: int, stride: int) -> int:
    """Pixels of a frame that give `wanted` places, where `side` give `places`."""
    return side if wanted == places else side - stride * (places - wanted)


def _cropped(
    value: jax.Array,
    wanted: tuple[int, ...],
    grid: tuple[int, int],
    box: tuple[int, int, int, int],
) -> jax.Array:
    """A leaf as the smaller map wants it; one that knows no places stays as it is.

    grid: places of the last map, before. box: first row and column, rows, columns of it
          that stay; an earlier map keeps as many more as it had.
    """
    top, left, rows, columns = box
    if value.shape == wanted:
        return value
    if len(wanted) == 4:  # a mask: (cell, rank, row, column)
        return value[..., top : top + rows, left : left + columns]
    if len(wanted) == 3:  # a number for each unit: (row, column, channel)
        return value[top : top + wanted[0], left : left + wanted[1]]
    # Free weights of (row, column, feature) to cells, scaled by how many there are.
    whole = value.reshape(*grid, -1, wanted[1])
    kept = whole[top : top + rows, left : left + columns].reshape(wanted)
    return kept * np.float32(np.sqrt(wanted[0] / len(value)))
