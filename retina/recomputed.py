"""A scan over time whose gradient keeps few states and computes the rest again.

Back-propagation through time needs what every step has computed. A plain scan keeps all
of it, and its memory grows with bins x sub-steps. Here only the states between chunks
of bins are kept, and each chunk is run once more when the gradient comes to it: memory
grows with the square root, for one more forward pass.
Source: Chen et al. 2016, arXiv:1604.06174.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Tree = Any

# Bytes of states, over all steps of a clip, above which a scan is cut. Below it a plain
# scan is small, and its compilation shorter.
SMALL = 2**18


def scan(
    step: Callable[[Tree, Tree], tuple[Tree, Tree]],
    state: Tree,
    x: Tree,
    substeps: int = 1,
) -> tuple[Tree, Tree]:
    """What `lax.scan(step, state, x)` gives, and the same gradient in less memory.

    step:     (state, x_t) -> (state, y_t).
    x:        (time, ...) each leaf.
    substeps: of a loop inside each step, which the gradient keeps as well.
    returns:  (state, y), y (time, ...) each leaf.

    >>> scan(lambda s, x: (s + x, s), jnp.float32(0), jnp.ones(3))[1].tolist()
    [0.0, 1.0, 2.0]
    """
    bins = jax.tree.leaves(x)[0].shape[0]
    held = sum(4 * math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(state))
    if bins * substeps * held < SMALL:
        return lax.scan(step, state, x)
    chunk = chunk_of(bins, substeps)
    if chunk == bins:
        return lax.scan(step, state, x)

    # Inside a scan nothing can be merged with the first run: no barrier is needed.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def run(state, x):
        return lax.scan(step, state, x)

    chunks = bins // chunk
    whole = chunks * chunk
    cut = jax.tree.map(lambda a: a[:whole].reshape(chunks, chunk, *a.shape[1:]), x)
    state, y = lax.scan(run, state, cut)
    y = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), y)
    if whole == bins:
        return state, y
    state, rest = lax.scan(step, state, jax.tree.map(lambda a: a[whole:], x))
    return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), y, rest)


def chunk_of(bins: int, substeps: int = 1) -> int:
    """Bins of a chunk: about sqrt(bins / substeps), and without a rest where it can be.

    A gradient holds one state per chunk and all sub-steps of one chunk at a time.

    >>> chunk_of(10_000), chunk_of(10_000, 100), chunk_of(512, 5), chunk_of(101)
    (100, 10, 8, 10)
    """
    best = max(1, round(math.sqrt(bins / substeps)))
    near = range(max(1, -(-best // 2)), min(bins, 2 * best) + 1)
    even = [chunk for chunk in near if bins % chunk == 0]
    return min(even or [best], key=lambda chunk: abs(math.log(chunk / best)))
