"""Temporal filters over a ring buffer: one filter per channel, or a shared basis."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers.basis import lag_axis, raised_cosines
from retina.parameter import Parameter
from retina.stage import Stage, windowed


def fir(shape: tuple[int, ...], taps: int, *, basis: int, name: str = "fir") -> Stage:
    """Each channel filtered in time by its own filter, a sum of raised cosines.

    shape:   of one input; the last axis is the channel, earlier axes share its filter.
    taps:    length of the filters in bins, lag 0 included.
    basis:   raised cosines per filter; `taps` gives free filters.
    returns: stage (*shape) -> (*shape).

    The filter, basis @ weights, depends on parameters alone and is set up once.
    """
    cosines = raised_cosines(taps, basis)
    scale = np.float32(1 / np.sqrt(cosines.shape[1]))  # unit spread: see `conv2d`

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (cosines.shape[1], shape[-1]), jnp.float32)
        return {"weights": drawn}

    def filters(params) -> jax.Array:
        """(taps, channel), oldest lag first, as the window is."""
        return (jnp.asarray(cosines) @ (params["weights"] * scale))[::-1]

    def window(params, past: jax.Array) -> jax.Array:
        return jnp.einsum("t...c,tc->...c", past, filters(params))

    def batch(params, x: jax.Array) -> jax.Array:
        channels = jnp.moveaxis(x.reshape(x.shape[0], -1, shape[-1]), 2, 0)
        y = jax.vmap(_one_course)(channels, filters(params).T)
        return jnp.moveaxis(y, 0, 2).reshape(-1, *shape)

    return windowed(
        window,
        taps,
        shape=shape,
        init=init,
        parameters={"weights": Parameter(axes=(lag_axis(taps, basis), "channel"))},
        batch=batch,
        about=(name, shape, taps, basis),
    )


def temporal_basis(shape: tuple[int, ...], taps: int, count: int) -> Stage:
    """The last `taps` inputs of each pixel projected on a few shared time courses.

    count:   time courses. They are parameters that no gradient moves: raised cosines
             until a warm start puts the recording's own in their place
             (`retina.fitting.start.time_courses`). With `taps` or more nothing is
             projected: the inputs pass as they are, lag 0 first, and cost nothing.
    returns: stage (*shape) -> (*shape, count).
    """
    if count >= taps:
        return _every_lag(shape, taps)

    def init(key: jax.Array):
        return {"courses": jnp.asarray(raised_cosines(taps, count))}

    def window(params, past: jax.Array) -> jax.Array:
        return jnp.einsum("t...,tb->...b", past, params["courses"][::-1])

    def batch(params, x: jax.Array) -> jax.Array:
        return _sliding_products(x, params["courses"][::-1])

    fixed = Parameter(trainable=False, source="spike-triggered averages")
    return windowed(
        window,
        taps,
        shape=shape,
        batch=batch,
        init=init,
        parameters={"courses": fixed},
        about=("temporal_basis", shape, taps, count),
    )


def _every_lag(shape: tuple[int, ...], taps: int) -> Stage:
    """(*shape) -> (*shape, taps): the last `taps` inputs, lag 0 first."""

    def batch(params, x: jax.Array) -> jax.Array:
        time = x.shape[0] - taps + 1
        lags = [x[taps - 1 - lag :][:time] for lag in range(taps)]
        return jnp.stack(lags, axis=-1)

    return windowed(
        lambda params, past: jnp.moveaxis(past[::-1], 0, -1),
        taps,
        shape=shape,
        batch=batch,
        about=("temporal_basis", shape, taps, taps),
    )


def _one_course(x: jax.Array, course: jax.Array) -> jax.Array:
    """(time + taps - 1, place) filtered by (taps,), oldest first: (time, place)."""
    return _sliding_products(x, course[:, None])[..., 0]


def _sliding_products(x: jax.Array, courses: jax.Array) -> jax.Array:
    """(time + taps - 1, *shape) -> (time, *shape, count), one matrix product a block.

    A block of outputs is a banded matrix times the block's inputs: one large product
    instead of a copy of every window.
    """
    taps, count = courses.shape
    time, shape = x.shape[0] - taps + 1, x.shape[1:]
    block = min(32, time)
    blocks = -(-time // block)
    flat = x.reshape(x.shape[0], -1)
    flat = jnp.pad(flat, ((0, blocks * block - time), (0, 0)))
    rows = [jnp.pad(courses.T, ((0, 0), (t, block - 1 - t))) for t in range(block)]
    banded = jnp.concatenate(rows)
    pieces = [
        banded @ flat[b * block : b * block + block + taps - 1] for b in range(blocks)
    ]
    y = jnp.stack(pieces).reshape(blocks * block, count, -1)[:time]
    return jnp.moveaxis(y, 1, 2).reshape(time, *shape, count)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (fir((2, 3), 5, basis=3), (2, 3)),
        (temporal_basis((4,), 6, 3), (4,)),
        (temporal_basis((2, 2), 3, 3), (2, 2)),
    ]
