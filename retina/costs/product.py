"""One product of a step, on the numbers of one bin: what of it meets a zero."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PRODUCTS = ("dot_general", "conv_general_dilated")


@dataclasses.dataclass(frozen=True)
class Product:
    """One product of the step, over all bins that were looked at.

    spiking:    a factor was declared to hold 0 and 1 alone.
    weights, zero_weights: of the factor that parameters decide; 0 where none is.
    dense:      multiply-adds of all bins, padding left out.
    structured: those left where rows, columns or taps that are zero throughout are cut.
    active:     those whose other factor is not 0.
    effective:  those where neither factor is 0.
    quantal:    a factor is released quanta, as a stage declares by `quanta`.
    arrivals:   those quanta, in the mean, times the targets that each of them reaches:
                the additions left where a vesicle is an event. 0 where not quantal.
    """

    spiking: bool
    weights: int
    zero_weights: int
    dense: int
    structured: int
    active: int
    effective: int
    quantal: bool = False
    arrivals: float = 0.0


# New with every bin; declared 0 or 1; declared released quanta.
LATE, SPIKE, QUANTAL = 1, 2, 4


def declared(ins: list, flags: list[int]) -> tuple[bool, bool, int]:
    """(spiking, quantal, weights) of one product, as of `Product`.

    ins, flags: its two factors, and what each was declared to be.
    """
    early = [a.size for a, flag in zip(ins, flags, strict=True) if not flag & LATE]
    spiking, quantal = (any(f & kind for f in flags) for kind in (SPIKE, QUANTAL))
    return spiking, quantal, sum(early)


def tally(eqn: Any, ins: list, flags: list[int]) -> jax.Array:
    """[zero weights, dense, structured, active, effective] of one product."""

    def products(*factors: jax.Array) -> jax.Array:
        # Each sum is of 0 and 1 and shorter than 2^24: exact in float32.
        return jnp.sum(_sums(eqn, *factors).astype(jnp.int32))

    ones = [jnp.ones(a.shape, jnp.float32) for a in ins]
    there = [(a != 0).astype(jnp.float32) for a in ins]
    late = [bool(flag & LATE) for flag in flags]
    pairs = list(zip(late, ones, there, strict=True))
    zeros = sum(jnp.sum((t == 0).astype(jnp.int32)) for new, _, t in pairs if not new)
    return jnp.stack(
        [
            jnp.asarray(zeros, jnp.int32),
            products(*ones),
            products(*(o if new else _box(t) for new, o, t in pairs)),
            products(*(t if new else o for new, o, t in pairs)),
            products(*there),
        ]
    )


def _sums(eqn: Any, *factors: jax.Array) -> jax.Array:
    given = {**eqn.params, "preferred_element_type": np.dtype(np.float32)}
    return eqn.primitive.bind(*factors, **given)


def arrivals(eqn: Any, ins: list, flags: list[int]) -> jax.Array:
    """Quanta times the targets of each; 0 where no factor is quanta."""
    if not any(flag & QUANTAL for flag in flags):
        return jnp.float32(0)
    factors = (
        a.astype(jnp.float32) if flag & QUANTAL else jnp.ones(a.shape, jnp.float32)
        for a, flag in zip(ins, flags, strict=True)
    )
    return jnp.sum(_sums(eqn, *factors))


def _box(there: jax.Array) -> jax.Array:
    """1 where no slice along any axis is zero throughout: what a cut would leave."""
    kept = jnp.ones(there.shape, jnp.float32)
    for axis in range(there.ndim):
        others = tuple(a for a in range(there.ndim) if a != axis)
        kept = kept * jnp.max(there, axis=others, keepdims=True)
    return kept
