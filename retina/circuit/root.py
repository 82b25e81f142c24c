"""The root of a rising function by bisection, with the derivative that it has."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def rising_root(
    rising: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array
) -> jax.Array:
    """Where a function that rises from below 0 at `low` to above it at `high` is 0.

    rising:  of an array, element by element; it may close over parameters, and the
             root has its derivative with respect to these.
    returns: an array of the shape of low and high.

    >>> square = lambda x: x * x - 2
    >>> round(float(rising_root(square, jnp.float32(0), jnp.float32(2))), 5)
    1.41421
    """

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        below = rising(middle) < 0
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = lax.stop_gradient((low, high))
    low, high = lax.fori_loop(0, 60, halve, (low, high))
    # One Newton step: halving has no derivative, this has that of the root.
    root = lax.stop_gradient((low + high) / 2)
    value, slope = jax.jvp(rising, (root,), (jnp.ones_like(root),))
    return root - value / lax.stop_gradient(slope)
