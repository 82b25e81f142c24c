"""L-BFGS on all training data at once, for models with few or convex parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from retina.fitting.clips import Table, clip_rate
from retina.fitting.loss import nats
from retina.parameter import to_bounded
from retina.stage import Model

PIECE = 2048  # bins per piece of the sum: bounds the memory, not the result
KEPT = 2**27  # stimulus values; as float32 half a gigabyte


def make_round(
    model: Model,
    table: Table,
    null_rate: np.ndarray,
    activity: float = 0.0,
):
    """A function that takes some L-BFGS steps in one dispatch, and its start.

    activity: as in `Recipe`.
    returns: begin(free) -> state, and
             round(free, state, fixed, stimulus, counts, steps) -> (free, state, loss);
             steps may be any number: all are one program.
    """
    null = jnp.asarray(null_rate, jnp.float32)
    first, seen = jnp.asarray(table.first), jnp.asarray(table.seen)
    fitted = len(table.first) * table.bins - int(table.seen.sum())
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=15)
    quasi_newton = optax.lbfgs(memory_size=10, linesearch=search)

    def loss(free, fixed, stimulus, counts):
        params = to_bounded(model.stage.parameters, free, fixed)

        def piece(params, where, seen):
            rate, target = clip_rate(
                model, params, stimulus, counts, where, table.lead, table.bins
            )
            # Pieces overlap at a block's end; every bin enters the sum once.
            by_bin = jnp.mean(nats(rate, target, null, activity), axis=1)
            return jnp.sum(jnp.where(jnp.arange(table.bins) < seen, 0, by_bin))

        # What the backward pass needs is kept while it fits, else computed again.
        summed = piece if table.stimulus.size < KEPT else jax.checkpoint(piece)

        def add(total, piece_of):
            return total + summed(params, *piece_of), None

        total, _ = lax.scan(add, jnp.float32(0), (first, seen))
        value = total * np.float32(1 / fitted)
        if model.penalty is not None:
            value = value + model.penalty(params)
        return value

    @jax.jit
    def round_(free, state, fixed, stimulus, counts, steps):
        def value_of(free):
            return loss(free, fixed, stimulus, counts)

        def step(_, carry):
            free, state, _ = carry
            value, slope = optax.value_and_grad_from_state(value_of)(free, state=state)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
                move, state = quasi_newton.update(
                    slope, state, free, value=value, grad=slope, value_fn=value_of
                )
            return optax.apply_updates(free, move), state, value

        return lax.fori_loop(0, steps, step, (free, state, jnp.float32(0)))

    def begin(free):
        # Numbers of Python's type would make the second round another program.
        return jax.tree.map(lambda a: jnp.asarray(a, a.dtype), quasi_newton.init(free))

    return begin, round_
