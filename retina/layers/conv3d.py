"""Convolution over space and the last bins of time, in the way that is fastest here."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.formulation import fastest
from retina.layers.convolution import MEASURED, SMALL, kernel_scale, plain
from retina.layers.spectral3d import spectral3d
from retina.parameter import Parameter
from retina.stage import Stage, windowed


def stacked(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(time + L - 1, H, W) with (K, K', L, out) -> (time, H', W', out), lag 0 first.

    XLA's own convolution of every bin's last L frames: what `spectral3d` must agree
    with, and L copies of the stimulus.
    """
    return plain(_lags(x, kernel.shape[2]), kernel)


WAYS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "spectral": spectral3d,
    "xla": stacked,
}


def convolve3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`stacked`, in the way that is fastest on this device at this size.

    >>> convolve3d(jnp.ones((4, 5, 5)), jnp.ones((3, 3, 2, 6))).shape
    (3, 3, 3, 6)
    """
    return WAYS[_fastest(x.shape, kernel.shape)](x, kernel)


def _fastest(x: tuple[int, ...], kernel: tuple[int, ...]) -> str:
    height, width = x[1:]
    rows, columns, lags, outputs = kernel
    time = x[0] - lags + 1
    places = (height - rows + 1) * (width - columns + 1)
    if time * places * rows * columns * lags * outputs < SMALL:
        return "xla"

    def arguments():
        draw = np.random.default_rng(0).standard_normal
        clip = draw((MEASURED + lags - 1, height, width), np.float32)
        return jnp.asarray(clip), jnp.asarray(draw(kernel, np.float32))

    def raced(way: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        # Of the stimulus, whose slope no fit asks for.
        return lambda x, kernel: way(lax.stop_gradient(x), kernel)

    ways = {name: raced(way) for name, way in WAYS.items()}
    shape = (height, width, *kernel)
    return fastest("convolution in space and time", shape, ways, arguments)


def _lags(x: jax.Array, lags: int) -> jax.Array:
    """(time + lags - 1, H, W) -> (time, H, W, lags), lag 0 first."""
    time = x.shape[0] - lags + 1
    return jnp.stack([x[lags - 1 - lag :][:time] for lag in range(lags)], axis=-1)


def conv3d(image: tuple[int, int], channels: int, size: int, taps: int) -> Stage:
    """A learned valid convolution with a kernel for each lag, and a bias.

    image:    (height, width) of one input.
    channels: of the output.
    size:     height and width of the kernel in pixels; larger than the frame: the
              frame.
    taps:     bins that the kernel sees, lag 0 included.
    returns:  stage (height, width) -> (height', width', channels).
    """
    height, width = image
    rows, columns = min(size, height), min(size, width)
    scale = kernel_scale((rows, columns, taps))

    def init(key: jax.Array):
        shape = (rows, columns, taps, channels)
        drawn = jax.random.normal(key, shape, jnp.float32)
        return {"kernel": drawn, "bias": jnp.zeros(channels, jnp.float32)}

    def window(params, past: jax.Array) -> jax.Array:
        seen = jnp.moveaxis(past[::-1], 0, -1)
        y = plain(seen[None], params["kernel"] * scale)[0]
        return y + params["bias"][None, None]

    def batch(params, x: jax.Array) -> jax.Array:
        kernel = params["kernel"] * scale
        if (rows, columns) == image:
            seen = _lags(x, taps)
            y = seen.reshape(len(seen), -1) @ kernel.reshape(-1, channels)
            y = y[:, None, None]
        else:
            y = convolve3d(x, kernel)
        return y + params["bias"][None, None, None]

    return windowed(
        window,
        taps,
        shape=image,
        init=init,
        parameters={
            "kernel": Parameter(axes=("height", "width", "time", "out")),
            "bias": Parameter(axes=("out",)),
        },
        batch=batch,
        about=("conv3d", image, channels, size, taps),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (conv3d((6, 5), 3, 3, 4), (6, 5)),
        (conv3d((6, 5), 3, 9, 1), (6, 5)),
        (conv3d((1, 1), 3, 3, 5), (1, 1)),
    ]
