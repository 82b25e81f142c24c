"""A kernel whose shape is learned: one patch of free weights, the same at each place.

What a Gaussian is for a round centre, this is for any: the receptive field of a subunit
that is repeated over the retina, as by a convolution.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.kernels import Join, Kernel, about_one
from retina.circuit.population import Population
from retina.errors import BadSetting, ShapeMismatch
from retina.layers.convolution import convolve, plain
from retina.parameter import Parameter

REACH = 2.0  # s.d. of the Gaussian that it starts as, to each side


class Along(NamedTuple):
    """One side of the grids, in source cells.

    size:     of the patch. away: (size,) of its weights from its middle.
    keep, pad: what of the source is in reach of any target, and what is put around it.
    heard:    (target places, size) whether there is a source cell at each weight.
    """

    size: int
    away: np.ndarray
    keep: slice
    pad: tuple[int, int]
    heard: np.ndarray


def learned(sigma_um: float, *, gain: float = 1.0) -> Kernel:
    """Each target cell to the source cells around it, by a patch for each two types.

    sigma_um: s.d. of the Gaussian that each patch starts as; it reaches two of them.
    gain:     what the weights of one target cell add up to at the start.
    raises:   BadSetting; ShapeMismatch where targets stand at no equal steps of the
              source's grid.

    Weights are at least 0. Beyond the edge there is nothing to hear, so that a cell
    there is quieter.

    >>> cones = Population("cone", (5, 5), spacing_um=10.0)
    >>> cells = Population("on", (2, 3, 3), spacing_um=20.0)
    >>> learned(10.0).join(cones, cells).init(jax.random.key(0))["weight"].shape
    (5, 5, 1, 2)
    """
    if not sigma_um > 0:
        raise BadSetting(f"learned: sigma_um {sigma_um:g}; give a length above 0")

    def join(source: Population, target: Population) -> Join:
        (before, *grid), (after, *places) = source.layout, target.layout
        stride, sides = _sides(source, target, sigma_um)
        per = 0.5 * ((source.spacing_um or 1.0) / sigma_um) ** 2
        down, along = (np.exp(-per * np.square(side.away)) for side in sides)
        begun = np.outer(down / down.max(), along / along.max())
        # Stored weights are of order one.
        scale = np.float32(gain / (before * begun.sum()))
        rows, columns = (side.keep for side in sides)
        around = [(0, 0), *(side.pad for side in sides), (0, 0)]

        def init(key: jax.Array):
            # Apart at each place: types of one shape would learn the same one.
            drawn = about_one(key, (*begun.shape, before, after))
            return {"weight": drawn * begun.astype(np.float32)[:, :, None, None]}

        def weigh(kernel: jax.Array, x: jax.Array) -> jax.Array:
            maps = jnp.moveaxis(x.reshape(-1, before, *grid), 1, 3)
            maps = jnp.pad(maps[:, rows, columns], around)
            whole = plain if len(x) == 1 else convolve
            y = whole(maps, kernel, stride)
            return jnp.moveaxis(y, 3, 1).reshape(len(x), after * math.prod(places))

        each = (side.heard.sum(1).mean() for side in sides)
        return Join(
            init=init,
            parameters={
                "weight": Parameter(
                    low=0.0, axes=("height", "width", "channel", "out")
                ),
            },
            prepare=lambda params: params["weight"] * scale,
            weigh=weigh,
            fan_in=float(before * math.prod(each)),
        )

    def wire_um(source: Population, target: Population) -> float:
        _, (down, along) = _sides(source, target, sigma_um)
        each = np.hypot(down.away[:, None], along.away[None])
        total = np.einsum(
            "yh,xw,hw->", *(side.heard.astype(float) for side in (down, along)), each
        )
        types = source.layout[0] * target.layout[0]
        return float(total) * types * (source.spacing_um or 0.0)

    return Kernel(("learned", sigma_um, gain), join, wire_um)


def _sides(
    source: Population, target: Population, sigma_um: float
) -> tuple[int, list[Along]]:
    """Source cells between neighbouring targets, and both sides of the grids."""
    step, wide = source.spacing_um or 1.0, target.spacing_um or 1.0
    alone = math.prod(target.layout[1:]) == 1
    stride = 1 if alone else round(wide / step)
    if not alone and not (stride and math.isclose(wide, stride * step, rel_tol=1e-6)):
        raise ShapeMismatch(
            f"{source.name} -> {target.name}: learned cannot join a grid of {step:g} "
            f"um to one of {wide:g} um; give the target a whole multiple of {step:g}"
        )
    sides = [
        _along(len(s), len(t), stride, REACH * sigma_um / step)
        for s, t in zip(source.axes_um, target.axes_um, strict=True)
    ]
    return stride, sides


def _along(sources: int, targets: int, stride: int, reach: float) -> Along:
    """The largest patch of this reach whose weights meet source cells: of an even size
    where targets stand between them."""
    twice = sources - 1 - stride * (targets - 1)  # of the first target's place
    between = twice % 2
    size = min(math.floor(2 * reach + 1e-9) + 1, 2 * sources - 1)
    size = max(size - (size + between + 1) % 2, 1 + between)
    first = (twice - (size - 1)) // 2
    needed = stride * (targets - 1) + size
    low = max(-first, 0)
    keep = slice(max(first, 0), min(sources, first + needed))
    at = first + stride * np.arange(targets)[:, None] + np.arange(size)
    return Along(
        size,
        np.arange(size) - (size - 1) / 2,
        keep,
        (low, needed - low - (keep.stop - keep.start)),
        (at >= 0) & (at < sources),
    )
