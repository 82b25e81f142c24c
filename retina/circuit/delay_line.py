"""A delay line: what cells gave so many steps ago, and nothing is moved for it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Line = Any


def silence(delay: int, cells: int, kind: Any) -> Line:
    """A line through which nothing has gone: a row for each step, and where the oldest
    stands; for one step the row alone."""
    if delay == 1:
        return jnp.zeros(cells, kind)
    return {"past": jnp.zeros((delay, cells), kind), "at": jnp.int32(0)}


def delayed(line: Line, delay: int) -> jax.Array:
    """(cells,) what was pushed `delay` steps ago."""
    if delay == 1:
        return line
    return lax.dynamic_index_in_dim(line["past"], line["at"], 0, False)


def pushed(line: Line, delay: int, x: jax.Array) -> Line:
    """The line after x, which takes the place of the oldest.

    >>> line = silence(2, 1, jnp.float32)
    >>> for value in (3.0, 4.0, 5.0):
    ...     line = pushed(line, 2, jnp.full(1, value))
    >>> delayed(line, 2).tolist()
    [4.0]
    """
    if delay == 1:
        return x
    past = lax.dynamic_update_index_in_dim(line["past"], x, line["at"], 0)
    at = line["at"] + 1
    return {"past": past, "at": jnp.where(at == delay, 0, at)}


def through_clip(line: Line, delay: int, x: jax.Array) -> tuple[Line, jax.Array]:
    """A whole clip (time, cells): the line after it, and what it gave."""

    def one(line: Line, x_t: jax.Array) -> tuple[Line, jax.Array]:
        return pushed(line, delay, x_t), delayed(line, delay)

    if x.shape[0] == 1:
        line, y = one(line, x[0])
        return line, y[None]
    return lax.scan(one, line, x)
