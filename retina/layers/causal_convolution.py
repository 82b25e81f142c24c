"""Convolution along time that sees the past alone, with holes if asked."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.parameter import Parameter
from retina.stage import Stage, windowed


def causal_convolution(
    inputs: int, channels: int, taps: int, *, dilation: int = 1
) -> Stage:
    """Each output channel mixes all inputs at `taps` lags, `dilation` bins apart.

    returns: stage (inputs,) -> (channels,), with (taps - 1) * dilation bins of history
             in a ring buffer of its own: no layer is ever computed twice for one bin.
    source:  Bai et al. 2018, arXiv 1803.01271.

    >>> causal_convolution(3, 4, 5, dilation=2).lags
    8
    """
    reach = (taps - 1) * dilation + 1
    scale = np.float32(np.sqrt(2 / (taps * inputs)))  # unit spread: see `conv2d`

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (taps, inputs, channels), jnp.float32)
        return {"kernel": drawn, "bias": jnp.zeros(channels, jnp.float32)}

    def matrix(params) -> jax.Array:
        """(tap * input, channel), oldest lag first, as the window is."""
        return (params["kernel"][::-1] * scale).reshape(taps * inputs, channels)

    def window(params, past: jax.Array) -> jax.Array:
        return past[::dilation].reshape(-1) @ matrix(params) + params["bias"]

    def batch(params, x: jax.Array) -> jax.Array:
        time = x.shape[0] - reach + 1
        seen = [x[tap * dilation :][:time] for tap in range(taps)]
        return jnp.concatenate(seen, axis=1) @ matrix(params) + params["bias"][None]

    return windowed(
        window,
        reach,
        shape=(inputs,),
        batch=batch,
        init=init,
        parameters={
            "kernel": Parameter(axes=("time", "channel", "out")),
            "bias": Parameter(axes=("out",)),
        },
        about=("causal_convolution", inputs, channels, taps, dilation),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (causal_convolution(3, 4, 5), (3,)),
        (causal_convolution(3, 4, 3, dilation=2), (3,)),
        (causal_convolution(3, 4, 1), (3,)),
    ]
