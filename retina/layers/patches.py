"""Each cell's own window on the frame, cut into square patches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from retina.layers.receptive_field import PIXEL, window_size
from retina.stage import Stage, memoryless


def patches(image: tuple[int, int], cells: int, window: int, patch: int) -> Stage:
    """The pixels of each cell's window, those of one patch together.

    window:  pixels on a side; patches that would hang over its edge are left out. The
             corner is a parameter that no gradient moves, as in `receptive_field`.
    returns: stage (height, width) -> (cell, patch, pixel).

    >>> stage = patches((20, 20), 3, 12, 4)
    >>> stage.step(stage.init(jax.random.key(0)), (), jnp.ones((20, 20)))[1].shape
    (3, 9, 16)
    """
    rows, columns, high, wide = _layout(image, window, patch)
    size = (rows * high, columns * wide)

    def cut(x: jax.Array, corner: jax.Array) -> jax.Array:
        seen = lax.dynamic_slice(x, (corner[0], corner[1]), size)
        seen = seen.reshape(rows, high, columns, wide).transpose(0, 2, 1, 3)
        return seen.reshape(rows * columns, high * wide)

    def one_bin(params, x: jax.Array) -> jax.Array:
        return jax.vmap(lambda corner: cut(x, corner))(params["corner"])

    return memoryless(
        one_bin,
        init=lambda key: {"corner": jnp.zeros((cells, 2), jnp.int32)},
        parameters={"corner": PIXEL},
        about=("patches", image, cells, window, patch),
    )


def patches_shape(image: tuple[int, int], window: int, patch: int) -> tuple[int, int]:
    """(patches, pixels of each) that `patches` makes."""
    rows, columns, high, wide = _layout(image, window, patch)
    return rows * columns, high * wide


def _layout(
    image: tuple[int, int], window: int, patch: int
) -> tuple[int, int, int, int]:
    """Rows and columns of patches, height and width of each."""
    height, width = window_size(image, window)
    high, wide = min(patch, height), min(patch, width)
    return height // high, width // wide, high, wide


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(patches((6, 5), 3, 4, 2), (6, 5)), (patches((1, 1), 2, 4, 2), (1, 1))]
