"""Valid two-dimensional convolution of a clip, in whichever way is fastest here.

Two ways give the same numbers. XLA's own is the best on an accelerator; on a CPU it is
slow, within the loops that a fit consists of above all. `spectral` is matrix products
throughout.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.formulation import fastest
from retina.layers.spectral import spectral
from retina.parameter import Parameter
from retina.stage import Stage, memoryless

AXES = ("NHWC", "HWIO", "NHWC")
SMALL = 2**20  # multiply-adds; less is over before a choice would pay
MEASURED = 128  # frames of a measurement, as of the clips that most models fit


def plain(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """(time, H, W, in) with (K, K', in, out) -> (time, H', W', out).

    H' is (H - K) // stride + 1.

    XLA's own convolution and gradients: what `spectral` must agree with.
    """
    steps = (stride, stride)
    return lax.conv_general_dilated(x, kernel, steps, "VALID", dimension_numbers=AXES)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """`plain`, in the way that is fastest on this device at this size.

    >>> convolve(jnp.ones((2, 5, 5, 1)), jnp.ones((3, 3, 1, 4))).shape
    (2, 3, 3, 4)
    """
    way = _ways(stride)[_fastest(x.shape, kernel.shape, stride)]
    return way(x, kernel)


def _ways(stride: int) -> dict[str, Callable[[jax.Array, jax.Array], jax.Array]]:
    def in_steps(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return spectral(*fold(x, kernel, stride))

    return {
        "spectral": spectral if stride == 1 else in_steps,
        "xla": lambda x, kernel: plain(x, kernel, stride),
    }


def _fastest(x: tuple[int, ...], kernel: tuple[int, ...], stride: int) -> str:
    time, height, width, inputs = x
    rows, columns, _, outputs = kernel
    places = ((height - rows) // stride + 1) * ((width - columns) // stride + 1)
    if time * places * rows * columns * inputs * outputs < SMALL:
        return "xla"

    def arguments():
        draw = np.random.default_rng(0).standard_normal
        clip = draw((MEASURED, height, width, inputs), np.float32)
        return jnp.asarray(clip), jnp.asarray(draw(kernel, np.float32))

    shape = (height, width, *kernel, stride)
    return fastest("convolution", shape, _ways(stride), arguments)


def fold(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """A strided convolution as one of stride 1: stride x stride pixels become channels.

    x:       (time, H, W, in). kernel: (K, K', in, out).
    returns: x (time, H/stride, W/stride, in stride^2) and a kernel to match, both
             padded with zeros where stride does not divide them.
    """
    time, *image, channels = x.shape
    sizes = kernel.shape[:2]
    blocks = [-(-size // stride) for size in sizes]
    places = [(n - k) // stride + 1 for n, k in zip(image, sizes, strict=True)]
    needed = [stride * (p - 1 + b) for p, b in zip(places, blocks, strict=True)]
    x = x[:, : needed[0], : needed[1]]
    grow = [(0, n - have) for n, have in zip(needed, x.shape[1:3], strict=True)]
    x = jnp.pad(x, [(0, 0), *grow, (0, 0)])
    grow = [(0, stride * b - k) for b, k in zip(blocks, sizes, strict=True)]
    kernel = jnp.pad(kernel, [*grow, (0, 0), (0, 0)])
    rows, columns = (n // stride for n in needed)
    x = x.reshape(time, rows, stride, columns, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(time, rows, columns, -1)
    out = kernel.shape[-1]
    kernel = kernel.reshape(blocks[0], stride, blocks[1], stride, channels, out)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    return x, kernel.reshape(blocks[0], blocks[1], -1, out)


def kernel_scale(shape: tuple[int, ...]) -> np.float32:
    """What `conv2d` multiplies a stored kernel of (K, K', in, ...) with.

    Weights are stored with unit spread and scaled where they are used, once per fit and
    not per bin: one learning rate then suits layers of any size.
    """
    return np.float32(np.sqrt(2 / np.prod(shape[:3])))


def conv2d(
    shape: tuple[int, int, int],
    channels: int,
    size: int,
    *,
    stride: int = 1,
    bias: bool = True,
) -> Stage:
    """A learned valid convolution; a kernel larger than the frame shrinks to it.

    shape:    (height, width, channel) of one input.
    channels: of the output.
    size:     height and width of the kernel, pixels.
    stride:   pixels between neighbouring outputs.
    returns:  stage (height, width, in) -> (height', width', channels).
    """
    height, width, inputs = shape
    rows, columns = min(size, height), min(size, width)
    fan_in = rows * columns * inputs
    scale = kernel_scale((rows, columns, inputs))

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (rows, columns, inputs, channels), jnp.float32)
        params = {"kernel": drawn}
        if bias:
            params["bias"] = jnp.zeros(channels, jnp.float32)
        return params

    def add_bias(params, y: jax.Array) -> jax.Array:
        if not bias:
            return y
        return y + params["bias"].reshape((1,) * (y.ndim - 1) + (-1,))

    def one_bin(params, x: jax.Array) -> jax.Array:
        return add_bias(params, plain(x[None], params["kernel"] * scale, stride)[0])

    def batch(params, x: jax.Array) -> jax.Array:
        kernel = params["kernel"] * scale
        if (rows, columns) == (height, width):
            y = x.reshape(x.shape[0], -1) @ kernel.reshape(fan_in, channels)
            return add_bias(params, y[:, None, None])
        return add_bias(params, convolve(x, kernel, stride))

    parameters = {"kernel": Parameter(axes=("height", "width", "channel", "out"))}
    if bias:
        parameters["bias"] = Parameter(axes=("out",))
    return memoryless(
        one_bin,
        batch=batch,
        init=init,
        parameters=parameters,
        about=("conv2d", shape, channels, size, stride, bias),
    )


def output_shape(
    shape: tuple[int, int, int], channels: int, size: int, stride: int = 1
) -> tuple[int, int, int]:
    """(height', width', channels) that `conv2d` makes of `shape`."""
    height, width = ((n - min(size, n)) // stride + 1 for n in shape[:2])
    return (height, width, channels)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (conv2d((6, 5, 2), 3, 3), (6, 5, 2)),
        (conv2d((11, 10, 2), 3, 5, stride=2), (11, 10, 2)),
        (conv2d((1, 1, 2), 3, 9, bias=False), (1, 1, 2)),
    ]
