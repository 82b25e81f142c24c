"""Sums of binary decision trees, all of one depth, walked down side by side.

A tree is laid out as a heap: the children of node n are 2 n and 2 n + 1, the root is 1.
So no pointer is stored or read. Where a tree ends early its nodes send all to the left.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.parameter import Parameter
from retina.stage import Stage, memoryless


def decision_trees(shape: tuple[int, ...], trees: int, depth: int) -> Stage:
    """Each cell: the sum over its trees of the leaf that its own features lead to.

    shape:   (cell, ...) of one input; what follows the cell are its features.
    depth:   comparisons from root to leaf.
    returns: stage (*shape) -> (cell,). Params: "feature" and "threshold" of shape
             (cell, trees, 2 ** depth), entry 0 unused; "leaf" of the same shape, from
             left to right. A feature above the threshold leads to the right.

    A node on the way costs three words read (feature, threshold, the feature's value),
    a comparison and four operations on integers; a leaf one of each kind of these two
    and, but for the first of a cell, an addition.
    """
    cells, features = shape[0], int(np.prod(shape[1:]))
    nodes = 2**depth
    base = np.arange(cells * trees, dtype=np.int32).reshape(cells, trees) * nodes
    own = np.arange(cells, dtype=np.int32)[:, None, None] * np.int32(features)

    def init(key: jax.Array):
        which, where, worth = jax.random.split(key, 3)
        size = (cells, trees, nodes)
        leaf = jax.random.normal(worth, size, jnp.float32)
        return {
            "feature": jax.random.randint(which, size, 0, features, jnp.int32),
            "threshold": jax.random.normal(where, size, jnp.float32),
            "leaf": leaf * np.float32(1 / np.sqrt(trees)),
        }

    def total(params, x: jax.Array) -> jax.Array:
        values = x.reshape(-1)
        threshold = params["threshold"].reshape(-1)
        feature = (params["feature"] + own).reshape(-1)  # once, at setup

        def down(node: jax.Array, _) -> tuple[jax.Array, None]:
            at = node + base
            right = _read(values, _read(feature, at)) > _read(threshold, at)
            return 2 * node + right.astype(jnp.int32), None

        first = jnp.ones((cells, trees), jnp.int32)
        node, _ = lax.scan(down, first, length=depth)
        leaves = _read(params["leaf"].reshape(-1), node + (base - nodes))
        return leaves.sum(axis=1)

    fixed = Parameter(trainable=False, source="boosting")
    return memoryless(
        total,
        init=init,
        parameters={"feature": fixed, "threshold": fixed, "leaf": fixed},
        about=("decision_trees", shape, trees, depth),
    )


def _read(array: jax.Array, at: jax.Array) -> jax.Array:
    return array.at[at].get(mode="promise_in_bounds", wrap_negative_indices=False)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(decision_trees((3, 2, 2), 4, 3), (3, 2, 2))]
