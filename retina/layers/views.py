"""A few numbers for each cell's window on the frame: what a dense network is fed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers import receptive_field as field
from retina.stage import Stage, memoryless


def views(image: tuple[int, int], cells: int, rank: int, window: int) -> Stage:
    """`rank` spatial filters on each cell's window, laid end to end.

    A frame of one pixel is passed as it is: filters could only scale it.

    returns: stage (height, width) -> (cell * rank,), or (1,) for one pixel.

    >>> views((6, 5), 3, 2, 4).step(views((6, 5), 3, 2, 4).init(jax.random.key(0)), (),
    ...                             jnp.ones((6, 5)))[1].shape
    (6,)
    """
    about = ("views", image, cells, rank, window)
    if image == (1, 1):
        return memoryless(
            lambda params, x: x.reshape(1),
            batch=lambda params, x: x.reshape(-1, 1),
            about=about,
        )
    filters = field.spatial(image, cells, rank, window)
    # Stored with unit spread and scaled where used: see `conv2d`.
    scale = np.float32(1 / np.sqrt(np.prod(field.window_size(image, window))))

    def init(key: jax.Array):
        params = filters.init(key)
        return params | {"filters": params["filters"] * np.float32(1 / scale)}

    def scaled(params):
        return params | {"filters": params["filters"] * scale}

    def batch(params, x: jax.Array) -> jax.Array:
        return filters.apply(scaled(params), (), x)[1].reshape(x.shape[0], -1)

    return memoryless(
        lambda params, x: filters.step(scaled(params), (), x)[1].reshape(-1),
        batch=batch,
        init=init,
        parameters={"filters": field.FILTERS, "corner": field.PIXEL},
        about=about,
    )


def views_size(image: tuple[int, int], cells: int, rank: int) -> int:
    """Length of what `views` gives."""
    return 1 if image == (1, 1) else cells * rank


def looking(corner: np.ndarray, space: np.ndarray) -> dict[str, jax.Array]:
    """Params of `views` that look through given filters.

    corner: (cell, 2), from `place`. space: (cell, rank, h, w), any scale but zero.
    returns: filters that give white noise of s.d. 1 a view of s.d. 1.
    """
    norm = np.sqrt(np.square(space).sum((2, 3), keepdims=True))
    pixels = space.shape[2] * space.shape[3]
    filters = space * (np.sqrt(pixels) / np.maximum(norm, 1e-12))
    return {
        "filters": jnp.asarray(filters, jnp.float32),
        "corner": jnp.asarray(corner, jnp.int32),
    }


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(views((6, 5), 3, 2, 4), (6, 5)), (views((1, 1), 3, 2, 4), (1, 1))]
