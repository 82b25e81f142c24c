"""A large kernel as a stack of small ones with nothing between them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting
from retina.layers.convolution import conv2d, kernel_scale, output_shape
from retina.stage import Params, Stage, chain


def stacked_conv2d(shape: tuple[int, int, int], channels: int, size: int) -> Stage:
    """(size - 1) / 2 convolutions of 3 x 3, the last one with a bias.

    shape:    (height, width, channel) of one input.
    channels: of the output, and between the convolutions.
    size:     height and width of the one kernel that the stack is equal to, odd; larger
              than the frame: the frame. No convolution follows once that is used up.
    returns:  stage (height, width, in) -> (height', width', channels), as of `conv2d`.
    source:   Maheswaranathan et al. 2023, doi 10.1016/j.neuron.2023.06.007.

    >>> len(stacked_conv2d((50, 50, 40), 8, 15).parameters)
    7
    """
    if size < 3 or size % 2 == 0:
        raise BadSetting(f"sizes {size}: odd and at least 3, to be a stack of 3 x 3")
    shapes = [shape]
    while len(shapes) <= (size - 1) // 2 and (
        len(shapes) == 1 or shapes[-1][:2] != (1, 1)
    ):
        shapes.append(output_shape(shapes[-1], channels, 3))
    last = len(shapes) - 2
    layers = [conv2d(s, channels, 3, bias=i == last) for i, s in enumerate(shapes[:-1])]
    return chain(*layers, about=("stacked_conv2d", shape, channels, size))


def collapse(params: Params) -> Params:
    """The params of the one `conv2d` that does what a stack does.

    params: of `stacked_conv2d`.
    """
    layers = [params[name] for name in sorted(params, key=_place)]
    whole = None
    for layer in layers:
        kernel = np.asarray(layer["kernel"], np.float64)
        kernel = kernel * kernel_scale(kernel.shape)
        whole = kernel if whole is None else _after(whole, kernel)
    assert whole is not None
    stored = whole / kernel_scale(whole.shape)
    return {"kernel": jnp.asarray(stored, jnp.float32), "bias": layers[-1]["bias"]}


def _place(name: str) -> int:
    """conv2d, conv2d2, conv2d3, ... in the order of the chain."""
    return int(name.removeprefix("conv2d") or 1)


def _after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The kernel of `second` on what `first` gives, both (K, K', in, out)."""
    rows, columns = first.shape[:2]
    high, wide = second.shape[:2]
    both = np.zeros(
        (rows + high - 1, columns + wide - 1, first.shape[2], second.shape[3])
    )
    for r in range(high):
        for c in range(wide):
            both[r : r + rows, c : c + columns] += first @ second[r, c]
    return both


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (stacked_conv2d((8, 7, 2), 3, 5), (8, 7, 2)),
        (stacked_conv2d((4, 3, 2), 3, 9), (4, 3, 2)),
        (stacked_conv2d((1, 1, 2), 3, 5), (1, 1, 2)),
    ]
