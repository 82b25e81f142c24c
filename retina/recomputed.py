"""A scan over time whose gradient keeps few states and computes the rest again.

Back-propagation through time needs what every step has computed. A plain scan keeps all
of it, and its memory grows with bins x sub-steps. Here only the states between chunks
of bins are kept, and each chunk is run once more when the gradient comes to it: memory
grows with the square root, for one more forward pass. `scan` does so for one recurrent
stage; `clip` for all that a model makes of a clip, its filters' output included.
Source: Chen et al. 2016, arXiv:1604.06174.
"""

from __future__ import annotations

import contextvars
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
# The same of a whole model, above which all of it is cut: clips of a fit stay whole.
LARGE = 2**22
# While a chunk is traced that will be run again: nothing in it is cut once more.
_inside = contextvars.ContextVar("_inside", default=False)


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

    def run(state, x):
        return lax.scan(step, state, x)

    if _inside.get() or substeps * _held(state, x) < SMALL:
        return run(state, x)
    return _in_chunks(run, state, x, chunk_of(_bins(x), substeps))


def clip(
    run: Callable[[Tree, Tree], tuple[Tree, Tree]], state: Tree, x: Tree
) -> tuple[Tree, Tree]:
    """What `run(state, x)` gives of a long clip, and the same gradient in less memory.

    run: (state, x) -> (state, y) of a clip of any length, causal; the scans in it are
         then cut no further.

    >>> clip(lambda s, x: (s + x.sum(), s + x.cumsum()), 0.0, jnp.ones(3))[1].tolist()
    [1.0, 2.0, 3.0]
    """
    if _inside.get() or _held(state, x) < LARGE:
        return run(state, x)

    def uncut(state, x):
        before = _inside.set(True)
        try:
            return run(state, x)
        finally:
            _inside.reset(before)

    return _in_chunks(uncut, state, x, chunk_of(_bins(x)))


def _bins(x: Tree) -> int:
    return jax.tree.leaves(x)[0].shape[0]


def _held(state: Tree, x: Tree) -> int:
    """Bytes of the states of all bins."""
    one = sum(4 * math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(state))
    return _bins(x) * one


def _in_chunks(run, state: Tree, x: Tree, chunk: int) -> tuple[Tree, Tree]:
    bins = _bins(x)
    if chunk == bins:
        return run(state, x)
    # Inside a scan nothing can be merged with the first run: no barrier is needed.
    again = jax.checkpoint(run, prevent_cse=False)
    chunks = bins // chunk
    whole = chunks * chunk
    cut = jax.tree.map(lambda a: a[:whole].reshape(chunks, chunk, *a.shape[1:]), x)
    state, y = lax.scan(again, state, cut)
    y = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), y)
    if whole == bins:
        return state, y
    state, rest = run(state, jax.tree.map(lambda a: a[whole:], x))
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
