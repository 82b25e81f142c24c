"""Kernels: which cells of one population reach which of another, and how strongly.

A kernel is joined to two populations before it has any numbers: `Join` then holds its
parameters, what is set up from them once, and the product itself over a clip. Weights
are at least 0: the sign belongs to the projection. Grids are filtered by rows, then by
columns; no kernel over places is ever laid out as one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.population import Population
from retina.errors import BadSetting, ShapeMismatch
from retina.parameter import Parameter

REACH = 3.035  # s.d. of a Gaussian where 1 % of its peak is left: beyond, no synapse
WIDER = 5.0  # a fit may make a Gaussian so many times narrower or wider


class Join(NamedTuple):
    """A kernel between two populations.

    init:       key -> params, a flat dict.
    parameters: tree of Parameter, parallel to params.
    prepare:    params -> weights, once.
    weigh:      (weights, (time, source cells)) -> (time, target cells).
    fan_in:     synapses onto one target cell, mean over cells.
    """

    init: Callable[[jax.Array], dict[str, jax.Array]]
    parameters: dict[str, Parameter]
    prepare: Callable[[dict[str, jax.Array]], Any]
    weigh: Callable[[Any, jax.Array], jax.Array]
    fan_in: float


class Kernel(NamedTuple):
    """What `Projection` takes: a name with settings, and how it joins populations.

    wire_um: length of all its synapses' wires; None: as `about` says.
    """

    about: tuple
    join: Callable[[Population, Population], Join]
    wire_um: Callable[[Population, Population], float] | None = None


def one_to_one(weight: float = 1.0, *, trained: bool = True) -> Kernel:
    """Each cell to the cell of the same place; a weight for each type.

    weight:  to begin with.
    trained: False holds it.

    >>> one_to_one().join(Population("a", (3,)), Population("b", (3,))).fan_in
    1.0
    """

    def join(source: Population, target: Population) -> Join:
        if source.shape != target.shape:
            raise _mismatch("one_to_one", source, target, "give both the same shape")
        types = target.layout[0]
        places = target.cells // types
        described = Parameter(
            weight, low=0.0, trainable=trained, axes=("out",) * trained
        )
        return Join(
            init=lambda key: {"weight": jnp.full(types, weight, jnp.float32)},
            parameters={"weight": described},
            prepare=lambda params: jnp.repeat(params["weight"], places)[None],
            weigh=lambda weights, x: x * weights,
            fan_in=1.0,
        )

    return Kernel(("one_to_one", weight, trained), join)


def dense(gain: float = 1.0) -> Kernel:
    """Each source cell to each target cell, a free weight for every pair.

    gain: what the weights of one target cell add up to at the start.

    >>> dense().join(Population("a", (3,)), Population("b", (2,))).fan_in
    3.0
    """

    def join(source: Population, target: Population) -> Join:
        scale = np.float32(gain / source.cells)  # stored weights are of order one
        return Join(
            init=lambda key: {"weight": about_one(key, (source.cells, target.cells))},
            parameters={"weight": Parameter(low=0.0, axes=("input", "cell"))},
            prepare=lambda params: params["weight"] * scale,
            weigh=lambda weights, x: x @ weights,
            fan_in=float(source.cells),
        )

    return Kernel(("dense", gain), join)


def gaussian(sigma_um: float, *, gain: float = 1.0, trained: bool = True) -> Kernel:
    """A Gaussian of the distance between places, times a weight for each two types.

    sigma_um: its s.d. to begin with.
    gain:     what the weights of one target cell add up to at the start.
    trained:  False holds the width.

    Over the source's places the Gaussian adds up to 1, so a cell at the edge is not
    quieter for it. Where the source has but one, no width is a parameter.

    >>> cones = Population("cone", (5, 5), spacing_um=10.0)
    >>> round(gaussian(5.0).join(cones, cones).fan_in, 2)
    5.31
    """
    if not sigma_um > 0:
        raise BadSetting(f"gaussian: sigma_um {sigma_um:g}; give a length above 0")

    def join(source: Population, target: Population) -> Join:
        away = [
            (t[:, None] - s[None]).astype(np.float32)
            for s, t in zip(source.axes_um, target.axes_um, strict=True)
        ]
        if source.layout[1:] == (1, 1):
            return _typed(source, target, gain, {}, lambda params: None, 1.0)
        width = Parameter(
            sigma_um,
            "um",
            sigma_um / WIDER,
            sigma_um * WIDER,
            trainable=trained,
            source="chosen",
        )

        def along(params) -> Sequence[jax.Array]:
            per = 0.5 / params["sigma_um"] ** 2
            return [jax.nn.softmax(-per * jnp.square(d), axis=1) for d in away]

        near = [float((abs(d) < REACH * sigma_um).sum(1).mean()) for d in away]
        # Of a disc its box's share; one row is all of its box.
        share = np.pi / 4 if min(near) > 1.5 else 1.0
        described = {"sigma_um": width}
        fan_in = max(1.0, share * near[0] * near[1])
        return _typed(source, target, gain, described, along, fan_in)

    return Kernel(("gaussian", sigma_um, gain, trained), join)


def uniform(gain: float = 1.0) -> Kernel:
    """The mean over all places to every place, times a weight for each two types.

    gain: what the weights of one target cell add up to at the start.

    >>> cones, wide = Population("cone", (5, 4)), Population("amacrine", (2,))
    >>> uniform().join(cones, wide).fan_in
    20.0
    """

    def join(source: Population, target: Population) -> Join:
        _, height, width = source.layout
        places = float(height * width)
        return _typed(source, target, gain, {}, lambda params: None, places)

    return Kernel(("uniform", gain), join)


def pooled(sigma_um: float, gain: float = 1.0) -> Kernel:
    """A grid to cells without one: each has a round Gaussian window of its own.

    sigma_um: its s.d. to begin with; the place is a fraction of the grid's sides.
    gain:     what the weights of one target cell add up to at the start.

    >>> grid = Population("bipolar", (2, 9, 9), spacing_um=10.0)
    >>> sorted(pooled(10.0).join(grid, Population("ganglion", (3,))).parameters)
    ['place', 'sigma_um', 'weight']
    """
    if not sigma_um > 0:
        raise BadSetting(f"pooled: sigma_um {sigma_um:g}; give a length above 0")

    def join(source: Population, target: Population) -> Join:
        types, height, width = source.layout
        cells = target.cells
        if height * width == 1:
            return dense(gain).join(source, target)
        if len(target.shape) != 1:
            raise _mismatch("pooled", source, target, "give the target (cells,)")
        rows, columns = source.axes_um
        scale = np.float32(gain / types)

        def init(key: jax.Array):
            where, what = jax.random.split(key)
            drawn = jax.random.uniform(where, (cells, 2), jnp.float32)
            return {
                "weight": about_one(what, (types, cells)),
                "place": np.float32(0.3) + np.float32(0.4) * drawn,
                "sigma_um": jnp.full(cells, sigma_um, jnp.float32),
            }

        def prepare(params) -> jax.Array:
            """(source cells, target cells)."""
            per = (0.5 / params["sigma_um"] ** 2)[:, None]
            far = []
            for axis, at in enumerate((rows, columns)):
                middle = at[0] + params["place"][:, axis] * np.float32(at[-1] - at[0])
                far.append(jnp.asarray(at, jnp.float32)[None] - middle[:, None])
            over = [jax.nn.softmax(-per * jnp.square(d), axis=1) for d in far]
            whole = jnp.einsum("tn,nh,nw->thwn", params["weight"] * scale, *over)
            return whole.reshape(-1, cells)

        reach = REACH * sigma_um / (source.spacing_um or 1.0)
        return Join(
            init=init,
            parameters={
                "weight": Parameter(low=0.0, axes=("channel", "cell")),
                "place": Parameter(
                    low=0.0,
                    high=1.0,
                    source="spike-triggered average",
                    axes=("cell", "place"),
                ),
                "sigma_um": Parameter(
                    sigma_um, "um", sigma_um / WIDER, sigma_um * WIDER, axes=("cell",)
                ),
            },
            prepare=prepare,
            weigh=lambda weights, x: x @ weights,
            fan_in=types * min(float(height * width), max(1.0, np.pi * reach**2)),
        )

    return Kernel(("pooled", sigma_um, gain), join)


def in_place(gain: float = 1.0) -> Kernel:
    """A weight for each two types, between cells of the same place alone.

    gain: what the weights of one target cell add up to at the start.

    >>> one, two = Population("a", (3, 4)), Population("b", (2, 3, 4))
    >>> in_place().join(two, one).fan_in
    2.0
    """

    def join(source: Population, target: Population) -> Join:
        if source.layout[1:] != target.layout[1:]:
            raise _mismatch("in_place", source, target, "give both the same grid")
        return _typed(source, target, gain, {}, lambda params: (), 1.0)

    return Kernel(("in_place", gain), join)


def _typed(
    source: Population,
    target: Population,
    gain: float,
    described: dict[str, Parameter],
    along: Callable[[Any], Sequence[jax.Array] | None],
    fan_in: float,
) -> Join:
    """A matrix over types times filters along rows and columns.

    along: params -> the two filters (target places, source places) of a grid, () for
           each place as it is, or None for the mean over all places.
    """
    (before, *grid), (after, *places) = source.layout, target.layout
    scale = np.float32(gain / before)

    def prepare(params):
        return params["weight"] * scale, along(params)

    def weigh(weights, x: jax.Array) -> jax.Array:
        mix, filters = weights
        y = x.reshape(-1, before, *grid)
        if filters is None:
            y = y.mean((2, 3)) if grid != [1, 1] else y[:, :, 0, 0]
            y = (y @ mix)[:, :, None]
            spread = jnp.broadcast_to(y, (*y.shape[:2], places[0] * places[1]))
            return spread.reshape(len(x), -1)
        # Types are mixed on whichever side has fewer maps to filter.
        if after < before:
            y = jnp.einsum("tshw,sk->tkhw", y, mix)
        if filters:
            y = jnp.einsum("iw,tshw->tshi", filters[1], y)
            y = jnp.einsum("ih,tshw->tsiw", filters[0], y)
        if after >= before:
            y = jnp.einsum("tshw,sk->tkhw", y, mix)
        return y.reshape(len(x), -1)

    def init(key: jax.Array):
        width = {n: jnp.float32(p.value) for n, p in described.items()}
        return {"weight": about_one(key, (before, after))} | width

    weight = Parameter(low=0.0, axes=("channel", "out"))
    return Join(
        init=init,
        parameters={"weight": weight} | described,
        prepare=prepare,
        weigh=weigh,
        fan_in=before * fan_in,
    )


def about_one(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Cells of one kind differ a little, else they would stay the same in a fit."""
    return jax.random.uniform(key, shape, jnp.float32, 0.7, 1.3)


def _mismatch(
    kernel: str, source: Population, target: Population, want: str
) -> ShapeMismatch:
    return ShapeMismatch(
        f"{source.name} -> {target.name}: {kernel} cannot join {source.shape} to "
        f"{target.shape}; {want}"
    )
