"""From a feature map to one drive per cell: where it looks, and at which features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.parameter import Parameter
from retina.stage import Stage, memoryless

MASK = np.float32(0.1)  # stored masks are of order one: see `conv2d`


def factorised(shape: tuple[int, int, int], cells: int, rank: int = 1) -> Stage:
    """Each cell: a mask over places times a weight per feature, `rank` such products.

    shape:   (height, width, feature) of one input.
    rank:    masks per cell; their products with the features are added.
    returns: stage (height, width, feature) -> (cell,).
    source:  Klindt et al. 2017, arXiv 1711.02653 (rank 1).
    """
    height, width, features = shape
    places = height * width
    scale = np.float32(1 / np.sqrt(features))

    def init(key: jax.Array):
        at, what = jax.random.split(key)
        mask = jax.random.normal(at, (cells, rank, height, width), jnp.float32)
        weights = jax.random.normal(what, (cells, rank, features), jnp.float32)
        flat = np.float32(1 / (MASK * np.sqrt(places)))
        # Small: the first drive is near zero, so the output starts at the mean count.
        return {"mask": flat + 0.1 * flat * mask, "features": 0.1 * weights}

    def weights(params) -> jax.Array:
        """(place * feature, cell): multiplied out once, not per bin.

        One product over all places costs less than one per mask.
        """
        mask = params["mask"].reshape(cells, rank, places) * MASK
        what = params["features"] * scale
        return jnp.einsum("crp,crf->pfc", mask, what).reshape(-1, cells)

    return memoryless(
        lambda params, x: x.reshape(-1) @ weights(params),
        batch=lambda params, x: x.reshape(x.shape[0], -1) @ weights(params),
        init=init,
        parameters={
            "mask": Parameter(axes=("cell", "rank", "height", "width")),
            "features": Parameter(axes=("cell", "rank", "channel")),
        },
        about=("factorised", shape, cells, rank),
    )


def dense(shape: tuple[int, int, int], cells: int) -> Stage:
    """Each cell: a free weight for every place and feature.

    returns: stage (height, width, feature) -> (cell,).
    """
    size = int(np.prod(shape))
    scale = np.float32(1 / np.sqrt(size))

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (size, cells), jnp.float32)
        return {"weights": drawn}

    return memoryless(
        lambda params, x: x.reshape(-1) @ (params["weights"] * scale),
        batch=lambda params, x: x.reshape(x.shape[0], -1) @ (params["weights"] * scale),
        init=init,
        parameters={"weights": Parameter(axes=("input", "cell"))},
        about=("dense", shape, cells),
    )


def mixture(shape: tuple[int, int, int], cells: int, rank: int) -> Stage:
    """A few drives, free weights for every place and feature; each cell a sum of them.

    rank:    drives. Of n places and features, rank (n + cells) products in place of n
             times the cells.
    returns: stage (height, width, feature) -> (cell,).
    source:  Izenman 1975, doi 10.1016/0047-259X(75)90042-1 (reduced-rank regression).
    """
    size = int(np.prod(shape))
    scale, share = np.float32(1 / np.sqrt(size)), np.float32(1 / np.sqrt(rank))

    def init(key: jax.Array):
        first, second = jax.random.split(key)
        return {
            "modes": jax.random.normal(first, (size, rank), jnp.float32),
            # Small: the first drive is near zero, so the output starts at the mean.
            "mixing": 0.1 * jax.random.normal(second, (rank, cells), jnp.float32),
            "offset": jnp.zeros(cells, jnp.float32),
        }

    def through(params, x: jax.Array) -> jax.Array:
        """(time, place * feature) -> (time, cell), or both without time."""
        y = (x @ (params["modes"] * scale)) @ (params["mixing"] * share)
        return y + params["offset"].reshape((1,) * (y.ndim - 1) + (-1,))

    return memoryless(
        lambda params, x: through(params, x.reshape(-1)),
        batch=lambda params, x: through(params, x.reshape(x.shape[0], -1)),
        init=init,
        parameters={
            "modes": Parameter(axes=("input", "out")),
            "mixing": Parameter(axes=("channel", "cell")),
            "offset": Parameter(axes=("cell",)),
        },
        about=("mixture", shape, cells, rank),
    )


def look_at(
    centres: np.ndarray, grid: tuple[int, int], mask: jax.Array, spread: float = 2.0
) -> jax.Array:
    """A starting mask: a bump over each cell's receptive field, with the drawn noise.

    centres: (cell, 2) row and column on the grid.
    mask:    (cell, ..., *grid) as `init` drew it; its differences break the symmetry.
    spread:  s.d. of the bump, grid pixels.
    """
    rows = np.arange(grid[0])[None, :, None] - centres[:, 0, None, None]
    columns = np.arange(grid[1])[None, None] - centres[:, 1, None, None]
    bump = np.exp(-(rows**2 + columns**2) / (2 * spread**2))
    bump /= np.linalg.norm(bump, axis=(1, 2), keepdims=True)
    bump = bump.reshape(len(bump), *(1,) * (mask.ndim - 3), *grid)
    noise = mask - jnp.mean(mask, axis=(-2, -1), keepdims=True)
    return jnp.asarray(bump / MASK, jnp.float32) + 0.1 * noise


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (factorised((3, 4, 2), 5), (3, 4, 2)),
        (factorised((3, 4, 2), 5, rank=3), (3, 4, 2)),
        (dense((3, 4, 2), 5), (3, 4, 2)),
        (mixture((3, 4, 2), 5, 2), (3, 4, 2)),
    ]
