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

Losses = Callable[[jax.Array, Tree, jax.Array, jax.Array], jax.Array]
Slopes = Callable[[jax.Array, Tree, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


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
    piece, penalty, pieces = _parts(model, table, null_rate, activity, like)

    def losses(x, *data):
        def add(total, of):
            return total + piece(x, *data, *of), None

        total, _ = lax.scan(add, jnp.zeros(len(null_rate)), pieces)
        return total + penalty(x, data[0])

    return losses


def each_slope(
    model: Model, table: Table, null_rate: np.ndarray, activity: float, like: Tree
) -> Slopes:
    """(rows, fixed, stimulus, counts) -> `each_loss` and its slopes (cell, number).

    Each piece's slope is taken with its loss: nothing is kept for a way back through
    all pieces, nor computed again on it.
    """
    piece, penalty, pieces = _parts(model, table, null_rate, activity, like)

    def slopes(x, *data):
        def add(total, of):
            here = losses_and_slopes(lambda x: piece(x, *data, *of))(x)
            return jax.tree.map(jnp.add, total, here), None

        begun = losses_and_slopes(lambda x: penalty(x, data[0]))(x)
        return lax.scan(add, begun, pieces)[0]

    return slopes


def losses_and_slopes(
    each: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """Of problems that share nothing: the slope of the sum is each one's own."""

    def evaluate(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        def total(x):
            values = each(x)
            return jnp.sum(values), values

        (_, values), slope = jax.value_and_grad(total, has_aux=True)(x)
        return values, slope

    return evaluate


def _parts(model: Model, table: Table, null_rate, activity: float, like: Tree):
    """What a piece of the bins adds to each cell's loss, what the penalty does; pieces.

    returns: (rows, fixed, stimulus, counts, first, seen) -> (cell,); (rows, fixed) ->
             (cell,); (first, seen) of each piece.
    """
    null = jnp.asarray(null_rate, jnp.float32)
    fitted = len(table.first) * table.bins - int(table.seen.sum())
    free = tree_of(model, like)

    def piece(x, fixed, stimulus, counts, where, seen):
        params = to_bounded(model.stage.parameters, free(x), fixed)
        rate, target = clip_rate(
            model, params, stimulus, counts, where, table.lead, table.bins
        )
        # Pieces overlap at a block's end; every bin enters the sum once.
        new = (jnp.arange(table.bins) >= seen)[:, None]
        total = jnp.sum(jnp.where(new, nats(rate, target, null, activity), 0), 0)
        return total * np.float32(1 / fitted)

    def penalty(x, fixed):
        if model.penalty is None:
            return jnp.zeros(len(null))
        params = to_bounded(model.stage.parameters, free(x), fixed)
        return each_penalty(model, params)

    return piece, penalty, (jnp.asarray(table.first), jnp.asarray(table.seen))


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
