"""The curvature of each cell's loss before it is fitted: where L-BFGS starts from.

Fisher's information of a cell's parameters, from a part of the bins, and the curvature
of its penalty. A filter's inputs are correlated and its parts differ in scale by far;
in the coordinates in which this matrix is the identity a few steps do.

source: Amari 1998, doi 10.1162/089976698300017746 (the information as a metric).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.fitting.cells import each_penalty, tree_of
from retina.fitting.clips import Table, clip_rate
from retina.fitting.loss import FLOOR
from retina.parameter import to_bounded
from retina.stage import Model, Tree

# Numbers of a cell, up to which they get a whole matrix. It takes cell * number^2
# floats and 4 * number bins' outer products: at 600, 16 cells, 23 MB and about as long
# as ten evaluations of an hour's recording. Beyond it, the diagonal.
BLOCK = 600
SAMPLES = 2048  # bins at least (all, of a shorter recording)
PER_NUMBER = 4  # bins per number: eigenvalues within a factor of two or so
PASSES = 1.0  # evaluations of the loss that a better curvature may cost as much as
FLAT = 1e-3  # of the mean of the diagonal: the least that a number is taken to have
CHUNK = 2**24  # floats of stimulus, or of slopes, at a time


class Whitening(NamedTuple):
    """The inverse curvature as scale * root' root * scale.

    scale: (cell, number).
    root:  (cell, number, number), or None: the identity.
    """

    scale: jax.Array
    root: jax.Array | None


def whitened(white: Whitening, slope: jax.Array) -> jax.Array:
    """(cell, number) inverse curvature times slope; never uphill, by construction."""
    part = white.scale * slope
    if white.root is not None:
        part = jnp.einsum("cpq,cq->cp", white.root, part)
        part = jnp.einsum("cpq,cp->cq", white.root, part)
    return white.scale * part


def inverse(curvature: jax.Array, damping: jax.Array | float) -> Whitening:
    """Of a curvature (cell, number, number), or its diagonal (cell, number).

    damping: share of the diagonal that is added: for directions that a part of the bins
             does not show, and as far as the curvature may change along a step.

    A row without any curvature is taken as it is; a cell whose matrix has no root even
    when damped is left with its diagonal.
    """
    whole = curvature.ndim == 3
    size = jnp.einsum("cpp->cp", curvature) if whole else curvature
    typical = jnp.sum(jnp.abs(size), axis=1, keepdims=True) / size.shape[1]
    known = jnp.isfinite(typical) & (typical > 0)
    size = jnp.where(known, jnp.maximum(size, FLAT * typical), 1)
    scale = lax.rsqrt(size)
    if not whole:
        return Whitening(scale, None)
    unit = jnp.eye(size.shape[1], dtype=size.dtype)
    scaled = curvature * scale[:, :, None] * scale[:, None, :] + damping * unit[None]
    lower = jnp.linalg.cholesky(scaled, symmetrize_input=True)
    broad = jnp.broadcast_to(unit[None], lower.shape)
    root = lax.linalg.triangular_solve(lower, broad, left_side=True, lower=True)
    sound = jnp.all(jnp.isfinite(root), axis=(1, 2), keepdims=True)
    return Whitening(scale, jnp.where(sound, root, unit[None]))


def make_whitening(
    model: Model, table: Table, null_rate: np.ndarray, activity: float, like: Tree
) -> Callable[..., Whitening]:
    """(rows, damping, fixed, stimulus, counts) -> Whitening of independent cells.

    like: a free tree of the shapes.
    """
    free = tree_of(model, like)
    cells = len(null_rate)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(like)) // cells
    whole = numbers <= BLOCK
    frame = int(np.prod(table.stimulus.shape[1:]))
    dearest = max(frame * (table.lead + 1), cells * numbers)
    # A bin's slope goes through its whole history, and then gives an outer product; an
    # evaluation does three products with each number, forward and back.
    dear = table.lead + 1 + (numbers if whole else 1) / 3
    afford = int(PASSES * len(table.first) * table.bins / dear)
    wanted = max(SAMPLES, PER_NUMBER * numbers, afford if whole else 0)
    where = _sampled(table, wanted, CHUNK // dearest)
    bins = where.shape[0] * where.shape[1]
    unit = np.float32((1 + activity) / null_rate.mean() / bins)

    def rates(x, fixed, stimulus, counts, first):
        """(cell,) at the one bin of a clip that begins at `first`."""
        params = to_bounded(model.stage.parameters, free(x), fixed)
        rate, _ = clip_rate(model, params, stimulus, counts, first, table.lead, 1)
        return jnp.sum(rate), rate[0]

    @jax.jit
    def make(x, damping, fixed, stimulus, counts):
        def slopes(first):
            # The slope of the sum: a cell's rate depends on its own row alone.
            slope, rate = jax.grad(rates, has_aux=True)(
                x, fixed, stimulus, counts, first
            )
            return slope * lax.rsqrt(rate + FLOOR)[:, None]

        def add(total, firsts):
            some = jax.vmap(slopes)(firsts)
            if whole:
                some = jnp.swapaxes(some, 0, 1)
                return total + jnp.einsum("cbp,cbq->cpq", some, some), None
            return total + jnp.sum(jnp.square(some), axis=0), None

        shape = (cells, numbers, numbers) if whole else (cells, numbers)
        total, _ = lax.scan(add, jnp.zeros(shape), where)
        curvature = total * unit
        if model.penalty is not None:
            curvature = curvature + _of_penalty(x, fixed)
        return inverse(curvature, damping)

    def _of_penalty(x, fixed):
        """The slope's slopes, row by row: no cell's depends on another's numbers.

        Beside a diagonal they are left out: as many products as numbers.
        """

        def slope(x):
            def total(x):
                params = to_bounded(model.stage.parameters, free(x), fixed)
                return jnp.sum(each_penalty(model, params))

            return jax.grad(total)(x)

        _, along = jax.linearize(slope, x)

        def column(unit):
            return along(jnp.broadcast_to(unit, x.shape))

        if whole:
            return jnp.moveaxis(jax.vmap(column)(jnp.eye(numbers)), 0, 2)
        return jnp.zeros_like(x)

    return make


def _sampled(table: Table, bins: int, at_once: int) -> jax.Array:
    """(chunk, bin, 2) first rows, as in `Table.first`, of bins from all clips."""
    total = len(table.first) * table.bins
    bins = min(bins, total)
    at_once = max(1, min(at_once, 512, bins))
    bins -= bins % at_once
    chosen = np.linspace(0, total - 1, bins).astype(np.int64)
    first = table.first[chosen // table.bins] + (chosen % table.bins)[:, None]
    return jnp.asarray(first.reshape(-1, at_once, 2), jnp.int32)
