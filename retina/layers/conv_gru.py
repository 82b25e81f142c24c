"""A gated recurrent unit at every place of a map, its products convolutions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.layers.convolution import AXES, convolve
from retina.parameter import Parameter
from retina.stage import Stage


def conv_gru(
    shape: tuple[int, int, int], channels: int, size: int, *, burn_in_s: float
) -> Stage:
    """Gates r, z and candidate n from the input and the state around each place.

        r = sigmoid(W_r * x + b_r + U_r * h)
        z = sigmoid(W_z * x + b_z + U_z * h)
        n = tanh(W_n * x + b_n + r (U_n * h))
        h = (1 - z) n + z h

    The reset gate acts on U_n * h, as in cuDNN and `flax.nnx.GRUCell`, so that one
    convolution of the state serves all three.

    shape:     (height, width, channel) of one input; the map keeps its size, and what
               lies beyond its edge is zero.
    channels:  of the state, which is the output.
    size:      height and width of the kernels, places, odd; at most the map's.
    burn_in_s: seconds until the state has forgotten its start; not bounded by the
               equations, so it is the caller's word.
    returns:   stage (height, width, in) -> (height, width, channels).
    source:    Ballas et al. 2016, arXiv 1511.06432; gates: Cho et al. 2014,
               arXiv 1406.1078.

    >>> conv_gru((6, 5, 2), 3, 3, burn_in_s=1.0).start({}).shape
    (6, 5, 3)
    """
    height, width, inputs = shape
    # The largest odd kernel that the map can fill.
    rows, columns = (min(size, side) - 1 + min(size, side) % 2 for side in shape[:2])
    rows, columns = max(rows, 1), max(columns, 1)
    edge = [(rows // 2, rows // 2), (columns // 2, columns // 2)]
    # Stored with unit spread and scaled where used: see `conv2d`.
    scale = {
        "input": np.float32(np.sqrt(1 / (rows * columns * inputs))),
        "state": np.float32(np.sqrt(1 / (rows * columns * channels))),
    }

    def init(key: jax.Array):
        seen, kept = jax.random.split(key)
        outer = (rows, columns, inputs, 3 * channels)
        inner = (rows, columns, channels, 3 * channels)
        return {
            "input": jax.random.normal(seen, outer, jnp.float32),
            "state": jax.random.normal(kept, inner, jnp.float32),
            "bias": jnp.zeros(3 * channels, jnp.float32),
        }

    def start(params, key: jax.Array | None = None):
        return jnp.zeros((height, width, channels), jnp.float32)

    def one_map(params, which: str, x: jax.Array) -> jax.Array:
        kernel = params[which] * scale[which]
        if (rows, columns) == (1, 1):
            return x @ kernel[0, 0]
        return lax.conv_general_dilated(
            x[None], kernel, (1, 1), edge, dimension_numbers=AXES
        )[0]

    def clip(params, which: str, x: jax.Array) -> jax.Array:
        """`one_map` of a clip, with the fast gradient."""
        kernel = params[which] * scale[which]
        if (rows, columns) == (1, 1):
            return x @ kernel[0, 0]
        return convolve(jnp.pad(x, [(0, 0), *edge, (0, 0)]), kernel)

    def gated(params, h: jax.Array, arrived: jax.Array, around: jax.Array) -> jax.Array:
        r, z, n = jnp.split(arrived + params["bias"].reshape(1, 1, -1), 3, axis=-1)
        r_h, z_h, n_h = jnp.split(around, 3, axis=-1)
        r, z = jax.nn.sigmoid(r + r_h), jax.nn.sigmoid(z + z_h)
        n = jnp.tanh(n + r * n_h)
        return n + z * (h - n)

    def step(params, h: jax.Array, x: jax.Array):
        arrived = one_map(params, "input", x)
        h = gated(params, h, arrived, one_map(params, "state", h))
        return h, h

    def apply(params, h: jax.Array, x: jax.Array):
        def after(h: jax.Array, arrived: jax.Array):
            around = clip(params, "state", h[None])[0]
            h = gated(params, h, arrived, around)
            return h, h

        return lax.scan(after, h, clip(params, "input", x))

    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=0,
        burn_in_s=burn_in_s,
        parameters={
            "input": Parameter(axes=("height", "width", "channel", "gate")),
            "state": Parameter(axes=("height", "width", "channel", "gate")),
            "bias": Parameter(axes=("gate",)),
        },
        about=("conv_gru", shape, channels, size, burn_in_s),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (conv_gru((6, 5, 2), 3, 3, burn_in_s=1.0), (6, 5, 2)),
        (conv_gru((1, 4, 2), 3, 3, burn_in_s=1.0), (1, 4, 2)),
        (conv_gru((1, 1, 2), 3, 3, burn_in_s=1.0), (1, 1, 2)),
    ]
