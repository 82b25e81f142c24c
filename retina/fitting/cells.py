"""Cells that share no parameter: a row of numbers for each, and a loss for each.

Such a model says `independent`; a leaf's axis named "cell" says whose a number is.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.fitting.clips import Table, clip_rate
from retina.fitting.loss import nats
from retina.parameter import to_bounded
from retina.stage import Model, Tree

KEPT = 2**27  # stimulus values; as float32 half a gigabyte
Losses = Callable[[jax.Array, Tree, jax.Array, jax.Array], jax.Array]


def rows(model: Model, free: Tree) -> jax.Array:
    """The trained numbers of each cell: (cell, number).

    free: as `to_free` makes it, without a seed axis.
    """
    leaves = zip(_cell_axes(model), jax.tree.leaves(free), strict=True)
    apart = [jnp.moveaxis(leaf, axis, 0) for axis, leaf in leaves]
    return jnp.concatenate([a.reshape(len(a), -1) for a in apart], axis=1)


def tree_of(model: Model, like: Tree) -> Callable[[jax.Array], Tree]:
    """The inverse of `rows`; like: a free tree of the shapes."""
    leaves, structure = jax.tree.flatten(like)
    axes = _cell_axes(model)
    shapes = [
        tuple(np.moveaxis(np.empty(leaf.shape, bool), axis, 0).shape)
        for axis, leaf in zip(axes, leaves, strict=True)
    ]
    ends = np.cumsum([int(np.prod(shape[1:])) for shape in shapes])

    def free(x: jax.Array) -> Tree:
        parts = jnp.split(x, ends[:-1], axis=1)
        made = zip(parts, shapes, axes, strict=True)
        return structure.unflatten(
            [jnp.moveaxis(part.reshape(shape), 0, axis) for part, shape, axis in made]
        )

    return free


def each_loss(
    model: Model, table: Table, null_rate: np.ndarray, activity: float, like: Tree
) -> Losses:
    """(rows, fixed, stimulus, counts) -> (cell,), whose mean is the loss of `lbfgs`.

    A cell's own is its mean over bins and the penalty of its parameters alone, in the
    units of the whole: a cell's slope is that of the sum over cells.
    """
    null = jnp.asarray(null_rate, jnp.float32)
    first, seen = jnp.asarray(table.first), jnp.asarray(table.seen)
    fitted = len(table.first) * table.bins - int(table.seen.sum())
    free = tree_of(model, like)

    def losses(x, fixed, stimulus, counts):
        params = to_bounded(model.stage.parameters, free(x), fixed)

        def piece(params, where, seen):
            rate, target = clip_rate(
                model, params, stimulus, counts, where, table.lead, table.bins
            )
            # Pieces overlap at a block's end; every bin enters the sum once.
            new = (jnp.arange(table.bins) >= seen)[:, None]
            return jnp.sum(jnp.where(new, nats(rate, target, null, activity), 0), 0)

        # What the backward pass needs is kept while it fits, else computed again.
        summed = piece if table.stimulus.size < KEPT else jax.checkpoint(piece)

        def add(total, piece_of):
            return total + summed(params, *piece_of), None

        total, _ = lax.scan(add, jnp.zeros(len(null)), (first, seen))
        value = total * np.float32(1 / fitted)
        if model.penalty is not None:
            value = value + each_penalty(model, params)
        return value

    return losses


def each_penalty(model: Model, params: Tree) -> jax.Array:
    """(cell,) the model's penalty of each cell's parameters alone; their mean is all's.

    params: bounded.
    """
    described, structure = jax.tree.flatten(model.stage.parameters)
    leaves = structure.flatten_up_to(params)
    axes = [p.axes.index("cell") if "cell" in p.axes else None for p in described]

    def one(own: list[jax.Array]) -> jax.Array:
        kept = [
            leaf if axis is None else jnp.expand_dims(leaf, axis)
            for leaf, axis in zip(own, axes, strict=True)
        ]
        assert model.penalty is not None
        return jnp.asarray(model.penalty(structure.unflatten(kept)), jnp.float32)

    return jax.vmap(one, in_axes=(axes,))(leaves)


def _cell_axes(model: Model) -> list[int]:
    """The cell's axis of each trained leaf; raises ValueError where there is none."""
    described = jax.tree.leaves(model.stage.parameters)
    return [p.axes.index("cell") for p in described if p.trainable]
