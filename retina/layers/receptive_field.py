"""Each cell's own window on the frame, filtered in space: rank-k separable or full.

The window's corner is a parameter that no gradient moves: `place` sets it from the
spike-triggered average. A step then reads only the window's pixels, and costs that.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.layers.basis import lag_axis, raised_cosines
from retina.parameter import Parameter
from retina.stage import Stage, memoryless, windowed

PIXEL = Parameter(unit="pixel", trainable=False, source="spike-triggered average")
FILTERS = Parameter(axes=("cell", "rank", "height", "width"))


def _cut(image: jax.Array, corner: jax.Array, size: tuple[int, int]) -> jax.Array:
    """(height, width), (cell, 2) -> (cell, *size)."""
    return jax.vmap(lambda c: lax.dynamic_slice(image, (c[0], c[1]), size))(corner)


def _spread(filters: jax.Array, corner: jax.Array, image: tuple[int, int]) -> jax.Array:
    """(cell, k, h, w) filters laid into empty frames: (cell, k, height, width)."""

    def one(cell_filters: jax.Array, c: jax.Array) -> jax.Array:
        empty = jnp.zeros((cell_filters.shape[0], *image), cell_filters.dtype)
        return lax.dynamic_update_slice(empty, cell_filters, (0, c[0], c[1]))

    return jax.vmap(one)(filters, corner)


def window_size(image: tuple[int, int], window: int) -> tuple[int, int]:
    return min(window, image[0]), min(window, image[1])


def spatial(image: tuple[int, int], cells: int, rank: int, window: int) -> Stage:
    """`rank` spatial filters per cell: stage (height, width) -> (cell, rank)."""
    size = window_size(image, window)

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (cells, rank, *size), jnp.float32)
        return {
            "filters": drawn * np.float32(1 / np.sqrt(size[0] * size[1])),
            "corner": jnp.zeros((cells, 2), jnp.int32),
        }

    def one_bin(params, x: jax.Array) -> jax.Array:
        seen = _cut(x, params["corner"], size)
        return jnp.einsum("nhw,nkhw->nk", seen, params["filters"])

    def batch(params, x: jax.Array) -> jax.Array:
        # One product of whole frames beats gathering every cell's window.
        laid = _spread(params["filters"], params["corner"], image)
        laid = laid.reshape(cells * rank, -1)
        return (x.reshape(x.shape[0], -1) @ laid.T).reshape(-1, cells, rank)

    return memoryless(
        one_bin,
        batch=batch,
        init=init,
        parameters={"filters": FILTERS, "corner": PIXEL},
        about=("spatial", image, cells, rank, size),
    )


def temporal(
    cells: int, rank: int, taps: int, basis: int, *, summed: bool = True
) -> Stage:
    """One temporal filter per cell and rank: stage (cell, rank) -> (cell,).

    summed: False leaves the ranks apart: (cell, rank) -> (cell, rank).
    """
    cosines = raised_cosines(taps, basis)
    to = "n" if summed else "nk"

    def init(key: jax.Array):
        shape = (cosines.shape[1], cells, rank)
        drawn = jax.random.normal(key, shape, jnp.float32)
        return {"weights": drawn * np.float32(1 / np.sqrt(cosines.shape[1] * rank))}

    def filters(params) -> jax.Array:
        """(taps, cell, rank), oldest first."""
        return jnp.einsum("tb,bnk->tnk", jnp.asarray(cosines), params["weights"])[::-1]

    def batch(params, x: jax.Array) -> jax.Array:
        kernel = filters(params)
        time = x.shape[0] - taps + 1
        # Shifted clips are added first and ranks last: one fused pass over the clip.
        shifted = [x[lag : lag + time] * kernel[lag][None] for lag in range(taps)]
        each = sum(shifted[1:], shifted[0])
        return each.sum(axis=-1) if summed else each

    return windowed(
        lambda params, past: jnp.einsum(f"tnk,tnk->{to}", past, filters(params)),
        taps,
        shape=(cells, rank),
        init=init,
        parameters={"weights": Parameter(axes=(lag_axis(taps, basis), "cell", "rank"))},
        batch=batch,
        about=("temporal", cells, rank, taps, basis, *(() if summed else ("apart",))),
    )


def space_time(image: tuple[int, int], cells: int, taps: int, window: int) -> Stage:
    """A free filter over window and lags per cell: stage (height, width) -> (cell,)."""
    size = window_size(image, window)

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (cells, taps, *size), jnp.float32)
        return {
            "filters": drawn * np.float32(1 / np.sqrt(taps * size[0] * size[1])),
            "corner": jnp.zeros((cells, 2), jnp.int32),
        }

    def one_bin(params, past: jax.Array) -> jax.Array:
        seen = jax.vmap(lambda x: _cut(x, params["corner"], size))(past)
        return jnp.einsum("tnhw,nthw->n", seen, params["filters"][:, ::-1])

    def batch(params, x: jax.Array) -> jax.Array:
        time = x.shape[0] - taps + 1
        laid = _spread(params["filters"], params["corner"], image)
        flat = x.reshape(x.shape[0], -1)
        if flat.shape[1] < cells:
            # Few pixels: the frames of all lags side by side, and one product.
            seen = [flat[taps - 1 - lag :][:time] for lag in range(taps)]
            return jnp.concatenate(seen, axis=1) @ laid.reshape(cells, -1).T
        y = (flat @ laid.reshape(cells * taps, -1).T).reshape(-1, cells, taps)
        shifted = [y[taps - 1 - lag :, :, lag][:time] for lag in range(taps)]
        return sum(shifted[1:], shifted[0])

    return windowed(
        one_bin,
        taps,
        shape=image,
        init=init,
        parameters={
            "filters": Parameter(axes=("cell", "time", "height", "width")),
            "corner": PIXEL,
        },
        batch=batch,
        about=("space_time", image, cells, taps, size),
    )


def place(average: np.ndarray, window: int) -> np.ndarray:
    """Corners that centre each cell's window on its receptive field.

    average: (taps, cell, height, width), a spike-triggered average.
    returns: (cell, 2) int32, row and column of the window's first pixel.
    """
    _, cells, height, width = average.shape
    rows, columns = window_size((height, width), window)
    energy = np.square(average.astype(np.float64)).sum(0)
    # The window that holds most of the energy, not the brightest pixel: noise-proof.
    total = np.pad(energy, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    held = (
        total[:, rows:, columns:]
        - total[:, :-rows, columns:]
        - total[:, rows:, :-columns]
        + total[:, :-rows, :-columns]
    )
    best = held.reshape(cells, -1).argmax(1)
    return np.stack(np.unravel_index(best, held.shape[1:]), 1).astype(np.int32)


def cut_windows(average: np.ndarray, corner: np.ndarray, window: int) -> np.ndarray:
    """(taps, cell, height, width) and (cell, 2) -> (taps, cell, h, w)."""
    rows, columns = window_size(average.shape[2:], window)  # type: ignore[arg-type]
    return np.stack(
        [
            average[:, n, r : r + rows, c : c + columns]
            for n, (r, c) in enumerate(corner)
        ],
        1,
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (spatial((6, 5), 3, 2, 4), (6, 5)),
        (temporal(3, 2, 5, 4), (3, 2)),
        (temporal(3, 2, 5, 4, summed=False), (3, 2)),
        (space_time((6, 5), 3, 4, 4), (6, 5)),
    ]
