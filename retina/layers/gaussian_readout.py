"""Readouts with a few numbers for the place of each cell: a Gaussian mask, a point.

A place is stored as a fraction of the map's sides, so that it never leaves the map; on
a map of one place there is nothing to find and only the features are parameters.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.parameter import Parameter
from retina.stage import Stage, memoryless

SPREAD = 2.0  # pixels, s.d. of a mask at the start, as in `look_at`
PLACE = Parameter(
    low=0.0, high=1.0, source="spike-triggered average", axes=("cell", "place")
)
FEATURES = Parameter(axes=("cell", "channel"))


def gaussian_mask(shape: tuple[int, int, int], cells: int) -> Stage:
    """Each cell: a round Gaussian mask over places times a weight per feature.

    shape:   (height, width, feature) of one input.
    returns: stage (height, width, feature) -> (cell,).
    source:  Höfling et al. 2024, doi 10.7554/eLife.86860.

    The mask sums to 1. Masks and weights are multiplied out once, not per bin.
    """
    height, width, features = shape
    one_place = height * width == 1
    # Of unit norm the mask at the start, as that of `factorised`: it sums to 1.
    loud = 1.0 if one_place else 2 * np.sqrt(np.pi) * SPREAD
    scale = np.float32(loud / np.sqrt(features))

    def init(key: jax.Array):
        params = _start(key, cells, features, one_place)
        if not one_place:
            spread = np.float32(np.log(SPREAD**2))
            params["log_variance"] = jnp.full(cells, spread, jnp.float32)
        return params

    def weights(params) -> jax.Array:
        """(place * feature, cell)."""
        what = params["features"] * scale
        if one_place:
            return what.T
        at = params["place"] * jnp.asarray([[height - 1, width - 1]], jnp.float32)
        rows, columns = _away(at, height, width)
        narrow = jnp.exp(-params["log_variance"])[:, None, None]
        far = jnp.square(rows)[:, :, None] + jnp.square(columns)[:, None]
        far = (-0.5 * narrow * far).reshape(cells, -1)
        return _products(jax.nn.softmax(far, axis=-1), what)

    parameters = {"features": FEATURES}
    if not one_place:
        # From a seventh of a pixel to wider than any map: no exponential overflows.
        variance = Parameter(unit="log pixel^2", low=-4.0, high=8.0, axes=("cell",))
        parameters |= {"place": PLACE, "log_variance": variance}
    return memoryless(
        lambda params, x: x.reshape(-1) @ weights(params),
        batch=lambda params, x: x.reshape(x.shape[0], -1) @ weights(params),
        init=init,
        parameters=parameters,
        about=("gaussian_mask", shape, cells),
    )


def point(shape: tuple[int, int, int], cells: int) -> Stage:
    """Each cell: the features at one place, interpolated between four, times weights.

    shape:   (height, width, feature) of one input.
    returns: stage (height, width, feature) -> (cell,).
    source:  Lurz et al. 2021, openreview.net/forum?id=Tp7kI90Htd. There a place is
             drawn around the mean while fitting; here the mean is read in both.

    A step reads the four places and nothing else, and costs that. The slope of a place
    hears its four neighbours only: it needs a start near the cell's receptive field.
    """
    height, width, features = shape
    one_place = height * width == 1
    near = min(2, height), min(2, width)
    scale = np.float32(1 / np.sqrt(features))

    def weights(params) -> jax.Array:
        """(place * feature, cell), zero but at four places: the clip's dense form."""
        what = params["features"] * scale
        if one_place:
            return what.T
        at = params["place"] * jnp.asarray([[height - 1, width - 1]], jnp.float32)
        return _products(_tents(at, height, width).reshape(cells, -1), what)

    def one_bin(params, x: jax.Array) -> jax.Array:
        if one_place:
            return x.reshape(-1) @ weights(params)
        # The corner and the weights depend on parameters alone: set up once.
        at = params["place"] * jnp.asarray([[height - 1, width - 1]], jnp.float32)
        last = jnp.asarray([[height - near[0], width - near[1]]], jnp.int32)
        corner = jnp.minimum(jnp.floor(at).astype(jnp.int32), last)
        mask = _tents(at - corner.astype(jnp.float32), *near)
        what = jnp.einsum("nhw,nf->nhwf", mask, params["features"] * scale)
        seen = jax.vmap(
            lambda c: lax.dynamic_slice(x, (c[0], c[1], 0), (*near, features))
        )(corner)
        return jnp.einsum("nhwf,nhwf->n", seen, what)

    parameters = {"features": FEATURES} | ({} if one_place else {"place": PLACE})
    return memoryless(
        one_bin,
        batch=lambda params, x: x.reshape(x.shape[0], -1) @ weights(params),
        init=lambda key: _start(key, cells, features, one_place),
        parameters=parameters,
        about=("point", shape, cells),
    )


def place_at(centres: np.ndarray, grid: tuple[int, int]) -> jax.Array:
    """(cell, 2) rows and columns on the grid as the fractions that are stored.

    Not quite at the edge, where a bounded parameter hardly moves.
    """
    far = np.maximum(np.array(grid) - 1, 1)
    return jnp.asarray(np.clip(centres / far, 0.02, 0.98), jnp.float32)


def _start(key: jax.Array, cells: int, features: int, one_place: bool):
    where, what = jax.random.split(key)
    # Small: the first drive is near zero, so the output starts at the mean count.
    params = {"features": 0.1 * jax.random.normal(what, (cells, features), jnp.float32)}
    if not one_place:
        drawn = jax.random.uniform(where, (cells, 2), jnp.float32)
        params["place"] = np.float32(0.3) + np.float32(0.4) * drawn
    return params


def _away(at: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(cell, height) and (cell, width): pixels from `at`, (cell, 2) row and column."""
    rows, columns = (jnp.arange(n, dtype=jnp.float32)[None] for n in (height, width))
    return rows - at[:, :1], columns - at[:, 1:]


def _tents(at: jax.Array, height: int, width: int) -> jax.Array:
    """(cell, height, width): weights of an interpolation between pixels."""
    rows, columns = (jax.nn.relu(1 - abs(far)) for far in _away(at, height, width))
    return rows[:, :, None] * columns[:, None]


def _products(mask: jax.Array, what: jax.Array) -> jax.Array:
    """(cell, place) and (cell, feature) -> (place * feature, cell)."""
    return jnp.einsum("np,nf->pfn", mask, what).reshape(-1, mask.shape[0])


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    shapes = [(3, 4, 2), (1, 4, 2), (1, 1, 2)]
    return [
        (readout(shape, 5), shape)
        for readout in (gaussian_mask, point)
        for shape in shapes
    ]
